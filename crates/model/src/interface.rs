//! The interfaces of a dataplane, which users write as one text each.
//!
//! As in Kuma 0.3.0 an address is an IPv4 address in dotted quads; there is no IPv6. An octet such as `010` is refused,
//! because elsewhere it may mean 8. A port has at most five digits, the first of which may be 0.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU16,
};

/// Where a proxy receives for its workload, and the workload's own port on 127.0.0.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InboundInterface {
    pub dataplane_ip: IpAddr,
    pub dataplane_port: NonZeroU16,
    pub workload_port: NonZeroU16,
}

/// Where a proxy takes what its workload sends to a service. The IP is 127.0.0.1 where none is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutboundInterface {
    pub ip: IpAddr,
    pub port: NonZeroU16,
}

impl InboundInterface {
    /// Reads `DATAPLANE_IP:DATAPLANE_PORT:WORKLOAD_PORT`.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, workload_port) = text.rsplit_once(':')?;
        let (dataplane_ip, dataplane_port) = address.rsplit_once(':')?;
        Some(Self {
            dataplane_ip: parse_ipv4(dataplane_ip)?,
            dataplane_port: parse_port(dataplane_port)?,
            workload_port: parse_port(workload_port)?,
        })
    }

    pub fn dataplane_address(&self) -> SocketAddr {
        SocketAddr::new(self.dataplane_ip, self.dataplane_port.get())
    }
}

impl OutboundInterface {
    /// Reads `IP_ADDRESS:PORT` or `:PORT`.
    pub fn parse(text: &str) -> Option<Self> {
        let (ip, port) = text.rsplit_once(':')?;
        let ip = if ip.is_empty() { Ipv4Addr::LOCALHOST.into() } else { parse_ipv4(ip)? };
        Some(Self { ip, port: parse_port(port)? })
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.port.get())
    }
}

fn parse_ipv4(text: &str) -> Option<IpAddr> {
    text.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
}

fn parse_port(text: &str) -> Option<NonZeroU16> {
    let digits = text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inbound_interface_is_an_ipv4_address_and_two_ports() {
        for (interface, expected) in [
            ("127.0.0.1:11011:11012", Some(("127.0.0.1:11011", 11012))),
            ("255.255.255.255:65535:1", Some(("255.255.255.255:65535", 1))),
            ("0.0.0.0:00080:080", Some(("0.0.0.0:80", 80))),
            ("", None),
            ("80:80", None),
            (":80:80", None),
            ("10.0.0.1:80:80:80", None),
            ("10.0.0.1:0:80", None),
            ("10.0.0.1:80:0", None),
            ("10.0.0.1:65536:80", None),
            ("10.0.0.1:000080:80", None),
            ("10.0.0.1:+80:80", None),
            ("10.0.0.1::80", None),
            ("10.0.0:80:80", None),
            ("256.0.0.1:80:80", None),
            ("010.0.0.1:80:80", None),
            ("::1:80:80", None),
            ("[::1]:80:80", None),
            ("localhost:80:80", None),
            (" 10.0.0.1:80:80", None),
            ("10.0.0.1:80:80\n", None),
            ("１0.0.0.1:80:80", None),
        ] {
            let parsed = InboundInterface::parse(interface)
                .map(|it| (it.dataplane_address().to_string(), it.workload_port.get()));
            assert_eq!(parsed, expected.map(|(address, port)| (address.to_owned(), port)), "{interface}");
        }
    }

    #[test]
    fn an_outbound_interface_is_a_port_and_may_have_an_ipv4_address() {
        for (interface, expected) in [
            (":33033", Some("127.0.0.1:33033")),
            ("10.0.0.1:1", Some("10.0.0.1:1")),
            ("0.0.0.0:00080", Some("0.0.0.0:80")),
            ("", None),
            ("80", None),
            (":", None),
            (":0", None),
            (":65536", None),
            (":000080", None),
            ("127.0.0.1:", None),
            ("127.0.0.1", None),
            ("localhost:80", None),
            ("*:80", None),
            ("[::1]:80", None),
            (" :80", None),
        ] {
            let parsed = OutboundInterface::parse(interface).map(|it| it.address().to_string());
            assert_eq!(parsed.as_deref(), expected, "{interface}");
        }
    }
}
