//! The control plane's own CA: what proxies and clients pin, so that restarts, further instances and restored backups
//! stay trusted.
//!
//! The CA is made once with a store and lives ten years. Each instance signs itself a short-lived [`ServerCertificate`]
//! from it; nobody pins that one. It signs nothing else: its basic constraints allow no CA below it, and workloads get
//! their certificates from the CA of their mesh.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, SystemTime};

use aws_lc_rs::rand::SecureRandom;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{DistinguishedName, DnType, ExtendedKeyUsagePurpose, PublicKeyData, SanType};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::seal::{SealError, SecretsKey};
use crate::x509::{CaName, CertificateError, Leaf, Life, SigningCa, generate_key, sha256};
use crate::{CONTROL_PLANE_CA, CONTROL_PLANE_CA_NAME};

const SERVER_LIFE: Duration = Duration::from_hours(30 * 24);

/// Why the CA could not be made, kept, read back, or sign.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    #[error("the control plane's CA opens, but its {part} does not read: restore the store from a backup")]
    Damaged { part: &'static str },
    #[error(
        "no server certificate can be made for {name:?}, which is neither a DNS name nor an IP address: correct \
         general.advertisedHostname, general.serverNames or bootstrapServer.params.xdsHost"
    )]
    BadServerName { name: String },
    #[error("no server certificate can be made without a name: set general.serverNames")]
    NoServerNames,
    #[error("a CA certificate file must hold one certificate in PEM, but this one holds {found}")]
    NotOneCertificate { found: usize },
    #[error("the PEM text of the CA certificate does not read: copy the file again")]
    BadPem,
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// The CA certificate of a control plane with its key. The key leaves it sealed only.
pub struct ControlPlaneCa {
    ca: SigningCa,
    fingerprint: String,
}

/// What a server shows: made at every start, renewed while it runs, never kept.
pub struct ServerCertificate {
    /// DER, the server's own certificate first. The CA is not in it: clients have pinned it.
    pub chain: Vec<CertificateDer<'static>>,
    /// PKCS#8, DER.
    pub key: PrivateKeyDer<'static>,
    pub not_before: SystemTime,
    pub not_after: SystemTime,
    /// When two thirds of its life are over.
    pub renew_at: SystemTime,
}

impl ControlPlaneCa {
    /// Makes a CA that is valid for ten years.
    pub fn generate(rng: &dyn SecureRandom, now: SystemTime) -> Result<Self, AuthorityError> {
        let key = generate_key(rng)?;
        let fingerprint = fingerprint(&key.subject_public_key_info());
        let mut subject = DistinguishedName::new();
        // Part of the fingerprint, so that two CAs of one control plane (during a rotation) have different names.
        subject.push(DnType::CommonName, format!("kuma control plane {}", &fingerprint[..8]));
        let name = CaName { subject, alternative_names: Vec::new() };
        Ok(Self { ca: SigningCa::generate(key, name, now, rng)?, fingerprint })
    }

    /// The CA as it is kept among the store's secrets.
    pub fn seal(&self, key: &SecretsKey, rng: &dyn SecureRandom) -> Result<Vec<u8>, AuthorityError> {
        Ok(key.seal(CONTROL_PLANE_CA, CONTROL_PLANE_CA_NAME, self.ca.print().as_bytes(), rng)?)
    }

    /// Opens what [`seal`](Self::seal) made.
    pub fn open(sealed: &[u8], key: &SecretsKey) -> Result<Self, AuthorityError> {
        let damaged = |part| AuthorityError::Damaged { part };
        let bundle = key.open(CONTROL_PLANE_CA, CONTROL_PLANE_CA_NAME, sealed)?;
        let text = std::str::from_utf8(&bundle).map_err(|_| damaged("certificate"))?;
        let ca = SigningCa::read(text).map_err(damaged)?;
        Ok(Self { fingerprint: URL_SAFE_NO_PAD.encode(ca.key_digest()), ca })
    }

    /// The CA certificate in PEM: what clients pin.
    pub fn certificate_pem(&self) -> &str {
        self.ca.certificate_pem()
    }

    /// The `ca` claim of tokens: the SHA-256 of the CA's SubjectPublicKeyInfo, in base64url without padding.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// A server certificate for DNS names and IP addresses: valid for 30 days, from an hour ago.
    pub fn sign_server(
        &self,
        names: &[String],
        now: SystemTime,
        rng: &dyn SecureRandom,
    ) -> Result<ServerCertificate, AuthorityError> {
        let life = Life::of(SERVER_LIFE, now)?;
        let leaf = Leaf {
            alternative_names: alternative_names(names)?,
            usages: vec![ExtendedKeyUsagePurpose::ServerAuth],
            life,
        };
        let signed = self.ca.sign(leaf, rng)?;
        Ok(ServerCertificate {
            chain: vec![signed.certificate.der().clone()],
            key: PrivatePkcs8KeyDer::from(signed.key.serialize_der()).into(),
            not_before: life.not_before,
            not_after: life.not_after,
            renew_at: life.renew_at,
        })
    }
}

impl fmt::Debug for ControlPlaneCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlPlaneCa")
            .field("fingerprint", &self.fingerprint)
            .field("key", &format_args!("<redacted>"))
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCertificate")
            .field("key", &format_args!("<redacted>"))
            .field("not_before", &self.not_before)
            .field("not_after", &self.not_after)
            .field("renew_at", &self.renew_at)
            .finish_non_exhaustive()
    }
}

/// The fingerprint of the one CA certificate in a PEM file: what a `ca` claim is compared with.
///
/// More than one certificate is refused. A client pins the whole file, so a second one would be trusted unchecked.
pub fn spki_fingerprint(certificate_pem: &str) -> Result<String, AuthorityError> {
    let certificates: Vec<CertificateDer<'_>> = CertificateDer::pem_slice_iter(certificate_pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| AuthorityError::BadPem)?;
    match certificates.as_slice() {
        [certificate] => certificate_fingerprint(certificate),
        _ => Err(AuthorityError::NotOneCertificate { found: certificates.len() }),
    }
}

/// Each name once, in the order given.
fn alternative_names(names: &[String]) -> Result<Vec<SanType>, AuthorityError> {
    let mut seen = BTreeSet::new();
    let mut alternative_names = Vec::new();
    for name in names.iter().filter(|name| seen.insert(name.as_str())) {
        alternative_names.push(alternative_name(name)?);
    }
    if alternative_names.is_empty() {
        return Err(AuthorityError::NoServerNames);
    }
    Ok(alternative_names)
}

fn alternative_name(name: &str) -> Result<SanType, AuthorityError> {
    let bad_name = || AuthorityError::BadServerName { name: name.to_owned() };
    match ServerName::try_from(name).map_err(|_| bad_name())? {
        ServerName::IpAddress(address) => Ok(SanType::IpAddress(std::net::IpAddr::from(address))),
        ServerName::DnsName(name) => Ok(SanType::DnsName(name.as_ref().try_into().map_err(|_| bad_name())?)),
        _ => Err(bad_name()),
    }
}

fn certificate_fingerprint(certificate: &CertificateDer<'_>) -> Result<String, AuthorityError> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| AuthorityError::BadPem)?;
    Ok(fingerprint(parsed.tbs_certificate.subject_pki.raw))
}

fn fingerprint(subject_public_key_info: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(sha256(subject_public_key_info))
}
