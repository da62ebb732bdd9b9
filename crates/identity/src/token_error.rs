//! Why a token was refused, in sentences for whoever has to find another one. None of them repeats the token, or
//! anything from it that was not checked first.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Why a token was refused, or not issued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error(
        "this is not a token of kuma-rs ({reason}): pass the whole text that `kumactl generate dataplane-token` or \
         `POST /tokens` printed, and nothing else"
    )]
    Malformed {
        /// What is wrong with it, in words of ours.
        reason: &'static str,
    },
    #[error(
        "the token was signed with the key `{kid}`, which this control plane does not have (it was retired, or the token is \
         another control plane's): generate a new token here (a dataplane's goes into the file that kuma-dp reads)"
    )]
    UnknownKey { kid: String },
    #[error(
        "the token's signature is wrong (it was changed on its way, or made elsewhere): generate a new token here"
    )]
    BadSignature,
    #[error(
        "a {expected} token is needed here, but this is one of another kind: generate a {expected} token"
    )]
    WrongAudience {
        /// `dataplane` or `admin`.
        expected: &'static str,
    },
    #[error("the token ended at {}: generate a new one", rfc3339(*.at))]
    Expired {
        /// Its `exp`, in seconds since 1970.
        at: u64,
    },
    #[error(
        "the token was issued at {}, which is in the future by this control plane's clock: set the clocks right",
        rfc3339(*.at)
    )]
    NotYetValid {
        /// Its `iat`, in seconds since 1970.
        at: u64,
    },
    #[error(
        "the token was revoked: if its holder may still connect, generate a new one (a dataplane's goes into the file that \
         kuma-dp reads)"
    )]
    Revoked {
        /// The token's id.
        jti: String,
    },
    #[error("no token was issued, because {reason}")]
    NotIssued {
        /// What stood against it, in words of ours.
        reason: &'static str,
    },
}

/// A number of seconds that no calendar holds is said as it is.
fn rfc3339(seconds: u64) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{seconds} s after 1970"))
}
