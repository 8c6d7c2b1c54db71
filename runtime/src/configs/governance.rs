//! Who can change the chain, how it is halted in an emergency, and what accounts can do together or for one another.

use super::compute::ComputeCalls;
use crate::{
    AccountId, Balance, Balances, BlockNumber, OriginCaller, Preimage, Runtime, RuntimeCall, RuntimeEvent,
    RuntimeHoldReason, RuntimeOrigin, SafeMode, System, TxPause,
    constants::{
        currency::{MESH, MICRO_MESH, deposit},
        limits::MAXIMUM_BLOCK_WEIGHT,
        time::HOURS,
    },
};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{
    dynamic_params::{dynamic_pallet_params, dynamic_params},
    migrations::{EnterSafeModeOnFailedMigration, FreezeChainOnFailedMigration},
    parameter_types,
    traits::{
        AsEnsureOriginWithArg, ConstU32, Contains, EqualPrivilegeOnly, InsideBoth, InstanceFilter,
        LinearStoragePrice, fungible::HoldConsideration,
    },
    weights::Weight,
};
use frame_system::{EnsureRoot, EnsureRootWithSuccess};
use pallet_tx_pause::RuntimeCallNameOf;
use scale_info::TypeInfo;
use sp_runtime::{Perbill, traits::BlakeTwo256};

/// Values that Root can change without a new runtime. A pallet reads one as `Get<T>`.
#[dynamic_params(RuntimeParameters, pallet_parameters::Parameters::<Runtime>)]
pub mod dynamic_params {
    use super::*;

    /// What a transaction pays besides its tip.
    #[dynamic_pallet_params]
    #[codec(index = 0)]
    pub mod fees {
        /// Price of a second of execution on the reference machine.
        #[codec(index = 0)]
        pub static PricePerSecond: Balance = 10 * MESH;

        /// Price of a byte of the encoded transaction.
        #[codec(index = 1)]
        pub static PricePerByte: Balance = MICRO_MESH;
    }

    /// How long things take in the jobs pallet, in blocks.
    #[dynamic_pallet_params]
    #[codec(index = 1)]
    pub mod jobs {
        /// Blocks that a host has for its result.
        #[codec(index = 0)]
        pub static ResultDeadline: BlockNumber = 10;

        /// Blocks after which no more hosts are drawn for a job.
        #[codec(index = 1)]
        pub static TimeToLive: BlockNumber = 50;

        /// Blocks for which the record of a finished job is kept.
        #[codec(index = 2)]
        pub static Retention: BlockNumber = HOURS;

        /// Blocks between two tries to find a host.
        #[codec(index = 3)]
        pub static RetryInterval: BlockNumber = 2;

        /// Deadlines missed in a row after which draws pass a host over.
        #[codec(index = 4)]
        pub static MaxMissed: u32 = 3;
    }
}

#[cfg(feature = "runtime-benchmarks")]
impl Default for RuntimeParameters {
    fn default() -> Self {
        RuntimeParameters::Fees(dynamic_params::fees::Parameters::PricePerByte(
            dynamic_params::fees::PricePerByte,
            Some(MICRO_MESH),
        ))
    }
}

impl pallet_parameters::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeParameters = RuntimeParameters;
    type AdminOrigin = AsEnsureOriginWithArg<EnsureRoot<AccountId>>;
    type WeightInfo = ();
}

/// Transactions that neither the safe mode nor a pause of their call holds back.
pub type SafetyFilter = InsideBoth<SafeMode, TxPause>;

/// What goes on in safe mode: the inherents, reports of equivocations, what ends the safe mode, and what hosts and
/// verifiers must do while their time runs: it runs in safe mode too.
pub struct AlwaysAllowed;
impl Contains<RuntimeCall> for AlwaysAllowed {
    fn contains(call: &RuntimeCall) -> bool {
        matches!(
            call,
            RuntimeCall::System(_)
                | RuntimeCall::Timestamp(_)
                | RuntimeCall::Babe(_)
                | RuntimeCall::Grandpa(_)
                | RuntimeCall::Attestation(
                    pallet_attestation::Call::open { .. }
                        | pallet_attestation::Call::commit { .. }
                        | pallet_attestation::Call::publish { .. }
                        | pallet_attestation::Call::reveal { .. }
                )
                | RuntimeCall::Settlement(
                    pallet_settlement::Call::claim { .. } | pallet_settlement::Call::claim_batch { .. }
                )
                | RuntimeCall::Session(_)
                | RuntimeCall::Sudo(_)
                | RuntimeCall::SafeMode(_)
                | RuntimeCall::TxPause(_)
        )
    }
}

parameter_types! {
    pub const SafeModeDuration: BlockNumber = 4 * HOURS;
    /// Nobody buys a halt of the chain: only Root enters the safe mode.
    pub const NoDeposit: Option<Balance> = None;
    pub const NoRelease: Option<BlockNumber> = None;
}

impl pallet_safe_mode::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type WhitelistedCalls = AlwaysAllowed;
    type EnterDuration = SafeModeDuration;
    type ExtendDuration = SafeModeDuration;
    type EnterDepositAmount = NoDeposit;
    type ExtendDepositAmount = NoDeposit;
    type ForceEnterOrigin = EnsureRootWithSuccess<AccountId, SafeModeDuration>;
    type ForceExtendOrigin = EnsureRootWithSuccess<AccountId, SafeModeDuration>;
    type ForceExitOrigin = EnsureRoot<AccountId>;
    type ForceDepositOrigin = EnsureRoot<AccountId>;
    type Notify = ();
    type ReleaseDelay = NoRelease;
    type WeightInfo = pallet_safe_mode::weights::SubstrateWeight<Runtime>;
}

/// Calls that can not be paused: a chain without its timestamp stands still, and the rest is the way back.
pub struct NeverPaused;
impl Contains<RuntimeCallNameOf<Runtime>> for NeverPaused {
    fn contains((pallet, _call): &RuntimeCallNameOf<Runtime>) -> bool {
        let names: [&[u8]; 4] = [b"Timestamp", b"System", b"Sudo", b"SafeMode"];
        names.contains(&pallet.as_slice())
    }
}

impl pallet_tx_pause::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeCall = RuntimeCall;
    type PauseOrigin = EnsureRoot<AccountId>;
    type UnpauseOrigin = EnsureRoot<AccountId>;
    type WhitelistedCalls = NeverPaused;
    type MaxNameLen = ConstU32<256>;
    type WeightInfo = pallet_tx_pause::weights::SubstrateWeight<Runtime>;
}

parameter_types! {
    pub MigrationWeight: Weight = Perbill::from_percent(50) * MAXIMUM_BLOCK_WEIGHT;
    pub SchedulerWeight: Weight = Perbill::from_percent(60) * MAXIMUM_BLOCK_WEIGHT;
}

impl pallet_migrations::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    #[cfg(not(feature = "runtime-benchmarks"))]
    type Migrations = ();
    #[cfg(feature = "runtime-benchmarks")]
    type Migrations = pallet_migrations::mock_helpers::MockedMigrations;
    type CursorMaxLen = ConstU32<65_536>;
    type IdentifierMaxLen = ConstU32<256>;
    type MigrationStatusHandler = ();
    type FailedMigrationHandler = EnterSafeModeOnFailedMigration<SafeMode, FreezeChainOnFailedMigration>;
    type MaxServiceWeight = MigrationWeight;
    type WeightInfo = pallet_migrations::weights::SubstrateWeight<Runtime>;
}

impl pallet_sudo::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeCall = RuntimeCall;
    type WeightInfo = pallet_sudo::weights::SubstrateWeight<Runtime>;
}

parameter_types! {
    pub const PreimageBaseDeposit: Balance = deposit(2, 64);
    pub const PreimageByteDeposit: Balance = deposit(0, 1);
    pub const PreimageHoldReason: RuntimeHoldReason =
        RuntimeHoldReason::Preimage(pallet_preimage::HoldReason::Preimage);
}

impl pallet_preimage::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = pallet_preimage::weights::SubstrateWeight<Runtime>;
    type Currency = Balances;
    type ManagerOrigin = EnsureRoot<AccountId>;
    type Consideration = HoldConsideration<
        AccountId,
        Balances,
        PreimageHoldReason,
        LinearStoragePrice<PreimageBaseDeposit, PreimageByteDeposit, Balance>,
    >;
}

impl pallet_scheduler::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeOrigin = RuntimeOrigin;
    type PalletsOrigin = OriginCaller;
    type RuntimeCall = RuntimeCall;
    type MaximumWeight = SchedulerWeight;
    type ScheduleOrigin = EnsureRoot<AccountId>;
    type OriginPrivilegeCmp = EqualPrivilegeOnly;
    type MaxScheduledPerBlock = ConstU32<50>;
    type WeightInfo = pallet_scheduler::weights::SubstrateWeight<Runtime>;
    type Preimages = Preimage;
    type BlockNumberProvider = System;
}

impl pallet_utility::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeCall = RuntimeCall;
    type PalletsOrigin = OriginCaller;
    type WeightInfo = pallet_utility::weights::SubstrateWeight<Runtime>;
}

parameter_types! {
    /// One entry, whose key is a 32-byte hash.
    pub const MultisigDepositBase: Balance = deposit(1, 88);
    pub const MultisigDepositFactor: Balance = deposit(0, 32);
}

impl pallet_multisig::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeCall = RuntimeCall;
    type Currency = Balances;
    type DepositBase = MultisigDepositBase;
    type DepositFactor = MultisigDepositFactor;
    type MaxSignatories = ConstU32<100>;
    type WeightInfo = pallet_multisig::weights::SubstrateWeight<Runtime>;
    type BlockNumberProvider = System;
}

/// What an account lets another one do in its name.
#[derive(
    Copy,
    Clone,
    Eq,
    PartialEq,
    Ord,
    PartialOrd,
    Encode,
    Decode,
    DecodeWithMemTracking,
    Debug,
    Default,
    MaxEncodedLen,
    TypeInfo,
)]
pub enum ProxyType {
    /// Everything.
    #[default]
    #[codec(index = 0)]
    Any,
    /// Everything that does not move funds.
    #[codec(index = 1)]
    NonTransfer,
    /// Results, offers and roles: for the hot key of a worker. See [`ComputeCalls`].
    #[codec(index = 2)]
    Compute,
    /// Veto of announced calls.
    #[codec(index = 3)]
    CancelProxy,
}

impl InstanceFilter<RuntimeCall> for ProxyType {
    fn filter(&self, call: &RuntimeCall) -> bool {
        match self {
            ProxyType::Any => true,
            ProxyType::NonTransfer => {
                // Who names a channel's signer and hosts can send them its funds.
                !matches!(
                    call,
                    RuntimeCall::Balances(_)
                        | RuntimeCall::Sudo(_)
                        | RuntimeCall::Attestation(pallet_attestation::Call::challenge { .. })
                        | RuntimeCall::Settlement(
                            pallet_settlement::Call::open_channel { .. }
                                | pallet_settlement::Call::add_lane { .. }
                                | pallet_settlement::Call::fund_lane { .. }
                                | pallet_settlement::Call::reopen { .. }
                        )
                )
            }
            ProxyType::Compute => {
                ComputeCalls::contains(call)
                    || matches!(
                        call,
                        RuntimeCall::Session(_)
                            | RuntimeCall::Utility(
                                pallet_utility::Call::batch { .. }
                                    | pallet_utility::Call::batch_all { .. }
                                    | pallet_utility::Call::force_batch { .. }
                            )
                    )
            }
            ProxyType::CancelProxy => {
                matches!(
                    call,
                    RuntimeCall::Proxy(pallet_proxy::Call::reject_announcement { .. })
                )
            }
        }
    }

    fn is_superset(&self, other: &Self) -> bool {
        match (self, other) {
            (ProxyType::Any, _) => true,
            (_, ProxyType::Any) => false,
            (a, b) => a == b,
        }
    }
}

parameter_types! {
    pub const ProxyDepositBase: Balance = deposit(1, 8);
    pub const ProxyDepositFactor: Balance = deposit(0, 33);
    pub const AnnouncementDepositBase: Balance = deposit(1, 8);
    pub const AnnouncementDepositFactor: Balance = deposit(0, 66);
}

impl pallet_proxy::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeCall = RuntimeCall;
    type Currency = Balances;
    type ProxyType = ProxyType;
    type ProxyDepositBase = ProxyDepositBase;
    type ProxyDepositFactor = ProxyDepositFactor;
    type MaxProxies = ConstU32<32>;
    type WeightInfo = pallet_proxy::weights::SubstrateWeight<Runtime>;
    type MaxPending = ConstU32<32>;
    type CallHasher = BlakeTwo256;
    type AnnouncementDepositBase = AnnouncementDepositBase;
    type AnnouncementDepositFactor = AnnouncementDepositFactor;
    type BlockNumberProvider = System;
}
