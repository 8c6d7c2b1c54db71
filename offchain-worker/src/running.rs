//! A whole worker, as the programs run it: jobs of the chain and, if it is set up for that, its part in the mesh.

use crate::{
    Handle, Worker, WorkerConfig, WorkerError,
    audit::{Auditing, EvidenceError, EvidenceStore, evidence_folder},
    net::{Engines, Net, NetConfig, NetError},
    reconcile::Limits,
};
use llmesh_chain::{NodeClient, Signer};
use llmesh_engine::{Engine, EngineConfig, Executor, ModelStore, StoreError};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// What a worker is made of.
pub struct Setup {
    pub client: Arc<dyn NodeClient>,
    pub signer: Signer,
    /// Folder for models, state, keys and books; one worker each.
    pub base_path: PathBuf,
    /// Runs models for those who pay.
    pub serving: Arc<dyn Executor>,
    /// Jobs computed at the same time.
    pub capacity: usize,
    /// Time to finish what is begun when the worker is stopped.
    pub grace: Duration,
    /// Where to serve `/metrics` and `/health`, if anywhere.
    pub metrics: Option<SocketAddr>,
    /// How it takes part in the mesh and in audits, if it does.
    pub mesh: Option<(NetConfig, Auditing)>,
}

/// Why a worker does not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Worker(#[from] WorkerError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("can not start the engine's threads: {0}")]
    Threads(std::io::Error),
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    #[error(transparent)]
    Net(#[from] NetError),
}

/// A worker that runs.
pub struct Running {
    worker: Handle,
    net: Option<Net>,
}

/// The engine over the models below a base path.
///
/// # Errors
/// When the folder can not be used or threads can not be had. A missing ONNX Runtime shows when the engine is used.
pub fn engine(base_path: &Path, config: EngineConfig) -> Result<Engine, RunError> {
    let store = ModelStore::open(models_folder(base_path))?;
    Engine::start(store, config).map_err(RunError::Threads)
}

/// What it takes to answer and to verify audits: evidence below the base path, at most `space` bytes of it, and an engine
/// of its own.
///
/// # Errors
/// As [`engine`], and when the evidence can not be opened.
pub fn auditing(base_path: &Path, onnxruntime: Option<PathBuf>, space: u64) -> Result<Auditing, RunError> {
    let evidence = EvidenceStore::open(&evidence_folder(base_path), space)?;
    let verifier = engine(
        base_path,
        EngineConfig {
            onnxruntime,
            ..EngineConfig::verifier()
        },
    )?;
    Ok(Auditing::new(evidence, Arc::new(verifier)))
}

impl Running {
    /// Starts a worker on the current tokio runtime. Returns early, without its part in the mesh, when `stop` is cancelled
    /// meanwhile; the worker is being stopped then.
    ///
    /// # Errors
    /// When a folder can not be used or is in use, or a port is taken.
    pub async fn start(setup: Setup, stop: &CancellationToken) -> Result<Self, RunError> {
        let config = WorkerConfig {
            evidence: setup.mesh.as_ref().map(|(_, auditing)| auditing.evidence.clone()),
            limits: Limits {
                capacity: setup.capacity,
                ..Limits::default()
            },
            grace: setup.grace,
            metrics: setup.metrics,
            ..WorkerConfig::new(state_folder(&setup.base_path))
        };
        let worker = Worker::spawn(
            config,
            setup.client.clone(),
            setup.serving.clone(),
            setup.signer.clone(),
        )
        .await?;
        let mut net = None;
        if let Some((config, auditing)) = setup.mesh {
            let engines = Engines {
                serving: setup.serving,
                auditing,
            };
            // Until the node is there this waits.
            let started = Net::start(config, setup.client, engines, setup.signer);
            if let Some(started) = stop.run_until_cancelled(started).await {
                let started = started?;
                worker.show_net(&started);
                net = Some(started);
            }
        }
        if stop.is_cancelled() {
            worker.begin_stop();
        }
        Ok(Self { worker, net })
    }

    /// The worker itself.
    pub fn worker(&self) -> &Handle {
        &self.worker
    }

    /// Its part in the mesh.
    pub fn net(&self) -> Option<&Net> {
        self.net.as_ref()
    }

    /// Asks it to stop: it begins nothing new, finishes or hands back what it holds, and ends.
    pub fn begin_stop(&self) {
        self.worker.begin_stop();
    }

    /// Waits until the worker has ended. It is in the mesh until [`Self::leave`].
    ///
    /// # Errors
    /// When it ended by itself, for a reason that waiting does not heal.
    pub async fn finished(&mut self) -> Result<(), WorkerError> {
        self.worker.finished().await
    }

    /// Leaves the mesh in order, once the worker has ended.
    pub async fn leave(&mut self) {
        if let Some(net) = self.net.take() {
            net.stop().await;
        }
    }
}

/// Where models are kept below a base path.
pub fn models_folder(base_path: &Path) -> PathBuf {
    base_path.join("models")
}

/// Where a worker's state is kept below a base path.
pub fn state_folder(base_path: &Path) -> PathBuf {
    base_path.join("state")
}
