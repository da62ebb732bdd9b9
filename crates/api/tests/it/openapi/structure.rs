//! Whether the document is one, by the rules of OpenAPI 3.1.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::contract::{Contract, array, object};
use crate::{
    client::{ask, get},
    server::Server,
};

async fn contract() -> Contract {
    let server = Server::start().await;
    let contract = Contract::fetch(&server).await;
    server.stop().await;
    contract
}

#[tokio::test]
async fn it_says_whose_it_is() {
    let document = contract().await.document;
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], "1.2.3");
    assert_eq!(document["info"]["license"]["identifier"], "Apache-2.0");
}

#[tokio::test]
async fn it_is_the_same_in_yaml_and_whenever_it_is_asked_for() {
    let server = Server::start().await;
    let first = get(server.address, "/openapi.json").await;
    let accept = [("accept".to_owned(), "application/yaml".to_owned())];
    let yaml = ask(server.address, "GET /openapi.json", &accept, None).await;
    let in_yaml: Value = serde_saphyr::from_str(&yaml.body).expect("it is YAML");
    assert_eq!(in_yaml, first.json());
    server.stop().await;

    let another = Server::start().await;
    assert_eq!(get(another.address, "/openapi.json").await.body, first.body);
    another.stop().await;
}

#[tokio::test]
async fn what_is_referred_to_is_there_and_all_that_is_there_is_referred_to() {
    let Contract { document } = contract().await;
    let mut references = BTreeSet::new();
    collect_references(&document, &mut references);
    let mut components = BTreeSet::new();
    for (section, named) in object(&document["components"]) {
        components.extend(object(named).keys().map(|name| format!("#/components/{section}/{name}")));
    }
    assert_eq!(references, components);
}

fn collect_references(value: &Value, to: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, to)),
        Value::Object(fields) => {
            to.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|field| collect_references(field, to));
        }
        _ => {}
    }
}

#[tokio::test]
async fn every_operation_has_an_id_of_its_own_and_a_declared_tag() {
    let contract = contract().await;
    let operations = contract.operations();
    let ids: BTreeSet<_> = operations.iter().map(|it| it.described["operationId"].as_str()).collect();
    assert!(!ids.contains(&None));
    assert_eq!(ids.len(), operations.len());

    let declared: BTreeSet<_> =
        array(&contract.document["tags"]).iter().map(|tag| tag["name"].as_str()).collect();
    let used: BTreeSet<_> =
        operations.iter().flat_map(|it| array(&it.described["tags"])).map(Value::as_str).collect();
    assert_eq!(used, declared);
}

#[tokio::test]
async fn the_parameters_of_a_path_are_its_placeholders() {
    let contract = contract().await;
    for operation in contract.operations() {
        let parameters = array(&operation.described["parameters"]).iter().map(|it| contract.resolve(it));
        let parameters: Vec<_> = parameters.collect();
        let named: BTreeSet<_> =
            parameters.iter().map(|it| (it["in"].as_str(), it["name"].as_str())).collect();
        assert_eq!(named.len(), parameters.len(), "{operation} names one twice");
        let in_path = parameters.iter().filter(|it| it["in"] == "path");
        let in_path: BTreeSet<_> = in_path.map(|it| it["name"].as_str().expect("it has a name")).collect();
        let segments = operation.path.split('/');
        let placeholders =
            segments.filter_map(|segment| segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')));
        assert_eq!(in_path, placeholders.collect(), "{operation}");
    }
}

#[tokio::test]
async fn every_schema_is_one_and_allows_its_examples() {
    let contract = contract().await;
    let components = &contract.document["components"];
    for (name, schema) in object(&components["schemas"]) {
        if let Err(error) = jsonschema::draft202012::meta::validate(schema) {
            panic!("{name}: {}: {error}", error.instance_path());
        }
        for example in schema.get("examples").map(array).into_iter().flatten() {
            assert_eq!(contract.schema_faults(schema, example), Vec::<String>::new(), "{name}");
        }
    }
    let of_parameters = object(&components["parameters"]).values().map(|it| &it["schema"]);
    let of_headers = object(&components["headers"]).values().map(|it| &it["schema"]);
    for schema in of_parameters.chain(of_headers) {
        assert!(jsonschema::draft202012::meta::is_valid(schema), "{schema}");
    }
}

/// Except where the client's own words are the fields, or where others decide on them.
#[tokio::test]
async fn every_object_that_is_answered_names_all_of_its_fields() {
    const OPEN: [&str; 4] = ["Bootstrap", "BootstrapRequest", "Config", "OpenApi"];
    let contract = contract().await;
    for (name, schema) in object(&contract.document["components"]["schemas"]) {
        if !OPEN.contains(&name.as_str()) {
            assert_closed(schema, name);
        }
    }
}

fn assert_closed(schema: &Value, path: &str) {
    if schema["type"] == "object" {
        let others = &schema["additionalProperties"];
        assert!(others == &json!(false) || others.is_object(), "{path} is open: {others}");
    }
    for (name, property) in schema.get("properties").map(object).into_iter().flatten() {
        assert_closed(property, &format!("{path}.{name}"));
    }
    if let Some(items) = schema.get("items") {
        assert_closed(items, &format!("{path}[]"));
    }
    for (i, one) in schema.get("oneOf").map(array).into_iter().flatten().enumerate() {
        if one.get("type").is_some() {
            assert_closed(one, &format!("{path}|{i}"));
        }
    }
}
