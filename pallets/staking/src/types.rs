//! What the pallet stores.

use crate::Config;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{BoundedVec, CloneNoBound, DebugNoBound, DefaultNoBound, EqNoBound, PartialEqNoBound};
use frame_system::pallet_prelude::BlockNumberFor;
use llmesh_primitives::WorkerRecord;
use scale_info::TypeInfo;
use sp_runtime::Perbill;

/// What an operator can do with its stake behind it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub enum Role {
    /// Computes jobs.
    Host,
    /// Re-executes the work of hosts.
    Verifier,
    /// Takes part in consensus when elected.
    Validator,
}

/// The roles that an operator plays at present.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Roles {
    pub host: bool,
    pub verifier: bool,
    pub validator: bool,
}

impl Roles {
    /// Whether any role is on.
    pub const fn any(&self) -> bool {
        self.host || self.verifier || self.validator
    }
}

/// Everything that is known of an operator beside the single bonds. Amounts in planck.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Operator<BlockNumber> {
    /// The operator's own active bond.
    pub own: u128,
    /// Active delegations, all together.
    pub delegated: u128,
    /// Own and delegated funds that are unbonding.
    pub unbonding: u128,
    /// The operator's part of the delegators' revenue.
    pub commission: Perbill,
    /// Block of the last raise of the commission.
    pub last_raise: Option<BlockNumber>,
    pub roles: Roles,
    /// Revenue per delegated planck since the operator came into being, times [`crate::REWARD_SCALE`].
    pub reward_index: u128,
    /// Number of bonds that are not the operator's own.
    pub delegators: u32,
}

impl<BlockNumber> Operator<BlockNumber> {
    /// Active stake, own and delegated.
    pub const fn stake(&self) -> u128 {
        self.own.saturating_add(self.delegated)
    }

    /// Whether nothing is bonded, unbonding or owed any more.
    pub const fn is_vacant(&self) -> bool {
        self.own == 0 && self.delegated == 0 && self.unbonding == 0 && self.delegators == 0
    }
}

/// Funds on their way out.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct UnlockChunk<BlockNumber> {
    /// In planck.
    pub amount: u128,
    /// First block in which the funds can be withdrawn.
    pub unlock_at: BlockNumber,
}

/// What one account has bonded behind one operator. Amounts in planck.
#[derive(
    Encode,
    Decode,
    MaxEncodedLen,
    TypeInfo,
    CloneNoBound,
    DebugNoBound,
    DefaultNoBound,
    EqNoBound,
    PartialEqNoBound,
)]
#[codec(mel_bound(T: Config))]
#[scale_info(skip_type_params(T))]
pub struct Bond<T: Config> {
    /// Earns revenue and counts as stake.
    pub active: u128,
    /// Waits for its block; earns nothing, does not count as stake, is slashed all the same.
    pub unbonding: BoundedVec<UnlockChunk<BlockNumberFor<T>>, T::MaxUnlocking>,
    /// The operator's reward index when `rewards` was last brought up to date. Unused in the operator's own bond.
    pub reward_index: u128,
    /// Revenue that can be claimed, as of `reward_index`. Unused in the operator's own bond.
    pub rewards: u128,
}

impl<T: Config> Bond<T> {
    /// Funds that are unbonding.
    pub fn unbonding_total(&self) -> u128 {
        self.unbonding
            .iter()
            .fold(0, |n, chunk| n.saturating_add(chunk.amount))
    }

    /// Whether the record can go.
    pub fn is_empty(&self) -> bool {
        self.active == 0 && self.unbonding.is_empty() && self.rewards == 0
    }
}

/// A worker record and what was set aside for its storage.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Worker {
    pub record: WorkerRecord,
    /// In planck.
    pub deposit: u128,
}

/// What a slash took, in planck.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct SlashedAmounts {
    /// From the operator's own active bond.
    pub own: u128,
    /// From active delegations.
    pub delegated: u128,
    /// From own and delegated funds that were unbonding.
    pub unbonding: u128,
}

impl SlashedAmounts {
    /// All together.
    pub const fn total(&self) -> u128 {
        self.own
            .saturating_add(self.delegated)
            .saturating_add(self.unbonding)
    }
}
