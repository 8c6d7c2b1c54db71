//! Proof of Compute: what is audited, what verifiers say, and how it ends.
//!
//! Work reaches the chain in **batches**: the results of a host's jobs in one round (the chain lists them itself), and
//! the receipts that a claim on a channel's lane covers (the host states a Merkle sum tree over them). Two rounds later,
//! when randomness exists that nobody knew before, points of the batch's value are drawn; each point is an **audit** of
//! the receipt that it falls into.
//!
//! A *round* is a BABE epoch that has blocks; rounds are counted one by one even when BABE skips epochs, because the
//! randomness of a round is made of the blocks of the round before.

use crate::{JobId, ModelVersionId, Receipt, channel::ChannelId, channel::LaneId};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use sp_core::{ConstU32, H256, bounded::BoundedVec};
use sp_runtime::AccountId32;

/// Integers in a sketch.
pub const SKETCH_SIZE: usize = 16;
/// Most verifiers of one audit.
pub const MAX_COMMITTEE: u32 = 15;
/// Verifiers that sit in the three stages of an audit; a later stage has those of the one before, and more.
pub const STAGE_SEATS: [u32; 3] = [2, 5, MAX_COMMITTEE];

/// Counts the epochs that had blocks.
pub type Round = u32;
/// Identifies a batch of work. Assigned in order, never reused.
pub type BatchId = u64;
/// Identifies an audit. Assigned in order, never reused.
pub type AuditId = u64;

/// A random projection of a probe, see the `proofs` crate: the same bytes give the same sketch, close probes give close
/// sketches.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Sketch(pub [i64; SKETCH_SIZE]);

/// The top of a Merkle sum tree over the receipts that a claim adds to those of the claims before it.
///
/// When these went up to sequence `covered`, the leaf with index `i` is the receipt with sequence `covered + i + 1`, its
/// value the receipt's fee. A sequence without a receipt has an empty leaf of value 0.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Work {
    /// Root of the tree.
    pub root: H256,
    /// Number of leaves.
    pub leaves: u32,
    /// Sum of the leaves' values, in planck. No lane is paid beyond the sum over its claims.
    pub value: u128,
}

/// Where a batch of work comes from.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum BatchOrigin {
    /// The results of jobs that the host delivered in the batch's round.
    Jobs,
    /// A claim on a lane.
    Lane {
        channel: ChannelId,
        epoch: u32,
        lane: LaneId,
        /// Sequence of the last receipt that claims before this one covered.
        covered: u64,
        /// Root of the tree that the claim stated.
        root: H256,
        /// Leaves of the tree.
        leaves: u32,
        /// The channel's signer: the client of every receipt in the tree.
        signer: AccountId32,
    },
}

/// Work that waits for its draw, or was drawn.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Batch<AccountId> {
    pub host: AccountId,
    /// The round in which the batch was made; it is drawn in the second round after it.
    pub round: Round,
    pub origin: BatchOrigin,
    /// Receipts in the batch, for the number of points; of a lane, its leaves, or its new vouchers if there are more.
    pub receipts: u32,
    /// Sum of the receipts' fees, in planck: points are drawn from `0..value`.
    pub value: u128,
    /// What was paid with the batch, in planck: of a lane it can be less than `value`.
    pub fees: u128,
}

/// What an audit looks at.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum Subject<AccountId> {
    /// The leaf of the batch's tree that `point` falls into; the host has to show it.
    Leaf { batch: BatchId, point: u128 },
    /// The host's result of a job; the host has to show the receipt.
    Job { job: JobId, receipt: H256 },
    /// A receipt that somebody doubts and has shown.
    Challenge { by: AccountId, deposit: u128 },
}

/// Where an audit stands. `until` is the last block in which what is awaited counts.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub enum AuditState<BlockNumber> {
    /// The host has to show the receipt, and then to give its input to the verifiers.
    Opening { until: BlockNumber },
    /// The verifiers run the model and commit to what they find.
    Committing { until: BlockNumber },
    /// The host has to publish its sketch, and then to give output and probe to the verifiers.
    Publishing { until: BlockNumber },
    /// The verifiers reveal what they committed to.
    Revealing { until: BlockNumber },
    /// It is over.
    Finished(Verdict),
}

/// How an audit ended.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub enum Verdict {
    /// The work is good.
    Match,
    /// The work is not what the model yields: two thirds of the committee found the same other result, or that the
    /// answer does not follow from what the host showed.
    Mismatch,
    /// The host did not show what it had to show.
    Withheld(Withheld),
    /// Nothing follows for the host: there was nobody who could tell, or the committee was divided.
    Inconclusive,
}

impl Verdict {
    /// Whether the host is punished.
    pub const fn is_conviction(self) -> bool {
        matches!(self, Self::Mismatch | Self::Withheld(_))
    }
}

/// What a host did not show.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub enum Withheld {
    /// The receipt.
    Receipt,
    /// Its sketch.
    Sketch,
    /// Input, output or probe, as two thirds of the committee say.
    Data,
}

/// What a verifier found by itself, before it saw anything of the host's result. Committed to, then revealed.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub enum Finding {
    /// It ran the model; this is the sketch of its own probe.
    Ran(Sketch),
    /// The model failed on this input in the verifier's hands as well as it can tell: there can be no result.
    Fails,
    /// The host did not give an input with the receipt's hash.
    NoInput,
    /// It could not run the model, for reasons of its own. Never counts against the host.
    Abstained,
}

/// What a verifier found in what the host gave out after publishing its sketch. Revealed with the finding.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub enum Preimages {
    /// Output and probe have the receipt's hashes, the probe gives the host's sketch, and the output follows from it.
    Good,
    /// They have the receipt's hashes, but the rest does not hold.
    Bad,
    /// Nothing with the receipt's hashes came.
    Missing,
}

/// A verifier's revealed word.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Vote {
    pub finding: Finding,
    pub preimages: Preimages,
}

/// A verifier's seat in an audit.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Member<AccountId> {
    pub account: AccountId,
    /// Commitment to the finding of the present stage.
    pub ballot: Option<H256>,
    /// What was revealed in the present stage.
    pub vote: Option<Vote>,
}

/// An audit, as storage and the runtime API show it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Audit<AccountId, BlockNumber> {
    pub host: AccountId,
    pub subject: Subject<AccountId>,
    /// Round in which the audit began.
    pub round: Round,
    pub state: AuditState<BlockNumber>,
    /// The draw's seed; committee and sketches follow from it.
    pub seed: H256,
    /// Most that the pool pays the members together besides what the host was slashed, in planck.
    pub budget: u128,
    /// The receipt, once it was shown.
    pub receipt: Option<Receipt>,
    /// The version of the receipt's model.
    pub model: Option<ModelVersionId>,
    /// Index into [`STAGE_SEATS`].
    pub stage: u8,
    /// How many of `members` sit in the present stage.
    pub seats: u8,
    /// Everyone drawn, in the order of the draw; the first `seats` sit.
    pub members: BoundedVec<Member<AccountId>, ConstU32<MAX_COMMITTEE>>,
    /// The host's sketch of the present stage.
    pub sketch: Option<Sketch>,
}

impl<AccountId: PartialEq, BlockNumber> Audit<AccountId, BlockNumber> {
    /// The members that sit in the present stage.
    pub fn sitting(&self) -> &[Member<AccountId>] {
        self.members
            .get(..usize::from(self.seats))
            .unwrap_or(self.members.as_slice())
    }
}

/// Something that the chain waits for from one account.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub enum Duty {
    /// As host: show the receipt (`attestation.open`).
    Open,
    /// As host: give the input to the sitting verifiers.
    GiveInput,
    /// As host: publish the sketch (`attestation.publish`).
    Publish,
    /// As host: give output and probe to the sitting verifiers.
    GivePreimages,
    /// As verifier: run the model and commit (`attestation.commit`).
    Commit,
    /// As verifier: reveal (`attestation.reveal`).
    Reveal,
}

/// What an account says to open an audit.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct DutyItem<AccountId, BlockNumber> {
    pub audit: AuditId,
    pub duty: Duty,
    /// Last block in which it counts.
    pub until: BlockNumber,
    pub record: Audit<AccountId, BlockNumber>,
    /// For a leaf: the batch that it is in.
    pub batch: Option<Batch<AccountId>>,
}

/// The pallet's constants and where it stands, for workers.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct AttestationStatus<BlockNumber> {
    pub round: Round,
    /// Blocks for each step of an audit.
    pub window: BlockNumber,
    /// Rounds after which a batch can not be audited any more.
    pub horizon: Round,
    /// Milliseconds after a request's expiry within which its receipt can be challenged; a host keeps what it needs at
    /// least so long.
    pub challenge_period_ms: u64,
    /// Audits that are not finished.
    pub open_audits: u32,
}
