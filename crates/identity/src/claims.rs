//! What tokens say. The members' names are those of Kuma 0.3.0 where it had them (`Name`, `Mesh`); `aud` tells the two
//! kinds of token apart, so that neither is ever taken for the other.

use serde::{Deserialize, Deserializer, Serialize};

/// A dataplane's token: it may be the proxy `name` of `mesh`, nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataplaneClaims {
    #[serde(rename = "Name")]
    pub name: String,
    #[serde(rename = "Mesh")]
    pub mesh: String,
    /// The token's id (RFC 7519, 4.1.7): what a revocation names.
    pub jti: String,
    /// When it was issued, in seconds since 1970.
    pub iat: u64,
    /// When it ends, in seconds since 1970; never, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "not_null")]
    pub exp: Option<u64>,
    /// [`ControlPlaneCa::fingerprint`](crate::ControlPlaneCa::fingerprint) of the CA to trust when bringing this token.
    pub ca: String,
}

/// A person's or a program's token for the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminClaims {
    /// Who it was made for: the name in the audit log.
    pub sub: String,
    pub role: Role,
    /// The token's id (RFC 7519, 4.1.7): what a revocation names.
    pub jti: String,
    /// When it was issued, in seconds since 1970.
    pub iat: u64,
    /// When it ends, in seconds since 1970; never, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "not_null")]
    pub exp: Option<u64>,
}

/// What an admin token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    Admin,
    /// Reading only.
    Viewer,
}

/// The payload of a token, told apart by `aud`.
#[derive(Serialize, Deserialize)]
#[serde(tag = "aud", rename_all = "lowercase")]
pub(crate) enum Claims {
    Dataplane(DataplaneClaims),
    Admin(AdminClaims),
    /// Signed by one of our keys, for a use that this version does not know.
    #[serde(other)]
    Unknown,
}

/// An absent `exp` means "never"; one that is there and null is a mistake, not a token without an end.
fn not_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    u64::deserialize(deserializer).map(Some)
}
