//! The canonical form of a piece of a plan, and its digest.
//!
//! The form is compact JSON with fields in the order of their declaration and maps in byte order: one value, one text, on
//! every machine. Nothing else may ever be hashed into a version; least of all Envoy's bytes, since a protobuf map has no
//! one encoding.

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN};
use serde::Serialize;

/// SHA-256.
pub(crate) type Digest = [u8; SHA256_OUTPUT_LEN];

pub(crate) fn digest(part: &impl Serialize) -> Digest {
    let form =
        serde_json::to_vec(part).expect("a plan is made of structs, numbers, strings and maps of strings");
    let mut digest = Digest::default();
    digest.copy_from_slice(aws_lc_rs::digest::digest(&SHA256, &form).as_ref());
    digest
}

pub(crate) fn hex(digest: &[u8]) -> String {
    let mut hex = String::with_capacity(2 * digest.len());
    for byte in digest {
        let digit = |nibble: u8| char::from_digit(nibble.into(), 16).expect("a nibble is a hex digit");
        hex.extend([digit(byte >> 4), digit(byte & 15)]);
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_sha_256_of_compact_json() {
        // printf '["a",1]' | sha256sum
        let expected = "135f17a475a61afdeeaf3759ad2e45ad1c7abb192395abe47e41fc8e395dc1a9";
        assert_eq!(hex(&digest(&("a", 1))), expected);
    }
}
