//! Whom Envoy means when it rejects a response.
//!
//! It takes what is good of the response, and names what is not in a text for people. That text is read here for people only:
//! nothing that the control plane does depends on it.

use std::{collections::BTreeMap, sync::Arc};

use xds::{Protocol, Rejection, ResourceType, SessionStatus};

/// Envoy's words on each resource that it refuses. There are as many as are refused, and none when none is.
#[derive(Clone, Debug)]
pub struct Refusals {
    protocol: Protocol,
    by_resource: BTreeMap<(ResourceType, Arc<str>), Refusal>,
    /// How many responses of each type had been rejected when it was last heard of: a text is read once.
    rejected: BTreeMap<ResourceType, u64>,
}

#[derive(Clone, Debug)]
struct Refusal {
    version: Arc<str>,
    words: Arc<str>,
}

/// Names and versions, sorted by name.
type Sent = [(Arc<str>, Arc<str>)];

impl Refusals {
    pub fn new(protocol: Protocol) -> Self {
        Self { protocol, by_resource: BTreeMap::new(), rejected: BTreeMap::new() }
    }

    /// Takes over what a stream says now. A rejection keeps only the last text of its type, and that may be on one of several
    /// resources; so what earlier ones have said of the others is kept here as long as they are refused.
    pub fn observe(&mut self, status: &SessionStatus) {
        self.by_resource.retain(|(resource_type, name), refusal| {
            let rejection = status.rejections.get(resource_type);
            rejection.is_some_and(|it| version_of(&it.resources, name) == Some(&refusal.version))
        });
        for (&resource_type, rejection) in &status.rejections {
            let rejected = status.counts.get(&resource_type).map(|it| it.rejected).unwrap_or_default();
            if self.rejected.insert(resource_type, rejected) != Some(rejected) {
                self.read(resource_type, rejection);
            }
        }
    }

    fn read(&mut self, resource_type: ResourceType, rejection: &Rejection) {
        if are_whole_sets(self.protocol, resource_type) {
            // Whom this text does not name Envoy has taken now, whatever it has said before.
            self.by_resource.retain(|(of_type, _), _| *of_type != resource_type);
        }
        let reasons = reasons(&rejection.message, &rejection.resources);
        if reasons.is_empty() {
            // A text that names nobody is about all.
            let words: Arc<str> = rejection.message.trim_end().into();
            for (name, version) in &rejection.resources {
                self.keep(resource_type, name, version, words.clone());
            }
        }
        for Reason { name, version, said } in reasons {
            self.keep(resource_type, name, version, said.into());
        }
    }

    fn keep(&mut self, resource_type: ResourceType, name: &Arc<str>, version: &Arc<str>, words: Arc<str>) {
        self.by_resource.insert((resource_type, name.clone()), Refusal { version: version.clone(), words });
    }

    /// What Envoy has said of this version.
    pub fn words(
        &self,
        resource_type: ResourceType,
        name: &Arc<str>,
        version: &Arc<str>,
    ) -> Option<&Arc<str>> {
        let refusal = self.by_resource.get(&(resource_type, name.clone()))?;
        (refusal.version == *version).then_some(&refusal.words)
    }
}

/// Whether each response has everything of its type (xDS protocol, "Grouping resources into responses").
fn are_whole_sets(protocol: Protocol, resource_type: ResourceType) -> bool {
    protocol == Protocol::StateOfTheWorld
        && matches!(resource_type, ResourceType::Cluster | ResourceType::Listener)
}

fn version_of<'a>(sent: &'a Sent, name: &str) -> Option<&'a Arc<str>> {
    let at = sent.binary_search_by(|(other, _)| (**other).cmp(name)).ok()?;
    sent.get(at).map(|(_, version)| version)
}

/// How Envoy begins to name what it refuses, and what stands between two of them.
const FORMS: [(&str, &str); 2] =
    [("Error adding/updating cluster(s) ", ", "), ("Error adding/updating listener(s) ", "\n")];

/// Between a name and the reason.
const COLON: &str = ": ";

/// What a text says of one resource.
struct Reason<'s, 't> {
    name: &'s Arc<str>,
    version: &'s Arc<str>,
    said: &'t str,
}

/// What a text says of those that were sent, in its order, if it is of the form in which Envoy 1.40 names resources:
/// `name: reason`, again and again.
///
/// A name or a reason may have in it what separates them, so nothing counts as a name but what was sent, and whatever stands
/// between two of them is the reason of the first.
fn reasons<'s, 't>(text: &'t str, sent: &'s Sent) -> Vec<Reason<'s, 't>> {
    let form = FORMS.iter().find_map(|(prefix, separator)| Some((text.strip_prefix(prefix)?, *separator)));
    let Some((text, separator)) = form else { return Vec::new() };
    let longest = sent.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    // Each with where it begins and where its reason does.
    let mut subjects = Vec::new();
    let mut next = Some(0);
    while let Some(start) = next {
        let mut behind = start;
        if let Some(subject) = subject(&text[start..], sent, longest) {
            behind += subject.0.len() + COLON.len();
            subjects.push((start, behind, subject));
        }
        next = text[behind..].find(separator).map(|at| behind + at + separator.len());
    }
    let ends = subjects.iter().skip(1).map(|(start, ..)| start - separator.len()).chain([text.len()]);
    let reasons = subjects.iter().zip(ends).map(|(&(_, behind, subject), end)| {
        let (name, version) = subject;
        Reason { name, version, said: text[behind..end].trim_end() }
    });
    reasons.collect()
}

/// Whom a text begins with: the longest name, where one begins with another.
fn subject<'s>(text: &str, sent: &'s Sent, longest: usize) -> Option<&'s (Arc<str>, Arc<str>)> {
    let ends = text.match_indices(COLON).map(|(end, _)| end).take_while(|end| *end <= longest);
    let named = |end| sent.binary_search_by(|(name, _)| (**name).cmp(&text[..end])).ok();
    sent.get(ends.filter_map(named).last()?)
}

#[cfg(test)]
mod tests {
    use xds::Counts;

    use super::*;

    /// `sent` is sorted.
    fn sent(sent: &[&str]) -> Vec<(Arc<str>, Arc<str>)> {
        sent.iter().map(|name| (Arc::from(*name), Arc::from("1"))).collect()
    }

    fn check(text: &str, names: &[&str], expected: &[(&str, &str)]) {
        let sent = sent(names);
        let found: Vec<_> = reasons(text, &sent).into_iter().map(|it| (&**it.name, it.said)).collect();
        assert_eq!(found, expected, "{text}");
    }

    /// The texts are those of Envoy 1.40.
    #[test]
    fn listeners_are_named_a_line_each() {
        let duplicate = "error adding listener: 'ok:2' has duplicate address '127.3.4.5:18098' as existing listener, to \
                         check if the listener has duplicated addresses with other listeners or 'enable_reuse_port' is set \
                         to 'false' for the listener";
        let text = format!(
            "Error adding/updating listener(s) outbound:127.3.4.5:57019: cannot bind '127.3.4.5:57019': Address already in \
             use\ninbound:127.3.4.5:18099: Not supported field in StreamInfo: NONSENSE\nok:2: {duplicate}\n"
        );
        check(
            &text,
            &["good", "inbound:127.3.4.5:18099", "ok:2", "outbound:127.3.4.5:57019"],
            &[
                ("outbound:127.3.4.5:57019", "cannot bind '127.3.4.5:57019': Address already in use"),
                ("inbound:127.3.4.5:18099", "Not supported field in StreamInfo: NONSENSE"),
                ("ok:2", duplicate),
            ],
        );
    }

    #[test]
    fn clusters_are_named_with_commas_between_them_and_have_commas_in_them() {
        let (first, second) = (
            "cluster manager: cluster provided LB specified but cluster 'backend{version=v1,zone=a}' did not provide one. \
             Check cluster documentation.",
            "cluster: LB policy ROUND_ROBIN is not valid for Cluster type ORIGINAL_DST. Only 'CLUSTER_PROVIDED' is allowed \
             with cluster type 'ORIGINAL_DST'",
        );
        let text = format!(
            "Error adding/updating cluster(s) backend{{version=v1,zone=a}}: {first}, localhost:8080: {second}"
        );
        check(
            &text,
            &["backend", "backend{version=v1,zone=a}", "cluster", "localhost:8080"],
            &[("backend{version=v1,zone=a}", first), ("localhost:8080", second)],
        );
    }

    #[test]
    fn a_name_inside_of_a_reason_or_of_another_name_is_nobody() {
        let text = "Error adding/updating cluster(s) a: b: is odd, c: d, e: f";
        check(text, &["a", "b", "d", "f", "zc"], &[("a", "b: is odd, c: d, e: f")]);
        check("Error adding/updating cluster(s) xa: is odd", &["a"], &[]);
        check("Error adding/updating cluster(s) a", &["a"], &[]);
    }

    #[test]
    fn a_name_may_have_in_it_what_separates_names() {
        for (text, names, expected) in [
            ("a: b: is odd", &["a", "a: b"][..], &[("a: b", "is odd")][..]),
            ("x, y: is odd", &["x, y", "y"], &[("x, y", "is odd")]),
            ("y: is odd, x, y: is even", &["x, y", "y"], &[("y", "is odd"), ("x, y", "is even")]),
            ("of another response: is odd, a: is even", &["a"], &[("a", "is even")]),
            (
                "größe: ist ungerade, a: is odd",
                &["a", "größe"],
                &[("größe", "ist ungerade"), ("a", "is odd")],
            ),
        ] {
            check(&format!("Error adding/updating cluster(s) {text}"), names, expected);
        }
    }

    #[test]
    fn no_text_does_harm_and_nothing_is_made_up() {
        let pieces = ["a", "b", "a: b", "a, b", ": ", ", ", "\n", "é"];
        let sent = sent(&["", "a", "a, b", "a: b", "b", "é"]);
        for number in 0..pieces.len().pow(5) {
            let text: String =
                (0..5).map(|digit| pieces[number / pieces.len().pow(digit) % pieces.len()]).collect();
            for (prefix, _) in FORMS {
                let text = format!("{prefix}{text}");
                for Reason { name, said, .. } in reasons(&text, &sent) {
                    assert!(text.contains(&format!("{name}{COLON}{said}")), "{text:?}: {name:?} {said:?}");
                }
            }
        }
    }

    #[test]
    fn other_texts_name_nobody() {
        for text in
            ["", "Proto constraint validation failed (a: value is required)", "a: is odd", "Error adding"]
        {
            check(text, &["a"], &[]);
        }
    }

    /// After so many rejections.
    fn status(rejected: u64, message: &str, resources: &[(&str, &str)]) -> SessionStatus {
        let resources = resources.iter().map(|(name, version)| (Arc::from(*name), Arc::from(*version)));
        let rejection = Rejection { message: message.to_owned(), resources: resources.collect() };
        let rejections = if rejection.resources.is_empty() { vec![] } else { vec![rejection] };
        let counts = Counts { rejected, ..Counts::default() };
        SessionStatus {
            counts: BTreeMap::from([(ResourceType::Listener, counts)]),
            rejections: rejections.into_iter().map(|it| (ResourceType::Listener, it)).collect(),
            ..SessionStatus::default()
        }
    }

    fn words(refusals: &Refusals) -> Vec<(&str, &str)> {
        refusals.by_resource.iter().map(|((_, name), refusal)| (&**name, &*refusal.words)).collect()
    }

    #[test]
    fn a_text_that_names_nobody_is_about_all_of_the_response() {
        let mut refusals = Refusals::new(Protocol::Delta);
        refusals.observe(&status(1, "everything is odd\n", &[("a", "1"), ("b", "1")]));
        assert_eq!(words(&refusals), [("a", "everything is odd"), ("b", "everything is odd")]);
    }

    #[test]
    fn what_was_said_of_one_is_kept_when_another_is_refused_and_until_it_is_refused_no_more() {
        let a = "Error adding/updating listener(s) a: is odd\n";
        let b = "Error adding/updating listener(s) b: is even\n";
        let mut refusals = Refusals::new(Protocol::Delta);
        refusals.observe(&status(1, a, &[("a", "1"), ("good", "1")]));
        assert_eq!(words(&refusals), [("a", "is odd")], "what Envoy does not name it has taken");
        refusals.observe(&status(2, b, &[("a", "1"), ("b", "1")]));
        assert_eq!(words(&refusals), [("a", "is odd"), ("b", "is even")]);
        let (listener, name) = (ResourceType::Listener, Arc::from("a"));
        assert!(refusals.words(listener, &name, &Arc::from("1")).is_some());
        assert!(refusals.words(listener, &name, &Arc::from("2")).is_none(), "that version was not refused");
        refusals.observe(&status(2, b, &[("b", "1")]));
        assert_eq!(words(&refusals), [("b", "is even")]);
        refusals.observe(&status(2, "", &[]));
        assert_eq!(words(&refusals), []);
    }

    #[test]
    fn where_responses_are_whole_sets_the_last_text_is_all_that_counts() {
        let mut refusals = Refusals::new(Protocol::StateOfTheWorld);
        let sent = [("a", "1"), ("b", "1")];
        refusals.observe(&status(1, "Error adding/updating listener(s) a: is odd\nb: is even\n", &sent));
        assert_eq!(words(&refusals), [("a", "is odd"), ("b", "is even")]);
        refusals.observe(&status(2, "Error adding/updating listener(s) b: is even\n", &sent));
        assert_eq!(words(&refusals), [("b", "is even")]);
    }

    #[test]
    fn what_was_rejected_alone_and_taken_later_is_not_blamed_for_what_comes_after() {
        let mut refusals = Refusals::new(Protocol::Delta);
        let names_nobody = "is odd";
        refusals.observe(&status(1, names_nobody, &[("a", "1"), ("b", "1")]));
        // `a` is taken; the text stays the same and was read.
        refusals.observe(&status(1, names_nobody, &[("b", "1")]));
        assert_eq!(words(&refusals), [("b", "is odd")]);
    }
}
