//! The scripted node, and raw clients.

use async_trait::async_trait;
use llmesh_gateway::{
    ChannelInfo, Gateway, GatewayConfig, GatewayError, HostQuote, InferRequest, InferResponse, MetricsReader,
    ModelInfo, PathInfo, PriceRange, ProgressInfo, QuoteInfo, QuoteRequest, Reason, RouteInfo, RoutesRequest,
    Server, Stage, StatusInfo, TensorInfo,
};
use llmesh_primitives::{ElementType, Receipt, SemVer, WorkOrigin, model::RuntimeClass};
use llmesh_proofs::{Place, RequestTerms, SignedReceipt};
use llmesh_protocol::{KeyId, MeshTensor, MeshTensors};
use sp_core::{H256, Pair, sr25519};
use sp_runtime::{AccountId32, MultiSignature, Perbill, traits::IdentifyAccount};
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Semaphore, mpsc, oneshot},
    task::JoinHandle,
};

/// Longer than anything here should take.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub const PRICE: u128 = 340_282_366_920_938_463_463_374_607_431_768_211_455;

pub fn host() -> sr25519::Pair {
    sr25519::Pair::from_seed(&[7; 32])
}

pub fn account() -> AccountId32 {
    sp_runtime::MultiSigner::Sr25519(host().public()).into_account()
}

/// A node that echoes. What it does depends on the model's name.
#[derive(Default)]
pub struct Script {
    pub unready: AtomicBool,
    /// Inferences that came through, in order.
    pub asked: Mutex<Vec<InferRequest>>,
    pub forwarded: Mutex<Vec<(Vec<u8>, Vec<u8>)>>,
    /// Inferences that were dropped before they were done.
    pub dropped: AtomicUsize,
    /// Lets `test/gate` go on.
    pub gate: Gate,
    /// Inferences of `test/gate` that wait.
    pub waiting: AtomicUsize,
}

pub struct Gate(pub Semaphore);

impl Default for Gate {
    fn default() -> Self {
        Self(Semaphore::new(0))
    }
}

fn tensor(name: &str, datatype: &str, shape: &[i64], most: &[u32]) -> TensorInfo {
    TensorInfo {
        name: name.into(),
        datatype: datatype.into(),
        shape: shape.into(),
        max_shape: most.into(),
    }
}

pub const MODELS: [&str; 8] = [
    "test/all",
    "test/broken",
    "test/busy",
    "test/echo",
    "test/gate",
    "test/half",
    "test/late",
    "test/poor",
];

fn describe(name: &str, version: SemVer) -> ModelInfo {
    let tensors = match name {
        "test/all" => ElementType::ALL
            .iter()
            .map(|t| tensor(&format!("t_{}", t.name()), t.name(), &[-1, 2], &[4, 2]))
            .collect(),
        "test/half" => vec![tensor("h", "FP16", &[2], &[2]), tensor("n", "INT32", &[1], &[1])],
        _ => vec![
            tensor("x", "FP32", &[-1, 3], &[1000, 3]),
            tensor("n", "INT64", &[2], &[2]),
        ],
    };
    ModelInfo {
        name: name.into(),
        version,
        versions: vec![v(1, 0, 0), v(1, 2, 0)],
        content_id: H256::repeat_byte(0xab),
        inputs: tensors.clone(),
        outputs: tensors,
        hosts: u32::from(name != "test/busy"),
        price: Some(PriceRange {
            lowest: 5,
            highest: PRICE,
        }),
    }
}

pub fn v(major: u16, minor: u16, patch: u16) -> SemVer {
    SemVer { major, minor, patch }
}

/// Counts inferences that are dropped in the middle.
struct Watch<'a>(&'a AtomicUsize, bool);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if !self.1 {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[async_trait]
impl Gateway for Script {
    async fn models(&self) -> Result<Vec<ModelInfo>, GatewayError> {
        Ok(MODELS.iter().map(|name| describe(name, v(1, 2, 0))).collect())
    }

    async fn model(&self, name: &str, version: Option<&str>) -> Result<ModelInfo, GatewayError> {
        if !MODELS.contains(&name) {
            return Err(GatewayError::new(
                Reason::UnknownModel,
                format!("there is no model {name}"),
            ));
        }
        match version {
            None | Some("1.2.0") => Ok(describe(name, v(1, 2, 0))),
            Some("1.0.0") => Ok(describe(name, v(1, 0, 0))),
            Some(other) => Err(GatewayError::new(
                Reason::UnknownVersion,
                format!("{name} has no version {other}"),
            )),
        }
    }

    async fn quote(&self, request: QuoteRequest) -> Result<QuoteInfo, GatewayError> {
        Ok(QuoteInfo {
            model: request.model,
            version: v(1, 2, 0),
            content_id: H256::repeat_byte(0xab),
            units: 123_456_789,
            hosts: (0..request.max_hosts)
                .map(|i| HostQuote {
                    host: account(),
                    peer_id: format!("peer{i}"),
                    price: PRICE,
                    reputation: Perbill::from_percent(90),
                    expected_latency_us: 1_500,
                    path_length: 2,
                })
                .collect(),
        })
    }

    async fn infer(
        &self,
        request: InferRequest,
        progress: Option<mpsc::Sender<ProgressInfo>>,
    ) -> Result<InferResponse, GatewayError> {
        self.asked.lock().unwrap().push(request.clone());
        let mut watch = Watch(&self.dropped, false);
        let report = |stage, attempt| {
            if let Some(progress) = &progress {
                let _ = progress.try_send(ProgressInfo {
                    stage,
                    attempt,
                    host: Some(account()),
                    path_length: Some(2),
                    queue_position: None,
                    elapsed_ms: 1,
                });
            }
        };
        report(Stage::Planned, 1);
        report(Stage::Sent, 1);
        let result = match request.model.as_str() {
            "test/broken" => Err(GatewayError::new(
                Reason::ModelFailed,
                "the model failed on this input",
            )),
            "test/poor" => Err(GatewayError::new(Reason::NoFunds, "the node has no money left")),
            "test/busy" => Err(GatewayError::new(Reason::NoHost, "no live host has the model")
                .retry_after(Duration::from_millis(2_100))),
            "test/late" => {
                tokio::time::sleep(Duration::from_secs(3600)).await;
                Ok(())
            }
            "test/gate" => {
                self.waiting.fetch_add(1, Ordering::SeqCst);
                let permit = self.gate.0.acquire().await;
                permit
                    .map(|p| p.forget())
                    .map_err(|_| GatewayError::new(Reason::Internal, "no gate"))
            }
            _ => Ok(()),
        };
        watch.1 = true;
        result?;
        report(Stage::Running, 1);
        Ok(respond(&request))
    }

    async fn forward(&self, header: Vec<u8>, sealed: Vec<u8>) -> Result<Vec<u8>, GatewayError> {
        let mut answer = sealed.clone();
        answer.reverse();
        self.forwarded.lock().unwrap().push((header, sealed));
        Ok(answer)
    }

    async fn routes(&self, request: RoutesRequest) -> Result<Vec<RouteInfo>, GatewayError> {
        Ok(vec![RouteInfo {
            host: account(),
            peer_id: "peer".into(),
            content_id: H256::repeat_byte(0xab),
            version: v(1, 2, 0),
            key: [0x11; 32],
            key_id: KeyId::of(&[0x11; 32]),
            price: request.max_price.unwrap_or(PRICE),
            reputation: Perbill::one(),
            paths: vec![PathInfo {
                hops: vec!["relay".into(), "peer".into()],
                expected_latency_us: 900,
            }],
        }])
    }

    async fn status(&self) -> Result<StatusInfo, GatewayError> {
        Ok(StatusInfo {
            version: "0.1.0".into(),
            ready: self.ready(),
            problem: None,
            peer_id: "me".into(),
            account: Some(account()),
            genesis: H256::repeat_byte(1),
            best_block: 10,
            finalized_block: 8,
            peers: 3,
            hosts: 2,
            models: 1,
            channels: vec![ChannelInfo {
                id: 1,
                available: PRICE,
                spent: 0,
                lanes: 2,
                expires_at: 99,
            }],
        })
    }

    fn ready(&self) -> bool {
        !self.unready.load(Ordering::SeqCst)
    }
}

/// The inputs again, with a receipt that verifies.
fn respond(request: &InferRequest) -> InferResponse {
    let pair = host();
    let sign = |bytes: &[u8]| MultiSignature::Sr25519(pair.sign(bytes));
    let terms = RequestTerms {
        genesis: H256::repeat_byte(1),
        place: Place {
            channel: 1,
            epoch: 0,
            lane: 0,
            sequence: 1,
        },
        client: account(),
        model: H256::repeat_byte(0xab),
        version: 1,
        input_hash: request.inputs.hash(),
        max_price: PRICE,
        host: account(),
        expires_at: 1,
        salt: [0; 16],
    };
    let request_id = terms.id();
    let receipt = Receipt {
        origin: WorkOrigin::Request {
            channel: 1,
            epoch: 0,
            lane: 0,
            sequence: 1,
            request: request_id,
        },
        model: H256::repeat_byte(0xab),
        runtime_class: RuntimeClass::CpuFloat,
        input_hash: request.inputs.hash(),
        output_hash: request.inputs.hash(),
        probe_hash: None,
        units: 1,
        fee: PRICE,
    };
    InferResponse {
        outputs: request.inputs.clone(),
        receipt: SignedReceipt::new(receipt, account(), terms.signed(sign), sign),
        host: account(),
        price: PRICE,
        request_id,
        path_length: 2,
        attempts: 1,
    }
}

pub fn echo_inputs() -> MeshTensors {
    let floats: Vec<u8> = [1f32, 2.5, -3.0].iter().flat_map(|f| f.to_le_bytes()).collect();
    let integers: Vec<u8> = [i64::MIN, i64::MAX]
        .iter()
        .flat_map(|n| n.to_le_bytes())
        .collect();
    MeshTensors::new(vec![
        MeshTensor::new("x", ElementType::F32, &[1, 3], floats).unwrap(),
        MeshTensor::new("n", ElementType::I64, &[2], integers).unwrap(),
    ])
    .unwrap()
}

/// The inputs of `test/echo` as the Open Inference Protocol has them.
pub const ECHO: &str = r#"[{"name":"n","datatype":"INT64","shape":[2],"data":[-9223372036854775808,9223372036854775807]},
    {"name":"x","datatype":"FP32","shape":[1,3],"data":[[1,2.5,-3]]}]"#;

pub struct Running {
    pub address: SocketAddr,
    pub script: Arc<Script>,
    pub metrics: MetricsReader,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Running {
    /// Tells the server to stop, and does not wait.
    pub fn begin_stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }

    /// Waits until the server has stopped.
    pub async fn stopped(self) -> Arc<Script> {
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .expect("the server did not stop")
            .unwrap();
        self.script
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// One request on a connection of its own.
    pub async fn send(&self, request: &[u8]) -> Reply {
        let mut stream = self.connect().await;
        stream.write_all(request).await.unwrap();
        read_reply(&mut stream).await.expect("there was no reply")
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes())
            .await
    }

    pub async fn post(&self, path: &str, headers: &str, body: &[u8]) -> Reply {
        self.send(&request("POST", path, headers, body)).await
    }

    pub async fn rpc(&self, body: &str) -> Reply {
        self.post("/", "content-type: application/json\r\n", body.as_bytes())
            .await
    }
}

pub fn request(method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

pub async fn start(change: impl FnOnce(&mut GatewayConfig)) -> Running {
    let mut config = GatewayConfig {
        listen: ([127, 0, 0, 1], 0).into(),
        ..GatewayConfig::default()
    };
    change(&mut config);
    let script = Arc::new(Script::default());
    let server = Server::bind(config, script.clone()).await.unwrap();
    let (stop, stopped) = oneshot::channel();
    let mut address = server.address();
    if address.ip().is_unspecified() {
        address.set_ip([127, 0, 0, 1].into());
    }
    Running {
        address,
        script,
        metrics: server.metrics(),
        stop: Some(stop),
        task: tokio::spawn(server.run(async {
            // The test may simply end.
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        })),
    }
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (n, value) = line.split_once(':')?;
            n.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    pub fn error(&self) -> String {
        self.json()["error"]
            .as_str()
            .unwrap_or_else(|| panic!("no error: {self:?}"))
            .into()
    }
}

/// Reads one reply; `None` when the connection ends before it is whole.
pub async fn read_reply(stream: &mut TcpStream) -> Option<Reply> {
    tokio::time::timeout(PATIENCE, async {
        let mut bytes = Vec::new();
        let head_end = loop {
            if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        };
        let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
        let mut reply = Reply {
            status: head.split(' ').nth(1)?.parse().ok()?,
            head,
            body: bytes.split_off(head_end),
        };
        let length = reply.header("content-length").map_or(0, |l| l.parse().unwrap());
        while reply.body.len() < length {
            if stream.read_buf(&mut reply.body).await.ok()? == 0 {
                return None;
            }
        }
        Some(reply)
    })
    .await
    .expect("no reply in time")
}

/// Whether the peer ends the connection.
pub async fn ends(stream: &mut TcpStream) -> bool {
    let mut scratch = [0; 4096];
    tokio::time::timeout(PATIENCE, async {
        loop {
            match stream.read(&mut scratch).await {
                Ok(0) | Err(_) => return true,
                Ok(_) => {}
            }
        }
    })
    .await
    .unwrap_or(false)
}

/// Waits until `condition` holds.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A WebSocket by hand.
pub struct Socket(pub TcpStream);

impl Socket {
    pub async fn open(address: SocketAddr, headers: &str) -> Result<Self, Reply> {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "GET / HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n{headers}\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let reply = read_reply(&mut stream).await.expect("no handshake");
        if reply.status == 101 {
            Ok(Self(stream))
        } else {
            Err(reply)
        }
    }

    /// The head of a masked frame, with a mask of zeros.
    pub fn head(opcode: u8, length: u64) -> Vec<u8> {
        let mut head = vec![0x80 | opcode];
        match length {
            0..126 => head.push(0x80 | length as u8),
            126..65536 => {
                head.push(0x80 | 126);
                head.extend((length as u16).to_be_bytes());
            }
            _ => {
                head.push(0x80 | 127);
                head.extend(length.to_be_bytes());
            }
        }
        head.extend([0; 4]);
        head
    }

    pub async fn send(&mut self, text: &str) {
        let frame = [Self::head(1, text.len() as u64), text.as_bytes().to_vec()].concat();
        self.0.write_all(&frame).await.unwrap();
    }

    /// The next text message; `None` when the connection ends.
    pub async fn receive(&mut self) -> Option<serde_json::Value> {
        tokio::time::timeout(PATIENCE, async {
            loop {
                let mut head = [0; 2];
                self.0.read_exact(&mut head).await.ok()?;
                let length = match head[1] & 0x7f {
                    126 => u64::from(self.0.read_u16().await.ok()?),
                    127 => self.0.read_u64().await.ok()?,
                    n => n.into(),
                };
                let mut payload = vec![0; length as usize];
                self.0.read_exact(&mut payload).await.ok()?;
                match head[0] & 0x0f {
                    1 => return Some(serde_json::from_slice(&payload).unwrap()),
                    8 => return None,
                    _ => {}
                }
            }
        })
        .await
        .expect("no message in time")
    }
}
