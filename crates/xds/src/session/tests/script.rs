//! Conversations as text, so that a rule of the protocol can be read as what is said and what is answered.
//!
//! A line is an input or an expectation; what follows an input is all that it is answered with, in order.
//!
//! | line | meaning |
//! | --- | --- |
//! | `push cds a@1 b@2, eds a@1` | the latest snapshot, all of it; tags count from 1 |
//! | `push cds a@1! b@2:e` | ... with one that travels alone, and one whose endpoints are asked for as `e` |
//! | `> eds +a -b` | a request: subscribe, unsubscribe |
//! | `> cds =a@1` | ... with an initial version |
//! | `> cds ack 3`, `> cds nack 3` | ... with a nonce, and an error |
//! | `wait 200ms`, `wait 5s` | time passes |
//! | `< 1 cds a@1 -b` | a response: nonce, type, resources with versions, removed names |
//! | `settled 2`, `unsettled` | the status now |
//! | `rejected cds: a@1`, `rejected nothing` | the rejections that stand |
//! | `reconnect` | another stream; of what was pushed nothing is known there yet |
//! | `holds cds a@2/1 b@1/-` | what was sent of a type, and what was acknowledged of it |

//!
//! In the state-of-the-world protocol ([`play_states`]) a request names all that it wants, `> eds a b`, and its version is
//! that of an earlier response, on whatever stream: `> cds holding 3`. What a response does not name is not printed.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use crate::{Moment, Protocol, Request, Resource, ResourceType, Response, Session, Snapshot, StateRequest};

const SHORT_NAMES: [(&str, ResourceType); ResourceType::COUNT] = [
    ("cds", ResourceType::Cluster),
    ("eds", ResourceType::Endpoint),
    ("sds", ResourceType::Secret),
    ("lds", ResourceType::Listener),
    ("ecds", ResourceType::Extension),
    ("rds", ResourceType::Route),
];

/// Plays a conversation and fails at the first line that does not hold.
pub(super) fn play(script: &str) {
    play_in(Protocol::Delta, script);
}

/// The same in the state-of-the-world protocol.
pub(super) fn play_states(script: &str) {
    play_in(Protocol::StateOfTheWorld, script);
}

fn play_in(protocol: Protocol, script: &str) {
    let session = Session::new(protocol, 0);
    let mut stage =
        Stage { protocol, session, now: now(), tag: 0, said: Vec::new(), versions: BTreeMap::new() };
    for line in script.lines().map(str::trim).filter(|it| !it.is_empty() && !it.starts_with('#')) {
        stage.play_line(line);
    }
    assert!(stage.said.is_empty(), "said at the end, unexpectedly: {:?}", stage.said);
}

struct Stage {
    protocol: Protocol,
    session: Session,
    now: Moment,
    tag: u64,
    /// Said since the last input, and not expected yet.
    said: Vec<String>,
    /// Of states, by the nonces of the responses that had them.
    versions: BTreeMap<String, String>,
}

impl Stage {
    fn play_line(&mut self, line: &str) {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        if verb == "<" {
            assert!(!self.said.is_empty(), "nothing was said, expected: {line}");
            assert_eq!(self.said.remove(0), rest);
            return;
        }
        assert!(self.said.is_empty(), "said before '{line}', unexpectedly: {:?}", self.said);
        let status = self.session.status();
        match verb {
            "settled" => assert_eq!((status.settled, status.settled_tag.to_string().as_str()), (true, rest)),
            "unsettled" => assert!(!status.settled),
            "rejected" => assert_eq!(rejections(&self.session), rest),
            "holds" => assert_eq!(held(&self.session, long(rest.split(' ').next().unwrap_or(rest))), rest),
            "push" => {
                self.tag += 1;
                let responses = self.session.on_snapshot(self.tag, Arc::new(snapshot(rest)), self.now);
                self.hear(&responses);
            }
            ">" => {
                let responses = match self.protocol {
                    Protocol::Delta => self.session.on_request(&request(rest), self.now),
                    Protocol::StateOfTheWorld => {
                        let request = state_request(rest, &self.versions);
                        self.session.on_state_request(&request, self.now)
                    }
                };
                self.hear(&responses);
            }
            "reconnect" => self.session = Session::new(self.protocol, 0),
            "wait" => self.wait(duration(rest)),
            _ => panic!("not a line of a script: {line}"),
        }
    }

    /// Lets every deadline on the way come.
    fn wait(&mut self, time: Duration) {
        let end = self.now.monotonic + time;
        while let Some(deadline) = self.session.next_deadline().filter(|it| *it <= end) {
            self.pass(deadline.saturating_duration_since(self.now.monotonic));
            let responses = self.session.on_time(self.now);
            self.hear(&responses);
        }
        self.pass(end - self.now.monotonic);
    }

    fn pass(&mut self, time: Duration) {
        self.now.monotonic += time;
        self.now.wall += time;
    }

    fn hear(&mut self, responses: &[Response]) {
        for response in responses {
            if let Some(version) = &response.state_version {
                self.versions.insert(response.nonce.to_string(), version.clone());
            }
            self.said.push(print(response));
        }
    }
}

pub(super) fn now() -> Moment {
    Moment { monotonic: Instant::now(), wall: SystemTime::UNIX_EPOCH }
}

/// `version!` travels alone, and `version:name` has its endpoints under that name.
fn resource(resource_type: ResourceType, name: &str, version: &str) -> Arc<Resource> {
    let (version, alone) = version.strip_suffix('!').map_or((version, false), |it| (it, true));
    let (version, endpoints) = version.split_once(':').map_or((version, None), |(it, name)| (it, Some(name)));
    let mut resource = Resource::new(resource_type, Arc::from(name), Arc::from(version), b"");
    if alone {
        resource = resource.travelling_alone();
    }
    if let Some(endpoints) = endpoints {
        resource = resource.with_endpoints_named(Arc::from(endpoints));
    }
    Arc::new(resource)
}

fn print(response: &Response) -> String {
    let short = short(response.resource_type);
    let resources = response.resources.iter().map(|it| format!("{}@{}", it.name, it.version));
    let removed = response.removed.iter().filter(|_| response.state_version.is_none());
    let removed = removed.map(|it| format!("-{it}"));
    let words = [response.nonce.to_string(), short.to_owned()].into_iter().chain(resources).chain(removed);
    words.collect::<Vec<_>>().join(" ")
}

fn rejections(session: &Session) -> String {
    let print = |(resource_type, rejection): (&ResourceType, &crate::Rejection)| {
        let resources = rejection.resources.iter().map(|(name, version)| format!("{name}@{version}"));
        format!("{}: {}", short(*resource_type), resources.collect::<Vec<_>>().join(" "))
            .trim_end()
            .to_owned()
    };
    let all: Vec<_> = session.status().rejections.iter().map(print).collect();
    if all.is_empty() { "nothing".to_owned() } else { all.join(", ") }
}

fn held(session: &Session, resource_type: ResourceType) -> String {
    let version = |it: Option<&Arc<str>>| it.map_or("-".to_owned(), ToString::to_string);
    let resources = session.report().resources.into_iter().filter(|it| it.resource_type == resource_type);
    let print = |it: crate::ResourceReport| {
        let acknowledged = it.acknowledged.as_ref().map(|(version, _)| version);
        format!("{}@{}/{}", it.name, version(it.sent.as_ref()), version(acknowledged))
    };
    [short(resource_type).to_owned()].into_iter().chain(resources.map(print)).collect::<Vec<_>>().join(" ")
}

fn snapshot(text: &str) -> Snapshot {
    let of_type = |words: &str| {
        let (short, resources) = words.trim().split_once(' ').unwrap_or((words.trim(), ""));
        let resource_type = long(short);
        let resources = resources.split_whitespace().map(move |it| {
            let (name, version) = it.split_once('@').expect("name@version");
            resource(resource_type, name, version)
        });
        resources.collect::<Vec<_>>()
    };
    text.split(',').filter(|it| !it.is_empty()).flat_map(of_type).collect()
}

fn request(text: &str) -> Request {
    let mut words = text.split_whitespace();
    let type_url = long(words.next().expect("a type")).type_url().to_owned();
    let mut request = Request { type_url, initial_versions: BTreeMap::new(), ..Request::default() };
    while let Some(word) = words.next() {
        if let Some(name) = word.strip_prefix('+') {
            request.subscribe.push(name.to_owned());
        } else if let Some(name) = word.strip_prefix('-') {
            request.unsubscribe.push(name.to_owned());
        } else if let Some(held) = word.strip_prefix('=') {
            let (name, version) = held.split_once('@').expect("=name@version");
            request.initial_versions.insert(name.to_owned(), version.to_owned());
        } else {
            assert!(["ack", "nack"].contains(&word), "not a word of a request: {word}");
            request.error = (word == "nack").then(|| "no".to_owned());
            words.next().expect("a nonce").clone_into(&mut request.response_nonce);
        }
    }
    request
}

fn state_request(text: &str, versions: &BTreeMap<String, String>) -> StateRequest {
    let mut words = text.split_whitespace();
    let type_url = long(words.next().expect("a type")).type_url().to_owned();
    let mut request = StateRequest { type_url, ..StateRequest::default() };
    while let Some(word) = words.next() {
        match word {
            "ack" | "nack" => {
                request.error = (word == "nack").then(|| "no".to_owned());
                words.next().expect("a nonce").clone_into(&mut request.response_nonce);
            }
            "holding" => {
                request.version = versions[words.next().expect("the nonce of a response")].clone();
            }
            name => request.names.push(name.to_owned()),
        }
    }
    request
}

fn duration(text: &str) -> Duration {
    match text.strip_suffix("ms") {
        Some(millis) => Duration::from_millis(millis.parse().expect("milliseconds")),
        None => Duration::from_secs(text.trim_end_matches('s').parse().expect("seconds")),
    }
}

fn short(resource_type: ResourceType) -> &'static str {
    SHORT_NAMES[resource_type.index()].0
}

fn long(short: &str) -> ResourceType {
    let found = SHORT_NAMES.into_iter().find(|(it, _)| *it == short);
    found.unwrap_or_else(|| panic!("not a type: {short}")).1
}
