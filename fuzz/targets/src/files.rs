//! The files that `kumactl apply` is given.

use ctl::fuzzing as ctl;

use crate::{Target, wording::assert_fit_to_be_shown};

pub(crate) const KUMACTL_FILE: Target = Target {
    name: "kumactl_file",
    check: kumactl_file,
    seeds: &[
        include_str!("../seeds/mesh.yaml"),
        include_str!("../seeds/dataplane.yaml"),
        include_str!("../seeds/traffic_route.json"),
        "type: Mesh\nname: a\n---\n# another\ntype: Mesh\nname: b\ntracing: &t {zipkin: {address: x}}\n",
        "a: &a [x]\nb: [*a, *a]\n<<: {c: yes, d: 0123, e: ~, f: |\n  text\n}\n",
    ],
};

pub(crate) const KUMACTL_TEMPLATE: Target = Target {
    name: "kumactl_template",
    check: kumactl_template,
    seeds: &[
        "type: Mesh\nname: {{name}}\n{{#port}}\nport: {{{port}}}\n{{/port}}\n{{! a comment }}\n",
        "{{^absent}}x{{&name}}{{/absent}} {{#server}}{{port}}{{/server}} {{> partial}}",
        "{{#a}}{{#a}}{{#a}}{{/a}}{{/a}}{{/a}}",
    ],
};

/// What is read is what `kumactl get -o yaml` prints, and so what it would read again.
fn kumactl_file(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match ctl::read_yaml(text) {
        Ok(values) => {
            // A document that is null may be read as none.
            for value in values.into_iter().filter(|value| !value.is_null()) {
                let printed = ctl::print_yaml(&value).expect("what was read can be printed");
                assert_eq!(ctl::read_yaml(&printed), Ok(vec![value]), "{printed}");
            }
        }
        Err(error) => assert_fit_to_be_shown(&error, input),
    }
    match ctl::documents(text) {
        Ok(documents) => assert!(documents.iter().all(|document| document["name"] != "")),
        Err(error) => assert_fit_to_be_shown(&error, input),
    }
}

/// A text without tags stays as it is, and a template without values needs none.
fn kumactl_template(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let values =
        [("name", "a<b"), ("port", "80"), ("server.port", "8080")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    match ctl::render(text, &values) {
        Ok(rendered) => assert!(text.contains("{{") || rendered == text),
        Err(error) => assert_fit_to_be_shown(&error, input),
    }
    assert_eq!(ctl::render(text, &[]).is_ok(), ctl::render(text, &values).is_ok());
}
