//! Who listens on the port that connections are redirected to, as the kernel shows it in `/proc/net/tcp` and `/proc/net/tcp6`
//! (proc_pid_net(5); the columns: the kernel's `Documentation/networking/proc_net_tcp.rst`).
//!
//! A redirected connection goes to 127.0.0.1 or, from outside, to the address of the interface that it came in by. So what
//! counts are sockets on all addresses, of IPv4 or of both families, and on 127.0.0.1.

use std::{
    collections::BTreeSet,
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::NonZeroU16,
};

use anyhow::anyhow;

const IPV4: &str = "/proc/net/tcp";
/// Not there on a machine without IPv6.
const IPV6: &str = "/proc/net/tcp6";

/// `TCP_LISTEN` of the kernel's `tcp_states.h`.
const LISTEN: &str = "0A";

/// The owners of the sockets that take what is redirected to `port` on this machine, in this network namespace.
///
/// # Errors
/// A sentence: the kernel does not show it.
pub(crate) fn uids(port: NonZeroU16) -> anyhow::Result<BTreeSet<u32>> {
    let mut uids = BTreeSet::new();
    for path in [IPV4, IPV6] {
        match fs::read_to_string(path) {
            Ok(table) => uids.extend(uids_in(&table, port)),
            Err(error) if path == IPV6 && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(anyhow!("{path} cannot be read: {error}")),
        }
    }
    Ok(uids)
}

/// What is wrong with those who listen on `port`, to which all but the connections of `proxy_uid` are redirected; nothing if it
/// is the proxy alone.
pub(crate) fn doubts(uids: &BTreeSet<u32>, port: NonZeroU16, proxy_uid: u32) -> Vec<String> {
    if uids.is_empty() {
        return vec![format!(
            "nobody listens on port {port}: until a proxy does, connections that are redirected to it are refused; start \
             kuma-dp, or give the redirectPort of its Dataplane with --redirect-port"
        )];
    }
    let others = uids.iter().filter(|uid| **uid != proxy_uid);
    let doubt = |uid| {
        format!(
            "uid {uid} listens on port {port}, and --kuma-dp-user is uid {proxy_uid}: if that is the proxy, what it sends is \
             redirected to itself; give the user that it runs as"
        )
    };
    others.map(doubt).collect()
}

fn uids_in(table: &str, port: NonZeroU16) -> impl Iterator<Item = u32> {
    let listeners = table.lines().filter_map(Listener::read);
    listeners.filter(move |it| it.port == port.get() && it.takes_redirected()).map(|it| it.uid)
}

struct Listener {
    address: IpAddr,
    port: u16,
    uid: u32,
}

impl Listener {
    /// `None` for the header, and for a socket in another state.
    fn read(line: &str) -> Option<Self> {
        // Slot, local and remote address, state, queues, timer, retransmissions, uid; what follows differs between kernels.
        let mut columns = line.split_ascii_whitespace().skip(1);
        let (address, port) = columns.next()?.split_once(':')?;
        let state = columns.nth(1)?;
        let uid = columns.nth(3)?.parse().ok()?;
        let port = u16::from_str_radix(port, 16).ok()?;
        (state == LISTEN).then_some(Self { address: read_address(address)?, port, uid })
    }

    fn takes_redirected(&self) -> bool {
        match self.address.to_canonical() {
            IpAddr::V4(address) => address.is_unspecified() || address == Ipv4Addr::LOCALHOST,
            // Whether it is of IPv6 alone, the table does not say.
            IpAddr::V6(address) => address.is_unspecified(),
        }
    }
}

/// The bytes of an address stand in words of four, each printed as a number of this machine.
fn read_address(text: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let number = u32::from_str_radix(text.get(at..at + 8)?, 16).ok()?;
        Some(number.to_ne_bytes())
    };
    match text.len() {
        8 => word(0).map(|bytes| Ipv4Addr::from(bytes).into()),
        32 => {
            let mut bytes = [0; 16];
            for (index, four) in bytes.chunks_exact_mut(4).enumerate() {
                four.copy_from_slice(&word(index * 8)?);
            }
            Some(Ipv6Addr::from(bytes).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT: u16 = 15_001; // 0x3A99

    fn port(number: u16) -> NonZeroU16 {
        number.try_into().unwrap()
    }

    /// A row as the kernel prints it on this machine, whose byte order that of addresses is.
    fn row(address: &str, port: u16, state: &str, uid: u32) -> String {
        let bytes: Vec<u8> = match address.parse().unwrap() {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let word = |bytes: &[u8]| format!("{:08X}", u32::from_ne_bytes(bytes.try_into().unwrap()));
        let local: String = bytes.chunks(4).map(word).collect();
        let remote = "0".repeat(local.len());
        format!(
            "   0: {local}:{port:04X} {remote}:0000 {state} 00000000:00000000 00:00000000 00000000 {uid:5}        0 19000 1 \
             0000000000000000 100 0 0 10 0\n"
        )
    }

    #[test]
    fn a_socket_counts_that_listens_where_redirected_connections_go() {
        for (address, number, state, expected) in [
            ("0.0.0.0", PORT, LISTEN, true),
            ("127.0.0.1", PORT, LISTEN, true),
            ("::", PORT, LISTEN, true),
            ("::ffff:0.0.0.0", PORT, LISTEN, true),
            ("::ffff:127.0.0.1", PORT, LISTEN, true),
            ("127.0.0.2", PORT, LISTEN, false),
            ("10.0.0.2", PORT, LISTEN, false),
            ("::1", PORT, LISTEN, false),
            ("0.0.0.0", PORT + 1, LISTEN, false),
            ("0.0.0.0", PORT, "01", false), // established
        ] {
            let table = row(address, number, state, 5678);
            let uids: Vec<_> = uids_in(&table, port(PORT)).collect();
            assert_eq!(!uids.is_empty(), expected, "{table}");
            assert!(uids.iter().all(|uid| *uid == 5678), "{uids:?}");
        }
    }

    /// As Linux 6 has printed it on a little-endian machine.
    #[cfg(target_endian = "little")]
    #[test]
    fn a_table_is_read_as_the_kernel_prints_it() {
        let table = "  \
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     
   0: 0100007F:1633 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0000000000000000 100 0 0 10 0                      
   1: 00000000:3A99 00000000:0000 0A 00000000:00000000 00:00000000 00000000  5678        0 4712 1 0000000000000000 100 0 0 10 0                      
   2: 00000000:3A99 00000000:0000 0A 00000000:00000000 00:00000000 00000000  5678        0 4713 1 0000000000000000 100 0 0 10 0                      
   3: 0200000A:3A99 0900000A:C350 01 00000000:00000000 00:00000000 00000000  1000        0 4714 1 0000000000000000 20 4 30 10 -1                     
";
        assert_eq!(uids_in(table, port(PORT)).collect::<Vec<_>>(), [5678, 5678]);
    }

    #[test]
    fn what_is_no_row_is_nobody() {
        for table in [
            "",
            "sl local_address",
            "0: 00000000:3A99",
            "0: 0:3A99 0:0 0A 0:0 0:0 0 1",
            "0: é0000000:3A99 0 0A 0 0 0 1",
        ] {
            assert_eq!(uids_in(table, port(PORT)).count(), 0, "{table}");
        }
    }

    #[test]
    fn who_listens_should_be_the_proxy_and_nobody_else() {
        for (uids, expected) in [
            (&[][..], &["nobody listens on port 15001: "][..]),
            (&[5678], &[]),
            (&[0], &["uid 0 listens on port 15001, and --kuma-dp-user is uid 5678: "]),
            (&[0, 5678], &["uid 0 listens on port 15001"]),
            (&[0, 1], &["uid 0 listens", "uid 1 listens"]),
        ] {
            let doubts = doubts(&uids.iter().copied().collect(), port(PORT), 5678);
            assert_eq!(doubts.len(), expected.len(), "{doubts:?}");
            for (doubt, expected) in doubts.iter().zip(expected) {
                assert!(doubt.starts_with(expected), "{doubt}");
            }
        }
    }
}
