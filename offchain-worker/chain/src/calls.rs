//! The calls that a worker and its command line make.

use crate::{AccountId, Arg, Call, H256};
use llmesh_primitives::{
    FailureReason, JobId, JobParams, ModelManifest, ModelVersionId, OfferTerms, SemVer, Tensors, WorkerRecord,
};
use sp_runtime::Perbill;

const STAKING: &str = "MeshStaking";
const REGISTRY: &str = "ModelRegistry";
const JOBS: &str = "Jobs";

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
