//! Rates: how often whom is allowed what. GCRA by `governor`, one state a key, with a bound on keys.
//!
//! Keys are address prefixes before a peer has proven who it is, and peer ids afterwards: a thousand identities from
//! one machine share one prefix.

use crate::{
    PeerId,
    address::Prefix,
    config::{Limits, Rate},
};
use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed, keyed::DashMapStateStore},
};
use std::{
    hash::Hash,
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

pub(crate) fn quota(rate: Rate) -> Quota {
    let per_second = NonZeroU32::new(rate.per_second).unwrap_or(NonZeroU32::MIN);
    let burst = NonZeroU32::new(rate.burst).unwrap_or(NonZeroU32::MIN);
    // `per_second` counts whole nanoseconds per cell; above 10^9 cells a second that is zero, which never limits.
    let per_second = per_second.min(NonZeroU32::new(1_000_000_000).unwrap_or(NonZeroU32::MAX));
    Quota::per_second(per_second).allow_burst(burst)
}

/// One rate for each key. When there are too many keys at a time, new ones share one state: they may be slowed down
/// together, but memory stays bounded and known keys keep their own.
pub struct Keyed<K: Hash + Eq + Clone, C: Clock = DefaultClock> {
    states: RateLimiter<K, DashMapStateStore<K>, C, NoOpMiddleware<C::Instant>>,
    overflow: RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<C::Instant>>,
    max_keys: usize,
    made: Instant,
    /// When keys were forgotten last for want of room, in milliseconds since `made`.
    forgot: AtomicU64,
}

/// A full set of keys is looked through at most so often: it takes time that a flood must not be able to spend.
const FORGET: u64 = 1_000;

impl<K: Hash + Eq + Clone> Keyed<K> {
    /// `rate` for each key, at most `max_keys` of them at a time.
    pub fn new(rate: Rate, max_keys: usize) -> Self {
        Self::with_clock(rate, max_keys, DefaultClock::default())
    }
}

impl<K: Hash + Eq + Clone, C: Clock + Clone> Keyed<K, C> {
    /// As [`Keyed::new`], with a clock of one's own.
    pub fn with_clock(rate: Rate, max_keys: usize, clock: C) -> Self {
        Self {
            states: RateLimiter::new(quota(rate), DashMapStateStore::default(), clock.clone()),
            overflow: RateLimiter::new(quota(rate), InMemoryState::default(), clock),
            max_keys,
            made: Instant::now(),
            forgot: AtomicU64::new(0),
        }
    }

    /// Takes `count` for `key`; false when that is too much now. More than the burst is always too much.
    pub fn allow(&self, key: &K, count: u32) -> bool {
        let Some(count) = NonZeroU32::new(count) else {
            return true;
        };
        // The length may be off by a few when several threads add keys: the bound is soft by that much.
        if self.states.len() >= self.max_keys {
            let now = u64::try_from(self.made.elapsed().as_millis()).unwrap_or(u64::MAX);
            let last = self.forgot.load(Ordering::Relaxed);
            let due = now.saturating_sub(last) >= FORGET
                && self
                    .forgot
                    .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok();
            if due {
                self.states.retain_recent();
            }
            if self.states.len() >= self.max_keys {
                return matches!(self.overflow.check_n(count), Ok(Ok(())));
            }
        }
        matches!(self.states.check_key_n(key, count), Ok(Ok(())))
    }

    /// Forgets keys that have their full allowance again.
    pub fn prune(&self) {
        self.states.retain_recent();
    }

    /// Keys with a state of their own.
    pub fn keys(&self) -> usize {
        self.states.len()
    }
}

/// Every rate of a node.
pub(crate) struct Rates {
    pub connections: Keyed<Prefix>,
    connections_total: DefaultDirectRateLimiter,
    dials: DefaultDirectRateLimiter,
    pub links: Keyed<PeerId>,
    /// How often a peer may tell anew who it is.
    pub introductions: Keyed<PeerId>,
    requests: Keyed<PeerId>,
    requests_standing: Keyed<PeerId>,
    bytes: Keyed<PeerId>,
    pub exchanges: Keyed<PeerId>,
    pub gossip: Keyed<PeerId>,
    pub dht_writes: Keyed<PeerId>,
}

/// How often [`Rates::prune`] is due.
pub(crate) const PRUNE: Duration = Duration::from_secs(30);

impl Rates {
    pub fn new(limits: &Limits) -> Self {
        let peers = 2 * (limits.inbound + limits.outbound) + 64;
        Self {
            connections: Keyed::new(limits.connection_rate, 16_384),
            connections_total: RateLimiter::direct(quota(limits.connection_rate_total)),
            dials: RateLimiter::direct(quota(limits.dial_rate)),
            links: Keyed::new(limits.link_rate, peers),
            introductions: Keyed::new(Rate::new(1, 16), peers),
            requests: Keyed::new(limits.request_rate, peers),
            requests_standing: Keyed::new(limits.request_rate_standing, peers),
            bytes: Keyed::new(limits.byte_rate, peers),
            exchanges: Keyed::new(limits.exchange_rate, peers),
            gossip: Keyed::new(limits.gossip_rate, 16_384),
            dht_writes: Keyed::new(limits.dht_write_rate, peers),
        }
    }

    /// A new inbound connection. The prefix comes first: one that is over its own rate takes nothing from the others.
    pub fn connection(&self, prefix: Prefix) -> bool {
        self.connections.allow(&prefix, 1) && self.connections_total.check().is_ok()
    }

    pub fn dial(&self) -> bool {
        self.dials.check().is_ok()
    }

    /// A request of so many bytes, before anything in it is decoded.
    pub fn request(&self, peer: &PeerId, standing: bool, bytes: usize) -> bool {
        let requests = if standing {
            &self.requests_standing
        } else {
            &self.requests
        };
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        requests.allow(peer, 1) && self.bytes.allow(peer, bytes)
    }

    pub fn prune(&self) {
        self.connections.prune();
        self.gossip.prune();
        for peers in [
            &self.links,
            &self.introductions,
            &self.requests,
            &self.requests_standing,
            &self.bytes,
            &self.exchanges,
            &self.dht_writes,
        ] {
            peers.prune();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;
    use proptest::prelude::*;

    #[test]
    fn a_burst_then_the_rate() {
        let clock = FakeRelativeClock::default();
        let rate = Keyed::with_clock(Rate::new(10, 5), 100, clock.clone());
        assert_eq!((0..20).filter(|_| rate.allow(&1, 1)).count(), 5);
        assert!(rate.allow(&2, 1), "others are not touched");
        clock.advance(Duration::from_millis(100));
        assert!(rate.allow(&1, 1));
        assert!(!rate.allow(&1, 1));
        assert!(!rate.allow(&3, 6), "more than the burst never fits");
        assert!(rate.allow(&3, 0));
    }

    #[test]
    fn a_thousand_identities_of_one_prefix_share_its_rate() {
        let rates = Rates::new(&Limits {
            connection_rate: Rate::new(1, 10),
            ..Limits::default()
        });
        let crowd = Prefix::V4([9, 9, 9]);
        let admitted = (0..1_000).filter(|_| rates.connection(crowd)).count();
        assert!(admitted <= 12, "{admitted}");
        assert!(rates.connection(Prefix::V4([8, 8, 8])));
    }

    #[test]
    fn odd_rates_do_not_panic() {
        for rate in [
            Rate::new(0, 0),
            Rate::new(u32::MAX, u32::MAX),
            Rate::new(1, u32::MAX),
        ] {
            assert!(Keyed::new(rate, 4).allow(&0u8, 1));
        }
    }

    proptest! {
        #[test]
        fn keys_are_bounded(keys in proptest::collection::vec(any::<u16>(), 1..500)) {
            let clock = FakeRelativeClock::default();
            let rate = Keyed::with_clock(Rate::new(1, 4), 16, clock.clone());
            for key in &keys {
                rate.allow(key, 1);
                prop_assert!(rate.keys() <= 16);
            }
            clock.advance(Duration::from_secs(60));
            rate.prune();
            prop_assert_eq!(rate.keys(), 0);
        }
    }
}
