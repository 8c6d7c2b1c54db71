//! What can go wrong.

use crate::ContentId;
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

/// Why an outline was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutlineError {
    /// The values do not merge to the content id.
    #[error("the outline does not belong to {0}")]
    WrongId(ContentId),
    /// A file of this length has another number of chunks.
    #[error("an outline of {values} values does not fit a file of {len} bytes")]
    Shape { len: u64, values: usize },
    /// No file is this long.
    #[error("{0} bytes are more than a file may have")]
    TooLong(u64),
}

/// Why the store did not do what it was asked for. The store is as it was before, unless stated otherwise.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    /// The filesystem has no room (as opposed to the store's own bound). What a fetch had written stays.
    #[error("the disk is full: {path}")]
    DiskFull { path: PathBuf },
    /// The store's own bound: pinned files, files being fetched and this one are more than the capacity.
    #[error(
        "no room for {needed} bytes: the store may hold {capacity} bytes, and {held} of them can not be freed \
         (pinned, or being fetched)"
    )]
    NoRoom { needed: u64, capacity: u64, held: u64 },
    #[error("another process has the content store {root} open")]
    Locked { root: PathBuf },
    #[error("the content store has no {0}")]
    Missing(ContentId),
    /// The file on disk is not what its name says. It was moved aside; fetching or importing it again mends it.
    #[error("the file of {0} is damaged")]
    Damaged(ContentId),
    #[error("{path} has the content id {actual}, not {expected}")]
    Mismatch {
        path: PathBuf,
        expected: ContentId,
        actual: ContentId,
    },
    #[error("a file of {size} bytes is larger than the limit of {limit} bytes")]
    TooLarge { size: u64, limit: u64 },
    #[error("{0} is not a regular file")]
    NotAFile(PathBuf),
    #[error("{0} is being fetched already")]
    Busy(ContentId),
    #[error("{0} is pinned")]
    Pinned(ContentId),
    #[error(transparent)]
    Outline(#[from] OutlineError),
    /// The work was cut off: the async runtime is shutting down.
    #[error("the work was cut off")]
    Cut,
}

impl ContentError {
    /// Names the file; a full disk gets its own variant.
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path: path.into() },
            _ => Self::Io {
                path: path.into(),
                source,
            },
        }
    }
}

/// Why a fetch ended without the file. What had arrived stays and counts for the next attempt.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error(transparent)]
    Store(#[from] ContentError),
    /// Nobody says that they have it.
    #[error("no peer provides {0}")]
    NoProviders(ContentId),
    /// Peers were asked, none had an outline that belongs to this id and this size.
    #[error("none of {asked} peers has a file {id} of {size} bytes")]
    NoOutline { id: ContentId, size: u64, asked: usize },
    /// All peers were dropped (wrong bytes, not the provider they claimed to be), and there are no others.
    #[error("{id}: no peer is left, {missing} chunks are missing")]
    OutOfPeers { id: ContentId, missing: u32 },
    /// Nothing arrived for too long.
    #[error("{id}: nothing arrived for {} s, {missing} chunks are missing", idle.as_secs())]
    Stalled {
        id: ContentId,
        idle: Duration,
        missing: u32,
    },
    /// The local file hashes to the id, but has another length than the caller was told.
    #[error("{id} has {actual} bytes, not {expected}")]
    Size {
        id: ContentId,
        expected: u64,
        actual: u64,
    },
}
