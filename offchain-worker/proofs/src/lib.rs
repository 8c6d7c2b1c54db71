//! Requests, receipts, and the proof that the work behind them was done: pure, shared by worker and runtime.
//!
//! - [`RequestTerms`] is what a client orders; its hash is the request id, which the client signs
//!   ([`SignedRequest`]).
//! - [`SignedReceipt`] is what a host delivers with its answer. It carries the signed request, so that it can be
//!   checked without a chain, a network or either of the two ([`SignedReceipt::verify`]).
//! - [`merkle`] commits to any number of receipts and their fees with one hash, built in logarithmic memory, and proves
//!   single ones and what part of the sum they are.
//! - [`sampling`] says which work is audited, [`draw`] who verifies it.
//! - [`sketch`] compares probes by 16 integers, [`audit`] has the verifiers' ballots and how their votes are counted.
//! - With the `std` feature, `json` is the form of a receipt in files.
//!
//! Nothing here allocates more than the input calls for, and nothing panics on any input.

#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used
    )
)]

extern crate alloc;

pub mod audit;
pub mod draw;
#[cfg(feature = "std")]
pub mod json;
pub mod merkle;
mod receipt;
mod request;
pub mod sampling;
pub mod sketch;

pub use audit::Opening;
pub use receipt::{ReceiptError, SignedReceipt};
pub use request::{Place, ProofError, RequestTerms, SignedRequest};

use codec::{DecodeAll, MaxEncodedLen};

/// Decodes a value whose encoding is bounded: the length is checked before anything is decoded, and nothing may be
/// left over.
///
/// # Errors
/// [`ProofError::Malformed`].
pub fn decode_bounded<T: DecodeAll + MaxEncodedLen>(mut bytes: &[u8]) -> Result<T, ProofError> {
    if bytes.len() > T::max_encoded_len() {
        return Err(ProofError::Malformed);
    }
    T::decode_all(&mut bytes).map_err(|_| ProofError::Malformed)
}
