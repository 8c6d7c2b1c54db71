//! Books against honest and hostile peers, on a disk that is real, full or cut off.

use super::{
    payee::{Admission, PayeeBook, PayeeLimits},
    payer::PayerBook,
};
use crate::{
    BookError, PayError, VoucherRefusal,
    lane::{ClaimPolicy, ClaimReason, LaneFacts, LaneKey, PayeePolicy, PayerPolicy},
    store::{Store, tests::FakeDisk},
};
use llmesh_primitives::{ChannelState, SignedVoucher, Voucher};
use proptest::prelude::*;
use sp_core::{H256, Pair, ed25519, sr25519};
use sp_runtime::{AccountId32, MultiSignature};
use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

const GENESIS: H256 = H256::repeat_byte(7);
const HOST: AccountId32 = AccountId32::new([1; 32]);

fn client() -> sr25519::Pair {
    sr25519::Pair::from_seed(&[42; 32])
}

fn facts(channel: u64) -> LaneFacts {
    LaneFacts {
        key: LaneKey { channel, lane: 2 },
        epoch: 1,
        host: HOST,
        signer: client().public().into(),
        funded: 1_000_000,
        claimed: 0,
        paid: 0,
        nonce: 0,
        covered: 0,
        covered_value: 0,
        released: false,
        state: ChannelState::Open,
        expires_at: 10_000,
        now: 5,
    }
}

fn voucher(facts: &LaneFacts, nonce: u64, cumulative: u128) -> Voucher {
    Voucher {
        genesis: GENESIS,
        channel: facts.key.channel,
        epoch: facts.epoch,
        lane: facts.key.lane,
        nonce,
        cumulative,
        receipts: H256::zero(),
    }
}

fn signed(voucher: Voucher) -> SignedVoucher {
    let signature = client().sign(&voucher.payload()).into();
    SignedVoucher { voucher, signature }
}

fn limits() -> PayeeLimits {
    PayeeLimits {
        lane: PayeePolicy {
            blocks_left: 100,
            max_ahead: 1_000,
            max_at_work: 64,
        },
        ..PayeeLimits::default()
    }
}

fn host_at(path: &Path, limits: PayeeLimits) -> PayeeBook {
    let book = PayeeBook::open(path, HOST, GENESIS, limits).unwrap();
    book.set_stake_limit(1_000_000_000);
    book
}

fn payer_at(path: &Path) -> PayerBook {
    let policy = PayerPolicy {
        blocks_left: 100,
        ..PayerPolicy::default()
    };
    PayerBook::open(path, GENESIS, policy).unwrap()
}

fn sign(payload: &[u8; 32]) -> MultiSignature {
    client().sign(payload).into()
}

fn id(n: u64) -> H256 {
    H256::from_low_u64_be(n)
}

fn claims(now: u32) -> ClaimPolicy {
    ClaimPolicy {
        now,
        worth: 1_000,
        dust: 1,
        blocks_left: 50,
        pressure_percent: 100,
    }
}

async fn admit(
    book: &PayeeBook,
    facts: &LaneFacts,
    nonce: u64,
    sum: u128,
    n: u64,
) -> Result<Admission, VoucherRefusal> {
    book.admit(facts, &signed(voucher(facts, nonce, sum)), 10, id(n), n)
        .await
}

/// A request from the payer's end to the host's and back; whether its answer gets through is `arrives`.
async fn exchange(
    payer: &PayerBook,
    host: &PayeeBook,
    facts: &LaneFacts,
    price: u128,
    request: H256,
    arrives: bool,
) -> Result<(), PayError> {
    let mut owed = crate::Owed::default();
    for _ in 0..4 {
        let sequence = payer.next_sequence(facts)?;
        let payment = payer
            .pay_again(facts, price, request, sequence, owed, &sign)
            .await?;
        match host
            .admit(facts, payment.voucher(), price, request, sequence)
            .await
        {
            Ok(admission) => {
                let receipt = id(sequence);
                drop(admission.served(receipt).await.unwrap());
                if arrives {
                    payment.accepted(receipt).await.unwrap();
                }
                return Ok(());
            }
            Err(refusal) => {
                let (served, needed) = refusal.disagreement().unwrap_or_else(|| panic!("{refusal}"));
                owed = payment.refused(served, needed)?;
            }
        }
    }
    panic!("the ends do not find together");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_at_a_time_over_two_books_and_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (at_host, at_payer) = (folder.path().join("host"), folder.path().join("payer"));
    {
        let host = Arc::new(host_at(&at_host, limits()));
        let payer = Arc::new(payer_at(&at_payer));
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..120u64 {
            let (host, payer) = (Arc::clone(&host), Arc::clone(&payer));
            tasks.spawn(async move { exchange(&payer, &host, &facts(n % 4), 10, id(n), n % 25 != 7).await });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap().unwrap();
        }
        for lane in host.lanes() {
            assert_eq!((lane.served, lane.at_work), (300, 0));
            assert!(lane.sequence >= 30);
            assert!(lane.signed >= 300);
        }
        assert_eq!(host.totals().reserved, 0);
    }
    // The same after a restart, and the ends still agree, for all the answers that were lost.
    let host = host_at(&at_host, limits());
    let payer = payer_at(&at_payer);
    for channel in 0..4 {
        exchange(&payer, &host, &facts(channel), 10, id(1_000 + channel), true)
            .await
            .unwrap();
    }
    let lost: u128 = payer.lanes().iter().map(|lane| lane.signed - lane.spent).sum();
    assert!(lost <= 6 * 10, "{lost}");
    for lane in host.lanes() {
        assert_eq!(lane.served, 310);
        assert!(lane.claimable >= 300, "{lane:?}");
    }
}

#[tokio::test]
async fn every_changed_field_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let host = host_at(&folder.path().join("host"), limits());
    let facts = facts(1);
    let good = signed(voucher(&facts, 1, 10));
    let refuse = async |change: &dyn Fn(&mut SignedVoucher)| {
        let mut changed = good.clone();
        change(&mut changed);
        host.admit(&facts, &changed, 10, id(1), 1).await.unwrap_err()
    };
    use VoucherRefusal::{BadSignature, OtherLane};
    assert_eq!(refuse(&|v| v.voucher.genesis = H256::zero()).await, OtherLane);
    assert_eq!(refuse(&|v| v.voucher.channel += 1).await, OtherLane);
    assert_eq!(refuse(&|v| v.voucher.epoch += 1).await, OtherLane);
    assert_eq!(refuse(&|v| v.voucher.lane += 1).await, OtherLane);
    assert_eq!(refuse(&|v| v.voucher.nonce += 1).await, BadSignature);
    assert_eq!(refuse(&|v| v.voucher.cumulative += 1).await, BadSignature);
    assert_eq!(refuse(&|v| v.voucher.receipts = id(1)).await, BadSignature);
    assert_eq!(
        refuse(&|v| v.signature = sr25519::Signature::default().into()).await,
        BadSignature
    );
    assert_eq!(
        refuse(&|v| v.signature = ed25519::Signature::default().into()).await,
        BadSignature
    );
    let other = sr25519::Pair::from_seed(&[43; 32]);
    assert_eq!(
        refuse(&|v| v.signature = other.sign(&v.voucher.payload()).into()).await,
        BadSignature
    );
    // The signed bytes alone, without the domain.
    assert_eq!(
        refuse(&|v| v.signature = client().sign(&codec::Encode::encode(&v.voucher)).into()).await,
        BadSignature
    );
    // Nothing is kept of any of it.
    assert!(host.lanes().is_empty());

    // A channel whose signer is of another kind.
    let pair = ed25519::Pair::from_seed(&[42; 32]);
    let mut of_ed25519 = facts.clone();
    of_ed25519.signer = pair.public().into();
    let voucher = voucher(&facts, 1, 10);
    let signature = pair.sign(&voucher.payload()).into();
    let voucher = SignedVoucher { voucher, signature };
    assert_eq!(
        host.admit(&facts, &voucher, 10, id(1), 1).await.unwrap_err(),
        BadSignature
    );
    drop(host.admit(&of_ed25519, &voucher, 10, id(1), 1).await.unwrap());
    assert_eq!(
        host.admit(&of_ed25519, &good, 10, id(1), 1).await.unwrap_err(),
        BadSignature
    );
}

#[tokio::test]
async fn equal_requests_are_admitted_once_and_charged_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("host");
    let facts = facts(1);
    {
        let host = host_at(&path, limits());
        // There is money for all of them.
        let all = (0..8).map(|_| admit(&host, &facts, 1, 500, 1));
        let mut admitted = Vec::new();
        for result in join_all(all).await {
            match result {
                Ok(admission) => admitted.push(admission),
                Err(refusal) => assert_eq!(refusal, VoucherRefusal::AtWork),
            }
        }
        assert_eq!(admitted.len(), 1);
        drop(admitted.pop().unwrap().served(id(9)).await.unwrap());
        assert_eq!(host.lanes()[0].served, 10);
    }
    let host = host_at(&path, limits());
    let again = admit(&host, &facts, 1, 500, 1).await.unwrap_err();
    assert_eq!(
        again,
        VoucherRefusal::AlreadyServed {
            receipt: id(9),
            sequence: 1
        }
    );
    // What failed may be sent again.
    drop(admit(&host, &facts, 1, 500, 2).await.unwrap());
    drop(admit(&host, &facts, 1, 500, 2).await.unwrap());
    assert_eq!(host.lanes()[0].served, 10);
}

async fn join_all<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<_> = all.map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = all.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, slot) in all.iter_mut().zip(&mut done) {
            if slot.is_none()
                && let std::task::Poll::Ready(output) = future.as_mut().poll(context)
            {
                *slot = Some(output);
            }
        }
        if done.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[tokio::test]
async fn stale_conflicting_and_uncovered_vouchers() {
    let folder = tempfile::tempdir().unwrap();
    let host = host_at(&folder.path().join("host"), limits());
    let mut facts = facts(1);
    let served = admit(&host, &facts, 5, 10, 1).await.unwrap();
    drop(served.served(id(1)).await.unwrap());
    let short = VoucherRefusal::Short {
        served: 10,
        needed: 20,
    };
    assert_eq!(admit(&host, &facts, 5, 10, 2).await.unwrap_err(), short);
    assert_eq!(admit(&host, &facts, 4, 10, 2).await.unwrap_err(), short);
    assert_eq!(admit(&host, &facts, 6, 19, 2).await.unwrap_err(), short);
    for (nonce, sum) in [(5, 20), (4, 20), (6, 9), (0, 20)] {
        assert_eq!(
            admit(&host, &facts, nonce, sum, 2).await.unwrap_err(),
            VoucherRefusal::Contradiction
        );
    }
    assert!(matches!(
        admit(&host, &facts, 6, 2_000, 2).await.unwrap_err(),
        VoucherRefusal::TooFarAhead { .. }
    ));
    facts.funded = 19;
    assert!(matches!(
        admit(&host, &facts, 6, 20, 2).await.unwrap_err(),
        VoucherRefusal::Underfunded { .. }
    ));
    facts.funded = 100;
    facts.state = ChannelState::Closing { until: 900 };
    assert_eq!(
        admit(&host, &facts, 6, 20, 2).await.unwrap_err(),
        VoucherRefusal::NotOpen
    );
    facts.state = ChannelState::Open;
    facts.expires_at = 105;
    assert!(matches!(
        admit(&host, &facts, 6, 20, 2).await.unwrap_err(),
        VoucherRefusal::NearExpiry { at: 105 }
    ));
    facts.expires_at = 10_000;
    // A new epoch: the old vouchers are worth nothing, and its facts are not taken any more.
    let old = facts.clone();
    facts.epoch = 2;
    drop(admit(&host, &facts, 1, 10, 2).await.unwrap());
    assert_eq!(
        admit(&host, &old, 6, 20, 3).await.unwrap_err(),
        VoucherRefusal::StaleFacts
    );
}

#[tokio::test]
async fn a_client_that_leaves_has_paid() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("host");
    let facts = facts(1);
    {
        let host = host_at(&path, limits());
        for n in 1..=30u64 {
            let admission = admit(&host, &facts, n, u128::from(n) * 10, n).await.unwrap();
            // It never signs again.
            drop(admission.served(id(n)).await.unwrap());
        }
    }
    let host = host_at(&path, limits());
    let mut policy = claims(6);
    assert!(host.claims(&policy).is_empty());
    policy.worth = 300;
    let due = host.claims(&policy);
    assert_eq!(due.len(), 1);
    assert_eq!((due[0].value, due[0].reason), (300, ClaimReason::Worth));
    assert!(
        due[0]
            .claim
            .voucher(GENESIS)
            .is_signed_by(&due[0].claim.signature, &facts.signer)
    );
    host.claimed(1, 2, 300, 300).await.unwrap();
    assert!(host.claims(&policy).is_empty());
    assert_eq!(host.totals().unsettled, 0);
}

#[tokio::test]
async fn no_more_is_unsettled_than_the_stake() {
    let folder = tempfile::tempdir().unwrap();
    let host = host_at(&folder.path().join("host"), limits());
    host.set_stake_limit(100);
    let (a, b, c) = (facts(1), facts(2), facts(3));
    let at_work = admit(&host, &a, 1, 80, 1).await.unwrap();
    let over = VoucherRefusal::OverStake {
        unsettled: 80,
        limit: 100,
    };
    assert_eq!(admit(&host, &b, 1, 30, 2).await.unwrap_err(), over);
    // The host is told to claim; there is nothing yet.
    tokio::time::timeout(Duration::from_secs(5), host.claims_wanted())
        .await
        .unwrap();
    assert!(host.claims(&claims(6)).is_empty());
    drop(admit(&host, &b, 1, 20, 2).await.unwrap());

    // Credit that nobody uses makes room.
    drop(at_work);
    drop(admit(&host, &c, 1, 90, 3).await.unwrap());
    let totals = host.totals();
    assert!(totals.unsettled <= 100, "{totals:?}");
    assert_eq!(
        host.lanes().iter().map(|lane| lane.signed).collect::<Vec<_>>(),
        [0, 0, 90]
    );
    // The client's voucher brings it back.
    let back = admit(&host, &a, 1, 80, 4).await.unwrap();
    drop(back.served(id(4)).await.unwrap());
    assert_eq!(host.lanes()[0].signed, 80);

    // Earned money does not; it must be claimed, and under pressure it is, though it is little. A voucher of 80 can not be
    // claimed when 10 were served: the client gets its requests first.
    for n in 10..17 {
        let next = admit(&host, &a, 1, 80, n).await.unwrap();
        drop(next.served(id(n)).await.unwrap());
    }
    assert!(matches!(
        admit(&host, &c, 1, 90, 5).await.unwrap_err(),
        VoucherRefusal::OverStake { unsettled: 80, .. }
    ));
    let due = host.claims(&claims(6));
    assert_eq!(
        (due.len(), due[0].value, due[0].reason),
        (1, 80, ClaimReason::Pressure)
    );
    // Only once: whoever claims knows.
    assert!(host.claims(&claims(6)).is_empty());
    host.claimed(1, 2, 80, 80).await.unwrap();
    drop(admit(&host, &c, 1, 90, 5).await.unwrap());

    host.set_stake_limit(0);
    assert!(matches!(
        admit(&host, &b, 2, 200, 6).await.unwrap_err(),
        VoucherRefusal::OverStake { .. }
    ));
}

#[tokio::test]
async fn thousands_of_junk_lanes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("host");
    let small = || PayeeLimits {
        max_lanes: 50,
        remember: 10,
        ..limits()
    };
    {
        let host = host_at(&path, small());
        // Honest clients.
        for channel in 1..=10u64 {
            let facts = facts(channel);
            let admission = admit(&host, &facts, 1, 10, channel).await.unwrap();
            drop(admission.served(id(1)).await.unwrap());
        }
        for round in 0..30u64 {
            let junk: Vec<_> = (0..100u64).map(|n| facts(1_000 + round * 100 + n)).collect();
            for result in join_all(junk.iter().map(|facts| admit(&host, facts, 1, 10, 1))).await {
                assert!(matches!(result, Ok(_) | Err(VoucherRefusal::TooManyLanes)));
            }
            assert!(host.totals().lanes <= 50);
        }
        // Lanes that are in use do not go.
        let mut busy = Vec::new();
        let mut refused = 0;
        for channel in 9_000..9_100u64 {
            match admit(&host, &facts(channel), 1, 10, 1).await {
                Ok(admission) => busy.push(admission),
                Err(refusal) => {
                    assert_eq!(refusal, VoucherRefusal::TooManyLanes);
                    refused += 1;
                }
            }
        }
        assert_eq!((busy.len(), refused), (40, 60));
        for channel in 1..=10u64 {
            drop(admit(&host, &facts(channel), 2, 20, 100 + channel).await.unwrap());
        }
    }
    let host = host_at(&path, small());
    assert_eq!(host.lanes().iter().filter(|lane| lane.served == 10).count(), 10);
    assert_eq!(host.totals().claimable, 100);
}

#[tokio::test]
async fn a_request_that_nobody_waits_for_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let host = host_at(&folder.path().join("host"), limits());
    let facts = facts(1);
    for n in 1..200u64 {
        let admission = admit(&host, &facts, n, u128::from(n) * 10, n);
        // Given up at some point on its way.
        let _ = tokio::time::timeout(Duration::from_micros(n * 20), admission).await;
    }
    // Everything that was queued before is done when this is.
    for _ in 0..2 {
        drop(admit(&host, &facts, 200, 2_000, 200).await);
    }
    host.flush().await.unwrap();
    assert_eq!(host.totals().reserved, 0);
    assert!(host.lanes()[0].served == 0);
}

#[tokio::test]
async fn nothing_is_served_whose_voucher_is_not_on_disk() {
    let disk = FakeDisk::default();
    let path = Path::new("fake");
    let open = |disk: &FakeDisk| {
        let owner = PayeeBook::owner(&HOST, GENESIS);
        let (store, loaded) = Store::open_with(path, &owner, disk.opener()).unwrap();
        let book = PayeeBook::start(path, HOST, GENESIS, limits(), store, &loaded).unwrap();
        book.set_stake_limit(1_000_000);
        book
    };
    let sums = |disk: FakeDisk| {
        let book = open(&disk);
        book.lanes().first().map(|lane| (lane.signed, lane.served))
    };
    let host = open(&disk);
    let facts = facts(1);
    disk.full.store(true, Ordering::SeqCst);
    let full = BookError::DiskFull { path: path.into() };
    // It runs although the disk is full, and is not answered.
    let first = admit(&host, &facts, 1, 10, 1).await.unwrap();
    assert_eq!(first.served(id(1)).await.unwrap_err(), full);
    assert_eq!(sums(disk.after_power_loss(0)), None);
    let second = admit(&host, &facts, 2, 20, 2).await.unwrap();
    disk.full.store(false, Ordering::SeqCst);
    drop(second.served(id(2)).await.unwrap());
    // Whatever the disk loses that was not synced, both vouchers are there: what one commit can not write the next does.
    for luck in 0..16 {
        assert_eq!(sums(disk.after_power_loss(luck)), Some((20, 20)));
    }

    // A voucher whose request fails is credit. It needs no commit of its own, and is kept when the book ends in order.
    drop(admit(&host, &facts, 3, 30, 3).await.unwrap());
    assert_eq!(sums(disk.after_power_loss(1)), Some((20, 20)));
    let third = admit(&host, &facts, 3, 30, 4).await.unwrap();
    drop(host);
    assert_eq!(sums(disk.after_power_loss(2)), Some((30, 20)));
    // A guard that outlives its book does no harm.
    assert_eq!(third.served(id(4)).await.unwrap_err(), BookError::Gone);
}

#[tokio::test]
async fn channels_that_ended_are_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("host");
    {
        let host = host_at(&path, limits());
        for channel in 1..=2u64 {
            let admission = admit(&host, &facts(channel), 1, 10, channel).await.unwrap();
            drop(admission.served(id(1)).await.unwrap());
        }
        let mut closing = facts(1);
        closing.now = 40;
        closing.state = ChannelState::Closing { until: 60 };
        host.refresh(&[closing, facts(77)]).await.unwrap();
        let due = host.claims(&claims(41));
        assert_eq!(due.len(), 1);
        assert_eq!((due[0].reason, due[0].last), (ClaimReason::Ending, 60));
        assert!(host.claims(&claims(61)).is_empty());

        // A node that is behind has not seen the channel yet.
        assert_eq!(host.gone(1, 30).await.unwrap(), []);
        let at_work = admit(&host, &facts(2), 2, 20, 5).await.unwrap();
        let gone = host.gone(1, 70).await.unwrap();
        assert_eq!((gone.len(), gone[0].lost), (1, 10));
        let gone = host.gone(2, 70).await.unwrap();
        assert_eq!(gone.len(), 1);
        assert_eq!(at_work.served(id(5)).await.unwrap_err(), BookError::Gone);
        assert_eq!(host.totals().unsettled, 0);
    }
    assert!(host_at(&path, limits()).lanes().is_empty());
}

#[tokio::test]
async fn books_are_bound_to_their_owner() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("host");
    drop(host_at(&path, limits()));
    let other = AccountId32::new([9; 32]);
    assert!(matches!(
        PayeeBook::open(&path, other, GENESIS, limits()),
        Err(BookError::OtherOwner { .. })
    ));
    assert!(matches!(
        PayeeBook::open(&path, HOST, H256::zero(), limits()),
        Err(BookError::OtherChain { .. })
    ));
    assert!(matches!(
        PayerBook::open(&path, GENESIS, PayerPolicy::default()),
        Err(BookError::OtherOwner { .. })
    ));
}

#[tokio::test]
async fn a_payer_heals_restarts_and_gives_up() {
    let folder = tempfile::tempdir().unwrap();
    let (at_host, at_payer) = (folder.path().join("host"), folder.path().join("payer"));
    let host = host_at(&at_host, limits());
    let facts = facts(1);
    {
        let payer = payer_at(&at_payer);
        for n in 1..=3u64 {
            exchange(&payer, &host, &facts, 10, id(n), n != 2).await.unwrap();
        }
        let lane = &payer.lanes()[0];
        assert_eq!((lane.spent, lane.written_off, lane.in_flight), (20, 10, 0));
        // The lost answer comes after all.
        let (known, written) = payer.accepted(facts.key, 1, id(2), id(2));
        assert!(known);
        written.await.unwrap();
        assert!(!payer.accepted(facts.key, 1, id(2), id(2)).0);
        assert_eq!(payer.lanes()[0].written_off, 0);

        // In flight when the process ends: as if the host had taken it.
        let sequence = payer.next_sequence(&facts).unwrap();
        let payment = payer.pay(&facts, 10, id(4), sequence, &sign).await.unwrap();
        let admission = host.admit(&facts, payment.voucher(), 10, id(4), sequence).await;
        drop(admission.unwrap().served(id(4)).await.unwrap());
        std::mem::forget(payment);
    }
    let payer = payer_at(&at_payer);
    assert_eq!(payer.lanes()[0].requests, 0);
    exchange(&payer, &host, &facts, 10, id(5), true).await.unwrap();
    assert_eq!((payer.lanes()[0].signed, host.lanes()[0].served), (50, 50));

    // A host that always loses the answer is not paid for ever.
    let mut n = 5;
    let error = loop {
        n += 1;
        if let Err(error) = exchange(&payer, &host, &facts, 10, id(n), false).await {
            break error;
        }
        assert!(n < 20);
    };
    assert!(matches!(error, PayError::LostTooMuch { .. }), "{error}");
    let lane = &payer.lanes()[0];
    assert!(lane.signed - lane.spent <= 60, "{lane:?}");

    // A host that claims the moon is not believed.
    let payment = payer.pay(&facts, 1, id(90), 90, &sign).await;
    if let Ok(payment) = payment {
        let error = payment.refused(1_000, 1_001).unwrap_err();
        assert!(matches!(error, PayError::Disagreement { .. }));
    }
    payer.forget(1).await.unwrap();
    assert!(payer.lanes().is_empty());
}

#[tokio::test]
async fn a_claim_waits_for_the_receipts_below() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("host");
    let facts = facts(1);
    let (key, epoch) = (facts.key, facts.epoch);
    let number = |highest| VoucherRefusal::Number { highest };
    {
        let host = host_at(&path, limits());
        assert_eq!(host.close(key, epoch), None);
        let first = admit(&host, &facts, 1, 500, 1).await.unwrap();
        let second = admit(&host, &facts, 1, 500, 2).await.unwrap();
        let third = admit(&host, &facts, 1, 500, 3).await.unwrap();
        assert_eq!((first.sequence(), third.sequence()), (1, 3));
        assert_eq!(host.close(key, epoch), Some(0));
        // Another request with the number of one that is at work.
        let voucher = signed(voucher(&facts, 1, 500));
        let again = host.admit(&facts, &voucher, 10, id(9), 2).await.unwrap_err();
        assert_eq!(again, number(3));
        let first = first.served(id(1)).await.unwrap();
        let third = third.served(id(3)).await.unwrap();
        assert_eq!(
            host.close(key, epoch),
            Some(0),
            "its receipt may not be there yet"
        );
        drop(first);
        assert_eq!(host.close(key, epoch), Some(1));
        drop(third);
        assert_eq!(host.close(key, epoch), Some(1));
        // One that fails lets it go as well; then its number was passed by.
        drop(second);
        assert_eq!(host.close(key, epoch), Some(3));
        assert_eq!(admit(&host, &facts, 1, 500, 2).await.unwrap_err(), number(3));
        assert_eq!(host.close(key, epoch + 1), None);
        let due = host.claims(&ClaimPolicy {
            worth: 1,
            ..claims(6)
        });
        assert!(due.is_empty(), "a voucher of 500 is not earned");

        let fourth = admit(&host, &facts, 1, 500, 4).await.unwrap();
        std::mem::forget(admit(&host, &facts, 1, 500, 6).await.unwrap());
        drop(fourth.served(id(4)).await.unwrap());
        std::mem::forget(admit(&host, &facts, 1, 500, 5).await.unwrap());
        assert_eq!(host.close(key, epoch), Some(4));
    }
    // What was used or closed is remembered, what was at work is free.
    let host = host_at(&path, limits());
    assert_eq!(host.close(key, epoch), Some(4));
    for n in [0, 2] {
        assert_eq!(admit(&host, &facts, 1, 500, n).await.unwrap_err(), number(4));
    }
    for n in [6, 5] {
        drop(
            admit(&host, &facts, 1, 500, n)
                .await
                .unwrap()
                .served(id(n))
                .await
                .unwrap(),
        );
    }
    assert_eq!(host.close(key, epoch), Some(6));
    let mut facts = facts;
    (facts.covered, facts.covered_value, facts.now) = (4, 30, 7);
    host.refresh(&[facts.clone()]).await.unwrap();
    for n in 7..=51 {
        drop(
            admit(&host, &facts, 1, 500, n)
                .await
                .unwrap()
                .served(id(n))
                .await
                .unwrap(),
        );
    }
    let due = &host.claims(&ClaimPolicy {
        worth: 1,
        ..claims(8)
    })[0];
    assert_eq!((due.claim.covered, due.value, due.pays(470)), (4, 500, 500));
    assert_eq!(due.pays(20), 50);

    // Numbers begin anew with the epoch; a guard of the old one does no harm.
    let old = admit(&host, &facts, 1, 510, 52).await;
    assert!(old.is_err(), "contradicts the voucher of 500");
    let old = admit(&host, &facts, 2, 520, 52).await.unwrap();
    let old = old.served(id(52)).await.unwrap();
    (facts.epoch, facts.covered, facts.covered_value) = (2, 0, 0);
    let new = admit(&host, &facts, 1, 500, 52).await.unwrap();
    drop(old);
    let other = signed(self::voucher(&facts, 1, 500));
    let again = host.admit(&facts, &other, 10, id(9), 52).await.unwrap_err();
    assert_eq!(again, number(52));
    drop(new);
}

#[tokio::test]
async fn the_ends_find_together_over_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let (at_host, at_payer) = (folder.path().join("host"), folder.path().join("payer"));
    let host = host_at(&at_host, limits());
    let facts = facts(1);
    // A request of this number that the host refuses; returns what it says.
    let refused = async |payer: &PayerBook, n: u64, sequence: u64| {
        let payment = payer.pay(&facts, 10, id(n), sequence, &sign).await.unwrap();
        let refusal = host.admit(&facts, payment.voucher(), 10, id(n), sequence).await;
        let VoucherRefusal::Number { highest } = refusal.unwrap_err() else {
            panic!("refused for another reason");
        };
        (payment, highest)
    };
    {
        let payer = payer_at(&at_payer);
        exchange(&payer, &host, &facts, 10, id(1), true).await.unwrap();
        // Many that come to nothing take the count too far ahead.
        let far = (0..300)
            .map(|_| payer.next_sequence(&facts).unwrap())
            .max()
            .unwrap();
        assert_eq!(far, 301);
        let (payment, highest) = refused(&payer, 2, far).await;
        assert_eq!(highest, 1);
        payment.renumber(highest).unwrap();
        assert_eq!((payer.lanes()[0].requests, payer.lanes()[0].written_off), (0, 0));
        exchange(&payer, &host, &facts, 10, id(3), true).await.unwrap();
        assert_eq!(host.lanes()[0].sequence, 2);
        exchange(&payer, &host, &facts, 10, id(4), true).await.unwrap();
    }
    // After a restart it goes on.
    let payer = payer_at(&at_payer);
    assert_eq!(payer.next_sequence(&facts).unwrap(), 4);
    exchange(&payer, &host, &facts, 10, id(5), true).await.unwrap();
    assert_eq!(host.lanes()[0].sequence, 5);
    // A copy from before the start of the lane is told where it is.
    let copy = payer_at(&folder.path().join("copy"));
    let (payment, highest) = refused(&copy, 6, 1).await;
    assert_eq!(highest, 5);
    payment.renumber(highest).unwrap();
    assert_eq!(copy.next_sequence(&facts).unwrap(), 6);
    // A host that is impossibly far is left.
    let payment = payer.pay(&facts, 10, id(7), 6, &sign).await.unwrap();
    let highest = 1 << 40;
    assert_eq!(
        payment.renumber(highest).unwrap_err(),
        PayError::Numbering { highest, own: 6 }
    );
}

#[tokio::test]
async fn a_payment_that_nobody_waits_for_failed() {
    let folder = tempfile::tempdir().unwrap();
    let payer = payer_at(&folder.path().join("payer"));
    let facts = facts(1);
    // Given up before it is durable, or after: the next uses its money.
    for n in 1..50u64 {
        let paying = payer.pay(&facts, 10, id(n), n, &sign);
        let _ = tokio::time::timeout(Duration::from_micros(n * 20), paying).await;
    }
    let last = payer.pay(&facts, 10, id(100), 100, &sign).await.unwrap();
    assert_eq!(last.voucher().voucher, voucher(&facts, 1, 10));
    assert!(
        last.voucher()
            .voucher
            .is_signed_by(&last.voucher().signature, &facts.signer)
    );
    last.failed().await.unwrap();
    let lane = &payer.lanes()[0];
    assert_eq!((lane.signed, lane.nonce, lane.in_flight), (10, 1, 0));
}

#[tokio::test]
async fn a_voucher_that_is_not_on_disk_is_not_handed_out() {
    let disk = FakeDisk::default();
    let path = Path::new("fake");
    let open = |disk: &FakeDisk| {
        let (store, loaded) = Store::open_with(path, &PayerBook::owner(GENESIS), disk.opener()).unwrap();
        let policy = PayerPolicy {
            blocks_left: 100,
            ..PayerPolicy::default()
        };
        PayerBook::start(path, GENESIS, policy, store, &loaded).unwrap()
    };
    let payer = open(&disk);
    let facts = facts(1);
    let first = payer.pay(&facts, 10, id(1), 1, &sign).await.unwrap();
    disk.full.store(true, Ordering::SeqCst);
    let full = PayError::Storage(BookError::DiskFull { path: path.into() });
    // Two vouchers of which nobody ever hears.
    assert_eq!(payer.pay(&facts, 10, id(2), 2, &sign).await.unwrap_err(), full);
    assert_eq!(payer.pay(&facts, 20, id(3), 3, &sign).await.unwrap_err(), full);
    assert_eq!(payer.lanes()[0].requests, 1);
    let lost = open(&disk.after_power_loss(3));
    assert_eq!((lost.lanes()[0].nonce, lost.lanes()[0].signed), (1, 10));
    // What replaces them after the power went is no contradiction.
    let other = lost.pay(&facts, 5, id(4), 4, &sign).await.unwrap();
    assert_eq!(other.voucher().voucher.nonce, 1);

    disk.full.store(false, Ordering::SeqCst);
    let next = payer.pay(&facts, 20, id(5), 5, &sign).await.unwrap();
    assert_eq!(next.voucher().voucher.cumulative, 30);
    assert!(next.voucher().voucher.nonce > first.voucher().voucher.nonce);
    let kept = open(&disk.after_power_loss(4));
    assert_eq!(kept.lanes()[0].nonce, payer.lanes()[0].nonce);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// The sums and orders over the lanes stay those of the lanes, and what is signed stays within the stake.
    #[test]
    fn sums_over_lanes_hold(ops in prop::collection::vec((0u8..8, 0u64..12, 1u128..60, any::<u16>()), 1..200)) {
        use super::payee::lanes::Lanes;
        use crate::{lane::{Outcome, PayeeLane}, store::Loaded};
        let none = Loaded { lanes: Vec::new(), served: Vec::new() };
        let mut lanes = Lanes::load(Path::new("none"), &none, 8, 5).unwrap();
        lanes.limit = 300;
        let policy = PayeePolicy { blocks_left: 0, max_ahead: 40, max_at_work: 3 };
        let mut known: std::collections::BTreeMap<u64, LaneFacts> = Default::default();
        let mut at_work: Vec<(LaneKey, u32, H256)> = Vec::new();
        for (n, (op, channel, amount, dice)) in ops.into_iter().enumerate() {
            let facts = known.entry(channel).or_insert_with(|| facts(channel));
            match op {
                0..=3 => {
                    let status = lanes.status().into_iter().find(|lane| lane.key == facts.key);
                    let base = status.map_or(facts.claimed, |lane| lane.served + lane.reserved);
                    let sum = base + amount + u128::from(dice % 50);
                    let voucher = SignedVoucher {
                        voucher: voucher(facts, n as u64 + 1, sum),
                        signature: sr25519::Signature::default().into(),
                    };
                    let before = lanes.totals();
                    if lanes.admit(&policy, facts, &voucher, amount, id(n as u64 % 40), n as u64 + 1).is_ok() {
                        at_work.push((facts.key, facts.epoch, id(n as u64 % 40)));
                        let after = lanes.totals();
                        prop_assert!(after.unsettled <= 300.max(before.unsettled));
                    }
                }
                4 | 5 if !at_work.is_empty() => {
                    let (key, epoch, request) = at_work.remove(usize::from(dice) % at_work.len());
                    if op == 4 {
                        let _ = lanes.served(key, epoch, request, id(0));
                    } else {
                        let _ = lanes.finish(key, epoch, request, Outcome::Failed);
                    }
                }
                6 => {
                    let policy = ClaimPolicy { now: 1, worth: 1, dust: 1, blocks_left: 0, pressure_percent: 50 };
                    for due in lanes.claims(&policy) {
                        let facts = known.get_mut(&due.claim.channel).unwrap();
                        facts.claimed = due.claim.cumulative;
                        facts.paid = due.claim.cumulative;
                        facts.nonce = due.claim.nonce;
                        facts.now += 1;
                        if dice % 2 == 0 {
                            lanes.change(facts.key, |lane| lane.claimed(due.claim.cumulative, due.claim.cumulative));
                        }
                    }
                }
                7 if dice % 8 == 0 => { lanes.remove_channel(channel, u32::MAX); }
                7 if dice % 8 == 1 => facts.epoch += 1,
                7 if dice % 8 == 2 => { lanes.change(facts.key, PayeeLane::release_credit); }
                _ => {}
            }
            lanes.check();
        }
    }
}
