//! Which thing of the API a path names.
//!
//! A parser of our own stands where a router's patterns would, because they cannot say three things that Kuma's paths
//! need: percent-encoding is undone before anything is compared, but an encoded slash belongs to the name and never
//! separates; `+` is a plus; and a trailing slash changes nothing. The routes follow from the table of kinds.

use std::borrow::Cow;

use model::{Key, Kind, Scope};

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Index,
    Catalogue,
    Config,
    Ca,
    Tokens,
    Revocations,
    TokenKeys,
    /// By its kid.
    TokenKey(String),
    Bootstrap,
    Transactions,
    OpenApi,
    /// All of a kind in a mesh; without one across all meshes, and so always for a kind that lives in none.
    Collection {
        kind: Kind,
        mesh: Option<String>,
    },
    Item(Key),
    /// Dataplanes, each with what is known of its proxy.
    Overviews {
        mesh: Option<String>,
    },
    /// By the Dataplane's key.
    Overview(Key),
    /// What is known of proxies, alone.
    Insights {
        mesh: Option<String>,
    },
    /// By the Dataplane's key.
    Insight(Key),
    /// What a proxy should have in Envoy's terms, and what it has. By the Dataplane's key.
    Inspection(Key),
    /// The certificate authorities of a mesh.
    MeshCas(String),
    MeshCa {
        mesh: String,
        id: String,
    },
    /// That this one signs.
    MeshCaSigning {
        mesh: String,
        id: String,
    },
}

/// A path that is not percent-encoded UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path is not percent-encoded UTF-8")]
pub(crate) struct NotUtf8;

/// The methods of what can only be read.
pub(crate) const READ: &[&str] = &["GET", "HEAD"];

/// The routes that have no part of a client's choice.
const FIXED: [(&str, Route); 10] = [
    ("/", Route::Index),
    ("/bootstrap", Route::Bootstrap),
    ("/ca.pem", Route::Ca),
    ("/catalogue", Route::Catalogue),
    ("/config", Route::Config),
    ("/openapi.json", Route::OpenApi),
    ("/tokens", Route::Tokens),
    ("/tokens/keys", Route::TokenKeys),
    ("/tokens/revocations", Route::Revocations),
    ("/transactions", Route::Transactions),
];

/// The second spelling is that of a few examples in Kuma's documentation.
const OVERVIEWS: [&str; 2] = ["dataplanes+insights", "dataplane+insights"];
const INSIGHTS: &str = "dataplane-insights";
const INSPECTION: &str = "xds";
const MESH_CAS: &str = "certificate-authorities";
const SIGNING: &str = "signing";

/// A path as the documentation writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    /// `{mesh}`, `{name}`, `{kid}` and `{id}` stand where clients put names of their own.
    pub(crate) path: String,
    /// What the path names if it is taken at its word.
    pub(crate) route: Route,
    /// Other spellings that work as well.
    pub(crate) others: Vec<String>,
}

/// Every route, once.
pub(crate) fn templates() -> Vec<Template> {
    let fixed =
        FIXED.into_iter().map(|(path, route)| Template { path: path.to_owned(), route, others: Vec::new() });
    let key = Route::TokenKey("{kid}".to_owned());
    let key = Template { path: "/tokens/keys/{kid}".to_owned(), route: key, others: Vec::new() };
    let kinds = Kind::ALL.iter().flat_map(|kind| family(kind.scope(), kind.path(), kind.other_paths()));
    let overviews = family(Scope::Mesh, OVERVIEWS[0], &OVERVIEWS[1..]);
    let insights = family(Scope::Mesh, INSIGHTS, &[]);
    fixed
        .chain([key])
        .chain(kinds)
        .chain(overviews)
        .chain(insights)
        .chain([inspection()])
        .chain(mesh_cas())
        .collect()
}

fn mesh_cas() -> [Template; 3] {
    let (mesh, id) = ("{mesh}".to_owned(), "{id}".to_owned());
    let one = Route::MeshCa { mesh: mesh.clone(), id: id.clone() };
    [Route::MeshCas(mesh.clone()), one, Route::MeshCaSigning { mesh, id }].map(|route| Template {
        path: route.pattern().to_owned(),
        route,
        others: Vec::new(),
    })
}

fn inspection() -> Template {
    let route = Route::Inspection(Key::new(Kind::Dataplane, "{mesh}", "{name}"));
    Template { path: route.pattern().to_owned(), route, others: Vec::new() }
}

/// The collections and the items of what is called `segment` in a path.
fn family(scope: Scope, segment: &str, other_segments: &[&str]) -> Vec<Template> {
    let shapes: &[(&str, &str)] = match scope {
        Scope::Global => &[("/", ""), ("/", "/{name}")],
        Scope::Mesh => &[("/", ""), ("/meshes/{mesh}/", ""), ("/meshes/{mesh}/", "/{name}")],
    };
    let template = |(before, after): &(&str, &str)| {
        let path = format!("{before}{segment}{after}");
        let others = other_segments.iter().map(|other| format!("{before}{other}{after}")).collect();
        let route = parse(&path).ok().flatten().expect("the paths of each family are in the table");
        Template { path, route, others }
    };
    shapes.iter().map(template).collect()
}

/// `None` when nothing is at that path.
pub(crate) fn parse(path: &str) -> Result<Option<Route>, NotUtf8> {
    let path = path.strip_prefix('/').unwrap_or(path);
    if path.is_empty() {
        return Ok(Some(Route::Index));
    }
    let path = path.strip_suffix('/').unwrap_or(path);
    let segments = path.split('/').map(decode).collect::<Result<Vec<_>, _>>()?;
    let segments: Vec<&str> = segments.iter().map(|segment| &**segment).collect();
    Ok(route(&segments))
}

fn route(segments: &[&str]) -> Option<Route> {
    if segments.contains(&"") {
        return None;
    }
    match *segments {
        [word] => fixed(segments).or_else(|| collection_of(word, None)),
        ["tokens", _] => fixed(segments),
        ["tokens", "keys", kid] => Some(Route::TokenKey(kid.to_owned())),
        [collection, name] => Some(Route::Item(Key::new(kind(collection, Scope::Global)?, "", name))),
        ["meshes", mesh, MESH_CAS] => Some(Route::MeshCas(mesh.to_owned())),
        ["meshes", mesh, MESH_CAS, id] => Some(Route::MeshCa { mesh: mesh.to_owned(), id: id.to_owned() }),
        ["meshes", mesh, MESH_CAS, id, SIGNING] => {
            Some(Route::MeshCaSigning { mesh: mesh.to_owned(), id: id.to_owned() })
        }
        ["meshes", mesh, collection] => {
            collection_of(collection, Some(mesh)).filter(|route| !route.is_of_meshes())
        }
        ["meshes", mesh, collection, name] => item_in_mesh(mesh, collection, name),
        ["meshes", mesh, collection, name, INSPECTION] if collection == Kind::Dataplane.path() => {
            Some(Route::Inspection(Key::new(Kind::Dataplane, mesh, name)))
        }
        _ => None,
    }
}

fn fixed(segments: &[&str]) -> Option<Route> {
    let (_, route) = FIXED.iter().find(|(path, _)| path.split('/').skip(1).eq(segments.iter().copied()))?;
    Some(route.clone())
}

fn collection_of(collection: &str, mesh: Option<&str>) -> Option<Route> {
    let mesh = mesh.map(str::to_owned);
    if OVERVIEWS.contains(&collection) {
        return Some(Route::Overviews { mesh });
    }
    if collection == INSIGHTS {
        return Some(Route::Insights { mesh });
    }
    Some(Route::Collection { kind: Kind::from_path(collection)?, mesh })
}

fn item_in_mesh(mesh: &str, collection: &str, name: &str) -> Option<Route> {
    if OVERVIEWS.contains(&collection) {
        return Some(Route::Overview(Key::new(Kind::Dataplane, mesh, name)));
    }
    if collection == INSIGHTS {
        return Some(Route::Insight(Key::new(Kind::Dataplane, mesh, name)));
    }
    Some(Route::Item(Key::new(kind(collection, Scope::Mesh)?, mesh, name)))
}

fn kind(collection: &str, scope: Scope) -> Option<Kind> {
    Kind::from_path(collection).filter(|kind| kind.scope() == scope)
}

/// As it stands where nothing is encoded, which is nearly always.
fn decode(segment: &str) -> Result<Cow<'_, str>, NotUtf8> {
    if !segment.contains('%') {
        return Ok(Cow::Borrowed(segment));
    }
    let mut decoded = Vec::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (Some(high), Some(low)) = (digit(bytes.next()), digit(bytes.next())) else { return Err(NotUtf8) };
        decoded.push(u8::try_from(16 * high + low).map_err(|_| NotUtf8)?);
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| NotUtf8)
}

impl Route {
    /// What may be asked of it: the methods, as `Allow` lists them.
    pub(crate) fn methods(&self) -> &'static [&'static str] {
        match self {
            Self::Item(_) => &["GET", "HEAD", "PUT", "DELETE"],
            Self::Revocations | Self::TokenKeys | Self::MeshCas(_) => &["GET", "HEAD", "POST"],
            Self::TokenKey(_) | Self::MeshCa { .. } => &["DELETE"],
            Self::Tokens | Self::Bootstrap | Self::Transactions | Self::MeshCaSigning { .. } => &["POST"],
            _ => READ,
        }
    }

    /// Whether it gives out tokens, or decides which hold.
    pub(crate) fn is_of_tokens(&self) -> bool {
        matches!(self, Self::Tokens | Self::Revocations | Self::TokenKeys | Self::TokenKey(_))
    }

    fn is_of_meshes(&self) -> bool {
        matches!(self, Self::Collection { kind, .. } if kind.scope() == Scope::Global)
    }

    /// The route as a metric names it: never a name that a client chose.
    pub(crate) fn pattern(&self) -> &'static str {
        match self {
            Self::Index => "/",
            Self::Catalogue => "/catalogue",
            Self::Config => "/config",
            Self::Ca => "/ca.pem",
            Self::Tokens => "/tokens",
            Self::Revocations => "/tokens/revocations",
            Self::TokenKeys => "/tokens/keys",
            Self::TokenKey(_) => "/tokens/keys/{kid}",
            Self::Bootstrap => "/bootstrap",
            Self::Transactions => "/transactions",
            Self::OpenApi => "/openapi.json",
            Self::Collection { mesh: None, .. } => "/{collection}",
            Self::Collection { .. } => "/meshes/{mesh}/{collection}",
            Self::Item(key) if key.kind.scope() == Scope::Global => "/{collection}/{name}",
            Self::Item(_) => "/meshes/{mesh}/{collection}/{name}",
            Self::Overviews { mesh: None } => "/dataplanes+insights",
            Self::Insights { mesh: None } => "/dataplane-insights",
            Self::Overviews { .. } => "/meshes/{mesh}/dataplanes+insights",
            Self::Overview(_) => "/meshes/{mesh}/dataplanes+insights/{name}",
            Self::Insights { .. } => "/meshes/{mesh}/dataplane-insights",
            Self::Insight(_) => "/meshes/{mesh}/dataplane-insights/{name}",
            Self::Inspection(_) => "/meshes/{mesh}/dataplanes/{name}/xds",
            Self::MeshCas(_) => "/meshes/{mesh}/certificate-authorities",
            Self::MeshCa { .. } => "/meshes/{mesh}/certificate-authorities/{id}",
            Self::MeshCaSigning { .. } => "/meshes/{mesh}/certificate-authorities/{id}/signing",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataplane(mesh: &str, name: &str) -> Key {
        Key::new(Kind::Dataplane, mesh, name)
    }

    #[test]
    fn every_kind_has_its_collection_and_its_items_in_each_spelling() {
        for &kind in Kind::ALL {
            let (prefix, mesh) = match kind.scope() {
                Scope::Global => ("", None),
                Scope::Mesh => ("/meshes/demo", Some("demo")),
            };
            for path in [&[kind.path()], kind.other_paths()].concat() {
                let everywhere = Route::Collection { kind, mesh: None };
                assert_eq!(parse(&format!("/{path}")), Ok(Some(everywhere)));
                let collection = Route::Collection { kind, mesh: mesh.map(str::to_owned) };
                assert_eq!(parse(&format!("{prefix}/{path}")), Ok(Some(collection)));
                let item = Route::Item(Key::new(kind, mesh.unwrap_or_default(), "x"));
                assert_eq!(parse(&format!("{prefix}/{path}/x")), Ok(Some(item)));
            }
        }
    }

    #[test]
    fn a_template_names_its_route_in_every_spelling() {
        for Template { path, route, others } in templates() {
            for spelling in [&[path][..], &others].concat() {
                assert_eq!(parse(&spelling), Ok(Some(route.clone())), "{spelling}");
            }
        }
    }

    #[test]
    fn a_path_is_compared_once_its_encoding_is_undone() {
        let overviews = Some(Route::Overviews { mesh: Some("demo".into()) });
        for (path, expected) in [
            ("/", Some(Route::Index)),
            ("/catalogue/", Some(Route::Catalogue)),
            ("/meshes/", Some(Route::Collection { kind: Kind::Mesh, mesh: None })),
            ("/meshes/demo/", Some(Route::Item(Key::mesh("demo")))),
            ("/%6deshes/d%65mo", Some(Route::Item(Key::mesh("demo")))),
            ("/meshes/demo%2Fdataplanes/", Some(Route::Item(Key::mesh("demo/dataplanes")))),
            ("/meshes/demo/dataplanes/web/", Some(Route::Item(dataplane("demo", "web")))),
            ("/meshes/demo/dataplanes/a%2Fb", Some(Route::Item(dataplane("demo", "a/b")))),
            ("/meshes/demo/dataplanes/%C3%A9", Some(Route::Item(dataplane("demo", "é")))),
            ("/meshes/demo/dataplanes/dataplanes", Some(Route::Item(dataplane("demo", "dataplanes")))),
            ("/meshes/demo/dataplanes+insights", overviews.clone()),
            ("/meshes/demo/dataplanes%2Binsights", overviews.clone()),
            ("/meshes/demo/dataplane+insights/", overviews),
            ("/dataplanes+insights", Some(Route::Overviews { mesh: None })),
            ("/dataplane-insights", Some(Route::Insights { mesh: None })),
            ("/transactions/", Some(Route::Transactions)),
            ("/openapi.json", Some(Route::OpenApi)),
            ("/meshes/demo/dataplane+insights/web", Some(Route::Overview(dataplane("demo", "web")))),
            ("/meshes/demo/dataplane-insights/web", Some(Route::Insight(dataplane("demo", "web")))),
            ("/meshes/demo/dataplanes/web/xds", Some(Route::Inspection(dataplane("demo", "web")))),
            ("/meshes/demo/dataplanes/a%2Fb/%78ds/", Some(Route::Inspection(dataplane("demo", "a/b")))),
            ("/meshes/demo/certificate-authorities/", Some(Route::MeshCas("demo".into()))),
            (
                "/meshes/demo/certificate-authorities/%31",
                Some(Route::MeshCa { mesh: "demo".into(), id: "1".into() }),
            ),
            (
                "/meshes/demo/certificate-authorities/1/signing",
                Some(Route::MeshCaSigning { mesh: "demo".into(), id: "1".into() }),
            ),
        ] {
            assert_eq!(parse(path), Ok(expected), "{path}");
        }
    }

    #[test]
    fn nothing_is_anywhere_else() {
        for path in [
            "//",
            "/nothing",
            "/MESHES",
            "/meshes//",
            "/meshes//dataplanes",
            "/meshes/demo//",
            "/meshes/demo/Dataplanes",
            "/meshes/demo/dataplane",
            "/meshes/demo/meshes",
            "/meshes/demo/dataplanes%20insights",
            "/meshes%2Fdemo",
            "/meshes/demo/dataplanes/web/stats",
            "/meshes/demo/dataplanes/web/xds/x",
            "/meshes/demo/dataplanes//xds",
            "/meshes/demo/traffic-routes/web/xds",
            "/meshes/demo/dataplanes+insights/web/xds",
            "/meshes/demo/certificate-authorities//signing",
            "/meshes/demo/certificate-authorities/1/signs",
            "/meshes/demo/dataplanes/web/signing",
            "/meshes/certificate-authorities/1/signing",
            "/certificate-authorities",
            "/dataplanes/web",
            "/catalogue/x",
            "/index.html",
            "*",
        ] {
            assert_eq!(parse(path), Ok(None), "{path}");
        }
    }

    #[test]
    fn what_is_no_percent_encoded_utf_8_is_an_error() {
        for path in ["/meshes/%", "/meshes/%4", "/meshes/%zz", "/meshes/%FF", "/meshes/%+1"] {
            assert_eq!(parse(path), Err(NotUtf8), "{path}");
        }
    }
}
