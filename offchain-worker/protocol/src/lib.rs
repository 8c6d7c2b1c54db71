//! What is inside and around a sealed request, for workers and for applications of their own.
//!
//! A client fixes the terms of a request ([`llmesh_proofs::RequestTerms`]), signs them, puts them with its inputs and
//! a voucher into an [`Ask`], pads it ([`padding`]) and seals it to the host's key ([`seal::seal`]). In front goes a
//! [`RouteHeader`], which is all that relays see. The host opens it with its [`KeyRing`] ([`seal::open`]), takes each
//! request id once ([`ReplayCache`]), and answers under a key that only it and the client have: any number of
//! [`Progress`] messages, then one [`Answer`] with a receipt, or with a [`Refusal`] that says what to do next.
//!
//! There is no network and no clock in here: bytes in, bytes out, time and randomness as parameters. Sizes are checked
//! before anything is decoded or allocated. The bytes are written down in `docs/protocol.md`, and `tests/vectors` has
//! examples that other implementations can be checked with.

pub mod keys;
pub mod padding;
pub mod refusal;
pub mod replay;
pub mod seal;
pub mod tensors;
pub mod verify;
pub mod wire;

pub use keys::{KeyId, KeyRing};
pub use refusal::{Detail, Refusal, RequestFault, Retry, VoucherFault, VoucherRefused};
pub use replay::{Outcome, ReplayCache};
pub use seal::{AnswerKey, AnswerOpener, AnswerSealer, OpenError, SealError, open, seal};
pub use tensors::{MeshTensor, MeshTensors};
pub use verify::AnswerFault;
pub use wire::{Aad, Answer, AnswerMessage, Ask, DecodeError, PeerIdBytes, Progress, RouteHeader, Step};

/// Version of everything in this crate; the first byte of each message.
pub const VERSION: u8 = 1;

/// The one set of algorithms of this version: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305. The second
/// byte of each sealed message.
pub const SUITE: u8 = 1;

/// Largest sealed request or answer, in bytes, with everything.
pub const MAX_SEALED_BYTES: usize = 16 * 1024 * 1024;

/// Most data in the tensors of one message altogether, in bytes. What is around them needs the rest.
pub const MAX_TOTAL_TENSOR_BYTES: usize = MAX_SEALED_BYTES - 16 * 1024;
