//! One file a kind: its type, wire form, defaults, validation and tests together.

pub mod dataplane;
pub mod dataplane_insight;
pub mod mesh;
pub mod traffic_route;
