//! Weights of `pallet_reputation`, measured by `scripts/benchmark`.
//!
//! Date: 2026-11-23, steps: 10, repeats: 5, worst case of the map's size: 1000000.
//! CPU: AMD EPYC.

#![cfg_attr(rustfmt, rustfmt_skip)]
#![allow(unused_parens, unused_imports, missing_docs)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::{Weight, constants::ParityDbWeight}};

/// Weight functions needed for `pallet_reputation`.
pub trait WeightInfo {
    fn record() -> Weight;
}

/// Weights for `pallet_reputation` using the runtime's database weights.
pub struct SubstrateWeight<T>(PhantomData<T>);
impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
    /// Storage: `Reputation::Scores` (r:1 w:1)
    /// Proof: `Reputation::Scores` (`max_values`: None, `max_size`: Some(64), added: 2539, mode: `MaxEncodedLen`)
    fn record() -> Weight {
        // Minimum execution time: 75_412_000 picoseconds.
        Weight::from_parts(81_792_000, 0)
            .saturating_add(T::DbWeight::get().reads(1_u64))
            .saturating_add(T::DbWeight::get().writes(1_u64))
    }
}

impl WeightInfo for () {
    fn record() -> Weight {
        Weight::from_parts(81_792_000, 0)
            .saturating_add(ParityDbWeight::get().reads(1_u64))
            .saturating_add(ParityDbWeight::get().writes(1_u64))
    }
}
