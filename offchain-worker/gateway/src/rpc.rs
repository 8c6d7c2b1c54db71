//! The JSON-RPC face.

use crate::{
    GatewayError, InferResponse, ModelInfo, ProgressInfo, QuoteRequest, Reason, RoutesRequest,
    calls::{Caller, Calls, InferCall, Share, check_name, check_version},
    metrics::{Face, Method},
    tensors::{RpcOutput, RpcTensor, Short, TENSORS},
    text,
    types::MAX_HOSTS,
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use codec::Encode;
use futures::future::BoxFuture;
use jsonrpsee::{
    Extensions, MethodResponse, PendingSubscriptionSink, RpcModule, SubscriptionMessage, SubscriptionSink,
    server::middleware::rpc::RpcServiceT,
    types::{ErrorObjectOwned, Params, Request},
};
use llmesh_primitives::Priority;
use llmesh_protocol::{MAX_SEALED_BYTES, wire::MAX_HEADER_BYTES};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use sp_core::H256;
use sp_runtime::{AccountId32, Perbill};
use std::{
    borrow::Cow,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::sync::mpsc;

/// Names of all methods, for `rpc_methods`.
pub(crate) const METHODS: [&str; 10] = [
    "mesh_forward",
    "mesh_infer",
    "mesh_model",
    "mesh_models",
    "mesh_quote",
    "mesh_routes",
    "mesh_status",
    "mesh_subscribeInfer",
    "mesh_unsubscribeInfer",
    "rpc_methods",
];

/// Progress reports that wait for a slow reader; more are dropped.
const PROGRESS_QUEUE: usize = 16;

/// Requests with more text than this are read on a thread where that may take long.
pub(crate) const LONG_TEXT: usize = 128 << 10;

impl From<GatewayError> for ErrorObjectOwned {
    fn from(error: GatewayError) -> Self {
        Self::owned(error.reason.rpc_code(), error.message.clone(), Some(error.data()))
    }
}

/// The methods, to be served by jsonrpsee.
pub(crate) fn module(
    calls: Arc<Calls>,
) -> Result<RpcModule<Arc<Calls>>, jsonrpsee::core::RegisterMethodError> {
    let mut module = RpcModule::new(calls);

    module.register_async_method("mesh_models", |params, calls, extensions| async move {
        let caller = caller(&extensions)?;
        nothing(&params)?;
        let models = calls
            .simple(Face::Rpc, Method::Models, &caller, |g| g.models())
            .await?;
        answer(&models)
    })?;

    module.register_async_method("mesh_model", |params, calls, extensions| async move {
        let caller = caller(&extensions)?;
        let request: ModelRequest = named(&params, &["model", "version"])?;
        let model = calls
            .model(Face::Rpc, &caller, &request.model, request.version.as_deref())
            .await?;
        answer(&model)
    })?;

    module.register_async_method("mesh_quote", |params, calls, extensions| async move {
        let caller = caller(&extensions)?;
        let request: QuoteRequest = named(&params, &["model", "version", "maxHosts"])?;
        check(&request.model, request.version.as_deref(), request.max_hosts)?;
        let quote = calls
            .simple(Face::Rpc, Method::Quote, &caller, |g| g.quote(request))
            .await?;
        answer(&quote)
    })?;

    module.register_async_method("mesh_routes", |params, calls, extensions| async move {
        let caller = caller(&extensions)?;
        let request: RoutesRequest = named(&params, &["model", "version", "maxHosts", "maxPrice"])?;
        check(&request.model, request.version.as_deref(), request.max_hosts)?;
        let routes = calls
            .simple(Face::Rpc, Method::Routes, &caller, |g| g.routes(request))
            .await?;
        answer(&routes)
    })?;

    module.register_async_method("mesh_status", |params, calls, extensions| async move {
        let caller = caller(&extensions)?;
        nothing(&params)?;
        let status = calls
            .simple(Face::Rpc, Method::Status, &caller, |g| g.status())
            .await?;
        answer(&status)
    })?;

    module.register_async_method("mesh_forward", |params, calls, extensions| async move {
        let caller = caller(&extensions)?;
        let (header, sealed) = read_long(params, read_forward).await?;
        let sealed = calls
            .simple(Face::Rpc, Method::Forward, &caller, |g| g.forward(header, sealed))
            .await?;
        answer(&BASE64.encode(sealed))
    })?;

    module.register_async_method("mesh_infer", |params, calls, extensions| async move {
        let caller = caller(&extensions)?;
        let (call, base64) = read_long(params, read_infer).await?;
        let wanted = call.outputs.clone();
        let (model, response) = calls.infer(Face::Rpc, &caller, call, None, |_| Ok(())).await?;
        answer(&InferAnswer::new(&model, &response, wanted.as_deref(), base64))
    })?;

    module.register_subscription(
        "mesh_subscribeInfer",
        "mesh_inferProgress",
        "mesh_unsubscribeInfer",
        |params, pending, calls, extensions| async move {
            subscribe(params, pending, &calls, &extensions).await;
        },
    )?;

    module.register_method("rpc_methods", |_, _, _| {
        answer(&serde_json::json!({ "methods": METHODS }))
    })?;

    Ok(module)
}

/// Runs an inference and tells how it goes: reports, then the answer or the error, then nothing more.
async fn subscribe(
    params: Params<'static>,
    pending: PendingSubscriptionSink,
    calls: &Calls,
    extensions: &Extensions,
) {
    // Before the subscription exists, what is wrong with the call is the answer to it.
    let begun = async {
        let caller = caller(extensions)?;
        let (call, base64) = read_long(params, read_infer).await?;
        Ok::<_, GatewayError>((caller, call, base64))
    };
    let (caller, call, base64) = match begun.await {
        Ok(begun) => begun,
        Err(error) => return pending.reject(error).await,
    };
    let _running = calls.running.token();
    let Ok(sink) = pending.accept().await else {
        return;
    };
    let (sender, mut reports) = mpsc::channel(PROGRESS_QUEUE);
    let wanted = call.outputs.clone();
    let infer = calls.infer(Face::Rpc, &caller, call, Some(sender), |_| Ok(()));
    tokio::pin!(infer);
    let result = loop {
        tokio::select! {
            biased;
            // The caller went away or has seen enough: the request is cancelled with its future.
            () = sink.closed() => return,
            Some(report) = reports.recv() => tell(&sink, &Event::Progress { progress: &report }).await,
            result = &mut infer => break result,
        }
    };
    while let Ok(report) = reports.try_recv() {
        tell(&sink, &Event::Progress { progress: &report }).await;
    }
    match &result {
        Ok((model, response)) => {
            let result = InferAnswer::new(model, response, wanted.as_deref(), base64);
            tell(&sink, &Event::Result { result }).await;
        }
        Err(error) => {
            let error = error.clone().into();
            tell(&sink, &Event::Error { error }).await;
        }
    }
}

/// Sends one notification. When it can not be sent the connection is gone, which the caller sees by itself.
async fn tell(sink: &SubscriptionSink, event: &Event<'_>) {
    match SubscriptionMessage::from_json(event) {
        Ok(message) => {
            if sink.send(message).await.is_err() {
                tracing::debug!("a subscriber left before its notification");
            }
        }
        Err(error) => tracing::warn!(%error, "a notification could not be written"),
    }
}

/// What a `mesh_inferProgress` notification carries.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "camelCase")]
enum Event<'a> {
    Progress { progress: &'a ProgressInfo },
    Result { result: InferAnswer<'a> },
    Error { error: ErrorObjectOwned },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelRequest {
    model: String,
    #[serde(default)]
    version: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ForwardRequest<'a> {
    #[serde(borrow)]
    header: Cow<'a, str>,
    #[serde(borrow)]
    sealed: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct InferParams<'a> {
    model: String,
    #[serde(default)]
    version: Option<String>,
    #[serde(borrow)]
    inputs: Short<RpcTensor<'a>, TENSORS>,
    #[serde(default)]
    outputs: Option<Short<String, TENSORS>>,
    #[serde(default, with = "text::optional_planck")]
    max_price: Option<u128>,
    #[serde(default, deserialize_with = "text::priority::deserialize")]
    priority: Priority,
    #[serde(default, deserialize_with = "text::fraction::deserialize")]
    min_reputation: Perbill,
    #[serde(default)]
    deadline_ms: Option<u64>,
    #[serde(default)]
    encoding: Encoding,
}

/// How an answer's tensors are written.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Encoding {
    #[default]
    Json,
    Base64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InferAnswer<'a> {
    model: &'a str,
    version: String,
    outputs: Vec<RpcOutput<'a>>,
    /// SCALE of the signed receipt, as hex.
    receipt: String,
    host: &'a AccountId32,
    price: String,
    request_id: H256,
    path_length: u32,
    attempts: u32,
}

impl<'a> InferAnswer<'a> {
    fn new(
        model: &'a ModelInfo,
        response: &'a InferResponse,
        wanted: Option<&[String]>,
        base64: bool,
    ) -> Self {
        Self {
            model: &model.name,
            version: model.version.to_string(),
            outputs: response
                .outputs
                .iter()
                .filter(|t| wanted.is_none_or(|names| names.iter().any(|n| n == t.name_str())))
                .map(|t| RpcOutput::new(t, base64))
                .collect(),
            receipt: text::to_hex(&response.receipt.encode()),
            host: &response.host,
            price: response.price.to_string(),
            request_id: response.request_id,
            path_length: response.path_length,
            attempts: response.attempts,
        }
    }
}

fn read_forward(params: &Params) -> Result<(Vec<u8>, Vec<u8>), GatewayError> {
    let json = named_json(params, &["header", "sealed"])?;
    let request: ForwardRequest = from_str(&json)?;
    let too_large =
        |what, most| GatewayError::new(Reason::TooLarge, format!("a {what} has at most {most} bytes"));
    if request.header.len() > MAX_HEADER_BYTES * 2 + 2 {
        return Err(too_large("route header", MAX_HEADER_BYTES));
    }
    if request.sealed.len() > MAX_SEALED_BYTES.div_ceil(3) * 4 {
        return Err(too_large("sealed request", MAX_SEALED_BYTES));
    }
    let header =
        text::from_hex(&request.header).map_err(|e| GatewayError::invalid(format!("header: {e}")))?;
    let sealed = BASE64
        .decode(&*request.sealed)
        .map_err(|e| GatewayError::invalid(format!("sealed: not base64: {e}")))?;
    if sealed.len() > MAX_SEALED_BYTES {
        return Err(too_large("sealed request", MAX_SEALED_BYTES));
    }
    Ok((header, sealed))
}

fn read_infer(params: &Params) -> Result<(InferCall, bool), GatewayError> {
    let json = named_json(params, &["model", "inputs", "version"])?;
    let request: InferParams = from_str(&json)?;
    let inputs = request
        .inputs
        .0
        .iter()
        .map(RpcTensor::read)
        .collect::<Result<Vec<_>, _>>()?;
    let call = InferCall {
        model: request.model,
        version: request.version,
        inputs,
        outputs: request.outputs.map(|names| names.0),
        max_price: request.max_price,
        priority: request.priority,
        min_reputation: request.min_reputation,
        deadline: request.deadline_ms.map(Duration::from_millis),
    };
    Ok((call, matches!(request.encoding, Encoding::Base64)))
}

/// Reads parameters, on another thread when there is much to read.
async fn read_long<T: Send + 'static>(
    params: Params<'static>,
    read: impl FnOnce(&Params) -> Result<T, GatewayError> + Send + 'static,
) -> Result<T, GatewayError> {
    if params.as_str().map_or(0, str::len) <= LONG_TEXT {
        return read(&params);
    }
    tokio::task::spawn_blocking(move || read(&params))
        .await
        .unwrap_or_else(|_| {
            Err(GatewayError::new(
                Reason::Internal,
                "the request could not be read",
            ))
        })
}

/// Parameters by name or by position; `names` are those by position. One object in a list counts as by name.
fn named<T: DeserializeOwned>(params: &Params, names: &[&str]) -> Result<T, GatewayError> {
    from_str(&named_json(params, names)?)
}

fn named_json<'a>(params: &'a Params, names: &[&str]) -> Result<Cow<'a, str>, GatewayError> {
    let json = params.as_str().unwrap_or("{}");
    if params.is_object() || params.as_str().is_none() {
        return Ok(Cow::Borrowed(json));
    }
    let values: Short<&RawValue, TENSORS> = from_str(json)?;
    if let [only] = values.0.as_slice()
        && only.get().starts_with('{')
    {
        return Ok(Cow::Borrowed(only.get()));
    }
    if values.0.len() > names.len() {
        return Err(GatewayError::invalid(format!(
            "the method takes {}: {}",
            names.len(),
            names.join(", ")
        )));
    }
    let fields: Vec<String> = names
        .iter()
        .zip(&values.0)
        .map(|(name, value)| format!("\"{name}\":{}", value.get()))
        .collect();
    Ok(Cow::Owned(format!("{{{}}}", fields.join(","))))
}

fn from_str<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, GatewayError> {
    serde_json::from_str(json).map_err(|e| GatewayError::invalid(format!("the parameters: {e}")))
}

fn nothing(params: &Params) -> Result<(), GatewayError> {
    match params
        .as_str()
        .map(|json| json.replace(char::is_whitespace, ""))
        .as_deref()
    {
        None | Some("" | "[]" | "{}" | "null") => Ok(()),
        Some(_) => Err(GatewayError::invalid("the method takes no parameters")),
    }
}

fn check(model: &str, version: Option<&str>, hosts: u32) -> Result<(), GatewayError> {
    check_name(model)?;
    check_version(version)?;
    if (1..=MAX_HOSTS).contains(&hosts) {
        Ok(())
    } else {
        Err(GatewayError::invalid(format!(
            "maxHosts is from 1 to {MAX_HOSTS}"
        )))
    }
}

/// Writes an answer at once, so that it can borrow and is written only once.
fn answer<T: Serialize>(value: &T) -> Result<Box<RawValue>, GatewayError> {
    serde_json::value::to_raw_value(value)
        .map_err(|_| GatewayError::new(Reason::Internal, "the answer could not be written"))
}

fn caller(extensions: &Extensions) -> Result<Arc<Caller>, GatewayError> {
    extensions
        .get::<Arc<Caller>>()
        .cloned()
        .ok_or_else(|| GatewayError::new(Reason::Internal, "the caller is not known"))
}

/// Puts [`Admission`] in front of every call.
#[derive(Clone)]
pub(crate) struct AdmissionLayer(pub(crate) Arc<Calls>);

impl<S> tower::Layer<S> for AdmissionLayer {
    type Service = Admission<S>;

    fn layer(&self, service: S) -> Admission<S> {
        Admission {
            service,
            calls: self.0.clone(),
        }
    }
}

/// Admits each call of a connection or batch: rate, number at the same time, memory.
#[derive(Clone)]
pub(crate) struct Admission<S> {
    service: S,
    calls: Arc<Calls>,
}

impl<'a, S> RpcServiceT<'a> for Admission<S>
where
    S: RpcServiceT<'a> + Clone + Send + Sync + 'static,
{
    type Future = BoxFuture<'a, MethodResponse>;

    fn call(&self, request: Request<'a>) -> Self::Future {
        let calls = self.calls.clone();
        let service = self.service.clone();
        Box::pin(async move {
            let id = request.id.clone().into_owned();
            match admit(&calls, &request) {
                // Both are held until the call is done.
                Ok(_admitted) => service.call(request).await,
                Err(error) => {
                    calls.metrics.refused(error.reason);
                    MethodResponse::error(id, ErrorObjectOwned::from(error))
                }
            }
        })
    }
}

fn admit(
    calls: &Calls,
    request: &Request,
) -> Result<(tokio::sync::OwnedSemaphorePermit, Share), GatewayError> {
    let caller = caller(request.extensions())?;
    if !caller.prepaid.swap(false, Ordering::Relaxed) {
        calls.rates.check(caller.address)?;
    }
    if caller.websocket.is_none() && request.method.contains("ubscribe") {
        return Err(GatewayError::invalid("a subscription needs a WebSocket"));
    }
    let place = caller.calls.clone().try_acquire_owned().map_err(|_| {
        GatewayError::new(
            Reason::Overloaded,
            "too many calls at the same time on this connection",
        )
    })?;
    let mut share = calls.buffer.share();
    share.grow(request.params.as_ref().map_or(0, |p| p.get().len()))?;
    Ok((place, share))
}
