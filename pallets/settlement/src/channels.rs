//! A channel's life: opening, funding, closing, and where the money is at the end.

use crate::{
    Channels, Config, Error, Event, HoldReason, HostLaneCount, HostLanes, NextChannelId, Pallet,
    PayerChannels, WeightInfo,
};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{
    dispatch::DispatchClass,
    ensure,
    traits::{Get, fungible::MutateHold, tokens::Precision},
};
use frame_system::pallet_prelude::BlockNumberFor;
use llmesh_primitives::{
    Channel, ChannelId, ChannelState, Lane, LaneId,
    channel::{MAX_CLAIMS, MAX_LANES},
    traits::StakeProvider,
};
use scale_info::TypeInfo;
use sp_core::{ConstU32, bounded::BoundedVec};
use sp_runtime::{
    AccountId32, ArithmeticError, DispatchError, DispatchResult,
    traits::{Saturating, Zero},
};

/// A channel as this chain keeps it.
pub(crate) type ChannelOf<T> = Channel<<T as frame_system::Config>::AccountId, BlockNumberFor<T>>;
type LaneOf<T> = Lane<<T as frame_system::Config>::AccountId>;
type LanesOf<T> = BoundedVec<LaneOf<T>, ConstU32<MAX_LANES>>;

/// Most lanes that one read returns.
const MAX_LANES_SHOWN: u32 = 1_000;
/// Most channels that one read returns, and so that a payer can have.
const MAX_CHANNELS_SHOWN: u32 = 100;

/// Key of a lane among those of its host. With the `Identity` hasher the storage order is by channel, then lane.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct LaneKey {
    /// Big-endian, so that bytes sort as numbers do.
    channel: [u8; 8],
    lane: [u8; 2],
}

impl LaneKey {
    /// The key of lane `lane` of `channel`.
    pub fn new(channel: ChannelId, lane: LaneId) -> Self {
        Self {
            channel: channel.to_be_bytes(),
            lane: lane.to_be_bytes(),
        }
    }

    /// The lane that the key belongs to.
    pub fn lane(&self) -> (ChannelId, LaneId) {
        (
            ChannelId::from_be_bytes(self.channel),
            LaneId::from_be_bytes(self.lane),
        )
    }
}

/// Sums over a channel's lanes, in planck.
pub(crate) struct Sums {
    pub funded: u128,
    pub paid: u128,
    /// Funded and not paid: what is on hold.
    pub unspent: u128,
    /// Claimed and not paid.
    pub owed: u128,
}

impl<T: Config> Pallet<T> {
    pub(crate) fn do_open(
        payer: T::AccountId,
        signer: AccountId32,
        lanes: Vec<(T::AccountId, u128)>,
        lifetime: BlockNumberFor<T>,
    ) -> DispatchResult {
        let id = NextChannelId::<T>::get();
        let expires_at = Self::expiry(lifetime)?;
        PayerChannels::<T>::try_mutate(&payer, |channels| channels.try_push(id))
            .map_err(|_| Error::<T>::TooManyChannels)?;
        NextChannelId::<T>::put(id.checked_add(1).ok_or(ArithmeticError::Overflow)?);

        let lanes = Self::open_lanes(id, lanes)?;
        let funded = total(&lanes, |lane| lane.funded)?;
        let deposit = Self::deposit_for(lanes.len() as u32)?;
        Self::hold_spendable(HoldReason::Channel, &payer, funded)?;
        Self::hold_spendable(HoldReason::ChannelDeposit, &payer, deposit)?;

        Self::deposit_event(Event::ChannelOpened {
            channel: id,
            payer: payer.clone(),
            signer: signer.clone(),
            funded,
            deposit,
            expires_at,
        });
        let channel = Channel {
            payer,
            signer,
            epoch: 0,
            state: ChannelState::Open,
            expires_at,
            lanes,
            deposit,
        };
        Self::announce_lanes(id, &channel);
        Channels::<T>::insert(id, channel);
        Ok(())
    }

    pub(crate) fn do_add_lane(
        payer: T::AccountId,
        id: ChannelId,
        host: T::AccountId,
        amount: u128,
    ) -> DispatchResult {
        let mut channel = Self::open_channel_of(&payer, id)?;
        let position = channel.lanes.len() as LaneId;
        ensure!(u32::from(position) < MAX_LANES, Error::<T>::TooManyLanes);
        Self::check_lane(id, &channel.lanes, &host, amount)?;
        Self::index_lane(id, position, &host)?;
        let deposit = T::LaneDeposit::get();
        Self::hold_spendable(HoldReason::Channel, &payer, amount)?;
        Self::hold_spendable(HoldReason::ChannelDeposit, &payer, deposit)?;
        channel.deposit = channel
            .deposit
            .checked_add(deposit)
            .ok_or(ArithmeticError::Overflow)?;
        Self::deposit_event(Event::LaneOpened {
            channel: id,
            epoch: channel.epoch,
            lane: position,
            host: host.clone(),
            funded: amount,
        });
        channel
            .lanes
            .try_push(new_lane(host, amount))
            .map_err(|_| Error::<T>::TooManyLanes)?;
        // So that the channel's sums fit at all times.
        total(&channel.lanes, |lane| lane.funded)?;
        Channels::<T>::insert(id, channel);
        Ok(())
    }

    pub(crate) fn do_fund_lane(
        payer: T::AccountId,
        id: ChannelId,
        position: LaneId,
        amount: u128,
    ) -> DispatchResult {
        let mut channel = Self::channel_of_payer(&payer, id)?;
        ensure!(!amount.is_zero(), Error::<T>::ZeroAmount);
        ensure!(!Self::is_over(&channel), Error::<T>::ChannelOver);
        let lane = channel
            .lanes
            .get_mut(usize::from(position))
            .ok_or(Error::<T>::UnknownLane)?;
        ensure!(!lane.released, Error::<T>::LaneReleased);
        Self::hold_spendable(HoldReason::Channel, &payer, amount)?;
        lane.funded = lane.funded.checked_add(amount).ok_or(ArithmeticError::Overflow)?;
        Self::deposit_event(Event::LaneFunded {
            channel: id,
            lane: position,
            amount,
            funded: lane.funded,
        });
        total(&channel.lanes, |lane| lane.funded)?;
        Channels::<T>::insert(id, channel);
        Ok(())
    }

    pub(crate) fn do_extend(
        payer: T::AccountId,
        id: ChannelId,
        lifetime: BlockNumberFor<T>,
    ) -> DispatchResult {
        let mut channel = Self::open_channel_of(&payer, id)?;
        let expires_at = Self::expiry(lifetime)?;
        ensure!(expires_at > channel.expires_at, Error::<T>::NotLater);
        channel.expires_at = expires_at;
        Channels::<T>::insert(id, channel);
        Self::deposit_event(Event::ChannelExtended {
            channel: id,
            expires_at,
        });
        Ok(())
    }

    pub(crate) fn do_release_lane(host: &T::AccountId, id: ChannelId, position: LaneId) -> DispatchResult {
        let mut channel = Channels::<T>::get(id).ok_or(Error::<T>::UnknownChannel)?;
        let lane = channel
            .lanes
            .get_mut(usize::from(position))
            .ok_or(Error::<T>::UnknownLane)?;
        ensure!(lane.host == *host, Error::<T>::NotLaneHost);
        ensure!(!lane.released, Error::<T>::LaneReleased);
        lane.released = true;
        let unspent = unspent(lane)?;
        Self::unindex_lane(id, position, host);
        Channels::<T>::insert(id, channel);
        Self::deposit_event(Event::LaneReleased {
            channel: id,
            lane: position,
            host: host.clone(),
            unspent,
        });
        Ok(())
    }

    pub(crate) fn do_close(payer: T::AccountId, id: ChannelId) -> DispatchResult {
        let mut channel = Self::open_channel_of(&payer, id)?;
        let now = frame_system::Pallet::<T>::block_number();
        let until = now
            .saturating_add(T::ChallengeWindow::get())
            .min(channel.expires_at);
        channel.state = ChannelState::Closing { until };
        Channels::<T>::insert(id, channel);
        Self::deposit_event(Event::ChannelClosed { channel: id, until });
        Ok(())
    }

    /// Returns the number of lanes that the channel had.
    pub(crate) fn do_settle(id: ChannelId) -> Result<u32, DispatchError> {
        let channel = Channels::<T>::take(id).ok_or(Error::<T>::UnknownChannel)?;
        ensure!(Self::is_over(&channel), Error::<T>::ChannelNotOver);
        let Sums {
            funded,
            paid,
            unspent,
            owed,
        } = Self::sums(&channel)?;
        Self::unindex_lanes(id, &channel);
        PayerChannels::<T>::mutate_exists(&channel.payer, |entry| {
            if let Some(channels) = entry {
                channels.retain(|other| *other != id);
                if channels.is_empty() {
                    *entry = None;
                }
            }
        });
        Self::give_back(HoldReason::Channel, &channel.payer, unspent)?;
        Self::give_back(HoldReason::ChannelDeposit, &channel.payer, channel.deposit)?;
        Self::deposit_event(Event::ChannelSettled {
            channel: id,
            payer: channel.payer,
            epoch: channel.epoch,
            funded,
            paid,
            refunded: unspent,
            owed,
            deposit: channel.deposit,
        });
        Ok(channel.lanes.len() as u32)
    }

    /// Returns the number of lanes that the channel had before.
    pub(crate) fn do_reopen(
        payer: T::AccountId,
        id: ChannelId,
        signer: AccountId32,
        lanes: Vec<(T::AccountId, u128)>,
        lifetime: BlockNumberFor<T>,
    ) -> Result<u32, DispatchError> {
        let mut channel = Self::channel_of_payer(&payer, id)?;
        ensure!(Self::is_over(&channel), Error::<T>::ChannelNotOver);
        let expires_at = Self::expiry(lifetime)?;
        let Sums {
            funded,
            paid,
            unspent,
            owed,
        } = Self::sums(&channel)?;
        let old_lanes = channel.lanes.len() as u32;
        Self::unindex_lanes(id, &channel);

        let epoch = channel.epoch.checked_add(1).ok_or(ArithmeticError::Overflow)?;
        let lanes = Self::open_lanes(id, lanes)?;
        let needed = total(&lanes, |lane| lane.funded)?;
        let deposit = Self::deposit_for(lanes.len() as u32)?;
        let (added, refunded) = Self::move_hold(HoldReason::Channel, &payer, unspent, needed)?;
        Self::move_hold(HoldReason::ChannelDeposit, &payer, channel.deposit, deposit)?;

        Self::deposit_event(Event::ChannelReopened {
            channel: id,
            payer,
            epoch,
            signer: signer.clone(),
            funded,
            paid,
            owed,
            carried: unspent.min(needed),
            refunded,
            added,
            deposit,
            expires_at,
        });
        channel.signer = signer;
        channel.epoch = epoch;
        channel.state = ChannelState::Open;
        channel.expires_at = expires_at;
        channel.lanes = lanes;
        channel.deposit = deposit;
        Self::announce_lanes(id, &channel);
        Channels::<T>::insert(id, channel);
        Ok(old_lanes)
    }

    /// The host's lanes from channel number `from`.
    pub(crate) fn lanes_from(host: &T::AccountId, from: ChannelId, limit: u32) -> Vec<(ChannelId, LaneId)> {
        let keys = match from.checked_sub(1) {
            None => HostLanes::<T>::iter_key_prefix(host),
            // Iteration starts after the given key, and no lane has this number.
            Some(before) => {
                let start = HostLanes::<T>::hashed_key_for(host, LaneKey::new(before, LaneId::MAX));
                HostLanes::<T>::iter_key_prefix_from(host, start)
            }
        };
        keys.take(limit.min(MAX_LANES_SHOWN) as usize)
            .map(|key| key.lane())
            .collect()
    }

    /// Whether hosts can no longer claim.
    pub(crate) fn is_over(channel: &ChannelOf<T>) -> bool {
        let last = match channel.state {
            ChannelState::Open => channel.expires_at,
            ChannelState::Closing { until } => until.min(channel.expires_at),
        };
        frame_system::Pallet::<T>::block_number() > last || channel.lanes.iter().all(|lane| lane.released)
    }

    pub(crate) fn sums(channel: &ChannelOf<T>) -> Result<Sums, ArithmeticError> {
        let funded = total(&channel.lanes, |lane| lane.funded)?;
        let paid = total(&channel.lanes, |lane| lane.paid)?;
        Ok(Sums {
            funded,
            paid,
            unspent: funded.checked_sub(paid).ok_or(ArithmeticError::Underflow)?,
            // Signed sums can be as large as the payer likes; this one is for showing.
            owed: channel.lanes.iter().fold(0, |sum: u128, lane| {
                sum.saturating_add(lane.claimed.saturating_sub(lane.paid))
            }),
        })
    }

    /// Checks what the documentation of the constants asks for.
    pub(crate) fn check_channel_constants() {
        assert!(
            !T::ChallengeWindow::get().is_zero() && T::ChallengeWindow::get() <= T::MaxLifetime::get(),
            "the challenge window must lie within MaxLifetime"
        );
        assert!(
            (1..=MAX_CHANNELS_SHOWN).contains(&T::MaxChannelsPerPayer::get()),
            "MaxChannelsPerPayer must be between 1 and 100"
        );
        assert!(
            T::MaxLanesPerHost::get() >= 1,
            "a host must be able to have a lane"
        );
        assert!(
            Self::deposit_for(MAX_LANES).is_ok_and(|deposit| deposit > 0),
            "a channel's deposit must be positive and fit"
        );
        let limits = T::BlockWeights::get();
        let limit = limits.get(DispatchClass::Normal).max_extrinsic;
        assert!(
            limit.is_none_or(|limit| limit.all_gte(T::WeightInfo::claim_batch(MAX_CLAIMS))),
            "the largest batch of claims does not fit into a block"
        );
    }

    fn expiry(lifetime: BlockNumberFor<T>) -> Result<BlockNumberFor<T>, DispatchError> {
        ensure!(
            lifetime >= T::ChallengeWindow::get() && lifetime <= T::MaxLifetime::get(),
            Error::<T>::InvalidLifetime
        );
        Ok(frame_system::Pallet::<T>::block_number().saturating_add(lifetime))
    }

    fn deposit_for(lanes: u32) -> Result<u128, ArithmeticError> {
        T::LaneDeposit::get()
            .checked_mul(lanes.into())
            .and_then(|lanes| lanes.checked_add(T::ChannelDeposit::get()))
            .ok_or(ArithmeticError::Overflow)
    }

    fn channel_of_payer(payer: &T::AccountId, id: ChannelId) -> Result<ChannelOf<T>, DispatchError> {
        let channel = Channels::<T>::get(id).ok_or(Error::<T>::UnknownChannel)?;
        ensure!(channel.payer == *payer, Error::<T>::NotPayer);
        Ok(channel)
    }

    /// The payer's channel, if it is neither being closed nor over.
    fn open_channel_of(payer: &T::AccountId, id: ChannelId) -> Result<ChannelOf<T>, DispatchError> {
        let channel = Self::channel_of_payer(payer, id)?;
        ensure!(!Self::is_over(&channel), Error::<T>::ChannelOver);
        ensure!(channel.state == ChannelState::Open, Error::<T>::ChannelClosing);
        Ok(channel)
    }

    /// Checks, counts and indexes the lanes of a new epoch.
    fn open_lanes(id: ChannelId, lanes: Vec<(T::AccountId, u128)>) -> Result<LanesOf<T>, DispatchError> {
        ensure!(!lanes.is_empty(), Error::<T>::NoLanes);
        let mut opened = LanesOf::<T>::default();
        for (host, amount) in lanes {
            Self::check_lane(id, &opened, &host, amount)?;
            Self::index_lane(id, opened.len() as LaneId, &host)?;
            opened
                .try_push(new_lane(host, amount))
                .map_err(|_| Error::<T>::TooManyLanes)?;
        }
        Ok(opened)
    }

    fn check_lane(id: ChannelId, lanes: &LanesOf<T>, host: &T::AccountId, amount: u128) -> DispatchResult {
        ensure!(amount >= T::MinFee::get(), Error::<T>::AllocationTooSmall);
        ensure!(
            !lanes.iter().any(|lane| !lane.released && lane.host == *host),
            Error::<T>::RepeatedHost
        );
        ensure!(T::Stake::is_host(host), Error::<T>::NotAHost);
        ensure!(!Self::is_forfeited(host, id), Error::<T>::Forfeited);
        Ok(())
    }

    fn index_lane(id: ChannelId, position: LaneId, host: &T::AccountId) -> DispatchResult {
        HostLaneCount::<T>::try_mutate(host, |count| {
            ensure!(
                *count < T::MaxLanesPerHost::get(),
                Error::<T>::HostHasTooManyLanes
            );
            *count = count.saturating_add(1);
            HostLanes::<T>::insert(host, LaneKey::new(id, position), ());
            Ok(())
        })
    }

    fn unindex_lane(id: ChannelId, position: LaneId, host: &T::AccountId) {
        HostLanes::<T>::remove(host, LaneKey::new(id, position));
        HostLaneCount::<T>::mutate_exists(host, |count| {
            *count = count
                .and_then(|count| count.checked_sub(1))
                .filter(|count| *count > 0);
        });
    }

    fn unindex_lanes(id: ChannelId, channel: &ChannelOf<T>) {
        for (lane, position) in channel.lanes.iter().zip(0..) {
            if !lane.released {
                Self::unindex_lane(id, position, &lane.host);
            }
        }
    }

    fn announce_lanes(id: ChannelId, channel: &ChannelOf<T>) {
        for (lane, position) in channel.lanes.iter().zip(0..) {
            Self::deposit_event(Event::LaneOpened {
                channel: id,
                epoch: channel.epoch,
                lane: position,
                host: lane.host.clone(),
                funded: lane.funded,
            });
        }
    }

    fn give_back(reason: HoldReason, who: &T::AccountId, amount: u128) -> DispatchResult {
        if amount > 0 {
            T::Currency::release(&reason.into(), who, amount, Precision::Exact)?;
        }
        Ok(())
    }

    /// Makes a hold of `from` planck one of `to`. Returns what was added and what was given back.
    fn move_hold(
        reason: HoldReason,
        who: &T::AccountId,
        from: u128,
        to: u128,
    ) -> Result<(u128, u128), DispatchError> {
        let (added, returned) = (to.saturating_sub(from), from.saturating_sub(to));
        if added > 0 {
            Self::hold_spendable(reason, who, added)?;
        }
        Self::give_back(reason, who, returned)?;
        Ok((added, returned))
    }
}

fn new_lane<AccountId>(host: AccountId, funded: u128) -> Lane<AccountId> {
    Lane {
        host,
        funded,
        paid: 0,
        claimed: 0,
        nonce: 0,
        covered: 0,
        covered_value: 0,
        released: false,
    }
}

/// What is on hold for the lane.
fn unspent<AccountId>(lane: &Lane<AccountId>) -> Result<u128, ArithmeticError> {
    lane.funded
        .checked_sub(lane.paid)
        .ok_or(ArithmeticError::Underflow)
}

fn total<AccountId>(
    lanes: &[Lane<AccountId>],
    amount: impl Fn(&Lane<AccountId>) -> u128,
) -> Result<u128, ArithmeticError> {
    lanes
        .iter()
        .try_fold(0, |sum: u128, lane| sum.checked_add(amount(lane)))
        .ok_or(ArithmeticError::Overflow)
}
