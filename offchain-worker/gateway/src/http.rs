//! What every HTTP request passes before one of the faces sees it.

use crate::{
    GatewayConfig, GatewayError, Reason,
    calls::{Caller, Calls, Share, shorten},
    oip,
    rpc::{self, AdmissionLayer},
};
use http_body_util::BodyExt;
use hyper::{
    HeaderMap, Method, StatusCode, Version,
    body::{Body as _, Incoming},
    header::{self, HeaderName, HeaderValue},
};
use jsonrpsee::{
    core::BoxError,
    server::{
        BatchRequestConfig, HttpBody, HttpRequest, HttpResponse, Methods, PingConfig, RpcServiceBuilder,
        Server, StopHandle, TowerServiceBuilder, ws::is_upgrade_request,
    },
};
use serde_json::json;
use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};
use tokio::{sync::Semaphore, time::Instant};
use tower::{
    Service,
    layer::util::{Identity, Stack},
};

pub(crate) type Request = hyper::Request<Incoming>;
pub(crate) type Response = HttpResponse;

/// Length of the JSON part of a body with binary tensors.
pub(crate) const JSON_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");

type RpcService = TowerServiceBuilder<Stack<AdmissionLayer, Identity>, Identity>;

/// Everything that a request can need.
pub(crate) struct App {
    pub(crate) calls: Arc<Calls>,
    names: Option<Vec<String>>,
    http_rpc: RpcService,
    ws_rpc: RpcService,
    methods: Methods,
    rpc_stop: StopHandle,
}

impl App {
    pub(crate) fn new(
        calls: Arc<Calls>,
        address: SocketAddr,
        rpc_stop: StopHandle,
    ) -> Result<Self, jsonrpsee::core::RegisterMethodError> {
        let limits = &calls.config.limits;
        let bound = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let rpc = |most| {
            Server::builder()
            .max_request_body_size(bound(most))
            // Answers are the node's own and bounded by what a tensor can be; one that was paid for must get through.
            .max_response_body_size(u32::MAX)
            // Connections are counted at the door.
            .max_connections(u32::MAX >> 4)
            .max_subscriptions_per_connection(limits.subscriptions_per_connection)
            .set_batch_request_config(match limits.batch {
                0 => BatchRequestConfig::Disabled,
                most => BatchRequestConfig::Limit(most),
            })
            .set_message_buffer_capacity(16)
            .enable_ws_ping(
                PingConfig::new()
                    .ping_interval(limits.ping_interval)
                    .inactive_limit(limits.ping_interval.saturating_mul(2))
                    .max_failures(1),
            )
            .set_rpc_middleware(RpcServiceBuilder::new().layer(AdmissionLayer(calls.clone())))
            .to_service_builder()
        };
        Ok(Self {
            names: allowed_names(&calls.config, address),
            http_rpc: rpc(limits.body_bytes),
            ws_rpc: rpc(limits.message_bytes),
            methods: rpc::module(calls.clone())?.into(),
            rpc_stop,
            calls,
        })
    }

    /// Answers one request. Never fails: what goes wrong is an answer too.
    pub(crate) async fn handle(
        &self,
        mut request: Request,
        peer: SocketAddr,
        calls: Arc<Semaphore>,
        is_first: bool,
    ) -> Response {
        let upgrade = is_upgrade_request(&request);
        let is_rpc = matches!(request.uri().path(), "/" | "/rpc");
        let origin = request.headers().get(header::ORIGIN).cloned();
        let is_head = request.method() == Method::HEAD;
        if is_head {
            *request.method_mut() = Method::GET;
        }
        let admitted = self.admit(&request, peer, calls);
        let known_origin = check_origin(request.headers(), &self.calls.config.origins).is_ok();
        let result = match admitted {
            Ok(_) if request.method() == Method::OPTIONS && origin.is_some() => Ok(preflight()),
            Ok(caller) if is_rpc => self.rpc(request, caller, is_first).await,
            Ok(caller) => oip::serve(&self.calls, request, caller).await,
            Err(error) => Err(error),
        };
        let mut response = result.unwrap_or_else(|error| {
            self.calls.metrics.refused(error.reason);
            refusal(&error, is_rpc)
        });
        let failed_upgrade = upgrade && response.status() != StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        if failed_upgrade {
            // What follows would be taken for frames.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(origin) = origin.filter(|_| known_origin) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::VARY, HeaderValue::from_static("origin"));
            headers.insert(
                header::ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static("inference-header-content-length, retry-after"),
            );
        }
        response
    }

    /// Everything that can be decided without the body.
    fn admit(
        &self,
        request: &Request,
        peer: SocketAddr,
        calls: Arc<Semaphore>,
    ) -> Result<Caller, GatewayError> {
        let config = &self.calls.config;
        self.calls.rates.check(peer.ip())?;
        check_host(request, self.names.as_deref())?;
        check_origin(request.headers(), &config.origins)?;
        let length = request
            .uri()
            .path_and_query()
            .map_or(0, |text| text.as_str().len());
        if length > config.limits.uri_bytes {
            return Err(GatewayError::new(
                Reason::UriTooLong,
                format!("a path has at most {} bytes", config.limits.uri_bytes),
            ));
        }
        let encoded = request.headers().get(header::CONTENT_ENCODING);
        if encoded.is_some_and(|e| !e.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Err(GatewayError::new(
                Reason::UnsupportedMedia,
                "compressed bodies are not taken",
            ));
        }
        Ok(Caller {
            address: peer.ip(),
            trusted: check_token(request.headers(), config)?,
            prepaid: AtomicBool::new(true),
            calls,
            websocket: None,
        })
    }

    async fn rpc(
        &self,
        mut request: Request,
        mut caller: Caller,
        is_first: bool,
    ) -> Result<Response, GatewayError> {
        let upgrade = is_upgrade_request(&request);
        if self.calls.stopping.is_cancelled() {
            return Err(GatewayError::new(Reason::Stopping, "the node stops"));
        }
        let rpc = if upgrade { &self.ws_rpc } else { &self.http_rpc };
        let mut service = rpc.clone().build(self.methods.clone(), self.rpc_stop.clone());
        let failed = |error: BoxError| {
            tracing::debug!(%error, "a JSON-RPC request failed");
            GatewayError::new(Reason::Internal, "the request failed")
        };
        match *request.method() {
            // Only there the frames can be followed from the first byte on.
            Method::GET if upgrade && !is_first => {
                Err(GatewayError::invalid("a WebSocket needs a connection of its own"))
            }
            Method::GET if upgrade => {
                let place =
                    self.calls.websockets.enter(caller.address).ok_or_else(|| {
                        GatewayError::new(Reason::Overloaded, "too many WebSocket connections")
                    })?;
                caller.websocket = Some(place);
                request.extensions_mut().insert(Arc::new(caller));
                let mut response = service.call(request.map(HttpBody::new)).await.map_err(failed)?;
                // A handshake that is no good is answered with 200 and a sentence.
                if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                    *response.status_mut() = StatusCode::BAD_REQUEST;
                }
                Ok(response)
            }
            Method::GET => Ok(reply(
                StatusCode::OK,
                &json!({
                    "name": "llmesh-gateway",
                    "version": env!("CARGO_PKG_VERSION"),
                    "jsonrpc": "POST here, or a WebSocket",
                    "methods": rpc::METHODS,
                    "inference": "/v2",
                }),
            )),
            Method::POST => {
                if !jsonrpsee::server::http::content_type_is_json(&request) {
                    return Err(GatewayError::new(
                        Reason::UnsupportedMedia,
                        "JSON-RPC takes content-type: application/json",
                    ));
                }
                request.extensions_mut().insert(Arc::new(caller));
                let (parts, body) = request.into_parts();
                // The share is held until the answer is there.
                let (body, _share) = read_body(&self.calls, body).await?;
                let request = HttpRequest::from_parts(parts, HttpBody::from(body));
                service.call(request).await.map_err(failed)
            }
            _ => Err(wrong_method()),
        }
    }
}

/// Reads a whole body within the limits on size, memory and time.
pub(crate) async fn read_body(calls: &Calls, mut body: Incoming) -> Result<(Vec<u8>, Share), GatewayError> {
    let limits = &calls.config.limits;
    let too_large = || {
        GatewayError::new(
            Reason::TooLarge,
            format!("a body has at most {} bytes", limits.body_bytes),
        )
    };
    let declared = body.size_hint();
    if declared.lower() > limits.body_bytes as u64 {
        return Err(too_large());
    }
    let deadline = Instant::now() + limits.body_timeout;
    let mut share = calls.buffer.share();
    // What is declared is not believed: a quarter of a megabyte at most is taken before bytes come.
    let mut bytes = Vec::with_capacity((declared.lower() as usize).min(256 << 10));
    loop {
        let frame = match tokio::time::timeout_at(deadline, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(None) => return Ok((bytes, share)),
            Ok(Some(Err(_))) => return Err(GatewayError::invalid("the body broke off")),
            Err(_) => {
                return Err(GatewayError::new(
                    Reason::SlowRequest,
                    format!("the body did not arrive within {:?}", limits.body_timeout),
                ));
            }
        };
        if let Ok(data) = frame.into_data() {
            if bytes.len().saturating_add(data.len()) > limits.body_bytes {
                return Err(too_large());
            }
            share.grow(data.len())?;
            bytes.extend_from_slice(&data);
        }
    }
}

/// Names that `Host` can have; `None`: any.
fn allowed_names(config: &GatewayConfig, address: SocketAddr) -> Option<Vec<String>> {
    let ip = address.ip();
    if !ip.is_loopback() && config.hosts.is_empty() {
        return None;
    }
    let mut names: Vec<String> = config.hosts.iter().map(|h| h.to_ascii_lowercase()).collect();
    if !ip.is_unspecified() {
        names.push(match ip {
            std::net::IpAddr::V4(v4) => v4.to_string(),
            std::net::IpAddr::V6(v6) => format!("[{v6}]"),
        });
    }
    if ip.is_loopback() {
        names.extend(["localhost", "127.0.0.1", "[::1]"].map(String::from));
    }
    Some(names)
}

/// Refuses requests that were meant for another name: a web page can make its own name lead to this address, and then
/// the browser's rules do not keep it out.
fn check_host(request: &Request, names: Option<&[String]>) -> Result<(), GatewayError> {
    let mut values = request.headers().get_all(header::HOST).iter();
    let host = match (values.next(), values.next()) {
        (_, Some(_)) => return Err(GatewayError::invalid("there is more than one Host")),
        (Some(value), None) => Some(
            value
                .to_str()
                .map_err(|_| GatewayError::invalid("Host is not text"))?,
        ),
        (None, None) => None,
    };
    // An absolute URI counts before the header (RFC 9112, 3.2.2).
    let host = request.uri().authority().map(|a| a.as_str()).or(host);
    let Some(host) = host else {
        return if request.version() >= Version::HTTP_11 {
            Err(GatewayError::invalid("Host is missing"))
        } else {
            Ok(())
        };
    };
    let Some(names) = names else {
        return Ok(());
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    };
    if names.iter().any(|allowed| allowed.eq_ignore_ascii_case(name)) {
        Ok(())
    } else {
        Err(GatewayError::new(
            Reason::Forbidden,
            format!("this gateway does not answer to the name `{}`", shorten(name)),
        ))
    }
}

/// Refuses web pages that are not on the list. A page's request may be sent without asking first (a form's POST, a
/// WebSocket), and the harm is done when it arrives; so the answer's headers are not enough.
fn check_origin(headers: &HeaderMap, allowed: &[String]) -> Result<(), GatewayError> {
    let fits = |origin: &HeaderValue| {
        allowed.iter().any(|a| {
            a == "*"
                || a.trim_end_matches('/')
                    .as_bytes()
                    .eq_ignore_ascii_case(origin.as_bytes())
        })
    };
    if headers.get_all(header::ORIGIN).iter().all(fits) {
        Ok(())
    } else {
        Err(GatewayError::new(
            Reason::Forbidden,
            "web pages of this origin may not call this gateway",
        ))
    }
}

/// Whether the caller shows the token. A wrong one is refused even where none is needed.
fn check_token(headers: &HeaderMap, config: &GatewayConfig) -> Result<bool, GatewayError> {
    let (Some(token), Some(shown)) = (&config.token, headers.get(header::AUTHORIZATION)) else {
        return Ok(false);
    };
    let bytes = shown.as_bytes();
    let fits = bytes
        .split_at_checked(7)
        .is_some_and(|(scheme, secret)| scheme.eq_ignore_ascii_case(b"bearer ") && token.is(secret));
    if fits {
        Ok(true)
    } else {
        Err(GatewayError::new(
            Reason::Unauthorized,
            "this is not the gateway's token",
        ))
    }
}

pub(crate) fn wrong_method() -> GatewayError {
    GatewayError::new(
        Reason::MethodNotAllowed,
        "this path does not take this HTTP method",
    )
}

/// The answer to a browser that asks before it sends.
fn preflight() -> Response {
    let mut response = HttpResponse::new(HttpBody::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, content-type, inference-header-content-length",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
        (
            HeaderName::from_static("access-control-allow-private-network"),
            "true",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A JSON answer.
pub(crate) fn reply<T: serde::Serialize + ?Sized>(status: StatusCode, value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => with_type(status, "application/json", bytes),
        Err(error) => {
            tracing::warn!(%error, "an answer could not be written");
            let error = GatewayError::new(Reason::Internal, "the answer could not be written");
            with_type(
                StatusCode::INTERNAL_SERVER_ERROR,
                "application/json",
                format!("{{\"error\":\"{}\"}}", error.message).into_bytes(),
            )
        }
    }
}

pub(crate) fn with_type(status: StatusCode, kind: &'static str, bytes: Vec<u8>) -> Response {
    let mut response = HttpResponse::new(HttpBody::from(bytes));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// An error as the face in question writes it.
pub(crate) fn refusal(error: &GatewayError, is_rpc: bool) -> Response {
    let status =
        StatusCode::from_u16(error.reason.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = if is_rpc {
        reply(
            status,
            &json!({
                "jsonrpc": "2.0",
                "id": null,
                "error": {
                    "code": error.reason.rpc_code(),
                    "message": error.message,
                    "data": error.data(),
                },
            }),
        )
    } else {
        reply(status, &json!({ "error": error.message, "reason": error.reason }))
    };
    let headers = response.headers_mut();
    if matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    ) && let Some(wait) = error.retry_after
    {
        let seconds = wait.saturating_add(Duration::from_millis(999)).as_secs().max(1);
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    match error.reason {
        Reason::Unauthorized => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        // The rest of the request is not read, so nothing can follow it.
        Reason::TooLarge | Reason::SlowRequest => {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        _ => {}
    }
    response
}
