//! Everything that is wrong with a resource, with Envoy's part of the judgement.

use model::{Spec, Violations};

use crate::raw;

/// Every violation of the spec, in the order of its fields. Beyond [`Spec::validate`], which knows nothing of Envoy, the
/// raw resources of a ProxyTemplate are judged: what is stored can be given to an Envoy.
pub fn check(spec: &Spec) -> Violations {
    match spec {
        Spec::ProxyTemplate(template) => {
            let judge = |text: &str| raw::read(text).map(drop).map_err(|error| error.to_string());
            template.validate_with(judge)
        }
        _ => spec.validate(),
    }
}
