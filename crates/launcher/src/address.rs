//! Where the control plane's HTTP API is.
//!
//! An [`Address`] is one to which a token may be sent: https anywhere, plain http on this machine only. There is no flag that
//! turns this off (Kuma's GHSA-wvmp-6r4v-j6cv was a kuma-dp that sent its token to whoever answered).

use std::fmt;
use std::net::IpAddr;

use reqwest::Url;

/// An absolute URL, perhaps with a path of its own, to which paths are appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address(Url);

impl Address {
    /// The error is a sentence for the person who wrote the URL.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text)
            .map_err(|error| format!("`{text}` is not a URL such as http://localhost:5681: {error}"))?;
        let host = url.host_str().unwrap_or_default();
        if !matches!(url.scheme(), "http" | "https") || host.is_empty() {
            return Err(format!("`{text}` is not a URL such as http://localhost:5681"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a user name or password in the URL would end up in logs; leave it out".to_owned());
        }
        if url.scheme() == "http" && !is_loopback(host) {
            return Err(format!(
                "http to {host} would send the dataplane's token in plain text over the network; \
                 use https, if {host} serves it: a kuma-cp by itself serves its own machine only"
            ));
        }
        Ok(Self(url))
    }

    pub(crate) fn join(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}{path}", self.0.path().trim_end_matches('/')));
        url
    }

    pub(crate) fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

fn is_loopback(host: &str) -> bool {
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || literal.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_goes_anywhere_and_http_stays_on_this_machine() {
        for text in [
            "http://localhost:5681",
            "http://127.0.0.1:5681/",
            "http://127.8.7.6",
            "http://[::1]:5681",
            "https://cp.example.org:5682/kuma",
        ] {
            assert!(Address::parse(text).is_ok(), "{text}");
        }
        for (text, reason) in [
            ("http://cp.example.org:5681", "use https, if cp.example.org serves it"),
            ("http://localhost.example.org", "plain text"),
            ("http://10.0.0.1", "plain text"),
            ("https://me:secret@cp.example.org", "leave it out"),
            ("localhost:5681", "such as http://localhost:5681"),
            ("ftp://localhost", "such as http://localhost:5681"),
            ("", "such as http://localhost:5681"),
        ] {
            let error = Address::parse(text).expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn paths_are_appended_to_the_address() {
        for (address, joined) in [
            ("http://localhost:5681", "http://localhost:5681/catalogue"),
            ("https://cp/kuma/", "https://cp/kuma/catalogue"),
            ("https://cp/kuma", "https://cp/kuma/catalogue"),
        ] {
            let address = Address::parse(address).expect("these addresses are good");
            assert_eq!(address.join("/catalogue").as_str(), joined);
        }
    }
}
