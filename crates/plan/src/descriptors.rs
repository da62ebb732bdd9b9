//! The descriptors of all messages of Envoy's two APIs, loaded at first use.
//!
//! Two pools, because an API's names are its own: a message of v2 is never found where one of v3 is asked for.

use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

/// Envoy's API of today. The first call takes some 40 ms, and 20 MB.
pub(crate) fn v3() -> &'static DescriptorPool {
    static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| load(include_bytes!("generated/envoy_v3.bin")));
    &POOL
}

/// Envoy's API of 2018 to 2020, which no Envoy speaks any longer and resources of that time are written in.
pub(crate) fn v2() -> &'static DescriptorPool {
    static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| load(include_bytes!("generated/envoy_v2.bin")));
    &POOL
}

fn load(generated: &[u8]) -> DescriptorPool {
    DescriptorPool::decode(generated).expect("the embedded descriptors are those that xtask wrote")
}
