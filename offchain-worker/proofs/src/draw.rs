//! The weighted draw, for hosts of jobs and for committees of audits.

use alloc::vec::Vec;
use sp_core::{H256, U256};
use sp_runtime::traits::{BlakeTwo256, Hash};

/// Draws up to `count` different positions of `weights`, each with a probability in proportion to its weight among
/// those not drawn yet. Positions of weight zero are never drawn.
///
/// The same seed gives the same draw, and a draw of more begins with the draw of fewer. The modulo bias is below 2^-110
/// (256 random bits against a sum below 2^146).
pub fn weighted(weights: &[u128], count: usize, seed: H256) -> Vec<usize> {
    let mut left: Vec<(usize, u128)> = weights
        .iter()
        .copied()
        .enumerate()
        .filter(|(_, weight)| *weight > 0)
        .collect();
    let mut drawn = Vec::new();
    let mut seed = seed;
    while drawn.len() < count && !left.is_empty() {
        let total = left
            .iter()
            .fold(U256::zero(), |sum, (_, w)| sum.saturating_add(U256::from(*w)));
        let Some(mut ticket) = U256::from_big_endian(seed.as_bytes()).checked_rem(total) else {
            break;
        };
        let hit = left
            .iter()
            .position(|(_, w)| match ticket.checked_sub(U256::from(*w)) {
                Some(rest) => {
                    ticket = rest;
                    false
                }
                None => true,
            });
        let Some(hit) = hit else { break };
        drawn.push(left.remove(hit).0);
        seed = BlakeTwo256::hash(seed.as_bytes());
    }
    drawn
}
