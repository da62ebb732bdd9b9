//! What a client refused, and when it is offered again.
//!
//! A refused response is not sent again at once: the same words would get the same answer for ever. What was in it is
//! offered again when something of it changes, and after a while that doubles, because some refusals heal without a
//! change of content ("address already in use"). What may refer to a cluster is also offered again when the client takes one that
//! it did not have.
//!
//! It is offered again one by one, but for whole sets, which cannot be taken apart. Envoy takes the good resources of a
//! response that it refuses, but does not remember that it has them, so that after a reconnect their removal could not be
//! derived; alone, they are acknowledged, and the rejection that stands names the bad ones only.
//!
//! Extensions are another matter, because Envoy acknowledges the same content the second time whatever it is worth. One that was
//! refused stays so on its stream until it changes or goes, and is not offered again; only those that were refused together
//! are, at once and one by one, in case the good ones were not applied. Which those are cannot be told, and all stay refused.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// The first wait before the same content is sent again.
const RETRY_FIRST: Duration = Duration::from_secs(5);
/// The longest wait.
const RETRY_MAX: Duration = Duration::from_mins(5);
/// How much of the wait is added at random, at most.
const RETRY_JITTER: f64 = 0.2;
/// Of a client's words, as much as a person reads.
const MESSAGE_BYTES_MAX: usize = 4096;

pub(super) struct Rejected {
    /// Names and versions of what was refused and has not been taken since.
    pub(super) resources: BTreeMap<Arc<str>, Arc<str>>,
    pub(super) since: Instant,
    /// `None` while it is being sent again, and of extensions.
    pub(super) retry_at: Option<Instant>,
    /// How often the same content was refused before.
    pub(super) repeats: u32,
}

impl Rejected {
    pub(super) fn contains(&self, name: &str) -> bool {
        self.resources.contains_key(name)
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&Arc<str>) -> bool) {
        self.resources.retain(|name, _| keep(name));
    }

    /// All names, to be sent again now.
    pub(super) fn take_all_again(&mut self) -> Vec<Arc<str>> {
        self.retry_at = None;
        self.resources.keys().cloned().collect()
    }

    pub(super) fn resources(&self) -> Vec<(Arc<str>, Arc<str>)> {
        self.resources.iter().map(|(name, version)| (name.clone(), version.clone())).collect()
    }

    pub(super) fn holds_all_of<'a>(
        &self,
        resources: impl IntoIterator<Item = &'a (Arc<str>, Arc<str>)>,
    ) -> bool {
        resources.into_iter().all(|(name, version)| self.resources.get(name) == Some(version))
    }
}

pub(super) fn retry_after(repeats: u32, random: f64) -> Duration {
    let wait = RETRY_FIRST.saturating_mul(2_u32.saturating_pow(repeats)).min(RETRY_MAX);
    wait + wait.mul_f64(RETRY_JITTER * random)
}

/// As much of a client's words as is kept.
pub(super) fn cut(message: &str) -> String {
    message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)].to_owned()
}
