//! What goes into the draw of hosts: the order of jobs, and the weight of a host. The draw itself is
//! [`llmesh_proofs::draw::weighted`].

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use llmesh_primitives::{JobId, Priority};
use scale_info::TypeInfo;
use sp_runtime::Perbill;

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
