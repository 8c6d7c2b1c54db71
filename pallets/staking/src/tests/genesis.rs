use crate::{mock::*, *};
use frame_support::traits::StorageVersion;

#[test]
fn genesis_bonds_operators_and_endows_the_pot() {
    ExtBuilder::empty()
        .validator(ANNA, 5_000)
        .operator(BERT, MIN_BOND, false)
        .build_and_execute(|| {
            assert_eq!(operator(ANNA).own, 5_000);
            assert!(operator(ANNA).roles.validator);
            assert!(!operator(BERT).roles.any());
            assert_eq!(held(HoldReason::Bond, BERT), MIN_BOND);
            assert_eq!(pot(), EXISTENTIAL_DEPOSIT);
            assert_eq!(Session::validators(), vec![ANNA]);
            assert_eq!(StorageVersion::get::<Pallet<Test>>(), 1);
        });
}

#[test]
#[should_panic(expected = "BelowMinBond")]
fn genesis_checks_bonds() {
    ExtBuilder::empty().operator(ANNA, MIN_BOND - 1, false).build();
}

#[test]
#[should_panic(expected = "InsufficientBalance")]
fn genesis_checks_balances() {
    ExtBuilder::empty().operator(STRANGER, MIN_BOND, false).build();
}

#[test]
#[should_panic(expected = "AlreadyBonded")]
fn genesis_names_an_operator_once() {
    ExtBuilder::anna().operator(ANNA, MIN_BOND, false).build();
}

#[test]
fn candidates_without_keys_are_dropped_at_genesis() {
    ExtBuilder::empty()
        .validator(ANNA, MIN_BOND)
        .operator(BERT, MIN_BOND, true)
        .build_and_execute(|| {
            assert!(!operator(BERT).roles.validator);
            assert_eq!(Session::validators(), vec![ANNA]);
        });
}
