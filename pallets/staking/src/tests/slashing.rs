use crate::{mock::*, *};
use frame_support::{
    assert_ok,
    traits::{
        fungible::{Inspect, Mutate},
        tokens::Preservation::Expendable,
    },
};
use llmesh_primitives::traits::StakeProvider;
use sp_runtime::Perbill;

fn percent(n: u32) -> Perbill {
    Perbill::from_percent(n)
}

#[test]
fn every_component_loses_the_same_fraction() {
    ExtBuilder::anna().build_and_execute(|| {
        assert_ok!(Staking::delegate(signed(DORA), ANNA, 1_003));
        assert_ok!(Staking::delegate(signed(EMIL), ANNA, 777));
        assert_ok!(Staking::unbond(signed(ANNA), ANNA, 555));
        assert_ok!(Staking::unbond(signed(DORA), ANNA, 101));
        run_blocks(1);
        assert_ok!(Staking::unbond(signed(DORA), ANNA, 49));
        System::reset_events();
        let treasury = free(TREASURY);

        let taken = Staking::slash(&ANNA, percent(10), Some(&REPORTER));

        // 1445, 555; 853, 101, 49; 777: each a tenth, rounded down.
        assert_eq!(operator(ANNA).own, 1_445 - 144);
        assert_eq!(chunks(ANNA, ANNA), vec![555 - 55]);
        assert_eq!(bond_of(ANNA, DORA).active, 853 - 85);
        assert_eq!(chunks(ANNA, DORA), vec![101 - 10, 49 - 4]);
        assert_eq!(bond_of(ANNA, EMIL).active, 777 - 77);
        assert_eq!(operator(ANNA).delegated, 853 + 777 - 85 - 77);
        assert_eq!(operator(ANNA).unbonding, 555 + 101 + 49 - 55 - 10 - 4);
        let amounts = SlashedAmounts {
            own: 144,
            delegated: 162,
            unbonding: 69,
        };
        assert_eq!(taken, 375);
        assert_eq!(taken, amounts.total());
        assert_eq!(held(HoldReason::Bond, ANNA), 2_000 - 199);
        assert_eq!(held(HoldReason::Delegation, DORA), 1_003 - 99);
        assert_eq!(held(HoldReason::Delegation, EMIL), 777 - 77);
        assert_eq!(free(REPORTER), ENDOWMENT + 37);
        assert_eq!(free(TREASURY), treasury + 338);
        assert_eq!(
            events(),
            vec![Event::Slashed {
                operator: ANNA,
                fraction: percent(10),
                amounts,
                reporter: Some(REPORTER),
                reporter_share: 37,
            }]
        );
    });
}

#[test]
fn other_bonds_of_the_same_accounts_are_left_alone() {
    ExtBuilder::anna()
        .operator(BERT, MIN_BOND, false)
        .build_and_execute(|| {
            assert_ok!(Staking::delegate(signed(DORA), ANNA, 100));
            assert_ok!(Staking::delegate(signed(DORA), BERT, 100));
            assert_ok!(Staking::delegate(signed(ANNA), BERT, 100));
            assert_ok!(Staking::register_worker(signed(ANNA), record()));
            let deposit = held(HoldReason::WorkerDeposit, ANNA);
            Staking::slash(&ANNA, percent(50), None);
            assert_eq!(bond_of(BERT, DORA).active, 100);
            assert_eq!(bond_of(BERT, ANNA).active, 100);
            assert_eq!(held(HoldReason::Delegation, DORA), 150);
            assert_eq!(held(HoldReason::WorkerDeposit, ANNA), deposit);
        });
}

#[test]
fn nothing_is_taken_from_strangers_or_with_a_fraction_of_zero() {
    ExtBuilder::anna().build_and_execute(|| {
        assert_eq!(Staking::slash(&BERT, percent(50), None), 0);
        assert_eq!(Staking::slash(&ANNA, Perbill::zero(), None), 0);
        assert_eq!(operator(ANNA).own, 2 * MIN_BOND);
        assert_eq!(events(), vec![]);
    });
}

#[test]
fn below_the_minimum_bond_all_roles_go() {
    ExtBuilder::empty()
        .validator(ANNA, 2 * MIN_BOND)
        .build_and_execute(|| {
            assert_ok!(Staking::verify(signed(ANNA)));
            assert_ok!(Staking::register_worker(signed(ANNA), record()));
            Staking::slash(&ANNA, percent(50), None);
            assert!(Staking::is_host(&ANNA) && Staking::is_verifier(&ANNA));
            assert!(Candidates::<Test>::contains_key(ANNA));
            System::reset_events();
            Staking::slash(&ANNA, percent(1), None);
            assert!(!operator(ANNA).roles.any());
            assert!(!Staking::is_host(&ANNA) && !Staking::is_verifier(&ANNA));
            assert!(!Candidates::<Test>::contains_key(ANNA));
            assert!(events().contains(&Event::Chilled { operator: ANNA }));
        });
}

#[test]
fn an_operator_gets_no_share_of_its_own_slash() {
    ExtBuilder::anna().build_and_execute(|| {
        let before = free(ANNA);
        Staking::slash(&ANNA, percent(10), Some(&ANNA));
        assert_eq!(free(ANNA), before);
        assert_eq!(free(TREASURY), ENDOWMENT + 200);
        Staking::slash(&ANNA, percent(10), None);
        assert_eq!(free(TREASURY), ENDOWMENT + 380);
    });
}

#[test]
fn a_reporter_that_can_not_be_paid_leaves_its_share() {
    ExtBuilder::anna().build_and_execute(|| {
        // 4 of 40 would be less than the existential deposit.
        Staking::slash(&ANNA, percent(2), Some(&STRANGER));
        assert_eq!(free(STRANGER), 0);
        assert_eq!(free(TREASURY), ENDOWMENT + 40);
        Staking::slash(&ANNA, percent(10), Some(&STRANGER));
        assert_eq!(free(STRANGER), 19);
        assert!(matches!(
            events().pop(),
            Some(Event::Slashed {
                reporter: Some(STRANGER),
                ..
            })
        ));
    });
}

#[test]
fn what_the_destination_can_not_take_is_burned() {
    ExtBuilder::anna().build_and_execute(|| {
        assert_ok!(Balances::transfer(&TREASURY, &PAYER, ENDOWMENT, Expendable));
        let issuance = Balances::total_issuance();
        assert_eq!(Staking::slash(&ANNA, Perbill::from_parts(2_000_000), None), 4);
        assert_eq!(Balances::total_issuance(), issuance - 4);
        assert_eq!(operator(ANNA).own, 2 * MIN_BOND - 4);
    });
}

#[test]
fn rewards_are_settled_before_a_slash() {
    ExtBuilder::anna().build_and_execute(|| {
        assert_ok!(Staking::delegate(signed(DORA), ANNA, 2_000));
        assert_ok!(pay(ANNA, 1_000));
        Staking::slash(&ANNA, percent(50), None);
        assert_eq!(Staking::pending_rewards(ANNA, DORA), 500);
        assert_ok!(pay(ANNA, 1_000));
        assert_eq!(Staking::pending_rewards(ANNA, DORA), 1_000);
    });
}

#[test]
fn everything_can_be_slashed() {
    ExtBuilder::anna().build_and_execute(|| {
        assert_ok!(Staking::delegate(signed(DORA), ANNA, 2_000));
        assert_ok!(Staking::delegate(signed(EMIL), ANNA, 2_000));
        assert_ok!(Staking::unbond(signed(EMIL), ANNA, 1_000));
        assert_eq!(Staking::slash(&ANNA, percent(100), None), 6_000);
        assert!(!Operators::<Test>::contains_key(ANNA));
        assert_eq!(Bonds::<Test>::iter().count(), 0);
        assert_eq!(Balances::total_balance(&DORA), ENDOWMENT - 2_000);
    });
}

#[test]
fn revenue_survives_the_loss_of_the_whole_bond() {
    ExtBuilder::anna().build_and_execute(|| {
        assert_ok!(Staking::delegate(signed(DORA), ANNA, 2_000));
        assert_ok!(pay(ANNA, 1_000));
        Staking::slash(&ANNA, percent(100), None);
        assert_eq!(Staking::pending_rewards(ANNA, DORA), 500);
        assert!(Operators::<Test>::contains_key(ANNA));
        assert_ok!(Staking::claim_rewards(signed(DORA), ANNA));
        assert_eq!(free(DORA), ENDOWMENT - 2_000 + 500);
        assert!(!Operators::<Test>::contains_key(ANNA));
    });
}

#[test]
fn matured_pieces_are_at_stake_until_they_are_withdrawn() {
    ExtBuilder::anna().build_and_execute(|| {
        assert_ok!(Staking::unbond(signed(ANNA), ANNA, 1_000));
        run_blocks(20);
        Staking::slash(&ANNA, percent(10), None);
        assert_ok!(Staking::withdraw(signed(ANNA), ANNA));
        assert_eq!(free(ANNA), ENDOWMENT - 2_000 + 900);
    });
}

#[test]
fn a_slash_that_the_holds_do_not_cover_changes_nothing() {
    use frame_support::traits::{fungible::MutateHold, tokens::Precision};
    ExtBuilder::anna().build().execute_with(|| {
        assert_ok!(Staking::delegate(signed(DORA), ANNA, 1_000));
        // Never outside of this test.
        assert_ok!(Balances::release(
            &HoldReason::Delegation.into(),
            &DORA,
            1_000,
            Precision::Exact
        ));
        let issuance = Balances::total_issuance();
        assert!(Staking::do_try_state().is_err());
        assert_eq!(Staking::slash(&ANNA, percent(10), None), 0);
        assert_eq!(operator(ANNA).own, 2 * MIN_BOND);
        assert_eq!(held(HoldReason::Bond, ANNA), 2 * MIN_BOND);
        assert_eq!(Balances::total_issuance(), issuance);
    });
}
