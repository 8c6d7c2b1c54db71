//! The LLMESH node.

#![warn(missing_docs)]

mod cli;
mod command;
mod rpc;
mod service;
mod worker;

fn main() -> sc_cli::Result<()> {
    command::run()
}
