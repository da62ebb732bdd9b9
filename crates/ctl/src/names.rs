//! What kinds are called on the command line and in its messages, derived from the table of kinds.

use model::Kind;

/// For "failed to list …": `Meshes`, `TrafficRoutes`.
pub(crate) fn plural(kind: Kind) -> String {
    let ending = if takes_es(kind.name()) { "es" } else { "s" };
    format!("{}{ending}", kind.name())
}

/// The type of `kumactl delete TYPE NAME`: `mesh`, `traffic-route`.
pub(crate) fn singular_path(kind: Kind) -> &'static str {
    let path = kind.path();
    match path.strip_suffix("es") {
        Some(stem) if takes_es(stem) => stem,
        _ => path.strip_suffix('s').unwrap_or(path),
    }
}

/// The rule of English for the endings that names of kinds may have.
fn takes_es(singular: &str) -> bool {
    ["s", "x", "sh", "ch"].iter().any(|ending| singular.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_called_as_in_kuma_0_3_0() {
        for (kind, expected_plural, expected_singular) in [
            (Kind::Mesh, "Meshes", "mesh"),
            (Kind::Dataplane, "Dataplanes", "dataplane"),
            (Kind::ProxyTemplate, "ProxyTemplates", "proxytemplate"),
            (Kind::TrafficPermission, "TrafficPermissions", "traffic-permission"),
            (Kind::TrafficLog, "TrafficLogs", "traffic-log"),
            (Kind::TrafficRoute, "TrafficRoutes", "traffic-route"),
        ] {
            assert_eq!(plural(kind), expected_plural);
            assert_eq!(singular_path(kind), expected_singular);
        }
    }

    #[test]
    fn every_kind_has_a_singular_of_its_own() {
        for &kind in Kind::ALL {
            assert_ne!(singular_path(kind), kind.path());
            assert_eq!(Kind::from_path(singular_path(kind)), None);
        }
    }
}
