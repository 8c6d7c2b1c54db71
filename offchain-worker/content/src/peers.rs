//! Where chunks come from.

use crate::{ContentId, ContentRefusal, ContentRequest};
use async_trait::async_trait;
use bytes::Bytes;
use std::{fmt::Debug, hash::Hash};

/// Other nodes, as a fetch sees them. The worker implements it over the mesh.
///
/// Futures may be dropped at any time: that cancels the request.
#[async_trait]
pub trait Peers: Send + Sync {
    /// Names a node. Two values are equal when they name the same node.
    type Peer: Clone + Eq + Hash + Debug + Send + Sync;

    /// Nodes that say they have the file, the best first. Should be bounded; the fetch takes only so many of them
    /// ([`crate::FetchOptions::max_peers`]) and waits only so long.
    async fn providers(&self, id: ContentId) -> Vec<Self::Peer>;

    /// Sends a request and waits for the payload of the answer ([`crate::reply`]), at most
    /// [`crate::reply::MAX_BYTES`]. Several requests to one peer are under way at a time. Needs no timeout of its own.
    async fn request(&self, peer: &Self::Peer, request: ContentRequest) -> Result<Bytes, PeerError>;

    /// Tells that a peer did something that it should answer for. Must not block.
    fn report(&self, peer: &Self::Peer, offence: ContentOffence);
}

/// Why a request got no payload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// No connection, or it was cut. The peer is tried again later.
    #[error("the peer can not be reached")]
    Unreachable,
    /// The link's own limit. The peer is tried again later.
    #[error("the peer did not answer in time")]
    TimedOut,
    #[error("the peer refused: {0}")]
    Refused(ContentRefusal),
    /// What came is not an answer. The peer is dropped for this fetch.
    #[error("the peer's answer is invalid: {0}")]
    Invalid(&'static str),
}

/// What a peer did wrong. How much it weighs is for the caller to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContentOffence {
    /// Bytes that are not those of the chunk: never an accident of the network under an authenticated link.
    WrongChunk { id: ContentId, index: u32 },
    /// An outline that does not belong to the id.
    WrongOutline { id: ContentId },
    /// An answer that can not be decoded.
    Malformed { id: ContentId },
    /// It was announced as a provider and does not have the file. Can be an old announcement.
    NotProviding { id: ContentId },
    /// Its file has another length than the caller expects. Not proof against the peer: the expected length can be wrong.
    OtherLength { id: ContentId },
    /// No answer in time. Can be the network.
    Stalled { id: ContentId },
}
