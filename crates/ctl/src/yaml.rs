//! YAML in, YAML out: the only place that knows which YAML library we use.
//!
//! Reading follows YAML 1.1 as Go's `yaml.v2` does (`yes` and `on` are booleans, `<<` merges), so that files written
//! for Kuma 0.3.0 mean the same. Writing quotes whatever such a reader would take for something other than a string.

use serde_json::Value;

/// As the server has it: deeper nesting than any resource has, and shallow enough that no stack suffers.
const DEPTH_MAX: usize = 64;

/// Enough for tens of thousands of resources in one file. The library's own default stops at a few thousand.
const NODES_MAX: usize = 5_000_000;

/// The library's own default is 1,024.
const DOCUMENTS_MAX: usize = 100_000;

/// More comment lines in a row than a person writes between two entries. The library's own default is 32.
const COMMENT_LINES_MAX: usize = 10_000;

/// What the parser or the printer had to say, with the position where there is one.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct YamlError(String);

impl YamlError {
    fn new(error: &impl std::fmt::Display) -> Self {
        Self(model::one_line(&error.to_string()).into_owned())
    }
}

/// Every document of `text`, in order. JSON is YAML.
///
/// A document without content is null; a text without any document has none.
pub(crate) fn read(text: &str) -> Result<Vec<Value>, YamlError> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            flow_nesting_limit: DEPTH_MAX,
            max_documents: DOCUMENTS_MAX,
            max_nodes: NODES_MAX,
            max_events: 2 * NODES_MAX,
            max_buffered_comment_events: COMMENT_LINES_MAX,
        },
        emit_comments: false,
        leading_zero_numbers_as_strings: true,
        with_snippet: false,
    };
    serde_saphyr::from_multiple_with_options(text, options).map_err(|error| YamlError::new(&error))
}

/// `value` in block style, ending with a newline.
pub(crate) fn print(value: &Value) -> Result<String, YamlError> {
    let options = serde_saphyr::ser_options! {
        // Text with line breaks becomes a literal block; long lines stay whole, so that they can be searched for.
        folded_wrap_chars: usize::MAX,
    };
    serde_saphyr::to_string_with_options(value, options).map_err(|error| YamlError::new(&error))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn yaml_1_1_is_read_as_go_reads_it() {
        for (text, expected) in [
            ("enabled: yes", json!({"enabled": true})),
            ("enabled: off", json!({"enabled": false})),
            ("enabled: \"on\"", json!({"enabled": "on"})),
            ("a: &x {b: c}\nd: *x", json!({"a": {"b": "c"}, "d": {"b": "c"}})),
            (
                "a: &x {b: c, e: f}\nd: {<<: *x, e: g}",
                json!({"a": {"b": "c", "e": "f"}, "d": {"b": "c", "e": "g"}}),
            ),
            ("a: 1\r\nb: 2 # two\r\n", json!({"a": 1, "b": 2})),
            ("version: 0123", json!({"version": "0123"})),
            ("address: 127.0.0.1:80:90", json!({"address": "127.0.0.1:80:90"})),
            ("{\"a\": [1, {}]}", json!({"a": [1, {}]})),
            ("a:", json!({"a": null})),
        ] {
            assert_eq!(read(text).unwrap(), [expected], "{text}");
        }
    }

    #[test]
    fn documents_are_separated_by_three_dashes() {
        for (text, expected) in [
            ("", vec![]),
            ("# nothing\n", vec![]),
            ("a: 1\n---\nb: 2\n", vec![json!({"a": 1}), json!({"b": 2})]),
            ("--- # first\na: 1\n", vec![json!({"a": 1})]),
            ("just a sentence", vec![json!("just a sentence")]),
        ] {
            assert_eq!(read(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_said_with_its_line() {
        for text in ["type: Mesh: x", "a: 1\na: 2", "[1,2", "a: *nowhere"] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("line ") && !error.contains('\n'), "{text}: {error}");
        }
    }

    #[test]
    fn nesting_without_end_is_refused() {
        assert!(read(&"[".repeat(100_000)).is_err());
        assert!(read(&"{a: ".repeat(50_000)).is_err());
        for depth in DEPTH_MAX / 2..3 * DEPTH_MAX {
            for (open, close) in [("[", "]"), ("{a: ", "}"), ("{\"a\":", "}")] {
                let text = format!("{}1{}", open.repeat(depth), close.repeat(depth));
                assert_eq!(read(&text).is_ok(), depth <= DEPTH_MAX, "{depth} of {open}");
            }
        }
    }

    #[test]
    fn many_comments_and_many_resources_are_not_too_much() {
        let header = "# a licence\n".repeat(200);
        let mesh =
            "---\ntype: Mesh\nname: m\nlogging:\n  backends:\n  - name: disk\n    file: {path: /tmp/a}\n";
        assert_eq!(read(&format!("{header}a:\n{header}- 1\n")).unwrap(), [json!({"a": [1]})]);
        assert_eq!(read(&mesh.repeat(20_000)).unwrap().len(), 20_000);
    }

    #[test]
    fn printed_as_kuma_0_3_0_prints() {
        let value = json!({
            "items": [{
                "builtin": {},
                "none": [],
                "text": "version: 1\nnext: 2\n",
                "url": "http://localhost:5681",
                "tags": {"a": "1", "b": "yes", "c": "127.0.0.1:80:90", "d": "", "e": "12:30:00", "f": true}
            }]
        });
        let expected = "\
items:
- builtin: {}
  none: []
  tags:
    a: \"1\"
    b: \"yes\"
    c: 127.0.0.1:80:90
    d: \"\"
    e: \"12:30:00\"
    f: true
  text: |
    version: 1
    next: 2
  url: http://localhost:5681
";
        let printed = print(&value).unwrap();
        assert_eq!(printed, expected);
        assert_eq!(read(&printed).unwrap(), [value]);
    }
}
