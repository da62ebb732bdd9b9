//! A plan in Envoy's words: the xDS resources of the v3 API that make a proxy do it.
//!
//! [`resources`] only names them and gives each its version; a resource is translated when it is [encoded](Resource::encode),
//! which a caller does once per version and then shares. One function translates one part of a plan, and sees nothing
//! but that part: so the version, which is made of the part, cannot miss what the translation reads.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use prost::Message;
use serde_json::Value;

use access_logs::Line;
use json::JsonError;
use listeners::{InboundListener, InboundTls};
use refusal_log::RefusalLog;
use tcp_proxies::Connect;
use tls_inspection::TlsInspection;
use tls_secrets::TlsSecret;

use crate::{
    Access, Cluster, ConnectionLog, EndpointSet, Forwarding, Inbound, Listener, ProxyPlan, TemplateResource,
};

pub mod json;

mod access_logs;
mod clusters;
mod endpoints;
mod listeners;
mod rbac;
mod tcp_proxies;
mod tls_inspection;
mod tls_secrets;

mod identities;
mod refusal_log;
mod transport_sockets;

mod sources;

mod templates;

mod addresses;
mod chain_names;
mod config_sources;
mod secrets;
mod stat_names;
mod type_urls;
mod versions;

pub(crate) use listeners::SOURCES_WITH_A_CHAIN_MAX;
pub use sources::Sources;
pub(crate) use templates::{GivenTo, given_to, guards, is_cluster, is_load_assignment};
pub use tls_secrets::{IDENTITY_CERTIFICATE, MESH_CA};
pub use type_urls::ALL as RESOURCE_TYPES;
pub use versions::FORMAT;

/// One xDS resource that a proxy should have. Cheap to make: nothing is translated before [`Resource::encode`].
#[derive(Clone, Debug)]
pub struct Resource {
    /// `type.googleapis.com/envoy.config.cluster.v3.Cluster` and the like.
    pub type_url: &'static str,
    pub name: Arc<str>,
    /// 16 hex digits: of SHA-256 over its part of the plan in canonical form and [`FORMAT`], never of Envoy's bytes. Of a
    /// proxy's certificate, its fingerprint.
    pub version: Arc<str>,
    part: Arc<Part>,
}

/// What a resource says, beside its name.
#[derive(Debug)]
enum Part {
    Cluster(Cluster),
    Endpoints(EndpointSet),
    Listener(Listener),
    InboundListener(InboundListener),
    TlsInspection(TlsInspection),
    /// Of the listener of that name.
    Rbac(String, Access),
    TcpProxy(Forwarding, Connect, Vec<Line>),
    Secret(TlsSecret),
    /// In the words of a ProxyTemplate's author.
    Template(TemplateResource),
}

/// The plan in Envoy's words: each (type, name) once, in make-before-break order of the types and then by name. Certificates
/// are not among them: a plan has none, only who needs one ([`Resource::identity_certificate`], [`Resource::mesh_ca`]).
pub fn resources(plan: &ProxyPlan) -> Vec<Resource> {
    let clusters = plan.clusters.iter().map(|(name, it)| Resource::new(name, Part::Cluster(it.clone())));
    let endpoints = plan.endpoints.iter().map(|(name, it)| Resource::new(name, Part::Endpoints(it.clone())));
    let (mut listeners, mut extensions) = (BTreeMap::new(), BTreeMap::new());
    for inbound in &plan.inbounds {
        listeners
            .insert(inbound.listener.name.as_str(), Part::InboundListener(inbound_listener(plan, inbound)));
        extensions.extend(inbound_extensions(inbound));
    }
    if !plan.inbounds.is_empty() {
        let inspection = if plan.mtls.is_some() { TlsInspection::On } else { TlsInspection::Off };
        extensions.insert(tls_inspection::NAME.to_owned(), Part::TlsInspection(inspection));
    }
    let pipe = plan.access_log_pipe.as_ref();
    let lines = |logs: &[ConnectionLog]| logs.iter().map(|log| Line::new(log, pipe)).collect();
    let catch_all = plan.catch_all.iter().map(|it| (&it.listener, &it.forwarding, Vec::new()));
    let outbounds = plan.outbounds.iter().map(|it| (&it.listener, &it.forwarding, lines(&it.logs)));
    for (it, forwarding, logs) in catch_all.chain(outbounds) {
        listeners.insert(&it.name, Part::Listener(it.clone()));
        let tcp_proxy = Part::TcpProxy(forwarding.clone(), Connect::AtOnce, logs);
        extensions.insert(tcp_proxies::name(&it.name), tcp_proxy);
    }
    let listeners = listeners.into_iter().map(|(name, part)| Resource::new(name, part));
    let extensions = extensions.into_iter().map(|(name, part)| Resource::new(&name, part));
    let generated = clusters.chain(endpoints).chain(listeners).chain(extensions);
    match &plan.template {
        Some(template) => templates::applied(template, generated),
        None => generated.collect(),
    }
}

fn inbound_listener(plan: &ProxyPlan, inbound: &Inbound) -> InboundListener {
    let refusals = plan.access_log_pipe.as_ref().map(|pipe| RefusalLog {
        pipe: pipe.clone(),
        destination: inbound.service.clone().unwrap_or_default(),
    });
    let tls = inbound.access.as_ref().map(|access| InboundTls {
        mode: access.mode,
        mesh: access.mesh.clone(),
        sources: access.sources(),
    });
    InboundListener { listener: inbound.listener.clone(), refusals, tls }
}

fn inbound_extensions(inbound: &Inbound) -> impl Iterator<Item = (String, Part)> {
    let listener = &inbound.listener.name;
    let rbac = inbound.access.as_ref().map(|access| Part::Rbac(listener.clone(), access.clone()));
    let connect = if rbac.is_some() { Connect::AfterHandshake } else { Connect::AtOnce };
    let tcp_proxy = Part::TcpProxy(inbound.forwarding.clone(), connect, Vec::new());
    let rbac = rbac.map(|rbac| (rbac::name(listener), rbac));
    rbac.into_iter().chain([(tcp_proxies::name(listener), tcp_proxy)])
}

impl Resource {
    /// The certificate by which a proxy proves who it is (SDS), of the name [`IDENTITY_CERTIFICATE`]. PEM, the proxy's own
    /// certificate first. `fingerprint`, which must be of that certificate alone, becomes the version.
    pub fn identity_certificate(fingerprint: &str, chain: &str, key: &str) -> Self {
        let (fingerprint, chain, key) = (fingerprint.to_owned(), chain.to_owned(), key.to_owned().into());
        Self::new(IDENTITY_CERTIFICATE, Part::Secret(TlsSecret::Certificate { fingerprint, chain, key }))
    }

    /// The CAs by which a proxy knows the others of its mesh (SDS), of the name [`MESH_CA`]: PEM.
    pub fn mesh_ca(roots: &str) -> Self {
        Self::new(MESH_CA, Part::Secret(TlsSecret::Roots(roots.to_owned())))
    }

    fn new(name: &str, part: Part) -> Self {
        let type_url = part.type_url();
        let version = match &part {
            Part::Cluster(it) => versions::version(type_url, name, it),
            Part::Endpoints(it) => versions::version(type_url, name, it.digest()),
            Part::Listener(it) => versions::version(type_url, name, it),
            Part::InboundListener(it) => versions::version(type_url, name, it),
            Part::TlsInspection(it) => versions::version(type_url, name, it),
            Part::Rbac(listener, it) => versions::version(type_url, name, &(listener, it)),
            Part::TcpProxy(it, connect, logs) => versions::version(type_url, name, &(it, connect, logs)),
            Part::Secret(TlsSecret::Certificate { fingerprint, .. }) => fingerprint.clone(),
            Part::Secret(TlsSecret::Roots(it)) => versions::version(type_url, name, it),
            Part::Template(it) => versions::version(type_url, name, &it.digest),
        };
        Self { type_url, name: name.into(), version: version.into(), part: Arc::new(part) }
    }

    /// The protobuf message, encoded. Equal versions may encode differently (a protobuf map has no one order), so a
    /// caller keeps the first and shares it.
    pub fn encode(&self) -> Bytes {
        let message = match &*self.part {
            Part::Cluster(it) => clusters::cluster(&self.name, it).encode_to_vec(),
            Part::Endpoints(it) => endpoints::load_assignment(&self.name, it).encode_to_vec(),
            Part::Listener(it) => listeners::listener(it).encode_to_vec(),
            Part::InboundListener(it) => listeners::inbound(it).encode_to_vec(),
            Part::TlsInspection(it) => tls_inspection::extension(*it).encode_to_vec(),
            Part::Rbac(listener, it) => rbac::extension(&self.name, listener, it).encode_to_vec(),
            Part::TcpProxy(it, connect, logs) => {
                tcp_proxies::extension(&self.name, it, *connect, logs).encode_to_vec()
            }
            Part::Secret(it) => tls_secrets::secret(&self.name, it).encode_to_vec(),
            Part::Template(it) => return it.message.clone(),
        };
        message.into()
    }

    /// Whether a ProxyTemplate has it, in its author's words: then Envoy may know reasons of its own to reject it.
    pub fn is_of_template(&self) -> bool {
        matches!(*self.part, Part::Template(_))
    }

    /// The name under which a cluster asks for its endpoints, if that is not its own.
    pub fn endpoints_named(&self) -> Option<&str> {
        match &*self.part {
            Part::Template(it) => it.endpoints_asked_for.as_deref().filter(|name| *name != it.name),
            _ => None,
        }
    }

    /// The message as JSON, with its type under `@type`: the form in which Envoy's own configuration files have it.
    pub fn to_json(&self) -> Result<Value, JsonError> {
        Ok(self.typed(json::print(self.type_url, &self.encode())?))
    }

    /// The same for people: with `<redacted>` in the place of every secret.
    pub fn to_json_without_secrets(&self) -> Result<Value, JsonError> {
        Ok(self.typed(json::print_without_secrets(self.type_url, &self.encode())?))
    }

    fn typed(&self, mut json: Value) -> Value {
        json["@type"] = self.type_url.into();
        json
    }
}

impl Part {
    fn type_url(&self) -> &'static str {
        match self {
            Self::Cluster(_) => type_urls::CLUSTER,
            Self::Endpoints(_) => type_urls::LOAD_ASSIGNMENT,
            Self::Listener(_) | Self::InboundListener(_) => type_urls::LISTENER,
            Self::TlsInspection(_) | Self::Rbac(..) | Self::TcpProxy(..) => type_urls::EXTENSION,
            Self::Secret(_) => type_urls::SECRET,
            Self::Template(it) => it.type_url,
        }
    }
}
