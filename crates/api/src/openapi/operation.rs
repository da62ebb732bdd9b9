//! What one method does on one path.

use http::StatusCode;
use model::Kind;
use serde_json::{Map, Value, json};

use super::{
    component,
    parameter::Parameter,
    response::{Header, answer, refusal},
    schema::{change_name, list_name},
    words::words,
};
use crate::{
    inspection::INSPECTION_TYPE,
    overview::{INSIGHT_TYPE, OVERVIEW_TYPE},
    path::{Route, Template},
};

/// The operations of everything that is neither a resource nor made of resources.
const CONTROL_PLANE: &str = "ControlPlane";
const TRANSACTION: &str = "Transaction";
const PROXY_START: &str = "ProxyStart";
const TOKEN_VALIDITY: &str = "TokenValidity";
const MESH_CA: &str = "MeshCa";

/// In the order in which a reader meets them.
pub(super) fn tags() -> Vec<Value> {
    let kinds = Kind::ALL.iter().map(|kind| (kind.name(), description(&kind.schema())));
    let others = [
        (OVERVIEW_TYPE, "Dataplanes together with what is known of their proxies."),
        (INSIGHT_TYPE, "What is known of proxies, of those that have ever connected."),
        (INSPECTION_TYPE, "What a proxy should have in Envoy's own terms, what it has, and why not."),
        (TRANSACTION, "Many changes as one."),
        (PROXY_START, "What a proxy needs before it can connect."),
        (TOKEN_VALIDITY, "Which tokens hold."),
        (MESH_CA, "The certificate authorities of meshes, and how to replace them."),
        (CONTROL_PLANE, "The control plane itself."),
    ];
    let others = others.map(|(name, description)| (name, description.to_owned()));
    kinds.chain(others).map(|(name, description)| json!({"name": name, "description": description})).collect()
}

fn description(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().to_owned()
}

/// HEAD is described as GET: it has the same headers, and no body.
pub(super) fn operation(template: &Template, method: &str) -> Value {
    let Template { path, route, others } = template;
    let noun = Noun::of(route);
    let (summary, description) = words(route, noun.type_name, method);
    let parameters = path_parameters(path).chain(parameters(route, method).iter().copied());
    let parameters: Vec<Value> = parameters.map(Parameter::reference).collect();
    let mut operation = json!({
        "operationId": format!("{}{}", method.to_lowercase(), noun.in_an_id(method)),
        "tags": [noun.tag],
        "summary": summary,
        "description": format!("{description}{}", spellings(others)),
        "parameters": parameters,
        "responses": responses(route, &noun, method),
    });
    if let Some(body) = request_body(route, method) {
        operation["requestBody"] = body;
    }
    operation
}

fn spellings(others: &[String]) -> String {
    if others.is_empty() {
        return String::new();
    }
    let others: Vec<String> = others.iter().map(|other| format!("`{other}`")).collect();
    format!(" The path works as {}, too.", others.join(" and "))
}

/// What an operation is about.
struct Noun {
    /// The type, by which its schemas are called.
    type_name: &'static str,
    /// Behind the type in an operation's id.
    plural: &'static str,
    tag: &'static str,
}

impl Noun {
    fn of(route: &Route) -> Self {
        let of_type = |type_name, mesh: &Option<String>| {
            let plural = if mesh.is_some() { "ListInMesh" } else { "List" };
            Self { type_name, plural, tag: type_name }
        };
        let alone = |type_name, tag| Self { type_name, plural: "", tag };
        let one = |type_name| alone(type_name, type_name);
        match route {
            Route::Index => alone("Index", CONTROL_PLANE),
            Route::Catalogue => alone("Catalogue", CONTROL_PLANE),
            Route::Config => alone("Config", CONTROL_PLANE),
            Route::Ca => alone("CaCertificate", CONTROL_PLANE),
            Route::OpenApi => alone("OpenApi", CONTROL_PLANE),
            Route::Tokens => alone("Token", PROXY_START),
            Route::Bootstrap => alone("Bootstrap", PROXY_START),
            Route::Revocations => Self { type_name: "TokenRevocation", plural: "List", tag: TOKEN_VALIDITY },
            Route::TokenKeys => Self { type_name: "TokenKey", plural: "List", tag: TOKEN_VALIDITY },
            Route::TokenKey(_) => alone("TokenKey", TOKEN_VALIDITY),
            Route::Transactions => alone("Transaction", TRANSACTION),
            Route::MeshCas(_) => Self { type_name: "MeshCa", plural: "List", tag: MESH_CA },
            Route::MeshCa { .. } => alone("MeshCa", MESH_CA),
            Route::MeshCaSigning { .. } => alone("MeshCaSigning", MESH_CA),
            Route::Collection { kind, mesh } => of_type(kind.name(), mesh),
            Route::Item(key) => one(key.kind.name()),
            Route::Overviews { mesh } => of_type(OVERVIEW_TYPE, mesh),
            Route::Overview(_) => one(OVERVIEW_TYPE),
            Route::Insights { mesh } => of_type(INSIGHT_TYPE, mesh),
            Route::Insight(_) => one(INSIGHT_TYPE),
            Route::Inspection(_) => one(INSPECTION_TYPE),
        }
    }

    /// What is posted to a list is one.
    fn in_an_id(&self, method: &str) -> String {
        let plural = if method == "POST" { "" } else { self.plural };
        format!("{}{plural}", self.type_name)
    }

    /// The name of the schema of what a GET answers.
    fn schema(&self) -> String {
        if self.plural.is_empty() { self.type_name.to_owned() } else { list_name(self.type_name) }
    }
}

fn path_parameters(path: &str) -> impl Iterator<Item = Parameter> {
    let all = [
        ("{mesh}", Parameter::Mesh),
        ("{name}", Parameter::Name),
        ("{kid}", Parameter::Kid),
        ("{id}", Parameter::MeshCaId),
    ];
    all.into_iter().filter(|(placeholder, _)| path.contains(placeholder)).map(|(_, parameter)| parameter)
}

/// Beside those in the path. `Accept` and `Content-Type` are not among them: in OpenAPI they follow from the contents.
fn parameters(route: &Route, method: &str) -> &'static [Parameter] {
    use Parameter::{
        DryRun, Force, Full, IfMatch, IfNoneMatch, LastEventId, MinRevision, NamePart, Offset, Since, Size,
        Tag, Watch,
    };
    match (route, method) {
        (Route::Item(_), "PUT" | "DELETE") => &[DryRun, IfMatch, IfNoneMatch, MinRevision],
        (Route::Item(_), _) => &[Watch, Since, IfNoneMatch, LastEventId, MinRevision],
        (Route::Collection { .. }, _) => {
            &[NamePart, Tag, Size, Offset, Watch, Since, LastEventId, MinRevision]
        }
        (Route::Overviews { .. } | Route::Insights { .. }, _) => &[NamePart, Tag, Size, Offset, MinRevision],
        (Route::Inspection(_), _) => &[Full, MinRevision],
        (Route::Transactions, _) => &[DryRun, MinRevision],
        (Route::MeshCa { .. } | Route::MeshCaSigning { .. }, _) => &[Force, MinRevision],
        _ => &[MinRevision],
    }
}

fn request_body(route: &Route, method: &str) -> Option<Value> {
    let json_alone = |name| json!({"application/json": {"schema": component("schemas", name)}});
    let content = match (route, method) {
        (Route::Item(key), "PUT") => json_or_yaml(key.kind.name()),
        (Route::Transactions, _) => json_or_yaml("Transaction"),
        (Route::Tokens, _) => json_alone("TokenRequest"),
        (Route::Bootstrap, _) => json_alone("BootstrapRequest"),
        (Route::Revocations, "POST") => json_alone("TokenRevocationRequest"),
        _ => return None,
    };
    Some(json!({"required": true, "content": content}))
}

fn json_or_yaml(schema: &str) -> Value {
    let content = json!({"schema": component("schemas", schema)});
    json!({"application/json": content, "application/yaml": content})
}

fn responses(route: &Route, noun: &Noun, method: &str) -> Map<String, Value> {
    let done = done(route, noun, method).into_iter();
    let refused = refusals(route, method).into_iter().map(|status| (status, refusal(status)));
    done.chain(refused).map(|(status, answer)| (status.as_str().to_owned(), answer)).collect()
}

fn done(route: &Route, noun: &Noun, method: &str) -> Vec<(StatusCode, Value)> {
    let ok = |description, headers: &[_], content| (StatusCode::OK, answer(description, headers, content));
    match (route, method) {
        (Route::Item(_), "PUT") => {
            let created = answer("It was created.", &[Header::Warning], None);
            let description = "It was replaced, or is there already, equal.";
            vec![ok(description, &[Header::Warning], None), (StatusCode::CREATED, created)]
        }
        (Route::Item(_), "DELETE") => vec![ok("It is not there any more.", &[], None)],
        (Route::Item(key), _) => {
            let headers = &[
                Header::ETag,
                Header::LastModified,
                Header::Vary,
                Header::CacheControl,
                Header::XAccelBuffering,
            ];
            let headers_alone = &[Header::ETag, Header::LastModified, Header::Vary];
            let unchanged = answer("It is as it was when it had this tag.", headers_alone, None);
            let content = watched(json_or_yaml(&noun.schema()), key.kind);
            vec![
                ok("The resource, or events of it.", headers, Some(content)),
                (StatusCode::NOT_MODIFIED, unchanged),
            ]
        }
        (Route::Collection { kind, .. }, _) => {
            let headers = &[Header::Vary, Header::CacheControl, Header::XAccelBuffering];
            let content = watched(json_or_yaml(&noun.schema()), *kind);
            vec![ok("The list, or a page of it, or events of it.", headers, Some(content))]
        }
        (Route::Ca, _) => {
            let pem = json!({"type": "string", "pattern": "^-----BEGIN CERTIFICATE-----"});
            let content = json!({"application/pem-certificate-chain": {"schema": pem}});
            vec![ok("The certificate, as PEM.", &[], Some(content))]
        }
        (Route::Tokens, _) => {
            let token = json!({"type": "string", "pattern": r"^[\w-]+\.[\w-]+\.[\w-]+$"});
            let content = json!({"text/plain": {"schema": token}});
            vec![ok("The token alone, a JWT.", &[Header::CacheControl], Some(content))]
        }
        (Route::Bootstrap, _) => {
            let content = json!({"text/x-yaml": {"schema": component("schemas", "Bootstrap")}});
            vec![ok("Envoy's configuration.", &[], Some(content))]
        }
        (Route::Transactions, _) => {
            let content = json!({"application/json": {"schema": component("schemas", "TransactionResult")}});
            vec![ok("Everything was done.", &[Header::Warning], Some(content))]
        }
        (Route::Revocations, "POST") => {
            let content = json!({"application/json": {"schema": component("schemas", "TokenRevoked")}});
            vec![ok("The token is revoked.", &[], Some(content))]
        }
        (Route::TokenKeys, "POST") => {
            let content = json!({"application/json": {"schema": component("schemas", "TokenKeyMade")}});
            vec![ok("The key signs.", &[], Some(content))]
        }
        (Route::TokenKey(_), _) => vec![ok("The key is retired.", &[], None)],
        (Route::MeshCas(_), "POST") => {
            let content = json!({"application/json": {"schema": component("schemas", "MeshCa")}});
            vec![ok("It is trusted.", &[], Some(content))]
        }
        (Route::MeshCaSigning { .. }, _) => vec![ok("It signs.", &[], None)],
        (Route::MeshCa { .. }, _) => vec![ok("It is trusted no more.", &[], None)],
        _ => vec![ok("What was asked for.", &[Header::Vary], Some(json_or_yaml(&noun.schema())))],
    }
}

/// Adds what a watch is answered with. OpenAPI 3.1 has no words for what is inside of a stream, so the schemas of the
/// events' data stand in an extension, each under the name of its event.
fn watched(mut content: Value, kind: Kind) -> Value {
    let change = component("schemas", &change_name(kind));
    let milestone = component("schemas", "Milestone");
    content["text/event-stream"] = json!({
        "schema": {
            "type": "string",
            "description": "With `watch=true`: server-sent events without end. First what is there, as `put`s, and then \
                            `synced`; or, with `since`, what has changed since. Then each change as it is committed, as a \
                            `put` or a `delete`. The events of one revision stand together, the last of them has the \
                            revision as its id, and `commit` ends them.",
        },
        "x-event-data": {
            "put": {"allOf": [change, {"required": ["resource"]}]},
            "delete": {"allOf": [change, {"properties": {"resource": false}}]},
            "synced": milestone,
            "commit": milestone,
        },
    });
    content
}

fn refusals(route: &Route, method: &str) -> Vec<StatusCode> {
    let mut statuses = vec![
        StatusCode::BAD_REQUEST,
        StatusCode::CONFLICT,
        StatusCode::MISDIRECTED_REQUEST,
        StatusCode::INTERNAL_SERVER_ERROR,
        StatusCode::SERVICE_UNAVAILABLE,
    ];
    let is_read = matches!(method, "GET" | "HEAD");
    let is_one =
        matches!(route, Route::Item(_) | Route::Overview(_) | Route::Insight(_) | Route::Inspection(_));
    if is_read && *route != Route::Ca {
        statuses.push(StatusCode::NOT_ACCEPTABLE);
    }
    let is_of_mesh_cas =
        matches!(route, Route::MeshCas(_) | Route::MeshCa { .. } | Route::MeshCaSigning { .. });
    if is_read && is_one
        || is_of_mesh_cas
        || matches!(route, Route::Tokens | Route::Bootstrap | Route::TokenKey(_))
    {
        statuses.push(StatusCode::NOT_FOUND);
    }
    if is_read && matches!(route, Route::Item(_) | Route::Collection { .. }) {
        statuses.push(StatusCode::GONE);
    }
    if !is_read {
        statuses.push(StatusCode::FORBIDDEN);
    }
    if !is_read && matches!(route, Route::Item(_) | Route::Transactions) {
        statuses.extend([StatusCode::METHOD_NOT_ALLOWED, StatusCode::PRECONDITION_FAILED]);
    }
    if !is_read
        && (is_of_mesh_cas || matches!(route, Route::Revocations | Route::TokenKeys | Route::TokenKey(_)))
    {
        statuses.push(StatusCode::METHOD_NOT_ALLOWED);
    }
    if method == "POST" && (is_of_mesh_cas || *route == Route::TokenKeys) {
        statuses.push(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    if request_body(route, method).is_some() {
        statuses.extend([
            StatusCode::REQUEST_TIMEOUT,
            StatusCode::PAYLOAD_TOO_LARGE,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ]);
    }
    statuses
}
