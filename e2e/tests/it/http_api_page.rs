//! The pages on the HTTP API, so that they cannot rot: their commands are run, and the answers that they show are the answers.
//!
//! The `bash` blocks of a page are run in their order, in one shell, beside a fresh kuma-cp. A `json`, `yaml` or `text` block
//! is what the `bash` block before it prints; one without such a block prints nothing. JSON is compared as a value, everything
//! else line by line. In an answer `…` stands for any text, and as the whole of a JSON string for any value. Blocks in other
//! languages are not run.

use std::{fmt::Write as _, fs, path::Path};

use serde_json::Value;

use crate::documented::{Block, blocks, run};

/// What the pages write for the epoch of the store, which is random.
const EPOCH: &str = "5f0c3a1e";

#[tokio::test]
async fn what_the_page_on_the_api_says_is_so() {
    check("docs/http-api.md").await;
}

#[tokio::test]
async fn what_the_page_on_resources_says_is_so() {
    check("docs/resources.md").await;
}

/// A `bash` block, and what the page says that it prints.
#[derive(Debug)]
struct Example<'a> {
    command: Block<'a>,
    answer: Option<Block<'a>>,
}

/// `page` is a path in the repository.
async fn check(page: &str) {
    let markdown = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page)).unwrap();
    let examples = examples(page, &blocks(&markdown));
    assert!(examples.len() > 5, "{page} has examples");
    let folder = tempfile::tempdir().unwrap();
    // A reader has a terminal, and so no progress meter.
    fs::write(folder.path().join(".curlrc"), "no-progress-meter\n").unwrap();
    let output = run(&script(&examples), folder.path()).await;

    let epoch = epoch(&crate::shop::read(&folder.path().join("first.head")));
    let mut wrong = String::new();
    for (i, example) in examples.iter().enumerate() {
        let printed = fs::read_to_string(printed_by(folder.path(), i));
        let problem = match &printed {
            Ok(printed) => differs(example.answer, &printed.replace(&epoch, EPOCH)),
            Err(_) => Some("it was not run".to_owned()),
        };
        if let Some(problem) = problem {
            let _ = writeln!(wrong, "{page}:{}:\n{}{problem}\n", example.command.line, example.command.text);
        }
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && wrong.is_empty(), "{wrong}\n{stderr}");
}

fn examples<'a>(page: &str, blocks: &[Block<'a>]) -> Vec<Example<'a>> {
    let mut examples: Vec<Example<'_>> = Vec::new();
    let mut is_before = false;
    for &block in blocks {
        let is_command = block.language == "bash";
        match block.language {
            "bash" => examples.push(Example { command: block, answer: None }),
            "json" | "yaml" | "text" => {
                let unanswered = examples.last_mut().filter(|_| is_before);
                unanswered.unwrap_or_else(|| panic!("{page}:{}: an answer to nothing", block.line)).answer =
                    Some(block);
            }
            _ => {}
        }
        is_before = is_command;
    }
    examples
}

/// Each example prints into a file of its own.
fn script(examples: &[Example<'_>]) -> String {
    let mut script = "kuma-cp run 2> kuma-cp.log &\n\
                      until curl -sf localhost:5680/ready > first.head; do sleep 0.2; done\n\
                      curl -sI localhost:5681/ > first.head\n"
        .to_owned();
    for (i, example) in examples.iter().enumerate() {
        let file = printed_by(Path::new("."), i);
        let _ = write!(script, "exec > {}\n{}", file.display(), example.command.text);
    }
    script
}

fn printed_by(folder: &Path, example: usize) -> std::path::PathBuf {
    folder.join(format!("{example}.printed"))
}

/// Out of `Kuma-Revision: <epoch>-<number>`.
fn epoch(head: &str) -> String {
    let revision = head.lines().find_map(|line| line.strip_prefix("kuma-revision: "));
    revision.and_then(|revision| revision.split_once('-')).expect("every answer has a revision").0.to_owned()
}

/// How what was printed is not the answer.
fn differs(answer: Option<Block<'_>>, printed: &str) -> Option<String> {
    let Some(Block { language, text, line }) = answer else {
        return (!printed.is_empty())
            .then(|| format!("it printed, and the page does not show it:\n{printed}"));
    };
    let is_so = match language {
        "json" => {
            let expected = serde_json::from_str(text).unwrap_or_else(|error| panic!("line {line}: {error}"));
            serde_json::from_str(printed).is_ok_and(|printed| is_value(&expected, &printed))
        }
        _ => is_lines(text, printed),
    };
    (!is_so).then(|| format!("printed, and not what stands in line {line}:\n{printed}"))
}

pub(crate) fn is_value(expected: &Value, value: &Value) -> bool {
    match (expected, value) {
        (Value::String(expected), _) if expected == "…" => true,
        (Value::String(expected), Value::String(text)) => is_text(expected, text),
        (Value::Array(expected), Value::Array(items)) => {
            expected.len() == items.len() && expected.iter().zip(items).all(|(e, item)| is_value(e, item))
        }
        (Value::Object(expected), Value::Object(fields)) => {
            let has = |(name, e)| fields.get(name).is_some_and(|field| is_value(e, field));
            expected.len() == fields.len() && expected.iter().all(has)
        }
        _ => expected == value,
    }
}

/// Line by line, whatever white space ends them.
fn is_lines(expected: &str, text: &str) -> bool {
    let (expected, lines): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), text.lines().collect());
    let is_line = |(expected, line): (&&str, &&str)| is_text(expected.trim_end(), line.trim_end());
    expected.len() == lines.len() && expected.iter().zip(&lines).all(is_line)
}

/// Each `…` is any text, the shortest that will do.
fn is_text(expected: &str, text: &str) -> bool {
    let Some((first, others)) = expected.split_once('…') else { return expected == text };
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = others.split('…').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some((_, behind)) = rest.split_once(part) else { return false };
        rest = behind;
    }
    rest.ends_with(last)
}

#[test]
fn an_answer_that_is_another_is_noticed() {
    for (language, answer, printed, expected) in [
        ("json", r#"{"a": [1, {"b": "…"}]}"#, r#"{"a":[1,{"b":{"c":2}}]}"#, true),
        ("json", r#"{"a": 1, "b": 2}"#, r#"{"b":2,"a":1}"#, true),
        ("json", r#"{"a": 1}"#, r#"{"a":1,"b":2}"#, false),
        ("json", r#"{"a": 1, "b": 2}"#, r#"{"a":1}"#, false),
        ("json", r#"["a", "b"]"#, r#"["b","a"]"#, false),
        ("json", r#"["a"]"#, r#"["a","b"]"#, false),
        ("json", r#"{"at": "20…Z"}"#, r#"{"at":"2026-11-24T10:00:00Z"}"#, true),
        ("json", r#"{"at": "20…Z"}"#, r#"{"at":"2026-11-24T10:00:00"}"#, false),
        ("json", "{}", "", false),
        ("text", "a\nb …\n", "a\r\nb c\r\n", true),
        ("text", "a\n", "a\nb\n", false),
        ("text", "a …, b …\n", "a 1, 2\n", false),
        ("text", "x…x\n", "x\n", false),
    ] {
        let block = Block { line: 1, language, text: answer };
        assert_eq!(differs(Some(block), printed).is_none(), expected, "{answer} {printed}");
    }
    assert!(differs(None, "{\"title\":\"Could not process the request\"}").is_some());
    assert!(differs(None, "").is_none());
}
