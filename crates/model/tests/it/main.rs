//! The crate as its users see it: whole documents, read, judged and printed.

mod documents;
mod properties;
mod schemas;
