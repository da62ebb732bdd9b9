//! Whoever trusts a mesh's CAs accepts the certificates of its proxies, for as long as they live, and no others.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use identity::{MeshCas, MeshCasError, SystemRandom, WorkloadCertificate};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{CertificateError, Error, RootCertStore};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::mesh_cas::hex;

const DAY: Duration = Duration::from_hours(24);

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(500_000)
}

fn rng() -> SystemRandom {
    SystemRandom::new()
}

fn cas() -> MeshCas {
    MeshCas::generate("default", now(), &rng()).expect("makes a CA")
}

fn services(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

fn sign(cas: &MeshCas, names: &[&str], now: SystemTime) -> WorkloadCertificate {
    cas.sign_workload(&services(names), 14 * DAY, now, &rng()).expect("signs")
}

fn der(certificate: &WorkloadCertificate) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(certificate.chain_pem.as_bytes()).expect("PEM")
}

/// As a server that asks for a client's certificate, and as a client that checks a server's.
fn check(roots_pem: &str, certificate: &WorkloadCertificate, at: SystemTime) -> Result<(), Error> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(roots_pem.as_bytes()) {
        roots.add(root.expect("PEM")).expect("a root");
    }
    let at = UnixTime::since_unix_epoch(at.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970"));
    let der = der(certificate);
    let provider = Arc::new(default_provider());
    let algorithms = provider.signature_verification_algorithms.all;
    let parsed = ParsedCertificate::try_from(&der)?;
    verify_server_cert_signed_by_trust_anchor(&parsed, &roots, &[], at, algorithms)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let verifier = verifier.build().expect("it has roots");
    verifier.verify_client_cert(&der, &[], at).map(|_| ())
}

#[test]
fn it_counts_from_an_hour_ago_until_it_ends_and_is_renewed_when_two_thirds_are_over() {
    let cas = cas();
    let signed_at = now() + 100 * DAY;
    let certificate = sign(&cas, &["web"], signed_at + Duration::from_millis(600));
    assert_eq!(certificate.not_before, signed_at - Duration::from_hours(1));
    assert_eq!(certificate.not_after, signed_at + 14 * DAY);
    assert_eq!(certificate.renew_at, signed_at + 14 * DAY * 2 / 3);
    let at = |time| check(&cas.roots_pem(), &certificate, time);
    for time in [certificate.not_before, signed_at, certificate.renew_at, certificate.not_after] {
        assert_eq!(at(time), Ok(()));
    }
    let second = Duration::from_secs(1);
    assert!(matches!(
        at(certificate.not_before - second),
        Err(Error::InvalidCertificate(CertificateError::NotValidYetContext { .. }))
    ));
    assert!(matches!(
        at(certificate.not_after + second),
        Err(Error::InvalidCertificate(CertificateError::ExpiredContext { .. }))
    ));
}

#[test]
fn it_never_outlives_its_ca() {
    let cas = cas();
    let end = cas.signing().not_after();
    let late = sign(&cas, &["web"], end - Duration::from_hours(3));
    assert_eq!((late.not_after, late.renew_at), (end, end - Duration::from_hours(1)));
    let last = sign(&cas, &["web"], end - Duration::from_secs(1));
    assert_eq!((last.not_after, last.renew_at), (end, end), "it is not due at once");
    for at in [end, end + DAY] {
        let refused = cas.sign_workload(&services(&["web"]), DAY, at, &rng());
        assert!(matches!(refused, Err(MeshCasError::Ended { .. })), "{refused:?}");
    }
}

#[test]
fn who_trusts_two_cas_accepts_what_either_has_signed_and_nothing_of_one_that_has_gone() {
    let old = cas();
    let both = old.with_new(now(), &rng()).expect("there is room");
    let (first, second) = (old.signing().id(), both.all().last().expect("two").id());
    let new = both.signing_with(second).expect("it is there");
    let only_new = new.without(first).expect("it does not sign");

    let (of_old, of_new) = (sign(&both, &["web"], now()), sign(&new, &["web"], now()));
    assert_eq!((of_old.ca.as_str(), of_new.ca.as_str()), (first, second));
    for certificate in [&of_old, &of_new] {
        assert_eq!(check(&both.roots_pem(), certificate, now()), Ok(()));
    }
    assert!(check(&old.roots_pem(), &of_new, now()).is_err());
    assert!(check(&only_new.roots_pem(), &of_old, now()).is_err());
    let other_mesh = MeshCas::generate("default", now(), &rng()).expect("makes a CA");
    assert!(check(&other_mesh.roots_pem(), &of_old, now()).is_err(), "a mesh of the same name, made anew");
}

#[test]
fn it_names_each_service_once_and_has_no_subject() {
    let many: Vec<_> = (0..200).map(|i| format!("service-{i:03}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let odd = ["", "a b/c%2F", "gr\u{f6}\u{df}e\n", "*"];
    for (names, expected) in [
        (&["web", "api"][..], vec!["spiffe://default/api".to_owned(), "spiffe://default/web".to_owned()]),
        (&odd, odd.map(|service| model::spiffe_id("default", service)).to_vec()),
        (&many, many.iter().map(|service| format!("spiffe://default/{service}")).collect()),
    ] {
        let cas = cas();
        let certificate = sign(&cas, names, now());
        assert_eq!(check(&cas.roots_pem(), &certificate, now()), Ok(()), "{names:?}");
        let der = der(&certificate);
        let (_, parsed) = X509Certificate::from_der(&der).expect("a certificate");
        assert_eq!(parsed.subject().iter().count(), 0);
        let san = parsed.subject_alternative_name().expect("reads").expect("is there");
        assert!(san.critical, "RFC 5280, 4.1.2.6");
        let mut uris: Vec<_> = san
            .value
            .general_names
            .iter()
            .map(|name| match name {
                GeneralName::URI(uri) => (*uri).to_owned(),
                other => panic!("{other:?}"),
            })
            .collect();
        uris.sort();
        let expected = BTreeSet::from_iter(expected);
        assert_eq!(uris, Vec::from_iter(expected));
    }
    let refused = cas().sign_workload(&BTreeSet::new(), DAY, now(), &rng());
    assert!(matches!(refused, Err(MeshCasError::NoServices { .. })));
}

#[test]
fn each_has_a_key_of_its_own_which_fits_and_a_fingerprint() {
    let cas = cas();
    let certificates = [sign(&cas, &["web"], now()), sign(&cas, &["web"], now())];
    for certificate in &certificates {
        let key = PrivateKeyDer::from_pem_slice(certificate.key_pem.as_bytes()).expect("PEM");
        let key = default_provider().key_provider.load_private_key(key).expect("a key");
        let certified = rustls::sign::CertifiedKey::new(vec![der(certificate)], key);
        assert_eq!(certified.keys_match(), Ok(()));
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der(certificate));
        assert_eq!(certificate.fingerprint, hex(&digest.as_ref()[..16]));
    }
    let [one, other] = certificates;
    assert!(*one.key_pem != *other.key_pem && one.fingerprint != other.fingerprint);
}

#[test]
fn debug_shows_no_key() {
    let debug = format!("{:?}", sign(&cas(), &["web"], now()));
    assert!(debug.contains("key_pem: <redacted>") && !debug.contains("PRIVATE"), "{debug}");
}
