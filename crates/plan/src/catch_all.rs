//! Transparent proxying: everything that the workload sends is redirected to one port.
//!
//! What was meant for the address of a listener is handed on to that one, which therefore binds nothing; the rest goes on
//! to where it was meant. The names are Kuma 0.3.0's.

use std::net::{Ipv4Addr, SocketAddr};

use crate::{
    Binding, CatchAll, Cluster, Direction, Forwarding, Listener, dataplane_view::DataplaneView, draft::Draft,
};

const CATCH_ALL: &str = "catch_all";
const PASS_THROUGH: &str = "pass_through";

pub(crate) fn plan(dataplane: &DataplaneView, draft: &mut Draft) {
    let Some(port) = dataplane.redirect_port else { return };
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port.get()));
    if draft.listen_on(address).is_err() {
        return;
    }
    draft.add_cluster(PASS_THROUGH, Cluster::OriginalDestination);
    draft.plan.catch_all = Some(CatchAll {
        listener: Listener {
            name: CATCH_ALL.to_owned(),
            address,
            direction: Direction::Outbound,
            binding: Binding::CatchAll,
        },
        forwarding: Forwarding::to(PASS_THROUGH.to_owned()),
    });
}

impl DataplaneView {
    /// Of the listeners of its inbounds and outbounds.
    pub(crate) fn binding(&self) -> Binding {
        if self.redirect_port.is_some() { Binding::Unbound } else { Binding::Bound }
    }
}
