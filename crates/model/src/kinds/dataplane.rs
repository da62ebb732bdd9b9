//! Dataplane: one proxy, the interfaces on which it receives for its workload and those on which it sends.

use std::{collections::BTreeMap, net::SocketAddr, num::NonZeroU16};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    InboundInterface, OutboundInterface, SERVICE_TAG, Tags, Violations,
    kind::Resource,
    schema::{integer, list, non_empty_list, non_empty_text, object, requiring, tags, text},
    wire,
};

const MAX_PORT: u32 = 65_535;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dataplane {
    #[serde(default, deserialize_with = "wire::message", skip_serializing_if = "Option::is_none")]
    pub networking: Option<Networking>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Networking {
    #[serde(default, with = "wire::list", skip_serializing_if = "Option::is_none")]
    pub inbound: Option<Vec<Inbound>>,
    #[serde(default, with = "wire::list", skip_serializing_if = "Option::is_none")]
    pub outbound: Option<Vec<Outbound>>,
    #[serde(
        default,
        alias = "transparent_proxying",
        deserialize_with = "wire::message",
        skip_serializing_if = "Option::is_none"
    )]
    pub transparent_proxying: Option<TransparentProxying>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inbound {
    /// `DATAPLANE_IP:DATAPLANE_PORT:WORKLOAD_PORT`, as the user wrote it.
    #[serde(default, deserialize_with = "wire::scalar", skip_serializing_if = "wire::is_default")]
    pub interface: String,
    #[serde(default, with = "wire::map", skip_serializing_if = "Option::is_none")]
    pub tags: Option<Tags>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Outbound {
    /// `[IP_ADDRESS]:PORT`, as the user wrote it.
    #[serde(default, deserialize_with = "wire::scalar", skip_serializing_if = "wire::is_default")]
    pub interface: String,
    #[serde(default, deserialize_with = "wire::scalar", skip_serializing_if = "wire::is_default")]
    pub service: String,
    /// 0 is none.
    #[serde(
        default,
        alias = "service_port",
        deserialize_with = "wire::uint32",
        skip_serializing_if = "wire::is_default"
    )]
    pub service_port: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TransparentProxying {
    /// 0 is off.
    #[serde(
        default,
        alias = "redirect_port",
        deserialize_with = "wire::uint32",
        skip_serializing_if = "wire::is_default"
    )]
    pub redirect_port: u32,
}

impl Dataplane {
    pub fn inbounds(&self) -> &[Inbound] {
        self.networking.as_ref().and_then(|it| it.inbound.as_deref()).unwrap_or_default()
    }

    pub fn outbounds(&self) -> &[Outbound] {
        self.networking.as_ref().and_then(|it| it.outbound.as_deref()).unwrap_or_default()
    }

    /// `None` when transparent proxying is off.
    pub fn redirect_port(&self) -> Option<NonZeroU16> {
        let port = self.networking.as_ref()?.transparent_proxying?.redirect_port;
        NonZeroU16::new(u16::try_from(port).ok()?)
    }

    /// The alphabetically first `service` of all inbounds.
    pub fn identifying_service(&self) -> Option<&str> {
        self.inbounds().iter().filter_map(Inbound::service).min()
    }
}

impl Inbound {
    pub fn tags(&self) -> &Tags {
        static NONE: Tags = Tags::new();
        self.tags.as_ref().unwrap_or(&NONE)
    }

    pub fn service(&self) -> Option<&str> {
        self.tags().get(SERVICE_TAG).map(String::as_str)
    }

    /// `None` when [`Inbound::interface`] is not of its form.
    pub fn parse_interface(&self) -> Option<InboundInterface> {
        InboundInterface::parse(&self.interface)
    }
}

impl Outbound {
    /// `None` when [`Outbound::interface`] is not of its form.
    pub fn parse_interface(&self) -> Option<OutboundInterface> {
        OutboundInterface::parse(&self.interface)
    }
}

impl Resource for Dataplane {
    fn validate(&self) -> Violations {
        let mut violations = Violations::default();
        let mut listeners = Listeners::default();
        if self.inbounds().is_empty() {
            violations.add("networking.inbound", "has to contain at least one inbound interface");
        }
        for (i, inbound) in self.inbounds().iter().enumerate() {
            inbound.validate(&format!("networking.inbound[{i}]"), &mut listeners, &mut violations);
        }
        for (i, outbound) in self.outbounds().iter().enumerate() {
            outbound.validate(&format!("networking.outbound[{i}]"), &mut listeners, &mut violations);
        }
        if let Some(transparent) = self.networking.as_ref().and_then(|it| it.transparent_proxying) {
            let path = "networking.transparentProxying.redirectPort";
            validate_port_number(path, transparent.redirect_port, &mut violations);
        }
        violations
    }

    fn tag_sets(&self) -> Vec<&Tags> {
        self.inbounds().iter().map(Inbound::tags).collect()
    }

    fn schema() -> Value {
        let transparent = object(
            "For a workload whose connections are redirected to the proxy.",
            [("redirectPort", integer("Where they are redirected to; 0 is nowhere.", MAX_PORT))],
        );
        let networking = object(
            "The interfaces of the proxy.",
            [
                ("inbound", non_empty_list(Inbound::schema())),
                ("outbound", list(Outbound::schema())),
                ("transparentProxying", transparent),
            ],
        );
        let dataplane =
            object("One proxy beside its workload.", [("networking", requiring(networking, ["inbound"]))]);
        requiring(dataplane, ["networking"])
    }

    fn example() -> Value {
        json!({
            "type": "Dataplane",
            "name": "backend-1",
            "mesh": "mesh-1",
            "networking": {
                "inbound": [{
                    "interface": "127.0.0.1:11011:11012",
                    "tags": {"service": "backend", "version": "2.0", "env": "production"},
                }],
                "outbound": [
                    {"interface": ":33033", "service": "database"},
                    {"interface": ":44044", "service": "user"},
                ],
            },
        })
    }
}

impl Inbound {
    fn schema() -> Value {
        let inbound = object(
            "Where the proxy receives for its workload.",
            [
                ("interface", text("DATAPLANE_IP:DATAPLANE_PORT:WORKLOAD_PORT")),
                ("tags", tags("What the workload is, among them its service.")),
            ],
        );
        requiring(inbound, ["interface", "tags"])
    }

    fn validate(&self, path: &str, listeners: &mut Listeners, violations: &mut Violations) {
        match self.parse_interface() {
            Some(interface) => listeners.claim(interface.dataplane_address(), path, violations),
            None => violations.add(
                format!("{path}.interface"),
                "invalid format: expected format is DATAPLANE_IP:DATAPLANE_PORT:WORKLOAD_PORT ex. \
                 192.168.0.100:9090:8080",
            ),
        }
        if self.service().is_none() {
            violations.add(format!("{path}.tags[\"{SERVICE_TAG}\"]"), "tag has to exist");
        }
        // Kuma does not escape the key here, as it does in selectors.
        for (key, _) in self.tags().iter().filter(|(_, value)| value.is_empty()) {
            violations.add(format!("{path}.tags[\"{key}\"]"), "tag value cannot be empty");
        }
    }
}

impl Outbound {
    fn schema() -> Value {
        let outbound = object(
            "Where the proxy takes what its workload sends to a service.",
            [
                ("interface", text("IP_ADDRESS:PORT, or :PORT on 127.0.0.1")),
                ("service", non_empty_text("The service.")),
                (
                    "servicePort",
                    integer("The port by which the workload knows the service; 0 is none.", MAX_PORT),
                ),
            ],
        );
        requiring(outbound, ["interface", "service"])
    }

    fn validate(&self, path: &str, listeners: &mut Listeners, violations: &mut Violations) {
        match self.parse_interface() {
            Some(interface) => listeners.claim(interface.address(), path, violations),
            None => violations.add(
                format!("{path}.interface"),
                "invalid format: expected format is IP_ADDRESS:PORT where IP_ADDRESS is optional. ex. \
                 192.168.0.100:9090 or :9090",
            ),
        }
        if self.service.is_empty() {
            violations.add(format!("{path}.service"), "cannot be empty");
        }
        validate_port_number(&format!("{path}.servicePort"), self.service_port, violations);
    }
}

/// Who listens where on one dataplane. Envoy cannot listen twice on one address, which Kuma 0.3.0 found out too late.
#[derive(Default)]
struct Listeners(BTreeMap<SocketAddr, String>);

impl Listeners {
    fn claim(&mut self, address: SocketAddr, path: &str, violations: &mut Violations) {
        match self.0.get(&address) {
            Some(first) => {
                violations.add(format!("{path}.interface"), format!("{address} is already used by {first}"));
            }
            None => {
                self.0.insert(address, path.to_owned());
            }
        }
    }
}

/// Kuma 0.3.0 took any 32-bit number, and Envoy then refused the listener.
fn validate_port_number(path: &str, port: u32, violations: &mut Violations) {
    if port > MAX_PORT {
        violations.add(path, "has to be a port number between 0 and 65535");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::check_violations;

    const INBOUND_FORM: &str = "invalid format: expected format is DATAPLANE_IP:DATAPLANE_PORT:WORKLOAD_PORT ex. \
                                192.168.0.100:9090:8080";
    const OUTBOUND_FORM: &str = "invalid format: expected format is IP_ADDRESS:PORT where IP_ADDRESS is optional. ex. \
                                 192.168.0.100:9090 or :9090";
    const NO_PORT: &str = "has to be a port number between 0 and 65535";

    #[test]
    fn an_inbound_is_required() {
        const REQUIRED: &[(&str, &str)] =
            &[("networking.inbound", "has to contain at least one inbound interface")];
        for spec in
            [json!({}), json!({"networking": null}), json!({"networking": {"inbound": [], "outbound": []}})]
        {
            check_violations::<Dataplane>(&spec, REQUIRED);
        }
    }

    #[test]
    fn all_violations_of_interfaces_are_reported_in_order() {
        check_violations::<Dataplane>(
            &json!({"networking": {
                "transparentProxying": {"redirectPort": 65_536},
                "outbound": [
                    null,
                    {"interface": "10.0.0.1:80", "service": "b", "servicePort": 65_535},
                    {"interface": ":9000", "service": "b", "servicePort": 65_536},
                    {"interface": "127.0.0.1:09000", "service": ""},
                ],
                "inbound": [
                    {"interface": "10.0.0.1:80:80", "tags": {"service": "a"}},
                    {"tags": {"z": "", "": "x", "a\"b": ""}},
                    {"interface": "10.0.0.1:080:81", "tags": {"service": ""}},
                    {"interface": "10.0.0.1:81:80", "tags": {"service": "*"}},
                ],
            }}),
            &[
                ("networking.inbound[1].interface", INBOUND_FORM),
                ("networking.inbound[1].tags[\"service\"]", "tag has to exist"),
                ("networking.inbound[1].tags[\"a\"b\"]", "tag value cannot be empty"),
                ("networking.inbound[1].tags[\"z\"]", "tag value cannot be empty"),
                ("networking.inbound[2].interface", "10.0.0.1:80 is already used by networking.inbound[0]"),
                ("networking.inbound[2].tags[\"service\"]", "tag value cannot be empty"),
                ("networking.outbound[0].interface", OUTBOUND_FORM),
                ("networking.outbound[0].service", "cannot be empty"),
                ("networking.outbound[1].interface", "10.0.0.1:80 is already used by networking.inbound[0]"),
                ("networking.outbound[2].servicePort", NO_PORT),
                (
                    "networking.outbound[3].interface",
                    "127.0.0.1:9000 is already used by networking.outbound[2]",
                ),
                ("networking.outbound[3].service", "cannot be empty"),
                ("networking.transparentProxying.redirectPort", NO_PORT),
            ],
        );
    }

    #[test]
    fn the_first_service_in_the_alphabet_identifies_a_dataplane() {
        let inbound = |service: &str| json!({"tags": {"service": service}});
        let spec = json!({"networking": {"inbound": [inbound("web"), {}, inbound("api")]}});
        assert_eq!(Dataplane::deserialize(spec).unwrap().identifying_service(), Some("api"));
        assert_eq!(Dataplane::default().identifying_service(), None);
    }
}
