//! Why a request is not answered, and what its sender can do about it.

use crate::{keys::KeyId, wire::PeerIdBytes};
use codec::{Decode, DecodeWithMemTracking, Encode, Input, MaxEncodedLen};
use llmesh_primitives::LaneId;
use sp_core::{ConstU32, bounded::BoundedVec};
use std::fmt;

/// Longest free text in a refusal, in bytes.
pub const MAX_DETAIL_BYTES: u32 = 200;

/// What the sender of a refused request can do next. It is advice: a refusal is no proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same host over the same path, once what the refusal names is put right.
    SamePath,
    /// The same host over another path.
    OtherPath,
    /// Another host (new terms, that host's own lane).
    OtherHost,
    /// This host again after so many milliseconds, or another one at once.
    After(u32),
    /// No host will take this request as it is.
    Never,
}

/// Why a request is not answered.
///
/// The number in front of a refusal's encoding is its [code](Refusal::code); it never changes its meaning. Tens group
/// them: 1x the host has no room, 2x the model, 3x the request, 4x the money, 5x the way there, 9x the host's own.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen)]
pub enum Refusal {
    /// The queue is full, or too long for the deadline; it should be shorter in `wait_ms`.
    #[codec(index = 10)]
    Busy { wait_ms: u32 },
    /// This client has as many requests here as one client may; there should be room in `wait_ms`.
    #[codec(index = 11)]
    QuotaUsed { wait_ms: u32 },
    /// The host is about to stop.
    #[codec(index = 12)]
    ShuttingDown,

    /// The host does not offer the model, or does not have it at hand.
    #[codec(index = 20)]
    ModelNotHere,
    /// The model failed on this input. One other host is worth a try.
    #[codec(index = 21)]
    ModelFailed { detail: Detail },
    /// The inputs are not what the model takes.
    #[codec(index = 22)]
    BadInput { detail: Detail },
    /// The outputs are larger than `limit` bytes.
    #[codec(index = 23)]
    OutputTooLarge { limit: u32 },

    /// The signed terms do not hold for this host.
    #[codec(index = 30)]
    BadRequest { fault: RequestFault },
    /// The terms have expired, or live longer than the host remembers request ids. `now` is the host's time in
    /// milliseconds since the Unix epoch: if it is far off the client's, one of the clocks is wrong.
    #[codec(index = 31)]
    Expired { now: u64 },
    /// The request id was used before, and its answer is gone. A new salt makes a new request.
    #[codec(index = 32)]
    Replayed,
    /// The host is at work on this very request, which came over another path; its answer can be had in `wait_ms`.
    #[codec(index = 33)]
    AtWork { wait_ms: u32 },

    /// The price is below the host's; `required` planck is enough.
    #[codec(index = 40)]
    PriceTooLow { required: u128 },
    /// The voucher is not enough, or does not count.
    #[codec(index = 41)]
    Voucher(VoucherRefused),
    /// The host's view of the chain has no such channel (yet), or no lane of this host in it.
    #[codec(index = 42)]
    ChannelUnknown,
    /// The channel ends with block `last_block`, too soon to claim; the payer can extend it.
    #[codec(index = 43)]
    ChannelExpiring { last_block: u32 },
    /// The payer has asked for the channel's money back.
    #[codec(index = 44)]
    ChannelClosing,
    /// The request's number on the lane was used, has been passed by, or is too far ahead. `highest` is the highest that
    /// counts here: the next one will do.
    #[codec(index = 45)]
    NumberTaken { highest: u64 },

    /// The node can not reach the next hop, `peer`.
    #[codec(index = 50)]
    NextHopUnreachable { peer: PeerIdBytes },
    /// The node does not forward for whoever sent this, or not more.
    #[codec(index = 51)]
    NotForwarding,
    /// The deadline passed, or leaves less than the `needed_ms` that the answer takes.
    #[codec(index = 52)]
    Deadline { needed_ms: u32 },
    /// The message is larger than `limit` bytes.
    #[codec(index = 53)]
    TooLarge { limit: u32 },
    /// The request was sealed to a key that the host does not have (any more). The chain says which one it has;
    /// `current` is there to tell whether it already does.
    #[codec(index = 54)]
    WrongKey { current: KeyId },
    /// The node speaks version `supported` of the protocol.
    #[codec(index = 55)]
    UnsupportedVersion { supported: u8 },
    /// The node can not read or decrypt the message.
    #[codec(index = 56)]
    Malformed,

    /// Something failed in the host that is not the request's fault.
    #[codec(index = 90)]
    Internal,
}

impl Refusal {
    /// The stable number of the reason, which is also the first byte of the encoding.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Busy { .. } => 10,
            Self::QuotaUsed { .. } => 11,
            Self::ShuttingDown => 12,
            Self::ModelNotHere => 20,
            Self::ModelFailed { .. } => 21,
            Self::BadInput { .. } => 22,
            Self::OutputTooLarge { .. } => 23,
            Self::BadRequest { .. } => 30,
            Self::Expired { .. } => 31,
            Self::Replayed => 32,
            Self::AtWork { .. } => 33,
            Self::PriceTooLow { .. } => 40,
            Self::Voucher(_) => 41,
            Self::ChannelUnknown => 42,
            Self::ChannelExpiring { .. } => 43,
            Self::ChannelClosing => 44,
            Self::NumberTaken { .. } => 45,
            Self::NextHopUnreachable { .. } => 50,
            Self::NotForwarding => 51,
            Self::Deadline { .. } => 52,
            Self::TooLarge { .. } => 53,
            Self::WrongKey { .. } => 54,
            Self::UnsupportedVersion { .. } => 55,
            Self::Malformed => 56,
            Self::Internal => 90,
        }
    }

    /// The reason in one word, for logs and metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Busy { .. } => "busy",
            Self::QuotaUsed { .. } => "quota_used",
            Self::ShuttingDown => "shutting_down",
            Self::ModelNotHere => "model_not_here",
            Self::ModelFailed { .. } => "model_failed",
            Self::BadInput { .. } => "bad_input",
            Self::OutputTooLarge { .. } => "output_too_large",
            Self::BadRequest { .. } => "bad_request",
            Self::Expired { .. } => "expired",
            Self::Replayed => "replayed",
            Self::AtWork { .. } => "at_work",
            Self::PriceTooLow { .. } => "price_too_low",
            Self::Voucher(_) => "voucher",
            Self::ChannelUnknown => "channel_unknown",
            Self::ChannelExpiring { .. } => "channel_expiring",
            Self::ChannelClosing => "channel_closing",
            Self::NumberTaken { .. } => "number_taken",
            Self::NextHopUnreachable { .. } => "next_hop_unreachable",
            Self::NotForwarding => "not_forwarding",
            Self::Deadline { .. } => "deadline",
            Self::TooLarge { .. } => "too_large",
            Self::WrongKey { .. } => "wrong_key",
            Self::UnsupportedVersion { .. } => "unsupported_version",
            Self::Malformed => "malformed",
            Self::Internal => "internal",
        }
    }

    /// What the sender can do next. For a refusal that came [in clear](Refusal::may_be_plain) over relays, do no more
    /// than try another path: any of them may have made it up.
    pub const fn retry(&self) -> Retry {
        match self {
            Self::Busy { wait_ms } | Self::QuotaUsed { wait_ms } | Self::AtWork { wait_ms } => {
                Retry::After(*wait_ms)
            }
            // The host learns of a channel with the next blocks.
            Self::ChannelUnknown => Retry::After(6_000),
            Self::PriceTooLow { .. } | Self::WrongKey { .. } | Self::NumberTaken { .. } => Retry::SamePath,
            Self::Voucher(refused) => refused.fault.retry(),
            Self::NextHopUnreachable { .. } | Self::NotForwarding => Retry::OtherPath,
            Self::ShuttingDown
            | Self::ModelNotHere
            | Self::ModelFailed { .. }
            | Self::Deadline { .. }
            | Self::UnsupportedVersion { .. }
            | Self::Malformed
            | Self::Internal => Retry::OtherHost,
            Self::BadRequest { fault } => fault.retry(),
            Self::BadInput { .. }
            | Self::OutputTooLarge { .. }
            | Self::Expired { .. }
            | Self::Replayed
            | Self::ChannelExpiring { .. }
            | Self::ChannelClosing
            | Self::TooLarge { .. } => Retry::Never,
        }
    }

    /// Whether a refusal of this kind counts when it comes in clear: the ones that a relay gives, or a host that can
    /// not open the request. All others are the host's word on what only it has read, and come sealed; otherwise a
    /// relay could make a client pay twice by claiming that the voucher was short.
    pub const fn may_be_plain(&self) -> bool {
        matches!(self.code(), 10..=12 | 50..=56 | 90)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy { wait_ms } => write!(f, "the host is busy; it should have room in {wait_ms} ms"),
            Self::QuotaUsed { wait_ms } => write!(
                f,
                "this client has as many requests at the host as one client may; there should be room in {wait_ms} ms"
            ),
            Self::ShuttingDown => f.write_str("the host is about to stop"),
            Self::ModelNotHere => f.write_str("the host does not have this model at hand"),
            Self::ModelFailed { detail } => write!(f, "the model failed on this input: {detail}"),
            Self::BadInput { detail } => write!(f, "the inputs are not what the model takes: {detail}"),
            Self::OutputTooLarge { limit } => write!(f, "the outputs are larger than {limit} bytes"),
            Self::BadRequest { fault } => write!(f, "the request does not hold: {fault}"),
            Self::Expired { now } => write!(
                f,
                "the request has expired or lives too long; the host's clock says {now} ms since 1970"
            ),
            Self::Replayed => f.write_str("the request id was used before and its answer is gone"),
            Self::AtWork { wait_ms } => {
                write!(
                    f,
                    "the host is at work on this request; it should be done in {wait_ms} ms"
                )
            }
            Self::PriceTooLow { required } => {
                write!(f, "the price is too low: the host asks for {required} planck")
            }
            Self::Voucher(refused) => refused.fmt(f),
            Self::ChannelUnknown => f.write_str("the host knows no such channel with a lane of its own"),
            Self::ChannelExpiring { last_block } => {
                write!(f, "the channel ends too soon, with block {last_block}: extend it")
            }
            Self::ChannelClosing => f.write_str("the channel is being closed"),
            Self::NumberTaken { highest } => write!(
                f,
                "the request's number on the lane does not go on from {highest}, the highest that the host has"
            ),
            Self::NextHopUnreachable { .. } => f.write_str("a node on the path can not reach the next one"),
            Self::NotForwarding => f.write_str("a node on the path does not forward this"),
            Self::Deadline { needed_ms: 0 } => f.write_str("the deadline passed"),
            Self::Deadline { needed_ms } => {
                write!(
                    f,
                    "the deadline is too short: the answer takes about {needed_ms} ms"
                )
            }
            Self::TooLarge { limit } => write!(f, "the message is larger than {limit} bytes"),
            Self::WrongKey { current } => write!(
                f,
                "the request is sealed to a key that the host no longer has; it has {current} now"
            ),
            Self::UnsupportedVersion { supported } => {
                write!(f, "the node speaks version {supported} of the protocol")
            }
            Self::Malformed => f.write_str("the node can not read or decrypt the message"),
            Self::Internal => f.write_str("the host failed for a reason of its own"),
        }
    }
}

impl std::error::Error for Refusal {}

/// What is wrong with signed terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen)]
pub enum RequestFault {
    /// They are for another chain.
    OtherChain,
    /// They are for another host.
    OtherHost,
    /// The client's signature is not over them.
    BadSignature,
    /// The client is not the signer of the channel.
    NotTheSigner,
    /// The model's content is not the one of the version that they name.
    OtherModel,
    /// The inputs are not the ones that they name.
    OtherInput,
    /// The price is above their highest.
    AbovePrice,
    /// They are for another channel, epoch or lane than the voucher, or their number there is 0.
    OtherPlace,
}

impl RequestFault {
    const fn retry(self) -> Retry {
        match self {
            // The path led to a host that was not meant.
            Self::OtherHost => Retry::OtherPath,
            _ => Retry::Never,
        }
    }
}

impl fmt::Display for RequestFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherChain => "it is for another chain",
            Self::OtherHost => "it is for another host",
            Self::BadSignature => "its signature is not over its terms",
            Self::NotTheSigner => "its client is not the channel's signer",
            Self::OtherModel => "the model is not the one of the version that it names",
            Self::OtherInput => "the inputs are not the ones that it names",
            Self::AbovePrice => "the price is above its own highest",
            Self::OtherPlace => "it is for another lane than its voucher, or has no number there",
        })
    }
}

/// What is wrong with a voucher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen)]
pub enum VoucherFault {
    /// Its sum does not cover this request: see `needed`.
    TooLittle,
    /// Its sum is too far above what is needed: see `needed`.
    TooFarAhead,
    /// It is for another chain or channel than the request.
    OtherChannel,
    /// The channel was closed and opened again since: see `epoch`.
    OtherEpoch,
    /// The lane is not this host's: see `lane`.
    OtherLane,
    /// The host holds a voucher with a higher nonce: see `nonce`.
    OldNonce,
    /// The host holds a voucher with the same nonce and another sum, or a higher sum under a lower nonce.
    Conflict,
    /// The signature is not the channel signer's.
    BadSignature,
    /// Its sum is above what the lane was funded with; the payer can top it up.
    AboveFunds,
    /// The host has as much unsettled value as its stake allows; it claims soon.
    AboveStake,
}

impl VoucherFault {
    const fn retry(self) -> Retry {
        match self {
            Self::TooLittle
            | Self::TooFarAhead
            | Self::OtherEpoch
            | Self::OtherLane
            | Self::OldNonce
            | Self::Conflict => Retry::SamePath,
            // A few blocks, in which the host can claim.
            Self::AboveStake => Retry::After(12_000),
            Self::AboveFunds => Retry::OtherHost,
            Self::OtherChannel | Self::BadSignature => Retry::Never,
        }
    }
}

/// A voucher was refused; the host's books on the lane, so that a payer whose own books are behind can mend them.
///
/// A payer takes this as a hint. It never signs more than what its own books say it accepted, has under way and now
/// asks for: a host that wants more than that is in error, and the payer goes to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen)]
pub struct VoucherRefused {
    pub fault: VoucherFault,
    /// The channel's epoch by the host's view of the chain.
    pub epoch: u32,
    /// The host's lane in the channel.
    pub lane: LaneId,
    /// Highest nonce that the host holds; 0 for none.
    pub nonce: u64,
    /// Highest sum that the host holds a voucher for, in planck.
    pub signed: u128,
    /// Sum of the prices of the requests that the host answered, in planck.
    pub served: u128,
    /// Lowest sum with which a voucher covers this request, in planck.
    pub needed: u128,
}

impl fmt::Display for VoucherRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            epoch,
            lane,
            nonce,
            signed,
            served,
            needed,
            ..
        } = self;
        match self.fault {
            VoucherFault::TooLittle => write!(
                f,
                "the voucher does not cover the request: {needed} planck are needed, {signed} are signed, {served} are \
                 used up"
            ),
            VoucherFault::TooFarAhead => write!(
                f,
                "the voucher is too far above the {needed} planck that are needed; {served} are used up"
            ),
            VoucherFault::OtherChannel => f.write_str("the voucher is for another channel"),
            VoucherFault::OtherEpoch => write!(f, "the voucher is not for the channel's epoch {epoch}"),
            VoucherFault::OtherLane => {
                write!(f, "the voucher is not for the host's lane, which is lane {lane}")
            }
            VoucherFault::OldNonce => {
                write!(f, "the voucher is old: the host holds one with nonce {nonce}")
            }
            VoucherFault::Conflict => write!(
                f,
                "the voucher contradicts the one with nonce {nonce} over {signed} planck that the host holds"
            ),
            VoucherFault::BadSignature => f.write_str("the voucher is not signed by the channel's signer"),
            VoucherFault::AboveFunds => f.write_str("the voucher is above what the lane was funded with"),
            VoucherFault::AboveStake => {
                f.write_str("the host has as much unsettled value as its stake allows")
            }
        }
    }
}

/// Free text of a refusal: UTF-8 without control characters, at most [`MAX_DETAIL_BYTES`]. Whoever shows it can print
/// it as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, DecodeWithMemTracking, MaxEncodedLen)]
pub struct Detail(BoundedVec<u8, ConstU32<MAX_DETAIL_BYTES>>);

impl Detail {
    /// Takes as much of `text` as fits, with spaces for control characters.
    pub fn new(text: &str) -> Self {
        let mut taken = String::new();
        for c in text.chars() {
            let c = if forbidden(c) { ' ' } else { c };
            if taken.len() + c.len_utf8() > MAX_DETAIL_BYTES as usize {
                break;
            }
            taken.push(c);
        }
        Self(BoundedVec::truncate_from(taken.into_bytes()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Control characters, and those that change the direction of the text around them.
fn forbidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl Decode for Detail {
    fn decode<I: Input>(input: &mut I) -> Result<Self, codec::Error> {
        let bytes: BoundedVec<u8, ConstU32<MAX_DETAIL_BYTES>> = Decode::decode(input)?;
        match std::str::from_utf8(&bytes) {
            Ok(text) if !text.contains(forbidden) => Ok(Self(bytes)),
            _ => Err("the text of a refusal is not plain UTF-8".into()),
        }
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
