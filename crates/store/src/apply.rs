//! What a write does, decided without a disk: every backend evaluates here and only then makes it last.
//!
//! The functions change a [`State`] that nobody else sees yet and note in [`Effects`] what became different. A backend
//! publishes the state once the effects are kept, or drops it, and then nothing has happened.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use model::{DataplaneInsight, Key, Kind, Spec};
use rpds::RedBlackTreeMapSync;

use crate::{
    Change, Committed, Entry, Outcome, Precondition, Present, Revision, Sealed, StoreError, Transaction,
    Write, tokens::TokenEffects,
};

/// All that is kept. Cheap to clone: the maps are persistent.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) present: Present,
    /// Sealed; few, so they are kept in memory and can be read while the disk is away.
    pub(crate) secrets: RedBlackTreeMapSync<SecretKey, Sealed>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SecretKey {
    pub(crate) scope: Arc<str>,
    pub(crate) name: Arc<str>,
}

/// What is different in a [`State`] from the one that was published last.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// In commit order. Names every resource that was put or deleted.
    pub(crate) changes: Vec<Arc<Change>>,
    /// The Dataplanes whose insight was put or has gone.
    pub(crate) insights: BTreeSet<Key>,
    pub(crate) secrets: BTreeSet<SecretKey>,
    pub(crate) tokens: TokenEffects,
}

/// The scope of the secrets that belong to a mesh and go with it. No name of a mesh has a slash.
pub fn mesh_secrets(mesh: &str) -> String {
    format!("{MESH_SECRETS}{mesh}")
}

const MESH_SECRETS: &str = "mesh/";

impl State {
    pub(crate) fn empty(revision: Revision) -> Self {
        Self { present: Present::empty(revision), secrets: RedBlackTreeMapSync::new_sync() }
    }

    /// The names and secrets of a scope, by name.
    pub(crate) fn secrets_of<'a>(
        &'a self,
        scope: &'a str,
    ) -> impl Iterator<Item = (&'a SecretKey, &'a Sealed)> {
        let first = SecretKey { scope: scope.into(), name: "".into() };
        self.secrets.range(first..).take_while(move |(key, _)| &*key.scope == scope)
    }
}

impl Effects {
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty()
            && self.insights.is_empty()
            && self.secrets.is_empty()
            && self.tokens.is_empty()
    }
}

/// See [`crate::Store::commit`].
///
/// A transaction whose writes undo one another still takes a revision: it says what became of each entity, once.
pub(crate) fn transact(
    state: &mut State,
    effects: &mut Effects,
    transaction: &Transaction,
) -> Result<Committed, StoreError> {
    let broken = transaction.preconditions.iter().find(|it| !holds(&state.present, it));
    if let Some(broken) = broken {
        return Err(StoreError::Precondition(broken.clone()));
    }

    let Revision { epoch, number } = state.present.revision;
    let mut writing = Writing {
        revision: Revision { epoch, number: number + 1 },
        transaction,
        state,
        effects,
        changes: Vec::new(),
    };
    let outcomes = transaction.writes.iter().map(|write| writing.write(write)).collect();
    writing.finish();
    Ok(Committed { revision: state.present.revision, outcomes })
}

/// See [`crate::Store::put_insights`].
pub(crate) fn put_insights(state: &mut State, effects: &mut Effects, insights: Vec<(Key, DataplaneInsight)>) {
    for (key, insight) in insights {
        let exists = key.kind == Kind::Dataplane && state.present.get(&key).is_some();
        let is_news = state.present.insight(&key).is_none_or(|before| **before != insight);
        if exists && is_news {
            state.present.insights.insert_mut(key.clone(), Arc::new(insight));
            effects.insights.insert(key);
        }
    }
}

/// See [`crate::Store::put_secret_if_absent`].
pub(crate) fn put_secret_if_absent(
    state: &mut State,
    effects: &mut Effects,
    key: SecretKey,
    sealed: Sealed,
) -> Result<Sealed, StoreError> {
    if let Some(mesh) = key.scope.strip_prefix(MESH_SECRETS)
        && state.present.get(&Key::mesh(mesh)).is_none()
    {
        return Err(StoreError::Precondition(Precondition::Exists(Key::mesh(mesh))));
    }
    if let Some(there) = state.secrets.get(&key) {
        return Ok(there.clone());
    }
    state.secrets.insert_mut(key.clone(), sealed.clone());
    effects.secrets.insert(key);
    Ok(sealed)
}

/// See [`crate::Store::replace_secret`].
pub(crate) fn replace_secret(
    state: &mut State,
    effects: &mut Effects,
    key: SecretKey,
    before: &Sealed,
    after: Sealed,
) -> Option<Revision> {
    if state.secrets.get(&key) != Some(before) {
        return None;
    }
    state.secrets.insert_mut(key.clone(), after);
    effects.secrets.insert(key);
    state.present.revision.number += 1;
    Some(state.present.revision)
}

/// # Panics
/// If a Put's key and spec are of different kinds, or a key of a global kind is not its own mesh: rows that would not
/// be read again. Called where the transaction comes in, so that it is the caller who hears of the mistake.
pub(crate) fn assert_well_formed(transaction: &Transaction) {
    for write in &transaction.writes {
        let key = write.key();
        assert!(
            *key == Key::new(key.kind, key.mesh.clone(), key.name.clone()),
            "{key} lies in mesh {}",
            key.mesh
        );
        if let Write::Put(key, spec) = write {
            assert!(key.kind == spec.kind(), "the spec of {key} is a {}", spec.kind().name());
        }
    }
}

/// The resource as [`Entry::json`] has it.
///
/// # Panics
/// Never: whatever a spec is, it can be said in JSON.
pub fn print(key: &Key, spec: &Spec) -> Bytes {
    model::print_entity(key, spec)
        .expect("a spec is plain data under string keys, which JSON can always say")
        .into()
}

pub(crate) fn holds(present: &Present, precondition: &Precondition) -> bool {
    match precondition {
        Precondition::Exists(key) => present.get(key).is_some(),
        Precondition::Absent(key) => present.get(key).is_none(),
        Precondition::At(key, revision) => present.get(key).is_some_and(|entry| entry.revision == *revision),
    }
}

/// A transaction whose preconditions hold, being carried out.
struct Writing<'a> {
    revision: Revision,
    transaction: &'a Transaction,
    state: &'a mut State,
    effects: &'a mut Effects,
    changes: Vec<Change>,
}

impl Writing<'_> {
    fn write(&mut self, write: &Write) -> Outcome {
        match write {
            Write::Put(key, spec) => self.put(key, spec),
            Write::Delete(key) if self.state.present.get(key).is_none() => Outcome::Absent,
            Write::Delete(key) => {
                if key.kind == Kind::Mesh {
                    self.empty_mesh(&key.name);
                }
                self.delete(key);
                Outcome::Deleted
            }
        }
    }

    fn put(&mut self, key: &Key, spec: &Arc<Spec>) -> Outcome {
        let before = self.state.present.get(key);
        if before.is_some_and(|entry| entry.spec == *spec) {
            return Outcome::Unchanged;
        }

        let at_ms = self.transaction.at_ms;
        let outcome = if before.is_some() { Outcome::Configured } else { Outcome::Created };
        let entry = Entry {
            revision: self.revision,
            created_ms: before.map_or(at_ms, |entry| entry.created_ms),
            modified_ms: at_ms,
            spec: spec.clone(),
            json: print(key, spec),
        };
        self.state.present.insert(key.clone(), entry);
        self.state.present.tombstones.remove_mut(key);
        self.note(key, Some(spec.clone()));
        outcome
    }

    fn delete(&mut self, key: &Key) {
        self.state.present.remove(key);
        self.state.present.tombstones.insert_mut(key.clone(), self.revision.number);
        if self.state.present.insights.remove_mut(key) {
            self.effects.insights.insert(key.clone());
        }
        self.note(key, None);
    }

    /// The contents go before their mesh, so that whoever follows never holds one without the other.
    fn empty_mesh(&mut self, mesh: &str) {
        let kinds = Kind::ALL.iter().copied().filter(|kind| *kind != Kind::Mesh);
        let contents: Vec<Key> =
            kinds.flat_map(|kind| self.state.present.list(kind, mesh)).map(|(key, _)| key.clone()).collect();
        for key in &contents {
            self.delete(key);
        }

        let secrets: Vec<SecretKey> =
            self.state.secrets_of(&mesh_secrets(mesh)).map(|(key, _)| key.clone()).collect();
        for key in secrets {
            self.state.secrets.remove_mut(&key);
            self.effects.secrets.insert(key);
        }
    }

    fn note(&mut self, key: &Key, spec: Option<Arc<Spec>>) {
        let Transaction { author, at_ms, .. } = self.transaction;
        self.changes.push(Change {
            revision: self.revision.number,
            key: key.clone(),
            spec,
            author: author.clone(),
            at_ms: *at_ms,
        });
    }

    fn finish(self) {
        if self.changes.is_empty() {
            return;
        }
        self.state.present.revision = self.revision;
        self.effects.changes.extend(last_of_each_key(self.changes).into_iter().map(Arc::new));
    }
}

/// A revision has one change an entity, the last: so the order of changes is an order of revisions for each of them.
fn last_of_each_key(mut changes: Vec<Change>) -> Vec<Change> {
    let mut seen = BTreeSet::new();
    changes.reverse();
    changes.retain(|change| seen.insert(change.key.clone()));
    changes.reverse();
    changes
}
