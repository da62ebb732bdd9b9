//! Names under which Envoy counts. Its statistics are separated by dots, and metric systems take less than that.

/// Every character outside `[a-zA-Z0-9_-]` becomes `_`, as in Kuma 0.7 and later.
pub(super) fn sanitized(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    name.chars().map(|c| if allowed(c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_metrics_cannot_hold_becomes_an_underscore() {
        for (name, expected) in [
            ("backend", "backend"),
            ("backend_v1-a", "backend_v1-a"),
            ("localhost:8080", "localhost_8080"),
            ("web.shop{version=v1}", "web_shop_version_v1_"),
            ("größe", "gr__e"),
        ] {
            assert_eq!(sanitized(name), expected);
        }
    }
}
