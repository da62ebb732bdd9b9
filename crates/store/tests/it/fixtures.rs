//! Small resources, and transactions of them.

use std::{path::Path, sync::Arc};

use model::{
    DataplaneInsight, DiscoverySubscription, Inbound, Key, Kind, Mesh, ProxyTemplate, Selector, Spec,
    TrafficLog, TrafficPermission, TrafficRoute,
    kinds::{
        dataplane::Networking, proxy_template::TemplateConf, traffic_log::LogConf,
        traffic_route::WeightedDestination,
    },
};
use store::{Committed, EmbeddedStore, Precondition, Store, StoreError, Transaction, Write};

pub(crate) const EPOCH: u32 = 0x00c0_ffee;

/// Another than [`EPOCH`], for a file that is expected to be there already.
pub(crate) const NOT_NEW: u32 = 0xdead_beef;

pub(crate) fn mesh(name: &str) -> Key {
    Key::mesh(name)
}

pub(crate) fn route(mesh: &str, name: &str) -> Key {
    Key::new(Kind::TrafficRoute, mesh, name)
}

pub(crate) fn dataplane(mesh: &str, name: &str) -> Key {
    Key::new(Kind::Dataplane, mesh, name)
}

/// A spec of the key's kind; two of them are equal exactly when their `content` is.
pub(crate) fn spec(key: &Key, content: u32) -> Arc<Spec> {
    Arc::new(match key.kind {
        Kind::Mesh => {
            let mut mesh = Mesh::default();
            mesh.logging.get_or_insert_default().default_backend = content.to_string();
            Spec::Mesh(mesh)
        }
        Kind::Dataplane => {
            let inbound = Inbound { interface: content.to_string(), ..Inbound::default() };
            let networking = Networking { inbound: Some(vec![inbound]), ..Networking::default() };
            Spec::Dataplane(model::Dataplane { networking: Some(networking) })
        }
        Kind::ProxyTemplate => {
            let conf = TemplateConf { imports: Some(vec![content.to_string()]), resources: None };
            Spec::ProxyTemplate(ProxyTemplate { conf: Some(conf), ..ProxyTemplate::default() })
        }
        Kind::TrafficPermission => {
            let tags = [("service".to_owned(), content.to_string())].into();
            let sources = Some(vec![Selector { tags: Some(tags) }]);
            Spec::TrafficPermission(TrafficPermission { sources, ..TrafficPermission::default() })
        }
        Kind::TrafficLog => {
            let conf = Some(LogConf { backend: content.to_string() });
            Spec::TrafficLog(TrafficLog { conf, ..TrafficLog::default() })
        }
        Kind::TrafficRoute => {
            let half = WeightedDestination { weight: content, ..WeightedDestination::default() };
            Spec::TrafficRoute(TrafficRoute { conf: Some(vec![half]), ..TrafficRoute::default() })
        }
    })
}

pub(crate) fn insight(content: u32) -> DataplaneInsight {
    let subscription = DiscoverySubscription { id: content.to_string(), ..DiscoverySubscription::default() };
    DataplaneInsight { subscriptions: Some(vec![subscription]) }
}

pub(crate) fn put(key: &Key, content: u32) -> Write {
    Write::Put(key.clone(), spec(key, content))
}

pub(crate) fn delete(key: &Key) -> Write {
    Write::Delete(key.clone())
}

pub(crate) fn transaction(writes: impl Into<Vec<Write>>) -> Transaction {
    Transaction { writes: writes.into(), author: "loopback".into(), at_ms: 1_000, ..Transaction::default() }
}

pub(crate) async fn commit(store: &dyn Store, writes: impl Into<Vec<Write>>) -> Committed {
    store.commit(transaction(writes)).await.unwrap()
}

pub(crate) async fn commit_if(
    store: &dyn Store,
    precondition: Precondition,
    writes: impl Into<Vec<Write>>,
) -> Result<Committed, StoreError> {
    store.commit(Transaction { preconditions: vec![precondition], ..transaction(writes) }).await
}

pub(crate) fn reopen(path: &Path) -> EmbeddedStore {
    EmbeddedStore::open(path, NOT_NEW).unwrap()
}
