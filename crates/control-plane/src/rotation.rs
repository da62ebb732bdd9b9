//! The rotation of a mesh's CA, step by step, each of which looks at what the mesh's proxies have said first.
//!
//! A new CA is trusted, then signs, then is the only one. To sign before everybody trusts it, or to go while certificates of it
//! are in use, would cut connections: so both are refused, unless whoever asks wants it all the same.

use std::{sync::Arc, time::SystemTime};

use api::{Answering, Guard, MeshCaError, MeshCaInfo, MeshCaProxies};
use identity::{MESH_CAS_MAX, MeshCa, MeshCas, MeshCasError, SystemRandom};
use model::{Key, Timestamp};
use store::{Revision, Store, StoreError};
use tracing::info;

use crate::{
    certificates::Certificates,
    holders::Holders,
    live_streams::LiveStreams,
    mesh_cas::{ChangeError, MeshAuthority},
};

/// Carries out the steps.
pub struct Rotation {
    pub store: Arc<dyn Store>,
    pub certificates: Arc<Certificates>,
    pub live_streams: Arc<LiveStreams>,
    /// When this control plane did.
    pub started: SystemTime,
}

impl Rotation {
    fn check_mesh(&self, mesh: &str) -> Result<(), MeshCaError> {
        match self.store.present().get(&Key::mesh(mesh)) {
            Some(_) => Ok(()),
            None => Err(MeshCaError::NoSuchMesh),
        }
    }

    async fn authority(&self, mesh: &str) -> Result<Arc<MeshAuthority>, MeshCaError> {
        self.check_mesh(mesh)?;
        self.certificates.mesh_cas.ensure(mesh).await?;
        self.certificates.mesh_cas.of(mesh).ok_or_else(|| ChangeError::NotOpened.into())
    }

    /// Of the CA with this id.
    fn count(&self, mesh: &str, id: &str, authority: &MeshAuthority) -> MeshCaProxies {
        self.holders(mesh, authority).count(id, authority)
    }

    fn holders(&self, mesh: &str, authority: &MeshAuthority) -> Holders {
        let present = self.store.present();
        Holders::of_mesh(mesh, &present, authority, &self.certificates, &self.live_streams, self.started)
    }

    async fn add(&self, mesh: &str) -> Result<(MeshCaInfo, Revision), MeshCaError> {
        self.check_mesh(mesh)?;
        let now = self.certificates.now;
        let one_more = |authority: &MeshAuthority| -> Result<(MeshCas, Option<String>), ChangeError> {
            let next = authority.cas.with_new(now(), &SystemRandom::new())?;
            let newest = next.all().last().map(|ca| ca.id().to_owned());
            Ok((next, newest))
        };
        let (revision, newest) = self.certificates.mesh_cas.change(mesh, one_more).await?;
        let authority = self.authority(mesh).await?;
        // Somebody may have retired it already.
        let added = authority.cas.all().find(|ca| Some(ca.id()) == newest.as_deref());
        let info = info(added.ok_or(MeshCaError::NoSuchCa)?, &authority, &self.holders(mesh, &authority));
        info!(mesh, ca = info.id, %revision, "added a CA to a mesh; it is trusted and does not sign yet");
        Ok((info, revision))
    }

    async fn sign_with(&self, mesh: &str, id: &str, guard: Guard) -> Result<Revision, MeshCaError> {
        if self.authority(mesh).await?.cas.signing().id() == id {
            return Ok(self.store.present().revision());
        }
        let signing = |authority: &MeshAuthority| -> Result<(MeshCas, ()), MeshCaError> {
            let next = authority.cas.signing_with(id).map_err(ChangeError::from)?;
            let MeshCaProxies { connected, trusting, .. } = self.count(mesh, id, authority);
            if guard == Guard::On && trusting < connected {
                return Err(MeshCaError::NotTrustedYet { trusting, connected });
            }
            Ok((next, ()))
        };
        let (revision, ()) = self.certificates.mesh_cas.change(mesh, signing).await?;
        info!(mesh, ca = id, %revision, "a CA signs the certificates of a mesh from now on");
        Ok(revision)
    }

    async fn retire(&self, mesh: &str, id: &str, guard: Guard) -> Result<Revision, MeshCaError> {
        self.check_mesh(mesh)?;
        let without = |authority: &MeshAuthority| -> Result<(MeshCas, ()), MeshCaError> {
            let next = authority.cas.without(id).map_err(ChangeError::from)?;
            let MeshCaProxies { connected, using, .. } = self.count(mesh, id, authority);
            if guard == Guard::On && using > 0 {
                return Err(MeshCaError::StillUsed { using, connected });
            }
            Ok((next, ()))
        };
        let (revision, ()) = self.certificates.mesh_cas.change(mesh, without).await?;
        info!(mesh, ca = id, %revision, "retired a CA of a mesh; what it has signed is not trusted any more");
        Ok(revision)
    }
}

impl api::MeshCas for Rotation {
    fn list<'a>(&'a self, mesh: &'a str) -> Answering<'a, Vec<MeshCaInfo>> {
        Box::pin(async move {
            self.check_mesh(mesh)?;
            // Whoever only looks makes none.
            let Some(authority) = self.certificates.mesh_cas.find(mesh)? else { return Ok(Vec::new()) };
            let holders = self.holders(mesh, &authority);
            Ok(authority.cas.all().map(|ca| info(ca, &authority, &holders)).collect())
        })
    }

    fn add<'a>(&'a self, mesh: &'a str) -> Answering<'a, (MeshCaInfo, Revision)> {
        Box::pin(self.add(mesh))
    }

    fn sign_with<'a>(&'a self, mesh: &'a str, id: &'a str, guard: Guard) -> Answering<'a, Revision> {
        Box::pin(self.sign_with(mesh, id, guard))
    }

    fn retire<'a>(&'a self, mesh: &'a str, id: &'a str, guard: Guard) -> Answering<'a, Revision> {
        Box::pin(self.retire(mesh, id, guard))
    }
}

fn info(ca: &MeshCa, authority: &MeshAuthority, holders: &Holders) -> MeshCaInfo {
    MeshCaInfo {
        id: ca.id().to_owned(),
        signs: ca.id() == authority.cas.signing().id(),
        not_before: Timestamp::from(ca.not_before()),
        not_after: Timestamp::from(ca.not_after()),
        certificate_pem: ca.certificate_pem().to_owned(),
        proxies: holders.count(ca.id(), authority),
    }
}

impl From<ChangeError> for MeshCaError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::NoSuchMesh => Self::NoSuchMesh,
            ChangeError::Cas(MeshCasError::NoSuchCa { .. }) => Self::NoSuchCa,
            ChangeError::Cas(MeshCasError::Signs { .. }) => Self::Signs,
            ChangeError::Cas(MeshCasError::TooMany { .. }) => Self::TooMany { most: MESH_CAS_MAX },
            ChangeError::Store(StoreError::Unavailable(reason)) => Self::Unavailable(reason),
            ChangeError::Contended => Self::Unavailable(error.to_string()),
            ChangeError::Cas(_) | ChangeError::Store(_) | ChangeError::NotOpened => {
                Self::Internal(error.to_string())
            }
        }
    }
}
