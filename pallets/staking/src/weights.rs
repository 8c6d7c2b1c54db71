//! Weights for `pallet_mesh_staking`
//!
//! PLACEHOLDER: these numbers were not measured. They are estimates on the high side that stand in until
//! `scripts/benchmark` generates this file from `benchmarking.rs` with the benchmark CLI.

#![cfg_attr(rustfmt, rustfmt_skip)]
#![allow(unused_parens)]
#![allow(unused_imports)]
#![allow(missing_docs)]
#![allow(dead_code)]

use frame_support::{traits::Get, weights::{Weight, constants::RocksDbWeight}};
use core::marker::PhantomData;

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

/// Weights for `pallet_mesh_staking` using the database of the runtime.
pub struct SubstrateWeight<T>(PhantomData<T>);
impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
	fn bond() -> Weight {
		// Minimum execution time: 120_000_000 picoseconds (estimate).
		Weight::from_parts(120_000_000, 4000)
			.saturating_add(T::DbWeight::get().reads(6_u64))
			.saturating_add(T::DbWeight::get().writes(5_u64))
	}
	fn bond_extra() -> Weight {
		// Minimum execution time: 120_000_000 picoseconds (estimate).
		Weight::from_parts(120_000_000, 4000)
			.saturating_add(T::DbWeight::get().reads(4_u64))
			.saturating_add(T::DbWeight::get().writes(4_u64))
	}
	fn delegate() -> Weight {
		// Minimum execution time: 140_000_000 picoseconds (estimate).
		Weight::from_parts(140_000_000, 4000)
			.saturating_add(T::DbWeight::get().reads(5_u64))
			.saturating_add(T::DbWeight::get().writes(5_u64))
	}
	fn unbond() -> Weight {
		// Minimum execution time: 90_000_000 picoseconds (estimate).
		Weight::from_parts(90_000_000, 4000)
			.saturating_add(T::DbWeight::get().reads(3_u64))
			.saturating_add(T::DbWeight::get().writes(3_u64))
	}
	fn rebond() -> Weight {
		// Minimum execution time: 90_000_000 picoseconds (estimate).
		Weight::from_parts(90_000_000, 4000)
			.saturating_add(T::DbWeight::get().reads(3_u64))
			.saturating_add(T::DbWeight::get().writes(3_u64))
	}
	fn withdraw() -> Weight {
		// Minimum execution time: 220_000_000 picoseconds (estimate).
		Weight::from_parts(220_000_000, 6500)
			.saturating_add(T::DbWeight::get().reads(8_u64))
			.saturating_add(T::DbWeight::get().writes(8_u64))
	}
	fn set_commission() -> Weight {
		// Minimum execution time: 40_000_000 picoseconds (estimate).
		Weight::from_parts(40_000_000, 4000)
			.saturating_add(T::DbWeight::get().reads(2_u64))
			.saturating_add(T::DbWeight::get().writes(1_u64))
	}
	fn validate() -> Weight {
		// Minimum execution time: 70_000_000 picoseconds (estimate).
		Weight::from_parts(70_000_000, 4000)
			.saturating_add(T::DbWeight::get().reads(4_u64))
			.saturating_add(T::DbWeight::get().writes(4_u64))
	}
	fn become_verifier() -> Weight {
		// Minimum execution time: 40_000_000 picoseconds (estimate).
		Weight::from_parts(40_000_000, 4000)
			.saturating_add(T::DbWeight::get().reads(2_u64))
			.saturating_add(T::DbWeight::get().writes(1_u64))
	}
	fn register_worker() -> Weight {
		// Minimum execution time: 130_000_000 picoseconds (estimate).
		Weight::from_parts(130_000_000, 5000)
			.saturating_add(T::DbWeight::get().reads(4_u64))
			.saturating_add(T::DbWeight::get().writes(5_u64))
	}
	fn deregister_worker() -> Weight {
		// Minimum execution time: 130_000_000 picoseconds (estimate).
		Weight::from_parts(130_000_000, 5000)
			.saturating_add(T::DbWeight::get().reads(5_u64))
			.saturating_add(T::DbWeight::get().writes(6_u64))
	}
	fn chill() -> Weight {
		// Minimum execution time: 60_000_000 picoseconds (estimate).
		Weight::from_parts(60_000_000, 4000)
			.saturating_add(T::DbWeight::get().reads(3_u64))
			.saturating_add(T::DbWeight::get().writes(4_u64))
	}
	fn claim_rewards() -> Weight {
		// Minimum execution time: 130_000_000 picoseconds (estimate).
		Weight::from_parts(130_000_000, 6500)
			.saturating_add(T::DbWeight::get().reads(6_u64))
			.saturating_add(T::DbWeight::get().writes(6_u64))
	}
	/// The range of component `d` is `[0, 64]`.
	fn slash(d: u32, ) -> Weight {
		// Minimum execution time: 300_000_000 picoseconds (estimate).
		Weight::from_parts(300_000_000, 8000)
			.saturating_add(Weight::from_parts(120_000_000, 0).saturating_mul(d.into()))
			.saturating_add(T::DbWeight::get().reads(10_u64))
			.saturating_add(T::DbWeight::get().reads((3_u64).saturating_mul(d.into())))
			.saturating_add(T::DbWeight::get().writes(10_u64))
			.saturating_add(T::DbWeight::get().writes((3_u64).saturating_mul(d.into())))
			.saturating_add(Weight::from_parts(0, 4000).saturating_mul(d.into()))
	}
	fn on_reward() -> Weight {
		// Minimum execution time: 120_000_000 picoseconds (estimate).
		Weight::from_parts(120_000_000, 6500)
			.saturating_add(T::DbWeight::get().reads(4_u64))
			.saturating_add(T::DbWeight::get().writes(4_u64))
	}
	/// The range of component `c` is `[1, 256]`.
	fn new_session(c: u32, ) -> Weight {
		// Minimum execution time: 60_000_000 picoseconds (estimate).
		Weight::from_parts(60_000_000, 8000)
			.saturating_add(Weight::from_parts(25_000_000, 0).saturating_mul(c.into()))
			.saturating_add(T::DbWeight::get().reads(4_u64))
			.saturating_add(T::DbWeight::get().reads((3_u64).saturating_mul(c.into())))
			.saturating_add(Weight::from_parts(0, 3500).saturating_mul(c.into()))
	}
}

// For backwards compatibility and tests.
impl WeightInfo for () {
	fn bond() -> Weight {
		// Minimum execution time: 120_000_000 picoseconds (estimate).
		Weight::from_parts(120_000_000, 4000)
			.saturating_add(RocksDbWeight::get().reads(6_u64))
			.saturating_add(RocksDbWeight::get().writes(5_u64))
	}
	fn bond_extra() -> Weight {
		// Minimum execution time: 120_000_000 picoseconds (estimate).
		Weight::from_parts(120_000_000, 4000)
			.saturating_add(RocksDbWeight::get().reads(4_u64))
			.saturating_add(RocksDbWeight::get().writes(4_u64))
	}
	fn delegate() -> Weight {
		// Minimum execution time: 140_000_000 picoseconds (estimate).
		Weight::from_parts(140_000_000, 4000)
			.saturating_add(RocksDbWeight::get().reads(5_u64))
			.saturating_add(RocksDbWeight::get().writes(5_u64))
	}
	fn unbond() -> Weight {
		// Minimum execution time: 90_000_000 picoseconds (estimate).
		Weight::from_parts(90_000_000, 4000)
			.saturating_add(RocksDbWeight::get().reads(3_u64))
			.saturating_add(RocksDbWeight::get().writes(3_u64))
	}
	fn rebond() -> Weight {
		// Minimum execution time: 90_000_000 picoseconds (estimate).
		Weight::from_parts(90_000_000, 4000)
			.saturating_add(RocksDbWeight::get().reads(3_u64))
			.saturating_add(RocksDbWeight::get().writes(3_u64))
	}
	fn withdraw() -> Weight {
		// Minimum execution time: 220_000_000 picoseconds (estimate).
		Weight::from_parts(220_000_000, 6500)
			.saturating_add(RocksDbWeight::get().reads(8_u64))
			.saturating_add(RocksDbWeight::get().writes(8_u64))
	}
	fn set_commission() -> Weight {
		// Minimum execution time: 40_000_000 picoseconds (estimate).
		Weight::from_parts(40_000_000, 4000)
			.saturating_add(RocksDbWeight::get().reads(2_u64))
			.saturating_add(RocksDbWeight::get().writes(1_u64))
	}
	fn validate() -> Weight {
		// Minimum execution time: 70_000_000 picoseconds (estimate).
		Weight::from_parts(70_000_000, 4000)
			.saturating_add(RocksDbWeight::get().reads(4_u64))
			.saturating_add(RocksDbWeight::get().writes(4_u64))
	}
	fn become_verifier() -> Weight {
		// Minimum execution time: 40_000_000 picoseconds (estimate).
		Weight::from_parts(40_000_000, 4000)
			.saturating_add(RocksDbWeight::get().reads(2_u64))
			.saturating_add(RocksDbWeight::get().writes(1_u64))
	}
	fn register_worker() -> Weight {
		// Minimum execution time: 130_000_000 picoseconds (estimate).
		Weight::from_parts(130_000_000, 5000)
			.saturating_add(RocksDbWeight::get().reads(4_u64))
			.saturating_add(RocksDbWeight::get().writes(5_u64))
	}
	fn deregister_worker() -> Weight {
		// Minimum execution time: 130_000_000 picoseconds (estimate).
		Weight::from_parts(130_000_000, 5000)
			.saturating_add(RocksDbWeight::get().reads(5_u64))
			.saturating_add(RocksDbWeight::get().writes(6_u64))
	}
	fn chill() -> Weight {
		// Minimum execution time: 60_000_000 picoseconds (estimate).
		Weight::from_parts(60_000_000, 4000)
			.saturating_add(RocksDbWeight::get().reads(3_u64))
			.saturating_add(RocksDbWeight::get().writes(4_u64))
	}
	fn claim_rewards() -> Weight {
		// Minimum execution time: 130_000_000 picoseconds (estimate).
		Weight::from_parts(130_000_000, 6500)
			.saturating_add(RocksDbWeight::get().reads(6_u64))
			.saturating_add(RocksDbWeight::get().writes(6_u64))
	}
	/// The range of component `d` is `[0, 64]`.
	fn slash(d: u32, ) -> Weight {
		// Minimum execution time: 300_000_000 picoseconds (estimate).
		Weight::from_parts(300_000_000, 8000)
			.saturating_add(Weight::from_parts(120_000_000, 0).saturating_mul(d.into()))
			.saturating_add(RocksDbWeight::get().reads(10_u64))
			.saturating_add(RocksDbWeight::get().reads((3_u64).saturating_mul(d.into())))
			.saturating_add(RocksDbWeight::get().writes(10_u64))
			.saturating_add(RocksDbWeight::get().writes((3_u64).saturating_mul(d.into())))
			.saturating_add(Weight::from_parts(0, 4000).saturating_mul(d.into()))
	}
	fn on_reward() -> Weight {
		// Minimum execution time: 120_000_000 picoseconds (estimate).
		Weight::from_parts(120_000_000, 6500)
			.saturating_add(RocksDbWeight::get().reads(4_u64))
			.saturating_add(RocksDbWeight::get().writes(4_u64))
	}
	/// The range of component `c` is `[1, 256]`.
	fn new_session(c: u32, ) -> Weight {
		// Minimum execution time: 60_000_000 picoseconds (estimate).
		Weight::from_parts(60_000_000, 8000)
			.saturating_add(Weight::from_parts(25_000_000, 0).saturating_mul(c.into()))
			.saturating_add(RocksDbWeight::get().reads(4_u64))
			.saturating_add(RocksDbWeight::get().reads((3_u64).saturating_mul(c.into())))
			.saturating_add(Weight::from_parts(0, 3500).saturating_mul(c.into()))
	}
}
