//! The rim of `kumactl`: arguments, clock, home folder, standard streams, exit status.

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
    time::SystemTime,
};

use clap::{Parser, error::ErrorKind};
use ctl::{Cli, Surroundings, UsageError};
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

const FAILED: u8 = 1;
/// The command line alone shows that it cannot work.
const USED_WRONGLY: u8 = 2;

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => run(cli),
        Err(error) => show(&error),
    }
}

fn run(cli: Cli) -> ExitCode {
    start_log(cli.log_level());
    let (mut stdin, mut stdout, mut stderr) = (io::stdin().lock(), io::stdout().lock(), io::stderr());
    let mut surroundings = Surroundings {
        now: SystemTime::now().into(),
        home: std::env::home_dir().filter(|home| !home.as_os_str().is_empty()),
        is_interactive: stdin.is_terminal() && stderr.is_terminal(),
        is_watched: stderr.is_terminal(),
        stdin: &mut stdin,
        stdout: &mut stdout,
        stderr: &mut stderr,
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("could not start: {error}"), FAILED),
    };
    match runtime.block_on(ctl::run(cli, &mut surroundings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<UsageError>() => fail(&error.to_string(), USED_WRONGLY),
        Err(error) => fail(&format!("{error:#}"), FAILED),
    }
}

/// Of this crate alone: what its libraries have to say helps nobody who uses it.
fn start_log(level: LevelFilter) {
    let lines =
        tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    let ours = Targets::new().with_target("ctl", level);
    tracing_subscriber::registry().with(lines.with_target(false).without_time()).with(ours).init();
}

/// Help that was asked for, also by a group without a command, or what is wrong with the command line.
fn show(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // Nobody may be listening any more, and then there is nobody to tell.
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        _ => fail(text.strip_prefix("error: ").unwrap_or(&text), USED_WRONGLY),
    }
}

fn fail(message: &str, status: u8) -> ExitCode {
    let _ = writeln!(io::stderr(), "Error: {}", message.trim_end());
    ExitCode::from(status)
}
