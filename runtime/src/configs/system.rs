//! The base: blocks, accounts, balances and fees.

use super::governance::{SafetyFilter, dynamic_params};
use crate::{
    AccountId, Authorship, Balance, Balances, Block, BlockNumber, Hash, Moment, MultiBlockMigrations, Nonce,
    PalletInfo, Runtime, RuntimeCall, RuntimeEvent, RuntimeFreezeReason, RuntimeHoldReason, RuntimeOrigin,
    RuntimeTask, System, UncheckedExtrinsic, VERSION,
    constants::{
        currency::EXISTENTIAL_DEPOSIT,
        limits::{
            AVERAGE_ON_INITIALIZE_RATIO, MAXIMUM_BLOCK_LENGTH, MAXIMUM_BLOCK_WEIGHT, NORMAL_DISPATCH_RATIO,
        },
        time::{DAYS, SLOT_DURATION},
    },
    timing,
};
use frame_support::{
    PalletId,
    dispatch::DispatchClass,
    parameter_types,
    traits::{
        ConstU8, ConstU16, ConstU32, ConstU64, ConstU128, OnUnbalanced, VariantCountOf,
        fungible::{Balanced, Credit},
        tokens::{PayFromAccount, UnityAssetBalanceConversion},
    },
    weights::{
        Weight, WeightToFee,
        constants::{BlockExecutionWeight, ExtrinsicBaseWeight, ParityDbWeight, WEIGHT_REF_TIME_PER_SECOND},
    },
};
use frame_system::{
    EnsureRoot, EnsureRootWithSuccess,
    limits::{BlockLength, BlockWeights},
};
use pallet_transaction_payment::{FungibleAdapter, Multiplier, TargetedFeeAdjustment};
use sp_runtime::{
    FixedPointNumber, Permill, Perquintill,
    traits::{AccountIdConversion, AccountIdLookup, BlakeTwo256, Get, IdentityLookup},
};
use sp_version::RuntimeVersion;

/// Migrations that run inside the first block of a new runtime. Longer ones go into `pallet_migrations`.
pub type SingleBlockMigrations = ();

parameter_types! {
    pub const Version: RuntimeVersion = VERSION;
    /// A client that signs for a mortal era needs the hash of a block that is not older than this.
    pub const BlockHashCount: BlockNumber = 4_096;

    pub RuntimeBlockLength: BlockLength = BlockLength::builder()
        .max_length(MAXIMUM_BLOCK_LENGTH)
        .modify_max_length_for_class(DispatchClass::Normal, |bytes| *bytes = NORMAL_DISPATCH_RATIO * *bytes)
        .build();

    pub RuntimeBlockWeights: BlockWeights = BlockWeights::builder()
        .base_block(BlockExecutionWeight::get())
        .for_class(DispatchClass::all(), |class| class.base_extrinsic = ExtrinsicBaseWeight::get())
        .for_class(DispatchClass::Normal, |class| {
            class.max_total = Some(NORMAL_DISPATCH_RATIO * MAXIMUM_BLOCK_WEIGHT);
        })
        .for_class(DispatchClass::Operational, |class| {
            class.max_total = Some(MAXIMUM_BLOCK_WEIGHT);
            class.reserved = Some(MAXIMUM_BLOCK_WEIGHT - NORMAL_DISPATCH_RATIO * MAXIMUM_BLOCK_WEIGHT);
        })
        .avg_block_initialization(AVERAGE_ON_INITIALIZE_RATIO)
        .build_or_panic();
}

impl frame_system::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type BaseCallFilter = SafetyFilter;
    type BlockWeights = RuntimeBlockWeights;
    type BlockLength = RuntimeBlockLength;
    type RuntimeOrigin = RuntimeOrigin;
    type RuntimeCall = RuntimeCall;
    type RuntimeTask = RuntimeTask;
    type Nonce = Nonce;
    type Hash = Hash;
    type Hashing = BlakeTwo256;
    type AccountId = AccountId;
    type Lookup = AccountIdLookup<AccountId, ()>;
    type Block = Block;
    type BlockHashCount = BlockHashCount;
    type DbWeight = ParityDbWeight;
    type Version = Version;
    type PalletInfo = PalletInfo;
    type AccountData = pallet_balances::AccountData<Balance>;
    type OnNewAccount = ();
    type OnKilledAccount = ();
    type SystemWeightInfo = frame_system::weights::SubstrateWeight<Runtime>;
    type ExtensionsWeightInfo = frame_system::SubstrateExtensionsWeight<Runtime>;
    type SS58Prefix = ConstU16<42>;
    type OnSetCode = ();
    type MaxConsumers = ConstU32<64>;
    type SingleBlockMigrations = SingleBlockMigrations;
    type MultiBlockMigrator = MultiBlockMigrations;
    type PreInherents = ();
    type PostInherents = ();
    type PostTransactions = ();
}

impl pallet_timestamp::Config for Runtime {
    type Moment = Moment;
    type OnTimestampSet = crate::Babe;
    type MinimumPeriod = ConstU64<{ SLOT_DURATION / 2 }>;
    type WeightInfo = pallet_timestamp::weights::SubstrateWeight<Runtime>;
}

impl timing::Config for Runtime {}

impl pallet_balances::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeHoldReason = RuntimeHoldReason;
    type RuntimeFreezeReason = RuntimeFreezeReason;
    type WeightInfo = pallet_balances::weights::SubstrateWeight<Runtime>;
    type Balance = Balance;
    type DustRemoval = ();
    type ExistentialDeposit = ConstU128<EXISTENTIAL_DEPOSIT>;
    type AccountStore = System;
    type ReserveIdentifier = [u8; 8];
    type FreezeIdentifier = RuntimeFreezeReason;
    type MaxLocks = ConstU32<50>;
    type MaxReserves = ConstU32<50>;
    type MaxFreezes = VariantCountOf<RuntimeFreezeReason>;
    type DoneSlashHandler = ();
}

parameter_types! {
    /// Fees rise while blocks are fuller than this, and fall again when they are not.
    pub const TargetBlockFullness: Perquintill = Perquintill::from_percent(25);
    pub AdjustmentVariable: Multiplier = Multiplier::saturating_from_rational(75, 1_000_000);
    /// A quiet chain charges the plain price, a crowded one at most a hundred times as much.
    pub MinimumMultiplier: Multiplier = Multiplier::saturating_from_integer(1);
    pub MaximumMultiplier: Multiplier = Multiplier::saturating_from_integer(100);
}

impl pallet_transaction_payment::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type OnChargeTransaction = FungibleAdapter<Balances, ToAuthor>;
    type WeightToFee = TimePrice;
    type LengthToFee = BytePrice;
    type FeeMultiplierUpdate = TargetedFeeAdjustment<
        Runtime,
        TargetBlockFullness,
        AdjustmentVariable,
        MinimumMultiplier,
        MaximumMultiplier,
    >;
    type OperationalFeeMultiplier = ConstU8<5>;
    type WeightInfo = pallet_transaction_payment::weights::SubstrateWeight<Runtime>;
}

/// Price of execution time: a governed price for a second, in proportion.
pub struct TimePrice;
impl WeightToFee for TimePrice {
    type Balance = Balance;

    fn weight_to_fee(weight: &Weight) -> Balance {
        dynamic_params::fees::PricePerSecond::get().saturating_mul(weight.ref_time().into())
            / Balance::from(WEIGHT_REF_TIME_PER_SECOND)
    }
}

/// Price of a transaction's bytes. Transaction-payment passes the length as the weight's time.
pub struct BytePrice;
impl WeightToFee for BytePrice {
    type Balance = Balance;

    fn weight_to_fee(length: &Weight) -> Balance {
        dynamic_params::fees::PricePerByte::get().saturating_mul(length.ref_time().into())
    }
}

/// Fees and tips go to the author of the block.
pub struct ToAuthor;
impl OnUnbalanced<Credit<AccountId, Balances>> for ToAuthor {
    fn on_nonzero_unbalanced(credit: Credit<AccountId, Balances>) {
        let receiver = Authorship::author().unwrap_or_else(TreasuryAccount::get);
        // Fails when the receiver does not exist and the fee is below the existential deposit: then it is burnt.
        let _ = Balances::resolve(&receiver, credit);
    }
}

parameter_types! {
    pub const TreasuryPalletId: PalletId = PalletId(*b"msh/trsy");
    pub TreasuryAccount: AccountId = TreasuryPalletId::get().into_account_truncating();
    pub const MaximumSpend: Balance = Balance::MAX;
}

impl pallet_treasury::Config for Runtime {
    type Currency = Balances;
    type RejectOrigin = EnsureRoot<AccountId>;
    type RuntimeEvent = RuntimeEvent;
    type SpendPeriod = ConstU32<DAYS>;
    type Burn = BurnNothing;
    type PalletId = TreasuryPalletId;
    type BurnDestination = ();
    type WeightInfo = pallet_treasury::weights::SubstrateWeight<Runtime>;
    type SpendFunds = ();
    type MaxApprovals = ConstU32<100>;
    type SpendOrigin = EnsureRootWithSuccess<AccountId, MaximumSpend>;
    type AssetKind = ();
    type Beneficiary = AccountId;
    type BeneficiaryLookup = IdentityLookup<AccountId>;
    type Paymaster = PayFromAccount<Balances, TreasuryAccount>;
    type BalanceConverter = UnityAssetBalanceConversion;
    type PayoutPeriod = ConstU32<{ 30 * DAYS }>;
    type BlockNumberProvider = System;
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = ();
}

parameter_types! {
    pub const BurnNothing: Permill = Permill::zero();
}

impl<LocalCall> frame_system::offchain::CreateTransactionBase<LocalCall> for Runtime
where
    RuntimeCall: From<LocalCall>,
{
    type RuntimeCall = RuntimeCall;
    type Extrinsic = UncheckedExtrinsic;
}

impl<LocalCall> frame_system::offchain::CreateBare<LocalCall> for Runtime
where
    RuntimeCall: From<LocalCall>,
{
    fn create_bare(call: RuntimeCall) -> UncheckedExtrinsic {
        UncheckedExtrinsic::new_bare(call)
    }
}
