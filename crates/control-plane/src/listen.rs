//! Listening sockets, bound before anything is served, so that a port in use is said at the start.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::net::TcpListener;

#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error(
        "port {port} on {ip} is in use by another program; stop it, or set {setting} (0 is any free port)"
    )]
    InUse { ip: IpAddr, port: u16, setting: &'static str },
    #[error("cannot listen on {ip} port {port}: {reason}; check {setting}")]
    Refused { ip: IpAddr, port: u16, setting: &'static str, reason: io::Error },
}

/// Listens on the loopback addresses of this machine: 127.0.0.1 and, where there is one, ::1, on the same port. `setting`
/// says in errors what to change.
pub fn loopback(port: u16, setting: &'static str) -> Result<Vec<TcpListener>, ListenError> {
    let v4 = bind(Ipv4Addr::LOCALHOST.into(), port, setting)?;
    let port = v4.local_addr().map_or(port, |address| address.port());
    match bind(Ipv6Addr::LOCALHOST.into(), port, setting) {
        Ok(v6) => Ok(vec![v4, v6]),
        Err(in_use @ ListenError::InUse { .. }) => Err(in_use),
        Err(ListenError::Refused { .. }) => Ok(vec![v4]), // A machine without IPv6.
    }
}

/// The addresses that these listen on.
pub fn addresses(listeners: &[TcpListener]) -> Vec<SocketAddr> {
    listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
}

fn bind(ip: IpAddr, port: u16, setting: &'static str) -> Result<TcpListener, ListenError> {
    xds::listen(SocketAddr::new(ip, port)).map_err(|reason| match reason.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse { ip, port, setting },
        _ => ListenError::Refused { ip, port, setting, reason },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_in_use_is_said_with_the_setting_to_change() {
        let first = loopback(0, "apiServer.port").unwrap();
        let port = first[0].local_addr().unwrap().port();
        let refused = loopback(port, "apiServer.port").unwrap_err().to_string();
        assert!(refused.contains("is in use") && refused.contains("apiServer.port"), "{refused}");
    }
}
