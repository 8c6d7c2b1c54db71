//! # Reputation
//!
//! How well an operator behaved so far, as a number between 0 and 1 that the draw of hosts, the rate of
//! audits, the routing, and a job's minimum all read.
//!
//! ## The rule
//!
//! The beta reputation system of Ismail and Jøsang (2002): good and bad conduct are counted as evidence,
//! older evidence counts less, and the score is the expected value of the beta distribution with the
//! parameters that follow from it.
//!
//! - A stranger has the prior Beta(1, 1): score one half.
//! - Each recorded conduct first multiplies all evidence (what lies above the prior) by 0.98, then adds its
//!   weight to one side:
//!
//!   | conduct | side | weight |
//!   |---|---|---|
//!   | match | good | 1 |
//!   | timeout | bad | 1 |
//!   | unavailable | bad | 2 |
//!   | mismatch | bad | 4 |
//!   | offence | bad | 4 |
//!
//! - The side that a conduct speaks for never shrinks by it. So good conduct never lowers the score and bad
//!   conduct never raises it, not even when evidence from heavier faults fades faster than the new one
//!   weighs.
//! - `score = alpha / (alpha + beta)`, rounded down.
//!
//! Evidence has a half-life of 34 records. Steady good conduct leads to Beta(51, 1), a score of 98 %: 23
//! matches bring a stranger to 95 %. No more than 50 units of good and 200 units of bad evidence can pile up,
//! so the score of an account stays between 0.5 % and 98.1 % and can always move.
//!
//! ## Who moves it
//!
//! Other pallets, through [`llmesh_primitives::traits::ReputationSink`] and
//! [`llmesh_primitives::traits::VerdictHandler`]. There are no calls: nobody can rate anybody. Storage has
//! one entry of 16 bytes for every account whose conduct was ever recorded; only operators have conduct, and
//! they are bonded.
//!
//! All arithmetic is on integers, see [`Evidence`].

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

mod evidence;
pub mod weights;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;

pub use evidence::{Evidence, SCALE};
pub use pallet::*;
pub use weights::WeightInfo;

use frame_support::ensure;
use llmesh_primitives::traits::{Conduct, ReputationProvider, ReputationSink, VerdictHandler};
use sp_core::H256;
use sp_runtime::{Perbill, TryRuntimeError};

#[allow(clippy::expect_used, reason = "FRAME's macros expand to it")]
#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use frame_support::pallet_prelude::*;
    use frame_system::pallet_prelude::*;

    /// Storage layout of this release.
    pub const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>> {
        /// Weight of recording conduct.
        type WeightInfo: WeightInfo;
    }

    /// Evidence about an account; the prior for accounts about which there is none.
    #[pallet::storage]
    pub type Scores<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, Evidence, ValueQuery>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// Conduct was recorded and led to this score.
        ReputationChanged {
            who: T::AccountId,
            conduct: Conduct,
            score: Perbill,
        },
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::do_try_state()
        }
    }

    #[pallet::view_functions]
    impl<T: Config> Pallet<T> {
        /// Expected share of good behaviour of the account, between 0 and 1; one half for a stranger.
        pub fn score(who: T::AccountId) -> Perbill {
            Scores::<T>::get(who).score()
        }

        /// The evidence behind the account's score, in billionths of a unit.
        pub fn evidence(who: T::AccountId) -> Evidence {
            Scores::<T>::get(who)
        }
    }
}

impl<T: Config> Pallet<T> {
    fn do_record(who: &T::AccountId, conduct: Conduct) {
        let evidence = Scores::<T>::get(who).after(conduct);
        Scores::<T>::insert(who, evidence);
        Self::deposit_event(Event::ReputationChanged {
            who: who.clone(),
            conduct,
            score: evidence.score(),
        });
    }

    /// Checks that all evidence is within the documented bounds.
    ///
    /// # Errors
    /// When an entry is not.
    pub fn do_try_state() -> Result<(), TryRuntimeError> {
        ensure!(
            Scores::<T>::iter_values().all(|e| e.is_within_bounds()),
            "evidence is out of bounds"
        );
        Ok(())
    }
}

impl<T: Config> ReputationProvider<T::AccountId> for Pallet<T> {
    fn score(who: &T::AccountId) -> Perbill {
        Scores::<T>::get(who).score()
    }
}

impl<T: Config> ReputationSink<T::AccountId> for Pallet<T> {
    fn record(who: &T::AccountId, conduct: Conduct) {
        Self::do_record(who, conduct);
    }
}

impl<T: Config> VerdictHandler<T::AccountId> for Pallet<T> {
    fn on_verdict(host: &T::AccountId, _: H256, conduct: Conduct) {
        Self::do_record(host, conduct);
    }
}
