//! Benchmarks of the calls, and what benchmarks of other pallets need from this one.

#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]

use super::*;
use crate::pallet::AccountIdLookupOf;
use alloc::{format, vec, vec::Vec};
use frame_benchmarking::v2::*;
use frame_support::{
    BoundedVec,
    traits::{Get, fungible::Mutate},
};
use frame_system::RawOrigin;
use llmesh_primitives::{
    Dim, ElementType, ModelManifest, ModelName, ModelSignature, ModelVersionId, OfferTerms, OriginFormat,
    RuntimeClass, SemVer, TensorSpec, VersionStatus,
    model::Namespace,
    tensor::{MAX_NAME_BYTES, MAX_RANK, MAX_TENSORS},
};
use sp_core::H256;
use sp_runtime::{Perbill, traits::StaticLookup};

/// What benchmarks of this pallet need from the runtime.
pub trait BenchmarkHelper<AccountId> {
    /// Makes `who` a host in good standing.
    fn make_host(who: &AccountId);
}

impl<AccountId> BenchmarkHelper<AccountId> for () {
    fn make_host(_: &AccountId) {}
}

/// Publishes a version of a model that is new, without a deposit and without checks.
pub(crate) fn publish<T: Config>(owner: &T::AccountId, manifest: ModelManifest) -> ModelVersionId {
    let namespace = Namespace::try_from(b"bench".to_vec()).unwrap();
    let name: ModelName = format!("bench/{}", NextVersionId::<T>::get())
        .into_bytes()
        .try_into()
        .unwrap();
    let mut record = Namespaces::<T>::get(&namespace).unwrap_or(NamespaceRecord {
        owner: owner.clone(),
        deposit: 0,
        models: 0,
    });
    record.models += 1;
    Namespaces::<T>::insert(&namespace, record);
    let model = ModelRecord {
        owner: owner.clone(),
        versions: 0,
        deposit: 0,
    };
    let version = SemVer {
        major: 1,
        minor: 0,
        patch: 0,
    };
    let stored = StoredVersion {
        name,
        version,
        status: VersionStatus::Active,
        manifest,
        deposit: 0,
    };
    Pallet::<T>::insert_version(model, stored).unwrap()
}

/// Places an offer without a deposit and without checks.
pub(crate) fn offer<T: Config>(id: ModelVersionId, host: &T::AccountId, terms: OfferTerms) {
    Pallet::<T>::insert_offer(id, host, Offer { terms, deposit: 0 }).unwrap();
}

/// An account that can pay every deposit.
fn funded<T: Config>(name: &'static str) -> T::AccountId {
    let who: T::AccountId = account(name, 0, 0);
    T::Currency::set_balance(&who, u128::from(u64::MAX));
    who
}

/// The largest manifest.
fn manifest() -> ModelManifest {
    let specs = || -> BoundedVec<TensorSpec, _> {
        (0..MAX_TENSORS)
            .map(|n| TensorSpec {
                name: format!("{n:0width$}", width = MAX_NAME_BYTES as usize)
                    .into_bytes()
                    .try_into()
                    .unwrap(),
                element_type: ElementType::F32,
                shape: vec![Dim::UpTo(u32::MAX); MAX_RANK as usize].try_into().unwrap(),
            })
            .collect::<Vec<_>>()
            .try_into()
            .unwrap()
    };
    ModelManifest {
        content_id: H256::repeat_byte(1),
        size: 1,
        origin: OriginFormat::Onnx,
        signature: ModelSignature {
            inputs: specs(),
            outputs: specs(),
        },
        probe: BoundedVec::truncate_from(vec![b'p'; MAX_NAME_BYTES as usize]),
        runtime_class: RuntimeClass::CpuFloat,
        tolerance: Perbill::zero(),
        complexity: 1,
        base_price: 1,
        licence: BoundedVec::truncate_from(vec![b'l'; 256]),
    }
}

fn namespace() -> Namespace {
    BoundedVec::truncate_from(vec![b'n'; 256])
}

/// The longest name in [`namespace`].
fn name() -> ModelName {
    let mut name = namespace().into_inner();
    name.push(b'/');
    name.resize(256, b'm');
    BoundedVec::truncate_from(name)
}

fn with_namespace<T: Config>() -> T::AccountId {
    let owner = funded::<T>("owner");
    Pallet::<T>::do_register_namespace(owner.clone(), namespace()).unwrap();
    owner
}

fn with_version<T: Config>() -> (T::AccountId, ModelVersionId) {
    let owner = with_namespace::<T>();
    let id = Pallet::<T>::do_publish(owner.clone(), name(), SemVer::default(), manifest()).unwrap();
    (owner, id)
}

fn terms<T: Config>() -> OfferTerms {
    OfferTerms {
        price: 1,
        capacity: T::MaxCapacity::get(),
    }
}

/// A host with all but one of the offers that it can have, all for other versions than the one returned.
fn with_host<T: Config>() -> (T::AccountId, ModelVersionId) {
    let (owner, id) = with_version::<T>();
    let host = funded::<T>("host");
    T::BenchmarkHelper::make_host(&host);
    for _ in 1..T::MaxOffersPerHost::get() {
        let other = publish::<T>(&owner, manifest());
        offer::<T>(other, &host, terms::<T>());
    }
    (host, id)
}

/// A host that has as many offers as it can have; the last is for the version returned.
fn with_offer<T: Config>() -> (T::AccountId, ModelVersionId) {
    let (host, id) = with_host::<T>();
    Pallet::<T>::do_offer(host.clone(), id, terms::<T>()).unwrap();
    (host, id)
}

fn lookup<T: Config>(who: &T::AccountId) -> AccountIdLookupOf<T> {
    T::Lookup::unlookup(who.clone())
}

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn register_namespace() {
        let caller = funded::<T>("owner");

        #[extrinsic_call]
        _(RawOrigin::Signed(caller), namespace());

        assert!(Namespaces::<T>::contains_key(namespace()));
    }

    #[benchmark]
    fn transfer_namespace() {
        let caller = with_namespace::<T>();
        let to = funded::<T>("to");

        #[extrinsic_call]
        _(RawOrigin::Signed(caller), namespace(), lookup::<T>(&to));

        assert_eq!(Namespaces::<T>::get(namespace()).unwrap().owner, to);
    }

    #[benchmark]
    fn remove_namespace() {
        let caller = with_namespace::<T>();

        #[extrinsic_call]
        _(RawOrigin::Signed(caller), namespace());

        assert!(!Namespaces::<T>::contains_key(namespace()));
    }

    #[benchmark]
    fn publish() {
        let caller = with_namespace::<T>();
        let version = SemVer {
            major: 1,
            minor: 2,
            patch: 3,
        };

        #[extrinsic_call]
        _(RawOrigin::Signed(caller), name(), version, manifest());

        assert!(VersionIds::<T>::contains_key(name(), version));
    }

    #[benchmark]
    fn deprecate() {
        let (caller, id) = with_version::<T>();

        #[extrinsic_call]
        _(RawOrigin::Signed(caller), id);

        assert_eq!(Versions::<T>::get(id).unwrap().status, VersionStatus::Deprecated);
    }

    #[benchmark]
    fn reactivate() {
        let (caller, id) = with_version::<T>();
        Pallet::<T>::do_deprecate(caller.clone(), id).unwrap();

        #[extrinsic_call]
        _(RawOrigin::Signed(caller), id);

        assert_eq!(Versions::<T>::get(id).unwrap().status, VersionStatus::Active);
    }

    #[benchmark]
    fn yank() {
        let (caller, id) = with_version::<T>();

        #[extrinsic_call]
        _(RawOrigin::Signed(caller), id);

        assert_eq!(Versions::<T>::get(id).unwrap().status, VersionStatus::Yanked);
    }

    #[benchmark]
    fn remove() {
        let (caller, id) = with_version::<T>();
        Pallet::<T>::do_yank(caller.clone(), id).unwrap();

        #[extrinsic_call]
        _(RawOrigin::Signed(caller), id);

        assert!(!Models::<T>::contains_key(name()));
    }

    #[benchmark]
    fn transfer_model() {
        let (caller, _) = with_version::<T>();
        let to = funded::<T>("to");

        #[extrinsic_call]
        _(RawOrigin::Signed(caller), name(), lookup::<T>(&to));

        assert_eq!(Models::<T>::get(name()).unwrap().owner, to);
    }

    #[benchmark]
    fn offer() {
        let (host, id) = with_host::<T>();

        #[extrinsic_call]
        _(RawOrigin::Signed(host.clone()), id, terms::<T>());

        assert!(Offers::<T>::contains_key(id, &host));
    }

    #[benchmark]
    fn withdraw_offer() {
        let (host, id) = with_offer::<T>();

        #[extrinsic_call]
        _(RawOrigin::Signed(host.clone()), id);

        assert!(!Offers::<T>::contains_key(id, &host));
    }

    #[benchmark]
    fn prune_offer() {
        let (host, id) = with_offer::<T>();
        let caller = funded::<T>("caller");
        let owner = Models::<T>::get(name()).unwrap().owner;
        Pallet::<T>::do_yank(owner, id).unwrap();

        #[extrinsic_call]
        _(RawOrigin::Signed(caller), id, lookup::<T>(&host));

        assert!(!Offers::<T>::contains_key(id, &host));
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::new_test_ext(), crate::mock::Test);
}
