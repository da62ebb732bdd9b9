//! Which requests a browser may have been tricked into sending.
//!
//! A page of any site can make a browser on this machine ask 127.0.0.1, and, once the page's own name is made to resolve
//! to 127.0.0.1 (DNS rebinding), read the answers. What gives it away is the `Host`, which is then the page's name, and,
//! on a write, the `Origin`. Both are checked before anything else is done.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use http::{HeaderMap, StatusCode, header::HOST, request::Parts, uri::Authority};

use crate::respond::{Refusal, title};

/// The names and addresses under which this control plane may be asked. `localhost` and loopback addresses always are.
/// Ports do not count: who forwards a port reaches the same server under another.
#[derive(Clone, Debug, Default)]
pub struct HostPolicy {
    /// In lower case, without a trailing dot.
    names: BTreeSet<String>,
    addresses: BTreeSet<IpAddr>,
}

impl HostPolicy {
    /// `advertised_hostname` and `allowed_hosts` are names or IP addresses.
    ///
    /// Of the addresses `listened` on, the unspecified one (`0.0.0.0`, `::`) stands for any address of this machine, and
    /// since those are not known it admits every address. That is safe: rebinding needs a name.
    pub fn new(advertised_hostname: &str, listened: &[SocketAddr], allowed_hosts: &[String]) -> Self {
        let addresses = listened.iter().map(|address| address.ip().to_canonical()).collect();
        let mut policy = Self { names: BTreeSet::new(), addresses };
        for host in allowed_hosts.iter().map(String::as_str).chain([advertised_hostname]) {
            match Host::parse(host) {
                Host::Address(address) => _ = policy.addresses.insert(address),
                Host::Name(name) => _ = policy.names.insert(name),
            }
        }
        policy
    }

    /// The authority that a request was sent to, once it is known to be ours.
    pub(crate) fn admit(&self, parts: &Parts) -> Result<Authority, Refusal> {
        let authority = asked(parts)?;
        if self.has(authority.host()) {
            return Ok(authority);
        }
        let details = format!(
            "This control plane is not asked as {:?}. If it should be, add that name to apiServer.allowedHosts.",
            authority.host()
        );
        Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, title::REQUEST, details))
    }

    /// Refuses a write that a page of another origin has caused. Programs send neither header.
    pub(crate) fn admit_write(&self, headers: &HeaderMap, asked: &Authority) -> Result<(), Refusal> {
        let foreign_origin = headers
            .get_all("origin")
            .iter()
            .any(|origin| !origin.to_str().is_ok_and(|origin| self.is_own_origin(origin, asked)));
        let foreign_site = headers.get_all("sec-fetch-site").iter().any(|site| {
            // `none` is the user's own doing, such as the address bar.
            site != "same-origin" && site != "none"
        });
        if foreign_origin || foreign_site {
            let details = "A web page of another origin may not change anything here.";
            return Err(Refusal::new(StatusCode::FORBIDDEN, title::REQUEST, details));
        }
        Ok(())
    }

    /// The origin that was asked, or, where a proxy in front changes the `Host`, a configured host. Another port of this
    /// machine's loopback is another program, so its pages are foreign.
    fn is_own_origin(&self, origin: &str, asked: &Authority) -> bool {
        let authority = ["http://", "https://"].iter().find_map(|scheme| origin.strip_prefix(scheme));
        let Some(authority) = authority.and_then(|text| text.parse::<Authority>().ok()) else { return false };
        authority.as_str().eq_ignore_ascii_case(asked.as_str()) || self.is_configured(authority.host())
    }

    fn has(&self, host: &str) -> bool {
        is_loopback(&Host::parse(host)) || self.is_configured(host)
    }

    fn is_configured(&self, host: &str) -> bool {
        match Host::parse(host) {
            host if is_loopback(&host) => false,
            Host::Name(name) => self.names.contains(&name),
            Host::Address(address) => {
                self.addresses.contains(&address) || self.addresses.iter().any(IpAddr::is_unspecified)
            }
        }
    }
}

enum Host {
    Name(String),
    Address(IpAddr),
}

impl Host {
    fn parse(text: &str) -> Self {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        let address = match bare {
            Some(bare) => bare.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            None => text.parse::<IpAddr>().ok(),
        };
        match address {
            Some(address) => Self::Address(address.to_canonical()),
            None => Self::Name(text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase()),
        }
    }
}

fn is_loopback(host: &Host) -> bool {
    match host {
        Host::Name(name) => name == "localhost",
        Host::Address(address) => address.is_loopback(),
    }
}

/// HTTP/2 says it in `:authority`, HTTP/1.1 in `Host` or, to a proxy, in the request's first line; never in two ways.
fn asked(parts: &Parts) -> Result<Authority, Refusal> {
    let mut said = parts.uri.authority().cloned();
    for host in parts.headers.get_all(HOST) {
        let host = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()).ok_or_else(no_host)?;
        match &said {
            Some(said) if *said != host => return Err(no_host()),
            _ => said = Some(host),
        }
    }
    said.filter(|authority| !authority.as_str().contains('@') && !authority.host().is_empty())
        .ok_or_else(no_host)
}

fn no_host() -> Refusal {
    Refusal::bad_request(title::REQUEST, "The request needs one valid Host header.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> HostPolicy {
        HostPolicy::new("cp.example", &["192.168.7.1:5681".parse().unwrap()], &["10.0.0.9".to_owned()])
    }

    fn parts(uri: &str, headers: &[(&'static str, &str)]) -> Parts {
        let mut request = http::Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_host_must_be_ours() {
        for (host, expected) in [
            ("localhost", 200),
            ("LOCALHOST.:5681", 200),
            ("127.0.0.1:1", 200),
            ("127.9.9.9", 200),
            ("[::1]:5681", 200),
            ("[::ffff:127.0.0.1]", 200),
            ("cp.example:5682", 200),
            ("10.0.0.9", 200),
            ("192.168.7.1:5681", 200),
            ("192.168.7.2", 421),
            ("evil.example", 421),
            ("localhost.evil.example", 421),
            ("127.0.0.1.evil.example", 421),
            ("0.0.0.0", 421),
            ("user@localhost", 400),
            ("a b", 400),
            ("", 400),
        ] {
            let answer = policy().admit(&parts("/meshes", &[("host", host)]));
            assert_eq!(answer.map_or_else(|refusal| refusal.status.as_u16(), |_| 200), expected, "{host}");
        }
    }

    #[test]
    fn the_host_is_said_once() {
        let status = |parts: &Parts| policy().admit(parts).map_or_else(|it| it.status.as_u16(), |_| 200);
        assert_eq!(status(&parts("/meshes", &[])), 400);
        assert_eq!(status(&parts("/meshes", &[("host", "localhost"), ("host", "evil.example")])), 400);
        assert_eq!(status(&parts("http://localhost/meshes", &[])), 200);
        assert_eq!(status(&parts("http://evil.example/meshes", &[])), 421);
        assert_eq!(status(&parts("http://evil.example/meshes", &[("host", "localhost")])), 400);
    }

    #[test]
    fn the_unspecified_address_admits_addresses_and_no_names() {
        let policy = HostPolicy::new("localhost", &["0.0.0.0:5681".parse().unwrap()], &[]);
        assert!(policy.has("203.0.113.5"));
        assert!(!policy.has("evil.example"));
    }

    #[test]
    fn a_write_of_another_origin_is_refused() {
        let asked: Authority = "localhost:5681".parse().unwrap();
        for (header, value, admitted) in [
            ("accept", "*/*", true),
            ("origin", "http://localhost:5681", true),
            ("origin", "https://cp.example", true),
            ("origin", "http://localhost:3000", false),
            ("origin", "http://127.0.0.1:5681", false),
            ("origin", "https://evil.example", false),
            ("origin", "null", false),
            ("sec-fetch-site", "same-origin", true),
            ("sec-fetch-site", "none", true),
            ("sec-fetch-site", "same-site", false),
            ("sec-fetch-site", "cross-site", false),
        ] {
            let parts = parts("/", &[(header, value)]);
            assert_eq!(policy().admit_write(&parts.headers, &asked).is_ok(), admitted, "{header}: {value}");
        }
    }
}
