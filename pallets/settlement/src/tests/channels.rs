//! Payment channels, call by call.

use super::{free, pool};
use crate::{
    Channels, Error, Event, HoldReason, HostLaneCount, HostLanes, LaneKey, NextChannelId, PayerChannels,
    WeightInfo, mock::*,
};
use frame_support::{
    BoundedVec, assert_err, assert_noop, assert_ok,
    dispatch::{DispatchResultWithPostInfo, PostDispatchInfo},
    traits::{
        Hooks,
        fungible::{Inspect, InspectHold, Mutate},
    },
};
use llmesh_primitives::{
    ChannelId, ChannelState, Claim, Lane, LaneId, SignedVoucher, Voucher, Work,
    channel::{MAX_CLAIMS, MAX_LANES},
    traits::{Conduct, VerdictHandler, VerifierPool},
};
use sp_core::{H256, Pair, sr25519};
use sp_runtime::{AccountId32, DispatchError, TokenError};

type Channel = llmesh_primitives::Channel<u64, u64>;

/// The key that signs vouchers in these tests.
pub fn signer() -> sr25519::Pair {
    signer_of_epoch(0)
}

pub fn signer_of_epoch(epoch: u32) -> sr25519::Pair {
    let mut seed = [1; 32];
    seed[..4].copy_from_slice(&epoch.to_le_bytes());
    sr25519::Pair::from_seed(&seed)
}

pub fn account_of(pair: &sr25519::Pair) -> AccountId32 {
    pair.public().into()
}

pub fn by(who: u64) -> RuntimeOrigin {
    RuntimeOrigin::signed(who)
}

pub fn lanes(of: &[(u64, u128)]) -> BoundedVec<(u64, u128), frame_support::traits::ConstU32<MAX_LANES>> {
    of.to_vec().try_into().unwrap()
}

pub fn genesis() -> H256 {
    System::block_hash(0)
}

pub fn held(who: u64) -> u128 {
    Balances::balance_on_hold(&HoldReason::Channel.into(), &who)
}

pub fn deposits(who: u64) -> u128 {
    Balances::balance_on_hold(&HoldReason::ChannelDeposit.into(), &who)
}

fn deposit_for(lanes: u128) -> u128 {
    CHANNEL_DEPOSIT + LANE_DEPOSIT * lanes
}

fn open_for(payer: u64, of: &[(u64, u128)], lifetime: u64) -> ChannelId {
    let id = NextChannelId::<Test>::get();
    assert_ok!(Settlement::open_channel(
        by(payer),
        account_of(&signer()),
        lanes(of),
        lifetime
    ));
    id
}

/// A channel of [`CLIENT`] that lives for 50 blocks.
fn open(of: &[(u64, u128)]) -> ChannelId {
    open_for(CLIENT, of, 50)
}

fn channel(id: ChannelId) -> Channel {
    Settlement::channel(id).expect("it is not settled")
}

fn lane(id: ChannelId, position: usize) -> Lane<u64> {
    channel(id).lanes[position].clone()
}

fn voucher(channel: ChannelId, nonce: u64, cumulative: u128) -> Voucher {
    Voucher {
        genesis: genesis(),
        channel,
        epoch: 0,
        lane: 0,
        nonce,
        cumulative,
        receipts: H256::repeat_byte(9),
    }
}

pub fn sign(voucher: Voucher, by: &sr25519::Pair) -> Claim {
    let signature = by.sign(&voucher.payload()).into();
    let (covered, work) = receipts_for(&voucher);
    SignedVoucher { voucher, signature }.claim(covered, work)
}

/// What a host commits to with a voucher: receipts for what the lane's claims do not cover yet, if any of it is paid.
fn receipts_for(voucher: &Voucher) -> (u64, Work) {
    let lane = Channels::<Test>::get(voucher.channel)
        .and_then(|channel| channel.lanes.get(usize::from(voucher.lane)).cloned());
    let Some(lane) = lane else {
        return (0, covering(voucher.cumulative));
    };
    let value = voucher.cumulative.saturating_sub(lane.covered_value);
    let work = if value > 0 && lane.paid < lane.funded {
        covering(value)
    } else {
        Work::default()
    };
    (lane.covered, work)
}

/// A claim that adds this many receipts of this value after those up to `covered`.
fn adding(id: ChannelId, (nonce, cumulative): (u64, u128), covered: u64, leaves: u32, value: u128) -> Claim {
    let root = covering(value).root;
    Claim {
        covered,
        work: Work { root, leaves, value },
        ..claim(id, nonce, cumulative)
    }
}

/// Ten receipts of this value.
pub fn covering(value: u128) -> Work {
    Work {
        root: H256::repeat_byte(7),
        leaves: 10,
        value,
    }
}

fn claim(channel: ChannelId, nonce: u64, cumulative: u128) -> Claim {
    sign(voucher(channel, nonce, cumulative), &signer())
}

fn go_to(block: u64) {
    System::set_block_number(block);
}

fn events() -> Vec<Event<Test>> {
    System::events()
        .into_iter()
        .filter_map(|record| {
            if let RuntimeEvent::Settlement(event) = record.event {
                Some(event)
            } else {
                None
            }
        })
        .collect()
}

mod opening {
    use super::*;

    #[test]
    fn allocations_and_deposit_are_held_and_the_hosts_can_find_their_lanes() {
        build_and_execute(|| {
            let id = open(&[(HOST, 1_000), (HOST_2, 500)]);
            assert_eq!((held(CLIENT), deposits(CLIENT)), (1_500, deposit_for(2)));
            assert_eq!(free(CLIENT), FUNDS - 1_500 - deposit_for(2));
            let expected = Channel {
                payer: CLIENT,
                signer: account_of(&signer()),
                epoch: 0,
                state: ChannelState::Open,
                expires_at: 51,
                lanes: vec![
                    Lane {
                        host: HOST,
                        funded: 1_000,
                        paid: 0,
                        claimed: 0,
                        nonce: 0,
                        covered: 0,
                        covered_value: 0,
                        released: false,
                    },
                    Lane {
                        host: HOST_2,
                        funded: 500,
                        paid: 0,
                        claimed: 0,
                        nonce: 0,
                        covered: 0,
                        covered_value: 0,
                        released: false,
                    },
                ]
                .try_into()
                .unwrap(),
                deposit: deposit_for(2),
            };
            assert_eq!(channel(id), expected);
            assert_eq!(Settlement::channels_of(CLIENT), [(id, expected)]);
            assert_eq!(Settlement::lanes_of(HOST, 0, 10), [(id, 0)]);
            assert_eq!(Settlement::lanes_of(HOST_2, 0, 10), [(id, 1)]);
            assert_eq!(
                events(),
                [
                    Event::ChannelOpened {
                        channel: id,
                        payer: CLIENT,
                        signer: account_of(&signer()),
                        funded: 1_500,
                        deposit: deposit_for(2),
                        expires_at: 51,
                    },
                    Event::LaneOpened {
                        channel: id,
                        epoch: 0,
                        lane: 0,
                        host: HOST,
                        funded: 1_000,
                    },
                    Event::LaneOpened {
                        channel: id,
                        epoch: 0,
                        lane: 1,
                        host: HOST_2,
                        funded: 500,
                    },
                ]
            );
        });
    }

    #[test]
    fn what_does_not_make_a_channel_is_refused() {
        build_and_execute(|| {
            let open = |of: &[(u64, u128)], lifetime| {
                Settlement::open_channel(by(CLIENT), account_of(&signer()), lanes(of), lifetime)
            };
            assert_noop!(open(&[], 50), Error::<Test>::NoLanes);
            assert_noop!(open(&[(HOST, 99)], 50), Error::<Test>::AllocationTooSmall);
            assert_noop!(open(&[(HOST, 100), (HOST, 100)], 50), Error::<Test>::RepeatedHost);
            assert_noop!(open(&[(OTHER, 100)], 50), Error::<Test>::NotAHost);
            assert_noop!(open(&[(HOST, 100)], WINDOW - 1), Error::<Test>::InvalidLifetime);
            assert_noop!(
                open(&[(HOST, 100)], MAX_LIFETIME + 1),
                Error::<Test>::InvalidLifetime
            );
            // The account itself stays alive.
            let most = FUNDS - ED - deposit_for(1);
            assert_noop!(open(&[(HOST, most + 1)], 50), Error::<Test>::InsufficientFunds);
            assert_noop!(
                open(&[(HOST, u128::MAX), (HOST_2, 100)], 50),
                sp_runtime::ArithmeticError::Overflow
            );
            assert_noop!(
                Settlement::open_channel(
                    RuntimeOrigin::root(),
                    account_of(&signer()),
                    lanes(&[(HOST, 100)]),
                    50
                ),
                DispatchError::BadOrigin
            );
            assert_ok!(open(&[(HOST, most)], 50));
            assert_eq!(free(CLIENT), ED);
        });
    }

    #[test]
    fn locked_funds_can_not_be_allocated_and_a_later_lock_does_not_stop_a_claim() {
        use frame_support::traits::{LockableCurrency, WithdrawReasons};
        build_and_execute(|| {
            Balances::set_lock(*b"vesting.", &CLIENT, FUNDS - 1_000, WithdrawReasons::all());
            assert_noop!(
                Settlement::open_channel(by(CLIENT), account_of(&signer()), lanes(&[(HOST, 1_001)]), 50),
                Error::<Test>::InsufficientFunds
            );
            let id = open(&[(HOST, 900)]);
            Balances::set_lock(*b"vesting.", &CLIENT, FUNDS, WithdrawReasons::all());
            assert_ok!(Settlement::claim(by(HOST), claim(id, 1, 900)));
            assert_eq!(free(HOST), FUNDS + 630);
        });
    }

    #[test]
    fn a_payer_has_a_bounded_number_of_channels() {
        build_and_execute(|| {
            for _ in 0..3 {
                open(&[(HOST, 100)]);
            }
            assert_noop!(
                Settlement::open_channel(by(CLIENT), account_of(&signer()), lanes(&[(HOST, 100)]), 50),
                Error::<Test>::TooManyChannels
            );
            go_to(52);
            assert_ok!(Settlement::settle(by(OTHER), 1));
            assert_eq!(open(&[(HOST, 100)]), 3);
            let ids: Vec<_> = Settlement::channels_of(CLIENT)
                .iter()
                .map(|(id, _)| *id)
                .collect();
            assert_eq!(ids, [0, 2, 3]);
        });
    }

    #[test]
    fn a_host_has_a_bounded_number_of_lanes_and_can_shed_those_it_does_not_want() {
        build_and_execute(|| {
            MaxLanesPerHost::set(2);
            let (a, b) = (open(&[(HOST, 100)]), open(&[(HOST, 100)]));
            assert_noop!(
                Settlement::open_channel(by(OTHER), account_of(&signer()), lanes(&[(HOST, 100)]), 50),
                Error::<Test>::HostHasTooManyLanes
            );
            let c = open_for(OTHER, &[(HOST_2, 100)], 50);
            assert_noop!(
                Settlement::add_lane(by(OTHER), c, HOST, 100),
                Error::<Test>::HostHasTooManyLanes
            );
            assert_ok!(Settlement::release_lane(by(HOST), a, 0));
            assert_eq!(Settlement::lanes_of(HOST, 0, 10), [(b, 0)]);
            assert_ok!(Settlement::add_lane(by(OTHER), c, HOST, 100));
            assert_eq!(Settlement::lanes_of(HOST, 0, 10), [(b, 0), (c, 1)]);
            assert_eq!(HostLaneCount::<Test>::get(HOST), 2);
        });
    }

    #[test]
    fn lanes_are_listed_in_order_and_page_by_page() {
        build_and_execute(|| {
            MaxLanesPerHost::set(400);
            NextChannelId::<Test>::put(254);
            let mut ids = vec![];
            for payer in 1_000..1_100 {
                Balances::set_balance(&payer, 10_000);
                ids.push(open_for(payer, &[(HOST, 100)], 50));
            }
            let all: Vec<_> = ids.iter().map(|id| (*id, 0)).collect();
            assert_eq!(Settlement::lanes_of(HOST, 0, u32::MAX), all);
            assert_eq!(Settlement::lanes_of(HOST, 0, 3), all[..3]);
            assert_eq!(Settlement::lanes_of(HOST, 256, 2), [(256, 0), (257, 0)]);
            assert_eq!(Settlement::lanes_of(HOST, 353, 9), [(353, 0)]);
            assert_eq!(Settlement::lanes_of(HOST, 354, 9), []);
            assert_eq!(Settlement::lanes_of(HOST, u64::MAX, 9), []);
            assert_eq!(Settlement::lanes_of(HOST_2, 0, 9), []);
        });
    }

    #[test]
    fn no_read_returns_more_than_a_thousand_lanes() {
        new_test_ext().execute_with(|| {
            for id in 0..1_100 {
                HostLanes::<Test>::insert(HOST, LaneKey::new(id, 0), ());
            }
            assert_eq!(Settlement::lanes_of(HOST, 0, u32::MAX).len(), 1_000);
            assert_eq!(Settlement::lanes_of(HOST, 1_000, u32::MAX).len(), 100);
        });
    }
}

mod funding {
    use super::*;

    #[test]
    fn a_lane_can_be_added_and_topped_up() {
        build_and_execute(|| {
            let id = open(&[(HOST, 100)]);
            assert_ok!(Settlement::add_lane(by(CLIENT), id, HOST_2, 200));
            assert_ok!(Settlement::fund_lane(by(CLIENT), id, 1, 1));
            assert_eq!((lane(id, 0).funded, lane(id, 1).funded), (100, 201));
            assert_eq!((held(CLIENT), deposits(CLIENT)), (301, deposit_for(2)));
            assert_eq!(
                events()[2..],
                [
                    Event::LaneOpened {
                        channel: id,
                        epoch: 0,
                        lane: 1,
                        host: HOST_2,
                        funded: 200,
                    },
                    Event::LaneFunded {
                        channel: id,
                        lane: 1,
                        amount: 1,
                        funded: 201,
                    },
                ]
            );
        });
    }

    #[test]
    fn only_the_payer_adds_and_funds_and_only_what_makes_sense() {
        build_and_execute(|| {
            let id = open(&[(HOST, 100)]);
            assert_noop!(
                Settlement::add_lane(by(OTHER), id, HOST_2, 100),
                Error::<Test>::NotPayer
            );
            assert_noop!(
                Settlement::fund_lane(by(OTHER), id, 0, 100),
                Error::<Test>::NotPayer
            );
            assert_noop!(
                Settlement::add_lane(by(CLIENT), id, HOST, 100),
                Error::<Test>::RepeatedHost
            );
            assert_noop!(
                Settlement::add_lane(by(CLIENT), id, OTHER, 100),
                Error::<Test>::NotAHost
            );
            assert_noop!(
                Settlement::add_lane(by(CLIENT), id, HOST_2, 99),
                Error::<Test>::AllocationTooSmall
            );
            assert_noop!(
                Settlement::add_lane(by(CLIENT), id + 1, HOST_2, 100),
                Error::<Test>::UnknownChannel
            );
            assert_noop!(
                Settlement::fund_lane(by(CLIENT), id, 0, 0),
                Error::<Test>::ZeroAmount
            );
            assert_noop!(
                Settlement::fund_lane(by(CLIENT), id, 1, 100),
                Error::<Test>::UnknownLane
            );
            assert_noop!(
                Settlement::fund_lane(by(CLIENT), id, 0, FUNDS),
                Error::<Test>::InsufficientFunds
            );
            assert_ok!(Settlement::release_lane(by(HOST), id, 0));
            assert_noop!(
                Settlement::fund_lane(by(CLIENT), id, 0, 100),
                Error::<Test>::ChannelOver
            );
        });
    }

    #[test]
    fn a_released_lane_is_not_funded_and_its_host_gets_a_new_one() {
        build_and_execute(|| {
            let id = open(&[(HOST, 100), (HOST_2, 100)]);
            assert_ok!(Settlement::release_lane(by(HOST), id, 0));
            assert_noop!(
                Settlement::fund_lane(by(CLIENT), id, 0, 100),
                Error::<Test>::LaneReleased
            );
            assert_ok!(Settlement::add_lane(by(CLIENT), id, HOST, 100));
            assert_eq!(Settlement::lanes_of(HOST, 0, 9), [(id, 2)]);
            // A voucher for the old lane is none for the new one.
            assert_noop!(
                Settlement::claim(by(HOST), claim(id, 1, 100)),
                Error::<Test>::LaneReleased
            );
        });
    }

    #[test]
    fn a_channel_has_sixteen_lanes_at_most() {
        build_and_execute(|| {
            Hosts::set((1_000..1_100).collect());
            let all: Vec<_> = (1_000..1_016).map(|host| (host, 100)).collect();
            let id = open(&all);
            assert_noop!(
                Settlement::add_lane(by(CLIENT), id, 1_016, 100),
                Error::<Test>::TooManyLanes
            );
        });
    }

    #[test]
    fn a_channel_expires_later_when_its_payer_says_so() {
        build_and_execute(|| {
            let id = open(&[(HOST, 100)]);
            go_to(11);
            assert_noop!(Settlement::extend(by(CLIENT), id, 40), Error::<Test>::NotLater);
            assert_noop!(Settlement::extend(by(OTHER), id, 41), Error::<Test>::NotPayer);
            assert_noop!(
                Settlement::extend(by(CLIENT), id, MAX_LIFETIME + 1),
                Error::<Test>::InvalidLifetime
            );
            assert_ok!(Settlement::extend(by(CLIENT), id, 41));
            assert_eq!(channel(id).expires_at, 52);
            go_to(52);
            assert_ok!(Settlement::extend(by(CLIENT), id, MAX_LIFETIME));
            go_to(153);
            assert_noop!(Settlement::extend(by(CLIENT), id, 50), Error::<Test>::ChannelOver);
        });
    }
}

mod claiming {
    use super::*;

    #[test]
    fn a_claim_pays_what_is_new_to_host_pool_and_treasury() {
        build_and_execute(|| {
            let id = open(&[(HOST, 1_000)]);
            assert_ok!(Settlement::claim(by(HOST), claim(id, 3, 400)));
            assert_ok!(Settlement::claim(by(HOST), claim(id, 7, 1_000)));
            assert_eq!(free(HOST), FUNDS + 700);
            assert_eq!((free(pool()), free(TREASURY)), (ED + 200, ED + 100));
            assert_eq!(held(CLIENT), 0);
            assert_eq!(Rewards::get(), [(HOST, 280), (HOST, 420)]);
            assert_eq!(
                lane(id, 0),
                Lane {
                    host: HOST,
                    funded: 1_000,
                    paid: 1_000,
                    claimed: 1_000,
                    nonce: 7,
                    covered: 20,
                    covered_value: 1_000,
                    released: false
                }
            );
            System::assert_last_event(
                Event::Claimed {
                    channel: id,
                    lane: 0,
                    host: HOST,
                    cumulative: 1_000,
                    paid: 600,
                    host_paid: 420,
                    pool_paid: 120,
                    treasury_paid: 60,
                    owed: 0,
                }
                .into(),
            );
        });
    }

    #[test]
    fn a_claim_that_is_repeated_is_no_error_and_pays_nothing_twice() {
        build_and_execute(|| {
            let id = open(&[(HOST, 1_000)]);
            for _ in 0..3 {
                assert_ok!(Settlement::claim(by(HOST), claim(id, 1, 400)));
            }
            assert_eq!(free(HOST), FUNDS + 280);
            assert_eq!(held(CLIENT), 600);
        });
    }

    #[test]
    fn an_underfunded_claim_keeps_its_rest_until_a_top_up() {
        build_and_execute(|| {
            let id = open(&[(HOST, 300)]);
            let voucher = claim(id, 1, 1_000);
            assert_ok!(Settlement::claim(by(HOST), voucher.clone()));
            System::assert_last_event(
                Event::Claimed {
                    channel: id,
                    lane: 0,
                    host: HOST,
                    cumulative: 1_000,
                    paid: 300,
                    host_paid: 210,
                    pool_paid: 60,
                    treasury_paid: 30,
                    owed: 700,
                }
                .into(),
            );
            // Nothing there, nothing paid, no error.
            let voucher = Claim {
                covered: 10,
                work: Work::default(),
                ..voucher
            };
            assert_ok!(Settlement::claim(by(HOST), voucher.clone()));
            assert_eq!((lane(id, 0).paid, lane(id, 0).claimed), (300, 1_000));

            assert_ok!(Settlement::fund_lane(by(CLIENT), id, 0, 500));
            assert_ok!(Settlement::claim(by(HOST), voucher.clone()));
            assert_eq!(lane(id, 0).paid, 800);
            assert_ok!(Settlement::fund_lane(by(CLIENT), id, 0, 500));
            assert_ok!(Settlement::claim(by(HOST), voucher));
            assert_eq!((lane(id, 0).paid, held(CLIENT)), (1_000, 300));
            assert_eq!(free(HOST), FUNDS + 700);
        });
    }

    #[test]
    fn what_one_host_collects_does_not_touch_the_lane_of_another() {
        build_and_execute(|| {
            let id = open(&[(HOST, 300), (HOST_2, 400)]);
            assert_ok!(Settlement::claim(by(HOST), claim(id, 1, u128::MAX)));
            assert_eq!(held(CLIENT), 400);
            let second = Voucher {
                lane: 1,
                ..voucher(id, 1, 400)
            };
            assert_ok!(Settlement::claim(by(HOST_2), sign(second, &signer())));
            assert_eq!((free(HOST_2), held(CLIENT)), (FUNDS + 280, 0));
        });
    }

    #[test]
    fn a_changed_voucher_is_refused_whatever_was_changed() {
        build_and_execute(|| {
            let id = open(&[(HOST, 1_000), (HOST_2, 1_000)]);
            // A second channel and a second lane that the claim could fit as well.
            let other = open(&[(HOST, 1_000)]);
            let good = voucher(id, 5, 500);
            assert_ok!(Settlement::claim(by(HOST), claim(id, 4, 100)));

            let signature = signer().sign(&good.payload());
            let refused = |change: fn(&mut Claim), error: Error<Test>| {
                let mut claim = SignedVoucher {
                    voucher: voucher(0, 5, 500),
                    signature: signature.into(),
                }
                .claim(10, covering(400));
                change(&mut claim);
                assert_noop!(Settlement::claim(by(HOST), claim), error);
            };
            assert_eq!((id, other), (0, 1));
            refused(
                |c| {
                    c.channel = 1;
                    c.covered = 0;
                },
                Error::BadSignature,
            );
            refused(|c| c.channel = 2, Error::UnknownChannel);
            refused(|c| c.epoch = 1, Error::WrongEpoch);
            refused(|c| c.lane = 1, Error::NotLaneHost);
            refused(|c| c.lane = 2, Error::UnknownLane);
            refused(|c| c.nonce = 6, Error::BadSignature);
            refused(|c| c.nonce = 3, Error::StaleVoucher);
            refused(|c| c.cumulative = 501, Error::BadSignature);
            refused(|c| c.cumulative = 99, Error::ConflictingSum);
            refused(|c| c.receipts = H256::zero(), Error::BadSignature);
            // For another lane of the same host's: only the signature tells.
            let elsewhere = Voucher {
                lane: 1,
                ..good.clone()
            };
            let mut claim = sign(elsewhere, &signer());
            claim.lane = 0;
            claim.covered = 10;
            assert_noop!(Settlement::claim(by(HOST), claim), Error::<Test>::BadSignature);
            // Of another chain.
            let foreign = Voucher {
                genesis: H256::zero(),
                ..good.clone()
            };
            assert_noop!(
                Settlement::claim(by(HOST), sign(foreign, &signer())),
                Error::<Test>::BadSignature
            );
            assert_ok!(Settlement::claim(by(HOST), sign(good, &signer())));
        });
    }

    #[test]
    fn no_more_is_paid_than_receipts_cover() {
        build_and_execute(|| {
            let id = open(&[(HOST, 1_000)]);
            assert_ok!(Settlement::claim(by(HOST), adding(id, (1, 600), 0, 4, 400)));
            assert_eq!((lane(id, 0).paid, lane(id, 0).claimed), (400, 600));
            assert_eq!(Announced::take(), vec![(HOST, id, 0, 0, 4, 400)]);
            // The rest is paid when there are receipts for it; only these are audited then.
            assert_ok!(Settlement::claim(by(HOST), adding(id, (1, 600), 4, 2, 300)));
            assert_eq!((lane(id, 0).paid, lane(id, 0).claimed), (600, 600));
            assert_eq!((lane(id, 0).covered, lane(id, 0).covered_value), (6, 700));
            assert_eq!(Announced::take(), vec![(HOST, id, 0, 4, 2, 200)]);
            // What receipts cover already needs no more of them.
            let plain = Claim {
                covered: 6,
                work: Work::default(),
                ..claim(id, 2, 700)
            };
            assert_ok!(Settlement::claim(by(HOST), plain));
            assert_eq!(lane(id, 0).paid, 700);
            assert_eq!(Announced::take(), vec![]);
        });
    }

    #[test]
    fn receipts_go_on_where_the_last_claim_ended() {
        build_and_execute(|| {
            let id = open(&[(HOST, 1_000)]);
            assert_ok!(Settlement::claim(by(HOST), adding(id, (1, 400), 0, 4, 400)));
            for covered in [0, 3, 5, u64::MAX] {
                assert_noop!(
                    Settlement::claim(by(HOST), adding(id, (2, 800), covered, 4, 400)),
                    Error::<Test>::WrongCovered
                );
            }
            for (leaves, value) in [(0, 400), (4, 0), (0, 0)] {
                assert_noop!(
                    Settlement::claim(by(HOST), adding(id, (2, 800), 4, leaves, value)),
                    Error::<Test>::EmptyWork
                );
            }
            // Receipts are not taken for nothing: they would be audited before anything is paid.
            assert_noop!(
                Settlement::claim(by(HOST), adding(id, (1, 400), 4, 4, 400)),
                Error::<Test>::NothingToPay
            );
            assert_noop!(
                Settlement::claim(by(HOST), adding(id, (2, 800), 4, 4, u128::MAX)),
                sp_runtime::ArithmeticError::Overflow
            );
            assert_ok!(Settlement::claim(by(HOST), adding(id, (2, 800), 4, 4, 400)));
            assert_eq!(lane(id, 0).covered, 8);
        });
    }

    #[test]
    fn receipts_are_counted_by_leaves_or_by_vouchers() {
        build_and_execute(|| {
            let id = open(&[(HOST, 1_000)]);
            // A hundred vouchers, and all of their value in one leaf.
            assert_ok!(Settlement::claim(by(HOST), adding(id, (100, 400), 0, 1, 400)));
            assert_eq!(Announced::take(), vec![(HOST, id, 0, 0, 100, 400)]);
            // Ten more, and two receipts for each.
            assert_ok!(Settlement::claim(by(HOST), adding(id, (110, 800), 1, 20, 400)));
            assert_eq!(Announced::take(), vec![(HOST, id, 0, 1, 20, 400)]);
        });
    }

    #[test]
    fn a_claim_that_is_repeated_after_a_top_up_is_audited_once() {
        build_and_execute(|| {
            let id = open(&[(HOST, 100)]);
            assert_ok!(Settlement::claim(by(HOST), claim(id, 1, 1_000)));
            assert_eq!(Announced::take(), vec![(HOST, id, 0, 0, 10, 100)]);
            assert_ok!(Settlement::fund_lane(by(CLIENT), id, 0, 900));
            assert_ok!(Settlement::claim(by(HOST), claim(id, 1, 1_000)));
            assert_eq!(lane(id, 0).paid, 1_000);
            assert_eq!(Announced::take(), vec![]);
        });
    }

    #[test]
    fn a_conviction_forfeits_what_is_not_claimed() {
        build_and_execute(|| {
            let id = open(&[(HOST, 1_000), (HOST_2, 500)]);
            assert_ok!(Settlement::claim(by(HOST), claim(id, 1, 300)));
            <Settlement as VerdictHandler<u64>>::on_verdict(&HOST, H256::zero(), Conduct::Match);
            assert_ok!(Settlement::claim(by(HOST), claim(id, 2, 400)));
            <Settlement as VerdictHandler<u64>>::on_verdict(&HOST, H256::zero(), Conduct::Mismatch);
            assert!(events().contains(&Event::RevenueForfeited {
                host: HOST,
                below: id + 1
            }));
            assert_noop!(
                Settlement::claim(by(HOST), claim(id, 3, 900)),
                Error::<Test>::Forfeited
            );
            // Other hosts of the channel are paid as ever.
            let other = Voucher {
                lane: 1,
                ..voucher(id, 1, 200)
            };
            assert_ok!(Settlement::claim(by(HOST_2), sign(other, &signer())));
            // Channels that are opened afterwards count anew.
            let later = open(&[(HOST, 1_000)]);
            assert_ok!(Settlement::claim(by(HOST), claim(later, 1, 300)));
            // Everything that is left goes back.
            assert_ok!(Settlement::close(by(CLIENT), id));
            go_to(1 + WINDOW + 1);
            let before = free(CLIENT);
            assert_ok!(Settlement::settle(by(OTHER), id));
            assert_eq!(free(CLIENT) - before, 600 + 300 + deposit_for(2));
        });
    }

    #[test]
    fn the_pool_pays_what_it_has_and_counts_each_hosts_part() {
        build_and_execute(|| {
            let id = open(&[(HOST, 10_000)]);
            let pool = Settlement::pool_account();
            assert_eq!(<Settlement as VerifierPool<u64>>::pay(&OTHER, 5), 0);
            assert_ok!(Settlement::claim(by(HOST), claim(id, 1, 10_000)));
            assert_eq!(free(pool), ED + 2_000);
            assert_eq!(<Settlement as VerifierPool<u64>>::available(), 2_000);
            assert_eq!(<Settlement as VerifierPool<u64>>::take_cut(&HOST), 2_000);
            assert_eq!(<Settlement as VerifierPool<u64>>::take_cut(&HOST), 0);
            assert_eq!(<Settlement as VerifierPool<u64>>::pay(&OTHER, 500), 500);
            assert_eq!(<Settlement as VerifierPool<u64>>::pay(&OTHER, 5_000), 1_500);
            assert_eq!(free(pool), ED);
        });
    }

    #[test]
    fn only_the_signer_signs_vouchers() {
        build_and_execute(|| {
            let id = open(&[(HOST, 1_000)]);
            assert_noop!(
                Settlement::claim(by(HOST), sign(voucher(id, 1, 100), &signer_of_epoch(1))),
                Error::<Test>::BadSignature
            );
            // A signature over the fields alone, without the domain.
            use codec::Encode;
            let fields = voucher(id, 1, 100);
            let bare = signer().sign(&sp_io::hashing::blake2_256(&fields.encode()));
            let claim = SignedVoucher {
                voucher: fields,
                signature: bare.into(),
            }
            .claim(0, covering(100));
            assert_noop!(Settlement::claim(by(HOST), claim), Error::<Test>::BadSignature);
        });
    }

    #[test]
    fn an_older_voucher_is_refused_after_a_newer_one() {
        build_and_execute(|| {
            let id = open(&[(HOST, 1_000)]);
            assert_ok!(Settlement::claim(by(HOST), claim(id, 2, 500)));
            for stale in [claim(id, 1, 500), claim(id, 1, 900), claim(id, 0, 500)] {
                assert_noop!(Settlement::claim(by(HOST), stale), Error::<Test>::StaleVoucher);
            }
            for conflicting in [claim(id, 2, 501), claim(id, 2, 499), claim(id, 3, 499)] {
                assert_noop!(
                    Settlement::claim(by(HOST), conflicting),
                    Error::<Test>::ConflictingSum
                );
            }
            // A newer one for the same sum says nothing new.
            assert_ok!(Settlement::claim(by(HOST), claim(id, 3, 500)));
            assert_eq!((lane(id, 0).nonce, lane(id, 0).paid), (3, 500));
        });
    }

    #[test]
    fn vouchers_are_counted_from_one() {
        build_and_execute(|| {
            let id = open(&[(HOST, 1_000)]);
            for nothing in [claim(id, 0, 0), claim(id, 0, 100)] {
                assert_noop!(Settlement::claim(by(HOST), nothing), Error::<Test>::StaleVoucher);
            }
            assert_ok!(Settlement::claim(by(HOST), claim(id, 1, 0)));
            assert_eq!(lane(id, 0).nonce, 1);
        });
    }

    #[test]
    fn nobody_claims_from_the_lane_of_another() {
        build_and_execute(|| {
            let id = open(&[(HOST, 1_000), (HOST_2, 1_000)]);
            for stranger in [CLIENT, OTHER, HOST_2] {
                assert_noop!(
                    Settlement::claim(by(stranger), claim(id, 1, 100)),
                    Error::<Test>::NotLaneHost
                );
            }
            assert_noop!(
                Settlement::claim(RuntimeOrigin::none(), claim(id, 1, 100)),
                DispatchError::BadOrigin
            );
        });
    }

    #[test]
    fn a_host_that_is_none_any_more_still_gets_what_it_earned() {
        build_and_execute(|| {
            let id = open(&[(HOST, 1_000)]);
            Hosts::set(vec![]);
            assert_ok!(Settlement::claim(by(HOST), claim(id, 1, 1_000)));
            assert_eq!(free(HOST), FUNDS + 700);
        });
    }

    #[test]
    fn claims_count_until_the_last_block_of_the_lifetime() {
        build_and_execute(|| {
            let id = open(&[(HOST, 1_000)]);
            go_to(51);
            assert_noop!(Settlement::settle(by(OTHER), id), Error::<Test>::ChannelNotOver);
            assert_ok!(Settlement::claim(by(HOST), claim(id, 1, 100)));
            go_to(52);
            assert_noop!(
                Settlement::claim(by(HOST), claim(id, 2, 200)),
                Error::<Test>::ChannelOver
            );
            assert_ok!(Settlement::settle(by(OTHER), id));
        });
    }

    #[test]
    fn the_parts_always_add_up_and_the_treasury_has_the_rest() {
        build_and_execute(|| {
            let id = open(&[(HOST, 1_000)]);
            assert_ok!(Settlement::claim(by(HOST), claim(id, 1, 109)));
            System::assert_last_event(
                Event::Claimed {
                    channel: id,
                    lane: 0,
                    host: HOST,
                    cumulative: 109,
                    paid: 109,
                    host_paid: 76,
                    pool_paid: 21,
                    treasury_paid: 12,
                    owed: 0,
                }
                .into(),
            );
            // The smallest of all: nothing but a rest.
            assert_ok!(Settlement::claim(by(HOST), claim(id, 2, 110)));
            assert_eq!((free(HOST), free(TREASURY)), (FUNDS + 76, ED + 13));
            assert_eq!(Rewards::get(), [(HOST, 76)]);
        });
    }

    #[test]
    fn no_claim_fails_for_its_size_while_the_host_or_the_treasury_lives() {
        build_and_execute(|| {
            Hosts::set(vec![99]);
            let id = open(&[(99, 100)]);
            let claim_of = |nonce, sum| sign(voucher(id, nonce, sum), &signer());
            // Account 99 does not exist and 7 planck do not make it: they go to the treasury.
            assert_ok!(Settlement::claim(by(99), claim_of(1, 10)));
            assert_eq!((free(99), free(pool()), free(TREASURY)), (0, ED + 2, ED + 8));
            // Enough to make it.
            assert_ok!(Settlement::claim(by(99), claim_of(2, 30)));
            assert_eq!((free(99), free(pool()), free(TREASURY)), (14, ED + 6, ED + 10));
            // Without pool and treasury the host gets all.
            Balances::set_balance(&TREASURY, 0);
            Balances::set_balance(&pool(), 0);
            assert_ok!(Settlement::claim(by(99), claim_of(3, 40)));
            assert_eq!((free(99), free(pool()), free(TREASURY)), (24, 0, 0));
            // Without anybody a dust claim waits.
            Balances::set_balance(&99, 0);
            assert_noop!(
                Settlement::claim(by(99), claim_of(4, 45)),
                Error::<Test>::TooSmallToPay
            );
            assert_ok!(Settlement::claim(by(99), claim_of(5, 60)));
            assert_eq!(lane(id, 0).paid, 60);
        });
    }

    #[test]
    fn a_claim_of_the_least_fee_reaches_a_host_whose_account_is_gone() {
        build_and_execute(|| {
            Hosts::set(vec![99]);
            let id = open(&[(99, 100)]);
            assert_ok!(Settlement::claim(by(99), claim(id, 1, 100)));
            assert_eq!(free(99), 70);
        });
    }

    #[test]
    fn a_payer_can_be_its_own_host() {
        build_and_execute(|| {
            Hosts::set(vec![CLIENT]);
            let id = open(&[(CLIENT, 1_000)]);
            assert_ok!(Settlement::claim(by(CLIENT), claim(id, 1, 1_000)));
            assert_eq!(Balances::total_balance(&CLIENT), FUNDS - 300);
            assert_ok!(Settlement::release_lane(by(CLIENT), id, 0));
            assert_ok!(Settlement::settle(by(CLIENT), id));
            assert_eq!(free(CLIENT), FUNDS - 300);
        });
    }

    #[test]
    fn a_claim_whose_payment_fails_changes_nothing() {
        build_and_execute(|| {
            let id = open(&[(HOST, 1_000)]);
            RewardsFail::set(true);
            assert_noop!(
                Settlement::claim(by(HOST), claim(id, 1, 1_000)),
                DispatchError::Other("refused")
            );
            RewardsFail::set(false);
            assert_ok!(Settlement::claim(by(HOST), claim(id, 1, 1_000)));
        });
    }

    #[test]
    fn escrow_of_jobs_and_channels_do_not_mix() {
        build_and_execute(|| {
            assert_ok!(super::super::hold(CLIENT, 5_000));
            let id = open(&[(HOST, 300)]);
            assert_ok!(Settlement::claim(by(HOST), claim(id, 1, 1_000)));
            assert_eq!(Settlement::escrow_of(CLIENT), 5_000);
            assert_eq!(super::super::on_hold(CLIENT), 5_000);
            assert_eq!(held(CLIENT), 0);
        });
    }
}

mod batches {
    use super::*;

    fn batch(who: u64, claims: Vec<Claim>) -> PostDispatchInfo {
        Settlement::claim_batch(by(who), claims.try_into().unwrap()).expect("a batch never fails")
    }

    #[test]
    fn good_claims_are_paid_and_bad_ones_are_named() {
        build_and_execute(|| {
            let a = open(&[(HOST, 1_000)]);
            let b = open_for(OTHER, &[(HOST_2, 300), (HOST, 300)], 50);
            let second_lane = Voucher {
                lane: 1,
                ..voucher(b, 1, 300)
            };
            let mut forged = claim(a, 9, 900);
            forged.cumulative = 901;
            forged.covered = 10;
            let info = batch(
                HOST,
                vec![
                    claim(a, 2, 200),
                    claim(a, 1, 100),
                    forged,
                    claim(b, 1, 100),
                    claim(77, 1, 100),
                    sign(second_lane, &signer()),
                    adding(a, (3, 300), 10, 2, 100),
                ],
            );
            assert_eq!(free(HOST), FUNDS + 420);
            let skipped: Vec<_> = events()
                .into_iter()
                .filter_map(|event| {
                    if let Event::ClaimSkipped { channel, lane, error } = event {
                        Some((channel, lane, error))
                    } else {
                        None
                    }
                })
                .collect();
            assert_eq!(
                skipped,
                [
                    (a, 0, Error::<Test>::StaleVoucher.into()),
                    (a, 0, Error::<Test>::BadSignature.into()),
                    (b, 0, Error::<Test>::NotLaneHost.into()),
                    (77, 0, Error::<Test>::UnknownChannel.into()),
                ]
            );
            let paid: Vec<_> = events()
                .into_iter()
                .filter_map(|event| {
                    if let Event::Claimed {
                        channel, lane, paid, ..
                    } = event
                    {
                        Some((channel, lane, paid))
                    } else {
                        None
                    }
                })
                .collect();
            assert_eq!(paid, [(a, 0, 200), (b, 1, 300), (a, 0, 100)]);
            // What was not done need not be paid for.
            let expected = <() as WeightInfo>::claim_batch(3) + <() as WeightInfo>::refuse_claims(4);
            assert_eq!(info.actual_weight, Some(expected));
            assert!(expected.ref_time() < <() as WeightInfo>::claim_batch(7).ref_time());
        });
    }

    #[test]
    fn a_payment_that_fails_spoils_its_own_claim_only() {
        build_and_execute(|| {
            let (a, b) = (open(&[(HOST, 1_000)]), open(&[(HOST, 1_000)]));
            RewardsFail::set(true);
            // The second asks for nothing, so that nothing can fail.
            batch(HOST, vec![claim(a, 1, 100), claim(b, 1, 0)]);
            assert_eq!((lane(a, 0).nonce, lane(b, 0).nonce), (0, 1));
            assert_eq!((free(HOST), held(CLIENT)), (FUNDS, 2_000));
            assert!(events().contains(&Event::ClaimSkipped {
                channel: a,
                lane: 0,
                // The text is not part of an event.
                error: DispatchError::Other(""),
            }));
        });
    }

    #[test]
    fn an_empty_batch_does_nothing() {
        build_and_execute(|| {
            let info = batch(HOST, vec![]);
            assert_eq!(info.actual_weight, Some(<() as WeightInfo>::claim_batch(0)));
            assert_eq!(events(), []);
        });
    }

    #[test]
    fn the_longest_batch_is_paid() {
        build_and_execute(|| {
            let id = open(&[(HOST, 1_000_000 / 2)]);
            let claims = (1..=u64::from(MAX_CLAIMS))
                .map(|n| adding(id, (n, u128::from(n) * 1_000), 10 * (n - 1), 10, 1_000))
                .collect();
            batch(HOST, claims);
            assert_eq!(free(HOST), FUNDS + 128 * 700);
        });
    }
}

mod ending {
    use super::*;

    fn settle(who: u64, id: ChannelId) -> DispatchResultWithPostInfo {
        Settlement::settle(by(who), id)
    }

    fn reopen(who: u64, id: ChannelId, of: &[(u64, u128)]) -> DispatchResultWithPostInfo {
        Settlement::reopen(by(who), id, account_of(&signer_of_epoch(1)), lanes(of), 50)
    }

    #[test]
    fn hosts_can_claim_up_to_the_last_block_of_the_window_and_then_the_rest_goes_back() {
        build_and_execute(|| {
            let id = open(&[(HOST, 1_000), (HOST_2, 500)]);
            go_to(5);
            assert_noop!(Settlement::close(by(OTHER), id), Error::<Test>::NotPayer);
            assert_ok!(Settlement::close(by(CLIENT), id));
            System::assert_last_event(
                Event::ChannelClosed {
                    channel: id,
                    until: 15,
                }
                .into(),
            );
            assert_noop!(Settlement::close(by(CLIENT), id), Error::<Test>::ChannelClosing);
            assert_noop!(
                Settlement::add_lane(by(CLIENT), id, HOST_3, 100),
                Error::<Test>::ChannelClosing
            );
            assert_noop!(
                Settlement::extend(by(CLIENT), id, 90),
                Error::<Test>::ChannelClosing
            );
            go_to(15);
            assert_ok!(Settlement::claim(by(HOST), claim(id, 1, 400)));
            assert_noop!(settle(CLIENT, id), Error::<Test>::ChannelNotOver);
            assert_noop!(reopen(CLIENT, id, &[(HOST, 100)]), Error::<Test>::ChannelNotOver);
            go_to(16);
            assert_noop!(
                Settlement::claim(by(HOST), claim(id, 2, 500)),
                Error::<Test>::ChannelOver
            );
            assert_noop!(
                Settlement::fund_lane(by(CLIENT), id, 0, 100),
                Error::<Test>::ChannelOver
            );
            let info = settle(OTHER, id).unwrap();
            assert_eq!(info.actual_weight, Some(<() as WeightInfo>::settle(2)));
            System::assert_last_event(
                Event::ChannelSettled {
                    channel: id,
                    payer: CLIENT,
                    epoch: 0,
                    funded: 1_500,
                    paid: 400,
                    refunded: 1_100,
                    owed: 0,
                    deposit: deposit_for(2),
                }
                .into(),
            );
            assert_eq!(free(CLIENT), FUNDS - 400);
            assert_eq!((held(CLIENT), deposits(CLIENT)), (0, 0));
            assert_eq!(Settlement::channel(id), None);
            assert_eq!(Settlement::lanes_of(HOST, 0, 9), []);
            assert!(!PayerChannels::<Test>::contains_key(CLIENT));
            assert!(!HostLaneCount::<Test>::contains_key(HOST));
            assert_noop!(settle(CLIENT, id), Error::<Test>::UnknownChannel);
            assert_noop!(
                Settlement::claim(by(HOST), claim(id, 2, 500)),
                Error::<Test>::UnknownChannel
            );
        });
    }

    #[test]
    fn a_window_does_not_outlast_the_channel() {
        build_and_execute(|| {
            let id = open(&[(HOST, 1_000)]);
            go_to(45);
            assert_ok!(Settlement::close(by(CLIENT), id));
            assert_eq!(channel(id).state, ChannelState::Closing { until: 51 });
            go_to(51);
            assert_ok!(Settlement::claim(by(HOST), claim(id, 1, 100)));
            go_to(52);
            assert_ok!(settle(OTHER, id));
        });
    }

    #[test]
    fn a_lane_can_be_topped_up_during_the_window() {
        build_and_execute(|| {
            let id = open(&[(HOST, 100)]);
            assert_ok!(Settlement::claim(by(HOST), claim(id, 1, 400)));
            assert_ok!(Settlement::close(by(CLIENT), id));
            assert_ok!(Settlement::fund_lane(by(CLIENT), id, 0, 300));
            assert_ok!(Settlement::claim(by(HOST), claim(id, 1, 400)));
            assert_eq!(lane(id, 0).paid, 400);
        });
    }

    #[test]
    fn nobody_waits_when_every_host_has_let_go() {
        build_and_execute(|| {
            let id = open(&[(HOST, 1_000), (HOST_2, 500)]);
            assert_ok!(Settlement::claim(by(HOST), claim(id, 1, 400)));
            assert_noop!(
                Settlement::release_lane(by(HOST_2), id, 0),
                Error::<Test>::NotLaneHost
            );
            assert_noop!(
                Settlement::release_lane(by(HOST), id, 2),
                Error::<Test>::UnknownLane
            );
            assert_noop!(
                Settlement::release_lane(by(HOST), id + 1, 0),
                Error::<Test>::UnknownChannel
            );
            assert_ok!(Settlement::release_lane(by(HOST), id, 0));
            System::assert_last_event(
                Event::LaneReleased {
                    channel: id,
                    lane: 0,
                    host: HOST,
                    unspent: 600,
                }
                .into(),
            );
            assert_noop!(
                Settlement::release_lane(by(HOST), id, 0),
                Error::<Test>::LaneReleased
            );
            assert_noop!(
                Settlement::claim(by(HOST), claim(id, 2, 500)),
                Error::<Test>::LaneReleased
            );
            assert_noop!(settle(CLIENT, id), Error::<Test>::ChannelNotOver);
            assert_ok!(Settlement::release_lane(by(HOST_2), id, 1));
            assert_ok!(settle(CLIENT, id));
            assert_eq!(free(CLIENT), FUNDS - 400);
        });
    }

    #[test]
    fn what_was_claimed_and_never_funded_is_named_at_the_end() {
        build_and_execute(|| {
            let id = open(&[(HOST, 100)]);
            assert_ok!(Settlement::claim(by(HOST), claim(id, 1, 1_000)));
            go_to(52);
            assert_ok!(settle(CLIENT, id));
            System::assert_last_event(
                Event::ChannelSettled {
                    channel: id,
                    payer: CLIENT,
                    epoch: 0,
                    funded: 100,
                    paid: 100,
                    refunded: 0,
                    owed: 900,
                    deposit: deposit_for(1),
                }
                .into(),
            );
        });
    }

    #[test]
    fn a_channel_goes_on_with_what_is_left() {
        build_and_execute(|| {
            let id = open(&[(HOST, 1_000), (HOST_2, 500)]);
            assert_ok!(Settlement::claim(by(HOST), claim(id, 1, 400)));
            go_to(52);
            assert_noop!(reopen(OTHER, id, &[(HOST, 100)]), Error::<Test>::NotPayer);
            assert_noop!(reopen(CLIENT, id, &[]), Error::<Test>::NoLanes);
            assert_err!(reopen(CLIENT, id, &[(OTHER, 100)]), Error::<Test>::NotAHost);

            // 1,100 are left, 900 are wanted.
            let info = reopen(CLIENT, id, &[(HOST_3, 900)]).unwrap();
            assert_eq!(info.actual_weight, Some(<() as WeightInfo>::reopen(2, 1)));
            assert_eq!((held(CLIENT), deposits(CLIENT)), (900, deposit_for(1)));
            assert_eq!(free(CLIENT), FUNDS - 400 - 900 - deposit_for(1));
            let record = channel(id);
            assert_eq!(
                (record.epoch, record.state, record.expires_at, record.lanes.len()),
                (1, ChannelState::Open, 102, 1)
            );
            assert_eq!(Settlement::lanes_of(HOST, 0, 9), []);
            assert_eq!(Settlement::lanes_of(HOST_3, 0, 9), [(id, 0)]);
            assert!(events().contains(&Event::ChannelReopened {
                channel: id,
                payer: CLIENT,
                epoch: 1,
                signer: account_of(&signer_of_epoch(1)),
                funded: 1_500,
                paid: 400,
                owed: 0,
                carried: 900,
                refunded: 200,
                added: 0,
                deposit: deposit_for(1),
                expires_at: 102,
            }));

            // More than is left.
            go_to(103);
            assert_ok!(reopen(CLIENT, id, &[(HOST, 700), (HOST_2, 300)]));
            assert_eq!((held(CLIENT), deposits(CLIENT)), (1_000, deposit_for(2)));
            assert_eq!(channel(id).epoch, 2);
            assert_eq!(Settlement::channels_of(CLIENT).len(), 1);
        });
    }

    #[test]
    fn reopening_fails_without_the_funds_and_changes_nothing() {
        build_and_execute(|| {
            let id = open(&[(HOST, 1_000)]);
            go_to(52);
            assert_noop!(
                reopen(CLIENT, id, &[(HOST, FUNDS)]),
                Error::<Test>::InsufficientFunds
            );
        });
    }

    #[test]
    fn vouchers_of_an_earlier_epoch_are_worth_nothing() {
        build_and_execute(|| {
            let id = open(&[(HOST, 1_000)]);
            let old = claim(id, 1, 400);
            go_to(52);
            // Even with the same signer.
            assert_ok!(Settlement::reopen(
                by(CLIENT),
                id,
                account_of(&signer()),
                lanes(&[(HOST, 1_000)]),
                50
            ));
            assert_noop!(
                Settlement::claim(by(HOST), old.clone()),
                Error::<Test>::WrongEpoch
            );
            let mut passed_off = old;
            passed_off.epoch = 1;
            assert_noop!(
                Settlement::claim(by(HOST), passed_off),
                Error::<Test>::BadSignature
            );
            let new = Voucher {
                epoch: 1,
                ..voucher(id, 1, 400)
            };
            assert_ok!(Settlement::claim(by(HOST), sign(new, &signer())));
        });
    }

    #[test]
    fn a_settled_channels_number_is_not_used_again() {
        build_and_execute(|| {
            let id = open(&[(HOST, 1_000)]);
            let old = claim(id, 1, 400);
            go_to(52);
            assert_ok!(settle(CLIENT, id));
            assert_eq!(open(&[(HOST, 1_000)]), id + 1);
            assert_noop!(Settlement::claim(by(HOST), old), Error::<Test>::UnknownChannel);
        });
    }
}

#[test]
fn the_constants_are_sound() {
    new_test_ext().execute_with(Settlement::integrity_test);
}

#[test]
fn keys_of_lanes_sort_as_their_numbers_do() {
    use codec::Encode;
    let numbers: [(ChannelId, LaneId); 6] = [(0, 0), (0, 1), (0, 256), (1, 0), (255, 3), (256, 0)];
    let keys: Vec<_> = numbers.iter().map(|(c, l)| LaneKey::new(*c, *l)).collect();
    assert!(keys.is_sorted_by(|a, b| a.encode() < b.encode()));
    assert!(keys.iter().zip(numbers).all(|(key, lane)| key.lane() == lane));
}

#[test]
fn what_is_allocated_can_not_be_spent() {
    build_and_execute(|| {
        open(&[(HOST, 500_000)]);
        assert_noop!(
            Balances::transfer(
                &CLIENT,
                &OTHER,
                FUNDS / 2,
                frame_support::traits::tokens::Preservation::Expendable
            ),
            TokenError::FundsUnavailable
        );
    });
}
