//! What shares a response: of all that is due, as much as one refusal may name.

use std::sync::Arc;

use super::channel::{Action, Channel, Urgency};

/// All of one type that may go out now, each name with what has to be said of it.
#[derive(Default)]
pub(super) struct Due {
    together: Vec<(Arc<str>, Action)>,
    /// Resources that [travel alone](crate::Resource::travelling_alone).
    alone: Vec<(Arc<str>, Action)>,
    /// What was refused before, to be offered again.
    refused: Vec<(Arc<str>, Action)>,
}

/// The content of one response.
#[derive(Default)]
pub(super) struct Portion {
    pub(super) said: Vec<(Arc<str>, Action)>,
    /// Whether it goes before a resource that travels alone and is due, too. That one is next, whatever comes in between:
    /// where something changes all the time it would wait for ever.
    pub(super) overtakes: bool,
}

impl Due {
    pub(super) fn add(&mut self, name: Arc<str>, urgency: Urgency, action: Action) {
        let part = match &action {
            _ if urgency == Urgency::Refused => &mut self.refused,
            Action::Send(resource) if resource.travels_alone() => &mut self.alone,
            Action::Send(_) | Action::Remove => &mut self.together,
        };
        part.push((name, action));
    }

    pub(super) fn next_portion(mut self, channel: &Channel) -> Portion {
        if channel.is_whole() {
            return self.whole(channel);
        }
        let overtakes = !self.alone.is_empty();
        let may_overtake = !overtakes || !channel.has_overtaken;
        if !self.together.is_empty() && may_overtake {
            return Portion { said: self.together, overtakes };
        }
        if self.alone.is_empty() && channel.in_flight.is_empty() {
            self.alone = self.refused;
        }
        self.alone.truncate(1);
        Portion { said: self.alone, overtakes: false }
    }

    /// A set cannot be taken apart, and what was refused is in it anyway.
    fn whole(mut self, channel: &Channel) -> Portion {
        self.together.append(&mut self.alone);
        if !self.together.is_empty() || channel.in_flight.is_empty() {
            self.together.append(&mut self.refused);
        }
        Portion { said: self.together, overtakes: false }
    }
}
