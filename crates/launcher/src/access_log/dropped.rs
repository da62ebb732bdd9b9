//! Lines of Envoy's that nobody gets.

/// Why a line was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Dropped {
    /// Longer than a line may be.
    TooLong,
    /// No JSON object with a `target`, or without what its target needs.
    Malformed,
    /// A target that this kuma-dp does not know.
    UnknownTarget,
    /// A file or a collector that cannot be one: a relative path, an address without a port.
    BadTarget,
    /// One more file or collector than kuma-dp writes to at once.
    TooManyTargets,
    /// Its file cannot be opened or written.
    Unwritable,
    /// Its collector does not answer.
    Unreachable,
    /// Its file or collector takes lines more slowly than they come.
    Backlog,
}

impl Dropped {
    pub(crate) const ALL: [Self; 8] = [
        Self::TooLong,
        Self::Malformed,
        Self::UnknownTarget,
        Self::BadTarget,
        Self::TooManyTargets,
        Self::Unwritable,
        Self::Unreachable,
        Self::Backlog,
    ];

    /// The label of the metric.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Malformed => "malformed",
            Self::UnknownTarget => "unknown_target",
            Self::BadTarget => "bad_target",
            Self::TooManyTargets => "too_many_targets",
            Self::Unwritable => "unwritable",
            Self::Unreachable => "unreachable",
            Self::Backlog => "backlog",
        }
    }

    /// What is wrong, and what to do about it where somebody can.
    pub(crate) fn explanation(self) -> &'static str {
        match self {
            Self::TooLong => "it is longer than 64 KiB",
            Self::Malformed => "it is not one of Envoy's",
            Self::UnknownTarget => "this kuma-dp does not know its target; a newer one may",
            Self::BadTarget => {
                "its target is neither a file nor a collector; give the Mesh's logging backend an absolute path, or an address \
                 host:port whose port is a number from 1 to 65535"
            }
            Self::TooManyTargets => "kuma-dp writes to 64 files and collectors at once, and no more",
            Self::Unwritable => "its file cannot be written",
            Self::Unreachable => "its collector cannot be reached",
            Self::Backlog => "it did not fit into the queue of its target",
        }
    }
}
