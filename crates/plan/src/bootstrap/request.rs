//! What a proxy asks for, and whether it can be had.

use std::num::NonZeroU16;

use model::wire;
use serde::Deserialize;

/// The body of `POST /bootstrap`: the first four fields are Kuma 0.3.0's, the others our kuma-dp's. What is absent, null,
/// empty or 0 is not announced, and a field that is not known is ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BootstrapRequest {
    #[serde(deserialize_with = "wire::scalar")]
    pub mesh: String,
    #[serde(deserialize_with = "wire::scalar")]
    pub name: String,
    /// Where Envoy's administration is to listen.
    #[serde(deserialize_with = "wire::uint32")]
    pub admin_port: u32,
    /// An absolute path. The token in it is never sent.
    #[serde(deserialize_with = "wire::scalar")]
    pub dataplane_token_path: String,
    /// Of the rest of this request.
    #[serde(deserialize_with = "wire::uint32")]
    pub version: u32,
    /// An absolute path: the folder in which kuma-dp keeps `token.yaml` and `cp_ca.yaml`.
    #[serde(deserialize_with = "wire::scalar")]
    pub work_dir: String,
    /// Of the Envoy that is going to be started. All that are supported are told the same.
    #[serde(deserialize_with = "wire::scalar")]
    pub envoy_version: String,
    /// An absolute path: the FIFO from which kuma-dp reads access logs.
    #[serde(deserialize_with = "wire::scalar")]
    pub access_log_pipe: String,
    /// An absolute path: the socket on which Envoy's administration is to listen when it has no port.
    #[serde(deserialize_with = "wire::scalar")]
    pub admin_socket: String,
}

/// Why there is no bootstrap for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct BootstrapError {
    /// As the request spells it.
    pub field: &'static str,
    pub problem: BootstrapProblem,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BootstrapProblem {
    #[error("must not be empty")]
    Empty,
    #[error("must be an absolute path")]
    RelativePath,
    #[error("must not contain control characters")]
    ControlCharacter,
    #[error("must be a port, from 1 to 65535, or 0 for none")]
    NotAPort,
}

/// A request that can be answered.
pub(super) struct Valid<'a> {
    pub(super) mesh: &'a str,
    pub(super) name: &'a str,
    pub(super) admin_port: Option<NonZeroU16>,
    pub(super) dataplane_token_path: Option<&'a str>,
    pub(super) version: Option<u32>,
    pub(super) work_dir: Option<&'a str>,
    pub(super) access_log_pipe: Option<&'a str>,
    pub(super) admin_socket: Option<&'a str>,
}

/// How an Envoy proves who it is.
pub(super) enum Credentials<'a> {
    WorkDir(&'a str),
    TokenPath(&'a str),
    None,
}

impl BootstrapRequest {
    pub(super) fn validate(&self) -> Result<Valid<'_>, BootstrapError> {
        Ok(Valid {
            mesh: not_empty("mesh", &self.mesh)?,
            name: not_empty("name", &self.name)?,
            admin_port: port("adminPort", self.admin_port)?,
            dataplane_token_path: absolute_path("dataplaneTokenPath", &self.dataplane_token_path)?,
            version: (self.version != 0).then_some(self.version),
            work_dir: absolute_path("workDir", &self.work_dir)?,
            access_log_pipe: absolute_path("accessLogPipe", &self.access_log_pipe)?,
            admin_socket: absolute_path("adminSocket", &self.admin_socket)?,
        })
    }
}

impl<'a> Valid<'a> {
    pub(super) fn credentials(&self) -> Credentials<'a> {
        match (self.work_dir, self.dataplane_token_path) {
            (Some(work_dir), _) => Credentials::WorkDir(work_dir),
            (None, Some(path)) => Credentials::TokenPath(path),
            (None, None) => Credentials::None,
        }
    }
}

fn not_empty<'a>(field: &'static str, text: &'a str) -> Result<&'a str, BootstrapError> {
    if text.is_empty() { Err(BootstrapError { field, problem: BootstrapProblem::Empty }) } else { Ok(text) }
}

fn port(field: &'static str, port: u32) -> Result<Option<NonZeroU16>, BootstrapError> {
    let port =
        u16::try_from(port).map_err(|_| BootstrapError { field, problem: BootstrapProblem::NotAPort })?;
    Ok(NonZeroU16::new(port))
}

fn absolute_path<'a>(field: &'static str, path: &'a str) -> Result<Option<&'a str>, BootstrapError> {
    if path.is_empty() {
        return Ok(None);
    }
    if path.chars().any(char::is_control) {
        return Err(BootstrapError { field, problem: BootstrapProblem::ControlCharacter });
    }
    if !path.starts_with('/') {
        return Err(BootstrapError { field, problem: BootstrapProblem::RelativePath });
    }
    Ok(Some(path))
}
