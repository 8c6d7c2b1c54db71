use crate::{mock::*, *};
use frame_support::assert_ok;
use pallet_session::{QueuedChanged, historical::HistoricalSessions};
use sp_runtime::testing::UintAuthorityId;

/// What is elected now serves from the session after the next on.
fn rotate_twice() -> Vec<AccountId> {
    Session::rotate_session();
    Session::rotate_session();
    Session::validators()
}

#[test]
fn the_candidates_with_the_most_stake_are_elected() {
    let builder = ExtBuilder::empty()
        .validator(31, 1_100)
        .validator(32, 1_200)
        .validator(33, 1_300)
        .validator(34, 1_400);
    builder.build_and_execute(|| {
        assert_eq!(Session::validators(), vec![32, 33, 34]);
        assert_ok!(Staking::delegate(signed(DORA), 31, 150));
        assert_eq!(Staking::next_validators(), vec![31, 33, 34]);
        assert_eq!(Session::validators(), vec![32, 33, 34]);
        assert_eq!(rotate_twice(), vec![31, 33, 34]);
        assert_ok!(Staking::chill(signed(34)));
        assert_eq!(rotate_twice(), vec![31, 32, 33]);
    });
}

#[test]
fn of_equals_the_smaller_account_is_elected() {
    let mut builder = ExtBuilder::empty();
    for who in [35, 33, 31, 34, 32] {
        builder = builder.validator(who, MIN_BOND);
    }
    builder.build_and_execute(|| assert_eq!(Session::validators(), vec![31, 32, 33]));
}

#[test]
fn what_is_unbonding_does_not_count() {
    let mut builder = ExtBuilder::empty().validator(ANNA, 2 * MIN_BOND);
    for who in 31..34 {
        builder = builder.validator(who, 1_500);
    }
    builder.build_and_execute(|| {
        assert_ok!(Staking::unbond(signed(ANNA), ANNA, MIN_BOND));
        assert_eq!(rotate_twice(), vec![31, 32, 33]);
    });
}

#[test]
fn without_candidates_the_current_set_stays() {
    ExtBuilder::empty()
        .validator(ANNA, MIN_BOND)
        .validator(BERT, MIN_BOND)
        .build_and_execute(|| {
            assert_ok!(Staking::chill(signed(ANNA)));
            assert_ok!(Staking::chill(signed(BERT)));
            assert!(Staking::next_validators().is_empty());
            assert_eq!(Staking::plan_session(false), None);
            assert_eq!(rotate_twice(), vec![ANNA, BERT]);
            assert_eq!(rotate_twice(), vec![ANNA, BERT]);
        });
}

#[test]
fn an_unchanged_set_is_not_announced_anew() {
    ExtBuilder::empty()
        .validator(ANNA, MIN_BOND)
        .validator(BERT, MIN_BOND)
        .build_and_execute(|| {
            for _ in 0..3 {
                Session::rotate_session();
                assert!(!QueuedChanged::<Test>::get());
            }
            // Stake moves, but the set is the same.
            assert_ok!(Staking::bond_extra(signed(BERT), 500));
            Session::rotate_session();
            assert!(!QueuedChanged::<Test>::get());
            assert_eq!(Session::validators(), vec![ANNA, BERT]);
        });
}

#[test]
fn new_keys_are_announced() {
    ExtBuilder::empty()
        .validator(ANNA, MIN_BOND)
        .validator(BERT, MIN_BOND)
        .build_and_execute(|| {
            Session::rotate_session();
            let root = HistoricalSessions::<Test>::get(2);
            let keys = MockKeys {
                dummy: UintAuthorityId(1_000),
            };
            pallet_session::NextKeys::<Test>::insert(BERT, keys.clone());
            assert_eq!(Staking::plan_session(false), Some(vec![ANNA, BERT]));
            Session::rotate_session();
            assert!(QueuedChanged::<Test>::get());
            assert_eq!(Session::queued_keys()[1], (BERT, keys));
            // Proofs of the new keys hold from the session that uses them.
            assert_ne!(HistoricalSessions::<Test>::get(3), root);
            Session::rotate_session();
            assert_eq!(
                HistoricalSessions::<Test>::get(4),
                HistoricalSessions::<Test>::get(3)
            );
        });
}

#[test]
fn candidates_without_keys_are_dropped() {
    ExtBuilder::empty()
        .validator(ANNA, MIN_BOND)
        .validator(BERT, MIN_BOND)
        .build_and_execute(|| {
            purge_keys(BERT);
            assert_eq!(Staking::next_validators(), vec![ANNA]);
            System::reset_events();
            Session::rotate_session();
            assert!(!operator(BERT).roles.validator);
            assert!(events().contains(&Event::CandidateRemoved { operator: BERT }));
            Session::rotate_session();
            assert_eq!(Session::validators(), vec![ANNA]);
            set_keys(BERT);
            assert_ok!(Staking::validate(signed(BERT)));
            assert_eq!(rotate_twice(), vec![ANNA, BERT]);
        });
}

#[test]
fn a_set_that_loses_keys_without_successors_shrinks_but_does_not_vanish() {
    ExtBuilder::empty()
        .validator(ANNA, MIN_BOND)
        .validator(BERT, MIN_BOND)
        .build_and_execute(|| {
            assert_ok!(Staking::chill(signed(ANNA)));
            assert_ok!(Staking::chill(signed(BERT)));
            purge_keys(BERT);
            assert_eq!(Staking::plan_session(false), Some(vec![ANNA]));
            assert_eq!(rotate_twice(), vec![ANNA]);
        });
}

#[test]
fn history_is_kept_while_offences_are_reportable() {
    ExtBuilder::empty()
        .validator(ANNA, MIN_BOND)
        .build_and_execute(|| {
            for _ in 0..10 {
                Session::rotate_session();
            }
            assert_eq!(Session::current_index(), 10);
            for session in 0..=11 {
                assert_eq!(
                    HistoricalSessions::<Test>::contains_key(session),
                    session >= 7,
                    "{session}"
                );
            }
        });
}

#[test]
fn a_set_without_history_is_announced() {
    // The session pallet takes its first set from its own genesis.
    ExtBuilder::empty()
        .operator(ANNA, MIN_BOND, false)
        .keys(ANNA)
        .keys(BERT)
        .build_and_execute(|| {
            assert_eq!(Session::validators(), vec![ANNA, BERT]);
            assert!(!HistoricalSessions::<Test>::contains_key(1));
            Session::rotate_session();
            // Nobody asks to validate: the same set, but proofs can be checked from now on.
            assert!(HistoricalSessions::<Test>::contains_key(2));
            assert_ok!(Staking::validate(signed(ANNA)));
            assert_eq!(rotate_twice(), vec![ANNA]);
            assert!(HistoricalSessions::<Test>::contains_key(4));
        });
}
