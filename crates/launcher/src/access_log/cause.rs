//! Why a connection was refused, out of what Envoy says of it.
//!
//! `%RESPONSE_CODE_DETAILS%` says whether a filter chain was found, and `%DOWNSTREAM_TRANSPORT_FAILURE_REASON%` what went wrong
//! in the handshake. The latter's form: `TLS_error:|<code>:<library>:OPENSSL_internal:<reason>[:<detail>]:TLS_error_end`, the
//! code being BoringSSL's packed error (`openssl/err.h`: the library in the upper 8 bits, the reason in the lower 12). Envoy
//! turns blanks into underscores in some places and not in others; here both are the same.

use crate::access_log::entry::Refusal;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    /// The peer's certificate is one of the mesh, and none of its names is permitted: whoever is named there was there.
    NotPermitted,
    /// Envoy refused the peer, and what it says of itself proves nothing.
    Unproved,
    /// The peer speaks no TLS, or says nothing at all, and the inbound takes nothing else.
    NoTls,
}

/// `ResponseCodeDetails::FilterChainNotFound`. An inbound with mTLS has a chain for whatever begins like TLS.
const NO_FILTER_CHAIN: &str = "filter_chain_not_found";
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
    /// `None` if nobody was refused: the peer went away, or refused us.
    pub(super) fn of(refusal: &Refusal) -> Option<Self> {
        if refusal.details.as_deref() == Some(NO_FILTER_CHAIN) {
            return Some(Self::NoTls);
        }
        let reason = refusal.reason.as_deref().unwrap_or_default().replace('_', " ");
        if reason.starts_with(NAMES_DO_NOT_MATCH) {
            return Some(Self::NotPermitted);
        }
        match code(&reason).map(|code| (code >> 24, code & 0xfff)) {
            Some((SYSTEM, _)) => None,
            Some((SSL, alert)) if alert >= ALERTS => None,
            _ => Some(Self::Unproved),
        }
    }

    /// For a person, after a colon.
    pub(super) fn explanation(self) -> &'static str {
        match self {
            Self::NotPermitted => "no TrafficPermission lets its source in",
            Self::Unproved => "its source is not proved",
            Self::NoTls => "the caller speaks no TLS, and this inbound takes nothing else",
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

    fn cause(reason: Option<&str>, details: Option<&str>) -> Option<Cause> {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Cause::of(&Refusal { reason: owned(reason), details: owned(details), ..Refusal::default() })
    }

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
                Some(Cause::NotPermitted),
            ),
            (
                "TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify cert failed: \
                 SAN matcher, certificate SANs are []:TLS_error_end"
                    .to_owned(),
                Some(Cause::NotPermitted),
            ),
            (format!("{FAILED}:TLS_error_end"), Some(Cause::Unproved)),
            (chain("self_signed_certificate"), Some(Cause::Unproved)),
            (chain("certificate_has_expired"), Some(Cause::Unproved)),
            (chain("unable_to_get_local_issuer_certificate"), Some(Cause::Unproved)),
            (
                "TLS_error:|268435648:SSL_routines:OPENSSL_internal:PEER_DID_NOT_RETURN_A_CERTIFICATE:\
                 peer_did_not_provide_required_client_certificate:TLS_error_end"
                    .to_owned(),
                Some(Cause::Unproved),
            ),
            (
                "TLS_error|error:1000009c:SSL_routines:OPENSSL_internal:HTTP_REQUEST:TLS_error_end".to_owned(),
                Some(Cause::Unproved),
            ),
            (
                "TLS_error:|268435640:SSL_routines:OPENSSL_internal:NO_SHARED_CIPHER:TLS_error_end".to_owned(),
                Some(Cause::Unproved),
            ),
            (
                "TLS_error:|33554536:system_library:OPENSSL_internal:Connection_reset_by_peer:TLS_error_end"
                    .to_owned(),
                None,
            ),
            (
                "TLS_error:|268436504:SSL_routines:OPENSSL_internal:TLSV1_ALERT_UNKNOWN_CA:TLS_error_end".to_owned(),
                None,
            ),
            ("TLS_error:|x".to_owned(), Some(Cause::Unproved)),
            (String::new(), Some(Cause::Unproved)),
        ] {
            assert_eq!(cause(Some(&reason), None), expected, "{reason}");
        }
    }

    #[test]
    fn the_words_of_the_matcher_prove_nothing_elsewhere() {
        for reason in [
            "verify_cert_failed:_SAN_matcher",
            "TLS_error:|268435581:SSL_routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:x:verify_cert_failed:_SAN_matcher",
            "TLS_error:|268435648:SSL_routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify_cert_failed:_SAN_matcher",
        ] {
            assert_eq!(cause(Some(reason), None), Some(Cause::Unproved), "{reason}");
        }
    }

    /// As Envoy 1.40.0 and 1.36.4 have said it: of an HTTP request, of another text, of silence, and of something that is
    /// neither TLS nor not.
    #[test]
    fn without_a_filter_chain_it_was_no_tls_whatever_the_reason() {
        let detected = |what: &str| format!("TLS_error|error:{what}:TLS_error_end");
        for reason in [
            Some(detected("1000009c:SSL_routines:OPENSSL_internal:HTTP_REQUEST")),
            Some(detected("100000f7:SSL_routines:OPENSSL_internal:WRONG_VERSION_NUMBER")),
            None,
            Some(detected("10000083:SSL_routines:OPENSSL_internal:CLIENTHELLO_PARSE_FAILED")),
        ] {
            let reason = reason.as_deref();
            assert_eq!(cause(reason, Some("filter_chain_not_found")), Some(Cause::NoTls), "{reason:?}");
            assert_eq!(cause(reason, Some("via_upstream")), Some(Cause::Unproved), "{reason:?}");
            assert_eq!(cause(reason, None), Some(Cause::Unproved), "{reason:?}");
        }
    }
}
