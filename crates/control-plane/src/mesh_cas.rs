//! The CAs of each mesh: made with the Mesh, kept sealed in the store, opened once.
//!
//! Nobody has to tell it of a change. Whoever asks gets the CAs that the store has now; they are opened anew when the store's
//! bytes are others, which they also are when a mesh was deleted and made again under its name.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use identity::{MESH_CAS_NAME, MeshCas, MeshCasError, SecretsKey, SystemRandom};
use model::{Key, Kind, Spec, Timestamp};
use plan::{Part, envoy};
use store::{Revision, Sealed, Store, StoreError, mesh_secrets};
use tracing::{error, info, warn};
use xds::ResourceType;

use crate::registry::Registry;

/// How long after a failure (a full disk) the CA of a new mesh is tried again.
const TRIED_AGAIN_AFTER: Duration = Duration::from_secs(5);

const WARNED_OF_BEFORE_ITS_END: Duration = Duration::from_hours(365 * 24);

pub struct StoredMeshCas {
    store: Arc<dyn Store>,
    secrets_key: SecretsKey,
    registry: Arc<Registry>,
    now: fn() -> SystemTime,
    /// By mesh, as last asked for.
    opened: Mutex<BTreeMap<String, Opened>>,
}

struct Opened {
    sealed: Sealed,
    /// `None`: it does not open, and that was said.
    authority: Option<Arc<MeshAuthority>>,
}

/// The CAs of a mesh, and what its proxies are told of them.
pub struct MeshAuthority {
    pub cas: MeshCas,
    /// All that are trusted.
    pub roots: envoy::Resource,
    /// The same, encoded once for all proxies of the mesh.
    pub encoded_roots: Arc<xds::Resource>,
}

/// Why the CAs of a mesh were not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    #[error("there is no such mesh")]
    NoSuchMesh,
    #[error(transparent)]
    Cas(#[from] MeshCasError),
    #[error(transparent)]
    Store(StoreError),
    #[error("the CAs of the mesh are sealed under another key, or damaged; kuma-cp's log has the reason")]
    NotOpened,
    #[error("others change the CAs of the mesh all the time; try again")]
    Contended,
}

impl StoredMeshCas {
    pub fn new(
        store: Arc<dyn Store>,
        secrets_key: SecretsKey,
        registry: Arc<Registry>,
        now: fn() -> SystemTime,
    ) -> Self {
        Self { store, secrets_key, registry, now, opened: Mutex::default() }
    }

    /// As of the latest change that the store has acknowledged here. `None` for a mesh that has none yet, or whose CAs do not
    /// open; who waits for them is woken as a reader of the mesh's settings ([`Part::Mesh`]).
    pub fn of(&self, mesh: &str) -> Option<Arc<MeshAuthority>> {
        self.opened(mesh)?.1
    }

    /// The same, told apart: `None` for a mesh that has none yet.
    ///
    /// # Errors
    /// [`ChangeError::NotOpened`].
    pub fn find(&self, mesh: &str) -> Result<Option<Arc<MeshAuthority>>, ChangeError> {
        let Some((_, authority)) = self.opened(mesh) else { return Ok(None) };
        authority.map(Some).ok_or(ChangeError::NotOpened)
    }

    /// The latest, sealed and opened.
    fn opened(&self, mesh: &str) -> Option<(Sealed, Option<Arc<MeshAuthority>>)> {
        let scope = mesh_secrets(mesh);
        let mut opened = self.lock();
        // Under the lock, so that nothing older takes the place of something newer.
        let Some(sealed) = self.store.secret(&scope, MESH_CAS_NAME) else {
            opened.remove(mesh);
            return None;
        };
        if let Some(known) = opened.get(mesh).filter(|known| known.sealed == sealed) {
            return Some((sealed, known.authority.clone()));
        }
        let authority = match MeshCas::open(mesh, &scope, &sealed, &self.secrets_key) {
            Ok(cas) => Some(Arc::new(MeshAuthority::new(cas))),
            Err(reason) => {
                error!(mesh, error = %reason, "{NOT_OPENED}");
                None
            }
        };
        opened.insert(mesh.to_owned(), Opened { sealed: sealed.clone(), authority: authority.clone() });
        Some((sealed, authority))
    }

    /// Makes the mesh's first CA, if it has none, and wakes those who wait for it.
    ///
    /// # Errors
    /// [`ChangeError::NoSuchMesh`] when there is no such mesh any more; what kept the CA from being made or kept.
    pub async fn ensure(&self, mesh: &str) -> Result<(), ChangeError> {
        let scope = mesh_secrets(mesh);
        if self.store.secret(&scope, MESH_CAS_NAME).is_some() {
            return Ok(());
        }
        let rng = SystemRandom::new();
        let cas = MeshCas::generate(mesh, (self.now)(), &rng)?;
        let sealed = cas.seal(&scope, &self.secrets_key, &rng)?;
        match self.store.put_secret_if_absent(&scope, MESH_CAS_NAME, sealed.clone()).await {
            Ok(kept) => {
                if *kept == *sealed {
                    info!(mesh, ca = cas.signing().id(), "made the CA of a mesh");
                }
                self.wake(mesh);
                Ok(())
            }
            Err(StoreError::Precondition(_)) => Err(ChangeError::NoSuchMesh),
            Err(error) => Err(ChangeError::Store(error)),
        }
    }

    /// Replaces the CAs by what `change` makes of them, and wakes the mesh's streams. It is asked again when somebody else was
    /// faster; what it says of the change that was carried out is returned with the revision.
    ///
    /// # Errors
    /// What `change` refuses; what kept it from being carried out.
    pub async fn change<T: Send, E: From<ChangeError> + Send>(
        &self,
        mesh: &str,
        change: impl Fn(&MeshAuthority) -> Result<(MeshCas, T), E> + Send + Sync,
    ) -> Result<(Revision, T), E> {
        if self.store.present().get(&Key::mesh(mesh)).is_none() {
            return Err(ChangeError::NoSuchMesh.into());
        }
        self.ensure(mesh).await?;
        let scope = mesh_secrets(mesh);
        for _ in 0..ATTEMPTS {
            let Some((before, authority)) = self.opened(mesh) else {
                return Err(ChangeError::NoSuchMesh.into());
            };
            let authority = authority.ok_or(ChangeError::NotOpened)?;
            let (after, said) = change(&authority)?;
            let after =
                after.seal(&scope, &self.secrets_key, &SystemRandom::new()).map_err(ChangeError::from)?;
            let replaced = self.store.replace_secret(&scope, MESH_CAS_NAME, before, after).await;
            if let Some(revision) = replaced.map_err(ChangeError::Store)? {
                self.wake(mesh);
                return Ok((revision, said));
            }
        }
        Err(ChangeError::Contended.into())
    }

    /// Has those look again who are given CAs. Without mTLS that is nobody; and when it is turned on, they are woken for that, and
    /// find what there is then.
    fn wake(&self, mesh: &str) {
        let present = self.store.present();
        let Some(Spec::Mesh(settings)) = present.get(&Key::mesh(mesh)).map(|entry| &*entry.spec) else {
            return;
        };
        if settings.mtls_enabled() || settings.mtls_permissive() {
            self.registry.wake(&Part::Mesh(mesh.into()));
        }
    }

    /// The meshes that have CAs which open, by name.
    pub fn all(&self) -> Vec<(String, Arc<MeshAuthority>)> {
        let present = self.store.present();
        let meshes = present.all(Kind::Mesh).map(|(key, _)| key.name.to_string());
        meshes.filter_map(|mesh| self.of(&mesh).map(|authority| (mesh, authority))).collect()
    }

    /// Forgets the CAs of meshes that are not there any more.
    pub fn forget_gone(&self) {
        self.lock().retain(|mesh, _| self.store.secret(&mesh_secrets(mesh), MESH_CAS_NAME).is_some());
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Opened>> {
        // A panic elsewhere leaves the map whole: every change to it is one insert or remove.
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const ATTEMPTS: usize = 16;

const NOT_OPENED: &str = "the CAs of a mesh cannot be opened: its proxies keep the certificates that they have, and new ones get \
                          none; start kuma-cp with the secrets key under which they were sealed (general.secretsKeyFile), or \
                          restore the store";

impl MeshAuthority {
    fn new(cas: MeshCas) -> Self {
        let roots = envoy::Resource::mesh_ca(&cas.roots_pem());
        let (name, version) = (roots.name.clone(), roots.version.clone());
        let encoded_roots =
            Arc::new(xds::Resource::new(ResourceType::Secret, name, version, &roots.encode()));
        Self { cas, roots, encoded_roots }
    }

    /// What is to be done before the CA that signs ends, in the last year before that.
    pub fn warning(&self, now: SystemTime) -> Option<String> {
        let (mesh, ca) = (self.cas.mesh(), self.cas.signing());
        let left = ca.not_after().duration_since(now).unwrap_or_default();
        (left < WARNED_OF_BEFORE_ITS_END).then(|| {
            format!(
                "mesh {mesh}: the certificate authority {} that signs ends at {}, and every certificate with it; replace it with \
                 `kumactl rotate mesh-ca --mesh {mesh}`",
                ca.id(),
                Timestamp::from(ca.not_after()),
            )
        })
    }
}

/// Sees to it that every Mesh has a CA, from the start and as they come, also when the store does not take it at once. Returns
/// when the store is gone.
pub async fn make_mesh_cas(store: Arc<dyn Store>, cas: Arc<StoredMeshCas>) {
    let mut revisions = store.revisions();
    let mut seen = None;
    let mut without = BTreeSet::new();
    loop {
        // Before the changes are asked for, so that they are at least all up to this number.
        let heard = *revisions.borrow_and_update();
        without.extend(new_meshes(&*store, seen));
        seen = Some(heard);
        without = still_without(&cas, without).await;

        let again = async {
            if without.is_empty() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(TRIED_AGAIN_AFTER).await;
        };
        tokio::select! {
            changed = revisions.changed() => if changed.is_err() { return },
            () = again => {}
        }
    }
}

/// The meshes that were written after `seen`; all there are when that is not known.
fn new_meshes(store: &dyn Store, seen: Option<u64>) -> Vec<String> {
    match seen.map(|seen| store.changes(seen)) {
        Some(Ok(changes)) => {
            let written = changes.iter().filter(|it| it.key.kind == Kind::Mesh && it.spec.is_some());
            written.map(|change| change.key.name.to_string()).collect()
        }
        _ => store.present().all(Kind::Mesh).map(|(key, _)| key.name.to_string()).collect(),
    }
}

async fn still_without(cas: &StoredMeshCas, meshes: BTreeSet<String>) -> BTreeSet<String> {
    let mut without = BTreeSet::new();
    for mesh in meshes {
        match cas.ensure(&mesh).await {
            Ok(()) | Err(ChangeError::NoSuchMesh) => {}
            Err(error) => {
                warn!(mesh, %error, "the CA of a mesh could not be made; it is tried again");
                without.insert(mesh);
            }
        }
    }
    without
}
