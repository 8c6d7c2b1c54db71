//! Slashes, rewards and bonuses.

use super::*;
use llmesh_primitives::{attestation::Withheld, traits::WorkSink};

/// Fractions that the host was slashed.
fn fractions() -> Vec<u32> {
    world(|w| {
        let slashes = w.slashes.iter().filter(|s| s.who == host());
        slashes.map(|s| s.fraction.deconstruct() / 10_000_000).collect()
    })
}

#[test]
fn all_that_is_wrong_in_a_round_costs_as_much_as_the_worst_of_it() {
    build_and_execute(6, || {
        goes(&host(), Way::Cheats);
        lane_work(&host(), &[FEE; 4]);
        job_work(&host(), 1, FEE);
        run_to_round(2);
        run_until_done();
        assert!((0..5).all(|id| verdict(id) == Verdict::Mismatch));
        assert_eq!(fractions(), [10]);
        assert_eq!(told(), [Conduct::Mismatch; 5]);
        let slashes: Vec<_> = events()
            .into_iter()
            .filter_map(|e| match e {
                Event::HostConvicted { slashed, .. } => Some(slashed),
                _ => None,
            })
            .collect();
        assert_eq!(slashes, [STAKE / 10, 0, 0, 0, 0]);

        // Another round is another matter.
        lane_work(&host(), &[FEE]);
        run_to_round(crate::CurrentRound::<Test>::get() + 2);
        run_until_done();
        assert_eq!(fractions(), [10, 10]);
        assert_eq!(slashed(&host()), STAKE / 10 + (STAKE - STAKE / 10) / 10);
    });
}

#[test]
fn a_worse_fault_costs_what_it_is_worse() {
    build_and_execute(6, || {
        // Two batches of one round: one withheld, the other false.
        lane_work(&host(), &[FEE]);
        lane_work(&host(), &[FEE]);
        run_to_round(2);
        goes(&host(), Way::Cheats);
        open(1);
        run_to(System::block_number() + WINDOW);
        for who in sitting(1) {
            assert_ok!(commit(1, &who));
        }
        next_block();
        assert_eq!(verdict(0), Verdict::Withheld(Withheld::Receipt));
        run_until_done();
        assert_eq!(verdict(1), Verdict::Mismatch);
        assert_eq!(fractions(), [5, 5]);
    });
    build_and_execute(6, || {
        // The other way round the lesser fault costs nothing more.
        lane_work(&host(), &[FEE]);
        lane_work(&host(), &[FEE]);
        run_to_round(2);
        goes(&host(), Way::Bad);
        let ids = [0, 1];
        ids.into_iter().for_each(open);
        for who in ids.map(sitting).concat() {
            for id in ids {
                // It may not sit in both.
                let _ = commit(id, &who);
            }
        }
        publish(0);
        sitting(0).iter().for_each(|who| {
            reveal(0, who).unwrap();
        });
        // From here on the first goes its way, and the second's host is silent.
        while !matches!(audit(0).state, AuditState::Finished(_)) {
            for who in members(0) {
                let _ = commit(0, &who);
            }
            if matches!(audit(0).state, AuditState::Publishing { .. }) {
                publish(0);
            }
            for who in members(0) {
                let _ = reveal(0, &who);
            }
            if let AuditState::Revealing { until } = audit(0).state
                && until == System::block_number()
            {
                // All is said: the next block counts.
                next_block();
            }
        }
        assert_eq!(verdict(0), Verdict::Mismatch);
        run_to(System::block_number() + WINDOW + 1);
        assert_eq!(verdict(1), Verdict::Withheld(Withheld::Sketch));
        assert_eq!(fractions(), [10]);
    });
}

#[test]
fn a_host_whose_record_is_gone_can_be_convicted_all_the_same() {
    build_and_execute(6, || {
        goes(&host(), Way::Absent);
        let id = drawn_lane();
        world(|w| w.stakes.remove(&host()));
        run_until_done();
        assert_eq!(verdict(id), Verdict::Withheld(Withheld::Receipt));
        assert_eq!(slashed(&host()), 0);
        assert_eq!(told(), [Conduct::Unavailable]);
    });
}

#[test]
fn no_member_gets_more_than_a_part_of_the_pool() {
    build_and_execute(6, || {
        // The pool has 6,400.
        lane_work(&host(), &[5_000 * FEE]);
        run_to_round(2);
        let available = POOL_FUNDS - 1_000_000;
        run_until_done();
        let (one, two) = (members(0)[0].clone(), members(0)[1].clone());
        let first = available / 64;
        assert_eq!(free(&one) - 1_000 * FEE, first);
        assert_eq!(free(&two) - 1_000 * FEE, (available - first) / 64);
    });
}

#[test]
fn members_share_a_part_of_the_fees_that_a_drawn_one_stands_for() {
    build_and_execute(6, || {
        // One receipt in twenty is drawn: 15 % of twenty fees are more than two members can get.
        world(|w| w.scores.insert(host(), sp_runtime::Perbill::from_percent(95)));
        lane_work(&host(), &[FEE; 40]);
        run_to_round(2);
        let count = crate::NextAudit::<Test>::get();
        assert!((1..=3).contains(&count));
        let before = free(&pool());
        run_until_done();
        assert_eq!(before - free(&pool()), u128::from(count) * 2 * FEE);
    });
    build_and_execute(6, || {
        // One in five: 75 % of the fee for the two.
        world(|w| w.scores.insert(host(), sp_runtime::Perbill::from_percent(80)));
        lane_work(&host(), &[FEE; 5]);
        run_to_round(2);
        assert_eq!(crate::NextAudit::<Test>::get(), 1);
        let before = free(&pool());
        run_until_done();
        assert_eq!(before - free(&pool()), FEE * 3 / 4);
    });
    build_and_execute(20, || {
        // A conviction pays out of what the host has lost as well.
        goes(&host(), Way::Cheats);
        let id = drawn_lane();
        let before = free(&pool());
        run_until_done();
        assert_eq!(verdict(id), Verdict::Mismatch);
        assert_eq!(before - free(&pool()), 15 * FEE);
    });
}

#[test]
fn an_empty_pool_pays_nothing_and_stops_nothing() {
    build_and_execute(6, || {
        assert_ok!(Balances::transfer_keep_alive(
            by(&pool()),
            stranger(),
            POOL_FUNDS - 1_000_000
        ));
        let id = drawn_lane();
        run_until_done();
        assert_eq!(verdict(id), Verdict::Match);
        assert_eq!(free(&members(id)[0]), 1_000 * FEE);
    });
}

#[test]
fn a_fee_beyond_what_was_paid_is_not_paid_to_verifiers() {
    build_and_execute(6, || {
        // The host states a leaf worth a fortune and is paid 100 planck of it, by itself.
        let receipt = signed_receipt(&host(), &client(), 1, 1_000_000 * FEE);
        let tree = llmesh_proofs::merkle::Tree::new(vec![(receipt.hash(), 1_000_000 * FEE)]).unwrap();
        Attestation::on_claimed(&host(), 5, 1, 2, &client(), 0, &tree.work(), 1, 100);
        world(|w| w.trees.insert(0, (tree, vec![receipt])));
        run_to_round(2);
        let before = free(&pool());
        run_until_done();
        assert_eq!(verdict(0), Verdict::Match);
        assert_eq!(
            before - free(&pool()),
            14,
            "two times a half of 15 % of what was paid"
        );
    });
}

#[test]
fn work_without_conviction_earns_a_part_of_the_cut() {
    build_and_execute(6, || {
        lane_work(&host(), &[FEE]);
        world(|w| w.cuts.insert(host(), 1_000 * FEE / 10));
        run_to_round(2);
        run_until_done();
        let before = free(&host());
        run_to_round(HORIZON);
        assert_eq!(free(&host()), before);
        run_to_round(HORIZON + 1);
        assert_eq!(free(&host()) - before, 25 * FEE);
        let paid = Event::BonusPaid {
            batch: 0,
            host: host(),
            cut: 100 * FEE,
            amount: 25 * FEE,
        };
        assert!(events().contains(&paid));
        run_to_round(HORIZON + 5);
        assert_eq!(free(&host()) - before, 25 * FEE, "once");
    });
}

#[test]
fn a_conviction_costs_the_bonus() {
    build_and_execute(6, || {
        goes(&host(), Way::Cheats);
        lane_work(&host(), &[FEE]);
        lane_work(&other_host(), &[FEE]);
        world(|w| {
            w.cuts.insert(host(), 100 * FEE);
            w.cuts.insert(other_host(), 100 * FEE);
        });
        run_to_round(2);
        run_until_done();
        let before = (free(&host()), free(&other_host()));
        run_to_round(HORIZON + 2);
        assert_eq!(free(&host()), before.0);
        assert_eq!(free(&other_host()) - before.1, 25 * FEE);
        assert!(world(|w| w.cuts.is_empty()), "and it is not paid later");
        assert_eq!(crate::Punished::<Test>::iter().count(), 1);
        run_to_round(HORIZON + 5);
        assert_eq!(crate::Punished::<Test>::iter().count(), 0);
    });
}

#[test]
fn the_bonus_never_is_more_than_the_cut() {
    build_and_execute(6, || {
        // Many small batches in one round.
        for cut in 1..20u128 {
            lane_work(&host(), &[FEE]);
            world(|w| w.cuts.insert(host(), cut));
        }
        run_to_round(2);
        run_until_done();
        let before = free(&host());
        run_to_round(HORIZON + 1);
        assert_eq!(free(&host()) - before, 19 / 4);
    });
}
