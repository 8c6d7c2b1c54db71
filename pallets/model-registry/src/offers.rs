//! Offers of hosts.

use crate::{
    Config, Error, Event, HoldReason, Offer, Offers, OffersOfHost, Pallet, Usage, VersionUsage, Versions,
};
use alloc::vec::Vec;
use frame_support::{
    ensure,
    traits::{Get, fungible::MutateHold},
};
use llmesh_primitives::{ModelVersionId, OfferTerms, VersionStatus, traits::StakeProvider};
use sp_runtime::{ArithmeticError, DispatchResult};

impl<T: Config> Pallet<T> {
    pub(crate) fn do_offer(who: T::AccountId, id: ModelVersionId, terms: OfferTerms) -> DispatchResult {
        ensure!(T::Stake::is_host(&who), Error::<T>::NotHost);
        let version = Versions::<T>::get(id).ok_or(Error::<T>::UnknownVersion)?;
        ensure!(version.status != VersionStatus::Yanked, Error::<T>::VersionYanked);
        ensure!(
            terms.price >= version.manifest.base_price,
            Error::<T>::PriceBelowBase
        );
        ensure!(
            terms.capacity >= 1 && terms.capacity <= T::MaxCapacity::get(),
            Error::<T>::InvalidCapacity
        );

        match Offers::<T>::get(id, &who) {
            Some(offer) => Offers::<T>::insert(id, &who, Offer { terms, ..offer }),
            None => {
                ensure!(version.status == VersionStatus::Active, Error::<T>::NotActive);
                let deposit = T::OfferDeposit::get();
                T::Currency::hold(&HoldReason::Offer.into(), &who, deposit)?;
                Self::insert_offer(id, &who, Offer { terms, deposit })?;
            }
        }
        Self::deposit_event(Event::OfferPlaced { id, host: who, terms });
        Ok(())
    }

    /// Stores a new offer.
    pub(crate) fn insert_offer(id: ModelVersionId, host: &T::AccountId, offer: Offer) -> DispatchResult {
        Usage::<T>::try_mutate(id, |usage| -> DispatchResult {
            let usage = usage.as_mut().ok_or(Error::<T>::UnknownVersion)?;
            ensure!(
                usage.offers < T::MaxOffersPerVersion::get(),
                Error::<T>::TooManyOffersForVersion
            );
            usage.offers = usage.offers.checked_add(1).ok_or(ArithmeticError::Overflow)?;
            Ok(())
        })?;
        OffersOfHost::<T>::try_mutate(host, |ids| {
            ids.try_push(id).map_err(|_| Error::<T>::TooManyOffersOfHost)
        })?;
        Offers::<T>::insert(id, host, offer);
        Ok(())
    }

    pub(crate) fn do_withdraw_offer(who: T::AccountId, id: ModelVersionId) -> DispatchResult {
        Self::remove_offer(id, &who)?;
        Self::deposit_event(Event::OfferWithdrawn { id, host: who });
        Ok(())
    }

    pub(crate) fn do_prune_offer(by: T::AccountId, id: ModelVersionId, host: T::AccountId) -> DispatchResult {
        ensure!(Offers::<T>::contains_key(id, &host), Error::<T>::UnknownOffer);
        let yanked = Versions::<T>::get(id).is_none_or(|v| v.status == VersionStatus::Yanked);
        // Read in any case, so that the weight is the same in every case.
        let in_good_standing = T::Stake::is_host(&host);
        ensure!(yanked || !in_good_standing, Error::<T>::OfferCounts);
        Self::remove_offer(id, &host)?;
        Self::deposit_event(Event::OfferPruned { id, host, by });
        Ok(())
    }

    /// Removes an offer and frees its deposit.
    fn remove_offer(id: ModelVersionId, host: &T::AccountId) -> DispatchResult {
        let offer = Offers::<T>::take(id, host).ok_or(Error::<T>::UnknownOffer)?;
        Self::free_deposit(HoldReason::Offer, host, offer.deposit)?;
        Usage::<T>::mutate_extant(id, |usage: &mut VersionUsage| {
            usage.offers = usage.offers.saturating_sub(1);
        });
        OffersOfHost::<T>::mutate_exists(host, |entry| {
            if let Some(ids) = entry.as_mut() {
                ids.retain(|other| *other != id);
                if ids.is_empty() {
                    *entry = None;
                }
            }
        });
        Ok(())
    }

    pub(crate) fn list_offers(id: ModelVersionId) -> Vec<(T::AccountId, OfferTerms)> {
        Offers::<T>::iter_prefix(id)
            .map(|(host, offer)| (host, offer.terms))
            .collect()
    }

    pub(crate) fn list_offers_of(host: T::AccountId) -> Vec<(ModelVersionId, OfferTerms)> {
        OffersOfHost::<T>::get(&host)
            .into_iter()
            .filter_map(|id| Some((id, Offers::<T>::get(id, &host)?.terms)))
            .collect()
    }
}
