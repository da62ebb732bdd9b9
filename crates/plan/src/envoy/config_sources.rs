//! Where Envoy is to ask for what a resource refers to.

use envoy_types::pb::envoy::config::core::v3::{
    AggregatedConfigSource, ApiVersion, ConfigSource, config_source::ConfigSourceSpecifier,
};

/// The stream over which the resource came. The initial fetch timeout stays at Envoy's 15 s: with none, a cluster or a
/// filter whose answer is lost would warm for ever.
pub(super) fn ads() -> ConfigSource {
    ConfigSource {
        resource_api_version: ApiVersion::V3.into(),
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
        ..ConfigSource::default()
    }
}
