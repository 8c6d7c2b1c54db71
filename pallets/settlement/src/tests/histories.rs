//! Payment channels under random histories: whatever payers, hosts and strangers do, in whatever order.

use super::channels::{account_of, by, deposits, genesis, held, lanes, sign, signer_of_epoch};
use crate::{Channels, Error, Event, NextChannelId, mock::*};
use frame_support::traits::fungible::Inspect;
use llmesh_primitives::{ChannelId, ChannelState, Claim, LaneId, Voucher};
use proptest::prelude::*;
use sp_core::H256;
use sp_runtime::{DispatchError, DispatchResult};
use std::collections::BTreeMap;

const PAYERS: [u64; 2] = [CLIENT, OTHER];
const HOSTS: [u64; 3] = [HOST, HOST_2, HOST_3];
/// Not a host, no payer.
const STRANGER: u64 = TREASURY;

#[derive(Clone, Debug)]
enum Step {
    Open {
        payer: usize,
        lanes: Vec<(usize, u128)>,
        lifetime: u64,
    },
    Add {
        payer: usize,
        channel: usize,
        host: usize,
        amount: u128,
    },
    Fund {
        payer: usize,
        channel: usize,
        lane: LaneId,
        amount: u128,
    },
    Extend {
        payer: usize,
        channel: usize,
        lifetime: u64,
    },
    /// The payer hands a voucher to a host, off the chain.
    Sign {
        channel: usize,
        lane: LaneId,
        more: u128,
    },
    Claim {
        voucher: usize,
        change: Change,
    },
    Batch {
        host: usize,
        vouchers: Vec<(usize, Change)>,
    },
    Release {
        host: usize,
        channel: usize,
        lane: LaneId,
    },
    Close {
        payer: usize,
        channel: usize,
    },
    Settle {
        channel: usize,
    },
    Reopen {
        payer: usize,
        channel: usize,
        lanes: Vec<(usize, u128)>,
        lifetime: u64,
    },
    Wait(u64),
    RefuseRewards(bool),
    Standing {
        host: usize,
        good: bool,
    },
}

/// What somebody does to a voucher before it is claimed.
#[derive(Clone, Copy, Debug)]
enum Change {
    None,
    Channel,
    Epoch,
    Lane,
    Nonce,
    Cumulative,
    Receipts,
    Genesis,
    /// Claimed by somebody else.
    Thief,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        16 => Just(Change::None),
        1 => Just(Change::Channel),
        1 => Just(Change::Epoch),
        1 => Just(Change::Lane),
        1 => Just(Change::Nonce),
        1 => Just(Change::Cumulative),
        1 => Just(Change::Receipts),
        1 => Just(Change::Genesis),
        1 => Just(Change::Thief),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let amount = || prop_oneof![20 => 100..5_000u128, 1 => 0..100u128, 1 => 0..=2 * FUNDS];
    let hosts = || {
        prop_oneof![
            8 => prop::sample::subsequence((0..HOSTS.len()).collect::<Vec<_>>(), 1..=HOSTS.len()),
            1 => prop::collection::vec(0..HOSTS.len(), 0..4),
        ]
        .prop_flat_map(move |hosts| {
            hosts
                .into_iter()
                .map(|host| (Just(host), amount()))
                .collect::<Vec<_>>()
        })
    };
    let payer = || 0..PAYERS.len();
    // Seven times out of eight the one whom it is for.
    let someone = || 0..8usize;
    let channel = || 0..12usize;
    let lane = || 0..12 as LaneId;
    let lifetime = || prop_oneof![6 => WINDOW..=MAX_LIFETIME, 1 => 0..2 * MAX_LIFETIME];
    prop_oneof![
        4 => (payer(), hosts(), lifetime())
            .prop_map(|(payer, lanes, lifetime)| Step::Open { payer, lanes, lifetime }),
        2 => (someone(), channel(), 0..HOSTS.len(), amount())
            .prop_map(|(payer, channel, host, amount)| Step::Add { payer, channel, host, amount }),
        4 => (someone(), channel(), lane(), amount())
            .prop_map(|(payer, channel, lane, amount)| Step::Fund { payer, channel, lane, amount }),
        1 => (someone(), channel(), lifetime())
            .prop_map(|(payer, channel, lifetime)| Step::Extend { payer, channel, lifetime }),
        12 => (channel(), lane(), prop_oneof![6 => 0..2_000u128, 1 => any::<u128>()])
            .prop_map(|(channel, lane, more)| Step::Sign { channel, lane, more }),
        12 => (0..40usize, change()).prop_map(|(voucher, change)| Step::Claim { voucher, change }),
        4 => (0..HOSTS.len(), prop::collection::vec((0..40usize, change()), 0..8))
            .prop_map(|(host, vouchers)| Step::Batch { host, vouchers }),
        2 => (someone(), channel(), lane())
            .prop_map(|(host, channel, lane)| Step::Release { host, channel, lane }),
        2 => (someone(), channel()).prop_map(|(payer, channel)| Step::Close { payer, channel }),
        2 => channel().prop_map(|channel| Step::Settle { channel }),
        6 => (someone(), channel(), hosts(), lifetime()).prop_map(|(payer, channel, lanes, lifetime)| {
            Step::Reopen { payer, channel, lanes, lifetime }
        }),
        4 => (1..30u64).prop_map(Step::Wait),
        1 => any::<bool>().prop_map(Step::RefuseRewards),
        1 => (0..HOSTS.len(), any::<bool>()).prop_map(|(host, good)| Step::Standing { host, good }),
    ]
}

/// A lane in one epoch of one channel.
type Key = (ChannelId, u32, LaneId);

/// What happened so far, as the tests count it.
#[derive(Default)]
struct Ledger {
    /// Every voucher handed out, with the host that has it.
    vouchers: Vec<(u64, Voucher)>,
    /// The payer of each channel ever opened.
    payers: BTreeMap<ChannelId, u64>,
    allocated: BTreeMap<Key, u128>,
    received: BTreeMap<Key, u128>,
    signed: BTreeMap<Key, (u64, u128)>,
    /// By account: what it should have gained or lost, in all.
    gained: BTreeMap<u64, i128>,
}

impl Ledger {
    /// A channel that is there, or the next one, which is unknown.
    fn channel(&self, pick: usize) -> ChannelId {
        let live: Vec<_> = self
            .payers
            .keys()
            .copied()
            .filter(|id| Channels::<Test>::contains_key(id))
            .collect();
        match pick {
            0 => NextChannelId::<Test>::get(),
            _ if live.is_empty() => 0,
            _ => live[pick % live.len()],
        }
    }

    /// A lane of the channel, or one that it has not.
    fn lane(id: ChannelId, pick: LaneId) -> LaneId {
        let count = Channels::<Test>::get(id).map_or(1, |channel| channel.lanes.len() as LaneId);
        if pick == 0 { count } else { pick % count }
    }

    /// The payer of the channel, or another one.
    fn payer(&self, id: ChannelId, pick: usize) -> u64 {
        let payer = self.payers.get(&id).copied().unwrap_or(CLIENT);
        if pick == 0 { CLIENT + OTHER - payer } else { payer }
    }

    fn allocate(&mut self, id: ChannelId) {
        let channel = Channels::<Test>::get(id).unwrap();
        for (lane, position) in channel.lanes.iter().zip(0..) {
            self.allocated.insert((id, channel.epoch, position), lane.funded);
        }
    }

    fn voucher(&self, pick: usize) -> Option<(u64, Voucher)> {
        let count = self.vouchers.len();
        // Rather late ones than early ones.
        (count > 0).then(|| self.vouchers[count - 1 - pick % count].clone())
    }

    /// Who claims what, after the change.
    fn claim(&self, pick: usize, change: Change) -> Option<(u64, Claim, Voucher)> {
        let (mut host, voucher) = self.voucher(pick)?;
        let signer = signer_of_epoch(voucher.epoch);
        let mut signed = voucher.clone();
        if matches!(change, Change::Genesis) {
            signed.genesis = H256::zero();
        }
        let mut claim = sign(signed, &signer);
        match change {
            Change::None | Change::Genesis => {}
            Change::Channel => claim.channel = claim.channel.wrapping_add(1),
            Change::Epoch => claim.epoch = claim.epoch.wrapping_add(1),
            Change::Lane => claim.lane = claim.lane.wrapping_add(1),
            Change::Nonce => claim.nonce = claim.nonce.wrapping_add(1),
            Change::Cumulative => claim.cumulative = claim.cumulative.wrapping_add(1),
            Change::Receipts => claim.receipts = H256::repeat_byte(1),
            Change::Thief => host = if host == HOST { HOST_2 } else { STRANGER },
        }
        Some((host, claim, voucher))
    }

    /// Whether the chain has to take an unchanged voucher.
    fn is_due(&self, host: u64, voucher: &Voucher) -> bool {
        let Some(channel) = Channels::<Test>::get(voucher.channel) else {
            return false;
        };
        let now = System::block_number();
        let in_time = now <= channel.expires_at
            && match channel.state {
                ChannelState::Open => true,
                ChannelState::Closing { until } => now <= until,
            };
        // A later epoch can have fewer lanes.
        let Some(lane) = channel.lanes.get(usize::from(voucher.lane)) else {
            return false;
        };
        channel.epoch == voucher.epoch
            && in_time
            && !lane.released
            && lane.host == host
            && voucher.nonce >= lane.nonce
    }

    /// Counts the payments that the events of the last step tell of.
    fn count_payments(&mut self) {
        for record in System::events() {
            let RuntimeEvent::Settlement(Event::Claimed {
                channel,
                lane,
                host,
                cumulative,
                paid,
                host_paid,
                pool_paid,
                treasury_paid,
                owed,
            }) = record.event
            else {
                continue;
            };
            assert_eq!(host_paid + pool_paid + treasury_paid, paid);
            let record = Channels::<Test>::get(channel).unwrap();
            let key = (channel, record.epoch, lane);
            let received = self.received.entry(key).or_default();
            *received += paid;
            assert_eq!(cumulative - *received, owed);
            *self.gained.entry(record.payer).or_default() -= paid as i128;
            *self.gained.entry(host).or_default() += host_paid as i128;
            *self.gained.entry(super::pool()).or_default() += pool_paid as i128;
            *self.gained.entry(TREASURY).or_default() += treasury_paid as i128;
        }
        System::reset_events();
    }

    fn check(&self, start: &BTreeMap<u64, u128>) {
        for (who, funds) in start {
            let expected = *funds as i128 + self.gained.get(who).copied().unwrap_or_default();
            assert_eq!(
                Balances::total_balance(who) as i128,
                expected,
                "account {who} has not what it should have"
            );
        }
        for (key, received) in &self.received {
            assert!(*received <= self.allocated[key], "more than was allocated");
            let (_, signed) = self.signed[key];
            assert!(*received <= signed, "more than was signed");
        }
        // What is on hold is what was allocated and neither received nor given back.
        for payer in PAYERS {
            let live: u128 = self
                .allocated
                .iter()
                .filter(|((id, epoch, _), _)| {
                    Channels::<Test>::get(id).is_some_and(|c| c.payer == payer && c.epoch == *epoch)
                })
                .map(|(key, allocated)| allocated - self.received.get(key).copied().unwrap_or_default())
                .sum();
            assert_eq!(held(payer), live);
        }
        Settlement::do_try_state().unwrap();
    }

    /// Claims an unchanged or changed voucher and checks what came of it.
    fn judge(&self, claim: &Claim, change: Change, due: bool, done: DispatchResult) {
        match (change, done) {
            (Change::None, Ok(())) => {
                assert!(due, "{claim:?} was paid though it was not due");
                let key = (claim.channel, claim.epoch, claim.lane);
                let lane =
                    Channels::<Test>::get(claim.channel).unwrap().lanes[usize::from(claim.lane)].clone();
                assert_eq!(lane.paid, claim.cumulative.min(self.allocated[&key]));
            }
            (Change::None, Err(DispatchError::Other("refused"))) => assert!(RewardsFail::get()),
            (Change::None, Err(error)) => assert!(!due, "{claim:?} was refused: {error:?}"),
            (_, done) => assert!(done.is_err(), "{claim:?} was paid in spite of {change:?}"),
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Open {
                payer,
                lanes: of,
                lifetime,
            } => {
                let (id, payer) = (NextChannelId::<Test>::get(), PAYERS[payer]);
                let signer = account_of(&signer_of_epoch(0));
                if Settlement::open_channel(by(payer), signer, named(of), lifetime).is_ok() {
                    self.payers.insert(id, payer);
                    self.allocate(id);
                }
            }
            Step::Add {
                payer,
                channel,
                host,
                amount,
            } => {
                let id = self.channel(channel);
                if Settlement::add_lane(by(self.payer(id, payer)), id, HOSTS[host], amount).is_ok() {
                    self.allocate(id);
                }
            }
            Step::Fund {
                payer,
                channel,
                lane,
                amount,
            } => {
                let id = self.channel(channel);
                let lane = Self::lane(id, lane);
                if Settlement::fund_lane(by(self.payer(id, payer)), id, lane, amount).is_ok() {
                    let epoch = Channels::<Test>::get(id).unwrap().epoch;
                    *self.allocated.get_mut(&(id, epoch, lane)).unwrap() += amount;
                }
            }
            Step::Extend {
                payer,
                channel,
                lifetime,
            } => {
                let id = self.channel(channel);
                let _ = Settlement::extend(by(self.payer(id, payer)), id, lifetime);
            }
            Step::Sign { channel, lane, more } => {
                let id = self.channel(channel);
                let Some(record) = Channels::<Test>::get(id) else {
                    return;
                };
                let lane = Self::lane(id, lane);
                let Some(host) = record.lanes.get(usize::from(lane)).map(|lane| lane.host) else {
                    return;
                };
                let (nonce, cumulative) = self.signed.entry((id, record.epoch, lane)).or_default();
                *nonce += 1;
                *cumulative = cumulative.saturating_add(more);
                let voucher = Voucher {
                    genesis: genesis(),
                    channel: id,
                    epoch: record.epoch,
                    lane,
                    nonce: *nonce,
                    cumulative: *cumulative,
                    receipts: H256::from_low_u64_be(*nonce),
                };
                self.vouchers.push((host, voucher));
            }
            Step::Claim { voucher, change } => {
                let Some((host, claim, original)) = self.claim(voucher, change) else {
                    return;
                };
                let due = self.is_due(host, &original);
                let done = Settlement::claim(by(host), claim.clone());
                self.judge(&claim, change, due, done);
            }
            Step::Batch { host, vouchers } => {
                let claims: Vec<_> = vouchers
                    .into_iter()
                    .filter_map(|(pick, change)| Some(self.claim(pick, change)?.1))
                    .collect();
                let count = claims.len();
                assert!(Settlement::claim_batch(by(HOSTS[host]), claims.try_into().unwrap()).is_ok());
                let answers = System::events()
                    .into_iter()
                    .filter(|record| {
                        matches!(
                            record.event,
                            RuntimeEvent::Settlement(Event::Claimed { .. } | Event::ClaimSkipped { .. })
                        )
                    })
                    .count();
                assert_eq!(answers, count);
            }
            Step::Release { host, channel, lane } => {
                let id = self.channel(channel);
                let lane = Self::lane(id, lane);
                let owner = Channels::<Test>::get(id)
                    .and_then(|channel| channel.lanes.get(usize::from(lane)).map(|lane| lane.host))
                    .unwrap_or(HOST);
                let who = if host == 0 { STRANGER } else { owner };
                let _ = Settlement::release_lane(by(who), id, lane);
            }
            Step::Close { payer, channel } => {
                let id = self.channel(channel);
                let _ = Settlement::close(by(self.payer(id, payer)), id);
            }
            Step::Settle { channel } => {
                let id = self.channel(channel);
                let over = Channels::<Test>::get(id).map(|c| Settlement::is_over(&c));
                let done = Settlement::settle(by(STRANGER), id)
                    .map(|_| ())
                    .map_err(|e| e.error);
                let expected = match over {
                    None => Err(Error::<Test>::UnknownChannel.into()),
                    Some(false) => Err(Error::<Test>::ChannelNotOver.into()),
                    Some(true) => Ok(()),
                };
                assert_eq!(done, expected);
            }
            Step::Reopen {
                payer,
                channel,
                lanes: of,
                lifetime,
            } => {
                let id = self.channel(channel);
                let epoch = Channels::<Test>::get(id).map_or(0, |c| c.epoch) + 1;
                let signer = account_of(&signer_of_epoch(epoch));
                if Settlement::reopen(by(self.payer(id, payer)), id, signer, named(of), lifetime).is_ok() {
                    self.allocate(id);
                }
            }
            Step::Wait(blocks) => System::set_block_number(System::block_number() + blocks),
            Step::RefuseRewards(refuse) => RewardsFail::set(refuse),
            Step::Standing { host, good } => Hosts::mutate(|hosts| {
                hosts.retain(|other| *other != HOSTS[host]);
                if good {
                    hosts.push(HOSTS[host]);
                }
            }),
        }
    }

    /// Every host claims the best voucher that it has, and then everybody goes home.
    fn finish(&mut self, start: &BTreeMap<u64, u128>) {
        RewardsFail::set(false);
        for (host, voucher) in self.vouchers.clone() {
            let key = (voucher.channel, voucher.epoch, voucher.lane);
            if self.signed[&key].0 == voucher.nonce && self.is_due(host, &voucher) {
                let claim = sign(voucher.clone(), &signer_of_epoch(voucher.epoch));
                assert_eq!(Settlement::claim(by(host), claim), Ok(()));
                self.count_payments();
                assert_eq!(
                    self.received.get(&key).copied().unwrap_or_default(),
                    self.allocated[&key].min(voucher.cumulative)
                );
            }
        }
        self.check(start);
        System::set_block_number(System::block_number() + MAX_LIFETIME + 1);
        for id in 0..NextChannelId::<Test>::get() {
            if Channels::<Test>::contains_key(id) {
                assert!(Settlement::settle(by(STRANGER), id).is_ok());
            }
        }
        self.count_payments();
        self.check(start);
        for payer in PAYERS {
            assert_eq!((held(payer), deposits(payer)), (0, 0));
        }
    }
}

fn named(
    of: Vec<(usize, u128)>,
) -> frame_support::BoundedVec<(u64, u128), frame_support::traits::ConstU32<16>> {
    let of: Vec<_> = of
        .into_iter()
        .map(|(host, amount)| (HOSTS[host], amount))
        .collect();
    lanes(&of)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_planck_is_accounted_for_whatever_happens(steps in prop::collection::vec(step(), 1..120)) {
        new_test_ext().execute_with(|| {
            let issuance = Balances::total_issuance();
            let start: BTreeMap<_, _> = PAYERS
                .into_iter()
                .chain(HOSTS)
                .chain([TREASURY, super::pool()])
                .map(|who| (who, Balances::total_balance(&who)))
                .collect();
            let mut ledger = Ledger::default();
            System::reset_events();
            for step in steps {
                ledger.take(step);
                ledger.count_payments();
                ledger.check(&start);
                assert_eq!(Balances::total_issuance(), issuance);
            }
            ledger.finish(&start);
            assert_eq!(Balances::total_issuance(), issuance);
        });
    }
}
