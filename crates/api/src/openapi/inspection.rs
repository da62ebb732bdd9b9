//! What the inspection of a proxy looks like.

use model::{
    Kind, Scope,
    schema::{boolean, entity, list, name, non_empty_text, object, requiring, text, time},
};
use serde_json::{Value, json};

use super::component;
use crate::inspection::{INSPECTION_TYPE, Protocol, ResourceState};

pub(super) fn schema() -> Value {
    let warning = non_empty_text("A sentence for a person.");
    let inspection = object(
        "What the proxy of a Dataplane should have in Envoy's own terms, and what it has.",
        [
            ("revision", component("schemas", "Revision")),
            ("online", boolean("Whether a stream of the proxy is open.")),
            (
                "streams",
                described(list(inspected_stream()), "The open streams; the last one says what Envoy has."),
            ),
            ("certificate", inspected_certificate()),
            ("resources", described(list(inspected_resource()), "In the order in which they are sent.")),
            ("warnings", described(list(warning), "What will not do what somebody wants.")),
        ],
    );
    let fields = ["revision", "online", "streams", "resources", "warnings"];
    entity(INSPECTION_TYPE, Scope::Mesh, requiring(inspection, fields))
}

fn inspected_stream() -> Value {
    let stream = object(
        "One stream of the proxy.",
        [
            ("id", non_empty_text("The id of its subscription in the DataplaneInsight.")),
            ("protocol", json!({"enum": Protocol::ALL})),
            ("connectedAt", time("When it was opened.")),
            ("lastUpdateAt", time("When something was last sent or answered.")),
        ],
    );
    requiring(stream, ["id", "protocol", "connectedAt"])
}

fn inspected_certificate() -> Value {
    let certificate = object(
        "The certificate that the proxy was given last, while its mesh has mTLS.",
        [
            ("services", described(list(text("A service.")), "Those that it names.")),
            ("notAfter", time("When it ends.")),
            ("renewAt", time("When the proxy is given another.")),
            ("ca", non_empty_text("The id of the CA of the mesh that has signed it.")),
            (
                "fingerprint",
                non_empty_text("The first half of its SHA-256; the version of the secret `identity_cert`."),
            ),
        ],
    );
    requiring(certificate, ["services", "notAfter", "renewAt", "ca", "fingerprint"])
}

fn inspected_resource() -> Value {
    let acknowledged = object(
        "What Envoy has said last that it has taken.",
        [("version", non_empty_text("Its version.")), ("at", time("When."))],
    );
    let states = "`synced`: Envoy has this version. `pending`: it was sent and not answered yet. `notSent`: Envoy has not \
                  asked for it, is not connected, or its turn has not come. `rejected`: Envoy has refused it and keeps what \
                  it had. `removing`: it is not intended any more, and Envoy still has it.";
    let more_sources =
        json!({"type": "integer", "minimum": 1, "description": "How many sources there are beyond these."});
    let content = json!({
        "type": "object", "additionalProperties": {},
        "description": "With `full=true`: the resource in Envoy's JSON form, without secrets.",
    });
    let resource = object(
        "One Envoy resource.",
        [
            ("type", non_empty_text("The name of its message, such as `Listener`.")),
            ("typeUrl", non_empty_text("The type as Envoy names it.")),
            ("name", text("Its name in Envoy.")),
            ("version", non_empty_text("The version that is intended; none of what is removed.")),
            ("state", described(json!({"enum": ResourceState::ALL}), states)),
            ("acknowledged", requiring(acknowledged, ["version", "at"])),
            ("error", text("Of what is rejected: Envoy's words.")),
            ("sources", described(list(source()), "What it comes from, a hundred at most.")),
            ("moreSources", more_sources),
            ("content", content),
        ],
    );
    requiring(resource, ["type", "typeUrl", "name", "state", "sources"])
}

fn source() -> Value {
    let names: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    let source = object(
        "A resource that somebody has written.",
        [
            ("type", json!({"enum": names})),
            ("mesh", name("Its mesh; none of a Mesh.")),
            ("name", name("Its name.")),
            ("revision", component("schemas", "Revision")),
        ],
    );
    requiring(source, ["type", "name", "revision"])
}

fn described(mut schema: Value, description: &str) -> Value {
    schema["description"] = json!(description);
    schema
}
