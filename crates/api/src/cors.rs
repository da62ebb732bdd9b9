//! Which other origins' pages may use the API from a browser (the CORS protocol of the Fetch standard). None by default.
//!
//! Kuma 0.3.0 allowed every origin, so that any page that a user visits could read and change a mesh. Here an operator
//! names them (`apiServer.corsAllowedDomains`), and what gives out secrets or configuration is for none of them.

use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
    },
};
use regex::{Regex, RegexSet};

use crate::{
    path::Route,
    respond::{Answer, Refusal, empty, title},
};

/// What a page may send besides what any may, and read besides what any may.
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "accept, content-type, if-match, if-none-match, kuma-min-revision, last-event-id",
);
const ANSWER_HEADERS: HeaderValue =
    HeaderValue::from_static("allow, etag, kuma-revision, last-modified, retry-after, warning");

/// For how many seconds a browser may remember the answer to a preflight.
const MAX_AGE_SECONDS: HeaderValue = HeaderValue::from_static("600");

/// The origins that are allowed.
#[derive(Clone, Debug, Default)]
pub struct CorsPolicy {
    /// As they were given.
    patterns: Vec<String>,
    whole: RegexSet,
}

impl PartialEq for CorsPolicy {
    fn eq(&self, other: &Self) -> bool {
        self.patterns == other.patterns
    }
}

/// A pattern that is no regular expression.
#[derive(Debug, thiserror::Error)]
#[error("{pattern:?} is no regular expression: {reason}")]
pub struct BadPattern {
    pattern: String,
    reason: String,
}

impl CorsPolicy {
    /// Each pattern is a regular expression for a whole origin, such as `https://[a-z]+\.example\.com`. (Kuma 0.3.0 looked
    /// for it anywhere in the origin, so that `example.com` admitted `https://example.com.evil.org`.)
    pub fn new(patterns: &[String]) -> Result<Self, BadPattern> {
        for pattern in patterns {
            Regex::new(pattern).map_err(|error| bad(pattern, &error))?;
        }
        let whole = patterns.iter().map(|pattern| format!("^(?:{pattern})$"));
        let whole = RegexSet::new(whole).map_err(|error| bad(&patterns.join(" "), &error))?;
        Ok(Self { patterns: patterns.to_owned(), whole })
    }

    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }

    /// The origin of a request, if it is allowed what `route` names.
    pub(crate) fn allowed<'a>(&self, route: &Route, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
        let is_open = !route.is_of_tokens() && !matches!(route, Route::Bootstrap | Route::Config);
        let mut origins = headers.get_all(ORIGIN).iter();
        let (origin, another) = (origins.next()?, origins.next());
        let is_allowed = another.is_none() && self.whole.is_match(origin.to_str().ok()?);
        (is_open && is_allowed).then_some(origin)
    }

    /// Whether a browser asks before it sends.
    pub(crate) fn is_preflight(&self, method: &Method, headers: &HeaderMap) -> bool {
        !self.patterns.is_empty()
            && method == Method::OPTIONS
            && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
    }

    /// 204 with what may be sent; 403 for an origin that is not allowed.
    pub(crate) fn preflight(
        &self,
        route: &Route,
        methods: &[&str],
        headers: &HeaderMap,
    ) -> Result<Answer, Refusal> {
        if self.allowed(route, headers).is_none() {
            let details = "Pages of this origin are not allowed here: see apiServer.corsAllowedDomains.";
            return Err(Refusal::new(StatusCode::FORBIDDEN, title::REQUEST, details));
        }
        let mut answer = empty(StatusCode::NO_CONTENT);
        let headers = answer.headers_mut();
        if let Ok(methods) = HeaderValue::try_from(methods.join(", ")) {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        }
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
        headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECONDS);
        Ok(answer)
    }

    /// Lets the page that asked read the answer. A cache must know that another origin would have got another.
    pub(crate) fn mark(&self, origin: Option<&HeaderValue>, answer: &mut HeaderMap) {
        if self.patterns.is_empty() {
            return;
        }
        answer.append(VARY, HeaderValue::from_static("origin"));
        if let Some(origin) = origin {
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, ANSWER_HEADERS);
        }
    }
}

fn bad(pattern: &str, error: &regex::Error) -> BadPattern {
    let reason = match error {
        regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
        // The regex crate draws the place under the pattern, over several lines; the last says what is wrong.
        error => {
            error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
        }
    };
    BadPattern { pattern: pattern.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_of_a_whole_origin() {
        let policy =
            CorsPolicy::new(&[r"https://[a-z]+\.example\.com".into(), "http://a|http://b".into()]).unwrap();
        let allowed = |origin: &'static str| {
            let headers = HeaderMap::from_iter([(ORIGIN, HeaderValue::from_static(origin))]);
            policy.allowed(&Route::Index, &headers).is_some()
        };
        for origin in ["https://gui.example.com", "http://a", "http://b"] {
            assert!(allowed(origin), "{origin}");
        }
        for origin in [
            "https://gui.example.com.evil.org",
            "https://evil.org/https://gui.example.com",
            "https://example.com",
            "http://ab",
            "null",
            "",
        ] {
            assert!(!allowed(origin), "{origin}");
        }
    }

    #[test]
    fn what_gives_out_secrets_is_for_no_other_origin() {
        let policy = CorsPolicy::new(&[".*".into()]).unwrap();
        let headers = HeaderMap::from_iter([(ORIGIN, HeaderValue::from_static("http://a"))]);
        assert!(policy.allowed(&Route::Transactions, &headers).is_some());
        let of_tokens = [Route::Tokens, Route::Revocations, Route::TokenKeys, Route::TokenKey("x".into())];
        for route in [Route::Bootstrap, Route::Config].into_iter().chain(of_tokens) {
            assert!(policy.allowed(&route, &headers).is_none(), "{route:?}");
        }
    }

    #[test]
    fn a_bad_pattern_is_named_on_one_line() {
        let error = CorsPolicy::new(&["http://a".into(), "http://(".into()]).unwrap_err();
        assert_eq!(error.to_string(), r#""http://(" is no regular expression: unclosed group"#);
    }
}
