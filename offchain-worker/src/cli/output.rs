//! What the program prints. Standard output belongs to results.

use super::args::{Cli, Command};
use crate::{Fault, amount};
use llmesh_chain::Included;
use serde_json::{Value as Json, json};
use std::io::{IsTerminal, Write};
use tracing_subscriber::EnvFilter;

/// Sends logs to standard error.
pub(super) fn init_logs(cli: &Cli) -> Result<(), String> {
    let default = if matches!(cli.command, Command::Run(_)) {
        "info"
    } else {
        "warn"
    };
    let filter = cli.global.log.as_deref().unwrap_or(default);
    let filter = EnvFilter::try_new(filter).map_err(|e| format!("--log {filter}: {e}"))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .try_init()
        .map_err(|e| e.to_string())
}

/// Prints a document.
pub(super) fn print_json(value: &Json) {
    print(format_args!("{value:#}"));
}

/// Prints a line of text.
pub(super) fn print(line: impl std::fmt::Display) {
    // A reader that has seen enough (`| head`) is no error.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// An amount as JSON carries it.
pub(super) fn planck(amount: u128) -> Json {
    Json::String(amount.to_string())
}

/// A transaction as JSON.
pub(super) fn included_to_json(included: &Included) -> Json {
    let events: Vec<Json> = included
        .events
        .iter()
        .map(|e| json!({"pallet": e.pallet, "name": e.name, "fields": e.fields}))
        .collect();
    json!({
        "block": included.block.number,
        "block_hash": format!("{:?}", included.block.hash),
        "extrinsic": format!("{:?}", included.hash),
        "events": events,
    })
}

/// A fault in words.
pub(super) fn show_fault(fault: &Fault) -> String {
    format!(
        "{}: {}\n    what to do: {}",
        fault.code(),
        fault.reason(),
        fault.advice()
    )
}

/// An amount in words.
pub(super) fn mesh(planck: u128) -> String {
    amount::show(planck)
}
