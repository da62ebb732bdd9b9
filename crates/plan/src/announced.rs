//! What a proxy says of itself, as far as it changes what it should do.

use std::collections::BTreeMap;

/// Out of Envoy's node: its version, and the metadata that our kuma-dp has written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announced {
    /// An absolute path without control characters.
    pub access_log_pipe: Option<String>,
    /// Envoy's, as `1.40.0`; empty where it is not known.
    pub envoy_version: String,
}

/// The Envoy whose operators of log formats are known here, all of them.
const NEWEST_ENVOY: (u32, u32) = (1, 40);

impl Announced {
    /// What cannot be used is as good as not announced: anybody with a token writes here what he likes.
    pub fn new(envoy_version: &str, metadata: &BTreeMap<String, String>) -> Self {
        let is_usable = |path: &&String| path.starts_with('/') && !path.chars().any(char::is_control);
        let pipe = metadata.get("kuma.accessLogPipe").filter(is_usable);
        Self { access_log_pipe: pipe.cloned(), envoy_version: envoy_version.to_owned() }
    }

    /// Whether this Envoy may refuse what the newest takes; not, where its version is not known.
    pub(crate) fn is_an_older_envoy(&self) -> bool {
        let mut numbers = self.envoy_version.split('.').map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => (major, minor) < NEWEST_ENVOY,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_is_an_absolute_path_without_control_characters() {
        let pipe = |path: &str| {
            let metadata = BTreeMap::from([("kuma.accessLogPipe".to_owned(), path.to_owned())]);
            Announced::new("", &metadata).access_log_pipe
        };
        assert_eq!(pipe("/run/kuma-dp/log.fifo").as_deref(), Some("/run/kuma-dp/log.fifo"));
        for unusable in ["", "log.fifo", "/run/a\nb"] {
            assert_eq!(pipe(unusable), None, "{unusable:?}");
        }
        assert_eq!(Announced::new("", &BTreeMap::new()), Announced::default());
    }

    #[test]
    fn an_older_envoy_has_a_lower_version() {
        for (version, expected) in [
            ("1.36.4", true),
            ("1.39.0", true),
            ("1.40.0", false),
            ("1.100.0", false),
            ("2.0.0", false),
            ("", false),
            ("1", false),
            ("x.1", false),
        ] {
            let announced = Announced { envoy_version: version.to_owned(), ..Announced::default() };
            assert_eq!(announced.is_an_older_envoy(), expected, "{version:?}");
        }
    }
}
