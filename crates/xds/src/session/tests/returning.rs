//! A client that comes back, to this instance or from another one.

use super::script::play;

#[test]
fn clusters_and_listeners_that_it_holds_are_not_sent_again() {
    play(
        "
        > cds +* =a@1 =b@0
        > eds +a +b
        > lds +* =l@1
        push cds a@1 b@1, eds a@1 b@1, lds l@1 m@1
        < 1 cds b@1
        < 2 eds a@1 b@1
        > eds ack 2
        > cds ack 1
        < 3 lds m@1
        > lds ack 3
        settled 1
        ",
    );
}

#[test]
fn who_holds_all_is_answered_with_nothing() {
    play(
        "
        push cds a@1, lds l@1
        > cds =a@1
        < 1 cds
        > lds =l@1
        < 2 lds
        > cds ack 1
        > lds ack 2
        settled 1
        ",
    );
}

/// If an updated cluster was warming when the stream broke, Envoy asks for its endpoints with the version that they
/// have, asks for no clusters, and is stuck until they are sent again.
#[test]
fn endpoints_secrets_routes_and_extensions_are_answered_in_full_though_their_versions_match() {
    play(
        "
        push cds a@1, eds a@1, sds s@1, lds l@1, ecds x@1, rds r@1
        > eds +a =a@1
        < 1 eds a@1
        > sds +s =s@1
        < 2 sds s@1
        > ecds +x =x@1
        < 3 ecds x@1
        > rds +r =r@1
        < 4 rds r@1
        > lds =l@1
        < 5 lds
        > eds ack 1
        > cds =a@1
        < 6 cds
        ",
    );
}

#[test]
fn what_it_holds_and_no_longer_exists_is_removed_after_the_listeners_were_answered() {
    play(
        "
        push cds a@1, eds a@1, lds l@1
        > cds =a@1 =gone@1
        < 1 cds
        > cds ack 1
        > lds =l@0 =gone@1
        < 2 lds l@1 -gone
        > lds ack 2
        < 3 cds -gone
        > cds ack 3
        settled 1
        ",
    );
}

#[test]
fn named_types_that_it_asks_for_and_no_longer_exist_are_said_to_be_gone() {
    play(
        "
        push
        > sds +s =s@1
        < 1 sds -s
        > eds +a =a@1
        < 2 eds a@none
        ",
    );
}

#[test]
fn clusters_that_it_asks_for_by_name_and_holds_are_compared() {
    play(
        "
        > cds +a +b +c +* =a@1 =b@1
        push cds a@1 b@2, lds l@1
        < 1 cds b@2 -c
        ",
    );
}
