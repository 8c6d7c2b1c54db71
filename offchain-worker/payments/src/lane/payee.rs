//! The host's end of a lane.

use crate::{
    BookError, VoucherRefusal,
    lane::{
        BlockNumber, LaneFacts, LaneKey,
        ladder::{Ladder, Rung, Standing},
        numbers::{Used, WINDOW},
    },
};
use codec::{Decode, Encode};
use llmesh_primitives::{ChannelState, Claim, SignedVoucher};
use sp_core::H256;
use std::collections::{BTreeMap, BTreeSet};

/// What a host demands of a lane.
#[derive(Clone, Debug)]
pub struct PayeePolicy {
    /// A channel with no more blocks left than this takes no more requests. Must leave time to finish and to claim.
    pub blocks_left: BlockNumber,
    /// How far, in planck, a voucher may be above what it is needed for.
    ///
    /// A voucher can be claimed only as a whole, and only up to what was served. So this bounds what a client can take
    /// unpaid by leaving in the middle of a large voucher, and how much of the host's stake it can occupy. It must be
    /// above the prices of the requests that an honest client has on their way at a time, since their vouchers can
    /// overtake each other and get lost. Keep it below what opening a channel costs.
    pub max_ahead: u128,
    /// Most requests at work at a time.
    pub max_at_work: u32,
}

impl Default for PayeePolicy {
    /// Ten minutes of blocks, one MESH, 64 requests.
    fn default() -> Self {
        Self {
            blocks_left: 300,
            max_ahead: 1_000_000_000_000,
            max_at_work: 64,
        }
    }
}

/// When claiming is worth its fee.
#[derive(Clone, Debug)]
pub struct ClaimPolicy {
    /// The present block.
    pub now: BlockNumber,
    /// Claim as soon as this much can be claimed, in planck.
    pub worth: u128,
    /// Never claim less than this, in planck: the fee of a claim.
    pub dust: u128,
    /// Claim what is there when no more blocks than this are left to claim in.
    pub blocks_left: BlockNumber,
    /// Claim what is there when more than this part of the stake limit is unsettled, in percent.
    pub pressure_percent: u8,
}

/// Why a claim is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClaimReason {
    /// The channel is being closed or expires soon.
    Ending,
    /// Too much is unsettled for the host's stake.
    Pressure,
    /// There is enough to claim.
    Worth,
}

/// A claim that should be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimDue {
    pub claim: Claim,
    /// What the chain will pay for it, before the split, in planck, if claims cover as much by then.
    pub value: u128,
    pub reason: ClaimReason,
    /// Last block in which it can be claimed.
    pub last: BlockNumber,
    funded: u128,
    covered_value: u128,
    paid: u128,
}

impl ClaimDue {
    /// What the chain will pay for it, before the split, in planck, if the receipts that come with it are worth `value`
    /// planck.
    pub fn pays(&self, value: u128) -> u128 {
        self.claim
            .cumulative
            .min(self.funded)
            .min(self.covered_value.saturating_add(value))
            .saturating_sub(self.paid)
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered.
    Served,
    /// It was not. Its money is credit for the next.
    Failed,
}

/// A request that was admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// Whether the lane has something new to be made durable before the request runs.
    pub changed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Task {
    price: u128,
    sequence: u64,
}

/// The host's end of a lane.
///
/// `claimed <= served` and `served + reserved <= signed` hold after every call.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PayeeLane {
    epoch: u32,
    /// Vouchers from the best that can be claimed up to the highest.
    ladder: Ladder,
    /// Sum of the prices of answered requests.
    served: u128,
    /// Numbers of answered requests.
    used: Used,
    /// Claims may cover the receipts up to this number, so none is added there any more.
    closed: u64,
    // What the chain said, and in which block.
    funded: u128,
    claimed: u128,
    paid: u128,
    claimed_nonce: u64,
    covered: u64,
    covered_value: u128,
    released: bool,
    state: ChannelState<BlockNumber>,
    expires_at: BlockNumber,
    seen: BlockNumber,
    /// Requests that are being worked at. A crash ends them.
    #[codec(skip)]
    at_work: BTreeMap<H256, Task>,
    #[codec(skip)]
    reserved: u128,
    /// Numbers of requests that are being worked at, or whose receipts may not be on disk yet.
    #[codec(skip)]
    open: BTreeSet<u64>,
}

impl PayeeLane {
    /// A lane that nothing is known of but what the chain says: what was claimed was served.
    pub fn new(facts: &LaneFacts) -> Self {
        Self {
            epoch: facts.epoch,
            ladder: Ladder::default(),
            served: facts.claimed,
            used: Used::default(),
            closed: 0,
            funded: facts.funded,
            claimed: facts.claimed,
            paid: facts.paid,
            claimed_nonce: facts.nonce,
            covered: facts.covered,
            covered_value: facts.covered_value,
            released: facts.released,
            state: facts.state,
            expires_at: facts.expires_at,
            seen: facts.now,
            at_work: BTreeMap::new(),
            reserved: 0,
            open: BTreeSet::new(),
        }
    }

    /// Takes over what the chain says, if it is not older than what is known. Returns whether anything is new besides the
    /// block. An epoch that is over takes everything along: its vouchers are worth nothing any more.
    ///
    /// # Errors
    /// [`VoucherRefusal::StaleFacts`] if the facts are of an epoch that is over.
    pub fn sync(&mut self, facts: &LaneFacts) -> Result<bool, VoucherRefusal> {
        if facts.epoch < self.epoch {
            return Err(VoucherRefusal::StaleFacts);
        }
        if facts.epoch > self.epoch {
            *self = Self::new(facts);
            return Ok(true);
        }
        if facts.now < self.seen {
            return Ok(false);
        }
        self.seen = facts.now;
        if self.funded == facts.funded
            && self.claimed == facts.claimed
            && self.paid == facts.paid
            && self.claimed_nonce == facts.nonce
            && self.covered == facts.covered
            && self.covered_value == facts.covered_value
            && self.released == facts.released
            && self.state == facts.state
            && self.expires_at == facts.expires_at
        {
            return Ok(false);
        }
        self.funded = facts.funded;
        self.claimed = facts.claimed;
        self.paid = facts.paid;
        self.claimed_nonce = facts.nonce;
        self.covered = facts.covered;
        self.covered_value = facts.covered_value;
        self.released = facts.released;
        self.state = facts.state;
        self.expires_at = facts.expires_at;
        self.settled();
        Ok(true)
    }

    /// Notes that a voucher of `cumulative` was claimed and that the lane was paid `paid` in all. Returns whether that is
    /// new.
    pub fn claimed(&mut self, cumulative: u128, paid: u128) -> bool {
        if cumulative < self.claimed || (cumulative == self.claimed && paid <= self.paid) {
            return false;
        }
        if let Some(rung) = self.ladder.at_most(cumulative)
            && rung.cumulative == cumulative
        {
            self.claimed_nonce = self.claimed_nonce.max(rung.nonce);
        }
        self.claimed = cumulative;
        self.paid = self.paid.max(paid);
        self.settled();
        true
    }

    /// Restores the invariants after `claimed` moved.
    fn settled(&mut self) {
        // Only this host claims, and never more than it served: more was claimed than is known only if this record is
        // an old copy.
        self.served = self.served.max(self.claimed);
        self.tidy();
    }

    /// Forgets vouchers that have no use any more.
    fn tidy(&mut self) {
        self.ladder.drop_below_best(self.served);
        // The last one that was claimed is claimed again when the chain still owes some of it.
        match self.claimed.checked_sub(1) {
            Some(below) if self.claimed > self.paid => self.ladder.drop_up_to(below),
            _ => self.ladder.drop_up_to(self.claimed),
        }
    }

    /// Admits a request, or says why not; then nothing has changed.
    ///
    /// [`LaneFacts::check`] and the check of the signature come first; [`Self::sync`] takes over the facts.
    ///
    /// A voucher that another overtook on its way is no reason to refuse a request that is covered.
    ///
    /// # Errors
    /// What speaks against it.
    pub fn admit(
        &mut self,
        policy: &PayeePolicy,
        voucher: &SignedVoucher,
        price: u128,
        request: H256,
        sequence: u64,
    ) -> Result<Admitted, VoucherRefusal> {
        self.raise(policy, voucher, price, request, sequence)?;
        let sum = voucher.voucher.cumulative;
        // Of use is what can be claimed later and can not be claimed now.
        let changed = voucher.voucher.nonce > self.claimed_nonce
            && sum > self.claimable_sum()
            && self.ladder.standing(&voucher.voucher) == Standing::New;
        if changed {
            let floor = self.claimable_sum();
            self.ladder.insert(Rung::from(voucher), floor);
        }
        self.at_work.insert(request, Task { price, sequence });
        self.open.insert(sequence);
        self.reserved = self.reserved.saturating_add(price);
        Ok(Admitted { changed })
    }

    /// By how much admitting a request would raise [`Self::signed`]. Everything that [`Self::admit`] checks.
    ///
    /// # Errors
    /// As [`Self::admit`].
    pub fn raise(
        &self,
        policy: &PayeePolicy,
        voucher: &SignedVoucher,
        price: u128,
        request: H256,
        sequence: u64,
    ) -> Result<u128, VoucherRefusal> {
        let voucher = &voucher.voucher;
        if voucher.epoch != self.epoch {
            return Err(VoucherRefusal::StaleFacts);
        }
        if self.at_work.contains_key(&request) {
            return Err(VoucherRefusal::AtWork);
        }
        if self.at_work.len() >= policy.max_at_work as usize {
            return Err(VoucherRefusal::Busy);
        }
        if !self.is_free(sequence) {
            return Err(VoucherRefusal::Number {
                highest: self.highest(),
            });
        }
        let falls = match voucher.nonce.cmp(&self.claimed_nonce) {
            std::cmp::Ordering::Less => voucher.cumulative > self.claimed,
            std::cmp::Ordering::Equal => voucher.cumulative != self.claimed,
            std::cmp::Ordering::Greater => voucher.cumulative < self.claimed,
        };
        if falls || self.ladder.standing(voucher) == Standing::Contradicts {
            return Err(VoucherRefusal::Contradiction);
        }
        let before = self.signed();
        let signed = before.max(voucher.cumulative);
        let needed = self
            .served
            .checked_add(self.reserved)
            .and_then(|sum| sum.checked_add(price));
        let covered = needed.and_then(|needed| Some((needed, signed.checked_sub(needed)?)));
        let Some((needed, ahead)) = covered else {
            return Err(VoucherRefusal::Short {
                served: self.served,
                needed: needed.unwrap_or(u128::MAX),
            });
        };
        let raise = signed.saturating_sub(before);
        // What was taken is not judged again: a request that fails leaves as much.
        if raise > 0 && ahead > policy.max_ahead {
            return Err(VoucherRefusal::TooFarAhead {
                served: self.served,
                needed,
            });
        }
        Ok(raise)
    }

    /// Whether a request may have this number: each has one leaf in what is claimed. It must be known that it was not used
    /// before, and be near to the others, so that no client makes a host claim trees of nothing but gaps.
    fn is_free(&self, sequence: u64) -> bool {
        sequence > self.covered.max(self.closed)
            && sequence.saturating_sub(self.highest()) <= WINDOW
            && !self.used.has(sequence)
            && !self.open.contains(&sequence)
    }

    /// The highest number that was used, is open, or was passed by.
    fn highest(&self) -> u64 {
        let open = self.open.last().copied().unwrap_or(0);
        self.used.highest().max(open).max(self.covered).max(self.closed)
    }

    /// Ends a request and returns its number. That of an answered one stays open until [`Self::let_go`], others are free
    /// again.
    ///
    /// # Errors
    /// [`BookError::Gone`] if no such request is at work, as after a new epoch began.
    pub fn finish(&mut self, request: H256, outcome: Outcome) -> Result<u64, BookError> {
        let Task { price, sequence } = self.at_work.remove(&request).ok_or(BookError::Gone)?;
        self.reserved = self.reserved.saturating_sub(price);
        match outcome {
            Outcome::Served => {
                self.served = self.served.saturating_add(price);
                self.used.insert(sequence);
                self.tidy();
            }
            Outcome::Failed => self.let_go(sequence),
        }
        Ok(sequence)
    }

    /// Notes that the receipt with this number is on disk, or will never be: a claim may go past it.
    pub fn let_go(&mut self, sequence: u64) {
        self.open.remove(&sequence);
    }

    /// The number up to which a claim may cover receipts now: below all open ones, and not above what was used, which would
    /// add nothing. From now on no request is taken with one of these numbers.
    pub fn close(&mut self) -> u64 {
        let below_open = self.open.first().map_or(u64::MAX, |open| open.saturating_sub(1));
        let closed = self.used.highest().min(below_open);
        self.closed = self.closed.max(closed).max(self.covered);
        self.closed
    }

    /// The claim that should be made now, if any. `pressure`: the host is short of stake.
    pub fn claim_due(&self, key: LaneKey, policy: &ClaimPolicy, pressure: bool) -> Option<ClaimDue> {
        let last = self.last_claim_at();
        if self.released || policy.now > last {
            return None;
        }
        let value = self.claimable();
        if value == 0 || value < policy.dust {
            return None;
        }
        let ending =
            self.state != ChannelState::Open || last <= policy.now.saturating_add(policy.blocks_left);
        let reason = if ending {
            ClaimReason::Ending
        } else if pressure {
            ClaimReason::Pressure
        } else if value >= policy.worth {
            ClaimReason::Worth
        } else {
            return None;
        };
        Some(ClaimDue {
            claim: self
                .ladder
                .at_most(self.served)?
                .claim(key, self.epoch, self.covered),
            value,
            reason,
            last,
            funded: self.funded,
            covered_value: self.covered_value,
            paid: self.paid,
        })
    }

    /// What the chain would pay now for receipts of all that was served, in planck.
    pub fn claimable(&self) -> u128 {
        self.ladder.at_most(self.served).map_or(0, |rung| {
            rung.cumulative.min(self.funded).saturating_sub(self.paid)
        })
    }

    /// The sum of the best voucher that can be claimed; what was claimed if there is none.
    fn claimable_sum(&self) -> u128 {
        self.ladder
            .at_most(self.served)
            .map_or(self.claimed, |rung| rung.cumulative)
    }

    /// Gives up credit that no request uses, so that it no longer counts against the stake. The payer's next voucher
    /// brings it back. Does nothing while there is something to claim or at work. Returns whether it did.
    pub fn release_credit(&mut self) -> bool {
        let released = self.is_settled();
        if released {
            self.ladder.clear();
        }
        released
    }

    /// Whether nothing is at work and everything that was served was claimed and paid.
    pub fn is_settled(&self) -> bool {
        self.at_work.is_empty() && self.served <= self.claimed && self.claimed <= self.paid
    }

    /// Whether the lane can be forgotten: as [`Self::is_settled`], and no receipt was made, so that no number can come
    /// twice.
    pub fn is_unused(&self) -> bool {
        self.is_settled() && self.used.highest() == 0
    }

    /// The highest sum that this host holds a voucher for.
    pub fn signed(&self) -> u128 {
        self.ladder
            .top()
            .map_or(self.claimed, |rung| rung.cumulative.max(self.claimed))
    }

    /// Signed and not claimed.
    pub fn unsettled(&self) -> u128 {
        self.signed().saturating_sub(self.claimed)
    }

    /// The channel's epoch that all of this is of.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Sum of the prices of the requests that were answered.
    pub fn served(&self) -> u128 {
        self.served
    }

    /// Sum of the prices of the requests at work.
    pub fn reserved(&self) -> u128 {
        self.reserved
    }

    /// Number of requests at work.
    pub fn at_work(&self) -> usize {
        self.at_work.len()
    }

    /// The highest sum that was claimed on the chain, as far as is known.
    pub fn on_chain(&self) -> u128 {
        self.claimed
    }

    /// Highest sequence number of a receipt; 0 if there is none.
    pub fn sequence(&self) -> u64 {
        self.used.highest()
    }

    /// The block of the latest facts.
    pub fn seen(&self) -> BlockNumber {
        self.seen
    }

    /// Last block in which this host can claim.
    pub fn last_claim_at(&self) -> BlockNumber {
        match self.state {
            ChannelState::Open => self.expires_at,
            ChannelState::Closing { until } => until.min(self.expires_at),
        }
    }

    #[cfg(test)]
    pub(crate) fn paid(&self) -> u128 {
        self.paid
    }

    #[cfg(test)]
    pub(crate) fn rungs(&self) -> usize {
        self.ladder.rungs().len()
    }
}
