//! The version of a resource says its content: equal versions of one type and name, on whatever instance and after
//! whatever restart, mean equal resources. So a client that reconnects hears only what is new.

use serde::Serialize;

use crate::canonical;

/// Goes into every version: raised whenever the translation of an unchanged plan changes. A test knows the digest of what
/// all cases are translated to (`tests/it/cases.rs`), so that nobody forgets.
pub const FORMAT: u32 = 3;

/// Half as many bytes of the digest: enough for 2^32 contents of one name before two are likely to share a version.
const HEX_DIGITS: usize = 16;

pub(super) fn version(type_url: &str, name: &str, part: &impl Serialize) -> String {
    let digest = canonical::digest(&(FORMAT, type_url, name, part));
    canonical::hex(&digest[..HEX_DIGITS / 2])
}
