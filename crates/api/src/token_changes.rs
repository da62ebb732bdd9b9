//! `/tokens/revocations` and `/tokens/keys`: which tokens hold.
//!
//! A revocation takes away one token, retiring a key all that it has signed. Both are durable when they are answered, hold
//! from that moment on, and end the streams concerned. No token is kept, or repeated in an error or the log.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::StatusCode;
use identity::{LEEWAY, TokenId, read_jti};
use model::Violations;
use serde::Deserialize;
use serde_json::json;
use store::{
    Outcome, Present, REVOCATIONS_MAX, StoreError, TOKEN_KEYS_MAX, TokenChange, TokenOutcome, TokensChanged,
};

use crate::{
    Api,
    audit::{self, Caller},
    read,
    respond::{Answer, JSON, Refusal, empty, kuma_revision, title, with_body},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RevocationRequest {
    jti: Option<String>,
    token: Option<String>,
}

/// The revoked tokens, by jti.
pub(crate) fn revocations(present: &Present) -> Bytes {
    let items = present.tokens().revocations().map(|(jti, revocation)| match revocation.exp {
        Some(exp) => json!({"jti": **jti, "exp": exp}),
        None => json!({"jti": **jti}),
    });
    json!({"items": items.collect::<Vec<_>>()}).to_string().into()
}

/// The keys whose tokens are accepted, the oldest first: the last signs.
pub(crate) fn keys(present: &Present) -> Bytes {
    let keys = present.tokens().keys();
    let last = keys.len().saturating_sub(1);
    let items = keys.iter().enumerate().map(|(i, (kid, _))| json!({"kid": ***kid, "signs": i == last}));
    json!({"items": items.collect::<Vec<_>>()}).to_string().into()
}

/// 200 and the token's id, also when it is revoked already.
pub(crate) async fn revoke(api: &Arc<Api>, caller: Caller, body: &Bytes) -> Result<Answer, Refusal> {
    let (jti, exp) = which(api, body)?;
    let change = TokenChange::Revoke { jti: jti.clone(), exp };
    let write = Write {
        method: "POST",
        kind: "TokenRevocation",
        name: jti.clone(),
        title: title::REVOCATION,
        done: Outcome::Created,
    };
    let changed = commit(api, caller, write, change).await?;
    if changed.outcome == TokenOutcome::TooManyRevoked {
        let details = format!(
            "{REVOCATIONS_MAX} tokens are revoked, as many as can be. Make a new signing key with POST /tokens/keys, \
             replace the tokens, and retire the old keys: their revocations are forgotten with them."
        );
        return Err(Refusal::new(StatusCode::CONFLICT, title::REVOCATION, details));
    }
    Ok(done(&json!({"jti": jti}), &changed))
}

/// 200 and the kid of a new key, which signs from now on.
pub(crate) async fn make_key(api: &Arc<Api>, caller: Caller) -> Result<Answer, Refusal> {
    let new = api.token_keys.generate().map_err(|error| Refusal::internal(title::TOKEN_KEYS, &error))?;
    let NewTokenKey { kid, sealed } = new;
    let change = TokenChange::PutKey { kid: kid.clone(), sealed };
    let write = Write {
        method: "POST",
        kind: "TokenKey",
        name: kid.clone(),
        title: title::TOKEN_KEYS,
        done: Outcome::Created,
    };
    let changed = commit(api, caller, write, change).await?;
    match changed.outcome {
        TokenOutcome::Changed => Ok(done(&json!({"kid": kid}), &changed)),
        TokenOutcome::TooManyKeys => {
            let details = format!("There are {TOKEN_KEYS_MAX} keys, as many as can be. Retire one first.");
            Err(Refusal::new(StatusCode::CONFLICT, title::TOKEN_KEYS, details))
        }
        // One kid in four thousand millions.
        outcome => Err(Refusal::internal(title::TOKEN_KEYS, &format!("a new key {kid} is {outcome:?}"))),
    }
}

/// 200 without a body, once tokens of this key are refused.
pub(crate) async fn retire_key(api: &Arc<Api>, caller: Caller, kid: &str) -> Result<Answer, Refusal> {
    let change = TokenChange::RetireKey { kid: kid.to_owned() };
    let write = Write {
        method: "DELETE",
        kind: "TokenKey",
        name: kid.to_owned(),
        title: title::TOKEN_KEYS,
        done: Outcome::Deleted,
    };
    let changed = commit(api, caller, write, change).await?;
    match changed.outcome {
        TokenOutcome::NoSuchKey => Err(Refusal::not_found(title::TOKEN_KEYS)),
        TokenOutcome::KeySigns => {
            let details = format!(
                "The key {kid} is the one that signs. Make a new one first, with `kumactl rotate token-key` or \
                 POST /tokens/keys, and replace the tokens."
            );
            Err(Refusal::new(StatusCode::CONFLICT, title::TOKEN_KEYS, details))
        }
        _ => {
            let mut answer = empty(StatusCode::OK);
            kuma_revision(answer.headers_mut(), changed.revision);
            Ok(answer)
        }
    }
}

/// A signing key that was made just now.
pub struct NewTokenKey {
    pub kid: String,
    /// As the store keeps it.
    pub sealed: Vec<u8>,
}

/// The token that is to be revoked: its id, and its end as far as that is known.
fn which(api: &Api, body: &Bytes) -> Result<(String, Option<u64>), Refusal> {
    // What is wrong with the body is not repeated: a token may stand anywhere in it.
    let request: RevocationRequest = read::request(body, title::REVOCATION).map_err(|_| {
        let details = "The body must be a JSON object with either jti or token, which are texts.";
        Refusal::bad_request(title::REVOCATION, details)
    })?;
    let refused = |field, message: String| {
        let mut causes = Violations::default();
        causes.add(field, message);
        Refusal::invalid(title::REVOCATION, "The request is not valid", causes)
    };
    match (request.jti, request.token) {
        (Some(jti), None) => {
            let expected = "must be a token's id: the UUID in its claim jti";
            Ok((read_jti(&jti).ok_or_else(|| refused("jti", expected.to_owned()))?, None))
        }
        (None, Some(token)) => {
            let id = api.token_keys.keyring().token_id(&token);
            let TokenId { jti, exp, .. } = id.map_err(|error| refused("token", error.to_string()))?;
            Ok((jti, exp))
        }
        (None, None) => Err(refused("token", "cannot be empty, unless jti is given".to_owned())),
        (Some(_), Some(_)) => Err(refused("jti", "cannot be given together with token".to_owned())),
    }
}

/// What the audit says of a change.
struct Write {
    method: &'static str,
    kind: &'static str,
    name: String,
    title: &'static str,
    /// The outcome when something was changed.
    done: Outcome,
}

/// In a task of its own, as every write: a client that goes away leaves none without its line in the audit.
async fn commit(
    api: &Arc<Api>,
    caller: Caller,
    write: Write,
    change: TokenChange,
) -> Result<TokensChanged, Refusal> {
    let (store, ended_before) = (api.store.clone(), ended_before((api.now)()));
    let Write { method, kind, name, title, done } = write;
    let task = tokio::spawn(async move {
        let changed = store.change_tokens(change, ended_before).await;
        if let Ok(TokensChanged { revision, outcome }) = changed
            && let Some(outcome) = accepted(outcome, done)
        {
            audit::tokens_changed(&caller, method, kind, &name, revision, outcome);
        }
        changed
    });
    match task.await {
        Ok(Ok(changed)) => Ok(changed),
        Ok(Err(StoreError::Unavailable(reason))) => Err(Refusal::unavailable(title, &reason)),
        Ok(Err(error)) => Err(Refusal::internal(title, &error)),
        Err(panicked) => Err(Refusal::internal(title, &panicked)),
    }
}

/// What the audit calls it; `None` for what was refused.
fn accepted(outcome: TokenOutcome, done: Outcome) -> Option<Outcome> {
    match outcome {
        TokenOutcome::Changed => Some(done),
        TokenOutcome::Unchanged => Some(Outcome::Unchanged),
        TokenOutcome::TooManyKeys
        | TokenOutcome::NoSuchKey
        | TokenOutcome::KeySigns
        | TokenOutcome::TooManyRevoked => None,
    }
}

/// A token that has ended before this is refused everywhere, although clocks differ: [`LEEWAY`] is granted by each machine
/// that verifies, and its clock may be as far behind ours.
fn ended_before(now: SystemTime) -> u64 {
    let since_1970 = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    since_1970.saturating_sub(2 * LEEWAY).as_secs()
}

fn done(body: &serde_json::Value, changed: &TokensChanged) -> Answer {
    let mut answer = with_body(StatusCode::OK, JSON, body.to_string().into());
    kuma_revision(answer.headers_mut(), changed.revision);
    answer
}
