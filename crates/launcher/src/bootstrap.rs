//! What the control plane answered: a bootstrap that Envoy starts with.
//!
//! Envoy judges its bootstrap itself. Here only as much is read as kuma-dp needs: that it is a bootstrap at all (not the page
//! of some proxy in between), and where Envoy's admin interface will be.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::Deserialize;

use crate::admin::AdminAddress;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bootstrap {
    /// As it came; it is written for Envoy unchanged.
    pub(crate) yaml: String,
    pub(crate) admin: AdminAddress,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum BootstrapError {
    #[error("it is not an Envoy bootstrap in YAML: {0}")]
    NotABootstrap(String),
    #[error(
        "it gives Envoy no admin interface, without which kuma-dp can neither see that it is ready nor drain it"
    )]
    NoAdmin,
}

/// Protobuf's JSON form has camelCase names, and every parser also takes the original ones.
#[derive(Deserialize)]
struct Document {
    #[serde(rename = "node")]
    _node: serde_json::Value,
    admin: Option<Admin>,
}

#[derive(Deserialize)]
struct Admin {
    address: Option<AnyAddress>,
}

#[derive(Deserialize)]
struct AnyAddress {
    pipe: Option<Pipe>,
    #[serde(alias = "socketAddress")]
    socket_address: Option<SocketAddress>,
}

#[derive(Deserialize)]
struct Pipe {
    path: PathBuf,
}

#[derive(Deserialize)]
struct SocketAddress {
    address: IpAddr,
    #[serde(alias = "portValue")]
    port_value: u16,
}

impl Bootstrap {
    pub(crate) fn parse(yaml: String) -> Result<Self, BootstrapError> {
        let document: Document = serde_saphyr::from_str(&yaml)
            .map_err(|error| BootstrapError::NotABootstrap(first_line(&error.to_string())))?;
        let address = document.admin.and_then(|admin| admin.address).ok_or(BootstrapError::NoAdmin)?;
        let admin = match (address.pipe, address.socket_address) {
            (Some(pipe), _) => AdminAddress::Socket(pipe.path),
            (None, Some(tcp)) => AdminAddress::Tcp(SocketAddr::new(tcp.address, tcp.port_value)),
            (None, None) => return Err(BootstrapError::NoAdmin),
        };
        Ok(Self { yaml, admin })
    }
}

/// The parser shows the source under its first line; a sentence has room for the first.
fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_admin_interface_is_a_socket_or_a_port() {
        let socket = AdminAddress::Socket("/run/a/admin.sock".into());
        let port = AdminAddress::Tcp(([127, 0, 0, 1], 9901).into());
        for (yaml, admin) in [
            ("{node: {id: a}, admin: {address: {pipe: {path: /run/a/admin.sock, mode: 384}}}}", &socket),
            (
                "{node: {id: a}, admin: {address: {socketAddress: {address: 127.0.0.1, portValue: 9901}}}}",
                &port,
            ),
            (
                "{node: {id: a}, admin: {address: {socket_address: {address: 127.0.0.1, port_value: 9901}}}}",
                &port,
            ),
        ] {
            let bootstrap = Bootstrap::parse(yaml.to_owned()).expect(yaml);
            assert_eq!((&bootstrap.admin, bootstrap.yaml.as_str()), (admin, yaml));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for (yaml, reason) in [
            ("", "not an Envoy bootstrap"),
            ("<html>hello</html>", "not an Envoy bootstrap"),
            ("admin: {}", "not an Envoy bootstrap"),
            ("node: {id: a}\nnode: {id: b}", "not an Envoy bootstrap"),
            ("node: {id: a}", "no admin interface"),
            ("{node: {id: a}, admin: {}}", "no admin interface"),
            ("{node: {id: a}, admin: {address: {}}}", "no admin interface"),
        ] {
            let error = Bootstrap::parse(yaml.to_owned()).expect_err(yaml).to_string();
            assert!(error.contains(reason) && !error.contains('\n'), "{yaml}: {error}");
        }
    }
}
