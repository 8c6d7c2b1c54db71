//! The compute market with all its pallets at work together.

use super::*;
use frame_support::storage::unhashed;
use llmesh_primitives::{
    AssignmentState, Dim, ElementType, JobOutcome, JobParams, JobState, ModelManifest, ModelSignature,
    OfferTerms, OriginFormat, Priority, RuntimeClass, SemVer, Tensor, TensorSpec, Tensors, WorkerRecord,
    api::runtime_decl_for_jobs_api::JobsApiV1, traits::ReputationProvider,
};
use sp_core::H256;
use sp_io::hashing::twox_128;
use sp_runtime::Perbill;

pub(super) const HOST: Sr25519Keyring = Sr25519Keyring::Charlie;
pub(super) const DELEGATOR: Sr25519Keyring = Sr25519Keyring::Dave;
const AUTHOR: Sr25519Keyring = Sr25519Keyring::Eve;
pub(super) const CLIENT: Sr25519Keyring = Sr25519Keyring::Ferdie;
/// 20 million MACs at a milli-MESH a million.
pub(super) const FEE: Balance = 20 * MILLI_MESH;

pub(super) fn by(key: Sr25519Keyring) -> RuntimeOrigin {
    RuntimeOrigin::signed(account(key))
}

/// A block whose parent's author drew the number `luck`.
pub(super) fn block(luck: u8) {
    let key = [twox_128(b"Babe"), twox_128(b"AuthorVrfRandomness")].concat();
    unhashed::put(&key, &Some([luck; 32]));
    start_block();
}

fn spec(name: &str) -> TensorSpec {
    TensorSpec {
        name: name.as_bytes().to_vec().try_into().unwrap(),
        element_type: ElementType::F32,
        shape: vec![Dim::Fixed(2)].try_into().unwrap(),
    }
}

fn tensors(name: &str) -> Tensors {
    vec![Tensor::new(name, ElementType::F32, &[2], vec![0; 8]).unwrap()]
        .try_into()
        .unwrap()
}

pub(super) fn become_host(key: Sr25519Keyring) {
    assert_ok!(MeshStaking::bond(by(key), 10_000 * MESH));
    let record = WorkerRecord {
        peer_id: Default::default(),
        encryption_key: [0; 32],
        region: b"here".to_vec().try_into().unwrap(),
        endpoints: Default::default(),
        capability: vec![RuntimeClass::CpuFloat].try_into().unwrap(),
    };
    assert_ok!(MeshStaking::register_worker(by(key), record));
}

/// Number of the published version, offered by [`HOST`] alone.
fn market() -> u32 {
    become_host(HOST);
    assert_ok!(MeshStaking::set_commission(by(HOST), Perbill::from_percent(5)));
    assert_ok!(MeshStaking::delegate(by(DELEGATOR), account(HOST), 10_000 * MESH));
    let manifest = ModelManifest {
        content_id: H256::repeat_byte(1),
        size: 10,
        origin: OriginFormat::Onnx,
        signature: ModelSignature {
            inputs: vec![spec("x")].try_into().unwrap(),
            outputs: vec![spec("y")].try_into().unwrap(),
        },
        probe: Default::default(),
        runtime_class: RuntimeClass::CpuFloat,
        tolerance: Perbill::from_parts(500_000),
        complexity: 20_000_000,
        base_price: MILLI_MESH,
        licence: b"MIT".to_vec().try_into().unwrap(),
    };
    assert_ok!(ModelRegistry::register_namespace(
        by(AUTHOR),
        b"acme".to_vec().try_into().unwrap()
    ));
    let version = SemVer {
        major: 1,
        minor: 0,
        patch: 0,
    };
    assert_ok!(ModelRegistry::publish(
        by(AUTHOR),
        b"acme/m".to_vec().try_into().unwrap(),
        version,
        manifest
    ));
    let id = ModelRegistry::resolve(b"acme/m".to_vec(), None)
        .expect("it is published")
        .id;
    assert_ok!(ModelRegistry::offer(
        by(HOST),
        id,
        OfferTerms {
            price: MILLI_MESH,
            capacity: 2
        }
    ));
    id
}

fn submit(model: u32) -> u64 {
    let id = pallet_jobs::NextJobId::<Runtime>::get();
    let params = JobParams {
        max_fee: 3 * FEE,
        redundancy: 1,
        priority: Priority::Normal,
        min_reputation: Perbill::zero(),
    };
    assert_ok!(Jobs::submit(by(CLIENT), model, tensors("x"), params));
    id
}

fn job(id: u64) -> llmesh_primitives::Job<AccountId, BlockNumber> {
    pallet_jobs::Jobs::<Runtime>::get(id).expect("the record is kept")
}

pub(super) fn run(test: impl FnOnce(u32)) {
    chain(LOCAL_TESTNET_RUNTIME_PRESET).execute_with(|| {
        block(1);
        let issuance = Balances::total_issuance();
        let model = market();
        test(model);
        assert_eq!(Balances::total_issuance(), issuance);
        MeshStaking::do_try_state().unwrap();
        ModelRegistry::do_try_state().unwrap();
        Settlement::do_try_state().unwrap();
        Jobs::do_try_state().unwrap();
    });
}

#[test]
fn a_job_pays_host_delegators_pool_and_treasury_exactly() {
    run(|model| {
        let free = |who: &AccountId| Balances::balance(who);
        let (host, pool, treasury) = (account(HOST), Settlement::pool_account(), TreasuryAccount::get());
        let before = (free(&host), free(&pool), free(&treasury));

        let id = submit(model);
        block(2);
        assert_eq!(job(id).assignments[0].host, host);
        assert_ok!(Jobs::submit_result(by(HOST), id, tensors("y"), None));

        let account_of = job(id).account;
        assert_eq!(job(id).state, JobState::Finished(JobOutcome::Settled));
        assert_eq!(
            (
                account_of.host_paid,
                account_of.pool_paid,
                account_of.treasury_paid,
                account_of.refunded
            ),
            (FEE * 7 / 10, FEE * 2 / 10, FEE / 10, 2 * FEE)
        );
        // Half of the stake is delegated: half of what the commission leaves is the delegator's.
        let delegators = FEE * 7 / 10 * 95 / 100 / 2;
        assert_eq!(free(&host), before.0 + FEE * 7 / 10 - delegators);
        assert_eq!(free(&pool), before.1 + FEE * 2 / 10);
        assert_eq!(free(&treasury), before.2 + FEE / 10);
        assert_eq!(MeshStaking::pending_rewards(host, account(DELEGATOR)), delegators);
    });
}

#[test]
fn hosts_are_listed_with_what_they_offer() {
    run(|model| {
        become_host(Sr25519Keyring::Eve);
        let mut all = Vec::new();
        while let [next] = &Runtime::hosts(all.last().map(|(who, _): &(AccountId, _)| who.clone()), 1)[..] {
            all.push(next.clone());
        }
        assert_eq!(Runtime::hosts(None, 100), all);
        let offers = |who| {
            let (_, status) = all
                .iter()
                .find(|(host, _)| *host == account(who))
                .expect("it is a host");
            assert_eq!(*status, Runtime::host_status(account(who)));
            status.offers.iter().map(|(id, _)| *id).collect::<Vec<_>>()
        };
        assert_eq!(all.len(), 2);
        assert_eq!((offers(HOST), offers(Sr25519Keyring::Eve)), (vec![model], vec![]));
    });
}

#[test]
fn a_late_host_loses_reputation_and_another_finishes_the_job() {
    run(|model| {
        let score = |key| <Reputation as ReputationProvider<AccountId>>::score(&account(key));
        let id = submit(model);
        block(2);
        let fresh = score(HOST);
        become_host(Sr25519Keyring::BobStash);
        let terms = OfferTerms {
            price: MILLI_MESH,
            capacity: 2,
        };
        assert_ok!(ModelRegistry::offer(by(Sr25519Keyring::BobStash), model, terms));
        (3..=13).for_each(block);

        assert!(score(HOST) < fresh);
        assert_eq!(job(id).assignments[0].state, AssignmentState::TimedOut);
        assert_eq!(job(id).assignments[1].host, account(Sr25519Keyring::BobStash));
        assert_ok!(Jobs::submit_result(
            by(Sr25519Keyring::BobStash),
            id,
            tensors("y"),
            None
        ));
        assert_eq!(job(id).account.fee, FEE);
    });
}

#[test]
fn a_slash_takes_the_same_part_of_everything_behind_a_host() {
    use llmesh_primitives::traits::StakeProvider;
    run(|_| {
        let host = account(HOST);
        assert_ok!(MeshStaking::unbond(by(DELEGATOR), host.clone(), 4_000 * MESH));
        let treasury = Balances::balance(&TreasuryAccount::get());
        let taken = <MeshStaking as StakeProvider<AccountId>>::slash(&host, Perbill::from_percent(10), None);
        assert_eq!(taken, 2_000 * MESH);
        let stake = MeshStaking::operator(host).expect("it is still bonded");
        assert_eq!(
            (stake.own, stake.delegated, stake.unbonding),
            (9_000 * MESH, 5_400 * MESH, 3_600 * MESH)
        );
        assert_eq!(Balances::balance(&TreasuryAccount::get()), treasury + taken);
    });
}

#[test]
fn a_hot_key_can_serve_but_not_move_the_stake() {
    let filter = |call: RuntimeCall| ProxyType::Compute.filter(&call);
    assert!(filter(RuntimeCall::Jobs(pallet_jobs::Call::resume {})));
    assert!(filter(RuntimeCall::MeshStaking(
        pallet_mesh_staking::Call::chill {}
    )));
    assert!(filter(RuntimeCall::Settlement(
        pallet_settlement::Call::claim_batch {
            claims: Default::default()
        }
    )));
    assert!(filter(RuntimeCall::Settlement(
        pallet_settlement::Call::release_lane { channel: 0, lane: 0 }
    )));
    assert!(!filter(RuntimeCall::Settlement(pallet_settlement::Call::close {
        channel: 0
    })));
    assert!(!filter(RuntimeCall::Settlement(
        pallet_settlement::Call::fund_lane {
            channel: 0,
            lane: 0,
            amount: 1
        }
    )));
    assert!(!ProxyType::NonTransfer.filter(&RuntimeCall::Settlement(
        pallet_settlement::Call::open_channel {
            signer: account(HOST),
            lanes: Default::default(),
            lifetime: 1
        }
    )));
    let operator = account(HOST);
    assert!(!filter(RuntimeCall::MeshStaking(
        pallet_mesh_staking::Call::unbond {
            operator: operator.clone(),
            value: 1
        }
    )));
    assert!(!filter(RuntimeCall::MeshStaking(
        pallet_mesh_staking::Call::delegate { operator, value: 1 }
    )));
    assert!(!filter(RuntimeCall::Balances(
        pallet_balances::Call::transfer_all {
            dest: account(DELEGATOR).into(),
            keep_alive: false
        }
    )));
}

#[test]
fn whoever_pays_itself_gets_no_more_back_than_it_paid() {
    use crate::configs::compute::{BonusShare, HostShare, PoolShare};
    const FEES: u128 = 1_000_000;
    let cut = PoolShare::get().mul_floor(FEES);
    assert!(HostShare::get().mul_floor(FEES) + cut < FEES);
    let bonus = BonusShare::get().mul_floor(cut);
    let verifiers = pallet_attestation::REWARD_SHARE.mul_floor(FEES);
    assert!(bonus + verifiers <= cut);
}
