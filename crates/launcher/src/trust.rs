//! Whom to believe: the CA certificates that the control plane's certificate is checked against, by kuma-dp and by its Envoy.
//!
//! Either a person names them in a file, or the control plane itself offers them and the token says, by a hash of the CA's
//! public key, which of them it means. So one token is all that a new machine needs, and whoever stands between can offer
//! another CA but not one that fits.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use x509_parser::pem::Pem;

/// One or more CA certificates, in PEM, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Roots {
    pem: String,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum TrustError {
    #[error("the CA file {} cannot be read: {source}; --ca-cert-file names a PEM file", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{origin} does not hold a certificate in PEM form: {reason}")]
    NotCertificates { origin: String, reason: String },
    #[error(
        "the CA at {url} is not the one that the token names: the token was made by another control plane, or something \
         stands between this machine and it; make the token again, or name the CA with --ca-cert-file"
    )]
    Mismatch { url: String },
    #[error(
        "the token does not name the CA of its control plane (claim `ca`), so the control plane cannot be verified; \
         make the token again with this control plane, or name the CA with --ca-cert-file"
    )]
    NoPin,
}

impl Roots {
    /// The certificates of a file that a person has named.
    pub(crate) fn read(path: &Path) -> Result<Self, TrustError> {
        let bytes =
            fs::read(path).map_err(|source| TrustError::Unreadable { path: path.to_owned(), source })?;
        let certificates = certificates(&bytes, &format!("the CA file {}", path.display()))?;
        Ok(Self::from_der(certificates.iter().map(|certificate| certificate.der.as_slice())))
    }

    /// Of the certificates offered at `url`, those whose public key is the pinned one. A second root that stands beside it
    /// is not believed: the connection that brought it was not verified.
    pub(crate) fn pinned(offered: &[u8], url: &str, pin: Option<&str>) -> Result<Self, TrustError> {
        let pin = pin.ok_or(TrustError::NoPin)?;
        let certificates = certificates(offered, url)?;
        let fitting: Vec<_> =
            certificates.iter().filter(|c| c.public_key_hash == pin).map(|c| c.der.as_slice()).collect();
        if fitting.is_empty() {
            return Err(TrustError::Mismatch { url: url.to_owned() });
        }
        Ok(Self::from_der(fitting.into_iter()))
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// Written anew, so that a private key that lies in the same file goes no further.
    fn from_der<'a>(certificates: impl Iterator<Item = &'a [u8]>) -> Self {
        Self { pem: certificates.map(to_pem).collect() }
    }
}

struct Certificate {
    der: Vec<u8>,
    /// base64url SHA-256 of the SubjectPublicKeyInfo.
    public_key_hash: String,
}

fn certificates(pem: &[u8], origin: &str) -> Result<Vec<Certificate>, TrustError> {
    let wrong = |reason: String| TrustError::NotCertificates { origin: origin.to_owned(), reason };
    let mut found = Vec::new();
    for block in Pem::iter_from_buffer(pem) {
        let block = block.map_err(|error| wrong(error.to_string()))?;
        if block.label != "CERTIFICATE" {
            continue;
        }
        let certificate = block.parse_x509().map_err(|error| wrong(error.to_string()))?;
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate.public_key().raw);
        found
            .push(Certificate { public_key_hash: URL_SAFE_NO_PAD.encode(hash), der: block.contents.clone() });
    }
    if found.is_empty() {
        return Err(wrong("there is no `BEGIN CERTIFICATE` in it".to_owned()));
    }
    Ok(found)
}

fn to_pem(der: &[u8]) -> String {
    const LINE: usize = 64;
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = STANDARD.encode(der);
    while !rest.is_empty() {
        let after = rest.split_off(LINE.min(rest.len()));
        pem.push_str(&rest);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

#[cfg(test)]
mod tests {
    use rcgen::PublicKeyData;

    use super::*;

    /// A CA certificate in PEM and the pin of its key.
    fn ca() -> (String, String) {
        let key = rcgen::KeyPair::generate().expect("a key can be made");
        let certificate = rcgen::CertificateParams::default().self_signed(&key).expect("it signs itself");
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &key.subject_public_key_info());
        (certificate.pem(), URL_SAFE_NO_PAD.encode(hash))
    }

    fn without_line_ends(pem: &str) -> String {
        pem.split_whitespace().collect()
    }

    #[test]
    fn of_what_is_offered_only_the_pinned_key_is_believed() {
        let (ours, pin) = ca();
        let (another, _) = ca();
        let roots = Roots::pinned(format!("{another}{ours}").as_bytes(), "http://cp/ca.pem", Some(&pin))
            .expect("the pinned one is there");
        assert_eq!(without_line_ends(roots.pem()), without_line_ends(&ours));
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_remedy() {
        let (another, _) = ca();
        let (_, pin) = ca();
        for (offered, pin, reason) in [
            (another.as_str(), Some(pin.as_str()), "not the one that the token names"),
            (another.as_str(), None, "claim `ca`"),
            ("<html>", Some(pin.as_str()), "no `BEGIN CERTIFICATE`"),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                Some(pin.as_str()),
                "PEM form",
            ),
        ] {
            let error = Roots::pinned(offered.as_bytes(), "http://cp/ca.pem", pin).expect_err(reason);
            assert!(error.to_string().contains(reason), "{error}");
        }
    }

    #[test]
    fn a_key_in_the_ca_file_goes_no_further() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("ca.pem");
        let key = rcgen::KeyPair::generate().expect("a key can be made").serialize_pem();
        let (certificate, _) = ca();
        fs::write(&path, format!("{key}{certificate}")).expect("the file can be written");
        let roots = Roots::read(&path).expect("there is a certificate");
        assert_eq!(without_line_ends(roots.pem()), without_line_ends(&certificate));
    }
}
