//! That the tables here are whole: what the descriptors say is dropped is known here, and what is known here exists.

use prost_reflect::MessageDescriptor;

use super::{
    super::{
        text::Spelling,
        tree::Place,
        types::{self, PREFIX},
    },
    *,
};
use crate::descriptors;

/// Of bootstraps, which are no resources.
const OUT_OF_REACH: [&str; 4] = [
    "envoy.api.v2.core.Node.build_version",
    "envoy.config.bootstrap.v2.Bootstrap.runtime",
    "envoy.config.metrics.v2.StatsSink.config",
    "envoy.config.overload.v2alpha.ResourceMonitor.config",
];

/// The messages of v2 that v3 has, in both forms.
fn forms() -> Vec<types::Form> {
    let messages = descriptors::v2().all_messages().filter(|message| !message.is_map_entry());
    let forms = messages.filter_map(|message| types::named(&format!("{PREFIX}{}", message.full_name())).ok());
    forms.filter(|form| form.old.is_some()).collect()
}

#[test]
fn every_field_that_v3_dropped_is_rewritten_or_refused_with_advice() {
    let mut dropped = 0;
    for form in forms() {
        for field in form.written().fields().filter(|field| form.new.get_field(field.number()).is_none()) {
            if OUT_OF_REACH.contains(&field.full_name()) {
                continue;
            }
            dropped += 1;
            let place = Place::default();
            let entries = vec![(field.name().into(), some_value(&field))];
            let mut members = Members::new(place, form.clone(), entries, Spelling::Snake).unwrap();
            let is_rewritten = upgrade(&mut members).is_err() || !members.has(field.name());
            let is_refused = refused::advice(field.full_name()) != refused::advice("");
            assert!(is_rewritten != is_refused, "{}", field.full_name());
        }
    }
    assert_eq!(dropped, 51);
}

/// Of the type of the field, or nearly so.
fn some_value(field: &FieldDescriptor) -> Node {
    let place = Place::default().key(field.name().into());
    match field.kind() {
        Kind::Bool => Node { place, value: Tree::Bool(true) },
        Kind::Message(message) if message.name() == "BoolValue" => Node { place, value: Tree::Bool(true) },
        Kind::Message(_) => Node::map(&place, []),
        Kind::Enum(values) => Node::text(&place, values.default_value().name()),
        _ => Node::text(&place, "text"),
    }
}

#[test]
fn fields_of_one_number_are_of_one_kind() {
    let is_successor = |old: &MessageDescriptor, new: &MessageDescriptor| {
        let is_same = old.full_name() == new.full_name() || old.is_map_entry() && new.is_map_entry();
        is_same || types::successor(old.full_name()) == Some(new)
    };
    for form in forms() {
        for old in form.written().fields() {
            let Some(new) = form.new.get_field(old.number()) else { continue };
            let is_alike = match (old.kind(), new.kind()) {
                (Kind::Message(old), Kind::Message(new)) => is_successor(&old, &new),
                (Kind::Enum(_), Kind::Enum(_)) => true,
                (old, new) => old == new,
            };
            // The one that a rule moves out of the way.
            let is_moved =
                old.full_name() == "envoy.api.v2.listener.QuicProtocolOptions.max_concurrent_streams";
            assert!(is_alike != is_moved, "{}", old.full_name());
        }
    }
}

#[test]
fn every_rule_is_of_a_message_and_every_extension_has_a_type() {
    for (message, _) in RULES {
        assert!(descriptors::v2().get_message_by_name(message).is_some(), "{message}");
    }
    for (holder, known) in extensions::HOLDERS {
        assert!(descriptors::v3().get_message_by_name(holder).is_some(), "{holder}");
        assert_types(known);
    }
    assert_types(extensions::PER_ROUTE);
    assert_types(extensions::PROTOCOL_OPTIONS);
}

fn assert_types(known: &[extensions::Extension]) {
    for extension in known {
        let form = types::named(&format!("{PREFIX}{}", extension.config));
        assert!(form.is_ok_and(|form| form.old.is_some()), "{}", extension.config);
    }
}
