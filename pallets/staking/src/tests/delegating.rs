use crate::{mock::*, *};
use frame_support::{assert_noop, assert_ok};
use llmesh_primitives::traits::StakeProvider;

#[test]
fn delegating_adds_to_the_operators_stake() {
    ExtBuilder::anna().build_and_execute(|| {
        assert_ok!(Staking::delegate(signed(DORA), ANNA, 300));
        assert_eq!(operator(ANNA).delegated, 300);
        assert_eq!(operator(ANNA).delegators, 1);
        assert_eq!(held(HoldReason::Delegation, DORA), 300);
        assert_eq!(held(HoldReason::Bond, DORA), 0);
        assert_eq!(Staking::stake_of(&ANNA), 2_300);
        assert_eq!(Staking::stake_of(&STRANGER), 0);
        assert_eq!(
            events(),
            vec![Event::Delegated {
                operator: ANNA,
                delegator: DORA,
                amount: 300
            }]
        );
    });
}

#[test]
fn a_delegation_has_a_minimum_a_top_up_has_none() {
    ExtBuilder::anna().build_and_execute(|| {
        assert_noop!(
            Staking::delegate(signed(DORA), ANNA, 0),
            Error::<Test>::ZeroAmount
        );
        assert_noop!(
            Staking::delegate(signed(DORA), ANNA, 9),
            Error::<Test>::BelowMinDelegation
        );
        assert_ok!(Staking::delegate(signed(DORA), ANNA, 10));
        assert_ok!(Staking::delegate(signed(DORA), ANNA, 1));
        assert_eq!(bond_of(ANNA, DORA).active, 11);
        assert_eq!(operator(ANNA).delegators, 1);
    });
}

#[test]
fn delegations_go_to_operators_with_the_minimum_bond() {
    ExtBuilder::anna().build_and_execute(|| {
        assert_noop!(
            Staking::delegate(signed(ANNA), ANNA, 10),
            Error::<Test>::DelegationToSelf
        );
        assert_noop!(
            Staking::delegate(signed(DORA), BERT, 10),
            Error::<Test>::NotOperator
        );
        assert_noop!(
            Staking::delegate(signed(DORA), ANNA, ENDOWMENT),
            Error::<Test>::InsufficientBalance
        );
        assert_ok!(Staking::unbond(signed(ANNA), ANNA, 2 * MIN_BOND));
        assert_noop!(
            Staking::delegate(signed(DORA), ANNA, 10),
            Error::<Test>::OperatorBelowMinBond
        );
    });
}

#[test]
fn an_operator_has_a_limited_number_of_delegators() {
    ExtBuilder::anna().build_and_execute(|| {
        for who in 31..35 {
            assert_ok!(Staking::delegate(signed(who), ANNA, 10));
        }
        assert_noop!(
            Staking::delegate(signed(DORA), ANNA, 10),
            Error::<Test>::TooManyDelegators
        );
        // Those who are in can still add.
        assert_ok!(Staking::delegate(signed(31), ANNA, 10));
        // A seat is free again when somebody has left for good.
        assert_ok!(Staking::unbond(signed(31), ANNA, 20));
        assert_noop!(
            Staking::delegate(signed(DORA), ANNA, 10),
            Error::<Test>::TooManyDelegators
        );
        run_blocks(10);
        assert_ok!(Staking::withdraw(signed(31), ANNA));
        assert_ok!(Staking::delegate(signed(DORA), ANNA, 10));
    });
}

#[test]
fn an_account_can_operate_and_delegate_to_several_operators() {
    ExtBuilder::anna()
        .operator(BERT, MIN_BOND, false)
        .operator(CARL, MIN_BOND, false)
        .build_and_execute(|| {
            assert_ok!(Staking::delegate(signed(ANNA), BERT, 100));
            assert_ok!(Staking::delegate(signed(ANNA), CARL, 50));
            assert_eq!(held(HoldReason::Bond, ANNA), 2 * MIN_BOND);
            assert_eq!(held(HoldReason::Delegation, ANNA), 150);
        });
}

#[test]
fn delegators_leave_a_chilled_operator() {
    ExtBuilder::empty()
        .validator(ANNA, MIN_BOND)
        .build_and_execute(|| {
            assert_ok!(Staking::delegate(signed(DORA), ANNA, 100));
            assert_ok!(Staking::chill(signed(ANNA)));
            assert_ok!(Staking::unbond(signed(DORA), ANNA, 100));
            run_blocks(10);
            assert_ok!(Staking::withdraw(signed(DORA), ANNA));
            assert_eq!(free(DORA), ENDOWMENT);
        });
}

#[test]
fn delegators_leave_an_operator_that_is_gone() {
    ExtBuilder::anna().build_and_execute(|| {
        assert_ok!(Staking::delegate(signed(DORA), ANNA, 100));
        assert_ok!(Staking::unbond(signed(ANNA), ANNA, 2 * MIN_BOND));
        run_blocks(10);
        assert_ok!(Staking::withdraw(signed(ANNA), ANNA));
        assert_eq!(operator(ANNA).own, 0);
        assert_ok!(Staking::unbond(signed(DORA), ANNA, 100));
        run_blocks(10);
        System::reset_events();
        assert_ok!(Staking::withdraw(signed(DORA), ANNA));
        assert_eq!(free(DORA), ENDOWMENT);
        assert_eq!(
            events(),
            vec![
                Event::Withdrawn {
                    operator: ANNA,
                    staker: DORA,
                    amount: 100
                },
                Event::OperatorRemoved { operator: ANNA },
            ]
        );
        assert!(!Operators::<Test>::contains_key(ANNA));
    });
}
