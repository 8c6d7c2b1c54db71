//! The compute worker inside the node: it reads and writes the chain through the node's own JSON-RPC handlers.

use crate::{cli::WorkerArgs, service::Node};
use llmesh_chain::{InMemoryRpc, Signer};
use llmesh_worker::{
    embedded::{self, Options},
    net::NetConfig,
    running::Running,
};
use sc_cli::Signals;
use sc_service::{ChainType, RpcHandlers, TaskManager, error::Error};
use std::{net::Ipv4Addr, path::Path};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Signs for the worker of a development chain.
const DEV_KEY: &str = "//Charlie";

struct Handlers(RpcHandlers);

#[async_trait::async_trait]
impl InMemoryRpc for Handlers {
    async fn request(&self, json: String) -> Result<(String, mpsc::Receiver<String>), String> {
        self.0.rpc_query(&json).await.map_err(|error| error.to_string())
    }
}

/// What the command line says of the worker, below the node's base path.
pub fn options(args: &WorkerArgs, base_path: &Path, chain: ChainType) -> Result<Options, Error> {
    let is_dev = chain == ChainType::Development;
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
    Ok(Options {
        onnxruntime: args.worker_onnxruntime.clone(),
        capacity: args.worker_capacity,
        metrics: args
            .worker_prometheus_port
            .map(|port| (Ipv4Addr::LOCALHOST, port).into()),
        mesh: mesh(args, &folder, chain)?,
        set_up_account: is_dev,
        ..Options::new(folder, signer)
    })
}

/// Starts a worker on a running node. The node has to live until [`until_stopped`] returns.
pub async fn start(node: &Node, options: Options, stop: &CancellationToken) -> Result<Running, Error> {
    log::info!(
        "🧮 worker {} with its folder {}",
        options.signer.account_id(),
        options.base_path.display()
    );
    let running = embedded::start(Handlers(node.rpc.clone()), options, stop)
        .await
        .map_err(|error| Error::Other(format!("the worker does not start: {error}")))?;
    if let Some(net) = running.net() {
        log::info!("🧮 in the mesh as {} at {:?}", net.peer_id(), net.addresses());
        if let Some(address) = net.gateway_address() {
            log::info!(
                "🧮 applications: JSON-RPC at http://{address}, Open Inference Protocol at http://{address}/v2"
            );
        }
    }
    Ok(running)
}

/// How the worker takes part in the mesh, if it does.
fn mesh(args: &WorkerArgs, folder: &Path, chain: ChainType) -> Result<Option<NetConfig>, Error> {
    let is_dev = chain == ChainType::Development;
    let mut listen = args.worker_mesh_listen.clone();
    if listen.is_empty() {
        if !is_dev {
            return match args.worker_gateway_port.is_some() || !args.worker_mesh_bootstrap.is_empty() {
                true => Err(Error::Other(
                    "--worker-gateway-port and --worker-mesh-bootstrap need --worker-mesh-listen MULTIADDR on a chain that \
                     is not a development chain"
                        .into(),
                )),
                false => Ok(None),
            };
        }
        let any = "/ip4/127.0.0.1/tcp/0".parse();
        listen.push(any.map_err(|error| Error::Other(format!("the mesh's address: {error}")))?);
    }
    Ok(Some(NetConfig {
        listen,
        external: args.worker_mesh_external.clone(),
        bootstrap: args.worker_mesh_bootstrap.clone(),
        // Chains that are made for one machine or one local network.
        local_only: matches!(chain, ChainType::Development | ChainType::Local),
        region: if is_dev { "local" } else { "unknown" }.into(),
        gateway: args
            .worker_gateway_port
            .map(|port| (Ipv4Addr::LOCALHOST, port).into()),
        gateway_token: args.worker_gateway_token_file.clone(),
        capacity: args.worker_capacity.max(1),
        ..NetConfig::new(folder)
    }))
}

/// Waits until node or worker fail, or `stop` is cancelled. Then the worker finishes or hands back what it holds, while the
/// node is still there for its transactions; another signal cuts that short.
///
/// # Errors
/// When node or worker ended by themselves.
pub async fn until_stopped(
    tasks: &mut TaskManager,
    mut running: Running,
    stop: &CancellationToken,
) -> Result<(), Error> {
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        failed = tasks.future() => return failed,
        // A worker that ends by itself is at fault for good: the node ends too, so that it is seen.
        ended = running.finished() => {
            let why = ended.err().map_or(String::new(), |error| format!(": {error}"));
            return Err(Error::Other(format!("the worker ended{why}")));
        }
    }
    let in_order = async {
        running.begin_stop();
        if let Err(error) = running.finished().await {
            log::error!("the worker ended: {error}");
        }
        running.leave().await;
    };
    let again = Signals::capture()?.future();
    tokio::select! {
        () = in_order => {}
        () = again => log::warn!("ending with what the models at work need; stored results are sent at the next start"),
        failed = tasks.future() => return failed,
    }
    Ok(())
}
