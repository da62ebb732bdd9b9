//! Noticing that a row is not what was written: SQLite checks its structure, but not the bytes in it.

/// 64-bit FNV-1a, each field led by its length. No protection against intent; any one byte that differs is noticed,
/// since every step is a bijection of what went before.
pub(super) fn checksum(fields: &[&[u8]]) -> i64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for field in fields {
        for byte in (field.len() as u64).to_le_bytes().iter().chain(*field) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash.cast_signed()
}

#[cfg(test)]
mod tests {
    use super::checksum;

    #[test]
    fn a_field_s_border_and_every_byte_count() {
        let of = |fields: &[&str]| checksum(&fields.iter().map(|field| field.as_bytes()).collect::<Vec<_>>());
        assert_ne!(of(&["web", "1"]), of(&["we", "b1"]));
        assert_ne!(of(&["web", ""]), of(&["web"]));
        assert_ne!(of(&["web"]), of(&["wea"]));
    }

    /// Stored files hold it, so it may never change. The value is FNV's published one for "foobar" without the length.
    #[test]
    fn it_is_fnv_1a() {
        let bare = "\u{6}\0\0\0\0\0\0\0foobar".bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        assert_eq!(checksum(&[b"foobar"]), bare.cast_signed());
    }
}
