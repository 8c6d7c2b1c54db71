//! A worker inside a node: one process, no sockets.

use crate::{Handle, Worker, WorkerConfig, WorkerError, host, reconcile::Limits};
use llmesh_chain::{ClientConfig, InMemoryRpc, NodeClient, RpcNodeClient, Signer};
use llmesh_engine::{Engine, EngineConfig, ModelStore, StoreError};
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

/// How an embedded worker is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folder for models and state, laid out as the stand-alone worker does: what `llmesh-worker --base-path` imports
    /// here is found.
    pub base_path: PathBuf,
    pub signer: Signer,
    /// The ONNX Runtime library; without it the variable `ORT_DYLIB_PATH` counts.
    pub onnxruntime: Option<PathBuf>,
    /// Jobs computed at the same time.
    pub capacity: usize,
    /// Time to finish what is begun when the worker is stopped.
    pub grace: Duration,
    /// Where to serve `/metrics` and `/health`, if anywhere.
    pub metrics: Option<SocketAddr>,
    /// Whether to bond the minimum and register, each if it is missing. For development chains.
    pub set_up_account: bool,
}

impl Options {
    /// One job at a time, no metrics, the account left alone.
    pub fn new(base_path: impl Into<PathBuf>, signer: Signer) -> Self {
        Self {
            base_path: base_path.into(),
            signer,
            onnxruntime: None,
            capacity: 1,
            grace: Duration::from_secs(10),
            metrics: None,
            set_up_account: false,
        }
    }
}

/// Why an embedded worker does not start.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    #[error(transparent)]
    Worker(#[from] WorkerError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("can not start the engine's threads: {0}")]
    Threads(std::io::Error),
}

/// Starts a worker on the node's own JSON-RPC handlers. To be called on the node's tokio runtime once the handlers
/// exist; stop it with [`Handle::stop`] before the node's own tasks end, so that its last transactions get through.
///
/// # Errors
/// When the folder can not be used or the metrics port is taken. What is wrong later shows in the [`Handle`]'s status.
pub async fn start(rpc: impl InMemoryRpc, options: Options) -> Result<Handle, EmbeddedError> {
    let client: Arc<dyn NodeClient> = Arc::new(RpcNodeClient::in_process(rpc, ClientConfig::default()));
    let store = ModelStore::open(models_folder(&options.base_path))?;
    let engine = EngineConfig {
        onnxruntime: options.onnxruntime,
        threads: options.capacity.max(1),
        ..EngineConfig::default()
    };
    let engine = Arc::new(Engine::start(store, engine).map_err(EmbeddedError::Threads)?);
    let config = WorkerConfig {
        limits: Limits {
            capacity: options.capacity.max(1),
            ..Limits::default()
        },
        grace: options.grace,
        metrics: options.metrics,
        ..WorkerConfig::new(state_folder(&options.base_path))
    };
    let handle = Worker::spawn(config, client.clone(), engine, options.signer.clone()).await?;
    if options.set_up_account {
        let signer = options.signer;
        tokio::spawn(async move {
            // The first block may take a moment; each try waits for its own transactions.
            for pause in [1, 2, 4, 8, 16] {
                match host::ensure(&*client, &signer, "local").await {
                    Ok(()) => return,
                    Err(error) => tracing::warn!(%error, "the account is not set up yet"),
                }
                tokio::time::sleep(Duration::from_secs(pause)).await;
            }
        });
    }
    Ok(handle)
}

/// Where models are kept below a base path.
pub fn models_folder(base_path: &std::path::Path) -> PathBuf {
    base_path.join("models")
}

/// Where a worker's state is kept below a base path.
pub fn state_folder(base_path: &std::path::Path) -> PathBuf {
    base_path.join("state")
}
