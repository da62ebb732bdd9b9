//! What is asserted of every parser that reads what a stranger wrote.
//!
//! A [`Target`] is a plain function over bytes that panics when a promise is broken, so that one set of promises is driven
//! in two ways: `make test` gives each target thousands of seeded [inputs], and `make fuzz` hands it to
//! libFuzzer, which follows coverage.
//!
//! Absence of panics is the least of it. What is accepted reads back as what it was; what should not matter (where a
//! stream is cut, how a list is spread over headers) does not; and every refusal is [fit to be shown](wording).

pub mod inputs;

mod bodies;
mod files;
mod requests;
mod streams;
mod texts;
mod tokens;
mod wording;

/// A promise about one parser.
pub struct Target {
    pub name: &'static str,
    /// Returns if the promise holds for these bytes.
    ///
    /// # Panics
    /// If it does not.
    pub check: fn(&[u8]),
    /// What the parser is made for: inputs begin as these.
    pub seeds: &'static [&'static str],
}

/// Every target.
pub const TARGETS: &[Target] = &[
    bodies::JSON_DOCUMENT,
    bodies::YAML_DOCUMENT,
    bodies::TRANSACTION,
    bodies::BOOTSTRAP,
    bodies::RAW_RESOURCE,
    requests::PATH,
    requests::QUERY,
    requests::IF_MATCH,
    requests::ACCEPT,
    requests::HOST,
    requests::REVISION,
    texts::LOG_FORMAT,
    texts::INTERFACE,
    texts::SELECTOR,
    texts::TIMESTAMP,
    texts::PROXY_ID,
    tokens::TOKEN,
    streams::DISCOVERY_REQUESTS,
    files::KUMACTL_FILE,
    files::KUMACTL_TEMPLATE,
];
