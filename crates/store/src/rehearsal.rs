//! What a transaction would do, found out on a copy: for a dry run, and to say all that is wrong with many writes at once.

use crate::{
    Committed, Outcome, Precondition, Present, Transaction, Write,
    apply::{self, Effects, State},
};

/// What [`crate::Store::commit`] would answer now, with the present's revision, since this takes none; and what there would
/// be then.
///
/// # Errors
/// The precondition that does not hold.
pub fn rehearse(
    present: &Present,
    transaction: &Transaction,
) -> Result<(Committed, Rehearsal), Precondition> {
    if let Some(broken) = transaction.preconditions.iter().find(|it| !apply::holds(present, it)) {
        return Err(broken.clone());
    }
    let mut rehearsal = Rehearsal::new(present, transaction.at_ms);
    let outcomes = transaction.writes.iter().map(|write| rehearsal.write(write.clone())).collect();
    Ok((Committed { revision: present.revision(), outcomes }, rehearsal))
}

/// A copy of the present on which writes take place and leave no trace. What it says is what a commit would have done at
/// the moment that the copy was made; its own revisions mean nothing.
pub struct Rehearsal {
    state: State,
    at_ms: u64,
}

impl Rehearsal {
    /// Cheap: the copy shares all that is not written. `at_ms` is as in [`Transaction::at_ms`].
    pub fn new(present: &Present, at_ms: u64) -> Self {
        let mut state = State::empty(present.revision());
        state.present = present.clone();
        Self { state, at_ms }
    }

    /// As the writes so far have left it. Its revisions, and those of what was written, mean nothing.
    pub fn present(&self) -> &Present {
        &self.state.present
    }

    /// # Panics
    /// As [`crate::Store::commit`]: if the key and the spec of a Put are of different kinds.
    pub fn write(&mut self, write: Write) -> Outcome {
        let writes = vec![write];
        let transaction = Transaction { writes, at_ms: self.at_ms, ..Transaction::default() };
        apply::assert_well_formed(&transaction);
        let written = apply::transact(&mut self.state, &mut Effects::default(), &transaction);
        // Without preconditions there is nothing to refuse it.
        written.ok().and_then(|committed| committed.outcomes.into_iter().next()).unwrap_or(Outcome::Unchanged)
    }
}
