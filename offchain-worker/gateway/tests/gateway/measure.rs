//! What the gateway itself costs, before a node that answers at once.
//!
//! `cargo test --release -p llmesh-gateway --test gateway -- --ignored --nocapture measure`

use crate::support::*;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures"]
async fn measure() {
    let server = start(|c| {
        c.limits.requests_per_second = u32::MAX;
        c.limits.burst = u32::MAX;
    })
    .await;
    // As many numbers as magika takes.
    let rows = 683usize;
    let numbers: Vec<String> = (0..rows * 3).map(|i| format!("{}", i % 257)).collect();
    let rest = r#"{"name":"n","datatype":"INT64","shape":[2],"data":[1,2]}"#;
    let json = format!(
        r#"{{"inputs":[{{"name":"x","datatype":"FP32","shape":[{rows},3],"data":[{}]}},{rest}],"outputs":[{{"name":"n"}}]}}"#,
        numbers.join(",")
    );
    let head = format!(
        r#"{{"inputs":[{{"name":"x","datatype":"FP32","shape":[{rows},3],"parameters":{{"binary_data_size":{}}}}},{rest}],"outputs":[{{"name":"n"}}]}}"#,
        rows * 12
    );
    let rpc = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"mesh_infer","params":{{"model":"test/echo","outputs":["n"],"inputs":[{{"name":"x","datatype":"FP32","shape":[{rows},3],"data":[{}]}},{rest}]}}}}"#,
        numbers.join(",")
    );
    let path = "/v2/models/test/echo/infer";
    let binary = [head.as_bytes(), &vec![0; rows * 12]].concat();
    let header = format!("inference-header-content-length: {}\r\n", head.len());
    let kind = "content-type: application/json\r\n";
    let requests = [
        ("GET /v2/health/live", request("GET", "/v2/health/live", "", b"")),
        (
            "infer, 2049 numbers as JSON",
            request("POST", path, "", json.as_bytes()),
        ),
        (
            "infer, 2049 numbers binary",
            request("POST", path, &header, &binary),
        ),
        (
            "mesh_infer, 2049 numbers as JSON",
            request("POST", "/", kind, rpc.as_bytes()),
        ),
    ];
    let mut stream = server.connect().await;
    stream.set_nodelay(true).unwrap();
    let mut times = vec![Vec::new(); requests.len()];
    for round in 0..2100 {
        for ((_, bytes), times) in requests.iter().zip(&mut times) {
            let begun = Instant::now();
            stream.write_all(bytes).await.unwrap();
            assert_eq!(read_reply(&mut stream).await.unwrap().status, 200);
            if round >= 100 {
                times.push(begun.elapsed());
            }
        }
        server.script.asked.lock().unwrap().clear();
    }
    for ((name, bytes), mut times) in requests.iter().zip(times) {
        times.sort();
        let at = |part: f64| {
            times
                .get((times.len() as f64 * part) as usize)
                .copied()
                .unwrap_or(Duration::MAX)
        };
        println!(
            "{name}: {} bytes, p50 {:?}, p99 {:?}",
            bytes.len(),
            at(0.5),
            at(0.99)
        );
    }
}
