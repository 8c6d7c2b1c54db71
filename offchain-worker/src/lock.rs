//! One worker per state folder.

use crate::WorkerError;
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    path::Path,
};

/// Held as long as the worker lives; the system frees it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct StateLock {
    _file: File,
}

impl StateLock {
    pub fn take(folder: &Path) -> Result<Self, WorkerError> {
        let path = folder.join("lock");
        let error = |source| WorkerError::Io {
            path: path.clone(),
            source,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(error)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                return Err(WorkerError::InUse {
                    path: folder.into(),
                    holder: holder.trim().into(),
                });
            }
            Err(TryLockError::Error(e)) => return Err(error(e)),
        }
        // Who holds it is only for people: a full disk is no reason not to start.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }

    /// Whether a worker runs on this folder.
    pub fn is_held(folder: &Path) -> bool {
        File::open(folder.join("lock"))
            .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_worker_on_the_same_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!StateLock::is_held(folder.path()));
        let first = StateLock::take(folder.path()).unwrap();
        assert!(StateLock::is_held(folder.path()));
        let error = StateLock::take(folder.path()).unwrap_err().to_string();
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        assert!(error.contains("--base-path"), "{error}");
        drop(first);
        StateLock::take(folder.path()).unwrap();
    }
}
