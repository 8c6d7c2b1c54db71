//! Weights for `pallet_model_registry`
//!
//! Conservative placeholders, not measured; `scripts/benchmark` writes this file anew on reference hardware.

#![cfg_attr(rustfmt, rustfmt_skip)]
#![allow(unused_parens)]
#![allow(unused_imports)]
#![allow(missing_docs)]
#![allow(dead_code)]

use frame_support::{traits::Get, weights::{Weight, constants::ParityDbWeight}};
use core::marker::PhantomData;

/// Weight functions needed for `pallet_model_registry`.
pub trait WeightInfo {
	fn register_namespace() -> Weight;
	fn transfer_namespace() -> Weight;
	fn remove_namespace() -> Weight;
	fn publish() -> Weight;
	fn deprecate() -> Weight;
	fn reactivate() -> Weight;
	fn yank() -> Weight;
	fn remove() -> Weight;
	fn transfer_model() -> Weight;
	fn offer() -> Weight;
	fn withdraw_offer() -> Weight;
	fn prune_offer() -> Weight;
}

/// Weights for `pallet_model_registry` with the database weights of the runtime.
pub struct SubstrateWeight<T>(PhantomData<T>);
impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
	/// Storage: `ModelRegistry::Namespaces` (r:1 w:1)
	/// Storage: `System::Account` (r:1 w:1)
	/// Storage: `Balances::Holds` (r:1 w:1)
	fn register_namespace() -> Weight {
		Weight::from_parts(60_000_000, 4_000)
			.saturating_add(T::DbWeight::get().reads(3_u64))
			.saturating_add(T::DbWeight::get().writes(3_u64))
	}
	/// Storage: `ModelRegistry::Namespaces` (r:1 w:1)
	/// Storage: `System::Account` (r:2 w:2)
	/// Storage: `Balances::Holds` (r:2 w:2)
	fn transfer_namespace() -> Weight {
		Weight::from_parts(90_000_000, 8_000)
			.saturating_add(T::DbWeight::get().reads(5_u64))
			.saturating_add(T::DbWeight::get().writes(5_u64))
	}
	/// Storage: `ModelRegistry::Namespaces` (r:1 w:1)
	/// Storage: `System::Account` (r:1 w:1)
	/// Storage: `Balances::Holds` (r:1 w:1)
	fn remove_namespace() -> Weight {
		Weight::from_parts(60_000_000, 4_000)
			.saturating_add(T::DbWeight::get().reads(3_u64))
			.saturating_add(T::DbWeight::get().writes(3_u64))
	}
	/// Storage: `ModelRegistry::Namespaces` (r:1 w:1)
	/// Storage: `ModelRegistry::Models` (r:1 w:1)
	/// Storage: `ModelRegistry::VersionIds` (r:1 w:1)
	/// Storage: `ModelRegistry::NextVersionId` (r:1 w:1)
	/// Storage: `ModelRegistry::Usage` (r:0 w:1)
	/// Storage: `ModelRegistry::Versions` (r:0 w:1)
	/// Storage: `System::Account` (r:1 w:1)
	/// Storage: `Balances::Holds` (r:1 w:1)
	fn publish() -> Weight {
		Weight::from_parts(150_000_000, 8_000)
			.saturating_add(T::DbWeight::get().reads(6_u64))
			.saturating_add(T::DbWeight::get().writes(8_u64))
	}
	/// Storage: `ModelRegistry::Versions` (r:1 w:1)
	/// Storage: `ModelRegistry::Models` (r:1 w:0)
	fn deprecate() -> Weight {
		Weight::from_parts(60_000_000, 8_000)
			.saturating_add(T::DbWeight::get().reads(2_u64))
			.saturating_add(T::DbWeight::get().writes(1_u64))
	}
	/// Storage: `ModelRegistry::Versions` (r:1 w:1)
	/// Storage: `ModelRegistry::Models` (r:1 w:0)
	fn reactivate() -> Weight {
		Weight::from_parts(60_000_000, 8_000)
			.saturating_add(T::DbWeight::get().reads(2_u64))
			.saturating_add(T::DbWeight::get().writes(1_u64))
	}
	/// Storage: `ModelRegistry::Versions` (r:1 w:1)
	/// Storage: `ModelRegistry::Models` (r:1 w:0)
	fn yank() -> Weight {
		Weight::from_parts(60_000_000, 8_000)
			.saturating_add(T::DbWeight::get().reads(2_u64))
			.saturating_add(T::DbWeight::get().writes(1_u64))
	}
	/// Storage: `ModelRegistry::Versions` (r:1 w:1)
	/// Storage: `ModelRegistry::Models` (r:1 w:1)
	/// Storage: `ModelRegistry::Usage` (r:1 w:1)
	/// Storage: `ModelRegistry::VersionIds` (r:0 w:1)
	/// Storage: `ModelRegistry::Namespaces` (r:1 w:1)
	/// Storage: `System::Account` (r:1 w:1)
	/// Storage: `Balances::Holds` (r:1 w:1)
	fn remove() -> Weight {
		Weight::from_parts(120_000_000, 8_000)
			.saturating_add(T::DbWeight::get().reads(6_u64))
			.saturating_add(T::DbWeight::get().writes(7_u64))
	}
	/// Storage: `ModelRegistry::Models` (r:1 w:1)
	/// Storage: `System::Account` (r:2 w:2)
	/// Storage: `Balances::Holds` (r:2 w:2)
	fn transfer_model() -> Weight {
		Weight::from_parts(90_000_000, 8_000)
			.saturating_add(T::DbWeight::get().reads(5_u64))
			.saturating_add(T::DbWeight::get().writes(5_u64))
	}
	/// Storage: `MeshStaking (host standing)` (r:3 w:0)
	/// Storage: `ModelRegistry::Versions` (r:1 w:0)
	/// Storage: `ModelRegistry::Offers` (r:1 w:1)
	/// Storage: `ModelRegistry::Usage` (r:1 w:1)
	/// Storage: `ModelRegistry::OffersOfHost` (r:1 w:1)
	/// Storage: `System::Account` (r:1 w:1)
	/// Storage: `Balances::Holds` (r:1 w:1)
	fn offer() -> Weight {
		Weight::from_parts(120_000_000, 12_000)
			.saturating_add(T::DbWeight::get().reads(9_u64))
			.saturating_add(T::DbWeight::get().writes(5_u64))
	}
	/// Storage: `ModelRegistry::Offers` (r:1 w:1)
	/// Storage: `ModelRegistry::Usage` (r:1 w:1)
	/// Storage: `ModelRegistry::OffersOfHost` (r:1 w:1)
	/// Storage: `System::Account` (r:1 w:1)
	/// Storage: `Balances::Holds` (r:1 w:1)
	fn withdraw_offer() -> Weight {
		Weight::from_parts(90_000_000, 8_000)
			.saturating_add(T::DbWeight::get().reads(5_u64))
			.saturating_add(T::DbWeight::get().writes(5_u64))
	}
	/// Storage: `MeshStaking (host standing)` (r:3 w:0)
	/// Storage: `ModelRegistry::Versions` (r:1 w:0)
	/// Storage: `ModelRegistry::Offers` (r:1 w:1)
	/// Storage: `ModelRegistry::Usage` (r:1 w:1)
	/// Storage: `ModelRegistry::OffersOfHost` (r:1 w:1)
	/// Storage: `System::Account` (r:1 w:1)
	/// Storage: `Balances::Holds` (r:1 w:1)
	fn prune_offer() -> Weight {
		Weight::from_parts(120_000_000, 12_000)
			.saturating_add(T::DbWeight::get().reads(9_u64))
			.saturating_add(T::DbWeight::get().writes(5_u64))
	}
}

// For backwards compatibility and tests.
impl WeightInfo for () {
	/// Storage: `ModelRegistry::Namespaces` (r:1 w:1)
	/// Storage: `System::Account` (r:1 w:1)
	/// Storage: `Balances::Holds` (r:1 w:1)
	fn register_namespace() -> Weight {
		Weight::from_parts(60_000_000, 4_000)
			.saturating_add(ParityDbWeight::get().reads(3_u64))
			.saturating_add(ParityDbWeight::get().writes(3_u64))
	}
	/// Storage: `ModelRegistry::Namespaces` (r:1 w:1)
	/// Storage: `System::Account` (r:2 w:2)
	/// Storage: `Balances::Holds` (r:2 w:2)
	fn transfer_namespace() -> Weight {
		Weight::from_parts(90_000_000, 8_000)
			.saturating_add(ParityDbWeight::get().reads(5_u64))
			.saturating_add(ParityDbWeight::get().writes(5_u64))
	}
	/// Storage: `ModelRegistry::Namespaces` (r:1 w:1)
	/// Storage: `System::Account` (r:1 w:1)
	/// Storage: `Balances::Holds` (r:1 w:1)
	fn remove_namespace() -> Weight {
		Weight::from_parts(60_000_000, 4_000)
			.saturating_add(ParityDbWeight::get().reads(3_u64))
			.saturating_add(ParityDbWeight::get().writes(3_u64))
	}
	/// Storage: `ModelRegistry::Namespaces` (r:1 w:1)
	/// Storage: `ModelRegistry::Models` (r:1 w:1)
	/// Storage: `ModelRegistry::VersionIds` (r:1 w:1)
	/// Storage: `ModelRegistry::NextVersionId` (r:1 w:1)
	/// Storage: `ModelRegistry::Usage` (r:0 w:1)
	/// Storage: `ModelRegistry::Versions` (r:0 w:1)
	/// Storage: `System::Account` (r:1 w:1)
	/// Storage: `Balances::Holds` (r:1 w:1)
	fn publish() -> Weight {
		Weight::from_parts(150_000_000, 8_000)
			.saturating_add(ParityDbWeight::get().reads(6_u64))
			.saturating_add(ParityDbWeight::get().writes(8_u64))
	}
	/// Storage: `ModelRegistry::Versions` (r:1 w:1)
	/// Storage: `ModelRegistry::Models` (r:1 w:0)
	fn deprecate() -> Weight {
		Weight::from_parts(60_000_000, 8_000)
			.saturating_add(ParityDbWeight::get().reads(2_u64))
			.saturating_add(ParityDbWeight::get().writes(1_u64))
	}
	/// Storage: `ModelRegistry::Versions` (r:1 w:1)
	/// Storage: `ModelRegistry::Models` (r:1 w:0)
	fn reactivate() -> Weight {
		Weight::from_parts(60_000_000, 8_000)
			.saturating_add(ParityDbWeight::get().reads(2_u64))
			.saturating_add(ParityDbWeight::get().writes(1_u64))
	}
	/// Storage: `ModelRegistry::Versions` (r:1 w:1)
	/// Storage: `ModelRegistry::Models` (r:1 w:0)
	fn yank() -> Weight {
		Weight::from_parts(60_000_000, 8_000)
			.saturating_add(ParityDbWeight::get().reads(2_u64))
			.saturating_add(ParityDbWeight::get().writes(1_u64))
	}
	/// Storage: `ModelRegistry::Versions` (r:1 w:1)
	/// Storage: `ModelRegistry::Models` (r:1 w:1)
	/// Storage: `ModelRegistry::Usage` (r:1 w:1)
	/// Storage: `ModelRegistry::VersionIds` (r:0 w:1)
	/// Storage: `ModelRegistry::Namespaces` (r:1 w:1)
	/// Storage: `System::Account` (r:1 w:1)
	/// Storage: `Balances::Holds` (r:1 w:1)
	fn remove() -> Weight {
		Weight::from_parts(120_000_000, 8_000)
			.saturating_add(ParityDbWeight::get().reads(6_u64))
			.saturating_add(ParityDbWeight::get().writes(7_u64))
	}
	/// Storage: `ModelRegistry::Models` (r:1 w:1)
	/// Storage: `System::Account` (r:2 w:2)
	/// Storage: `Balances::Holds` (r:2 w:2)
	fn transfer_model() -> Weight {
		Weight::from_parts(90_000_000, 8_000)
			.saturating_add(ParityDbWeight::get().reads(5_u64))
			.saturating_add(ParityDbWeight::get().writes(5_u64))
	}
	/// Storage: `MeshStaking (host standing)` (r:3 w:0)
	/// Storage: `ModelRegistry::Versions` (r:1 w:0)
	/// Storage: `ModelRegistry::Offers` (r:1 w:1)
	/// Storage: `ModelRegistry::Usage` (r:1 w:1)
	/// Storage: `ModelRegistry::OffersOfHost` (r:1 w:1)
	/// Storage: `System::Account` (r:1 w:1)
	/// Storage: `Balances::Holds` (r:1 w:1)
	fn offer() -> Weight {
		Weight::from_parts(120_000_000, 12_000)
			.saturating_add(ParityDbWeight::get().reads(9_u64))
			.saturating_add(ParityDbWeight::get().writes(5_u64))
	}
	/// Storage: `ModelRegistry::Offers` (r:1 w:1)
	/// Storage: `ModelRegistry::Usage` (r:1 w:1)
	/// Storage: `ModelRegistry::OffersOfHost` (r:1 w:1)
	/// Storage: `System::Account` (r:1 w:1)
	/// Storage: `Balances::Holds` (r:1 w:1)
	fn withdraw_offer() -> Weight {
		Weight::from_parts(90_000_000, 8_000)
			.saturating_add(ParityDbWeight::get().reads(5_u64))
			.saturating_add(ParityDbWeight::get().writes(5_u64))
	}
	/// Storage: `MeshStaking (host standing)` (r:3 w:0)
	/// Storage: `ModelRegistry::Versions` (r:1 w:0)
	/// Storage: `ModelRegistry::Offers` (r:1 w:1)
	/// Storage: `ModelRegistry::Usage` (r:1 w:1)
	/// Storage: `ModelRegistry::OffersOfHost` (r:1 w:1)
	/// Storage: `System::Account` (r:1 w:1)
	/// Storage: `Balances::Holds` (r:1 w:1)
	fn prune_offer() -> Weight {
		Weight::from_parts(120_000_000, 12_000)
			.saturating_add(ParityDbWeight::get().reads(9_u64))
			.saturating_add(ParityDbWeight::get().writes(5_u64))
	}
}
