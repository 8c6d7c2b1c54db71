//! Rows on disk, written by one thread in groups.
//!
//! Whoever changes a lane hands over the rows while it still holds the lock on the lanes, so rows arrive in the order
//! of the changes. The thread takes all that has come since the last commit, writes it in one transaction, syncs, and
//! then tells everybody who waits. Rows of a commit that failed are kept and written with the next.

use crate::BookError;
use codec::{Decode, DecodeAll, Encode};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use sp_core::H256;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

/// What a row belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Table {
    Lanes,
    Served,
}

impl Table {
    fn definition(self) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
        TableDefinition::new(match self {
            Self::Lanes => "lanes-v2",
            Self::Served => "served-v1",
        })
    }
}

const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
const OWNER: &str = "owner";
/// The working set is small; redb would take a gigabyte.
const CACHE_BYTES: usize = 16 << 20;

/// A row to be written, or to be removed.
pub(crate) type Row = ((Table, Vec<u8>), Option<Vec<u8>>);
/// Called from the committing thread, with no lock held.
pub(crate) type Done = Box<dyn FnOnce(Result<(), BookError>) + Send>;
/// Opens the database, the first time and again after an I/O error.
pub(crate) type Opener = Box<dyn Fn() -> Result<Database, redb::Error> + Send>;

/// Whom a file belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Owner {
    pub genesis: H256,
    /// The end and its account, as people read it.
    pub name: String,
}

#[derive(Default)]
struct Queue {
    rows: BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>>,
    waiting: Vec<Done>,
    closed: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands rows to the committing thread.
#[derive(Clone)]
pub(crate) struct Committer(Arc<Shared>);

impl Committer {
    /// Queues rows; `done` hears of the commit. Returns `done` if the store is closed: it must be called or dropped with no
    /// lock held.
    pub fn submit(&self, rows: Vec<Row>, done: Option<Done>) -> Result<(), Option<Done>> {
        let mut queue = self.0.queue();
        if queue.closed {
            return Err(done);
        }
        queue.rows.extend(rows);
        queue.waiting.extend(done);
        drop(queue);
        self.0.wake.notify_one();
        Ok(())
    }
}

/// Owns the committing thread. Dropping it writes what is queued and ends the thread.
pub(crate) struct Store {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What was found on disk.
pub(crate) struct Loaded {
    pub lanes: Vec<(Vec<u8>, Vec<u8>)>,
    pub served: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Store {
    /// Opens or makes the file, which must be of `owner`.
    pub fn open(path: &Path, owner: &Owner) -> Result<(Self, Loaded), BookError> {
        make(path)?;
        let file = path.to_path_buf();
        let opener = move || Ok(Database::builder().set_cache_size(CACHE_BYTES).create(&file)?);
        Self::open_with(path, owner, Box::new(opener))
    }

    /// As [`Self::open`], with another way to open the database; `path` is for messages.
    pub fn open_with(path: &Path, owner: &Owner, opener: Opener) -> Result<(Self, Loaded), BookError> {
        let mut disk = Disk {
            path: path.to_path_buf(),
            opener,
            database: None,
        };
        disk.bind(owner)?;
        let loaded = Loaded {
            lanes: disk.load(Table::Lanes)?,
            served: disk.load(Table::Served)?,
        };
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
        });
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("payments-commit".into())
            .spawn(move || commit_all(&for_thread, &mut disk))
            .map_err(|e| BookError::Thread(e.to_string()))?;
        Ok((
            Self {
                shared,
                thread: Some(thread),
            },
            loaded,
        ))
    }

    pub fn committer(&self) -> Committer {
        Committer(Arc::clone(&self.shared))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.shared.queue().closed = true;
        self.shared.wake.notify_all();
        if let Some(thread) = self.thread.take() {
            // Its panic was reported when it happened.
            drop(thread.join());
        }
    }
}

fn commit_all(shared: &Shared, disk: &mut Disk) {
    // Rows that a commit could not write.
    let mut left: BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>> = BTreeMap::new();
    loop {
        let mut queue = shared.queue();
        while queue.rows.is_empty() && queue.waiting.is_empty() && !queue.closed {
            queue = shared.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        let last = queue.closed && queue.rows.is_empty() && queue.waiting.is_empty();
        let rows = std::mem::take(&mut queue.rows);
        let waiting = std::mem::take(&mut queue.waiting);
        drop(queue);

        let rows = if left.is_empty() {
            rows
        } else {
            let mut all = std::mem::take(&mut left);
            all.extend(rows);
            all
        };
        let result = if rows.is_empty() {
            Ok(())
        } else {
            disk.write(&rows)
        };
        if let Err(error) = &result {
            tracing::error!(%error, "vouchers were not written");
            left = rows;
        }
        for done in waiting {
            done(result.clone());
        }
        if last {
            return;
        }
    }
}

struct Disk {
    path: PathBuf,
    opener: Opener,
    /// Opened anew after an I/O error, which poisons a handle.
    database: Option<Database>,
}

/// Makes the file, whole or not at all: one that a crash left half made would be no database.
fn make(path: &Path) -> Result<(), BookError> {
    if path.exists() {
        return Ok(());
    }
    let failed = |reason: String| BookError::Database {
        path: path.to_path_buf(),
        reason,
    };
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error.to_string())),
        _ => {}
    }
    let made = Database::create(&new).map_err(|error| match redb::Error::from(error) {
        redb::Error::Io(error) if error.kind() == std::io::ErrorKind::StorageFull => BookError::DiskFull {
            path: path.to_path_buf(),
        },
        error => failed(error.to_string()),
    })?;
    drop(made);
    std::fs::rename(&new, path).map_err(|error| failed(error.to_string()))
}

impl Disk {
    fn with<T>(&mut self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, BookError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => (self.opener)().map_err(|e| self.error(e))?,
        };
        match work(&database) {
            Ok(value) => {
                self.database = Some(database);
                Ok(value)
            }
            Err(error) => {
                if !matches!(error, redb::Error::Io(_) | redb::Error::PreviousIo) {
                    self.database = Some(database);
                }
                Err(self.error(error))
            }
        }
    }

    fn error(&self, error: redb::Error) -> BookError {
        use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        match error {
            redb::Error::Io(e) if matches!(e.kind(), StorageFull | QuotaExceeded | FileTooLarge) => {
                BookError::DiskFull {
                    path: self.path.clone(),
                }
            }
            e => BookError::Database {
                path: self.path.clone(),
                reason: e.to_string(),
            },
        }
    }

    fn bind(&mut self, owner: &Owner) -> Result<(), BookError> {
        let remembered = self.with(|db| {
            let transaction = db.begin_read()?;
            match transaction.open_table(META) {
                Ok(table) => Ok(table.get(OWNER)?.map(|row| row.value().to_vec())),
                Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
                Err(e) => Err(e.into()),
            }
        })?;
        let Some(remembered) = remembered else {
            return self.with(|db| {
                let transaction = db.begin_write()?;
                transaction
                    .open_table(META)?
                    .insert(OWNER, owner.encode().as_slice())?;
                Ok(transaction.commit()?)
            });
        };
        let remembered = Owner::decode_all(&mut &*remembered).map_err(|e| BookError::Database {
            path: self.path.clone(),
            reason: format!("it can not be told whose it is: {e}"),
        })?;
        if remembered.genesis != owner.genesis {
            return Err(BookError::OtherChain {
                path: self.path.clone(),
                remembered: remembered.genesis,
                actual: owner.genesis,
            });
        }
        if remembered.name != owner.name {
            return Err(BookError::OtherOwner {
                path: self.path.clone(),
                remembered: remembered.name,
                actual: owner.name.clone(),
            });
        }
        Ok(())
    }

    fn load(&mut self, table: Table) -> Result<Vec<(Vec<u8>, Vec<u8>)>, BookError> {
        self.with(|db| {
            let transaction = db.begin_read()?;
            match transaction.open_table(table.definition()) {
                Ok(table) => table
                    .iter()?
                    .map(|row| {
                        let (key, value) = row?;
                        Ok((key.value().to_vec(), value.value().to_vec()))
                    })
                    .collect(),
                Err(redb::TableError::TableDoesNotExist(_)) => Ok(Vec::new()),
                Err(e) => Err(e.into()),
            }
        })
    }

    fn write(&mut self, rows: &BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>>) -> Result<(), BookError> {
        self.with(|db| {
            // Durability::Immediate is the default.
            let transaction = db.begin_write()?;
            for table in [Table::Lanes, Table::Served] {
                let mut rows = rows
                    .range((table, Vec::new())..)
                    .take_while(|((of, _), _)| *of == table)
                    .peekable();
                if rows.peek().is_none() {
                    continue;
                }
                let mut open = transaction.open_table(table.definition())?;
                for ((_, key), value) in rows {
                    match value {
                        Some(value) => drop(open.insert(key.as_slice(), value.as_slice())?),
                        None => drop(open.remove(key.as_slice())?),
                    }
                }
            }
            Ok(transaction.commit()?)
        })
    }
}

/// A row that can not be read is an error: money may hang on it.
pub(crate) fn decode<T: Decode>(path: &Path, what: &str, bytes: &[u8]) -> Result<T, BookError> {
    T::decode_all(&mut &*bytes).map_err(|e| BookError::Database {
        path: path.to_path_buf(),
        reason: format!("a stored {what} can not be read: {e}"),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use redb::StorageBackend;
    use std::sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    };

    fn owner() -> Owner {
        Owner {
            genesis: H256::repeat_byte(1),
            name: "host alice".into(),
        }
    }

    fn row(key: u8, value: u64) -> Row {
        ((Table::Lanes, vec![key]), Some(value.to_be_bytes().to_vec()))
    }

    /// Submits and waits.
    fn write(committer: &Committer, rows: Vec<Row>) -> Result<(), BookError> {
        let (send, receive) = mpsc::channel();
        let done: Done = Box::new(move |result| drop(send.send(result)));
        if committer.submit(rows, Some(done)).is_err() {
            return Err(BookError::Gone);
        }
        receive.recv().unwrap()
    }

    /// A disk that keeps, when the power goes, what was synced and any part of what was written since.
    #[derive(Debug, Default)]
    struct Sectors {
        now: Vec<u8>,
        synced: Vec<u8>,
        since: Vec<Change>,
    }

    #[derive(Clone, Debug)]
    enum Change {
        Length(u64),
        Write(u64, Vec<u8>),
    }

    fn apply(bytes: &mut Vec<u8>, change: &Change) {
        match change {
            Change::Length(length) => bytes.resize(*length as usize, 0),
            Change::Write(at, data) => {
                let (at, end) = (*at as usize, *at as usize + data.len());
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[at..end].copy_from_slice(data);
            }
        }
    }

    #[derive(Clone, Debug, Default)]
    pub(crate) struct FakeDisk {
        sectors: Arc<Mutex<Sectors>>,
        pub full: Arc<AtomicBool>,
        syncs: Arc<AtomicUsize>,
    }

    impl FakeDisk {
        fn fails(&self) -> Result<(), std::io::Error> {
            match self.full.load(Ordering::SeqCst) {
                true => Err(std::io::ErrorKind::StorageFull.into()),
                false => Ok(()),
            }
        }

        /// What is there after the power went: of the writes since the last sync some, by the bits of `luck`.
        pub fn after_power_loss(&self, mut luck: u64) -> Self {
            let sectors = self.sectors.lock().unwrap();
            let mut bytes = sectors.synced.clone();
            for change in &sectors.since {
                luck = luck
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let keep = luck >> 63 == 0;
                match change {
                    Change::Length(_) => apply(&mut bytes, change),
                    Change::Write(at, data) if keep => {
                        // A write may be torn between sectors.
                        let length = if luck >> 62 & 1 == 0 {
                            data.len()
                        } else {
                            (data.len() / 512 / 2) * 512
                        };
                        apply(&mut bytes, &Change::Write(*at, data[..length].to_vec()));
                    }
                    Change::Write(..) => {}
                }
            }
            let disk = Self::default();
            {
                let mut sectors = disk.sectors.lock().unwrap();
                sectors.now.clone_from(&bytes);
                sectors.synced = bytes;
            }
            disk
        }

        pub fn opener(&self) -> Opener {
            let disk = self.clone();
            Box::new(move || Ok(Database::builder().create_with_backend(disk.clone())?))
        }
    }

    impl StorageBackend for FakeDisk {
        fn len(&self) -> Result<u64, std::io::Error> {
            Ok(self.sectors.lock().unwrap().now.len() as u64)
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), std::io::Error> {
            let sectors = self.sectors.lock().unwrap();
            let at = offset as usize;
            out.copy_from_slice(&sectors.now[at..at + out.len()]);
            Ok(())
        }

        fn set_len(&self, len: u64) -> Result<(), std::io::Error> {
            self.fails()?;
            let mut sectors = self.sectors.lock().unwrap();
            let change = Change::Length(len);
            apply(&mut sectors.now, &change);
            sectors.since.push(change);
            Ok(())
        }

        fn sync_data(&self) -> Result<(), std::io::Error> {
            self.fails()?;
            self.syncs.fetch_add(1, Ordering::SeqCst);
            let mut sectors = self.sectors.lock().unwrap();
            sectors.synced = sectors.now.clone();
            sectors.since.clear();
            Ok(())
        }

        fn write(&self, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
            self.fails()?;
            let mut sectors = self.sectors.lock().unwrap();
            let change = Change::Write(offset, data.to_vec());
            apply(&mut sectors.now, &change);
            sectors.since.push(change);
            Ok(())
        }
    }

    #[test]
    fn rows_survive_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.redb");
        {
            let (store, loaded) = Store::open(&path, &owner()).unwrap();
            assert!(loaded.lanes.is_empty() && loaded.served.is_empty());
            let committer = store.committer();
            write(&committer, vec![row(1, 1), row(2, 2), row(1, 3)]).unwrap();
            write(
                &committer,
                vec![
                    ((Table::Lanes, vec![2]), None),
                    ((Table::Served, vec![9]), Some(vec![9])),
                ],
            )
            .unwrap();
            // What is queued is written when the store is closed.
            committer.submit(vec![row(4, 4)], None).ok().unwrap();
            drop(store);
            assert!(matches!(write(&committer, vec![]), Err(BookError::Gone)));
        }
        let (_store, loaded) = Store::open(&path, &owner()).unwrap();
        assert_eq!(
            loaded.lanes,
            [
                (vec![1], 3u64.to_be_bytes().to_vec()),
                (vec![4], 4u64.to_be_bytes().to_vec())
            ]
        );
        assert_eq!(loaded.served, [(vec![9], vec![9])]);
        assert!(matches!(
            Store::open(&path, &owner()),
            Err(BookError::Database { .. })
        ));
    }

    #[test]
    fn a_file_of_somebody_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.redb");
        drop(Store::open(&path, &owner()).unwrap());
        let other = Owner {
            genesis: H256::zero(),
            ..owner()
        };
        assert!(matches!(
            Store::open(&path, &other),
            Err(BookError::OtherChain { .. })
        ));
        let other = Owner {
            name: "host bob".into(),
            ..owner()
        };
        assert!(matches!(
            Store::open(&path, &other),
            Err(BookError::OtherOwner { .. })
        ));
        std::fs::write(&path, b"not a database, but long enough to be read").unwrap();
        assert!(matches!(
            Store::open(&path, &owner()),
            Err(BookError::Database { .. })
        ));
    }

    #[test]
    fn many_share_one_sync() {
        let disk = FakeDisk::default();
        let (store, _) = Store::open_with(Path::new("fake"), &owner(), disk.opener()).unwrap();
        let committer = store.committer();
        let before = disk.syncs.load(Ordering::SeqCst);
        // The first commit stands still until all others are queued.
        let held = disk.sectors.lock().unwrap();
        let (send, receive) = mpsc::channel();
        for key in 0..100u8 {
            let send = send.clone();
            let done: Done = Box::new(move |result| drop(send.send(result)));
            committer.submit(vec![row(key, 1)], Some(done)).ok().unwrap();
        }
        drop(held);
        for _ in 0..100 {
            receive.recv().unwrap().unwrap();
        }
        let syncs = disk.syncs.load(Ordering::SeqCst) - before;
        assert!(syncs <= 6, "{syncs} syncs for 100 rows");
    }

    #[test]
    fn after_a_power_loss_what_was_acknowledged_is_there() {
        for seed in 0..40u64 {
            let disk = FakeDisk::default();
            let (store, _) = Store::open_with(Path::new("fake"), &owner(), disk.opener()).unwrap();
            let committer = store.committer();
            let acknowledged: Arc<Mutex<BTreeMap<u8, u64>>> = Arc::default();
            let mut after = None;
            for n in 1..=40u64 {
                let key = (n % 7) as u8;
                let acknowledged_by = Arc::clone(&acknowledged);
                let done: Done = Box::new(move |result| {
                    result.unwrap();
                    acknowledged_by.lock().unwrap().insert(key, n);
                });
                committer.submit(vec![row(key, n)], Some(done)).ok().unwrap();
                if n % 3 == 0 {
                    write(&committer, vec![]).unwrap();
                }
                if n == seed + 1 {
                    let acknowledged = acknowledged.lock().unwrap().clone();
                    after = Some((acknowledged, disk.after_power_loss(seed)));
                }
            }
            let (acknowledged, disk) = after.unwrap();
            let (_store, loaded) = Store::open_with(Path::new("fake"), &owner(), disk.opener()).unwrap();
            let loaded: BTreeMap<u8, u64> = loaded
                .lanes
                .into_iter()
                .map(|(key, value)| (key[0], u64::from_be_bytes(value.try_into().unwrap())))
                .collect();
            for (key, value) in acknowledged {
                assert!(loaded.get(&key) >= Some(&value), "row {key} after {seed}");
            }
        }
    }

    #[test]
    fn a_full_disk_is_told_and_made_up_for() {
        let disk = FakeDisk::default();
        let (store, _) = Store::open_with(Path::new("fake"), &owner(), disk.opener()).unwrap();
        let committer = store.committer();
        write(&committer, vec![row(1, 1)]).unwrap();
        disk.full.store(true, Ordering::SeqCst);
        committer.submit(vec![row(2, 2)], None).ok().unwrap();
        for _ in 0..2 {
            assert_eq!(
                write(&committer, vec![row(1, 5)]),
                Err(BookError::DiskFull { path: "fake".into() })
            );
        }
        disk.full.store(false, Ordering::SeqCst);
        write(&committer, vec![]).unwrap();
        drop(store);
        let (_store, loaded) =
            Store::open_with(Path::new("fake"), &owner(), disk.after_power_loss(0).opener()).unwrap();
        assert_eq!(
            loaded.lanes,
            [
                (vec![1], 5u64.to_be_bytes().to_vec()),
                (vec![2], 2u64.to_be_bytes().to_vec())
            ]
        );
    }
}
