//! Joins the mesh and keeps everything running.

use super::{
    Shared, books_folder,
    chainview::ChainView,
    claims, content,
    directory::Directory,
    forward::Forwarder,
    gateway::{LocalCourier, NodeGateway},
    identity::{IdentityError, KeyFolder},
    keys_folder, links, mesh_folder, record,
    requester::{self, Courier, Requester},
    schedule::Scheduler,
    serve::{self, HostService},
};
use crate::{
    audit::{self, Auditing, EvidenceError, EvidenceStore},
    running::models_folder,
};
use llmesh_chain::{ChainApi, ChainError, HeadState, NodeClient, Signer};
use llmesh_content::{ContentError, Store, StoreConfig};
use llmesh_engine::Executor;
use llmesh_gateway::{GatewayConfig, Server, ServerError, Token};
use llmesh_mesh::{
    Config, Kind, Mesh, MeshError, MeshStatus, Multiaddr, NatStatus, PeerId, Topic, link::LinkStats,
};
use llmesh_payments::{BookError, PayeeBook, PayeeLimits, PayeePolicy, PayerBook, PayerPolicy};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// While the node is away at start, it is said so often.
const SAY_EVERY: Duration = Duration::from_secs(30);
/// Time for what is under way when the worker stops.
const DRAIN: Duration = Duration::from_secs(10);

/// How a worker takes part in the mesh.
#[derive(Clone, Debug)]
pub struct NetConfig {
    pub base_path: PathBuf,
    pub listen: Vec<Multiaddr>,
    pub external: Vec<Multiaddr>,
    pub bootstrap: Vec<Multiaddr>,
    /// Accept loopback and private addresses.
    pub local_only: bool,
    /// Pass on requests of others, and relay for peers behind NAT.
    pub relays: bool,
    pub region: String,
    /// Where applications are served, if anywhere.
    pub gateway: Option<SocketAddr>,
    /// What they have to send.
    pub gateway_token: Option<PathBuf>,
    /// Requests of the mesh computed at the same time.
    pub capacity: usize,
    /// Claim a lane when so much can be claimed, in planck.
    pub claim_above: u128,
    /// Disk space for models, in bytes.
    pub model_space: u64,
}

impl NetConfig {
    /// Listens nowhere and knows nobody; what else a worker needs is as usual.
    pub fn new(base_path: impl Into<PathBuf>) -> Self {
        Self {
            base_path: base_path.into(),
            listen: Vec::new(),
            external: Vec::new(),
            bootstrap: Vec::new(),
            local_only: false,
            relays: true,
            region: "unknown".into(),
            gateway: None,
            gateway_token: None,
            capacity: 1,
            claim_above: llmesh_primitives::MESH,
            model_space: 64 << 30,
        }
    }
}

/// What a worker in the mesh runs models with.
#[derive(Clone)]
pub struct Engines {
    /// For those who pay.
    pub serving: Arc<dyn Executor>,
    /// For audits.
    pub auditing: Auditing,
}

/// Why a worker does not take part in the mesh.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Mesh(#[from] MeshError),
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error("the books of payment channels: {0}")]
    Books(#[from] BookError),
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error(transparent)]
    Gateway(#[from] ServerError),
    #[error("--gateway-token-file: {0}")]
    Token(String),
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
}

/// A worker in the mesh.
pub struct Net {
    pub(crate) shared: Arc<Shared>,
    requester: Arc<Requester>,
    courier: Arc<dyn Courier>,
    gateway: Option<SocketAddr>,
    scheduler: Scheduler,
    payee: Arc<PayeeBook>,
    fetches: Arc<Mutex<BTreeMap<[u8; 32], content::FetchState>>>,
    evidence: EvidenceStore,
    audits: Arc<audit::Counters>,
    mesh_task: JoinHandle<()>,
    gateway_stop: watch::Sender<bool>,
    gateway_task: Option<JoinHandle<()>>,
    claimer: claims::Handle,
    inference: Late,
    tasks: JoinSet<()>,
}

impl Net {
    /// Joins the mesh.
    ///
    /// # Errors
    /// When keys, books, models or ports can not be had, or the node fails after it was there.
    pub async fn start(
        config: NetConfig,
        client: Arc<dyn NodeClient>,
        engines: Engines,
        signer: Signer,
    ) -> Result<Self, NetError> {
        let Engines {
            serving: executor,
            auditing,
        } = engines;
        let account = signer.account_id();
        let folder = KeyFolder::open(keys_folder(&config.base_path))?;
        let keypair = folder.peer_key()?;
        let keys = Arc::new(RwLock::new(folder.encryption_keys()?));
        let payer = folder.payer()?;
        let token = config
            .gateway_token
            .as_ref()
            .map(|path| Token::read(path).map_err(|e| NetError::Token(e.to_string())))
            .transpose()?;
        let books = books_folder(&config.base_path);
        make_folder(&books)?;
        let models = models_folder(&config.base_path);
        let store_config = StoreConfig {
            capacity_bytes: config.model_space,
            ..StoreConfig::default()
        };
        let store = Store::open(&models, store_config)?;
        wait_for_chain(&*client).await;
        let genesis = client.genesis_hash().await?;
        auditing.evidence.bind(genesis)?;
        let chain = Arc::new(ChainView::new(client.clone()));

        let limits = PayeeLimits {
            lane: PayeePolicy {
                // A busy gateway has many requests on their way at a time.
                max_at_work: 1_024,
                ..PayeePolicy::default()
            },
            ..PayeeLimits::default()
        };
        let payee = Arc::new(PayeeBook::open(
            &books.join("payee.redb"),
            signer.account32(),
            genesis,
            limits,
        )?);
        let payer_book = Arc::new(PayerBook::open(
            &books.join("payer.redb"),
            genesis,
            PayerPolicy::default(),
        )?);

        let stake = client.operator(account).await?;
        payee.set_stake_limit(stake.map_or(0, |s| s.own.saturating_add(s.delegated)));

        let directory = Directory::new();
        directory.refresh(&*client).await?;
        let mesh_config = Config {
            listen: config.listen.clone(),
            external: config.external.clone(),
            bootstrap: config.bootstrap.clone(),
            region: config.region.clone(),
            relay_server: config.relays,
            state_dir: Some(mesh_folder(&config.base_path)),
            local_only: config.local_only,
            ..Config::new(keypair, genesis.0)
        };
        make_folder(&mesh_folder(&config.base_path))?;
        // The services need the mesh, and the mesh needs the services.
        let inference = Late::default();
        let services: Vec<(Kind, Arc<dyn llmesh_mesh::Service>)> = vec![
            (Kind::Inference, Arc::new(inference.clone())),
            (
                Kind::Content,
                Arc::new(content::ContentService::new(store.clone())),
            ),
            (
                Kind::Consensus,
                Arc::new(audit::Giver::new(account, client.clone(), auditing.payloads)),
            ),
        ];
        let (mesh, mesh_task) = Mesh::spawn(mesh_config, Arc::new(directory.clone()), services)?;
        let shared = Arc::new(Shared::new(mesh.clone(), directory.clone()));
        shared.topology().set_credit(directory.snapshot().credit());

        let scheduler = Scheduler::new(config.capacity);
        let host = Arc::new(HostService::new(serve::Parts {
            shared: shared.clone(),
            signer: signer.clone(),
            genesis,
            chain: chain.clone(),
            executor,
            payee: payee.clone(),
            keys: keys.clone(),
            scheduler: scheduler.clone(),
            evidence: auditing.evidence.clone(),
        }));
        let forwarder = Arc::new(Forwarder::new(shared.clone(), Some(host), config.relays));
        inference.set(Some(forwarder.clone()));
        let courier: Arc<dyn Courier> = Arc::new(LocalCourier {
            forwarder: forwarder.clone(),
        });
        let requester = Arc::new(Requester::new(requester::Parts {
            payer: signer.account32(),
            signer: payer,
            genesis,
            book: payer_book,
            client: client.clone(),
            directory: directory.clone(),
            ranking: shared.clone(),
            courier: courier.clone(),
        }));

        let mut tasks = JoinSet::new();
        tasks.spawn({
            let (directory, client) = (directory.clone(), client.clone());
            async move { directory.keep(client).await }
        });
        let topic = Topic::new(links::TOPIC)?;
        let heard = mesh.subscribe_with(topic.clone(), Arc::new(links::judge));
        tasks.spawn(links::run(
            shared.clone(),
            scheduler.clone(),
            config.relays,
            topic,
            heard,
        ));
        let fetches = Arc::default();
        let peers = content::MeshPeers {
            mesh: mesh.clone(),
            directory: directory.clone(),
        };
        let audits = Arc::new(audit::Counters::default());
        tasks.spawn(
            audit::Keeper::new(audit::Parts {
                client: client.clone(),
                signer: signer.clone(),
                mesh: mesh.clone(),
                evidence: auditing.evidence.clone(),
                verifier: auditing.verifier,
                store: store.clone(),
                peers: peers.clone(),
                counters: audits.clone(),
            })
            .run(),
        );
        tasks.spawn(
            content::Keeper {
                store,
                peers,
                account,
                fetches: Arc::clone(&fetches),
            }
            .run(),
        );
        tasks.spawn(
            record::Keeper {
                mesh: mesh.clone(),
                chain: chain.clone(),
                signer: signer.clone(),
                keys,
                folder,
                region: config.region.clone(),
                external: config.external.clone(),
            }
            .run(),
        );
        let claimer = claims::spawn(claims::Parts {
            book: payee.clone(),
            chain: chain.clone(),
            signer,
            above: config.claim_above,
            evidence: auditing.evidence.clone(),
        });

        let (gateway_stop, stop) = watch::channel(false);
        let mut gateway = None;
        let mut gateway_task = None;
        if let Some(address) = config.gateway {
            let node = Arc::new(NodeGateway {
                shared: shared.clone(),
                forwarder,
                requester: requester.clone(),
                chain,
                genesis,
                account,
            });
            let gateway_config = GatewayConfig {
                listen: address,
                token,
                ..GatewayConfig::default()
            };
            let server = Server::bind(gateway_config, node).await?;
            gateway = Some(server.address());
            gateway_task = Some(tokio::spawn(server.run(stopped(stop))));
        }
        tracing::info!(peer = %shared.me, gateway = ?gateway, "in the mesh");
        Ok(Self {
            shared,
            requester,
            courier,
            gateway,
            scheduler,
            payee,
            fetches,
            evidence: auditing.evidence,
            audits,
            mesh_task,
            gateway_stop,
            gateway_task,
            claimer,
            inference,
            tasks,
        })
    }

    /// This worker's name in the mesh.
    pub fn peer_id(&self) -> PeerId {
        self.shared.me
    }

    /// Where applications are served.
    pub fn gateway_address(&self) -> Option<SocketAddr> {
        self.gateway
    }

    /// The addresses that this worker listens on.
    pub fn addresses(&self) -> Vec<Multiaddr> {
        self.shared.mesh.listen_addresses().borrow().clone()
    }

    /// How the mesh is.
    pub fn status(&self) -> watch::Receiver<MeshStatus> {
        self.shared.mesh.status()
    }

    /// Asks hosts, paying from this key's channels.
    pub fn requester(&self) -> &Arc<Requester> {
        &self.requester
    }

    /// Carries sealed requests into the mesh, for a [`Requester`] with a key of its own in this process.
    pub fn courier(&self) -> &Arc<dyn Courier> {
        &self.courier
    }

    /// What says how things are, for metrics and status.
    pub(crate) fn reporter(&self) -> Reporter {
        Reporter {
            shared: self.shared.clone(),
            scheduler: self.scheduler.clone(),
            payee: self.payee.clone(),
            fetches: self.fetches.clone(),
            evidence: self.evidence.clone(),
            audits: self.audits.clone(),
        }
    }

    /// What the chain says, as of the last reading.
    pub fn directory(&self) -> &Directory {
        &self.shared.directory
    }

    /// Breaks off: nothing is finished and nothing claimed. What is on disk is as after a crash.
    pub async fn kill(mut self) {
        self.tasks.abort_all();
        self.claimer.kill();
        if let Some(task) = self.gateway_task.take() {
            task.abort();
        }
        self.scheduler.stop();
        self.shared.mesh.stop().await;
        let _ = tokio::time::timeout(DRAIN, self.mesh_task).await;
        self.inference.set(None);
    }

    /// Leaves in order: takes nothing new, finishes what is under way, claims what was earned, says goodbye.
    pub async fn stop(mut self) {
        self.gateway_stop.send_replace(true);
        self.scheduler.stop();
        if let Some(task) = self.gateway_task.take()
            && tokio::time::timeout(DRAIN, task).await.is_err()
        {
            tracing::warn!("the gateway did not end in time");
        }
        let drained = async {
            while self.scheduler.counts().1 > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::warn!("requests of the mesh are still being computed: they are given up");
        }
        self.claimer.stop().await;
        self.tasks.shutdown().await;
        self.shared.mesh.stop().await;
        if tokio::time::timeout(DRAIN, self.mesh_task).await.is_err() {
            tracing::warn!("the mesh did not end in time");
        }
        self.inference.set(None);
    }
}

/// Says how things are. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Reporter {
    shared: Arc<Shared>,
    scheduler: Scheduler,
    payee: Arc<PayeeBook>,
    fetches: Arc<Mutex<BTreeMap<[u8; 32], content::FetchState>>>,
    evidence: EvidenceStore,
    audits: Arc<audit::Counters>,
}

impl Reporter {
    pub fn report(&self) -> Report {
        let counters = &self.shared.counters;
        let get = |c: &AtomicU64| c.load(Ordering::Relaxed);
        let (waiting, running) = self.scheduler.counts();
        let (known_peers, known_links) = self.shared.topology().size();
        let status = self.shared.mesh.status().borrow().clone();
        Report {
            peer_id: self.shared.me.to_string(),
            peers: status.peers.iter().filter(|p| p.ready).count(),
            relayed: status.peers.iter().filter(|p| p.ready && p.relayed).count(),
            reachability: match status.nat {
                NatStatus::Unknown => "unknown",
                NatStatus::Public => "public",
                NatStatus::Private => "private",
            },
            relays: status.relays.iter().map(ToString::to_string).collect(),
            addresses: self
                .shared
                .mesh
                .listen_addresses()
                .borrow()
                .iter()
                .map(ToString::to_string)
                .collect(),
            mesh: status.counters,
            links: self
                .shared
                .mesh
                .links()
                .into_iter()
                .map(|(_, kind, stats)| (kind, stats))
                .collect(),
            known_peers,
            known_links,
            served: get(&counters.served),
            forwarded: get(&counters.forwarded),
            asked: get(&counters.asked),
            unanswered: get(&counters.unanswered),
            busy_us: get(&counters.busy_us),
            earned: *counters.earned.lock().unwrap_or_else(PoisonError::into_inner),
            refusals: counters
                .refusals
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
            waiting,
            running,
            unsettled: self.payee.totals().unsettled,
            evidence: self.evidence.size(),
            audits: [
                ("opened", get(&self.audits.opened)),
                ("published", get(&self.audits.published)),
                ("verified", get(&self.audits.verified)),
                ("abstained", get(&self.audits.abstained)),
                ("revealed", get(&self.audits.revealed)),
                ("failed", get(&self.audits.failed)),
            ],
            audit_us: get(&self.audits.busy_us),
            fetches: self
                .fetches
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .values()
                .cloned()
                .collect(),
        }
    }
}

/// What [`Reporter`] says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub peer_id: String,
    pub peers: usize,
    pub relayed: usize,
    /// Whether others can connect to this worker directly.
    pub reachability: &'static str,
    /// Peers at which it has a place.
    pub relays: Vec<String>,
    pub addresses: Vec<String>,
    pub mesh: llmesh_mesh::Counters,
    pub links: Vec<(Kind, LinkStats)>,
    pub known_peers: usize,
    pub known_links: usize,
    pub served: u64,
    pub forwarded: u64,
    pub asked: u64,
    pub unanswered: u64,
    pub busy_us: u64,
    pub earned: u128,
    pub refusals: BTreeMap<&'static str, u64>,
    pub waiting: usize,
    pub running: usize,
    pub unsettled: u128,
    /// Bytes of evidence kept, and the most that may be.
    pub evidence: (u64, u64),
    /// What was done in audits.
    pub audits: [(&'static str, u64); 6],
    pub audit_us: u64,
    pub fetches: Vec<content::FetchState>,
}

/// A service that is named before it is there, and let go at the end: it holds the mesh, which holds its services.
#[derive(Clone, Default)]
struct Late(Arc<RwLock<Option<Arc<Forwarder>>>>);

impl Late {
    fn set(&self, service: Option<Arc<Forwarder>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = service;
    }
}

#[async_trait::async_trait]
impl llmesh_mesh::Service for Late {
    async fn serve(&self, request: llmesh_mesh::Request) -> Result<bytes::Bytes, llmesh_mesh::link::Reject> {
        let service = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        match service {
            Some(service) => service.serve(request).await,
            None => Err(llmesh_mesh::link::Reject::new(1, "starting")),
        }
    }
}

/// Waits until the node has a final block, for as long as that takes: a worker that is started before its node, as after a
/// power cut, is there when the node is.
async fn wait_for_chain(client: &dyn NodeClient) {
    let mut finalized = client.follow_finalized();
    loop {
        let known = finalized.wait_for(|head| matches!(head, HeadState::At(_)));
        let found = tokio::time::timeout(SAY_EVERY, known)
            .await
            .map(|head| head.is_ok());
        match found {
            Ok(true) => return,
            Ok(false) => {
                tokio::time::sleep(Duration::from_millis(500)).await;
                finalized = client.follow_finalized();
            }
            Err(_) => tracing::warn!(
                "the node has not named a final block yet: the mesh is joined when it does. Is it running and connected?"
            ),
        }
    }
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|s| *s).await;
}

fn make_folder(path: &std::path::Path) -> Result<(), NetError> {
    std::fs::create_dir_all(path).map_err(|source| NetError::Io {
        path: path.into(),
        source,
    })
}
