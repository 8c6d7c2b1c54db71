//! The store: the folder of files, its bound, pins, and fetches that survive a cut.
//!
//! ```text
//! ROOT/<id>.onnx            whole files, plain
//! ROOT/.content/lock        held by the process that has the store open
//! ROOT/.content/outlines/   outlines; the time of such a file is when the content was last used
//! ROOT/.content/partial/    files being fetched, of their full length, with holes
//! ROOT/.content/pins/       empty files: what is never evicted
//! ROOT/.content/tmp/        being written
//! ```
//! The folders are the truth; in memory there is only what can be lost. Every file appears by a rename,
//! content and pins after a sync.

use crate::{
    Buffers, CHUNK, ContentError, ContentId, ContentRefusal, FetchError, Folder, Imported, MAX_FILE_BYTES,
    Outline,
    folder::{FILE_MODE, open_regular, remove_file, sync_folder},
    outline::chunk_count,
    partial::{Bits, Partial},
};
use bytes::Bytes;
use std::{
    collections::{HashMap, HashSet},
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

/// The bounds of a [`Store`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// All files together, those being fetched with their full size, in bytes. Holds for what the store itself takes in:
    /// files that were there before, or that another process puts into the folder, are only removed to make room.
    pub capacity_bytes: u64,
    /// The largest file, in bytes; at most [`MAX_FILE_BYTES`].
    pub max_file_bytes: u64,
}

impl Default for StoreConfig {
    /// 64 GiB in all. One file up to 2 GiB - 1: ONNX itself ends there.
    fn default() -> Self {
        Self {
            capacity_bytes: 64 << 30,
            max_file_bytes: (2 << 30) - 1,
        }
    }
}

/// A file in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub id: ContentId,
    /// Size of the whole file in bytes.
    pub size: u64,
    /// Bytes that it takes up on the disk: less than `size` while it is not complete.
    pub disk_bytes: u64,
    pub pinned: bool,
    /// False for what was begun to be fetched and is not finished.
    pub complete: bool,
    /// When it was last read, imported or fetched. Requests of peers do not count.
    pub last_used: SystemTime,
}

/// How full the store is, in bytes. Blocks that the filesystem shares between files are counted for each of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub capacity: u64,
    /// Whole files with their outlines.
    pub complete: u64,
    /// Begun and not being fetched at the moment.
    pub partial: u64,
    /// Being fetched or imported right now, at their full size.
    pub reserved: u64,
    /// Part of the above that can not be evicted: pinned, or reserved.
    pub held: u64,
}

impl Usage {
    /// Everything together.
    pub fn total(&self) -> u64 {
        self.complete + self.partial + self.reserved
    }
}

/// A content store. Cheap to clone; its methods read and write files, so call them where blocking is allowed.
///
/// Only one process at a time has the store of a folder open; others can use [`Folder`].
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    folder: Folder,
    meta: PathBuf,
    capacity: u64,
    state: Mutex<State>,
    /// One whole file is hashed at a time when outlines are missing.
    hashing: Mutex<()>,
    buffers: Buffers,
    _lock: File,
}

#[derive(Default)]
struct State {
    fetches: HashMap<ContentId, Fetching>,
    /// Bytes of the imports under way.
    importing: u64,
    /// More recent than what the disk says.
    used: HashMap<ContentId, Used>,
    outlines: Outlines,
    /// Whole files that chunks are being read from.
    opened: HashMap<ContentId, Arc<Opened>>,
}

/// A whole file that chunks are being read from.
struct Opened {
    file: File,
    stamp: Stamp,
    outline: Outline,
    /// Chunks that were hashed since the file was opened.
    verified: Mutex<Bits>,
    since: Instant,
}

impl Opened {
    fn verified(&self) -> MutexGuard<'_, Bits> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells one file, and one state of it, from another.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    len: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// Files that are kept open for reading chunks.
const MAX_OPENED: usize = 16;

/// For so long the chunks of an opened file need not be hashed again.
const TRUSTED: Duration = Duration::from_secs(3600);

struct Used {
    at: SystemTime,
    /// The time that the disk knows.
    written: SystemTime,
}

struct Fetching {
    size: u64,
    /// Missing for a moment, while the fetch begins.
    partial: Option<Arc<Partial>>,
}

/// Verified outlines, up to a bound.
#[derive(Default)]
struct Outlines {
    known: HashMap<ContentId, (u64, Outline)>,
    clock: u64,
    values: usize,
}

impl Outlines {
    /// 64 MiB of chaining values: the outlines of half a terabyte.
    const MAX_VALUES: usize = 2 << 20;

    fn get(&mut self, id: ContentId) -> Option<Outline> {
        self.clock += 1;
        let (used, outline) = self.known.get_mut(&id)?;
        *used = self.clock;
        Some(outline.clone())
    }

    fn insert(&mut self, id: ContentId, outline: Outline) {
        self.remove(id);
        self.values += outline.values().len();
        self.clock += 1;
        self.known.insert(id, (self.clock, outline));
        while self.values > Self::MAX_VALUES {
            let Some(oldest) = self
                .known
                .iter()
                .min_by_key(|(_, (used, _))| *used)
                .map(|(id, _)| *id)
            else {
                return;
            };
            self.remove(oldest);
        }
    }

    fn remove(&mut self, id: ContentId) {
        if let Some((_, outline)) = self.known.remove(&id) {
            self.values -= outline.values().len();
        }
    }
}

/// How a fetch begins.
pub(crate) enum Begun {
    /// The file is there.
    Complete,
    Open(Download),
}

/// The right to fetch a file; dropping it leaves the partial file for the next time.
pub(crate) struct Download {
    store: Store,
    pub partial: Arc<Partial>,
    _slot: Slot,
}

/// An entry in [`State::fetches`].
struct Slot {
    store: Store,
    id: ContentId,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.store.state().fetches.remove(&self.id);
    }
}

/// Bytes in [`State::importing`].
struct Room {
    store: Store,
    bytes: u64,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.store.state().importing -= self.bytes;
    }
}

/// How often the time of last use is written to the disk.
const TOUCH_INTERVAL: Duration = Duration::from_secs(60);

impl Store {
    /// Opens the store of this folder, which is made when missing. Files named `<content id>.onnx` that lie there are
    /// taken over; they are hashed when they are first needed, not now.
    ///
    /// # Errors
    /// [`ContentError::Locked`] when another process has it open.
    pub fn open(root: &Path, config: StoreConfig) -> Result<Self, ContentError> {
        let folder = Folder::open(root, config.max_file_bytes)?;
        let meta = root.join(".content");
        for path in [
            meta.clone(),
            meta.join("outlines"),
            meta.join("partial"),
            meta.join("pins"),
            meta.join("tmp"),
        ] {
            let mut builder = DirBuilder::new();
            if let Err(e) = builder.mode(0o700).create(&path)
                && e.kind() != io::ErrorKind::AlreadyExists
            {
                return Err(ContentError::io(&path, e));
            }
        }
        let path = meta.join("lock");
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|e| ContentError::io(&path, e))?;
        lock.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => ContentError::Locked { root: root.into() },
            fs::TryLockError::Error(e) => ContentError::io(&path, e),
        })?;
        let store = Self {
            inner: Arc::new(Inner {
                folder,
                meta,
                capacity: config.capacity_bytes,
                state: Mutex::default(),
                hashing: Mutex::default(),
                buffers: Buffers::default(),
                _lock: lock,
            }),
        };
        store.clean()?;
        Ok(store)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folder with the whole files.
    pub fn folder(&self) -> &Folder {
        &self.inner.folder
    }

    fn outline_path(&self, id: ContentId) -> PathBuf {
        self.inner.meta.join("outlines").join(id.to_string())
    }

    fn partial_path(&self, id: ContentId) -> PathBuf {
        self.inner.meta.join("partial").join(id.to_string())
    }

    fn pin_path(&self, id: ContentId) -> PathBuf {
        self.inner.meta.join("pins").join(id.to_string())
    }

    /// The ids that files in a folder of ours are named by.
    fn names(&self, folder: &str) -> Result<Vec<ContentId>, ContentError> {
        let path = self.inner.meta.join(folder);
        let entries = fs::read_dir(&path).map_err(|e| ContentError::io(&path, e))?;
        Ok(entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect())
    }

    /// Removes what a process that was killed left behind.
    fn clean(&self) -> Result<(), ContentError> {
        let tmp = self.inner.meta.join("tmp");
        let entries = fs::read_dir(&tmp).map_err(|e| ContentError::io(&tmp, e))?;
        entries
            .filter_map(Result::ok)
            .for_each(|entry| remove_file(&entry.path()));
        self.folder().clean()?;
        let mut partial = self.names("partial")?.into_iter().collect::<HashSet<_>>();
        partial.retain(|id| {
            let whole = self.folder().contains(*id);
            if whole {
                remove_file(&self.partial_path(*id));
            }
            !whole
        });
        for id in self.names("outlines")? {
            if !partial.contains(&id) && !self.folder().contains(id) {
                remove_file(&self.outline_path(id));
            }
        }
        Ok(())
    }

    /// Writes a small file whole or not at all, as far as other processes can see. After a power cut only a durable one is
    /// sure to be there and to be whole.
    fn write_whole(&self, path: &Path, bytes: &[u8], durable: bool) -> Result<(), ContentError> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);

        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let tmp = self.inner.meta.join("tmp").join(number.to_string());
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&tmp)?;
            file.write_all(bytes)?;
            if durable {
                file.sync_all()?;
            }
            fs::rename(&tmp, path)
        };
        write().map_err(|e| {
            remove_file(&tmp);
            ContentError::io(path, e)
        })?;
        match path.parent() {
            Some(folder) if durable => sync_folder(folder),
            _ => Ok(()),
        }
    }

    /// Copies a file into the store: its id and its size in bytes.
    ///
    /// # Errors
    /// The store is left as it was, except that unpinned files may have been evicted.
    pub fn import(&self, file: &Path) -> Result<(ContentId, u64), ContentError> {
        let imported = self.import_expected(file, None)?;
        Ok((imported.id, imported.size))
    }

    /// The same for a file that must have this id.
    ///
    /// # Errors
    /// [`ContentError::Mismatch`] when it is another file.
    pub fn import_expected(
        &self,
        file: &Path,
        expected: Option<ContentId>,
    ) -> Result<Imported, ContentError> {
        let (imported, outline) = self
            .folder()
            .import_with(file, expected, |size| self.reserve(size))?;
        let id = imported.id;
        self.keep_outline(id, &outline);
        self.touch(id);
        let state = self.state();
        if !state.fetches.contains_key(&id) {
            remove_file(&self.partial_path(id));
        }
        Ok(imported)
    }

    /// Makes room for an import.
    fn reserve(&self, bytes: u64) -> Result<Room, ContentError> {
        let mut state = self.state();
        state.importing += bytes;
        let made = self.make_room(&mut state, bytes);
        drop(state);
        // Gives the bytes back on failure.
        let room = Room {
            store: self.clone(),
            bytes,
        };
        made.map(|()| room)
    }

    /// Whether the whole file is there. Its bytes are checked when they are read.
    pub fn contains(&self, id: ContentId) -> bool {
        self.folder().contains(id)
    }

    /// The whole file, after checking that it hashes to its id.
    ///
    /// # Errors
    /// [`ContentError::Missing`]; [`ContentError::Damaged`], and then the file has been moved aside: a fetch or an import
    /// mends it (a fetch gets only the chunks that are wrong).
    pub fn read(&self, id: ContentId) -> Result<Vec<u8>, ContentError> {
        let read = self.folder().read(id);
        match &read {
            Ok(_) => self.touch(id),
            Err(ContentError::Damaged(_)) => self.set_aside(id),
            Err(_) => {}
        }
        read
    }

    /// The file's outline, verified, if the file is here or being fetched.
    ///
    /// For a file that was put into the folder by another process, the first call hashes all of it.
    pub fn outline(&self, id: ContentId) -> Option<Outline> {
        {
            let mut state = self.state();
            if let Some(fetching) = state.fetches.get(&id) {
                return fetching.partial.as_ref().map(|partial| partial.outline.clone());
            }
            if let Some(outline) = state.outlines.get(id) {
                return self.contains(id).then_some(outline);
            }
        }
        if !self.contains(id) {
            return None;
        }
        if let Some(outline) = self.kept_outline(id) {
            return Some(outline);
        }
        let _one = self.inner.hashing.lock().unwrap_or_else(PoisonError::into_inner);
        // Perhaps the one before did it.
        if let Some(outline) = self.kept_outline(id) {
            return Some(outline);
        }
        let (file, _) = self.folder().open_file(id).ok()?;
        match Outline::of_reader(file.take(self.folder().max_file_bytes() + 1)) {
            Ok((actual, outline)) if actual == id => {
                self.keep_outline(id, &outline);
                Some(outline)
            }
            Ok(_) => {
                self.set_aside(id);
                None
            }
            Err(error) => {
                tracing::warn!(%id, %error, "a file can not be read");
                None
            }
        }
    }

    /// The outline on the disk, if it is right.
    fn kept_outline(&self, id: ContentId) -> Option<Outline> {
        let (file, size) = open_regular(&self.outline_path(id), false).ok()?;
        if size > 16 + 32 * (MAX_FILE_BYTES / CHUNK as u64) {
            return None;
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).ok()?);
        file.take(size).read_to_end(&mut bytes).ok()?;
        let outline = Outline::from_file(&bytes, &id)?;
        self.state().outlines.insert(id, outline.clone());
        Some(outline)
    }

    /// Keeps a verified outline. It can be made or fetched again and is verified when it is read, so it is not synced.
    fn write_outline(&self, id: ContentId, outline: &Outline) -> Result<(), ContentError> {
        self.write_whole(&self.outline_path(id), &outline.to_file(), false)
    }

    /// The same, where a failure does not matter.
    fn keep_outline(&self, id: ContentId, outline: &Outline) {
        if let Err(error) = self.write_outline(id, outline) {
            tracing::warn!(%id, %error, "an outline was not kept");
        }
        self.state().outlines.insert(id, outline.clone());
    }

    /// The bytes of a chunk, verified, if it is here. Reading it again within the hour from a file that has not changed does
    /// not hash it again.
    pub fn chunk(&self, id: ContentId, index: u32) -> Option<Bytes> {
        self.chunk_or_refusal(id, index).ok()
    }

    pub(crate) fn chunk_or_refusal(&self, id: ContentId, index: u32) -> Result<Bytes, ContentRefusal> {
        let fetching = {
            let state = self.state();
            state.fetches.get(&id).map(|fetching| fetching.partial.clone())
        };
        if let Some(partial) = fetching {
            let partial = partial.ok_or(ContentRefusal::NotFound)?;
            partial.outline.range(index).ok_or(ContentRefusal::OutOfRange)?;
            let bytes = partial.read(index).ok_or(ContentRefusal::NotYet)?;
            return if partial.outline.check_chunk(index, &bytes) {
                Ok(bytes.into())
            } else {
                Err(ContentRefusal::Failed)
            };
        }
        let open = self.opened(id).ok_or(ContentRefusal::NotFound)?;
        let (offset, len) = open.outline.range(index).ok_or(ContentRefusal::OutOfRange)?;
        let mut bytes = self.inner.buffers.take(len);
        match open.file.read_exact_at(&mut bytes, offset) {
            Ok(()) if open.verified().get(index) => return Ok(bytes.freeze()),
            Ok(()) if open.outline.check_chunk(index, &bytes) => {
                open.verified().set(index);
                return Ok(bytes.freeze());
            }
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                tracing::warn!(%id, %error, "a chunk can not be read");
            }
            _ => self.set_aside(id),
        }
        Err(ContentRefusal::Failed)
    }

    /// The whole file, opened, with what is known of it as long as it stays the same file.
    fn opened(&self, id: ContentId) -> Option<Arc<Opened>> {
        let stamp = fs::symlink_metadata(self.folder().path(id))
            .ok()
            .filter(fs::Metadata::is_file)
            .map(|metadata| Stamp::of(&metadata));
        {
            let mut state = self.state();
            match (state.opened.get(&id), stamp) {
                (Some(open), Some(stamp)) if open.stamp == stamp && open.since.elapsed() < TRUSTED => {
                    return Some(open.clone());
                }
                _ => state.opened.remove(&id),
            };
        }
        stamp?;
        let outline = self.outline(id)?;
        let (file, _) = self.folder().open_file(id).ok()?;
        let open = Arc::new(Opened {
            // Of what was opened, whatever lies under the name by now.
            stamp: Stamp::of(&file.metadata().ok()?),
            file,
            verified: Mutex::new(Bits::new(outline.chunks())),
            outline,
            since: Instant::now(),
        });
        let mut state = self.state();
        while state.opened.len() >= MAX_OPENED {
            let oldest = state.opened.iter().min_by_key(|(_, open)| open.since);
            let oldest = oldest.map(|(id, _)| *id)?;
            state.opened.remove(&oldest);
        }
        state.opened.insert(id, open.clone());
        Some(open)
    }

    /// Takes a damaged file out of the folder. Its good chunks count when it is fetched again.
    fn set_aside(&self, id: ContentId) {
        tracing::warn!(%id, "a file is damaged: it is not used until it is fetched or imported again");
        let mut state = self.state();
        state.opened.remove(&id);
        let path = self.folder().path(id);
        if state.fetches.contains_key(&id) {
            remove_file(&path);
        } else if let Err(error) = fs::rename(&path, self.partial_path(id)) {
            tracing::warn!(%id, %error, "a damaged file can not be moved");
        }
    }

    /// Keeps the file from being evicted. It need not be there yet.
    ///
    /// # Errors
    /// When the pin can not be written.
    pub fn pin(&self, id: ContentId) -> Result<(), ContentError> {
        let _state = self.state();
        self.write_whole(&self.pin_path(id), b"", true)
    }

    /// Lets the file be evicted again.
    ///
    /// # Errors
    /// When the pin can not be removed.
    pub fn unpin(&self, id: ContentId) -> Result<(), ContentError> {
        let _state = self.state();
        let path = self.pin_path(id);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(ContentError::io(&path, e)),
            _ => Ok(()),
        }
    }

    /// Removes a file, whole or begun; tells whether there was one.
    ///
    /// # Errors
    /// [`ContentError::Pinned`] and [`ContentError::Busy`] (it is being fetched).
    pub fn remove(&self, id: ContentId) -> Result<bool, ContentError> {
        let mut state = self.state();
        if state.fetches.contains_key(&id) {
            return Err(ContentError::Busy(id));
        }
        if self.pin_path(id).exists() {
            return Err(ContentError::Pinned(id));
        }
        let there = self.contains(id) || self.partial_path(id).exists();
        self.delete(&mut state, id);
        Ok(there)
    }

    fn delete(&self, state: &mut State, id: ContentId) {
        // The outline last: without it a file is hashed again, but an outline alone is of no use.
        remove_file(&self.folder().path(id));
        remove_file(&self.partial_path(id));
        remove_file(&self.outline_path(id));
        state.outlines.remove(id);
        state.used.remove(&id);
        // Its blocks are free only when nobody has it open.
        state.opened.remove(&id);
    }

    /// Everything in the store, in the order of ids.
    pub fn list(&self) -> Vec<Entry> {
        let state = self.state();
        self.scan(&state).unwrap_or_else(|error| {
            tracing::warn!(%error, "the content store can not be listed");
            Vec::new()
        })
    }

    /// How full the store is.
    pub fn usage(&self) -> Usage {
        let state = self.state();
        let entries = self.scan(&state).unwrap_or_else(|error| {
            tracing::warn!(%error, "the content store can not be counted");
            Vec::new()
        });
        self.count(&state, &entries)
    }

    fn count(&self, state: &State, entries: &[Entry]) -> Usage {
        let mut usage = Usage {
            capacity: self.inner.capacity,
            reserved: state.importing,
            ..Usage::default()
        };
        for entry in entries {
            if state.fetches.contains_key(&entry.id) && !entry.complete {
                continue;
            }
            if entry.complete {
                usage.complete += entry.disk_bytes;
            } else {
                usage.partial += entry.disk_bytes;
            }
            if entry.pinned {
                usage.held += entry.disk_bytes;
            }
        }
        usage.reserved += state
            .fetches
            .values()
            .map(|fetching| fetching.size + outline_bytes(fetching.size))
            .sum::<u64>();
        usage.held += usage.reserved;
        usage
    }

    /// Looks at all files.
    fn scan(&self, state: &State) -> Result<Vec<Entry>, ContentError> {
        let pins = self.names("pins")?.into_iter().collect::<HashSet<_>>();
        let used = |id: ContentId, metadata: &fs::Metadata| {
            let on_disk = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let outline = fs::symlink_metadata(self.outline_path(id)).and_then(|m| m.modified());
            let last = outline.map_or(on_disk, |outline| outline.max(on_disk));
            state.used.get(&id).map_or(last, |used| last.max(used.at))
        };
        let mut entries = Vec::new();
        for id in self.folder().list()? {
            let Ok(metadata) = fs::symlink_metadata(self.folder().path(id)) else {
                continue;
            };
            entries.push(Entry {
                id,
                size: metadata.len(),
                disk_bytes: metadata.len() + outline_bytes(metadata.len()),
                pinned: pins.contains(&id),
                complete: true,
                last_used: used(id, &metadata),
            });
        }
        let whole = entries.iter().map(|entry| entry.id).collect::<HashSet<_>>();
        for id in self.names("partial")? {
            let Ok(metadata) = fs::symlink_metadata(self.partial_path(id)) else {
                continue;
            };
            if !whole.contains(&id) {
                entries.push(Entry {
                    id,
                    size: metadata.len(),
                    disk_bytes: metadata.blocks() * 512 + outline_bytes(metadata.len()),
                    pinned: pins.contains(&id),
                    complete: false,
                    last_used: used(id, &metadata),
                });
            }
        }
        entries.sort_unstable_by_key(|entry| entry.id);
        Ok(entries)
    }

    /// Evicts until everything, reservations included, is within the capacity: first what was begun and left, then whole
    /// files, the least recently used first. Removes nothing when that would not be enough.
    fn make_room(&self, state: &mut State, needed: u64) -> Result<(), ContentError> {
        let mut entries = self.scan(state)?;
        let usage = self.count(state, &entries);
        let mut over = usage.total().saturating_sub(usage.capacity);
        if over == 0 {
            return Ok(());
        }
        entries.retain(|entry| !entry.pinned && !state.fetches.contains_key(&entry.id));
        if entries.iter().map(|entry| entry.disk_bytes).sum::<u64>() < over {
            return Err(ContentError::NoRoom {
                needed,
                capacity: usage.capacity,
                held: usage.held.saturating_sub(needed),
            });
        }
        entries.sort_by_key(|entry| (entry.complete, entry.last_used));
        for entry in entries {
            if over == 0 {
                break;
            }
            tracing::info!(id = %entry.id, bytes = entry.disk_bytes, "evicted from the content store");
            self.delete(state, entry.id);
            over = over.saturating_sub(entry.disk_bytes);
        }
        Ok(())
    }

    /// Notes that the file was used just now.
    fn touch(&self, id: ContentId) {
        let now = SystemTime::now();
        let due = {
            let mut state = self.state();
            let used = state.used.entry(id).or_insert(Used {
                at: now,
                written: SystemTime::UNIX_EPOCH,
            });
            used.at = now;
            let due = now
                .duration_since(used.written)
                .map_or(true, |passed| passed >= TOUCH_INTERVAL);
            if due {
                used.written = now;
            }
            due
        };
        if due
            && let Ok((file, _)) = open_regular(&self.outline_path(id), false)
            && let Err(error) = file.set_modified(now)
        {
            tracing::debug!(%id, %error, "the time of use was not written");
        }
    }

    /// The length of the file if it is whole here, hashed before if that was never done.
    pub(crate) fn whole(&self, id: ContentId) -> Option<u64> {
        if !self.contains(id) {
            return None;
        }
        self.outline(id).map(|outline| outline.len_bytes())
    }

    /// The outline of a file that was begun, if it is known.
    pub(crate) fn begun_outline(&self, id: ContentId) -> Option<Outline> {
        let known = self.state().outlines.get(id);
        known.or_else(|| self.kept_outline(id))
    }

    /// # Errors
    /// [`FetchError::Store`] when files of this size are not taken.
    pub(crate) fn check_size(&self, size: u64) -> Result<(), FetchError> {
        let limit = self.folder().max_file_bytes();
        if size > limit {
            return Err(ContentError::TooLarge { size, limit }.into());
        }
        chunk_count(size).map_err(ContentError::from)?;
        Ok(())
    }

    /// Begins to fetch a file, or goes on: makes room, checks what is there, and copies what other files have.
    pub(crate) fn begin(&self, id: ContentId, outline: Outline) -> Result<Begun, ContentError> {
        let size = outline.len_bytes();
        let slot = {
            let mut state = self.state();
            if state.fetches.contains_key(&id) {
                return Err(ContentError::Busy(id));
            }
            if self.contains(id) {
                return Ok(Begun::Complete);
            }
            state.fetches.insert(id, Fetching { size, partial: None });
            Slot {
                store: self.clone(),
                id,
            }
        };
        // Opened before room is made: a file that is evicted for its own next version still gives its chunks.
        let donors = self.donors(id, &outline);
        self.make_room(&mut self.state(), size)?;
        self.write_outline(id, &outline)?;
        self.state().outlines.insert(id, outline.clone());

        let path = self.partial_path(id);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .map_err(|e| ContentError::io(&path, e))?;
        let partial = Arc::new(Partial::open(id, outline, file, path)?);
        for (file, theirs) in donors {
            partial.copy_shared(&file, &theirs);
        }
        self.check_free(&partial)?;
        if let Some(fetching) = self.state().fetches.get_mut(&id) {
            fetching.partial = Some(partial.clone());
        }
        Ok(Begun::Open(Download {
            store: self.clone(),
            partial,
            _slot: slot,
        }))
    }

    /// Whole files that share chunks with this outline.
    fn donors(&self, id: ContentId, outline: &Outline) -> Vec<(File, Outline)> {
        let ids = self.folder().list().unwrap_or_default();
        ids.into_iter()
            .filter(|donor| *donor != id)
            .filter_map(|donor| {
                let theirs = self.outline(donor)?;
                let shares = theirs.values().iter().zip(outline.values()).any(|(a, b)| a == b);
                let (file, _) = shares.then(|| self.folder().open_file(donor).ok()).flatten()?;
                Some((file, theirs))
            })
            .collect()
    }

    /// A disk that is too full is noticed before anything is fetched.
    fn check_free(&self, partial: &Partial) -> Result<(), ContentError> {
        let stat =
            rustix::fs::fstatvfs(partial.file()).map_err(|e| ContentError::io(partial.path(), e.into()))?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        if partial.outline.len_bytes() - partial.bytes() > free {
            return Err(ContentError::DiskFull {
                path: partial.path().into(),
            });
        }
        Ok(())
    }
}

impl Download {
    /// Puts the whole file in its place.
    ///
    /// # Errors
    /// Those of the filesystem; the partial file stays.
    pub fn finish(self) -> Result<(), ContentError> {
        let partial = &self.partial;
        if !partial.is_complete() {
            return Err(ContentError::Missing(partial.id));
        }
        let io = |e| ContentError::io(partial.path(), e);
        partial
            .file()
            .set_permissions(Permissions::from_mode(FILE_MODE))
            .map_err(io)?;
        partial.file().sync_all().map_err(io)?;
        let path = self.store.folder().path(partial.id);
        fs::rename(partial.path(), &path).map_err(|e| ContentError::io(&path, e))?;
        // Should the old name come back after a power cut, opening the store removes it.
        sync_folder(self.store.folder().root())?;
        self.store.touch(partial.id);
        Ok(())
    }
}

/// What an outline takes up on the disk.
fn outline_bytes(len: u64) -> u64 {
    16 + 32 * len.div_ceil(CHUNK as u64)
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("root", &self.folder().root())
            .field("capacity", &self.inner.capacity)
            .finish_non_exhaustive()
    }
}
