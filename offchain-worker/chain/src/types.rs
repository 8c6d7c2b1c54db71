//! What the chain is made of, from the outside.

use crate::ChainEvent;
use sp_core::H256;

/// An account. Shown and read as an SS58 address with prefix 42.
pub type AccountId = subxt::utils::AccountId32;

/// A block's height.
pub type BlockNumber = u32;

/// A block by height and hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRef {
    pub number: BlockNumber,
    pub hash: H256,
}

impl std::fmt::Display for BlockRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "#{} ({:?})", self.number, self.hash)
    }
}

/// What a subscription to heads last said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadState {
    /// Nothing yet.
    Waiting,
    /// The head is this block.
    At(BlockRef),
    /// The node can not be followed, for this reason; the client tries again by itself.
    Lost {
        /// The node is on another chain than before.
        wrong_chain: bool,
        reason: String,
    },
}

/// Which code the chain runs.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuntimeVersion {
    pub spec_name: String,
    pub spec_version: u32,
    pub transaction_version: u32,
}

/// What the chain calls itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainProperties {
    pub chain: String,
    pub token_symbol: String,
    pub token_decimals: u32,
}

/// An account's balance in planck.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    pub free: u128,
    /// Holds and reserves: stake, escrow, deposits.
    pub reserved: u128,
    pub frozen: u128,
}

/// How sure to be before a transaction counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// It is in a block of the best chain.
    #[default]
    InBlock,
    /// Its block is final.
    Finalized,
}

/// A transaction that is in a block and succeeded.
#[derive(Clone, Debug, PartialEq)]
pub struct Included {
    pub block: BlockRef,
    /// Hash of the extrinsic.
    pub hash: H256,
    /// The events of this extrinsic.
    pub events: Vec<ChainEvent>,
}

impl Included {
    /// The first event of this name.
    pub fn event(&self, pallet: &str, name: &str) -> Option<&ChainEvent> {
        self.events.iter().find(|e| e.pallet == pallet && e.name == name)
    }
}
