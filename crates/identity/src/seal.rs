//! Sealing what must be kept: a store, a backup or a database administrator sees a secret only in this form.
//!
//! AES-256-GCM with a random nonce. The additional data is the secret's scope and name, so that a sealed secret opens in
//! its own place only: whoever can write to the table cannot put one key where another belongs.
//!
//! A sealed secret is `format (1 byte, 1) | nonce (12) | ciphertext | tag (16)`. Random nonces of 96 bits are safe for 2^32
//! secrets under one key (NIST SP 800-38D, 8.3), which is far beyond what a control plane ever seals.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand::SecureRandom;
use zeroize::Zeroizing;

const KEY_BYTES: usize = 32;

/// Written in front, so that another cipher can come without guessing what an old secret is.
const FORMAT: u8 = 1;

/// Why something could not be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error(
        "a secrets key is {KEY_BYTES} bytes, but this one has {found}: give the key file that was made with this store, or \
         for a new store make one with `head -c {KEY_BYTES} /dev/urandom`"
    )]
    WrongKeyLength { found: usize },
    #[error(
        "the secret `{scope}/{name}` does not open with this secrets key: either the key is not the one that this store was \
         made with (a backup does not contain it), or the secret was damaged; give the right key file, or restore the store"
    )]
    DoesNotOpen { scope: String, name: String },
    #[error("a secret of 64 GiB or more cannot be sealed")]
    TooLarge,
    #[error("the operating system gave no random bytes, so nothing was sealed: try again")]
    NoRandomness,
}

/// The key that seals the secrets of one store. Zeroed in memory when it is dropped.
#[derive(Clone)]
pub struct SecretsKey(Zeroizing<[u8; KEY_BYTES]>);

impl SecretsKey {
    pub fn generate(rng: &dyn SecureRandom) -> Result<Self, SealError> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        rng.fill(key.as_mut_slice()).map_err(|_| SealError::NoRandomness)?;
        Ok(Self(key))
    }

    /// Reads a key as it is kept in its file: exactly 32 bytes, nothing around them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SealError> {
        if bytes.len() != KEY_BYTES {
            return Err(SealError::WrongKeyLength { found: bytes.len() });
        }
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        key.copy_from_slice(bytes);
        Ok(Self(key))
    }

    /// The key itself, to be written to its file and nowhere else.
    pub fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// Seals `plain` for the place `scope`, `name`. Sealing the same twice gives different bytes.
    pub fn seal(
        &self,
        scope: &str,
        name: &str,
        plain: &[u8],
        rng: &dyn SecureRandom,
    ) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_LEN];
        rng.fill(&mut nonce).map_err(|_| SealError::NoRandomness)?;

        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
        sealed.push(FORMAT);
        sealed.extend_from_slice(&nonce);
        // Encrypted in a buffer of its own: aws-lc appends the tag to what it encrypts, and the header is not encrypted.
        let mut body = Zeroizing::new(Vec::with_capacity(plain.len() + AES_256_GCM.tag_len()));
        body.extend_from_slice(plain);
        self.cipher()
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), place(scope, name), &mut *body)
            .map_err(|_| SealError::TooLarge)?;
        sealed.extend_from_slice(&body);
        Ok(sealed)
    }

    /// Opens what [`seal`](Self::seal) made for the same place under the same key.
    pub fn open(&self, scope: &str, name: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        self.try_open(scope, name, sealed)
            .ok_or_else(|| SealError::DoesNotOpen { scope: scope.to_owned(), name: name.to_owned() })
    }

    fn try_open(&self, scope: &str, name: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (&format, rest) = sealed.split_first()?;
        if format != FORMAT {
            return None;
        }
        let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>()?;
        let mut plain = Zeroizing::new(body.to_vec());
        let length = self
            .cipher()
            .open_in_place(Nonce::assume_unique_for_key(*nonce), place(scope, name), &mut plain)
            .ok()?
            .len();
        plain.truncate(length);
        Some(plain)
    }

    fn cipher(&self) -> LessSafeKey {
        let key = UnboundKey::new(&AES_256_GCM, self.0.as_slice())
            .expect("a secrets key has the length of an AES-256 key");
        LessSafeKey::new(key)
    }
}

impl fmt::Debug for SecretsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretsKey(<redacted>)")
    }
}

/// The length of the scope goes first: without it, `a/bc` and `ab/c` would be one place.
fn place(scope: &str, name: &str) -> Aad<Vec<u8>> {
    let mut bytes = Vec::with_capacity(8 + scope.len() + name.len());
    bytes.extend_from_slice(&(scope.len() as u64).to_be_bytes());
    bytes.extend_from_slice(scope.as_bytes());
    bytes.extend_from_slice(name.as_bytes());
    Aad::from(bytes)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;

    use super::*;

    fn key() -> SecretsKey {
        SecretsKey::generate(&SystemRandom::new()).expect("the system has random bytes")
    }

    fn seal(key: &SecretsKey, plain: &[u8]) -> Vec<u8> {
        key.seal("scope", "name", plain, &SystemRandom::new()).expect("the system has random bytes")
    }

    #[test]
    fn opens_in_its_own_place_with_its_own_key_only() {
        let key = key();
        let sealed = seal(&key, b"a secret");
        assert_eq!(key.open("scope", "name", &sealed).expect("opens").as_slice(), b"a secret");

        let refused = |key: &SecretsKey, scope: &str, name: &str| {
            let expected = SealError::DoesNotOpen { scope: scope.to_owned(), name: name.to_owned() };
            assert_eq!(key.open(scope, name, &sealed), Err(expected), "{scope}/{name}");
        };
        refused(&super::tests::key(), "scope", "name");
        refused(&key, "scope", "other");
        refused(&key, "other", "name");
        refused(&key, "scop", "ename");
        refused(&key, "", "scopename");
    }

    #[test]
    fn a_changed_or_missing_byte_is_refused() {
        let key = key();
        let sealed = seal(&key, b"a secret");
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(key.open("scope", "name", &damaged).is_err(), "byte {at} changed");
            assert!(key.open("scope", "name", &sealed[..at]).is_err(), "cut to {at} bytes");
        }
    }

    #[test]
    fn sealing_twice_gives_different_bytes() {
        let key = key();
        assert_ne!(seal(&key, b"a secret"), seal(&key, b"a secret"));
    }

    #[test]
    fn a_key_survives_its_file_and_has_exactly_32_bytes() {
        let key = key();
        let again = SecretsKey::from_bytes(key.as_bytes()).expect("32 bytes");
        assert!(again.open("scope", "name", &seal(&key, b"")).is_ok());
        for found in [0, 31, 33, 64] {
            let error = SecretsKey::from_bytes(&vec![7; found]).expect_err("not 32 bytes");
            assert_eq!(error, SealError::WrongKeyLength { found });
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let key = SecretsKey::from_bytes(&[0xAB; 32]).expect("32 bytes");
        assert_eq!(format!("{key:?}"), "SecretsKey(<redacted>)");
    }
}
