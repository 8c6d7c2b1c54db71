//! What must hold between blocks.

use crate::{
    Agenda, AgendaCursor, Config, HoldReason, HostLoad, Hosts, Inputs, Jobs, NextJobId, OfferLoad, Pallet,
    Results, Work, draw::AgendaKey, lifecycle::is_finished,
};
use alloc::collections::BTreeMap;
use codec::Encode;
use frame_support::{ensure, traits::fungible::InspectHold};
use llmesh_primitives::{AssignmentState, job::hash_tensors, traits::Escrow};
use sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T> {
    /// Checks that every hold is the sum over the jobs, that every job is on the agenda exactly once, and that loads,
    /// inputs and results are those of the jobs.
    pub fn do_try_state() -> Result<(), TryRuntimeError> {
        let mut deposits = BTreeMap::<_, u128>::new();
        let mut escrows = BTreeMap::<_, u128>::new();
        let mut loads = BTreeMap::<_, (u32, u128)>::new();
        let mut offer_loads = BTreeMap::<_, u32>::new();
        let (mut jobs, mut results, mut work) = (0usize, 0usize, 0usize);

        for (id, job) in Jobs::<T>::iter() {
            jobs += 1;
            ensure!(id < NextJobId::<T>::get(), "job number from the future");
            ensure!(
                Agenda::<T>::contains_key(job.wakes_at, AgendaKey::new(job.params.priority, id)),
                "job is not on the agenda"
            );
            ensure!(
                job.wakes_at >= AgendaCursor::<T>::get(),
                "job lies behind the agenda's cursor"
            );
            let inputs = Inputs::<T>::get(id).ok_or("job without input")?;
            ensure!(hash_tensors(&inputs) == job.input_hash, "input hash differs");

            let owner = job.owner.encode();
            *deposits.entry(owner.clone()).or_default() += job.deposit;
            let account = job.account;
            ensure!(
                account.escrowed == job.params.max_fee,
                "escrow differs from the fee cap"
            );
            if is_finished(&job) {
                ensure!(
                    job.finished_at.is_some() && job.pending() == 0,
                    "finished job with work under way"
                );
                ensure!(
                    account.host_paid + account.pool_paid + account.treasury_paid == account.fee
                        && account.fee + account.refunded == account.escrowed,
                    "the account of a finished job does not add up"
                );
            } else {
                ensure!(job.finished_at.is_none(), "open job with an end");
                *escrows.entry(owner).or_default() += account.escrowed;
                let open = job.delivered() + job.pending();
                ensure!(
                    open <= usize::from(job.params.redundancy),
                    "more hosts than asked for"
                );
            }
            let fees: u128 = job
                .assignments
                .iter()
                .filter(|a| {
                    matches!(
                        a.state,
                        AssignmentState::Delivered { .. } | AssignmentState::Pending
                    )
                })
                .map(|a| a.fee)
                .sum();
            ensure!(fees <= job.params.max_fee, "fees exceed the cap");
            for (i, part) in job.assignments.iter().enumerate() {
                ensure!(
                    !job.assignments
                        .iter()
                        .skip(i + 1)
                        .any(|other| other.host == part.host),
                    "host drawn twice"
                );
                match part.state {
                    AssignmentState::Pending => {
                        work += 1;
                        ensure!(Work::<T>::contains_key(&part.host, id), "work is not listed");
                        let load = loads.entry(part.host.encode()).or_default();
                        load.0 += 1;
                        load.1 += part.fee;
                        *offer_loads.entry((job.model, part.host.encode())).or_default() += 1;
                    }
                    AssignmentState::Delivered {
                        output_hash, receipt, ..
                    } => {
                        results += 1;
                        let result = Results::<T>::get(id, &part.host).ok_or("result is missing")?;
                        ensure!(
                            hash_tensors(&result.outputs) == output_hash,
                            "output hash differs"
                        );
                        ensure!(result.receipt.hash(&part.host) == receipt, "receipt hash differs");
                    }
                    _ => {}
                }
            }
        }

        ensure!(
            Agenda::<T>::iter().count() == jobs,
            "agenda entries without a job"
        );
        ensure!(Inputs::<T>::iter().count() == jobs, "inputs without a job");
        ensure!(Results::<T>::iter().count() == results, "results without a job");
        ensure!(Work::<T>::iter().count() == work, "work without a job");
        for (host, HostLoad { in_flight, value, .. }) in Hosts::<T>::iter() {
            let expected = loads.remove(&host.encode()).unwrap_or_default();
            ensure!(
                (in_flight, value) == expected,
                "a host's load differs from its jobs"
            );
        }
        ensure!(loads.is_empty(), "a host's load is missing");
        for (model, host, n) in OfferLoad::<T>::iter() {
            ensure!(
                offer_loads.remove(&(model, host.encode())) == Some(n),
                "an offer's load differs from its jobs"
            );
        }
        ensure!(offer_loads.is_empty(), "an offer's load is missing");

        for (who, _) in frame_system::Account::<T>::iter() {
            let deposit = deposits.remove(&who.encode()).unwrap_or_default();
            ensure!(
                T::Currency::balance_on_hold(&HoldReason::JobDeposit.into(), &who) == deposit,
                "deposits on hold differ from the jobs'"
            );
            let escrow = escrows.remove(&who.encode()).unwrap_or_default();
            ensure!(
                T::Escrow::held(&who) == escrow,
                "escrow differs from the open jobs' fee caps"
            );
        }
        ensure!(
            deposits.is_empty() && escrows.is_empty(),
            "a client with jobs has no account"
        );
        Ok(())
    }
}
