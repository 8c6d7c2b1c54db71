//! What each end checks of what the other sent, beyond its form.

use crate::{
    refusal::{Refusal, RequestFault},
    tensors::MeshTensors,
    wire::Ask,
};
use llmesh_proofs::{ReceiptError, SignedReceipt};
use sp_core::H256;
use sp_runtime::AccountId32;

impl Ask {
    /// What a host can check of a request with nothing but its own name and clock: chain, host, lane, expiry, price,
    /// inputs, and the client's signature. Returns the request id.
    ///
    /// What is left to the host: that the id and the number on the lane are new, that the client is the channel's signer, that it offers the model
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
        let (place, voucher) = (&terms.place, &self.voucher.voucher);
        let same = place.channel == self.channel
            && (place.channel, place.epoch, place.lane) == (voucher.channel, voucher.epoch, voucher.lane);
        if !same || place.sequence == 0 {
            return bad(RequestFault::OtherPlace);
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

    /// Whether these outputs and this receipt are an answer to this request, for no more than its price. The receipt may carry the request under another signature of the client's.
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
    /// The fee is above the price that went with the request.
    #[error("the fee is above the price of the request")]
    AbovePrice,
    /// The receipt does not hold.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
}
