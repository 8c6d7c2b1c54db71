//! Commission, roles and worker records.

use crate::{
    Candidates, Config, Error, Event, HoldReason, Operator, Operators, Pallet, Role, Roles, Verifiers,
    Worker, Workers,
};
use codec::Encode;
use frame_support::{
    ensure,
    traits::{Get, ValidatorRegistration, fungible::MutateHold, tokens::Precision},
};
use frame_system::pallet_prelude::BlockNumberFor;
use llmesh_primitives::WorkerRecord;
use sp_runtime::{DispatchError, DispatchResult, Perbill, Saturating};

impl<T: Config> Pallet<T> {
    pub(crate) fn do_set_commission(who: &T::AccountId, commission: Perbill) -> DispatchResult {
        let mut operator = Operators::<T>::get(who).ok_or(Error::<T>::NotOperator)?;
        ensure!(
            commission <= T::MaxCommission::get(),
            Error::<T>::CommissionTooHigh
        );
        if commission > operator.commission && operator.delegators > 0 {
            let now = frame_system::Pallet::<T>::block_number();
            let raise = commission.saturating_sub(operator.commission);
            ensure!(raise <= T::MaxCommissionRaise::get(), Error::<T>::RaiseTooLarge);
            if let Some(last) = operator.last_raise {
                let next = last.saturating_add(T::UnbondingPeriod::get());
                ensure!(now >= next, Error::<T>::RaiseTooSoon);
            }
            operator.last_raise = Some(now);
        }
        operator.commission = commission;
        Operators::<T>::insert(who, operator);
        Self::deposit_event(Event::CommissionSet {
            operator: who.clone(),
            commission,
        });
        Ok(())
    }

    pub(crate) fn do_validate(who: &T::AccountId) -> DispatchResult {
        let operator = Self::bonded_operator(who)?;
        ensure!(!operator.roles.validator, Error::<T>::RoleAlreadyOn);
        ensure!(T::SessionKeys::is_registered(who), Error::<T>::NoSessionKeys);
        Self::add_candidate(who)
    }

    /// Switches the validator role on without asking for session keys.
    pub(crate) fn add_candidate(who: &T::AccountId) -> DispatchResult {
        let mut operator = Self::bonded_operator(who)?;
        ensure!(
            Candidates::<T>::count() < T::MaxCandidates::get(),
            Error::<T>::TooManyCandidates
        );
        operator.roles.validator = true;
        Operators::<T>::insert(who, operator);
        Candidates::<T>::insert(who, ());
        Self::deposit_event(Event::RoleOn {
            operator: who.clone(),
            role: Role::Validator,
        });
        Ok(())
    }

    /// Switches the validator role off, whoever wants that.
    pub(crate) fn remove_candidate(who: &T::AccountId) {
        if Candidates::<T>::take(who).is_some() {
            if let Some(mut operator) = Operators::<T>::get(who) {
                operator.roles.validator = false;
                Operators::<T>::insert(who, operator);
            }
            Self::deposit_event(Event::CandidateRemoved {
                operator: who.clone(),
            });
        }
    }

    pub(crate) fn do_verify(who: &T::AccountId) -> DispatchResult {
        let mut operator = Self::bonded_operator(who)?;
        ensure!(!operator.roles.verifier, Error::<T>::RoleAlreadyOn);
        ensure!(
            Verifiers::<T>::count() < T::MaxVerifiers::get(),
            Error::<T>::TooManyVerifiers
        );
        operator.roles.verifier = true;
        Operators::<T>::insert(who, operator);
        Verifiers::<T>::insert(who, ());
        Self::deposit_event(Event::RoleOn {
            operator: who.clone(),
            role: Role::Verifier,
        });
        Ok(())
    }

    pub(crate) fn do_register_worker(who: &T::AccountId, record: WorkerRecord) -> DispatchResult {
        let mut operator = Self::bonded_operator(who)?;
        Self::check_record(&record)?;
        let deposit = Self::deposit_for(&record);
        let held = Workers::<T>::get(who).map_or(0, |worker| worker.deposit);
        if deposit > held {
            Self::hold(HoldReason::WorkerDeposit, who, deposit.saturating_sub(held))?;
        } else if deposit < held {
            Self::release_deposit(who, held.saturating_sub(deposit))?;
        }
        Workers::<T>::insert(who, Worker { record, deposit });
        Self::deposit_event(Event::WorkerRegistered {
            operator: who.clone(),
            deposit,
        });
        if !operator.roles.host {
            operator.roles.host = true;
            Operators::<T>::insert(who, operator);
            Self::deposit_event(Event::RoleOn {
                operator: who.clone(),
                role: Role::Host,
            });
        }
        Ok(())
    }

    pub(crate) fn do_deregister_worker(who: &T::AccountId) -> DispatchResult {
        let worker = Workers::<T>::take(who).ok_or(Error::<T>::NoWorker)?;
        let mut operator = Operators::<T>::get(who).ok_or(Error::<T>::NotOperator)?;
        Self::release_deposit(who, worker.deposit)?;
        operator.roles.host = false;
        Self::deposit_event(Event::WorkerDeregistered {
            operator: who.clone(),
            deposit: worker.deposit,
        });
        Self::write_operator(who, operator);
        Ok(())
    }

    pub(crate) fn do_chill(who: &T::AccountId) -> DispatchResult {
        let mut operator = Operators::<T>::get(who).ok_or(Error::<T>::NotOperator)?;
        ensure!(operator.roles.any(), Error::<T>::NoRole);
        Self::chill_operator(who, &mut operator);
        Operators::<T>::insert(who, operator);
        Ok(())
    }

    /// Switches all roles off; the caller stores the operator.
    pub(crate) fn chill_operator(who: &T::AccountId, operator: &mut Operator<BlockNumberFor<T>>) {
        operator.roles = Roles::default();
        Candidates::<T>::remove(who);
        Verifiers::<T>::remove(who);
        Self::deposit_event(Event::Chilled {
            operator: who.clone(),
        });
    }

    /// The operator, if its own bond allows roles.
    fn bonded_operator(who: &T::AccountId) -> Result<Operator<BlockNumberFor<T>>, DispatchError> {
        let operator = Operators::<T>::get(who).ok_or(Error::<T>::NotOperator)?;
        ensure!(operator.own >= T::MinBond::get(), Error::<T>::BelowMinBond);
        Ok(operator)
    }

    fn check_record(record: &WorkerRecord) -> DispatchResult {
        ensure!(
            record.region.iter().all(u8::is_ascii_graphic),
            Error::<T>::InvalidRegion
        );
        for endpoint in &record.endpoints {
            let text = core::str::from_utf8(endpoint).map_err(|_| Error::<T>::InvalidEndpoint)?;
            ensure!(
                !text.is_empty() && !text.contains(char::is_control),
                Error::<T>::InvalidEndpoint
            );
        }
        Ok(())
    }

    /// What is held for the storage of a worker record.
    pub(crate) fn deposit_for(record: &WorkerRecord) -> u128 {
        let bytes = T::WorkerDepositPerByte::get().saturating_mul(record.encoded_size() as u128);
        T::WorkerDepositBase::get().saturating_add(bytes)
    }

    fn release_deposit(who: &T::AccountId, amount: u128) -> DispatchResult {
        T::Currency::release(&HoldReason::WorkerDeposit.into(), who, amount, Precision::Exact)?;
        Ok(())
    }
}
