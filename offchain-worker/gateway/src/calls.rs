//! Calls to the node behind the gateway: who may, how many at once, for how long, and what is counted.

use crate::{
    Gateway, GatewayConfig, GatewayError, InferRequest, InferResponse, ModelInfo, ProgressInfo, Reason,
    metrics::{Face, Method, Metrics, MetricsSnapshot},
    tensors::check_inputs,
};
use governor::{DefaultKeyedRateLimiter, Quota, clock::Clock};
use llmesh_primitives::Priority;
use llmesh_protocol::MeshTensor;
use sp_runtime::Perbill;
use std::{
    collections::HashMap,
    future::Future,
    net::IpAddr,
    num::NonZeroU32,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

/// Who is at the other end of a request or a WebSocket connection.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) address: IpAddr,
    /// Whether it showed the token.
    pub(crate) trusted: bool,
    /// Whether the rate was already charged for the next call: the HTTP request that carries it was.
    pub(crate) prepaid: AtomicBool,
    /// Calls that it may have at work on this connection.
    pub(crate) calls: Arc<Semaphore>,
    /// The place of a WebSocket connection; the caller lives as long as that.
    pub(crate) websocket: Option<Place>,
}

/// What both faces share.
pub(crate) struct Calls {
    gateway: Arc<dyn Gateway>,
    pub(crate) config: GatewayConfig,
    pub(crate) metrics: Metrics,
    permits: Semaphore,
    pub(crate) buffer: Arc<Buffer>,
    pub(crate) rates: Rates,
    /// WebSocket frames: well above what the rate of requests lets through, so that only floods meet it.
    pub(crate) frame_rates: Rates,
    pub(crate) connections: Arc<Connections>,
    pub(crate) websockets: Arc<Connections>,
    /// No new calls.
    pub(crate) stopping: CancellationToken,
    /// Calls that are at work end with an error.
    pub(crate) killed: CancellationToken,
    pub(crate) running: TaskTracker,
    /// Whether callers without a token may spend.
    free_spending: bool,
}

/// A plain inference as either face reads it.
#[derive(Debug)]
pub(crate) struct InferCall {
    pub(crate) model: String,
    pub(crate) version: Option<String>,
    pub(crate) inputs: Vec<MeshTensor>,
    /// Names of the outputs that the caller wants; `None`: all.
    pub(crate) outputs: Option<Vec<String>>,
    pub(crate) max_price: Option<u128>,
    pub(crate) priority: Priority,
    pub(crate) min_reputation: Perbill,
    pub(crate) deadline: Option<Duration>,
}

impl Calls {
    pub(crate) fn new(gateway: Arc<dyn Gateway>, config: GatewayConfig) -> Self {
        let limits = &config.limits;
        Self {
            gateway,
            metrics: Metrics::default(),
            permits: Semaphore::new(limits.calls.min(Semaphore::MAX_PERMITS)),
            buffer: Arc::new(Buffer {
                most: limits.buffered_bytes,
                held: AtomicUsize::new(0),
            }),
            rates: Rates::new(limits.requests_per_second, limits.burst),
            frame_rates: Rates::new(
                limits.requests_per_second.saturating_mul(4),
                limits.burst.saturating_mul(4),
            ),
            connections: Connections::new(limits.connections, limits.connections_per_address),
            websockets: Connections::new(limits.websockets, limits.websockets_per_address),
            stopping: CancellationToken::new(),
            killed: CancellationToken::new(),
            running: TaskTracker::new(),
            free_spending: config.token.is_none()
                && (config.anyone_may_spend || config.listen.ip().is_loopback()),
            config,
        }
    }

    pub(crate) fn ready(&self) -> bool {
        !self.stopping.is_cancelled() && self.gateway.ready()
    }

    pub(crate) fn snapshot(&self) -> MetricsSnapshot {
        let running = self
            .config
            .limits
            .calls
            .saturating_sub(self.permits.available_permits());
        MetricsSnapshot {
            connections: self.connections.len() as u64,
            websockets: self.websockets.len() as u64,
            calls_running: running as u64,
            buffered_bytes: self.buffer.held.load(Ordering::Relaxed) as u64,
            ..self.metrics.snapshot()
        }
    }

    /// Whether this caller may have inferences done; for a look before the body is read.
    pub(crate) fn may_spend(&self, caller: &Caller) -> Result<(), GatewayError> {
        self.may(caller, Method::Infer)
    }

    fn may(&self, caller: &Caller, method: Method) -> Result<(), GatewayError> {
        let free = if method.spends() {
            self.free_spending
        } else {
            self.config.open_without_token || self.config.token.is_none()
        };
        if caller.trusted || free {
            return Ok(());
        }
        let message = if self.config.token.is_some() {
            "this call needs the gateway's token: Authorization: Bearer ..."
        } else {
            "this gateway has no token, so it pays for nobody: seal the request and pay for it yourself"
        };
        Err(GatewayError::new(Reason::Unauthorized, message))
    }

    /// Runs one call within all bounds and counts it.
    async fn call<T>(
        &self,
        face: Face,
        method: Method,
        caller: &Caller,
        time: Duration,
        work: impl Future<Output = Result<T, GatewayError>>,
    ) -> Result<T, GatewayError> {
        let _running = self.running.token();
        let begun = Instant::now();
        let result = async {
            self.may(caller, method)?;
            if self.stopping.is_cancelled() {
                return Err(stopping());
            }
            let _permit = self
                .permits
                .try_acquire()
                .map_err(|_| GatewayError::new(Reason::Overloaded, "the node is busy with other calls"))?;
            tokio::select! {
                biased;
                () = self.killed.cancelled() => Err(stopping()),
                done = tokio::time::timeout(time, work) => done.unwrap_or_else(|_| {
                    Err(GatewayError::new(Reason::Deadline, format!("there was no answer within {time:?}")))
                }),
            }
        }
        .await;
        if let Err(error) = &result {
            if error.reason == Reason::Internal {
                tracing::warn!(method = method.name(), %error, "a call failed in this node");
            }
            tracing::debug!(method = method.name(), face = face.name(), reason = %error.reason, %error, "call failed");
        }
        let outcome = result.as_ref().err().map(|e| e.reason);
        self.metrics.called(face, method, outcome, begun.elapsed());
        result
    }

    /// A call other than an inference.
    pub(crate) async fn simple<'a, T, F>(
        &'a self,
        face: Face,
        method: Method,
        caller: &Caller,
        work: impl FnOnce(&'a dyn Gateway) -> F,
    ) -> Result<T, GatewayError>
    where
        F: Future<Output = Result<T, GatewayError>>,
    {
        // A sealed request takes as long as an inference.
        let time = match method {
            Method::Forward => self.config.limits.max_deadline,
            _ => self.config.limits.call_timeout,
        };
        self.call(face, method, caller, time, work(&*self.gateway)).await
    }

    /// An inference that the node pays for. `check` sees the model before anything is spent.
    pub(crate) async fn infer(
        &self,
        face: Face,
        caller: &Caller,
        call: InferCall,
        progress: Option<mpsc::Sender<ProgressInfo>>,
        check: impl FnOnce(&ModelInfo) -> Result<(), GatewayError>,
    ) -> Result<(ModelInfo, InferResponse), GatewayError> {
        let limits = &self.config.limits;
        let deadline = call
            .deadline
            .unwrap_or(limits.default_deadline.min(limits.max_deadline));
        // The node knows the deadline and says best what happened; the gateway only makes sure.
        let grace = Duration::from_millis(500);
        let time = deadline.saturating_add(grace);
        let work = async {
            if deadline > limits.max_deadline || deadline.is_zero() {
                return Err(GatewayError::invalid(format!(
                    "a deadline is from 1 to {} ms",
                    limits.max_deadline.as_millis()
                )));
            }
            let model = self.model_of(&call.model, call.version.as_deref()).await?;
            let inputs = check_inputs(&model.name, &model.inputs, call.inputs)?;
            if let Some(unknown) = call
                .outputs
                .iter()
                .flatten()
                .find(|name| !model.outputs.iter().any(|o| o.name == **name))
            {
                return Err(GatewayError::tensors(format!(
                    "{} has no output `{}`",
                    model.name,
                    shorten(unknown)
                )));
            }
            check(&model)?;
            let request = InferRequest {
                model: model.name.clone(),
                version: model.version,
                inputs,
                max_price: call.max_price,
                priority: call.priority,
                min_reputation: call.min_reputation,
                deadline,
            };
            let response = self.gateway.infer(request, progress).await?;
            Ok((model, response))
        };
        self.call(face, Method::Infer, caller, time, work).await
    }

    /// Looks a model up; names and versions that can not exist do not reach the node.
    async fn model_of(&self, name: &str, version: Option<&str>) -> Result<ModelInfo, GatewayError> {
        check_name(name)?;
        check_version(version)?;
        self.gateway.model(name, version).await
    }

    pub(crate) async fn model(
        &self,
        face: Face,
        caller: &Caller,
        name: &str,
        version: Option<&str>,
    ) -> Result<ModelInfo, GatewayError> {
        let time = self.config.limits.call_timeout;
        self.call(face, Method::Model, caller, time, self.model_of(name, version))
            .await
    }
}

fn stopping() -> GatewayError {
    GatewayError::new(Reason::Stopping, "the node stops")
}

/// The start of a caller's text, for a message.
pub(crate) fn shorten(text: &str) -> String {
    text.chars().take(64).collect()
}

/// Refuses what can not be a model's name.
pub(crate) fn check_name(name: &str) -> Result<(), GatewayError> {
    let part = |p: &str| {
        !p.is_empty()
            && p.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.'))
    };
    let fits = name.len() <= llmesh_primitives::model::MAX_MODEL_NAME_BYTES as usize
        && name
            .split_once('/')
            .is_some_and(|(space, rest)| part(space) && part(rest));
    if fits { Ok(()) } else { Err(no_name(name)) }
}

pub(crate) fn no_name(name: &str) -> GatewayError {
    GatewayError::new(
        Reason::UnknownModel,
        format!("`{}` is not a model's name, like google/magika", shorten(name)),
    )
}

/// Refuses what can not be a version.
pub(crate) fn check_version(version: Option<&str>) -> Result<(), GatewayError> {
    match version {
        Some(text) if text.parse::<llmesh_primitives::SemVer>().is_err() => Err(GatewayError::new(
            Reason::UnknownVersion,
            format!("`{}` is not a version, like 1.2.0", shorten(text)),
        )),
        _ => Ok(()),
    }
}

/// Bytes of requests in memory.
#[derive(Debug)]
pub(crate) struct Buffer {
    most: usize,
    held: AtomicUsize,
}

impl Buffer {
    /// A share that holds nothing yet.
    pub(crate) fn share(self: &Arc<Self>) -> Share {
        Share {
            buffer: self.clone(),
            bytes: 0,
        }
    }
}

/// What one request holds of the buffer; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    buffer: Arc<Buffer>,
    bytes: usize,
}

impl Share {
    /// Takes `more` bytes, or says that there is no room.
    pub(crate) fn grow(&mut self, more: usize) -> Result<(), GatewayError> {
        let most = self.buffer.most;
        self.buffer
            .held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
                held.checked_add(more).filter(|sum| *sum <= most)
            })
            .map_err(|_| {
                GatewayError::new(
                    Reason::Overloaded,
                    "the node holds as many requests as it has room for",
                )
            })?;
        self.bytes = self.bytes.saturating_add(more);
        Ok(())
    }

    /// Gives back all but `bytes`.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        if let Some(less) = self.bytes.checked_sub(bytes) {
            self.buffer.held.fetch_sub(less, Ordering::Relaxed);
            self.bytes = bytes;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.buffer.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Addresses that count as one: an IPv4 address (mapped ones too), or the /64 that one IPv6 customer has.
pub(crate) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(std::net::Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
    }
}

/// Requests a second from each address.
pub(crate) struct Rates {
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    checks: AtomicUsize,
}

impl Rates {
    /// Checks between two sweeps of addresses that were quiet long enough.
    const SWEEP: usize = 4096;

    fn new(per_second: u32, burst: u32) -> Self {
        let one = NonZeroU32::MIN;
        let quota = Quota::per_second(NonZeroU32::new(per_second).unwrap_or(one))
            .allow_burst(NonZeroU32::new(burst).unwrap_or(one));
        Self {
            limiter: DefaultKeyedRateLimiter::keyed(quota),
            checks: AtomicUsize::new(0),
        }
    }

    pub(crate) fn check(&self, address: IpAddr) -> Result<(), GatewayError> {
        // Each address that is kept costs a connection to get in, and leaves with the next sweep once its quota is whole again.
        if self.checks.fetch_add(1, Ordering::Relaxed) % Self::SWEEP == Self::SWEEP - 1 {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        self.limiter.check_key(&network_of(address)).map_err(|not_until| {
            let wait = not_until.wait_time_from(self.limiter.clock().now());
            GatewayError::new(Reason::RateLimited, "too many requests from this address")
                .retry_after(wait.max(Duration::from_millis(1)))
        })
    }
}

/// Open connections by address.
#[derive(Debug)]
pub(crate) struct Connections {
    most: usize,
    per_address: usize,
    open: Mutex<(usize, HashMap<IpAddr, usize>)>,
    /// Ends when the last connection has ended.
    pub(crate) tracker: TaskTracker,
}

impl Connections {
    fn new(most: usize, per_address: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            per_address,
            open: Mutex::default(),
            tracker: TaskTracker::new(),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// A place for one more connection; `None` when there is none.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let network = network_of(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, count) = (open.0, open.1.get(&network).copied().unwrap_or_default());
        if all >= self.most || count >= self.per_address {
            return None;
        }
        open.1.insert(network, count.saturating_add(1));
        open.0 = open.0.saturating_add(1);
        Some(Place {
            connections: self.clone(),
            network,
            _tracked: self.tracker.token(),
        })
    }
}

/// An open connection's place; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    connections: Arc<Connections>,
    network: IpAddr,
    _tracked: TaskTrackerToken,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self
            .connections
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        open.0 = open.0.saturating_sub(1);
        if let Some(count) = open.1.get_mut(&self.network) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.1.remove(&self.network);
            }
        }
    }
}
