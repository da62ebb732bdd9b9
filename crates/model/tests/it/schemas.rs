//! The schemas against real bodies: they allow what is answered and name every field of it.

use std::collections::BTreeSet;

use model::{DataplaneInsight, Kind};
use serde_json::{Value, json};

use crate::documents::documented;

#[test]
fn what_the_documentation_writes_is_allowed() {
    for (kind, _, _, body) in documented() {
        assert_eq!(faults(&kind.schema(), &body), Vec::<String>::new(), "{kind:?}");
    }
}

#[test]
fn what_is_wrong_is_not_allowed() {
    let two_places = json!({"name": "b", "file": {"path": "/b"}, "tcp": {"address": "h:1"}});
    let cases = [
        (Kind::Mesh, "/type", json!("Dataplane"), "/type: \"Mesh\" was expected"),
        (
            Kind::Mesh,
            "/mesh",
            json!("mesh-1"),
            ": Additional properties are not allowed ('mesh' was unexpected)",
        ),
        (
            Kind::Mesh,
            "/mtls/enabeld",
            json!(true),
            "/mtls: Additional properties are not allowed ('enabeld' was unexpected)",
        ),
        (Kind::Mesh, "/mtls/enabled", json!("true"), "/mtls/enabled: \"true\" is not of type \"boolean\""),
        (
            Kind::Mesh,
            "/logging/backends",
            json!([two_places]),
            "/logging/backends/0: {\"file\":{\"path\":\"/b\"},\"name\":\"b\",\"tcp\":{\"address\":\"h:1\"}} is valid \
             under more than one of the schemas listed in the 'oneOf' keyword",
        ),
        (Kind::Dataplane, "/name", json!("Web"), "/name: \"Web\" does not match \"^[0-9a-z_-]+$\""),
        (Kind::Dataplane, "/networking", json!({}), "/networking: \"inbound\" is a required property"),
        (Kind::Dataplane, "/networking/inbound", json!([]), "/networking/inbound: [] has less than 1 item"),
        (
            Kind::Dataplane,
            "/networking/inbound/0/tags",
            json!({}),
            "/networking/inbound/0/tags: \"service\" is a required property",
        ),
        (
            Kind::Dataplane,
            "/networking/inbound/0/tags/service",
            json!(""),
            "/networking/inbound/0/tags/service: \"\" is shorter than 1 character",
        ),
        (
            Kind::ProxyTemplate,
            "/conf/imports",
            json!(["other"]),
            "/conf/imports/0: \"other\" is not one of \"default-proxy\"",
        ),
        (Kind::TrafficPermission, "/sources", json!([]), "/sources: [] has less than 1 item"),
        (Kind::TrafficLog, "/conf/backend", json!(1), "/conf/backend: 1 is not of type \"string\""),
        (
            Kind::TrafficRoute,
            "/conf/0/weight",
            json!(4_294_967_296_u64),
            "/conf/0/weight: 4294967296 is greater than the maximum of 4294967295",
        ),
        (Kind::TrafficRoute, "/conf/0/weight", json!(-1), "/conf/0/weight: -1 is less than the minimum of 0"),
        (
            Kind::TrafficRoute,
            "/destinations/0/match/version",
            json!("1"),
            "/destinations/0/match: {\"service\":\"backend\",\"version\":\"1\"} has more than 1 property",
        ),
    ];
    for (kind, path, value, expected) in cases {
        let (_, _, _, mut body) = documented().into_iter().find(|(of, ..)| *of == kind).unwrap();
        put(&mut body, path, value);
        assert_eq!(faults(&kind.schema(), &body), [expected], "{path}");
    }
}

#[test]
fn a_name_has_1_to_253_characters() {
    for (length, is_allowed) in [(0, false), (1, true), (253, true), (254, false)] {
        let mut body = Kind::Dataplane.example();
        body["name"] = json!("x".repeat(length));
        assert_eq!(faults(&Kind::Dataplane.schema(), &body).is_empty(), is_allowed, "{length}");
    }
}

/// A body that has every field there is. A new field fails the test of whoever forgets it in the schema or here.
#[test]
fn every_field_of_a_type_is_in_its_schema_and_no_other() {
    let bodies = [
        (
            Kind::Mesh,
            json!({
                "type": "Mesh", "name": "m", "mtls": {"enabled": true, "permissive": true, "ca": {"builtin": {}}},
                "tracing": {"zipkin": {"address": "h:1"}},
                "logging": {"defaultBackend": "a", "backends": [
                    {"name": "a", "format": "x", "file": {"path": "/x"}, "tcp": {"address": "h:1"}},
                ]},
            }),
        ),
        (
            Kind::Dataplane,
            json!({
                "type": "Dataplane", "name": "web", "mesh": "m",
                "networking": {
                    "inbound": [{"interface": "10.0.0.1:80:80", "tags": {"service": "s"}}],
                    "outbound": [{"interface": ":1", "service": "b", "servicePort": 1}],
                    "transparentProxying": {"redirectPort": 1},
                },
            }),
        ),
        (
            Kind::ProxyTemplate,
            json!({
                "type": "ProxyTemplate", "name": "t", "mesh": "m", "selectors": [{"match": {"service": "s"}}],
                "conf": {"imports": ["x"], "resources": [{"name": "n", "version": "v", "resource": "r"}]},
            }),
        ),
        (
            Kind::TrafficPermission,
            json!({
                "type": "TrafficPermission", "name": "p", "mesh": "m", "sources": [{"match": {"service": "s"}}],
                "destinations": [{"match": {"service": "s"}}],
            }),
        ),
        (
            Kind::TrafficLog,
            json!({
                "type": "TrafficLog", "name": "l", "mesh": "m", "sources": [{"match": {"service": "s"}}],
                "destinations": [{"match": {"service": "s"}}], "conf": {"backend": "b"},
            }),
        ),
        (
            Kind::TrafficRoute,
            json!({
                "type": "TrafficRoute", "name": "r", "mesh": "m", "sources": [{"match": {"service": "s"}}],
                "destinations": [{"match": {"service": "s"}}], "conf": [{"weight": 1, "destination": {"service": "s"}}],
            }),
        ),
    ];
    assert_eq!(bodies.each_ref().map(|(kind, _)| *kind), Kind::ALL);
    for (kind, body) in bodies {
        let spec = kind.read_document(&body).unwrap().spec;
        let envelope = BTreeSet::from(["/type", "/name", "/mesh"].map(str::to_owned));
        let printed = fields_of_body(&serde_json::to_value(&spec).unwrap());
        let of_spec = &fields_of_schema(&kind.schema()) - &envelope;
        assert_eq!(printed, of_spec, "{kind:?}");
        assert_eq!(&fields_of_body(&body) - &envelope, of_spec, "{kind:?}");
    }
}

#[test]
fn every_field_of_an_insight_is_in_its_schema_and_no_other() {
    let stats = json!({"responsesSent": "1", "responsesAcknowledged": "1", "responsesRejected": "1"});
    let time = "2019-10-24T14:04:56Z";
    let body = json!({"subscriptions": [{
        "id": "1", "controlPlaneInstanceId": "2", "connectTime": time, "disconnectTime": time,
        "status": {"lastUpdateTime": time, "total": stats, "cds": stats, "eds": stats, "lds": stats, "rds": stats},
    }]});
    let schema = DataplaneInsight::schema();
    assert_eq!(faults(&schema, &body), Vec::<String>::new());
    let insight: DataplaneInsight = serde_json::from_value(body).unwrap();
    assert_eq!(fields_of_body(&serde_json::to_value(insight).unwrap()), fields_of_schema(&schema));
}

fn put(body: &mut Value, path: &str, value: Value) {
    let (parent, field) = path.rsplit_once('/').unwrap();
    body.pointer_mut(parent).unwrap()[field] = value;
}

/// Paths of all fields; the items of a list share theirs with the list.
fn fields_of_body(body: &Value) -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    collect(body, "", &mut fields);
    fields
}

fn collect(value: &Value, path: &str, fields: &mut BTreeSet<String>) {
    for item in value.as_array().into_iter().flatten() {
        collect(item, path, fields);
    }
    for (name, value) in value.as_object().into_iter().flatten() {
        let path = format!("{path}/{name}");
        collect(value, &path, fields);
        fields.insert(path);
    }
}

fn fields_of_schema(schema: &Value) -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    collect_schema(schema, "", &mut fields);
    fields
}

fn collect_schema(schema: &Value, path: &str, fields: &mut BTreeSet<String>) {
    if let Some(items) = schema.get("items") {
        collect_schema(items, path, fields);
    }
    for (name, schema) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let path = format!("{path}/{name}");
        collect_schema(schema, &path, fields);
        fields.insert(path);
    }
}

/// What the value has against the schema, each with its path.
fn faults(schema: &Value, value: &Value) -> Vec<String> {
    let options = jsonschema::draft202012::options().should_validate_formats(true);
    let validator = options.build(schema).expect("a kind's schema is one");
    validator.iter_errors(value).map(|fault| format!("{}: {fault}", fault.instance_path())).collect()
}
