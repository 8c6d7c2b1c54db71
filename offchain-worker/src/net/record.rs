//! Keeps the worker's record on the chain true: peer id, encryption key, addresses, region.
//!
//! The encryption key changes once per key epoch. The old one is kept for a while, for requests that were sealed to it
//! before the chain said otherwise, and then erased from memory and disk: what was sealed to it stays sealed for ever.

use super::{chainview::ChainView, identity::KeyFolder, unix_ms};
use crate::host;
use llmesh_chain::{ChainApi, ChainError, HeadState, Signer, Wait, calls};
use llmesh_mesh::{Mesh, Multiaddr, PeerId};
use llmesh_primitives::{
    WorkerRecord,
    staking::{MAX_ENDPOINT_BYTES, MAX_ENDPOINTS},
};
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
        let endpoints = if self.external.is_empty() {
            let mut found = self.mesh.status().borrow().external.clone();
            if found.is_empty() {
                // At the start nothing is proven yet; better a hint than nothing.
                found = self.mesh.listen_addresses().borrow().clone();
            }
            endpoints(&found, &self.mesh.local_peer())
        } else {
            endpoints(&self.external, &self.mesh.local_peer())
        };
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

/// What of these addresses goes into the record, in the same order always.
fn endpoints(addresses: &[Multiaddr], own: &PeerId) -> Vec<String> {
    // The record names the peer already; on an address through a relay there would be no room for it.
    let own = format!("/p2p/{own}");
    let mut endpoints: Vec<String> = addresses
        .iter()
        .map(ToString::to_string)
        .map(|text| text.strip_suffix(&own).map_or(text.clone(), ToOwned::to_owned))
        // One that is too long must not keep the rest, the encryption key among it, from the chain.
        .filter(|text| text.len() <= MAX_ENDPOINT_BYTES as usize)
        .collect();
    // Direct ways first, if there is no room for all.
    endpoints.sort_by_key(|text| (text.contains("/p2p-circuit"), text.clone()));
    endpoints.dedup();
    endpoints.truncate(MAX_ENDPOINTS as usize);
    endpoints
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_through_relays_fit_into_the_record() {
        // Of an ed25519 key, as workers have them: a random peer id is shorter.
        let peer = || llmesh_mesh::Keypair::generate_ed25519().public().to_peer_id();
        let (own, relay) = (peer(), peer());
        let parse = |text: String| text.parse::<Multiaddr>().unwrap();
        let circuit = |at: &str| format!("{at}/p2p/{relay}/p2p-circuit");
        let found = [
            parse(format!("{}/p2p/{own}", circuit("/ip4/198.51.100.200/tcp/30400"))),
            parse(format!(
                "{}/p2p/{own}",
                circuit("/ip6/2001:db8:1111:2222:3333:4444:5555:6666/udp/30400/quic-v1")
            )),
            parse(format!("/ip4/203.0.113.7/tcp/30400/p2p/{own}")),
            parse("/ip4/203.0.113.7/tcp/30400".into()),
            parse(format!("/dns4/{}.example/tcp/30400", "a".repeat(60))),
            parse(format!("/dns4/{}/tcp/30400", [&*"b".repeat(60); 3].join("."))),
        ];
        let kept = endpoints(&found, &own);
        // The last two of the others are too long.
        assert_eq!(
            kept,
            [
                format!("/dns4/{}.example/tcp/30400", "a".repeat(60)),
                "/ip4/203.0.113.7/tcp/30400".to_owned(),
                circuit("/ip4/198.51.100.200/tcp/30400"),
            ]
        );
        crate::host::record("here", &kept).unwrap();
        let many: Vec<Multiaddr> = (0..40)
            .map(|n| parse(format!("/ip4/203.0.113.{n}/tcp/1")))
            .collect();
        crate::host::record("here", &endpoints(&many, &own)).unwrap();
    }
}
