//! The types of the resources that proxies are given.

pub(super) const CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
pub(super) const LOAD_ASSIGNMENT: &str = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
pub(super) const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
/// Delivered by the extension configuration discovery service (ECDS).
pub(super) const EXTENSION: &str = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig";
pub(super) const SECRET: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";

/// Nothing of ours is delivered so (RDS); what a ProxyTemplate has may be.
pub(super) const ROUTES: &str = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";

/// All, in make-before-break order.
pub const ALL: [&str; 6] = [CLUSTER, LOAD_ASSIGNMENT, SECRET, LISTENER, EXTENSION, ROUTES];

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::{
        config::{
            cluster::v3::Cluster, core::v3::TypedExtensionConfig, endpoint::v3::ClusterLoadAssignment,
            listener::v3::Listener, route::v3::RouteConfiguration,
        },
        extensions::transport_sockets::tls::v3::Secret,
    };
    use prost::Name;

    use super::*;

    #[test]
    fn a_type_url_is_that_of_its_message() {
        assert_eq!(CLUSTER, Cluster::type_url());
        assert_eq!(LOAD_ASSIGNMENT, ClusterLoadAssignment::type_url());
        assert_eq!(LISTENER, Listener::type_url());
        assert_eq!(EXTENSION, TypedExtensionConfig::type_url());
        assert_eq!(SECRET, Secret::type_url());
        assert_eq!(ROUTES, RouteConfiguration::type_url());
    }
}
