//! What a node tells about itself.

use crate::{Kind, Multiaddr, NatStatus, PeerId};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// A connected peer.
#[derive(Clone, PartialEq, Debug)]
pub struct PeerStatus {
    /// Who.
    pub peer: PeerId,
    /// Where, on its best connection.
    pub address: Multiaddr,
    /// Whether there is no direct connection, only through a relay.
    pub relayed: bool,
    /// Whether this node dialled it.
    pub outbound: bool,
    /// Whether the two have identified each other as nodes of the same chain.
    pub ready: bool,
    /// Round trip of pings.
    pub rtt: Option<Duration>,
    /// Kinds with an open link.
    pub kinds: Vec<Kind>,
    /// Points against it; at [`crate::score::LIMIT`] it is put out.
    pub points: f64,
    /// Whether the chain knows it.
    pub standing: bool,
    /// Whether it offers to relay.
    pub relay: bool,
    /// What software it says it is.
    pub agent: String,
}

/// The state of a node.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct MeshStatus {
    /// Connected peers.
    pub peers: Vec<PeerStatus>,
    /// Reachability.
    pub nat: NatStatus,
    /// Addresses that others are told: proven ones and those at relays.
    pub external: Vec<Multiaddr>,
    /// Relays that hold a place for this node.
    pub relays: Vec<PeerId>,
    /// Whether the node answers for the DHT.
    pub dht_server: bool,
    /// Peers in the routing table.
    pub table: usize,
    /// Peers in the book.
    pub book: usize,
    /// Signed records and provider records stored for the DHT.
    pub dht_stored: (usize, usize),
    /// Topics subscribed to.
    pub topics: usize,
    /// Peers kept out now.
    pub banned: usize,
    /// Counts since start.
    pub counters: Counters,
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counts since start.
        #[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
        pub struct Counters {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            /// Names and values, for metrics.
            pub fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }

        /// The counters while they count.
        #[derive(Default, Debug)]
        pub(crate) struct Counting {
            $(pub $name: Count,)*
        }

        impl Counting {
            pub fn read(&self) -> Counters {
                Counters { $($name: self.$name.get(),)* }
            }
        }
    };
}

counters! {
    /// Connections that others opened.
    connections_in,
    /// Connections that this node opened.
    connections_out,
    /// Connections that ended.
    connections_closed,
    /// Connections refused by limits, rates or bans.
    connections_refused,
    /// Connections closed in favour of a better peer.
    connections_evicted,
    /// Dials that failed.
    dials_failed,
    /// Peers of another chain.
    wrong_chain,
    /// Links opened by this node.
    links_out,
    /// Links opened by others.
    links_in,
    /// Links refused by rate or because the node stops.
    links_refused,
    /// Links that ended by a violation.
    links_violated,
    /// Calls made.
    calls,
    /// Calls without an answer.
    calls_failed,
    /// Requests served.
    served,
    /// Requests refused by rate, by lack of room, or because the node stops.
    refused,
    /// Gossip published.
    gossip_out,
    /// Gossip delivered to subscribers or passed on.
    gossip_in,
    /// Gossip ignored: its author has no standing or sends too much.
    gossip_ignored,
    /// Gossip that the application refused.
    gossip_bad,
    /// Gossip dropped because a subscriber was slow.
    gossip_dropped,
    /// Records accepted: from the DHT and by exchange.
    records_accepted,
    /// Records refused: forged, foreign or malformed.
    records_refused,
    /// DHT writes refused: not a record of ours, too many, no room.
    dht_refused,
    /// Peer exchanges served.
    exchanges_in,
    /// Peer exchanges made.
    exchanges_out,
    /// Offences reported.
    offences,
    /// Peers put out.
    bans,
    /// Connections that became direct by hole punching.
    hole_punched,
    /// Circuits relayed for others.
    relayed_circuits,
}

#[derive(Default, Debug)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
