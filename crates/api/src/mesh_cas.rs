//! `/meshes/{mesh}/certificate-authorities`: whose certificates the proxies of a mesh trust, and whose they use.
//!
//! A mesh has at least one CA, and exactly one signs. To replace it without a refused connection, every proxy first has to
//! trust the new one, then to use a certificate of it; only then may the old one go. Each step is a request, and the two
//! that could part proxies from each other are refused until the proxies that are connected are ready for them. Where the
//! keys are, and what proxies have, is known elsewhere, behind [`MeshCas`].

use std::{pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use model::Timestamp;
use serde::Serialize;
use store::{Outcome, Revision};

use crate::{
    Api,
    audit::{self, Caller},
    negotiate,
    query::Query,
    respond::{Answer, JSON, Refusal, empty, kuma_revision, title, with_body},
};

/// What is answered once the store has it, or a file was read.
pub type Answering<'a, T> = Pin<Box<dyn Future<Output = Result<T, MeshCaError>> + Send + 'a>>;

/// Keeps the certificate authorities of meshes, and knows which proxies have got how far.
///
/// A change is durable when it is answered, and reaches the proxies from then on.
pub trait MeshCas: Send + Sync + 'static {
    /// The oldest first. None of a mesh that was made just now, until it has its first. Changes nothing.
    fn list<'a>(&'a self, mesh: &'a str) -> Answering<'a, Vec<MeshCaInfo>>;

    /// Makes one, which is trusted from now on and does not sign yet.
    fn add<'a>(&'a self, mesh: &'a str) -> Answering<'a, (MeshCaInfo, Revision)>;

    /// Has one sign, in place of the one that does now. It is no change if it signs already.
    fn sign_with<'a>(&'a self, mesh: &'a str, id: &'a str, guard: Guard) -> Answering<'a, Revision>;

    /// Forgets one that does not sign, with its key.
    fn retire<'a>(&'a self, mesh: &'a str, id: &'a str, guard: Guard) -> Answering<'a, Revision>;
}

/// Whether a step waits for the proxies that are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// It is refused while it would part some of them from each other.
    On,
    /// `?force=true`.
    Off,
}

/// A certificate authority of a mesh.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MeshCaInfo {
    pub id: String,
    /// Whether the certificates that are made now are signed by it.
    pub signs: bool,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    #[serde(rename = "certificate")]
    pub certificate_pem: String,
    pub proxies: MeshCaProxies,
}

/// Of the proxies that need certificates, because their Dataplanes have inbounds, or call others over TLS. Where a mesh has no
/// mTLS, none does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MeshCaProxies {
    /// How many Dataplanes there are for them.
    pub dataplanes: usize,
    /// Those that are connected.
    pub connected: usize,
    /// Of the connected, those whose Envoy has said that it has this CA among its roots.
    pub trusting: usize,
    /// Of the connected, those whose Envoy may still show a certificate that is signed by this CA.
    pub using: usize,
}

/// Why the CAs of a mesh were not told, or not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MeshCaError {
    #[error("there is no such mesh")]
    NoSuchMesh,
    #[error("the mesh has no such certificate authority")]
    NoSuchCa,
    #[error("the mesh has {most} certificate authorities, as many as can be")]
    TooMany { most: usize },
    #[error("{trusting} of {connected} connected proxies trust it")]
    NotTrustedYet { trusting: usize, connected: usize },
    #[error("{using} of {connected} connected proxies use a certificate that it has signed")]
    StillUsed { using: usize, connected: usize },
    /// It is not retired, whatever the guard.
    #[error("it is the one that signs")]
    Signs,
    /// Of the store; the reason is for the log.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The reason is for the log.
    #[error("{0}")]
    Internal(String),
}

#[derive(Serialize)]
struct Body<'a> {
    items: &'a [MeshCaInfo],
}

/// `GET /meshes/{mesh}/certificate-authorities`.
pub(crate) async fn list(api: &Api, mesh: &str, headers: &HeaderMap) -> Result<Answer, Refusal> {
    let format = negotiate::accepted(headers, title::RETRIEVE_LIST)?;
    // What is listed may be younger, so nobody who waits for this revision is told too little.
    let revision = api.store.present().revision();
    let listed = api.mesh_cas.list(mesh).await;
    let cas = listed.map_err(|error| refusal(title::RETRIEVE_LIST, mesh, "", error))?;
    let json = json(&Body { items: &cas }, title::RETRIEVE_LIST)?;
    let mut answer = negotiate::represent(json, format, title::RETRIEVE_LIST)?;
    kuma_revision(answer.headers_mut(), revision);
    Ok(answer)
}

/// 200 and the new one.
pub(crate) async fn add(
    api: &Api,
    caller: Caller,
    mesh: &str,
    headers: &HeaderMap,
    query: &Query,
) -> Result<Answer, Refusal> {
    negotiate::require_json_if_any(headers, title::MESH_CAS)?;
    refuse_dry_run(query)?;
    let (cas, in_mesh) = (api.mesh_cas.clone(), mesh.to_owned());
    let (ca, revision) = in_a_task(mesh, "", async move {
        let (ca, revision) = cas.add(&in_mesh).await?;
        audit::mesh_ca_changed(&caller, "POST", &in_mesh, &ca.id, revision, Outcome::Created);
        Ok((ca, revision))
    })
    .await?;
    let mut answer = with_body(StatusCode::OK, JSON, json(&ca, title::MESH_CAS)?);
    kuma_revision(answer.headers_mut(), revision);
    Ok(answer)
}

/// 200 without a body, once what is signed from now on is signed by this one.
pub(crate) async fn sign_with(
    api: &Api,
    caller: Caller,
    ca: Named<'_>,
    headers: &HeaderMap,
    query: &Query,
) -> Result<Answer, Refusal> {
    negotiate::require_json_if_any(headers, title::MESH_CAS)?;
    change(api, caller, Step::SignWith, ca, query).await
}

/// 200 without a body, once it is trusted no more.
pub(crate) async fn retire(
    api: &Api,
    caller: Caller,
    ca: Named<'_>,
    query: &Query,
) -> Result<Answer, Refusal> {
    change(api, caller, Step::Retire, ca, query).await
}

/// A CA by what its path says of it.
#[derive(Clone, Copy)]
pub(crate) struct Named<'a> {
    pub(crate) mesh: &'a str,
    pub(crate) id: &'a str,
}

#[derive(Clone, Copy)]
enum Step {
    SignWith,
    Retire,
}

async fn change(
    api: &Api,
    caller: Caller,
    step: Step,
    Named { mesh, id }: Named<'_>,
    query: &Query,
) -> Result<Answer, Refusal> {
    refuse_dry_run(query)?;
    let guard = if query.flag("force", title::MESH_CAS)? { Guard::Off } else { Guard::On };
    let (cas, in_mesh, ca): (Arc<dyn MeshCas>, _, _) = (api.mesh_cas.clone(), mesh.to_owned(), id.to_owned());
    let revision = in_a_task(mesh, id, async move {
        let (method, outcome, revision) = match step {
            Step::SignWith => ("POST", Outcome::Configured, cas.sign_with(&in_mesh, &ca, guard).await?),
            Step::Retire => ("DELETE", Outcome::Deleted, cas.retire(&in_mesh, &ca, guard).await?),
        };
        audit::mesh_ca_changed(&caller, method, &in_mesh, &ca, revision, outcome);
        Ok(revision)
    })
    .await?;
    let mut answer = empty(StatusCode::OK);
    kuma_revision(answer.headers_mut(), revision);
    Ok(answer)
}

/// As every write: a client that goes away leaves none without its line in the audit.
async fn in_a_task<T: Send + 'static>(
    mesh: &str,
    id: &str,
    change: impl Future<Output = Result<T, MeshCaError>> + Send + 'static,
) -> Result<T, Refusal> {
    let changed = tokio::spawn(change).await;
    let changed = changed.map_err(|panicked| Refusal::internal(title::MESH_CAS, &panicked))?;
    changed.map_err(|error| refusal(title::MESH_CAS, mesh, id, error))
}

fn refuse_dry_run(query: &Query) -> Result<(), Refusal> {
    if query.get("dryRun").is_none() {
        return Ok(());
    }
    let details = "There is no dry run of certificate authorities: dryRun is for resources and transactions.";
    Err(Refusal::bad_request(title::MESH_CAS, details))
}

fn json(body: &impl Serialize, title: &'static str) -> Result<Bytes, Refusal> {
    let json = serde_json::to_vec(body).map_err(|error| Refusal::internal(title, &error))?;
    Ok(json.into())
}

/// What it means for who asked, and what to do next.
fn refusal(title: &'static str, mesh: &str, id: &str, error: MeshCaError) -> Refusal {
    let not_found = |details| Refusal::new(StatusCode::NOT_FOUND, title, details);
    let conflict = |details| Refusal::new(StatusCode::CONFLICT, title, details);
    match error {
        MeshCaError::NoSuchMesh => not_found(format!("There is no mesh {mesh:?}.")),
        MeshCaError::NoSuchCa => not_found(format!(
            "The mesh {mesh:?} has no certificate authority {id:?}. `kumactl inspect certificate-authorities --mesh {mesh}` \
             and GET /meshes/{mesh}/certificate-authorities list those that it has."
        )),
        MeshCaError::TooMany { most } => conflict(format!(
            "The mesh {mesh:?} has {most} certificate authorities, as many as can be. Retire one that nobody uses first."
        )),
        MeshCaError::NotTrustedYet { trusting, connected } => conflict(format!(
            "{trusting} of {connected} connected proxies trust the certificate authority {id:?}, and the others would refuse \
             whom it certifies. Wait until all do and repeat the request, or have it sign at once with ?force=true."
        )),
        MeshCaError::StillUsed { using, connected } => conflict(format!(
            "{using} of {connected} connected proxies use a certificate of {id:?}, and all others would refuse them. Wait until \
             none does and repeat the request, or retire it at once with ?force=true."
        )),
        MeshCaError::Signs => conflict(format!(
            "The certificate authority {id:?} is the one that signs. Have another sign first, with `kumactl rotate mesh-ca \
             --mesh {mesh}` or POST /meshes/{mesh}/certificate-authorities and what follows it."
        )),
        MeshCaError::Unavailable(reason) => Refusal::unavailable(title, &reason),
        MeshCaError::Internal(reason) => Refusal::internal(title, &reason),
    }
}
