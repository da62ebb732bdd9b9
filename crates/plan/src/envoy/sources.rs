//! Which of the users' resources an Envoy resource comes from, for whoever inspects a proxy.
//!
//! Found out on demand, from a plan and the world that it was made of: planning carries nothing for it, and no version
//! depends on it. A part of another sort does not compile before it says here where it comes from.

use std::collections::{BTreeMap, BTreeSet};

use model::{ANY_VALUE, Key, Kind, ProxyId, Tags, matches};

use crate::{
    Cluster, ProxyPlan, World,
    mesh_view::{Entity, MeshView},
};

use super::{Part, Resource, tcp_proxies, tls_secrets::TlsSecret};

/// The sources of everything that one plan consists of.
pub struct Sources<'a> {
    proxy: &'a ProxyId,
    /// The routes that send to a cluster, by its name.
    routes_to: BTreeMap<&'a str, BTreeSet<&'a str>>,
    /// The route that decides what becomes of a listener's connections, by the name of its filter.
    route_of_filter: BTreeMap<String, &'a str>,
    /// The logs of a listener's connections, by the name of its filter; with the mesh, which has the backends.
    logs_of_filter: BTreeMap<String, BTreeSet<Key>>,
    template: Option<Key>,
    /// The permissions that say who may connect, by the name of the listener.
    permissions_of: BTreeMap<&'a str, Vec<Key>>,
    /// There when the mesh's mTLS has made any difference.
    mesh_with_mtls: Option<Key>,
    /// The Dataplanes that have an endpoint of a cluster, by its name.
    dataplanes_of: BTreeMap<&'a str, Vec<Key>>,
}

impl<'a> Sources<'a> {
    /// `plan` is what the proxy should do in this world. Every Dataplane of its mesh is looked at once.
    pub fn new(world: &World, proxy: &'a ProxyId, plan: &'a ProxyPlan) -> Self {
        let mut routes_to = BTreeMap::<_, BTreeSet<_>>::new();
        let mut route_of_filter = BTreeMap::new();
        let mut logs_of_filter = BTreeMap::new();
        for outbound in &plan.outbounds {
            let logs = outbound.logs.iter().flat_map(|log| &log.traffic_logs);
            let logs = logs.map(|name| Key::new(Kind::TrafficLog, proxy.mesh.clone(), name.as_str()));
            if !outbound.logs.is_empty() {
                let logs = logs.chain([Key::mesh(proxy.mesh.clone())]).collect();
                logs_of_filter.insert(tcp_proxies::name(&outbound.listener.name), logs);
            }
            let Some(route) = outbound.route.as_deref() else { continue };
            for share in &outbound.forwarding.clusters {
                routes_to.entry(share.cluster.as_str()).or_default().insert(route);
            }
            route_of_filter.insert(tcp_proxies::name(&outbound.listener.name), route);
        }
        let dataplanes_of = world.mesh(&proxy.mesh).map(|mesh| dataplanes_of(mesh, proxy, plan));
        let permission = |name: &String| Key::new(Kind::TrafficPermission, proxy.mesh.clone(), name.as_str());
        let with_access = plan.inbounds.iter().filter_map(|it| Some((&it.listener, it.access.as_ref()?)));
        let permissions_of = with_access.map(|(listener, access)| {
            (listener.name.as_str(), access.permissions.keys().map(permission).collect())
        });
        Self {
            proxy,
            routes_to,
            route_of_filter,
            logs_of_filter,
            template: plan
                .template
                .as_ref()
                .map(|it| Key::new(Kind::ProxyTemplate, proxy.mesh.clone(), it.name.as_str())),
            permissions_of: permissions_of.collect(),
            mesh_with_mtls: plan.mtls.as_ref().map(|_| Key::mesh(proxy.mesh.clone())),
            dataplanes_of: dataplanes_of.unwrap_or_default(),
        }
    }

    /// The keys of the users' resources that `resource`, which is one of the plan's, was made of: sorted, each once, and never
    /// none.
    pub fn of(&self, resource: &Resource) -> Vec<Key> {
        let name = &*resource.name;
        match &*resource.part {
            Part::Cluster(Cluster::Service { tls: Some(_), .. }) => self.and_mesh(self.of_cluster(name)),
            Part::Cluster(
                Cluster::Workload { .. }
                | Cluster::Service { .. }
                | Cluster::Blackhole
                | Cluster::OriginalDestination,
            ) => self.of_cluster(name),
            // Where there is none, those who ask for some are all that can be blamed.
            Part::Endpoints(_) => match self.dataplanes_of.get(name) {
                Some(dataplanes) => dataplanes.clone(),
                None => self.of_cluster(name),
            },
            Part::Listener(_) => self.with_routes([]),
            Part::InboundListener(it) => self.of_access(&it.listener.name),
            Part::Rbac(listener, _) => self.of_access(listener),
            Part::TlsInspection(_) => self.and_mesh(self.with_routes([])),
            Part::TcpProxy(..) => self.of_filter(name),
            Part::Secret(TlsSecret::Certificate { .. }) => vec![self.mesh(), self.proxy.dataplane()],
            Part::Secret(TlsSecret::Roots(_)) => vec![self.mesh()],
            Part::Template(_) => self.template.iter().cloned().collect(),
        }
    }

    fn mesh(&self) -> Key {
        Key::mesh(self.proxy.mesh.clone())
    }

    /// What says who may connect to an inbound.
    fn of_access(&self, listener: &str) -> Vec<Key> {
        let permissions = self.permissions_of.get(listener).into_iter().flatten().cloned();
        self.and_mesh(std::iter::once(self.proxy.dataplane()).chain(permissions).collect())
    }

    fn and_mesh(&self, keys: Vec<Key>) -> Vec<Key> {
        let keys: BTreeSet<Key> = self.mesh_with_mtls.iter().cloned().chain(keys).collect();
        keys.into_iter().collect()
    }

    /// What decides what becomes of a listener's connections, and whether they are logged.
    fn of_filter(&self, name: &str) -> Vec<Key> {
        let routes = self.with_routes(self.route_of_filter.get(name).copied());
        let logs = self.logs_of_filter.get(name).into_iter().flatten().cloned();
        routes.into_iter().chain(logs).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Those who ask for it.
    fn of_cluster(&self, name: &str) -> Vec<Key> {
        self.with_routes(self.routes_to.get(name).into_iter().flatten().copied())
    }

    /// The proxy's own Dataplane, and these routes, which are sorted.
    fn with_routes<'r>(&self, routes: impl IntoIterator<Item = &'r str>) -> Vec<Key> {
        let routes =
            routes.into_iter().map(|route| Key::new(Kind::TrafficRoute, self.proxy.mesh.clone(), route));
        std::iter::once(self.proxy.dataplane()).chain(routes).collect()
    }
}

/// The Dataplanes with an endpoint of each of the plan's clusters, by its name: one pass over them for all clusters.
fn dataplanes_of<'a>(mesh: &MeshView, proxy: &ProxyId, plan: &'a ProxyPlan) -> BTreeMap<&'a str, Vec<Key>> {
    let mut clusters = BTreeMap::<&str, Vec<(&str, &Tags)>>::new();
    for (name, cluster) in &plan.clusters {
        match cluster {
            // `*` is no service, and has no endpoints.
            Cluster::Service { service, tags, .. } if service != ANY_VALUE => {
                clusters.entry(service).or_default().push((name, tags));
            }
            Cluster::Service { .. }
            | Cluster::Workload { .. }
            | Cluster::Blackhole
            | Cluster::OriginalDestination => {}
        }
    }
    let mut dataplanes_of = BTreeMap::<_, Vec<Key>>::new();
    for (name, dataplane) in mesh.dataplanes() {
        let Entity::Present(dataplane) = dataplane else { continue };
        let key = Key { kind: Kind::Dataplane, mesh: proxy.mesh.clone(), name: name.clone() };
        for (service, endpoint) in dataplane.endpoints() {
            for (cluster, tags) in clusters.get(service).into_iter().flatten() {
                if matches(tags, &endpoint.tags) {
                    let dataplanes = dataplanes_of.entry(*cluster).or_default();
                    if dataplanes.last() != Some(&key) {
                        dataplanes.push(key.clone());
                    }
                }
            }
        }
    }
    dataplanes_of
}
