//! The run loop: one task that owns the swarm. It moves bytes between libp2p and the parts of this crate; what can be
//! decided without it is decided elsewhere.

use crate::{
    Counters, GossipMessage, GossipVerdict, Kind, MeshError, MeshStatus, Multiaddr, NatStatus, Offence,
    PeerId, PeerStatus, Topic, Unreachable, address,
    behaviour::{self, BUCKET, Behaviour, BehaviourEvent},
    discovery,
    diversity::{Candidate, Entry, Table, TableCaps, spread},
    gossip, guard, limits,
    links::Links,
    mesh::{Shared, WeakMesh},
    nat::Reach,
    now,
    record::{self, MAX_ADDRESSES, PeerRecord},
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
    multiaddr::Protocol,
    ping, relay,
    swarm::{self, ConnectionId, DialError, SwarmEvent, dial_opts::DialOpts, dial_opts::PeerCondition},
};
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
    pub reports: mpsc::Receiver<(PeerId, Offence)>,
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
    announce_due: Option<Instant>,
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
            announce_due: None,
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
                Some((peer, offence)) = self.ends.reports.recv() => self.on_report(peer, offence),
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

    // ---- commands

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
        if reply.is_some() {
            self.swarm.behaviour_mut().guard.want(connection);
        }
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

    fn look_up(&mut self, peer: PeerId, reply: Answer<Vec<Multiaddr>>) {
        if self.queries.len() + 2 > self.shared.limits.dht_queries {
            return answer(reply, Vec::new());
        }
        let id = self.next_lookup;
        self.next_lookup += 1;
        let kad = &mut self.swarm.behaviour_mut().kad;
        let record = kad.get_record(record::dht_key(&peer).into());
        let closest = kad.get_closest_peers(peer);
        self.queries.insert(record, Query::Record(id));
        self.queries.insert(closest, Query::Closest(id));
        self.lookups.insert(
            id,
            Lookup {
                peer,
                reply: Some(reply),
                queries: vec![record, closest],
                hearsay: Vec::new(),
            },
        );
    }

    fn publish(&mut self, topic: &Topic, data: &Bytes) -> Result<(), MeshError> {
        let ident = self.shared.names.topic(topic);
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        match gossip.publish(ident.hash(), data.to_vec()) {
            Ok(_) => {
                self.shared.counting.gossip_out.add();
                Ok(())
            }
            Err(error) => Err(MeshError::Publish(match error {
                gossipsub::PublishError::Duplicate => "published before",
                gossipsub::PublishError::NoPeersSubscribedToTopic => "nobody listens",
                gossipsub::PublishError::MessageTooLarge => "the message is too large",
                gossipsub::PublishError::AllQueuesFull(_) => "every connection is busy",
                gossipsub::PublishError::SigningError(_) | gossipsub::PublishError::TransformFailed(_) => {
                    "it could not be signed"
                }
            })),
        }
    }

    fn provide(&mut self, key: [u8; 32], reply: Answer<Result<(), MeshError>>) {
        if !self.provided.contains(&key) && self.provided.len() >= self.shared.limits.provided {
            return answer(reply, Err(MeshError::Limit("keys provided")));
        }
        let nobody = self.table.is_empty();
        let busy = self.queries.len() >= self.shared.limits.dht_queries;
        self.provided.insert(key);
        if nobody || busy {
            // Noted; told when there is somebody to tell.
            let held = self.hold(key);
            if busy {
                self.announcements.push_back(Announcement::Content(key));
            }
            return answer(reply, held);
        }
        match self
            .swarm
            .behaviour_mut()
            .kad
            .start_providing(kad::RecordKey::new(&key))
        {
            Ok(query) => {
                self.queries.insert(query, Query::Provide(reply));
            }
            Err(_) => {
                self.provided.remove(&key);
                answer(reply, Err(MeshError::Limit("keys provided")));
            }
        }
    }

    /// Stores a record of this node's own as provider, without telling anybody.
    fn hold(&mut self, key: [u8; 32]) -> Result<(), MeshError> {
        use kad::store::RecordStore;
        let record = kad::ProviderRecord::new(kad::RecordKey::new(&key), self.shared.me, Vec::new());
        let held = self.swarm.behaviour_mut().kad.store_mut().add_provider(record);
        if held.is_err() {
            self.provided.remove(&key);
        }
        held.map_err(|_| MeshError::Limit("keys provided"))
    }

    // ---- events

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
        self.dirty = true;
        let Some(known) = self.peers.get_mut(&peer) else {
            return;
        };
        known.connections.remove(&connection);
        if !known.connections.is_empty() {
            return;
        }
        let was_ready = self.peers.remove(&peer).is_some_and(|known| known.ready);
        for reply in self.waiting.remove(&peer).unwrap_or_default() {
            answer(reply, Err(Unreachable::Failed("the connection closed".into())));
        }
        tracing::debug!(%peer, was_ready, "disconnected");
    }

    fn on_listening(&mut self, address: Multiaddr) {
        tracing::info!(%address, "listening");
        let (bare, _) = if address::is_relayed(&address) {
            (address.clone(), None)
        } else {
            address::split_peer(&address)
        };
        self.ends.listen.send_modify(|all| {
            if !all.contains(&bare) {
                all.push(bare.clone());
            }
        });
        if self.counts_as_proven(&bare) {
            self.swarm.add_external_address(bare.clone());
            self.reach.confirmed(&bare);
        }
        self.addresses_changed();
    }

    /// Whether a listen address needs no test. An address of the loopback that was asked for by number is for this
    /// machine only; and the first node of a network has nobody to test it.
    fn counts_as_proven(&self, address: &Multiaddr) -> bool {
        let config = &self.shared.config;
        if address::is_relayed(address) || !address::is_allowed(address, config.local_only) {
            return false;
        }
        if is_loopback(address) {
            return self.is_for_this_machine();
        }
        config.bootstrap.is_empty()
    }

    /// Whether the node listens on the loopback only.
    fn is_for_this_machine(&self) -> bool {
        let listen = &self.shared.config.listen;
        !listen.is_empty() && listen.iter().all(is_loopback)
    }

    fn on_listening_no_more(&mut self, gone: &[Multiaddr]) {
        self.ends.listen.send_modify(|all| {
            all.retain(|address| {
                !gone
                    .iter()
                    .any(|gone| gone == address || address::split_peer(gone).0 == *address)
            });
        });
        for address in gone {
            if self.counts_as_proven(address) {
                self.swarm.remove_external_address(address);
                self.reach.expired(address);
            }
        }
        self.addresses_changed();
    }

    fn on_listener_closed(&mut self, listener: ListenerId, reason: Result<(), std::io::Error>) {
        if self.listeners.remove(&listener) {
            tracing::warn!(?reason, "a listener closed");
        }
        let relay = self
            .relays
            .iter()
            .find(|(_, held)| held.listener == listener)
            .map(|(relay, _)| *relay);
        if let Some(relay) = relay {
            tracing::debug!(%relay, ?reason, "no place at the relay any more");
            self.relays.remove(&relay);
            self.relay_pause.insert(relay, Instant::now() + RELAY_PAUSE);
        }
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
                    self.swarm.close_connection(connection);
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
            relayed,
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
        self.links.adopt(peer, kind, stream, relayed, false);
        self.dirty = true;
    }

    fn on_identified(&mut self, peer: PeerId, connection: ConnectionId, info: identify::Info) {
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
        known.agent = info.agent_version.chars().take(64).collect();
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

    fn enter_table(&mut self, peer: PeerId, seen_at: Option<Multiaddr>, addresses: Vec<Multiaddr>) {
        let direct: Vec<Multiaddr> = addresses
            .into_iter()
            .filter(|address| !address::is_relayed(address))
            .collect();
        let Some(first) = direct.first() else { return };
        let limits = &self.shared.limits;
        // The network that the peer was seen in counts, not the one it names.
        let seen_at = seen_at
            .filter(|address| !address::is_relayed(address))
            .unwrap_or_else(|| first.clone());
        let inside = address::ip(&seen_at).is_some_and(|ip| !address::is_global(ip));
        let (per_bucket, per_table) = if inside {
            limits.table_per_prefix_local
        } else {
            (limits.table_per_prefix_bucket, limits.table_per_prefix)
        };
        let caps = TableCaps {
            per_bucket,
            per_table,
            bucket: BUCKET.get(),
        };
        let prefix = address::prefix(&seen_at);
        let standing = self.shared.standing(&peer);
        let bucket = behaviour::bucket(&self.shared.me, &peer);
        let before = self.table.len();
        match self.table.judge(caps, &peer, prefix, bucket, standing) {
            Entry::Stay => return,
            Entry::Instead(victim) => self.leave_table(&victim),
            Entry::Enter => {}
        }
        let kad = &mut self.swarm.behaviour_mut().kad;
        let mut entered = false;
        for address in direct {
            entered |= matches!(kad.add_address(&peer, address), kad::RoutingUpdate::Success);
        }
        if entered {
            self.table.enter(peer, prefix, bucket, standing);
            if self.table.len() > before && before < BUCKET.get() {
                // The first nodes of the DHT: what this node has to say was said to nobody yet.
                let due = Instant::now() + Duration::from_secs(1);
                self.announce_due = Some(self.announce_due.map_or(due, |at| at.min(due)));
            }
        }
    }

    fn leave_table(&mut self, peer: &PeerId) {
        self.table.leave(peer);
        self.swarm.behaviour_mut().kad.remove_peer(peer);
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

    fn put_out(&mut self, peer: PeerId) {
        tracing::info!(%peer, "put out for a while");
        self.shared.counting.bans.add();
        self.links.close_peer(peer);
        self.leave_table(&peer);
        self.swarm.behaviour_mut().guard.ban(peer, Instant::now());
    }

    // ---- DHT

    fn on_kad(&mut self, event: kad::Event) {
        match event {
            kad::Event::InboundRequest { request } => self.on_kad_request(request),
            kad::Event::OutboundQueryProgressed { id, result, step, .. } => {
                self.on_query(id, result, step.last)
            }
            kad::Event::RoutingUpdated {
                peer,
                is_new_peer: true,
                addresses,
                old_peer,
                ..
            } => {
                if let Some(old) = old_peer {
                    self.table.leave(&old);
                }
                // Entered by itself when its bucket had room: it is judged like everybody.
                if !self.table.contains(&peer) {
                    let addresses: Vec<Multiaddr> = addresses.iter().cloned().collect();
                    self.enter_table(
                        peer,
                        None,
                        address::clean(addresses, &peer, self.shared.config.local_only, MAX_ADDRESSES),
                    );
                    if !self.table.contains(&peer) {
                        self.swarm.behaviour_mut().kad.remove_peer(&peer);
                    }
                }
            }
            _ => {}
        }
    }

    fn on_kad_request(&mut self, request: kad::InboundRequest) {
        use kad::store::RecordStore;
        let refused = match request {
            kad::InboundRequest::AddProvider { record: Some(record) } => {
                // The behaviour has checked that the provider is the one who sent it.
                let peer = record.provider;
                if self.shared.rates.dht_writes.allow(&peer, 1) {
                    self.swarm
                        .behaviour_mut()
                        .kad
                        .store_mut()
                        .add_provider(record)
                        .is_err()
                } else {
                    self.on_report(peer, Offence::Flood);
                    true
                }
            }
            kad::InboundRequest::PutRecord {
                source,
                record: Some(mut record),
                ..
            } => {
                if !self.shared.rates.dht_writes.allow(&source, 1) {
                    self.on_report(source, Offence::Flood);
                    true
                } else {
                    let store = self.swarm.behaviour_mut().kad.store_mut();
                    match store.check(&record) {
                        Ok(checked) => {
                            record.publisher = None;
                            let stored = store.put(record);
                            discovery::take(&self.shared, checked);
                            stored.is_err()
                        }
                        Err(error) => {
                            tracing::debug!(peer = %source, %error, "bad record for the DHT");
                            self.shared.counting.records_refused.add();
                            self.on_report(source, Offence::BadRecord);
                            true
                        }
                    }
                }
            }
            _ => false,
        };
        if refused {
            self.shared.counting.dht_refused.add();
        }
    }

    fn on_query(&mut self, id: QueryId, result: kad::QueryResult, last: bool) {
        match result {
            kad::QueryResult::GetRecord(Ok(kad::GetRecordOk::FoundRecord(found))) => {
                self.on_found_record(id, &found)
            }
            kad::QueryResult::GetClosestPeers(result) => {
                let peers = match result {
                    Ok(ok) => ok.peers,
                    Err(kad::GetClosestPeersError::Timeout { peers, .. }) => peers,
                };
                if let Some(Query::Closest(lookup)) = self.queries.get(&id)
                    && let Some(lookup) = self.lookups.get_mut(lookup)
                {
                    let named = peers.into_iter().find(|info| info.peer_id == lookup.peer);
                    lookup.hearsay = named.map(|info| info.addrs).unwrap_or_default();
                    lookup.hearsay.truncate(2 * MAX_ADDRESSES);
                }
            }
            kad::QueryResult::GetProviders(Ok(kad::GetProvidersOk::FoundProviders { providers, .. })) => {
                let enough = match self.queries.get(&id) {
                    // Full or gone: whoever asked has enough.
                    Some(Query::Providers(reply)) => {
                        providers.into_iter().any(|peer| reply.try_send(peer).is_err())
                    }
                    _ => false,
                };
                if enough && let Some(mut query) = self.swarm.behaviour_mut().kad.query_mut(&id) {
                    query.finish();
                }
            }
            kad::QueryResult::StartProviding(result) => {
                if let Some(Query::Provide(_)) = self.queries.get(&id)
                    && let Some(Query::Provide(reply)) = self.queries.remove(&id)
                {
                    answer(
                        reply,
                        result.map(drop).map_err(|_| MeshError::Dht("no answer in time")),
                    );
                    return;
                }
            }
            _ => {}
        }
        if last {
            self.end_query(id);
        }
    }

    fn on_found_record(&mut self, id: QueryId, found: &kad::PeerRecord) {
        let Some(Query::Record(lookup)) = self.queries.get(&id) else {
            return;
        };
        let lookup = *lookup;
        let checked = match self.swarm.behaviour_mut().kad.store_mut().check(&found.record) {
            Ok(checked) => checked,
            Err(error) => {
                self.shared.counting.records_refused.add();
                if let Some(source) = found.peer {
                    tracing::debug!(peer = %source, %error, "bad record from the DHT");
                    self.on_report(source, Offence::BadRecord);
                }
                return;
            }
        };
        let addresses = checked.addresses.clone();
        let wanted = self
            .lookups
            .get(&lookup)
            .is_some_and(|lookup| lookup.peer == checked.peer);
        discovery::take(&self.shared, checked);
        if !wanted || addresses.is_empty() {
            return;
        }
        let Some(done) = self.lookups.get_mut(&lookup) else {
            return;
        };
        if let Some(reply) = done.reply.take() {
            answer(reply, addresses);
        }
        for query in done.queries.clone() {
            if let Some(mut query) = self.swarm.behaviour_mut().kad.query_mut(&query) {
                query.finish();
            }
        }
    }

    fn end_query(&mut self, id: QueryId) {
        match self.queries.remove(&id) {
            Some(Query::Record(lookup) | Query::Closest(lookup)) => {
                let Some(open) = self.lookups.get_mut(&lookup) else {
                    return;
                };
                open.queries.retain(|query| *query != id);
                if open.queries.is_empty()
                    && let Some(done) = self.lookups.remove(&lookup)
                    && let Some(reply) = done.reply
                {
                    answer(reply, done.hearsay);
                }
            }
            Some(Query::Announce) => self.announcing = self.announcing.saturating_sub(1),
            // Dropping the sender tells that there is no more.
            Some(Query::Providers(_) | Query::Provide(_)) | None => {}
        }
    }

    fn announce(&mut self) {
        while self.announcing < ANNOUNCING && self.queries.len() < self.shared.limits.dht_queries {
            let Some(next) = self.announcements.pop_front() else {
                return;
            };
            let kad = &mut self.swarm.behaviour_mut().kad;
            let query = match next {
                Announcement::Record => {
                    let Some(own) = self.shared.own() else { continue };
                    let record = kad::Record::new(record::dht_key(&own.peer), own.bytes.to_vec());
                    kad.put_record(record, kad::Quorum::One)
                }
                Announcement::Content(key) => {
                    if !self.provided.contains(&key) {
                        continue;
                    }
                    kad.start_providing(kad::RecordKey::new(&key))
                }
            };
            match query {
                Ok(query) => {
                    self.queries.insert(query, Query::Announce);
                    self.announcing += 1;
                }
                Err(error) => tracing::debug!(%error, "not announced"),
            }
        }
    }

    // ---- gossip

    fn follow_topics(&mut self) {
        let wanted: HashSet<Topic> = self.shared.subscriptions.topics().into_iter().collect();
        let new: Vec<Topic> = wanted.difference(&self.topics).cloned().collect();
        let gone: Vec<Topic> = self.topics.difference(&wanted).cloned().collect();
        for topic in new {
            let ident = self.shared.names.topic(&topic);
            let gossip = &mut self.swarm.behaviour_mut().gossip;
            if let Err(error) = gossip.set_topic_params(ident.clone(), gossip::topic_params()) {
                tracing::warn!(%topic, error, "no scores for the topic");
            }
            match gossip.subscribe(&ident) {
                Ok(_) => {
                    self.topics.insert(topic);
                }
                Err(error) => tracing::warn!(%topic, %error, "not subscribed"),
            }
        }
        for topic in gone {
            let ident = self.shared.names.topic(&topic);
            self.swarm.behaviour_mut().gossip.unsubscribe(&ident);
            self.topics.remove(&topic);
        }
        self.dirty = true;
    }

    fn on_gossip(&mut self, from: PeerId, id: &gossipsub::MessageId, message: gossipsub::Message) {
        let verdict = self.judge_gossip(from, message);
        let acceptance = match verdict {
            GossipVerdict::Accept => gossipsub::MessageAcceptance::Accept,
            GossipVerdict::Ignore => gossipsub::MessageAcceptance::Ignore,
            GossipVerdict::Reject => gossipsub::MessageAcceptance::Reject,
        };
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        gossip.report_message_validation_result(id, &from, acceptance);
    }

    fn judge_gossip(&mut self, from: PeerId, message: gossipsub::Message) -> GossipVerdict {
        let counting = &self.shared.counting;
        let (Some(author), Some(topic)) =
            (message.source, self.shared.names.topic_of(message.topic.as_str()))
        else {
            counting.gossip_bad.add();
            return GossipVerdict::Reject;
        };
        if message.data.len() > self.shared.limits.gossip_bytes {
            counting.gossip_bad.add();
            return GossipVerdict::Reject;
        }
        // Who passes on what has no standing may know a newer block: that is not held against it.
        let banned = self.swarm.behaviour().guard.bans.holds(&author, Instant::now());
        if banned || !self.shared.standing(&author) || !self.shared.rates.gossip.allow(&author, 1) {
            tracing::debug!(%author, %from, %topic, banned, "gossip ignored");
            counting.gossip_ignored.add();
            return GossipVerdict::Ignore;
        }
        let message = GossipMessage {
            from: author,
            topic,
            data: message.data.into(),
        };
        let verdict = self.shared.subscriptions.judge(&message);
        match verdict {
            GossipVerdict::Accept => {
                counting.gossip_in.add();
                for _ in 0..self.shared.subscriptions.deliver(&message) {
                    counting.gossip_dropped.add();
                }
            }
            GossipVerdict::Ignore => counting.gossip_ignored.add(),
            GossipVerdict::Reject => {
                counting.gossip_bad.add();
                self.on_report(author, Offence::BadGossip);
                if from != author {
                    self.on_report(from, Offence::BadGossip);
                }
            }
        }
        verdict
    }

    // ---- own address

    fn addresses_changed(&mut self) {
        self.record_due.get_or_insert(Instant::now() + SETTLE);
        self.dirty = true;
    }

    /// What this node tells others about where it is.
    fn own_addresses(&self) -> Vec<Multiaddr> {
        let listen = self.ends.listen.borrow();
        let relayed = listen.iter().filter(|address| address::is_relayed(address));
        let mut own: Vec<Multiaddr> = self.reach.proven().chain(relayed).cloned().collect();
        if own.is_empty() {
            // Nothing is proven yet; better a hint than nothing.
            let allowed = |address: &&Multiaddr| {
                address::is_allowed(address, self.shared.config.local_only)
                    && (!is_loopback(address) || self.is_for_this_machine())
            };
            own = listen.iter().filter(allowed).cloned().collect();
        }
        own.truncate(MAX_ADDRESSES);
        own
    }

    fn renew_record(&mut self) {
        let addresses = self.own_addresses();
        let config = &self.shared.config;
        let relay = config.relay_server && self.nat == NatStatus::Public;
        let region = crate::config::region(&config.region);
        if let Some(held) = self.shared.own()
            && held.addresses == addresses
            && held.relay == relay
            && held.region == region
        {
            return;
        }
        let millis = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        self.sequence = millis.max(self.sequence.saturating_add(1));
        match PeerRecord::sign(
            &config.keypair,
            &config.genesis,
            self.sequence,
            &addresses,
            &region,
            relay,
        ) {
            Ok(record) => {
                tracing::debug!(?addresses, relay, "new record");
                *self
                    .shared
                    .own
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(record);
                self.announcements.push_back(Announcement::Record);
            }
            Err(error) => tracing::warn!(%error, "no record"),
        }
    }

    /// Follows reachability: serving the DHT and relaying need it, the lack of it needs a relay.
    fn follow_nat(&mut self, at: Instant) {
        let nat = self.reach.status(at);
        if nat != self.nat {
            tracing::info!(?nat, "reachability");
            self.nat = nat;
            let public = nat == NatStatus::Public;
            let behaviour = self.swarm.behaviour_mut();
            behaviour.kad.set_mode(Some(if public {
                kad::Mode::Server
            } else {
                kad::Mode::Client
            }));
            if let Some(relay) = behaviour.relay_server.as_mut() {
                relay.set_status(Some(if public {
                    relay::Status::Enable
                } else {
                    relay::Status::Disable
                }));
            }
            self.addresses_changed();
        }
        if nat == NatStatus::Private {
            self.seek_relay(at);
        }
    }

    fn seek_relay(&mut self, at: Instant) {
        self.relay_pause.retain(|_, until| *until > at);
        let late: Vec<PeerId> = self
            .relays
            .iter()
            .filter(|(_, held)| !held.held && at.saturating_duration_since(held.asked) > RELAY_WAIT)
            .map(|(relay, _)| *relay)
            .collect();
        for relay in late {
            // By closing the connection, which closes the listener: removing the listener while the relay's answer may be
            // on its way makes libp2p's relay client panic.
            self.relays.remove(&relay);
            self.relay_pause.insert(relay, at + RELAY_PAUSE * 6);
            self.swarm.behaviour_mut().guard.close(relay);
        }
        while self.relays.len() < self.shared.limits.relay_slots {
            let usable = self.peers.iter().filter(|(peer, known)| {
                known.ready
                    && known.relay
                    && !self.relays.contains_key(*peer)
                    && !self.relay_pause.contains_key(*peer)
            });
            let best = usable
                .filter_map(|(peer, known)| Some((*peer, relay_address(known)?)))
                .min_by_key(|(peer, _)| (!self.shared.standing(peer), *peer));
            let Some((relay, via)) = best else { return };
            let (bare, _) = address::split_peer(&via);
            let listen_at = bare.with(Protocol::P2p(relay)).with(Protocol::P2pCircuit);
            match self.swarm.listen_on(listen_at) {
                Ok(listener) => {
                    tracing::debug!(%relay, "asks for a place");
                    self.relays.insert(
                        relay,
                        Reservation {
                            listener,
                            held: false,
                            asked: at,
                        },
                    );
                }
                Err(error) => {
                    tracing::debug!(%relay, %error, "can not ask for a place");
                    self.relay_pause.insert(relay, at + RELAY_PAUSE);
                }
            }
        }
    }

    // ---- upkeep

    fn ready(&self) -> usize {
        self.peers.values().filter(|known| known.ready).count()
    }

    /// Returns true when the node has stopped.
    fn on_tick(&mut self) -> bool {
        let at = Instant::now();
        match &mut self.phase {
            Phase::Running => {}
            Phase::Closing(done) => {
                if done.try_recv() != Err(oneshot::error::TryRecvError::Empty) {
                    self.leave(at);
                }
                return false;
            }
            Phase::Leaving(until) => return self.peers.is_empty() || at >= *until,
        }
        self.join(at);
        self.keep_company(at);
        self.follow_nat(at);
        if self.record_due.is_some_and(|due| at >= due) {
            self.record_due = None;
            self.renew_record();
        }
        if self.announce_due.is_some_and(|due| at >= due) && !self.table.is_empty() {
            self.announce_due = Some(at + ANNOUNCE);
            self.announcements.clear();
            self.announcements.push_back(Announcement::Record);
            self.announcements
                .extend(self.provided.iter().map(|key| Announcement::Content(*key)));
        }
        self.announce();
        if at >= self.exchange_due {
            let hungry = self.ready() < self.shared.limits.target_peers;
            self.exchange_due = at + if hungry { EXCHANGE_HUNGRY } else { EXCHANGE };
            let ready: Vec<PeerId> = self
                .peers
                .iter()
                .filter(|(_, known)| known.ready)
                .map(|(peer, _)| *peer)
                .collect();
            if !ready.is_empty() {
                self.exchange(ready[rand::random_range(0..ready.len())]);
            }
        }
        if at >= self.look_due {
            self.look_due = at + LOOK;
            self.close_strangers(at);
            self.test_address();
        }
        if at >= self.save_due {
            self.save_due = at + SAVE;
            self.save();
        }
        if at >= self.prune_due {
            self.prune_due = at + limits::PRUNE;
            self.shared.rates.prune();
            self.links.prune(at);
        }
        if at >= self.clean_due {
            self.clean_due = at + CLEAN;
            self.clean(at);
        }
        let counters = self.shared.counting.read();
        if std::mem::take(&mut self.dirty) || counters != self.told {
            self.told = counters;
            self.tell();
        }
        false
    }

    /// Dials the bootstrap addresses while this node knows hardly anybody.
    fn join(&mut self, at: Instant) {
        let (due, pause) = self.join;
        let ready = self.ready();
        if at < due
            || self.shared.config.bootstrap.is_empty()
            || ready >= self.shared.limits.target_peers.min(3)
        {
            return;
        }
        self.join = (at + pause, (pause * 2).min(JOIN.1));
        if ready == 0 {
            // Alone: do not wait ever longer.
            self.join.1 = self.join.1.min(JOIN.0 * 4);
        }
        for address in self.shared.config.bootstrap.clone() {
            match address::split_peer(&address) {
                (bare, Some(peer)) => {
                    if peer != self.shared.me && !self.is_busy_with(&peer) {
                        let whole = if address::is_relayed(&address) {
                            address
                        } else {
                            bare
                        };
                        self.dial(peer, vec![whole], None);
                    }
                }
                (bare, None) => {
                    let connected = self.peers.values().any(|known| {
                        known
                            .connections
                            .values()
                            .any(|c| address::split_peer(&c.address).0 == bare)
                    });
                    if !connected {
                        let opts = DialOpts::unknown_peer_id().address(bare).build();
                        let connection = opts.connection_id();
                        if self.swarm.dial(opts).is_ok() {
                            let dial = Dial {
                                peer: None,
                                reply: None,
                                test: false,
                            };
                            self.dials.insert(connection, dial);
                        }
                    }
                }
            }
        }
    }

    fn is_busy_with(&self, peer: &PeerId) -> bool {
        self.peers.contains_key(peer) || self.dials.values().any(|dial| dial.peer == Some(*peer))
    }

    /// Closes connections with peers that do not say who they are.
    fn close_strangers(&mut self, at: Instant) {
        for (peer, known) in &self.peers {
            if !known.ready && at.saturating_duration_since(known.since) > INTRODUCTION {
                tracing::debug!(%peer, "does not identify itself");
                self.swarm.behaviour_mut().guard.close(*peer);
            }
        }
    }

    /// Tests whether one of those who connected to this node can be reached where it says: only such peers are passed
    /// on to others.
    fn test_address(&mut self) {
        let at = now();
        let due = |peer: &PeerId| {
            let book = self.shared.book();
            let known = book.get(peer)?;
            let fresh = at.saturating_sub(known.verified) < 12 * RETEST;
            let tried = at.saturating_sub(known.tried) < RETEST;
            let direct: Vec<Multiaddr> = known
                .addresses()
                .into_iter()
                .filter(|a| !address::is_relayed(a))
                .collect();
            (!fresh && !tried && !direct.is_empty()).then_some(direct)
        };
        let next = self
            .peers
            .iter()
            .filter(|(_, known)| known.ready && known.connections.len() == 1)
            .find_map(|(peer, _)| Some((*peer, due(peer)?)));
        let Some((peer, addresses)) = next else { return };
        self.shared.book().note_dial(&peer, at);
        let opts = DialOpts::peer_id(peer)
            .condition(PeerCondition::Always)
            .addresses(addresses)
            // From another port than the one the peer knows: a hole in its NAT would prove nothing.
            .allocate_new_port()
            .build();
        let connection = opts.connection_id();
        if self.swarm.dial(opts).is_ok() {
            let dial = Dial {
                peer: Some(peer),
                reply: None,
                test: true,
            };
            self.dials.insert(connection, dial);
        }
    }

    /// Dials peers of the book while there are too few connections, or too few that this node chose itself.
    fn keep_company(&mut self, at: Instant) {
        let target = self.shared.limits.target_peers;
        let ready = self.ready();
        let chosen = self.swarm.behaviour().guard.outbound();
        let want = target
            .saturating_sub(ready)
            .max((target / 2).saturating_sub(chosen.len()));
        let under_way = self
            .dials
            .values()
            .filter(|dial| dial.reply.is_none() && !dial.test)
            .count();
        let room = want.min(OWN_DIALS.saturating_sub(under_way));
        if room == 0 || at < self.company_due {
            return;
        }
        let bans = &self.swarm.behaviour().guard.bans;
        let out = |peer: &PeerId| self.is_busy_with(peer) || bans.holds(peer, at) || *peer == self.shared.me;
        let mut candidates = self
            .shared
            .book()
            .candidates(out, |peer| self.shared.region(peer), now());
        candidates.extend(self.unknown_hosts(out));
        if candidates.is_empty() {
            // The book and the chain are not searched again at once.
            self.company_due = at + LOOK;
        }
        for candidate in spread(candidates, &chosen, room, &mut rand::rng()) {
            let (direct, _) = self.shared.addresses(&candidate.peer);
            if !self.shared.book().contains(&candidate.peer) {
                self.hosts_tried.insert(candidate.peer, at);
            }
            self.dial(candidate.peer, direct, None);
        }
    }

    /// Hosts of the chain that the book does not have: some of them, of whom the chain knows an address.
    fn unknown_hosts(&self, out: impl Fn(&PeerId) -> bool) -> Vec<Candidate> {
        let hosts = self.shared.directory.hosts();
        let sample = rand::seq::index::sample(&mut rand::rng(), hosts.len(), hosts.len().min(HOSTS));
        let book = self.shared.book();
        let unknown = sample
            .into_iter()
            .map(|index| hosts[index])
            .filter(|peer| !book.contains(peer) && !self.hosts_tried.contains_key(peer) && !out(peer));
        unknown
            .filter_map(|peer| {
                let standing = self.shared.directory.standing(&peer)?;
                let local = self.shared.config.local_only;
                let addresses = address::clean(standing.endpoints, &peer, local, MAX_ADDRESSES);
                let first = addresses.iter().find(|address| !address::is_relayed(address))?;
                Some(Candidate {
                    peer,
                    prefix: address::prefix(first),
                    region: standing.region,
                    standing: true,
                })
            })
            .collect()
    }

    fn clean(&mut self, at: Instant) {
        let shared = self.shared.clone();
        shared.book().prune(|peer| shared.standing(peer), now());
        self.scores.prune(at);
        self.hosts_tried
            .retain(|_, tried| at.saturating_duration_since(*tried) < 5 * CLEAN);
        self.swarm.behaviour_mut().kad.store_mut().prune(at);
        let peers: Vec<PeerId> = self.peers.keys().copied().collect();
        for peer in peers {
            let score = gossip::application_score(shared.standing(&peer), self.scores.points(&peer, at));
            self.swarm
                .behaviour_mut()
                .gossip
                .set_application_score(&peer, score);
        }
        self.follow_topics();
        self.waiting.retain(|_, all| {
            all.retain(|reply| !reply.is_closed());
            !all.is_empty()
        });
        self.dirty = true;
    }

    fn save(&self) {
        let Some(dir) = &self.shared.config.state_dir else {
            return;
        };
        let snapshot = {
            let mut book = self.shared.book();
            if !book.is_dirty() {
                return;
            }
            book.snapshot(dir, self.shared.config.genesis, self.sequence)
        };
        tokio::task::spawn_blocking(move || {
            if let Err(error) = snapshot.write() {
                tracing::warn!(%error, "not saved");
            }
        });
    }

    /// Tells everybody who watches.
    fn tell(&mut self) {
        let at = Instant::now();
        let guard = &self.swarm.behaviour().guard;
        self.shared.counting.connections_refused.set(guard.refused);
        self.shared.counting.connections_evicted.set(guard.evicted);
        let banned = guard.bans.len(at);
        let mut peers: Vec<PeerStatus> = self
            .peers
            .iter()
            .filter_map(|(peer, known)| {
                let (_, best) = known.best()?;
                Some(PeerStatus {
                    peer: *peer,
                    address: best.address.clone(),
                    relayed: best.relayed,
                    outbound: best.outbound,
                    ready: known.ready,
                    rtt: known.rtt,
                    kinds: self.links.kinds(*peer),
                    points: self.scores.points(peer, at),
                    standing: self.shared.standing(peer),
                    relay: known.relay,
                    agent: known.agent.clone(),
                })
            })
            .collect();
        peers.sort_by_key(|status| status.peer);
        let mut relays: Vec<PeerId> = self
            .relays
            .iter()
            .filter(|(_, r)| r.held)
            .map(|(relay, _)| *relay)
            .collect();
        relays.sort();
        let status = MeshStatus {
            peers,
            nat: self.nat,
            external: self.own_addresses(),
            relays,
            dht_server: self.swarm.behaviour().kad.mode() == kad::Mode::Server,
            table: self.table.len(),
            book: self.shared.book().len(),
            dht_stored: self.swarm.behaviour_mut().kad.store_mut().counts(),
            topics: self.topics.len(),
            banned,
            counters: self.shared.counting.read(),
        };
        self.ends.status.send_if_modified(|held| {
            let changed = *held != status;
            *held = status;
            changed
        });
    }

    // ---- end

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

fn is_loopback(address: &Multiaddr) -> bool {
    address::ip(address).is_some_and(|ip| ip.is_loopback())
}

/// An address of a connected relay that others could use too.
fn relay_address(known: &Peer) -> Option<Multiaddr> {
    let (_, best) = known.best()?;
    if best.relayed {
        return None;
    }
    if best.outbound {
        return Some(best.address.clone());
    }
    known
        .addresses
        .iter()
        .find(|address| !address::is_relayed(address))
        .cloned()
}

/// Whoever asked may have gone away; then nobody needs the answer.
fn answer<T>(reply: Answer<T>, value: T) {
    let _ = reply.send(value);
}
