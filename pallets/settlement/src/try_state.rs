//! What always holds in this pallet's storage.

use crate::{
    Channels, Config, Demand, Held, HoldReason, HostLaneCount, HostLanes, LaneKey, NextChannelId, Pallet,
    PayerChannels, TotalHeld, channels::ChannelOf, demand,
};
use alloc::collections::{BTreeMap, BTreeSet};
use frame_support::{ensure, traits::fungible::InspectHold};
use llmesh_primitives::ChannelState;
use sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T> {
    /// Checks that the records of what is set aside and of channels agree with the funds on hold, with their sums and
    /// with their indices, and that demand factors are within bounds.
    ///
    /// # Errors
    /// With the first thing that does not hold.
    pub fn do_try_state() -> Result<(), TryRuntimeError> {
        Self::check_escrow()?;
        Self::check_channels()?;
        ensure!(
            Demand::<T>::iter_values().all(|factor| factor >= demand::FLOOR && factor <= demand::CEILING),
            "a demand factor is out of bounds"
        );
        Ok(())
    }

    fn check_escrow() -> Result<(), TryRuntimeError> {
        let mut total: u128 = 0;
        for (who, held) in Held::<T>::iter() {
            ensure!(held > 0, "a record of nothing set aside is kept");
            ensure!(
                T::Currency::balance_on_hold(&HoldReason::JobEscrow.into(), &who) == held,
                "the funds on hold differ from what is set aside"
            );
            total = total.checked_add(held).ok_or("what is set aside overflows")?;
        }
        ensure!(
            total == TotalHeld::<T>::get(),
            "the total differs from the sum of what is set aside"
        );
        Ok(())
    }

    fn check_channels() -> Result<(), TryRuntimeError> {
        // By payer: what should be on hold, and the numbers of its channels.
        let mut payers = BTreeMap::<T::AccountId, (u128, u128, BTreeSet<u64>)>::new();
        let mut hosts = BTreeMap::<T::AccountId, u32>::new();
        for (id, channel) in Channels::<T>::iter() {
            ensure!(id < NextChannelId::<T>::get(), "a channel has a number to come");
            Self::check_channel(&channel)?;
            for (lane, position) in channel.lanes.iter().zip(0..) {
                ensure!(
                    lane.released != HostLanes::<T>::contains_key(&lane.host, LaneKey::new(id, position)),
                    "a lane's entry in its host's index is wrong"
                );
                if !lane.released {
                    let count = hosts.entry(lane.host.clone()).or_default();
                    *count = count.checked_add(1).ok_or("a host's lanes overflow")?;
                }
            }
            let unspent = Self::sums(&channel)?.unspent;
            let (held, deposits, ids) = payers.entry(channel.payer).or_default();
            *held = held.checked_add(unspent).ok_or("allocations overflow")?;
            *deposits = deposits.checked_add(channel.deposit).ok_or("deposits overflow")?;
            ids.insert(id);
        }
        for (who, (held, deposits, ids)) in &payers {
            ensure!(
                T::Currency::balance_on_hold(&HoldReason::Channel.into(), who) == *held,
                "the funds on hold differ from the allocations"
            );
            ensure!(
                T::Currency::balance_on_hold(&HoldReason::ChannelDeposit.into(), who) == *deposits,
                "the deposits on hold differ from the records"
            );
            ensure!(
                ids.iter().eq(PayerChannels::<T>::get(who).iter()),
                "a payer's index differs from its channels"
            );
        }
        ensure!(
            PayerChannels::<T>::iter_keys().count() == payers.len(),
            "an account without channels has an index of them"
        );
        ensure!(
            HostLaneCount::<T>::iter().collect::<BTreeMap<_, _>>() == hosts,
            "a host's count of lanes is wrong"
        );
        let entries = HostLanes::<T>::iter_keys().count();
        ensure!(
            u32::try_from(entries).ok() == hosts.values().try_fold(0u32, |sum, n| sum.checked_add(*n)),
            "a host's index has a lane that does not exist"
        );
        Ok(())
    }

    fn check_channel(channel: &ChannelOf<T>) -> Result<(), TryRuntimeError> {
        ensure!(!channel.lanes.is_empty(), "a channel has no lane");
        let at_work: BTreeSet<_> = channel
            .lanes
            .iter()
            .filter(|lane| !lane.released)
            .map(|lane| &lane.host)
            .collect();
        ensure!(
            channel.lanes.iter().filter(|lane| !lane.released).count() == at_work.len(),
            "a host has two lanes in one channel"
        );
        for lane in &channel.lanes {
            ensure!(lane.paid <= lane.funded, "a lane paid more than it was allocated");
            ensure!(lane.paid <= lane.claimed, "a lane paid more than was claimed");
            ensure!(
                lane.nonce > 0 || lane.claimed == 0,
                "a sum was claimed without a voucher"
            );
        }
        if let ChannelState::Closing { until } = channel.state {
            ensure!(
                until <= channel.expires_at,
                "the challenge window outlasts the channel"
            );
        }
        Ok(())
    }
}
