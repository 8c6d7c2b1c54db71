//! The runtime as a whole: its presets, its transactions, and how its pallets work together.

use crate::{
    configs::{
        governance::{ProxyType, RuntimeParameters, dynamic_params},
        system::TreasuryAccount,
    },
    constants::{currency::*, time::*},
    genesis_presets::{self, ENDOWMENT, STAGING_PRESET},
    *,
};
use codec::{Decode, Encode};
use frame_support::{
    assert_noop, assert_ok,
    dispatch::GetDispatchInfo,
    genesis_builder_helper::{build_state, get_preset},
    traits::{Get, InstanceFilter, KeyOwnerProofSystem, PalletInfoAccess, fungible::Inspect},
};
use serde_json::Value;
use sp_consensus_babe::digests::{CompatibleDigestItem, PreDigest, SecondaryPlainPreDigest};
use sp_core::Pair;
use sp_genesis_builder::{DEV_RUNTIME_PRESET, LOCAL_TESTNET_RUNTIME_PRESET, PresetId};
use sp_io::TestExternalities;
use sp_keyring::{Ed25519Keyring, Sr25519Keyring};
use sp_keystore::{KeystoreExt, testing::MemoryKeystore};
use sp_runtime::{
    Digest, DigestItem,
    generic::Era,
    traits::{Dispatchable, Header as _},
};

mod audits;
mod channels;
mod market;

/// What a node does with a preset: the default configuration with the preset's values over it.
fn merge(base: &mut Value, patch: Value) {
    match (base, patch) {
        (Value::Object(base), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, patch) => *base = patch,
    }
}

fn chain(preset: &str) -> TestExternalities {
    let default = get_preset::<RuntimeGenesisConfig>(&None, |_| None).expect("there is a default");
    let mut config: Value = serde_json::from_slice(&default).expect("the default is JSON");
    let patch = genesis_presets::get(&PresetId::from(preset)).expect("the preset exists");
    merge(
        &mut config,
        serde_json::from_slice(&patch).expect("the preset is JSON"),
    );

    let mut chain = TestExternalities::default();
    chain.execute_with(|| {
        build_state::<RuntimeGenesisConfig>(serde_json::to_vec(&config).unwrap()).expect("genesis builds")
    });
    chain
}

/// Starts the next block, made by the first validator.
fn start_block() {
    let number = System::block_number() + 1;
    let pre_digest = PreDigest::SecondaryPlain(SecondaryPlainPreDigest {
        authority_index: 0,
        slot: (1_000_000 + u64::from(number)).into(),
    });
    Executive::initialize_block(&Header::new(
        number,
        Default::default(),
        Default::default(),
        System::parent_hash(),
        Digest {
            logs: vec![DigestItem::babe_pre_digest(pre_digest)],
        },
    ));
}

fn extension(nonce: Nonce, tip: Balance) -> TxExtension {
    (
        frame_system::AuthorizeCall::new(),
        frame_system::CheckNonZeroSender::new(),
        frame_system::CheckSpecVersion::new(),
        frame_system::CheckTxVersion::new(),
        frame_system::CheckGenesis::new(),
        frame_system::CheckEra::from(Era::Immortal),
        frame_system::CheckNonce::from(nonce),
        frame_system::CheckWeight::new(),
        pallet_transaction_payment::ChargeTransactionPayment::from(tip),
        frame_metadata_hash_extension::CheckMetadataHash::new(false),
        frame_system::WeightReclaim::new(),
    )
}

fn signed(signer: Sr25519Keyring, call: RuntimeCall, nonce: Nonce) -> UncheckedExtrinsic {
    let payload = SignedPayload::new(call, extension(nonce, 0)).expect("the extension's implicit data exist");
    let signature = payload.using_encoded(|bytes| signer.pair().sign(bytes));
    let (call, extension, _) = payload.deconstruct();
    UncheckedExtrinsic::new_signed(call, signer.to_account_id().into(), signature.into(), extension)
}

fn account(key: Sr25519Keyring) -> AccountId {
    key.to_account_id()
}

fn transfer(to: Sr25519Keyring, value: Balance) -> RuntimeCall {
    RuntimeCall::Balances(pallet_balances::Call::transfer_keep_alive {
        dest: account(to).into(),
        value,
    })
}

fn as_root(call: RuntimeCall) {
    assert_ok!(call.dispatch(RuntimeOrigin::root()));
}

#[test]
fn presets_name_their_validators() {
    let validators = |preset| chain(preset).execute_with(Session::validators);

    assert_eq!(validators(DEV_RUNTIME_PRESET), [account(Sr25519Keyring::Alice)]);
    assert_eq!(
        validators(LOCAL_TESTNET_RUNTIME_PRESET),
        [account(Sr25519Keyring::Alice), account(Sr25519Keyring::Bob)]
    );
    let staging = validators(STAGING_PRESET);
    assert_eq!(staging.len(), 4);
    for key in Sr25519Keyring::iter() {
        assert!(
            !staging.contains(&account(key)),
            "staging has no key that everybody knows"
        );
    }
}

#[test]
fn validators_are_the_authorities_of_both_protocols() {
    chain(LOCAL_TESTNET_RUNTIME_PRESET).execute_with(|| {
        let babe: Vec<_> = Babe::authorities().iter().map(|(id, _)| id.clone()).collect();
        assert_eq!(
            babe,
            [
                Sr25519Keyring::Alice.public().into(),
                Sr25519Keyring::Bob.public().into()
            ]
        );
        let grandpa: Vec<_> = Grandpa::grandpa_authorities()
            .into_iter()
            .map(|(id, _)| id)
            .collect();
        assert_eq!(
            grandpa,
            [
                Ed25519Keyring::Alice.public().into(),
                Ed25519Keyring::Bob.public().into()
            ]
        );
    });
}

#[test]
fn presets_choose_their_periods() {
    let dev = (DEV_EPOCH_DURATION, DEV_UNBONDING_PERIOD, DEV_CHALLENGE_WINDOW);
    let public = (
        DEFAULT_EPOCH_DURATION,
        DEFAULT_UNBONDING_PERIOD,
        DEFAULT_CHALLENGE_WINDOW,
    );
    for (preset, (epoch, unbonding, window)) in [
        (DEV_RUNTIME_PRESET, dev),
        (LOCAL_TESTNET_RUNTIME_PRESET, dev),
        (STAGING_PRESET, public),
    ] {
        chain(preset).execute_with(|| {
            assert_eq!(<Runtime as pallet_babe::Config>::EpochDuration::get(), epoch);
            assert_eq!(timing::UnbondingBlocks::<Runtime>::get(), unbonding);
            assert_eq!(timing::ChallengeBlocks::<Runtime>::get(), window);
        });
    }
}

#[test]
fn periods_have_defaults_without_a_genesis() {
    TestExternalities::default().execute_with(|| {
        assert_eq!(timing::EpochSlots::<Runtime>::get(), 150);
        assert_eq!(timing::UnbondingBlocks::<Runtime>::get(), 302_400);
        assert_eq!(timing::ChallengeBlocks::<Runtime>::get(), 43_200);
    });
}

#[test]
fn presets_endow_and_the_sum_is_the_issuance() {
    for (preset, endowed) in [
        (DEV_RUNTIME_PRESET, 12),
        (LOCAL_TESTNET_RUNTIME_PRESET, 12),
        (STAGING_PRESET, 4),
    ] {
        chain(preset).execute_with(|| {
            // The treasury is endowed as well, and the pots of staking and of the verifiers exist.
            assert_eq!(
                Balances::total_issuance(),
                (endowed + 1) * ENDOWMENT + 2 * EXISTENTIAL_DEPOSIT
            );
            assert_eq!(Balances::balance(&TreasuryAccount::get()), ENDOWMENT);
        });
    }
}

#[test]
fn only_developers_chains_have_sudo() {
    let key = |preset| chain(preset).execute_with(pallet_sudo::Key::<Runtime>::get);
    assert_eq!(key(DEV_RUNTIME_PRESET), Some(account(Sr25519Keyring::Alice)));
    assert_eq!(
        key(LOCAL_TESTNET_RUNTIME_PRESET),
        Some(account(Sr25519Keyring::Alice))
    );
    assert_eq!(key(STAGING_PRESET), None);
}

#[test]
fn every_named_preset_exists() {
    let names = genesis_presets::names();
    assert_eq!(names.len(), 3);
    assert!(names.iter().all(|name| genesis_presets::get(name).is_some()));
    assert!(genesis_presets::get(&PresetId::from("mainnet")).is_none());
}

#[test]
fn indices_never_move() {
    let indices = [
        (System::index(), 0),
        (Timestamp::index(), 1),
        (Timing::index(), 2),
        (Balances::index(), 4),
        (TransactionPayment::index(), 5),
        (Treasury::index(), 6),
        (Authorship::index(), 10),
        (Babe::index(), 11),
        (Offences::index(), 12),
        (Historical::index(), 13),
        (Session::index(), 14),
        (Grandpa::index(), 15),
        (MeshStaking::index(), 20),
        (ModelRegistry::index(), 21),
        (Reputation::index(), 22),
        (Settlement::index(), 23),
        (Jobs::index(), 24),
        (Attestation::index(), 25),
        (Utility::index(), 30),
        (Proxy::index(), 31),
        (Multisig::index(), 32),
        (Preimage::index(), 33),
        (Scheduler::index(), 34),
        (Parameters::index(), 40),
        (MultiBlockMigrations::index(), 41),
        (TxPause::index(), 42),
        (SafeMode::index(), 43),
        (Sudo::index(), 60),
    ];
    for (found, expected) in indices {
        assert_eq!(found, expected);
    }
}

#[test]
fn metadata_is_complete_inside_a_chain() {
    // Constants that come from the state are read for it, so there is none outside of one.
    chain(DEV_RUNTIME_PRESET).execute_with(|| {
        let metadata = Runtime::metadata().encode();
        assert_eq!(&metadata[..4], b"meta");
        for version in [14, 15, 16] {
            assert!(Runtime::metadata_versions().contains(&version));
            let metadata: Vec<u8> = Runtime::metadata_at_version(version)
                .expect("it is listed")
                .to_vec();
            let decoded = Vec::<u8>::decode(&mut &metadata.encode()[..]).unwrap();
            assert_eq!(&decoded[..4], b"meta");
            assert_eq!(u32::from(decoded[4]), version);
        }
    });
}

#[test]
fn a_transaction_survives_its_encoding_and_pays_the_author() {
    chain(DEV_RUNTIME_PRESET).execute_with(|| {
        start_block();
        let issued = Balances::total_issuance();
        let sent = signed(
            Sr25519Keyring::Bob,
            transfer(Sr25519Keyring::Charlie, 5 * MESH),
            0,
        );
        let bytes = sent.encode();
        let received = UncheckedExtrinsic::decode(&mut &bytes[..]).expect("it decodes");
        assert_eq!(received, sent);

        assert_ok!(Executive::apply_extrinsic(received).expect("it is valid"));
        assert_eq!(
            Balances::balance(&account(Sr25519Keyring::Charlie)),
            ENDOWMENT + 5 * MESH
        );
        assert_eq!(System::account_nonce(account(Sr25519Keyring::Bob)), 1);

        let fee = ENDOWMENT - 5 * MESH - Balances::balance(&account(Sr25519Keyring::Bob));
        assert!(fee > 0 && fee < 100 * MILLI_MESH, "a transfer costs {fee}");
        assert_eq!(
            Balances::total_balance(&account(Sr25519Keyring::Alice)),
            ENDOWMENT + fee
        );
        assert_eq!(
            Balances::total_issuance(),
            issued,
            "a transaction neither mints nor burns"
        );
    });
}

#[test]
fn a_transaction_can_not_be_replayed_or_altered() {
    chain(DEV_RUNTIME_PRESET).execute_with(|| {
        start_block();
        let first = signed(Sr25519Keyring::Bob, transfer(Sr25519Keyring::Charlie, MESH), 0);
        assert_ok!(Executive::apply_extrinsic(first.clone()).unwrap());
        assert!(Executive::apply_extrinsic(first).is_err(), "its nonce is used");

        let mut altered = signed(Sr25519Keyring::Bob, transfer(Sr25519Keyring::Charlie, MESH), 1);
        altered.function = transfer(Sr25519Keyring::Charlie, 2 * MESH);
        assert!(
            Executive::apply_extrinsic(altered).is_err(),
            "its signature is for another call"
        );
    });
}

#[test]
fn fees_follow_the_governed_prices() {
    chain(DEV_RUNTIME_PRESET).execute_with(|| {
        let info = transfer(Sr25519Keyring::Bob, MESH).get_dispatch_info();
        let fee = || TransactionPayment::compute_fee(100, &info, 0);
        let before = fee();
        as_root(RuntimeCall::Parameters(pallet_parameters::Call::set_parameter {
            key_value: RuntimeParameters::Fees(dynamic_params::fees::Parameters::PricePerByte(
                dynamic_params::fees::PricePerByte,
                Some(2 * MICRO_MESH),
            )),
        }));
        assert_eq!(fee() - before, 100 * MICRO_MESH);
    });
}

#[test]
fn a_full_block_of_transfers_costs_real_money() {
    chain(DEV_RUNTIME_PRESET).execute_with(|| {
        let info = transfer(Sr25519Keyring::Bob, MESH).get_dispatch_info();
        let limits = <Runtime as frame_system::Config>::BlockWeights::get();
        let class = limits.get(frame_support::dispatch::DispatchClass::Normal);
        let each = info.total_weight().saturating_add(class.base_extrinsic);
        let count = class.max_total.unwrap().ref_time() / each.ref_time();
        let cost = TransactionPayment::compute_fee(150, &info, 0) * Balance::from(count);
        assert!(count > 500, "a block holds {count} transfers");
        assert!(cost > 4 * MESH, "a full block costs {cost}");
    });
}

#[test]
fn safe_mode_stops_transfers_and_nothing_that_ends_it() {
    chain(DEV_RUNTIME_PRESET).execute_with(|| {
        start_block();
        as_root(RuntimeCall::SafeMode(pallet_safe_mode::Call::force_enter {}));
        let origin = RuntimeOrigin::signed(account(Sr25519Keyring::Alice));
        assert_noop!(
            transfer(Sr25519Keyring::Bob, MESH).dispatch(origin.clone()),
            frame_system::Error::<Runtime>::CallFiltered
        );
        let exit = RuntimeCall::SafeMode(pallet_safe_mode::Call::force_exit {});
        assert_ok!(
            RuntimeCall::Sudo(pallet_sudo::Call::sudo { call: Box::new(exit) }).dispatch(origin.clone())
        );
        assert_ok!(transfer(Sr25519Keyring::Bob, MESH).dispatch(origin));
    });
}

#[test]
fn a_call_can_be_paused_but_not_the_clock() {
    chain(DEV_RUNTIME_PRESET).execute_with(|| {
        start_block();
        let name = |pallet: &str, call: &str| {
            (
                pallet.as_bytes().to_vec().try_into().unwrap(),
                call.as_bytes().to_vec().try_into().unwrap(),
            )
        };
        assert_ok!(TxPause::pause(
            RuntimeOrigin::root(),
            name("Balances", "transfer_keep_alive")
        ));
        assert_noop!(
            transfer(Sr25519Keyring::Bob, MESH)
                .dispatch(RuntimeOrigin::signed(account(Sr25519Keyring::Alice))),
            frame_system::Error::<Runtime>::CallFiltered
        );
        assert!(TxPause::pause(RuntimeOrigin::root(), name("Timestamp", "set")).is_err());
    });
}

#[test]
fn proxies_that_may_not_transfer_do_not() {
    let call = transfer(Sr25519Keyring::Bob, MESH);
    assert!(ProxyType::Any.filter(&call));
    for limited in [ProxyType::NonTransfer, ProxyType::Compute, ProxyType::CancelProxy] {
        assert!(!limited.filter(&call));
        assert!(ProxyType::Any.is_superset(&limited));
        assert!(!limited.is_superset(&ProxyType::Any));
    }
}

#[test]
fn the_treasury_pays_when_root_says_so() {
    chain(DEV_RUNTIME_PRESET).execute_with(|| {
        start_block();
        as_root(RuntimeCall::Treasury(pallet_treasury::Call::spend {
            asset_kind: Box::new(()),
            amount: 10 * MESH,
            beneficiary: Box::new(account(Sr25519Keyring::Dave)),
            valid_from: None,
        }));
        assert_ok!(Treasury::payout(
            RuntimeOrigin::signed(account(Sr25519Keyring::Eve)),
            0
        ));
        assert_eq!(
            Balances::balance(&account(Sr25519Keyring::Dave)),
            ENDOWMENT + 10 * MESH
        );
    });
}

#[test]
fn new_session_keys_need_a_proof_of_their_owner() {
    let mut chain = chain(DEV_RUNTIME_PRESET);
    chain.register_extension(KeystoreExt::new(MemoryKeystore::new()));
    chain.execute_with(|| {
        start_block();
        let dave = account(Sr25519Keyring::Dave);
        let generated = SessionKeys::generate(&dave.encode(), None);
        let proof = generated.proof.encode();
        let set = |who: AccountId| {
            Session::set_keys(RuntimeOrigin::signed(who), generated.keys.clone(), proof.clone())
        };
        assert_noop!(
            set(account(Sr25519Keyring::Eve)),
            pallet_session::Error::<Runtime>::InvalidProof
        );
        assert_ok!(set(dave.clone()));
        assert!(Balances::balance(&dave) < ENDOWMENT, "the keys' deposit is held");
        assert_eq!(Balances::total_balance(&dave), ENDOWMENT);
    });
}

#[test]
fn validators_stay_and_can_be_held_to_account_over_sessions() {
    chain(LOCAL_TESTNET_RUNTIME_PRESET).execute_with(|| {
        start_block();
        let before = Session::validators();
        for _ in 0..3 {
            Session::rotate_session();
        }
        assert_eq!(Session::current_index(), 3);
        let mut after = Session::validators();
        after.sort();
        let mut before = before;
        before.sort();
        assert_eq!(after, before);

        let key = (sp_consensus_babe::KEY_TYPE, Sr25519Keyring::Bob.public());
        let proof = <Historical as KeyOwnerProofSystem<_>>::prove(key).expect("Bob is a validator");
        assert_eq!(proof.session, 3);
        let (owner, ()) =
            <Historical as KeyOwnerProofSystem<_>>::check_proof(key, proof).expect("the proof holds");
        assert_eq!(owner, account(Sr25519Keyring::Bob));
    });
}

#[test]
fn block_limits_are_a_third_of_a_slot() {
    let weights = <Runtime as frame_system::Config>::BlockWeights::get();
    assert_eq!(weights.max_block.ref_time(), 670_000_000_000);
    weights.validate().expect("the limits are sound");
    let length = <Runtime as frame_system::Config>::BlockLength::get();
    let normal = frame_support::dispatch::DispatchClass::Normal;
    assert_eq!(*length.max.get(normal), 5 * 1024 * 1024 / 4 * 3);
}
