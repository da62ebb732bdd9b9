//! How proxies tell each other who they are, before and within a TLS handshake.

use aws_lc_rs::digest::{SHA256, digest};
use envoy_types::pb::envoy::{
    extensions::transport_sockets::tls::v3::{SubjectAltNameMatcher, subject_alt_name_matcher::SanType},
    r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern},
};
use model::{spiffe_id, spiffe_prefix};

use crate::canonical;

/// The name under which a proxy calls as one of its services (SNI). It is in plain text and proves nothing: it only finds the
/// filter chain whose certificates of that service alone are let in by. 64 bits of SHA-256 over both names, so that it is
/// always a DNS name.
pub(super) fn server_name(mesh: &str, source: &str) -> String {
    // A mesh's name holds no line break.
    let digest = digest(&SHA256, format!("{mesh}\n{source}").as_bytes());
    format!("{}.kuma", canonical::hex(&digest.as_ref()[..8]))
}

/// A certificate of that service, and perhaps of others.
pub(super) fn of_service(mesh: &str, service: &str) -> MatchPattern {
    MatchPattern::Exact(spiffe_id(mesh, service))
}

/// A certificate of any service of the mesh.
pub(super) fn of_mesh(mesh: &str) -> MatchPattern {
    MatchPattern::Prefix(spiffe_prefix(mesh))
}

/// No certificate has it: one of an empty name is never signed.
pub(super) fn of_nobody(mesh: &str) -> MatchPattern {
    MatchPattern::Exact(spiffe_prefix(mesh))
}

pub(super) fn text(pattern: MatchPattern) -> StringMatcher {
    StringMatcher { match_pattern: Some(pattern), ..StringMatcher::default() }
}

pub(super) fn alternative_name(pattern: MatchPattern) -> SubjectAltNameMatcher {
    SubjectAltNameMatcher {
        san_type: SanType::Uri.into(),
        matcher: Some(text(pattern)),
        ..SubjectAltNameMatcher::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_name_is_of_a_mesh_and_a_service() {
        // printf 'default\nweb' | sha256sum
        assert_eq!(server_name("default", "web"), "a9e646377398d132.kuma");
        assert_ne!(server_name("default", "web"), server_name("other", "web"));
        assert_ne!(server_name("default", "web"), server_name("default", "web-api"));
    }
}
