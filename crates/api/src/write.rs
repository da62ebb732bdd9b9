//! Creating, replacing and deleting.
//!
//! A write is judged in three stages, and only the first that fails is reported (Kuma 0.3.0): the envelope, the spec, and
//! whether its mesh is there. The last is also a precondition of the transaction, so that a mesh which is deleted in the
//! same moment leaves no orphan.

use std::{sync::Arc, time::UNIX_EPOCH};

use axum::body::Body;
use http::{HeaderMap, HeaderValue, StatusCode, header::WARNING};
use model::{Key, Scope, Violations};
use store::{Committed, Outcome, Precondition, Present, StoreError, Transaction, Write};

use crate::{
    Api,
    audit::{self, Caller},
    conditions, negotiate, read,
    request::kuma_revision,
    respond::{Answer, Refusal, empty, title},
    warnings::warnings,
};

const NOT_VALID: &str = "Resource is not valid";

/// 201 when it was created, 200 when it was replaced or is there already, equal.
pub(crate) async fn put(
    api: &Arc<Api>,
    caller: Caller,
    key: Key,
    headers: &HeaderMap,
    body: Body,
) -> Result<Answer, Refusal> {
    let format = negotiate::content_type(headers, title::PROCESS)?;
    let body = read::body(&api.limits, headers, body, title::PROCESS).await?;
    let document = read::document(key.kind, format, body, title::PROCESS).await?;
    refuse_any(document.envelope.check(key.kind, &key.mesh, &key.name), title::PROCESS)?;

    let present = api.store.present();
    let current = present.get(&key).map(|entry| entry.revision);
    let title = if current.is_some() { title::UPDATE } else { title::CREATE };
    let mut spec = document.spec;
    spec.set_defaults();
    refuse_any(spec.validate(), title)?;
    let mut preconditions = mesh_exists(&present, &key)?;
    preconditions.extend(conditions::preconditions(headers, &key, current, title)?);

    let spec = Arc::new(spec);
    let transaction = transaction(api, &caller, preconditions, Write::Put(key.clone(), spec.clone()));
    let committed = commit(api, caller, "PUT", key.clone(), transaction, title).await?;
    let status = match committed.outcomes[..] {
        [Outcome::Created] => StatusCode::CREATED,
        _ => StatusCode::OK,
    };
    let mut answer = done(status, &committed);
    for warning in warnings(&api.store.present(), &key, &spec) {
        // RFC 7234, section 5.5: 299 is a lasting warning, `-` an agent without a name.
        if let Ok(warning) = HeaderValue::try_from(format!("299 - \"{warning}\"")) {
            answer.headers_mut().append(WARNING, warning);
        }
    }
    Ok(answer)
}

/// 200, also when there was nothing to delete (Kuma 0.3.0).
pub(crate) async fn delete(
    api: &Arc<Api>,
    caller: Caller,
    key: Key,
    headers: &HeaderMap,
) -> Result<Answer, Refusal> {
    let current = api.store.present().get(&key).map(|entry| entry.revision);
    let preconditions = conditions::preconditions(headers, &key, current, title::DELETE)?;
    let transaction = transaction(api, &caller, preconditions, Write::Delete(key.clone()));
    let committed = commit(api, caller, "DELETE", key, transaction, title::DELETE).await?;
    Ok(done(StatusCode::OK, &committed))
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

fn transaction(api: &Api, caller: &Caller, preconditions: Vec<Precondition>, write: Write) -> Transaction {
    let since_1970 = (api.now)().duration_since(UNIX_EPOCH).unwrap_or_default();
    Transaction {
        preconditions,
        writes: vec![write],
        author: caller.who.to_owned(),
        at_ms: u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX),
    }
}

/// Commits in a task of its own: a client that goes away leaves neither a write half-heard of nor one without its line
/// in the audit.
async fn commit(
    api: &Arc<Api>,
    caller: Caller,
    method: &'static str,
    key: Key,
    transaction: Transaction,
    title: &'static str,
) -> Result<Committed, Refusal> {
    let store = api.store.clone();
    let written = key.clone();
    let task = tokio::spawn(async move {
        let committed = store.commit(transaction).await;
        if let Ok(committed) = &committed {
            audit::accepted(&caller, method, &written, committed);
        }
        committed
    });
    match task.await {
        Ok(Ok(committed)) => Ok(committed),
        Ok(Err(StoreError::Precondition(failed))) => Err(unmet(&failed, &key, title)),
        Ok(Err(StoreError::Unavailable(reason))) => Err(Refusal::unavailable(title, &reason)),
        Err(panicked) => Err(Refusal::internal(title, &panicked)),
    }
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
