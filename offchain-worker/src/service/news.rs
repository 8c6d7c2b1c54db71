//! What came of computations and transactions.

use super::{Service, disk_fault};
use crate::{
    Fault,
    metrics::Ended,
    reconcile::{Event, SendOutcome},
    tasks::{self, ComputeError, Done, What},
};
use llmesh_chain::ChainError;
use llmesh_engine::{EngineError, StoreError};
use llmesh_primitives::{JobId, ModelVersionId};
use std::time::Duration;

impl Service {
    pub(super) fn on_done(&mut self, done: Done) {
        match done {
            Done::Computed { job, model, result } => self.on_computed(job, model, result),
            Done::Sent {
                job,
                what,
                outcome,
                error,
            } => self.on_sent(job, what, outcome, error),
            Done::Investigated { job, delivered } => {
                if delivered {
                    self.decide(Event::FoundDelivered { job });
                }
            }
            Done::Prepared { model, result } => {
                let outcome = result.as_ref().err().map(ToString::to_string);
                let Some(model) = self.models.get_mut(&model) else {
                    return;
                };
                model.preparing = false;
                match result {
                    Ok(()) => {
                        model.prepared = true;
                        tracing::info!(model = model.name, "model loaded");
                    }
                    Err(EngineError::Busy | EngineError::Stopped | EngineError::RuntimeMissing { .. }) => {}
                    Err(EngineError::Store(StoreError::Missing(_))) => {
                        model.fault = Some(Fault::ModelMissing {
                            model: model.name.clone(),
                        });
                    }
                    Err(_) => {
                        model.prepared = true;
                        let reason = outcome.unwrap_or_default();
                        model.fault = Some(Fault::ModelUnusable {
                            model: model.name.clone(),
                            reason,
                        });
                    }
                }
            }
            Done::Resumed(Ok(())) => tracing::info!("let in again after the suspension"),
            Done::Resumed(Err(error)) => tracing::warn!(%error, "could not ask to be let in again"),
            Done::DiskProbed(result) => {
                self.probing_disk = false;
                self.faults.disk = result.err().map(disk_fault);
            }
            Done::RuntimeChecked(result) => {
                self.checking_runtime = false;
                self.faults.runtime = result.err().map(|e| Fault::RuntimeMissing {
                    reason: e.to_string(),
                });
            }
        }
    }

    fn on_computed(&mut self, job: JobId, model: ModelVersionId, result: Result<Duration, ComputeError>) {
        self.running.remove(&job);
        let result = match result {
            Ok(elapsed) => {
                self.metrics.inference(elapsed.as_secs_f64());
                tracing::info!(job, ?elapsed, "computed");
                Ok(())
            }
            Err(error) => {
                self.counts.2 += 1;
                tracing::warn!(job, %error, "no result");
                let reason = error.reason();
                self.blame(model, error);
                Err(reason)
            }
        };
        self.decide(Event::Computed { job, result });
    }

    /// Notes what a failed computation says about the worker itself.
    fn blame(&mut self, model: ModelVersionId, error: ComputeError) {
        match error {
            ComputeError::State(error) => self.faults.disk = Some(disk_fault(error)),
            ComputeError::Evidence(error) => {
                self.faults.disk = Some(Fault::DiskFull {
                    reason: error.to_string(),
                });
            }
            ComputeError::Engine(error @ EngineError::RuntimeMissing { .. }) => {
                self.faults.runtime = Some(Fault::RuntimeMissing {
                    reason: error.to_string(),
                });
            }
            ComputeError::Engine(
                error @ (EngineError::Store(_) | EngineError::Load(_) | EngineError::SignatureMismatch(_)),
            ) => {
                if let Some(model) = self.models.get_mut(&model) {
                    let (name, reason) = (model.name.clone(), error.to_string());
                    model.fault = Some(Fault::ModelUnusable { model: name, reason });
                }
            }
            ComputeError::Engine(_) | ComputeError::Panicked => {}
        }
    }

    fn on_sent(&mut self, job: JobId, what: What, outcome: SendOutcome, error: Option<ChainError>) {
        match (&error, outcome) {
            (None, SendOutcome::Included) if what == What::Result => tracing::info!(job, "delivered"),
            (None, SendOutcome::Included) => tracing::info!(job, "handed back"),
            (Some(error), SendOutcome::Gone) => {
                tracing::debug!(job, %error, "the chain does not wait for it any more")
            }
            (Some(error), _) => tracing::warn!(job, %error, "not delivered"),
            (None, _) => {}
        }
        if error.as_ref().is_some_and(tasks::cannot_pay)
            && !self
                .faults
                .account
                .iter()
                .any(|f| matches!(f, Fault::NoBalance { .. }))
        {
            self.faults.account.push(Fault::NoBalance { free: 0 });
        }
        let ended = match (outcome, what) {
            (SendOutcome::Included, What::Result) => Some(Ended::Delivered),
            (SendOutcome::Included, What::Refusal) => Some(Ended::Declined),
            _ => None,
        };
        if let Some(ended) = ended
            && self.ended.insert(job)
        {
            self.metrics.ended(ended);
            match ended {
                Ended::Delivered => self.counts.0 += 1,
                _ => self.counts.1 += 1,
            }
        }
        self.decide(Event::Sent { job, outcome });
    }
}
