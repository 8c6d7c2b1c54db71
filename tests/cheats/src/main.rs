//! A worker that cheats, in one of the ways that Proof of Compute is there to find. For tests and `scripts/devnet --cheat`.
//!
//! All of it is put together from the library of the honest worker; what cheats is what is handed in: an engine that runs
//! something else, an engine that verifies without running, or evidence that is never shown.

mod weights;

use clap::{Parser, ValueEnum};
use llmesh_chain::{ClientConfig, H256, NodeClient, RpcNodeClient, Signer};
use llmesh_engine::{EngineConfig, EngineError, Execution, Executor, ModelRef, ModelStore, RunRequest};
use llmesh_mesh::Multiaddr;
use llmesh_primitives::{ContentId, Tensors};
use llmesh_worker::{
    audit::{EvidenceError, Payloads},
    net::NetConfig,
    running::{self, Running, Setup, models_folder},
};
use std::{
    collections::HashMap,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How it cheats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum How {
    /// Answers with a model of other weights.
    OtherModel,
    /// Answers with the weights rounded to int8.
    Int8,
    /// Verifies by saying the same of every input.
    LazyVerifier,
    /// Gives verifiers nothing.
    Withhold,
}

#[derive(Debug, Parser)]
struct Args {
    #[arg(long, value_enum)]
    how: How,
    #[arg(long)]
    node: String,
    /// The secret, as in //Alice//stash; for development chains.
    #[arg(long)]
    suri: String,
    #[arg(long)]
    base_path: PathBuf,
    #[arg(long)]
    mesh_listen: Multiaddr,
    #[arg(long)]
    mesh_bootstrap: Vec<Multiaddr>,
    #[arg(long)]
    prometheus_port: u16,
    #[arg(long, default_value_t = 1)]
    capacity: usize,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let args = Args::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|_| "info".into()))
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;

    let client: Arc<dyn NodeClient> = Arc::new(RpcNodeClient::websocket(&args.node, ClientConfig::default()));
    let signer = Signer::from_secret(&args.suri)?;
    let honest: Arc<dyn Executor> = Arc::new(running::engine(
        &args.base_path,
        EngineConfig {
            threads: args.capacity,
            ..EngineConfig::default()
        },
    )?);
    let serving: Arc<dyn Executor> = match args.how {
        How::OtherModel => Arc::new(Substitute::new(
            honest,
            &args.base_path,
            weights::Change::Reversed,
        )),
        How::Int8 => Arc::new(Substitute::new(honest, &args.base_path, weights::Change::Int8)),
        How::LazyVerifier | How::Withhold => honest,
    };
    let mut auditing = running::auditing(&args.base_path, None, 1 << 30)?;
    match args.how {
        How::LazyVerifier => auditing.verifier = Arc::new(Lazy::new(auditing.verifier)),
        How::Withhold => auditing.payloads = Arc::new(Nothing),
        How::OtherModel | How::Int8 => {}
    }

    let config = NetConfig {
        listen: vec![args.mesh_listen],
        bootstrap: args.mesh_bootstrap,
        local_only: true,
        region: "cheat".into(),
        capacity: args.capacity,
        model_space: 1 << 32,
        ..NetConfig::new(&args.base_path)
    };
    let setup = Setup {
        client,
        signer,
        serving,
        capacity: args.capacity,
        grace: Duration::from_secs(20),
        metrics: Some((Ipv4Addr::LOCALHOST, args.prometheus_port).into()),
        mesh: Some((config, auditing)),
        base_path: args.base_path,
    };
    let stop = CancellationToken::new();
    tokio::spawn({
        let stop = stop.clone();
        async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            stop.cancel();
        }
    });
    let mut running = Running::start(setup, &stop).await?;
    tracing::warn!(how = ?args.how, "cheating");
    tokio::select! {
        ended = running.finished() => return Ok(ended?),
        () = stop.cancelled() => {}
    }
    running.begin_stop();
    running.finished().await?;
    running.leave().await;
    Ok(())
}

/// Runs each model with other weights.
struct Substitute {
    inner: Arc<dyn Executor>,
    models: PathBuf,
    change: weights::Change,
    known: Mutex<HashMap<ContentId, ContentId>>,
}

impl Substitute {
    fn new(inner: Arc<dyn Executor>, base_path: &Path, change: weights::Change) -> Self {
        Self {
            inner,
            models: models_folder(base_path),
            change,
            known: Mutex::default(),
        }
    }

    /// The model that is run instead; its file is made when it is first asked for.
    fn instead(&self, mut model: ModelRef) -> Result<ModelRef, EngineError> {
        let mut known = self.known.lock().map_err(|_| EngineError::Stopped)?;
        if let Some(other) = known.get(&model.content_id) {
            model.content_id = *other;
            return Ok(model);
        }
        let store = ModelStore::open(&self.models).map_err(EngineError::Store)?;
        let mut bytes = store.read(model.content_id).map_err(EngineError::Store)?;
        let tensors =
            weights::change(&mut bytes, self.change).map_err(|e| EngineError::Load(e.to_string()))?;
        let file = self.models.with_extension("cheat.onnx");
        std::fs::write(&file, &bytes).map_err(|e| EngineError::Load(e.to_string()))?;
        let imported = store.import(&file, None).map_err(EngineError::Store)?;
        tracing::warn!(tensors, instead = ?imported.content_id, of = ?model.content_id, "a model with other weights");
        known.insert(model.content_id, imported.content_id);
        model.content_id = imported.content_id;
        Ok(model)
    }
}

#[async_trait::async_trait]
impl Executor for Substitute {
    fn check(&self) -> Result<(), EngineError> {
        self.inner.check()
    }

    fn has_model(&self, id: ContentId) -> bool {
        self.inner.has_model(id)
    }

    async fn prepare(&self, model: ModelRef) -> Result<(), EngineError> {
        self.inner.prepare(self.instead(model)?).await
    }

    async fn execute(&self, request: RunRequest) -> Result<Execution, EngineError> {
        let model = self.instead(request.model.clone())?;
        self.inner.execute(RunRequest { model, ..request }).await
    }
}

/// Runs each model once, on an input of its own, and says the same of every other.
struct Lazy {
    inner: Arc<dyn Executor>,
    said: tokio::sync::Mutex<HashMap<ContentId, Execution>>,
}

impl Lazy {
    fn new(inner: Arc<dyn Executor>) -> Self {
        Self {
            inner,
            said: tokio::sync::Mutex::default(),
        }
    }
}

#[async_trait::async_trait]
impl Executor for Lazy {
    fn check(&self) -> Result<(), EngineError> {
        self.inner.check()
    }

    fn has_model(&self, id: ContentId) -> bool {
        self.inner.has_model(id)
    }

    async fn prepare(&self, model: ModelRef) -> Result<(), EngineError> {
        self.inner.prepare(model).await
    }

    async fn execute(&self, request: RunRequest) -> Result<Execution, EngineError> {
        let mut said = self.said.lock().await;
        let id = request.model.content_id;
        if let Some(same) = said.get(&id) {
            return Ok(same.clone());
        }
        let mut inputs = request.inputs.clone().into_inner();
        for tensor in &mut inputs {
            // All elements the first one: valid wherever the real input was.
            let size = tensor.element_type.size() as usize;
            let (first, length) = (tensor.data.iter().take(size).copied(), tensor.data.len());
            let same: Vec<u8> = first
                .collect::<Vec<_>>()
                .into_iter()
                .cycle()
                .take(length)
                .collect();
            tensor.data = same.try_into().map_err(|_| EngineError::Stopped)?;
        }
        let inputs = Tensors::try_from(inputs).map_err(|_| EngineError::Stopped)?;
        let execution = self.inner.execute(RunRequest { inputs, ..request }).await?;
        said.insert(id, execution.clone());
        Ok(execution)
    }
}

/// Shows nothing.
struct Nothing;

impl Payloads for Nothing {
    fn input(&self, _: H256) -> Result<Option<Vec<u8>>, EvidenceError> {
        Ok(None)
    }

    fn preimages(&self, _: H256) -> Result<Option<(Vec<u8>, Option<Vec<u8>>)>, EvidenceError> {
        Ok(None)
    }
}
