//! A client that comes back, to this instance or from another one.

use super::script::{play, play_states};

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

#[test]
fn what_it_holds_of_named_types_is_not_sent_again_unless_its_cluster_is_or_a_part_is_missing() {
    play(
        "
        > cds =a@1 =b@0
        > eds +a +b +gone =a@1 =b@1 =gone@1
        push cds a@1 b@1, eds a@1 b@1, sds s@1 t@1, lds l@1, ecds x@1 y@2, rds r@1
        < 1 cds b@1
        < 2 eds b@1
        > sds +s +t =s@1
        < 3 sds t@1
        > ecds +x +y +gone =x@1 =y@1 =gone@1
        < 4 ecds -gone
        > ecds ack 4
        > lds =l@1
        < 5 lds
        > rds +r =r@1
        > cds ack 1
        < 6 ecds y@2
        holds ecds gone@-/- x@1/1 y@2/1
        > eds +a
        > eds ack 2
        < 7 eds a@1
        ",
    );
}

/// A client that asks before it has heard of the clusters that are on their way does not know yet that it will need them.
#[test]
fn endpoints_follow_a_cluster_that_was_under_way_when_they_were_asked_for() {
    play(
        "
        push cds a@2, eds a@1
        > cds =a@1
        < 1 cds a@2
        > eds +a =a@1
        < 2 eds a@1
        ",
    );
    play_states(
        "
        push cds a@1, eds a@1
        > cds
        < 1 cds a@1
        > eds a
        < 2 eds a@1
        reconnect
        push cds a@2, eds a@1
        > cds holding 1
        < 1 cds a@2
        > eds a holding 2
        < 2 eds a@1
        ",
    );
}

/// If an updated cluster was warming when the stream broke, Envoy asks for its endpoints with the version that they
/// have, asks for no clusters, and is stuck until they are sent again.
#[test]
fn who_may_be_warming_a_cluster_is_answered_in_full_about_endpoints_and_secrets() {
    play(
        "
        push cds a@1, eds a@1, sds s@1, lds l@1, ecds x@1, rds r@1
        > eds +a =a@1
        < 1 eds a@1
        > sds +s =s@1
        < 2 sds s@1
        > ecds +x =x@1
        > rds +r =r@1
        > lds =l@1
        < 3 lds
        > eds ack 1
        > cds =a@1
        < 4 cds
        ",
    );
}

#[test]
fn what_it_holds_and_no_longer_exists_is_removed_when_nothing_refers_to_it_any_more() {
    play(
        "
        push cds a@1, eds a@1, lds l@1, ecds x@2
        > cds =a@1 =gone@1
        < 1 cds
        > cds ack 1
        > lds =l@0 =gone@1
        < 2 lds l@1 -gone
        > lds ack 2
        # What its listeners refer to may be the cluster that is gone.
        > ecds +x =x@1
        < 3 ecds x@2
        > ecds ack 3
        < 4 cds -gone
        > cds ack 4
        settled 1
        ",
    );
    play(
        "
        push cds a@1, lds l@1
        > cds =a@1 =gone@1
        < 1 cds
        > cds ack 1
        > lds =l@1
        < 2 lds
        > lds ack 2
        # Nobody waits for ever for what is not asked for.
        wait 4s
        wait 1s
        < 3 cds -gone
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
        # Envoy goes on with those that it has, and one that has none is told so.
        > eds +a +b =a@1
        < 2 eds b@none -a
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

/// The one that it holds works, and what a newer one refers to may not be there yet.
#[test]
fn an_extension_that_changed_while_its_holder_was_away_waits_for_the_clusters_that_came_with_it() {
    play(
        "
        push cds old@1 new@1, eds old@1 new@1, ecds x@2 fresh@1
        > cds =old@1
        < 1 cds new@1
        > ecds +x +fresh =x@1
        < 2 ecds fresh@1
        > eds +old +new =old@1
        < 3 eds new@1 old@1
        > ecds ack 2
        > cds ack 1
        < 4 ecds x@2
        ",
    );
    play_states(
        "
        push cds old@1, ecds x@1
        > cds
        < 1 cds old@1
        > ecds x
        < 2 ecds x@1
        reconnect
        push cds old@1 new@1, eds old@1 new@1, ecds x@2
        > cds holding 1
        < 1 cds new@1 old@1
        > ecds x holding 2
        > eds old new
        < 2 eds new@1 old@1
        > cds holding 1 ack 1
        < 3 ecds x@2
        ",
    );
}

/// It asks for clusters when those that it has are warm, and what it holds may have come to refer to others meanwhile.
#[test]
fn who_comes_back_warming_hears_of_clusters_before_what_refers_to_them() {
    play(
        "
        push cds old@1 new@1, eds old@1 new@1, ecds x@2
        > eds +old =old@1
        < 1 eds old@1
        > ecds +x =x@1
        > eds ack 1
        > cds =old@1
        < 2 cds new@1
        > eds +new
        < 3 eds new@1
        > cds ack 2
        < 4 ecds x@2
        ",
    );
    play(
        "
        push cds old@1, eds old@1, ecds x@2
        > ecds +x =x@1
        wait 4s
        wait 1s
        < 1 ecds x@2
        ",
    );
}
