//! Admission of a storm: when a whole fleet comes back at once, the costly step of a handshake is taken in turns.
//!
//! A TLS handshake is most of what a connection costs, and most of it is one step: what follows from a whole ClientHello.
//! Were thousands of them under way side by side, all would end late, most of them after their client has given up (Envoy
//! waits for one second), and be begun again. So as many are taken at a time as there are cores, first come, first served;
//! who has had its step goes on before the next, and who has gone meanwhile costs nothing. Whoever waits is not refused, and
//! the wait counts against nobody's time. A turn lasts as long as the server computes, and never waits for a client.

use std::{future::poll_fn, pin::Pin, task::Poll};

use tokio::sync::Semaphore;

pub(crate) struct Admission(Semaphore);

impl Admission {
    pub(crate) fn new() -> Self {
        Self(Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)))
    }

    /// Waits for a turn, and takes the first step of a handshake in it. `None` if there are more: they need no turn.
    pub(crate) async fn first_step<F: Future>(&self, mut handshake: Pin<&mut F>) -> Option<F::Output> {
        // The semaphore is never closed.
        let _turn = self.0.acquire().await;
        poll_fn(|context| {
            Poll::Ready(match handshake.as_mut().poll(context) {
                Poll::Ready(done) => Some(done),
                Poll::Pending => None,
            })
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, pin::pin};

    use super::*;

    #[tokio::test]
    async fn the_slow_keep_nobody_waiting_and_may_go_on() {
        let admission = Admission(Semaphore::new(1));
        for _ in 0..3 {
            assert_eq!(admission.first_step(pin!(pending::<()>())).await, None);
        }
        assert_eq!(admission.first_step(pin!(async { 7 })).await, Some(7));
        let mut two_steps = pin!(async {
            tokio::task::yield_now().await;
            7
        });
        assert_eq!(admission.first_step(two_steps.as_mut()).await, None);
        assert_eq!(two_steps.await, 7);
    }
}
