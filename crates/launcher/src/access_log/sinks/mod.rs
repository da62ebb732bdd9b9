//! Who writes the lines of TrafficLogs: one task for each file ([`file`]) and each collector ([`tcp`]).
//!
//! A sink may have to wait, and the reader of the pipe never does: between the two stands a bounded queue ([`queue`]), and what
//! does not fit is dropped and counted. So a disk that is full or a collector that is dead costs the lines that are for it, and
//! nothing else. A sink is made with the first line for its target, and ends when none has come for a while.

mod batch;
mod file;
mod log_file;
mod queue;
mod report;
mod tcp;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::access_log::dropped::Dropped;
pub(super) use crate::access_log::sinks::log_file::Identity;
use crate::access_log::sinks::queue::{Push, Queue};
use crate::access_log::sinks::report::Report;
use crate::access_log::target::Target;
use crate::metrics::Metrics;

/// What the sinks may hold and how long.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// At once. The control plane names targets, and each is a task, a queue and a file or a connection.
    sinks: usize,
    /// That wait for one sink; as much again may be being written.
    bytes: usize,
    /// Without a line, until a sink ends.
    idle: Duration,
    /// For all that is left, when kuma-dp ends.
    last_words: Duration,
}

const LIMITS: Limits = Limits {
    sinks: 64,
    bytes: 1024 * 1024,
    idle: Duration::from_mins(10),
    last_words: Duration::from_secs(2),
};

/// All of them.
#[derive(Debug)]
pub(super) struct Sinks {
    by_target: BTreeMap<String, Sink>,
    /// The access log's own pipe.
    pipe: Identity,
    metrics: Arc<Metrics>,
    limits: Limits,
}

#[derive(Debug)]
struct Sink {
    queue: Arc<Queue>,
    report: Arc<Report>,
    task: JoinHandle<()>,
}

impl Sinks {
    /// `pipe`: the one that the lines come from, which is no file to write to.
    pub(super) fn new(pipe: Identity, metrics: &Arc<Metrics>) -> Self {
        Self { by_target: BTreeMap::new(), pipe, metrics: Arc::clone(metrics), limits: LIMITS }
    }

    /// Hands a line to its sink, or says why there is none. What becomes of it then, the sink counts.
    pub(super) fn take(&mut self, target: &str, line: &str, now: Instant) -> Result<(), Dropped> {
        if let Some(sink) = self.by_target.get(target)
            && sink.take(line, now)
        {
            return Ok(());
        }
        self.by_target.retain(|_, sink| !sink.queue.is_retired());
        let destination = Target::parse(target).ok_or(Dropped::BadTarget)?;
        if self.by_target.len() >= self.limits.sinks {
            return Err(Dropped::TooManyTargets);
        }
        let sink = self.start(target, destination);
        sink.take(line, now);
        self.by_target.insert(target.to_owned(), sink);
        Ok(())
    }

    /// Files that are open are opened anew: somebody has moved them away. One that failed waits for its next line.
    pub(super) fn reopen(&self) {
        for sink in self.by_target.values() {
            sink.queue.reopen();
        }
    }

    /// When [`Self::say_held_back`] has something to say.
    pub(super) fn due(&self) -> Option<Instant> {
        self.by_target.values().filter_map(|sink| sink.report.due()).min()
    }

    /// Says which lines were lost and not spoken of when it is time to.
    pub(super) fn say_held_back(&self, now: Instant) {
        for sink in self.by_target.values() {
            sink.report.say_held_back(now);
        }
    }

    /// Lets the sinks write what they hold, all within a bounded time. What is left then is lost.
    pub(super) async fn finish(self) {
        for sink in self.by_target.values() {
            sink.queue.close();
        }
        let deadline = Instant::now() + self.limits.last_words;
        for (_, mut sink) in self.by_target {
            if timeout_at(deadline, &mut sink.task).await.is_err() {
                sink.task.abort();
            }
            sink.report.given_up(sink.queue.retire());
        }
    }

    fn start(&self, target: &str, destination: Target) -> Sink {
        let queue = Arc::new(Queue::new(self.limits.bytes));
        let report = Arc::new(Report::new(target, &self.metrics));
        let (sinks_queue, sinks_report, idle) = (Arc::clone(&queue), Arc::clone(&report), self.limits.idle);
        let task = match destination {
            Target::File(path) => tokio::spawn(file::run(path, self.pipe, sinks_queue, sinks_report, idle)),
            Target::Tcp { host, port } => tokio::spawn(tcp::run(host, port, sinks_queue, sinks_report, idle)),
        };
        Sink { queue, report, task }
    }
}

impl Sink {
    /// `false`: it has ended, and another one is needed.
    fn take(&self, line: &str, now: Instant) -> bool {
        match self.queue.push(line, now) {
            Push::Taken => true,
            Push::Full => {
                self.report.overflowed(now);
                true
            }
            Push::Retired => false,
        }
    }
}

#[cfg(test)]
mod tests;
