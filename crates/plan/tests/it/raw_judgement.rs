//! What is refused, and in which words.

use model::{Spec, Violation};
use plan::raw;
use serde_json::json;

/// What is said of a text; nothing is said of what is good.
pub(crate) fn said_of(text: &str) -> String {
    raw::read(text).err().map(|error| error.to_string()).unwrap_or_default()
}

pub(crate) const CLUSTER: &str =
    "'@type': type.googleapis.com/envoy.api.v2.Cluster\nname: c\nconnectTimeout: 5s\n";

pub(crate) const LISTENER: &str = "'@type': type.googleapis.com/envoy.config.listener.v3.Listener
name: l
address: {socket_address: {address: 127.0.0.1, port_value: 8001}}
";

fn check(beginning: &str, cases: &[(&str, &str)]) {
    for (rest, expected) in cases {
        assert_eq!(said_of(&format!("{beginning}{rest}")), *expected, "{rest}");
    }
}

#[test]
fn a_text_is_one_resource() {
    let blank = "is blank: it must be an Envoy resource in YAML or JSON, with its '@type'";
    let no_object = "must be an object with an '@type', which says which of Envoy's messages it is";
    check(
        "",
        &[
            ("", blank),
            ("   ", blank),
            ("null", blank),
            ("cluster", no_object),
            ("[]", no_object),
            ("5", no_object),
            ("a: b: c", "mapping values are not allowed in this context at line 1 column 5"),
            ("{\"a\": 1", "unclosed bracket '{' at line 1 column 1"),
            ("a: 1\n---\nb: 2", "only single YAML document expected but multiple found at line 3 column 1"),
        ],
    );
}

#[test]
fn a_resource_has_a_type_that_a_proxy_can_be_given() {
    let example = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
    let no_prefix = |name: &str| {
        format!(
            "@type: '{name}' is no type: it must be a prefix, a slash and the name of a message, as in {example}"
        )
    };
    let no_resource = |name: &str| {
        format!(
            "'{name}' is no resource that a proxy can be given; those are Listener, Cluster, ClusterLoadAssignment, \
             RouteConfiguration, Secret, TypedExtensionConfig, ScopedRouteConfiguration and VirtualHost"
        )
    };
    check(
        "",
        &[
            (
                "name: c",
                &format!(
                    "'@type' is missing: it says which of Envoy's messages this is, as in '@type': {example}"
                ),
            ),
            ("'@type': ''", &no_prefix("")),
            ("'@type': envoy.api.v2.Cluster", &no_prefix("envoy.api.v2.Cluster")),
            ("'@type': type.googleapis.com/", &no_prefix("type.googleapis.com/")),
            ("'@type': [a]", "@type: must be text, not a list"),
            (
                "'@type': type.googleapis.com/envoy.api.v2.Custer",
                "@type: Envoy has no type 'envoy.api.v2.Custer'; did you mean 'envoy.api.v2.Cluster'?",
            ),
            ("'@type': type.googleapis.com/acme.Thing", "@type: Envoy has no type 'acme.Thing'"),
            (
                "{'@type': type.googleapis.com/google.protobuf.Duration, value: 5s}",
                &no_resource("google.protobuf.Duration"),
            ),
            (
                "{'@type': type.googleapis.com/envoy.service.runtime.v3.Runtime, name: r}",
                &no_resource("envoy.service.runtime.v3.Runtime"),
            ),
            (
                "{'@type': type.googleapis.com/envoy.config.filter.network.tcp_proxy.v2.TcpProxy}",
                &no_resource("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"),
            ),
            (
                "{'@type': type.googleapis.com/envoy.config.listener.v3.Listener}",
                "name: must not be empty: a proxy asks by name",
            ),
        ],
    );
}

#[test]
fn a_field_is_known_and_given_once() {
    check(
        CLUSTER,
        &[
            ("foo: 1", "unknown field 'foo' of envoy.api.v2.Cluster"),
            (
                "maxRequestPerConnection: 1",
                "unknown field 'maxRequestPerConnection' of envoy.api.v2.Cluster; did you mean 'maxRequestsPerConnection'?",
            ),
            ("name: d", "duplicate mapping key `name` is not allowed here at line 4 column 1"),
            (
                "connect_timeout: 6s",
                "connect_timeout: is given twice, as 'connectTimeout' and as 'connect_timeout'",
            ),
            (
                "hosts: []\nloadAssignment: {clusterName: c}",
                "only one of 'loadAssignment' and 'hosts' can be given",
            ),
            (
                "metadata: {filterMetadata: {a: {foo: [1, {b: null}]}}, filter_metadata: null}",
                "metadata.filter_metadata: is given twice, as 'filterMetadata' and as 'filter_metadata'",
            ),
            (
                "clusterType: {name: x, typedConfig: {name: y}}",
                "clusterType.typedConfig: '@type' is missing: it says which of Envoy's messages this is, as in '@type': type.googleapis.com/envoy.config.cluster.v3.Cluster",
            ),
            ("type: EDS\nclusterType: {name: x}", "only one of 'type' and 'clusterType' can be given"),
        ],
    );
    let filter =
        |config: &str| format!("{LISTENER}filter_chains: {{filters: [{{name: f, typed_config: {config}}}]}}");
    for (config, expected) in [
        (
            "{'@type': type.googleapis.com/envoy.config.filter.network.tcp_proxy.v2.Nope}",
            "filter_chains.filters[0].typed_config.@type: Envoy has no type 'envoy.config.filter.network.tcp_proxy.v2.Nope'",
        ),
        (
            "{'@type': type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefx: s}",
            "filter_chains.filters[0].typed_config: unknown field 'stat_prefx' of \
             envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy; did you mean 'stat_prefix'?",
        ),
        (
            "{'@type': type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: s}",
            "filter_chains.filters[0].typed_config: must have one of 'cluster', 'weighted_clusters'",
        ),
        (
            "{'@type': a/google.protobuf.Duration, seconds: 5}",
            "filter_chains.filters[0].typed_config: must have '@type' and 'value' alone, as google.protobuf.Duration",
        ),
        ("{'@type': a/google.protobuf.Any, value: {'@type': a/google.protobuf.UInt32Value, value: 5}}", ""),
        (
            "5",
            "filter_chains.filters[0].typed_config: must be an object with an '@type', which says which of Envoy's messages it is",
        ),
    ] {
        assert_eq!(said_of(&filter(config)), expected, "{config}");
    }
}

#[test]
fn a_value_is_of_its_fields_type() {
    check(
        CLUSTER,
        &[
            ("maxRequestsPerConnection: '5'", ""),
            ("maxRequestsPerConnection: 5.0", ""),
            ("maxRequestsPerConnection: -5", "maxRequestsPerConnection: must be at least 0"),
            ("maxRequestsPerConnection: 4294967296", "maxRequestsPerConnection: must be at most 4294967295"),
            ("maxRequestsPerConnection: 1e300", "maxRequestsPerConnection: must be at most 4294967295"),
            ("maxRequestsPerConnection: 1.5", "maxRequestsPerConnection: must be a whole number"),
            ("maxRequestsPerConnection: many", "maxRequestsPerConnection: must be a whole number, not text"),
            ("maxRequestsPerConnection: null", ""),
            ("altStatName: 5", "altStatName: must be text, in quotes, not a number"),
            ("altStatName: yes", "altStatName: must be text, in quotes, not true or false"),
            ("altStatName: {}", "altStatName: must be text, not an object"),
            ("type: 0", ""),
            ("type: STRICT_DNS", ""),
            ("type: strict_dns", ""),
            ("type: '0'", ""),
            (
                "type: '77'",
                "type: '77' is no value: it must be one of STATIC, STRICT_DNS, LOGICAL_DNS, EDS, ORIGINAL_DST",
            ),
            (
                "type: STRICTDNS",
                "type: 'STRICTDNS' is no value: it must be a value of envoy.api.v2.Cluster.DiscoveryType; did you mean 'STRICT_DNS'?",
            ),
            ("type: 77", "type: must be one of STATIC, STRICT_DNS, LOGICAL_DNS, EDS, ORIGINAL_DST"),
            ("cleanupInterval: 0.25s", ""),
            ("cleanupInterval: {seconds: 5, nanos: 250}", ""),
            (
                "cleanupInterval: {seconds: 5, nanos: -1}",
                "cleanupInterval: must be a duration such as 5s or 0.25s, not an object",
            ),
            (
                "cleanupInterval: {minutes: 5}",
                "cleanupInterval: must be a duration such as 5s or 0.25s, not an object",
            ),
            ("cleanupInterval: {seconds: x}", "cleanupInterval.seconds: must be a whole number, not text"),
            ("maxRequestsPerConnection: {value: 5}", ""),
            (
                "maxRequestsPerConnection: {valve: 5}",
                "maxRequestsPerConnection: must be a plain value, not an object",
            ),
            ("cleanupInterval: 5", "cleanupInterval: must be a duration such as 5s or 0.25s, not a number"),
            ("cleanupInterval: 5ms", "cleanupInterval: must be a duration such as 5s or 0.25s, not text"),
            (
                "cleanupInterval: 400000000000s",
                "cleanupInterval: must be at most 315576000000s, which is 10,000 years",
            ),
            ("respectDnsTtl: 'true'", "respectDnsTtl: must be true or false, not text"),
            ("hosts: [[]]", "hosts[0]: must be an object, not a list"),
            ("dnsResolvers: {pipe: {path: /a, mode: -1}}", "dnsResolvers.pipe.mode: must be at least 0"),
            (
                "metadata: {filterMetadata: {'a b': 5}}",
                "metadata.filterMetadata[\"a b\"]: must be an object, not a number",
            ),
            (
                "commonLbConfig: {healthyPanicThreshold: {value: NaN}}",
                "commonLbConfig.healthyPanicThreshold.value: must be at most 100",
            ),
            (
                "tlsContext: {commonTlsContext: {tlsCertificates: {privateKey: {inlineBytes: 'a!'}}}}",
                "tlsContext.commonTlsContext.tlsCertificates.privateKey.inlineBytes: must be text in base64",
            ),
            ("tlsContext: {commonTlsContext: {tlsCertificates: {privateKey: {inlineBytes: '-_8'}}}}", ""),
        ],
    );
}

#[test]
fn envoys_own_rules_hold() {
    let port = "loadAssignment: {clusterName: c, endpoints: [{lbEndpoints: [{endpoint: {address: {socketAddress: {address: 127.0.0.1, portValue: 70000}}}}]}]}";
    check(
        CLUSTER,
        &[
            (
                port,
                "loadAssignment.endpoints[0].lbEndpoints[0].endpoint.address.socketAddress.portValue: must be at most 65535",
            ),
            ("loadAssignment: {}", "loadAssignment.clusterName: must not be empty"),
            ("loadAssignment: {cluster_name: ''}", "loadAssignment.cluster_name: must not be empty"),
            (
                "hosts: {socketAddress: {address: a}}",
                "hosts.socketAddress: must have one of 'portValue', 'namedPort'",
            ),
            ("cleanupInterval: 0s", "cleanupInterval: must be greater than 0s"),
            ("healthChecks: {timeout: 1s}", "healthChecks.interval: is required"),
            (
                "lbSubsetConfig: {subsetSelectors: {keys: []}, fallbackPolicy: 9}",
                "lbSubsetConfig.fallbackPolicy: must be one of NO_FALLBACK, ANY_ENDPOINT, DEFAULT_SUBSET",
            ),
            ("upstreamBindConfig: {}", ""),
        ],
    );
    check(
        "'@type': type.googleapis.com/envoy.api.v2.RouteConfiguration\nname: r\n",
        &[
            ("virtualHosts: {name: h}", "virtualHosts.domains: must not be empty"),
            (
                "virtualHosts: {name: h, domains: '*', routes: {match: {regex: ''}, route: {cluster: c}}}",
                "virtualHosts.routes.match.regex: must not be empty",
            ),
            (
                &format!(
                    "virtualHosts: {{name: h, domains: '*', routes: {{match: {{regex: {}}}}}}}",
                    "a".repeat(1025)
                ),
                "virtualHosts.routes.match.regex: must have at most 1024 bytes",
            ),
            (
                "requestHeadersToAdd: {header: {key: \"a\\nb\", value: c}}",
                "requestHeadersToAdd.header.key: must be on one line, without NUL characters",
            ),
            (
                "virtualHosts: {name: h, domains: '*', routes: {match: {prefix: /}, directResponse: {status: 600}}}",
                "virtualHosts.routes.directResponse.status: must be less than 600",
            ),
            (
                "virtualHosts: [{name: h, domains: [a]}, {domains: [b]}]",
                "virtualHosts[1].name: must not be empty",
            ),
        ],
    );
    let connect_timeout = "'@type': type.googleapis.com/envoy.api.v2.Cluster\nname: c\nconnectTimeout: -1s\n";
    assert_eq!(said_of(connect_timeout), "connectTimeout: must be greater than 0s");
    assert_eq!(
        said_of("{'@type': type.googleapis.com/envoy.config.cluster.v3.Cluster, connectTimeout: 5s}"),
        "name: must not be empty"
    );
}

#[test]
fn a_template_is_checked_with_its_raw_resources() {
    let raw = |resource: &str| json!({ "name": "n", "version": "v", "resource": resource });
    let conf = json!({ "imports": ["x"], "resources": [raw(CLUSTER), raw("name: c"), raw("")] });
    let template = serde_json::from_value(json!({ "conf": conf })).unwrap();
    let violations: Vec<_> = plan::check(&Spec::ProxyTemplate(template)).into_iter().collect();
    let violation = |field: &str, message: &str| Violation { field: field.into(), message: message.into() };
    assert_eq!(
        violations,
        [
            violation("conf.imports[0]", "profile not found. Available profiles: default-proxy"),
            violation(
                "conf.resources[1].resource",
                "native Envoy resource is not valid: '@type' is missing: it says which of Envoy's messages this is, \
                 as in '@type': type.googleapis.com/envoy.config.cluster.v3.Cluster",
            ),
            violation("conf.resources[2].resource", "cannot be empty"),
        ]
    );
    let route = serde_json::from_value(json!({ "sources": [] })).unwrap();
    let route = Spec::TrafficRoute(route);
    assert_eq!(plan::check(&route), route.validate());
}

/// As recorded of it, apart from what the control plane does better.
#[test]
fn what_kuma_took_is_taken_and_what_it_refused_is_refused() {
    let cluster = "'@type': type.googleapis.com/envoy.api.v2.Cluster\nname: c\n";
    let listener = "'@type': type.googleapis.com/envoy.api.v2.Listener\nname: l\naddress:\n  socketAddress: {address: 127.0.0.1, portValue: 8001}\n";
    let assignment = "'@type': type.googleapis.com/envoy.api.v2.ClusterLoadAssignment\n";
    for (beginning, rest) in [
        (cluster, "connectTimeout: 5s\ntype: STATIC\n"),
        (cluster, "connectTimeout: 0.25s\n# end\n"),
        (cluster, "connectTimeout: 5s\ntype: 0\n"),
        (cluster, "connectTimeout: 5s\nmaxRequestsPerConnection: '5'\n"),
        (cluster, "connectTimeout: 5s\nhosts:\n- socketAddress: {address: 127.0.0.1, portValue: 8443}\n"),
        (listener, "filterChains: []\n"),
        (
            listener,
            "filterChains:\n- filters:\n  - name: envoy.tcp_proxy\n    config: {stat_prefix: s, cluster: c}\n",
        ),
        (
            "# mine\n\n",
            "{\"@type\":\"type.googleapis.com/envoy.api.v2.Cluster\",\"name\":\"c\",\"connectTimeout\":\"1s\"}",
        ),
        (assignment, "clusterName: c"),
    ] {
        assert_eq!(said_of(&format!("{beginning}{rest}")), "", "{rest}");
    }
    for (beginning, rest) in [
        (cluster, "connectTimeout: -1s\n"),
        (cluster, "connectTimeout: 5s\nmaxRequestsPerConnection: -5\n"),
        (cluster, "connectTimeout: 5s\nmaxRequestsPerConnection: 1.5\n"),
        (
            listener,
            "filterChains: {filters: {name: x, typedConfig: {'@type': a/envoy.config.filter.network.tcp_proxy.v2.Nope}}}",
        ),
        (assignment, "clusterName: ''"),
    ] {
        assert_ne!(said_of(&format!("{beginning}{rest}")), "", "{rest}");
    }
}
