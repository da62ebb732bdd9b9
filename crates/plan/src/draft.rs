//! A plan in the making: every name and every address is given away once, to the first who asks.

use std::{collections::BTreeSet, net::SocketAddr};

use model::Tags;

use crate::{Cluster, ProxyPlan, Skipped, SkippedBecause, reader::Reader};

pub(crate) struct Draft {
    pub(crate) plan: ProxyPlan,
    listened_on: BTreeSet<SocketAddr>,
}

impl Draft {
    /// From a plan in which nothing listens yet.
    pub(crate) fn new(plan: ProxyPlan) -> Self {
        Self { plan, listened_on: BTreeSet::new() }
    }

    /// Envoy refuses a second listener with the address of another, bound or not.
    pub(crate) fn listen_on(&mut self, address: SocketAddr) -> Result<(), SkippedBecause> {
        if self.listened_on.insert(address) { Ok(()) } else { Err(SkippedBecause::AddressTaken) }
    }

    pub(crate) fn skip(&mut self, field: String, because: SkippedBecause) {
        self.plan.skipped.push(Skipped { field, because });
    }

    pub(crate) fn add_cluster(&mut self, name: &str, cluster: Cluster) {
        self.plan.clusters.entry(name.to_owned()).or_insert(cluster);
    }

    /// Reads the endpoints of a service with some further tags, unless the name is taken.
    pub(crate) fn add_service_cluster(
        &mut self,
        name: &str,
        service: String,
        tags: Tags,
        reader: &mut Reader<'_>,
    ) {
        if self.plan.clusters.contains_key(name) {
            return;
        }
        self.plan.endpoints.insert(name.to_owned(), reader.endpoints(&service, &tags));
        let tls = self.plan.mtls.as_ref().and_then(|mtls| mtls.upstream(&service, reader));
        self.plan.clusters.insert(name.to_owned(), Cluster::Service { service, tags, tls });
    }

    pub(crate) fn into_plan(self) -> ProxyPlan {
        self.plan
    }
}
