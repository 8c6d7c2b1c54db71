//! The rules of one lane, for either end: pure, checked integer arithmetic, no I/O and no clock.
//!
//! [`PayeeLane`] is the host's end, [`PayerLane`] the payer's. Their SCALE encoding is what the books store; what is not
//! encoded (requests at work at the host) is what a crash ends.

mod ladder;
mod numbers;
mod payee;
mod payer;

#[cfg(test)]
pub(crate) mod tests;

pub use payee::{Admitted, ClaimDue, ClaimPolicy, ClaimReason, Outcome, PayeeLane, PayeePolicy};
pub use payer::{Owed, PayerLane, PayerPolicy};

use crate::VoucherRefusal;
use codec::{Decode, Encode};
use llmesh_primitives::{Channel, ChannelId, ChannelState, LaneId, Voucher};
use sp_core::H256;
use sp_runtime::AccountId32;

/// Number of a block.
pub type BlockNumber = u32;

/// Names a lane of a channel, of any epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct LaneKey {
    pub channel: ChannelId,
    pub lane: LaneId,
}

impl LaneKey {
    /// Bytes that sort as keys do.
    pub(crate) fn bytes(self) -> Vec<u8> {
        [&self.channel.to_be_bytes()[..], &self.lane.to_be_bytes()[..]].concat()
    }
}

/// What the chain says of a lane. Take it from a finalized block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneFacts {
    pub key: LaneKey,
    pub epoch: u32,
    /// The lane's host.
    pub host: AccountId32,
    /// The key that signs the channel's vouchers.
    pub signer: AccountId32,
    /// Ever allocated to the lane, in planck.
    pub funded: u128,
    /// The highest sum that was claimed, in planck.
    pub claimed: u128,
    /// Paid out so far, in planck.
    pub paid: u128,
    /// Nonce of the highest voucher that was claimed.
    pub nonce: u64,
    /// Number of the last request whose receipt claims covered.
    pub covered: u64,
    /// Sum of the fees of the receipts that claims covered, in planck.
    pub covered_value: u128,
    /// Whether the host gave the lane up.
    pub released: bool,
    pub state: ChannelState<BlockNumber>,
    /// Last block in which hosts can claim if the channel is not closed before.
    pub expires_at: BlockNumber,
    /// The block that all of this was read at.
    pub now: BlockNumber,
}

impl LaneFacts {
    /// The facts of a lane out of a channel as the chain shows it at block `now`; `None` if it has no such lane.
    pub fn of(
        id: ChannelId,
        lane: LaneId,
        channel: &Channel<AccountId32, BlockNumber>,
        now: BlockNumber,
    ) -> Option<Self> {
        let record = channel.lanes.get(usize::from(lane))?;
        Some(Self {
            key: LaneKey { channel: id, lane },
            epoch: channel.epoch,
            host: record.host.clone(),
            signer: channel.signer.clone(),
            funded: record.funded,
            claimed: record.claimed,
            paid: record.paid,
            nonce: record.nonce,
            covered: record.covered,
            covered_value: record.covered_value,
            released: record.released,
            state: channel.state,
            expires_at: channel.expires_at,
            now,
        })
    }

    /// Last block in which the host can claim.
    pub fn last_claim_at(&self) -> BlockNumber {
        match self.state {
            ChannelState::Open => self.expires_at,
            ChannelState::Closing { until } => until.min(self.expires_at),
        }
    }

    fn is_open(&self) -> bool {
        self.state == ChannelState::Open && !self.released
    }

    /// Whether more than `blocks` blocks are left to claim in.
    fn has_left(&self, blocks: BlockNumber) -> bool {
        self.last_claim_at() > self.now.saturating_add(blocks)
    }

    /// What can be told of a voucher without the lane's state and without the signature.
    ///
    /// # Errors
    /// The first reason to refuse it.
    pub fn check(
        &self,
        host: &AccountId32,
        genesis: H256,
        policy: &PayeePolicy,
        voucher: &Voucher,
    ) -> Result<(), VoucherRefusal> {
        if voucher.genesis != genesis
            || voucher.channel != self.key.channel
            || voucher.lane != self.key.lane
            || voucher.epoch != self.epoch
        {
            return Err(VoucherRefusal::OtherLane);
        }
        if self.host != *host {
            return Err(VoucherRefusal::OtherHost);
        }
        if !self.is_open() {
            return Err(VoucherRefusal::NotOpen);
        }
        if !self.has_left(policy.blocks_left) {
            return Err(VoucherRefusal::NearExpiry { at: self.expires_at });
        }
        // Vouchers are counted from 1; the chain refuses to pay others.
        if voucher.nonce == 0 {
            return Err(VoucherRefusal::Contradiction);
        }
        if voucher.cumulative > self.funded {
            return Err(VoucherRefusal::Underfunded {
                funded: self.funded,
                cumulative: voucher.cumulative,
            });
        }
        Ok(())
    }
}
