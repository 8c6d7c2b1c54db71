//! A runtime with the real settlement pallet; registry, stake and reputation are tables that a test sets.

use crate as pallet_jobs;
use frame_support::{
    PalletId, derive_impl, parameter_types,
    traits::{ConstU32, ConstU64, ConstU128, Hooks, Randomness},
    weights::Weight,
};
use llmesh_primitives::{
    Dim, ElementType, JobId, JobParams, MESH, ModelManifest, ModelSignature, ModelVersion, ModelVersionId,
    OfferTerms, OriginFormat, Priority, Receipt, RuntimeClass, SemVer, Tensor, TensorSpec, Tensors,
    VersionStatus,
    traits::{Conduct, ModelRegistry, ReceiptSink, ReputationProvider, ReputationSink, StakeProvider},
};
use sp_core::H256;
use sp_runtime::{
    BuildStorage, DispatchResult, Perbill, Permill,
    traits::{BlakeTwo256, Hash},
};
use std::{cell::RefCell, collections::BTreeMap};

pub type AccountId = u64;
type Block = frame_system::mocking::MockBlock<Test>;

pub const CLIENT: AccountId = 1;
pub const OTHER: AccountId = 2;
pub const TREASURY: AccountId = 9;
/// Hosts are accounts from here on.
pub const HOST: AccountId = 100;
pub const MODEL: ModelVersionId = 7;
/// Fee of one result of [`MODEL`] at normal priority.
pub const FEE: u128 = 1_000_000_000;

frame_support::construct_runtime!(
    pub enum Test {
        System: frame_system,
        Balances: pallet_balances,
        Settlement: pallet_settlement,
        Jobs: pallet_jobs,
    }
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type Block = Block;
    type AccountData = pallet_balances::AccountData<u128>;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
    type Balance = u128;
    type AccountStore = System;
    type ExistentialDeposit = ConstU128<1_000_000>;
    type RuntimeHoldReason = RuntimeHoldReason;
}

#[derive(Clone, Default)]
pub struct World {
    pub versions: BTreeMap<ModelVersionId, ModelVersion<AccountId>>,
    pub offers: BTreeMap<ModelVersionId, BTreeMap<AccountId, OfferTerms>>,
    pub uses: BTreeMap<ModelVersionId, u32>,
    pub stakes: BTreeMap<AccountId, u128>,
    pub scores: BTreeMap<AccountId, Perbill>,
    pub conduct: Vec<(AccountId, Conduct)>,
    pub receipts: Vec<(JobId, AccountId, H256)>,
    pub luck: Option<u64>,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::new(World::default());
}

/// Reads or changes what the jobs pallet sees of the others.
pub fn world<R>(f: impl FnOnce(&mut World) -> R) -> R {
    WORLD.with(|w| f(&mut w.borrow_mut()))
}

pub struct Tables;

impl StakeProvider<AccountId> for Tables {
    fn stake_of(who: &AccountId) -> u128 {
        world(|w| w.stakes.get(who).copied().unwrap_or_default())
    }
    fn is_host(who: &AccountId) -> bool {
        world(|w| w.stakes.contains_key(who))
    }
    fn is_verifier(_: &AccountId) -> bool {
        false
    }
    fn slash(_: &AccountId, _: Perbill, _: Option<&AccountId>) -> u128 {
        0
    }
}

impl ModelRegistry<AccountId> for Tables {
    fn version(id: ModelVersionId) -> Option<ModelVersion<AccountId>> {
        world(|w| w.versions.get(&id).cloned())
    }
    fn offers(id: ModelVersionId) -> Vec<(AccountId, OfferTerms)> {
        world(|w| {
            w.offers
                .get(&id)
                .map(|o| o.iter().map(|(h, t)| (*h, *t)).collect())
                .unwrap_or_default()
        })
    }
    fn max_offers() -> u32 {
        64
    }
    fn acquire(id: ModelVersionId) -> DispatchResult {
        world(|w| *w.uses.entry(id).or_default() += 1);
        Ok(())
    }
    fn release(id: ModelVersionId) {
        world(|w| *w.uses.get_mut(&id).expect("released more often than acquired") -= 1);
    }
    #[cfg(feature = "runtime-benchmarks")]
    fn bench_publish(owner: &AccountId, manifest: ModelManifest) -> ModelVersionId {
        world(|w| w.versions.insert(MODEL, version(*owner, manifest)));
        MODEL
    }
    #[cfg(feature = "runtime-benchmarks")]
    fn bench_offer(id: ModelVersionId, host: &AccountId, terms: OfferTerms) {
        world(|w| w.offers.entry(id).or_default().insert(*host, terms));
    }
}

impl ReputationProvider<AccountId> for Tables {
    fn score(who: &AccountId) -> Perbill {
        world(|w| w.scores.get(who).copied().unwrap_or(Perbill::from_percent(50)))
    }
}

impl ReputationSink<AccountId> for Tables {
    fn record(who: &AccountId, conduct: Conduct) {
        world(|w| w.conduct.push((*who, conduct)));
    }
}

impl ReceiptSink<AccountId> for Tables {
    fn on_receipt(job: JobId, host: &AccountId, hash: H256, _: &Receipt) {
        world(|w| w.receipts.push((job, *host, hash)));
    }
}

/// Differs by block and by what a test sets as `luck`.
pub struct Dice;

impl Randomness<Option<H256>, u64> for Dice {
    fn random(subject: &[u8]) -> (Option<H256>, u64) {
        let now = System::block_number();
        let luck = world(|w| w.luck);
        (luck.map(|luck| BlakeTwo256::hash_of(&(subject, now, luck))), now)
    }
}

parameter_types! {
    pub static AgendaWeight: Weight = Weight::from_parts(1_000_000_000_000, u64::MAX);
    pub const Treasury: AccountId = TREASURY;
    pub const PoolId: PalletId = PalletId(*b"llm/pool");
    pub const HostShare: Permill = Permill::from_percent(70);
    pub const PoolShare: Permill = Permill::from_percent(20);
    pub static ResultDeadline: u64 = 5;
    pub static MaxInFlight: u32 = 16;
}

#[cfg(feature = "runtime-benchmarks")]
impl crate::BenchmarkHelper<AccountId> for Tables {
    fn make_host(who: &AccountId) {
        world(|w| w.stakes.insert(*who, 10_000 * MESH));
    }
}

#[cfg(feature = "runtime-benchmarks")]
impl pallet_settlement::BenchmarkHelper<AccountId> for Tables {
    fn make_host(who: &AccountId) {
        <Self as crate::BenchmarkHelper<AccountId>>::make_host(who);
    }
}

impl pallet_settlement::Config for Test {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Stake = Tables;
    type Rewards = ();
    type Work = ();
    type Treasury = Treasury;
    type PalletId = PoolId;
    type HostShare = HostShare;
    type PoolShare = PoolShare;
    type MinFee = ConstU128<100_000_000>;
    type ChallengeWindow = ConstU64<10>;
    type MaxLifetime = ConstU64<100>;
    type MaxChannelsPerPayer = ConstU32<4>;
    type MaxLanesPerHost = ConstU32<4>;
    type ChannelDeposit = ConstU128<1>;
    type LaneDeposit = ConstU128<1>;
    type WeightInfo = ();
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = Tables;
}

impl pallet_jobs::Config for Test {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Stake = Tables;
    type Registry = Tables;
    type Reputation = Tables;
    type Escrow = Settlement;
    type Receipts = Tables;
    type Randomness = Dice;
    type ResultDeadline = ResultDeadline;
    type TimeToLive = ConstU64<20>;
    type Retention = ConstU64<30>;
    type RetryInterval = ConstU64<2>;
    type MaxMissed = ConstU32<3>;
    type AgendaWeight = AgendaWeight;
    type MaxInFlight = MaxInFlight;
    type MaxInputBytes = ConstU32<1024>;
    type MaxOutputBytes = ConstU32<512>;
    type DepositBase = ConstU128<10_000_000>;
    type DepositPerByte = ConstU128<1_000>;
    type WeightInfo = ();
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = Tables;
}

pub fn version(owner: AccountId, manifest: ModelManifest) -> ModelVersion<AccountId> {
    ModelVersion {
        id: MODEL,
        name: b"test/model".to_vec().try_into().unwrap(),
        version: SemVer {
            major: 1,
            minor: 0,
            patch: 0,
        },
        owner,
        status: VersionStatus::Active,
        manifest,
    }
}

fn spec(name: &str, element_type: ElementType, shape: &[Dim]) -> TensorSpec {
    TensorSpec {
        name: name.as_bytes().to_vec().try_into().unwrap(),
        element_type,
        shape: shape.to_vec().try_into().unwrap(),
    }
}

/// Two inputs (`a`: int32[n <= 4, 2], `b`: float32[3]) and one output (`y`: float32[2]); one million MACs.
pub fn manifest() -> ModelManifest {
    ModelManifest {
        content_id: H256::repeat_byte(3),
        size: 100,
        origin: OriginFormat::Onnx,
        signature: ModelSignature {
            inputs: vec![
                spec("a", ElementType::I32, &[Dim::UpTo(4), Dim::Fixed(2)]),
                spec("b", ElementType::F32, &[Dim::Fixed(3)]),
            ]
            .try_into()
            .unwrap(),
            outputs: vec![spec("y", ElementType::F32, &[Dim::Fixed(2)])]
                .try_into()
                .unwrap(),
        },
        probe: Default::default(),
        runtime_class: RuntimeClass::CpuFloat,
        tolerance: Perbill::from_parts(500_000),
        complexity: 1_000_000,
        base_price: FEE,
        licence: b"MIT".to_vec().try_into().unwrap(),
    }
}

pub fn tensor(name: &str, element_type: ElementType, shape: &[u32], bytes: usize) -> Tensor {
    Tensor {
        name: name.as_bytes().to_vec().try_into().unwrap(),
        element_type,
        shape: shape.to_vec().try_into().unwrap(),
        data: vec![1; bytes].try_into().unwrap(),
    }
}

pub fn inputs() -> Tensors {
    vec![
        tensor("a", ElementType::I32, &[1, 2], 8),
        tensor("b", ElementType::F32, &[3], 12),
    ]
    .try_into()
    .unwrap()
}

pub fn outputs() -> Tensors {
    vec![tensor("y", ElementType::F32, &[2], 8)].try_into().unwrap()
}

pub fn params(redundancy: u8) -> JobParams {
    JobParams {
        max_fee: FEE * u128::from(redundancy),
        redundancy,
        priority: Priority::Normal,
        min_reputation: Perbill::zero(),
    }
}

/// Adds a host that offers [`MODEL`] at the base price.
pub fn add_host(host: AccountId, stake: u128, capacity: u32) {
    world(|w| {
        w.stakes.insert(host, stake);
        w.offers
            .entry(MODEL)
            .or_default()
            .insert(host, OfferTerms { price: FEE, capacity });
    });
}

pub fn submit(redundancy: u8) -> JobId {
    let id = Jobs::next_id();
    frame_support::assert_ok!(Jobs::submit(
        RuntimeOrigin::signed(CLIENT),
        MODEL,
        inputs(),
        params(redundancy)
    ));
    id
}

impl Jobs {
    pub fn next_id() -> JobId {
        pallet_jobs::NextJobId::<Test>::get()
    }
}

/// Goes to the next block.
pub fn next_block() {
    run_to(System::block_number() + 1);
}

pub fn run_to(block: u64) {
    while System::block_number() < block {
        let now = System::block_number() + 1;
        System::set_block_number(now);
        System::reset_events();
        Jobs::on_initialize(now);
    }
}

pub fn events() -> Vec<pallet_jobs::Event<Test>> {
    System::events()
        .into_iter()
        .filter_map(|r| {
            if let RuntimeEvent::Jobs(event) = r.event {
                Some(event)
            } else {
                None
            }
        })
        .collect()
}

pub fn new_test_ext() -> sp_io::TestExternalities {
    // Tests can share a thread.
    world(|w| {
        *w = World {
            luck: Some(0),
            ..Default::default()
        }
    });
    AgendaWeight::set(Weight::from_parts(1_000_000_000_000, u64::MAX));
    MaxInFlight::set(16);
    world(|w| w.versions.insert(MODEL, version(5, manifest())));
    let mut storage = frame_system::GenesisConfig::<Test>::default()
        .build_storage()
        .unwrap();
    let mut balances: Vec<_> = [CLIENT, OTHER, TREASURY]
        .into_iter()
        .map(|a| (a, 1_000 * MESH))
        .collect();
    balances.extend((HOST..HOST + 40).map(|a| (a, MESH)));
    pallet_balances::GenesisConfig::<Test> {
        balances,
        ..Default::default()
    }
    .assimilate_storage(&mut storage)
    .unwrap();
    pallet_settlement::GenesisConfig::<Test>::default()
        .assimilate_storage(&mut storage)
        .unwrap();
    let mut ext = sp_io::TestExternalities::from(storage);
    ext.execute_with(|| run_to(1));
    ext
}

/// Runs a test and checks afterwards that the state is sound and no planck was made or lost.
pub fn build_and_execute(test: impl FnOnce()) {
    new_test_ext().execute_with(|| {
        let issuance = Balances::total_issuance();
        test();
        Jobs::do_try_state().unwrap();
        assert_eq!(Balances::total_issuance(), issuance);
    });
}
