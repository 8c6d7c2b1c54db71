//! Slashing, and what other pallets learn about stake.

use crate::{
    Bonds, Config, Event, Operators, Pallet, SlashedAmounts, Verifiers, Workers,
    ledger::{add, sub},
};
use alloc::vec::Vec;
use frame_support::{
    ensure,
    storage::with_storage_layer,
    traits::{
        Get, Imbalance,
        fungible::{Balanced, BalancedHold, Credit},
    },
};
use llmesh_primitives::traits::{StakeProvider, VerifierInfo, VerifierSet};
use sp_runtime::{DispatchError, Perbill};

impl<T: Config> StakeProvider<T::AccountId> for Pallet<T> {
    fn stake_of(operator: &T::AccountId) -> u128 {
        Operators::<T>::get(operator).map_or(0, |record| record.stake())
    }

    fn is_host(operator: &T::AccountId) -> bool {
        // The role is on only while there is a worker record.
        Operators::<T>::get(operator)
            .is_some_and(|record| record.roles.host && record.own >= T::MinBond::get())
    }

    fn is_verifier(operator: &T::AccountId) -> bool {
        Operators::<T>::get(operator)
            .is_some_and(|record| record.roles.verifier && record.own >= T::MinBond::get())
    }

    fn slash(operator: &T::AccountId, fraction: Perbill, reporter: Option<&T::AccountId>) -> u128 {
        Self::do_slash(operator, fraction, reporter)
    }
}

impl<T: Config> VerifierSet<T::AccountId> for Pallet<T> {
    fn max_verifiers() -> u32 {
        T::MaxVerifiers::get()
    }

    fn verifiers() -> Vec<VerifierInfo<T::AccountId>> {
        Verifiers::<T>::iter_keys()
            .filter_map(|account| {
                let operator = Operators::<T>::get(&account).filter(|o| o.own >= T::MinBond::get())?;
                let classes = Workers::<T>::get(&account)?.record.capability;
                Some(VerifierInfo {
                    stake: operator.stake(),
                    account,
                    classes,
                })
            })
            .collect()
    }

    fn has_interest(verifier: &T::AccountId, host: &T::AccountId) -> bool {
        verifier == host || Bonds::<T>::contains_key(host, verifier)
    }
}

impl<T: Config> Pallet<T> {
    /// Takes `fraction`, rounded down, of each amount that is active or unbonding behind the operator. Returns the sum.
    pub(crate) fn do_slash(
        operator: &T::AccountId,
        fraction: Perbill,
        reporter: Option<&T::AccountId>,
    ) -> u128 {
        with_storage_layer(|| Self::try_slash(operator, fraction, reporter)).unwrap_or_else(|error| {
            // Only a hold that is smaller than the records leads here, which `try_state` rules out.
            log::error!(target: crate::LOG_TARGET, "{operator:?} could not be slashed: {error:?}");
            0
        })
    }

    fn try_slash(
        operator_id: &T::AccountId,
        fraction: Perbill,
        reporter: Option<&T::AccountId>,
    ) -> Result<u128, DispatchError> {
        let Some(mut operator) = Operators::<T>::get(operator_id) else {
            return Ok(0);
        };
        let mut amounts = SlashedAmounts::default();
        let mut credit = Credit::<T::AccountId, T::Currency>::zero();

        // One own bond and at most `MaxDelegators` others.
        let bonds: Vec<_> = Bonds::<T>::iter_prefix(operator_id).collect();
        for (staker, mut bond) in bonds {
            let own = staker == *operator_id;
            let active = fraction.mul_floor(bond.active);
            if !own {
                Self::settle(&operator, &mut bond);
            }
            bond.active = sub(bond.active, active)?;
            let mut unbonding = 0;
            for chunk in bond.unbonding.iter_mut() {
                let part = fraction.mul_floor(chunk.amount);
                chunk.amount = sub(chunk.amount, part)?;
                unbonding = add(unbonding, part)?;
            }
            bond.unbonding.retain(|chunk| chunk.amount > 0);

            let amount = add(active, unbonding)?;
            if amount > 0 {
                let reason = Self::reason_of(operator_id, &staker).into();
                let (taken, missing) = <T::Currency as BalancedHold<_>>::slash(&reason, &staker, amount);
                credit.subsume(taken);
                ensure!(missing == 0, DispatchError::Corruption);
            }

            if own {
                amounts.own = active;
                operator.own = sub(operator.own, active)?;
            } else {
                amounts.delegated = add(amounts.delegated, active)?;
                operator.delegated = sub(operator.delegated, active)?;
            }
            amounts.unbonding = add(amounts.unbonding, unbonding)?;
            operator.unbonding = sub(operator.unbonding, unbonding)?;
            Self::write_bond(operator_id, &mut operator, &staker, bond, true)?;
        }

        let total = amounts.total();
        if total == 0 {
            return Ok(0);
        }
        let (reporter, reporter_share) = Self::distribute(operator_id, credit, reporter);
        Self::deposit_event(Event::Slashed {
            operator: operator_id.clone(),
            fraction,
            amounts,
            reporter,
            reporter_share,
        });
        if operator.roles.any() && operator.own < T::MinBond::get() {
            Self::chill_operator(operator_id, &mut operator);
        }
        Self::write_operator(operator_id, operator);
        Ok(total)
    }

    /// Pays the reporter's share and the rest of a slash. Returns what the reporter got.
    fn distribute(
        operator: &T::AccountId,
        credit: Credit<T::AccountId, T::Currency>,
        reporter: Option<&T::AccountId>,
    ) -> (Option<T::AccountId>, u128) {
        let mut rest = credit;
        let mut paid = (None, 0);
        if let Some(reporter) = reporter.filter(|reporter| *reporter != operator) {
            let share = T::ReporterShare::get().mul_floor(rest.peek());
            match T::Currency::resolve(reporter, rest.extract(share)) {
                Ok(()) => paid = (Some(reporter.clone()), share),
                // An account below the existential deposit gets nothing.
                Err(unpaid) => rest.subsume(unpaid),
            }
        }
        if let Err(unpaid) = T::Currency::resolve(&T::SlashDestination::get(), rest) {
            log::warn!(target: crate::LOG_TARGET, "{:?} planck of a slash are burned", unpaid.peek());
        }
        paid
    }
}
