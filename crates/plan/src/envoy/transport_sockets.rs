//! TLS between proxies. Both sides show a certificate, and both check whose the other's is, not only who has signed it.

use envoy_types::{
    pb::{
        envoy::{
            config::core::v3::{TransportSocket, transport_socket::ConfigType},
            extensions::transport_sockets::tls::v3::{
                CertificateValidationContext, CommonTlsContext, DownstreamTlsContext, SdsSecretConfig,
                TlsParameters, UpstreamTlsContext,
                common_tls_context::{CombinedCertificateValidationContext, ValidationContextType},
                downstream_tls_context::SessionTicketKeysType,
                tls_parameters::TlsProtocol,
            },
            r#type::matcher::v3::string_matcher::MatchPattern,
        },
        google::protobuf::{Any, BoolValue, UInt32Value},
    },
    util::pack_any,
};

use crate::UpstreamTls;

use super::{
    config_sources, identities,
    tls_secrets::{IDENTITY_CERTIFICATE, MESH_CA},
};

const NAME: &str = "envoy.transport_sockets.tls";

/// The side that calls `service`. Whoever answers must prove to be that one.
pub(super) fn upstream(tls: &UpstreamTls, service: &str) -> TransportSocket {
    let source = tls.source.as_deref();
    let context = UpstreamTlsContext {
        sni: source.map(|source| identities::server_name(&tls.mesh, source)).unwrap_or_default(),
        common_tls_context: Some(CommonTlsContext {
            // Envoy's clients stop at 1.2 otherwise, where certificates travel in plain text.
            tls_params: Some(TlsParameters {
                tls_maximum_protocol_version: TlsProtocol::TlSv13.into(),
                ..TlsParameters::default()
            }),
            tls_certificate_sds_secret_configs: source
                .map(|_| secret(IDENTITY_CERTIFICATE))
                .into_iter()
                .collect(),
            ..trusting([identities::of_service(&tls.mesh, service)])
        }),
        max_session_keys: Some(UInt32Value { value: 0 }),
        ..UpstreamTlsContext::default()
    };
    socket(pack_any(context))
}

/// The side that is called, by those whose certificates match one of `sources`, of which there must be some: without any Envoy
/// lets in whomever the CA has signed.
///
/// No session is resumed: a resumed one is not verified again, neither whether its certificate still holds nor whether its
/// service may still call.
pub(super) fn downstream(sources: impl IntoIterator<Item = MatchPattern>) -> TransportSocket {
    let context = DownstreamTlsContext {
        require_client_certificate: Some(BoolValue { value: true }),
        common_tls_context: Some(CommonTlsContext {
            tls_certificate_sds_secret_configs: vec![secret(IDENTITY_CERTIFICATE)],
            ..trusting(sources)
        }),
        session_ticket_keys_type: Some(SessionTicketKeysType::DisableStatelessSessionResumption(true)),
        disable_stateful_session_resumption: true,
        ..DownstreamTlsContext::default()
    };
    socket(pack_any(context))
}

/// Whom the mesh's CAs have signed, if one of the certificate's URIs matches.
fn trusting(peers: impl IntoIterator<Item = MatchPattern>) -> CommonTlsContext {
    let peers = peers.into_iter().map(identities::alternative_name).collect();
    let validation = CombinedCertificateValidationContext {
        default_validation_context: Some(CertificateValidationContext {
            match_typed_subject_alt_names: peers,
            ..CertificateValidationContext::default()
        }),
        validation_context_sds_secret_config: Some(secret(MESH_CA)),
        ..CombinedCertificateValidationContext::default()
    };
    CommonTlsContext {
        validation_context_type: Some(ValidationContextType::CombinedValidationContext(validation)),
        ..CommonTlsContext::default()
    }
}

fn secret(name: &str) -> SdsSecretConfig {
    SdsSecretConfig { name: name.to_owned(), sds_config: Some(config_sources::ads()) }
}

fn socket(context: Any) -> TransportSocket {
    TransportSocket { name: NAME.to_owned(), config_type: Some(ConfigType::TypedConfig(context)) }
}
