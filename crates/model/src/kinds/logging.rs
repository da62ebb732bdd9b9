//! Where the access logs of a Mesh can go.

use std::{collections::BTreeSet, num::NonZeroU16};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Violations, log_format,
    quoted::quoted,
    schema::{list, non_empty_text, object, requiring, text},
    wire,
};

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

    /// The host (an IPv6 address without its brackets) and the port that kuma-dp connects to; `None` where it could not: of a
    /// port by its name, which Kuma 0.3.0 looked up, or one that no host can have.
    pub fn host_and_port_number(&self) -> Option<(&str, NonZeroU16)> {
        let allowed =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':' | b'%');
        let (host, port) = self.host_and_port()?;
        let is_host = host.len() <= HOST_MAX_BYTES && host.bytes().all(allowed);
        let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
        Some((host, port.parse().ok()?)).filter(|_| is_host && is_number)
    }
}

impl FileBackend {
    /// Whether kuma-dp can open it: nobody knows which folder a relative path would begin in.
    pub fn is_usable(&self) -> bool {
        self.path.starts_with('/') && !self.path.contains('\0')
    }
}

/// A name has at most 253 characters (RFC 1035, 2.3.4, without the length bytes).
const HOST_MAX_BYTES: usize = 253;

impl Logging {
    pub fn backends(&self) -> &[LoggingBackend] {
        self.backends.as_deref().unwrap_or_default()
    }

    /// The name of the backend of those logs that name none.
    pub fn default_backend(&self) -> Option<&str> {
        Some(self.default_backend.as_str()).filter(|name| !name.is_empty())
    }

    pub(super) fn schema() -> Value {
        object(
            "Where access logs can go.",
            [
                ("defaultBackend", text("The name of the backend of those logs that name none.")),
                ("backends", list(LoggingBackend::schema())),
            ],
        )
    }

    pub(super) fn validate(&self, violations: &mut Violations) {
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
    use crate::{Mesh, kinds::check_violations};

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

    #[test]
    fn a_collector_has_a_host_and_a_port_in_digits() {
        let long = format!("{}:1", "a".repeat(254));
        for (address, expected) in [
            ("logstash:9000", Some(("logstash", 9000))),
            ("logs_1.test:1", Some(("logs_1.test", 1))),
            ("[::1]:9000", Some(("::1", 9000))),
            ("[fe80::1%eth0]:65535", Some(("fe80::1%eth0", 65535))),
            ("logstash:0", None),
            ("logstash:65536", None),
            ("logstash:+9", None),
            ("logstash:syslog", None),
            ("logs/x:9000", None),
            ("ü:9000", None),
            ("logstash", None),
            (&long, None),
        ] {
            let backend = TcpBackend { address: address.to_owned() };
            let found = backend.host_and_port_number().map(|(host, port)| (host, port.get()));
            assert_eq!(found, expected, "{address}");
        }
    }
}
