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

    /// Whether somebody can be reached at [`TcpBackend::address`]: a host, and a port from 1 to 65535 in digits.
    pub fn is_reachable(&self) -> bool {
        let is_port =
            |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<NonZeroU16>().is_ok();
        self.host_and_port().is_some_and(|(_, port)| is_port(port))
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
    fn nobody_is_reached_but_at_a_port_in_digits() {
        for (address, expected) in [
            ("logstash:9000", true),
            ("[::1]:9000", true),
            ("logstash:65535", true),
            ("logstash:0", false),
            ("logstash:65536", false),
            ("logstash:+9", false),
            ("logstash:http", false),
            ("logstash", false),
        ] {
            assert_eq!(TcpBackend { address: address.to_owned() }.is_reachable(), expected, "{address}");
        }
    }
}
