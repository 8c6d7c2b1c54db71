use crate::{mock::*, *};
use frame_support::{assert_noop, assert_ok};
use llmesh_primitives::traits::{StakeProvider, VerifierInfo, VerifierSet};
use sp_runtime::Perbill;

fn percent(n: u32) -> Perbill {
    Perbill::from_percent(n)
}

#[test]
fn a_verifier_needs_the_minimum_bond() {
    ExtBuilder::anna().build_and_execute(|| {
        assert!(!Staking::is_verifier(&ANNA));
        assert_ok!(Staking::verify(signed(ANNA)));
        assert!(Staking::is_verifier(&ANNA));
        assert!(!Staking::is_host(&ANNA));
        assert_eq!(
            events(),
            vec![Event::RoleOn {
                operator: ANNA,
                role: Role::Verifier
            }]
        );
        assert_noop!(Staking::verify(signed(ANNA)), Error::<Test>::RoleAlreadyOn);
        assert_noop!(Staking::verify(signed(BERT)), Error::<Test>::NotOperator);
        assert_ok!(Staking::chill(signed(ANNA)));
        assert_ok!(Staking::unbond(signed(ANNA), ANNA, 2 * MIN_BOND));
        assert_noop!(Staking::verify(signed(ANNA)), Error::<Test>::BelowMinBond);
    });
}

#[test]
fn a_validator_needs_keys_and_the_minimum_bond() {
    ExtBuilder::anna().build_and_execute(|| {
        assert_noop!(Staking::validate(signed(ANNA)), Error::<Test>::NoSessionKeys);
        assert_noop!(Staking::validate(signed(BERT)), Error::<Test>::NotOperator);
        set_keys(ANNA);
        assert_ok!(Staking::validate(signed(ANNA)));
        assert!(Candidates::<Test>::contains_key(ANNA));
        assert_eq!(
            events(),
            vec![Event::RoleOn {
                operator: ANNA,
                role: Role::Validator
            }]
        );
        assert_noop!(Staking::validate(signed(ANNA)), Error::<Test>::RoleAlreadyOn);
        assert_ok!(Staking::chill(signed(ANNA)));
        assert_ok!(Staking::unbond(signed(ANNA), ANNA, 2 * MIN_BOND));
        assert_noop!(Staking::validate(signed(ANNA)), Error::<Test>::BelowMinBond);
    });
}

#[test]
fn there_is_a_limited_number_of_candidates() {
    let mut builder = ExtBuilder::anna().keys(ANNA);
    for who in 31..36 {
        builder = builder.validator(who, MIN_BOND);
    }
    builder.build_and_execute(|| {
        assert_noop!(Staking::validate(signed(ANNA)), Error::<Test>::TooManyCandidates);
        assert_ok!(Staking::chill(signed(31)));
        assert_ok!(Staking::validate(signed(ANNA)));
    });
}

#[test]
fn verifiers_are_listed_with_stake_and_classes() {
    ExtBuilder::anna().build_and_execute(|| {
        assert_ok!(Staking::verify(signed(ANNA)));
        // Without a worker record nobody knows what it can run.
        assert_eq!(<Staking as VerifierSet<u64>>::verifiers(), vec![]);
        assert_ok!(Staking::register_worker(signed(ANNA), record()));
        assert_ok!(Staking::delegate(signed(DORA), ANNA, 100));
        assert_eq!(
            <Staking as VerifierSet<u64>>::verifiers(),
            vec![VerifierInfo {
                account: ANNA,
                stake: 2 * MIN_BOND + 100,
                classes: record().capability,
            }]
        );
        // Whoever staked behind a host has an interest in it; the host can not make it so.
        assert!(<Staking as VerifierSet<u64>>::has_interest(&ANNA, &ANNA));
        assert!(<Staking as VerifierSet<u64>>::has_interest(&DORA, &ANNA));
        assert!(!<Staking as VerifierSet<u64>>::has_interest(&ANNA, &DORA));
        assert_ok!(Staking::chill(signed(ANNA)));
        assert_eq!(<Staking as VerifierSet<u64>>::verifiers(), vec![]);
    });
}

#[test]
fn there_is_a_limited_number_of_verifiers() {
    let mut builder = ExtBuilder::anna();
    for who in 31..34 {
        builder = builder.validator(who, MIN_BOND);
    }
    builder.build_and_execute(|| {
        for who in 31..34 {
            assert_ok!(Staking::verify(signed(who)));
        }
        assert_noop!(Staking::verify(signed(ANNA)), Error::<Test>::TooManyVerifiers);
        assert_ok!(Staking::chill(signed(31)));
        assert_ok!(Staking::verify(signed(ANNA)));
    });
}

#[test]
fn chilling_switches_all_roles_off() {
    ExtBuilder::empty()
        .validator(ANNA, MIN_BOND)
        .build_and_execute(|| {
            assert_ok!(Staking::verify(signed(ANNA)));
            assert_ok!(Staking::register_worker(signed(ANNA), record()));
            assert!(Staking::is_host(&ANNA));
            System::reset_events();
            assert_ok!(Staking::chill(signed(ANNA)));
            assert_eq!(events(), vec![Event::Chilled { operator: ANNA }]);
            assert!(!operator(ANNA).roles.any());
            assert!(!Staking::is_host(&ANNA) && !Staking::is_verifier(&ANNA));
            assert_eq!(Candidates::<Test>::count(), 0);
            // The record stays and is paid for.
            assert!(held(HoldReason::WorkerDeposit, ANNA) > 0);
            assert_noop!(Staking::chill(signed(ANNA)), Error::<Test>::NoRole);
            assert_noop!(Staking::chill(signed(BERT)), Error::<Test>::NotOperator);
        });
}

#[test]
fn without_delegators_only_the_maximum_limits_the_commission() {
    ExtBuilder::anna().build_and_execute(|| {
        assert_noop!(
            Staking::set_commission(signed(BERT), percent(1)),
            Error::<Test>::NotOperator
        );
        assert_noop!(
            Staking::set_commission(signed(ANNA), percent(51)),
            Error::<Test>::CommissionTooHigh
        );
        assert_ok!(Staking::set_commission(signed(ANNA), percent(50)));
        assert_eq!(operator(ANNA).commission, percent(50));
        assert_eq!(
            events(),
            vec![Event::CommissionSet {
                operator: ANNA,
                commission: percent(50)
            }]
        );
    });
}

#[test]
fn with_delegators_the_commission_rises_slowly() {
    ExtBuilder::anna().build_and_execute(|| {
        assert_ok!(Staking::set_commission(signed(ANNA), percent(10)));
        assert_ok!(Staking::delegate(signed(DORA), ANNA, 100));
        assert_noop!(
            Staking::set_commission(signed(ANNA), percent(16)),
            Error::<Test>::RaiseTooLarge
        );
        assert_ok!(Staking::set_commission(signed(ANNA), percent(15)));
        assert_noop!(
            Staking::set_commission(signed(ANNA), percent(16)),
            Error::<Test>::RaiseTooSoon
        );
        // Lowering is free, but does not open a way round.
        assert_ok!(Staking::set_commission(signed(ANNA), percent(14)));
        assert_noop!(
            Staking::set_commission(signed(ANNA), percent(15)),
            Error::<Test>::RaiseTooSoon
        );
        run_blocks(10);
        assert_ok!(Staking::set_commission(signed(ANNA), percent(19)));
    });
}
