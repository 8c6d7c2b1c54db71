//! Memory for chunks that is used again.
//!
//! A fresh allocation of a chunk's size is 65 page faults and as much clearing, which costs about as much as hashing the
//! chunk does. Buffers that come back save both.

use crate::reply;
use bytes::Bytes;
use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, PoisonError},
};

/// Hands out buffers for chunks and answers, and keeps up to [`Self::KEPT`] of them when they are done with. Cheap to clone.
///
/// For those who receive answers as well as for those who send them.
#[derive(Clone, Debug, Default)]
pub struct Buffers {
    free: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Buffers {
    /// Buffers that are kept: 8 MiB.
    pub const KEPT: usize = 32;

    /// A buffer of this length. What is in it is of no meaning.
    pub fn take(&self, len: usize) -> Buffer {
        let bytes = if len > reply::MAX_BYTES {
            vec![0; len]
        } else {
            let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
            free.unwrap_or_else(|| vec![0; reply::MAX_BYTES])
        };
        Buffer {
            bytes,
            len,
            pool: self.clone(),
        }
    }
}

/// A buffer of [`Buffers`], which goes back there when it is dropped.
#[derive(Debug)]
pub struct Buffer {
    /// At least `len`.
    bytes: Vec<u8>,
    len: usize,
    pool: Buffers,
}

impl Buffer {
    /// The buffer as shared bytes, without copying; it goes back when the last of them is dropped.
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.len).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut free = self.pool.free.lock().unwrap_or_else(PoisonError::into_inner);
        if self.bytes.len() == reply::MAX_BYTES && free.len() < Buffers::KEPT {
            free.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back() {
        let buffers = Buffers::default();
        let free = || buffers.free.lock().unwrap().len();
        let mut buffer = buffers.take(10);
        buffer.copy_from_slice(b"0123456789");
        let bytes = buffer.freeze();
        let part = bytes.slice(3..5);
        drop(bytes);
        assert_eq!((&part[..], free()), (&b"34"[..], 0));
        drop(part);
        assert_eq!(free(), 1);
        assert_eq!(buffers.take(reply::MAX_BYTES).len(), reply::MAX_BYTES);
        assert_eq!(free(), 1);
        // Longer ones are served, and not kept.
        assert_eq!(buffers.take(reply::MAX_BYTES + 1).len(), reply::MAX_BYTES + 1);
        assert_eq!(free(), 1);
        drop((0..100).map(|n| buffers.take(n)).collect::<Vec<_>>());
        assert_eq!(free(), Buffers::KEPT);
    }
}
