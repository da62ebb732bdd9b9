//! Lines of Envoy's that cannot be used.

/// Why a line was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// Longer than a line may be.
    TooLong,
    /// No JSON object with a `target`, or without what its target needs.
    Malformed,
    /// A target that this kuma-dp does not know.
    UnknownTarget,
}

impl Dropped {
    pub(crate) const ALL: [Self; 3] = [Self::TooLong, Self::Malformed, Self::UnknownTarget];

    /// The label of the metric.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Malformed => "malformed",
            Self::UnknownTarget => "unknown_target",
        }
    }
}
