//! Periods that differ between a developer's chain and a public one.
//!
//! BABE's epoch, the unbonding period, the challenge window and the pace of audits are constants of a runtime everywhere else. Here they are
//! written into the state at genesis, so that one Wasm blob serves every preset. There is no call that changes them:
//! BABE derives the epoch's index from the epoch's length, and a chain whose length changes under way loses its count.

use crate::constants::time::{
    DEFAULT_AUDIT_QUORUM, DEFAULT_AUDIT_WINDOW, DEFAULT_CHALLENGE_WINDOW, DEFAULT_EPOCH_DURATION,
    DEFAULT_UNBONDING_PERIOD,
};
use core::marker::PhantomData;
use frame_support::traits::Get;

pub use pallet::*;

#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use frame_support::pallet_prelude::*;
    use frame_system::pallet_prelude::BlockNumberFor;

    #[pallet::pallet]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config {}

    #[pallet::type_value]
    pub fn EpochDurationDefault() -> u64 {
        DEFAULT_EPOCH_DURATION
    }

    #[pallet::type_value]
    pub fn UnbondingPeriodDefault<T: Config>() -> BlockNumberFor<T> {
        DEFAULT_UNBONDING_PERIOD.into()
    }

    #[pallet::type_value]
    pub fn ChallengeWindowDefault<T: Config>() -> BlockNumberFor<T> {
        DEFAULT_CHALLENGE_WINDOW.into()
    }

    /// Length of an epoch, and so of a session, in slots.
    #[pallet::storage]
    pub type EpochDuration<T> = StorageValue<_, u64, ValueQuery, EpochDurationDefault>;

    /// Blocks that stake stays locked, and can still be slashed, after it was unbonded.
    #[pallet::storage]
    pub type UnbondingPeriod<T: Config> =
        StorageValue<_, BlockNumberFor<T>, ValueQuery, UnbondingPeriodDefault<T>>;

    /// Blocks for which hosts can claim from a payment channel after its payer closed it.
    #[pallet::storage]
    pub type ChallengeWindow<T: Config> =
        StorageValue<_, BlockNumberFor<T>, ValueQuery, ChallengeWindowDefault<T>>;

    #[pallet::type_value]
    pub fn AuditWindowDefault<T: Config>() -> BlockNumberFor<T> {
        DEFAULT_AUDIT_WINDOW.into()
    }

    #[pallet::type_value]
    pub fn AuditQuorumDefault() -> u32 {
        DEFAULT_AUDIT_QUORUM
    }

    /// Blocks for each step of an audit.
    #[pallet::storage]
    pub type AuditWindow<T: Config> = StorageValue<_, BlockNumberFor<T>, ValueQuery, AuditWindowDefault<T>>;

    /// Fewest verifiers that convict a host.
    #[pallet::storage]
    pub type AuditQuorum<T> = StorageValue<_, u32, ValueQuery, AuditQuorumDefault>;

    #[pallet::genesis_config]
    pub struct GenesisConfig<T: Config> {
        /// Length of an epoch in slots.
        pub epoch_duration: u64,
        /// Blocks that stake stays locked after it was unbonded.
        pub unbonding_period: BlockNumberFor<T>,
        /// Blocks for which hosts can claim from a payment channel after its payer closed it.
        pub challenge_window: BlockNumberFor<T>,
        /// Blocks for each step of an audit.
        pub audit_window: BlockNumberFor<T>,
        /// Fewest verifiers that convict a host.
        pub audit_quorum: u32,
    }

    impl<T: Config> Default for GenesisConfig<T> {
        fn default() -> Self {
            Self {
                epoch_duration: DEFAULT_EPOCH_DURATION,
                unbonding_period: DEFAULT_UNBONDING_PERIOD.into(),
                challenge_window: DEFAULT_CHALLENGE_WINDOW.into(),
                audit_window: DEFAULT_AUDIT_WINDOW.into(),
                audit_quorum: DEFAULT_AUDIT_QUORUM,
            }
        }
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            assert!(self.epoch_duration > 0, "an epoch has at least one slot");
            assert!(
                self.challenge_window > BlockNumberFor::<T>::from(0u32),
                "hosts must have time to claim"
            );
            assert!(
                self.audit_window > BlockNumberFor::<T>::from(0u32),
                "hosts and verifiers must have time to answer"
            );
            assert!(self.audit_quorum > 1, "one verifier alone convicts nobody");
            EpochDuration::<T>::put(self.epoch_duration);
            UnbondingPeriod::<T>::put(self.unbonding_period);
            ChallengeWindow::<T>::put(self.challenge_window);
            AuditWindow::<T>::put(self.audit_window);
            AuditQuorum::<T>::put(self.audit_quorum);
        }
    }

    #[pallet::view_functions]
    impl<T: Config> Pallet<T> {
        /// Length of an epoch in slots.
        pub fn epoch_duration() -> u64 {
            EpochDuration::<T>::get()
        }

        /// Blocks that stake stays locked after it was unbonded.
        pub fn unbonding_period() -> BlockNumberFor<T> {
            UnbondingPeriod::<T>::get()
        }

        /// Blocks for which hosts can claim from a payment channel after its payer closed it.
        pub fn challenge_window() -> BlockNumberFor<T> {
            ChallengeWindow::<T>::get()
        }

        /// Blocks for each step of an audit.
        pub fn audit_window() -> BlockNumberFor<T> {
            AuditWindow::<T>::get()
        }

        /// Fewest verifiers that convict a host.
        pub fn audit_quorum() -> u32 {
            AuditQuorum::<T>::get()
        }
    }
}

/// Slots in an epoch, for a pallet's `Get<u64>`.
pub struct EpochSlots<T>(PhantomData<T>);
impl<T: Config> Get<u64> for EpochSlots<T> {
    fn get() -> u64 {
        EpochDuration::<T>::get()
    }
}

/// Blocks until unbonded stake is free, for a pallet's `Get<BlockNumber>`.
pub struct UnbondingBlocks<T>(PhantomData<T>);
impl<T: Config> Get<frame_system::pallet_prelude::BlockNumberFor<T>> for UnbondingBlocks<T> {
    fn get() -> frame_system::pallet_prelude::BlockNumberFor<T> {
        UnbondingPeriod::<T>::get()
    }
}

/// Blocks for which hosts can claim after a payer closed a channel, for a pallet's `Get<BlockNumber>`.
pub struct ChallengeBlocks<T>(PhantomData<T>);
impl<T: Config> Get<frame_system::pallet_prelude::BlockNumberFor<T>> for ChallengeBlocks<T> {
    fn get() -> frame_system::pallet_prelude::BlockNumberFor<T> {
        ChallengeWindow::<T>::get()
    }
}

/// Blocks for each step of an audit, for a pallet's `Get<BlockNumber>`.
pub struct AuditBlocks<T>(PhantomData<T>);
impl<T: Config> Get<frame_system::pallet_prelude::BlockNumberFor<T>> for AuditBlocks<T> {
    fn get() -> frame_system::pallet_prelude::BlockNumberFor<T> {
        AuditWindow::<T>::get()
    }
}

/// Fewest verifiers that convict a host, for a pallet's `Get<u32>`.
pub struct AuditVotes<T>(PhantomData<T>);
impl<T: Config> Get<u32> for AuditVotes<T> {
    fn get() -> u32 {
        AuditQuorum::<T>::get()
    }
}

/// Steps of the longest audit: three stages of three, and the opening.
const AUDIT_STEPS: u64 = 10;

/// Rounds (epochs) for which work can be audited: until it is drawn, and for the longest audit, and some to spare.
pub struct AuditRounds<T>(PhantomData<T>);
impl<T: Config> Get<u32> for AuditRounds<T> {
    fn get() -> u32 {
        let blocks: u64 = sp_runtime::SaturatedConversion::saturated_into(AuditWindow::<T>::get());
        let epochs = blocks
            .saturating_mul(AUDIT_STEPS)
            .checked_div(EpochDuration::<T>::get())
            .unwrap_or(u64::MAX);
        u32::try_from(epochs.saturating_add(6)).unwrap_or(u32::MAX)
    }
}

/// Slots for which an equivocation can be reported: as long as the stake behind it can be slashed.
pub struct ReportLongevity<T>(PhantomData<T>);
impl<T: Config> Get<u64> for ReportLongevity<T> {
    fn get() -> u64 {
        sp_runtime::SaturatedConversion::saturated_into(UnbondingPeriod::<T>::get())
    }
}
