//! Admission of a storm: when a whole fleet comes back at once, handshakes take turns.
//!
//! A TLS handshake is most of what a connection costs. Were thousands under way side by side, all would end late, most of
//! them after the client has given up (Envoy waits for one second), and be begun again. So few are under way at a time,
//! first come, first served; who waits is not refused, and the wait counts against nobody's time. What a client does not
//! do in its turn it may still do, but no longer in the turn: so the slow keep nobody waiting.

use std::time::Duration;

use tokio::sync::Semaphore;

/// For each core: far fewer than end within a second, and enough for clients that answer a tenth of a second later.
const TURNS_PER_CORE: usize = 128;

/// How long a turn lasts at most.
const TURN: Duration = Duration::from_millis(250);

pub(crate) struct Admission(Semaphore);

impl Admission {
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self(Semaphore::new(cores * TURNS_PER_CORE))
    }

    /// Waits for a turn and goes on in it. `None` if the turn was too short: the rest may be done without one.
    pub(crate) async fn admit<F: Future + Unpin>(&self, handshake: F) -> Option<F::Output> {
        // The semaphore is never closed.
        let _turn = self.0.acquire().await;
        tokio::time::timeout(TURN, handshake).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, pin::pin};

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn the_slow_keep_nobody_waiting_and_may_go_on() {
        let admission = Admission(Semaphore::new(2));
        let slow = join_all((0..2).map(|_| admission.admit(Box::pin(pending::<()>()))));
        let mut next = pin!(async { 7 });
        let next = admission.admit(next.as_mut());
        // They come first, and have their turns.
        let (slow, next) = tokio::join!(slow, next);
        assert_eq!((slow, next), (vec![None, None], Some(7)));
    }
}
