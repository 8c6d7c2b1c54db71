//! The peer book: who there is and where, bounded, on disk, restored at start. So a node that has been in the network
//! once finds its way back without its bootstrap nodes.
//!
//! The file is written aside, synced, and moved in place, and carries a checksum: after a crash there is either the
//! old book or the new one. A book that can not be read is put aside and a new one begun.

use crate::{
    MeshError, PeerId,
    address::{self, Prefix},
    diversity::Candidate,
    record::{MAX_ADDRESSES, PeerRecord},
};
use codec::{Decode, Encode};
use libp2p::Multiaddr;
use std::{
    collections::HashMap,
    fs::{self, File},
    io::{Read, Write},
    path::{Path, PathBuf},
};

/// Entries not heard of for so long are dropped.
pub const MAX_AGE: u64 = 14 * 24 * 3600;
/// After so many failures in a row, a peer without standing that was never reached is dropped.
const MAX_FAILURES: u32 = 8;
/// Largest book that is read, in bytes.
const MAX_FILE: u64 = 64 << 20;
const FILE: &str = "peers.book";
const MAGIC: &[u8; 8] = b"llmbook1";

/// One peer.
#[derive(Clone, Debug)]
pub struct Known {
    /// The newest signed record, if there is one.
    pub record: Option<PeerRecord>,
    /// The direct address at which this node reached it last.
    pub reached: Option<Multiaddr>,
    /// When this node last reached it at an address, seconds since 1970; 0 for never.
    pub verified: u64,
    /// When it was last heard of, seconds since 1970.
    pub heard: u64,
    /// Failed dials since the last success.
    pub failures: u32,
    /// When it was last dialled, seconds since 1970.
    pub tried: u64,
}

impl Known {
    fn new(now: u64) -> Self {
        Self {
            record: None,
            reached: None,
            verified: 0,
            heard: now,
            failures: 0,
            tried: 0,
        }
    }

    /// Every address known, the one that worked first.
    pub fn addresses(&self) -> Vec<Multiaddr> {
        let named = self.record.iter().flat_map(|record| record.addresses.iter());
        let mut all: Vec<Multiaddr> = Vec::new();
        for address in self.reached.iter().chain(named) {
            if !all.contains(address) {
                all.push(address.clone());
            }
        }
        all
    }

    fn prefix(&self) -> Prefix {
        self.reached
            .as_ref()
            .or_else(|| self.record.as_ref().and_then(|record| record.addresses.first()))
            .map_or(Prefix::Other, address::prefix)
    }
}

/// What became of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Noted {
    /// It is newer than what was known.
    New,
    /// The same or older.
    Old,
    /// No room.
    Full,
}

/// The book. Times are seconds since 1970, given by the caller.
#[derive(Debug)]
pub struct Book {
    peers: HashMap<PeerId, Known>,
    capacity: usize,
    me: PeerId,
    local: bool,
    dirty: bool,
}

#[derive(Encode, Decode)]
struct Saved {
    genesis: [u8; 32],
    /// The highest sequence number this node has given a record of its own.
    sequence: u64,
    peers: Vec<SavedPeer>,
}

#[derive(Encode, Decode)]
struct SavedPeer {
    peer: Vec<u8>,
    record: Option<Vec<u8>>,
    reached: Option<Vec<u8>>,
    verified: u64,
    heard: u64,
    failures: u32,
}

impl Book {
    /// An empty book of `me` for at most `capacity` peers. `local` admits private addresses.
    pub fn new(me: PeerId, capacity: usize, local: bool) -> Self {
        Self {
            peers: HashMap::new(),
            capacity: capacity.max(1),
            me,
            local,
            dirty: false,
        }
    }

    /// Peers in the book.
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// Whether a peer is in it.
    pub fn contains(&self, peer: &PeerId) -> bool {
        self.peers.contains_key(peer)
    }

    /// One peer.
    pub fn get(&self, peer: &PeerId) -> Option<&Known> {
        self.peers.get(peer)
    }

    /// All peers.
    pub fn iter(&self) -> impl Iterator<Item = (&PeerId, &Known)> {
        self.peers.iter()
    }

    /// Whether it changed since it was last saved.
    pub fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Notes a checked record. Addresses that may not be dialled are taken out of what is used (the signed bytes stay
    /// whole); a record without any such address left is still kept: it may be all relayed later.
    pub fn note_record(
        &mut self,
        mut record: PeerRecord,
        standing: impl Fn(&PeerId) -> bool,
        now: u64,
    ) -> Noted {
        let peer = record.peer;
        if peer == self.me {
            return Noted::Old;
        }
        if let Some(known) = self.peers.get(&peer)
            && known
                .record
                .as_ref()
                .is_some_and(|held| held.sequence >= record.sequence)
        {
            return Noted::Old;
        }
        record.addresses = address::clean(record.addresses, &peer, self.local, MAX_ADDRESSES);
        if !self.make_room(&peer, standing, now) {
            return Noted::Full;
        }
        let known = self.peers.entry(peer).or_insert_with(|| Known::new(now));
        known.record = Some(record);
        known.heard = now;
        self.dirty = true;
        Noted::New
    }

    /// Notes that this node reached the peer by dialling `address`.
    pub fn note_reached(
        &mut self,
        peer: PeerId,
        address: &Multiaddr,
        standing: impl Fn(&PeerId) -> bool,
        now: u64,
    ) {
        if peer == self.me || !self.make_room(&peer, standing, now) {
            return;
        }
        let known = self.peers.entry(peer).or_insert_with(|| Known::new(now));
        known.verified = now;
        known.heard = now;
        known.failures = 0;
        if !address::is_relayed(address) && address.len() <= address::MAX_BYTES {
            known.reached = Some(address::split_peer(address).0);
        }
        self.dirty = true;
    }

    /// Notes that the peer is there: it connected to this node, which says nothing about where it can be reached.
    pub fn note_heard(&mut self, peer: &PeerId, now: u64) {
        if let Some(known) = self.peers.get_mut(peer) {
            known.heard = now;
        }
    }

    /// Notes that a dial begins.
    pub fn note_dial(&mut self, peer: &PeerId, now: u64) {
        if let Some(known) = self.peers.get_mut(peer) {
            known.tried = now;
        }
    }

    /// Notes a dial that failed.
    pub fn note_failed(&mut self, peer: &PeerId) {
        if let Some(known) = self.peers.get_mut(peer) {
            known.failures = known.failures.saturating_add(1);
            self.dirty = true;
        }
    }

    /// Notes a dial that led to someone else: the address that worked once is someone else's now.
    pub fn note_moved(&mut self, peer: &PeerId) {
        if let Some(known) = self.peers.get_mut(peer) {
            known.reached = None;
            self.dirty = true;
        }
    }

    /// Drops what is too old, and strangers that never answer.
    pub fn prune(&mut self, standing: impl Fn(&PeerId) -> bool, now: u64) {
        let before = self.peers.len();
        self.peers.retain(|peer, known| {
            let young = now.saturating_sub(known.heard) <= MAX_AGE;
            let hopeless = known.verified == 0 && known.failures >= MAX_FAILURES && !standing(peer);
            young && !hopeless
        });
        self.dirty |= self.peers.len() != before;
    }

    /// Makes room for one more. A peer without standing never takes the place of one with standing or of one this
    /// node has met; among equals the one heard of longest ago gives way.
    fn make_room(&mut self, peer: &PeerId, standing: impl Fn(&PeerId) -> bool, now: u64) -> bool {
        if self.peers.contains_key(peer) || self.peers.len() < self.capacity {
            return true;
        }
        let rank = |peer: &PeerId, known: &Known| (standing(peer), known.verified > 0);
        let victim = self
            .peers
            .iter()
            .min_by_key(|(peer, known)| (rank(peer, known), known.heard, std::cmp::Reverse(known.failures)))
            .map(|(peer, known)| (*peer, rank(peer, known), known.heard));
        let Some((victim, victim_rank, victim_heard)) = victim else {
            return false;
        };
        let mine = (standing(peer), false);
        let stale = now.saturating_sub(victim_heard) > 3600;
        if victim_rank < mine || (victim_rank == mine && stale) {
            self.peers.remove(&victim);
            return true;
        }
        false
    }

    /// Peers that could be dialled now, as candidates for [`crate::diversity::spread`]: with a direct address, not
    /// among `except`, and past their pause after failures.
    pub fn candidates(
        &self,
        except: impl Fn(&PeerId) -> bool,
        region: impl Fn(&PeerId) -> Option<String>,
        now: u64,
    ) -> Vec<Candidate> {
        self.peers
            .iter()
            .filter(|(peer, known)| {
                let pause = 5u64 << known.failures.min(10);
                let direct = known.reached.is_some()
                    || known
                        .record
                        .as_ref()
                        .is_some_and(|record| record.addresses.iter().any(|a| !address::is_relayed(a)));
                direct && !except(peer) && (known.tried == 0 || now.saturating_sub(known.tried) >= pause)
            })
            .map(|(peer, known)| {
                let on_chain = region(peer);
                Candidate {
                    peer: *peer,
                    prefix: known.prefix(),
                    standing: on_chain.is_some(),
                    region: on_chain
                        .or_else(|| known.record.as_ref().map(|record| record.region.clone()))
                        .unwrap_or_default(),
                }
            })
            .collect()
    }

    /// Reads the book of `dir`. A missing book is empty; a damaged one is put aside and reported in the log. Returns
    /// the book and the highest sequence number of this node's own records.
    ///
    /// # Errors
    /// [`MeshError::Book`] when the folder can not be used.
    pub fn load(
        dir: &Path,
        genesis: &[u8; 32],
        me: PeerId,
        capacity: usize,
        local: bool,
        now: u64,
    ) -> Result<(Self, u64), MeshError> {
        let wrong = |error: std::io::Error| MeshError::Book(format!("{}: {error}", dir.display()));
        fs::create_dir_all(dir).map_err(wrong)?;
        let mut book = Self::new(me, capacity, local);
        let path = dir.join(FILE);
        let mut bytes = Vec::new();
        match File::open(&path) {
            Ok(file) => {
                file.take(MAX_FILE).read_to_end(&mut bytes).map_err(wrong)?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((book, 0)),
            Err(error) => return Err(wrong(error)),
        }
        let Some(saved) = unpack(&bytes, genesis) else {
            let aside = dir.join(format!("{FILE}.damaged"));
            tracing::warn!(path = %path.display(), "the peer book can not be read; it is put aside");
            fs::rename(&path, aside).map_err(wrong)?;
            return Ok((book, 0));
        };
        for saved_peer in saved.peers.into_iter().take(capacity) {
            let Ok(peer) = PeerId::from_bytes(&saved_peer.peer) else {
                continue;
            };
            if peer == me || now.saturating_sub(saved_peer.heard) > MAX_AGE {
                continue;
            }
            // Checked again: what is on disk is not trusted more than what is on the wire.
            let record = saved_peer
                .record
                .and_then(|bytes| PeerRecord::decode_for(&bytes, genesis, &peer).ok())
                .map(|mut record| {
                    record.addresses = address::clean(record.addresses, &peer, local, MAX_ADDRESSES);
                    record
                });
            let reached = saved_peer
                .reached
                .and_then(|bytes| Multiaddr::try_from(bytes).ok())
                .filter(|address| address::is_allowed(address, local));
            book.peers.insert(
                peer,
                Known {
                    record,
                    reached,
                    verified: saved_peer.verified,
                    heard: saved_peer.heard.min(now),
                    failures: saved_peer.failures,
                    tried: 0,
                },
            );
        }
        Ok((book, saved.sequence))
    }

    /// What is to be written, and marks the book as saved. Writing is [`Snapshot::write`]: it blocks.
    pub fn snapshot(&mut self, dir: &Path, genesis: [u8; 32], sequence: u64) -> Snapshot {
        self.dirty = false;
        let peers = self
            .peers
            .iter()
            .map(|(peer, known)| SavedPeer {
                peer: peer.to_bytes(),
                record: known.record.as_ref().map(|record| record.bytes.to_vec()),
                reached: known.reached.as_ref().map(|address| address.to_vec()),
                verified: known.verified,
                heard: known.heard,
                failures: known.failures,
            })
            .collect();
        let saved = Saved {
            genesis,
            sequence,
            peers,
        };
        Snapshot {
            dir: dir.to_owned(),
            bytes: pack(&saved),
        }
    }
}

/// A book on its way to disk.
pub struct Snapshot {
    dir: PathBuf,
    bytes: Vec<u8>,
}

impl Snapshot {
    /// Writes, syncs, moves in place, syncs the folder.
    ///
    /// # Errors
    /// [`MeshError::Book`].
    pub fn write(self) -> Result<(), MeshError> {
        let wrong = |error: std::io::Error| MeshError::Book(format!("{}: {error}", self.dir.display()));
        let aside = self.dir.join(format!("{FILE}.new"));
        let mut file = File::create(&aside).map_err(wrong)?;
        file.write_all(&self.bytes).map_err(wrong)?;
        file.sync_all().map_err(wrong)?;
        drop(file);
        fs::rename(&aside, self.dir.join(FILE)).map_err(wrong)?;
        File::open(&self.dir)
            .and_then(|dir| dir.sync_all())
            .map_err(wrong)
    }
}

fn pack(saved: &Saved) -> Vec<u8> {
    let body = saved.encode();
    [MAGIC.as_slice(), blake3::hash(&body).as_bytes(), &body].concat()
}

fn unpack(bytes: &[u8], genesis: &[u8; 32]) -> Option<Saved> {
    let rest = bytes.strip_prefix(MAGIC.as_slice())?;
    let (hash, mut body) = rest.split_at_checked(32)?;
    if blake3::hash(body).as_bytes() != hash {
        return None;
    }
    let saved = Saved::decode(&mut body).ok()?;
    (body.is_empty() && saved.genesis == *genesis).then_some(saved)
}

#[cfg(test)]
mod tests {
    use super::*;
    use libp2p::identity::Keypair;
    use proptest::prelude::*;

    const CHAIN: [u8; 32] = [7; 32];
    const NOW: u64 = 1_800_000_000;

    fn record(key: &Keypair, sequence: u64, address: &str) -> PeerRecord {
        PeerRecord::sign(key, &CHAIN, sequence, &[address.parse().unwrap()], "eu", false).unwrap()
    }

    fn nobody(_: &PeerId) -> bool {
        false
    }

    #[test]
    fn only_newer_records_replace() {
        let key = Keypair::generate_ed25519();
        let peer = key.public().to_peer_id();
        let mut book = Book::new(PeerId::random(), 8, false);
        assert_eq!(
            book.note_record(record(&key, 5, "/ip4/8.8.8.8/tcp/5"), nobody, NOW),
            Noted::New
        );
        assert_eq!(
            book.note_record(record(&key, 5, "/ip4/8.8.8.8/tcp/6"), nobody, NOW),
            Noted::Old
        );
        assert_eq!(
            book.note_record(record(&key, 4, "/ip4/8.8.8.8/tcp/4"), nobody, NOW),
            Noted::Old
        );
        assert_eq!(
            book.get(&peer).unwrap().addresses()[0].to_string(),
            "/ip4/8.8.8.8/tcp/5"
        );
        assert_eq!(
            book.note_record(record(&key, 6, "/ip4/8.8.8.8/tcp/6"), nobody, NOW),
            Noted::New
        );
        assert_eq!(
            book.get(&peer).unwrap().addresses()[0].to_string(),
            "/ip4/8.8.8.8/tcp/6"
        );
    }

    #[test]
    fn inside_addresses_are_not_used_but_the_record_stays_whole() {
        let key = Keypair::generate_ed25519();
        let peer = key.public().to_peer_id();
        let mut book = Book::new(PeerId::random(), 8, false);
        let inside = record(&key, 1, "/ip4/10.0.0.1/tcp/1");
        let bytes = inside.bytes.clone();
        book.note_record(inside, nobody, NOW);
        let known = book.get(&peer).unwrap();
        assert!(known.addresses().is_empty());
        assert_eq!(known.record.as_ref().unwrap().bytes, bytes);
    }

    #[test]
    fn strangers_do_not_push_out_those_with_standing_or_those_met() {
        let staked = Keypair::generate_ed25519();
        let met = PeerId::random();
        let standing = |peer: &PeerId| *peer == staked.public().to_peer_id();
        let mut book = Book::new(PeerId::random(), 4, false);
        book.note_record(record(&staked, 1, "/ip4/8.8.8.8/tcp/1"), standing, NOW);
        book.note_reached(met, &"/ip4/8.8.8.8/tcp/2".parse().unwrap(), standing, NOW);
        for second in 0..10_000 {
            let key = Keypair::generate_ed25519();
            book.note_record(record(&key, 1, "/ip4/9.9.9.9/tcp/1"), standing, NOW + second);
            assert!(book.len() <= 4);
            if second > 200 {
                break;
            }
        }
        assert!(book.get(&staked.public().to_peer_id()).is_some());
        assert!(book.get(&met).is_some());
        let late = Keypair::generate_ed25519();
        let late_peer = late.public().to_peer_id();
        let noted = book.note_record(
            record(&late, 1, "/ip4/8.8.8.8/tcp/1"),
            |peer| *peer == late_peer,
            NOW,
        );
        assert_eq!(noted, Noted::New, "standing finds room");
    }

    #[test]
    fn survives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let key = Keypair::generate_ed25519();
        let (peer, me) = (key.public().to_peer_id(), PeerId::random());
        let mut book = Book::new(me, 8, false);
        book.note_record(record(&key, 9, "/ip4/8.8.8.8/tcp/1"), nobody, NOW);
        book.note_reached(peer, &"/ip4/8.8.4.4/tcp/2".parse().unwrap(), nobody, NOW);
        assert!(book.is_dirty());
        book.snapshot(dir.path(), CHAIN, 77).write().unwrap();
        assert!(!book.is_dirty());
        let (loaded, sequence) = Book::load(dir.path(), &CHAIN, me, 8, false, NOW + 10).unwrap();
        assert_eq!(sequence, 77);
        let addresses: Vec<String> = loaded
            .get(&peer)
            .unwrap()
            .addresses()
            .iter()
            .map(|a| a.to_string())
            .collect();
        assert_eq!(addresses, ["/ip4/8.8.4.4/tcp/2", "/ip4/8.8.8.8/tcp/1"]);
        let (aged, _) = Book::load(dir.path(), &CHAIN, me, 8, false, NOW + MAX_AGE + 1).unwrap();
        assert!(aged.is_empty());
        let (other_chain, _) = Book::load(dir.path(), &[8; 32], me, 8, false, NOW).unwrap();
        assert!(other_chain.is_empty());
    }

    #[test]
    fn a_damaged_book_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let me = PeerId::random();
        let mut book = Book::new(me, 8, false);
        book.note_reached(
            PeerId::random(),
            &"/ip4/8.8.8.8/tcp/2".parse().unwrap(),
            nobody,
            NOW,
        );
        book.snapshot(dir.path(), CHAIN, 1).write().unwrap();
        let path = dir.path().join(FILE);
        let mut bytes = fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&path, bytes).unwrap();
        let (loaded, sequence) = Book::load(dir.path(), &CHAIN, me, 8, false, NOW).unwrap();
        assert!(loaded.is_empty());
        assert_eq!(sequence, 0);
        assert!(dir.path().join("peers.book.damaged").exists());
    }

    #[test]
    fn those_who_fail_wait_longer() {
        let key = Keypair::generate_ed25519();
        let peer = key.public().to_peer_id();
        let mut book = Book::new(PeerId::random(), 8, false);
        book.note_record(record(&key, 1, "/ip4/8.8.8.8/tcp/1"), nobody, NOW);
        let ready = |book: &Book, now| book.candidates(|_| false, |_| None, now).len();
        assert_eq!(ready(&book, NOW), 1);
        for _ in 0..4 {
            book.note_dial(&peer, NOW);
            book.note_failed(&peer);
        }
        assert_eq!(ready(&book, NOW + 79), 0);
        assert_eq!(ready(&book, NOW + 80), 1);
        for _ in 0..4 {
            book.note_failed(&peer);
        }
        book.prune(nobody, NOW);
        assert!(book.is_empty(), "never reached, no standing, eight failures");
    }

    proptest! {
        #[test]
        fn garbage_on_disk_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(unpack(&bytes, &CHAIN).is_none());
            let framed = [MAGIC.as_slice(), blake3::hash(&bytes).as_bytes(), &bytes].concat();
            let _ = unpack(&framed, &CHAIN);
        }
    }
}
