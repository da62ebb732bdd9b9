//! The least that a client of HTTP/1.1 needs, so that the clients take little of the machine from what they measure:
//! one keep-alive connection, one request at a time, answers with a `Content-Length`.

use std::net::SocketAddr;

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Room for any head, and few reads for a long body.
const BUFFER_BYTES: usize = 128 * 1024;

#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    status: u16,
    /// Of the body.
    length: usize,
    /// Of the head itself.
    bytes: usize,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true).context("TCP_NODELAY")?;
        Ok(Self { stream, buffer: vec![0; BUFFER_BYTES] })
    }

    /// One request, as it is to be sent, until its answer is read whole. Returns the length of the body, of which `sink`
    /// has been given every piece.
    ///
    /// # Errors
    /// When it is not answered, or with another status than 200 or 201.
    pub(crate) async fn exchange(
        &mut self,
        request: &[u8],
        mut sink: impl FnMut(&[u8]),
    ) -> anyhow::Result<usize> {
        self.stream.write_all(request).await.context("sending a request")?;
        let mut filled = 0;
        let head = loop {
            filled += self.read(filled).await?;
            if let Some(head) = parse(&self.buffer[..filled])? {
                break head;
            }
            ensure!(filled < BUFFER_BYTES, "the head of an answer does not end");
        };

        let piece = &self.buffer[head.bytes..filled];
        sink(piece);
        let mut received = piece.len();
        while received < head.length {
            let read = self.read(0).await?;
            sink(&self.buffer[..read]);
            received += read;
        }
        ensure!(received == head.length, "an answer is longer than it says");
        ensure!(matches!(head.status, 200 | 201), "answered with status {}", head.status);
        Ok(head.length)
    }

    /// Reads to where the buffer is filled up to.
    async fn read(&mut self, filled: usize) -> anyhow::Result<usize> {
        match self.stream.read(&mut self.buffer[filled..]).await.context("reading an answer")? {
            0 => bail!("the connection was closed in the middle of an answer"),
            read => Ok(read),
        }
    }
}

pub(crate) fn get(address: SocketAddr, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n").into_bytes()
}

pub(crate) fn put(address: SocketAddr, path: &str, json: &str) -> Vec<u8> {
    let length = json.len();
    format!(
        "PUT {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{json}"
    )
    .into_bytes()
}

/// `None` while the head is not there whole.
fn parse(bytes: &[u8]) -> anyhow::Result<Option<Head>> {
    const END: &[u8] = b"\r\n\r\n";
    let Some(end) = bytes.windows(END.len()).position(|window| window == END) else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..end]).context("the head of an answer is no text")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    match (status, length) {
        (Some(status), Some(length)) => Ok(Some(Head { status, length, bytes: end + END.len() })),
        _ => bail!("an answer is not HTTP/1.1 with a Content-Length:\n{head}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let text = b"HTTP/1.1 201 Created\r\nServer: x\r\nContent-Length: 12\r\n\r\n{";
        for length in 0..text.len() - 1 {
            assert_eq!(parse(&text[..length]).expect("no answer yet"), None, "{length}");
        }
        let head = Head { status: 201, length: 12, bytes: text.len() - 1 };
        assert_eq!(parse(text).expect("an answer"), Some(head));
    }

    #[test]
    fn what_this_client_does_not_understand_is_an_error() {
        for text in [
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\n",
            "HTTP/1.1 20\r\ncontent-length: 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
