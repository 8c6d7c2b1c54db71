use crate::{mock::*, *};
use frame_support::{assert_noop, assert_ok};

#[test]
fn bonding_makes_an_operator_and_holds_the_funds() {
    ExtBuilder::empty().build_and_execute(|| {
        assert_ok!(Staking::bond(signed(ANNA), MIN_BOND));
        assert_eq!(operator(ANNA).own, MIN_BOND);
        assert!(!operator(ANNA).roles.any());
        assert_eq!(held(HoldReason::Bond, ANNA), MIN_BOND);
        assert_eq!(free(ANNA), ENDOWMENT - MIN_BOND);
        assert_eq!(
            events(),
            vec![Event::Bonded {
                operator: ANNA,
                amount: MIN_BOND
            }]
        );
    });
}

#[test]
fn a_bond_has_a_minimum() {
    ExtBuilder::empty().build_and_execute(|| {
        assert_noop!(Staking::bond(signed(ANNA), 0), Error::<Test>::ZeroAmount);
        assert_noop!(
            Staking::bond(signed(ANNA), MIN_BOND - 1),
            Error::<Test>::BelowMinBond
        );
    });
}

#[test]
fn the_existential_deposit_stays_free() {
    ExtBuilder::empty().build_and_execute(|| {
        let all = ENDOWMENT - EXISTENTIAL_DEPOSIT;
        assert_noop!(
            Staking::bond(signed(ANNA), ENDOWMENT),
            Error::<Test>::InsufficientBalance
        );
        assert_noop!(
            Staking::bond(signed(ANNA), all + 1),
            Error::<Test>::InsufficientBalance
        );
        assert_noop!(
            Staking::bond(signed(STRANGER), MIN_BOND),
            Error::<Test>::InsufficientBalance
        );
        assert_ok!(Staking::bond(signed(ANNA), all));
        assert_eq!(free(ANNA), EXISTENTIAL_DEPOSIT);
    });
}

#[test]
fn an_active_bond_is_extended_not_bonded_again() {
    ExtBuilder::anna().build_and_execute(|| {
        assert_noop!(
            Staking::bond(signed(ANNA), MIN_BOND),
            Error::<Test>::AlreadyBonded
        );
        assert_ok!(Staking::bond_extra(signed(ANNA), 1));
        assert_eq!(operator(ANNA).own, 2 * MIN_BOND + 1);
        assert_eq!(
            events(),
            vec![Event::Bonded {
                operator: ANNA,
                amount: 1
            }]
        );
    });
}

#[test]
fn only_an_active_bond_is_extended() {
    ExtBuilder::anna().build_and_execute(|| {
        assert_noop!(Staking::bond_extra(signed(ANNA), 0), Error::<Test>::ZeroAmount);
        assert_noop!(
            Staking::bond_extra(signed(ANNA), ENDOWMENT),
            Error::<Test>::InsufficientBalance
        );
        assert_noop!(Staking::bond_extra(signed(BERT), 1), Error::<Test>::NotOperator);
        assert_ok!(Staking::unbond(signed(ANNA), ANNA, 2 * MIN_BOND));
        assert_noop!(Staking::bond_extra(signed(ANNA), 1), Error::<Test>::NotOperator);
    });
}

#[test]
fn who_unbonded_everything_can_bond_anew() {
    ExtBuilder::anna().build_and_execute(|| {
        assert_ok!(Staking::unbond(signed(ANNA), ANNA, 2 * MIN_BOND));
        assert_ok!(Staking::bond(signed(ANNA), MIN_BOND));
        assert_eq!(operator(ANNA).own, MIN_BOND);
        assert_eq!(operator(ANNA).unbonding, 2 * MIN_BOND);
        assert_eq!(held(HoldReason::Bond, ANNA), 3 * MIN_BOND);
    });
}

#[test]
fn a_slashed_bond_is_extended_to_the_minimum_at_least() {
    ExtBuilder::anna().build_and_execute(|| {
        Staking::do_slash(&ANNA, sp_runtime::Perbill::from_percent(90), None);
        assert_eq!(operator(ANNA).own, 200);
        assert_noop!(
            Staking::bond_extra(signed(ANNA), 799),
            Error::<Test>::BelowMinBond
        );
        assert_ok!(Staking::bond_extra(signed(ANNA), 800));
        assert_eq!(operator(ANNA).own, MIN_BOND);
    });
}

#[test]
fn calls_need_a_signature() {
    ExtBuilder::empty().build_and_execute(|| {
        let bad = sp_runtime::DispatchError::BadOrigin;
        let root = RuntimeOrigin::root;
        assert_noop!(Staking::bond(root(), MIN_BOND), bad);
        assert_noop!(Staking::bond_extra(root(), 1), bad);
        assert_noop!(Staking::delegate(root(), ANNA, 10), bad);
        assert_noop!(Staking::unbond(root(), ANNA, 1), bad);
        assert_noop!(Staking::rebond(root(), ANNA, 1), bad);
        assert_noop!(Staking::withdraw(root(), ANNA), bad);
        assert_noop!(Staking::set_commission(root(), Default::default()), bad);
        assert_noop!(Staking::validate(root()), bad);
        assert_noop!(Staking::verify(root()), bad);
        assert_noop!(Staking::register_worker(root(), record()), bad);
        assert_noop!(Staking::deregister_worker(root()), bad);
        assert_noop!(Staking::chill(root()), bad);
        assert_noop!(Staking::claim_rewards(root(), ANNA), bad);
    });
}

#[test]
fn clients_see_an_operator() {
    ExtBuilder::anna().build_and_execute(|| {
        assert_ok!(Staking::register_worker(signed(ANNA), record()));
        assert_ok!(Staking::delegate(signed(DORA), ANNA, 500));
        assert_ok!(Staking::unbond(signed(DORA), ANNA, 100));
        let seen = Staking::operator(ANNA).unwrap();
        assert_eq!((seen.own, seen.delegated, seen.unbonding), (2_000, 400, 100));
        assert_eq!((seen.host, seen.verifier, seen.validator), (true, false, false));
        assert_eq!(seen.worker, Some(record()));
        assert_eq!(Staking::operator(BERT), None);
    });
}

#[test]
fn workers_are_listed_page_by_page() {
    ExtBuilder::default().build_and_execute(|| {
        assert!(Staking::workers(None, 10).is_empty());
        for who in 1..=7 {
            assert_ok!(Staking::bond(signed(who), 2_000));
            assert_ok!(Staking::register_worker(signed(who), record()));
        }
        // No host, no worker.
        assert_ok!(Staking::bond(signed(8), 2_000));
        let mut seen = Vec::new();
        let mut pages = 0;
        loop {
            let page = Staking::workers(seen.last().copied(), 3);
            if page.is_empty() {
                break;
            }
            pages += 1;
            seen.extend(page);
            // Who goes between two pages takes nobody along.
            if pages == 1 {
                assert_ok!(Staking::deregister_worker(signed(seen[2])));
            }
        }
        assert_eq!(pages, 3);
        seen.sort_unstable();
        assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7]);
        assert!(Staking::workers(None, 0).is_empty());
        assert_eq!(Staking::workers(None, u32::MAX).len(), 6);
    });
}
