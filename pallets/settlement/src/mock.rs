use crate as pallet_settlement;
use frame_support::{PalletId, derive_impl, parameter_types, traits::ConstU128};
use llmesh_primitives::traits::RewardSink;
use sp_runtime::{BuildStorage, DispatchError, DispatchResult, Permill};

pub const CLIENT: u64 = 1;
pub const OTHER: u64 = 2;
pub const HOST: u64 = 3;
pub const TREASURY: u64 = 4;
pub const FUNDS: u128 = 1_000_000;
pub const ED: u128 = 10;

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
    pub type System = frame_system::Pallet<Test>;

    #[runtime::pallet_index(1)]
    pub type Balances = pallet_balances::Pallet<Test>;

    #[runtime::pallet_index(2)]
    pub type Settlement = pallet_settlement::Pallet<Test>;
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type Block = frame_system::mocking::MockBlock<Test>;
    type AccountData = pallet_balances::AccountData<u128>;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
    type AccountStore = System;
    type Balance = u128;
    type ExistentialDeposit = ConstU128<ED>;
}

parameter_types! {
    pub const PoolId: PalletId = PalletId(*b"llm/pool");
    pub const Treasury: u64 = TREASURY;
    pub const HostShare: Permill = Permill::from_percent(70);
    pub const PoolShare: Permill = Permill::from_percent(20);
    /// What was announced to the reward sink, oldest first.
    pub static Rewards: Vec<(u64, u128)> = vec![];
    /// Whether the reward sink refuses.
    pub static RewardsFail: bool = false;
}

pub struct Sink;
impl RewardSink<u64> for Sink {
    fn on_reward(operator: &u64, amount: u128) -> DispatchResult {
        if RewardsFail::get() {
            return Err(DispatchError::Other("refused"));
        }
        Rewards::mutate(|rewards| rewards.push((*operator, amount)));
        Ok(())
    }
}

impl pallet_settlement::Config for Test {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Rewards = Sink;
    type Treasury = Treasury;
    type PalletId = PoolId;
    type HostShare = HostShare;
    type PoolShare = PoolShare;
    type MinFee = ConstU128<100>;
    type WeightInfo = ();
}

pub fn new_test_ext() -> sp_io::TestExternalities {
    let storage = RuntimeGenesisConfig {
        balances: pallet_balances::GenesisConfig {
            balances: [CLIENT, OTHER, HOST].map(|who| (who, FUNDS)).to_vec(),
            ..Default::default()
        },
        ..Default::default()
    }
    .build_storage()
    .unwrap();
    let mut ext: sp_io::TestExternalities = storage.into();
    ext.execute_with(|| {
        System::set_block_number(1);
        Rewards::set(vec![]);
        RewardsFail::set(false);
    });
    ext
}

/// Runs `test` on a fresh chain and checks afterwards what must always hold.
pub fn build_and_execute(test: impl FnOnce()) {
    new_test_ext().execute_with(|| {
        test();
        Settlement::do_try_state().unwrap();
    });
}
