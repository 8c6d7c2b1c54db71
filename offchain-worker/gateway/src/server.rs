//! The server: takes connections, and ends in good order.

use crate::{Gateway, GatewayConfig, MetricsSnapshot, calls::Calls, http::App, stream::Stream};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use jsonrpsee::server::ws::is_upgrade_request;
use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// Time for connections to send what is still in them after the shutdown's time is over.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address can not be had.
    #[error("the gateway can not listen on {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
    /// Two methods of one name: a fault of this crate.
    #[error("the gateway's methods do not fit together: {0}")]
    Methods(#[from] jsonrpsee::core::RegisterMethodError),
}

/// A gateway that has its address but answers nobody yet: see [`Server::run`].
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    app: Arc<App>,
    rpc_stop: jsonrpsee::server::ServerHandle,
}

/// Reads a server's counters, also while it runs.
#[derive(Clone)]
pub struct MetricsReader(Arc<Calls>);

impl MetricsReader {
    /// The counters now.
    pub fn snapshot(&self) -> MetricsSnapshot {
        self.0.snapshot()
    }
}

impl Server {
    /// Takes the address.
    ///
    /// # Errors
    /// [`ServerError::Listen`] when the address is taken or not this machine's.
    pub async fn bind(config: GatewayConfig, gateway: Arc<dyn Gateway>) -> Result<Self, ServerError> {
        let wanted = config.listen;
        let fail = |source| ServerError::Listen {
            address: wanted,
            source,
        };
        let listener = TcpListener::bind(wanted).await.map_err(fail)?;
        let address = listener.local_addr().map_err(fail)?;
        let (stop_handle, rpc_stop) = jsonrpsee::server::stop_channel();
        let calls = Arc::new(Calls::new(gateway, config));
        Ok(Self {
            listener,
            address,
            app: Arc::new(App::new(calls, address, stop_handle)?),
            rpc_stop,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// For reading its counters.
    pub fn metrics(&self) -> MetricsReader {
        MetricsReader(self.app.calls.clone())
    }

    /// Serves until `stop` is done, then takes nothing new and finishes what is begun, for as long as the configuration
    /// has it. When this returns, no connection is left.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self {
            listener,
            address,
            app,
            rpc_stop,
        } = self;
        tracing::info!(%address, "the gateway listens");
        // Ends connections, whatever they are doing.
        let cut = CancellationToken::new();
        tokio::pin!(stop);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                accepted = listener.accept() => match accepted {
                    Ok((socket, peer)) => take(&app, socket, peer, &cut),
                    Err(error) => {
                        // Out of descriptors, most likely: wait for some to come back.
                        tracing::warn!(%error, "the gateway could not take a connection");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
            }
        }
        drop(listener);

        let calls = &app.calls;
        let deadline = Instant::now() + calls.config.limits.shutdown;
        calls.stopping.cancel();
        calls.running.close();
        calls.connections.tracker.close();
        if tokio::time::timeout_at(deadline, calls.running.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                calls = calls.running.len(),
                "calls are cut off by the end of the gateway"
            );
            calls.killed.cancel();
        }
        // WebSocket connections end by themselves once their answers are sent.
        if rpc_stop.stop().is_err() {
            tracing::debug!("no WebSocket connection was left");
        }
        let deadline = deadline.max(Instant::now() + LAST_WORDS);
        if tokio::time::timeout_at(deadline, calls.connections.tracker.wait())
            .await
            .is_err()
        {
            cut.cancel();
            calls.connections.tracker.wait().await;
        }
        tracing::info!(%address, "the gateway has ended");
    }
}

/// Gives a connection a task of its own, if there is room for it.
fn take(app: &Arc<App>, socket: TcpStream, peer: SocketAddr, cut: &CancellationToken) {
    let metrics = &app.calls.metrics;
    let Some(place) = app.calls.connections.enter(peer.ip()) else {
        metrics.connections_refused.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(%peer, "too many connections");
        return;
    };
    metrics.connections_total.fetch_add(1, Ordering::Relaxed);
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%peer, %error, "a connection without TCP_NODELAY");
    }
    let stream = Stream::new(socket, peer.ip(), app.calls.clone(), cut, place);
    tokio::spawn(serve(app.clone(), stream, peer));
}

async fn serve(app: Arc<App>, stream: Stream, peer: SocketAddr) {
    let limits = &app.calls.config.limits;
    let calls = Arc::new(Semaphore::new(
        limits.calls_per_connection.min(Semaphore::MAX_PERMITS),
    ));
    let upgrade = stream.upgrade_flag();
    let is_first = AtomicBool::new(true);
    let service = service_fn(|request| {
        let (app, calls) = (app.clone(), calls.clone());
        let is_first = is_first.swap(false, Ordering::Relaxed);
        // At once, not in the future below: the next bytes may be read before that is begun.
        if is_first && is_upgrade_request(&request) {
            upgrade.store(true, Ordering::Relaxed);
        }
        async move { Ok::<_, Infallible>(app.handle(request, peer, calls, is_first).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_headers(limits.headers)
        .max_header_size(limits.header_bytes)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = app.calls.stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection broke off");
    }
}
