//! kuma-dp: runs one Envoy for one dataplane.
//!
//! In flow a token file and the address of a control plane; out come an Envoy that speaks to that control plane, and its
//! exit status. On the way kuma-dp keeps a folder that only its user can read ([`folder`]), into which it writes what Envoy
//! reads: the bootstrap, the token and the control plane's CA. It passes signals on as a drain ([`supervise`]), says and counts
//! whom its Envoy has refused, and writes the lines of TrafficLogs to their files and collectors ([`access_log`], [`metrics`]).
//!
//! It knows nothing of meshes, policies or xDS: what Envoy is told, the control plane decides. It never sends the token over
//! a connection that it has not verified, and writes it to no log.

mod access_log;
mod address;
pub mod admin;
mod bootstrap;
pub mod command_line;
mod control_plane;
mod drain_time;
mod envoy;
mod folder;
mod logs;
mod metrics;
mod pauses;
mod rate_limit;
mod run;
mod signals;
mod supervise;
mod token;
mod token_watch;
mod trust;
mod version;

use std::{io::Write as _, process::ExitCode};

use clap::CommandFactory;

use crate::command_line::{Command, CommandLine, RunOptions};

/// Does what the command line asks and says how the process should end: 0, 1 after an error (which it has printed to
/// stderr), or Envoy's own status. Wrong use never gets here: the parser has ended the process with 2.
pub fn execute(command_line: CommandLine) -> ExitCode {
    let outcome = match command_line.command {
        None => CommandLine::command().print_help().map(|()| ExitCode::SUCCESS).map_err(Into::into),
        Some(Command::Run(options)) => run_to_the_end(&options, command_line.log_level),
        Some(Command::Version { detailed }) => {
            version::print(detailed).map(|()| ExitCode::SUCCESS).map_err(Into::into)
        }
        Some(Command::Completion { shell }) => {
            print_completion(shell).map(|()| ExitCode::SUCCESS).map_err(Into::into)
        }
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("{}", last_line(&error));
        ExitCode::FAILURE
    })
}

/// Each error is a whole sentence already: its sources would say the end of it again.
fn last_line(error: &anyhow::Error) -> String {
    format!("Error: {error}")
}

/// Nobody listening any more (`| head`) is no error.
fn print_completion(shell: clap_complete::Shell) -> std::io::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::command(), "kuma-dp", &mut script);
    match std::io::stdout().write_all(&script) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// One thread is enough: everything here waits for Envoy, for a file, or for a signal.
fn run_to_the_end(options: &RunOptions, level: logs::Level) -> anyhow::Result<ExitCode> {
    let token_file = options.token_file().unwrap_or_else(|wrong_use| wrong_use.exit());
    signals::keep_hangups()?;
    let log = logs::start(level)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let logging = logs::Logging { level, format: log.format() };
    let ended = runtime.block_on(run::run(options, token_file, logging));
    // A write to a disk that hangs, or a name that is being looked up, holds a thread. It does not hold up the end.
    runtime.shutdown_background();
    Ok(ended.unwrap_or_else(|error| {
        log.print(&last_line(&error.into()));
        ExitCode::FAILURE
    }))
}
