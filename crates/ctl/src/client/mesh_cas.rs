//! The certificate authorities of a mesh, and the steps in which they are replaced.

use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde_json::Value;

use super::{Client, ClientError, List, Refusal, understood, unreadable};
use crate::http::{self, Answer};

/// What a control plane says of a path that it does not know.
const NO_PATH: &str = "Could not process the request";

/// Whether a step may part proxies from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// The control plane refuses it until every proxy is ready for it.
    On,
    /// It is done at once.
    Off,
}

/// What has become of a step.
#[derive(Debug)]
pub(crate) enum Stepped {
    Done,
    /// Proxies are not ready for it, in the control plane's words.
    NotYet(Refusal),
}

/// Read leniently, because a newer control plane may say more.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct MeshCa {
    pub(crate) id: String,
    pub(crate) signs: bool,
    pub(crate) not_after: String,
    pub(crate) proxies: MeshCaProxies,
}

/// Of the proxies that need certificates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct MeshCaProxies {
    /// Those that there are Dataplanes for. 0, too, of a control plane that does not say.
    pub(crate) dataplanes: u64,
    pub(crate) connected: u64,
    pub(crate) trusting: u64,
    pub(crate) using: u64,
}

impl Client {
    /// The oldest first, in the API's words.
    pub(crate) async fn mesh_cas(&self, mesh: &str) -> Result<Vec<Value>, ClientError> {
        let url = self.url(&path(mesh))?;
        let answer = self.ask(Method::GET, url.clone(), None).await?;
        if let Some(error) = unknown(&url, &answer) {
            return Err(error);
        }
        let List { items } = understood(&url, &answer)?;
        Ok(items.unwrap_or_default())
    }

    /// Makes a new one, which is trusted and does not sign yet.
    pub(crate) async fn make_mesh_ca(&self, mesh: &str) -> Result<MeshCa, ClientError> {
        let url = self.url(&path(mesh))?;
        let answer = self.ask(Method::POST, url.clone(), None).await?;
        match answer.status {
            StatusCode::OK => serde_json::from_slice(&answer.body).map_err(|error| unreadable(&url, &error)),
            _ => Err(unknown(&url, &answer).unwrap_or_else(|| ClientError::unexpected(&answer))),
        }
    }

    pub(crate) async fn sign_with_mesh_ca(
        &self,
        mesh: &str,
        id: &str,
        guard: Guard,
    ) -> Result<Stepped, ClientError> {
        let url = self.url(&[&path(mesh)[..], &[id, "signing"]].concat())?;
        self.step(Method::POST, url, guard).await
    }

    pub(crate) async fn retire_mesh_ca(
        &self,
        mesh: &str,
        id: &str,
        guard: Guard,
    ) -> Result<Stepped, ClientError> {
        let url = self.url(&[&path(mesh)[..], &[id]].concat())?;
        self.step(Method::DELETE, url, guard).await
    }

    async fn step(&self, method: Method, mut url: Url, guard: Guard) -> Result<Stepped, ClientError> {
        if guard == Guard::Off {
            url.set_query(Some("force=true"));
        }
        let answer = self.ask(method, url.clone(), None).await?;
        match (answer.status, Refusal::read(&answer)) {
            (StatusCode::OK, _) => Ok(Stepped::Done),
            (StatusCode::CONFLICT, Some(refusal)) if guard == Guard::On => Ok(Stepped::NotYet(refusal)),
            _ => Err(unknown(&url, &answer).unwrap_or_else(|| ClientError::unexpected(&answer))),
        }
    }
}

fn path(mesh: &str) -> [&str; 3] {
    ["meshes", mesh, "certificate-authorities"]
}

/// The error if the control plane is older than these requests are.
fn unknown(url: &Url, answer: &Answer) -> Option<ClientError> {
    let is_known = Refusal::read(answer).is_some_and(|refusal| refusal.title != NO_PATH);
    (answer.status == StatusCode::NOT_FOUND && !is_known)
        .then(|| ClientError::NoMeshCas(http::without_password(url)))
}
