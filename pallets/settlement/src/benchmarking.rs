//! Benchmarks of the calls, and of what other pallets make this one do.

#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing
)]

use super::*;
use alloc::vec::Vec;
use frame_benchmarking::v2::*;
use frame_support::{
    BoundedVec,
    traits::{
        Get,
        fungible::{Inspect, Mutate},
    },
};
use frame_system::{RawOrigin, pallet_prelude::BlockNumberFor};
use llmesh_primitives::{
    ChannelId, Claim, Lane, LaneId, Voucher, Work,
    channel::{MAX_CLAIMS, MAX_LANES},
    traits::Escrow,
};
use sp_core::{ConstU32, H256, crypto::KeyTypeId, sr25519};
use sp_runtime::{AccountId32, MultiSignature, Permill, app_crypto::RuntimePublic, traits::Saturating};

/// An account with something set aside, so that the calls change entries in place.
fn client<T: Config>() -> T::AccountId {
    let who: T::AccountId = account("client", 0, 0);
    let amount = amount::<T>();
    T::Currency::set_balance(&who, amount * 10 + T::Currency::minimum_balance());
    Pallet::<T>::hold(&who, amount * 2).unwrap();
    who
}

fn amount<T: Config>() -> u128 {
    T::MinFee::get() * 1_000
}

const KEYS: KeyTypeId = KeyTypeId(*b"bnch");

type Lanes<T> = BoundedVec<(<T as frame_system::Config>::AccountId, u128), ConstU32<MAX_LANES>>;

/// The key that signs vouchers.
fn signer() -> sr25519::Public {
    sr25519::Public::generate_pair(KEYS, Some(b"//Signer".to_vec()))
}

fn signer_account() -> AccountId32 {
    signer().into()
}

fn host<T: Config>(index: u32) -> T::AccountId {
    let who = account("host", index, 0);
    T::BenchmarkHelper::make_host(&who);
    who
}

fn payer<T: Config>(index: u32) -> T::AccountId {
    let who: T::AccountId = account("payer", index, 0);
    let deposit = T::ChannelDeposit::get() + T::LaneDeposit::get() * u128::from(MAX_LANES);
    let funds = amount::<T>() * u128::from(MAX_LANES) * 4 + deposit * 2 + T::Currency::minimum_balance();
    T::Currency::set_balance(&who, funds);
    for receiver in [&Pallet::<T>::pool_account(), &T::Treasury::get()] {
        T::Currency::mint_into(receiver, T::Currency::minimum_balance()).unwrap();
    }
    who
}

/// `n` lanes, whose hosts are numbered from `first`.
fn lanes<T: Config>(first: u32, n: u32) -> Lanes<T> {
    (first..first + n)
        .map(|index| (host::<T>(index), amount::<T>()))
        .collect::<Vec<_>>()
        .try_into()
        .unwrap()
}

/// The index of a payer that has as many channels as it can but one is as long as it gets.
fn crowd<T: Config>(payer: &T::AccountId) {
    PayerChannels::<T>::mutate(payer, |channels| {
        while channels.len() + 1 < T::MaxChannelsPerPayer::get() as usize {
            channels.try_push(ChannelId::MAX).unwrap();
        }
    });
}

fn open<T: Config>(payer: &T::AccountId, lanes: Lanes<T>) -> ChannelId {
    let id = NextChannelId::<T>::get();
    let origin = RawOrigin::Signed(payer.clone()).into();
    Pallet::<T>::open_channel(origin, signer_account(), lanes, T::ChallengeWindow::get()).unwrap();
    id
}

/// A channel whose record is as long as it gets, but for one lane if `room`.
fn open_full<T: Config>(payer: &T::AccountId, room: bool) -> ChannelId {
    crowd::<T>(payer);
    open::<T>(payer, lanes::<T>(0, MAX_LANES - u32::from(room)))
}

fn lane_of<T: Config>(id: ChannelId, lane: LaneId) -> Lane<T::AccountId> {
    Channels::<T>::get(id).unwrap().lanes[usize::from(lane)].clone()
}

/// A claim of all that the lane has; `good` says whether the signature is.
fn claim_for<T: Config>(channel: ChannelId, lane: LaneId, good: bool) -> Claim {
    let voucher = Voucher {
        genesis: Pallet::<T>::genesis(),
        channel,
        epoch: 0,
        lane,
        nonce: 1,
        cumulative: amount::<T>(),
        receipts: H256::repeat_byte(1),
    };
    let signed = if good { voucher.payload() } else { [0; 32] };
    Claim {
        channel,
        epoch: 0,
        lane,
        nonce: voucher.nonce,
        cumulative: voucher.cumulative,
        receipts: voucher.receipts,
        signature: MultiSignature::Sr25519(signer().sign(KEYS, &signed).unwrap()),
        covered: 0,
        work: Work {
            root: H256::repeat_byte(1),
            leaves: 1_000,
            value: voucher.cumulative,
        },
    }
}

/// Claims of one host against channels of as many payers; each record is as long as it gets.
fn claims<T: Config>(n: u32, good: bool) -> (T::AccountId, BoundedVec<Claim, ConstU32<MAX_CLAIMS>>) {
    let all = lanes::<T>(0, MAX_LANES);
    let claims = (0..n)
        .map(|index| {
            let id = open::<T>(&payer::<T>(index), all.clone());
            claim_for::<T>(id, 0, good)
        })
        .collect::<Vec<_>>();
    (all[0].0.clone(), claims.try_into().unwrap())
}

fn go_past_the_end<T: Config>() {
    let end = frame_system::Pallet::<T>::block_number()
        .saturating_add(T::ChallengeWindow::get())
        .saturating_add(1u32.into());
    frame_system::Pallet::<T>::set_block_number(end);
}

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn hold() {
        let who = client::<T>();

        #[block]
        {
            Pallet::<T>::hold(&who, amount::<T>()).unwrap();
        }

        assert_eq!(Held::<T>::get(&who), amount::<T>() * 3);
    }

    #[benchmark]
    fn release() {
        let who = client::<T>();

        #[block]
        {
            Pallet::<T>::release(&who, amount::<T>()).unwrap();
        }

        assert_eq!(Held::<T>::get(&who), amount::<T>());
    }

    #[benchmark]
    fn pay() {
        let who = client::<T>();
        let host: T::AccountId = account("host", 0, 0);
        for receiver in [&host, &Pallet::<T>::pool_account(), &T::Treasury::get()] {
            T::Currency::mint_into(receiver, T::Currency::minimum_balance()).unwrap();
        }

        #[block]
        {
            Pallet::<T>::pay(&who, &host, amount::<T>()).unwrap();
        }

        assert_eq!(Held::<T>::get(&who), amount::<T>());
    }

    #[benchmark]
    fn note_utilisation() {
        Pallet::<T>::note_utilisation(0, Permill::one());
        let before = Demand::<T>::get(0);

        #[block]
        {
            Pallet::<T>::note_utilisation(0, Permill::one());
        }

        assert!(Demand::<T>::get(0) > before);
    }

    #[benchmark]
    fn open_channel(n: Linear<1, MAX_LANES>) {
        let payer = payer::<T>(0);
        crowd::<T>(&payer);
        let lanes = lanes::<T>(0, n);
        let lifetime = T::ChallengeWindow::get();

        #[extrinsic_call]
        _(RawOrigin::Signed(payer), signer_account(), lanes, lifetime);

        assert_eq!(Channels::<T>::get(0).unwrap().lanes.len() as u32, n);
    }

    #[benchmark]
    fn add_lane() {
        let payer = payer::<T>(0);
        let id = open_full::<T>(&payer, true);
        let host = host::<T>(MAX_LANES);

        #[extrinsic_call]
        _(RawOrigin::Signed(payer), id, host, amount::<T>());

        assert_eq!(Channels::<T>::get(id).unwrap().lanes.len() as u32, MAX_LANES);
    }

    #[benchmark]
    fn fund_lane() {
        let payer = payer::<T>(0);
        let id = open_full::<T>(&payer, false);

        #[extrinsic_call]
        _(RawOrigin::Signed(payer), id, 0, amount::<T>());

        assert_eq!(lane_of::<T>(id, 0).funded, amount::<T>() * 2);
    }

    #[benchmark]
    fn extend() {
        let payer = payer::<T>(0);
        let id = open_full::<T>(&payer, false);
        let lifetime: BlockNumberFor<T> = T::MaxLifetime::get();

        #[extrinsic_call]
        _(RawOrigin::Signed(payer), id, lifetime);

        let now = frame_system::Pallet::<T>::block_number();
        assert!(Channels::<T>::get(id).unwrap().expires_at == now + lifetime);
    }

    #[benchmark]
    fn claim() {
        let id = open_full::<T>(&payer::<T>(0), false);
        let host = lane_of::<T>(id, 0).host;
        let best = claim_for::<T>(id, 0, true);

        #[extrinsic_call]
        _(RawOrigin::Signed(host), best);

        assert_eq!(lane_of::<T>(id, 0).paid, amount::<T>());
    }

    #[benchmark]
    fn claim_batch(n: Linear<1, MAX_CLAIMS>) {
        let (host, claims) = claims::<T>(n, true);
        let last = claims[n as usize - 1].channel;

        #[extrinsic_call]
        _(RawOrigin::Signed(host), claims);

        assert_eq!(lane_of::<T>(last, 0).paid, amount::<T>());
    }

    /// A batch of claims of which none holds.
    #[benchmark]
    fn refuse_claims(n: Linear<1, MAX_CLAIMS>) {
        let (host, claims) = claims::<T>(n, false);
        let last = claims[n as usize - 1].channel;

        #[extrinsic_call]
        claim_batch(RawOrigin::Signed(host), claims);

        assert_eq!(lane_of::<T>(last, 0).paid, 0);
    }

    #[benchmark]
    fn release_lane() {
        let id = open_full::<T>(&payer::<T>(0), false);
        let host = lane_of::<T>(id, 0).host;

        #[extrinsic_call]
        _(RawOrigin::Signed(host), id, 0);

        assert!(lane_of::<T>(id, 0).released);
    }

    #[benchmark]
    fn close() {
        let payer = payer::<T>(0);
        let id = open_full::<T>(&payer, false);

        #[extrinsic_call]
        _(RawOrigin::Signed(payer), id);

        assert!(Channels::<T>::get(id).unwrap().state != llmesh_primitives::ChannelState::Open);
    }

    #[benchmark]
    fn settle(n: Linear<1, MAX_LANES>) {
        let payer = payer::<T>(0);
        crowd::<T>(&payer);
        let id = open::<T>(&payer, lanes::<T>(0, n));
        go_past_the_end::<T>();

        #[extrinsic_call]
        _(RawOrigin::Signed(payer), id);

        assert!(!Channels::<T>::contains_key(id));
    }

    #[benchmark]
    fn reopen(o: Linear<1, MAX_LANES>, n: Linear<1, MAX_LANES>) {
        let payer = payer::<T>(0);
        crowd::<T>(&payer);
        let id = open::<T>(&payer, lanes::<T>(0, o));
        go_past_the_end::<T>();
        let lanes = lanes::<T>(MAX_LANES, n);
        let lifetime = T::ChallengeWindow::get();

        #[extrinsic_call]
        _(RawOrigin::Signed(payer), id, signer_account(), lanes, lifetime);

        assert_eq!(Channels::<T>::get(id).unwrap().epoch, 1);
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::benchmark_ext(), crate::mock::Test);
}
