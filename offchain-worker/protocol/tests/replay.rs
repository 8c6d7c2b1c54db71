//! The replay cache against a model of it that forgets nothing.

use llmesh_protocol::replay::{Outcome, ReplayCache, ReplayConfig};
use proptest::prelude::*;
use sp_core::H256;
use sp_runtime::AccountId32;

fn id(n: u64) -> H256 {
    H256::from_low_u64_be(n)
}

fn client(n: u8) -> AccountId32 {
    AccountId32::new([n; 32])
}

const CONFIG: ReplayConfig = ReplayConfig {
    capacity: 6,
    per_client: 3,
    max_lifetime_ms: 1_000,
};

#[test]
fn an_id_is_taken_once_until_it_expires() {
    let mut cache = ReplayCache::new(CONFIG);
    assert_eq!(cache.insert(id(1), &client(1), 500, 0), Outcome::Fresh);
    assert!(cache.contains(&id(1)));
    assert_eq!(cache.insert(id(1), &client(1), 500, 499), Outcome::Seen);
    // Another client does not get it either.
    assert_eq!(cache.insert(id(1), &client(2), 500, 499), Outcome::Seen);
    assert_eq!(cache.insert(id(1), &client(1), 500, 500), Outcome::Expired);
    assert!(cache.is_empty());
    assert_eq!(cache.insert(id(2), &client(1), 1_501, 500), Outcome::TooLong);
    assert_eq!(cache.insert(id(2), &client(1), 1_500, 500), Outcome::Fresh);
    assert_eq!(cache.insert(id(3), &client(1), u64::MAX, 500), Outcome::TooLong);
}

#[test]
fn a_clock_that_goes_back_brings_nothing_back() {
    let mut cache = ReplayCache::new(CONFIG);
    assert_eq!(cache.insert(id(1), &client(1), 500, 0), Outcome::Fresh);
    assert_eq!(cache.insert(id(2), &client(1), 900, 600), Outcome::Fresh);
    assert_eq!(cache.insert(id(1), &client(1), 500, 0), Outcome::Expired);
}

#[test]
fn under_pressure_it_takes_nothing_new_and_forgets_nothing() {
    let mut cache = ReplayCache::new(CONFIG);
    for n in 0..3 {
        assert_eq!(cache.insert(id(n), &client(1), 100 + n, 0), Outcome::Fresh);
        assert_eq!(cache.insert(id(10 + n), &client(2), 200, 0), Outcome::Fresh);
    }
    assert_eq!(cache.insert(id(3), &client(1), 100, 0), Outcome::QuotaUsed);
    assert_eq!(
        cache.insert(id(20), &client(3), 100, 0),
        Outcome::Full { free_at: 100 }
    );
    for n in 0..3 {
        assert_eq!(cache.insert(id(n), &client(1), 100 + n, 99), Outcome::Seen);
    }
    assert_eq!(cache.of_client(&client(1)), 3);
    // The first is over: room for one.
    assert_eq!(cache.insert(id(20), &client(3), 300, 100), Outcome::Fresh);
    assert_eq!(
        cache.insert(id(21), &client(3), 300, 100),
        Outcome::Full { free_at: 101 }
    );
}

#[test]
fn a_refused_request_can_be_sent_again() {
    let mut cache = ReplayCache::new(CONFIG);
    assert_eq!(cache.insert(id(1), &client(1), 500, 0), Outcome::Fresh);
    assert!(cache.remove(&id(1)));
    assert!(!cache.remove(&id(1)));
    assert_eq!(cache.of_client(&client(1)), 0);
    assert_eq!(cache.insert(id(1), &client(1), 500, 0), Outcome::Fresh);
}

#[test]
fn it_survives_a_restart() {
    let mut cache = ReplayCache::new(CONFIG);
    for n in 0..3 {
        assert_eq!(cache.insert(id(n), &client(n as u8), 100 + n, 0), Outcome::Fresh);
    }
    let mut restored = ReplayCache::new(CONFIG);
    for (id, client, expires_at) in cache.entries() {
        let _ = restored.insert(id, client, expires_at, 101);
    }
    assert_eq!(restored.len(), 1);
    assert_eq!(restored.insert(id(2), &client(2), 102, 101), Outcome::Seen);
}

#[derive(Clone, Debug)]
enum Op {
    Insert { id: u64, client: u8, lifetime: u64 },
    Remove { id: u64 },
    Wait(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0u64..40, 0u8..4, 0u64..1_200).prop_map(|(id, client, lifetime)| Op::Insert { id, client, lifetime }),
        1 => (0u64..40).prop_map(|id| Op::Remove { id }),
        2 => (0u64..400).prop_map(Op::Wait),
    ]
}

proptest! {
    #[test]
    fn it_does_what_a_plain_list_would(ops in proptest::collection::vec(op(), 1..200)) {
        let mut cache = ReplayCache::new(CONFIG);
        let mut list: Vec<(u64, u8, u64)> = vec![];
        let mut now = 0;
        for op in ops {
            match op {
                Op::Wait(ms) => now += ms,
                Op::Remove { id: n } => {
                    let before = list.len();
                    list.retain(|entry| entry.0 != n);
                    prop_assert_eq!(cache.remove(&id(n)), list.len() < before);
                }
                Op::Insert { id: n, client: who, lifetime } => {
                    let expires_at = now + lifetime;
                    list.retain(|entry| entry.2 > now);
                    let expected = if list.iter().any(|entry| entry.0 == n) {
                        Outcome::Seen
                    } else if lifetime == 0 {
                        Outcome::Expired
                    } else if lifetime > 1_000 {
                        Outcome::TooLong
                    } else if list.iter().filter(|entry| entry.1 == who).count() >= 3 {
                        Outcome::QuotaUsed
                    } else if list.len() >= 6 {
                        Outcome::Full { free_at: list.iter().map(|entry| entry.2).min().unwrap() }
                    } else {
                        list.push((n, who, expires_at));
                        Outcome::Fresh
                    };
                    prop_assert_eq!(cache.insert(id(n), &client(who), expires_at, now), expected);
                    prop_assert_eq!(cache.len(), list.len());
                    for who in 0..4 {
                        let ids = list.iter().filter(|entry| entry.1 == who).count();
                        prop_assert_eq!(cache.of_client(&client(who)), ids);
                    }
                }
            }
        }
    }
}
