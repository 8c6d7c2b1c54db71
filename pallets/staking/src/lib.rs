//! Stake behind hosts, verifiers and validators.
//!
//! # Overview
//! An account becomes an *operator* by bonding at least [`Config::MinBond`]; others *delegate* to it. Own bond and
//! delegations are one kind of record ([`Bond`]) and lie as holds in the staker's own account, one hold reason each.
//! With the minimum bonded an operator can switch roles on: **host** (registers how its worker is reached), **verifier**
//! and **validator** (candidate for the next sessions, needs session keys).
//!
//! - **Unbonding** takes [`Config::UnbondingPeriod`] and can be taken back with `rebond`. Delegators can always leave,
//!   whatever the operator does.
//! - **Revenue** reaches the pallet through [`RewardSink`](llmesh_primitives::traits::RewardSink). The delegators' part
//!   moves to the pot and raises the operator's reward index; nobody is looped over. Each delegator claims its part
//!   ([`Pallet::claim_rewards`]).
//! - **Slashing** ([`StakeProvider`](llmesh_primitives::traits::StakeProvider), consensus offences) takes the same
//!   fraction of everything behind the operator: own, delegated, unbonding. A share goes to the reporter, the rest to
//!   [`Config::SlashDestination`].
//! - **Election**: the candidates with the most stake validate. While there are no candidates the current set stays.
//!
//! # Invariants
//! [`Pallet::do_try_state`] checks them after every unit test: holds equal records, operators' totals equal the sums of
//! their bonds, the pot covers all claims, roles imply the minimum bond.

#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used
    )
)]

extern crate alloc;

#[cfg(feature = "runtime-benchmarks")]
pub mod benchmarking;
mod ledger;
#[cfg(test)]
mod mock;
mod rewards;
mod roles;
mod session;
mod slashing;
#[cfg(test)]
mod tests;
mod try_state;
mod types;
pub mod weights;

pub use pallet::*;
pub use session::UnitIdentification;
pub use types::{Bond, Operator, Role, Roles, SlashedAmounts, UnlockChunk, Worker};
pub use weights::WeightInfo;

/// Fixed-point unit of [`Operator::reward_index`].
pub const REWARD_SCALE: u128 = 1_000_000_000_000_000_000;

const LOG_TARGET: &str = "runtime::mesh-staking";

#[frame_support::pallet]
#[allow(clippy::expect_used, reason = "FRAME's macros expand to it")]
pub mod pallet {
    use super::{Bond, Operator, Role, SlashedAmounts, WeightInfo, Worker};
    use alloc::vec::Vec;
    use frame_support::{
        PalletId,
        pallet_prelude::*,
        traits::{ValidatorRegistration, fungible},
    };
    use frame_system::pallet_prelude::*;
    use llmesh_primitives::{StakeAccount, WorkerRecord, traits::ReputationSink};
    use sp_runtime::Perbill;
    use sp_staking::SessionIndex;

    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    /// Most accounts of a page.
    const MAX_LISTED: u32 = 100;

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config {
        /// The runtime's hold reason.
        type RuntimeHoldReason: From<HoldReason>;

        /// The token.
        type Currency: fungible::Mutate<Self::AccountId>
            + fungible::Inspect<Self::AccountId, Balance = u128>
            + fungible::MutateHold<Self::AccountId>
            + fungible::InspectHold<Self::AccountId, Reason = Self::RuntimeHoldReason>
            + fungible::BalancedHold<Self::AccountId>;

        /// Knows who has session keys; the session pallet.
        type SessionKeys: ValidatorRegistration<Self::AccountId>;

        /// Told of consensus offences.
        type Reputation: ReputationSink<Self::AccountId>;

        /// Receives what is slashed, less the reporter's share. The account should exist: what can not be paid into it
        /// is burned.
        type SlashDestination: Get<Self::AccountId>;

        /// Blocks between `unbond` and `withdraw`. Not a metadata constant: presets differ in it.
        type UnbondingPeriod: Get<BlockNumberFor<Self>>;

        /// Sessions whose offences can still be reported and punished.
        type ReportableSessions: Get<SessionIndex>;

        /// Smallest own bond of an operator with a role, in planck.
        #[pallet::constant]
        type MinBond: Get<u128>;

        /// Smallest active delegation, in planck.
        #[pallet::constant]
        type MinDelegation: Get<u128>;

        /// Most delegators of one operator.
        #[pallet::constant]
        type MaxDelegators: Get<u32>;

        /// Most pieces in which one bond can be unbonding.
        #[pallet::constant]
        type MaxUnlocking: Get<u32>;

        /// Most operators that can ask to validate at a time.
        #[pallet::constant]
        type MaxCandidates: Get<u32>;

        /// Most operators that can be verifiers at a time.
        #[pallet::constant]
        type MaxVerifiers: Get<u32>;

        /// Most validators of a session.
        #[pallet::constant]
        type MaxValidators: Get<u32>;

        /// Highest commission.
        #[pallet::constant]
        type MaxCommission: Get<Perbill>;

        /// Largest single raise of the commission, in points of the whole.
        #[pallet::constant]
        type MaxCommissionRaise: Get<Perbill>;

        /// The part of a slash that goes to whoever reported the misconduct.
        #[pallet::constant]
        type ReporterShare: Get<Perbill>;

        /// Held for a worker record, in planck.
        #[pallet::constant]
        type WorkerDepositBase: Get<u128>;

        /// Held for each byte of a worker record, in planck.
        #[pallet::constant]
        type WorkerDepositPerByte: Get<u128>;

        /// Where the pot's account comes from.
        #[pallet::constant]
        type PalletId: Get<PalletId>;

        /// Weights of this pallet's calls and hooks.
        type WeightInfo: WeightInfo;

        /// Gives accounts session keys.
        #[cfg(feature = "runtime-benchmarks")]
        type BenchmarkHelper: crate::benchmarking::BenchmarkHelper<Self::AccountId>;
    }

    /// Why funds are on hold.
    #[pallet::composite_enum]
    pub enum HoldReason {
        /// Bonded or unbonding behind the account's own operation.
        #[codec(index = 0)]
        Bond,
        /// Bonded or unbonding behind other operators.
        #[codec(index = 1)]
        Delegation,
        /// For the storage of the account's worker record.
        #[codec(index = 2)]
        WorkerDeposit,
    }

    /// Everyone behind whom anything is bonded, unbonding or owed.
    #[pallet::storage]
    pub type Operators<T: Config> =
        CountedStorageMap<_, Blake2_128Concat, T::AccountId, Operator<BlockNumberFor<T>>, OptionQuery>;

    /// What each account (second key) has bonded behind each operator (first key). An operator's own bond has its
    /// account as both keys.
    #[pallet::storage]
    pub type Bonds<T: Config> = StorageDoubleMap<
        _,
        Blake2_128Concat,
        T::AccountId,
        Blake2_128Concat,
        T::AccountId,
        Bond<T>,
        OptionQuery,
    >;

    /// How the workers of operators are reached.
    #[pallet::storage]
    pub type Workers<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, Worker, OptionQuery>;

    /// Operators whose validator role is on.
    #[pallet::storage]
    pub type Candidates<T: Config> = CountedStorageMap<_, Blake2_128Concat, T::AccountId, (), OptionQuery>;

    /// Operators whose verifier role is on.
    #[pallet::storage]
    pub type Verifiers<T: Config> = CountedStorageMap<_, Blake2_128Concat, T::AccountId, (), OptionQuery>;

    /// The fraction that was slashed already for offences in a session. Reports of the same session add up to the
    /// highest fraction among them, because each new report lists earlier offenders of the same time slot again.
    #[pallet::storage]
    pub type PunishedOffences<T: Config> =
        StorageDoubleMap<_, Twox64Concat, SessionIndex, Blake2_128Concat, T::AccountId, Perbill, OptionQuery>;

    #[pallet::genesis_config]
    #[derive(frame_support::DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        /// Account, own bond in planck, and whether it is a candidate for validator. The accounts must hold their bond
        /// and the existential deposit. Candidates need session keys in the session pallet's genesis.
        pub operators: Vec<(T::AccountId, u128, bool)>,
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            if let Err(error) = Pallet::<T>::build_genesis(&self.operators) {
                panic!("the genesis of the staking pallet can not be built: {error:?}");
            }
        }
    }

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// An operator bonded `amount` planck of its own.
        Bonded { operator: T::AccountId, amount: u128 },
        /// `delegator` bonded `amount` planck behind the operator.
        Delegated {
            operator: T::AccountId,
            delegator: T::AccountId,
            amount: u128,
        },
        /// `amount` planck of `staker` behind the operator can be withdrawn from block `unlock_at` on.
        Unbonding {
            operator: T::AccountId,
            staker: T::AccountId,
            amount: u128,
            unlock_at: BlockNumberFor<T>,
        },
        /// `amount` planck that were unbonding are active again.
        Rebonded {
            operator: T::AccountId,
            staker: T::AccountId,
            amount: u128,
        },
        /// `amount` planck went back into the free balance of `staker`.
        Withdrawn {
            operator: T::AccountId,
            staker: T::AccountId,
            amount: u128,
        },
        /// Nothing is bonded, unbonding or owed behind the operator any more; its record is gone.
        OperatorRemoved { operator: T::AccountId },
        /// The operator's commission changed.
        CommissionSet {
            operator: T::AccountId,
            commission: Perbill,
        },
        /// The operator plays a further role.
        RoleOn { operator: T::AccountId, role: Role },
        /// All of the operator's roles are off: it asked for that, or a slash left it below the minimum bond.
        Chilled { operator: T::AccountId },
        /// The operator is no candidate for validator any more: it committed an offence or has no session keys.
        CandidateRemoved { operator: T::AccountId },
        /// The operator published or replaced its worker record; `deposit` planck are held for it.
        WorkerRegistered { operator: T::AccountId, deposit: u128 },
        /// The operator removed its worker record and got `deposit` planck back.
        WorkerDeregistered { operator: T::AccountId, deposit: u128 },
        /// Of `amount` planck that the operator earned, `delegators` went to the pot for its delegators.
        RewardShared {
            operator: T::AccountId,
            amount: u128,
            delegators: u128,
        },
        /// `staker` received `amount` planck of revenue from its delegation.
        RewardClaimed {
            operator: T::AccountId,
            staker: T::AccountId,
            amount: u128,
        },
        /// `fraction` of everything behind the operator was taken. `reporter_share` planck of it went to `reporter`.
        Slashed {
            operator: T::AccountId,
            fraction: Perbill,
            amounts: SlashedAmounts,
            reporter: Option<T::AccountId>,
            reporter_share: u128,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The amount is zero.
        ZeroAmount,
        /// The account's free balance, less the existential deposit, is smaller than the amount or deposit.
        InsufficientBalance,
        /// The operator's own active bond is or would be below the minimum.
        BelowMinBond,
        /// The active delegation would be below the minimum. Unbond all of it instead.
        BelowMinDelegation,
        /// The account has an active bond already; use `bond_extra`.
        AlreadyBonded,
        /// The account is no operator, or nothing of its own is bonded.
        NotOperator,
        /// The account has nothing bonded behind this operator.
        NotBonded,
        /// Less than the amount is actively bonded.
        InsufficientBond,
        /// Less than the amount is unbonding.
        InsufficientUnbonding,
        /// The bond falls below the minimum while a role is on; call `chill` first.
        ChillFirst,
        /// An operator bonds with `bond` and `bond_extra`, not by delegating to itself.
        DelegationToSelf,
        /// The operator's own bond is below the minimum, so it takes no delegations.
        OperatorBelowMinBond,
        /// The operator has as many delegators as it can have.
        TooManyDelegators,
        /// The bond is unbonding in as many pieces as it can be; withdraw or rebond first.
        TooManyChunks,
        /// Nothing that is unbonding has reached its block.
        NothingToWithdraw,
        /// There is no revenue to claim.
        NothingToClaim,
        /// The commission is above the maximum.
        CommissionTooHigh,
        /// The commission rises by more than it can at a time.
        RaiseTooLarge,
        /// The commission was raised less than an unbonding period ago.
        RaiseTooSoon,
        /// The account has no session keys; set them with the session pallet first.
        NoSessionKeys,
        /// The role is on already.
        RoleAlreadyOn,
        /// No role is on.
        NoRole,
        /// There are as many candidates as there can be.
        TooManyCandidates,
        /// There are as many verifiers as there can be.
        TooManyVerifiers,
        /// The operator has no worker record.
        NoWorker,
        /// The region is not printable ASCII without spaces.
        InvalidRegion,
        /// An endpoint is empty, is not UTF-8 or contains control characters.
        InvalidEndpoint,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn integrity_test() {
            assert!(T::MaxUnlocking::get() > 0, "nobody could unbond");
            assert!(T::MaxValidators::get() > 0, "there would be no validators");
            assert!(T::MinBond::get() > 0, "empty bonds would be operators");
            assert!(T::MinDelegation::get() > 0, "empty bonds would be delegations");
            assert!(T::ReportableSessions::get() > 0, "no offence could be punished");
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::do_try_state()
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Bonds `value` planck of the caller's own and makes it an operator.
        ///
        /// Origin: signed. Emits `Bonded`.
        ///
        /// Errors: `ZeroAmount`; `BelowMinBond`; `AlreadyBonded` while an own bond is active; `InsufficientBalance`.
        #[pallet::call_index(0)]
        #[pallet::weight(T::WeightInfo::bond())]
        pub fn bond(origin: OriginFor<T>, #[pallet::compact] value: u128) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_bond(&who, value)
        }

        /// Adds `value` planck to the caller's own active bond.
        ///
        /// Origin: signed, an operator with an active bond. Emits `Bonded`.
        ///
        /// Errors: `ZeroAmount`; `NotOperator`; `BelowMinBond` when a slashed bond stays below the minimum;
        /// `InsufficientBalance`.
        #[pallet::call_index(1)]
        #[pallet::weight(T::WeightInfo::bond_extra())]
        pub fn bond_extra(origin: OriginFor<T>, #[pallet::compact] value: u128) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_bond_extra(&who, value)
        }

        /// Bonds `value` planck of the caller behind `operator`, or adds them to what it has there.
        ///
        /// Delegations earn a part of the operator's revenue and are slashed like the operator's own bond.
        ///
        /// Origin: signed. Emits `Delegated`.
        ///
        /// Errors: `ZeroAmount`; `DelegationToSelf`; `NotOperator`; `OperatorBelowMinBond`; `BelowMinDelegation`;
        /// `TooManyDelegators`; `InsufficientBalance`.
        #[pallet::call_index(2)]
        #[pallet::weight(T::WeightInfo::delegate())]
        pub fn delegate(
            origin: OriginFor<T>,
            operator: T::AccountId,
            #[pallet::compact] value: u128,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_delegate(&operator, &who, value)
        }

        /// Starts to unbond `value` planck of what the caller has active behind `operator`; for its own bond the caller
        /// names itself.
        ///
        /// The rest must be zero or at least the minimum. An own bond stays at the minimum while a role is on. What is
        /// unbonding earns nothing and is still slashed.
        ///
        /// Origin: signed. Emits `Unbonding`.
        ///
        /// Errors: `ZeroAmount`; `NotOperator`; `NotBonded`; `InsufficientBond`; `ChillFirst`; `BelowMinBond`;
        /// `BelowMinDelegation`; `TooManyChunks`.
        #[pallet::call_index(3)]
        #[pallet::weight(T::WeightInfo::unbond())]
        pub fn unbond(
            origin: OriginFor<T>,
            operator: T::AccountId,
            #[pallet::compact] value: u128,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_unbond(&operator, &who, value)
        }

        /// Makes `value` planck active again that the caller is unbonding from `operator`, latest pieces first.
        ///
        /// Origin: signed. Emits `Rebonded`.
        ///
        /// Errors: `ZeroAmount`; `NotOperator`; `NotBonded`; `InsufficientUnbonding`; `BelowMinBond` or
        /// `BelowMinDelegation` when less than the minimum would be active; `OperatorBelowMinBond` for a delegation.
        #[pallet::call_index(4)]
        #[pallet::weight(T::WeightInfo::rebond())]
        pub fn rebond(
            origin: OriginFor<T>,
            operator: T::AccountId,
            #[pallet::compact] value: u128,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_rebond(&operator, &who, value)
        }

        /// Returns everything that the caller unbonded from `operator` and whose block has come. With the last of it the
        /// unclaimed revenue is paid too.
        ///
        /// Origin: signed. Emits `Withdrawn`, perhaps `RewardClaimed` and `OperatorRemoved`.
        ///
        /// Errors: `NotOperator`; `NotBonded`; `NothingToWithdraw`.
        #[pallet::call_index(5)]
        #[pallet::weight(T::WeightInfo::withdraw())]
        pub fn withdraw(origin: OriginFor<T>, operator: T::AccountId) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_withdraw(&operator, &who)
        }

        /// Sets the caller's part of its delegators' revenue.
        ///
        /// Lowering is free. So that delegators can leave before it hurts, a raise is limited to `MaxCommissionRaise`
        /// and to one in an unbonding period; without delegators only the maximum counts.
        ///
        /// Origin: signed, an operator. Emits `CommissionSet`.
        ///
        /// Errors: `NotOperator`; `CommissionTooHigh`; `RaiseTooLarge`; `RaiseTooSoon`.
        #[pallet::call_index(6)]
        #[pallet::weight(T::WeightInfo::set_commission())]
        pub fn set_commission(origin: OriginFor<T>, commission: Perbill) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_set_commission(&who, commission)
        }

        /// Makes the caller a candidate for validator from the next election on.
        ///
        /// Origin: signed, an operator with the minimum bond and session keys. Emits `RoleOn`.
        ///
        /// Errors: `NotOperator`; `BelowMinBond`; `RoleAlreadyOn`; `NoSessionKeys`; `TooManyCandidates`.
        #[pallet::call_index(7)]
        #[pallet::weight(T::WeightInfo::validate())]
        pub fn validate(origin: OriginFor<T>) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_validate(&who)
        }

        /// Makes the caller a verifier. It is drawn once it has a worker record too, which says what it can run.
        ///
        /// Origin: signed, an operator with the minimum bond. Emits `RoleOn`.
        ///
        /// Errors: `NotOperator`; `BelowMinBond`; `RoleAlreadyOn`; `TooManyVerifiers`.
        #[pallet::call_index(8)]
        #[pallet::weight(T::WeightInfo::become_verifier())]
        pub fn verify(origin: OriginFor<T>) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_verify(&who)
        }

        /// Publishes how the caller's worker is reached, or replaces what was published, and makes the caller a host. A
        /// deposit is held while the record is stored.
        ///
        /// Origin: signed, an operator with the minimum bond. Emits `WorkerRegistered`, and `RoleOn` when the caller was
        /// no host.
        ///
        /// Errors: `NotOperator`; `BelowMinBond`; `InvalidRegion`; `InvalidEndpoint`; `InsufficientBalance`.
        #[pallet::call_index(9)]
        #[pallet::weight(T::WeightInfo::register_worker())]
        pub fn register_worker(origin: OriginFor<T>, record: WorkerRecord) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_register_worker(&who, record)
        }

        /// Removes the caller's worker record, returns the deposit and switches the host role off.
        ///
        /// Origin: signed. Emits `WorkerDeregistered`, perhaps `OperatorRemoved`.
        ///
        /// Errors: `NoWorker`.
        #[pallet::call_index(10)]
        #[pallet::weight(T::WeightInfo::deregister_worker())]
        pub fn deregister_worker(origin: OriginFor<T>) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_deregister_worker(&who)
        }

        /// Switches all of the caller's roles off. The worker record stays. An elected validator serves until the next
        /// set takes over.
        ///
        /// Origin: signed, an operator. Emits `Chilled`.
        ///
        /// Errors: `NotOperator`; `NoRole`.
        #[pallet::call_index(11)]
        #[pallet::weight(T::WeightInfo::chill())]
        pub fn chill(origin: OriginFor<T>) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_chill(&who)
        }

        /// Pays the caller its part of the operator's revenue.
        ///
        /// Origin: signed, a delegator. Emits `RewardClaimed`.
        ///
        /// Errors: `NotOperator`; `NotBonded`; `NothingToClaim`.
        #[pallet::call_index(12)]
        #[pallet::weight(T::WeightInfo::claim_rewards())]
        pub fn claim_rewards(origin: OriginFor<T>, operator: T::AccountId) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_claim_rewards(&operator, &who)
        }
    }

    #[pallet::view_functions]
    impl<T: Config> Pallet<T> {
        /// The operator's stake, roles and worker record.
        pub fn operator(who: T::AccountId) -> Option<StakeAccount> {
            Self::stake_account(&who)
        }

        /// Operators with a worker record, in the order of their storage keys, from the one after `after` on, at most `limit`
        /// (and at most 100).
        pub fn workers(after: Option<T::AccountId>, limit: u32) -> Vec<T::AccountId> {
            let limit = limit.min(MAX_LISTED) as usize;
            match after {
                Some(after) => Workers::<T>::iter_keys_from(Workers::<T>::hashed_key_for(after))
                    .take(limit)
                    .collect(),
                None => Workers::<T>::iter_keys().take(limit).collect(),
            }
        }

        /// Revenue in planck that `staker` can claim from its delegation to `operator`.
        pub fn pending_rewards(operator: T::AccountId, staker: T::AccountId) -> u128 {
            Self::claimable(&operator, &staker)
        }

        /// Who would validate if the election were now; empty when the current set would stay.
        pub fn next_validators() -> Vec<T::AccountId> {
            Self::elect().elected
        }
    }
}
