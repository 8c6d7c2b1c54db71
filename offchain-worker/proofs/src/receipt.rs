//! What a host delivers with its answer, and how anybody checks it.

use crate::{Place, ProofError, SignedRequest};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use llmesh_primitives::{Receipt, WorkOrigin};
use scale_info::TypeInfo;
use sp_core::H256;
use sp_runtime::{
    AccountId32, MultiSignature,
    traits::{BlakeTwo256, Hash, Verify},
};

/// A receipt with everything that it takes to check it: the host that gave it, the request that it answers, and both
/// signatures.
///
/// Whoever has the inputs and outputs as well can check that they are the ones meant
/// ([`SignedReceipt::verify_data`]). That the answer is *right* is not in a receipt: re-execution shows that.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct SignedReceipt {
    pub receipt: Receipt,
    /// The host's account.
    pub host: AccountId32,
    /// What the host was asked to do.
    pub request: SignedRequest,
    /// The host's signature over [`SignedReceipt::hash`].
    pub signature: MultiSignature,
}

impl SignedReceipt {
    /// Makes a receipt out of its parts; `sign` signs the 32 bytes of [`SignedReceipt::hash`] with the host's key.
    pub fn new(
        receipt: Receipt,
        host: AccountId32,
        request: SignedRequest,
        sign: impl FnOnce(&[u8]) -> MultiSignature,
    ) -> Self {
        let signature = sign(receipt.hash(&host).as_bytes());
        Self {
            receipt,
            host,
            request,
            signature,
        }
    }

    /// The receipt's hash, which the host signs: [`Receipt::hash`] of this host.
    pub fn hash(&self) -> H256 {
        self.receipt.hash(&self.host)
    }

    /// Where the receipt belongs in the tree of a claim that goes on from sequence `covered`: the leaf's index, hash and
    /// value. `None` when it is for a job, or its sequence number is not above `covered` or beyond what a tree holds.
    pub fn leaf(&self, covered: u64) -> Option<(u32, H256, u128)> {
        let WorkOrigin::Request { sequence, .. } = self.receipt.origin else {
            return None;
        };
        let index = sequence.checked_sub(covered)?.checked_sub(1)?;
        Some((u32::try_from(index).ok()?, self.hash(), self.receipt.fee))
    }

    /// Checks all that can be checked with nothing else at hand: both signatures, and that the receipt is for this
    /// request: by its id, lane and number, host, model, input and highest price.
    ///
    /// The cheap comparisons come first, so that garbage costs no signature check.
    ///
    /// # Errors
    /// What does not hold.
    pub fn verify(&self) -> Result<(), ReceiptError> {
        let (receipt, terms) = (&self.receipt, &self.request.terms);
        let WorkOrigin::Request {
            channel,
            epoch,
            lane,
            sequence,
            request,
        } = receipt.origin
        else {
            return Err(ReceiptError::NotARequest);
        };
        let place = Place {
            channel,
            epoch,
            lane,
            sequence,
        };
        if place != terms.place {
            return Err(ReceiptError::OtherPlace);
        }
        if self.host != terms.host {
            return Err(ReceiptError::OtherHost);
        }
        if receipt.model != terms.model {
            return Err(ReceiptError::OtherModel);
        }
        if receipt.input_hash != terms.input_hash {
            return Err(ReceiptError::OtherInput);
        }
        if receipt.fee > terms.max_price {
            return Err(ReceiptError::AbovePrice);
        }
        if request != terms.id() {
            return Err(ReceiptError::OtherRequest);
        }
        self.request.verify().map_err(|_| ReceiptError::ClientSignature)?;
        if self.signature.verify(self.hash().as_bytes(), &self.host) {
            Ok(())
        } else {
            Err(ReceiptError::HostSignature)
        }
    }

    /// As [`SignedReceipt::verify`], and that the request was for the chain whose block 0 has the hash `genesis`.
    ///
    /// # Errors
    /// What does not hold.
    pub fn verify_on(&self, genesis: H256) -> Result<(), ReceiptError> {
        if self.request.terms.genesis != genesis {
            return Err(ReceiptError::OtherChain);
        }
        self.verify()
    }

    /// Whether `inputs` and `outputs` (`Tensors`, or anything with the same SCALE encoding) are the receipt's.
    ///
    /// # Errors
    /// [`ReceiptError::OtherInput`], [`ReceiptError::OtherOutput`].
    pub fn verify_data<I: Encode, O: Encode>(&self, inputs: &I, outputs: &O) -> Result<(), ReceiptError> {
        self.verify_hashes(BlakeTwo256::hash_of(inputs), BlakeTwo256::hash_of(outputs))
    }

    /// As [`SignedReceipt::verify_data`], for a caller that has the hashes.
    ///
    /// # Errors
    /// [`ReceiptError::OtherInput`], [`ReceiptError::OtherOutput`].
    pub fn verify_hashes(&self, inputs: H256, outputs: H256) -> Result<(), ReceiptError> {
        if self.receipt.input_hash != inputs {
            return Err(ReceiptError::OtherInput);
        }
        if self.receipt.output_hash != outputs {
            return Err(ReceiptError::OtherOutput);
        }
        Ok(())
    }

    /// Decodes a receipt that fills `bytes` exactly. Nothing of it is checked.
    ///
    /// # Errors
    /// [`ProofError::Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProofError> {
        crate::decode_bounded(bytes)
    }
}

/// Why a receipt proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiptError {
    /// It is for a job on the chain, which the chain itself vouches for.
    NotARequest,
    /// It names the id of another request than the one that it carries.
    OtherRequest,
    /// The request was paid for on another lane, or has another number there.
    OtherPlace,
    /// The request was for another chain.
    OtherChain,
    /// The request was for another host.
    OtherHost,
    /// The request was for another model.
    OtherModel,
    /// The inputs are not the ones of the request.
    OtherInput,
    /// The outputs are not the ones of the receipt.
    OtherOutput,
    /// The fee is more than the client agreed to.
    AbovePrice,
    /// The client's signature is not over the request.
    ClientSignature,
    /// The host's signature is not over the receipt.
    HostSignature,
}

impl ReceiptError {
    /// The error in words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotARequest => "the receipt is for a job on the chain, not for a request",
            Self::OtherRequest => "the receipt names another request than the one that it carries",
            Self::OtherPlace => "the request is of another lane, or has another number there",
            Self::OtherChain => "the request was for another chain",
            Self::OtherHost => "the request was for another host",
            Self::OtherModel => "the request was for another model",
            Self::OtherInput => "the inputs are not the ones of the request",
            Self::OtherOutput => "the outputs are not the ones of the receipt",
            Self::AbovePrice => "the fee is more than the client agreed to",
            Self::ClientSignature => "the client's signature is not over the request",
            Self::HostSignature => "the host's signature is not over the receipt",
        }
    }
}

impl core::fmt::Display for ReceiptError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl core::error::Error for ReceiptError {}
