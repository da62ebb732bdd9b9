//! Dataplane: one proxy, the interfaces on which it receives for its workload and those on which it sends.

use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroU16,
};

use serde::{Deserialize, Serialize};

use crate::{SERVICE_TAG, Tags, Violations, kind::Resource, wire};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dataplane {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub networking: Option<Networking>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Networking {
    #[serde(default, with = "wire::list", skip_serializing_if = "Option::is_none")]
    pub inbound: Option<Vec<Inbound>>,
    #[serde(default, with = "wire::list", skip_serializing_if = "Option::is_none")]
    pub outbound: Option<Vec<Outbound>>,
    #[serde(default, alias = "transparent_proxying", skip_serializing_if = "Option::is_none")]
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

/// Where a proxy receives for its workload, and the workload's own port on 127.0.0.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InboundInterface {
    pub dataplane_ip: IpAddr,
    pub dataplane_port: NonZeroU16,
    pub workload_port: NonZeroU16,
}

/// Where a proxy takes what its workload sends to a service. The IP is 127.0.0.1 where none is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutboundInterface {
    pub ip: IpAddr,
    pub port: NonZeroU16,
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
        None // HELPER: to be written
    }
}

impl Outbound {
    /// `None` when [`Outbound::interface`] is not of its form.
    pub fn parse_interface(&self) -> Option<OutboundInterface> {
        None // HELPER: to be written
    }
}

impl InboundInterface {
    pub fn dataplane_address(&self) -> SocketAddr {
        SocketAddr::new(self.dataplane_ip, self.dataplane_port.get())
    }
}

impl OutboundInterface {
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.port.get())
    }
}

impl Resource for Dataplane {
    fn validate(&self) -> Violations {
        Violations::default() // HELPER: to be written
    }
}
