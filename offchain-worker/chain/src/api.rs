//! The runtime APIs, typed.

use crate::{AccountId, BlockNumber, ChainError, H256, NodeClient, rpc::decode};
use codec::Encode;
use llmesh_primitives::{
    Channel, ChannelId, Job, JobId, JobResult, LaneId, ModelVersion, ModelVersionId, OfferTerms, Priority,
    SemVer, StakeAccount, Tensors,
    api::{HostStatus, Quote, WorkItem},
    attestation::{AttestationStatus, Audit, AuditId, Batch, BatchId, DutyItem},
};
use sp_runtime::Perbill;

/// A job as this chain shows it.
pub type ChainJob = Job<AccountId, BlockNumber>;
/// Work as this chain shows it.
pub type ChainWork = WorkItem<AccountId, BlockNumber>;
/// A model version as this chain shows it.
pub type ChainModel = ModelVersion<AccountId>;
/// A payment channel as this chain shows it.
pub type ChainChannel = Channel<AccountId, BlockNumber>;
/// An audit as this chain shows it.
pub type ChainAudit = Audit<AccountId, BlockNumber>;
/// A duty in an audit as this chain shows it.
pub type ChainDuty = DutyItem<AccountId, BlockNumber>;
/// A batch of work as this chain shows it.
pub type ChainBatch = Batch<AccountId>;

/// Typed reads on any [`NodeClient`]. All are at the best block; [`ChainApi::work`] and [`ChainApi::host_status`] can
/// be asked for a certain one.
#[async_trait::async_trait]
pub trait ChainApi: NodeClient {
    async fn job(&self, id: JobId) -> Result<Option<ChainJob>, ChainError> {
        decode("a job", &self.call_api("JobsApi_job", id.encode(), None).await?)
    }

    async fn inputs(&self, id: JobId) -> Result<Option<Tensors>, ChainError> {
        decode(
            "a job's inputs",
            &self.call_api("JobsApi_inputs", id.encode(), None).await?,
        )
    }

    async fn results(&self, id: JobId) -> Result<Vec<(AccountId, JobResult)>, ChainError> {
        decode(
            "a job's results",
            &self.call_api("JobsApi_results", id.encode(), None).await?,
        )
    }

    async fn work(
        &self,
        host: AccountId,
        limit: u32,
        at: Option<H256>,
    ) -> Result<Vec<ChainWork>, ChainError> {
        decode(
            "a host's work",
            &self.call_api("JobsApi_work", (host, limit).encode(), at).await?,
        )
    }

    async fn host_status(&self, host: AccountId, at: Option<H256>) -> Result<HostStatus, ChainError> {
        decode(
            "a host's status",
            &self.call_api("JobsApi_host_status", host.encode(), at).await?,
        )
    }

    /// Operators with a worker record, from the one after `after` on.
    async fn hosts(
        &self,
        after: Option<AccountId>,
        limit: u32,
        at: Option<H256>,
    ) -> Result<Vec<(AccountId, HostStatus)>, ChainError> {
        let args = (after, limit).encode();
        decode("hosts", &self.call_api("JobsApi_hosts", args, at).await?)
    }

    /// All operators with a worker record, page by page.
    async fn all_hosts(&self, at: Option<H256>) -> Result<Vec<(AccountId, HostStatus)>, ChainError> {
        const PAGE: u32 = 100;
        let mut all = Vec::<(AccountId, HostStatus)>::new();
        loop {
            let after = all.last().map(|(who, _)| *who);
            let page = self.hosts(after, PAGE, at).await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }

    async fn quote(
        &self,
        model: ModelVersionId,
        priority: Priority,
        min_reputation: Perbill,
    ) -> Result<Option<Quote>, ChainError> {
        let args = (model, priority, min_reputation).encode();
        decode("a quote", &self.call_api("JobsApi_quote", args, None).await?)
    }

    async fn resolve(&self, name: &str, version: Option<SemVer>) -> Result<Option<ChainModel>, ChainError> {
        let args = (name.as_bytes(), version).encode();
        decode(
            "a model",
            &self.call_api("ModelRegistryApi_resolve", args, None).await?,
        )
    }

    async fn model_version(&self, id: ModelVersionId) -> Result<Option<ChainModel>, ChainError> {
        decode(
            "a model",
            &self
                .call_api("ModelRegistryApi_version", id.encode(), None)
                .await?,
        )
    }

    /// One page of the catalogue.
    async fn model_versions(&self, from: ModelVersionId, limit: u32) -> Result<Vec<ChainModel>, ChainError> {
        decode(
            "models",
            &self
                .call_api("ModelRegistryApi_versions", (from, limit).encode(), None)
                .await?,
        )
    }

    /// The whole catalogue, page by page.
    async fn all_model_versions(&self) -> Result<Vec<ChainModel>, ChainError> {
        const PAGE: u32 = 100;
        let mut all = Vec::<ChainModel>::new();
        loop {
            let from = all.last().map_or(0, |m| m.id.saturating_add(1));
            let page = self.model_versions(from, PAGE).await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }

    async fn offers(&self, id: ModelVersionId) -> Result<Vec<(AccountId, OfferTerms)>, ChainError> {
        decode(
            "offers",
            &self
                .call_api("ModelRegistryApi_offers", id.encode(), None)
                .await?,
        )
    }

    async fn operator(&self, who: AccountId) -> Result<Option<StakeAccount>, ChainError> {
        decode(
            "a stake",
            &self.call_api("StakingApi_operator", who.encode(), None).await?,
        )
    }

    async fn pending_rewards(&self, operator: AccountId, staker: AccountId) -> Result<u128, ChainError> {
        decode(
            "rewards",
            &self
                .call_api("StakingApi_pending_rewards", (operator, staker).encode(), None)
                .await?,
        )
    }

    async fn next_validators(&self) -> Result<Vec<AccountId>, ChainError> {
        decode(
            "validators",
            &self
                .call_api("StakingApi_next_validators", Vec::new(), None)
                .await?,
        )
    }

    /// The channel, until it is settled.
    async fn channel(&self, id: ChannelId) -> Result<Option<ChainChannel>, ChainError> {
        decode(
            "a channel",
            &self.call_api("SettlementApi_channel", id.encode(), None).await?,
        )
    }

    /// The payer's channels in order of opening.
    async fn channels_of(&self, payer: AccountId) -> Result<Vec<(ChannelId, ChainChannel)>, ChainError> {
        decode(
            "a payer's channels",
            &self
                .call_api("SettlementApi_channels_of", payer.encode(), None)
                .await?,
        )
    }

    /// One page of the lanes that the host has not released, from channel number `from`.
    async fn lanes_of(
        &self,
        host: AccountId,
        from: ChannelId,
        limit: u32,
    ) -> Result<Vec<(ChannelId, LaneId)>, ChainError> {
        decode(
            "a host's lanes",
            &self
                .call_api("SettlementApi_lanes_of", (host, from, limit).encode(), None)
                .await?,
        )
    }

    /// All lanes that the host has not released, page by page.
    async fn all_lanes_of(&self, host: AccountId) -> Result<Vec<(ChannelId, LaneId)>, ChainError> {
        const PAGE: u32 = 1_000;
        let mut all = Vec::<(ChannelId, LaneId)>::new();
        loop {
            // A host has at most one such lane in a channel.
            let from = all.last().map_or(0, |(channel, _)| channel.saturating_add(1));
            let page = self.lanes_of(host, from, PAGE).await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }

    /// What a host that asks `price` planck per million MACs gets for one result at present, in planck.
    async fn fee(
        &self,
        model: ModelVersionId,
        price: u128,
        priority: Priority,
    ) -> Result<Option<u128>, ChainError> {
        let args = (model, price, priority).encode();
        decode("a fee", &self.call_api("SettlementApi_fee", args, None).await?)
    }

    /// Where Proof of Compute stands, and its periods.
    async fn attestation(&self) -> Result<AttestationStatus<BlockNumber>, ChainError> {
        decode(
            "the state of Proof of Compute",
            &self.call_api("AttestationApi_status", Vec::new(), None).await?,
        )
    }

    /// What the chain waits for from the account in audits, oldest first, at most 256.
    async fn duties(&self, who: AccountId, limit: u32) -> Result<Vec<ChainDuty>, ChainError> {
        decode(
            "duties in audits",
            &self
                .call_api("AttestationApi_duties", (who, limit).encode(), None)
                .await?,
        )
    }

    /// The audit, while its record is kept.
    async fn audit(&self, id: AuditId) -> Result<Option<ChainAudit>, ChainError> {
        decode(
            "an audit",
            &self.call_api("AttestationApi_audit", id.encode(), None).await?,
        )
    }

    /// One page of the audits from number `from`; with `who` only those in which it takes part.
    async fn audits(
        &self,
        from: AuditId,
        limit: u32,
        who: Option<AccountId>,
    ) -> Result<Vec<(AuditId, ChainAudit)>, ChainError> {
        decode(
            "audits",
            &self
                .call_api("AttestationApi_audits", (from, limit, who).encode(), None)
                .await?,
        )
    }

    /// The batch, while it can be audited.
    async fn batch(&self, id: BatchId) -> Result<Option<ChainBatch>, ChainError> {
        decode(
            "a batch of work",
            &self.call_api("AttestationApi_batch", id.encode(), None).await?,
        )
    }
}

impl<T: NodeClient + ?Sized> ChainApi for T {}
