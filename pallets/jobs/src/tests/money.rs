//! Random histories: no planck is made or lost, and every job ends.

use super::*;
use frame_support::traits::fungible::Inspect;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Submit {
        client: u8,
        redundancy: u8,
        fee_percent: u8,
        priority: u8,
    },
    Cancel {
        client: u8,
        job: u8,
    },
    Deliver {
        host: u8,
        job: u8,
    },
    Decline {
        host: u8,
        job: u8,
        reason: u8,
    },
    Resume {
        host: u8,
    },
    Remove {
        client: u8,
        job: u8,
    },
    Blocks(u8),
    Stake {
        host: u8,
        fees: u8,
    },
    Offer {
        host: u8,
        price_percent: u8,
        capacity: u8,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..2u8, 0..7u8, 50..250u8, 0..3u8).prop_map(|(client, redundancy, fee_percent, priority)| {
            Step::Submit { client, redundancy, fee_percent, priority }
        }),
        1 => (0..2u8, 0..20u8).prop_map(|(client, job)| Step::Cancel { client, job }),
        6 => (0..5u8, 0..20u8).prop_map(|(host, job)| Step::Deliver { host, job }),
        2 => (0..5u8, 0..20u8, 0..3u8).prop_map(|(host, job, reason)| Step::Decline { host, job, reason }),
        1 => (0..5u8).prop_map(|host| Step::Resume { host }),
        1 => (0..2u8, 0..20u8).prop_map(|(client, job)| Step::Remove { client, job }),
        5 => (1..8u8).prop_map(Step::Blocks),
        1 => (0..5u8, 0..6u8).prop_map(|(host, fees)| Step::Stake { host, fees }),
        1 => (0..5u8, 90..220u8, 0..4u8).prop_map(|(host, price_percent, capacity)| {
            Step::Offer { host, price_percent, capacity }
        }),
    ]
}

fn client(n: u8) -> RuntimeOrigin {
    signed(if n == 0 { CLIENT } else { OTHER })
}

fn apply(step: &Step) {
    let host = |n: &u8| HOST + u64::from(*n);
    // Refusals are part of the history; what they must not do is change anything, which try_state would show.
    let _ = match step {
        Step::Submit {
            client: who,
            redundancy,
            fee_percent,
            priority,
        } => {
            let priority = [Priority::Normal, Priority::High, Priority::Urgent][usize::from(*priority)];
            let max_fee = FEE * u128::from(*redundancy) * u128::from(*fee_percent) / 100;
            let params = JobParams {
                max_fee,
                redundancy: *redundancy,
                priority,
                min_reputation: Perbill::zero(),
            };
            Jobs::submit(client(*who), MODEL, inputs(), params)
        }
        Step::Cancel { client: who, job } => Jobs::cancel(client(*who), (*job).into()),
        Step::Deliver { host: n, job } => {
            Jobs::submit_result(signed(host(n)), (*job).into(), outputs(), None)
                .map(drop)
                .map_err(|e| e.error)
        }
        Step::Decline { host: n, job, reason } => {
            let reason = [
                FailureReason::ModelError,
                FailureReason::OutputTooLarge,
                FailureReason::HostUnavailable,
            ][usize::from(*reason)];
            Jobs::decline(signed(host(n)), (*job).into(), reason)
        }
        Step::Resume { host: n } => Jobs::resume(signed(host(n))),
        Step::Remove { client: who, job } => Jobs::remove(client(*who), (*job).into()),
        Step::Blocks(n) => {
            run_to(System::block_number() + u64::from(*n));
            Ok(())
        }
        Step::Stake { host: n, fees } => {
            world(|w| w.stakes.insert(host(n), FEE * u128::from(*fees)));
            Ok(())
        }
        Step::Offer {
            host: n,
            price_percent,
            capacity,
        } => {
            let terms = OfferTerms {
                price: FEE * u128::from(*price_percent) / 100,
                capacity: (*capacity).into(),
            };
            world(|w| w.offers.entry(MODEL).or_default().insert(host(n), terms));
            Ok(())
        }
    };
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn is_conserved_and_every_job_ends(steps in prop::collection::vec(step(), 1..80)) {
        build_and_execute(|| {
            (0..3).for_each(|i| add_host(HOST + i, 10 * FEE, 3));
            let issuance = Balances::total_issuance();
            for step in &steps {
                apply(step);
                if let Err(error) = Jobs::do_try_state() {
                    panic!("after {step:?}: {error:?}");
                }
                let sum: u128 = frame_system::Account::<Test>::iter()
                    .map(|(who, _)| Balances::total_balance(&who))
                    .sum();
                assert_eq!(sum, issuance, "after {step:?}");
            }
            // Whatever happened: without another call every job is over, and then gone, with nothing left behind.
            run_to(System::block_number() + 20 + 5 + 30 + 10);
            assert_eq!(JobsMap::<Test>::iter().count(), 0);
            assert_eq!((deposit(), Settlement::held(&CLIENT), Settlement::held(&OTHER)), (0, 0, 0));
            assert!(Hosts::<Test>::iter_values().all(|load| load.in_flight == 0 && load.value == 0));
            assert_eq!(world(|w| w.uses.values().sum::<u32>()), 0);
        });
    }
}
