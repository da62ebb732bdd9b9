//! The names of the filter chains of listeners, by which logs tell them apart.

/// Takes plain connections.
pub(super) const PLAIN: &str = "plain";

/// Ends what would go around forever.
pub(super) const LOOP: &str = "loop";
