//! The calls that a worker and its command line make.

use crate::{AccountId, Arg, Call, H256};
use llmesh_primitives::{
    AuditId, ChannelId, Claim, FailureReason, JobId, JobParams, LaneId, ModelManifest, ModelVersionId,
    OfferTerms, SemVer, Sketch, Tensors, WorkerRecord, attestation::Vote,
};
use llmesh_proofs::{Opening, SignedReceipt};
use sp_core::crypto::AccountId32;
use sp_runtime::Perbill;

const STAKING: &str = "MeshStaking";
const REGISTRY: &str = "ModelRegistry";
const JOBS: &str = "Jobs";
const SETTLEMENT: &str = "Settlement";
const ATTESTATION: &str = "Attestation";

pub fn bond(value: u128) -> Call {
    Call::new(STAKING, "bond").with("value", Arg::Number(value))
}

pub fn bond_extra(value: u128) -> Call {
    Call::new(STAKING, "bond_extra").with("value", Arg::Number(value))
}

pub fn delegate(operator: AccountId, value: u128) -> Call {
    Call::new(STAKING, "delegate")
        .with("operator", Arg::Account(operator))
        .with("value", Arg::Number(value))
}

pub fn unbond(operator: AccountId, value: u128) -> Call {
    Call::new(STAKING, "unbond")
        .with("operator", Arg::Account(operator))
        .with("value", Arg::Number(value))
}

pub fn rebond(operator: AccountId, value: u128) -> Call {
    Call::new(STAKING, "rebond")
        .with("operator", Arg::Account(operator))
        .with("value", Arg::Number(value))
}

pub fn withdraw(operator: AccountId) -> Call {
    Call::new(STAKING, "withdraw").with("operator", Arg::Account(operator))
}

pub fn validate() -> Call {
    Call::new(STAKING, "validate")
}

pub fn verify() -> Call {
    Call::new(STAKING, "verify")
}

pub fn register_worker(record: &WorkerRecord) -> Call {
    Call::new(STAKING, "register_worker").with("record", Arg::shared(record))
}

pub fn deregister_worker() -> Call {
    Call::new(STAKING, "deregister_worker")
}

pub fn chill() -> Call {
    Call::new(STAKING, "chill")
}

pub fn claim_rewards(operator: AccountId) -> Call {
    Call::new(STAKING, "claim_rewards").with("operator", Arg::Account(operator))
}

pub fn set_commission(commission: Perbill) -> Call {
    Call::new(STAKING, "set_commission").with("commission", Arg::shared(&commission))
}

pub fn register_namespace(namespace: &[u8]) -> Call {
    Call::new(REGISTRY, "register_namespace").with("namespace", Arg::shared(&namespace))
}

pub fn publish(name: &[u8], version: SemVer, manifest: &ModelManifest) -> Call {
    Call::new(REGISTRY, "publish")
        .with("name", Arg::shared(&name))
        .with("version", Arg::shared(&version))
        .with("manifest", Arg::shared(manifest))
}

pub fn deprecate(id: ModelVersionId) -> Call {
    Call::new(REGISTRY, "deprecate").with("id", Arg::Number(id.into()))
}

pub fn yank(id: ModelVersionId) -> Call {
    Call::new(REGISTRY, "yank").with("id", Arg::Number(id.into()))
}

pub fn offer(id: ModelVersionId, terms: &OfferTerms) -> Call {
    Call::new(REGISTRY, "offer")
        .with("id", Arg::Number(id.into()))
        .with("terms", Arg::shared(terms))
}

pub fn withdraw_offer(id: ModelVersionId) -> Call {
    Call::new(REGISTRY, "withdraw_offer").with("id", Arg::Number(id.into()))
}

pub fn submit_job(model: ModelVersionId, inputs: &Tensors, params: &JobParams) -> Call {
    Call::new(JOBS, "submit")
        .with("model", Arg::Number(model.into()))
        .with("inputs", Arg::shared(inputs))
        .with("params", Arg::shared(params))
}

pub fn cancel_job(job: JobId) -> Call {
    Call::new(JOBS, "cancel").with("job", Arg::Number(job.into()))
}

pub fn submit_result(job: JobId, outputs: &Tensors, probe_hash: Option<H256>) -> Call {
    Call::new(JOBS, "submit_result")
        .with("job", Arg::Number(job.into()))
        .with("outputs", Arg::shared(outputs))
        .with("probe_hash", Arg::shared(&probe_hash))
}

pub fn decline(job: JobId, reason: FailureReason) -> Call {
    Call::new(JOBS, "decline")
        .with("job", Arg::Number(job.into()))
        .with("reason", Arg::shared(&reason))
}

pub fn resume() -> Call {
    Call::new(JOBS, "resume")
}

pub fn remove_job(job: JobId) -> Call {
    Call::new(JOBS, "remove").with("job", Arg::Number(job.into()))
}

/// Opens a payment channel whose vouchers `signer` signs. `lanes` are hosts with their allocations in planck (at most
/// [`MAX_LANES`](llmesh_primitives::channel::MAX_LANES)), `lifetime` is in blocks.
pub fn open_channel(signer: &AccountId32, lanes: &[(AccountId, u128)], lifetime: u32) -> Call {
    Call::new(SETTLEMENT, "open_channel")
        .with("signer", Arg::shared(signer))
        .with("lanes", Arg::shared(&lanes))
        .with("lifetime", Arg::Number(lifetime.into()))
}

pub fn add_lane(channel: ChannelId, host: AccountId, amount: u128) -> Call {
    Call::new(SETTLEMENT, "add_lane")
        .with("channel", Arg::Number(channel.into()))
        .with("host", Arg::Account(host))
        .with("amount", Arg::Number(amount))
}

pub fn fund_lane(channel: ChannelId, lane: LaneId, amount: u128) -> Call {
    Call::new(SETTLEMENT, "fund_lane")
        .with("channel", Arg::Number(channel.into()))
        .with("lane", Arg::Number(lane.into()))
        .with("amount", Arg::Number(amount))
}

/// Lets a channel expire `lifetime` blocks from now.
pub fn extend_channel(channel: ChannelId, lifetime: u32) -> Call {
    Call::new(SETTLEMENT, "extend")
        .with("channel", Arg::Number(channel.into()))
        .with("lifetime", Arg::Number(lifetime.into()))
}

pub fn claim(claim: &Claim) -> Call {
    Call::new(SETTLEMENT, "claim").with("claim", Arg::shared(claim))
}

/// Claims of one host, at most [`MAX_CLAIMS`](llmesh_primitives::channel::MAX_CLAIMS).
pub fn claim_batch(claims: &[Claim]) -> Call {
    Call::new(SETTLEMENT, "claim_batch").with("claims", Arg::shared(&claims))
}

pub fn release_lane(channel: ChannelId, lane: LaneId) -> Call {
    Call::new(SETTLEMENT, "release_lane")
        .with("channel", Arg::Number(channel.into()))
        .with("lane", Arg::Number(lane.into()))
}

pub fn close_channel(channel: ChannelId) -> Call {
    Call::new(SETTLEMENT, "close").with("channel", Arg::Number(channel.into()))
}

pub fn settle_channel(channel: ChannelId) -> Call {
    Call::new(SETTLEMENT, "settle").with("channel", Arg::Number(channel.into()))
}

/// Opens a channel that is over again, with a new epoch; the arguments are those of [`open_channel`].
pub fn reopen_channel(
    channel: ChannelId,
    signer: &AccountId32,
    lanes: &[(AccountId, u128)],
    lifetime: u32,
) -> Call {
    Call::new(SETTLEMENT, "reopen")
        .with("channel", Arg::Number(channel.into()))
        .with("signer", Arg::shared(signer))
        .with("lanes", Arg::shared(&lanes))
        .with("lifetime", Arg::Number(lifetime.into()))
}

/// Shows the receipt that an audit drew.
pub fn open_audit(audit: AuditId, opening: &Opening) -> Call {
    Call::new(ATTESTATION, "open")
        .with("audit", Arg::Number(audit.into()))
        .with("opening", Arg::shared(opening))
}

/// Commits to what was found in an audit.
pub fn commit_finding(audit: AuditId, ballot: H256) -> Call {
    Call::new(ATTESTATION, "commit")
        .with("audit", Arg::Number(audit.into()))
        .with("ballot", Arg::shared(&ballot))
}

/// Publishes the host's sketch.
pub fn publish_sketch(audit: AuditId, sketch: &Sketch) -> Call {
    Call::new(ATTESTATION, "publish")
        .with("audit", Arg::Number(audit.into()))
        .with("sketch", Arg::shared(sketch))
}

/// Reveals what was committed to.
pub fn reveal_finding(audit: AuditId, vote: &Vote, salt: [u8; 32]) -> Call {
    Call::new(ATTESTATION, "reveal")
        .with("audit", Arg::Number(audit.into()))
        .with("vote", Arg::shared(vote))
        .with("salt", Arg::shared(&salt))
}

/// Doubts a receipt.
pub fn challenge(receipt: &SignedReceipt) -> Call {
    Call::new(ATTESTATION, "challenge").with("receipt", Arg::shared(receipt))
}
