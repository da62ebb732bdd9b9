//! A plan in the making: every name and every address is given away once, to the first who asks.

use std::{collections::BTreeSet, net::SocketAddr};

use model::Tags;

use crate::{Cluster, ProxyPlan, Skipped, SkippedBecause, reader::Reader};

#[derive(Default)]
pub(crate) struct Draft {
    pub(crate) plan: ProxyPlan,
    listened_on: BTreeSet<SocketAddr>,
}

impl Draft {
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
        self.plan.clusters.insert(name.to_owned(), Cluster::Service { service, tags });
    }

    pub(crate) fn into_plan(self) -> ProxyPlan {
        self.plan
    }
}
