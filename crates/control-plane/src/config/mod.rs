//! What an operator may set: built-in defaults, then a YAML file, then `KUMA_*` environment variables (Kuma 0.3.0).
//!
//! Every setting is one line of one table ([`settings::SETTINGS`]): its key, its variable, where it goes. Reading collects every error
//! instead of stopping at the first, names the nearest key for one that does not exist, and refuses, with a sentence,
//! what is a setting of Kuma but has no effect here. Nothing outside this module reads a configuration or the environment.

mod error;
mod settings;
mod value;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    time::Duration,
};

use serde_json::Value;

pub use error::{ConfigError, ConfigErrors};
use settings::{ELSEWHERE, SETTINGS};
use value::Raw;
pub use value::{CertificateValidity, Environment, LogFormat, LogLevel, StoreKind};

/// The effective configuration. A path that is empty has its place in the work directory.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub environment: Environment,
    pub general: General,
    pub store: Store,
    pub log: Log,
    pub api_server: ApiServer,
    pub xds_server: XdsServer,
    pub bootstrap: Bootstrap,
    pub identity: Identity,
    pub data_plane_token_server_enabled: bool,
    /// A Mesh as YAML or JSON, made at every start at which it is not there. Empty: the built-in `default` mesh.
    pub defaults_mesh: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct General {
    /// Empty: `$STATE_DIRECTORY`, else `~/.kuma`.
    pub work_dir: PathBuf,
    pub interface: String,
    pub advertised_hostname: String,
    /// Empty: `<workDir>/secrets.key`.
    pub secrets_key_file: PathBuf,
    /// Further names in the server certificate.
    pub server_names: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Store {
    pub kind: StoreKind,
    /// Empty: `<workDir>/kuma.db`.
    pub embedded_path: PathBuf,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    pub level: LogLevel,
    pub format: LogFormat,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ApiServer {
    /// 0 is any free one.
    pub port: u16,
    pub read_only: bool,
    pub allowed_hosts: Vec<String>,
    /// Whose pages may use the API from a browser.
    pub cors: api::CorsPolicy,
}

#[derive(Clone, Debug, PartialEq)]
pub struct XdsServer {
    pub grpc_port: u16,
    pub diagnostics_port: u16,
    /// The shortest time between two writes of one proxy's insight.
    pub status_flush_interval: Duration,
}

/// What a bootstrap says that is not the proxy's own.
#[derive(Clone, Debug, PartialEq)]
pub struct Bootstrap {
    pub admin_address: IpAddr,
    pub admin_port: u16,
    pub admin_access_log_path: String,
    pub xds_host: String,
    /// 0: where xDS listens.
    pub xds_port: u16,
    pub xds_connect_timeout: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// How long the certificate of a proxy lives.
    pub certificate_validity: CertificateValidity,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            environment: Environment::Universal,
            general: General {
                work_dir: PathBuf::new(),
                interface: "loopback".to_owned(),
                advertised_hostname: "localhost".to_owned(),
                secrets_key_file: PathBuf::new(),
                server_names: Vec::new(),
            },
            store: Store { kind: StoreKind::Embedded, embedded_path: PathBuf::new() },
            log: Log { level: LogLevel::Info, format: LogFormat::Auto },
            api_server: ApiServer {
                port: 5681,
                read_only: false,
                allowed_hosts: Vec::new(),
                cors: api::CorsPolicy::default(),
            },
            xds_server: XdsServer {
                grpc_port: 5678,
                diagnostics_port: 5680,
                status_flush_interval: Duration::from_secs(1),
            },
            bootstrap: Bootstrap {
                admin_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
                admin_port: 0,
                admin_access_log_path: "/dev/null".to_owned(),
                xds_host: "127.0.0.1".to_owned(),
                xds_port: 0,
                xds_connect_timeout: Duration::from_secs(1),
            },
            identity: Identity { certificate_validity: CertificateValidity::default() },
            data_plane_token_server_enabled: true,
            defaults_mesh: String::new(),
        }
    }
}

/// A configuration file as it was read: where it lies, for the errors, and what it says.
#[derive(Clone, Copy, Debug)]
pub struct ConfigFile<'a> {
    pub path: &'a str,
    pub yaml: &'a str,
}

/// The effective configuration and what should be said about it, from the file and from `variables` (the environment).
///
/// # Errors
/// Everything that is wrong: in the file, by key, then in the variables, by name.
pub fn load(
    file: Option<ConfigFile<'_>>,
    variables: &BTreeMap<String, String>,
) -> Result<(Config, Vec<String>), ConfigErrors> {
    let mut config = Config::default();
    let mut errors = Vec::new();
    if let Some(file) = file {
        read_file(file, &mut config, &mut errors);
    }
    let mut warnings = read_variables(variables, &mut config, &mut errors);
    warnings.extend(config.identity.certificate_validity.warning());
    refuse_what_is_not_served(&config, &mut errors);
    if errors.is_empty() { Ok((config, warnings)) } else { Err(ConfigErrors(errors)) }
}

/// The configuration as `GET /config` shows it: every key of the table. None of them holds a secret.
pub fn show(config: &Config) -> Value {
    let mut shown = Value::Object(serde_json::Map::new());
    for setting in SETTINGS {
        let mut at = &mut shown;
        for part in setting.key.split('.') {
            let Value::Object(fields) = at else { break };
            at = fields.entry(part).or_insert_with(|| Value::Object(serde_json::Map::new()));
        }
        *at = (setting.show)(config);
    }
    shown
}

fn read_file(file: ConfigFile<'_>, config: &mut Config, errors: &mut Vec<ConfigError>) {
    let tree: Value = match serde_saphyr::from_str(file.yaml) {
        Ok(tree) => tree,
        Err(error) => {
            let reason = error.to_string();
            return errors.push(ConfigError::NotYaml { path: file.path.to_owned(), reason });
        }
    };
    let mut leaves = Vec::new();
    collect_leaves(&tree, String::new(), &mut leaves);
    for (key, value) in leaves {
        if let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) {
            if let Err(reason) = (setting.set)(config, Raw::Yaml(value)) {
                errors.push(ConfigError::BadValue { at: key, value: value.to_string(), reason });
            }
        } else if let Some(elsewhere) = ELSEWHERE.iter().find(|it| it.covers_key(&key)) {
            errors.push(ConfigError::NotHere { at: key, instead: elsewhere.instead });
        } else {
            errors.push(ConfigError::UnknownKey {
                nearest: nearest_key(&key),
                key,
                path: file.path.to_owned(),
            });
        }
    }
}

/// Every path of the tree that ends in a value, or in a key of the table (a list, an empty object).
fn collect_leaves<'a>(tree: &'a Value, path: String, leaves: &mut Vec<(String, &'a Value)>) {
    match tree {
        Value::Object(fields) if !SETTINGS.iter().any(|setting| setting.key == path) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                collect_leaves(value, path, leaves);
            }
        }
        Value::Null => {} // A key without a value keeps its default, as in Kuma.
        value => leaves.push((path, value)),
    }
}

fn read_variables(
    variables: &BTreeMap<String, String>,
    config: &mut Config,
    errors: &mut Vec<ConfigError>,
) -> Vec<String> {
    let mut warnings = Vec::new();
    for (name, text) in variables.iter().filter(|(name, _)| name.starts_with("KUMA_")) {
        if let Some(setting) = SETTINGS.iter().find(|setting| setting.variable == name) {
            if let Err(reason) = (setting.set)(config, Raw::Text(text)) {
                errors.push(ConfigError::BadValue { at: name.clone(), value: format!("{text:?}"), reason });
            }
        } else if let Some(elsewhere) = ELSEWHERE.iter().find(|it| it.covers_variable(name)) {
            errors.push(ConfigError::NotHere { at: name.clone(), instead: elsewhere.instead });
        } else if !is_another_program_s(name) {
            let nearest = model::nearest(name, SETTINGS.iter().map(|setting| setting.variable));
            let hint = nearest.map(|nearest| format!(" (did you mean {nearest}?)")).unwrap_or_default();
            warnings.push(format!(
                "the environment variable {name} is not one of kuma-cp's and is ignored{hint}"
            ));
        }
    }
    warnings
}

/// kuma-dp and our own scripts share the prefix.
fn is_another_program_s(variable: &str) -> bool {
    ["KUMA_DATAPLANE_", "KUMA_CONTROL_PLANE_", "KUMA_BIN_DIR"]
        .iter()
        .any(|prefix| variable.starts_with(prefix))
}

fn nearest_key(key: &str) -> Option<&'static str> {
    model::nearest(key, SETTINGS.iter().map(|setting| setting.key))
}

/// A door that is not built is refused, never left open (docs/security.md).
fn refuse_what_is_not_served(config: &Config, errors: &mut Vec<ConfigError>) {
    let mut refuse = |at: &str, value: &str, reason: &str| {
        errors.push(ConfigError::BadValue {
            at: at.to_owned(),
            value: value.to_owned(),
            reason: reason.to_owned(),
        });
    };
    if config.environment == Environment::Kubernetes {
        refuse("environment", "kubernetes", "there is no store for Kubernetes yet; leave it at universal");
    }
    if config.store.kind == StoreKind::Postgres {
        refuse(
            "store.type",
            "postgres",
            "there is no PostgreSQL store yet; use embedded (durable, one file) or memory",
        );
    }
    if config.general.interface != "loopback" {
        let reason =
            "only loopback is served yet; leave it at loopback and reach the control plane from this machine";
        refuse("general.interface", &config.general.interface, reason);
    }
}

#[cfg(test)]
mod tests;
