//! The table of settings. Keys and variables are Kuma 0.3.0's where it had them.

use serde_json::Value;

use super::{
    Config,
    value::{Raw, Setting as _},
};

/// One setting: `key` in the file, `variable` in the environment.
pub(super) struct Setting {
    pub(super) key: &'static str,
    pub(super) variable: &'static str,
    pub(super) set: fn(&mut Config, Raw<'_>) -> Result<(), String>,
    pub(super) show: fn(&Config) -> Value,
}

macro_rules! settings {
    ($($key:literal, $variable:literal => $($field:ident).+;)+) => {
        pub(super) const SETTINGS: &[Setting] = &[$(Setting {
            key: $key,
            variable: $variable,
            set: |config, raw| {
                config.$($field).+ = super::value::Setting::read(raw)?;
                Ok(())
            },
            show: |config| config.$($field).+.show(),
        }),+];
    };
}

settings! {
    "environment", "KUMA_ENVIRONMENT" => environment;
    "general.workDir", "KUMA_GENERAL_WORK_DIR" => general.work_dir;
    "general.interface", "KUMA_GENERAL_INTERFACE" => general.interface;
    "general.advertisedHostname", "KUMA_GENERAL_ADVERTISED_HOSTNAME" => general.advertised_hostname;
    "general.secretsKeyFile", "KUMA_GENERAL_SECRETS_KEY_FILE" => general.secrets_key_file;
    "general.serverNames", "KUMA_GENERAL_SERVER_NAMES" => general.server_names;
    "store.type", "KUMA_STORE_TYPE" => store.kind;
    "store.embedded.path", "KUMA_STORE_EMBEDDED_PATH" => store.embedded_path;
    "log.level", "KUMA_LOG_LEVEL" => log.level;
    "log.format", "KUMA_LOG_FORMAT" => log.format;
    "apiServer.port", "KUMA_API_SERVER_PORT" => api_server.port;
    "apiServer.readOnly", "KUMA_API_SERVER_READ_ONLY" => api_server.read_only;
    "apiServer.allowedHosts", "KUMA_API_SERVER_ALLOWED_HOSTS" => api_server.allowed_hosts;
    "apiServer.corsAllowedDomains", "KUMA_API_SERVER_CORS_ALLOWED_DOMAINS" => api_server.cors;
    "xdsServer.grpcPort", "KUMA_XDS_SERVER_GRPC_PORT" => xds_server.grpc_port;
    "xdsServer.diagnosticsPort", "KUMA_XDS_SERVER_DIAGNOSTICS_PORT" => xds_server.diagnostics_port;
    "xdsServer.dataplaneStatusFlushInterval", "KUMA_XDS_SERVER_DATAPLANE_STATUS_FLUSH_INTERVAL"
        => xds_server.status_flush_interval;
    "bootstrapServer.params.adminAddress", "KUMA_BOOTSTRAP_SERVER_PARAMS_ADMIN_ADDRESS" => bootstrap.admin_address;
    "bootstrapServer.params.adminPort", "KUMA_BOOTSTRAP_SERVER_PARAMS_ADMIN_PORT" => bootstrap.admin_port;
    "bootstrapServer.params.adminAccessLogPath", "KUMA_BOOTSTRAP_SERVER_PARAMS_ADMIN_ACCESS_LOG_PATH"
        => bootstrap.admin_access_log_path;
    "bootstrapServer.params.xdsHost", "KUMA_BOOTSTRAP_SERVER_PARAMS_XDS_HOST" => bootstrap.xds_host;
    "bootstrapServer.params.xdsPort", "KUMA_BOOTSTRAP_SERVER_PARAMS_XDS_PORT" => bootstrap.xds_port;
    "bootstrapServer.params.xdsConnectTimeout", "KUMA_BOOTSTRAP_SERVER_PARAMS_XDS_CONNECT_TIMEOUT"
        => bootstrap.xds_connect_timeout;
    "identity.certificateValidity", "KUMA_IDENTITY_CERTIFICATE_VALIDITY" => identity.certificate_validity;
    "dataplaneTokenServer.enabled", "KUMA_DATAPLANE_TOKEN_SERVER_ENABLED" => data_plane_token_server_enabled;
    "defaults.mesh", "KUMA_DEFAULTS_MESH" => defaults_mesh;
}

/// A setting, or a whole section, that is refused with a sentence instead of being taken and ignored.
pub(super) struct Elsewhere {
    section: &'static str,
    variable_prefix: &'static str,
    pub(super) instead: &'static str,
}

impl Elsewhere {
    pub(super) fn covers_key(&self, key: &str) -> bool {
        key.strip_prefix(self.section).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    pub(super) fn covers_variable(&self, variable: &str) -> bool {
        variable.starts_with(self.variable_prefix)
    }
}

const LOOPBACK_ONLY: &str = "only loopback is served yet; remove it";

pub(super) const ELSEWHERE: &[Elsewhere] = &[
    elsewhere("store.postgres", "KUMA_STORE_POSTGRES_", "there is no PostgreSQL store yet; remove it"),
    elsewhere("apiServer.interface", "KUMA_API_SERVER_INTERFACE", LOOPBACK_ONLY),
    elsewhere("apiServer.authentication", "KUMA_API_SERVER_AUTHENTICATION", LOOPBACK_ONLY),
    elsewhere("apiServer.https", "KUMA_API_SERVER_HTTPS_", LOOPBACK_ONLY),
    elsewhere("apiServer.tls", "KUMA_API_SERVER_TLS_", LOOPBACK_ONLY),
    elsewhere("xdsServer.interface", "KUMA_XDS_SERVER_INTERFACE", LOOPBACK_ONLY),
    elsewhere("xdsServer.diagnosticsInterface", "KUMA_XDS_SERVER_DIAGNOSTICS_INTERFACE", LOOPBACK_ONLY),
    elsewhere(
        "xdsServer.tls",
        "KUMA_XDS_SERVER_TLS_",
        "the control plane signs its own certificate; remove it",
    ),
    elsewhere(
        "sdsServer",
        "KUMA_SDS_SERVER_",
        "secrets travel with the rest of xDS, on xdsServer.grpcPort; remove it",
    ),
    elsewhere("guiServer", "KUMA_GUI_SERVER_", "there is no server of its own for the GUI; remove it"),
    elsewhere(
        "bootstrapServer.port",
        "KUMA_BOOTSTRAP_SERVER_PORT",
        "the bootstrap is served on apiServer.port; remove it",
    ),
    elsewhere(
        "dataplaneTokenServer",
        "KUMA_DATAPLANE_TOKEN_SERVER_",
        "tokens are served on apiServer.port; only dataplaneTokenServer.enabled is left",
    ),
];

const fn elsewhere(section: &'static str, variable_prefix: &'static str, instead: &'static str) -> Elsewhere {
    Elsewhere { section, variable_prefix, instead }
}
