//! What bodies look like. Resources describe themselves (`model::Kind::schema`); here is what the API makes around them.

use model::{
    DataplaneInsight, Kind, Resource, Scope,
    schema::{boolean, entity, list, name, non_empty_list, non_empty_text, object, requiring, text},
};
use serde_json::{Map, Value, json};
use store::Outcome;

use super::{component, inspection, mesh_cas};
use crate::{
    inspection::INSPECTION_TYPE,
    overview::{INSIGHT_TYPE, OVERVIEW_TYPE},
    transaction::OPERATIONS_MAX,
};

/// A revision, as a regular expression.
pub(super) const REVISION: &str = "[0-9a-f]{8}-(0|[1-9][0-9]*)";

/// All of them by name. What a type's list and its changes are called follows from its name.
pub(super) fn components() -> Map<String, Value> {
    let kinds = Kind::ALL.iter().map(|kind| (kind.name(), resource(*kind)));
    let views = [(OVERVIEW_TYPE, overview()), (INSIGHT_TYPE, insight())];
    let types: Vec<_> = kinds.chain(views).collect();
    let lists: Vec<_> = types.iter().map(|(name, _)| (list_name(name), a_list(name))).collect();
    let changes = Kind::ALL.iter().map(|kind| (change_name(*kind), change(*kind)));
    let others = [
        ("Bootstrap", bootstrap()),
        ("BootstrapRequest", bootstrap_request()),
        ("Catalogue", catalogue()),
        (INSPECTION_TYPE, inspection::schema()),
        ("Config", config()),
        ("Error", error()),
        ("Index", index()),
        ("MeshCa", mesh_cas::schema()),
        ("MeshCaList", a_plain_list("The certificate authorities, the oldest first.", "MeshCa")),
        ("Milestone", milestone()),
        ("OpenApi", openapi()),
        ("Revision", revision()),
        ("TokenKey", token_key()),
        ("TokenKeyList", a_plain_list("The keys whose tokens are accepted, the oldest first.", "TokenKey")),
        ("TokenKeyMade", token_key_made()),
        ("TokenRequest", token_request()),
        ("TokenRevocation", token_revocation()),
        ("TokenRevocationList", a_plain_list("The revoked tokens, by id.", "TokenRevocation")),
        ("TokenRevocationRequest", token_revocation_request()),
        ("TokenRevoked", token_revoked()),
        ("Transaction", transaction()),
        ("TransactionResult", transaction_result()),
    ];
    let named = types.into_iter().chain(others).map(|(name, schema)| (name.to_owned(), schema));
    named.chain(lists).chain(changes).collect()
}

pub(super) fn list_name(type_name: &str) -> String {
    format!("{type_name}List")
}

pub(super) fn change_name(kind: Kind) -> String {
    format!("{}Change", kind.name())
}

fn resource(kind: Kind) -> Value {
    let mut schema = kind.schema();
    schema["examples"] = json!([kind.example()]);
    schema
}

fn overview() -> Value {
    let spec = object(
        "A Dataplane together with what is known of its proxy.",
        [("dataplane", model::Dataplane::schema()), ("dataplaneInsight", DataplaneInsight::schema())],
    );
    entity(OVERVIEW_TYPE, Scope::Mesh, requiring(spec, ["dataplane", "dataplaneInsight"]))
}

fn insight() -> Value {
    entity(INSIGHT_TYPE, Scope::Mesh, DataplaneInsight::schema())
}

fn a_list(type_name: &str) -> Value {
    let total = json!({"type": "integer", "minimum": 0, "description": "On a page: the items on all pages."});
    let next = json!({
        "type": ["string", "null"], "format": "uri",
        "description": "On a page: where the next one is; null on the last.",
    });
    let list = object(
        "A list, by mesh and then by name, or a page of it.",
        [("items", list(component("schemas", type_name))), ("total", total), ("next", next)],
    );
    let mut list = requiring(list, ["items"]);
    list["dependentRequired"] = json!({"total": ["next"], "next": ["total"]});
    list
}

/// The data of an event that tells of a change.
fn change(kind: Kind) -> Value {
    let mut named =
        vec![("type", json!({"const": kind.name()})), ("name", name("The name of the resource."))];
    if kind.scope() == Scope::Mesh {
        named.push(("mesh", name("Its mesh.")));
    }
    let fields: Vec<&str> = named.iter().map(|(field, _)| *field).collect();
    let mut key = object("Whose change it is.", []);
    key["required"] = json!(fields);
    key["properties"] = named.into_iter().map(|(field, schema)| (field.to_owned(), schema)).collect();
    let change = object(
        "What is there now of one resource; nothing, when it was deleted.",
        [
            ("revision", component("schemas", "Revision")),
            ("key", key),
            ("resource", component("schemas", kind.name())),
        ],
    );
    requiring(change, ["revision", "key"])
}

/// The data of an event that tells how far a watch has come.
fn milestone() -> Value {
    let milestone = object(
        "Everything up to this revision has been told.",
        [("revision", component("schemas", "Revision"))],
    );
    requiring(milestone, ["revision"])
}

fn revision() -> Value {
    json!({
        "type": "string",
        "description": "A state of the store: which store it is, and the number of changes that it has seen. Numbers of one \
                        store can be compared.",
        "pattern": format!("^{REVISION}$"),
        "examples": ["00c0ffee-42"],
    })
}

fn error() -> Value {
    let cause = object(
        "One thing that is wrong.",
        [
            ("field", text("The path of the field, such as `networking.inbound[0].tags`.")),
            ("message", text("What is wrong with it.")),
        ],
    );
    let mut causes = non_empty_list(requiring(cause, ["field", "message"]));
    causes["description"] = json!("Everything that is wrong, where fields are to blame.");
    let error = object(
        "Why a request was refused.",
        [
            ("title", text("What was not done.")),
            ("details", text("Why, in one sentence for a person.")),
            ("causes", causes),
        ],
    );
    requiring(error, ["title", "details"])
}

fn index() -> Value {
    let tagline = json!({"const": "Kuma", "description": "How clients recognise a control plane."});
    let index =
        object("Who is here.", [("tagline", tagline), ("version", non_empty_text("Of the control plane."))]);
    requiring(index, ["tagline", "version"])
}

fn catalogue() -> Value {
    let url =
        |description: &str| json!({"type": "string", "format": "uri-reference", "description": description});
    let bootstrap =
        object("Where dataplanes get their bootstrap configuration.", [("url", url("Its root."))]);
    let token = object(
        "Where tokens of dataplanes are given out.",
        [
            ("localUrl", url("On this machine; empty if nowhere.")),
            ("publicUrl", url("From elsewhere; empty if nowhere.")),
        ],
    );
    let apis = object(
        "The APIs.",
        [
            ("bootstrap", requiring(bootstrap, ["url"])),
            ("dataplaneToken", requiring(token, ["localUrl", "publicUrl"])),
        ],
    );
    let apis = requiring(apis, ["bootstrap", "dataplaneToken"]);
    requiring(object("Where the APIs of the control plane are.", [("apis", apis)]), ["apis"])
}

fn config() -> Value {
    json!({"type": "object", "description": "The configuration in effect, with its secrets masked."})
}

fn openapi() -> Value {
    json!({
        "type": "object",
        "description": "An OpenAPI 3.1 document.",
        "properties": {
            "openapi": {"type": "string", "pattern": r"^3\.1\."},
            "info": {"type": "object"},
            "paths": {"type": "object"},
            "components": {"type": "object"},
        },
        "required": ["openapi", "info", "paths", "components"],
    })
}

fn token_request() -> Value {
    let valid_for = json!({
        "type": "string",
        "description": "For how long; without it the token never ends.",
        "pattern": "^([0-9]+[hms])+$",
        "examples": ["24h"],
    });
    let request = object(
        "Whose token. Neither the Dataplane nor its mesh has to be there yet.",
        [("name", name("The name of the Dataplane.")), ("mesh", name("Its mesh.")), ("validFor", valid_for)],
    );
    requiring(request, ["name", "mesh"])
}

fn bootstrap_request() -> Value {
    let path =
        |description: &str| json!({"type": "string", "pattern": "^(/.*)?$", "description": description});
    let number = |description: &str| json!({"type": "integer", "minimum": 0, "description": description});
    let mut port = number("Where Envoy's administration is to listen; 0 is nowhere.");
    port["maximum"] = json!(u16::MAX);
    let request = object(
        "What a proxy has and wants. Other fields are ignored.",
        [
            ("mesh", name("The mesh of the Dataplane.")),
            ("name", name("The name of the Dataplane.")),
            ("adminPort", port),
            ("dataplaneTokenPath", path("The file that has the token, which itself is never sent.")),
            ("version", number("Of this request: 0 is Kuma 0.3.0's, without the fields below.")),
            ("workDir", path("The folder in which kuma-dp keeps `token.yaml` and `cp_ca.yaml`.")),
            ("envoyVersion", text("Of the Envoy that is going to be started.")),
            ("accessLogPipe", path("The FIFO from which kuma-dp reads access logs.")),
            ("adminSocket", path("Where Envoy's administration is to listen when it has no port.")),
        ],
    );
    let mut request = requiring(request, ["mesh", "name"]);
    request["additionalProperties"] = json!(true);
    request
}

/// The id of a signing key.
pub(super) fn kid() -> Value {
    json!({
        "type": "string", "pattern": "^[0-9a-f]{8}$", "description": "The id of a signing key.",
        "examples": ["0badcafe"],
    })
}

fn jti() -> Value {
    json!({"type": "string", "format": "uuid", "description": "The id of a token: its claim `jti`."})
}

/// One that has no pages.
fn a_plain_list(description: &str, type_name: &str) -> Value {
    requiring(object(description, [("items", list(component("schemas", type_name)))]), ["items"])
}

fn token_key() -> Value {
    let signs = boolean("Whether new tokens are signed with it; of the others those that there are hold.");
    requiring(object("A key that signs tokens.", [("kid", kid()), ("signs", signs)]), ["kid", "signs"])
}

fn token_key_made() -> Value {
    requiring(object("The key that signs from now on.", [("kid", kid())]), ["kid"])
}

fn token_revocation() -> Value {
    let exp = json!({
        "type": "integer", "minimum": 0,
        "description": "When the token ends by itself, in seconds since 1970, as far as that is known.",
    });
    requiring(object("A token that is refused.", [("jti", jti()), ("exp", exp)]), ["jti"])
}

fn token_revocation_request() -> Value {
    let mut request = object(
        "Which token to revoke.",
        [
            ("jti", jti()),
            ("token", non_empty_text("The token itself, of which only its id and end are kept.")),
        ],
    );
    request["oneOf"] = json!([{"required": ["jti"]}, {"required": ["token"]}]);
    request
}

fn token_revoked() -> Value {
    requiring(object("The token that is revoked.", [("jti", jti())]), ["jti"])
}

fn bootstrap() -> Value {
    json!({
        "type": "object",
        "description": "What Envoy starts with: its `envoy.config.bootstrap.v3.Bootstrap`.",
        "properties": {
            "node": {"type": "object"},
            "dynamicResources": {"type": "object"},
            "staticResources": {"type": "object"},
        },
        "required": ["node", "dynamicResources", "staticResources"],
    })
}

fn transaction() -> Value {
    let any_resource: Vec<_> = Kind::ALL.iter().map(|kind| component("schemas", kind.name())).collect();
    let resource = json!({"oneOf": any_resource, "discriminator": {"propertyName": "type"}});
    let if_match = || text("An entity tag, with its quotes or without, or `*`: as the header `If-Match`.");
    let put = object(
        "Creates or replaces a resource.",
        [("op", json!({"const": "put"})), ("ifMatch", if_match()), ("resource", resource)],
    );
    let names: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    let delete = object(
        "Deletes a resource.",
        [
            ("op", json!({"const": "delete"})),
            ("ifMatch", if_match()),
            ("type", json!({"enum": names})),
            ("mesh", text("Of what lives in a mesh.")),
            ("name", non_empty_text("The name of the resource.")),
        ],
    );
    let mut delete = requiring(delete, ["op", "type", "name"]);
    let in_mesh = Kind::ALL.iter().filter(|kind| kind.scope() == Scope::Mesh);
    let in_mesh: Vec<_> = in_mesh.map(|kind| kind.name()).collect();
    delete["if"] = json!({"properties": {"type": {"enum": in_mesh}}});
    delete["then"] = json!({"properties": {"mesh": {"minLength": 1}}, "required": ["mesh"]});
    let operation = json!({"oneOf": [requiring(put, ["op", "resource"]), delete]});
    let mut operations = list(operation);
    operations["maxItems"] = json!(OPERATIONS_MAX);
    operations["description"] = json!("In this order: each sees those before it.");
    requiring(
        object("Changes that happen together, or not at all.", [("operations", operations)]),
        ["operations"],
    )
}

fn transaction_result() -> Value {
    let outcomes =
        [Outcome::Created, Outcome::Configured, Outcome::Unchanged, Outcome::Deleted, Outcome::Absent];
    let mut results = list(json!({"enum": outcomes.map(Outcome::name)}));
    results["description"] = json!("What has become of each operation, in their order.");
    let result = object(
        "What a transaction has done.",
        [("revision", component("schemas", "Revision")), ("results", results)],
    );
    requiring(result, ["revision", "results"])
}
