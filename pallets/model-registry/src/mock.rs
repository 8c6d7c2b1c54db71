use crate as pallet_model_registry;
use frame_support::{
    derive_impl, parameter_types,
    traits::{ConstU32, ConstU64, ConstU128},
};
use llmesh_primitives::{
    Dim, ElementType, ModelManifest, ModelSignature, OriginFormat, RuntimeClass, TensorSpec,
    traits::StakeProvider,
};
use sp_core::H256;
use sp_runtime::{BuildStorage, Perbill};

pub const ALICE: u64 = 1;
pub const BOB: u64 = 2;
pub const HOST: u64 = 3;
pub const OTHER_HOST: u64 = 4;
pub const FUNDS: u128 = 1_000_000;
pub const NAMESPACE_DEPOSIT: u128 = 1_000;
pub const VERSION_DEPOSIT: u128 = 2_000;
pub const OFFER_DEPOSIT: u128 = 500;
pub const BYTE_DEPOSIT: u128 = 3;
pub const MAX_CAPACITY: u32 = 16;
pub const MAX_VERSIONS: u32 = 4;
pub const MAX_OFFERS: u32 = 3;

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
    pub type Registry = pallet_model_registry::Pallet<Test>;
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
    type ExistentialDeposit = ConstU128<10>;
}

parameter_types! {
    pub const MaxTolerance: Perbill = Perbill::from_percent(1);
    /// The hosts in good standing.
    pub static Hosts: Vec<u64> = vec![];
}

pub struct Stake;
impl StakeProvider<u64> for Stake {
    fn stake_of(_: &u64) -> u128 {
        0
    }
    fn is_host(operator: &u64) -> bool {
        Hosts::get().contains(operator)
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
        Hosts::mutate(|hosts| hosts.push(*who));
    }
}

impl pallet_model_registry::Config for Test {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Stake = Stake;
    type NamespaceDeposit = ConstU128<NAMESPACE_DEPOSIT>;
    type VersionDeposit = ConstU128<VERSION_DEPOSIT>;
    type OfferDeposit = ConstU128<OFFER_DEPOSIT>;
    type ByteDeposit = ConstU128<BYTE_DEPOSIT>;
    type MaxModelSize = ConstU64<1_000_000>;
    type MaxTolerance = MaxTolerance;
    type MaxCapacity = ConstU32<MAX_CAPACITY>;
    type MaxVersionsPerModel = ConstU32<MAX_VERSIONS>;
    type MaxOffersPerVersion = ConstU32<MAX_OFFERS>;
    type MaxOffersPerHost = ConstU32<MAX_OFFERS>;
    type WeightInfo = ();
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = Stake;
}

pub fn new_test_ext() -> sp_io::TestExternalities {
    let storage = RuntimeGenesisConfig {
        balances: pallet_balances::GenesisConfig {
            balances: (1..=20).map(|who| (who, FUNDS)).collect(),
            ..Default::default()
        },
        ..Default::default()
    }
    .build_storage()
    .unwrap();
    let mut ext: sp_io::TestExternalities = storage.into();
    ext.execute_with(|| {
        System::set_block_number(1);
        Hosts::set(vec![HOST, OTHER_HOST]);
    });
    ext
}

/// Runs `test` on a fresh chain and checks afterwards what must always hold.
pub fn build_and_execute(test: impl FnOnce()) {
    new_test_ext().execute_with(|| {
        test();
        Registry::do_try_state().unwrap();
    });
}

/// A manifest with nothing wrong about it.
pub fn manifest() -> ModelManifest {
    let spec = |name: &[u8], dim| TensorSpec {
        name: name.to_vec().try_into().unwrap(),
        element_type: ElementType::F32,
        shape: vec![Dim::UpTo(8), Dim::Fixed(dim)].try_into().unwrap(),
    };
    ModelManifest {
        content_id: H256::repeat_byte(1),
        size: 1_000,
        origin: OriginFormat::Onnx,
        signature: ModelSignature {
            inputs: vec![spec(b"x", 16)].try_into().unwrap(),
            outputs: vec![spec(b"y", 2)].try_into().unwrap(),
        },
        probe: b"logits".to_vec().try_into().unwrap(),
        runtime_class: RuntimeClass::CpuFloat,
        tolerance: Perbill::from_parts(500_000),
        complexity: 2_000_000,
        base_price: 100,
        licence: b"Apache-2.0".to_vec().try_into().unwrap(),
    }
}
