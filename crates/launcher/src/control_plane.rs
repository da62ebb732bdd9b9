//! Asking the control plane: its CA (`/ca.pem`), where its bootstraps are (`/catalogue`), and the bootstrap itself.
//!
//! The token is sent with the bootstrap request alone, and only over a connection that has been verified or does not leave
//! this machine. The one request that trusts nobody fetches the CA, which is believed only if the token names it.

use std::fmt;
use std::time::Duration;

use reqwest::{Client, ClientBuilder, RequestBuilder, StatusCode};
use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::bootstrap::{Bootstrap, BootstrapError};
use crate::token::{Owner, Token};
use crate::trust::{Roots, TrustError};

/// As Kuma 0.3.0.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A bootstrap has some kilobytes. What is longer is not read to its end.
const LARGEST_ANSWER: usize = 1024 * 1024;

/// What Envoy can be started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Onboarding {
    pub(crate) roots: Roots,
    pub(crate) bootstrap: Bootstrap,
}

/// The body of `POST /bootstrap`. A control plane ignores what it does not know.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BootstrapRequest<'a> {
    pub(crate) mesh: &'a str,
    pub(crate) name: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) admin_port: u16,
    /// Of this request's form.
    pub(crate) version: u32,
    pub(crate) work_dir: &'a str,
    pub(crate) envoy_version: &'a str,
    pub(crate) admin_socket: &'a str,
    pub(crate) access_log_pipe: &'a str,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlPlaneError {
    /// Worth another attempt: nobody answered, or somebody said that the control plane is not ready.
    #[error("the control plane at {address} is away: {reason}")]
    Away { address: String, reason: String },
    #[error(
        "the certificate of the control plane at {address} cannot be verified: {reason}; --cp-address must be a name that \
         the certificate has, and --ca-cert-file names another CA"
    )]
    Certificate { address: String, reason: String },
    #[error("{0}")]
    NotRegistered(String),
    #[error("the control plane refused {request}: {answer}{}", hint(*status))]
    Refused { request: String, status: StatusCode, answer: String },
    #[error("the answer of the control plane to {request} is not usable: {reason}; is --cp-address right?")]
    Unusable { request: String, reason: String },
    #[error(transparent)]
    Trust(#[from] TrustError),
}

/// The first step of `ask`, without which https cannot be spoken.
pub(crate) enum Trust<'a> {
    /// The CA that the control plane offers, if the token names it.
    Token,
    /// The CA that a person has named.
    Named(&'a Roots),
}

/// Asks for all that Envoy needs. Nothing is kept between two calls.
pub(crate) async fn ask(
    address: &Address,
    token: &Token,
    trust: Trust<'_>,
    request: &BootstrapRequest<'_>,
) -> Result<Onboarding, ControlPlaneError> {
    let roots = match trust {
        Trust::Named(roots) => roots.clone(),
        Trust::Token => offered_roots(address, token).await?,
    };
    let client = verifying_client(address, &roots)?;
    let bootstrap_address = bootstrap_address(&client, address).await?;
    let bootstrap = fetch_bootstrap(&client, address, &bootstrap_address, token, request).await?;
    Ok(Onboarding { roots, bootstrap })
}

async fn offered_roots(address: &Address, token: &Token) -> Result<Roots, ControlPlaneError> {
    if token.ca().is_none() {
        return Err(TrustError::NoPin.into());
    }
    // Whoever answers is not verified yet: what counts is only whether the CA fits the token.
    let client = build(client_for(address).tls_danger_accept_invalid_certs(true))?;
    let url = address.join("/ca.pem");
    let answer = send(address, client.get(url.clone())).await?;
    let pem = answer.expect_ok(&format!("GET {url}"))?;
    Ok(Roots::pinned(pem.as_bytes(), url.as_str(), token.ca())?)
}

/// `apis.bootstrap.url`, which must be as safe as the address that named it.
async fn bootstrap_address(client: &Client, address: &Address) -> Result<Address, ControlPlaneError> {
    #[derive(Deserialize)]
    struct Catalogue {
        apis: Apis,
    }
    #[derive(Deserialize)]
    struct Apis {
        bootstrap: Api,
    }
    #[derive(Deserialize)]
    struct Api {
        url: String,
    }

    let url = address.join("/catalogue");
    let request = format!("GET {url}");
    let unusable = |reason: String| ControlPlaneError::Unusable { request: request.clone(), reason };
    let body = send(address, client.get(url.clone())).await?.expect_ok(&request)?;
    let catalogue: Catalogue =
        serde_json::from_str(&body).map_err(|error| unusable(format!("it is not a catalogue: {error}")))?;
    let named = catalogue.apis.bootstrap.url;
    let bootstrap = Address::parse(&named)
        .map_err(|reason| unusable(format!("it offers no bootstrap that can be used: {reason}")))?;
    if address.is_https() && !bootstrap.is_https() {
        return Err(unusable(format!("it leads from https to {bootstrap}")));
    }
    Ok(bootstrap)
}

async fn fetch_bootstrap(
    client: &Client,
    api: &Address,
    address: &Address,
    token: &Token,
    request: &BootstrapRequest<'_>,
) -> Result<Bootstrap, ControlPlaneError> {
    let url = address.join("/bootstrap");
    let described = format!("POST {url}");
    let answer = send(address, client.post(url).bearer_auth(token.expose()).json(request)).await?;
    if answer.status == StatusCode::NOT_FOUND {
        let owner = Owner { mesh: request.mesh.to_owned(), name: request.name.to_owned() };
        return Err(ControlPlaneError::NotRegistered(register_first(api, &owner, &answer)));
    }
    let yaml = answer.expect_ok(&described)?;
    Bootstrap::parse(yaml).map_err(|error: BootstrapError| ControlPlaneError::Unusable {
        request: described,
        reason: error.to_string(),
    })
}

fn register_first(api: &Address, owner: &Owner, answer: &Answer) -> String {
    let Owner { mesh, name } = owner;
    let path = api.join(&format!("/meshes/{mesh}/dataplanes/{name}"));
    let curl = if api.is_https() {
        String::new()
    } else {
        format!(", or `curl -XPUT {path} --data @dataplane.json -H'content-type: application/json'`")
    };
    let details = answer.problem().map(|problem| problem.details).filter(|details| !details.is_empty());
    let said = details.map(|details| format!(" (it says: {details})")).unwrap_or_default();
    format!(
        "the control plane at {api} knows no dataplane {name} in mesh {mesh}{said}; register it first: \
         `kumactl apply -f dataplane.yaml`{curl}"
    )
}

fn client_for(address: &Address) -> ClientBuilder {
    let client = Client::builder()
        .timeout(TIMEOUT)
        // A redirect could lead anywhere, and the token with it.
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("kuma-dp/", env!("CARGO_PKG_VERSION")));
    // Plain http does not leave this machine, so no proxy of the environment may get it.
    if address.is_https() { client } else { client.no_proxy() }
}

fn verifying_client(address: &Address, roots: &Roots) -> Result<Client, ControlPlaneError> {
    let certificates = reqwest::Certificate::from_pem_bundle(roots.pem().as_bytes()).map_err(|error| {
        TrustError::NotCertificates {
            origin: "the CA of the control plane".to_owned(),
            reason: error.to_string(),
        }
    })?;
    build(client_for(address).tls_certs_only(certificates))
}

fn build(client: ClientBuilder) -> Result<Client, ControlPlaneError> {
    client.build().map_err(|error| {
        TrustError::NotCertificates {
            origin: "the CA of the control plane".to_owned(),
            reason: root_cause(&error),
        }
        .into()
    })
}

/// A whole answer of any status.
struct Answer {
    status: StatusCode,
    body: String,
}

async fn send(address: &Address, request: RequestBuilder) -> Result<Answer, ControlPlaneError> {
    let failed = |error: reqwest::Error| match certificate_problem(&error) {
        Some(reason) => ControlPlaneError::Certificate { address: address.to_string(), reason },
        None => ControlPlaneError::Away { address: address.to_string(), reason: root_cause(&error) },
    };
    let mut response = request.send().await.map_err(failed)?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        body.extend_from_slice(&chunk);
        if body.len() > LARGEST_ANSWER {
            return Err(ControlPlaneError::Unusable {
                request: response.url().to_string(),
                reason: format!("it is longer than {LARGEST_ANSWER} bytes"),
            });
        }
    }
    let answer = Answer { status, body: String::from_utf8_lossy(&body).into_owned() };
    match status {
        StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT
        | StatusCode::TOO_MANY_REQUESTS => {
            Err(ControlPlaneError::Away { address: address.to_string(), reason: answer.describe() })
        }
        _ => Ok(answer),
    }
}

impl Answer {
    fn expect_ok(self, request: &str) -> Result<String, ControlPlaneError> {
        if self.status == StatusCode::OK {
            return Ok(self.body);
        }
        let answer = self.describe();
        Err(ControlPlaneError::Refused { request: request.to_owned(), status: self.status, answer })
    }

    fn describe(&self) -> String {
        let problem = self.problem().map(|problem| format!(", {problem}")).unwrap_or_default();
        format!("{}{problem}", self.status)
    }

    fn problem(&self) -> Option<Problem> {
        serde_json::from_str(&self.body).ok()
    }
}

/// The error body of Kuma's API; as a sentence `TITLE (DETAILS): FIELD: MESSAGE; …`.
#[derive(Deserialize)]
struct Problem {
    title: String,
    #[serde(default)]
    details: String,
    #[serde(default)]
    causes: Vec<Cause>,
}

#[derive(Deserialize)]
struct Cause {
    field: String,
    message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.title)?;
        if !self.details.is_empty() {
            write!(formatter, " ({})", self.details)?;
        }
        for (index, Cause { field, message }) in self.causes.iter().enumerate() {
            let separator = if index == 0 { ":" } else { ";" };
            write!(formatter, "{separator} {field}: {message}")?;
        }
        Ok(())
    }
}

fn hint(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "; the token is not, or no longer, one of this control plane: make a new one with \
             `kumactl generate dataplane-token`"
        }
        _ => "",
    }
}

/// A certificate does not get better by waiting, though reqwest calls it a failure to connect.
fn certificate_problem(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    match error.downcast_ref::<rustls::Error>() {
        Some(tls @ rustls::Error::InvalidCertificate(_)) => return Some(tls.to_string()),
        Some(_) => return None,
        None => {}
    }
    // An I/O error leaves out, of what it wraps, the outermost error itself.
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    match wrapped {
        Some(inner) => certificate_problem(inner),
        None => certificate_problem(error.source()?),
    }
}

/// The innermost error says most: `Connection refused (os error 111)`.
fn root_cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", TIMEOUT.as_secs());
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's `skip_serializing_if` passes a reference")]
fn is_zero(port: &u16) -> bool {
    *port == 0
}
