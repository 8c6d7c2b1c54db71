//! Revenue of delegators.
//!
//! An operator's *reward index* is the revenue of one delegated planck since the operator came into being. A payment
//! raises the index; a delegator's part is its active delegation times the rise since its bond was last settled, so
//! neither needs a loop. The scheme is from Batog, Boca and Johnson, "Scalable Reward Distribution on the Ethereum
//! Blockchain" (2018), and from Ojha and Goes, "F1 Fee Distribution" (Tokenomics 2019, OASIcs vol. 71). Every division
//! rounds down, so claims never exceed what was paid in; what is lost to rounding stays in the pot.

use crate::{Bond, Bonds, Config, Error, Event, Operator, Operators, Pallet, REWARD_SCALE};
use frame_support::{
    ensure,
    storage::with_storage_layer,
    traits::{Get, fungible::Mutate, tokens::Preservation},
};
use frame_system::pallet_prelude::BlockNumberFor;
use llmesh_primitives::traits::RewardSink;
use sp_runtime::{
    ArithmeticError, DispatchResult, Rounding, helpers_128bit::multiply_by_rational_with_rounding,
    traits::AccountIdConversion,
};

impl<T: Config> Pallet<T> {
    /// The account that keeps delegators' revenue until it is claimed.
    pub fn pot_account() -> T::AccountId {
        T::PalletId::get().into_account_truncating()
    }

    pub(crate) fn do_claim_rewards(operator: &T::AccountId, who: &T::AccountId) -> DispatchResult {
        Self::mutate_bond(operator, who, |_, bond| {
            ensure!(!bond.is_empty(), Error::<T>::NotBonded);
            ensure!(bond.rewards > 0, Error::<T>::NothingToClaim);
            Self::try_pay_out(operator, who, bond)
        })
    }

    /// Pays settled revenue if the account can receive it; else it stays claimable.
    pub(crate) fn pay_out(operator: &T::AccountId, who: &T::AccountId, bond: &mut Bond<T>) {
        let result = with_storage_layer(|| Self::try_pay_out(operator, who, bond));
        if let Err(error) = result {
            log::debug!(target: crate::LOG_TARGET, "revenue stays in the pot: {error:?}");
        }
    }

    fn try_pay_out(operator: &T::AccountId, who: &T::AccountId, bond: &mut Bond<T>) -> DispatchResult {
        let amount = bond.rewards;
        T::Currency::transfer(&Self::pot_account(), who, amount, Preservation::Preserve)?;
        bond.rewards = 0;
        Self::deposit_event(Event::RewardClaimed {
            operator: operator.clone(),
            staker: who.clone(),
            amount,
        });
        Ok(())
    }

    /// Adds what a delegation earned since it was last settled to its claimable revenue.
    pub(crate) fn settle(operator: &Operator<BlockNumberFor<T>>, bond: &mut Bond<T>) {
        bond.rewards = Self::earned(operator, bond);
        bond.reward_index = operator.reward_index;
    }

    /// Claimable revenue of a delegation. Never more than was paid in for all delegators, so nothing saturates.
    fn earned(operator: &Operator<BlockNumberFor<T>>, bond: &Bond<T>) -> u128 {
        let rise = operator.reward_index.saturating_sub(bond.reward_index);
        let fresh = multiply_by_rational_with_rounding(bond.active, rise, REWARD_SCALE, Rounding::Down);
        bond.rewards.saturating_add(fresh.unwrap_or_default())
    }

    /// Revenue that `staker` can claim from `operator`.
    pub(crate) fn claimable(operator: &T::AccountId, staker: &T::AccountId) -> u128 {
        match (Operators::<T>::get(operator), Bonds::<T>::get(operator, staker)) {
            (Some(record), Some(bond)) if operator != staker => Self::earned(&record, &bond),
            _ => 0,
        }
    }

    /// The part of `amount` that belongs to the delegators: what the commission leaves, by share of the stake.
    pub(crate) fn delegators_part(operator: &Operator<BlockNumberFor<T>>, amount: u128) -> u128 {
        let commission = operator.commission.mul_ceil(amount);
        let shared = amount.saturating_sub(commission);
        multiply_by_rational_with_rounding(shared, operator.delegated, operator.stake(), Rounding::Down)
            .unwrap_or_default()
    }
}

impl<T: Config> RewardSink<T::AccountId> for Pallet<T> {
    fn on_reward(operator: &T::AccountId, amount: u128) -> DispatchResult {
        let Some(mut record) = Operators::<T>::get(operator) else {
            return Ok(());
        };
        if record.delegated == 0 {
            return Ok(());
        }
        let part = Self::delegators_part(&record, amount);
        let rise = multiply_by_rational_with_rounding(part, REWARD_SCALE, record.delegated, Rounding::Down)
            .ok_or(ArithmeticError::Overflow)?;
        if rise == 0 {
            // Too little to be told apart from nothing; the operator keeps it.
            return Ok(());
        }
        record.reward_index = record
            .reward_index
            .checked_add(rise)
            .ok_or(ArithmeticError::Overflow)?;
        T::Currency::transfer(operator, &Self::pot_account(), part, Preservation::Preserve)?;
        Operators::<T>::insert(operator, record);
        Self::deposit_event(Event::RewardShared {
            operator: operator.clone(),
            amount,
            delegators: part,
        });
        Ok(())
    }
}
