//! The other side of a fetch: what a peer's request gets.

use crate::{ContentRefusal, ContentRequest, OutlinePage, Store};
use bytes::Bytes;
use codec::Encode;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Answers the requests of peers out of a [`Store`]. Cheap to clone.
///
/// Whoever knows a content id gets the file. Chunks of a file that is being fetched are served as far as they have arrived.
/// Every chunk is hashed before it leaves (once an hour while the file does not change), so that a failing disk does not
/// make this node a liar. Requests are bounded in
/// size, answers too ([`crate::reply::MAX_BYTES`]); how many a peer may send at a time is for the link to say.
#[derive(Clone, Debug)]
pub struct Server {
    store: Store,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    chunks: AtomicU64,
    bytes: AtomicU64,
    outlines: AtomicU64,
    refused: AtomicU64,
}

/// What a [`Server`] has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    pub chunks: u64,
    /// Payload of the chunks.
    pub bytes: u64,
    pub outline_pages: u64,
    pub refused: u64,
}

impl Server {
    pub fn new(store: Store) -> Self {
        Self {
            store,
            counters: Arc::default(),
        }
    }

    /// The payload for a request. Reads from the disk and hashes: call it where blocking is allowed.
    ///
    /// # Errors
    /// What the peer is to be told instead.
    pub fn answer(&self, request: &[u8]) -> Result<Bytes, ContentRefusal> {
        let answer = self.payload(request);
        let count = |counter: &AtomicU64, n| counter.fetch_add(n, Ordering::Relaxed);
        if answer.is_err() {
            count(&self.counters.refused, 1);
        }
        answer.map(|(payload, is_chunk)| {
            if is_chunk {
                count(&self.counters.chunks, 1);
                count(&self.counters.bytes, payload.len() as u64);
            } else {
                count(&self.counters.outlines, 1);
            }
            payload
        })
    }

    fn payload(&self, request: &[u8]) -> Result<(Bytes, bool), ContentRefusal> {
        match ContentRequest::from_bytes(request)? {
            ContentRequest::Chunk { id, index } => Ok((self.store.chunk_or_refusal(id, index)?, true)),
            ContentRequest::Outline { id, from } => {
                let outline = self.store.outline(id).ok_or(ContentRefusal::NotFound)?;
                // A file of one chunk or none has an empty first page: its outline follows from its id.
                let chunks = if outline.chunks() > 1 { outline.chunks() } else { 0 };
                let count = OutlinePage::values_from(chunks, from);
                if count == 0 && from > 0 {
                    return Err(ContentRefusal::OutOfRange);
                }
                let values = outline
                    .values()
                    .get(from as usize..from as usize + count as usize)
                    .unwrap_or_default()
                    .to_vec();
                let page = OutlinePage {
                    len: outline.len_bytes(),
                    from,
                    values,
                };
                Ok((page.encode().into(), false))
            }
        }
    }

    pub fn served(&self) -> Served {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Served {
            chunks: get(&self.counters.chunks),
            bytes: get(&self.counters.bytes),
            outline_pages: get(&self.counters.outlines),
            refused: get(&self.counters.refused),
        }
    }
}
