//! The document as it was fetched, and whether an answer is one that it allows.

use serde_json::{Map, Value, json};

use crate::client::{Reply, get};
use crate::server::Server;

pub(super) struct Contract {
    pub(super) document: Value,
}

/// One method of one path.
#[derive(Clone, Copy)]
pub(super) struct Operation<'a> {
    pub(super) path: &'a str,
    /// In capitals.
    pub(super) method: &'static str,
    pub(super) described: &'a Value,
}

/// The methods that OpenAPI can describe.
pub(super) const METHODS: [&str; 8] = ["GET", "HEAD", "PUT", "DELETE", "POST", "PATCH", "OPTIONS", "TRACE"];

/// Headers of HTTP itself, which OpenAPI leaves to it.
const OF_HTTP: [&str; 5] = ["connection", "content-length", "content-type", "date", "transfer-encoding"];

impl Contract {
    pub(super) async fn fetch(server: &Server) -> Self {
        let reply = get(server.address, "/openapi.json").await;
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
        Self { document: reply.json() }
    }

    pub(super) fn operations(&self) -> Vec<Operation<'_>> {
        let of_path = |(path, item)| {
            let described = move |method: &'static str| {
                let item: &Value = item;
                let described = item.get(method.to_lowercase())?;
                let path: &String = path;
                Some(Operation { path, method, described })
            };
            METHODS.into_iter().filter_map(described)
        };
        object(&self.document["paths"]).iter().flat_map(of_path).collect()
    }

    /// What stands there, or what it refers to.
    pub(super) fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        let Some(reference) = value.get("$ref").and_then(Value::as_str) else { return value };
        let pointer = reference.strip_prefix('#').expect("all that is referred to is in the document");
        self.document.pointer(pointer).unwrap_or_else(|| panic!("there is no {reference}"))
    }

    /// The parameters of an operation that are not in its path, by name.
    pub(super) fn takes(&self, operation: Operation<'_>, parameter: &str) -> bool {
        let mut parameters = array(&operation.described["parameters"]).iter();
        parameters.any(|it| {
            let described = self.resolve(it);
            described["name"] == parameter && described["in"] != "path"
        })
    }

    /// The statuses with which it may be answered.
    pub(super) fn statuses(operation: Operation<'_>) -> Vec<u16> {
        let responses = object(&operation.described["responses"]).keys();
        responses.map(|status| status.parse().expect("a status is a number")).collect()
    }

    /// What the document says of the answer with this status.
    pub(super) fn response<'a>(&'a self, operation: Operation<'a>, status: u16) -> Option<&'a Value> {
        Some(self.resolve(operation.described["responses"].get(status.to_string())?))
    }

    /// Everything about the answer that the document does not allow.
    pub(super) fn faults(&self, operation: Operation<'_>, reply: &Reply) -> Vec<String> {
        let Some(response) = self.response(operation, reply.status) else {
            return vec![format!("{} is not among its statuses", reply.status)];
        };
        let mut faults = self.header_faults(response, reply);
        let content_type = reply.header("content-type");
        match (response.get("content"), content_type) {
            (None, None) if reply.body.is_empty() => {}
            (None, _) => faults.push(format!("has a body, {content_type:?}: {:?}", reply.body)),
            (Some(content), Some(media)) if content.get(media).is_some() => {
                faults.extend(self.body_faults(operation, &content[media]["schema"], media, &reply.body));
            }
            (Some(_), _) => faults.push(format!("is {content_type:?}")),
        }
        faults
    }

    fn header_faults(&self, response: &Value, reply: &Reply) -> Vec<String> {
        let described = object(&response["headers"]);
        let mut faults = Vec::new();
        for (name, header) in described {
            let header = self.resolve(header);
            match reply.header(&name.to_lowercase()) {
                Some(value) => faults.extend(self.schema_faults(&header["schema"], &json!(value))),
                None if header["required"] == true => faults.push(format!("lacks {name}")),
                None => {}
            }
        }
        let is_described = |name: &str| described.keys().any(|known| known.eq_ignore_ascii_case(name));
        let others = reply.headers.keys().filter(|name| !OF_HTTP.contains(&name.as_str()));
        faults.extend(others.filter(|name| !is_described(name)).map(|name| format!("has the header {name}")));
        faults
    }

    fn body_faults(&self, operation: Operation<'_>, schema: &Value, media: &str, body: &str) -> Vec<String> {
        if operation.method == "HEAD" {
            return if body.is_empty() { Vec::new() } else { vec!["HEAD has a body".to_owned()] };
        }
        let value = match media {
            "application/json" => serde_json::from_str(body).map_err(|error| error.to_string()),
            "application/yaml" | "text/x-yaml" => {
                serde_saphyr::from_str(body).map_err(|error| error.to_string())
            }
            _ => Ok(json!(body)),
        };
        match value {
            Ok(value) => self.schema_faults(schema, &value),
            Err(error) => vec![format!("is no {media}: {error}")],
        }
    }

    /// What the value has against the schema, whose references are to this document.
    pub(super) fn schema_faults(&self, schema: &Value, value: &Value) -> Vec<String> {
        let whole = json!({"allOf": [schema], "components": self.document["components"]});
        let options = jsonschema::draft202012::options().should_validate_formats(true);
        let validator = options.build(&whole).expect("the document's schemas are schemas");
        let faults = validator.iter_errors(value);
        faults.map(|fault| format!("{}: {fault}", fault.instance_path())).collect()
    }
}

impl std::fmt::Display for Operation<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

pub(super) fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap_or_else(|| panic!("{value} is no object"))
}

pub(super) fn array(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list"))
}
