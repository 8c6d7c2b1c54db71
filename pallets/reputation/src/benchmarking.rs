//! Benchmark of what other pallets make this one do.

use super::*;
use frame_benchmarking::v2::*;

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn record() {
        let who: T::AccountId = account("operator", 0, 0);
        Scores::<T>::insert(&who, Evidence::default().after(Conduct::Timeout));

        #[block]
        {
            <Pallet<T> as ReputationSink<T::AccountId>>::record(&who, Conduct::Match);
        }

        assert_eq!(
            Scores::<T>::get(&who),
            Evidence::default().after(Conduct::Timeout).after(Conduct::Match)
        );
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::new_test_ext(), crate::mock::Test);
}
