//! The keys that count now, what they sign, and what they accept.
//!
//! A [`Keyring`] is a value: when a key is made or retired, or a token revoked, the control plane builds another one and
//! puts it in the old one's place. Verifying therefore takes no lock and does no I/O.
//!
//! What protects from the classic faults of JWT (RFC 8725): the algorithm is HS256 whatever a header says; a key is found
//! by a `kid` of ours only, never by a key, URL or certificate that the token carries; `aud` is part of the type; the time
//! is the caller's.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use aws_lc_rs::rand::SecureRandom;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};

use crate::claims::{AdminClaims, Claims, DataplaneClaims, Role};
use crate::signing_key::{SigningKey, is_kid};
use crate::token_error::TokenError;

/// How far two machines' clocks may be apart.
pub const LEEWAY: Duration = Duration::from_mins(5);

/// Longer than any token of ours (about 400 bytes plus a name and a mesh), short enough to be nobody's burden.
const TOKEN_MAX_BYTES: usize = 8 * 1024;

const DATAPLANE: &str = "dataplane";
const ADMIN: &str = "admin";

/// Why keys do not make a keyring.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    #[error("two token signing keys are named `{kid}`: retire one of them")]
    DuplicateKid { kid: String },
    #[error("the key `{kid}` is to sign tokens, but it is not among the signing keys: make a new one")]
    SigningKeyMissing { kid: String },
}

/// What names a token without being one: all that is kept of a token that was revoked, or that has opened a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenId {
    pub jti: String,
    /// Of the key that signed it.
    pub kid: String,
    /// When it ends, in seconds since 1970; never, if absent.
    pub exp: Option<u64>,
}

/// A token's id as a person has copied it: the hyphenated UUID, in lower case as tokens have it. `None` for any other text,
/// most of all for a token.
pub fn read_jti(text: &str) -> Option<String> {
    const HYPHENATED_CHARS: usize = 36;
    let uuid = uuid::Uuid::try_parse(text).ok().filter(|_| text.len() == HYPHENATED_CHARS)?;
    Some(uuid.to_string())
}

/// The signing keys, the one that signs, what was revoked, and the CA that tokens name.
#[derive(Debug, Clone)]
pub struct Keyring {
    keys: BTreeMap<String, SigningKey>,
    signing_key: SigningKey,
    ca_fingerprint: String,
    revoked: BTreeSet<String>,
}

impl Keyring {
    /// `signing_kid` is the one of `keys` that signs; the others still verify. `ca_fingerprint` goes into every
    /// dataplane token as its `ca` claim.
    pub fn new(
        keys: impl IntoIterator<Item = SigningKey>,
        signing_kid: &str,
        ca_fingerprint: impl Into<String>,
    ) -> Result<Self, KeyringError> {
        let mut by_kid = BTreeMap::new();
        for key in keys {
            if let Some(twin) = by_kid.insert(key.kid().to_owned(), key) {
                return Err(KeyringError::DuplicateKid { kid: twin.kid().to_owned() });
            }
        }
        let signing_key = by_kid
            .get(signing_kid)
            .cloned()
            .ok_or_else(|| KeyringError::SigningKeyMissing { kid: signing_kid.to_owned() })?;
        Ok(Self {
            keys: by_kid,
            signing_key,
            ca_fingerprint: ca_fingerprint.into(),
            revoked: BTreeSet::new(),
        })
    }

    /// The same keys with another set of revoked token ids, which replaces the one before.
    #[must_use]
    pub fn with_revoked(mut self, jtis: impl IntoIterator<Item = String>) -> Self {
        self.revoked = jtis.into_iter().collect();
        self
    }

    /// The same, but only what these keys have signed is accepted. The key that signs stays the same, even where it is not
    /// among them: what it signs is refused then.
    #[must_use]
    pub fn with_only(mut self, kids: &BTreeSet<&str>) -> Self {
        self.keys.retain(|kid, _| kids.contains(&**kid));
        self
    }

    /// Whether a token that was accepted before still is, as far as it depends on revocations and keys. Its end is the
    /// caller's to watch.
    pub fn still_accepts(&self, token: &TokenId) -> Result<(), TokenError> {
        if !self.keys.contains_key(&token.kid) {
            return Err(TokenError::UnknownKey { kid: token.kid.clone() });
        }
        if self.revoked.contains(&token.jti) {
            return Err(TokenError::Revoked { jti: token.jti.clone() });
        }
        Ok(())
    }

    /// The tokens that are revoked here and were not in an earlier keyring, by jti.
    pub fn revoked_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = &'a str> {
        self.revoked.difference(&before.revoked).map(String::as_str)
    }

    /// The keys of an earlier keyring that are no more, by kid.
    pub fn retired_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = &'a str> {
        before.kids().filter(|kid| !self.keys.contains_key(*kid))
    }

    /// The kid that new tokens carry.
    pub fn signing_kid(&self) -> &str {
        self.signing_key.kid()
    }

    /// All kids whose tokens are accepted, in order.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }

    /// A token for one dataplane. Without `valid_for` it has no end.
    pub fn issue_dataplane(
        &self,
        mesh: &str,
        name: &str,
        valid_for: Option<Duration>,
        now: SystemTime,
        rng: &dyn SecureRandom,
    ) -> Result<String, TokenError> {
        let (jti, iat, exp) = lifetime(valid_for, now, rng)?;
        self.sign(&Claims::Dataplane(DataplaneClaims {
            name: name.to_owned(),
            mesh: mesh.to_owned(),
            jti,
            iat,
            exp,
            ca: self.ca_fingerprint.clone(),
        }))
    }

    /// A token for the API. Without `valid_for` it has no end.
    pub fn issue_admin(
        &self,
        subject: &str,
        role: Role,
        valid_for: Option<Duration>,
        now: SystemTime,
        rng: &dyn SecureRandom,
    ) -> Result<String, TokenError> {
        let (jti, iat, exp) = lifetime(valid_for, now, rng)?;
        self.sign(&Claims::Admin(AdminClaims { sub: subject.to_owned(), role, jti, iat, exp }))
    }

    /// Which dataplane this token is for. `presented` is the token as it came, raw or after `Bearer`.
    pub fn verify_dataplane(&self, presented: &str, now: SystemTime) -> Result<DataplaneClaims, TokenError> {
        match self.read(presented)? {
            Claims::Dataplane(claims) => {
                self.admit(&claims.jti, claims.iat, claims.exp, now)?;
                Ok(claims)
            }
            _ => Err(TokenError::WrongAudience { expected: DATAPLANE }),
        }
    }

    /// Who this token is for, and with which role. `presented` is the token as it came, raw or after `Bearer`.
    pub fn verify_admin(&self, presented: &str, now: SystemTime) -> Result<AdminClaims, TokenError> {
        match self.read(presented)? {
            Claims::Admin(claims) => {
                self.admit(&claims.jti, claims.iat, claims.exp, now)?;
                Ok(claims)
            }
            _ => Err(TokenError::WrongAudience { expected: ADMIN }),
        }
    }

    /// The id of a token of either kind that one of these keys signed, ended or revoked as it may be.
    pub fn token_id(&self, presented: &str) -> Result<TokenId, TokenError> {
        let (jti, exp) = match self.read(presented)? {
            Claims::Dataplane(claims) => (claims.jti, claims.exp),
            Claims::Admin(claims) => (claims.jti, claims.exp),
            Claims::Unknown => {
                return Err(TokenError::Malformed { reason: "its audience is not known here" });
            }
        };
        let kid = self.key_of(without_scheme(presented))?.kid().to_owned();
        Ok(TokenId { jti, kid, exp })
    }

    fn sign(&self, claims: &Claims) -> Result<String, TokenError> {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(self.signing_key.kid().to_owned());
        let key = EncodingKey::from_secret(self.signing_key.secret());
        let token = jsonwebtoken::encode(&header, claims, &key)
            .map_err(|_| TokenError::NotIssued { reason: "it could not be signed" })?;
        if token.len() > TOKEN_MAX_BYTES {
            return Err(TokenError::NotIssued { reason: "the name or the mesh is too long" });
        }
        Ok(token)
    }

    /// What a token says, once its signature is known to be ours. Whether it still counts is [`admit`](Self::admit)'s.
    fn read(&self, presented: &str) -> Result<Claims, TokenError> {
        let token = without_scheme(presented);
        if token.is_empty() {
            return Err(TokenError::Malformed { reason: "it is empty" });
        }
        if token.len() > TOKEN_MAX_BYTES {
            return Err(TokenError::Malformed { reason: "it is too long" });
        }
        let key = self.key_of(token)?;
        jsonwebtoken::decode(token, &DecodingKey::from_secret(key.secret()), &signature_only())
            .map(|data| data.claims)
            .map_err(|error| refusal(error.kind()))
    }

    fn key_of(&self, token: &str) -> Result<&SigningKey, TokenError> {
        let header = jsonwebtoken::decode_header(token)
            .map_err(|_| TokenError::Malformed { reason: "it does not start with a token's header" })?;
        let kid = header
            .kid
            .filter(|kid| is_kid(kid))
            .ok_or(TokenError::Malformed { reason: "its header names no signing key" })?;
        self.keys.get(&kid).ok_or(TokenError::UnknownKey { kid })
    }

    fn admit(&self, jti: &str, iat: u64, exp: Option<u64>, now: SystemTime) -> Result<(), TokenError> {
        if self.revoked.contains(jti) {
            return Err(TokenError::Revoked { jti: jti.to_owned() });
        }
        let now = unix_seconds(now);
        let leeway = LEEWAY.as_secs();
        if iat > now.saturating_add(leeway) {
            return Err(TokenError::NotYetValid { at: iat });
        }
        match exp {
            // RFC 7519, 4.1.4: not accepted "on or after" its end.
            Some(at) if at.saturating_add(leeway) <= now => Err(TokenError::Expired { at }),
            _ => Ok(()),
        }
    }
}

/// The id, the start and the end of a new token.
fn lifetime(
    valid_for: Option<Duration>,
    now: SystemTime,
    rng: &dyn SecureRandom,
) -> Result<(String, u64, Option<u64>), TokenError> {
    let mut id = [0; 16];
    rng.fill(&mut id).map_err(|_| TokenError::NotIssued {
        reason: "the operating system gave no random bytes: try again",
    })?;
    let jti = uuid::Builder::from_random_bytes(id).into_uuid().to_string();

    let iat = unix_seconds(now);
    let exp = match valid_for {
        None => None,
        Some(duration) => Some(iat.checked_add(duration.as_secs()).ok_or(TokenError::NotIssued {
            reason: "its end would be too far off to be written: ask for less, or for no end",
        })?),
    };
    Ok((jti, iat, exp))
}

/// A clock before 1970 counts as 1970: every token is then from the future and is refused.
fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// RFC 6750 and RFC 9110, 11.1: the scheme's case does not matter. Envoy of Kuma 0.3.0 sends the token without one.
fn without_scheme(presented: &str) -> &str {
    const SCHEME: &str = "Bearer ";
    let presented = presented.trim_ascii();
    match presented.get(..SCHEME.len()) {
        Some(scheme) if scheme.eq_ignore_ascii_case(SCHEME) => presented[SCHEME.len()..].trim_ascii_start(),
        _ => presented,
    }
}

/// jsonwebtoken checks the algorithm and the signature. Its other checks read the machine's clock, and its audience is
/// a list; those rules are this module's.
fn signature_only() -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

fn refusal(kind: &ErrorKind) -> TokenError {
    match kind {
        ErrorKind::InvalidSignature => TokenError::BadSignature,
        ErrorKind::InvalidAlgorithm => TokenError::Malformed { reason: "its algorithm is not HS256" },
        ErrorKind::Json(_) => TokenError::Malformed { reason: "its claims are not those of a token" },
        _ => TokenError::Malformed { reason: "it is not three parts of base64url" },
    }
}
