//! Model files under their BLAKE3 hash.

use crate::{StoreError, onnx};
use llmesh_primitives::ContentId;
use std::{
    fs::{self, File},
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// Models larger than this are refused unless configured otherwise: ONNX itself ends at 2 GiB.
pub(crate) const DEFAULT_MAX_MODEL_BYTES: u64 = 2 * 1024 * 1024 * 1024 - 1;

const CHUNK: usize = 256 * 1024;

/// A folder of model files, each named by its content id.
///
/// A file is there whole or not at all: it is written under another name, synced, and renamed. Several processes can
/// share the folder.
#[derive(Clone, Debug)]
pub struct ModelStore {
    root: PathBuf,
    max_bytes: u64,
}

/// A model that was imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    pub content_id: ContentId,
    pub size: u64,
    pub path: PathBuf,
    /// Whether the store had it before.
    pub known: bool,
}

/// Removes a half-written file unless it was kept.
struct Partial(Option<PathBuf>);

impl Drop for Partial {
    fn drop(&mut self) {
        if let Some(path) = self.0.take()
            && let Err(error) = fs::remove_file(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "a partial model file stays behind");
        }
    }
}

impl ModelStore {
    /// Opens the store in this folder, which is made when missing.
    ///
    /// # Errors
    /// When the folder can not be made.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root = root.into();
        fs::create_dir_all(&root).map_err(|e| StoreError::io(&root, e))?;
        Ok(Self {
            root,
            max_bytes: DEFAULT_MAX_MODEL_BYTES,
        })
    }

    /// Sets the size of the largest model that is accepted.
    #[must_use]
    pub fn with_max_bytes(mut self, max_bytes: u64) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// Where the model's file is, or would be.
    pub fn path(&self, id: ContentId) -> PathBuf {
        let mut name = String::with_capacity(69);
        for byte in id.as_bytes() {
            name.push_str(&format!("{byte:02x}"));
        }
        self.root.join(name + ".onnx")
    }

    /// Whether the model's file is there. Its bytes are checked when it is read.
    pub fn contains(&self, id: ContentId) -> bool {
        self.path(id).is_file()
    }

    /// Copies a model file into the store, checking that it is a whole ONNX model and, if given, that it is the
    /// expected one.
    ///
    /// # Errors
    /// See [`StoreError`]; the store is left as it was.
    pub fn import(&self, source: &Path, expected: Option<ContentId>) -> Result<Imported, StoreError> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);

        let mut file = File::open(source).map_err(|e| StoreError::io(source, e))?;
        let size = file.metadata().map_err(|e| StoreError::io(source, e))?.len();
        self.check_size(source, size)?;
        let summary = onnx::summarise(&mut file).map_err(|e| StoreError::NotOnnx {
            path: source.into(),
            source: e,
        })?;
        tracing::debug!(?summary, source = %source.display(), "ONNX structure checked");

        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let partial = self.root.join(format!(".import-{}-{number}", std::process::id()));
        let mut guard = Partial(Some(partial.clone()));
        let mut target = File::create_new(&partial).map_err(|e| StoreError::io(&partial, e))?;
        let (actual, copied) = self.copy(&mut file, source, &mut target, &partial)?;
        if let Some(expected) = expected
            && expected != actual
        {
            return Err(StoreError::HashMismatch {
                path: source.into(),
                expected,
                actual,
            });
        }
        let path = self.path(actual);
        let known = path.is_file();
        target.sync_all().map_err(|e| StoreError::io(&partial, e))?;
        fs::rename(&partial, &path).map_err(|e| StoreError::io(&path, e))?;
        guard.0 = None;
        File::open(&self.root)
            .and_then(|d| d.sync_all())
            .map_err(|e| StoreError::io(&self.root, e))?;
        Ok(Imported {
            content_id: actual,
            size: copied,
            path,
            known,
        })
    }

    /// The model's bytes, after checking that they hash to its id.
    ///
    /// # Errors
    /// [`StoreError::Missing`] and [`StoreError::HashMismatch`] above all.
    pub fn read(&self, id: ContentId) -> Result<Vec<u8>, StoreError> {
        let path = self.path(id);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(StoreError::Missing(id)),
            Err(e) => return Err(StoreError::io(&path, e)),
        };
        let size = file.metadata().map_err(|e| StoreError::io(&path, e))?.len();
        self.check_size(&path, size)?;
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        file.take(self.max_bytes + 1)
            .read_to_end(&mut bytes)
            .map_err(|e| StoreError::io(&path, e))?;
        let actual = ContentId::from(*blake3::hash(&bytes).as_bytes());
        if actual == id {
            Ok(bytes)
        } else {
            Err(StoreError::HashMismatch {
                path,
                expected: id,
                actual,
            })
        }
    }

    /// The content ids of all models in the store, in order.
    ///
    /// # Errors
    /// When the folder can not be read.
    pub fn list(&self) -> Result<Vec<ContentId>, StoreError> {
        let mut ids = fs::read_dir(&self.root)
            .map_err(|e| StoreError::io(&self.root, e))?
            .filter_map(|entry| {
                let name = entry.ok()?.file_name();
                parse_content_id(name.to_str()?.strip_suffix(".onnx")?)
            })
            .collect::<Vec<_>>();
        ids.sort();
        Ok(ids)
    }

    fn check_size(&self, path: &Path, size: u64) -> Result<(), StoreError> {
        if size > self.max_bytes {
            return Err(StoreError::TooLarge {
                path: path.into(),
                size,
                limit: self.max_bytes,
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
    ) -> Result<(ContentId, u64), StoreError> {
        std::io::Seek::rewind(from).map_err(|e| StoreError::io(from_path, e))?;
        let mut hasher = blake3::Hasher::new();
        let mut chunk = vec![0; CHUNK];
        let mut copied = 0u64;
        loop {
            let n = from.read(&mut chunk).map_err(|e| StoreError::io(from_path, e))?;
            let Some(bytes) = chunk.get(..n).filter(|b| !b.is_empty()) else {
                break;
            };
            copied += n as u64;
            self.check_size(from_path, copied)?;
            hasher.update(bytes);
            to.write_all(bytes).map_err(|e| StoreError::io(to_path, e))?;
        }
        Ok((ContentId::from(*hasher.finalize().as_bytes()), copied))
    }
}

/// Reads a content id from 64 hex digits, with or without `0x`.
pub fn parse_content_id(text: &str) -> Option<ContentId> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    let mut id = [0u8; 32];
    for (i, byte) in id.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some(ContentId::from(id))
}
