//! The verifier pool, and what a conviction does to a host's revenue.

use crate::{Config, Event, ForfeitedBelow, NextChannelId, Pallet, PoolCut};
use frame_support::traits::{
    fungible::{Inspect, Mutate},
    tokens::{Fortitude, Preservation},
};
use llmesh_primitives::{
    ChannelId,
    traits::{Conduct, VerdictHandler, VerifierPool},
};
use sp_core::H256;

impl<T: Config> VerifierPool<T::AccountId> for Pallet<T> {
    fn available() -> u128 {
        T::Currency::reducible_balance(&Self::pool_account(), Preservation::Preserve, Fortitude::Polite)
    }

    fn pay(who: &T::AccountId, amount: u128) -> u128 {
        let amount = amount.min(Self::available());
        if amount == 0 {
            return 0;
        }
        T::Currency::transfer(&Self::pool_account(), who, amount, Preservation::Preserve).unwrap_or(0)
    }

    fn take_cut(host: &T::AccountId) -> u128 {
        PoolCut::<T>::take(host)
    }
}

impl<T: Config> VerdictHandler<T::AccountId> for Pallet<T> {
    fn on_verdict(host: &T::AccountId, _: H256, conduct: Conduct) {
        if matches!(conduct, Conduct::Mismatch | Conduct::Unavailable) {
            let below = NextChannelId::<T>::get();
            ForfeitedBelow::<T>::insert(host, below);
            Self::deposit_event(Event::RevenueForfeited {
                host: host.clone(),
                below,
            });
        }
    }
}

impl<T: Config> Pallet<T> {
    /// Whether a conviction after the channel was opened keeps the host from claiming out of it.
    pub(crate) fn is_forfeited(host: &T::AccountId, channel: ChannelId) -> bool {
        channel < ForfeitedBelow::<T>::get(host)
    }

    /// Counts what the pool got of a fee of the host.
    pub(crate) fn note_cut(host: &T::AccountId, cut: u128) {
        if cut > 0 {
            PoolCut::<T>::mutate(host, |sum| *sum = sum.saturating_add(cut));
        }
    }
}
