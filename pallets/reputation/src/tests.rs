use crate::{Conduct::*, Event, Evidence, SCALE, Scores, mock::*};
use llmesh_primitives::traits::{Conduct, ReputationProvider, ReputationSink, VerdictHandler};
use proptest::prelude::*;
use sp_core::H256;
use sp_runtime::Perbill;

const HOST: u64 = 1;

fn score() -> Perbill {
    <Reputation as ReputationProvider<u64>>::score(&HOST)
}

fn record(conduct: Conduct) {
    <Reputation as ReputationSink<u64>>::record(&HOST, conduct);
}

fn after(conducts: impl IntoIterator<Item = Conduct>) -> Evidence {
    conducts.into_iter().fold(Evidence::default(), Evidence::after)
}

#[test]
fn a_stranger_scores_one_half_and_takes_no_storage() {
    build_and_execute(|| {
        assert_eq!(score(), Perbill::from_percent(50));
        assert_eq!(Reputation::score(HOST), Perbill::from_percent(50));
        assert!(!Scores::<Test>::contains_key(HOST));
    });
}

#[test]
fn conduct_moves_the_score_and_is_told() {
    build_and_execute(|| {
        record(Match);
        // (1 + 1) / (1 + 1 + 1)
        assert_eq!(score(), Perbill::from_rational(2u32, 3));
        System::assert_last_event(
            Event::ReputationChanged {
                who: HOST,
                conduct: Match,
                score: score(),
            }
            .into(),
        );

        record(Timeout);
        // (1 + 0.98) / (1 + 0.98 + 1 + 1)
        assert_eq!(score(), Perbill::from_rational(198u32, 398));
        System::assert_last_event(
            Event::ReputationChanged {
                who: HOST,
                conduct: Timeout,
                score: score(),
            }
            .into(),
        );
        assert_eq!(
            Reputation::evidence(HOST),
            Evidence {
                alpha: 1_980_000_000,
                beta: 2 * SCALE
            }
        );
    });
}

#[test]
fn accounts_do_not_affect_each_other() {
    build_and_execute(|| {
        record(Mismatch);
        assert_eq!(Reputation::score(2), Perbill::from_percent(50));
    });
}

#[test]
fn a_verdict_counts_as_the_conduct_it_found() {
    build_and_execute(|| {
        <Reputation as VerdictHandler<u64>>::on_verdict(&HOST, H256::zero(), Mismatch);
        assert_eq!(Reputation::evidence(HOST), after([Mismatch]));
    });
}

#[test]
fn faults_weigh_as_documented() {
    let scores = [Timeout, Unavailable, Mismatch, Offence].map(|conduct| after([conduct]).score());
    assert_eq!(scores, [3u32, 4, 6, 6].map(|sum| Perbill::from_rational(1, sum)));
}

#[test]
fn steady_conduct_leads_to_the_documented_scores() {
    let steady = |conduct, n| after(core::iter::repeat_n(conduct, n)).score();
    assert!(steady(Match, 22) < Perbill::from_percent(95));
    assert!(steady(Match, 23) >= Perbill::from_percent(95));
    assert!(steady(Match, 2_000) >= Perbill::from_percent(98));
    assert!(steady(Match, 2_000) < Perbill::from_perthousand(981));
    assert!(steady(Mismatch, 2_000) < Perbill::from_percent(1));
    assert!(steady(Mismatch, 2_000) >= Perbill::from_rational(1u32, 202));
}

#[test]
fn a_single_fault_after_long_good_conduct_costs_visibly_and_heals() {
    let good = after(core::iter::repeat_n(Match, 1_000));
    let fallen = good.after(Mismatch);
    assert!(fallen.score() < Perbill::from_percent(92) && fallen.score() > Perbill::from_percent(89));
    let healed = (0..100).fold(fallen, |e, _| e.after(Match));
    assert!(healed.score() > Perbill::from_percent(97));
}

#[test]
fn a_hundred_thousand_records_stay_within_bounds() {
    for pattern in [
        &[Match][..],
        &[Mismatch],
        &[Timeout],
        &[Match, Mismatch],
        &[Match, Match, Offence, Unavailable],
    ] {
        let mut evidence = Evidence::default();
        for conduct in pattern.iter().cycle().take(100_000) {
            evidence = evidence.after(*conduct);
            assert!(evidence.is_within_bounds(), "{evidence:?} after {pattern:?}");
        }
    }
}

fn conduct() -> impl Strategy<Value = Conduct> {
    prop_oneof![
        Just(Match),
        Just(Mismatch),
        Just(Timeout),
        Just(Unavailable),
        Just(Offence)
    ]
}

fn history() -> impl Strategy<Value = Evidence> {
    // Long runs of one conduct reach the bounds that a random mix stays away from.
    prop::collection::vec((conduct(), 1usize..300), 0..6).prop_map(|runs| {
        after(
            runs.into_iter()
                .flat_map(|(conduct, n)| core::iter::repeat_n(conduct, n)),
        )
    })
}

proptest! {
    #[test]
    fn the_score_is_a_share_and_evidence_is_bounded(evidence in history()) {
        prop_assert!(evidence.is_within_bounds());
        prop_assert!(evidence.score() > Perbill::zero());
        prop_assert!(evidence.score() < Perbill::one());
    }

    #[test]
    fn good_conduct_never_lowers_and_bad_conduct_never_raises_the_score(evidence in history()) {
        let before = evidence.score();
        prop_assert!(evidence.after(Match).score() >= before);
        for bad in [Timeout, Unavailable, Mismatch, Offence] {
            prop_assert!(evidence.after(bad).score() <= before);
        }
    }

    #[test]
    fn worse_conduct_never_leads_to_a_better_score(evidence in history()) {
        let scores = [Match, Timeout, Unavailable, Mismatch].map(|conduct| evidence.after(conduct).score());
        prop_assert!(scores.is_sorted_by(|better, worse| better >= worse));
        prop_assert_eq!(evidence.after(Offence), evidence.after(Mismatch));
    }

    #[test]
    fn a_better_history_stays_better_under_the_same_conduct(
        a in history(),
        b in history(),
        next in conduct(),
    ) {
        // Comparable histories: no less good and no more bad evidence.
        let better = Evidence { alpha: a.alpha.max(b.alpha), beta: a.beta.min(b.beta) };
        let worse = Evidence { alpha: a.alpha.min(b.alpha), beta: a.beta.max(b.beta) };
        prop_assert!(better.after(next).score() >= worse.after(next).score());
    }

    #[test]
    fn the_past_is_forgotten(a in history(), b in history(), recent in prop::collection::vec(conduct(), 1..20)) {
        let repeated = || recent.iter().cycle().take(600).copied();
        let a = repeated().fold(a, Evidence::after).score();
        let b = repeated().fold(b, Evidence::after).score();
        let difference = a.deconstruct().abs_diff(b.deconstruct());
        prop_assert!(Perbill::from_parts(difference) < Perbill::from_percent(5), "{a:?} {b:?}");
    }
}
