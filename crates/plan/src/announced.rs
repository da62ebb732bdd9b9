//! What a proxy says of itself, as far as it changes what it should do.

use std::collections::BTreeMap;

/// Out of the metadata of Envoy's node, which our kuma-dp has written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announced {
    /// An absolute path without control characters.
    pub access_log_pipe: Option<String>,
}

impl Announced {
    /// What cannot be used is as good as not announced: anybody with a token writes here what he likes.
    pub fn from_metadata(metadata: &BTreeMap<String, String>) -> Self {
        let is_usable = |path: &&String| path.starts_with('/') && !path.chars().any(char::is_control);
        let pipe = metadata.get("kuma.accessLogPipe").filter(is_usable);
        Self { access_log_pipe: pipe.cloned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_is_an_absolute_path_without_control_characters() {
        let pipe = |path: &str| {
            let metadata = BTreeMap::from([("kuma.accessLogPipe".to_owned(), path.to_owned())]);
            Announced::from_metadata(&metadata).access_log_pipe
        };
        assert_eq!(pipe("/run/kuma-dp/log.fifo").as_deref(), Some("/run/kuma-dp/log.fifo"));
        for unusable in ["", "log.fifo", "/run/a\nb"] {
            assert_eq!(pipe(unusable), None, "{unusable:?}");
        }
        assert_eq!(Announced::from_metadata(&BTreeMap::new()), Announced::default());
    }
}
