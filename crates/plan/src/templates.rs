//! Which ProxyTemplate a proxy has, if any: the one whose selector says most about one of its inbounds (Kuma 0.3.0).

use std::collections::BTreeMap;

use model::{ANY_VALUE, Dataplane, Inbound, ProxyTemplate, Selector, Tags};
use serde::Serialize;

use crate::{
    dataplane_view::DataplaneView,
    envoy,
    reader::Reader,
    template_view::{NotGiven, TemplateResource, TemplateView},
};

/// What a ProxyTemplate makes of a proxy.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AppliedTemplate {
    pub name: String,
    /// Whether the proxy gets what the control plane makes of its own, too.
    pub imports_default_profile: bool,
    /// In the order of the template. Each takes the place of what is made for the proxy, and of those before it, if they
    /// have its type and name.
    pub resources: Vec<TemplateResource>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_given: Vec<NotGiven>,
}

impl AppliedTemplate {
    fn new(name: &str, template: &TemplateView) -> Self {
        let TemplateView { imports_default_profile, resources, not_given, .. } = template.clone();
        Self { name: name.to_owned(), imports_default_profile, resources, not_given }
    }

    fn cluster(&self, name: &str) -> Option<&TemplateResource> {
        self.resources.iter().find(|it| envoy::is_cluster(it.type_url) && it.name == name)
    }

    /// Whether it says by itself where a cluster of this name sends to.
    pub(crate) fn gives_endpoints_of(&self, cluster: &str) -> bool {
        let assigns = |it: &TemplateResource| envoy::is_load_assignment(it.type_url) && it.name == cluster;
        self.cluster(cluster).is_some() || self.resources.iter().any(assigns)
    }

    /// Whether anybody asks for the endpoints that are made for the cluster of this name: not, if the template has put another
    /// in its place that does not.
    pub(crate) fn asks_for_endpoints(&self, cluster: &str) -> bool {
        let asks = |it: &TemplateResource| it.endpoints_asked_for.as_deref() == Some(cluster);
        self.cluster(cluster).is_none() || self.resources.iter().any(asks)
    }
}

pub(crate) fn plan(dataplane: &DataplaneView, reader: &mut Reader<'_>) -> Option<AppliedTemplate> {
    let mut templates = BTreeMap::new();
    for service in dataplane.services().into_iter().chain([ANY_VALUE]) {
        templates.extend(reader.templates_for(service));
    }
    let templates = templates.into_iter().map(|it| (it.1.selectors.as_slice(), it));
    let (name, template) = choose(templates, || dataplane.inbounds.iter().map(|inbound| &*inbound.tags))?;
    Some(AppliedTemplate::new(name, template))
}

/// The template that the proxy of this Dataplane has. `templates` are those of its mesh, by name.
pub fn template_of<'a>(
    dataplane: &Dataplane,
    templates: impl IntoIterator<Item = &'a ProxyTemplate>,
) -> Option<&'a ProxyTemplate> {
    let templates = templates.into_iter().map(|it| (it.selectors(), it));
    choose(templates, || dataplane.inbounds().iter().map(Inbound::tags))
}

/// Between equals the first.
fn choose<'t, 'i, T, I: Iterator<Item = &'i Tags>>(
    templates: impl IntoIterator<Item = (&'t [Selector], T)>,
    inbounds: impl Fn() -> I,
) -> Option<T> {
    let mut best: Option<(usize, T)> = None;
    for (selectors, template) in templates {
        let Some(score) = score(selectors, &inbounds) else { continue };
        if best.as_ref().is_none_or(|(best, _)| score > *best) {
            best = Some((score, template));
        }
    }
    best.map(|(_, template)| template)
}

/// How many tags its most specific selector of one inbound has; `None` if none of its selectors selects any. Who names nothing
/// selects every Dataplane, also one without an inbound. `*` is a value like any other here (Kuma 0.3.0).
fn score<'a, I: Iterator<Item = &'a Tags>>(
    selectors: &[Selector],
    inbounds: &impl Fn() -> I,
) -> Option<usize> {
    let has_all = |selector: &Selector, inbound: &Tags| {
        selector.tags().iter().all(|(key, value)| inbound.get(key) == Some(value))
    };
    let selects = |selector: &&Selector| {
        selector.tags().is_empty() || inbounds().any(|inbound| has_all(selector, inbound))
    };
    if selectors.is_empty() {
        return Some(0);
    }
    selectors.iter().filter(selects).map(|selector| selector.tags().len()).max()
}
