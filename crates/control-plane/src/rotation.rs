//! The rotation of a mesh's CA, step by step, each of which looks at what the mesh's proxies have said first.
//!
//! A new CA is trusted, then signs, then is the only one. To sign before everybody trusts it, or to go while certificates of it
//! are in use, would cut connections: so both are refused, unless whoever asks wants it all the same.

use std::sync::Arc;

use api::{Answering, Guard, MeshCaError, MeshCaInfo, MeshCaProxies};
use identity::{MESH_CAS_MAX, MeshCa, MeshCas, MeshCasError, SystemRandom};
use model::{Key, ProxyId, Timestamp};
use plan::envoy::{IDENTITY_CERTIFICATE, MESH_CA};
use store::{Revision, Store, StoreError};
use tracing::info;
use xds::{ResourceType, StreamReport};

use crate::{
    certificates::Certificates,
    live_streams::LiveStreams,
    mesh_cas::{ChangeError, MeshAuthority},
};

/// Carries out the steps.
pub struct Rotation {
    pub store: Arc<dyn Store>,
    pub certificates: Arc<Certificates>,
    pub live_streams: Arc<LiveStreams>,
}

/// What one stream of a proxy with mTLS has acknowledged last.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Holder {
    /// The version of the CAs that it trusts.
    roots: Option<Arc<str>>,
    certificate: HeldCertificate,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum HeldCertificate {
    None,
    /// The one that it should have, of this CA.
    Current {
        ca: String,
    },
    /// An earlier one, of which nothing is known any more.
    Earlier,
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

    /// One for each open stream that was given CAs.
    fn holders(&self, mesh: &str) -> Vec<Holder> {
        let streams = self.live_streams.of_mesh(mesh).into_iter();
        streams.filter_map(|(proxy, stream)| self.holder(&proxy, &stream.view.report()?)).collect()
    }

    fn holder(&self, proxy: &ProxyId, report: &StreamReport) -> Option<Holder> {
        let secret = |name: &str| {
            let is_it =
                |it: &&xds::ResourceReport| it.resource_type == ResourceType::Secret && &*it.name == name;
            report.resources.iter().find(is_it)
        };
        let acknowledged =
            |name: &str| secret(name).and_then(|it| it.acknowledged.as_ref()).map(|(it, _)| it.clone());
        secret(MESH_CA)?.sent.as_ref()?;
        let certificate = match (acknowledged(IDENTITY_CERTIFICATE), self.certificates.workloads.of(proxy)) {
            (None, _) => HeldCertificate::None,
            (Some(version), Some(workload)) if *version == *workload.fingerprint => {
                HeldCertificate::Current { ca: workload.ca.clone() }
            }
            (Some(_), _) => HeldCertificate::Earlier,
        };
        Some(Holder { roots: acknowledged(MESH_CA), certificate })
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
        let holders = self.holders(mesh);
        // Somebody may have retired it already.
        let added = authority.cas.all().find(|ca| Some(ca.id()) == newest.as_deref());
        let info = info(added.ok_or(MeshCaError::NoSuchCa)?, &authority, &holders);
        info!(mesh, ca = info.id, %revision, "added a CA to a mesh; it is trusted and does not sign yet");
        Ok((info, revision))
    }

    async fn sign_with(&self, mesh: &str, id: &str, guard: Guard) -> Result<Revision, MeshCaError> {
        if self.authority(mesh).await?.cas.signing().id() == id {
            return Ok(self.store.present().revision());
        }
        let signing = |authority: &MeshAuthority| -> Result<(MeshCas, ()), MeshCaError> {
            let next = authority.cas.signing_with(id).map_err(ChangeError::from)?;
            let holders = self.holders(mesh);
            let (trusting, connected) = (trusting(&holders, authority), holders.len());
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
            let holders = self.holders(mesh);
            let (using, connected) = (using(&holders, id, authority), holders.len());
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
            let authority = self.authority(mesh).await?;
            let holders = self.holders(mesh);
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

fn info(ca: &MeshCa, authority: &MeshAuthority, holders: &[Holder]) -> MeshCaInfo {
    MeshCaInfo {
        id: ca.id().to_owned(),
        signs: ca.id() == authority.cas.signing().id(),
        not_before: Timestamp::from(ca.not_before()),
        not_after: Timestamp::from(ca.not_after()),
        certificate_pem: ca.certificate_pem().to_owned(),
        proxies: MeshCaProxies {
            connected: holders.len(),
            trusting: trusting(holders, authority),
            using: using(holders, ca.id(), authority),
        },
    }
}

/// Who trusts the present CAs trusts each of them. Of who trusts others it is not known which.
fn trusting(holders: &[Holder], authority: &MeshAuthority) -> usize {
    let present = Some(&authority.roots.version);
    holders.iter().filter(|holder| holder.roots.as_ref() == present).count()
}

/// A certificate of which nothing is known may be of any CA but the one that signs: that one's is on its way.
fn using(holders: &[Holder], id: &str, authority: &MeshAuthority) -> usize {
    let signs = authority.cas.signing().id() == id;
    let is_of_it = |holder: &&Holder| match &holder.certificate {
        HeldCertificate::None => false,
        HeldCertificate::Current { ca } => ca == id,
        HeldCertificate::Earlier => !signs,
    };
    holders.iter().filter(is_of_it).count()
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
