//! Answers why a proxy does what it does: what it should have, from which of the users' resources, and what its Envoy has
//! said to that.
//!
//! Computed when somebody asks, from the store, the world and the open streams. Nothing is kept for it but a way to look into
//! each open stream and, while Envoy refuses something, its words ([`crate::live_streams`]).

mod intended;
mod states;

use std::sync::Arc;

use api::{Detail, Inspection};
use model::ProxyId;
use plan::{Change, World};
use store::{Present, Store};

use self::intended::Asked;
use crate::{feed::Planner, follow::whole_world, registry::Published};

/// Answers for any proxy.
pub struct Inspector {
    pub store: Arc<dyn Store>,
    pub planner: Arc<Planner>,
}

impl api::Inspect for Inspector {
    fn inspect(&self, proxy: &ProxyId, detail: Detail) -> Option<Inspection> {
        // In this order: the store is never behind the world.
        let published = self.planner.registry.published();
        let present = self.store.present();
        present.get(&proxy.dataplane())?;
        let world = world_of(&*self.store, &present, published);
        let streams = self.planner.live_streams.of(proxy);
        // Of a stream that is just ending there is nothing to say.
        let open: Vec<_> =
            streams.iter().filter_map(|stream| Some((stream, stream.view.report()?))).collect();
        let announced = open.last().map(|(newest, _)| newest.announced.clone()).unwrap_or_default();
        let certificates = &*self.planner.certificates;
        let asked = Asked { proxy, announced: &announced, detail };
        let intended = intended::intended(&world, &present, certificates, asked);
        let resources = match open.last() {
            Some((newest, report)) => states::of_stream(intended.resources, report, &newest.refusals()),
            None => states::of_nobody(intended.resources),
        };
        Some(Inspection {
            revision: present.revision(),
            streams: open.iter().map(|(stream, report)| stream.show(report)).collect(),
            certificate: intended.certificate,
            resources,
            warnings: intended.warnings,
        })
    }
}

/// The world as of `present`: who writes and then asks sees what was written, although the world follows the store only a
/// moment later.
fn world_of(store: &dyn Store, present: &Present, published: Published) -> World {
    let latest = present.revision().number;
    if published.revision == latest {
        return published.world;
    }
    let Ok(changes) = store.changes(published.revision) else { return whole_world(present) };
    let changes = changes.iter().take_while(|change| change.revision <= latest);
    published.world.apply(changes.map(|it| Change { key: it.key.clone(), spec: it.spec.clone() })).0
}
