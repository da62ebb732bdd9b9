//! How a stream ends, in the words of gRPC.
//!
//! Written by hand for the sake of who reads it: Envoy logs `grpc-message` as it comes, and only what the protocol says
//! must be encoded is ("gRPC over HTTP2", Status-Message), so that spaces stay spaces.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{Refusal, frames::FrameError};

/// Also an error: whoever returns it ends the stream with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GrpcStatus {
    pub(crate) code: GrpcCode,
    /// Goes to the client.
    pub(crate) message: String,
}

/// Of gRPC's codes those that are used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GrpcCode {
    Ok = 0,
    Cancelled = 1,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

impl GrpcCode {
    pub(crate) fn with(self, message: impl Into<String>) -> GrpcStatus {
        GrpcStatus { code: self, message: message.into() }
    }
}

impl GrpcStatus {
    /// For the trailers, or for the headers of a response that has nothing else.
    pub(crate) fn to_headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(2);
        headers.insert(HeaderName::from_static("grpc-status"), HeaderValue::from(self.code as u16));
        if let Ok(message) = HeaderValue::try_from(percent_encoded(&self.message)) {
            headers.insert(HeaderName::from_static("grpc-message"), message);
        }
        headers
    }
}

fn percent_encoded(message: &str) -> String {
    let encode = |byte: u8| match byte {
        b'%' | 0..b' ' | 0x7f.. => format!("%{byte:02X}"),
        _ => char::from(byte).to_string(),
    };
    message.bytes().map(encode).collect()
}

impl From<Refusal> for GrpcStatus {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unauthenticated(message) => GrpcCode::Unauthenticated.with(message),
            Refusal::PermissionDenied(message) => GrpcCode::PermissionDenied.with(message),
            Refusal::NotFound(message) => GrpcCode::NotFound.with(message),
            Refusal::InvalidArgument(message) => GrpcCode::InvalidArgument.with(message),
            Refusal::Unavailable(message) => GrpcCode::Unavailable.with(message),
        }
    }
}

impl From<FrameError> for GrpcStatus {
    fn from(error: FrameError) -> Self {
        let code = match error {
            FrameError::Compressed => GrpcCode::Unimplemented,
            FrameError::TooLarge { .. } => GrpcCode::ResourceExhausted,
            FrameError::Truncated => GrpcCode::InvalidArgument,
            FrameError::Lost => GrpcCode::Cancelled,
            FrameError::ResponseTooLarge { .. } => GrpcCode::Internal,
        };
        code.with(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_written_as_plainly_as_the_protocol_allows() {
        let check = |message: &str, expected: &str| {
            let headers = GrpcCode::NotFound.with(message).to_headers();
            assert_eq!(headers["grpc-status"], "5");
            assert_eq!(headers["grpc-message"], expected);
        };
        check("there is no mesh 'a'", "there is no mesh 'a'");
        check("100 %\r\n", "100 %25%0D%0A");
        check("für~\u{7f}", "f%C3%BCr~%7F");
        check("", "");
    }
}
