//! `run`

use super::{CliError, args::RunArgs, context::Context, output::print_json};
use crate::{
    Worker, WorkerConfig,
    audit::{self, Auditing, EvidenceStore},
    embedded,
    net::{Engines, Net, NetConfig},
    reconcile::Limits,
};
use llmesh_chain::NodeClient;
use llmesh_engine::{EngineConfig, Executor};
use std::{net::Ipv4Addr, sync::Arc};
use tokio::signal::unix::{SignalKind, signal};

pub(super) async fn run(context: &Context, args: RunArgs) -> Result<(), CliError> {
    let signer = context.signer()?.clone();
    let capacity = usize::from(args.capacity);
    let engine = EngineConfig {
        threads: capacity,
        intra_threads: args.intra_threads.into(),
        max_sessions: args.max_sessions.into(),
        time_limit: args.time_limit,
        ..EngineConfig::default()
    };
    let engine = context.engine(&args.engine, engine)?;
    let net_config = net_config(context, &args);
    // Audits are answered in the mesh; without it nobody could be shown anything.
    let evidence = match &net_config {
        None => {
            tracing::warn!(
                "this worker is in no mesh (--mesh-listen): it can answer no audit, so use it where there are no verifiers"
            );
            None
        }
        Some(_) => {
            let folder = audit::evidence_folder(&context.base_path);
            let space = args.mesh.evidence_space.saturating_mul(1 << 30);
            Some(EvidenceStore::open(&folder, space)?)
        }
    };
    let config = WorkerConfig {
        evidence: evidence.clone(),
        limits: Limits {
            capacity,
            ..Limits::default()
        },
        grace: args.grace,
        metrics: args
            .prometheus_port
            .map(|port| (Ipv4Addr::LOCALHOST, port).into()),
        ..WorkerConfig::new(embedded::state_folder(&context.base_path))
    };
    tracing::info!(
        account = %signer.account_id(),
        base_path = %context.base_path.display(),
        onnxruntime = %engine.library().display(),
        capacity,
        "starting"
    );
    let client: Arc<dyn NodeClient> = Arc::new(context.client.clone());
    let engine: Arc<dyn Executor> = Arc::new(engine);
    // Before anything takes time: whoever asks a worker to stop while it starts is heard.
    let no_signals = |e| CliError::Failed(format!("can not listen for signals: {e}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let mut worker = Worker::spawn(config, client.clone(), engine.clone(), signer.clone()).await?;
    let net = match net_config.zip(evidence) {
        None => None,
        Some((config, evidence)) => {
            let verifier = context.engine(&args.engine, EngineConfig::verifier())?;
            let engines = Engines {
                serving: engine,
                auditing: Auditing::new(evidence, Arc::new(verifier)),
            };
            let started = Net::start(config, client, engines, signer);
            tokio::select! {
                started = started => Some(started?),
                _ = interrupt.recv() => return Ok(worker.stop().await?),
                _ = terminate.recv() => return Ok(worker.stop().await?),
            }
        }
    };
    if let Some(net) = &net {
        worker.show_net(net);
        let addresses = net.addresses();
        tracing::info!(peer = %net.peer_id(), ?addresses, "in the mesh");
        if let Some(address) = net.gateway_address() {
            tracing::info!(
                "applications: JSON-RPC at http://{address}, Open Inference Protocol at http://{address}/v2"
            );
        }
    }
    if let Some(address) = worker.metrics_address() {
        tracing::info!("metrics at http://{address}/metrics, health at http://{address}/health");
    }

    let mut asked = false;
    loop {
        tokio::select! {
            ended = worker.finished() => {
                ended?;
                break;
            }
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if std::mem::replace(&mut asked, true) {
            tracing::warn!("ending at once; stored results are sent at the next start");
            return Err(CliError::Failed("ended before everything was handed back".into()));
        }
        worker.begin_stop();
    }
    if let Some(net) = net {
        net.stop().await;
    }
    if context.json {
        print_json(&worker.status().to_json());
    }
    Ok(())
}

/// What was said of the mesh, if the worker is to take part in it.
fn net_config(context: &Context, args: &RunArgs) -> Option<NetConfig> {
    let mesh = &args.mesh;
    if mesh.mesh_listen.is_empty() {
        return None;
    }
    Some(NetConfig {
        base_path: context.base_path.clone(),
        listen: mesh.mesh_listen.clone(),
        external: mesh.mesh_external.clone(),
        bootstrap: mesh.mesh_bootstrap.clone(),
        local_only: mesh.mesh_local,
        relays: !mesh.no_relay,
        region: mesh.region.clone(),
        gateway: mesh.gateway_port.map(|port| (Ipv4Addr::LOCALHOST, port).into()),
        gateway_token: mesh.gateway_token_file.clone(),
        capacity: args.capacity.into(),
        claim_above: mesh.claim_above,
        model_space: mesh.model_space.saturating_mul(1 << 30),
    })
}
