//! From the command line to what it asks for.

use crate::{
    cli::{Cli, Subcommand},
    ports,
    service::{self, Block, Node, Parts},
    worker,
};
use sc_cli::{CliConfiguration, Result, Signals, SubstrateCli, print_node_infos};
use sc_network::{Litep2pNetworkBackend, NetworkWorker, config::NetworkBackendType};
use sc_service::{ChainSpec, Configuration};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What the node's tasks have to end, as with [`sc_cli::Runner`].
const SHUTDOWN: Duration = Duration::from_secs(60);

impl SubstrateCli for Cli {
    fn impl_name() -> String {
        "LLMESH Node".into()
    }

    fn impl_version() -> String {
        env!("SUBSTRATE_CLI_IMPL_VERSION").into()
    }

    fn description() -> String {
        env!("CARGO_PKG_DESCRIPTION").into()
    }

    fn author() -> String {
        "LLMESH".into()
    }

    fn support_url() -> String {
        env!("CARGO_PKG_REPOSITORY").into()
    }

    fn copyright_start_year() -> i32 {
        2026
    }

    fn load_spec(&self, id: &str) -> std::result::Result<Box<dyn ChainSpec>, String> {
        Ok(Box::new(llmesh_chain_spec::load(id)?))
    }
}

/// Does what the command line asks for.
pub fn run() -> Result<()> {
    let cli = Cli::from_args();

    match &cli.subcommand {
        None => run_node(&cli),
        Some(Subcommand::Key(cmd)) => cmd.run(&cli),
        Some(Subcommand::ExportChainSpec(cmd)) => cmd.run(cli.load_spec(&cmd.chain)?),
        Some(Subcommand::CheckBlock(cmd)) => cli.create_runner(cmd)?.async_run(|config| {
            let Parts {
                client,
                import_queue,
                task_manager,
                ..
            } = service::for_chain_operations(config)?;
            Ok((cmd.run(client, import_queue), task_manager))
        }),
        Some(Subcommand::ExportBlocks(cmd)) => cli.create_runner(cmd)?.async_run(|config| {
            let database = config.database.clone();
            let Parts {
                client, task_manager, ..
            } = service::for_chain_operations(config)?;
            Ok((cmd.run(client, database), task_manager))
        }),
        Some(Subcommand::ExportState(cmd)) => cli.create_runner(cmd)?.async_run(|config| {
            let spec = config.chain_spec.cloned_box();
            let Parts {
                client, task_manager, ..
            } = service::for_chain_operations(config)?;
            Ok((cmd.run(client, spec), task_manager))
        }),
        Some(Subcommand::ImportBlocks(cmd)) => cli.create_runner(cmd)?.async_run(|config| {
            let Parts {
                client,
                import_queue,
                task_manager,
                ..
            } = service::for_chain_operations(config)?;
            Ok((cmd.run(client, import_queue), task_manager))
        }),
        Some(Subcommand::PurgeChain(cmd)) => cli
            .create_runner(cmd)?
            .sync_run(|config| cmd.run(config.database)),
        Some(Subcommand::Revert(cmd)) => cli.create_runner(cmd)?.async_run(|config| {
            let Parts {
                client,
                backend,
                task_manager,
                ..
            } = service::for_chain_operations(config)?;
            Ok((
                cmd.run(client, backend, Some(Box::new(service::revert_consensus))),
                task_manager,
            ))
        }),
        Some(Subcommand::ChainInfo(cmd)) => cli
            .create_runner(cmd)?
            .sync_run(|config| cmd.run::<Block>(&config)),
        #[cfg(feature = "runtime-benchmarks")]
        Some(Subcommand::Benchmark(cmd)) => benchmark(&cli, cmd),
    }
}

fn node(config: Configuration) -> Result<Node> {
    ports::check(&config)?;
    Ok(match config.network.network_backend {
        NetworkBackendType::Litep2p => service::new_full::<Litep2pNetworkBackend>(config),
        NetworkBackendType::Libp2p => service::new_full::<NetworkWorker<Block, _>>(config),
    }?)
}

/// Runs a node, and its worker if it has one, until a signal comes or one of them fails.
///
/// It does what [`sc_cli::Runner`] does but for the end. There, the signal ends the node's tasks, while the worker would still
/// need them; and a task that panics because another one has ended before it (such races are as old as
/// <https://github.com/paritytech/polkadot/issues/6368>) turns an orderly end into a failure.
fn run_node(cli: &Cli) -> Result<()> {
    let runtime = sc_cli::build_runtime()?;
    let signals = runtime.block_on(async { Signals::capture() })?;
    let config = cli.run.create_configuration(cli, runtime.handle().clone())?;
    cli.run.init(&Cli::support_url(), &Cli::impl_version(), |_| {})?;
    print_node_infos::<Cli>(&config);

    let stop = CancellationToken::new();
    runtime.spawn({
        let stop = stop.clone();
        async move {
            signals.future().await;
            stop.cancel();
        }
    });
    let base_path = config.base_path.path().to_owned();
    let worker = match cli.worker.worker {
        true => Some(worker::options(
            &cli.worker,
            &base_path,
            config.chain_spec.chain_type(),
        )?),
        false => None,
    };
    let (ended, tasks) = runtime.block_on(async {
        let mut node = node(config)?;
        let ended = match worker {
            Some(options) => match worker::start(&node, options, &stop).await {
                Ok(running) => worker::until_stopped(&mut node.task_manager, running, &stop).await,
                Err(error) => Err(error),
            },
            None => tokio::select! {
                failed = node.task_manager.future() => failed,
                () = stop.cancelled() => Ok(()),
            },
        };
        Ok::<_, sc_cli::Error>((ended, node.task_manager))
    })?;
    if let Err(error) = &ended {
        log::error!("{error}");
    }
    std::panic::set_hook(Box::new(|panic| {
        log::warn!("a task failed at the node's end: {panic}")
    }));
    // Dropping it tells the tasks to end; only then the runtime waits for them.
    let tasks = tasks.into_task_registry();
    runtime.shutdown_timeout(SHUTDOWN);
    for (task, count) in tasks.running_tasks() {
        log::error!(
            "{count} of the task {} did not end in {} s",
            task.name,
            SHUTDOWN.as_secs()
        );
    }
    Ok(ended?)
}

#[cfg(feature = "runtime-benchmarks")]
fn benchmark(cli: &Cli, cmd: &frame_benchmarking_cli::BenchmarkCmd) -> Result<()> {
    use frame_benchmarking_cli::{BenchmarkCmd, SUBSTRATE_REFERENCE_HARDWARE};
    use sp_runtime::traits::HashingFor;

    let runner = cli.create_runner(cmd)?;
    match cmd {
        BenchmarkCmd::Pallet(cmd) => {
            runner.sync_run(|config| cmd.run_with_spec::<HashingFor<Block>, ()>(Some(config.chain_spec)))
        }
        BenchmarkCmd::Machine(cmd) => {
            runner.sync_run(|config| cmd.run(&config, SUBSTRATE_REFERENCE_HARDWARE.clone()))
        }
        _ => Err("only `benchmark pallet` and `benchmark machine` are supported".into()),
    }
}
