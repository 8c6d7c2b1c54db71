//! What verifiers and hosts say to each other, over links of the kind "consensus".

use codec::{Decode, DecodeAll, Encode};
use llmesh_primitives::AuditId;

/// Version of these messages.
pub const VERSION: u8 = 1;
/// A question is not longer than this.
pub const MAX_QUESTION: usize = 32;

/// A verifier's question to the host. Its account is known by its peer id, which the chain has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Question {
    pub version: u8,
    pub audit: AuditId,
    pub want: Want,
}

/// What a verifier wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Want {
    /// The input, from when the committee is drawn.
    Input,
    /// Output and probe, from when the host has published its sketch.
    Preimages,
}

/// The host's answer.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Answer {
    /// SCALE encoding of the inputs.
    Input(Vec<u8>),
    /// SCALE encodings of the outputs and of the probe tensor.
    Preimages {
        outputs: Vec<u8>,
        probe: Option<Vec<u8>>,
    },
    /// Why not.
    No(Refusal),
}

/// Why a host shows nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Refusal {
    /// The question can not be read.
    Malformed,
    /// There is no such audit, or it is another host's.
    NotMine,
    /// Whoever asks has no seat in it.
    NoSeat,
    /// It is not time for that: ask again.
    NotYet,
    /// The host has it no more.
    Gone,
    /// The host is busy: ask again.
    Busy,
}

impl Refusal {
    /// Whether the same question can have another answer later.
    pub const fn is_passing(self) -> bool {
        matches!(self, Self::NotYet | Self::Busy | Self::NoSeat | Self::NotMine)
    }
}

impl Question {
    /// Reads a question; the length is checked first.
    pub fn read(mut bytes: &[u8]) -> Option<Self> {
        if bytes.len() > MAX_QUESTION {
            return None;
        }
        Self::decode_all(&mut bytes).ok().filter(|q| q.version == VERSION)
    }
}

impl Answer {
    /// Reads an answer, whose length the link has bounded.
    pub fn read(mut bytes: &[u8]) -> Option<Self> {
        Self::decode_all(&mut bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn garbage_is_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = Question::read(&bytes);
            let _ = Answer::read(&bytes);
        }

        #[test]
        fn questions_come_through(audit: u64, input: bool) {
            let want = if input { Want::Input } else { Want::Preimages };
            let question = Question { version: VERSION, audit, want };
            prop_assert_eq!(Question::read(&question.encode()), Some(question));
            let later = Question { version: VERSION + 1, ..question };
            prop_assert_eq!(Question::read(&later.encode()), None);
        }
    }
}
