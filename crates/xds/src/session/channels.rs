//! All types of one stream.

use std::time::Instant;

use super::{Protocol, channel::Channel};
use crate::ResourceType;

/// The types that the client asked for, in make-before-break order.
#[derive(Default)]
pub(super) struct Channels([Option<Box<Channel>>; ResourceType::COUNT]);

impl Channels {
    pub(super) fn get(&self, resource_type: ResourceType) -> Option<&Channel> {
        self.0[resource_type.index()].as_deref()
    }

    pub(super) fn get_mut(&mut self, resource_type: ResourceType) -> Option<&mut Channel> {
        self.0[resource_type.index()].as_deref_mut()
    }

    pub(super) fn open(
        &mut self,
        protocol: Protocol,
        resource_type: ResourceType,
        now: Instant,
    ) -> &mut Channel {
        self.0[resource_type.index()].insert(Box::new(Channel::new(protocol, resource_type, now)))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ResourceType, &Channel)> {
        ResourceType::ALL.into_iter().zip(&self.0).filter_map(|(it, channel)| Some((it, channel.as_deref()?)))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (ResourceType, &mut Channel)> {
        let channels = ResourceType::ALL.into_iter().zip(&mut self.0);
        channels.filter_map(|(it, channel)| Some((it, channel.as_deref_mut()?)))
    }
}
