//! The name of a file: the BLAKE3 hash of its bytes.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use std::{fmt, str::FromStr};

/// The BLAKE3 hash of a whole file, as it stands on the chain. Its text form is 64 lower-case hex digits.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen,
)]
pub struct ContentId(pub [u8; 32]);

/// The text is not a content id: 64 hex digits, with or without `0x`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a content id has 64 hex digits")]
pub struct NotAContentId;

impl ContentId {
    /// The id of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The 32 bytes of the hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for ContentId {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentId({self})")
    }
}

impl FromStr for ContentId {
    type Err = NotAContentId;

    fn from_str(text: &str) -> Result<Self, NotAContentId> {
        let digits = text.strip_prefix("0x").unwrap_or(text).as_bytes();
        let mut id = [0; 32];
        if digits.len() != 2 * id.len() {
            return Err(NotAContentId);
        }
        let value = |digit: u8| char::from(digit).to_digit(16).ok_or(NotAContentId);
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            let [high, low] = pair else {
                return Err(NotAContentId);
            };
            *byte = u8::try_from(value(*high)? * 16 + value(*low)?).map_err(|_| NotAContentId)?;
        }
        Ok(Self(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let id = ContentId::of(b"some bytes");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(format!("0x{}", id.to_string().to_uppercase()).parse(), Ok(id));
        for wrong in [
            "",
            "0x",
            "12",
            &"g".repeat(64),
            &"0".repeat(63),
            &"+1".repeat(32),
            &"é".repeat(32),
        ] {
            assert_eq!(wrong.parse::<ContentId>(), Err(NotAContentId), "{wrong}");
        }
    }
}
