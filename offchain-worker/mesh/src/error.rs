//! What can go wrong, by name.

use crate::{Kind, PeerId, link};
use std::time::Duration;

/// Errors of the mesh's own doing.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeshError {
    /// The configuration can not work.
    #[error("configuration: {0}")]
    Config(&'static str),
    /// A transport could not be set up or an address not listened on.
    #[error("transport: {0}")]
    Transport(String),
    /// The peer book could not be read or written.
    #[error("peer book: {0}")]
    Book(String),
    /// No connection came about.
    #[error("no connection with {peer}: {reason}")]
    Unreachable {
        /// Who was to be reached.
        peer: PeerId,
        /// Why not.
        reason: Unreachable,
    },
    /// The topic's name is not allowed.
    #[error("a topic is 1 to 128 characters of a-z 0-9 / . _ -")]
    Topic,
    /// The message was not published.
    #[error("not published: {0}")]
    Publish(&'static str),
    /// The DHT refused or did not answer.
    #[error("DHT: {0}")]
    Dht(&'static str),
    /// A limit of this node is reached.
    #[error("too many {0}")]
    Limit(&'static str),
    /// The node has stopped or is stopping.
    #[error("the mesh node has stopped")]
    Stopped,
}

/// Why a peer could not be reached.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unreachable {
    /// Nothing is known about where the peer is.
    #[error("no address known")]
    NoAddress,
    /// Every address failed; the text names the last failure.
    #[error("every address failed ({0})")]
    Failed(String),
    /// The address is answered by another peer.
    #[error("another peer answers there")]
    WrongPeer,
    /// The peer speaks for another chain or is no mesh node.
    #[error("the peer is not of this chain")]
    WrongChain,
    /// This node keeps the peer out for now.
    #[error("the peer is banned here")]
    Banned,
    /// Failed a moment ago; not tried again so soon.
    #[error("failed a moment ago; tried again in {} ms", .0.as_millis())]
    Backoff(Duration),
    /// A limit of this node is reached.
    #[error("too many connections")]
    Limit,
    /// The peer is this node.
    #[error("that is this node itself")]
    Myself,
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
}

/// Why a call has no answer.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The request was not sent: no way to the peer.
    #[error("no connection with {peer}: {reason}")]
    Unreachable {
        /// Who was to be reached.
        peer: PeerId,
        /// Why not.
        reason: Unreachable,
    },
    /// The request was not sent: the peer does not serve this kind.
    #[error("{peer} does not take {kind} messages")]
    Unsupported {
        /// Who was asked.
        peer: PeerId,
        /// For what.
        kind: Kind,
    },
    /// From the link: refused by the peer, timed out, link lost. What may have been sent is said there.
    #[error(transparent)]
    Link(#[from] link::CallError),
    /// The node has stopped or is stopping.
    #[error("the mesh node has stopped")]
    Stopped,
}
