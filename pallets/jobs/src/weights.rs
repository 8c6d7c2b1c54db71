//! Weights of `pallet_jobs`, measured by `scripts/benchmark`.
//!
//! Date: 2026-11-23, steps: 10, repeats: 3, worst case of the map's size: 1000000.
//! CPU: AMD EPYC.

#![cfg_attr(rustfmt, rustfmt_skip)]
#![allow(unused_parens, unused_imports, missing_docs)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::{Weight, constants::ParityDbWeight}};

/// Weight functions needed for `pallet_jobs`.
pub trait WeightInfo {
    fn submit(b: u32, ) -> Weight;
    fn cancel() -> Weight;
    fn submit_result(b: u32, ) -> Weight;
    fn decline() -> Weight;
    fn resume() -> Weight;
    fn remove() -> Weight;
    fn wake_draw(o: u32, h: u32, ) -> Weight;
    fn wake_finish(h: u32, ) -> Weight;
    fn wake_remove() -> Weight;
    fn agenda_block() -> Weight;
}

/// Weights for `pallet_jobs` using the runtime's database weights.
pub struct SubstrateWeight<T>(PhantomData<T>);
impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
    /// Storage: `ModelRegistry::Versions` (r:1 w:0)
    /// Proof: `ModelRegistry::Versions` (`max_values`: None, `max_size`: Some(3793), added: 6268, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::Models` (r:1 w:0)
    /// Proof: `ModelRegistry::Models` (`max_values`: None, `max_size`: Some(166), added: 2641, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::Demand` (r:1 w:0)
    /// Proof: `Settlement::Demand` (`max_values`: None, `max_size`: Some(28), added: 2503, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:1 w:1)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(247), added: 2722, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::Held` (r:1 w:1)
    /// Proof: `Settlement::Held` (`max_values`: None, `max_size`: Some(64), added: 2539, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::TotalHeld` (r:1 w:1)
    /// Proof: `Settlement::TotalHeld` (`max_values`: Some(1), `max_size`: Some(16), added: 511, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::Usage` (r:1 w:1)
    /// Proof: `ModelRegistry::Usage` (`max_values`: None, `max_size`: Some(20), added: 2495, mode: `MaxEncodedLen`)
    /// Storage: `Jobs::NextJobId` (r:1 w:1)
    /// Proof: `Jobs::NextJobId` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Parameters::Parameters` (r:1 w:0)
    /// Proof: `Parameters::Parameters` (`max_values`: None, `max_size`: Some(36), added: 2511, mode: `MaxEncodedLen`)
    /// Storage: `Jobs::AgendaCursor` (r:1 w:0)
    /// Proof: `Jobs::AgendaCursor` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Jobs::Agenda` (r:0 w:1)
    /// Proof: `Jobs::Agenda` (`max_values`: None, `max_size`: Some(21), added: 2496, mode: `MaxEncodedLen`)
    /// Storage: `Jobs::Jobs` (r:0 w:1)
    /// Proof: `Jobs::Jobs` (`max_values`: None, `max_size`: Some(2114), added: 4589, mode: `MaxEncodedLen`)
    /// Storage: `Jobs::Inputs` (r:0 w:1)
    /// Proof: `Jobs::Inputs` (`max_values`: None, `max_size`: Some(1050257), added: 1052732, mode: `MaxEncodedLen`)
    /// The range of component `b` is `[1, 65536]`.
    fn submit(b: u32, ) -> Weight {
        // Minimum execution time: 738_501_000 picoseconds.
        Weight::from_parts(1_113_448_918, 0)
            // Standard error: 676
            .saturating_add(Weight::from_parts(2_576, 0).saturating_mul(b.into()))
            .saturating_add(T::DbWeight::get().reads(11_u64))
            .saturating_add(T::DbWeight::get().writes(9_u64))
    }
    /// Storage: `Jobs::Jobs` (r:1 w:1)
    /// Proof: `Jobs::Jobs` (`max_values`: None, `max_size`: Some(2114), added: 4589, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::Held` (r:1 w:1)
    /// Proof: `Settlement::Held` (`max_values`: None, `max_size`: Some(64), added: 2539, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::TotalHeld` (r:1 w:1)
    /// Proof: `Settlement::TotalHeld` (`max_values`: Some(1), `max_size`: Some(16), added: 511, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:1 w:1)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(247), added: 2722, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::Usage` (r:1 w:1)
    /// Proof: `ModelRegistry::Usage` (`max_values`: None, `max_size`: Some(20), added: 2495, mode: `MaxEncodedLen`)
    /// Storage: `Jobs::Agenda` (r:0 w:1)
    /// Proof: `Jobs::Agenda` (`max_values`: None, `max_size`: Some(21), added: 2496, mode: `MaxEncodedLen`)
    /// Storage: `Jobs::Inputs` (r:0 w:1)
    /// Proof: `Jobs::Inputs` (`max_values`: None, `max_size`: Some(1050257), added: 1052732, mode: `MaxEncodedLen`)
    fn cancel() -> Weight {
        // Minimum execution time: 569_409_000 picoseconds.
        Weight::from_parts(685_391_000, 0)
            .saturating_add(T::DbWeight::get().reads(6_u64))
            .saturating_add(T::DbWeight::get().writes(8_u64))
    }
    /// Storage: `Jobs::Jobs` (r:1 w:1)
    /// Proof: `Jobs::Jobs` (`max_values`: None, `max_size`: Some(2114), added: 4589, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::Versions` (r:1 w:0)
    /// Proof: `ModelRegistry::Versions` (`max_values`: None, `max_size`: Some(3793), added: 6268, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::Models` (r:1 w:0)
    /// Proof: `ModelRegistry::Models` (`max_values`: None, `max_size`: Some(166), added: 2641, mode: `MaxEncodedLen`)
    /// Storage: `Jobs::OfferLoad` (r:1 w:1)
    /// Proof: `Jobs::OfferLoad` (`max_values`: None, `max_size`: Some(64), added: 2539, mode: `MaxEncodedLen`)
    /// Storage: `Jobs::Hosts` (r:1 w:1)
    /// Proof: `Jobs::Hosts` (`max_values`: None, `max_size`: Some(72), added: 2547, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::Held` (r:1 w:1)
    /// Proof: `Settlement::Held` (`max_values`: None, `max_size`: Some(64), added: 2539, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::TotalHeld` (r:1 w:1)
    /// Proof: `Settlement::TotalHeld` (`max_values`: Some(1), `max_size`: Some(16), added: 511, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(247), added: 2722, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:9 w:9)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Operators` (r:5 w:5)
    /// Proof: `MeshStaking::Operators` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::Usage` (r:1 w:1)
    /// Proof: `ModelRegistry::Usage` (`max_values`: None, `max_size`: Some(20), added: 2495, mode: `MaxEncodedLen`)
    /// Storage: `Parameters::Parameters` (r:1 w:0)
    /// Proof: `Parameters::Parameters` (`max_values`: None, `max_size`: Some(36), added: 2511, mode: `MaxEncodedLen`)
    /// Storage: `Jobs::AgendaCursor` (r:1 w:0)
    /// Proof: `Jobs::AgendaCursor` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Jobs::Results` (r:0 w:1)
    /// Proof: `Jobs::Results` (`max_values`: None, `max_size`: Some(1050459), added: 1052934, mode: `MaxEncodedLen`)
    /// Storage: `Jobs::Agenda` (r:0 w:2)
    /// Proof: `Jobs::Agenda` (`max_values`: None, `max_size`: Some(21), added: 2496, mode: `MaxEncodedLen`)
    /// Storage: `Jobs::Work` (r:0 w:1)
    /// Proof: `Jobs::Work` (`max_values`: None, `max_size`: Some(64), added: 2539, mode: `MaxEncodedLen`)
    /// The range of component `b` is `[1, 65536]`.
    fn submit_result(_b: u32, ) -> Weight {
        // Minimum execution time: 4_710_538_000 picoseconds.
        Weight::from_parts(5_777_751_704, 0)
            .saturating_add(T::DbWeight::get().reads(25_u64))
            .saturating_add(T::DbWeight::get().writes(25_u64))
    }
    /// Storage: `Jobs::Jobs` (r:1 w:1)
    /// Proof: `Jobs::Jobs` (`max_values`: None, `max_size`: Some(2114), added: 4589, mode: `MaxEncodedLen`)
    /// Storage: `Jobs::OfferLoad` (r:1 w:1)
    /// Proof: `Jobs::OfferLoad` (`max_values`: None, `max_size`: Some(64), added: 2539, mode: `MaxEncodedLen`)
    /// Storage: `Jobs::Hosts` (r:1 w:1)
    /// Proof: `Jobs::Hosts` (`max_values`: None, `max_size`: Some(72), added: 2547, mode: `MaxEncodedLen`)
    /// Storage: `Jobs::AgendaCursor` (r:1 w:0)
    /// Proof: `Jobs::AgendaCursor` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Jobs::Agenda` (r:0 w:2)
    /// Proof: `Jobs::Agenda` (`max_values`: None, `max_size`: Some(21), added: 2496, mode: `MaxEncodedLen`)
    /// Storage: `Jobs::Work` (r:0 w:1)
    /// Proof: `Jobs::Work` (`max_values`: None, `max_size`: Some(64), added: 2539, mode: `MaxEncodedLen`)
    fn decline() -> Weight {
        // Minimum execution time: 224_504_000 picoseconds.
        Weight::from_parts(282_250_000, 0)
            .saturating_add(T::DbWeight::get().reads(4_u64))
            .saturating_add(T::DbWeight::get().writes(6_u64))
    }
    /// Storage: `Jobs::Hosts` (r:1 w:1)
    /// Proof: `Jobs::Hosts` (`max_values`: None, `max_size`: Some(72), added: 2547, mode: `MaxEncodedLen`)
    /// Storage: `Parameters::Parameters` (r:1 w:0)
    /// Proof: `Parameters::Parameters` (`max_values`: None, `max_size`: Some(36), added: 2511, mode: `MaxEncodedLen`)
    fn resume() -> Weight {
        // Minimum execution time: 119_478_000 picoseconds.
        Weight::from_parts(179_437_000, 0)
            .saturating_add(T::DbWeight::get().reads(2_u64))
            .saturating_add(T::DbWeight::get().writes(1_u64))
    }
    /// Storage: `Jobs::Jobs` (r:1 w:1)
    /// Proof: `Jobs::Jobs` (`max_values`: None, `max_size`: Some(2114), added: 4589, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:1 w:1)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(247), added: 2722, mode: `MaxEncodedLen`)
    /// Storage: `Jobs::Results` (r:0 w:5)
    /// Proof: `Jobs::Results` (`max_values`: None, `max_size`: Some(1050459), added: 1052934, mode: `MaxEncodedLen`)
    /// Storage: `Jobs::Agenda` (r:0 w:1)
    /// Proof: `Jobs::Agenda` (`max_values`: None, `max_size`: Some(21), added: 2496, mode: `MaxEncodedLen`)
    /// Storage: `Jobs::Inputs` (r:0 w:1)
    /// Proof: `Jobs::Inputs` (`max_values`: None, `max_size`: Some(1050257), added: 1052732, mode: `MaxEncodedLen`)
    fn remove() -> Weight {
        // Minimum execution time: 414_428_000 picoseconds.
        Weight::from_parts(588_067_000, 0)
            .saturating_add(T::DbWeight::get().reads(3_u64))
            .saturating_add(T::DbWeight::get().writes(10_u64))
    }
    /// Storage: `Jobs::Jobs` (r:1 w:1)
    /// Proof: `Jobs::Jobs` (`max_values`: None, `max_size`: Some(2114), added: 4589, mode: `MaxEncodedLen`)
    /// Storage: `Jobs::Agenda` (r:2 w:2)
    /// Proof: `Jobs::Agenda` (`max_values`: None, `max_size`: Some(21), added: 2496, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::Versions` (r:1 w:0)
    /// Proof: `ModelRegistry::Versions` (`max_values`: None, `max_size`: Some(3793), added: 6268, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::Models` (r:1 w:0)
    /// Proof: `ModelRegistry::Models` (`max_values`: None, `max_size`: Some(166), added: 2641, mode: `MaxEncodedLen`)
    /// Storage: `Babe::AuthorVrfRandomness` (r:1 w:0)
    /// Proof: `Babe::AuthorVrfRandomness` (`max_values`: Some(1), `max_size`: Some(33), added: 528, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::Offers` (r:65 w:0)
    /// Proof: `ModelRegistry::Offers` (`max_values`: None, `max_size`: Some(96), added: 2571, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::Demand` (r:1 w:0)
    /// Proof: `Settlement::Demand` (`max_values`: None, `max_size`: Some(28), added: 2503, mode: `MaxEncodedLen`)
    /// Storage: `Jobs::OfferLoad` (r:64 w:5)
    /// Proof: `Jobs::OfferLoad` (`max_values`: None, `max_size`: Some(64), added: 2539, mode: `MaxEncodedLen`)
    /// Storage: `Jobs::Hosts` (r:64 w:5)
    /// Proof: `Jobs::Hosts` (`max_values`: None, `max_size`: Some(72), added: 2547, mode: `MaxEncodedLen`)
    /// Storage: `Parameters::Parameters` (r:3 w:0)
    /// Proof: `Parameters::Parameters` (`max_values`: None, `max_size`: Some(36), added: 2511, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Operators` (r:64 w:0)
    /// Proof: `MeshStaking::Operators` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Reputation::Scores` (r:64 w:0)
    /// Proof: `Reputation::Scores` (`max_values`: None, `max_size`: Some(64), added: 2539, mode: `MaxEncodedLen`)
    /// Storage: `Jobs::Work` (r:0 w:5)
    /// Proof: `Jobs::Work` (`max_values`: None, `max_size`: Some(64), added: 2539, mode: `MaxEncodedLen`)
    /// Storage: `Jobs::AgendaCursor` (r:0 w:1)
    /// Proof: `Jobs::AgendaCursor` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// The range of component `o` is `[5, 64]`.
    /// The range of component `h` is `[1, 5]`.
    fn wake_draw(o: u32, h: u32, ) -> Weight {
        // Minimum execution time: 1_327_288_000 picoseconds.
        Weight::from_parts(1_327_288_000, 0)
            // Standard error: 7_091_671
            .saturating_add(Weight::from_parts(137_419_236, 0).saturating_mul(o.into()))
            // Standard error: 81_795_777
            .saturating_add(Weight::from_parts(46_948_419, 0).saturating_mul(h.into()))
            .saturating_add(T::DbWeight::get().reads(11_u64))
            .saturating_add(T::DbWeight::get().reads((5_u64).saturating_mul(o.into())))
            .saturating_add(T::DbWeight::get().writes(4_u64))
            .saturating_add(T::DbWeight::get().writes((3_u64).saturating_mul(h.into())))
    }
    /// Storage: `Jobs::Jobs` (r:1 w:1)
    /// Proof: `Jobs::Jobs` (`max_values`: None, `max_size`: Some(2114), added: 4589, mode: `MaxEncodedLen`)
    /// Storage: `Jobs::Agenda` (r:2 w:2)
    /// Proof: `Jobs::Agenda` (`max_values`: None, `max_size`: Some(21), added: 2496, mode: `MaxEncodedLen`)
    /// Storage: `Jobs::OfferLoad` (r:1 w:1)
    /// Proof: `Jobs::OfferLoad` (`max_values`: None, `max_size`: Some(64), added: 2539, mode: `MaxEncodedLen`)
    /// Storage: `Jobs::Hosts` (r:1 w:1)
    /// Proof: `Jobs::Hosts` (`max_values`: None, `max_size`: Some(72), added: 2547, mode: `MaxEncodedLen`)
    /// Storage: `Reputation::Scores` (r:1 w:1)
    /// Proof: `Reputation::Scores` (`max_values`: None, `max_size`: Some(64), added: 2539, mode: `MaxEncodedLen`)
    /// Storage: `Parameters::Parameters` (r:2 w:0)
    /// Proof: `Parameters::Parameters` (`max_values`: None, `max_size`: Some(36), added: 2511, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::Held` (r:1 w:1)
    /// Proof: `Settlement::Held` (`max_values`: None, `max_size`: Some(64), added: 2539, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::TotalHeld` (r:1 w:1)
    /// Proof: `Settlement::TotalHeld` (`max_values`: Some(1), `max_size`: Some(16), added: 511, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(247), added: 2722, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:8 w:8)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Operators` (r:4 w:4)
    /// Proof: `MeshStaking::Operators` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::Usage` (r:1 w:1)
    /// Proof: `ModelRegistry::Usage` (`max_values`: None, `max_size`: Some(20), added: 2495, mode: `MaxEncodedLen`)
    /// Storage: `Jobs::Work` (r:0 w:1)
    /// Proof: `Jobs::Work` (`max_values`: None, `max_size`: Some(64), added: 2539, mode: `MaxEncodedLen`)
    /// Storage: `Jobs::AgendaCursor` (r:0 w:1)
    /// Proof: `Jobs::AgendaCursor` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// The range of component `h` is `[1, 4]`.
    fn wake_finish(h: u32, ) -> Weight {
        // Minimum execution time: 1_634_765_000 picoseconds.
        Weight::from_parts(991_594_072, 0)
            // Standard error: 86_116_420
            .saturating_add(Weight::from_parts(1_034_287_296, 0).saturating_mul(h.into()))
            .saturating_add(T::DbWeight::get().reads(16_u64))
            .saturating_add(T::DbWeight::get().reads((2_u64).saturating_mul(h.into())))
            .saturating_add(T::DbWeight::get().writes(16_u64))
            .saturating_add(T::DbWeight::get().writes((2_u64).saturating_mul(h.into())))
    }
    /// Storage: `Jobs::Jobs` (r:1 w:1)
    /// Proof: `Jobs::Jobs` (`max_values`: None, `max_size`: Some(2114), added: 4589, mode: `MaxEncodedLen`)
    /// Storage: `Jobs::Agenda` (r:2 w:1)
    /// Proof: `Jobs::Agenda` (`max_values`: None, `max_size`: Some(21), added: 2496, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:1 w:1)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(247), added: 2722, mode: `MaxEncodedLen`)
    /// Storage: `Jobs::Results` (r:0 w:5)
    /// Proof: `Jobs::Results` (`max_values`: None, `max_size`: Some(1050459), added: 1052934, mode: `MaxEncodedLen`)
    /// Storage: `Jobs::Inputs` (r:0 w:1)
    /// Proof: `Jobs::Inputs` (`max_values`: None, `max_size`: Some(1050257), added: 1052732, mode: `MaxEncodedLen`)
    /// Storage: `Jobs::AgendaCursor` (r:0 w:1)
    /// Proof: `Jobs::AgendaCursor` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    fn wake_remove() -> Weight {
        // Minimum execution time: 527_546_000 picoseconds.
        Weight::from_parts(807_163_000, 0)
            .saturating_add(T::DbWeight::get().reads(5_u64))
            .saturating_add(T::DbWeight::get().writes(11_u64))
    }
    /// Storage: `Jobs::AgendaCursor` (r:1 w:1)
    /// Proof: `Jobs::AgendaCursor` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Jobs::Agenda` (r:1 w:0)
    /// Proof: `Jobs::Agenda` (`max_values`: None, `max_size`: Some(21), added: 2496, mode: `MaxEncodedLen`)
    fn agenda_block() -> Weight {
        // Minimum execution time: 81_001_000 picoseconds.
        Weight::from_parts(124_746_000, 0)
            .saturating_add(T::DbWeight::get().reads(2_u64))
            .saturating_add(T::DbWeight::get().writes(1_u64))
    }
}

impl WeightInfo for () {
    fn submit(b: u32, ) -> Weight {
        Weight::from_parts(1_113_448_918, 0)
            .saturating_add(Weight::from_parts(2_576, 0).saturating_mul(b.into()))
            .saturating_add(ParityDbWeight::get().reads(11_u64))
            .saturating_add(ParityDbWeight::get().writes(9_u64))
    }
    fn cancel() -> Weight {
        Weight::from_parts(685_391_000, 0)
            .saturating_add(ParityDbWeight::get().reads(6_u64))
            .saturating_add(ParityDbWeight::get().writes(8_u64))
    }
    fn submit_result(_b: u32, ) -> Weight {
        Weight::from_parts(5_777_751_704, 0)
            .saturating_add(ParityDbWeight::get().reads(25_u64))
            .saturating_add(ParityDbWeight::get().writes(25_u64))
    }
    fn decline() -> Weight {
        Weight::from_parts(282_250_000, 0)
            .saturating_add(ParityDbWeight::get().reads(4_u64))
            .saturating_add(ParityDbWeight::get().writes(6_u64))
    }
    fn resume() -> Weight {
        Weight::from_parts(179_437_000, 0)
            .saturating_add(ParityDbWeight::get().reads(2_u64))
            .saturating_add(ParityDbWeight::get().writes(1_u64))
    }
    fn remove() -> Weight {
        Weight::from_parts(588_067_000, 0)
            .saturating_add(ParityDbWeight::get().reads(3_u64))
            .saturating_add(ParityDbWeight::get().writes(10_u64))
    }
    fn wake_draw(o: u32, h: u32, ) -> Weight {
        Weight::from_parts(1_327_288_000, 0)
            .saturating_add(Weight::from_parts(137_419_236, 0).saturating_mul(o.into()))
            .saturating_add(Weight::from_parts(46_948_419, 0).saturating_mul(h.into()))
            .saturating_add(ParityDbWeight::get().reads(11_u64))
            .saturating_add(ParityDbWeight::get().reads((5_u64).saturating_mul(o.into())))
            .saturating_add(ParityDbWeight::get().writes(4_u64))
            .saturating_add(ParityDbWeight::get().writes((3_u64).saturating_mul(h.into())))
    }
    fn wake_finish(h: u32, ) -> Weight {
        Weight::from_parts(991_594_072, 0)
            .saturating_add(Weight::from_parts(1_034_287_296, 0).saturating_mul(h.into()))
            .saturating_add(ParityDbWeight::get().reads(16_u64))
            .saturating_add(ParityDbWeight::get().reads((2_u64).saturating_mul(h.into())))
            .saturating_add(ParityDbWeight::get().writes(16_u64))
            .saturating_add(ParityDbWeight::get().writes((2_u64).saturating_mul(h.into())))
    }
    fn wake_remove() -> Weight {
        Weight::from_parts(807_163_000, 0)
            .saturating_add(ParityDbWeight::get().reads(5_u64))
            .saturating_add(ParityDbWeight::get().writes(11_u64))
    }
    fn agenda_block() -> Weight {
        Weight::from_parts(124_746_000, 0)
            .saturating_add(ParityDbWeight::get().reads(2_u64))
            .saturating_add(ParityDbWeight::get().writes(1_u64))
    }
}
