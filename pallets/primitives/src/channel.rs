//! Payment channels: what both ends sign, and what the chain keeps.
//!
//! A channel has one payer and a few **lanes**. A lane is one host with an allocation of its own out of the payer's
//! hold, so that what one host can collect never depends on what others collect. Money moves by **vouchers**: each
//! states the sum owed to the lane's host since the lane began, and replaces the one before. The chain sees a voucher
//! only when its host claims.

use crate::attestation::Work;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use sp_core::{ConstU32, H256, bounded::BoundedVec};
use sp_runtime::{
    AccountId32, MultiSignature,
    traits::{BlakeTwo256, Hash, Verify},
};

/// Most lanes of one channel.
pub const MAX_LANES: u32 = 16;
/// Most claims in one batch.
pub const MAX_CLAIMS: u32 = 128;

/// Identifies a channel. Assigned in order of opening, never reused.
pub type ChannelId = u64;

/// Position of a lane in its channel.
pub type LaneId = u16;

/// The sum that a payer owes to one lane, to be signed by the channel's signer.
///
/// Every field is signed, so that a voucher counts on one chain, in one channel, epoch and lane only. Of two vouchers
/// of a lane the one with the higher nonce counts, and its sum is never lower.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Voucher {
    /// Hash of block 0.
    pub genesis: H256,
    pub channel: ChannelId,
    /// Times that the channel was closed and opened again.
    pub epoch: u32,
    pub lane: LaneId,
    /// Counts the lane's vouchers from 1.
    pub nonce: u64,
    /// Sum owed since the lane began, in planck.
    pub cumulative: u128,
    /// Running hash of the receipts that the payer accepted on this lane, see [`Voucher::accept`]; zero at first.
    pub receipts: H256,
}

impl Voucher {
    /// Domain that keeps a voucher apart from everything else that the same key signs.
    pub const DOMAIN: &'static [u8] = b"llmesh/voucher/v1";

    /// What is signed: BLAKE2b-256 over the domain and the SCALE encoding.
    pub fn payload(&self) -> [u8; 32] {
        BlakeTwo256::hash(&[Self::DOMAIN, self.encode().as_slice()].concat()).0
    }

    /// Whether `signer` signed it.
    pub fn is_signed_by(&self, signature: &MultiSignature, signer: &AccountId32) -> bool {
        signature.verify(self.payload().as_slice(), signer)
    }

    /// The running hash after one more accepted receipt (the hash of the receipt, see
    /// [`crate::Receipt::hash`]).
    pub fn accept(receipts: H256, receipt: H256) -> H256 {
        BlakeTwo256::hash(
            &[
                Self::DOMAIN,
                b"/receipts",
                receipts.as_bytes(),
                receipt.as_bytes(),
            ]
            .concat(),
        )
    }
}

/// A voucher with its signature.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct SignedVoucher {
    pub voucher: Voucher,
    pub signature: MultiSignature,
}

/// A voucher as a host hands it in: without what the chain knows itself.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Claim {
    pub channel: ChannelId,
    pub epoch: u32,
    pub lane: LaneId,
    pub nonce: u64,
    /// In planck.
    pub cumulative: u128,
    pub receipts: H256,
    pub signature: MultiSignature,
    /// Sequence of the last receipt that the lane's claims before this one covered.
    pub covered: u64,
    /// The receipts that this claim adds; the host's own word, which audits hold it to.
    pub work: Work,
}

impl Claim {
    /// The voucher that the signature must be for.
    pub fn voucher(&self, genesis: H256) -> Voucher {
        Voucher {
            genesis,
            channel: self.channel,
            epoch: self.epoch,
            lane: self.lane,
            nonce: self.nonce,
            cumulative: self.cumulative,
            receipts: self.receipts,
        }
    }
}

impl SignedVoucher {
    /// The claim of what the voucher says, with the receipts of `work` besides those up to sequence `covered`.
    pub fn claim(self, covered: u64, work: Work) -> Claim {
        let Self { voucher, signature } = self;
        Claim {
            channel: voucher.channel,
            epoch: voucher.epoch,
            lane: voucher.lane,
            nonce: voucher.nonce,
            cumulative: voucher.cumulative,
            receipts: voucher.receipts,
            signature,
            covered,
            work,
        }
    }
}

/// One host's part of a channel. Amounts are in planck.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Lane<AccountId> {
    pub host: AccountId,
    /// Ever allocated to the lane; what is not paid of it is on hold.
    pub funded: u128,
    /// Paid out so far.
    pub paid: u128,
    /// The highest sum that was claimed. More than `paid` while the lane is short of funds: the rest is paid when the
    /// claim is repeated after a top-up.
    pub claimed: u128,
    /// Nonce of the highest voucher that was claimed; 0 before the first.
    pub nonce: u64,
    /// Sequence of the last receipt that claims covered. A claim adds receipts after it, so that what was committed to
    /// stays as it is.
    pub covered: u64,
    /// Sum of the fees of the receipts that claims covered. Never more is paid.
    pub covered_value: u128,
    /// Whether the host gave up what is not claimed, so that the payer need not wait.
    pub released: bool,
}

/// Where a channel stands.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub enum ChannelState<BlockNumber> {
    Open,
    /// The payer wants the rest back; hosts can claim up to and including this block.
    Closing {
        until: BlockNumber,
    },
}

/// A channel, as storage and the runtime API show it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Channel<AccountId, BlockNumber> {
    pub payer: AccountId,
    /// The key that signs vouchers and requests.
    pub signer: AccountId32,
    pub epoch: u32,
    pub state: ChannelState<BlockNumber>,
    /// Last block in which hosts can claim if the payer does not extend it.
    pub expires_at: BlockNumber,
    pub lanes: BoundedVec<Lane<AccountId>, ConstU32<MAX_LANES>>,
    /// Held from the payer for the record's storage, in planck.
    pub deposit: u128,
}
