//! The control plane's CA survives being kept, and names itself by its key.

use std::time::{Duration, SystemTime};

use identity::{AuthorityError, ControlPlaneCa, SecretsKey, SystemRandom, spki_fingerprint};
use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate};

const DAY: Duration = Duration::from_hours(24);

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(500_000)
}

fn rng() -> SystemRandom {
    SystemRandom::new()
}

fn ca() -> ControlPlaneCa {
    ControlPlaneCa::generate(&rng(), now()).expect("makes a CA")
}

#[test]
fn it_comes_back_from_its_sealed_form() {
    let secrets = SecretsKey::generate(&rng()).expect("the system has random bytes");
    let ca = ca();
    let sealed = ca.seal(&secrets, &rng()).expect("seals");

    let again = ControlPlaneCa::open(&sealed, &secrets).expect("opens");
    assert_eq!(again.certificate_pem(), ca.certificate_pem());
    assert_eq!(again.fingerprint(), ca.fingerprint());

    let other = SecretsKey::generate(&rng()).expect("the system has random bytes");
    assert!(matches!(ControlPlaneCa::open(&sealed, &other), Err(AuthorityError::Seal(_))));
}

#[test]
fn what_opens_but_is_no_ca_is_refused() {
    let secrets = SecretsKey::from_bytes(&[3; 32]).expect("32 bytes");
    let certificate = ca().certificate_pem().to_owned();
    let key_of_another = rcgen::KeyPair::generate().expect("makes a key").serialize_pem();
    for damaged in [
        "",
        "not PEM",
        certificate.as_str(),
        "-----BEGIN CERTIFICATE-----\nAAAA\n",
        &format!("{key_of_another}{certificate}"),
    ] {
        let sealed = secrets
            .seal(identity::CONTROL_PLANE_CA, identity::CONTROL_PLANE_CA_NAME, damaged.as_bytes(), &rng())
            .expect("seals");
        let error = ControlPlaneCa::open(&sealed, &secrets).expect_err("no CA");
        assert!(matches!(error, AuthorityError::Damaged { .. }), "{error}");
    }
}

/// Made and measured with OpenSSL: `openssl x509 -pubkey -noout | openssl pkey -pubin -outform der | openssl sha256`.
#[test]
fn the_fingerprint_is_that_of_the_public_key() {
    const CERTIFICATE: &str = include_str!("openssl-ca.pem");
    const FINGERPRINT: &str = "7ADP8ZyHFw1UIswM5Qhh4VruhkgbtVjv2Nhp-Kg5FY4";
    assert_eq!(spki_fingerprint(CERTIFICATE).expect("one certificate"), FINGERPRINT);

    let ca = ca();
    assert_eq!(spki_fingerprint(ca.certificate_pem()).expect("one certificate"), ca.fingerprint());
}

#[test]
fn a_file_that_does_not_hold_one_certificate_has_no_fingerprint() {
    let one = ca().certificate_pem().to_owned();
    let two = format!("{one}{}", ca().certificate_pem());
    assert!(matches!(spki_fingerprint(&two), Err(AuthorityError::NotOneCertificate { found: 2 })));
    assert!(matches!(spki_fingerprint(""), Err(AuthorityError::NotOneCertificate { found: 0 })));
    assert!(matches!(spki_fingerprint(&one[..one.len() / 2]), Err(AuthorityError::BadPem)));
    let not_a_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(spki_fingerprint(not_a_certificate), Err(AuthorityError::BadPem)));
}

#[test]
fn names_that_no_certificate_can_carry_are_refused() {
    for name in [
        "",
        " ",
        "local host",
        "http://cp",
        "cp:5678",
        "[::1]",
        "127.0.0.1/8",
        "ключ",
        "a..b",
        "*.example.com",
    ] {
        let names = ["localhost".to_owned(), name.to_owned()];
        match ca().sign_server(&names, now(), &rng()) {
            Err(AuthorityError::BadServerName { name: refused }) => assert_eq!(refused, name),
            other => panic!("{name:?}: {other:?}"),
        }
    }
    assert!(matches!(ca().sign_server(&[], now(), &rng()), Err(AuthorityError::NoServerNames)));
}

#[test]
fn the_ca_lives_ten_years_and_a_server_certificate_thirty_days() {
    let ca = ca();
    let (_, pem) = x509_parser::pem::parse_x509_pem(ca.certificate_pem().as_bytes()).expect("PEM");
    let certificate = pem.parse_x509().expect("a certificate");
    assert!(certificate.is_ca());
    let seconds = |time: SystemTime| {
        i64::try_from(time.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs())
            .expect("soon enough")
    };
    assert_eq!(certificate.validity().not_after.timestamp(), seconds(now() + 3650 * DAY));

    let names = ["localhost".to_owned(), "localhost".to_owned(), "::1".to_owned()];
    let server = ca.sign_server(&names, now() + Duration::from_millis(600), &rng()).expect("signs");
    assert_eq!(server.not_before, now() - Duration::from_hours(1));
    assert_eq!(server.not_after, now() + 30 * DAY);
    assert_eq!(server.renew_at, now() + 20 * DAY);
    let (_, certificate) = X509Certificate::from_der(&server.chain[0]).expect("a certificate");
    assert_eq!(certificate.validity().not_before.timestamp(), seconds(server.not_before));
    assert_eq!(certificate.validity().not_after.timestamp(), seconds(server.not_after));
    let names = certificate.subject_alternative_name().expect("reads").expect("is there");
    assert_eq!(names.value.general_names.len(), 2, "each name once");
}

/// A client that holds two roots, as during a rotation, finds the right one by it.
#[test]
fn a_server_certificate_names_the_key_that_signed_it() {
    let ca = ca();
    let (_, pem) = x509_parser::pem::parse_x509_pem(ca.certificate_pem().as_bytes()).expect("PEM");
    let ca_certificate = pem.parse_x509().expect("a certificate");
    let server = ca.sign_server(&["localhost".to_owned()], now(), &rng()).expect("signs");
    let (_, certificate) = X509Certificate::from_der(&server.chain[0]).expect("a certificate");

    let subject_key = ca_certificate.extensions().iter().find_map(|it| match it.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(key) => Some(key.0),
        _ => None,
    });
    let authority_key = certificate.extensions().iter().find_map(|it| match it.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(key) => key.key_identifier.as_ref().map(|key| key.0),
        _ => None,
    });
    assert!(subject_key.is_some());
    assert_eq!(authority_key, subject_key);
}

#[test]
fn debug_shows_no_key() {
    let ca = ca();
    let server = ca.sign_server(&["localhost".to_owned()], now(), &rng()).expect("signs");
    for debug in [format!("{ca:?}"), format!("{server:?}")] {
        assert!(debug.contains("key: <redacted>"), "{debug}");
    }
}
