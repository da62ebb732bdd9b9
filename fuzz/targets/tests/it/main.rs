//! Every target, driven by thousands of seeded inputs, on a test's thread: its stack is as small as those of a server.
//! `FUZZ_INPUTS` asks for more inputs, `FUZZ_SEED` for others.

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind},
};

use fuzz_targets::{TARGETS, inputs};

/// For each target.
const INPUTS: u64 = 20_000;

macro_rules! drive {
    ($($target:ident)+) => {
        $(
            #[test]
            fn $target() {
                drive(stringify!($target));
            }
        )+

        #[test]
        fn every_target_is_driven() {
            assert_eq!(TARGETS.iter().map(|target| target.name).collect::<Vec<_>>(), [$(stringify!($target)),+]);
        }
    };
}

drive! {
    json_document
    yaml_document
    transaction
    bootstrap
    raw_resource
    path
    query
    if_match
    accept
    host
    revision
    log_format
    interface
    selector
    timestamp
    proxy_id
    token
    discovery_requests
    kumactl_file
    kumactl_template
}

fn drive(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("the list is the table's");
    let seeds: Vec<&[u8]> = target.seeds.iter().map(|seed| seed.as_bytes()).collect();
    let first = number("FUZZ_SEED").unwrap_or(0);
    for number in first..first + number("FUZZ_INPUTS").unwrap_or(INPUTS) {
        let input = inputs::input(&seeds, number);
        let kept = catch_unwind(AssertUnwindSafe(|| (target.check)(&input)));
        assert!(
            kept.is_ok(),
            "a promise is broken, see above; again with FUZZ_SEED={number} FUZZ_INPUTS=1 and the test {name}; the input is \
             b\"{}\"",
            input.escape_ascii()
        );
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number, and not {text:?}")))
}
