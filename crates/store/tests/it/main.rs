//! What every store promises, asked of each; and what the embedded one promises of its file.

mod conformance;
mod embedded;
mod fixtures;
mod model_based;
mod rehearsal;
mod tag_index;
mod token_conformance;
