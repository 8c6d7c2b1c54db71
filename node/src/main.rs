//! The LLMESH node.

#![warn(missing_docs)]
// sc-cli's and sc-service's error types are what they are.
#![allow(clippy::result_large_err)]

mod cli;
mod command;
mod ports;
mod rpc;
mod service;
mod worker;

fn main() -> sc_cli::Result<()> {
    // Before telemetry or anything else speaks TLS.
    llmesh_chain::install_crypto_provider();
    command::run()
}
