//! A connection's socket with what the HTTP and WebSocket stacks above do not bound.

use crate::calls::Place;
use std::{
    future::Future,
    io::{Error, ErrorKind, IoSlice, Result},
    pin::Pin,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Sleep,
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Bytes of a refused request that are still taken at the end, so that the refusal can be read by the peer: closing a
/// socket with unread bytes makes the peer's system throw away what we sent.
const LINGER_BYTES: usize = 1 << 20;
/// How long such bytes are taken.
const LINGER: Duration = Duration::from_secs(1);

/// A socket that fails when its peer takes nothing for too long, that reads nothing while the peer takes nothing (a peer
/// that only sends would fill our memory with answers), and that ends with the server.
///
/// Reader and writer may be different tasks, so each has wakers of its own.
pub(crate) struct Stream {
    socket: TcpStream,
    write_timeout: Duration,
    /// Runs while the peer takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    /// A reader that waits for the end of a stall.
    reader: Option<Waker>,
    failed: bool,
    cut_read: Pin<Box<WaitForCancellationFutureOwned>>,
    cut_write: Pin<Box<WaitForCancellationFutureOwned>>,
    lingering: Option<(Pin<Box<Sleep>>, usize)>,
    /// Counts the connection for as long as the socket lives, also after an upgrade.
    _place: Place,
}

fn ended() -> Error {
    Error::new(ErrorKind::ConnectionAborted, "the server ends")
}

fn stalled() -> Error {
    Error::new(
        ErrorKind::TimedOut,
        "the peer takes nothing of what is sent to it",
    )
}

impl Stream {
    pub(crate) fn new(
        socket: TcpStream,
        write_timeout: Duration,
        cut: &CancellationToken,
        place: Place,
    ) -> Self {
        Self {
            socket,
            write_timeout,
            stalled: None,
            reader: None,
            failed: false,
            cut_read: Box::pin(cut.clone().cancelled_owned()),
            cut_write: Box::pin(cut.clone().cancelled_owned()),
            lingering: None,
            _place: place,
        }
    }

    fn may_write(&mut self, cx: &mut Context<'_>) -> Result<()> {
        if self.cut_write.as_mut().poll(cx).is_ready() {
            return Err(ended());
        }
        if self.failed { Err(stalled()) } else { Ok(()) }
    }

    /// Takes the outcome of a write and keeps the watch on the peer.
    fn watch<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<Result<T>>) -> Poll<Result<T>> {
        if outcome.is_pending() {
            let timeout = self.write_timeout;
            let timer = self
                .stalled
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
            eprintln!("STALL poll");
            ready!(timer.as_mut().poll(cx));
            eprintln!("STALL fired");
            self.failed = true;
        }
        self.stalled = None;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        if self.failed {
            return Poll::Ready(Err(stalled()));
        }
        outcome
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        if self.cut_read.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(ended()));
        }
        if self.failed {
            eprintln!("READ failed");
            return Poll::Ready(Err(stalled()));
        }
        if self.stalled.is_some() {
            eprintln!("READ waits");
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        self.may_write(cx)?;
        let outcome = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.watch(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        self.may_write(cx)?;
        let outcome = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.watch(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.may_write(cx)?;
        if self.lingering.is_none() {
            ready!(Pin::new(&mut self.socket).poll_shutdown(cx))?;
            self.lingering = Some((Box::pin(tokio::time::sleep(LINGER)), LINGER_BYTES));
        }
        let this = &mut *self;
        let Some((timer, left)) = &mut this.lingering else {
            return Poll::Ready(Ok(()));
        };
        let mut scratch = [0; 8 * 1024];
        loop {
            let mut buf = ReadBuf::new(&mut scratch);
            match Pin::new(&mut this.socket).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() && *left > 0 => {
                    *left = left.saturating_sub(buf.filled().len());
                }
                // The peer is done, gone, or sends more than we listen to.
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return timer.as_mut().poll(cx).map(Ok),
            }
        }
    }
}

impl Drop for Stream { fn drop(&mut self) { eprintln!("DROP"); } }
