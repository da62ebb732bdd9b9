//! Who changed what, and who was refused: one line each, under the target `audit`.
//!
//! A line has the fields `who`, `from`, `method`, `kind`, `mesh`, `name`, `revision`, `outcome`. What a client chose travels in
//! fields, which every format of the log escapes, and never in the message.

use std::{
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use http::Method;
use model::Key;
use store::{Committed, Outcome, Revision};

use crate::{Peer, respond::Refusal};

/// The only author there is while nobody authenticates: whoever is on this machine.
pub(crate) const LOOPBACK: &str = "loopback";

/// Whose request it is.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) who: &'static str,
    /// The peer's address, as far as it is known. Printed when a line needs it: most requests need none.
    from: Option<SocketAddr>,
}

impl Caller {
    pub(crate) fn new(peer: Option<&Peer>) -> Self {
        Self { who: LOOPBACK, from: peer.map(|peer| peer.0) }
    }

    fn from(&self) -> String {
        self.from.map(|from| from.to_string()).unwrap_or_default()
    }
}

/// What the store has taken, a line for each write.
pub(crate) fn accepted(caller: &Caller, method: &'static str, keys: &[Key], committed: &Committed) {
    for (key, outcome) in keys.iter().zip(&committed.outcomes) {
        tracing::info!(
            target: "audit",
            who = caller.who,
            from = caller.from(),
            method,
            kind = key.kind.name(),
            mesh = &*key.mesh,
            name = &*key.name,
            revision = committed.revision.to_string(),
            outcome = outcome.name(),
            "write accepted"
        );
    }
}

/// A token that was given out: its id, by which it can be revoked when nobody has it any more; never the token.
pub(crate) fn token_issued(caller: &Caller, mesh: &str, name: &str, jti: &str, valid_for: Option<Duration>) {
    tracing::info!(
        target: "audit",
        who = caller.who,
        from = caller.from(),
        method = "POST",
        kind = "DataplaneToken",
        mesh,
        name,
        jti,
        valid_for = valid_for.map(|valid_for| format!("{valid_for:?}")),
        "token issued"
    );
}

/// A token that was revoked, or a key that was made or retired: `name` is the jti or the kid.
pub(crate) fn tokens_changed(
    caller: &Caller,
    method: &'static str,
    kind: &'static str,
    name: &str,
    revision: Revision,
    outcome: Outcome,
) {
    tracing::info!(
        target: "audit",
        who = caller.who,
        from = caller.from(),
        method,
        kind,
        name,
        revision = revision.to_string(),
        outcome = outcome.name(),
        "write accepted"
    );
}

/// A certificate authority of a mesh that was made, was made the one that signs, or was retired: `id` is its own.
pub(crate) fn mesh_ca_changed(
    caller: &Caller,
    method: &'static str,
    mesh: &str,
    id: &str,
    revision: Revision,
    outcome: Outcome,
) {
    tracing::info!(
        target: "audit",
        who = caller.who,
        from = caller.from(),
        method,
        kind = "MeshCa",
        mesh,
        name = id,
        revision = revision.to_string(),
        outcome = outcome.name(),
        "write accepted"
    );
}

/// Lines of refusals in one [`WINDOW`]: enough to see what happens, and a client that is refused over and over, or
/// wants to fill the disk, writes no more.
const REFUSALS: u32 = 20;
const WINDOW: Duration = Duration::from_secs(10);

/// Says what was refused, limited in rate.
#[derive(Debug, Default)]
pub(crate) struct RefusalLog(Mutex<Window>);

#[derive(Debug, Default, PartialEq)]
struct Window {
    begun: Option<SystemTime>,
    seen: u32,
}

impl RefusalLog {
    pub(crate) fn refused(
        &self,
        now: SystemTime,
        caller: &Caller,
        method: &Method,
        path: &str,
        refusal: &Refusal,
    ) {
        let turn = self.0.lock().unwrap_or_else(PoisonError::into_inner).turn(now);
        let Turn::Say { unsaid } = turn else { return };
        if unsaid > 0 {
            tracing::warn!(target: "audit", unsaid, "further refusals were not written down");
        }
        tracing::warn!(
            target: "audit",
            who = caller.who,
            from = caller.from(),
            method = method.as_str(),
            path,
            status = refusal.status.as_u16(),
            reason = &*refusal.details,
            "refused"
        );
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Turn {
    /// `unsaid` lines were left out since the last one.
    Say {
        unsaid: u32,
    },
    Quiet,
}

impl Window {
    fn turn(&mut self, now: SystemTime) -> Turn {
        // A clock that was set back begins a new window, too.
        let running =
            self.begun.and_then(|begun| now.duration_since(begun).ok()).is_some_and(|age| age < WINDOW);
        if running {
            self.seen = self.seen.saturating_add(1);
            return if self.seen > REFUSALS { Turn::Quiet } else { Turn::Say { unsaid: 0 } };
        }
        let unsaid = self.seen.saturating_sub(REFUSALS);
        *self = Self { begun: Some(now), seen: 1 };
        Turn::Say { unsaid }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_writes_no_flood_of_lines() {
        let start = SystemTime::UNIX_EPOCH + WINDOW;
        let mut window = Window::default();
        for _ in 0..REFUSALS {
            assert_eq!(window.turn(start), Turn::Say { unsaid: 0 });
        }
        for _ in 0..5 {
            assert_eq!(window.turn(start), Turn::Quiet);
        }
        assert_eq!(window.turn(start + WINDOW), Turn::Say { unsaid: 5 });
        assert_eq!(window.turn(start), Turn::Say { unsaid: 0 }, "the clock was set back");
    }
}
