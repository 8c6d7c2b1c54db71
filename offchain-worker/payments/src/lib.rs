//! Both ends of payment channels: what a payer signs, what a host keeps.
//!
//! A payer and a host agree on money by vouchers ([`llmesh_primitives::channel`]): each states the sum owed on one lane
//! since the lane began and replaces the one before. Requests are prepaid one by one.
//!
//! - [`lane`] holds the rules: one pure state machine for either end, integers only, no I/O.
//! - [`PayeeBook`] is the host's end of all its lanes, [`PayerBook`] the payer's. They put the rules behind a lock and
//!   their results on disk (redb): **nothing is answered before it is synced**. Whatever arrives while the disk is busy
//!   shares the next sync (group commit), so throughput does not hang on the disk's latency.
//!
//! # What holds
//! For a lane, with `claimed <= served`, `served + reserved <= signed` at the host, and `accepted <= served` if both are
//! honest:
//! - *A host never works without money.* A request runs after its voucher is verified and synced, and only if
//!   `signed - served - reserved` covers its price. A client that never signs again takes nothing back.
//! - *A host claims no more than it served*, whatever it was given. Money of a request that was not answered stays with
//!   the lane as credit for the next one.
//! - *What a host can not claim of what it served is bounded.* The chain takes a voucher as a whole, so a sum between two
//!   vouchers can not be claimed. A host keeps up to 64 vouchers of a lane for this reason and bounds how far a client may
//!   sign ahead ([`lane::PayeePolicy::max_ahead`]); a payer sends the lowest voucher that does, not the highest.
//! - *A payer never signs more than the answers it accepted, plus the price of each exchange that is open or failed*,
//!   each once. How much of the failed part it lets a host keep is bounded ([`lane::PayerPolicy`]).
//! - *A voucher that was handed out is never contradicted*: one nonce, one sum, also after a crash at any point.
//! - *One number, one answer.* The payer numbers the requests of a lane; a host takes each number once, also after a crash,
//!   and none that a claim went past ([`PayeeBook::close`]): what was claimed is what there is.
//! - *The ends find together again* after any lost message or crash: the host says what it served and at which number it
//!   is, the payer checks that against what it signed and gave out ([`Payment::refused`], [`Payment::renumber`]), and the
//!   next request is admitted.
//!
//! # Durability
//! A commit is one redb transaction with [`redb::Durability::Immediate`] (one `fdatasync`). If a commit fails, what
//! waited for it gets the error, and what it held is written together with the next one; until then nothing that depends
//! on it is answered.
//!
//! Opening a book reads all of it, and after a crash checks the file: do it where blocking is allowed.

mod book;
mod error;
pub mod lane;
mod store;
mod verify;

pub use book::{
    payee::{Admission, Gone, LaneStatus, PayeeBook, PayeeLimits, Served, Totals},
    payer::{PayerBook, PayerLaneStatus, Payment, Written},
};
pub use error::{BookError, PayError, VoucherRefusal};
pub use lane::{
    BlockNumber, ClaimDue, ClaimPolicy, ClaimReason, LaneFacts, LaneKey, Owed, PayeePolicy, PayerPolicy,
};
