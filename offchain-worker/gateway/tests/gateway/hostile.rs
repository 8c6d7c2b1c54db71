//! Callers that mean no good, and what they can not take from the others.

use crate::support::*;
use llmesh_gateway::{Reason, Token};
use serde_json::{Value, json};
use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const INFER: &str = "/v2/models/test/echo/infer";

fn infer_body() -> Vec<u8> {
    format!("{{\"inputs\":{ECHO}}}").into_bytes()
}

/// An honest caller is served.
async fn still_serves(server: &Running) {
    let reply = server.post(INFER, "", &infer_body()).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(
        server
            .rpc(r#"{"jsonrpc":"2.0","id":1,"method":"mesh_status"}"#)
            .await
            .json()["result"]
            .is_object()
    );
}

#[tokio::test]
async fn slow_and_half_open_connections_end() {
    let server = start(|c| {
        c.limits.header_timeout = Duration::from_millis(200);
        c.limits.body_timeout = Duration::from_millis(300);
    })
    .await;
    let mut silent = server.connect().await;
    let mut half_head = server.connect().await;
    half_head
        .write_all(b"GET /v2 HTTP/1.1\r\nhost: loc")
        .await
        .unwrap();
    let mut used = server.connect().await;
    used.write_all(b"GET /v2 HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(read_reply(&mut used).await.unwrap().status, 200);
    // Drips: the time is for the whole header, not for the next byte.
    let mut drip = server.connect().await;
    let begun = Instant::now();
    let dripped = tokio::spawn(async move {
        for byte in b"GET /v2/models HTTP/1.1\r\nx: "
            .iter()
            .chain(std::iter::repeat(&b'x'))
            .take(500)
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if drip.write_all(&[*byte]).await.is_err() {
                return true;
            }
        }
        ends(&mut drip).await && begun.elapsed() < Duration::from_secs(5)
    });
    assert!(ends(&mut silent).await && ends(&mut half_head).await && ends(&mut used).await);
    assert!(dripped.await.unwrap());

    for path in [INFER, "/"] {
        let mut slow = server.connect().await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
        );
        slow.write_all(head.as_bytes()).await.unwrap();
        let reply = read_reply(&mut slow).await.unwrap();
        assert_eq!(reply.status, 408, "{path}");
        assert!(ends(&mut slow).await);
    }
    still_serves(&server).await;
    until("nothing is held", || {
        server.metrics.snapshot().buffered_bytes == 0
    })
    .await;
    assert_eq!(server.metrics.snapshot().refused[&Reason::SlowRequest], 2);
}

#[tokio::test]
async fn too_much_is_refused_before_it_is_read() {
    let server = start(|c| c.limits.body_bytes = 10_000).await;
    for (path, kind) in [(INFER, "application/octet-stream"), ("/", "application/json")] {
        for length in ["10001", "18446744073709551615", "4294967297"] {
            let mut stream = server.connect().await;
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            let reply = read_reply(&mut stream).await.unwrap();
            // The largest number is not even a length to the HTTP library.
            assert!(
                matches!(reply.status, 413 | 431),
                "{path} {length}: {}",
                reply.status
            );
            assert!(ends(&mut stream).await);
        }
        // Bytes that are under way when the refusal comes do not hide it.
        let mut stream = server.connect().await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {kind}\r\ncontent-length: 300000\r\n\r\n"
        );
        stream
            .write_all(&[head.as_bytes(), &vec![b' '; 300_000]].concat())
            .await
            .unwrap();
        assert_eq!(read_reply(&mut stream).await.unwrap().status, 413);
        // Nothing declared.
        let mut stream = server.connect().await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n"
        );
        stream
            .write_all(&[head.as_bytes(), b"2711\r\n", &vec![b' '; 10_001]].concat())
            .await
            .unwrap();
        assert_eq!(read_reply(&mut stream).await.unwrap().status, 413);
    }
    // Not even asked to go on.
    let mut stream = server.connect().await;
    let head = format!(
        "POST {INFER} HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 99999\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(read_reply(&mut stream).await.unwrap().status, 413);
    still_serves(&server).await;
    until("nothing is held", || {
        server.metrics.snapshot().buffered_bytes == 0
    })
    .await;
}

#[tokio::test]
async fn garbage_and_floods_of_headers_are_refused() {
    let server = start(|_| {}).await;
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03garbage\r\n\r\n"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: abc\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: gzip\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut stream = server.connect().await;
        stream.write_all(garbage).await.unwrap();
        let reply = read_reply(&mut stream).await;
        assert!(reply.is_none_or(|r| r.status >= 400), "{garbage:?}");
        assert!(ends(&mut stream).await);
    }
    let many: String = (0..65).map(|i| format!("x{i}: 1\r\n")).collect();
    let reply = server
        .send(format!("GET /v2 HTTP/1.1\r\nhost: localhost\r\n{many}\r\n").as_bytes())
        .await;
    assert_eq!(reply.status, 431);
    let long = format!(
        "GET /v2 HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n",
        "y".repeat(20_000)
    );
    assert_eq!(server.send(long.as_bytes()).await.status, 431);
    // One that never ends.
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /v2 HTTP/1.1\r\nhost: localhost\r\n")
        .await
        .unwrap();
    let mut taken = 0;
    while stream
        .write_all(&b"x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(100))
        .await
        .is_ok()
    {
        taken += 4600;
        assert!(taken < 64 << 20, "it takes headers without end");
    }
    let reply = server.get(&format!("/v2/models/{}/x", "a".repeat(2000))).await;
    assert_eq!(reply.status, 414);
    still_serves(&server).await;
}

#[tokio::test]
async fn deep_json_is_harmless() {
    let server = start(|_| {}).await;
    for depth in [200, 100_000] {
        let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let objects = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        for nest in [&deep, &objects] {
            for body in [
                nest.clone(),
                format!("{{\"inputs\":{nest}}}"),
                format!(
                    "{{\"inputs\":[{{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1],\"data\":{nest}}}]}}"
                ),
                format!("{{\"inputs\":[],\"parameters\":{nest}}}"),
                format!("{{\"inputs\":[],\"z\":{nest}}}"),
            ] {
                assert_eq!(server.post(INFER, "", body.as_bytes()).await.status, 400);
            }
            for body in [
                nest.clone(),
                format!("[{nest}]"),
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"mesh_infer","params":{nest}}}"#),
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"mesh_infer","params":{{"model":{nest}}}}}"#),
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"mesh_models","params":{nest}}}"#),
                format!(r#"{{"jsonrpc":"2.0","id":{nest},"method":"mesh_models"}}"#),
            ] {
                let reply = server.rpc(&body).await;
                // With an id that is none it counts as a notification, which is never answered.
                if body.contains("\"id\":[") || body.contains("\"id\":{") {
                    assert!(reply.body.is_empty());
                    continue;
                }
                let reply = reply.json();
                let error = if reply.is_array() {
                    &reply[0]["error"]
                } else {
                    &reply["error"]
                };
                assert!(error["code"].is_i64(), "{reply}");
            }
        }
    }
    still_serves(&server).await;
}

#[tokio::test]
async fn other_names_and_pages_are_kept_out() {
    let server = start(|c| {
        c.hosts = vec!["mesh.example.org".into()];
        c.origins = vec!["https://app.example.org".into()];
    })
    .await;
    let port = server.address.port();
    let with_host = async |host: &str| {
        server
            .send(format!("GET /v2 HTTP/1.1\r\n{host}\r\n\r\n").as_bytes())
            .await
            .status
    };
    for good in [
        "host: localhost".to_owned(),
        format!("host: localhost:{port}"),
        format!("host: 127.0.0.1:{port}"),
        "host: LOCALHOST".into(),
        format!("host: [::1]:{port}"),
        "host: mesh.example.org".into(),
        "host: Mesh.Example.org:443".into(),
    ] {
        assert_eq!(with_host(&good).await, 200, "{good}");
    }
    for bad in [
        "host: evil.example.com",
        "host: localhost.evil.example.com",
        "host: evil.example.com:80",
        "host: 127.0.0.1.evil.example.com",
        "host: 127.0.0.2",
        "host:",
        "host: localhost:80:90",
    ] {
        assert_eq!(with_host(bad).await, 403, "{bad}");
    }
    assert_eq!(with_host("host: localhost\r\nhost: localhost").await, 400);
    assert_eq!(with_host("x: y").await, 400);
    let absolute = "GET http://evil.example.com/v2 HTTP/1.1\r\nhost: localhost\r\n\r\n";
    assert_eq!(server.send(absolute.as_bytes()).await.status, 403);

    // A page's form can send without asking, so the request itself is refused.
    let evil = "origin: https://evil.example.com\r\n";
    let reply = server
        .post(
            INFER,
            &format!("{evil}content-type: text/plain\r\n"),
            &infer_body(),
        )
        .await;
    assert_eq!(
        (reply.status, reply.header("access-control-allow-origin")),
        (403, None)
    );
    assert_eq!(
        server.post(INFER, "origin: null\r\n", &infer_body()).await.status,
        403
    );
    assert_eq!(
        Socket::open(server.address, evil).await.err().unwrap().status,
        403
    );
    assert!(server.script.asked.lock().unwrap().is_empty());
    let ask = |origin: &str| {
        format!(
            "OPTIONS {INFER} HTTP/1.1\r\nhost: localhost\r\norigin: {origin}\r\naccess-control-request-method: POST\r\n\r\n"
        )
    };
    assert_eq!(
        server
            .send(ask("https://evil.example.com").as_bytes())
            .await
            .status,
        403
    );

    let good = "https://app.example.org";
    let reply = server.send(ask(good).as_bytes()).await;
    assert_eq!(
        (reply.status, reply.header("access-control-allow-origin")),
        (204, Some(good))
    );
    assert!(
        reply
            .header("access-control-allow-headers")
            .unwrap()
            .contains("authorization")
    );
    let reply = server
        .post(INFER, &format!("origin: {good}\r\n"), &infer_body())
        .await;
    assert_eq!(
        (reply.status, reply.header("access-control-allow-origin")),
        (200, Some(good))
    );
    assert!(
        Socket::open(server.address, &format!("origin: {good}\r\n"))
            .await
            .is_ok()
    );
    // Without a page there is nothing to allow.
    assert_eq!(
        server.get("/v2").await.header("access-control-allow-origin"),
        None
    );
}

#[tokio::test]
async fn rates_are_bounded_for_each_address() {
    let server = start(|c| {
        c.limits.requests_per_second = 1;
        c.limits.burst = 5;
    })
    .await;
    let mut codes = Vec::new();
    for _ in 0..7 {
        let reply = server.get("/v2").await;
        if reply.status == 429 {
            assert_eq!(reply.header("retry-after"), Some("1"));
            assert_eq!(reply.json()["reason"], "rateLimited");
        }
        codes.push(reply.status);
    }
    assert_eq!(codes[..5], [200; 5]);
    assert_eq!(codes[5..], [429; 2]);
    assert!(server.metrics.snapshot().refused[&Reason::RateLimited] >= 2);
}

#[tokio::test]
async fn rates_count_each_call_of_a_socket_or_batch() {
    let server = start(|c| {
        c.limits.requests_per_second = 1;
        c.limits.burst = 5;
    })
    .await;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"mesh_status"}"#;
    let mut socket = Socket::open(server.address, "").await.unwrap();
    // The handshake paid for the first.
    for i in 0..7 {
        socket.send(call).await;
        let reply = socket.receive().await.unwrap();
        assert_eq!(reply["error"]["code"].as_i64(), (i > 4).then_some(4290), "{i}");
        assert!(i <= 4 || reply["error"]["data"]["retryAfterMs"].as_u64().unwrap() <= 1000);
    }
    let server = start(|c| {
        c.limits.requests_per_second = 1;
        c.limits.burst = 5;
    })
    .await;
    let replies = server.rpc(&format!("[{}]", [call; 7].join(","))).await.json();
    let refused = replies
        .as_array()
        .unwrap()
        .iter()
        .filter(|r| r["error"]["code"] == 4290)
        .count();
    assert_eq!(refused, 2);
}

#[tokio::test]
async fn connections_are_bounded_for_each_address_and_places_come_back() {
    let server = start(|c| {
        c.limits.connections_per_address = 3;
        c.limits.websockets_per_address = 1;
    })
    .await;
    let socket = Socket::open(server.address, "").await.unwrap();
    let refused = Socket::open(server.address, "").await.err().unwrap();
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    let _one = server.connect().await;
    let two = server.connect().await;
    until("all are in", || server.metrics.snapshot().connections == 3).await;
    assert!(ends(&mut server.connect().await).await);
    assert_eq!(server.metrics.snapshot().connections_refused, 1);
    drop(two);
    until("one is out", || server.metrics.snapshot().connections == 2).await;
    still_serves_once(&server).await;
    drop(socket);
    until("the socket is out", || server.metrics.snapshot().websockets == 0).await;
    assert!(Socket::open(server.address, "").await.is_ok());
}

async fn still_serves_once(server: &Running) {
    assert_eq!(server.get("/v2").await.status, 200);
}

#[tokio::test]
async fn calls_are_bounded_everywhere() {
    let server = start(|c| {
        c.limits.calls = 2;
        c.limits.calls_per_connection = 1;
    })
    .await;
    let gate = format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"mesh_infer","params":{{"model":"test/gate","inputs":{ECHO}}}}}"#
    );
    let mut first = Socket::open(server.address, "").await.unwrap();
    first.send(&gate).await;
    until("one waits", || server.script.waiting.load(Ordering::SeqCst) == 1).await;
    first.send(&gate).await;
    let reply = first.receive().await.unwrap();
    assert_eq!((&reply["error"]["code"], &reply["id"]), (&json!(5030), &json!(7)));
    let mut second = Socket::open(server.address, "").await.unwrap();
    second.send(&gate).await;
    until("two wait", || server.script.waiting.load(Ordering::SeqCst) == 2).await;
    let reply = server.post(INFER, "", &infer_body()).await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
    server.script.gate.0.add_permits(2);
    assert!(first.receive().await.unwrap()["result"].is_object());
    assert!(second.receive().await.unwrap()["result"].is_object());
    still_serves(&server).await;
}

#[tokio::test]
async fn memory_is_bounded() {
    let server = start(|c| c.limits.buffered_bytes = 50_000).await;
    // Two who begin large bodies and do not end them.
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = server.connect().await;
        let head = format!("POST {INFER} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n");
        stream
            .write_all(&[head.as_bytes(), &[b' '; 20_000]].concat())
            .await
            .unwrap();
        held.push(stream);
    }
    until("both are held", || {
        server.metrics.snapshot().buffered_bytes == 40_000
    })
    .await;
    let large = [infer_body(), vec![b' '; 20_000]].concat();
    let reply = server.post(INFER, "", &large).await;
    assert_eq!(
        (reply.status, reply.json()["reason"].as_str()),
        (503, Some("overloaded"))
    );
    // Small ones still fit, and with the two gone the large one does.
    still_serves(&server).await;
    drop(held);
    until("they are given back", || {
        server.metrics.snapshot().buffered_bytes == 0
    })
    .await;
    assert_eq!(server.post(INFER, "", &large).await.status, 200);
    // Calls by WebSocket count as well, by their parameters.
    let mut socket = Socket::open(server.address, "").await.unwrap();
    let text = "A".repeat(60_000);
    socket
        .send(&format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"mesh_forward","params":["0x","{text}"]}}"#
        ))
        .await;
    assert_eq!(socket.receive().await.unwrap()["error"]["code"], 5030);
    until("all is given back", || {
        server.metrics.snapshot().buffered_bytes == 0
    })
    .await;
}

#[tokio::test]
async fn hostile_sockets_are_bounded() {
    let server = start(|c| {
        c.limits.message_bytes = 20_000;
        c.limits.ping_interval = Duration::from_millis(200);
        c.limits.write_timeout = Duration::from_millis(500);
    })
    .await;
    // Announces more than a message can have: out, before the memory is taken.
    let mut large = Socket::open(server.address, "").await.unwrap();
    large.0.write_all(&Socket::head(1, 20_001)).await.unwrap();
    assert!(ends(&mut large.0).await);
    // Announces without end, and sends nothing: not for long.
    let mut liar = Socket::open(server.address, "").await.unwrap();
    liar.0.write_all(&Socket::head(1, u64::MAX >> 1)).await.unwrap();
    assert!(ends(&mut liar.0).await);
    let mut slow = Socket::open(server.address, "").await.unwrap();
    slow.0
        .write_all(&[Socket::head(1, 100), vec![b'{'; 10]].concat())
        .await
        .unwrap();
    assert!(ends(&mut slow.0).await);
    // Garbage instead of frames.
    let mut garbage = Socket::open(server.address, "").await.unwrap();
    garbage.0.write_all(&[0xff; 100]).await.unwrap();
    assert!(ends(&mut garbage.0).await);
    let mut words = Socket::open(server.address, "").await.unwrap();
    for text in ["nonsense", "{", "[[[[", "", "{}"] {
        words.send(text).await;
        assert!(words.receive().await.unwrap()["error"]["code"].is_i64(), "{text}");
    }
    // Frames that come along with the handshake, or after empty lines, are seen as well.
    for before in ["", "\r\n\r\n"] {
        let mut early = server.connect().await;
        let head = format!(
            "{before}GET / HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n"
        );
        let call = r#"{"jsonrpc":"2.0","id":5,"method":"mesh_status"}"#;
        let frame = [Socket::head(1, call.len() as u64), call.as_bytes().to_vec()].concat();
        early
            .write_all(&[head.as_bytes(), &frame].concat())
            .await
            .unwrap();
        assert_eq!(
            read_reply(&mut early).await.map(|r| r.status),
            Some(101),
            "{before:?}"
        );
        early.write_all(&Socket::head(1, 20_001)).await.unwrap();
        assert!(ends(&mut early).await, "{before:?}");
        let mut early = server.connect().await;
        early
            .write_all(&[head.as_bytes(), &frame, &Socket::head(1, 20_001)].concat())
            .await
            .unwrap();
        assert!(ends(&mut early).await, "{before:?}");
    }
    // A second request on a connection can not become one.
    let mut second = server.connect().await;
    second
        .write_all(b"GET /v2 HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(read_reply(&mut second).await.unwrap().status, 200);
    second
        .write_all(
            b"GET / HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
              sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n",
        )
        .await
        .unwrap();
    assert_eq!(read_reply(&mut second).await.unwrap().status, 400);
    // Nothing but pings, and messages that are no calls: a flood of frames is out as well.
    for flood in [Socket::head(9, 0), [Socket::head(1, 1), vec![b'x']].concat()] {
        let mut socket = Socket::open(server.address, "").await.unwrap();
        let begun = Instant::now();
        while socket.0.write_all(&flood.repeat(1000)).await.is_ok() {
            assert!(begun.elapsed() < PATIENCE, "it is let go on");
        }
    }
    // Asks without end and never listens. When the way back is full nothing more is read of it, and then it is out.
    let mut deaf = Socket::open(server.address, "").await.unwrap();
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"mesh_quote","params":["test/echo","1.2.0",64]}"#;
    let frame = [Socket::head(1, call.len() as u64), call.as_bytes().to_vec()]
        .concat()
        .repeat(100);
    let begun = Instant::now();
    while deaf.0.write_all(&frame).await.is_ok() {
        assert!(begun.elapsed() < PATIENCE, "it is let go on");
    }
    until("they are all out", || server.metrics.snapshot().connections == 0).await;
    until("nothing is held", || {
        let now = server.metrics.snapshot();
        (now.websockets, now.buffered_bytes, now.calls_running) == (0, 0, 0)
    })
    .await;
    still_serves(&server).await;
}

#[tokio::test]
async fn a_reader_that_stops_is_cut_off() {
    let server = start(|c| c.limits.write_timeout = Duration::from_millis(300)).await;
    let sealed = "A".repeat(14 << 20);
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"mesh_forward","params":["0x","{sealed}"]}}"#);
    let mut stream = server.connect().await;
    stream
        .write_all(&request(
            "POST",
            "/",
            "content-type: application/json\r\n",
            body.as_bytes(),
        ))
        .await
        .unwrap();
    until("it is forwarded", || {
        server.script.forwarded.lock().unwrap().len() == 1
    })
    .await;
    // 14 MiB of answer do not fit what the system keeps for it.
    until("it is cut off", || server.metrics.snapshot().connections == 0).await;
    let mut rest = Vec::new();
    let whole = stream.read_to_end(&mut rest).await.is_ok() && rest.len() > 14 << 20;
    assert!(!whole);
}

#[tokio::test]
async fn money_is_spent_for_the_token_only() {
    const SECRET: &str = "a-secret-of-some-length";
    let server = start(|c| c.token = Some(Token::new(SECRET).unwrap())).await;
    let auth = |token: &str| format!("authorization: Bearer {token}\r\n");
    let reply = server.post(INFER, "", &infer_body()).await;
    assert_eq!(
        (reply.status, reply.header("www-authenticate")),
        (401, Some("Bearer"))
    );
    for wrong in [
        "",
        "a-secret-of-some-lengti",
        "a-secret-of-some-length2",
        "A-SECRET-OF-SOME-LENGTH",
    ] {
        assert_eq!(
            server.post(INFER, &auth(wrong), &infer_body()).await.status,
            401,
            "{wrong}"
        );
    }
    let basic = "authorization: Basic YTpi\r\n";
    assert_eq!(server.post(INFER, basic, &infer_body()).await.status, 401);
    assert!(server.script.asked.lock().unwrap().is_empty());
    assert_eq!(server.post(INFER, &auth(SECRET), &infer_body()).await.status, 200);
    assert_eq!(
        server
            .post(
                INFER,
                &format!("authorization: bearer {SECRET}\r\n"),
                &infer_body()
            )
            .await
            .status,
        200
    );

    // The rest is open, but not to a wrong token.
    assert_eq!(server.get("/v2/models/test/echo").await.status, 200);
    let wrong = format!(
        "GET /v2/models HTTP/1.1\r\nhost: localhost\r\n{}\r\n",
        auth("wrong")
    );
    assert_eq!(server.send(wrong.as_bytes()).await.status, 401);
    let call = |method: &str, params: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#)
    };
    let infer = call(
        "mesh_infer",
        &format!(r#"{{"model":"test/echo","inputs":{ECHO}}}"#),
    );
    assert_eq!(server.rpc(&infer).await.json()["error"]["code"], 4010);
    assert!(
        server
            .rpc(&call("mesh_forward", r#"["0x01","AQID"]"#))
            .await
            .json()["result"]
            .is_string()
    );
    let mut socket = Socket::open(server.address, "").await.unwrap();
    socket
        .send(&infer.replace("mesh_infer", "mesh_subscribeInfer"))
        .await;
    let mut last = Value::Null;
    while last["params"]["result"]["event"] != "error" {
        last = socket.receive().await.unwrap();
    }
    assert_eq!(
        last["params"]["result"]["error"]["data"]["reason"],
        "unauthorized"
    );
    let mut socket = Socket::open(server.address, &auth(SECRET)).await.unwrap();
    socket.send(&infer).await;
    assert!(socket.receive().await.unwrap()["result"].is_object());
    assert_eq!(server.script.asked.lock().unwrap().len(), 3);

    // Or closed altogether, health apart.
    let server = start(|c| {
        c.token = Some(Token::new(SECRET).unwrap());
        c.open_without_token = false;
    })
    .await;
    assert_eq!(server.get("/v2/models/test/echo").await.status, 401);
    assert_eq!(server.get("/v2/health/ready").await.status, 200);
    for method in ["mesh_models", "mesh_status"] {
        assert_eq!(
            server.rpc(&call(method, "[]")).await.json()["error"]["code"],
            4010
        );
    }
    assert_eq!(
        server
            .rpc(&call("mesh_forward", r#"["0x01","AQID"]"#))
            .await
            .json()["error"]["code"],
        4010
    );
    assert!(server.script.forwarded.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_open_port_without_a_token_pays_for_nobody() {
    let server = start(|c| c.listen = ([0, 0, 0, 0], 0).into()).await;
    let reply = server.post(INFER, "", &infer_body()).await;
    assert_eq!(reply.status, 401);
    assert!(reply.error().contains("no token"), "{}", reply.error());
    assert_eq!(server.get("/v2/models/test/echo").await.status, 200);
    // Any name will do on a public address that has no list.
    assert_eq!(
        server
            .send(b"GET /v2 HTTP/1.1\r\nhost: any.example.org\r\n\r\n")
            .await
            .status,
        200
    );
    assert!(server.script.asked.lock().unwrap().is_empty());
    let server = start(|c| {
        c.listen = ([0, 0, 0, 0], 0).into();
        c.anyone_may_spend = true;
    })
    .await;
    assert_eq!(server.post(INFER, "", &infer_body()).await.status, 200);
}
