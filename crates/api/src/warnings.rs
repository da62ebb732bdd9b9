//! What a valid write will not do as it stands: a tag or a service that nothing carries, a setting that nothing enforces.
//! Said in `Warning` headers (RFC 7234, section 5.5), because it is no error: the other half may be written a moment later.

use std::{collections::BTreeMap, sync::Arc};

use http::{HeaderMap, HeaderValue, header::WARNING};
use model::{
    Dataplane, Key, Kind, Mesh, Selector, Spec, Tags, TrafficLog, TrafficRoute,
    kinds::logging::{Logging, LoggingBackend},
};
use store::Present;

/// Headers have to stay small, and a person reads no more.
const WARNINGS: usize = 8;
const WARNING_CHARS: usize = 240;

/// How many services and tags are looked for, over all that is put together: nobody reads on after so many.
const LOOKED_FOR: usize = 200;

/// Adds a header for each warning about what was just put; `present` has it.
pub(crate) async fn warn(headers: &mut HeaderMap, present: Arc<Present>, put: Vec<(Key, Arc<Spec>)>) {
    // Raw resources may cost far more than their size, so they are read off the threads that serve others.
    let is_costly = put.iter().any(|(key, _)| key.kind == Kind::ProxyTemplate);
    let find = move || sentences(&present, &put);
    let found = if is_costly { tokio::task::spawn_blocking(find).await.unwrap_or_default() } else { find() };
    for sentence in found {
        // RFC 7234, section 5.5: 299 is a lasting warning, `-` an agent without a name.
        if let Ok(warning) = HeaderValue::try_from(format!("299 - \"{}\"", quoted(&sentence))) {
            headers.append(WARNING, warning);
        }
    }
}

fn sentences(present: &Present, put: &[(Key, Arc<Spec>)]) -> Vec<String> {
    let mut looks = LOOKED_FOR;
    let sentences = put.iter().flat_map(|(key, spec)| about(present, key, spec, &mut looks));
    let mut sentences: Vec<String> = sentences.take(WARNINGS + 1).collect();
    if let Some(last) = sentences.get_mut(WARNINGS) {
        "there are more warnings like these".clone_into(last);
    }
    sentences
}

fn about(present: &Present, key: &Key, spec: &Spec, looks: &mut usize) -> Vec<String> {
    let mut sentences = match spec {
        Spec::Mesh(mesh) => permissive(mesh).into_iter().chain(unusable_backends(mesh)).collect(),
        Spec::TrafficPermission(_) => unenforced(present, &key.mesh),
        Spec::TrafficLog(log) => without_backend(present, &key.mesh, log),
        Spec::ProxyTemplate(template) => plan::template_warnings(template),
        Spec::Dataplane(_) | Spec::TrafficRoute(_) => Vec::new(),
    };
    let wanted = wanted(spec).into_iter().take(*looks).collect::<Wanted>();
    *looks -= wanted.len();
    sentences.extend(not_carried(present, &key.mesh, wanted));
    sentences
}

/// Nobody should believe in a protection that is not there.
fn permissive(mesh: &Mesh) -> Vec<String> {
    let sentence = match (mesh.mtls_permissive(), mesh.mtls_enabled()) {
        (false, _) => return Vec::new(),
        (true, true) => {
            "mtls.permissive: inbounds take plain connections, too, and permissions refuse nobody, until it is taken away"
        }
        (true, false) => {
            "mtls.permissive: inbounds are ready for TLS, nobody uses it until mtls.enabled is true, and permissions refuse \
             nobody"
        }
    };
    vec![sentence.to_owned()]
}

/// What kuma-dp could not write to: nobody knows which folder a relative path would begin in.
fn unusable_backends(mesh: &Mesh) -> Vec<String> {
    let backends = mesh.logging.as_ref().map(Logging::backends).unwrap_or_default();
    let unusable = |(i, backend): (usize, &LoggingBackend)| {
        let (field, because) = match (&backend.file, &backend.tcp) {
            (Some(file), _) if !file.is_usable() => ("file.path", "it is not absolute"),
            (None, Some(tcp)) if tcp.host_and_port_number().is_none() => {
                ("tcp.address", "it is no host with a port from 1 to 65535 in digits")
            }
            _ => return None,
        };
        Some(format!("logging.backends[{i}].{field}: {because}, so nothing is logged by this backend"))
    };
    backends.iter().enumerate().filter_map(unusable).collect()
}

fn settings<'a>(present: &'a Present, mesh: &str) -> Option<&'a Mesh> {
    match &*present.get(&Key::mesh(mesh))?.spec {
        Spec::Mesh(settings) => Some(settings),
        _ => None,
    }
}

/// A permission is enforced where mTLS is demanded.
fn unenforced(present: &Present, mesh: &str) -> Vec<String> {
    let settings = settings(present, mesh);
    if settings.is_some_and(Mesh::mtls_permissive) {
        let until = "until its mtls.permissive is taken away";
        return vec![format!("mTLS is permissive in mesh {mesh}, so its permissions refuse nobody {until}")];
    }
    if settings.is_some_and(Mesh::mtls_enabled) {
        return Vec::new();
    }
    vec![format!("mTLS is not enabled in mesh {mesh}, so its permissions enforce nothing")]
}

/// A log that names no backend goes to the mesh's default one.
fn without_backend(present: &Present, mesh: &str, log: &TrafficLog) -> Vec<String> {
    let logging = settings(present, mesh).and_then(|settings| settings.logging.as_ref());
    let has = |name: &str| {
        logging.is_some_and(|logging| logging.backends().iter().any(|backend| backend.name == name))
    };
    match log.backend() {
        Some(name) if !has(name) => {
            vec![format!("conf.backend: mesh {mesh} has no logging backend {name}, so nothing is logged")]
        }
        None if !logging.is_some_and(|logging| has(&logging.default_backend)) => {
            vec![format!("conf.backend: mesh {mesh} has no default logging backend, so nothing is logged")]
        }
        _ => Vec::new(),
    }
}

fn not_carried(present: &Present, mesh: &str, wanted: Wanted) -> Vec<String> {
    let missing = wanted.into_iter().filter(|(_, tags)| !present.any_tagged(Kind::Dataplane, mesh, tags));
    missing.take(WARNINGS + 1).map(|(field, tags)| sentence(&field, &tags, mesh)).collect()
}

/// A field, and tags that some inbound should carry.
type Wanted = Vec<(String, Tags)>;

fn wanted(spec: &Spec) -> Wanted {
    match spec {
        Spec::Mesh(_) => Wanted::new(),
        Spec::Dataplane(dataplane) => wanted_by_dataplane(dataplane),
        Spec::ProxyTemplate(template) => wanted_by_selectors("selectors", template.selectors()).collect(),
        Spec::TrafficPermission(permission) => {
            wanted_between(permission.sources(), permission.destinations())
        }
        Spec::TrafficLog(log) => wanted_between(log.sources(), log.destinations()),
        Spec::TrafficRoute(route) => wanted_by_route(route),
    }
}

fn wanted_between(sources: &[Selector], destinations: &[Selector]) -> Wanted {
    wanted_by_selectors("sources", sources).chain(wanted_by_selectors("destinations", destinations)).collect()
}

fn wanted_by_selectors<'a>(
    field: &'a str,
    selectors: &'a [Selector],
) -> impl Iterator<Item = (String, Tags)> + 'a {
    let numbered = selectors.iter().enumerate();
    numbered.map(move |(i, selector)| (format!("{field}[{i}].match"), selector.tags().clone()))
}

fn wanted_by_dataplane(dataplane: &Dataplane) -> Wanted {
    let outbounds = dataplane.outbounds().iter().enumerate();
    outbounds
        .map(|(i, outbound)| {
            let tags = BTreeMap::from([(model::SERVICE_TAG.to_owned(), outbound.service.clone())]);
            (format!("networking.outbound[{i}].service"), tags)
        })
        .collect()
}

fn wanted_by_route(route: &TrafficRoute) -> Wanted {
    // A weight of 0 takes nothing, so nothing has to be there.
    let conf = route.conf().iter().enumerate().filter(|(_, entry)| entry.weight > 0);
    let conf = conf.map(|(i, entry)| (format!("conf[{i}].destination"), entry.destination().clone()));
    wanted_between(route.sources(), route.destinations()).into_iter().chain(conf).collect()
}

fn sentence(field: &str, tags: &Tags, mesh: &str) -> String {
    let tags: Vec<String> = tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    format!("{field}: no dataplane in mesh {mesh} carries {}", tags.join(" "))
}

/// As the inside of a quoted string in a header, printable ASCII alone.
fn quoted(sentence: &str) -> String {
    let escape = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        ' '..='~' => c.to_string(),
        _ => "?".to_owned(),
    };
    let mut text: String = sentence.chars().take(WARNING_CHARS).map(escape).collect();
    if sentence.chars().nth(WARNING_CHARS).is_some() {
        text.push_str("...");
    }
    text
}
