//! The dataplane's token, as far as it can be read without the control plane's signing key.
//!
//! A token is a JWT. kuma-dp cannot tell whether its signature is good, but it can tell, before anything is started, that a
//! file holds no token, or the token of another dataplane, or one that has expired, and say what to do. The text of the token
//! appears in no error and no `Debug`.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

/// What the control plane grants to clocks that disagree.
const LEEWAY_SECONDS: f64 = 300.0;
/// Many times the length of a token; a longer file is something else.
const LONGEST_FILE: u64 = 16 * 1024;

/// A token that names the dataplane it was read for and has not expired.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token {
    text: String,
    ca: Option<String>,
}

/// Whose token is expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) mesh: String,
    pub(crate) name: String,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("the token file {} cannot be read: {source}; {}", path.display(), remedy(owner, path))]
    Unreadable { path: PathBuf, owner: Owner, source: io::Error },
    #[error("the token file {} is empty; {}", path.display(), remedy(owner, path))]
    Empty { path: PathBuf, owner: Owner },
    #[error("the file {} does not hold a dataplane token: {reason}; {}", path.display(), remedy(owner, path))]
    Malformed { path: PathBuf, owner: Owner, reason: &'static str },
    #[error(
        "the token in {} is for dataplane {} of mesh {}, not for dataplane {} of mesh {}; {}",
        path.display(), actual.name, actual.mesh, owner.name, owner.mesh, remedy(owner, &own_file(owner))
    )]
    ForAnother { path: PathBuf, owner: Owner, actual: Owner },
    #[error("the token in {} expired {} ago; {}", path.display(), span(*seconds_ago), remedy(owner, path))]
    Expired { path: PathBuf, owner: Owner, seconds_ago: u64 },
}

/// The claims that concern kuma-dp, spelt as in Kuma 0.3.0.
#[derive(Deserialize)]
struct Claims {
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "Mesh")]
    mesh: String,
    aud: Option<String>,
    exp: Option<f64>,
    ca: Option<String>,
}

impl Token {
    /// Reads the file and checks all that can be checked without the signing key.
    pub(crate) fn read(path: &Path, owner: &Owner, now: SystemTime) -> Result<Self, TokenError> {
        let mut text = String::new();
        File::open(path).and_then(|file| file.take(LONGEST_FILE + 1).read_to_string(&mut text)).map_err(
            |source| TokenError::Unreadable { path: path.to_owned(), owner: owner.clone(), source },
        )?;
        Self::check(&text, path, owner, now)
    }

    fn check(text: &str, path: &Path, owner: &Owner, now: SystemTime) -> Result<Self, TokenError> {
        let text = text.trim();
        let malformed =
            |reason| TokenError::Malformed { path: path.to_owned(), owner: owner.clone(), reason };
        if text.is_empty() {
            return Err(TokenError::Empty { path: path.to_owned(), owner: owner.clone() });
        }
        let claims = read_claims(text).map_err(malformed)?;
        if claims.aud.is_some_and(|audience| audience != "dataplane") {
            return Err(malformed("it is a token for something else (its `aud` is not `dataplane`)"));
        }
        let actual = Owner { mesh: claims.mesh, name: claims.name };
        if actual != *owner {
            return Err(TokenError::ForAnother { path: path.to_owned(), owner: owner.clone(), actual });
        }
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        match claims.exp {
            Some(end) if end + LEEWAY_SECONDS < now => Err(TokenError::Expired {
                path: path.to_owned(),
                owner: owner.clone(),
                seconds_ago: std::time::Duration::try_from_secs_f64(now - end).unwrap_or_default().as_secs(),
            }),
            _ => Ok(Self { text: text.to_owned(), ca: claims.ca }),
        }
    }

    /// The token itself: for Envoy's file and for the `authorization` header, nothing else.
    pub(crate) fn expose(&self) -> &str {
        &self.text
    }

    /// The `ca` claim: the base64url SHA-256 of the SubjectPublicKeyInfo of the control plane's CA.
    pub(crate) fn ca(&self) -> Option<&str> {
        self.ca.as_deref()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(<redacted>)")
    }
}

fn read_claims(text: &str) -> Result<Claims, &'static str> {
    const NOT_A_JWT: &str = "it is not a JWT, three parts of base64url with dots between";
    if text.len() as u64 > LONGEST_FILE {
        return Err("it is far longer than a token");
    }
    let mut parts = text.split('.');
    let (Some(header), Some(claims), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(NOT_A_JWT);
    };
    if header.is_empty() || signature.is_empty() {
        return Err(NOT_A_JWT);
    }
    for part in [header, signature] {
        URL_SAFE_NO_PAD.decode(part).map_err(|_| NOT_A_JWT)?;
    }
    let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| NOT_A_JWT)?;
    serde_json::from_slice(&claims)
        .map_err(|_| "its claims are not those of a dataplane token (`Name` and `Mesh`)")
}

/// Another's file is not to be written over.
fn own_file(owner: &Owner) -> PathBuf {
    PathBuf::from(format!("{}.token", owner.name))
}

fn remedy(owner: &Owner, path: &Path) -> String {
    format!(
        "make a token with `kumactl generate dataplane-token --name {} --mesh {} > {}`",
        owner.name,
        owner.mesh,
        path.display()
    )
}

/// The two largest units: nobody needs the seconds of a day.
fn span(seconds: u64) -> String {
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60) {
        (0, 0, minutes) => format!("{minutes}m{}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h{minutes}m"),
        (days, hours, _) => format!("{days}d{hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOW: u64 = 1_800_000_000;

    fn jwt(claims: &str) -> String {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT","kid":"01234567"}"#);
        format!("{header}.{}.{}", URL_SAFE_NO_PAD.encode(claims), URL_SAFE_NO_PAD.encode("signature"))
    }

    fn check(text: &str) -> Result<Token, String> {
        let owner = Owner { mesh: "default".to_owned(), name: "web-1".to_owned() };
        let now = UNIX_EPOCH + Duration::from_secs(NOW);
        Token::check(text, Path::new("web-1.token"), &owner, now).map_err(|error| error.to_string())
    }

    #[test]
    fn a_good_token_is_trimmed_and_its_ca_claim_read() {
        let text = jwt(r#"{"Name":"web-1","Mesh":"default","aud":"dataplane","jti":"x","iat":1,"ca":"pin"}"#);
        let token = check(&format!("\n {text} \n")).expect("the token is good");
        assert_eq!((token.expose(), token.ca()), (text.as_str(), Some("pin")));
        assert_eq!(format!("{token:?}"), "Token(<redacted>)");
    }

    #[test]
    fn a_token_of_kuma_0_3_has_no_more_than_a_name_and_a_mesh() {
        let token = check(&jwt(r#"{"Name":"web-1","Mesh":"default"}"#)).expect("the token is good");
        assert_eq!(token.ca(), None);
    }

    #[test]
    fn expiry_has_the_leeway_that_the_control_plane_grants() {
        let ends = |exp: u64| check(&jwt(&format!(r#"{{"Name":"web-1","Mesh":"default","exp":{exp}}}"#)));
        assert!(ends(NOW + 1).is_ok());
        assert!(ends(NOW - 299).is_ok());
        let error = ends(NOW - 7_260).expect_err("it has expired");
        assert!(error.contains("expired 2h1m ago"), "{error}");
    }

    #[test]
    fn every_refusal_says_what_is_wrong_and_how_to_make_a_token() {
        let other = jwt(r#"{"Name":"web-2","Mesh":"pilot"}"#);
        let admin = jwt(r#"{"Name":"web-1","Mesh":"default","aud":"admin"}"#);
        let numbers = jwt(r#"{"Name":1,"Mesh":"default"}"#);
        for (text, reason) in [
            ("", "is empty"),
            (" \n", "is empty"),
            ("garbage", "not a JWT"),
            ("a.b", "not a JWT"),
            ("..", "not a JWT"),
            ("a.b.c.d", "not a JWT"),
            ("%%.%%.%%", "not a JWT"),
            (&jwt("not json"), "claims"),
            (&numbers, "claims"),
            (&"x".repeat(20_000), "far longer"),
            (&admin, "`aud`"),
            (&other, "for dataplane web-2 of mesh pilot, not for dataplane web-1 of mesh default"),
        ] {
            let error = check(text).expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
            assert!(error.contains("generate dataplane-token --name web-1 --mesh default"), "{error}");
            assert!(text.len() < 3 || !error.contains(text), "the token stands in the error: {error}");
        }
    }
}
