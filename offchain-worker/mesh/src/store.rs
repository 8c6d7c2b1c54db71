//! What this node stores for the DHT: signed peer records and provider records, nothing else, bounded, and with
//! peers that have standing preferred.

use crate::{
    Directory, PeerId, address,
    config::Limits,
    record::{self, PeerRecord, RecordError},
};
use libp2p::kad::{
    KBucketKey, ProviderRecord, Record, RecordKey,
    store::{Error, RecordStore, Result},
};
use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Instant,
};

/// Addresses kept with a provider record.
const PROVIDER_ADDRESSES: usize = 4;
/// Length of a key that can be provided: a content id.
const KEY_LEN: usize = 32;

pub(crate) struct Store {
    me: PeerId,
    my_key: KBucketKey<PeerId>,
    genesis: [u8; 32],
    local: bool,
    directory: Arc<dyn Directory>,
    records: HashMap<RecordKey, (u64, Record)>,
    providers: HashMap<RecordKey, Vec<ProviderRecord>>,
    /// Provider records stored for each peer.
    per_peer: HashMap<PeerId, usize>,
    provided: HashSet<ProviderRecord>,
    max_records: usize,
    max_keys: usize,
    max_per_key: usize,
    max_per_peer: usize,
    max_provided: usize,
}

impl Store {
    pub fn new(
        me: PeerId,
        genesis: [u8; 32],
        local: bool,
        limits: &Limits,
        directory: Arc<dyn Directory>,
    ) -> Self {
        Self {
            me,
            my_key: KBucketKey::from(me),
            genesis,
            local,
            directory,
            records: HashMap::new(),
            providers: HashMap::new(),
            per_peer: HashMap::new(),
            provided: HashSet::new(),
            max_records: limits.dht_records,
            max_keys: limits.dht_provider_keys,
            max_per_key: limits.dht_providers_per_key.max(1),
            max_per_peer: limits.dht_providers_per_peer,
            max_provided: limits.provided,
        }
    }

    /// Checks that a record of the DHT is a signed peer record under its own key.
    pub fn check(&self, record: &Record) -> std::result::Result<PeerRecord, RecordError> {
        let peer = record::peer_of_dht_key(record.key.as_ref()).ok_or(RecordError::Malformed)?;
        PeerRecord::decode_for(&record.value, &self.genesis, &peer)
    }

    fn standing(&self, peer: &PeerId) -> bool {
        *peer == self.me || self.directory.standing(peer).is_some()
    }

    /// Drops what has expired.
    pub fn prune(&mut self, now: Instant) {
        self.records.retain(|_, (_, record)| !record.is_expired(now));
        let mut gone = Vec::new();
        self.providers.retain(|_, all| {
            all.retain(|provider| {
                let keep = !provider.is_expired(now);
                if !keep {
                    gone.push(provider.provider);
                }
                keep
            });
            !all.is_empty()
        });
        for peer in gone {
            self.uncount(&peer);
        }
    }

    pub fn counts(&self) -> (usize, usize) {
        (self.records.len(), self.providers.values().map(Vec::len).sum())
    }

    fn count(&mut self, peer: PeerId) {
        *self.per_peer.entry(peer).or_default() += 1;
    }

    fn uncount(&mut self, peer: &PeerId) {
        if let Some(count) = self.per_peer.get_mut(peer) {
            *count -= 1;
            if *count == 0 {
                self.per_peer.remove(peer);
            }
        }
    }

    /// Makes room for a record of `peer`: the record of a peer without standing that is farthest from this node goes,
    /// if it is farther than the new one or the new one has standing.
    fn make_room(&mut self, peer: &PeerId) -> bool {
        if self.records.len() < self.max_records {
            return true;
        }
        let distance = |peer: &PeerId| self.my_key.distance(&KBucketKey::from(*peer));
        let farthest = self
            .records
            .keys()
            .filter_map(|key| Some((record::peer_of_dht_key(key.as_ref())?, key)))
            .filter(|(held, _)| !self.standing(held))
            .map(|(held, key)| (distance(&held), key.clone()))
            .max_by(|a, b| a.0.cmp(&b.0));
        match farthest {
            Some((farthest, key)) if self.standing(peer) || distance(peer) < farthest => {
                self.records.remove(&key);
                true
            }
            _ => false,
        }
    }

    /// Makes room for one more key: one that only peers without standing provide goes, for a peer with standing.
    fn make_room_for_key(&mut self, peer: &PeerId) -> bool {
        if self.providers.len() < self.max_keys {
            return true;
        }
        if !self.standing(peer) {
            return false;
        }
        let victim = self
            .providers
            .iter()
            .find(|(_, all)| !all.iter().any(|provider| self.standing(&provider.provider)))
            .map(|(key, _)| key.clone());
        let Some(victim) = victim else { return false };
        for provider in self.providers.remove(&victim).unwrap_or_default() {
            self.uncount(&provider.provider);
        }
        true
    }
}

impl RecordStore for Store {
    type RecordsIter<'a> = Box<dyn Iterator<Item = Cow<'a, Record>> + 'a>;
    type ProvidedIter<'a> = Box<dyn Iterator<Item = Cow<'a, ProviderRecord>> + 'a>;

    fn get(&self, key: &RecordKey) -> Option<Cow<'_, Record>> {
        self.records.get(key).map(|(_, record)| Cow::Borrowed(record))
    }

    fn put(&mut self, record: Record) -> Result<()> {
        // An error of this trait has no name for "not valid"; the caller checks first and says so.
        let checked = self.check(&record).map_err(|_| Error::ValueTooLarge)?;
        match self.records.get(&record.key) {
            Some((sequence, _)) if *sequence > checked.sequence => return Ok(()),
            Some(_) => {}
            None => {
                if !self.make_room(&checked.peer) {
                    return Err(Error::MaxRecords);
                }
            }
        }
        self.records
            .insert(record.key.clone(), (checked.sequence, record));
        Ok(())
    }

    fn remove(&mut self, key: &RecordKey) {
        self.records.remove(key);
    }

    fn records(&self) -> Self::RecordsIter<'_> {
        Box::new(self.records.values().map(|(_, record)| Cow::Borrowed(record)))
    }

    fn add_provider(&mut self, mut record: ProviderRecord) -> Result<()> {
        if record.key.as_ref().len() != KEY_LEN {
            return Err(Error::ValueTooLarge);
        }
        let peer = record.provider;
        let mine = peer == self.me;
        record.addresses = address::clean(record.addresses, &peer, self.local, PROVIDER_ADDRESSES);
        let held = self.providers.get(&record.key);
        let known = held.is_some_and(|all| all.iter().any(|provider| provider.provider == peer));
        if !known {
            if mine && self.provided.len() >= self.max_provided {
                return Err(Error::MaxProvidedKeys);
            }
            if !mine && self.per_peer.get(&peer).copied().unwrap_or(0) >= self.max_per_peer {
                return Err(Error::MaxProvidedKeys);
            }
            if held.is_none() && !mine && !self.make_room_for_key(&peer) {
                return Err(Error::MaxProvidedKeys);
            }
            let full = self
                .providers
                .get(&record.key)
                .is_some_and(|all| all.len() >= self.max_per_key);
            if full {
                // The list is cut: one more stranger changes nothing, a peer with standing takes a stranger's place.
                let victim = self.standing(&peer).then(|| {
                    let all = self.providers.get(&record.key)?;
                    all.iter().position(|provider| !self.standing(&provider.provider))
                });
                let Some(Some(victim)) = victim else { return Ok(()) };
                if let Some(all) = self.providers.get_mut(&record.key) {
                    let gone = all.swap_remove(victim).provider;
                    self.uncount(&gone);
                }
            }
            self.count(peer);
        }
        if mine {
            self.provided.replace(record.clone());
        }
        let all = self.providers.entry(record.key.clone()).or_default();
        match all.iter_mut().find(|provider| provider.provider == peer) {
            Some(held) => *held = record,
            None => all.push(record),
        }
        Ok(())
    }

    fn providers(&self, key: &RecordKey) -> Vec<ProviderRecord> {
        self.providers.get(key).cloned().unwrap_or_default()
    }

    fn provided(&self) -> Self::ProvidedIter<'_> {
        Box::new(self.provided.iter().map(Cow::Borrowed))
    }

    fn remove_provider(&mut self, key: &RecordKey, peer: &PeerId) {
        let Some(all) = self.providers.get_mut(key) else {
            return;
        };
        let Some(at) = all.iter().position(|provider| provider.provider == *peer) else {
            return;
        };
        let gone = all.swap_remove(at);
        if all.is_empty() {
            self.providers.remove(key);
        }
        self.provided.remove(&gone);
        self.uncount(peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Standing;
    use libp2p::identity::Keypair;
    use proptest::prelude::*;

    const CHAIN: [u8; 32] = [7; 32];

    #[derive(Default)]
    struct Chain(Vec<PeerId>);

    impl Directory for Chain {
        fn standing(&self, peer: &PeerId) -> Option<Standing> {
            self.0.contains(peer).then(Standing::default)
        }

        fn hosts(&self) -> Vec<PeerId> {
            self.0.clone()
        }
    }

    fn store(chain: Chain) -> Store {
        let limits = Limits {
            dht_records: 16,
            dht_provider_keys: 8,
            dht_providers_per_key: 3,
            dht_providers_per_peer: 4,
            provided: 4,
            ..Limits::default()
        };
        let me = Keypair::generate_ed25519().public().to_peer_id();
        Store::new(me, CHAIN, true, &limits, Arc::new(chain))
    }

    fn record(key: &Keypair, sequence: u64) -> Record {
        let signed = PeerRecord::sign(key, &CHAIN, sequence, &[], "", false).unwrap();
        Record::new(record::dht_key(&signed.peer), signed.bytes.to_vec())
    }

    fn provider(key: [u8; 32], peer: PeerId) -> ProviderRecord {
        ProviderRecord::new(RecordKey::new(&key), peer, vec![])
    }

    #[test]
    fn only_signed_peer_records_under_their_own_key() {
        let mut store = store(Chain::default());
        let (key, other) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
        assert!(store.put(record(&key, 5)).is_ok());
        let foreign = Record {
            key: record::dht_key(&other.public().to_peer_id()).into(),
            ..record(&key, 6)
        };
        assert_eq!(store.check(&foreign), Err(RecordError::OtherPeer));
        assert!(store.put(foreign).is_err());
        assert!(store.put(Record::new(vec![1, 2, 3], vec![0; 100])).is_err());
        let junk = Record {
            value: vec![0; 100],
            ..record(&other, 1)
        };
        assert!(store.put(junk).is_err());
        assert_eq!(store.counts().0, 1);
        // An older record does not replace.
        store.put(record(&key, 4)).unwrap();
        let held = store.get(&record(&key, 5).key).unwrap().into_owned();
        assert_eq!(store.check(&held).unwrap().sequence, 5);
    }

    #[test]
    fn a_flood_of_records_leaves_those_with_standing() {
        let staked: Vec<Keypair> = (0..4).map(|_| Keypair::generate_ed25519()).collect();
        let mut store = store(Chain(
            staked.iter().map(|key| key.public().to_peer_id()).collect(),
        ));
        for _ in 0..200 {
            let _ = store.put(record(&Keypair::generate_ed25519(), 1));
        }
        for key in &staked {
            store.put(record(key, 1)).unwrap();
        }
        for _ in 0..200 {
            let _ = store.put(record(&Keypair::generate_ed25519(), 1));
        }
        assert_eq!(store.counts().0, 16);
        for key in &staked {
            assert!(store.get(&record(key, 1).key).is_some());
        }
    }

    #[test]
    fn provider_lists_are_cut_and_peers_have_a_quota() {
        let staked = Keypair::generate_ed25519().public().to_peer_id();
        let mut store = store(Chain(vec![staked]));
        for _ in 0..100 {
            store.add_provider(provider([1; 32], PeerId::random())).unwrap();
        }
        assert_eq!(store.providers(&RecordKey::new(&[1; 32])).len(), 3);
        store.add_provider(provider([1; 32], staked)).unwrap();
        let list = store.providers(&RecordKey::new(&[1; 32]));
        assert!(list.iter().any(|held| held.provider == staked));
        assert_eq!(list.len(), 3);
        let greedy = PeerId::random();
        let taken = (10..100u8)
            .filter(|key| store.add_provider(provider([*key; 32], greedy)).is_ok())
            .count();
        assert_eq!(taken, 4);
        for key in 100..200u8 {
            let _ = store.add_provider(provider([key; 32], PeerId::random()));
        }
        assert_eq!(store.providers.len(), 8, "keys are bounded");
        assert!(
            store.add_provider(provider([201; 32], staked)).is_ok(),
            "standing finds room"
        );
        assert!(
            store
                .add_provider(ProviderRecord::new(vec![1u8; 5], staked, vec![]))
                .is_err()
        );
    }

    #[test]
    fn own_keys_are_provided_even_when_the_store_is_full() {
        let mut store = store(Chain::default());
        let me = store.me;
        for key in 0..100u8 {
            let _ = store.add_provider(provider([key; 32], PeerId::random()));
        }
        let mine = (100..200u8)
            .filter(|key| store.add_provider(provider([*key; 32], me)).is_ok())
            .count();
        assert_eq!(mine, 4);
        assert_eq!(store.provided().count(), 4);
        store.remove_provider(&RecordKey::new(&[100; 32]), &me);
        assert_eq!(store.provided().count(), 3);
    }

    proptest! {
        #[test]
        fn counts_stay_true(moves in proptest::collection::vec((any::<bool>(), 0u8..12, 0usize..6), 1..300)) {
            let peers: Vec<PeerId> = (0..6).map(|_| PeerId::random()).collect();
            let mut store = store(Chain(peers[..2].to_vec()));
            for (add, key, peer) in moves {
                let record = provider([key; 32], peers[peer]);
                if add {
                    let _ = store.add_provider(record);
                } else {
                    store.remove_provider(&record.key, &record.provider);
                }
                let mut counted: HashMap<PeerId, usize> = HashMap::new();
                for held in store.providers.values().flatten() {
                    *counted.entry(held.provider).or_default() += 1;
                }
                prop_assert_eq!(&counted, &store.per_peer);
                prop_assert!(store.providers.len() <= 8);
                prop_assert!(store.providers.values().all(|all| !all.is_empty() && all.len() <= 3));
            }
        }
    }
}
