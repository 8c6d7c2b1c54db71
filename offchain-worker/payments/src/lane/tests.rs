//! Both ends against each other over a network that loses, repeats and reorders, with crashes at any point; and either
//! end against one that cheats.

use super::*;
use crate::{BookError, PayError};
use codec::DecodeAll;
use llmesh_primitives::SignedVoucher;
use proptest::prelude::*;
use sp_core::sr25519;
use sp_runtime::MultiSignature;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const GENESIS: H256 = H256::repeat_byte(7);
pub(crate) const KEY: LaneKey = LaneKey { channel: 3, lane: 1 };
const HOST: AccountId32 = AccountId32::new([1; 32]);
const MAX_PRICE: u128 = 100;

pub(crate) fn facts() -> LaneFacts {
    LaneFacts {
        key: KEY,
        epoch: 0,
        host: HOST,
        signer: AccountId32::new([2; 32]),
        funded: 1_000_000_000,
        claimed: 0,
        paid: 0,
        nonce: 0,
        covered: 0,
        covered_value: 0,
        released: false,
        state: ChannelState::Open,
        expires_at: 100_000,
        now: 1,
    }
}

fn unsigned(_: &[u8; 32]) -> MultiSignature {
    sr25519::Signature::default().into()
}

fn id(n: u64) -> H256 {
    H256::from_low_u64_be(n)
}

fn receipt(request: H256) -> H256 {
    Voucher::accept(H256::zero(), request)
}

fn voucher(nonce: u64, cumulative: u128) -> SignedVoucher {
    SignedVoucher {
        voucher: Voucher {
            genesis: GENESIS,
            channel: KEY.channel,
            epoch: 0,
            lane: KEY.lane,
            nonce,
            cumulative,
            receipts: H256::zero(),
        },
        signature: unsigned(&[0; 32]),
    }
}

#[derive(Clone, Debug)]
enum Op {
    Pay { price: u128 },
    Retry { which: usize, same_id: bool },
    DeliverAsk { which: usize, again: bool },
    DropAsk { which: usize },
    Finish { which: usize, served: bool },
    DeliverAnswer { which: usize, again: bool },
    DropAnswer { which: usize },
    TimeOut { which: usize },
    PayerSaves,
    PayerCrash,
    HostCrash,
    Claim { noted: bool },
}

fn op() -> impl Strategy<Value = Op> {
    let which = || 0usize..64;
    prop_oneof![
        8 => (1..=MAX_PRICE).prop_map(|price| Op::Pay { price }),
        2 => (which(), any::<bool>()).prop_map(|(which, same_id)| Op::Retry { which, same_id }),
        8 => (which(), prop::bool::weighted(0.1)).prop_map(|(which, again)| Op::DeliverAsk { which, again }),
        1 => which().prop_map(|which| Op::DropAsk { which }),
        7 => (which(), prop::bool::weighted(0.8)).prop_map(|(which, served)| Op::Finish { which, served }),
        7 => (which(), prop::bool::weighted(0.1)).prop_map(|(which, again)| Op::DeliverAnswer { which, again }),
        1 => which().prop_map(|which| Op::DropAnswer { which }),
        2 => which().prop_map(|which| Op::TimeOut { which }),
        1 => Just(Op::PayerSaves),
        1 => Just(Op::PayerCrash),
        1 => Just(Op::HostCrash),
        1 => any::<bool>().prop_map(|noted| Op::Claim { noted }),
    ]
}

#[derive(Clone, Debug)]
struct Ask {
    request: H256,
    price: u128,
    sequence: u64,
    voucher: SignedVoucher,
}

#[derive(Clone, Debug)]
enum Reply {
    Answer,
    Refused {
        served: u128,
        needed: u128,
    },
    Number {
        highest: u64,
    },
    /// Any other refusal.
    No,
}

struct World {
    facts: LaneFacts,
    payee_policy: PayeePolicy,
    payer_policy: PayerPolicy,
    payer: PayerLane,
    payer_disk: Vec<u8>,
    host: PayeeLane,
    host_disk: Vec<u8>,
    /// Durable at the host.
    answered: BTreeSet<H256>,
    /// Lost when the host crashes.
    answers: BTreeSet<H256>,
    at_work: Vec<H256>,
    asks: Vec<Ask>,
    replies: Vec<(H256, Reply)>,
    retries: Vec<(H256, u128, Owed)>,
    /// Price and number of each request.
    requested: BTreeMap<H256, (u128, u64)>,
    /// What was answered by number, with its price. Durable at the host.
    leaves: BTreeMap<u64, u128>,
    /// Up to which number the host closed.
    closed: u64,
    /// Sum of the prices of all tries.
    tried: u128,
    /// Every voucher that was handed out.
    seen: BTreeMap<u64, Voucher>,
    requests: u64,
    pay_errors: Vec<PayError>,
}

impl World {
    fn new() -> Self {
        let facts = facts();
        let payer = PayerLane::new(&facts);
        let host = PayeeLane::new(&facts);
        Self {
            payee_policy: PayeePolicy {
                blocks_left: 10,
                max_ahead: 66 * MAX_PRICE,
                max_at_work: 1_000,
            },
            payer_policy: PayerPolicy {
                blocks_left: 10,
                max_in_flight: 64,
                // These ends are honest; how much is believed is bounded in a test of its own.
                lost_answers: 1_000,
                lost_permille: 0,
            },
            payer_disk: payer.encode(),
            host_disk: host.encode(),
            payer,
            host,
            facts,
            answered: BTreeSet::new(),
            answers: BTreeSet::new(),
            at_work: Vec::new(),
            asks: Vec::new(),
            replies: Vec::new(),
            retries: Vec::new(),
            requested: BTreeMap::new(),
            leaves: BTreeMap::new(),
            closed: 0,
            tried: 0,
            seen: BTreeMap::new(),
            requests: 0,
            pay_errors: Vec::new(),
        }
    }

    fn fresh_id(&mut self) -> H256 {
        self.requests += 1;
        id(self.requests)
    }

    fn pay(&mut self, request: H256, price: u128, owed: Owed) -> bool {
        // What is sent again has its number in its terms.
        let sequence = match self.requested.get(&request) {
            Some((_, sequence)) => *sequence,
            None => self.payer.next_sequence(&self.facts).unwrap(),
        };
        let paid = self.payer.pay(
            &self.facts,
            &self.payer_policy,
            GENESIS,
            price,
            request,
            sequence,
            owed,
            unsigned,
        );
        match paid {
            Ok(voucher) => {
                // Durable before it is handed out.
                self.payer_disk = self.payer.encode();
                let v = voucher.voucher.clone();
                let known = self.seen.entry(v.nonce).or_insert_with(|| v.clone());
                assert_eq!(*known, v, "a voucher was contradicted");
                self.requested.insert(request, (price, sequence));
                self.tried += price;
                self.asks.push(Ask {
                    request,
                    price,
                    sequence,
                    voucher,
                });
                true
            }
            Err(error) => {
                self.pay_errors.push(error);
                false
            }
        }
    }

    fn host_gets(&mut self, ask: &Ask) {
        let reply = if self.answers.contains(&ask.request) {
            Reply::Answer
        } else if self.answered.contains(&ask.request) {
            Reply::No
        } else {
            let admitted = self
                .facts
                .check(&HOST, GENESIS, &self.payee_policy, &ask.voucher.voucher)
                .and_then(|()| self.host.sync(&self.facts))
                .and_then(|_| {
                    let Ask {
                        price,
                        request,
                        sequence,
                        ref voucher,
                    } = *ask;
                    self.host
                        .admit(&self.payee_policy, voucher, price, request, sequence)
                });
            match admitted {
                Ok(admitted) => {
                    if admitted.changed {
                        self.host_disk = self.host.encode();
                    }
                    self.at_work.push(ask.request);
                    return;
                }
                Err(VoucherRefusal::AtWork) => return,
                Err(VoucherRefusal::Short { served, needed }) => Reply::Refused { served, needed },
                Err(VoucherRefusal::Number { highest }) => Reply::Number { highest },
                Err(other) => panic!("an honest client was refused: {other}"),
            }
        };
        self.replies.push((ask.request, reply));
    }

    fn host_finishes(&mut self, request: H256, served: bool) {
        let outcome = if served { Outcome::Served } else { Outcome::Failed };
        let sequence = self.host.finish(request, outcome).unwrap();
        let (price, number) = self.requested[&request];
        assert_eq!(sequence, number);
        if served {
            assert!(sequence > self.closed, "what was closed is changed");
            let other = self.leaves.insert(sequence, price);
            assert_eq!(other, None, "number {sequence} came twice");
            self.host.let_go(sequence);
            // Durable before it is answered.
            self.host_disk = self.host.encode();
            self.answered.insert(request);
            self.answers.insert(request);
            self.replies.push((request, Reply::Answer));
        } else {
            self.replies.push((request, Reply::No));
        }
    }

    fn payer_gets(&mut self, request: H256, reply: &Reply) {
        match *reply {
            Reply::Answer => {
                self.payer.accepted(request, receipt(request));
            }
            Reply::No => {
                self.payer.failed(request);
            }
            Reply::Refused { served, needed } => {
                let owed = self
                    .payer
                    .refused(&self.payer_policy, request, served, needed)
                    .expect("an honest host is believed");
                self.retries.push((request, self.requested[&request].0, owed));
            }
            Reply::Number { highest } => self
                .payer
                .renumber(request, highest)
                .expect("an honest host is believed"),
        }
    }

    fn claim(&mut self, noted: bool) {
        let policy = ClaimPolicy {
            now: self.facts.now,
            worth: 1,
            dust: 1,
            blocks_left: 0,
            pressure_percent: 100,
        };
        let Some(due) = self.host.claim_due(KEY, &policy, false) else {
            return;
        };
        // What the chain checks.
        assert!(due.claim.nonce >= self.facts.nonce && due.claim.cumulative >= self.facts.claimed);
        let signed = &self.seen[&due.claim.nonce];
        assert_eq!(*signed, due.claim.voucher(GENESIS));
        let to = self.host.close();
        self.host_disk = self.host.encode();
        assert!(to >= self.closed && to <= self.host.sequence());
        self.closed = to;
        if due.claim.covered != self.facts.covered {
            // The host has not heard of its last claim yet.
            assert!(due.claim.covered < self.facts.covered);
            return;
        }
        let value: u128 = self
            .leaves
            .range(due.claim.covered + 1..to.max(due.claim.covered) + 1)
            .map(|(_, price)| price)
            .sum();
        let covered_value = self.facts.covered_value + value;
        let paid = due.claim.cumulative.min(self.facts.funded).min(covered_value);
        if self.host.paid() == self.facts.paid {
            assert_eq!(due.value, due.claim.cumulative - self.facts.paid);
            assert_eq!(due.pays(value), paid.saturating_sub(self.facts.paid));
            assert!(due.pays(u128::MAX) == due.value && due.pays(value) <= due.value);
        }
        self.facts.claimed = due.claim.cumulative;
        self.facts.paid = self.facts.paid.max(paid);
        self.facts.nonce = due.claim.nonce;
        self.facts.covered = to;
        self.facts.covered_value = covered_value;
        self.facts.now += 1;
        if noted {
            self.host.claimed(due.claim.cumulative, self.facts.paid);
        }
    }

    fn payer_crashes(&mut self) {
        self.payer = PayerLane::decode_all(&mut &*self.payer_disk).unwrap();
        self.payer.restart();
        self.retries.clear();
    }

    fn host_crashes(&mut self) {
        self.host = PayeeLane::decode_all(&mut &*self.host_disk).unwrap();
        self.at_work.clear();
        self.answers.clear();
    }

    fn step(&mut self, op: &Op) {
        fn pick<T>(list: &mut Vec<T>, which: usize) -> Option<T> {
            let length = list.len();
            (length > 0).then(|| list.remove(which % length))
        }
        match *op {
            Op::Pay { price } => {
                let request = self.fresh_id();
                self.pay(request, price, Owed::default());
            }
            Op::Retry { which, same_id } => {
                if let Some((request, price, owed)) = pick(&mut self.retries, which) {
                    let request = if same_id { request } else { self.fresh_id() };
                    self.pay(request, price, owed);
                }
            }
            Op::DeliverAsk { which, again } => {
                if let Some(ask) = pick(&mut self.asks, which) {
                    if again {
                        self.asks.push(ask.clone());
                    }
                    self.host_gets(&ask);
                }
            }
            Op::DropAsk { which } => drop(pick(&mut self.asks, which)),
            Op::Finish { which, served } => {
                if let Some(request) = pick(&mut self.at_work, which) {
                    self.host_finishes(request, served);
                }
            }
            Op::DeliverAnswer { which, again } => {
                if let Some((request, reply)) = pick(&mut self.replies, which) {
                    if again {
                        self.replies.push((request, reply.clone()));
                    }
                    self.payer_gets(request, &reply);
                }
            }
            Op::DropAnswer { which } => drop(pick(&mut self.replies, which)),
            Op::TimeOut { which } => {
                let request = id(self.requests.saturating_sub(which as u64));
                self.payer.failed(request);
            }
            Op::PayerSaves => self.payer_disk = self.payer.encode(),
            Op::PayerCrash => self.payer_crashes(),
            Op::HostCrash => self.host_crashes(),
            Op::Claim { noted } => self.claim(noted),
        }
        self.check();
    }

    fn check(&self) {
        let (host, payer) = (&self.host, &self.payer);
        assert!(host.on_chain() <= host.served());
        assert!(host.served() + host.reserved() <= host.signed());
        assert!(self.facts.claimed <= host.served(), "more claimed than served");
        assert!(host.signed() <= payer.signed());
        assert!(payer.spent() + payer.written_off() <= host.served());
        // No more than the accepted answers and every try that is open or failed, once.
        assert!(payer.signed() <= self.tried);
        assert!(payer.requests() <= 64);
        for error in &self.pay_errors {
            assert!(matches!(error, PayError::Busy | PayError::Duplicate), "{error}");
        }
    }

    /// Everything that is under way ends; then the next request must be served, with at most one refusal on the way.
    fn settle_down(&mut self) {
        self.asks.clear();
        self.replies.clear();
        self.retries.clear();
        for request in std::mem::take(&mut self.at_work) {
            self.host.finish(request, Outcome::Failed).unwrap();
        }
        for n in 0..=self.requests {
            self.payer.failed(id(n));
        }
        // Nothing is in flight any more, so that the ends find together once at most, about money and about numbers.
        let mut refused = (0, 0);
        for n in 0..16 {
            let (money, number) = self.one_more();
            refused = (refused.0 + money, refused.1 + number);
            assert!(refused.0 <= 1 && refused.1 <= 1, "request {n}");
        }
        // And the host gets what it served, but for the answers that were lost and not found out yet, and a step between
        // two vouchers (of one price, of two where vouchers were dropped from a full ladder) and the price before it.
        self.claim(true);
        let (host, payer) = (&self.host, &self.payer);
        let lost = host.served() - payer.spent() - payer.written_off();
        let missing = host.served() - self.facts.paid;
        assert!(missing <= 3 * MAX_PRICE + lost, "{missing}, {lost} lost");
        assert_eq!(self.facts.paid, self.facts.claimed);
        let answered: u128 = self.leaves.values().sum();
        assert_eq!((host.served(), self.facts.covered_value), (answered, answered));
    }

    /// A request that is served. Returns how often it was refused at first, for money and for its number.
    fn one_more(&mut self) -> (u32, u32) {
        let before = self.payer.spent();
        let mut owed = Owed::default();
        let mut refused = (0, 0);
        loop {
            let request = self.fresh_id();
            assert!(self.pay(request, MAX_PRICE, owed), "{:?}", self.pay_errors);
            let ask = self.asks.pop().unwrap();
            self.host_gets(&ask);
            if self.at_work.pop().is_some() {
                self.host_finishes(request, true);
                self.replies.clear();
                self.payer_gets(request, &Reply::Answer);
                break;
            }
            let (request, reply) = self.replies.pop().unwrap();
            self.payer_gets(request, &reply);
            match self.retries.pop() {
                Some((_, _, next)) => (owed, refused.0) = (next, refused.0 + 1),
                None => refused.1 += 1,
            }
            assert!(
                refused.0 <= 1 && refused.1 <= 1,
                "the next request was not admitted"
            );
        }
        assert_eq!(self.payer.spent(), before + MAX_PRICE);
        self.check();
        refused
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn honest_ends_always_agree(ops in prop::collection::vec(op(), 1..400)) {
        let mut world = World::new();
        for op in &ops {
            world.step(op);
        }
        world.settle_down();
    }

    #[test]
    fn a_client_takes_no_more_than_the_host_lets_it_sign_ahead(
        asks in prop::collection::vec((0u64..40, 0u128..4_000, 0..=MAX_PRICE, any::<u8>()), 1..300),
    ) {
        let policy = PayeePolicy { blocks_left: 10, max_ahead: 500, max_at_work: 64 };
        let facts = facts();
        let mut host = PayeeLane::new(&facts);
        let mut at_work = Vec::new();
        for (n, (nonce, sum, price, dice)) in asks.into_iter().enumerate() {
            // Vouchers of a client that signs what it likes, some of them plausible.
            let sum = if dice & 1 == 0 { sum } else { host.served() + host.reserved() + price + sum % 600 };
            let nonce = if dice & 2 == 0 { nonce } else { n as u64 + 1 };
            let voucher = voucher(nonce, sum);
            let before = host.clone();
            let admitted = facts
                .check(&HOST, GENESIS, &policy, &voucher.voucher)
                .and_then(|()| host.admit(&policy, &voucher, price, id(n as u64), host.sequence() + 1 + n as u64 % 200));
            match admitted {
                Ok(_) => at_work.push(id(n as u64)),
                Err(_) => prop_assert_eq!(&before, &host),
            }
            if dice & 4 == 0 && !at_work.is_empty() {
                let request = at_work.remove(usize::from(dice) % at_work.len());
                let outcome = if dice & 24 == 0 { Outcome::Failed } else { Outcome::Served };
                host.finish(request, outcome).unwrap();
            }
            prop_assert!(host.served() + host.reserved() <= host.signed());
            prop_assert!(host.rungs() <= 64);
            let loss = host.served() - host.claimable();
            prop_assert!(loss <= policy.max_ahead + 3 * MAX_PRICE + policy.max_ahead / 16, "{}", loss);
        }
        let restored = PayeeLane::decode_all(&mut &*host.encode()).unwrap();
        prop_assert_eq!(restored.served(), host.served());
        prop_assert_eq!(restored.signed(), host.signed());
        prop_assert_eq!(restored.reserved(), 0);
    }

    #[test]
    fn a_host_keeps_no_more_than_the_allowance(
        moves in prop::collection::vec((1..=MAX_PRICE, 0u8..4, any::<u64>(), any::<u64>()), 1..300),
    ) {
        let policy = PayerPolicy { blocks_left: 10, max_in_flight: 8, lost_answers: 3, lost_permille: 10 };
        let facts = facts();
        let mut payer = PayerLane::new(&facts);
        let mut owed = Owed::default();
        for (n, (price, answer, a, b)) in moves.into_iter().enumerate() {
            let request = id(n as u64);
            let sequence = payer.next_sequence(&facts).unwrap();
            if payer.pay(&facts, &policy, GENESIS, price, request, sequence, owed, unsigned).is_err() {
                owed = Owed::default();
                continue;
            }
            owed = Owed::default();
            match answer {
                0 if a % 4 == 0 => { payer.accepted(request, receipt(request)); }
                0 | 1 => { payer.failed(request); }
                // Stays in flight.
                2 if a % 4 == 0 => {}
                // The host claims what it likes, often just what was signed.
                _ => {
                    let (served, needed) = match a % 3 {
                        0 => (payer.signed(), payer.signed() + price),
                        1 => (0, payer.signed() + price),
                        _ => (u128::from(a), u128::from(b)),
                    };
                    owed = payer.refused(&policy, request, served, needed).unwrap_or_default();
                }
            }
            let allowance = 3 * MAX_PRICE + payer.spent() * 10 / 1_000;
            prop_assert!(
                payer.signed() <= payer.spent() + 8 * MAX_PRICE + allowance,
                "signed {} for {}", payer.signed(), payer.spent()
            );
        }
    }
}

fn cases() -> u32 {
    match std::env::var("LLMESH_SLOW") {
        Ok(_) => 4_000,
        Err(_) => 150,
    }
}

#[test]
fn prepaid_one_by_one() {
    let mut world = World::new();
    for n in 1..=10u64 {
        assert!(world.pay(id(n), 10, Owed::default()));
        let ask = world.asks.pop().unwrap();
        assert_eq!(ask.voucher.voucher.nonce, n);
        assert_eq!(ask.voucher.voucher.cumulative, 10 * u128::from(n));
        world.host_gets(&ask);
        // It leaves here: the host has the money for what it works at.
        assert_eq!(world.host.signed(), 10 * u128::from(n));
        let request = world.at_work.pop().unwrap();
        world.host_finishes(request, true);
        assert_eq!(world.host.claimable(), 10 * u128::from(n));
        world.payer_gets(request, &Reply::Answer);
        assert_eq!(world.host.rungs(), 1);
    }
    assert_eq!(world.host.sequence(), 10);
    let hash = (1..=10).fold(H256::zero(), |hash, n| Voucher::accept(hash, receipt(id(n))));
    assert_eq!(world.payer.receipts(), hash);
}

#[test]
fn a_request_that_failed_pays_for_the_next() {
    let mut world = World::new();
    assert!(world.pay(id(1), 10, Owed::default()));
    let ask = world.asks.pop().unwrap();
    world.host_gets(&ask);
    world.host_finishes(id(1), false);
    world.payer_gets(id(1), &Reply::No);
    assert!(world.pay(id(2), 10, Owed::default()));
    let next = world.asks.pop().unwrap();
    assert_eq!(next.voucher, ask.voucher);
    world.at_work.clear();
    world.host_gets(&next);
    assert_eq!(world.at_work, [id(2)]);
    assert_eq!(world.payer.signed(), 10);
}

#[test]
fn a_lost_answer_is_found_out_and_written_off_once() {
    let mut world = World::new();
    assert!(world.pay(id(1), 10, Owed::default()));
    let ask = world.asks.pop().unwrap();
    world.host_gets(&ask);
    world.host_finishes(id(1), true);
    world.payer.failed(id(1));

    assert!(world.pay(id(2), 10, Owed::default()));
    let ask = world.asks.pop().unwrap();
    let refusal = world
        .host
        .admit(&world.payee_policy, &ask.voucher, 10, id(2), ask.sequence)
        .unwrap_err();
    assert_eq!(
        refusal,
        VoucherRefusal::Short {
            served: 10,
            needed: 20
        }
    );
    let owed = world.payer.refused(&world.payer_policy, id(2), 10, 20).unwrap();
    // The same refusal once more changes nothing.
    assert_eq!(
        world.payer.refused(&world.payer_policy, id(2), 10, 20),
        Ok(Owed::default())
    );
    assert_eq!(world.payer.written_off(), 10);
    assert!(world.pay(id(2), 10, owed));
    assert_eq!(world.asks[0].voucher.voucher.cumulative, 20);
    // The answer comes after all: it is accepted, not lost.
    assert!(world.payer.accepted(id(1), receipt(id(1))));
    assert!(!world.payer.accepted(id(1), receipt(id(1))));
    assert_eq!((world.payer.spent(), world.payer.written_off()), (10, 0));
}

#[test]
fn a_request_that_is_sent_again_is_paid_once() {
    let mut world = World::new();
    assert!(world.pay(id(1), 10, Owed::default()));
    let ask = world.asks.pop().unwrap();
    world.host_gets(&ask);
    world.host_finishes(id(1), true);
    world.replies.clear();
    world.payer.failed(id(1));
    assert!(world.pay(id(1), 10, Owed::default()));
    let again = world.asks.pop().unwrap();
    assert_eq!(again.voucher, ask.voucher);
    world.host_gets(&again);
    let (request, reply) = world.replies.pop().unwrap();
    assert!(matches!(reply, Reply::Answer));
    world.payer_gets(request, &reply);
    assert_eq!(
        (world.payer.spent(), world.payer.signed(), world.host.served()),
        (10, 10, 10)
    );
}

#[test]
fn vouchers_may_overtake_each_other() {
    let mut world = World::new();
    for n in 1..=5 {
        assert!(world.pay(id(n), 10, Owed::default()));
    }
    for ask in std::mem::take(&mut world.asks).iter().rev() {
        world.host_gets(ask);
    }
    assert_eq!(world.at_work.len(), 5);
    world.host_finishes(id(3), true);
    assert_eq!(world.host.claimable(), 10);
    world.host_finishes(id(5), true);
    assert_eq!(world.host.claimable(), 20);
}

#[test]
fn lost_vouchers_are_used_from_the_lowest() {
    let mut world = World::new();
    for n in 1..=5 {
        assert!(world.pay(id(n), 10, Owed::default()));
    }
    world.asks.clear();
    for n in 1..=5 {
        world.payer.failed(id(n));
    }
    assert!(world.pay(id(6), 10, Owed::default()));
    let ask = world.asks.pop().unwrap();
    // Not the highest: the host could not claim it before five requests are served.
    assert_eq!(ask.voucher.voucher.cumulative, 10);
    world.host_gets(&ask);
    world.host_finishes(id(6), true);
    assert_eq!(world.host.claimable(), 10);
}

#[test]
fn what_a_host_refuses() {
    let policy = PayeePolicy {
        blocks_left: 10,
        max_ahead: 50,
        max_at_work: 2,
    };
    let mut facts = facts();
    facts.funded = 1_000;
    let mut host = PayeeLane::new(&facts);
    assert_eq!(
        host.admit(&policy, &voucher(1, 9), 10, id(1), 1),
        Err(VoucherRefusal::Short {
            served: 0,
            needed: 10
        })
    );
    assert_eq!(
        host.admit(&policy, &voucher(1, 61), 10, id(1), 1),
        Err(VoucherRefusal::TooFarAhead {
            served: 0,
            needed: 10
        })
    );
    host.admit(&policy, &voucher(5, 60), 10, id(1), 1).unwrap();
    assert_eq!(
        host.admit(&policy, &voucher(5, 60), 10, id(1), 1),
        Err(VoucherRefusal::AtWork)
    );
    for (nonce, sum) in [(5, 59), (5, 61), (6, 59), (4, 61)] {
        assert_eq!(
            host.admit(&policy, &voucher(nonce, sum), 10, id(2), 2),
            Err(VoucherRefusal::Contradiction),
            "{nonce} {sum}"
        );
    }
    host.admit(&policy, &voucher(5, 60), 50, id(2), 2).unwrap();
    assert_eq!(
        host.admit(&policy, &voucher(6, 100), 10, id(3), 3),
        Err(VoucherRefusal::Busy)
    );
    host.finish(id(2), Outcome::Served).unwrap();
    // An old voucher brings no money.
    assert_eq!(
        host.admit(&policy, &voucher(4, 50), 10, id(3), 3),
        Err(VoucherRefusal::Short {
            served: 50,
            needed: 70
        })
    );
    assert_eq!(host.finish(id(2), Outcome::Served), Err(BookError::Gone));
    // A sum that does not exist.
    assert!(matches!(
        host.admit(&policy, &voucher(7, 100), u128::MAX, id(3), 3),
        Err(VoucherRefusal::Short { .. })
    ));

    let fine = voucher(9, 100).voucher;
    facts.check(&HOST, GENESIS, &policy, &fine).unwrap();
    let refused = |change: &dyn Fn(&mut LaneFacts)| {
        let mut facts = facts.clone();
        change(&mut facts);
        facts.check(&HOST, GENESIS, &policy, &fine).unwrap_err()
    };
    assert_eq!(
        refused(&|f| f.state = ChannelState::Closing { until: 90_000 }),
        VoucherRefusal::NotOpen
    );
    assert_eq!(refused(&|f| f.released = true), VoucherRefusal::NotOpen);
    assert_eq!(
        refused(&|f| f.now = 99_990),
        VoucherRefusal::NearExpiry { at: 100_000 }
    );
    assert_eq!(
        refused(&|f| f.host = AccountId32::new([9; 32])),
        VoucherRefusal::OtherHost
    );
    assert_eq!(refused(&|f| f.epoch = 1), VoucherRefusal::OtherLane);
    assert_eq!(
        refused(&|f| f.funded = 99),
        VoucherRefusal::Underfunded {
            funded: 99,
            cumulative: 100
        }
    );
    assert_eq!(
        facts.check(&HOST, H256::zero(), &policy, &fine),
        Err(VoucherRefusal::OtherLane)
    );
    let uncounted = voucher(0, 0).voucher;
    assert_eq!(
        facts.check(&HOST, GENESIS, &policy, &uncounted),
        Err(VoucherRefusal::Contradiction)
    );
}

#[test]
fn the_payers_own_crash_is_not_held_against_the_host() {
    let mut world = World::new();
    world.payer_policy.lost_answers = 2;
    for n in 1..=20 {
        assert!(world.pay(id(n), 10, Owed::default()));
    }
    for ask in std::mem::take(&mut world.asks) {
        world.host_gets(&ask);
        world.host_finishes(ask.request, true);
    }
    world.at_work.clear();
    world.replies.clear();
    world.payer_crashes();
    let next = |world: &mut World, n| {
        assert!(world.pay(id(n), 10, Owed::default()));
        let ask = world.asks.pop().unwrap();
        let refusal = world
            .host
            .admit(&world.payee_policy, &ask.voucher, 10, id(n), ask.sequence)
            .unwrap_err();
        let (served, needed) = refusal.disagreement().unwrap();
        world.payer.refused(&world.payer_policy, id(n), served, needed)
    };
    let owed = next(&mut world, 21).unwrap();
    assert_eq!(world.payer.written_off(), 200);

    // What is lost from then on is: two answers of 10.
    let mut owed = owed;
    for n in 22.. {
        if !world.pay(id(n), 10, owed) {
            break;
        }
        assert!(n < 40);
        let ask = world.asks.pop().unwrap();
        world.host_gets(&ask);
        match world.at_work.pop() {
            Some(request) => {
                world.host_finishes(request, true);
                world.payer.failed(request);
                owed = Owed::default();
            }
            None => {
                let (_, Reply::Refused { served, needed }) = world.replies.pop().unwrap() else {
                    panic!("refused for another reason");
                };
                match world.payer.refused(&world.payer_policy, id(n), served, needed) {
                    Ok(next) => owed = next,
                    Err(error) => {
                        let allowed = 200 + 20;
                        assert_eq!(error, PayError::LostTooMuch { lost: 230, allowed });
                        break;
                    }
                }
            }
        }
        world.replies.clear();
    }
    assert_eq!(world.payer.written_off(), 220);
    assert_eq!(world.payer.signed(), 230);
}

#[test]
fn a_new_epoch_begins_from_nothing() {
    let mut world = World::new();
    assert!(world.pay(id(1), 10, Owed::default()));
    let ask = world.asks.pop().unwrap();
    world.host_gets(&ask);
    let old = world.facts.clone();
    world.facts.epoch = 1;
    world.facts.now = 5;
    world.host.sync(&world.facts).unwrap();
    assert_eq!((world.host.signed(), world.host.at_work()), (0, 0));
    assert_eq!(world.host.finish(id(1), Outcome::Served), Err(BookError::Gone));
    assert_eq!(world.host.sync(&old), Err(VoucherRefusal::StaleFacts));
    world.payer.sync(&world.facts).unwrap();
    assert_eq!((world.payer.signed(), world.payer.requests()), (0, 0));
    assert_eq!(world.payer.sync(&old), Err(PayError::StaleFacts));
}

#[test]
fn claims_come_when_they_are_worth_it() {
    let policy = PayeePolicy {
        blocks_left: 10,
        max_ahead: 50,
        max_at_work: 10,
    };
    let mut facts = facts();
    let mut host = PayeeLane::new(&facts);
    for n in 1..=4u64 {
        host.admit(&policy, &voucher(n, 10 * u128::from(n)), 10, id(n), n)
            .unwrap();
    }
    for n in 1..=3 {
        host.finish(id(n), Outcome::Served).unwrap();
    }
    let when = |worth, dust, blocks_left| ClaimPolicy {
        now: 1,
        worth,
        dust,
        blocks_left,
        pressure_percent: 80,
    };
    let due = host.claim_due(KEY, &when(30, 5, 100), false).unwrap();
    assert_eq!((due.claim.nonce, due.claim.cumulative, due.value), (3, 30, 30));
    assert_eq!((due.reason, due.last), (ClaimReason::Worth, 100_000));
    assert_eq!(host.claim_due(KEY, &when(31, 5, 100), false), None);
    let due = host.claim_due(KEY, &when(31, 5, 100), true).unwrap();
    assert_eq!(due.reason, ClaimReason::Pressure);
    assert_eq!(host.claim_due(KEY, &when(31, 31, 100), true), None);
    let due = host.claim_due(KEY, &when(31, 5, 99_999), false).unwrap();
    assert_eq!(due.reason, ClaimReason::Ending);

    // The chain was short of funds: what is left is claimed again after a top-up, and only then.
    facts.now = 2;
    facts.funded = 25;
    (facts.claimed, facts.paid, facts.nonce) = (30, 25, 3);
    host.sync(&facts).unwrap();
    assert_eq!(host.claim_due(KEY, &when(1, 1, 100), true), None);
    facts.now = 3;
    facts.funded = 40;
    host.sync(&facts).unwrap();
    let due = host.claim_due(KEY, &when(1, 1, 100), false).unwrap();
    assert_eq!((due.claim.nonce, due.value), (3, 5));
    host.claimed(30, 30);
    assert_eq!(host.claim_due(KEY, &when(1, 1, 100), true), None);

    // The last request is served while the channel is being closed.
    facts.now = 4;
    facts.paid = 30;
    facts.state = ChannelState::Closing { until: 50 };
    host.sync(&facts).unwrap();
    host.finish(id(4), Outcome::Served).unwrap();
    let due = host.claim_due(KEY, &when(1_000, 5, 1), false).unwrap();
    assert_eq!((due.value, due.reason, due.last), (10, ClaimReason::Ending, 50));
    let late = ClaimPolicy {
        now: 51,
        ..when(1, 1, 1)
    };
    assert_eq!(host.claim_due(KEY, &late, true), None);
    // Facts that are older than those before are not taken.
    facts.now = 1;
    facts.claimed = 0;
    host.sync(&facts).unwrap();
    assert_eq!(host.on_chain(), 30);
}

#[test]
fn what_a_payer_does_not_sign() {
    let policy = PayerPolicy {
        blocks_left: 10,
        max_in_flight: 2,
        lost_answers: 2,
        lost_permille: 0,
    };
    let mut facts = facts();
    facts.funded = 35;
    let mut payer = PayerLane::new(&facts);
    let pay = |payer: &mut PayerLane, facts: &LaneFacts, price, n| {
        payer
            .pay(
                facts,
                &policy,
                GENESIS,
                price,
                id(n),
                n,
                Owed::default(),
                unsigned,
            )
            .map(|v| v.voucher.cumulative)
    };
    assert_eq!(pay(&mut payer, &facts, 10, 1), Ok(10));
    assert_eq!(pay(&mut payer, &facts, 10, 1), Err(PayError::Duplicate));
    assert_eq!(pay(&mut payer, &facts, 10, 2), Ok(20));
    assert_eq!(pay(&mut payer, &facts, 10, 3), Err(PayError::Busy));
    payer.accepted(id(1), receipt(id(1)));
    assert_eq!(
        pay(&mut payer, &facts, 16, 3),
        Err(PayError::Underfunded {
            funded: 35,
            needed: 36
        })
    );
    assert!(matches!(
        pay(&mut payer, &facts, u128::MAX, 3),
        Err(PayError::Underfunded { .. })
    ));
    for change in [
        |f: &mut LaneFacts| f.state = ChannelState::Closing { until: 9 },
        |f: &mut LaneFacts| f.released = true,
        |f: &mut LaneFacts| f.now = 99_990,
    ] {
        let mut facts = facts.clone();
        change(&mut facts);
        let error = pay(&mut payer, &facts, 1, 3).unwrap_err();
        assert!(matches!(
            error,
            PayError::NotOpen(3) | PayError::NearExpiry { at: 100_000 }
        ));
    }
    assert_eq!(payer.signed(), 20);

    // What the host can not have served.
    assert_eq!(
        payer.refused(&policy, id(2), 21, 31),
        Err(PayError::Disagreement {
            claimed: 21,
            signed: 20
        })
    );
}

#[test]
fn an_old_copy_of_the_payers_record_goes_on_from_what_was_claimed() {
    let policy = PayerPolicy {
        blocks_left: 10,
        ..PayerPolicy::default()
    };
    let mut facts = facts();
    let mut payer = PayerLane::new(&facts);
    payer
        .pay(&facts, &policy, GENESIS, 10, id(1), 1, Owed::default(), unsigned)
        .unwrap();
    (facts.claimed, facts.paid, facts.nonce) = (500, 500, 40);
    let next = payer
        .pay(&facts, &policy, GENESIS, 10, id(2), 2, Owed::default(), unsigned)
        .unwrap();
    assert!(next.voucher.nonce > 40 && next.voucher.cumulative >= 510);
}

/// Admits a request that there is money for, with this number.
fn ask(host: &mut PayeeLane, request: u64, sequence: u64) -> Result<Admitted, VoucherRefusal> {
    let policy = PayeePolicy {
        blocks_left: 10,
        max_ahead: 1_000_000,
        max_at_work: 1_000,
    };
    host.admit(&policy, &voucher(1, 100_000), 1, id(request), sequence)
}

fn taken(highest: u64) -> Result<Admitted, VoucherRefusal> {
    Err(VoucherRefusal::Number { highest })
}

#[test]
fn a_number_is_taken_once() {
    let mut facts = facts();
    (facts.covered, facts.covered_value) = (10, 50);
    let mut host = PayeeLane::new(&facts);
    for number in [0, 1, 10, 10 + 257, u64::MAX] {
        assert_eq!(ask(&mut host, 1, number), taken(10), "{number}");
    }
    // Open: taken, also before it is used.
    ask(&mut host, 1, 10 + 256).unwrap();
    assert_eq!(ask(&mut host, 2, 266), taken(266));
    assert_eq!(ask(&mut host, 2, 266 + 257), taken(266));
    // What failed is free again.
    assert_eq!(host.finish(id(1), Outcome::Failed), Ok(266));
    assert_eq!(ask(&mut host, 2, 266 + 1), taken(10));
    ask(&mut host, 2, 266).unwrap();
    // What was answered is not, whether its receipt is on disk or not.
    assert_eq!(host.finish(id(2), Outcome::Served), Ok(266));
    assert_eq!(ask(&mut host, 3, 266), taken(266));
    host.let_go(266);
    assert_eq!(ask(&mut host, 3, 266), taken(266));
    // Others may come before it and after it, each once.
    for number in [11, 265, 12, 267, 266 + 256] {
        ask(&mut host, number, number).unwrap();
        assert_eq!(host.finish(id(number), Outcome::Served), Ok(number));
        let highest = host.sequence();
        assert_eq!(ask(&mut host, number, number), taken(highest), "{number}");
        host.let_go(number);
        assert_eq!(ask(&mut host, number, number), taken(highest), "{number}");
    }
    // Too long ago to be known.
    assert_eq!(ask(&mut host, 1, 265), taken(522));
    assert_eq!(ask(&mut host, 1, 13), taken(522));
    ask(&mut host, 1, 268).unwrap();
}

#[test]
fn a_restart_keeps_used_numbers_and_frees_open_ones() {
    let mut host = PayeeLane::new(&facts());
    for number in 1..=6 {
        ask(&mut host, number, number).unwrap();
    }
    for number in [1, 3, 4] {
        host.finish(id(number), Outcome::Served).unwrap();
    }
    host.let_go(1);
    host.let_go(4);
    assert_eq!(host.close(), 1);
    let mut host = PayeeLane::decode_all(&mut &*host.encode()).unwrap();
    for number in [1, 3, 4] {
        assert_eq!(ask(&mut host, 9, number), taken(4), "{number}");
    }
    for number in [2, 5, 6] {
        ask(&mut host, number, number).unwrap();
    }
    assert_eq!(host.close(), 1);
}

#[test]
fn a_claim_goes_past_no_open_number() {
    let mut facts = facts();
    let mut host = PayeeLane::new(&facts);
    assert_eq!(host.close(), 0);
    // Nothing was answered: there is nothing to cover, whatever is at work.
    ask(&mut host, 9, 9).unwrap();
    assert_eq!(host.close(), 0);
    for number in [2, 5, 7] {
        ask(&mut host, number, number).unwrap();
        host.finish(id(number), Outcome::Served).unwrap();
    }
    // Answered, but not on disk.
    assert_eq!(host.close(), 1);
    host.let_go(2);
    assert_eq!(host.close(), 4);
    host.let_go(7);
    assert_eq!(host.close(), 4);
    host.let_go(5);
    assert_eq!(host.close(), 7, "what is open is above");
    for number in [1, 3, 4, 6] {
        assert_eq!(ask(&mut host, 1, number), taken(9), "{number} was passed by");
    }
    assert_eq!(host.close(), 7, "without new receipts it stays");
    host.finish(id(9), Outcome::Failed).unwrap();
    assert_eq!(host.close(), 7);
    assert_eq!(ask(&mut host, 1, 6), taken(7));

    // The chain knows more than an old copy of the record.
    (facts.covered, facts.covered_value) = (30, 3);
    host.sync(&facts).unwrap();
    assert_eq!(ask(&mut host, 1, 30), taken(30));
    assert_eq!(host.close(), 30);
    ask(&mut host, 1, 31).unwrap();
    // Numbers begin anew with the epoch.
    (facts.epoch, facts.covered, facts.covered_value) = (1, 0, 0);
    host.sync(&facts).unwrap();
    assert_eq!((host.close(), host.sequence()), (0, 0));
}

#[test]
fn what_a_claim_pays_is_bounded_by_what_was_covered() {
    let mut facts = facts();
    (facts.covered, facts.covered_value) = (4, 30);
    (facts.claimed, facts.paid, facts.nonce) = (40, 30, 1);
    let mut host = PayeeLane::new(&facts);
    let policy = PayeePolicy::default();
    host.admit(&policy, &voucher(2, 60), 20, id(1), 5).unwrap();
    host.finish(id(1), Outcome::Served).unwrap();
    let due = |host: &PayeeLane| {
        let policy = ClaimPolicy {
            now: 1,
            worth: 1,
            dust: 1,
            blocks_left: 0,
            pressure_percent: 100,
        };
        host.claim_due(KEY, &policy, false).unwrap()
    };
    let one = due(&host);
    assert_eq!((one.claim.covered, one.value), (4, 30));
    for (value, pays) in [(0, 0), (1, 1), (29, 29), (30, 30), (31, 30), (u128::MAX, 30)] {
        assert_eq!(one.pays(value), pays, "{value}");
    }
    facts.funded = 45;
    facts.now = 2;
    host.sync(&facts).unwrap();
    assert_eq!(due(&host).pays(20), 15);
    // Paid more than is known to be covered: nothing.
    (facts.covered_value, facts.now) = (20, 3);
    host.sync(&facts).unwrap();
    assert_eq!(due(&host).pays(5), 0);
}

#[test]
fn a_payer_numbers_its_requests() {
    let policy = PayerPolicy {
        blocks_left: 10,
        ..PayerPolicy::default()
    };
    let mut facts = facts();
    facts.covered = 20;
    let mut payer = PayerLane::new(&facts);
    let next = |payer: &mut PayerLane, facts: &LaneFacts| payer.next_sequence(facts).unwrap();
    let pay = |payer: &mut PayerLane, n: u64, sequence| {
        payer
            .pay(
                &self::facts(),
                &policy,
                GENESIS,
                10,
                id(n),
                sequence,
                Owed::default(),
                unsigned,
            )
            .unwrap();
    };
    assert_eq!((next(&mut payer, &facts), next(&mut payer, &facts)), (21, 22));
    pay(&mut payer, 1, 22);
    // Written with the payment.
    let mut payer = PayerLane::decode_all(&mut &*payer.encode()).unwrap();
    payer.restart();
    assert_eq!(next(&mut payer, &facts), 23);
    facts.covered = 40;
    assert_eq!(next(&mut payer, &facts), 41);

    // Up, at the host's word: another copy of this payer was there.
    pay(&mut payer, 2, 41);
    payer.renumber(id(2), 100).unwrap();
    assert_eq!((payer.requests(), payer.written_off()), (0, 0));
    assert!(!payer.failed(id(2)), "it is not lost either");
    assert_eq!(next(&mut payer, &facts), 101);
    // The same word twice says nothing new.
    payer.renumber(id(2), 500).unwrap();
    assert_eq!(next(&mut payer, &facts), 102);

    // Back, to what is in flight, and to what the chain knows.
    pay(&mut payer, 3, 101);
    pay(&mut payer, 4, 102);
    payer.renumber(id(4), 50).unwrap();
    assert_eq!(next(&mut payer, &facts), 102);
    pay(&mut payer, 4, 102);
    payer.accepted(id(3), receipt(id(3)));
    payer.renumber(id(4), 50).unwrap();
    assert_eq!(next(&mut payer, &facts), 51);
    pay(&mut payer, 5, 51);
    payer.renumber(id(5), 3).unwrap();
    assert_eq!(next(&mut payer, &facts), 41);
    // A number that was given out before the count went back is not given out again once it is paid for.
    pay(&mut payer, 6, 60);
    assert_eq!(next(&mut payer, &facts), 61);

    // So far up that it can not be true.
    for (request, highest) in [(7, 61 + (1 << 20) + 1), (8, u64::MAX)] {
        pay(&mut payer, request, 61);
        assert_eq!(
            payer.renumber(id(request), highest),
            Err(PayError::Numbering { highest, own: 61 })
        );
        assert!(!payer.failed(id(request)));
    }
    assert_eq!(next(&mut payer, &facts), 62);
    pay(&mut payer, 9, 62);
    payer.renumber(id(9), 62 + (1 << 20)).unwrap();
    assert_eq!(next(&mut payer, &facts), 63 + (1 << 20));

    (facts.epoch, facts.covered) = (1, 0);
    assert_eq!(next(&mut payer, &facts), 1);
    assert_eq!(payer.next_sequence(&self::facts()), Err(PayError::StaleFacts));
}

#[derive(Clone, Debug)]
enum Move {
    Ask {
        sequence: u64,
    },
    End {
        which: usize,
        served: bool,
    },
    LetGo {
        which: usize,
    },
    Close,
    /// The chain took a claim up to what was closed.
    Cover,
    Restart,
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        // Near each other, so that they meet; and sometimes far.
        12 => (0u64..60).prop_map(|sequence| Move::Ask { sequence }),
        1 => (0u64..700).prop_map(|sequence| Move::Ask { sequence }),
        8 => (0usize..16, prop::bool::weighted(0.7)).prop_map(|(which, served)| Move::End { which, served }),
        6 => (0usize..16).prop_map(|which| Move::LetGo { which }),
        2 => Just(Move::Close),
        1 => Just(Move::Cover),
        1 => Just(Move::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    /// No number is served twice, none that was closed is served later, and none that is open is closed.
    #[test]
    fn what_was_closed_stays_as_it_is(all in prop::collection::vec(moves(), 1..300)) {
        let mut facts = facts();
        let mut host = PayeeLane::new(&facts);
        let mut at_work: Vec<(u64, u64)> = Vec::new();
        let mut open: Vec<u64> = Vec::new();
        let mut served = BTreeSet::new();
        let mut closed = 0;
        for (n, one) in all.into_iter().enumerate() {
            match one {
                Move::Ask { sequence } => {
                    let highest = served.iter().chain(&open).copied().chain(at_work.iter().map(|(_, at)| *at))
                        .max().unwrap_or(0).max(closed);
                    let before = host.clone();
                    match ask(&mut host, n as u64, sequence) {
                        Ok(_) => {
                            prop_assert!(sequence > closed && !served.contains(&sequence));
                            prop_assert!(at_work.iter().all(|(_, other)| *other != sequence));
                            at_work.push((n as u64, sequence));
                        }
                        Err(VoucherRefusal::Number { highest: said }) => {
                            prop_assert_eq!(said, highest);
                            prop_assert_eq!(&before, &host);
                            // It was not refused for nothing.
                            let top = served.last().copied().unwrap_or(0);
                            prop_assert!(
                                sequence <= closed
                                    || served.contains(&sequence)
                                    || at_work.iter().any(|(_, other)| *other == sequence)
                                    || sequence + 256 < top
                                    || sequence > highest + 256
                            );
                        }
                        Err(other) => prop_assert!(false, "{}", other),
                    }
                }
                Move::End { which, served: well } if !at_work.is_empty() => {
                    let (request, sequence) = at_work.remove(which % at_work.len());
                    let outcome = if well { Outcome::Served } else { Outcome::Failed };
                    prop_assert_eq!(host.finish(id(request), outcome), Ok(sequence));
                    if well {
                        prop_assert!(sequence > closed);
                        prop_assert!(served.insert(sequence));
                        open.push(sequence);
                    }
                }
                Move::LetGo { which } if !open.is_empty() => host.let_go(open.remove(which % open.len())),
                Move::Close => {
                    let now = host.close();
                    prop_assert!(now >= closed);
                    prop_assert!(now <= served.last().copied().unwrap_or(0));
                    prop_assert!(at_work.iter().all(|(_, at)| *at > now) && open.iter().all(|at| *at > now));
                    if at_work.is_empty() && open.is_empty() {
                        prop_assert_eq!(now, served.last().copied().unwrap_or(0));
                    }
                    closed = now;
                }
                Move::Cover => {
                    facts.covered = closed;
                    facts.now += 1;
                    host.sync(&facts).unwrap();
                }
                Move::Restart => {
                    host = PayeeLane::decode_all(&mut &*host.encode()).unwrap();
                    at_work.clear();
                    open.clear();
                }
                _ => {}
            }
        }
        // The next number is always free.
        let highest = host.close().max(host.sequence()).max(at_work.iter().map(|(_, at)| *at).max().unwrap_or(0));
        ask(&mut host, 1_000, highest + 1).unwrap();
    }
}
