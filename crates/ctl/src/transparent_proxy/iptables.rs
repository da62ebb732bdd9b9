//! The rules of this machine's kernel, through the programs `iptables-save` and `iptables-restore`.

use std::{
    env,
    io::{self, Write as _},
    process::{Command, Output, Stdio},
};

use anyhow::{Context as _, anyhow, bail};
use nix::unistd::Uid;

/// Administrators' programs lie there, and a user's `PATH` need not have it.
const SYSTEM_FOLDERS: &str = "/usr/sbin:/sbin";

/// What every error ends with that is told before the kernel has taken anything.
const UNCHANGED: &str = "nothing was changed";

/// # Errors
/// A sentence for whoever is not root.
pub(crate) fn require_root() -> anyhow::Result<()> {
    if !Uid::effective().is_root() {
        bail!("only root may change the rules of this machine; run it with sudo ({UNCHANGED})");
    }
    Ok(())
}

/// The table nat, as `iptables-save` shows it.
///
/// # Errors
/// A sentence: the program is not there, or the kernel does not say.
pub(crate) fn present() -> anyhow::Result<String> {
    let output = run("iptables-save", &["-t", "nat"], "")?;
    if !output.status.success() {
        bail!(
            "the rules of the table nat cannot be read, and {UNCHANGED}; does the kernel have NAT (modprobe iptable_nat)? \
             iptables-save: {}",
            said(&output)
        );
    }
    String::from_utf8(output.stdout).context("the rules of the table nat are no text")
}

/// All of it, or nothing.
///
/// # Errors
/// A sentence, and then nothing was changed.
pub(crate) fn restore(transaction: &str) -> anyhow::Result<()> {
    let output = run("iptables-restore", &["--noflush", "--wait"], transaction)?;
    if !output.status.success() {
        bail!("the kernel does not take the rules, and {UNCHANGED}: {}", said(&output));
    }
    Ok(())
}

fn run(program: &str, arguments: &[&str], input: &str) -> anyhow::Result<Output> {
    let path = env::var("PATH").unwrap_or_default();
    let path = if path.is_empty() { SYSTEM_FOLDERS.to_owned() } else { format!("{path}:{SYSTEM_FOLDERS}") };
    let mut command = Command::new(program);
    command.args(arguments).env("PATH", path);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            anyhow!("{program} is not there, and {UNCHANGED}; install it (Debian: apt-get install iptables)")
        }
        _ => anyhow!("{program} cannot be started, and {UNCHANGED}: {error}"),
    })?;
    // It need not read all of it: what it has to say then is in its output.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()));
    child.wait_with_output().with_context(|| format!("{program} cannot be waited for"))
}

/// Its words in one line.
fn said(output: &Output) -> String {
    let words = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = words.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() { output.status.to_string() } else { lines.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_is_named_with_its_package() {
        let error = run("iptables-of-another-system", &[], "").unwrap_err().to_string();
        assert_eq!(
            error,
            "iptables-of-another-system is not there, and nothing was changed; install it (Debian: apt-get install iptables)"
        );
    }

    #[test]
    fn what_a_program_says_is_told_in_a_line_and_a_silent_one_s_status_too() {
        for (script, expected) in
            [("printf 'one\\n\\n two\\n' >&2", "one; two"), ("exit 3", "exit status: 3")]
        {
            assert_eq!(said(&run("sh", &["-c", script], "").unwrap()), expected);
        }
    }
}
