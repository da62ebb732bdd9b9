//! What the configuration file says: which control planes there are, and which one commands speak to.
//!
//! The format, and the texts of what is wrong with it, are Kuma 0.3.0's. No I/O here: see [`crate::config_file`].

use std::path::PathBuf;

use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::yaml;

/// The control plane of the first use.
const LOCAL_NAME: &str = "local";
const LOCAL_ADDRESS: &str = "http://localhost:5681";

/// Fields stand in alphabetical order, which is the order of the file. Those that are not known here are ignored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Configuration {
    // An empty list that was written stays, as in Kuma 0.3.0.
    #[serde(skip_serializing_if = "Option::is_none")]
    contexts: Option<Vec<Context>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    control_planes: Option<Vec<ControlPlane>>,
    #[serde(skip_serializing_if = "String::is_empty")]
    current_context: String,
}

/// How to speak to a control plane.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Context {
    control_plane: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    credentials: Option<Credentials>,
    #[serde(skip_serializing_if = "Option::is_none")]
    defaults: Option<Defaults>,
    name: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Credentials {
    #[serde(skip_serializing_if = "Option::is_none")]
    dataplane_token_api: Option<TokenApiCredentials>,
}

/// The files with which to authenticate to the token server over https.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct TokenApiCredentials {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_cert: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_key: Option<PathBuf>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Defaults {
    #[serde(skip_serializing_if = "String::is_empty")]
    mesh: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ControlPlane {
    coordinates: Coordinates,
    name: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Coordinates {
    api_server: ApiServer,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct ApiServer {
    url: String,
}

/// Whom commands speak to, and what for.
#[derive(Debug)]
pub(crate) struct Active<'a> {
    pub(crate) address: Url,
    pub(crate) token_api: Option<&'a TokenApiCredentials>,
    pub(crate) default_mesh: Option<&'a str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoTarget {
    #[error(
        "active Control Plane is not set. Use `kumactl config control-planes add` to add a Control Plane and make it \
         active"
    )]
    NotSet,
    #[error(
        "apparently, configuration is broken. Use `kumactl config control-planes add` to add a Control Plane and make \
         it active"
    )]
    Broken,
}

/// An absolute http or https URL, or what is wrong with it.
pub(crate) fn parse_address(address: &str) -> Result<Url, String> {
    let url =
        Url::parse(address).map_err(|error| format!("\"{address}\" is not an absolute URL: {error}"))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        _ => Err(format!("\"{address}\" is not an http:// or https:// URL")),
    }
}

impl Configuration {
    pub(crate) fn first() -> Self {
        let mut configuration = Self::default();
        configuration.add(LOCAL_NAME, LOCAL_ADDRESS, None);
        configuration
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut documents = yaml::read(text).map_err(|error| error.to_string())?;
        documents.retain(|document| !document.is_null());
        match documents.pop() {
            None => Ok(Self::default()),
            Some(_) if !documents.is_empty() => Err("it has more than one document".to_owned()),
            Some(document @ Value::Object(_)) => {
                serde_path_to_error::deserialize(document).map_err(|error| error.to_string())
            }
            Some(_) => Err("it is not a map".to_owned()),
        }
    }

    pub(crate) fn print(&self) -> Result<String, String> {
        let value = serde_json::to_value(self).map_err(|error| error.to_string())?;
        yaml::print(&value).map_err(|error| error.to_string())
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        for (i, context) in self.contexts().iter().enumerate() {
            for (field, value) in [("name", &context.name), ("controlPlane", &context.control_plane)] {
                if value.is_empty() {
                    return Err(format!("contexts[{i}].{field} cannot be empty"));
                }
            }
        }
        for (i, ControlPlane { name, coordinates }) in self.control_planes().iter().enumerate() {
            if name.is_empty() {
                return Err(format!("controlPlanes[{i}].name cannot be empty"));
            }
            parse_address(&coordinates.api_server.url)
                .map_err(|reason| format!("controlPlanes[{i}].coordinates.apiServer.url: {reason}"))?;
        }
        Ok(())
    }

    pub(crate) fn active(&self) -> Result<Active<'_>, NoTarget> {
        if self.current_context.is_empty() {
            return Err(NoTarget::NotSet);
        }
        let context = self.context(&self.current_context).ok_or(NoTarget::Broken)?;
        let control_plane = self.control_plane(&context.control_plane).ok_or(NoTarget::Broken)?;
        Ok(Active {
            address: parse_address(control_plane.address()).map_err(|_| NoTarget::Broken)?,
            token_api: context.credentials.as_ref().and_then(|it| it.dataplane_token_api.as_ref()),
            default_mesh: context
                .defaults
                .as_ref()
                .map(|it| it.mesh.as_str())
                .filter(|mesh| !mesh.is_empty()),
        })
    }

    /// The control plane of the current context, if there is one.
    pub(crate) fn active_name(&self) -> Option<&str> {
        self.context(&self.current_context).map(|context| context.control_plane.as_str())
    }

    pub(crate) fn contexts(&self) -> &[Context] {
        self.contexts.as_deref().unwrap_or_default()
    }

    pub(crate) fn control_planes(&self) -> &[ControlPlane] {
        self.control_planes.as_deref().unwrap_or_default()
    }

    pub(crate) fn control_plane(&self, name: &str) -> Option<&ControlPlane> {
        self.control_planes().iter().find(|control_plane| control_plane.name == name)
    }

    fn context(&self, name: &str) -> Option<&Context> {
        self.contexts().iter().find(|context| context.name == name)
    }

    /// Adds a control plane with a context of its name and makes it active. One of that name is replaced where it
    /// stands; the defaults of its context stay.
    pub(crate) fn add(&mut self, name: &str, address: &str, token_api: Option<TokenApiCredentials>) {
        let defaults = self.context(name).and_then(|context| context.defaults.clone());
        let credentials = token_api.map(|it| Credentials { dataplane_token_api: Some(it) });
        let context =
            Context { control_plane: name.to_owned(), credentials, defaults, name: name.to_owned() };
        let coordinates = Coordinates { api_server: ApiServer { url: address.to_owned() } };
        let control_plane = ControlPlane { coordinates, name: name.to_owned() };

        put(self.contexts.get_or_insert_default(), context, |it| &it.name);
        put(self.control_planes.get_or_insert_default(), control_plane, |it| &it.name);
        name.clone_into(&mut self.current_context);
    }

    /// False, and nothing is changed, if there is no such control plane.
    pub(crate) fn switch(&mut self, name: &str) -> bool {
        let there = self.context(name).is_some();
        if there {
            name.clone_into(&mut self.current_context);
        }
        there
    }

    /// Removes a control plane and the contexts that lead to it. If it was active, the first context that is left
    /// becomes the current one.
    ///
    /// False, and nothing is changed, if there is no such control plane.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        if self.control_plane(name).is_none() && self.context(name).is_none() {
            return false;
        }
        let contexts = self.contexts.get_or_insert_default();
        contexts.retain(|context| context.name != name && context.control_plane != name);
        self.control_planes.get_or_insert_default().retain(|control_plane| control_plane.name != name);
        if !self.current_context.is_empty() && self.context(&self.current_context).is_none() {
            self.current_context = self.contexts().first().map(|it| it.name.clone()).unwrap_or_default();
        }
        true
    }
}

impl ControlPlane {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn address(&self) -> &str {
        &self.coordinates.api_server.url
    }
}

fn put<T>(list: &mut Vec<T>, item: T, name: fn(&T) -> &String) {
    match list.iter_mut().find(|old| name(old) == name(&item)) {
        Some(old) => *old = item,
        None => list.push(item),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "\
contexts:
- controlPlane: one
  credentials:
    dataplaneTokenApi:
      clientCert: /tmp/client.pem
      clientKey: /tmp/client.key.pem
  defaults:
    mesh: pilot
  name: one
- controlPlane: two
  name: two
controlPlanes:
- coordinates:
    apiServer:
      url: https://one.internal:5681
  name: one
- coordinates:
    apiServer:
      url: http://two.internal:5681
  name: two
currentContext: one
";

    fn two() -> Configuration {
        Configuration::parse(TWO).unwrap()
    }

    #[test]
    fn what_is_read_is_printed_again() {
        for text in [TWO, "contexts: []\ncontrolPlanes: []\n", "{}\n"] {
            assert_eq!(Configuration::parse(text).unwrap().print().unwrap(), text);
        }
    }

    #[test]
    fn an_empty_file_is_an_empty_configuration_and_unknown_keys_are_ignored() {
        for text in ["", "# nothing", "future: 1", "{}", "{}\n---\n"] {
            assert_eq!(Configuration::parse(text), Ok(Configuration::default()), "{text}");
        }
    }

    #[test]
    fn what_is_no_configuration_is_refused() {
        for text in ["a: b: c", "- one", "[]", "7", "contexts: one", "{}\n---\n{}\n"] {
            Configuration::parse(text).unwrap_err();
        }
    }

    #[test]
    fn a_configuration_is_checked_field_by_field() {
        for (text, expected) in [
            ("contexts: [{name: \"\", controlPlane: x}]", "contexts[0].name cannot be empty"),
            ("contexts: [{name: x}]", "contexts[0].controlPlane cannot be empty"),
            ("controlPlanes: [{coordinates: {}}]", "controlPlanes[0].name cannot be empty"),
            (
                "controlPlanes: [{name: x}]",
                "controlPlanes[0].coordinates.apiServer.url: \"\" is not an absolute URL",
            ),
            (
                "controlPlanes: [{name: x, coordinates: {apiServer: {url: \"ftp://x\"}}}]",
                "\"ftp://x\" is not an http://",
            ),
        ] {
            let reason = Configuration::parse(text).unwrap().check().unwrap_err();
            assert!(reason.contains(expected), "{text}: {reason}");
        }
        assert_eq!(two().check(), Ok(()));
    }

    #[test]
    fn the_active_control_plane_is_that_of_the_current_context() {
        let mut configuration = two();
        let active = configuration.active().unwrap();
        assert_eq!(
            (active.address.as_str(), active.default_mesh),
            ("https://one.internal:5681/", Some("pilot"))
        );
        assert_eq!(active.token_api.unwrap().client_key, Some("/tmp/client.key.pem".into()));

        for (current, expected) in [("", NoTarget::NotSet), ("three", NoTarget::Broken)] {
            configuration.current_context = current.into();
            assert_eq!(configuration.active().unwrap_err(), expected);
        }
        configuration.switch("two");
        configuration.control_planes = None;
        assert_eq!(configuration.active().unwrap_err(), NoTarget::Broken);
    }

    #[test]
    fn to_add_one_that_is_there_replaces_it_where_it_stands_and_keeps_its_defaults() {
        let mut configuration = two();
        configuration.switch("two");
        configuration.add("one", "http://other:1", Some(TokenApiCredentials::default()));
        let expected = TWO
            .replace("https://one.internal:5681", "http://other:1")
            .replace(":\n      clientCert: /tmp/client.pem\n      clientKey: /tmp/client.key.pem", ": {}");
        assert_eq!(configuration.print().unwrap(), expected);
    }

    #[test]
    fn the_first_that_is_left_becomes_active_when_the_active_one_goes() {
        let mut configuration = two();
        assert!(configuration.remove("one"));
        assert_eq!(configuration.active_name(), Some("two"));
        assert!(!configuration.remove("one"));
        assert!(configuration.remove("two"));
        assert_eq!(configuration.active_name(), None);
        assert_eq!(configuration.print().unwrap(), "contexts: []\ncontrolPlanes: []\n");
    }

    #[test]
    fn one_that_is_not_there_cannot_become_active() {
        let mut configuration = two();
        assert!(!configuration.switch("three"));
        assert_eq!(configuration, two());
    }
}
