//! What a valid write will not do as it stands: a tag or a service that nothing carries, a setting that nothing enforces.
//! Said in `Warning` headers (RFC 7234, section 5.5), because it is no error: the other half may be written a moment later.

use std::collections::BTreeMap;

use model::{Dataplane, Inbound, Key, Kind, Mesh, Spec, Tags, TrafficRoute};
use store::Present;

/// Headers have to stay small, and a person reads no more.
const WARNINGS: usize = 8;
const WARNING_CHARS: usize = 240;

/// How many services and tags of one resource are looked for: each may cost a look at every Dataplane of the mesh.
const LOOKED_FOR: usize = 200;

/// One sentence each, ready to stand between quotes in a header.
pub(crate) fn warnings(present: &Present, key: &Key, spec: &Spec) -> Vec<String> {
    let mut sentences = match spec {
        Spec::Mesh(mesh) => unenforced(mesh),
        Spec::Dataplane(dataplane) => not_carried(present, &key.mesh, wanted_by_dataplane(dataplane)),
        Spec::TrafficRoute(route) => not_carried(present, &key.mesh, wanted_by_route(route)),
    };
    if sentences.len() > WARNINGS {
        sentences.truncate(WARNINGS);
        sentences.push("there are more warnings like these".to_owned());
    }
    sentences.iter().map(|sentence| quoted(sentence)).collect()
}

/// Nobody should believe in an encryption that is not there.
fn unenforced(mesh: &Mesh) -> Vec<String> {
    let mtls = "mtls.enabled: this version of the control plane does not configure mTLS yet, so traffic is in plain text";
    if mesh.mtls_enabled() { vec![mtls.to_owned()] } else { Vec::new() }
}

/// One pass over the mesh's inbounds, which ends as soon as everything was found.
fn not_carried(present: &Present, mesh: &str, wanted: Wanted) -> Vec<String> {
    let mut missing: Wanted = wanted.into_iter().take(LOOKED_FOR).collect();
    for (_, entry) in present.list(Kind::Dataplane, mesh) {
        if missing.is_empty() {
            break;
        }
        let Spec::Dataplane(dataplane) = &*entry.spec else { continue };
        for carried in dataplane.inbounds().iter().map(Inbound::tags) {
            missing.retain(|(_, tags)| !model::matches(tags, carried));
        }
    }
    missing.iter().take(WARNINGS + 1).map(|(field, tags)| sentence(field, tags, mesh)).collect()
}

/// A field, and tags that some inbound should carry.
type Wanted = Vec<(String, Tags)>;

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
    let sources = route.sources().iter().enumerate();
    let destinations = route.destinations().iter().enumerate();
    // A weight of 0 takes nothing, so nothing has to be there.
    let conf = route.conf().iter().enumerate().filter(|(_, entry)| entry.weight > 0);
    let sources = sources.map(|(i, selector)| (format!("sources[{i}].match"), selector.tags().clone()));
    let destinations =
        destinations.map(|(i, selector)| (format!("destinations[{i}].match"), selector.tags().clone()));
    let conf = conf.map(|(i, entry)| (format!("conf[{i}].destination"), entry.destination().clone()));
    sources.chain(destinations).chain(conf).collect()
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
