//! What makes a chunk verifiable by itself.
//!
//! BLAKE3 hashes a binary tree: 1 KiB leaves, parents over pairs, where a left subtree is always complete and at least
//! as large as its right sibling (section 2.1 of the BLAKE3 paper). Aligned pieces of 256 leaves are therefore subtrees,
//! except that a file of a single piece is the whole tree and has no chaining value apart from the root.

use crate::{ContentId, OutlineError};
use blake3::{
    Hasher,
    hazmat::{HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root},
};
use std::{
    io::{self, Read},
    sync::Arc,
};

/// Bytes of a chunk; the last chunk of a file can be shorter.
pub const CHUNK: usize = 1 << 18;

/// No file is longer than 64 GiB: its outline then has 8 MiB.
pub const MAX_FILE_BYTES: u64 = 64 << 30;

pub(crate) type Value = [u8; 32];

/// The length of a file and the chaining values of its chunks. Cheap to clone.
///
/// An outline that was not made from the file itself says nothing until [`Outline::verify`] has accepted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    len: u64,
    /// One per chunk. A file of one chunk has its content id here, an empty one has none.
    values: Arc<[Value]>,
}

/// Number of chunks of a file of this length, if a file can have it.
pub(crate) fn chunk_count(len: u64) -> Result<u32, OutlineError> {
    if len > MAX_FILE_BYTES {
        return Err(OutlineError::TooLong(len));
    }
    u32::try_from(len.div_ceil(CHUNK as u64)).map_err(|_| OutlineError::TooLong(len))
}

/// Reads until the buffer is full or the reader is at its end.
pub(crate) fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

/// Makes an outline from chunks in order.
#[derive(Default)]
pub(crate) struct Builder {
    len: u64,
    values: Vec<Value>,
    /// The first chunk, which is the whole tree if no other follows.
    first: Option<Hasher>,
}

impl Builder {
    /// Takes the next chunk. All but the last must have [`CHUNK`] bytes.
    pub fn push(&mut self, chunk: &[u8]) {
        if chunk.is_empty() {
            return;
        }
        let mut hasher = Hasher::new();
        hasher.set_input_offset(self.len);
        hasher.update(chunk);
        self.values.push(hasher.finalize_non_root());
        self.len += chunk.len() as u64;
        if self.values.len() == 1 {
            self.first = Some(hasher);
        }
    }

    pub fn finish(mut self) -> (ContentId, Outline) {
        let id = match (self.values.as_mut_slice(), &self.first) {
            ([only], Some(first)) => {
                *only = *first.finalize().as_bytes();
                ContentId(*only)
            }
            (values, _) => ContentId(root(values)),
        };
        let outline = Outline {
            len: self.len,
            values: self.values.into(),
        };
        (id, outline)
    }
}

/// The hash of the tree over these subtrees.
fn root(values: &[Value]) -> Value {
    let mut layer = values.to_vec();
    loop {
        match layer.as_slice() {
            [] => return *blake3::hash(b"").as_bytes(),
            [only] => return *only,
            [left, right] => return *merge_subtrees_root(left, right, Mode::Hash).as_bytes(),
            // Pairs from the left, and the odd one out moves up: the same tree as BLAKE3's recursive split.
            _ => {
                layer = layer
                    .chunks(2)
                    .filter_map(|pair| match pair {
                        [left, right] => Some(merge_subtrees_non_root(left, right, Mode::Hash)),
                        [odd] => Some(*odd),
                        _ => None,
                    })
                    .collect();
            }
        }
    }
}

impl Outline {
    /// Reads a file to its end: its content id and its outline.
    ///
    /// # Errors
    /// Those of the reader, and [`io::ErrorKind::FileTooLarge`] beyond [`MAX_FILE_BYTES`].
    pub fn of_reader(mut reader: impl Read) -> io::Result<(ContentId, Self)> {
        let mut builder = Builder::default();
        let mut buffer = vec![0; CHUNK];
        loop {
            let n = fill(&mut reader, &mut buffer)?;
            if builder.len + n as u64 > MAX_FILE_BYTES {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            builder.push(buffer.get(..n).unwrap_or_default());
            if n < CHUNK {
                return Ok(builder.finish());
            }
        }
    }

    /// Puts an outline together from what a peer or a file says; it is not verified yet.
    ///
    /// # Errors
    /// When the number of values does not fit the length, or no file is this long.
    pub fn from_parts(len: u64, values: Vec<[u8; 32]>) -> Result<Self, OutlineError> {
        if chunk_count(len)? as usize != values.len() {
            return Err(OutlineError::Shape {
                len,
                values: values.len(),
            });
        }
        Ok(Self {
            len,
            values: values.into(),
        })
    }

    /// The outline of a file of up to one chunk, which follows from its id and length alone.
    pub fn trivial(id: &ContentId, len: u64) -> Option<Self> {
        match chunk_count(len) {
            Ok(chunks @ 0..=1) => Some(Self {
                len,
                values: vec![id.0; chunks as usize].into(),
            }),
            _ => None,
        }
    }

    /// Checks that this is the outline of the file with this id.
    ///
    /// The length is bound as far as it decides the number of chunks; the exact length of the last chunk shows when that
    /// chunk is checked. Whoever knows the length from elsewhere (the chain says it) compares it as well.
    ///
    /// # Errors
    /// [`OutlineError::WrongId`].
    pub fn verify(&self, id: &ContentId) -> Result<(), OutlineError> {
        if root(&self.values) == id.0 {
            Ok(())
        } else {
            Err(OutlineError::WrongId(*id))
        }
    }

    /// Length of the file in bytes.
    pub fn len_bytes(&self) -> u64 {
        self.len
    }

    /// Number of chunks.
    pub fn chunks(&self) -> u32 {
        // `from_parts` and the builder keep it within 64 GiB / 256 KiB.
        u32::try_from(self.values.len()).unwrap_or(u32::MAX)
    }

    /// Where a chunk is in the file: offset and length in bytes.
    pub fn range(&self, index: u32) -> Option<(u64, usize)> {
        let offset = u64::from(index) * CHUNK as u64;
        let left = self.len.checked_sub(offset).filter(|left| *left > 0)?;
        Some((offset, left.min(CHUNK as u64) as usize))
    }

    /// Whether these are the bytes of the chunk: the right number of them with the right chaining value.
    pub fn check_chunk(&self, index: u32, bytes: &[u8]) -> bool {
        let Some(((offset, len), value)) = self.range(index).zip(self.values.get(index as usize)) else {
            return false;
        };
        if bytes.len() != len {
            return false;
        }
        let mut hasher = Hasher::new();
        if self.values.len() == 1 {
            return hasher.update(bytes).finalize().as_bytes() == value;
        }
        hasher.set_input_offset(offset);
        hasher.update(bytes);
        hasher.finalize_non_root() == *value
    }

    pub(crate) fn value(&self, index: u32) -> Option<&Value> {
        self.values.get(index as usize)
    }

    pub(crate) fn values(&self) -> &[Value] {
        &self.values
    }
}

/// The file that keeps an outline: this, the length (little endian), the values.
const MAGIC: &[u8; 8] = b"LLMOUT\0\x01";

impl Outline {
    pub(crate) fn to_file(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(16 + 32 * self.values.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.len.to_le_bytes());
        bytes.extend(self.values.iter().flatten());
        bytes
    }

    /// Reads what [`Self::to_file`] wrote, if it is whole and belongs to this id.
    pub(crate) fn from_file(bytes: &[u8], id: &ContentId) -> Option<Self> {
        let (len, values) = bytes.strip_prefix(MAGIC)?.split_first_chunk::<8>()?;
        let (values, []) = values.as_chunks::<32>() else {
            return None;
        };
        let outline = Self::from_parts(u64::from_le_bytes(*len), values.to_vec()).ok()?;
        outline.verify(id).ok()?;
        Some(outline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        Hasher::new()
            .update(&seed.to_le_bytes())
            .finalize_xof()
            .fill(&mut bytes);
        bytes
    }

    fn chunk(bytes: &[u8], index: usize) -> &[u8] {
        &bytes[index * CHUNK..bytes.len().min((index + 1) * CHUNK)]
    }

    #[test]
    fn an_outline_merges_to_the_hash_of_the_file() {
        let all = noise(1, 9 * CHUNK + 2000);
        let mut lengths = vec![0, 1, 1023, 1024, 1025, CHUNK - 1];
        for chunks in 1..=9 {
            lengths.extend([0, 1, 1024, 1025].map(|extra| chunks * CHUNK + extra));
        }
        for len in lengths {
            let bytes = &all[..len];
            let (id, outline) = Outline::of_reader(bytes).unwrap();
            assert_eq!(id, ContentId::of(bytes), "{len}");
            assert_eq!(outline.verify(&id), Ok(()), "{len}");
            assert_eq!(outline.len_bytes(), len as u64);
            assert_eq!(outline.chunks() as usize, len.div_ceil(CHUNK));
            for index in 0..outline.chunks() {
                let part = chunk(bytes, index as usize);
                assert_eq!(
                    outline.range(index),
                    Some(((index as usize * CHUNK) as u64, part.len()))
                );
                assert!(outline.check_chunk(index, part), "{len} {index}");
                assert!(!outline.check_chunk(index + 1, part));
                assert!(!outline.check_chunk(index, &part[1..]));
            }
            assert_eq!(outline.range(outline.chunks()), None);
            assert!(!outline.check_chunk(outline.chunks(), b""));
            assert!(!outline.check_chunk(u32::MAX, &all[..CHUNK]));
            assert_eq!(Outline::from_file(&outline.to_file(), &id), Some(outline.clone()));
            if len <= CHUNK {
                assert_eq!(Outline::trivial(&id, len as u64), Some(outline));
            } else {
                assert_eq!(Outline::trivial(&id, len as u64), None);
            }
        }
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        assert_eq!(
            Outline::from_parts(u64::MAX, vec![]),
            Err(OutlineError::TooLong(u64::MAX))
        );
        assert_eq!(chunk_count(MAX_FILE_BYTES), Ok(1 << 18));
        assert!(chunk_count(MAX_FILE_BYTES + 1).is_err());
        assert!(matches!(
            Outline::from_parts(CHUNK as u64, vec![[0; 32]; 2]),
            Err(OutlineError::Shape { .. })
        ));
        let (id, outline) = Outline::of_reader(&noise(2, 2 * CHUNK)[..]).unwrap();
        let whole = outline.to_file();
        for cut in 0..whole.len() {
            assert_eq!(Outline::from_file(&whole[..cut], &id), None, "{cut}");
        }
    }

    #[test]
    fn equal_chunks_at_other_offsets_have_other_values() {
        let part = noise(3, CHUNK);
        let (_, outline) = Outline::of_reader(&[&part[..], &part[..]].concat()[..]).unwrap();
        assert_ne!(outline.value(0), outline.value(1));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// A changed byte of an outline or of a chunk never passes.
        #[test]
        fn a_flipped_bit_is_noticed(seed: u64, len in 1..4 * CHUNK, at: prop::sample::Index, bit in 0..8u32) {
            let mut bytes = noise(seed, len);
            let (id, outline) = Outline::of_reader(&bytes[..]).unwrap();
            let mut values = outline.values().to_vec();
            let value = at.index(values.len());
            values[value][at.index(32)] ^= 1 << bit;
            prop_assert!(Outline::from_parts(len as u64, values).unwrap().verify(&id).is_err());

            let position = at.index(len);
            bytes[position] ^= 1 << bit;
            let index = position / CHUNK;
            prop_assert!(!outline.check_chunk(index as u32, chunk(&bytes, index)));
        }

        #[test]
        fn outline_files_of_any_bytes_are_refused(bytes: Vec<u8>) {
            prop_assert_eq!(Outline::from_file(&bytes, &ContentId([7; 32])), None);
        }
    }
}
