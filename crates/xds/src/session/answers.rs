//! What follows from an answer: what was taken is noted, and what was refused is kept to be offered again.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use super::{
    Session,
    channel::{Channel, Sent},
    rejected::{Rejected, retry_after},
};
use crate::{ResourceType, Snapshot};

impl Session {
    /// Offers again what may have been refused because a cluster that it names was not there: Envoy refuses a listener whose
    /// own routes name such a one, and nothing else tells that it would take it now.
    pub(super) fn offer_again_what_refers_to_clusters(&mut self) {
        let Some(snapshot) = self.snapshot.as_deref() else { return };
        for resource_type in [ResourceType::Listener, ResourceType::Extension, ResourceType::Route] {
            if let Some(channel) = self.channels.get_mut(resource_type) {
                channel.offer_rejected_again(snapshot);
            }
        }
    }
}

impl Channel {
    /// Notes that the client refused these responses.
    pub(super) fn reject(&mut self, sent: Vec<Sent>, now: Instant, random: &mut fastrand::Rng) {
        let before = self.rejected.take().map(|it| *it);
        let holds_all = |it: &Rejected| it.holds_all_of(sent.iter().flat_map(|sent| &sent.resources));
        let (repeats, retry_at) = match &before {
            // Another one of those that were offered again one by one.
            Some(before) if holds_all(before) && before.retry_at.is_some() => {
                (before.repeats, before.retry_at)
            }
            Some(before) if holds_all(before) => (before.repeats + 1, None),
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

    /// Whether these responses, once taken, give the client a name that it did not have before, perhaps because it had refused
    /// it. A newer version of one that it has changes nothing for who refers to it.
    pub(super) fn are_news(&self, sent: &[Sent]) -> bool {
        let is_new = |name: &str| {
            let known = self.names.get(name);
            known.is_some_and(|it| it.held.is_some() && it.acknowledged.is_none())
        };
        sent.iter().flat_map(|it| &it.resources).any(|(name, _)| is_new(name))
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
