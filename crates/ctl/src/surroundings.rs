//! What a command may know of its process and do to it. Built once, in `main`; everything below takes it as an argument.

use std::{
    io::{self, BufRead, Write},
    path::PathBuf,
};

use model::Timestamp;

pub struct Surroundings<'a> {
    pub now: Timestamp,
    /// Where `.kumactl/config` is looked for.
    pub home: Option<PathBuf>,
    pub stdin: &'a mut dyn BufRead,
    /// Whether a person can be asked.
    pub is_interactive: bool,
    /// Whether a person sees what goes to `stderr`.
    pub is_watched: bool,
    pub stdout: &'a mut dyn Write,
    pub stderr: &'a mut dyn Write,
}

impl Surroundings<'_> {
    /// What was asked for. Nobody listening (`kumactl get meshes | head -1`) is no error.
    pub(crate) fn print(&mut self, text: &str) -> io::Result<()> {
        write(self.stdout, text)
    }

    /// What was done, one line.
    pub(crate) fn say(&mut self, line: &str) -> io::Result<()> {
        write(self.stderr, &format!("{line}\n"))
    }

    /// What a person should know although it worked. A script gets none of it unless it asks for logs: Kuma 0.3.0 was
    /// silent here, and scripts take any word on stderr for a failure.
    pub(crate) fn warn(&mut self, line: &str) -> io::Result<()> {
        tracing::warn!("{line}");
        if self.is_watched { self.say(&format!("Warning: {line}")) } else { Ok(()) }
    }

    /// Asks on the terminal and waits. Anything but `y` or `yes` is no.
    pub(crate) fn confirm(&mut self, question: &str) -> io::Result<bool> {
        write(self.stderr, &format!("{question} [y/N] "))?;
        let mut answer = String::new();
        self.stdin.read_line(&mut answer)?;
        Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
    }
}

fn write(to: &mut dyn Write, text: &str) -> io::Result<()> {
    match to.write_all(text.as_bytes()).and_then(|()| to.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_reaches_a_person_and_leaves_a_script_its_silence() {
        for (is_watched, written) in [(true, "Warning: Mesh m: plain text\n"), (false, "")] {
            let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
            let mut surroundings = Surroundings {
                now: Timestamp::default(),
                home: None,
                stdin: &mut io::empty(),
                is_interactive: false,
                is_watched,
                stdout: &mut stdout,
                stderr: &mut stderr,
            };
            surroundings.warn("Mesh m: plain text").unwrap();
            assert_eq!((stdout.as_slice(), stderr.as_slice()), (&b""[..], written.as_bytes()));
        }
    }
}
