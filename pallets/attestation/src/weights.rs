//! Weights of `pallet_attestation`, measured by `scripts/benchmark`.
//!
//! Date: 2026-11-23, steps: 8, repeats: 5, worst case of the map's size: 1000000.
//! CPU: AMD EPYC.

#![cfg_attr(rustfmt, rustfmt_skip)]
#![allow(unused_parens, unused_imports, missing_docs)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::{Weight, constants::ParityDbWeight}};

/// Weight functions needed for `pallet_attestation`.
pub trait WeightInfo {
    fn open(v: u32, ) -> Weight;
    fn commit() -> Weight;
    fn publish() -> Weight;
    fn reveal() -> Weight;
    fn challenge() -> Weight;
    fn finish(m: u32, ) -> Weight;
    fn slash() -> Weight;
    fn begin_round(v: u32, ) -> Weight;
    fn draw_batch(v: u32, k: u32, ) -> Weight;
    fn begin_challenge(v: u32, ) -> Weight;
    fn wake() -> Weight;
    fn remove_batch() -> Weight;
    fn remove_leaves(n: u32, ) -> Weight;
    fn remove_audit() -> Weight;
    fn remove_round(n: u32, ) -> Weight;
    fn idle() -> Weight;
}

/// Weights for `pallet_attestation` using the runtime's database weights.
pub struct SubstrateWeight<T>(PhantomData<T>);
impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
    /// Storage: `Attestation::Audits` (r:1 w:1)
    /// Proof: `Attestation::Audits` (`max_values`: None, `max_size`: Some(3441), added: 5916, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Batches` (r:1 w:0)
    /// Proof: `Attestation::Batches` (`max_values`: None, `max_size`: Some(179), added: 2654, mode: `MaxEncodedLen`)
    /// Storage: `System::BlockHash` (r:1 w:0)
    /// Proof: `System::BlockHash` (`max_values`: None, `max_size`: Some(44), added: 2519, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::Versions` (r:1 w:0)
    /// Proof: `ModelRegistry::Versions` (`max_values`: None, `max_size`: Some(3793), added: 6268, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::Models` (r:1 w:0)
    /// Proof: `ModelRegistry::Models` (`max_values`: None, `max_size`: Some(166), added: 2641, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Snapshots` (r:1 w:0)
    /// Proof: `Attestation::Snapshots` (`max_values`: None, `max_size`: Some(13582), added: 16057, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Operators` (r:255 w:0)
    /// Proof: `MeshStaking::Operators` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Bonds` (r:15 w:0)
    /// Proof: `MeshStaking::Bonds` (`max_values`: None, `max_size`: Some(465), added: 2940, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::Usage` (r:1 w:1)
    /// Proof: `ModelRegistry::Usage` (`max_values`: None, `max_size`: Some(20), added: 2495, mode: `MaxEncodedLen`)
    /// Storage: `Timing::AuditWindow` (r:1 w:0)
    /// Proof: `Timing::AuditWindow` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Agenda` (r:0 w:1)
    /// Proof: `Attestation::Agenda` (`max_values`: None, `max_size`: Some(20), added: 2495, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Receipts` (r:0 w:1)
    /// Proof: `Attestation::Receipts` (`max_values`: None, `max_size`: Some(57), added: 2532, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Parties` (r:0 w:2)
    /// Proof: `Attestation::Parties` (`max_values`: None, `max_size`: Some(56), added: 2531, mode: `MaxEncodedLen`)
    /// The range of component `v` is `[15, 256]`.
    fn open(v: u32, ) -> Weight {
        // Minimum execution time: 1_407_137_000 picoseconds.
        Weight::from_parts(1_603_510_771, 0)
            // Standard error: 1_187_492
            .saturating_add(Weight::from_parts(15_752_424, 0).saturating_mul(v.into()))
            .saturating_add(T::DbWeight::get().reads(23_u64))
            .saturating_add(T::DbWeight::get().reads((1_u64).saturating_mul(v.into())))
            .saturating_add(T::DbWeight::get().writes(6_u64))
    }
    /// Storage: `Attestation::Audits` (r:1 w:1)
    /// Proof: `Attestation::Audits` (`max_values`: None, `max_size`: Some(3441), added: 5916, mode: `MaxEncodedLen`)
    /// Storage: `Timing::AuditWindow` (r:1 w:0)
    /// Proof: `Timing::AuditWindow` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Agenda` (r:0 w:1)
    /// Proof: `Attestation::Agenda` (`max_values`: None, `max_size`: Some(20), added: 2495, mode: `MaxEncodedLen`)
    fn commit() -> Weight {
        // Minimum execution time: 273_668_000 picoseconds.
        Weight::from_parts(322_400_000, 0)
            .saturating_add(T::DbWeight::get().reads(2_u64))
            .saturating_add(T::DbWeight::get().writes(2_u64))
    }
    /// Storage: `Attestation::Audits` (r:1 w:1)
    /// Proof: `Attestation::Audits` (`max_values`: None, `max_size`: Some(3441), added: 5916, mode: `MaxEncodedLen`)
    /// Storage: `Timing::AuditWindow` (r:1 w:0)
    /// Proof: `Timing::AuditWindow` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Agenda` (r:0 w:1)
    /// Proof: `Attestation::Agenda` (`max_values`: None, `max_size`: Some(20), added: 2495, mode: `MaxEncodedLen`)
    fn publish() -> Weight {
        // Minimum execution time: 266_086_000 picoseconds.
        Weight::from_parts(278_816_000, 0)
            .saturating_add(T::DbWeight::get().reads(2_u64))
            .saturating_add(T::DbWeight::get().writes(2_u64))
    }
    /// Storage: `Attestation::Audits` (r:1 w:1)
    /// Proof: `Attestation::Audits` (`max_values`: None, `max_size`: Some(3441), added: 5916, mode: `MaxEncodedLen`)
    fn reveal() -> Weight {
        // Minimum execution time: 176_423_000 picoseconds.
        Weight::from_parts(198_696_000, 0)
            .saturating_add(T::DbWeight::get().reads(1_u64))
            .saturating_add(T::DbWeight::get().writes(1_u64))
    }
    /// Storage: `Timestamp::Now` (r:1 w:0)
    /// Proof: `Timestamp::Now` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Receipts` (r:1 w:1)
    /// Proof: `Attestation::Receipts` (`max_values`: None, `max_size`: Some(57), added: 2532, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Operators` (r:1 w:0)
    /// Proof: `MeshStaking::Operators` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::Versions` (r:1 w:0)
    /// Proof: `ModelRegistry::Versions` (`max_values`: None, `max_size`: Some(3793), added: 6268, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::Models` (r:1 w:0)
    /// Proof: `ModelRegistry::Models` (`max_values`: None, `max_size`: Some(166), added: 2641, mode: `MaxEncodedLen`)
    /// Storage: `System::BlockHash` (r:1 w:0)
    /// Proof: `System::BlockHash` (`max_values`: None, `max_size`: Some(44), added: 2519, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:1 w:1)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(301), added: 2776, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::NextChallenge` (r:1 w:1)
    /// Proof: `Attestation::NextChallenge` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::CurrentRound` (r:1 w:0)
    /// Proof: `Attestation::CurrentRound` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Challenges` (r:0 w:1)
    /// Proof: `Attestation::Challenges` (`max_values`: None, `max_size`: Some(313), added: 2788, mode: `MaxEncodedLen`)
    fn challenge() -> Weight {
        // Minimum execution time: 866_981_000 picoseconds.
        Weight::from_parts(1_008_753_000, 0)
            .saturating_add(T::DbWeight::get().reads(10_u64))
            .saturating_add(T::DbWeight::get().writes(5_u64))
    }
    /// Storage: `ModelRegistry::Versions` (r:1 w:0)
    /// Proof: `ModelRegistry::Versions` (`max_values`: None, `max_size`: Some(3793), added: 6268, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::Models` (r:1 w:0)
    /// Proof: `ModelRegistry::Models` (`max_values`: None, `max_size`: Some(166), added: 2641, mode: `MaxEncodedLen`)
    /// Storage: `Timing::AuditQuorum` (r:1 w:0)
    /// Proof: `Timing::AuditQuorum` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::OpenAudits` (r:1 w:1)
    /// Proof: `Attestation::OpenAudits` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Rounds` (r:1 w:1)
    /// Proof: `Attestation::Rounds` (`max_values`: None, `max_size`: Some(48), added: 2523, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::Usage` (r:1 w:1)
    /// Proof: `ModelRegistry::Usage` (`max_values`: None, `max_size`: Some(20), added: 2495, mode: `MaxEncodedLen`)
    /// Storage: `Reputation::Scores` (r:1 w:1)
    /// Proof: `Reputation::Scores` (`max_values`: None, `max_size`: Some(64), added: 2539, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Batches` (r:1 w:0)
    /// Proof: `Attestation::Batches` (`max_values`: None, `max_size`: Some(179), added: 2654, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:16 w:16)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Agenda` (r:0 w:1)
    /// Proof: `Attestation::Agenda` (`max_values`: None, `max_size`: Some(20), added: 2495, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Parties` (r:0 w:16)
    /// Proof: `Attestation::Parties` (`max_values`: None, `max_size`: Some(56), added: 2531, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Audits` (r:0 w:1)
    /// Proof: `Attestation::Audits` (`max_values`: None, `max_size`: Some(3441), added: 5916, mode: `MaxEncodedLen`)
    /// The range of component `m` is `[0, 15]`.
    fn finish(m: u32, ) -> Weight {
        // Minimum execution time: 280_809_000 picoseconds.
        Weight::from_parts(127_863_536, 0)
            // Standard error: 20_034_962
            .saturating_add(Weight::from_parts(315_525_053, 0).saturating_mul(m.into()))
            .saturating_add(T::DbWeight::get().reads(8_u64))
            .saturating_add(T::DbWeight::get().reads((1_u64).saturating_mul(m.into())))
            .saturating_add(T::DbWeight::get().writes(7_u64))
            .saturating_add(T::DbWeight::get().writes((2_u64).saturating_mul(m.into())))
    }
    /// Storage: `MeshStaking::Operators` (r:1 w:1)
    /// Proof: `MeshStaking::Operators` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Bonds` (r:3 w:2)
    /// Proof: `MeshStaking::Bonds` (`max_values`: None, `max_size`: Some(465), added: 2940, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:2 w:2)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(301), added: 2776, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:4 w:4)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Candidates` (r:1 w:1)
    /// Proof: `MeshStaking::Candidates` (`max_values`: None, `max_size`: Some(48), added: 2523, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Verifiers` (r:1 w:1)
    /// Proof: `MeshStaking::Verifiers` (`max_values`: None, `max_size`: Some(48), added: 2523, mode: `MaxEncodedLen`)
    fn slash() -> Weight {
        // Minimum execution time: 891_177_000 picoseconds.
        Weight::from_parts(1_002_714_000, 0)
            .saturating_add(T::DbWeight::get().reads(12_u64))
            .saturating_add(T::DbWeight::get().writes(11_u64))
    }
    /// Storage: `Babe::EpochIndex` (r:1 w:0)
    /// Proof: `Babe::EpochIndex` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::LastEpoch` (r:1 w:1)
    /// Proof: `Attestation::LastEpoch` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::CurrentRound` (r:1 w:0)
    /// Proof: `Attestation::CurrentRound` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Babe::NextRandomness` (r:1 w:0)
    /// Proof: `Babe::NextRandomness` (`max_values`: Some(1), `max_size`: Some(32), added: 527, mode: `MaxEncodedLen`)
    /// Storage: `Babe::EpochStart` (r:1 w:0)
    /// Proof: `Babe::EpochStart` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Verifiers` (r:257 w:0)
    /// Proof: `MeshStaking::Verifiers` (`max_values`: None, `max_size`: Some(48), added: 2523, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Operators` (r:256 w:0)
    /// Proof: `MeshStaking::Operators` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Workers` (r:256 w:0)
    /// Proof: `MeshStaking::Workers` (`max_values`: None, `max_size`: Some(705), added: 3180, mode: `MaxEncodedLen`)
    /// Storage: `Reputation::Scores` (r:256 w:0)
    /// Proof: `Reputation::Scores` (`max_values`: None, `max_size`: Some(64), added: 2539, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Rounds` (r:0 w:1)
    /// Proof: `Attestation::Rounds` (`max_values`: None, `max_size`: Some(48), added: 2523, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Snapshots` (r:0 w:1)
    /// Proof: `Attestation::Snapshots` (`max_values`: None, `max_size`: Some(13582), added: 16057, mode: `MaxEncodedLen`)
    /// The range of component `v` is `[0, 256]`.
    fn begin_round(v: u32, ) -> Weight {
        // Minimum execution time: 168_822_000 picoseconds.
        Weight::from_parts(2_518_759_325, 0)
            // Standard error: 9_689_867
            .saturating_add(Weight::from_parts(105_336_247, 0).saturating_mul(v.into()))
            .saturating_add(T::DbWeight::get().reads(6_u64))
            .saturating_add(T::DbWeight::get().reads((4_u64).saturating_mul(v.into())))
            .saturating_add(T::DbWeight::get().writes(3_u64))
    }
    /// Storage: `Attestation::Snapshots` (r:1 w:0)
    /// Proof: `Attestation::Snapshots` (`max_values`: None, `max_size`: Some(13582), added: 16057, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Operators` (r:256 w:0)
    /// Proof: `MeshStaking::Operators` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Bonds` (r:1 w:0)
    /// Proof: `MeshStaking::Bonds` (`max_values`: None, `max_size`: Some(465), added: 2940, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::JobLeaves` (r:79 w:0)
    /// Proof: `Attestation::JobLeaves` (`max_values`: None, `max_size`: Some(89), added: 2564, mode: `MaxEncodedLen`)
    /// Storage: `Timing::AuditWindow` (r:1 w:0)
    /// Proof: `Timing::AuditWindow` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::NextAudit` (r:1 w:1)
    /// Proof: `Attestation::NextAudit` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::OpenAudits` (r:1 w:1)
    /// Proof: `Attestation::OpenAudits` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Rounds` (r:1 w:1)
    /// Proof: `Attestation::Rounds` (`max_values`: None, `max_size`: Some(48), added: 2523, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Agenda` (r:0 w:16)
    /// Proof: `Attestation::Agenda` (`max_values`: None, `max_size`: Some(20), added: 2495, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Parties` (r:0 w:16)
    /// Proof: `Attestation::Parties` (`max_values`: None, `max_size`: Some(56), added: 2531, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Audits` (r:0 w:16)
    /// Proof: `Attestation::Audits` (`max_values`: None, `max_size`: Some(3441), added: 5916, mode: `MaxEncodedLen`)
    /// The range of component `v` is `[1, 256]`.
    /// The range of component `k` is `[0, 16]`.
    fn draw_batch(v: u32, k: u32, ) -> Weight {
        // Minimum execution time: 3_598_361_000 picoseconds.
        Weight::from_parts(1_389_691_724, 0)
            // Standard error: 2_432_004
            .saturating_add(Weight::from_parts(11_749_896, 0).saturating_mul(v.into()))
            // Standard error: 37_900_822
            .saturating_add(Weight::from_parts(252_030_180, 0).saturating_mul(k.into()))
            .saturating_add(T::DbWeight::get().reads(8_u64))
            .saturating_add(T::DbWeight::get().reads((1_u64).saturating_mul(v.into())))
            .saturating_add(T::DbWeight::get().reads((5_u64).saturating_mul(k.into())))
            .saturating_add(T::DbWeight::get().writes(2_u64))
            .saturating_add(T::DbWeight::get().writes((3_u64).saturating_mul(k.into())))
    }
    /// Storage: `Timing::AuditWindow` (r:1 w:0)
    /// Proof: `Timing::AuditWindow` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::NextAudit` (r:1 w:1)
    /// Proof: `Attestation::NextAudit` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::OpenAudits` (r:1 w:1)
    /// Proof: `Attestation::OpenAudits` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Rounds` (r:1 w:1)
    /// Proof: `Attestation::Rounds` (`max_values`: None, `max_size`: Some(48), added: 2523, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Snapshots` (r:1 w:0)
    /// Proof: `Attestation::Snapshots` (`max_values`: None, `max_size`: Some(13582), added: 16057, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Operators` (r:255 w:0)
    /// Proof: `MeshStaking::Operators` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Bonds` (r:15 w:0)
    /// Proof: `MeshStaking::Bonds` (`max_values`: None, `max_size`: Some(465), added: 2940, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::Usage` (r:1 w:1)
    /// Proof: `ModelRegistry::Usage` (`max_values`: None, `max_size`: Some(20), added: 2495, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Agenda` (r:0 w:1)
    /// Proof: `Attestation::Agenda` (`max_values`: None, `max_size`: Some(20), added: 2495, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Receipts` (r:0 w:1)
    /// Proof: `Attestation::Receipts` (`max_values`: None, `max_size`: Some(57), added: 2532, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Parties` (r:0 w:3)
    /// Proof: `Attestation::Parties` (`max_values`: None, `max_size`: Some(56), added: 2531, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Audits` (r:0 w:1)
    /// Proof: `Attestation::Audits` (`max_values`: None, `max_size`: Some(3441), added: 5916, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Challenges` (r:0 w:1)
    /// Proof: `Attestation::Challenges` (`max_values`: None, `max_size`: Some(313), added: 2788, mode: `MaxEncodedLen`)
    /// The range of component `v` is `[15, 256]`.
    fn begin_challenge(v: u32, ) -> Weight {
        // Minimum execution time: 1_044_266_000 picoseconds.
        Weight::from_parts(1_442_992_056, 0)
            // Standard error: 927_092
            .saturating_add(Weight::from_parts(13_872_530, 0).saturating_mul(v.into()))
            .saturating_add(T::DbWeight::get().reads(21_u64))
            .saturating_add(T::DbWeight::get().reads((1_u64).saturating_mul(v.into())))
            .saturating_add(T::DbWeight::get().writes(11_u64))
    }
    /// Storage: `Attestation::Audits` (r:1 w:1)
    /// Proof: `Attestation::Audits` (`max_values`: None, `max_size`: Some(3441), added: 5916, mode: `MaxEncodedLen`)
    /// Storage: `Reputation::Scores` (r:5 w:5)
    /// Proof: `Reputation::Scores` (`max_values`: None, `max_size`: Some(64), added: 2539, mode: `MaxEncodedLen`)
    /// Storage: `Timing::AuditWindow` (r:1 w:0)
    /// Proof: `Timing::AuditWindow` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Agenda` (r:0 w:2)
    /// Proof: `Attestation::Agenda` (`max_values`: None, `max_size`: Some(20), added: 2495, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Parties` (r:0 w:15)
    /// Proof: `Attestation::Parties` (`max_values`: None, `max_size`: Some(56), added: 2531, mode: `MaxEncodedLen`)
    fn wake() -> Weight {
        // Minimum execution time: 500_256_000 picoseconds.
        Weight::from_parts(504_852_000, 0)
            .saturating_add(T::DbWeight::get().reads(7_u64))
            .saturating_add(T::DbWeight::get().writes(23_u64))
    }
    /// Storage: `Attestation::DrawCursor` (r:1 w:0)
    /// Proof: `Attestation::DrawCursor` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::OldestBatch` (r:1 w:1)
    /// Proof: `Attestation::OldestBatch` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Batches` (r:1 w:1)
    /// Proof: `Attestation::Batches` (`max_values`: None, `max_size`: Some(179), added: 2654, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::CurrentRound` (r:1 w:0)
    /// Proof: `Attestation::CurrentRound` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Timing::AuditWindow` (r:1 w:0)
    /// Proof: `Timing::AuditWindow` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Timing::EpochDuration` (r:1 w:0)
    /// Proof: `Timing::EpochDuration` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Rounds` (r:1 w:0)
    /// Proof: `Attestation::Rounds` (`max_values`: None, `max_size`: Some(48), added: 2523, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::JobBatches` (r:1 w:1)
    /// Proof: `Attestation::JobBatches` (`max_values`: None, `max_size`: Some(56), added: 2531, mode: `MaxEncodedLen`)
    /// Storage: `Settlement::PoolCut` (r:1 w:1)
    /// Proof: `Settlement::PoolCut` (`max_values`: None, `max_size`: Some(64), added: 2539, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Punished` (r:1 w:0)
    /// Proof: `Attestation::Punished` (`max_values`: None, `max_size`: Some(64), added: 2539, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:2 w:2)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::SweptLeaves` (r:0 w:1)
    /// Proof: `Attestation::SweptLeaves` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    fn remove_batch() -> Weight {
        // Minimum execution time: 504_391_000 picoseconds.
        Weight::from_parts(610_259_000, 0)
            .saturating_add(T::DbWeight::get().reads(12_u64))
            .saturating_add(T::DbWeight::get().writes(7_u64))
    }
    /// Storage: `Attestation::SweptLeaves` (r:1 w:1)
    /// Proof: `Attestation::SweptLeaves` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::JobLeaves` (r:0 w:64)
    /// Proof: `Attestation::JobLeaves` (`max_values`: None, `max_size`: Some(89), added: 2564, mode: `MaxEncodedLen`)
    /// The range of component `n` is `[1, 64]`.
    fn remove_leaves(n: u32, ) -> Weight {
        // Minimum execution time: 73_700_000 picoseconds.
        Weight::from_parts(70_213_004, 0)
            // Standard error: 297_189
            .saturating_add(Weight::from_parts(6_884_384, 0).saturating_mul(n.into()))
            .saturating_add(T::DbWeight::get().reads(1_u64))
            .saturating_add(T::DbWeight::get().writes(1_u64))
            .saturating_add(T::DbWeight::get().writes((1_u64).saturating_mul(n.into())))
    }
    /// Storage: `Attestation::NextAudit` (r:1 w:0)
    /// Proof: `Attestation::NextAudit` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::OldestAudit` (r:1 w:1)
    /// Proof: `Attestation::OldestAudit` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Audits` (r:1 w:1)
    /// Proof: `Attestation::Audits` (`max_values`: None, `max_size`: Some(3441), added: 5916, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::CurrentRound` (r:1 w:0)
    /// Proof: `Attestation::CurrentRound` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Timing::AuditWindow` (r:1 w:0)
    /// Proof: `Timing::AuditWindow` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Timing::EpochDuration` (r:1 w:0)
    /// Proof: `Timing::EpochDuration` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Receipts` (r:1 w:1)
    /// Proof: `Attestation::Receipts` (`max_values`: None, `max_size`: Some(57), added: 2532, mode: `MaxEncodedLen`)
    fn remove_audit() -> Weight {
        // Minimum execution time: 217_944_000 picoseconds.
        Weight::from_parts(266_708_000, 0)
            .saturating_add(T::DbWeight::get().reads(7_u64))
            .saturating_add(T::DbWeight::get().writes(3_u64))
    }
    /// Storage: `Attestation::OldestRound` (r:1 w:1)
    /// Proof: `Attestation::OldestRound` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::CurrentRound` (r:1 w:0)
    /// Proof: `Attestation::CurrentRound` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::OldestBatch` (r:1 w:0)
    /// Proof: `Attestation::OldestBatch` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Batches` (r:1 w:0)
    /// Proof: `Attestation::Batches` (`max_values`: None, `max_size`: Some(179), added: 2654, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::ChallengeCursor` (r:1 w:0)
    /// Proof: `Attestation::ChallengeCursor` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Challenges` (r:1 w:0)
    /// Proof: `Attestation::Challenges` (`max_values`: None, `max_size`: Some(313), added: 2788, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::OldestAudit` (r:1 w:0)
    /// Proof: `Attestation::OldestAudit` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Audits` (r:1 w:0)
    /// Proof: `Attestation::Audits` (`max_values`: None, `max_size`: Some(3441), added: 5916, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Rounds` (r:2 w:1)
    /// Proof: `Attestation::Rounds` (`max_values`: None, `max_size`: Some(48), added: 2523, mode: `MaxEncodedLen`)
    /// Storage: `Timing::AuditWindow` (r:1 w:0)
    /// Proof: `Timing::AuditWindow` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Timing::EpochDuration` (r:1 w:0)
    /// Proof: `Timing::EpochDuration` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Punished` (r:64 w:63)
    /// Proof: `Attestation::Punished` (`max_values`: None, `max_size`: Some(64), added: 2539, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Snapshots` (r:0 w:1)
    /// Proof: `Attestation::Snapshots` (`max_values`: None, `max_size`: Some(13582), added: 16057, mode: `MaxEncodedLen`)
    /// The range of component `n` is `[0, 63]`.
    fn remove_round(n: u32, ) -> Weight {
        // Minimum execution time: 295_490_000 picoseconds.
        Weight::from_parts(302_731_000, 0)
            // Standard error: 2_054_159
            .saturating_add(Weight::from_parts(66_717_474, 0).saturating_mul(n.into()))
            .saturating_add(T::DbWeight::get().reads(13_u64))
            .saturating_add(T::DbWeight::get().reads((1_u64).saturating_mul(n.into())))
            .saturating_add(T::DbWeight::get().writes(3_u64))
            .saturating_add(T::DbWeight::get().writes((1_u64).saturating_mul(n.into())))
    }
    /// Storage: `Babe::EpochIndex` (r:1 w:0)
    /// Proof: `Babe::EpochIndex` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::LastEpoch` (r:1 w:0)
    /// Proof: `Attestation::LastEpoch` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::AgendaCursor` (r:1 w:1)
    /// Proof: `Attestation::AgendaCursor` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Agenda` (r:1 w:0)
    /// Proof: `Attestation::Agenda` (`max_values`: None, `max_size`: Some(20), added: 2495, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::NextChallenge` (r:1 w:0)
    /// Proof: `Attestation::NextChallenge` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::ChallengeCursor` (r:1 w:0)
    /// Proof: `Attestation::ChallengeCursor` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::NextBatch` (r:1 w:0)
    /// Proof: `Attestation::NextBatch` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::DrawCursor` (r:1 w:0)
    /// Proof: `Attestation::DrawCursor` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::OldestBatch` (r:1 w:0)
    /// Proof: `Attestation::OldestBatch` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::NextAudit` (r:1 w:0)
    /// Proof: `Attestation::NextAudit` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::OldestAudit` (r:1 w:0)
    /// Proof: `Attestation::OldestAudit` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::OldestRound` (r:1 w:0)
    /// Proof: `Attestation::OldestRound` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::CurrentRound` (r:1 w:0)
    /// Proof: `Attestation::CurrentRound` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    fn idle() -> Weight {
        // Minimum execution time: 183_543_000 picoseconds.
        Weight::from_parts(295_861_000, 0)
            .saturating_add(T::DbWeight::get().reads(13_u64))
            .saturating_add(T::DbWeight::get().writes(1_u64))
    }
}

impl WeightInfo for () {
    fn open(v: u32, ) -> Weight {
        Weight::from_parts(1_603_510_771, 0)
            .saturating_add(Weight::from_parts(15_752_424, 0).saturating_mul(v.into()))
            .saturating_add(ParityDbWeight::get().reads(23_u64))
            .saturating_add(ParityDbWeight::get().reads((1_u64).saturating_mul(v.into())))
            .saturating_add(ParityDbWeight::get().writes(6_u64))
    }
    fn commit() -> Weight {
        Weight::from_parts(322_400_000, 0)
            .saturating_add(ParityDbWeight::get().reads(2_u64))
            .saturating_add(ParityDbWeight::get().writes(2_u64))
    }
    fn publish() -> Weight {
        Weight::from_parts(278_816_000, 0)
            .saturating_add(ParityDbWeight::get().reads(2_u64))
            .saturating_add(ParityDbWeight::get().writes(2_u64))
    }
    fn reveal() -> Weight {
        Weight::from_parts(198_696_000, 0)
            .saturating_add(ParityDbWeight::get().reads(1_u64))
            .saturating_add(ParityDbWeight::get().writes(1_u64))
    }
    fn challenge() -> Weight {
        Weight::from_parts(1_008_753_000, 0)
            .saturating_add(ParityDbWeight::get().reads(10_u64))
            .saturating_add(ParityDbWeight::get().writes(5_u64))
    }
    fn finish(m: u32, ) -> Weight {
        Weight::from_parts(127_863_536, 0)
            .saturating_add(Weight::from_parts(315_525_053, 0).saturating_mul(m.into()))
            .saturating_add(ParityDbWeight::get().reads(8_u64))
            .saturating_add(ParityDbWeight::get().reads((1_u64).saturating_mul(m.into())))
            .saturating_add(ParityDbWeight::get().writes(7_u64))
            .saturating_add(ParityDbWeight::get().writes((2_u64).saturating_mul(m.into())))
    }
    fn slash() -> Weight {
        Weight::from_parts(1_002_714_000, 0)
            .saturating_add(ParityDbWeight::get().reads(12_u64))
            .saturating_add(ParityDbWeight::get().writes(11_u64))
    }
    fn begin_round(v: u32, ) -> Weight {
        Weight::from_parts(2_518_759_325, 0)
            .saturating_add(Weight::from_parts(105_336_247, 0).saturating_mul(v.into()))
            .saturating_add(ParityDbWeight::get().reads(6_u64))
            .saturating_add(ParityDbWeight::get().reads((4_u64).saturating_mul(v.into())))
            .saturating_add(ParityDbWeight::get().writes(3_u64))
    }
    fn draw_batch(v: u32, k: u32, ) -> Weight {
        Weight::from_parts(1_389_691_724, 0)
            .saturating_add(Weight::from_parts(11_749_896, 0).saturating_mul(v.into()))
            .saturating_add(Weight::from_parts(252_030_180, 0).saturating_mul(k.into()))
            .saturating_add(ParityDbWeight::get().reads(8_u64))
            .saturating_add(ParityDbWeight::get().reads((1_u64).saturating_mul(v.into())))
            .saturating_add(ParityDbWeight::get().reads((5_u64).saturating_mul(k.into())))
            .saturating_add(ParityDbWeight::get().writes(2_u64))
            .saturating_add(ParityDbWeight::get().writes((3_u64).saturating_mul(k.into())))
    }
    fn begin_challenge(v: u32, ) -> Weight {
        Weight::from_parts(1_442_992_056, 0)
            .saturating_add(Weight::from_parts(13_872_530, 0).saturating_mul(v.into()))
            .saturating_add(ParityDbWeight::get().reads(21_u64))
            .saturating_add(ParityDbWeight::get().reads((1_u64).saturating_mul(v.into())))
            .saturating_add(ParityDbWeight::get().writes(11_u64))
    }
    fn wake() -> Weight {
        Weight::from_parts(504_852_000, 0)
            .saturating_add(ParityDbWeight::get().reads(7_u64))
            .saturating_add(ParityDbWeight::get().writes(23_u64))
    }
    fn remove_batch() -> Weight {
        Weight::from_parts(610_259_000, 0)
            .saturating_add(ParityDbWeight::get().reads(12_u64))
            .saturating_add(ParityDbWeight::get().writes(7_u64))
    }
    fn remove_leaves(n: u32, ) -> Weight {
        Weight::from_parts(70_213_004, 0)
            .saturating_add(Weight::from_parts(6_884_384, 0).saturating_mul(n.into()))
            .saturating_add(ParityDbWeight::get().reads(1_u64))
            .saturating_add(ParityDbWeight::get().writes(1_u64))
            .saturating_add(ParityDbWeight::get().writes((1_u64).saturating_mul(n.into())))
    }
    fn remove_audit() -> Weight {
        Weight::from_parts(266_708_000, 0)
            .saturating_add(ParityDbWeight::get().reads(7_u64))
            .saturating_add(ParityDbWeight::get().writes(3_u64))
    }
    fn remove_round(n: u32, ) -> Weight {
        Weight::from_parts(302_731_000, 0)
            .saturating_add(Weight::from_parts(66_717_474, 0).saturating_mul(n.into()))
            .saturating_add(ParityDbWeight::get().reads(13_u64))
            .saturating_add(ParityDbWeight::get().reads((1_u64).saturating_mul(n.into())))
            .saturating_add(ParityDbWeight::get().writes(3_u64))
            .saturating_add(ParityDbWeight::get().writes((1_u64).saturating_mul(n.into())))
    }
    fn idle() -> Weight {
        Weight::from_parts(295_861_000, 0)
            .saturating_add(ParityDbWeight::get().reads(13_u64))
            .saturating_add(ParityDbWeight::get().writes(1_u64))
    }
}
