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
    let cases = [
        (Kind::Mesh, "/type", json!("Dataplane"), "/type: is not \"Mesh\""),
        (Kind::Mesh, "/mesh", json!("mesh-1"), "/mesh: is not in the schema"),
        (Kind::Mesh, "/mtls/enabeld", json!(true), "/mtls/enabeld: is not in the schema"),
        (Kind::Mesh, "/mtls/enabled", json!("true"), "/mtls/enabled: is not of type \"boolean\""),
        (
            Kind::Mesh,
            "/logging/backends/0/tcp",
            json!({"address": "h:1"}),
            "/logging/backends/0: matches 2 of oneOf",
        ),
        (Kind::Dataplane, "/name", json!(""), "/name: is too short"),
        (Kind::Dataplane, "/networking", json!({}), "/networking: lacks \"inbound\""),
        (Kind::Dataplane, "/networking/inbound", json!([]), "/networking/inbound: has too few items"),
        (
            Kind::Dataplane,
            "/networking/inbound/0/tags",
            json!({}),
            "/networking/inbound/0/tags: lacks \"service\"",
        ),
        (Kind::ProxyTemplate, "/conf/imports", json!(["other"]), "/conf/imports/0: is not in the enum"),
        (Kind::TrafficPermission, "/sources", json!([]), "/sources: has too few items"),
        (Kind::TrafficLog, "/conf/backend", json!(1), "/conf/backend: is not of type \"string\""),
        (
            Kind::TrafficRoute,
            "/conf/0/weight",
            json!(4_294_967_296_u64),
            "/conf/0/weight: is above the maximum",
        ),
        (Kind::TrafficRoute, "/conf/0/weight", json!(-1), "/conf/0/weight: is below the minimum"),
        (
            Kind::TrafficRoute,
            "/destinations/0/match/version",
            json!("1"),
            "/destinations/0/match: has too many properties",
        ),
    ];
    for (kind, path, value, expected) in cases {
        let (_, _, _, mut body) = documented().into_iter().find(|(of, ..)| *of == kind).unwrap();
        put(&mut body, path, value);
        assert_eq!(faults(&kind.schema(), &body), [expected], "{path}");
    }
}

/// A body that has every field there is. A new field fails the test of whoever forgets it in the schema or here.
#[test]
fn every_field_of_a_type_is_in_its_schema_and_no_other() {
    let bodies = [
        (
            Kind::Mesh,
            json!({
                "type": "Mesh", "name": "m", "mtls": {"enabled": true, "ca": {"builtin": {}}},
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
                    "inbound": [{"interface": "10.0.0.1:80:80", "tags": {}}],
                    "outbound": [{"interface": ":1", "service": "b", "servicePort": 1}],
                    "transparentProxying": {"redirectPort": 1},
                },
            }),
        ),
        (
            Kind::ProxyTemplate,
            json!({
                "type": "ProxyTemplate", "name": "t", "mesh": "m", "selectors": [{"match": {}}],
                "conf": {"imports": ["x"], "resources": [{"name": "n", "version": "v", "resource": "r"}]},
            }),
        ),
        (
            Kind::TrafficPermission,
            json!({
                "type": "TrafficPermission", "name": "p", "mesh": "m", "sources": [{"match": {}}],
                "destinations": [{"match": {}}],
            }),
        ),
        (
            Kind::TrafficLog,
            json!({
                "type": "TrafficLog", "name": "l", "mesh": "m", "sources": [{"match": {}}],
                "destinations": [{"match": {}}], "conf": {"backend": "b"},
            }),
        ),
        (
            Kind::TrafficRoute,
            json!({
                "type": "TrafficRoute", "name": "r", "mesh": "m", "sources": [{"match": {}}],
                "destinations": [{"match": {}}], "conf": [{"weight": 1, "destination": {}}],
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

/// Judges a value by those keywords of JSON Schema that the schemas use. Patterns and formats are left to their readers.
fn faults(schema: &Value, value: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    judge(schema, value, "", &mut faults);
    faults
}

fn judge(schema: &Value, value: &Value, path: &str, faults: &mut Vec<String>) {
    for (keyword, wanted) in schema.as_object().unwrap() {
        let fault = match keyword.as_str() {
            "title" | "description" | "pattern" | "format" => None,
            "enum" => (!wanted.as_array().unwrap().contains(value)).then(|| "is not in the enum".to_owned()),
            "const" => (value != wanted).then(|| format!("is not {wanted}")),
            "type" => {
                (!is_of_type(value, wanted.as_str().unwrap())).then(|| format!("is not of type {wanted}"))
            }
            "minimum" => (value.as_i64() < wanted.as_i64()).then(|| "is below the minimum".to_owned()),
            "maximum" => (value.as_i64() > wanted.as_i64()).then(|| "is above the maximum".to_owned()),
            "minLength" => (characters(value) < wanted.as_u64()).then(|| "is too short".to_owned()),
            "maxLength" => (characters(value) > wanted.as_u64()).then(|| "is too long".to_owned()),
            "minItems" => (size(value) < wanted.as_u64()).then(|| "has too few items".to_owned()),
            "maxProperties" => (size(value) > wanted.as_u64()).then(|| "has too many properties".to_owned()),
            "required" => wanted
                .as_array()
                .unwrap()
                .iter()
                .find(|name| value.get(name.as_str().unwrap()).is_none())
                .map(|name| format!("lacks {name}")),
            "oneOf" => {
                let matching =
                    wanted.as_array().unwrap().iter().filter(|one| self::faults(one, value).is_empty());
                let matching = matching.count();
                (matching != 1).then(|| format!("matches {matching} of oneOf"))
            }
            "items" => {
                for (i, item) in value.as_array().into_iter().flatten().enumerate() {
                    judge(wanted, item, &format!("{path}/{i}"), faults);
                }
                None
            }
            "properties" => {
                for (name, schema) in wanted.as_object().unwrap() {
                    if let Some(value) = value.get(name) {
                        judge(schema, value, &format!("{path}/{name}"), faults);
                    }
                }
                None
            }
            "additionalProperties" => {
                judge_additional(schema, wanted, value, path, faults);
                None
            }
            other => panic!("the keyword {other} is not understood here"),
        };
        faults.extend(fault.map(|fault| format!("{path}: {fault}")));
    }
}

fn judge_additional(schema: &Value, wanted: &Value, value: &Value, path: &str, faults: &mut Vec<String>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        let path = format!("{path}/{name}");
        if schema.get("properties").is_some_and(|properties| properties.get(name).is_some()) {
            continue;
        }
        match wanted {
            Value::Bool(false) => faults.push(format!("{path}: is not in the schema")),
            wanted => judge(wanted, value, &path, faults),
        }
    }
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        other => panic!("the type {other} is not understood here"),
    }
}

fn characters(value: &Value) -> Option<u64> {
    value.as_str().map(|text| text.chars().count() as u64)
}

fn size(value: &Value) -> Option<u64> {
    value.as_array().map(Vec::len).or(value.as_object().map(serde_json::Map::len)).map(|size| size as u64)
}
