//! A small population holds what the large one is to show.

use llmesh_proofs::audit::Role;
use poc_simulator::{
    audits::{Collusion, Defence, Distance, HONEST_NOISE, Kind, Setting, run},
    economy::{
        COLLUDING, HOST_SHARE, RATES, RECEIPTS, STAKES, found_with_withheld_blocks, value_of_self_dealing,
    },
    report::{Options, false_accusation, report},
};

const SEED: u64 = 7;

#[test]
fn the_numbers_follow_from_the_seed_on_any_number_of_threads() {
    let setting = Setting {
        lazy: 0.2,
        loss: 0.1,
        ..Setting::honest()
    };
    let one = run(&setting, 2_500, SEED, "x", 1);
    assert_eq!(one.audits, 2_500);
    assert_eq!(one, run(&setting, 2_500, SEED, "x", 3));
    assert_ne!(one, run(&setting, 2_500, SEED + 1, "x", 1));
    assert_ne!(one, run(&setting, 2_500, SEED, "y", 1));
}

#[test]
fn honest_hosts_and_verifiers_are_not_punished_where_the_network_is_bad() {
    let worst = Setting {
        distance: Distance::Exactly(HONEST_NOISE),
        ..Setting::honest()
    };
    for setting in [
        Setting::honest(),
        worst,
        Setting {
            verifiers: 3,
            ..worst
        },
        Setting {
            loss: 0.05,
            churn: 0.2,
            lazy: 0.1,
            ..worst
        },
    ] {
        let counts = run(&setting, 3_000, SEED, "honest", 2);
        assert_eq!(counts.mismatches + counts.withheld, 0, "{setting:?}");
        assert_eq!(counts.of(Kind::Honest, Role::Wrong), 0, "{setting:?}");
        assert!(counts.matches > 2_500, "{counts:?}");
    }
}

#[test]
fn cheats_are_found() {
    for distance in [
        Distance::Unrelated,
        Distance::Exactly(9e-2),
        Distance::Exactly(2.2e-2),
        Distance::Exactly(1.8e-2),
    ] {
        for defence in [
            Defence::ShowsAll,
            Defence::CoversUp,
            Defence::Divides(60),
            Defence::Divides(0),
        ] {
            let setting = Setting {
                distance,
                defence,
                loss: 0.01,
                churn: 0.05,
                ..Setting::honest()
            };
            let counts = run(&setting, 500, SEED, "cheat", 2);
            assert!(counts.convicted() >= 0.99, "{distance:?} {defence:?}: {counts:?}");
        }
    }
}

#[test]
fn friends_of_a_cheat_are_slashed_for_it() {
    let setting = Setting {
        colluding: 0.2,
        collusion: Collusion::Saves,
        distance: Distance::Unrelated,
        ..Setting::honest()
    };
    let counts = run(&setting, 1_000, SEED, "friends", 2);
    assert!(counts.convicted() > 0.7, "{counts:?}");
    assert!(counts.of(Kind::Colluding, Role::Wrong) > 1_000);
    assert_eq!(counts.of(Kind::Honest, Role::Wrong), 0);
}

#[test]
fn the_report_holds_together() {
    let report = report(&Options {
        seed: SEED,
        audits: 500,
        others: 500,
        threads: 2,
    });
    for row in report.honest.iter().filter(|row| row.target) {
        assert_eq!(row.counts.mismatches + row.counts.withheld, 0, "{}", row.name);
    }
    for row in report.cheats.iter().filter(|row| row.target) {
        assert!(row.counts[0].convicted() >= 0.99, "{}", row.name);
    }
    // Thirty times the value of a batch is more than any cheat is worth, even where a third colludes; for a batch that
    // has less than one point on average, thirty times the value that one point stands for.
    for receipts in RECEIPTS {
        for rate in RATES {
            let one_point = (100.0 / f64::from(receipts * rate)).max(1.0);
            for colluding in COLLUDING {
                let (stake, strategy) = report.break_even(receipts, rate, colluding);
                assert!(
                    (12.0..30.0).contains(&(stake / one_point)),
                    "{receipts} at {rate} %, {colluding}: {stake}, {strategy}"
                );
            }
        }
    }
    // The values of the cells say the same, on both sides of it.
    for cell in &report.cells {
        let break_even = HOST_SHARE * cell.fraction / cell.slash;
        for (stake, value) in STAKES.iter().zip(&cell.values) {
            assert_eq!(*value < 0.0, *stake > break_even);
        }
    }
    // Lazy members lose, accusers lose, paying oneself at the usual rate loses.
    assert_eq!(report.lazy.of(Kind::Lazy, Role::Right), 0);
    assert!(report.lazy.seat_share(Kind::Lazy, Role::Wrong) > 0.9);
    for (counts, colluding) in report.accusers[0].1.iter().zip(COLLUDING) {
        assert!(colluding == 0.0 || false_accusation(counts, 0.1) < 0.0);
    }
    let friends = |c: &poc_simulator::audits::Counts| c.share(c.of(Kind::Colluding, Role::Right));
    assert!(report.prolonged.iter().all(|c| {
        RATES
            .iter()
            .all(|rate| value_of_self_dealing(f64::from(*rate) / 100.0, friends(c)) < 0.0)
    }));
    // Two members for every twentieth receipt.
    assert_eq!(report.costs[0].1.runs, 2 * report.costs[0].1.audits);
    let text = report.text();
    assert!(text.contains("## Break-even") && !text.contains("NaN"));
    assert!(
        report.json()["cells"]
            .as_array()
            .is_some_and(|cells| cells.len() == report.cells.len())
    );
}

#[test]
fn withheld_blocks_gain_at_most_their_makers_share() {
    for authors in [0.1, 0.2, 0.33] {
        for found in [1.0, 0.9, 0.5, 0.1, 0.01] {
            let left = found_with_withheld_blocks(found, authors);
            assert!(
                left >= found * (1.0 - authors) - 1e-9 && left <= found,
                "{found} {authors}: {left}"
            );
        }
    }
}
