//! The CAs of a mesh: all of them are trusted by its proxies, the oldest first, and exactly one signs their certificates.
//!
//! A mesh has one, until somebody rotates it: a new one is added, and trusted; when every proxy trusts it, it signs; when no
//! certificate of the old one is in use any more, that one goes. Each step is a new value ([`MeshCas::with_new`],
//! [`MeshCas::signing_with`], [`MeshCas::without`]); when each may be taken is the caller's to know.
//!
//! Subject and alternative name are those of Kuma 0.3.0, for which they are the same for all CAs of a mesh. They are told apart
//! by their keys, which certificates name.

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::SystemTime;

use aws_lc_rs::rand::SecureRandom;
use rcgen::{DistinguishedName, DnType, SanType};
use zeroize::Zeroizing;

use crate::seal::{SealError, SecretsKey};
use crate::x509::{CaName, CertificateError, SigningCa, generate_key};

/// The name under which the CAs of a mesh are kept in the scope of its secrets.
pub const MESH_CAS_NAME: &str = "ca";

/// More at a time than any rotation needs. Every proxy of the mesh is told all of them.
pub const MESH_CAS_MAX: usize = 4;

/// RFC 5280, appendix A.1, ub-common-name. The alternative name has all of it.
const COMMON_NAME_MAX_CHARS: usize = 64;

const KEY_BEGINS: &str = "-----BEGIN PRIVATE KEY-----";
const SIGNS: &str = "signs ";

/// Why the CAs of a mesh could not be made, kept, read back or changed, or did not sign.
#[derive(Debug, thiserror::Error)]
pub enum MeshCasError {
    #[error(
        "the CAs of mesh {mesh} open, but the {part} of one does not read: restore the store from a backup"
    )]
    Damaged { mesh: Arc<str>, part: &'static str },
    #[error("mesh {mesh} has no CA {id}")]
    NoSuchCa { mesh: Arc<str>, id: String },
    #[error("the CA {id} of mesh {mesh} is the one that signs: let another sign first")]
    Signs { mesh: Arc<str>, id: String },
    #[error("mesh {mesh} has {MESH_CAS_MAX} CAs already: retire one first")]
    TooMany { mesh: Arc<str> },
    #[error("the CA {id} of mesh {mesh} has ended, so it signs nothing more: add another and let that sign")]
    Ended { mesh: Arc<str>, id: String },
    #[error(
        "no certificate can be made for a proxy of mesh {mesh} that has no service: give its Dataplane an inbound"
    )]
    NoServices { mesh: Arc<str> },
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// The CAs of one mesh. Cheap to clone. Their keys leave it sealed only.
#[derive(Clone, Debug)]
pub struct MeshCas {
    mesh: Arc<str>,
    /// The oldest first, never empty.
    cas: Vec<Arc<MeshCa>>,
    /// One of them.
    signing: Arc<MeshCa>,
}

/// One CA of a mesh.
pub struct MeshCa {
    id: String,
    pub(crate) ca: SigningCa,
}

impl MeshCas {
    /// A first CA, which is valid for ten years, and signs.
    pub fn generate(mesh: &str, now: SystemTime, rng: &dyn SecureRandom) -> Result<Self, MeshCasError> {
        let ca = Arc::new(MeshCa::generate(mesh, now, rng)?);
        Ok(Self { mesh: mesh.into(), cas: vec![ca.clone()], signing: ca })
    }

    /// As they are kept among the store's secrets: in `scope`, which has to be the mesh's own, under [`MESH_CAS_NAME`].
    pub fn seal(
        &self,
        scope: &str,
        key: &SecretsKey,
        rng: &dyn SecureRandom,
    ) -> Result<Vec<u8>, MeshCasError> {
        let mut text = Zeroizing::new(format!("{SIGNS}{}\n", self.signing.id));
        for ca in &self.cas {
            text.push_str(&ca.ca.print());
        }
        Ok(key.seal(scope, MESH_CAS_NAME, text.as_bytes(), rng)?)
    }

    /// Opens what [`seal`](Self::seal) made for the same scope.
    pub fn open(mesh: &str, scope: &str, sealed: &[u8], key: &SecretsKey) -> Result<Self, MeshCasError> {
        let mesh: Arc<str> = mesh.into();
        let damaged = |part| MeshCasError::Damaged { mesh: mesh.clone(), part };
        let plain = key.open(scope, MESH_CAS_NAME, sealed)?;
        let text = std::str::from_utf8(&plain).map_err(|_| damaged("text"))?;
        let (head, pem) = text.split_once('\n').ok_or_else(|| damaged("first line"))?;
        let signing = head.strip_prefix(SIGNS).ok_or_else(|| damaged("first line"))?;
        let cas = blocks(pem).map(MeshCa::read).collect::<Result<Vec<_>, _>>().map_err(damaged)?;
        let signing = cas.iter().find(|ca| ca.id == signing).cloned().ok_or_else(|| damaged("first line"))?;
        Ok(Self { mesh, cas, signing })
    }

    pub fn mesh(&self) -> &str {
        &self.mesh
    }

    /// The oldest first.
    pub fn all(&self) -> impl Iterator<Item = &MeshCa> {
        self.cas.iter().map(|ca| &**ca)
    }

    /// The one that signs.
    pub fn signing(&self) -> &MeshCa {
        &self.signing
    }

    /// Whom the proxies of the mesh trust: every CA certificate, in PEM, the oldest first.
    pub fn roots_pem(&self) -> String {
        self.all().map(MeshCa::certificate_pem).collect()
    }

    /// These and a new one, which does not sign yet.
    ///
    /// # Errors
    /// [`MeshCasError::TooMany`]; what keeps a CA from being made.
    pub fn with_new(&self, now: SystemTime, rng: &dyn SecureRandom) -> Result<Self, MeshCasError> {
        if self.cas.len() >= MESH_CAS_MAX {
            return Err(MeshCasError::TooMany { mesh: self.mesh.clone() });
        }
        let mut next = self.clone();
        next.cas.push(Arc::new(MeshCa::generate(&self.mesh, now, rng)?));
        Ok(next)
    }

    /// The same, of which another signs.
    ///
    /// # Errors
    /// [`MeshCasError::NoSuchCa`].
    pub fn signing_with(&self, id: &str) -> Result<Self, MeshCasError> {
        Ok(Self { signing: self.find(id)?.clone(), ..self.clone() })
    }

    /// Without one that does not sign: what it has signed is not trusted any more.
    ///
    /// # Errors
    /// [`MeshCasError::NoSuchCa`], [`MeshCasError::Signs`].
    pub fn without(&self, id: &str) -> Result<Self, MeshCasError> {
        if self.find(id)?.id == self.signing.id {
            return Err(MeshCasError::Signs { mesh: self.mesh.clone(), id: id.to_owned() });
        }
        let mut next = self.clone();
        next.cas.retain(|ca| ca.id != id);
        Ok(next)
    }

    fn find(&self, id: &str) -> Result<&Arc<MeshCa>, MeshCasError> {
        let no_such_ca = || MeshCasError::NoSuchCa { mesh: self.mesh.clone(), id: id.to_owned() };
        self.cas.iter().find(|ca| ca.id == id).ok_or_else(no_such_ca)
    }
}

impl MeshCa {
    fn generate(mesh: &str, now: SystemTime, rng: &dyn SecureRandom) -> Result<Self, CertificateError> {
        let mut subject = DistinguishedName::new();
        subject.push(DnType::OrganizationName, "Kuma");
        subject.push(DnType::OrganizationalUnitName, "Mesh");
        subject.push(DnType::CommonName, mesh.chars().take(COMMON_NAME_MAX_CHARS).collect::<String>());
        let prefix = model::spiffe_prefix(mesh);
        let trust_domain = prefix.strip_suffix('/').unwrap_or(&prefix);
        let alternative_names = vec![SanType::URI(trust_domain.try_into()?)];
        let name = CaName { subject, alternative_names };
        Ok(Self::of(SigningCa::generate(generate_key(rng)?, name, now, rng)?))
    }

    fn read(text: &str) -> Result<Arc<Self>, &'static str> {
        SigningCa::read(text).map(|ca| Arc::new(Self::of(ca)))
    }

    fn of(ca: SigningCa) -> Self {
        Self { id: hex(&ca.key_digest()[..8]), ca }
    }

    /// 16 hexadecimal digits: the first of the SHA-256 of its SubjectPublicKeyInfo.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn certificate_pem(&self) -> &str {
        self.ca.certificate_pem()
    }

    pub fn not_before(&self) -> SystemTime {
        self.ca.not_before()
    }

    pub fn not_after(&self) -> SystemTime {
        self.ca.not_after()
    }
}

impl fmt::Debug for MeshCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeshCa")
            .field("id", &self.id)
            .field("key", &format_args!("<redacted>"))
            .finish_non_exhaustive()
    }
}

/// The text cut before each key.
fn blocks(text: &str) -> impl Iterator<Item = &str> {
    let mut starts: Vec<usize> = text.match_indices(KEY_BEGINS).map(|(at, _)| at).collect();
    starts.push(text.len());
    (1..starts.len()).map(move |i| &text[starts[i - 1]..starts[i]])
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing into a String never fails");
        text
    })
}
