//! The core's decisions, carried out.

use super::Service;
use crate::{
    Fault, host,
    metrics::Ended,
    reconcile::{Action, Event},
    tasks::{self, Computation, ComputeError, Done, on_disk},
};
use llmesh_chain::{ChainApi, H256};
use llmesh_engine::RunRequest;
use llmesh_primitives::{AssignmentState, JobId, Receipt, WorkOrigin, job::hash_tensors};

impl Service {
    /// Feeds the core and does what it says.
    pub(super) fn decide(&mut self, event: Event) {
        for action in self.core.on(event) {
            tracing::debug!(?action);
            match action {
                Action::Compute(job) => self.compute(job),
                Action::Cancel(job) => {
                    if let Some(task) = self.running.remove(&job) {
                        task.abort();
                    }
                }
                Action::SendResult(job) => {
                    let (client, store) = (self.client.clone(), self.store.clone());
                    tokio::spawn(tasks::send_result(
                        job,
                        client,
                        store,
                        self.signer.clone(),
                        self.news.clone(),
                    ));
                }
                Action::Decline(job, reason) => {
                    tracing::info!(job, ?reason, "handing back");
                    let client = self.client.clone();
                    tokio::spawn(tasks::decline(
                        job,
                        reason,
                        client,
                        self.signer.clone(),
                        self.news.clone(),
                    ));
                }
                Action::Forget(job) => self.forget(job),
                Action::Investigate(job) => self.investigate(job),
                Action::OtherWorker(job) => {
                    tracing::error!(job, "another worker uses this key: this one stops computing");
                    self.faults.other_worker = Some(Fault::OtherWorker { job });
                }
            }
        }
    }

    fn compute(&mut self, job: JobId) {
        let known = self
            .work
            .get(&job)
            .and_then(|w| Some((w, self.models.get(&w.model)?)));
        let Some((work, model)) = known else {
            // The list that the core was given came from these maps.
            let result = Err(ComputeError::Panicked);
            let _ = self.news.send(Done::Computed {
                job,
                model: 0,
                result,
            });
            return;
        };
        tracing::info!(
            job,
            model = model.name,
            deadline = work.assignment.deadline,
            "computing"
        );
        let manifest = &model.version.manifest;
        let input_hash = hash_tensors(&work.inputs);
        let request = RunRequest::new(model.reference.clone(), work.inputs.clone());
        let evidence = self.config.evidence.clone();
        let computation = Computation {
            job,
            model: work.model,
            key: host::work_key(manifest.content_id, input_hash),
            deadline: work.assignment.deadline,
            request: match evidence {
                Some(_) => request.with_probe(),
                None => request,
            },
            evidence,
            receipt: Receipt {
                origin: WorkOrigin::Job(job),
                model: manifest.content_id,
                runtime_class: manifest.runtime_class,
                input_hash,
                output_hash: H256::zero(),
                probe_hash: None,
                units: manifest.complexity,
                fee: work.assignment.fee,
            },
            host: self.account,
        };
        self.ended.remove(&job);
        let (executor, store) = (self.executor.clone(), self.store.clone());
        let task = tokio::spawn(tasks::compute(computation, executor, store, self.news.clone()));
        self.running.insert(job, task.abort_handle());
    }

    fn forget(&mut self, job: JobId) {
        if !self.ended.remove(&job) {
            self.metrics.ended(Ended::Lost);
        }
        let store = self.store.clone();
        tokio::spawn(async move {
            if let Err(error) = on_disk(store, move |store| store.remove(job)).await {
                tracing::debug!(job, %error, "the old result stays in the store for now");
            }
        });
    }

    fn investigate(&mut self, job: JobId) {
        let (client, account, news) = (self.client.clone(), self.account, self.news.clone());
        tokio::spawn(async move {
            let delivered = match client.job(job).await {
                Ok(Some(found)) => found
                    .assignments
                    .iter()
                    .any(|a| a.host == account && matches!(a.state, AssignmentState::Delivered { .. })),
                _ => false,
            };
            let _ = news.send(Done::Investigated { job, delivered });
        });
    }
}
