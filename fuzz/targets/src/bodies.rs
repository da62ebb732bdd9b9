//! The bodies of requests, JSON and YAML.

use std::time::Duration;

use api::fuzzing as api;
use model::{Document, Key, Kind, print_entity};
use plan::{
    bootstrap::{BootstrapParams, bootstrap},
    raw,
};

use crate::{Target, wording::assert_fit_to_be_shown};

pub(crate) const JSON_DOCUMENT: Target = Target {
    name: "json_document",
    check: json_document,
    seeds: &[
        include_str!("../seeds/mesh.json"),
        include_str!("../seeds/dataplane.json"),
        include_str!("../seeds/proxy_template.json"),
        include_str!("../seeds/traffic_permission.json"),
        include_str!("../seeds/traffic_log.json"),
        include_str!("../seeds/traffic_route.json"),
    ],
};

pub(crate) const YAML_DOCUMENT: Target = Target {
    name: "yaml_document",
    check: yaml_document,
    seeds: &[
        include_str!("../seeds/mesh.yaml"),
        include_str!("../seeds/dataplane.yaml"),
        include_str!("../seeds/proxy_template.yaml"),
        include_str!("../seeds/traffic_permission.yaml"),
        include_str!("../seeds/traffic_log.yaml"),
        include_str!("../seeds/traffic_route.json"),
    ],
};

pub(crate) const TRANSACTION: Target = Target {
    name: "transaction",
    check: transaction,
    seeds: &[include_str!("../seeds/transaction.json"), include_str!("../seeds/transaction.yaml")],
};

pub(crate) const BOOTSTRAP: Target =
    Target { name: "bootstrap", check: bootstrap_request, seeds: &[include_str!("../seeds/bootstrap.json")] };

pub(crate) const RAW_RESOURCE: Target = Target {
    name: "raw_resource",
    check: raw_resource,
    seeds: &[
        include_str!("../seeds/cluster_v2.yaml"),
        include_str!("../seeds/cluster_v3.json"),
        include_str!("../seeds/listener.yaml"),
    ],
};

fn json_document(body: &[u8]) {
    let kind = mentioned_kind(body);
    match api::json_document(kind, body) {
        Ok(document) => assert_reads_back(kind, document),
        Err(error) => assert_fit_to_be_shown(&error, body),
    }
}

fn yaml_document(body: &[u8]) {
    let kind = mentioned_kind(body);
    match api::yaml_document(kind, body) {
        Ok(document) => assert_reads_back(kind, document),
        Err(error) => assert_fit_to_be_shown(&error, body),
    }
}

/// So that a body of any kind is mostly read as what it is meant to be.
fn mentioned_kind(body: &[u8]) -> Kind {
    let mentions = |kind: &Kind| body.windows(kind.name().len()).any(|part| part == kind.name().as_bytes());
    Kind::ALL.iter().copied().find(mentions).unwrap_or(Kind::Mesh)
}

/// What was accepted is answered as one line of JSON, and as YAML, and both read back as the same.
fn assert_reads_back(kind: Kind, document: Document) {
    let Document { envelope, mut spec } = document;
    assert_eq!(spec.kind(), kind);
    let _ = spec.validate();
    spec.set_defaults();
    let key = Key::new(kind, envelope.mesh.as_str(), envelope.name.as_str());
    let json = print_entity(&key, &spec).expect("what was read can be printed");
    assert!(!json.contains(&b'\n'), "an entity is printed as one line");
    let again = api::json_document(kind, &json).expect("what is answered can be written");
    assert_eq!((&again.spec, &again.envelope.name), (&spec, &envelope.name));
    assert_eq!(again.spec.validate(), spec.validate());
    let mut defaulted = again.spec.clone();
    defaulted.set_defaults();
    assert_eq!(defaulted, spec, "defaults are filled in once");

    let yaml = api::to_yaml(&json).expect("what is answered as JSON can be answered as YAML");
    match api::yaml_document(kind, yaml.as_bytes()) {
        Ok(again) => assert_eq!((&again.spec, again.envelope.name), (&spec, envelope.name), "{yaml}"),
        Err(error) => panic!("the YAML that is answered cannot be read: {error}\n{yaml}"),
    }
}

fn transaction(body: &[u8]) {
    for read in [api::json_transaction(body), api::yaml_transaction(body)] {
        match read {
            Ok(operations) => assert!(operations <= 1000),
            Err(error) => assert_fit_to_be_shown(&error, body),
        }
    }
}

/// Every text of a request ends up as a value in Envoy's configuration, and never as text around values.
fn bootstrap_request(body: &[u8]) {
    let request = match api::bootstrap_request(body) {
        Ok(request) => request,
        Err(error) => return assert_fit_to_be_shown(&error, body),
    };
    let configuration = match bootstrap(&request, &bootstrap_params(), Some("web")) {
        Ok(configuration) => configuration,
        Err(error) => return assert_fit_to_be_shown(&error.to_string(), body),
    };
    assert_eq!(configuration["node"]["id"], format!("{}.{}", request.mesh, request.name));
    assert_eq!(configuration["node"]["cluster"], "web");
    let yaml = serde_saphyr::to_string(&configuration).expect("a tree of JSON can be printed");
    let read: serde_json::Value = serde_saphyr::from_str(&yaml).expect("what is printed can be read");
    assert_eq!(read, configuration, "{yaml}");
}

/// The same text is the same resource, and it has the name by which a proxy asks.
fn raw_resource(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match raw::read(text) {
        Ok(resource) => {
            assert!(resource.type_url.starts_with("type.googleapis.com/envoy."), "{}", resource.type_url);
            assert!(!resource.name.is_empty());
            let again = raw::read(text).expect("what was accepted is accepted");
            assert_eq!((again.type_url, again.name), (resource.type_url, resource.name));
        }
        Err(error) => assert_fit_to_be_shown(&error.to_string(), input),
    }
}

fn bootstrap_params() -> BootstrapParams {
    BootstrapParams {
        admin_address: [127, 0, 0, 1].into(),
        admin_port: 0,
        admin_access_log_path: "/dev/null".to_owned(),
        xds_host: "127.0.0.1".to_owned(),
        xds_port: 5678,
        xds_connect_timeout: Duration::from_secs(1),
        ca_pem: "-----BEGIN CERTIFICATE-----\n".to_owned(),
    }
}
