//! `make bench-http`: see [`bench::http`].

use std::process::ExitCode;

use bench::http::{Options, run};
use clap::Parser;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-http: {error:#}");
            ExitCode::FAILURE
        }
    }
}
