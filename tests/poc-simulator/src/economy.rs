//! What cheating is worth.
//!
//! Everything here leans towards the cheat: its work costs as much as it earns, so that all of its income is saved by not
//! doing it; it is paid before it is found out; what it loses beyond the slash (unclaimed revenue, reputation,
//! its future) counts for nothing.

use crate::{Rng, audits::Counts};
use llmesh_proofs::sampling::points;
use sp_runtime::Perbill;

/// The host's part of a fee, and with it the most that not working can save.
pub const HOST_SHARE: f64 = 0.70;
/// The verifier pool's part of a fee.
pub const POOL_SHARE: f64 = 0.20;
/// Part of the pool's cut that comes back to a host without a conviction.
pub const BONUS_SHARE: f64 = 0.25;
/// Part of the stake that a mismatch costs.
pub const MISMATCH_SLASH: f64 = 0.10;
/// Part of the stake that withholding costs.
pub const WITHHELD_SLASH: f64 = 0.05;
/// Part of the stake that a refuted vote costs a verifier.
pub const FALSE_VOTE_SLASH: f64 = 0.02;
/// What the verifiers of drawn work get together at most, as part of all the fees that it stands for.
pub const REWARD_SHARE: f64 = 0.15;
/// Part of a slash that a challenger gets.
pub const REPORTER_SHARE: f64 = 0.10;
/// Most points of a batch.
pub const MAX_SAMPLES: u32 = 16;

/// Rates of audits on the grid, in percent.
pub const RATES: [u32; 5] = [5, 10, 25, 50, 100];
/// Receipts in a batch on the grid.
pub const RECEIPTS: [u32; 3] = [1, 20, 200];
/// Shares of the stake that collude, on the grid.
pub const COLLUDING: [f64; 4] = [0.0, 0.1, 0.2, 0.33];
/// Stake as multiples of a batch's value, on the grid.
pub const STAKES: [f64; 9] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 300.0, 1_000.0];
/// Shares of its receipts that a host cheats on, on the grid.
pub const FRACTIONS: [f64; 3] = [1.0, 0.5, 0.1];

/// What happens to the host when a receipt on which it cheated is audited.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Odds {
    pub mismatch: f64,
    pub withheld: f64,
}

impl Odds {
    pub fn measured(counts: &Counts) -> Self {
        Self {
            mismatch: counts.share(counts.mismatches),
            withheld: counts.share(counts.withheld),
        }
    }

    /// It does not open the receipt: convicted, whoever its friends are.
    pub const NOT_OPENED: Self = Self {
        mismatch: 0.0,
        withheld: 1.0,
    };
}

/// Which receipts of a batch of `receipts` equal ones are drawn, for many batches.
pub fn drawn_batches(receipts: u32, rate: u32, batches: u64, seed: u64) -> Vec<Vec<u32>> {
    const FEE: u128 = 1_000_000;
    let mut rng = Rng::new(seed, &format!("batches/{receipts}/{rate}"));
    (0..batches)
        .map(|_| {
            let values = 0..FEE * u128::from(receipts);
            let drawn = points(
                rng.hash(),
                receipts,
                values,
                Perbill::from_percent(rate),
                MAX_SAMPLES,
            );
            drawn.into_iter().map(|point| (point / FEE) as u32).collect()
        })
        .collect()
}

/// How likely it is that so many cheated receipts of a batch are drawn, for 0, 1, ... up to [`MAX_SAMPLES`], when a host
/// cheats on `fraction` of them. They are spread evenly; of batches of one receipt that is a part of the batches.
pub fn cheated_and_drawn(batches: &[Vec<u32>], fraction: f64) -> Vec<f64> {
    const STARTS: u32 = 20;
    let mut chances = vec![0.0; MAX_SAMPLES as usize + 1];
    let each = 1.0 / (batches.len().max(1) as f64 * f64::from(STARTS));
    for drawn in batches {
        for start in 0..STARTS {
            let start = (f64::from(start) + 0.5) / f64::from(STARTS);
            let cheated = |receipt: u32| {
                let before = (f64::from(receipt) * fraction + start).floor();
                (f64::from(receipt + 1) * fraction + start).floor() > before
            };
            let count = drawn.iter().filter(|receipt| cheated(**receipt)).count();
            chances[count] += each;
        }
    }
    chances
}

/// The part of its stake that a host loses in a batch on average. One batch costs the largest slash in it, not the sum.
pub fn mean_slash(cheated_and_drawn: &[f64], odds: Odds) -> f64 {
    cheated_and_drawn
        .iter()
        .zip(0i32..)
        .map(|(chance, count)| {
            let no_mismatch = (1.0 - odds.mismatch).powi(count);
            let nothing = (1.0 - odds.mismatch - odds.withheld).max(0.0).powi(count);
            chance * (MISMATCH_SLASH * (1.0 - no_mismatch) + WITHHELD_SLASH * (no_mismatch - nothing))
        })
        .sum()
}

/// What cheating on `fraction` of a batch brings, as part of the batch's value, with `stake` times that value at stake.
pub fn value_of_cheating(fraction: f64, mean_slash: f64, stake: f64) -> f64 {
    HOST_SHARE * fraction - mean_slash * stake
}

/// The stake, as a multiple of the batch's value, above which it does not pay.
pub fn break_even_stake(fraction: f64, mean_slash: f64) -> f64 {
    HOST_SHARE * fraction / mean_slash
}

/// The same for a host that also makes blocks and withholds those at the end of an epoch whose randomness it does not
/// like. With a share `authors` of all slots it has the last `n` of them to itself in `authors^n x (1 - authors)` of the
/// epochs, and then picks among `2^n` draws; `found` is the chance to be found out in one.
pub fn found_with_withheld_blocks(found: f64, authors: f64) -> f64 {
    (0..16i32)
        .map(|n| authors.powi(n) * (1.0 - authors) * found.powf(2f64.powi(n)))
        .sum()
}

/// What paying oneself brings at most, as part of the fee: the host has its share and the bonus back; its friends sit on
/// `friends` of the seats that are paid for an audit, and get a fee each as long as the verifiers' budget reaches.
pub fn value_of_self_dealing(rate: f64, friends: f64) -> f64 {
    HOST_SHARE + BONUS_SHARE * POOL_SHARE - 1.0 + (rate * friends).min(REWARD_SHARE)
}
