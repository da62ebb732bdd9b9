//! Permissions once more, behind the TLS handshake that has already refused everybody else: an RBAC filter, delivered apart
//! from its listener (ECDS). For a connection that is let in it knows by which permission, for an access log:
//! `%DYNAMIC_METADATA(envoy.filters.network.rbac:permission.shadow_effective_policy_id)%`.

use std::collections::{BTreeMap, HashMap};

use envoy_types::{
    pb::envoy::{
        config::{
            core::v3::TypedExtensionConfig,
            rbac::v3::{
                Permission, Policy, Principal, Rbac as Rules, permission,
                principal::{self, Authenticated},
                rbac::Action,
            },
        },
        extensions::filters::network::rbac::v3::Rbac,
        r#type::matcher::v3::string_matcher::MatchPattern,
    },
    util::pack_any,
};

use crate::{Access, AccessMode, PermittedSources};

use super::{identities, stat_names};

pub(super) const TYPE_URL: &str = "type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC";

const SHADOW_PREFIX: &str = "permission.";

/// The policy by which everybody of the mesh is let in. No TrafficPermission has a name with a space.
const PERMISSIVE: &str = "mtls permissive";

/// The name of the filter in its listener, which is that of the extension that it waits for.
pub(super) fn name(listener: &str) -> String {
    format!("rbac:{listener}")
}

pub(super) fn extension(name: &str, listener: &str, access: &Access) -> TypedExtensionConfig {
    let permitted = policies(&access.mesh, &access.permissions);
    let rules = match access.mode {
        AccessMode::Strict => rules(permitted.clone()),
        AccessMode::Permissive => {
            let all = PermittedSources { any: true, ..PermittedSources::default() };
            rules(policies(&access.mesh, &BTreeMap::from([(PERMISSIVE.to_owned(), all)])))
        }
    };
    let filter = Rbac {
        // Envoy appends to it without a dot of its own.
        stat_prefix: format!("{}.", stat_names::sanitized(listener)),
        rules: Some(rules),
        shadow_rules: Some(self::rules(permitted)),
        shadow_rules_stat_prefix: SHADOW_PREFIX.to_owned(),
        ..Rbac::default()
    };
    TypedExtensionConfig { name: name.to_owned(), typed_config: Some(pack_any(filter)) }
}

/// Without any policy nobody is let in; without rules everybody would be.
fn rules(policies: HashMap<String, Policy>) -> Rules {
    Rules { action: Action::Allow.into(), policies, ..Rules::default() }
}

/// A permission that lets nobody in is none: Envoy refuses a policy without principals.
fn policies(mesh: &str, permissions: &BTreeMap<String, PermittedSources>) -> HashMap<String, Policy> {
    let policy = |(name, sources): (&String, &PermittedSources)| {
        let principals: Vec<_> = principals(mesh, sources).collect();
        let policy = Policy { permissions: vec![any()], principals, ..Policy::default() };
        (!policy.principals.is_empty()).then(|| (name.clone(), policy))
    };
    permissions.iter().filter_map(policy).collect()
}

fn principals(mesh: &str, sources: &PermittedSources) -> impl Iterator<Item = Principal> {
    let any = sources.any.then(|| identities::of_mesh(mesh));
    let services = sources.services.iter().map(move |service| identities::of_service(mesh, service));
    any.into_iter().chain(services).map(principal)
}

fn principal(identity: MatchPattern) -> Principal {
    let authenticated = Authenticated { principal_name: Some(identities::text(identity)) };
    Principal { identifier: Some(principal::Identifier::Authenticated(authenticated)) }
}

fn any() -> Permission {
    Permission { rule: Some(permission::Rule::Any(true)) }
}
