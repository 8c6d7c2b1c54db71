//! `run`

use super::{CliError, args::RunArgs, context::Context, output::print_json};
use crate::{Worker, WorkerConfig, embedded, reconcile::Limits};
use llmesh_engine::EngineConfig;
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
    let config = WorkerConfig {
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
    let client = Arc::new(context.client.clone());
    let mut worker = Worker::spawn(config, client, Arc::new(engine), signer).await?;
    if let Some(address) = worker.metrics_address() {
        tracing::info!("metrics at http://{address}/metrics, health at http://{address}/health");
    }

    let no_signals = |e| CliError::Failed(format!("can not listen for signals: {e}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
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
    if context.json {
        print_json(&worker.status().to_json());
    }
    Ok(())
}
