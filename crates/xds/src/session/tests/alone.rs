//! Resources that travel alone, marked `!` in what is pushed.

use super::script::{play, play_states};

/// A client that has all of a small world, before anything travels alone. Nonces 1 to 4 are used.
const SETTLED: &str = "
    > cds
    > lds
    push cds a@1, eds a@1, lds l@1, ecds x@1
    < 1 cds a@1
    > eds +a
    < 2 eds a@1
    > eds ack 2
    > cds ack 1
    < 3 lds l@1
    > lds ack 3
    > ecds +x
    < 4 ecds x@1
    > ecds ack 4
    settled 1
";

pub(super) fn after_settled(script: &str) {
    play(&format!("{SETTLED}{script}"));
}

#[test]
fn each_has_a_response_of_its_own_after_all_others_of_its_type() {
    play(
        "
        push cds a@1! b@1 c@1! d@1, eds a@1! b@1, sds s@1! t@1! u@1, lds l@1! m@1 n@1!
        > cds
        < 1 cds b@1 d@1
        > eds +a +b
        < 2 eds b@1
        > sds +s +t +u
        < 3 sds u@1
        > eds ack 2
        < 4 eds a@1
        > eds ack 4
        > cds ack 1
        < 5 cds a@1
        < 6 eds a@1
        > sds ack 3
        < 7 sds s@1
        > sds ack 7
        < 8 sds t@1
        > cds ack 5
        < 9 cds c@1
        > lds
        > eds ack 6
        > cds ack 9
        < 10 lds m@1
        > lds ack 10
        < 11 lds l@1
        > lds ack 11
        < 12 lds n@1
        > sds ack 8
        unsettled
        > lds ack 12
        settled 1
        ",
    );
}

#[test]
fn removals_do_not_go_with_them_but_before() {
    after_settled(
        "
        push cds a@1, eds a@1, lds m@1!, ecds x@1
        < 5 lds -l
        > lds ack 5
        < 6 lds m@1
        > lds ack 6
        settled 2
        ",
    );
}

#[test]
fn what_was_replaced_by_one_that_was_not_sent_yet_is_not_sent_again() {
    after_settled(
        "
        push cds a@1 b@1, eds a@1 b@1, lds l@raw!, ecds x@1
        < 5 cds b@1
        push cds a@1 b@1, eds a@1 b@1, lds l@1, ecds x@1
        > eds +b
        < 6 eds b@1
        > eds ack 6
        > cds ack 5
        settled 3
        ",
    );
}

/// Though their answers are withheld for longer than anybody waits.
#[test]
fn what_refers_to_clusters_waits_until_all_of_them_have_gone_out() {
    after_settled(
        "
        push cds a@1 slow@1!, eds a@1, lds l@1, ecds x@1
        < 5 cds slow@1
        wait 6s
        push cds a@1 slow@1! b@1! c@1!, eds a@1, lds l@1 raw@1!, ecds x@1
        < 6 cds b@1
        wait 199ms
        wait 1ms
        < 7 cds c@1
        < 8 lds raw@1
        ",
    );
}

#[test]
fn clusters_that_warm_hold_back_no_other_for_longer_than_200_ms() {
    after_settled(
        "
        push cds a@1 b@1! c@1!, eds a@1, lds l@1, ecds x@2
        < 5 cds b@1
        wait 100ms
        push cds a@1 b@1! c@1! d@1, eds a@1, lds l@1, ecds x@2
        wait 99ms
        wait 1ms
        < 6 cds d@1
        wait 200ms
        < 7 cds c@1
        wait 4500ms
        wait 100ms
        < 8 ecds x@2
        ",
    );
}

#[test]
fn each_is_overtaken_once_only_where_others_change_all_the_time() {
    play(
        "
        push eds a@1 b@1
        > eds +a +b +raw
        < 1 eds a@1 b@1 raw@none
        push eds a@2 b@1 raw@1!
        > eds ack 1
        < 2 eds a@2
        push eds a@3 b@1 raw@1!
        > eds ack 2
        < 3 eds raw@1
        push eds a@4 b@1 raw@2!
        > eds ack 3
        < 4 eds a@4
        > eds ack 4
        < 5 eds raw@2
        > eds ack 5
        settled 4
        ",
    );
}

#[test]
fn one_that_is_asked_for_waits_for_no_other_type() {
    after_settled(
        "
        push cds a@1 b@1!, eds a@1, lds l@1, ecds x@1 y@1!, sds s@1!
        < 5 cds b@1
        > ecds +y
        < 6 ecds y@1
        > sds +s
        < 7 sds s@1
        ",
    );
}

#[test]
fn in_whole_states_only_sets_travel_together() {
    play_states(
        "
        push cds a@1 b@1!, eds a@1! b@1 c@1!, lds l@1! m@1, sds s@1! t@1
        > cds
        < 1 cds a@1 b@1
        > eds a b c
        < 2 eds b@1
        > sds s t
        < 3 sds t@1
        > eds a b c holding 2 ack 2
        < 4 eds a@1
        > eds a b c holding 2 nack 4
        < 5 eds c@1
        rejected eds: a@1
        > eds a b c holding 5 ack 5
        > sds s t holding 3 ack 3
        < 6 sds s@1
        > sds s t holding 6 ack 6
        > cds holding 1 ack 1
        > lds
        < 7 lds l@1 m@1
        > lds nack 7
        rejected eds: a@1, lds: l@1 m@1
        settled 1
        # It has not got all of these endpoints, though it comes back with the version that was sent last.
        reconnect
        > cds holding 1
        push cds a@1 b@1!, eds a@1! b@1 c@1!
        < 1 cds a@1 b@1
        > cds holding 1 ack 1
        > eds a b c holding 5
        < 2 eds b@1
        > eds a b c holding 2 ack 2
        < 3 eds a@1
        > eds a b c holding 3 ack 3
        < 4 eds c@1
        > eds a b c holding 4 ack 4
        settled 2
        ",
    );
}
