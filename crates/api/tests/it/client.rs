//! An HTTP/1.1 client that sends exactly what a test says, which no proper client would.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// For anything that must happen: far beyond what it takes on the slowest machine.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Names in lower case; values of the same name are joined with a comma.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }
}

/// One request on a connection of its own. `headers` may give a `host` of their own; a body is JSON unless they give a
/// `content-type`.
pub(crate) async fn ask(
    address: SocketAddr,
    request: &str,
    headers: &[(String, String)],
    body: Option<&str>,
) -> Reply {
    let has = |name: &str| headers.iter().any(|(given, _)| given == name);
    let mut lines = vec![format!("{request} HTTP/1.1"), "connection: close".to_owned()];
    lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
    if !has("host") {
        lines.push(format!("host: {address}"));
    }
    if let Some(body) = body {
        lines.push(format!("content-length: {}", body.len()));
        if !has("content-type") {
            lines.push("content-type: application/json".to_owned());
        }
    }
    let head = lines.join("\r\n");
    send(address, format!("{head}\r\n\r\n{}", body.unwrap_or_default()).as_bytes()).await
}

/// Sends these bytes and reads the answer to its end.
pub(crate) async fn send(address: SocketAddr, bytes: &[u8]) -> Reply {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.expect("the server listens");
        stream.write_all(bytes).await.expect("the server reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("the server answers");
        String::from_utf8(answer).expect("answers are UTF-8")
    };
    parse(&timeout(DEADLINE, exchange).await.expect("the server answers in time"))
}

/// GET without more.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Reply {
    ask(address, &format!("GET {path}"), &[], None).await
}

pub(crate) async fn put(address: SocketAddr, path: &str, json: &str) -> Reply {
    ask(address, &format!("PUT {path}"), &[], Some(json)).await
}

pub(crate) async fn post(address: SocketAddr, path: &str, json: &str) -> Reply {
    ask(address, &format!("POST {path}"), &[], Some(json)).await
}

pub(crate) fn parse(answer: &str) -> Reply {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no whole answer: {answer:?}"));
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status line");
    let mut headers = BTreeMap::<String, String>::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        let joined = headers.entry(name.to_lowercase()).or_default();
        if !joined.is_empty() {
            joined.push_str(", ");
        }
        joined.push_str(value);
    }
    Reply { status, headers, body: body.to_owned() }
}
