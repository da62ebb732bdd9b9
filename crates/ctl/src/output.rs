//! `-o`: a list, or one thing, as a table for people, or as JSON or YAML for programs.

use serde_json::{Value, json};

use crate::yaml::{self, YamlError};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum OutputFormat {
    #[default]
    Table,
    Json,
    Yaml,
}

/// The list in the form of the API, keys in alphabetical order. `as_table` says what it is to people.
pub(crate) fn print_list<E: From<YamlError>>(
    items: &[Value],
    format: OutputFormat,
    as_table: impl FnOnce(&[Value]) -> Result<String, E>,
) -> Result<String, E> {
    match format {
        OutputFormat::Table => as_table(items),
        OutputFormat::Json => Ok(json_text(json!({ "items": items }))),
        OutputFormat::Yaml => yaml_text(json!({ "items": items })),
    }
}

/// One thing as the API answers it, keys in alphabetical order. `as_text` says what it is to people.
pub(crate) fn print_one<E: From<YamlError>>(
    thing: &Value,
    format: OutputFormat,
    as_text: impl FnOnce(&Value) -> Result<String, E>,
) -> Result<String, E> {
    match format {
        OutputFormat::Table => as_text(thing),
        OutputFormat::Json => Ok(json_text(thing.clone())),
        OutputFormat::Yaml => yaml_text(thing.clone()),
    }
}

fn json_text(value: Value) -> String {
    format!("{:#}\n", sorted(value))
}

fn yaml_text<E: From<YamlError>>(value: Value) -> Result<String, E> {
    Ok(yaml::print(&sorted(value))?)
}

fn sorted(mut value: Value) -> Value {
    // Does nothing unless some crate of the build has asked serde_json to keep the order of keys.
    value.sort_all_objects();
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(items: Value, format: OutputFormat) -> String {
        let Value::Array(items) = items else { panic!("a list is wanted") };
        print_list::<YamlError>(&items, format, |items| Ok(format!("{} items\n", items.len()))).unwrap()
    }

    #[test]
    fn json_is_indented_by_two_spaces_and_its_keys_are_in_order() {
        let expected = "\
{
  \"items\": [
    {
      \"name\": \"a\",
      \"type\": \"Mesh\"
    }
  ]
}
";
        assert_eq!(print(json!([{"type": "Mesh", "name": "a"}]), OutputFormat::Json), expected);
    }

    #[test]
    fn yaml_and_the_table_have_the_same_items() {
        assert_eq!(
            print(json!([{"type": "Mesh", "name": "a"}]), OutputFormat::Yaml),
            "items:\n- name: a\n  type: Mesh\n"
        );
        assert_eq!(print(json!([]), OutputFormat::Yaml), "items: []\n");
        assert_eq!(print(json!([{}, {}]), OutputFormat::Table), "2 items\n");
    }
}
