//! One HTTP request, and the two ways in which it can end: an answer, or none.
//!
//! Proxies are those of the environment (`HTTPS_PROXY`, `NO_PROXY`), but never for this machine itself; https is
//! checked against the roots of the system.

use std::{error::Error, fs, net::IpAddr, path::Path, time::Duration};

use reqwest::{Method, StatusCode, Url, header};
use serde_json::Value;

/// Why no answer came. Its text has the URL and the reason, and no password.
#[derive(Debug, thiserror::Error)]
#[error("{method} {url}: {reason}")]
pub(crate) struct NoAnswer {
    method: Method,
    url: String,
    reason: String,
}

/// Why a client certificate could not be used: the file and the reason.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadCertificate(String);

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
    /// What the server says about a request that it has accepted: the texts of its `Warning: 299 - "…"` headers.
    pub(crate) warnings: Vec<String>,
}

impl Answer {
    /// For a message. Bytes that are no text are replaced.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).trim_end().to_owned()
    }
}

/// Makes requests to one server.
pub(crate) struct Http(reqwest::Client);

/// Whether an answer that names another place is followed there.
#[derive(Clone, Copy)]
pub(crate) enum Redirects {
    Followed,
    /// For an API: a PUT that was followed would arrive as a GET, and its answer would look like success.
    Shown,
}

pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) accept: Option<&'static str>,
    pub(crate) json: Option<&'a Value>,
    /// The longest wait, for connection and answer together.
    pub(crate) timeout: Duration,
}

impl Request<'_> {
    pub(crate) fn get(url: Url, timeout: Duration) -> Self {
        Self { method: Method::GET, url, accept: None, json: None, timeout }
    }
}

impl Http {
    /// For requests to the server of `url`, which is shown the certificate over https.
    pub(crate) fn to(
        url: &Url,
        redirects: Redirects,
        certificate: Option<&reqwest::Identity>,
    ) -> Result<Self, NoAnswer> {
        client(url, redirects, certificate).map(Self).map_err(|error| NoAnswer {
            method: Method::GET,
            url: without_password(url),
            reason: format!("cannot speak https: {}", innermost(&error)),
        })
    }

    pub(crate) async fn send(&self, request: Request<'_>) -> Result<Answer, NoAnswer> {
        let (method, url, timeout) =
            (request.method.clone(), without_password(&request.url), request.timeout);
        match self.try_send(request).await {
            Ok(answer) => {
                tracing::debug!(%method, %url, status = answer.status.as_u16(), "answered");
                Ok(answer)
            }
            Err(error) => Err(NoAnswer { method, url, reason: reason(&error, timeout) }),
        }
    }

    async fn try_send(&self, request: Request<'_>) -> reqwest::Result<Answer> {
        let mut builder = self.0.request(request.method, request.url).timeout(request.timeout);
        if let Some(media_type) = request.accept {
            builder = builder.header(header::ACCEPT, media_type);
        }
        if let Some(body) = request.json {
            builder = builder.json(body);
        }
        let answer = builder.send().await?;
        let headers = answer.headers().get_all(header::WARNING);
        let warnings = headers.iter().filter_map(|value| warning_text(value.to_str().ok()?)).collect();
        Ok(Answer { status: answer.status(), warnings, body: answer.bytes().await?.to_vec() })
    }
}

/// The quoted text of `299 - "text"`, without its escapes.
fn warning_text(value: &str) -> Option<String> {
    let quoted = value.strip_prefix("299 ")?.split_once('"')?.1.strip_suffix('"')?;
    let mut text = String::new();
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        text.push(if character == '\\' { characters.next()? } else { character });
    }
    Some(text)
}

/// A client certificate with its key, both PEM.
pub(crate) fn read_certificate(cert: &Path, key: &Path) -> Result<reqwest::Identity, BadCertificate> {
    let read = |path: &Path| {
        fs::read(path)
            .map_err(|error| BadCertificate(format!("open {}: {}", path.display(), io_reason(&error))))
    };
    let pem = [read(key)?, read(cert)?].concat();
    reqwest::Identity::from_pem(&pem).map_err(|error| {
        let files = format!("{} and {}", cert.display(), key.display());
        BadCertificate(format!("{files} are no PEM certificate with its key: {}", innermost(&error)))
    })
}

/// Whether `url` names this machine by a loopback address. No name but `localhost` is looked up.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// The reason alone, without the number of the error.
pub(crate) fn io_reason(error: &std::io::Error) -> String {
    without_number(&error.to_string())
}

fn client(
    url: &Url,
    redirects: Redirects,
    certificate: Option<&reqwest::Identity>,
) -> reqwest::Result<reqwest::Client> {
    let builder = || {
        let mut builder =
            reqwest::Client::builder().user_agent(concat!("kumactl/", env!("CARGO_PKG_VERSION")));
        if is_loopback(url) {
            builder = builder.no_proxy();
        }
        if matches!(redirects, Redirects::Shown) {
            builder = builder.redirect(reqwest::redirect::Policy::none());
        }
        if let Some(certificate) = certificate {
            builder = builder.identity(certificate.clone());
        }
        builder
    };
    match builder().build() {
        // A machine without any root certificates can still speak http; it trusts nobody over https.
        Err(_) if url.scheme() == "http" => builder().tls_certs_only([]).build(),
        other => other,
    }
}

/// For messages.
pub(crate) fn without_password(url: &Url) -> String {
    let mut url = url.clone();
    // Fails only for a URL that cannot have a password.
    let _ = url.set_password(None);
    url.into()
}

fn reason(error: &reqwest::Error, timeout: Duration) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", timeout.as_secs());
    }
    without_number(&innermost(error))
}

fn innermost(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

fn without_number(reason: &str) -> String {
    reason.split(" (os error ").next().unwrap_or(reason).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_are_this_machine() {
        for (url, expected) in [
            ("http://localhost:5681", true),
            ("http://127.0.0.7", true),
            ("https://[::1]:5682/cp", true),
            ("http://0.0.0.0:5681", false),
            ("http://localhost.example.org", false),
            ("http://192.168.0.1", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }

    #[test]
    fn a_warning_is_read_without_its_quotes() {
        for (value, text) in [
            (r#"299 - "conf[0]: no dataplane carries \"x\"""#, Some(r#"conf[0]: no dataplane carries "x""#)),
            (r#"110 - "Response is Stale""#, None),
            ("299 -", None),
        ] {
            assert_eq!(warning_text(value).as_deref(), text, "{value}");
        }
    }

    #[test]
    fn no_password_in_a_message() {
        let url = Url::parse("http://me:secret@cp.internal/meshes").unwrap();
        let error = NoAnswer { method: Method::GET, url: without_password(&url), reason: "refused".into() };
        assert_eq!(error.to_string(), "GET http://me@cp.internal/meshes: refused");
    }
}
