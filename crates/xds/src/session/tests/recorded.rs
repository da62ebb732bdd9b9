//! Conversations as Envoy 1.40.0 held them with this server, word for word.

use super::script::play;

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
        > cds =c1@3 =c2@23
        > eds +c1 +c2 =c1@2 =c2@23
        > lds =l1@1 =l2@27 =l3@26
        push cds c1@3 c2@23, eds c1@2 c2@37, lds l1@1 l2@27, ecds x1@23
        < 1 cds
        < 2 eds c1@2 c2@37
        # One of them belonged to a listener that it was draining.
        > ecds +nobody +x1 =x1@23
        < 3 ecds x1@23 -nobody
        > cds ack 1
        < 4 lds -l3
        > eds ack 2
        > ecds ack 3
        unsettled
        > lds ack 4
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
        < 2 eds c1@1
        < 3 lds
        > cds ack 1
        > eds ack 2
        > lds ack 3
        push cds c1@1 c9@1, eds c1@1 c9@1, lds l1@1
        < 4 cds c9@1
        > eds +c9
        < 5 eds c9@1
        > sds +unknown
        < 6 sds -unknown
        > eds ack 5
        # Told that there is none, it ends warming.
        > cds ack 4
        > sds ack 6
        settled 2
        push cds c1@1 c9@1, eds c1@1 c9@1, lds l1@1, sds unknown@1
        < 7 sds unknown@1
        > sds ack 7
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
