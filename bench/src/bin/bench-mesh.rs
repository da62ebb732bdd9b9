//! `make bench`: see [`bench::mesh`].

use std::process::ExitCode;

use bench::mesh::{Options, run};
use clap::Parser;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-mesh: {error:#}");
            ExitCode::FAILURE
        }
    }
}
