//! What is read and written: Dataplanes, because a mesh writes more of them than of anything else.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};

/// Holds what is read. The writes go elsewhere, so that the list stays the same bytes.
pub(crate) const READ_MESH: &str = "bench-reads";
pub(crate) const WRITTEN_MESH: &str = "bench-writes";

/// So many Dataplanes are enough that every service which one of them calls is there: a write that is as it should be
/// earns no warnings.
pub(crate) const SERVICES: u32 = 8;
/// Services that each Dataplane calls.
const OUTBOUNDS: u32 = 5;
const FIRST_OUTBOUND_PORT: u32 = 10_001;

/// Numbers that are never given out twice in one run, so that every write changes what is there.
#[derive(Debug)]
pub(crate) struct Serial(AtomicU64);

/// From 1 on: 0 is what is there at the start.
impl Default for Serial {
    fn default() -> Self {
        Self(AtomicU64::new(1))
    }
}

impl Serial {
    pub(crate) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

pub(crate) fn name(number: u32) -> String {
    format!("dp-{number:05}")
}

/// As a client sends it, in JSON. The serial number makes the content differ, never its length.
pub(crate) fn dataplane(mesh: &str, number: u32, serial: u64) -> String {
    use std::fmt::Write as _;

    let (name, service) = (name(number), number % SERVICES);
    // 10.0.0.0/8 has room for every number; nobody ever connects there.
    let address = Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 1).to_bits() + number);
    let mut json = format!(
        r#"{{"type":"Dataplane","mesh":"{mesh}","name":"{name}","networking":{{"inbound":[{{"interface":"{address}:8080:8081","tags":{{"service":"service-{service:04}","version":"v{serial:012}"}}}}],"outbound":["#
    );
    for nth in 0..OUTBOUNDS {
        let (comma, port, called) =
            (if nth == 0 { "" } else { "," }, FIRST_OUTBOUND_PORT + nth, (service + 1 + nth) % SERVICES);
        let outbound =
            write!(json, r#"{comma}{{"interface":"127.0.0.1:{port}","service":"service-{called:04}"}}"#);
        outbound.expect("a String takes whatever is written");
    }
    json.push_str("]}}");
    json
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn two_writes_of_one_entity_differ_and_are_of_one_length() {
        let serial = Serial::default();
        let [first, second] = [(); 2].map(|()| dataplane(WRITTEN_MESH, 63, serial.next()));
        assert_ne!(first, second);
        assert_eq!(first.len(), second.len());
        let entity: Value = serde_json::from_str(&first).expect("JSON");
        assert_eq!(
            (entity["name"].as_str(), entity["mesh"].as_str()),
            (Some("dp-00063"), Some(WRITTEN_MESH))
        );
        assert_eq!(entity["networking"]["outbound"].as_array().map(Vec::len), Some(OUTBOUNDS as usize));
    }
}
