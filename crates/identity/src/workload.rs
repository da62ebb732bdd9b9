//! What a proxy shows the others of its mesh: a certificate that names its services, signed by the mesh's CA.
//!
//! It is made where the control plane runs, goes to its proxy with its key, and is never kept on a disk.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, SystemTime};

use aws_lc_rs::rand::SecureRandom;
use rcgen::{ExtendedKeyUsagePurpose, SanType};
use zeroize::Zeroizing;

use crate::mesh_cas::{MeshCas, MeshCasError, hex};
use crate::x509::{CertificateError, Leaf, Life, sha256, whole_seconds};

/// A certificate with its key.
pub struct WorkloadCertificate {
    /// PEM: the certificate alone, because whoever checks it trusts its CA directly.
    pub chain_pem: String,
    /// PKCS#8, PEM.
    pub key_pem: Zeroizing<String>,
    /// 32 hexadecimal digits: the first of the SHA-256 of the certificate (DER).
    pub fingerprint: String,
    /// Those that it names, each by [`model::spiffe_id`].
    pub services: BTreeSet<String>,
    /// The [`id`](crate::MeshCa::id) of the CA that has signed it.
    pub ca: String,
    pub not_before: SystemTime,
    /// At most as late as its CA's.
    pub not_after: SystemTime,
    /// When two thirds of the time from its signing to `not_after` are over, and a second at least.
    pub renew_at: SystemTime,
}

impl MeshCas {
    /// A certificate by which a proxy is each of `services`, as a server and as a client: valid from an hour ago until
    /// `validity` from now, or until its CA ends.
    ///
    /// # Errors
    /// [`MeshCasError::NoServices`], [`MeshCasError::Ended`]; what keeps a certificate from being made.
    pub fn sign_workload(
        &self,
        services: &BTreeSet<String>,
        validity: Duration,
        now: SystemTime,
        rng: &dyn SecureRandom,
    ) -> Result<WorkloadCertificate, MeshCasError> {
        let life = self.life(validity, now)?;
        let leaf = Leaf {
            alternative_names: self.alternative_names(services)?,
            usages: vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
            life,
        };
        let signed = self.signing().ca.sign(leaf, rng)?;
        Ok(WorkloadCertificate {
            chain_pem: signed.certificate.pem(),
            key_pem: Zeroizing::new(signed.key.serialize_pem()),
            fingerprint: hex(&sha256(signed.certificate.der())[..16]),
            services: services.clone(),
            ca: self.signing().id().to_owned(),
            not_before: life.not_before,
            not_after: life.not_after,
            renew_at: life.renew_at,
        })
    }

    fn life(&self, validity: Duration, now: SystemTime) -> Result<Life, MeshCasError> {
        let left = self.signing().not_after().duration_since(whole_seconds(now)?).unwrap_or_default();
        if left.is_zero() {
            return Err(MeshCasError::Ended { mesh: self.mesh().into(), id: self.signing().id().to_owned() });
        }
        Ok(Life::of(validity.min(left), now)?)
    }

    fn alternative_names(&self, services: &BTreeSet<String>) -> Result<Vec<SanType>, MeshCasError> {
        if services.is_empty() {
            return Err(MeshCasError::NoServices { mesh: self.mesh().into() });
        }
        let uri = |service: &String| -> Result<SanType, CertificateError> {
            Ok(SanType::URI(model::spiffe_id(self.mesh(), service).try_into()?))
        };
        Ok(services.iter().map(uri).collect::<Result<_, _>>()?)
    }
}

impl fmt::Debug for WorkloadCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkloadCertificate")
            .field("key_pem", &format_args!("<redacted>"))
            .field("fingerprint", &self.fingerprint)
            .field("services", &self.services)
            .field("ca", &self.ca)
            .field("not_before", &self.not_before)
            .field("not_after", &self.not_after)
            .field("renew_at", &self.renew_at)
            .finish_non_exhaustive()
    }
}
