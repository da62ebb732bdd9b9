//! Answers and refusals: every error has one shape, and none tells what only the log should know.

use std::borrow::Cow;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{ALLOW, CONTENT_TYPE, RETRY_AFTER},
};
use model::Violations;
use serde::Serialize;
use store::Revision;

/// A whole answer. Bodies are in memory: an entity is one buffer that the store encoded once.
pub(crate) type Answer = http::Response<Bytes>;

/// Kuma 0.3.0's words for what failed.
pub(crate) mod title {
    pub(crate) const PROCESS: &str = "Could not process a resource";
    pub(crate) const CREATE: &str = "Could not create a resource";
    pub(crate) const UPDATE: &str = "Could not update a resource";
    pub(crate) const DELETE: &str = "Could not delete a resource";
    pub(crate) const RETRIEVE: &str = "Could not retrieve a resource";
    pub(crate) const RETRIEVE_LIST: &str = "Could not retrieve resources";
    pub(crate) const RETRIEVE_OVERVIEW: &str = "Could not retrieve a dataplane overview";
    pub(crate) const TOKEN: &str = "Could not generate a dataplane token";
    pub(crate) const REVOCATION: &str = "Could not revoke the token";
    pub(crate) const TOKEN_KEYS: &str = "Could not change the token keys";
    pub(crate) const MESH_CAS: &str = "Could not change the certificate authorities of the mesh";
    pub(crate) const BOOTSTRAP: &str = "Could not generate a bootstrap configuration";
    pub(crate) const TRANSACTION: &str = "Could not process the transaction";
    pub(crate) const REQUEST: &str = "Could not process the request";
}

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Seconds that a client is asked to wait before it tries a write again.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("2");

/// Why a request is not done, for whoever asked. `details` is a sentence that is fit to be shown.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) title: &'static str,
    pub(crate) details: Cow<'static, str>,
    pub(crate) causes: Violations,
    /// The methods that would do, for a 405.
    pub(crate) allow: Option<String>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    title: &'a str,
    details: &'a str,
    #[serde(skip_serializing_if = "Violations::is_empty")]
    causes: &'a Violations,
}

impl Refusal {
    pub(crate) fn new(
        status: StatusCode,
        title: &'static str,
        details: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, title, details: details.into(), causes: Violations::default(), allow: None }
    }

    pub(crate) fn bad_request(title: &'static str, details: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, title, details)
    }

    /// 400 with everything that is wrong.
    pub(crate) fn invalid(title: &'static str, details: &'static str, causes: Violations) -> Self {
        Self { causes, ..Self::bad_request(title, details) }
    }

    pub(crate) fn not_found(title: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, title, "Not found")
    }

    pub(crate) fn method_not_allowed(
        title: &'static str,
        details: impl Into<Cow<'static, str>>,
        methods: &[&str],
    ) -> Self {
        let allow = Some(methods.join(", "));
        Self { allow, ..Self::new(StatusCode::METHOD_NOT_ALLOWED, title, details) }
    }

    /// 503. `reason` goes to the log alone.
    pub(crate) fn unavailable(title: &'static str, reason: &str) -> Self {
        tracing::error!(reason, "the store is unavailable");
        let details = "The store is unavailable, and it is not known that anything was written. Try again.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, title, details)
    }

    /// 500. `reason` goes to the log alone.
    pub(crate) fn internal(title: &'static str, reason: &dyn std::fmt::Display) -> Self {
        tracing::error!(reason = %reason, "a request failed for a reason that nobody foresaw");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, title, "Internal Server Error")
    }

    pub(crate) fn into_answer(self) -> Answer {
        let body = ErrorBody { title: self.title, details: &self.details, causes: &self.causes };
        let body = serde_json::to_vec(&body).expect("three strings and a list of strings are JSON");
        let mut answer = with_body(self.status, JSON, body.into());
        if let Some(allow) = self.allow.and_then(|allow| HeaderValue::try_from(allow).ok()) {
            answer.headers_mut().insert(ALLOW, allow);
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            answer.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        answer
    }
}

/// Every answer carries the store's revision; a write's, the one that it took.
pub(crate) fn kuma_revision(headers: &mut HeaderMap, revision: Revision) {
    const NAME: HeaderName = HeaderName::from_static("kuma-revision");
    if let Ok(value) = HeaderValue::try_from(revision.to_string()) {
        headers.entry(NAME).or_insert(value);
    }
}

pub(crate) fn empty(status: StatusCode) -> Answer {
    let mut answer = Answer::default();
    *answer.status_mut() = status;
    answer
}

pub(crate) fn with_body(status: StatusCode, content_type: HeaderValue, body: Bytes) -> Answer {
    let mut answer = Answer::new(body);
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_left_out_when_there_are_none() {
        let body = Refusal::not_found(title::RETRIEVE).into_answer().into_body();
        assert_eq!(body, r#"{"title":"Could not retrieve a resource","details":"Not found"}"#);
    }

    #[test]
    fn what_went_wrong_inside_stays_inside() {
        for refusal in [
            Refusal::internal(title::CREATE, &"/var/lib/kuma.db is broken"),
            Refusal::unavailable(title::CREATE, "/var/lib/kuma.db is full"),
        ] {
            let body = String::from_utf8(refusal.into_answer().into_body().into()).unwrap();
            assert!(!body.contains("kuma.db"), "{body}");
        }
    }
}
