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
    /// Proof: `Attestation::Audits` (`max_values`: None, `max_size`: Some(3429), added: 5904, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Batches` (r:1 w:0)
    /// Proof: `Attestation::Batches` (`max_values`: None, `max_size`: Some(171), added: 2646, mode: `MaxEncodedLen`)
    /// Storage: `System::BlockHash` (r:1 w:0)
    /// Proof: `System::BlockHash` (`max_values`: None, `max_size`: Some(44), added: 2519, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::Versions` (r:1 w:0)
    /// Proof: `ModelRegistry::Versions` (`max_values`: None, `max_size`: Some(3793), added: 6268, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::Models` (r:1 w:0)
    /// Proof: `ModelRegistry::Models` (`max_values`: None, `max_size`: Some(166), added: 2641, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Requests` (r:1 w:1)
    /// Proof: `Attestation::Requests` (`max_values`: None, `max_size`: Some(78), added: 2553, mode: `MaxEncodedLen`)
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
        // Minimum execution time: 14_620_874_000 picoseconds.
        Weight::from_parts(17_514_356_232, 0)
            // Standard error: 6_647_187
            .saturating_add(Weight::from_parts(30_041_349, 0).saturating_mul(v.into()))
            .saturating_add(T::DbWeight::get().reads(24_u64))
            .saturating_add(T::DbWeight::get().reads((1_u64).saturating_mul(v.into())))
            .saturating_add(T::DbWeight::get().writes(7_u64))
    }
    /// Storage: `Attestation::Audits` (r:1 w:1)
    /// Proof: `Attestation::Audits` (`max_values`: None, `max_size`: Some(3429), added: 5904, mode: `MaxEncodedLen`)
    /// Storage: `Timing::AuditWindow` (r:1 w:0)
    /// Proof: `Timing::AuditWindow` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Agenda` (r:0 w:1)
    /// Proof: `Attestation::Agenda` (`max_values`: None, `max_size`: Some(20), added: 2495, mode: `MaxEncodedLen`)
    fn commit() -> Weight {
        // Minimum execution time: 416_651_000 picoseconds.
        Weight::from_parts(545_933_000, 0)
            .saturating_add(T::DbWeight::get().reads(2_u64))
            .saturating_add(T::DbWeight::get().writes(2_u64))
    }
    /// Storage: `Attestation::Audits` (r:1 w:1)
    /// Proof: `Attestation::Audits` (`max_values`: None, `max_size`: Some(3429), added: 5904, mode: `MaxEncodedLen`)
    /// Storage: `Timing::AuditWindow` (r:1 w:0)
    /// Proof: `Timing::AuditWindow` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Agenda` (r:0 w:1)
    /// Proof: `Attestation::Agenda` (`max_values`: None, `max_size`: Some(20), added: 2495, mode: `MaxEncodedLen`)
    fn publish() -> Weight {
        // Minimum execution time: 15_367_767_000 picoseconds.
        Weight::from_parts(17_954_972_000, 0)
            .saturating_add(T::DbWeight::get().reads(2_u64))
            .saturating_add(T::DbWeight::get().writes(2_u64))
    }
    /// Storage: `Attestation::Audits` (r:1 w:1)
    /// Proof: `Attestation::Audits` (`max_values`: None, `max_size`: Some(3429), added: 5904, mode: `MaxEncodedLen`)
    fn reveal() -> Weight {
        // Minimum execution time: 291_324_000 picoseconds.
        Weight::from_parts(317_333_000, 0)
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
        // Minimum execution time: 890_427_000 picoseconds.
        Weight::from_parts(1_184_404_000, 0)
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
    /// Proof: `Attestation::Batches` (`max_values`: None, `max_size`: Some(171), added: 2646, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:16 w:16)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Agenda` (r:0 w:1)
    /// Proof: `Attestation::Agenda` (`max_values`: None, `max_size`: Some(20), added: 2495, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Parties` (r:0 w:16)
    /// Proof: `Attestation::Parties` (`max_values`: None, `max_size`: Some(56), added: 2531, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Audits` (r:0 w:1)
    /// Proof: `Attestation::Audits` (`max_values`: None, `max_size`: Some(3429), added: 5904, mode: `MaxEncodedLen`)
    /// The range of component `m` is `[0, 15]`.
    fn finish(m: u32, ) -> Weight {
        // Minimum execution time: 389_931_000 picoseconds.
        Weight::from_parts(615_711_701, 0)
            // Standard error: 19_844_815
            .saturating_add(Weight::from_parts(287_948_182, 0).saturating_mul(m.into()))
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
        // Minimum execution time: 14_216_773_000 picoseconds.
        Weight::from_parts(20_209_971_000, 0)
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
        // Minimum execution time: 171_986_000 picoseconds.
        Weight::from_parts(551_563_431, 0)
            // Standard error: 4_646_694
            .saturating_add(Weight::from_parts(137_508_062, 0).saturating_mul(v.into()))
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
    /// Proof: `Attestation::Audits` (`max_values`: None, `max_size`: Some(3429), added: 5904, mode: `MaxEncodedLen`)
    /// The range of component `v` is `[1, 256]`.
    /// The range of component `k` is `[0, 16]`.
    fn draw_batch(v: u32, k: u32, ) -> Weight {
        // Minimum execution time: 18_284_483_000 picoseconds.
        Weight::from_parts(16_749_310_804, 0)
            // Standard error: 4_906_297
            .saturating_add(Weight::from_parts(24_856_083, 0).saturating_mul(v.into()))
            // Standard error: 76_460_665
            .saturating_add(Weight::from_parts(315_186_942, 0).saturating_mul(k.into()))
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
    /// Proof: `Attestation::Audits` (`max_values`: None, `max_size`: Some(3429), added: 5904, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Challenges` (r:0 w:1)
    /// Proof: `Attestation::Challenges` (`max_values`: None, `max_size`: Some(313), added: 2788, mode: `MaxEncodedLen`)
    /// The range of component `v` is `[15, 256]`.
    fn begin_challenge(v: u32, ) -> Weight {
        // Minimum execution time: 1_069_744_000 picoseconds.
        Weight::from_parts(1_561_534_363, 0)
            // Standard error: 1_785_700
            .saturating_add(Weight::from_parts(18_633_996, 0).saturating_mul(v.into()))
            .saturating_add(T::DbWeight::get().reads(21_u64))
            .saturating_add(T::DbWeight::get().reads((1_u64).saturating_mul(v.into())))
            .saturating_add(T::DbWeight::get().writes(11_u64))
    }
    /// Storage: `Attestation::Audits` (r:1 w:1)
    /// Proof: `Attestation::Audits` (`max_values`: None, `max_size`: Some(3429), added: 5904, mode: `MaxEncodedLen`)
    /// Storage: `Reputation::Scores` (r:5 w:5)
    /// Proof: `Reputation::Scores` (`max_values`: None, `max_size`: Some(64), added: 2539, mode: `MaxEncodedLen`)
    /// Storage: `Timing::AuditWindow` (r:1 w:0)
    /// Proof: `Timing::AuditWindow` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Agenda` (r:0 w:2)
    /// Proof: `Attestation::Agenda` (`max_values`: None, `max_size`: Some(20), added: 2495, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Parties` (r:0 w:15)
    /// Proof: `Attestation::Parties` (`max_values`: None, `max_size`: Some(56), added: 2531, mode: `MaxEncodedLen`)
    fn wake() -> Weight {
        // Minimum execution time: 589_689_000 picoseconds.
        Weight::from_parts(696_948_000, 0)
            .saturating_add(T::DbWeight::get().reads(7_u64))
            .saturating_add(T::DbWeight::get().writes(23_u64))
    }
    /// Storage: `Attestation::DrawCursor` (r:1 w:0)
    /// Proof: `Attestation::DrawCursor` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::OldestBatch` (r:1 w:1)
    /// Proof: `Attestation::OldestBatch` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Batches` (r:1 w:1)
    /// Proof: `Attestation::Batches` (`max_values`: None, `max_size`: Some(171), added: 2646, mode: `MaxEncodedLen`)
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
        // Minimum execution time: 596_218_000 picoseconds.
        Weight::from_parts(683_299_000, 0)
            .saturating_add(T::DbWeight::get().reads(12_u64))
            .saturating_add(T::DbWeight::get().writes(7_u64))
    }
    /// Storage: `Attestation::SweptLeaves` (r:1 w:1)
    /// Proof: `Attestation::SweptLeaves` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::JobLeaves` (r:0 w:64)
    /// Proof: `Attestation::JobLeaves` (`max_values`: None, `max_size`: Some(89), added: 2564, mode: `MaxEncodedLen`)
    /// The range of component `n` is `[1, 64]`.
    fn remove_leaves(n: u32, ) -> Weight {
        // Minimum execution time: 74_391_000 picoseconds.
        Weight::from_parts(90_818_900, 0)
            // Standard error: 398_200
            .saturating_add(Weight::from_parts(8_639_044, 0).saturating_mul(n.into()))
            .saturating_add(T::DbWeight::get().reads(1_u64))
            .saturating_add(T::DbWeight::get().writes(1_u64))
            .saturating_add(T::DbWeight::get().writes((1_u64).saturating_mul(n.into())))
    }
    /// Storage: `Attestation::NextAudit` (r:1 w:0)
    /// Proof: `Attestation::NextAudit` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::OldestAudit` (r:1 w:1)
    /// Proof: `Attestation::OldestAudit` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Audits` (r:1 w:1)
    /// Proof: `Attestation::Audits` (`max_values`: None, `max_size`: Some(3429), added: 5904, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::CurrentRound` (r:1 w:0)
    /// Proof: `Attestation::CurrentRound` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Timing::AuditWindow` (r:1 w:0)
    /// Proof: `Timing::AuditWindow` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Timing::EpochDuration` (r:1 w:0)
    /// Proof: `Timing::EpochDuration` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Receipts` (r:1 w:1)
    /// Proof: `Attestation::Receipts` (`max_values`: None, `max_size`: Some(57), added: 2532, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Requests` (r:1 w:1)
    /// Proof: `Attestation::Requests` (`max_values`: None, `max_size`: Some(78), added: 2553, mode: `MaxEncodedLen`)
    fn remove_audit() -> Weight {
        // Minimum execution time: 269_341_000 picoseconds.
        Weight::from_parts(419_505_000, 0)
            .saturating_add(T::DbWeight::get().reads(8_u64))
            .saturating_add(T::DbWeight::get().writes(4_u64))
    }
    /// Storage: `Attestation::OldestRound` (r:1 w:1)
    /// Proof: `Attestation::OldestRound` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::CurrentRound` (r:1 w:0)
    /// Proof: `Attestation::CurrentRound` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::OldestBatch` (r:1 w:0)
    /// Proof: `Attestation::OldestBatch` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Batches` (r:1 w:0)
    /// Proof: `Attestation::Batches` (`max_values`: None, `max_size`: Some(171), added: 2646, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::ChallengeCursor` (r:1 w:0)
    /// Proof: `Attestation::ChallengeCursor` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Challenges` (r:1 w:0)
    /// Proof: `Attestation::Challenges` (`max_values`: None, `max_size`: Some(313), added: 2788, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::OldestAudit` (r:1 w:0)
    /// Proof: `Attestation::OldestAudit` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Attestation::Audits` (r:1 w:0)
    /// Proof: `Attestation::Audits` (`max_values`: None, `max_size`: Some(3429), added: 5904, mode: `MaxEncodedLen`)
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
        // Minimum execution time: 302_640_000 picoseconds.
        Weight::from_parts(451_634_611, 0)
            // Standard error: 4_645_918
            .saturating_add(Weight::from_parts(56_706_238, 0).saturating_mul(n.into()))
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
        // Minimum execution time: 187_289_000 picoseconds.
        Weight::from_parts(307_398_000, 0)
            .saturating_add(T::DbWeight::get().reads(13_u64))
            .saturating_add(T::DbWeight::get().writes(1_u64))
    }
}

impl WeightInfo for () {
    fn open(v: u32, ) -> Weight {
        Weight::from_parts(17_514_356_232, 0)
            .saturating_add(Weight::from_parts(30_041_349, 0).saturating_mul(v.into()))
            .saturating_add(ParityDbWeight::get().reads(24_u64))
            .saturating_add(ParityDbWeight::get().reads((1_u64).saturating_mul(v.into())))
            .saturating_add(ParityDbWeight::get().writes(7_u64))
    }
    fn commit() -> Weight {
        Weight::from_parts(545_933_000, 0)
            .saturating_add(ParityDbWeight::get().reads(2_u64))
            .saturating_add(ParityDbWeight::get().writes(2_u64))
    }
    fn publish() -> Weight {
        Weight::from_parts(17_954_972_000, 0)
            .saturating_add(ParityDbWeight::get().reads(2_u64))
            .saturating_add(ParityDbWeight::get().writes(2_u64))
    }
    fn reveal() -> Weight {
        Weight::from_parts(317_333_000, 0)
            .saturating_add(ParityDbWeight::get().reads(1_u64))
            .saturating_add(ParityDbWeight::get().writes(1_u64))
    }
    fn challenge() -> Weight {
        Weight::from_parts(1_184_404_000, 0)
            .saturating_add(ParityDbWeight::get().reads(10_u64))
            .saturating_add(ParityDbWeight::get().writes(5_u64))
    }
    fn finish(m: u32, ) -> Weight {
        Weight::from_parts(615_711_701, 0)
            .saturating_add(Weight::from_parts(287_948_182, 0).saturating_mul(m.into()))
            .saturating_add(ParityDbWeight::get().reads(8_u64))
            .saturating_add(ParityDbWeight::get().reads((1_u64).saturating_mul(m.into())))
            .saturating_add(ParityDbWeight::get().writes(7_u64))
            .saturating_add(ParityDbWeight::get().writes((2_u64).saturating_mul(m.into())))
    }
    fn slash() -> Weight {
        Weight::from_parts(20_209_971_000, 0)
            .saturating_add(ParityDbWeight::get().reads(12_u64))
            .saturating_add(ParityDbWeight::get().writes(11_u64))
    }
    fn begin_round(v: u32, ) -> Weight {
        Weight::from_parts(551_563_431, 0)
            .saturating_add(Weight::from_parts(137_508_062, 0).saturating_mul(v.into()))
            .saturating_add(ParityDbWeight::get().reads(6_u64))
            .saturating_add(ParityDbWeight::get().reads((4_u64).saturating_mul(v.into())))
            .saturating_add(ParityDbWeight::get().writes(3_u64))
    }
    fn draw_batch(v: u32, k: u32, ) -> Weight {
        Weight::from_parts(16_749_310_804, 0)
            .saturating_add(Weight::from_parts(24_856_083, 0).saturating_mul(v.into()))
            .saturating_add(Weight::from_parts(315_186_942, 0).saturating_mul(k.into()))
            .saturating_add(ParityDbWeight::get().reads(8_u64))
            .saturating_add(ParityDbWeight::get().reads((1_u64).saturating_mul(v.into())))
            .saturating_add(ParityDbWeight::get().reads((5_u64).saturating_mul(k.into())))
            .saturating_add(ParityDbWeight::get().writes(2_u64))
            .saturating_add(ParityDbWeight::get().writes((3_u64).saturating_mul(k.into())))
    }
    fn begin_challenge(v: u32, ) -> Weight {
        Weight::from_parts(1_561_534_363, 0)
            .saturating_add(Weight::from_parts(18_633_996, 0).saturating_mul(v.into()))
            .saturating_add(ParityDbWeight::get().reads(21_u64))
            .saturating_add(ParityDbWeight::get().reads((1_u64).saturating_mul(v.into())))
            .saturating_add(ParityDbWeight::get().writes(11_u64))
    }
    fn wake() -> Weight {
        Weight::from_parts(696_948_000, 0)
            .saturating_add(ParityDbWeight::get().reads(7_u64))
            .saturating_add(ParityDbWeight::get().writes(23_u64))
    }
    fn remove_batch() -> Weight {
        Weight::from_parts(683_299_000, 0)
            .saturating_add(ParityDbWeight::get().reads(12_u64))
            .saturating_add(ParityDbWeight::get().writes(7_u64))
    }
    fn remove_leaves(n: u32, ) -> Weight {
        Weight::from_parts(90_818_900, 0)
            .saturating_add(Weight::from_parts(8_639_044, 0).saturating_mul(n.into()))
            .saturating_add(ParityDbWeight::get().reads(1_u64))
            .saturating_add(ParityDbWeight::get().writes(1_u64))
            .saturating_add(ParityDbWeight::get().writes((1_u64).saturating_mul(n.into())))
    }
    fn remove_audit() -> Weight {
        Weight::from_parts(419_505_000, 0)
            .saturating_add(ParityDbWeight::get().reads(8_u64))
            .saturating_add(ParityDbWeight::get().writes(4_u64))
    }
    fn remove_round(n: u32, ) -> Weight {
        Weight::from_parts(451_634_611, 0)
            .saturating_add(Weight::from_parts(56_706_238, 0).saturating_mul(n.into()))
            .saturating_add(ParityDbWeight::get().reads(13_u64))
            .saturating_add(ParityDbWeight::get().reads((1_u64).saturating_mul(n.into())))
            .saturating_add(ParityDbWeight::get().writes(3_u64))
            .saturating_add(ParityDbWeight::get().writes((1_u64).saturating_mul(n.into())))
    }
    fn idle() -> Weight {
        Weight::from_parts(307_398_000, 0)
            .saturating_add(ParityDbWeight::get().reads(13_u64))
            .saturating_add(ParityDbWeight::get().writes(1_u64))
    }
}
