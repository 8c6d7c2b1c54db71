//! # Settlement
//!
//! Where the money for results waits, what a result costs, and who gets which part of it.
//!
//! ## Escrow
//!
//! Other pallets set funds aside and pay out of them through [`llmesh_primitives::traits::Escrow`]; there are
//! no calls. The funds stay in the client's account, on hold for [`HoldReason::JobEscrow`]. Only what the
//! client could spend can be set aside (funds that are locked for another purpose can not), so a lock placed
//! later never keeps a host from being paid.
//!
//! A payment goes to three accounts in one step: the host, the **verifier pool** (an account of this pallet,
//! see [`Config::PalletId`]) and the treasury, by the shares [`Config::HostShare`] and [`Config::PoolShare`];
//! the treasury gets the rest, so that the parts always add up. The host's part is then announced to
//! [`llmesh_primitives::traits::RewardSink`], which shares it with delegators. Every operation moves exactly
//! what it says or fails without effect.
//!
//! ## Fees
//!
//! `fee = price x complexity x demand x priority`, where the price is in planck per million
//! multiply-accumulates and the priority factor is 1 (normal), 1.5 (high) or 2 (urgent). The fee is rounded
//! up to a multiple of [`FEE_QUANTUM`] planck, which splits 70/20/10 without remainder, and is at least
//! [`Config::MinFee`].
//!
//! The **demand factor** of a model version moves with its utilisation, once per epoch, see [`demand`].
//!
//! ## Not here yet
//!
//! Payment channels (cumulative vouchers, challenge windows, batch settlement) are a second way into the same
//! split and belong into a module of their own beside `escrow`.

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

pub mod demand;
mod escrow;
mod fee;
mod try_state;
pub mod weights;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;

pub use fee::FEE_QUANTUM;
pub use pallet::*;
pub use weights::WeightInfo;

#[allow(clippy::expect_used, reason = "FRAME's macros expand to it")]
#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use frame_support::{PalletId, pallet_prelude::*, traits::fungible};
    use frame_system::pallet_prelude::*;
    use llmesh_primitives::{ModelVersionId, traits::RewardSink};
    use sp_runtime::{FixedU128, Permill, traits::AccountIdConversion};

    /// Storage layout of this release.
    pub const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>> {
        /// The currency of fees.
        type Currency: fungible::Inspect<Self::AccountId, Balance = u128>
            + fungible::Mutate<Self::AccountId>
            + fungible::MutateHold<Self::AccountId, Reason = Self::RuntimeHoldReason>;

        /// The runtime's hold reasons.
        type RuntimeHoldReason: From<HoldReason>;

        /// Told of a host's part after each payment.
        type Rewards: RewardSink<Self::AccountId>;

        /// The account of the treasury.
        type Treasury: Get<Self::AccountId>;

        /// Names the account of the verifier pool.
        #[pallet::constant]
        type PalletId: Get<PalletId>;

        /// The host's part of a fee.
        #[pallet::constant]
        type HostShare: Get<Permill>;

        /// The verifier pool's part of a fee. What the two shares leave goes to the treasury.
        #[pallet::constant]
        type PoolShare: Get<Permill>;

        /// Least fee for a result, in planck; a multiple of [`FEE_QUANTUM`]. Every part of it must be at
        /// least the existential deposit, so that a payment never fails for the state of a receiving account.
        #[pallet::constant]
        type MinFee: Get<u128>;

        /// Weights of what other pallets make this one do.
        type WeightInfo: WeightInfo;
    }

    /// Why this pallet holds funds.
    #[pallet::composite_enum]
    pub enum HoldReason {
        /// Waits for the result of a job: paid out when it comes, given back when it does not.
        JobEscrow,
    }

    /// What is set aside at present, by client, in planck. No entry where nothing is.
    #[pallet::storage]
    pub type Held<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, u128, ValueQuery>;

    /// Sum of [`Held`], in planck.
    #[pallet::storage]
    pub type TotalHeld<T: Config> = StorageValue<_, u128, ValueQuery>;

    /// Demand factor by model version; 1 for a version whose utilisation was never out of the dead band.
    #[pallet::storage]
    pub type Demand<T: Config> =
        StorageMap<_, Twox64Concat, ModelVersionId, FixedU128, ValueQuery, InitialDemand>;

    /// The demand factor that every model version begins with.
    pub struct InitialDemand;
    impl Get<FixedU128> for InitialDemand {
        fn get() -> FixedU128 {
            demand::INITIAL
        }
    }

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A result was paid for. `fee = host_paid + pool_paid + treasury_paid`, in planck.
        FeePaid {
            payer: T::AccountId,
            host: T::AccountId,
            fee: u128,
            host_paid: u128,
            pool_paid: u128,
            treasury_paid: u128,
        },
        /// The demand factor of a model version moved.
        DemandChanged {
            model: ModelVersionId,
            demand: FixedU128,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The account has less than this amount that it could spend.
        InsufficientFunds,
        /// Less than this amount is set aside for the account.
        InsufficientEscrow,
    }

    /// Gives the verifier pool and the treasury the existential deposit if they have less, so that payments
    /// to them can not fail. Build it after the currency's genesis.
    #[pallet::genesis_config]
    #[derive(frame_support::DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        #[serde(skip)]
        pub _config: core::marker::PhantomData<T>,
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            Self::endow(&Pallet::<T>::pool_account());
            Self::endow(&T::Treasury::get());
        }
    }

    impl<T: Config> GenesisConfig<T> {
        fn endow(who: &T::AccountId) {
            use fungible::{Inspect as _, Mutate as _};
            let missing = T::Currency::minimum_balance().saturating_sub(T::Currency::balance(who));
            let endowed = T::Currency::mint_into(who, missing);
            assert!(
                endowed.is_ok(),
                "an account that receives a part of every fee can not be endowed: {endowed:?}"
            );
        }
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn integrity_test() {
            Self::check_constants();
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::do_try_state()
        }
    }

    #[pallet::view_functions]
    impl<T: Config> Pallet<T> {
        /// The demand factor of the model version: fees are this much times what they are at balanced demand.
        pub fn demand(model: ModelVersionId) -> FixedU128 {
            Demand::<T>::get(model)
        }

        /// The account of the verifier pool and its balance in planck.
        pub fn pool() -> (T::AccountId, u128) {
            let account = Self::pool_account();
            let balance = <T::Currency as fungible::Inspect<_>>::balance(&account);
            (account, balance)
        }

        /// What is set aside for the account's jobs, in planck.
        pub fn escrow_of(who: T::AccountId) -> u128 {
            Held::<T>::get(who)
        }
    }

    impl<T: Config> Pallet<T> {
        /// The account that collects the verifiers' part of all fees.
        pub fn pool_account() -> T::AccountId {
            T::PalletId::get().into_account_truncating()
        }
    }
}
