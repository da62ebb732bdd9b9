//! New connections, each its own, and who answered them.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// Open at once while counting: enough to be quick, few enough for any machine.
const AT_ONCE: usize = 16;

/// How many of a number of connections each version answered.
#[derive(Debug, Default)]
pub(crate) struct Split {
    by_version: BTreeMap<String, usize>,
    pub(crate) failed: usize,
}

impl Split {
    pub(crate) fn of(&self, version: &str) -> usize {
        self.by_version.get(version).copied().unwrap_or_default()
    }
}

impl std::fmt::Display for Split {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (version, count) in &self.by_version {
            write!(f, "{version} {count}, ")?;
        }
        write!(f, "failed {}", self.failed)
    }
}

/// Opens so many connections to a backend and counts who answers.
pub(crate) async fn split(address: SocketAddr, connections: usize) -> Split {
    let mut split = Split::default();
    let mut open = JoinSet::new();
    for _ in 0..connections {
        if open.len() == AT_ONCE {
            split.count(open.join_next().await);
        }
        open.spawn(answering_version(address));
    }
    while let Some(answer) = open.join_next().await {
        split.count(Some(answer));
    }
    split
}

impl Split {
    fn count(&mut self, answer: Option<Result<Option<String>, tokio::task::JoinError>>) {
        match answer {
            Some(Ok(Some(version))) => *self.by_version.entry(version).or_default() += 1,
            _ => self.failed += 1,
        }
    }
}

/// The version that answers a new connection: `v1` of `backend-v1-2`.
async fn answering_version(address: SocketAddr) -> Option<String> {
    let name = testbed::ask(address, "").await.ok()?;
    name.split('-').nth(1).map(str::to_owned)
}

/// Opens one connection after the other until `quiet` in a row were answered by `version`; when the first of those was opened.
pub(crate) async fn first_of_only(
    address: SocketAddr,
    version: &'static str,
    quiet: usize,
) -> anyhow::Result<Instant> {
    const LIMIT: usize = 20_000;
    let mut first = None;
    let mut row = 0;
    for _ in 0..LIMIT {
        let opened = Instant::now();
        if answering_version(address).await.as_deref() == Some(version) {
            row += 1;
            let first = *first.get_or_insert(opened);
            if row == quiet {
                return Ok(first);
            }
        } else {
            (first, row) = (None, 0);
        }
    }
    anyhow::bail!("other versions than {version} still answer after {LIMIT} connections")
}

/// Connections without a pause, in the background, until it is stopped.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    opened: watch::Receiver<usize>,
    task: JoinHandle<usize>,
}

impl Load {
    /// Each says `request` and waits for an answer.
    pub(crate) fn start(address: SocketAddr, request: &'static str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (counter, opened) = watch::channel(0);
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let mut failed = 0;
            while !stopped.load(Ordering::Relaxed) {
                failed += usize::from(testbed::ask(address, request).await.is_err());
                counter.send_modify(|opened| *opened += 1);
            }
            failed
        });
        Self { stop, opened, task }
    }

    /// Waits until so many more connections were opened and answered.
    pub(crate) async fn more(&mut self, connections: usize) -> anyhow::Result<()> {
        let until = *self.opened.borrow() + connections;
        self.opened.wait_for(|opened| *opened >= until).await?;
        Ok(())
    }

    /// How many were opened, and how many of them failed.
    pub(crate) async fn stop(self) -> anyhow::Result<(usize, usize)> {
        self.stop.store(true, Ordering::Relaxed);
        let failed = self.task.await?;
        let opened = *self.opened.borrow();
        Ok((opened, failed))
    }
}
