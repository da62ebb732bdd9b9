//! The control plane's own CA: what proxies and clients pin, so that restarts, further instances and restored backups
//! stay trusted.
//!
//! The CA is made once with a store and lives ten years. Each instance signs itself a short-lived [`ServerCertificate`]
//! from it; nobody pins that one. It signs nothing else: its basic constraints allow no CA below it, and workloads get
//! their certificates from the CA of their mesh.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SecureRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SerialNumber,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use crate::seal::{SealError, SecretsKey};
use crate::{CONTROL_PLANE_CA, CONTROL_PLANE_CA_NAME};

const DAY: Duration = Duration::from_hours(24);
const CA_LIFE: Duration = DAY.saturating_mul(3650);
const SERVER_LIFE: Duration = DAY.saturating_mul(30);

/// Certificates start an hour back, because a client's clock may be behind ours.
const BACKDATED: Duration = Duration::from_hours(1);

const CERTIFICATE_BEGINS: &str = "-----BEGIN CERTIFICATE-----";

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
    #[error("the machine's clock is out of the range of certificates: set it right")]
    TimeOutOfRange,
    #[error("the certificate could not be made: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("the operating system gave no random bytes, so no key or certificate was made: try again")]
    NoRandomness,
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// The CA certificate of a control plane with its key. The key leaves it sealed only.
pub struct ControlPlaneCa {
    certificate_pem: String,
    fingerprint: String,
    issuer: Issuer<'static, KeyPair>,
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

        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        // Part of the fingerprint, so that two CAs of one control plane (during a rotation) have different names.
        params
            .distinguished_name
            .push(DnType::CommonName, format!("kuma control plane {}", &fingerprint[..8]));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.serial_number = Some(random_serial(rng)?);
        params.not_before = certificate_time(now.checked_sub(BACKDATED))?;
        params.not_after = certificate_time(now.checked_add(CA_LIFE))?;
        let certificate_pem = params.self_signed(&key)?.pem();

        Ok(Self { certificate_pem, fingerprint, issuer: Issuer::new(params, key) })
    }

    /// The CA as it is kept among the store's secrets.
    pub fn seal(&self, key: &SecretsKey, rng: &dyn SecureRandom) -> Result<Vec<u8>, AuthorityError> {
        // The key's PEM goes first, the certificate's follows.
        let mut bundle = Zeroizing::new(self.issuer.key().serialize_pem());
        bundle.push_str(&self.certificate_pem);
        Ok(key.seal(CONTROL_PLANE_CA, CONTROL_PLANE_CA_NAME, bundle.as_bytes(), rng)?)
    }

    /// Opens what [`seal`](Self::seal) made.
    pub fn open(sealed: &[u8], key: &SecretsKey) -> Result<Self, AuthorityError> {
        let damaged = |part| AuthorityError::Damaged { part };
        let bundle = key.open(CONTROL_PLANE_CA, CONTROL_PLANE_CA_NAME, sealed)?;
        let certificate_pem = std::str::from_utf8(&bundle)
            .ok()
            .and_then(|text| text.find(CERTIFICATE_BEGINS).map(|at| text[at..].to_owned()))
            .ok_or_else(|| damaged("certificate"))?;

        let key_der = PrivatePkcs8KeyDer::from_pem_slice(&bundle).map_err(|_| damaged("key"))?;
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&key_der, &PKCS_ECDSA_P256_SHA256)
            .map_err(|_| damaged("key"))?;
        let certificate = CertificateDer::from_pem_slice(&bundle).map_err(|_| damaged("certificate"))?;
        let fingerprint = fingerprint(&key.subject_public_key_info());
        if certificate_fingerprint(&certificate).map_err(|_| damaged("certificate"))? != fingerprint {
            return Err(damaged("pair of key and certificate"));
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|_| damaged("certificate"))?;
        Ok(Self { certificate_pem, fingerprint, issuer })
    }

    /// The CA certificate in PEM: what clients pin.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
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
        let life = Life::of_server(now)?;
        let key = generate_key(rng)?;

        let mut params = CertificateParams::default();
        // No subject: names in it have not counted since RFC 6125, and without it the alternative names are critical
        // (RFC 5280, 4.1.2.6).
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = alternative_names(names)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(random_serial(rng)?);
        params.not_before = certificate_time(Some(life.not_before))?;
        params.not_after = certificate_time(Some(life.not_after))?;
        let certificate: Certificate = params.signed_by(&key, &self.issuer)?;

        Ok(ServerCertificate {
            chain: vec![certificate.der().clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
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

/// The times of a server certificate, in whole seconds as certificates have them.
struct Life {
    not_before: SystemTime,
    not_after: SystemTime,
    renew_at: SystemTime,
}

impl Life {
    fn of_server(now: SystemTime) -> Result<Self, AuthorityError> {
        let seconds =
            now.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| AuthorityError::TimeOutOfRange)?.as_secs();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let at = |time: Option<SystemTime>| time.ok_or(AuthorityError::TimeOutOfRange);
        Ok(Self {
            not_before: at(now.checked_sub(BACKDATED))?,
            not_after: at(now.checked_add(SERVER_LIFE))?,
            renew_at: at(now.checked_add(SERVER_LIFE * 2 / 3))?,
        })
    }
}

/// aws-lc draws keys from its own generator and takes `rng` for form's sake; it is an argument here, too, so that no
/// caller forgets where randomness comes from.
fn generate_key(rng: &dyn SecureRandom) -> Result<KeyPair, AuthorityError> {
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, rng)
        .map_err(|_| AuthorityError::NoRandomness)?;
    let der = PrivatePkcs8KeyDer::from(document.as_ref());
    Ok(KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ECDSA_P256_SHA256)?)
}

/// RFC 5280, 4.1.2.2: positive, unpredictable, at most 20 octets.
fn random_serial(rng: &dyn SecureRandom) -> Result<SerialNumber, AuthorityError> {
    let mut serial = [0; 16];
    rng.fill(&mut serial).map_err(|_| AuthorityError::NoRandomness)?;
    serial[0] = serial[0] & 0x7F | 0x40;
    Ok(SerialNumber::from_slice(&serial))
}

fn certificate_time(time: Option<SystemTime>) -> Result<OffsetDateTime, AuthorityError> {
    time.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok())
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .ok_or(AuthorityError::TimeOutOfRange)
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
    URL_SAFE_NO_PAD.encode(digest(&SHA256, subject_public_key_info))
}
