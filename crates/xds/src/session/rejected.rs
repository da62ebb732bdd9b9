//! What a client refused, and when it is offered again.
//!
//! A refused response is not sent again at once: the same words would get the same answer for ever. What was in it is
//! offered again when something of it changes, and after a while that doubles, because some refusals heal without a
//! change of content ("address already in use").
//!
//! It is offered again one by one, but for whole sets, which cannot be taken apart. Envoy takes the good resources of a response that it refuses, but does not remember
//! that it has them, so that after a reconnect their removal could not be derived; alone, they are acknowledged, and the
//! rejection that stands names the bad ones only.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use super::channel::{Channel, Sent};
use crate::Snapshot;

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
    resources: BTreeMap<Arc<str>, Arc<str>>,
    pub(super) since: Instant,
    /// `None` while it is being sent again.
    pub(super) retry_at: Option<Instant>,
    /// How often the same content was refused before.
    repeats: u32,
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

    fn holds_all_of(&self, sent: &[Sent]) -> bool {
        let mut resources = sent.iter().flat_map(|it| &it.resources);
        resources.all(|(name, version)| self.resources.get(name) == Some(version))
    }
}

impl Channel {
    /// Notes that the client refused these responses.
    pub(super) fn reject(&mut self, sent: Vec<Sent>, now: Instant, random: &mut fastrand::Rng) {
        let before = self.rejected.take().map(|it| *it);
        let (repeats, retry_at) = match &before {
            // Another one of those that were offered again one by one.
            Some(before) if before.holds_all_of(&sent) && before.retry_at.is_some() => {
                (before.repeats, before.retry_at)
            }
            Some(before) if before.holds_all_of(&sent) => (before.repeats + 1, None),
            _ => (0, None),
        };
        let retry_at = retry_at.unwrap_or_else(|| now + retry_after(repeats, random.f64()));
        let mut resources = before.map(|it| it.resources).unwrap_or_default();
        let refused = sent.into_iter().flat_map(|it| it.resources);
        // A whole set repeats what was taken with the one before.
        let is_repeated = |name: &str, version: &Arc<str>| self.is_whole() && self.has_taken(name, version);
        resources.extend(refused.filter(|(name, version)| !is_repeated(name, version)));
        self.rejected = Some(Box::new(Rejected { resources, since: now, retry_at: Some(retry_at), repeats }));
    }

    /// Notes that the client took these responses.
    pub(super) fn accept(&mut self, sent: &[Sent], now: SystemTime) {
        for (name, version) in sent.iter().flat_map(|it| &it.resources) {
            self.note_taken(name, version, now);
        }
        if self.is_whole() {
            self.rejected = None;
        }
        let Some(rejected) = &mut self.rejected else { return };
        for response in sent {
            for (name, _) in &response.resources {
                rejected.resources.remove(name);
            }
            for name in &response.removed {
                rejected.resources.remove(name);
            }
        }
        self.drop_empty_rejection();
    }

    /// Forgets what was refused and is neither wanted any more nor being taken back.
    pub(super) fn drop_rejections_without_cause(&mut self, snapshot: &Snapshot) {
        let Some(mut rejected) = self.rejected.take() else { return };
        rejected.retain(|name| self.is_of_interest(name, snapshot));
        self.rejected = Some(rejected);
        self.drop_empty_rejection();
    }

    pub(super) fn drop_empty_rejection(&mut self) {
        self.rejected.take_if(|it| it.resources.is_empty());
    }

    pub(super) fn forget_rejection_of(&mut self, name: &str) {
        if let Some(rejected) = &mut self.rejected {
            rejected.resources.remove(name);
        }
        self.drop_empty_rejection();
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
