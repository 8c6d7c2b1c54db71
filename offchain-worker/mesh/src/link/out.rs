//! Bytes on their way out: small frames share one buffer and one write, large bodies are not copied.

use bytes::{Buf, Bytes, BytesMut};
use futures::io::AsyncWrite;
use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

/// Parts of bodies below this length are copied behind their frame's head.
const COPY_BELOW: usize = 2 * 1024;
/// On a stream without vectored writes, so much of a body is copied so that no write is only a head. It is what yamux puts into one frame.
const FIRST_WRITE: usize = 16 * 1024;
/// Most pieces of one vectored write.
const PIECES: usize = 16;

/// How the stream takes several buffers. Nothing tells in advance, so it is learned from what a write accepts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Vectored {
    Unknown,
    Yes,
    No,
}

pub(super) struct OutBuf {
    /// Finished pieces, in order, then `tail`.
    pieces: VecDeque<Bytes>,
    tail: BytesMut,
    len: usize,
    vectored: Vectored,
}

impl OutBuf {
    pub fn new() -> Self {
        Self {
            pieces: VecDeque::new(),
            tail: BytesMut::new(),
            len: 0,
            vectored: Vectored::Unknown,
        }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends a small frame by writing it into the shared buffer.
    pub fn put(&mut self, write: impl FnOnce(&mut BytesMut)) {
        let before = self.tail.len();
        write(&mut self.tail);
        self.len += self.tail.len() - before;
    }

    /// Appends bytes, by reference when they are many.
    pub fn put_bytes(&mut self, mut bytes: Bytes) {
        self.len += bytes.len();
        if bytes.len() < COPY_BELOW {
            self.tail.extend_from_slice(&bytes);
            return;
        }
        if self.vectored != Vectored::Yes && !self.tail.is_empty() && self.tail.len() < FIRST_WRITE {
            let first = bytes.split_to((FIRST_WRITE - self.tail.len()).min(bytes.len()));
            self.tail.extend_from_slice(&first);
        }
        if !self.tail.is_empty() && !bytes.is_empty() {
            self.pieces.push_back(self.tail.split().freeze());
        }
        if !bytes.is_empty() {
            self.pieces.push_back(bytes);
        }
    }

    /// One write of what is there; returns how many bytes went.
    pub fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let result = if self.pieces.is_empty() {
            Pin::new(io).poll_write(cx, &self.tail)
        } else if self.vectored == Vectored::No {
            Pin::new(io).poll_write(cx, &self.pieces[0])
        } else {
            let mut slices = [IoSlice::new(&[]); PIECES];
            let mut used = 0;
            for piece in self.pieces.iter().take(PIECES) {
                slices[used] = IoSlice::new(piece);
                used += 1;
            }
            if used < PIECES && !self.tail.is_empty() {
                slices[used] = IoSlice::new(&self.tail);
                used += 1;
            }
            let result = Pin::new(io).poll_write_vectored(cx, &slices[..used]);
            if let Poll::Ready(Ok(n)) = result
                && used > 1
                && self.vectored == Vectored::Unknown
            {
                let first = slices[0].len();
                // The default of the trait writes the first buffer only. A part of it says nothing.
                if n > first {
                    self.vectored = Vectored::Yes;
                } else if n == first {
                    self.vectored = Vectored::No;
                }
            }
            result
        };
        if let Poll::Ready(Ok(n)) = result {
            self.advance(n);
        }
        result
    }

    fn advance(&mut self, mut n: usize) {
        self.len = self.len.saturating_sub(n);
        while let Some(first) = self.pieces.front_mut() {
            if n < first.len() {
                first.advance(n);
                return;
            }
            n -= first.len();
            self.pieces.pop_front();
        }
        if n >= self.tail.len() {
            self.tail.clear();
        } else {
            self.tail.advance(n);
        }
    }

    /// Gives memory back when there is nothing to write.
    pub fn shrink(&mut self) {
        if self.len == 0 {
            self.tail = BytesMut::new();
            self.pieces.shrink_to(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::task::Waker;

    /// Takes what the script says; 0 is `Pending`.
    struct Sink {
        taken: Vec<u8>,
        script: VecDeque<usize>,
        vectored: bool,
    }

    impl Sink {
        fn room(&mut self) -> usize {
            self.script.pop_front().unwrap_or(usize::MAX)
        }
    }

    impl AsyncWrite for Sink {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            match self.room() {
                0 => Poll::Pending,
                room => {
                    let n = room.min(buf.len());
                    self.taken.extend_from_slice(&buf[..n]);
                    Poll::Ready(Ok(n))
                }
            }
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            if !self.vectored {
                return self.poll_write(cx, &bufs[0]);
            }
            let mut room = self.room();
            if room == 0 {
                return Poll::Pending;
            }
            let mut total = 0;
            for buf in bufs {
                let n = room.min(buf.len());
                self.taken.extend_from_slice(&buf[..n]);
                room -= n;
                total += n;
            }
            Poll::Ready(Ok(total))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    proptest! {
        #[test]
        fn everything_leaves_in_order(
            parts in proptest::collection::vec((any::<bool>(), 1usize..70_000), 1..12),
            script in proptest::collection::vec(0usize..40_000, 0..60),
            vectored: bool,
        ) {
            let mut sink = Sink { taken: Vec::new(), script: script.into(), vectored };
            let mut out = OutBuf::new();
            let mut expected = Vec::new();
            let mut cx = Context::from_waker(Waker::noop());
            for (number, (small, len)) in parts.into_iter().enumerate() {
                let bytes: Vec<u8> = (0..len).map(|i| (i * 31 + number) as u8).collect();
                expected.extend_from_slice(&bytes);
                if small {
                    out.put(|buf| buf.extend_from_slice(&bytes));
                } else {
                    out.put_bytes(bytes.into());
                }
                prop_assert_eq!(out.len(), expected.len() - sink.taken.len());
                let _ = out.poll_write(&mut sink, &mut cx);
            }
            while !out.is_empty() {
                let _ = out.poll_write(&mut sink, &mut cx);
            }
            prop_assert_eq!(sink.taken, expected);
            prop_assert!(out.pieces.is_empty() && out.tail.is_empty());
        }
    }

    #[test]
    fn learns_whether_writes_are_vectored() {
        for vectored in [false, true] {
            let mut sink = Sink {
                taken: Vec::new(),
                script: VecDeque::new(),
                vectored,
            };
            let mut out = OutBuf::new();
            out.put(|buf| buf.extend_from_slice(&[1; 8]));
            out.put_bytes(vec![2; 60_000].into());
            let mut cx = Context::from_waker(Waker::noop());
            while !out.is_empty() {
                assert!(out.poll_write(&mut sink, &mut cx).is_ready());
            }
            assert_eq!(out.vectored, if vectored { Vectored::Yes } else { Vectored::No });
        }
    }
}
