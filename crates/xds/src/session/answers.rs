//! What follows from an answer: what was taken is noted, and what was refused is kept to be offered again.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use super::{
    Session,
    channel::{Channel, Sent, Urgency},
    rejected::{Rejected, retry_after},
};
use crate::{ResourceType, Snapshot};

impl Session {
    /// Offers again what may have been refused because a cluster that it names was not there: Envoy refuses a listener whose
    /// own routes name such a one, and nothing else tells that it would take it now. Extensions are not judged anew.
    pub(super) fn offer_again_what_refers_to_clusters(&mut self) {
        let Some(snapshot) = self.snapshot.as_deref() else { return };
        for resource_type in [ResourceType::Listener, ResourceType::Route] {
            if let Some(channel) = self.channels.get_mut(resource_type) {
                channel.offer_rejected_again(snapshot);
            }
        }
    }
}

impl Channel {
    /// Notes that the client refused these responses.
    pub(super) fn reject(
        &mut self,
        sent: Vec<Sent>,
        now: Instant,
        random: &mut fastrand::Rng,
        snapshot: Option<&Snapshot>,
    ) {
        if self.judges_once() {
            self.reject_for_good(sent, now, snapshot);
            return;
        }
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

    /// Whether the client judges a content only once: Envoy (1.36 and 1.40) remembers the content of an extension that it refused
    /// by a hash, and acknowledges the same content without a look, and without applying it, when it gets it again.
    pub(super) fn judges_once(&self) -> bool {
        self.resource_type == ResourceType::Extension
    }

    /// Of several, those may not have been applied that are good, so each is said once more, alone.
    fn reject_for_good(&mut self, sent: Vec<Sent>, now: Instant, snapshot: Option<&Snapshot>) {
        let refused: Vec<_> = sent.into_iter().flat_map(|it| it.resources).collect();
        let mut resources = self.rejected.take().map(|it| it.resources).unwrap_or_default();
        resources.extend(refused.iter().cloned());
        self.rejected = Some(Box::new(Rejected { resources, since: now, retry_at: None, repeats: 0 }));
        if refused.len() > 1 {
            for (name, _) in refused {
                // What is about to be said of it anyway is said in its turn.
                if !self.pending.contains_key(&name) {
                    self.mark(name, Urgency::Refused, snapshot);
                }
            }
        }
        if let Some(snapshot) = snapshot {
            self.drop_rejections_without_cause(snapshot);
        }
    }

    /// Whether an acknowledgement of this content says nothing, because the client has refused it before.
    fn is_refused_for_good(&self, name: &str, version: &Arc<str>) -> bool {
        let refused = self.rejected.as_ref().and_then(|it| it.resources.get(name));
        self.judges_once() && refused == Some(version)
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
        let resources = sent.iter().flat_map(|it| &it.resources);
        let taken: Vec<_> =
            resources.filter(|(name, version)| !self.is_refused_for_good(name, version)).collect();
        for (name, version) in &taken {
            self.note_taken(name, version, now);
        }
        if self.is_whole() {
            self.rejected = None;
        }
        let Some(rejected) = &mut self.rejected else { return };
        for name in taken.iter().map(|(name, _)| name).chain(sent.iter().flat_map(|it| &it.removed)) {
            rejected.resources.remove(name);
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
