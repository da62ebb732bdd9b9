//! Listeners (LDS).
//!
//! Envoy drains the connections of a filter chain that changes. So a listener holds only what an interface is, and names its
//! filters; what they do comes apart (ECDS) and changes for new connections alone: a route edit never touches a listener, nor
//! an established connection.
//!
//! And it drains the connections of a whole listener of which anything but a filter chain changes. So an inbound is, but for its
//! chains, the same with and without mTLS.

use envoy_types::pb::{
    envoy::config::{
        core::v3::{ExtensionConfigSource, TrafficDirection},
        listener::v3::{
            Filter, FilterChain, FilterChainMatch, Listener as EnvoyListener, ListenerFilter,
            filter::ConfigType, filter_chain_match::ConnectionSourceType, listener_filter,
        },
    },
    envoy::r#type::matcher::v3::string_matcher::MatchPattern,
    google::protobuf::{BoolValue, Duration, UInt32Value},
};
use serde::Serialize;

use crate::{AccessMode, Binding, Direction, Listener, PermittedSources};

use super::{
    addresses, chain_names, config_sources, identities, rbac,
    refusal_log::{self, RefusalLog},
    tcp_proxies, tls_inspection, transport_sockets,
};

/// The listener of an inbound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct InboundListener {
    pub(super) listener: Listener,
    pub(super) refusals: Option<RefusalLog>,
    /// `None`: plain connections alone.
    pub(super) tls: Option<InboundTls>,
}

/// Who comes in over TLS. By which permission makes no difference to a listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct InboundTls {
    pub(super) mode: AccessMode,
    pub(super) mesh: String,
    pub(super) sources: PermittedSources,
}

/// Each chain costs Envoy some 32 KB. With more sources there is one for all of them.
pub(crate) const SOURCES_WITH_A_CHAIN_MAX: usize = 256;

/// A client that has sent nothing for so long is taken for one that waits for the server to speak first, and for a plain one.
/// Where those are refused this only closes what would be closed anyhow.
const INSPECTION_TIMEOUT: Duration = Duration { seconds: 1, nanos: 0 };

pub(super) fn listener(listener: &Listener) -> EnvoyListener {
    match listener.binding {
        Binding::Bound | Binding::Unbound => plain(listener),
        Binding::CatchAll => catch_all(listener),
    }
}

fn plain(listener: &Listener) -> EnvoyListener {
    EnvoyListener {
        name: listener.name.clone(),
        address: Some(addresses::tcp(listener.address)),
        traffic_direction: traffic_direction(listener.direction).into(),
        bind_to_port: (listener.binding == Binding::Unbound).then_some(BoolValue { value: false }),
        filter_chains: vec![plain_chain(&listener.name)],
        ..EnvoyListener::default()
    }
}

/// Envoy looks for a chain by the port first, and does not look further where none of that port takes a connection: so what
/// the loop's chain does not take is the default's.
fn catch_all(listener: &Listener) -> EnvoyListener {
    EnvoyListener {
        filter_chains: vec![loop_chain(listener.address.port())],
        default_filter_chain: Some(plain_chain(&listener.name)),
        use_original_dst: Some(BoolValue { value: true }),
        ..plain(listener)
    }
}

pub(super) fn inbound(inbound: &InboundListener) -> EnvoyListener {
    let InboundListener { listener: common, refusals, tls } = inbound;
    let tls_chains = tls.iter().flat_map(|tls| tls_chains(&common.name, tls));
    // Without a match of its own it takes what is no TLS.
    let takes_plain = tls.as_ref().is_none_or(|tls| tls.mode == AccessMode::Permissive);
    let plain_chain = takes_plain.then(|| plain_chain(&common.name));
    EnvoyListener {
        listener_filters: vec![tls_inspection_filter()],
        listener_filters_timeout: Some(INSPECTION_TIMEOUT),
        continue_on_listener_filters_timeout: true,
        access_log: refusals.iter().map(|log| refusal_log::access_log(log, &common.name)).collect(),
        filter_chains: tls_chains.chain(plain_chain).collect(),
        ..plain(common)
    }
}

fn traffic_direction(direction: Direction) -> TrafficDirection {
    match direction {
        Direction::Inbound => TrafficDirection::Inbound,
        Direction::Outbound => TrafficDirection::Outbound,
    }
}

fn plain_chain(listener: &str) -> FilterChain {
    FilterChain {
        name: chain_names::PLAIN.to_owned(),
        filters: vec![tcp_proxy(listener)],
        ..FilterChain::default()
    }
}

/// What comes for the catch-all's own port was not redirected, and passes through to where it was meant: to the catch-all. On
/// its second way it comes from the machine that it is for, and this chain, which has no filters, closes it. The same port of
/// another machine is nobody's loop.
fn loop_chain(port: u16) -> FilterChain {
    FilterChain {
        name: chain_names::LOOP.to_owned(),
        filter_chain_match: Some(FilterChainMatch {
            destination_port: Some(UInt32Value { value: port.into() }),
            source_type: ConnectionSourceType::SameIpOrLoopback.into(),
            ..FilterChainMatch::default()
        }),
        ..FilterChain::default()
    }
}

/// One for each source, found by the name under which it calls and open to its certificates alone: so whoever is granted or
/// revoked comes and goes with a chain of his own, and nobody else's changes. The last is for all others.
fn tls_chains(listener: &str, tls: &InboundTls) -> Vec<FilterChain> {
    let InboundTls { mode, mesh, sources } = tls;
    let with_a_chain = sources.services.iter().filter(|_| sources.services.len() <= SOURCES_WITH_A_CHAIN_MAX);
    let mut of_sources: Vec<_> =
        with_a_chain.map(|source| (identities::server_name(mesh, source), source)).collect();
    of_sources.sort_unstable();
    let of_source = |(server_name, source): (String, &String)| {
        tls_chain(listener, Some(server_name), [identities::of_service(mesh, source)])
    };
    let everybody = sources.any || *mode == AccessMode::Permissive;
    let others: Vec<_> = if everybody {
        vec![identities::of_mesh(mesh)]
    } else if sources.services.is_empty() {
        vec![identities::of_nobody(mesh)]
    } else {
        sources.services.iter().map(|source| identities::of_service(mesh, source)).collect()
    };
    of_sources.into_iter().map(of_source).chain([tls_chain(listener, None, others)]).collect()
}

fn tls_chain(
    listener: &str,
    server_name: Option<String>,
    sources: impl IntoIterator<Item = MatchPattern>,
) -> FilterChain {
    FilterChain {
        filter_chain_match: Some(FilterChainMatch {
            transport_protocol: "tls".to_owned(),
            server_names: server_name.into_iter().collect(),
            ..FilterChainMatch::default()
        }),
        filters: vec![discovered(rbac::name(listener), rbac::TYPE_URL), tcp_proxy(listener)],
        transport_socket: Some(transport_sockets::downstream(sources)),
        ..FilterChain::default()
    }
}

fn tcp_proxy(listener: &str) -> Filter {
    discovered(tcp_proxies::name(listener), tcp_proxies::TYPE_URL)
}

fn discovered(name: String, type_url: &str) -> Filter {
    Filter { name, config_type: Some(ConfigType::ConfigDiscovery(discovery(&[type_url]))) }
}

fn tls_inspection_filter() -> ListenerFilter {
    ListenerFilter {
        name: tls_inspection::NAME.to_owned(),
        config_type: Some(listener_filter::ConfigType::ConfigDiscovery(discovery(
            &tls_inspection::TYPE_URLS,
        ))),
        ..ListenerFilter::default()
    }
}

fn discovery(type_urls: &[&str]) -> ExtensionConfigSource {
    ExtensionConfigSource {
        config_source: Some(config_sources::ads()),
        type_urls: type_urls.iter().map(|&it| it.to_owned()).collect(),
        ..ExtensionConfigSource::default()
    }
}
