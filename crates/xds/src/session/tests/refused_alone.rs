//! A refusal of what travels alone concerns nothing else.

use super::alone::after_settled;

#[test]
fn a_refusal_names_it_alone_and_the_rest_is_settled() {
    after_settled(
        "
        push cds a@2 bad@1! good@1!, eds a@1, lds l@2 bad@1! good@1!, ecds x@1
        < 5 cds a@2
        < 6 eds a@1
        > eds ack 6
        > cds ack 5
        < 7 cds bad@1
        > cds nack 7
        < 8 cds good@1
        rejected cds: bad@1
        > cds ack 8
        < 9 lds l@2
        > lds ack 9
        < 10 lds bad@1
        > lds nack 10
        < 11 lds good@1
        > lds ack 11
        rejected cds: bad@1, lds: bad@1
        settled 2
        holds lds bad@1/- good@1/1 l@2/2
        ",
    );
}

#[test]
fn who_was_refused_is_offered_again_after_5_s_which_double_or_at_once_when_it_changes() {
    after_settled(
        "
        push cds a@1, eds a@1, lds l@1 bad@1!, ecds x@1
        < 5 lds bad@1
        > lds nack 5
        wait 4999ms
        wait 1001ms
        < 6 lds bad@1
        > lds nack 6
        wait 9s
        push cds a@1, eds a@1, lds l@2 bad@2!, ecds x@1
        < 7 lds l@2
        > lds ack 7
        < 8 lds bad@2
        > lds ack 8
        rejected nothing
        settled 3
        wait 600s
        ",
    );
}

#[test]
fn several_that_were_refused_are_offered_again_one_by_one() {
    after_settled(
        "
        push cds a@1, eds a@1, lds l@1 bad@1! worse@1!, ecds x@1
        < 5 lds bad@1
        > lds nack 5
        < 6 lds worse@1
        > lds nack 6
        rejected lds: bad@1 worse@1
        wait 6s
        < 7 lds bad@1
        > lds nack 7
        < 8 lds worse@1
        > lds nack 8
        wait 9999ms
        wait 2001ms
        < 9 lds bad@1
        > lds ack 9
        < 10 lds worse@1
        > lds nack 10
        rejected lds: worse@1
        settled 2
        ",
    );
}

/// It has kept the old one, but that is not known.
#[test]
fn what_was_replaced_by_one_that_was_refused_is_put_back_at_once() {
    after_settled(
        "
        push cds a@raw!, eds a@1, lds l@raw!, ecds x@1
        < 5 cds a@raw
        < 6 eds a@1
        > eds ack 6
        > cds nack 5
        < 7 lds l@raw
        > lds nack 7
        rejected cds: a@raw, lds: l@raw
        push cds a@1, eds a@1, lds l@1, ecds x@1
        < 8 cds a@1
        < 9 eds a@1
        > eds ack 9
        > cds ack 8
        < 10 lds l@1
        > lds ack 10
        rejected nothing
        settled 3
        ",
    );
}

#[test]
fn who_comes_back_after_a_refusal_is_believed_to_have_what_it_says() {
    after_settled(
        "
        push cds a@1, eds a@1, lds l@raw!, ecds x@1
        < 5 lds l@raw
        > lds nack 5
        reconnect
        > cds =a@1
        > lds =l@1
        push cds a@1, eds a@1, lds l@1, ecds x@1
        < 1 cds
        < 2 lds
        > cds ack 1
        > lds ack 2
        settled 3
        reconnect
        > cds =a@1
        > lds =l@1
        push cds a@1, eds a@1, lds l@raw!, ecds x@1
        < 1 cds
        > cds ack 1
        < 2 lds l@raw
        > lds nack 2
        rejected lds: l@raw
        settled 4
        ",
    );
}

#[test]
fn one_that_was_refused_and_never_taken_is_removed_and_forgotten() {
    after_settled(
        "
        push cds a@1, eds a@1, lds l@1 bad@1!, ecds x@1
        < 5 lds bad@1
        > lds nack 5
        push cds a@1, eds a@1, lds l@1, ecds x@1
        < 6 lds -bad
        > lds ack 6
        rejected nothing
        settled 3
        wait 600s
        ",
    );
}

/// Envoy refuses a listener whose inline route names a cluster that is not there.
#[test]
fn what_refers_to_clusters_waits_for_those_too_and_for_none_that_was_refused() {
    after_settled(
        "
        push cds a@1 bad@1! raw@1!, eds a@1, lds l@1 raw@1!, ecds x@2
        < 5 cds bad@1
        > cds nack 5
        < 6 cds raw@1
        wait 4s
        > cds ack 6
        < 7 lds raw@1
        < 8 ecds x@2
        > lds ack 7
        > ecds ack 8
        settled 2
        ",
    );
}

/// The answer about one that warms for ever never comes, and until then nothing that was refused is offered again.
#[test]
fn one_that_was_refused_and_cannot_be_offered_again_holds_back_nothing() {
    after_settled(
        "
        push cds a@1 bad@1! warms@1!, eds a@1 bad@1, lds l@1, ecds x@1
        < 5 cds bad@1
        > eds +bad
        < 6 eds bad@1
        > eds ack 6
        > cds nack 5
        < 7 cds warms@1
        wait 7s
        push cds a@1 bad@1! warms@1!, eds a@1 bad@2, lds l@2, ecds x@2
        < 8 eds bad@2
        < 9 lds l@2
        < 10 ecds x@2
        ",
    );
}

#[test]
fn what_was_refused_for_want_of_a_cluster_is_offered_again_when_the_client_takes_one_that_it_did_not_have() {
    after_settled(
        "
        push cds a@1, eds a@1, lds l@1 raw@1! raw2@1!, ecds x@1
        < 5 lds raw@1
        > lds nack 5
        < 6 lds raw2@1
        > lds nack 6
        push cds a@1 raw@1!, eds a@1, lds l@1 raw@1! raw2@1!, ecds x@1
        < 7 cds raw@1
        unsettled
        > cds ack 7
        < 8 lds raw@1
        > lds ack 8
        < 9 lds raw2@1
        > lds nack 9
        rejected lds: raw2@1
        settled 3
        # It was refused twice.
        wait 9999ms
        wait 2001ms
        < 10 lds raw2@1
        > lds nack 10
        # The next wait, of 20 s, is begun again, and doubled, by each new cluster.
        push cds a@1 b@1! raw@1!, eds a@1, lds l@1 raw@1! raw2@1!, ecds x@1
        < 11 cds b@1
        > cds ack 11
        < 12 lds raw2@1
        > lds nack 12
        wait 39999ms
        wait 8001ms
        < 13 lds raw2@1
        > lds ack 13
        rejected nothing
        settled 4
        ",
    );
}

#[test]
fn a_cluster_that_the_client_had_refused_is_one_that_it_does_not_have() {
    after_settled(
        "
        push cds a@1 raw@1!, eds a@1, lds l@1 raw@1!, ecds x@1
        < 5 cds raw@1
        > cds nack 5
        < 6 lds raw@1
        > lds nack 6
        push cds a@1 raw@2!, eds a@1, lds l@1 raw@1!, ecds x@1
        < 7 cds raw@2
        > cds ack 7
        < 8 lds raw@1
        > lds ack 8
        rejected nothing
        settled 3
        ",
    );
}

/// Else every edit of anything would offer again what it cannot help.
#[test]
fn a_change_of_a_known_cluster_offers_nothing_again() {
    after_settled(
        "
        push cds a@1 b@1, eds a@1, lds l@1 raw@1!, ecds x@1
        < 5 cds b@1
        > cds ack 5
        < 6 lds raw@1
        > lds nack 6
        push cds a@2 b@1, eds a@1, lds l@1 raw@1!, ecds x@1
        < 7 cds a@2
        < 8 eds a@1
        > eds ack 8
        > cds ack 7
        push cds a@3! b@1, eds a@1, lds l@1 raw@1!, ecds x@1
        < 9 cds a@3
        < 10 eds a@1
        > eds ack 10
        > cds nack 9
        push cds a@4 b@1, eds a@1, lds l@1 raw@1!, ecds x@1
        < 11 cds a@4
        < 12 eds a@1
        > eds ack 12
        > cds ack 11
        rejected lds: raw@1
        settled 5
        ",
    );
}

#[test]
fn routes_are_offered_again_with_a_new_cluster_too_and_extensions_are_not() {
    after_settled(
        "
        push cds a@1, eds a@1, lds l@1, ecds x@2, rds r@1
        < 5 ecds x@2
        > ecds nack 5
        > rds +r
        < 6 rds r@1
        > rds nack 6
        rejected ecds: x@2, rds: r@1
        push cds a@1 b@1, eds a@1, lds l@1, ecds x@2, rds r@1
        < 7 cds b@1
        > cds ack 7
        < 8 rds r@1
        > rds ack 8
        rejected ecds: x@2
        settled 3
        ",
    );
}
