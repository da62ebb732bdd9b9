//! What reads a request, for the fuzz targets and for nobody else: the parsers as the routes use them, with their verdicts
//! in types that may leave the crate and their errors in the words that a client would see.

use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Uri,
    header::{ACCEPT, HOST, IF_MATCH},
};
use model::{Document, Key, Kind, Tags};
use plan::bootstrap::BootstrapRequest;
use store::Revision;

use crate::{
    HostPolicy, conditions,
    negotiate::{self, Format},
    path::{self, Route},
    query::Query,
    read,
    respond::{Refusal, title},
    transaction,
};

/// The body of a PUT in JSON.
pub fn json_document(kind: Kind, body: &[u8]) -> Result<Document, String> {
    read::document(kind, Format::Json, body, title::PROCESS).map_err(details)
}

/// The body of a PUT in YAML.
pub fn yaml_document(kind: Kind, body: &[u8]) -> Result<Document, String> {
    read::document(kind, Format::Yaml, body, title::PROCESS).map_err(details)
}

/// An entity as it is answered to whoever accepts YAML.
pub fn to_yaml(json: &[u8]) -> Result<String, String> {
    negotiate::to_yaml(json)
}

/// The number of operations in the body of a transaction in JSON.
pub fn json_transaction(body: &[u8]) -> Result<usize, String> {
    transaction::operations(Format::Json, body).map_err(details)
}

/// The number of operations in the body of a transaction in YAML.
pub fn yaml_transaction(body: &[u8]) -> Result<usize, String> {
    transaction::operations(Format::Yaml, body).map_err(details)
}

/// The body of `POST /bootstrap`.
pub fn bootstrap_request(body: &[u8]) -> Result<BootstrapRequest, String> {
    read::request(body, title::BOOTSTRAP).map_err(details)
}

/// What a path names, as another path that names the same, with every byte encoded that a client chose; `None` when nothing
/// is there.
pub fn path(path: &str) -> Result<Option<String>, String> {
    let route = path::parse(path).map_err(|error| error.to_string())?;
    Ok(route.as_ref().map(canonical))
}

fn canonical(route: &Route) -> String {
    let of = |key: &Key| (Some(key.mesh.to_string()), Some(key.name.to_string()));
    let (collection, (mesh, name)) = match route {
        Route::Collection { kind, mesh } => (kind.path(), (mesh.clone(), None)),
        Route::Overviews { mesh } | Route::Insights { mesh } => ("", (mesh.clone(), None)),
        Route::Item(key) => (key.kind.path(), of(key)),
        Route::Overview(key) | Route::Insight(key) | Route::Inspection(key) => ("", of(key)),
        Route::TokenKey(kid) => ("", (None, Some(kid.clone()))),
        Route::MeshCas(mesh) => ("", (Some(mesh.clone()), None)),
        Route::MeshCa { mesh, id } | Route::MeshCaSigning { mesh, id } => {
            ("", (Some(mesh.clone()), Some(id.clone())))
        }
        _ => ("", (None, None)),
    };
    let encoded = |text: Option<String>| {
        text.unwrap_or_default().bytes().fold(String::new(), |path, byte| path + &format!("%{byte:02x}"))
    };
    let path = route.pattern().replace("{collection}", collection);
    let name = encoded(name);
    let path = path.replace("{mesh}", &encoded(mesh)).replace("{name}", &name);
    path.replace("{kid}", &name).replace("{id}", &name)
}

/// The tags that a query filters by; `None` for what is no part of a URI.
pub fn query_tags(query: &str) -> Option<Tags> {
    Some(parsed(query)?.tags())
}

/// The query that asks for the same page again; `None` where none is asked for.
pub fn query_page(query: &str) -> Result<Option<String>, String> {
    let Some(query) = parsed(query) else { return Ok(None) };
    let page = query.page(title::RETRIEVE_LIST).map_err(details)?;
    Ok(page.map(|page| query.with_page(page)))
}

fn parsed(query: &str) -> Option<Query> {
    format!("/meshes?{query}").parse::<Uri>().ok().map(|uri| Query::of(&uri))
}

/// Whether a write with this `If-Match` would be done; `None` for what is no header.
pub fn if_match(value: &[u8], current: Option<Revision>) -> Option<bool> {
    let headers = headers(&IF_MATCH, &[value])?;
    Some(conditions::preconditions(&headers, &Key::mesh("m"), current, title::UPDATE).is_ok())
}

/// The media type that these `Accept` headers are answered with; the outer `None` for what is no header.
pub fn accepted(values: &[&[u8]]) -> Option<Option<&'static str>> {
    let headers = headers(&ACCEPT, values)?;
    Some(negotiate::accepted(&headers, title::REQUEST).ok().map(Format::media))
}

/// Whether a control plane without any name but loopback's is asked under this `Host`; `None` for what is no header.
pub fn is_loopback(host: &[u8]) -> Option<bool> {
    let host = HeaderValue::from_bytes(host).ok()?;
    let (parts, ()) = Request::builder().header(HOST, host).body(()).ok()?.into_parts();
    Some(HostPolicy::default().admit(&parts).is_ok())
}

fn headers(name: &HeaderName, values: &[&[u8]]) -> Option<HeaderMap> {
    values.iter().map(|value| Some((name.clone(), HeaderValue::from_bytes(value).ok()?))).collect()
}

fn details(refusal: Refusal) -> String {
    refusal.details.into_owned()
}
