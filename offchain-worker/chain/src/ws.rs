//! A WebSocket connection that comes back by itself.

use crate::Backoff;
use jsonrpsee::{core::client::Client, ws_client::WsClientBuilder};
use serde_json::value::RawValue;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use subxt::rpcs::{
    Error as RpcError,
    client::{RawRpcFuture, RawRpcSubscription, RpcClientT},
};
use tokio::sync::Mutex;

/// Says which cryptography TLS uses in this process, unless somebody has said so before.
///
/// The mesh's QUIC brings one implementation into the program (aws-lc-rs), the chain's clients another (ring); with both,
/// rustls refuses to choose, and the first `wss://` would end in a panic. To be called before TLS is used.
pub fn install_crypto_provider() {
    // An error means that one is installed, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Results of jobs and metadata are well below this.
const MAX_RESPONSE_BYTES: u32 = 64 * 1024 * 1024;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

struct State {
    client: Option<Arc<Client>>,
    backoff: Backoff,
    not_before: Instant,
    last_error: String,
}

/// Connects at the first request and again after the connection broke. While the node is away, requests fail at once
/// with the last error until the backoff's pause is over; whoever waits for the node just asks again.
pub(crate) struct ReconnectingWs {
    url: String,
    connect_timeout: Duration,
    state: Mutex<State>,
}

fn transport(reason: impl Into<String>) -> RpcError {
    RpcError::Client(reason.into().into())
}

impl ReconnectingWs {
    pub fn new(url: &str, connect_timeout: Duration) -> Self {
        Self {
            url: url.into(),
            connect_timeout,
            state: Mutex::new(State {
                client: None,
                backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
                not_before: Instant::now(),
                last_error: String::new(),
            }),
        }
    }

    async fn client(&self) -> Result<Arc<Client>, RpcError> {
        let mut state = self.state.lock().await;
        if let Some(client) = state.client.as_ref().filter(|c| c.is_connected()) {
            return Ok(client.clone());
        }
        if state.client.take().is_some() {
            tracing::warn!(node = %self.url, "the connection to the node is lost");
        }
        if Instant::now() < state.not_before {
            return Err(transport(state.last_error.clone()));
        }
        crate::install_crypto_provider();
        let built = WsClientBuilder::default()
            .max_response_size(MAX_RESPONSE_BYTES)
            .max_request_size(MAX_RESPONSE_BYTES)
            .max_buffer_capacity_per_subscription(1024)
            .request_timeout(Duration::from_secs(60))
            .connection_timeout(self.connect_timeout)
            .enable_ws_ping(Default::default())
            .build(&self.url)
            .await;
        match built {
            Ok(client) => {
                tracing::debug!(node = %self.url, "connected");
                let client = Arc::new(client);
                state.backoff.reset();
                state.client = Some(client.clone());
                Ok(client)
            }
            Err(error) => {
                state.not_before = Instant::now() + state.backoff.next_pause();
                state.last_error = root_cause(&error);
                Err(transport(state.last_error.clone()))
            }
        }
    }
}

/// The innermost message: `Connection refused (os error 111)` says more than its wrappers.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

impl RpcClientT for ReconnectingWs {
    fn request_raw<'a>(
        &'a self,
        method: &'a str,
        params: Option<Box<RawValue>>,
    ) -> RawRpcFuture<'a, Box<RawValue>> {
        Box::pin(async move {
            let client = self.client().await?;
            RpcClientT::request_raw(&*client, method, params).await
        })
    }

    fn subscribe_raw<'a>(
        &'a self,
        sub: &'a str,
        params: Option<Box<RawValue>>,
        unsub: &'a str,
    ) -> RawRpcFuture<'a, RawRpcSubscription> {
        Box::pin(async move {
            let client = self.client().await?;
            RpcClientT::subscribe_raw(&*client, sub, params, unsub).await
        })
    }
}
