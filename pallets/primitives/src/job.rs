//! Jobs, their results and receipts.

use crate::{
    ContentId, JobId, ModelVersionId,
    channel::{ChannelId, LaneId},
    model::RuntimeClass,
    tensor::Tensors,
};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use sp_core::{ConstU32, H256, bounded::BoundedVec};
use sp_runtime::{
    Perbill,
    traits::{BlakeTwo256, Hash},
};

/// Most hosts that one job can ask for.
pub const MAX_REDUNDANCY: u32 = 5;
/// Most hosts that are ever drawn for one job, reassignments included.
pub const MAX_ATTEMPTS: u32 = 15;

/// Order in which queued jobs are drawn, and the factor on their fee.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
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
pub enum Priority {
    /// Factor 1.
    #[default]
    Normal,
    /// Factor 1.5.
    High,
    /// Factor 2.
    Urgent,
}

/// What a client asks for beside model and input.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct JobParams {
    /// Most that the client pays for all hosts together, in planck. Held until the job ends.
    pub max_fee: u128,
    /// Number of different hosts that compute the job, 1 to [`MAX_REDUNDANCY`].
    pub redundancy: u8,
    /// Order in the queue.
    pub priority: Priority,
    /// Hosts below this reputation are not drawn.
    pub min_reputation: Perbill,
}

/// Where a job stands.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub enum JobState {
    /// Waits for its (first or next) draw; nobody is at work.
    Queued,
    /// At least one host is at work.
    Running,
    /// Over; the record stays for the retention period.
    Finished(JobOutcome),
}

/// How a job ended.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub enum JobOutcome {
    /// All hosts asked for delivered and were paid; the rest of the fee cap went back.
    Settled,
    /// Time ran out with some results in; those hosts were paid, the rest went back.
    PartiallySettled,
    /// The client took it back before a host was drawn; everything went back.
    Cancelled,
    /// Time ran out without a result; everything went back.
    Expired,
    /// No result can be had; everything went back.
    Failed(FailureReason),
}

/// Why no result can be had, or why a host hands a job back.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub enum FailureReason {
    /// The model failed on this input.
    ModelError,
    /// The outputs are larger than the chain carries.
    OutputTooLarge,
    /// The host stops or has no room.
    HostUnavailable,
    /// As many hosts as can be tried were tried.
    TooManyAttempts,
}

/// One host's part in a job.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Assignment<AccountId, BlockNumber> {
    pub host: AccountId,
    /// Fee for this host's result, in planck, fixed at the draw.
    pub fee: u128,
    /// Block of the draw.
    pub drawn_at: BlockNumber,
    /// Last block in which the result counts.
    pub deadline: BlockNumber,
    pub state: AssignmentState<BlockNumber>,
}

/// Where one host's part stands.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub enum AssignmentState<BlockNumber> {
    /// The host is at work.
    Pending,
    /// The result is in.
    Delivered {
        at: BlockNumber,
        output_hash: H256,
        receipt: H256,
    },
    /// The deadline passed.
    TimedOut,
    /// The host handed the job back.
    Declined(FailureReason),
}

/// Where a job's money went, in planck. Once a job is over `escrowed = host_paid + pool_paid + treasury_paid + refunded`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct JobAccount {
    /// Taken from the client at submission.
    pub escrowed: u128,
    /// Sum of the fees of the results that were paid.
    pub fee: u128,
    pub host_paid: u128,
    pub pool_paid: u128,
    pub treasury_paid: u128,
    pub refunded: u128,
}

/// A job, as storage and the runtime API show it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Job<AccountId, BlockNumber> {
    pub owner: AccountId,
    pub model: ModelVersionId,
    pub params: JobParams,
    pub state: JobState,
    /// Block of submission.
    pub submitted_at: BlockNumber,
    /// Block after which a job without enough results ends.
    pub expires_at: BlockNumber,
    /// Block in which the job ended.
    pub finished_at: Option<BlockNumber>,
    /// The block at which the chain next looks at the job.
    pub wakes_at: BlockNumber,
    /// Hash of the inputs, see [`Receipt`].
    pub input_hash: H256,
    /// Everyone drawn so far, in order.
    pub assignments: BoundedVec<Assignment<AccountId, BlockNumber>, ConstU32<MAX_ATTEMPTS>>,
    pub account: JobAccount,
    /// Held from the owner for the record's storage; returned when the record is removed.
    pub deposit: u128,
}

impl<AccountId: PartialEq, BlockNumber> Job<AccountId, BlockNumber> {
    /// Results that are in.
    pub fn delivered(&self) -> usize {
        self.assignments
            .iter()
            .filter(|a| matches!(a.state, AssignmentState::Delivered { .. }))
            .count()
    }

    /// Hosts at work.
    pub fn pending(&self) -> usize {
        self.assignments
            .iter()
            .filter(|a| matches!(a.state, AssignmentState::Pending))
            .count()
    }
}

/// What a host delivered.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct JobResult {
    pub outputs: Tensors,
    pub receipt: Receipt,
}

/// What one inference was: enough to re-execute it and to compare, without carrying the data.
///
/// Hashes of tensors are BLAKE2b-256 over the SCALE encoding of [`Tensors`] in the order of the model's signature; the
/// content id is BLAKE3.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Receipt {
    /// What asked for it.
    pub origin: WorkOrigin,
    pub model: ContentId,
    pub runtime_class: RuntimeClass,
    pub input_hash: H256,
    pub output_hash: H256,
    /// Hash of the probe tensor; absent while the model declares no probe.
    pub probe_hash: Option<H256>,
    /// Multiply-accumulates that the fee is for.
    pub units: u64,
    /// Fee for this result in planck.
    pub fee: u128,
}

/// What an inference was done for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub enum WorkOrigin {
    /// A job on the chain.
    Job(JobId),
    /// A request in the mesh that a payment channel pays for.
    Request {
        channel: ChannelId,
        epoch: u32,
        lane: LaneId,
        /// The request's number on this lane, which its client gave it; they count from 1.
        sequence: u64,
        /// The request's id, which its client signed.
        request: H256,
    },
}

impl Receipt {
    /// Domain that keeps a receipt's hash apart from every other hash.
    pub const DOMAIN: &'static [u8] = b"llmesh/receipt/v1";

    /// BLAKE2b-256 over domain, host and receipt.
    pub fn hash<AccountId: Encode>(&self, host: &AccountId) -> H256 {
        BlakeTwo256::hash_of(&(Self::DOMAIN, host, self))
    }
}

/// Hash of a request's or a result's tensors, see [`Receipt`].
pub fn hash_tensors(tensors: &Tensors) -> H256 {
    BlakeTwo256::hash_of(tensors)
}
