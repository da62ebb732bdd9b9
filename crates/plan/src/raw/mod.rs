//! Resources that users write in Envoy's own words, as a ProxyTemplate has them: understood strictly, or refused with the
//! place and the reason.
//!
//! A text, YAML or JSON, becomes a tree whose values know where they stand (`text`, `tree`), and the tree, along the
//! descriptors, a message of Envoy's v3 API (`decode`). What is written in the v2 API, which was Envoy's when Kuma 0.3.0
//! was current, is upgraded on the way: v3 kept the numbers of v2's fields and says of each message which one it
//! succeeds, so only what v3 dropped needs rules (`upgrade`). Versions mix freely, down to a filter's configuration.
//! Every value is held to Envoy's own rules for its messages (`constraints`), so that little is left which an Envoy
//! would refuse, such as a cluster that is not there.
//!
//! Two things are read more generously than protobuf's JSON has them: one value stands for a list of one, as in Envoy's
//! own configuration files, and a known filter that needs no configuration may go without, as in v2.
//!
//! Pure, and safe on any text: nesting and aliases are bounded, and the cost grows with the text alone.

use std::fmt;

use bytes::Bytes;
use prost::Message;

mod error;
mod text;
mod tree;

mod decode;
mod members;
mod scalars;
mod well_known;

mod constraints;
mod types;
mod upgrade;

pub use error::{Problem, RawError};

/// A resource that an Envoy can be given.
#[derive(Clone, PartialEq, Eq)]
pub struct RawResource {
    /// `type.googleapis.com/envoy.config.cluster.v3.Cluster` and the like, whatever the text says before the slash.
    pub type_url: &'static str,
    /// Envoy's own name of the resource: a ClusterLoadAssignment has that of its cluster. Never empty.
    pub name: String,
    /// The message, encoded. Equal texts may encode differently, since a protobuf map has no one order.
    pub value: Bytes,
}

/// Without the message, which may have a private key in it.
impl fmt::Debug for RawResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { type_url, name, value } = self;
        write!(f, "{type_url} {name:?} ({} bytes)", value.len())
    }
}

/// The resource that a text stands for. The first call of a process loads the descriptors, which takes some 100 ms.
pub fn read(text: &str) -> Result<RawResource, RawError> {
    let text::Document { root, spelling } = text::read(text)?;
    let place = root.place.clone();
    if root.is_null() {
        return Err(place.error(Problem::Blank));
    }
    let (resource, message) = decode::Decoder::new(spelling).resource(root)?;
    let name = resource.name_of(&message);
    if name.is_empty() {
        return Err(place.key(resource.name_field.into()).rule("must not be empty: a proxy asks by name"));
    }
    Ok(RawResource { type_url: resource.type_url, name, value: message.encode_to_vec().into() })
}
