//! Stake and worker records as clients see them.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use sp_core::{ConstU32, bounded::BoundedVec};
use sp_runtime::Perbill;

/// Longest endpoint (a multiaddr in text form) in bytes.
pub const MAX_ENDPOINT_BYTES: u32 = 128;
/// Most endpoints of one worker.
pub const MAX_ENDPOINTS: u32 = 4;

/// How a worker is found and spoken to. The chain is the root of trust for these keys.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct WorkerRecord {
    /// libp2p peer id (multihash bytes); empty while the worker takes part in no mesh.
    pub peer_id: BoundedVec<u8, ConstU32<64>>,
    /// X25519 public key of the current key epoch; zero while the worker takes part in no mesh.
    pub encryption_key: [u8; 32],
    /// Region label, for example `eu-west`.
    pub region: BoundedVec<u8, ConstU32<16>>,
    /// Multiaddrs in text form.
    pub endpoints: BoundedVec<BoundedVec<u8, ConstU32<MAX_ENDPOINT_BYTES>>, ConstU32<MAX_ENDPOINTS>>,
    /// What the machine can run; see the registry's runtime classes.
    pub capability: BoundedVec<crate::RuntimeClass, ConstU32<4>>,
}

/// An operator's stake and roles.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct StakeAccount {
    /// The operator's own active bond, in planck.
    pub own: u128,
    /// Active delegations of others, in planck.
    pub delegated: u128,
    /// Own and delegated funds that are unbonding, in planck.
    pub unbonding: u128,
    pub commission: Perbill,
    pub host: bool,
    pub verifier: bool,
    pub validator: bool,
    pub worker: Option<WorkerRecord>,
}
