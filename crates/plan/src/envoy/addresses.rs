//! Socket addresses.

use std::net::SocketAddr;

use envoy_types::pb::envoy::config::core::v3::{
    Address, SocketAddress, address,
    socket_address::{self, PortSpecifier},
};

pub(super) fn tcp(address: SocketAddr) -> Address {
    let socket_address = SocketAddress {
        protocol: socket_address::Protocol::Tcp.into(),
        address: address.ip().to_string(),
        port_specifier: Some(PortSpecifier::PortValue(address.port().into())),
        ..SocketAddress::default()
    };
    Address { address: Some(address::Address::SocketAddress(socket_address)) }
}
