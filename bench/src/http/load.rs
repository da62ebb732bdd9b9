//! The same load for whoever is measured: so many clients, each with one request under way at any moment.

use std::num::NonZeroUsize;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use tokio::task::JoinSet;

/// At the start of every load, before it counts: connections are new and caches cold.
const WARM_UP: Duration = Duration::from_millis(100);

/// For a server that does not answer any more.
const PATIENCE: Duration = Duration::from_secs(20);

/// One client with a connection of its own.
pub(crate) trait Client: Send + Sized + 'static {
    /// One request, and its whole answer.
    fn request(&mut self) -> impl Future<Output = anyhow::Result<()>> + Send;
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) clients: u32,
    pub(crate) measured: Duration,
    pub(crate) threads: NonZeroUsize,
}

/// What became of a load.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answers {
    /// How long each took that was answered while it counted.
    pub(crate) latencies: Vec<Duration>,
    /// All that were answered.
    pub(crate) all: u64,
}

/// Opens the clients, numbered from 0, and has them at it.
///
/// # Errors
/// The first thing that went wrong with any of them.
pub(crate) fn run<C: Client>(
    load: Load,
    open: impl AsyncFn(u32) -> anyhow::Result<C> + Sync,
) -> anyhow::Result<Answers> {
    let threads = load.threads.get().min(load.clients as usize);
    let together = Barrier::new(threads);
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|nth| {
                let (open, together) = (&open, &together);
                let numbers = (0..load.clients).skip(nth).step_by(threads);
                scope.spawn(move || run_some(load.measured, numbers, open, together))
            })
            .collect();
        let mut answers = Answers::default();
        for thread in running {
            let some = thread.join().map_err(|_| anyhow!("a thread of clients panicked"))??;
            answers.latencies.extend(some.latencies);
            answers.all += some.all;
        }
        Ok(answers)
    })
}

/// The clients of one thread.
fn run_some<C: Client>(
    measured: Duration,
    numbers: impl Iterator<Item = u32>,
    open: &impl AsyncFn(u32) -> anyhow::Result<C>,
    together: &Barrier,
) -> anyhow::Result<Answers> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime of the clients does not start")?;
    runtime.block_on(async {
        let mut clients = Ok(Vec::new());
        for number in numbers {
            match (open(number).await, &mut clients) {
                (Ok(client), Ok(clients)) => clients.push(client),
                (Err(error), _) => clients = Err(error),
                (Ok(_), Err(_)) => {}
            }
        }
        // Also by a thread that has failed: the others wait for it.
        together.wait();
        let from = Instant::now() + WARM_UP;
        let mut tasks: JoinSet<_> =
            clients?.into_iter().map(|client| ask_on(client, from, from + measured)).collect();
        let mut answers = Answers::default();
        let all = async {
            while let Some(task) = tasks.join_next().await {
                let of_one = task.context("a client panicked")??;
                answers.latencies.extend(of_one.latencies);
                answers.all += of_one.all;
            }
            anyhow::Ok(())
        };
        let in_time = tokio::time::timeout(WARM_UP + measured + PATIENCE, all).await;
        in_time.with_context(|| format!("a request was not answered in {PATIENCE:?}"))??;
        Ok(answers)
    })
}

async fn ask_on<C: Client>(mut client: C, from: Instant, until: Instant) -> anyhow::Result<Answers> {
    let mut answers = Answers::default();
    let mut sent = Instant::now();
    while sent < until {
        client.request().await?;
        let answered = Instant::now();
        answers.all += 1;
        if answered >= from && answered < until {
            answers.latencies.push(answered - sent);
        }
        sent = answered;
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Yielding;

    impl Client for Yielding {
        async fn request(&mut self) -> anyhow::Result<()> {
            tokio::task::yield_now().await;
            Ok(())
        }
    }

    fn load() -> Load {
        let threads = NonZeroUsize::new(2).expect("two is not zero");
        Load { clients: 5, measured: Duration::from_millis(10), threads }
    }

    #[test]
    fn what_is_answered_before_it_counts_is_not_among_the_latencies() {
        let answers = run(load(), async |_| Ok(Yielding)).expect("nothing fails");
        assert!(!answers.latencies.is_empty());
        assert!(answers.all > answers.latencies.len() as u64);
    }

    #[test]
    fn a_client_that_cannot_be_opened_ends_all_of_it() {
        let open = async |number| if number == 3 { Err(anyhow!("refused")) } else { Ok(Yielding) };
        let error = run(load(), open).expect_err("one was refused");
        assert_eq!(error.to_string(), "refused");
    }
}
