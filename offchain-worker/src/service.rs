//! The worker at work: heads and news in, decisions of the core carried out.

use crate::{
    Fault, State, Status, host, http,
    lock::StateLock,
    metrics::{Ended, Metrics},
    reconcile::{Action, Core, Event, Limits, Owed, SendOutcome, Stored},
    state::{RedbStore, ResultStore, StateError},
    status,
    tasks::{self, ComputeError, Computation, Done, What, on_disk},
};
use llmesh_chain::{
    AccountId, BlockNumber, BlockRef, ChainApi, ChainError, ChainModel, ChainWork, HeadState, NodeClient, Signer, Wait,
    calls,
};
use llmesh_engine::{EngineError, Executor, ModelRef, RunRequest, StoreError};
use llmesh_primitives::{AssignmentState, JobId, ModelVersionId, job::hash_tensors};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, JoinHandle, JoinSet},
    time::Instant,
};

/// How a worker is set up.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// Folder for what has to survive a crash; one worker each.
    pub state_dir: PathBuf,
    /// Bounds of the work; `capacity` above all.
    pub limits: Limits,
    /// Time to finish what is begun when the worker is stopped.
    pub grace: Duration,
    /// Where to serve `/metrics` and `/health`, if anywhere.
    pub metrics: Option<SocketAddr>,
}

impl WorkerConfig {
    /// A worker that computes one job at a time.
    pub fn new(state_dir: impl Into<PathBuf>) -> Self {
        Self {
            state_dir: state_dir.into(),
            limits: Limits::default(),
            grace: Duration::from_secs(20),
            metrics: None,
        }
    }
}

/// Why a worker does not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error(
        "another worker uses {path}{}; stop it, or give this one another --base-path",
        if .holder.is_empty() { String::new() } else { format!(" (process {})", .holder) }
    )]
    InUse { path: PathBuf, holder: String },
    #[error("can not listen on {address}: {source}; choose another --prometheus-port")]
    Port { address: SocketAddr, source: std::io::Error },
    #[error(transparent)]
    State(#[from] StateError),
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error("the worker panicked: this is a bug")]
    Panicked,
}

/// Time after the grace period for the last transactions to get into a block.
const LAST_WORDS: Duration = Duration::from_secs(30);
/// Blocks between two tries to be let in again after a suspension.
const RESUME_PAUSE: BlockNumber = 10;
/// Longest wait for everything that is asked at one head.
const LOOK_DEADLINE: Duration = Duration::from_secs(30);
/// Most jobs that are asked for at a head.
const WORK_LIMIT: u32 = 256;

/// Starts workers.
pub struct Worker;

/// A running worker. Dropping it stops the worker without the usual order; use [`Handle::stop`].
pub struct Handle {
    stop: watch::Sender<bool>,
    status: watch::Receiver<Status>,
    metrics: Option<SocketAddr>,
    task: JoinHandle<Result<(), WorkerError>>,
}

impl Handle {
    /// How the worker is.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Follows how the worker is.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Where metrics are served.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// Asks the worker to stop: it begins nothing new, finishes or hands back what it holds, and ends.
    pub fn begin_stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until the worker has ended.
    ///
    /// # Errors
    /// When it ended by itself, for a reason that waiting does not heal.
    pub async fn finished(&mut self) -> Result<(), WorkerError> {
        (&mut self.task).await.unwrap_or(Err(WorkerError::Panicked))
    }

    /// Stops the worker and waits for its end.
    ///
    /// # Errors
    /// As [`Self::finished`].
    pub async fn stop(mut self) -> Result<(), WorkerError> {
        self.begin_stop();
        self.finished().await
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Worker {
    /// Starts a worker on the current tokio runtime.
    ///
    /// The node need not be there yet: the worker waits for it and says so in its status.
    ///
    /// # Errors
    /// When the state folder can not be used or is in use, or when the metrics port is taken.
    pub async fn spawn(
        config: WorkerConfig,
        client: Arc<dyn NodeClient>,
        executor: Arc<dyn Executor>,
        signer: Signer,
    ) -> Result<Handle, WorkerError> {
        make_folder(&config.state_dir)?;
        let lock = StateLock::take(&config.state_dir)?;
        let store: Arc<dyn ResultStore> = Arc::new(RedbStore::open(&config.state_dir)?);
        let mut handle = Self::spawn_with_store(config, client, executor, signer, store).await?;
        let inner = std::mem::replace(&mut handle.task, tokio::spawn(async { Ok(()) }));
        let abort = AbortOnDrop(inner.abort_handle());
        handle.task = tokio::spawn(async move {
            let _held = (lock, abort);
            inner.await.unwrap_or(Err(WorkerError::Panicked))
        });
        Ok(handle)
    }

    /// As [`Self::spawn`], with a store of the caller's choice and without the lock on the folder.
    ///
    /// # Errors
    /// As [`Self::spawn`].
    pub async fn spawn_with_store(
        config: WorkerConfig,
        client: Arc<dyn NodeClient>,
        executor: Arc<dyn Executor>,
        signer: Signer,
        store: Arc<dyn ResultStore>,
    ) -> Result<Handle, WorkerError> {
        make_folder(&config.state_dir)?;
        let listener = match config.metrics {
            Some(address) => Some(http::bind(address).await?),
            None => None,
        };
        let metrics_address = listener.as_ref().and_then(|l| l.local_addr().ok());
        let metrics = Metrics::new()?;
        let records = on_disk(store.clone(), |store| store.all()).await?;
        if !records.is_empty() {
            tracing::info!(results = records.len(), "results of an earlier run are at hand");
        }
        let stored = records
            .iter()
            .map(|r| Stored { job: r.job, key: r.key, deadline: r.deadline, attempted: r.attempted });
        let core = Core::new(config.limits, stored);
        let account = signer.account_id();
        let (stop, stop_receiver) = watch::channel(false);
        let (status_sender, status) = watch::channel(Status::starting(account.to_string()));
        let (news, news_receiver) = mpsc::unbounded_channel();

        let mut background = JoinSet::new();
        background.spawn(keep_status_file(config.state_dir.clone(), status.clone()));
        if let Some(listener) = listener {
            background.spawn(http::serve(listener, metrics.clone(), status.clone()));
        }
        let service = Service {
            core,
            client,
            executor,
            signer,
            account,
            store,
            metrics,
            news,
            status: status_sender,
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
            config,
            _background: background,
        };
        let task = tokio::spawn(service.run(stop_receiver, news_receiver));
        Ok(Handle { stop, status, metrics: metrics_address, task })
    }
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn make_folder(path: &Path) -> Result<(), WorkerError> {
    std::fs::create_dir_all(path).map_err(|source| WorkerError::Io { path: path.into(), source })
}

/// Name of the file that shows the status to other programs.
pub(crate) const STATUS_FILE: &str = "status.json";

async fn keep_status_file(folder: PathBuf, mut status: watch::Receiver<Status>) {
    loop {
        let text = format!("{:#}\n", status.borrow_and_update().to_json());
        let folder = folder.clone();
        let written = tokio::task::spawn_blocking(move || {
            let new = folder.join("status.json.new");
            std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, folder.join(STATUS_FILE)))
        });
        if let Ok(Err(error)) = written.await {
            tracing::debug!(%error, "the status file was not written");
        }
        if status.changed().await.is_err() {
            return;
        }
    }
}

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

struct Service {
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

impl Service {
    async fn run(
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
                _ = stop.wait_for(|s| *s), if self.stopping.is_none() => self.begin_stop(),
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
                        self.faults.node = Some(Fault::NodeUnreachable { reason: error.to_string() });
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
            on_disk(self.store.clone(), move |store| store.bind_chain(genesis)).await.map_err(WorkerError::from)?;
            self.bound = true;
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
        self.models.retain(|id, _| offered.contains(id) || work.iter().any(|w| w.model == *id));
        self.check_models();
        self.recover(head.number, host.suspended);

        let no_computing = self.all_faults().iter().any(Fault::stops_computing);
        let mut owed = Vec::with_capacity(work.len());
        for item in &work {
            let Some(model) = self.models.get(&item.model) else { continue };
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
        self.decide(Event::Head { block: head.number, owed });
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
            let model = Model { version, reference, name, preparing: false, prepared: false, fault: None };
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
                model.fault = Some(Fault::ModelMissing { model: model.name.clone() });
            } else if missing {
                model.fault = None;
            }
            if present && !model.prepared && !model.preparing && self.faults.runtime.is_none() {
                model.preparing = true;
                let (executor, news, reference, id) =
                    (self.executor.clone(), self.news.clone(), model.reference.clone(), *id);
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
                let result = client.submit(&calls::resume(), &signer, Wait::InBlock).await.map(drop);
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

    fn on_done(&mut self, done: Done) {
        match done {
            Done::Computed { job, model, result } => self.on_computed(job, model, result),
            Done::Sent { job, what, outcome, error } => self.on_sent(job, what, outcome, error),
            Done::Investigated { job, delivered } => {
                if delivered {
                    self.decide(Event::FoundDelivered { job });
                }
            }
            Done::Prepared { model, result } => {
                let outcome = result.as_ref().err().map(ToString::to_string);
                let Some(model) = self.models.get_mut(&model) else { return };
                model.preparing = false;
                match result {
                    Ok(()) => {
                        model.prepared = true;
                        tracing::info!(model = model.name, "model loaded");
                    }
                    Err(EngineError::Busy | EngineError::Stopped | EngineError::RuntimeMissing { .. }) => {}
                    Err(EngineError::Store(StoreError::Missing(_))) => {
                        model.fault = Some(Fault::ModelMissing { model: model.name.clone() });
                    }
                    Err(_) => {
                        model.prepared = true;
                        let reason = outcome.unwrap_or_default();
                        model.fault = Some(Fault::ModelUnusable { model: model.name.clone(), reason });
                    }
                }
            }
            Done::Resumed(Ok(())) => tracing::info!("let in again after the suspension"),
            Done::Resumed(Err(error)) => tracing::warn!(%error, "could not ask to be let in again"),
            Done::DiskProbed(result) => {
                self.probing_disk = false;
                self.faults.disk = result.err().map(disk_fault);
            }
            Done::RuntimeChecked(result) => {
                self.checking_runtime = false;
                self.faults.runtime = result.err().map(|e| Fault::RuntimeMissing { reason: e.to_string() });
            }
        }
    }

    fn on_computed(&mut self, job: JobId, model: ModelVersionId, result: Result<Duration, ComputeError>) {
        self.running.remove(&job);
        let result = match result {
            Ok(elapsed) => {
                self.metrics.inference(elapsed.as_secs_f64());
                tracing::info!(job, ?elapsed, "computed");
                Ok(())
            }
            Err(error) => {
                self.counts.2 += 1;
                tracing::warn!(job, %error, "no result");
                let reason = error.reason();
                self.blame(model, error);
                Err(reason)
            }
        };
        self.decide(Event::Computed { job, result });
    }

    /// Notes what a failed computation says about the worker itself.
    fn blame(&mut self, model: ModelVersionId, error: ComputeError) {
        match error {
            ComputeError::State(error) => self.faults.disk = Some(disk_fault(error)),
            ComputeError::Engine(error @ EngineError::RuntimeMissing { .. }) => {
                self.faults.runtime = Some(Fault::RuntimeMissing { reason: error.to_string() });
            }
            ComputeError::Engine(
                error @ (EngineError::Store(_) | EngineError::Load(_) | EngineError::SignatureMismatch(_)),
            ) => {
                if let Some(model) = self.models.get_mut(&model) {
                    let (name, reason) = (model.name.clone(), error.to_string());
                    model.fault = Some(Fault::ModelUnusable { model: name, reason });
                }
            }
            ComputeError::Engine(_) | ComputeError::Panicked => {}
        }
    }

    fn on_sent(&mut self, job: JobId, what: What, outcome: SendOutcome, error: Option<ChainError>) {
        match (&error, outcome) {
            (None, SendOutcome::Included) if what == What::Result => tracing::info!(job, "delivered"),
            (None, SendOutcome::Included) => tracing::info!(job, "handed back"),
            (Some(error), SendOutcome::Gone) => tracing::debug!(job, %error, "the chain does not wait for it any more"),
            (Some(error), _) => tracing::warn!(job, %error, "not delivered"),
            (None, _) => {}
        }
        if error.as_ref().is_some_and(tasks::cannot_pay)
            && !self.faults.account.iter().any(|f| matches!(f, Fault::NoBalance { .. }))
        {
            self.faults.account.push(Fault::NoBalance { free: 0 });
        }
        let ended = match (outcome, what) {
            (SendOutcome::Included, What::Result) => Some(Ended::Delivered),
            (SendOutcome::Included, What::Refusal) => Some(Ended::Declined),
            _ => None,
        };
        if let Some(ended) = ended
            && self.ended.insert(job)
        {
            self.metrics.ended(ended);
            match ended {
                Ended::Delivered => self.counts.0 += 1,
                _ => self.counts.1 += 1,
            }
        }
        self.decide(Event::Sent { job, outcome });
    }

    /// Feeds the core and does what it says.
    fn decide(&mut self, event: Event) {
        for action in self.core.on(event) {
            tracing::debug!(?action);
            match action {
                Action::Compute(job) => self.compute(job),
                Action::Cancel(job) => {
                    if let Some(task) = self.running.remove(&job) {
                        task.abort();
                    }
                }
                Action::SendResult(job) => {
                    let (client, store) = (self.client.clone(), self.store.clone());
                    tokio::spawn(tasks::send_result(job, client, store, self.signer.clone(), self.news.clone()));
                }
                Action::Decline(job, reason) => {
                    tracing::info!(job, ?reason, "handing back");
                    let client = self.client.clone();
                    tokio::spawn(tasks::decline(job, reason, client, self.signer.clone(), self.news.clone()));
                }
                Action::Forget(job) => self.forget(job),
                Action::Investigate(job) => self.investigate(job),
                Action::OtherWorker(job) => {
                    tracing::error!(job, "another worker uses this key: this one stops computing");
                    self.faults.other_worker = Some(Fault::OtherWorker { job });
                }
            }
        }
    }

    fn compute(&mut self, job: JobId) {
        let known = self.work.get(&job).and_then(|w| Some((w, self.models.get(&w.model)?)));
        let Some((work, model)) = known else {
            // The list that the core was given came from these maps.
            let result = Err(ComputeError::Panicked);
            let _ = self.news.send(Done::Computed { job, model: 0, result });
            return;
        };
        tracing::info!(job, model = model.name, deadline = work.assignment.deadline, "computing");
        let computation = Computation {
            job,
            model: work.model,
            key: host::work_key(model.version.manifest.content_id, hash_tensors(&work.inputs)),
            deadline: work.assignment.deadline,
            request: RunRequest { model: model.reference.clone(), inputs: work.inputs.clone() },
        };
        self.ended.remove(&job);
        let (executor, store) = (self.executor.clone(), self.store.clone());
        let task = tokio::spawn(tasks::compute(computation, executor, store, self.news.clone()));
        self.running.insert(job, task.abort_handle());
    }

    fn forget(&mut self, job: JobId) {
        if !self.ended.remove(&job) {
            self.metrics.ended(Ended::Lost);
        }
        let store = self.store.clone();
        tokio::spawn(async move {
            if let Err(error) = on_disk(store, move |store| store.remove(job)).await {
                tracing::debug!(job, %error, "the old result stays in the store for now");
            }
        });
    }

    fn investigate(&mut self, job: JobId) {
        let (client, account, news) = (self.client.clone(), self.account, self.news.clone());
        tokio::spawn(async move {
            let delivered = match client.job(job).await {
                Ok(Some(found)) => found.assignments.iter().any(|a| {
                    a.host == account && matches!(a.state, AssignmentState::Delivered { .. })
                }),
                _ => false,
            };
            let _ = news.send(Done::Investigated { job, delivered });
        });
    }

    fn all_faults(&self) -> Vec<Fault> {
        let single = [&self.faults.node, &self.faults.runtime, &self.faults.disk, &self.faults.other_worker];
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
        let state =
            status::state(&faults, self.looked && !self.checking_runtime, busy, delivered > 0, self.stopping.is_some());
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
                tracing::warn!(state = now.state.name(), fault = fault.code(), what_to_do = advice, "{reason}");
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
        StateError::DiskFull { .. } => Fault::DiskFull { reason: error.to_string() },
        _ => Fault::State { reason: error.to_string() },
    }
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
