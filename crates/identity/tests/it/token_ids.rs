//! Naming a token without having it, and whether what was accepted still is.

use std::time::{Duration, SystemTime};

use identity::{Keyring, SigningKey, SystemRandom, TokenError, TokenId, read_jti};

fn key() -> SigningKey {
    SigningKey::generate(&SystemRandom::new()).expect("the system has random bytes")
}

fn keyring(keys: &[&SigningKey]) -> Keyring {
    let signs = keys.last().expect("one signs").kid();
    Keyring::new(keys.iter().map(|key| (*key).clone()), signs, "fingerprint").expect("they differ")
}

fn id(keyring: &Keyring, valid_for: Option<Duration>) -> TokenId {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let token = keyring.issue_dataplane("demo", "web", valid_for, now, &SystemRandom::new());
    keyring.token_id(&token.expect("it is issued")).expect("it is ours")
}

#[test]
fn an_id_says_who_signed_the_token_and_when_it_ends() {
    let (old, new) = (key(), key());
    let both = keyring(&[&old, &new]);
    assert_eq!(id(&both, None).exp, None);
    let ends = id(&both, Some(Duration::from_hours(1)));
    assert_eq!((ends.kid.as_str(), ends.exp), (new.kid(), Some(1_700_003_600)));
    assert_eq!(read_jti(&ends.jti), Some(ends.jti));
}

#[test]
fn what_was_accepted_is_until_it_is_revoked_or_its_key_is_retired() {
    let (old, new) = (key(), key());
    let token = id(&keyring(&[&old]), None);
    let both = keyring(&[&old, &new]);
    assert_eq!(both.still_accepts(&token), Ok(()));

    let revoked = both.clone().with_revoked([token.jti.clone()]);
    assert_eq!(revoked.still_accepts(&token), Err(TokenError::Revoked { jti: token.jti.clone() }));
    assert!(
        revoked.revoked_since(&both).eq([token.jti.as_str()]) && both.revoked_since(&revoked).eq([""; 0])
    );

    let new_alone = keyring(&[&new]);
    let retired = TokenError::UnknownKey { kid: old.kid().to_owned() };
    assert_eq!(new_alone.still_accepts(&token), Err(retired));
    assert!(new_alone.retired_since(&both).eq([old.kid()]) && both.retired_since(&new_alone).eq([""; 0]));
}

#[test]
fn an_id_is_read_in_one_form_and_is_never_a_token() {
    let jti = "01234567-89ab-cdef-0123-456789abcdef";
    assert_eq!(read_jti(jti).as_deref(), Some(jti));
    assert_eq!(read_jti(&jti.to_uppercase()).as_deref(), Some(jti));
    for other in [
        "",
        "x",
        "0123456789abcdef0123456789abcdef",
        "{01234567-89ab-cdef-0123-456789abcdef}",
        "urn:uuid:01234567-89ab-cdef-0123-456789abcdef",
        "01234567-89ab-cdef-0123-456789abcdef ",
        "eyJhbGciOiJIUzI1NiJ9.eyJqdGkiOiIxIn0.c2lnbmF0dXJl",
    ] {
        assert_eq!(read_jti(other), None, "{other}");
    }
}
