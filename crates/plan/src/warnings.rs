//! What is valid in a plan and will not do what somebody wants, in sentences for a person: each with where it is, why, and what
//! would help.

use std::fmt;

use model::{ANY_VALUE, DEFAULT_PROFILE, ProxyTemplate, SERVICE_TAG};

use crate::{
    AccessMode, AppliedTemplate, Cluster, Inbound, Mtls, MtlsMode, NotGiven, NotGivenBecause, Outbound,
    PermittedSources, ProxyPlan, Skipped, SkippedBecause, TemplateResource, Unlogged, UnloggedBecause,
    envoy::{self, SOURCES_WITH_A_CHAIN_MAX},
    template_view::TemplateView,
};

impl ProxyPlan {
    /// Everything that should be looked at, always in the same order.
    pub fn warnings(&self) -> Vec<String> {
        let permissive = self.mtls.iter().filter_map(permissive);
        let template = self.template.iter().flat_map(|it| template(it).chain(self.guards_replaced_by(it)));
        let skipped = self.skipped.iter().map(skipped);
        let inbounds = self.inbounds.iter().filter_map(callers);
        let outbounds = self.outbounds.iter().filter_map(|outbound| self.sent_to_nobody(outbound));
        let unlogged = self.outbounds.iter().flat_map(unlogged);
        let clusters =
            self.clusters.iter().filter_map(|(name, cluster)| self.without_endpoints(name, cluster));
        let listeners = skipped.chain(inbounds).chain(outbounds).chain(unlogged);
        permissive.chain(template).chain(listeners).chain(clusters).collect()
    }

    /// Who may connect, and to whom, is enforced by what is made for the proxy; not by what a template puts in its place.
    fn guards_replaced_by(&self, template: &AppliedTemplate) -> Vec<String> {
        let replaced = template.resources.iter().filter(|it| {
            let of_inbound = |inbound: &Inbound| {
                inbound.access.is_some() && envoy::guards(&inbound.listener, it.type_url, &it.name)
            };
            let of_cluster = |cluster: &Cluster| matches!(cluster, Cluster::Service { tls: Some(_), .. });
            self.inbounds.iter().any(of_inbound)
                || (envoy::is_cluster(it.type_url) && self.clusters.get(&it.name).is_some_and(of_cluster))
        });
        let sentence = |it: &TemplateResource| {
            format!(
                "ProxyTemplate {}: {}: {} is now as this text says, so the mesh's mTLS and permissions hold there only as far as \
                 it does them itself",
                template.name, it.field, it.name
            )
        };
        replaced.map(sentence).collect()
    }

    fn sent_to_nobody(&self, outbound: &Outbound) -> Option<String> {
        let clusters = &outbound.forwarding.clusters;
        let is_to_nobody = |name: &str| self.clusters.get(name) == Some(&Cluster::Blackhole);
        let to_nobody = clusters.iter().filter(|share| is_to_nobody(&share.cluster)).count();
        let connections = match to_nobody {
            0 => return None,
            all if all == clusters.len() => "connections",
            _ => "some of the connections",
        };
        let Outbound { service, listener, .. } = outbound;
        let sentence = match &outbound.route {
            Some(route) => format!(
                "TrafficRoute {route} gives {connections} to {service} to no destination, so they are closed at once; \
                 give a destination that has a service a weight above 0"
            ),
            None => format!(
                "connections to {service} are closed at once, because a TrafficRoute gives others to no destination and \
                 that has this name; call the service something else"
            ),
        };
        Some(format!("{}: {sentence}", listener.name))
    }

    fn without_endpoints(&self, name: &str, cluster: &Cluster) -> Option<String> {
        let Cluster::Service { service, tags, .. } = cluster else { return None };
        if self.template.as_ref().is_some_and(|template| template.gives_endpoints_of(name)) {
            return None;
        }
        if self.endpoints.get(name).is_some_and(|endpoints| endpoints.iter().len() > 0) {
            return None;
        }
        if service == ANY_VALUE {
            return Some(format!(
                "cluster {name}: as a destination {ANY_VALUE} is no service, so connections to it fail; name a service"
            ));
        }
        let further_tags = tags.iter().map(|(key, value)| format!("{key}={value}"));
        let tags: Vec<_> = std::iter::once(format!("{SERVICE_TAG}={service}")).chain(further_tags).collect();
        Some(format!(
            "cluster {name}: no dataplane of the mesh carries {}, so connections to it fail; apply one, or change who \
             sends to it",
            tags.join(" ")
        ))
    }
}

fn permissive(Mtls { mode, mesh, .. }: &Mtls) -> Option<String> {
    let next = match mode {
        MtlsMode::Accepted => "mtls.enabled makes every proxy use it",
        MtlsMode::Used => "it is demanded once mtls.permissive is taken away",
        MtlsMode::Demanded => return None,
    };
    Some(format!(
        "mesh {mesh}: mTLS is permissive, so inbounds take plain connections, too, and permissions refuse nobody; when every \
         proxy has this, {next}"
    ))
}

/// What the template will not do, each with the path in it where that is.
pub fn template_warnings(template: &ProxyTemplate) -> Vec<String> {
    let TemplateView { imports_default_profile, not_given, .. } = TemplateView::new(template);
    of_template(imports_default_profile, &not_given)
}

fn of_template(imports_default_profile: bool, not_given: &[NotGiven]) -> Vec<String> {
    let alone = (!imports_default_profile).then(|| {
        format!(
            "conf.imports: {DEFAULT_PROFILE} is not among them, so proxies get nothing but the resources of the template"
        )
    });
    alone.into_iter().chain(not_given.iter().map(ToString::to_string)).collect()
}

fn template(template: &AppliedTemplate) -> impl Iterator<Item = String> {
    let warnings = of_template(template.imports_default_profile, &template.not_given);
    warnings.into_iter().map(|warning| format!("ProxyTemplate {}: {warning}", template.name))
}

/// `conf.resources[0].resource: ...`
impl fmt::Display for NotGiven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, because } = self;
        match because {
            NotGivenBecause::Unreadable(reason) => {
                write!(f, "{field}: no proxy is given this resource: {reason}")
            }
            NotGivenBecause::NotServed(message) => write!(
                f,
                "{field}: no proxy is given this resource, because a {message} is not served; a RouteConfiguration is"
            ),
            NotGivenBecause::Replaced(by) => {
                write!(
                    f,
                    "{field}: no proxy is given this resource, because {by} has its type and its name, too"
                )
            }
            NotGivenBecause::OfTheMesh(secret) => write!(
                f,
                "{field}: no proxy is given this resource, because the secret {secret} is the mesh's own; give it another name"
            ),
        }
    }
}

fn unlogged(outbound: &Outbound) -> impl Iterator<Item = String> {
    outbound.unlogged.iter().map(|Unlogged { traffic_log, because }| {
        let sentence = match because {
            UnloggedBecause::NoDefaultBackend => {
                "names no backend, and the mesh has no default one, so it logs nothing; set logging.defaultBackend of the mesh"
                    .to_owned()
            }
            UnloggedBecause::NoSuchBackend(backend) => format!(
                "names the backend {backend}, which the mesh does not have, so it logs nothing; add it to logging.backends of \
                 the mesh"
            ),
            UnloggedBecause::NoDestination(backend) => format!(
                "names the backend {backend}, which has neither the absolute path of a file nor the HOST:PORT of a server, with a \
                 port from 1 to 65535, so \
                 it logs nothing; give it one"
            ),
            UnloggedBecause::UnreadableFormat { backend, reason } => format!(
                "names the backend {backend}, whose format {reason}; it logs nothing until that is mended"
            ),
            UnloggedBecause::OldEnvoy { backend, operator, version } => format!(
                "names the backend {backend}, whose format has %{operator}%, which the Envoy {version} of this proxy may not \
                 know, so it logs nothing; run Envoy 1.40, or leave that out of the format"
            ),
            UnloggedBecause::NoPipe(backend) => format!(
                "names the backend {backend}, which is a TCP server, and this proxy was not started by a kuma-dp that sends \
                 to one, so it logs nothing; start it with kuma-dp, or name a backend with a file"
            ),
        };
        format!("{}: TrafficLog {traffic_log} {sentence}", outbound.listener.name)
    })
}

fn callers(inbound: &Inbound) -> Option<String> {
    let access = inbound.access.as_ref()?;
    let PermittedSources { any, services } = access.sources();
    let (name, service) = (&inbound.listener.name, inbound.service.as_deref().unwrap_or_default());
    if !any && services.is_empty() {
        let refused = match access.mode {
            AccessMode::Strict => "everybody is refused; apply one that does",
            // Who comes by a permission already stays when it is demanded.
            AccessMode::Permissive => {
                "everybody will be refused once mTLS is no longer permissive; apply one that does before mtls.enabled"
            }
        };
        return Some(format!(
            "{name}: no TrafficPermission has {service} among its destinations, so {refused}"
        ));
    }
    if services.len() < NEARLY_TOO_MANY_SOURCES {
        return None;
    }
    let together = if services.len() <= SOURCES_WITH_A_CHAIN_MAX { "with more than that" } else { "so" };
    Some(format!(
        "{name}: {} services may call {service}, of at most {SOURCES_WITH_A_CHAIN_MAX} that are told apart; {together} each change of \
         them ends the connections of all; permit * instead, or call from fewer services",
        services.len()
    ))
}

/// So many that a person should hear before the last of them.
const NEARLY_TOO_MANY_SOURCES: usize = SOURCES_WITH_A_CHAIN_MAX - 16;

fn skipped(Skipped { field, because }: &Skipped) -> String {
    let sentence = match because {
        SkippedBecause::BadInterface => {
            "this is no interface, so there is no listener for it; write DATAPLANE_IP:DATAPLANE_PORT:WORKLOAD_PORT for an \
             inbound and IP:PORT for an outbound"
        }
        SkippedBecause::AddressTaken => {
            "an interface before it has the same address, so there is no listener for this one; give it another address"
        }
        SkippedBecause::NoCertificate => {
            "the mesh has mTLS, and without an inbound that names a service there is no certificate for this proxy, so \
             there is no listener; give it the tag service"
        }
        SkippedBecause::NoService => "it names no service, so there is no listener for it; name one",
    };
    format!("{field}: {sentence}")
}
