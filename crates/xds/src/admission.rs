//! Admission of a storm: when a whole fleet comes back at once, handshakes take turns.
//!
//! A TLS handshake is most of what a connection costs. Were thousands under way side by side, all would end late, most of
//! them after the client has given up (Envoy waits for one second), and be begun again. So few are under way at a time,
//! first come, first served; who waits is not refused, and the wait counts against nobody's time. What a client does not
//! do in its turn it may still do, but no longer in the turn: so the slow keep nobody waiting.

use std::{pin::pin, time::Duration};

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

    /// Runs to the end what is to be begun in a turn.
    pub(crate) async fn admit<T>(&self, handshake: impl Future<Output = T>) -> T {
        let mut handshake = pin!(handshake);
        // The semaphore is never closed.
        let turn = self.0.acquire().await;
        tokio::select! {
            done = &mut handshake => return done,
            () = tokio::time::sleep(TURN) => {}
        }
        drop(turn);
        handshake.await
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn the_slow_keep_nobody_waiting() {
        let admission = Admission(Semaphore::new(2));
        let slow = join_all((0..2).map(|_| admission.admit(pending::<()>())));
        tokio::select! {
            biased; // They come first.
            _ = slow => unreachable!("they never end"),
            () = admission.admit(async {}) => {}
        }
    }
}
