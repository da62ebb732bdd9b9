//! The keyring that counts now: built from the store's present, and built anew when that says otherwise.
//!
//! Nobody has to tell it of a change. Whoever asks gets the keyring of the latest present, so a token that was revoked is
//! refused from the moment in which the store acknowledges it, on every way in.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use identity::{Keyring, KeyringError, SecretsKey, SecureRandom, SigningKey, SigningKeyError, SystemRandom};
use store::{Store, Tokens};

pub struct StoredTokenKeys {
    store: Arc<dyn Store>,
    secrets_key: SecretsKey,
    ca_fingerprint: String,
    current: Mutex<Current>,
}

struct Current {
    /// What `keyring` was built from.
    tokens: Arc<Tokens>,
    keyring: Arc<Keyring>,
}

#[derive(Debug, thiserror::Error)]
pub enum TokenKeysError {
    #[error(transparent)]
    SigningKey(#[from] SigningKeyError),
    #[error("the key {kid}: {reason}")]
    NotOpened { kid: Arc<str>, reason: SigningKeyError },
    #[error(transparent)]
    Keyring(#[from] KeyringError),
}

impl StoredTokenKeys {
    /// `ca_fingerprint` goes into every dataplane token.
    ///
    /// # Errors
    /// When there is no key, or one does not open under `secrets_key`.
    pub fn open(
        store: Arc<dyn Store>,
        secrets_key: SecretsKey,
        ca_fingerprint: String,
    ) -> Result<Self, TokenKeysError> {
        let tokens = store.present().tokens().clone();
        let keyring = Arc::new(keyring(&tokens, &secrets_key, &ca_fingerprint)?);
        let current = Mutex::new(Current { tokens, keyring });
        Ok(Self { store, secrets_key, ca_fingerprint, current })
    }

    /// As of the latest change that the store has acknowledged here.
    pub fn keyring(&self) -> Arc<Keyring> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, so that no older present takes the place of a newer one.
        let present = self.store.present();
        if !Arc::ptr_eq(&current.tokens, present.tokens()) {
            let tokens = present.tokens().clone();
            let keyring = keyring(&tokens, &self.secrets_key, &self.ca_fingerprint).unwrap_or_else(|error| {
                tracing::error!(%error, "{NOT_OPENED}");
                remaining(&current.keyring, &tokens)
            });
            *current = Current { tokens, keyring: Arc::new(keyring) };
        }
        current.keyring.clone()
    }
}

const NOT_OPENED: &str = "the token keys were changed, but not all can be opened: of those before, the ones that were not \
                          retired count on; start kuma-cp with the secrets key under which they were sealed \
                          (general.secretsKeyFile), or make a new one with `kumactl rotate token-key` and retire those \
                          that do not open, each with --retire KID";

impl api::TokenKeys for StoredTokenKeys {
    fn keyring(&self) -> Arc<Keyring> {
        self.keyring()
    }

    fn generate(&self) -> Result<api::NewTokenKey, SigningKeyError> {
        sealed_key(&self.secrets_key, &SystemRandom::new())
    }
}

/// A new signing key, sealed.
pub fn sealed_key(
    secrets_key: &SecretsKey,
    rng: &dyn SecureRandom,
) -> Result<api::NewTokenKey, SigningKeyError> {
    let key = SigningKey::generate(rng)?;
    Ok(api::NewTokenKey { kid: key.kid().to_owned(), sealed: key.seal(secrets_key, rng)? })
}

/// The youngest key signs.
fn keyring(
    tokens: &Tokens,
    secrets_key: &SecretsKey,
    ca_fingerprint: &str,
) -> Result<Keyring, TokenKeysError> {
    let keys = tokens.keys().into_iter();
    let keys = keys.map(|(kid, key)| {
        let opened = SigningKey::open(kid, &key.sealed, secrets_key);
        opened.map_err(|reason| TokenKeysError::NotOpened { kid: kid.clone(), reason })
    });
    let keys: Vec<SigningKey> = keys.collect::<Result<_, _>>()?;
    let signs = keys.last().map(|key| key.kid().to_owned()).unwrap_or_default();
    Ok(Keyring::new(keys, &signs, ca_fingerprint)?.with_revoked(revoked(tokens)))
}

/// What is left of a keyring without the keys that are not in `tokens`: what was taken back stays taken back, even when what
/// was given anew cannot be read.
fn remaining(before: &Keyring, tokens: &Tokens) -> Keyring {
    let keys = tokens.keys();
    let kids: BTreeSet<&str> = keys.iter().map(|(kid, _)| &***kid).collect();
    before.clone().with_only(&kids).with_revoked(revoked(tokens))
}

fn revoked(tokens: &Tokens) -> impl Iterator<Item = String> {
    tokens.revocations().map(|(jti, _)| jti.to_string())
}
