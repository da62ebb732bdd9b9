//! The examples of Kuma 0.3.0's documentation of its HTTP API: what was written is what reads back.

use model::{Key, Kind, print_entity};
use serde_json::Value;

/// Each with the mesh and the name of the URL that it is written to.
pub(crate) fn documented() -> Vec<(Kind, String, String, Value)> {
    let text = |value: &Value| value.as_str().expect("it is text").to_owned();
    let example = |&kind: &Kind| {
        let body = kind.example();
        let mesh = body.get("mesh").unwrap_or(&body["name"]);
        (kind, text(mesh), text(&body["name"]), body)
    };
    Kind::ALL.iter().map(example).collect()
}

#[test]
fn what_the_documentation_writes_is_accepted_and_reads_back() {
    for (kind, mesh, name, written) in documented() {
        let mut document = kind.read_document(&written).unwrap();
        assert_eq!(document.envelope.check(kind, &mesh, &name).to_string(), "");
        document.spec.set_defaults();
        assert_eq!(document.spec.validate().to_string(), "");

        let answered = print_entity(&Key::new(kind, mesh, name), &document.spec).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&answered).unwrap(), written);
    }
}
