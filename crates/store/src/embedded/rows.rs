//! From [`Effects`] to rows: what differs is written, and nothing else.

use std::{collections::BTreeSet, sync::Arc};

use model::{DataplaneInsight, Key, Spec};
use rusqlite::{Connection, params};

use super::checksum::checksum;
use crate::{
    Change, Revocation, TokenKey, Tokens,
    apply::{SecretKey, State},
    published::Next,
};

/// Why rows could not be written. Nothing of the batch is kept then.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// Two control planes on one file would each overwrite what the other has acknowledged.
    #[error(
        "another process has written to it since revision {since}; stop that one, then start this one again"
    )]
    Overtaken { since: u64 },
}

/// Writes a batch inside the transaction that is open. `since` is the revision of the state that it was decided on.
pub(super) fn write(database: &Connection, since: u64, next: &Next) -> Result<(), WriteError> {
    advance_revision(database, since, next.state.present.revision.number)?;
    // What goes first makes room for what comes, also in a file that may not grow.
    cut_history(database, next.expired.len())?;
    let resources: BTreeSet<&Key> = next.effects.changes.iter().map(|change| &change.key).collect();
    for key in resources {
        write_resource(database, &next.state, key)?;
    }
    for key in &next.effects.insights {
        write_insight(database, &next.state, key)?;
    }
    for key in &next.effects.secrets {
        write_secret(database, &next.state, key)?;
    }
    let tokens = &next.state.present.tokens;
    for kid in &next.effects.tokens.kids {
        write_token_key(database, tokens, kid)?;
    }
    for jti in &next.effects.tokens.jtis {
        write_revocation(database, tokens, jti)?;
    }
    write_changes(database, &next.effects.changes)
}

/// Compares and sets, also when nothing has a revision of its own: this is what notices a second writer.
fn advance_revision(database: &Connection, since: u64, number: u64) -> Result<(), WriteError> {
    let mut update =
        database.prepare_cached("UPDATE meta SET value = ?1 WHERE key = 'revision' AND value = ?2")?;
    match update.execute([number.to_string(), since.to_string()])? {
        1 => Ok(()),
        _ => Err(WriteError::Overtaken { since }),
    }
}

/// The table and the history in memory begin at the same change, so a count is enough.
fn cut_history(database: &Connection, rows: usize) -> Result<(), WriteError> {
    if rows > 0 {
        let mut delete = database.prepare_cached(
            "DELETE FROM changes WHERE (revision, seq) IN
             (SELECT revision, seq FROM changes ORDER BY revision, seq LIMIT ?1)",
        )?;
        delete.execute([i64::try_from(rows).unwrap_or(i64::MAX)])?;
    }
    Ok(())
}

fn write_resource(database: &Connection, state: &State, key: &Key) -> Result<(), WriteError> {
    let (kind, mesh, name) = (key.kind.name(), &*key.mesh, &*key.name);
    let Some(entry) = state.present.get(key) else {
        let mut delete =
            database.prepare_cached("DELETE FROM resources WHERE kind = ?1 AND mesh = ?2 AND name = ?3")?;
        delete.execute([kind, mesh, name])?;
        return Ok(());
    };

    let (revision, created_ms, modified_ms) =
        (integer(entry.revision.number), integer(entry.created_ms), integer(entry.modified_ms));
    let spec = serde_json::to_string(&*entry.spec)?;
    let checksum = resource_checksum(kind, mesh, name, [revision, created_ms, modified_ms], &spec);
    let mut upsert = database
        .prepare_cached("INSERT OR REPLACE INTO resources VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?;
    upsert.execute(params![kind, mesh, name, revision, created_ms, modified_ms, spec, checksum])?;
    Ok(())
}

fn write_insight(database: &Connection, state: &State, dataplane: &Key) -> Result<(), WriteError> {
    let (mesh, name) = (&*dataplane.mesh, &*dataplane.name);
    let Some(insight) = state.present.insight(dataplane) else {
        database
            .prepare_cached("DELETE FROM insights WHERE mesh = ?1 AND name = ?2")?
            .execute([mesh, name])?;
        return Ok(());
    };

    let insight = serde_json::to_string::<DataplaneInsight>(insight)?;
    let checksum = insight_checksum(mesh, name, &insight);
    let mut upsert = database.prepare_cached("INSERT OR REPLACE INTO insights VALUES (?1, ?2, ?3, ?4)")?;
    upsert.execute(params![mesh, name, insight, checksum])?;
    Ok(())
}

fn write_secret(database: &Connection, state: &State, key: &SecretKey) -> Result<(), WriteError> {
    let (scope, name) = (&*key.scope, &*key.name);
    let Some(sealed) = state.secrets.get(key) else {
        database
            .prepare_cached("DELETE FROM secrets WHERE scope = ?1 AND name = ?2")?
            .execute([scope, name])?;
        return Ok(());
    };

    let checksum = secret_checksum(scope, name, sealed);
    let mut upsert = database.prepare_cached("INSERT OR REPLACE INTO secrets VALUES (?1, ?2, ?3, ?4)")?;
    upsert.execute(params![scope, name, &**sealed, checksum])?;
    Ok(())
}

fn write_token_key(database: &Connection, tokens: &Tokens, kid: &str) -> Result<(), WriteError> {
    let Some(key) = tokens.keys.get(kid) else {
        database.prepare_cached("DELETE FROM token_keys WHERE kid = ?1")?.execute([kid])?;
        return Ok(());
    };
    Ok(put_token_key(database, kid, key)?)
}

pub(super) fn put_token_key(database: &Connection, kid: &str, key: &TokenKey) -> rusqlite::Result<()> {
    let since = integer(key.since);
    let checksum = token_key_checksum(kid, since, &key.sealed);
    let mut upsert = database.prepare_cached("INSERT OR REPLACE INTO token_keys VALUES (?1, ?2, ?3, ?4)")?;
    upsert.execute(params![kid, since, &*key.sealed, checksum])?;
    Ok(())
}

fn write_revocation(database: &Connection, tokens: &Tokens, jti: &str) -> Result<(), WriteError> {
    let Some(Revocation { revision, exp }) = tokens.revocations.get(jti) else {
        database.prepare_cached("DELETE FROM revocations WHERE jti = ?1")?.execute([jti])?;
        return Ok(());
    };
    let (revision, exp) = (integer(*revision), exp.map(integer));
    let checksum = revocation_checksum(jti, revision, exp);
    let mut upsert = database.prepare_cached("INSERT OR REPLACE INTO revocations VALUES (?1, ?2, ?3, ?4)")?;
    upsert.execute(params![jti, revision, exp, checksum])?;
    Ok(())
}

fn write_changes(database: &Connection, changes: &[Arc<Change>]) -> Result<(), WriteError> {
    let mut insert =
        database.prepare_cached("INSERT INTO changes VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?;
    let mut seq = 0_i64;
    let mut revision_before = None;
    for change in changes {
        seq = if revision_before == Some(change.revision) { seq + 1 } else { 0 };
        revision_before = Some(change.revision);

        let (kind, mesh, name) = (change.key.kind.name(), &*change.key.mesh, &*change.key.name);
        let (revision, at_ms) = (integer(change.revision), integer(change.at_ms));
        let spec = change.spec.as_deref().map(serde_json::to_string::<Spec>).transpose()?;
        let checksum =
            change_checksum([revision, seq, at_ms], [kind, mesh, name, &change.author], spec.as_deref());
        insert.execute(params![revision, seq, kind, mesh, name, spec, change.author, at_ms, checksum])?;
    }
    Ok(())
}

pub(super) fn resource_checksum(kind: &str, mesh: &str, name: &str, numbers: [i64; 3], spec: &str) -> i64 {
    let numbers = numbers.map(i64::to_le_bytes).concat();
    checksum(&[kind.as_bytes(), mesh.as_bytes(), name.as_bytes(), &numbers, spec.as_bytes()])
}

pub(super) fn change_checksum(
    numbers: [i64; 3],
    [kind, mesh, name, author]: [&str; 4],
    spec: Option<&str>,
) -> i64 {
    let numbers = numbers.map(i64::to_le_bytes).concat();
    let texts = [kind, mesh, name, author].map(str::as_bytes);
    checksum(&[&[&numbers[..]], &texts[..], spec.map(str::as_bytes).as_slice()].concat())
}

pub(super) fn insight_checksum(mesh: &str, name: &str, insight: &str) -> i64 {
    checksum(&[mesh.as_bytes(), name.as_bytes(), insight.as_bytes()])
}

pub(super) fn secret_checksum(scope: &str, name: &str, sealed: &[u8]) -> i64 {
    checksum(&[scope.as_bytes(), name.as_bytes(), sealed])
}

pub(super) fn token_key_checksum(kid: &str, since: i64, sealed: &[u8]) -> i64 {
    checksum(&[kid.as_bytes(), &since.to_le_bytes(), sealed])
}

pub(super) fn revocation_checksum(jti: &str, revision: i64, exp: Option<i64>) -> i64 {
    let exp = exp.map(i64::to_le_bytes);
    let exp = exp.as_ref().map_or(&[][..], |exp| exp);
    checksum(&[jti.as_bytes(), &revision.to_le_bytes(), exp])
}

/// SQLite's integers are signed. What does not fit is a time 292 million years ahead, or a revision as far away.
fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
