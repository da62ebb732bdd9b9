//! Mutual TLS: what a proxy is, whom it trusts, and when it speaks TLS.
//!
//! There are two sides to be turned, and a safe order: first everybody accepts TLS, then everybody uses it, then it is
//! demanded. Whoever waits until one step has arrived before the next cuts nobody on the way.

use std::collections::BTreeSet;

use model::{ANY_VALUE, Mesh};
use serde::Serialize;

use crate::{access, dataplane_view::DataplaneView, reader::Reader};

/// What the proxy is, and whom it trusts, by certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Mtls {
    pub mode: MtlsMode,
    /// Its CAs are those that are trusted.
    pub mesh: String,
    /// Those that the proxy's certificate names. None: the Dataplane has no inbound, and the proxy no certificate.
    pub services: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum MtlsMode {
    /// Inbounds take it beside plain connections; outbounds are plain.
    Accepted,
    /// Inbounds take plain connections still; outbounds use it.
    Used,
    /// Inbounds take nothing else.
    Demanded,
}

/// How a cluster is called over TLS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UpstreamTls {
    /// Whoever answers must belong to it, and to the cluster's service.
    pub mesh: String,
    /// The one of the proxy's services as which it calls. `None`: it has no certificate to show.
    pub source: Option<String>,
}

impl Mtls {
    pub(crate) fn new(mesh: &str, settings: &Mesh, dataplane: &DataplaneView) -> Option<Self> {
        let mode = match (settings.mtls_enabled(), settings.mtls_permissive()) {
            (false, false) => return None,
            (false, true) => MtlsMode::Accepted,
            (true, true) => MtlsMode::Used,
            (true, false) => MtlsMode::Demanded,
        };
        let services = dataplane.services().into_iter().filter(|service| !service.is_empty());
        Some(Self { mode, mesh: mesh.to_owned(), services: services.map(str::to_owned).collect() })
    }

    /// How this proxy calls a service. One that has several services calls as the first that is permitted, so that it comes
    /// in by that one's filter chain; who may call nobody is refused anyhow.
    pub(crate) fn upstream(&self, destination: &str, reader: &mut Reader<'_>) -> Option<UpstreamTls> {
        if self.mode == MtlsMode::Accepted || destination == ANY_VALUE {
            return None;
        }
        let mut services = self.services.iter();
        let source = match (services.next(), services.next()) {
            (first, None) => first,
            (first, Some(_)) => {
                let permitted = access::sources_of_service(destination, reader);
                self.services.iter().find(|service| permitted.have(service)).or(first)
            }
        };
        Some(UpstreamTls { mesh: self.mesh.clone(), source: source.cloned() })
    }
}
