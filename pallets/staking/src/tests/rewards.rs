use crate::{mock::*, *};
use frame_support::{
    assert_noop, assert_ok,
    traits::{
        fungible::Mutate,
        tokens::Preservation::{Expendable, Preserve},
    },
};
use llmesh_primitives::traits::RewardSink;
use sp_runtime::{ArithmeticError, Perbill, TokenError};

fn delegated() -> ExtBuilder {
    ExtBuilder::anna()
}

fn setup() {
    assert_ok!(Staking::delegate(signed(DORA), ANNA, 500));
    assert_ok!(Staking::delegate(signed(EMIL), ANNA, 1_500));
}

fn claim(who: AccountId) -> u128 {
    let before = free(who);
    assert_ok!(Staking::claim_rewards(signed(who), ANNA));
    free(who) - before
}

#[test]
fn revenue_is_shared_by_stake_after_the_commission() {
    delegated().build_and_execute(|| {
        assert_ok!(Staking::set_commission(signed(ANNA), Perbill::from_percent(10)));
        setup();
        System::reset_events();
        let before = free(ANNA);
        assert_ok!(pay(ANNA, 1_000));
        // 900 are shared, half of the stake is delegated.
        assert_eq!(free(ANNA), before + 550);
        assert_eq!(pot(), EXISTENTIAL_DEPOSIT + 450);
        assert_eq!(
            events(),
            vec![Event::RewardShared {
                operator: ANNA,
                amount: 1_000,
                delegators: 450
            }]
        );
        assert_eq!(Staking::pending_rewards(ANNA, DORA), 112);
        assert_eq!(Staking::pending_rewards(ANNA, EMIL), 337);
        assert_eq!(claim(DORA), 112);
        assert_eq!(claim(EMIL), 337);
        // What rounding leaves stays in the pot.
        assert_eq!(pot(), EXISTENTIAL_DEPOSIT + 1);
        assert_eq!(Staking::pending_rewards(ANNA, DORA), 0);
    });
}

#[test]
fn claims_are_paid_once() {
    delegated().build_and_execute(|| {
        setup();
        assert_noop!(
            Staking::claim_rewards(signed(DORA), ANNA),
            Error::<Test>::NothingToClaim
        );
        assert_ok!(pay(ANNA, 800));
        System::reset_events();
        assert_eq!(claim(DORA), 100);
        assert_eq!(
            events(),
            vec![Event::RewardClaimed {
                operator: ANNA,
                staker: DORA,
                amount: 100
            }]
        );
        assert_noop!(
            Staking::claim_rewards(signed(DORA), ANNA),
            Error::<Test>::NothingToClaim
        );
        // The operator's part is in its free balance already.
        assert_noop!(
            Staking::claim_rewards(signed(ANNA), ANNA),
            Error::<Test>::NothingToClaim
        );
        assert_eq!(Staking::pending_rewards(ANNA, ANNA), 0);
        assert_noop!(
            Staking::claim_rewards(signed(BERT), ANNA),
            Error::<Test>::NotBonded
        );
        assert_noop!(
            Staking::claim_rewards(signed(DORA), BERT),
            Error::<Test>::NotOperator
        );
        assert_eq!(Staking::pending_rewards(BERT, DORA), 0);
    });
}

#[test]
fn nobody_earns_from_before_its_time() {
    delegated().build_and_execute(|| {
        assert_ok!(Staking::delegate(signed(DORA), ANNA, 2_000));
        assert_ok!(pay(ANNA, 1_000));
        assert_ok!(Staking::delegate(signed(EMIL), ANNA, 4_000));
        assert_eq!(Staking::pending_rewards(ANNA, DORA), 500);
        assert_eq!(Staking::pending_rewards(ANNA, EMIL), 0);
        assert_ok!(pay(ANNA, 800));
        assert_eq!(Staking::pending_rewards(ANNA, DORA), 700);
        assert_eq!(Staking::pending_rewards(ANNA, EMIL), 400);
    });
}

#[test]
fn a_change_of_the_delegation_keeps_what_was_earned() {
    delegated().build_and_execute(|| {
        assert_ok!(Staking::delegate(signed(DORA), ANNA, 2_000));
        assert_ok!(pay(ANNA, 1_000));
        assert_ok!(Staking::delegate(signed(DORA), ANNA, 2_000));
        assert_eq!(Staking::pending_rewards(ANNA, DORA), 500);
        assert_ok!(Staking::unbond(signed(DORA), ANNA, 2_000));
        assert_ok!(pay(ANNA, 1_000));
        // What is unbonding earns nothing.
        assert_eq!(Staking::pending_rewards(ANNA, DORA), 1_000);
        assert_ok!(Staking::rebond(signed(DORA), ANNA, 2_000));
        assert_eq!(Staking::pending_rewards(ANNA, DORA), 1_000);
        assert_ok!(pay(ANNA, 900));
        assert_eq!(Staking::pending_rewards(ANNA, DORA), 1_600);
    });
}

#[test]
fn who_leaves_is_paid_what_it_earned() {
    delegated().build_and_execute(|| {
        assert_ok!(Staking::delegate(signed(DORA), ANNA, 2_000));
        assert_ok!(pay(ANNA, 1_000));
        assert_ok!(Staking::unbond(signed(DORA), ANNA, 2_000));
        run_blocks(10);
        System::reset_events();
        assert_ok!(Staking::withdraw(signed(DORA), ANNA));
        assert_eq!(free(DORA), ENDOWMENT + 500);
        assert_eq!(
            events(),
            vec![
                Event::Withdrawn {
                    operator: ANNA,
                    staker: DORA,
                    amount: 2_000
                },
                Event::RewardClaimed {
                    operator: ANNA,
                    staker: DORA,
                    amount: 500
                },
            ]
        );
        assert_eq!(operator(ANNA).delegators, 0);
    });
}

#[test]
fn revenue_that_can_not_be_paid_stays_claimable() {
    delegated().build_and_execute(|| {
        assert_ok!(Staking::delegate(signed(DORA), ANNA, 2_000));
        assert_ok!(pay(ANNA, 1_000));
        assert_ok!(Staking::unbond(signed(DORA), ANNA, 2_000));
        run_blocks(10);
        // The pot can not pay: never outside of this test.
        let pot = Staking::pot_account();
        assert_ok!(Balances::transfer(&pot, &PAYER, 500, Preserve));
        assert_ok!(Staking::withdraw(signed(DORA), ANNA));
        assert_eq!(free(DORA), ENDOWMENT);
        assert_eq!(operator(ANNA).delegators, 1);
        assert_ok!(Balances::transfer(&PAYER, &pot, 500, Preserve));
        assert_eq!(claim(DORA), 500);
        assert_eq!(operator(ANNA).delegators, 0);
        assert!(Bonds::<Test>::get(ANNA, DORA).is_none());
    });
}

#[test]
fn without_delegators_or_operator_nothing_is_shared() {
    delegated().build_and_execute(|| {
        assert_ok!(pay(ANNA, 1_000));
        assert_ok!(pay(BERT, 1_000));
        assert_eq!(free(ANNA), ENDOWMENT - 2 * MIN_BOND + 1_000);
        assert_eq!(free(BERT), ENDOWMENT + 1_000);
        assert_eq!(pot(), EXISTENTIAL_DEPOSIT);
        assert_eq!(events(), vec![]);
    });
}

#[test]
fn an_operator_that_is_gone_shares_all_but_the_commission() {
    delegated().build_and_execute(|| {
        setup();
        assert_ok!(Staking::unbond(signed(ANNA), ANNA, 2 * MIN_BOND));
        assert_ok!(pay(ANNA, 1_000));
        assert_eq!(pot(), EXISTENTIAL_DEPOSIT + 1_000);
    });
}

#[test]
fn a_part_too_small_to_share_stays_with_the_operator() {
    delegated().build_and_execute(|| {
        setup();
        let before = free(ANNA);
        assert_ok!(pay(ANNA, 1));
        assert_eq!(free(ANNA), before + 1);
        assert_eq!(pot(), EXISTENTIAL_DEPOSIT);
    });
}

#[test]
fn a_share_that_can_not_be_moved_is_an_error() {
    delegated().build_and_execute(|| {
        setup();
        let available = free(ANNA);
        assert_noop!(
            Staking::on_reward(&ANNA, 4 * available),
            TokenError::FundsUnavailable
        );
        assert_noop!(Staking::on_reward(&ANNA, 2 * available), TokenError::Frozen);
        assert_noop!(Staking::on_reward(&ANNA, u128::MAX), ArithmeticError::Overflow);
    });
}

#[test]
fn gifts_to_the_pot_change_no_claim() {
    delegated().build_and_execute(|| {
        setup();
        assert_ok!(pay(ANNA, 800));
        assert_ok!(Balances::transfer(
            &PAYER,
            &Staking::pot_account(),
            77,
            Expendable
        ));
        assert_eq!(Staking::pending_rewards(ANNA, DORA), 100);
    });
}
