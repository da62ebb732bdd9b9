//! Who of a mesh has got how far with its CAs: what the proxies that are connected have acknowledged, held against what they
//! need.
//!
//! Where it is not known what a proxy has, the worst is assumed: its Envoy may have come with the certificates of an earlier
//! stream and has not said so yet; or it is on its way back, as a whole fleet is when the control plane has just started.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use api::MeshCaProxies;
use model::{
    ANY_VALUE, DEFAULT_PROFILE, Dataplane, Inbound, Key, Kind, Mesh, Outbound, ProxyId, ProxyTemplate, Spec,
    Timestamp,
};
use plan::envoy::{IDENTITY_CERTIFICATE, MESH_CA};
use store::Present;
use xds::ResourceType;

use crate::{
    certificates::Certificates,
    live_streams::{LiveStream, LiveStreams},
    mesh_cas::MeshAuthority,
};

/// The proxies of a mesh that need certificates. Without mTLS none does.
#[derive(Debug)]
pub struct Holders {
    /// How many Dataplanes are of such proxies.
    dataplanes: usize,
    /// Those that are connected, or on their way back.
    connected: Vec<Holder>,
}

/// A proxy, by what all of its streams have acknowledged.
#[derive(Debug)]
struct Holder {
    /// Whether it trusts each of the present CAs. Of who trusts others it is not known which.
    trusts_all: bool,
    certificate: HeldCertificate,
}

#[derive(Debug)]
enum HeldCertificate {
    /// Its Dataplane is of no service.
    None,
    /// The one that it should have, of this CA.
    Current { ca: String },
    /// Perhaps an earlier one.
    Unknown,
}

/// What the Envoy of a Dataplane asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Nothing,
    /// It calls others, and is of no service.
    Roots,
    RootsAndIdentity,
    /// A ProxyTemplate has put something in the place of what would name the secrets, or has named them itself: what the
    /// Envoy has asked for says it.
    Perhaps,
}

/// An Envoy that has lost its stream is back within this time: it tries every ten seconds, and a fleet takes some.
const BACK_WITHIN: Duration = Duration::from_mins(1);

impl Holders {
    /// As of now. `authority` has the present CAs of the mesh; `started` is when this control plane did.
    pub fn of_mesh(
        mesh: &str,
        present: &Present,
        authority: &MeshAuthority,
        certificates: &Certificates,
        live_streams: &LiveStreams,
        started: SystemTime,
    ) -> Self {
        let needs = needs(mesh, present);
        let mut connected: BTreeMap<ProxyId, Holder> = BTreeMap::new();
        for (proxy, stream) in live_streams.of_mesh(mesh) {
            // Who has no Dataplane is given nothing that it could be waited for.
            let Some(need) = needs.get(&proxy.dataplane()) else { continue };
            if *need == Need::Perhaps && needs_nothing(&stream, (certificates.now)()) {
                continue;
            }
            let holder = Holder {
                trusts_all: trusts_all(&stream, *need, authority),
                certificate: HeldCertificate::of(&proxy, &stream, *need, certificates),
            };
            let holder = match connected.remove(&proxy) {
                Some(other) => holder.and(other),
                None => holder,
            };
            connected.insert(proxy, holder);
        }
        let now = (certificates.now)();
        for (dataplane, need) in &needs {
            let proxy = ProxyId::new(dataplane.mesh.clone(), dataplane.name.clone());
            if !connected.contains_key(&proxy) && is_on_its_way_back(present, dataplane, started, now) {
                let certificate = match need {
                    Need::RootsAndIdentity | Need::Perhaps => HeldCertificate::Unknown,
                    Need::Roots | Need::Nothing => HeldCertificate::None,
                };
                connected.insert(proxy, Holder { trusts_all: false, certificate });
            }
        }
        Self { dataplanes: needs.len(), connected: connected.into_values().collect() }
    }

    /// How far they have got with the CA that has this id.
    pub fn count(&self, id: &str, authority: &MeshAuthority) -> MeshCaProxies {
        let signs = authority.cas.signing().id() == id;
        MeshCaProxies {
            dataplanes: self.dataplanes,
            connected: self.connected.len(),
            trusting: self.connected.iter().filter(|holder| holder.trusts_all).count(),
            using: self.connected.iter().filter(|holder| holder.certificate.may_be_of(id, signs)).count(),
        }
    }
}

impl Holder {
    /// Of two streams of one proxy.
    fn and(self, other: Self) -> Self {
        let certificate = match self.certificate {
            HeldCertificate::Unknown => HeldCertificate::Unknown,
            HeldCertificate::None | HeldCertificate::Current { .. } => other.certificate,
        };
        Self { trusts_all: self.trusts_all && other.trusts_all, certificate }
    }
}

impl HeldCertificate {
    fn of(proxy: &ProxyId, stream: &LiveStream, need: Need, certificates: &Certificates) -> Self {
        let needs_one = match need {
            Need::RootsAndIdentity => true,
            Need::Perhaps => stream.view.asks_for(ResourceType::Secret, IDENTITY_CERTIFICATE),
            Need::Roots | Need::Nothing => false,
        };
        if !needs_one {
            return Self::None;
        }
        match (acknowledged(stream, IDENTITY_CERTIFICATE), certificates.workloads.of(proxy)) {
            (Some(version), Some(workload)) if *version == *workload.fingerprint => {
                Self::Current { ca: workload.ca.clone() }
            }
            _ => Self::Unknown,
        }
    }

    /// One of which nothing is known may be of any CA but the one that signs: that one's is on its way.
    fn may_be_of(&self, id: &str, signs: bool) -> bool {
        match self {
            Self::None => false,
            Self::Current { ca } => ca == id,
            Self::Unknown => !signs,
        }
    }
}

/// Of a Dataplane without a stream. Who was there before the control plane ended may come back as soon as it has started.
fn is_on_its_way_back(present: &Present, dataplane: &Key, started: SystemTime, now: SystemTime) -> bool {
    let Some(recently) = now.checked_sub(BACK_WITHIN).map(Timestamp::from) else { return true };
    let streams = present.insight(dataplane).and_then(|insight| insight.subscriptions.as_deref());
    let streams = streams.unwrap_or_default();
    let mut ends = streams.iter().filter_map(|stream| stream.disconnect_time);
    !streams.is_empty() && (Timestamp::from(started) > recently || ends.any(|end| end > recently))
}

/// Who has been told of no CA, since nothing of it asks for them, trusts whom its template says.
fn trusts_all(stream: &LiveStream, need: Need, authority: &MeshAuthority) -> bool {
    let is_asked_for = need != Need::Perhaps || stream.view.asks_for(ResourceType::Secret, MESH_CA);
    let asks_for_another = stream.view.asks_for(ResourceType::Secret, IDENTITY_CERTIFICATE);
    (!is_asked_for && asks_for_another)
        || acknowledged(stream, MESH_CA).is_some_and(|it| *it == *authority.roots.version)
}

/// Whether an Envoy that may need the secrets has asked for neither though it had the time to.
fn needs_nothing(stream: &LiveStream, now: SystemTime) -> bool {
    let asks_for = |secret| stream.view.asks_for(ResourceType::Secret, secret);
    let has_had_time =
        now.checked_sub(BACK_WITHIN).is_some_and(|then| stream.connected_at <= Timestamp::from(then));
    has_had_time && !asks_for(MESH_CA) && !asks_for(IDENTITY_CERTIFICATE)
}

fn acknowledged(stream: &LiveStream, secret: &str) -> Option<Arc<str>> {
    stream.view.acknowledged(ResourceType::Secret, secret)
}

/// What the Dataplanes of a mesh need, of those that need anything.
fn needs(mesh: &str, present: &Present) -> BTreeMap<Key, Need> {
    let Some(Spec::Mesh(settings)) = present.get(&Key::mesh(mesh)).map(|entry| &*entry.spec) else {
        return BTreeMap::new();
    };
    let templates = present.list(Kind::ProxyTemplate, mesh).filter_map(|(_, entry)| match &*entry.spec {
        Spec::ProxyTemplate(template) => Some(template),
        _ => None,
    });
    let templates: Vec<&ProxyTemplate> = templates.collect();
    let dataplanes = present.list(Kind::Dataplane, mesh).filter_map(|(key, entry)| match &*entry.spec {
        Spec::Dataplane(dataplane) => {
            let template = plan::template_of(dataplane, templates.iter().copied());
            Some((key.clone(), Need::of(dataplane, settings, template)))
        }
        _ => None,
    });
    dataplanes.filter(|(_, need)| *need != Need::Nothing).collect()
}

impl Need {
    /// An Envoy asks for the secrets that its listeners and clusters name ([`plan::Mtls`]), and for no others.
    fn of(dataplane: &Dataplane, mesh: &Mesh, template: Option<&ProxyTemplate>) -> Self {
        let takes_tls = mesh.mtls_enabled() || mesh.mtls_permissive();
        let changes_much = |template: &ProxyTemplate| {
            !template.resources().is_empty()
                || !template.imports().iter().any(|profile| profile == DEFAULT_PROFILE)
        };
        if takes_tls && template.is_some_and(changes_much) {
            return Self::Perhaps;
        }
        let is_served = |inbound: &Inbound| {
            inbound.parse_interface().is_some() && inbound.service().is_some_and(|it| !it.is_empty())
        };
        let is_called =
            |outbound: &Outbound| outbound.parse_interface().is_some() && outbound.service != ANY_VALUE;
        if takes_tls && dataplane.inbounds().iter().any(is_served) {
            Self::RootsAndIdentity
        } else if mesh.mtls_enabled() && dataplane.outbounds().iter().any(is_called) {
            Self::Roots
        } else {
            Self::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_proxy_needs_what_its_listeners_and_clusters_name() {
        let inbound = json!({"interface": "127.0.0.1:8080:80", "tags": {"service": "web"}});
        let unnamed = json!({"interface": "127.0.0.1:8080:80", "tags": {}});
        let unreadable = json!({"interface": "?", "tags": {"service": "web"}});
        let outbound = json!({"interface": ":9000", "service": "api"});
        let any = json!({"interface": ":9000", "service": "*"});
        let off = json!({"mtls": {"ca": {"builtin": {}}}});
        let permissive = json!({"mtls": {"permissive": true}});
        let enabled = json!({"mtls": {"enabled": true}});
        let (nothing, roots, both) = (Need::Nothing, Need::Roots, Need::RootsAndIdentity);
        let no = &[][..];
        let cases: [(&[Value], &[Value], [Need; 3]); 7] = [
            (std::slice::from_ref(&inbound), no, [nothing, both, both]),
            (std::slice::from_ref(&inbound), std::slice::from_ref(&outbound), [nothing, both, both]),
            (no, std::slice::from_ref(&outbound), [nothing, nothing, roots]),
            (&[unnamed], std::slice::from_ref(&outbound), [nothing, nothing, roots]),
            (&[unreadable], no, [nothing; 3]),
            (no, &[any], [nothing; 3]),
            (no, no, [nothing; 3]),
        ];
        for (inbounds, outbounds, expected) in cases {
            let spec = json!({"networking": {"inbound": inbounds, "outbound": outbounds}});
            let dataplane: Dataplane = serde_json::from_value(spec.clone()).unwrap();
            let needed = [&off, &permissive, &enabled].map(|mesh| {
                let mesh: Mesh = serde_json::from_value(mesh.clone()).unwrap();
                Need::of(&dataplane, &mesh, None)
            });
            assert_eq!(needed, expected, "{spec}");
        }
    }

    #[test]
    fn what_a_proxy_with_a_template_needs_its_envoy_says() {
        let enabled: Mesh = serde_json::from_value(json!({"mtls": {"enabled": true}})).unwrap();
        let inbound = json!({"interface": "127.0.0.1:8080:80", "tags": {"service": "web"}});
        let spec = json!({"networking": {"inbound": [inbound]}});
        let dataplane: Dataplane = serde_json::from_value(spec).unwrap();
        for (conf, expected) in [
            (json!({"imports": ["default-proxy"]}), Need::RootsAndIdentity),
            (json!({}), Need::Perhaps),
            (json!({"imports": ["default-proxy"], "resources": [{"name": "a"}]}), Need::Perhaps),
        ] {
            let template: ProxyTemplate = serde_json::from_value(json!({"conf": conf})).unwrap();
            assert_eq!(Need::of(&dataplane, &enabled, Some(&template)), expected, "{conf}");
        }
        let off = Mesh::default();
        let template = ProxyTemplate::default();
        assert_eq!(Need::of(&dataplane, &off, Some(&template)), Need::Nothing);
    }
}
