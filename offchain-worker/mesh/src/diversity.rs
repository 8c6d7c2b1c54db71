//! Who gets a place when there are more who want one: places are spread over address prefixes and regions, and peers
//! with standing on chain come first. Pure: no clock, no network.
//!
//! What an attacker has many of is identities; what costs money is stake and addresses in different networks. So
//! no prefix (/24 or /48, and above it /16 or /32) holds many places, and a place once crowded gives way to a peer
//! from a less crowded network.

use crate::{PeerId, address::Prefix};
use rand::{Rng, seq::SliceRandom};
use std::{collections::HashMap, hash::Hash};

impl Prefix {
    /// The wider network: /16 of IPv4, /32 of IPv6.
    fn wide(self) -> Self {
        match self {
            Prefix::V4([a, b, _]) => Prefix::V4([a, b, 0]),
            Prefix::V6([a, b, c, d, ..]) => Prefix::V6([a, b, c, d, 0, 0]),
            other => other,
        }
    }
}

/// One who wants a place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// Who.
    pub peer: PeerId,
    /// From where.
    pub prefix: Prefix,
    /// Region on chain; empty when unknown.
    pub region: String,
    /// Whether the chain knows the peer.
    pub standing: bool,
}

/// Bounds on places.
#[derive(Clone, Copy, Debug)]
pub struct Caps {
    /// All places.
    pub total: usize,
    /// Places for peers without standing.
    pub without_standing: usize,
    /// Places for one prefix, peers without standing.
    pub per_prefix: usize,
    /// Places for one prefix, all peers.
    pub per_prefix_total: usize,
    /// Places for peers without standing that come through one relay.
    pub relayed: usize,
}

/// What becomes of a candidate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict<K> {
    /// There is room.
    Take,
    /// There is room if this place is cleared.
    Replace(K),
    /// No room.
    Refuse(Reason),
}

/// Why there is no room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// Too many from this network.
    Prefix,
    /// Full of peers that are not worse.
    Full,
}

/// Places, each under a key (a connection).
#[derive(Debug)]
pub struct Slots<K> {
    caps: Caps,
    taken: HashMap<K, (u64, Candidate)>,
    prefixes: HashMap<Prefix, Crowd>,
    wide: HashMap<Prefix, usize>,
    without_standing: usize,
    next: u64,
}

#[derive(Clone, Copy, Default, Debug)]
struct Crowd {
    all: usize,
    without_standing: usize,
}

impl<K: Copy + Eq + Hash> Slots<K> {
    /// Empty places.
    pub fn new(caps: Caps) -> Self {
        Self {
            caps,
            taken: HashMap::new(),
            prefixes: HashMap::new(),
            wide: HashMap::new(),
            without_standing: 0,
            next: 0,
        }
    }

    /// Places taken.
    pub fn len(&self) -> usize {
        self.taken.len()
    }

    /// Whether nobody has a place.
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    /// Decides, without changing anything.
    pub fn judge(&self, candidate: &Candidate) -> Verdict<K> {
        let crowd = self.prefixes.get(&candidate.prefix).copied().unwrap_or_default();
        if candidate.standing {
            self.judge_standing(candidate, crowd)
        } else {
            self.judge_other(candidate, crowd)
        }
    }

    fn judge_standing(&self, candidate: &Candidate, crowd: Crowd) -> Verdict<K> {
        let is_network = matches!(candidate.prefix, Prefix::V4(_) | Prefix::V6(_));
        if is_network && crowd.all >= self.caps.per_prefix_total {
            let neighbour = self.newest(|held| !held.standing && held.prefix == candidate.prefix);
            return neighbour.map_or(Verdict::Refuse(Reason::Prefix), Verdict::Replace);
        }
        if self.taken.len() < self.caps.total {
            return Verdict::Take;
        }
        if let Some(victim) = self.most_crowded_other() {
            return Verdict::Replace(victim.0);
        }
        // Only peers with standing: even out the regions.
        let mut regions: HashMap<&str, usize> = HashMap::new();
        for (_, held) in self.taken.values() {
            *regions.entry(&held.region).or_default() += 1;
        }
        let own = regions.get(candidate.region.as_str()).copied().unwrap_or(0);
        let (fullest, count) = regions
            .into_iter()
            .max_by(|a, b| a.1.cmp(&b.1).then(b.0.cmp(a.0)))
            .unwrap_or_default();
        if count > own + 1
            && let Some(victim) = self.newest(|held| held.region == fullest)
        {
            return Verdict::Replace(victim);
        }
        Verdict::Refuse(Reason::Full)
    }

    fn judge_other(&self, candidate: &Candidate, crowd: Crowd) -> Verdict<K> {
        let cap = match candidate.prefix {
            Prefix::Relayed(_) => self.caps.relayed,
            _ => self.caps.per_prefix,
        };
        if crowd.without_standing >= cap || crowd.all >= self.caps.per_prefix_total.max(cap) {
            return Verdict::Refuse(Reason::Prefix);
        }
        if self.without_standing < self.caps.without_standing && self.taken.len() < self.caps.total {
            return Verdict::Take;
        }
        let wide = self.wide.get(&candidate.prefix.wide()).copied().unwrap_or(0);
        match self.most_crowded_other() {
            Some((victim, crowding)) if crowding > (wide + 1, crowd.without_standing + 1) => {
                Verdict::Replace(victim)
            }
            _ => Verdict::Refuse(Reason::Full),
        }
    }

    /// The newest place of a peer without standing in the most crowded network.
    fn most_crowded_other(&self) -> Option<(K, (usize, usize))> {
        self.taken
            .iter()
            .filter(|(_, (_, held))| !held.standing)
            .map(|(key, (age, held))| {
                let wide = self.wide.get(&held.prefix.wide()).copied().unwrap_or(0);
                let narrow = self
                    .prefixes
                    .get(&held.prefix)
                    .map_or(0, |crowd| crowd.without_standing);
                ((wide, narrow), *age, *key)
            })
            .max_by_key(|(crowding, age, _)| (*crowding, *age))
            .map(|(crowding, _, key)| (key, crowding))
    }

    fn newest(&self, fits: impl Fn(&Candidate) -> bool) -> Option<K> {
        self.taken
            .iter()
            .filter(|(_, (_, held))| fits(held))
            .max_by_key(|(_, (age, _))| *age)
            .map(|(key, _)| *key)
    }

    /// Gives a place. What [`Slots::judge`] said about a place to clear must be done by the caller.
    pub fn take(&mut self, key: K, candidate: Candidate) {
        self.release(&key);
        let crowd = self.prefixes.entry(candidate.prefix).or_default();
        crowd.all += 1;
        if !candidate.standing {
            crowd.without_standing += 1;
            self.without_standing += 1;
            *self.wide.entry(candidate.prefix.wide()).or_default() += 1;
        }
        self.taken.insert(key, (self.next, candidate));
        self.next += 1;
    }

    /// Frees a place; nothing happens when it was free.
    pub fn release(&mut self, key: &K) -> Option<Candidate> {
        let (_, held) = self.taken.remove(key)?;
        if let Some(crowd) = self.prefixes.get_mut(&held.prefix) {
            crowd.all -= 1;
            if !held.standing {
                crowd.without_standing -= 1;
            }
            if crowd.all == 0 {
                self.prefixes.remove(&held.prefix);
            }
        }
        if !held.standing {
            self.without_standing -= 1;
            let wide = held.prefix.wide();
            if let Some(count) = self.wide.get_mut(&wide) {
                *count -= 1;
                if *count == 0 {
                    self.wide.remove(&wide);
                }
            }
        }
        Some(held)
    }
}

/// Bounds on the routing table.
#[derive(Clone, Copy, Debug)]
pub struct TableCaps {
    /// Entries of one prefix in one bucket, peers without standing.
    pub per_bucket: usize,
    /// Entries of one prefix in all buckets, peers without standing.
    pub per_table: usize,
    /// Entries a bucket holds.
    pub bucket: usize,
}

/// What becomes of a peer that could enter the routing table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entry {
    /// It enters.
    Enter,
    /// It enters in place of this peer.
    Instead(PeerId),
    /// It stays out.
    Stay,
}

/// After so many dials in a row that failed, a peer leaves the routing table.
const TABLE_FAILURES: u8 = 3;

/// Who is in the routing table, by network. Buckets are numbered by the caller.
#[derive(Default, Debug)]
pub struct Table {
    peers: HashMap<PeerId, InTable>,
}

#[derive(Debug)]
struct InTable {
    prefix: Prefix,
    bucket: u32,
    standing: bool,
    failures: u8,
}

impl Table {
    /// Decides, without changing anything. A peer that is in already may stay.
    pub fn judge(
        &self,
        caps: TableCaps,
        peer: &PeerId,
        prefix: Prefix,
        bucket: u32,
        standing: bool,
    ) -> Entry {
        if self.peers.contains_key(peer) {
            return Entry::Enter;
        }
        let (mut in_bucket, mut same_in_bucket, mut same_in_table) = (0, 0, 0);
        let mut victim = None;
        for (peer, held) in &self.peers {
            let here = held.bucket == bucket;
            in_bucket += usize::from(here);
            if !held.standing {
                same_in_bucket += usize::from(here && held.prefix == prefix);
                same_in_table += usize::from(held.prefix == prefix);
                if here && victim.is_none_or(|other| peer < other) {
                    victim = Some(peer);
                }
            }
        }
        if !standing && (same_in_bucket >= caps.per_bucket || same_in_table >= caps.per_table) {
            return Entry::Stay;
        }
        if in_bucket < caps.bucket {
            return Entry::Enter;
        }
        match victim {
            Some(victim) if standing => Entry::Instead(*victim),
            _ => Entry::Stay,
        }
    }

    /// Notes a peer.
    pub fn enter(&mut self, peer: PeerId, prefix: Prefix, bucket: u32, standing: bool) {
        let entry = InTable {
            prefix,
            bucket,
            standing,
            failures: 0,
        };
        self.peers.insert(peer, entry);
    }

    /// Whether a peer is in.
    pub fn contains(&self, peer: &PeerId) -> bool {
        self.peers.contains_key(peer)
    }

    /// Notes a dial that failed. True when the peer should leave: one that does not answer holds the place of one that
    /// does.
    pub fn failed(&mut self, peer: &PeerId) -> bool {
        self.peers.get_mut(peer).is_some_and(|held| {
            held.failures = held.failures.saturating_add(1);
            held.failures >= TABLE_FAILURES
        })
    }

    /// Forgets a peer.
    pub fn leave(&mut self, peer: &PeerId) {
        self.peers.remove(peer);
    }

    /// How many peers are in.
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// Whether nobody is in.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }
}

/// Picks up to `count` of the candidates so that, with those `held` already, networks and regions are even. At least
/// half of what is picked has standing if there are that many; chance decides between equals.
pub fn spread(
    mut candidates: Vec<Candidate>,
    held: &[Candidate],
    count: usize,
    rng: &mut impl Rng,
) -> Vec<Candidate> {
    candidates.shuffle(rng);
    let mut prefixes: HashMap<Prefix, usize> = HashMap::new();
    let mut wide: HashMap<Prefix, usize> = HashMap::new();
    let mut regions: HashMap<String, usize> = HashMap::new();
    let note = |candidate: &Candidate,
                prefixes: &mut HashMap<Prefix, usize>,
                wide: &mut HashMap<Prefix, usize>,
                regions: &mut HashMap<String, usize>| {
        *prefixes.entry(candidate.prefix).or_default() += 1;
        *wide.entry(candidate.prefix.wide()).or_default() += 1;
        *regions.entry(candidate.region.clone()).or_default() += 1;
    };
    for candidate in held {
        note(candidate, &mut prefixes, &mut wide, &mut regions);
    }
    let mut picked: Vec<Candidate> = Vec::new();
    let mut with_standing = 0;
    while picked.len() < count && !candidates.is_empty() {
        let want_standing = with_standing * 2 <= picked.len();
        let best = candidates
            .iter()
            .enumerate()
            .min_by_key(|(_, candidate)| {
                (
                    want_standing && !candidate.standing,
                    prefixes.get(&candidate.prefix).copied().unwrap_or(0),
                    wide.get(&candidate.prefix.wide()).copied().unwrap_or(0),
                    regions.get(&candidate.region).copied().unwrap_or(0),
                )
            })
            .map(|(index, _)| index);
        let Some(best) = best else { break };
        let best = candidates.swap_remove(best);
        with_standing += usize::from(best.standing);
        note(&best, &mut prefixes, &mut wide, &mut regions);
        picked.push(best);
    }
    picked
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{SeedableRng, rngs::StdRng};

    const CAPS: Caps = Caps {
        total: 32,
        without_standing: 16,
        per_prefix: 4,
        per_prefix_total: 8,
        relayed: 3,
    };

    fn who(peer: PeerId, prefix: [u8; 3], standing: bool) -> Candidate {
        Candidate {
            peer,
            prefix: Prefix::V4(prefix),
            region: String::new(),
            standing,
        }
    }

    fn stranger(prefix: [u8; 3]) -> Candidate {
        who(PeerId::random(), prefix, false)
    }

    /// Plays a candidate through; true when it got a place.
    fn play(slots: &mut Slots<u64>, key: u64, candidate: Candidate) -> bool {
        match slots.judge(&candidate) {
            Verdict::Take => {}
            Verdict::Replace(old) => {
                slots.release(&old);
            }
            Verdict::Refuse(_) => return false,
        }
        slots.take(key, candidate);
        true
    }

    #[test]
    fn a_thousand_identities_of_one_network_get_a_few_places() {
        let mut slots = Slots::new(CAPS);
        let got = (0..1_000)
            .filter(|key| play(&mut slots, *key, stranger([9, 9, 9])))
            .count();
        assert_eq!(got, CAPS.per_prefix);
        assert!(play(&mut slots, 2_000, stranger([8, 8, 8])));
        assert!(play(&mut slots, 2_001, who(PeerId::random(), [9, 9, 9], true)));
    }

    #[test]
    fn a_full_house_of_many_networks_yields_to_standing_and_to_rarer_networks() {
        let mut slots = Slots::new(CAPS);
        // 250 networks of one provider.
        for key in 0..250 {
            play(&mut slots, key, stranger([9, 9, key as u8]));
        }
        assert_eq!(slots.len(), CAPS.without_standing);
        assert!(play(&mut slots, 300, stranger([8, 8, 8])), "a rarer network");
        assert!(
            !play(&mut slots, 301, stranger([9, 9, 251])),
            "one more of the same"
        );
        for key in 400..400 + CAPS.total as u64 {
            assert!(play(
                &mut slots,
                key,
                who(PeerId::random(), [key as u8, 1, 1], true)
            ));
        }
        assert_eq!(slots.len(), CAPS.total);
        assert!(
            !play(&mut slots, 500, stranger([7, 7, 7])),
            "all places have standing now"
        );
    }

    #[test]
    fn regions_are_evened_out_among_equals() {
        let mut slots = Slots::new(CAPS);
        for key in 0..CAPS.total as u64 {
            let mut candidate = who(PeerId::random(), [key as u8, 1, 1], true);
            candidate.region = "eu".into();
            assert!(play(&mut slots, key, candidate));
        }
        let mut other = who(PeerId::random(), [200, 1, 1], true);
        other.region = "us".into();
        assert!(play(&mut slots, 100, other));
        let mut same = who(PeerId::random(), [201, 1, 1], true);
        same.region = "eu".into();
        assert!(!play(&mut slots, 101, same));
    }

    #[test]
    fn relayed_strangers_have_their_own_bound() {
        let mut slots = Slots::new(CAPS);
        let relay = PeerId::random();
        let relayed = |standing| Candidate {
            prefix: Prefix::Relayed(relay),
            ..who(PeerId::random(), [0; 3], standing)
        };
        assert_eq!(
            (0..50)
                .filter(|key| play(&mut slots, *key, relayed(false)))
                .count(),
            3
        );
        assert_eq!(
            (50..80)
                .filter(|key| play(&mut slots, *key, relayed(true)))
                .count(),
            30
        );
    }

    #[test]
    fn half_a_table_of_sybils_leaves_room() {
        let caps = TableCaps {
            per_bucket: 2,
            per_table: 10,
            bucket: 20,
        };
        let mut table = Table::default();
        for bucket in 236..256 {
            for _ in 0..100 {
                let peer = PeerId::random();
                if table.judge(caps, &peer, Prefix::V4([9, 9, 9]), bucket, false) == Entry::Enter {
                    table.enter(peer, Prefix::V4([9, 9, 9]), bucket, false);
                }
            }
        }
        assert_eq!(table.len(), caps.per_table);
        // Sybils of many networks fill a bucket; a peer with standing still gets in.
        for network in 0..=255u8 {
            let peer = PeerId::random();
            if table.judge(caps, &peer, Prefix::V4([network, 1, 1]), 255, false) == Entry::Enter {
                table.enter(peer, Prefix::V4([network, 1, 1]), 255, false);
            }
        }
        let honest = PeerId::random();
        let Entry::Instead(victim) = table.judge(caps, &honest, Prefix::V4([1, 2, 3]), 255, true) else {
            panic!("a bucket full of strangers makes room");
        };
        table.leave(&victim);
        table.enter(honest, Prefix::V4([1, 2, 3]), 255, true);
        assert_eq!(
            table.judge(caps, &PeerId::random(), Prefix::V4([1, 2, 4]), 255, false),
            Entry::Stay
        );
        assert!(!table.failed(&honest) && !table.failed(&honest) && table.failed(&honest));
    }

    #[test]
    fn what_is_picked_is_mixed() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut candidates: Vec<_> = (0..200).map(|_| stranger([9, 9, 9])).collect();
        candidates.extend((0..4).map(|n| stranger([n, 1, 1])));
        candidates.extend((0..4).map(|n| who(PeerId::random(), [100 + n, 1, 1], true)));
        let picked = spread(candidates, &[], 8, &mut rng);
        assert_eq!(picked.iter().filter(|p| p.standing).count(), 4);
        assert!(
            picked
                .iter()
                .filter(|p| p.prefix == Prefix::V4([9, 9, 9]))
                .count()
                <= 1
        );
    }

    proptest! {
        #[test]
        fn no_order_of_arrivals_breaks_a_bound(
            moves in proptest::collection::vec((any::<bool>(), 0u8..6, any::<bool>(), 0u64..40), 1..400)
        ) {
            let mut slots = Slots::new(CAPS);
            for (arrive, network, standing, key) in moves {
                if arrive {
                    slots.release(&key);
                    play(&mut slots, key, who(PeerId::random(), [network, 0, 0], standing));
                } else {
                    slots.release(&key);
                }
                prop_assert!(slots.len() <= CAPS.total);
                let strangers = slots.taken.values().filter(|(_, c)| !c.standing).count();
                prop_assert!(strangers <= CAPS.without_standing);
                prop_assert_eq!(strangers, slots.without_standing);
                for network in 0..6 {
                    let prefix = Prefix::V4([network, 0, 0]);
                    let all = slots.taken.values().filter(|(_, c)| c.prefix == prefix).count();
                    prop_assert!(all <= CAPS.per_prefix_total);
                }
            }
            let keys: Vec<u64> = slots.taken.keys().copied().collect();
            for key in keys {
                slots.release(&key);
            }
            prop_assert!(slots.prefixes.is_empty() && slots.wide.is_empty());
        }
    }
}
