//! Why a text is no resource that an Envoy can be given.

use std::fmt;

/// The first thing that is wrong, in the words of who wrote the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawError {
    /// The path inside the text, with the names that stand there: `filterChains[0].filters[1].typedConfig`. Empty where
    /// the text as a whole is meant.
    pub path: String,
    pub problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Neither YAML nor JSON, more than one document, or more than the limits on depth and aliases allow.
    #[error("{0}")]
    Syntax(String),
    #[error("is blank: it must be an Envoy resource in YAML or JSON, with its '@type'")]
    Blank,
    #[error("must be {0}")]
    Mismatch(String),
    #[error("unknown field '{name}' of {message}{}", did_you_mean(.nearest.as_deref()))]
    UnknownField { name: String, message: String, nearest: Option<String> },
    #[error("is given twice, as '{0}' and as '{1}'")]
    GivenTwice(String, String),
    #[error("only one of '{0}' and '{1}' can be given")]
    OnlyOneOf(String, String),
    #[error("'@type' is missing: it says which of Envoy's messages this is, as in '@type': {EXAMPLE}")]
    NoType,
    #[error("'{0}' is no type: it must be a prefix, a slash and the name of a message, as in {EXAMPLE}")]
    TypeWithoutPrefix(String),
    #[error("Envoy has no type '{name}'{}", did_you_mean(.nearest.as_deref()))]
    UnknownType { name: String, nearest: Option<String> },
    #[error("'{0}' is no resource that a proxy can be given; those are {RESOURCES}")]
    NoResource(String),
    /// A rule that Envoy's API has for a field of its messages (protoc-gen-validate).
    #[error("{0}")]
    Rule(String),
    /// A thing of the v2 API that has no counterpart in v3.
    #[error("is no longer in Envoy: {0}")]
    Removed(String),
    #[error("'config' of '{0}' has no known type: use 'typed_config' with an '@type' instead")]
    UntypedConfig(String),
}

const EXAMPLE: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";

const RESOURCES: &str = "Listener, Cluster, ClusterLoadAssignment, RouteConfiguration, Secret, \
                         TypedExtensionConfig, ScopedRouteConfiguration and VirtualHost";

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|nearest| format!("; did you mean '{nearest}'?")).unwrap_or_default()
}

impl std::error::Error for RawError {}

impl fmt::Display for RawError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => write!(f, "{}", self.problem),
            path => write!(f, "{path}: {}", self.problem),
        }
    }
}
