//! Beginning and end.

use crate::support::*;
use llmesh_gateway::{GatewayConfig, Server};
use serde_json::json;
use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};
use tokio::{io::AsyncWriteExt, net::TcpStream};

fn gate() -> String {
    format!(r#"{{"model":"test/gate","inputs":{ECHO}}}"#)
}

fn call(method: &str, id: u32, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#)
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let server = start(|_| {}).await;
    let config = GatewayConfig {
        listen: server.address,
        ..GatewayConfig::default()
    };
    let error = Server::bind(config, Arc::new(Script::default()))
        .await
        .err()
        .unwrap();
    assert!(error.to_string().contains(&server.address.to_string()), "{error}");
}

#[tokio::test]
async fn what_is_begun_is_finished_and_nothing_else_is_begun() {
    let mut server = start(|_| {}).await;
    let address = server.address;
    // One of each kind at work, idle ones beside them.
    let mut http = server.connect().await;
    http.write_all(&request(
        "POST",
        "/v2/models/test/gate/infer",
        "",
        format!("{{\"inputs\":{ECHO}}}").as_bytes(),
    ))
    .await
    .unwrap();
    let mut socket = Socket::open(address, "").await.unwrap();
    socket.send(&call("mesh_infer", 1, &gate())).await;
    let mut subscriber = Socket::open(address, "").await.unwrap();
    subscriber.send(&call("mesh_subscribeInfer", 1, &gate())).await;
    let mut idle = server.connect().await;
    let mut idle_socket = Socket::open(address, "").await.unwrap();
    let mut half_open = server.connect().await;
    half_open.write_all(b"POST / HTTP/1.1\r\nhos").await.unwrap();
    until("all are at work", || {
        server.script.waiting.load(Ordering::SeqCst) == 3
    })
    .await;

    server.begin_stop();
    assert!(ends(&mut idle).await);
    until("nobody is let in", || {
        std::net::TcpStream::connect(address).is_err()
    })
    .await;
    // An open connection gets no new call done.
    idle_socket.send(&call("mesh_status", 2, "[]")).await;
    assert_eq!(
        idle_socket.receive().await.unwrap()["error"]["data"]["reason"],
        "stopping"
    );

    server.script.gate.0.add_permits(3);
    let reply = read_reply(&mut http).await.unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(socket.receive().await.unwrap()["result"]["model"], "test/gate");
    let mut last = json!(null);
    while let Some(message) = subscriber.receive().await {
        last = message;
    }
    assert_eq!(last["params"]["result"]["event"], "result");
    assert!(ends(&mut http).await);
    assert!(socket.receive().await.is_none() && idle_socket.receive().await.is_none());
    half_open.write_all(b"t: localhost\r\n\r\n").await.ok();
    let script = server.stopped().await;
    assert_eq!(script.dropped.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn the_end_does_not_wait_for_ever() {
    let mut server = start(|c| c.limits.shutdown = Duration::from_millis(300)).await;
    let mut http = server.connect().await;
    http.write_all(&request(
        "POST",
        "/v2/models/test/gate/infer",
        "",
        format!("{{\"inputs\":{ECHO}}}").as_bytes(),
    ))
    .await
    .unwrap();
    let mut socket = Socket::open(server.address, "").await.unwrap();
    socket.send(&call("mesh_infer", 1, &gate())).await;
    let mut half_open = server.connect().await;
    half_open
        .write_all(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\nabc")
        .await
        .unwrap();
    let _deaf = Socket::open(server.address, "").await.unwrap();
    until("both are at work", || {
        server.script.waiting.load(Ordering::SeqCst) == 2
    })
    .await;

    let begun = Instant::now();
    server.begin_stop();
    let reply = read_reply(&mut http).await.unwrap();
    assert_eq!(
        (reply.status, reply.json()["reason"].as_str()),
        (503, Some("stopping"))
    );
    assert_eq!(socket.receive().await.unwrap()["error"]["code"], 5033);
    let metrics = server.metrics.clone();
    let script = server.stopped().await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(script.dropped.load(Ordering::SeqCst), 2);
    assert_eq!(
        (metrics.snapshot().connections, metrics.snapshot().buffered_bytes),
        (0, 0)
    );
    assert!(ends(&mut half_open).await);
}

#[tokio::test]
async fn it_ends_at_once_when_nobody_is_there() {
    let mut server = start(|_| {}).await;
    drop(TcpStream::connect(server.address).await.unwrap());
    let begun = Instant::now();
    server.begin_stop();
    server.stopped().await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}
