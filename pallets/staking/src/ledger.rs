//! Bonds and their holds.

use crate::{
    Bond, Bonds, Config, Error, Event, HoldReason, Operator, Operators, Pallet, UnlockChunk, Workers,
};
use frame_support::{
    ensure,
    traits::{
        Get,
        fungible::{Inspect, Mutate, MutateHold},
        tokens::{Fortitude, Precision, Preservation},
    },
};
use frame_system::pallet_prelude::BlockNumberFor;
use llmesh_primitives::StakeAccount;
use sp_runtime::{ArithmeticError, DispatchError, DispatchResult, Saturating};

type OperatorOf<T> = Operator<BlockNumberFor<T>>;

impl<T: Config> Pallet<T> {
    pub(crate) fn do_bond(who: &T::AccountId, value: u128) -> DispatchResult {
        ensure!(value > 0, Error::<T>::ZeroAmount);
        ensure!(value >= T::MinBond::get(), Error::<T>::BelowMinBond);
        match Operators::<T>::get(who) {
            Some(operator) => ensure!(operator.own == 0, Error::<T>::AlreadyBonded),
            None => Operators::<T>::insert(who, Operator::default()),
        }
        Self::add_own(who, value)
    }

    pub(crate) fn do_bond_extra(who: &T::AccountId, value: u128) -> DispatchResult {
        ensure!(value > 0, Error::<T>::ZeroAmount);
        let operator = Operators::<T>::get(who).ok_or(Error::<T>::NotOperator)?;
        ensure!(operator.own > 0, Error::<T>::NotOperator);
        ensure!(
            operator.own.saturating_add(value) >= T::MinBond::get(),
            Error::<T>::BelowMinBond
        );
        Self::add_own(who, value)
    }

    fn add_own(who: &T::AccountId, value: u128) -> DispatchResult {
        Self::hold(HoldReason::Bond, who, value)?;
        Self::mutate_bond(who, who, |operator, bond| {
            bond.active = add(bond.active, value)?;
            operator.own = add(operator.own, value)?;
            Ok(())
        })?;
        Self::deposit_event(Event::Bonded {
            operator: who.clone(),
            amount: value,
        });
        Ok(())
    }

    pub(crate) fn do_delegate(operator: &T::AccountId, who: &T::AccountId, value: u128) -> DispatchResult {
        ensure!(value > 0, Error::<T>::ZeroAmount);
        ensure!(operator != who, Error::<T>::DelegationToSelf);
        Self::mutate_bond(operator, who, |operator, bond| {
            ensure!(
                operator.own >= T::MinBond::get(),
                Error::<T>::OperatorBelowMinBond
            );
            bond.active = add(bond.active, value)?;
            ensure!(
                bond.active >= T::MinDelegation::get(),
                Error::<T>::BelowMinDelegation
            );
            operator.delegated = add(operator.delegated, value)?;
            Self::hold(HoldReason::Delegation, who, value)
        })?;
        Self::deposit_event(Event::Delegated {
            operator: operator.clone(),
            delegator: who.clone(),
            amount: value,
        });
        Ok(())
    }

    pub(crate) fn do_unbond(operator_id: &T::AccountId, who: &T::AccountId, value: u128) -> DispatchResult {
        ensure!(value > 0, Error::<T>::ZeroAmount);
        let unlock_at = frame_system::Pallet::<T>::block_number().saturating_add(T::UnbondingPeriod::get());
        Self::mutate_bond(operator_id, who, |operator, bond| {
            ensure!(!bond.is_empty(), Error::<T>::NotBonded);
            let left = bond
                .active
                .checked_sub(value)
                .ok_or(Error::<T>::InsufficientBond)?;
            if operator_id == who {
                if left < T::MinBond::get() {
                    ensure!(!operator.roles.any(), Error::<T>::ChillFirst);
                    ensure!(left == 0, Error::<T>::BelowMinBond);
                }
                operator.own = sub(operator.own, value)?;
            } else {
                ensure!(
                    left == 0 || left >= T::MinDelegation::get(),
                    Error::<T>::BelowMinDelegation
                );
                operator.delegated = sub(operator.delegated, value)?;
            }
            bond.active = left;
            operator.unbonding = add(operator.unbonding, value)?;
            match bond
                .unbonding
                .iter_mut()
                .find(|chunk| chunk.unlock_at == unlock_at)
            {
                Some(chunk) => chunk.amount = add(chunk.amount, value)?,
                None => bond
                    .unbonding
                    .try_push(UnlockChunk {
                        amount: value,
                        unlock_at,
                    })
                    .map_err(|_| Error::<T>::TooManyChunks)?,
            }
            Ok(())
        })?;
        Self::deposit_event(Event::Unbonding {
            operator: operator_id.clone(),
            staker: who.clone(),
            amount: value,
            unlock_at,
        });
        Ok(())
    }

    pub(crate) fn do_rebond(operator_id: &T::AccountId, who: &T::AccountId, value: u128) -> DispatchResult {
        ensure!(value > 0, Error::<T>::ZeroAmount);
        Self::mutate_bond(operator_id, who, |operator, bond| {
            ensure!(!bond.is_empty(), Error::<T>::NotBonded);
            ensure!(value <= bond.unbonding_total(), Error::<T>::InsufficientUnbonding);
            bond.active = add(bond.active, value)?;
            if operator_id == who {
                ensure!(bond.active >= T::MinBond::get(), Error::<T>::BelowMinBond);
                operator.own = add(operator.own, value)?;
            } else {
                ensure!(
                    operator.own >= T::MinBond::get(),
                    Error::<T>::OperatorBelowMinBond
                );
                ensure!(
                    bond.active >= T::MinDelegation::get(),
                    Error::<T>::BelowMinDelegation
                );
                operator.delegated = add(operator.delegated, value)?;
            }
            operator.unbonding = sub(operator.unbonding, value)?;
            let mut rest = value;
            for chunk in bond.unbonding.iter_mut().rev() {
                let part = chunk.amount.min(rest);
                chunk.amount = sub(chunk.amount, part)?;
                rest = sub(rest, part)?;
            }
            bond.unbonding.retain(|chunk| chunk.amount > 0);
            Ok(())
        })?;
        Self::deposit_event(Event::Rebonded {
            operator: operator_id.clone(),
            staker: who.clone(),
            amount: value,
        });
        Ok(())
    }

    pub(crate) fn do_withdraw(operator_id: &T::AccountId, who: &T::AccountId) -> DispatchResult {
        let now = frame_system::Pallet::<T>::block_number();
        Self::mutate_bond(operator_id, who, |operator, bond| {
            ensure!(!bond.is_empty(), Error::<T>::NotBonded);
            let before = bond.unbonding_total();
            bond.unbonding.retain(|chunk| chunk.unlock_at > now);
            let amount = sub(before, bond.unbonding_total())?;
            ensure!(amount > 0, Error::<T>::NothingToWithdraw);
            operator.unbonding = sub(operator.unbonding, amount)?;
            let reason = Self::reason_of(operator_id, who);
            T::Currency::release(&reason.into(), who, amount, Precision::Exact)?;
            Self::deposit_event(Event::Withdrawn {
                operator: operator_id.clone(),
                staker: who.clone(),
                amount,
            });
            if bond.active == 0 && bond.unbonding.is_empty() && bond.rewards > 0 {
                Self::pay_out(operator_id, who, bond);
            }
            Ok(())
        })
    }

    /// Brings the bond's revenue up to date, runs `f` on operator and bond and writes back what is left of them. The
    /// bond is empty when there is none yet.
    ///
    /// Callers run in a storage layer, so an error leaves nothing behind.
    pub(crate) fn mutate_bond(
        operator_id: &T::AccountId,
        staker: &T::AccountId,
        f: impl FnOnce(&mut OperatorOf<T>, &mut Bond<T>) -> DispatchResult,
    ) -> DispatchResult {
        let mut operator = Operators::<T>::get(operator_id).ok_or(Error::<T>::NotOperator)?;
        let stored = Bonds::<T>::get(operator_id, staker);
        let existed = stored.is_some();
        let mut bond = stored.unwrap_or_default();
        if operator_id != staker {
            Self::settle(&operator, &mut bond);
        }
        f(&mut operator, &mut bond)?;
        Self::write_bond(operator_id, &mut operator, staker, bond, existed)?;
        Self::write_operator(operator_id, operator);
        Ok(())
    }

    /// Stores the bond, or removes it when it is empty, and keeps count of the delegators.
    pub(crate) fn write_bond(
        operator_id: &T::AccountId,
        operator: &mut OperatorOf<T>,
        staker: &T::AccountId,
        bond: Bond<T>,
        existed: bool,
    ) -> DispatchResult {
        let delegated = operator_id != staker;
        if bond.is_empty() {
            Bonds::<T>::remove(operator_id, staker);
            if existed && delegated {
                operator.delegators = operator
                    .delegators
                    .checked_sub(1)
                    .ok_or(ArithmeticError::Underflow)?;
            }
        } else {
            if !existed && delegated {
                ensure!(
                    operator.delegators < T::MaxDelegators::get(),
                    Error::<T>::TooManyDelegators
                );
                operator.delegators = operator
                    .delegators
                    .checked_add(1)
                    .ok_or(ArithmeticError::Overflow)?;
            }
            Bonds::<T>::insert(operator_id, staker, bond);
        }
        Ok(())
    }

    /// Stores the operator, or removes it when nothing hangs on it any more.
    pub(crate) fn write_operator(operator_id: &T::AccountId, operator: OperatorOf<T>) {
        if operator.is_vacant() && !Workers::<T>::contains_key(operator_id) {
            Operators::<T>::remove(operator_id);
            Self::deposit_event(Event::OperatorRemoved {
                operator: operator_id.clone(),
            });
        } else {
            Operators::<T>::insert(operator_id, operator);
        }
    }

    /// Puts `amount` of the free balance on hold; the existential deposit stays free.
    pub(crate) fn hold(reason: HoldReason, who: &T::AccountId, amount: u128) -> DispatchResult {
        let available = T::Currency::reducible_balance(who, Preservation::Preserve, Fortitude::Force);
        ensure!(available >= amount, Error::<T>::InsufficientBalance);
        T::Currency::hold(&reason.into(), who, amount)
    }

    /// The reason for which a bond is on hold.
    pub(crate) fn reason_of(operator: &T::AccountId, staker: &T::AccountId) -> HoldReason {
        if operator == staker {
            HoldReason::Bond
        } else {
            HoldReason::Delegation
        }
    }

    /// What clients see of an operator.
    pub(crate) fn stake_account(who: &T::AccountId) -> Option<StakeAccount> {
        let operator = Operators::<T>::get(who)?;
        Some(StakeAccount {
            own: operator.own,
            delegated: operator.delegated,
            unbonding: operator.unbonding,
            commission: operator.commission,
            host: operator.roles.host,
            verifier: operator.roles.verifier,
            validator: operator.roles.validator,
            worker: Workers::<T>::get(who).map(|worker| worker.record),
        })
    }

    /// Creates the pot and the first operators.
    pub(crate) fn build_genesis(operators: &[(T::AccountId, u128, bool)]) -> Result<(), DispatchError> {
        let pot = Self::pot_account();
        let existential_deposit = T::Currency::minimum_balance();
        if T::Currency::balance(&pot) < existential_deposit {
            T::Currency::mint_into(&pot, existential_deposit)?;
        }
        for (who, own, validator) in operators {
            Self::do_bond(who, *own)?;
            if *validator {
                // Keys may come with a later pallet's genesis. An election drops candidates that have none.
                Self::add_candidate(who)?;
            }
        }
        Ok(())
    }
}

pub(crate) fn add(a: u128, b: u128) -> Result<u128, DispatchError> {
    a.checked_add(b).ok_or_else(|| ArithmeticError::Overflow.into())
}

pub(crate) fn sub(a: u128, b: u128) -> Result<u128, DispatchError> {
    a.checked_sub(b).ok_or_else(|| ArithmeticError::Underflow.into())
}
