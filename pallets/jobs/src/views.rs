//! Reads behind the runtime APIs.

use crate::{Config, Hosts, Inputs, Jobs, Pallet, Results, Work, lifecycle::Candidate};
use alloc::vec::Vec;
use frame_system::pallet_prelude::BlockNumberFor;
use llmesh_primitives::{
    AssignmentState, JobId, JobResult, ModelVersionId, Priority,
    api::{Quote, WorkItem},
    traits::ModelRegistry,
};
use sp_runtime::{Perbill, traits::Get};

impl<T: Config> Pallet<T> {
    /// What was delivered for the job, by host.
    pub fn results_of(job: JobId) -> Vec<(T::AccountId, JobResult)> {
        Results::<T>::iter_prefix(job).collect()
    }

    /// What the host has to deliver, oldest draw first, at most `limit` items.
    pub fn work_of(host: &T::AccountId, limit: u32) -> Vec<WorkItem<T::AccountId, BlockNumberFor<T>>> {
        let mut items: Vec<_> = Work::<T>::iter_key_prefix(host)
            .filter_map(|id| {
                let job = Jobs::<T>::get(id)?;
                let assignment = job
                    .assignments
                    .into_iter()
                    .find(|a| a.host == *host && matches!(a.state, AssignmentState::Pending))?;
                Some((id, job.model, assignment))
            })
            .collect();
        items.sort_by_key(|(id, _, assignment)| (assignment.drawn_at, *id));
        items
            .into_iter()
            .take(limit as usize)
            .filter_map(|(job, model, assignment)| {
                Some(WorkItem {
                    job,
                    model,
                    assignment,
                    inputs: Inputs::<T>::get(job)?,
                })
            })
            .collect()
    }

    /// The host's load, and whether draws pass it over.
    pub fn load_of(host: &T::AccountId) -> (crate::HostLoad, bool) {
        let load = Hosts::<T>::get(host);
        (load, load.missed >= T::MaxMissed::get())
    }

    /// What a result costs at present.
    pub fn quote(model: ModelVersionId, priority: Priority, min_reputation: Perbill) -> Option<Quote> {
        let version = T::Registry::version(model)?;
        let fees: Vec<u128> = Self::candidates(&version, priority, min_reputation, u128::MAX, &[])
            .into_iter()
            .map(|Candidate { fee, .. }| fee)
            .collect();
        Some(Quote {
            lowest: fees.iter().min().copied(),
            highest: fees.iter().max().copied(),
            hosts: fees.len() as u32,
        })
    }
}
