//! What a host keeps so that its work can be audited, on disk.
//!
//! For each answer: the receipt, the inputs, the outputs and the probe. For each lane: which receipt has which sequence,
//! which is what claims commit to. For each audit that this worker verifies: what it found, so that a commitment can be
//! opened after a restart.
//!
//! One thread writes. It takes all that has come since its last commit, writes it in one transaction, syncs, and then
//! tells everybody who waits, so that many answers share one sync.

use codec::{Decode, DecodeAll, Encode};
use llmesh_primitives::{
    AuditId, ChannelId, LaneId, ModelVersionId, Receipt, Work, WorkOrigin, attestation::Finding,
};
use llmesh_proofs::{
    SignedReceipt,
    merkle::{Builder, GAP, Tree, TreeError},
};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use sp_runtime::traits::{BlakeTwo256, Hash};
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
};
use tokio::sync::oneshot;

type H256 = llmesh_chain::H256;

/// By receipt hash: what it takes to be audited.
const EVIDENCE: TableDefinition<&[u8], &[u8]> = TableDefinition::new("evidence-v2");
/// By lane and sequence: a [`Leaf`].
const LEAVES: TableDefinition<&[u8], &[u8]> = TableDefinition::new("leaves-v3");
/// By lane: the highest sequence that a claim's tree reached. What is up to there stays as it is, as it can be drawn.
const CLOSED: TableDefinition<&[u8], u64> = TableDefinition::new("closed-v1");
/// By lane and root: after which sequence the tree begins, and number of its leaves.
const WORKS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("works-v2");
/// By time and receipt hash: what can go then, with its size. What is unclaimed is not in it: an answer waits for fewer pages.
const EXPIRY: TableDefinition<&[u8], u64> = TableDefinition::new("expiry-v3");
/// By time and lane: the lanes that are over, whose leaves can go then.
const ENDED: TableDefinition<&[u8], ()> = TableDefinition::new("ended-v1");
/// By audit and stage: what was found.
const BALLOTS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("ballots-v1");
const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
const GENESIS: &str = "genesis";

/// redb would take a gigabyte.
const CACHE_BYTES: usize = 16 << 20;
/// Changes that wait for the writing thread.
const QUEUE: usize = 4_096;
/// Changes in one commit.
const GROUP: usize = 1_024;
/// Audits of which is remembered what was found.
const BALLOTS_KEPT: u64 = 100_000;
/// Kept until its claim was made, or its channel ended.
const UNCLAIMED: u64 = u64::MAX;

/// A lane of a channel in one of its epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LaneEpoch {
    pub channel: ChannelId,
    pub epoch: u32,
    pub lane: LaneId,
}

impl LaneEpoch {
    fn prefix(self) -> [u8; 14] {
        let mut key = [0; 14];
        key[..8].copy_from_slice(&self.channel.to_be_bytes());
        key[8..12].copy_from_slice(&self.epoch.to_be_bytes());
        key[12..].copy_from_slice(&self.lane.to_be_bytes());
        key
    }

    fn leaf(self, sequence: u64) -> [u8; 22] {
        let mut key = [0; 22];
        key[..14].copy_from_slice(&self.prefix());
        key[14..].copy_from_slice(&sequence.to_be_bytes());
        key
    }
}

/// What it takes to be audited for one answer.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Evidence {
    pub receipt: Receipt,
    /// For a request of the mesh, the receipt with both signatures.
    pub signed: Option<SignedReceipt>,
    pub version: ModelVersionId,
    /// SCALE encoding of the inputs; the receipt has its BLAKE2b-256.
    pub inputs: Vec<u8>,
    /// SCALE encoding of the outputs; the receipt has its BLAKE2b-256.
    pub outputs: Vec<u8>,
    /// SCALE encoding of the probe tensor; the receipt has its BLAKE2b-256.
    pub probe: Option<Vec<u8>>,
}

/// What this worker found as a verifier, and what it needs to open its commitment.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Ballot {
    pub finding: Finding,
    pub salt: [u8; 32],
    /// SCALE encoding of its own outputs; empty when it did not run the model.
    pub outputs: Vec<u8>,
}

/// Why something could not be kept or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// Everything kept is still needed, and there is no room for more.
    #[error("{path} holds as much as it may: give it more with --evidence-space, or more disk")]
    Full { path: PathBuf },
    /// A claim went past the receipt's sequence number: it is another receipt's, or nobody's for good.
    #[error("a claim went past the sequence number of the receipt")]
    Taken,
    /// The file is of another chain.
    #[error("{path} belongs to another chain: use another --base-path")]
    OtherChain { path: PathBuf },
    /// The database fails.
    #[error("{path}: {reason}")]
    Database { path: PathBuf, reason: String },
    /// The worker is stopping.
    #[error("the store of evidence is closed")]
    Closed,
}

enum Change {
    Put {
        hash: H256,
        evidence: Box<Evidence>,
        keep_until: u64,
    },
    Ballot {
        key: [u8; 9],
        ballot: Box<Ballot>,
    },
    /// What is there of the lane after sequence `covered` and up to `to` is claimed.
    Work {
        lane: LaneEpoch,
        covered: u64,
        to: u64,
    },
    /// The lane's receipts that claims up to this sequence have are needed until then.
    Release {
        lane: LaneEpoch,
        up_to: u64,
        keep_until: u64,
    },
    /// There will be no more claims: all of the lane is needed until then.
    Over {
        lane: LaneEpoch,
        keep_until: u64,
    },
    /// What is needed no longer goes.
    Prune {
        now: u64,
    },
}

/// What came of a change.
enum Applied {
    Done,
    NoRoom,
    /// A claim went past the sequence.
    Taken,
    Work(Work),
}

struct Order {
    change: Change,
    done: oneshot::Sender<Result<Applied, EvidenceError>>,
}

struct Inner {
    path: PathBuf,
    database: Arc<Database>,
    orders: Option<SyncSender<Order>>,
    bytes: Arc<AtomicU64>,
    capacity: u64,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // Its panic was reported when it happened.
            drop(thread.join());
        }
    }
}

/// Evidence in one file. Cheap to clone; the last clone writes what is queued and closes it.
#[derive(Clone)]
pub struct EvidenceStore(Arc<Inner>);

impl std::fmt::Debug for EvidenceStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("EvidenceStore").field(&self.0.path).finish()
    }
}

impl EvidenceStore {
    /// Opens or makes `evidence.redb` in the folder, for at most `capacity` bytes of evidence.
    ///
    /// # Errors
    /// When it can not be opened.
    pub fn open(folder: &Path, capacity: u64) -> Result<Self, EvidenceError> {
        let path = folder.join("evidence.redb");
        let failed = |reason: String| EvidenceError::Database {
            path: path.clone(),
            reason,
        };
        std::fs::create_dir_all(folder).map_err(|e| failed(e.to_string()))?;
        let made = make(&path).map_err(|e| failed(e.to_string()))?;
        let database = Arc::new(made);
        let bytes = prepare(&database).map_err(|e| failed(e.to_string()))?;
        let bytes = Arc::new(AtomicU64::new(bytes));
        let (orders, queue) = sync_channel(QUEUE);
        let writer = Writer {
            path: path.clone(),
            database: database.clone(),
            bytes: bytes.clone(),
            capacity,
        };
        let thread = std::thread::Builder::new()
            .name("evidence".into())
            .spawn(move || writer.run(&queue))
            .map_err(|e| failed(e.to_string()))?;
        Ok(Self(Arc::new(Inner {
            path,
            database,
            orders: Some(orders),
            bytes,
            capacity,
            thread: Some(thread),
        })))
    }

    /// Notes at the first call which chain the evidence is for, and insists on it later.
    ///
    /// # Errors
    /// [`EvidenceError::OtherChain`] above all.
    pub fn bind(&self, genesis: H256) -> Result<(), EvidenceError> {
        let known = self.with(|database| {
            let transaction = database.begin_write()?;
            let known = {
                let mut meta = transaction.open_table(META)?;
                let known = meta.get(GENESIS)?.map(|row| row.value().to_vec());
                if known.is_none() {
                    meta.insert(GENESIS, genesis.as_bytes())?;
                }
                known
            };
            transaction.commit()?;
            Ok(known)
        })?;
        match known {
            Some(known) if known != genesis.as_bytes() => Err(EvidenceError::OtherChain {
                path: self.0.path.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Bytes of evidence kept, and the most that may be.
    pub fn size(&self) -> (u64, u64) {
        (self.0.bytes.load(Ordering::Relaxed), self.0.capacity)
    }

    /// Whether there is room for an answer of this size, by the bound and on the disk. Asked before the work is done, so that
    /// none is done for nothing.
    pub fn has_room(&self, bytes: u64) -> bool {
        let folder = self.0.path.parent().unwrap_or(&self.0.path);
        // A file system that does not say is found out when something is written.
        let on_disk = match rustix::fs::statvfs(folder) {
            Ok(fs) => fs.f_bavail.saturating_mul(fs.f_frsize),
            Err(_) => u64::MAX,
        };
        self.0.bytes.load(Ordering::Relaxed).saturating_add(bytes) <= self.0.capacity && bytes <= on_disk
    }

    /// Keeps the evidence for an answer; it is on disk when this returns. `keep_until`: milliseconds since 1970 after which
    /// it is of no use; for a request of the mesh `None`, until [`Self::claimed`] or [`Self::over`] says more.
    ///
    /// A receipt of another answer with the same sequence goes: it is of before a crash, and its answer was never sent.
    ///
    /// # Errors
    /// [`EvidenceError::Full`] above all; [`EvidenceError::Taken`] once [`Self::work`] went past the receipt's sequence.
    pub async fn put(
        &self,
        hash: H256,
        evidence: Evidence,
        keep_until: Option<u64>,
    ) -> Result<(), EvidenceError> {
        self.order(Change::Put {
            hash,
            evidence: Box::new(evidence),
            keep_until: keep_until.unwrap_or(UNCLAIMED),
        })
        .await
    }

    /// Keeps what was found in an audit; it is on disk when this returns.
    ///
    /// # Errors
    /// When it can not be written.
    pub async fn put_ballot(&self, audit: AuditId, stage: u8, ballot: Ballot) -> Result<(), EvidenceError> {
        self.order(Change::Ballot {
            key: ballot_key(audit, stage),
            ballot: Box::new(ballot),
        })
        .await
    }

    /// Fixes the lane's receipts after sequence `covered` and up to `to` as what a claim adds: the tree can be had again by its
    /// root, and no receipt is put there any more. The same bounds give the same again. Empty when there is nothing between.
    ///
    /// Takes as long as there are sequences between. A claim has at most [`u32::MAX`] of them.
    ///
    /// # Errors
    /// When it can not be written.
    pub async fn work(&self, lane: LaneEpoch, covered: u64, to: u64) -> Result<Work, EvidenceError> {
        match self.apply(Change::Work { lane, covered, to }).await? {
            Applied::Work(work) => Ok(work),
            _ => Err(EvidenceError::Closed),
        }
    }

    /// Notes that the chain has the lane's claims up to sequence `up_to`: their receipts are needed until `keep_until` only, or
    /// shorter if that was said before.
    ///
    /// # Errors
    /// When it can not be written.
    pub async fn claimed(&self, lane: LaneEpoch, up_to: u64, keep_until: u64) -> Result<(), EvidenceError> {
        self.order(Change::Release {
            lane,
            up_to,
            keep_until,
        })
        .await
    }

    /// Notes that there will be no more claims on the lane: all of it is needed until `keep_until` only.
    ///
    /// # Errors
    /// When it can not be written.
    pub async fn over(&self, lane: LaneEpoch, keep_until: u64) -> Result<(), EvidenceError> {
        self.order(Change::Over { lane, keep_until }).await
    }

    /// Removes what is of no use at `now`, in milliseconds since 1970.
    ///
    /// # Errors
    /// When it can not be written.
    pub async fn prune(&self, now: u64) -> Result<(), EvidenceError> {
        self.order(Change::Prune { now }).await
    }

    async fn order(&self, change: Change) -> Result<(), EvidenceError> {
        match self.apply(change).await? {
            Applied::NoRoom => Err(EvidenceError::Full {
                path: self.0.path.clone(),
            }),
            Applied::Taken => Err(EvidenceError::Taken),
            _ => Ok(()),
        }
    }

    async fn apply(&self, change: Change) -> Result<Applied, EvidenceError> {
        let (done, answer) = oneshot::channel();
        let order = Order { change, done };
        let orders = self.0.orders.clone().ok_or(EvidenceError::Closed)?;
        // Blocks only while the queue is full, which is when the disk is behind.
        if let Err(error) = orders.try_send(order) {
            let order = match error {
                std::sync::mpsc::TrySendError::Full(order) => order,
                std::sync::mpsc::TrySendError::Disconnected(_) => return Err(EvidenceError::Closed),
            };
            tokio::task::spawn_blocking(move || orders.send(order))
                .await
                .map_err(|_| EvidenceError::Closed)?
                .map_err(|_| EvidenceError::Closed)?;
        }
        answer.await.map_err(|_| EvidenceError::Closed)?
    }

    /// The evidence behind a receipt.
    ///
    /// # Errors
    /// When it can not be read.
    pub fn get(&self, receipt: H256) -> Result<Option<Evidence>, EvidenceError> {
        self.read(EVIDENCE, receipt.as_bytes())
    }

    /// What was found in an audit.
    ///
    /// # Errors
    /// When it can not be read.
    pub fn ballot(&self, audit: AuditId, stage: u8) -> Result<Option<Ballot>, EvidenceError> {
        self.read(BALLOTS, &ballot_key(audit, stage))
    }

    /// The tree with this root that a claim on the lane stated, and the receipts' hashes by index. `None` if this store
    /// made no such tree.
    ///
    /// # Errors
    /// When it can not be read.
    #[allow(clippy::type_complexity, reason = "a tree does not keep its leaves")]
    pub fn tree(&self, lane: LaneEpoch, root: H256) -> Result<Option<(Tree, Vec<H256>)>, EvidenceError> {
        let Some((covered, leaves)) = self.read::<(u64, u32)>(WORKS, &work_key(lane, root))? else {
            return Ok(None);
        };
        let all = self.with(|database| {
            let transaction = database.begin_read()?;
            let table = transaction.open_table(LEAVES)?;
            leaves_of(&table, lane, covered, leaves)
        })?;
        let hashes = all.iter().map(|(hash, _)| *hash).collect();
        let tree = Tree::new(all).map_err(|e: TreeError| self.failed(e.to_string()))?;
        Ok((tree.root() == root).then_some((tree, hashes)))
    }

    fn read<T: Decode>(
        &self,
        table: TableDefinition<&[u8], &[u8]>,
        key: &[u8],
    ) -> Result<Option<T>, EvidenceError> {
        let row = self.with(|database| {
            let transaction = database.begin_read()?;
            let table = transaction.open_table(table)?;
            Ok(table.get(key)?.map(|row| row.value().to_vec()))
        })?;
        row.map(|row| T::decode_all(&mut row.as_slice()))
            .transpose()
            .map_err(|e| self.failed(e.to_string()))
    }

    fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, EvidenceError> {
        work(&self.0.database).map_err(|e| self.failed(e.to_string()))
    }

    fn failed(&self, reason: String) -> EvidenceError {
        EvidenceError::Database {
            path: self.0.path.clone(),
            reason,
        }
    }
}

/// BLAKE2b-256 of encoded tensors, which is what receipts have.
pub fn hash_encoded(bytes: &[u8]) -> H256 {
    BlakeTwo256::hash(bytes)
}

/// The lane and sequence of the receipt of a request.
fn place_of(origin: &WorkOrigin) -> Option<(LaneEpoch, u64)> {
    let WorkOrigin::Request {
        channel,
        epoch,
        lane,
        sequence,
        ..
    } = *origin
    else {
        return None;
    };
    Some((LaneEpoch { channel, epoch, lane }, sequence))
}

fn work_key(lane: LaneEpoch, root: H256) -> Vec<u8> {
    [lane.prefix().as_slice(), root.as_bytes()].concat()
}

/// What is remembered of a request's receipt.
#[derive(Clone, Copy, Encode, Decode)]
struct Leaf {
    hash: H256,
    fee: u128,
    /// Bytes of its evidence.
    size: u64,
    /// Its evidence is needed until then: [`UNCLAIMED`], or the time under which it is in [`EXPIRY`].
    until: u64,
}

/// Hash and value of this many of the lane's leaves after sequence `covered`. A sequence without a receipt is an empty leaf.
fn leaves_of(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    lane: LaneEpoch,
    covered: u64,
    leaves: u32,
) -> Result<Vec<(H256, u128)>, redb::Error> {
    let first = covered.saturating_add(1);
    let (from, to) = (lane.leaf(first), lane.leaf(covered.saturating_add(leaves.into())));
    let mut all = Vec::new();
    for row in table.range(from.as_slice()..=to.as_slice())? {
        let (key, value) = row?;
        let Ok(leaf) = Leaf::decode_all(&mut value.value()) else {
            continue;
        };
        let at = sequence_of(key.value()).saturating_sub(first);
        all.resize(usize::try_from(at).unwrap_or(usize::MAX), GAP);
        all.push((leaf.hash, leaf.fee));
    }
    all.resize(leaves as usize, GAP);
    Ok(all)
}

fn ballot_key(audit: AuditId, stage: u8) -> [u8; 9] {
    let mut key = [0; 9];
    key[..8].copy_from_slice(&audit.to_be_bytes());
    key[8] = stage;
    key
}

fn sequence_of(key: &[u8]) -> u64 {
    key.get(14..22)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u64::from_be_bytes)
}

fn expiry_key(until: u64, hash: &[u8]) -> Vec<u8> {
    [&until.to_be_bytes(), hash].concat()
}

/// Makes the file, whole or not at all: one that a crash left half made would be no database.
fn make(path: &Path) -> Result<Database, redb::Error> {
    let open = |path: &Path| Database::builder().set_cache_size(CACHE_BYTES).create(path);
    if !path.exists() {
        let new = path.with_extension("redb.new");
        if let Err(error) = std::fs::remove_file(&new)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(redb::Error::Io(error));
        }
        drop(open(&new)?);
        std::fs::rename(&new, path).map_err(redb::Error::Io)?;
    }
    Ok(open(path)?)
}

/// Makes the tables, and counts what is kept.
fn prepare(database: &Database) -> Result<u64, redb::Error> {
    let transaction = database.begin_write()?;
    let mut bytes = 0u64;
    {
        transaction.open_table(EVIDENCE)?;
        transaction.open_table(BALLOTS)?;
        transaction.open_table(ENDED)?;
        transaction.open_table(CLOSED)?;
        transaction.open_table(WORKS)?;
        let expiry = transaction.open_table(EXPIRY)?;
        for row in expiry.iter()? {
            bytes = bytes.saturating_add(row?.1.value());
        }
        bytes = bytes.saturating_add(unclaimed_bytes(&transaction.open_table(LEAVES)?)?);
    }
    transaction.commit()?;
    Ok(bytes)
}

/// Bytes of evidence that is in no claim yet. It is at the end of each lane, so the lanes' past is not walked.
fn unclaimed_bytes(table: &impl ReadableTable<&'static [u8], &'static [u8]>) -> Result<u64, redb::Error> {
    let mut bytes = 0u64;
    let mut end = vec![0xff; 23];
    loop {
        let mut released = None;
        for row in table.range(..end.as_slice())?.rev() {
            let (key, row) = row?;
            let Ok(leaf) = Leaf::decode_all(&mut row.value()) else {
                continue;
            };
            if leaf.until != UNCLAIMED {
                released = key.value().get(..14).map(<[u8]>::to_vec);
                break;
            }
            bytes = bytes.saturating_add(leaf.size);
        }
        match released {
            // On with the lane before.
            Some(lane) => end = lane,
            None => return Ok(bytes),
        }
    }
}

struct Writer {
    path: PathBuf,
    database: Arc<Database>,
    bytes: Arc<AtomicU64>,
    capacity: u64,
}

impl Writer {
    fn run(self, queue: &Receiver<Order>) {
        while let Ok(first) = queue.recv() {
            let mut group = vec![first];
            while group.len() < GROUP
                && let Ok(order) = queue.try_recv()
            {
                group.push(order);
            }
            self.write(group);
        }
    }

    fn write(&self, group: Vec<Order>) {
        let mut results = Vec::with_capacity(group.len());
        let mut bytes = self.bytes.load(Ordering::Relaxed);
        let written = (|| {
            let transaction = self.database.begin_write()?;
            {
                let mut tables = Tables {
                    evidence: transaction.open_table(EVIDENCE)?,
                    leaves: transaction.open_table(LEAVES)?,
                    expiry: transaction.open_table(EXPIRY)?,
                    ballots: transaction.open_table(BALLOTS)?,
                    ended: transaction.open_table(ENDED)?,
                    closed: transaction.open_table(CLOSED)?,
                    works: transaction.open_table(WORKS)?,
                };
                for order in &group {
                    results.push(tables.apply(&order.change, &mut bytes, self.capacity)?);
                }
            }
            transaction.commit()?;
            Ok::<(), redb::Error>(())
        })();
        match written {
            Ok(()) => {
                self.bytes.store(bytes, Ordering::Relaxed);
                for (order, applied) in group.into_iter().zip(results) {
                    // Whoever asked may have gone.
                    let _ = order.done.send(Ok(applied));
                }
            }
            Err(error) => {
                tracing::error!(%error, path = %self.path.display(), "evidence was not written");
                for order in group {
                    let _ = order.done.send(Err(EvidenceError::Database {
                        path: self.path.clone(),
                        reason: error.to_string(),
                    }));
                }
            }
        }
    }
}

struct Tables<'a> {
    evidence: redb::Table<'a, &'static [u8], &'static [u8]>,
    leaves: redb::Table<'a, &'static [u8], &'static [u8]>,
    expiry: redb::Table<'a, &'static [u8], u64>,
    ballots: redb::Table<'a, &'static [u8], &'static [u8]>,
    ended: redb::Table<'a, &'static [u8], ()>,
    closed: redb::Table<'a, &'static [u8], u64>,
    works: redb::Table<'a, &'static [u8], &'static [u8]>,
}

impl Tables<'_> {
    fn apply(&mut self, change: &Change, bytes: &mut u64, capacity: u64) -> Result<Applied, redb::Error> {
        match change {
            Change::Work { lane, covered, to } => {
                return Ok(Applied::Work(self.work(*lane, *covered, *to)?));
            }
            Change::Put {
                hash,
                evidence,
                keep_until,
            } => {
                let row = evidence.encode();
                let size = row.len() as u64;
                if self.evidence.get(hash.as_bytes())?.is_some() {
                    return Ok(Applied::Done);
                }
                if bytes.saturating_add(size) > capacity {
                    return Ok(Applied::NoRoom);
                }
                if let Some((lane, sequence)) = place_of(&evidence.receipt.origin) {
                    if sequence <= self.closed(lane)? {
                        return Ok(Applied::Taken);
                    }
                    let leaf = Leaf {
                        hash: *hash,
                        fee: evidence.receipt.fee,
                        size,
                        until: *keep_until,
                    };
                    let before = self
                        .leaves
                        .insert(lane.leaf(sequence).as_slice(), leaf.encode().as_slice())?
                        .and_then(|row| Leaf::decode_all(&mut row.value()).ok());
                    if let Some(other) = before {
                        self.expiry
                            .remove(expiry_key(other.until, other.hash.as_bytes()).as_slice())?;
                        self.evidence.remove(other.hash.as_bytes())?;
                        *bytes = bytes.saturating_sub(other.size);
                    }
                }
                *bytes = bytes.saturating_add(size);
                self.evidence.insert(hash.as_bytes(), row.as_slice())?;
                if *keep_until != UNCLAIMED {
                    self.expiry
                        .insert(expiry_key(*keep_until, hash.as_bytes()).as_slice(), size)?;
                }
            }
            Change::Ballot { key, ballot } => {
                self.ballots.insert(key.as_slice(), ballot.encode().as_slice())?;
            }
            Change::Release {
                lane,
                up_to,
                keep_until,
            } => {
                // What no tree reached is in no claim.
                let up_to = self.closed(*lane)?.min(*up_to);
                let mut unclaimed = Vec::new();
                let (from, to) = (lane.leaf(0), lane.leaf(up_to));
                // Nothing was put below an earlier claim since it was released. So what is below the first that is found
                // released was released too, and the lane's past is not walked at each claim.
                for row in self.leaves.range(from.as_slice()..=to.as_slice())?.rev() {
                    let (key, row) = row?;
                    let Ok(leaf) = Leaf::decode_all(&mut row.value()) else {
                        continue;
                    };
                    if leaf.until != UNCLAIMED {
                        break;
                    }
                    unclaimed.push((key.value().to_vec(), leaf));
                }
                self.release(unclaimed, *keep_until)?;
            }
            Change::Over { lane, keep_until } => {
                self.ended
                    .insert(expiry_key(*keep_until, &lane.prefix()).as_slice(), ())?;
                let mut unclaimed = Vec::new();
                let (from, to) = (lane.leaf(0), lane.leaf(u64::MAX));
                for row in self.leaves.range(from.as_slice()..=to.as_slice())? {
                    let (key, row) = row?;
                    // Released before: it is not needed longer.
                    if let Ok(leaf) = Leaf::decode_all(&mut row.value())
                        && leaf.until == UNCLAIMED
                    {
                        unclaimed.push((key.value().to_vec(), leaf));
                    }
                }
                self.release(unclaimed, *keep_until)?;
            }
            Change::Prune { now } => {
                let end = expiry_key(*now, &[]);
                self.prune_lanes(&end)?;
                self.prune_ballots()?;
                for row in self.expiry.extract_from_if(..end.as_slice(), |_, _| true)? {
                    let (key, size) = row?;
                    self.evidence.remove(key.value().get(8..).unwrap_or_default())?;
                    *bytes = bytes.saturating_sub(size.value());
                }
            }
        }
        Ok(Applied::Done)
    }

    /// The highest sequence that a claim's tree reached.
    fn closed(&self, lane: LaneEpoch) -> Result<u64, redb::Error> {
        Ok(self
            .closed
            .get(lane.prefix().as_slice())?
            .map_or(0, |row| row.value()))
    }

    /// What was unclaimed, by its key in [`LEAVES`], is needed until `until`.
    fn release(&mut self, unclaimed: Vec<(Vec<u8>, Leaf)>, until: u64) -> Result<(), redb::Error> {
        for (key, leaf) in unclaimed {
            self.expiry
                .insert(expiry_key(until, leaf.hash.as_bytes()).as_slice(), leaf.size)?;
            self.leaves
                .insert(key.as_slice(), Leaf { until, ..leaf }.encode().as_slice())?;
        }
        Ok(())
    }

    fn work(&mut self, lane: LaneEpoch, covered: u64, to: u64) -> Result<Work, redb::Error> {
        let leaves = u32::try_from(to.saturating_sub(covered)).unwrap_or(u32::MAX);
        if leaves == 0 {
            return Ok(Work::default());
        }
        let mut tree = Builder::new();
        for (hash, fee) in leaves_of(&self.leaves, lane, covered, leaves)? {
            // There is not as much money as would overflow.
            if tree.push(hash, fee).is_err() {
                break;
            }
        }
        let work = tree.work();
        self.works.insert(
            work_key(lane, work.root).as_slice(),
            (covered, work.leaves).encode().as_slice(),
        )?;
        let closed = self.closed(lane)?.max(covered.saturating_add(work.leaves.into()));
        self.closed.insert(lane.prefix().as_slice(), closed)?;
        Ok(work)
    }

    fn prune_lanes(&mut self, end: &[u8]) -> Result<(), redb::Error> {
        let mut gone = Vec::new();
        for row in self.ended.range(..end)? {
            gone.push(row?.0.value().to_vec());
        }
        for key in gone {
            self.ended.remove(key.as_slice())?;
            let lane = key.get(8..).unwrap_or_default();
            let (from, to) = ([lane, &[0; 8]].concat(), [lane, &[0xff; 8]].concat());
            self.leaves
                .retain_in(from.as_slice()..=to.as_slice(), |_, _| false)?;
            let to = [lane, &[0xff; 32]].concat();
            self.works.retain_in(lane..=to.as_slice(), |_, _| false)?;
            self.closed.remove(lane)?;
        }
        Ok(())
    }

    fn prune_ballots(&mut self) -> Result<(), redb::Error> {
        let newest = self.ballots.last()?.map_or(0, |(key, _)| {
            let audit = key.value().get(..8).and_then(|bytes| bytes.try_into().ok());
            audit.map_or(0, u64::from_be_bytes)
        });
        let end = ballot_key(newest.saturating_sub(BALLOTS_KEPT), 0);
        self.ballots.retain_in(..end.as_slice(), |_, _| false)?;
        Ok(())
    }
}
