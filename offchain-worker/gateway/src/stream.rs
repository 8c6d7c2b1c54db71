//! A connection's socket with what the HTTP and WebSocket stacks above do not bound.

use crate::{
    calls::{Calls, Place},
    frames::Frames,
};
use std::{
    future::Future,
    io::{Error, ErrorKind, IoSlice, Result},
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
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

/// What the bytes that come in belong to.
enum Phase {
    /// The first request's head. Nothing after it is given out with it: whether the bytes that follow are WebSocket frames
    /// is known only when the head was read.
    Head(HeadEnd),
    /// The head was read.
    Between,
    Http,
    WebSocket(Box<Frames>),
}

/// Looks for the empty line that ends a head.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum HeadEnd {
    /// Before the first line; empty lines there are skipped.
    #[default]
    Start,
    Within,
    /// After a line's end.
    Line,
    /// After a line's end and a carriage return.
    Return,
}

impl HeadEnd {
    /// How many of `bytes` belong to the head, if it ends in them.
    fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        for (i, byte) in bytes.iter().enumerate() {
            *self = match (*byte, *self) {
                (b'\n', Self::Line | Self::Return) => return Some(i.saturating_add(1)),
                (b'\r' | b'\n', Self::Start) => Self::Start,
                (b'\n', Self::Within) => Self::Line,
                (b'\r', Self::Line) => Self::Return,
                _ => Self::Within,
            };
        }
        None
    }
}

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
    phase: Phase,
    /// Bytes after the first head that came along with it.
    kept: Vec<u8>,
    /// Whether the first request asks for a WebSocket.
    upgrade: Arc<AtomicBool>,
    peer: IpAddr,
    calls: Arc<Calls>,
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
        peer: IpAddr,
        calls: Arc<Calls>,
        cut: &CancellationToken,
        place: Place,
    ) -> Self {
        Self {
            socket,
            write_timeout: calls.config.limits.write_timeout,
            stalled: None,
            reader: None,
            failed: false,
            cut_read: Box::pin(cut.clone().cancelled_owned()),
            cut_write: Box::pin(cut.clone().cancelled_owned()),
            lingering: None,
            phase: Phase::Head(HeadEnd::default()),
            kept: Vec::new(),
            upgrade: Arc::default(),
            peer,
            calls,
            _place: place,
        }
    }

    /// To be set when the first request asks for a WebSocket, before anything more is read.
    pub(crate) fn upgrade_flag(&self) -> Arc<AtomicBool> {
        self.upgrade.clone()
    }

    /// Reads what was kept, or from the socket.
    fn read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        if self.kept.is_empty() {
            return Pin::new(&mut self.socket).poll_read(cx, buf);
        }
        let count = self.kept.len().min(buf.remaining());
        buf.put_slice(self.kept.get(..count).unwrap_or_default());
        self.kept.drain(..count);
        Poll::Ready(Ok(()))
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
            ready!(timer.as_mut().poll(cx));
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
            return Poll::Ready(Err(stalled()));
        }
        if self.stalled.is_some() {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if matches!(self.phase, Phase::Between) {
            self.phase = if self.upgrade.load(Ordering::Relaxed) {
                Phase::WebSocket(Box::new(Frames::new(self.calls.clone(), self.peer)))
            } else {
                Phase::Http
            };
        }
        let before = buf.filled().len();
        ready!(self.read(cx, buf))?;
        let this = &mut *self;
        let fresh = buf.filled().get(before..).unwrap_or_default();
        match &mut this.phase {
            Phase::Head(end) => {
                if let Some(length) = end.find(fresh) {
                    this.kept = fresh.get(length..).unwrap_or_default().to_vec();
                    buf.set_filled(before.saturating_add(length));
                    this.phase = Phase::Between;
                }
            }
            Phase::WebSocket(frames) => {
                if let Err(why) = frames.take(fresh) {
                    tracing::debug!(peer = %this.peer, why, "a WebSocket connection is ended");
                    buf.set_filled(before);
                    return Poll::Ready(Err(Error::new(ErrorKind::InvalidData, why)));
                }
            }
            Phase::Http if this.upgrade.load(Ordering::Relaxed) => {
                // Never so, as both this and the HTTP library take the head to end at the same place.
                return Poll::Ready(Err(ErrorKind::InvalidData.into()));
            }
            Phase::Between | Phase::Http => {}
        }
        Poll::Ready(Ok(()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_where_the_http_library_ends_it() {
        for (text, length) in [
            ("GET / HTTP/1.1\r\n\r\nrest", Some(18)),
            ("GET / HTTP/1.1\n\nrest", Some(16)),
            ("GET / HTTP/1.1\r\n\nrest", Some(17)),
            ("GET / HTTP/1.1\n\r\nrest", Some(17)),
            ("GET / HTTP/1.1\r\na: b\r\n\r\n", Some(24)),
            ("GET / HTTP/1.1\r\na: b\r\n\r", None),
            ("GET / HTTP/1.1\r\r\n", None),
            ("\r\n\r\n\n\nGET / HTTP/1.1\r\n\r\nrest", Some(24)),
            ("\r\n\r\n", None),
            ("", None),
        ] {
            assert_eq!(HeadEnd::default().find(text.as_bytes()), length, "{text:?}");
            // The same byte by byte.
            let mut end = HeadEnd::default();
            let found = text.bytes().position(|b| end.find(&[b]).is_some());
            assert_eq!(found.map(|i| i + 1), length, "{text:?}");
        }
    }
}
