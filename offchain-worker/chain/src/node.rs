//! A node behind JSON-RPC, whatever carries it.

use crate::{
    AccountId, Backoff, Balance, BlockRef, Call, ChainError, ChainProperties, H256, HeadState, Included,
    NodeClient, RuntimeVersion, Signer, Wait,
    memory::{InMemoryRpc, InProcess},
    rpc::{Rpc, decode},
    runtime::{AccountInfo, Runtime, account_key},
    submit::Submitter,
    ws::ReconnectingWs,
};
use codec::Encode;
use serde_json::Value as Json;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use subxt::{
    config::substrate::SubstrateHeader,
    rpcs::client::{RpcClient, RpcSubscription, rpc_params},
};
use tokio::sync::{OnceCell, watch};

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The chain to insist on; without it the first answer counts.
    pub genesis: Option<H256>,
    /// Longest wait for one answer.
    pub request_timeout: Duration,
    /// Longest wait until a transaction is in a block.
    pub inclusion_timeout: Duration,
    /// Longest wait after that until its block is final.
    pub finality_timeout: Duration,
    /// Blocks for which a signed transaction stays valid.
    pub mortality: u64,
    /// Transactions on the way at the same time; more wait their turn.
    pub max_in_flight: usize,
    /// Without a new head for this long the subscription is made again.
    pub head_timeout: Duration,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            genesis: None,
            request_timeout: Duration::from_secs(20),
            inclusion_timeout: Duration::from_secs(60),
            finality_timeout: Duration::from_secs(120),
            mortality: 64,
            max_in_flight: 64,
            head_timeout: Duration::from_secs(60),
        }
    }
}

/// A [`NodeClient`] over JSON-RPC.
#[derive(Clone)]
pub struct RpcNodeClient {
    node: Arc<Node>,
    submitter: Arc<Submitter>,
}

/// The reading half.
pub(crate) struct Node {
    pub rpc: Rpc,
    pub config: ClientConfig,
    genesis: OnceCell<H256>,
    /// By spec version; old ones are needed for the blocks around an upgrade.
    runtimes: Mutex<BTreeMap<u32, Arc<Runtime>>>,
}

pub(crate) type Header = SubstrateHeader<H256>;

pub(crate) fn block_ref(header: &Header) -> BlockRef {
    BlockRef {
        number: u32::try_from(header.number).unwrap_or(u32::MAX),
        hash: header.using_encoded(sp_crypto_hashing::blake2_256).into(),
    }
}

impl RpcNodeClient {
    /// A node at a `ws://` or `wss://` address. Connects when it is first used.
    pub fn websocket(url: &str, config: ClientConfig) -> Self {
        let transport = ReconnectingWs::new(url, config.request_timeout.min(Duration::from_secs(10)));
        Self::new(RpcClient::new(transport), url, config)
    }

    /// The node in whose process this runs.
    pub fn in_process(rpc: impl InMemoryRpc, config: ClientConfig) -> Self {
        Self::new(RpcClient::new(InProcess(rpc)), "this process", config)
    }

    fn new(client: RpcClient, endpoint: &str, config: ClientConfig) -> Self {
        let rpc = Rpc::new(client, endpoint, config.request_timeout);
        let max_in_flight = config.max_in_flight;
        let node = Arc::new(Node {
            rpc,
            config,
            genesis: OnceCell::new(),
            runtimes: Mutex::new(BTreeMap::new()),
        });
        let submitter = Arc::new(Submitter::new(node.clone(), max_in_flight));
        Self { node, submitter }
    }

    fn follow(&self, method: &'static str, unsubscribe: &'static str) -> watch::Receiver<HeadState> {
        let (sender, receiver) = watch::channel(HeadState::Waiting);
        let node = self.node.clone();
        tokio::spawn(async move {
            let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
            while !sender.is_closed() {
                let lost = tokio::select! {
                    lost = node.follow_once(method, unsubscribe, &sender, &mut backoff) => lost,
                    () = sender.closed() => return,
                };
                tracing::debug!(method, error = %lost, "the subscription ended");
                let wrong_chain = matches!(lost, ChainError::WrongChain { .. });
                sender.send_replace(HeadState::Lost {
                    wrong_chain,
                    reason: lost.to_string(),
                });
                tokio::select! {
                    () = tokio::time::sleep(backoff.next_pause()) => {}
                    () = sender.closed() => return,
                }
            }
        });
        receiver
    }
}

impl Node {
    /// Asks the node for its genesis, and insists on the one that is expected or was seen before.
    pub async fn check_genesis(&self) -> Result<H256, ChainError> {
        let actual = self
            .rpc
            .block_hash(Some(0))
            .await?
            .ok_or_else(|| ChainError::Decode {
                what: "the genesis hash".into(),
                reason: "the node has no block 0".into(),
            })?;
        let expected = self.config.genesis.or_else(|| self.genesis.get().copied());
        match expected {
            Some(expected) if expected != actual => Err(ChainError::WrongChain {
                endpoint: self.rpc.endpoint.to_string(),
                expected,
                actual,
            }),
            _ => {
                let _ = self.genesis.set(actual);
                Ok(actual)
            }
        }
    }

    pub async fn genesis(&self) -> Result<H256, ChainError> {
        match self.genesis.get() {
            Some(genesis) => Ok(*genesis),
            None => self.check_genesis().await,
        }
    }

    /// Follows heads until something breaks, which it returns.
    async fn follow_once(
        &self,
        method: &str,
        unsubscribe: &str,
        sender: &watch::Sender<HeadState>,
        backoff: &mut Backoff,
    ) -> ChainError {
        // The node may have been replaced by one of another chain while it was away.
        if let Err(error) = self.check_genesis().await {
            return error;
        }
        let mut heads: RpcSubscription<Header> =
            match self.rpc.subscribe(method, rpc_params![], unsubscribe).await {
                Ok(heads) => heads,
                Err(error) => return error,
            };
        loop {
            match tokio::time::timeout(self.config.head_timeout, heads.next()).await {
                Ok(Some(Ok(header))) => {
                    backoff.reset();
                    sender.send_replace(HeadState::At(block_ref(&header)));
                }
                Ok(Some(Err(error))) => return self.rpc.error(method, error),
                Ok(None) => {
                    return ChainError::Unreachable {
                        endpoint: self.rpc.endpoint.to_string(),
                        reason: "the connection was closed".into(),
                    };
                }
                Err(_) => {
                    return ChainError::Timeout {
                        endpoint: self.rpc.endpoint.to_string(),
                        what: "with a new block".into(),
                        after: self.config.head_timeout,
                    };
                }
            }
        }
    }

    pub async fn header(&self, hash: Option<H256>) -> Result<BlockRef, ChainError> {
        let header: Option<Header> = self.rpc.request("chain_getHeader", rpc_params![hash]).await?;
        header.as_ref().map(block_ref).ok_or_else(|| ChainError::Decode {
            what: "a block header".into(),
            reason: format!("the node does not know {hash:?}"),
        })
    }

    pub async fn finalized(&self) -> Result<BlockRef, ChainError> {
        let hash: H256 = self.rpc.request("chain_getFinalizedHead", rpc_params![]).await?;
        self.header(Some(hash)).await
    }

    pub async fn version(&self, at: Option<H256>) -> Result<RuntimeVersion, ChainError> {
        self.rpc.request("state_getRuntimeVersion", rpc_params![at]).await
    }

    /// The runtime that is in force on top of block `at`; its metadata is fetched once per version.
    pub async fn runtime(&self, at: H256) -> Result<Arc<Runtime>, ChainError> {
        let version = self.version(Some(at)).await?;
        let known = |node: &Self| node.lock().get(&version.spec_version).cloned();
        if let Some(runtime) = known(self) {
            return Ok(runtime);
        }
        let runtime = Arc::new(Runtime::fetch(&self.rpc, self.genesis().await?, &version, at).await?);
        tracing::debug!(spec = version.spec_version, "metadata fetched");
        let mut runtimes = self.lock();
        while runtimes.len() >= 3 {
            runtimes.pop_first();
        }
        Ok(runtimes.entry(version.spec_version).or_insert(runtime).clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u32, Arc<Runtime>>> {
        self.runtimes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl NodeClient for RpcNodeClient {
    async fn genesis_hash(&self) -> Result<H256, ChainError> {
        self.node.genesis().await
    }

    async fn runtime_version(&self) -> Result<RuntimeVersion, ChainError> {
        self.node.version(None).await
    }

    async fn properties(&self) -> Result<ChainProperties, ChainError> {
        let chain: String = self.node.rpc.request("system_chain", rpc_params![]).await?;
        let properties: Json = self.node.rpc.request("system_properties", rpc_params![]).await?;
        // Either may be a list when a chain has several tokens; the first is the native one.
        let first = |key: &str| match properties.get(key) {
            Some(Json::Array(values)) => values.first().cloned(),
            other => other.cloned(),
        };
        Ok(ChainProperties {
            chain,
            token_symbol: first("tokenSymbol")
                .and_then(|v| v.as_str().map(str::to_owned))
                .unwrap_or("MESH".into()),
            token_decimals: first("tokenDecimals").and_then(|v| v.as_u64()).unwrap_or(12) as u32,
        })
    }

    async fn best_head(&self) -> Result<BlockRef, ChainError> {
        self.node.header(None).await
    }

    async fn finalized_head(&self) -> Result<BlockRef, ChainError> {
        self.node.finalized().await
    }

    fn follow_best(&self) -> watch::Receiver<HeadState> {
        self.follow("chain_subscribeNewHeads", "chain_unsubscribeNewHeads")
    }

    fn follow_finalized(&self) -> watch::Receiver<HeadState> {
        self.follow("chain_subscribeFinalizedHeads", "chain_unsubscribeFinalizedHeads")
    }

    async fn call_api(&self, function: &str, args: Vec<u8>, at: Option<H256>) -> Result<Vec<u8>, ChainError> {
        self.node.rpc.state_call(function, &args, at).await
    }

    async fn balance(&self, account: &AccountId) -> Result<Balance, ChainError> {
        match self
            .node
            .rpc
            .storage("a balance", &account_key(account), None)
            .await?
        {
            None => Ok(Balance::default()),
            Some(bytes) => {
                let info: AccountInfo = decode("a balance", &bytes)?;
                Ok(Balance {
                    free: info.free,
                    reserved: info.reserved,
                    frozen: info.frozen,
                })
            }
        }
    }

    async fn constant(&self, pallet: &str, name: &str) -> Result<Option<Vec<u8>>, ChainError> {
        let best = self.node.header(None).await?;
        Ok(self.node.runtime(best.hash).await?.constant(pallet, name))
    }

    async fn submit(&self, call: &Call, signer: &Signer, wait: Wait) -> Result<Included, ChainError> {
        self.submitter.submit(call, signer, wait).await
    }
}
