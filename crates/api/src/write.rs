//! Creating, replacing and deleting.
//!
//! A write is judged in three stages, and only the first that fails is reported (Kuma 0.3.0): the envelope, the spec, and
//! whether its mesh is there. The last is also a precondition of the transaction, so that a mesh which is deleted in the
//! same moment leaves no orphan.

use std::{sync::Arc, time::UNIX_EPOCH};

use axum::body::Body;
use http::{HeaderMap, StatusCode};
use model::{Key, Kind, Scope, Spec, Violations};
use store::{Committed, Outcome, Precondition, Present, StoreError, Transaction, Write};

use crate::{
    Api,
    audit::{self, Caller},
    conditions,
    negotiate::{self, Format},
    query::Query,
    read,
    respond::{Answer, Refusal, empty, kuma_revision, title},
    warnings::warn,
};

const NOT_VALID: &str = "Resource is not valid";

/// What stands behind the path and before the body.
pub(crate) struct Head<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) query: &'a Query,
}

/// 201 when it was created, 200 when it was replaced or is there already, equal.
pub(crate) async fn put(
    api: &Arc<Api>,
    caller: Caller,
    key: Key,
    head: Head<'_>,
    body: &mut Body,
) -> Result<Answer, Refusal> {
    let format = negotiate::content_type(head.headers, title::PROCESS)?;
    let dry_run = is_dry_run(head.query, title::PROCESS)?;
    let body = read::body(&api.limits, head.headers, body, title::PROCESS).await?;
    let present = api.store.present();
    let current = present.get(&key).map(|entry| entry.revision);
    let title = if current.is_some() { title::UPDATE } else { title::CREATE };
    let size = match key.kind {
        // Its raw resources may cost far more than their size, and the first needs Envoy's descriptors.
        Kind::ProxyTemplate => usize::MAX,
        _ => body.len(),
    };
    let judging = read::by_size(size, title::PROCESS, {
        let key = key.clone();
        move || judge(&key, format, &body, title)
    });
    let spec = judging.await??;
    let mut preconditions = mesh_exists(&present, &key)?;
    preconditions.extend(conditions::preconditions(head.headers, &key, current, title)?);

    let write = Write::Put(key.clone(), spec.clone());
    let (committed, after) = write_one(api, caller, "PUT", preconditions, write, dry_run, title).await?;
    let status = match committed.outcomes[..] {
        [Outcome::Created] => StatusCode::CREATED,
        _ => StatusCode::OK,
    };
    let mut answer = done(status, &committed);
    warn(answer.headers_mut(), after, vec![(key, spec)]).await;
    Ok(answer)
}

/// 200, also when there was nothing to delete (Kuma 0.3.0).
pub(crate) async fn delete(
    api: &Arc<Api>,
    caller: Caller,
    key: Key,
    head: Head<'_>,
) -> Result<Answer, Refusal> {
    let dry_run = is_dry_run(head.query, title::DELETE)?;
    let current = api.store.present().get(&key).map(|entry| entry.revision);
    let preconditions = conditions::preconditions(head.headers, &key, current, title::DELETE)?;
    let write = Write::Delete(key);
    let (committed, _) =
        write_one(api, caller, "DELETE", preconditions, write, dry_run, title::DELETE).await?;
    Ok(done(StatusCode::OK, &committed))
}

/// Whether all is to happen but the effect.
pub(crate) fn is_dry_run(query: &Query, title: &'static str) -> Result<DryRun, Refusal> {
    Ok(if query.flag("dryRun", title)? { DryRun::Yes } else { DryRun::No })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DryRun {
    Yes,
    No,
}

/// In milliseconds since 1970.
pub(crate) fn now_ms(api: &Api) -> u64 {
    let since_1970 = (api.now)().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}

/// Commits in a task of its own: a client that goes away leaves neither a write half-heard of nor one without its line
/// in the audit. The inner error is a precondition that does not hold.
pub(crate) async fn commit(
    api: &Arc<Api>,
    caller: Caller,
    method: &'static str,
    transaction: Transaction,
    title: &'static str,
) -> Result<Result<Committed, Precondition>, Refusal> {
    let store = api.store.clone();
    let task = tokio::spawn(async move {
        let keys: Vec<Key> = transaction.writes.iter().map(|write| write.key().clone()).collect();
        let committed = store.commit(transaction).await;
        if let Ok(committed) = &committed {
            audit::accepted(&caller, method, &keys, committed);
        }
        committed
    });
    match task.await {
        Ok(Ok(committed)) => Ok(Ok(committed)),
        Ok(Err(StoreError::Precondition(failed))) => Ok(Err(failed)),
        Ok(Err(StoreError::Unavailable(reason))) => Err(Refusal::unavailable(title, &reason)),
        Err(panicked) => Err(Refusal::internal(title, &panicked)),
    }
}

/// The envelope, then the spec.
fn judge(key: &Key, format: Format, body: &[u8], title: &'static str) -> Result<Arc<Spec>, Refusal> {
    let document = read::document(key.kind, format, body, title::PROCESS)?;
    refuse_any(document.envelope.check(key.kind, &key.mesh, &key.name), title::PROCESS)?;
    let mut spec = document.spec;
    spec.set_defaults();
    refuse_any(plan::check(&spec), title)?;
    Ok(Arc::new(spec))
}

/// What became of it, and what there is then: of a dry run, what there would be.
async fn write_one(
    api: &Arc<Api>,
    caller: Caller,
    method: &'static str,
    preconditions: Vec<Precondition>,
    write: Write,
    dry_run: DryRun,
    title: &'static str,
) -> Result<(Committed, Arc<Present>), Refusal> {
    let (key, at_ms) = (write.key().clone(), now_ms(api));
    let transaction =
        Transaction { preconditions, writes: vec![write], author: caller.who.to_owned(), at_ms };
    let written = match dry_run {
        DryRun::Yes => {
            let present = api.store.present();
            // A mesh may hold a great many things that go with it.
            let rehearsed = read::aside(title, move || store::rehearse(&present, &transaction)).await?;
            rehearsed.map(|(committed, rehearsal)| (committed, Arc::new(rehearsal.present().clone())))
        }
        DryRun::No => {
            let committed = commit(api, caller, method, transaction, title).await?;
            committed.map(|committed| (committed, api.store.present()))
        }
    };
    written.map_err(|failed| unmet(&failed, &key, title))
}

fn refuse_any(violations: Violations, title: &'static str) -> Result<(), Refusal> {
    if violations.is_empty() { Ok(()) } else { Err(Refusal::invalid(title, NOT_VALID, violations)) }
}

/// What must hold of the mesh. It holds for a replacement as well: a mesh that goes takes the entity with it, and a
/// replacement must not bring it back alone.
fn mesh_exists(present: &Present, key: &Key) -> Result<Vec<Precondition>, Refusal> {
    if key.kind.scope() == Scope::Global {
        return Ok(Vec::new());
    }
    let mesh = Key::mesh(key.mesh.clone());
    if present.get(&mesh).is_none() {
        return Err(mesh_missing(&key.mesh));
    }
    Ok(vec![Precondition::Exists(mesh)])
}

fn mesh_missing(mesh: &str) -> Refusal {
    let mut causes = Violations::default();
    causes.add("mesh", format!("mesh of name {mesh} is not found"));
    Refusal::invalid(title::CREATE, "Mesh is not found", causes)
}

/// A precondition of another key than the one written is that of its mesh.
fn unmet(failed: &Precondition, key: &Key, title: &'static str) -> Refusal {
    match failed {
        Precondition::Exists(mesh) if mesh != key => mesh_missing(&mesh.name),
        _ => conditions::unmet(failed, title),
    }
}

fn done(status: StatusCode, committed: &Committed) -> Answer {
    let mut answer = empty(status);
    kuma_revision(answer.headers_mut(), committed.revision);
    answer
}
