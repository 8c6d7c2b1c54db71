//! Receipts that somebody doubts.

use super::*;
use frame_support::traits::fungible::InspectHold;
use llmesh_primitives::{Receipt, RuntimeClass, WorkOrigin, attestation::Withheld};
use llmesh_proofs::SignedReceipt;
use sp_core::H256;

fn held(who: &AccountId32) -> u128 {
    Balances::balance_on_hold(&crate::HoldReason::Challenge.into(), who)
}

fn challenge(receipt: &SignedReceipt) -> frame_support::dispatch::DispatchResult {
    Attestation::challenge(by(&stranger()), Box::new(receipt.clone()))
}

/// A challenged receipt whose audit has begun.
fn challenged() -> (SignedReceipt, AuditId) {
    let receipt = signed_receipt(&host(), &client(), 1, FEE);
    let id = crate::NextAudit::<Test>::get();
    assert_ok!(challenge(&receipt));
    run_to_round(crate::CurrentRound::<Test>::get() + 2);
    assert!(matches!(audit(id).state, AuditState::Committing { .. }));
    (receipt, id)
}

#[test]
fn a_challenge_waits_for_randomness_that_nobody_knew() {
    build_and_execute(6, || {
        run_to(EPOCH_BLOCKS * 2 - 1);
        let receipt = signed_receipt(&host(), &client(), 1, FEE);
        assert_ok!(challenge(&receipt));
        assert_eq!(held(&stranger()), DEPOSIT);
        let queued = Event::ChallengeQueued {
            challenge: 0,
            by: stranger(),
            host: host(),
            receipt: receipt.hash(),
            deposit: DEPOSIT,
        };
        assert!(events().contains(&queued));
        let pending = Attestation::pending_challenge(0).unwrap();
        assert_eq!((pending.round, pending.receipt), (1, receipt.receipt.clone()));
        run_to_round(2);
        assert_eq!(crate::NextAudit::<Test>::get(), 0);
        check();
        run_to_round(3);
        let audit = audit(0);
        assert_eq!(audit.round, 3);
        assert_eq!(audit.receipt, Some(receipt.receipt));
        assert_eq!(audit.model, Some(MODEL));
        assert_eq!(audit.members.len(), 6);
        assert!(Attestation::pending_challenge(0).is_none());
        check();
    });
}

#[test]
fn a_false_challenge_pays_host_and_verifiers() {
    build_and_execute(6, || {
        let (_, id) = challenged();
        let (seats, at_pool) = (sitting(id), free(&pool()));
        run_until_done();
        assert_eq!(verdict(id), Verdict::Match);
        assert_eq!(held(&stranger()), 0);
        assert_eq!(free(&stranger()), 1_000 * FEE - DEPOSIT);
        assert_eq!(free(&host()), 1_000 * FEE + DEPOSIT / 2);
        for who in seats {
            assert_eq!(free(&who), 1_000 * FEE + DEPOSIT / 4);
        }
        assert_eq!(free(&pool()), at_pool, "else a made-up fee would empty it");
        let settled = Event::DepositSettled {
            audit: id,
            by: stranger(),
            returned: 0,
            to_host: DEPOSIT / 2,
            to_verifiers: DEPOSIT / 2,
        };
        assert!(events().contains(&settled));
        assert_eq!(told(), [Conduct::Match]);
    });
}

#[test]
fn a_true_challenge_costs_the_host_and_makes_the_challenger_its_reporter() {
    build_and_execute(6, || {
        goes(&host(), Way::Cheats);
        let (_, id) = challenged();
        run_until_done();
        assert_eq!(verdict(id), Verdict::Mismatch);
        assert_eq!(held(&stranger()), 0);
        assert_eq!(free(&stranger()), 1_000 * FEE);
        let slash = Slash {
            who: host(),
            fraction: sp_runtime::Perbill::from_percent(10),
            amount: STAKE / 10,
            reporter: Some(stranger()),
        };
        assert_eq!(world(|w| w.slashes.clone()), [slash]);
    });
}

#[test]
fn a_challenge_that_is_not_answered_convicts() {
    for (way, verdict_is) in [
        (Way::Stops, Withheld::Sketch),
        (Way::NoInput, Withheld::Data),
        (Way::NoPreimages, Withheld::Data),
    ] {
        build_and_execute(6, || {
            goes(&host(), way);
            let (_, id) = challenged();
            run_until_done();
            assert_eq!(verdict(id), Verdict::Withheld(verdict_is));
            assert_eq!(slashed(&host()), STAKE / 20);
            assert_eq!(free(&stranger()), 1_000 * FEE);
        });
    }
}

#[test]
fn an_undecided_challenge_costs_nobody_anything() {
    build_and_execute(1, || {
        goes(&host(), Way::Cheats);
        let (_, id) = challenged();
        run_until_done();
        assert_eq!(verdict(id), Verdict::Inconclusive);
        assert_eq!((free(&stranger()), free(&host())), (1_000 * FEE, 1_000 * FEE));
        assert!(world(|w| w.slashes.is_empty()));
    });
    // There is nobody to ask at all.
    build_and_execute(0, || {
        let receipt = signed_receipt(&host(), &client(), 1, FEE);
        assert_ok!(challenge(&receipt));
        run_to_round(2);
        assert_eq!(verdict(0), Verdict::Inconclusive);
        assert_eq!(free(&stranger()), 1_000 * FEE);
    });
}

#[test]
fn a_made_up_fee_does_not_empty_the_pool() {
    build_and_execute(6, || {
        goes(&host(), Way::Stops);
        let receipt = signed_receipt(&host(), &client(), 1, 1_000_000 * FEE);
        assert_ok!(challenge(&receipt));
        run_to_round(2);
        let before = free(&pool());
        run_until_done();
        assert_eq!(verdict(0), Verdict::Withheld(Withheld::Sketch));
        assert_eq!(before - free(&pool()), DEPOSIT);

        // Nor do many challenges of one host in one round: what is not slashed is not paid.
        let before = free(&pool());
        let more: Vec<_> = (2..6)
            .map(|n| signed_receipt(&host(), &client(), n, FEE))
            .collect();
        for receipt in &more {
            assert_ok!(challenge(receipt));
        }
        run_to_round(crate::CurrentRound::<Test>::get() + 2);
        run_until_done();
        assert!((1..5).all(|id| verdict(id) == Verdict::Withheld(Withheld::Sketch)));
        assert_eq!(before - free(&pool()), 2 * FEE, "of the first");
        assert_eq!((held(&stranger()), free(&stranger())), (0, 1_000 * FEE));
    });
}

#[test]
fn a_receipt_is_challenged_once() {
    build_and_execute(6, || {
        let (receipt, id) = challenged();
        assert_noop!(challenge(&receipt), Error::<Test>::AlreadyChallenged);
        run_until_done();
        assert_noop!(challenge(&receipt), Error::<Test>::AlreadyChallenged);
        assert_eq!(verdict(id), Verdict::Match);
        // What a draw has shown is not challenged either.
        let id = opened_lane();
        let Opening::Leaf { receipt, .. } = opening_of(id) else {
            panic!("it is of a lane")
        };
        assert_noop!(challenge(&receipt), Error::<Test>::AlreadyChallenged);
    });
    build_and_execute(6, || {
        let receipt = signed_receipt(&host(), &client(), 1, FEE);
        assert_ok!(challenge(&receipt));
        assert_noop!(challenge(&receipt), Error::<Test>::AlreadyChallenged);
    });
}

#[test]
fn a_receipt_can_be_drawn_while_its_challenge_waits() {
    build_and_execute(6, || {
        lane_work(&host(), &[FEE]);
        run_to_round(1);
        let receipt = world(|w| w.trees[&0].1[0].clone());
        assert_ok!(challenge(&receipt));
        run_to_round(2);
        open(0);
        check();
        run_until_done();
        run_to_round(3);
        run_until_done();
        assert_eq!((verdict(0), verdict(1)), (Verdict::Match, Verdict::Match));
        run_to_round(30);
        assert_eq!(crate::Receipts::<Test>::iter().count(), 0);
    });
}

#[test]
fn who_has_nothing_to_lose_is_not_challenged() {
    build_and_execute(6, || {
        let receipt = signed_receipt(&host(), &client(), 1, FEE);
        // A twentieth of it would be slashed at least.
        world(|w| w.stakes.insert(host(), 20 * DEPOSIT - 20));
        assert_noop!(challenge(&receipt), Error::<Test>::TooLittleAtStake);
        world(|w| w.stakes.insert(host(), 20 * DEPOSIT));
        assert_ok!(challenge(&receipt));
    });
}

#[test]
fn a_late_challenge_is_refused() {
    build_and_execute(6, || {
        let receipt = signed_receipt(&host(), &client(), 1, FEE);
        let last = receipt.request.terms.expires_at + PERIOD;
        NowMs::set(last + 1);
        assert_noop!(challenge(&receipt), Error::<Test>::ChallengeTooLate);
        NowMs::set(last);
        assert_ok!(challenge(&receipt));
    });
}

#[test]
fn what_is_no_receipt_of_this_chain_is_not_challenged() {
    build_and_execute(6, || {
        let good = signed_receipt(&host(), &client(), 1, FEE);
        let mut other = good.clone();
        other.request.terms.genesis = H256::zero();
        assert_noop!(challenge(&other), Error::<Test>::OtherChain);
        let mut other = good.clone();
        other.signature = sign(&other_host(), other.hash().as_bytes());
        assert_noop!(challenge(&other), Error::<Test>::BadReceipt);
        let mut other = good.clone();
        other.host = other_host();
        assert_noop!(challenge(&other), Error::<Test>::BadReceipt);
        let mut other = good.clone();
        other.receipt.output_hash = H256::zero();
        assert_noop!(challenge(&other), Error::<Test>::BadReceipt);
        let mut other = good.clone();
        other.request.terms.version += 1;
        assert_noop!(challenge(&other), Error::<Test>::UnknownModel);

        let again = |change: fn(&mut Receipt)| {
            let mut receipt = good.receipt.clone();
            change(&mut receipt);
            SignedReceipt::new(receipt, host(), good.request.clone(), |bytes| {
                sign(&host(), bytes)
            })
        };
        for change in [
            (|r| r.units += 1) as fn(&mut Receipt),
            |r| r.runtime_class = RuntimeClass::CpuInt8,
            |r| r.model = H256::zero(),
        ] {
            assert_noop!(challenge(&again(change)), Error::<Test>::WrongVersion);
        }
        for change in [
            (|r| r.origin = WorkOrigin::Job(1)) as fn(&mut Receipt),
            |r| r.fee += 1,
            |r| r.input_hash = H256::zero(),
        ] {
            assert_noop!(challenge(&again(change)), Error::<Test>::BadReceipt);
        }
        assert_eq!(held(&stranger()), 0);
    });
}

#[test]
fn a_challenge_takes_its_deposit() {
    build_and_execute(6, || {
        let receipt = signed_receipt(&host(), &client(), 1, FEE);
        assert_ok!(Balances::transfer_allow_death(
            by(&stranger()),
            host(),
            1_000 * FEE - DEPOSIT
        ));
        // Existence takes some of it.
        assert!(challenge(&receipt).is_err());
        assert_eq!(crate::NextChallenge::<Test>::get(), 0);
        assert!(crate::Receipts::<Test>::iter().next().is_none());
    });
}

#[test]
fn what_does_not_divide_is_the_hosts() {
    build_and_execute(6, || {
        let (_, id) = challenged();
        // Half of the deposit does not divide by three.
        crate::Audits::<Test>::mutate(id, |audit| {
            let audit = audit.as_mut().unwrap();
            audit.seats = 3;
            crate::Parties::<Test>::insert(&audit.members[2].account, crate::AuditKey::from(id), ());
        });
        run_until_done();
        let third = DEPOSIT / 2 / 3;
        assert_eq!(free(&members(id)[2]), 1_000 * FEE + third);
        assert_eq!(free(&host()), 1_000 * FEE + DEPOSIT - 3 * third);
    });
}

#[test]
fn challenges_wait_for_room_and_give_up_past_the_horizon() {
    build_and_execute(6, || {
        MaxOpenAudits::set(0);
        let receipt = signed_receipt(&host(), &client(), 1, FEE);
        assert_ok!(challenge(&receipt));
        run_to_round(HORIZON);
        check();
        assert_eq!(crate::ChallengeCursor::<Test>::get(), 0);
        run_to_round(HORIZON + 1);
        assert_eq!(crate::ChallengeCursor::<Test>::get(), 1);
        assert_eq!(crate::NextAudit::<Test>::get(), 0);
        assert_eq!((held(&stranger()), free(&stranger())), (0, 1_000 * FEE));
        let expired = Event::ChallengeExpired {
            challenge: 0,
            by: stranger(),
            deposit: DEPOSIT,
        };
        assert!(events().contains(&expired));
        assert!(crate::Receipts::<Test>::iter().next().is_none());
    });
}
