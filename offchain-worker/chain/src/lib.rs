//! The chain as a compute worker sees it.
//!
//! [`NodeClient`] is the one door: heads, runtime APIs, balances, and transactions whose outcome is known. It has two
//! implementations that share all code but the transport: over WebSocket to any node ([`RpcNodeClient::websocket`],
//! which reconnects by itself) and in the node's own process ([`RpcNodeClient::in_process`]).
//! [`ChainApi`] adds the typed reads, [`calls`] the typed calls.

pub mod calls;

mod api;
mod backoff;
mod client;
mod encode;
mod error;
mod events;
mod memory;
mod node;
mod nonce;
mod rpc;
mod runtime;
mod signer;
mod submit;
mod types;
mod ws;

pub use api::{ChainApi, ChainAudit, ChainBatch, ChainChannel, ChainDuty, ChainJob, ChainModel, ChainWork};
pub use backoff::Backoff;
pub use client::NodeClient;
pub use encode::{Arg, Call};
pub use error::{ChainError, DispatchFailure, PoolRejection, RejectionKind};
pub use events::ChainEvent;
pub use memory::InMemoryRpc;
pub use node::{ClientConfig, RpcNodeClient};
pub use nonce::NonceTracker;
pub use signer::{Signer, SignerError};
pub use types::{
    AccountId, Balance, BlockNumber, BlockRef, ChainProperties, HeadState, Included, RuntimeVersion, Wait,
};
pub use ws::install_crypto_provider;

pub use sp_core::H256;
