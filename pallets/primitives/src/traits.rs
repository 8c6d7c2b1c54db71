//! How pallets know each other. Each trait has a `()` implementation for mocks.

use crate::{
    ChannelId, JobId, LaneId, ModelVersion, ModelVersionId, OfferTerms, Receipt, RuntimeClass, Work,
};
use alloc::vec::Vec;
use sp_core::H256;
use sp_runtime::{AccountId32, DispatchError, DispatchResult, Perbill};

/// Who stands behind what with how much. Implemented by the staking pallet.
pub trait StakeProvider<AccountId> {
    /// Active stake behind an operator, own and delegated, in planck. Zero for strangers.
    fn stake_of(operator: &AccountId) -> u128;

    /// Whether the operator is a host in good standing: worker record, host role on, minimum bond.
    fn is_host(operator: &AccountId) -> bool;

    /// Whether the operator is a verifier in good standing.
    fn is_verifier(operator: &AccountId) -> bool;

    /// Takes `fraction` of everything at stake behind the operator, own, delegated and unbonding alike, and gives
    /// `reporter` its share. Returns the sum taken.
    fn slash(operator: &AccountId, fraction: Perbill, reporter: Option<&AccountId>) -> u128;
}

impl<AccountId> StakeProvider<AccountId> for () {
    fn stake_of(_: &AccountId) -> u128 {
        0
    }
    fn is_host(_: &AccountId) -> bool {
        false
    }
    fn is_verifier(_: &AccountId) -> bool {
        false
    }
    fn slash(_: &AccountId, _: Perbill, _: Option<&AccountId>) -> u128 {
        0
    }
}

/// What becomes of revenue that an operator earned. Implemented by the staking pallet, which shares it with delegators.
pub trait RewardSink<AccountId> {
    /// `amount` planck of revenue have just arrived in the operator's free balance.
    ///
    /// # Errors
    /// When the delegators' share can not be moved; the caller must roll the payment back.
    fn on_reward(operator: &AccountId, amount: u128) -> DispatchResult;
}

impl<AccountId> RewardSink<AccountId> for () {
    fn on_reward(_: &AccountId, _: u128) -> DispatchResult {
        Ok(())
    }
}

/// The catalogue of models and offers. Implemented by the model-registry pallet.
pub trait ModelRegistry<AccountId> {
    /// The version, whatever its status.
    fn version(id: ModelVersionId) -> Option<ModelVersion<AccountId>>;

    /// All offers for the version, in no particular order; at most [`Self::max_offers`].
    fn offers(id: ModelVersionId) -> Vec<(AccountId, OfferTerms)>;

    /// Upper bound of the length of [`Self::offers`], for weights.
    fn max_offers() -> u32;

    /// Notes that a job refers to the version, so that it is not removed.
    fn acquire(id: ModelVersionId) -> DispatchResult;

    /// Takes one [`Self::acquire`] back.
    fn release(id: ModelVersionId);

    /// Creates a version with this signature-conforming manifest and `offers` offers by fresh hosts, for benchmarks.
    #[cfg(feature = "runtime-benchmarks")]
    fn bench_publish(owner: &AccountId, manifest: crate::ModelManifest) -> ModelVersionId;

    /// Adds an offer without checking the host, for benchmarks.
    #[cfg(feature = "runtime-benchmarks")]
    fn bench_offer(id: ModelVersionId, host: &AccountId, terms: OfferTerms);
}

/// Reputation as others read it. Implemented by the reputation pallet.
pub trait ReputationProvider<AccountId> {
    /// Expected share of good behaviour, between 0 and 1.
    fn score(who: &AccountId) -> Perbill;
}

impl<AccountId> ReputationProvider<AccountId> for () {
    fn score(_: &AccountId) -> Perbill {
        Perbill::one()
    }
}

/// What can be said of an operator's conduct.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    codec::Encode,
    codec::Decode,
    codec::DecodeWithMemTracking,
    codec::MaxEncodedLen,
    scale_info::TypeInfo,
)]
pub enum Conduct {
    /// An audit found the work good.
    Match,
    /// An audit found the work bad.
    Mismatch,
    /// A deadline passed without a result.
    Timeout,
    /// Data that had to be shown was not.
    Unavailable,
    /// A consensus offence.
    Offence,
}

/// Where conduct is reported. Implemented by the reputation pallet.
pub trait ReputationSink<AccountId> {
    /// Moves the reputation of `who`.
    fn record(who: &AccountId, conduct: Conduct);
}

impl<AccountId> ReputationSink<AccountId> for () {
    fn record(_: &AccountId, _: Conduct) {}
}

/// How a fee was divided, in planck; the parts add up to the fee.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Split {
    pub host: u128,
    pub pool: u128,
    pub treasury: u128,
}

/// Money that waits for a result. Implemented by the settlement pallet.
///
/// Every call moves exactly what it says or fails without effect.
pub trait Escrow<AccountId> {
    /// Fee for one result, in planck: price x complexity x demand x priority factor, rounded up so that it splits
    /// without remainder. `None` on overflow.
    fn fee(model: ModelVersionId, price: u128, complexity: u64, priority: crate::Priority) -> Option<u128>;

    /// Sets `amount` of the free balance of `who` aside.
    fn hold(who: &AccountId, amount: u128) -> DispatchResult;

    /// Gives `amount` back to `who`.
    fn release(who: &AccountId, amount: u128) -> DispatchResult;

    /// Pays `fee` out of what was set aside by `who`: to the host, the verifier pool and the treasury.
    fn pay(who: &AccountId, host: &AccountId, fee: u128) -> Result<Split, DispatchError>;

    /// What is set aside for `who` at present, in planck.
    fn held(who: &AccountId) -> u128;
}

/// Told of every result that jobs records; the Proof-of-Compute pallet audits them.
pub trait ReceiptSink<AccountId> {
    /// `hash` is `receipt.hash(host)`.
    fn on_receipt(job: JobId, host: &AccountId, hash: H256, receipt: &Receipt);
}

impl<AccountId> ReceiptSink<AccountId> for () {
    fn on_receipt(_: JobId, _: &AccountId, _: H256, _: &Receipt) {}
}

/// Told what an audit concluded. Staking, reputation and settlement each do their part.
pub trait VerdictHandler<AccountId> {
    /// The audit of `receipt` by `host` ended with `conduct`.
    fn on_verdict(host: &AccountId, receipt: H256, conduct: Conduct);
}

impl<AccountId> VerdictHandler<AccountId> for () {
    fn on_verdict(_: &AccountId, _: H256, _: Conduct) {}
}

impl<AccountId, A: VerdictHandler<AccountId>, B: VerdictHandler<AccountId>> VerdictHandler<AccountId>
    for (A, B)
{
    fn on_verdict(host: &AccountId, receipt: H256, conduct: Conduct) {
        A::on_verdict(host, receipt, conduct);
        B::on_verdict(host, receipt, conduct);
    }
}

/// A verifier in good standing.
#[derive(
    Clone, Debug, PartialEq, Eq, codec::Encode, codec::Decode, codec::MaxEncodedLen, scale_info::TypeInfo,
)]
pub struct VerifierInfo<AccountId> {
    pub account: AccountId,
    /// Active stake behind it, in planck.
    pub stake: u128,
    /// What its machine can run.
    pub classes: sp_core::bounded::BoundedVec<RuntimeClass, sp_core::ConstU32<4>>,
}

/// Who can verify. Implemented by the staking pallet.
pub trait VerifierSet<AccountId> {
    /// Upper bound of the length of [`Self::verifiers`].
    fn max_verifiers() -> u32;

    /// All verifiers in good standing with a worker record, in no particular order.
    fn verifiers() -> Vec<VerifierInfo<AccountId>>;

    /// Whether the verifier is known to gain from the host's revenue: it is the host, or has staked behind it.
    ///
    /// Only what the verifier itself did counts: by anything that the host can do (stake behind the verifier, copy its
    /// worker record) it could keep verifiers that it fears away. Belonging that is hidden is not found.
    fn has_interest(verifier: &AccountId, host: &AccountId) -> bool;
}

impl<AccountId: PartialEq> VerifierSet<AccountId> for () {
    fn max_verifiers() -> u32 {
        0
    }
    fn verifiers() -> Vec<VerifierInfo<AccountId>> {
        Vec::new()
    }
    fn has_interest(verifier: &AccountId, host: &AccountId) -> bool {
        verifier == host
    }
}

/// Told of every claim on a lane that adds receipts; the Proof-of-Compute pallet audits what is behind it.
pub trait WorkSink<AccountId> {
    /// The host was paid `paid` planck, and committed to the receipts of `work`, which come after sequence `covered` of
    /// the lane. `signer` is the client of the receipts; `receipts` is how many there are at least.
    #[allow(clippy::too_many_arguments, reason = "a lane has three coordinates")]
    fn on_claimed(
        host: &AccountId,
        channel: ChannelId,
        epoch: u32,
        lane: LaneId,
        signer: &AccountId32,
        covered: u64,
        work: &Work,
        receipts: u32,
        paid: u128,
    );
}

impl<AccountId> WorkSink<AccountId> for () {
    fn on_claimed(
        _: &AccountId,
        _: ChannelId,
        _: u32,
        _: LaneId,
        _: &AccountId32,
        _: u64,
        _: &Work,
        _: u32,
        _: u128,
    ) {
    }
}

/// The verifiers' part of all fees. Implemented by the settlement pallet.
pub trait VerifierPool<AccountId> {
    /// What can be paid out of the pool, in planck.
    fn available() -> u128;

    /// Pays up to `amount` planck to `who`, as far as the pool reaches and `who` can take it. Returns what was paid.
    fn pay(who: &AccountId, amount: u128) -> u128;

    /// What the pool got of the host's fees since this was last called, in planck; counts from 0 afterwards.
    fn take_cut(host: &AccountId) -> u128;
}

impl<AccountId> VerifierPool<AccountId> for () {
    fn available() -> u128 {
        0
    }
    fn pay(_: &AccountId, _: u128) -> u128 {
        0
    }
    fn take_cut(_: &AccountId) -> u128 {
        0
    }
}
