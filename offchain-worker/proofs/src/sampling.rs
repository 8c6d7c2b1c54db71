//! Which points of a batch are audited, and the seeds of all that follows: pure functions of the chain's randomness, so
//! that nobody has to submit a draw and everybody can repeat it.
//!
//! Every seed is BLAKE2b-256 over a domain of its own and fixed-width fields:
//!
//! ```text
//! draw seed      = blake2_256("llmesh/poc-draw/v1" ++ randomness ++ batch (u64))
//! audit seed     = blake2_256("llmesh/poc-audit/v1" ++ draw seed ++ index of the point (u32))
//! committee seed = blake2_256("llmesh/poc-committee/v1" ++ audit seed)
//! stage seed     = blake2_256("llmesh/poc-stage/v1" ++ audit seed ++ stage (u8))
//! ```

use alloc::vec::Vec;
use codec::Encode;
use core::ops::Range;
use llmesh_primitives::BatchId;
use sp_core::{H256, U256};
use sp_runtime::{
    PerThing, Perbill,
    traits::{BlakeTwo256, Hash},
};

/// The share of receipts that is audited however good the host's reputation is.
pub const LOWEST_RATE: Perbill = Perbill::from_percent(5);

const DRAW: &[u8; 18] = b"llmesh/poc-draw/v1";
const AUDIT: &[u8; 19] = b"llmesh/poc-audit/v1";
const COMMITTEE: &[u8; 23] = b"llmesh/poc-committee/v1";
const STAGE: &[u8; 19] = b"llmesh/poc-stage/v1";
const COUNT: &[u8; 19] = b"llmesh/poc-count/v1";
const POINT: &[u8; 19] = b"llmesh/poc-point/v1";

/// Share of a host's receipts that is audited: what its reputation lacks, at least [`LOWEST_RATE`].
pub fn rate(reputation: Perbill) -> Perbill {
    reputation.left_from_one().max(LOWEST_RATE)
}

/// Seed of the draw of one batch.
pub fn draw_seed(randomness: H256, batch: BatchId) -> H256 {
    BlakeTwo256::hash_of(&(DRAW, randomness, batch))
}

/// The points of `values` to audit, in rising order.
///
/// Their number is `rate` x `receipts`, the fraction of it by chance so that it is right on average, and at most `most`
/// or what `values` has. Each point is uniform in its own of as many equal parts of `values` (stratified sampling): a
/// planck is drawn with the same probability wherever it is, one receipt is seldom drawn twice, and of cheated receipts
/// that are spread out at least as many are hit as by points drawn one by one.
///
/// The modulo bias is below 2^-128 of a point's probability.
pub fn points(seed: H256, receipts: u32, values: Range<u128>, rate: Perbill, most: u32) -> Vec<u128> {
    let Some(width) = values.end.checked_sub(values.start).filter(|width| *width > 0) else {
        return Vec::new();
    };
    let billion = u64::from(Perbill::one().deconstruct());
    let expected = u64::from(receipts).saturating_mul(u64::from(rate.deconstruct()));
    let whole = expected.checked_div(billion).unwrap_or_default();
    let fraction = expected.checked_rem(billion).unwrap_or_default();
    let one_more = U256::from(fraction) > ticket(&(COUNT, seed), U256::from(billion));
    let count = whole
        .saturating_add(u64::from(one_more))
        .min(u64::from(most))
        .min(u64::try_from(width).unwrap_or(u64::MAX));

    // Where the part of this index begins, from the start of `values`.
    let bound = |part: u64| {
        let product = U256::from(width).saturating_mul(U256::from(part));
        product.checked_div(U256::from(count)).unwrap_or_default()
    };
    (0..count)
        .map(|part| {
            let (from, to) = (bound(part), bound(part.saturating_add(1)));
            let inside = ticket(&(POINT, seed, part), to.saturating_sub(from));
            let point = from
                .saturating_add(inside)
                .saturating_add(U256::from(values.start));
            // Below `values.end`, so it fits.
            point.low_u128()
        })
        .collect()
}

/// A number below `end` that is as good as random; 0 for an `end` of 0.
fn ticket<T: Encode>(subject: &T, end: U256) -> U256 {
    U256::from_big_endian(BlakeTwo256::hash_of(subject).as_bytes())
        .checked_rem(end)
        .unwrap_or_default()
}

/// Seed of the audit of the point at `index` of its batch's points.
pub fn audit_seed(draw_seed: H256, index: u32) -> H256 {
    BlakeTwo256::hash_of(&(AUDIT, draw_seed, index))
}

/// Seed of the draw of an audit's committee, for [`crate::draw::weighted`].
pub fn committee_seed(audit_seed: H256) -> H256 {
    BlakeTwo256::hash_of(&(COMMITTEE, audit_seed))
}

/// Seed of the sketches of one stage of an audit.
pub fn stage_seed(audit_seed: H256, stage: u8) -> H256 {
    BlakeTwo256::hash_of(&(STAGE, audit_seed, stage))
}
