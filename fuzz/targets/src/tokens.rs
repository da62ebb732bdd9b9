//! Tokens: nothing that this control plane has not signed is one.

use std::{
    sync::LazyLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use identity::{Keyring, SigningKey, SystemRandom};

use crate::{Target, wording::assert_fit_to_be_shown};

pub(crate) const TOKEN: Target = Target {
    name: "token",
    check: token,
    seeds: &[
        "Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6IjEifQ.eyJhdWQiOiJkYXRhcGxhbmUifQ.c2lnbmF0dXJl",
        "eyJhbGciOiJub25lIn0.eyJhdWQiOiJkYXRhcGxhbmUiLCJuYW1lIjoiYSIsIm1lc2giOiJiIn0.",
        "eyJhbGciOiJSUzI1NiIsImtpZCI6N30.eyJhdWQiOlsiYWRtaW4iXX0.AAAA",
        "\0\u{20}x",
        "..",
    ],
};

struct Signed {
    keyring: Keyring,
    token: String,
}

/// A key of this process alone.
static SIGNED: LazyLock<Signed> = LazyLock::new(|| {
    let rng = SystemRandom::new();
    let key = SigningKey::generate(&rng).expect("there is randomness");
    let kid = key.kid().to_owned();
    let keyring = Keyring::new([key], &kid, "fingerprint".to_owned()).expect("one key, which signs");
    let token = keyring.issue_dataplane("demo", "web", None, now(), &rng).expect("it signs");
    Signed { keyring, token }
});

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

/// The input as a token, and as an edit of a good one: its first two bytes say where, the rest what stands there instead.
fn token(input: &[u8]) {
    let Signed { keyring, token } = &*SIGNED;
    if let Ok(text) = std::str::from_utf8(input) {
        assert_refused(keyring, text);
    }
    if let [at, length, rest @ ..] = input
        && let Ok(rest) = std::str::from_utf8(rest)
    {
        let from = usize::from(*at) % token.len();
        let to = (from + usize::from(*length)).min(token.len());
        let edited = format!("{}{rest}{}", &token[..from], &token[to..]);
        if edited.trim() != token {
            assert_refused(keyring, &edited);
        }
    }
}

fn assert_refused(keyring: &Keyring, presented: &str) {
    let dataplane = keyring.verify_dataplane(presented, now()).map(|claims| claims.name);
    let admin = keyring.verify_admin(presented, now()).map(|claims| claims.sub);
    for verdict in [dataplane, admin] {
        match verdict {
            Ok(name) => panic!("{presented:?} is taken for a token of {name}"),
            Err(error) => assert_fit_to_be_shown(&error.to_string(), presented.as_bytes()),
        }
    }
}
