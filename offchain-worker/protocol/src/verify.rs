//! What each end checks of what the other sent, beyond its form.

use crate::{
    refusal::{Refusal, RequestFault},
    tensors::MeshTensors,
    wire::Ask,
};
use llmesh_primitives::WorkOrigin;
use llmesh_proofs::{ReceiptError, SignedReceipt};
use sp_core::H256;
use sp_runtime::AccountId32;

impl Ask {
    /// What a host can check of a request with nothing but its own name and clock: chain, host, expiry, price, inputs,
    /// and the client's signature. Returns the request id.
    ///
    /// What is left to the host: that the id is new, that the client is the channel's signer, that it offers the model
    /// under this version, its price, and the voucher.
    ///
    /// # Errors
    /// What to answer.
    pub fn verify(&self, genesis: H256, host: &AccountId32, now: u64) -> Result<H256, Refusal> {
        let terms = &self.request.terms;
        let bad = |fault| Err(Refusal::BadRequest { fault });
        if terms.genesis != genesis {
            return bad(RequestFault::OtherChain);
        }
        if terms.host != *host {
            return bad(RequestFault::OtherHost);
        }
        if terms.expires_at <= now {
            return Err(Refusal::Expired { now });
        }
        if self.price > terms.max_price {
            return bad(RequestFault::AbovePrice);
        }
        if self.inputs.hash() != terms.input_hash {
            return bad(RequestFault::OtherInput);
        }
        self.request.verify().or_else(|_| bad(RequestFault::BadSignature))
    }

    /// Whether these outputs and this receipt are an answer to this request, on the lane that its voucher is for and
    /// for no more than its price. The receipt may carry the request under another signature of the client's.
    ///
    /// # Errors
    /// Why the client owes nothing for it.
    pub fn check_answer(&self, outputs: &MeshTensors, receipt: &SignedReceipt) -> Result<(), AnswerFault> {
        if receipt.request.terms != self.request.terms {
            return Err(AnswerFault::OtherRequest);
        }
        if receipt.receipt.fee > self.price {
            return Err(AnswerFault::AbovePrice);
        }
        let voucher = &self.voucher.voucher;
        match receipt.receipt.origin {
            WorkOrigin::Request {
                channel, epoch, lane, ..
            } if (channel, epoch, lane) == (voucher.channel, voucher.epoch, voucher.lane) => {}
            _ => return Err(AnswerFault::OtherLane),
        }
        receipt.verify_hashes(self.request.terms.input_hash, outputs.hash())?;
        Ok(receipt.verify()?)
    }
}

/// Why an answer is none to the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerFault {
    /// The receipt is for other terms.
    #[error("the receipt is for another request")]
    OtherRequest,
    /// The receipt is for another channel, epoch or lane than the voucher.
    #[error("the receipt is for another lane")]
    OtherLane,
    /// The fee is above the price that went with the request.
    #[error("the fee is above the price of the request")]
    AbovePrice,
    /// The receipt does not hold.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
}
