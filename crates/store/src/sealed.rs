//! A secret as the store has it: bytes that say nothing to whoever lacks the key.

use std::{fmt, ops::Deref, sync::Arc};

/// A secret under a key that is not in the store. Cheap to clone. Debug output does not show even this.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sealed(Arc<[u8]>);

impl From<Vec<u8>> for Sealed {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl Deref for Sealed {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<sealed>")
    }
}
