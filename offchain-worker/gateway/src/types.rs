//! What the gateway asks of the node that it belongs to.

use crate::{GatewayError, text};
use async_trait::async_trait;
use llmesh_primitives::{ContentId, Dim, ModelSignature, Priority, SemVer, TensorSpec};
use llmesh_proofs::SignedReceipt;
use llmesh_protocol::{KeyId, MeshTensors};
use serde::{Deserialize, Serialize};
use sp_core::H256;
use sp_runtime::{AccountId32, Perbill};
use std::time::Duration;
use tokio::sync::mpsc;

/// The node behind the gateway.
///
/// The gateway bounds how many calls run at once and how long each may take. A call whose caller went away, whose time
/// ran out or that is still at work when the server's shutdown ends is **dropped**: dropping the future must cancel
/// what it began, and must not lose track of money.
#[async_trait]
pub trait Gateway: Send + Sync + 'static {
    /// Every model that takes work, each in its newest version, ordered by name.
    async fn models(&self) -> Result<Vec<ModelInfo>, GatewayError>;

    /// One model in the given version, or in the newest that takes work.
    ///
    /// # Errors
    /// [`Reason::UnknownModel`](crate::Reason::UnknownModel),
    /// [`Reason::UnknownVersion`](crate::Reason::UnknownVersion).
    async fn model(&self, name: &str, version: Option<&str>) -> Result<ModelInfo, GatewayError>;

    /// What the model costs now, and where.
    async fn quote(&self, request: QuoteRequest) -> Result<QuoteInfo, GatewayError>;

    /// Has it computed by a host and pays for it. The gateway has checked the inputs against the model's signature.
    ///
    /// Progress goes to `progress` as it happens; a full channel means that the reader is slow: drop the report, never
    /// wait for it.
    async fn infer(
        &self,
        request: InferRequest,
        progress: Option<mpsc::Sender<ProgressInfo>>,
    ) -> Result<InferResponse, GatewayError>;

    /// Sends an application's sealed request on: SCALE of the route header, and bytes that only the host can read.
    /// Gives the host's sealed answer.
    async fn forward(&self, header: Vec<u8>, sealed: Vec<u8>) -> Result<Vec<u8>, GatewayError>;

    /// Hosts that an application can seal to, and the ways to them.
    async fn routes(&self, request: RoutesRequest) -> Result<Vec<RouteInfo>, GatewayError>;

    /// How the node is.
    async fn status(&self) -> Result<StatusInfo, GatewayError>;

    /// Whether requests can be served now: chain and mesh are there.
    fn ready(&self) -> bool;
}

/// A model in one of its versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelInfo {
    /// `namespace/name`.
    pub name: String,
    /// The version that the rest describes.
    #[serde(with = "text::version")]
    pub version: SemVer,
    /// Every version that takes work, oldest first.
    #[serde(with = "text::versions")]
    pub versions: Vec<SemVer>,
    /// BLAKE3 of the model file.
    pub content_id: ContentId,
    pub inputs: Vec<TensorInfo>,
    pub outputs: Vec<TensorInfo>,
    /// Live hosts that offer this version.
    pub hosts: u32,
    /// What those hosts ask for one inference; absent without hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<PriceRange>,
}

impl ModelInfo {
    /// Inputs and outputs as the registry has them.
    pub fn describe(signature: &ModelSignature) -> (Vec<TensorInfo>, Vec<TensorInfo>) {
        let side = |specs: &[TensorSpec]| specs.iter().map(TensorInfo::from).collect();
        (side(&signature.inputs), side(&signature.outputs))
    }
}

/// An input or output of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TensorInfo {
    pub name: String,
    /// As in the Open Inference Protocol: `FP32`, `INT64`, ...
    pub datatype: String,
    /// Length of each dimension; -1 where it may be from 1 to that of `max_shape`.
    pub shape: Vec<i64>,
    /// Greatest length of each dimension.
    pub max_shape: Vec<u32>,
}

impl From<&TensorSpec> for TensorInfo {
    fn from(spec: &TensorSpec) -> Self {
        Self {
            name: String::from_utf8_lossy(&spec.name).into_owned(),
            datatype: spec.element_type.name().into(),
            shape: spec
                .shape
                .iter()
                .map(|dim| match dim {
                    Dim::Fixed(n) => i64::from(*n),
                    Dim::UpTo(_) => -1,
                })
                .collect(),
            max_shape: spec.shape.iter().map(|dim| dim.max()).collect(),
        }
    }
}

/// Lowest and highest price of one inference, in planck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceRange {
    #[serde(with = "text::planck")]
    pub lowest: u128,
    #[serde(with = "text::planck")]
    pub highest: u128,
}

/// Asks what a model costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QuoteRequest {
    pub model: String,
    /// Absent: the newest that takes work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Most hosts in the answer, 1 to 64.
    #[serde(default = "default_hosts")]
    pub max_hosts: u32,
}

/// Most hosts that one quote or one list of routes names.
pub const MAX_HOSTS: u32 = 64;

fn default_hosts() -> u32 {
    8
}

/// What a model costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuoteInfo {
    pub model: String,
    #[serde(with = "text::version")]
    pub version: SemVer,
    pub content_id: ContentId,
    /// Multiply-accumulates of one inference.
    pub units: u64,
    /// Best first, as the node would choose.
    pub hosts: Vec<HostQuote>,
}

/// One host's part of a quote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostQuote {
    pub host: AccountId32,
    pub peer_id: String,
    /// For one inference at normal priority, in planck.
    #[serde(with = "text::planck")]
    pub price: u128,
    /// From 0 to 1.
    #[serde(with = "text::fraction")]
    pub reputation: Perbill,
    /// Time that the path there and back is expected to add, without the computation.
    pub expected_latency_us: u64,
    /// Hops to the host; 1: straight.
    pub path_length: u32,
}

/// What a caller wants of an inference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InferRequest {
    /// `namespace/name`.
    pub model: String,
    /// Always given: the gateway has looked the model up.
    pub version: SemVer,
    /// Each input once, in the order of the signature.
    pub inputs: MeshTensors,
    /// Most that may be paid, in planck; `None`: what the node pays by default.
    pub max_price: Option<u128>,
    pub priority: Priority,
    /// Hosts below this reputation are not asked.
    pub min_reputation: Perbill,
    /// Time for the whole request. The gateway drops the call shortly after.
    pub deadline: Duration,
}

/// An inference that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InferResponse {
    /// Each output once, in the order of the signature.
    pub outputs: MeshTensors,
    pub receipt: SignedReceipt,
    /// Who computed it.
    pub host: AccountId32,
    /// What was paid, in planck.
    pub price: u128,
    pub request_id: H256,
    /// Hops of the path that the answer came by.
    pub path_length: u32,
    /// Hosts and paths that were tried, this one included.
    pub attempts: u32,
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProgressInfo {
    pub stage: Stage,
    /// Counts the tries from 1.
    pub attempt: u32,
    /// The host that is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<AccountId32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_length: Option<u32>,
    /// Requests before this one in the host's queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_position: Option<u32>,
    /// Since the request came in.
    pub elapsed_ms: u64,
}

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stage {
    /// Host and path are chosen.
    Planned,
    /// On its way.
    Sent,
    /// The host has it and has paid work before it.
    Queued,
    /// The host computes.
    Running,
    /// This path or host failed; the next one is tried.
    Retrying,
}

/// Asks for hosts to seal to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoutesRequest {
    pub model: String,
    /// Absent: the newest that takes work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Most hosts in the answer, 1 to 64.
    #[serde(default = "default_hosts")]
    pub max_hosts: u32,
    /// Leave out hosts that ask more, in planck.
    #[serde(
        default,
        with = "text::optional_planck",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_price: Option<u128>,
}

/// A host that an application can seal to. Check key and price against the chain: the gateway is not trusted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteInfo {
    pub host: AccountId32,
    pub peer_id: String,
    /// BLAKE3 of the model file.
    pub content_id: ContentId,
    #[serde(with = "text::version")]
    pub version: SemVer,
    /// X25519 key of the current key epoch.
    #[serde(with = "text::key")]
    pub key: [u8; 32],
    /// Name of that key in the route header.
    #[serde(with = "text::key_id")]
    pub key_id: KeyId,
    /// For one inference at normal priority, in planck.
    #[serde(with = "text::planck")]
    pub price: u128,
    /// From 0 to 1.
    #[serde(with = "text::fraction")]
    pub reputation: Perbill,
    /// Best first.
    pub paths: Vec<PathInfo>,
}

/// A way from this node to a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PathInfo {
    /// Peer ids after this node, the host last.
    pub hops: Vec<String>,
    /// Time that it is expected to add there and back.
    pub expected_latency_us: u64,
}

/// How the node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusInfo {
    /// Version of the software.
    pub version: String,
    pub ready: bool,
    /// What keeps it from being ready, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    pub peer_id: String,
    /// The account that pays, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId32>,
    /// Hash of block 0.
    pub genesis: H256,
    pub best_block: u32,
    pub finalized_block: u32,
    /// Mesh peers with a connection.
    pub peers: u32,
    /// Live hosts that the node knows.
    pub hosts: u32,
    /// Models with at least one live host.
    pub models: u32,
    /// Channels that the node pays from.
    pub channels: Vec<ChannelInfo>,
}

/// A channel that the node pays from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChannelInfo {
    pub id: u64,
    /// Sum over all lanes of what can still be spent, in planck.
    #[serde(with = "text::planck")]
    pub available: u128,
    /// Spent through this channel, in planck.
    #[serde(with = "text::planck")]
    pub spent: u128,
    pub lanes: u32,
    /// Last block in which hosts can claim.
    pub expires_at: u32,
}
