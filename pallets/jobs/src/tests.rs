use crate::{
    Agenda, Error, Event, HoldReason, Hosts, Inputs, Jobs as JobsMap, OfferLoad, Results, Work, mock::*,
};
use frame_support::{
    assert_noop, assert_ok,
    dispatch::{GetDispatchInfo, Pays},
    traits::fungible::InspectHold,
};
use llmesh_primitives::{
    AssignmentState, ElementType, FailureReason, JobId, JobOutcome, JobParams, JobState, MESH, OfferTerms,
    Priority, Tensor, Tensors, VersionStatus, WorkOrigin,
    job::hash_tensors,
    traits::{Conduct, Escrow},
};
use sp_runtime::{DispatchError, Perbill};

mod draw;
mod money;

fn signed(who: AccountId) -> RuntimeOrigin {
    RuntimeOrigin::signed(who)
}

fn job(id: JobId) -> llmesh_primitives::Job<AccountId, u64> {
    JobsMap::<Test>::get(id).expect("the record is kept")
}

fn hosts_of(id: JobId) -> Vec<AccountId> {
    job(id).assignments.iter().map(|a| a.host).collect()
}

fn deposit() -> u128 {
    Balances::balance_on_hold(&HoldReason::JobDeposit.into(), &CLIENT)
}

fn free(who: AccountId) -> u128 {
    Balances::free_balance(who)
}

fn deliver(id: JobId, host: AccountId) {
    assert_ok!(Jobs::submit_result(signed(host), id, outputs(), None));
}

mod submission {
    use super::*;

    #[test]
    fn escrows_the_cap_and_takes_a_deposit() {
        build_and_execute(|| {
            let before = free(CLIENT);
            let id = submit(2);
            assert_eq!(Settlement::held(&CLIENT), 2 * FEE);
            assert!(deposit() > 10_000_000);
            assert_eq!(free(CLIENT), before - 2 * FEE - deposit());
            assert_eq!(job(id).state, JobState::Queued);
            assert_eq!(
                events(),
                [Event::Submitted {
                    job: id,
                    owner: CLIENT,
                    model: MODEL,
                    max_fee: 2 * FEE
                }]
            );
        });
    }

    #[test]
    fn the_order_of_tensors_does_not_matter() {
        build_and_execute(|| {
            let first = submit(1);
            let mut reversed = inputs().into_inner();
            reversed.reverse();
            assert_ok!(Jobs::submit(
                signed(CLIENT),
                MODEL,
                reversed.try_into().unwrap(),
                params(1)
            ));
            assert_eq!(job(first).input_hash, job(first + 1).input_hash);
            assert_eq!(job(first).input_hash, hash_tensors(&inputs()));
        });
    }

    fn refused<R>(change: impl FnOnce(&mut Vec<Tensor>, &mut JobParams) -> R, error: Error<Test>) {
        build_and_execute(|| {
            let (mut tensors, mut params) = (inputs().into_inner(), params(1));
            change(&mut tensors, &mut params);
            let tensors: Tensors = tensors.try_into().unwrap();
            assert_noop!(Jobs::submit(signed(CLIENT), MODEL, tensors, params), error);
        });
    }

    #[test]
    fn every_way_in_which_tensors_can_be_wrong_has_its_error() {
        refused(
            |t, _| t[0].name = b"x".to_vec().try_into().unwrap(),
            Error::UnknownTensor,
        );
        refused(|t, _| t[1] = t[0].clone(), Error::RepeatedTensor);
        refused(|t, _| t.pop(), Error::MissingTensor);
        refused(|t, _| t.clear(), Error::MissingTensor);
        refused(
            |t, _| t[0].element_type = ElementType::I64,
            Error::WrongElementType,
        );
        refused(
            |t, _| t[0].shape = vec![2, 1].try_into().unwrap(),
            Error::WrongShape,
        );
        refused(
            |t, _| t[0].shape = vec![0, 2].try_into().unwrap(),
            Error::WrongShape,
        );
        refused(
            |t, _| t[0].shape = vec![5, 2].try_into().unwrap(),
            Error::WrongShape,
        );
        refused(|t, _| t[0].shape = vec![2].try_into().unwrap(), Error::WrongShape);
        refused(
            |t, _| t[0].data = vec![0; 7].try_into().unwrap(),
            Error::WrongByteLength,
        );
        refused(
            |t, _| t[0].data = vec![0; 9].try_into().unwrap(),
            Error::WrongByteLength,
        );
        refused(
            |t, _| t[0].data = vec![0; 2000].try_into().unwrap(),
            Error::InputTooLarge,
        );
    }

    #[test]
    fn redundancy_and_price_are_checked() {
        refused(|_, p| p.redundancy = 0, Error::InvalidRedundancy);
        refused(|_, p| p.redundancy = 6, Error::InvalidRedundancy);
        refused(|_, p| p.max_fee = FEE - 1, Error::FeeBelowPrice);
        refused(|_, p| p.redundancy = 2, Error::FeeBelowPrice);
        refused(|_, p| p.priority = Priority::High, Error::FeeBelowPrice);
    }

    #[test]
    fn the_model_must_exist_and_take_work() {
        build_and_execute(|| {
            assert_noop!(
                Jobs::submit(signed(CLIENT), 99, inputs(), params(1)),
                Error::<Test>::UnknownModel
            );
            world(|w| w.versions.get_mut(&MODEL).unwrap().status = VersionStatus::Yanked);
            assert_noop!(
                Jobs::submit(signed(CLIENT), MODEL, inputs(), params(1)),
                Error::<Test>::ModelYanked
            );
            world(|w| w.versions.get_mut(&MODEL).unwrap().status = VersionStatus::Deprecated);
            submit(1);
            world(|w| {
                let spec = &mut w.versions.get_mut(&MODEL).unwrap().manifest.signature.outputs[0];
                spec.shape = vec![llmesh_primitives::Dim::UpTo(1_000)].try_into().unwrap();
            });
            assert_noop!(
                Jobs::submit(signed(CLIENT), MODEL, inputs(), params(1)),
                Error::<Test>::ModelTooLarge
            );
        });
    }

    #[test]
    fn a_client_that_can_not_pay_is_refused_and_loses_nothing() {
        build_and_execute(|| {
            let mut params = params(1);
            params.max_fee = 10_000 * MESH;
            assert_noop!(
                Jobs::submit(signed(CLIENT), MODEL, inputs(), params),
                pallet_settlement::Error::<Test>::InsufficientFunds
            );
            assert_noop!(
                Jobs::submit(RuntimeOrigin::none(), MODEL, inputs(), params),
                DispatchError::BadOrigin
            );
        });
    }
}

mod result {
    use super::*;

    #[test]
    fn is_drawn_in_the_next_block_and_settles_exactly() {
        build_and_execute(|| {
            add_host(HOST, 10_000 * MESH, 4);
            let (before, treasury, host) = (free(CLIENT), free(TREASURY), free(HOST));
            let id = submit(1);
            next_block();
            assert_eq!(
                events(),
                [Event::Drawn {
                    job: id,
                    host: HOST,
                    fee: FEE,
                    deadline: 7
                }]
            );
            assert_eq!(job(id).state, JobState::Running);
            assert_eq!(Hosts::<Test>::get(HOST).value, FEE);
            assert_eq!(Jobs::work_of(&HOST, 10).len(), 1);

            let post = Jobs::submit_result(signed(HOST), id, outputs(), None).unwrap();
            assert_eq!(post.pays_fee, Pays::No);
            let account = job(id).account;
            assert_eq!(job(id).state, JobState::Finished(JobOutcome::Settled));
            assert_eq!(
                (
                    account.host_paid,
                    account.pool_paid,
                    account.treasury_paid,
                    account.refunded
                ),
                (FEE * 7 / 10, FEE * 2 / 10, FEE / 10, 0)
            );
            assert_eq!(free(HOST), host + FEE * 7 / 10);
            assert_eq!(free(TREASURY), treasury + FEE / 10);
            assert_eq!(free(CLIENT), before - FEE - deposit());
            assert_eq!(Hosts::<Test>::get(HOST), Default::default());
            assert_eq!(OfferLoad::<Test>::get(MODEL, HOST), 0);
            assert!(Jobs::work_of(&HOST, 10).is_empty());

            let result = Results::<Test>::get(id, HOST).unwrap();
            assert_eq!(result.outputs, outputs());
            assert_eq!(result.receipt.origin, WorkOrigin::Job(id));
            assert_eq!(result.receipt.units, manifest().complexity);
            assert_eq!(result.receipt.output_hash, hash_tensors(&outputs()));
            assert_eq!(
                world(|w| w.receipts.clone()),
                [(id, HOST, result.receipt.hash(&HOST))]
            );
            assert_eq!(world(|w| w.uses[&MODEL]), 0);
        });
    }

    #[test]
    fn the_unused_part_of_the_cap_comes_back() {
        build_and_execute(|| {
            add_host(HOST, 10_000 * MESH, 4);
            let mut params = params(1);
            params.max_fee = 5 * FEE;
            assert_ok!(Jobs::submit(signed(CLIENT), MODEL, inputs(), params));
            next_block();
            deliver(0, HOST);
            assert_eq!((job(0).account.fee, job(0).account.refunded), (FEE, 4 * FEE));
            assert_eq!(Settlement::held(&CLIENT), 0);
        });
    }

    #[test]
    fn of_a_stranger_or_a_second_one_or_a_late_one_is_refused() {
        build_and_execute(|| {
            add_host(HOST, 10_000 * MESH, 4);
            assert_noop!(
                Jobs::submit_result(signed(HOST), 0, outputs(), None),
                Error::<Test>::UnknownJob
            );
            let id = submit(1);
            assert_noop!(
                Jobs::submit_result(signed(HOST), id, outputs(), None),
                Error::<Test>::NotDrawn
            );
            next_block();
            assert_noop!(
                Jobs::submit_result(signed(OTHER), id, outputs(), None),
                Error::<Test>::NotDrawn
            );
            deliver(id, HOST);
            assert_noop!(
                Jobs::submit_result(signed(HOST), id, outputs(), None),
                Error::<Test>::AlreadyDelivered
            );

            let late = submit(1);
            next_block();
            run_to(job(late).assignments[0].deadline + 1);
            assert_noop!(
                Jobs::submit_result(signed(HOST), late, outputs(), None),
                Error::<Test>::DeadlinePassed
            );
        });
    }

    #[test]
    fn counts_in_the_block_of_the_deadline() {
        build_and_execute(|| {
            add_host(HOST, 10_000 * MESH, 4);
            let id = submit(1);
            next_block();
            run_to(job(id).assignments[0].deadline);
            deliver(id, HOST);
            assert!(world(|w| w.conduct.is_empty()));
        });
    }

    #[test]
    fn that_does_not_fit_the_signature_is_refused() {
        build_and_execute(|| {
            add_host(HOST, 10_000 * MESH, 4);
            let id = submit(1);
            next_block();
            let try_with =
                |t: Vec<Tensor>| Jobs::submit_result(signed(HOST), id, t.try_into().unwrap(), None);
            assert_noop!(try_with(vec![]), Error::<Test>::MissingTensor);
            assert_noop!(
                try_with(vec![tensor("z", ElementType::F32, &[2], 8)]),
                Error::<Test>::UnknownTensor
            );
            assert_noop!(
                try_with(vec![tensor("y", ElementType::F32, &[3], 12)]),
                Error::<Test>::WrongShape
            );
            assert_noop!(
                try_with(vec![tensor("y", ElementType::F32, &[2], 9)]),
                Error::<Test>::WrongByteLength
            );
            assert_noop!(
                try_with(vec![tensor("y", ElementType::F32, &[2], 600)]),
                Error::<Test>::OutputTooLarge
            );
            deliver(id, HOST);
        });
    }
}

mod redundancy {
    use super::*;

    #[test]
    fn draws_different_hosts_and_pays_each() {
        build_and_execute(|| {
            (0..6).for_each(|i| add_host(HOST + i, 10_000 * MESH, 4));
            let id = submit(5);
            next_block();
            let mut hosts = hosts_of(id);
            hosts.sort_unstable();
            hosts.dedup();
            assert_eq!(hosts.len(), 5);
            for (n, host) in hosts.iter().enumerate() {
                assert!(
                    !matches!(job(id).state, JobState::Finished(_)),
                    "ended after {n} results"
                );
                deliver(id, *host);
            }
            assert_eq!(job(id).state, JobState::Finished(JobOutcome::Settled));
            assert_eq!(job(id).account.fee, 5 * FEE);
            assert!(hosts.iter().all(|h| free(*h) == MESH + FEE * 7 / 10));
        });
    }

    #[test]
    fn with_too_few_hosts_pays_those_who_delivered_when_time_is_up() {
        build_and_execute(|| {
            add_host(HOST, 10_000 * MESH, 4);
            let id = submit(3);
            next_block();
            deliver(id, HOST);
            assert_eq!(job(id).state, JobState::Queued);
            assert_noop!(Jobs::cancel(signed(CLIENT), id), Error::<Test>::NotCancellable);
            run_to(job(id).expires_at + 3);
            assert_eq!(job(id).state, JobState::Finished(JobOutcome::PartiallySettled));
            assert_eq!((job(id).account.fee, job(id).account.refunded), (FEE, 2 * FEE));
        });
    }
}

mod lateness {
    use super::*;

    #[test]
    fn costs_reputation_and_the_job_goes_to_another_host_for_the_same_fee() {
        build_and_execute(|| {
            add_host(HOST, 10_000 * MESH, 4);
            add_host(HOST + 1, 10_000 * MESH, 4);
            let id = submit(1);
            next_block();
            let first = hosts_of(id)[0];
            run_to(job(id).assignments[0].deadline + 1);
            assert_eq!(world(|w| w.conduct.clone()), [(first, Conduct::Timeout)]);
            assert_eq!(Hosts::<Test>::get(first).missed, 1);
            assert_eq!(job(id).assignments[0].state, AssignmentState::TimedOut);
            let second = hosts_of(id)[1];
            assert_ne!(first, second);
            assert_eq!(Settlement::held(&CLIENT), FEE);
            deliver(id, second);
            assert_eq!(job(id).account.fee, FEE);
            assert_eq!(free(first), MESH);
        });
    }

    #[test]
    fn three_times_in_a_row_suspends_until_the_host_resumes() {
        build_and_execute(|| {
            add_host(HOST, 10_000 * MESH, 4);
            let jobs: Vec<_> = (0..3).map(|_| submit(1)).collect();
            next_block();
            assert!(jobs.iter().all(|id| hosts_of(*id) == [HOST]));
            assert_noop!(Jobs::resume(signed(HOST)), Error::<Test>::NotSuspended);
            run_to(job(jobs[0]).assignments[0].deadline + 1);
            assert!(events().contains(&Event::Suspended { host: HOST }));
            let id = submit(1);
            run_to(System::block_number() + 5);
            assert!(hosts_of(id).is_empty());
            assert_ok!(Jobs::resume(signed(HOST)));
            run_to(System::block_number() + 2);
            assert_eq!(hosts_of(id), [HOST]);
            deliver(id, HOST);
        });
    }

    #[test]
    fn without_any_host_the_job_expires_and_everything_comes_back() {
        build_and_execute(|| {
            let before = free(CLIENT);
            let id = submit(1);
            run_to(job(id).expires_at + 3);
            assert_eq!(job(id).state, JobState::Finished(JobOutcome::Expired));
            assert_eq!(job(id).account.refunded, FEE);
            assert_eq!(free(CLIENT), before - deposit());
            assert_eq!(world(|w| w.uses[&MODEL]), 0);
            run_to(job(id).wakes_at);
            assert!(!JobsMap::<Test>::contains_key(id));
            assert_eq!(free(CLIENT), before);
        });
    }

    #[test]
    fn a_host_drawn_in_the_last_moment_keeps_its_time() {
        build_and_execute(|| {
            let id = submit(1);
            let expiry = job(id).expires_at;
            run_to(expiry - 2);
            add_host(HOST, 10_000 * MESH, 4);
            run_to(expiry);
            assert_eq!(hosts_of(id), [HOST]);
            run_to(expiry + 2);
            deliver(id, HOST);
            assert_eq!(job(id).state, JobState::Finished(JobOutcome::Settled));
        });
    }
}

mod refusal {
    use super::*;

    #[test]
    fn of_a_host_leads_to_another_draw_at_once_and_costs_no_reputation() {
        build_and_execute(|| {
            add_host(HOST, 10_000 * MESH, 4);
            add_host(HOST + 1, 10_000 * MESH, 4);
            let id = submit(1);
            next_block();
            let first = hosts_of(id)[0];
            assert_noop!(
                Jobs::decline(signed(OTHER), id, FailureReason::HostUnavailable),
                Error::<Test>::NotDrawn
            );
            assert_ok!(Jobs::decline(signed(first), id, FailureReason::HostUnavailable));
            assert_noop!(
                Jobs::decline(signed(first), id, FailureReason::HostUnavailable),
                Error::<Test>::AlreadyDeclined
            );
            assert_noop!(
                Jobs::submit_result(signed(first), id, outputs(), None),
                Error::<Test>::AlreadyDeclined
            );
            next_block();
            assert_eq!(hosts_of(id).len(), 2);
            assert!(world(|w| w.conduct.is_empty()));
            deliver(id, hosts_of(id)[1]);
        });
    }

    #[test]
    fn of_two_hosts_because_of_the_model_ends_the_job() {
        build_and_execute(|| {
            (0..3).for_each(|i| add_host(HOST + i, 10_000 * MESH, 4));
            let id = submit(1);
            for n in 0..2 {
                next_block();
                assert_ok!(Jobs::decline(
                    signed(hosts_of(id)[n]),
                    id,
                    FailureReason::ModelError
                ));
            }
            next_block();
            assert_eq!(
                job(id).state,
                JobState::Finished(JobOutcome::Failed(FailureReason::ModelError))
            );
            assert_eq!(job(id).account.refunded, FEE);
        });
    }

    #[test]
    fn of_as_many_hosts_as_can_be_tried_ends_the_job() {
        build_and_execute(|| {
            (0..16).for_each(|i| add_host(HOST + i, 10_000 * MESH, 4));
            let id = submit(1);
            for n in 0..15 {
                next_block();
                assert_ok!(Jobs::decline(
                    signed(hosts_of(id)[n]),
                    id,
                    FailureReason::HostUnavailable
                ));
            }
            next_block();
            assert_eq!(
                job(id).state,
                JobState::Finished(JobOutcome::Failed(FailureReason::TooManyAttempts))
            );
        });
    }
}

mod ending {
    use super::*;

    #[test]
    fn cancelling_a_queued_job_returns_every_planck() {
        build_and_execute(|| {
            let before = free(CLIENT);
            let id = submit(1);
            assert_noop!(Jobs::cancel(signed(OTHER), id), Error::<Test>::NotOwner);
            assert_ok!(Jobs::cancel(signed(CLIENT), id));
            assert_eq!(free(CLIENT), before);
            assert_noop!(Jobs::cancel(signed(CLIENT), id), Error::<Test>::UnknownJob);
            assert_eq!(Agenda::<Test>::iter().count(), 0);
            run_to(60);
        });
    }

    #[test]
    fn a_job_under_way_can_not_be_cancelled() {
        build_and_execute(|| {
            add_host(HOST, 10_000 * MESH, 4);
            let id = submit(1);
            next_block();
            assert_noop!(Jobs::cancel(signed(CLIENT), id), Error::<Test>::NotCancellable);
            assert_noop!(Jobs::remove(signed(CLIENT), id), Error::<Test>::JobNotFinished);
            deliver(id, HOST);
            assert_noop!(Jobs::cancel(signed(CLIENT), id), Error::<Test>::JobFinished);
            assert_noop!(Jobs::remove(signed(OTHER), id), Error::<Test>::NotOwner);
            assert_ok!(Jobs::remove(signed(CLIENT), id));
            assert_eq!(deposit(), 0);
            assert_eq!(
                Results::<Test>::iter().count() + Inputs::<Test>::iter().count(),
                0
            );
        });
    }

    #[test]
    fn the_record_goes_by_itself_after_the_retention_period() {
        build_and_execute(|| {
            add_host(HOST, 10_000 * MESH, 4);
            let before = free(CLIENT);
            let id = submit(1);
            next_block();
            deliver(id, HOST);
            run_to(System::block_number() + 29);
            assert!(JobsMap::<Test>::contains_key(id));
            next_block();
            assert!(!JobsMap::<Test>::contains_key(id));
            assert_eq!(free(CLIENT), before - FEE);
        });
    }
}

mod agenda {
    use super::*;

    #[test]
    fn leaves_to_the_next_block_what_does_not_fit_and_forgets_nothing() {
        build_and_execute(|| {
            MaxInFlight::set(1_000);
            AgendaWeight::set(Jobs::costliest_step() * 4);
            add_host(HOST, 1_000_000 * MESH, 1_000);
            let jobs: Vec<_> = (0..200).map(|_| submit(1)).collect();
            let drawn = || jobs.iter().filter(|id| !hosts_of(**id).is_empty()).count();
            next_block();
            let first = drawn();
            assert!(first > 0 && first < 200, "{first} draws in one block");
            Jobs::do_try_state().unwrap();
            run_to(System::block_number() + 200 / first as u64 + 1);
            assert_eq!(drawn(), 200);
        });
    }

    #[test]
    fn serves_urgent_jobs_first() {
        build_and_execute(|| {
            add_host(HOST, 10_000 * MESH, 1);
            let normal = submit(1);
            let mut params = params(1);
            params.priority = Priority::Urgent;
            params.max_fee = 2 * FEE;
            assert_ok!(Jobs::submit(signed(CLIENT), MODEL, inputs(), params));
            next_block();
            assert_eq!((hosts_of(normal).len(), hosts_of(normal + 1).len()), (0, 1));
            assert_eq!(job(normal + 1).assignments[0].fee, 2 * FEE);
            deliver(normal + 1, HOST);
            run_to(System::block_number() + 2);
            assert_eq!(hosts_of(normal), [HOST]);
            deliver(normal, HOST);
        });
    }

    #[test]
    fn the_weight_of_a_call_is_bounded_by_the_block() {
        build_and_execute(|| {
            let call = RuntimeCall::Jobs(crate::Call::submit {
                model: MODEL,
                inputs: inputs(),
                params: params(1),
            });
            assert!(call.get_dispatch_info().call_weight.ref_time() > 0);
            assert!(Work::<Test>::iter().next().is_none());
        });
    }
}

mod eligibility {
    use super::*;

    fn who_is_drawn<R>(change: impl FnOnce(&mut World) -> R, params: JobParams) -> Vec<AccountId> {
        let mut drawn = vec![];
        build_and_execute(|| {
            add_host(HOST, 10_000 * MESH, 4);
            world(change);
            assert_ok!(Jobs::submit(signed(CLIENT), MODEL, inputs(), params));
            next_block();
            drawn = hosts_of(0);
        });
        drawn
    }

    #[test]
    fn leaves_out_hosts_that_are_too_dear_too_poor_full_or_of_low_repute() {
        assert_eq!(who_is_drawn(|_| (), params(1)), [HOST]);
        let nobody: [AccountId; 0] = [];
        let price = |w: &mut World, price| {
            w.offers
                .get_mut(&MODEL)
                .unwrap()
                .insert(HOST, OfferTerms { price, capacity: 4 });
        };
        assert_eq!(who_is_drawn(|w| price(w, FEE + 10), params(1)), nobody);
        assert_eq!(who_is_drawn(|w| w.stakes.remove(&HOST), params(1)), nobody);
        assert_eq!(
            who_is_drawn(|w| w.stakes.insert(HOST, FEE - 1), params(1)),
            nobody
        );
        assert_eq!(
            who_is_drawn(|w| w.scores.insert(HOST, Perbill::zero()), params(1)),
            nobody
        );
        let picky = JobParams {
            min_reputation: Perbill::from_percent(60),
            ..params(1)
        };
        assert_eq!(who_is_drawn(|_| (), picky), nobody);
        assert_eq!(
            who_is_drawn(|w| w.scores.insert(HOST, Perbill::from_percent(60)), picky),
            [HOST]
        );
    }

    #[test]
    fn without_randomness_nobody_is_drawn_until_there_is_some() {
        build_and_execute(|| {
            add_host(HOST, 10_000 * MESH, 4);
            world(|w| w.luck = None);
            let id = submit(1);
            next_block();
            assert!(hosts_of(id).is_empty());
            world(|w| w.luck = Some(1));
            run_to(System::block_number() + 2);
            assert_eq!(hosts_of(id), [HOST]);
        });
    }

    #[test]
    fn a_hosts_open_fees_never_exceed_its_stake() {
        build_and_execute(|| {
            add_host(HOST, 3 * FEE + FEE / 2, 10);
            (0..5).for_each(|_| {
                submit(1);
            });
            next_block();
            assert_eq!(Hosts::<Test>::get(HOST).in_flight, 3);
        });
    }

    #[test]
    fn a_quote_names_the_live_offers() {
        build_and_execute(|| {
            assert_eq!(Jobs::quote(99, Priority::Normal, Perbill::zero()), None);
            let none = Jobs::quote(MODEL, Priority::Normal, Perbill::zero()).unwrap();
            assert_eq!((none.lowest, none.highest, none.hosts), (None, None, 0));
            add_host(HOST, 10_000 * MESH, 4);
            add_host(HOST + 1, 10_000 * MESH, 4);
            world(|w| w.offers.get_mut(&MODEL).unwrap().get_mut(&HOST).unwrap().price = 2 * FEE);
            let quote = Jobs::quote(MODEL, Priority::Normal, Perbill::zero()).unwrap();
            assert_eq!(
                (quote.lowest, quote.highest, quote.hosts),
                (Some(FEE), Some(2 * FEE), 2)
            );
        });
    }
}
