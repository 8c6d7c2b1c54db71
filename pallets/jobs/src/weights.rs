//! Weights of `pallet_jobs`. Conservative figures until `scripts/benchmark` has written measured ones over them.

#![cfg_attr(rustfmt, rustfmt_skip)]
#![allow(unused_parens, unused_imports, missing_docs)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::{Weight, constants::ParityDbWeight}};

/// Weight functions needed for `pallet_jobs`.
pub trait WeightInfo {
    fn submit(b: u32) -> Weight;
    fn cancel() -> Weight;
    fn submit_result(b: u32) -> Weight;
    fn decline() -> Weight;
    fn resume() -> Weight;
    fn remove() -> Weight;
    fn wake_draw(o: u32, h: u32) -> Weight;
    fn wake_finish(h: u32) -> Weight;
    fn wake_remove() -> Weight;
    fn agenda_block() -> Weight;
}

/// Weights for `pallet_jobs` using the runtime's database weights.
pub struct SubstrateWeight<T>(PhantomData<T>);
impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
    fn submit(b: u32) -> Weight {
        Weight::from_parts(30_000_000, 0)
            .saturating_add(Weight::from_parts(2_000, 0).saturating_mul(b.into()))
            .saturating_add(T::DbWeight::get().reads(9_u64))
            .saturating_add(T::DbWeight::get().writes(11_u64))
    }
    fn cancel() -> Weight {
        Weight::from_parts(60_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(7_u64))
            .saturating_add(T::DbWeight::get().writes(9_u64))
    }
    fn submit_result(b: u32) -> Weight {
        Weight::from_parts(90_000_000, 0)
            .saturating_add(Weight::from_parts(2_000, 0).saturating_mul(b.into()))
            .saturating_add(T::DbWeight::get().reads(16_u64))
            .saturating_add(T::DbWeight::get().writes(14_u64))
    }
    fn decline() -> Weight {
        Weight::from_parts(40_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(6_u64))
            .saturating_add(T::DbWeight::get().writes(7_u64))
    }
    fn resume() -> Weight {
        Weight::from_parts(15_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(1_u64))
            .saturating_add(T::DbWeight::get().writes(1_u64))
    }
    fn remove() -> Weight {
        Weight::from_parts(40_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(5_u64))
            .saturating_add(T::DbWeight::get().writes(7_u64))
    }
    fn wake_draw(o: u32, h: u32) -> Weight {
        Weight::from_parts(60_000_000, 0)
            .saturating_add(Weight::from_parts(12_000_000, 0).saturating_mul(o.into()))
            .saturating_add(T::DbWeight::get().reads(5_u64.saturating_mul(o.into())))
            .saturating_add(Weight::from_parts(60_000_000, 0).saturating_mul(h.into()))
            .saturating_add(T::DbWeight::get().reads(8_u64.saturating_mul(h.into())))
            .saturating_add(T::DbWeight::get().writes(8_u64.saturating_mul(h.into())))
            .saturating_add(T::DbWeight::get().reads(8_u64))
            .saturating_add(T::DbWeight::get().writes(10_u64))
    }
    fn wake_finish(h: u32) -> Weight {
        Weight::from_parts(60_000_000, 0)
            .saturating_add(Weight::from_parts(60_000_000, 0).saturating_mul(h.into()))
            .saturating_add(T::DbWeight::get().reads(8_u64.saturating_mul(h.into())))
            .saturating_add(T::DbWeight::get().writes(8_u64.saturating_mul(h.into())))
            .saturating_add(T::DbWeight::get().reads(8_u64))
            .saturating_add(T::DbWeight::get().writes(8_u64))
    }
    fn wake_remove() -> Weight {
        Weight::from_parts(40_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(5_u64))
            .saturating_add(T::DbWeight::get().writes(7_u64))
    }
    fn agenda_block() -> Weight {
        Weight::from_parts(4_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(1_u64))
    }
}

impl WeightInfo for () {
    fn submit(b: u32) -> Weight {
        Weight::from_parts(30_000_000, 0)
            .saturating_add(Weight::from_parts(2_000, 0).saturating_mul(b.into()))
            .saturating_add(ParityDbWeight::get().reads(9_u64))
            .saturating_add(ParityDbWeight::get().writes(11_u64))
    }
    fn cancel() -> Weight {
        Weight::from_parts(60_000_000, 0)
            .saturating_add(ParityDbWeight::get().reads(7_u64))
            .saturating_add(ParityDbWeight::get().writes(9_u64))
    }
    fn submit_result(b: u32) -> Weight {
        Weight::from_parts(90_000_000, 0)
            .saturating_add(Weight::from_parts(2_000, 0).saturating_mul(b.into()))
            .saturating_add(ParityDbWeight::get().reads(16_u64))
            .saturating_add(ParityDbWeight::get().writes(14_u64))
    }
    fn decline() -> Weight {
        Weight::from_parts(40_000_000, 0)
            .saturating_add(ParityDbWeight::get().reads(6_u64))
            .saturating_add(ParityDbWeight::get().writes(7_u64))
    }
    fn resume() -> Weight {
        Weight::from_parts(15_000_000, 0)
            .saturating_add(ParityDbWeight::get().reads(1_u64))
            .saturating_add(ParityDbWeight::get().writes(1_u64))
    }
    fn remove() -> Weight {
        Weight::from_parts(40_000_000, 0)
            .saturating_add(ParityDbWeight::get().reads(5_u64))
            .saturating_add(ParityDbWeight::get().writes(7_u64))
    }
    fn wake_draw(o: u32, h: u32) -> Weight {
        Weight::from_parts(60_000_000, 0)
            .saturating_add(Weight::from_parts(12_000_000, 0).saturating_mul(o.into()))
            .saturating_add(ParityDbWeight::get().reads(5_u64.saturating_mul(o.into())))
            .saturating_add(Weight::from_parts(60_000_000, 0).saturating_mul(h.into()))
            .saturating_add(ParityDbWeight::get().reads(8_u64.saturating_mul(h.into())))
            .saturating_add(ParityDbWeight::get().writes(8_u64.saturating_mul(h.into())))
            .saturating_add(ParityDbWeight::get().reads(8_u64))
            .saturating_add(ParityDbWeight::get().writes(10_u64))
    }
    fn wake_finish(h: u32) -> Weight {
        Weight::from_parts(60_000_000, 0)
            .saturating_add(Weight::from_parts(60_000_000, 0).saturating_mul(h.into()))
            .saturating_add(ParityDbWeight::get().reads(8_u64.saturating_mul(h.into())))
            .saturating_add(ParityDbWeight::get().writes(8_u64.saturating_mul(h.into())))
            .saturating_add(ParityDbWeight::get().reads(8_u64))
            .saturating_add(ParityDbWeight::get().writes(8_u64))
    }
    fn wake_remove() -> Weight {
        Weight::from_parts(40_000_000, 0)
            .saturating_add(ParityDbWeight::get().reads(5_u64))
            .saturating_add(ParityDbWeight::get().writes(7_u64))
    }
    fn agenda_block() -> Weight {
        Weight::from_parts(4_000_000, 0)
            .saturating_add(ParityDbWeight::get().reads(1_u64))
    }
}
