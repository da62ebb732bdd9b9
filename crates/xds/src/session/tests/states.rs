//! What is particular to the state-of-the-world protocol.

use super::script::play_states;

#[test]
fn clusters_and_listeners_are_always_the_whole_set_and_named_types_only_what_is_new() {
    play_states(
        "
        push cds a@1 b@1, eds a@1 b@1, lds l@1
        > cds
        < 1 cds a@1 b@1
        > eds a b
        < 2 eds a@1 b@1
        > cds holding 1 ack 1
        > eds a b holding 2 ack 2
        > lds
        < 3 lds l@1
        > lds holding 3 ack 3
        settled 1
        push cds a@1 b@2, eds a@2 b@1, lds l@1 m@1
        < 4 cds a@1 b@2
        < 5 eds a@2 b@1
        > eds a b holding 5 ack 5
        > cds holding 4 ack 4
        < 6 lds l@1 m@1
        > lds holding 6 ack 6
        settled 2
        holds cds a@1/1 b@2/2
        ",
    );
}

/// A set that leaves it out would take it away: until the listeners are answered the old cluster stays in it.
#[test]
fn a_cluster_that_goes_stays_in_the_set_until_nobody_refers_to_it() {
    play_states(
        "
        push cds a@1 old@1, eds a@1 old@1, lds l@1
        > cds
        < 1 cds a@1 old@1
        > eds a old
        < 2 eds a@1 old@1
        > cds holding 1 ack 1
        > eds a old holding 2 ack 2
        > lds
        < 3 lds l@1
        > lds holding 3 ack 3
        push cds a@1 new@1, eds a@1 new@1, lds l@2
        < 4 cds a@1 new@1 old@1
        > eds a new old holding 2 ack 2
        < 5 eds new@1
        > cds holding 4 ack 4
        < 6 lds l@2
        > eds a new old holding 5 ack 5
        > lds holding 6 ack 6
        < 7 cds a@1 new@1
        > cds holding 7 ack 7
        > eds a new holding 5 ack 5
        settled 2
        ",
    );
}

/// Its version says what it has taken last, and not what it has of a set that it refused later.
#[test]
fn who_comes_back_gets_the_set_whatever_its_version() {
    play_states(
        "
        push cds a@1 b@1, eds a@1 b@1, lds l@1
        > cds
        < 1 cds a@1 b@1
        > lds
        > cds holding 1 ack 1
        < 2 lds l@1
        > lds holding 2 ack 2
        settled 1
        reconnect
        > cds holding 1
        push cds a@1 b@1, eds a@1 b@1, lds l@2
        < 1 cds a@1 b@1
        holds cds a@1/- b@1/-
        > eds a b
        < 2 eds a@1 b@1
        > eds a b ack 2
        > lds holding 2
        unsettled
        > cds holding 1 ack 1
        < 3 lds l@2
        > lds holding 3 ack 3
        settled 2
        holds cds a@1/1 b@1/1
        reconnect
        push cds b@1, eds b@1, lds l@2
        > cds holding 1
        < 1 cds b@1
        > cds holding 1 ack 1
        > lds holding 3
        < 2 lds l@2
        > lds holding 3 ack 2
        settled 3
        ",
    );
}

#[test]
fn the_first_requests_for_clusters_and_listeners_are_answered_though_there_are_none() {
    play_states(
        "
        push
        > cds
        < 1 cds
        > lds
        < 2 lds
        > cds holding 1 ack 1
        > lds holding 2 ack 2
        settled 1
        ",
    );
}

/// The client may be warming what uses it, and wait for an answer although its version matches.
#[test]
fn named_types_are_answered_on_every_new_stream() {
    play_states(
        "
        push eds a@1, sds s@1, ecds x@1, rds r@1
        > eds a
        < 1 eds a@1
        > sds s
        < 2 sds s@1
        reconnect
        > eds a holding 1
        push eds a@1, sds s@1, ecds x@1, rds r@1
        < 1 eds a@1
        > sds s holding 2
        < 2 sds s@1
        > ecds x
        < 3 ecds x@1
        > rds r
        < 4 rds r@1
        ",
    );
}

#[test]
fn names_that_are_new_are_answered_alone_and_names_that_are_gone_are_forgotten() {
    play_states(
        "
        push eds a@1 b@1 c@1
        > eds a
        < 1 eds a@1
        > eds a b holding 1 ack 1
        < 2 eds b@1
        # Stale, and its names count all the same.
        > eds a b c holding 1 ack 1
        > eds a b c holding 2 ack 2
        < 3 eds c@1
        > eds b c holding 3 ack 3
        push eds a@2 b@1 c@2
        < 4 eds c@2
        > eds b c holding 4 ack 4
        > eds holding 4 ack 4
        push eds a@3 b@3 c@3
        ",
    );
}

/// A cluster that it got anew has no endpoints until it hears of them again.
#[test]
fn who_repeats_an_answered_request_is_answered_in_full() {
    play_states(
        "
        push eds a@1 b@1
        > eds a b
        < 1 eds a@1 b@1
        > eds a b holding 1 ack 1
        > eds a b holding 1 ack 1
        < 2 eds a@1 b@1
        # While an answer is on its way there is no other.
        > eds a b holding 1 ack 1
        > eds a b holding 2 ack 2
        settled 1
        ",
    );
}

#[test]
fn of_what_is_not_there_only_endpoints_can_be_spoken_of() {
    play_states(
        "
        push eds a@1, sds s@1
        > eds a nobody
        < 1 eds a@1 nobody@none
        > eds a nobody ack 1
        > sds s unknown
        < 2 sds s@1
        > sds s unknown ack 2
        > cds
        < 3 cds
        > cds ack 3
        push eds a@1
        # That the secret is gone has no words, and nothing is owed.
        settled 2
        push eds a@1, sds s@2 unknown@1
        < 4 sds s@2 unknown@1
        ",
    );
}

#[test]
fn a_newer_set_of_clusters_does_not_wait_for_an_answer_that_is_withheld() {
    play_states(
        "
        push cds a@1
        > cds
        < 1 cds a@1
        push cds a@1 b@1
        push cds a@1 c@1
        wait 200ms
        < 2 cds a@1 c@1
        # The answer to the later one settles both.
        > cds holding 2 ack 2
        > lds
        < 3 lds
        > lds ack 3
        settled 3
        ",
    );
}

#[test]
fn clusters_can_be_asked_for_by_name() {
    play_states(
        "
        push cds a@1 b@1 c@1
        > cds a nobody
        < 1 cds a@1
        > cds a b nobody holding 1 ack 1
        < 2 cds a@1 b@1
        > cds b holding 2 ack 2
        push cds a@2 b@2 c@2
        < 3 cds b@2
        > cds * b holding 3 ack 3
        < 4 cds a@2 b@2 c@2
        > cds * b holding 4 ack 4
        > cds b holding 4 ack 4
        push cds a@3 b@2 c@3
        push cds a@3 b@3 c@3
        < 5 cds b@3
        > cds holding 5 ack 5
        push cds a@4 b@4 c@4
        ",
    );
}

/// A first set without what waits for its turn would take that away.
#[test]
fn the_first_set_is_complete_or_waits() {
    play_states(
        "
        push cds a@1, eds a@1, lds l@1
        > cds
        < 1 cds a@1
        > eds a
        < 2 eds a@1
        > cds holding 1 ack 1
        > eds a holding 2 ack 2
        > lds
        < 3 lds l@1
        > lds holding 3 ack 3
        reconnect
        > cds holding 1
        > eds a holding 2
        push cds a@1, eds a@2, lds l@2
        < 1 cds a@1
        < 2 eds a@2
        > cds holding 1 ack 1
        push cds a@1, eds a@3, lds l@2
        > lds holding 3
        > eds a holding 2 ack 2
        < 3 eds a@3
        < 4 lds l@2
        ",
    );
}

/// Also for who asks for one of it meanwhile.
#[test]
fn a_name_that_is_asked_for_does_not_take_the_first_set_apart() {
    play_states(
        "
        push cds a@1, eds a@1, lds l@1 m@1
        > cds
        < 1 cds a@1
        > lds *
        > lds * l
        > cds holding 1 ack 1
        < 2 lds l@1 m@1
        ",
    );
}

#[test]
fn a_cluster_that_is_put_back_before_its_edit_was_answered_has_its_endpoints_follow() {
    play_states(
        "
        push cds a@1, eds a@1
        > cds
        < 1 cds a@1
        > eds a
        < 2 eds a@1
        > eds a holding 2 ack 2
        > cds holding 1 ack 1
        push cds a@2, eds a@1
        < 3 cds a@2
        < 4 eds a@1
        push cds a@1, eds a@1
        > eds a holding 4 ack 4
        wait 200ms
        < 5 cds a@1
        < 6 eds a@1
        > cds holding 5 ack 5
        holds cds a@1/1
        ",
    );
}

#[test]
fn who_wants_everything_by_name_ends_it_by_naming_nothing() {
    play_states(
        "
        push cds a@1
        > cds *
        < 1 cds a@1
        > cds * holding 1 ack 1
        > cds holding 1 ack 1
        push cds a@2
        ",
    );
}
