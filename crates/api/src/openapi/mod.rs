//! `GET /openapi.json`: this API described for machines, in OpenAPI 3.1.
//!
//! The document follows from the same tables as the API itself: its paths and their methods from the routes (`path`), what
//! resources look like from the kinds' own schemas. A new kind is in it without a line here. It says the same whatever the
//! configuration: what can be switched off is there, with the status that says so.
//!
//! A test asks for everything that it promises and holds the answers against it, so that it cannot be wrong for long.

mod inspection;
mod mesh_cas;
mod operation;
mod parameter;
mod response;
mod schema;
mod words;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::path::{self, Template};

/// What holds for every operation.
const DESCRIPTION: &str = "\
The HTTP API of Kuma 0.3.0 and what has been added to it since.

* Every answer carries `Kuma-Revision`, the revision of the store that it was made from. A request with \
`Kuma-Min-Revision` waits until this instance has that revision.
* Every refusal is an `Error`, in JSON, whatever the answer was to be written in.
* A request is refused with 421 unless it was sent to a name of this control plane (`apiServer.allowedHosts`), and a change \
with 403 if a web page of another origin has caused it. Origins in `apiServer.corsAllowedDomains` are answered as the CORS \
protocol says, preflights with `OPTIONS` included.
* A slash at the end of a path changes nothing. A query parameter that is not known is ignored.";

/// As JSON. The order of its keys is always the same.
pub(crate) fn document(version: &str, body_bytes_max: usize) -> Bytes {
    let templates = path::templates();
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Kuma control plane",
            "summary": "Meshes, their dataplanes and the policies between them.",
            "description": DESCRIPTION,
            "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
            "version": version,
        },
        "servers": [{"url": "/", "description": "The control plane that this document was read from."}],
        "security": [],
        "tags": operation::tags(),
        "paths": templates.iter().map(path_item).collect::<Map<_, _>>(),
        "components": {
            "schemas": schema::components(),
            "parameters": parameter::components(),
            "headers": response::headers(),
            "responses": response::refusals(body_bytes_max),
        },
    });
    document.to_string().into()
}

fn path_item(template: &Template) -> (String, Value) {
    let methods = template.route.methods().iter();
    let operations = methods.map(|method| (method.to_lowercase(), operation::operation(template, method)));
    (template.path.clone(), operations.collect())
}

/// A reference to a component of this document.
fn component(section: &str, name: &str) -> Value {
    json!({"$ref": format!("#/components/{section}/{name}")})
}
