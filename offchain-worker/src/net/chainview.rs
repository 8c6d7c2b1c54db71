//! What the chain says of channels and fees, read when needed and kept for a few blocks.

use codec::{DecodeAll, Encode};
use llmesh_chain::{ChainError, HeadState, NodeClient};
use llmesh_payments::BlockNumber;
use llmesh_primitives::{Channel, ChannelId, ModelVersionId, Priority};
use sp_runtime::AccountId32;
use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::watch;

/// A reading is good for so many blocks: far less than any challenge window.
const FRESH_BLOCKS: u32 = 2;
/// Entries of each kind that are kept.
const MAX_ENTRIES: usize = 16_384;

/// A channel as the books take it.
pub(crate) type BookChannel = Channel<AccountId32, BlockNumber>;

struct Cache<K, V> {
    entries: Mutex<HashMap<K, (u32, V)>>,
}

impl<K: Hash + Eq + Copy, V: Clone> Cache<K, V> {
    fn new() -> Self {
        Self {
            entries: Mutex::new(HashMap::new()),
        }
    }

    fn get(&self, key: K) -> Option<(u32, V)> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(&key).cloned()
    }

    fn put(&self, key: K, block: u32, value: V) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= MAX_ENTRIES && !entries.contains_key(&key) {
            entries.retain(|_, (read, _)| read.saturating_add(FRESH_BLOCKS) >= block);
            if entries.len() >= MAX_ENTRIES {
                entries.clear();
            }
        }
        entries.insert(key, (block, value));
    }
}

/// A fee at present, and before it last changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fee {
    pub now: u128,
    pub before: u128,
}

impl Fee {
    /// The least that an honest client can have offered: it may have read the chain just before a change.
    pub fn acceptable(self) -> u128 {
        self.now.min(self.before)
    }
}

/// Reads through a cache, at the last final block: money never rests on a block that may go away. One for a whole worker.
pub(crate) struct ChainView {
    client: Arc<dyn NodeClient>,
    finalized: watch::Receiver<HeadState>,
    channels: Cache<ChannelId, Option<BookChannel>>,
    fees: Cache<(ModelVersionId, u128, u8), Option<Fee>>,
}

impl ChainView {
    pub fn new(client: Arc<dyn NodeClient>) -> Self {
        Self {
            finalized: client.follow_finalized(),
            client,
            channels: Cache::new(),
            fees: Cache::new(),
        }
    }

    pub fn client(&self) -> &Arc<dyn NodeClient> {
        &self.client
    }

    /// The last final block; `None` while none is known.
    pub fn block(&self) -> Option<BlockNumber> {
        match &*self.finalized.borrow() {
            HeadState::At(head) => Some(head.number),
            _ => None,
        }
    }

    /// The channel and the block it was read at, at most a few blocks ago. With `fresh` it is read now whatever is kept.
    pub async fn channel(
        &self,
        id: ChannelId,
        fresh: bool,
    ) -> Result<(BlockNumber, Option<BookChannel>), ChainError> {
        let block = self.block().unwrap_or_default();
        if let Some((read, channel)) = self.channels.get(id)
            // What is not there is looked for once a block: it may have been opened since.
            && block < read.saturating_add(if channel.is_some() && !fresh { FRESH_BLOCKS } else { 1 })
        {
            return Ok((read, channel));
        }
        let head = self.client.finalized_head().await?;
        let bytes = self
            .client
            .call_api("SettlementApi_channel", id.encode(), Some(head.hash))
            .await?;
        let channel: Option<BookChannel> = decode("a channel", &bytes)?;
        self.channels.put(id, head.number, channel.clone());
        Ok((head.number, channel))
    }

    /// The payer's channels, and the block they were read at.
    pub async fn channels_of(
        &self,
        payer: &AccountId32,
    ) -> Result<(BlockNumber, Vec<(ChannelId, BookChannel)>), ChainError> {
        let head = self.client.finalized_head().await?;
        let bytes = self
            .client
            .call_api("SettlementApi_channels_of", payer.encode(), Some(head.hash))
            .await?;
        Ok((head.number, decode("channels", &bytes)?))
    }

    /// What a host that asks `price` gets for one answer.
    pub async fn fee(
        &self,
        model: ModelVersionId,
        price: u128,
        priority: Priority,
    ) -> Result<Option<Fee>, ChainError> {
        let key = (model, price, priority as u8);
        let block = self.block().unwrap_or_default();
        let kept = self.fees.get(key);
        if let Some((read, fee)) = kept
            && block < read.saturating_add(FRESH_BLOCKS)
        {
            return Ok(fee);
        }
        let bytes = self
            .client
            .call_api("SettlementApi_fee", (model, price, priority).encode(), None)
            .await?;
        let now: Option<u128> = decode("a fee", &bytes)?;
        let fee = now.map(|now| Fee {
            now,
            before: kept.and_then(|(_, fee)| fee).map_or(now, |fee| fee.now),
        });
        self.fees.put(key, block, fee);
        Ok(fee)
    }
}

fn decode<T: DecodeAll>(what: &str, mut bytes: &[u8]) -> Result<T, ChainError> {
    T::decode_all(&mut bytes).map_err(|e| ChainError::Decode {
        what: what.into(),
        reason: e.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_read_the_chain_before_a_rise_pays_enough() {
        assert_eq!(Fee { now: 12, before: 10 }.acceptable(), 10);
        assert_eq!(Fee { now: 9, before: 10 }.acceptable(), 9);
    }

    #[test]
    fn caches_are_bounded() {
        let cache = Cache::new();
        for i in 0..MAX_ENTRIES as u64 {
            cache.put(i, 1, ());
        }
        cache.put(u64::MAX, 9, ());
        assert_eq!(cache.entries.lock().unwrap().len(), 1);
        assert_eq!(cache.get(u64::MAX), Some((9, ())));
    }
}
