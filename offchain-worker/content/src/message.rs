//! Requests and answers on the wire.
//!
//! A request is a version byte and a SCALE value, at most [`ContentRequest::MAX_BYTES`]. An answer is one byte, 0 for done
//! or 1 for refused, and then the payload: the raw bytes of a chunk, a SCALE [`OutlinePage`], or a SCALE
//! [`ContentRefusal`]. No answer is longer than [`reply::MAX_BYTES`], so that a link can refuse a longer one unread.

use crate::{CHUNK, ContentId, PeerError};
use bytes::Bytes;
use codec::{Decode, DecodeAll, DecodeWithMemTracking, Encode};

/// The version of these messages.
pub const VERSION: u8 = 1;

/// What a peer is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode, DecodeWithMemTracking)]
pub enum ContentRequest {
    /// A page of a file's outline: up to [`OutlinePage::VALUES`] values from this chunk on.
    #[codec(index = 0)]
    Outline { id: ContentId, from: u32 },
    /// The bytes of one chunk.
    #[codec(index = 1)]
    Chunk { id: ContentId, index: u32 },
}

impl ContentRequest {
    /// The longest encoded request: version, kind, id, number.
    pub const MAX_BYTES: usize = 1 + 1 + 32 + 4;

    /// The file that it is about.
    pub fn id(&self) -> ContentId {
        match self {
            Self::Outline { id, .. } | Self::Chunk { id, .. } => *id,
        }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        (VERSION, self).encode()
    }

    /// # Errors
    /// [`ContentRefusal::Version`] and [`ContentRefusal::Malformed`], to be sent back as they are.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ContentRefusal> {
        if bytes.len() > Self::MAX_BYTES {
            return Err(ContentRefusal::Malformed);
        }
        match bytes.split_first() {
            Some((&VERSION, mut rest)) => Self::decode_all(&mut rest).map_err(|_| ContentRefusal::Malformed),
            Some(_) => Err(ContentRefusal::Version { supported: VERSION }),
            None => Err(ContentRefusal::Malformed),
        }
    }
}

/// Why a request was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, thiserror::Error)]
pub enum ContentRefusal {
    #[codec(index = 0)]
    #[error("the request is malformed")]
    Malformed,
    #[codec(index = 1)]
    #[error("version {supported} of the messages is understood")]
    Version { supported: u8 },
    /// The file is not here.
    #[codec(index = 2)]
    #[error("the content is not here")]
    NotFound,
    /// The file is being fetched here, and this chunk has not arrived yet.
    #[codec(index = 3)]
    #[error("this chunk is not here yet")]
    NotYet,
    /// The file has no such chunk.
    #[codec(index = 4)]
    #[error("the content has no such chunk")]
    OutOfRange,
    /// Too many requests at once: ask for less. For the side that carries the requests; [`crate::Server`] never says it.
    #[codec(index = 5)]
    #[error("busy")]
    Busy,
    /// The answer could not be read from the disk.
    #[codec(index = 6)]
    #[error("the content can not be read")]
    Failed,
}

/// A part of an outline.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking)]
pub struct OutlinePage {
    /// Length of the file in bytes.
    pub len: u64,
    /// The chunk that the first value belongs to.
    pub from: u32,
    /// Chaining values of chunks in order.
    pub values: Vec<[u8; 32]>,
}

impl OutlinePage {
    /// A full page. Its encoding is a little smaller than a chunk.
    pub const VALUES: u32 = 8000;

    /// How many values the page from this chunk on must have, for a file with so many chunks.
    pub(crate) fn values_from(chunks: u32, from: u32) -> u32 {
        chunks.saturating_sub(from).min(Self::VALUES)
    }

    /// # Errors
    /// When these are not the bytes of a page.
    pub fn from_bytes(mut bytes: &[u8]) -> Result<Self, codec::Error> {
        // `decode` never reserves more than the input can fill; the input is bounded here.
        if bytes.len() > CHUNK {
            return Err("an outline page is too long".into());
        }
        Self::decode_all(&mut bytes)
    }
}

/// Answers on the wire.
pub mod reply {
    use super::*;

    const DONE: u8 = 0;
    const REFUSED: u8 = 1;

    /// No answer is longer.
    pub const MAX_BYTES: usize = 1 + CHUNK;

    /// The two parts of an answer, to be written one after the other without copying the payload.
    pub fn parts(answer: Result<Bytes, ContentRefusal>) -> ([u8; 1], Bytes) {
        match answer {
            Ok(payload) => ([DONE], payload),
            Err(refusal) => ([REFUSED], refusal.encode().into()),
        }
    }

    /// An answer in one piece.
    pub fn to_bytes(answer: Result<Bytes, ContentRefusal>) -> Bytes {
        let (head, payload) = parts(answer);
        [&head[..], &payload[..]].concat().into()
    }

    /// Takes an answer apart; the payload is not copied.
    ///
    /// # Errors
    /// [`PeerError::Refused`] with the peer's reason, [`PeerError::Invalid`] for anything that is not an answer.
    pub fn from_bytes(mut bytes: Bytes) -> Result<Bytes, PeerError> {
        if bytes.len() > MAX_BYTES {
            return Err(PeerError::Invalid("the answer is too long"));
        }
        if bytes.is_empty() {
            return Err(PeerError::Invalid("the answer is empty"));
        }
        let head = bytes.split_to(1);
        match head.first() {
            Some(&DONE) => Ok(bytes),
            Some(&REFUSED) => Err(ContentRefusal::decode_all(&mut &bytes[..])
                .map_or(PeerError::Invalid("the refusal is malformed"), PeerError::Refused)),
            _ => Err(PeerError::Invalid("the answer is of an unknown kind")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: ContentId = ContentId([9; 32]);

    #[test]
    fn the_bytes_are_fixed() {
        let request = ContentRequest::Chunk {
            id: ID,
            index: 0x0102,
        };
        let bytes = request.to_bytes();
        assert_eq!(bytes.len(), ContentRequest::MAX_BYTES);
        assert_eq!(bytes[..2], [1, 1]);
        assert_eq!(bytes[2..34], [9; 32]);
        assert_eq!(bytes[34..], [2, 1, 0, 0]);
        assert_eq!(ContentRequest::from_bytes(&bytes), Ok(request));
        let request = ContentRequest::Outline { id: ID, from: 7 };
        assert_eq!(request.to_bytes()[..2], [1, 0]);
        assert_eq!(ContentRequest::from_bytes(&request.to_bytes()), Ok(request));
        assert_eq!(request.id(), ID);
    }

    #[test]
    fn other_versions_and_lengths_are_refused() {
        let mut bytes = ContentRequest::Chunk { id: ID, index: 0 }.to_bytes();
        for cut in 0..bytes.len() {
            assert_eq!(
                ContentRequest::from_bytes(&bytes[..cut]),
                Err(ContentRefusal::Malformed)
            );
        }
        bytes.push(0);
        assert_eq!(ContentRequest::from_bytes(&bytes), Err(ContentRefusal::Malformed));
        bytes.pop();
        bytes[0] = 2;
        assert_eq!(
            ContentRequest::from_bytes(&bytes),
            Err(ContentRefusal::Version { supported: 1 })
        );
    }

    #[test]
    fn a_full_page_fits_an_answer() {
        let page = OutlinePage {
            len: crate::MAX_FILE_BYTES,
            from: 0,
            values: vec![[1; 32]; OutlinePage::VALUES as usize],
        };
        let bytes = page.encode();
        assert!(bytes.len() <= CHUNK);
        assert_eq!(OutlinePage::from_bytes(&bytes).unwrap(), page);
        // A count that the bytes do not fill is refused, without room for it being made first.
        let mut short = (1u64, 0u32).encode();
        codec::Compact(u32::MAX).encode_to(&mut short);
        assert!(OutlinePage::from_bytes(&short).is_err());
    }

    #[test]
    fn answers_come_back() {
        let payload = Bytes::from_static(b"bytes");
        assert_eq!(
            reply::from_bytes(reply::to_bytes(Ok(payload.clone()))),
            Ok(payload)
        );
        for refusal in [
            ContentRefusal::Malformed,
            ContentRefusal::Version { supported: 3 },
            ContentRefusal::NotFound,
            ContentRefusal::NotYet,
            ContentRefusal::OutOfRange,
            ContentRefusal::Busy,
            ContentRefusal::Failed,
        ] {
            assert_eq!(
                reply::from_bytes(reply::to_bytes(Err(refusal))),
                Err(PeerError::Refused(refusal))
            );
        }
        let long = Bytes::from(vec![0; reply::MAX_BYTES + 1]);
        assert!(matches!(reply::from_bytes(long), Err(PeerError::Invalid(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = ContentRequest::from_bytes(&bytes);
            let _ = OutlinePage::from_bytes(&bytes);
            let _ = reply::from_bytes(bytes.into());
        }
    }
}
