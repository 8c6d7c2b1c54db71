//! `/metrics` and `/health`, and nothing else.

use crate::{Status, WorkerError, metrics::Metrics};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

const DEADLINE: Duration = Duration::from_secs(5);
const MAX_REQUEST_BYTES: usize = 8 * 1024;
const MAX_CONNECTIONS: usize = 32;

/// Takes the port, before anything else is begun.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, WorkerError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| WorkerError::Port { address, source })
}

/// Answers until it is dropped.
pub(crate) async fn serve(listener: TcpListener, metrics: Metrics, status: watch::Receiver<Status>) {
    let mut connections = JoinSet::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "a connection to the metrics port failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        while connections.len() >= MAX_CONNECTIONS {
            connections.join_next().await;
        }
        let (metrics, status) = (metrics.clone(), status.clone());
        connections.spawn(async move {
            let answered = tokio::time::timeout(DEADLINE, answer(stream, &metrics, &status)).await;
            if !matches!(answered, Ok(Ok(()))) {
                tracing::debug!(?answered, "a request to the metrics port was not answered");
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(
    mut stream: TcpStream,
    metrics: &Metrics,
    status: &watch::Receiver<Status>,
) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut chunk = [0; 1024];
    while !request.windows(4).any(|w| w == b"\r\n\r\n") && request.len() < MAX_REQUEST_BYTES {
        match stream.read(&mut chunk).await? {
            0 => break,
            n => request.extend_from_slice(chunk.get(..n).unwrap_or_default()),
        }
    }
    let line = request.split(|b| *b == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = path.split('?').next().unwrap_or_default();
    let (code, kind, body) = match (method, path) {
        ("GET" | "HEAD", "/metrics") => ("200 OK", "text/plain; version=0.0.4", metrics.render()),
        ("GET" | "HEAD", "/health") => {
            let status = status.borrow().clone();
            let code = if status.is_healthy() {
                "200 OK"
            } else {
                "503 Service Unavailable"
            };
            let mut document = status.to_json();
            if let (Some(object), Some(net)) = (document.as_object_mut(), metrics.net_json()) {
                object.insert("mesh".into(), net);
            }
            (code, "application/json", format!("{document}\n"))
        }
        ("GET" | "HEAD", _) => (
            "404 Not Found",
            "text/plain",
            "there is /metrics and /health\n".into(),
        ),
        _ => ("405 Method Not Allowed", "text/plain", "only GET\n".into()),
    };
    let head = format!(
        "HTTP/1.1 {code}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    if method != "HEAD" {
        stream.write_all(body.as_bytes()).await?;
    }
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn get(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn health_and_metrics_are_served_and_a_taken_port_is_named() {
        let listener = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let error = bind(address).await.unwrap_err().to_string();
        assert!(
            error.contains(&address.to_string()) && error.contains("--prometheus-port"),
            "{error}"
        );

        let (sender, receiver) = watch::channel(Status::starting("account".into()));
        let server = tokio::spawn(serve(listener, Metrics::new().unwrap(), receiver));
        assert!(
            get(address, "GET /health HTTP/1.1\r\n\r\n")
                .await
                .starts_with("HTTP/1.1 503")
        );
        sender.send_modify(|s| s.state = crate::State::Idle);
        let health = get(address, "GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(
            health.starts_with("HTTP/1.1 200") && health.contains("\"state\":\"idle\""),
            "{health}"
        );
        assert!(
            get(address, "GET /metrics HTTP/1.0\r\n\r\n")
                .await
                .contains("llmesh_worker_jobs_total")
        );
        assert!(
            get(address, "GET / HTTP/1.0\r\n\r\n")
                .await
                .starts_with("HTTP/1.1 404")
        );
        assert!(
            get(address, "POST /metrics HTTP/1.0\r\n\r\n")
                .await
                .starts_with("HTTP/1.1 405")
        );
        server.abort();
    }
}
