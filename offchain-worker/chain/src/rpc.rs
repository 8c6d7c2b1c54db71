//! JSON-RPC requests with a deadline and errors that name the endpoint.

use crate::{ChainError, H256};
use serde::de::DeserializeOwned;
use std::{sync::Arc, time::Duration};
use subxt::rpcs::{
    Error as RpcError,
    client::{RpcClient, RpcParams, RpcSubscription, rpc_params},
};

#[derive(Clone)]
pub(crate) struct Rpc {
    client: RpcClient,
    pub endpoint: Arc<str>,
    timeout: Duration,
}

impl Rpc {
    pub fn new(client: RpcClient, endpoint: &str, timeout: Duration) -> Self {
        Self {
            client,
            endpoint: endpoint.into(),
            timeout,
        }
    }

    async fn timed<T>(
        &self,
        what: &str,
        future: impl Future<Output = Result<T, RpcError>> + Send,
    ) -> Result<T, ChainError> {
        match tokio::time::timeout(self.timeout, future).await {
            Ok(result) => result.map_err(|e| self.error(what, e)),
            Err(_) => Err(ChainError::Timeout {
                endpoint: self.endpoint.to_string(),
                what: what.into(),
                after: self.timeout,
            }),
        }
    }

    pub async fn request<T: DeserializeOwned>(
        &self,
        method: &str,
        params: RpcParams,
    ) -> Result<T, ChainError> {
        self.timed(method, self.client.request(method, params)).await
    }

    pub async fn subscribe<T: DeserializeOwned>(
        &self,
        method: &str,
        params: RpcParams,
        unsubscribe: &str,
    ) -> Result<RpcSubscription<T>, ChainError> {
        self.timed(method, self.client.subscribe(method, params, unsubscribe))
            .await
    }

    /// Translates an error of the transport.
    pub fn error(&self, what: &str, error: RpcError) -> ChainError {
        match error {
            RpcError::User(e) => ChainError::Rpc {
                method: what.into(),
                code: e.code,
                message: e.message,
                data: e.data.map(|d| d.get().trim_matches('"').to_owned()),
            },
            RpcError::Deserialization(e) => ChainError::Decode {
                what: what.into(),
                reason: e.to_string(),
            },
            RpcError::Client(e) => ChainError::Unreachable {
                endpoint: self.endpoint.to_string(),
                reason: e.to_string(),
            },
            e => ChainError::Unreachable {
                endpoint: self.endpoint.to_string(),
                reason: e.to_string(),
            },
        }
    }

    pub async fn block_hash(&self, number: Option<u32>) -> Result<Option<H256>, ChainError> {
        self.request("chain_getBlockHash", rpc_params![number]).await
    }

    /// Calls a function of the runtime.
    pub async fn state_call(
        &self,
        function: &str,
        args: &[u8],
        at: Option<H256>,
    ) -> Result<Vec<u8>, ChainError> {
        let params = rpc_params![function, format!("0x{}", hex::encode(args)), at];
        match self.request::<String>("state_call", params).await {
            Ok(bytes) => decode_hex(function, &bytes),
            Err(ChainError::Rpc { message, data, .. })
                if [Some(&message), data.as_ref()]
                    .iter()
                    .flatten()
                    .any(|m| m.contains("is not found") || m.contains("Exported method")) =>
            {
                Err(ChainError::MissingApi {
                    function: function.into(),
                })
            }
            Err(e) => Err(e),
        }
    }

    /// Reads one storage value.
    pub async fn storage(
        &self,
        what: &str,
        key: &[u8],
        at: Option<H256>,
    ) -> Result<Option<Vec<u8>>, ChainError> {
        let params = rpc_params![format!("0x{}", hex::encode(key)), at];
        let value: Option<String> = self.request("state_getStorage", params).await?;
        value.map(|v| decode_hex(what, &v)).transpose()
    }
}

pub(crate) fn decode_hex(what: &str, text: &str) -> Result<Vec<u8>, ChainError> {
    hex::decode(text.strip_prefix("0x").unwrap_or(text)).map_err(|e| ChainError::Decode {
        what: what.into(),
        reason: e.to_string(),
    })
}

pub(crate) fn decode<T: codec::DecodeAll>(what: &str, bytes: &[u8]) -> Result<T, ChainError> {
    T::decode_all(&mut &*bytes).map_err(|e| ChainError::Decode {
        what: what.into(),
        reason: e.to_string(),
    })
}
