//! The compute worker inside the node: it reads and writes the chain through the node's own JSON-RPC handlers.

use crate::{cli::WorkerArgs, service::Node};
use llmesh_chain::{InMemoryRpc, Signer};
use llmesh_worker::embedded::{self, Options};
use sc_service::{RpcHandlers, error::Error};
use std::{net::Ipv4Addr, path::Path};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

/// Signs for the worker of a development chain.
const DEV_KEY: &str = "//Charlie";

struct Handlers(RpcHandlers);

#[async_trait::async_trait]
impl InMemoryRpc for Handlers {
    async fn request(&self, json: String) -> Result<(String, mpsc::Receiver<String>), String> {
        self.0.rpc_query(&json).await.map_err(|error| error.to_string())
    }
}

/// Starts a worker on a running node; it ends with the node, and hands back on SIGINT and SIGTERM what it can not finish.
pub async fn start(node: &Node, args: &WorkerArgs, base_path: &Path, is_dev: bool) -> Result<(), Error> {
    let secret = match &args.worker_key_file {
        Some(file) => std::fs::read_to_string(file)
            .map_err(|error| Error::Other(format!("--worker-key-file {}: {error}", file.display())))?,
        None if is_dev => DEV_KEY.to_owned(),
        None => {
            return Err(Error::Other(
                "--worker needs --worker-key-file FILE on a chain that is not a development chain".into(),
            ));
        }
    };
    let signer =
        Signer::from_secret(&secret).map_err(|error| Error::Other(format!("the worker's key: {error}")))?;
    let folder = args
        .worker_base_path
        .clone()
        .unwrap_or_else(|| base_path.join("worker"));
    log::info!(
        "🧮 worker {} with its folder {}",
        signer.account_id(),
        folder.display()
    );

    let options = Options {
        onnxruntime: args.worker_onnxruntime.clone(),
        capacity: args.worker_capacity,
        metrics: args
            .worker_prometheus_port
            .map(|port| (Ipv4Addr::LOCALHOST, port).into()),
        set_up_account: is_dev,
        ..Options::new(folder, signer)
    };
    let mut handle = embedded::start(Handlers(node.rpc.clone()), options)
        .await
        .map_err(|error| Error::Other(format!("the worker does not start: {error}")))?;

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // A worker that ends by itself is at fault for good: the node ends too, so that it is seen.
    node.task_manager
        .spawn_essential_handle()
        .spawn("worker", Some("worker"), async move {
            let ended = tokio::select! {
                ended = handle.finished() => ended,
                _ = async { tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} } } => {
                    handle.begin_stop();
                    handle.finished().await
                }
            };
            if let Err(error) = ended {
                log::error!("the worker ended: {error}");
            }
        });
    Ok(())
}
