//! The messages, and how they are decoded.
//!
//! All of them are SCALE. Each decoder checks the size first, then decodes with a bound on depth and memory, and wants
//! every byte used.

use crate::{MAX_SEALED_BYTES, VERSION, keys::KeyId, refusal::Refusal, tensors::MeshTensors};
use codec::{Decode, DecodeLimit, DecodeWithMemTracking, Encode, MaxEncodedLen, MemTrackingInput};
use llmesh_primitives::{ChannelId, ContentId, SignedVoucher};
use llmesh_proofs::{SignedReceipt, SignedRequest};
use sp_core::{ConstU32, H256, bounded::BoundedVec};
use sp_runtime::AccountId32;

/// Longest peer id in bytes.
pub const MAX_PEER_ID_BYTES: u32 = 64;
/// Most hops of a path.
pub const MAX_HOPS: u32 = 8;
/// Most bytes of a route header.
pub const MAX_HEADER_BYTES: usize = 754;
/// Most bytes of a refusal in clear, with the two bytes in front.
pub const MAX_PLAIN_REFUSAL_BYTES: usize = 256;
/// Most bytes in one [`Progress::Tokens`].
pub const MAX_PROGRESS_BYTES: u32 = 64 * 1024;
/// Highest routing class: 0 urgent, 1 high, 2 normal, 3 background.
pub const MAX_CLASS: u8 = 3;
/// Deepest nesting that a decoder follows.
const MAX_DEPTH: u32 = 8;

/// A libp2p peer id as bytes (a multihash).
pub type PeerIdBytes = BoundedVec<u8, ConstU32<MAX_PEER_ID_BYTES>>;

/// What a sealed request is bound to: in clear for relays, and authenticated by the seal.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen)]
pub struct Aad {
    /// The host's account.
    pub host: AccountId32,
    /// The model file (BLAKE3).
    pub model: ContentId,
    /// The request id.
    pub request: H256,
    /// The price in planck.
    pub price: u128,
}

/// What relays see of a request.
///
/// Only `aad` is authenticated by the seal. What a relay changes of the rest can stop or delay the request, as
/// dropping it would; it can not make it another one.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen)]
pub struct RouteHeader {
    /// [`crate::VERSION`].
    pub version: u8,
    /// The request id, by which nodes recognise a request that they have seen. The same as in `aad`.
    pub request: H256,
    /// Peer id of the host.
    pub host: PeerIdBytes,
    /// The hops that follow the node which receives the header, the host last. Empty when that node is the host, or
    /// when it is to find a path itself.
    pub path: BoundedVec<PeerIdBytes, ConstU32<MAX_HOPS>>,
    /// Which of the host's keys the request is sealed to.
    pub key: KeyId,
    pub aad: Aad,
    /// Milliseconds that are left for the answer; each node takes off what it used.
    pub deadline_ms: u32,
    /// Routing class, at most [`MAX_CLASS`].
    pub class: u8,
    /// How often the request may still be passed on, at most [`MAX_HOPS`].
    pub hops_left: u8,
}

/// What a node does with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is the host.
    Here,
    /// It sends the request to `next`, under `header`. It still has to take its time off the deadline.
    Forward {
        next: PeerIdBytes,
        header: Box<RouteHeader>,
    },
    /// It finds a path to the host itself, and sends the request on with [`RouteHeader::along`].
    Route,
}

impl RouteHeader {
    /// Checks what the encoding does not: version, agreement of the fields, bounds of the numbers.
    ///
    /// # Errors
    /// [`DecodeError::Version`], [`DecodeError::Inconsistent`].
    pub fn check(&self) -> Result<(), DecodeError> {
        if self.version != VERSION {
            return Err(DecodeError::Version(self.version));
        }
        if self.request != self.aad.request {
            return Err(DecodeError::Inconsistent("the header names two requests"));
        }
        if self.host.is_empty() || self.path.iter().any(|hop| hop.is_empty()) {
            return Err(DecodeError::Inconsistent("a peer id in the header is empty"));
        }
        if self.path.last().is_some_and(|last| *last != self.host) {
            return Err(DecodeError::Inconsistent("the path does not end at the host"));
        }
        let twice = |(i, hop)| self.path.iter().take(i).any(|other: &PeerIdBytes| other == hop);
        if self.path.iter().enumerate().any(twice) {
            return Err(DecodeError::Inconsistent("the path visits a node twice"));
        }
        if self.class > MAX_CLASS {
            return Err(DecodeError::Inconsistent("there is no such routing class"));
        }
        if u32::from(self.hops_left) > MAX_HOPS || usize::from(self.hops_left) < self.path.len() {
            return Err(DecodeError::Inconsistent("the number of hops left does not fit"));
        }
        Ok(())
    }

    /// What the node with this peer id does with a request under this header.
    ///
    /// # Errors
    /// As [`RouteHeader::check`], and when the path leads back to the node itself.
    pub fn step(&self, me: &[u8]) -> Result<Step, DecodeError> {
        self.check()?;
        if self.path.iter().any(|hop| hop.as_slice() == me) {
            return Err(DecodeError::Inconsistent("the path leads back to this node"));
        }
        match self.path.first() {
            Some(next) => Ok(Step::Forward {
                next: next.clone(),
                header: Box::new(self.passed_on(self.path.iter().skip(1).cloned().collect())),
            }),
            None if self.host.as_slice() == me => Ok(Step::Here),
            None if self.hops_left == 0 => {
                Err(DecodeError::Inconsistent("the request was passed on too often"))
            }
            None => Ok(Step::Route),
        }
    }

    /// The header for the first hop of `hops`, a path to the host that this node found ([`Step::Route`]).
    ///
    /// # Errors
    /// [`DecodeError::Inconsistent`] when the path is empty, longer than the request may go, or does not end at the
    /// host.
    pub fn along(&self, hops: &[PeerIdBytes]) -> Result<(PeerIdBytes, RouteHeader), DecodeError> {
        match hops.split_first() {
            Some((next, rest)) if hops.len() <= usize::from(self.hops_left) => {
                if hops.last() != Some(&self.host) {
                    return Err(DecodeError::Inconsistent("the path does not end at the host"));
                }
                let header = self.passed_on(rest.to_vec());
                header.check()?;
                Ok((next.clone(), header))
            }
            _ => Err(DecodeError::Inconsistent("the path is empty or too long")),
        }
    }

    fn passed_on(&self, path: Vec<PeerIdBytes>) -> Self {
        Self {
            // Never cuts anything off: callers pass on no more hops than there were or may be.
            path: BoundedVec::truncate_from(path),
            hops_left: self.hops_left.saturating_sub(1),
            ..self.clone()
        }
    }
}

/// A request, as it is sealed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking)]
pub struct Ask {
    pub request: SignedRequest,
    /// The channel that pays.
    pub channel: ChannelId,
    /// What the client pays for the answer, in planck; at most the terms' `max_price`.
    pub price: u128,
    /// Covers all answers on the lane so far, those under way, and this one.
    pub voucher: SignedVoucher,
    pub inputs: MeshTensors,
    /// Whether the client wants [`Progress`] messages.
    pub progress: bool,
}

impl Ask {
    /// What the request is sealed with. Computes the request id.
    pub fn aad(&self) -> Aad {
        let terms = &self.request.terms;
        Aad {
            host: terms.host.clone(),
            model: terms.model,
            request: terms.id(),
            price: self.price,
        }
    }

    /// Whether the parts agree with each other and with what the request was sealed with. Signatures, times, the chain
    /// and the inputs' hash are the host's to check.
    ///
    /// # Errors
    /// [`DecodeError::Inconsistent`].
    pub fn check(&self, aad: &Aad) -> Result<(), DecodeError> {
        if self.aad() != *aad {
            return Err(DecodeError::Inconsistent(
                "the request is not the one that it was sealed as",
            ));
        }
        if self.voucher.voucher.channel != self.channel {
            return Err(DecodeError::Inconsistent(
                "request and voucher name different channels",
            ));
        }
        Ok(())
    }
}

/// How a request ends.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking)]
// An answer is decoded once and taken apart: a box would only add an allocation.
#[allow(clippy::large_enum_variant)]
pub enum Answer {
    /// The result. The probe's hash is in the receipt.
    #[codec(index = 0)]
    Done {
        outputs: MeshTensors,
        receipt: SignedReceipt,
    },
    /// There is none.
    #[codec(index = 1)]
    Refused(Refusal),
}

/// What a host says while it works on a request.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking)]
pub enum Progress {
    /// The request waits behind `position` others, for about `wait_ms`.
    #[codec(index = 0)]
    Queued { position: u32, wait_ms: u32 },
    /// The model runs.
    #[codec(index = 1)]
    Started,
    /// A part of the answer, in order, from models that give it piece by piece.
    #[codec(index = 2)]
    Tokens(BoundedVec<u8, ConstU32<MAX_PROGRESS_BYTES>>),
}

/// One sealed message from the host: any number of the first, then one of the second.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking)]
#[allow(clippy::large_enum_variant)] // as `Answer`
pub enum AnswerMessage {
    #[codec(index = 0)]
    Progress(Progress),
    #[codec(index = 1)]
    Final(Answer),
}

/// Why bytes are not the message that they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More bytes than such a message may have.
    #[error("the message has {size} bytes; {limit} are allowed")]
    TooLarge { size: usize, limit: usize },
    /// Not the encoding of such a message, or more than it.
    #[error("the bytes are not a valid encoding")]
    Malformed,
    /// Another version of the protocol.
    #[error("version {0} of the protocol is not known here")]
    Version(u8),
    /// Its parts contradict each other.
    #[error("{0}")]
    Inconsistent(&'static str),
}

impl From<DecodeError> for Refusal {
    /// What a node answers to a message that it can not decode.
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::TooLarge { limit, .. } => Self::TooLarge {
                limit: limit.try_into().unwrap_or(u32::MAX),
            },
            DecodeError::Version(_) => Self::UnsupportedVersion { supported: VERSION },
            DecodeError::Malformed | DecodeError::Inconsistent(_) => Self::Malformed,
        }
    }
}

/// Decodes a header that fills `bytes`, and [checks](RouteHeader::check) it.
///
/// # Errors
/// What is wrong with it.
pub fn decode_header(bytes: &[u8]) -> Result<RouteHeader, DecodeError> {
    check_version(bytes)?;
    let header: RouteHeader = decode(bytes, MAX_HEADER_BYTES)?;
    header.check()?;
    Ok(header)
}

/// Puts header and sealed request together, as they go over a link: one behind the other.
pub fn encode_forward(header: &RouteHeader, sealed: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(MAX_HEADER_BYTES.saturating_add(sealed.len()));
    header.encode_to(&mut bytes);
    bytes.extend_from_slice(sealed);
    bytes
}

/// The reverse of [`encode_forward`]: the [checked](RouteHeader::check) header and the sealed rest, which is not looked
/// into beyond its size.
///
/// # Errors
/// What is wrong with it.
pub fn decode_forward(bytes: &[u8]) -> Result<(RouteHeader, &[u8]), DecodeError> {
    check_version(bytes)?;
    let limit = MAX_HEADER_BYTES + MAX_SEALED_BYTES;
    if bytes.len() > limit {
        return Err(DecodeError::TooLarge {
            size: bytes.len(),
            limit,
        });
    }
    let (front, _) = bytes.split_at(bytes.len().min(MAX_HEADER_BYTES));
    let mut rest = front;
    let header: RouteHeader = decode_prefix(&mut rest)?;
    header.check()?;
    let used = front.len().saturating_sub(rest.len());
    let sealed = bytes.get(used..).unwrap_or_default();
    if sealed.len() > MAX_SEALED_BYTES {
        return Err(DecodeError::TooLarge {
            size: sealed.len(),
            limit: MAX_SEALED_BYTES,
        });
    }
    Ok((header, sealed))
}

/// Decodes what was inside a sealed request.
///
/// # Errors
/// What is wrong with it.
pub fn decode_ask(bytes: &[u8]) -> Result<Ask, DecodeError> {
    decode(bytes, MAX_SEALED_BYTES)
}

/// Decodes what was inside a sealed message of a host.
///
/// # Errors
/// What is wrong with it.
pub fn decode_answer_message(bytes: &[u8]) -> Result<AnswerMessage, DecodeError> {
    decode(bytes, MAX_SEALED_BYTES)
}

/// Decodes a refusal alone.
///
/// # Errors
/// What is wrong with it.
pub fn decode_refusal(bytes: &[u8]) -> Result<Refusal, DecodeError> {
    decode(bytes, MAX_PLAIN_REFUSAL_BYTES)
}

/// Decodes tensors alone, such as stored ones.
///
/// # Errors
/// What is wrong with them.
pub fn decode_tensors(bytes: &[u8]) -> Result<MeshTensors, DecodeError> {
    decode(bytes, MAX_SEALED_BYTES)
}

fn check_version(bytes: &[u8]) -> Result<(), DecodeError> {
    match bytes.first() {
        Some(&VERSION) => Ok(()),
        Some(&other) => Err(DecodeError::Version(other)),
        None => Err(DecodeError::Malformed),
    }
}

fn decode<T: DecodeWithMemTracking>(mut bytes: &[u8], limit: usize) -> Result<T, DecodeError> {
    if bytes.len() > limit {
        return Err(DecodeError::TooLarge {
            size: bytes.len(),
            limit,
        });
    }
    let value = decode_prefix(&mut bytes)?;
    if bytes.is_empty() {
        Ok(value)
    } else {
        Err(DecodeError::Malformed)
    }
}

fn decode_prefix<T: DecodeWithMemTracking>(bytes: &mut &[u8]) -> Result<T, DecodeError> {
    // Data takes as much memory as it has bytes. The rest is for the lists of tensors and hops around it, which have
    // at most 16 entries.
    let memory = bytes.len().saturating_add(8 * 1024);
    let mut input = MemTrackingInput::new(bytes, memory);
    T::decode_with_depth_limit(MAX_DEPTH, &mut input).map_err(|_| DecodeError::Malformed)
}
