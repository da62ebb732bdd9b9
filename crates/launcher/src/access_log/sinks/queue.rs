//! The lines that wait for one sink.
//!
//! Between the reader of the pipe, which never waits, and the sink's task, which may have to. What does not fit is dropped, the
//! newest first: what has been kept is then one piece of the log, with a gap after it, and no work is done for what is dropped.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::access_log::sinks::batch::Batch;

/// Has one reader and one sink.
#[derive(Debug)]
pub(super) struct Queue {
    most_bytes: usize,
    state: Mutex<State>,
    /// The sink has something to do.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    waiting: Batch,
    /// Lines that the sink has taken and has not settled.
    taken: usize,
    last_line: Instant,
    is_to_reopen: bool,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// kuma-dp ends: no line comes any more.
    Closing,
    /// The sink has ended, and takes none any more.
    Retired,
}

/// What became of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Push {
    Taken,
    Full,
    /// The sink has ended: another one is needed.
    Retired,
}

/// What a sink is to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// All lines that wait, one at least.
    Write(Batch),
    /// Somebody has moved the files away.
    Reopen,
    /// Nobody has sent a line for long, or kuma-dp ends, and all lines have been taken. The queue is retired.
    End,
}

impl Queue {
    /// `most_bytes`: how much waits at most, beside what the sink has taken.
    pub(super) fn new(most_bytes: usize) -> Self {
        let state = State {
            waiting: Batch::default(),
            taken: 0,
            last_line: Instant::now(),
            is_to_reopen: false,
            phase: Phase::Open,
        };
        Self { most_bytes, state: Mutex::new(state), changed: Notify::new() }
    }

    pub(super) fn push(&self, line: &str, now: Instant) -> Push {
        let mut state = self.state();
        if state.phase == Phase::Retired {
            return Push::Retired;
        }
        state.last_line = now;
        if state.waiting.size_with(line) > self.most_bytes {
            return Push::Full;
        }
        state.waiting.push(line);
        if state.waiting.lines() == 1 {
            self.changed.notify_one();
        }
        Push::Taken
    }

    pub(super) fn reopen(&self) {
        self.state().is_to_reopen = true;
        self.changed.notify_one();
    }

    /// Ends the sink, which first writes what waits.
    pub(super) fn close(&self) {
        let mut state = self.state();
        if state.phase == Phase::Open {
            state.phase = Phase::Closing;
        }
        self.changed.notify_one();
    }

    pub(super) fn is_retired(&self) -> bool {
        self.state().phase == Phase::Retired
    }

    /// The sink ends as it is: how many lines have not been settled.
    pub(super) fn retire(&self) -> usize {
        let mut state = self.state();
        state.phase = Phase::Retired;
        let waiting = std::mem::take(&mut state.waiting);
        waiting.lines() + std::mem::take(&mut state.taken)
    }

    /// The next thing to do. `idle`: how long without a line before the sink ends. Cancel-safe.
    pub(super) async fn next(&self, idle: Duration) -> Work {
        loop {
            let due = {
                let mut state = self.state();
                if let Some(work) = state.next() {
                    return work;
                }
                state.last_line + idle
            };
            if timeout_at(due, self.changed.notified()).await.is_err() && self.is_idle(idle) {
                self.close();
            }
        }
    }

    /// So many of the lines that were taken were written, or given up.
    pub(super) fn settle(&self, lines: usize) {
        let mut state = self.state();
        state.taken = state.taken.saturating_sub(lines);
    }

    /// No line has come for so long, whether or not some wait.
    pub(super) fn is_idle(&self, idle: Duration) -> bool {
        self.state().last_line.elapsed() >= idle
    }

    pub(super) fn is_closing(&self) -> bool {
        self.state().phase != Phase::Open
    }

    /// Until kuma-dp ends. For the sink's own pauses, while it waits for nothing else here. Cancel-safe.
    pub(super) async fn closing(&self) {
        while !self.is_closing() {
            self.changed.notified().await;
        }
    }

    /// No holder panics, and if one did, the lines would be no worse.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next(&mut self) -> Option<Work> {
        if std::mem::take(&mut self.is_to_reopen) {
            return Some(Work::Reopen);
        }
        if !self.waiting.is_empty() {
            self.taken += self.waiting.lines();
            return Some(Work::Write(std::mem::take(&mut self.waiting)));
        }
        if self.phase == Phase::Open {
            return None;
        }
        self.phase = Phase::Retired;
        Some(Work::End)
    }
}
