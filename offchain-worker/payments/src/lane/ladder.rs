//! The vouchers of one lane that are still of use.

use crate::lane::LaneKey;
use codec::{Decode, Encode};
use llmesh_primitives::{Claim, SignedVoucher, Voucher, Work};
use sp_core::H256;
use sp_runtime::MultiSignature;

/// Most vouchers that are kept of a lane.
pub(crate) const MAX_RUNGS: usize = 64;

/// A voucher without what its lane says.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Rung {
    pub nonce: u64,
    pub cumulative: u128,
    pub receipts: H256,
    pub signature: MultiSignature,
}

impl Rung {
    pub fn signed(&self, genesis: H256, key: LaneKey, epoch: u32) -> SignedVoucher {
        SignedVoucher {
            voucher: Voucher {
                genesis,
                channel: key.channel,
                epoch,
                lane: key.lane,
                nonce: self.nonce,
                cumulative: self.cumulative,
                receipts: self.receipts,
            },
            signature: self.signature.clone(),
        }
    }

    pub fn claim(&self, key: LaneKey, epoch: u32, covered: u64) -> Claim {
        Claim {
            channel: key.channel,
            epoch,
            lane: key.lane,
            nonce: self.nonce,
            cumulative: self.cumulative,
            receipts: self.receipts,
            signature: self.signature.clone(),
            covered,
            // Which receipts come with it, whoever keeps them adds.
            work: Work::default(),
        }
    }
}

impl From<&SignedVoucher> for Rung {
    fn from(SignedVoucher { voucher, signature }: &SignedVoucher) -> Self {
        Self {
            nonce: voucher.nonce,
            cumulative: voucher.cumulative,
            receipts: voucher.receipts,
            signature: signature.clone(),
        }
    }
}

/// How a voucher stands to those that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Known,
    New,
    /// Both can not be of an honest payer.
    Contradicts,
}

/// Vouchers by nonce; sums never fall. Bounded: a voucher in between goes when there are too many.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Ladder(Vec<Rung>);

impl Ladder {
    pub fn top(&self) -> Option<&Rung> {
        self.0.last()
    }

    #[cfg(test)]
    pub fn rungs(&self) -> &[Rung] {
        &self.0
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub fn standing(&self, voucher: &Voucher) -> Standing {
        let at = self.0.partition_point(|rung| rung.nonce < voucher.nonce);
        match self.0.get(at) {
            Some(rung) if rung.nonce == voucher.nonce => {
                return if rung.cumulative == voucher.cumulative && rung.receipts == voucher.receipts {
                    Standing::Known
                } else {
                    Standing::Contradicts
                };
            }
            Some(above) if above.cumulative < voucher.cumulative => return Standing::Contradicts,
            _ => {}
        }
        match at.checked_sub(1).and_then(|below| self.0.get(below)) {
            Some(below) if below.cumulative > voucher.cumulative => Standing::Contradicts,
            _ => Standing::New,
        }
    }

    /// Takes a voucher that is [`Standing::New`]. Sums from `floor` up are of interest: when there are too many vouchers,
    /// the one goes whose neighbours are nearest to each other, so that no step between two grows more than it must.
    pub fn insert(&mut self, rung: Rung, floor: u128) {
        let at = self.0.partition_point(|other| other.nonce < rung.nonce);
        self.0.insert(at, rung);
        if self.0.len() <= MAX_RUNGS {
            return;
        }
        let mut below = floor;
        let mut least: Option<(u128, usize)> = None;
        // The top stays.
        for (at, pair) in self.0.windows(2).enumerate() {
            let [rung, above] = pair else { continue };
            let step = above.cumulative.saturating_sub(below);
            if least.is_none_or(|(smallest, _)| step < smallest) {
                least = Some((step, at));
            }
            below = rung.cumulative;
        }
        if let Some((_, at)) = least {
            self.0.remove(at);
        }
    }

    /// The highest voucher of at most `sum`.
    pub fn at_most(&self, sum: u128) -> Option<&Rung> {
        let above = self.0.partition_point(|rung| rung.cumulative <= sum);
        above.checked_sub(1).and_then(|at| self.0.get(at))
    }

    /// The lowest voucher of at least `sum`.
    pub fn at_least(&self, sum: u128) -> Option<&Rung> {
        self.0.get(self.0.partition_point(|rung| rung.cumulative < sum))
    }

    /// Forgets every voucher below the highest one of at most `sum`.
    pub fn drop_below_best(&mut self, sum: u128) {
        let above = self.0.partition_point(|rung| rung.cumulative <= sum);
        self.0.drain(..above.saturating_sub(1));
    }

    /// Forgets the vouchers of at most `sum`.
    pub fn drop_up_to(&mut self, sum: u128) {
        let above = self.0.partition_point(|rung| rung.cumulative <= sum);
        self.0.drain(..above);
    }

    /// Forgets the vouchers of at most `sum`, but not the highest voucher of all.
    pub fn drop_up_to_but_top(&mut self, sum: u128) {
        let above = self.0.partition_point(|rung| rung.cumulative <= sum);
        self.0.drain(..above.min(self.0.len().saturating_sub(1)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sp_core::sr25519;

    fn rung(nonce: u64, cumulative: u128) -> Rung {
        Rung {
            nonce,
            cumulative,
            receipts: H256::zero(),
            signature: sr25519::Signature::default().into(),
        }
    }

    fn voucher(nonce: u64, cumulative: u128) -> Voucher {
        rung(nonce, cumulative)
            .signed(H256::zero(), LaneKey { channel: 0, lane: 0 }, 0)
            .voucher
    }

    #[test]
    fn contradictions_are_told_apart() {
        let mut ladder = Ladder::default();
        for (nonce, sum) in [(5, 50), (2, 20), (7, 50)] {
            assert_eq!(ladder.standing(&voucher(nonce, sum)), Standing::New);
            ladder.insert(rung(nonce, sum), 0);
        }
        for (nonce, sum, standing) in [
            (5, 50, Standing::Known),
            (5, 51, Standing::Contradicts),
            (5, 49, Standing::Contradicts),
            (3, 20, Standing::New),
            (3, 50, Standing::New),
            (3, 19, Standing::Contradicts),
            (3, 51, Standing::Contradicts),
            (1, 21, Standing::Contradicts),
            (1, 20, Standing::New),
            (8, 49, Standing::Contradicts),
            (8, 50, Standing::New),
            (u64::MAX, u128::MAX, Standing::New),
        ] {
            assert_eq!(ladder.standing(&voucher(nonce, sum)), standing, "{nonce} {sum}");
        }
        let mut other = voucher(5, 50);
        other.receipts = H256::repeat_byte(1);
        assert_eq!(ladder.standing(&other), Standing::Contradicts);
    }

    #[test]
    fn the_best_vouchers_are_found() {
        let mut ladder = Ladder::default();
        for nonce in 1..=5 {
            ladder.insert(rung(nonce, u128::from(nonce) * 10), 0);
        }
        assert_eq!(ladder.at_most(9), None);
        assert_eq!(ladder.at_most(30).map(|r| r.nonce), Some(3));
        assert_eq!(ladder.at_most(39).map(|r| r.nonce), Some(3));
        assert_eq!(ladder.at_least(31).map(|r| r.nonce), Some(4));
        assert_eq!(ladder.at_least(51), None);
        ladder.drop_below_best(39);
        assert_eq!(ladder.rungs().first().map(|r| r.nonce), Some(3));
        ladder.drop_up_to(30);
        assert_eq!(ladder.rungs().first().map(|r| r.nonce), Some(4));
        ladder.drop_up_to_but_top(1_000);
        assert_eq!(ladder.rungs().len(), 1);
        assert_eq!(ladder.top().map(|r| r.nonce), Some(5));
    }

    #[test]
    fn it_stays_bounded_with_even_steps() {
        let mut ladder = Ladder::default();
        for nonce in 1..=10_000u64 {
            ladder.insert(rung(nonce, u128::from(nonce)), 0);
            assert!(ladder.rungs().len() <= MAX_RUNGS);
        }
        assert_eq!(ladder.top().map(|r| r.nonce), Some(10_000));
        let widest = ladder
            .rungs()
            .windows(2)
            .map(|pair| pair[1].cumulative - pair[0].cumulative)
            .max()
            .unwrap();
        assert!(widest <= 2 * 10_000 / MAX_RUNGS as u128 + 1, "{widest}");
    }
}
