//! Lines on their way to stderr.
//!
//! Stderr may be a pipe whose reader has stopped reading: of a container runtime, of a journal. A write to it then waits for as
//! long as that lasts, and kuma-dp has one thread for all it does. So a thread of its own writes, and between the two stands
//! this queue, which takes what fits and counts what does not: nobody who logs ever waits.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// In bytes. More than a thousand lines.
const ROOM: usize = 256 * 1024;

/// Each write to it is one line, and never waits.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<Vec<u8>>,
    /// Of those lines.
    bytes: usize,
    /// The line that was taken last is not written yet.
    is_writing: bool,
    /// Lines, since the start.
    lost: u64,
}

/// What there is for the writing thread.
enum Work {
    Line(Vec<u8>),
    /// All is written, and since that was last so, lines were lost. How many since the start.
    Lost(u64),
}

impl Queue {
    /// From now on a thread writes to `to`. When that has caught up, `say_lost` is called if lines were lost, with how many there
    /// were since the start.
    pub(super) fn start(
        to: impl Write + Send + 'static,
        say_lost: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Arc<Self>> {
        let queue = Arc::new(Self::default());
        let writers = Arc::clone(&queue);
        thread::Builder::new().name("log".to_owned()).spawn(move || writers.write_to(to, say_lost))?;
        Ok(queue)
    }

    pub(super) fn push(&self, line: &[u8]) {
        let mut state = self.state();
        if state.bytes + line.len() > ROOM {
            state.lost += 1;
            return;
        }
        state.bytes += line.len();
        state.lines.push_back(line.to_vec());
        self.changed.notify_all();
    }

    /// Waits until all is written, and not longer than that.
    pub(super) fn flush(&self, at_most: Duration) {
        let is_behind = |state: &mut State| state.is_writing || !state.lines.is_empty();
        let _ = self.changed.wait_timeout_while(self.state(), at_most, is_behind);
    }

    fn write_to(&self, mut to: impl Write, say_lost: impl Fn(u64)) {
        let mut said = 0;
        loop {
            match self.next(said) {
                // There is nobody to tell that stderr cannot be written.
                Work::Line(line) => drop(to.write_all(&line)),
                Work::Lost(lost) => {
                    said = lost;
                    say_lost(lost);
                }
            }
        }
    }

    /// `said`: how many lost ones have been spoken of.
    fn next(&self, said: u64) -> Work {
        let mut state = self.state();
        state.is_writing = false;
        self.changed.notify_all();
        loop {
            if let Some(line) = state.lines.pop_front() {
                state.bytes -= line.len();
                state.is_writing = true;
                return Work::Line(line);
            }
            if state.lost != said {
                return Work::Lost(state.lost);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// No holder panics.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for &Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Read, pipe};
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    const DEADLINE: Duration = Duration::from_mins(1);

    /// A queue whose lines go into a pipe, the pipe, and what is said of lost ones.
    fn into_pipe() -> (Arc<Queue>, PipeReader, Receiver<u64>) {
        let (reader, writer) = pipe().expect("a pipe can be made");
        let (said, lost) = channel();
        let queue = Queue::start(writer, move |count| said.send(count).expect("the test listens"));
        (queue.expect("a thread can be started"), reader, lost)
    }

    fn read(reader: &mut PipeReader, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        reader.read_exact(&mut bytes).expect("it is written");
        bytes
    }

    #[test]
    fn lines_come_whole_in_their_order_and_before_the_end() {
        let (queue, mut reader, _lost) = into_pipe();
        for line in ["one\n", "two\n", "three\n"] {
            queue.push(line.as_bytes());
        }
        queue.flush(DEADLINE);
        assert_eq!(read(&mut reader, 14), b"one\ntwo\nthree\n");
    }

    #[test]
    fn nobody_waits_for_a_pipe_that_nobody_reads_and_what_is_lost_is_said_when_somebody_does() {
        const LINES: usize = 2000;
        let (queue, mut reader, lost) = into_pipe();
        let line = [b'x'; 1024];
        for _ in 0..LINES {
            queue.push(&line);
        }
        queue.flush(Duration::from_millis(1));
        let expected = queue.state().lost;
        assert!(expected > 0 && lost.try_recv().is_err(), "{expected}: there is nobody to be told yet");
        let kept = LINES - usize::try_from(expected).expect("they are few");
        assert!(kept >= ROOM / line.len(), "{kept}");
        read(&mut reader, kept * line.len());
        assert_eq!(lost.recv_timeout(DEADLINE), Ok(expected));

        queue.push(b"works again\n");
        queue.flush(DEADLINE);
        assert_eq!(read(&mut reader, 12), b"works again\n");
        assert!(lost.try_recv().is_err(), "it is said once");
    }
}
