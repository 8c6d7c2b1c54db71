//! The off-chain compute worker.
//!
//! A worker holds offers for models on the chain. When the chain draws it for a job it computes the result and
//! delivers it before the deadline. It is level-triggered: at each new block it asks the chain what it owes and brings
//! itself in line, so that a restart, a lost connection or a reorganisation needs no special treatment.
//!
//! - [`Worker::spawn`] starts one; the [`Handle`] shows its status and stops it in order.
//! - [`running`] is a whole one, with its part in the mesh, as programs run it; [`embedded`] is that inside a node.
//! - [`cli`] is the command line, a thin layer over this library.
//!
//! - [`net`] is the worker in the mesh: sealed requests, routing, payments by channels, models from peers.
//! - [`audit`] is Proof of Compute: evidence of the own work, verification of that of others.
//!
//! Inside: [`reconcile`] decides (pure, no I/O), `service` does, [`state`] remembers across crashes, [`status`] says how
//! things are and what to do about it.

pub mod amount;
pub mod audit;
pub mod cli;
pub mod embedded;
pub mod host;
pub mod manifest;
pub mod net;
pub mod reconcile;
pub mod running;
pub mod state;
pub mod status;
pub mod tensors;

mod http;
mod lock;
mod metrics;
mod service;
mod tasks;
mod worker;

pub use status::{Fault, State, Status};
pub use worker::{Handle, Worker, WorkerConfig, WorkerError};
