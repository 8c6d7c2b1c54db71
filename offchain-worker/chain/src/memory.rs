//! JSON-RPC inside the node's own process.

use futures::StreamExt;
use serde_json::{Value as Json, value::RawValue};
use subxt::rpcs::{
    Error as RpcError, UserError,
    client::{RawRpcFuture, RawRpcSubscription, RpcClientT},
};
use tokio::sync::mpsc;

/// A node's JSON-RPC handlers, reachable without a socket. `sc_service::RpcHandlers::rpc_query` has this shape.
#[async_trait::async_trait]
pub trait InMemoryRpc: Send + Sync + 'static {
    /// Handles one request object and returns the response object. If the request opens a subscription, its
    /// notifications come through the receiver until that is dropped.
    ///
    /// # Errors
    /// When `json` is not a request.
    async fn request(&self, json: String) -> Result<(String, mpsc::Receiver<String>), String>;
}

#[async_trait::async_trait]
impl<T: InMemoryRpc + ?Sized> InMemoryRpc for std::sync::Arc<T> {
    async fn request(&self, json: String) -> Result<(String, mpsc::Receiver<String>), String> {
        (**self).request(json).await
    }
}

/// Makes such handlers a transport.
pub(crate) struct InProcess<R>(pub R);

#[derive(serde::Deserialize)]
struct Response {
    result: Option<Box<RawValue>>,
    error: Option<UserError>,
}

#[derive(serde::Deserialize)]
struct Notification {
    params: NotificationParams,
}

#[derive(serde::Deserialize)]
struct NotificationParams {
    result: Option<Box<RawValue>>,
    error: Option<Json>,
}

fn broken(reason: impl Into<String>) -> RpcError {
    RpcError::Client(reason.into().into())
}

impl<R: InMemoryRpc> InProcess<R> {
    async fn call(
        &self,
        method: &str,
        params: Option<Box<RawValue>>,
    ) -> Result<(Box<RawValue>, mpsc::Receiver<String>), RpcError> {
        let params = params.as_ref().map_or("[]", |p| p.get());
        let method = serde_json::to_string(method).map_err(RpcError::Serialization)?;
        let request = format!(r#"{{"jsonrpc":"2.0","id":1,"method":{method},"params":{params}}}"#);
        let (response, notifications) = self.0.request(request).await.map_err(broken)?;
        let response: Response = serde_json::from_str(&response).map_err(RpcError::Deserialization)?;
        match (response.result, response.error) {
            (_, Some(error)) => Err(RpcError::User(error)),
            (Some(result), None) => Ok((result, notifications)),
            // A `null` result reads as none.
            (None, None) => Ok((
                RawValue::from_string("null".into()).map_err(RpcError::Deserialization)?,
                notifications,
            )),
        }
    }
}

impl<R: InMemoryRpc> RpcClientT for InProcess<R> {
    fn request_raw<'a>(
        &'a self,
        method: &'a str,
        params: Option<Box<RawValue>>,
    ) -> RawRpcFuture<'a, Box<RawValue>> {
        Box::pin(async move { Ok(self.call(method, params).await?.0) })
    }

    fn subscribe_raw<'a>(
        &'a self,
        sub: &'a str,
        params: Option<Box<RawValue>>,
        _unsub: &'a str,
    ) -> RawRpcFuture<'a, RawRpcSubscription> {
        Box::pin(async move {
            let (id, notifications) = self.call(sub, params).await?;
            let stream = futures::stream::unfold(notifications, |mut receiver| async move {
                let text = receiver.recv().await?;
                let item = serde_json::from_str::<Notification>(&text)
                    .map_err(RpcError::Deserialization)
                    .and_then(|n| match (n.params.result, n.params.error) {
                        (Some(result), _) => Ok(result),
                        (None, Some(error)) => Err(broken(error.to_string())),
                        (None, None) => {
                            RawValue::from_string("null".into()).map_err(RpcError::Deserialization)
                        }
                    });
                Some((item, receiver))
            });
            let id = Some(id.get().trim_matches('"').to_owned());
            Ok(RawRpcSubscription {
                stream: stream.boxed(),
                id,
            })
        })
    }
}
