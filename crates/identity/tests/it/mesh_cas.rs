//! The CAs of a mesh survive being kept, and are rotated step by step.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use identity::{MESH_CAS_MAX, MESH_CAS_NAME, MeshCas, MeshCasError, SecretsKey, SystemRandom};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

const SCOPE: &str = "mesh/default";

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(500_000)
}

fn rng() -> SystemRandom {
    SystemRandom::new()
}

fn secrets() -> SecretsKey {
    SecretsKey::generate(&rng()).expect("the system has random bytes")
}

fn cas(mesh: &str) -> MeshCas {
    MeshCas::generate(mesh, now(), &rng()).expect("makes a CA")
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writes to memory");
        text
    })
}

fn ids(cas: &MeshCas) -> Vec<&str> {
    cas.all().map(identity::MeshCa::id).collect()
}

#[test]
fn they_come_back_from_their_sealed_form_in_order_and_sign_on() {
    let secrets = secrets();
    let two = cas("default").with_new(now(), &rng()).expect("there is room");
    let second = ids(&two)[1].to_owned();
    let rotated = two.signing_with(&second).expect("it is there");
    for cas in [&two, &rotated] {
        let sealed = cas.seal(SCOPE, &secrets, &rng()).expect("seals");
        let again = MeshCas::open("default", SCOPE, &sealed, &secrets).expect("opens");
        assert_eq!((ids(&again), again.signing().id()), (ids(cas), cas.signing().id()));
        assert_eq!(again.roots_pem(), cas.roots_pem());
        let times = |cas: &MeshCas| (cas.signing().not_before(), cas.signing().not_after());
        assert_eq!(times(&again), times(cas));
    }
}

#[test]
fn what_is_sealed_for_one_mesh_opens_for_no_other_and_under_no_other_key() {
    let key = secrets();
    let sealed = cas("default").seal(SCOPE, &key, &rng()).expect("seals");
    for (scope, key) in [("mesh/other", &key), (SCOPE, &secrets())] {
        let refused = MeshCas::open("default", scope, &sealed, key);
        assert!(matches!(refused, Err(MeshCasError::Seal(_))), "{refused:?}");
    }
}

#[test]
fn what_opens_but_are_no_cas_is_refused() {
    let secrets = secrets();
    let one = cas("default");
    let id = one.signing().id();
    let sealed = one.seal(SCOPE, &secrets, &rng()).expect("seals");
    let plain = secrets.open(SCOPE, MESH_CAS_NAME, &sealed).expect("opens");
    let text = std::str::from_utf8(&plain).expect("PEM is text");
    let (_, pem) = text.split_once('\n').expect("it has lines");
    let key_of_another = rcgen::KeyPair::generate().expect("makes a key").serialize_pem();
    let certificate = one.roots_pem();
    for damaged in [
        String::new(),
        "not PEM".to_owned(),
        pem.to_owned(),
        format!("signs {id}\n"),
        format!("signs 0123456789abcdef\n{pem}"),
        format!("signs {id}\n{certificate}"),
        format!("signs {id}\n{key_of_another}{certificate}"),
        format!("signs {id}\n{}", &pem[..pem.len() - 80]),
    ] {
        let sealed = secrets.seal(SCOPE, MESH_CAS_NAME, damaged.as_bytes(), &rng()).expect("seals");
        let refused = MeshCas::open("default", SCOPE, &sealed, &secrets);
        assert!(matches!(refused, Err(MeshCasError::Damaged { .. })), "{damaged}");
    }
}

#[test]
fn a_ca_is_what_kuma_made_and_signs_no_further_ca() {
    for (mesh, common_name, uri) in [
        ("default", "default".to_owned(), "spiffe://default".to_owned()),
        ("a b", "a b".to_owned(), "spiffe://a%20b".to_owned()),
        (&"m".repeat(253), "m".repeat(64), format!("spiffe://{}", "m".repeat(253))),
    ] {
        let cas = cas(mesh);
        let (_, pem) = x509_parser::pem::parse_x509_pem(cas.roots_pem().as_bytes()).expect("PEM");
        let certificate = pem.parse_x509().expect("a certificate");
        assert_eq!(certificate.subject().to_string(), format!("O=Kuma, OU=Mesh, CN={common_name}"));
        let names = certificate.subject_alternative_name().expect("reads").expect("is there");
        assert_eq!(names.value.general_names, [GeneralName::URI(&uri)]);
        let constraints = certificate.basic_constraints().expect("reads").expect("is there");
        assert!(constraints.critical && constraints.value.ca);
        assert_eq!(constraints.value.path_len_constraint, Some(0));
        let usage = certificate.key_usage().expect("reads").expect("is there");
        assert_eq!(usage.value.to_string(), "Key Cert Sign, CRL Sign");

        let seconds = |time: SystemTime| {
            let since = time.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
            i64::try_from(since.as_secs()).expect("soon enough")
        };
        assert_eq!(cas.signing().not_before(), now() - Duration::from_hours(1));
        assert_eq!(cas.signing().not_after(), now() + Duration::from_hours(3650 * 24));
        assert_eq!(certificate.validity().not_before.timestamp(), seconds(cas.signing().not_before()));
        assert_eq!(certificate.validity().not_after.timestamp(), seconds(cas.signing().not_after()));
    }
}

#[test]
fn an_id_is_16_digits_of_the_key_s_digest() {
    let cas = cas("default");
    let (_, pem) = x509_parser::pem::parse_x509_pem(cas.roots_pem().as_bytes()).expect("PEM");
    let (_, certificate) = X509Certificate::from_der(&pem.contents).expect("a certificate");
    let spki = certificate.tbs_certificate.subject_pki.raw;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, spki);
    assert_eq!(cas.signing().id(), hex(&digest.as_ref()[..8]));
}

#[test]
fn a_rotation_adds_then_signs_then_retires() {
    let one = cas("default");
    let first = one.signing().id().to_owned();
    let two = one.with_new(now(), &rng()).expect("there is room");
    assert_eq!(two.signing().id(), first, "a new one does not sign yet");
    let second = ids(&two)[1].to_owned();
    assert_eq!(ids(&two), [first.as_str(), second.as_str()], "the oldest first");
    let roots = two.roots_pem();
    assert_eq!(roots, format!("{}{}", one.roots_pem(), two.all().last().expect("two").certificate_pem()));

    let signs = two.without(&first);
    assert!(matches!(signs, Err(MeshCasError::Signs { id, .. }) if id == first));
    let rotated = two.signing_with(&second).expect("it is there");
    assert_eq!((ids(&rotated), rotated.signing().id()), (ids(&two), second.as_str()));
    let retired = rotated.without(&first).expect("another signs");
    assert_eq!((ids(&retired), retired.signing().id()), (vec![second.as_str()], second.as_str()));

    for refused in [retired.without(&first), retired.signing_with(&first), retired.without("")] {
        assert!(matches!(refused, Err(MeshCasError::NoSuchCa { .. })), "{refused:?}");
    }
}

#[test]
fn there_is_an_end_to_how_many_are_trusted() {
    let mut most = cas("default");
    for _ in 1..MESH_CAS_MAX {
        most = most.with_new(now(), &rng()).expect("there is room");
    }
    assert!(matches!(most.with_new(now(), &rng()), Err(MeshCasError::TooMany { .. })));
}

#[test]
fn debug_shows_no_key() {
    let cas = cas("default");
    let debug = format!("{cas:?}");
    assert!(debug.contains("key: <redacted>") && !debug.contains("PRIVATE"), "{debug}");
}
