//! A runtime for the tests: balances, the session pallet with history, and this pallet.

use crate as pallet_mesh_staking;
use crate::*;
use frame_support::{
    PalletId, derive_impl, parameter_types,
    traits::{
        ConstU32, ConstU64, ConstU128, Hooks, VariantCountOf,
        fungible::{Inspect, InspectHold},
    },
};
use llmesh_primitives::{
    RuntimeClass, WorkerRecord,
    traits::{Conduct, ReputationSink, RewardSink},
};
use pallet_session::disabling::UpToLimitDisablingStrategy;
use sp_runtime::{
    BuildStorage, DispatchResult, Perbill, impl_opaque_keys,
    testing::UintAuthorityId,
    traits::{ConvertInto, IdentityLookup},
};

pub type AccountId = u64;

/// Operators in tests, with this bond each where the builder creates them.
pub const ANNA: AccountId = 1;
pub const BERT: AccountId = 2;
pub const CARL: AccountId = 3;
/// Delegators in tests.
pub const DORA: AccountId = 11;
pub const EMIL: AccountId = 12;
/// Pays operators.
pub const PAYER: AccountId = 90;
/// Reports misconduct.
pub const REPORTER: AccountId = 91;
/// Receives what is slashed.
pub const TREASURY: AccountId = 92;
/// Has nothing.
pub const STRANGER: AccountId = 99;

pub const EXISTENTIAL_DEPOSIT: u128 = 5;
pub const ENDOWMENT: u128 = 1_000_000;
pub const MIN_BOND: u128 = 1_000;
pub const MIN_DELEGATION: u128 = 10;

#[frame_support::runtime]
mod runtime {
    #[runtime::runtime]
    #[runtime::derive(
        RuntimeCall,
        RuntimeEvent,
        RuntimeError,
        RuntimeOrigin,
        RuntimeFreezeReason,
        RuntimeHoldReason,
        RuntimeSlashReason,
        RuntimeLockId,
        RuntimeTask,
        RuntimeViewFunction
    )]
    pub struct Test;

    #[runtime::pallet_index(0)]
    pub type System = frame_system;
    #[runtime::pallet_index(1)]
    pub type Balances = pallet_balances;
    #[runtime::pallet_index(2)]
    pub type Staking = pallet_mesh_staking;
    #[runtime::pallet_index(3)]
    pub type Session = pallet_session;
    #[runtime::pallet_index(4)]
    pub type Historical = pallet_session::historical;
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type Block = frame_system::mocking::MockBlock<Test>;
    type DbWeight = frame_support::weights::constants::RocksDbWeight;
    type AccountData = pallet_balances::AccountData<u128>;
    type AccountId = AccountId;
    type Lookup = IdentityLookup<AccountId>;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
    type Balance = u128;
    type ExistentialDeposit = ConstU128<EXISTENTIAL_DEPOSIT>;
    type AccountStore = System;
    type RuntimeHoldReason = RuntimeHoldReason;
    type RuntimeFreezeReason = RuntimeFreezeReason;
    type MaxFreezes = VariantCountOf<RuntimeFreezeReason>;
}

impl_opaque_keys! {
    pub struct MockKeys {
        pub dummy: UintAuthorityId,
    }
}

impl pallet_session::Config for Test {
    type RuntimeEvent = RuntimeEvent;
    type ValidatorId = AccountId;
    type ValidatorIdOf = ConvertInto;
    type ShouldEndSession = pallet_session::PeriodicSessions<ConstU64<1_000_000>, ConstU64<1_000_000>>;
    type NextSessionRotation = ();
    type SessionManager = pallet_session::historical::NoteHistoricalRoot<Test, Staking>;
    type SessionHandler = pallet_session::TestSessionHandler;
    type Keys = MockKeys;
    type DisablingStrategy = UpToLimitDisablingStrategy<2>;
    type WeightInfo = ();
    type Currency = Balances;
    type KeyDeposit = ConstU128<0>;
}

impl pallet_session::historical::Config for Test {
    type RuntimeEvent = RuntimeEvent;
    type FullIdentification = ();
    type FullIdentificationOf = UnitIdentification<Test>;
}

parameter_types! {
    pub static UnbondingPeriod: u64 = 10;
    pub static Conducts: Vec<(AccountId, Conduct)> = Vec::new();
    pub const StakingPalletId: PalletId = PalletId(*b"llm/stak");
    pub const MaxCommission: Perbill = Perbill::from_percent(50);
    pub const MaxCommissionRaise: Perbill = Perbill::from_percent(5);
    pub const ReporterShare: Perbill = Perbill::from_percent(10);
    pub const Treasury: AccountId = TREASURY;
}

/// Writes down what is reported.
pub struct Recorder;

impl ReputationSink<AccountId> for Recorder {
    fn record(who: &AccountId, conduct: Conduct) {
        Conducts::mutate(|conducts| conducts.push((*who, conduct)));
    }
}

impl Config for Test {
    type RuntimeHoldReason = RuntimeHoldReason;
    type Currency = Balances;
    type SessionKeys = Session;
    type Reputation = Recorder;
    type SlashDestination = Treasury;
    type UnbondingPeriod = UnbondingPeriod;
    type ReportableSessions = ConstU32<3>;
    type MinBond = ConstU128<MIN_BOND>;
    type MinDelegation = ConstU128<MIN_DELEGATION>;
    type MaxDelegators = ConstU32<4>;
    type MaxUnlocking = ConstU32<4>;
    type MaxCandidates = ConstU32<5>;
    type MaxVerifiers = ConstU32<3>;
    type MaxValidators = ConstU32<3>;
    type MaxCommission = MaxCommission;
    type MaxCommissionRaise = MaxCommissionRaise;
    type ReporterShare = ReporterShare;
    type WorkerDepositBase = ConstU128<100>;
    type WorkerDepositPerByte = ConstU128<1>;
    type PalletId = StakingPalletId;
    type WeightInfo = ();
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = benchmarking::MadeUpKeys<Test>;
}

/// Builds the genesis of a test.
#[derive(Default)]
pub struct ExtBuilder {
    operators: Vec<(AccountId, u128, bool)>,
    keys: Vec<AccountId>,
}

impl ExtBuilder {
    /// No operators.
    pub fn empty() -> Self {
        Self::default()
    }

    /// One operator with twice the minimum bond.
    pub fn anna() -> Self {
        Self::empty().operator(ANNA, 2 * MIN_BOND, false)
    }

    pub fn operator(mut self, who: AccountId, own: u128, validator: bool) -> Self {
        self.operators.push((who, own, validator));
        self
    }

    /// An operator that is a candidate with keys.
    pub fn validator(self, who: AccountId, own: u128) -> Self {
        self.operator(who, own, true).keys(who)
    }

    pub fn keys(mut self, who: AccountId) -> Self {
        self.keys.push(who);
        self
    }

    pub fn build(self) -> sp_io::TestExternalities {
        Conducts::set(Vec::new());
        UnbondingPeriod::set(10);
        let accounts = (1..=20).chain(30..=40).chain([PAYER, REPORTER, TREASURY]);
        let storage = RuntimeGenesisConfig {
            balances: pallet_balances::GenesisConfig {
                balances: accounts.map(|who| (who, ENDOWMENT)).collect(),
                ..Default::default()
            },
            staking: GenesisConfig {
                operators: self.operators,
            },
            session: pallet_session::GenesisConfig {
                keys: self.keys.iter().map(|who| (*who, *who, keys_of(*who))).collect(),
                ..Default::default()
            },
            ..Default::default()
        }
        .build_storage()
        .unwrap();
        let mut ext = sp_io::TestExternalities::from(storage);
        ext.execute_with(|| System::set_block_number(1));
        ext
    }

    /// Runs the test, then checks the pallet's invariants.
    pub fn build_and_execute(self, test: impl FnOnce()) {
        self.build().execute_with(|| {
            test();
            Staking::do_try_state().unwrap();
        });
    }
}

pub fn keys_of(who: AccountId) -> MockKeys {
    MockKeys {
        dummy: UintAuthorityId(who),
    }
}

pub fn signed(who: AccountId) -> RuntimeOrigin {
    RuntimeOrigin::signed(who)
}

pub fn set_keys(who: AccountId) {
    pallet_session::NextKeys::<Test>::insert(who, keys_of(who));
}

pub fn purge_keys(who: AccountId) {
    pallet_session::NextKeys::<Test>::remove(who);
}

pub fn run_blocks(n: u64) {
    for _ in 0..n {
        let next = System::block_number() + 1;
        System::set_block_number(next);
        Session::on_initialize(next);
    }
}

pub fn operator(who: AccountId) -> Operator<u64> {
    Operators::<Test>::get(who).unwrap()
}

pub fn bond_of(operator: AccountId, staker: AccountId) -> Bond<Test> {
    Bonds::<Test>::get(operator, staker).unwrap()
}

/// Amounts of the pieces that are unbonding.
pub fn chunks(operator: AccountId, staker: AccountId) -> Vec<u128> {
    bond_of(operator, staker)
        .unbonding
        .iter()
        .map(|chunk| chunk.amount)
        .collect()
}

pub fn held(reason: HoldReason, who: AccountId) -> u128 {
    Balances::balance_on_hold(&reason.into(), &who)
}

pub fn free(who: AccountId) -> u128 {
    Balances::balance(&who)
}

pub fn pot() -> u128 {
    free(Staking::pot_account())
}

/// Pays an operator the way a settlement does: all of it or nothing.
pub fn pay(who: AccountId, amount: u128) -> DispatchResult {
    use frame_support::{
        storage::with_storage_layer,
        traits::{fungible::Mutate, tokens::Preservation},
    };
    with_storage_layer(|| {
        Balances::transfer(&PAYER, &who, amount, Preservation::Preserve)?;
        Staking::on_reward(&who, amount)
    })
}

pub fn record() -> WorkerRecord {
    WorkerRecord {
        peer_id: vec![1, 2, 3].try_into().unwrap(),
        encryption_key: [9; 32],
        region: b"eu-west".to_vec().try_into().unwrap(),
        endpoints: vec![b"/dns/worker.example/tcp/4001".to_vec().try_into().unwrap()]
            .try_into()
            .unwrap(),
        capability: vec![RuntimeClass::CpuFloat].try_into().unwrap(),
    }
}

/// Events of this pallet since the last call.
pub fn events() -> Vec<Event<Test>> {
    let events = System::events()
        .into_iter()
        .filter_map(|record| match record.event {
            RuntimeEvent::Staking(event) => Some(event),
            _ => None,
        })
        .collect();
    System::reset_events();
    events
}
