//! Which pallets can be measured. Add a pallet here to have weights of its own.

use crate::{AllPalletsWithSystem, Runtime};
use alloc::{string::String, vec::Vec};
use frame_benchmarking::{BenchmarkBatch, BenchmarkConfig, BenchmarkList, baseline};
use frame_support::traits::{StorageInfo, StorageInfoTrait, WhitelistedStorageKeys};

use frame_system_benchmarking::{Pallet as SystemBench, extensions::Pallet as SystemExtensionsBench};

// The macro's lists name a pallet by its identifier in the runtime.
use crate::*;

frame_benchmarking::define_benchmarks!(
    [frame_benchmarking, BaselineBench::<Runtime>]
    [frame_system, SystemBench::<Runtime>]
    [frame_system_extensions, SystemExtensionsBench::<Runtime>]
    [pallet_attestation, Attestation]
    [pallet_babe, Babe]
    [pallet_balances, Balances]
    [pallet_grandpa, Grandpa]
    [pallet_jobs, Jobs]
    [pallet_mesh_staking, MeshStaking]
    [pallet_migrations, MultiBlockMigrations]
    [pallet_model_registry, ModelRegistry]
    [pallet_multisig, Multisig]
    [pallet_parameters, Parameters]
    [pallet_preimage, Preimage]
    [pallet_proxy, Proxy]
    [pallet_reputation, Reputation]
    [pallet_safe_mode, SafeMode]
    [pallet_scheduler, Scheduler]
    [pallet_settlement, Settlement]
    [pallet_sudo, Sudo]
    [pallet_timestamp, Timestamp]
    [pallet_treasury, Treasury]
    [pallet_tx_pause, TxPause]
    [pallet_utility, Utility]
);

type BaselineBench<T> = baseline::Pallet<T>;

impl frame_system_benchmarking::Config for Runtime {}
impl baseline::Config for Runtime {}

pub fn list(extra: bool) -> (Vec<BenchmarkList>, Vec<StorageInfo>) {
    let mut list = Vec::new();
    list_benchmarks!(list, extra);
    (list, AllPalletsWithSystem::storage_info())
}

pub fn dispatch(config: BenchmarkConfig) -> Result<Vec<BenchmarkBatch>, String> {
    let whitelist = AllPalletsWithSystem::whitelisted_storage_keys();
    let mut batches = Vec::new();
    let params = (&config, &whitelist);
    add_benchmarks!(params, batches);
    Ok(batches)
}
