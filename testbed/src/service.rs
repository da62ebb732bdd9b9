//! What stands behind a proxy: a service that says who it is; and what stands before it: a client with new connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

/// More than any test opens at once; whoever comes then waits to be accepted.
const CONNECTIONS_AT_ONCE: usize = 1024;
/// A line of ours has some dozens of bytes.
const LONGEST_LINE: u64 = 1024;
const ASK_TIMEOUT: Duration = Duration::from_secs(10);

/// What a service says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Its name in a line, to everybody who connects; then it closes the connection.
    Name,
    /// `+PONG` to every `PING`, as redis does.
    Pong,
}

/// A TCP service on a free port of 127.0.0.1. It and its connections end when it is dropped.
#[derive(Debug)]
pub struct Service {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Service {
    pub async fn start(name: &str, answer: Answer) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("127.0.0.1 has no free port")?;
        let address = listener.local_addr()?;
        let connections = Arc::default();
        let task = tokio::spawn(serve(listener, format!("{name}\n"), answer, Arc::clone(&connections)));
        Ok(Self { address, connections, task })
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many connections it has accepted.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Opens a new connection, sends `text`, and gives the first line of the answer without its end. An error if there is none.
pub async fn ask(address: SocketAddr, text: &str) -> anyhow::Result<String> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(text.as_bytes()).await?;
        let mut line = String::new();
        BufReader::new(stream.take(LONGEST_LINE)).read_line(&mut line).await?;
        std::io::Result::Ok(line)
    };
    let line = timeout(ASK_TIMEOUT, exchange)
        .await
        .with_context(|| format!("{address} did not answer within {} s", ASK_TIMEOUT.as_secs()))?
        .with_context(|| format!("{address} did not answer"))?;
    ensure!(line.ends_with('\n'), "{address} closed the connection before it had said a line");
    Ok(line.trim_end().to_owned())
}

async fn serve(listener: TcpListener, name: String, answer: Answer, count: Arc<AtomicUsize>) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if open.len() < CONNECTIONS_AT_ONCE => {
                // One that is gone before it is accepted is none.
                let Ok((stream, _)) = accepted else { continue };
                count.fetch_add(1, Ordering::Relaxed);
                open.spawn(respond(stream, name.clone(), answer));
            }
            Some(_) = open.join_next() => {}
        }
    }
}

/// Whoever leaves before the answer has come has no use for an error.
async fn respond(mut stream: TcpStream, name: String, answer: Answer) -> std::io::Result<()> {
    if answer == Answer::Name {
        stream.write_all(name.as_bytes()).await?;
        return stream.shutdown().await;
    }
    let (from, mut to) = stream.split();
    let mut lines = BufReader::new(from).lines();
    while let Some(line) = lines.next_line().await? {
        // A client of redis also sends how long what comes next is.
        if line.trim().eq_ignore_ascii_case("PING") {
            to.write_all(b"+PONG\r\n").await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_service_says_its_name_to_everybody_and_counts_them() {
        let service = Service::start("backend-v1", Answer::Name).await.expect("a port is free");
        for _ in 0..3 {
            assert_eq!(ask(service.address, "").await.expect("it answers"), "backend-v1");
        }
        assert_eq!(service.connections(), 3);
    }

    #[tokio::test]
    async fn redis_is_a_pong_to_every_ping() {
        let service = Service::start("redis", Answer::Pong).await.expect("a port is free");
        for ping in ["PING\r\n", "ping\n", "*1\r\n$4\r\nPING\r\n"] {
            assert_eq!(ask(service.address, ping).await.expect("it answers"), "+PONG", "{ping:?}");
        }
    }

    #[tokio::test]
    async fn nobody_there_and_nothing_said_are_errors() {
        let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = silent.local_addr().expect("it is bound");
        let (answer, ()) = tokio::join!(ask(address, ""), async { drop(silent.accept().await) });
        assert!(answer.expect_err("nothing was said").to_string().contains("closed the connection"));
        drop(silent);
        assert!(ask(address, "").await.is_err());
    }
}
