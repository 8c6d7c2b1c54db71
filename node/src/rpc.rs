//! The node's JSON-RPC methods besides those that every Substrate node has.

use crate::service::{Block, FullBackend, FullClient, FullPool, FullSelectChain};
use jsonrpsee::RpcModule;
use llmesh_runtime::Hash;
use pallet_transaction_payment_rpc::{TransactionPayment, TransactionPaymentApiServer};
use sc_consensus_babe::BabeWorkerHandle;
use sc_consensus_babe_rpc::{Babe, BabeApiServer};
use sc_consensus_grandpa::{
    FinalityProofProvider, GrandpaJustificationStream, SharedAuthoritySet, SharedVoterState,
};
use sc_consensus_grandpa_rpc::{Grandpa, GrandpaApiServer};
use sc_rpc::SubscriptionTaskExecutor;
use sp_keystore::KeystorePtr;
use std::sync::Arc;
use substrate_frame_rpc_system::{System, SystemApiServer};

/// What the methods answer from.
#[derive(Clone)]
pub struct Deps {
    pub client: Arc<FullClient>,
    pub pool: Arc<FullPool>,
    pub select_chain: FullSelectChain,
    pub keystore: KeystorePtr,
    pub babe: BabeWorkerHandle<Block>,
    pub authority_set: SharedAuthoritySet<Hash, llmesh_runtime::BlockNumber>,
    pub voter_state: SharedVoterState,
    pub justifications: GrandpaJustificationStream<Block>,
    pub finality_proofs: Arc<FinalityProofProvider<FullBackend, Block>>,
}

/// Account nonces, fees, BABE's epoch and GRANDPA's rounds.
pub fn methods(
    deps: Deps,
    executor: SubscriptionTaskExecutor,
) -> Result<RpcModule<()>, jsonrpsee::core::RegisterMethodError> {
    let mut module = RpcModule::new(());
    module.merge(System::new(deps.client.clone(), deps.pool).into_rpc())?;
    module.merge(TransactionPayment::new(deps.client.clone()).into_rpc())?;
    module.merge(Babe::new(deps.client, deps.babe, deps.keystore, deps.select_chain).into_rpc())?;
    module.merge(
        Grandpa::new(
            executor,
            deps.authority_set,
            deps.voter_state,
            deps.justifications,
            deps.finality_proofs,
        )
        .into_rpc(),
    )?;
    Ok(module)
}
