//! Why a connection failed, out of Envoy's `%DOWNSTREAM_TRANSPORT_FAILURE_REASON%`.
//!
//! Its form: `TLS_error:|<code>:<library>:OPENSSL_internal:<reason>[:<detail>]:TLS_error_end`, the code being BoringSSL's
//! packed error (`openssl/err.h`: the library in the upper 8 bits, the reason in the lower 12). Envoy turns blanks into
//! underscores in some places and not in others; here both are the same.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The peer's certificate is one of the mesh, and none of its names is permitted: whoever is named there was there.
    NotPermitted,
    /// Envoy refused the peer, and what it says of itself proves nothing.
    Unproved,
    /// Nobody was refused: the peer went away, or refused us.
    PeerLeft,
}

/// Envoy compares names only after it has verified the chain, and prints what the peer chose only after these words.
/// So does 1.40; 1.36 says `CERTIFICATE_VERIFY_FAILED` and no more, whatever was wrong.
const NAMES_DO_NOT_MATCH: &str = "TLS error:|268435581:SSL routines:OPENSSL internal:CERTIFICATE VERIFY FAILED:\
                                  verify cert failed: SAN matcher";
/// `ERR_LIB_SYS`: an error of the operating system, such as a reset connection.
const SYSTEM: u32 = 2;
/// `ERR_LIB_SSL`.
const SSL: u32 = 16;
/// `SSL_AD_REASON_OFFSET`: from here on, a reason of [`SSL`] is an alert that the peer has sent.
const ALERTS: u32 = 1000;

impl Cause {
    pub(super) fn of(reason: &str) -> Self {
        let reason = reason.replace('_', " ");
        if reason.starts_with(NAMES_DO_NOT_MATCH) {
            return Self::NotPermitted;
        }
        match code(&reason).map(|code| (code >> 24, code & 0xfff)) {
            Some((SYSTEM, _)) => Self::PeerLeft,
            Some((SSL, alert)) if alert >= ALERTS => Self::PeerLeft,
            _ => Self::Unproved,
        }
    }
}

/// That of the first error, which the others follow from.
fn code(reason: &str) -> Option<u32> {
    let (code, _) = reason.strip_prefix("TLS error:|")?.split_once(':')?;
    code.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Envoy 1.40.0 and 1.36.4 have said it.
    #[test]
    fn only_the_matcher_of_names_proves_who_it_was() {
        const FAILED: &str = "TLS_error:|268435581:SSL_routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED";
        let chain = |what: &str| {
            format!(
                "{FAILED}:verify_cert_failed:_X509_verify_cert:_certificate_verification_error_at_depth_0:_{what}:TLS_error_end"
            )
        };
        for (reason, expected) in [
            (
                format!("{FAILED}:verify_cert_failed:_SAN_matcher,_certificate_SANs_are_[spiffe://default/api]:TLS_error_end"),
                Cause::NotPermitted,
            ),
            (
                "TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify cert failed: \
                 SAN matcher, certificate SANs are []:TLS_error_end"
                    .to_owned(),
                Cause::NotPermitted,
            ),
            (format!("{FAILED}:TLS_error_end"), Cause::Unproved),
            (chain("self_signed_certificate"), Cause::Unproved),
            (chain("certificate_has_expired"), Cause::Unproved),
            (chain("unable_to_get_local_issuer_certificate"), Cause::Unproved),
            (
                "TLS_error:|268435648:SSL_routines:OPENSSL_internal:PEER_DID_NOT_RETURN_A_CERTIFICATE:\
                 peer_did_not_provide_required_client_certificate:TLS_error_end"
                    .to_owned(),
                Cause::Unproved,
            ),
            (
                "TLS_error|error:1000009c:SSL_routines:OPENSSL_internal:HTTP_REQUEST:TLS_error_end".to_owned(),
                Cause::Unproved,
            ),
            (
                "TLS_error:|268435640:SSL_routines:OPENSSL_internal:NO_SHARED_CIPHER:TLS_error_end".to_owned(),
                Cause::Unproved,
            ),
            (
                "TLS_error:|33554536:system_library:OPENSSL_internal:Connection_reset_by_peer:TLS_error_end"
                    .to_owned(),
                Cause::PeerLeft,
            ),
            (
                "TLS_error:|268436504:SSL_routines:OPENSSL_internal:TLSV1_ALERT_UNKNOWN_CA:TLS_error_end".to_owned(),
                Cause::PeerLeft,
            ),
            ("TLS_error:|x".to_owned(), Cause::Unproved),
            (String::new(), Cause::Unproved),
        ] {
            assert_eq!(Cause::of(&reason), expected, "{reason}");
        }
    }

    #[test]
    fn the_words_of_the_matcher_prove_nothing_elsewhere() {
        for reason in [
            "verify_cert_failed:_SAN_matcher",
            "TLS_error:|268435581:SSL_routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:x:verify_cert_failed:_SAN_matcher",
            "TLS_error:|268435648:SSL_routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify_cert_failed:_SAN_matcher",
        ] {
            assert_eq!(Cause::of(reason), Cause::Unproved, "{reason}");
        }
    }
}
