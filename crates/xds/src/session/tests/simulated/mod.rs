//! Thousands of random conversations: whatever the interleaving, they converge, keep the bounds, and end.

mod envoy;
mod words;
mod world;

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    time::Duration,
};

use super::{super::order::CLUSTERS_IN_FLIGHT_MAX, script::now};
use crate::{Moment, Protocol, Resource, ResourceType, Response, Session};
use envoy::Envoy;
use world::{KEPT, World, is_bad};

/// What may happen besides changes of the world.
#[derive(Clone, Copy, Default)]
struct Trouble {
    /// How probable it is that a resource is refused this time.
    refusal: f64,
    /// How probable it is that a resource travels alone.
    alone: f64,
    /// How probable it is that a content is refused always: where some travel alone, the content of one of those.
    bad: f64,
    /// How probable it is that the stream breaks at a step.
    reconnect: f64,
    /// Whether time passes while messages are on their way.
    slow: bool,
}

struct Conversation {
    protocol: Protocol,
    seed: u64,
    trouble: Trouble,
    random: fastrand::Rng,
    world: World,
    tag: u64,
    session: Session,
    /// Said by the session, and not yet heard by the client.
    on_its_way: VecDeque<Response>,
    unanswered: BTreeMap<ResourceType, usize>,
    envoy: Envoy,
    now: Moment,
    responses: usize,
}

#[test]
fn a_quiet_conversation_converges_and_makes_before_it_breaks() {
    for_each(1000, 80, Trouble::default(), |conversation| {
        assert!(conversation.envoy.breaks.is_empty(), "{conversation}: {:?}", conversation.envoy.breaks);
        conversation.check_silence();
    });
}

#[test]
fn a_conversation_with_a_slow_client_and_broken_streams_converges() {
    let trouble = Trouble { reconnect: 0.05, slow: true, ..Trouble::default() };
    for_each(1000, 120, trouble, Conversation::check_silence);
}

#[test]
fn a_conversation_with_refusals_converges() {
    let trouble = Trouble { refusal: 0.1, reconnect: 0.02, slow: true, ..Trouble::default() };
    for_each(1000, 120, trouble, Conversation::check_silence);
}

#[test]
fn a_conversation_about_bad_content_converges_on_the_rest_and_does_not_repeat_itself() {
    let trouble = Trouble { bad: 0.1, reconnect: 0.02, slow: true, ..Trouble::default() };
    for_each(1000, 120, trouble, Conversation::check_retries);
}

#[test]
fn a_quiet_conversation_in_which_some_travel_alone_is_refused_nothing_and_makes_before_it_breaks() {
    for_each(1000, 80, Trouble { alone: 0.3, ..Trouble::default() }, |conversation| {
        let envoy = &conversation.envoy;
        assert!(envoy.breaks.is_empty(), "{conversation}: {:?}", envoy.breaks);
        assert_eq!(envoy.refused, 0, "{conversation}");
        conversation.check_silence();
    });
}

#[test]
fn a_conversation_with_refusals_in_which_some_travel_alone_converges() {
    let trouble = Trouble { alone: 0.3, refusal: 0.1, reconnect: 0.02, slow: true, ..Trouble::default() };
    for_each(1000, 120, trouble, Conversation::check_silence);
}

#[test]
fn a_conversation_in_which_bad_content_travels_alone_converges_on_all_of_the_rest() {
    let trouble = Trouble { alone: 0.4, bad: 0.3, reconnect: 0.02, slow: true, ..Trouble::default() };
    for_each(1000, 120, trouble, |conversation| {
        conversation.check_that_only_the_bad_is_refused();
        conversation.check_retries();
    });
}

/// Within one stream. On the next one the client says it has what it has only acknowledged.
#[test]
fn a_conversation_about_bad_content_never_takes_an_extension_for_good_that_was_refused() {
    for (alone, bad) in [(0.0, 0.1), (0.4, 0.3)] {
        let trouble = Trouble { alone, bad, slow: true, ..Trouble::default() };
        for_each(500, 120, trouble, Conversation::check_that_no_bad_extension_is_acknowledged);
    }
}

/// Has so many conversations of each protocol, of so many steps, and looks at each when it has come to rest.
fn for_each(seeds: u64, steps: usize, trouble: Trouble, check: impl Fn(&mut Conversation)) {
    for protocol in [Protocol::Delta, Protocol::StateOfTheWorld] {
        for seed in 0..seeds {
            let mut conversation = Conversation::new(protocol, seed, trouble);
            conversation.go_on(steps);
            conversation.settle();
            check(&mut conversation);
        }
    }
}

impl fmt::Display for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, seed {}", self.protocol, self.seed)
    }
}

impl Conversation {
    fn new(protocol: Protocol, seed: u64, trouble: Trouble) -> Self {
        let mut conversation = Self {
            protocol,
            seed,
            trouble,
            random: fastrand::Rng::with_seed(seed),
            world: World::new(seed, trouble.alone, trouble.bad),
            tag: 0,
            session: Session::new(protocol, seed),
            on_its_way: VecDeque::new(),
            unanswered: BTreeMap::new(),
            envoy: Envoy::new(protocol),
            now: now(),
            responses: 0,
        };
        conversation.envoy.connect(true);
        conversation
    }

    fn go_on(&mut self, steps: usize) {
        for _ in 0..steps {
            if self.random.f64() < self.trouble.reconnect {
                self.reconnect();
            }
            match self.random.u8(..10) {
                0 => self.change_the_world(),
                1..=4 => self.hear_request(),
                5..=8 => self.hear_response(),
                _ => {
                    let quiet = self.on_its_way.is_empty() && self.envoy.outbox.is_empty();
                    if quiet || self.trouble.slow {
                        let millis = if self.random.bool() { 300 } else { 6000 };
                        let time = Duration::from_millis(self.random.u64(..millis));
                        self.pass(time);
                    }
                }
            }
        }
        if self.trouble.refusal > 0.0 {
            // Nothing else mends one that was refused.
            self.world.change_extensions();
        }
        self.change_the_world();
        self.trouble.refusal = 0.0;
    }

    fn change_the_world(&mut self) {
        self.world.change();
        self.tag += 1;
        self.push();
    }

    fn push(&mut self) {
        let responses = self.session.on_snapshot(self.tag, self.world.snapshot(), self.now);
        self.send(responses);
    }

    fn reconnect(&mut self) {
        self.session = Session::new(self.protocol, self.random.u64(..));
        self.on_its_way.clear();
        self.unanswered.clear();
        self.envoy.connect(self.random.bool());
        // The view of a stream is there at once or after some requests.
        for _ in 0..self.random.usize(..8) {
            self.hear_request();
        }
        if self.tag > 0 {
            self.push();
        }
    }

    fn hear_request(&mut self) {
        let Some(request) = self.envoy.outbox.pop_front() else { return };
        if request.is_answer {
            *self.unanswered.entry(request.resource_type).or_default() -= 1;
        }
        let responses = request.hear(&mut self.session, self.now);
        self.send(responses);
    }

    fn hear_response(&mut self) {
        let Some(response) = self.on_its_way.pop_front() else { return };
        let (random, refusal) = (&mut self.random, self.trouble.refusal);
        self.envoy.on_response(&response, &mut || random.f64() < refusal);
        self.check_removals();
    }

    /// What is always wanted is never taken away.
    fn check_removals(&mut self) {
        for (resource_type, name) in std::mem::take(&mut self.envoy.removed) {
            assert!(name != KEPT, "{self}: has lost the {resource_type:?}");
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now.monotonic += time;
        self.now.wall += time;
        if self.session.next_deadline().is_some_and(|it| it <= self.now.monotonic) {
            let responses = self.session.on_time(self.now);
            self.send(responses);
        }
    }

    fn send(&mut self, responses: Vec<Response>) {
        self.responses += responses.len();
        for response in responses {
            self.check_company(&response);
            let unanswered = self.unanswered.entry(response.resource_type).or_default();
            *unanswered += 1;
            let clusters = response.resource_type == ResourceType::Cluster;
            let most = if clusters { CLUSTERS_IN_FLIGHT_MAX } else { 1 };
            assert!(*unanswered <= most, "{self}: too many unanswered: {response:?}");
            self.on_its_way.push_back(response);
        }
        self.check_status();
    }

    fn check_company(&self, response: &Response) {
        let is_whole = response.state_version.is_some() && response.resource_type.has_wildcard();
        let is_alone = response.resources.len() + response.removed.len() == 1;
        let may_travel = |it: &Resource| is_whole || is_alone || !it.travels_alone();
        assert!(response.resources.iter().all(|it| may_travel(it)), "{self}: in company: {response:?}");
    }

    fn check_status(&self) {
        let status = self.session.status();
        if status.settled {
            assert!(self.unanswered.values().all(|it| *it == 0), "{self}: settled with answers missing");
            assert_eq!(status.settled_tag, self.tag, "{self}");
        }
    }

    /// Lets everything be heard, and every deadline come, until nothing is left to say.
    fn settle(&mut self) {
        for _ in 0..2000 {
            if !self.envoy.outbox.is_empty() {
                self.hear_request();
            } else if !self.on_its_way.is_empty() {
                self.hear_response();
            } else if self.has_converged() {
                return;
            } else if let Some(deadline) = self.session.next_deadline() {
                self.pass(deadline.saturating_duration_since(self.now.monotonic));
            } else {
                break;
            }
        }
        panic!(
            "{self}: does not converge: {:#?}\n{:#?}\n{:#?}",
            self.session.status(),
            self.envoy.applied,
            self.differences()
        );
    }

    fn has_converged(&self) -> bool {
        let status = self.session.status();
        let healed = self.trouble.bad > 0.0 || status.rejections.is_empty();
        healed
            && status.settled
            && status.settled_tag == self.tag
            && self.envoy.is_warm()
            && self.client_has_the_world()
            && (self.trouble.bad > 0.0 || self.all_is_acknowledged())
    }

    fn all_is_acknowledged(&self) -> bool {
        let is_acknowledged = |it: &crate::ResourceReport| {
            it.sent.is_none() || it.acknowledged.as_ref().map(|(version, _)| version) == it.sent.as_ref()
        };
        self.session.report().resources.iter().all(is_acknowledged)
    }

    fn client_has_the_world(&self) -> bool {
        self.differences().is_empty()
    }

    /// What the client has otherwise than the world, but for what it refuses always, and what it has without anybody
    /// knowing. Named types are compared where the client has a use for them.
    fn differences(&self) -> Vec<String> {
        let mut differences = Vec::new();
        for resource_type in ResourceType::ALL {
            let wanted = &self.world.resources[&resource_type];
            let nothing = BTreeMap::new();
            let applied = self.envoy.applied.get(&resource_type).unwrap_or(&nothing);
            let missing = wanted.iter().filter(|(name, it)| {
                resource_type.has_wildcard()
                    && !self.cannot_be_taken(resource_type, &it.version)
                    && !applied.contains_key(*name)
            });
            differences.extend(
                missing.map(|(name, it)| format!("{resource_type:?} {name}@{} is missing", it.version)),
            );
            let others = applied.iter().filter(|(name, version)| {
                let wanted = wanted.get(*name);
                let equal = wanted.is_some_and(|it| {
                    self.cannot_be_taken(resource_type, &it.version) || *it.version == ***version
                });
                !self.envoy.orphans.contains(*name) && !equal
            });
            differences.extend(
                others.map(|(name, version)| format!("{resource_type:?} {name}@{version} should be another")),
            );
        }
        differences
    }

    fn cannot_be_taken(&self, resource_type: ResourceType, version: &str) -> bool {
        is_bad(version) || self.envoy.names_a_missing_cluster(resource_type, version)
    }

    /// Nothing is refused for the sake of another, so that nothing is there without anybody knowing. Of a whole set all
    /// that has not been taken before is named.
    fn check_that_only_the_bad_is_refused(&self) {
        if self.protocol == Protocol::StateOfTheWorld {
            return;
        }
        assert!(self.envoy.orphans.is_empty(), "{self}: {:?}", self.envoy.orphans);
        for (resource_type, rejection) in &self.session.status().rejections {
            let good = rejection.resources.iter().find(|(_, it)| !self.cannot_be_taken(*resource_type, it));
            assert_eq!(good, None, "{self}: {resource_type:?}");
        }
    }

    fn check_that_no_bad_extension_is_acknowledged(&mut self) {
        let extensions = self
            .session
            .report()
            .resources
            .into_iter()
            .filter(|it| it.resource_type == ResourceType::Extension);
        for extension in extensions {
            let bad = extension.acknowledged.as_ref().filter(|(version, _)| is_bad(version));
            assert_eq!(bad, None, "{self}: {}", extension.name);
            let refused = extension.sent.as_ref().is_some_and(|version| is_bad(version));
            let rejection = self.session.status().rejections.get(&ResourceType::Extension);
            let is_said =
                rejection.is_some_and(|it| it.resources.iter().any(|(name, _)| *name == extension.name));
            assert!(!refused || is_said, "{self}: {} is not said to be refused", extension.name);
        }
    }

    /// Once it has converged nothing is said, however long it takes.
    fn check_silence(&mut self) {
        let before = self.responses;
        assert!(self.session.status().rejections.is_empty(), "{self}");
        self.pass(Duration::from_hours(1));
        assert_eq!((self.responses, self.session.next_deadline()), (before, None), "{self}");
    }

    /// What is refused always is offered ever more rarely.
    fn check_retries(&mut self) {
        let (before, end) = (self.responses, self.now.monotonic + Duration::from_hours(1));
        while let Some(deadline) = self.session.next_deadline().filter(|it| *it < end) {
            self.pass(deadline - self.now.monotonic);
            while !(self.on_its_way.is_empty() && self.envoy.outbox.is_empty()) {
                self.hear_response();
                self.hear_request();
            }
        }
        // 5 s doubling to 5 minutes are 18 times in an hour, for each of at most five bad resources of four types; and a cluster
        // brings its endpoints.
        let said = self.responses - before;
        assert!(said <= 5 * 5 * 18, "{self}: {said} responses in an hour of nothing new");
    }
}
