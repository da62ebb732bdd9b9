//! Mesh: a set of dataplanes that know each other, its security and its logging backends.

use serde::{Deserialize, Serialize};

use crate::{Violations, kind::Resource, wire};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mesh {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtls: Option<Mtls>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracing: Option<Tracing>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logging: Option<Logging>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mtls {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<CertificateAuthority>,
    #[serde(default, deserialize_with = "wire::scalar", skip_serializing_if = "wire::is_default")]
    pub enabled: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateAuthority {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builtin: Option<BuiltinCa>,
}

/// The CA that the control plane makes and keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuiltinCa {}

/// Has no fields in Kuma 0.3.0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tracing {}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logging {
    #[serde(
        rename = "defaultBackend",
        default,
        deserialize_with = "wire::scalar",
        skip_serializing_if = "wire::is_default"
    )]
    pub default_backend: String,
    #[serde(default, with = "wire::list", skip_serializing_if = "Option::is_none")]
    pub backends: Option<Vec<LoggingBackend>>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoggingBackend {
    #[serde(default, deserialize_with = "wire::scalar", skip_serializing_if = "wire::is_default")]
    pub name: String,
    #[serde(default, deserialize_with = "wire::scalar", skip_serializing_if = "wire::is_default")]
    pub format: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileBackend>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpBackend>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileBackend {
    #[serde(default, deserialize_with = "wire::scalar", skip_serializing_if = "wire::is_default")]
    pub path: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TcpBackend {
    /// `HOST:PORT`.
    #[serde(default, deserialize_with = "wire::scalar", skip_serializing_if = "wire::is_default")]
    pub address: String,
}

impl Mesh {
    pub fn mtls_enabled(&self) -> bool {
        self.mtls.as_ref().is_some_and(|mtls| mtls.enabled)
    }
}

impl Resource for Mesh {
    /// A Mesh without a CA gets the built-in one (Kuma 0.3.0).
    fn set_defaults(&mut self) {
        let ca = self.mtls.get_or_insert_default().ca.get_or_insert_default();
        ca.builtin.get_or_insert_default();
    }

    fn validate(&self) -> Violations {
        Violations::default() // HELPER: to be written
    }
}
