//! Whole sets of the state-of-the-world protocol that the client refuses.

use super::script::play_states;

/// Of the set that it refused it has taken `extra` and the newer `a`, and says the version of the one before.
#[test]
fn what_was_taken_of_a_refused_set_and_is_not_wanted_after_a_reconnect_is_taken_back() {
    play_states(
        "
        push cds a@1, eds a@1, lds l@1
        > cds
        < 1 cds a@1
        > eds a
        < 2 eds a@1
        > eds a holding 2 ack 2
        > cds holding 1 ack 1
        > lds
        < 3 lds l@1
        > lds holding 3 ack 3
        push cds a@2 bad@1! extra@1!, eds a@1, lds l@1
        < 4 cds a@2 bad@1 extra@1
        < 5 eds a@1
        > eds a holding 5 ack 5
        > cds holding 1 nack 4
        rejected cds: a@2 bad@1 extra@1
        reconnect
        push cds a@1, eds a@1, lds l@1
        > cds holding 1
        < 1 cds a@1
        > eds a holding 5
        # It warms the old one anew.
        > eds a holding 5
        < 2 eds a@1
        > eds a holding 2 ack 2
        > cds holding 1 ack 1
        > lds holding 3
        < 3 lds l@1
        > lds holding 3 ack 3
        rejected nothing
        settled 3
        ",
    );
}

#[test]
fn a_confirmation_that_is_refused_is_sent_again() {
    play_states(
        "
        push lds l@1
        > lds
        < 1 lds l@1
        > lds holding 1 ack 1
        reconnect
        push lds l@1
        > lds holding 1
        < 1 lds l@1
        > lds holding 1 nack 1
        rejected lds: l@1
        wait 6s
        < 2 lds l@1
        > lds holding 1 ack 2
        rejected nothing
        ",
    );
}

#[test]
fn a_refused_set_is_sent_again_whole_when_it_changes_or_after_a_pause() {
    play_states(
        "
        push lds a@1
        > lds
        < 1 lds a@1
        > lds holding 1 ack 1
        push lds a@1 bad@1 c@1
        < 2 lds a@1 bad@1 c@1
        > lds holding 1 nack 2
        rejected lds: bad@1 c@1
        holds lds a@1/1 bad@1/- c@1/-
        wait 4s
        wait 3s
        < 3 lds a@1 bad@1 c@1
        > lds holding 1 nack 3
        wait 9s
        # Another change brings the set again.
        push lds a@2 bad@1 c@1
        < 4 lds a@2 bad@1 c@1
        > lds holding 1 nack 4
        rejected lds: a@2 bad@1 c@1
        push lds a@2 bad@2 c@1
        < 5 lds a@2 bad@2 c@1
        > lds holding 5 ack 5
        rejected nothing
        settled 4
        holds lds a@2/2 bad@2/2 c@1/1
        ",
    );
}

#[test]
fn a_refusal_ends_when_what_was_refused_is_taken_away() {
    play_states(
        "
        push lds a@1 bad@1
        > lds
        < 1 lds a@1 bad@1
        > lds nack 1
        rejected lds: a@1 bad@1
        push lds a@1
        < 2 lds a@1
        > lds holding 2 ack 2
        rejected nothing
        settled 2
        ",
    );
}

#[test]
fn a_set_of_listeners_that_was_refused_is_sent_again_when_the_client_takes_a_cluster_that_it_did_not_have() {
    play_states(
        "
        push cds a@1, lds l@1 raw@1!
        > cds
        < 1 cds a@1
        > cds holding 1 ack 1
        > lds
        < 2 lds l@1 raw@1
        > lds nack 2
        rejected lds: l@1 raw@1
        push cds a@2, lds l@1 raw@1!
        < 3 cds a@2
        > cds holding 3 ack 3
        push cds a@2 raw@1!, lds l@1 raw@1!
        < 4 cds a@2 raw@1
        > cds holding 4 ack 4
        < 5 lds l@1 raw@1
        > lds holding 5 ack 5
        rejected nothing
        settled 3
        ",
    );
}
