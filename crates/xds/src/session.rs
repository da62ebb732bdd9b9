//! HELPER
pub struct Session;
pub struct Request;
pub struct Response;
