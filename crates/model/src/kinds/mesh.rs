//! Mesh: a set of dataplanes that know each other, its security and its logging backends.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Violations,
    kind::Resource,
    log_format,
    quoted::quoted,
    schema::{boolean, list, non_empty_text, object, requiring, text},
    wire,
};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mesh {
    #[serde(default, deserialize_with = "wire::message", skip_serializing_if = "Option::is_none")]
    pub mtls: Option<Mtls>,
    #[serde(default, deserialize_with = "wire::message", skip_serializing_if = "Option::is_none")]
    pub tracing: Option<Tracing>,
    #[serde(default, deserialize_with = "wire::message", skip_serializing_if = "Option::is_none")]
    pub logging: Option<Logging>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mtls {
    #[serde(default, deserialize_with = "wire::message", skip_serializing_if = "Option::is_none")]
    pub ca: Option<CertificateAuthority>,
    #[serde(default, deserialize_with = "wire::boolean", skip_serializing_if = "wire::is_default")]
    pub enabled: bool,
    /// Not in Kuma 0.3.0. Inbounds take plain connections and TLS side by side, whether it is enabled or not.
    #[serde(default, deserialize_with = "wire::boolean", skip_serializing_if = "wire::is_default")]
    pub permissive: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateAuthority {
    #[serde(default, deserialize_with = "wire::message", skip_serializing_if = "Option::is_none")]
    pub builtin: Option<BuiltinCa>,
}

/// The CA that the control plane makes and keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuiltinCa {}

/// Kept and given back; Kuma 0.3.0 does not act on it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tracing {
    #[serde(default, deserialize_with = "wire::message", skip_serializing_if = "Option::is_none")]
    pub zipkin: Option<ZipkinTracing>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZipkinTracing {
    #[serde(default, deserialize_with = "wire::scalar", skip_serializing_if = "wire::is_default")]
    pub address: String,
}

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
    #[serde(default, deserialize_with = "wire::message", skip_serializing_if = "Option::is_none")]
    pub file: Option<FileBackend>,
    #[serde(default, deserialize_with = "wire::message", skip_serializing_if = "Option::is_none")]
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

const PERMISSIVE: &str = "Whether inbounds take plain connections and TLS side by side: the step before mTLS is enabled, and \
                          before it is demanded. Meanwhile permissions refuse nobody.";

impl Mesh {
    pub fn mtls_enabled(&self) -> bool {
        self.mtls.as_ref().is_some_and(|mtls| mtls.enabled)
    }

    pub fn mtls_permissive(&self) -> bool {
        self.mtls.as_ref().is_some_and(|mtls| mtls.permissive)
    }
}

impl TcpBackend {
    /// Host (an IPv6 address without its brackets) and port, both non-empty; `None` when [`TcpBackend::address`] is not
    /// of its form. What the port is, is not checked, as in Kuma 0.3.0.
    pub fn host_and_port(&self) -> Option<(&str, &str)> {
        let (host, port) = match self.address.strip_prefix('[') {
            Some(bracketed) => bracketed.split_once("]:")?,
            None => self.address.split_once(':')?,
        };
        let well_formed = !host.contains(['[', ']']) && !port.contains([':', '[', ']']);
        (well_formed && !host.is_empty() && !port.is_empty()).then_some((host, port))
    }
}

impl Resource for Mesh {
    /// A Mesh without a CA gets the built-in one (Kuma 0.3.0).
    fn set_defaults(&mut self) {
        let ca = self.mtls.get_or_insert_default().ca.get_or_insert_default();
        ca.builtin.get_or_insert_default();
    }

    fn validate(&self) -> Violations {
        let mut violations = Violations::default();
        if let Some(mtls) = &self.mtls {
            mtls.validate(&mut violations);
        }
        if let Some(logging) = &self.logging {
            logging.validate(&mut violations);
        }
        violations
    }

    fn schema() -> Value {
        let builtin = object("The CA that the control plane makes and keeps.", []);
        let ca = object("Exactly one CA.", [("builtin", builtin)]);
        let mtls = object(
            "Mutual TLS between the dataplanes of the mesh.",
            [
                ("ca", ca),
                ("enabled", boolean("Whether dataplanes demand and present certificates.")),
                ("permissive", boolean(PERMISSIVE)),
            ],
        );
        let zipkin = object("A Zipkin collector.", [("address", text("Where it listens."))]);
        let tracing = object("Kept, without effect.", [("zipkin", zipkin)]);
        let logging = object(
            "Where access logs can go.",
            [
                ("defaultBackend", text("The name of the backend of those logs that name none.")),
                ("backends", list(LoggingBackend::schema())),
            ],
        );
        object(
            "A set of dataplanes that know each other.",
            [("mtls", mtls), ("tracing", tracing), ("logging", logging)],
        )
    }

    fn example() -> Value {
        json!({
            "name": "mesh-1",
            "type": "Mesh",
            "mtls": {"ca": {"builtin": {}}, "enabled": true},
            "tracing": {},
            "logging": {
                "backends": [
                    {
                        "name": "file-tmp",
                        "format": "{ \"destination\": \"%KUMA_DESTINATION_SERVICE%\", \"destinationAddress\": \
                                   \"%UPSTREAM_LOCAL_ADDRESS%\", \"source\": \"%KUMA_SOURCE_SERVICE%\", \"sourceAddress\": \
                                   \"%KUMA_SOURCE_ADDRESS%\", \"bytesReceived\": \"%BYTES_RECEIVED%\", \"bytesSent\": \
                                   \"%BYTES_SENT%\"}",
                        "file": {"path": "/tmp/access.log"},
                    },
                    {"name": "logstash", "tcp": {"address": "logstash.internal:9000"}},
                ],
            },
        })
    }
}

impl Mtls {
    /// Cannot fail after [`Resource::set_defaults`].
    fn validate(&self, violations: &mut Violations) {
        let has_ca = self.ca.as_ref().is_some_and(|ca| ca.builtin.is_some());
        if self.enabled && !has_ca {
            violations.add("mtls.ca", "has to be set when mTLS is enabled");
        }
    }
}

impl Logging {
    pub fn backends(&self) -> &[LoggingBackend] {
        self.backends.as_deref().unwrap_or_default()
    }

    /// The name of the backend of those logs that name none.
    pub fn default_backend(&self) -> Option<&str> {
        Some(self.default_backend.as_str()).filter(|name| !name.is_empty())
    }

    fn validate(&self, violations: &mut Violations) {
        let mut names = BTreeSet::new();
        for (i, backend) in self.backends().iter().enumerate() {
            let path = format!("logging.backends[{i}]");
            backend.validate(&path, violations);
            if !names.insert(backend.name.as_str()) {
                let message = format!("{} name is already used for another backend", quoted(&backend.name));
                violations.add(format!("{path}.name"), message);
            }
        }
        if !self.default_backend.is_empty() && !names.contains(self.default_backend.as_str()) {
            violations.add("logging.defaultBackend", "has to be set to one of the logging backend in mesh");
        }
    }
}

impl LoggingBackend {
    fn schema() -> Value {
        let file = object("A file.", [("path", non_empty_text("On the machine of the dataplane."))]);
        let tcp = object("A TCP server.", [("address", non_empty_text("HOST:PORT"))]);
        let backend = object(
            "One destination of access logs, either a file or a TCP server.",
            [
                ("name", non_empty_text("Unique in the mesh.")),
                ("format", text("Text with %KUMA_…% placeholders and the operators of Envoy's access logs.")),
                ("file", requiring(file, ["path"])),
                ("tcp", requiring(tcp, ["address"])),
            ],
        );
        let mut backend = requiring(backend, ["name"]);
        backend["oneOf"] = json!([{"required": ["file"]}, {"required": ["tcp"]}]);
        backend
    }

    fn validate(&self, path: &str, violations: &mut Violations) {
        if self.name.is_empty() {
            violations.add(format!("{path}.name"), "cannot be empty");
        }
        if let Err(error) = log_format::parse(&self.format) {
            violations.add(format!("{path}.format"), error.to_string());
        }
        // Kuma 0.3.0 took a backend that writes nowhere, and of two destinations it kept one at random.
        match (&self.file, &self.tcp) {
            (None, None) => violations.add(path, "has to have one of \"file\" and \"tcp\""),
            (Some(_), Some(_)) => violations.add(path, "can only have one of \"file\" and \"tcp\""),
            _ => {}
        }
        if self.file.as_ref().is_some_and(|file| file.path.is_empty()) {
            violations.add(format!("{path}.file.path"), "cannot be empty");
        }
        if let Some(tcp) = &self.tcp {
            if tcp.address.is_empty() {
                violations.add(format!("{path}.tcp.address"), "cannot be empty");
            } else if tcp.host_and_port().is_none() {
                violations.add(format!("{path}.tcp.address"), "has to be in format of HOST:PORT");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{check_printed, check_violations};

    #[test]
    fn a_mesh_without_a_ca_gets_the_builtin_one() {
        for spec in
            [json!({}), json!({"mtls": null}), json!({"mtls": {"ca": null}}), json!({"mtls": {"ca": {}}})]
        {
            let mut mesh = Mesh::deserialize(&spec).unwrap();
            mesh.set_defaults();
            assert_eq!(
                serde_json::to_value(&mesh).unwrap(),
                json!({"mtls": {"ca": {"builtin": {}}}}),
                "{spec}"
            );
        }
    }

    #[test]
    fn mtls_needs_a_ca() {
        for (mtls, is_valid) in [
            (json!({"enabled": true, "ca": {"builtin": {}}}), true),
            (json!({"enabled": false}), true),
            (json!({"enabled": true}), false),
            (json!({"enabled": true, "ca": {}}), false),
        ] {
            let violations = Mesh::deserialize(json!({ "mtls": mtls })).unwrap().validate();
            let expected = if is_valid { "" } else { "mtls.ca: has to be set when mTLS is enabled" };
            assert_eq!(violations.to_string(), expected, "{mtls}");
        }
    }

    #[test]
    fn empty_messages_and_lists_stay_and_default_scalars_do_not() {
        for (read, printed) in [
            (
                r#"{"tracing":{"zipkin":{"address":""}},"logging":{}}"#,
                r#"{"tracing":{"zipkin":{}},"logging":{}}"#,
            ),
            (r#"{"logging":{"defaultBackend":"","backends":[]}}"#, r#"{"logging":{"backends":[]}}"#),
            (r#"{"mtls":{"enabled":false,"ca":{"builtin":null}},"logging":null}"#, r#"{"mtls":{"ca":{}}}"#),
        ] {
            check_printed::<Mesh>(read, printed);
        }
    }

    #[test]
    fn all_violations_of_backends_are_reported_in_order() {
        check_violations::<Mesh>(
            &json!({"logging": {
                "defaultBackend": "x",
                "backends": [
                    {"name": "", "file": {}},
                    {"format": "%FOO%", "tcp": {}},
                    {"name": "a\"b", "tcp": {"address": "z"}, "file": {"path": ""}},
                    {"name": "a\"b", "file": null},
                    null,
                    {"name": "ok", "format": "%START_TIME% %KUMA_SOURCE_SERVICE%", "file": {"path": "/x"}},
                ],
            }}),
            &[
                ("logging.backends[0].name", "cannot be empty"),
                ("logging.backends[0].file.path", "cannot be empty"),
                ("logging.backends[1].name", "cannot be empty"),
                (
                    "logging.backends[1].format",
                    "has an unknown placeholder %FOO% at character 1: use Kuma's %KUMA_…% and the operators of Envoy's access logs",
                ),
                ("logging.backends[1].tcp.address", "cannot be empty"),
                ("logging.backends[1].name", "\"\" name is already used for another backend"),
                ("logging.backends[2]", "can only have one of \"file\" and \"tcp\""),
                ("logging.backends[2].file.path", "cannot be empty"),
                ("logging.backends[2].tcp.address", "has to be in format of HOST:PORT"),
                ("logging.backends[3]", "has to have one of \"file\" and \"tcp\""),
                ("logging.backends[3].name", "\"a\\\"b\" name is already used for another backend"),
                ("logging.backends[4].name", "cannot be empty"),
                ("logging.backends[4]", "has to have one of \"file\" and \"tcp\""),
                ("logging.backends[4].name", "\"\" name is already used for another backend"),
                ("logging.defaultBackend", "has to be set to one of the logging backend in mesh"),
            ],
        );
    }

    #[test]
    fn the_default_backend_is_one_of_the_mesh() {
        let backends =
            json!([{"name": "a", "file": {"path": "/a"}}, {"name": "b", "tcp": {"address": "h:1"}}]);
        check_violations::<Mesh>(&json!({"logging": {"defaultBackend": "b", "backends": backends}}), &[]);
        check_violations::<Mesh>(
            &json!({"logging": {"defaultBackend": "b"}}),
            &[("logging.defaultBackend", "has to be set to one of the logging backend in mesh")],
        );
    }

    #[test]
    fn an_address_of_a_tcp_backend_is_host_and_port() {
        for (address, expected) in [
            ("10.0.0.1:9000", Some(("10.0.0.1", "9000"))),
            ("logstash.internal:http", Some(("logstash.internal", "http"))),
            ("[::1]:9000", Some(("::1", "9000"))),
            ("logstash", None),
            ("logstash:", None),
            (":9000", None),
            (":", None),
            ("h:1:2", None),
            ("http://h:9000", None),
            ("::1:9000", None),
            ("[]:9000", None),
            ("[::1]", None),
            ("[::1]9000", None),
            ("[::1]:", None),
            ("[::1]:1:2", None),
            ("[[::1]:1", None),
            ("h]:1", None),
            ("h:[1", None),
        ] {
            assert_eq!(TcpBackend { address: address.into() }.host_and_port(), expected, "{address}");
        }
    }
}
