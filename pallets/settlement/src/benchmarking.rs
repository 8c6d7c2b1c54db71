//! Benchmarks of what other pallets make this one do.

#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]

use super::*;
use frame_benchmarking::v2::*;
use frame_support::traits::{
    Get,
    fungible::{Inspect, Mutate},
};
use llmesh_primitives::traits::Escrow;
use sp_runtime::Permill;

/// An account with something set aside, so that the calls change entries in place.
fn client<T: Config>() -> T::AccountId {
    let who: T::AccountId = account("client", 0, 0);
    let amount = amount::<T>();
    T::Currency::set_balance(&who, amount * 10 + T::Currency::minimum_balance());
    Pallet::<T>::hold(&who, amount * 2).unwrap();
    who
}

fn amount<T: Config>() -> u128 {
    T::MinFee::get() * 1_000
}

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn hold() {
        let who = client::<T>();

        #[block]
        {
            Pallet::<T>::hold(&who, amount::<T>()).unwrap();
        }

        assert_eq!(Held::<T>::get(&who), amount::<T>() * 3);
    }

    #[benchmark]
    fn release() {
        let who = client::<T>();

        #[block]
        {
            Pallet::<T>::release(&who, amount::<T>()).unwrap();
        }

        assert_eq!(Held::<T>::get(&who), amount::<T>());
    }

    #[benchmark]
    fn pay() {
        let who = client::<T>();
        let host: T::AccountId = account("host", 0, 0);
        for receiver in [&host, &Pallet::<T>::pool_account(), &T::Treasury::get()] {
            T::Currency::mint_into(receiver, T::Currency::minimum_balance()).unwrap();
        }

        #[block]
        {
            Pallet::<T>::pay(&who, &host, amount::<T>()).unwrap();
        }

        assert_eq!(Held::<T>::get(&who), amount::<T>());
    }

    #[benchmark]
    fn note_utilisation() {
        Pallet::<T>::note_utilisation(0, Permill::one());
        let before = Demand::<T>::get(0);

        #[block]
        {
            Pallet::<T>::note_utilisation(0, Permill::one());
        }

        assert!(Demand::<T>::get(0) > before);
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::new_test_ext(), crate::mock::Test);
}
