//! The compute market: staking, models, reputation, settlement, jobs and Proof of Compute.

use super::{governance::dynamic_params, system::TreasuryAccount};
use crate::{
    Attestation, Balance, Balances, MeshStaking, ModelRegistry, Reputation, Runtime, RuntimeCall,
    RuntimeHoldReason, Session, Settlement, Timestamp,
    constants::{
        currency::{EXISTENTIAL_DEPOSIT, MESH, deposit},
        limits::MAXIMUM_BLOCK_WEIGHT,
        time::DAYS,
    },
    timing::{AuditBlocks, AuditRounds, AuditVotes, ChallengeBlocks, UnbondingBlocks},
};
use frame_support::{
    PalletId, parameter_types,
    traits::{ConstU32, ConstU64, ConstU128, Contains, Get},
    weights::Weight,
};
use llmesh_primitives::{JobId, ModelVersionId};
use sp_runtime::{Perbill, Permill};

parameter_types! {
    pub const StakingPotId: PalletId = PalletId(*b"llm/stak");
    pub const MaxCommission: Perbill = Perbill::from_percent(50);
    pub const MaxCommissionRaise: Perbill = Perbill::from_percent(5);
    pub const ReporterShare: Perbill = Perbill::from_percent(10);
    pub const WorkerDepositBase: Balance = deposit(1, 100);
    pub const WorkerDepositPerByte: Balance = deposit(0, 1);
}

impl pallet_mesh_staking::Config for Runtime {
    type RuntimeHoldReason = RuntimeHoldReason;
    type Currency = Balances;
    type SessionKeys = Session;
    type Reputation = Reputation;
    type SlashDestination = TreasuryAccount;
    type UnbondingPeriod = UnbondingBlocks<Runtime>;
    // A week of the longest sessions in use: as long as the stake behind an offence is bonded.
    type ReportableSessions = ConstU32<{ 7 * 24 * 12 }>;
    type MinBond = ConstU128<{ 1_000 * MESH }>;
    type MinDelegation = ConstU128<{ 10 * MESH }>;
    type MaxDelegators = ConstU32<64>;
    type MaxUnlocking = ConstU32<16>;
    type MaxCandidates = ConstU32<256>;
    type MaxVerifiers = ConstU32<256>;
    type MaxValidators = ConstU32<32>;
    type MaxCommission = MaxCommission;
    type MaxCommissionRaise = MaxCommissionRaise;
    type ReporterShare = ReporterShare;
    type WorkerDepositBase = WorkerDepositBase;
    type WorkerDepositPerByte = WorkerDepositPerByte;
    type PalletId = StakingPotId;
    type WeightInfo = pallet_mesh_staking::weights::SubstrateWeight<Runtime>;
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = pallet_mesh_staking::benchmarking::MadeUpKeys<Runtime>;
}

parameter_types! {
    /// A version's record is a few hundred bytes in four entries.
    pub const VersionDeposit: Balance = deposit(4, 0);
    pub const NamespaceDeposit: Balance = deposit(1, 100);
    pub const OfferDeposit: Balance = deposit(2, 64);
    pub const RegistryByteDeposit: Balance = deposit(0, 1);
    /// Four times the widest honest difference measured (batches, 2.5e-4), and below that of noise of 0.1 % in the weights.
    pub const MaxTolerance: Perbill = Perbill::from_parts(1_000_000);
}

impl pallet_model_registry::Config for Runtime {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Stake = MeshStaking;
    type NamespaceDeposit = NamespaceDeposit;
    type VersionDeposit = VersionDeposit;
    type OfferDeposit = OfferDeposit;
    type ByteDeposit = RegistryByteDeposit;
    type MaxModelSize = ConstU64<{ 64 << 30 }>;
    type MaxTolerance = MaxTolerance;
    type MaxCapacity = ConstU32<1_024>;
    type MaxVersionsPerModel = ConstU32<128>;
    type MaxOffersPerVersion = ConstU32<64>;
    type MaxOffersPerHost = ConstU32<64>;
    type WeightInfo = pallet_model_registry::weights::SubstrateWeight<Runtime>;
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = BenchmarkStage;
}

impl pallet_reputation::Config for Runtime {
    type WeightInfo = pallet_reputation::weights::SubstrateWeight<Runtime>;
}

parameter_types! {
    pub const VerifierPoolId: PalletId = PalletId(*b"llm/pool");
    pub const HostShare: Permill = Permill::from_percent(70);
    pub const PoolShare: Permill = Permill::from_percent(20);
    /// A channel's record and its number in the payer's index.
    pub const ChannelDeposit: Balance = deposit(2, 140);
    /// A lane in the record, and its entry in the host's index.
    pub const LaneDeposit: Balance = deposit(1, 160);
}

impl pallet_settlement::Config for Runtime {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Stake = MeshStaking;
    type Rewards = MeshStaking;
    type Work = Attestation;
    type Treasury = TreasuryAccount;
    type PalletId = VerifierPoolId;
    type HostShare = HostShare;
    type PoolShare = PoolShare;
    type MinFee = ConstU128<{ 10 * EXISTENTIAL_DEPOSIT }>;
    type ChallengeWindow = ChallengeBlocks<Runtime>;
    type MaxLifetime = ConstU32<{ 90 * DAYS }>;
    type MaxChannelsPerPayer = ConstU32<64>;
    type MaxLanesPerHost = ConstU32<10_000>;
    type ChannelDeposit = ChannelDeposit;
    type LaneDeposit = LaneDeposit;
    type WeightInfo = pallet_settlement::weights::SubstrateWeight<Runtime>;
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = BenchmarkStage;
}

parameter_types! {
    /// A third of a block for draws, deadlines and the end of jobs; the rest is for those who submit and deliver.
    pub AgendaWeight: Weight = Perbill::from_percent(33) * MAXIMUM_BLOCK_WEIGHT;
    pub const JobDepositBase: Balance = deposit(4, 200);
    /// A record is kept for an hour, not for ever: a byte costs a hundredth of what it costs elsewhere.
    pub const JobDepositPerByte: Balance = deposit(0, 1) / 100;
}

impl pallet_jobs::Config for Runtime {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Stake = MeshStaking;
    type Registry = ModelRegistry;
    type Reputation = Reputation;
    type Escrow = Settlement;
    type Receipts = Attestation;
    type Randomness = pallet_babe::ParentBlockRandomness<Runtime>;
    type ResultDeadline = dynamic_params::jobs::ResultDeadline;
    type TimeToLive = dynamic_params::jobs::TimeToLive;
    type Retention = dynamic_params::jobs::Retention;
    type RetryInterval = dynamic_params::jobs::RetryInterval;
    type MaxMissed = dynamic_params::jobs::MaxMissed;
    type AgendaWeight = AgendaWeight;
    type MaxInFlight = ConstU32<256>;
    type MaxInputBytes = ConstU32<{ 64 * 1024 }>;
    type MaxOutputBytes = ConstU32<{ 64 * 1024 }>;
    type DepositBase = JobDepositBase;
    type DepositPerByte = JobDepositPerByte;
    type WeightInfo = pallet_jobs::weights::SubstrateWeight<Runtime>;
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = BenchmarkStage;
}

parameter_types! {
    pub const MismatchSlash: Perbill = Perbill::from_percent(10);
    pub const WithheldSlash: Perbill = Perbill::from_percent(5);
    pub const FalseVoteSlash: Perbill = Perbill::from_percent(2);
    /// The pool gets 20 % of every fee, so this is 5 % of a host's fees.
    pub const BonusShare: Perbill = Perbill::from_percent(25);
    /// More than half of a block for rounds, draws and deadlines: the end of the largest audit, in which everybody is slashed,
    /// has to fit. Hardly any block has one.
    pub AttestationWeight: Weight = Perbill::from_percent(55) * MAXIMUM_BLOCK_WEIGHT;
}

/// Index of the present BABE epoch.
pub struct CurrentEpoch;
impl Get<u64> for CurrentEpoch {
    fn get() -> u64 {
        pallet_babe::EpochIndex::<Runtime>::get()
    }
}

/// Which model a job asked for.
pub struct ModelsOfJobs;
impl pallet_attestation::JobModels for ModelsOfJobs {
    fn model_of(job: JobId) -> Option<ModelVersionId> {
        pallet_jobs::Jobs::<Runtime>::get(job).map(|job| job.model)
    }
}

impl pallet_attestation::Config for Runtime {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Randomness = pallet_babe::RandomnessFromOneEpochAgo<Runtime>;
    type Epoch = CurrentEpoch;
    type Stake = MeshStaking;
    type Verifiers = MeshStaking;
    type Registry = ModelRegistry;
    type JobModels = ModelsOfJobs;
    type Reputation = Reputation;
    type Conduct = Reputation;
    type Pool = Settlement;
    type Verdicts = (Reputation, Settlement);
    type Time = Timestamp;
    type Window = AuditBlocks<Runtime>;
    type Horizon = AuditRounds<Runtime>;
    type MinQuorum = AuditVotes<Runtime>;
    type AgendaWeight = AttestationWeight;
    type MaxSamples = ConstU32<16>;
    type MaxJobsPerRound = ConstU32<256>;
    type MaxOpenAudits = ConstU32<10_000>;
    type MismatchSlash = MismatchSlash;
    type WithheldSlash = WithheldSlash;
    type FalseVoteSlash = FalseVoteSlash;
    type BonusShare = BonusShare;
    type ChallengeDeposit = ConstU128<{ 10 * MESH }>;
    // A day.
    type ChallengePeriod = ConstU64<86_400_000>;
    type WeightInfo = pallet_attestation::weights::SubstrateWeight<Runtime>;
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = BenchmarkStage;
}

/// What a [`ProxyType::Compute`](super::governance::ProxyType::Compute) may do: all that a worker does day by day, and
/// nothing by which a stolen hot key could carry the stake away.
pub struct ComputeCalls;
impl Contains<RuntimeCall> for ComputeCalls {
    fn contains(call: &RuntimeCall) -> bool {
        use pallet_attestation::Call as Attestation;
        use pallet_jobs::Call as Jobs;
        use pallet_mesh_staking::Call as Staking;
        use pallet_model_registry::Call as Registry;
        use pallet_settlement::Call as Settlement;
        matches!(
            call,
            RuntimeCall::Attestation(
                Attestation::open { .. }
                    | Attestation::commit { .. }
                    | Attestation::publish { .. }
                    | Attestation::reveal { .. }
            ) | RuntimeCall::Jobs(Jobs::submit_result { .. } | Jobs::decline { .. } | Jobs::resume {})
                | RuntimeCall::ModelRegistry(Registry::offer { .. } | Registry::withdraw_offer { .. })
                | RuntimeCall::Settlement(
                    Settlement::claim { .. }
                        | Settlement::claim_batch { .. }
                        | Settlement::release_lane { .. }
                )
                | RuntimeCall::MeshStaking(
                    Staking::register_worker { .. }
                        | Staking::deregister_worker {}
                        | Staking::validate {}
                        | Staking::verify {}
                        | Staking::chill {}
                        | Staking::claim_rewards { .. }
                )
        )
    }
}

/// What the compute pallets' benchmarks need of one another.
#[cfg(feature = "runtime-benchmarks")]
pub struct BenchmarkStage;

#[cfg(feature = "runtime-benchmarks")]
impl pallet_jobs::BenchmarkHelper<crate::AccountId> for BenchmarkStage {
    fn make_host(who: &crate::AccountId) {
        use frame_support::{storage::unhashed, traits::fungible::Mutate};
        use sp_io::hashing::twox_128;
        MeshStaking::bench_make_host(who);
        // A block has the randomness of its parent; benchmarks have no blocks.
        let randomness = [twox_128(b"Babe"), twox_128(b"AuthorVrfRandomness")].concat();
        unhashed::put(&randomness, &Some([1u8; 32]));
        // Payments are dearest when there is somebody to share them with.
        let delegator: crate::AccountId = frame_benchmarking::account("delegator", 0, 0);
        Balances::set_balance(&delegator, 1_000_000 * MESH);
        let origin = frame_system::RawOrigin::Signed(delegator).into();
        MeshStaking::delegate(origin, who.clone(), 100 * MESH).expect("there is room for a delegator");
    }
}

#[cfg(feature = "runtime-benchmarks")]
impl pallet_settlement::BenchmarkHelper<crate::AccountId> for BenchmarkStage {
    fn make_host(who: &crate::AccountId) {
        // Payments are as dear as those of jobs.
        <Self as pallet_jobs::BenchmarkHelper<crate::AccountId>>::make_host(who);
    }
}

#[cfg(feature = "runtime-benchmarks")]
impl pallet_model_registry::BenchmarkHelper<crate::AccountId> for BenchmarkStage {
    fn make_host(who: &crate::AccountId) {
        MeshStaking::bench_make_host(who);
    }
}

#[cfg(feature = "runtime-benchmarks")]
impl pallet_attestation::BenchmarkHelper<crate::AccountId> for BenchmarkStage {
    fn make_host(who: &crate::AccountId) {
        <Self as pallet_jobs::BenchmarkHelper<crate::AccountId>>::make_host(who);
    }

    fn make_verifier(who: &crate::AccountId) {
        <Self as pallet_jobs::BenchmarkHelper<crate::AccountId>>::make_host(who);
        MeshStaking::verify(frame_system::RawOrigin::Signed(who.clone()).into())
            .expect("there is room for a verifier");
    }

    fn fill_pool(host: &crate::AccountId) {
        use frame_support::traits::fungible::Mutate;
        Balances::set_balance(&Settlement::pool_account(), 1_000_000 * MESH);
        pallet_settlement::PoolCut::<Runtime>::insert(host, MESH);
    }

    fn next_epoch() {
        pallet_babe::EpochIndex::<Runtime>::mutate(|index| *index += 1);
    }
}
