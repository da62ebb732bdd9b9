//! The binary: parses the command line and leaves the rest to the library.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    launcher::execute(launcher::command_line::CommandLine::parse())
}
