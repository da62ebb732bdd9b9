//! Who plans now: the whole push scheduler. So many plan at once; the others wait, in order, with only their bit set.
//!
//! First plans take turns of their own. When a whole fleet comes back at once, a change for those that are there already
//! does not wait behind it.
//!
//! A stream runs only while its client reads, so a turn may come to one that sleeps. It waits there for a moment and passes
//! on; the stream plans without one when it wakes. So nobody who stops reading holds up the others.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

#[derive(Debug)]
pub struct Turns {
    pub first: Arc<Semaphore>,
    pub further: Arc<Semaphore>,
    /// How long a turn waits to be taken.
    pub taken_within: Duration,
}

/// A place among those who wait: ready when the turn comes. Dropping it gives it up.
#[derive(Debug)]
pub struct Place(oneshot::Receiver<oneshot::Sender<()>>);

/// Ends when it is dropped.
#[derive(Debug)]
pub enum Turn {
    /// There was one at once.
    Free(OwnedSemaphorePermit),
    /// It was waited for. Dropping the sender tells [`Place`]'s task.
    Waited(oneshot::Sender<()>),
}

impl Turns {
    pub fn new(at_once: usize) -> Self {
        let semaphore = || Arc::new(Semaphore::new(at_once));
        // Longer than a loaded machine takes to run a task that is ready.
        Self { first: semaphore(), further: semaphore(), taken_within: Duration::from_millis(20) }
    }
}

impl Place {
    /// At the end of the queue. To be called in a tokio runtime.
    pub fn take(turns: Arc<Semaphore>, taken_within: Duration) -> Self {
        let (turn_comes, place) = oneshot::channel();
        tokio::spawn(async move {
            // Nobody closes the semaphore. Without it everybody would plan at once, which is slow and not wrong.
            let _turn = turns.acquire_owned().await;
            let (end, ended) = oneshot::channel();
            if turn_comes.send(end).is_ok() {
                tokio::time::timeout(taken_within, ended).await.ok();
            }
        });
        Self(place)
    }
}

impl Future for Place {
    type Output = Option<Turn>;

    /// `None` where the runtime is shutting down.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Turn>> {
        Poll::Ready(ready!(Pin::new(&mut self.0).poll(context)).ok().map(Turn::Waited))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_turn_that_is_not_taken_passes_on_and_one_that_is_given_up_is_free() {
        let turns = Turns::new(1).further;
        let place = || Place::take(turns.clone(), Duration::from_millis(1));
        let sleeps = place();
        drop(place());
        drop(place().await.unwrap());
        drop(turns.acquire().await.unwrap());
        drop(sleeps);
    }
}
