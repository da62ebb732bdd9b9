//! The access log: a pipe that Envoy writes lines into and kuma-dp reads.
//!
//! One reader for all of it: bytes become lines ([`lines`]), a line is a JSON object ([`entry`]), its `target` says who takes
//! it ([`denials`], or one of the [`sinks`]). Envoy's opening of a pipe without a reader blocks its main thread for good, and
//! a pipe that is full holds up its writer. So kuma-dp opens the pipe before there is an Envoy, for writing too (then it has no
//! end), and never stops reading: what cannot be used is dropped and counted.
//!
//! Envoy writes each file from one thread, whole lines one after the other, so that lines are cut by reads but never mixed.

mod cause;
mod denials;
pub(crate) mod dropped;
mod entry;
mod lines;
mod printable;
mod sinks;
mod target;
mod warnings;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use nix::fcntl::{FcntlArg, fcntl};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, error, info};

use crate::access_log::denials::Denials;
use crate::access_log::dropped::Dropped;
use crate::access_log::entry::{Entry, Text};
use crate::access_log::lines::{Line, Lines};
use crate::access_log::sinks::{Identity, Sinks};
use crate::access_log::warnings::Warnings;
use crate::metrics::Metrics;

/// Room for what Envoy writes while kuma-dp does something else; a pipe has 64 KiB by itself. Not more: a user has room for
/// 64 MiB of larger pipes in all (pipe(7), pipe-user-pages-soft).
const PIPE_SIZE: i32 = 256 * 1024;
const READ_SIZE: usize = 64 * 1024;
/// That many reads empty a pipe of that size.
const LAST_READS: usize = 4;
/// Between two attempts to read what cannot be read.
const PAUSE: Duration = Duration::from_secs(1);

/// The reading end of the pipe and what has become of its lines.
#[derive(Debug)]
pub(crate) struct AccessLog {
    pipe: pipe::Receiver,
    lines: Lines,
    targets: Targets,
    moved: Arc<Notify>,
}

impl AccessLog {
    /// Opens a pipe that is there. From now on Envoy can open it at any time. `mesh`: the one of this dataplane. `moved`: when
    /// it is notified, the files are opened anew.
    pub(crate) fn open(
        path: &str,
        mesh: &str,
        metrics: &Arc<Metrics>,
        moved: Arc<Notify>,
    ) -> io::Result<Self> {
        let pipe = pipe::OpenOptions::new().read_write(true).open_receiver(path)?;
        if let Err(error) = fcntl(&pipe, FcntlArg::F_SETPIPE_SZ(PIPE_SIZE)) {
            debug!(%error, "the access log's pipe keeps its size");
        }
        let targets = Targets::new(mesh, Identity::of(path)?, metrics);
        Ok(Self { pipe, lines: Lines::default(), targets, moved })
    }

    /// Reads as long as it is polled. Cancel-safe.
    pub(crate) async fn follow(&mut self) -> Infallible {
        let mut bytes = vec![0; READ_SIZE];
        loop {
            let due = self.targets.due();
            let read = tokio::select! {
                read = self.pipe.read(&mut bytes) => read,
                () = reach(due) => {
                    self.targets.say_held_back(Instant::now());
                    continue;
                }
                () = self.moved.notified() => {
                    info!("the files of the access log are opened anew");
                    self.targets.sinks.reopen();
                    continue;
                }
            };
            match read {
                Ok(length) if length > 0 => {
                    self.take(&bytes[..length]);
                    // However much there is to read, the sinks have their turn before their queues are full.
                    yield_now().await;
                }
                Ok(_) => sleep(PAUSE).await,
                Err(error) => {
                    error!(%error, "the access log cannot be read; trying again");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// When nobody writes any more: what is still in the pipe, what waits for files and collectors (for two seconds at most), and
    /// what has not been said yet.
    pub(crate) async fn finish(mut self) {
        let mut bytes = vec![0; READ_SIZE];
        // No more than a pipe holds, in case somebody writes nevertheless.
        for _ in 0..LAST_READS {
            match self.pipe.try_read(&mut bytes) {
                Ok(length) if length > 0 => self.take(&bytes[..length]),
                _ => break,
            }
        }
        self.targets.denials.say_held_back();
        self.targets.warnings.finish();
        self.targets.sinks.finish().await;
    }

    fn take(&mut self, bytes: &[u8]) {
        let now = Instant::now();
        self.lines.take(bytes, |line| self.targets.take(&line, now));
    }
}

/// Who takes the lines.
#[derive(Debug)]
struct Targets {
    denials: Denials,
    sinks: Sinks,
    metrics: Arc<Metrics>,
    warnings: Warnings,
}

impl Targets {
    fn new(mesh: &str, pipe: Identity, metrics: &Arc<Metrics>) -> Self {
        Self {
            denials: Denials::new(mesh.to_owned(), Arc::clone(metrics)),
            sinks: Sinks::new(pipe, metrics),
            metrics: Arc::clone(metrics),
            warnings: Warnings::default(),
        }
    }

    fn take(&mut self, line: &Line<'_>, now: Instant) {
        let entry = match line {
            Line::Whole(line) => Entry::parse(line),
            Line::TooLong => Err(Dropped::TooLong),
        };
        match entry {
            Ok(Entry::Refusal(refusal)) => self.denials.take(&refusal, now),
            Ok(Entry::Text(Text { target, text })) => {
                if let Err(dropped) = self.sinks.take(&target, &text, now) {
                    self.drop(dropped, Some(&target), now);
                }
            }
            Err(dropped) => self.drop(dropped, None, now),
        }
    }

    fn due(&self) -> Option<Instant> {
        [self.denials.due(), self.sinks.due(), self.warnings.due()].into_iter().flatten().min()
    }

    fn say_held_back(&mut self, now: Instant) {
        if self.denials.due().is_some_and(|due| due <= now) {
            self.denials.say_held_back();
        }
        self.sinks.say_held_back(now);
        self.warnings.say_held_back(now);
    }

    fn drop(&mut self, dropped: Dropped, target: Option<&str>, now: Instant) {
        self.metrics.count_dropped(dropped, 1);
        self.warnings.take(dropped, target, now);
    }
}

async fn reach(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
