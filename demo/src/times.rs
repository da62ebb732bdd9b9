//! Times as the demo prints them.

use std::time::Duration;

/// In milliseconds.
pub(crate) fn print(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1_000.0)
}
