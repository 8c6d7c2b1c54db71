//! What a mesh node is told at start, and its limits.

use crate::{MeshError, address, link::LinkConfig};
use libp2p::{Multiaddr, StreamProtocol, identity::Keypair};
use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

/// Kinds of messages. Each has its own link between two peers, so that bulk never waits in front of control.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Kind {
    /// Peer exchange. Served by the mesh itself.
    Discovery = 0,
    /// Routing state.
    Routing = 1,
    /// Sealed requests and their answers.
    Inference = 2,
    /// Attestation.
    Consensus = 3,
    /// Model chunks.
    Content = 4,
}

impl Kind {
    /// Every kind, by number.
    pub const ALL: [Kind; 5] = [
        Kind::Discovery,
        Kind::Routing,
        Kind::Inference,
        Kind::Consensus,
        Kind::Content,
    ];

    /// The name used in protocol names, logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Discovery => "discovery",
            Kind::Routing => "routing",
            Kind::Inference => "inference",
            Kind::Consensus => "consensus",
            Kind::Content => "content",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A gossip topic of this chain: `models/acme`, `links`. At most 128 characters of `a-z 0-9 / . _ -`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Topic(Arc<str>);

impl Topic {
    /// Longest name in bytes.
    pub const MAX_LEN: usize = 128;

    /// Checks a name.
    ///
    /// # Errors
    /// [`MeshError::Topic`] when it is empty, too long, or has other characters.
    pub fn new(name: &str) -> Result<Self, MeshError> {
        let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"/._-".contains(&b);
        if name.is_empty() || name.len() > Self::MAX_LEN || !name.bytes().all(fine) {
            return Err(MeshError::Topic);
        }
        Ok(Self(name.into()))
    }

    /// The name, without chain.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a node is set up.
#[derive(Clone)]
pub struct Config {
    /// The node's identity: an ed25519 key. Other kinds are refused, because their peer ids do not carry the key.
    pub keypair: Keypair,
    /// The chain's genesis hash. It is part of every protocol name and of the handshake: chains do not mix.
    pub genesis: [u8; 32],
    /// Where to listen: `/ip4/0.0.0.0/tcp/30400`, `.../udp/30400/quic-v1`, `.../tcp/30401/ws`. May be empty: such a
    /// node is reachable through a relay only.
    pub listen: Vec<Multiaddr>,
    /// Addresses under which the operator knows the node to be reachable. They are announced without a test.
    pub external: Vec<Multiaddr>,
    /// Addresses of nodes to join by, each with `/p2p/PEER` at its end where the peer is known.
    pub bootstrap: Vec<Multiaddr>,
    /// The node's region, as in its worker record (at most 32 bytes; longer is cut).
    pub region: String,
    /// Whether to relay for nodes behind NAT, once this node is known to be reachable.
    pub relay_server: bool,
    /// Folder for the peer book. Without one, peers are forgotten at exit.
    pub state_dir: Option<PathBuf>,
    /// Bounds and rates.
    pub limits: Limits,
    /// Accept loopback and private addresses: devnets and tests. Elsewhere such addresses are neither dialled nor
    /// believed, so that no peer can make this node knock on doors inside its operator's network.
    pub local_only: bool,
}

impl Config {
    /// A node of the given chain with default limits: no addresses, no bootstrap, no state, public addresses only.
    pub fn new(keypair: Keypair, genesis: [u8; 32]) -> Self {
        Self {
            keypair,
            genesis,
            listen: Vec::new(),
            external: Vec::new(),
            bootstrap: Vec::new(),
            region: String::new(),
            relay_server: false,
            state_dir: None,
            limits: Limits::default(),
            local_only: false,
        }
    }

    /// A node for one machine or one private network.
    pub fn local(keypair: Keypair, genesis: [u8; 32]) -> Self {
        Self {
            local_only: true,
            ..Self::new(keypair, genesis)
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("peer", &self.keypair.public().to_peer_id())
            .field("listen", &self.listen)
            .field("external", &self.external)
            .field("bootstrap", &self.bootstrap)
            .field("region", &self.region)
            .field("relay_server", &self.relay_server)
            .field("state_dir", &self.state_dir)
            .field("local_only", &self.local_only)
            .finish_non_exhaustive()
    }
}

/// A rate: so many a second, and a burst.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Allowed a second in the long run. Zero counts as one.
    pub per_second: u32,
    /// Allowed at once after a quiet time. Zero counts as one.
    pub burst: u32,
}

impl Rate {
    /// A rate of `per_second` with room for `burst` at once.
    pub const fn new(per_second: u32, burst: u32) -> Self {
        Self { per_second, burst }
    }
}

/// Bounds of a node. The defaults suit a machine with a few GiB of memory.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Established connections that others opened.
    pub inbound: usize,
    /// Of those, how many may belong to peers without standing on chain.
    pub inbound_without_standing: usize,
    /// Inbound connections from one address prefix (/24 or /48), peers without standing.
    pub inbound_per_prefix: usize,
    /// Inbound connections from one address prefix, all peers.
    pub inbound_per_prefix_total: usize,
    /// Inbound connections that came through one relay, peers without standing.
    pub inbound_relayed: usize,
    /// Established connections that this node opened.
    pub outbound: usize,
    /// Connections with one peer, both directions.
    pub per_peer: usize,
    /// Inbound connections in the handshake.
    pub pending_inbound: usize,
    /// Of those, from one address prefix.
    pub pending_inbound_per_prefix: usize,
    /// Dials at a time.
    pub pending_outbound: usize,
    /// Connections the node tries to hold by itself, for discovery and gossip.
    pub target_peers: usize,
    /// New inbound connections from one address prefix.
    pub connection_rate: Rate,
    /// New inbound connections from everywhere.
    pub connection_rate_total: Rate,
    /// Dials by libp2p's protocols on behalf of others or of the DHT. Those of `call`, `connect` and of the node's own
    /// upkeep are bounded in number instead.
    pub dial_rate: Rate,
    /// Dials that tell others whether their addresses are reachable.
    pub address_test_rate: Rate,
    /// Links opened by one peer.
    pub link_rate: Rate,
    /// Requests by one peer without standing.
    pub request_rate: Rate,
    /// Requests by one peer with standing.
    pub request_rate_standing: Rate,
    /// Bytes of requests (header and body) by one peer, taken before anything is decoded.
    pub byte_rate: Rate,
    /// Requests being served at a time, all peers together.
    pub serving: usize,
    /// Limits of an inference link. Those of the other kinds follow from it: the same or less.
    pub link: LinkConfig,
    /// Peer exchanges asked for by one peer.
    pub exchange_rate: Rate,
    /// Gossip messages whose author is one peer.
    pub gossip_rate: Rate,
    /// Largest gossip message in bytes.
    pub gossip_bytes: usize,
    /// Messages that wait for a subscriber; beyond that they are dropped and counted.
    pub gossip_queue: usize,
    /// Topics a node subscribes to.
    pub topics: usize,
    /// Peers in the book.
    pub book: usize,
    /// Signed peer records that this node stores for the DHT.
    pub dht_records: usize,
    /// Keys with provider records that this node stores for the DHT.
    pub dht_provider_keys: usize,
    /// Providers stored for one key.
    pub dht_providers_per_key: usize,
    /// Provider records stored for one peer.
    pub dht_providers_per_peer: usize,
    /// DHT writes by one peer.
    pub dht_write_rate: Rate,
    /// Keys that this node provides itself.
    pub provided: usize,
    /// DHT queries of this node's own at a time.
    pub dht_queries: usize,
    /// Routing table entries of one address prefix in one bucket, peers without standing.
    pub table_per_prefix_bucket: usize,
    /// Routing table entries of one address prefix in all buckets, peers without standing.
    pub table_per_prefix: usize,
    /// The same two for loopback and private addresses, where a prefix says nothing (only with `local_only`).
    pub table_per_prefix_local: (usize, usize),
    /// Relay: reservations held for others.
    pub relay_reservations: usize,
    /// Relay: circuits at a time.
    pub relay_circuits: usize,
    /// Relay: circuits of one peer.
    pub relay_circuits_per_peer: usize,
    /// Relay: longest life of a circuit. Links are reopened after it.
    pub relay_circuit_duration: Duration,
    /// Relay: bytes of one circuit in one direction.
    pub relay_circuit_bytes: u64,
    /// Relays at which a node behind NAT keeps a reservation.
    pub relay_slots: usize,
    /// How long one attempt to connect may take.
    pub dial_timeout: Duration,
    /// How long `call` may look for a way to the peer (within its own deadline).
    pub open_timeout: Duration,
    /// A connection without links, gossip or reservation is closed after this time.
    pub idle_timeout: Duration,
    /// How often connections are tested, and how long an answer may take.
    pub ping_interval: Duration,
    /// How long a peer that behaved badly is kept out.
    pub ban: Duration,
    /// Peers kept out at a time; the ban that ends first gives way.
    pub bans: usize,
    /// How long `stop` waits for links and connections to close.
    pub stop_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            inbound: 384,
            inbound_without_standing: 128,
            inbound_per_prefix: 16,
            inbound_per_prefix_total: 128,
            inbound_relayed: 32,
            outbound: 256,
            per_peer: 4,
            pending_inbound: 128,
            pending_inbound_per_prefix: 32,
            pending_outbound: 64,
            target_peers: 16,
            connection_rate: Rate::new(10, 64),
            connection_rate_total: Rate::new(200, 400),
            dial_rate: Rate::new(20, 100),
            address_test_rate: Rate::new(2, 20),
            link_rate: Rate::new(4, 32),
            request_rate: Rate::new(5_000, 10_000),
            request_rate_standing: Rate::new(50_000, 100_000),
            byte_rate: Rate::new(256 << 20, 1 << 30),
            serving: 4_096,
            link: LinkConfig {
                // 16 MiB of tensors, sealed and padded, and what is around them.
                max_body: (17 << 20) + (64 << 10),
                max_response: (17 << 20) + (64 << 10),
                ..LinkConfig::default()
            },
            exchange_rate: Rate::new(1, 6),
            gossip_rate: Rate::new(20, 100),
            gossip_bytes: 64 << 10,
            gossip_queue: 1_024,
            topics: 256,
            book: 2_048,
            dht_records: 4_096,
            dht_provider_keys: 4_096,
            dht_providers_per_key: 20,
            dht_providers_per_peer: 512,
            dht_write_rate: Rate::new(20, 600),
            provided: 4_096,
            dht_queries: 64,
            table_per_prefix_bucket: 2,
            table_per_prefix: 10,
            table_per_prefix_local: (16, 256),
            relay_reservations: 128,
            relay_circuits: 256,
            relay_circuits_per_peer: 16,
            relay_circuit_duration: Duration::from_secs(6 * 3600),
            relay_circuit_bytes: 4 << 30,
            relay_slots: 2,
            dial_timeout: Duration::from_secs(8),
            open_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(60),
            ping_interval: Duration::from_secs(5),
            ban: Duration::from_secs(15 * 60),
            bans: 4_096,
            stop_timeout: Duration::from_secs(3),
        }
    }
}

/// Names that carry the chain.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    pub genesis: [u8; 32],
    /// What identify calls the protocol family.
    pub family: String,
    pub kad: StreamProtocol,
    pub identify_agent: String,
    pub gossip_prefix: String,
    pub gossip_protocol: String,
    links: [StreamProtocol; 5],
}

impl Names {
    pub fn new(genesis: [u8; 32]) -> Result<Self, MeshError> {
        let chain: String = genesis[..8].iter().map(|b| format!("{b:02x}")).collect();
        let family = format!("/llmesh/{chain}/1");
        let protocol = |name: String| {
            StreamProtocol::try_from_owned(name).map_err(|_| MeshError::Config("protocol name"))
        };
        let link = |kind: Kind| protocol(format!("/llmesh/{chain}/link/{kind}/1"));
        Ok(Self {
            genesis,
            kad: protocol(format!("/llmesh/{chain}/kad/1"))?,
            identify_agent: format!("llmesh/{}", env!("CARGO_PKG_VERSION")),
            gossip_prefix: format!("/llmesh/{chain}/gossip/"),
            gossip_protocol: format!("/llmesh/{chain}/meshsub/1"),
            links: [
                link(Kind::Discovery)?,
                link(Kind::Routing)?,
                link(Kind::Inference)?,
                link(Kind::Consensus)?,
                link(Kind::Content)?,
            ],
            family,
        })
    }

    pub fn link(&self, kind: Kind) -> StreamProtocol {
        self.links[kind as usize].clone()
    }

    pub fn kind_of(&self, protocol: &StreamProtocol) -> Option<Kind> {
        Kind::ALL
            .into_iter()
            .find(|kind| self.links[*kind as usize] == *protocol)
    }

    pub fn topic(&self, topic: &Topic) -> libp2p::gossipsub::IdentTopic {
        libp2p::gossipsub::IdentTopic::new(format!("{}{}", self.gossip_prefix, topic.name()))
    }

    /// The topic of this chain behind a name from the wire.
    pub fn topic_of(&self, name: &str) -> Option<Topic> {
        name.strip_prefix(&self.gossip_prefix)
            .and_then(|rest| Topic::new(rest).ok())
    }
}

/// Cuts a region to what records carry.
pub(crate) fn region(text: &str) -> String {
    let mut end = text.len().min(crate::record::MAX_REGION);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// Checks what can be checked before anything runs.
pub(crate) fn check(config: &Config) -> Result<(), MeshError> {
    if config.keypair.public().try_into_ed25519().is_err() {
        return Err(MeshError::Config("the identity must be an ed25519 key"));
    }
    for address in config.listen.iter().chain(&config.external) {
        if address::is_relayed(address) {
            return Err(MeshError::Config(
                "relayed addresses are found by the node itself",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_the_chain() {
        let one = Names::new([1; 32]).unwrap();
        let two = Names::new([2; 32]).unwrap();
        assert_eq!(one.kad.as_ref(), "/llmesh/0101010101010101/kad/1");
        assert_ne!(one.family, two.family);
        for kind in Kind::ALL {
            assert_ne!(one.link(kind), two.link(kind));
            assert_eq!(one.kind_of(&one.link(kind)), Some(kind));
            assert_eq!(two.kind_of(&one.link(kind)), None);
        }
        let topic = Topic::new("models/acme").unwrap();
        assert_eq!(one.topic_of(&one.topic(&topic).to_string()), Some(topic.clone()));
        assert_eq!(two.topic_of(&one.topic(&topic).to_string()), None);
    }

    #[test]
    fn topics_are_checked() {
        for bad in ["", "A", "a b", "ä", &"a".repeat(129)] {
            assert!(Topic::new(bad).is_err(), "{bad}");
        }
        assert!(Topic::new(&"a".repeat(128)).is_ok());
    }

    #[test]
    fn regions_are_cut_between_characters() {
        assert_eq!(region("eu-west"), "eu-west");
        assert_eq!(region(&"ä".repeat(40)).len(), 32);
        assert_eq!(region(&format!("a{}", "ä".repeat(40))).len(), 31);
    }
}
