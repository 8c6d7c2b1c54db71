//! What a request over the mesh costs beside the inference itself, and how many of them one transaction settles.
//!
//! `cargo bench -p llmesh-worker --bench mesh [-- --rounds N --requests N]`
//!
//! Two workers in one process, a real mesh on loopback (TCP, Noise, yamux), real books on disk, a chain in memory.
//! - **sync**: what the disk takes to make 16 KiB durable; no answer can leave before that.
//! - **magika**: one inference by the engine alone and one over a hop, in turns; the ratio of their medians. Needs
//!   `ORT_DYLIB_PATH` and `LLMESH_MAGIKA_DIR` (`. scripts/env.sh`).
//! - **identity**: what the hop adds when the model does nothing.
//! - **paid**: many requests at a time; answers a second, and answers for each transaction that settles them. Several
//!   clients ask, since a host remembers no more than 5,000 requests of one at a time.
//!
//! The second and the third are done with the books and the evidence on disk and in memory (`/dev/shm`): the difference
//! is what it costs that money is synced before it is acted upon, and evidence before the answer leaves.

#[path = "../tests/net/audits.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod audits;
#[path = "../tests/net/world.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod world;

use llmesh_engine::{Engine, EngineConfig, Executor, ModelStore, RunRequest};
use llmesh_primitives::{ElementType, Priority, Tensors};
use llmesh_protocol::{MeshTensor, MeshTensors};
use llmesh_worker::net::requester::Inference;
use sp_runtime::Perbill;
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use world::{FEE, MODEL, Node, World, until};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: usize| {
        let at = arguments.iter().position(|a| a == name);
        at.and_then(|i| arguments.get(i + 1)?.parse().ok())
            .unwrap_or(default)
    };
    let rounds = number("--rounds", 300);
    let requests = number("--requests", 20_000);
    let disk = std::env::temp_dir();
    sync(&disk);
    let places: Vec<(&str, &Path)> = [
        ("books on disk", disk.as_path()),
        ("books in memory", Path::new("/dev/shm")),
    ]
    .into_iter()
    .filter(|(_, root)| root.is_dir())
    .collect();
    for (name, root) in &places {
        magika(name, root, rounds).await;
    }
    for (name, root) in &places {
        identity(name, root, rounds).await;
    }
    paid(requests).await;
}

fn sync(root: &Path) {
    use std::os::unix::fs::FileExt;
    let file = tempfile::tempfile_in(root).unwrap();
    let mut samples = Vec::new();
    for round in 0..120u64 {
        file.write_all_at(&[round as u8; 16 << 10], (round % 8) << 14)
            .unwrap();
        let began = Instant::now();
        file.sync_data().unwrap();
        if round >= 20 {
            samples.push(began.elapsed());
        }
        // The disk is as idle as it is between two requests.
        std::thread::sleep(Duration::from_millis(5));
    }
    println!(
        "sync        16 KiB on disk p50 {:.0} us, p95 {:.0} us",
        percentile(&mut samples, 50),
        percentile(&mut samples, 95)
    );
}

struct Pair {
    world: Arc<World>,
    server: Node,
    client: Node,
}

impl Pair {
    async fn start(executor: Arc<dyn Executor>, model: llmesh_chain::ChainModel, root: &Path) -> Self {
        let world = World::with_model(model);
        let folder = || TempDir::new_in(root).unwrap();
        let setup = world::Setup {
            engine: Some(executor),
            ..world::Setup::new(folder())
        };
        let server = world::start_with(&world, "Alice", Vec::new(), setup).await;
        let client = client(&world, &server, "Ferdie", folder()).await;
        Self {
            world,
            server,
            client,
        }
    }

    async fn ask(&self, inputs: &MeshTensors) -> Duration {
        ask(&self.client, inputs).await
    }

    async fn stop(self) {
        self.client.net.stop().await;
        self.server.net.stop().await;
    }
}

/// Starts a client with a channel to the server.
async fn client(world: &Arc<World>, server: &Node, name: &str, folder: TempDir) -> Node {
    let client = world::start(world, name, &[server], false, folder).await;
    let keys = llmesh_worker::net::keys_folder(client.folder.path());
    let keys = llmesh_worker::net::identity::KeyFolder::open(keys).unwrap();
    let payer = keys.payer().unwrap().account32();
    world.open(&client.account(), &payer, &[server.account()], FEE * 1_000_000);
    world::sees_hosts(world, &client, 1).await;
    client
}

async fn ask(client: &Node, inputs: &MeshTensors) -> Duration {
    let inference = Inference {
        version: MODEL,
        inputs: inputs.clone(),
        max_price: None,
        priority: Priority::Normal,
        min_reputation: Perbill::zero(),
        deadline: Duration::from_secs(30),
    };
    let began = Instant::now();
    client.net.requester().infer(&inference, None).await.unwrap();
    began.elapsed()
}

fn percentile(samples: &mut [Duration], percent: usize) -> f64 {
    samples.sort();
    samples[(samples.len() - 1) * percent / 100].as_secs_f64() * 1e6
}

async fn magika(name: &str, root: &Path, rounds: usize) {
    let Some(folder) = std::env::var_os("LLMESH_MAGIKA_DIR") else {
        println!("magika: LLMESH_MAGIKA_DIR is not set; left out");
        return;
    };
    let store_folder = TempDir::new().unwrap();
    let store = ModelStore::open(store_folder.path()).unwrap();
    let imported = store
        .import(&Path::new(&folder).join("model.onnx"), None)
        .unwrap();
    let engine = Arc::new(Engine::start(store, EngineConfig::default()).unwrap());
    let (signature, _) = engine
        .inspect(imported.content_id, &llmesh_engine::DynamicDims::default())
        .unwrap();
    let mut model = world::model();
    model.manifest.content_id = imported.content_id;
    model.manifest.size = imported.size;
    model.manifest.signature = signature;
    let reference = llmesh_engine::ModelRef::from(&model.manifest);
    let pair = Pair::start(engine.clone(), model, root).await;

    let numbers: Vec<u8> = (0..2048i32).flat_map(|i| (i % 256).to_le_bytes()).collect();
    let tensor = MeshTensor::new("bytes", ElementType::I32, &[1, 2048], numbers).unwrap();
    let inputs = MeshTensors::new(vec![tensor]).unwrap();
    let request = RunRequest::new(reference, Tensors::try_from(inputs.clone()).unwrap());
    let (mut bare, mut meshed) = (Vec::new(), Vec::new());
    for round in 0..rounds + 20 {
        let began = Instant::now();
        engine.execute(request.clone()).await.unwrap();
        let alone = began.elapsed();
        let over = pair.ask(&inputs).await;
        if round >= 20 {
            bare.push(alone);
            meshed.push(over);
        }
    }
    let (b, m) = (percentile(&mut bare, 50), percentile(&mut meshed, 50));
    println!(
        "magika      {name}: engine alone p50 {b:.0} us, over one hop p50 {m:.0} us (p95 {:.0}): ratio {:.3}, added {:.0} us",
        percentile(&mut meshed, 95),
        m / b,
        m - b
    );
    pair.stop().await;
}

async fn identity(name: &str, root: &Path, rounds: usize) {
    let executor = world::AddOne::new();
    let pair = Pair::start(executor, world::model(), root).await;
    let inputs = small();
    let mut samples = Vec::new();
    for round in 0..rounds + 20 {
        let took = pair.ask(&inputs).await;
        if round >= 20 {
            samples.push(took);
        }
    }
    println!(
        "identity    {name}: p50 {:.0} us, p95 {:.0} us over the hop",
        percentile(&mut samples, 50),
        percentile(&mut samples, 95)
    );
    pair.stop().await;
}

fn small() -> MeshTensors {
    let tensor = MeshTensor::new("x", ElementType::U8, &[16], vec![7; 16]).unwrap();
    MeshTensors::new(vec![tensor]).unwrap()
}

async fn paid(requests: usize) {
    const CLIENTS: usize = 5;
    const AT_A_TIME: usize = 30;
    let root = std::env::temp_dir();
    let pair = Pair::start(world::AddOne::new(), world::model(), &root).await;
    let inputs = small();
    let mut clients = Vec::new();
    for n in 0..CLIENTS {
        let folder = TempDir::new_in(&root).unwrap();
        let client = client(&pair.world, &pair.server, &format!("Client{n}"), folder).await;
        ask(&client, &inputs).await;
        clients.push(Arc::new(client));
    }
    let began = Instant::now();
    let tasks: Vec<_> = (0..AT_A_TIME)
        .map(|n| {
            let (client, inputs) = (clients[n % CLIENTS].clone(), inputs.clone());
            let share = requests / AT_A_TIME + usize::from(n < requests % AT_A_TIME);
            tokio::spawn(async move {
                for _ in 0..share {
                    ask(&client, &inputs).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let seconds = began.elapsed().as_secs_f64();
    // The channel of the pair's own client is the first, and unused.
    let owed = FEE * (requests + CLIENTS) as u128;
    let began = Instant::now();
    until("the claims", || {
        pair.world.block();
        let paid: u128 = (0..=CLIENTS as u64).map(|n| pair.world.lane(n, 0).paid).sum();
        (paid == owed).then_some(())
    })
    .await;
    let settling = began.elapsed().as_secs_f64();
    let transactions = pair.world.state().claim_batches;
    println!(
        "paid        {requests} requests of {CLIENTS} clients, {AT_A_TIME} at a time: {:.0} a second; settled in {settling:.1} s \
         by {transactions} transactions: {:.0} requests each",
        requests as f64 / seconds,
        requests as f64 / transactions as f64
    );
    for client in clients {
        if let Ok(client) = Arc::try_unwrap(client).map_err(drop) {
            client.net.stop().await;
        }
    }
    pair.stop().await;
}
