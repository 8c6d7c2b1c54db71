//! The plain files: every whole file lies in the folder under `<content id>.onnx`.

use crate::{
    CHUNK, ContentError, ContentId, MAX_FILE_BYTES, Outline,
    outline::{Builder, fill},
};
use rustix::fs::OFlags;
use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

const SUFFIX: &str = ".onnx";
const IMPORT_PREFIX: &str = ".import-";
/// Whole files are read-only data: nobody needs to run them, and only their owner replaces them.
pub(crate) const FILE_MODE: u32 = 0o644;

/// A folder of model files, each named by its content id, as any process may use it.
///
/// A file is there whole or not at all: it is written under another name, synced, and renamed. Several processes can share
/// the folder, with or without one that has the [`crate::Store`] on it open; the store notices files that others put there.
/// What only the store does is fetching, evicting and counting.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
    max_file_bytes: u64,
}

/// A file that was imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    pub id: ContentId,
    /// In bytes.
    pub size: u64,
    pub path: PathBuf,
    /// Whether the folder had it before.
    pub known: bool,
}

/// Removes a half-written file unless it was kept.
struct Unfinished(Option<PathBuf>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            remove_file(&path);
        }
    }
}

/// Removes a file if it is there. A failure is worth a warning, not an error.
pub(crate) fn remove_file(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "a file stays behind");
    }
}

/// Makes renames and new names in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> Result<(), ContentError> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(|e| ContentError::io(path, e))
}

/// Opens a regular file for reading. Neither waits for the other end of a pipe nor follows a link, unless told to.
pub(crate) fn open_regular(path: &Path, follow: bool) -> Result<(File, u64), ContentError> {
    let mut flags = OFlags::NONBLOCK;
    if !follow {
        flags |= OFlags::NOFOLLOW;
    }
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .map_err(|e| match e.raw_os_error() {
            Some(code) if code == rustix::io::Errno::LOOP.raw_os_error() => {
                ContentError::NotAFile(path.into())
            }
            _ => ContentError::io(path, e),
        })?;
    let metadata = file.metadata().map_err(|e| ContentError::io(path, e))?;
    if metadata.is_file() {
        Ok((file, metadata.len()))
    } else {
        Err(ContentError::NotAFile(path.into()))
    }
}

impl Folder {
    /// Opens the folder, which is made when missing. Files over `max_file_bytes` are refused; more than
    /// [`MAX_FILE_BYTES`] is never allowed.
    ///
    /// # Errors
    /// When the folder can not be made.
    pub fn open(root: impl Into<PathBuf>, max_file_bytes: u64) -> Result<Self, ContentError> {
        let root = root.into();
        fs::create_dir_all(&root).map_err(|e| ContentError::io(&root, e))?;
        Ok(Self {
            root,
            max_file_bytes: max_file_bytes.min(MAX_FILE_BYTES),
        })
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The size of the largest file that is accepted, in bytes.
    pub fn max_file_bytes(&self) -> u64 {
        self.max_file_bytes
    }

    /// Where the file is, or would be.
    pub fn path(&self, id: ContentId) -> PathBuf {
        self.root.join(format!("{id}{SUFFIX}"))
    }

    /// The id in a file's name.
    pub(crate) fn id_of(name: &std::ffi::OsStr) -> Option<ContentId> {
        let digits = name.to_str()?.strip_suffix(SUFFIX)?;
        // The name must be the one that `path` gives: lower-case, without `0x`.
        digits
            .parse()
            .ok()
            .filter(|id: &ContentId| id.to_string() == digits)
    }

    /// Whether the file is there. Its bytes are checked when they are read.
    pub fn contains(&self, id: ContentId) -> bool {
        self.size(id).is_some()
    }

    /// The file's size in bytes, if it is there.
    pub(crate) fn size(&self, id: ContentId) -> Option<u64> {
        let metadata = fs::symlink_metadata(self.path(id)).ok()?;
        metadata.is_file().then_some(metadata.len())
    }

    /// Opens the file for reading.
    pub(crate) fn open_file(&self, id: ContentId) -> Result<(File, u64), ContentError> {
        open_regular(&self.path(id), false).map_err(|error| match error {
            ContentError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                ContentError::Missing(id)
            }
            other => other,
        })
    }

    /// The whole file, after checking that it hashes to its id.
    ///
    /// # Errors
    /// [`ContentError::Missing`] and [`ContentError::Damaged`] above all.
    pub fn read(&self, id: ContentId) -> Result<Vec<u8>, ContentError> {
        let path = self.path(id);
        let (file, size) = self.open_file(id)?;
        self.check_size(size)?;
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        file.take(self.max_file_bytes + 1)
            .read_to_end(&mut bytes)
            .map_err(|e| ContentError::io(&path, e))?;
        if ContentId::of(&bytes) == id {
            Ok(bytes)
        } else {
            Err(ContentError::Damaged(id))
        }
    }

    /// The ids of all whole files, in order.
    ///
    /// # Errors
    /// When the folder can not be read.
    pub fn list(&self) -> Result<Vec<ContentId>, ContentError> {
        let mut ids = fs::read_dir(&self.root)
            .map_err(|e| ContentError::io(&self.root, e))?
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let id = Self::id_of(&entry.file_name())?;
                entry.file_type().ok()?.is_file().then_some(id)
            })
            .collect::<Vec<_>>();
        ids.sort_unstable();
        Ok(ids)
    }

    /// Copies a file into the folder, checking, if an id is given, that it is the expected one. Links to the source are
    /// followed; its blocks are shared where the filesystem can.
    ///
    /// # Errors
    /// The folder is left as it was.
    pub fn import(&self, source: &Path, expected: Option<ContentId>) -> Result<Imported, ContentError> {
        let (imported, _) = self.import_with(source, expected, |_| Ok(()))?;
        Ok(imported)
    }

    /// The same; `room` is called with the size before anything is written, and what it returns is kept until the end.
    pub(crate) fn import_with<R>(
        &self,
        source: &Path,
        expected: Option<ContentId>,
        room: impl FnOnce(u64) -> Result<R, ContentError>,
    ) -> Result<(Imported, Outline), ContentError> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);

        let (mut from, size) = open_regular(source, true)?;
        self.check_size(size)?;
        let _room = room(size)?;
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let partial = self
            .root
            .join(format!("{IMPORT_PREFIX}{}-{number}", std::process::id()));
        let io = |e| ContentError::io(&partial, e);
        let mut to = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&partial)
            .map_err(io)?;
        let mut guard = Unfinished(Some(partial.clone()));
        // Tells `clean` that somebody is at work.
        to.try_lock().map_err(|e| io(e.into()))?;

        let (id, outline) = if rustix::fs::ioctl_ficlone(&to, &from).is_ok() {
            // The clone is hashed and not the source, which may change meanwhile.
            let cloned = to.metadata().map_err(io)?.len();
            self.check_size(cloned)?;
            Outline::of_reader(&mut to).map_err(io)?
        } else {
            self.copy(&mut from, source, &mut to, &partial)?
        };
        if let Some(expected) = expected.filter(|expected| *expected != id) {
            return Err(ContentError::Mismatch {
                path: source.into(),
                expected,
                actual: id,
            });
        }
        let path = self.path(id);
        let known = self.contains(id);
        to.set_permissions(Permissions::from_mode(FILE_MODE))
            .map_err(io)?;
        to.sync_all().map_err(io)?;
        fs::rename(&partial, &path).map_err(|e| ContentError::io(&path, e))?;
        guard.0 = None;
        sync_folder(&self.root)?;
        let imported = Imported {
            id,
            size: outline.len_bytes(),
            path,
            known,
        };
        Ok((imported, outline))
    }

    fn check_size(&self, size: u64) -> Result<(), ContentError> {
        if size > self.max_file_bytes {
            return Err(ContentError::TooLarge {
                size,
                limit: self.max_file_bytes,
            });
        }
        Ok(())
    }

    /// Copies and hashes; the limit holds even if the source grows meanwhile.
    fn copy(
        &self,
        from: &mut File,
        from_path: &Path,
        to: &mut File,
        to_path: &Path,
    ) -> Result<(ContentId, Outline), ContentError> {
        let mut builder = Builder::default();
        let mut buffer = vec![0; CHUNK];
        let mut copied = 0;
        loop {
            let n = fill(from, &mut buffer).map_err(|e| ContentError::io(from_path, e))?;
            copied += n as u64;
            self.check_size(copied)?;
            let chunk = buffer.get(..n).unwrap_or_default();
            to.write_all(chunk).map_err(|e| ContentError::io(to_path, e))?;
            builder.push(chunk);
            if n < CHUNK {
                return Ok(builder.finish());
            }
        }
    }

    /// Removes what imports left behind that were cut off. Those at work hold a lock on their file, or are about to.
    pub(crate) fn clean(&self) -> Result<(), ContentError> {
        let entries = fs::read_dir(&self.root).map_err(|e| ContentError::io(&self.root, e))?;
        for entry in entries.filter_map(Result::ok) {
            let ours = entry
                .file_name()
                .to_str()
                .is_some_and(|name| name.starts_with(IMPORT_PREFIX));
            let old = entry
                .metadata()
                .and_then(|metadata| metadata.modified())
                .is_ok_and(|at| {
                    SystemTime::now()
                        .duration_since(at)
                        .is_ok_and(|age| age > Duration::from_secs(60))
                });
            if ours
                && old
                && open_regular(&entry.path(), false).is_ok_and(|(file, _)| file.try_lock().is_ok())
            {
                remove_file(&entry.path());
            }
        }
        Ok(())
    }
}
