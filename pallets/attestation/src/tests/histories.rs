//! Random histories: whatever hosts, verifiers and challengers do, in whatever order.

use super::*;
use crate::{Audits, NextAudit};
use llmesh_primitives::MESH;
use proptest::prelude::*;
use std::collections::BTreeSet;

const VERIFIERS: u32 = 16;

#[derive(Clone, Debug)]
enum Step {
    Lane { other: bool, fees: Vec<u128> },
    Jobs { other: bool, count: u8 },
    Challenge { batch: u64, receipt: usize },
    Blocks(u8),
    Luck(u64),
    Leaves(u32),
    Returns(u32),
    Weight(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<bool>(), prop::collection::vec(1..5 * FEE, 1..5))
            .prop_map(|(other, fees)| Step::Lane { other, fees }),
        2 => (any::<bool>(), 1..6u8).prop_map(|(other, count)| Step::Jobs { other, count }),
        2 => (0..20u64, 0..4usize).prop_map(|(batch, receipt)| Step::Challenge { batch, receipt }),
        10 => (1..12u8).prop_map(Step::Blocks),
        1 => any::<u64>().prop_map(Step::Luck),
        1 => (0..VERIFIERS).prop_map(Step::Leaves),
        1 => (0..VERIFIERS).prop_map(Step::Returns),
        1 => any::<bool>().prop_map(Step::Weight),
    ]
}

fn way() -> impl Strategy<Value = Way> {
    prop_oneof![
        Just(Way::Cheats),
        Just(Way::Absent),
        Just(Way::Stops),
        Just(Way::NoInput),
        Just(Way::NoPreimages),
        Just(Way::Bad),
        Just(Way::Abstains),
        Just(Way::Fails),
        Just(Way::Copies),
    ]
}

/// Plays a history. Everybody acts in every block. Returns nothing; checks the state all the way.
fn play(steps: Vec<Step>) {
    let mut job = 0;
    for step in steps {
        let of = |other: bool| if other { other_host() } else { host() };
        match step {
            Step::Lane { other, fees } => {
                lane_work(&of(other), &fees);
            }
            Step::Jobs { other, count } => {
                for _ in 0..count {
                    job += 1;
                    job_work(&of(other), job, FEE);
                }
            }
            Step::Challenge { batch, receipt } => {
                let found = world(|w| {
                    let receipts = &w.trees.get(&batch)?.1;
                    receipts.get(receipt % receipts.len().max(1)).cloned()
                });
                if let Some(receipt) = found {
                    // Refused when it was before.
                    let _ = Attestation::challenge(by(&stranger()), Box::new(receipt));
                }
            }
            Step::Blocks(count) => {
                for _ in 0..count {
                    act();
                    next_block();
                }
                check();
            }
            Step::Luck(luck) => Luck::set(luck),
            Step::Leaves(n) => {
                world(|w| w.verifiers.remove(&verifier(n)));
            }
            Step::Returns(n) => {
                let class = llmesh_primitives::RuntimeClass::CpuFloat;
                world(|w| w.verifiers.insert(verifier(n), vec![class]));
            }
            Step::Weight(scarce) => {
                use crate::WeightInfo;
                let least = <() as WeightInfo>::wake()
                    .saturating_add(Attestation::costliest_end(15))
                    .saturating_add(<() as WeightInfo>::idle().saturating_mul(2));
                AgendaWeight::set(if scarce { least } else { Weight::MAX });
            }
        }
    }
    AgendaWeight::set(Weight::MAX);
    // Until nothing is left: the horizon, and what waits before it.
    let end = crate::CurrentRound::<Test>::get() + 3 * HORIZON;
    while crate::CurrentRound::<Test>::get() < end {
        act();
        next_block();
    }
    check();
    assert_eq!(Audits::<Test>::iter().count(), 0);
    assert_eq!(crate::Batches::<Test>::iter().count(), 0);
    assert_eq!(crate::Challenges::<Test>::iter().count(), 0);
    assert_eq!(crate::Receipts::<Test>::iter().count(), 0);
    assert_eq!(crate::Parties::<Test>::iter().count(), 0);
    assert_eq!(crate::Agenda::<Test>::iter().count(), 0);
    assert_eq!(crate::OpenAudits::<Test>::get(), 0);
}

fn is_convicted(told: &[Conduct]) -> bool {
    told.iter().any(|c| *c != Conduct::Match)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Hosts are honest, and fewer than a third of the verifiers is not: no honest account loses anything.
    #[test]
    fn the_honest_lose_nothing(
        steps in prop::collection::vec(step(), 1..30),
        liars in prop::collection::vec((0..VERIFIERS, way()), 0..=5),
    ) {
        build_and_execute(VERIFIERS, || {
            let before = free(&host()) + free(&other_host());
            let liars: Vec<_> = liars.into_iter().map(|(n, way)| (verifier(n), way)).collect();
            liars.iter().for_each(|(who, way)| goes(who, *way));
            let liars: BTreeSet<_> = liars.into_iter().map(|(who, _)| who).collect();
            play(with_all_verifiers(steps));
            assert!(!is_convicted(&told()));
            for who in everybody() {
                if !liars.contains(&who) {
                    assert_eq!(slashed(&who), 0);
                    assert_eq!(conduct_of(&who), []);
                }
            }
            assert!(free(&host()) + free(&other_host()) >= before);
        });
    }

    /// Anybody does anything, and changes its ways: the state stays sound, no planck is made or lost, everything ends.
    #[test]
    fn whatever_happens_ends(
        steps in prop::collection::vec(step(), 1..30),
        ways in prop::collection::vec((0..VERIFIERS + 2, way()), 0..20),
    ) {
        build_and_execute(VERIFIERS, || {
            for (n, way) in ways {
                let who = match n.checked_sub(VERIFIERS) {
                    None => verifier(n),
                    Some(0) => host(),
                    Some(_) => other_host(),
                };
                goes(&who, way);
            }
            play(steps);
            // At most 10 % of what was left, once for each round of work.
            assert!(slashed(&host()) < 1_000 * MESH);
            assert!(world(|w| w.slashes.iter().all(|s| s.fraction <= sp_runtime::Perbill::from_percent(10))));
            assert!(NextAudit::<Test>::get() as usize >= told().len());
        });
    }
}

/// A committee of those that stay: when the honest leave, the liars are no minority any more.
fn with_all_verifiers(steps: Vec<Step>) -> Vec<Step> {
    steps
        .into_iter()
        .filter(|step| !matches!(step, Step::Leaves(_)))
        .collect()
}
