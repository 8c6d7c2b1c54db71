//! The peer-to-peer mesh: libp2p, framed links, discovery, limits.
//!
//! [`Mesh::spawn`] runs a node. Requests go with [`Mesh::call`] over one long-lived [`link`] for each peer and [`Kind`];
//! [`Service`]s answer them. Who a peer is and what it counts for comes from the chain alone, through [`Directory`];
//! the DHT, peer exchange and gossip carry signed hints on where peers are.
//!
//! What makes it hold against hostile peers, each in its module and tested there: rates by address prefix and by peer
//! ([`limits`]), places spread over networks and regions ([`diversity`]), signed and sequenced records ([`record`]),
//! bounded exchange ([`exchange`]), a bounded book on disk ([`book`]), and points for bad behaviour ([`score`]).
//!
//! Protocol names carry the first eight bytes of the genesis hash, and the Noise handshake all of it.

mod address;
mod behaviour;
pub mod book;
mod config;
mod discovery;
pub mod diversity;
mod error;
pub mod exchange;
mod gossip;
mod guard;
pub mod limits;
pub mod link;
mod links;
mod mesh;
mod nat;
mod node;
pub mod record;
pub mod score;
mod status;
mod store;
mod streams;
mod transport;

pub use address::Prefix;
pub use config::{Config, Kind, Limits, Rate, Topic};
pub use error::{CallError, MeshError, Unreachable};
pub use gossip::{GossipMessage, GossipVerdict, Validator};
pub use libp2p::{Multiaddr, PeerId, identity::Keypair};
pub use links::{CODE_BUSY, CODE_STOPPING, CODE_UNSUPPORTED};
pub use mesh::Mesh;
pub use nat::NatStatus;
pub use score::Offence;
pub use status::{Counters, MeshStatus, PeerStatus};

use async_trait::async_trait;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

/// What the chain says about a peer. It is asked often and from the mesh's loop: answers come from memory.
pub trait Directory: Send + Sync + 'static {
    /// The peer's standing; `None` when the chain does not know it.
    fn standing(&self, peer: &PeerId) -> Option<Standing>;

    /// Every host on chain.
    fn hosts(&self) -> Vec<PeerId>;
}

/// A peer on chain.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Standing {
    /// Its account.
    pub account: [u8; 32],
    /// Its stake in planck.
    pub stake: u128,
    /// Its reputation in parts per billion.
    pub reputation_ppb: u32,
    /// Its region.
    pub region: String,
    /// Where it says it is.
    pub endpoints: Vec<Multiaddr>,
}

/// Serves one kind of request.
#[async_trait]
pub trait Service: Send + Sync + 'static {
    /// The answer to a request. Runs in a task of its own, which is dropped when the request is cancelled, its deadline
    /// passes or the link ends. Codes of rejects from `0xfe00` up are the mesh's own.
    async fn serve(&self, request: Request) -> Result<Bytes, link::Reject>;
}

/// A request by a peer.
pub struct Request {
    /// Who asks; proven by the connection's handshake.
    pub from: PeerId,
    /// Of what kind.
    pub kind: Kind,
    /// What comes before the body.
    pub header: Bytes,
    /// The body.
    pub body: Bytes,
    /// After this the answer is of no use.
    pub deadline: tokio::time::Instant,
    /// Triggered when the answer is of no use any more. For what the service spawned; its own future is dropped.
    pub cancelled: CancellationToken,
    /// Sends progress to the caller.
    pub progress: link::ProgressSender,
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
