use crate as pallet_settlement;
use frame_support::{
    PalletId, derive_impl, parameter_types,
    traits::{ConstU32, ConstU64, ConstU128},
};
use llmesh_primitives::{
    ChannelId, LaneId, Work,
    traits::{RewardSink, StakeProvider, WorkSink},
};
use sp_runtime::{AccountId32, BuildStorage, DispatchError, DispatchResult, Perbill, Permill};

pub const CLIENT: u64 = 1;
pub const OTHER: u64 = 2;
pub const HOST: u64 = 3;
pub const TREASURY: u64 = 4;
/// Two more hosts.
pub const HOST_2: u64 = 5;
pub const HOST_3: u64 = 6;
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
    /// Who is a host in good standing.
    pub static Hosts: Vec<u64> = vec![HOST, HOST_2, HOST_3];
    pub static MaxLanesPerHost: u32 = 4;
}

pub const WINDOW: u64 = 10;
pub const MAX_LIFETIME: u64 = 100;
pub const CHANNEL_DEPOSIT: u128 = 50;
pub const LANE_DEPOSIT: u128 = 7;

pub struct Stake;
impl StakeProvider<u64> for Stake {
    fn stake_of(_: &u64) -> u128 {
        0
    }
    fn is_host(who: &u64) -> bool {
        Hosts::get().contains(who)
    }
    fn is_verifier(_: &u64) -> bool {
        false
    }
    fn slash(_: &u64, _: Perbill, _: Option<&u64>) -> u128 {
        0
    }
}

#[cfg(feature = "runtime-benchmarks")]
impl crate::BenchmarkHelper<u64> for Stake {
    fn make_host(who: &u64) {
        use frame_support::traits::fungible::Mutate;
        Hosts::mutate(|hosts| hosts.push(*who));
        Balances::set_balance(who, ED);
    }
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

pub type Committed = (u64, ChannelId, LaneId, u64, u32, u128);

parameter_types! {
    /// Host, channel, lane, last sequence covered before, receipts, and payment of every claim that was announced, oldest
    /// first.
    pub static Announced: Vec<Committed> = vec![];
}

pub struct Covered;
impl WorkSink<u64> for Covered {
    fn on_claimed(
        host: &u64,
        channel: ChannelId,
        _: u32,
        lane: LaneId,
        _: &AccountId32,
        covered: u64,
        _: &Work,
        receipts: u32,
        paid: u128,
    ) {
        Announced::mutate(|all| all.push((*host, channel, lane, covered, receipts, paid)));
    }
}

impl pallet_settlement::Config for Test {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Stake = Stake;
    type Rewards = Sink;
    type Work = Covered;
    type Treasury = Treasury;
    type PalletId = PoolId;
    type HostShare = HostShare;
    type PoolShare = PoolShare;
    type MinFee = ConstU128<100>;
    type ChallengeWindow = ConstU64<WINDOW>;
    type MaxLifetime = ConstU64<MAX_LIFETIME>;
    type MaxChannelsPerPayer = ConstU32<3>;
    type MaxLanesPerHost = MaxLanesPerHost;
    type ChannelDeposit = ConstU128<CHANNEL_DEPOSIT>;
    type LaneDeposit = ConstU128<LANE_DEPOSIT>;
    type WeightInfo = ();
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = Stake;
}

pub fn new_test_ext() -> sp_io::TestExternalities {
    let storage = RuntimeGenesisConfig {
        balances: pallet_balances::GenesisConfig {
            balances: [CLIENT, OTHER, HOST, HOST_2, HOST_3]
                .map(|who| (who, FUNDS))
                .to_vec(),
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
        Announced::set(vec![]);
        RewardsFail::set(false);
        Hosts::set(vec![HOST, HOST_2, HOST_3]);
        MaxLanesPerHost::set(4);
    });
    ext
}

#[cfg(feature = "runtime-benchmarks")]
pub fn benchmark_ext() -> sp_io::TestExternalities {
    let mut ext = new_test_ext();
    ext.register_extension(sp_keystore::KeystoreExt::new(
        sp_keystore::testing::MemoryKeystore::new(),
    ));
    ext.execute_with(|| MaxLanesPerHost::set(200));
    ext
}

/// Runs `test` on a fresh chain and checks afterwards what must always hold.
pub fn build_and_execute(test: impl FnOnce()) {
    new_test_ext().execute_with(|| {
        test();
        Settlement::do_try_state().unwrap();
    });
}
