//! Content-addressed model files: BLAKE3 chunks, verified while they arrive from several peers.
//!
//! # Names
//! A file's [`ContentId`] is the BLAKE3 hash of the whole file, as it stands on the chain. Files are cut into aligned
//! chunks of [`CHUNK`] bytes (256 KiB). 256 KiB is 256 of BLAKE3's own 1 KiB chunks, so every one of ours is a subtree of
//! the hash tree and has a chaining value of its own. The list of these values together with the file's length is the
//! file's [`Outline`]. Merging the values up the tree gives the content id, so an outline from an unknown peer is checked
//! against the id alone, and from then on every chunk is checked by itself, in any order and from any peer.
//!
//! # Parts
//! - [`Store`]: a folder of model files with bounded disk, least-recently-used eviction, pins, and fetches that survive a
//!   cut. [`Folder`] is the same folder for a process that does not hold the store's lock.
//! - [`Server`]: what a peer's request gets.
//! - [`fetch`]: gets a file from several peers at once; where the chunks come from is behind the trait [`Peers`].
//! - [`Buffers`]: memory for answers that is used again, for the side that carries them.
//! - [`ContentRequest`], [`OutlinePage`], [`ContentRefusal`] and [`reply`]: the bytes on the wire.
//!
//! # What is shared between versions of a model
//! A chaining value depends on the chunk's bytes and on its offset in the file. Two versions therefore share the chunks
//! that are equal **at the same offset** (as after training only the last layers, or changing weights in place); an
//! insertion near the start of a file shifts everything behind it and leaves nothing to share. When a fetch begins,
//! chunks that a local file has at the same offset are copied from it instead of being fetched: what is saved is the
//! network. On disk, too, they are shared where the filesystem can share blocks between files (btrfs, XFS, bcachefs,
//! recent ZFS: `copy_file_range` makes a reflink there); elsewhere every version has its own copy. [`Usage`] counts each
//! file in full in both cases, so that the bound on the disk holds either way.
//!
//! # What is known after a cut
//! There is no list of the chunks that have arrived: the partial file itself is the record. Beginning a fetch reads what
//! the partial file has (holes are skipped) and checks every chunk against the outline, so a chunk counts as there exactly
//! when its right bytes are on the disk, whatever happened: a killed process, a power cut, a bad sector. A killed process
//! loses nothing that it had written; a power cut loses at most what was not synced yet
//! ([`FetchOptions::sync_bytes`]).
//!
//! No more than one answer of a peer is at work between the peer and the file: the next one is taken when the last is
//! written. So a cut re-sends at most one arrived chunk a peer. Requests that were still on their way at the cut (at most
//! the peer's window) have not arrived and are asked for again as well.

mod buffers;
mod error;
mod fetch;
mod folder;
mod id;
mod message;
mod outline;
mod partial;
mod peers;
mod schedule;
mod serve;
mod store;

pub use buffers::{Buffer, Buffers};
pub use error::{ContentError, FetchError, OutlineError};
pub use fetch::{FetchOptions, Phase, Progress, fetch};
pub use folder::{Folder, Imported};
pub use id::{ContentId, NotAContentId};
pub use message::{ContentRefusal, ContentRequest, OutlinePage, reply};
pub use outline::{CHUNK, MAX_FILE_BYTES, Outline};
pub use peers::{ContentOffence, PeerError, Peers};
pub use serve::{Served, Server};
pub use store::{Entry, Store, StoreConfig, Usage};
