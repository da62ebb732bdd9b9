//! Certificates (SDS). Listeners and clusters only name them, so that a renewal touches neither, nor any connection.

use std::fmt;

use envoy_types::pb::envoy::{
    config::core::v3::{DataSource, data_source::Specifier},
    extensions::transport_sockets::tls::v3::{CertificateValidationContext, Secret, TlsCertificate, secret},
};
use zeroize::Zeroizing;

/// By this name a proxy asks for its own certificate (Kuma 0.3.0).
pub const IDENTITY_CERTIFICATE: &str = "identity_cert";

/// By this name a proxy asks for the CAs of its mesh (Kuma 0.3.0).
pub const MESH_CA: &str = "mesh_ca";

/// In PEM.
#[derive(Debug)]
pub(super) enum TlsSecret {
    /// `fingerprint` is the certificate's.
    Certificate {
        fingerprint: String,
        chain: String,
        key: PrivateKey,
    },
    Roots(String),
}

/// Never shown, and wiped when it is dropped.
pub(super) struct PrivateKey(Zeroizing<String>);

pub(super) fn secret(name: &str, secret: &TlsSecret) -> Secret {
    let r#type = match secret {
        TlsSecret::Certificate { chain, key, .. } => secret::Type::TlsCertificate(TlsCertificate {
            certificate_chain: Some(inline(chain)),
            private_key: Some(inline(&key.0)),
            ..TlsCertificate::default()
        }),
        TlsSecret::Roots(roots) => secret::Type::ValidationContext(CertificateValidationContext {
            trusted_ca: Some(inline(roots)),
            ..CertificateValidationContext::default()
        }),
    };
    Secret { name: name.to_owned(), r#type: Some(r#type) }
}

fn inline(pem: &str) -> DataSource {
    DataSource { specifier: Some(Specifier::InlineString(pem.to_owned())), ..DataSource::default() }
}

impl From<String> for PrivateKey {
    fn from(pem: String) -> Self {
        Self(Zeroizing::new(pem))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}
