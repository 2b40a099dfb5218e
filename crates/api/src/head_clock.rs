//! How long the head of a request may take, told apart from how long a connection may be idle.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// A connection of which reading fails when a head that was begun does not end in time.
///
/// The clock starts with the connection, and after each answer with the next octet.
pub struct HeadClock<S> {
    stream: S,
    limit: Duration,
    due: Option<Pin<Box<Sleep>>>,
    answering: Answering,
}

/// Whether a request of the connection is being answered, so that what is read belongs to its body.
#[derive(Clone, Default)]
pub struct Answering(Arc<AtomicBool>);

impl Answering {
    pub fn set(&self, answering: bool) {
        self.0.store(answering, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl<S> HeadClock<S> {
    pub fn new(stream: S, limit: Duration) -> Self {
        let due = Some(Box::pin(tokio::time::sleep(limit)));
        Self { stream, limit, due, answering: Answering::default() }
    }

    /// Returns what the one who answers must set.
    pub fn answering(&self) -> Answering {
        self.answering.clone()
    }

    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        self.due.as_mut().is_some_and(|due| due.as_mut().poll(context).is_ready())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for HeadClock<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.answering.get() {
            self.due = None;
        } else if self.is_late(context) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let came = buffer.filled().len() > before;
        if came && self.due.is_none() && !self.answering.get() {
            self.due = Some(Box::pin(tokio::time::sleep(self.limit)));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for HeadClock<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, octets)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::{Instant, sleep};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    fn pair() -> (DuplexStream, HeadClock<DuplexStream>) {
        let (client, server) = duplex(64);
        (client, HeadClock::new(server, LIMIT))
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_trickles_in_fails_when_its_time_is_over() {
        let (mut client, mut server) = pair();
        let began = Instant::now();
        let trickle = tokio::spawn(async move {
            while client.write_all(b"x").await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        });
        let mut head = Vec::new();
        let error = server.read_to_end(&mut head).await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed()), (io::ErrorKind::TimedOut, LIMIT));
        trickle.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn between_two_requests_and_in_a_body_no_head_is_due() {
        let (mut client, mut server) = pair();
        let answering = server.answering();
        let mut octets = [0; 4];
        client.write_all(b"head").await.unwrap();
        server.read_exact(&mut octets).await.unwrap();
        answering.set(true);
        sleep(LIMIT * 2).await;
        client.write_all(b"body").await.unwrap();
        server.read_exact(&mut octets).await.unwrap();
        answering.set(false);
        let idle = tokio::time::timeout(LIMIT * 10, server.read_exact(&mut octets)).await;
        assert!(idle.is_err(), "an idle connection waits");
        client.write_all(b"h").await.unwrap();
        let began = Instant::now();
        let error = server.read_exact(&mut octets).await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed()), (io::ErrorKind::TimedOut, LIMIT));
    }
}
