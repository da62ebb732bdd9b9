//! The texts within a resource that have a grammar of their own.

use model::{
    InboundInterface, OutboundInterface, ProxyId, Selector, Tags, Timestamp,
    log_format::{self, Segment},
    matches,
};

use crate::{Target, wording::assert_fit_to_be_shown};

pub(crate) const LOG_FORMAT: Target = Target {
    name: "log_format",
    check: log_format,
    seeds: &[
        "[%START_TIME%] %KUMA_SOURCE_SERVICE%->%KUMA_DESTINATION_SERVICE% 100%%\n",
        "%REQ(X-FORWARDED-FOR?:AUTHORITY):10% %DYNAMIC_METADATA(a:b:c)%",
        "%START_TIME(%Y/%m/%dT%H:%M:%S%z %s)% %UPSTREAM_HOST% %BYTES_SENT%",
        "%KUMA_SOURCE_ADDRESS_WITHOUT_PORT% %KUMA_MESH% %KUMA_ZONE% %TRAILER(grpc-status)%",
    ],
};

pub(crate) const INTERFACE: Target = Target {
    name: "interface",
    check: interface,
    seeds: &[
        "127.0.0.1:11011:11012",
        "0.0.0.0:00080:080",
        ":9090",
        "10.0.0.1:80",
        "010.0.0.1:80:80",
        "::1:80:80",
    ],
};

pub(crate) const SELECTOR: Target = Target {
    name: "selector",
    check: selector,
    seeds: &[
        r#"[{"service":"web","version":"*"},{"service":"web","version":"1"}]"#,
        r#"[{},{"service":"a"}]"#,
        r#"[{"service":"*"},{"service":""}]"#,
    ],
};

pub(crate) const TIMESTAMP: Target = Target {
    name: "timestamp",
    check: timestamp,
    seeds: &[
        "2019-10-24T14:04:56.820350Z",
        "2020-02-29t23:59:59.000000001+23:59",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999999-00:01",
    ],
};

pub(crate) const PROXY_ID: Target = Target {
    name: "proxy_id",
    check: proxy_id,
    seeds: &["default.web-1", "default.web-1.default", "a.b.c", "."],
};

/// The segments are the whole of a format: nothing that was written is lost or judged twice.
fn log_format(input: &[u8]) {
    let Ok(format) = std::str::from_utf8(input) else { return };
    match log_format::parse(format) {
        Ok(segments) => {
            let mut rest = format;
            for segment in segments {
                rest = match segment {
                    Segment::Envoy(text) => rest.strip_prefix(text).expect("a segment is of the format"),
                    Segment::Kuma(_) => {
                        let rest = rest.strip_prefix("%KUMA_").expect("a placeholder begins here");
                        rest.split_once('%').expect("a placeholder ends").1
                    }
                };
            }
            assert_eq!(rest, "", "{format:?}");
        }
        Err(error) => assert_fit_to_be_shown(&error.to_string(), input),
    }
}

/// What is read is written back so that it reads as the same.
fn interface(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Some(inbound) = InboundInterface::parse(text) {
        let printed = format!("{}:{}", inbound.dataplane_address(), inbound.workload_port);
        assert_eq!(InboundInterface::parse(&printed), Some(inbound), "{text}");
    }
    if let Some(outbound) = OutboundInterface::parse(text) {
        assert_eq!(OutboundInterface::parse(&outbound.address().to_string()), Some(outbound), "{text}");
    }
}

/// Matching is monotonic: another tag on what is matched takes nothing away, another wish finds no more.
fn selector(input: &[u8]) {
    let Ok((wanted, tags)) = serde_json::from_slice::<(Tags, Tags)>(input) else { return };
    let selector = Selector { tags: Some(wanted.clone()) };
    let is_match = selector.matches(&tags);
    assert_eq!(is_match, matches(&wanted, &tags));
    assert!(matches(&tags, &tags) && matches(&Tags::new(), &tags));
    let mut more = tags.clone();
    more.entry("another tag".to_owned()).or_default();
    assert!(!is_match || matches(&wanted, &more));
    let rank = selector.rank();
    assert!(rank.exact <= rank.tags && rank.tags == wanted.len());
    let absent = wanted.keys().any(|key| !tags.contains_key(key));
    assert!(!(absent && is_match));
}

/// Printed in UTC, a time is the same time.
fn timestamp(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match text.parse::<Timestamp>() {
        Ok(time) => assert_eq!(time.to_string().parse(), Ok(time), "{text}"),
        Err(error) => assert_fit_to_be_shown(&error.to_string(), input),
    }
}

/// The id of a proxy is never read as another one's.
fn proxy_id(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match text.parse::<ProxyId>() {
        Ok(id) => {
            assert!(!id.mesh.contains('.') && !id.mesh.is_empty() && !id.name.is_empty());
            let printed = id.to_string();
            assert!(text == printed || text == format!("{printed}.default"), "{text}");
        }
        Err(error) => assert_fit_to_be_shown(&error.to_string(), input),
    }
}
