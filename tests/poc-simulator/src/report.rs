//! What is run, and how it is shown.

use crate::{
    audits::{Collusion, Counts, Defence, Distance, HONEST_NOISE, Kind, Setting, run},
    economy::{
        BONUS_SHARE, COLLUDING, FALSE_VOTE_SLASH, FRACTIONS, MISMATCH_SLASH, Odds, POOL_SHARE, RATES,
        RECEIPTS, REPORTER_SHARE, STAKES, WITHHELD_SLASH, break_even_stake, cheated_and_drawn, drawn_batches,
        found_with_withheld_blocks, mean_slash, value_of_cheating, value_of_self_dealing,
    },
};
use llmesh_proofs::audit::Role;
use serde_json::{Value, json};
use std::fmt::Write;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub seed: u64,
    /// Audits of honest hosts in each setting that must not convict one.
    pub audits: u64,
    /// Audits in every other setting.
    pub others: u64,
    pub threads: usize,
}

/// Honest hosts in one setting.
pub struct HonestRow {
    pub name: &'static str,
    /// Whether no conviction is the target.
    pub target: bool,
    pub counts: Counts,
}

/// One cheat: what becomes of it for each of [`COLLUDING`].
pub struct CheatRow {
    pub name: &'static str,
    /// Whether 99 % is the target, without collusion.
    pub target: bool,
    pub counts: Vec<Counts>,
}

/// One cell of the grid.
pub struct Cell {
    pub strategy: &'static str,
    pub fraction: f64,
    pub receipts: u32,
    pub rate: u32,
    pub colluding: f64,
    /// Part of the stake that a batch costs on average.
    pub slash: f64,
    /// What it brings for each of [`STAKES`], as part of the batch's value.
    pub values: Vec<f64>,
}

pub struct Report {
    pub options: Options,
    pub honest: Vec<HonestRow>,
    pub cheats: Vec<CheatRow>,
    pub defences: Vec<CheatRow>,
    /// Against an honest host, for each of [`COLLUDING`].
    pub accusers: Vec<(&'static str, Vec<Counts>)>,
    pub lazy: Counts,
    pub prolonged: Vec<Counts>,
    pub cells: Vec<Cell>,
    pub costs: Vec<(&'static str, Counts)>,
}

const NOT_OPENED: &str = "does not open the receipt";
const INT8: Distance = Distance::Exactly(2.2e-2);

/// Runs everything.
pub fn report(options: &Options) -> Report {
    let with = |name: &str, audits: u64, setting: Setting| {
        run(&setting, audits, options.seed, name, options.threads)
    };
    let honest = Setting::honest();
    let widest = Distance::Exactly(HONEST_NOISE);

    let few = |verifiers: usize, loss: f64| Setting {
        verifiers,
        loss,
        ..honest
    };
    let honest_settings = [
        ("noise up to 2.5e-4", true, honest),
        (
            "noise of 2.5e-4 always",
            true,
            Setting {
                distance: widest,
                ..honest
            },
        ),
        (
            "the same, 3 verifiers",
            true,
            Setting {
                distance: widest,
                verifiers: 3,
                ..honest
            },
        ),
        (
            "1 % lost, 5 % silent",
            true,
            Setting {
                loss: 0.01,
                churn: 0.05,
                ..honest
            },
        ),
        (
            "10 % of the verifiers lazy",
            true,
            Setting { lazy: 0.10, ..honest },
        ),
        (
            "5 % lost, 20 % silent",
            false,
            Setting {
                loss: 0.05,
                churn: 0.20,
                ..honest
            },
        ),
        ("20 % lost", false, few(100, 0.20)),
        ("40 % lost", false, few(100, 0.40)),
        ("3 verifiers, 1 % lost", false, few(3, 0.01)),
        ("3 verifiers, 5 % lost", false, few(3, 0.05)),
        ("5 verifiers, 5 % lost", false, few(5, 0.05)),
        (
            "5 verifiers, 20 % lazy",
            false,
            Setting {
                lazy: 0.20,
                verifiers: 5,
                ..honest
            },
        ),
    ];
    let honest_rows = honest_settings
        .map(|(name, target, setting)| HonestRow {
            name,
            target,
            counts: with(
                name,
                if target { options.audits } else { options.others },
                setting,
            ),
        })
        .into();

    let over_shares = |name: &str, setting: Setting| -> Vec<Counts> {
        COLLUDING
            .iter()
            .map(|colluding| {
                let setting = Setting {
                    colluding: *colluding,
                    ..setting
                };
                with(&format!("{name}/{colluding}"), options.others, setting)
            })
            .collect()
    };
    let cheat = |name, target, distance, defence| CheatRow {
        name,
        target,
        counts: over_shares(
            name,
            Setting {
                distance,
                defence,
                ..honest
            },
        ),
    };
    let all = Defence::ShowsAll;
    let cheats = vec![
        cheat("another model", true, Distance::Unrelated, all),
        cheat(
            "5 % noise in the weights (9e-2)",
            true,
            Distance::Exactly(9e-2),
            all,
        ),
        cheat("int8 (2.2e-2)", true, INT8, all),
        cheat("1 % noise (1.8e-2)", true, Distance::Exactly(1.8e-2), all),
        cheat("0.1 % noise (1.9e-3)", false, Distance::Exactly(1.9e-3), all),
        cheat("fp16 (4e-4 to 8e-4)", false, Distance::Between(4e-4, 8e-4), all),
    ];
    let defences = vec![
        cheat("shows what it has", false, INT8, all),
        cheat(
            "publishes the right sketch afterwards",
            false,
            INT8,
            Defence::CoversUp,
        ),
        cheat(
            "gives 60 % of the members their input",
            false,
            INT8,
            Defence::Divides(60),
        ),
        cheat("gives nobody the input", false, INT8, Defence::Divides(0)),
    ];

    let accusers = [
        ("one other sketch", Collusion::Accuses),
        ("\"no input came\"", Collusion::ClaimsNoInput),
    ]
    .map(|(name, collusion)| (name, over_shares(name, Setting { collusion, ..honest })))
    .into();
    let lazy = with("lazy", options.others, Setting { lazy: 0.10, ..honest });
    let prolonged = over_shares(
        "prolonged",
        Setting {
            collusion: Collusion::Prolongs,
            ..honest
        },
    );
    let costs = [
        ("no losses", honest),
        (
            "0.1 % lost, 1 % silent",
            Setting {
                loss: 0.001,
                churn: 0.01,
                ..honest
            },
        ),
        (
            "1 % lost, 5 % silent",
            Setting {
                loss: 0.01,
                churn: 0.05,
                ..honest
            },
        ),
    ]
    .map(|(name, setting)| (name, with(&format!("costs/{name}"), options.others, setting)))
    .into();

    let cells = grid(options, &defences);
    Report {
        options: *options,
        honest: honest_rows,
        cheats,
        defences,
        accusers,
        lazy,
        prolonged,
        cells,
        costs,
    }
}

/// Every strategy against every point of the grid.
fn grid(options: &Options, defences: &[CheatRow]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for receipts in RECEIPTS {
        for rate in RATES {
            let batches = drawn_batches(receipts, rate, (options.others / 5).max(5_000), options.seed);
            for fraction in FRACTIONS {
                let drawn = cheated_and_drawn(&batches, fraction);
                for (share, colluding) in COLLUDING.into_iter().enumerate() {
                    let strategies = defences
                        .iter()
                        .map(|row| (row.name, Odds::measured(&row.counts[share])));
                    for (strategy, odds) in strategies.chain([(NOT_OPENED, Odds::NOT_OPENED)]) {
                        let slash = mean_slash(&drawn, odds);
                        cells.push(Cell {
                            strategy,
                            fraction,
                            receipts,
                            rate,
                            colluding,
                            slash,
                            values: STAKES
                                .map(|stake| value_of_cheating(fraction, slash, stake))
                                .into(),
                        });
                    }
                }
            }
        }
    }
    cells
}

impl Report {
    /// The stake, as a multiple of the batch's value, above which no strategy pays: the highest of all strategies and
    /// fractions; with the strategy.
    pub fn break_even(&self, receipts: u32, rate: u32, colluding: f64) -> (f64, &'static str) {
        self.cells
            .iter()
            .filter(|c| c.receipts == receipts && c.rate == rate && c.colluding == colluding)
            .map(|c| (break_even_stake(c.fraction, c.slash), c.strategy))
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .unwrap_or((f64::INFINITY, ""))
    }

    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string can not fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let percent = |x: f64| format!("{:.2} %", 100.0 * x);
        writeln!(out, "## Honest hosts\n")?;
        writeln!(
            out,
            "| setting | audits | convicted | went to a next stage | inconclusive | honest members slashed |"
        )?;
        writeln!(out, "|---|---|---|---|---|---|")?;
        for HonestRow { name, counts, .. } in &self.honest {
            writeln!(
                out,
                "| {name} | {} | {} | {} | {} | {} |",
                counts.audits,
                counts.mismatches + counts.withheld,
                percent(counts.share(counts.escalated)),
                percent(counts.share(counts.inconclusive)),
                counts.of(Kind::Honest, Role::Wrong),
            )?;
        }

        let shares = COLLUDING
            .map(|c| format!("{:.0} % collude", 100.0 * c))
            .join(" | ");
        writeln!(
            out,
            "\n## Cheats, convicted in one audit\n\n| cheat | {shares} |\n|---|---|---|---|---|"
        )?;
        for row in &self.cheats {
            let cells: Vec<_> = row.counts.iter().map(|c| percent(c.convicted())).collect();
            writeln!(out, "| {} | {} |", row.name, cells.join(" | "))?;
        }
        writeln!(
            out,
            "\n## What an int8 cheat does when it is audited: mismatch + withheld\n\n| defence | {shares} |\n|---|---|---|---|---|"
        )?;
        for row in &self.defences {
            let cells: Vec<_> = row
                .counts
                .iter()
                .map(|c| {
                    format!(
                        "{} + {}",
                        percent(c.share(c.mismatches)),
                        percent(c.share(c.withheld))
                    )
                })
                .collect();
            writeln!(out, "| {} | {} |", row.name, cells.join(" | "))?;
        }

        writeln!(
            out,
            "\n## Colluding members against an honest host: convicted, and colluders slashed for each audit\n"
        )?;
        writeln!(out, "| claim | {shares} |\n|---|---|---|---|---|")?;
        for (name, counts) in &self.accusers {
            let cells: Vec<_> = counts
                .iter()
                .map(|c| {
                    format!(
                        "{:.3} %, {:.2}",
                        100.0 * c.convicted(),
                        c.share(c.of(Kind::Colluding, Role::Wrong))
                    )
                })
                .collect();
            writeln!(out, "| {name} | {} |", cells.join(" | "))?;
        }

        writeln!(out, "\n## Break-even\n")?;
        writeln!(
            out,
            "Stake, as a multiple of the value of a batch, above which no strategy pays; for each rate of audits.\n"
        )?;
        let rates = RATES.map(|rate| format!("{rate} %")).join(" | ");
        writeln!(
            out,
            "| receipts in the batch | collude | {rates} |\n|---|---|---|---|---|---|---|"
        )?;
        for receipts in RECEIPTS {
            for colluding in COLLUDING {
                let cells = RATES.map(|rate| format!("{:.1}", self.break_even(receipts, rate, colluding).0));
                writeln!(
                    out,
                    "| {receipts} | {:.0} % | {} |",
                    100.0 * colluding,
                    cells.join(" | ")
                )?;
            }
        }
        let all: usize = self.cells.iter().map(|c| c.values.len()).sum();
        writeln!(out, "\nOf {all} cells, those in which cheating pays, by stake:\n")?;
        writeln!(
            out,
            "| strategy | {} |",
            STAKES.map(|s| format!("{s} x")).join(" | ")
        )?;
        writeln!(out, "|---|{}", "---|".repeat(STAKES.len()))?;
        let mut strategies: Vec<&str> = self.cells.iter().map(|c| c.strategy).collect();
        strategies.sort_unstable();
        strategies.dedup();
        for strategy in strategies {
            let of = || self.cells.iter().filter(|c| c.strategy == strategy);
            let cells: Vec<_> = (0..STAKES.len())
                .map(|i| {
                    let pays = of().filter(|c| c.values[i] >= 0.0).count();
                    format!("{pays} of {}", of().count())
                })
                .collect();
            writeln!(out, "| {strategy} | {} |", cells.join(" | "))?;
        }

        writeln!(out, "\n## Withheld blocks: chance to be found out in a batch\n")?;
        writeln!(
            out,
            "| found out | 10 % of the slots | 20 % | 33 % |\n|---|---|---|---|"
        )?;
        for found in WITHHELD_GRID {
            let cells = [0.1, 0.2, 0.33].map(|a| percent(found_with_withheld_blocks(found, a)));
            writeln!(out, "| {} | {} |", percent(found), cells.join(" | "))?;
        }

        writeln!(out, "\n## Verifiers\n")?;
        writeln!(
            out,
            "- A lazy member (10 % of all) is right in {}, refuted in {} of the audits that it ends in: it loses {:.4} of its \
             stake in each.",
            percent(self.lazy.seat_share(Kind::Lazy, Role::Right)),
            percent(self.lazy.seat_share(Kind::Lazy, Role::Wrong)),
            FALSE_VOTE_SLASH * self.lazy.seat_share(Kind::Lazy, Role::Wrong),
        )?;
        let claims = self.accusers.iter().zip([MISMATCH_SLASH, WITHHELD_SLASH]);
        for ((name, counts), slash) in claims {
            let values: Vec<_> = counts
                .iter()
                .map(|c| format!("{:+.1e}", false_accusation(c, slash)))
                .collect();
            writeln!(
                out,
                "- Having honest receipts audited (a challenge) and then claiming {name}: {} of a stake for each audit, by share that \
                 colludes, less the deposit.",
                values.join(", ")
            )?;
        }

        writeln!(
            out,
            "\n## Paying oneself, as part of the fee; the pool is taken to be full\n"
        )?;
        writeln!(
            out,
            "| friends among the verifiers | paid friends an audit | {rates} |\n|---|---|---|---|---|---|---|"
        )?;
        for (colluding, counts) in COLLUDING.iter().zip(&self.prolonged) {
            let friends = counts.share(counts.of(Kind::Colluding, Role::Right));
            let cells =
                RATES.map(|rate| format!("{:+.2}", value_of_self_dealing(f64::from(rate) / 100.0, friends)));
            writeln!(
                out,
                "| {:.0} % | {friends:.2} | {} |",
                100.0 * colluding,
                cells.join(" | ")
            )?;
        }

        writeln!(
            out,
            "\n## Verification, as part of all compute, at full reputation (5 % of receipts)\n"
        )?;
        for (name, counts) in &self.costs {
            writeln!(out, "- {name}: {}", percent(0.05 * counts.share(counts.runs)))?;
        }
        Ok(())
    }

    pub fn json(&self) -> Value {
        let over = |counts: &[Counts]| -> Vec<Value> {
            COLLUDING
                .iter()
                .zip(counts)
                .map(|(colluding, c)| json!({ "colluding": colluding, "counts": counts_json(c) }))
                .collect()
        };
        let rows = |rows: &[CheatRow]| -> Vec<Value> {
            rows.iter()
                .map(|row| json!({ "name": row.name, "target": row.target, "by_collusion": over(&row.counts) }))
                .collect()
        };
        json!({
            "seed": self.options.seed,
            "honest": self.honest.iter().map(|row| json!({
                "name": row.name, "target": row.target, "counts": counts_json(&row.counts),
            })).collect::<Vec<_>>(),
            "cheats": rows(&self.cheats),
            "defences": rows(&self.defences),
            "accusers": self.accusers.iter().map(|(name, counts)| json!({
                "name": name, "by_collusion": over(counts),
            })).collect::<Vec<_>>(),
            "lazy": counts_json(&self.lazy),
            "prolonged": over(&self.prolonged),
            "stakes": STAKES,
            "cells": self.cells.iter().map(|c| json!({
                "strategy": c.strategy, "fraction": c.fraction, "receipts": c.receipts, "rate_percent": c.rate,
                "colluding": c.colluding, "slash": c.slash, "values": c.values,
            })).collect::<Vec<_>>(),
            "verification": self.costs.iter().map(|(name, c)| json!({
                "name": name, "share_of_compute": 0.05 * c.share(c.runs), "counts": counts_json(c),
            })).collect::<Vec<_>>(),
            "shares": {
                "mismatch_slash": MISMATCH_SLASH, "withheld_slash": WITHHELD_SLASH,
                "false_vote_slash": FALSE_VOTE_SLASH, "reporter": REPORTER_SHARE, "pool": POOL_SHARE, "bonus": BONUS_SHARE,
            },
        })
    }
}

const WITHHELD_GRID: [f64; 4] = [1.0, 0.5, 0.1, 0.05];

/// What a challenger and its friends win and lose for each challenge of an honest receipt, as part of a stake that all of
/// them have alike.
pub fn false_accusation(counts: &Counts, slash: f64) -> f64 {
    counts.convicted() * slash * REPORTER_SHARE
        - counts.share(counts.of(Kind::Colluding, Role::Wrong)) * FALSE_VOTE_SLASH
}

fn counts_json(c: &Counts) -> Value {
    let roles = |kind: usize| {
        let [right, wrong, void, silent] = c.roles[kind];
        json!({ "right": right, "wrong": wrong, "void": void, "silent": silent })
    };
    json!({
        "audits": c.audits, "matches": c.matches, "mismatches": c.mismatches, "withheld": c.withheld,
        "inconclusive": c.inconclusive, "escalated": c.escalated, "runs": c.runs,
        "honest": roles(Kind::Honest as usize), "lazy": roles(Kind::Lazy as usize),
        "colluding": roles(Kind::Colluding as usize),
    })
}
