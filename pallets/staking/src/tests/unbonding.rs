use crate::{mock::*, *};
use frame_support::{assert_noop, assert_ok};

#[test]
fn unbonding_takes_the_period() {
    ExtBuilder::anna().build_and_execute(|| {
        assert_ok!(Staking::unbond(signed(ANNA), ANNA, 400));
        assert_eq!(
            events(),
            vec![Event::Unbonding {
                operator: ANNA,
                staker: ANNA,
                amount: 400,
                unlock_at: 11
            }]
        );
        assert_eq!((operator(ANNA).own, operator(ANNA).unbonding), (1_600, 400));
        assert_eq!(held(HoldReason::Bond, ANNA), 2_000);
        run_blocks(9);
        assert_noop!(
            Staking::withdraw(signed(ANNA), ANNA),
            Error::<Test>::NothingToWithdraw
        );
        run_blocks(1);
        assert_ok!(Staking::withdraw(signed(ANNA), ANNA));
        assert_eq!(held(HoldReason::Bond, ANNA), 1_600);
        assert_eq!(operator(ANNA).unbonding, 0);
        assert_noop!(
            Staking::withdraw(signed(ANNA), ANNA),
            Error::<Test>::NothingToWithdraw
        );
    });
}

#[test]
fn withdrawing_takes_what_is_due_and_leaves_the_rest() {
    ExtBuilder::anna().build_and_execute(|| {
        assert_ok!(Staking::delegate(signed(DORA), ANNA, 100));
        assert_ok!(Staking::unbond(signed(DORA), ANNA, 10));
        run_blocks(5);
        assert_ok!(Staking::unbond(signed(DORA), ANNA, 20));
        run_blocks(5);
        assert_ok!(Staking::withdraw(signed(DORA), ANNA));
        assert_eq!(chunks(ANNA, DORA), vec![20]);
        assert_eq!(held(HoldReason::Delegation, DORA), 90);
    });
}

#[test]
fn pieces_of_one_block_are_one() {
    ExtBuilder::anna().build_and_execute(|| {
        assert_ok!(Staking::unbond(signed(ANNA), ANNA, 1));
        assert_ok!(Staking::unbond(signed(ANNA), ANNA, 2));
        assert_eq!(chunks(ANNA, ANNA), vec![3]);
    });
}

#[test]
fn there_is_a_limited_number_of_pieces() {
    ExtBuilder::anna().build_and_execute(|| {
        for _ in 0..4 {
            assert_ok!(Staking::unbond(signed(ANNA), ANNA, 1));
            run_blocks(1);
        }
        assert_noop!(
            Staking::unbond(signed(ANNA), ANNA, 1),
            Error::<Test>::TooManyChunks
        );
        run_blocks(6);
        assert_ok!(Staking::withdraw(signed(ANNA), ANNA));
        assert_ok!(Staking::unbond(signed(ANNA), ANNA, 1));
    });
}

#[test]
fn only_what_is_bonded_unbonds() {
    ExtBuilder::anna().build_and_execute(|| {
        assert_ok!(Staking::delegate(signed(DORA), ANNA, 100));
        assert_noop!(Staking::unbond(signed(ANNA), ANNA, 0), Error::<Test>::ZeroAmount);
        assert_noop!(
            Staking::unbond(signed(ANNA), ANNA, 2_001),
            Error::<Test>::InsufficientBond
        );
        assert_noop!(
            Staking::unbond(signed(DORA), ANNA, 101),
            Error::<Test>::InsufficientBond
        );
        assert_noop!(Staking::unbond(signed(EMIL), ANNA, 1), Error::<Test>::NotBonded);
        assert_noop!(Staking::unbond(signed(EMIL), BERT, 1), Error::<Test>::NotOperator);
        assert_noop!(Staking::withdraw(signed(EMIL), ANNA), Error::<Test>::NotBonded);
        assert_noop!(Staking::withdraw(signed(EMIL), BERT), Error::<Test>::NotOperator);
    });
}

#[test]
fn what_stays_is_nothing_or_the_minimum() {
    ExtBuilder::anna().build_and_execute(|| {
        assert_ok!(Staking::delegate(signed(DORA), ANNA, 100));
        assert_noop!(
            Staking::unbond(signed(DORA), ANNA, 91),
            Error::<Test>::BelowMinDelegation
        );
        assert_ok!(Staking::unbond(signed(DORA), ANNA, 90));
        assert_ok!(Staking::unbond(signed(DORA), ANNA, 10));
        assert_noop!(
            Staking::unbond(signed(ANNA), ANNA, 1_001),
            Error::<Test>::BelowMinBond
        );
        assert_ok!(Staking::unbond(signed(ANNA), ANNA, 1_000));
        assert_ok!(Staking::unbond(signed(ANNA), ANNA, 1_000));
    });
}

#[test]
fn a_role_needs_the_minimum_bond() {
    ExtBuilder::anna().build_and_execute(|| {
        assert_ok!(Staking::verify(signed(ANNA)));
        assert_noop!(
            Staking::unbond(signed(ANNA), ANNA, 1_001),
            Error::<Test>::ChillFirst
        );
        assert_noop!(
            Staking::unbond(signed(ANNA), ANNA, 2_000),
            Error::<Test>::ChillFirst
        );
        assert_ok!(Staking::unbond(signed(ANNA), ANNA, 1_000));
        assert_ok!(Staking::chill(signed(ANNA)));
        assert_ok!(Staking::unbond(signed(ANNA), ANNA, 1_000));
    });
}

#[test]
fn an_operator_that_has_left_is_removed() {
    ExtBuilder::anna().build_and_execute(|| {
        assert_ok!(Staking::unbond(signed(ANNA), ANNA, 2_000));
        run_blocks(10);
        System::reset_events();
        assert_ok!(Staking::withdraw(signed(ANNA), ANNA));
        assert_eq!(
            events(),
            vec![
                Event::Withdrawn {
                    operator: ANNA,
                    staker: ANNA,
                    amount: 2_000
                },
                Event::OperatorRemoved { operator: ANNA },
            ]
        );
        assert_eq!(Operators::<Test>::count(), 0);
        assert_eq!(free(ANNA), ENDOWMENT);
    });
}

#[test]
fn rebonding_takes_the_latest_pieces_first() {
    ExtBuilder::anna().build_and_execute(|| {
        assert_ok!(Staking::delegate(signed(DORA), ANNA, 100));
        for value in [10, 20, 30] {
            assert_ok!(Staking::unbond(signed(DORA), ANNA, value));
            run_blocks(1);
        }
        System::reset_events();
        assert_ok!(Staking::rebond(signed(DORA), ANNA, 35));
        assert_eq!(
            events(),
            vec![Event::Rebonded {
                operator: ANNA,
                staker: DORA,
                amount: 35
            }]
        );
        assert_eq!(chunks(ANNA, DORA), vec![10, 15]);
        assert_eq!(bond_of(ANNA, DORA).active, 75);
        assert_eq!((operator(ANNA).delegated, operator(ANNA).unbonding), (75, 25));
        assert_ok!(Staking::rebond(signed(DORA), ANNA, 25));
        assert!(chunks(ANNA, DORA).is_empty());
    });
}

#[test]
fn an_own_bond_is_rebonded() {
    ExtBuilder::anna().build_and_execute(|| {
        assert_ok!(Staking::unbond(signed(ANNA), ANNA, 2_000));
        assert_noop!(
            Staking::rebond(signed(ANNA), ANNA, 999),
            Error::<Test>::BelowMinBond
        );
        assert_ok!(Staking::rebond(signed(ANNA), ANNA, 1_000));
        assert_eq!((operator(ANNA).own, operator(ANNA).unbonding), (1_000, 1_000));
    });
}

#[test]
fn only_what_is_unbonding_is_rebonded() {
    ExtBuilder::anna().build_and_execute(|| {
        assert_ok!(Staking::delegate(signed(DORA), ANNA, 100));
        assert_ok!(Staking::unbond(signed(DORA), ANNA, 100));
        assert_noop!(Staking::rebond(signed(DORA), ANNA, 0), Error::<Test>::ZeroAmount);
        assert_noop!(
            Staking::rebond(signed(DORA), ANNA, 101),
            Error::<Test>::InsufficientUnbonding
        );
        assert_noop!(
            Staking::rebond(signed(DORA), ANNA, 9),
            Error::<Test>::BelowMinDelegation
        );
        assert_noop!(Staking::rebond(signed(EMIL), ANNA, 1), Error::<Test>::NotBonded);
        assert_noop!(Staking::rebond(signed(EMIL), BERT, 1), Error::<Test>::NotOperator);
        assert_ok!(Staking::unbond(signed(ANNA), ANNA, 2_000));
        assert_noop!(
            Staking::rebond(signed(DORA), ANNA, 100),
            Error::<Test>::OperatorBelowMinBond
        );
    });
}

#[test]
fn a_shorter_period_holds_for_new_pieces() {
    ExtBuilder::anna().build_and_execute(|| {
        assert_ok!(Staking::unbond(signed(ANNA), ANNA, 1));
        UnbondingPeriod::set(2);
        assert_ok!(Staking::unbond(signed(ANNA), ANNA, 2));
        run_blocks(2);
        assert_ok!(Staking::withdraw(signed(ANNA), ANNA));
        assert_eq!(chunks(ANNA, ANNA), vec![1]);
    });
}
