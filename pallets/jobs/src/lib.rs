//! # Jobs
//!
//! Inference requests as extrinsics: a client escrows the most it will pay, the chain draws the hosts, they deliver
//! results before a deadline, and the money goes where it belongs.
//!
//! ## Life of a job
//! `submit` puts a job in the queue. In the next block the chain draws as many hosts as the client asked for, each with
//! a probability in proportion to stake x reputation x free capacity ([`draw`]), among the live offers within fee cap
//! and minimum reputation. The seed is the VRF output of the block that holds the submission, which nobody but that
//! block's author knows in time. A drawn host delivers by `submit_result` or hands back by `decline`; one that does
//! neither before the deadline loses reputation, and another is drawn in its place with the fee untouched. A job ends
//! in exactly one [`JobOutcome`]; its account says where every planck went.
//!
//! ## The agenda
//! Every job has exactly one block at which the chain looks at it next (`Job::wakes_at`): for a draw, a deadline,
//! expiry, or removal of the record. `on_initialize` works the agenda off within a weight limit, oldest block first and
//! by priority inside a block; what does not fit stays for the next block. So no job can be forgotten, and no block can
//! be overrun.
//!
//! ## Money
//! The fee cap is held by the [`Escrow`] (the settlement pallet) until the job ends; the deposit for the record by this
//! pallet until the record is removed. `try_state` proves that the holds of every client are the sums over its jobs.

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

pub mod draw;
mod lifecycle;
// Never part of a block: a sum that overflows here is to be seen.
#[allow(clippy::arithmetic_side_effects)]
mod try_state;
mod views;
pub mod weights;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;

pub use pallet::*;
pub use weights::WeightInfo;

/// What benchmarks need of the rest of the runtime.
#[cfg(feature = "runtime-benchmarks")]
pub trait BenchmarkHelper<AccountId> {
    /// Makes `who` a host with more than the minimum stake.
    fn make_host(who: &AccountId);
}

// FRAME's macros expand to `expect`.
#[allow(clippy::expect_used)]
#[frame_support::pallet]
pub mod pallet {
    use crate::{draw::AgendaKey, weights::WeightInfo};
    use frame_support::{
        pallet_prelude::*,
        traits::{Randomness, fungible},
    };
    use frame_system::pallet_prelude::*;
    use llmesh_primitives::{
        FailureReason, Job, JobAccount, JobId, JobOutcome, JobParams, JobResult, ModelVersionId, TensorError,
        Tensors,
        traits::{Escrow, ModelRegistry, ReceiptSink, ReputationProvider, ReputationSink, StakeProvider},
    };
    use sp_core::H256;

    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>> {
        /// Holds the deposits.
        type Currency: fungible::hold::Mutate<Self::AccountId, Balance = u128, Reason = Self::RuntimeHoldReason>;
        /// The runtime's hold reasons.
        type RuntimeHoldReason: From<HoldReason>;
        /// Stake behind hosts.
        type Stake: StakeProvider<Self::AccountId>;
        /// Models and offers.
        type Registry: ModelRegistry<Self::AccountId>;
        /// Reputation of hosts.
        type Reputation: ReputationProvider<Self::AccountId> + ReputationSink<Self::AccountId>;
        /// Holds and pays fees.
        type Escrow: Escrow<Self::AccountId>;
        /// Told of every result.
        type Receipts: ReceiptSink<Self::AccountId>;
        /// Seed of the draws: the VRF output of the parent block. Without one nothing is drawn in this block.
        type Randomness: Randomness<Option<Self::Hash>, BlockNumberFor<Self>>;

        /// Blocks that a host has for its result.
        type ResultDeadline: Get<BlockNumberFor<Self>>;
        /// Blocks after which no more hosts are drawn for a job.
        type TimeToLive: Get<BlockNumberFor<Self>>;
        /// Blocks for which the record of a finished job is kept.
        type Retention: Get<BlockNumberFor<Self>>;
        /// Blocks between two tries to find a host.
        type RetryInterval: Get<BlockNumberFor<Self>>;
        /// Deadlines missed in a row after which draws pass a host over.
        type MaxMissed: Get<u32>;
        /// Weight that the agenda can take in a block.
        type AgendaWeight: Get<Weight>;

        /// Jobs that one host can be at work on.
        #[pallet::constant]
        type MaxInFlight: Get<u32>;
        /// Most bytes of tensor data in a job's input.
        #[pallet::constant]
        type MaxInputBytes: Get<u32>;
        /// Most bytes of tensor data in a result.
        #[pallet::constant]
        type MaxOutputBytes: Get<u32>;
        /// Deposit for a job's record, in planck.
        #[pallet::constant]
        type DepositBase: Get<u128>;
        /// Deposit for each byte of input, and of output that the model can yield, in planck.
        #[pallet::constant]
        type DepositPerByte: Get<u128>;

        /// Weights of the calls and of the agenda's steps.
        type WeightInfo: WeightInfo;

        /// Sets the stage for benchmarks.
        #[cfg(feature = "runtime-benchmarks")]
        type BenchmarkHelper: crate::BenchmarkHelper<Self::AccountId>;
    }

    /// Why this pallet holds funds.
    #[pallet::composite_enum]
    pub enum HoldReason {
        /// Deposit for a job's record; returned when the record is removed.
        JobDeposit,
    }

    /// Number of the next job.
    #[pallet::storage]
    pub type NextJobId<T> = StorageValue<_, JobId, ValueQuery>;

    /// Every job whose record is kept.
    #[pallet::storage]
    pub type Jobs<T: Config> = StorageMap<_, Twox64Concat, JobId, Job<T::AccountId, BlockNumberFor<T>>>;

    /// The input of every job whose record is kept, in the order of the model's signature.
    #[pallet::storage]
    pub type Inputs<T> = StorageMap<_, Twox64Concat, JobId, Tensors>;

    /// What was delivered, by job and host.
    #[pallet::storage]
    pub type Results<T: Config> =
        StorageDoubleMap<_, Twox64Concat, JobId, Blake2_128Concat, T::AccountId, JobResult>;

    /// Which jobs the chain looks at in which block: one entry for every job.
    #[pallet::storage]
    pub type Agenda<T: Config> =
        StorageDoubleMap<_, Twox64Concat, BlockNumberFor<T>, Identity, AgendaKey, (), OptionQuery>;

    /// First block whose part of the agenda is not done.
    #[pallet::storage]
    pub type AgendaCursor<T: Config> = StorageValue<_, BlockNumberFor<T>, ValueQuery>;

    /// What each host is at work on.
    #[pallet::storage]
    pub type Work<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, T::AccountId, Twox64Concat, JobId, (), OptionQuery>;

    /// Sums over what each host is at work on, and the deadlines that it missed.
    #[pallet::storage]
    pub type Hosts<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, HostLoad, ValueQuery>;

    /// Jobs under way by model version and host; compared with the offer's capacity.
    #[pallet::storage]
    pub type OfferLoad<T: Config> =
        StorageDoubleMap<_, Twox64Concat, ModelVersionId, Blake2_128Concat, T::AccountId, u32, ValueQuery>;

    /// A host's load and punctuality.
    #[derive(
        Clone,
        Copy,
        Debug,
        Default,
        PartialEq,
        Eq,
        Encode,
        Decode,
        DecodeWithMemTracking,
        MaxEncodedLen,
        TypeInfo,
    )]
    pub struct HostLoad {
        /// Jobs under way.
        pub in_flight: u32,
        /// Fees of the jobs under way, in planck. Never more than the host's stake at the time of a draw.
        pub value: u128,
        /// Deadlines missed in a row.
        pub missed: u32,
    }

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A job is in the queue; its fee cap is held.
        Submitted {
            job: JobId,
            owner: T::AccountId,
            model: ModelVersionId,
            max_fee: u128,
        },
        /// A host was drawn and has until `deadline`.
        Drawn {
            job: JobId,
            host: T::AccountId,
            fee: u128,
            deadline: BlockNumberFor<T>,
        },
        /// A result is in. `receipt` is the hash of the receipt.
        ResultAccepted {
            job: JobId,
            host: T::AccountId,
            output_hash: H256,
            receipt: H256,
        },
        /// A host missed its deadline and lost reputation.
        TimedOut { job: JobId, host: T::AccountId },
        /// A host handed the job back.
        Declined {
            job: JobId,
            host: T::AccountId,
            reason: FailureReason,
        },
        /// A host's share could not be paid and went back to the client with the rest.
        PaymentFailed {
            job: JobId,
            host: T::AccountId,
            fee: u128,
            error: DispatchError,
        },
        /// The job is over. `account` says where the money went.
        Finished {
            job: JobId,
            outcome: JobOutcome,
            account: JobAccount,
        },
        /// The record is gone, the deposit back.
        Removed { job: JobId },
        /// Draws pass this host over until it calls `resume`.
        Suspended { host: T::AccountId },
        /// The host takes part in draws again.
        Resumed { host: T::AccountId },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// No model version has this number.
        UnknownModel,
        /// The model version was yanked by its author; choose another version.
        ModelYanked,
        /// The model's outputs can be larger than the chain carries.
        ModelTooLarge,
        /// `redundancy` must be between 1 and 5.
        InvalidRedundancy,
        /// `max_fee` is below the lowest fee for this model, redundancy and priority.
        FeeBelowPrice,
        /// The fee can not be computed: a number is too large.
        FeeOverflow,
        /// The input's tensors have more bytes together than the chain carries.
        InputTooLarge,
        /// A tensor's name is not in the model's signature.
        UnknownTensor,
        /// The same tensor name occurs twice.
        RepeatedTensor,
        /// A tensor that the model's signature names is not there.
        MissingTensor,
        /// A tensor's element type differs from the model's signature.
        WrongElementType,
        /// A tensor's shape differs from the model's signature.
        WrongShape,
        /// A tensor's data is shorter or longer than its type and shape call for.
        WrongByteLength,
        /// A tensor is larger than the chain carries.
        TensorTooLarge,
        /// No job has this number, or its record was removed.
        UnknownJob,
        /// Only the client that submitted the job can do this.
        NotOwner,
        /// A host is at work on the job, or a result is in: it can not be cancelled any more.
        NotCancellable,
        /// The job is over.
        JobFinished,
        /// The job is not over yet.
        JobNotFinished,
        /// This account was not drawn for the job.
        NotDrawn,
        /// This host has delivered its result already.
        AlreadyDelivered,
        /// This host has handed the job back.
        AlreadyDeclined,
        /// The deadline has passed; the result does not count.
        DeadlinePassed,
        /// The outputs have more bytes together than the chain carries.
        OutputTooLarge,
        /// The host is not suspended.
        NotSuspended,
    }

    impl<T> From<TensorError> for Error<T> {
        fn from(error: TensorError) -> Self {
            match error {
                TensorError::UnknownName => Self::UnknownTensor,
                TensorError::RepeatedName => Self::RepeatedTensor,
                TensorError::MissingTensor => Self::MissingTensor,
                TensorError::WrongElementType => Self::WrongElementType,
                TensorError::WrongShape => Self::WrongShape,
                TensorError::WrongByteLength => Self::WrongByteLength,
                TensorError::TooLarge => Self::TensorTooLarge,
            }
        }
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn on_initialize(now: BlockNumberFor<T>) -> Weight {
            Self::work_agenda(now)
        }

        fn integrity_test() {
            assert!(
                !T::RetryInterval::get().is_zero(),
                "a retry must lie in a later block"
            );
            assert!(
                T::AgendaWeight::get().all_gte(Self::costliest_step()),
                "AgendaWeight must have room for the costliest step of the agenda, or jobs would wait for ever"
            );
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::do_try_state()
        }
    }

    use sp_runtime::traits::Zero;

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Submits an inference job and escrows its fee cap.
        ///
        /// Origin: signed, the client.
        ///
        /// - `model`: number of the model version (`ModelRegistryApi_resolve` finds it by name).
        /// - `inputs`: the model's input tensors, row-major and little-endian, in any order.
        /// - `params`: fee cap for all hosts together, number of hosts, priority, and minimum reputation.
        ///
        /// `params.max_fee` is held until the job ends, a deposit for the record until it is removed; both come back
        /// but for the fees of delivered results.
        ///
        /// Errors: `UnknownModel`, `ModelYanked`, `ModelTooLarge`, `InvalidRedundancy`, `FeeBelowPrice`, `FeeOverflow`,
        /// `InputTooLarge`, and one error for each way in which a tensor can differ from the model's signature.
        ///
        /// Events: `Submitted`.
        #[pallet::call_index(0)]
        #[pallet::weight(T::WeightInfo::submit(inputs.encoded_size() as u32))]
        pub fn submit(
            origin: OriginFor<T>,
            model: ModelVersionId,
            inputs: Tensors,
            params: JobParams,
        ) -> DispatchResult {
            let owner = ensure_signed(origin)?;
            Self::do_submit(owner, model, inputs, params)
        }

        /// Takes a job back while it waits for a draw. Fee cap and deposit come back at once.
        ///
        /// Origin: signed, the client that submitted the job.
        ///
        /// Errors: `UnknownJob`, `NotOwner`, `JobFinished`, `NotCancellable` when a host is at work or has delivered.
        ///
        /// Events: `Finished` with the outcome `Cancelled`, `Removed`.
        #[pallet::call_index(1)]
        #[pallet::weight(T::WeightInfo::cancel())]
        pub fn cancel(origin: OriginFor<T>, job: JobId) -> DispatchResult {
            let owner = ensure_signed(origin)?;
            Self::do_cancel(owner, job)
        }

        /// Delivers a result. Costs the host no fee when it is accepted.
        ///
        /// Origin: signed, a host that was drawn for the job.
        ///
        /// - `outputs`: the model's output tensors, in any order.
        /// - `probe_hash`: BLAKE2b-256 of the probe tensor's SCALE encoding, when the model declares a probe.
        ///
        /// The last result that the job waits for ends it, and everybody is paid.
        ///
        /// Errors: `UnknownJob`, `NotDrawn`, `AlreadyDelivered`, `AlreadyDeclined`, `DeadlinePassed`, `JobFinished`,
        /// `OutputTooLarge`, and one error for each way in which a tensor can differ from the model's signature.
        ///
        /// Events: `ResultAccepted`; with the last result `Finished`.
        #[pallet::call_index(2)]
        #[pallet::weight(T::WeightInfo::submit_result(outputs.encoded_size() as u32))]
        pub fn submit_result(
            origin: OriginFor<T>,
            job: JobId,
            outputs: Tensors,
            probe_hash: Option<H256>,
        ) -> DispatchResultWithPostInfo {
            let host = ensure_signed(origin)?;
            Self::do_submit_result(host, job, outputs, probe_hash)?;
            Ok(Pays::No.into())
        }

        /// Hands a job back, so that another host is drawn without waiting for the deadline.
        ///
        /// Origin: signed, a host that is at work on the job.
        ///
        /// When two hosts report `ModelError` or `OutputTooLarge` the job ends as failed.
        ///
        /// Errors: `UnknownJob`, `NotDrawn`, `AlreadyDelivered`, `AlreadyDeclined`, `DeadlinePassed`, `JobFinished`.
        ///
        /// Events: `Declined`, perhaps `Finished`.
        #[pallet::call_index(3)]
        #[pallet::weight(T::WeightInfo::decline())]
        pub fn decline(origin: OriginFor<T>, job: JobId, reason: FailureReason) -> DispatchResult {
            let host = ensure_signed(origin)?;
            Self::do_decline(host, job, reason)
        }

        /// Takes part in draws again after a suspension for missed deadlines.
        ///
        /// Origin: signed, the suspended host.
        ///
        /// Errors: `NotSuspended`.
        ///
        /// Events: `Resumed`.
        #[pallet::call_index(4)]
        #[pallet::weight(T::WeightInfo::resume())]
        pub fn resume(origin: OriginFor<T>) -> DispatchResult {
            let host = ensure_signed(origin)?;
            Hosts::<T>::try_mutate(&host, |load| {
                ensure!(load.missed >= T::MaxMissed::get(), Error::<T>::NotSuspended);
                load.missed = 0;
                Self::deposit_event(Event::Resumed { host: host.clone() });
                Ok(())
            })
        }

        /// Removes the record of a finished job before its time and returns the deposit.
        ///
        /// Origin: signed, the client that submitted the job.
        ///
        /// Errors: `UnknownJob`, `NotOwner`, `JobNotFinished`.
        ///
        /// Events: `Removed`.
        #[pallet::call_index(5)]
        #[pallet::weight(T::WeightInfo::remove())]
        pub fn remove(origin: OriginFor<T>, job: JobId) -> DispatchResult {
            let owner = ensure_signed(origin)?;
            Self::do_remove(owner, job)
        }
    }
}
