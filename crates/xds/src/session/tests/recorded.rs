//! Conversations as Envoy 1.40.0 held them with this server, word for word but for names and versions.

use super::script::{play, play_states};

#[test]
fn envoy_starts() {
    play(
        "
        > cds
        push cds c1@1, eds c1@1, lds l1@1, ecds x1@1
        < 1 cds c1@1
        > eds +c1
        < 2 eds c1@1
        > cds ack 1
        unsettled
        > lds
        < 3 lds l1@1
        > eds ack 2
        > ecds +x1
        < 4 ecds x1@1
        > lds ack 3
        unsettled
        > ecds ack 4
        settled 1
        ",
    );
}

#[test]
fn envoy_comes_back_to_a_world_that_has_changed() {
    play(
        "
        > cds =b@1 =b2@1 =other@1
        > eds +b +b2 +other =b@1 =b2@1 =other@1
        push cds b@1 b2@1, eds b@1 b2@2, lds o@1, ecds x@1
        < 1 cds
        < 2 eds b2@2
        > lds =o@1 =o2@1
        > ecds +x +x2 =x@1 =x2@1
        > cds ack 1
        < 3 lds -o2
        > eds ack 2
        > lds ack 3
        < 4 ecds -x2
        > ecds ack 4
        < 5 cds -other
        > eds -other
        > cds ack 5
        settled 1
        ",
    );
}

#[test]
fn envoy_gets_a_cluster_whose_secret_nobody_knows() {
    play(
        "
        > cds =c1@1
        > lds =l1@1
        > eds +c1 =c1@1
        push cds c1@1, eds c1@1, lds l1@1
        < 1 cds
        < 2 lds
        > cds ack 1
        > lds ack 2
        push cds c1@1 c9@1, eds c1@1 c9@1, lds l1@1
        < 3 cds c9@1
        > eds +c9
        < 4 eds c9@1
        > sds +unknown
        < 5 sds -unknown
        > eds ack 4
        # Told that there is none, it ends warming.
        > cds ack 3
        > sds ack 5
        settled 2
        push cds c1@1 c9@1, eds c1@1 c9@1, lds l1@1, sds unknown@1
        < 6 sds unknown@1
        > sds ack 6
        settled 3
        ",
    );
}

#[test]
fn envoy_refuses_a_listener_and_takes_it_when_it_is_better() {
    play(
        "
        push lds l1@1
        > lds
        < 1 lds l1@1
        > lds ack 1
        push lds bad@1 l1@1 l2@1
        < 2 lds bad@1 l2@1
        > lds nack 2
        rejected lds: bad@1 l2@1
        push lds bad@2 l1@1 l2@1
        < 3 lds bad@2
        > lds ack 3
        < 4 lds l2@1
        > lds ack 4
        rejected nothing
        settled 3
        ",
    );
}

/// A route edit that moves an outbound to another cluster: make, then break.
#[test]
fn envoy_is_moved_to_another_cluster() {
    play(
        "
        push cds b@1 local@1, eds b@1, lds o@1, ecds x@1
        > cds
        < 1 cds b@1 local@1
        > eds +b
        < 2 eds b@1
        > cds ack 1
        > lds
        < 3 lds o@1
        > eds ack 2
        > ecds +x
        < 4 ecds x@1
        > lds ack 3
        > ecds ack 4
        settled 1
        push cds b2@1 local@1, eds b2@1, lds o@1, ecds x@2
        < 5 cds b2@1
        > eds +b2
        < 6 eds b2@1
        > cds ack 5
        < 7 ecds x@2
        > eds ack 6
        > ecds ack 7
        < 8 cds -b
        > eds -b
        > cds ack 8
        settled 2
        ",
    );
}

#[test]
fn envoy_is_moved_to_another_cluster_in_whole_states() {
    play_states(
        "
        push cds b@1 local@1, eds b@1, lds o@1, ecds x@1
        > cds
        < 1 cds b@1 local@1
        > eds b
        < 2 eds b@1
        > cds holding 1 ack 1
        > lds
        < 3 lds o@1
        > eds b holding 2 ack 2
        > ecds x
        < 4 ecds x@1
        > lds holding 3 ack 3
        > ecds x holding 4 ack 4
        settled 1
        push cds b2@1 local@1, eds b2@1, lds o@1, ecds x@2
        < 5 cds b@1 b2@1 local@1
        # It names more with the nonce of the last response, which this does not answer again.
        > eds b2 b holding 2 ack 2
        < 6 eds b2@1
        > cds holding 5 ack 5
        < 7 ecds x@2
        > eds b2 b holding 6 ack 6
        > ecds x holding 7 ack 7
        < 8 cds b2@1 local@1
        > eds b2 holding 6 ack 6
        > cds holding 8 ack 8
        settled 2
        ",
    );
}

/// The address of one of two new listeners is in use, and later free.
#[test]
fn envoy_cannot_bind_a_listener() {
    play(
        "
        push lds o@1
        > lds
        < 1 lds o@1
        > lds ack 1
        push lds good@1 o@1 used@1, ecds good@1 used@1
        < 2 lds good@1 used@1
        > ecds +good
        < 3 ecds good@1
        > lds nack 2
        rejected lds: good@1 used@1
        > ecds ack 3
        wait 6s
        < 4 lds good@1
        > lds ack 4
        < 5 lds used@1
        > lds nack 5
        rejected lds: used@1
        wait 12s
        < 6 lds used@1
        > ecds +used
        < 7 ecds used@1
        > lds ack 6
        > ecds ack 7
        rejected nothing
        settled 2
        ",
    );
}

#[test]
fn envoy_cannot_bind_a_listener_of_a_whole_state() {
    play_states(
        "
        push lds o@1
        > lds
        < 1 lds o@1
        > lds holding 1 ack 1
        push lds good@1 o@1 used@1, ecds good@1 used@1
        < 2 lds good@1 o@1 used@1
        > ecds good
        < 3 ecds good@1
        > lds holding 1 nack 2
        rejected lds: good@1 used@1
        > ecds good holding 3 ack 3
        wait 6s
        < 4 lds good@1 o@1 used@1
        > lds holding 1 nack 4
        rejected lds: good@1 used@1
        wait 12s
        < 5 lds good@1 o@1 used@1
        > ecds used good holding 3 ack 3
        < 6 ecds used@1
        > lds holding 5 ack 5
        > ecds used good holding 6 ack 6
        rejected nothing
        settled 2
        ",
    );
}

/// kuma-cp was killed and started again, and nothing has changed meanwhile.
#[test]
fn envoy_comes_back_to_the_same_world() {
    play(
        "
        > cds =b@1 =local@1
        push cds b@1 local@1, eds b@1, lds o@1, ecds x@1
        < 1 cds
        > eds +b =b@1
        > lds =o@1
        < 2 lds
        > ecds +x =x@1
        > cds ack 1
        > lds ack 2
        settled 1
        push cds b@1 local@1, eds b@2, lds o@1, ecds x@2
        < 3 eds b@2
        < 4 ecds x@2
        ",
    );
}

#[test]
fn envoy_comes_back_in_whole_states_to_the_same_world_and_to_another() {
    play_states(
        "
        push cds b@1 local@1 other@1, eds b@1 other@1, lds o@1 o2@1, ecds x@1 x2@1
        > cds
        < 1 cds b@1 local@1 other@1
        > eds b other
        < 2 eds b@1 other@1
        > cds holding 1 ack 1
        > lds
        < 3 lds o@1 o2@1
        > eds b other holding 2 ack 2
        > lds holding 3 ack 3
        > ecds x x2
        < 4 ecds x@1 x2@1
        > ecds x x2 holding 4 ack 4
        settled 1
        reconnect
        > cds holding 1
        > eds other b holding 2
        > lds holding 3
        push cds b@1 local@1 other@1, eds b@1 other@1, lds o@1 o2@1, ecds x@1 x2@1
        < 1 cds b@1 local@1 other@1
        < 2 lds o@1 o2@1
        > ecds x x2 holding 4
        > cds holding 1 ack 1
        < 3 ecds x@1 x2@1
        > lds holding 2 ack 2
        > ecds x x2 holding 3 ack 3
        settled 2
        ",
    );
    play_states(
        "
        push cds b@1 other@1, eds b@1 other@1, lds o@1 o2@1
        > cds
        < 1 cds b@1 other@1
        > eds b other
        < 2 eds b@1 other@1
        > cds holding 1 ack 1
        > lds
        < 3 lds o@1 o2@1
        > eds b other holding 2 ack 2
        > lds holding 3 ack 3
        reconnect
        > cds holding 1
        > eds other b holding 2
        > lds holding 3
        > ecds x x2
        push cds b@1, eds b@1, lds o@1, ecds x@1
        < 1 cds b@1
        < 2 eds b@1
        < 3 ecds x@1
        > eds b
        > cds holding 1 ack 1
        < 4 lds o@1
        > eds b holding 2 ack 2
        > ecds x x2 holding 3 ack 3
        > lds holding 4 ack 4
        settled 2
        ",
    );
}
