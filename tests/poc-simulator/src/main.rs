//! Prints what the simulation of Proof of Compute finds. See `docs/poc-simulation.md`.

use clap::Parser;
use poc_simulator::report::{Options, report};

/// Simulates audits against cheats, liars and bad networks.
#[derive(Parser)]
struct Arguments {
    /// Everything follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Audits of honest hosts in each setting that must not convict one.
    #[arg(long, default_value_t = 1_000_000)]
    audits: u64,
    /// Audits in every other setting.
    #[arg(long, default_value_t = 20_000)]
    others: u64,
    /// Threads; the numbers do not depend on it.
    #[arg(long)]
    threads: Option<usize>,
    /// Prints JSON instead of tables.
    #[arg(long)]
    json: bool,
}

fn main() {
    let arguments = Arguments::parse();
    let threads = arguments
        .threads
        .or_else(|| std::thread::available_parallelism().ok().map(Into::into))
        .unwrap_or(1);
    let report = report(&Options {
        seed: arguments.seed,
        audits: arguments.audits,
        others: arguments.others,
        threads,
    });
    if arguments.json {
        println!("{}", report.json());
    } else {
        print!("{}", report.text());
    }
}
