//! Everything that can be wrong with a configuration, each as one sentence with its remedy.

use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("{path} is not YAML: {reason}")]
    NotYaml { path: String, reason: String },
    #[error("{path}: there is no setting {key}{}", did_you_mean(*.nearest))]
    UnknownKey { path: String, key: String, nearest: Option<&'static str> },
    #[error("{at}: {value} cannot be used: {reason}")]
    BadValue { at: String, value: String, reason: String },
    /// A setting of Kuma that means nothing here.
    #[error("{at} cannot be set: {instead}")]
    NotHere { at: String, instead: &'static str },
}

fn did_you_mean(nearest: Option<&'static str>) -> String {
    nearest.map(|nearest| format!("; did you mean {nearest}?")).unwrap_or_default()
}

/// All of them, never just the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(f, "the configuration cannot be used: {one}"),
            many => {
                write!(f, "the configuration cannot be used, for {} reasons:", many.len())?;
                many.iter().try_for_each(|error| write!(f, "\n  * {error}"))
            }
        }
    }
}

impl std::error::Error for ConfigErrors {}
