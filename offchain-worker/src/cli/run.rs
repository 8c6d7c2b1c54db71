//! `run`

use super::{CliError, args::RunArgs, context::Context, output::print_json};
use crate::{
    net::NetConfig,
    running::{self, Running, Setup},
};
use llmesh_engine::EngineConfig;
use std::{net::Ipv4Addr, sync::Arc};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

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
    // Audits are answered in the mesh; without it nobody could be shown anything.
    let mesh = match net_config(context, &args) {
        None => {
            tracing::warn!(
                "this worker is in no mesh (--mesh-listen): it can answer no audit, so use it where there are no verifiers"
            );
            None
        }
        Some(config) => {
            let space = args.mesh.evidence_space.saturating_mul(1 << 30);
            let library = args.engine.onnxruntime.clone();
            Some((config, running::auditing(&context.base_path, library, space)?))
        }
    };
    tracing::info!(
        account = %signer.account_id(),
        base_path = %context.base_path.display(),
        onnxruntime = %engine.library().display(),
        capacity,
        "starting"
    );
    let setup = Setup {
        client: Arc::new(context.client.clone()),
        signer,
        base_path: context.base_path.clone(),
        serving: Arc::new(engine),
        capacity,
        grace: args.grace,
        metrics: args
            .prometheus_port
            .map(|port| (Ipv4Addr::LOCALHOST, port).into()),
        mesh,
    };
    // Before anything takes time: whoever asks a worker to stop while it starts is heard.
    let no_signals = |e| CliError::Failed(format!("can not listen for signals: {e}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let stop = CancellationToken::new();
    let mut running = {
        let starting = Running::start(setup, &stop);
        tokio::pin!(starting);
        loop {
            tokio::select! {
                started = &mut starting => break started?,
                _ = interrupt.recv() => stop.cancel(),
                _ = terminate.recv() => stop.cancel(),
            }
        }
    };
    if let Some(net) = running.net() {
        let addresses = net.addresses();
        tracing::info!(peer = %net.peer_id(), ?addresses, "in the mesh");
        if let Some(address) = net.gateway_address() {
            tracing::info!(
                "applications: JSON-RPC at http://{address}, Open Inference Protocol at http://{address}/v2"
            );
        }
    }
    if let Some(address) = running.worker().metrics_address() {
        tracing::info!("metrics at http://{address}/metrics, health at http://{address}/health");
    }

    let mut asked = stop.is_cancelled();
    loop {
        tokio::select! {
            ended = running.finished() => {
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
        running.begin_stop();
    }
    running.leave().await;
    if context.json {
        print_json(&running.worker().status().to_json());
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
