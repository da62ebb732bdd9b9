//! The keys that sign tokens: made here, kept sealed, told apart by a `kid`.

use std::fmt;

use aws_lc_rs::rand::SecureRandom;
use zeroize::Zeroizing;

use crate::TOKEN_KEYS;
use crate::seal::{SealError, SecretsKey};

const SECRET_BYTES: usize = 32;
const KID_DIGITS: usize = 8;

/// Why a signing key could not be made, kept or read back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SigningKeyError {
    #[error("the operating system gave no random bytes, so no signing key was made: try again")]
    NoRandomness,
    #[error(
        "the store names a token signing key that is not 8 hexadecimal digits: restore the store from a backup"
    )]
    BadKid,
    #[error(
        "the token signing key `{kid}` opens, but is not {SECRET_BYTES} bytes long: restore the store from a backup"
    )]
    WrongLength { kid: String },
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// A key of HMAC-SHA-256 and its name. The secret is zeroed in memory when it is dropped.
#[derive(Clone)]
pub struct SigningKey {
    kid: String,
    secret: Zeroizing<[u8; SECRET_BYTES]>,
}

impl SigningKey {
    pub fn generate(rng: &dyn SecureRandom) -> Result<Self, SigningKeyError> {
        let mut kid = [0; 4];
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        rng.fill(&mut kid).map_err(|_| SigningKeyError::NoRandomness)?;
        rng.fill(secret.as_mut_slice()).map_err(|_| SigningKeyError::NoRandomness)?;
        Ok(Self { kid: format!("{:08x}", u32::from_be_bytes(kid)), secret })
    }

    /// Eight lowercase hexadecimal digits: its name in a token's header, and where it is kept.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    pub fn seal(&self, key: &SecretsKey, rng: &dyn SecureRandom) -> Result<Vec<u8>, SigningKeyError> {
        Ok(key.seal(TOKEN_KEYS, &self.kid, self.secret.as_slice(), rng)?)
    }

    pub fn open(kid: &str, sealed: &[u8], key: &SecretsKey) -> Result<Self, SigningKeyError> {
        if !is_kid(kid) {
            return Err(SigningKeyError::BadKid);
        }
        let plain = key.open(TOKEN_KEYS, kid, sealed)?;
        if plain.len() != SECRET_BYTES {
            return Err(SigningKeyError::WrongLength { kid: kid.to_owned() });
        }
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        secret.copy_from_slice(&plain);
        Ok(Self { kid: kid.to_owned(), secret })
    }

    pub(crate) fn secret(&self) -> &[u8] {
        self.secret.as_slice()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .field("secret", &format_args!("<redacted>"))
            .finish()
    }
}

pub(crate) fn is_kid(text: &str) -> bool {
    text.len() == KID_DIGITS && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;

    use super::*;

    #[test]
    fn a_sealed_key_comes_back_under_its_own_kid_only() {
        let rng = SystemRandom::new();
        let secrets = SecretsKey::generate(&rng).expect("the system has random bytes");
        let key = SigningKey::generate(&rng).expect("the system has random bytes");
        let sealed = key.seal(&secrets, &rng).expect("seals");

        let again = SigningKey::open(key.kid(), &sealed, &secrets).expect("opens");
        assert_eq!(again.secret(), key.secret());
        assert!(is_kid(again.kid()));

        let other_kid = if key.kid() == "00000000" { "00000001" } else { "00000000" };
        assert!(matches!(SigningKey::open(other_kid, &sealed, &secrets), Err(SigningKeyError::Seal(_))));
        for kid in ["", "0000000", "000000000", "0000000G", "ABCDEF01", "../etc/x"] {
            let error = SigningKey::open(kid, &sealed, &secrets).expect_err("not a kid");
            assert_eq!(error, SigningKeyError::BadKid, "{kid}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let key = SigningKey { kid: "0123abcd".to_owned(), secret: Zeroizing::new([0xAB; 32]) };
        assert_eq!(format!("{key:?}"), r#"SigningKey { kid: "0123abcd", secret: <redacted> }"#);
    }
}
