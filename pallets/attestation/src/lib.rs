//! # Attestation: Proof of Compute
//!
//! Hosts are paid for running models on other people's inputs. This pallet sees to it that they did: a share of all
//! work is drawn by public randomness after it was paid for, run again by verifiers who have not seen the result, and
//! compared. Who cheats loses stake, unclaimed revenue and reputation; who can not be refuted loses nothing.
//!
//! ## Batches
//!
//! Work arrives in batches, made without any call of this pallet:
//!
//! - **Jobs**: every result that a host delivers as an on-chain job becomes a leaf of the host's batch of the round
//!   ([`llmesh_primitives::traits::ReceiptSink`]). The chain lists the leaves itself.
//! - **Lanes**: every claim on a payment channel's lane that adds receipts is a batch
//!   ([`llmesh_primitives::traits::WorkSink`]). The claim states a Merkle sum tree over them. The client has numbered and
//!   signed its requests, and a receipt's place in the tree follows from its number: each request has one leaf in one
//!   batch, which later claims can not change.
//!
//! ## Rounds and draws
//!
//! A **round** is a BABE epoch that has blocks; the pallet counts them itself, one by one, because BABE skips epochs
//! in which no block was made. In the first block of round `r` the randomness of the VRF outputs of round `r - 1`
//! exists. It is stored, and with it a snapshot of the verifiers. A batch of round `c` is drawn with the randomness of
//! round `c + 2`, which is made in round `c + 1`: nobody knew any of it while batches of round `c` could still be
//! made. The randomness and the snapshot of *that* round count for everything that follows, however late it happens,
//! so that nothing is gained by delay.
//!
//! The points of a batch are uniform in its value ([`llmesh_proofs::sampling`]); each point, or rather the receipt
//! that it falls into, is an **audit**. Nobody submits a draw: it is a function of state.
//!
//! ## An audit
//!
//! 1. *Opening*: the host shows the receipt (`open`) within [`Config::Window`]. Then a committee of up to 15 members
//!    is drawn by stake x reputation among the snapshot's verifiers that can run the model and have no known interest
//!    in the host's revenue. The first two sit.
//! 2. *Committing*: the host gives the input, and only the input, to the sitting members off the chain. Each runs the
//!    model and commits to what it found (`commit`).
//! 3. *Publishing*: the host publishes the sketch of its probe (`publish`), and gives output and probe to the members
//!    off the chain.
//! 4. *Revealing*: the members reveal (`reveal`).
//! 5. The votes are counted ([`llmesh_proofs::audit::tally`]). Dissent leads to the next **stage**: 5 seats, then 15.
//!    Everything starts anew, under another sketch seed, so that each stage is as blind as the first. Only the last
//!    stage convicts, by two thirds, and not by fewer than [`Config::MinQuorum`] votes.
//!
//! Whoever lets a window pass bears the consequence: the host is convicted of withholding, a member loses reputation.
//!
//! Anybody who holds a receipt can have it audited (`challenge`) for a deposit. A challenge waits for its draw as a
//! batch does, and begins with step 2.
//!
//! ## Consequences
//!
//! - Match: the host's reputation rises.
//! - Mismatch: [`Config::MismatchSlash`]. Something withheld: [`Config::WithheldSlash`]. All slashes of a host for one
//!   round of work add up to the largest of them. Every conviction is told to [`Config::Verdicts`], which moves
//!   reputation and forfeits revenue.
//! - Each member that was right gets up to the receipt's fee out of the verifier pool, but no more than was paid for the
//!   batch, and no more than a 64th of the pool; all together no more than the audit's part of [`REWARD_SHARE`] of what was
//!   paid for the batch, and what a convicted host lost. Members refuted by two thirds lose
//!   [`Config::FalseVoteSlash`].
//! - A challenger that was right gets the deposit back and counts as the slash's reporter. If the work was good, half
//!   of the deposit goes to the host, half to the members that were right. Otherwise the deposit comes back. A receipt
//!   that nobody has paid for can state any fee: after a challenge the pool pays all members together no more than the
//!   deposit, and no more than the host was slashed; and hosts that have less at stake than makes that worth while can
//!   not be challenged.
//! - A host whose batch gets old without a conviction in its round has [`Config::BonusShare`] of what the pool got of
//!   its fees back. So paying oneself earns nothing.
//!
//! ## Properties
//!
//! - **Bounded**: [`Config::AgendaWeight`] bounds what a block spends on deadlines, draws and removal, in this order;
//!   the rest is carried over. At most [`Config::MaxOpenAudits`] audits are open at a time: draws wait for room.
//! - **Everything ends**: an open audit has exactly one entry in the agenda. Batches, challenges and records older
//!   than [`Config::Horizon`] rounds are removed; a batch or challenge that could not be drawn before is not audited
//!   any more, so that hosts need not keep data for ever.
//! - **No call by others**: only the host and sitting members can move an audit, each once a step; these calls are
//!   free when they succeed.
//! - `do_try_state` states the invariants of storage.

#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(
    not(any(test, feature = "runtime-benchmarks")),
    deny(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used
    )
)]

extern crate alloc;

mod agenda;
mod audits;
mod rounds;
mod sweep;
// Never part of a block: a sum that overflows here is to be seen.
#[allow(clippy::arithmetic_side_effects)]
mod try_state;
mod types;
mod verdicts;
mod views;
pub mod weights;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;

pub use pallet::*;
pub use types::*;
pub use weights::WeightInfo;

use frame_support::traits::Get;
use llmesh_primitives::{JobId, ModelVersionId, Round, traits::VerifierSet};

/// Rounds from the one in which work is done to the one whose randomness draws it.
pub const DRAW_DELAY: Round = 2;
/// No member gets more than this part of the pool for one audit.
pub const POOL_DIVISOR: u128 = 64;
/// What verifiers of drawn work get together, of all the fees that the drawn ones stand for. With the bonus, a quarter of
/// the pool's cut of 20 %, this is what the pool gets.
pub const REWARD_SHARE: sp_runtime::Perbill = sp_runtime::Perbill::from_percent(15);

/// Which model version a job asked for. The jobs pallet knows.
pub trait JobModels {
    /// The version of a job whose record is kept.
    fn model_of(job: JobId) -> Option<ModelVersionId>;
}

impl JobModels for () {
    fn model_of(_: JobId) -> Option<ModelVersionId> {
        None
    }
}

/// Bound of a snapshot: [`VerifierSet::max_verifiers`].
pub struct MaxVerifiers<T>(core::marker::PhantomData<T>);
impl<T: Config> Get<u32> for MaxVerifiers<T> {
    fn get() -> u32 {
        T::Verifiers::max_verifiers()
    }
}

/// What benchmarks need of the rest of the runtime.
#[cfg(feature = "runtime-benchmarks")]
pub trait BenchmarkHelper<AccountId> {
    /// Makes `who` a host in good standing that is as dear to slash as it can be, and funds its account.
    fn make_host(who: &AccountId);
    /// Makes `who` a verifier in good standing with a worker record for every runtime class, as dear to slash as it can
    /// be, and funds its account.
    fn make_verifier(who: &AccountId);
    /// Fills the verifier pool, and notes a cut of the host's fees.
    fn fill_pool(host: &AccountId);
    /// Makes `Config::Epoch` yield another value than before.
    fn next_epoch();
}

// FRAME's macros expand to `expect`.
#[allow(clippy::expect_used)]
#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use alloc::{boxed::Box, vec::Vec};
    use frame_support::{
        pallet_prelude::*,
        traits::{Randomness, UnixTime, fungible},
    };
    use frame_system::pallet_prelude::*;
    use llmesh_primitives::{
        Audit, AuditId, BatchId, Sketch, Verdict,
        attestation::{AttestationStatus, Batch, DutyItem, MAX_COMMITTEE, Subject, Vote},
        traits::{
            ModelRegistry, ReputationProvider, ReputationSink, StakeProvider, VerdictHandler, VerifierPool,
        },
    };
    use llmesh_proofs::{Opening, SignedReceipt};
    use sp_core::H256;
    use sp_runtime::{AccountId32, Perbill};

    /// Storage layout of this release.
    pub const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config:
        frame_system::Config<RuntimeEvent: From<Event<Self>>, AccountId = AccountId32, Hash = H256>
    {
        /// Holds the deposits of challengers.
        type Currency: fungible::hold::Mutate<Self::AccountId, Balance = u128, Reason = Self::RuntimeHoldReason>;
        /// The runtime's hold reasons.
        type RuntimeHoldReason: From<HoldReason>;
        /// Randomness that exists from the first block of an epoch on and was made of the blocks of the epoch before.
        type Randomness: Randomness<H256, BlockNumberFor<Self>>;
        /// Index of the epoch that the present block belongs to. Indices can be skipped.
        type Epoch: Get<u64>;
        /// Takes the slashes, and knows who still is a verifier.
        type Stake: StakeProvider<Self::AccountId>;
        /// Who can verify.
        type Verifiers: VerifierSet<Self::AccountId>;
        /// Models; a version is kept while it is audited.
        type Registry: ModelRegistry<Self::AccountId>;
        /// Which version a job asked for.
        type JobModels: JobModels;
        /// Reputation of hosts sets the rate of audits, that of verifiers their chance to be drawn.
        type Reputation: ReputationProvider<Self::AccountId>;
        /// Where faults of verifiers are recorded.
        type Conduct: ReputationSink<Self::AccountId>;
        /// Pays verifiers and bonuses.
        type Pool: VerifierPool<Self::AccountId>;
        /// Told of every match and every conviction of a host. Its reputation is moved there.
        type Verdicts: VerdictHandler<Self::AccountId>;
        /// The time, for the end of challenges.
        type Time: UnixTime;

        /// Blocks for each step of an audit, at least 1. Presets differ in it.
        type Window: Get<BlockNumberFor<Self>>;
        /// Rounds for which batches can be drawn and records are kept: enough for the draw, and for an audit's 10
        /// windows.
        type Horizon: Get<Round>;
        /// Fewest votes that convict. Presets differ in it.
        type MinQuorum: Get<u32>;
        /// Weight that deadlines, draws and removal can take in a block.
        type AgendaWeight: Get<Weight>;

        /// Most points of one batch.
        #[pallet::constant]
        type MaxSamples: Get<u32>;
        /// Most leaves of one `Jobs` batch; further results make a further batch.
        #[pallet::constant]
        type MaxJobsPerRound: Get<u32>;
        /// Most audits that are open at a time.
        #[pallet::constant]
        type MaxOpenAudits: Get<u32>;
        /// Part of a host's stake that false work costs.
        #[pallet::constant]
        type MismatchSlash: Get<Perbill>;
        /// Part of a host's stake that withholding costs.
        #[pallet::constant]
        type WithheldSlash: Get<Perbill>;
        /// Part of a verifier's stake that a refuted vote costs.
        #[pallet::constant]
        type FalseVoteSlash: Get<Perbill>;
        /// Part of the pool's cut of its fees that a host gets back for work without conviction.
        #[pallet::constant]
        type BonusShare: Get<Perbill>;
        /// Deposit for a challenge, in planck.
        #[pallet::constant]
        type ChallengeDeposit: Get<u128>;
        /// Milliseconds after a request's expiry within which its receipt can be challenged.
        #[pallet::constant]
        type ChallengePeriod: Get<u64>;

        /// Weights of the calls and of the agenda's steps.
        type WeightInfo: WeightInfo;

        /// Sets the stage for benchmarks.
        #[cfg(feature = "runtime-benchmarks")]
        type BenchmarkHelper: BenchmarkHelper<Self::AccountId>;
    }

    /// Why this pallet holds funds.
    #[pallet::composite_enum]
    pub enum HoldReason {
        /// Deposit for a challenge; the host and the verifiers get it if the work was good, otherwise it comes back.
        Challenge,
    }

    /// The epoch of the block before. None before the first block.
    #[pallet::storage]
    pub type LastEpoch<T> = StorageValue<_, u64, OptionQuery>;

    /// The present round.
    #[pallet::storage]
    pub type CurrentRound<T> = StorageValue<_, Round, ValueQuery>;

    /// First round that is remembered.
    #[pallet::storage]
    pub type OldestRound<T> = StorageValue<_, Round, ValueQuery>;

    /// Randomness and open audits of every round that is remembered.
    #[pallet::storage]
    pub type Rounds<T> = StorageMap<_, Twox64Concat, Round, RoundRecord>;

    /// The verifiers in the first block of every round that is remembered.
    #[pallet::storage]
    pub type Snapshots<T: Config> =
        StorageMap<_, Twox64Concat, Round, BoundedVec<Candidate<T::AccountId>, MaxVerifiers<T>>, ValueQuery>;

    /// What hosts were slashed for the work of a round, in all. An entry, be it of zero, says that the host was
    /// convicted.
    #[pallet::storage]
    pub type Punished<T: Config> =
        StorageDoubleMap<_, Twox64Concat, Round, Blake2_128Concat, T::AccountId, Perbill>;

    /// Number of the next batch.
    #[pallet::storage]
    pub type NextBatch<T> = StorageValue<_, BatchId, ValueQuery>;

    /// First batch that is not drawn.
    #[pallet::storage]
    pub type DrawCursor<T> = StorageValue<_, BatchId, ValueQuery>;

    /// First batch that is not removed.
    #[pallet::storage]
    pub type OldestBatch<T> = StorageValue<_, BatchId, ValueQuery>;

    /// Work that waits for its draw, or was drawn and is within the horizon.
    #[pallet::storage]
    pub type Batches<T: Config> = StorageMap<_, Twox64Concat, BatchId, Batch<T::AccountId>>;

    /// The last `Jobs` batch of a host.
    #[pallet::storage]
    pub type JobBatches<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, BatchId>;

    /// The leaves of `Jobs` batches, by batch and index.
    #[pallet::storage]
    pub type JobLeaves<T> = StorageDoubleMap<_, Twox64Concat, BatchId, Twox64Concat, u32, JobLeaf>;

    /// Leaves of the oldest batch that are removed already.
    #[pallet::storage]
    pub type SweptLeaves<T> = StorageValue<_, u32, ValueQuery>;

    /// Number of the next audit.
    #[pallet::storage]
    pub type NextAudit<T> = StorageValue<_, AuditId, ValueQuery>;

    /// First audit whose record is not removed.
    #[pallet::storage]
    pub type OldestAudit<T> = StorageValue<_, AuditId, ValueQuery>;

    /// Audits that are open, or finished within the horizon.
    #[pallet::storage]
    pub type Audits<T: Config> = StorageMap<_, Twox64Concat, AuditId, Audit<T::AccountId, BlockNumberFor<T>>>;

    /// Number of audits that are not finished.
    #[pallet::storage]
    pub type OpenAudits<T> = StorageValue<_, u32, ValueQuery>;

    /// Which open audits each account has a part in: as host, or as sitting member.
    #[pallet::storage]
    pub type Parties<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, T::AccountId, Identity, AuditKey, (), OptionQuery>;

    /// Which audits the chain looks at in which block, the one after a window's last: one entry for every open audit.
    #[pallet::storage]
    pub type Agenda<T: Config> =
        StorageDoubleMap<_, Twox64Concat, BlockNumberFor<T>, Identity, AuditKey, (), OptionQuery>;

    /// First block whose part of the agenda is not done.
    #[pallet::storage]
    pub type AgendaCursor<T: Config> = StorageValue<_, BlockNumberFor<T>, ValueQuery>;

    /// Number of the next challenge.
    #[pallet::storage]
    pub type NextChallenge<T> = StorageValue<_, ChallengeId, ValueQuery>;

    /// First challenge whose audit has not begun.
    #[pallet::storage]
    pub type ChallengeCursor<T> = StorageValue<_, ChallengeId, ValueQuery>;

    /// Challenges that wait for their draw.
    #[pallet::storage]
    pub type Challenges<T: Config> = StorageMap<_, Twox64Concat, ChallengeId, PendingChallenge<T::AccountId>>;

    /// Receipts that were shown or challenged, by hash: with the last audit of each, none while a challenge waits. An
    /// entry goes with that audit's record.
    #[pallet::storage]
    pub type Receipts<T> = StorageMap<_, Blake2_128Concat, H256, Option<AuditId>>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A round began. `verifiers` can be drawn for work of the round before the last.
        RoundStarted {
            round: Round,
            epoch: u64,
            randomness: H256,
            verifiers: u32,
        },
        /// Work is to be drawn from in the second round from now. A batch of jobs grows until the round ends.
        BatchCreated {
            batch: BatchId,
            record: Batch<T::AccountId>,
        },
        /// These points of a batch's value are audited; there may be none.
        BatchDrawn {
            batch: BatchId,
            host: T::AccountId,
            points: Vec<u128>,
        },
        /// A batch could not be drawn within the horizon: it is not audited any more.
        BatchExpired { batch: BatchId, host: T::AccountId },
        /// There is no verifier for the host's work: it is not audited.
        NobodyToAudit { batch: BatchId, host: T::AccountId },
        /// An audit began. Of jobs and leaves, the host has to show the receipt.
        AuditStarted {
            audit: AuditId,
            host: T::AccountId,
            round: Round,
            subject: Subject<T::AccountId>,
        },
        /// The receipt is known. `members` were drawn, in this order; the first two sit.
        Opened {
            audit: AuditId,
            receipt: H256,
            model: ModelVersionId,
            members: BoundedVec<T::AccountId, ConstU32<MAX_COMMITTEE>>,
            until: BlockNumberFor<T>,
        },
        /// A verifier committed to its finding.
        Committed {
            audit: AuditId,
            stage: u8,
            verifier: T::AccountId,
        },
        /// Nobody is awaited any more, or time is up: the host has to publish its sketch.
        CommitmentsClosed {
            audit: AuditId,
            stage: u8,
            ballots: u32,
            until: BlockNumberFor<T>,
        },
        /// The host published its sketch; the verifiers have to reveal.
        SketchPublished {
            audit: AuditId,
            stage: u8,
            sketch: Sketch,
            until: BlockNumberFor<T>,
        },
        /// A verifier revealed what it found.
        Revealed {
            audit: AuditId,
            stage: u8,
            verifier: T::AccountId,
            vote: Vote,
        },
        /// The members were not of one mind, or silent: `seats` of them are asked anew.
        Escalated {
            audit: AuditId,
            stage: u8,
            seats: u8,
            until: BlockNumberFor<T>,
        },
        /// An audit is over. Of the sitting members these were right, these were refuted, and these were silent.
        Finished {
            audit: AuditId,
            host: T::AccountId,
            verdict: Verdict,
            right: Vec<T::AccountId>,
            wrong: Vec<T::AccountId>,
            silent: Vec<T::AccountId>,
        },
        /// A host was convicted for work of this round, and lost `slashed` planck of its stake for it.
        HostConvicted {
            audit: AuditId,
            host: T::AccountId,
            round: Round,
            verdict: Verdict,
            slashed: u128,
        },
        /// A verifier was paid out of the pool.
        VerifierPaid {
            audit: AuditId,
            verifier: T::AccountId,
            amount: u128,
        },
        /// A verifier lost reputation, and `slashed` planck of its stake.
        VerifierFaulted {
            audit: AuditId,
            verifier: T::AccountId,
            fault: Fault,
            slashed: u128,
        },
        /// A receipt is challenged; its audit begins in the second round from now.
        ChallengeQueued {
            challenge: ChallengeId,
            by: T::AccountId,
            host: T::AccountId,
            receipt: H256,
            deposit: u128,
        },
        /// A challenge became an audit.
        ChallengeStarted { challenge: ChallengeId, audit: AuditId },
        /// A challenge could not be drawn in time; the deposit is back.
        ChallengeExpired {
            challenge: ChallengeId,
            by: T::AccountId,
            deposit: u128,
        },
        /// A challenge was decided. `deposit = returned + to_host + to_verifiers`, in planck.
        DepositSettled {
            audit: AuditId,
            by: T::AccountId,
            returned: u128,
            to_host: u128,
            to_verifiers: u128,
        },
        /// A batch got old without a conviction of its host in its round. The pool had got `cut` of the host's fees,
        /// and paid `amount` of it.
        BonusPaid {
            batch: BatchId,
            host: T::AccountId,
            cut: u128,
            amount: u128,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// No audit has this number, or its record was removed.
        UnknownAudit,
        /// Only the host of the audited work can do this.
        NotHost,
        /// The account does not sit in the present stage of the audit.
        NotMember,
        /// The audit does not wait for this now.
        NotAwaited,
        /// The window has passed.
        TooLate,
        /// The audit is of a job and the opening of a leaf, or the other way round.
        WrongKind,
        /// The receipt is not the one that the chain has the hash of.
        WrongReceipt,
        /// The proof does not lead from this receipt and its fee to the root that the claim stated.
        WrongProof,
        /// The drawn point is not in this leaf.
        WrongPoint,
        /// The receipt's sequence is not that of its leaf.
        WrongSequence,
        /// The receipt is of another channel, epoch or lane.
        WrongLane,
        /// The receipt's client is not the channel's signer.
        WrongClient,
        /// The request was for another chain.
        OtherChain,
        /// The receipt is another host's.
        OtherHost,
        /// The receipt does not fit its request, or a signature does not hold.
        BadReceipt,
        /// The version is not the one that the job or request was for, or the receipt differs from it in file, runtime
        /// class or units.
        WrongVersion,
        /// The member has committed already.
        AlreadyCommitted,
        /// The member has not committed.
        NoBallot,
        /// The member has revealed already.
        AlreadyRevealed,
        /// Finding and salt are not what was committed to.
        WrongReveal,
        /// No model version has the request's number.
        UnknownModel,
        /// The receipt is too old to be challenged.
        ChallengeTooLate,
        /// The receipt was audited or challenged before.
        AlreadyChallenged,
        /// The least slash of the host would be less than the deposit: an audit would lead to nothing.
        TooLittleAtStake,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn on_initialize(now: BlockNumberFor<T>) -> Weight {
            Self::begin_block(now)
        }

        fn integrity_test() {
            Self::check_constants();
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::do_try_state()
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Shows the receipt that is audited.
        ///
        /// Origin: signed, the host. Free when it succeeds.
        ///
        /// - `opening`: for a job its receipt and version; for a point of a lane the signed receipt that the point
        ///   falls into, and the proof that it is in the tree which the claim stated.
        ///
        /// Then the committee is drawn. Without members, and when the model was removed, the audit ends as inconclusive.
        ///
        /// Errors: `UnknownAudit`, `NotHost`, `NotAwaited`, `TooLate`, `WrongKind`, `WrongReceipt`, `WrongProof`,
        /// `WrongPoint`, `WrongSequence`, `WrongLane`, `WrongClient`, `OtherChain`, `OtherHost`, `BadReceipt`,
        /// `WrongVersion`.
        ///
        /// Events: `Opened`, or `Finished` with what follows.
        #[pallet::call_index(0)]
        #[pallet::weight(T::WeightInfo::open(MaxVerifiers::<T>::get()).saturating_add(Pallet::<T>::costliest_end(0)))]
        pub fn open(
            origin: OriginFor<T>,
            audit: AuditId,
            opening: Box<Opening>,
        ) -> DispatchResultWithPostInfo {
            let host = ensure_signed(origin)?;
            Self::free(Self::do_open(&host, audit, *opening)?)
        }

        /// Commits to what the caller found.
        ///
        /// Origin: signed, a sitting member. Free when it succeeds.
        ///
        /// - `ballot`: see `llmesh_proofs::audit::ballot`.
        ///
        /// Errors: `UnknownAudit`, `NotAwaited`, `TooLate`, `NotMember`, `AlreadyCommitted`.
        ///
        /// Events: `Committed`, and with the last member's `CommitmentsClosed`.
        #[pallet::call_index(1)]
        #[pallet::weight(T::WeightInfo::commit())]
        pub fn commit(origin: OriginFor<T>, audit: AuditId, ballot: H256) -> DispatchResultWithPostInfo {
            let who = ensure_signed(origin)?;
            Self::do_commit(&who, audit, ballot)?;
            Self::free(T::WeightInfo::commit())
        }

        /// Publishes the sketch of the host's probe under the seed of the audit's stage.
        ///
        /// Origin: signed, the host. Free when it succeeds.
        ///
        /// Errors: `UnknownAudit`, `NotHost`, `NotAwaited`, `TooLate`.
        ///
        /// Events: `SketchPublished`.
        #[pallet::call_index(2)]
        #[pallet::weight(T::WeightInfo::publish())]
        pub fn publish(origin: OriginFor<T>, audit: AuditId, sketch: Sketch) -> DispatchResultWithPostInfo {
            let host = ensure_signed(origin)?;
            Self::do_publish(&host, audit, sketch)?;
            Self::free(T::WeightInfo::publish())
        }

        /// Reveals what the caller found, and what it makes of the host's data.
        ///
        /// Origin: signed, a sitting member that has committed. Free when it succeeds.
        ///
        /// - `vote.finding` and `salt` must be what the ballot was made of.
        ///
        /// Errors: `UnknownAudit`, `NotAwaited`, `TooLate`, `NotMember`, `NoBallot`, `AlreadyRevealed`, `WrongReveal`.
        ///
        /// Events: `Revealed`, and with the last member's `Escalated`, or `Finished` with what follows. If somebody is
        /// to be slashed the next block does that.
        #[pallet::call_index(3)]
        #[pallet::weight(T::WeightInfo::reveal().saturating_add(T::WeightInfo::finish(MAX_COMMITTEE)))]
        pub fn reveal(
            origin: OriginFor<T>,
            audit: AuditId,
            vote: Vote,
            salt: [u8; 32],
        ) -> DispatchResultWithPostInfo {
            let who = ensure_signed(origin)?;
            Self::free(Self::do_reveal(&who, audit, vote, salt)?)
        }

        /// Has a receipt audited.
        ///
        /// Origin: signed, anyone.
        ///
        /// `ChallengeDeposit` is held until the audit is over. It is lost when the work was good.
        ///
        /// Errors: `OtherChain`, `BadReceipt`, `UnknownModel`, `WrongVersion`, `ChallengeTooLate`,
        /// `AlreadyChallenged`, `TooLittleAtStake`, and when the deposit can not be held.
        ///
        /// Events: `ChallengeQueued`.
        #[pallet::call_index(4)]
        #[pallet::weight(T::WeightInfo::challenge())]
        pub fn challenge(origin: OriginFor<T>, receipt: Box<SignedReceipt>) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_challenge(&who, &receipt)
        }
    }

    #[pallet::view_functions]
    impl<T: Config> Pallet<T> {
        /// Where the pallet stands, and its periods.
        pub fn status() -> AttestationStatus<BlockNumberFor<T>> {
            Self::read_status()
        }

        /// What the chain waits for from the account, oldest audit first, at most `limit` items (and at most 256).
        pub fn duties(who: T::AccountId, limit: u32) -> Vec<DutyItem<T::AccountId, BlockNumberFor<T>>> {
            Self::read_duties(&who, limit)
        }

        /// The audit, while its record is kept.
        pub fn audit(id: AuditId) -> Option<Audit<T::AccountId, BlockNumberFor<T>>> {
            Audits::<T>::get(id)
        }

        /// Audits in order of their numbers, from `from`, at most `limit` (and at most 100); with `who` only those in
        /// which the account is the host or a member.
        pub fn audits(
            from: AuditId,
            limit: u32,
            who: Option<T::AccountId>,
        ) -> Vec<(AuditId, Audit<T::AccountId, BlockNumberFor<T>>)> {
            Self::read_audits(from, limit, who.as_ref())
        }

        /// The batch, while it can be audited.
        pub fn batch(id: BatchId) -> Option<Batch<T::AccountId>> {
            Batches::<T>::get(id)
        }

        /// The challenge, until its audit begins.
        pub fn pending_challenge(id: ChallengeId) -> Option<PendingChallenge<T::AccountId>> {
            Challenges::<T>::get(id)
        }
    }

    impl<T: Config> Pallet<T> {
        /// The result of a call that fulfilled a duty.
        fn free(weight: Weight) -> DispatchResultWithPostInfo {
            Ok((Some(weight), Pays::No).into())
        }
    }
}
