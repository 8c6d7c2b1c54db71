//! A worker inside a node: one process, and no socket between the two.

use crate::{
    host,
    net::NetConfig,
    running::{self, RunError, Running, Setup},
};
use llmesh_chain::{ClientConfig, InMemoryRpc, NodeClient, RpcNodeClient, Signer};
use llmesh_engine::EngineConfig;
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// Disk space for what audits may ask for, in bytes.
const EVIDENCE_SPACE: u64 = 8 << 30;

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
    /// How it takes part in the mesh, if it does.
    pub mesh: Option<NetConfig>,
    /// Whether to bond the minimum and register, each if it is missing. For development chains.
    pub set_up_account: bool,
}

impl Options {
    /// One job at a time, no metrics, no mesh, the account left alone.
    pub fn new(base_path: impl Into<PathBuf>, signer: Signer) -> Self {
        Self {
            base_path: base_path.into(),
            signer,
            onnxruntime: None,
            capacity: 1,
            grace: Duration::from_secs(10),
            metrics: None,
            mesh: None,
            set_up_account: false,
        }
    }
}

/// Starts a worker on the node's own JSON-RPC handlers. To be called on the node's tokio runtime once the handlers
/// exist; stop it before the node's own tasks end, so that its last transactions get through.
///
/// # Errors
/// When a folder can not be used or a port is taken. What is wrong later shows in the worker's status.
pub async fn start(
    rpc: impl InMemoryRpc,
    options: Options,
    stop: &CancellationToken,
) -> Result<Running, RunError> {
    let client: Arc<dyn NodeClient> = Arc::new(RpcNodeClient::in_process(rpc, ClientConfig::default()));
    let capacity = options.capacity.max(1);
    let engine = EngineConfig {
        onnxruntime: options.onnxruntime.clone(),
        threads: capacity,
        ..EngineConfig::default()
    };
    let mesh = match options.mesh {
        None => None,
        Some(config) => {
            let auditing = running::auditing(&options.base_path, options.onnxruntime, EVIDENCE_SPACE)?;
            Some((config, auditing))
        }
    };
    let setup = Setup {
        client: client.clone(),
        signer: options.signer.clone(),
        serving: Arc::new(running::engine(&options.base_path, engine)?),
        base_path: options.base_path,
        capacity,
        grace: options.grace,
        metrics: options.metrics,
        mesh,
    };
    let running = Running::start(setup, stop).await?;
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
    Ok(running)
}
