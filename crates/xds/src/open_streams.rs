//! The streams of one connection, counted: one without any makes room for others, and one whose stream has to end is cut.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::sync::{Notify, watch};

/// The streams of one connection.
pub(crate) struct OpenStreams {
    count: watch::Sender<usize>,
    cut: Notify,
    /// How long a stream that has to end may take.
    pub(crate) end_within: Duration,
}

/// Counts one stream while it lives.
pub(crate) struct OpenStream(Arc<OpenStreams>);

impl OpenStreams {
    pub(crate) fn new(end_within: Duration) -> (Arc<Self>, watch::Receiver<usize>) {
        let (count, open) = watch::channel(0);
        (Arc::new(Self { count, cut: Notify::new(), end_within }), open)
    }

    pub(crate) fn begin(self: &Arc<Self>) -> OpenStream {
        self.count.send_modify(|open| *open += 1);
        OpenStream(self.clone())
    }

    /// Ends the connection, whatever its client does.
    pub(crate) fn cut(&self) {
        self.cut.notify_one();
    }

    /// Ready when the connection has to end at once.
    pub(crate) async fn is_cut(&self) {
        self.cut.notified().await;
    }
}

impl OpenStream {
    pub(crate) fn connection(&self) -> Weak<OpenStreams> {
        Arc::downgrade(&self.0)
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.count.send_modify(|open| *open -= 1);
    }
}
