//! Requests and their answers, as text: each file in `conversations/` is one server's life.
//!
//! Steps are separated by an empty line; a line that begins with `#` says why. `GET /path` is followed by `@ header: value`
//! lines and the body, then `--> 200` by the headers and the body that must come back. JSON is compared as a structure and
//! anything else as text; no body means that there must be none. Of a header `*` is any value, `-` none at all.

use std::{fmt::Write as _, fs, path::Path};

use crate::{
    client::{Reply, ask},
    server::Server,
};

#[derive(Default)]
struct Message {
    headers: Vec<(String, String)>,
    body: String,
}

struct Step {
    line: usize,
    request: String,
    sent: Message,
    status: u16,
    expected: Message,
}

#[tokio::test]
async fn every_conversation_goes_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/conversations");
    let mut failures = String::new();
    let mut steps = 0;
    for file in fs::read_dir(folder).expect("the folder is there") {
        let path = file.expect("its entries can be read").path();
        let server = Server::start().await;
        for step in parse(&fs::read_to_string(&path).expect("a conversation is text")) {
            steps += 1;
            let body = (!step.sent.body.is_empty()).then_some(step.sent.body.as_str());
            let reply = ask(server.address, &step.request, &step.sent.headers, body).await;
            for difference in differences(&step, &reply) {
                let _ =
                    writeln!(failures, "{}:{}: {}: {difference}", path.display(), step.line, step.request);
            }
        }
        server.stop().await;
    }
    assert!(failures.is_empty(), "\n{failures}");
    assert!(steps > 0, "there are conversations");
}

fn parse(text: &str) -> Vec<Step> {
    let numbered: Vec<_> = text.lines().enumerate().collect();
    let blocks = numbered.split(|(_, line)| line.trim().is_empty());
    blocks
        .map(|block| block.iter().filter(|(_, line)| !line.starts_with('#')).copied().collect::<Vec<_>>())
        .filter(|block| !block.is_empty())
        .map(|block| step(&block))
        .collect()
}

fn step(block: &[(usize, &str)]) -> Step {
    let (line, request) = block[0];
    let arrow = block.iter().position(|(_, line)| line.starts_with("--> ")).expect("each step has an answer");
    let status = block[arrow].1["--> ".len()..].trim().parse().expect("a status is a number");
    Step {
        line: line + 1,
        request: request.to_owned(),
        sent: message(&block[1..arrow]),
        status,
        expected: message(&block[arrow + 1..]),
    }
}

fn message(lines: &[(usize, &str)]) -> Message {
    let mut message = Message::default();
    for (_, line) in lines {
        if let Some((name, value)) = line.strip_prefix("@ ").and_then(|header| header.split_once(": ")) {
            message.headers.push((name.to_owned(), value.to_owned()));
        } else {
            message.body += line;
            message.body.push('\n');
        }
    }
    message
}

fn differences(step: &Step, reply: &Reply) -> Vec<String> {
    let mut differences = Vec::new();
    if step.status != reply.status {
        differences.push(format!("expected {}, got {}", step.status, reply.status));
    }
    for (name, expected) in &step.expected.headers {
        let got = reply.header(name);
        let equal = match expected.as_str() {
            "*" => got.is_some(),
            "-" => got.is_none(),
            expected => got == Some(expected),
        };
        if !equal {
            differences.push(format!("header {name}: expected {expected}, got {got:?}"));
        }
    }
    if !same_body(&step.expected.body, &reply.body) {
        differences.push(format!("expected {:?}, got {:?}", step.expected.body, reply.body));
    }
    differences
}

fn same_body(expected: &str, got: &str) -> bool {
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    match (json(expected), json(got)) {
        (Some(expected), Some(got)) => expected == got,
        _ => expected.trim_end() == got.trim_end(),
    }
}
