//! What every answer may have: headers, and the refusals.

use http::StatusCode;
use model::schema::text;
use serde_json::{Map, Value, json};

use super::component;

/// A header, by its name in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    KumaRevision,
    ETag,
    LastModified,
    Vary,
    Warning,
    Allow,
    RetryAfter,
    CacheControl,
    XAccelBuffering,
}

impl Header {
    const ALL: [Self; 9] = [
        Self::KumaRevision,
        Self::ETag,
        Self::LastModified,
        Self::Vary,
        Self::Warning,
        Self::Allow,
        Self::RetryAfter,
        Self::CacheControl,
        Self::XAccelBuffering,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::KumaRevision => "Kuma-Revision",
            Self::ETag => "ETag",
            Self::LastModified => "Last-Modified",
            Self::Vary => "Vary",
            Self::Warning => "Warning",
            Self::Allow => "Allow",
            Self::RetryAfter => "Retry-After",
            Self::CacheControl => "Cache-Control",
            Self::XAccelBuffering => "X-Accel-Buffering",
        }
    }

    fn describe(self) -> Value {
        let optional = |schema| json!({"schema": schema});
        let always = |schema| json!({"schema": schema, "required": true});
        let (description, mut header) = match self {
            Self::KumaRevision => (
                "The revision of the store that the answer was made from; of a change, the one that it made.",
                always(component("schemas", "Revision")),
            ),
            Self::ETag => (
                "Of a resource: the quoted revision of its last change. It never comes back.",
                optional(json!({"type": "string", "pattern": format!("^\"{}\"$", super::schema::REVISION)})),
            ),
            Self::LastModified => (
                "Of a resource: when it was last changed.",
                optional(text("A date as HTTP writes it (RFC 9110, section 5.6.7).")),
            ),
            Self::Vary => {
                ("Which headers of the request have chosen the answer.", optional(json!({"type": "string"})))
            }
            Self::Warning => (
                "What the change will not do as it stands, although it is valid: one header for each warning.",
                optional(json!({"type": "string", "pattern": "^299 - \".*\"$"})),
            ),
            Self::Allow => {
                ("The methods that would do here now; it may be empty.", always(json!({"type": "string"})))
            }
            Self::RetryAfter => (
                "In how many seconds to try again.",
                always(json!({"type": "string", "pattern": "^[1-9][0-9]*$"})),
            ),
            Self::CacheControl => (
                "Of a watch and of secrets: that nothing may keep the answer.",
                optional(json!({"enum": ["no-cache", "no-store"]})),
            ),
            Self::XAccelBuffering => (
                "Of a watch: that a proxy in between passes on events as they come.",
                optional(json!({"const": "no"})),
            ),
        };
        header["description"] = json!(description);
        header
    }
}

/// For the document's components.
pub(super) fn headers() -> Map<String, Value> {
    Header::ALL.into_iter().map(|header| (header.name().to_owned(), header.describe())).collect()
}

/// An answer with these headers and, always, the revision.
pub(super) fn answer(description: &str, headers: &[Header], content: Option<Value>) -> Value {
    let headers = [&[Header::KumaRevision], headers].concat();
    let headers: Map<String, Value> = headers
        .into_iter()
        .map(|header| (header.name().to_owned(), component("headers", header.name())))
        .collect();
    let mut answer = json!({"description": description, "headers": headers});
    if let Some(content) = content {
        answer["content"] = content;
    }
    answer
}

/// Every status that refuses, once, for the document's components.
pub(super) fn refusals(body_bytes_max: usize) -> Map<String, Value> {
    let content = json!({"application/json": {"schema": component("schemas", "Error")}});
    let refusal = |(status, description): (StatusCode, String)| {
        let headers: &[Header] = match status {
            StatusCode::METHOD_NOT_ALLOWED => &[Header::Allow],
            StatusCode::SERVICE_UNAVAILABLE => &[Header::RetryAfter],
            _ => &[],
        };
        (refusal_name(status), answer(&description, headers, Some(content.clone())))
    };
    descriptions(body_bytes_max).into_iter().map(refusal).collect()
}

/// A reference to the refusal with this status.
pub(super) fn refusal(status: StatusCode) -> Value {
    component("responses", &refusal_name(status))
}

fn refusal_name(status: StatusCode) -> String {
    status.canonical_reason().unwrap_or_default().split(' ').collect()
}

fn descriptions(body_bytes_max: usize) -> Vec<(StatusCode, String)> {
    let too_large = format!("The body is larger than {body_bytes_max} bytes.");
    [
        (StatusCode::BAD_REQUEST, "The request cannot be understood, or what it asks for is not valid."),
        (StatusCode::FORBIDDEN, "A web page of another origin has caused the request."),
        (StatusCode::NOT_FOUND, "There is no such thing."),
        (StatusCode::METHOD_NOT_ALLOWED, "Nothing can be changed here: this control plane is read-only."),
        (StatusCode::NOT_ACCEPTABLE, "The answer cannot be written in any of the media types in `Accept`."),
        (StatusCode::REQUEST_TIMEOUT, "The body did not arrive in time."),
        (
            StatusCode::CONFLICT,
            "`Kuma-Min-Revision` is of another store than this one: read everything again.",
        ),
        (
            StatusCode::GONE,
            "History does not reach back to where the watch should begin: begin without `since`.",
        ),
        (StatusCode::PRECONDITION_FAILED, "What is there is not what the condition says; nothing is done."),
        (StatusCode::PAYLOAD_TOO_LARGE, &too_large),
        (StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body is of no media type that is understood, or encoded."),
        (
            StatusCode::MISDIRECTED_REQUEST,
            "The request was sent to a name that this control plane does not have.",
        ),
        (
            StatusCode::INTERNAL_SERVER_ERROR,
            "Something has gone wrong that nobody foresaw; the log says more.",
        ),
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "The store is away, or `Kuma-Min-Revision` has not arrived here in time. Try again.",
        ),
    ]
    .map(|(status, description)| (status, description.to_owned()))
    .into()
}
