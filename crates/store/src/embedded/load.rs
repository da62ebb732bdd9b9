//! From rows to the present: read once, at the start. What cannot be read exactly is named and refused.

use std::{collections::VecDeque, sync::Arc};

use model::{DataplaneInsight, Key, Kind, Spec};
use rusqlite::{Connection, Row};

use super::rows;
use crate::{
    Change, Entry, Revision, Revocation, TokenKey, Tokens,
    apply::{self, SecretKey, State},
    history::History,
};

#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// SQLite reads it, but it is not what a store writes.
    #[error("{0}")]
    Damaged(String),
}

/// Everything that the database holds.
pub(super) fn load(database: &Connection) -> Result<(State, History), LoadError> {
    let mut state = State::empty(revision(database)?);
    resources(database, &mut state)?;
    insights(database, &mut state)?;
    secrets(database, &mut state)?;
    state.present.tokens = Arc::new(tokens(database, state.present.revision.number)?);
    let history = changes(database, &mut state)?;
    Ok((state, history))
}

/// Visits each row of a statement.
pub(super) fn each(
    database: &Connection,
    sql: &str,
    mut visit: impl FnMut(&Row<'_>) -> Result<(), LoadError>,
) -> Result<(), LoadError> {
    let mut statement = database.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        visit(row)?;
    }
    Ok(())
}

fn revision(database: &Connection) -> Result<Revision, LoadError> {
    let (mut epoch, mut number) = (None, None);
    each(database, "SELECT key, value FROM meta", |row| {
        let value = text(row, 1)?;
        match text(row, 0)? {
            "epoch" => epoch = u32::from_str_radix(value, 16).ok(),
            "revision" => number = value.parse().ok().filter(|number| *number < i64::MAX.cast_unsigned()),
            _ => {}
        }
        Ok(())
    })?;
    match (epoch, number) {
        (Some(epoch), Some(number)) => Ok(Revision { epoch, number }),
        _ => Err(LoadError::Damaged("its table meta does not say at which epoch and revision it is".into())),
    }
}

fn resources(database: &Connection, state: &mut State) -> Result<(), LoadError> {
    let latest = state.present.revision;
    let sql = "SELECT kind, mesh, name, revision, created_ms, modified_ms, spec, checksum FROM resources
               ORDER BY kind, mesh, name";
    each(database, sql, |row| {
        let key = key(row, 0)?;
        let spec_text = text(row, 6)?;
        let numbers: [i64; 3] = [row.get(3)?, row.get(4)?, row.get(5)?];
        let checksum = rows::resource_checksum(key.kind.name(), &key.mesh, &key.name, numbers, spec_text);
        let [Ok(number), Ok(created_ms), Ok(modified_ms)] = numbers.map(u64::try_from) else {
            return Err(LoadError::Damaged(format!("{key} has a revision or a time below 0")));
        };
        if checksum != row.get::<_, i64>(7)? {
            return Err(LoadError::Damaged(format!("the checksum of {key} is wrong")));
        }
        if number > latest.number {
            let latest = latest.number;
            return Err(LoadError::Damaged(format!(
                "{key} is of revision {number}, after the last one, {latest}"
            )));
        }

        let spec = Arc::new(spec(&key, spec_text)?);
        let json = apply::print(&key, &spec);
        let revision = Revision { number, ..latest };
        let entry = Entry { revision, created_ms, modified_ms, spec, json };
        state.present.insert(key, entry);
        Ok(())
    })
}

fn insights(database: &Connection, state: &mut State) -> Result<(), LoadError> {
    each(database, "SELECT mesh, name, insight, checksum FROM insights ORDER BY mesh, name", |row| {
        let key = Key::new(Kind::Dataplane, text(row, 0)?, text(row, 1)?);
        let insight = text(row, 2)?;
        if rows::insight_checksum(&key.mesh, &key.name, insight) != row.get::<_, i64>(3)? {
            return Err(LoadError::Damaged(format!("the checksum of the insight of {key} is wrong")));
        }
        if state.present.get(&key).is_none() {
            return Err(LoadError::Damaged(format!("it has an insight of {key}, but not that Dataplane")));
        }
        let insight: DataplaneInsight = serde_json::from_str(insight)
            .map_err(|error| LoadError::Damaged(format!("the insight of {key} cannot be read: {error}")))?;
        state.present.insights.insert_mut(key, Arc::new(insight));
        Ok(())
    })
}

pub(super) fn secrets(database: &Connection, state: &mut State) -> Result<(), LoadError> {
    each(database, "SELECT scope, name, sealed, checksum FROM secrets ORDER BY scope, name", |row| {
        let key = SecretKey { scope: text(row, 0)?.into(), name: text(row, 1)?.into() };
        let sealed = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
        if rows::secret_checksum(&key.scope, &key.name, sealed) != row.get::<_, i64>(3)? {
            let SecretKey { scope, name } = key;
            return Err(LoadError::Damaged(format!("the checksum of the secret {name} of {scope} is wrong")));
        }
        state.secrets.insert_mut(key, sealed.to_vec().into());
        Ok(())
    })
}

fn tokens(database: &Connection, latest: u64) -> Result<Tokens, LoadError> {
    let mut tokens = Tokens::default();
    let number = |number: i64| u64::try_from(number).ok().filter(|number| *number <= latest);
    each(database, "SELECT kid, since, sealed, checksum FROM token_keys ORDER BY kid", |row| {
        let (kid, since) = (text(row, 0)?, row.get(1)?);
        let sealed = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
        let expected = rows::token_key_checksum(kid, since, sealed);
        let Some(since) = number(since).filter(|_| row.get(3) == Ok(expected)) else {
            return Err(LoadError::Damaged(format!("the token key {kid} is not what was written")));
        };
        tokens.keys.insert_mut(kid.into(), TokenKey { since, sealed: sealed.to_vec().into() });
        Ok(())
    })?;
    each(database, "SELECT jti, revision, exp, checksum FROM revocations ORDER BY jti", |row| {
        let (jti, revision, exp) = (text(row, 0)?, row.get(1)?, row.get::<_, Option<i64>>(2)?);
        let expected = rows::revocation_checksum(jti, revision, exp);
        let Some(revision) = number(revision).filter(|_| row.get(3) == Ok(expected)) else {
            return Err(LoadError::Damaged(format!("the revocation of {jti} is not what was written")));
        };
        let exp = exp.map(u64::try_from).transpose();
        let exp = exp.map_err(|_| LoadError::Damaged(format!("the token {jti} ends before 1970")))?;
        tokens.revocations.insert_mut(jti.into(), Revocation { revision, exp });
        Ok(())
    })?;
    Ok(tokens)
}

fn changes(database: &Connection, state: &mut State) -> Result<History, LoadError> {
    let latest = state.present.revision.number;
    let mut begins_after = latest;
    let mut changes = VecDeque::new();
    let sql = "SELECT kind, mesh, name, revision, seq, at_ms, author, spec, checksum FROM changes
               ORDER BY revision, seq";
    each(database, sql, |row| {
        let key = key(row, 0)?;
        let numbers: [i64; 3] = [row.get(3)?, row.get(4)?, row.get(5)?];
        let author = text(row, 6)?;
        let spec_text = row.get_ref(7)?.as_str_or_null().map_err(rusqlite::Error::from)?;
        let texts = [key.kind.name(), &key.mesh, &key.name, author];
        let [Ok(revision), Ok(seq), Ok(at_ms)] = numbers.map(u64::try_from) else {
            return Err(LoadError::Damaged(format!("a change of {key} has a revision or a time below 0")));
        };
        if rows::change_checksum(numbers, texts, spec_text) != row.get::<_, i64>(8)? || revision > latest {
            return Err(LoadError::Damaged(format!(
                "the change of {key} at revision {revision} is not what was written"
            )));
        }

        if changes.is_empty() {
            // A revision whose first changes are cut is not whole any more, so history begins after it.
            begins_after = if seq == 0 { revision.saturating_sub(1) } else { revision };
        }
        let spec = spec_text.map(|text| spec(&key, text)).transpose()?.map(Arc::new);
        if spec.is_some() {
            state.present.tombstones.remove_mut(&key);
        } else {
            state.present.tombstones.insert_mut(key.clone(), revision);
        }
        changes.push_back(Arc::new(Change { revision, key, spec, author: author.to_owned(), at_ms }));
        Ok(())
    })?;
    Ok(History::new(begins_after, changes))
}

fn key(row: &Row<'_>, column: usize) -> Result<Key, LoadError> {
    let (kind, mesh, name) = (text(row, column)?, text(row, column + 1)?, text(row, column + 2)?);
    let known = Kind::from_name(kind).ok_or_else(|| {
        LoadError::Damaged(format!("{kind} {mesh}/{name} is of a kind that this version does not know"))
    })?;
    let key = Key::new(known, mesh, name);
    if *key.mesh != *mesh {
        return Err(LoadError::Damaged(format!("{key} lies in mesh {mesh}")));
    }
    Ok(key)
}

fn spec(key: &Key, text: &str) -> Result<Spec, LoadError> {
    let mut from = serde_json::Deserializer::from_str(text);
    let spec = key.kind.read_spec(&mut from).and_then(|spec| from.end().map(|()| spec));
    spec.map_err(|error| LoadError::Damaged(format!("the spec of {key} cannot be read: {error}")))
}

fn text<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a str, LoadError> {
    Ok(row.get_ref(column)?.as_str().map_err(rusqlite::Error::from)?)
}
