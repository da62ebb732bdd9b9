//! Ports and addresses on the command line, several separated by commas as in Kuma.

use std::{collections::BTreeSet, fmt, net::Ipv4Addr, num::NonZeroU16, str::FromStr};

/// Of one argument: `9100` or `9100,9101`; none when it is empty. In order, none twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ports(BTreeSet<NonZeroU16>);

/// Of one argument: addresses, or networks such as `10.0.0.0/8`. In order, none twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Networks(BTreeSet<Network>);

/// All addresses whose first `prefix` bits are those of `address`, of which the other bits are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Network {
    address: Ipv4Addr,
    prefix: u8,
}

const ADDRESS_BITS: u8 = 32;

impl Ports {
    pub(crate) fn iter(&self) -> impl Iterator<Item = NonZeroU16> {
        self.0.iter().copied()
    }
}

impl Networks {
    pub(crate) fn iter(&self) -> impl Iterator<Item = Network> {
        self.0.iter().copied()
    }
}

impl FromStr for Ports {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let port = |part: &str| part.parse().map_err(|_| format!("{part} is not a port: 1 to 65535"));
        parts(text).map(port).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for Networks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parts(text).map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for Network {
    type Err = String;

    /// Bits behind the prefix are dropped, as iptables does.
    fn from_str(text: &str) -> Result<Self, String> {
        let network = || {
            let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
            let address: Ipv4Addr = address.parse().ok()?;
            let prefix = prefix.map_or(Some(ADDRESS_BITS), |prefix| prefix.parse().ok())?;
            let behind = ADDRESS_BITS.checked_sub(prefix)?;
            let mask = u32::MAX.checked_shl(behind.into()).unwrap_or(0);
            Some(Self { address: (u32::from(address) & mask).into(), prefix })
        };
        network()
            .ok_or_else(|| format!("{text} is no IPv4 address or network, such as 10.1.2.3 or 10.0.0.0/8"))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.address, self.prefix)
    }
}

fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(move |_| !text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_separated_by_commas_and_none_is_no_port() {
        for (text, expected) in [
            ("", Ok(vec![])),
            ("9100", Ok(vec![9100])),
            ("9101, 9100,9101", Ok(vec![9100, 9101])),
            ("65535", Ok(vec![65_535])),
            ("0", Err("0 is not a port: 1 to 65535")),
            ("65536", Err("65536 is not a port: 1 to 65535")),
            ("9100,", Err(" is not a port: 1 to 65535")),
            ("80:90", Err("80:90 is not a port: 1 to 65535")),
            ("22\n-A", Err("22\n-A is not a port: 1 to 65535")),
        ] {
            let ports = text.parse::<Ports>().map(|it| it.iter().map(NonZeroU16::get).collect::<Vec<_>>());
            assert_eq!(ports, expected.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn networks_are_addresses_with_a_prefix_or_without() {
        for (text, expected) in [
            ("", Some("")),
            ("10.1.2.3", Some("10.1.2.3/32")),
            ("10.1.2.3/8,169.254.169.254", Some("10.0.0.0/8 169.254.169.254/32")),
            ("10.1.2.3/31", Some("10.1.2.2/31")),
            ("1.2.3.4/0", Some("0.0.0.0/0")),
            ("10.0.0.0/33", None),
            ("10.0.0/8", None),
            ("::1", None),
            ("example.com", None),
            ("10.0.0.0/8/8", None),
            ("10.0.0.0/", None),
            ("10.0.0.0/+8 -j ACCEPT", None),
        ] {
            let networks = text.parse::<Networks>().ok();
            let printed = networks.map(|it| it.iter().map(|it| it.to_string()).collect::<Vec<_>>().join(" "));
            assert_eq!(printed.as_deref(), expected, "{text}");
        }
    }
}
