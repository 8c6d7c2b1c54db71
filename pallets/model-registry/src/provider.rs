//! The registry as other pallets see it.

use crate::{Config, Error, Pallet, Usage, VersionUsage};
use alloc::vec::Vec;
use frame_support::traits::Get;
use llmesh_primitives::{ModelVersion, ModelVersionId, OfferTerms, traits::ModelRegistry};
use sp_runtime::DispatchResult;

impl<T: Config> ModelRegistry<T::AccountId> for Pallet<T> {
    fn version(id: ModelVersionId) -> Option<ModelVersion<T::AccountId>> {
        Self::read_version(id)
    }

    fn offers(id: ModelVersionId) -> Vec<(T::AccountId, OfferTerms)> {
        Self::list_offers(id)
    }

    fn max_offers() -> u32 {
        T::MaxOffersPerVersion::get()
    }

    fn acquire(id: ModelVersionId) -> DispatchResult {
        Usage::<T>::try_mutate(id, |usage| {
            let usage = usage.as_mut().ok_or(Error::<T>::UnknownVersion)?;
            usage.jobs = usage.jobs.checked_add(1).ok_or(Error::<T>::TooManyJobs)?;
            Ok(())
        })
    }

    fn release(id: ModelVersionId) {
        Usage::<T>::mutate_extant(id, |usage: &mut VersionUsage| {
            usage.jobs = usage.jobs.saturating_sub(1)
        });
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn bench_publish(owner: &T::AccountId, manifest: llmesh_primitives::ModelManifest) -> ModelVersionId {
        crate::benchmarking::publish::<T>(owner, manifest)
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn bench_offer(id: ModelVersionId, host: &T::AccountId, terms: OfferTerms) {
        crate::benchmarking::offer::<T>(id, host, terms);
    }
}
