//! The signals that ask kuma-dp to end: SIGTERM (a supervisor), SIGINT (Ctrl-C), and SIGHUP if it tells of the end of its
//! terminal: without it, kuma-dp would die and leave its Envoy behind.
//!
//! Any other SIGHUP is somebody who has moved log files away, as with every daemon. The two are told apart by who sends it, and
//! by whether a terminal has gone. The latter alone does not do: a kuma-dp that its shell has left behind has lost its terminal,
//! too, and the next SIGHUP is logrotate's, a day later. Who has sent a signal, only a signalfd tells without unsafe code.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::thread;

use nix::errno::Errno;
use nix::libc::SI_KERNEL;
use nix::sys::signal::{SigSet, Signal as Number};
use nix::sys::signalfd::{SfdFlags, SignalFd, siginfo};
use nix::unistd::{Pid, getsid};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc};
use tracing::error;

/// Keeps SIGHUP for [`Signals`] instead of dying of it. To be called before there is a second thread: each inherits this from
/// its maker, and one that did not would take the signal. Envoy inherits it, too, which does nothing about SIGHUP anyway.
pub(crate) fn keep_hangups() -> io::Result<()> {
    Ok(hangups().thread_block()?)
}

fn hangups() -> SigSet {
    SigSet::from(Number::SIGHUP)
}

/// From its making on, these signals no longer end the process by themselves.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangups: mpsc::Receiver<Sender>,
    terminals: Terminals,
    moved: Arc<Notify>,
}

impl Signals {
    /// After [`keep_hangups`]. `moved`: told of each SIGHUP that is about log files, while somebody waits for [`Self::next`].
    pub(crate) fn listen(moved: Arc<Notify>) -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangups: follow_hangups()?,
            terminals: Terminals::of_this_process(),
            moved,
        })
    }

    /// The name of the next signal that asks for the end. Cancel-safe.
    pub(crate) async fn next(&mut self) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                Some(sender) = self.hangups.recv() => {
                    if sender.tells_of_terminals()
                        && self.terminals.are_gone(Terminals::of_this_process())
                    {
                        return "SIGHUP";
                    }
                    self.moved.notify_one();
                }
            }
        }
    }
}

/// Who sends each SIGHUP. A thread waits for them: tokio has a safe way to wait for its own kinds of files only.
fn follow_hangups() -> io::Result<mpsc::Receiver<Sender>> {
    let signals = SignalFd::with_flags(&hangups(), SfdFlags::SFD_CLOEXEC)?;
    // More that come at once are one for the kernel, too.
    let (senders, receiver) = mpsc::channel(1);
    let follow = move || {
        loop {
            match signals.read_signal() {
                Ok(Some(signal)) if senders.blocking_send(Sender::of(&signal)).is_err() => return,
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return error!(%error, "SIGHUP is not listened to any more"),
            }
        }
    };
    thread::Builder::new().name("hangups".to_owned()).spawn(follow)?;
    Ok(receiver)
}

/// Of a signal.
#[derive(Debug, Clone, Copy)]
struct Sender {
    is_kernel: bool,
    /// 0 for one that is not of this PID namespace, as with `docker kill`.
    pid: u32,
    /// Of this process's session: the shell that it was started from. 0 as above, as with `docker exec`.
    leader: u32,
}

impl Sender {
    fn of(signal: &siginfo) -> Self {
        let leader = getsid(None).ok().and_then(|leader| u32::try_from(Pid::as_raw(leader)).ok());
        Self { is_kernel: signal.ssi_code == SI_KERNEL, pid: signal.ssi_pid, leader: leader.unwrap_or(0) }
    }

    /// The kernel hangs up the leader of the terminal's session and its foreground; a shell passes that on to its background.
    fn tells_of_terminals(self) -> bool {
        self.is_kernel || (self.pid != 0 && self.pid == self.leader)
    }
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
    fn only_the_kernel_and_the_leader_of_the_session_tell_of_terminals() {
        for (is_kernel, pid, leader, expected) in [
            (true, 0, 100, true),
            (false, 100, 100, true),
            (false, 200, 100, false),
            (false, 0, 100, false),
            (false, 0, 0, false),
        ] {
            let sender = Sender { is_kernel, pid, leader };
            assert_eq!(sender.tells_of_terminals(), expected, "{sender:?}");
        }
    }

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
