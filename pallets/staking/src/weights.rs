//! Weights of `pallet_mesh_staking`, measured by `scripts/benchmark`.
//!
//! Date: 2026-11-23, steps: 8, repeats: 5, worst case of the map's size: 1000000.
//! CPU: AMD EPYC.

#![cfg_attr(rustfmt, rustfmt_skip)]
#![allow(unused_parens, unused_imports, missing_docs)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::{Weight, constants::ParityDbWeight}};

/// Weight functions needed for `pallet_mesh_staking`.
pub trait WeightInfo {
    fn bond() -> Weight;
    fn bond_extra() -> Weight;
    fn delegate() -> Weight;
    fn unbond() -> Weight;
    fn rebond() -> Weight;
    fn withdraw() -> Weight;
    fn set_commission() -> Weight;
    fn validate() -> Weight;
    fn become_verifier() -> Weight;
    fn register_worker() -> Weight;
    fn deregister_worker() -> Weight;
    fn chill() -> Weight;
    fn claim_rewards() -> Weight;
    fn slash(d: u32, ) -> Weight;
    fn on_reward() -> Weight;
    fn new_session(c: u32, ) -> Weight;
}

/// Weights for `pallet_mesh_staking` using the runtime's database weights.
pub struct SubstrateWeight<T>(PhantomData<T>);
impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
    /// Storage: `MeshStaking::Operators` (r:1 w:1)
    /// Proof: `MeshStaking::Operators` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::CounterForOperators` (r:1 w:1)
    /// Proof: `MeshStaking::CounterForOperators` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(301), added: 2776, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Bonds` (r:1 w:1)
    /// Proof: `MeshStaking::Bonds` (`max_values`: None, `max_size`: Some(465), added: 2940, mode: `MaxEncodedLen`)
    fn bond() -> Weight {
        // Minimum execution time: 398_354_000 picoseconds.
        Weight::from_parts(594_826_000, 0)
            .saturating_add(T::DbWeight::get().reads(4_u64))
            .saturating_add(T::DbWeight::get().writes(4_u64))
    }
    /// Storage: `MeshStaking::Operators` (r:1 w:1)
    /// Proof: `MeshStaking::Operators` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(301), added: 2776, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Bonds` (r:1 w:1)
    /// Proof: `MeshStaking::Bonds` (`max_values`: None, `max_size`: Some(465), added: 2940, mode: `MaxEncodedLen`)
    fn bond_extra() -> Weight {
        // Minimum execution time: 422_209_000 picoseconds.
        Weight::from_parts(673_123_000, 0)
            .saturating_add(T::DbWeight::get().reads(3_u64))
            .saturating_add(T::DbWeight::get().writes(3_u64))
    }
    /// Storage: `MeshStaking::Operators` (r:1 w:1)
    /// Proof: `MeshStaking::Operators` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Bonds` (r:1 w:1)
    /// Proof: `MeshStaking::Bonds` (`max_values`: None, `max_size`: Some(465), added: 2940, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:1 w:1)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(301), added: 2776, mode: `MaxEncodedLen`)
    fn delegate() -> Weight {
        // Minimum execution time: 434_267_000 picoseconds.
        Weight::from_parts(662_788_000, 0)
            .saturating_add(T::DbWeight::get().reads(4_u64))
            .saturating_add(T::DbWeight::get().writes(4_u64))
    }
    /// Storage: `Timing::UnbondingPeriod` (r:1 w:0)
    /// Proof: `Timing::UnbondingPeriod` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Operators` (r:1 w:1)
    /// Proof: `MeshStaking::Operators` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Bonds` (r:1 w:1)
    /// Proof: `MeshStaking::Bonds` (`max_values`: None, `max_size`: Some(465), added: 2940, mode: `MaxEncodedLen`)
    fn unbond() -> Weight {
        // Minimum execution time: 244_004_000 picoseconds.
        Weight::from_parts(394_268_000, 0)
            .saturating_add(T::DbWeight::get().reads(3_u64))
            .saturating_add(T::DbWeight::get().writes(2_u64))
    }
    /// Storage: `MeshStaking::Operators` (r:1 w:1)
    /// Proof: `MeshStaking::Operators` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Bonds` (r:1 w:1)
    /// Proof: `MeshStaking::Bonds` (`max_values`: None, `max_size`: Some(465), added: 2940, mode: `MaxEncodedLen`)
    fn rebond() -> Weight {
        // Minimum execution time: 231_805_000 picoseconds.
        Weight::from_parts(379_576_000, 0)
            .saturating_add(T::DbWeight::get().reads(2_u64))
            .saturating_add(T::DbWeight::get().writes(2_u64))
    }
    /// Storage: `MeshStaking::Operators` (r:1 w:1)
    /// Proof: `MeshStaking::Operators` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Bonds` (r:1 w:1)
    /// Proof: `MeshStaking::Bonds` (`max_values`: None, `max_size`: Some(465), added: 2940, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:2 w:2)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(301), added: 2776, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Workers` (r:1 w:0)
    /// Proof: `MeshStaking::Workers` (`max_values`: None, `max_size`: Some(705), added: 3180, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::CounterForOperators` (r:1 w:1)
    /// Proof: `MeshStaking::CounterForOperators` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    fn withdraw() -> Weight {
        // Minimum execution time: 643_369_000 picoseconds.
        Weight::from_parts(1_051_937_000, 0)
            .saturating_add(T::DbWeight::get().reads(7_u64))
            .saturating_add(T::DbWeight::get().writes(6_u64))
    }
    /// Storage: `MeshStaking::Operators` (r:1 w:1)
    /// Proof: `MeshStaking::Operators` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    fn set_commission() -> Weight {
        // Minimum execution time: 154_470_000 picoseconds.
        Weight::from_parts(249_462_000, 0)
            .saturating_add(T::DbWeight::get().reads(1_u64))
            .saturating_add(T::DbWeight::get().writes(1_u64))
    }
    /// Storage: `MeshStaking::Operators` (r:1 w:1)
    /// Proof: `MeshStaking::Operators` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Session::NextKeys` (r:1 w:0)
    /// Proof: `Session::NextKeys` (`max_values`: None, `max_size`: None, mode: `Measured`)
    /// Storage: `MeshStaking::CounterForCandidates` (r:1 w:1)
    /// Proof: `MeshStaking::CounterForCandidates` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Candidates` (r:1 w:1)
    /// Proof: `MeshStaking::Candidates` (`max_values`: None, `max_size`: Some(48), added: 2523, mode: `MaxEncodedLen`)
    fn validate() -> Weight {
        // Minimum execution time: 242_000_000 picoseconds.
        Weight::from_parts(408_428_000, 0)
            .saturating_add(T::DbWeight::get().reads(4_u64))
            .saturating_add(T::DbWeight::get().writes(3_u64))
    }
    /// Storage: `MeshStaking::Operators` (r:1 w:1)
    /// Proof: `MeshStaking::Operators` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::CounterForVerifiers` (r:1 w:1)
    /// Proof: `MeshStaking::CounterForVerifiers` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Verifiers` (r:1 w:1)
    /// Proof: `MeshStaking::Verifiers` (`max_values`: None, `max_size`: Some(48), added: 2523, mode: `MaxEncodedLen`)
    fn become_verifier() -> Weight {
        // Minimum execution time: 166_629_000 picoseconds.
        Weight::from_parts(295_500_000, 0)
            .saturating_add(T::DbWeight::get().reads(3_u64))
            .saturating_add(T::DbWeight::get().writes(3_u64))
    }
    /// Storage: `MeshStaking::Operators` (r:1 w:1)
    /// Proof: `MeshStaking::Operators` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Workers` (r:1 w:1)
    /// Proof: `MeshStaking::Workers` (`max_values`: None, `max_size`: Some(705), added: 3180, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(301), added: 2776, mode: `MaxEncodedLen`)
    fn register_worker() -> Weight {
        // Minimum execution time: 408_298_000 picoseconds.
        Weight::from_parts(634_806_000, 0)
            .saturating_add(T::DbWeight::get().reads(3_u64))
            .saturating_add(T::DbWeight::get().writes(3_u64))
    }
    /// Storage: `MeshStaking::Workers` (r:1 w:1)
    /// Proof: `MeshStaking::Workers` (`max_values`: None, `max_size`: Some(705), added: 3180, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Operators` (r:1 w:1)
    /// Proof: `MeshStaking::Operators` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(301), added: 2776, mode: `MaxEncodedLen`)
    fn deregister_worker() -> Weight {
        // Minimum execution time: 418_834_000 picoseconds.
        Weight::from_parts(513_215_000, 0)
            .saturating_add(T::DbWeight::get().reads(3_u64))
            .saturating_add(T::DbWeight::get().writes(3_u64))
    }
    /// Storage: `MeshStaking::Operators` (r:1 w:1)
    /// Proof: `MeshStaking::Operators` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Candidates` (r:1 w:1)
    /// Proof: `MeshStaking::Candidates` (`max_values`: None, `max_size`: Some(48), added: 2523, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::CounterForCandidates` (r:1 w:1)
    /// Proof: `MeshStaking::CounterForCandidates` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Verifiers` (r:1 w:1)
    /// Proof: `MeshStaking::Verifiers` (`max_values`: None, `max_size`: Some(48), added: 2523, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::CounterForVerifiers` (r:1 w:1)
    /// Proof: `MeshStaking::CounterForVerifiers` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    fn chill() -> Weight {
        // Minimum execution time: 250_343_000 picoseconds.
        Weight::from_parts(394_027_000, 0)
            .saturating_add(T::DbWeight::get().reads(5_u64))
            .saturating_add(T::DbWeight::get().writes(5_u64))
    }
    /// Storage: `MeshStaking::Operators` (r:1 w:1)
    /// Proof: `MeshStaking::Operators` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Bonds` (r:1 w:1)
    /// Proof: `MeshStaking::Bonds` (`max_values`: None, `max_size`: Some(465), added: 2940, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:2 w:2)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    fn claim_rewards() -> Weight {
        // Minimum execution time: 425_444_000 picoseconds.
        Weight::from_parts(654_264_000, 0)
            .saturating_add(T::DbWeight::get().reads(4_u64))
            .saturating_add(T::DbWeight::get().writes(4_u64))
    }
    /// Storage: `MeshStaking::Operators` (r:1 w:1)
    /// Proof: `MeshStaking::Operators` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Bonds` (r:66 w:65)
    /// Proof: `MeshStaking::Bonds` (`max_values`: None, `max_size`: Some(465), added: 2940, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:65 w:65)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(301), added: 2776, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:67 w:67)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Candidates` (r:1 w:1)
    /// Proof: `MeshStaking::Candidates` (`max_values`: None, `max_size`: Some(48), added: 2523, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::CounterForCandidates` (r:1 w:1)
    /// Proof: `MeshStaking::CounterForCandidates` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Verifiers` (r:1 w:1)
    /// Proof: `MeshStaking::Verifiers` (`max_values`: None, `max_size`: Some(48), added: 2523, mode: `MaxEncodedLen`)
    /// The range of component `d` is `[0, 64]`.
    fn slash(d: u32, ) -> Weight {
        // Minimum execution time: 914_693_000 picoseconds.
        Weight::from_parts(902_604_084, 0)
            // Standard error: 6_685_319
            .saturating_add(Weight::from_parts(261_179_999, 0).saturating_mul(d.into()))
            .saturating_add(T::DbWeight::get().reads(10_u64))
            .saturating_add(T::DbWeight::get().reads((3_u64).saturating_mul(d.into())))
            .saturating_add(T::DbWeight::get().writes(9_u64))
            .saturating_add(T::DbWeight::get().writes((3_u64).saturating_mul(d.into())))
    }
    /// Storage: `MeshStaking::Operators` (r:1 w:1)
    /// Proof: `MeshStaking::Operators` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:2 w:2)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    fn on_reward() -> Weight {
        // Minimum execution time: 328_009_000 picoseconds.
        Weight::from_parts(504_291_000, 0)
            .saturating_add(T::DbWeight::get().reads(3_u64))
            .saturating_add(T::DbWeight::get().writes(3_u64))
    }
    /// Storage: `MeshStaking::Candidates` (r:256 w:0)
    /// Proof: `MeshStaking::Candidates` (`max_values`: None, `max_size`: Some(48), added: 2523, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Operators` (r:255 w:0)
    /// Proof: `MeshStaking::Operators` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Session::NextKeys` (r:255 w:0)
    /// Proof: `Session::NextKeys` (`max_values`: None, `max_size`: None, mode: `Measured`)
    /// The range of component `c` is `[1, 256]`.
    fn new_session(c: u32, ) -> Weight {
        // Minimum execution time: 212_546_000 picoseconds.
        Weight::from_parts(329_635_245, 0)
            // Standard error: 5_538_081
            .saturating_add(Weight::from_parts(136_740_177, 0).saturating_mul(c.into()))
            .saturating_add(T::DbWeight::get().reads(1_u64))
            .saturating_add(T::DbWeight::get().reads((3_u64).saturating_mul(c.into())))
    }
}

impl WeightInfo for () {
    fn bond() -> Weight {
        Weight::from_parts(594_826_000, 0)
            .saturating_add(ParityDbWeight::get().reads(4_u64))
            .saturating_add(ParityDbWeight::get().writes(4_u64))
    }
    fn bond_extra() -> Weight {
        Weight::from_parts(673_123_000, 0)
            .saturating_add(ParityDbWeight::get().reads(3_u64))
            .saturating_add(ParityDbWeight::get().writes(3_u64))
    }
    fn delegate() -> Weight {
        Weight::from_parts(662_788_000, 0)
            .saturating_add(ParityDbWeight::get().reads(4_u64))
            .saturating_add(ParityDbWeight::get().writes(4_u64))
    }
    fn unbond() -> Weight {
        Weight::from_parts(394_268_000, 0)
            .saturating_add(ParityDbWeight::get().reads(3_u64))
            .saturating_add(ParityDbWeight::get().writes(2_u64))
    }
    fn rebond() -> Weight {
        Weight::from_parts(379_576_000, 0)
            .saturating_add(ParityDbWeight::get().reads(2_u64))
            .saturating_add(ParityDbWeight::get().writes(2_u64))
    }
    fn withdraw() -> Weight {
        Weight::from_parts(1_051_937_000, 0)
            .saturating_add(ParityDbWeight::get().reads(7_u64))
            .saturating_add(ParityDbWeight::get().writes(6_u64))
    }
    fn set_commission() -> Weight {
        Weight::from_parts(249_462_000, 0)
            .saturating_add(ParityDbWeight::get().reads(1_u64))
            .saturating_add(ParityDbWeight::get().writes(1_u64))
    }
    fn validate() -> Weight {
        Weight::from_parts(408_428_000, 0)
            .saturating_add(ParityDbWeight::get().reads(4_u64))
            .saturating_add(ParityDbWeight::get().writes(3_u64))
    }
    fn become_verifier() -> Weight {
        Weight::from_parts(295_500_000, 0)
            .saturating_add(ParityDbWeight::get().reads(3_u64))
            .saturating_add(ParityDbWeight::get().writes(3_u64))
    }
    fn register_worker() -> Weight {
        Weight::from_parts(634_806_000, 0)
            .saturating_add(ParityDbWeight::get().reads(3_u64))
            .saturating_add(ParityDbWeight::get().writes(3_u64))
    }
    fn deregister_worker() -> Weight {
        Weight::from_parts(513_215_000, 0)
            .saturating_add(ParityDbWeight::get().reads(3_u64))
            .saturating_add(ParityDbWeight::get().writes(3_u64))
    }
    fn chill() -> Weight {
        Weight::from_parts(394_027_000, 0)
            .saturating_add(ParityDbWeight::get().reads(5_u64))
            .saturating_add(ParityDbWeight::get().writes(5_u64))
    }
    fn claim_rewards() -> Weight {
        Weight::from_parts(654_264_000, 0)
            .saturating_add(ParityDbWeight::get().reads(4_u64))
            .saturating_add(ParityDbWeight::get().writes(4_u64))
    }
    fn slash(d: u32, ) -> Weight {
        Weight::from_parts(902_604_084, 0)
            .saturating_add(Weight::from_parts(261_179_999, 0).saturating_mul(d.into()))
            .saturating_add(ParityDbWeight::get().reads(10_u64))
            .saturating_add(ParityDbWeight::get().reads((3_u64).saturating_mul(d.into())))
            .saturating_add(ParityDbWeight::get().writes(9_u64))
            .saturating_add(ParityDbWeight::get().writes((3_u64).saturating_mul(d.into())))
    }
    fn on_reward() -> Weight {
        Weight::from_parts(504_291_000, 0)
            .saturating_add(ParityDbWeight::get().reads(3_u64))
            .saturating_add(ParityDbWeight::get().writes(3_u64))
    }
    fn new_session(c: u32, ) -> Weight {
        Weight::from_parts(329_635_245, 0)
            .saturating_add(Weight::from_parts(136_740_177, 0).saturating_mul(c.into()))
            .saturating_add(ParityDbWeight::get().reads(1_u64))
            .saturating_add(ParityDbWeight::get().reads((3_u64).saturating_mul(c.into())))
    }
}
