//! One of the fuzz targets under libFuzzer: the one that the environment variable `FUZZ_TARGET` names.

#![no_main]

use std::{env, sync::LazyLock};

use fuzz_targets::{TARGETS, Target};
use libfuzzer_sys::fuzz_target;

static CHOSEN: LazyLock<&Target> = LazyLock::new(|| {
    let name = env::var("FUZZ_TARGET").unwrap_or_default();
    let known = TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(", ");
    TARGETS
        .iter()
        .find(|target| target.name == name)
        .unwrap_or_else(|| panic!("FUZZ_TARGET is {name:?}; it has to be one of {known}"))
});

fuzz_target!(|data: &[u8]| (CHOSEN.check)(data));
