//! `POST /bootstrap`: what a dataplane's Envoy starts with.

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use model::{Dataplane, Key, Kind, Spec, Violations};
use plan::bootstrap::{BootstrapError, BootstrapRequest, bootstrap};

use crate::{
    Api, read,
    respond::{Answer, Refusal, title, with_body},
};

/// Kuma 0.3.0 meant to send this type.
const YAML: HeaderValue = HeaderValue::from_static("text/x-yaml");

/// Envoy's bootstrap in YAML. Every string of the request ends up as a value in it, never as text around values.
pub(crate) fn generate(api: &Api, body: &Bytes) -> Result<Answer, Refusal> {
    let request: BootstrapRequest = read::request(body, title::BOOTSTRAP)?;
    let present = api.store.present();
    let key = Key::new(Kind::Dataplane, request.mesh.as_str(), request.name.as_str());
    let dataplane = match present.get(&key).map(|entry| &*entry.spec) {
        Some(Spec::Dataplane(dataplane)) => Some(dataplane),
        _ => None,
    };
    // A request that is wrong in itself is told so, whether the Dataplane is there or not.
    let service = dataplane.and_then(Dataplane::identifying_service);
    let configuration = bootstrap(&request, &api.bootstrap, service).map_err(not_valid)?;
    if dataplane.is_none() {
        return Err(not_registered(&request));
    }
    let yaml = serde_saphyr::to_string(&configuration)
        .map_err(|error| Refusal::internal(title::BOOTSTRAP, &error))?;
    Ok(with_body(StatusCode::OK, YAML, yaml.into()))
}

fn not_valid(error: BootstrapError) -> Refusal {
    let mut causes = Violations::default();
    causes.add(error.field, error.problem.to_string());
    Refusal::invalid(title::BOOTSTRAP, "The request is not valid", causes)
}

fn not_registered(request: &BootstrapRequest) -> Refusal {
    let details = format!(
        "There is no Dataplane {:?} in the mesh {:?}. Apply it first, with kumactl apply.",
        request.name, request.mesh
    );
    Refusal::new(StatusCode::NOT_FOUND, title::BOOTSTRAP, details)
}
