//! `POST /tokens`: a token by which a dataplane proves its name.
//!
//! Neither the Dataplane nor its mesh has to exist yet (Kuma 0.3.0). The token is in the answer and nowhere else.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header::CACHE_CONTROL};
use identity::SystemRandom;
use model::{MESH_AND_NAME_MAX_CHARS, Violations};
use serde::Deserialize;

use crate::{
    Api,
    audit::{self, Caller},
    read,
    respond::{Answer, Refusal, title, with_body},
    validity,
};

/// A misspelt field is refused: a `validFor` that does not count would give a token without an end.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct TokenRequest {
    #[serde(default)]
    name: String,
    #[serde(default)]
    mesh: String,
    valid_for: Option<String>,
}

/// The token alone, as text.
pub(crate) fn issue(api: &Api, caller: &Caller, body: &Bytes) -> Result<Answer, Refusal> {
    let request: TokenRequest = read::request(body, title::TOKEN)?;
    let causes = check(&request);
    if !causes.is_empty() {
        return Err(Refusal::invalid(title::TOKEN, "The request is not valid", causes));
    }
    let valid_for = request.valid_for.as_deref().and_then(validity::parse);
    let (mesh, name) = (&request.mesh, &request.name);
    let keyring = api.token_keys.keyring();
    let token = keyring
        .issue_dataplane(mesh, name, valid_for, (api.now)(), &SystemRandom::new())
        .map_err(|error| Refusal::internal(title::TOKEN, &error))?;
    let id = keyring.token_id(&token).map_err(|error| Refusal::internal(title::TOKEN, &error))?;
    audit::token_issued(caller, mesh, name, &id.jti, valid_for);
    let mut answer = with_body(StatusCode::OK, HeaderValue::from_static("text/plain"), token.into());
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

fn check(request: &TokenRequest) -> Violations {
    let mut causes = Violations::default();
    for (field, text) in [("name", &request.name), ("mesh", &request.mesh)] {
        if text.is_empty() {
            causes.add(field, "cannot be empty");
        } else if text.chars().count() > MESH_AND_NAME_MAX_CHARS {
            causes.add(field, format!("must have 1 to {MESH_AND_NAME_MAX_CHARS} characters"));
        }
    }
    if request.valid_for.as_deref().is_some_and(|text| validity::parse(text).is_none()) {
        causes.add("validFor", validity::EXPECTED);
    }
    causes
}
