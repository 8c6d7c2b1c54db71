//! Weights for `pallet_settlement`
//!
//! Conservative placeholders, not measured; `scripts/benchmark` writes this file anew on reference hardware.

#![cfg_attr(rustfmt, rustfmt_skip)]
#![allow(unused_parens)]
#![allow(unused_imports)]
#![allow(missing_docs)]
#![allow(dead_code)]

use frame_support::{traits::Get, weights::{Weight, constants::ParityDbWeight}};
use core::marker::PhantomData;

/// Weight functions needed for `pallet_settlement`.
pub trait WeightInfo {
	fn hold() -> Weight;
	fn release() -> Weight;
	fn pay() -> Weight;
	fn note_utilisation() -> Weight;
}

/// Weights for `pallet_settlement` with the database weights of the runtime.
pub struct SubstrateWeight<T>(PhantomData<T>);
impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
	/// Storage: `Settlement::Held` (r:1 w:1)
	/// Storage: `Settlement::TotalHeld` (r:1 w:1)
	/// Storage: `System::Account` (r:1 w:1)
	/// Storage: `Balances::Holds` (r:1 w:1)
	fn hold() -> Weight {
		Weight::from_parts(80_000_000, 4_000)
			.saturating_add(T::DbWeight::get().reads(4_u64))
			.saturating_add(T::DbWeight::get().writes(4_u64))
	}
	/// Storage: `Settlement::Held` (r:1 w:1)
	/// Storage: `Settlement::TotalHeld` (r:1 w:1)
	/// Storage: `System::Account` (r:1 w:1)
	/// Storage: `Balances::Holds` (r:1 w:1)
	fn release() -> Weight {
		Weight::from_parts(80_000_000, 4_000)
			.saturating_add(T::DbWeight::get().reads(4_u64))
			.saturating_add(T::DbWeight::get().writes(4_u64))
	}
	/// Storage: `Settlement::Held` (r:1 w:1)
	/// Storage: `Settlement::TotalHeld` (r:1 w:1)
	/// Storage: `System::Account` (r:4 w:4)
	/// Storage: `Balances::Holds` (r:1 w:1)
	/// Storage: `MeshStaking (delegators' share)` (r:4 w:4)
	fn pay() -> Weight {
		Weight::from_parts(250_000_000, 12_000)
			.saturating_add(T::DbWeight::get().reads(11_u64))
			.saturating_add(T::DbWeight::get().writes(11_u64))
	}
	/// Storage: `Settlement::Demand` (r:1 w:1)
	fn note_utilisation() -> Weight {
		Weight::from_parts(30_000_000, 4_000)
			.saturating_add(T::DbWeight::get().reads(1_u64))
			.saturating_add(T::DbWeight::get().writes(1_u64))
	}
}

// For backwards compatibility and tests.
impl WeightInfo for () {
	/// Storage: `Settlement::Held` (r:1 w:1)
	/// Storage: `Settlement::TotalHeld` (r:1 w:1)
	/// Storage: `System::Account` (r:1 w:1)
	/// Storage: `Balances::Holds` (r:1 w:1)
	fn hold() -> Weight {
		Weight::from_parts(80_000_000, 4_000)
			.saturating_add(ParityDbWeight::get().reads(4_u64))
			.saturating_add(ParityDbWeight::get().writes(4_u64))
	}
	/// Storage: `Settlement::Held` (r:1 w:1)
	/// Storage: `Settlement::TotalHeld` (r:1 w:1)
	/// Storage: `System::Account` (r:1 w:1)
	/// Storage: `Balances::Holds` (r:1 w:1)
	fn release() -> Weight {
		Weight::from_parts(80_000_000, 4_000)
			.saturating_add(ParityDbWeight::get().reads(4_u64))
			.saturating_add(ParityDbWeight::get().writes(4_u64))
	}
	/// Storage: `Settlement::Held` (r:1 w:1)
	/// Storage: `Settlement::TotalHeld` (r:1 w:1)
	/// Storage: `System::Account` (r:4 w:4)
	/// Storage: `Balances::Holds` (r:1 w:1)
	/// Storage: `MeshStaking (delegators' share)` (r:4 w:4)
	fn pay() -> Weight {
		Weight::from_parts(250_000_000, 12_000)
			.saturating_add(ParityDbWeight::get().reads(11_u64))
			.saturating_add(ParityDbWeight::get().writes(11_u64))
	}
	/// Storage: `Settlement::Demand` (r:1 w:1)
	fn note_utilisation() -> Weight {
		Weight::from_parts(30_000_000, 4_000)
			.saturating_add(ParityDbWeight::get().reads(1_u64))
			.saturating_add(ParityDbWeight::get().writes(1_u64))
	}
}
