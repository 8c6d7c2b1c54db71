//! The weighted draw of hosts, as pure functions.

use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use llmesh_primitives::{JobId, Priority};
use scale_info::TypeInfo;
use sp_core::{H256, U256};
use sp_runtime::{
    Perbill,
    traits::{BlakeTwo256, Hash},
};

/// Key of a job in one block's agenda. With the `Identity` hasher the storage order is the order of work: urgent jobs
/// first, then by age.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct AgendaKey {
    /// 0 is urgent, 2 is normal.
    rank: u8,
    /// Big-endian, so that bytes sort as numbers do.
    job: [u8; 8],
}

impl AgendaKey {
    /// The key of `job`.
    pub fn new(priority: Priority, job: JobId) -> Self {
        let rank = match priority {
            Priority::Urgent => 0,
            Priority::High => 1,
            Priority::Normal => 2,
        };
        Self {
            rank,
            job: job.to_be_bytes(),
        }
    }

    /// The job that the key belongs to.
    pub fn job(&self) -> JobId {
        JobId::from_be_bytes(self.job)
    }
}

/// Weight of a host in the draw: stake x reputation x free capacity.
///
/// `stake` in planck, `free` in jobs. Saturates only beyond 10^12 MESH.
pub fn weight(stake: u128, reputation: Perbill, free: u32) -> u128 {
    stake
        .saturating_mul(u128::from(reputation.deconstruct()))
        .saturating_mul(u128::from(free))
}

/// Draws up to `count` different positions of `weights`, each with a probability in proportion to its weight among
/// those not drawn yet. Positions of weight zero are never drawn.
///
/// The same seed gives the same draw. The modulo bias is below 2^-110 (256 random bits against a sum below 2^146).
pub fn draw(weights: &[u128], count: usize, seed: H256) -> Vec<usize> {
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
