//! Weights of `pallet_attestation`. **Estimates**, until `scripts/benchmark` has measured them: database accesses are counted
//! in the code at their worst, and times are those measured for comparable work of the other pallets (`slash` of staking with
//! 64 delegators, payments of settlement, draws of jobs), rounded up.

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
    /// The receipt, its marks, the snapshot and the committee, of whom 15 of `v` candidates sit.
    fn open(v: u32, ) -> Weight {
        Weight::from_parts(8_000_000_000, 0)
            .saturating_add(Weight::from_parts(60_000_000, 0).saturating_mul(v.into()))
            .saturating_add(T::DbWeight::get().reads(12_u64))
            .saturating_add(T::DbWeight::get().reads((3_u64).saturating_mul(v.into())))
            .saturating_add(T::DbWeight::get().writes(24_u64))
    }
    /// A ballot, the last of its stage.
    fn commit() -> Weight {
        Weight::from_parts(500_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(3_u64))
            .saturating_add(T::DbWeight::get().writes(5_u64))
    }
    /// A sketch.
    fn publish() -> Weight {
        Weight::from_parts(500_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(3_u64))
            .saturating_add(T::DbWeight::get().writes(5_u64))
    }
    /// A vote.
    fn reveal() -> Weight {
        Weight::from_parts(600_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(3_u64))
            .saturating_add(T::DbWeight::get().writes(3_u64))
    }
    /// Two signatures, a hold and a record.
    fn challenge() -> Weight {
        Weight::from_parts(1_500_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(11_u64))
            .saturating_add(T::DbWeight::get().writes(7_u64))
    }
    /// The end of an audit with `m` members, who are paid, the count of their votes included; without slashes.
    fn finish(m: u32, ) -> Weight {
        Weight::from_parts(2_500_000_000, 0)
            .saturating_add(Weight::from_parts(1_500_000_000, 0).saturating_mul(m.into()))
            .saturating_add(T::DbWeight::get().reads(16_u64))
            .saturating_add(T::DbWeight::get().reads((5_u64).saturating_mul(m.into())))
            .saturating_add(T::DbWeight::get().writes(15_u64))
            .saturating_add(T::DbWeight::get().writes((4_u64).saturating_mul(m.into())))
    }
    /// A slash of somebody with 64 delegators.
    fn slash() -> Weight {
        Weight::from_parts(20_000_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(201_u64))
            .saturating_add(T::DbWeight::get().writes(200_u64))
    }
    /// A snapshot of `v` verifiers.
    fn begin_round(v: u32, ) -> Weight {
        Weight::from_parts(1_000_000_000, 0)
            .saturating_add(Weight::from_parts(80_000_000, 0).saturating_mul(v.into()))
            .saturating_add(T::DbWeight::get().reads(6_u64))
            .saturating_add(T::DbWeight::get().reads((5_u64).saturating_mul(v.into())))
            .saturating_add(T::DbWeight::get().writes(5_u64))
    }
    /// `v` candidates looked at, `k` audits of jobs begun; the leaf of each is found by bisection.
    fn draw_batch(v: u32, k: u32, ) -> Weight {
        Weight::from_parts(1_200_000_000, 0)
            .saturating_add(Weight::from_parts(50_000_000, 0).saturating_mul(v.into()))
            .saturating_add(Weight::from_parts(200_000_000, 0).saturating_mul(k.into()))
            .saturating_add(T::DbWeight::get().reads(9_u64))
            .saturating_add(T::DbWeight::get().reads((3_u64).saturating_mul(v.into())))
            .saturating_add(T::DbWeight::get().reads((13_u64).saturating_mul(k.into())))
            .saturating_add(T::DbWeight::get().writes(4_u64))
            .saturating_add(T::DbWeight::get().writes((4_u64).saturating_mul(k.into())))
    }
    /// As `open`, with a new audit.
    fn begin_challenge(v: u32, ) -> Weight {
        Weight::from_parts(9_000_000_000, 0)
            .saturating_add(Weight::from_parts(60_000_000, 0).saturating_mul(v.into()))
            .saturating_add(T::DbWeight::get().reads(15_u64))
            .saturating_add(T::DbWeight::get().reads((3_u64).saturating_mul(v.into())))
            .saturating_add(T::DbWeight::get().writes(28_u64))
    }
    /// A deadline that leads to the next stage.
    fn wake() -> Weight {
        Weight::from_parts(1_200_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(14_u64))
            .saturating_add(T::DbWeight::get().writes(28_u64))
    }
    /// A batch, with a bonus.
    fn remove_batch() -> Weight {
        Weight::from_parts(1_000_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(9_u64))
            .saturating_add(T::DbWeight::get().writes(7_u64))
    }
    /// `n` leaves of a batch of jobs.
    fn remove_leaves(n: u32, ) -> Weight {
        Weight::from_parts(200_000_000, 0)
            .saturating_add(Weight::from_parts(30_000_000, 0).saturating_mul(n.into()))
            .saturating_add(T::DbWeight::get().reads(2_u64))
            .saturating_add(T::DbWeight::get().reads((1_u64).saturating_mul(n.into())))
            .saturating_add(T::DbWeight::get().writes(1_u64))
            .saturating_add(T::DbWeight::get().writes((1_u64).saturating_mul(n.into())))
    }
    /// An audit and its marks.
    fn remove_audit() -> Weight {
        Weight::from_parts(400_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(5_u64))
            .saturating_add(T::DbWeight::get().writes(4_u64))
    }
    /// A round with `n` punishments.
    fn remove_round(n: u32, ) -> Weight {
        Weight::from_parts(500_000_000, 0)
            .saturating_add(Weight::from_parts(40_000_000, 0).saturating_mul(n.into()))
            .saturating_add(T::DbWeight::get().reads(9_u64))
            .saturating_add(T::DbWeight::get().reads((1_u64).saturating_mul(n.into())))
            .saturating_add(T::DbWeight::get().writes(4_u64))
            .saturating_add(T::DbWeight::get().writes((1_u64).saturating_mul(n.into())))
    }
    /// What is read in every block, or a block of the agenda in which nothing is due.
    fn idle() -> Weight {
        Weight::from_parts(300_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(18_u64))
            .saturating_add(T::DbWeight::get().writes(1_u64))
    }
}

// For tests.
impl WeightInfo for () {
    fn open(v: u32, ) -> Weight {
        Weight::from_parts(8_000_000_000, 0)
            .saturating_add(Weight::from_parts(60_000_000, 0).saturating_mul(v.into()))
            .saturating_add(ParityDbWeight::get().reads(12_u64))
            .saturating_add(ParityDbWeight::get().reads((3_u64).saturating_mul(v.into())))
            .saturating_add(ParityDbWeight::get().writes(24_u64))
    }
    fn commit() -> Weight {
        Weight::from_parts(500_000_000, 0)
            .saturating_add(ParityDbWeight::get().reads(3_u64))
            .saturating_add(ParityDbWeight::get().writes(5_u64))
    }
    fn publish() -> Weight {
        Weight::from_parts(500_000_000, 0)
            .saturating_add(ParityDbWeight::get().reads(3_u64))
            .saturating_add(ParityDbWeight::get().writes(5_u64))
    }
    fn reveal() -> Weight {
        Weight::from_parts(600_000_000, 0)
            .saturating_add(ParityDbWeight::get().reads(3_u64))
            .saturating_add(ParityDbWeight::get().writes(3_u64))
    }
    fn challenge() -> Weight {
        Weight::from_parts(1_500_000_000, 0)
            .saturating_add(ParityDbWeight::get().reads(11_u64))
            .saturating_add(ParityDbWeight::get().writes(7_u64))
    }
    fn finish(m: u32, ) -> Weight {
        Weight::from_parts(2_500_000_000, 0)
            .saturating_add(Weight::from_parts(1_500_000_000, 0).saturating_mul(m.into()))
            .saturating_add(ParityDbWeight::get().reads(16_u64))
            .saturating_add(ParityDbWeight::get().reads((5_u64).saturating_mul(m.into())))
            .saturating_add(ParityDbWeight::get().writes(15_u64))
            .saturating_add(ParityDbWeight::get().writes((4_u64).saturating_mul(m.into())))
    }
    fn slash() -> Weight {
        Weight::from_parts(20_000_000_000, 0)
            .saturating_add(ParityDbWeight::get().reads(201_u64))
            .saturating_add(ParityDbWeight::get().writes(200_u64))
    }
    fn begin_round(v: u32, ) -> Weight {
        Weight::from_parts(1_000_000_000, 0)
            .saturating_add(Weight::from_parts(80_000_000, 0).saturating_mul(v.into()))
            .saturating_add(ParityDbWeight::get().reads(6_u64))
            .saturating_add(ParityDbWeight::get().reads((5_u64).saturating_mul(v.into())))
            .saturating_add(ParityDbWeight::get().writes(5_u64))
    }
    fn draw_batch(v: u32, k: u32, ) -> Weight {
        Weight::from_parts(1_200_000_000, 0)
            .saturating_add(Weight::from_parts(50_000_000, 0).saturating_mul(v.into()))
            .saturating_add(Weight::from_parts(200_000_000, 0).saturating_mul(k.into()))
            .saturating_add(ParityDbWeight::get().reads(9_u64))
            .saturating_add(ParityDbWeight::get().reads((3_u64).saturating_mul(v.into())))
            .saturating_add(ParityDbWeight::get().reads((13_u64).saturating_mul(k.into())))
            .saturating_add(ParityDbWeight::get().writes(4_u64))
            .saturating_add(ParityDbWeight::get().writes((4_u64).saturating_mul(k.into())))
    }
    fn begin_challenge(v: u32, ) -> Weight {
        Weight::from_parts(9_000_000_000, 0)
            .saturating_add(Weight::from_parts(60_000_000, 0).saturating_mul(v.into()))
            .saturating_add(ParityDbWeight::get().reads(15_u64))
            .saturating_add(ParityDbWeight::get().reads((3_u64).saturating_mul(v.into())))
            .saturating_add(ParityDbWeight::get().writes(28_u64))
    }
    fn wake() -> Weight {
        Weight::from_parts(1_200_000_000, 0)
            .saturating_add(ParityDbWeight::get().reads(14_u64))
            .saturating_add(ParityDbWeight::get().writes(28_u64))
    }
    fn remove_batch() -> Weight {
        Weight::from_parts(1_000_000_000, 0)
            .saturating_add(ParityDbWeight::get().reads(9_u64))
            .saturating_add(ParityDbWeight::get().writes(7_u64))
    }
    fn remove_leaves(n: u32, ) -> Weight {
        Weight::from_parts(200_000_000, 0)
            .saturating_add(Weight::from_parts(30_000_000, 0).saturating_mul(n.into()))
            .saturating_add(ParityDbWeight::get().reads(2_u64))
            .saturating_add(ParityDbWeight::get().reads((1_u64).saturating_mul(n.into())))
            .saturating_add(ParityDbWeight::get().writes(1_u64))
            .saturating_add(ParityDbWeight::get().writes((1_u64).saturating_mul(n.into())))
    }
    fn remove_audit() -> Weight {
        Weight::from_parts(400_000_000, 0)
            .saturating_add(ParityDbWeight::get().reads(5_u64))
            .saturating_add(ParityDbWeight::get().writes(4_u64))
    }
    fn remove_round(n: u32, ) -> Weight {
        Weight::from_parts(500_000_000, 0)
            .saturating_add(Weight::from_parts(40_000_000, 0).saturating_mul(n.into()))
            .saturating_add(ParityDbWeight::get().reads(9_u64))
            .saturating_add(ParityDbWeight::get().reads((1_u64).saturating_mul(n.into())))
            .saturating_add(ParityDbWeight::get().writes(4_u64))
            .saturating_add(ParityDbWeight::get().writes((1_u64).saturating_mul(n.into())))
    }
    fn idle() -> Weight {
        Weight::from_parts(300_000_000, 0)
            .saturating_add(ParityDbWeight::get().reads(18_u64))
            .saturating_add(ParityDbWeight::get().writes(1_u64))
    }
}
