//! A chain in memory with a few hosts, one model and real channels, and workers in a real mesh on loopback.

use crate::audits::Running;
use codec::{Decode, DecodeAll, Encode};
use llmesh_chain::{
    AccountId, Arg, Balance, BlockRef, Call, ChainError, ChainEvent, ChainModel, ChainProperties, H256,
    HeadState, Included, NodeClient, RuntimeVersion, Signer, Wait,
};
use llmesh_engine::{EngineError, Execution, Executor, ModelRef, RunRequest};
use llmesh_mesh::{Multiaddr, PeerId};
use llmesh_primitives::{
    AuditId, Channel, ChannelId, ChannelState, Claim, ContentId, Dim, ElementType, Lane, LaneId, MESH,
    ModelManifest, ModelSignature, ModelVersion, OfferTerms, OriginFormat, Priority, RuntimeClass,
    StakeAccount, Tensor, TensorSpec, Tensors, VersionStatus, WorkerRecord, api::HostStatus,
    attestation::AttestationStatus,
};
use llmesh_worker::{
    audit::{Auditing, EvidenceStore, Payloads},
    net::{Engines, Net, NetConfig, NetError},
};
use sp_runtime::{AccountId32, Perbill};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;
use tokio::sync::{Notify, watch};

pub const MODEL: u32 = 7;
pub const FEE: u128 = 1_000_000_000;
pub const FILE: &[u8] = b"a file that stands for a model";

type BookChannel = Channel<AccountId32, u32>;

pub fn signer(name: &str) -> Signer {
    Signer::from_secret(&format!("//{name}")).unwrap()
}

#[derive(Default)]
pub struct State {
    pub block: u32,
    pub workers: BTreeMap<[u8; 32], WorkerRecord>,
    /// Those of them that offer nothing.
    pub idle: BTreeSet<[u8; 32]>,
    pub channels: BTreeMap<ChannelId, BookChannel>,
    /// Claims that were paid, in order.
    pub claims: Vec<Claim>,
    /// Transactions that they came in.
    pub claim_batches: usize,
    pub stake: u128,
    pub fee: u128,
    pub audits: BTreeMap<AuditId, Running>,
}

/// The chain. Every worker sees the same one.
pub struct World {
    model: ChainModel,
    state: Mutex<State>,
    heads: watch::Sender<HeadState>,
}

pub fn genesis() -> H256 {
    H256::repeat_byte(0x11)
}

impl World {
    pub fn new() -> Arc<Self> {
        Self::with_model(model())
    }

    pub fn with_model(model: ChainModel) -> Arc<Self> {
        let state = State {
            block: 10,
            stake: 10_000 * MESH,
            fee: FEE,
            ..State::default()
        };
        let world = Self {
            model,
            state: Mutex::new(state),
            heads: watch::channel(HeadState::Waiting).0,
        };
        world.block();
        Arc::new(world)
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The node is away until the next block.
    pub fn leave(&self) {
        self.heads.send_replace(HeadState::Waiting);
    }

    /// Makes a block, which is final at once.
    pub fn block(&self) {
        let number = {
            let mut state = self.state();
            state.block += 1;
            state.block
        };
        self.heads.send_replace(HeadState::At(head(number)));
    }

    /// Opens a channel with a lane for each of these hosts.
    pub fn open(
        &self,
        payer: &AccountId32,
        signer: &AccountId32,
        hosts: &[AccountId32],
        funds: u128,
    ) -> ChannelId {
        let mut state = self.state();
        let id = state.channels.len() as ChannelId;
        let lanes: Vec<Lane<AccountId32>> = hosts
            .iter()
            .map(|host| Lane {
                host: host.clone(),
                funded: funds,
                paid: 0,
                claimed: 0,
                nonce: 0,
                covered: 0,
                covered_value: 0,
                released: false,
            })
            .collect();
        let channel = Channel {
            payer: payer.clone(),
            signer: signer.clone(),
            epoch: 0,
            state: ChannelState::Open,
            expires_at: 1_000_000,
            lanes: lanes.try_into().unwrap(),
            deposit: 0,
        };
        state.channels.insert(id, channel);
        id
    }

    pub fn lane(&self, channel: ChannelId, lane: LaneId) -> Lane<AccountId32> {
        self.state().channels[&channel].lanes[usize::from(lane)].clone()
    }

    fn status(&self, account: AccountId) -> HostStatus {
        let state = self.state();
        let worker = state.workers.get(&account.0).cloned();
        let terms = OfferTerms {
            price: 1,
            capacity: 4,
        };
        let offers = match worker.is_some() && !state.idle.contains(&account.0) {
            true => vec![(MODEL, terms)],
            false => Vec::new(),
        };
        HostStatus {
            stake: worker.map(|worker| StakeAccount {
                own: state.stake,
                delegated: 0,
                unbonding: 0,
                commission: Perbill::zero(),
                host: true,
                verifier: false,
                validator: false,
                worker: Some(worker),
            }),
            reputation: Perbill::from_percent(99),
            missed: 0,
            suspended: false,
            in_flight: 0,
            in_flight_value: 0,
            offers,
        }
    }

    /// As the settlement pallet does it, without the split.
    fn claim(&self, host: &AccountId32, claim: &Claim) -> Option<ChainEvent> {
        let mut state = self.state();
        let channel = state.channels.get_mut(&claim.channel)?;
        let signer = channel.signer.clone();
        let lane = channel.lanes.get_mut(usize::from(claim.lane))?;
        let good = lane.host == *host
            && claim.epoch == channel.epoch
            && claim.voucher(genesis()).is_signed_by(&claim.signature, &signer)
            && claim.nonce >= lane.nonce
            && claim.cumulative >= lane.claimed;
        if !good {
            return None;
        }
        // The chain passes over a claim that was made before the one before it was known.
        if claim.covered != lane.covered {
            return None;
        }
        let covered_value = lane.covered_value + claim.work.value;
        let paid = claim.cumulative.min(lane.funded).min(covered_value) - lane.paid;
        assert!(paid > 0, "a claim that pays nothing");
        lane.covered += u64::from(claim.work.leaves);
        lane.covered_value = covered_value;
        lane.paid += paid;
        lane.claimed = claim.cumulative;
        lane.nonce = claim.nonce;
        state.claims.push(claim.clone());
        Some(ChainEvent {
            pallet: "Settlement".into(),
            name: "Claimed".into(),
            fields: serde_json::json!({
                "channel": claim.channel,
                "lane": claim.lane,
                "cumulative": claim.cumulative.to_string(),
                "paid": paid.to_string(),
            }),
        })
    }
}

fn head(number: u32) -> BlockRef {
    BlockRef {
        number,
        hash: H256::from_low_u64_be(number.into()),
    }
}

pub fn model() -> ChainModel {
    let spec = |name: &str| TensorSpec {
        name: name.as_bytes().to_vec().try_into().unwrap(),
        element_type: ElementType::U8,
        shape: vec![Dim::UpTo(64)].try_into().unwrap(),
    };
    let manifest = ModelManifest {
        content_id: ContentId::from(*blake3::hash(FILE).as_bytes()),
        size: FILE.len() as u64,
        origin: OriginFormat::Onnx,
        signature: ModelSignature {
            inputs: vec![spec("x")].try_into().unwrap(),
            outputs: vec![spec("y")].try_into().unwrap(),
        },
        probe: Default::default(),
        runtime_class: RuntimeClass::CpuFloat,
        tolerance: Perbill::zero(),
        complexity: 1_000_000,
        base_price: 1,
        licence: b"MIT".to_vec().try_into().unwrap(),
    };
    ModelVersion {
        id: MODEL,
        name: b"test/model".to_vec().try_into().unwrap(),
        version: "1.0.0".parse().unwrap(),
        owner: signer("Eve").account_id(),
        status: VersionStatus::Active,
        manifest,
    }
}

#[async_trait::async_trait]
impl NodeClient for World {
    async fn genesis_hash(&self) -> Result<H256, ChainError> {
        Ok(genesis())
    }

    async fn runtime_version(&self) -> Result<RuntimeVersion, ChainError> {
        Ok(RuntimeVersion {
            spec_name: "world".into(),
            spec_version: 1,
            transaction_version: 1,
        })
    }

    async fn properties(&self) -> Result<ChainProperties, ChainError> {
        Ok(ChainProperties {
            chain: "world".into(),
            token_symbol: "MESH".into(),
            token_decimals: 12,
        })
    }

    async fn best_head(&self) -> Result<BlockRef, ChainError> {
        Ok(head(self.state().block))
    }

    async fn finalized_head(&self) -> Result<BlockRef, ChainError> {
        self.best_head().await
    }

    fn follow_best(&self) -> watch::Receiver<HeadState> {
        let mut receiver = self.heads.subscribe();
        receiver.mark_changed();
        receiver
    }

    fn follow_finalized(&self) -> watch::Receiver<HeadState> {
        self.follow_best()
    }

    async fn call_api(&self, function: &str, args: Vec<u8>, _: Option<H256>) -> Result<Vec<u8>, ChainError> {
        let args = &mut args.as_slice();
        Ok(match function {
            "ModelRegistryApi_versions" => {
                let (from, _) = <(u32, u32)>::decode(args).unwrap();
                let all: Vec<ChainModel> = [self.model.clone()]
                    .into_iter()
                    .filter(|m| m.id >= from)
                    .collect();
                all.encode()
            }
            "ModelRegistryApi_version" => Some(&self.model).encode(),
            "JobsApi_hosts" => {
                let (after, limit) = <(Option<[u8; 32]>, u32)>::decode(args).unwrap();
                let known: Vec<[u8; 32]> = self.state().workers.keys().copied().collect();
                let page: Vec<([u8; 32], HostStatus)> = known
                    .into_iter()
                    .filter(|who| after.is_none_or(|after| *who > after))
                    .take(limit as usize)
                    .map(|who| (who, self.status(AccountId::from(who))))
                    .collect();
                page.encode()
            }
            "JobsApi_host_status" => {
                let who = <[u8; 32]>::decode(args).unwrap();
                self.status(AccountId::from(who)).encode()
            }
            "StakingApi_operator" => {
                let who = <[u8; 32]>::decode(args).unwrap();
                self.status(AccountId::from(who)).stake.encode()
            }
            "SettlementApi_channel" => {
                let id = ChannelId::decode(args).unwrap();
                self.state().channels.get(&id).encode()
            }
            "SettlementApi_channels_of" => {
                let payer = AccountId32::decode(args).unwrap();
                let state = self.state();
                let channels: Vec<(ChannelId, BookChannel)> = state
                    .channels
                    .iter()
                    .filter(|(_, c)| c.payer == payer)
                    .map(|(id, c)| (*id, c.clone()))
                    .collect();
                channels.encode()
            }
            "SettlementApi_fee" => {
                let (_, _, priority) = <(u32, u128, Priority)>::decode(args).unwrap();
                let fee = self.state().fee;
                Some(match priority {
                    Priority::Normal => fee,
                    Priority::High => fee / 2 * 3,
                    Priority::Urgent => fee * 2,
                })
                .encode()
            }
            "AttestationApi_status" => AttestationStatus::<u32> {
                round: 1,
                window: 30,
                horizon: 9,
                challenge_period_ms: 60_000,
                open_audits: 0,
            }
            .encode(),
            "AttestationApi_duties" => {
                let (who, _) = <([u8; 32], u32)>::decode(args).unwrap();
                self.duties_of(who).encode()
            }
            "AttestationApi_audit" => {
                let id = AuditId::decode(args).unwrap();
                self.state().audits.get(&id).map(|a| a.audit.clone()).encode()
            }
            other => panic!("{other} is not in this chain"),
        })
    }

    async fn balance(&self, _: &AccountId) -> Result<Balance, ChainError> {
        Ok(Balance {
            free: 100 * MESH,
            ..Balance::default()
        })
    }

    async fn constant(&self, _: &str, _: &str) -> Result<Option<Vec<u8>>, ChainError> {
        Ok(None)
    }

    async fn submit(&self, call: &Call, signer: &Signer, _: Wait) -> Result<Included, ChainError> {
        let shared = |name: &str| match &call.args.iter().find(|(n, _)| *n == name).unwrap().1 {
            Arg::Shared(bytes) => bytes.clone(),
            other => panic!("{other:?}"),
        };
        let mut events = Vec::new();
        match call.name {
            "register_worker" => {
                let record = WorkerRecord::decode_all(&mut &shared("record")[..]).unwrap();
                self.state().workers.insert(signer.account_id().0, record);
            }
            "claim_batch" => {
                let claims = Vec::<Claim>::decode_all(&mut &shared("claims")[..]).unwrap();
                let host = signer.account32();
                self.state().claim_batches += 1;
                events.extend(claims.iter().filter_map(|claim| self.claim(&host, claim)));
            }
            _ => self.step(call, signer),
        }
        self.block();
        let block = self.best_head().await?;
        Ok(Included {
            block,
            hash: H256::zero(),
            events,
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Gate {
    Open,
    Shut,
    Dead,
}

/// Adds one to each byte; waits at a gate that a test can close.
pub struct AddOne {
    /// What a run takes at least.
    takes: Duration,
    pub runs: AtomicUsize,
    gate: watch::Sender<Gate>,
    pub begun: Notify,
}

impl AddOne {
    pub fn new() -> Arc<Self> {
        Self::that_takes(Duration::ZERO)
    }

    pub fn that_takes(takes: Duration) -> Arc<Self> {
        Arc::new(Self {
            takes,
            runs: AtomicUsize::new(0),
            gate: watch::channel(Gate::Open).0,
            begun: Notify::new(),
        })
    }

    pub fn shut(&self) {
        self.gate.send_replace(Gate::Shut);
    }

    pub fn let_through(&self) {
        self.gate.send_replace(Gate::Open);
    }

    /// What is at work never ends with a result.
    pub fn die(&self) {
        self.gate.send_replace(Gate::Dead);
    }

    pub fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }
}

#[async_trait::async_trait]
impl Executor for AddOne {
    fn check(&self) -> Result<(), EngineError> {
        Ok(())
    }

    fn has_model(&self, _: ContentId) -> bool {
        true
    }

    async fn prepare(&self, _: ModelRef) -> Result<(), EngineError> {
        Ok(())
    }

    async fn execute(&self, request: RunRequest) -> Result<Execution, EngineError> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        self.begun.notify_one();
        // Even the shortest sleep would take a millisecond.
        if !self.takes.is_zero() {
            tokio::time::sleep(self.takes).await;
        }
        let mut gate = self.gate.subscribe();
        let state = *gate
            .wait_for(|gate| *gate != Gate::Shut)
            .await
            .map_err(|_| EngineError::Stopped)?;
        if state == Gate::Dead {
            return Err(EngineError::Stopped);
        }
        let data: Vec<u8> = request.inputs[0].data.iter().map(|b| b.wrapping_add(1)).collect();
        let outputs = Tensor::new("y", ElementType::U8, &[data.len() as u32], data).unwrap();
        Ok(Execution {
            outputs: Tensors::try_from(vec![outputs]).unwrap(),
            probe_hash: None,
            probe: None,
            elapsed: Duration::from_millis(1),
        })
    }
}

/// A worker in the mesh.
pub struct Node {
    pub net: Net,
    pub executor: Arc<AddOne>,
    pub signer: Signer,
    pub folder: TempDir,
    pub address: Multiaddr,
}

impl Node {
    pub fn peer(&self) -> PeerId {
        self.net.peer_id()
    }

    pub fn account(&self) -> AccountId32 {
        self.signer.account32()
    }
}

/// Starts a worker whose account is a host from the start.
pub async fn host(world: &Arc<World>, name: &str, join: &[&Node]) -> Node {
    start(world, name, join, true, tempfile::tempdir().unwrap()).await
}

/// Starts a worker that is no host: it can only ask.
pub async fn asker(world: &Arc<World>, name: &str, join: &[&Node]) -> Node {
    start(world, name, join, false, tempfile::tempdir().unwrap()).await
}

pub async fn start(world: &Arc<World>, name: &str, join: &[&Node], is_host: bool, folder: TempDir) -> Node {
    let setup = Setup {
        is_host,
        ..Setup::new(folder)
    };
    let join = join.iter().map(|n| n.address.clone()).collect();
    start_with(world, name, join, setup).await
}

/// What a worker is started with.
pub struct Setup {
    pub folder: TempDir,
    /// Whether its account is a host from the start.
    pub is_host: bool,
    /// Empty: nobody can connect to it.
    pub listen: Vec<Multiaddr>,
    /// Its engine; the node's own [`AddOne`] unless told.
    pub engine: Option<Arc<dyn Executor>>,
    /// What it shows to verifiers; what it kept unless told.
    pub payloads: Option<Arc<dyn Payloads>>,
}

impl Setup {
    /// A host on a free port.
    pub fn new(folder: TempDir) -> Self {
        Self {
            folder,
            is_host: true,
            listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
            engine: None,
            payloads: None,
        }
    }
}

/// As [`start`], with what else the caller chooses. It joins by these addresses.
pub async fn start_with(world: &Arc<World>, name: &str, join: Vec<Multiaddr>, setup: Setup) -> Node {
    let Setup {
        folder,
        is_host,
        listen,
        engine,
        payloads,
    } = setup;
    let signer = signer(name);
    let models = folder.path().join("models");
    std::fs::create_dir_all(&models).unwrap();
    std::fs::write(models.join(format!("{}.onnx", blake3::hash(FILE).to_hex())), FILE).unwrap();
    if is_host {
        let record = llmesh_worker::host::record("test", &[]).unwrap();
        let mut state = world.state();
        state.workers.entry(signer.account_id().0).or_insert(record);
    }
    let config = NetConfig {
        listen: listen.clone(),
        bootstrap: join,
        local_only: true,
        region: "test".into(),
        capacity: 2,
        claim_above: 3 * FEE,
        model_space: 1 << 30,
        ..NetConfig::new(folder.path())
    };
    let executor = AddOne::new();
    let used = engine.unwrap_or_else(|| executor.clone());
    // A life before this one may still hold its files for a moment.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    let net = loop {
        let started = async {
            let store = EvidenceStore::open(&folder.path().join("evidence"), 1 << 30)?;
            let engines = Engines {
                serving: used.clone(),
                auditing: Auditing {
                    payloads: payloads.clone().unwrap_or_else(|| Arc::new(store.clone())),
                    ..Auditing::new(store.clone(), executor.clone())
                },
            };
            let net = Net::start(config.clone(), world.clone(), engines, signer.clone()).await?;
            Ok::<_, NetError>(net)
        };
        match started.await {
            Ok(started) => break started,
            Err(error) if tokio::time::Instant::now() > deadline => panic!("{error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    let address = if listen.is_empty() {
        Multiaddr::empty()
    } else {
        let address = until("an address to listen on", || net.addresses().first().cloned()).await;
        address.with_p2p(net.peer_id()).unwrap_or_else(|address| address)
    };
    let node = Node {
        net,
        executor,
        signer,
        folder,
        address,
    };
    if is_host {
        // The record's keeper looks at each block until the record is right.
        let account = node.signer.account_id().0;
        let peer = node.peer().to_bytes();
        until("the record on the chain", || {
            world.block();
            let state = world.state();
            state
                .workers
                .get(&account)
                .filter(|w| w.peer_id.as_slice() == peer)
                .map(drop)
        })
        .await;
    }
    node
}

/// Waits for something, not longer than half a minute.
pub async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Makes blocks until the node's view of the chain has so many hosts with a place in the mesh.
pub async fn sees_hosts(world: &World, node: &Node, count: usize) {
    until("the hosts in the directory", || {
        world.block();
        (node.net.directory().snapshot().hosts.len() >= count).then_some(())
    })
    .await;
}
