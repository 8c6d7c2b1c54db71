//! What the tests share: a chain in memory, services, nodes on free ports, waiting for conditions.
#![allow(dead_code, reason = "not every test uses everything")]

use async_trait::async_trait;
use bytes::Bytes;
use llmesh_mesh::{
    Config, Directory, Keypair, Kind, Mesh, MeshStatus, Multiaddr, PeerId, Request, Service, Standing,
    link::{Call, Reject},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::task::JoinHandle;

pub const CHAIN: [u8; 32] = [7; 32];
/// How long a test waits for anything; the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A chain in memory.
#[derive(Clone, Default)]
pub struct Chain(Arc<Mutex<HashMap<PeerId, Standing>>>);

impl Chain {
    pub fn admit(&self, peer: PeerId) {
        self.0.lock().unwrap().insert(peer, Standing::default());
    }

    pub fn set(&self, peer: PeerId, standing: Standing) {
        self.0.lock().unwrap().insert(peer, standing);
    }
}

impl Directory for Chain {
    fn standing(&self, peer: &PeerId) -> Option<Standing> {
        self.0.lock().unwrap().get(peer).cloned()
    }

    fn hosts(&self) -> Vec<PeerId> {
        self.0.lock().unwrap().keys().copied().collect()
    }
}

/// Answers with who asked and what.
pub struct Echo;

#[async_trait]
impl Service for Echo {
    async fn serve(&self, request: Request) -> Result<Bytes, Reject> {
        if request.header.as_ref() == b"refuse" {
            return Err(Reject::new(7, "as you wish"));
        }
        if request.header.as_ref() == b"slow" {
            request.progress.send(Bytes::from_static(b"begun")).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        if request.header.as_ref() == b"wait" {
            request.progress.send(Bytes::from_static(b"begun")).await;
            request.cancelled.cancelled().await;
        }
        Ok(request.body)
    }
}

pub fn call(body: &'static [u8]) -> Call {
    Call::new(body, PATIENCE)
}

pub fn loopback() -> Multiaddr {
    "/ip4/127.0.0.1/tcp/0".parse().unwrap()
}

/// A node under test. Dropping it kills it.
pub struct Node {
    pub mesh: Mesh,
    pub peer: PeerId,
    pub task: JoinHandle<()>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A configuration for a node on the loopback.
pub fn config() -> Config {
    Config {
        listen: vec![loopback()],
        relay_server: true,
        ..Config::local(Keypair::generate_ed25519(), CHAIN)
    }
}

pub fn services() -> Vec<(Kind, Arc<dyn Service>)> {
    vec![(Kind::Inference, Arc::new(Echo)), (Kind::Content, Arc::new(Echo))]
}

pub fn start(config: Config, chain: &Chain) -> Node {
    let (mesh, task) = Mesh::spawn(config, Arc::new(chain.clone()), services()).unwrap();
    Node {
        peer: mesh.local_peer(),
        mesh,
        task,
    }
}

impl Node {
    /// The first address it listens on.
    pub async fn address(&self) -> Multiaddr {
        let mut addresses = self.mesh.listen_addresses();
        let listening = addresses.wait_for(|all| !all.is_empty());
        let all = tokio::time::timeout(PATIENCE, listening)
            .await
            .expect("listens")
            .unwrap();
        all[0].clone()
    }

    /// Its address with its id, as bootstrap addresses are.
    pub async fn whole_address(&self) -> Multiaddr {
        self.address().await.with_p2p(self.peer).unwrap()
    }

    /// Waits until its state is so.
    pub async fn until(&self, what: &str, mut fits: impl FnMut(&MeshStatus) -> bool) -> MeshStatus {
        let mut status = self.mesh.status();
        let waited = tokio::time::timeout(PATIENCE, status.wait_for(|status| fits(status))).await;
        match waited {
            Ok(Ok(status)) => status.clone(),
            Ok(Err(_)) => panic!("{what}: the node is gone"),
            Err(_) => panic!(
                "{what}: not within {PATIENCE:?}: {:#?}",
                *self.mesh.status().borrow()
            ),
        }
    }

    pub async fn until_ready(&self, peer: PeerId) {
        self.until("connected", |status| is_ready(status, peer)).await;
    }

    pub async fn until_gone(&self, peer: PeerId) {
        self.until("disconnected", |status| {
            !status.peers.iter().any(|known| known.peer == peer)
        })
        .await;
    }
}

pub fn is_ready(status: &MeshStatus, peer: PeerId) -> bool {
    status.peers.iter().any(|known| known.peer == peer && known.ready)
}

/// Retries until it works: for what depends on others noticing something.
pub async fn eventually<T, E: std::fmt::Debug>(
    what: &str,
    mut attempt: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut pause = tokio::time::interval(Duration::from_millis(50));
    loop {
        pause.tick().await;
        match attempt().await {
            Ok(value) => return value,
            Err(error) if tokio::time::Instant::now() > deadline => panic!("{what}: {error:?}"),
            Err(_) => {}
        }
    }
}

pub fn log() {
    let _ = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_test_writer()
        .try_init();
}
