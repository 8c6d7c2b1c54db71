//! What a worker remembers across crashes: results that were computed, and which chain it works for.

use codec::{Decode, DecodeAll, Encode};
use llmesh_chain::{BlockNumber, H256};
use llmesh_primitives::{JobId, Tensors};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// A computed result.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Record {
    pub job: JobId,
    /// See [`crate::reconcile::Owed::key`].
    pub key: H256,
    pub deadline: BlockNumber,
    /// Whether sending it was begun.
    pub attempted: bool,
    pub outputs: Tensors,
    pub probe_hash: Option<H256>,
}

/// Why something could not be remembered.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// No space is left on the disk.
    #[error("the disk is full, {path} was not written")]
    DiskFull { path: PathBuf },
    /// The state is of another chain.
    #[error(
        "{path} belongs to the chain {remembered:?}, but the node is on {actual:?}; use another --base-path, or connect \
         to a node of the right chain"
    )]
    OtherChain {
        path: PathBuf,
        remembered: H256,
        actual: H256,
    },
    /// The database fails for another reason.
    #[error("{path}: {reason}")]
    Database { path: PathBuf, reason: String },
}

/// A place for results. Every method that changes something returns after it is safe on disk.
pub trait ResultStore: Send + Sync + 'static {
    /// Remembers the chain at the first call, and insists on it later.
    ///
    /// # Errors
    /// [`StateError::OtherChain`] above all.
    fn bind_chain(&self, genesis: H256) -> Result<(), StateError>;
    /// Keeps a result.
    ///
    /// # Errors
    /// [`StateError::DiskFull`] above all; then nothing is kept.
    fn put(&self, record: &Record) -> Result<(), StateError>;
    /// The result of a job.
    ///
    /// # Errors
    /// When the store can not be read.
    fn get(&self, job: JobId) -> Result<Option<Record>, StateError>;
    /// Removes a result, if there is one.
    ///
    /// # Errors
    /// When the store can not be written.
    fn remove(&self, job: JobId) -> Result<(), StateError>;
    /// All results, in order.
    ///
    /// # Errors
    /// When the store can not be read.
    fn all(&self) -> Result<Vec<Record>, StateError>;
    /// Whether there is space for results. Cheap: nothing is written.
    ///
    /// # Errors
    /// [`StateError::DiskFull`] as long as not.
    fn check_space(&self) -> Result<(), StateError>;
    /// Whether something as large as a usual result can be written, by writing it.
    ///
    /// # Errors
    /// [`StateError::DiskFull`] as long as not.
    fn probe(&self) -> Result<(), StateError>;
}

const RESULTS: TableDefinition<JobId, &[u8]> = TableDefinition::new("results-v1");
const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
const GENESIS: &str = "genesis";
const PROBE: &str = "probe";
const PROBE_BYTES: usize = 64 * 1024;
/// With less than this left, nothing is begun that would have to be written.
const MIN_FREE_BYTES: u64 = 1024 * 1024;

/// A [`ResultStore`] in one file. Each change is a synced transaction.
pub struct RedbStore {
    path: PathBuf,
    /// Opened anew after an I/O error, which poisons a handle.
    database: Mutex<Option<Database>>,
}

impl RedbStore {
    /// Opens or makes the file `state.redb` in this folder.
    ///
    /// # Errors
    /// When the file can not be opened or is no state.
    pub fn open(folder: &Path) -> Result<Self, StateError> {
        let store = Self {
            path: folder.join("state.redb"),
            database: Mutex::new(None),
        };
        store.with(|_| Ok(()))?;
        Ok(store)
    }

    fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, StateError> {
        let mut slot = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let database = match slot.take() {
            Some(database) => database,
            None => Database::create(&self.path).map_err(|e| self.error(e.into()))?,
        };
        match work(&database) {
            Ok(value) => {
                *slot = Some(database);
                Ok(value)
            }
            Err(error) => {
                if !matches!(error, redb::Error::Io(_) | redb::Error::PreviousIo) {
                    *slot = Some(database);
                }
                Err(self.error(error))
            }
        }
    }

    fn error(&self, error: redb::Error) -> StateError {
        use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        match error {
            redb::Error::Io(e) if matches!(e.kind(), StorageFull | QuotaExceeded | FileTooLarge) => {
                StateError::DiskFull {
                    path: self.path.clone(),
                }
            }
            e => StateError::Database {
                path: self.path.clone(),
                reason: e.to_string(),
            },
        }
    }

    fn decode(&self, bytes: &[u8]) -> Result<Record, StateError> {
        Record::decode_all(&mut &*bytes).map_err(|e| StateError::Database {
            path: self.path.clone(),
            reason: format!("a stored result can not be read: {e}"),
        })
    }

    fn set_meta(&self, key: &str, value: Option<&[u8]>) -> Result<(), StateError> {
        self.with(|db| {
            let transaction = db.begin_write()?;
            {
                let mut table = transaction.open_table(META)?;
                match value {
                    Some(value) => drop(table.insert(key, value)?),
                    None => drop(table.remove(key)?),
                }
            }
            Ok(transaction.commit()?)
        })
    }
}

impl ResultStore for RedbStore {
    fn bind_chain(&self, genesis: H256) -> Result<(), StateError> {
        let remembered = self.with(|db| {
            let transaction = db.begin_read()?;
            match transaction.open_table(META) {
                Ok(table) => Ok(table.get(GENESIS)?.map(|g| g.value().to_vec())),
                Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
                Err(e) => Err(e.into()),
            }
        })?;
        match remembered.as_deref() {
            Some(bytes) if bytes == genesis.as_bytes() => Ok(()),
            Some(bytes) => Err(StateError::OtherChain {
                path: self.path.clone(),
                remembered: H256::decode_all(&mut &*bytes).unwrap_or_default(),
                actual: genesis,
            }),
            None => self.set_meta(GENESIS, Some(genesis.as_bytes())),
        }
    }

    fn put(&self, record: &Record) -> Result<(), StateError> {
        let bytes = record.encode();
        self.with(|db| {
            let transaction = db.begin_write()?;
            transaction
                .open_table(RESULTS)?
                .insert(record.job, bytes.as_slice())?;
            Ok(transaction.commit()?)
        })
    }

    fn get(&self, job: JobId) -> Result<Option<Record>, StateError> {
        let bytes = self.with(|db| {
            let transaction = db.begin_read()?;
            match transaction.open_table(RESULTS) {
                Ok(table) => Ok(table.get(job)?.map(|r| r.value().to_vec())),
                Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
                Err(e) => Err(e.into()),
            }
        })?;
        bytes.map(|b| self.decode(&b)).transpose()
    }

    fn remove(&self, job: JobId) -> Result<(), StateError> {
        if self.get(job)?.is_none() {
            return Ok(());
        }
        self.with(|db| {
            let transaction = db.begin_write()?;
            transaction.open_table(RESULTS)?.remove(job)?;
            Ok(transaction.commit()?)
        })
    }

    fn all(&self) -> Result<Vec<Record>, StateError> {
        let all = self.with(|db| {
            let transaction = db.begin_read()?;
            match transaction.open_table(RESULTS) {
                Ok(table) => table
                    .iter()?
                    .map(|entry| {
                        entry
                            .map(|(_, bytes)| bytes.value().to_vec())
                            .map_err(redb::Error::from)
                    })
                    .collect::<Result<Vec<_>, _>>(),
                Err(redb::TableError::TableDoesNotExist(_)) => Ok(Vec::new()),
                Err(e) => Err(e.into()),
            }
        })?;
        all.iter().map(|bytes| self.decode(bytes)).collect()
    }

    fn check_space(&self) -> Result<(), StateError> {
        let folder = self.path.parent().unwrap_or(&self.path);
        match rustix::fs::statvfs(folder) {
            Ok(fs) if fs.f_bavail.saturating_mul(fs.f_frsize) < MIN_FREE_BYTES => Err(StateError::DiskFull {
                path: self.path.clone(),
            }),
            // A file system that does not say is found out when something is written.
            _ => Ok(()),
        }
    }

    fn probe(&self) -> Result<(), StateError> {
        self.check_space()?;
        self.set_meta(PROBE, Some(&[0; PROBE_BYTES]))?;
        self.set_meta(PROBE, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use llmesh_primitives::{ElementType, Tensor};

    fn record(job: JobId) -> Record {
        let tensor = Tensor::new("y", ElementType::U8, &[3], vec![1, 2, 3]).unwrap();
        Record {
            job,
            key: H256::from_low_u64_be(job),
            deadline: 9,
            attempted: false,
            outputs: vec![tensor].try_into().unwrap(),
            probe_hash: None,
        }
    }

    #[test]
    fn results_survive_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let store = RedbStore::open(folder.path()).unwrap();
        assert_eq!(store.get(1).unwrap(), None);
        assert_eq!(store.all().unwrap(), []);
        store.remove(1).unwrap();
        for job in [3, 1, 2] {
            store.put(&record(job)).unwrap();
        }
        drop(store);

        let store = RedbStore::open(folder.path()).unwrap();
        assert_eq!(store.all().unwrap(), [record(1), record(2), record(3)]);
        store
            .put(&Record {
                attempted: true,
                ..record(2)
            })
            .unwrap();
        store.remove(1).unwrap();
        assert!(store.get(2).unwrap().unwrap().attempted);
        assert_eq!(store.get(1).unwrap(), None);
        store.probe().unwrap();
    }

    #[test]
    fn another_chain_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (here, there) = (H256::repeat_byte(1), H256::repeat_byte(2));
        {
            let store = RedbStore::open(folder.path()).unwrap();
            store.bind_chain(here).unwrap();
            store.bind_chain(here).unwrap();
        }
        let store = RedbStore::open(folder.path()).unwrap();
        let error = store.bind_chain(there).unwrap_err();
        assert!(matches!(&error, StateError::OtherChain { remembered, .. } if *remembered == here));
        assert!(error.to_string().contains("--base-path"), "{error}");
    }

    #[test]
    fn a_file_that_is_no_state_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("state.redb"),
            b"not a database, but long enough to be read",
        )
        .unwrap();
        assert!(matches!(
            RedbStore::open(folder.path()),
            Err(StateError::Database { .. })
        ));
    }

    #[test]
    fn a_full_disk_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let store = RedbStore::open(folder.path()).unwrap();
        let full = redb::Error::Io(std::io::Error::from(std::io::ErrorKind::StorageFull));
        let error = store.with::<()>(|_| Err(full)).unwrap_err();
        assert!(matches!(error, StateError::DiskFull { .. }));
        // The handle is opened anew, so that the store works once there is space.
        store.put(&record(1)).unwrap();
    }
}
