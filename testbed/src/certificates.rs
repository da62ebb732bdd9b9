//! Certificates as anybody can make them, who has no key of the mesh's CA.

use anyhow::Context as _;
use rcgen::{
    CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use x509_parser::pem::parse_x509_pem;

/// A certificate and its key, both in PEM.
#[derive(Clone)]
pub struct Certified {
    /// Its own certificate first.
    pub chain: String,
    pub key: String,
}

impl Certified {
    /// When its certificate ends, in seconds since 1970.
    pub fn not_after(&self) -> anyhow::Result<i64> {
        let (_, pem) = parse_x509_pem(self.chain.as_bytes()).context("the chain is no PEM")?;
        Ok(pem.parse_x509().context("the certificate does not read")?.validity().not_after.timestamp())
    }
}

/// One that nobody has signed but itself, for these URIs: SPIFFE IDs, or whatever else fits into a certificate.
pub fn self_signed(uris: &[&str]) -> anyhow::Result<Certified> {
    let key = KeyPair::generate()?;
    let certificate = params(uris)?.self_signed(&key)?;
    Ok(Certified { chain: certificate.pem(), key: key.serialize_pem() })
}

/// Signs what it has no right to sign.
pub struct Forger {
    issuer: Issuer<'static, KeyPair>,
    /// What its certificates are followed by in their chains.
    above: String,
}

impl Forger {
    /// With the name, and the key identifier, of this CA, and a key of its own.
    pub fn in_the_name_of(ca: &str) -> anyhow::Result<Self> {
        let issuer = Issuer::from_ca_cert_pem(ca, KeyPair::generate()?)?;
        Ok(Self { issuer, above: String::new() })
    }

    /// With a certificate that may sign nothing, as if it were a CA's.
    pub fn below(leaf: &Certified) -> anyhow::Result<Self> {
        let issuer = Issuer::from_ca_cert_pem(&leaf.chain, KeyPair::from_pem(&leaf.key)?)?;
        Ok(Self { issuer, above: leaf.chain.clone() })
    }

    pub fn sign(&self, uris: &[&str]) -> anyhow::Result<Certified> {
        let key = KeyPair::generate()?;
        let certificate = params(uris)?.signed_by(&key, &self.issuer)?;
        Ok(Certified { chain: certificate.pem() + &self.above, key: key.serialize_pem() })
    }
}

/// As a workload's certificate is (SPIFFE X.509-SVID, section 4).
fn params(uris: &[&str]) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let names = uris.iter().map(|uri| Ok(SanType::URI((*uri).try_into()?)));
    params.subject_alt_names = names.collect::<Result<_, rcgen::Error>>()?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}
