//! The command line.
//!
//! Results go to standard output (with `--json` exactly one JSON document), everything else to standard error. Exit
//! codes: 0 done, 1 failed, 2 used wrongly.

mod args;
mod audits;
mod channel;
mod context;
mod infer;
mod job;
mod keys;
mod model;
mod offer;
mod output;
mod receipt;
mod run;
mod stake;
mod status;

use args::{AuditsCommand, Cli, Command};
use clap::Parser;
use context::Context;
use std::process::ExitCode;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The command makes no sense as given.
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Failed(String),
    #[error(transparent)]
    Chain(#[from] llmesh_chain::ChainError),
    #[error(transparent)]
    Worker(#[from] crate::WorkerError),
    #[error(transparent)]
    Engine(#[from] llmesh_engine::EngineError),
    #[error(transparent)]
    Store(#[from] llmesh_engine::StoreError),
    #[error(transparent)]
    Net(#[from] crate::net::NetError),
    #[error(transparent)]
    Evidence(#[from] crate::audit::EvidenceError),
    #[error(transparent)]
    Identity(#[from] crate::net::identity::IdentityError),
}

impl From<crate::running::RunError> for CliError {
    fn from(error: crate::running::RunError) -> Self {
        use crate::running::RunError;
        match error {
            RunError::Worker(error) => Self::Worker(error),
            RunError::Store(error) => Self::Store(error),
            RunError::Evidence(error) => Self::Evidence(error),
            RunError::Net(error) => Self::Net(error),
            error @ RunError::Threads(_) => Self::Failed(error.to_string()),
        }
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(message) = output::init_logs(&cli) {
        eprintln!("error: {message}");
        return ExitCode::from(2);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: can not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let json = cli.global.json;
    let result = runtime.block_on(dispatch(cli));
    // A file system that hangs must not keep the process alive.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let usage = matches!(error, CliError::Usage(_));
            if json {
                output::print_json(&serde_json::json!({"error": error.to_string()}));
            }
            eprintln!("error: {error}");
            ExitCode::from(if usage { 2 } else { 1 })
        }
    }
}

async fn dispatch(cli: Cli) -> Result<(), CliError> {
    // These need no node, no key and no folder.
    match cli.command {
        Command::Receipt(command) => return receipt::run(cli.global.json, command),
        Command::Audits(AuditsCommand::Check { file }) => return audits::check(cli.global.json, &file),
        _ => {}
    }
    let context = Context::new(cli.global)?;
    match cli.command {
        Command::Run(args) => run::run(&context, args).await,
        Command::Model(command) => model::run(&context, command).await,
        Command::Offer(args) => offer::run(&context, args).await,
        Command::Job(command) => job::run(&context, command).await,
        Command::Infer(args) => infer::run(&context, args).await,
        Command::Channel(command) => channel::run(&context, command).await,
        Command::Receipt(command) => receipt::run(context.json, command),
        Command::Audits(command) => audits::run(&context, command).await,
        Command::Stake(command) => stake::run(&context, command).await,
        Command::Register(args) => stake::register(&context, args).await,
        Command::Status(args) => status::run(&context, args).await,
    }
}
