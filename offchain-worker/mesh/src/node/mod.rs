//! The run loop: one task that owns the swarm. It moves bytes between libp2p and the parts of this crate; what can be
//! decided without it is decided elsewhere.

mod dht;
mod reach;
mod topics;
mod upkeep;

use crate::{
    Counters, Kind, MeshError, MeshStatus, Multiaddr, NatStatus, Offence, PeerId, Topic, Unreachable,
    address,
    behaviour::{self, Behaviour, BehaviourEvent},
    discovery,
    diversity::Table,
    gossip, guard, limits,
    links::{Links, Report},
    mesh::{Shared, WeakMesh},
    nat::Reach,
    now,
    record::MAX_ADDRESSES,
    score::Scores,
    streams::{self, Inbound},
    transport,
};
use bytes::Bytes;
use futures::StreamExt;
use libp2p::{
    Swarm, autonat,
    core::{ConnectedPoint, transport::ListenerId},
    dcutr, gossipsub, identify,
    kad::{self, QueryId},
    ping, relay,
    swarm::{self, ConnectionId, DialError, SwarmEvent, dial_opts::DialOpts, dial_opts::PeerCondition},
};
use reach::is_loopback;
use std::{
    collections::{HashMap, HashSet, VecDeque},
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::MissedTickBehavior,
};

/// How often the loop looks after itself.
const TICK: Duration = Duration::from_millis(200);
/// How often the book is written when it changed.
const SAVE: Duration = Duration::from_secs(15);
/// How often stores are cleaned.
const CLEAN: Duration = Duration::from_secs(60);
/// How often a peer is asked for others.
const EXCHANGE: Duration = Duration::from_secs(45);
/// How often this node's record is put into the DHT anew.
const ANNOUNCE: Duration = Duration::from_secs(30 * 60);
/// Pause between two announcements of everything.
const ANNOUNCE_PAUSE: Duration = Duration::from_secs(30);
/// A record is signed anew this long after the addresses changed, so that several changes make one record.
const SETTLE: Duration = Duration::from_millis(300);
/// Pause between attempts to join by the bootstrap addresses; doubles up to the second value.
const JOIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// Dials of the node's own at a time.
const OWN_DIALS: usize = 4;
/// Announcements in the DHT at a time.
const ANNOUNCING: usize = 8;
/// Pause before a relay is asked for a place again.
const RELAY_PAUSE: Duration = Duration::from_secs(5);
/// A peer that connected must identify itself in this time.
const INTRODUCTION: Duration = Duration::from_secs(20);
/// Pause between two looks at who has not identified itself, and between two tests of others' addresses.
const LOOK: Duration = Duration::from_secs(1);
/// An address of a connected peer is tested again after so long.
const RETEST: u64 = 300;
/// How often a peer is asked for others while this node knows too few.
const EXCHANGE_HUNGRY: Duration = Duration::from_secs(10);
/// Hosts of the chain that are considered at a time when this node looks for company.
const HOSTS: usize = 256;
/// A relay must answer a request for a place in this time.
const RELAY_WAIT: Duration = Duration::from_secs(15);

pub(crate) type Answer<T> = oneshot::Sender<T>;

/// What the handles ask the loop for. An answer that nobody waits for any more is dropped.
pub(crate) enum Command {
    /// A connection, at these addresses; at once when there is one.
    Dial {
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        reply: Answer<Result<(), Unreachable>>,
    },
    /// Word when the peer has been identified.
    Ready {
        peer: PeerId,
        reply: Answer<Result<(), Unreachable>>,
    },
    /// A stream for a link.
    Open {
        peer: PeerId,
        kind: Kind,
        reply: streams::Reply,
    },
    /// Where the DHT says a peer is.
    Lookup {
        peer: PeerId,
        reply: Answer<Vec<Multiaddr>>,
    },
    Publish {
        topic: Topic,
        data: Bytes,
        reply: Answer<Result<(), MeshError>>,
    },
    Provide {
        key: [u8; 32],
        reply: Answer<Result<(), MeshError>>,
    },
    StopProviding {
        key: [u8; 32],
    },
    Providers {
        key: [u8; 32],
        reply: mpsc::Sender<PeerId>,
    },
    Stop,
}

/// The loop's ends of the channels.
pub(crate) struct Ends {
    pub commands: mpsc::Receiver<Command>,
    pub reports: mpsc::Receiver<Report>,
    pub listen: watch::Sender<Vec<Multiaddr>>,
    pub status: watch::Sender<MeshStatus>,
    pub mesh: WeakMesh,
}

struct Connection {
    address: Multiaddr,
    relayed: bool,
    outbound: bool,
}

struct Peer {
    since: Instant,
    connections: HashMap<ConnectionId, Connection>,
    ready: bool,
    rtt: Option<Duration>,
    relay: bool,
    agent: String,
    addresses: Vec<Multiaddr>,
}

impl Peer {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            connections: HashMap::new(),
            ready: false,
            rtt: None,
            relay: false,
            agent: String::new(),
            addresses: Vec::new(),
        }
    }

    /// Direct before relayed, dialled before accepted.
    fn best(&self) -> Option<(&ConnectionId, &Connection)> {
        self.connections
            .iter()
            .min_by_key(|(id, connection)| (connection.relayed, !connection.outbound, **id))
    }
}

/// A dial in progress.
struct Dial {
    peer: Option<PeerId>,
    reply: Option<Answer<Result<(), Unreachable>>>,
    /// Only to see whether the peer answers at its address; closed at once.
    test: bool,
}

/// A query in progress.
enum Query {
    Record(u64),
    Closest(u64),
    Providers(mpsc::Sender<PeerId>),
    Provide(Answer<Result<(), MeshError>>),
    /// Something of the node's own whose end does not matter to anybody.
    Announce,
}

/// A search for a peer: two queries, one answer.
struct Lookup {
    peer: PeerId,
    reply: Option<Answer<Vec<Multiaddr>>>,
    queries: Vec<QueryId>,
    /// What nodes near the peer say, unsigned.
    hearsay: Vec<Multiaddr>,
}

enum Announcement {
    Record,
    Content([u8; 32]),
}

struct Reservation {
    listener: ListenerId,
    /// Set once the relay has agreed.
    held: bool,
    asked: Instant,
}

enum Phase {
    Running,
    /// Links say goodbye.
    Closing(oneshot::Receiver<()>),
    /// Connections close, until then at the latest.
    Leaving(Instant),
}

pub(crate) struct Node {
    shared: Arc<Shared>,
    links: Arc<Links>,
    swarm: Swarm<Behaviour>,
    ends: Ends,
    peers: HashMap<PeerId, Peer>,
    dials: HashMap<ConnectionId, Dial>,
    waiting: HashMap<PeerId, Vec<Answer<Result<(), Unreachable>>>>,
    queries: HashMap<QueryId, Query>,
    lookups: HashMap<u64, Lookup>,
    next_lookup: u64,
    announcing: usize,
    announcements: VecDeque<Announcement>,
    provided: HashSet<[u8; 32]>,
    table: Table,
    scores: Scores,
    reach: Reach,
    nat: NatStatus,
    topics: HashSet<Topic>,
    relays: HashMap<PeerId, Reservation>,
    relay_pause: HashMap<PeerId, Instant>,
    /// Listeners of the configured addresses.
    listeners: HashSet<ListenerId>,
    /// The highest sequence number given to a record of this node's own.
    sequence: u64,
    record_due: Option<Instant>,
    announce_due: Instant,
    /// When everything is to be announced, because new nodes of the DHT are known; and when it was last.
    announce_all: Option<Instant>,
    announced_all: Option<Instant>,
    join: (Instant, Duration),
    exchange_due: Instant,
    look_due: Instant,
    save_due: Instant,
    clean_due: Instant,
    prune_due: Instant,
    /// Hosts that are not in the book and were dialled lately.
    hosts_tried: HashMap<PeerId, Instant>,
    dirty: bool,
    /// Counters as they were told last.
    told: Counters,
    company_due: Instant,
    phase: Phase,
}

impl Node {
    pub fn new(
        shared: Arc<Shared>,
        links: Arc<Links>,
        served: Vec<Kind>,
        ends: Ends,
        sequence: u64,
    ) -> Result<Self, MeshError> {
        let config = &shared.config;
        let limits = &shared.limits;
        let (transport, relay_client) = transport::build(
            &config.keypair,
            &shared.names,
            config.local_only,
            limits.dial_timeout,
        )?;
        let behaviour = behaviour::build(
            config,
            &shared.names,
            limits,
            &shared.rates,
            &shared.directory,
            served,
            relay_client,
        )?;
        let swarm_config = swarm::Config::with_tokio_executor()
            .with_idle_connection_timeout(limits.idle_timeout)
            .with_max_negotiating_inbound_streams(64)
            .with_smart_dial();
        let mut swarm = Swarm::new(transport, behaviour, shared.me, swarm_config);
        let mut listeners = HashSet::new();
        for address in &config.listen {
            transport::check_free(address)?;
            let listener = swarm
                .listen_on(address.clone())
                .map_err(|error| MeshError::Transport(format!("{address}: {error}")))?;
            listeners.insert(listener);
        }
        let mut reach = Reach::new(!config.listen.is_empty());
        for address in &config.external {
            let (address, _) = address::split_peer(address);
            reach.confirmed(&address);
            swarm.add_external_address(address);
        }
        let at = Instant::now();
        Ok(Self {
            scores: Scores::new(4 * (limits.inbound + limits.outbound) + 64),
            peers: HashMap::new(),
            dials: HashMap::new(),
            waiting: HashMap::new(),
            queries: HashMap::new(),
            lookups: HashMap::new(),
            next_lookup: 0,
            announcing: 0,
            announcements: VecDeque::new(),
            provided: HashSet::new(),
            table: Table::default(),
            nat: NatStatus::Unknown,
            topics: HashSet::new(),
            relays: HashMap::new(),
            relay_pause: HashMap::new(),
            sequence,
            record_due: Some(at + SETTLE),
            announce_due: at + ANNOUNCE,
            announce_all: None,
            announced_all: None,
            join: (at, JOIN.0),
            exchange_due: at + EXCHANGE_HUNGRY,
            look_due: at + LOOK,
            save_due: at + SAVE,
            clean_due: at + CLEAN,
            prune_due: at + limits::PRUNE,
            hosts_tried: HashMap::new(),
            dirty: true,
            told: Counters::default(),
            company_due: at,
            phase: Phase::Running,
            listeners,
            reach,
            swarm,
            shared,
            links,
            ends,
        })
    }

    pub async fn run(mut self) {
        let shared = self.shared.clone();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_event(event),
                command = self.ends.commands.recv(), if matches!(self.phase, Phase::Running) => match command {
                    Some(Command::Stop) | None => self.begin_stop(),
                    Some(command) => self.on_command(command),
                },
                Some(report) = self.ends.reports.recv() => match report {
                    Report::Offence(peer, offence) => self.on_report(peer, offence),
                    Report::Silent(peer, connection) => self.on_silence(peer, connection),
                },
                () = shared.subscriptions.changed.notified() => self.follow_topics(),
                _ = tick.tick() => {
                    if self.on_tick() {
                        break;
                    }
                }
            }
        }
        let Some(dir) = shared.config.state_dir.clone() else {
            return;
        };
        let snapshot = shared.book().snapshot(&dir, shared.config.genesis, self.sequence);
        match tokio::task::spawn_blocking(move || snapshot.write()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "not saved"),
            Err(error) => tracing::warn!(%error, "not saved"),
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Dial {
                peer,
                addresses,
                reply,
            } => self.dial(peer, addresses, Some(reply)),
            Command::Ready { peer, reply } => match self.peers.get(&peer) {
                Some(known) if known.ready => answer(reply, Ok(())),
                Some(_) => self.waiting.entry(peer).or_default().push(reply),
                None => answer(reply, Err(Unreachable::Failed("the connection closed".into()))),
            },
            Command::Open { peer, kind, reply } => {
                self.swarm.behaviour_mut().streams.open(peer, kind, reply);
            }
            Command::Lookup { peer, reply } => self.look_up(peer, reply),
            Command::Publish { topic, data, reply } => answer(reply, self.publish(&topic, &data)),
            Command::Provide { key, reply } => self.provide(key, reply),
            Command::StopProviding { key } => {
                self.provided.remove(&key);
                self.swarm
                    .behaviour_mut()
                    .kad
                    .stop_providing(&kad::RecordKey::new(&key));
            }
            Command::Providers { key, reply } => {
                if self.queries.len() >= self.shared.limits.dht_queries {
                    return;
                }
                let query = self
                    .swarm
                    .behaviour_mut()
                    .kad
                    .get_providers(kad::RecordKey::new(&key));
                self.queries.insert(query, Query::Providers(reply));
            }
            Command::Stop => self.begin_stop(),
        }
    }

    fn dial(
        &mut self,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        reply: Option<Answer<Result<(), Unreachable>>>,
    ) {
        let refuse = |reply: Option<Answer<_>>, reason| {
            if let Some(reply) = reply {
                answer(reply, Err(reason));
            }
        };
        if self
            .peers
            .get(&peer)
            .is_some_and(|known| !known.connections.is_empty())
        {
            if let Some(reply) = reply {
                answer(reply, Ok(()));
            }
            return;
        }
        if peer == self.shared.me {
            return refuse(reply, Unreachable::Myself);
        }
        if self.swarm.behaviour().guard.bans.holds(&peer, Instant::now()) {
            return refuse(reply, Unreachable::Banned);
        }
        if addresses.is_empty() {
            return refuse(reply, Unreachable::NoAddress);
        }
        self.shared.book().note_dial(&peer, now());
        let addresses = addresses.into_iter().map(|address| {
            // The swarm adds the peer id itself.
            if address::is_relayed(&address) {
                address
            } else {
                address::split_peer(&address).0
            }
        });
        let opts = DialOpts::peer_id(peer)
            .condition(PeerCondition::Always)
            .addresses(addresses.collect())
            .build();
        let connection = opts.connection_id();
        self.swarm.behaviour_mut().guard.want(connection);
        match self.swarm.dial(opts) {
            Ok(()) => {
                self.dials.insert(
                    connection,
                    Dial {
                        peer: Some(peer),
                        reply,
                        test: false,
                    },
                );
            }
            Err(error) => refuse(reply, self.dial_failed(Some(peer), &error)),
        }
    }

    /// Notes a failed dial and says why.
    fn dial_failed(&mut self, peer: Option<PeerId>, error: &DialError) -> Unreachable {
        self.shared.counting.dials_failed.add();
        let reason = match error {
            DialError::NoAddresses => Unreachable::NoAddress,
            DialError::LocalPeerId { .. } => Unreachable::Myself,
            DialError::WrongPeerId { .. } => Unreachable::WrongPeer,
            DialError::Denied { cause } => match cause.downcast_ref::<guard::Denied>() {
                Some(guard::Denied::Banned) => Unreachable::Banned,
                _ => Unreachable::Limit,
            },
            DialError::Transport(errors) => {
                Unreachable::Failed(errors.last().map_or_else(String::new, |(_, error)| {
                    let mut text = error.to_string();
                    let mut source = error.source();
                    while let Some(inner) = source {
                        text = inner.to_string();
                        source = inner.source();
                    }
                    text.chars().take(200).collect()
                }))
            }
            DialError::Aborted => Unreachable::Failed("aborted".into()),
            DialError::DialPeerConditionFalse(_) => Unreachable::Failed("in progress".into()),
        };
        if let Some(peer) = peer {
            match &reason {
                Unreachable::WrongPeer => {
                    let mut book = self.shared.book();
                    book.note_moved(&peer);
                    book.note_failed(&peer);
                }
                Unreachable::Failed(_) => self.shared.book().note_failed(&peer),
                _ => return reason,
            }
            if !self.peers.contains_key(&peer) && self.table.failed(&peer) {
                self.leave_table(&peer);
            }
        }
        reason
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour(event),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => self.on_connected(peer_id, connection_id, &endpoint),
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                ..
            } => self.on_closed(peer_id, connection_id),
            SwarmEvent::OutgoingConnectionError {
                connection_id,
                peer_id,
                error,
            } => {
                let dial = self.dials.remove(&connection_id);
                let peer = peer_id.or(dial.as_ref().and_then(|dial| dial.peer));
                let reason = self.dial_failed(peer, &error);
                tracing::debug!(?peer, %reason, "dial failed");
                if let Some(reply) = dial.and_then(|dial| dial.reply) {
                    answer(reply, Err(reason));
                }
            }
            SwarmEvent::NewListenAddr { address, .. } => self.on_listening(address),
            SwarmEvent::ExpiredListenAddr { address, .. } => self.on_listening_no_more(&[address]),
            SwarmEvent::ListenerClosed {
                listener_id,
                addresses,
                reason,
            } => {
                self.on_listening_no_more(&addresses);
                self.on_listener_closed(listener_id, reason);
            }
            SwarmEvent::ListenerError { error, .. } => tracing::debug!(%error, "listener"),
            SwarmEvent::ExternalAddrConfirmed { address } => {
                self.reach.confirmed(&address);
                self.addresses_changed();
            }
            SwarmEvent::ExternalAddrExpired { address } => {
                self.reach.expired(&address);
                self.addresses_changed();
            }
            _ => {}
        }
    }

    fn on_connected(&mut self, peer: PeerId, connection: ConnectionId, endpoint: &ConnectedPoint) {
        let relayed = endpoint.is_relayed();
        let (address, outbound) = match endpoint {
            ConnectedPoint::Dialer { address, .. } => (address.clone(), true),
            ConnectedPoint::Listener { send_back_addr, .. } => (send_back_addr.clone(), false),
        };
        tracing::debug!(%peer, %address, outbound, relayed, "connected");
        if outbound {
            self.shared.counting.connections_out.add();
            self.reach.connected(Instant::now());
        } else {
            self.shared.counting.connections_in.add();
        }
        self.peers
            .entry(peer)
            .or_insert_with(Peer::new)
            .connections
            .insert(
                connection,
                Connection {
                    address,
                    relayed,
                    outbound,
                },
            );
        if let Some(dial) = self.dials.remove(&connection) {
            if let Some(reply) = dial.reply {
                answer(reply, Ok(()));
            }
            if dial.test
                && let ConnectedPoint::Dialer { address, .. } = endpoint
            {
                let shared = &self.shared;
                shared
                    .book()
                    .note_reached(peer, address, |peer| shared.standing(peer), now());
                self.swarm.close_connection(connection);
                return;
            }
        }
        self.links.forgive(peer);
        if !relayed && let Some(mesh) = self.ends.mesh.upgrade() {
            for kind in self.links.relayed_kinds(peer) {
                let mesh = mesh.clone();
                tokio::spawn(async move { mesh.reopen(peer, kind).await });
            }
        }
        self.dirty = true;
    }

    fn on_closed(&mut self, peer: PeerId, connection: ConnectionId) {
        self.shared.counting.connections_closed.add();
        self.forget(peer, connection);
    }

    fn forget(&mut self, peer: PeerId, connection: ConnectionId) {
        self.dirty = true;
        let Some(known) = self.peers.get_mut(&peer) else {
            return;
        };
        if known.connections.remove(&connection).is_none() || !known.connections.is_empty() {
            return;
        }
        let was_ready = self.peers.remove(&peer).is_some_and(|known| known.ready);
        for reply in self.waiting.remove(&peer).unwrap_or_default() {
            answer(reply, Err(Unreachable::Failed("the connection closed".into())));
        }
        tracing::debug!(%peer, was_ready, "disconnected");
    }

    fn on_behaviour(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Streams(inbound) => self.on_stream(inbound),
            BehaviourEvent::Identify(identify::Event::Received {
                peer_id,
                connection_id,
                info,
            }) => self.on_identified(peer_id, connection_id, info),
            BehaviourEvent::Identify(identify::Event::Error {
                peer_id,
                connection_id,
                error,
            }) => {
                tracing::debug!(%peer_id, %error, "not identified");
                self.swarm.close_connection(connection_id);
            }
            BehaviourEvent::Ping(ping::Event {
                peer,
                connection,
                result,
            }) => match result {
                Ok(rtt) => {
                    if let Some(known) = self.peers.get_mut(&peer) {
                        known.rtt = Some(rtt);
                        self.dirty = true;
                    }
                }
                Err(error) => {
                    tracing::debug!(%peer, %error, "does not answer pings");
                    self.on_silence(peer, connection);
                }
            },
            BehaviourEvent::Kad(event) => self.on_kad(event),
            BehaviourEvent::Gossip(gossipsub::Event::Message {
                propagation_source,
                message_id,
                message,
            }) => self.on_gossip(propagation_source, &message_id, message),
            BehaviourEvent::AutonatClient(autonat::v2::client::Event {
                tested_addr, result, ..
            }) => {
                tracing::debug!(address = %tested_addr, ?result, "own address tested");
                if result.is_err() {
                    self.reach.failed();
                    self.addresses_changed();
                }
            }
            BehaviourEvent::RelayClient(relay::client::Event::ReservationReqAccepted {
                relay_peer_id,
                ..
            }) => {
                if let Some(held) = self.relays.get_mut(&relay_peer_id) {
                    held.held = true;
                }
                self.addresses_changed();
            }
            BehaviourEvent::RelayServer(relay::Event::CircuitReqAccepted { .. }) => {
                self.shared.counting.relayed_circuits.add();
            }
            BehaviourEvent::Dcutr(dcutr::Event {
                remote_peer_id,
                result,
            }) => {
                tracing::debug!(peer = %remote_peer_id, ?result, "hole punching");
                if result.is_ok() {
                    self.shared.counting.hole_punched.add();
                }
            }
            _ => {}
        }
    }

    fn on_stream(&mut self, inbound: Inbound) {
        let Inbound {
            peer,
            via,
            kind,
            stream,
        } = inbound;
        let running = matches!(self.phase, Phase::Running);
        if !running || !self.shared.rates.links.allow(&peer, 1) {
            // Dropping the stream resets it.
            self.shared.counting.links_refused.add();
            if running {
                self.on_report(peer, Offence::Flood);
            }
            return;
        }
        self.links.adopt(peer, kind, stream, via, false);
        self.dirty = true;
    }

    fn on_identified(&mut self, peer: PeerId, connection: ConnectionId, info: identify::Info) {
        if !self.shared.rates.introductions.allow(&peer, 1) {
            return self.on_report(peer, Offence::Flood);
        }
        if info.protocol_version != self.shared.names.family {
            self.shared.counting.wrong_chain.add();
            tracing::debug!(%peer, family = info.protocol_version, "of another chain");
            for reply in self.waiting.remove(&peer).unwrap_or_default() {
                answer(reply, Err(Unreachable::WrongChain));
            }
            self.shared.book().note_moved(&peer);
            self.swarm.behaviour_mut().guard.close(peer);
            return;
        }
        let local = self.shared.config.local_only;
        let mut addresses = address::clean(info.listen_addrs, &peer, local, 2 * MAX_ADDRESSES);
        let beside = self
            .peers
            .get(&peer)
            .and_then(|known| known.connections.get(&connection))
            .is_some_and(|seen| is_loopback(&seen.address));
        if !beside {
            // On another machine: its loopback is not this one's.
            addresses.retain(|address| !is_loopback(address));
        }
        addresses.truncate(MAX_ADDRESSES);
        let serves_dht = info.protocols.contains(&self.shared.names.kad);
        let Some(known) = self.peers.get_mut(&peer) else {
            return;
        };
        let first = !known.ready;
        known.ready = true;
        known.relay = info.protocols.contains(&relay::HOP_PROTOCOL_NAME);
        known.agent = info
            .agent_version
            .chars()
            .filter(char::is_ascii_graphic)
            .take(64)
            .collect();
        known.addresses = addresses.clone();
        let from = known
            .connections
            .get(&connection)
            .map(|c| (c.address.clone(), c.relayed, c.outbound));
        self.dirty = true;
        let shared = &self.shared;
        match &from {
            Some((address, false, true)) => {
                shared
                    .book()
                    .note_reached(peer, address, |peer| shared.standing(peer), now());
            }
            _ => shared.book().note_heard(&peer, now()),
        }
        if serves_dht {
            self.enter_table(peer, from.map(|(address, ..)| address), addresses);
        } else {
            self.leave_table(&peer);
        }
        self.go_direct(peer);
        for reply in self.waiting.remove(&peer).unwrap_or_default() {
            answer(reply, Ok(()));
        }
        if first {
            let score = gossip::application_score(
                self.shared.standing(&peer),
                self.scores.points(&peer, Instant::now()),
            );
            self.swarm
                .behaviour_mut()
                .gossip
                .set_application_score(&peer, score);
            let outbound = self
                .peers
                .get(&peer)
                .is_some_and(|known| known.connections.values().any(|connection| connection.outbound));
            // The link of the exchange also keeps the connection open.
            if outbound && self.ready() <= 2 * self.shared.limits.target_peers {
                self.exchange(peer);
            }
        }
    }

    /// Dials a peer that is connected through a relay only and names direct addresses. Hole punching is for the case that
    /// neither side can be dialled; where one can, that is simpler and surer.
    fn go_direct(&mut self, peer: PeerId) {
        let Some(known) = self.peers.get(&peer) else {
            return;
        };
        if known.connections.values().any(|connection| !connection.relayed) {
            return;
        }
        let direct: Vec<Multiaddr> = known
            .addresses
            .iter()
            .filter(|address| !address::is_relayed(address))
            .cloned()
            .collect();
        if direct.is_empty() {
            return;
        }
        let opts = DialOpts::peer_id(peer)
            .condition(PeerCondition::Always)
            .addresses(direct)
            .build();
        let connection = opts.connection_id();
        if self.swarm.dial(opts).is_ok() {
            let dial = Dial {
                peer: Some(peer),
                reply: None,
                test: false,
            };
            self.dials.insert(connection, dial);
        }
    }

    fn exchange(&self, peer: PeerId) {
        if let Some(mesh) = self.ends.mesh.upgrade() {
            tokio::spawn(async move { discovery::ask(&mesh, peer).await });
        }
    }

    fn on_report(&mut self, peer: PeerId, offence: Offence) {
        let at = Instant::now();
        self.shared.counting.offences.add();
        tracing::debug!(%peer, ?offence, "offence");
        if self.scores.report(peer, offence, at) {
            self.put_out(peer);
        } else {
            let score = gossip::application_score(self.shared.standing(&peer), self.scores.points(&peer, at));
            self.swarm
                .behaviour_mut()
                .gossip
                .set_application_score(&peer, score);
        }
        self.dirty = true;
    }

    /// A connection on which the peer does not answer is given up, so that another way to it can be tried at once: to close it
    /// can take long.
    fn on_silence(&mut self, peer: PeerId, connection: ConnectionId) {
        tracing::debug!(%peer, %connection, "silent");
        self.swarm.close_connection(connection);
        self.swarm.behaviour_mut().streams.forget(peer, connection);
        self.forget(peer, connection);
    }

    fn put_out(&mut self, peer: PeerId) {
        tracing::info!(%peer, "put out for a while");
        self.shared.counting.bans.add();
        self.links.close_peer(peer);
        self.leave_table(&peer);
        self.swarm.behaviour_mut().guard.ban(peer, Instant::now());
    }

    fn begin_stop(&mut self) {
        if !matches!(self.phase, Phase::Running) {
            return;
        }
        self.shared.stopping.cancel();
        self.swarm.behaviour_mut().guard.stopping = true;
        let (done, wait) = oneshot::channel();
        let links = self.links.clone();
        let patience = self.shared.limits.stop_timeout;
        tokio::spawn(async move {
            links.shut(patience).await;
            answer(done, ());
        });
        self.phase = Phase::Closing(wait);
        self.ends.commands.close();
        // Those who still wait are told by their answers being dropped.
        while self.ends.commands.try_recv().is_ok() {}
    }

    fn leave(&mut self, at: Instant) {
        for listener in std::mem::take(&mut self.listeners) {
            self.swarm.remove_listener(listener);
        }
        let peers: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            // Fails only when it is gone already.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        self.phase = Phase::Leaving(at + Duration::from_secs(1));
    }
}

/// Whoever asked may have gone away; then nobody needs the answer.
fn answer<T>(reply: Answer<T>, value: T) {
    let _ = reply.send(value);
}
