//! Pieces of protobuf's JSON form.

use std::time::Duration;

use serde_json::{Value, json};

/// `google.protobuf.Duration`: seconds with 0, 3, 6 or 9 fractional digits.
pub(super) fn duration(duration: Duration) -> String {
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    match nanos {
        0 => format!("{seconds}s"),
        _ if nanos % 1_000_000 == 0 => format!("{seconds}.{:03}s", nanos / 1_000_000),
        _ if nanos % 1_000 == 0 => format!("{seconds}.{:06}s", nanos / 1_000),
        _ => format!("{seconds}.{nanos:09}s"),
    }
}

/// `envoy.config.core.v3.Address`.
pub(super) fn tcp_address(host: &str, port: u16) -> Value {
    json!({ "socketAddress": { "address": host, "portValue": port } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_as_many_digits_as_it_needs_in_threes() {
        for (nanos, expected) in
            [(1_000_000_000, "1s"), (1_500_000_000, "1.500s"), (20_000, "0.000020s"), (7, "0.000000007s")]
        {
            assert_eq!(duration(Duration::from_nanos(nanos)), expected);
        }
    }
}
