//! The sink of a collector: a TCP connection that lines are written to.
//!
//! It is dialled when there is a line, and kept open. While the collector is away lines wait, as far as they fit. A line that was
//! cut when a connection broke is sent again, from its beginning, over the next: no half line is ever followed by another one.
//! TCP says nothing of what the other side has read, so what this machine's kernel had taken when a connection broke counts as
//! delivered, and may be lost.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout_at};

use crate::access_log::dropped::Dropped;
use crate::access_log::sinks::batch::Batch;
use crate::access_log::sinks::queue::{Queue, Work};
use crate::access_log::sinks::report::{Report, Trouble};
use crate::pauses::Pauses;

/// As Kuma 0.3.0; the look-up of the name is part of it.
const DIAL_WITHIN: Duration = Duration::from_secs(5);
/// A collector that acknowledges nothing, or takes nothing, for so long counts as dead.
const DEAD_AFTER: Duration = Duration::from_secs(30);
const BETWEEN_PROBES: Duration = Duration::from_secs(10);
/// A connection that ended sooner did not work: the next one has to wait, too.
const STEADY: Duration = Duration::from_secs(10);
/// How much the kernel takes before a collector has to (socket(7), SO_SNDBUF, which doubles it). That much is lost when a
/// connection breaks.
const SEND_BUFFER: usize = 128 * 1024;
/// Of what a collector says, which nobody wants to know, at once.
const READ_SIZE: usize = 64 * 1024;

/// Why a collector gets no lines, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreachable {
    #[error(
        "its name {host} cannot be looked up: {source}; correct it in the Mesh's logging backend, or make this machine know it"
    )]
    Name { host: String, source: io::Error },
    #[error("{0}; start it, or change the Mesh's logging backend")]
    Connection(#[from] io::Error),
}

/// Writes until the queue ends. If the collector does not come back and no line comes either, it gives up what waits.
pub(super) async fn run(host: String, port: u16, queue: Arc<Queue>, report: Arc<Report>, idle: Duration) {
    let mut pauses = Pauses::new();
    let mut left = Batch::default();
    loop {
        if left.is_empty() {
            match queue.next(idle).await {
                Work::Write(batch) => left = batch,
                Work::Reopen => continue,
                Work::End => return,
            }
        }
        let error = match dial(&host, port).await {
            Ok(mut stream) => {
                let begin = Instant::now();
                let end = converse(&mut stream, left, &queue, &report, idle).await;
                if begin.elapsed() >= STEADY {
                    pauses = Pauses::new();
                }
                match end {
                    End::Finished => return,
                    End::Broken { batch, error } => {
                        left = batch;
                        error.into()
                    }
                }
            }
            Err(error) => error,
        };
        if !left.is_empty() {
            report.failed(trouble(&error), 0);
        }
        if queue.is_closing() || queue.is_idle(idle) {
            report.given_up(queue.retire());
            return;
        }
        tokio::select! {
            () = sleep(pauses.next(fastrand::f64()).length) => {}
            () = queue.closing() => {}
        }
    }
}

/// The name is looked up each time: a collector may have moved.
pub(super) async fn dial(host: &str, port: u16) -> Result<TcpStream, Unreachable> {
    let deadline = Instant::now() + DIAL_WITHIN;
    let found = async { Ok(lookup_host((host, port)).await?.collect()) };
    let addresses = look_up(host, found, deadline).await?;
    let connected = TcpStream::connect(addresses.as_slice());
    let stream = timeout_at(deadline, connected).await.map_err(|_| late("it does not answer"))??;
    let keepalive = TcpKeepalive::new().with_time(DEAD_AFTER).with_interval(BETWEEN_PROBES);
    let socket = SockRef::from(&stream);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(DEAD_AFTER))?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn look_up(
    host: &str,
    found: impl Future<Output = io::Result<Vec<SocketAddr>>>,
    deadline: Instant,
) -> Result<Vec<SocketAddr>, Unreachable> {
    let found = timeout_at(deadline, found).await.unwrap_or_else(|_| Err(late("nothing answers")));
    found.map_err(|source| Unreachable::Name { host: host.to_owned(), source })
}

fn late(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("{what} within {} s", DIAL_WITHIN.as_secs()))
}

/// How a connection ended.
enum End {
    /// There is nothing more to write.
    Finished,
    /// `batch`: what was taken from the queue and not written.
    Broken { batch: Batch, error: io::Error },
}

async fn converse(
    stream: &mut TcpStream,
    mut batch: Batch,
    queue: &Queue,
    report: &Report,
    idle: Duration,
) -> End {
    loop {
        let mut written = 0;
        let outcome = write(stream, batch.bytes(), &mut written).await;
        let lines = batch.lines_within(written);
        queue.settle(lines);
        report.delivered(lines);
        if let Err(error) = outcome {
            return End::Broken { batch: batch.after(written), error };
        }
        report.works();
        let next = tokio::select! {
            // First, so that no line is written to a collector that is known to have gone.
            biased;
            error = end_of(stream) => return End::Broken { batch: Batch::default(), error },
            next = next_batch(queue, idle) => next,
        };
        let Some(next) = next else {
            // If it has gone meanwhile, there is nothing left to say to it.
            let _ = stream.shutdown().await;
            return End::Finished;
        };
        batch = next;
    }
}

async fn next_batch(queue: &Queue, idle: Duration) -> Option<Batch> {
    loop {
        match queue.next(idle).await {
            Work::Write(batch) => return Some(batch),
            Work::Reopen => {}
            Work::End => return None,
        }
    }
}

/// `written` grows by what was written, also when the rest was not.
async fn write(stream: &mut TcpStream, bytes: &[u8], written: &mut usize) -> io::Result<()> {
    while *written < bytes.len() {
        match stream.write(&bytes[*written..]).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            length => *written += length,
        }
    }
    Ok(())
}

/// Why the other side says nothing more. What it says until then is passed over.
async fn end_of(stream: &mut TcpStream) -> io::Error {
    let mut passed_over = vec![0; READ_SIZE];
    loop {
        match stream.read(&mut passed_over).await {
            Ok(0) => return io::Error::new(io::ErrorKind::UnexpectedEof, "it has closed the connection"),
            // However much it says, the reader of the pipe and the other sinks have their turn.
            Ok(_) => yield_now().await,
            Err(error) => return error,
        }
    }
}

fn trouble(error: &Unreachable) -> Trouble {
    Trouble { reason: Dropped::Unreachable, words: format!("the collector cannot be reached: {error}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_cannot_be_looked_up_is_told_apart_from_a_collector_that_is_away() {
        let now = Instant::now();
        let unknown = async { Err(io::Error::other("nobody knows it")) };
        for (looked_up, expected) in [
            (
                look_up("logs.test", unknown, now + DIAL_WITHIN).await,
                "the collector cannot be reached: its name logs.test cannot be looked up: nobody knows it; correct it in the \
                 Mesh's logging backend, or make this machine know it",
            ),
            (
                look_up("logs.test", std::future::pending(), now).await,
                "the collector cannot be reached: its name logs.test cannot be looked up: nothing answers within 5 s; correct \
                 it in the Mesh's logging backend, or make this machine know it",
            ),
        ] {
            assert_eq!(trouble(&looked_up.expect_err("it failed")).words, expected);
        }
        assert_eq!(
            trouble(&late("it does not answer").into()).words,
            "the collector cannot be reached: it does not answer within 5 s; start it, or change the Mesh's logging backend"
        );
    }
}
