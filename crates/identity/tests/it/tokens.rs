//! Which tokens are accepted, and why the others are not.

use std::time::{Duration, SystemTime};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::{
    AdminClaims, DataplaneClaims, Keyring, KeyringError, LEEWAY, Role, SecretsKey, SigningKey, SystemRandom,
    TOKEN_KEYS, TokenError,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const KID: &str = "0123abcd";
const SECRET: [u8; 32] = [7; 32];
const CA: &str = "LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ";
const NOW_SECONDS: u64 = 1_800_000_000;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW_SECONDS)
}

fn rng() -> SystemRandom {
    SystemRandom::new()
}

/// A signing key whose secret the test knows, so that it can sign what the keyring never would.
fn known_key(kid: &str, secret: [u8; 32]) -> SigningKey {
    let secrets = SecretsKey::from_bytes(&[1; 32]).expect("32 bytes");
    let sealed = secrets.seal(TOKEN_KEYS, kid, &secret, &rng()).expect("seals");
    SigningKey::open(kid, &sealed, &secrets).expect("opens")
}

fn keyring() -> Keyring {
    Keyring::new([known_key(KID, SECRET)], KID, CA.to_owned()).expect("its key is there")
}

fn signed(header: &str, payload: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &SECRET), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn header() -> Value {
    json!({"alg": "HS256", "typ": "JWT", "kid": KID})
}

fn dataplane() -> Value {
    json!({"Name": "web-1", "Mesh": "default", "aud": "dataplane", "jti": "7f5b", "iat": NOW_SECONDS, "ca": CA})
}

/// `object` with one member set, or removed when `value` is `None`.
fn with(mut object: Value, member: &str, value: Option<Value>) -> Value {
    let members = object.as_object_mut().expect("an object");
    match value {
        Some(value) => members.insert(member.to_owned(), value),
        None => members.remove(member),
    };
    object
}

fn malformed(reason: &'static str) -> TokenError {
    TokenError::Malformed { reason }
}

#[test]
fn a_dataplane_token_says_what_it_was_issued_for_and_has_no_end_unless_asked_for() {
    let keyring = keyring();
    let token = keyring.issue_dataplane("default", "web-1", None, now(), &rng()).expect("issues");

    let parts: Vec<Value> = token
        .split('.')
        .take(2)
        .map(|part| URL_SAFE_NO_PAD.decode(part).expect("base64url"))
        .map(|json| serde_json::from_slice(&json).expect("JSON"))
        .collect();
    let jti = parts[1]["jti"].as_str().expect("a jti").to_owned();
    assert_eq!(uuid::Uuid::parse_str(&jti).expect("a UUID").get_version_num(), 4);
    assert_eq!(parts, [header(), with(dataplane(), "jti", Some(json!(jti)))]);

    let a_century_later = now() + Duration::from_hours(24 * 36_525);
    let claims = keyring.verify_dataplane(&token, a_century_later).expect("it has no end");
    let expected = DataplaneClaims {
        name: "web-1".to_owned(),
        mesh: "default".to_owned(),
        jti,
        iat: NOW_SECONDS,
        exp: None,
        ca: CA.to_owned(),
    };
    assert_eq!(claims, expected);
}

#[test]
fn an_admin_token_says_who_and_which_role() {
    for (role, spelt) in [(Role::Admin, "admin"), (Role::Viewer, "viewer")] {
        let keyring = keyring();
        let hour = Some(Duration::from_hours(1));
        let token = keyring.issue_admin("anna", role, hour, now(), &rng()).expect("issues");
        let claims = keyring.verify_admin(&token, now()).expect("verifies");
        let jti = claims.jti.clone();
        let exp = Some(NOW_SECONDS + 3600);
        let expected = AdminClaims { sub: "anna".to_owned(), role, jti, iat: NOW_SECONDS, exp };
        assert_eq!(claims, expected);

        let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).expect("a payload")).expect("base64url");
        let payload: Value = serde_json::from_slice(&payload).expect("JSON");
        assert_eq!((&payload["role"], &payload["aud"]), (&json!(spelt), &json!("admin")));
    }
}

#[test]
fn it_is_accepted_raw_or_as_bearer() {
    let token = signed(&header().to_string(), &dataplane().to_string());
    for presented in [
        token.clone(),
        format!("Bearer {token}"),
        format!("bearer {token}"),
        format!("BEARER   {token}"),
        format!(" {token}\n"),
    ] {
        assert!(keyring().verify_dataplane(&presented, now()).is_ok(), "{presented:?}");
    }
}

#[test]
fn odd_headers_are_refused() {
    const NO_HEADER: &str = "it does not start with a token's header";
    const NO_KID: &str = "its header names no signing key";
    const ALGORITHM: &str = "its algorithm is not HS256";
    let check = |header: &str, expected: TokenError| {
        let token = signed(header, &dataplane().to_string());
        assert_eq!(keyring().verify_dataplane(&token, now()), Err(expected), "{header}");
    };
    let change = |member: &str, value: Value| with(header(), member, Some(value)).to_string();

    check(&change("kid", json!(7)), malformed(NO_HEADER));
    check(&change("kid", json!(["0123abcd"])), malformed(NO_HEADER));
    check(&change("kid", json!({"0123abcd": 1})), malformed(NO_HEADER));
    check(&change("kid", json!(null)), malformed(NO_KID));
    check(&change("kid", json!("")), malformed(NO_KID));
    check(&change("kid", json!("../../etc/passwd")), malformed(NO_KID));
    check(&change("kid", json!("0123ABCD")), malformed(NO_KID));
    check(&with(header(), "kid", None).to_string(), malformed(NO_KID));
    check(&change("kid", json!("ffffffff")), TokenError::UnknownKey { kid: "ffffffff".to_owned() });

    check(&change("alg", json!("none")), malformed(NO_HEADER));
    check(&change("alg", json!("None")), malformed(NO_HEADER));
    check(&change("alg", json!(256)), malformed(NO_HEADER));
    check(&with(header(), "alg", None).to_string(), malformed(NO_HEADER));
    for algorithm in ["HS384", "HS512", "RS256", "PS256", "ES256", "EdDSA"] {
        check(&change("alg", json!(algorithm)), malformed(ALGORITHM));
    }

    check("", malformed(NO_HEADER));
    check("null", malformed(NO_HEADER));
    check("[]", malformed(NO_HEADER));
    check(r#"{"alg":"HS256","alg":"HS256","kid":"0123abcd"}"#, malformed(NO_HEADER));
    check(&format!("{}{}", "[".repeat(5_000), "]".repeat(5_000)), malformed("it is too long"));
    check(&format!("{}{}", "[".repeat(1_000), "]".repeat(1_000)), malformed(NO_HEADER));
}

#[test]
fn a_key_that_the_token_brings_is_not_looked_at() {
    let jwk = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode([9; 32]), "alg": "HS256"});
    let header = with(with(header(), "jwk", Some(jwk)), "jku", Some(json!("http://127.0.0.1:1/keys")));
    let message = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(dataplane().to_string())
    );
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[9; 32]), message.as_bytes());
    let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
    assert_eq!(keyring().verify_dataplane(&token, now()), Err(TokenError::BadSignature));
}

#[test]
fn claims_of_the_wrong_shape_are_refused() {
    const CLAIMS: &str = "its claims are not those of a token";
    let check = |payload: &str, expected: TokenError| {
        let token = signed(&header().to_string(), payload);
        assert_eq!(keyring().verify_dataplane(&token, now()), Err(expected), "{payload}");
    };
    let change = |member: &str, value: Value| with(dataplane(), member, Some(value)).to_string();

    for member in ["Name", "Mesh", "aud", "jti", "iat", "ca"] {
        check(&with(dataplane(), member, None).to_string(), malformed(CLAIMS));
        check(&change(member, json!(null)), malformed(CLAIMS));
        check(&change(member, json!({})), malformed(CLAIMS));
        check(&change(member, json!(["dataplane"])), malformed(CLAIMS));
        check(&change(member, json!(true)), malformed(CLAIMS));
    }
    for end in [json!(null), json!("1900000000"), json!(1.5e9), json!(-1), json!([])] {
        check(&change("exp", end), malformed(CLAIMS));
    }
    let twice = dataplane().to_string().replacen('{', r#"{"Name":"web-2","#, 1);
    check(&twice, malformed(CLAIMS));
    check("", malformed(CLAIMS));
    check("null", malformed(CLAIMS));
    check("\u{FEFF}{}", malformed(CLAIMS));

    let wrong_audience = || TokenError::WrongAudience { expected: "dataplane" };
    check(&change("aud", json!("something-new")), wrong_audience());
    check(
        &json!({"sub": "anna", "role": "admin", "aud": "admin", "jti": "1", "iat": NOW_SECONDS}).to_string(),
        wrong_audience(),
    );
    // More than is known is no fault: a newer version may say more.
    let newer = change("groups", json!(["a"]));
    assert!(keyring().verify_dataplane(&signed(&header().to_string(), &newer), now()).is_ok());
}

#[test]
fn neither_kind_of_token_is_taken_for_the_other() {
    let keyring = keyring();
    let dataplane = keyring.issue_dataplane("default", "web-1", None, now(), &rng()).expect("issues");
    let admin = keyring.issue_admin("anna", Role::Admin, None, now(), &rng()).expect("issues");
    assert_eq!(keyring.verify_admin(&dataplane, now()), Err(TokenError::WrongAudience { expected: "admin" }));
    assert_eq!(
        keyring.verify_dataplane(&admin, now()),
        Err(TokenError::WrongAudience { expected: "dataplane" })
    );
}

#[test]
fn a_token_of_another_key_or_a_changed_one_is_refused() {
    let token = signed(&header().to_string(), &dataplane().to_string());
    let other = Keyring::new([known_key(KID, [8; 32])], KID, CA.to_owned()).expect("its key is there");
    assert_eq!(other.verify_dataplane(&token, now()), Err(TokenError::BadSignature));

    let (message, signature) = token.rsplit_once('.').expect("three parts");
    let as_another = dataplane().to_string().replace("web-1", "web-2");
    let header = message.split('.').next().expect("a header");
    for changed in [
        format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(as_another)),
        format!("{message}."),
        format!("{message}.{}", &signature[..20]),
    ] {
        assert_eq!(keyring().verify_dataplane(&changed, now()), Err(TokenError::BadSignature), "{changed}");
    }
}

#[test]
fn the_time_decides_with_five_minutes_of_leeway() {
    let leeway = LEEWAY.as_secs();
    assert_eq!(leeway, 300);
    let check = |iat: u64, exp: Option<u64>, expected: Result<(), TokenError>| {
        let payload = with(with(dataplane(), "iat", Some(json!(iat))), "exp", exp.map(|exp| json!(exp)));
        let token = signed(&header().to_string(), &payload.to_string());
        let verdict = keyring().verify_dataplane(&token, now()).map(drop);
        assert_eq!(verdict, expected, "iat {iat}, exp {exp:?}");
    };
    check(NOW_SECONDS, Some(NOW_SECONDS + 1), Ok(()));
    check(0, Some(NOW_SECONDS - leeway + 1), Ok(()));
    check(0, Some(NOW_SECONDS - leeway), Err(TokenError::Expired { at: NOW_SECONDS - leeway }));
    check(0, Some(0), Err(TokenError::Expired { at: 0 }));
    check(0, Some(u64::MAX), Ok(()));
    check(NOW_SECONDS + leeway, None, Ok(()));
    check(NOW_SECONDS + leeway + 1, None, Err(TokenError::NotYetValid { at: NOW_SECONDS + leeway + 1 }));
    check(u64::MAX, None, Err(TokenError::NotYetValid { at: u64::MAX }));
}

#[test]
fn an_end_is_said_as_a_date() {
    let said = |at| TokenError::Expired { at }.to_string();
    assert_eq!(said(NOW_SECONDS), "the token ended at 2027-01-15T08:00:00Z: generate a new one");
    assert!(said(u64::MAX).contains("18446744073709551615 s after 1970"));
}

#[test]
fn what_could_not_be_verified_is_not_issued() {
    let too_long_a_life = keyring().issue_dataplane("default", "web-1", Some(Duration::MAX), now(), &rng());
    let too_long_a_name = keyring().issue_dataplane("default", &"a".repeat(10_000), None, now(), &rng());
    for issued in [too_long_a_life, too_long_a_name] {
        assert!(matches!(issued, Err(TokenError::NotIssued { .. })), "{issued:?}");
    }
}

#[test]
fn a_revoked_token_is_refused_and_no_other() {
    let keyring = keyring();
    let issue = |name| keyring.issue_dataplane("default", name, None, now(), &rng()).expect("issues");
    let (lost, kept) = (issue("web-1"), issue("web-1"));
    let jti = keyring.token_id(&lost).expect("one of ours").jti;
    let keyring = keyring.with_revoked([jti.clone()]);
    assert_eq!(keyring.verify_dataplane(&lost, now()), Err(TokenError::Revoked { jti }));
    assert!(keyring.verify_dataplane(&kept, now()).is_ok());
    assert!(keyring.token_id(&lost).is_ok(), "revoking twice finds the same id");
}

#[test]
fn tokens_of_an_older_key_count_until_it_is_retired() {
    let old = known_key(KID, SECRET);
    let new = SigningKey::generate(&rng()).expect("the system has random bytes");
    let token = keyring().issue_dataplane("default", "web-1", None, now(), &rng()).expect("issues");

    let rotated = Keyring::new([old, new.clone()], new.kid(), CA.to_owned()).expect("its key is there");
    assert!(rotated.verify_dataplane(&token, now()).is_ok());
    let newer = rotated.issue_dataplane("default", "web-1", None, now(), &rng()).expect("issues");

    let retired = Keyring::new([new.clone()], new.kid(), CA.to_owned()).expect("its key is there");
    assert!(retired.verify_dataplane(&newer, now()).is_ok());
    let expected = TokenError::UnknownKey { kid: KID.to_owned() };
    assert_eq!(retired.verify_dataplane(&token, now()), Err(expected));
}

#[test]
fn a_keyring_needs_the_key_that_signs_and_each_kid_once() {
    let missing = Keyring::new([known_key(KID, SECRET)], "ffffffff", CA.to_owned()).expect_err("no such key");
    assert_eq!(missing, KeyringError::SigningKeyMissing { kid: "ffffffff".to_owned() });
    let twins = [known_key(KID, SECRET), known_key(KID, [8; 32])];
    let twice = Keyring::new(twins, KID, CA.to_owned()).expect_err("two of one name");
    assert_eq!(twice, KeyringError::DuplicateKid { kid: KID.to_owned() });
}

#[test]
fn garbage_is_refused() {
    let token = signed(&header().to_string(), &dataplane().to_string());
    for garbage in [
        "",
        " ",
        "Bearer",
        "Bearer ",
        ".",
        "..",
        "...",
        "a.b.c",
        "Bearer a.b.c",
        "héé",
        "\0",
        "Bearé x",
        ".....",
    ] {
        let refused = keyring().verify_dataplane(garbage, now());
        assert!(matches!(refused, Err(TokenError::Malformed { .. })), "{garbage:?}: {refused:?}");
    }
    for garbage in [
        format!("Bearer Bearer {token}"),
        format!("{token}.{token}"),
        format!("{token}="),
        format!("Basic {token}"),
        "a".repeat(100_000),
    ] {
        let refused = keyring().verify_dataplane(&garbage, now());
        assert!(matches!(refused, Err(TokenError::Malformed { .. })), "{garbage}: {refused:?}");
    }
}

#[test]
fn what_is_said_of_a_refused_token_does_not_repeat_it() {
    let secretive = "s3cr3t";
    let header_with = |kid: &str| with(header(), "kid", Some(json!(kid))).to_string();
    for token in [
        secretive.to_owned(),
        signed(&header_with(secretive), &dataplane().to_string()),
        signed(&header().to_string(), &with(dataplane(), "aud", Some(json!(secretive))).to_string()),
        signed(&header().to_string(), &with(dataplane(), "iat", Some(json!(secretive))).to_string()),
    ] {
        let error = keyring().verify_dataplane(&token, now()).expect_err("refused");
        for said in [error.to_string(), format!("{error:?}")] {
            assert!(!said.contains(secretive) && !said.contains(&token), "{said}");
        }
    }
    let debug = format!("{:?}", keyring());
    assert!(!debug.contains("7, 7"), "{debug}");
}

proptest! {
    #[test]
    fn no_text_makes_verifying_panic(garbage in ".{0,200}") {
        prop_assert!(keyring().verify_dataplane(&garbage, now()).is_err());
        prop_assert!(keyring().verify_admin(&garbage, now()).is_err());
        prop_assert!(keyring().token_id(&garbage).is_err());
    }

    #[test]
    fn no_signed_text_makes_verifying_panic(header in ".{0,80}", payload in ".{0,120}") {
        prop_assert!(keyring().verify_dataplane(&signed(&header, &payload), now()).is_err());
    }

    /// One character of a good token changed into another one.
    #[test]
    fn no_changed_character_goes_unnoticed(at in any::<prop::sample::Index>(), to in "[A-Za-z0-9_.=-]") {
        let token = signed(&header().to_string(), &dataplane().to_string());
        let at = at.index(token.len());
        let mut changed = token.clone();
        changed.replace_range(at..=at, &to);
        prop_assume!(changed != token);
        prop_assert!(keyring().verify_dataplane(&changed, now()).is_err());
    }

    #[test]
    fn every_name_and_mesh_comes_back(name in ".{1,60}", mesh in ".{1,60}") {
        let token = keyring().issue_dataplane(&mesh, &name, None, now(), &rng()).expect("issues");
        let claims = keyring().verify_dataplane(&token, now()).expect("verifies");
        prop_assert_eq!((claims.name, claims.mesh), (name, mesh));
    }
}
