//! What a request is answered with, and what an answer settles.

use super::script::{now, play};
use crate::{Protocol, Request, Session};

#[test]
fn a_start_as_envoy_does_it() {
    play(
        "
        > cds
        push cds a@1 b@1, eds a@1 b@1, sds s@1, lds l@1, ecds x@1
        < 1 cds a@1 b@1
        unsettled
        > eds +a +b
        < 2 eds a@1 b@1
        > sds +s
        < 3 sds s@1
        > eds ack 2
        > sds ack 3
        > cds ack 1
        # Everything that was asked for was answered, but Envoy has not asked for listeners yet.
        unsettled
        > lds
        < 4 lds l@1
        > ecds +x
        < 5 ecds x@1
        > lds ack 4
        unsettled
        > ecds ack 5
        settled 1
        ",
    );
}

#[test]
fn the_first_clusters_and_listeners_are_answered_even_if_there_are_none() {
    play(
        "
        > cds
        > lds
        > eds
        > sds
        push
        < 1 cds
        < 2 lds
        unsettled
        > cds ack 1
        > lds ack 2
        settled 1
        ",
    );
}

#[test]
fn nothing_is_said_before_there_is_a_snapshot() {
    play(
        "
        > cds
        > lds =l@1
        > eds +a
        wait 60s
        unsettled
        ",
    );
}

#[test]
fn no_later_response_is_empty() {
    play(
        "
        > cds
        > lds
        push cds a@1
        < 1 cds a@1
        < 2 lds
        > cds ack 1
        > lds ack 2
        settled 1
        push cds a@1
        settled 2
        push cds a@1, eds z@1, sds z@1, ecds z@1, rds z@1
        settled 3
        wait 600s
        ",
    );
}

#[test]
fn every_name_that_was_asked_for_is_answered_but_for_extensions_and_routes_that_there_are_not() {
    play(
        "
        push eds a@1, sds a@1, ecds a@1, rds a@1
        > eds +a +unknown
        < 1 eds a@1 unknown@none
        > sds +a +unknown
        < 2 sds a@1 -unknown
        > ecds +a +unknown
        < 3 ecds a@1
        > rds +a +unknown
        < 4 rds a@1
        > eds ack 1
        > sds ack 2
        > ecds ack 3
        > rds ack 4
        settled 1
        # ... and once they are there, they are sent without being asked for again.
        push eds a@1 unknown@1, sds a@1 unknown@1, ecds a@1 unknown@1, rds a@1 unknown@1
        < 5 eds unknown@1
        < 6 sds unknown@1
        < 7 ecds unknown@1
        < 8 rds unknown@1
        ",
    );
}

/// Envoy's listeners wait for one without end if they are told that it is gone, and for `initial_fetch_timeout` if they are
/// told nothing.
#[test]
fn the_removal_of_an_extension_or_a_route_is_said_only_to_who_holds_it() {
    for of in ["ecds", "rds"] {
        play(&format!(
            "
            push cds z@1
            > {of} +a
            > cds
            < 1 cds z@1
            > cds ack 1
            settled 1
            > {of} +a
            push cds z@1, {of} a@1
            < 2 {of} a@1
            > {of} ack 2
            push cds z@1
            < 3 {of} -a
            > {of} ack 3
            settled 3
            > {of} +a
            > {of} -a
            > {of} +a
            settled 3
            wait 600s
            push cds z@1, {of} a@1
            < 4 {of} a@1
            "
        ));
    }
}

#[test]
fn names_that_were_not_asked_for_are_not_sent() {
    play(
        "
        push eds a@1 b@1
        > eds +a
        < 1 eds a@1
        > eds ack 1
        push eds a@1 b@2
        settled 2
        ",
    );
}

#[test]
fn a_later_subscription_to_a_known_name_is_answered_in_full() {
    play(
        "
        push cds c@1, eds a@1
        > eds +a
        < 1 eds a@1
        > eds ack 1 +a
        < 2 eds a@1
        > eds ack 2
        > cds
        < 3 cds c@1
        > cds ack 3 +c
        < 4 cds c@1
        > cds ack 4 +*
        < 5 cds c@1
        ",
    );
}

#[test]
fn who_unsubscribes_hears_no_more() {
    play(
        "
        push eds a@1 b@1
        > eds +a +b
        < 1 eds a@1 b@1
        > eds ack 1 -a
        push eds a@2 b@2
        < 2 eds b@2
        > eds ack 2
        settled 2
        # Coming back is a new subscription.
        > eds +a
        < 3 eds a@2
        ",
    );
}

#[test]
fn clusters_can_be_asked_for_by_name() {
    play(
        "
        push cds a@1 b@1
        > cds +a +unknown
        < 1 cds a@1 -unknown
        > cds ack 1
        push cds a@1 b@2
        settled 2
        > cds +*
        < 2 cds a@1 b@2
        > cds ack 2
        push cds a@1 b@3
        < 3 cds b@3
        > cds ack 3 -*
        push cds a@2 b@4
        < 4 cds a@2
        ",
    );
}

#[test]
fn who_had_asked_by_name_and_by_wildcard_hears_what_the_wildcard_gives() {
    play(
        "
        push cds a@1
        > cds +* +a +gone
        < 1 cds a@1 -gone
        > cds ack 1 -a -gone
        < 2 cds a@1 -gone
        ",
    );
}

#[test]
fn one_response_of_a_type_at_a_time_and_newer_state_is_merged() {
    play(
        "
        push eds a@1 b@1
        > eds +a +b
        < 1 eds a@1 b@1
        push eds a@2 b@1
        push eds a@3 b@2
        wait 60s
        unsettled
        > eds ack 1
        < 2 eds a@3 b@2
        > eds ack 2
        settled 3
        ",
    );
}

#[test]
fn what_changed_back_before_it_was_sent_is_not_sent() {
    play(
        "
        push eds a@1
        > eds +a
        < 1 eds a@1
        push eds a@2
        push eds a@1
        > eds ack 1
        settled 3
        ",
    );
}

#[test]
fn newer_clusters_go_out_after_200_ms_without_an_answer() {
    play(
        "
        > cds
        push cds a@1
        < 1 cds a@1
        push cds a@2
        wait 199ms
        push cds a@3
        wait 1ms
        < 2 cds a@3
        wait 10s
        # The answer to the later one settles the earlier, whose own is stale then.
        > cds ack 2
        > cds nack 1
        rejected nothing
        ",
    );
}

#[test]
fn a_stale_nonce_counts_for_nothing_but_its_subscriptions_count() {
    play(
        "
        push eds a@1 b@1 c@1
        > eds +a
        < 1 eds a@1
        > eds nack 7 +b
        rejected nothing
        unsettled
        > eds ack 1
        < 2 eds b@1
        > eds ack 1 +c
        > eds nack garbage -c
        > eds ack 2
        settled 1
        ",
    );
}

#[test]
fn whoever_looks_sees_what_was_sent_and_what_was_taken() {
    play(
        "
        push cds a@1 b@1, eds a@1
        > lds
        < 1 lds
        > lds ack 1
        > cds =a@1 =gone@7
        < 2 cds b@1 -gone
        holds cds a@1/1 b@1/-
        > eds +a +nobody
        < 3 eds a@1 nobody@none
        > cds ack 2
        holds cds a@1/1 b@1/1
        push cds a@2 b@2, eds a@1
        < 4 cds a@2 b@2
        > cds nack 4
        holds cds a@2/1 b@2/1
        holds eds a@1/- nobody@none/-
        > eds ack 3
        < 5 eds a@1
        holds eds a@1/1 nobody@none/none
        > eds -nobody
        holds eds a@1/1
        holds sds
        ",
    );
}

#[test]
fn types_that_are_not_served_are_ignored() {
    let mut session = Session::new(Protocol::Delta, 0);
    for type_url in ["", "type.googleapis.com/envoy.service.runtime.v3.Runtime", "\u{0}"] {
        let request =
            Request { type_url: type_url.to_owned(), subscribe: vec!["a".to_owned()], ..Request::default() };
        assert!(session.on_request(&request, now()).is_empty());
    }
    assert_eq!(session.name_count(), 0);
}

#[test]
fn a_nonce_counts_once() {
    use crate::{Counts, ResourceType};
    let mut session = Session::new(Protocol::Delta, 0);
    let say = |session: &mut Session, nonce: &str, error: Option<&str>| {
        let request = Request {
            type_url: ResourceType::Cluster.type_url().to_owned(),
            response_nonce: nonce.to_owned(),
            error: error.map(str::to_owned),
            ..Request::default()
        };
        session.on_request(&request, now());
    };
    session.on_snapshot(1, std::sync::Arc::default(), now());
    say(&mut session, "", None);
    for _ in 0..3 {
        say(&mut session, "1", None);
        say(&mut session, "1", Some("no"));
        say(&mut session, "", Some("an error that answers nothing"));
    }
    let counts = session.status().counts.get(&ResourceType::Cluster).copied();
    assert_eq!(counts, Some(Counts { sent: 1, acknowledged: 1, rejected: 0 }));
}
