//! The pallet's invariants.

use crate::{Bonds, Candidates, Config, HoldReason, Operators, Pallet, Verifiers, Workers};
use alloc::collections::BTreeMap;
use frame_support::{
    ensure,
    traits::{
        Get,
        fungible::{Inspect, InspectHold},
    },
};
use sp_runtime::TryRuntimeError;

/// What one account must have on hold.
#[derive(Default)]
struct Holds {
    bond: u128,
    delegation: u128,
    worker: u128,
}

/// What the bonds behind one operator add up to.
#[derive(Default)]
struct Sums {
    own: u128,
    delegated: u128,
    unbonding: u128,
    delegators: u32,
}

impl<T: Config> Pallet<T> {
    /// Checks that the pallet's storage is consistent in itself and with the balances.
    pub fn do_try_state() -> Result<(), TryRuntimeError> {
        let mut holds = BTreeMap::<T::AccountId, Holds>::new();
        let mut sums = BTreeMap::<T::AccountId, Sums>::new();
        Self::check_bonds(&mut holds, &mut sums)?;
        Self::check_operators(&mut sums)?;
        Self::check_workers(&mut holds)?;
        Self::check_holds(&mut holds)
    }

    /// Every bond belongs to an operator and has no empty parts; the pot covers all claims.
    fn check_bonds(
        holds: &mut BTreeMap<T::AccountId, Holds>,
        sums: &mut BTreeMap<T::AccountId, Sums>,
    ) -> Result<(), TryRuntimeError> {
        let mut claims = 0u128;
        for (operator_id, staker, bond) in Bonds::<T>::iter() {
            let operator = Operators::<T>::get(&operator_id).ok_or("bond behind nobody")?;
            ensure!(!bond.is_empty(), "empty bond is stored");
            ensure!(
                bond.unbonding.iter().all(|chunk| chunk.amount > 0),
                "empty piece is unbonding"
            );
            let unbonding = bond.unbonding_total();
            let total = bond.active.saturating_add(unbonding);
            let hold = holds.entry(staker.clone()).or_default();
            let sum = sums.entry(operator_id.clone()).or_default();
            sum.unbonding = sum.unbonding.saturating_add(unbonding);
            if operator_id == staker {
                ensure!(
                    bond.rewards == 0 && bond.reward_index == 0,
                    "own bond has revenue"
                );
                sum.own = bond.active;
                hold.bond = hold.bond.saturating_add(total);
            } else {
                ensure!(
                    bond.reward_index <= operator.reward_index,
                    "bond is ahead of its operator"
                );
                sum.delegated = sum.delegated.saturating_add(bond.active);
                sum.delegators = sum.delegators.saturating_add(1);
                hold.delegation = hold.delegation.saturating_add(total);
                claims = claims.saturating_add(Self::claimable(&operator_id, &staker));
            }
        }
        let pot = T::Currency::balance(&Self::pot_account());
        let needed = T::Currency::minimum_balance().saturating_add(claims);
        ensure!(pot >= needed, "pot does not cover the claims");
        Ok(())
    }

    /// Operators' totals are the sums of their bonds; roles have what they need; counts are right.
    fn check_operators(sums: &mut BTreeMap<T::AccountId, Sums>) -> Result<(), TryRuntimeError> {
        let mut operators = 0u32;
        let mut candidates = 0u32;
        for (who, operator) in Operators::<T>::iter() {
            operators = operators.saturating_add(1);
            let sum = sums.remove(&who).unwrap_or_default();
            ensure!(operator.own == sum.own, "own stake differs from the own bond");
            ensure!(
                operator.delegated == sum.delegated,
                "delegated stake differs from the delegations"
            );
            ensure!(
                operator.unbonding == sum.unbonding,
                "unbonding stake differs from the bonds"
            );
            ensure!(
                operator.delegators == sum.delegators,
                "number of delegators differs"
            );
            ensure!(
                operator.delegators <= T::MaxDelegators::get(),
                "too many delegators"
            );
            ensure!(
                operator.commission <= T::MaxCommission::get(),
                "commission is too high"
            );
            let roles = operator.roles;
            ensure!(
                !roles.any() || operator.own >= T::MinBond::get(),
                "role without the minimum bond"
            );
            let worker = Workers::<T>::contains_key(&who);
            ensure!(!roles.host || worker, "host without a worker record");
            let candidate = Candidates::<T>::contains_key(&who);
            ensure!(
                roles.validator == candidate,
                "validator role and candidates differ"
            );
            ensure!(
                roles.verifier == Verifiers::<T>::contains_key(&who),
                "verifier role and verifiers differ"
            );
            ensure!(!operator.is_vacant() || worker, "vacant operator is stored");
            candidates = candidates.saturating_add(u32::from(candidate));
        }
        ensure!(sums.is_empty(), "bonds of unknown operators");
        ensure!(
            operators == Operators::<T>::count(),
            "count of operators is wrong"
        );
        let stored = u32::try_from(Candidates::<T>::iter_keys().count()).unwrap_or(u32::MAX);
        ensure!(candidates == stored, "candidate is no operator");
        ensure!(
            candidates == Candidates::<T>::count(),
            "count of candidates is wrong"
        );
        ensure!(candidates <= T::MaxCandidates::get(), "too many candidates");
        ensure!(
            Verifiers::<T>::iter_keys().all(Operators::<T>::contains_key),
            "verifier is no operator"
        );
        ensure!(
            Verifiers::<T>::iter_keys().count() as u64 == u64::from(Verifiers::<T>::count()),
            "count of verifiers is wrong"
        );
        ensure!(
            Verifiers::<T>::count() <= T::MaxVerifiers::get(),
            "too many verifiers"
        );
        Ok(())
    }

    /// Every worker record belongs to an operator.
    fn check_workers(holds: &mut BTreeMap<T::AccountId, Holds>) -> Result<(), TryRuntimeError> {
        for (who, worker) in Workers::<T>::iter() {
            ensure!(Operators::<T>::contains_key(&who), "worker record of nobody");
            holds.entry(who).or_default().worker = worker.deposit;
        }
        Ok(())
    }

    /// Every account has on hold what the records say, and nothing else.
    fn check_holds(holds: &mut BTreeMap<T::AccountId, Holds>) -> Result<(), TryRuntimeError> {
        for who in frame_system::Account::<T>::iter_keys() {
            let expected = holds.remove(&who).unwrap_or_default();
            for (reason, amount) in [
                (HoldReason::Bond, expected.bond),
                (HoldReason::Delegation, expected.delegation),
                (HoldReason::WorkerDeposit, expected.worker),
            ] {
                ensure!(
                    T::Currency::balance_on_hold(&reason.into(), &who) == amount,
                    "hold differs from the records"
                );
            }
        }
        // Accounts that are gone have nothing on hold.
        ensure!(
            holds
                .values()
                .all(|hold| hold.bond == 0 && hold.delegation == 0 && hold.worker == 0),
            "records of an account that is gone"
        );
        Ok(())
    }
}
