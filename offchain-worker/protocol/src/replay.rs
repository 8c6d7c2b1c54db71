//! Takes each request id once.
//!
//! The cache remembers an id until its request expires, and never less: when it has no room it takes no new id. One
//! client has a share of the room only, and an id whose expiry is too far off is not taken, so that nobody fills the
//! cache for long. Ask it only once the client's signature is checked: otherwise anybody can fill any client's share.
//!
//! Times are milliseconds since the Unix epoch, as in the terms. A clock that goes back counts as one that stands
//! still: an id that was forgotten would be new again otherwise.

use sp_core::H256;
use sp_runtime::AccountId32;
use std::collections::{BTreeSet, HashMap, hash_map::Entry};

/// The bounds of a [`ReplayCache`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayConfig {
    /// Most ids altogether; about 250 bytes each.
    pub capacity: usize,
    /// Most ids of one client.
    pub per_client: usize,
    /// Longest time between now and a request's expiry.
    pub max_lifetime_ms: u64,
}

impl Default for ReplayConfig {
    /// 100,000 ids, 5,000 of one client, for up to ten minutes.
    fn default() -> Self {
        Self {
            capacity: 100_000,
            per_client: 5_000,
            max_lifetime_ms: 600_000,
        }
    }
}

/// What the cache says to an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// It is new, and remembered from now on.
    Fresh,
    /// It was here before.
    Seen,
    /// There is no room; it is not remembered. Some is free again at `free_at`.
    Full { free_at: u64 },
    /// The client has used up its share; it is not remembered.
    QuotaUsed,
    /// The request has expired.
    Expired,
    /// The request lives longer than the cache remembers.
    TooLong,
}

/// Remembers request ids, see the [module](self).
#[derive(Debug)]
pub struct ReplayCache {
    config: ReplayConfig,
    ids: HashMap<H256, (u64, AccountId32)>,
    by_expiry: BTreeSet<(u64, H256)>,
    /// Number of ids of each client that has any.
    clients: HashMap<AccountId32, usize>,
    /// The latest time that was given.
    clock: u64,
}

impl ReplayCache {
    /// An empty cache.
    pub fn new(config: ReplayConfig) -> Self {
        Self {
            config,
            ids: HashMap::new(),
            by_expiry: BTreeSet::new(),
            clients: HashMap::new(),
            clock: 0,
        }
    }

    /// Takes an id, once.
    pub fn insert(&mut self, id: H256, client: &AccountId32, expires_at: u64, now: u64) -> Outcome {
        let now = self.expire(now);
        if self.ids.contains_key(&id) {
            return Outcome::Seen;
        }
        if expires_at <= now {
            return Outcome::Expired;
        }
        if expires_at.saturating_sub(now) > self.config.max_lifetime_ms {
            return Outcome::TooLong;
        }
        if self.of_client(client) >= self.config.per_client {
            return Outcome::QuotaUsed;
        }
        if self.ids.len() >= self.config.capacity {
            let free_at = self.by_expiry.first().map_or(now, |(at, _)| *at);
            return Outcome::Full { free_at };
        }
        self.ids.insert(id, (expires_at, client.clone()));
        self.by_expiry.insert((expires_at, id));
        *self.clients.entry(client.clone()).or_default() += 1;
        Outcome::Fresh
    }

    /// Whether the id is remembered.
    pub fn contains(&self, id: &H256) -> bool {
        self.ids.contains_key(id)
    }

    /// Forgets an id whose request was refused before any work, so that its client can put it right and send it again.
    /// Returns whether it was remembered.
    pub fn remove(&mut self, id: &H256) -> bool {
        match self.ids.remove(id) {
            Some((expires_at, client)) => {
                self.by_expiry.remove(&(expires_at, *id));
                self.count_down(client);
                true
            }
            None => false,
        }
    }

    /// Number of ids.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Number of ids of one client.
    pub fn of_client(&self, client: &AccountId32) -> usize {
        self.clients.get(client).copied().unwrap_or_default()
    }

    /// All ids with client and expiry, the first to expire first: to be stored, and given to
    /// [`ReplayCache::insert`] after a restart.
    pub fn entries(&self) -> impl Iterator<Item = (H256, &AccountId32, u64)> {
        self.by_expiry.iter().filter_map(|(expires_at, id)| {
            let (_, client) = self.ids.get(id)?;
            Some((*id, client, *expires_at))
        })
    }

    /// Forgets what has expired, and returns the time that counts.
    fn expire(&mut self, now: u64) -> u64 {
        self.clock = self.clock.max(now);
        while let Some((expires_at, id)) = self.by_expiry.pop_first() {
            if expires_at > self.clock {
                self.by_expiry.insert((expires_at, id));
                break;
            }
            if let Some((_, client)) = self.ids.remove(&id) {
                self.count_down(client);
            }
        }
        self.clock
    }

    fn count_down(&mut self, client: AccountId32) {
        if let Entry::Occupied(mut entry) = self.clients.entry(client) {
            let left = entry.get().saturating_sub(1);
            if left == 0 {
                entry.remove();
            } else {
                *entry.get_mut() = left;
            }
        }
    }
}
