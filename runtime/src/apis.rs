//! What the node and clients can ask the runtime.

use crate::{
    AccountId, Attestation, Babe, Balance, Block, BlockNumber, Executive, Grandpa, Hash, Header, Historical,
    InherentDataExt, Jobs, MeshStaking, ModelRegistry, Nonce, Reputation, Runtime, RuntimeCall,
    RuntimeGenesisConfig, SessionKeys, Settlement, System, TransactionPayment, UncheckedExtrinsic, VERSION,
    constants::time::PRIMARY_PROBABILITY, genesis_presets, timing::EpochSlots,
};
use alloc::vec::Vec;
use codec::Encode;
use frame_support::{
    genesis_builder_helper::{build_state, get_preset},
    traits::{Get, KeyOwnerProofSystem},
    weights::Weight,
};
use llmesh_primitives::{
    Audit, AuditId, BatchId, Channel, ChannelId, Job, JobId, JobResult, LaneId, ModelVersion, ModelVersionId,
    OfferTerms, Priority, SemVer, StakeAccount, Tensors,
    api::{HostStatus, Quote, WorkItem},
    attestation::{AttestationStatus, Batch, DutyItem},
    traits::{Escrow, ReputationProvider},
};
use pallet_transaction_payment::{FeeDetails, RuntimeDispatchInfo};
use sp_api::impl_runtime_apis;
use sp_consensus_babe::{AllowedSlots, BabeConfiguration, BabeEpochConfiguration};
use sp_core::{OpaqueMetadata, crypto::KeyTypeId};
use sp_genesis_builder::PresetId;
use sp_inherents::{CheckInherentsResult, InherentData};
use sp_runtime::{
    ApplyExtrinsicResult, ExtrinsicInclusionMode, Perbill,
    traits::Block as BlockT,
    transaction_validity::{TransactionSource, TransactionValidity},
};
use sp_session::OpaqueGeneratedSessionKeys;
use sp_version::RuntimeVersion;

type LazyBlock = <Block as BlockT>::LazyBlock;

/// How BABE assigns slots. It is part of the genesis state, so that it can change with an epoch.
pub const BABE_GENESIS_EPOCH: BabeEpochConfiguration = BabeEpochConfiguration {
    c: PRIMARY_PROBABILITY,
    allowed_slots: AllowedSlots::PrimaryAndSecondaryVRFSlots,
};

fn host_status(host: AccountId) -> HostStatus {
    let (load, suspended) = Jobs::load_of(&host);
    HostStatus {
        stake: MeshStaking::operator(host.clone()),
        reputation: <Reputation as ReputationProvider<AccountId>>::score(&host),
        missed: load.missed,
        suspended,
        in_flight: load.in_flight,
        in_flight_value: load.value,
        offers: ModelRegistry::offers_of(host),
    }
}

impl_runtime_apis! {
    impl sp_api::Core<Block> for Runtime {
        fn version() -> RuntimeVersion {
            VERSION
        }

        fn execute_block(block: LazyBlock) {
            Executive::execute_block(block);
        }

        fn initialize_block(header: &Header) -> ExtrinsicInclusionMode {
            Executive::initialize_block(header)
        }
    }

    impl sp_api::Metadata<Block> for Runtime {
        fn metadata() -> OpaqueMetadata {
            OpaqueMetadata::new(Runtime::metadata().into())
        }

        fn metadata_at_version(version: u32) -> Option<OpaqueMetadata> {
            Runtime::metadata_at_version(version)
        }

        fn metadata_versions() -> Vec<u32> {
            Runtime::metadata_versions()
        }
    }

    impl frame_support::view_functions::runtime_api::RuntimeViewFunction<Block> for Runtime {
        fn execute_view_function(
            id: frame_support::view_functions::ViewFunctionId,
            input: Vec<u8>,
        ) -> Result<Vec<u8>, frame_support::view_functions::ViewFunctionDispatchError> {
            Runtime::execute_view_function(id, input)
        }
    }

    impl sp_block_builder::BlockBuilder<Block> for Runtime {
        fn apply_extrinsic(extrinsic: UncheckedExtrinsic) -> ApplyExtrinsicResult {
            Executive::apply_extrinsic(extrinsic)
        }

        fn finalize_block() -> Header {
            Executive::finalize_block()
        }

        fn inherent_extrinsics(data: InherentData) -> Vec<UncheckedExtrinsic> {
            data.create_extrinsics()
        }

        fn check_inherents(block: LazyBlock, data: InherentData) -> CheckInherentsResult {
            data.check_extrinsics(&block)
        }
    }

    impl sp_transaction_pool::runtime_api::TaggedTransactionQueue<Block> for Runtime {
        fn validate_transaction(
            source: TransactionSource,
            transaction: UncheckedExtrinsic,
            block_hash: Hash,
        ) -> TransactionValidity {
            Executive::validate_transaction(source, transaction, block_hash)
        }
    }

    impl sp_offchain::OffchainWorkerApi<Block> for Runtime {
        fn offchain_worker(header: &Header) {
            Executive::offchain_worker(header)
        }
    }

    impl sp_consensus_babe::BabeApi<Block> for Runtime {
        fn configuration() -> BabeConfiguration {
            let epoch = Babe::epoch_config().unwrap_or(BABE_GENESIS_EPOCH);
            BabeConfiguration {
                slot_duration: Babe::slot_duration(),
                epoch_length: EpochSlots::<Runtime>::get(),
                c: epoch.c,
                authorities: Babe::authorities().to_vec(),
                randomness: Babe::randomness(),
                allowed_slots: epoch.allowed_slots,
            }
        }

        fn current_epoch_start() -> sp_consensus_babe::Slot {
            Babe::current_epoch_start()
        }

        fn current_epoch() -> sp_consensus_babe::Epoch {
            Babe::current_epoch()
        }

        fn next_epoch() -> sp_consensus_babe::Epoch {
            Babe::next_epoch()
        }

        fn generate_key_ownership_proof(
            _slot: sp_consensus_babe::Slot,
            authority: sp_consensus_babe::AuthorityId,
        ) -> Option<sp_consensus_babe::OpaqueKeyOwnershipProof> {
            Historical::prove((sp_consensus_babe::KEY_TYPE, authority))
                .map(|proof| sp_consensus_babe::OpaqueKeyOwnershipProof::new(proof.encode()))
        }

        fn submit_report_equivocation_unsigned_extrinsic(
            equivocation: sp_consensus_babe::EquivocationProof<Header>,
            ownership: sp_consensus_babe::OpaqueKeyOwnershipProof,
        ) -> Option<()> {
            Babe::submit_unsigned_equivocation_report(equivocation, ownership.decode()?)
        }
    }

    impl sp_consensus_grandpa::GrandpaApi<Block> for Runtime {
        fn grandpa_authorities() -> sp_consensus_grandpa::AuthorityList {
            Grandpa::grandpa_authorities()
        }

        fn current_set_id() -> sp_consensus_grandpa::SetId {
            pallet_grandpa::CurrentSetId::<Runtime>::get()
        }

        fn generate_key_ownership_proof(
            _set: sp_consensus_grandpa::SetId,
            authority: sp_consensus_grandpa::AuthorityId,
        ) -> Option<sp_consensus_grandpa::OpaqueKeyOwnershipProof> {
            Historical::prove((sp_consensus_grandpa::KEY_TYPE, authority))
                .map(|proof| sp_consensus_grandpa::OpaqueKeyOwnershipProof::new(proof.encode()))
        }

        fn submit_report_equivocation_unsigned_extrinsic(
            equivocation: sp_consensus_grandpa::EquivocationProof<Hash, BlockNumber>,
            ownership: sp_consensus_grandpa::OpaqueKeyOwnershipProof,
        ) -> Option<()> {
            Grandpa::submit_unsigned_equivocation_report(equivocation, ownership.decode()?)
        }
    }

    impl sp_session::SessionKeys<Block> for Runtime {
        fn generate_session_keys(owner: Vec<u8>, seed: Option<Vec<u8>>) -> OpaqueGeneratedSessionKeys {
            SessionKeys::generate(&owner, seed).into()
        }

        fn decode_session_keys(encoded: Vec<u8>) -> Option<Vec<(Vec<u8>, KeyTypeId)>> {
            SessionKeys::decode_into_raw_public_keys(&encoded)
        }
    }

    impl frame_system_rpc_runtime_api::AccountNonceApi<Block, AccountId, Nonce> for Runtime {
        fn account_nonce(account: AccountId) -> Nonce {
            System::account_nonce(account)
        }
    }

    impl pallet_transaction_payment_rpc_runtime_api::TransactionPaymentApi<Block, Balance> for Runtime {
        fn query_info(transaction: UncheckedExtrinsic, len: u32) -> RuntimeDispatchInfo<Balance> {
            TransactionPayment::query_info(transaction, len)
        }

        fn query_fee_details(transaction: UncheckedExtrinsic, len: u32) -> FeeDetails<Balance> {
            TransactionPayment::query_fee_details(transaction, len)
        }

        fn query_weight_to_fee(weight: Weight) -> Balance {
            TransactionPayment::weight_to_fee(weight)
        }

        fn query_length_to_fee(length: u32) -> Balance {
            TransactionPayment::length_to_fee(length)
        }
    }

    impl pallet_transaction_payment_rpc_runtime_api::TransactionPaymentCallApi<Block, Balance, RuntimeCall>
        for Runtime
    {
        fn query_call_info(call: RuntimeCall, len: u32) -> RuntimeDispatchInfo<Balance> {
            TransactionPayment::query_call_info(call, len)
        }

        fn query_call_fee_details(call: RuntimeCall, len: u32) -> FeeDetails<Balance> {
            TransactionPayment::query_call_fee_details(call, len)
        }

        fn query_weight_to_fee(weight: Weight) -> Balance {
            TransactionPayment::weight_to_fee(weight)
        }

        fn query_length_to_fee(length: u32) -> Balance {
            TransactionPayment::length_to_fee(length)
        }
    }

    impl llmesh_primitives::api::JobsApi<Block, AccountId, BlockNumber> for Runtime {
        fn job(id: JobId) -> Option<Job<AccountId, BlockNumber>> {
            pallet_jobs::Jobs::<Runtime>::get(id)
        }

        fn inputs(id: JobId) -> Option<Tensors> {
            pallet_jobs::Inputs::<Runtime>::get(id)
        }

        fn results(id: JobId) -> Vec<(AccountId, JobResult)> {
            Jobs::results_of(id)
        }

        fn work(host: AccountId, limit: u32) -> Vec<WorkItem<AccountId, BlockNumber>> {
            Jobs::work_of(&host, limit)
        }

        fn host_status(host: AccountId) -> HostStatus {
            host_status(host)
        }

        fn hosts(after: Option<AccountId>, limit: u32) -> Vec<(AccountId, HostStatus)> {
            let hosts = MeshStaking::workers(after, limit);
            hosts.into_iter().map(|host| (host.clone(), host_status(host))).collect()
        }

        fn quote(model: ModelVersionId, priority: Priority, min_reputation: Perbill) -> Option<Quote> {
            Jobs::quote(model, priority, min_reputation)
        }
    }

    impl llmesh_primitives::api::ModelRegistryApi<Block, AccountId> for Runtime {
        fn resolve(name: Vec<u8>, version: Option<SemVer>) -> Option<ModelVersion<AccountId>> {
            ModelRegistry::resolve(name, version)
        }

        fn version(id: ModelVersionId) -> Option<ModelVersion<AccountId>> {
            ModelRegistry::version(id)
        }

        fn versions(from: ModelVersionId, limit: u32) -> Vec<ModelVersion<AccountId>> {
            ModelRegistry::versions(from, limit)
        }

        fn offers(id: ModelVersionId) -> Vec<(AccountId, OfferTerms)> {
            ModelRegistry::offers(id)
        }
    }

    impl llmesh_primitives::api::StakingApi<Block, AccountId> for Runtime {
        fn operator(who: AccountId) -> Option<StakeAccount> {
            MeshStaking::operator(who)
        }

        fn pending_rewards(operator: AccountId, staker: AccountId) -> u128 {
            MeshStaking::pending_rewards(operator, staker)
        }

        fn next_validators() -> Vec<AccountId> {
            MeshStaking::next_validators()
        }
    }

    impl llmesh_primitives::api::SettlementApi<Block, AccountId, BlockNumber> for Runtime {
        fn channel(id: ChannelId) -> Option<Channel<AccountId, BlockNumber>> {
            Settlement::channel(id)
        }

        fn channels_of(payer: AccountId) -> Vec<(ChannelId, Channel<AccountId, BlockNumber>)> {
            Settlement::channels_of(payer)
        }

        fn lanes_of(host: AccountId, from: ChannelId, limit: u32) -> Vec<(ChannelId, LaneId)> {
            Settlement::lanes_of(host, from, limit)
        }

        fn fee(model: ModelVersionId, price: u128, priority: Priority) -> Option<u128> {
            let complexity = ModelRegistry::version(model)?.manifest.complexity;
            <Settlement as Escrow<AccountId>>::fee(model, price, complexity, priority)
        }
    }

    impl llmesh_primitives::api::AttestationApi<Block, AccountId, BlockNumber> for Runtime {
        fn status() -> AttestationStatus<BlockNumber> {
            Attestation::status()
        }

        fn duties(who: AccountId, limit: u32) -> Vec<DutyItem<AccountId, BlockNumber>> {
            Attestation::duties(who, limit)
        }

        fn audit(id: AuditId) -> Option<Audit<AccountId, BlockNumber>> {
            Attestation::audit(id)
        }

        fn audits(
            from: AuditId,
            limit: u32,
            who: Option<AccountId>,
        ) -> Vec<(AuditId, Audit<AccountId, BlockNumber>)> {
            Attestation::audits(from, limit, who)
        }

        fn batch(id: BatchId) -> Option<Batch<AccountId>> {
            Attestation::batch(id)
        }
    }

    impl sp_genesis_builder::GenesisBuilder<Block> for Runtime {
        fn build_state(config: Vec<u8>) -> sp_genesis_builder::Result {
            build_state::<RuntimeGenesisConfig>(config)
        }

        fn get_preset(id: &Option<PresetId>) -> Option<Vec<u8>> {
            get_preset::<RuntimeGenesisConfig>(id, genesis_presets::get)
        }

        fn preset_names() -> Vec<PresetId> {
            genesis_presets::names()
        }
    }

    #[cfg(feature = "runtime-benchmarks")]
    impl frame_benchmarking::Benchmark<Block> for Runtime {
        fn benchmark_metadata(
            extra: bool,
        ) -> (Vec<frame_benchmarking::BenchmarkList>, Vec<frame_support::traits::StorageInfo>) {
            crate::benchmarks::list(extra)
        }

        fn dispatch_benchmark(
            config: frame_benchmarking::BenchmarkConfig,
        ) -> Result<Vec<frame_benchmarking::BenchmarkBatch>, alloc::string::String> {
            crate::benchmarks::dispatch(config)
        }
    }

    #[cfg(feature = "try-runtime")]
    impl frame_try_runtime::TryRuntime<Block> for Runtime {
        fn on_runtime_upgrade(checks: frame_try_runtime::UpgradeCheckSelect) -> (Weight, Weight) {
            // A failed check must be seen: it stops the tool that asked.
            let weight = Executive::try_runtime_upgrade(checks).expect("the upgrade passes its checks");
            (weight, crate::constants::limits::MAXIMUM_BLOCK_WEIGHT)
        }

        fn execute_block(
            block: LazyBlock,
            state_root_check: bool,
            signature_check: bool,
            select: frame_try_runtime::TryStateSelect,
        ) -> Weight {
            Executive::try_execute_block(block, state_root_check, signature_check, select)
                .expect("the block executes and leaves a sound state")
        }
    }
}
