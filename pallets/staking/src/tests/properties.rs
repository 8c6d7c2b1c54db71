//! Any order of calls keeps the promises: holds are what the records say, no planck appears or vanishes, slashes are
//! exact, delegators never get more than was paid in for them.

use crate::{mock::*, *};
use frame_support::traits::fungible::Inspect;
use llmesh_primitives::{WorkerRecord, traits::StakeProvider};
use proptest::prelude::*;
use sp_runtime::{Perbill, traits::Dispatchable};
use sp_staking::offence::{OffenceDetails, OnOffenceHandler};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Step {
    Bond(AccountId, u128),
    BondExtra(AccountId, u128),
    Delegate(AccountId, AccountId, u128),
    Unbond(AccountId, AccountId, u128),
    UnbondAll(AccountId, AccountId),
    Rebond(AccountId, AccountId, u128),
    Withdraw(AccountId, AccountId),
    SetCommission(AccountId, u32),
    Validate(AccountId),
    Verify(AccountId),
    RegisterWorker(AccountId, u8),
    DeregisterWorker(AccountId),
    Chill(AccountId),
    ClaimRewards(AccountId, AccountId),
    Pay(AccountId, u128),
    Slash(AccountId, Perbill, Option<AccountId>),
    Offence(AccountId, Perbill),
    Blocks(u64),
    Rotate,
    SetKeys(AccountId),
    PurgeKeys(AccountId),
}

/// Everyone can be operator and delegator of everyone, with a preference for the first two as operators.
fn who() -> impl Strategy<Value = AccountId> {
    1..=5u64
}

fn target() -> impl Strategy<Value = AccountId> {
    prop_oneof![3 => 1..=2u64, 1 => 1..=5u64]
}

fn amount() -> impl Strategy<Value = u128> {
    prop_oneof![
        4 => Just(MIN_DELEGATION),
        4 => Just(MIN_BOND),
        4 => 1..50u128,
        6 => 10..3_000u128,
        1 => 1..2 * ENDOWMENT,
    ]
}

fn fraction() -> impl Strategy<Value = Perbill> {
    prop_oneof![
        8 => (0..=200_000_000u32).prop_map(Perbill::from_parts),
        3 => (0..=1_000_000_000u32).prop_map(Perbill::from_parts),
        1 => Just(Perbill::one()),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (who(), amount()).prop_map(|(a, v)| Step::Bond(a, v)),
        1 => (who(), amount()).prop_map(|(a, v)| Step::BondExtra(a, v)),
        6 => (who(), target(), amount()).prop_map(|(a, o, v)| Step::Delegate(a, o, v)),
        4 => (who(), target(), amount()).prop_map(|(a, o, v)| Step::Unbond(a, o, v)),
        3 => (who(), target()).prop_map(|(a, o)| Step::UnbondAll(a, o)),
        3 => (who(), target(), amount()).prop_map(|(a, o, v)| Step::Rebond(a, o, v)),
        5 => (who(), target()).prop_map(|(a, o)| Step::Withdraw(a, o)),
        2 => (target(), 0..60u32).prop_map(|(a, p)| Step::SetCommission(a, p)),
        2 => target().prop_map(Step::Validate),
        1 => target().prop_map(Step::Verify),
        2 => (target(), 0..16u8).prop_map(|(a, n)| Step::RegisterWorker(a, n)),
        1 => target().prop_map(Step::DeregisterWorker),
        2 => target().prop_map(Step::Chill),
        3 => (who(), target()).prop_map(|(a, o)| Step::ClaimRewards(a, o)),
        6 => (target(), 1..20_000u128).prop_map(|(a, v)| Step::Pay(a, v)),
        2 => (target(), fraction(), prop::option::of(who())).prop_map(|(a, f, r)| Step::Slash(a, f, r)),
        1 => (target(), fraction()).prop_map(|(a, f)| Step::Offence(a, f)),
        4 => (1..8u64).prop_map(Step::Blocks),
        1 => Just(Step::Rotate),
        1 => who().prop_map(Step::SetKeys),
        1 => who().prop_map(Step::PurgeKeys),
    ]
}

fn call(who: AccountId, call: Call<Test>) -> bool {
    RuntimeCall::Staking(call).dispatch(signed(who)).is_ok()
}

/// Applies the step; whether it did something.
fn apply(step: Step) -> bool {
    match step {
        Step::Bond(who, value) => call(who, Call::bond { value }),
        Step::BondExtra(who, value) => call(who, Call::bond_extra { value }),
        Step::Delegate(who, operator, value) => call(who, Call::delegate { operator, value }),
        Step::Unbond(who, operator, value) => call(who, Call::unbond { operator, value }),
        Step::UnbondAll(who, operator) => {
            let value = Bonds::<Test>::get(operator, who).map_or(0, |bond| bond.active);
            call(who, Call::unbond { operator, value })
        }
        Step::Rebond(who, operator, value) => call(who, Call::rebond { operator, value }),
        Step::Withdraw(who, operator) => call(who, Call::withdraw { operator }),
        Step::SetCommission(who, p) => call(
            who,
            Call::set_commission {
                commission: Perbill::from_percent(p),
            },
        ),
        Step::Validate(who) => call(who, Call::validate {}),
        Step::Verify(who) => call(who, Call::verify {}),
        Step::RegisterWorker(who, n) => {
            let region = vec![b'r'; usize::from(n)].try_into().unwrap();
            call(
                who,
                Call::register_worker {
                    record: WorkerRecord { region, ..record() },
                },
            )
        }
        Step::DeregisterWorker(who) => call(who, Call::deregister_worker {}),
        Step::Chill(who) => call(who, Call::chill {}),
        Step::ClaimRewards(who, operator) => call(who, Call::claim_rewards { operator }),
        Step::Pay(who, amount) => pay(who, amount).is_ok(),
        Step::Slash(who, fraction, reporter) => {
            slash_exactly(who, fraction, reporter);
            true
        }
        Step::Offence(who, fraction) => {
            let details = OffenceDetails {
                offender: (who, ()),
                reporters: vec![REPORTER],
            };
            Staking::on_offence(&[details], &[fraction], Session::current_index());
            true
        }
        Step::Blocks(n) => {
            run_blocks(n);
            true
        }
        Step::Rotate => {
            Session::rotate_session();
            true
        }
        Step::SetKeys(who) => {
            set_keys(who);
            true
        }
        Step::PurgeKeys(who) => {
            purge_keys(who);
            true
        }
    }
}

/// Slashes and checks every component of every bond.
fn slash_exactly(who: AccountId, fraction: Perbill, reporter: Option<AccountId>) {
    let before: Vec<_> = Bonds::<Test>::iter().collect();
    let received = |who| Balances::total_balance(&who);
    let treasury = received(TREASURY);
    let taken = Staking::slash(&who, fraction, reporter.as_ref());
    let mut expected = 0;
    for (operator, staker, bond) in before {
        let now = Bonds::<Test>::get(operator, staker);
        if operator != who {
            assert_eq!(now, Some(bond));
            continue;
        }
        let left = |amount: u128| amount - fraction.mul_floor(amount);
        let now = now.unwrap_or_default();
        assert_eq!(now.active, left(bond.active));
        let pieces: Vec<_> = bond
            .unbonding
            .iter()
            .map(|chunk| left(chunk.amount))
            .filter(|amount| *amount > 0)
            .collect();
        let stored: Vec<_> = now.unbonding.iter().map(|chunk| chunk.amount).collect();
        assert_eq!(stored, pieces);
        expected += fraction.mul_floor(bond.active);
        expected += bond
            .unbonding
            .iter()
            .map(|chunk| fraction.mul_floor(chunk.amount))
            .sum::<u128>();
    }
    assert_eq!(taken, expected);
    let share = match reporter {
        Some(reporter) if reporter != who => ReporterShare::get().mul_floor(taken),
        _ => 0,
    };
    assert_eq!(received(TREASURY) - treasury, taken - share);
}

/// What was paid in for each operator's delegators, and what they got.
#[derive(Default)]
struct Revenue(BTreeMap<AccountId, (u128, u128)>);

impl Revenue {
    fn update(&mut self) {
        for event in events() {
            match event {
                Event::RewardShared {
                    operator, delegators, ..
                } => self.0.entry(operator).or_default().0 += delegators,
                Event::RewardClaimed { operator, amount, .. } => {
                    self.0.entry(operator).or_default().1 += amount
                }
                _ => {}
            }
        }
        for (operator, (paid_in, claimed)) in &self.0 {
            let pending: u128 = Bonds::<Test>::iter_prefix(operator)
                .map(|(staker, _)| Staking::pending_rewards(*operator, staker))
                .sum();
            assert!(
                claimed + pending <= *paid_in,
                "{operator}: {claimed} + {pending} > {paid_in}"
            );
        }
    }
}

fn run(steps: Vec<Step>) -> usize {
    let mut done = 0;
    ExtBuilder::empty()
        .validator(ANNA, 2 * MIN_BOND)
        .operator(BERT, MIN_BOND, false)
        .build_and_execute(|| {
            let issuance = Balances::total_issuance();
            let mut revenue = Revenue::default();
            for step in steps {
                let text = format!("{step:?}");
                done += usize::from(apply(step));
                Staking::do_try_state().unwrap_or_else(|error| panic!("{text}: {error:?}"));
                assert_eq!(Balances::total_issuance(), issuance, "{text}");
                let sum: u128 = frame_system::Account::<Test>::iter_keys()
                    .map(|who| Balances::total_balance(&who))
                    .sum();
                assert_eq!(sum, issuance, "{text}");
                revenue.update();
            }
        });
    done
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_order_of_calls_keeps_the_promises(steps in prop::collection::vec(step(), 1..100)) {
        run(steps);
    }
}

#[test]
fn random_steps_are_not_all_refused() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let steps = prop::collection::vec(step(), 400)
        .new_tree(&mut runner)
        .unwrap()
        .current();
    assert!(run(steps) > 130);
}
