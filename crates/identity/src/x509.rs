//! What all certificates of ours have in common: P-256 keys, random serial numbers, times in whole seconds, and CAs that are
//! kept as two blocks of PEM.

use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SecureRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SerialNumber,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

const DAY: Duration = Duration::from_hours(24);
const CA_LIFE: Duration = DAY.saturating_mul(3650);

/// Certificates start an hour back, because a peer's clock may be behind ours.
const BACKDATED: Duration = Duration::from_hours(1);

const CERTIFICATE_BEGINS: &str = "-----BEGIN CERTIFICATE-----";

/// Why a certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("the machine's clock is out of the range of certificates: set it right")]
    TimeOutOfRange,
    #[error("the certificate could not be made: {0}")]
    NotMade(#[from] rcgen::Error),
    #[error("the operating system gave no random bytes, so no key or certificate was made: try again")]
    NoRandomness,
}

/// A CA certificate with its key, which signs certificates that are no CAs.
pub(crate) struct SigningCa {
    certificate_pem: String,
    not_before: SystemTime,
    not_after: SystemTime,
    issuer: Issuer<'static, KeyPair>,
}

/// Who a CA says that it is.
pub(crate) struct CaName {
    pub(crate) subject: DistinguishedName,
    pub(crate) alternative_names: Vec<SanType>,
}

/// What a certificate that is no CA is for. It has no subject: names in one have not counted since RFC 6125, and without it
/// the alternative names are critical (RFC 5280, 4.1.2.6).
pub(crate) struct Leaf {
    pub(crate) alternative_names: Vec<SanType>,
    pub(crate) usages: Vec<ExtendedKeyUsagePurpose>,
    pub(crate) life: Life,
}

pub(crate) struct SignedLeaf {
    pub(crate) certificate: Certificate,
    pub(crate) key: KeyPair,
}

/// The times of a certificate that is renewed, in whole seconds as certificates have them.
#[derive(Clone, Copy)]
pub(crate) struct Life {
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
    /// When two thirds of it are over, and a second at least.
    pub(crate) renew_at: SystemTime,
}

impl SigningCa {
    /// Valid for ten years. Below it there may be no CA. The key is there first, because the name may depend on it.
    pub(crate) fn generate(
        key: KeyPair,
        name: CaName,
        now: SystemTime,
        rng: &dyn SecureRandom,
    ) -> Result<Self, CertificateError> {
        let now = whole_seconds(now)?;
        let not_before = now.checked_sub(BACKDATED).ok_or(CertificateError::TimeOutOfRange)?;
        let not_after = now.checked_add(CA_LIFE).ok_or(CertificateError::TimeOutOfRange)?;

        let mut params = CertificateParams::default();
        params.distinguished_name = name.subject;
        params.subject_alt_names = name.alternative_names;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.serial_number = Some(random_serial(rng)?);
        params.not_before = certificate_time(not_before)?;
        params.not_after = certificate_time(not_after)?;
        let certificate_pem = params.self_signed(&key)?.pem();
        Ok(Self { certificate_pem, not_before, not_after, issuer: Issuer::new(params, key) })
    }

    /// Reads what [`print`](Self::print) wrote.
    ///
    /// # Errors
    /// The part that does not read.
    pub(crate) fn read(text: &str) -> Result<Self, &'static str> {
        let certificate_at = text.find(CERTIFICATE_BEGINS).ok_or("certificate")?;
        let certificate_pem = text[certificate_at..].to_owned();
        let certificate =
            CertificateDer::from_pem_slice(certificate_pem.as_bytes()).map_err(|_| "certificate")?;
        let (_, parsed) = X509Certificate::from_der(&certificate).map_err(|_| "certificate")?;
        let validity = parsed.validity();
        let not_before = system_time(validity.not_before.timestamp()).ok_or("certificate")?;
        let not_after = system_time(validity.not_after.timestamp()).ok_or("certificate")?;

        let key_der = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes()).map_err(|_| "key")?;
        let key =
            KeyPair::from_pkcs8_der_and_sign_algo(&key_der, &PKCS_ECDSA_P256_SHA256).map_err(|_| "key")?;
        if key.subject_public_key_info() != parsed.tbs_certificate.subject_pki.raw {
            return Err("pair of key and certificate");
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|_| "certificate")?;
        Ok(Self { certificate_pem, not_before, not_after, issuer })
    }

    /// The key, then the certificate: to be sealed.
    pub(crate) fn print(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(self.issuer.key().serialize_pem());
        text.push_str(&self.certificate_pem);
        text
    }

    pub(crate) fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// SHA-256 of its SubjectPublicKeyInfo.
    pub(crate) fn key_digest(&self) -> [u8; 32] {
        sha256(&self.issuer.key().subject_public_key_info())
    }

    pub(crate) fn not_before(&self) -> SystemTime {
        self.not_before
    }

    pub(crate) fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Signs a certificate for a key of its own.
    pub(crate) fn sign(&self, leaf: Leaf, rng: &dyn SecureRandom) -> Result<SignedLeaf, CertificateError> {
        let key = generate_key(rng)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = leaf.alternative_names;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = leaf.usages;
        // By it a peer that trusts two CAs, as during a rotation, finds the right one.
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(random_serial(rng)?);
        params.not_before = certificate_time(leaf.life.not_before)?;
        params.not_after = certificate_time(leaf.life.not_after)?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(SignedLeaf { certificate, key })
    }
}

impl Life {
    /// From an hour before `now` to `validity` after it.
    pub(crate) fn of(validity: Duration, now: SystemTime) -> Result<Self, CertificateError> {
        let now = whole_seconds(now)?;
        let at = |time: Option<SystemTime>| time.ok_or(CertificateError::TimeOutOfRange);
        let validity = Duration::from_secs(validity.as_secs());
        // Where a CA is about to end, they are nothing in whole seconds. A certificate that is due at once would never be settled.
        let two_thirds = Duration::from_secs(validity.as_secs() / 3 * 2 + validity.as_secs() % 3 * 2 / 3);
        let two_thirds = two_thirds.max(Duration::from_secs(1));
        Ok(Self {
            not_before: at(now.checked_sub(BACKDATED))?,
            not_after: at(now.checked_add(validity))?,
            renew_at: at(now.checked_add(two_thirds))?,
        })
    }
}

pub(crate) fn whole_seconds(time: SystemTime) -> Result<SystemTime, CertificateError> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| CertificateError::TimeOutOfRange)?;
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs()))
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    sum.copy_from_slice(digest(&SHA256, bytes).as_ref());
    sum
}

/// aws-lc draws keys from its own generator and takes `rng` for form's sake; it is an argument here, too, so that no
/// caller forgets where randomness comes from.
pub(crate) fn generate_key(rng: &dyn SecureRandom) -> Result<KeyPair, CertificateError> {
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, rng)
        .map_err(|_| CertificateError::NoRandomness)?;
    let der = PrivatePkcs8KeyDer::from(document.as_ref());
    Ok(KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ECDSA_P256_SHA256)?)
}

/// RFC 5280, 4.1.2.2: positive, unpredictable, at most 20 octets.
fn random_serial(rng: &dyn SecureRandom) -> Result<SerialNumber, CertificateError> {
    let mut serial = [0; 16];
    rng.fill(&mut serial).map_err(|_| CertificateError::NoRandomness)?;
    serial[0] = serial[0] & 0x7F | 0x40;
    Ok(SerialNumber::from_slice(&serial))
}

fn certificate_time(time: SystemTime) -> Result<OffsetDateTime, CertificateError> {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .ok_or(CertificateError::TimeOutOfRange)
}

fn system_time(unix_seconds: i64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(unix_seconds).ok()?))
}
