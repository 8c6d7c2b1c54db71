use crate::{Demand, Error, Event, FEE_QUANTUM, Held, HoldReason, TotalHeld, demand, mock::*};
use frame_support::{
    assert_noop, assert_ok,
    traits::{
        fungible::{Inspect, InspectHold, Mutate},
        tokens::Preservation,
    },
};
use llmesh_primitives::{
    Priority,
    traits::{Escrow, Split},
};
use proptest::prelude::*;
use sp_runtime::{DispatchError, FixedU128, Permill, TokenError};

mod channels;
mod histories;

const MODEL: u32 = 7;

fn hold(who: u64, amount: u128) -> sp_runtime::DispatchResult {
    <Settlement as Escrow<u64>>::hold(&who, amount)
}

fn release(who: u64, amount: u128) -> sp_runtime::DispatchResult {
    <Settlement as Escrow<u64>>::release(&who, amount)
}

fn pay(who: u64, host: u64, fee: u128) -> Result<Split, DispatchError> {
    <Settlement as Escrow<u64>>::pay(&who, &host, fee)
}

fn fee(price: u128, complexity: u64, priority: Priority) -> Option<u128> {
    <Settlement as Escrow<u64>>::fee(MODEL, price, complexity, priority)
}

fn free(who: u64) -> u128 {
    Balances::balance(&who)
}

fn on_hold(who: u64) -> u128 {
    Balances::balance_on_hold(&HoldReason::JobEscrow.into(), &who)
}

fn pool() -> u64 {
    Settlement::pool_account()
}

#[test]
fn genesis_endows_the_pool_and_the_treasury() {
    build_and_execute(|| {
        assert_eq!(Settlement::pool(), (pool(), ED));
        assert_eq!(free(TREASURY), ED);
    });
}

#[test]
fn what_is_set_aside_stays_the_clients_but_can_not_be_spent() {
    build_and_execute(|| {
        assert_ok!(hold(CLIENT, 400));
        assert_ok!(hold(CLIENT, 100));
        assert_eq!((free(CLIENT), on_hold(CLIENT)), (FUNDS - 500, 500));
        assert_eq!(Settlement::escrow_of(CLIENT), 500);
        assert_eq!(<Settlement as Escrow<u64>>::held(&CLIENT), 500);
        assert_noop!(
            Balances::transfer(&CLIENT, &OTHER, FUNDS - 499, Preservation::Expendable),
            TokenError::FundsUnavailable
        );
    });
}

#[test]
fn what_comes_back_is_exactly_what_was_asked_for() {
    build_and_execute(|| {
        assert_ok!(hold(CLIENT, 500));
        assert_ok!(release(CLIENT, 200));
        assert_eq!((free(CLIENT), on_hold(CLIENT)), (FUNDS - 300, 300));
        assert_ok!(release(CLIENT, 300));
        assert_eq!((free(CLIENT), on_hold(CLIENT)), (FUNDS, 0));
        assert!(!Held::<Test>::contains_key(CLIENT));
        assert_eq!(TotalHeld::<Test>::get(), 0);
    });
}

#[test]
fn nobody_can_set_aside_more_than_they_could_spend() {
    build_and_execute(|| {
        assert_noop!(hold(CLIENT, FUNDS + 1), Error::<Test>::InsufficientFunds);
        // The account itself stays alive.
        assert_noop!(hold(CLIENT, FUNDS), Error::<Test>::InsufficientFunds);
        assert_ok!(hold(CLIENT, FUNDS - ED));
        assert_noop!(hold(99, 1), Error::<Test>::InsufficientFunds);
    });
}

#[test]
fn locked_funds_can_not_be_set_aside_and_a_later_lock_does_not_stop_a_payment() {
    use frame_support::traits::{LockableCurrency, WithdrawReasons};
    build_and_execute(|| {
        Balances::set_lock(*b"vesting.", &CLIENT, FUNDS - 1_000, WithdrawReasons::all());
        assert_noop!(hold(CLIENT, 1_001), Error::<Test>::InsufficientFunds);
        assert_ok!(hold(CLIENT, 1_000));

        Balances::set_lock(*b"vesting.", &CLIENT, FUNDS, WithdrawReasons::all());
        assert_ok!(pay(CLIENT, HOST, 1_000));
        assert_eq!(free(HOST), FUNDS + 700);
    });
}

#[test]
fn nothing_beyond_the_escrow_is_released_or_paid() {
    build_and_execute(|| {
        assert_ok!(hold(CLIENT, 1_000));
        assert_ok!(hold(OTHER, 1_000));
        assert_noop!(release(CLIENT, 1_001), Error::<Test>::InsufficientEscrow);
        assert_noop!(pay(CLIENT, HOST, 1_001), Error::<Test>::InsufficientEscrow);
        assert_noop!(release(99, 1), Error::<Test>::InsufficientEscrow);
    });
}

#[test]
fn a_fee_goes_to_host_pool_and_treasury() {
    build_and_execute(|| {
        assert_ok!(hold(CLIENT, 5_000));
        assert_eq!(
            pay(CLIENT, HOST, 1_000),
            Ok(Split {
                host: 700,
                pool: 200,
                treasury: 100
            })
        );
        assert_eq!(free(HOST), FUNDS + 700);
        assert_eq!(free(pool()), ED + 200);
        assert_eq!(free(TREASURY), ED + 100);
        assert_eq!((free(CLIENT), on_hold(CLIENT)), (FUNDS - 5_000, 4_000));
        assert_eq!(Rewards::get(), [(HOST, 700)]);
        System::assert_last_event(
            Event::FeePaid {
                payer: CLIENT,
                host: HOST,
                fee: 1_000,
                host_paid: 700,
                pool_paid: 200,
                treasury_paid: 100,
            }
            .into(),
        );
    });
}

#[test]
fn the_smallest_fee_reaches_a_host_whose_account_is_gone() {
    build_and_execute(|| {
        assert_ok!(hold(CLIENT, 100));
        assert_ok!(pay(CLIENT, 99, 100));
        assert_eq!(free(99), 70);
    });
}

#[test]
fn a_client_can_be_its_own_host() {
    build_and_execute(|| {
        assert_ok!(hold(CLIENT, 1_000));
        assert_ok!(pay(CLIENT, CLIENT, 1_000));
        assert_eq!((free(CLIENT), on_hold(CLIENT)), (FUNDS - 300, 0));
    });
}

#[test]
fn a_payment_that_fails_in_the_middle_moves_nothing() {
    build_and_execute(|| {
        assert_ok!(hold(CLIENT, 1_000));
        RewardsFail::set(true);
        assert_noop!(pay(CLIENT, HOST, 1_000), DispatchError::Other("refused"));
        // The host's part of so small a fee can not create its account.
        RewardsFail::set(false);
        assert_noop!(pay(CLIENT, 99, 10), TokenError::CannotCreate);
    });
}

#[test]
fn a_remainder_of_the_shares_goes_to_the_treasury() {
    build_and_execute(|| {
        assert_ok!(hold(CLIENT, 1_000));
        assert_eq!(
            pay(CLIENT, HOST, 109),
            Ok(Split {
                host: 76,
                pool: 21,
                treasury: 12
            })
        );
    });
}

#[test]
fn a_fee_is_price_times_complexity_rounded_up_and_at_least_the_minimum() {
    build_and_execute(|| {
        assert_eq!(fee(1_000, 2_000_000, Priority::Normal), Some(2_000));
        assert_eq!(fee(1_000, 2_000_000, Priority::High), Some(3_000));
        assert_eq!(fee(1_000, 2_000_000, Priority::Urgent), Some(4_000));
        assert_eq!(fee(1_001, 1_000_000, Priority::Normal), Some(1_010));
        assert_eq!(fee(0, 1, Priority::Urgent), Some(100));
        assert_eq!(fee(u128::MAX, u64::MAX, Priority::Normal), None);
    });
}

#[test]
fn demand_moves_the_fee_of_its_model_only() {
    build_and_execute(|| {
        Settlement::note_utilisation(MODEL, Permill::one());
        let factor = FixedU128::from_rational(102, 100);
        assert_eq!(Settlement::demand(MODEL), factor);
        System::assert_last_event(
            Event::DemandChanged {
                model: MODEL,
                demand: factor,
            }
            .into(),
        );
        assert_eq!(fee(1_000, 1_000_000, Priority::Normal), Some(1_020));
        assert_eq!(Settlement::demand(MODEL + 1), demand::INITIAL);
        assert_eq!(
            <Settlement as Escrow<u64>>::fee(MODEL + 1, 1_000, 1_000_000, Priority::Normal),
            Some(1_000)
        );
    });
}

#[test]
fn balanced_utilisation_leaves_no_trace() {
    build_and_execute(|| {
        Settlement::note_utilisation(MODEL, Permill::from_percent(50));
        assert!(!Demand::<Test>::contains_key(MODEL));
        assert!(System::events().is_empty());
    });
}

#[derive(Clone, Debug)]
enum Step {
    Hold(u64, u128),
    Release(u64, u128),
    Pay(u64, u64, u128),
    RefuseRewards(bool),
}

fn step() -> impl Strategy<Value = Step> {
    // Among the hosts is an account that does not exist, and one that is a client.
    let client = || prop_oneof![Just(CLIENT), Just(OTHER)];
    let host = prop_oneof![Just(HOST), Just(CLIENT), Just(99)];
    let amount = || prop_oneof![4 => 0..FUNDS / 4, 1 => 0..=2 * FUNDS, 1 => 0..50u128];
    prop_oneof![
        4 => (client(), amount()).prop_map(|(who, n)| Step::Hold(who, n)),
        2 => (client(), amount()).prop_map(|(who, n)| Step::Release(who, n)),
        4 => (client(), host, amount()).prop_map(|(who, host, n)| Step::Pay(who, host, n)),
        1 => any::<bool>().prop_map(Step::RefuseRewards),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn money_is_conserved_whatever_happens(steps in prop::collection::vec(step(), 1..60)) {
        new_test_ext().execute_with(|| {
            let issuance = Balances::total_issuance();
            let accounts = [CLIENT, OTHER, HOST, TREASURY, 99, pool()];
            let state = || accounts.map(|who| (free(who), on_hold(who)));
            // The model: what each account should have, free and on hold.
            let mut expected = state();
            let at = |who: u64| accounts.iter().position(|a| *a == who).unwrap();

            for step in steps {
                let done = match step {
                    Step::Hold(who, amount) => hold(who, amount).map(|()| {
                        expected[at(who)].0 -= amount;
                        expected[at(who)].1 += amount;
                    }),
                    Step::Release(who, amount) => release(who, amount).map(|()| {
                        expected[at(who)].1 -= amount;
                        expected[at(who)].0 += amount;
                    }),
                    Step::Pay(who, host, fee) => pay(who, host, fee).map(|split| {
                        assert_eq!(split.host + split.pool + split.treasury, fee);
                        expected[at(who)].1 -= fee;
                        expected[at(host)].0 += split.host;
                        expected[at(pool())].0 += split.pool;
                        expected[at(TREASURY)].0 += split.treasury;
                    }),
                    Step::RefuseRewards(refuse) => {
                        RewardsFail::set(refuse);
                        Ok(())
                    }
                };
                // After a success this is what was asked for, after a failure what was there before.
                assert_eq!(state(), expected, "{step:?} gave {done:?}");
                assert_eq!(Balances::total_issuance(), issuance);
                assert_eq!(Settlement::escrow_of(CLIENT), on_hold(CLIENT));
                Settlement::do_try_state().unwrap();
            }
        });
    }

    #[test]
    fn every_fee_splits_without_remainder(
        price in 0u128..1 << 60,
        complexity in 1u64..1 << 40,
        epochs in prop::collection::vec(0u32..=100, 0..20),
    ) {
        new_test_ext().execute_with(|| {
            for utilisation in epochs {
                Settlement::note_utilisation(MODEL, Permill::from_percent(utilisation));
            }
            let fee = fee(price, complexity, Priority::High).unwrap();
            assert_eq!(fee % FEE_QUANTUM, 0);
            let Split { host, pool, treasury } = Settlement::split(fee).unwrap();
            assert_eq!((host * 10, pool * 10, treasury * 10), (fee * 7, fee * 2, fee));
        });
    }
}
