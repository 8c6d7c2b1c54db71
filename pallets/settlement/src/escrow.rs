//! Setting aside, giving back and paying out.

use crate::{Config, Error, Event, Held, HoldReason, Pallet, TotalHeld};
use frame_support::{
    ensure,
    storage::with_storage_layer,
    traits::{
        Get,
        fungible::{Inspect, MutateHold},
        tokens::{Fortitude, Precision, Preservation, Restriction},
    },
};
use llmesh_primitives::{
    ModelVersionId, Priority,
    traits::{Escrow, RewardSink, Split},
};
use sp_runtime::{ArithmeticError, DispatchError, DispatchResult};

impl<T: Config> Escrow<T::AccountId> for Pallet<T> {
    fn fee(model: ModelVersionId, price: u128, complexity: u64, priority: Priority) -> Option<u128> {
        Self::fee_for(model, price, complexity, priority)
    }

    fn hold(who: &T::AccountId, amount: u128) -> DispatchResult {
        with_storage_layer(|| {
            Self::hold_spendable(HoldReason::JobEscrow, who, amount)?;
            let held = Held::<T>::get(who)
                .checked_add(amount)
                .ok_or(ArithmeticError::Overflow)?;
            let total = TotalHeld::<T>::get()
                .checked_add(amount)
                .ok_or(ArithmeticError::Overflow)?;
            Self::set_held(who, held, total);
            Ok(())
        })
    }

    fn release(who: &T::AccountId, amount: u128) -> DispatchResult {
        with_storage_layer(|| {
            Self::take_from_held(who, amount)?;
            T::Currency::release(&HoldReason::JobEscrow.into(), who, amount, Precision::Exact)?;
            Ok(())
        })
    }

    fn pay(who: &T::AccountId, host: &T::AccountId, fee: u128) -> Result<Split, DispatchError> {
        with_storage_layer(|| {
            Self::take_from_held(who, fee)?;
            let split = Self::split(fee)?;
            Self::pay_part(HoldReason::JobEscrow, who, host, split.host)?;
            Self::pay_part(HoldReason::JobEscrow, who, &Self::pool_account(), split.pool)?;
            Self::pay_part(HoldReason::JobEscrow, who, &T::Treasury::get(), split.treasury)?;
            T::Rewards::on_reward(host, split.host)?;
            Self::note_cut(host, split.pool);
            Self::deposit_event(Event::FeePaid {
                payer: who.clone(),
                host: host.clone(),
                fee,
                host_paid: split.host,
                pool_paid: split.pool,
                treasury_paid: split.treasury,
            });
            Ok(split)
        })
    }

    fn held(who: &T::AccountId) -> u128 {
        Held::<T>::get(who)
    }
}

impl<T: Config> Pallet<T> {
    fn take_from_held(who: &T::AccountId, amount: u128) -> DispatchResult {
        let held = Held::<T>::get(who)
            .checked_sub(amount)
            .ok_or(Error::<T>::InsufficientEscrow)?;
        let total = TotalHeld::<T>::get()
            .checked_sub(amount)
            .ok_or(ArithmeticError::Underflow)?;
        Self::set_held(who, held, total);
        Ok(())
    }

    fn set_held(who: &T::AccountId, held: u128, total: u128) {
        if held == 0 {
            Held::<T>::remove(who);
        } else {
            Held::<T>::insert(who, held);
        }
        TotalHeld::<T>::put(total);
    }

    /// Puts `amount` of what the account could spend on hold.
    pub(crate) fn hold_spendable(reason: HoldReason, who: &T::AccountId, amount: u128) -> DispatchResult {
        // A hold alone could rest on funds that are locked, and those could not be paid out later without
        // breaking the lock.
        let spendable = T::Currency::reducible_balance(who, Preservation::Protect, Fortitude::Polite);
        ensure!(amount <= spendable, Error::<T>::InsufficientFunds);
        T::Currency::hold(&reason.into(), who, amount)
    }

    /// Moves `amount` from what `from` has on hold into the free balance of `to`.
    pub(crate) fn pay_part(
        reason: HoldReason,
        from: &T::AccountId,
        to: &T::AccountId,
        amount: u128,
    ) -> DispatchResult {
        // Force: what is set aside was spendable when it was, and a lock placed since then must not keep the
        // host from being paid.
        T::Currency::transfer_on_hold(
            &reason.into(),
            from,
            to,
            amount,
            Precision::Exact,
            Restriction::Free,
            Fortitude::Force,
        )
        .map(|_| ())
    }
}
