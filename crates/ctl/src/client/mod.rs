//! The control plane's API as `kumactl` needs it, and the forms in which it refuses.
//!
//! The requests are those of Kuma 0.3.0's `kumactl`; what is not known in an answer is ignored, so that an older
//! `kumactl` works with a newer control plane.

mod mesh_cas;
mod tokens;

use std::{fmt, time::Duration};

use model::{Kind, Scope};
use reqwest::{Method, StatusCode, Url};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

pub(crate) use mesh_cas::{Guard, MeshCa, MeshCaProxies, Stepped};
pub(crate) use tokens::{Token, TokenKey};

use crate::http::{self, Answer, Http, NoAnswer, Redirects, Request};

/// What the API says of a path that it knows, where there is nothing now.
const NO_RESOURCE: &str = "Could not retrieve a resource";

const TIMEOUT: Duration = Duration::from_mins(1);

pub(crate) struct Client {
    address: Url,
    http: Http,
}

/// Why the control plane did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// It said so itself, in the error body of its API.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Something answered, but not in the API's words.
    #[error("({status}): {body}")]
    Unexpected { status: u16, body: String },
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
    #[error("the answer of {url} is not what a control plane says: {reason}")]
    Unreadable { url: String, reason: String },
    /// It is older than transactions are.
    #[error(
        "there are no transactions at {0}, so that several documents cannot be applied all or nothing; check the address, \
         or, if the control plane is an older one, apply each document alone"
    )]
    NoTransactions(String),
    #[error(
        "there is no Dataplane with name \"{name}\" in mesh \"{mesh}\"; `kumactl get dataplanes --mesh {mesh}` lists those \
         that are there"
    )]
    NoDataplane { mesh: String, name: String },
    /// It is older than inspections are.
    #[error("nothing can be inspected at {0}; check the address, or use a newer control plane")]
    NoInspections(String),
    /// It is older than revocations are.
    #[error("there is no token revocation at {0}; check the address, or use a newer control plane")]
    NoRevocations(String),
    /// It is older than requests for certificate authorities are.
    #[error("there are no certificate authorities at {0}; check the address, or use a newer control plane")]
    NoMeshCas(String),
    /// Such a name would lead to another path of the API.
    #[error("\"{0}\" cannot be a name: use numbers, lowercase latin letters and '-', '_' symbols")]
    NoName(String),
}

/// How much is asked for of each Envoy resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    Summary,
    /// With its content.
    Full,
}

/// The API's error body. Printed as its title, its details and a line for each cause.
#[derive(Debug, Deserialize, thiserror::Error)]
pub(crate) struct Refusal {
    title: String,
    details: String,
    #[serde(default)]
    causes: Option<Vec<Cause>>,
}

#[derive(Deserialize)]
struct List<T> {
    items: Option<Vec<T>>,
}

#[derive(Debug, Deserialize)]
struct Cause {
    field: String,
    message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.title, self.details)?;
        for Cause { field, message } in self.causes.iter().flatten() {
            write!(f, "\n* {field}: {message}")?;
        }
        Ok(())
    }
}

impl Refusal {
    /// `None` if the answer is not in the API's words: both title and details are said there.
    pub(crate) fn read(answer: &Answer) -> Option<Self> {
        let refusal: Self = serde_json::from_slice(&answer.body).ok()?;
        (!refusal.title.is_empty() && !refusal.details.is_empty()).then_some(refusal)
    }
}

impl Refusal {
    /// The same in the words of whoever has asked: `name` says what a field of the request is to them.
    pub(crate) fn with_fields(mut self, name: impl Fn(&str) -> String) -> Self {
        for cause in self.causes.iter_mut().flatten() {
            cause.field = name(&cause.field);
        }
        self
    }
}

impl ClientError {
    fn unexpected(answer: &Answer) -> Self {
        match Refusal::read(answer) {
            Some(refusal) => Self::Refused(refusal),
            None => Self::Unexpected { status: answer.status.as_u16(), body: answer.text() },
        }
    }

    /// Says what was tried, except where that is said already.
    pub(crate) fn while_trying(self, what: impl fmt::Display + Send + Sync + 'static) -> anyhow::Error {
        match self {
            Self::Refused(refusal) => refusal.into(),
            Self::NoDataplane { .. } => self.into(),
            other => anyhow::Error::new(other).context(what),
        }
    }
}

impl Client {
    /// `address` may have a path of its own; the API's paths are appended to it.
    pub(crate) fn new(address: Url) -> Result<Self, ClientError> {
        let http = Http::to(&address, Redirects::Shown, None)?;
        Ok(Self { address, http })
    }

    /// Everything of a kind in a mesh, in the control plane's order. For [`Scope::Global`] kinds the mesh is ignored.
    pub(crate) async fn list(&self, kind: Kind, mesh: &str) -> Result<Vec<Value>, ClientError> {
        self.items(self.url(&collection(kind, mesh))?).await
    }

    /// The dataplanes of a mesh with their insights, those that carry all the tags.
    pub(crate) async fn overviews(
        &self,
        mesh: &str,
        tags: &[(String, String)],
    ) -> Result<Vec<Value>, ClientError> {
        let mut url = self.url(&["meshes", mesh, "dataplanes+insights"])?;
        if !tags.is_empty() {
            let pairs = tags.iter().map(|(key, value)| ("tag", format!("{key}:{value}")));
            url.query_pairs_mut().extend_pairs(pairs);
        }
        self.items(url).await
    }

    /// Not there is a refusal with status 404; a 404 of something else on that port is an error.
    pub(crate) async fn exists(&self, kind: Kind, mesh: &str, name: &str) -> Result<bool, ClientError> {
        let answer = self.ask(Method::GET, self.entity(kind, mesh, name)?, None).await?;
        match answer.status {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND if Refusal::read(&answer).is_some() => Ok(false),
            _ => Err(ClientError::unexpected(&answer)),
        }
    }

    /// Creates or replaces the whole entity. The server's warnings: it was accepted, but will not do what it may seem to.
    pub(crate) async fn put(
        &self,
        kind: Kind,
        mesh: &str,
        name: &str,
        entity: &Value,
    ) -> Result<Vec<String>, ClientError> {
        let answer = self.ask(Method::PUT, self.entity(kind, mesh, name)?, Some(entity)).await?;
        match answer.status {
            StatusCode::OK | StatusCode::CREATED => Ok(answer.warnings),
            _ => Err(ClientError::unexpected(&answer)),
        }
    }

    /// Creates or replaces all of the entities or, if it refuses one, none. The server's warnings, as for
    /// [`Client::put`].
    pub(crate) async fn put_all<'a>(
        &self,
        entities: impl IntoIterator<Item = &'a Value>,
    ) -> Result<Vec<String>, ClientError> {
        let operations: Vec<Value> =
            entities.into_iter().map(|entity| json!({"op": "put", "resource": entity})).collect();
        let transaction = json!({"operations": operations});
        let url = self.url(&["transactions"])?;
        let answer = self.ask(Method::POST, url.clone(), Some(&transaction)).await?;
        match answer.status {
            StatusCode::OK => Ok(answer.warnings),
            StatusCode::NOT_FOUND => Err(ClientError::NoTransactions(http::without_password(&url))),
            _ => Err(ClientError::unexpected(&answer)),
        }
    }

    pub(crate) async fn delete(&self, kind: Kind, mesh: &str, name: &str) -> Result<(), ClientError> {
        let answer = self.ask(Method::DELETE, self.entity(kind, mesh, name)?, None).await?;
        match answer.status {
            StatusCode::OK => Ok(()),
            _ => Err(ClientError::unexpected(&answer)),
        }
    }

    /// What the proxy of a Dataplane should have and has, in the API's words.
    pub(crate) async fn inspection(
        &self,
        mesh: &str,
        name: &str,
        detail: Detail,
    ) -> Result<Value, ClientError> {
        let mut url = self.url(&["meshes", mesh, Kind::Dataplane.path(), name, "xds"])?;
        if detail == Detail::Full {
            url.set_query(Some("full=true"));
        }
        let answer = self.ask(Method::GET, url.clone(), None).await?;
        match answer.status {
            StatusCode::OK => serde_json::from_slice(&answer.body).map_err(|error| unreadable(&url, &error)),
            StatusCode::NOT_FOUND => Err(match Refusal::read(&answer) {
                Some(refusal) if refusal.title == NO_RESOURCE => {
                    ClientError::NoDataplane { mesh: mesh.to_owned(), name: name.to_owned() }
                }
                _ => ClientError::NoInspections(http::without_password(&url)),
            }),
            _ => Err(ClientError::unexpected(&answer)),
        }
    }

    async fn items<T: DeserializeOwned>(&self, url: Url) -> Result<Vec<T>, ClientError> {
        let List { items } = self.answered(Method::GET, url, None).await?;
        Ok(items.unwrap_or_default())
    }

    /// What is answered with status 200.
    async fn answered<T: DeserializeOwned>(
        &self,
        method: Method,
        url: Url,
        json: Option<&Value>,
    ) -> Result<T, ClientError> {
        let answer = self.ask(method, url.clone(), json).await?;
        understood(&url, &answer)
    }

    async fn ask(&self, method: Method, url: Url, json: Option<&Value>) -> Result<Answer, ClientError> {
        let request =
            Request { method, json, accept: Some("application/json"), ..Request::get(url, TIMEOUT) };
        Ok(self.http.send(request).await?)
    }

    fn entity(&self, kind: Kind, mesh: &str, name: &str) -> Result<Url, ClientError> {
        self.url(&[collection(kind, mesh).as_slice(), &[name]].concat())
    }

    fn url(&self, path: &[&str]) -> Result<Url, ClientError> {
        append(&self.address, path)
    }
}

fn collection(kind: Kind, mesh: &str) -> Vec<&str> {
    match kind.scope() {
        Scope::Global => vec![kind.path()],
        Scope::Mesh => vec!["meshes", mesh, kind.path()],
    }
}

fn understood<T: DeserializeOwned>(url: &Url, answer: &Answer) -> Result<T, ClientError> {
    if answer.status != StatusCode::OK {
        return Err(ClientError::unexpected(answer));
    }
    serde_json::from_slice(&answer.body).map_err(|error| unreadable(url, &error))
}

fn unreadable(url: &Url, reason: &dyn ToString) -> ClientError {
    ClientError::Unreadable { url: http::without_password(url), reason: reason.to_string() }
}

/// The address with further segments, each encoded, so that a `/` in a name stays in the name.
pub(crate) fn append(address: &Url, path: &[&str]) -> Result<Url, ClientError> {
    // These three change what the path means, and there is no way to encode them.
    if let Some(name) = path.iter().find(|name| matches!(**name, "" | "." | "..")) {
        return Err(ClientError::NoName((*name).to_owned()));
    }
    let mut url = address.clone();
    match url.path_segments_mut() {
        Ok(mut segments) => segments.pop_if_empty().extend(path),
        Err(()) => {
            return Err(unreadable(address, &"it is not an http URL"));
        }
    };
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(address: &str, path: &[&str]) -> Result<String, String> {
        append(&Url::parse(address).unwrap(), path).map(String::from).map_err(|error| error.to_string())
    }

    #[test]
    fn paths_are_appended_to_the_address() {
        for (address, path, expected) in [
            ("http://cp:5681", &["meshes"][..], "http://cp:5681/meshes"),
            ("http://cp:5681/", &["meshes"], "http://cp:5681/meshes"),
            ("http://cp/a/b/", &["meshes", "m"], "http://cp/a/b/meshes/m"),
            ("http://cp", &["meshes", "m", "dataplanes+insights"], "http://cp/meshes/m/dataplanes+insights"),
            ("http://cp", &["meshes", "a/b?c"], "http://cp/meshes/a%2Fb%3Fc"),
        ] {
            assert_eq!(url(address, path).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn a_name_cannot_lead_to_another_path() {
        for name in ["", ".", ".."] {
            assert!(url("http://cp", &["meshes", name]).unwrap_err().contains("cannot be a name"), "{name}");
        }
    }

    #[test]
    fn a_refusal_has_a_line_for_each_cause() {
        let body = br#"{"title":"Could not create a resource","details":"Resource is not valid","more":1,
            "causes":[{"field":"name","message":"cannot be empty"},{"field":"mesh","message":"is odd"}]}"#;
        let answer = Answer { status: StatusCode::BAD_REQUEST, body: body.to_vec(), warnings: Vec::new() };
        assert_eq!(
            Refusal::read(&answer).unwrap().to_string(),
            "Could not create a resource (Resource is not valid)\n* name: cannot be empty\n* mesh: is odd"
        );
    }

    #[test]
    fn what_is_not_in_the_api_s_words_is_shown_as_it_came() {
        for body in ["bad gateway\n", "{}", r#"{"title":"","details":""}"#] {
            let answer = Answer { status: StatusCode::BAD_GATEWAY, body: body.into(), warnings: Vec::new() };
            let error = ClientError::unexpected(&answer).while_trying("failed to list Meshes");
            assert_eq!(format!("{error:#}"), format!("failed to list Meshes: (502): {}", body.trim_end()));
        }
    }
}
