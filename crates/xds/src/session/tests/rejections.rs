//! What a refusal leads to.

use super::{
    super::rejected::retry_after,
    script::{play, play_states},
};
use std::time::Duration;

#[test]
fn a_refused_response_is_not_sent_again_at_once_and_settles() {
    play(
        "
        > cds
        push cds a@1 b@1
        < 1 cds a@1 b@1
        > cds nack 1
        rejected cds: a@1 b@1
        settled 1
        push cds a@1 b@1, eds z@1
        settled 2
        wait 4999ms
        ",
    );
}

#[test]
fn a_refused_response_is_sent_again_after_5_s_which_double() {
    play(
        "
        > cds
        push cds a@1
        < 1 cds a@1
        > cds nack 1
        wait 6s
        < 2 cds a@1
        unsettled
        > cds nack 2
        settled 1
        wait 9999ms
        wait 2001ms
        < 3 cds a@1
        > cds nack 3
        wait 19999ms
        wait 4001ms
        < 4 cds a@1
        > cds ack 4
        rejected nothing
        settled 1
        wait 600s
        ",
    );
}

#[test]
fn the_wait_ends_at_5_minutes_and_its_jitter_only_adds() {
    let check = |repeats, random, expected: f64| {
        assert_eq!(retry_after(repeats, random), Duration::from_secs_f64(expected), "{repeats} {random}");
    };
    check(0, 0.0, 5.0);
    check(0, 1.0, 6.0);
    check(1, 0.0, 10.0);
    check(5, 0.5, 176.0);
    check(6, 0.0, 300.0);
    check(u32::MAX, 1.0, 360.0);
}

#[test]
fn a_change_of_what_was_refused_sends_it_at_once_and_the_rest_again_one_by_one() {
    play(
        "
        > cds
        push cds a@1 b@1 c@1
        < 1 cds a@1 b@1 c@1
        > cds nack 1
        push cds a@1 b@2 c@1
        < 2 cds b@2
        rejected cds: a@1 b@1 c@1
        > cds ack 2
        < 3 cds a@1
        rejected cds: a@1 c@1
        > cds ack 3
        < 4 cds c@1
        > cds ack 4
        rejected nothing
        wait 600s
        ",
    );
}

/// Envoy takes the good ones of a response that it refuses, but does not remember that it has them.
#[test]
fn what_was_refused_is_offered_again_one_by_one_until_the_bad_ones_are_known() {
    play(
        "
        > cds
        push cds a@1 bad1@1 bad2@1 d@1
        < 1 cds a@1 bad1@1 bad2@1 d@1
        > cds nack 1
        wait 6s
        < 2 cds a@1
        > cds ack 2
        < 3 cds bad1@1
        > cds nack 3
        < 4 cds bad2@1
        > cds nack 4
        < 5 cds d@1
        > cds ack 5
        rejected cds: bad1@1 bad2@1
        settled 1
        wait 9s
        wait 3s
        < 6 cds bad1@1
        > cds nack 6
        < 7 cds bad2@1
        > cds nack 7
        wait 19s
        ",
    );
}

#[test]
fn a_change_of_something_else_is_sent_alone_and_heals_nothing() {
    play(
        "
        > cds
        push cds a@1 b@1
        < 1 cds a@1 b@1
        > cds ack 1
        push cds a@2 b@1
        < 2 cds a@2
        > cds nack 2
        push cds a@2 b@2
        < 3 cds b@2
        > cds ack 3
        rejected cds: a@2
        wait 6s
        < 4 cds a@2
        > cds ack 4
        rejected nothing
        ",
    );
}

#[test]
fn a_changed_content_that_is_refused_waits_5_s_again() {
    play(
        "
        > cds
        push cds a@1
        < 1 cds a@1
        > cds nack 1
        wait 6s
        < 2 cds a@1
        > cds nack 2
        push cds a@2
        < 3 cds a@2
        > cds nack 3
        wait 6s
        < 4 cds a@2
        ",
    );
}

#[test]
fn what_was_refused_and_is_no_longer_wanted_is_removed_and_forgotten() {
    play(
        "
        > cds
        push cds a@1 b@1
        < 1 cds a@1 b@1
        > cds nack 1
        push cds b@1
        < 2 cds b@1
        > cds ack 2
        # There was nothing to wait for but the listeners that may be asked for.
        rejected cds: a@1
        wait 5s
        < 3 cds -a
        > cds ack 3
        rejected nothing
        settled 2
        wait 600s
        ",
    );
}

#[test]
fn a_refused_name_is_forgotten_by_who_unsubscribes() {
    play(
        "
        push ecds x@1
        > ecds +x
        < 1 ecds x@1
        > ecds nack 1
        rejected ecds: x@1
        > ecds -x
        rejected nothing
        settled 1
        wait 600s
        ",
    );
}

#[test]
fn a_cluster_that_is_sent_again_is_followed_by_its_endpoints() {
    play(
        "
        > cds
        push cds a@1, eds a@1
        < 1 cds a@1
        > eds +a
        < 2 eds a@1
        > eds ack 2
        > cds nack 1
        wait 6s
        < 3 cds a@1
        < 4 eds a@1
        ",
    );
}

#[test]
fn an_empty_response_can_be_refused() {
    play(
        "
        > cds
        > lds
        push
        < 1 cds
        < 2 lds
        > cds nack 1
        > lds ack 2
        rejected cds:
        settled 1
        wait 600s
        rejected nothing
        ",
    );
}

#[test]
fn what_was_refused_after_the_client_had_lost_its_interest_is_forgotten() {
    play(
        "
        push sds s@1 t@1
        > sds +s +t
        < 1 sds s@1 t@1
        > sds -s
        > sds nack 1
        wait 7s
        < 2 sds t@1
        > sds ack 2
        rejected nothing
        settled 1
        ",
    );
}

#[test]
fn an_extension_that_was_refused_stays_so_until_it_changes_whatever_is_acknowledged() {
    play(
        "
        push ecds x@1 y@1
        > ecds +x
        < 1 ecds x@1
        > ecds nack 1
        rejected ecds: x@1
        settled 1
        wait 600s
        # Neither the change of another nor an answer to who asks again tells anything of it.
        > ecds +y
        < 2 ecds y@1
        > ecds ack 2
        push ecds x@1 y@2
        < 3 ecds y@2
        > ecds ack 3
        > ecds +x
        < 4 ecds x@1
        > ecds ack 4
        rejected ecds: x@1
        holds ecds x@1/- y@2/2
        settled 2
        push ecds x@2 y@2
        < 5 ecds x@2
        > ecds ack 5
        rejected nothing
        holds ecds x@2/2 y@2/2
        wait 600s
        ",
    );
}

#[test]
fn an_extension_that_was_refused_is_shown_with_what_was_taken_before_and_can_be_put_back() {
    play(
        "
        push ecds x@1
        > ecds +x
        < 1 ecds x@1
        > ecds ack 1
        push ecds x@2
        < 2 ecds x@2
        > ecds nack 2
        holds ecds x@2/1
        push ecds x@1
        < 3 ecds x@1
        > ecds ack 3
        rejected nothing
        push ecds x@2
        < 4 ecds x@2
        > ecds nack 4
        rejected ecds: x@2
        push ecds
        < 5 ecds -x
        > ecds ack 5
        rejected nothing
        settled 5
        ",
    );
}

#[test]
fn extensions_that_were_refused_together_are_said_once_more_one_by_one_and_all_stay_refused() {
    play(
        "
        push ecds x@1 y@1 z@1
        > ecds +x +y +z
        < 1 ecds x@1 y@1 z@1
        push ecds x@1 y@1 z@2
        > ecds nack 1
        < 2 ecds z@2
        > ecds ack 2
        < 3 ecds x@1
        unsettled
        > ecds ack 3
        < 4 ecds y@1
        > ecds nack 4
        rejected ecds: x@1 y@1
        settled 2
        wait 600s
        push ecds x@2 y@1 z@2
        < 5 ecds x@2
        > ecds ack 5
        rejected ecds: y@1
        # On another stream nothing is known of it.
        reconnect
        > ecds +x +y +z =x@2 =z@2
        push ecds x@2 y@1 z@2
        < 1 ecds y@1
        > ecds nack 1
        rejected ecds: y@1
        settled 4
        ",
    );
}

#[test]
fn an_extension_that_was_refused_stays_so_in_whole_states_too() {
    play_states(
        "
        push ecds x@1 y@1
        > ecds x y
        < 1 ecds x@1 y@1
        > ecds x y nack 1
        < 2 ecds x@1
        > ecds x y holding 2 ack 2
        < 3 ecds y@1
        > ecds x y holding 3 ack 3
        rejected ecds: x@1 y@1
        holds ecds x@1/- y@1/-
        wait 600s
        push ecds x@1 y@2
        < 4 ecds y@2
        > ecds x y holding 4 ack 4
        rejected ecds: x@1
        settled 2
        ",
    );
}

#[test]
fn an_extension_that_was_refused_after_the_client_had_lost_its_interest_is_forgotten() {
    play(
        "
        push ecds x@1
        > ecds +x
        < 1 ecds x@1
        > ecds -x
        > ecds nack 1
        rejected nothing
        settled 1
        ",
    );
}
