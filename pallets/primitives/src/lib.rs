//! Types and glue traits shared by the LLMESH pallets, the runtime and the off-chain worker.
//!
//! Everything that both sides of the wire encode or hash lives here, once: tensors, model manifests, jobs, receipts
//! ([`tensor`], [`model`], [`job`], [`channel`], [`attestation`],
//! [`staking`]), the traits through which pallets know each other ([`traits`]), and the
//! declarations of the runtime APIs that clients call ([`api`]).
//!
//! Amounts are in planck (1 MESH = 10^12 planck). Prices are planck per million multiply-accumulates (MACs).

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod api;
pub mod attestation;
pub mod channel;
pub mod job;
pub mod model;
pub mod staking;
pub mod tensor;
pub mod traits;

#[cfg(test)]
mod tests;

pub use attestation::{Audit, AuditId, BatchId, Round, Sketch, Verdict, Work};
pub use channel::{Channel, ChannelId, ChannelState, Claim, Lane, LaneId, SignedVoucher, Voucher};
pub use job::{
    Assignment, AssignmentState, FailureReason, Job, JobAccount, JobOutcome, JobParams, JobResult, JobState,
    Priority, Receipt, WorkOrigin,
};
pub use model::{
    ModelManifest, ModelName, ModelVersion, OfferTerms, OriginFormat, RuntimeClass, SemVer, VersionStatus,
};
pub use staking::{StakeAccount, WorkerRecord};
pub use tensor::{Dim, ElementType, ModelSignature, Tensor, TensorError, TensorSpec, Tensors};

/// Identifies one published version of one model. Assigned in order of publication, never reused.
pub type ModelVersionId = u32;

/// Identifies a job. Assigned in order of submission, never reused.
pub type JobId = u64;

/// BLAKE3 hash of a model file.
pub type ContentId = sp_core::H256;

/// One MESH in planck.
pub const MESH: u128 = 1_000_000_000_000;
