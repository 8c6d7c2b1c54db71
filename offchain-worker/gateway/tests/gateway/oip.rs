//! The Open Inference Protocol face.

use crate::support::*;
use codec::Decode;
use llmesh_gateway::{Reason, metrics};
use llmesh_primitives::{ElementType, Priority};
use llmesh_proofs::SignedReceipt;
use serde_json::{Value, json};
use sp_runtime::Perbill;
use std::{sync::atomic::Ordering, time::Duration};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const INFER: &str = "/v2/models/test/echo/infer";
const HEADER: &str = "inference-header-content-length";

fn body(rest: &str) -> Vec<u8> {
    format!("{{\"inputs\":{ECHO}{rest}}}").into_bytes()
}

#[tokio::test]
async fn server_and_model_describe_themselves() {
    let server = start(|_| {}).await;
    let about = server.get("/v2").await;
    assert_eq!(
        (about.status, about.header("content-type")),
        (200, Some("application/json"))
    );
    assert_eq!(about.json()["extensions"], json!(["binary_tensor_data"]));
    assert!(about.json()["name"].is_string() && about.json()["version"].is_string());
    assert_eq!(server.get("/v2/health/live").await.json(), json!({"live": true}));
    assert_eq!(
        server.get("/v2/health/ready").await.json(),
        json!({"ready": true})
    );
    assert_eq!(server.get("/v2/models").await.json()["models"], json!(MODELS));

    for path in [
        "/v2/models/test/echo",
        "/v2/models/test%2Fecho",
        "/v2/models/test%2fecho/",
    ] {
        let model = server.get(path).await;
        assert_eq!(model.status, 200, "{path}");
        let model = model.json();
        assert_eq!(
            (&model["name"], &model["versions"]),
            (&json!("test/echo"), &json!(["1.0.0", "1.2.0"]))
        );
        assert!(model["platform"].is_string());
        assert_eq!(
            model["inputs"][0],
            json!({"name": "x", "datatype": "FP32", "shape": [-1, 3]})
        );
        assert_eq!(model["parameters"]["version"], "1.2.0");
        assert_eq!(model["parameters"]["highest_price"], PRICE.to_string());
    }
    let model = server.get("/v2/models/test%2Fecho/versions/1.0.0").await.json();
    assert_eq!(model["parameters"]["version"], "1.0.0");

    let ready = server.get("/v2/models/test/echo/ready").await;
    assert_eq!(
        (ready.status, ready.json()),
        (200, json!({"name": "test/echo", "ready": true}))
    );
    let busy = server.get("/v2/models/test/busy/versions/1.0.0/ready").await;
    assert_eq!((busy.status, busy.json()["ready"].as_bool()), (503, Some(false)));

    server.script.unready.store(true, Ordering::SeqCst);
    assert_eq!(server.get("/v2/health/live").await.status, 200);
    assert_eq!(server.get("/v2/health/ready").await.status, 503);
    assert_eq!(server.get("/v2/models/test/echo/ready").await.status, 503);
    let mut stream = server.connect().await;
    stream
        .write_all(b"HEAD /v2/health/ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(
        text.starts_with("HTTP/1.1 503") && text.ends_with("\r\n\r\n"),
        "{text}"
    );
}

#[tokio::test]
async fn json_in_json_out() {
    let server = start(|_| {}).await;
    for path in [
        INFER,
        "/v2/models/test%2Fecho/infer",
        "/v2/models/test/echo/versions/1.2.0/infer",
        "/v2/models/test%2Fecho/versions/1.2.0/infer",
    ] {
        let reply = server
            .post(path, "content-type: application/json\r\n", &body(r#","id":"42""#))
            .await;
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert_eq!(reply.header(HEADER), None);
        let json = reply.json();
        assert_eq!(json["model_name"], "test/echo");
        assert_eq!(
            (&json["model_version"], &json["id"]),
            (&json!("1.2.0"), &json!("42"))
        );
        assert_eq!(
            json["outputs"],
            json!([
                {"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1.0, 2.5, -3.0]},
                {"name": "n", "datatype": "INT64", "shape": [2], "data": [i64::MIN, i64::MAX]},
            ])
        );
        let parameters = &json["parameters"];
        assert_eq!(parameters["price"], PRICE.to_string());
        let receipt = hex::decode(&parameters["receipt"].as_str().unwrap()[2..]).unwrap();
        let receipt = SignedReceipt::decode(&mut receipt.as_slice()).unwrap();
        receipt.verify().unwrap();
        receipt.verify_data(&echo_inputs(), &echo_inputs()).unwrap();
        assert_eq!(parameters["host"], receipt.host.to_string());
    }
    let no_id = server.post(INFER, "", &body("")).await;
    assert_eq!((no_id.status, no_id.json().get("id")), (200, None));
    let metrics = server.metrics.snapshot();
    assert_eq!(
        metrics.calls[&(metrics::Face::Http, metrics::Method::Infer, None)],
        5
    );
}

#[tokio::test]
async fn parameters_and_outputs_are_heeded() {
    let server = start(|_| {}).await;
    let rest = r#","outputs":[{"name":"n"}],"parameters":{"max_price":"7","priority":"urgent","min_reputation":1,"deadline_ms":900}"#;
    let reply = server
        .post("/v2/models/test/echo/versions/1.0.0/infer", "", &body(rest))
        .await
        .json();
    assert_eq!(reply["model_version"], "1.0.0");
    assert_eq!(reply["outputs"].as_array().unwrap().len(), 1);
    assert_eq!(reply["outputs"][0]["name"], "n");
    {
        let asked = server.script.asked.lock().unwrap();
        assert_eq!((asked[0].version, asked[0].max_price), (v(1, 0, 0), Some(7)));
        assert_eq!(
            (asked[0].priority, asked[0].min_reputation),
            (Priority::Urgent, Perbill::one())
        );
        assert_eq!(asked[0].deadline, Duration::from_millis(900));
        assert_eq!(asked[0].inputs, echo_inputs());
    }
    let rest = r#","outputs":[{"name":"n"},{"name":"x"}]"#;
    let reply = server.post(INFER, "", &body(rest)).await.json();
    assert_eq!(
        (&reply["outputs"][0]["name"], &reply["outputs"][1]["name"]),
        (&json!("n"), &json!("x"))
    );
    let reply = server
        .post(INFER, "", &body(r#","outputs":[{"name":"z"}]"#))
        .await;
    assert_eq!(reply.status, 400);
    assert!(reply.error().contains("`z`"));
    assert_eq!(server.script.asked.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn binary_tensors_of_every_type_keep_every_bit() {
    let server = start(|_| {}).await;
    let mut inputs = Vec::new();
    let mut blob = Vec::new();
    for t in ElementType::ALL {
        let size = 4 * t.size() as usize;
        let data: Vec<u8> = (0..size)
            .map(|i| {
                if t == ElementType::Bool {
                    (i % 2) as u8
                } else {
                    255 - i as u8
                }
            })
            .collect();
        inputs.push(
            json!({"name": format!("t_{}", t.name()), "datatype": t.name(), "shape": [2, 2],
            "parameters": {"binary_data_size": size}}),
        );
        blob.extend(data);
    }
    let head = json!({"id": "b", "inputs": inputs, "parameters": {"binary_data_output": true}}).to_string();
    let body = [head.as_bytes(), &blob].concat();
    let headers = format!(
        "Inference-Header-Content-Length: {}\r\ncontent-type: application/octet-stream\r\n",
        head.len()
    );
    let reply = server.post("/v2/models/test/all/infer", &headers, &body).await;
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    assert_eq!(reply.header("content-type"), Some("application/octet-stream"));
    let length: usize = reply.header(HEADER).unwrap().parse().unwrap();
    let json: Value = serde_json::from_slice(&reply.body[..length]).unwrap();
    assert_eq!(
        (&json["id"], json["outputs"].as_array().unwrap().len()),
        (&json!("b"), 13)
    );
    assert_eq!(json["outputs"][0]["parameters"]["binary_data_size"], 4);
    assert!(json["outputs"][0].get("data").is_none());
    assert!(reply.body[length..] == blob);
}

#[tokio::test]
async fn binary_and_json_mix() {
    let server = start(|_| {}).await;
    let floats: Vec<u8> = [1f32, 2.5, f32::NAN]
        .iter()
        .flat_map(|f| f.to_le_bytes())
        .collect();
    let head = r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1,3],"parameters":{"binary_data_size":12}},
        {"name":"n","datatype":"INT64","shape":[2],"data":[1,2]}],
        "outputs":[{"name":"n","parameters":{"binary_data":true}},{"name":"x","parameters":{"binary_data":false}}]}"#;
    let headers = format!("{HEADER}: {}\r\n", head.len());
    let reply = server
        .post(INFER, &headers, &[head.as_bytes(), &floats].concat())
        .await;
    let length: usize = reply.header(HEADER).unwrap().parse().unwrap();
    let json: Value = serde_json::from_slice(&reply.body[..length]).unwrap();
    assert_eq!(json["outputs"][1]["data"], json!([1.0, 2.5, "NaN"]));
    assert_eq!(
        reply.body[length..],
        [1i64.to_le_bytes(), 2i64.to_le_bytes()].concat()
    );

    for (headers, body, word) in [
        (headers.clone(), [head.as_bytes(), &floats[..11]].concat(), "`x`"),
        (
            headers.clone(),
            [head.as_bytes(), &floats, &[0]].concat(),
            "1 bytes more",
        ),
        (
            String::new(),
            head.as_bytes().to_vec(),
            "Inference-Header-Content-Length",
        ),
        (format!("{HEADER}: 99999\r\n"), head.as_bytes().to_vec(), "99999"),
        (format!("{HEADER}: -1\r\n"), head.as_bytes().to_vec(), "number"),
        (format!("{HEADER}: +1\r\n"), head.as_bytes().to_vec(), "number"),
        (
            format!("{HEADER}: 1\r\n{HEADER}: 2\r\n"),
            head.as_bytes().to_vec(),
            "more than one",
        ),
        (
            format!("{HEADER}: 99999999999999999999999\r\n"),
            head.as_bytes().to_vec(),
            "number",
        ),
    ] {
        let reply = server.post(INFER, &headers, &body).await;
        assert_eq!(reply.status, 400);
        assert!(reply.error().contains(word), "{}", reply.error());
    }
    assert_eq!(server.script.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn what_json_can_not_write_is_refused_before_it_is_paid() {
    let server = start(|_| {}).await;
    let head = r#"{"inputs":[{"name":"h","datatype":"FP16","shape":[2],"parameters":{"binary_data_size":4}},
        {"name":"n","datatype":"INT32","shape":[1],"data":[1]}]OUT}"#;
    let send = async |out: &str| {
        let head = head.replace("OUT", out);
        let headers = format!("{HEADER}: {}\r\n", head.len());
        server
            .post(
                "/v2/models/test/half/infer",
                &headers,
                &[head.as_bytes(), &[0, 0x3c, 0, 0xc0]].concat(),
            )
            .await
    };
    let reply = send("").await;
    assert_eq!(reply.status, 400);
    assert!(
        reply.error().contains("`h`") && reply.error().contains("binary_data"),
        "{}",
        reply.error()
    );
    assert!(server.script.asked.lock().unwrap().is_empty());
    assert_eq!(send(r#","outputs":[{"name":"n"}]"#).await.status, 200);
    let reply = send(r#","outputs":[{"name":"h","parameters":{"binary_data":true}}]"#).await;
    assert!(reply.body.ends_with(&[0, 0x3c, 0, 0xc0]));
}

#[tokio::test]
async fn errors_have_their_status() {
    let server = start(|c| c.limits.default_deadline = Duration::from_millis(100)).await;
    let text = String::from_utf8(body("")).unwrap();
    for (path, body, status, reason) in [
        (
            "/v2/models/test/none/infer",
            text.as_str(),
            404,
            Reason::UnknownModel,
        ),
        ("/v2/models/magika/infer", &text, 404, Reason::UnknownModel),
        ("/v2/models/Test/Echo/infer", &text, 404, Reason::UnknownModel),
        (
            "/v2/models/test/echo/versions/3.0.0/infer",
            &text,
            404,
            Reason::UnknownVersion,
        ),
        (
            "/v2/models/test/echo/versions/3/infer",
            &text,
            404,
            Reason::UnknownVersion,
        ),
        ("/v2/models/test/echo/explain", &text, 404, Reason::NotFound),
        ("/v1/models/x:predict", &text, 404, Reason::NotFound),
        ("/v2/models/test/poor/infer", &text, 402, Reason::NoFunds),
        ("/v2/models/test/broken/infer", &text, 422, Reason::ModelFailed),
        ("/v2/models/test/busy/infer", &text, 503, Reason::NoHost),
        ("/v2/models/test/late/infer", &text, 504, Reason::Deadline),
        ("/v2/models/test/echo", &text, 405, Reason::MethodNotAllowed),
        (INFER, "{}", 400, Reason::InvalidRequest),
        (INFER, "nonsense", 400, Reason::InvalidRequest),
        (INFER, "{\"inputs\":[]}", 400, Reason::InvalidTensors),
        (INFER, &text.replace("2.5", "\"a\""), 400, Reason::InvalidTensors),
        (INFER, &text.replace("2.5,", ""), 400, Reason::InvalidTensors),
        (INFER, &text.replace("FP32", "FP64"), 400, Reason::InvalidTensors),
        (INFER, &text.replace("[1,3]", "[3]"), 400, Reason::InvalidTensors),
    ] {
        let reply = server.post(path, "", body.as_bytes()).await;
        assert_eq!(reply.status, status, "{path} {body}");
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert_eq!(
            reply.json()["reason"],
            reason.name(),
            "{path} {body}: {}",
            reply.error()
        );
        let wait = matches!(status, 503).then_some("3");
        assert_eq!(reply.header("retry-after"), wait, "{path}");
    }
    let reply = server.get(INFER).await;
    assert_eq!(
        (reply.status, reply.json()["reason"].as_str()),
        (405, Some("methodNotAllowed"))
    );
    let reply = server.post(INFER, "content-encoding: gzip\r\n", b"x").await;
    assert_eq!(reply.status, 415);
    // Tensors are named in what is said about them.
    let reply = server
        .post(INFER, "", text.replace("2.5", "\"a\"").as_bytes())
        .await;
    assert!(
        reply.error().contains("`x`") && reply.error().contains("position 1"),
        "{}",
        reply.error()
    );
}

#[tokio::test]
async fn a_large_binary_tensor_takes_no_detour() {
    let server = start(|_| {}).await;
    let rows = 1000usize;
    let floats = vec![0x40u8; rows * 12];
    let head = format!(
        r#"{{"inputs":[{{"name":"x","datatype":"FP32","shape":[{rows},3],"parameters":{{"binary_data_size":{}}}}},
        {{"name":"n","datatype":"INT64","shape":[2],"data":[1,2]}}],"outputs":[{{"name":"x","parameters":{{"binary_data":true}}}}]}}"#,
        floats.len()
    );
    // In pieces, chunked, so that no length is declared.
    let mut stream = server.connect().await;
    let body = [head.as_bytes(), &floats].concat();
    let start = format!(
        "POST {INFER} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n{HEADER}: {}\r\n\r\n",
        head.len()
    );
    stream.write_all(start.as_bytes()).await.unwrap();
    for piece in body.chunks(1000) {
        stream
            .write_all(format!("{:x}\r\n", piece.len()).as_bytes())
            .await
            .unwrap();
        stream.write_all(piece).await.unwrap();
        stream.write_all(b"\r\n").await.unwrap();
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let reply = read_reply(&mut stream).await.unwrap();
    assert_eq!(reply.status, 200);
    assert!(reply.body.ends_with(&floats));
    // The connection goes on.
    stream
        .write_all(b"GET /v2 HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(read_reply(&mut stream).await.unwrap().status, 200);
}
