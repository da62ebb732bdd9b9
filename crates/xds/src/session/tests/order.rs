//! Make before break.

use super::script::play;

/// A client that has all of a small world. Nonces 1 to 5 are used.
const SETTLED: &str = "
    > cds
    > lds
    push cds a@1 b@1, eds a@1 b@1, sds s@1, lds l@1 m@1, ecds x@1, rds r@1
    < 1 cds a@1 b@1
    > eds +a +b
    < 2 eds a@1 b@1
    > eds ack 2
    > cds ack 1
    < 3 lds l@1 m@1
    > sds +s
    < 4 sds s@1
    > ecds +x
    < 5 ecds x@1
    > rds +r
    < 6 rds r@1
    > lds ack 3
    > sds ack 4
    > ecds ack 5
    > rds ack 6
    settled 1
";

fn after_settled(script: &str) {
    play(&format!("{SETTLED}{script}"));
}

#[test]
fn one_push_goes_clusters_endpoints_secrets_listeners_extensions_routes_and_removals_last() {
    after_settled(
        "
        push cds a@2 c@1, eds a@1 c@1, sds s@2, lds l@2 n@1, ecds x@2, rds r@2
        < 7 cds a@2 c@1
        < 8 eds a@1
        < 9 sds s@2
        > eds ack 8
        > eds +c
        < 10 eds c@1
        > sds ack 9
        > eds ack 10
        > cds ack 7
        < 11 lds l@2 n@1 -m
        < 12 ecds x@2
        < 13 rds r@2
        > ecds ack 12
        > rds ack 13
        unsettled
        > lds ack 11
        < 14 cds -b
        > eds -b
        > cds ack 14
        settled 2
        ",
    );
}

#[test]
fn endpoints_do_not_wait_for_the_answer_to_their_clusters() {
    after_settled(
        "
        push cds a@2 b@1, eds a@2 b@2, sds s@1, lds l@1 m@1, ecds x@1, rds r@1
        < 7 cds a@2
        < 8 eds a@2 b@2
        ",
    );
}

#[test]
fn a_changed_cluster_is_followed_by_its_endpoints_though_they_are_the_same() {
    after_settled(
        "
        push cds a@1 b@2, eds a@1 b@1, sds s@1, lds l@1 m@1, ecds x@1, rds r@1
        < 7 cds b@2
        < 8 eds b@1
        ",
    );
}

#[test]
fn endpoints_in_flight_do_not_count_for_a_cluster_that_is_sent_after_them() {
    after_settled(
        "
        push cds a@1 b@1, eds a@2 b@1, sds s@1, lds l@1 m@1, ecds x@1, rds r@1
        < 7 eds a@2
        push cds a@2 b@1, eds a@2 b@1, sds s@1, lds l@1 m@1, ecds x@1, rds r@1
        < 8 cds a@2
        > eds ack 7
        < 9 eds a@2
        ",
    );
}

#[test]
fn endpoints_wait_for_a_newer_state_of_their_cluster_that_is_about_to_go() {
    after_settled(
        "
        push cds a@2 b@1, eds a@1 b@1, sds s@1, lds l@1 m@1, ecds x@1, rds r@1
        < 7 cds a@2
        < 8 eds a@1
        > eds ack 8
        push cds a@3 b@1, eds a@3 b@3, sds s@1, lds l@1 m@1, ecds x@1, rds r@1
        < 9 eds b@3
        > eds ack 9
        wait 200ms
        < 10 cds a@3
        < 11 eds a@3
        ",
    );
}

#[test]
fn endpoints_of_a_cluster_that_goes_are_neither_emptied_nor_removed() {
    after_settled(
        "
        push cds a@1, eds a@1, sds s@1, lds l@1 m@1, ecds x@2, rds r@1
        < 7 ecds x@2
        > ecds ack 7
        < 8 cds -b
        > cds ack 8
        settled 2
        ",
    );
}

#[test]
fn listeners_wait_for_the_clusters_to_be_warm_but_not_longer_than_5_s() {
    after_settled(
        "
        push cds a@1 b@1 c@1, eds a@1 b@1 c@1, sds s@1, lds l@2 m@1, ecds x@2, rds r@2
        < 7 cds c@1
        wait 4999ms
        wait 1ms
        < 8 lds l@2
        < 9 ecds x@2
        < 10 rds r@2
        ",
    );
}

#[test]
fn what_was_asked_for_waits_for_no_other_type() {
    after_settled(
        "
        push cds a@2 b@1, eds a@1 b@1, sds s@1 t@1, lds l@1 m@1, ecds x@1 y@1, rds r@1 q@1
        < 7 cds a@2
        < 8 eds a@1
        > sds +t
        < 9 sds t@1
        > ecds +y
        < 10 ecds y@1
        > rds +q
        < 11 rds q@1
        ",
    );
}

#[test]
fn removals_wait_for_the_answer_of_listeners_but_not_longer_than_5_s() {
    after_settled(
        "
        push cds a@1, eds a@1, sds, lds l@2 m@1, ecds, rds
        < 7 lds l@2
        wait 4999ms
        wait 1ms
        < 8 ecds -x
        < 9 rds -r
        # ... and clusters wait for the routes then, and secrets for the clusters.
        wait 4999ms
        wait 1ms
        < 10 cds -b
        wait 4999ms
        wait 1ms
        < 11 sds -s
        ",
    );
}

#[test]
fn a_secret_goes_once_the_clusters_that_may_refer_to_it_are_answered() {
    after_settled(
        "
        push cds a@2 b@1, eds a@1 b@1, sds, lds l@1 m@1, ecds x@1, rds r@1
        < 7 cds a@2
        < 8 eds a@1
        > eds ack 8
        > cds ack 7
        < 9 sds -s
        > sds ack 9
        settled 2
        ",
    );
}

#[test]
fn removals_wait_5_s_if_the_listeners_were_refused() {
    after_settled(
        "
        push cds a@1, eds a@1, sds s@1, lds l@2 m@1, ecds x@1, rds r@1
        < 7 lds l@2
        > lds nack 7
        wait 4999ms
        wait 1ms
        < 8 cds -b
        ",
    );
}

#[test]
fn extensions_wait_for_listeners_that_wait_for_an_answer() {
    after_settled(
        "
        push cds a@1 b@1, eds a@1 b@1, sds s@1, lds l@2 m@1, ecds x@1, rds r@1
        < 7 lds l@2
        push cds a@1 b@1, eds a@1 b@1, sds s@1, lds l@3 m@1, ecds x@2, rds r@1
        > lds ack 7
        < 8 lds l@3
        < 9 ecds x@2
        ",
    );
}

#[test]
fn a_listener_takes_the_address_of_another_in_one_response() {
    after_settled(
        "
        push cds a@1 b@1, eds a@1 b@1, sds s@1, lds new@1 m@1, ecds x@1, rds r@1
        < 7 lds new@1 -l
        ",
    );
}

#[test]
fn a_cluster_that_comes_back_before_its_removal_was_sent_stays() {
    after_settled(
        "
        push cds a@1, eds a@1, sds s@1, lds l@2 m@1, ecds x@1, rds r@1
        < 7 lds l@2
        push cds a@1 b@1, eds a@1 b@1, sds s@1, lds l@2 m@1, ecds x@1, rds r@1
        > lds ack 7
        settled 3
        ",
    );
}

/// Seen in a burst of route edits: the cluster went and came back before Envoy had asked for its endpoints.
#[test]
fn what_refers_to_a_cluster_waits_while_its_endpoints_wait_for_an_answer() {
    after_settled(
        "
        push cds a@1 b@1 c@1, eds a@1 b@1 c@1, sds s@1, lds l@1 m@1, ecds x@2, rds r@1
        < 7 cds c@1
        push cds a@1 b@1, eds a@1 b@1, sds s@1, lds l@1 m@1, ecds x@1, rds r@1
        > eds +c
        < 8 eds c@none
        push cds a@1 b@1 c@1, eds a@1 b@1 c@1, sds s@1, lds l@1 m@1, ecds x@2, rds r@1
        > cds ack 7
        > eds ack 8
        < 9 eds c@1
        < 10 ecds x@2
        ",
    );
}

#[test]
fn a_name_that_only_the_wildcard_gives_cannot_be_unsubscribed() {
    after_settled(
        "
        push cds a@1 b@2, eds a@1 b@1, sds s@1, lds l@1 m@1, ecds x@1, rds r@1
        < 7 cds b@2
        < 8 eds b@1
        push cds a@2 b@2, eds a@1 b@1, sds s@1, lds l@1 m@1, ecds x@1, rds r@1
        > cds -a
        > eds ack 8
        > cds ack 7
        < 9 cds a@2
        < 10 eds a@1
        ",
    );
}
