//! The node's services and how they are wired: database, transaction pool, network, block production, finality, RPC.

use crate::rpc;
use futures::FutureExt;
use llmesh_runtime::{BlockNumber, Hash, Header, RuntimeApi};
use sc_client_api::{Backend, BlockBackend};
use sc_consensus_babe::{BabeBlockImport, BabeLink, SlotProportion};
use sc_consensus_grandpa::{
    BeforeBestBlockBy, FinalityProofProvider, GrandpaBlockImport, GrandpaPruningFilter, LinkHalf,
    SharedVoterState, VotingRulesBuilder, warp_proof,
};
use sc_consensus_slots::BackoffAuthoringOnFinalizedHeadLagging;
use sc_executor::{DEFAULT_HEAP_ALLOC_STRATEGY, HeapAllocStrategy, WasmExecutor};
use sc_network::{NetworkBackend, config::FullNetworkConfiguration};
use sc_service::{
    BuildNetworkParams, ChainType, Configuration, KeystoreContainer, RpcHandlers, SpawnTasksParams,
    TaskManager, WarpSyncConfig, config::KeystoreConfig, error::Error,
};
use sc_telemetry::{Telemetry, TelemetryWorker};
use sc_transaction_pool::TransactionPoolHandle;
use sc_transaction_pool_api::OffchainTransactionPoolFactory;
use sp_consensus_babe::inherents::{BabeCreateInherentDataProviders, InherentDataProvider};
use sp_runtime::{OpaqueExtrinsic, generic};
use std::{path::PathBuf, sync::Arc, time::Duration};

/// A block as the node sees it: what a transaction says is the runtime's business, here it is bytes. JSON-RPC shows it
/// as clients expect it, in hexadecimal.
pub type Block = generic::Block<Header, OpaqueExtrinsic>;

/// What the runtime can call in the node.
#[cfg(not(feature = "runtime-benchmarks"))]
pub type HostFunctions = sp_io::SubstrateHostFunctions;
/// What the runtime can call in the node.
#[cfg(feature = "runtime-benchmarks")]
pub type HostFunctions = (
    sp_io::SubstrateHostFunctions,
    frame_benchmarking::benchmarking::HostFunctions,
);

pub type FullClient = sc_service::TFullClient<Block, RuntimeApi, WasmExecutor<HostFunctions>>;
pub type FullBackend = sc_service::TFullBackend<Block>;
pub type FullSelectChain = sc_consensus::LongestChain<FullBackend, Block>;
pub type FullPool = TransactionPoolHandle<Block, FullClient>;

type GrandpaImport = GrandpaBlockImport<FullBackend, Block, FullClient, FullSelectChain>;
type BabeImport = BabeBlockImport<
    Block,
    FullClient,
    GrandpaImport,
    BabeCreateInherentDataProviders<Block>,
    FullSelectChain,
>;

/// Pause between rounds of gossip about votes. Six of them fit into a slot.
const GRANDPA_GOSSIP: Duration = Duration::from_millis(333);
/// A justification is stored and announced for one block in so many, besides those that change the set of voters.
const JUSTIFICATION_PERIOD: u32 = 512;

/// What every command that touches the chain needs.
pub struct Parts {
    pub client: Arc<FullClient>,
    pub backend: Arc<FullBackend>,
    pub task_manager: TaskManager,
    pub keystore: KeystoreContainer,
    pub select_chain: FullSelectChain,
    pub import_queue: sc_consensus::DefaultImportQueue<Block>,
    pub pool: Arc<FullPool>,
    block_import: BabeImport,
    babe: BabeLink<Block>,
    babe_worker: sc_consensus_babe::BabeWorkerHandle<Block>,
    grandpa: LinkHalf<Block, FullClient, FullSelectChain>,
    telemetry: Option<Telemetry>,
}

/// A running node.
pub struct Node {
    /// Ends the node when it is dropped.
    pub task_manager: TaskManager,
    /// Every JSON-RPC method of the node, callable without a connection.
    pub rpc: RpcHandlers,
}

/// Runs the Wasm runtime. What it was compiled to is kept, because compiling it is most of the time that a node takes to
/// start: for a chain on a developer's machine in the user's cache, so that the next chain finds it as well.
fn executor(config: &Configuration) -> WasmExecutor<HostFunctions> {
    let heap = config
        .executor
        .default_heap_pages
        .map_or(DEFAULT_HEAP_ALLOC_STRATEGY, |pages| HeapAllocStrategy::Static {
            extra_pages: pages as u32,
        });
    let cache = match config.chain_spec.chain_type() {
        ChainType::Development | ChainType::Local => std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
            .filter(|folder| folder.is_absolute())
            .map_or_else(|| config.data_path.clone(), |folder| folder.join("llmesh")),
        _ => config.data_path.clone(),
    };
    WasmExecutor::builder()
        .with_execution_method(config.executor.wasm_method)
        .with_onchain_heap_alloc_strategy(heap)
        .with_offchain_heap_alloc_strategy(heap)
        .with_max_runtime_instances(config.executor.max_runtime_instances)
        .with_runtime_cache_size(config.executor.runtime_cache_size)
        .with_cache_path(cache.join("compiled-runtimes"))
        .build()
}

fn parts(config: &Configuration) -> Result<Parts, Error> {
    let telemetry = config
        .telemetry_endpoints
        .clone()
        .filter(|endpoints| !endpoints.is_empty())
        .map(|endpoints| -> Result<_, sc_telemetry::Error> {
            let worker = TelemetryWorker::new(16)?;
            let telemetry = worker.handle().new_telemetry(endpoints);
            Ok((worker, telemetry))
        })
        .transpose()?;

    // The blocks that warp sync proves finality with are kept, whatever else is pruned.
    let (client, backend, keystore, task_manager) = sc_service::new_full_parts::<Block, RuntimeApi, _>(
        config,
        telemetry.as_ref().map(|(_, telemetry)| telemetry.handle()),
        executor(config),
        vec![Arc::new(GrandpaPruningFilter)],
    )?;
    let client = Arc::new(client);

    let telemetry = telemetry.map(|(worker, telemetry)| {
        task_manager.spawn_handle().spawn("telemetry", None, worker.run());
        telemetry
    });

    let select_chain = FullSelectChain::new(backend.clone());

    let pool = Arc::from(
        sc_transaction_pool::Builder::new(
            task_manager.spawn_essential_handle(),
            client.clone(),
            config.role.is_authority().into(),
        )
        .with_options(config.transaction_pool.clone())
        .with_prometheus(config.prometheus_registry())
        .build(),
    );

    let (grandpa_import, grandpa) = sc_consensus_grandpa::block_import(
        client.clone(),
        JUSTIFICATION_PERIOD,
        &client,
        select_chain.clone(),
        telemetry.as_ref().map(Telemetry::handle),
    )?;

    let babe_config = sc_consensus_babe::configuration(&*client)?;
    let slot_duration = babe_config.slot_duration();
    let inherents = move |_parent, ()| async move {
        let timestamp = sp_timestamp::InherentDataProvider::from_system_time();
        let slot = InherentDataProvider::from_timestamp_and_slot_duration(*timestamp, slot_duration);
        Ok((slot, timestamp))
    };
    let (block_import, babe) = sc_consensus_babe::block_import(
        babe_config,
        grandpa_import.clone(),
        client.clone(),
        Arc::new(inherents) as BabeCreateInherentDataProviders<Block>,
        select_chain.clone(),
        OffchainTransactionPoolFactory::new(pool.clone()),
    )?;

    let (import_queue, babe_worker) =
        sc_consensus_babe::import_queue(sc_consensus_babe::ImportQueueParams {
            link: babe.clone(),
            block_import: block_import.clone(),
            justification_import: Some(Box::new(grandpa_import)),
            client: client.clone(),
            slot_duration,
            spawner: &task_manager.spawn_essential_handle(),
            registry: config.prometheus_registry(),
            telemetry: telemetry.as_ref().map(Telemetry::handle),
        })?;

    Ok(Parts {
        client,
        backend,
        task_manager,
        keystore,
        select_chain,
        import_queue,
        pool,
        block_import,
        babe,
        babe_worker,
        grandpa,
        telemetry,
    })
}

/// The parts for a command that reads or writes the database and then ends.
pub fn for_chain_operations(mut config: Configuration) -> Result<Parts, Error> {
    config.keystore = KeystoreConfig::InMemory;
    parts(&config)
}

/// Takes what BABE and GRANDPA remember of the last `blocks` blocks out of the database.
pub fn revert_consensus(
    client: Arc<FullClient>,
    backend: Arc<FullBackend>,
    blocks: BlockNumber,
) -> sc_cli::Result<()> {
    sc_consensus_babe::revert(client.clone(), backend, blocks)?;
    sc_consensus_grandpa::revert(client, blocks)?;
    Ok(())
}

/// Starts a node.
pub fn new_full<Network: NetworkBackend<Block, Hash>>(config: Configuration) -> Result<Node, Error> {
    let Parts {
        client,
        backend,
        mut task_manager,
        keystore,
        select_chain,
        import_queue,
        pool,
        block_import,
        babe,
        babe_worker,
        grandpa,
        mut telemetry,
    } = parts(&config)?;

    let role = config.role;
    let name = config.network.node_name.clone();
    let force_authoring = config.force_authoring;
    let enable_grandpa = !config.disable_grandpa;
    let registry = config.prometheus_registry().cloned();

    // Network.
    let mut net_config =
        FullNetworkConfiguration::<Block, Hash, Network>::new(&config.network, registry.clone());
    let metrics = Network::register_notification_metrics(registry.as_ref());
    let genesis_hash = client
        .block_hash(0)?
        .expect("the genesis block is in the database; qed");
    let grandpa_protocol = sc_consensus_grandpa::protocol_standard_name(&genesis_hash, &config.chain_spec);
    let (grandpa_config, grandpa_notifications) = sc_consensus_grandpa::grandpa_peers_set_config::<_, Network>(
        grandpa_protocol.clone(),
        metrics.clone(),
        net_config.peer_store_handle(),
    );
    net_config.add_notification_protocol(grandpa_config);

    let warp_sync = Arc::new(warp_proof::NetworkProvider::new(
        backend.clone(),
        grandpa.shared_authority_set().clone(),
        Vec::new(),
    ));

    let (network, system_rpc_tx, tx_handler_controller, sync_service, _bitswap) =
        sc_service::build_network(BuildNetworkParams {
            config: &config,
            net_config,
            client: client.clone(),
            transaction_pool: pool.clone(),
            spawn_handle: task_manager.spawn_handle(),
            spawn_essential_handle: task_manager.spawn_essential_handle(),
            import_queue,
            block_announce_validator_builder: None,
            warp_sync_config: Some(WarpSyncConfig::WithProvider(warp_sync)),
            block_relay: None,
            metrics,
            gap_sync_body_policy: None,
        })?;

    // Off-chain workers of the runtime.
    if config.offchain_worker.enabled {
        let workers = sc_offchain::OffchainWorkers::new(sc_offchain::OffchainWorkerOptions {
            runtime_api_provider: client.clone(),
            is_validator: role.is_authority(),
            keystore: Some(keystore.keystore()),
            offchain_db: backend.offchain_storage(),
            transaction_pool: Some(OffchainTransactionPoolFactory::new(pool.clone())),
            network_provider: Arc::new(network.clone()),
            enable_http_requests: false,
            custom_extensions: |_| Vec::new(),
        })?;
        task_manager.spawn_handle().spawn(
            "offchain-workers-runner",
            "offchain-worker",
            workers.run(client.clone(), task_manager.spawn_handle()).boxed(),
        );
    }

    // RPC and the tasks that every node has.
    let voter_state = SharedVoterState::empty();
    let rpc_deps = rpc::Deps {
        client: client.clone(),
        pool: pool.clone(),
        select_chain: select_chain.clone(),
        keystore: keystore.keystore(),
        babe: babe_worker,
        authority_set: grandpa.shared_authority_set().clone(),
        voter_state: voter_state.clone(),
        justifications: grandpa.justification_stream(),
        finality_proofs: FinalityProofProvider::new_for_service(
            backend.clone(),
            Some(grandpa.shared_authority_set().clone()),
        ),
    };
    let rpc_handlers = sc_service::spawn_tasks(SpawnTasksParams {
        config,
        client: client.clone(),
        backend,
        task_manager: &mut task_manager,
        keystore: keystore.keystore(),
        transaction_pool: pool.clone(),
        rpc_builder: Box::new(move |executor| {
            rpc::methods(rpc_deps.clone(), executor).map_err(|error| Error::Application(error.into()))
        }),
        network: network.clone(),
        system_rpc_tx,
        tx_handler_controller,
        sync_service: sync_service.clone(),
        telemetry: telemetry.as_mut(),
        tracing_execute_block: None,
    })?;

    // Block production.
    if role.is_authority() {
        let proposer = sc_basic_authorship::ProposerFactory::new(
            task_manager.spawn_handle(),
            client.clone(),
            pool.clone(),
            registry.as_ref(),
            telemetry.as_ref().map(Telemetry::handle),
        );
        let slot_duration = babe.config().slot_duration();
        let author = sc_consensus_babe::start_babe(sc_consensus_babe::BabeParams {
            keystore: keystore.keystore(),
            client: client.clone(),
            select_chain,
            env: proposer,
            block_import,
            sync_oracle: sync_service.clone(),
            justification_sync_link: sync_service.clone(),
            create_inherent_data_providers: move |_parent, ()| async move {
                let timestamp = sp_timestamp::InherentDataProvider::from_system_time();
                let slot = InherentDataProvider::from_timestamp_and_slot_duration(*timestamp, slot_duration);
                Ok((slot, timestamp))
            },
            force_authoring,
            // Slow down when finality stalls, so that the chain does not run away from it.
            backoff_authoring_blocks: Some(BackoffAuthoringOnFinalizedHeadLagging::default()),
            babe_link: babe,
            block_proposal_slot_portion: SlotProportion::new(0.5),
            max_block_proposal_slot_portion: None,
            telemetry: telemetry.as_ref().map(Telemetry::handle),
        })?;
        task_manager
            .spawn_essential_handle()
            .spawn_blocking("babe", Some("block-authoring"), author);
    }

    // Finality. A node that is no validator follows the votes as well.
    if enable_grandpa {
        let voter = sc_consensus_grandpa::run_grandpa_voter(sc_consensus_grandpa::GrandpaParams {
            config: sc_consensus_grandpa::Config {
                gossip_duration: GRANDPA_GOSSIP,
                justification_generation_period: JUSTIFICATION_PERIOD,
                name: Some(name),
                observer_enabled: false,
                keystore: role.is_authority().then(|| keystore.keystore()),
                local_role: role,
                telemetry: telemetry.as_ref().map(Telemetry::handle),
                protocol_name: grandpa_protocol,
            },
            link: grandpa,
            network,
            sync: Arc::new(sync_service),
            notification_service: grandpa_notifications,
            // The default rules vote two blocks behind the best one and at most three quarters of the way to it. With
            // one block in two seconds that costs a slot of latency, so only the last block is left out.
            voting_rule: VotingRulesBuilder::new().add(BeforeBestBlockBy(1)).build(),
            prometheus_registry: registry,
            shared_voter_state: voter_state,
            telemetry: telemetry.as_ref().map(Telemetry::handle),
            offchain_tx_pool_factory: OffchainTransactionPoolFactory::new(pool.clone()),
        })?;
        task_manager
            .spawn_essential_handle()
            .spawn_blocking("grandpa-voter", None, voter);
    }

    // An embedded worker asks `rpc`, which answers every JSON-RPC method in memory.
    Ok(Node {
        task_manager,
        rpc: rpc_handlers,
    })
}
