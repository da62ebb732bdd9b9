use super::*;

fn refused(format: &str, expected: &str) {
    let error = parse(format).expect_err(format);
    assert_eq!(error.to_string(), expected, "{format}");
}

#[test]
fn a_format_is_cut_at_kuma_s_placeholders() {
    use Placeholder::{Mesh, SourceService};
    for (format, expected) in [
        ("", vec![]),
        ("text\n", vec![Segment::Envoy("text\n")]),
        ("%KUMA_MESH%", vec![Segment::Kuma(Mesh)]),
        (
            "é %START_TIME% %KUMA_SOURCE_SERVICE%->%KUMA_MESH%%BYTES_SENT%",
            vec![
                Segment::Envoy("é %START_TIME% "),
                Segment::Kuma(SourceService),
                Segment::Envoy("->"),
                Segment::Kuma(Mesh),
                Segment::Envoy("%BYTES_SENT%"),
            ],
        ),
        ("100%%KUMA_MESH%%", vec![Segment::Envoy("100%%KUMA_MESH%%")]),
        ("%%%KUMA_MESH%", vec![Segment::Envoy("%%"), Segment::Kuma(Mesh)]),
    ] {
        assert_eq!(parse(format), Ok(expected), "{format}");
    }
}

#[test]
fn operators_are_read_as_envoy_reads_them() {
    for format in [
        "%START_TIME()%",
        "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
        "%REQ(:authority)%",
        "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH):100%",
        "%REQ(a%b)%",
        "%FILTER_STATE(key)% %FILTER_STATE(key:PLAIN):3% %FILTER_STATE(key:FIELD:x)%",
        "%METADATA(ROUTE:a:b)%",
        "%PATH% %PATH:3% %PATH(NQ)% %PATH(:ORIG)%",
        "%REQUESTED_SERVER_NAME(HOST_FIRST:ORIG_OR_HOST)%",
        "%COMMON_DURATION(a:b)% %COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%",
        "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(16)%",
        "%GRPC_STATUS(NUMBER)%",
    ] {
        assert_eq!(parse(format), Ok(vec![Segment::Envoy(format)]));
    }
}

#[test]
fn a_percent_sign_that_begins_nothing_is_refused() {
    for (format, character) in [
        ("%", 1),
        ("é100%", 5),
        ("%%%", 3),
        ("100% of %START_TIME%", 4),
        ("%START_TIME", 1),
        ("%START_TIME%%", 13),
        ("%start_time%", 1),
        ("%%%START_TIME(%Y%", 3),
        ("%REQ(a\nb)%", 1),
        ("%REQ(a):%", 1),
        ("%REQ(a):18446744073709551616%", 1),
        ("%(x)%", 1),
    ] {
        let error = LogFormatError { character, fault: LogFormatFault::SinglePercent };
        assert_eq!(parse(format), Err(error), "{format}");
    }
    refused(
        "100% sure",
        "has a \"%\" at character 4 that begins no placeholder: write \"%%\" for a percent sign",
    );
}

#[test]
fn what_envoy_would_refuse_is_refused_with_a_reason() {
    for (format, expected) in [
        (
            "%KUMA_SOURCE_SERVCE%",
            "has an unknown placeholder %KUMA_SOURCE_SERVCE% at character 1: did you mean %KUMA_SOURCE_SERVICE%?",
        ),
        (
            "é %BYTES_SEND%",
            "has an unknown placeholder %BYTES_SEND% at character 3: did you mean %BYTES_SENT%?",
        ),
        (
            "%FOO%",
            "has an unknown placeholder %FOO% at character 1: use Kuma's %KUMA_…% and the operators of Envoy's access logs",
        ),
        (
            "%CEL(response.code)%",
            "has %CEL(…)% at character 1, which is not supported: a fault in its argument would cost the proxy its listener",
        ),
        ("%KUMA_MESH(x)%", "has %KUMA_MESH(…)% at character 1, but %KUMA_MESH% takes no argument"),
        ("%BYTES_SENT(x)%", "has %BYTES_SENT(…)% at character 1, but %BYTES_SENT% takes no argument"),
        (
            "%KUMA_MESH:5%",
            "has %KUMA_MESH:…% at character 1, but the value of %KUMA_MESH% cannot be cut to a length",
        ),
        (
            "%START_TIME(%Y):4%",
            "has %START_TIME:…% at character 1, but the value of %START_TIME% cannot be cut to a length",
        ),
        ("%REQ()%", "has %REQ% at character 1 without the argument that it needs: %REQ(…)%"),
        (
            "%REQ(a?b?c)%",
            "has %REQ(a?b?c)% at character 1, but the argument has to be a header's name, or two as in X?Y",
        ),
        (
            "%RESP(a b)%",
            "has %RESP(a b)% at character 1, but the argument has to be a header's name, or two as in X?Y",
        ),
        (
            "%REQ(:)%",
            "has %REQ(:)% at character 1, but the argument has to be a header's name, or two as in X?Y",
        ),
        (
            "%START_TIME(%-n)%",
            "has %START_TIME(%-n)% at character 1, but the argument has to be a format of strftime without %n",
        ),
        (
            "%FILTER_STATE(a:FIELD)%",
            "has %FILTER_STATE(a:FIELD)% at character 1, but the argument has to be KEY, KEY:PLAIN, KEY:TYPED or KEY:FIELD:NAME",
        ),
    ] {
        refused(format, expected);
    }
}

#[test]
fn what_an_older_envoy_may_not_know_is_found() {
    for (format, expected) in [
        ("%START_TIME% 100%% %SPAN_ID%", Some("SPAN_ID")),
        ("%%SPAN_ID%%", None),
        ("%REQUESTED_SERVER_NAME% %KUMA_MESH%", None),
        ("%REQUESTED_SERVER_NAME(SNI_FIRST)%", Some("REQUESTED_SERVER_NAME")),
        ("%REQ(a%b)% %LISTENER_NAME%", Some("LISTENER_NAME")),
        ("%", None),
        ("", None),
    ] {
        assert_eq!(new_operator(format), expected, "{format}");
    }
    let known: Vec<_> = Operator::names().collect();
    let listed = operators::NEW.iter().chain(operators::WITH_NEW_ARGUMENT);
    for name in listed {
        assert!(known.contains(name), "{name} is no operator");
    }
}

#[test]
fn no_name_is_twice_in_the_table() {
    let names: Vec<_> = Operator::names().chain(operators::PROGRAMS.iter().copied()).collect();
    let distinct: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(names.len(), distinct.len());
}

proptest::proptest! {
    #[test]
    fn the_segments_together_are_the_format(format in "(%%|%START_TIME%|%KUMA_MESH%|[a%é ]){0,8}") {
        if let Ok(segments) = parse(&format) {
            let text = |segment: &Segment| match *segment {
                Segment::Envoy(text) => text.to_owned(),
                Segment::Kuma(wanted) => {
                    let (name, _) = Placeholder::ALL.iter().find(|(_, known)| *known == wanted).unwrap();
                    format!("%{name}%")
                }
            };
            assert_eq!(segments.iter().map(text).collect::<String>(), format);
        }
    }
}
