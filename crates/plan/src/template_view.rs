//! A ProxyTemplate as planning sees it: its texts read, and upgraded, once for all proxies, when it is written.

use std::fmt;

use bytes::Bytes;
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use model::{DEFAULT_PROFILE, ProxyTemplate, Selector};
use prost::Message;
use serde::Serialize;

use crate::{
    canonical,
    envoy::{self, GivenTo},
    policy_index::Policy,
    raw,
};

/// Two templates with equal views are the same to every plan.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TemplateView {
    /// Never empty: a template without selectors has one that names nothing, which selects every Dataplane as well.
    pub(crate) selectors: Vec<Selector>,
    pub(crate) imports_default_profile: bool,
    /// In the order of the template.
    pub(crate) resources: Vec<TemplateResource>,
    pub(crate) not_given: Vec<NotGiven>,
}

/// A resource in Envoy's v3 API that a proxy is given.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TemplateResource {
    /// Its path in the template: `conf.resources[0].resource`.
    pub field: String,
    /// `type.googleapis.com/envoy.config.cluster.v3.Cluster` and the like.
    pub type_url: &'static str,
    /// Envoy's own name of it, by which it takes the place of another.
    pub name: String,
    /// Of the text as the user wrote it: 64 hex digits of SHA-256. Equal digests mean equal messages.
    pub digest: String,
    /// Of a cluster that asks for its endpoints: under which name.
    #[serde(skip)]
    pub(crate) endpoints_asked_for: Option<String>,
    #[serde(skip)]
    pub(crate) message: Bytes,
}

/// A resource of a template that no proxy is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NotGiven {
    /// Its path in the template: `conf.resources[0].resource`.
    pub field: String,
    pub because: NotGivenBecause,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum NotGivenBecause {
    /// It is no resource of Envoy's. Such a text cannot be written; an earlier version may have taken it.
    Unreadable(String),
    /// A later resource of the template, at this path, has its type and name.
    Replaced(String),
    /// Proxies are not served resources of this type.
    NotServed(&'static str),
    /// A secret of that name says who the proxy is, or whom it trusts, which is for the mesh to say.
    OfTheMesh(String),
}

impl TemplateView {
    pub(crate) fn new(template: &ProxyTemplate) -> Self {
        let selectors = match template.selectors() {
            [] => vec![Selector::default()],
            selectors => selectors.to_vec(),
        };
        let (mut resources, mut not_given) = (Vec::<TemplateResource>::new(), Vec::new());
        for (i, raw) in template.resources().iter().enumerate() {
            let field = format!("conf.resources[{i}].resource");
            match TemplateResource::read(&field, &raw.resource) {
                Ok(resource) => {
                    let replaces = |it: &mut TemplateResource| {
                        (it.type_url, &it.name) == (resource.type_url, &resource.name)
                    };
                    for TemplateResource { field, .. } in resources.extract_if(.., replaces) {
                        let because = NotGivenBecause::Replaced(resource.field.clone());
                        not_given.push(NotGiven { field, because });
                    }
                    resources.push(resource);
                }
                Err(because) => not_given.push(NotGiven { field, because }),
            }
        }
        let imports_default_profile = template.imports().iter().any(|profile| profile == DEFAULT_PROFILE);
        Self { selectors, imports_default_profile, resources, not_given }
    }
}

impl TemplateResource {
    fn read(field: &str, text: &str) -> Result<Self, NotGivenBecause> {
        let raw::RawResource { type_url, name, value: message } =
            raw::read(text).map_err(|error| NotGivenBecause::Unreadable(error.to_string()))?;
        match envoy::given_to(type_url, &name) {
            GivenTo::Proxies => {}
            GivenTo::Nobody => return Err(NotGivenBecause::NotServed(message_name(type_url))),
            GivenTo::ProxiesByTheMesh => return Err(NotGivenBecause::OfTheMesh(name)),
        }
        let digest = canonical::hex(&canonical::digest(&text));
        let endpoints_asked_for =
            envoy::is_cluster(type_url).then(|| endpoints_asked_for(&message)).flatten();
        Ok(Self { field: field.to_owned(), type_url, name, digest, endpoints_asked_for, message })
    }

    fn content(&self) -> (&str, &str, &str, &str) {
        (&self.field, self.type_url, &self.name, &self.digest)
    }
}

fn message_name(type_url: &'static str) -> &'static str {
    type_url.rsplit_once('.').map_or(type_url, |(_, name)| name)
}

fn endpoints_asked_for(cluster: &Bytes) -> Option<String> {
    let cluster = Cluster::decode(cluster.clone()).ok()?;
    let other_name = cluster.eds_cluster_config?.service_name;
    Some(if other_name.is_empty() { cluster.name } else { other_name })
}

/// The digest stands for the message.
impl PartialEq for TemplateResource {
    fn eq(&self, other: &Self) -> bool {
        self.content() == other.content()
    }
}

/// Without the message, which may have a private key in it.
impl fmt::Debug for TemplateResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TemplateResource").field(&self.content()).finish()
    }
}

/// A proxy looks for the templates for its services.
impl Policy for TemplateView {
    fn selectors(&self) -> &[Selector] {
        &self.selectors
    }

    fn is_same_otherwise(&self, other: &Self) -> bool {
        self.imports_default_profile == other.imports_default_profile
            && self.resources == other.resources
            && self.not_given == other.not_given
    }
}
