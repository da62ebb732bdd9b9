//! The signals that ask kuma-dp to end: SIGTERM (a supervisor), SIGINT (Ctrl-C), and SIGHUP if its terminal is gone: without it,
//! kuma-dp would die and leave its Envoy behind.
//!
//! Any other SIGHUP is somebody who has moved log files away, as with every daemon ([`hangups`]).

use std::io::{self, IsTerminal};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// From its making on, these signals no longer end the process by themselves.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    terminals: Terminals,
}

impl Signals {
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: hangups()?,
            terminals: Terminals::of_this_process(),
        })
    }

    /// The name of the next signal. Cancel-safe.
    pub(crate) async fn next(&mut self) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hangup.recv() => {
                    if self.terminals.are_gone(Terminals::of_this_process()) {
                        return "SIGHUP";
                    }
                }
            }
        }
    }
}

/// Every SIGHUP, whatever it is about.
pub(crate) fn hangups() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}

/// Which of standard input, output and error are terminals. One that was hung up is none any more: nothing can be asked of it.
#[derive(Debug, Clone, Copy)]
struct Terminals([bool; 3]);

impl Terminals {
    fn of_this_process() -> Self {
        Self([io::stdin().is_terminal(), io::stdout().is_terminal(), io::stderr().is_terminal()])
    }

    /// Whether one that was there is there no more.
    fn are_gone(self, now: Self) -> bool {
        self.0.into_iter().zip(now.0).any(|(was, is)| was && !is)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_gone_if_it_was_there_and_is_no_more() {
        for (was, is, are_gone) in [
            ([false; 3], [false; 3], false),
            ([true; 3], [true; 3], false),
            ([true; 3], [false; 3], true),
            ([true, false, false], [true, false, false], false),
            ([false, false, true], [false; 3], true),
            ([false, true, true], [false, true, false], true),
            ([false; 3], [true; 3], false),
        ] {
            assert_eq!(Terminals(was).are_gone(Terminals(is)), are_gone, "{was:?}, now {is:?}");
        }
    }
}
