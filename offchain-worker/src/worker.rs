//! A worker as a program sees it: set up, start, watch, stop.

use crate::{
    Status,
    audit::EvidenceStore,
    http,
    lock::StateLock,
    metrics::Metrics,
    net::Net,
    reconcile::{Core, Limits, Stored},
    service::{Parts, Service},
    state::{RedbStore, ResultStore, StateError},
    tasks::on_disk,
};
use llmesh_chain::{NodeClient, Signer};
use llmesh_engine::Executor;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, JoinHandle, JoinSet},
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
    /// Where the evidence of results goes, for a worker that takes part in audits.
    pub evidence: Option<EvidenceStore>,
}

impl WorkerConfig {
    /// A worker that computes one job at a time.
    pub fn new(state_dir: impl Into<PathBuf>) -> Self {
        Self {
            state_dir: state_dir.into(),
            limits: Limits::default(),
            grace: Duration::from_secs(20),
            metrics: None,
            evidence: None,
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
    Port {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error(transparent)]
    State(#[from] StateError),
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error("the worker panicked: this is a bug")]
    Panicked,
}

/// Starts workers.
pub struct Worker;

/// A running worker. Dropping it stops the worker without the usual order; use [`Handle::stop`].
pub struct Handle {
    stop: watch::Sender<bool>,
    status: watch::Receiver<Status>,
    metrics: Option<SocketAddr>,
    collected: Metrics,
    task: JoinHandle<Result<(), WorkerError>>,
}

impl Handle {
    /// Makes metrics and health show this worker's part in the mesh too.
    pub fn show_net(&self, net: &Net) {
        self.collected.show_net(net.reporter());
    }

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
        let stored = records.iter().map(|r| Stored {
            job: r.job,
            key: r.key,
            deadline: r.deadline,
            attempted: r.attempted,
        });
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
        let collected = metrics.clone();
        let service = Service::new(Parts {
            core,
            config,
            client,
            executor,
            signer,
            store,
            metrics,
            news,
            status: status_sender,
            background,
        });
        let task = tokio::spawn(service.run(stop_receiver, news_receiver));
        Ok(Handle {
            stop,
            status,
            metrics: metrics_address,
            collected,
            task,
        })
    }
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn make_folder(path: &Path) -> Result<(), WorkerError> {
    std::fs::create_dir_all(path).map_err(|source| WorkerError::Io {
        path: path.into(),
        source,
    })
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
