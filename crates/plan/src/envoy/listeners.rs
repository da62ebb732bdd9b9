//! Listeners (LDS).
//!
//! Envoy drains the connections of a filter chain that changes. So a listener holds only what an interface is, and names its
//! filter; what the filter does comes apart (ECDS) and changes for new connections alone: a route edit never touches
//! a listener, nor an established connection.

use envoy_types::pb::{
    envoy::config::{
        core::v3::{ExtensionConfigSource, TrafficDirection},
        listener::v3::{Filter, FilterChain, Listener as EnvoyListener, filter::ConfigType},
    },
    google::protobuf::BoolValue,
};

use crate::{Binding, Direction, Listener};

use super::{addresses, config_sources, tcp_proxies};

pub(super) fn listener(listener: &Listener) -> EnvoyListener {
    let chain = FilterChain { filters: vec![tcp_proxy(&listener.name)], ..FilterChain::default() };
    EnvoyListener {
        name: listener.name.clone(),
        address: Some(addresses::tcp(listener.address)),
        traffic_direction: traffic_direction(listener.direction).into(),
        bind_to_port: (listener.binding == Binding::Unbound).then_some(BoolValue { value: false }),
        use_original_dst: (listener.binding == Binding::CatchAll).then_some(BoolValue { value: true }),
        filter_chains: vec![chain],
        ..EnvoyListener::default()
    }
}

fn traffic_direction(direction: Direction) -> TrafficDirection {
    match direction {
        Direction::Inbound => TrafficDirection::Inbound,
        Direction::Outbound => TrafficDirection::Outbound,
    }
}

fn tcp_proxy(listener: &str) -> Filter {
    let discovery = ExtensionConfigSource {
        config_source: Some(config_sources::ads()),
        type_urls: vec![tcp_proxies::TYPE_URL.to_owned()],
        ..ExtensionConfigSource::default()
    };
    Filter { name: tcp_proxies::name(listener), config_type: Some(ConfigType::ConfigDiscovery(discovery)) }
}
