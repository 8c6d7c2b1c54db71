//! The handle: what the worker holds.

use crate::{
    CallError, Config, Directory, GossipMessage, Kind, MeshError, MeshStatus, Multiaddr, Offence, PeerId,
    Service, Topic, Unreachable, address,
    book::Book,
    config::{self, Limits, Names},
    discovery,
    gossip::{Subscriptions, Validator},
    limits::Rates,
    link::{Call, LinkStats},
    links::{Begin, Links, OpenFailure, Report},
    node::{self, Command, Node},
    now,
    record::PeerRecord,
    status::Counting,
    streams::OpenError,
};
use bytes::Bytes;
use std::{
    collections::HashSet,
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// Commands that wait for the loop.
const COMMANDS: usize = 1_024;
/// Offences that wait for the loop.
const REPORTS: usize = 1_024;
/// How long direct addresses are tried before relays are tried as well.
const HEAD_START: Duration = Duration::from_millis(1_500);
/// How long the DHT may look for a peer that is to be called.
const LOOKUP: Duration = Duration::from_secs(8);
/// How long a call waits for a node that has just started to know anybody.
const JOINING: Duration = Duration::from_secs(3);
/// Relays that are asked for a peer of which no address is known.
const GUESSED_RELAYS: usize = 3;

/// What handles and loop share.
pub(crate) struct Shared {
    pub me: PeerId,
    pub config: Config,
    pub names: Arc<Names>,
    pub limits: Arc<Limits>,
    pub directory: Arc<dyn Directory>,
    pub book: Mutex<Book>,
    /// This node's own record as it is told to others.
    pub own: Mutex<Option<PeerRecord>>,
    pub rates: Arc<Rates>,
    pub counting: Arc<Counting>,
    pub subscriptions: Subscriptions,
    pub stopping: CancellationToken,
}

impl Shared {
    pub fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub fn own(&self) -> Option<PeerRecord> {
        self.own
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    pub fn standing(&self, peer: &PeerId) -> bool {
        self.directory.standing(peer).is_some()
    }

    pub fn region(&self, peer: &PeerId) -> Option<String> {
        self.directory.standing(peer).map(|standing| standing.region)
    }

    /// Where a peer may be, direct addresses and relayed ones: from the chain first, then from the book.
    pub fn addresses(&self, peer: &PeerId) -> (Vec<Multiaddr>, Vec<Multiaddr>) {
        let endpoints = self
            .directory
            .standing(peer)
            .map(|standing| standing.endpoints)
            .unwrap_or_default();
        let known = self
            .book()
            .get(peer)
            .map(|known| known.addresses())
            .unwrap_or_default();
        let all = address::clean(
            endpoints.into_iter().chain(known),
            peer,
            self.config.local_only,
            4 * crate::record::MAX_ADDRESSES,
        );
        all.into_iter().partition(|address| !address::is_relayed(address))
    }
}

/// A node of the mesh. Clones are the same node.
#[derive(Clone)]
pub struct Mesh {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    links: Arc<Links>,
    commands: mpsc::Sender<Command>,
    reports: mpsc::Sender<Report>,
    listen: watch::Receiver<Vec<Multiaddr>>,
    status: watch::Receiver<MeshStatus>,
    stopped: CancellationToken,
}

impl Mesh {
    /// Starts a node: binds its addresses, restores its book, and runs it in the background of the current tokio
    /// runtime. `services` answer requests; a kind without one is refused, and [`Kind::Discovery`] is the mesh's own.
    /// The join handle ends when the node has stopped.
    ///
    /// # Errors
    /// [`MeshError::Config`], [`MeshError::Transport`] (an address can not be listened on) or [`MeshError::Book`].
    pub fn spawn(
        config: Config,
        directory: Arc<dyn Directory>,
        services: Vec<(Kind, Arc<dyn Service>)>,
    ) -> Result<(Self, JoinHandle<()>), MeshError> {
        config::check(&config)?;
        if services.iter().any(|(kind, _)| *kind == Kind::Discovery) {
            return Err(MeshError::Config("discovery is served by the mesh itself"));
        }
        let kinds: HashSet<Kind> = services.iter().map(|(kind, _)| *kind).collect();
        if kinds.len() != services.len() {
            return Err(MeshError::Config("two services of one kind"));
        }
        let me = config.keypair.public().to_peer_id();
        let names = Arc::new(Names::new(config.genesis)?);
        let limits = Arc::new(config.limits.clone());
        let (book, sequence) = match &config.state_dir {
            Some(dir) => Book::load(dir, &config.genesis, me, limits.book, config.local_only, now())?,
            None => (Book::new(me, limits.book, config.local_only), 0),
        };
        let rates = Arc::new(Rates::new(&limits));
        let counting = Arc::new(Counting::default());
        let shared = Arc::new(Shared {
            me,
            names,
            directory,
            book: Mutex::new(book),
            own: Mutex::new(None),
            rates: rates.clone(),
            counting: counting.clone(),
            subscriptions: Subscriptions::new(&limits),
            stopping: CancellationToken::new(),
            limits: limits.clone(),
            config,
        });
        let mut services = services;
        services.push((
            Kind::Discovery,
            Arc::new(discovery::Exchange::new(shared.clone())),
        ));
        let served: Vec<Kind> = services.iter().map(|(kind, _)| *kind).collect();
        let (reports, reported) = mpsc::channel(REPORTS);
        let links = Links::new(
            me,
            limits,
            shared.directory.clone(),
            services,
            rates,
            counting,
            shared.stopping.clone(),
            reports.clone(),
        );
        let (commands, commanded) = mpsc::channel(COMMANDS);
        let (listen_sender, listen) = watch::channel(Vec::new());
        let (status_sender, status) = watch::channel(MeshStatus::default());
        let stopped = CancellationToken::new();
        // The loop holds no handle that keeps it alive: when the last one is dropped the node stops.
        let (weak_inner, inner);
        {
            let made = Arc::new(Inner {
                shared: shared.clone(),
                links: links.clone(),
                commands,
                reports,
                listen,
                status,
                stopped: stopped.clone(),
            });
            weak_inner = Arc::downgrade(&made);
            inner = made;
        }
        let node = Node::new(
            shared,
            links,
            served,
            node::Ends {
                commands: commanded,
                reports: reported,
                listen: listen_sender,
                status: status_sender,
                mesh: WeakMesh(weak_inner),
            },
            sequence,
        )?;
        let task = tokio::spawn(async move {
            // Cancelled also when the loop panics, so that nobody waits for ever.
            let _stopped = stopped.drop_guard();
            node.run().await;
        });
        Ok((Self { inner }, task))
    }

    /// This node's id.
    pub fn local_peer(&self) -> PeerId {
        self.inner.shared.me
    }

    /// Addresses that the node listens on, as they come and go, without `/p2p/` at the end; relayed ones in full.
    pub fn listen_addresses(&self) -> watch::Receiver<Vec<Multiaddr>> {
        self.inner.listen.clone()
    }

    /// The node's state, renewed when it changes (at most five times a second).
    pub fn status(&self) -> watch::Receiver<MeshStatus> {
        self.inner.status.clone()
    }

    /// Connects with a peer at the given addresses or, without any, wherever it is known to be. Returns once the two
    /// have identified each other as nodes of one chain.
    ///
    /// # Errors
    /// [`MeshError::Unreachable`] with the reason, [`MeshError::Stopped`].
    pub async fn connect(&self, peer: PeerId, addresses: Vec<Multiaddr>) -> Result<(), MeshError> {
        let limit = self.inner.shared.limits.open_timeout;
        let work = async {
            if addresses.is_empty() {
                self.establish(peer).await?;
            } else {
                let (direct, relayed) = addresses
                    .into_iter()
                    .partition(|address| !address::is_relayed(address));
                self.race(peer, direct, relayed).await?;
            }
            let (reply, answer) = oneshot::channel();
            self.send(Command::Ready { peer, reply })
                .await
                .map_err(|_| Failure::Stopped)?;
            answer
                .await
                .map_err(|_| Failure::Stopped)?
                .map_err(Failure::Unreachable)
        };
        let failure = match timeout(limit, self.unless_stopped(work)).await {
            Ok(Some(Ok(()))) => return Ok(()),
            Ok(Some(Err(failure))) => failure,
            Ok(None) => Failure::Stopped,
            Err(_) => Failure::Unreachable(Unreachable::Timeout),
        };
        Err(match failure {
            Failure::Stopped => MeshError::Stopped,
            Failure::Unreachable(reason) => MeshError::Unreachable { peer, reason },
        })
    }

    /// Sends a request to a peer and waits for its answer, at most for the call's timeout. When there is no link of
    /// this kind with the peer yet it is opened, and if need be the peer found and connected with: at the addresses of
    /// the chain and of signed records, through the DHT, through a relay.
    ///
    /// # Errors
    /// [`CallError`]. Nothing was sent with [`CallError::Unreachable`] and [`CallError::Unsupported`]; with
    /// [`CallError::Link`] the peer may have received the request.
    pub async fn call(&self, peer: PeerId, kind: Kind, call: Call) -> Result<Bytes, CallError> {
        let inner = &*self.inner;
        inner.shared.counting.calls.add();
        let result = self.call_link(peer, kind, call).await;
        if result.is_err() {
            inner.shared.counting.calls_failed.add();
        }
        result
    }

    async fn call_link(&self, peer: PeerId, kind: Kind, mut call: Call) -> Result<Bytes, CallError> {
        let deadline = Instant::now() + call.timeout;
        let link = match self.inner.links.get(peer, kind) {
            Some(link) => link,
            None => {
                let link = self.link(peer, kind, deadline).await?;
                call.timeout = deadline.saturating_duration_since(Instant::now());
                link
            }
        };
        Ok(link.call(call).await?)
    }

    /// An open link, opened if need be by a task that goes on when this caller gives up.
    async fn link(
        &self,
        peer: PeerId,
        kind: Kind,
        deadline: Instant,
    ) -> Result<crate::link::Link, CallError> {
        let unreachable = |reason| CallError::Unreachable { peer, reason };
        let failed = |failure| match failure {
            OpenFailure::Unreachable(reason) => unreachable(reason),
            OpenFailure::Unsupported => CallError::Unsupported { peer, kind },
            OpenFailure::Stopped => CallError::Stopped,
        };
        if peer == self.inner.shared.me {
            return Err(unreachable(Unreachable::Myself));
        }
        if self.inner.shared.stopping.is_cancelled() {
            return Err(CallError::Stopped);
        }
        let mut opening = match self.inner.links.begin(peer, kind) {
            Begin::Open(link) => return Ok(link),
            Begin::Refused(failure) => return Err(failed(failure)),
            Begin::Wait(opening) => opening,
            Begin::Start(sender) => {
                let opening = sender.subscribe();
                self.start(peer, kind, sender);
                opening
            }
        };
        match timeout_at(deadline, opening.wait_for(Option::is_some)).await {
            Ok(Ok(outcome)) => match &*outcome {
                Some(Ok(link)) => Ok(link.clone()),
                Some(Err(failure)) => Err(failed(failure.clone())),
                None => Err(CallError::Stopped),
            },
            Ok(Err(_)) => Err(CallError::Stopped),
            Err(_) => Err(unreachable(Unreachable::Timeout)),
        }
    }

    fn start(&self, peer: PeerId, kind: Kind, sender: watch::Sender<crate::links::Outcome>) {
        let mesh = self.clone();
        tokio::spawn(async move {
            let limit = mesh.inner.shared.limits.open_timeout;
            let outcome = match timeout(limit, mesh.unless_stopped(mesh.open(peer, kind))).await {
                Ok(Some(outcome)) => outcome,
                Ok(None) => Err(OpenFailure::Stopped),
                Err(_) => Err(OpenFailure::Unreachable(Unreachable::Timeout)),
            };
            mesh.inner.links.finish(peer, kind, &sender, outcome);
        });
    }

    async fn open(&self, peer: PeerId, kind: Kind) -> Result<crate::link::Link, OpenFailure> {
        let inner = &*self.inner;
        let mut again = true;
        loop {
            self.establish(peer).await?;
            // The peer may have opened a link meanwhile.
            if let Some(link) = inner.links.get(peer, kind) {
                return Ok(link);
            }
            let (reply, answer) = oneshot::channel();
            self.send(Command::Open { peer, kind, reply })
                .await
                .map_err(|_| OpenFailure::Stopped)?;
            let reason = match answer.await {
                Ok(Ok(opened)) => {
                    return Ok(inner.links.adopt(peer, kind, opened.stream, opened.via, true));
                }
                Ok(Err(OpenError::Unsupported)) => return Err(OpenFailure::Unsupported),
                Ok(Err(OpenError::Timeout)) => Unreachable::Timeout,
                Ok(Err(OpenError::Failed(reason))) => Unreachable::Failed(reason),
                // The connection went away in between.
                Ok(Err(OpenError::NotConnected)) | Err(_) => {
                    Unreachable::Failed("the connection closed".into())
                }
            };
            if !std::mem::take(&mut again) {
                return Err(OpenFailure::Unreachable(reason));
            }
        }
    }

    /// Makes sure that there is a connection with the peer.
    async fn establish(&self, peer: PeerId) -> Result<(), Failure> {
        let inner = &*self.inner;
        if peer == inner.shared.me {
            return Err(Failure::Unreachable(Unreachable::Myself));
        }
        let (direct, relayed) = inner.shared.addresses(&peer);
        let mut tried: HashSet<Multiaddr> = direct.iter().chain(&relayed).cloned().collect();
        let mut last = match self.race(peer, direct, relayed).await {
            Ok(()) => return Ok(()),
            Err(Failure::Unreachable(reason @ (Unreachable::Banned | Unreachable::Limit))) => {
                return Err(Failure::Unreachable(reason));
            }
            Err(Failure::Unreachable(reason)) => reason,
            Err(Failure::Stopped) => return Err(Failure::Stopped),
        };
        self.joined().await;
        let found = self.lookup(peer, LOOKUP).await;
        let fresh = address::clean(
            found,
            &peer,
            inner.shared.config.local_only,
            2 * crate::record::MAX_ADDRESSES,
        );
        let fresh: Vec<Multiaddr> = fresh
            .into_iter()
            .filter(|address| tried.insert(address.clone()))
            .collect();
        if !fresh.is_empty() {
            let (direct, relayed) = fresh
                .into_iter()
                .partition(|address| !address::is_relayed(address));
            match self.race(peer, direct, relayed).await {
                Err(Failure::Unreachable(reason)) => last = reason,
                other => return other,
            }
        }
        // A relay that this node knows may know the peer.
        let guesses: Vec<Multiaddr> = inner
            .status
            .borrow()
            .peers
            .iter()
            .filter(|relay| relay.relay && !relay.relayed && relay.peer != peer)
            .take(GUESSED_RELAYS)
            .map(|relay| address::circuit(relay.peer, &relay.address, peer))
            .filter(|address| !tried.contains(address))
            .collect();
        if !guesses.is_empty() {
            match self.dial(peer, guesses).await {
                Err(Failure::Unreachable(_)) => {}
                other => return other,
            }
        }
        Err(Failure::Unreachable(last))
    }

    /// Waits a moment for a node that has only just begun to join.
    async fn joined(&self) {
        if !self.inner.shared.config.bootstrap.is_empty() {
            let mut status = self.inner.status.clone();
            let anybody = status.wait_for(|status| status.peers.iter().any(|peer| peer.ready));
            // Whoever is still alone then asks nobody.
            let _ = timeout(JOINING, anybody).await;
        }
    }

    /// Dials direct addresses first, and relayed ones when those have failed or take long.
    async fn race(
        &self,
        peer: PeerId,
        direct: Vec<Multiaddr>,
        relayed: Vec<Multiaddr>,
    ) -> Result<(), Failure> {
        if relayed.is_empty() {
            return self.dial(peer, direct).await;
        }
        if direct.is_empty() {
            return self.dial(peer, relayed).await;
        }
        let direct = self.dial(peer, direct);
        tokio::pin!(direct);
        match timeout(HEAD_START, &mut direct).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(Failure::Stopped)) => return Err(Failure::Stopped),
            Ok(Err(_)) => return self.dial(peer, relayed).await,
            Err(_) => {}
        }
        let relayed = self.dial(peer, relayed);
        tokio::pin!(relayed);
        tokio::select! {
            first = &mut direct => match first {
                Ok(()) => Ok(()),
                Err(_) => relayed.await,
            },
            first = &mut relayed => match first {
                Ok(()) => Ok(()),
                Err(_) => direct.await,
            },
        }
    }

    async fn dial(&self, peer: PeerId, addresses: Vec<Multiaddr>) -> Result<(), Failure> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Dial {
            peer,
            addresses,
            reply,
        })
        .await
        .map_err(|_| Failure::Stopped)?;
        match timeout(
            self.inner.shared.limits.dial_timeout + Duration::from_secs(1),
            answer,
        )
        .await
        {
            Ok(Ok(result)) => result.map_err(Failure::Unreachable),
            Ok(Err(_)) => Err(Failure::Stopped),
            Err(_) => Err(Failure::Unreachable(Unreachable::Timeout)),
        }
    }

    async fn lookup(&self, peer: PeerId, limit: Duration) -> Vec<Multiaddr> {
        let (reply, answer) = oneshot::channel();
        let ask = async {
            self.send(Command::Lookup { peer, reply }).await.ok()?;
            answer.await.ok()
        };
        timeout(limit, ask).await.ok().flatten().unwrap_or_default()
    }

    /// Publishes a message to everybody who listens to its topic.
    ///
    /// # Errors
    /// [`MeshError::Publish`] when it is too large, was published before, or nobody listens; [`MeshError::Stopped`].
    pub async fn publish(&self, topic: Topic, data: Bytes) -> Result<(), MeshError> {
        if data.len() > self.inner.shared.limits.gossip_bytes {
            return Err(MeshError::Publish("the message is too large"));
        }
        let (reply, answer) = oneshot::channel();
        self.send(Command::Publish { topic, data, reply }).await?;
        answer.await.map_err(|_| MeshError::Stopped)?
    }

    /// Listens to a topic until the receiver is dropped. Messages that come while it is full are dropped and counted.
    pub fn subscribe(&self, topic: Topic) -> mpsc::Receiver<GossipMessage> {
        self.inner.shared.subscriptions.add(topic, None)
    }

    /// As [`Mesh::subscribe`], with a check that decides what is delivered and passed on. When a topic has several
    /// listeners the strictest check counts; it stays as long as the topic has any listener.
    pub fn subscribe_with(&self, topic: Topic, validator: Validator) -> mpsc::Receiver<GossipMessage> {
        self.inner.shared.subscriptions.add(topic, Some(validator))
    }

    /// Tells the DHT that this node has the content of this id, now and again until [`Mesh::stop_providing`]. Returns
    /// when the nodes nearest to the key have been told, or at once when none is known yet (they are told later).
    ///
    /// # Errors
    /// [`MeshError::Limit`], [`MeshError::Dht`], [`MeshError::Stopped`].
    pub async fn provide(&self, key: [u8; 32]) -> Result<(), MeshError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Provide { key, reply }).await?;
        match timeout(crate::behaviour::QUERY + Duration::from_secs(5), answer).await {
            Ok(result) => result.map_err(|_| MeshError::Stopped)?,
            Err(_) => Err(MeshError::Dht("no answer in time")),
        }
    }

    /// Stops telling the DHT. What others have stored ends within hours.
    pub async fn stop_providing(&self, key: [u8; 32]) {
        // A node that has stopped provides nothing.
        let _ = self.send(Command::StopProviding { key }).await;
    }

    /// Peers that say they have the content of this id: at most `limit`, found within `timeout`, those with standing
    /// first. They may lie; who does is reported with [`Mesh::report`].
    pub async fn providers(&self, key: [u8; 32], limit: usize, timeout: Duration) -> Vec<PeerId> {
        let (reply, mut answers) = mpsc::channel(64);
        let mut found: Vec<PeerId> = Vec::new();
        let collect = async {
            if limit == 0 || self.send(Command::Providers { key, reply }).await.is_err() {
                return;
            }
            while let Some(peer) = answers.recv().await {
                if peer != self.inner.shared.me && !found.contains(&peer) {
                    found.push(peer);
                    if found.len() >= limit {
                        return;
                    }
                }
            }
        };
        // What was found until then counts.
        let _ = tokio::time::timeout(timeout, collect).await;
        found.sort_by_key(|peer| !self.inner.shared.standing(peer));
        found
    }

    /// Where a peer may be: what the chain, the book and, if they know nothing, the DHT say.
    pub async fn find_peer(&self, peer: PeerId, timeout: Duration) -> Vec<Multiaddr> {
        let (mut direct, relayed) = self.inner.shared.addresses(&peer);
        direct.extend(relayed);
        if direct.is_empty() {
            let found = self.lookup(peer, timeout).await;
            direct = address::clean(
                found,
                &peer,
                self.inner.shared.config.local_only,
                2 * crate::record::MAX_ADDRESSES,
            );
        }
        direct
    }

    /// Measurements of every open link.
    pub fn links(&self) -> Vec<(PeerId, Kind, LinkStats)> {
        self.inner.links.stats()
    }

    /// Reports what a peer did wrong. Enough of it puts the peer out for a while.
    pub fn report(&self, peer: PeerId, offence: Offence) {
        // When the loop can not keep up with reports, one more does not matter.
        let _ = self.inner.reports.try_send(Report::Offence(peer, offence));
    }

    /// Stops the node in order: no new requests, what is at work ends, goodbye on every link, the book on disk,
    /// connections closed. Takes a few seconds at most.
    pub async fn stop(&self) {
        // The loop may have ended already.
        let _ = self.inner.commands.send(Command::Stop).await;
        self.inner.stopped.cancelled().await;
    }

    async fn send(&self, command: Command) -> Result<(), MeshError> {
        if self.inner.shared.stopping.is_cancelled() {
            return Err(MeshError::Stopped);
        }
        self.inner
            .commands
            .send(command)
            .await
            .map_err(|_| MeshError::Stopped)
    }

    async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = self.inner.shared.stopping.cancelled() => None,
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    /// Opens a link of this kind again, over the best connection there is now.
    pub(crate) async fn reopen(&self, peer: PeerId, kind: Kind) {
        let (reply, answer) = oneshot::channel();
        if self.send(Command::Open { peer, kind, reply }).await.is_ok()
            && let Ok(Ok(opened)) = answer.await
        {
            self.inner
                .links
                .adopt(peer, kind, opened.stream, opened.via, true);
        }
    }
}

impl std::fmt::Debug for Mesh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mesh")
            .field("peer", &self.inner.shared.me)
            .finish_non_exhaustive()
    }
}

/// A handle that does not keep the node alive.
#[derive(Clone)]
pub(crate) struct WeakMesh(std::sync::Weak<Inner>);

impl WeakMesh {
    pub fn upgrade(&self) -> Option<Mesh> {
        self.0.upgrade().map(|inner| Mesh { inner })
    }
}

enum Failure {
    Unreachable(Unreachable),
    Stopped,
}

impl From<Failure> for OpenFailure {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unreachable(reason) => OpenFailure::Unreachable(reason),
            Failure::Stopped => OpenFailure::Stopped,
        }
    }
}
