//! `raw/<what>/`: a resource in a user's words (`in.yaml`), and the resource that an Envoy is given (`out.yaml`) or why
//! there is none (`error.txt`).

use plan::{
    envoy::json,
    raw::{self, RawResource},
};
use serde_json::Value;

use crate::golden::{Golden, yaml};

const RAW: Golden = Golden { folder: "raw", expected: &["out.yaml", "error.txt"] };

#[test]
fn every_text_becomes_the_resource_that_is_expected_or_is_refused_as_expected() {
    RAW.check_texts(|text| match raw::read(text) {
        Ok(resource) => ("out.yaml", yaml(&printed(&resource))),
        Err(error) => ("error.txt", format!("{error}\n")),
    });
}

/// As Envoy's own configuration files have it.
fn printed(resource: &RawResource) -> Value {
    let mut printed =
        json::print(resource.type_url, &resource.value).expect("what was encoded is of its type");
    printed["@type"] = resource.type_url.into();
    printed
}
