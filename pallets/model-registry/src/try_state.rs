//! What always holds in this pallet's storage.

use crate::{
    Config, HoldReason, Models, Namespaces, NextVersionId, Offers, OffersOfHost, Pallet, Usage, VersionIds,
    Versions, validate,
};
use alloc::collections::BTreeMap;
use frame_support::{
    ensure,
    traits::{Get, fungible::InspectHold},
};
use sp_runtime::TryRuntimeError;

type Sums<AccountId> = BTreeMap<AccountId, u128>;

impl<T: Config> Pallet<T> {
    /// Checks the counters, the indices and the deposits against what they count, index and back.
    ///
    /// # Errors
    /// With the first thing that does not hold.
    pub fn do_try_state() -> Result<(), TryRuntimeError> {
        Self::check_namespaces()?;
        Self::check_versions()?;
        Self::check_offers()
    }

    fn check_namespaces() -> Result<(), TryRuntimeError> {
        let mut models = BTreeMap::new();
        for name in Models::<T>::iter_keys() {
            let namespace = validate::namespace_of(&name).ok_or("a model's name is not well formed")?;
            ensure!(
                Namespaces::<T>::contains_key(&namespace),
                "a model is in no namespace"
            );
            count(&mut models, namespace);
        }
        let mut held = Sums::new();
        for (namespace, record) in Namespaces::<T>::iter() {
            ensure!(validate::is_name(&namespace), "a namespace is not well formed");
            ensure!(
                models.get(&namespace).copied().unwrap_or_default() == record.models,
                "a namespace does not count its models"
            );
            add(&mut held, record.owner, record.deposit)?;
        }
        Self::check_holds(HoldReason::Namespace, held)
    }

    fn check_versions() -> Result<(), TryRuntimeError> {
        let next = NextVersionId::<T>::get();
        let mut models = BTreeMap::new();
        let mut versions: u32 = 0;
        for (id, stored) in Versions::<T>::iter() {
            ensure!(id < next, "a version's number is not assigned yet");
            ensure!(
                VersionIds::<T>::get(&stored.name, stored.version) == Some(id),
                "a version can not be found by its name"
            );
            ensure!(Usage::<T>::contains_key(id), "a version has no usage record");
            let (n, deposit): &mut (u32, u128) = models.entry(stored.name).or_default();
            *n = n.saturating_add(1);
            *deposit = deposit.checked_add(stored.deposit).ok_or("deposits overflow")?;
            versions = versions.saturating_add(1);
        }
        ensure!(
            len(VersionIds::<T>::iter_keys()) == versions,
            "a name leads to no version"
        );
        ensure!(
            len(Usage::<T>::iter_keys()) == versions,
            "a usage record has no version"
        );

        let mut held = Sums::new();
        for (name, model) in Models::<T>::iter() {
            ensure!(
                models.remove(&name) == Some((model.versions, model.deposit)),
                "a model does not sum up its versions"
            );
            ensure!(
                model.versions <= T::MaxVersionsPerModel::get(),
                "a model has too many versions"
            );
            add(&mut held, model.owner, model.deposit)?;
        }
        ensure!(models.is_empty(), "a version has no model");
        Self::check_holds(HoldReason::Version, held)
    }

    fn check_offers() -> Result<(), TryRuntimeError> {
        let mut by_version = BTreeMap::new();
        let mut held = Sums::new();
        let mut offers: u32 = 0;
        for (id, host, offer) in Offers::<T>::iter() {
            ensure!(
                OffersOfHost::<T>::get(&host).contains(&id),
                "an offer is not in its host's list"
            );
            count(&mut by_version, id);
            add(&mut held, host, offer.deposit)?;
            offers = offers.saturating_add(1);
        }
        for (id, usage) in Usage::<T>::iter() {
            ensure!(
                by_version.remove(&id).unwrap_or_default() == usage.offers,
                "a version does not count its offers"
            );
            ensure!(
                usage.offers <= T::MaxOffersPerVersion::get(),
                "a version has too many offers"
            );
        }
        ensure!(by_version.is_empty(), "an offer is for no version");
        let mut listed: u32 = 0;
        for ids in OffersOfHost::<T>::iter_values() {
            ensure!(!ids.is_empty(), "an empty list of offers is kept");
            listed = listed.saturating_add(len(ids.iter()));
        }
        ensure!(
            listed == offers,
            "a host's list names an offer that does not exist"
        );
        Self::check_holds(HoldReason::Offer, held)
    }

    fn check_holds(reason: HoldReason, sums: Sums<T::AccountId>) -> Result<(), TryRuntimeError> {
        for (who, sum) in sums {
            ensure!(
                T::Currency::balance_on_hold(&reason.into(), &who) == sum,
                "the funds on hold differ from the deposits"
            );
        }
        Ok(())
    }
}

fn add<AccountId: Ord>(
    sums: &mut Sums<AccountId>,
    who: AccountId,
    amount: u128,
) -> Result<(), TryRuntimeError> {
    let sum = sums.entry(who).or_default();
    *sum = sum.checked_add(amount).ok_or("deposits overflow")?;
    Ok(())
}

fn count<K: Ord>(counts: &mut BTreeMap<K, u32>, key: K) {
    let n = counts.entry(key).or_default();
    *n = n.saturating_add(1);
}

fn len(items: impl Iterator) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}
