//! The server of dataplane tokens: where it is, and asking it. Behaviour and texts are those of Kuma 0.3.0.
//!
//! The catalogue of the control plane names two addresses. From the same machine the local one is used; from another
//! only the public one, over https with the client certificate of the configuration, because a token is a secret.

use std::{path::Path, time::Duration};

use reqwest::{Method, StatusCode, Url};
use serde::{Deserialize, Serialize};

use crate::{
    client::{self, Refusal},
    configuration::TokenApiCredentials,
    http::{self, Answer, BadCertificate, Http, NoAnswer, Redirects, Request},
};

const TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) struct TokenServer {
    url: Url,
    http: Http,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TokenRequest<'a> {
    pub(crate) name: &'a str,
    pub(crate) mesh: &'a str,
    /// As `24h`. Without it the token has no end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) valid_for: Option<&'a str>,
}

/// Each has its cause as its source.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("failed to create dataplane token client")]
    NoClient(#[source] NoClient),
    #[error("failed to generate a dataplane token")]
    NotGenerated(#[source] NoToken),
}

/// Why the token server was not found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoClient {
    #[error(transparent)]
    Catalogue(#[from] NoToken),
    #[error("could not unmarshal the catalogue of the Control Plane: {0}")]
    Unreadable(String),
    #[error("Enable the server to be able to generate tokens.")]
    Disabled,
    #[error(
        "kumactl is trying to access dataplane token server in remote machine but: {0}. Generate the token on the \
         machine of the control plane, or see --dataplane-token-client-cert of `kumactl config control-planes add`"
    )]
    Remote(&'static str),
    #[error("certificates has to be configured to use https destination")]
    NoCertificate,
    #[error("could not configure tls for dataplane token client")]
    BadCertificate(#[from] BadCertificate),
}

/// Why a request brought nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoToken {
    #[error("unexpected status code {status}. Expected 200{}", .refusal.as_ref().map(|it| format!(": {it}")).unwrap_or_default())]
    Status { status: u16, refusal: Option<Refusal> },
    #[error("could not execute the request")]
    NoAnswer(#[from] NoAnswer),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Catalogue {
    apis: Apis,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Apis {
    dataplane_token: TokenApi,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TokenApi {
    local_url: String,
    public_url: String,
}

impl TokenServer {
    /// Looks the server up in the catalogue of the control plane at `address`.
    pub(crate) async fn find(
        address: &Url,
        credentials: Option<&TokenApiCredentials>,
    ) -> Result<Self, TokenError> {
        find(address, credentials).await.map_err(TokenError::NoClient)
    }

    pub(crate) async fn generate(&self, wanted: &TokenRequest<'_>) -> Result<String, TokenError> {
        let body = serde_json::json!(wanted);
        let request =
            Request { method: Method::POST, json: Some(&body), ..Request::get(self.url.clone(), TIMEOUT) };
        let answer = ask(&self.http, request).await.map_err(TokenError::NotGenerated)?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }
}

async fn find(address: &Url, credentials: Option<&TokenApiCredentials>) -> Result<TokenServer, NoClient> {
    let unreadable = |reason: &dyn ToString| NoClient::Unreadable(reason.to_string());
    let catalogue = client::append(address, &["catalogue"]).map_err(|error| unreadable(&error))?;
    let http = Http::to(address, Redirects::Shown, None).map_err(NoToken::from)?;
    let answer = ask(&http, Request::get(catalogue, TIMEOUT)).await?;
    let catalogue: Catalogue = serde_json::from_slice(&answer.body).map_err(|error| unreadable(&error))?;

    let certificate =
        credentials.and_then(|it| Some((it.client_cert.as_deref()?, it.client_key.as_deref()?)));
    let destination = destination(&catalogue.apis.dataplane_token, http::is_loopback(address), certificate)?;
    let url = Url::parse(destination.url)
        .map_err(|error| unreadable(&format!("\"{}\": {error}", destination.url)))?;
    let certificate =
        destination.certificate.map(|(cert, key)| http::read_certificate(cert, key)).transpose()?;
    let http = Http::to(&url, Redirects::Shown, certificate.as_ref()).map_err(NoToken::from)?;
    Ok(TokenServer { url: client::append(&url, &["tokens"]).map_err(|error| unreadable(&error))?, http })
}

async fn ask(http: &Http, request: Request<'_>) -> Result<Answer, NoToken> {
    let answer = http.send(request).await?;
    match answer.status {
        StatusCode::OK => Ok(answer),
        status => Err(NoToken::Status { status: status.as_u16(), refusal: Refusal::read(&answer) }),
    }
}

#[derive(Debug, PartialEq)]
struct Destination<'a> {
    url: &'a str,
    /// To be shown there: certificate and key.
    certificate: Option<(&'a Path, &'a Path)>,
}

/// Which of the two addresses to use, or which side lacks what it takes.
fn destination<'a>(
    api: &'a TokenApi,
    is_local: bool,
    certificate: Option<(&'a Path, &'a Path)>,
) -> Result<Destination<'a>, NoClient> {
    if api.local_url.is_empty() {
        return Err(NoClient::Disabled);
    }
    let is_https = |url: &str| url.starts_with("https:");
    let url = if is_local { &api.local_url } else { &api.public_url };
    match (is_local, is_https(&api.public_url), certificate.is_some()) {
        (true, _, _) | (false, true, true) => {}
        (false, false, false) => {
            return Err(NoClient::Remote(
                "both kumactl and dataplane token server in kuma-cp are not configured with TLS",
            ));
        }
        (false, true, false) => {
            return Err(NoClient::Remote(
                "dataplane token server in kuma-cp is configured with TLS and kumactl is not",
            ));
        }
        (false, false, true) => {
            return Err(NoClient::Remote(
                "kumactl is configured with TLS and dataplane token server in kuma-cp is not",
            ));
        }
    }
    match (is_https(url), certificate) {
        (true, None) => Err(NoClient::NoCertificate),
        (true, certificate) => Ok(Destination { url, certificate }),
        (false, _) => Ok(Destination { url, certificate: None }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: &str = "http://localhost:5679";
    const PUBLIC: &str = "https://cp.internal:5684";

    fn check(
        local_url: &str,
        public_url: &str,
        is_local: bool,
        has_certificate: bool,
        expected: Result<&str, &str>,
    ) {
        let api = TokenApi { local_url: local_url.into(), public_url: public_url.into() };
        let certificate = has_certificate.then_some((Path::new("cert.pem"), Path::new("key.pem")));
        match (destination(&api, is_local, certificate), expected) {
            (Ok(destination), Ok(expected)) => {
                assert_eq!(destination.url, expected);
                assert_eq!(destination.certificate.is_some(), expected.starts_with("https"));
            }
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
            (got, expected) => panic!("{got:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn on_the_same_machine_the_local_address_is_used() {
        check(LOCAL, "", true, false, Ok(LOCAL));
        check(LOCAL, PUBLIC, true, true, Ok(LOCAL));
        check(PUBLIC, "", true, true, Ok(PUBLIC));
        check(PUBLIC, "", true, false, Err("certificates has to be configured"));
        check("", PUBLIC, true, true, Err("Enable the server"));
    }

    #[test]
    fn from_another_machine_both_sides_need_tls() {
        check(LOCAL, PUBLIC, false, true, Ok(PUBLIC));
        check(LOCAL, "", false, false, Err("both kumactl and dataplane token server"));
        check(LOCAL, PUBLIC, false, false, Err("is configured with TLS and kumactl is not"));
        check(LOCAL, "", false, true, Err("kumactl is configured with TLS and"));
        check("", PUBLIC, false, true, Err("Enable the server"));
    }

    #[test]
    fn a_token_never_leaves_for_another_machine_in_the_clear() {
        check(LOCAL, "http://cp.internal:5679", false, true, Err("kumactl is configured with TLS and"));
    }
}
