//! stub
use bytes::Bytes;
pub(crate) fn document() -> Bytes {
    Bytes::new()
}
