//! Weights of `pallet_model_registry`, measured by `scripts/benchmark`.
//!
//! Date: 2026-11-23, steps: 10, repeats: 5, worst case of the map's size: 1000000.
//! CPU: AMD EPYC.

#![cfg_attr(rustfmt, rustfmt_skip)]
#![allow(unused_parens, unused_imports, missing_docs)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::{Weight, constants::ParityDbWeight}};

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

/// Weights for `pallet_model_registry` using the runtime's database weights.
pub struct SubstrateWeight<T>(PhantomData<T>);
impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
    /// Storage: `ModelRegistry::Namespaces` (r:1 w:1)
    /// Proof: `ModelRegistry::Namespaces` (`max_values`: None, `max_size`: Some(101), added: 2576, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:1 w:1)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(247), added: 2722, mode: `MaxEncodedLen`)
    fn register_namespace() -> Weight {
        // Minimum execution time: 303_402_000 picoseconds.
        Weight::from_parts(323_131_000, 0)
            .saturating_add(T::DbWeight::get().reads(3_u64))
            .saturating_add(T::DbWeight::get().writes(3_u64))
    }
    /// Storage: `ModelRegistry::Namespaces` (r:1 w:1)
    /// Proof: `ModelRegistry::Namespaces` (`max_values`: None, `max_size`: Some(101), added: 2576, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:2 w:2)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(247), added: 2722, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:2 w:2)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    fn transfer_namespace() -> Weight {
        // Minimum execution time: 361_569_000 picoseconds.
        Weight::from_parts(387_367_000, 0)
            .saturating_add(T::DbWeight::get().reads(5_u64))
            .saturating_add(T::DbWeight::get().writes(5_u64))
    }
    /// Storage: `ModelRegistry::Namespaces` (r:1 w:1)
    /// Proof: `ModelRegistry::Namespaces` (`max_values`: None, `max_size`: Some(101), added: 2576, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:1 w:1)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(247), added: 2722, mode: `MaxEncodedLen`)
    fn remove_namespace() -> Weight {
        // Minimum execution time: 276_602_000 picoseconds.
        Weight::from_parts(299_396_000, 0)
            .saturating_add(T::DbWeight::get().reads(3_u64))
            .saturating_add(T::DbWeight::get().writes(3_u64))
    }
    /// Storage: `ModelRegistry::Models` (r:1 w:1)
    /// Proof: `ModelRegistry::Models` (`max_values`: None, `max_size`: Some(166), added: 2641, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::Namespaces` (r:1 w:1)
    /// Proof: `ModelRegistry::Namespaces` (`max_values`: None, `max_size`: Some(101), added: 2576, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:1 w:1)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(247), added: 2722, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::NextVersionId` (r:1 w:1)
    /// Proof: `ModelRegistry::NextVersionId` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::Usage` (r:0 w:1)
    /// Proof: `ModelRegistry::Usage` (`max_values`: None, `max_size`: Some(20), added: 2495, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::Versions` (r:0 w:1)
    /// Proof: `ModelRegistry::Versions` (`max_values`: None, `max_size`: Some(3793), added: 6268, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::VersionIds` (r:0 w:1)
    /// Proof: `ModelRegistry::VersionIds` (`max_values`: None, `max_size`: Some(140), added: 2615, mode: `MaxEncodedLen`)
    fn publish() -> Weight {
        // Minimum execution time: 446_695_000 picoseconds.
        Weight::from_parts(489_449_000, 0)
            .saturating_add(T::DbWeight::get().reads(5_u64))
            .saturating_add(T::DbWeight::get().writes(8_u64))
    }
    /// Storage: `ModelRegistry::Versions` (r:1 w:1)
    /// Proof: `ModelRegistry::Versions` (`max_values`: None, `max_size`: Some(3793), added: 6268, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::Models` (r:1 w:0)
    /// Proof: `ModelRegistry::Models` (`max_values`: None, `max_size`: Some(166), added: 2641, mode: `MaxEncodedLen`)
    fn deprecate() -> Weight {
        // Minimum execution time: 184_074_000 picoseconds.
        Weight::from_parts(205_747_000, 0)
            .saturating_add(T::DbWeight::get().reads(2_u64))
            .saturating_add(T::DbWeight::get().writes(1_u64))
    }
    /// Storage: `ModelRegistry::Versions` (r:1 w:1)
    /// Proof: `ModelRegistry::Versions` (`max_values`: None, `max_size`: Some(3793), added: 6268, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::Models` (r:1 w:0)
    /// Proof: `ModelRegistry::Models` (`max_values`: None, `max_size`: Some(166), added: 2641, mode: `MaxEncodedLen`)
    fn reactivate() -> Weight {
        // Minimum execution time: 185_998_000 picoseconds.
        Weight::from_parts(205_336_000, 0)
            .saturating_add(T::DbWeight::get().reads(2_u64))
            .saturating_add(T::DbWeight::get().writes(1_u64))
    }
    /// Storage: `ModelRegistry::Versions` (r:1 w:1)
    /// Proof: `ModelRegistry::Versions` (`max_values`: None, `max_size`: Some(3793), added: 6268, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::Models` (r:1 w:0)
    /// Proof: `ModelRegistry::Models` (`max_values`: None, `max_size`: Some(166), added: 2641, mode: `MaxEncodedLen`)
    fn yank() -> Weight {
        // Minimum execution time: 184_224_000 picoseconds.
        Weight::from_parts(216_613_000, 0)
            .saturating_add(T::DbWeight::get().reads(2_u64))
            .saturating_add(T::DbWeight::get().writes(1_u64))
    }
    /// Storage: `ModelRegistry::Versions` (r:1 w:1)
    /// Proof: `ModelRegistry::Versions` (`max_values`: None, `max_size`: Some(3793), added: 6268, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::Models` (r:1 w:1)
    /// Proof: `ModelRegistry::Models` (`max_values`: None, `max_size`: Some(166), added: 2641, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::Usage` (r:1 w:1)
    /// Proof: `ModelRegistry::Usage` (`max_values`: None, `max_size`: Some(20), added: 2495, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:1 w:1)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(247), added: 2722, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::Namespaces` (r:1 w:1)
    /// Proof: `ModelRegistry::Namespaces` (`max_values`: None, `max_size`: Some(101), added: 2576, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::VersionIds` (r:0 w:1)
    /// Proof: `ModelRegistry::VersionIds` (`max_values`: None, `max_size`: Some(140), added: 2615, mode: `MaxEncodedLen`)
    fn remove() -> Weight {
        // Minimum execution time: 444_572_000 picoseconds.
        Weight::from_parts(517_842_000, 0)
            .saturating_add(T::DbWeight::get().reads(6_u64))
            .saturating_add(T::DbWeight::get().writes(7_u64))
    }
    /// Storage: `ModelRegistry::Models` (r:1 w:1)
    /// Proof: `ModelRegistry::Models` (`max_values`: None, `max_size`: Some(166), added: 2641, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:2 w:2)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(247), added: 2722, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:2 w:2)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    fn transfer_model() -> Weight {
        // Minimum execution time: 377_452_000 picoseconds.
        Weight::from_parts(474_387_000, 0)
            .saturating_add(T::DbWeight::get().reads(5_u64))
            .saturating_add(T::DbWeight::get().writes(5_u64))
    }
    /// Storage: `MeshStaking::Operators` (r:1 w:0)
    /// Proof: `MeshStaking::Operators` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::Versions` (r:1 w:0)
    /// Proof: `ModelRegistry::Versions` (`max_values`: None, `max_size`: Some(3793), added: 6268, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::Offers` (r:1 w:1)
    /// Proof: `ModelRegistry::Offers` (`max_values`: None, `max_size`: Some(96), added: 2571, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:1 w:1)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(247), added: 2722, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::Usage` (r:1 w:1)
    /// Proof: `ModelRegistry::Usage` (`max_values`: None, `max_size`: Some(20), added: 2495, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::OffersOfHost` (r:1 w:1)
    /// Proof: `ModelRegistry::OffersOfHost` (`max_values`: None, `max_size`: Some(306), added: 2781, mode: `MaxEncodedLen`)
    fn offer() -> Weight {
        // Minimum execution time: 626_914_000 picoseconds.
        Weight::from_parts(761_865_000, 0)
            .saturating_add(T::DbWeight::get().reads(7_u64))
            .saturating_add(T::DbWeight::get().writes(5_u64))
    }
    /// Storage: `ModelRegistry::Offers` (r:1 w:1)
    /// Proof: `ModelRegistry::Offers` (`max_values`: None, `max_size`: Some(96), added: 2571, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:1 w:1)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(247), added: 2722, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::Usage` (r:1 w:1)
    /// Proof: `ModelRegistry::Usage` (`max_values`: None, `max_size`: Some(20), added: 2495, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::OffersOfHost` (r:1 w:1)
    /// Proof: `ModelRegistry::OffersOfHost` (`max_values`: None, `max_size`: Some(306), added: 2781, mode: `MaxEncodedLen`)
    fn withdraw_offer() -> Weight {
        // Minimum execution time: 443_831_000 picoseconds.
        Weight::from_parts(482_619_000, 0)
            .saturating_add(T::DbWeight::get().reads(5_u64))
            .saturating_add(T::DbWeight::get().writes(5_u64))
    }
    /// Storage: `ModelRegistry::Offers` (r:1 w:1)
    /// Proof: `ModelRegistry::Offers` (`max_values`: None, `max_size`: Some(96), added: 2571, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::Versions` (r:1 w:0)
    /// Proof: `ModelRegistry::Versions` (`max_values`: None, `max_size`: Some(3793), added: 6268, mode: `MaxEncodedLen`)
    /// Storage: `MeshStaking::Operators` (r:1 w:0)
    /// Proof: `MeshStaking::Operators` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:1 w:1)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(247), added: 2722, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::Usage` (r:1 w:1)
    /// Proof: `ModelRegistry::Usage` (`max_values`: None, `max_size`: Some(20), added: 2495, mode: `MaxEncodedLen`)
    /// Storage: `ModelRegistry::OffersOfHost` (r:1 w:1)
    /// Proof: `ModelRegistry::OffersOfHost` (`max_values`: None, `max_size`: Some(306), added: 2781, mode: `MaxEncodedLen`)
    fn prune_offer() -> Weight {
        // Minimum execution time: 603_299_000 picoseconds.
        Weight::from_parts(667_755_000, 0)
            .saturating_add(T::DbWeight::get().reads(7_u64))
            .saturating_add(T::DbWeight::get().writes(5_u64))
    }
}

impl WeightInfo for () {
    fn register_namespace() -> Weight {
        Weight::from_parts(323_131_000, 0)
            .saturating_add(ParityDbWeight::get().reads(3_u64))
            .saturating_add(ParityDbWeight::get().writes(3_u64))
    }
    fn transfer_namespace() -> Weight {
        Weight::from_parts(387_367_000, 0)
            .saturating_add(ParityDbWeight::get().reads(5_u64))
            .saturating_add(ParityDbWeight::get().writes(5_u64))
    }
    fn remove_namespace() -> Weight {
        Weight::from_parts(299_396_000, 0)
            .saturating_add(ParityDbWeight::get().reads(3_u64))
            .saturating_add(ParityDbWeight::get().writes(3_u64))
    }
    fn publish() -> Weight {
        Weight::from_parts(489_449_000, 0)
            .saturating_add(ParityDbWeight::get().reads(5_u64))
            .saturating_add(ParityDbWeight::get().writes(8_u64))
    }
    fn deprecate() -> Weight {
        Weight::from_parts(205_747_000, 0)
            .saturating_add(ParityDbWeight::get().reads(2_u64))
            .saturating_add(ParityDbWeight::get().writes(1_u64))
    }
    fn reactivate() -> Weight {
        Weight::from_parts(205_336_000, 0)
            .saturating_add(ParityDbWeight::get().reads(2_u64))
            .saturating_add(ParityDbWeight::get().writes(1_u64))
    }
    fn yank() -> Weight {
        Weight::from_parts(216_613_000, 0)
            .saturating_add(ParityDbWeight::get().reads(2_u64))
            .saturating_add(ParityDbWeight::get().writes(1_u64))
    }
    fn remove() -> Weight {
        Weight::from_parts(517_842_000, 0)
            .saturating_add(ParityDbWeight::get().reads(6_u64))
            .saturating_add(ParityDbWeight::get().writes(7_u64))
    }
    fn transfer_model() -> Weight {
        Weight::from_parts(474_387_000, 0)
            .saturating_add(ParityDbWeight::get().reads(5_u64))
            .saturating_add(ParityDbWeight::get().writes(5_u64))
    }
    fn offer() -> Weight {
        Weight::from_parts(761_865_000, 0)
            .saturating_add(ParityDbWeight::get().reads(7_u64))
            .saturating_add(ParityDbWeight::get().writes(5_u64))
    }
    fn withdraw_offer() -> Weight {
        Weight::from_parts(482_619_000, 0)
            .saturating_add(ParityDbWeight::get().reads(5_u64))
            .saturating_add(ParityDbWeight::get().writes(5_u64))
    }
    fn prune_offer() -> Weight {
        Weight::from_parts(667_755_000, 0)
            .saturating_add(ParityDbWeight::get().reads(7_u64))
            .saturating_add(ParityDbWeight::get().writes(5_u64))
    }
}
