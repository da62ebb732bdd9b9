//! That no text can do harm: neither by its depth nor by its size, nor by anything else in it.

use std::fmt::Write;

use plan::{envoy::json, raw};

use crate::raw_judgement::{CLUSTER, LISTENER, said_of};

/// Deeper than any message is, in every way in which one can be.
#[test]
fn depth_is_bounded() {
    let deep =
        |open: &str, close: &str, levels: usize| format!("{}1{}", open.repeat(levels), close.repeat(levels));
    let matcher = move |levels| deep("{and_filter: {filters: [{}, ", "]}}", levels);
    let any = move |levels| deep("{'@type': a/google.protobuf.Any, value: ", "}", levels);
    let run = move || {
        for text in [
            deep("[", "]", 100_000),
            deep("{a: ", "}", 100_000),
            deep("{\"a\": ", "}", 100_000),
            "- ".repeat(100_000),
            (0..2_000).map(|level| " ".repeat(level) + "a:\n").collect(),
        ] {
            assert!(!said_of(&text).is_empty());
        }
        for levels in [1, 10, 15, 17, 18, 30, 60, 1_000] {
            let log = format!("{LISTENER}access_log: {{name: a, filter: {}}}", matcher(levels));
            assert!(!said_of(&log).is_empty());
            let config =
                format!("{LISTENER}filter_chains: {{filters: {{name: f, typed_config: {}}}}}", any(levels));
            assert!(!said_of(&config).is_empty());
        }
    };
    // Three quarters of what a thread has; without optimization, a level takes up to 20 KB of it.
    std::thread::Builder::new().stack_size(1536 * 1024).spawn(run).unwrap().join().unwrap();
}

#[test]
fn aliases_cannot_multiply_a_text() {
    let mut laughs =
        format!("{CLUSTER}metadata:\n  filterMetadata:\n    a0: &a0 {{x: [x, x, x, x, x, x, x, x]}}\n");
    for i in 1..20 {
        let aliases = vec![format!("*a{}", i - 1); 10].join(", ");
        writeln!(laughs, "    a{i}: &a{i} {{x: [{aliases}]}}").unwrap();
    }
    assert_ne!(said_of(&laughs), "");
}

#[test]
fn what_is_said_is_short_whatever_the_text() {
    let long = "k".repeat(1_000_000);
    for text in [
        format!("{CLUSTER}{long}: 1"),
        format!("{CLUSTER}type: {long}"),
        format!("{CLUSTER}altStatName: {long}\ntype: X"),
        format!("'@type': {long}"),
        format!("'@type': a/{long}"),
        format!("{CLUSTER}metadata: {{filterMetadata: {{? {long} : 1}}}}"),
        format!(
            "{LISTENER}filter_chains: {{filters: {{name: {long}, typed_config: {{'@type': a/{long}}}}}}}"
        ),
    ] {
        let said = said_of(&text);
        assert!(!said.is_empty() && said.len() < 1_000, "{} bytes: {}", said.len(), &said[..100]);
    }
}

/// Any text is a resource or an error: never a panic, and never bytes that are not of their type.
#[test]
fn no_text_can_do_harm() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/raw");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|case| case.unwrap().path()).collect();
    paths.sort();
    let texts: Vec<_> = paths.iter().map(|path| std::fs::read(path.join("in.yaml")).unwrap()).collect();
    let mut random = fastrand::Rng::with_seed(7);
    let mut good = 0;
    for _ in 0..2_000 {
        let mut text = texts[random.usize(..texts.len())].clone();
        for _ in 0..random.usize(1..=2) {
            mutate(&mut text, &texts, &mut random);
        }
        let text = String::from_utf8_lossy(&text);
        if let Ok(resource) = raw::read(&text) {
            json::print(resource.type_url, &resource.value).expect("of its type");
            good += 1;
        }
    }
    assert!((100..1_900).contains(&good), "{good} of 2,000 are good: too few or too many to prove something");
}

fn mutate(text: &mut Vec<u8>, texts: &[Vec<u8>], random: &mut fastrand::Rng) {
    const TOKENS: [&str; 14] =
        ["{", "}", "[", "]", ": ", ", ", "\n", "  ", "null", "-1", "1e309", "&a ", "*a", "!!binary "];
    let at = random.usize(..=text.len());
    let end = (at + random.usize(..12)).min(text.len());
    match random.u8(..5) {
        0 => drop(text.drain(at..end)),
        1 => drop(text.splice(at..at, TOKENS[random.usize(..TOKENS.len())].bytes())),
        2 => drop(text.splice(at..end, [random.u8(..)])),
        3 => {
            let copy = text[at..end].to_vec();
            drop(text.splice(at..at, copy));
        }
        _ => {
            let other = &texts[random.usize(..texts.len())];
            let from = random.usize(..other.len());
            let until = (from + random.usize(..40)).min(other.len());
            drop(text.splice(at..end, other[from..until].iter().copied()));
        }
    }
}
