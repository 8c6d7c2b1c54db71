//! A peer that says whatever a test wants. It knows the wire format from its description, not from the module's code.

use crate::support::{LONG, Side};
use llmesh_mesh::link::{Handler, LinkConfig, LinkEnd, Role};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

pub const REQUEST: u8 = 1;
pub const DATA: u8 = 2;
pub const RESPONSE: u8 = 3;
pub const REJECT: u8 = 4;
pub const CANCEL: u8 = 5;
pub const WINDOW: u8 = 6;
pub const PROGRESS: u8 = 7;
pub const PING: u8 = 8;
pub const PONG: u8 = 9;
pub const GOODBYE: u8 = 10;
pub const END: u8 = 0x20;
pub const PACKED: u8 = 0x40;

/// The limits that a raw peer claims to have.
#[derive(Clone, Copy)]
pub struct Claims {
    pub max_incoming: u32,
    pub window: u32,
    pub link_window: u32,
    pub memory: u64,
}

impl Default for Claims {
    fn default() -> Self {
        Self {
            max_incoming: 256,
            window: 1 << 20,
            link_window: 4 << 20,
            memory: 64 << 20,
        }
    }
}

pub struct Raw {
    io: DuplexStream,
}

#[derive(Debug, PartialEq)]
pub struct Frame {
    pub kind: u8,
    pub id: u32,
    pub payload: Vec<u8>,
}

/// A request's payload.
pub fn request(header: &[u8], timeout_ms: u32, body_len: u32, body: &[u8]) -> Vec<u8> {
    let mut payload = (header.len() as u16).to_le_bytes().to_vec();
    payload.extend_from_slice(&[0, 0]);
    payload.extend_from_slice(&timeout_ms.to_le_bytes());
    payload.extend_from_slice(&body_len.to_le_bytes());
    payload.extend_from_slice(header);
    payload.extend_from_slice(body);
    payload
}

/// A response's payload.
pub fn response(body_len: u32, body: &[u8]) -> Vec<u8> {
    [&body_len.to_le_bytes()[..], body].concat()
}

/// A packed data frame's payload.
pub fn packed(plain_len: u32, zstd: &[u8]) -> Vec<u8> {
    [&plain_len.to_le_bytes()[..], zstd].concat()
}

impl Raw {
    /// A raw dialer and a real listener.
    pub fn against(config: LinkConfig, handler: impl Handler) -> (Self, Side) {
        let (a, b) = tokio::io::duplex(256 * 1024);
        let b = tokio_util::compat::TokioAsyncReadCompatExt::compat(b);
        (
            Self { io: a },
            Side::new(b, Role::Listener, config, Arc::new(handler)),
        )
    }

    /// The same after a proper hello.
    pub async fn greeted(config: LinkConfig, handler: impl Handler) -> (Self, Side) {
        let (mut raw, side) = Self::against(config, handler);
        raw.hello(Claims::default()).await;
        (raw, side)
    }

    pub async fn hello(&mut self, claims: Claims) {
        let mut bytes = b"LLMK\x01\x00\x01\x00\x20\x00".to_vec();
        for field in [
            8192,
            16 << 20,
            16 << 20,
            claims.max_incoming,
            claims.window,
            claims.link_window,
        ] {
            bytes.extend_from_slice(&u32::to_le_bytes(field));
        }
        bytes.extend_from_slice(&claims.memory.to_le_bytes());
        self.send(&bytes).await;
        let mut theirs = [0; 42];
        self.io.read_exact(&mut theirs).await.unwrap();
        assert_eq!(theirs[..10], *b"LLMK\x01\x00\x00\x00\x20\x00");
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        // The link may be gone already: that is what most tests are about.
        let _ = self.io.write_all(bytes).await;
    }

    pub async fn frame(&mut self, kind: u8, id: u32, payload: &[u8]) {
        let mut bytes = (payload.len() as u32).to_le_bytes()[..3].to_vec();
        bytes.push(kind);
        bytes.extend_from_slice(&id.to_le_bytes());
        bytes.extend_from_slice(payload);
        self.send(&bytes).await;
    }

    /// The next frame that is no ping; pings are answered. `None` at the end of the stream.
    pub async fn read(&mut self) -> Option<Frame> {
        tokio::time::timeout(LONG, async {
            loop {
                let mut head = [0; 8];
                self.io.read_exact(&mut head).await.ok()?;
                let len = u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize;
                let mut payload = vec![0; len];
                self.io.read_exact(&mut payload).await.ok()?;
                let frame = Frame {
                    kind: head[3],
                    id: u32::from_le_bytes([head[4], head[5], head[6], head[7]]),
                    payload,
                };
                if frame.kind != PING {
                    return Some(frame);
                }
                self.frame(PONG, 0, &frame.payload).await;
            }
        })
        .await
        .expect("the link says something")
    }

    /// Reads until a frame of this kind.
    pub async fn read_kind(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.read().await.expect("the link is there");
            if frame.kind & 0x1f == kind {
                return frame;
            }
        }
    }

    /// The link has ended for this reason, and said so in a goodbye.
    pub async fn violated(mut self, side: Side, reason: &str) {
        let goodbye = self.read_kind(GOODBYE).await;
        assert_eq!(String::from_utf8_lossy(&goodbye.payload[2..]), reason);
        drop(self);
        assert_eq!(side.end().await, LinkEnd::Violation(reason.to_owned()));
    }
}
