//! A file that is being fetched.

use crate::{CHUNK, ContentError, ContentId, Outline, folder::sync_folder};
use rustix::fs::SeekFrom;
use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

/// Which chunks are there.
#[derive(Debug, Default)]
pub(crate) struct Bits {
    words: Vec<u64>,
    count: u32,
}

impl Bits {
    pub fn new(len: u32) -> Self {
        Self {
            words: vec![0; len.div_ceil(64) as usize],
            count: 0,
        }
    }

    pub fn get(&self, index: u32) -> bool {
        self.words
            .get(index as usize / 64)
            .is_some_and(|word| word & (1 << (index % 64)) != 0)
    }

    /// Sets a bit and tells whether it was clear.
    pub fn set(&mut self, index: u32) -> bool {
        let Some(word) = self.words.get_mut(index as usize / 64) else {
            return false;
        };
        let mask = 1 << (index % 64);
        let clear = *word & mask == 0;
        *word |= mask;
        self.count += u32::from(clear);
        clear
    }

    pub fn count(&self) -> u32 {
        self.count
    }
}

/// A file of its full length whose chunks arrive in any order. Only verified chunks are written.
#[derive(Debug)]
pub(crate) struct Partial {
    pub id: ContentId,
    pub outline: Outline,
    pub path: PathBuf,
    file: File,
    have: Mutex<Bits>,
    /// Whether the folder with the file has been synced.
    named: AtomicBool,
}

impl Partial {
    /// Takes over what the file has already: each chunk counts if its right bytes are there.
    pub fn open(id: ContentId, outline: Outline, file: File, path: PathBuf) -> Result<Self, ContentError> {
        file.set_len(outline.len_bytes())
            .map_err(|e| ContentError::io(&path, e))?;
        let partial = Self {
            have: Mutex::new(Bits::new(outline.chunks())),
            named: AtomicBool::new(false),
            id,
            outline,
            path,
            file,
        };
        partial.check(&partial.written());
        Ok(partial)
    }

    fn have(&self) -> MutexGuard<'_, Bits> {
        self.have.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn has(&self, index: u32) -> bool {
        self.have().get(index)
    }

    pub fn missing(&self) -> Vec<u32> {
        let have = self.have();
        (0..self.outline.chunks())
            .filter(|index| !have.get(*index))
            .collect()
    }

    /// Bytes of the chunks that are there.
    pub fn bytes(&self) -> u64 {
        let have = self.have();
        let last = self.outline.chunks().checked_sub(1);
        let short = last
            .filter(|last| have.get(*last))
            .and_then(|last| self.outline.range(last))
            .map_or(0, |(_, len)| CHUNK - len);
        u64::from(have.count()) * CHUNK as u64 - short as u64
    }

    pub fn is_complete(&self) -> bool {
        self.have().count() == self.outline.chunks()
    }

    /// The chunks that the file can have: those not wholly in a hole.
    fn written(&self) -> Vec<u32> {
        let len = self.outline.len_bytes();
        let mut chunks = Vec::new();
        let mut at = 0;
        while at < len {
            let from = match rustix::fs::seek(&self.file, SeekFrom::Data(at)) {
                Ok(from) => from,
                // No data behind this place.
                Err(rustix::io::Errno::NXIO) => break,
                // A filesystem that does not tell: everything can be data.
                Err(_) => at,
            };
            let to = match rustix::fs::seek(&self.file, SeekFrom::Hole(from)) {
                Ok(to) if to > from => to.min(len),
                _ => len,
            };
            let first = (from / CHUNK as u64) as u32;
            let first = chunks.last().map_or(first, |last| first.max(last + 1));
            chunks.extend(first..to.div_ceil(CHUNK as u64) as u32);
            at = to;
        }
        chunks
    }

    /// Reads these chunks on several threads and marks the right ones.
    fn check(&self, chunks: &[u32]) {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut buffer = vec![0; CHUNK];
            while let Some(&index) = chunks.get(next.fetch_add(1, Ordering::Relaxed)) {
                if self.is_right(index, &mut buffer) {
                    self.have().set(index);
                }
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(4));
        std::thread::scope(|scope| {
            for _ in 1..threads.min(chunks.len() / 16) {
                scope.spawn(work);
            }
            work();
        });
    }

    fn is_right(&self, index: u32, buffer: &mut [u8]) -> bool {
        let Some((offset, len)) = self.outline.range(index) else {
            return false;
        };
        let Some(buffer) = buffer.get_mut(..len) else {
            return false;
        };
        self.file.read_exact_at(buffer, offset).is_ok() && self.outline.check_chunk(index, buffer)
    }

    /// The bytes of a chunk that is there.
    pub fn read(&self, index: u32) -> Option<Vec<u8>> {
        let (offset, len) = self.outline.range(index).filter(|_| self.has(index))?;
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, offset).ok()?;
        Some(bytes)
    }

    /// Verifies a chunk and writes it. False, and nothing is written, when it is not the chunk.
    pub fn store(&self, index: u32, bytes: &[u8]) -> Result<bool, ContentError> {
        if !self.outline.check_chunk(index, bytes) {
            return Ok(false);
        }
        let (offset, _) = self.outline.range(index).unwrap_or_default();
        self.file
            .write_all_at(bytes, offset)
            .map_err(|e| ContentError::io(&self.path, e))?;
        self.have().set(index);
        Ok(true)
    }

    /// Copies the chunks that the other file has at the same offset, sharing blocks where the filesystem can. Stops
    /// quietly at the first error: what could not be copied is fetched.
    pub fn copy_shared(&self, donor: &File, theirs: &Outline) {
        let mut buffer = vec![0; CHUNK];
        for index in self.missing() {
            let Some(((offset, len), value)) = self.outline.range(index).zip(self.outline.value(index))
            else {
                return;
            };
            if theirs.value(index) != Some(value) || theirs.range(index) != Some((offset, len)) {
                continue;
            }
            if let Err(error) = copy_range(donor, &self.file, offset, len) {
                tracing::debug!(id = %self.id, %error, "a shared chunk could not be copied");
                return;
            }
            // The donor can be damaged, so the copy is checked and not believed.
            if self.is_right(index, &mut buffer) {
                self.have().set(index);
            }
        }
    }

    /// Makes everything written so far durable, the file's name included.
    pub fn sync(&self) -> Result<(), ContentError> {
        self.file
            .sync_data()
            .map_err(|e| ContentError::io(&self.path, e))?;
        if !self.named.swap(true, Ordering::Relaxed) {
            self.path.parent().map_or(Ok(()), sync_folder)?;
        }
        Ok(())
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Copies a range to the same place in another file.
fn copy_range(from: &File, to: &File, offset: u64, len: usize) -> std::io::Result<()> {
    let (mut source, mut target) = (offset, offset);
    let end = offset + len as u64;
    while source < end {
        let left = usize::try_from(end - source).unwrap_or(len);
        match rustix::fs::copy_file_range(from, Some(&mut source), to, Some(&mut target), left) {
            Ok(0) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            // Not on this filesystem, or not on this kernel: the plain way.
            Err(_) => {
                let mut buffer = vec![0; left];
                from.read_exact_at(&mut buffer, source)?;
                return to.write_all_at(&buffer, source);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits() {
        let mut bits = Bits::new(65);
        assert!(bits.set(64) && bits.set(0) && !bits.set(64));
        assert!(bits.get(64) && !bits.get(63) && !bits.get(1000));
        assert_eq!(bits.count(), 2);
        assert!(!bits.set(128), "out of range");
    }

    fn partial(len: usize, before: impl FnOnce(&File)) -> (Vec<u8>, Partial) {
        let bytes = ContentId([5; 32]).0.repeat(len / 32 + 1)[..len].to_vec();
        let (id, outline) = Outline::of_reader(&bytes[..]).unwrap();
        let file = tempfile::tempfile().unwrap();
        before(&file);
        (bytes, Partial::open(id, outline, file, "x".into()).unwrap())
    }

    #[test]
    fn only_right_chunks_are_taken_over() {
        let content = [5; 3 * CHUNK];
        let (bytes, partial) = partial(40 * CHUNK + 100, |file| {
            // Chunks 2 to 4 right, chunk 7 half written, chunk 9 wrong, and more than the file has at its end.
            file.write_all_at(&content, 2 * CHUNK as u64).unwrap();
            file.write_all_at(&content[..1000], 7 * CHUNK as u64).unwrap();
            file.write_all_at(&[6; CHUNK], 9 * CHUNK as u64).unwrap();
            file.write_all_at(&content, 40 * CHUNK as u64).unwrap();
        });
        let have = (0..41).filter(|index| partial.has(*index)).collect::<Vec<_>>();
        assert_eq!(have, [2, 3, 4, 40]);
        assert_eq!(partial.bytes(), 3 * CHUNK as u64 + 100);
        assert_eq!(partial.read(40).unwrap(), bytes[40 * CHUNK..]);
        assert_eq!(partial.read(7), None);
        for index in partial.missing() {
            let (offset, len) = partial.outline.range(index).unwrap();
            let chunk = &bytes[offset as usize..][..len];
            assert!(!partial.store(index, &chunk[1..]).unwrap());
            assert!(partial.store(index, chunk).unwrap());
        }
        assert!(partial.is_complete());
        assert_eq!(partial.bytes(), bytes.len() as u64);
    }
}
