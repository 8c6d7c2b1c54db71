//! What the chain says of models, hosts and their workers, kept at hand.
//!
//! The chain is the root of trust: which account hosts what at which price, which peer id and encryption key its worker
//! has, how much stands behind it. One task reads it anew every few blocks; everybody else reads a snapshot.

use super::topology::Credit;
use llmesh_chain::{AccountId, ChainApi, ChainError, ChainModel, HeadState, NodeClient};
use llmesh_mesh::{Multiaddr, PeerId, Standing};
use llmesh_primitives::{MESH, ModelVersionId, OfferTerms, VersionStatus};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::sync::watch;

/// Blocks between two full readings.
const REFRESH_BLOCKS: u32 = 3;
/// Longest time that one reading may take.
const READ_DEADLINE: Duration = Duration::from_secs(20);
/// Hosts that are kept at most; those with more stake first.
const MAX_HOSTS: usize = 16_384;

/// One operator with a worker in the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostEntry {
    pub account: AccountId,
    pub peer: PeerId,
    /// X25519 public key of the current key epoch.
    pub encryption_key: [u8; 32],
    pub region: String,
    pub endpoints: Vec<Multiaddr>,
    /// Own and delegated, in planck.
    pub stake: u128,
    pub reputation_ppb: u32,
    /// Whether draws pass it over; it is not asked in the mesh either then.
    pub suspended: bool,
}

/// The chain at one block, as far as the mesh needs it.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The block that was read; 0 before the first reading.
    pub block: u32,
    pub models: BTreeMap<ModelVersionId, ChainModel>,
    /// By model version.
    pub offers: BTreeMap<ModelVersionId, Vec<(AccountId, OfferTerms)>>,
    pub hosts: HashMap<PeerId, HostEntry>,
    by_account: HashMap<[u8; 32], PeerId>,
}

impl Snapshot {
    /// The worker of an account.
    pub fn host(&self, account: &AccountId) -> Option<&HostEntry> {
        self.hosts.get(self.by_account.get(&account.0)?)
    }

    /// The version of `namespace/name`; without a version the highest that is active.
    pub fn resolve(&self, name: &str, version: Option<llmesh_primitives::SemVer>) -> Option<&ChainModel> {
        self.models
            .values()
            .filter(|m| m.name.as_slice() == name.as_bytes())
            .filter(|m| match version {
                Some(version) => m.version == version,
                None => m.status == VersionStatus::Active,
            })
            .max_by_key(|m| m.version)
    }

    /// Who offers the version and has a worker in the mesh that is not suspended.
    pub fn live_offers(&self, id: ModelVersionId) -> impl Iterator<Item = (&HostEntry, OfferTerms)> {
        self.offers
            .get(&id)
            .into_iter()
            .flatten()
            .filter_map(|(account, terms)| Some((self.host(account)?, *terms)))
            .filter(|(host, _)| !host.suspended)
    }

    /// What the topology needs of all workers.
    pub fn credit(&self) -> HashMap<PeerId, Credit> {
        self.hosts
            .iter()
            .map(|(peer, host)| {
                let credit = Credit {
                    stake: u64::try_from(host.stake / MESH).unwrap_or(u64::MAX),
                    reputation_ppm: host.reputation_ppb / 1_000,
                };
                (*peer, credit)
            })
            .collect()
    }

    fn insert(&mut self, host: HostEntry) {
        // Two accounts that name one peer: the one with more stake keeps it, so that nobody with less can take
        // another's place.
        if let Some(before) = self.hosts.get(&host.peer) {
            if (before.stake, before.account.0) >= (host.stake, host.account.0) {
                return;
            }
            self.by_account.remove(&before.account.0);
        }
        self.by_account.insert(host.account.0, host.peer);
        self.hosts.insert(host.peer, host);
    }
}

/// The last [`Snapshot`], shared. Cheap to clone.
#[derive(Clone)]
pub struct Directory {
    current: Arc<RwLock<Arc<Snapshot>>>,
    changed: watch::Sender<u32>,
}

impl Default for Directory {
    fn default() -> Self {
        Self::new()
    }
}

impl Directory {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self {
            current: Arc::default(),
            changed: watch::channel(0).0,
        }
    }

    /// The last reading.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Says the block of each new reading.
    pub fn follow(&self) -> watch::Receiver<u32> {
        self.changed.subscribe()
    }

    /// Puts a reading in place.
    pub fn set(&self, snapshot: Snapshot) {
        let block = snapshot.block;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(snapshot);
        self.changed.send_replace(block);
    }

    /// Reads the chain now.
    ///
    /// # Errors
    /// When the node can not be asked; the last reading stays.
    pub async fn refresh(&self, client: &dyn NodeClient) -> Result<(), ChainError> {
        let snapshot = read(client).await?;
        self.set(snapshot);
        Ok(())
    }

    /// Keeps reading until the future is dropped.
    pub async fn keep(&self, client: Arc<dyn NodeClient>) {
        let mut heads = client.follow_best();
        loop {
            let head = heads.borrow_and_update().clone();
            if let HeadState::At(head) = head {
                let known = self.snapshot().block;
                // A number below the known one is a chain that began anew or was reorganised.
                if known == 0 || head.number < known || head.number >= known.saturating_add(REFRESH_BLOCKS) {
                    match tokio::time::timeout(READ_DEADLINE, self.refresh(&*client)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => tracing::debug!(%error, "the directory was not read"),
                        Err(_) => tracing::debug!("the directory was not read: the node answers too slowly"),
                    }
                }
            }
            if heads.changed().await.is_err() {
                tokio::time::sleep(Duration::from_millis(500)).await;
                heads = client.follow_best();
            }
        }
    }
}

impl llmesh_mesh::Directory for Directory {
    fn standing(&self, peer: &PeerId) -> Option<Standing> {
        let snapshot = self.snapshot();
        let host = snapshot.hosts.get(peer)?;
        Some(Standing {
            account: host.account.0,
            stake: host.stake,
            reputation_ppb: host.reputation_ppb,
            region: host.region.clone(),
            endpoints: host.endpoints.clone(),
        })
    }

    fn hosts(&self) -> Vec<PeerId> {
        self.snapshot().hosts.keys().copied().collect()
    }
}

async fn read(client: &dyn NodeClient) -> Result<Snapshot, ChainError> {
    let head = client.best_head().await?;
    let mut snapshot = Snapshot {
        block: head.number,
        ..Snapshot::default()
    };
    for model in client.all_model_versions().await? {
        snapshot.models.insert(model.id, model);
    }
    let mut hosts = Vec::new();
    for (account, status) in client.all_hosts(Some(head.hash)).await? {
        for (model, terms) in &status.offers {
            let model = snapshot.models.get(model);
            if let Some(model) = model.filter(|m| m.status != VersionStatus::Yanked) {
                let offers = snapshot.offers.entry(model.id).or_default();
                offers.push((account, *terms));
            }
        }
        let Some(stake) = status.stake.filter(|s| s.host) else {
            continue;
        };
        let Some(worker) = stake.worker else { continue };
        // A worker that is in no mesh has no peer id.
        let Ok(peer) = PeerId::from_bytes(&worker.peer_id) else {
            continue;
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        hosts.push(HostEntry {
            account,
            peer,
            encryption_key: worker.encryption_key,
            region: text(&worker.region),
            endpoints: worker
                .endpoints
                .iter()
                .filter_map(|e| text(e).parse().ok())
                .collect(),
            stake: stake.own.saturating_add(stake.delegated),
            reputation_ppb: status.reputation.deconstruct(),
            suspended: status.suspended,
        });
    }
    hosts.sort_by_key(|h| std::cmp::Reverse(h.stake));
    for host in hosts.into_iter().take(MAX_HOSTS) {
        snapshot.insert(host);
    }
    Ok(snapshot)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(account: u8, peer: PeerId, stake: u128) -> HostEntry {
        HostEntry {
            account: AccountId::from([account; 32]),
            peer,
            encryption_key: [account; 32],
            region: String::new(),
            endpoints: Vec::new(),
            stake,
            reputation_ppb: 1_000_000_000,
            suspended: false,
        }
    }

    #[test]
    fn a_peer_id_can_not_be_taken_by_who_has_less_at_stake() {
        let peer = PeerId::random();
        for order in [[0, 1], [1, 0]] {
            let both = [host(1, peer, 2_000), host(2, peer, 1_000)];
            let mut snapshot = Snapshot::default();
            for i in order {
                snapshot.insert(both[i].clone());
            }
            assert_eq!(snapshot.hosts[&peer].account, AccountId::from([1; 32]));
            assert!(snapshot.host(&AccountId::from([2; 32])).is_none());
            assert_eq!(snapshot.host(&AccountId::from([1; 32])).unwrap().stake, 2_000);
        }
    }
}
