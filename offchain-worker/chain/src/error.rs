//! What can go wrong between a client and the chain.

use sp_core::H256;
use std::time::Duration;

/// Why something could not be read from or brought to the chain.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// No connection to the node.
    #[error(
        "can not reach the node at {endpoint}: {reason}; is it running, and is the address (--node) right?"
    )]
    Unreachable { endpoint: String, reason: String },
    /// The node did not answer in time.
    #[error(
        "the node at {endpoint} did not answer {what} within {after:?}; is it overloaded or still starting?"
    )]
    Timeout {
        endpoint: String,
        what: String,
        after: Duration,
    },
    /// The node follows another chain than expected.
    #[error(
        "wrong chain: the node at {endpoint} has the genesis {actual:?}, expected is {expected:?}; connect to a node of \
         the right chain, or use another --base-path for this one"
    )]
    WrongChain {
        endpoint: String,
        expected: H256,
        actual: H256,
    },
    /// The node's runtime lacks a function.
    #[error(
        "the node's runtime has no {function}: it is not an LLMESH chain, or of another version than this program"
    )]
    MissingApi { function: String },
    /// The node refused a request.
    #[error("{method} failed: {message}{}", .data.as_ref().map(|d| format!(" ({d})")).unwrap_or_default())]
    Rpc {
        method: String,
        code: i32,
        message: String,
        data: Option<String>,
    },
    /// Data from the node makes no sense to this program.
    #[error("can not read {what}: {reason}; is this program of the same version as the chain?")]
    Decode { what: String, reason: String },
    /// A call does not fit the chain's metadata.
    #[error("can not build {call}: {reason}; is this program of the same version as the chain?")]
    Encode { call: String, reason: String },
    /// The transaction is in a block and failed there.
    #[error(transparent)]
    Dispatch(#[from] DispatchFailure),
    /// The transaction did not get into a block.
    #[error(transparent)]
    Pool(#[from] PoolRejection),
    /// The transaction was sent, and then the node went away or kept silent: it may be in a block or not.
    #[error("the outcome of {call} is not known: {reason}; check before you send it again")]
    Unknown { call: String, reason: String },
}

impl ChainError {
    /// Whether the same request may succeed later without anyone doing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::Unknown { .. } => true,
            Self::Pool(rejection) => rejection.kind != RejectionKind::CannotPay,
            _ => false,
        }
    }

    /// The failing pallet and error, for transactions that failed in a block.
    pub fn module_error(&self) -> Option<(&str, &str)> {
        match self {
            Self::Dispatch(failure) => Some((&failure.module, &failure.name)),
            _ => None,
        }
    }
}

/// Why a transaction failed in its block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{call} failed in block {block}: {module}.{name}{}", if .docs.is_empty() { String::new() } else { format!(": {}", .docs) })]
pub struct DispatchFailure {
    pub call: String,
    pub block: u32,
    /// The pallet, or `Dispatch` for errors of the system.
    pub module: String,
    pub name: String,
    /// What the chain's metadata says about the error.
    pub docs: String,
}

/// Why a transaction did not get into a block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{call} was not accepted: {kind}: {message}")]
pub struct PoolRejection {
    pub call: String,
    pub kind: RejectionKind,
    pub message: String,
}

/// Kinds of [`PoolRejection`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectionKind {
    /// The account can not pay the transaction fee.
    CannotPay,
    /// Another transaction has the same nonce: another program may be using this key.
    NonceConflict,
    /// The node's pool is full.
    PoolFull,
    /// The transaction is invalid for another reason.
    Invalid,
    /// It was in the pool and was thrown out.
    Dropped,
}

impl std::fmt::Display for RejectionKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::CannotPay => "the account can not pay the transaction fee; send it some MESH",
            Self::NonceConflict => "another transaction took its place; does another program use this key?",
            Self::PoolFull => "the node's transaction pool is full; try again later",
            Self::Invalid => "the transaction is invalid",
            Self::Dropped => "the node dropped the transaction; try again",
        })
    }
}
