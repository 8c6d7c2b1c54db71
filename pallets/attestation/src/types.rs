//! What only this pallet stores.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use llmesh_primitives::{AuditId, JobId, ModelVersionId, Receipt, Round, RuntimeClass};
use scale_info::TypeInfo;
use sp_core::{ConstU32, H256, bounded::BoundedVec};

/// Identifies a challenge until its audit begins. Assigned in order, never reused.
pub type ChallengeId = u64;

/// The number of an audit as a key: big-endian, so that with the `Identity` hasher the storage order is the order of
/// the numbers.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct AuditKey([u8; 8]);

impl AuditKey {
    /// The audit's number.
    pub fn id(self) -> AuditId {
        AuditId::from_be_bytes(self.0)
    }
}

impl From<AuditId> for AuditKey {
    fn from(id: AuditId) -> Self {
        Self(id.to_be_bytes())
    }
}

/// What is remembered of a round.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct RoundRecord {
    /// Made of the VRF outputs of the blocks of the round before.
    pub randomness: H256,
    /// Audits of this round that are not finished.
    pub open: u32,
}

/// A verifier as it stood in the first block of a round.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Candidate<AccountId> {
    pub account: AccountId,
    /// Stake x reputation, in planck.
    pub weight: u128,
    /// What its machine can run.
    pub classes: BoundedVec<RuntimeClass, ConstU32<4>>,
}

/// A leaf of a `Jobs` batch.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct JobLeaf {
    pub job: JobId,
    /// The version that the job asked for.
    pub model: Option<ModelVersionId>,
    /// Hash of the receipt.
    pub receipt: H256,
    /// Sum of the fees up to and including this leaf, in planck: it covers the values from the end of the leaf before
    /// up to here, exclusive.
    pub end: u128,
}

/// A challenge that waits for its draw.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct PendingChallenge<AccountId> {
    pub by: AccountId,
    /// Held from the challenger, in planck.
    pub deposit: u128,
    pub host: AccountId,
    pub receipt: Receipt,
    pub model: ModelVersionId,
    /// The round in which it was made.
    pub round: Round,
}

/// What a verifier did wrong.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub enum Fault {
    /// It did not commit, or did not reveal what it had committed to. Costs reputation.
    Silent,
    /// What it said is refuted by two thirds of the committee. Costs stake and reputation.
    FalseVote,
}
