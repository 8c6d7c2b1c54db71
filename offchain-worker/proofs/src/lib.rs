//! Requests, receipts and the trees that commit to them: pure, shared by worker and runtime.
//!
//! - [`RequestTerms`] is what a client orders; its hash is the request id, which the client signs
//!   ([`SignedRequest`]).
//! - [`SignedReceipt`] is what a host delivers with its answer. It carries the signed request, so that it can be
//!   checked without a chain, a network or either of the two ([`SignedReceipt::verify`]).
//! - [`merkle`] commits to any number of leaves with one hash, built in logarithmic memory, and proves single
//!   leaves.
//! - With the `std` feature, `json` is the form of a receipt in files.
//!
//! Nothing here allocates more than the input calls for, and nothing panics on any input.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

#[cfg(feature = "std")]
pub mod json;
pub mod merkle;
mod receipt;
mod request;

pub use receipt::{ReceiptError, SignedReceipt};
pub use request::{ProofError, RequestTerms, SignedRequest};

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
