//! Weights of `pallet_settlement`, measured by `scripts/benchmark`.
//!
//! Date: 2026-11-23, steps: 10, repeats: 5, worst case of the map's size: 1000000.
//! CPU: AMD EPYC.

#![cfg_attr(rustfmt, rustfmt_skip)]
#![allow(unused_parens, unused_imports, missing_docs)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::{Weight, constants::ParityDbWeight}};

/// Weight functions needed for `pallet_settlement`.
pub trait WeightInfo {
    fn hold() -> Weight;
    fn release() -> Weight;
    fn pay() -> Weight;
    fn note_utilisation() -> Weight;
}

/// Weights for `pallet_settlement` using the runtime's database weights.
pub struct SubstrateWeight<T>(PhantomData<T>);
impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
    /// Storage: `System::Account` (r:1 w:1)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(247), added: 2722, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::Held` (r:1 w:1)
    /// Proof: `Settlement::Held` (`max_values`: None, `max_size`: Some(64), added: 2539, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::TotalHeld` (r:1 w:1)
    /// Proof: `Settlement::TotalHeld` (`max_values`: Some(1), `max_size`: Some(16), added: 511, mode: `MaxEncodedLen`)
    fn hold() -> Weight {
        // Minimum execution time: 340_988_000 picoseconds.
        Weight::from_parts(564_081_000, 0)
            .saturating_add(T::DbWeight::get().reads(4_u64))
            .saturating_add(T::DbWeight::get().writes(4_u64))
    }
    /// Storage: `Settlement::Held` (r:1 w:1)
    /// Proof: `Settlement::Held` (`max_values`: None, `max_size`: Some(64), added: 2539, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::TotalHeld` (r:1 w:1)
    /// Proof: `Settlement::TotalHeld` (`max_values`: Some(1), `max_size`: Some(16), added: 511, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:1 w:1)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(247), added: 2722, mode: `MaxEncodedLen`)
    fn release() -> Weight {
        // Minimum execution time: 277_484_000 picoseconds.
        Weight::from_parts(392_726_000, 0)
            .saturating_add(T::DbWeight::get().reads(4_u64))
            .saturating_add(T::DbWeight::get().writes(4_u64))
    }
    /// Storage: `Settlement::Held` (r:1 w:1)
    /// Proof: `Settlement::Held` (`max_values`: None, `max_size`: Some(64), added: 2539, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::TotalHeld` (r:1 w:1)
    /// Proof: `Settlement::TotalHeld` (`max_values`: Some(1), `max_size`: Some(16), added: 511, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(247), added: 2722, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:4 w:4)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Operators` (r:1 w:0)
    /// Proof: `MeshStaking::Operators` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    fn pay() -> Weight {
        // Minimum execution time: 723_047_000 picoseconds.
        Weight::from_parts(810_387_000, 0)
            .saturating_add(T::DbWeight::get().reads(8_u64))
            .saturating_add(T::DbWeight::get().writes(7_u64))
    }
    /// Storage: `Settlement::Demand` (r:1 w:1)
    /// Proof: `Settlement::Demand` (`max_values`: None, `max_size`: Some(28), added: 2503, mode: `MaxEncodedLen`)
    fn note_utilisation() -> Weight {
        // Minimum execution time: 65_318_000 picoseconds.
        Weight::from_parts(88_842_000, 0)
            .saturating_add(T::DbWeight::get().reads(1_u64))
            .saturating_add(T::DbWeight::get().writes(1_u64))
    }
}

impl WeightInfo for () {
    fn hold() -> Weight {
        Weight::from_parts(564_081_000, 0)
            .saturating_add(ParityDbWeight::get().reads(4_u64))
            .saturating_add(ParityDbWeight::get().writes(4_u64))
    }
    fn release() -> Weight {
        Weight::from_parts(392_726_000, 0)
            .saturating_add(ParityDbWeight::get().reads(4_u64))
            .saturating_add(ParityDbWeight::get().writes(4_u64))
    }
    fn pay() -> Weight {
        Weight::from_parts(810_387_000, 0)
            .saturating_add(ParityDbWeight::get().reads(8_u64))
            .saturating_add(ParityDbWeight::get().writes(7_u64))
    }
    fn note_utilisation() -> Weight {
        Weight::from_parts(88_842_000, 0)
            .saturating_add(ParityDbWeight::get().reads(1_u64))
            .saturating_add(ParityDbWeight::get().writes(1_u64))
    }
}
