//! Endpoints follow their cluster, under whatever name it asks for them: `a@1:e` asks for `e`.

use super::script::{play, play_states};

#[test]
fn a_changed_cluster_is_followed_by_the_endpoints_that_it_asks_for() {
    let script = "
        push cds a@1:e b@1, eds a@1 b@1 e@1
        > cds
        < 1 cds a@1 b@1
        > eds +b +e
        < 2 eds b@1 e@1
        > eds ack 2
        > cds ack 1
        push cds a@2:e b@1, eds a@2 b@1 e@1
        < 3 cds a@2
        < 4 eds e@1
    ";
    play(script);
}

#[test]
fn endpoints_wait_for_a_newer_state_of_any_cluster_that_asks_for_them() {
    play(
        "
        push cds a@1:e b@1:e c@1, eds c@1 e@1
        > cds
        < 1 cds a@1 b@1 c@1
        > eds +c +e
        < 2 eds c@1 e@1
        > eds ack 2
        # The answer about clusters is withheld, and the next state of them waits for it.
        push cds a@1:e b@2:e c@1, eds c@2 e@2
        < 3 eds c@2
        > eds ack 3
        wait 200ms
        < 4 cds b@2
        < 5 eds e@2
        > eds ack 5
        > cds ack 4
        > lds
        < 6 lds
        > lds ack 6
        settled 2
        ",
    );
}

/// Who is subscribed to endpoints already does not ask for them again when another cluster needs them.
#[test]
fn a_new_cluster_is_followed_by_the_endpoints_that_it_shares() {
    play(
        "
        push cds a@1:e, eds e@1
        > cds
        < 1 cds a@1
        > eds +e
        < 2 eds e@1
        > eds ack 2
        > cds ack 1
        push cds a@1:e b@1:e, eds e@1
        < 3 cds b@1
        < 4 eds e@1
        ",
    );
}

#[test]
fn endpoints_follow_a_cluster_that_was_under_way_when_they_were_asked_for() {
    play(
        "
        push cds a@2:e, eds e@1
        > cds =a@1
        < 1 cds a@2
        > eds +e =e@1
        < 2 eds e@1
        ",
    );
    play_states(
        "
        push cds a@1:e, eds e@1
        > cds
        < 1 cds a@1
        > eds e
        < 2 eds e@1
        reconnect
        push cds a@2:e, eds e@1
        > cds holding 1
        < 1 cds a@2
        > eds e holding 2
        < 2 eds e@1
        ",
    );
}
