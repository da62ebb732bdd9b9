//! The control plane's own secrets: its CA and the keys that sign tokens, kept sealed in the store under a key that is not
//! in it. Made on the first start, opened on every later one.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use identity::{
    AuthorityError, CONTROL_PLANE_CA, CONTROL_PLANE_CA_NAME, ControlPlaneCa, Keyring, Role, SealError,
    SecretsKey, SecureRandom, SystemRandom, TokenError,
};
use store::{Store, StoreError};
use tokio::sync::watch;

use crate::{
    admissions::Admissions,
    token_keys::{StoredTokenKeys, TokenKeysError, sealed_key},
    work_dir::WorkDir,
};

pub struct Secrets {
    /// Under which everything else is sealed.
    pub key: SecretsKey,
    pub ca: ControlPlaneCa,
    pub token_keys: Arc<StoredTokenKeys>,
}

#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    #[error(
        "the secrets key {path} is not there, but the store has secrets sealed under one; put the key file back, set \
         general.secretsKeyFile to it, or restore the backup that belongs to it"
    )]
    KeyMissing { path: PathBuf },
    #[error("the secrets key {path} cannot be used: {reason}")]
    KeyUnusable { path: PathBuf, reason: io::Error },
    #[error("the secrets key {path} cannot be used: {reason}; put the store's own key file there")]
    KeyMalformed { path: PathBuf, reason: SealError },
    #[error("the store's secrets do not open under {path}: {reason}")]
    Ca { path: PathBuf, reason: AuthorityError },
    #[error("the store's token keys do not open under {path}: {reason}")]
    TokenKeys { path: PathBuf, reason: TokenKeysError },
    #[error("the secrets cannot be read: {0}")]
    Store(#[from] StoreError),
    #[error("the admin token {path} cannot be made: {reason}")]
    AdminToken { path: PathBuf, reason: String },
}

/// Opens what is there and makes what is not. `key_path` is a file of 32 bytes that only this user may read.
pub async fn open(
    store: &Arc<dyn Store>,
    key_path: &Path,
    rng: &dyn SecureRandom,
    now: SystemTime,
) -> Result<Secrets, SecretsError> {
    let key = secrets_key(&**store, key_path, rng)?;
    let ca = control_plane_ca(&**store, &key, rng, now)
        .await
        .map_err(|error| error.or_at(|reason| SecretsError::Ca { path: key_path.to_owned(), reason }))?;
    let unusable = |reason| SecretsError::TokenKeys { path: key_path.to_owned(), reason };
    if store.present().tokens().keys().is_empty() {
        let first = sealed_key(&key, rng).map_err(|error| unusable(error.into()))?;
        store.put_first_token_key(&first.kid, first.sealed).await?;
    }
    let fingerprint = ca.fingerprint().to_owned();
    let token_keys = StoredTokenKeys::open(store.clone(), key.clone(), fingerprint).map_err(unusable)?;
    Ok(Secrets { key, ca, token_keys: Arc::new(token_keys) })
}

/// Makes the file `admin-token` in the work directory, if it is not there or its token no longer holds (the keys are others
/// after a memory store's end, or when `kuma.db` was moved away).
pub fn keep_admin_token(
    work_dir: &Path,
    keyring: &Keyring,
    rng: &dyn SecureRandom,
    now: SystemTime,
) -> Result<(), SecretsError> {
    let path = work_dir.join("admin-token");
    let issue = || {
        let token: Result<String, TokenError> = keyring.issue_admin("admin", Role::Admin, None, now, rng);
        token.map(String::into_bytes).map_err(io::Error::other)
    };
    let keep = || {
        let token = WorkDir::secret_file(&path, issue)?;
        match std::str::from_utf8(&token).map(|token| keyring.verify_admin(token, now)) {
            Ok(Ok(_)) => Ok(()),
            _ => WorkDir::replace_secret_file(&path, &issue()?),
        }
    };
    keep().map_err(|reason| SecretsError::AdminToken { path: path.clone(), reason: reason.to_string() })
}

/// Carries out what a change of the tokens asks for beyond refusing them: ends the streams concerned, and replaces the admin
/// token if it was among them. No stream's end waits for a file. Returns when the store is gone.
pub async fn follow_tokens(
    store: Arc<dyn Store>,
    token_keys: Arc<StoredTokenKeys>,
    admissions: Arc<Admissions>,
    work_dir: PathBuf,
) {
    let (latest, keyrings) = watch::channel(token_keys.keyring());
    let renewing = renew_admin_token(work_dir, keyrings);
    tokio::join!(end_streams(store, token_keys, admissions, latest), renewing);
}

async fn end_streams(
    store: Arc<dyn Store>,
    token_keys: Arc<StoredTokenKeys>,
    admissions: Arc<Admissions>,
    latest: watch::Sender<Arc<Keyring>>,
) {
    let mut revisions = store.revisions();
    loop {
        admissions.catch_up();
        let keyring = token_keys.keyring();
        latest.send_if_modified(|known| {
            let is_new = !Arc::ptr_eq(known, &keyring);
            *known = keyring;
            is_new
        });
        if revisions.changed().await.is_err() {
            return;
        }
    }
}

/// Once at the start and then for the latest keyring, however many there were meanwhile. What fails is tried again at the
/// next change, or the next start.
async fn renew_admin_token(work_dir: PathBuf, mut keyrings: watch::Receiver<Arc<Keyring>>) {
    loop {
        let (work_dir, keyring) = (work_dir.clone(), keyrings.borrow_and_update().clone());
        let keep = move || keep_admin_token(&work_dir, &keyring, &SystemRandom::new(), SystemTime::now());
        match tokio::task::spawn_blocking(keep).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the admin token is not renewed"),
            Err(error) => tracing::error!(%error, "the admin token is not renewed"),
        }
        if keyrings.changed().await.is_err() {
            return;
        }
    }
}

/// A key is made only for a store that has no secrets yet: under a new key the old ones would be lost.
fn secrets_key(store: &dyn Store, path: &Path, rng: &dyn SecureRandom) -> Result<SecretsKey, SecretsError> {
    let has_secrets = store.secret(CONTROL_PLANE_CA, CONTROL_PLANE_CA_NAME).is_some();
    let missing = matches!(fs::metadata(path), Err(error) if error.kind() == io::ErrorKind::NotFound);
    if has_secrets && missing {
        return Err(SecretsError::KeyMissing { path: path.to_owned() });
    }
    let fresh = || SecretsKey::generate(rng).map(|key| key.as_bytes().to_vec()).map_err(io::Error::other);
    let bytes = WorkDir::secret_file(path, fresh)
        .map_err(|reason| SecretsError::KeyUnusable { path: path.to_owned(), reason })?;
    SecretsKey::from_bytes(&bytes)
        .map_err(|reason| SecretsError::KeyMalformed { path: path.to_owned(), reason })
}

/// Either side of keeping a secret.
enum Failure<E> {
    Store(StoreError),
    Secret(E),
}

impl<E> Failure<E> {
    fn or_at(self, secret: impl FnOnce(E) -> SecretsError) -> SecretsError {
        match self {
            Self::Store(error) => SecretsError::Store(error),
            Self::Secret(error) => secret(error),
        }
    }
}

async fn control_plane_ca(
    store: &dyn Store,
    key: &SecretsKey,
    rng: &dyn SecureRandom,
    now: SystemTime,
) -> Result<ControlPlaneCa, Failure<AuthorityError>> {
    let known = store.secret(CONTROL_PLANE_CA, CONTROL_PLANE_CA_NAME);
    let sealed = if let Some(sealed) = known {
        sealed
    } else {
        let fresh = ControlPlaneCa::generate(rng, now).map_err(Failure::Secret)?;
        let sealed = fresh.seal(key, rng).map_err(Failure::Secret)?;
        let kept = store.put_secret_if_absent(CONTROL_PLANE_CA, CONTROL_PLANE_CA_NAME, sealed);
        kept.await.map_err(Failure::Store)?
    };
    ControlPlaneCa::open(&sealed, key).map_err(Failure::Secret)
}
