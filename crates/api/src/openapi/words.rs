//! What one method does on one path, in words.

use model::{Kind, Scope};

use crate::path::Route;

/// A summary and a description.
pub(super) fn words(route: &Route, type_name: &str, method: &str) -> (String, &'static str) {
    if method == "HEAD" {
        let (summary, _) = words(route, type_name, "GET");
        return (format!("{summary}: the headers alone"), "As GET, without the body.");
    }
    let alone = |summary: &str, description| (summary.to_owned(), description);
    match route {
        Route::Item(key) => words_of_item(key.kind, method),
        Route::Overview(_) => {
            (format!("Read one {type_name}"), "What is known of the proxy is empty until it has connected.")
        }
        Route::Insight(_) => (format!("Read one {type_name}"), "404 until the proxy has connected."),
        Route::Inspection(_) => alone(
            "Inspect the proxy of one Dataplane",
            "Each Envoy resource that it should have: whether Envoy has it, in Envoy's own words why not, and which \
             resources of the mesh it comes from.",
        ),
        Route::Collection { mesh: Some(_), .. }
        | Route::Overviews { mesh: Some(_) }
        | Route::Insights { mesh: Some(_) } => (
            format!("List each {type_name} of a mesh"),
            "By name. Of a mesh that is not there the list is empty.",
        ),
        Route::Collection { kind, .. } if kind.scope() == Scope::Global => {
            (format!("List each {type_name}"), "By name.")
        }
        Route::Collection { .. } | Route::Overviews { .. } | Route::Insights { .. } => {
            (format!("List each {type_name} of all meshes"), "By mesh, and then by name.")
        }
        Route::Index => alone("Say who is here", "By the tagline clients recognise a control plane."),
        Route::Catalogue => {
            alone("Say where the APIs are", "Each URL is the one under which the catalogue was asked for.")
        }
        Route::Config => alone("Read the configuration", "As it is in effect, with its secrets masked."),
        Route::Ca => alone(
            "Read the control plane's CA",
            "The certificate by which proxies recognise the control plane.",
        ),
        Route::OpenApi => alone("Read this document", "It is the same whatever the configuration."),
        Route::Tokens => alone(
            "Give out a dataplane's token",
            "By its token a proxy proves whose it is. The token is in the answer and nowhere else. 404 where \
             `dataplaneTokenServer.enabled` is false.",
        ),
        Route::Revocations if method == "POST" => alone(
            "Revoke a token",
            "It is refused from now on, and the stream that it has opened ends. Of a token that is given only its id and \
             its end are kept. It is no error if it is revoked already. 409 if as many are revoked as can be.",
        ),
        Route::Revocations => alone(
            "List the revoked tokens",
            "By id. A token that has ended is forgotten after a while, and so is one whose signing key was retired.",
        ),
        Route::TokenKeys if method == "POST" => alone(
            "Make a new signing key",
            "It signs from now on; those before it still verify. 409 if there are as many as can be.",
        ),
        Route::TokenKeys => alone("List the signing keys", "The oldest first: the last signs."),
        Route::TokenKey(_) => alone(
            "Retire a signing key",
            "What it has signed is refused from now on, and the streams that were opened with it end. 409 if it is the one \
             that signs.",
        ),
        Route::MeshCas(_) if method == "POST" => alone(
            "Make a certificate authority of a mesh",
            "All proxies of the mesh trust it from now on; it signs once it is told to. 409 if there are as many as can be.",
        ),
        Route::MeshCas(_) => alone(
            "List the certificate authorities of a mesh",
            "The oldest first, each with the proxies that trust it and those that use a certificate of it.",
        ),
        Route::MeshCaSigning { .. } => alone(
            "Have a certificate authority sign",
            "Every proxy is given a certificate that it has signed; the others are trusted as before. 409 while a connected \
             proxy does not trust it yet.",
        ),
        Route::MeshCa { .. } => alone(
            "Retire a certificate authority of a mesh",
            "No proxy trusts it any more, and its key is gone. 409 if it is the one that signs, and while a connected proxy \
             uses a certificate of it.",
        ),
        Route::Bootstrap => alone(
            "Make the configuration with which a proxy's Envoy starts",
            "404 until the Dataplane has been created.",
        ),
        Route::Transactions => alone(
            "Change many resources at once",
            "All or nothing, as one revision. If anything is wrong nothing is done, and everything that is wrong comes \
             back together: each `field` begins with `operations[i].`.",
        ),
    }
}

fn words_of_item(kind: Kind, method: &str) -> (String, &'static str) {
    let type_name = kind.name();
    match method {
        "PUT" => (
            format!("Create or replace one {type_name}"),
            "Replaces all of it. What is there already, equal, stays as it is and takes no revision.",
        ),
        "DELETE" if kind == Kind::Mesh => (
            format!("Delete one {type_name}"),
            "Everything in the mesh is deleted with it. It is no error if there is nothing to delete.",
        ),
        "DELETE" => (format!("Delete one {type_name}"), "It is no error if there is nothing to delete."),
        _ => (
            format!("Read one {type_name}"),
            "With `If-None-Match` only if it has changed; with `watch` each change as it is committed.",
        ),
    }
}
