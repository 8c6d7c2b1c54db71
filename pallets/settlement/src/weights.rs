//! Weights of `pallet_settlement`, measured by `scripts/benchmark`.
//!
//! Date: 2026-11-23, steps: 8, repeats: 5, worst case of the map's size: 1000000.
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
    fn open_channel(n: u32, ) -> Weight;
    fn add_lane() -> Weight;
    fn fund_lane() -> Weight;
    fn extend() -> Weight;
    fn claim() -> Weight;
    fn claim_batch(n: u32, ) -> Weight;
    fn refuse_claims(n: u32, ) -> Weight;
    fn release_lane() -> Weight;
    fn close() -> Weight;
    fn settle(n: u32, ) -> Weight;
    fn reopen(o: u32, n: u32, ) -> Weight;
}

/// Weights for `pallet_settlement` using the runtime's database weights.
pub struct SubstrateWeight<T>(PhantomData<T>);
impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
    /// Storage: `System::Account` (r:1 w:1)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(301), added: 2776, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::Held` (r:1 w:1)
    /// Proof: `Settlement::Held` (`max_values`: None, `max_size`: Some(64), added: 2539, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::TotalHeld` (r:1 w:1)
    /// Proof: `Settlement::TotalHeld` (`max_values`: Some(1), `max_size`: Some(16), added: 511, mode: `MaxEncodedLen`)
    fn hold() -> Weight {
        // Minimum execution time: 331_594_000 picoseconds.
        Weight::from_parts(341_759_000, 0)
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
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(301), added: 2776, mode: `MaxEncodedLen`)
    fn release() -> Weight {
        // Minimum execution time: 272_076_000 picoseconds.
        Weight::from_parts(280_939_000, 0)
            .saturating_add(T::DbWeight::get().reads(4_u64))
            .saturating_add(T::DbWeight::get().writes(4_u64))
    }
    /// Storage: `Settlement::Held` (r:1 w:1)
    /// Proof: `Settlement::Held` (`max_values`: None, `max_size`: Some(64), added: 2539, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::TotalHeld` (r:1 w:1)
    /// Proof: `Settlement::TotalHeld` (`max_values`: Some(1), `max_size`: Some(16), added: 511, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(301), added: 2776, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:4 w:4)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Operators` (r:1 w:0)
    /// Proof: `MeshStaking::Operators` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::PoolCut` (r:1 w:1)
    /// Proof: `Settlement::PoolCut` (`max_values`: None, `max_size`: Some(64), added: 2539, mode: `MaxEncodedLen`)
    fn pay() -> Weight {
        // Minimum execution time: 726_663_000 picoseconds.
        Weight::from_parts(756_677_000, 0)
            .saturating_add(T::DbWeight::get().reads(9_u64))
            .saturating_add(T::DbWeight::get().writes(8_u64))
    }
    /// Storage: `Settlement::Demand` (r:1 w:1)
    /// Proof: `Settlement::Demand` (`max_values`: None, `max_size`: Some(28), added: 2503, mode: `MaxEncodedLen`)
    fn note_utilisation() -> Weight {
        // Minimum execution time: 65_628_000 picoseconds.
        Weight::from_parts(68_161_000, 0)
            .saturating_add(T::DbWeight::get().reads(1_u64))
            .saturating_add(T::DbWeight::get().writes(1_u64))
    }
    /// Storage: `Settlement::NextChannelId` (r:1 w:1)
    /// Proof: `Settlement::NextChannelId` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Timing::ChallengeWindow` (r:1 w:0)
    /// Proof: `Timing::ChallengeWindow` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::PayerChannels` (r:1 w:1)
    /// Proof: `Settlement::PayerChannels` (`max_values`: None, `max_size`: Some(562), added: 3037, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Operators` (r:16 w:0)
    /// Proof: `MeshStaking::Operators` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::ForfeitedBelow` (r:16 w:0)
    /// Proof: `Settlement::ForfeitedBelow` (`max_values`: None, `max_size`: Some(56), added: 2531, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::HostLaneCount` (r:16 w:16)
    /// Proof: `Settlement::HostLaneCount` (`max_values`: None, `max_size`: Some(52), added: 2527, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:1 w:1)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(301), added: 2776, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::Channels` (r:0 w:1)
    /// Proof: `Settlement::Channels` (`max_values`: None, `max_size`: Some(1918), added: 4393, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::HostLanes` (r:0 w:16)
    /// Proof: `Settlement::HostLanes` (`max_values`: None, `max_size`: Some(58), added: 2533, mode: `MaxEncodedLen`)
    /// The range of component `n` is `[1, 16]`.
    fn open_channel(n: u32, ) -> Weight {
        // Minimum execution time: 730_508_000 picoseconds.
        Weight::from_parts(678_656_720, 0)
            // Standard error: 2_290_197
            .saturating_add(Weight::from_parts(67_947_608, 0).saturating_mul(n.into()))
            .saturating_add(T::DbWeight::get().reads(5_u64))
            .saturating_add(T::DbWeight::get().reads((3_u64).saturating_mul(n.into())))
            .saturating_add(T::DbWeight::get().writes(5_u64))
            .saturating_add(T::DbWeight::get().writes((2_u64).saturating_mul(n.into())))
    }
    /// Storage: `Settlement::Channels` (r:1 w:1)
    /// Proof: `Settlement::Channels` (`max_values`: None, `max_size`: Some(1918), added: 4393, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Operators` (r:1 w:0)
    /// Proof: `MeshStaking::Operators` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::ForfeitedBelow` (r:1 w:0)
    /// Proof: `Settlement::ForfeitedBelow` (`max_values`: None, `max_size`: Some(56), added: 2531, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::HostLaneCount` (r:1 w:1)
    /// Proof: `Settlement::HostLaneCount` (`max_values`: None, `max_size`: Some(52), added: 2527, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:1 w:1)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(301), added: 2776, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::HostLanes` (r:0 w:1)
    /// Proof: `Settlement::HostLanes` (`max_values`: None, `max_size`: Some(58), added: 2533, mode: `MaxEncodedLen`)
    fn add_lane() -> Weight {
        // Minimum execution time: 715_857_000 picoseconds.
        Weight::from_parts(747_624_000, 0)
            .saturating_add(T::DbWeight::get().reads(6_u64))
            .saturating_add(T::DbWeight::get().writes(5_u64))
    }
    /// Storage: `Settlement::Channels` (r:1 w:1)
    /// Proof: `Settlement::Channels` (`max_values`: None, `max_size`: Some(1918), added: 4393, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:1 w:1)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(301), added: 2776, mode: `MaxEncodedLen`)
    fn fund_lane() -> Weight {
        // Minimum execution time: 406_876_000 picoseconds.
        Weight::from_parts(437_192_000, 0)
            .saturating_add(T::DbWeight::get().reads(3_u64))
            .saturating_add(T::DbWeight::get().writes(3_u64))
    }
    /// Storage: `Settlement::Channels` (r:1 w:1)
    /// Proof: `Settlement::Channels` (`max_values`: None, `max_size`: Some(1918), added: 4393, mode: `MaxEncodedLen`)
    /// Storage: `Timing::ChallengeWindow` (r:1 w:0)
    /// Proof: `Timing::ChallengeWindow` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    fn extend() -> Weight {
        // Minimum execution time: 187_649_000 picoseconds.
        Weight::from_parts(225_676_000, 0)
            .saturating_add(T::DbWeight::get().reads(2_u64))
            .saturating_add(T::DbWeight::get().writes(1_u64))
    }
    /// Storage: `System::BlockHash` (r:1 w:0)
    /// Proof: `System::BlockHash` (`max_values`: None, `max_size`: Some(44), added: 2519, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::Channels` (r:1 w:1)
    /// Proof: `Settlement::Channels` (`max_values`: None, `max_size`: Some(1918), added: 4393, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::ForfeitedBelow` (r:1 w:0)
    /// Proof: `Settlement::ForfeitedBelow` (`max_values`: None, `max_size`: Some(56), added: 2531, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(301), added: 2776, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:5 w:5)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Operators` (r:1 w:1)
    /// Proof: `MeshStaking::Operators` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::PoolCut` (r:1 w:1)
    /// Proof: `Settlement::PoolCut` (`max_values`: None, `max_size`: Some(64), added: 2539, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::CurrentRound` (r:1 w:0)
    /// Proof: `Attestation::CurrentRound` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::NextBatch` (r:1 w:1)
    /// Proof: `Attestation::NextBatch` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Batches` (r:0 w:1)
    /// Proof: `Attestation::Batches` (`max_values`: None, `max_size`: Some(179), added: 2654, mode: `MaxEncodedLen`)
    fn claim() -> Weight {
        // Minimum execution time: 1_263_933_000 picoseconds.
        Weight::from_parts(1_358_985_000, 0)
            .saturating_add(T::DbWeight::get().reads(13_u64))
            .saturating_add(T::DbWeight::get().writes(11_u64))
    }
    /// Storage: `System::BlockHash` (r:1 w:0)
    /// Proof: `System::BlockHash` (`max_values`: None, `max_size`: Some(44), added: 2519, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::Channels` (r:128 w:128)
    /// Proof: `Settlement::Channels` (`max_values`: None, `max_size`: Some(1918), added: 4393, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::ForfeitedBelow` (r:1 w:0)
    /// Proof: `Settlement::ForfeitedBelow` (`max_values`: None, `max_size`: Some(56), added: 2531, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:128 w:128)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(301), added: 2776, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:132 w:132)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Operators` (r:1 w:1)
    /// Proof: `MeshStaking::Operators` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::PoolCut` (r:1 w:1)
    /// Proof: `Settlement::PoolCut` (`max_values`: None, `max_size`: Some(64), added: 2539, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::CurrentRound` (r:1 w:0)
    /// Proof: `Attestation::CurrentRound` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::NextBatch` (r:1 w:1)
    /// Proof: `Attestation::NextBatch` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Batches` (r:0 w:128)
    /// Proof: `Attestation::Batches` (`max_values`: None, `max_size`: Some(179), added: 2654, mode: `MaxEncodedLen`)
    /// The range of component `n` is `[1, 128]`.
    fn claim_batch(n: u32, ) -> Weight {
        // Minimum execution time: 1_283_763_000 picoseconds.
        Weight::from_parts(448_801_580, 0)
            // Standard error: 22_249_543
            .saturating_add(Weight::from_parts(896_409_768, 0).saturating_mul(n.into()))
            .saturating_add(T::DbWeight::get().reads(10_u64))
            .saturating_add(T::DbWeight::get().reads((3_u64).saturating_mul(n.into())))
            .saturating_add(T::DbWeight::get().writes(7_u64))
            .saturating_add(T::DbWeight::get().writes((4_u64).saturating_mul(n.into())))
    }
    /// Storage: `System::BlockHash` (r:1 w:0)
    /// Proof: `System::BlockHash` (`max_values`: None, `max_size`: Some(44), added: 2519, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::Channels` (r:128 w:0)
    /// Proof: `Settlement::Channels` (`max_values`: None, `max_size`: Some(1918), added: 4393, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::ForfeitedBelow` (r:1 w:0)
    /// Proof: `Settlement::ForfeitedBelow` (`max_values`: None, `max_size`: Some(56), added: 2531, mode: `MaxEncodedLen`)
    /// The range of component `n` is `[1, 128]`.
    fn refuse_claims(n: u32, ) -> Weight {
        // Minimum execution time: 315_731_000 picoseconds.
        Weight::from_parts(518_989_386, 0)
            // Standard error: 3_675_027
            .saturating_add(Weight::from_parts(109_380_907, 0).saturating_mul(n.into()))
            .saturating_add(T::DbWeight::get().reads(2_u64))
            .saturating_add(T::DbWeight::get().reads((1_u64).saturating_mul(n.into())))
    }
    /// Storage: `Settlement::Channels` (r:1 w:1)
    /// Proof: `Settlement::Channels` (`max_values`: None, `max_size`: Some(1918), added: 4393, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::HostLaneCount` (r:1 w:1)
    /// Proof: `Settlement::HostLaneCount` (`max_values`: None, `max_size`: Some(52), added: 2527, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::HostLanes` (r:0 w:1)
    /// Proof: `Settlement::HostLanes` (`max_values`: None, `max_size`: Some(58), added: 2533, mode: `MaxEncodedLen`)
    fn release_lane() -> Weight {
        // Minimum execution time: 207_980_000 picoseconds.
        Weight::from_parts(246_026_000, 0)
            .saturating_add(T::DbWeight::get().reads(2_u64))
            .saturating_add(T::DbWeight::get().writes(3_u64))
    }
    /// Storage: `Settlement::Channels` (r:1 w:1)
    /// Proof: `Settlement::Channels` (`max_values`: None, `max_size`: Some(1918), added: 4393, mode: `MaxEncodedLen`)
    /// Storage: `Timing::ChallengeWindow` (r:1 w:0)
    /// Proof: `Timing::ChallengeWindow` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    fn close() -> Weight {
        // Minimum execution time: 199_368_000 picoseconds.
        Weight::from_parts(264_223_000, 0)
            .saturating_add(T::DbWeight::get().reads(2_u64))
            .saturating_add(T::DbWeight::get().writes(1_u64))
    }
    /// Storage: `Settlement::Channels` (r:1 w:1)
    /// Proof: `Settlement::Channels` (`max_values`: None, `max_size`: Some(1918), added: 4393, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::HostLaneCount` (r:16 w:16)
    /// Proof: `Settlement::HostLaneCount` (`max_values`: None, `max_size`: Some(52), added: 2527, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::PayerChannels` (r:1 w:1)
    /// Proof: `Settlement::PayerChannels` (`max_values`: None, `max_size`: Some(562), added: 3037, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:1 w:1)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(301), added: 2776, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::HostLanes` (r:0 w:16)
    /// Proof: `Settlement::HostLanes` (`max_values`: None, `max_size`: Some(58), added: 2533, mode: `MaxEncodedLen`)
    /// The range of component `n` is `[1, 16]`.
    fn settle(n: u32, ) -> Weight {
        // Minimum execution time: 536_489_000 picoseconds.
        Weight::from_parts(682_960_810, 0)
            // Standard error: 5_049_104
            .saturating_add(Weight::from_parts(25_014_423, 0).saturating_mul(n.into()))
            .saturating_add(T::DbWeight::get().reads(4_u64))
            .saturating_add(T::DbWeight::get().reads((1_u64).saturating_mul(n.into())))
            .saturating_add(T::DbWeight::get().writes(4_u64))
            .saturating_add(T::DbWeight::get().writes((2_u64).saturating_mul(n.into())))
    }
    /// Storage: `Settlement::Channels` (r:1 w:1)
    /// Proof: `Settlement::Channels` (`max_values`: None, `max_size`: Some(1918), added: 4393, mode: `MaxEncodedLen`)
    /// Storage: `Timing::ChallengeWindow` (r:1 w:0)
    /// Proof: `Timing::ChallengeWindow` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::HostLaneCount` (r:32 w:32)
    /// Proof: `Settlement::HostLaneCount` (`max_values`: None, `max_size`: Some(52), added: 2527, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Operators` (r:16 w:0)
    /// Proof: `MeshStaking::Operators` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::ForfeitedBelow` (r:16 w:0)
    /// Proof: `Settlement::ForfeitedBelow` (`max_values`: None, `max_size`: Some(56), added: 2531, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::HostLanes` (r:0 w:32)
    /// Proof: `Settlement::HostLanes` (`max_values`: None, `max_size`: Some(58), added: 2533, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:1 w:1)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(301), added: 2776, mode: `MaxEncodedLen`)
    /// The range of component `o` is `[1, 16]`.
    /// The range of component `n` is `[1, 16]`.
    fn reopen(o: u32, n: u32, ) -> Weight {
        // Minimum execution time: 1_128_361_000 picoseconds.
        Weight::from_parts(2_016_711_159, 0)
            // Standard error: 7_587_444
            .saturating_add(Weight::from_parts(45_802_851, 0).saturating_mul(n.into()))
            .saturating_add(T::DbWeight::get().reads(6_u64))
            .saturating_add(T::DbWeight::get().reads((1_u64).saturating_mul(o.into())))
            .saturating_add(T::DbWeight::get().reads((3_u64).saturating_mul(n.into())))
            .saturating_add(T::DbWeight::get().writes(5_u64))
            .saturating_add(T::DbWeight::get().writes((2_u64).saturating_mul(o.into())))
            .saturating_add(T::DbWeight::get().writes((2_u64).saturating_mul(n.into())))
    }
}

impl WeightInfo for () {
    fn hold() -> Weight {
        Weight::from_parts(341_759_000, 0)
            .saturating_add(ParityDbWeight::get().reads(4_u64))
            .saturating_add(ParityDbWeight::get().writes(4_u64))
    }
    fn release() -> Weight {
        Weight::from_parts(280_939_000, 0)
            .saturating_add(ParityDbWeight::get().reads(4_u64))
            .saturating_add(ParityDbWeight::get().writes(4_u64))
    }
    fn pay() -> Weight {
        Weight::from_parts(756_677_000, 0)
            .saturating_add(ParityDbWeight::get().reads(9_u64))
            .saturating_add(ParityDbWeight::get().writes(8_u64))
    }
    fn note_utilisation() -> Weight {
        Weight::from_parts(68_161_000, 0)
            .saturating_add(ParityDbWeight::get().reads(1_u64))
            .saturating_add(ParityDbWeight::get().writes(1_u64))
    }
    fn open_channel(n: u32, ) -> Weight {
        Weight::from_parts(678_656_720, 0)
            .saturating_add(Weight::from_parts(67_947_608, 0).saturating_mul(n.into()))
            .saturating_add(ParityDbWeight::get().reads(5_u64))
            .saturating_add(ParityDbWeight::get().reads((3_u64).saturating_mul(n.into())))
            .saturating_add(ParityDbWeight::get().writes(5_u64))
            .saturating_add(ParityDbWeight::get().writes((2_u64).saturating_mul(n.into())))
    }
    fn add_lane() -> Weight {
        Weight::from_parts(747_624_000, 0)
            .saturating_add(ParityDbWeight::get().reads(6_u64))
            .saturating_add(ParityDbWeight::get().writes(5_u64))
    }
    fn fund_lane() -> Weight {
        Weight::from_parts(437_192_000, 0)
            .saturating_add(ParityDbWeight::get().reads(3_u64))
            .saturating_add(ParityDbWeight::get().writes(3_u64))
    }
    fn extend() -> Weight {
        Weight::from_parts(225_676_000, 0)
            .saturating_add(ParityDbWeight::get().reads(2_u64))
            .saturating_add(ParityDbWeight::get().writes(1_u64))
    }
    fn claim() -> Weight {
        Weight::from_parts(1_358_985_000, 0)
            .saturating_add(ParityDbWeight::get().reads(13_u64))
            .saturating_add(ParityDbWeight::get().writes(11_u64))
    }
    fn claim_batch(n: u32, ) -> Weight {
        Weight::from_parts(448_801_580, 0)
            .saturating_add(Weight::from_parts(896_409_768, 0).saturating_mul(n.into()))
            .saturating_add(ParityDbWeight::get().reads(10_u64))
            .saturating_add(ParityDbWeight::get().reads((3_u64).saturating_mul(n.into())))
            .saturating_add(ParityDbWeight::get().writes(7_u64))
            .saturating_add(ParityDbWeight::get().writes((4_u64).saturating_mul(n.into())))
    }
    fn refuse_claims(n: u32, ) -> Weight {
        Weight::from_parts(518_989_386, 0)
            .saturating_add(Weight::from_parts(109_380_907, 0).saturating_mul(n.into()))
            .saturating_add(ParityDbWeight::get().reads(2_u64))
            .saturating_add(ParityDbWeight::get().reads((1_u64).saturating_mul(n.into())))
    }
    fn release_lane() -> Weight {
        Weight::from_parts(246_026_000, 0)
            .saturating_add(ParityDbWeight::get().reads(2_u64))
            .saturating_add(ParityDbWeight::get().writes(3_u64))
    }
    fn close() -> Weight {
        Weight::from_parts(264_223_000, 0)
            .saturating_add(ParityDbWeight::get().reads(2_u64))
            .saturating_add(ParityDbWeight::get().writes(1_u64))
    }
    fn settle(n: u32, ) -> Weight {
        Weight::from_parts(682_960_810, 0)
            .saturating_add(Weight::from_parts(25_014_423, 0).saturating_mul(n.into()))
            .saturating_add(ParityDbWeight::get().reads(4_u64))
            .saturating_add(ParityDbWeight::get().reads((1_u64).saturating_mul(n.into())))
            .saturating_add(ParityDbWeight::get().writes(4_u64))
            .saturating_add(ParityDbWeight::get().writes((2_u64).saturating_mul(n.into())))
    }
    fn reopen(o: u32, n: u32, ) -> Weight {
        Weight::from_parts(2_016_711_159, 0)
            .saturating_add(Weight::from_parts(45_802_851, 0).saturating_mul(n.into()))
            .saturating_add(ParityDbWeight::get().reads(6_u64))
            .saturating_add(ParityDbWeight::get().reads((1_u64).saturating_mul(o.into())))
            .saturating_add(ParityDbWeight::get().reads((3_u64).saturating_mul(n.into())))
            .saturating_add(ParityDbWeight::get().writes(5_u64))
            .saturating_add(ParityDbWeight::get().writes((2_u64).saturating_mul(o.into())))
            .saturating_add(ParityDbWeight::get().writes((2_u64).saturating_mul(n.into())))
    }
}
