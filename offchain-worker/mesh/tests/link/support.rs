//! Pipes and handlers for the tests.

use bytes::Bytes;
use futures::{
    FutureExt,
    future::BoxFuture,
    io::{AsyncRead, AsyncWrite},
};
use llmesh_mesh::link::{Call, Handler, Incoming, Link, LinkConfig, LinkEnd, Reject, Role, open};
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{io::DuplexStream, task::JoinHandle};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

pub const LONG: Duration = Duration::from_secs(30);

/// A pair of connected byte streams that hold `size` bytes a direction.
pub fn pipe(size: usize) -> (Compat<DuplexStream>, Compat<DuplexStream>) {
    let (a, b) = tokio::io::duplex(size);
    (a.compat(), b.compat())
}

/// A link and its run loop, spawned.
pub struct Side {
    pub link: Link,
    pub run: JoinHandle<LinkEnd>,
}

impl Side {
    pub fn new<S>(io: S, role: Role, config: LinkConfig, handler: Arc<dyn Handler>) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (link, run) = open(io, role, config, handler);
        Self {
            link,
            run: tokio::spawn(run),
        }
    }

    /// The link's end; a test that hangs fails.
    pub async fn end(self) -> LinkEnd {
        tokio::time::timeout(LONG, self.run)
            .await
            .expect("the link ends")
            .expect("the run loop does not panic")
    }
}

/// Two links over a pipe.
pub fn pair(config: LinkConfig, handler: impl Handler) -> (Side, Side) {
    let handler: Arc<dyn Handler> = Arc::new(handler);
    let (a, b) = pipe(64 * 1024);
    (
        Side::new(a, Role::Dialer, config.clone(), handler.clone()),
        Side::new(b, Role::Listener, config, handler),
    )
}

/// Answers with the body, or with what the header says: `reject`, `never`, `panic`, `large:n`.
pub fn echo() -> impl Handler {
    |request: Incoming| -> BoxFuture<'static, Result<Bytes, Reject>> {
        async move {
            match std::str::from_utf8(&request.header).unwrap_or_default() {
                "reject" => Err(Reject::new(7, "no")),
                "never" => futures::future::pending().await,
                "panic" => panic!("on purpose"),
                large if large.starts_with("large:") => Ok(vec![5; large[6..].parse().unwrap_or(0)].into()),
                _ => Ok(request.body),
            }
        }
        .boxed()
    }
}

pub fn call(header: &'static str, body: impl Into<Bytes>) -> Call {
    Call {
        header: header.into(),
        ..Call::new(body, LONG)
    }
}

/// Bytes that tell where they are from, and do not shrink much.
pub fn pattern(len: usize, seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..len).map(next).collect::<Vec<u8>>().into()
}

/// Text that shrinks well.
pub fn text(len: usize) -> Bytes {
    b"the quick brown fox jumps over the lazy dog; "
        .iter()
        .copied()
        .cycle()
        .take(len)
        .collect::<Vec<u8>>()
        .into()
}

/// Waits until a condition that another task brings about holds.
pub async fn until(mut condition: impl FnMut() -> bool) {
    tokio::time::timeout(LONG, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .expect("the condition comes true");
}

/// Cuts reads and writes into pieces of scripted lengths and says `Pending` in between.
pub struct Choppy<S> {
    inner: S,
    state: u64,
}

impl<S> Choppy<S> {
    pub fn new(inner: S, seed: u64) -> Self {
        Self {
            inner,
            state: seed | 1,
        }
    }

    /// `None` is a pause.
    fn next(&mut self, cx: &mut Context<'_>) -> Option<usize> {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        match self.state % 16 {
            0 => {
                cx.waker().wake_by_ref();
                None
            }
            1..4 => Some(1),
            4..10 => Some((self.state >> 8) as usize % 60 + 1),
            _ => Some((self.state >> 8) as usize % 100_000 + 1),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Choppy<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let Some(n) = self.next(cx) else {
            return Poll::Pending;
        };
        let n = n.min(buf.len());
        Pin::new(&mut self.inner).poll_read(cx, &mut buf[..n])
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Choppy<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let Some(n) = self.next(cx) else {
            return Poll::Pending;
        };
        let n = n.min(buf.len());
        Pin::new(&mut self.inner).poll_write(cx, &buf[..n])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}
