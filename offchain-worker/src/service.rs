//! The worker at work: heads and news in, decisions of the core carried out.

mod actions;
mod news;

use crate::{
    Fault, State, Status, WorkerConfig, WorkerError, host,
    metrics::Metrics,
    reconcile::{Core, Event, Owed},
    state::{ResultStore, StateError},
    status,
    tasks::{Done, on_disk},
};
use llmesh_chain::{
    AccountId, BlockNumber, BlockRef, ChainApi, ChainError, ChainModel, ChainWork, HeadState, NodeClient,
    Signer, Wait, calls,
};
use llmesh_engine::{Executor, ModelRef};
use llmesh_primitives::{AssignmentState, JobId, ModelVersionId, job::hash_tensors};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, JoinSet},
    time::Instant,
};

/// Time after the grace period for the last transactions to get into a block.
const LAST_WORDS: Duration = Duration::from_secs(30);
/// Blocks between two tries to be let in again after a suspension.
const RESUME_PAUSE: BlockNumber = 10;
/// Longest wait for everything that is asked at one head.
const LOOK_DEADLINE: Duration = Duration::from_secs(30);
/// Most jobs that are asked for at a head.
const WORK_LIMIT: u32 = 256;

/// One offered or drawn model version.
struct Model {
    version: ChainModel,
    reference: ModelRef,
    name: String,
    preparing: bool,
    prepared: bool,
    fault: Option<Fault>,
}

/// What is wrong, by where it was found.
#[derive(Default)]
struct Faults {
    node: Option<Fault>,
    runtime: Option<Fault>,
    disk: Option<Fault>,
    other_worker: Option<Fault>,
    account: Vec<Fault>,
}

pub(crate) struct Service {
    core: Core,
    config: WorkerConfig,
    client: Arc<dyn NodeClient>,
    executor: Arc<dyn Executor>,
    signer: Signer,
    account: AccountId,
    store: Arc<dyn ResultStore>,
    metrics: Metrics,
    news: mpsc::UnboundedSender<Done>,
    status: watch::Sender<Status>,
    models: BTreeMap<ModelVersionId, Model>,
    /// What the chain waits for, as of the last look.
    work: BTreeMap<JobId, ChainWork>,
    running: BTreeMap<JobId, AbortHandle>,
    /// Jobs whose end was counted.
    ended: BTreeSet<JobId>,
    faults: Faults,
    /// Whether the state is known to belong to the node's chain.
    bound: bool,
    looked: bool,
    best: Option<BlockNumber>,
    /// When the grace period ends, and when the last words end.
    stopping: Option<(Option<Instant>, Instant)>,
    next_resume: BlockNumber,
    checking_runtime: bool,
    probing_disk: bool,
    /// Delivered, declined, failed.
    counts: (u64, u64, u64),
    _background: JoinSet<()>,
}

/// What a service is made of.
pub(crate) struct Parts {
    pub core: Core,
    pub config: WorkerConfig,
    pub client: Arc<dyn NodeClient>,
    pub executor: Arc<dyn Executor>,
    pub signer: Signer,
    pub store: Arc<dyn ResultStore>,
    pub metrics: Metrics,
    pub news: mpsc::UnboundedSender<Done>,
    pub status: watch::Sender<Status>,
    pub background: JoinSet<()>,
}

impl Service {
    pub fn new(parts: Parts) -> Self {
        Self {
            account: parts.signer.account_id(),
            core: parts.core,
            config: parts.config,
            client: parts.client,
            executor: parts.executor,
            signer: parts.signer,
            store: parts.store,
            metrics: parts.metrics,
            news: parts.news,
            status: parts.status,
            models: BTreeMap::new(),
            work: BTreeMap::new(),
            running: BTreeMap::new(),
            ended: BTreeSet::new(),
            faults: Faults::default(),
            bound: false,
            looked: false,
            best: None,
            stopping: None,
            next_resume: 0,
            checking_runtime: false,
            probing_disk: false,
            counts: (0, 0, 0),
            _background: parts.background,
        }
    }

    pub async fn run(
        mut self,
        mut stop: watch::Receiver<bool>,
        mut news: mpsc::UnboundedReceiver<Done>,
    ) -> Result<(), WorkerError> {
        let mut heads = self.client.follow_best();
        self.check_runtime();
        self.publish();
        loop {
            let (grace, last) = self.stopping.map_or((None, None), |(g, l)| (g, Some(l)));
            tokio::select! {
                changed = heads.changed() => {
                    if changed.is_err() {
                        heads = self.client.follow_best();
                        tokio::time::sleep(Duration::from_millis(200)).await;
                        continue;
                    }
                    let state = heads.borrow_and_update().clone();
                    self.on_head(state).await?;
                }
                Some(done) = news.recv() => self.on_done(done),
                () = asked(&mut stop), if self.stopping.is_none() => self.begin_stop(),
                () = until(grace), if grace.is_some() => {
                    tracing::warn!("the grace period is over: handing back what is not finished");
                    self.stopping = last.map(|l| (None, l));
                    self.decide(Event::GraceOver);
                }
                () = until(last), if last.is_some() => {
                    tracing::warn!("stopping with transactions whose outcome is not known; they are sent again at the next start");
                    break;
                }
            }
            self.publish();
            if self.stopping.is_some() && self.core.is_drained() {
                break;
            }
        }
        for (_, task) in std::mem::take(&mut self.running) {
            task.abort();
        }
        self.status.send_modify(|s| s.state = State::Stopped);
        self.metrics.status(&self.status.borrow());
        tracing::info!("the worker has stopped");
        Ok(())
    }

    fn begin_stop(&mut self) {
        let grace = Instant::now() + self.config.grace;
        self.stopping = Some((Some(grace), grace + LAST_WORDS));
        tracing::info!(grace = ?self.config.grace, "stopping: finishing what is begun");
        self.decide(Event::Stop);
    }

    async fn on_head(&mut self, state: HeadState) -> Result<(), WorkerError> {
        match state {
            HeadState::Waiting => {}
            HeadState::Lost { wrong_chain, reason } => {
                self.faults.node = Some(if wrong_chain {
                    Fault::WrongChain { reason }
                } else {
                    Fault::NodeUnreachable { reason }
                });
            }
            HeadState::At(head) => {
                let looked = tokio::time::timeout(LOOK_DEADLINE, self.look(head)).await;
                match looked {
                    Ok(Ok(())) => self.faults.node = None,
                    Ok(Err(LookError::Worker(error))) => return Err(error),
                    Ok(Err(LookError::Chain(error))) => {
                        tracing::debug!(%error, block = head.number, "the look at the chain failed");
                        self.faults.node = Some(Fault::NodeUnreachable {
                            reason: error.to_string(),
                        });
                    }
                    Err(_) => {
                        let reason = "the node answers too slowly".into();
                        self.faults.node = Some(Fault::NodeUnreachable { reason });
                    }
                }
            }
        }
        Ok(())
    }

    /// Asks the chain what there is to do and whether everything is in order.
    async fn look(&mut self, head: BlockRef) -> Result<(), LookError> {
        if !self.bound {
            let genesis = self.client.genesis_hash().await?;
            on_disk(self.store.clone(), move |store| store.bind_chain(genesis))
                .await
                .map_err(WorkerError::from)?;
            self.bound = true;
        }
        if self.faults.disk.is_none() {
            self.faults.disk = on_disk(self.store.clone(), |store| store.check_space())
                .await
                .err()
                .map(disk_fault);
        }
        let at = Some(head.hash);
        let (work, host, balance) = futures::try_join!(
            self.client.work(self.account, WORK_LIMIT, at),
            self.client.host_status(self.account, at),
            self.client.balance(&self.account),
        )?;
        self.faults.account = host::faults(&host, &balance);
        let offered: Vec<ModelVersionId> = host.offers.iter().map(|(id, _)| *id).collect();
        for id in offered.iter().copied().chain(work.iter().map(|w| w.model)) {
            self.know(id).await?;
        }
        self.models
            .retain(|id, _| offered.contains(id) || work.iter().any(|w| w.model == *id));
        self.check_models();
        self.recover(head.number, host.suspended);

        let no_computing = self.all_faults().iter().any(Fault::stops_computing);
        let mut owed = Vec::with_capacity(work.len());
        for item in &work {
            let Some(model) = self.models.get(&item.model) else {
                continue;
            };
            owed.push(Owed {
                job: item.job,
                key: host::work_key(model.version.manifest.content_id, hash_tensors(&item.inputs)),
                drawn_at: item.assignment.drawn_at,
                deadline: item.assignment.deadline,
                able: !no_computing && model.fault.is_none(),
            });
        }
        self.work = work
            .into_iter()
            .filter(|w| w.assignment.state == AssignmentState::Pending)
            .map(|w| (w.job, w))
            .collect();
        self.best = Some(head.number);
        self.looked = true;
        self.decide(Event::Head {
            block: head.number,
            owed,
        });
        Ok(())
    }

    /// Makes sure that the model version's manifest is at hand. It never changes once published.
    async fn know(&mut self, id: ModelVersionId) -> Result<(), ChainError> {
        if self.models.contains_key(&id) {
            return Ok(());
        }
        if let Some(version) = self.client.model_version(id).await? {
            let name = format!("{}@{}", String::from_utf8_lossy(&version.name), version.version);
            let reference = ModelRef::from(&version.manifest);
            let model = Model {
                version,
                reference,
                name,
                preparing: false,
                prepared: false,
                fault: None,
            };
            self.models.insert(id, model);
        }
        Ok(())
    }

    /// Looks for the models' files and loads what is new, so that the first job finds it warm.
    fn check_models(&mut self) {
        for (id, model) in &mut self.models {
            let present = self.executor.has_model(model.reference.content_id);
            let missing = matches!(model.fault, Some(Fault::ModelMissing { .. }));
            if !present {
                model.prepared = false;
                model.fault = Some(Fault::ModelMissing {
                    model: model.name.clone(),
                });
            } else if missing {
                model.fault = None;
            }
            if present && !model.prepared && !model.preparing && self.faults.runtime.is_none() {
                model.preparing = true;
                let (executor, news, reference, id) = (
                    self.executor.clone(),
                    self.news.clone(),
                    model.reference.clone(),
                    *id,
                );
                tokio::spawn(async move {
                    let result = executor.prepare(reference).await;
                    let _ = news.send(Done::Prepared { model: id, result });
                });
            }
        }
    }

    /// Tries what may heal a fault by itself.
    fn recover(&mut self, block: BlockNumber, suspended: bool) {
        if self.faults.runtime.is_some() {
            self.check_runtime();
        }
        if self.faults.disk.is_some() && !self.probing_disk {
            self.probing_disk = true;
            let (store, news) = (self.store.clone(), self.news.clone());
            tokio::spawn(async move {
                let result = on_disk(store, |store| store.probe()).await;
                let _ = news.send(Done::DiskProbed(result));
            });
        }
        let able = !self.all_faults().iter().any(|f| {
            f.stops_computing() || matches!(f, Fault::ModelMissing { .. } | Fault::ModelUnusable { .. })
        });
        if suspended && able && self.stopping.is_none() && block >= self.next_resume {
            self.next_resume = block.saturating_add(RESUME_PAUSE);
            let (client, signer, news) = (self.client.clone(), self.signer.clone(), self.news.clone());
            tokio::spawn(async move {
                let result = client
                    .submit(&calls::resume(), &signer, Wait::InBlock)
                    .await
                    .map(drop);
                let _ = news.send(Done::Resumed(result));
            });
        }
    }

    fn check_runtime(&mut self) {
        if std::mem::replace(&mut self.checking_runtime, true) {
            return;
        }
        let (executor, news) = (self.executor.clone(), self.news.clone());
        tokio::task::spawn_blocking(move || {
            let _ = news.send(Done::RuntimeChecked(executor.check()));
        });
    }

    fn all_faults(&self) -> Vec<Fault> {
        let single = [
            &self.faults.node,
            &self.faults.runtime,
            &self.faults.disk,
            &self.faults.other_worker,
        ];
        let mut all: Vec<Fault> = single
            .into_iter()
            .flatten()
            .chain(&self.faults.account)
            .chain(self.models.values().filter_map(|m| m.fault.as_ref()))
            .cloned()
            .collect();
        all.sort();
        all
    }

    /// Shows how things are, and logs it when it changed.
    fn publish(&mut self) {
        let counts = self.core.counts();
        let (delivered, declined, failed) = self.counts;
        let faults = self.all_faults();
        let busy = counts.computing + counts.sending + counts.waiting > 0;
        let state = status::state(
            &faults,
            self.looked && !self.checking_runtime,
            busy,
            delivered > 0,
            self.stopping.is_some(),
        );
        let now = Status {
            state,
            faults,
            account: self.account.to_string(),
            best_block: self.best,
            waiting: counts.waiting,
            computing: counts.computing,
            sending: counts.sending,
            delivered,
            declined,
            failed,
        };
        let before = self.status.borrow().clone();
        if before.state != now.state || before.faults != now.faults {
            if now.faults.is_empty() {
                tracing::info!(state = now.state.name(), "status");
            }
            for fault in &now.faults {
                let (reason, advice) = (fault.reason(), fault.advice());
                tracing::warn!(
                    state = now.state.name(),
                    fault = fault.code(),
                    what_to_do = advice,
                    "{reason}"
                );
            }
        }
        if before != now {
            self.metrics.status(&now);
            self.status.send_replace(now);
        }
    }
}

fn disk_fault(error: StateError) -> Fault {
    match error {
        StateError::DiskFull { .. } => Fault::DiskFull {
            reason: error.to_string(),
        },
        _ => Fault::State {
            reason: error.to_string(),
        },
    }
}

/// Ends when the worker is asked to stop, or when nobody is left who could ask.
async fn asked(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|s| *s).await;
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

enum LookError {
    Chain(ChainError),
    Worker(WorkerError),
}

impl From<ChainError> for LookError {
    fn from(error: ChainError) -> Self {
        Self::Chain(error)
    }
}

impl From<WorkerError> for LookError {
    fn from(error: WorkerError) -> Self {
        Self::Worker(error)
    }
}
