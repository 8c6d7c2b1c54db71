//! The payer's end of a lane.

use crate::{
    PayError,
    lane::{
        BlockNumber, LaneFacts,
        ladder::{Ladder, Rung},
    },
};
use codec::{Decode, Encode};
use llmesh_primitives::{SignedVoucher, Voucher};
use sp_core::H256;
use sp_runtime::{AccountId32, MultiSignature};
use std::collections::{BTreeMap, VecDeque};

/// Failed exchanges that are remembered, for answers that come late after all.
const MAX_LOST: usize = 64;
/// Most numbers that are skipped at a host's word.
const MAX_SKIP: u64 = 1 << 20;

/// What a payer puts up with.
///
/// A host that takes a request and does not answer may have worked or not: who of both is at fault can not be proved.
/// The payer believes a host up to what it signed, but stops signing when more than an allowance went this way:
/// `lost_answers` times the lane's highest price, plus `lost_permille` of what was accepted, plus what was open when the
/// payer itself crashed.
#[derive(Clone, Debug)]
pub struct PayerPolicy {
    /// A channel with no more blocks left than this is not used. Above the hosts' own limit
    /// ([`crate::lane::PayeePolicy::blocks_left`]).
    pub blocks_left: BlockNumber,
    /// Most requests on their way at a time.
    pub max_in_flight: u32,
    /// Answers that a host may lose before it has earned anything.
    pub lost_answers: u32,
    /// Part of the accepted sum that may be lost besides, in thousandths.
    pub lost_permille: u16,
}

impl Default for PayerPolicy {
    /// Eleven minutes of blocks, 64 requests, 4 answers, 2 %.
    fn default() -> Self {
        Self {
            blocks_left: 330,
            max_in_flight: 64,
            lost_answers: 4,
            lost_permille: 20,
        }
    }
}

/// What a host counts on a lane, in planck: what it served and what it is working at. From [`PayerLane::refused`], for the
/// next try.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owed(u128);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
struct Flight {
    price: u128,
    sequence: u64,
}

/// The payer's end of a lane.
///
/// `signed <= accepted + in flight + prices of the exchanges that failed, each once` holds after every call.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PayerLane {
    epoch: u32,
    host: AccountId32,
    /// Vouchers above what is used up, and always the highest.
    ladder: Ladder,
    /// Sum and nonce of the highest voucher.
    signed: u128,
    nonce: u64,
    /// Sum of the prices of accepted answers.
    accepted: u128,
    /// What the host served besides, by its own word: answers that did not arrive.
    written_off: u128,
    /// What this payer's own crashes may have made it miss.
    excused: u128,
    /// The highest price so far.
    largest: u128,
    /// Running hash of the accepted receipts.
    receipts: H256,
    /// The highest number that was given out to a request.
    sequence: u64,
    /// The highest number that claims covered, as far as is known.
    covered: u64,
    in_flight: BTreeMap<H256, Flight>,
    /// Sum over `in_flight`.
    flying: u128,
    /// Exchanges that failed, latest last.
    lost: VecDeque<(H256, u128)>,
}

impl PayerLane {
    /// A lane that nothing is known of but what the chain says: what was claimed was accepted.
    pub fn new(facts: &LaneFacts) -> Self {
        Self {
            epoch: facts.epoch,
            host: facts.host.clone(),
            ladder: Ladder::default(),
            signed: facts.claimed,
            nonce: facts.nonce,
            accepted: facts.claimed,
            written_off: 0,
            excused: 0,
            largest: 0,
            receipts: H256::zero(),
            sequence: facts.covered,
            covered: facts.covered,
            in_flight: BTreeMap::new(),
            flying: 0,
            lost: VecDeque::new(),
        }
    }

    /// Takes over what the chain says. A new epoch begins from nothing.
    ///
    /// # Errors
    /// [`PayError::StaleFacts`] if the facts are of an epoch that is over.
    pub fn sync(&mut self, facts: &LaneFacts) -> Result<(), PayError> {
        if facts.epoch < self.epoch {
            return Err(PayError::StaleFacts);
        }
        if facts.epoch > self.epoch {
            *self = Self::new(facts);
        }
        self.covered = self.covered.max(facts.covered);
        self.sequence = self.sequence.max(self.covered);
        // The host claimed a voucher that is not known here: this record is an old copy. What was claimed is gone; begin
        // from there.
        if facts.nonce > self.nonce || facts.claimed > self.signed {
            self.nonce = self.nonce.max(facts.nonce);
            self.signed = self.signed.max(facts.claimed);
            self.ladder.clear();
            let missed = facts.claimed.saturating_sub(self.used());
            self.written_off = self.written_off.saturating_add(missed);
            self.excused = self.excused.saturating_add(missed);
        }
        Ok(())
    }

    /// To be called once after a crash: whatever was in flight failed.
    pub fn restart(&mut self) {
        self.excused = self.excused.saturating_add(self.flying);
        for (request, flight) in std::mem::take(&mut self.in_flight) {
            self.remember_lost(request, flight.price);
        }
        self.flying = 0;
    }

    /// A number for a request, above all that were given out. Those of requests that come to nothing are left out.
    ///
    /// # Errors
    /// As [`Self::sync`].
    pub fn next_sequence(&mut self, facts: &LaneFacts) -> Result<u64, PayError> {
        self.sync(facts)?;
        self.sequence = self.sequence.saturating_add(1);
        Ok(self.sequence)
    }

    /// Puts a request in flight and gives the voucher to send with it: one that was signed already, if it covers what is
    /// used, in flight and asked for now, else a new one. It must be durable before it is handed out.
    ///
    /// `sequence` is the request's number, from [`Self::next_sequence`]. `owed` is what the host said when it refused the last
    /// try, else zero.
    ///
    /// # Errors
    /// Why nothing was signed; then nothing has changed.
    pub fn pay(
        &mut self,
        facts: &LaneFacts,
        policy: &PayerPolicy,
        genesis: H256,
        price: u128,
        request: H256,
        sequence: u64,
        owed: Owed,
        sign: impl FnOnce(&[u8; 32]) -> MultiSignature,
    ) -> Result<SignedVoucher, PayError> {
        if !facts.is_open() {
            return Err(PayError::NotOpen(facts.key.channel));
        }
        if !facts.has_left(policy.blocks_left) {
            return Err(PayError::NearExpiry { at: facts.expires_at });
        }
        self.sync(facts)?;
        if self.in_flight.contains_key(&request) {
            return Err(PayError::Duplicate);
        }
        if self.in_flight.len() >= policy.max_in_flight as usize {
            return Err(PayError::Busy);
        }
        let too_much = PayError::Underfunded {
            funded: facts.funded,
            needed: u128::MAX,
        };
        // A request that failed and is sent again, for the answer that the host may still have.
        let again = self.lost_price(&request).unwrap_or(0);
        let written_off = self.written_off.saturating_sub(again);
        let flying = self.flying.checked_add(price).ok_or(too_much.clone())?;
        let want = self
            .accepted
            .checked_add(written_off)
            .and_then(|sum| sum.checked_add(flying))
            .ok_or(too_much.clone())?
            .max(owed.0.checked_add(price).ok_or(too_much.clone())?);

        let known = self.ladder.at_least(want).cloned();
        let rung = match known {
            Some(rung) => rung,
            None => {
                let cumulative = want.max(self.signed);
                if cumulative > facts.funded {
                    return Err(PayError::Underfunded {
                        funded: facts.funded,
                        needed: cumulative,
                    });
                }
                let largest = self.largest.max(price);
                let lost = want.saturating_sub(self.accepted).saturating_sub(flying);
                let allowed = self.allowance(policy, largest);
                if lost > allowed {
                    return Err(PayError::LostTooMuch { lost, allowed });
                }
                let nonce = self.nonce.checked_add(1).ok_or(too_much)?;
                let voucher = Voucher {
                    genesis,
                    channel: facts.key.channel,
                    epoch: facts.epoch,
                    lane: facts.key.lane,
                    nonce,
                    cumulative,
                    receipts: self.receipts,
                };
                let signature = sign(&voucher.payload());
                let rung = Rung::from(&SignedVoucher { voucher, signature });
                let floor = self.used();
                self.ladder.insert(rung.clone(), floor);
                self.nonce = nonce;
                self.signed = cumulative;
                rung
            }
        };
        self.forget_lost(&request);
        self.largest = self.largest.max(price);
        self.in_flight.insert(request, Flight { price, sequence });
        // A host's word may have taken the count back meanwhile.
        self.sequence = self.sequence.max(sequence);
        self.flying = flying;
        Ok(rung.signed(genesis, facts.key, facts.epoch))
    }

    /// Notes that the answer to a request was accepted, with the hash of its receipt. It may have failed before. Returns
    /// whether the request was known; otherwise nothing has changed.
    pub fn accepted(&mut self, request: H256, receipt: H256) -> bool {
        let price = match self.land(request) {
            Some(price) => price,
            None => match self.forget_lost(&request) {
                Some(price) => price,
                None => return false,
            },
        };
        self.accepted = self.accepted.saturating_add(price);
        self.receipts = Voucher::accept(self.receipts, receipt);
        self.tidy();
        true
    }

    /// Notes that an exchange failed: no answer in time, or one that is not worth its price. Returns whether it was in
    /// flight.
    pub fn failed(&mut self, request: H256) -> bool {
        let Some(price) = self.land(request) else {
            return false;
        };
        self.remember_lost(request, price);
        true
    }

    /// Notes that the host refused a request for its voucher, which says that it served `served` planck and needs a
    /// voucher of `needed`. Believes it as far as money was signed for it. Returns what the next try has to cover.
    ///
    /// # Errors
    /// When the host claims more than can be, or lost more than it may; then it should not be used any more. The request
    /// is no longer in flight in any case.
    pub fn refused(
        &mut self,
        policy: &PayerPolicy,
        request: H256,
        served: u128,
        needed: u128,
    ) -> Result<Owed, PayError> {
        // It does not count as lost: the host has not worked at it. A refusal that comes twice says nothing new.
        let Some(price) = self.land(request) else {
            return Ok(Owed::default());
        };
        let owed = needed.saturating_sub(price);
        if served > owed || owed > self.signed {
            return Err(PayError::Disagreement {
                claimed: owed.max(served),
                signed: self.signed,
            });
        }
        // What was served and neither accepted nor may still arrive was lost on its way.
        let lost = served.saturating_sub(self.accepted).saturating_sub(self.flying);
        if lost > self.written_off {
            let allowed = self.allowance(policy, self.largest);
            if lost > allowed {
                return Err(PayError::LostTooMuch { lost, allowed });
            }
            self.written_off = lost;
            self.tidy();
        }
        Ok(Owed(owed))
    }

    /// Notes that the host refused a request for its number, and says that the lane is at number `highest`. The count goes on
    /// from there: further up if others were there before, and back if refused requests took it too far ahead, but never to
    /// a number that is in flight or was claimed.
    ///
    /// # Errors
    /// [`PayError::Numbering`] if that is too far up to be true; then the host should not be used any more. The request is no
    /// longer in flight in any case.
    pub fn renumber(&mut self, request: H256, highest: u64) -> Result<(), PayError> {
        // As in `refused`: it does not count as lost, and what is said twice says nothing new.
        if self.land(request).is_none() {
            return Ok(());
        }
        let own = self.sequence;
        if highest.saturating_sub(own) > MAX_SKIP {
            return Err(PayError::Numbering { highest, own });
        }
        let flying = self.in_flight.values().map(|flight| flight.sequence).max();
        self.sequence = highest.max(self.covered).max(flying.unwrap_or(0));
        Ok(())
    }

    /// The request is no longer in flight. Gives its price, if it was.
    fn land(&mut self, request: H256) -> Option<u128> {
        let Flight { price, .. } = self.in_flight.remove(&request)?;
        self.flying = self.flying.saturating_sub(price);
        Some(price)
    }

    /// What may be lost of this lane, in planck.
    fn allowance(&self, policy: &PayerPolicy, largest: u128) -> u128 {
        let answers = largest.saturating_mul(policy.lost_answers.into());
        // Divided first: no overflow, and a thousandth planck is nothing.
        let part = (self.accepted / 1_000).saturating_mul(policy.lost_permille.into());
        answers.saturating_add(part).saturating_add(self.excused)
    }

    /// What the host has earned for good.
    fn used(&self) -> u128 {
        self.accepted.saturating_add(self.written_off)
    }

    /// Forgets vouchers that are used up.
    fn tidy(&mut self) {
        self.ladder.drop_up_to_but_top(self.used());
    }

    fn lost_price(&self, request: &H256) -> Option<u128> {
        self.lost
            .iter()
            .find(|(lost, _)| lost == request)
            .map(|(_, price)| *price)
    }

    fn remember_lost(&mut self, request: H256, price: u128) {
        if self.lost.len() >= MAX_LOST {
            self.lost.pop_front();
        }
        self.lost.push_back((request, price));
    }

    /// The request is no longer lost; neither is its price, if that was written off.
    fn forget_lost(&mut self, request: &H256) -> Option<u128> {
        let at = self.lost.iter().position(|(lost, _)| lost == request)?;
        let (_, price) = self.lost.remove(at)?;
        self.written_off = self.written_off.saturating_sub(price);
        Some(price)
    }

    /// The channel's epoch that all of this is of.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The lane's host.
    pub fn host(&self) -> &AccountId32 {
        &self.host
    }

    /// Sum of the highest voucher.
    pub fn signed(&self) -> u128 {
        self.signed
    }

    /// Nonce of the highest voucher.
    pub fn nonce(&self) -> u64 {
        self.nonce
    }

    /// Sum of the prices of accepted answers.
    pub fn spent(&self) -> u128 {
        self.accepted
    }

    /// What the host was believed to have served although no answer came.
    pub fn written_off(&self) -> u128 {
        self.written_off
    }

    /// Sum of the prices of the requests in flight.
    pub fn in_flight(&self) -> u128 {
        self.flying
    }

    /// Number of requests in flight.
    pub fn requests(&self) -> usize {
        self.in_flight.len()
    }

    /// Running hash of the accepted receipts, see [`Voucher::accept`].
    pub fn receipts(&self) -> H256 {
        self.receipts
    }
}
