//! What can go wrong.

use crate::lane::BlockNumber;
use llmesh_primitives::ChannelId;
use sp_core::H256;
use std::path::PathBuf;

/// Why a book can not be opened, or something could not be made durable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BookError {
    /// No space is left on the disk. What was to be written is kept in memory and written with the next change.
    #[error("the disk is full, {path} was not written")]
    DiskFull { path: PathBuf },
    /// The file is of another chain.
    #[error("{path} belongs to the chain {remembered:?}, not to {actual:?}")]
    OtherChain {
        path: PathBuf,
        remembered: H256,
        actual: H256,
    },
    /// The file is of another account, or of the other end.
    #[error("{path} belongs to {remembered}, not to {actual}")]
    OtherOwner {
        path: PathBuf,
        remembered: String,
        actual: String,
    },
    /// The database fails for another reason; above all, another process has it open.
    #[error("{path}: {reason}")]
    Database { path: PathBuf, reason: String },
    /// A thread of the book could not be started.
    #[error("no thread for the book: {0}")]
    Thread(String),
    /// The book was closed, or the lane that the change was for is gone: its channel was settled or opened anew.
    #[error("the lane is no longer kept")]
    Gone,
}

/// Why a host does not take a voucher or a request.
///
/// A refusal changes nothing: a voucher that came with it does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VoucherRefusal {
    /// The voucher is for another chain, channel, epoch or lane than the facts.
    #[error("the voucher is for another chain, channel, epoch or lane")]
    OtherLane,
    /// The lane belongs to another host.
    #[error("the lane belongs to another host")]
    OtherHost,
    /// What the caller knows of the chain is older than what the book has seen already.
    #[error("the channel was opened anew since")]
    StaleFacts,
    /// The channel is being closed, or this host released the lane.
    #[error("the channel is not open")]
    NotOpen,
    /// There is too little time left to claim.
    #[error("the channel expires in block {at}")]
    NearExpiry { at: BlockNumber },
    /// The voucher is not signed by the channel's signer.
    #[error("the signature is not of the channel's signer")]
    BadSignature,
    /// The voucher contradicts one that is known: equal nonce with other content, or a sum that falls as the nonce grows.
    #[error("the voucher contradicts one that was given before")]
    Contradiction,
    /// The voucher states more than the lane ever got.
    #[error("the lane has {funded} planck, the voucher says {cumulative}")]
    Underfunded { funded: u128, cumulative: u128 },
    /// The voucher does not cover the request.
    #[error("{served} planck served, a voucher of {needed} planck is needed")]
    Short {
        /// Prices of the lane's requests that were answered.
        served: u128,
        /// Sum of a voucher that would do: served, being worked at, and this request.
        needed: u128,
    },
    /// The voucher is too far above what it is needed for.
    #[error("{served} planck served, a voucher of {needed} planck is needed; this one is too far above")]
    TooFarAhead { served: u128, needed: u128 },
    /// This host would have more to claim than it has at stake. It claims, so that this passes.
    #[error("{unsettled} planck unsettled, the host's stake allows {limit}")]
    OverStake { unsettled: u128, limit: u128 },
    /// The same request is being worked at.
    #[error("the request is being worked at")]
    AtWork,
    /// The same request was answered and paid.
    #[error("the request was answered before")]
    AlreadyServed {
        /// Hash of the receipt.
        receipt: H256,
        /// The receipt's sequence number.
        sequence: u64,
    },
    /// The request's number is taken, passed by, or too far ahead. For [`crate::Payment::renumber`].
    #[error("the request's number is taken, passed by, or too far ahead of {highest}")]
    Number {
        /// The highest number that was used, is at work, or was passed by: the next is free.
        highest: u64,
    },
    /// Too many requests at a time, on this lane or in all.
    #[error("too many requests at a time")]
    Busy,
    /// No room for one more lane.
    #[error("this host keeps as many lanes as it can")]
    TooManyLanes,
    /// The voucher could not be made durable.
    #[error(transparent)]
    Storage(#[from] BookError),
}

impl VoucherRefusal {
    /// What the payer needs to know to find together with the host again: the sum served and the sum needed, in planck.
    /// For [`crate::Payment::refused`].
    pub fn disagreement(&self) -> Option<(u128, u128)> {
        match *self {
            Self::Short { served, needed } | Self::TooFarAhead { served, needed } => Some((served, needed)),
            _ => None,
        }
    }
}

/// Why a payer does not sign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayError {
    /// What the caller knows of the chain is older than what the book has seen already.
    #[error("the channel was opened anew since")]
    StaleFacts,
    /// The channel is being closed, or the host released the lane.
    #[error("channel {0} is not open")]
    NotOpen(ChannelId),
    /// The host would have too little time left to claim.
    #[error("the channel expires in block {at}")]
    NearExpiry { at: BlockNumber },
    /// The lane needs more funds.
    #[error("the lane has {funded} planck, {needed} are needed")]
    Underfunded { funded: u128, needed: u128 },
    /// The request is paid for and not finished.
    #[error("the request is paid for already")]
    Duplicate,
    /// Too many requests at a time on this lane.
    #[error("too many requests at a time on this lane")]
    Busy,
    /// The host kept more money of exchanges that failed than the policy allows.
    #[error("{lost} planck went to exchanges that failed, {allowed} are allowed")]
    LostTooMuch { lost: u128, allowed: u128 },
    /// The host says that it served what was never signed for, or contradicts itself.
    #[error("the host counts {claimed} planck, {signed} were signed")]
    Disagreement { claimed: u128, signed: u128 },
    /// The host says that it is at a number far above those that were given out.
    #[error("the host is at number {highest}, {own} were given out")]
    Numbering { highest: u64, own: u64 },
    /// The voucher could not be made durable.
    #[error(transparent)]
    Storage(#[from] BookError),
}
