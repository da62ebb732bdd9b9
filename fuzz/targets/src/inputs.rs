//! Inputs from seeds: good examples, and what becomes of them in unkind hands.
//!
//! Flipped bits alone seldom get past a tokenizer, so most changes here are made to tokens, as JSON, YAML, paths and headers
//! have them: dropped, doubled, swapped, replaced by what is awkward, wrapped in nesting. The same number gives the same input, on
//! every machine.

use std::ops::Range;

use fastrand::Rng;

/// No input grows beyond this: what size does is asserted elsewhere, and here the number of inputs counts.
const BYTES_MAX: usize = 8 * 1024;

/// Changes made to one input, at most.
const CHANGES_MAX: usize = 6;

/// What parsers have stumbled over, here or elsewhere.
const AWKWARD: &[&[u8]] = &[
    b"null",
    b"true",
    b"~",
    b"{}",
    b"[]",
    b"\"\"",
    b"-1",
    b"0",
    b"1e1",
    b"10.0",
    b"1e400",
    b"-0",
    b"00",
    b"4294967296",
    b"18446744073709551616",
    b"-9223372036854775809",
    b"999999999999999999999999999999999999999999",
    b"\"10\"",
    b"\"\\u0000\"",
    b"\"\\ud800\"",
    b"\"\\n\"",
    b"\"a\\nb\"",
    b"\"*\"",
    b"\"%\"",
    b"\"\xef\xbb\xbf\"",
    b"\"\xe2\x80\xa8\"",
    b"\"\xc2\x85\"",
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\0",
    b"\t",
    b"\r",
    b"\n---\n",
    b"...",
    b"<<",
    b"&a",
    b"*a",
    b"!!binary",
    b"!<x>",
    b"|",
    b">-",
    b"? ",
    b"#",
    b"'",
    b"{{",
    b"}}",
    b"%",
    b"%2F",
    b"%00",
    b"%zz",
    b"/",
    b"//",
    b"..",
    b"+",
    b"*",
    b",",
    b":",
    b";q=0",
    b"W/",
    b"\"type\":\"Mesh\"",
    b"\"__proto__\":1",
];

/// The input of this number, made of `seeds`. Every seed itself is among the first.
pub fn input(seeds: &[&[u8]], number: u64) -> Vec<u8> {
    let as_it_is = usize::try_from(number).ok().and_then(|number| seeds.get(number));
    if let Some(seed) = as_it_is {
        return seed.to_vec();
    }
    let mut rng = Rng::with_seed(number);
    let mut input = rng.choice(seeds).map(|seed| seed.to_vec()).unwrap_or_default();
    for _ in 0..rng.usize(1..=CHANGES_MAX) {
        change(&mut input, seeds, &mut rng);
        input.truncate(BYTES_MAX);
    }
    input
}

fn change(input: &mut Vec<u8>, seeds: &[&[u8]], rng: &mut Rng) {
    match rng.u8(..20) {
        0 => flip_bit(input, rng),
        1 => insert(input, &[rng.u8(..)], rng),
        2 => drop(input.drain(any_range(input, rng))),
        3 => input.truncate(rng.usize(..=input.len())),
        4 => double(input, rng),
        5 | 6 => splice(input, seeds, rng),
        7 => nest(input, rng),
        // Each costs as much as the reader allows, and that is a thousand times what others cost.
        8 if rng.u8(..) == 0 => *input = laughs(rng),
        9 | 10 => insert(input, awkward(rng), rng),
        11 | 12 => replace_token(input, &[], rng),
        13 | 14 => swap_tokens(input, rng),
        15 => double_token(input, rng),
        16 => replace_token(input, &b"x".repeat(rng.usize(..2000)), rng),
        _ => replace_token(input, awkward(rng), rng),
    }
}

fn awkward(rng: &mut Rng) -> &'static [u8] {
    rng.choice(AWKWARD).copied().unwrap_or_default()
}

fn flip_bit(input: &mut [u8], rng: &mut Rng) {
    if let Some(at) = any_index(input, rng) {
        input[at] ^= 1 << rng.u8(..8);
    }
}

fn insert(input: &mut Vec<u8>, bytes: &[u8], rng: &mut Rng) {
    let at = rng.usize(..=input.len());
    input.splice(at..at, bytes.iter().copied());
}

fn double(input: &mut Vec<u8>, rng: &mut Rng) {
    let range = any_range(input, rng);
    let piece = input[range.clone()].to_vec();
    input.splice(range.end..range.end, piece);
}

fn splice(input: &mut Vec<u8>, seeds: &[&[u8]], rng: &mut Rng) {
    let other = rng.choice(seeds).copied().unwrap_or_default();
    let piece = other[any_range(other, rng)].to_vec();
    let range = any_range(input, rng);
    input.splice(range, piece);
}

/// One token goes into many brackets, or the brackets stand alone.
fn nest(input: &mut Vec<u8>, rng: &mut Rng) {
    let depth = rng.choice([3, 63, 64, 65, 127, 128, 129, 1000]).unwrap_or_default();
    let brackets = [("[", "]"), ("{\"a\":", "}"), ("- ", ""), ("{{#a}}", "{{/a}}")];
    let (open, close) = rng.choice(brackets).unwrap_or_default();
    let token = any_token(input, rng);
    let inside = input[token.clone()].to_vec();
    let nested = [open.repeat(depth).as_bytes(), &inside, close.repeat(depth).as_bytes()].concat();
    input.splice(token, nested);
}

/// A billion laughs: each line is ten times the line before.
fn laughs(rng: &mut Rng) -> Vec<u8> {
    let line = |level: usize| {
        let before = format!("*a{}", level - 1);
        format!("a{level}: &a{level} [{}]", vec![before; 10].join(", "))
    };
    let first = "type: Mesh\nname: &a0 laugh".to_owned();
    let lines: Vec<String> = std::iter::once(first).chain((1..rng.usize(2..12)).map(line)).collect();
    lines.join("\n").into_bytes()
}

fn replace_token(input: &mut Vec<u8>, by: &[u8], rng: &mut Rng) {
    let token = any_token(input, rng);
    input.splice(token, by.iter().copied());
}

fn double_token(input: &mut Vec<u8>, rng: &mut Rng) {
    let token = any_token(input, rng);
    let piece = input[token.clone()].to_vec();
    input.splice(token.end..token.end, piece);
}

fn swap_tokens(input: &mut Vec<u8>, rng: &mut Rng) {
    let (a, b) = (any_token(input, rng), any_token(input, rng));
    let (first, second) = if a.start <= b.start { (a, b) } else { (b, a) };
    if first.end <= second.start {
        let swapped = [
            &input[..first.start],
            &input[second.clone()],
            &input[first.end..second.start],
            &input[first],
            &input[second.end..],
        ]
        .concat();
        *input = swapped;
    }
}

fn any_index(input: &[u8], rng: &mut Rng) -> Option<usize> {
    (!input.is_empty()).then(|| rng.usize(..input.len()))
}

/// Short more often than long.
fn any_range(input: &[u8], rng: &mut Rng) -> Range<usize> {
    let start = rng.usize(..=input.len());
    let longest = 1 << rng.u8(..10);
    let length = rng.usize(..=longest.min(input.len() - start));
    start..start + length
}

/// The token around a random place: a quoted text, a word or a number, or one byte of anything else.
fn any_token(input: &[u8], rng: &mut Rng) -> Range<usize> {
    let Some(at) = any_index(input, rng) else { return 0..0 };
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
    if !is_word(&input[at]) {
        return at..at + 1;
    }
    let before = input[..at].iter().rev().take_while(|byte| is_word(byte)).count();
    let after = input[at..].iter().take_while(|byte| is_word(byte)).count();
    let (mut start, mut end) = (at - before, at + after);
    let is_quoted = start > 0 && input[start - 1] == b'"' && input.get(end) == Some(&b'"');
    if is_quoted {
        (start, end) = (start - 1, end + 1);
    }
    start..end
}
