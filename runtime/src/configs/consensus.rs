//! Who makes blocks, who finalises them, and what happens to those who cheat at it.

use crate::{
    AccountId, Babe, Balances, Historical, MeshStaking, Offences, Runtime, RuntimeEvent, Session,
    SessionKeys,
    constants::{currency::deposit, limits::MAX_AUTHORITIES, time::SLOT_DURATION},
    timing::{EpochSlots, ReportLongevity},
};
use frame_support::{
    parameter_types,
    traits::{ConstU32, ConstU64},
};
use pallet_session::{disabling::UpToLimitDisablingStrategy, historical};
use sp_runtime::traits::{ConvertInto, OpaqueKeys};

impl pallet_babe::Config for Runtime {
    type EpochDuration = EpochSlots<Runtime>;
    type ExpectedBlockTime = ConstU64<SLOT_DURATION>;
    // Epochs follow sessions, so that a new set of validators starts with a new epoch.
    type EpochChangeTrigger = pallet_babe::ExternalTrigger;
    type DisabledValidators = Session;
    type WeightInfo = ();
    type MaxAuthorities = ConstU32<MAX_AUTHORITIES>;
    type MaxNominators = ConstU32<0>;
    type KeyOwnerProof = sp_session::MembershipProof;
    type EquivocationReportSystem =
        pallet_babe::EquivocationReportSystem<Runtime, Offences, Historical, ReportLongevity<Runtime>>;
}

parameter_types! {
    /// Sessions of which GRANDPA remembers the set of voters, to check a late report of an equivocation: a week of
    /// five-minute sessions.
    pub const MaxSetIdSessionEntries: u64 = 7 * 24 * 12;
}

impl pallet_grandpa::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = ();
    type MaxAuthorities = ConstU32<MAX_AUTHORITIES>;
    type MaxNominators = ConstU32<0>;
    type MaxSetIdSessionEntries = MaxSetIdSessionEntries;
    type KeyOwnerProof = sp_session::MembershipProof;
    type EquivocationReportSystem =
        pallet_grandpa::EquivocationReportSystem<Runtime, Offences, Historical, ReportLongevity<Runtime>>;
}

impl pallet_authorship::Config for Runtime {
    type FindAuthor = pallet_session::FindAccountFromAuthorIndex<Runtime, Babe>;
    type EventHandler = ();
}

/// Elects the validators of a session.
pub type Validators = MeshStaking;
/// Hears of proven equivocations.
pub type OnOffence = MeshStaking;

parameter_types! {
    /// Held while session keys are set: two keys of 32 bytes, their owners' entries included.
    pub const KeyDeposit: crate::Balance = deposit(3, 200);
}

impl pallet_session::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type ValidatorId = AccountId;
    type ValidatorIdOf = ConvertInto;
    type ShouldEndSession = Babe;
    type NextSessionRotation = Babe;
    type SessionManager = historical::NoteHistoricalRoot<Runtime, Validators>;
    type SessionHandler = <SessionKeys as OpaqueKeys>::KeyTypeIdProviders;
    type Keys = SessionKeys;
    type DisablingStrategy = UpToLimitDisablingStrategy;
    type WeightInfo = pallet_session::weights::SubstrateWeight<Runtime>;
    type Currency = Balances;
    type KeyDeposit = KeyDeposit;
}

impl historical::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    // A validator is its account: what it has bonded is read when it is slashed.
    type FullIdentification = ();
    type FullIdentificationOf = pallet_mesh_staking::UnitIdentification<Runtime>;
}

impl pallet_offences::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type IdentificationTuple = historical::IdentificationTuple<Runtime>;
    type OnOffenceHandler = OnOffence;
}
