//! A stream whose peer is not waited for without end: neither before it says what it speaks, nor when it reads
//! nothing of what is written to it. What lies between, the head of a request and a call, has times of its own.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Bytes after which it is settled whether a peer speaks HTTP/2: its preface (RFC 9113 §3.4).
const SETTLED: usize = 24;

/// The stream.
pub(super) struct Patient<S> {
    stream: S,
    /// Until so many bytes were read, and when that is too late.
    opening: Option<(usize, Pin<Box<Sleep>>)>,
    stall: Duration,
    /// Runs while a write makes no progress.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    /// Waits for the first bytes this long, and for a write to go on this long.
    pub(super) fn new(stream: S, opening: Duration, stall: Duration) -> Patient<S> {
        let end = Box::pin(tokio::time::sleep_until(Instant::now() + opening));
        Patient { stream, opening: Some((0, end)), stall, stalled: None }
    }

    /// The outcome of a write, unless it has made no progress for too long.
    fn unless_stalled<T>(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.stalled = None;
            return outcome;
        }
        let stall = self.stall;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(stall)));
        stalled.as_mut().poll(cx).map(|()| Err(late("the peer reads nothing of what is written to it")))
    }
}

fn late(says: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, says)
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let Some((read, end)) = &mut self.opening else { return outcome };
        *read += buffer.filled().len() - before;
        if *read >= SETTLED {
            self.opening = None;
            return outcome;
        }
        if outcome.is_pending() && end.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(late("the peer does not say what it speaks")));
        }
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.unless_stalled(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.unless_stalled(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        self.unless_stalled(cx, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.unless_stalled(cx, outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const OPENING: Duration = Duration::from_secs(10);
    const STALL: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_says_nothing_is_waited_for_so_long() {
        let (mut peer, stream) = tokio::io::duplex(64);
        let mut stream = Patient::new(stream, OPENING, STALL);
        peer.write_all(b"PRI * HT").await.unwrap();
        let began = Instant::now();
        let error = stream.read_exact(&mut [0; SETTLED]).await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed()), (io::ErrorKind::TimedOut, OPENING));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_has_spoken_may_rest() {
        let (mut peer, stream) = tokio::io::duplex(64);
        let mut stream = Patient::new(stream, OPENING, STALL);
        peer.write_all(&[b'x'; SETTLED]).await.unwrap();
        stream.read_exact(&mut [0; SETTLED]).await.unwrap();
        let rest = tokio::time::timeout(100 * OPENING, stream.read_u8()).await;
        assert!(rest.is_err(), "it waits: {rest:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_nothing_is_cut_off_and_a_slow_one_is_not() {
        let (mut peer, stream) = tokio::io::duplex(64);
        let mut stream = Patient::new(stream, OPENING, STALL);
        let reading = tokio::spawn(async move {
            for _ in 0..8 {
                tokio::time::sleep(STALL - Duration::from_secs(1)).await;
                peer.read_exact(&mut [0; 64]).await.unwrap();
            }
            peer
        });
        stream.write_all(&[0; 9 * 64]).await.unwrap();
        let _peer = reading.await.unwrap();
        let began = Instant::now();
        let error = stream.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed()), (io::ErrorKind::TimedOut, STALL));
    }
}
