//! A connection on which nothing moves ends.
//!
//! An HTTP server's own time limits begin with a request's first bytes and end with its head. This one covers what they
//! leave open: a peer that connects and says nothing, one that stops in the middle, and one that asks for a large answer
//! and does not read it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// A stream that fails with [`io::ErrorKind::TimedOut`] once no byte has moved, in either direction, for `idle`.
pub(crate) struct IdleLimit<S> {
    stream: S,
    idle: Duration,
    moved: Instant,
    /// Set for when the limit would be reached had nothing moved since; it is moved on when it rings, not on each byte.
    alarm: Pin<Box<Sleep>>,
}

impl<S> IdleLimit<S> {
    pub(crate) fn new(stream: S, idle: Duration) -> Self {
        Self { stream, idle, moved: Instant::now(), alarm: Box::pin(sleep(idle)) }
    }

    /// The stream is not ready: whether that has lasted for too long.
    fn poll_idle(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            ready!(self.alarm.as_mut().poll(context));
            let limit = self.moved + self.idle;
            if Instant::now() >= limit {
                return Poll::Ready(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "nothing moved on the connection",
                ));
            }
            self.alarm.as_mut().reset(limit);
        }
    }

    fn note<T>(&mut self, context: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.moved = Instant::now();
            return polled;
        }
        self.poll_idle(context).map(Err)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for IdleLimit<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.note(context, polled)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for IdleLimit<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note(context, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.note(context, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(context);
        self.note(context, polled)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const IDLE: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn silence_ends_a_connection() {
        let (mut peer, stream) = duplex(64);
        let mut stream = IdleLimit::new(stream, IDLE);
        peer.write_all(b"GET").await.unwrap();
        let mut read = Vec::new();
        let error = stream.read_to_end(&mut read).await.unwrap_err();
        assert_eq!((read, error.kind()), (b"GET".to_vec(), io::ErrorKind::TimedOut));
    }

    #[tokio::test]
    async fn a_peer_that_does_not_read_ends_it_too() {
        let (_peer, stream) = duplex(64);
        let mut stream = IdleLimit::new(stream, IDLE);
        let error = stream.write_all(&[0; 1024]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
