use crate::{Error, Event, mock::*};
use frame_support::{assert_noop, assert_ok, dispatch::Pays, traits::fungible::Inspect, weights::Weight};
use llmesh_primitives::{
    AuditId, Verdict,
    attestation::{AuditState, Duty, Subject},
    traits::{Conduct, ReceiptSink},
};
use llmesh_proofs::Opening;
use sp_runtime::AccountId32;

mod challenges;
mod consequences;
mod histories;
mod openings;
mod rounds;
mod stages;

/// Work of one receipt by [`host`] that is drawn: the audit waits to be opened.
fn drawn_lane() -> AuditId {
    let id = crate::NextAudit::<Test>::get();
    lane_work(&host(), &[FEE]);
    run_to_round(crate::CurrentRound::<Test>::get() + 2);
    assert!(matches!(audit(id).state, AuditState::Opening { .. }));
    id
}

/// The same, with the receipt shown: the audit waits for ballots.
fn opened_lane() -> AuditId {
    let id = drawn_lane();
    open(id);
    assert!(matches!(audit(id).state, AuditState::Committing { .. }));
    id
}

/// The members that sit, in order.
fn sitting(id: AuditId) -> Vec<AccountId32> {
    audit(id).sitting().iter().map(|m| m.account.clone()).collect()
}

/// The members, in order.
fn members(id: AuditId) -> Vec<AccountId32> {
    audit(id).members.iter().map(|m| m.account.clone()).collect()
}

fn free(who: &AccountId32) -> u128 {
    Balances::balance(who)
}

#[test]
fn good_work_on_a_lane_matches() {
    build_and_execute(5, || {
        let batch = lane_work(&host(), &[FEE, FEE, FEE]);
        run_to_round(2);
        let points = events().into_iter().find_map(|e| match e {
            Event::BatchDrawn { batch: b, points, .. } if b == batch => Some(points),
            _ => None,
        });
        // One in each third, as every receipt of a host without reputation is audited.
        let thirds: Vec<_> = points.unwrap().iter().map(|p| p / FEE).collect();
        assert_eq!(thirds, [0, 1, 2]);
        assert_eq!(crate::OpenAudits::<Test>::get(), 3);
        let before: u128 = everybody().iter().map(free).sum();
        run_until_done();

        for id in 0..3 {
            assert_eq!(verdict(id), Verdict::Match);
            assert_eq!(audit(id).stage, 0);
        }
        assert_eq!(told(), [Conduct::Match; 3]);
        // Two members of each audit shared 15 % of the fee of its receipt, as every receipt was drawn.
        assert_eq!(
            everybody().iter().map(free).sum::<u128>() - before,
            3 * FEE * 15 / 100
        );
        assert!(world(|w| w.slashes.is_empty() && w.conduct.is_empty()));
        run_to_round(30);
        assert_eq!(crate::Audits::<Test>::iter().count(), 0);
        assert_eq!(crate::Batches::<Test>::iter().count(), 0);
        assert_eq!(crate::Receipts::<Test>::iter().count(), 0);
        assert!(crate::Rounds::<Test>::iter().count() <= HORIZON as usize + 3);
        assert!(crate::Snapshots::<Test>::iter().count() <= HORIZON as usize + 3);
    });
}

#[test]
fn every_step_has_its_event() {
    build_and_execute(5, || {
        System::reset_events();
        let id = drawn_lane();
        run_until_done();
        let (one, two) = (members(id)[0].clone(), members(id)[1].clone());
        let names: Vec<_> = events()
            .into_iter()
            .map(|e| match e {
                Event::RoundStarted { .. } => "round",
                Event::BatchCreated { batch: 0, .. } => "created",
                Event::BatchDrawn { batch: 0, points, .. } if points.len() == 1 => "drawn",
                Event::AuditStarted {
                    audit: 0, host: h, ..
                } if h == host() => "started",
                Event::Opened {
                    audit: 0,
                    model: MODEL,
                    members,
                    ..
                } if members.len() == 5 => "opened",
                Event::Committed {
                    audit: 0,
                    stage: 0,
                    verifier,
                } if verifier == one || verifier == two => "committed",
                Event::CommitmentsClosed {
                    audit: 0, ballots: 2, ..
                } => "closed",
                Event::SketchPublished { audit: 0, .. } => "published",
                Event::Revealed {
                    audit: 0, verifier, ..
                } if verifier == one || verifier == two => "revealed",
                Event::Finished {
                    audit: 0,
                    verdict: Verdict::Match,
                    right,
                    wrong,
                    silent,
                    ..
                } if right == [one.clone(), two.clone()] && wrong.is_empty() && silent.is_empty() => {
                    "finished"
                }
                Event::VerifierPaid { audit: 0, amount, .. } if amount == FEE * 15 / 200 => "paid",
                other => panic!("unexpected: {other:?}"),
            })
            .collect();
        assert_eq!(
            names,
            [
                "created",
                "round",
                "round",
                "drawn",
                "started",
                "opened",
                "committed",
                "committed",
                "closed",
                "published",
                "revealed",
                "revealed",
                "finished",
                "paid",
                "paid"
            ]
        );
    });
}

#[test]
fn good_results_of_jobs_match() {
    build_and_execute(5, || {
        for job in 0..5 {
            job_work(&host(), job, FEE * u128::from(job + 1));
        }
        job_work(&other_host(), 5, FEE);
        assert_eq!(crate::NextBatch::<Test>::get(), 2, "one batch for each host");
        run_to_round(2);
        assert!(crate::OpenAudits::<Test>::get() > 3);
        run_until_done();
        assert!(told().iter().all(|c| *c == Conduct::Match));
        assert_eq!(told().len() as u64, crate::NextAudit::<Test>::get());
        for (_, audit) in Attestation::audits(0, 100, None) {
            assert_eq!(audit.model, Some(MODEL));
        }
    });
}

#[test]
fn results_beyond_the_limit_make_another_batch() {
    build_and_execute(3, || {
        for job in 0..250 {
            job_work(&host(), job, FEE);
        }
        let batches: Vec<_> = (0..3).map(|id| Attestation::batch(id).unwrap()).collect();
        assert_eq!(
            batches.iter().map(|b| b.receipts).collect::<Vec<_>>(),
            [100, 100, 50]
        );
        assert_eq!(batches.iter().map(|b| b.value).sum::<u128>(), 250 * FEE);
        run_to_round(1);
        job_work(&host(), 250, FEE);
        assert_eq!(crate::NextBatch::<Test>::get(), 4, "another round, another batch");
    });
}

#[test]
fn a_point_of_a_jobs_batch_finds_its_leaf() {
    build_and_execute(3, || {
        // Every leaf is as likely as its fee: the free one is never drawn.
        let fees = [1, 0, 5, 3, 0, 100, 2];
        for (job, fee) in fees.iter().enumerate() {
            job_work(&host(), job as u64, *fee);
        }
        let drawn = |point: u128| {
            let mut end = 0;
            fees.iter().position(|fee| {
                end += fee;
                point < end
            })
        };
        run_to_round(2);
        let points = events().into_iter().find_map(|e| match e {
            Event::BatchDrawn { points, .. } => Some(points),
            _ => None,
        });
        let mut expected: Vec<_> = points
            .unwrap()
            .into_iter()
            .map(|p| drawn(p).unwrap() as u64)
            .collect();
        expected.dedup();
        let mut jobs: Vec<_> = crate::Audits::<Test>::iter_values()
            .map(|audit| match audit.subject {
                Subject::Job { job, .. } => job,
                other => panic!("unexpected: {other:?}"),
            })
            .collect();
        jobs.sort();
        assert_eq!(jobs, expected);
        assert!(!jobs.is_empty() && !jobs.contains(&1) && !jobs.contains(&4));
    });
}

#[test]
fn duties_say_what_is_awaited_and_of_whom() {
    build_and_execute(6, || {
        let duty = |who: &AccountId32| -> Vec<_> {
            let items = Attestation::duties(who.clone(), 10);
            items.into_iter().map(|item| item.duty).collect()
        };
        let id = drawn_lane();
        assert_eq!(duty(&host()), [Duty::Open]);
        let item = Attestation::duties(host(), 10).remove(0);
        assert_eq!(item.batch, Attestation::batch(0));
        assert_eq!(item.until, System::block_number() + WINDOW);
        assert_eq!(item.record, audit(id));
        open(id);
        let seats = sitting(id);
        assert_eq!(duty(&host()), [Duty::GiveInput]);
        assert_eq!(duty(&seats[0]), [Duty::Commit]);
        assert_eq!(duty(&seats[1]), [Duty::Commit]);
        assert_eq!(duty(&members(id)[2]), [], "it does not sit yet");
        assert_ok!(commit(id, &seats[0]));
        assert_eq!(duty(&seats[0]), []);
        assert_ok!(commit(id, &seats[1]));
        assert_eq!(duty(&host()), [Duty::Publish]);
        assert_eq!(duty(&seats[0]), []);
        publish(id);
        assert_eq!(duty(&host()), [Duty::GivePreimages]);
        assert_eq!(duty(&seats[1]), [Duty::Reveal]);
        assert_ok!(reveal(id, &seats[0]));
        assert_ok!(reveal(id, &seats[1]));
        assert_eq!(duty(&host()), []);
        assert_eq!(duty(&seats[1]), []);

        assert_eq!(Attestation::audits(0, 10, Some(host())).len(), 1);
        assert_eq!(Attestation::audits(0, 10, Some(members(id)[4].clone())).len(), 1);
        assert_eq!(Attestation::audits(0, 10, Some(stranger())).len(), 0);
        assert_eq!(Attestation::audits(1, 10, None).len(), 0);
    });
}

#[test]
fn duties_are_limited_and_oldest_first() {
    build_and_execute(6, || {
        lane_work(&host(), &[FEE; 12]);
        run_to_round(2);
        let ids: Vec<_> = Attestation::duties(host(), 5).iter().map(|d| d.audit).collect();
        assert_eq!(ids, [0, 1, 2, 3, 4]);
        assert_eq!(Attestation::duties(host(), 1_000).len(), 12);
        // Past the window nothing counts, even before the chain gets to it.
        AgendaWeight::set(Weight::zero());
        run_to(System::block_number() + WINDOW + 1);
        assert_eq!(Attestation::duties(host(), 1_000).len(), 0);
        assert_eq!(Attestation::status().open_audits, 12);
        assert_noop!(
            Attestation::open(by(&host()), 0, Box::new(opening_of(0))),
            Error::<Test>::TooLate
        );
        AgendaWeight::set(Weight::MAX);
        next_block();
        assert_eq!(Attestation::status().open_audits, 0);
    });
}

#[test]
fn work_of_no_value_is_not_drawn() {
    build_and_execute(3, || {
        let receipt = signed_receipt(&host(), &client(), 1, 0).receipt;
        Attestation::on_receipt(1, &host(), receipt.hash(&host()), &receipt);
        run_to_round(3);
        assert_eq!(crate::NextAudit::<Test>::get(), 0);
        assert_eq!(crate::DrawCursor::<Test>::get(), 1);
    });
}

#[test]
fn calls_that_fulfil_a_duty_are_free() {
    build_and_execute(3, || {
        let id = drawn_lane();
        let opened = Attestation::open(by(&host()), id, Box::new(opening_of(id))).unwrap();
        assert_eq!(opened.pays_fee, Pays::No);
        let seats = sitting(id);
        let failed = Attestation::open(
            by(&host()),
            id,
            Box::new(Opening::Job {
                receipt: audit(id).receipt.unwrap(),
                version: MODEL,
            }),
        )
        .unwrap_err();
        assert_eq!(failed.post_info.pays_fee, Pays::Yes);
        assert_eq!(commit(id, &seats[0]).unwrap().pays_fee, Pays::No);
        assert_eq!(commit(id, &seats[0]).unwrap_err().post_info.pays_fee, Pays::Yes);
        assert_eq!(commit(id, &seats[1]).unwrap().pays_fee, Pays::No);
        let published = Attestation::publish(by(&host()), id, truth(&audit(id))).unwrap();
        assert_eq!(published.pays_fee, Pays::No);
        assert_eq!(reveal(id, &seats[0]).unwrap().pays_fee, Pays::No);
        let last = reveal(id, &seats[1]).unwrap();
        assert_eq!(last.pays_fee, Pays::No);
        assert_eq!(verdict(id), Verdict::Match);
    });
}

#[test]
fn status_shows_the_periods() {
    build_and_execute(3, || {
        run_to_round(1);
        let status = Attestation::status();
        assert_eq!(
            (status.round, status.window, status.horizon),
            (1, WINDOW, HORIZON)
        );
        assert_eq!((status.challenge_period_ms, status.open_audits), (PERIOD, 0));
    });
}
