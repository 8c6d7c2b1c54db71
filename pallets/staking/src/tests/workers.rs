use crate::{mock::*, *};
use codec::Encode;
use frame_support::{assert_noop, assert_ok};
use llmesh_primitives::{WorkerRecord, traits::StakeProvider};

fn with_region(region: &[u8]) -> WorkerRecord {
    WorkerRecord {
        region: region.to_vec().try_into().unwrap(),
        ..record()
    }
}

fn with_endpoint(endpoint: &[u8]) -> WorkerRecord {
    let endpoint = endpoint.to_vec().try_into().unwrap();
    WorkerRecord {
        endpoints: vec![endpoint].try_into().unwrap(),
        ..record()
    }
}

#[test]
fn registering_a_worker_makes_a_host() {
    ExtBuilder::anna().build_and_execute(|| {
        assert!(!Staking::is_host(&ANNA));
        assert_ok!(Staking::register_worker(signed(ANNA), record()));
        assert!(Staking::is_host(&ANNA));
        let deposit = 100 + record().encode().len() as u128;
        assert_eq!(held(HoldReason::WorkerDeposit, ANNA), deposit);
        assert_eq!(
            events(),
            vec![
                Event::WorkerRegistered {
                    operator: ANNA,
                    deposit
                },
                Event::RoleOn {
                    operator: ANNA,
                    role: Role::Host
                },
            ]
        );
    });
}

#[test]
fn a_new_record_replaces_the_old_one() {
    ExtBuilder::anna().build_and_execute(|| {
        assert_ok!(Staking::register_worker(signed(ANNA), with_region(b"eu")));
        let small = held(HoldReason::WorkerDeposit, ANNA);
        System::reset_events();
        assert_ok!(Staking::register_worker(signed(ANNA), with_region(b"eu-west-1")));
        assert_eq!(held(HoldReason::WorkerDeposit, ANNA), small + 7);
        assert_eq!(
            events(),
            vec![Event::WorkerRegistered {
                operator: ANNA,
                deposit: small + 7
            }]
        );
        assert_ok!(Staking::register_worker(signed(ANNA), with_region(b"eu")));
        assert_eq!(held(HoldReason::WorkerDeposit, ANNA), small);
        assert_eq!(Staking::operator(ANNA).unwrap().worker, Some(with_region(b"eu")));
    });
}

#[test]
fn a_chilled_host_registers_again() {
    ExtBuilder::anna().build_and_execute(|| {
        assert_ok!(Staking::register_worker(signed(ANNA), record()));
        assert_ok!(Staking::chill(signed(ANNA)));
        assert_ok!(Staking::register_worker(signed(ANNA), record()));
        assert!(Staking::is_host(&ANNA));
    });
}

#[test]
fn records_are_checked() {
    ExtBuilder::anna().build_and_execute(|| {
        for region in ["eu west".as_bytes(), "münchen".as_bytes(), b"eu\n", &[0]] {
            assert_noop!(
                Staking::register_worker(signed(ANNA), with_region(region)),
                Error::<Test>::InvalidRegion
            );
        }
        for endpoint in [b"".as_slice(), b"/ip4/\xff", b"/dns/a\0b", b"/dns/a\n"] {
            assert_noop!(
                Staking::register_worker(signed(ANNA), with_endpoint(endpoint)),
                Error::<Test>::InvalidEndpoint
            );
        }
        assert_ok!(Staking::register_worker(
            signed(ANNA),
            with_endpoint("/dns/münchen.example".as_bytes())
        ));
        // A worker that takes part in no mesh.
        let empty = WorkerRecord {
            peer_id: Default::default(),
            encryption_key: [0; 32],
            region: Default::default(),
            endpoints: Default::default(),
            capability: Default::default(),
        };
        assert_ok!(Staking::register_worker(signed(ANNA), empty));
    });
}

#[test]
fn a_host_needs_the_minimum_bond_and_the_deposit() {
    ExtBuilder::anna().build_and_execute(|| {
        assert_noop!(
            Staking::register_worker(signed(BERT), record()),
            Error::<Test>::NotOperator
        );
        assert_ok!(Staking::bond(signed(BERT), ENDOWMENT - EXISTENTIAL_DEPOSIT));
        assert_noop!(
            Staking::register_worker(signed(BERT), record()),
            Error::<Test>::InsufficientBalance
        );
        assert_ok!(Staking::unbond(signed(ANNA), ANNA, 2 * MIN_BOND));
        assert_noop!(
            Staking::register_worker(signed(ANNA), record()),
            Error::<Test>::BelowMinBond
        );
    });
}

#[test]
fn deregistering_returns_the_deposit() {
    ExtBuilder::anna().build_and_execute(|| {
        assert_noop!(Staking::deregister_worker(signed(ANNA)), Error::<Test>::NoWorker);
        assert_ok!(Staking::verify(signed(ANNA)));
        assert_ok!(Staking::register_worker(signed(ANNA), record()));
        let deposit = held(HoldReason::WorkerDeposit, ANNA);
        System::reset_events();
        assert_ok!(Staking::deregister_worker(signed(ANNA)));
        assert_eq!(
            events(),
            vec![Event::WorkerDeregistered {
                operator: ANNA,
                deposit
            }]
        );
        assert_eq!(held(HoldReason::WorkerDeposit, ANNA), 0);
        assert!(!Staking::is_host(&ANNA));
        // Other roles stay.
        assert!(Staking::is_verifier(&ANNA));
    });
}

#[test]
fn an_operator_with_a_worker_record_stays() {
    ExtBuilder::anna().build_and_execute(|| {
        assert_ok!(Staking::register_worker(signed(ANNA), record()));
        assert_ok!(Staking::chill(signed(ANNA)));
        assert_ok!(Staking::unbond(signed(ANNA), ANNA, 2 * MIN_BOND));
        run_blocks(10);
        assert_ok!(Staking::withdraw(signed(ANNA), ANNA));
        assert!(Operators::<Test>::contains_key(ANNA));
        assert_ok!(Staking::deregister_worker(signed(ANNA)));
        assert!(!Operators::<Test>::contains_key(ANNA));
        assert_eq!(free(ANNA), ENDOWMENT);
    });
}
