//! Hides the length of what is sealed: each sealed message has the length of one of a few classes.
//!
//! The classes are 512 bytes, then the powers of two and one and a half times them (768, 1024, 1536, 2048, ...) up to
//! [`MAX_SEALED_BYTES`]. They are lengths of the whole sealed message: an observer sees them and nothing else. A message
//! that does not fit the smallest class grows by less than half; over all lengths alike (on a logarithmic scale) it is
//! about a fifth.
//!
//! What is sealed is a little-endian u32 with the message's length, the message, and zeros. A sender may take a larger
//! class than it has to.

use crate::MAX_SEALED_BYTES;

/// The smallest class.
pub const MIN_CLASS: usize = 512;
/// Bytes in front of a padded message.
pub const PREFIX_BYTES: usize = 4;

/// The smallest class of at least `bytes`; `None` when there is none.
pub const fn class_of(bytes: usize) -> Option<usize> {
    if bytes <= MIN_CLASS {
        return Some(MIN_CLASS);
    }
    if bytes > MAX_SEALED_BYTES {
        return None;
    }
    // `bytes` is in (power / 2, power].
    let power = bytes.next_power_of_two();
    let between = power / 4 * 3;
    Some(if bytes <= between { between } else { power })
}

/// Whether sealed messages can have this length.
pub const fn is_class(bytes: usize) -> bool {
    matches!(class_of(bytes), Some(class) if class == bytes)
}

/// The message in padded bytes; `None` when they were not padded like this: too short, a length beyond the end, or
/// something else than zeros behind the message.
pub fn unpad(padded: &[u8]) -> Option<&[u8]> {
    let (prefix, rest) = padded.split_first_chunk::<PREFIX_BYTES>()?;
    let length = usize::try_from(u32::from_le_bytes(*prefix)).ok()?;
    let (message, zeros) = rest.split_at_checked(length)?;
    zeros.iter().all(|byte| *byte == 0).then_some(message)
}
