//! Connections of other proxies to the workload, which listens on 127.0.0.1.

use crate::{
    Access, Cluster, Direction, Forwarding, Inbound, Listener, SkippedBecause,
    dataplane_view::{DataplaneView, InboundView},
    draft::Draft,
    reader::Reader,
};

pub(crate) fn plan(dataplane: &DataplaneView, reader: &mut Reader<'_>, draft: &mut Draft) {
    for (i, inbound) in dataplane.inbounds.iter().enumerate() {
        match plan_inbound(dataplane, inbound, reader, draft) {
            Ok(inbound) => draft.plan.inbounds.push(inbound),
            Err(because) => draft.skip(format!("networking.inbound[{i}].interface"), because),
        }
    }
}

fn plan_inbound(
    dataplane: &DataplaneView,
    inbound: &InboundView,
    reader: &mut Reader<'_>,
    draft: &mut Draft,
) -> Result<Inbound, SkippedBecause> {
    let interface = inbound.interface.ok_or(SkippedBecause::BadInterface)?;
    let address = interface.dataplane_address();
    if draft.plan.mtls.as_ref().is_some_and(|mtls| mtls.services.is_empty()) {
        return Err(SkippedBecause::NoCertificate);
    }
    draft.listen_on(address)?;
    let cluster = format!("localhost:{}", interface.workload_port);
    draft.add_cluster(&cluster, Cluster::Workload { port: interface.workload_port });
    Ok(Inbound {
        service: inbound.service().map(str::to_owned),
        listener: Listener {
            name: format!("inbound:{address}"),
            address,
            direction: Direction::Inbound,
            binding: dataplane.binding(),
        },
        forwarding: Forwarding::to(cluster),
        access: draft.plan.mtls.as_ref().map(|mtls| Access::new(mtls, &inbound.tags, reader)),
    })
}
