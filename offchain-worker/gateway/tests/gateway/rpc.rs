//! The JSON-RPC face.

use crate::support::*;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use codec::Decode;
use jsonrpsee::{
    core::{
        ClientError,
        client::{ClientT, SubscriptionClientT},
        params::{ArrayParams, ObjectParams},
    },
    http_client::HttpClientBuilder,
    rpc_params,
    types::ErrorObjectOwned,
    ws_client::WsClientBuilder,
};
use llmesh_gateway::{ErrorData, ModelInfo, QuoteInfo, Reason, RouteInfo, StatusInfo};
use llmesh_primitives::Priority;
use llmesh_proofs::SignedReceipt;
use serde_json::{Value, json};
use sp_runtime::Perbill;
use std::{sync::atomic::Ordering, time::Duration};

fn object(value: Value) -> ObjectParams {
    let mut params = ObjectParams::new();
    for (name, value) in value.as_object().unwrap() {
        params.insert(name, value).unwrap();
    }
    params
}

fn echo() -> Value {
    json!({"model": "test/echo", "inputs": serde_json::from_str::<Value>(ECHO).unwrap()})
}

fn error_of(error: ClientError) -> (ErrorObjectOwned, ErrorData) {
    match error {
        ClientError::Call(error) => {
            let data = serde_json::from_str(error.data().expect("no data").get()).unwrap();
            (error, data)
        }
        other => panic!("{other:?}"),
    }
}

async fn every_method(client: &impl ClientT) {
    let models: Vec<ModelInfo> = client.request("mesh_models", rpc_params![]).await.unwrap();
    assert_eq!(models.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), MODELS);
    let model: ModelInfo = client
        .request("mesh_model", rpc_params!["test/echo", "1.0.0"])
        .await
        .unwrap();
    assert_eq!((model.version, model.versions.len()), (v(1, 0, 0), 2));
    assert_eq!(model.price.unwrap().highest, PRICE);
    assert_eq!(model.inputs[0].shape, [-1, 3]);

    for params in [
        object(json!({"model": "test/echo", "maxHosts": 3})),
        object(json!({"model": "test/echo", "version": "1.2.0", "maxHosts": 3})),
    ] {
        let quote: QuoteInfo = client.request("mesh_quote", params).await.unwrap();
        assert_eq!((quote.hosts.len(), quote.hosts[0].price), (3, PRICE));
        assert_eq!(quote.hosts[0].reputation, Perbill::from_percent(90));
    }
    let quote: QuoteInfo = client
        .request("mesh_quote", rpc_params!["test/echo"])
        .await
        .unwrap();
    assert_eq!(quote.hosts.len(), 8);

    let status: StatusInfo = client.request("mesh_status", ArrayParams::new()).await.unwrap();
    assert!(status.ready && status.channels[0].available == PRICE);

    let params = object(json!({"model": "test/echo", "maxPrice": "18446744073709551616"}));
    let routes: Vec<RouteInfo> = client.request("mesh_routes", params).await.unwrap();
    assert_eq!((routes[0].price, routes[0].key), (1 << 64, [0x11; 32]));
    assert_eq!(routes[0].key_id, llmesh_protocol::KeyId::of(&[0x11; 32]));

    let sealed = BASE64.encode([1, 2, 3]);
    for params in [
        object(json!({"header": "0x0102", "sealed": sealed})),
        object(json!({"sealed": sealed, "header": "0x0102"})),
    ] {
        let answer: String = client.request("mesh_forward", params).await.unwrap();
        assert_eq!(BASE64.decode(answer).unwrap(), [3, 2, 1]);
    }
    let answer: String = client
        .request("mesh_forward", rpc_params!["0x0102", &sealed])
        .await
        .unwrap();
    assert_eq!(BASE64.decode(answer).unwrap(), [3, 2, 1]);

    for answer in [
        client
            .request::<Value, _>("mesh_infer", object(echo()))
            .await
            .unwrap(),
        client
            .request::<Value, _>("mesh_infer", rpc_params![echo()])
            .await
            .unwrap(),
        client
            .request::<Value, _>("mesh_infer", rpc_params!["test/echo", echo()["inputs"].clone()])
            .await
            .unwrap(),
    ] {
        assert_eq!(
            (&answer["model"], &answer["version"]),
            (&json!("test/echo"), &json!("1.2.0"))
        );
        assert_eq!(answer["price"], PRICE.to_string());
        // In the signature's order, exact.
        let outputs = &answer["outputs"];
        assert_eq!(
            (&outputs[0]["name"], &outputs[0]["datatype"]),
            (&json!("x"), &json!("FP32"))
        );
        assert_eq!(outputs[0]["data"], json!([1.0, 2.5, -3.0]));
        assert_eq!(outputs[1]["data"], json!([i64::MIN, i64::MAX]));
        let receipt = hex::decode(answer["receipt"].as_str().unwrap().strip_prefix("0x").unwrap()).unwrap();
        let receipt = SignedReceipt::decode(&mut receipt.as_slice()).unwrap();
        receipt.verify().unwrap();
        receipt.verify_data(&echo_inputs(), &echo_inputs()).unwrap();
        assert_eq!(answer["host"], receipt.host.to_string());
    }
    let list: Value = client.request("rpc_methods", rpc_params![]).await.unwrap();
    assert!(list["methods"].as_array().unwrap().contains(&json!("mesh_infer")));
}

#[tokio::test]
async fn every_method_works_by_http_and_by_websocket() {
    let server = start(|_| {}).await;
    for path in ["/", "/rpc"] {
        let client = HttpClientBuilder::new()
            .build(format!("http://{}{path}", server.address))
            .unwrap();
        every_method(&client).await;
        let client = WsClientBuilder::new()
            .build(format!("ws://{}{path}", server.address))
            .await
            .unwrap();
        every_method(&client).await;
    }
    let metrics = server.metrics.snapshot();
    use llmesh_gateway::metrics::{Face, Method};
    assert_eq!(metrics.calls[&(Face::Rpc, Method::Infer, None)], 12);
    assert_eq!(metrics.latency[&(Face::Rpc, Method::Infer)].count, 12);
    assert_eq!(metrics.calls[&(Face::Rpc, Method::Forward, None)], 12);
    until("all is given back", || {
        let now = server.metrics.snapshot();
        (now.calls_running, now.buffered_bytes) == (0, 0)
    })
    .await;
}

#[tokio::test]
async fn what_is_asked_for_reaches_the_node() {
    let server = start(|_| {}).await;
    let client = HttpClientBuilder::new()
        .build(format!("http://{}", server.address))
        .unwrap();
    let mut params = echo();
    for (name, value) in [
        ("version", json!("1.0.0")),
        ("maxPrice", json!(PRICE.to_string())),
        ("priority", json!("high")),
        ("minReputation", json!(0.5)),
        ("deadlineMs", json!(1234)),
        ("outputs", json!(["n"])),
        ("encoding", json!("base64")),
    ] {
        params[name] = value;
    }
    let answer: Value = client.request("mesh_infer", object(params)).await.unwrap();
    assert_eq!(answer["outputs"].as_array().unwrap().len(), 1);
    let bytes = BASE64
        .decode(answer["outputs"][0]["bytes"].as_str().unwrap())
        .unwrap();
    assert_eq!(bytes, [i64::MIN.to_le_bytes(), i64::MAX.to_le_bytes()].concat());
    let asked = server.script.asked.lock().unwrap().pop().unwrap();
    assert_eq!((asked.version, asked.max_price), (v(1, 0, 0), Some(PRICE)));
    assert_eq!(
        (asked.priority, asked.min_reputation),
        (Priority::High, Perbill::from_percent(50))
    );
    assert_eq!(asked.deadline, Duration::from_millis(1234));
    assert_eq!(asked.inputs, echo_inputs());
}

#[tokio::test]
async fn half_precision_goes_as_base64() {
    let server = start(|_| {}).await;
    let client = HttpClientBuilder::new()
        .build(format!("http://{}", server.address))
        .unwrap();
    let inputs = |h: Value| {
        object(
            json!({"model": "test/half", "inputs": [h, {"name": "n", "datatype": "INT32", "shape": [1], "data": [1]}]}),
        )
    };
    let params = inputs(json!({"name": "h", "datatype": "FP16", "shape": [2], "bytes": "ADwAwA=="}));
    let answer: Value = client.request("mesh_infer", params).await.unwrap();
    assert_eq!(answer["outputs"][0]["bytes"], "ADwAwA==");
    assert_eq!(answer["outputs"][1]["data"], json!([1]));
    let params = inputs(json!({"name": "h", "datatype": "FP16", "shape": [2], "data": [1, 2]}));
    let error = client
        .request::<Value, _>("mesh_infer", params)
        .await
        .unwrap_err();
    let (error, data) = error_of(error);
    assert_eq!((error.code(), data.reason), (4001, Reason::InvalidTensors));
    assert!(error.message().contains("`h`"), "{error}");
}

#[tokio::test]
async fn errors_have_stable_codes() {
    let server = start(|c| c.limits.max_deadline = Duration::from_secs(2)).await;
    let client = HttpClientBuilder::new()
        .build(format!("http://{}", server.address))
        .unwrap();
    let infer = |change: Value| {
        let mut params = echo();
        for (name, value) in change.as_object().unwrap() {
            params[name] = value.clone();
        }
        ("mesh_infer", params)
    };
    for ((method, params), code, reason, retry) in [
        (
            infer(json!({"model": "test/none"})),
            4041,
            Reason::UnknownModel,
            None,
        ),
        (
            infer(json!({"model": "../etc"})),
            4041,
            Reason::UnknownModel,
            None,
        ),
        (
            infer(json!({"version": "9.9.9"})),
            4042,
            Reason::UnknownVersion,
            None,
        ),
        (
            infer(json!({"version": "newest"})),
            4042,
            Reason::UnknownVersion,
            None,
        ),
        (
            infer(json!({"model": "test/broken"})),
            4220,
            Reason::ModelFailed,
            None,
        ),
        (infer(json!({"model": "test/poor"})), 4020, Reason::NoFunds, None),
        (
            infer(json!({"model": "test/busy"})),
            5031,
            Reason::NoHost,
            Some(2100),
        ),
        (
            infer(json!({"model": "test/late", "deadlineMs": 50})),
            5040,
            Reason::Deadline,
            Some(0),
        ),
        (
            infer(json!({"deadlineMs": 2001})),
            -32602,
            Reason::InvalidRequest,
            None,
        ),
        (
            infer(json!({"deadlineMs": 0})),
            -32602,
            Reason::InvalidRequest,
            None,
        ),
        (
            infer(json!({"maxPryce": "1"})),
            -32602,
            Reason::InvalidRequest,
            None,
        ),
        (
            infer(json!({"maxPrice": 1.5})),
            -32602,
            Reason::InvalidRequest,
            None,
        ),
        (
            infer(json!({"outputs": ["z"]})),
            4001,
            Reason::InvalidTensors,
            None,
        ),
        (infer(json!({"inputs": []})), 4001, Reason::InvalidTensors, None),
        (
            ("mesh_quote", json!({"model": "test/echo", "maxHosts": 0})),
            -32602,
            Reason::InvalidRequest,
            None,
        ),
        (
            ("mesh_quote", json!({"model": "test/echo", "maxHosts": 65})),
            -32602,
            Reason::InvalidRequest,
            None,
        ),
        (
            ("mesh_forward", json!({"header": "01", "sealed": ""})),
            -32602,
            Reason::InvalidRequest,
            None,
        ),
        (
            ("mesh_forward", json!({"header": "0x01", "sealed": "*"})),
            -32602,
            Reason::InvalidRequest,
            None,
        ),
        (
            (
                "mesh_forward",
                json!({"header": format!("0x{}", "00".repeat(755)), "sealed": ""}),
            ),
            4130,
            Reason::TooLarge,
            None,
        ),
        (
            ("mesh_models", json!({"x": 1})),
            -32602,
            Reason::InvalidRequest,
            None,
        ),
    ] {
        let error = client
            .request::<Value, _>(method, object(params.clone()))
            .await
            .unwrap_err();
        let (error, data) = error_of(error);
        assert_eq!(
            (error.code(), data.reason),
            (code, reason),
            "{method} {params}: {error}"
        );
        assert_eq!(
            (data.retry, data.retry_after_ms),
            (retry.is_some(), retry),
            "{method} {params}"
        );
    }
    assert_eq!(
        server.script.dropped.load(Ordering::SeqCst),
        1,
        "the late one is cancelled"
    );
    let error = client
        .request::<Value, _>("mesh_nothing", rpc_params![])
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Call(e) if e.code() == -32601));
}

#[tokio::test]
async fn a_subscription_tells_progress_and_then_the_result() {
    let server = start(|_| {}).await;
    let client = WsClientBuilder::new()
        .build(format!("ws://{}", server.address))
        .await
        .unwrap();
    let mut subscription = client
        .subscribe::<Value, _>("mesh_subscribeInfer", object(echo()), "mesh_unsubscribeInfer")
        .await
        .unwrap();
    let mut stages = Vec::new();
    let answer = loop {
        let event = subscription.next().await.unwrap().unwrap();
        match event["event"].as_str().unwrap() {
            "progress" => stages.push(event["progress"]["stage"].as_str().unwrap().to_owned()),
            "result" => break event["result"].clone(),
            other => panic!("{other}"),
        }
    };
    assert_eq!(stages, ["planned", "sent", "running"]);
    assert_eq!(answer["outputs"][1]["data"], json!([i64::MIN, i64::MAX]));

    // What fails later is an event, what is wrong from the start is the answer to the call.
    let mut params = echo();
    params["model"] = json!("test/poor");
    let mut subscription = client
        .subscribe::<Value, _>("mesh_subscribeInfer", object(params), "mesh_unsubscribeInfer")
        .await
        .unwrap();
    let error = loop {
        let event = subscription.next().await.unwrap().unwrap();
        if event["event"] == "error" {
            break event["error"].clone();
        }
    };
    assert_eq!(
        (&error["code"], &error["data"]["reason"]),
        (&json!(4020), &json!("noFunds"))
    );
    let refused = client
        .subscribe::<Value, _>("mesh_subscribeInfer", rpc_params![1, 2], "mesh_unsubscribeInfer")
        .await
        .unwrap_err();
    assert_eq!(error_of(refused).0.code(), -32602);
}

#[tokio::test]
async fn leaving_cancels_and_subscriptions_are_bounded() {
    let server = start(|c| c.limits.subscriptions_per_connection = 2).await;
    let mut params = echo();
    params["model"] = json!("test/gate");
    let client = WsClientBuilder::new()
        .build(format!("ws://{}", server.address))
        .await
        .unwrap();
    let subscribe = || {
        client.subscribe::<Value, _>(
            "mesh_subscribeInfer",
            object(params.clone()),
            "mesh_unsubscribeInfer",
        )
    };
    let first = subscribe().await.unwrap();
    let _second = subscribe().await.unwrap();
    until("both wait", || server.script.waiting.load(Ordering::SeqCst) == 2).await;
    assert!(matches!(subscribe().await.unwrap_err(), ClientError::Call(e) if e.code() == -32006));

    first.unsubscribe().await.unwrap();
    until("one is cancelled", || {
        server.script.dropped.load(Ordering::SeqCst) == 1
    })
    .await;
    // Its place is free again.
    let _third = subscribe().await.unwrap();
    drop((_second, _third, client));
    until("all are cancelled", || {
        server.script.dropped.load(Ordering::SeqCst) == 3
    })
    .await;
    until("nothing is left", || server.metrics.snapshot().websockets == 0).await;

    // A plain call is cancelled when its HTTP client goes away.
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"mesh_infer","params":{params}}}"#);
    let mut stream = server.connect().await;
    let bytes = request("POST", "/", "content-type: application/json\r\n", body.as_bytes());
    tokio::io::AsyncWriteExt::write_all(&mut stream, &bytes)
        .await
        .unwrap();
    until("it waits", || server.script.waiting.load(Ordering::SeqCst) == 4).await;
    drop(stream);
    until("it is cancelled", || {
        server.script.dropped.load(Ordering::SeqCst) == 4
    })
    .await;
}

#[tokio::test]
async fn batches_are_bounded() {
    let server = start(|c| c.limits.batch = 3).await;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"mesh_status"}"#;
    let three = server.rpc(&format!("[{}]", [call; 3].join(","))).await;
    assert_eq!(three.json().as_array().unwrap().len(), 3);
    let four = server.rpc(&format!("[{}]", [call; 4].join(","))).await;
    assert_eq!(four.json()["error"]["code"], -32010);
}

#[tokio::test]
async fn what_is_no_json_rpc_is_refused_as_the_standard_says() {
    let server = start(|_| {}).await;
    for (body, status, code) in [
        ("", 400, -32700),
        ("nonsense", 400, -32700),
        ("{", 200, -32700),
        ("[", 200, -32700),
        ("{}", 200, -32700),
        (r#"{"jsonrpc":"1.0","id":1,"method":"mesh_status"}"#, 200, -32600),
    ] {
        let reply = server.rpc(body).await;
        assert_eq!(reply.status, status, "{body}");
        assert_eq!(reply.json()["error"]["code"], code, "{body}");
    }
    let reply = server.post("/", "content-type: text/plain\r\n", b"{}").await;
    assert_eq!(
        (reply.status, reply.json()["error"]["data"]["reason"].as_str()),
        (415, Some("unsupportedMedia"))
    );
    let reply = server.send(b"PUT / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert_eq!(reply.status, 405);
    let reply = server.get("/").await;
    assert!(
        reply.json()["methods"]
            .as_array()
            .unwrap()
            .contains(&json!("mesh_infer"))
    );
    let broken = "GET / HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n";
    assert_eq!(server.send(broken.as_bytes()).await.status, 400);
}

#[tokio::test]
async fn a_sealed_request_of_full_size_gets_through() {
    let server = start(|_| {}).await;
    let call = |sealed: &[u8]| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"mesh_forward","params":["0x{}","{}"]}}"#,
            "ab".repeat(754),
            BASE64.encode(sealed)
        )
    };
    let sealed: Vec<u8> = (0..llmesh_protocol::MAX_SEALED_BYTES).map(|i| i as u8).collect();
    let reply = server.rpc(&call(&sealed)).await.json();
    let mut answer = BASE64.decode(reply["result"].as_str().unwrap()).unwrap();
    answer.reverse();
    assert!(answer == sealed);
    let reply = server.rpc(&call(&[sealed, vec![0]].concat())).await.json();
    assert_eq!(
        (&reply["error"]["code"], &reply["error"]["data"]["reason"]),
        (&json!(4130), &json!("tooLarge"))
    );
}

#[tokio::test]
async fn a_subscription_by_http_is_told_what_it_needs() {
    let server = start(|_| {}).await;
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"mesh_subscribeInfer","params":{}}}"#,
        echo()
    );
    let reply = server.rpc(&body).await.json();
    assert_eq!(reply["error"]["code"], -32602);
    assert!(reply["error"]["message"].as_str().unwrap().contains("WebSocket"));
}
