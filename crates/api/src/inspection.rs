//! What the proxy of a Dataplane should have in Envoy's own terms, what it has, and why not: for whoever asks why.
//!
//! What is intended and what Envoy has answered is known elsewhere, behind [`Inspect`]. Here is how it is said.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use model::{Key, ProxyId, Scope, Timestamp};
use serde::Serialize;
use serde_json::Value;
use store::Revision;
use tokio::sync::Semaphore;

use crate::{
    Api, negotiate,
    query::Query,
    respond::{Answer, Refusal, kuma_revision, title},
};

/// The `type` of what is answered here.
pub(crate) const INSPECTION_TYPE: &str = "DataplaneInspection";

/// A service may have thousands of endpoints. Nobody reads on after so many of their Dataplanes.
const SOURCES_SHOWN: usize = 100;

/// Inspections at a time; the others wait. Each keeps a processor busy, and changes have to reach the proxies meanwhile.
const AT_A_TIME: usize = 2;

/// The turns of those who inspect.
pub(crate) struct Inspections(Arc<Semaphore>);

impl Default for Inspections {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_A_TIME)))
    }
}

/// Knows what proxies should have and what they have.
pub trait Inspect: Send + Sync + 'static {
    /// `None` when there is no such Dataplane. Computes and waits for nobody: it is called where computing may take its time.
    fn inspect(&self, proxy: &ProxyId, detail: Detail) -> Option<Inspection>;
}

/// How much of each resource is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    Summary,
    /// With its content.
    Full,
}

/// One proxy, as one revision wants it and as its Envoy has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspection {
    /// What is intended follows from the store as of this revision.
    pub revision: Revision,
    /// Those that are open, the oldest first. What Envoy has is what the last one says.
    pub streams: Vec<InspectedStream>,
    /// The one that the proxy was given last, while its mesh has mTLS.
    pub certificate: Option<InspectedCertificate>,
    /// In make-before-break order of the types, and then by name.
    pub resources: Vec<InspectedResource>,
    /// What will not do what somebody wants, in sentences.
    pub warnings: Vec<String>,
}

/// By what a proxy proves who it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InspectedCertificate {
    /// Those that it names, sorted.
    pub services: Vec<String>,
    pub not_after: Timestamp,
    pub renew_at: Timestamp,
    /// The id of the CA that has signed it.
    pub ca: String,
    /// 32 hexadecimal digits; the version of the secret `identity_cert`.
    pub fingerprint: String,
}

/// An open xDS stream of the proxy. Two of them are an Envoy that is about to be replaced, or two with one token.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InspectedStream {
    /// Of its subscription, as the insight of the Dataplane has it.
    pub id: String,
    pub protocol: Protocol,
    pub connected_at: Timestamp,
    /// When something was last sent or answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_update_at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Protocol {
    Delta,
    StateOfTheWorld,
}

/// One Envoy resource that a proxy should have, or has and should not have any more.
#[derive(Clone, Debug, PartialEq)]
pub struct InspectedResource {
    /// `type.googleapis.com/envoy.config.listener.v3.Listener` and the like.
    pub type_url: &'static str,
    pub name: Arc<str>,
    /// The one that is intended; `None` when it is to go.
    pub version: Option<Arc<str>>,
    pub state: ResourceState,
    /// What Envoy has said last that it has taken.
    pub acknowledged: Option<Acknowledged>,
    /// Envoy's words, when it has rejected the version that is intended.
    pub error: Option<Arc<str>>,
    /// The users' resources that it comes from, sorted. Only the first hundred are shown.
    pub sources: Vec<Source>,
    /// As Envoy's JSON, without secrets.
    pub content: Option<Value>,
}

/// What has become of the version that is intended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ResourceState {
    /// Envoy has it.
    Synced,
    /// It was sent, and not answered yet.
    Pending,
    /// Envoy has not asked for it yet, or is not connected, or its turn has not come.
    NotSent,
    /// Envoy has refused it and keeps what it had.
    Rejected,
    /// It is not intended any more, and Envoy still has it.
    Removing,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Acknowledged {
    pub version: Arc<str>,
    pub at: Timestamp,
}

/// A resource that a user has written.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    pub key: Key,
    /// Of its last change.
    pub revision: Revision,
}

impl ResourceState {
    pub(crate) const ALL: [Self; 5] =
        [Self::Synced, Self::Pending, Self::NotSent, Self::Rejected, Self::Removing];
}

impl Protocol {
    pub(crate) const ALL: [Self; 2] = [Self::Delta, Self::StateOfTheWorld];
}

/// `GET /meshes/{mesh}/dataplanes/{name}/xds`.
pub(crate) async fn inspect(
    api: &Api,
    inspections: &Inspections,
    dataplane: &Key,
    query: &Query,
    headers: &HeaderMap,
) -> Result<Answer, Refusal> {
    let format = negotiate::accepted(headers, title::RETRIEVE)?;
    let detail = if query.flag("full", title::RETRIEVE)? { Detail::Full } else { Detail::Summary };
    let proxy = ProxyId::new(dataplane.mesh.clone(), dataplane.name.clone());
    let inspector = api.inspector.clone();
    let turn = inspections.0.clone().acquire_owned().await;
    let turn = turn.map_err(|error| Refusal::internal(title::RETRIEVE, &error))?;
    // Apart from the threads that serve requests: a proxy with thousands of resources takes long to write down.
    let inspecting = tokio::task::spawn_blocking(move || {
        // Ends with the work, which goes on when the client has gone away.
        let _turn = turn;
        let inspection = inspector.inspect(&proxy, detail)?;
        Some((inspection.revision, encode(&proxy, &inspection)))
    });
    let inspected = inspecting.await.map_err(|error| Refusal::internal(title::RETRIEVE, &error))?;
    let (revision, json) = inspected.ok_or_else(|| Refusal::not_found(title::RETRIEVE))?;
    let mut answer = negotiate::represent(json?, format, title::RETRIEVE)?;
    kuma_revision(answer.headers_mut(), revision);
    Ok(answer)
}

fn encode(proxy: &ProxyId, inspection: &Inspection) -> Result<Bytes, Refusal> {
    let body = Body {
        r#type: INSPECTION_TYPE,
        mesh: &proxy.mesh,
        name: &proxy.name,
        revision: inspection.revision.to_string(),
        online: !inspection.streams.is_empty(),
        streams: &inspection.streams,
        certificate: inspection.certificate.as_ref(),
        resources: inspection.resources.iter().map(ResourceBody::new).collect(),
        warnings: &inspection.warnings,
    };
    let json = serde_json::to_vec(&body).map_err(|error| Refusal::internal(title::RETRIEVE, &error))?;
    Ok(json.into())
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    mesh: &'a str,
    name: &'a str,
    revision: String,
    online: bool,
    streams: &'a [InspectedStream],
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<&'a InspectedCertificate>,
    resources: Vec<ResourceBody<'a>>,
    warnings: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceBody<'a> {
    /// The name of the message: what people call it.
    r#type: &'static str,
    type_url: &'static str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    state: ResourceState,
    #[serde(skip_serializing_if = "Option::is_none")]
    acknowledged: Option<AcknowledgedBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    sources: Vec<SourceBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    more_sources: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a Value>,
}

#[derive(Serialize)]
struct AcknowledgedBody<'a> {
    version: &'a str,
    at: Timestamp,
}

#[derive(Serialize)]
struct SourceBody<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mesh: Option<&'a str>,
    name: &'a str,
    revision: String,
}

impl<'a> ResourceBody<'a> {
    fn new(resource: &'a InspectedResource) -> Self {
        let (_, message) = resource.type_url.rsplit_once('.').unwrap_or(("", resource.type_url));
        let more = resource.sources.len().saturating_sub(SOURCES_SHOWN);
        Self {
            r#type: message,
            type_url: resource.type_url,
            name: &resource.name,
            version: resource.version.as_deref(),
            state: resource.state,
            acknowledged: resource.acknowledged.as_ref().map(AcknowledgedBody::new),
            error: resource.error.as_deref(),
            sources: resource.sources.iter().take(SOURCES_SHOWN).map(SourceBody::new).collect(),
            more_sources: (more > 0).then_some(more),
            content: resource.content.as_ref(),
        }
    }
}

impl<'a> AcknowledgedBody<'a> {
    fn new(Acknowledged { version, at }: &'a Acknowledged) -> Self {
        Self { version, at: *at }
    }
}

impl<'a> SourceBody<'a> {
    fn new(Source { key, revision }: &'a Source) -> Self {
        let mesh = (key.kind.scope() == Scope::Mesh).then_some(&*key.mesh);
        Self { r#type: key.kind.name(), mesh, name: &key.name, revision: revision.to_string() }
    }
}
