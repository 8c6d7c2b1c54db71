//! The worker in the mesh: answers sealed requests, passes on those of others, asks for its own, keeps models and money.
//!
//! [`Net::start`] joins the mesh; everything else is what it is made of:
//! - [`directory`] and `chainview` are the chain as the mesh needs it, [`topology`] is what is known of links;
//! - `forward` brings requests to their host, `serve` answers those for this one, `schedule` and `answers` give them
//!   turns and remember what was answered;
//! - [`requester`] is the client's side: it chooses hosts, pays, seals, and tries the next one when one fails;
//! - `gateway` gives that to applications, `content` gives and fetches models, `claims` brings vouchers to the chain,
//!   `record` keeps the worker's record on the chain true.

pub mod directory;
pub mod identity;
pub mod requester;
pub mod topology;

mod answers;
mod chainview;
mod claims;
pub(crate) mod content;
mod forward;
mod gateway;
mod links;
mod record;
mod schedule;
mod serve;
mod start;

pub use directory::Directory;
pub use llmesh_mesh::Multiaddr;
pub use start::{Engines, Net, NetConfig, NetError};
pub(crate) use start::{Report, Reporter};

use llmesh_mesh::{Mesh, PeerId};
use llmesh_protocol::Refusal;
use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use topology::Topology;

/// A peer that could not be reached is avoided for so long.
const AVOID: Duration = Duration::from_secs(10);
/// Peers that are avoided at a time.
const MAX_AVOIDED: usize = 256;

/// Where a worker's keys are kept below a base path.
pub fn keys_folder(base_path: &Path) -> PathBuf {
    base_path.join("keys")
}

/// Where the books of payment channels are kept below a base path.
pub fn books_folder(base_path: &Path) -> PathBuf {
    base_path.join("payments")
}

/// Where what is known of peers is kept below a base path.
pub fn mesh_folder(base_path: &Path) -> PathBuf {
    base_path.join("mesh")
}

/// Milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

/// What the parts share.
pub(crate) struct Shared {
    pub me: PeerId,
    pub mesh: Mesh,
    pub directory: Directory,
    pub topology: Mutex<Topology>,
    pub counters: Counters,
    avoided: Mutex<HashMap<PeerId, Instant>>,
}

impl Shared {
    pub fn new(mesh: Mesh, directory: Directory) -> Self {
        let me = mesh.local_peer();
        Self {
            me,
            mesh,
            directory,
            topology: Mutex::new(Topology::new(me)),
            counters: Counters::default(),
            avoided: Mutex::new(HashMap::new()),
        }
    }

    pub fn topology(&self) -> MutexGuard<'_, Topology> {
        self.topology.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ways to a peer, the best first, around what failed a moment ago.
    pub fn paths_to(&self, peer: PeerId) -> Vec<Vec<PeerId>> {
        let avoid = self.avoided();
        self.topology().paths_to(peer, &avoid)
    }

    /// Peers that could not be reached a moment ago.
    pub fn avoided(&self) -> Vec<PeerId> {
        let mut avoided = self.avoided.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        avoided.retain(|_, since| now.saturating_duration_since(*since) < AVOID);
        avoided.keys().copied().collect()
    }

    /// Remembers for a moment that a peer could not be reached.
    pub fn note_failure(&self, peer: PeerId) {
        let mut avoided = self.avoided.lock().unwrap_or_else(PoisonError::into_inner);
        if avoided.len() < MAX_AVOIDED {
            avoided.insert(peer, Instant::now());
        }
    }
}

/// What is counted, for metrics.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Requests that were passed on and answered.
    pub forwarded: AtomicU64,
    /// Requests that were answered here.
    pub served: AtomicU64,
    /// Planck earned by them.
    pub earned: Mutex<u128>,
    /// Microseconds of computing for them.
    pub busy_us: AtomicU64,
    /// Refusals by reason.
    pub refusals: Mutex<BTreeMap<&'static str, u64>>,
    /// Requests of this node that were answered, and that were not.
    pub asked: AtomicU64,
    pub unanswered: AtomicU64,
}

impl Counters {
    pub fn refused(&self, refusal: &Refusal) {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        *refusals.entry(refusal.name()).or_default() += 1;
    }

    pub fn served(&self, price: u128, took: Duration) {
        self.served.fetch_add(1, Ordering::Relaxed);
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.busy_us.fetch_add(took, Ordering::Relaxed);
        let mut earned = self.earned.lock().unwrap_or_else(PoisonError::into_inner);
        *earned = earned.saturating_add(price);
    }
}
