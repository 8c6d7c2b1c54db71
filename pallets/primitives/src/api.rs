//! Runtime APIs: every read that a person or a worker needs, in one call.

use crate::{
    Assignment, Channel, ChannelId, Job, JobId, JobResult, LaneId, ModelVersion, ModelVersionId, OfferTerms,
    Priority, SemVer, StakeAccount, Tensors,
    attestation::{AttestationStatus, Audit, AuditId, Batch, BatchId, DutyItem},
};
use alloc::vec::Vec;
use codec::{Decode, Encode};
use scale_info::TypeInfo;
use sp_runtime::Perbill;

/// Work that a host has to do, with everything it needs for it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct WorkItem<AccountId, BlockNumber> {
    pub job: JobId,
    pub model: ModelVersionId,
    pub assignment: Assignment<AccountId, BlockNumber>,
    pub inputs: Tensors,
}

/// What a host needs to know of itself, and others of it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct HostStatus {
    /// Stake, roles and worker record; `None` for an account that never bonded.
    pub stake: Option<StakeAccount>,
    pub reputation: Perbill,
    /// Deadlines missed in a row.
    pub missed: u32,
    /// Whether draws pass the host over until it calls `jobs.resume`.
    pub suspended: bool,
    /// Jobs that it works on.
    pub in_flight: u32,
    /// Fees of those, in planck.
    pub in_flight_value: u128,
    /// Model versions that it offers.
    pub offers: Vec<(ModelVersionId, OfferTerms)>,
}

/// What a job would cost at present, in planck a result.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct Quote {
    /// Fee with the cheapest live offer; `None` without one.
    pub lowest: Option<u128>,
    /// Fee with the dearest live offer; a `max_fee` of this times the redundancy lets every host take part.
    pub highest: Option<u128>,
    /// Hosts with a live offer and room.
    pub hosts: u32,
}

sp_api::decl_runtime_apis! {
    /// Jobs and the work they make.
    pub trait JobsApi<AccountId, BlockNumber>
    where
        AccountId: codec::Codec,
        BlockNumber: codec::Codec,
    {
        /// The job, while its record is kept.
        fn job(id: JobId) -> Option<Job<AccountId, BlockNumber>>;
        /// The inputs, while the record is kept.
        fn inputs(id: JobId) -> Option<Tensors>;
        /// What was delivered, by host, while the record is kept.
        fn results(id: JobId) -> Vec<(AccountId, JobResult)>;
        /// What the host has to deliver, oldest draw first, at most `limit` items.
        fn work(host: AccountId, limit: u32) -> Vec<WorkItem<AccountId, BlockNumber>>;
        /// What the host needs to know of itself.
        fn host_status(host: AccountId) -> HostStatus;
        /// Operators with a worker record, in the order of their storage keys, from the one after `after` on, at most
        /// `limit` (and at most 100). Unless `limit` is 0, a page is empty only behind the last.
        fn hosts(after: Option<AccountId>, limit: u32) -> Vec<(AccountId, HostStatus)>;
        /// What a job would cost at present.
        fn quote(model: ModelVersionId, priority: Priority, min_reputation: Perbill) -> Option<Quote>;
    }

    /// The catalogue of models.
    pub trait ModelRegistryApi<AccountId>
    where
        AccountId: codec::Codec,
    {
        /// The version of `namespace/name`; without a version the highest that is active.
        fn resolve(name: Vec<u8>, version: Option<SemVer>) -> Option<ModelVersion<AccountId>>;
        /// The version by its number.
        fn version(id: ModelVersionId) -> Option<ModelVersion<AccountId>>;
        /// Versions in order of publication, from number `from`, at most `limit` (and at most 100).
        fn versions(from: ModelVersionId, limit: u32) -> Vec<ModelVersion<AccountId>>;
        /// The version's offers by host.
        fn offers(id: ModelVersionId) -> Vec<(AccountId, OfferTerms)>;
    }

    /// Stake and roles.
    pub trait StakingApi<AccountId>
    where
        AccountId: codec::Codec,
    {
        /// The operator's stake, roles and worker record.
        fn operator(who: AccountId) -> Option<StakeAccount>;
        /// Rewards that `staker` can claim from delegations to `operator`, in planck.
        fn pending_rewards(operator: AccountId, staker: AccountId) -> u128;
        /// The accounts that would validate from the next session on.
        fn next_validators() -> Vec<AccountId>;
    }

    /// Payment channels.
    pub trait SettlementApi<AccountId, BlockNumber>
    where
        AccountId: codec::Codec,
        BlockNumber: codec::Codec,
    {
        /// The channel, until it is settled.
        fn channel(id: ChannelId) -> Option<Channel<AccountId, BlockNumber>>;
        /// The payer's channels in order of opening, at most 100.
        fn channels_of(payer: AccountId) -> Vec<(ChannelId, Channel<AccountId, BlockNumber>)>;
        /// The lanes of the host, from channel number `from`, at most `limit` (and at most 1,000).
        fn lanes_of(host: AccountId, from: ChannelId, limit: u32) -> Vec<(ChannelId, LaneId)>;
        /// Fee for one result at present, in planck: what a host that asks `price` planck per million MACs gets for
        /// this version. `None` when there is no such version or the fee does not fit.
        fn fee(model: ModelVersionId, price: u128, priority: Priority) -> Option<u128>;
    }

    /// Proof of Compute.
    pub trait AttestationApi<AccountId, BlockNumber>
    where
        AccountId: codec::Codec,
        BlockNumber: codec::Codec,
    {
        /// Where the pallet stands, and its periods.
        fn status() -> AttestationStatus<BlockNumber>;
        /// What the chain waits for from the account, oldest audit first, at most `limit` items (and at most 256).
        fn duties(who: AccountId, limit: u32) -> Vec<DutyItem<AccountId, BlockNumber>>;
        /// The audit, while its record is kept.
        fn audit(id: AuditId) -> Option<Audit<AccountId, BlockNumber>>;
        /// Audits in order of their numbers, from `from`, at most `limit` (and at most 100); with `who` only those in
        /// which the account is the host or a member.
        fn audits(from: AuditId, limit: u32, who: Option<AccountId>) -> Vec<(AuditId, Audit<AccountId, BlockNumber>)>;
        /// The batch, while it can be audited.
        fn batch(id: BatchId) -> Option<Batch<AccountId>>;
    }
}
