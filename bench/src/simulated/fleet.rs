//! All simulated proxies.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::board::{Board, Losses, Notes, Traffic, Watched};
use super::change::Change;
use super::proxy::{self, Surroundings};

/// Running proxies. They end when this is dropped.
pub struct Fleet {
    surroundings: Arc<Surroundings>,
    round: watch::Sender<u32>,
    _proxies: JoinSet<()>,
}

/// How long a round took until all proxies were configured.
#[derive(Debug, Clone)]
pub struct Round {
    /// Sorted, one a proxy, since the round began.
    pub configured: Vec<Duration>,
    pub traffic: Traffic,
    pub lost: Losses,
}

/// How a change reached those who had to hear of it.
#[derive(Debug, Clone)]
pub struct Spread {
    pub last_acknowledged: Instant,
    pub traffic: Traffic,
    /// Responses that nobody should have received, and the first of them in words.
    pub unexpected: u64,
    pub first_unexpected: Option<String>,
}

impl Fleet {
    /// Opens one stream a token, all at once.
    pub(crate) fn start(surroundings: Arc<Surroundings>, tokens: Vec<String>) -> Self {
        let (round, receiver) = watch::channel(0);
        let mut proxies = JoinSet::new();
        surroundings.board.begin_round(tokens.len());
        for (number, token) in (0..).zip(tokens) {
            proxies.spawn(proxy::run(surroundings.clone(), number, token, receiver.clone()));
        }
        Self { surroundings, round, _proxies: proxies }
    }

    /// Closes all streams and opens them again, all at once.
    pub fn reconnect(&self) {
        self.begin_round();
        self.round.send_modify(|round| *round += 1);
    }

    /// Counts anew, and leaves the streams alone: they are about to be broken by somebody else.
    pub fn begin_round(&self) {
        let proxies = self.board().notes().proxies;
        self.board().begin_round(proxies);
    }

    /// Waits until so many responses were received since the last change was announced, or the round began.
    pub async fn received(&self, responses: u64, deadline: Duration) -> anyhow::Result<Traffic> {
        self.board().notes().awaited = Some(responses);
        self.wait(deadline, |notes| notes.traffic.all_responses() >= responses).await.with_context(|| {
            format!("{:?} of {responses} responses were received", self.traffic().responses)
        })?;
        Ok(self.traffic())
    }

    /// Waits until every proxy has all that it asked for since the round began.
    pub async fn configured(&self, deadline: Duration) -> anyhow::Result<Round> {
        let done = |notes: &Notes| notes.configured.len() == notes.proxies;
        self.wait(deadline, done).await.with_context(|| {
            let notes = self.board().notes();
            format!("{} of {} proxies are configured", notes.configured.len(), notes.proxies)
        })?;
        let notes = self.board().notes();
        let mut configured: Vec<Duration> = notes.configured.values().copied().collect();
        configured.sort_unstable();
        Ok(Round { configured, traffic: notes.traffic.clone(), lost: notes.lost.clone() })
    }

    /// Announces a change before it is written: who has to receive it. Traffic is counted from here.
    pub fn expect(&self, change: Change, by: BTreeSet<u32>) {
        let mut notes = self.board().notes();
        notes.traffic = Traffic::default();
        notes.watched = Some(Watched::new(change, by));
    }

    /// Waits until all have received and acknowledged it, and for `settle` longer for what nobody should receive.
    pub async fn spread(&self, deadline: Duration, settle: Duration) -> anyhow::Result<Spread> {
        let done = |notes: &Notes| notes.watched.as_ref().is_none_or(Watched::is_spread);
        self.wait(deadline, done).await.with_context(|| {
            let notes = self.board().notes();
            let missing = notes.watched.as_ref().map_or(0, Watched::missing_proxies);
            format!("{missing} proxies did not receive what they should")
        })?;
        tokio::time::sleep(settle).await;
        let mut notes = self.board().notes();
        let watched = notes.watched.take().context("no change was announced")?;
        Ok(Spread {
            last_acknowledged: watched
                .acknowledged
                .iter()
                .max()
                .copied()
                .context("nobody had to hear of it")?,
            traffic: notes.traffic.clone(),
            unexpected: watched.unexpected,
            first_unexpected: watched.first_unexpected,
        })
    }

    /// What was sent since the last change was announced, or the round began.
    pub fn traffic(&self) -> Traffic {
        self.board().notes().traffic.clone()
    }

    /// The streams that were refused or broke since the round began.
    pub fn lost(&self) -> Losses {
        self.board().notes().lost.clone()
    }

    fn board(&self) -> &Board {
        &self.surroundings.board
    }

    async fn wait(&self, deadline: Duration, done: impl Fn(&Notes) -> bool) -> anyhow::Result<()> {
        let waiting = async {
            loop {
                {
                    let notes = self.board().notes();
                    if let Some(violation) = &notes.violation {
                        bail!("{violation}");
                    }
                    if done(&notes) {
                        return Ok(());
                    }
                }
                self.board().progress.notified().await;
            }
        };
        if let Ok(result) = timeout(deadline, waiting).await {
            return result;
        }
        let notes = self.board().notes();
        bail!("nothing more came within {} s; streams lost: {:?}", deadline.as_secs(), notes.lost)
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet").field("board", self.board()).finish_non_exhaustive()
    }
}
