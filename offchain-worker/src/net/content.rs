//! Models over the mesh: given to peers that ask, fetched from those that have them.

use super::directory::Directory;
use bytes::Bytes;
use llmesh_chain::AccountId;
use llmesh_content::{
    ContentError, ContentId, ContentOffence, ContentRefusal, ContentRequest, FetchError, FetchOptions,
    PeerError, Peers, Phase, Server, Store, fetch, reply,
};
use llmesh_mesh::{
    CallError, Kind, Mesh, Offence, PeerId, Request, Service,
    link::{Call, CallError as LinkError, Reject},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// Time for one chunk.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Time to find providers in the DHT.
const FIND_TIMEOUT: Duration = Duration::from_secs(8);
/// Providers that are taken of the DHT's word.
const MAX_PROVIDERS: usize = 32;
/// Chunks that are read from the disk for peers at the same time.
const MAX_READS: usize = 16;
/// Below that of requests of people.
const PRIORITY: u8 = 0;
/// Provider records are made new so often.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(60 * 60);
/// A fetch that failed is tried again after this, twice as long each time up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Gives peers what the store has.
pub(crate) struct ContentService {
    server: Server,
    reads: Arc<Semaphore>,
}

impl ContentService {
    pub fn new(store: Store) -> Self {
        Self {
            server: Server::new(store),
            reads: Arc::new(Semaphore::new(MAX_READS)),
        }
    }
}

#[async_trait::async_trait]
impl Service for ContentService {
    async fn serve(&self, request: Request) -> Result<Bytes, Reject> {
        let Ok(permit) = self.reads.clone().try_acquire_owned() else {
            return Ok(reply::to_bytes(Err(ContentRefusal::Busy)));
        };
        let server = self.server.clone();
        let answer = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            server.answer(&request.body)
        });
        Ok(reply::to_bytes(
            answer.await.unwrap_or(Err(ContentRefusal::Failed)),
        ))
    }
}

/// The mesh as a fetch sees it.
#[derive(Clone)]
pub(crate) struct MeshPeers {
    pub mesh: Mesh,
    pub directory: Directory,
}

#[async_trait::async_trait]
impl Peers for MeshPeers {
    type Peer = PeerId;

    /// Those whose offers on the chain say that they have it come first: they have something to lose.
    async fn providers(&self, id: ContentId) -> Vec<PeerId> {
        let me = self.mesh.local_peer();
        let snapshot = self.directory.snapshot();
        let mut peers: Vec<PeerId> = snapshot
            .models
            .values()
            .filter(|m| m.manifest.content_id.0 == id.0)
            .flat_map(|m| {
                snapshot
                    .live_offers(m.id)
                    .map(|(host, _)| host.peer)
                    .collect::<Vec<_>>()
            })
            .collect();
        peers.extend(self.mesh.providers(id.0, MAX_PROVIDERS, FIND_TIMEOUT).await);
        let mut seen = std::collections::HashSet::new();
        peers.retain(|peer| *peer != me && seen.insert(*peer));
        peers
    }

    async fn request(&self, peer: &PeerId, request: ContentRequest) -> Result<Bytes, PeerError> {
        let call = Call {
            header: Bytes::new(),
            body: request.to_bytes().into(),
            timeout: REQUEST_TIMEOUT,
            priority: PRIORITY,
            progress: None,
        };
        match self.mesh.call(*peer, Kind::Content, call).await {
            Ok(answer) => reply::from_bytes(answer),
            Err(CallError::Link(LinkError::Timeout)) => Err(PeerError::TimedOut),
            Err(_) => Err(PeerError::Unreachable),
        }
    }

    fn report(&self, peer: &PeerId, offence: ContentOffence) {
        let offence = match offence {
            ContentOffence::WrongChunk { .. } | ContentOffence::WrongOutline { .. } => Offence::WrongBytes,
            ContentOffence::Malformed { .. } => Offence::Protocol,
            // The network's fault, or an old announcement's, as likely as the peer's.
            ContentOffence::NotProviding { .. }
            | ContentOffence::OtherLength { .. }
            | ContentOffence::Stalled { .. } => return,
        };
        tracing::warn!(%peer, ?offence, "a peer sent content that is not what it should be");
        self.mesh.report(*peer, offence);
    }
}

/// How a fetch in the background is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FetchState {
    pub name: String,
    pub done: u64,
    pub total: u64,
    /// What keeps it from going on.
    pub trouble: Option<String>,
}

/// Keeps what this account offers at hand: fetches what is missing, pins it, and tells the DHT.
pub(crate) struct Keeper {
    pub store: Store,
    pub peers: MeshPeers,
    pub account: AccountId,
    pub fetches: Arc<Mutex<BTreeMap<[u8; 32], FetchState>>>,
}

impl Keeper {
    /// Works until the future is dropped.
    pub async fn run(self) {
        let mut changed = self.peers.directory.follow();
        let mut announced: BTreeMap<[u8; 32], Instant> = BTreeMap::new();
        let mut tries: BTreeMap<[u8; 32], (Instant, Duration)> = BTreeMap::new();
        loop {
            for (id, size, name) in self.wanted() {
                if self.has(id).await {
                    let due = announced
                        .get(&id.0)
                        .is_none_or(|at| at.elapsed() >= ANNOUNCE_EVERY);
                    if due && self.peers.mesh.provide(id.0).await.is_ok() {
                        announced.insert(id.0, Instant::now());
                    }
                    continue;
                }
                if tries.get(&id.0).is_some_and(|(at, _)| *at > Instant::now()) {
                    continue;
                }
                match self.fetch(id, size, &name).await {
                    Ok(()) => {
                        tries.remove(&id.0);
                        tracing::info!(model = name, "the model is here");
                    }
                    Err(error) => {
                        let pause = tries
                            .get(&id.0)
                            .map_or(FIRST_PAUSE, |(_, pause)| (*pause * 2).min(LONGEST_PAUSE));
                        tries.insert(id.0, (Instant::now() + pause, pause));
                        tracing::warn!(model = name, %error, again_in = ?pause, "the model could not be fetched");
                    }
                }
            }
            let _ = tokio::time::timeout(Duration::from_secs(10), changed.changed()).await;
        }
    }

    fn wanted(&self) -> Vec<(ContentId, u64, String)> {
        let snapshot = self.peers.directory.snapshot();
        snapshot
            .offers
            .iter()
            .filter(|(_, offers)| offers.iter().any(|(host, _)| *host == self.account))
            .filter_map(|(id, _)| snapshot.models.get(id))
            .map(|m| {
                let name = format!("{}@{}", String::from_utf8_lossy(&m.name), m.version);
                (ContentId(m.manifest.content_id.0), m.manifest.size, name)
            })
            .collect()
    }

    async fn has(&self, id: ContentId) -> bool {
        let store = self.store.clone();
        let there = move || store.contains(id) && store.pin(id).is_ok();
        tokio::task::spawn_blocking(there).await.unwrap_or(false)
    }

    async fn fetch(&self, id: ContentId, size: u64, name: &str) -> Result<(), FetchError> {
        let set = |state: Option<FetchState>| {
            let mut fetches = self.fetches.lock().unwrap_or_else(PoisonError::into_inner);
            match state {
                Some(state) => drop(fetches.insert(id.0, state)),
                None => drop(fetches.remove(&id.0)),
            }
        };
        let state = |done, trouble| FetchState {
            name: name.into(),
            done,
            total: size,
            trouble,
        };
        set(Some(state(0, None)));
        tracing::info!(model = name, bytes = size, "fetching the model from peers");
        let progress = |p: llmesh_content::Progress| {
            if p.phase == Phase::Chunks {
                set(Some(state(p.bytes_done, None)));
            }
        };
        let fetched = fetch(
            &self.store,
            &self.peers,
            id,
            size,
            FetchOptions::default(),
            progress,
        )
        .await;
        match &fetched {
            Ok(()) => {
                set(None);
                self.has(id).await;
            }
            Err(error) => set(Some(state(0, Some(error.to_string())))),
        }
        fetched
    }
}

/// Whether it is another process that keeps the store from being opened.
pub(crate) fn is_locked(error: &ContentError) -> bool {
    matches!(error, ContentError::Locked { .. })
}
