//! What a request may say beside its body.

use model::schema::{boolean, name, text};
use serde_json::{Map, Value, json};

use super::{component, mesh_cas, schema::kid};
use crate::query::{PAGE_SIZE, PAGE_SIZE_MAX};

/// One parameter, by its name in the document's components.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parameter {
    Mesh,
    Name,
    Kid,
    MeshCaId,
    NamePart,
    Tag,
    Size,
    Offset,
    Watch,
    Since,
    DryRun,
    Force,
    Full,
    IfMatch,
    IfNoneMatch,
    MinRevision,
    LastEventId,
}

impl Parameter {
    const ALL: [Self; 17] = [
        Self::Mesh,
        Self::Name,
        Self::Kid,
        Self::MeshCaId,
        Self::NamePart,
        Self::Tag,
        Self::Size,
        Self::Offset,
        Self::Watch,
        Self::Since,
        Self::DryRun,
        Self::Force,
        Self::Full,
        Self::IfMatch,
        Self::IfNoneMatch,
        Self::MinRevision,
        Self::LastEventId,
    ];

    pub(super) fn reference(self) -> Value {
        component("parameters", &self.component_name())
    }

    fn component_name(self) -> String {
        format!("{self:?}")
    }

    fn describe(self) -> Value {
        match self {
            Self::Mesh => in_path("mesh", "The mesh.", name("Lower-case letters, digits, `-` and `_`.")),
            Self::Name => {
                in_path("name", "The name of the resource.", name("Lower-case letters, digits, `-` and `_`."))
            }
            Self::Kid => in_path("kid", "The id of the key, as the header of its tokens has it.", kid()),
            Self::MeshCaId => {
                in_path("id", "The id of the certificate authority, as the list has it.", mesh_cas::id())
            }
            Self::NamePart => {
                in_query("name", "Lists only what has this text in its name.", json!({"type": "string"}))
            }
            Self::Tag => tag(),
            Self::Size => {
                let schema = json!({"type": "integer", "minimum": 1, "maximum": PAGE_SIZE_MAX});
                let description = format!(
                    "Asks for a page of at most so many items, {PAGE_SIZE} if only `offset` is given. Without \
                     either the whole list is answered."
                );
                in_query("size", &description, schema)
            }
            Self::Offset => {
                let schema = json!({"type": "integer", "minimum": 0});
                in_query("offset", "Asks for the page that begins behind so many items.", schema)
            }
            Self::Watch => in_query(
                "watch",
                "Answers with events instead: what is there, then every change as it is committed. It cannot be \
                 combined with `size`, `offset` and `tag`.",
                boolean("`true` or `false`."),
            ),
            Self::Since => in_query(
                "since",
                "For a watch: leaves out what is there and begins with the changes after this revision.",
                component("schemas", "Revision"),
            ),
            Self::DryRun => in_query(
                "dryRun",
                "Judges the request and answers as ever, and changes nothing.",
                boolean("`true` or `false`."),
            ),
            Self::Force => in_query(
                "force",
                "Does it at once, although proxies are not ready: they may refuse each other until they are.",
                boolean("`true` or `false`."),
            ),
            Self::Full => in_query(
                "full",
                "Shows the content of each resource, too, without secrets.",
                boolean("`true` or `false`."),
            ),
            Self::IfMatch => in_header(
                "If-Match",
                "Changes the resource only while it has one of these entity tags; `*`: only if it is there. Otherwise \
                 the answer is 412.",
                text("Entity tags with commas between them, or `*`."),
            ),
            Self::IfNoneMatch => in_header(
                "If-None-Match",
                "Of a read: 304 if the resource has one of these entity tags. Of a change: 412 if it has; `*`: if it \
                 is there, so that a PUT with it creates and never replaces.",
                text("Entity tags with commas between them, or `*`."),
            ),
            Self::MinRevision => in_header(
                "Kuma-Min-Revision",
                "Waits a few seconds until this instance has this revision: what another answer had as its \
                 `Kuma-Revision`.",
                component("schemas", "Revision"),
            ),
            Self::LastEventId => in_header(
                "Last-Event-ID",
                "What a browser sends when it comes back to a watch; it counts more than `since`.",
                component("schemas", "Revision"),
            ),
        }
    }
}

/// For the document's components.
pub(super) fn components() -> Map<String, Value> {
    Parameter::ALL.into_iter().map(|parameter| (parameter.component_name(), parameter.describe())).collect()
}

fn in_path(parameter: &str, description: &str, schema: Value) -> Value {
    let mut parameter =
        json!({"name": parameter, "in": "path", "required": true, "description": description});
    parameter["schema"] = schema;
    parameter
}

fn in_query(name: &str, description: &str, schema: Value) -> Value {
    optional("query", name, description, schema)
}

fn in_header(name: &str, description: &str, schema: Value) -> Value {
    optional("header", name, description, schema)
}

fn optional(place: &str, name: &str, description: &str, schema: Value) -> Value {
    let mut parameter = json!({"name": name, "in": place, "description": description});
    parameter["schema"] = schema;
    parameter
}

fn tag() -> Value {
    let schema = json!({"type": "array", "items": text("`key:value`; `*` is any value.")});
    let mut tag = in_query(
        "tag",
        "Lists only what has all of these tags: a dataplane on one inbound, a policy in one selector. Of one key the \
         last counts, and what has not exactly one colon is ignored.",
        schema,
    );
    tag["style"] = json!("form");
    tag["explode"] = json!(true);
    tag
}
