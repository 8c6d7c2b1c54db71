//! The one door to the chain.

use crate::{
    AccountId, Balance, BlockRef, Call, ChainError, ChainProperties, H256, HeadState, Included,
    RuntimeVersion, Signer, Wait,
};
use tokio::sync::watch;

/// A node, seen by a client. The promises:
/// - every method ends within a deadline that the implementation knows, whatever the node does;
/// - a lost connection is made again by the implementation, and a runtime upgrade needs nothing from the caller;
/// - everything is of one chain: an implementation that finds another genesis than before fails with
///   [`ChainError::WrongChain`] from then on.
#[async_trait::async_trait]
pub trait NodeClient: Send + Sync + 'static {
    /// The hash of block 0, which names the chain.
    async fn genesis_hash(&self) -> Result<H256, ChainError>;

    /// The code that the chain runs at the best block.
    async fn runtime_version(&self) -> Result<RuntimeVersion, ChainError>;

    /// What the chain calls itself and its token.
    async fn properties(&self) -> Result<ChainProperties, ChainError>;

    /// The best block at present.
    async fn best_head(&self) -> Result<BlockRef, ChainError>;

    /// The last final block at present.
    async fn finalized_head(&self) -> Result<BlockRef, ChainError>;

    /// Follows the best block. A reader that is slow sees only the last one. Ends with its receiver.
    fn follow_best(&self) -> watch::Receiver<HeadState>;

    /// Follows the last final block, likewise.
    fn follow_finalized(&self) -> watch::Receiver<HeadState>;

    /// Calls a function of the runtime with SCALE-encoded arguments, at the best block if none is named.
    async fn call_api(&self, function: &str, args: Vec<u8>, at: Option<H256>) -> Result<Vec<u8>, ChainError>;

    /// An account's balance at the best block.
    async fn balance(&self, account: &AccountId) -> Result<Balance, ChainError>;

    /// A constant of a pallet, SCALE-encoded; `None` when there is none of this name.
    async fn constant(&self, pallet: &str, name: &str) -> Result<Option<Vec<u8>>, ChainError>;

    /// Signs a call, sends it and waits until it is in a block (or final) and its outcome is known.
    ///
    /// Calls of one signer get consecutive nonces in the order in which this is called; they do not wait for each
    /// other's inclusion. `Ok` means that the call succeeded. After [`ChainError::Unknown`] it may have succeeded too.
    async fn submit(&self, call: &Call, signer: &Signer, wait: Wait) -> Result<Included, ChainError>;
}
