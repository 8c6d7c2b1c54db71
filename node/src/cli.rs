//! The command line.

use clap::Parser;
use llmesh_worker::net::Multiaddr;
use sc_cli::RunCmd;
use std::path::PathBuf;

/// A node of the LLMESH network. Without a sub-command it runs; `--dev` makes a chain of its own in a temporary folder.
#[derive(Debug, Parser)]
pub struct Cli {
    #[command(subcommand)]
    pub subcommand: Option<Subcommand>,

    #[clap(flatten)]
    pub run: RunCmd,

    #[clap(flatten)]
    pub worker: WorkerArgs,
}

/// The compute worker inside the node.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Embedded worker")]
pub struct WorkerArgs {
    /// Run a compute worker in this process.
    ///
    /// On a development chain (`--dev`) it signs as //Charlie, bonds and registers by itself; elsewhere it needs
    /// `--worker-key-file` and an account that is bonded and registered (`llmesh-worker stake bond`, `llmesh-worker
    /// register`). Either way it serves the models that `llmesh-worker offer MODEL --base-path DIR --file FILE` puts into
    /// its folder.
    #[arg(long)]
    pub worker: bool,

    /// File that holds the worker's secret: a phrase, or 0x and 64 hex digits.
    #[arg(long, value_name = "FILE", requires = "worker")]
    pub worker_key_file: Option<PathBuf>,

    /// Folder for the worker's models and state [default: `worker` below the node's base path].
    #[arg(long, value_name = "DIR", requires = "worker")]
    pub worker_base_path: Option<PathBuf>,

    /// Jobs that the worker computes at the same time.
    #[arg(long, value_name = "N", default_value_t = 2, requires = "worker")]
    pub worker_capacity: usize,

    /// Port on loopback for the worker's `/metrics` and `/health`.
    #[arg(long, value_name = "PORT", requires = "worker")]
    pub worker_prometheus_port: Option<u16>,

    /// The worker takes part in the mesh and listens on this multiaddr, as in /ip4/0.0.0.0/tcp/30400; repeat for more
    /// [default: a free port on loopback on a development chain, else it is in no mesh]. On development and local chains it
    /// also uses private and loopback addresses.
    #[arg(long, value_name = "MULTIADDR", requires = "worker")]
    pub worker_mesh_listen: Vec<Multiaddr>,

    /// An address under which others reach the worker, when it is not the one it listens on; repeat for more.
    #[arg(long, value_name = "MULTIADDR", requires = "worker_mesh_listen")]
    pub worker_mesh_external: Vec<Multiaddr>,

    /// A peer to join the mesh by, with /p2p/ and its peer id at the end; repeat for more.
    #[arg(long, value_name = "MULTIADDR", requires = "worker")]
    pub worker_mesh_bootstrap: Vec<Multiaddr>,

    /// Port on loopback where applications ask the mesh: JSON-RPC, and HTTP in the Open Inference Protocol.
    #[arg(long, value_name = "PORT", requires = "worker")]
    pub worker_gateway_port: Option<u16>,

    /// File with the token that applications send as `Authorization: Bearer`. Without one whoever reaches the gateway's
    /// port can spend the channels of the worker's key.
    #[arg(long, value_name = "FILE", requires = "worker_gateway_port")]
    pub worker_gateway_token_file: Option<PathBuf>,

    /// The ONNX Runtime library [default: the variable ORT_DYLIB_PATH].
    #[arg(long, value_name = "FILE", requires = "worker")]
    pub worker_onnxruntime: Option<PathBuf>,
}

/// What the node does instead of running.
#[derive(Debug, clap::Subcommand)]
pub enum Subcommand {
    /// Make, inspect and use keys.
    #[command(subcommand)]
    Key(sc_cli::KeySubcommand),

    /// Write a chain specification to a file or to standard output, plain or raw.
    #[command(visible_alias = "build-spec")]
    ExportChainSpec(sc_cli::ExportChainSpecCmd),

    /// Execute a block again.
    CheckBlock(sc_cli::CheckBlockCmd),

    /// Write blocks to a file.
    ExportBlocks(sc_cli::ExportBlocksCmd),

    /// Write the state of a block as a chain specification.
    ExportState(sc_cli::ExportStateCmd),

    /// Read blocks from a file.
    ImportBlocks(sc_cli::ImportBlocksCmd),

    /// Delete the chain's database.
    PurgeChain(sc_cli::PurgeChainCmd),

    /// Go back to an earlier block.
    Revert(sc_cli::RevertCmd),

    /// What the database holds.
    ChainInfo(sc_cli::ChainInfoCmd),

    /// Measure the weights of pallets and the speed of this machine.
    #[cfg(feature = "runtime-benchmarks")]
    #[command(subcommand)]
    Benchmark(Box<frame_benchmarking_cli::BenchmarkCmd>),
}
