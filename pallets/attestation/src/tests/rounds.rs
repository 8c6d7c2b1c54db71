//! Rounds, draws, limits and removal.

use super::*;
use crate::{Batches, CurrentRound, DrawCursor, NextAudit, NextBatch, OpenAudits, Rounds, WeightInfo};
use llmesh_proofs::sampling;
use sp_runtime::Perbill;

fn drawn_points() -> Vec<(u64, Vec<u128>)> {
    events()
        .into_iter()
        .filter_map(|e| match e {
            Event::BatchDrawn { batch, points, .. } => Some((batch, points)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_batch_is_drawn_with_the_randomness_of_the_second_round_after_it() {
    build_and_execute(6, || {
        // In the first and in the last block of a round.
        run_to_round(1);
        lane_work(&host(), &[FEE; 8]);
        run_to(EPOCH_BLOCKS * 2 - 1);
        assert_eq!(CurrentRound::<Test>::get(), 1);
        lane_work(&host(), &[FEE; 8]);
        run_to_round(2);
        assert_eq!(
            NextAudit::<Test>::get(),
            0,
            "the randomness of round 2 was known in part in round 1"
        );
        run_to_round(3);
        let seed = Rounds::<Test>::get(3).unwrap().randomness;
        for (id, points) in drawn_points() {
            let expected = sampling::points(
                sampling::draw_seed(seed, id),
                8,
                0..8 * FEE,
                sampling::rate(Perbill::zero()),
                16,
            );
            assert_eq!(points, expected);
        }
        assert_eq!(drawn_points().len(), 2);
        let first = audit(0);
        assert_eq!(first.round, 3);
        assert_eq!(first.seed, sampling::audit_seed(sampling::draw_seed(seed, 0), 0));
    });
}

#[test]
fn skipped_epochs_do_not_count() {
    build_and_execute(6, || {
        EpochsRun::set(false);
        lane_work(&host(), &[FEE]);
        // BABE skips 6 epochs: the randomness at hand is that of the blocks of epoch 0, when the batch was made.
        Epoch::set(7);
        next_block();
        assert_eq!(CurrentRound::<Test>::get(), 1);
        next_block();
        assert_eq!((CurrentRound::<Test>::get(), NextAudit::<Test>::get()), (1, 0));
        Epoch::set(8);
        next_block();
        assert_eq!((CurrentRound::<Test>::get(), NextAudit::<Test>::get()), (2, 1));
    });
}

#[test]
fn late_draws_gain_nothing() {
    build_and_execute(6, || {
        // Weight for rounds only.
        AgendaWeight::set(Weight::zero());
        lane_work(&host(), &[FEE; 3]);
        run_to_round(4);
        assert_eq!(DrawCursor::<Test>::get(), 0);
        // In the meantime somebody came with all the stake, knowing the randomness.
        world(|w| {
            w.verifiers
                .insert(verifier(30), vec![llmesh_primitives::RuntimeClass::CpuFloat]);
            w.stakes.insert(verifier(30), 1_000_000 * STAKE);
        });
        run_to_round(5);
        AgendaWeight::set(Weight::MAX);
        next_block();
        let seed = Rounds::<Test>::get(2).unwrap().randomness;
        assert_eq!(audit(0).round, 2);
        assert_eq!(
            audit(0).seed,
            sampling::audit_seed(sampling::draw_seed(seed, 0), 0)
        );
        open(0);
        assert_eq!(members(0).len(), 6);
        assert!(!members(0).contains(&verifier(30)));
        run_until_done();
    });
}

#[test]
fn a_delayed_opening_changes_no_committee() {
    // The host waits with the opening until another round begins.
    let drawn = |wait: u64| {
        let mut found = vec![];
        build_and_execute(20, || {
            run_to(EPOCH_BLOCKS - 3);
            EpochsRun::set(false);
            lane_work(&host(), &[FEE]);
            for _ in 0..2 {
                Epoch::set(Epoch::get() + 1);
                next_block();
            }
            assert!(matches!(audit(0).state, AuditState::Opening { .. }));
            if wait > 0 {
                world(|w| w.stakes.insert(verifier(19), 1_000_000 * STAKE));
                Epoch::set(Epoch::get() + 1);
                run_to(System::block_number() + wait);
            }
            open(0);
            found = members(0);
        });
        found
    };
    assert_eq!(drawn(0), drawn(WINDOW));
}

#[test]
fn a_good_reputation_lowers_the_rate_to_a_twentieth() {
    build_and_execute(6, || {
        world(|w| w.scores.insert(host(), Perbill::from_percent(99)));
        for _ in 0..50 {
            lane_work(&host(), &[FEE; 8]);
        }
        run_to_round(2);
        let points: usize = drawn_points().iter().map(|(_, points)| points.len()).sum();
        assert_eq!(drawn_points().len(), 50);
        // 400 receipts, 20 expected.
        assert!((8..=36).contains(&points), "{points} of 400 receipts");
    });
}

#[test]
fn draws_wait_for_room() {
    build_and_execute(6, || {
        MaxOpenAudits::set(20);
        for _ in 0..4 {
            lane_work(&host(), &[FEE; 8]);
        }
        run_to_round(2);
        assert_eq!((OpenAudits::<Test>::get(), DrawCursor::<Test>::get()), (16, 2));
        check();
        run_until_done();
        next_block();
        assert_eq!((OpenAudits::<Test>::get(), DrawCursor::<Test>::get()), (16, 4));
        run_until_done();
        assert_eq!(told(), [Conduct::Match; 32]);
        assert!(audit(31).round == 2);
    });
}

#[test]
fn what_could_not_be_drawn_within_the_horizon_is_not_drawn_any_more() {
    build_and_execute(6, || {
        lane_work(&host(), &[FEE; 3]);
        MaxOpenAudits::set(0);
        run_to_round(HORIZON);
        assert_eq!(DrawCursor::<Test>::get(), 0);
        check();
        MaxOpenAudits::set(64);
        AgendaWeight::set(Weight::zero());
        run_to_round(HORIZON + 1);
        AgendaWeight::set(Weight::MAX);
        next_block();
        assert_eq!(NextAudit::<Test>::get(), 0);
        assert!(events().contains(&Event::BatchExpired {
            batch: 0,
            host: host()
        }));
        assert_eq!(Batches::<Test>::iter().count(), 0);
    });
}

#[test]
fn the_work_of_a_block_is_bounded_and_nothing_is_lost() {
    build_and_execute(40, || {
        MaxOpenAudits::set(10_000);
        // Room for a single step of the dearest kind.
        let step = <() as WeightInfo>::wake()
            .saturating_add(Attestation::costliest_end(15))
            .saturating_add(<() as WeightInfo>::idle().saturating_mul(2));
        AgendaWeight::set(step);
        for _ in 0..60 {
            lane_work(&host(), &[FEE; 4]);
            lane_work(&other_host(), &[FEE; 4]);
        }
        for job in 0..80 {
            job_work(&host(), job, FEE);
        }
        goes(&other_host(), Way::Absent);
        run_to_round(2);
        assert!(
            DrawCursor::<Test>::get() < NextBatch::<Test>::get(),
            "a block does not draw them all"
        );
        // None shall be past the horizon before its turn.
        EpochsRun::set(false);
        let mut blocks = 0;
        // `next_block` asserts that no block used more than its weight.
        while DrawCursor::<Test>::get() < NextBatch::<Test>::get() || OpenAudits::<Test>::get() > 0 {
            act();
            next_block();
            blocks += 1;
            assert!(blocks < 300);
        }
        check();
        assert!(blocks > 5);
        let ended = |verdict: Verdict| {
            crate::Audits::<Test>::iter_values()
                .filter(|a| a.state == AuditState::Finished(verdict))
                .count()
        };
        use llmesh_primitives::attestation::Withheld;
        assert_eq!(ended(Verdict::Withheld(Withheld::Receipt)), 240);
        assert_eq!(ended(Verdict::Match) as u64, NextAudit::<Test>::get() - 240);
        // Removal is bounded as well.
        EpochsRun::set(true);
        run_to_round(CurrentRound::<Test>::get() + 2 * HORIZON);
        check();
        assert_eq!(Batches::<Test>::iter().count(), 0);
        assert_eq!(crate::JobLeaves::<Test>::iter().count(), 0);
        assert_eq!(crate::Audits::<Test>::iter().count(), 0);
        assert!(Rounds::<Test>::iter().count() <= HORIZON as usize + 3);
    });
}

#[test]
fn many_deadlines_in_one_block_are_carried_over() {
    build_and_execute(6, || {
        goes(&host(), Way::Absent);
        for _ in 0..8 {
            lane_work(&host(), &[FEE; 8]);
        }
        run_to_round(2);
        assert_eq!(OpenAudits::<Test>::get(), 64);
        let step = <() as WeightInfo>::wake()
            .saturating_add(Attestation::costliest_end(15))
            .saturating_add(<() as WeightInfo>::idle().saturating_mul(2));
        AgendaWeight::set(step);
        run_to(System::block_number() + WINDOW + 1);
        let left = OpenAudits::<Test>::get();
        assert!(left > 0 && left < 64, "{left} left");
        check();
        // What is late is late, whether the chain got to it or not.
        let id = crate::Audits::<Test>::iter()
            .find(|(_, a)| matches!(a.state, AuditState::Opening { .. }))
            .unwrap()
            .0;
        assert_noop!(
            Attestation::open(by(&host()), id, Box::new(opening_of(id))),
            Error::<Test>::TooLate
        );
        run_to(System::block_number() + 64);
        assert_eq!(OpenAudits::<Test>::get(), 0);
        assert_eq!(told(), [Conduct::Unavailable; 64]);
    });
}

#[test]
fn a_round_without_verifiers_is_a_round() {
    build_and_execute(0, || {
        lane_work(&host(), &[FEE]);
        run_to_round(3);
        assert_eq!(NextAudit::<Test>::get(), 0);
        assert_eq!(DrawCursor::<Test>::get(), 1);
        assert_eq!(crate::Snapshots::<Test>::get(3).len(), 0);
    });
}

#[test]
fn the_constants_fit() {
    build_and_execute(0, || {
        use frame_support::traits::Hooks;
        Attestation::integrity_test();
    });
}

#[test]
#[should_panic(expected = "AgendaWeight must have room")]
fn an_agenda_without_room_is_refused() {
    new_test_ext_with(0).execute_with(|| {
        use frame_support::traits::Hooks;
        AgendaWeight::set(Attestation::costliest_end(15));
        Attestation::integrity_test();
    });
}

#[test]
#[should_panic(expected = "there must be room for the audits of a batch")]
fn too_few_open_audits_are_refused() {
    new_test_ext_with(0).execute_with(|| {
        use frame_support::traits::Hooks;
        MaxOpenAudits::set(15);
        Attestation::integrity_test();
    });
}
