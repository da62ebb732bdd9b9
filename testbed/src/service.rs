//! The services behind the proxies, and their clients.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, bail};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// How a service answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Its name, as a line, to whoever connects: a protocol in which the server speaks first.
    Name,
    /// `+PONG` to each line `PING`, as Redis does.
    Pong,
    /// Every byte as it came, until the client ends.
    Echo,
}

/// A tiny TCP service on a port of 127.0.0.1. Ends when it is dropped.
#[derive(Debug)]
pub struct Service {
    address: SocketAddr,
    connections: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Service {
    /// On a free port.
    pub async fn start(name: &str, answer: Answer) -> anyhow::Result<Self> {
        Self::start_on(0, name, answer).await
    }

    pub async fn start_on(port: u16, name: &str, answer: Answer) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let connections = Arc::new(AtomicU64::new(0));
        let (line, counter) = (format!("{name}\n"), connections.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::Relaxed);
                let line = line.clone();
                tokio::spawn(async move {
                    let served = match answer {
                        Answer::Name => say(stream, &line).await,
                        Answer::Pong => pong(stream).await,
                        Answer::Echo => echo(stream).await,
                    };
                    drop(served); // A client may leave when it likes.
                });
            }
        });
        Ok(Self { address, connections, task })
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Accepted so far.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn say(mut stream: TcpStream, line: &str) -> std::io::Result<()> {
    stream.write_all(line.as_bytes()).await?;
    stream.shutdown().await
}

async fn pong(stream: TcpStream) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 0 {
        let answer = if line.trim_end() == "PING" { "+PONG\r\n" } else { "-ERR unknown command\r\n" };
        stream.write_all(answer.as_bytes()).await?;
        line.clear();
    }
    Ok(())
}

async fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    let (mut from, mut to) = stream.split();
    tokio::io::copy(&mut from, &mut to).await?;
    to.shutdown().await
}

/// Opens a new connection, says `request` if it is not empty, and returns the first line of the answer.
///
/// # Errors
/// When there is no connection, or it is closed without a line.
pub async fn ask(address: SocketAddr, request: &str) -> anyhow::Result<String> {
    let conversation = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).await?;
        Ok::<_, std::io::Error>(line)
    };
    let answer = tokio::time::timeout(Duration::from_secs(10), conversation).await;
    let line = answer.with_context(|| format!("{address} does not answer"))??;
    match line.trim_end() {
        "" => bail!("{address} closed the connection without an answer"),
        line => Ok(line.to_owned()),
    }
}
