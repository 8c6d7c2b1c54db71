//! What can be given on the command line.

use crate::{amount, manifest::ModelArg};
use clap::{Args, Parser, Subcommand, ValueEnum};
use llmesh_chain::AccountId;
use llmesh_mesh::Multiaddr;
use llmesh_primitives::{ChannelId, JobId, SemVer};
use std::{path::PathBuf, str::FromStr, time::Duration};

const EXAMPLES: &str = "\
Examples, against a development node on this machine:
  llmesh-worker --dev-key alice stake bond 1000
  llmesh-worker --dev-key alice register --region eu-west
  llmesh-worker --dev-key alice model publish model.onnx --name google/magika --version 1.0.3 \\
      --base-price 10planck --complexity 1500000 --licence Apache-2.0
  llmesh-worker --dev-key alice offer google/magika --capacity 2
  llmesh-worker --dev-key alice run --capacity 2 --prometheus-port 9616
  llmesh-worker --dev-key bob job submit google/magika --input bytes=INT32:1,2048:@input.bin --watch
  llmesh-worker --dev-key alice run --mesh-listen /ip4/127.0.0.1/tcp/30400 --mesh-local --gateway-port 9955
  llmesh-worker --dev-key bob infer google/magika --input bytes=INT32:1,2048:@input.bin --receipt receipt.json
  llmesh-worker receipt verify receipt.json
  llmesh-worker --dev-key alice status

Amounts are in MESH (1000, 0.5) or in planck (500planck); 1 MESH = 10^12 planck.
Exit codes: 0 done, 1 failed, 2 used wrongly.";

/// Serves models on the LLMESH chain, and does what goes with it: stake, publish, offer, submit jobs.
#[derive(Debug, Parser)]
#[command(name = "llmesh-worker", version, after_long_help = EXAMPLES, max_term_width = 110, args_override_self = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// The node to talk to.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "LLMESH_NODE",
        default_value = "ws://127.0.0.1:9944"
    )]
    pub node: String,
    /// Insist on the chain with this genesis hash.
    #[arg(long, global = true, value_name = "HASH")]
    pub genesis: Option<String>,
    /// Print one JSON document to standard output.
    #[arg(long, global = true)]
    pub json: bool,
    /// File that holds the secret: a phrase or 0x and 64 hex digits, with //paths if wanted. The variable LLMESH_SURI
    /// can hold it instead.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        alias = "key-file",
        conflicts_with = "dev_key"
    )]
    pub suri_file: Option<PathBuf>,
    /// One of the well-known keys of development chains.
    #[arg(long, global = true, value_name = "NAME")]
    pub dev_key: Option<DevKey>,
    /// Folder for models and state [default: llmesh-worker in the user's data folder].
    #[arg(long, global = true, value_name = "FOLDER", env = "LLMESH_WORKER_BASE_PATH")]
    pub base_path: Option<PathBuf>,
    /// What to log, as in `info,llmesh_worker=debug` [default: info for run, else warn].
    #[arg(long, global = true, value_name = "FILTER", env = "RUST_LOG")]
    pub log: Option<String>,
    /// When a transaction counts.
    #[arg(long, global = true, value_enum, default_value_t = WaitArg::Finalized)]
    pub wait: WaitArg,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum WaitArg {
    /// It is in a block of the best chain. Sooner by some seconds, but until that block is final another can take its
    /// place, and then a transaction that is sent next can take the place of this one.
    InBlock,
    /// Its block is final.
    Finalized,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum DevKey {
    Alice,
    Bob,
    Charlie,
    Dave,
    Eve,
    Ferdie,
    One,
    Two,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serves: computes the jobs that the chain draws this account for.
    Run(RunArgs),
    /// Models: publish, list, show, import.
    #[command(subcommand)]
    Model(ModelCommand),
    /// Offers a model, changes an offer, or withdraws it.
    Offer(OfferArgs),
    /// Jobs: submit, watch, show, cancel.
    #[command(subcommand)]
    Job(JobCommand),
    /// Asks a host in the mesh for an answer and pays for it by a channel.
    Infer(InferArgs),
    /// Payment channels: open, fund, list, close, settle.
    #[command(subcommand)]
    Channel(ChannelCommand),
    /// Receipts of answers: check and show.
    #[command(subcommand)]
    Receipt(ReceiptCommand),
    /// Audits (Proof of Compute): what was audited, why, and how it ended.
    #[command(subcommand)]
    Audits(AuditsCommand),
    /// Stake: bond, delegate, unbond, and the roles that need a bond.
    #[command(subcommand)]
    Stake(StakeCommand),
    /// Writes this machine's worker record to the chain; needs a bond. Makes the account a host.
    Register(RegisterArgs),
    /// How this account and its worker are, and what to do about what is wrong.
    Status(StatusArgs),
}

#[derive(Debug, Args)]
pub(crate) struct EngineArgs {
    /// The ONNX Runtime library [default: what ORT_DYLIB_PATH names].
    #[arg(long, value_name = "FILE")]
    pub onnxruntime: Option<PathBuf>,
}

/// Serves: computes the jobs that the chain draws this account for.
///
/// It needs a bond (`stake bond`), a worker record (`register`), an offer (`offer`) and the offered models' files in
/// the store (`model import`, or `offer --file`). What is missing it says at once, with what to do. The first Ctrl-C
/// (or SIGTERM) stops it in order: it takes nothing new, finishes what it can, and hands back the rest. The second
/// ends it at once; results that are stored are sent at the next start.
///
/// Run one worker per key: a second one finds out when the other delivers first, and stops computing.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Jobs computed at the same time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub capacity: u16,
    /// Seconds to finish what is begun when the worker is stopped.
    #[arg(long, default_value = "20", value_name = "SECONDS", value_parser = seconds)]
    pub grace: Duration,
    /// Serve /metrics and /health on this port of the loopback interface.
    #[arg(long, value_name = "PORT")]
    pub prometheus_port: Option<u16>,
    /// Longest time that one inference may take.
    #[arg(long, default_value = "60", value_name = "SECONDS", value_parser = seconds)]
    pub time_limit: Duration,
    /// Models kept in memory.
    #[arg(long, default_value_t = 4, value_name = "COUNT")]
    pub max_sessions: u16,
    /// Threads inside one inference; more than 1 is not bit for bit reproducible.
    #[arg(long, default_value_t = 1, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    pub intra_threads: u16,
    #[command(flatten)]
    pub engine: EngineArgs,
    #[command(flatten)]
    pub mesh: MeshArgs,
}

/// Taking part in the mesh.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Mesh")]
pub(crate) struct MeshArgs {
    /// Take part in the mesh: listen on this multiaddr, as in /ip4/0.0.0.0/tcp/30400, /ip4/0.0.0.0/udp/30400/quic-v1 or
    /// /ip4/0.0.0.0/tcp/30401/ws; repeat for more. Without one the worker serves jobs of the chain only.
    #[arg(long, value_name = "MULTIADDR")]
    pub mesh_listen: Vec<Multiaddr>,
    /// An address under which others reach this worker, when it is not the one it listens on; repeat for more.
    #[arg(long, value_name = "MULTIADDR", requires = "mesh_listen")]
    pub mesh_external: Vec<Multiaddr>,
    /// A peer to join by, with /p2p/ and its peer id at the end; repeat for more.
    #[arg(long, value_name = "MULTIADDR", requires = "mesh_listen")]
    pub mesh_bootstrap: Vec<Multiaddr>,
    /// Pass on nothing of others.
    #[arg(long, requires = "mesh_listen")]
    pub no_relay: bool,
    /// Use private and loopback addresses too: for networks on one machine.
    #[arg(long, requires = "mesh_listen")]
    pub mesh_local: bool,
    /// Where this machine is, like eu-west; it goes into the worker record.
    #[arg(long, default_value = "unknown", value_name = "LABEL")]
    pub region: String,
    /// Serve applications (JSON-RPC, and HTTP in the Open Inference Protocol) on this port of the loopback interface.
    #[arg(long, value_name = "PORT", requires = "mesh_listen")]
    pub gateway_port: Option<u16>,
    /// File with the token that applications send as `Authorization: Bearer` to spend this key's channels. Without one
    /// whoever reaches the port can.
    #[arg(long, value_name = "FILE", requires = "gateway_port")]
    pub gateway_token_file: Option<PathBuf>,
    /// Claim a lane when so much can be claimed.
    #[arg(long, default_value = "1", value_name = "AMOUNT", value_parser = amount::parse)]
    pub claim_above: u128,
    /// Disk space for models; the ones least used go first, offered ones never.
    #[arg(long, default_value = "64", value_name = "GIB", value_parser = clap::value_parser!(u64).range(1..))]
    pub model_space: u64,
    /// Disk space for what audits may ask for: inputs, outputs and probes of answers whose audits are not over.
    #[arg(long, default_value = "8", value_name = "GIB", value_parser = clap::value_parser!(u64).range(1..))]
    pub evidence_space: u64,
}

/// Asks a host in the mesh for an answer and pays for it by a channel.
///
/// The request is sealed in this process: the gateway and the nodes on the way see neither input nor answer. Without a
/// channel with a lane for a host of the model, one is opened first (`--budget`). The receipt is checked, and kept with
/// `--receipt`.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Example:\n  llmesh-worker --dev-key ferdie infer google/magika --input \
    bytes=INT32:1,2048:@input.bin --gateway http://127.0.0.1:9955"
)]
pub(crate) struct InferArgs {
    /// The model; without a version the highest active one.
    #[arg(value_name = "NAME[@VERSION]")]
    pub model: ModelArg,
    /// An input tensor; repeat for each. See `job submit --help`.
    #[arg(long, value_name = "NAME=TYPE:SHAPE:DATA", required = true)]
    pub input: Vec<String>,
    /// The gateway of any node in the mesh.
    #[arg(
        long,
        value_name = "URL",
        env = "LLMESH_GATEWAY",
        default_value = "http://127.0.0.1:9955"
    )]
    pub gateway: String,
    /// Most to pay for the answer [default: what the dearest host asks].
    #[arg(long, value_name = "AMOUNT", value_parser = amount::parse)]
    pub max_price: Option<u128>,
    /// What to put into a channel if there is none: this much for each host.
    #[arg(long, default_value = "1", value_name = "AMOUNT", value_parser = amount::parse)]
    pub budget: u128,
    #[arg(long, value_enum, default_value_t = PriorityArg::Normal)]
    pub priority: PriorityArg,
    /// Hosts below this reputation are not asked.
    #[arg(long, default_value = "0", value_name = "FRACTION", value_parser = fraction)]
    pub min_reputation: sp_runtime::Perbill,
    /// Longest wait for the answer.
    #[arg(long, default_value = "60", value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Duration,
    /// Ask so many times, with new requests; for measurements.
    #[arg(long, default_value_t = 1, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: u32,
    /// Requests under way at the same time.
    #[arg(long, default_value_t = 1, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub concurrency: u16,
    /// Write the receipt to this file.
    #[arg(long, value_name = "FILE", conflicts_with = "repeat")]
    pub receipt: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ChannelCommand {
    /// Opens a channel with a lane for each host; prints its number.
    Open {
        /// A lane for every live host of this model.
        #[arg(long, value_name = "NAME[@VERSION]", required_unless_present = "host")]
        model: Option<ModelArg>,
        /// A lane for this host; repeat for more.
        #[arg(long, value_parser = account)]
        host: Vec<AccountId>,
        /// What to put into each lane.
        #[arg(long, value_name = "AMOUNT", value_parser = amount::parse)]
        budget: u128,
        /// Blocks until the channel ends if it is not extended.
        #[arg(long, default_value_t = 300_000, value_name = "BLOCKS")]
        lifetime: u32,
    },
    /// Adds to a lane, or adds a lane for another host.
    Fund {
        channel: ChannelId,
        #[arg(long, value_parser = account)]
        host: AccountId,
        #[arg(value_parser = amount::parse)]
        amount: u128,
    },
    /// Moves the end of a channel.
    Extend {
        channel: ChannelId,
        /// Blocks from now.
        #[arg(value_name = "BLOCKS")]
        lifetime: u32,
    },
    /// Shows the channels of this key [default: all].
    List,
    /// Asks for the rest back; hosts have the challenge window to claim.
    Close { channel: ChannelId },
    /// Takes the rest back when the window is over.
    Settle { channel: ChannelId },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReceiptCommand {
    /// Checks a receipt without a network: signatures, and that it answers the request that it carries.
    Verify {
        /// The file that `infer --receipt` wrote, or `-` for standard input.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Insist on the chain with this genesis hash.
        #[arg(long, value_name = "HASH")]
        chain: Option<String>,
        /// The inputs, to check that they are the receipt's; repeat for each tensor. See `job submit --help`.
        #[arg(long, value_name = "NAME=TYPE:SHAPE:DATA")]
        input: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditsCommand {
    /// Lists the audits of an account's work, and those that it verifies.
    List {
        /// The account [default: the one of the key].
        #[arg(long, value_name = "ACCOUNT", value_parser = account, conflicts_with = "all")]
        account: Option<AccountId>,
        /// The audits of everybody.
        #[arg(long)]
        all: bool,
        /// Begin at this audit.
        #[arg(long, value_name = "AUDIT", default_value_t = 0)]
        from: u64,
    },
    /// Shows one audit: who verified it and what each found. With --json, all that `audits check` needs.
    Show {
        #[arg(value_name = "AUDIT")]
        audit: u64,
    },
    /// Counts the votes of an audit again, without a node, from the file that `audits show --json` wrote.
    Check {
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Doubts a receipt: a committee runs it again. Takes a deposit, which is lost if the receipt is good.
    Challenge {
        /// The file that `infer --receipt` wrote.
        #[arg(value_name = "RECEIPT")]
        receipt: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// Imports an ONNX file into the store and publishes it on the chain.
    #[command(
        after_long_help = "Example:\n  llmesh-worker --dev-key alice model publish model.onnx --name \
        google/magika --version 1.0.3 \\\n      --base-price 10planck --complexity 1500000 --licence Apache-2.0 \
        --dynamic batch=1"
    )]
    Publish(PublishArgs),
    /// Lists the chain's models.
    List(ListArgs),
    /// Shows one model: its signature, price, and who offers it.
    Show {
        #[arg(value_name = "NAME[@VERSION]")]
        model: ModelArg,
    },
    /// Puts a model's file into the store, so that this worker can serve it.
    Import {
        file: PathBuf,
        /// Insist that the file is this published model.
        #[arg(long, value_name = "NAME[@VERSION]")]
        model: Option<ModelArg>,
    },
    /// Marks a version as outdated: no new offers.
    Deprecate {
        #[arg(value_name = "NAME@VERSION")]
        model: ModelArg,
    },
    /// Takes a version out of service: no new offers, no new jobs.
    Yank {
        #[arg(value_name = "NAME@VERSION")]
        model: ModelArg,
    },
}

#[derive(Debug, Args)]
pub(crate) struct PublishArgs {
    /// The ONNX file.
    pub file: PathBuf,
    /// The model's name, like google/magika. Its namespace is registered when nobody has it.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    pub name: String,
    /// The version, like 1.0.3.
    #[arg(long, value_parser = version)]
    pub version: SemVer,
    /// The lowest price that hosts may ask, per million multiply-accumulates.
    #[arg(long, value_name = "AMOUNT", value_parser = amount::parse)]
    pub base_price: u128,
    /// Multiply-accumulates of one inference.
    #[arg(long, value_name = "MACS", value_parser = clap::value_parser!(u64).range(1..))]
    pub complexity: u64,
    /// SPDX licence expression, like Apache-2.0.
    #[arg(long, alias = "license", value_name = "SPDX")]
    pub licence: String,
    /// The tensor before the last saturating step (logits before a softmax), which verification compares: its name, or
    /// `auto` to find it in the graph, or `outputs` to compare the outputs themselves.
    #[arg(long, value_name = "auto|outputs|TENSOR", default_value = "auto", value_parser = probe)]
    pub probe: ProbeArg,
    /// Largest relative difference of the probe between honest runs, like 0.0005 or 0.05%; or `auto` to measure it here.
    #[arg(long, value_name = "auto|FRACTION", default_value = "auto", value_parser = tolerance)]
    pub tolerance: ToleranceArg,
    /// Inputs like those of real requests, to measure the tolerance with: a file with one tensor a line, written as for
    /// `job submit --input` (@FILE from its folder), or a folder of such files that end in .txt. Without it inputs are
    /// made up.
    #[arg(long, value_name = "PATH")]
    pub samples: Option<PathBuf>,
    /// Leave no room in the tolerance for hosts that run several requests in one batch: more kinds of fraud are seen.
    #[arg(long)]
    pub no_batches: bool,
    /// The framework that the model comes from.
    #[arg(long, value_enum, default_value_t = OriginArg::Onnx)]
    pub origin: OriginArg,
    /// Machines whose results can be compared.
    #[arg(long, value_enum, default_value_t = ClassArg::CpuFloat)]
    pub runtime_class: ClassArg,
    /// Largest length of a dimension that the model leaves open, by its name; others count as 1.
    #[arg(long, value_name = "DIM=LENGTH", value_parser = dimension)]
    pub dynamic: Vec<(String, u32)>,
    #[command(flatten)]
    pub engine: EngineArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum OriginArg {
    Onnx,
    Tensorflow,
    Pytorch,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ClassArg {
    CpuFloat,
    CpuInt8Vnni,
    CpuInt8,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only models whose name contains this.
    pub filter: Option<String>,
    /// Yanked versions too.
    #[arg(long)]
    pub all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct OfferArgs {
    /// The model; without a version the highest active one.
    #[arg(value_name = "NAME[@VERSION]")]
    pub model: ModelArg,
    /// What to ask per million multiply-accumulates [default: the model's base price].
    #[arg(long, value_name = "AMOUNT", value_parser = amount::parse, conflicts_with = "withdraw")]
    pub price: Option<u128>,
    /// Jobs that may be drawn to this host at the same time for this model.
    #[arg(long, default_value_t = 1, conflicts_with = "withdraw", value_parser = clap::value_parser!(u32).range(1..))]
    pub capacity: u32,
    /// Import the model's file first; it must be the published one.
    #[arg(long, conflicts_with = "withdraw")]
    pub file: Option<PathBuf>,
    /// The worker runs on another machine: do not look for the file in this store.
    #[arg(long, conflicts_with_all = ["withdraw", "file"])]
    pub elsewhere: bool,
    /// Fetch the file by its content id from the peers that have it; join the mesh by this peer (an address with /p2p/ and
    /// its peer id at the end). Repeat for more. Workers of the chain that offer the model are asked without this too.
    #[arg(long, value_name = "MULTIADDR", conflicts_with_all = ["withdraw", "file", "elsewhere"])]
    pub from: Vec<Multiaddr>,
    /// Use private and loopback addresses for that: for networks on one machine.
    #[arg(long, conflicts_with_all = ["withdraw", "file", "elsewhere"])]
    pub mesh_local: bool,
    /// Withdraw the offer.
    #[arg(long)]
    pub withdraw: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    /// Submits a job; prints its number.
    #[command(
        after_long_help = "Tensors are written NAME=TYPE:SHAPE:DATA. DATA is a JSON list, or @FILE with raw \
        little-endian bytes.\nTypes: BOOL UINT8 INT8 UINT16 INT16 UINT32 INT32 UINT64 INT64 FP16 BF16 FP32 FP64.\n\n\
        Examples:\n  llmesh-worker --dev-key bob job submit google/magika --input bytes=INT32:1,2048:@input.bin \
        --watch\n  llmesh-worker --dev-key bob job submit acme/adder --input x=FP32:2:[1,2] --input y=FP32:2:[3,4] \
        --max-fee 0.5"
    )]
    Submit(SubmitArgs),
    /// Waits until a job is over and shows its result.
    Watch {
        job: JobId,
        /// Longest wait.
        #[arg(long, default_value = "600", value_name = "SECONDS", value_parser = seconds)]
        timeout: Duration,
    },
    /// Shows a job as it is now.
    Show { job: JobId },
    /// Takes back a job that no host works on yet; everything is refunded.
    Cancel { job: JobId },
}

#[derive(Debug, Args)]
pub(crate) struct SubmitArgs {
    /// The model; without a version the highest active one.
    #[arg(value_name = "NAME[@VERSION]")]
    pub model: ModelArg,
    /// An input tensor; repeat for each.
    #[arg(long, value_name = "NAME=TYPE:SHAPE:DATA", required = true)]
    pub input: Vec<String>,
    /// Most to pay for all hosts together; `auto` is enough for every live offer.
    #[arg(long, default_value = "auto", value_name = "AMOUNT|auto", value_parser = max_fee)]
    pub max_fee: MaxFee,
    /// Different hosts that compute the job.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=5))]
    pub redundancy: u8,
    #[arg(long, value_enum, default_value_t = PriorityArg::Normal)]
    pub priority: PriorityArg,
    /// Hosts below this reputation are not drawn.
    #[arg(long, default_value = "0", value_name = "FRACTION", value_parser = fraction)]
    pub min_reputation: sp_runtime::Perbill,
    /// Wait until the job is over and show its result.
    #[arg(long)]
    pub watch: bool,
    /// Longest wait.
    #[arg(long, default_value = "600", value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Duration,
}

/// What verification is to compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProbeArg {
    Auto,
    Outputs,
    Tensor(String),
}

/// How the tolerance is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ToleranceArg {
    Auto,
    Fixed(sp_runtime::Perbill),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MaxFee {
    Auto,
    Planck(u128),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum PriorityArg {
    Normal,
    High,
    Urgent,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StakeCommand {
    /// Bonds MESH and makes the account an operator; the minimum is 1000.
    Bond {
        #[arg(value_parser = amount::parse)]
        amount: u128,
    },
    /// Adds to the own bond.
    Extra {
        #[arg(value_parser = amount::parse)]
        amount: u128,
    },
    /// Bonds MESH behind another operator for a part of its revenue.
    Delegate {
        #[arg(value_parser = account)]
        operator: AccountId,
        #[arg(value_parser = amount::parse)]
        amount: u128,
    },
    /// Starts to take funds out of a bond; they are free after the unbonding period.
    Unbond {
        #[arg(value_parser = amount::parse)]
        amount: u128,
        /// Of a delegation to this operator [default: the own bond].
        #[arg(long, value_parser = account)]
        operator: Option<AccountId>,
    },
    /// Bonds funds again that are being unbonded.
    Rebond {
        #[arg(value_parser = amount::parse)]
        amount: u128,
        #[arg(long, value_parser = account)]
        operator: Option<AccountId>,
    },
    /// Takes what is through with unbonding.
    Withdraw {
        #[arg(long, value_parser = account)]
        operator: Option<AccountId>,
    },
    /// Claims the revenue of a delegation.
    Claim {
        #[arg(value_parser = account)]
        operator: AccountId,
    },
    /// Sets the part of revenue that the operator keeps before sharing with delegators.
    Commission {
        #[arg(value_name = "FRACTION", value_parser = fraction)]
        commission: sp_runtime::Perbill,
    },
    /// Asks to be a validator; session keys must be set before.
    Validate,
    /// Asks to be a verifier.
    Verify,
    /// Gives up all roles; the bond stays.
    Chill,
    /// Shows an operator's stake [default: of this key].
    Show {
        #[arg(value_parser = account)]
        account: Option<AccountId>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RegisterArgs {
    /// A label for where the machine is, like eu-west.
    #[arg(long, default_value = "unknown")]
    pub region: String,
    /// A multiaddr under which the worker is found; repeat for more, at most 4.
    #[arg(long, value_name = "MULTIADDR")]
    pub endpoint: Vec<String>,
    /// Remove the record instead; the account is no host any more.
    #[arg(long)]
    pub remove: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The account to look at [default: of the key].
    #[arg(long, value_parser = account)]
    pub account: Option<AccountId>,
    #[command(flatten)]
    pub engine: EngineArgs,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| format!("`{text}` is not a number of seconds"))?;
    Duration::try_from_secs_f64(seconds).map_err(|_| format!("`{text}` is not a number of seconds"))
}

fn version(text: &str) -> Result<SemVer, String> {
    text.parse().map_err(str::to_owned)
}

fn account(text: &str) -> Result<AccountId, String> {
    AccountId::from_str(text)
        .map_err(|_| format!("`{text}` is not an address: expected SS58, like 5Grwva..."))
}

fn fraction(text: &str) -> Result<sp_runtime::Perbill, String> {
    let expected =
        || format!("`{text}` is not a fraction: write a number from 0 to 1, or a percentage like 5%");
    let (number, divisor) = match text.strip_suffix('%') {
        Some(percent) => (percent, 100.0),
        None => (text, 1.0),
    };
    let value: f64 = number.trim().parse().map_err(|_| expected())?;
    let parts = value / divisor * 1e9;
    if !(0.0..=1e9).contains(&parts) {
        return Err(expected());
    }
    Ok(sp_runtime::Perbill::from_parts(parts.round() as u32))
}

fn probe(text: &str) -> Result<ProbeArg, std::convert::Infallible> {
    Ok(match text {
        "auto" => ProbeArg::Auto,
        "outputs" | "" => ProbeArg::Outputs,
        name => ProbeArg::Tensor(name.into()),
    })
}

fn tolerance(text: &str) -> Result<ToleranceArg, String> {
    if text == "auto" {
        Ok(ToleranceArg::Auto)
    } else {
        fraction(text).map(ToleranceArg::Fixed)
    }
}

fn dimension(text: &str) -> Result<(String, u32), String> {
    let parsed = text
        .rsplit_once('=')
        .and_then(|(name, n)| Some((name.to_owned(), n.parse().ok()?)));
    parsed
        .filter(|(_, n)| *n > 0)
        .ok_or_else(|| format!("`{text}` is not a dimension: write NAME=LENGTH, like batch=8"))
}

fn max_fee(text: &str) -> Result<MaxFee, String> {
    if text == "auto" {
        Ok(MaxFee::Auto)
    } else {
        amount::parse(text).map(MaxFee::Planck)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("llmesh-worker").chain(line.split_whitespace()))
    }

    #[test]
    fn definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_help() {
        fn walk(command: &clap::Command) {
            assert!(
                command.get_about().is_some(),
                "{} has no help",
                command.get_name()
            );
            command
                .get_subcommands()
                .filter(|c| c.get_name() != "help")
                .for_each(walk);
        }
        walk(&Cli::command());
    }

    #[test]
    fn the_examples_parse() {
        let text = EXAMPLES.replace("\\\n", " ");
        let lines: Vec<&str> = text
            .lines()
            .filter_map(|l| l.trim().strip_prefix("llmesh-worker "))
            .collect();
        assert_eq!(lines.len(), 10);
        for line in lines {
            assert!(parse(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn mistakes_are_refused() {
        for line in [
            "",
            "stake bond",
            "stake bond -5",
            "stake bond 1e3",
            "stake delegate nobody 5",
            "model publish m.onnx --name a/b --version 1.0 --base-price 1 --complexity 1 --licence MIT",
            "model publish m.onnx --name a/b --version 1.0.0 --base-price 1 --complexity 0 --licence MIT",
            "model show magika",
            "job submit a/b",
            "job submit a/b --input x=FP32:1:[1] --redundancy 6",
            "job submit a/b --input x=FP32:1:[1] --max-fee much",
            "job cancel x",
            "run --capacity 0",
            "offer a/b --withdraw --price 5",
            "--dev-key alice --suri-file f status",
            "--dev-key mallory status",
            "--wait never status",
        ] {
            let error = parse(line).err();
            assert_eq!(error.map(|e| e.exit_code()), Some(2), "{line}");
        }
    }

    #[test]
    fn fractions_are_read() {
        assert_eq!(fraction("5%"), Ok(sp_runtime::Perbill::from_percent(5)));
        assert_eq!(fraction("0.0005"), Ok(sp_runtime::Perbill::from_parts(500_000)));
        assert_eq!(fraction("1"), Ok(sp_runtime::Perbill::one()));
        for bad in ["", "2", "-0.1", "101%", "NaN", "x"] {
            assert!(fraction(bad).is_err(), "{bad}");
            assert!(tolerance(bad).is_err(), "{bad}");
        }
        let half = sp_runtime::Perbill::from_parts(500_000);
        assert_eq!(tolerance("0.0005"), Ok(ToleranceArg::Fixed(half)));
        assert_eq!(tolerance("auto"), Ok(ToleranceArg::Auto));
    }

    #[test]
    fn probes_are_read() {
        for (text, expected) in [
            ("auto", ProbeArg::Auto),
            ("outputs", ProbeArg::Outputs),
            ("", ProbeArg::Outputs),
            ("logits:0", ProbeArg::Tensor("logits:0".into())),
        ] {
            assert_eq!(probe(text), Ok(expected));
        }
    }
}
