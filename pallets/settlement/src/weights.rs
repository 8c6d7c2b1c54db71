//! Weights of `pallet_settlement`, measured by `scripts/benchmark`.
//!
//! Date: 2026-11-23, steps: 10, repeats: 5, worst case of the map's size: 1000000.
//! CPU: AMD EPYC.
//!
//! The weights of the calls (channels) are ESTIMATES, to be measured: database accesses are counted from the code, times
//! are those of the measured operations inside a call, doubled.

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
    fn open_channel(n: u32) -> Weight;
    fn add_lane() -> Weight;
    fn fund_lane() -> Weight;
    fn extend() -> Weight;
    fn claim() -> Weight;
    fn claim_batch(n: u32) -> Weight;
    fn refuse_claims(n: u32) -> Weight;
    fn release_lane() -> Weight;
    fn close() -> Weight;
    fn settle(n: u32) -> Weight;
    fn reopen(o: u32, n: u32) -> Weight;
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
    /// Estimate: to be measured by `scripts/benchmark`. The range of component `n` is as in the benchmark.
    fn open_channel(n: u32) -> Weight {
        Weight::from_parts(1_500_000_000, 0)
            .saturating_add(Weight::from_parts(400_000_000, 0).saturating_mul(n.into()))
            .saturating_add(T::DbWeight::get().reads(5_u64))
            .saturating_add(T::DbWeight::get().reads((3_u64).saturating_mul(n.into())))
            .saturating_add(T::DbWeight::get().writes(5_u64))
            .saturating_add(T::DbWeight::get().writes((2_u64).saturating_mul(n.into())))
    }
    /// Estimate: to be measured by `scripts/benchmark`.
    fn add_lane() -> Weight {
        Weight::from_parts(2_000_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(6_u64))
            .saturating_add(T::DbWeight::get().writes(5_u64))
    }
    /// Estimate: to be measured by `scripts/benchmark`.
    fn fund_lane() -> Weight {
        Weight::from_parts(1_500_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(3_u64))
            .saturating_add(T::DbWeight::get().writes(3_u64))
    }
    /// Estimate: to be measured by `scripts/benchmark`.
    fn extend() -> Weight {
        Weight::from_parts(300_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(2_u64))
            .saturating_add(T::DbWeight::get().writes(1_u64))
    }
    /// Estimate: to be measured by `scripts/benchmark`.
    fn claim() -> Weight {
        Weight::from_parts(2_500_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(9_u64))
            .saturating_add(T::DbWeight::get().writes(7_u64))
    }
    /// Estimate: to be measured by `scripts/benchmark`. The range of component `n` is as in the benchmark.
    fn claim_batch(n: u32) -> Weight {
        Weight::from_parts(300_000_000, 0)
            .saturating_add(Weight::from_parts(2_400_000_000, 0).saturating_mul(n.into()))
            .saturating_add(T::DbWeight::get().reads(5_u64))
            .saturating_add(T::DbWeight::get().reads((4_u64).saturating_mul(n.into())))
            .saturating_add(T::DbWeight::get().writes(4_u64))
            .saturating_add(T::DbWeight::get().writes((3_u64).saturating_mul(n.into())))
    }
    /// Estimate: to be measured by `scripts/benchmark`. The range of component `n` is as in the benchmark.
    fn refuse_claims(n: u32) -> Weight {
        Weight::from_parts(300_000_000, 0)
            .saturating_add(Weight::from_parts(500_000_000, 0).saturating_mul(n.into()))
            .saturating_add(T::DbWeight::get().reads(1_u64))
            .saturating_add(T::DbWeight::get().reads((1_u64).saturating_mul(n.into())))
    }
    /// Estimate: to be measured by `scripts/benchmark`.
    fn release_lane() -> Weight {
        Weight::from_parts(500_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(3_u64))
            .saturating_add(T::DbWeight::get().writes(3_u64))
    }
    /// Estimate: to be measured by `scripts/benchmark`.
    fn close() -> Weight {
        Weight::from_parts(300_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(2_u64))
            .saturating_add(T::DbWeight::get().writes(1_u64))
    }
    /// Estimate: to be measured by `scripts/benchmark`. The range of component `n` is as in the benchmark.
    fn settle(n: u32) -> Weight {
        Weight::from_parts(1_800_000_000, 0)
            .saturating_add(Weight::from_parts(250_000_000, 0).saturating_mul(n.into()))
            .saturating_add(T::DbWeight::get().reads(4_u64))
            .saturating_add(T::DbWeight::get().reads((2_u64).saturating_mul(n.into())))
            .saturating_add(T::DbWeight::get().writes(4_u64))
            .saturating_add(T::DbWeight::get().writes((2_u64).saturating_mul(n.into())))
    }
    /// Estimate: to be measured by `scripts/benchmark`. The range of component `o`, `n` is as in the benchmark.
    fn reopen(o: u32, n: u32) -> Weight {
        Weight::from_parts(2_400_000_000, 0)
            .saturating_add(Weight::from_parts(250_000_000, 0).saturating_mul(o.into()))
            .saturating_add(Weight::from_parts(400_000_000, 0).saturating_mul(n.into()))
            .saturating_add(T::DbWeight::get().reads(4_u64))
            .saturating_add(T::DbWeight::get().reads((2_u64).saturating_mul(o.into())))
            .saturating_add(T::DbWeight::get().reads((4_u64).saturating_mul(n.into())))
            .saturating_add(T::DbWeight::get().writes(3_u64))
            .saturating_add(T::DbWeight::get().writes((2_u64).saturating_mul(o.into())))
            .saturating_add(T::DbWeight::get().writes((2_u64).saturating_mul(n.into())))
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
    fn open_channel(n: u32) -> Weight {
        Weight::from_parts(1_500_000_000, 0)
            .saturating_add(Weight::from_parts(400_000_000, 0).saturating_mul(n.into()))
            .saturating_add(ParityDbWeight::get().reads(5_u64))
            .saturating_add(ParityDbWeight::get().reads((3_u64).saturating_mul(n.into())))
            .saturating_add(ParityDbWeight::get().writes(5_u64))
            .saturating_add(ParityDbWeight::get().writes((2_u64).saturating_mul(n.into())))
    }
    fn add_lane() -> Weight {
        Weight::from_parts(2_000_000_000, 0)
            .saturating_add(ParityDbWeight::get().reads(6_u64))
            .saturating_add(ParityDbWeight::get().writes(5_u64))
    }
    fn fund_lane() -> Weight {
        Weight::from_parts(1_500_000_000, 0)
            .saturating_add(ParityDbWeight::get().reads(3_u64))
            .saturating_add(ParityDbWeight::get().writes(3_u64))
    }
    fn extend() -> Weight {
        Weight::from_parts(300_000_000, 0)
            .saturating_add(ParityDbWeight::get().reads(2_u64))
            .saturating_add(ParityDbWeight::get().writes(1_u64))
    }
    fn claim() -> Weight {
        Weight::from_parts(2_500_000_000, 0)
            .saturating_add(ParityDbWeight::get().reads(9_u64))
            .saturating_add(ParityDbWeight::get().writes(7_u64))
    }
    fn claim_batch(n: u32) -> Weight {
        Weight::from_parts(300_000_000, 0)
            .saturating_add(Weight::from_parts(2_400_000_000, 0).saturating_mul(n.into()))
            .saturating_add(ParityDbWeight::get().reads(5_u64))
            .saturating_add(ParityDbWeight::get().reads((4_u64).saturating_mul(n.into())))
            .saturating_add(ParityDbWeight::get().writes(4_u64))
            .saturating_add(ParityDbWeight::get().writes((3_u64).saturating_mul(n.into())))
    }
    fn refuse_claims(n: u32) -> Weight {
        Weight::from_parts(300_000_000, 0)
            .saturating_add(Weight::from_parts(500_000_000, 0).saturating_mul(n.into()))
            .saturating_add(ParityDbWeight::get().reads(1_u64))
            .saturating_add(ParityDbWeight::get().reads((1_u64).saturating_mul(n.into())))
    }
    fn release_lane() -> Weight {
        Weight::from_parts(500_000_000, 0)
            .saturating_add(ParityDbWeight::get().reads(3_u64))
            .saturating_add(ParityDbWeight::get().writes(3_u64))
    }
    fn close() -> Weight {
        Weight::from_parts(300_000_000, 0)
            .saturating_add(ParityDbWeight::get().reads(2_u64))
            .saturating_add(ParityDbWeight::get().writes(1_u64))
    }
    fn settle(n: u32) -> Weight {
        Weight::from_parts(1_800_000_000, 0)
            .saturating_add(Weight::from_parts(250_000_000, 0).saturating_mul(n.into()))
            .saturating_add(ParityDbWeight::get().reads(4_u64))
            .saturating_add(ParityDbWeight::get().reads((2_u64).saturating_mul(n.into())))
            .saturating_add(ParityDbWeight::get().writes(4_u64))
            .saturating_add(ParityDbWeight::get().writes((2_u64).saturating_mul(n.into())))
    }
    fn reopen(o: u32, n: u32) -> Weight {
        Weight::from_parts(2_400_000_000, 0)
            .saturating_add(Weight::from_parts(250_000_000, 0).saturating_mul(o.into()))
            .saturating_add(Weight::from_parts(400_000_000, 0).saturating_mul(n.into()))
            .saturating_add(ParityDbWeight::get().reads(4_u64))
            .saturating_add(ParityDbWeight::get().reads((2_u64).saturating_mul(o.into())))
            .saturating_add(ParityDbWeight::get().reads((4_u64).saturating_mul(n.into())))
            .saturating_add(ParityDbWeight::get().writes(3_u64))
            .saturating_add(ParityDbWeight::get().writes((2_u64).saturating_mul(o.into())))
            .saturating_add(ParityDbWeight::get().writes((2_u64).saturating_mul(n.into())))
    }
}
