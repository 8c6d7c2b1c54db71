//! What hosts claim, and how it is paid.

use crate::{Channels, Config, Error, Event, HoldReason, Pallet, WeightInfo, channels::ChannelOf};
use alloc::vec::Vec;
use frame_support::{
    ensure,
    storage::with_storage_layer,
    traits::{
        Get,
        fungible::Inspect,
        tokens::{DepositConsequence, Provenance},
    },
    weights::Weight,
};
use llmesh_primitives::{
    Claim, Work,
    traits::{RewardSink, Split, WorkSink},
};
use sp_core::H256;
use sp_runtime::{ArithmeticError, DispatchError, DispatchResult, traits::Zero};

impl<T: Config> Pallet<T> {
    pub(crate) fn do_claim(host: &T::AccountId, claim: Claim) -> DispatchResult {
        let channel = Self::check_claim(host, &claim, Self::genesis())?;
        Self::book_claim(channel, &claim)
    }

    /// Pays what can be paid, and says of the rest why not. Returns the weight that it took.
    pub(crate) fn do_claim_batch(host: &T::AccountId, claims: Vec<Claim>) -> Weight {
        let genesis = Self::genesis();
        let (mut booked, mut refused) = (0u32, 0u32);
        for claim in claims {
            let done = match Self::check_claim(host, &claim, genesis) {
                Ok(channel) => {
                    booked = booked.saturating_add(1);
                    with_storage_layer(|| Self::book_claim(channel, &claim))
                }
                Err(error) => {
                    refused = refused.saturating_add(1);
                    Err(error)
                }
            };
            if let Err(error) = done {
                Self::deposit_event(Event::ClaimSkipped {
                    channel: claim.channel,
                    lane: claim.lane,
                    error,
                });
            }
        }
        match refused {
            0 => T::WeightInfo::claim_batch(booked),
            _ => T::WeightInfo::claim_batch(booked).saturating_add(T::WeightInfo::refuse_claims(refused)),
        }
    }

    /// Hash of block 0, which binds vouchers to this chain.
    pub(crate) fn genesis() -> H256 {
        frame_system::Pallet::<T>::block_hash(frame_system::pallet_prelude::BlockNumberFor::<T>::zero())
    }

    /// The channel, if the claim holds; the signature, which is dearest, is checked last.
    fn check_claim(host: &T::AccountId, claim: &Claim, genesis: H256) -> Result<ChannelOf<T>, DispatchError> {
        let channel = Channels::<T>::get(claim.channel).ok_or(Error::<T>::UnknownChannel)?;
        let lane = channel
            .lanes
            .get(usize::from(claim.lane))
            .ok_or(Error::<T>::UnknownLane)?;
        ensure!(lane.host == *host, Error::<T>::NotLaneHost);
        ensure!(!lane.released, Error::<T>::LaneReleased);
        ensure!(!Self::is_forfeited(host, claim.channel), Error::<T>::Forfeited);
        ensure!(!Self::is_over(&channel), Error::<T>::ChannelOver);
        ensure!(claim.epoch == channel.epoch, Error::<T>::WrongEpoch);
        // Vouchers are counted from 1.
        ensure!(claim.nonce >= lane.nonce.max(1), Error::<T>::StaleVoucher);
        let consistent = if claim.nonce == lane.nonce {
            claim.cumulative == lane.claimed
        } else {
            claim.cumulative >= lane.claimed
        };
        ensure!(consistent, Error::<T>::ConflictingSum);
        ensure!(claim.covered == lane.covered, Error::<T>::WrongCovered);
        // Value without leaves could be drawn from and not be shown; leaves without value are never drawn.
        let work = &claim.work;
        ensure!(
            *work == Work::default() || (work.leaves > 0 && work.value > 0),
            Error::<T>::EmptyWork
        );
        ensure!(
            claim
                .voucher(genesis)
                .is_signed_by(&claim.signature, &channel.signer),
            Error::<T>::BadSignature
        );
        Ok(channel)
    }

    /// Records a claim that was checked and pays what the lane has for it.
    fn book_claim(mut channel: ChannelOf<T>, claim: &Claim) -> DispatchResult {
        let lane = channel
            .lanes
            .get_mut(usize::from(claim.lane))
            .ok_or(Error::<T>::UnknownLane)?;
        let covered_value = lane
            .covered_value
            .checked_add(claim.work.value)
            .ok_or(ArithmeticError::Overflow)?;
        let paid = claim
            .cumulative
            .min(lane.funded)
            .min(covered_value)
            .checked_sub(lane.paid)
            .ok_or(ArithmeticError::Underflow)?;
        // Receipts are audited once, when they are committed to: verifiers are not asked for what nobody pays.
        ensure!(
            paid > 0 || claim.work == Work::default(),
            Error::<T>::NothingToPay
        );
        let receipts = receipts_behind(claim.work.leaves, claim.nonce.saturating_sub(lane.nonce));
        lane.nonce = claim.nonce;
        lane.claimed = claim.cumulative;
        lane.covered = lane
            .covered
            .checked_add(claim.work.leaves.into())
            .ok_or(ArithmeticError::Overflow)?;
        lane.covered_value = covered_value;
        lane.paid = lane.paid.checked_add(paid).ok_or(ArithmeticError::Overflow)?;
        let owed = lane
            .claimed
            .checked_sub(lane.paid)
            .ok_or(ArithmeticError::Underflow)?;
        let host = lane.host.clone();
        let split = Self::pay_claim(&channel.payer, &host, paid)?;
        if claim.work.leaves > 0 {
            T::Work::on_claimed(
                &host,
                claim.channel,
                claim.epoch,
                claim.lane,
                &channel.signer,
                claim.covered,
                &claim.work,
                receipts,
                paid,
            );
        }
        Channels::<T>::insert(claim.channel, channel);
        Self::deposit_event(Event::Claimed {
            channel: claim.channel,
            lane: claim.lane,
            host,
            cumulative: claim.cumulative,
            paid,
            host_paid: split.host,
            pool_paid: split.pool,
            treasury_paid: split.treasury,
            owed,
        });
        Ok(())
    }

    /// Pays `amount`, which may be nothing, out of what is on hold for the payer's channels.
    fn pay_claim(payer: &T::AccountId, host: &T::AccountId, amount: u128) -> Result<Split, DispatchError> {
        let split = Self::payable_split(host, amount)?;
        for (to, part) in [
            (host, split.host),
            (&Self::pool_account(), split.pool),
            (&T::Treasury::get(), split.treasury),
        ] {
            if part > 0 {
                Self::pay_part(HoldReason::Channel, payer, to, part)?;
            }
        }
        if split.host > 0 {
            T::Rewards::on_reward(host, split.host)?;
        }
        Self::note_cut(host, split.pool);
        Ok(split)
    }

    /// Divides a payment of any size, so that no part is too small for the account that gets it.
    fn payable_split(host: &T::AccountId, amount: u128) -> Result<Split, DispatchError> {
        let mut split = Self::split(amount)?;
        // No part of the least fee is below the existential deposit.
        if amount >= T::MinFee::get() {
            return Ok(split);
        }
        let takes = |who: &T::AccountId, part: u128| {
            T::Currency::can_deposit(who, part, Provenance::Extant) == DepositConsequence::Success
        };
        let mut to_treasury = |part: &mut u128| {
            split.treasury = split.treasury.saturating_add(*part);
            *part = 0;
        };
        if !takes(host, split.host) {
            to_treasury(&mut split.host);
        }
        if !takes(&Self::pool_account(), split.pool) {
            to_treasury(&mut split.pool);
        }
        if !takes(&T::Treasury::get(), split.treasury) {
            split.host = split.host.saturating_add(split.treasury);
            split.treasury = 0;
            ensure!(takes(host, split.host), Error::<T>::TooSmallToPay);
        }
        Ok(split)
    }
}

/// How many receipts are behind a claim, for the number of audits: no fewer than the vouchers that the payer signed
/// since the claim before. A host can not have fewer of them looked at by putting all value into one leaf.
fn receipts_behind(leaves: u32, vouchers: u64) -> u32 {
    leaves.max(u32::try_from(vouchers).unwrap_or(u32::MAX))
}
