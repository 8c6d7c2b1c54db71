//! The chains that exist by name: `development`, `local_testnet` and `staging`.

use crate::{
    AccountId, BabeConfig, Balance, BalancesConfig, MeshStakingConfig, RuntimeGenesisConfig, SessionConfig,
    SessionKeys, SudoConfig, TimingConfig,
    apis::BABE_GENESIS_EPOCH,
    configs::system::TreasuryAccount,
    constants::{
        currency::MESH,
        time::{
            DEFAULT_AUDIT_QUORUM, DEFAULT_AUDIT_WINDOW, DEFAULT_CHALLENGE_WINDOW, DEFAULT_EPOCH_DURATION,
            DEFAULT_UNBONDING_PERIOD, DEV_AUDIT_QUORUM, DEV_AUDIT_WINDOW, DEV_CHALLENGE_WINDOW,
            DEV_EPOCH_DURATION, DEV_UNBONDING_PERIOD,
        },
    },
};
use alloc::{vec, vec::Vec};
use frame_support::build_struct_json_patch;
use serde_json::Value;
use sp_consensus_babe::AuthorityId as BabeId;
use sp_consensus_grandpa::AuthorityId as GrandpaId;
use sp_core::{ByteArray, hex2array};
use sp_genesis_builder::{DEV_RUNTIME_PRESET, LOCAL_TESTNET_RUNTIME_PRESET, PresetId};
use sp_keyring::{Ed25519Keyring, Sr25519Keyring};

/// Name of the preset of a public test network.
pub const STAGING_PRESET: &str = "staging";

/// What every endowed account starts with.
pub const ENDOWMENT: Balance = 1_000_000 * MESH;

/// What every genesis validator has bonded.
pub const VALIDATOR_BOND: Balance = 100_000 * MESH;

/// A validator as genesis knows it: its account and the keys it signs with.
pub type Validator = (AccountId, BabeId, GrandpaId);

/// The presets, as JSON patches of the default genesis configuration.
pub fn get(id: &PresetId) -> Option<Vec<u8>> {
    let patch = match id.as_ref() {
        DEV_RUNTIME_PRESET => development(),
        LOCAL_TESTNET_RUNTIME_PRESET => local_testnet(),
        STAGING_PRESET => staging(),
        _ => return None,
    };
    Some(serde_json::to_vec(&patch).expect("a JSON value can be written; qed"))
}

/// The names that [`get`] knows.
pub fn names() -> Vec<PresetId> {
    vec![
        PresetId::from(DEV_RUNTIME_PRESET),
        PresetId::from(LOCAL_TESTNET_RUNTIME_PRESET),
        PresetId::from(STAGING_PRESET),
    ]
}

/// One validator, Alice, who also holds the sudo key.
fn development() -> Value {
    developers_chain(vec![well_known(Sr25519Keyring::Alice, Ed25519Keyring::Alice)])
}

/// Two validators, Alice and Bob. Alice holds the sudo key.
fn local_testnet() -> Value {
    developers_chain(vec![
        well_known(Sr25519Keyring::Alice, Ed25519Keyring::Alice),
        well_known(Sr25519Keyring::Bob, Ed25519Keyring::Bob),
    ])
}

/// Four validators and no sudo key.
///
/// The secrets behind these keys were discarded when they were made, so a chain of this preset as it stands never
/// produces a block: whoever launches it puts the validators' own keys in place of them.
fn staging() -> Value {
    let validators: Vec<Validator> = STAGING_VALIDATORS
        .iter()
        .map(|(account, babe, grandpa)| {
            (
                AccountId::new(*account),
                BabeId::from_slice(babe).expect("32 bytes are a key; qed"),
                GrandpaId::from_slice(grandpa).expect("32 bytes are a key; qed"),
            )
        })
        .collect();
    let endowed = validators.iter().map(|validator| validator.0.clone()).collect();
    let timing = TimingConfig {
        epoch_duration: DEFAULT_EPOCH_DURATION,
        unbonding_period: DEFAULT_UNBONDING_PERIOD,
        challenge_window: DEFAULT_CHALLENGE_WINDOW,
        audit_window: DEFAULT_AUDIT_WINDOW,
        audit_quorum: DEFAULT_AUDIT_QUORUM,
    };
    genesis(validators, endowed, None, timing)
}

fn developers_chain(validators: Vec<Validator>) -> Value {
    let endowed = Sr25519Keyring::well_known()
        .map(|key| key.to_account_id())
        .collect();
    let sudo = Sr25519Keyring::Alice.to_account_id();
    let timing = TimingConfig {
        epoch_duration: DEV_EPOCH_DURATION,
        unbonding_period: DEV_UNBONDING_PERIOD,
        challenge_window: DEV_CHALLENGE_WINDOW,
        audit_window: DEV_AUDIT_WINDOW,
        audit_quorum: DEV_AUDIT_QUORUM,
    };
    genesis(validators, endowed, Some(sudo), timing)
}

fn well_known(account: Sr25519Keyring, finality: Ed25519Keyring) -> Validator {
    (
        account.to_account_id(),
        account.public().into(),
        finality.public().into(),
    )
}

fn genesis(
    validators: Vec<Validator>,
    endowed: Vec<AccountId>,
    sudo: Option<AccountId>,
    timing: TimingConfig,
) -> Value {
    let mut balances: Vec<(AccountId, Balance)> =
        endowed.into_iter().map(|account| (account, ENDOWMENT)).collect();
    balances.push((TreasuryAccount::get(), ENDOWMENT));

    build_struct_json_patch!(RuntimeGenesisConfig {
        timing,
        balances: BalancesConfig { balances },
        mesh_staking: MeshStakingConfig {
            operators: validators
                .iter()
                .map(|(account, _, _)| (account.clone(), VALIDATOR_BOND, true))
                .collect::<Vec<_>>(),
        },
        babe: BabeConfig {
            epoch_config: BABE_GENESIS_EPOCH
        },
        session: SessionConfig {
            keys: validators
                .into_iter()
                .map(|(account, babe, grandpa)| (account.clone(), account, SessionKeys { babe, grandpa }))
                .collect::<Vec<_>>(),
        },
        sudo: SudoConfig { key: sudo },
    })
}

/// Account, BABE key and GRANDPA key of the validators of [`staging`].
const STAGING_VALIDATORS: [([u8; 32], [u8; 32], [u8; 32]); 4] = [
    (
        hex2array!("d61b8f7d2210df8b72573e0181f5089572d4565c5ac2aa74936b821b037e1219"),
        hex2array!("d49db9d2f7855b5ecc33b2f9eab303a7b2315ce632dd4d786de42ece8c9bad63"),
        hex2array!("f1a9ae83f824b396845083dcccc2f260c0622375911d8a6ac19b87e94a879fd6"),
    ),
    (
        hex2array!("5a73e52a47220b57fc8b6590f58a7e53c7df85adf6609c66792ca4e6fffe987d"),
        hex2array!("8c180bf7709b951c511cd3ed4775650df2f73e72b0218ef6ef0cb1104f12436f"),
        hex2array!("bcdc7e61debd86378526e27751285c1742af9f42776de776da9d5daa6278af4a"),
    ),
    (
        hex2array!("681e97593577c13ac91c07cf56f71ebedb7ead65ee8d5db60bfadc043ffc3373"),
        hex2array!("e8ed3895b9bf9c16e6d7e238c32dab2b6fb4bccdfaa9216e8f440becdcd1520b"),
        hex2array!("21fef2bfd614271a04f6ef2341dc6f36a1610b7940b91a7a1b571018acc8838d"),
    ),
    (
        hex2array!("50f182823e2ad1d00dcba634c176f23817d553d33f5804a8521922f8c43f1a04"),
        hex2array!("00cb7e3e6a164fd19c8c6497653f1e50de9b14d565eccedd3b7c2bd84a50a878"),
        hex2array!("cce2d0eae540f92f2e55b4f2f591e8626b3039addc6e207de208c006a948d8a0"),
    ),
];
