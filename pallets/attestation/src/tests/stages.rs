//! Votes, and what follows from them.

use super::*;
use crate::Fault;
use llmesh_primitives::{
    RuntimeClass, Sketch,
    attestation::{Finding, Preimages, Vote, Withheld},
};
use llmesh_proofs::audit::ballot;
use sp_core::H256;
use sp_runtime::Perbill;

/// Does everything that is awaited until the audit is over or in another stage.
fn play_stage(id: AuditId) {
    let stage = audit(id).stage;
    for _ in 0..4 * WINDOW {
        act();
        let now = audit(id);
        if now.stage != stage || matches!(now.state, AuditState::Finished(_)) {
            return;
        }
        next_block();
    }
    panic!("the stage does not end");
}

#[test]
fn a_cheat_is_found_by_two_then_five_then_fifteen() {
    build_and_execute(20, || {
        goes(&host(), Way::Cheats);
        let id = opened_lane();
        assert_eq!(members(id).len(), 15);
        assert_eq!((audit(id).stage, audit(id).seats), (0, 2));
        play_stage(id);
        assert_eq!((audit(id).stage, audit(id).seats), (1, 5));
        assert!(
            world(|w| w.slashes.is_empty()),
            "two do not convict when more can be asked"
        );
        play_stage(id);
        assert_eq!((audit(id).stage, audit(id).seats), (2, 15));
        assert!(world(|w| w.slashes.is_empty()));
        let before: u128 = members(id).iter().map(free).sum();
        play_stage(id);
        assert_eq!(verdict(id), Verdict::Mismatch);
        assert_eq!(slashed(&host()), STAKE / 10);
        assert_eq!(told(), [Conduct::Mismatch]);
        assert_eq!(members(id).iter().map(free).sum::<u128>() - before, 15 * FEE);
        assert_eq!(world(|w| w.slashes.len()), 1);
        let convicted = Event::HostConvicted {
            audit: id,
            host: host(),
            round: 0,
            verdict: Verdict::Mismatch,
            slashed: STAKE / 10,
        };
        assert!(events().contains(&convicted));
    });
}

#[test]
fn two_verifiers_are_enough_for_a_small_network_and_one_is_not() {
    build_and_execute(2, || {
        goes(&host(), Way::Cheats);
        let id = opened_lane();
        play_stage(id);
        assert_eq!(verdict(id), Verdict::Mismatch);
    });
    build_and_execute(1, || {
        goes(&host(), Way::Cheats);
        let id = opened_lane();
        play_stage(id);
        assert_eq!(verdict(id), Verdict::Inconclusive);
        assert!(world(|w| w.slashes.is_empty() && w.verdicts.is_empty()));
    });
    build_and_execute(4, || {
        MinQuorum::set(5);
        goes(&host(), Way::Cheats);
        let id = opened_lane();
        play_stage(id);
        play_stage(id);
        assert_eq!(
            verdict(id),
            Verdict::Inconclusive,
            "4 votes do not convict where it takes 5"
        );
    });
}

#[test]
fn who_did_not_run_the_model_loses_and_the_honest_host_does_not() {
    build_and_execute(20, || {
        let id = opened_lane();
        // Both that sit first, and two more.
        let lazy: Vec<_> = members(id).into_iter().take(4).collect();
        lazy.iter().for_each(|who| goes(who, Way::Cheats));
        run_until_done();
        assert_eq!(verdict(id), Verdict::Match);
        assert_eq!(audit(id).stage, 2);
        assert_eq!(slashed(&host()), 0);
        for who in members(id) {
            let is_lazy = lazy.contains(&who);
            assert_eq!(slashed(&who), if is_lazy { STAKE / 50 } else { 0 });
            assert_eq!(
                conduct_of(&who),
                if is_lazy { vec![Conduct::Mismatch] } else { vec![] }
            );
            assert_eq!(free(&who) > 1_000 * FEE, !is_lazy, "only the others are paid");
        }
        let faulted = events().into_iter().filter(
            |e| matches!(e, Event::VerifierFaulted { fault: Fault::FalseVote, slashed, .. } if *slashed == STAKE / 50),
        );
        assert_eq!(faulted.count(), 4);
    });
}

#[test]
fn false_accusations_convict_nobody() {
    for way in [Way::Bad, Way::Fails, Way::NoInput, Way::NoPreimages] {
        build_and_execute(20, || {
            let id = opened_lane();
            let liars: Vec<_> = members(id).into_iter().take(5).collect();
            liars.iter().for_each(|who| goes(who, way));
            run_until_done();
            assert_eq!(verdict(id), Verdict::Match, "{way:?}");
            assert_eq!(slashed(&host()), 0);
            let punished = liars.iter().filter(|who| slashed(who) > 0).count();
            // Who says that data was bad is refuted; that it did not come can not be refuted.
            assert_eq!(punished, if way == Way::Bad { 5 } else { 0 }, "{way:?}");
            let honest = members(id).into_iter().skip(5);
            honest.for_each(|who| assert_eq!(slashed(&who), 0));
        });
    }
}

#[test]
fn a_third_of_accomplices_does_not_save_a_cheat() {
    build_and_execute(20, || {
        goes(&host(), Way::Cheats);
        let id = opened_lane();
        let accomplices: Vec<_> = members(id).into_iter().skip(10).collect();
        assert_eq!(accomplices.len(), 5);
        accomplices.iter().for_each(|who| goes(who, Way::Accomplice));
        run_until_done();
        assert_eq!(verdict(id), Verdict::Mismatch);
        for who in members(id) {
            let expected = if accomplices.contains(&who) { STAKE / 50 } else { 0 };
            assert_eq!(slashed(&who), expected);
        }
    });
}

#[test]
fn a_divided_committee_concludes_nothing() {
    build_and_execute(20, || {
        goes(&host(), Way::Cheats);
        let id = opened_lane();
        let accomplices = members(id).into_iter().skip(1).take(7);
        accomplices.for_each(|who| goes(&who, Way::Accomplice));
        run_until_done();
        assert_eq!(verdict(id), Verdict::Inconclusive);
        assert!(world(|w| w.slashes.is_empty()
            && w.verdicts.is_empty()
            && w.conduct.is_empty()));
    });
}

#[test]
fn a_host_that_shows_nothing_is_convicted_of_withholding() {
    build_and_execute(6, || {
        goes(&host(), Way::Absent);
        let id = drawn_lane();
        run_to(System::block_number() + WINDOW);
        assert!(
            matches!(audit(id).state, AuditState::Opening { .. }),
            "its last block counts"
        );
        next_block();
        assert_eq!(verdict(id), Verdict::Withheld(Withheld::Receipt));
        assert_eq!(slashed(&host()), STAKE / 20);
        assert_eq!(told(), [Conduct::Unavailable]);
    });
}

#[test]
fn a_host_that_does_not_publish_is_convicted_and_the_verifiers_are_paid() {
    build_and_execute(6, || {
        goes(&host(), Way::Stops);
        let id = opened_lane();
        let seats = sitting(id);
        goes(&seats[1], Way::Absent);
        run_until_done();
        assert_eq!(verdict(id), Verdict::Withheld(Withheld::Sketch));
        assert_eq!(slashed(&host()), STAKE / 20);
        assert_eq!(free(&seats[0]), 1_001 * FEE);
        assert_eq!(free(&seats[1]), 1_000 * FEE);
        assert_eq!(conduct_of(&seats[1]), [Conduct::Timeout]);
        assert_eq!(conduct_of(&seats[0]), []);
    });
}

#[test]
fn a_host_that_gives_no_data_is_convicted_of_withholding() {
    for way in [Way::NoInput, Way::NoPreimages] {
        build_and_execute(6, || {
            goes(&host(), way);
            let id = opened_lane();
            run_until_done();
            assert_eq!(verdict(id), Verdict::Withheld(Withheld::Data), "{way:?}");
            assert_eq!(slashed(&host()), STAKE / 20);
            assert_eq!(audit(id).stage, 2, "all were asked");
            assert!(
                members(id)
                    .iter()
                    .all(|who| slashed(who) == 0 && free(who) == 1_001 * FEE)
            );
        });
    }
}

#[test]
fn an_output_that_does_not_follow_is_a_mismatch() {
    build_and_execute(6, || {
        goes(&host(), Way::Bad);
        let id = opened_lane();
        run_until_done();
        assert_eq!(verdict(id), Verdict::Mismatch);
        assert_eq!(slashed(&host()), STAKE / 10);
        assert!(members(id).iter().all(|who| slashed(who) == 0));
    });
}

#[test]
fn silent_verifiers_lose_reputation_and_others_take_their_place() {
    build_and_execute(6, || {
        let id = opened_lane();
        let seats = sitting(id);
        goes(&seats[0], Way::Absent);
        goes(&seats[1], Way::Absent);
        play_stage(id);
        assert_eq!((audit(id).stage, audit(id).seats), (1, 5));
        assert_eq!(conduct_of(&seats[0]), [Conduct::Timeout]);
        run_until_done();
        assert_eq!(verdict(id), Verdict::Match);
        assert_eq!(conduct_of(&seats[1]), [Conduct::Timeout; 2]);
        assert_eq!(slashed(&seats[0]) + slashed(&seats[1]), 0);
        assert_eq!(free(&seats[0]), 1_000 * FEE, "nobody pays for silence");
    });
}

#[test]
fn who_does_not_reveal_loses_reputation_and_the_rest_decides() {
    build_and_execute(6, || {
        let id = opened_lane();
        let seats = sitting(id);
        goes(&seats[0], Way::Stops);
        run_until_done();
        assert_eq!(verdict(id), Verdict::Match);
        assert_eq!(audit(id).stage, 0);
        assert_eq!(conduct_of(&seats[0]), [Conduct::Timeout]);
        assert_eq!(free(&seats[0]), 1_000 * FEE);
        assert_eq!(free(&seats[1]), 1_000 * FEE + FEE * 15 / 100);
    });
}

#[test]
fn nobody_who_can_tell_is_inconclusive() {
    for way in [Way::Absent, Way::Stops, Way::Abstains] {
        build_and_execute(6, || {
            (0..6).for_each(|n| goes(&verifier(n), way));
            let id = opened_lane();
            run_until_done();
            assert_eq!(verdict(id), Verdict::Inconclusive);
            assert_eq!(audit(id).stage, 2, "all were asked");
            assert!(world(|w| w.slashes.is_empty() && w.verdicts.is_empty()));
            // Who sat from the first stage on was silent three times; an abstention is none.
            let faults = if way == Way::Abstains { 0 } else { 3 };
            assert_eq!(conduct_of(&members(id)[0]).len(), faults);
        });
    }
}

#[test]
fn each_step_takes_only_what_is_awaited_from_whom_it_is_awaited() {
    build_and_execute(6, || {
        let id = drawn_lane();
        let anyone = verifier(0);
        let vote = Vote {
            finding: Finding::NoInput,
            preimages: Preimages::Missing,
        };
        let sketch = Sketch([0; 16]);
        let commit_as = |who: &AccountId32| Attestation::commit(by(who), id, H256::zero());
        let reveal_as = |who: &AccountId32| Attestation::reveal(by(who), id, vote, SALT);
        let publish_as = |who: &AccountId32| Attestation::publish(by(who), id, sketch);
        assert_noop!(commit_as(&anyone), Error::<Test>::NotAwaited);
        assert_noop!(reveal_as(&anyone), Error::<Test>::NotAwaited);
        assert_noop!(publish_as(&host()), Error::<Test>::NotAwaited);
        assert_noop!(
            Attestation::commit(by(&anyone), 77, H256::zero()),
            Error::<Test>::UnknownAudit
        );
        assert_noop!(
            Attestation::reveal(by(&anyone), 77, vote, SALT),
            Error::<Test>::UnknownAudit
        );
        assert_noop!(
            Attestation::publish(by(&host()), 77, sketch),
            Error::<Test>::UnknownAudit
        );

        open(id);
        let seats = sitting(id);
        let later = members(id)[2].clone();
        for who in [&host(), &stranger(), &later] {
            assert_noop!(commit_as(who), Error::<Test>::NotMember);
        }
        assert_noop!(publish_as(&host()), Error::<Test>::NotAwaited);
        assert_ok!(commit(id, &seats[0]));
        assert_noop!(commit_as(&seats[0]), Error::<Test>::AlreadyCommitted);
        run_to(System::block_number() + WINDOW + 1);
        assert!(
            matches!(audit(id).state, AuditState::Publishing { .. }),
            "one ballot is enough"
        );
        assert_noop!(commit(id, &seats[1]), Error::<Test>::NotAwaited);
        assert_noop!(publish_as(&seats[0]), Error::<Test>::NotHost);
        publish(id);
        assert_noop!(publish_as(&host()), Error::<Test>::NotAwaited);
        assert_noop!(reveal(id, &seats[1]), Error::<Test>::NoBallot);
        assert_noop!(reveal_as(&later), Error::<Test>::NotMember);
        assert_noop!(reveal_as(&seats[0]), Error::<Test>::WrongReveal);
        assert_ok!(reveal(id, &seats[0]));
        assert_eq!(verdict(id), Verdict::Match, "nobody else is awaited");
        assert_eq!(conduct_of(&seats[1]), [Conduct::Timeout]);
        assert_noop!(reveal(id, &seats[0]), Error::<Test>::NotAwaited);
    });
}

#[test]
fn nobody_reveals_twice() {
    build_and_execute(6, || {
        let id = opened_lane();
        let seats = sitting(id);
        for who in &seats {
            assert_ok!(commit(id, who));
        }
        publish(id);
        assert_ok!(reveal(id, &seats[0]));
        assert_noop!(reveal(id, &seats[0]), Error::<Test>::AlreadyRevealed);
    });
}

#[test]
fn a_copied_ballot_can_not_be_revealed() {
    build_and_execute(6, || {
        let id = opened_lane();
        let seats = sitting(id);
        assert_ok!(commit(id, &seats[0]));
        let copied = audit(id).members[0].ballot.unwrap();
        assert_ok!(Attestation::commit(by(&seats[1]), id, copied));
        publish(id);
        assert_ok!(reveal(id, &seats[0]));
        let vote = audit(id).members[0].vote.unwrap();
        assert_noop!(
            Attestation::reveal(by(&seats[1]), id, vote, SALT),
            Error::<Test>::WrongReveal
        );
        goes(&seats[1], Way::Stops);
        run_until_done();
        assert_eq!(verdict(id), Verdict::Match);
        assert_eq!(conduct_of(&seats[1]), [Conduct::Timeout]);
    });
}

#[test]
fn a_reveal_must_be_what_was_committed_to_in_this_stage_with_this_salt() {
    build_and_execute(6, || {
        let id = opened_lane();
        let seats = sitting(id);
        let finding = Finding::Ran(truth(&audit(id)));
        // A ballot for a later stage does not count in this one.
        assert_ok!(Attestation::commit(
            by(&seats[0]),
            id,
            ballot(id, 1, &seats[0], &finding, &SALT)
        ));
        assert_ok!(Attestation::commit(
            by(&seats[1]),
            id,
            ballot(id, 0, &seats[1], &finding, &SALT)
        ));
        publish(id);
        let vote = |finding| Vote {
            finding,
            preimages: Preimages::Good,
        };
        let wrong = Error::<Test>::WrongReveal;
        assert_noop!(Attestation::reveal(by(&seats[0]), id, vote(finding), SALT), wrong);
        let wrong = Error::<Test>::WrongReveal;
        assert_noop!(
            Attestation::reveal(by(&seats[1]), id, vote(finding), [9; 32]),
            wrong
        );
        let wrong = Error::<Test>::WrongReveal;
        assert_noop!(
            Attestation::reveal(by(&seats[1]), id, vote(Finding::Fails), SALT),
            wrong
        );
        assert_ok!(Attestation::reveal(by(&seats[1]), id, vote(finding), SALT));
    });
}

#[test]
fn a_sketch_of_the_stage_before_is_worth_nothing() {
    build_and_execute(20, || {
        let id = opened_lane();
        let drawn = members(id);
        // The first one forces another stage; two others copy the host's sketch of the first.
        goes(&drawn[0], Way::Cheats);
        goes(&drawn[2], Way::Copies);
        goes(&drawn[3], Way::Copies);
        run_until_done();
        assert_eq!(verdict(id), Verdict::Match);
        assert_eq!(slashed(&drawn[2]), STAKE / 50);
        assert_eq!(slashed(&drawn[3]), STAKE / 50);
        assert_eq!(slashed(&drawn[4]), 0);
    });
}

#[test]
fn whoever_belongs_to_the_host_or_can_not_run_the_model_is_not_drawn() {
    build_and_execute(12, || {
        world(|w| {
            for n in 0..3 {
                w.interests.push((verifier(n), host()));
            }
            // The host is a verifier as well.
            w.verifiers.insert(host(), vec![RuntimeClass::CpuFloat]);
            w.stakes.insert(host(), 1_000_000 * STAKE);
            w.verifiers.insert(verifier(3), vec![RuntimeClass::CpuInt8Vnni]);
            w.scores.insert(verifier(4), Perbill::zero());
        });
        for luck in 0..5 {
            Luck::set(luck);
            let id = opened_lane();
            let mut drawn = members(id);
            drawn.sort();
            let mut expected: Vec<_> = (5..12).map(verifier).collect();
            expected.sort();
            assert_eq!(drawn, expected);
            run_until_done();
        }
        // Of another host's work they can be members.
        let id = crate::NextAudit::<Test>::get();
        lane_work(&other_host(), &[FEE]);
        run_to_round(crate::CurrentRound::<Test>::get() + 2);
        open(id);
        assert!(members(id).contains(&verifier(0)));
    });
}

#[test]
fn more_stake_and_reputation_are_drawn_more_often() {
    build_and_execute(20, || {
        world(|w| {
            w.stakes.insert(verifier(0), 9 * STAKE);
            for n in 1..20 {
                w.scores.insert(verifier(n), Perbill::from_percent(25));
            }
        });
        // 18 of 37 parts of the weight.
        let mut first = 0;
        for luck in 0..60 {
            Luck::set(luck);
            let id = opened_lane();
            first += u32::from(members(id)[0] == verifier(0));
            run_until_done();
        }
        assert!((15..=45).contains(&first), "drawn first {first} of 60 times");
    });
}

#[test]
fn without_anybody_to_ask_there_is_no_audit() {
    build_and_execute(2, || {
        world(|w| {
            w.interests.push((verifier(0), host()));
            w.interests.push((verifier(1), host()));
        });
        lane_work(&host(), &[FEE]);
        run_to_round(3);
        assert_eq!(crate::NextAudit::<Test>::get(), 0);
        assert!(events().contains(&Event::NobodyToAudit {
            batch: 0,
            host: host()
        }));
    });
    // There are verifiers, but none for this class: that shows only when the receipt does.
    build_and_execute(2, || {
        world(|w| {
            w.verifiers
                .values_mut()
                .for_each(|c| *c = vec![RuntimeClass::CpuInt8])
        });
        let id = drawn_lane();
        open(id);
        assert_eq!(verdict(id), Verdict::Inconclusive);
    });
}

#[test]
fn a_verifier_that_leaves_before_the_draw_is_not_drawn_and_later_still_bound() {
    build_and_execute(6, || {
        let id = drawn_lane();
        world(|w| w.verifiers.remove(&verifier(0)));
        open(id);
        assert_eq!(members(id).len(), 5);
        assert!(!members(id).contains(&verifier(0)));
        // One that leaves now keeps its seat, and can lose stake that is unbonding.
        let first = sitting(id)[0].clone();
        world(|w| w.verifiers.remove(&first));
        goes(&first, Way::Cheats);
        run_until_done();
        assert_eq!(verdict(id), Verdict::Match);
        assert_eq!(slashed(&first), STAKE / 50);
    });
}
