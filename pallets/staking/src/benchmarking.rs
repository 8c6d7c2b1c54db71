//! Benchmarks, and helpers for those of other pallets.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used
)]

use crate::*;
use alloc::{vec, vec::Vec};
use codec::Decode;
use core::marker::PhantomData;
use frame_benchmarking::v2::*;
use frame_support::{
    BoundedVec,
    traits::{
        Get,
        fungible::{Inspect, Mutate},
    },
};
use frame_system::{Pallet as System, RawOrigin, pallet_prelude::BlockNumberFor};
use llmesh_primitives::{RuntimeClass, WorkerRecord, traits::RewardSink};
use sp_runtime::{
    Perbill,
    traits::{BlakeTwo256, Hash, One, Saturating, TrailingZeroInput},
};

/// Gives accounts session keys.
pub trait BenchmarkHelper<AccountId> {
    /// Lets [`Config::SessionKeys`] say that the account has keys.
    fn register_keys(who: &AccountId);
}

/// Writes made-up keys into the session pallet.
pub struct MadeUpKeys<T>(PhantomData<T>);

impl<T> BenchmarkHelper<T::AccountId> for MadeUpKeys<T>
where
    T: pallet_session::Config<ValidatorId = <T as frame_system::Config>::AccountId>,
{
    fn register_keys(who: &T::AccountId) {
        let seed = BlakeTwo256::hash_of(who);
        let keys = T::Keys::decode(&mut TrailingZeroInput::new(seed.as_ref())).expect("any bytes make keys");
        pallet_session::NextKeys::<T>::insert(who, keys);
    }
}

impl<T: Config> Pallet<T> {
    /// Funds `who`, bonds the minimum unless something is bonded, and registers a worker, so that [`StakeProvider::is_host`] holds.
    ///
    /// [`StakeProvider::is_host`]: llmesh_primitives::traits::StakeProvider::is_host
    pub fn bench_make_host(who: &T::AccountId) {
        bench_make_operator::<T>(who);
        Self::do_register_worker(who, largest_record()).expect("the account is funded");
    }
}

const SEED: u32 = 0;

fn existential_deposit<T: Config>() -> u128 {
    <T as Config>::Currency::minimum_balance()
}

fn fund<T: Config>(who: &T::AccountId, amount: u128) {
    <T as Config>::Currency::mint_into(who, amount + existential_deposit::<T>())
        .expect("the issuance does not overflow");
}

/// Funds the account for a bond and a worker record and bonds the minimum.
fn bench_make_operator<T: Config>(who: &T::AccountId) {
    let deposit = Pallet::<T>::deposit_for(&largest_record());
    fund::<T>(who, T::MinBond::get() * 4 + deposit);
    if Operators::<T>::get(who).is_none_or(|operator| operator.own == 0) {
        Pallet::<T>::do_bond(who, T::MinBond::get()).expect("the account is funded");
    }
}

/// The largest worker record.
fn largest_record() -> WorkerRecord {
    let endpoint = BoundedVec::truncate_from(vec![b'e'; 1024]);
    WorkerRecord {
        peer_id: BoundedVec::truncate_from(vec![7; 1024]),
        encryption_key: [7; 32],
        region: BoundedVec::truncate_from(vec![b'r'; 1024]),
        endpoints: BoundedVec::truncate_from(vec![endpoint; 64]),
        capability: BoundedVec::truncate_from(vec![RuntimeClass::CpuFloat; 64]),
    }
}

fn advance<T: Config>(blocks: BlockNumberFor<T>) {
    System::<T>::set_block_number(System::<T>::block_number().saturating_add(blocks));
}

/// Unbonds `piece` in as many pieces as can be.
fn fill_chunks<T: Config>(operator: &T::AccountId, who: &T::AccountId, piece: u128) {
    for _ in 0..T::MaxUnlocking::get() {
        Pallet::<T>::do_unbond(operator, who, piece).expect("enough is bonded");
        advance::<T>(One::one());
    }
}

fn delegator<T: Config>(operator: &T::AccountId, n: u32) -> T::AccountId {
    let who: T::AccountId = account("delegator", n, SEED);
    let amount = T::MinDelegation::get() * u128::from(T::MaxUnlocking::get() + 2);
    fund::<T>(&who, amount * 2);
    Pallet::<T>::do_delegate(operator, &who, amount).expect("the account is funded");
    who
}

/// Pays the operator so much that every delegator has something to claim.
fn reward<T: Config>(operator: &T::AccountId) {
    ensure_pot::<T>();
    let amount = T::MinBond::get() * 100;
    fund::<T>(operator, amount);
    Pallet::<T>::on_reward(operator, amount).expect("the operator was paid");
}

fn ensure_pot<T: Config>() {
    let pot = Pallet::<T>::pot_account();
    if <T as Config>::Currency::balance(&pot) < existential_deposit::<T>() {
        fund::<T>(&pot, 0);
    }
}

#[benchmarks(
    where
        T: pallet_session::Config<ValidatorId = <T as frame_system::Config>::AccountId>,
)]
mod benches {
    use super::*;

    #[benchmark]
    fn bond() {
        let caller: T::AccountId = whitelisted_caller();
        fund::<T>(&caller, T::MinBond::get());

        #[extrinsic_call]
        _(RawOrigin::Signed(caller.clone()), T::MinBond::get());

        assert_eq!(Operators::<T>::get(&caller).unwrap().own, T::MinBond::get());
    }

    #[benchmark]
    fn bond_extra() {
        let caller: T::AccountId = whitelisted_caller();
        bench_make_operator::<T>(&caller);

        #[extrinsic_call]
        _(RawOrigin::Signed(caller.clone()), T::MinBond::get());

        assert_eq!(Operators::<T>::get(&caller).unwrap().own, T::MinBond::get() * 2);
    }

    #[benchmark]
    fn delegate() {
        let operator: T::AccountId = account("operator", 0, SEED);
        bench_make_operator::<T>(&operator);
        let caller = delegator::<T>(&operator, 0);
        fill_chunks::<T>(&operator, &caller, T::MinDelegation::get());
        reward::<T>(&operator);
        let before = Bonds::<T>::get(&operator, &caller).unwrap().active;

        #[extrinsic_call]
        _(
            RawOrigin::Signed(caller.clone()),
            operator.clone(),
            T::MinDelegation::get(),
        );

        let after = Bonds::<T>::get(&operator, &caller).unwrap().active;
        assert_eq!(after, before + T::MinDelegation::get());
    }

    #[benchmark]
    fn unbond() {
        let operator: T::AccountId = account("operator", 0, SEED);
        bench_make_operator::<T>(&operator);
        let caller = delegator::<T>(&operator, 0);
        for _ in 1..T::MaxUnlocking::get() {
            Pallet::<T>::do_unbond(&operator, &caller, T::MinDelegation::get()).unwrap();
            advance::<T>(One::one());
        }
        reward::<T>(&operator);

        #[extrinsic_call]
        _(
            RawOrigin::Signed(caller.clone()),
            operator.clone(),
            T::MinDelegation::get(),
        );

        let stored = Bonds::<T>::get(&operator, &caller).unwrap();
        assert_eq!(stored.unbonding.len() as u32, T::MaxUnlocking::get());
    }

    #[benchmark]
    fn rebond() {
        let operator: T::AccountId = account("operator", 0, SEED);
        bench_make_operator::<T>(&operator);
        let caller = delegator::<T>(&operator, 0);
        fill_chunks::<T>(&operator, &caller, T::MinDelegation::get());
        reward::<T>(&operator);
        let all = T::MinDelegation::get() * u128::from(T::MaxUnlocking::get());

        #[extrinsic_call]
        _(RawOrigin::Signed(caller.clone()), operator.clone(), all);

        assert!(Bonds::<T>::get(&operator, &caller).unwrap().unbonding.is_empty());
    }

    // The last delegator of an operator that is gone: revenue is paid and the operator's record removed.
    #[benchmark]
    fn withdraw() {
        let operator: T::AccountId = account("operator", 0, SEED);
        bench_make_operator::<T>(&operator);
        let caller = delegator::<T>(&operator, 0);
        reward::<T>(&operator);
        for _ in 1..T::MaxUnlocking::get() {
            Pallet::<T>::do_unbond(&operator, &caller, T::MinDelegation::get()).unwrap();
            advance::<T>(One::one());
        }
        let rest = Bonds::<T>::get(&operator, &caller).unwrap().active;
        Pallet::<T>::do_unbond(&operator, &caller, rest).unwrap();
        Pallet::<T>::do_unbond(&operator, &operator, T::MinBond::get()).unwrap();
        advance::<T>(T::UnbondingPeriod::get());
        Pallet::<T>::do_withdraw(&operator, &operator).unwrap();

        #[extrinsic_call]
        _(RawOrigin::Signed(caller.clone()), operator.clone());

        assert!(!Operators::<T>::contains_key(&operator));
    }

    #[benchmark]
    fn set_commission() {
        let caller: T::AccountId = whitelisted_caller();
        bench_make_operator::<T>(&caller);
        delegator::<T>(&caller, 0);
        let commission = T::MaxCommission::get().min(T::MaxCommissionRaise::get());

        #[extrinsic_call]
        _(RawOrigin::Signed(caller.clone()), commission);

        assert_eq!(Operators::<T>::get(&caller).unwrap().commission, commission);
    }

    #[benchmark]
    fn validate() {
        let caller: T::AccountId = whitelisted_caller();
        bench_make_operator::<T>(&caller);
        T::BenchmarkHelper::register_keys(&caller);

        #[extrinsic_call]
        _(RawOrigin::Signed(caller.clone()));

        assert!(Candidates::<T>::contains_key(&caller));
    }

    // The call `verify`: a benchmark can not have that name.
    #[benchmark]
    fn become_verifier() {
        let caller: T::AccountId = whitelisted_caller();
        bench_make_operator::<T>(&caller);

        #[extrinsic_call]
        verify(RawOrigin::Signed(caller.clone()));

        assert!(Operators::<T>::get(&caller).unwrap().roles.verifier);
    }

    #[benchmark]
    fn register_worker() {
        let caller: T::AccountId = whitelisted_caller();
        bench_make_operator::<T>(&caller);

        #[extrinsic_call]
        _(RawOrigin::Signed(caller.clone()), largest_record());

        assert!(Workers::<T>::contains_key(&caller));
    }

    #[benchmark]
    fn deregister_worker() {
        let caller: T::AccountId = whitelisted_caller();
        Pallet::<T>::bench_make_host(&caller);

        #[extrinsic_call]
        _(RawOrigin::Signed(caller.clone()));

        assert!(!Workers::<T>::contains_key(&caller));
    }

    #[benchmark]
    fn chill() {
        let caller: T::AccountId = whitelisted_caller();
        Pallet::<T>::bench_make_host(&caller);
        Pallet::<T>::do_verify(&caller).unwrap();
        Pallet::<T>::add_candidate(&caller).unwrap();

        #[extrinsic_call]
        _(RawOrigin::Signed(caller.clone()));

        assert!(!Operators::<T>::get(&caller).unwrap().roles.any());
    }

    #[benchmark]
    fn claim_rewards() {
        let operator: T::AccountId = account("operator", 0, SEED);
        bench_make_operator::<T>(&operator);
        let caller = delegator::<T>(&operator, 0);
        fill_chunks::<T>(&operator, &caller, T::MinDelegation::get());
        reward::<T>(&operator);

        #[extrinsic_call]
        _(RawOrigin::Signed(caller.clone()), operator.clone());

        assert_eq!(Pallet::<T>::claimable(&operator, &caller), 0);
    }

    #[benchmark]
    fn slash(d: Linear<0, { T::MaxDelegators::get() }>) {
        let operator: T::AccountId = account("operator", 0, SEED);
        Pallet::<T>::bench_make_host(&operator);
        Pallet::<T>::add_candidate(&operator).unwrap();
        Pallet::<T>::do_bond_extra(&operator, T::MinBond::get()).unwrap();
        let piece = T::MinBond::get() / u128::from(T::MaxUnlocking::get());
        let delegators: Vec<_> = (0..d).map(|n| delegator::<T>(&operator, n)).collect();
        for _ in 0..T::MaxUnlocking::get() {
            Pallet::<T>::do_unbond(&operator, &operator, piece).unwrap();
            for who in &delegators {
                Pallet::<T>::do_unbond(&operator, who, T::MinDelegation::get()).unwrap();
            }
            advance::<T>(One::one());
        }
        if d > 0 {
            reward::<T>(&operator);
        }
        let reporter: T::AccountId = account("reporter", 0, SEED);
        fund::<T>(&reporter, 0);
        fund::<T>(&T::SlashDestination::get(), 0);

        let taken;
        #[block]
        {
            taken = Pallet::<T>::do_slash(&operator, Perbill::from_percent(50), Some(&reporter));
        }

        assert!(taken >= T::MinBond::get() / 2);
        assert!(!Candidates::<T>::contains_key(&operator));
    }

    #[benchmark]
    fn on_reward() {
        let operator: T::AccountId = account("operator", 0, SEED);
        bench_make_operator::<T>(&operator);
        let who = delegator::<T>(&operator, 0);
        ensure_pot::<T>();
        let amount = T::MinBond::get();
        fund::<T>(&operator, amount);

        #[block]
        {
            Pallet::<T>::on_reward(&operator, amount).unwrap();
        }

        assert!(Pallet::<T>::claimable(&operator, &who) > 0);
    }

    // Without the session pallet's own work.
    #[benchmark]
    fn new_session(c: Linear<1, { T::MaxCandidates::get() }>) {
        let before = Candidates::<T>::count();
        for n in 0..c.saturating_sub(before) {
            let who: T::AccountId = account("candidate", n, SEED);
            bench_make_operator::<T>(&who);
            T::BenchmarkHelper::register_keys(&who);
            Pallet::<T>::add_candidate(&who).unwrap();
        }

        let next;
        #[block]
        {
            next = Pallet::<T>::plan_session(true);
        }

        assert_eq!(
            next.unwrap().len() as u32,
            Candidates::<T>::count().min(T::MaxValidators::get())
        );
    }

    impl_benchmark_test_suite!(
        Pallet,
        crate::mock::ExtBuilder::empty().build(),
        crate::mock::Test
    );
}
