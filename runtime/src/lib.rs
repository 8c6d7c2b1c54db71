//! The LLMESH runtime: a solochain under BABE and GRANDPA with a market for off-chain inference.
//!
//! - [`constants`]: money, time, block limits.
//! - [`configs`]: what every pallet is configured with, by concern.
//! - [`timing`]: the periods that a genesis preset can choose.
//! - [`genesis_presets`]: the chains that exist by name.
//! - [`apis`]: what the node and clients can ask the runtime.

#![cfg_attr(not(feature = "std"), no_std)]
// `#[frame_support::runtime]` and `impl_runtime_apis!` recurse deeply.
#![recursion_limit = "512"]

#[cfg(feature = "std")]
include!(concat!(env!("OUT_DIR"), "/wasm_binary.rs"));

extern crate alloc;

pub mod apis;
#[cfg(feature = "runtime-benchmarks")]
mod benchmarks;
pub mod configs;
pub mod constants;
pub mod genesis_presets;
#[cfg(test)]
mod tests;
pub mod timing;

use alloc::vec::Vec;
use sp_runtime::{
    MultiAddress, MultiSignature, generic, impl_opaque_keys,
    traits::{BlakeTwo256, IdentifyAccount, Verify},
};
use sp_version::RuntimeVersion;

pub use apis::RuntimeApi;

/// Proof that the owner of an account agrees to a transaction.
pub type Signature = MultiSignature;
/// An account: 32 bytes, whatever the kind of its key.
pub type AccountId = <<Signature as Verify>::Signer as IdentifyAccount>::AccountId;
/// How a transaction names an account.
pub type Address = MultiAddress<AccountId, ()>;
/// An amount of 10^-12 MESH.
pub type Balance = u128;
/// Number of a block.
pub type BlockNumber = u32;
/// Count of an account's transactions.
pub type Nonce = u32;
/// Hash of a block, a transaction or a state.
pub type Hash = sp_core::H256;
/// Milliseconds since 1970.
pub type Moment = u64;

pub type Header = generic::Header<BlockNumber, BlakeTwo256>;
pub type Block = generic::Block<Header, UncheckedExtrinsic>;
pub type SignedBlock = generic::SignedBlock<Block>;
pub type BlockId = generic::BlockId<Block>;

/// What a transaction carries besides its call: the checks that it must pass and the fee that it pays.
pub type TxExtension = (
    frame_system::AuthorizeCall<Runtime>,
    frame_system::CheckNonZeroSender<Runtime>,
    frame_system::CheckSpecVersion<Runtime>,
    frame_system::CheckTxVersion<Runtime>,
    frame_system::CheckGenesis<Runtime>,
    frame_system::CheckEra<Runtime>,
    frame_system::CheckNonce<Runtime>,
    frame_system::CheckWeight<Runtime>,
    pallet_transaction_payment::ChargeTransactionPayment<Runtime>,
    frame_metadata_hash_extension::CheckMetadataHash<Runtime>,
    frame_system::WeightReclaim<Runtime>,
);

pub type UncheckedExtrinsic = generic::UncheckedExtrinsic<Address, RuntimeCall, Signature, TxExtension>;
/// What is signed.
pub type SignedPayload = generic::SignedPayload<RuntimeCall, TxExtension>;

/// Applies blocks and transactions.
pub type Executive = frame_executive::Executive<
    Runtime,
    Block,
    frame_system::ChainContext<Runtime>,
    Runtime,
    AllPalletsWithSystem,
>;

impl_opaque_keys! {
    /// The keys with which a validator signs: one for blocks, one for finality.
    pub struct SessionKeys {
        pub babe: Babe,
        pub grandpa: Grandpa,
    }
}

#[cfg(not(feature = "next-version"))]
#[sp_version::runtime_version]
pub const VERSION: RuntimeVersion = RuntimeVersion {
    spec_name: alloc::borrow::Cow::Borrowed("llmesh"),
    impl_name: alloc::borrow::Cow::Borrowed("llmesh"),
    authoring_version: 1,
    spec_version: 2,
    impl_version: 1,
    apis: apis::RUNTIME_API_VERSIONS,
    transaction_version: 1,
    system_version: 1,
};

/// What the test of a runtime upgrade upgrades to. The macro takes literals only.
#[cfg(feature = "next-version")]
#[sp_version::runtime_version]
pub const VERSION: RuntimeVersion = RuntimeVersion {
    spec_name: alloc::borrow::Cow::Borrowed("llmesh"),
    impl_name: alloc::borrow::Cow::Borrowed("llmesh"),
    authoring_version: 1,
    spec_version: 1_000,
    impl_version: 1,
    apis: apis::RUNTIME_API_VERSIONS,
    transaction_version: 1_000,
    system_version: 1,
};

/// The runtime. A pallet's index is part of every transaction, event and error: it never changes and is never reused.
/// Pallets run in the order of their indices. Free: 3, 7 to 9, 16 to 19, 26 to 29, 35 to 39, 44 to 59, 61 and up.
#[frame_support::runtime]
mod runtime {
    #[runtime::runtime]
    #[runtime::derive(
        RuntimeCall,
        RuntimeEvent,
        RuntimeError,
        RuntimeOrigin,
        RuntimeFreezeReason,
        RuntimeHoldReason,
        RuntimeSlashReason,
        RuntimeLockId,
        RuntimeTask,
        RuntimeViewFunction
    )]
    pub struct Runtime;

    // Base.
    #[runtime::pallet_index(0)]
    pub type System = frame_system;
    #[runtime::pallet_index(1)]
    pub type Timestamp = pallet_timestamp;
    #[runtime::pallet_index(2)]
    pub type Timing = crate::timing;

    // Money.
    #[runtime::pallet_index(4)]
    pub type Balances = pallet_balances;
    #[runtime::pallet_index(5)]
    pub type TransactionPayment = pallet_transaction_payment;
    #[runtime::pallet_index(6)]
    pub type Treasury = pallet_treasury;

    // Consensus.
    #[runtime::pallet_index(10)]
    pub type Authorship = pallet_authorship;
    #[runtime::pallet_index(11)]
    pub type Babe = pallet_babe;
    #[runtime::pallet_index(12)]
    pub type Offences = pallet_offences;
    #[runtime::pallet_index(13)]
    pub type Historical = pallet_session::historical;
    #[runtime::pallet_index(14)]
    pub type Session = pallet_session;
    #[runtime::pallet_index(15)]
    pub type Grandpa = pallet_grandpa;

    // Compute.
    #[runtime::pallet_index(20)]
    pub type MeshStaking = pallet_mesh_staking;
    #[runtime::pallet_index(21)]
    pub type ModelRegistry = pallet_model_registry;
    #[runtime::pallet_index(22)]
    pub type Reputation = pallet_reputation;
    #[runtime::pallet_index(23)]
    pub type Settlement = pallet_settlement;
    #[runtime::pallet_index(24)]
    pub type Jobs = pallet_jobs;
    #[runtime::pallet_index(25)]
    pub type Attestation = pallet_attestation;

    // Conveniences.
    #[runtime::pallet_index(30)]
    pub type Utility = pallet_utility;
    #[runtime::pallet_index(31)]
    pub type Proxy = pallet_proxy;
    #[runtime::pallet_index(32)]
    pub type Multisig = pallet_multisig;
    #[runtime::pallet_index(33)]
    pub type Preimage = pallet_preimage;
    #[runtime::pallet_index(34)]
    pub type Scheduler = pallet_scheduler;

    // Governance and safety.
    #[runtime::pallet_index(40)]
    pub type Parameters = pallet_parameters;
    #[runtime::pallet_index(41)]
    pub type MultiBlockMigrations = pallet_migrations;
    #[runtime::pallet_index(42)]
    pub type TxPause = pallet_tx_pause;
    #[runtime::pallet_index(43)]
    pub type SafeMode = pallet_safe_mode;
    #[runtime::pallet_index(60)]
    pub type Sudo = pallet_sudo;
}
