//! A chain and an engine that do as they are told.

use codec::{Decode, DecodeAll, Encode};
use llmesh_chain::{
    AccountId, Arg, Balance, BlockRef, Call, ChainError, ChainModel, ChainProperties, ChainWork,
    DispatchFailure, H256, HeadState, Included, NodeClient, RuntimeVersion, Signer, Wait,
};
use llmesh_engine::{EngineError, Execution, Executor, ModelRef, RunRequest};
use llmesh_primitives::{
    Assignment, AssignmentState, ContentId, Dim, ElementType, FailureReason, Job, JobId, JobParams, JobState,
    MESH, ModelManifest, ModelSignature, ModelVersion, OfferTerms, OriginFormat, RuntimeClass, StakeAccount,
    Tensor, TensorSpec, Tensors, VersionStatus, api::HostStatus, job::hash_tensors,
};
use llmesh_worker::{
    Handle, State, Status, Worker, WorkerConfig, host, reconcile::Limits, state::ResultStore,
};
use sp_runtime::Perbill;
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::sync::{Notify, watch};

pub const MODEL: u32 = 3;

pub fn signer() -> Signer {
    Signer::from_secret("//Alice").unwrap()
}

pub fn tensors(name: &str, byte: u8) -> Tensors {
    vec![Tensor::new(name, ElementType::U8, &[1], vec![byte]).unwrap()]
        .try_into()
        .unwrap()
}

/// How the next transaction goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Included,
    /// It is in a block, but the answer is lost.
    IncludedUnseen,
    /// It is lost.
    Lost,
    /// The node never answers.
    Hangs,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobFate {
    Pending,
    Delivered(Tensors),
    Declined(FailureReason),
}

pub struct ChainState {
    pub block: u32,
    pub status: HostStatus,
    pub free: u128,
    pub jobs: BTreeMap<JobId, (ChainWork, JobFate)>,
    pub reachable: bool,
    pub fate: Fate,
    pub genesis: H256,
    pub calls: Vec<String>,
    pub life: u32,
}

pub struct FakeChain {
    state: Mutex<ChainState>,
    heads: watch::Sender<HeadState>,
    account: AccountId,
}

fn unreachable() -> ChainError {
    ChainError::Unreachable {
        endpoint: "fake".into(),
        reason: "told so".into(),
    }
}

impl FakeChain {
    /// A chain on which the account is a host in good standing that offers one model.
    pub fn new() -> Arc<Self> {
        let stake = StakeAccount {
            own: 1000 * MESH,
            delegated: 0,
            unbonding: 0,
            commission: Perbill::zero(),
            host: true,
            verifier: false,
            validator: false,
            worker: Some(host::record("test", &[]).unwrap()),
        };
        let status = HostStatus {
            stake: Some(stake),
            reputation: Perbill::one(),
            missed: 0,
            suspended: false,
            in_flight: 0,
            in_flight_value: 0,
            offers: vec![(
                MODEL,
                OfferTerms {
                    price: 1,
                    capacity: 4,
                },
            )],
        };
        let state = ChainState {
            block: 1,
            status,
            free: 10 * MESH,
            jobs: BTreeMap::new(),
            reachable: true,
            fate: Fate::Included,
            genesis: H256::repeat_byte(1),
            calls: Vec::new(),
            life: 20,
        };
        let chain = Self {
            state: Mutex::new(state),
            heads: watch::channel(HeadState::Waiting).0,
            account: signer().account_id(),
        };
        chain.show_head();
        Arc::new(chain)
    }

    pub fn state(&self) -> MutexGuard<'_, ChainState> {
        self.state.lock().unwrap()
    }

    fn show_head(&self) {
        let number = self.state().block;
        self.heads.send_replace(HeadState::At(BlockRef {
            number,
            hash: H256::from_low_u64_be(number.into()),
        }));
    }

    /// Makes a block.
    pub fn block(&self) {
        self.state().block += 1;
        self.show_head();
    }

    /// Draws the host for a new job, in a new block.
    pub fn draw(&self, job: JobId) {
        {
            let mut state = self.state();
            let drawn_at = state.block + 1;
            let assignment = Assignment {
                host: self.account,
                fee: 1,
                drawn_at,
                deadline: drawn_at + state.life,
                state: AssignmentState::Pending,
            };
            let work = ChainWork {
                job,
                model: MODEL,
                assignment,
                inputs: tensors("x", job as u8),
            };
            state.jobs.insert(job, (work, JobFate::Pending));
        }
        self.block();
    }

    /// Cuts the connection.
    pub fn disconnect(&self) {
        self.state().reachable = false;
        self.heads.send_replace(HeadState::Lost {
            wrong_chain: false,
            reason: "told so".into(),
        });
    }

    pub fn reconnect(&self) {
        self.state().reachable = true;
        self.block();
    }

    pub fn fate(&self, job: JobId) -> JobFate {
        self.state().jobs[&job].1.clone()
    }

    /// Calls made so far that begin with this.
    pub fn count(&self, prefix: &str) -> usize {
        self.state()
            .calls
            .iter()
            .filter(|c| c.starts_with(prefix))
            .count()
    }

    fn apply(&self, call: &Call) -> Result<(), DispatchFailure> {
        let mut state = self.state();
        let fail = |name: &str| DispatchFailure {
            call: call.to_string(),
            block: 0,
            module: "Jobs".into(),
            name: name.into(),
            docs: String::new(),
        };
        let arg = |name: &str| &call.args.iter().find(|(n, _)| *n == name).unwrap().1;
        let shared = |name: &str| match arg(name) {
            Arg::Shared(bytes) => bytes.clone(),
            other => panic!("{other:?}"),
        };
        if call.name == "resume" {
            state.status.suspended = false;
            return Ok(());
        }
        let Arg::Number(job) = arg("job") else {
            panic!("{call:?}")
        };
        let (_, fate) = state
            .jobs
            .get_mut(&(*job as JobId))
            .ok_or_else(|| fail("UnknownJob"))?;
        match fate {
            JobFate::Delivered(_) => return Err(fail("AlreadyDelivered")),
            JobFate::Declined(_) => return Err(fail("AlreadyDeclined")),
            JobFate::Pending => {}
        }
        *fate = match call.name {
            "submit_result" => JobFate::Delivered(Tensors::decode_all(&mut &shared("outputs")[..]).unwrap()),
            "decline" => JobFate::Declined(FailureReason::decode_all(&mut &shared("reason")[..]).unwrap()),
            name => panic!("{name}"),
        };
        Ok(())
    }
}

pub fn model() -> ChainModel {
    let spec = |name: &str| TensorSpec {
        name: name.as_bytes().to_vec().try_into().unwrap(),
        element_type: ElementType::U8,
        shape: vec![Dim::Fixed(1)].try_into().unwrap(),
    };
    let manifest = ModelManifest {
        content_id: ContentId::repeat_byte(3),
        size: 1,
        origin: OriginFormat::Onnx,
        signature: ModelSignature {
            inputs: vec![spec("x")].try_into().unwrap(),
            outputs: vec![spec("y")].try_into().unwrap(),
        },
        probe: Default::default(),
        runtime_class: RuntimeClass::CpuFloat,
        tolerance: Perbill::zero(),
        complexity: 1,
        base_price: 1,
        licence: b"MIT".to_vec().try_into().unwrap(),
    };
    ModelVersion {
        id: MODEL,
        name: b"test/model".to_vec().try_into().unwrap(),
        version: "1.0.0".parse().unwrap(),
        owner: signer().account_id(),
        status: VersionStatus::Active,
        manifest,
    }
}

#[async_trait::async_trait]
impl NodeClient for FakeChain {
    async fn genesis_hash(&self) -> Result<H256, ChainError> {
        Ok(self.state().genesis)
    }

    async fn runtime_version(&self) -> Result<RuntimeVersion, ChainError> {
        Ok(RuntimeVersion {
            spec_name: "fake".into(),
            spec_version: 1,
            transaction_version: 1,
        })
    }

    async fn properties(&self) -> Result<ChainProperties, ChainError> {
        Ok(ChainProperties {
            chain: "fake".into(),
            token_symbol: "MESH".into(),
            token_decimals: 12,
        })
    }

    async fn best_head(&self) -> Result<BlockRef, ChainError> {
        let number = self.state().block;
        Ok(BlockRef {
            number,
            hash: H256::from_low_u64_be(number.into()),
        })
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
        let state = self.state();
        if !state.reachable {
            return Err(unreachable());
        }
        let args = &mut args.as_slice();
        Ok(match function {
            "JobsApi_work" => state
                .jobs
                .values()
                .filter(|(w, fate)| *fate == JobFate::Pending && w.assignment.deadline >= state.block)
                .map(|(w, _)| w.clone())
                .collect::<Vec<_>>()
                .encode(),
            "JobsApi_host_status" => state.status.encode(),
            "JobsApi_job" => {
                let id = JobId::decode(args).unwrap();
                state
                    .jobs
                    .get(&id)
                    .map(|(work, fate)| {
                        let mut assignment = work.assignment.clone();
                        assignment.state = match fate {
                            JobFate::Pending => AssignmentState::Pending,
                            JobFate::Declined(reason) => AssignmentState::Declined(*reason),
                            JobFate::Delivered(_) => AssignmentState::Delivered {
                                at: state.block,
                                output_hash: H256::zero(),
                                receipt: H256::zero(),
                            },
                        };
                        Job {
                            owner: self.account,
                            model: MODEL,
                            params: JobParams {
                                max_fee: 1,
                                redundancy: 1,
                                priority: Default::default(),
                                min_reputation: Perbill::zero(),
                            },
                            state: JobState::Running,
                            submitted_at: 1,
                            expires_at: 100,
                            finished_at: None,
                            wakes_at: 1,
                            input_hash: hash_tensors(&work.inputs),
                            assignments: vec![assignment].try_into().unwrap(),
                            account: Default::default(),
                            deposit: 0,
                        }
                    })
                    .encode()
            }
            "ModelRegistryApi_version" => Some(model())
                .filter(|m| m.id == u32::decode(args).unwrap())
                .encode(),
            other => {
                return Err(ChainError::MissingApi {
                    function: other.into(),
                });
            }
        })
    }

    async fn balance(&self, _: &AccountId) -> Result<Balance, ChainError> {
        Ok(Balance {
            free: self.state().free,
            ..Balance::default()
        })
    }

    async fn constant(&self, _: &str, _: &str) -> Result<Option<Vec<u8>>, ChainError> {
        Ok(None)
    }

    async fn submit(&self, call: &Call, _: &Signer, _: Wait) -> Result<Included, ChainError> {
        let (fate, reachable) = {
            let mut state = self.state();
            state.calls.push(call.to_string());
            (state.fate, state.reachable)
        };
        let lost = || ChainError::Unknown {
            call: call.to_string(),
            reason: "told so".into(),
        };
        if !reachable {
            return Err(unreachable());
        }
        match fate {
            Fate::Hangs => std::future::pending().await,
            Fate::Lost => Err(lost()),
            Fate::IncludedUnseen => {
                let _ = self.apply(call);
                Err(lost())
            }
            Fate::Included => {
                let result = self.apply(call);
                self.block();
                result?;
                Ok(Included {
                    block: self.best_head().await?,
                    hash: H256::zero(),
                    events: Vec::new(),
                })
            }
        }
    }
}

/// What the engine does with the next job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Doubles the input.
    Works,
    Fails,
    TooLarge,
    /// Works once it is let go.
    Waits,
}

pub struct FakeEngine {
    pub behaviour: Mutex<Behaviour>,
    pub runs: Mutex<u32>,
    pub has_model: Mutex<bool>,
    pub has_runtime: Mutex<bool>,
    pub go: Notify,
}

impl FakeEngine {
    pub fn new(behaviour: Behaviour) -> Arc<Self> {
        Arc::new(Self {
            behaviour: Mutex::new(behaviour),
            runs: Mutex::new(0),
            has_model: Mutex::new(true),
            has_runtime: Mutex::new(true),
            go: Notify::new(),
        })
    }

    pub fn runs(&self) -> u32 {
        *self.runs.lock().unwrap()
    }
}

#[async_trait::async_trait]
impl Executor for FakeEngine {
    fn check(&self) -> Result<(), EngineError> {
        match *self.has_runtime.lock().unwrap() {
            true => Ok(()),
            false => Err(EngineError::RuntimeMissing {
                path: "nowhere.so".into(),
                reason: "told so".into(),
            }),
        }
    }

    fn has_model(&self, _: ContentId) -> bool {
        *self.has_model.lock().unwrap()
    }

    async fn prepare(&self, _: ModelRef) -> Result<(), EngineError> {
        Ok(())
    }

    async fn execute(&self, request: RunRequest) -> Result<Execution, EngineError> {
        *self.runs.lock().unwrap() += 1;
        let behaviour = *self.behaviour.lock().unwrap();
        match behaviour {
            Behaviour::Works => {}
            Behaviour::Waits => self.go.notified().await,
            Behaviour::Fails => return Err(EngineError::Run("told so".into())),
            Behaviour::TooLarge => return Err(EngineError::OutputTooLarge { size: 2, limit: 1 }),
        }
        let x = request.inputs[0].data[0];
        Ok(Execution {
            outputs: tensors("y", 2 * x),
            probe_hash: None,
            probe: None,
            elapsed: Duration::from_millis(1),
        })
    }
}

pub fn config(folder: &Path) -> WorkerConfig {
    WorkerConfig {
        limits: Limits {
            capacity: 1,
            ..Limits::default()
        },
        grace: Duration::from_millis(200),
        ..WorkerConfig::new(folder)
    }
}

pub async fn start(folder: &Path, chain: &Arc<FakeChain>, engine: &Arc<FakeEngine>) -> Handle {
    Worker::spawn(config(folder), chain.clone(), engine.clone(), signer())
        .await
        .unwrap()
}

pub async fn start_with(
    folder: &Path,
    chain: &Arc<FakeChain>,
    engine: &Arc<FakeEngine>,
    store: Arc<dyn ResultStore>,
) -> Handle {
    Worker::spawn_with_store(config(folder), chain.clone(), engine.clone(), signer(), store)
        .await
        .unwrap()
}

/// Waits until the status is as wanted.
pub async fn until(worker: &Handle, what: &str, wanted: impl FnMut(&Status) -> bool) -> Status {
    let mut status = worker.watch();
    let found = tokio::time::timeout(Duration::from_secs(10), status.wait_for(wanted)).await;
    match found {
        Ok(Ok(status)) => status.clone(),
        _ => panic!("no status {what}: {:?}", worker.status()),
    }
}

pub async fn until_state(worker: &Handle, state: State) -> Status {
    until(worker, state.name(), |s| s.state == state).await
}

/// Waits until something is so.
pub async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..500 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}
