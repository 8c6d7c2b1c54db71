//! Keeps the worker's record on the chain true: peer id, encryption key, addresses, region.
//!
//! The encryption key changes once per key epoch. The old one is kept for a while, for requests that were sealed to it
//! before the chain said otherwise, and then erased from memory and disk: what was sealed to it stays sealed for ever.

use super::{chainview::ChainView, identity::KeyFolder, unix_ms};
use crate::host;
use llmesh_chain::{ChainApi, ChainError, HeadState, Signer, Wait, calls};
use llmesh_mesh::{Mesh, Multiaddr};
use llmesh_primitives::WorkerRecord;
use llmesh_protocol::KeyRing;
use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

/// A key is in use for so long.
pub const KEY_EPOCH: Duration = Duration::from_secs(24 * 60 * 60);
/// The key before still opens requests for so long after a change: longer than a client's reading of the chain is old.
pub const KEY_GRACE: Duration = Duration::from_secs(15 * 60);
/// Blocks between two looks at the record.
const LOOK_EVERY: u32 = 5;
/// Blocks to wait after a failure.
const PAUSE_AFTER_FAILURE: u32 = 10;

/// What keeps the record.
pub(crate) struct Keeper {
    pub mesh: Mesh,
    pub chain: Arc<ChainView>,
    pub signer: Signer,
    pub keys: Arc<RwLock<KeyRing>>,
    pub folder: KeyFolder,
    pub region: String,
    /// Addresses that the operator named; else those that the mesh found.
    pub external: Vec<Multiaddr>,
}

impl Keeper {
    /// Works until the future is dropped.
    pub async fn run(self) {
        let client = self.chain.client().clone();
        let mut heads = client.follow_best();
        let mut next = 0;
        let mut rotate_at = self.folder.keys_changed_ms().saturating_add(millis(KEY_EPOCH));
        loop {
            let head = heads.borrow_and_update().clone();
            if let HeadState::At(head) = head
                && head.number >= next
            {
                self.mind_keys(&mut rotate_at);
                next = match self.look().await {
                    Ok(()) => head.number.saturating_add(LOOK_EVERY),
                    Err(error) => {
                        tracing::warn!(%error, "the worker's record on the chain was not brought up to date");
                        head.number.saturating_add(PAUSE_AFTER_FAILURE)
                    }
                };
            }
            if heads.changed().await.is_err() {
                tokio::time::sleep(Duration::from_millis(500)).await;
                heads = client.follow_best();
            }
        }
    }

    fn mind_keys(&self, rotate_at: &mut u64) {
        let now = unix_ms();
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = keys.erase_expired(now);
        if now >= *rotate_at {
            keys.rotate(now, millis(KEY_GRACE), &mut rand::rng());
            *rotate_at = now.saturating_add(millis(KEY_EPOCH));
            changed = true;
            tracing::info!(key = %keys.current(), "a new key epoch");
        }
        if changed && let Err(error) = self.folder.store_encryption_keys(&keys) {
            tracing::error!(%error, "the encryption keys could not be stored");
        }
    }

    /// Compares the record with what is true, and writes it when they differ. An account that is no host is left alone.
    async fn look(&self) -> Result<(), ChainError> {
        let client = self.chain.client();
        let account = self.signer.account_id();
        let Some(stake) = client.operator(account).await? else {
            return Ok(());
        };
        if !stake.host {
            return Ok(());
        }
        let wanted = self.record(stake.worker.as_ref())?;
        if stake.worker.as_ref() == Some(&wanted) {
            return Ok(());
        }
        client
            .submit(&calls::register_worker(&wanted), &self.signer, Wait::InBlock)
            .await?;
        tracing::info!("the worker's record on the chain is up to date");
        Ok(())
    }

    fn record(&self, now: Option<&WorkerRecord>) -> Result<WorkerRecord, ChainError> {
        let listening = self.mesh.listen_addresses().borrow().clone();
        let addresses = if self.external.is_empty() {
            &listening
        } else {
            &self.external
        };
        let mut endpoints: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        endpoints.sort();
        endpoints.dedup();
        endpoints.truncate(llmesh_primitives::staking::MAX_ENDPOINTS as usize);
        // What was registered by hand stays, as long as nothing better is known.
        let region = match now {
            Some(record) if self.region == "unknown" => String::from_utf8_lossy(&record.region).into_owned(),
            _ => self.region.clone(),
        };
        let encode = |reason: String| ChainError::Encode {
            call: "a worker record".into(),
            reason,
        };
        let mut record = host::record(&region, &endpoints).map_err(encode)?;
        if endpoints.is_empty()
            && let Some(now) = now
        {
            record.endpoints = now.endpoints.clone();
        }
        record.peer_id = self
            .mesh
            .local_peer()
            .to_bytes()
            .try_into()
            .map_err(|_| encode("the peer id is too long".into()))?;
        record.encryption_key = self.keys.read().unwrap_or_else(PoisonError::into_inner).public();
        Ok(record)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
