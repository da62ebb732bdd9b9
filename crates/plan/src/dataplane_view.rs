//! A Dataplane as planning sees it: interfaces parsed once, and nothing that cannot change a plan.

use std::{collections::BTreeSet, num::NonZeroU16, sync::Arc};

use model::{Dataplane, InboundInterface, OutboundInterface, SERVICE_TAG, Selector, Tags};

use crate::Endpoint;

/// Two Dataplanes with equal views are the same to every plan.
#[derive(Debug, PartialEq)]
pub(crate) struct DataplaneView {
    pub(crate) inbounds: Vec<InboundView>,
    pub(crate) outbounds: Vec<OutboundView>,
    pub(crate) redirect_port: Option<NonZeroU16>,
}

/// An interface that does not parse is `None`. Its inbound still says what the Dataplane is (Kuma 0.3.0).
#[derive(Debug, PartialEq)]
pub(crate) struct InboundView {
    pub(crate) interface: Option<InboundInterface>,
    pub(crate) tags: Arc<Tags>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct OutboundView {
    pub(crate) interface: Option<OutboundInterface>,
    pub(crate) service: String,
}

impl DataplaneView {
    pub(crate) fn new(dataplane: &Dataplane) -> Self {
        let inbounds = dataplane
            .inbounds()
            .iter()
            .map(|it| InboundView { interface: it.parse_interface(), tags: Arc::new(it.tags().clone()) });
        let outbounds = dataplane
            .outbounds()
            .iter()
            .map(|it| OutboundView { interface: it.parse_interface(), service: it.service.clone() });
        Self {
            inbounds: inbounds.collect(),
            outbounds: outbounds.collect(),
            redirect_port: dataplane.redirect_port(),
        }
    }

    /// The distinct values of `service` over all inbounds.
    pub(crate) fn services(&self) -> BTreeSet<&str> {
        self.inbounds.iter().filter_map(InboundView::service).collect()
    }

    /// Whether some one inbound has all that the selector wants.
    pub(crate) fn is_selected_by(&self, selector: &Selector) -> bool {
        self.inbounds.iter().any(|inbound| selector.matches(&inbound.tags))
    }

    /// What other proxies can connect to, each with the service that it belongs to.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = (&str, Endpoint)> {
        self.inbounds.iter().filter_map(|inbound| {
            let address = inbound.interface?.dataplane_address();
            Some((inbound.service()?, Endpoint { address, tags: inbound.tags.clone() }))
        })
    }
}

impl InboundView {
    pub(crate) fn service(&self) -> Option<&str> {
        self.tags.get(SERVICE_TAG).map(String::as_str)
    }
}
