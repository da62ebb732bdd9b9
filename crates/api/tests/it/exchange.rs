//! A connection on which many requests are made and answers are read by their own length, as a client that stays does.

use std::{collections::BTreeMap, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::client::{DEADLINE, Reply, parse};

pub(crate) struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// How a request is answered whose body may stay away: a HEAD has the length of what it leaves out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    Comes,
    StaysAway,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let connecting = timeout(DEADLINE, TcpStream::connect(address));
        let stream = connecting.await.expect("the server accepts in time").expect("the server listens");
        Self { stream, unread: Vec::new() }
    }

    /// `false` when the server has closed: it may do that to whoever breaks HTTP.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        timeout(DEADLINE, self.stream.write_all(bytes)).await.expect("the server reads on").is_ok()
    }

    /// No more is sent.
    pub(crate) async fn half_close(&mut self) {
        // The server may have closed before.
        let _ = self.stream.shutdown().await;
    }

    /// The next answer; `None` when the connection ended before one began.
    pub(crate) async fn answer(&mut self, body: Body) -> Option<Reply> {
        let head_end = loop {
            if let Some(at) = self.unread.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.read_more().await {
                assert!(
                    self.unread.is_empty(),
                    "an answer broke off: {:?}",
                    self.unread.escape_ascii().to_string()
                );
                return None;
            }
        };
        let head: Vec<u8> = self.unread.drain(..head_end).collect();
        let mut reply = parse(std::str::from_utf8(&head).expect("a head is text"));
        if reply.status < 200 {
            return Box::pin(self.answer(body)).await;
        }
        // A stream of events has no length, and no end.
        let is_stream = reply.header("transfer-encoding").is_some();
        let has_none = is_stream || body == Body::StaysAway || matches!(reply.status, 204 | 304);
        let length =
            reply.header("content-length").map(|length| length.parse().expect("a length is a number"));
        if !has_none {
            let length = length.expect("an answer with a body says how long it is");
            reply.body = self.take(length).await;
        }
        Some(reply)
    }

    /// Ends the conversation if the answer says so.
    pub(crate) fn goes_on(reply: &Reply) -> bool {
        reply.header("connection") != Some("close") && reply.header("transfer-encoding").is_none()
    }

    async fn take(&mut self, length: usize) -> String {
        while self.unread.len() < length {
            assert!(self.read_more().await, "a body broke off");
        }
        String::from_utf8(self.unread.drain(..length).collect()).expect("bodies are UTF-8")
    }

    /// `false` at the end, or at a reset, which is an end as well.
    async fn read_more(&mut self) -> bool {
        let reading = timeout(DEADLINE, self.stream.read_buf(&mut self.unread));
        reading.await.expect("the server answers in time").is_ok_and(|read| read > 0)
    }
}

/// A whole request, with the length of its body unless the headers say something of that.
pub(crate) fn request(
    method: &str,
    target: &str,
    headers: &BTreeMap<String, String>,
    body: &[u8],
) -> Vec<u8> {
    let mut lines = vec![format!("{method} {target} HTTP/1.1")];
    lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
    let framed = headers.contains_key("content-length") || headers.contains_key("transfer-encoding");
    if !framed && (!body.is_empty() || method == "PUT" || method == "POST") {
        lines.push(format!("content-length: {}", body.len()));
    }
    let head = lines.join("\r\n") + "\r\n";
    [head.as_bytes(), b"\r\n", body].concat()
}
