//! What reads a user's files, for the fuzz targets and for nobody else.

use serde_json::Value;

use crate::{document, template, yaml};

/// The resources that `kumactl apply` would send.
pub fn documents(text: &str) -> Result<Vec<Value>, String> {
    let entities = document::read(text).map_err(|error| error.to_string())?;
    Ok(entities.into_iter().map(|entity| entity.content).collect())
}

/// A file of `kumactl apply` with the values of `-v`.
pub fn render(text: &str, values: &[(String, String)]) -> Result<String, String> {
    template::render(text, values.iter()).map_err(|error| error.to_string())
}

pub fn read_yaml(text: &str) -> Result<Vec<Value>, String> {
    yaml::read(text).map_err(|error| error.to_string())
}

pub fn print_yaml(value: &Value) -> Result<String, String> {
    yaml::print(value).map_err(|error| error.to_string())
}
