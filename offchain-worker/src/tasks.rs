//! What runs beside the loop: computations and transactions.

use crate::{
    audit::{Evidence, EvidenceError, EvidenceStore, JOBS_KEPT_MS},
    reconcile::SendOutcome,
    state::{Record, ResultStore, StateError},
};
use codec::Encode;
use llmesh_chain::{
    AccountId, BlockNumber, ChainError, H256, NodeClient, RejectionKind, Signer, Wait, calls,
};
use llmesh_engine::{EngineError, Executor, RunRequest};
use llmesh_primitives::{FailureReason, JobId, ModelVersionId, Receipt, job::hash_tensors};
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc::UnboundedSender;

/// News for the loop.
pub(crate) enum Done {
    Computed {
        job: JobId,
        model: ModelVersionId,
        result: Result<Duration, ComputeError>,
    },
    Sent {
        job: JobId,
        what: What,
        outcome: SendOutcome,
        error: Option<ChainError>,
    },
    Investigated {
        job: JobId,
        delivered: bool,
    },
    Prepared {
        model: ModelVersionId,
        result: Result<(), EngineError>,
    },
    Resumed(Result<(), ChainError>),
    DiskProbed(Result<(), StateError>),
    RuntimeChecked(Result<(), EngineError>),
}

/// What a transaction was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Result,
    Refusal,
}

/// Why there is no stored result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ComputeError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    #[error("the computation panicked: this is a bug")]
    Panicked,
}

impl ComputeError {
    /// The reason to give when the job is handed back.
    pub fn reason(&self) -> FailureReason {
        match self {
            Self::Engine(EngineError::OutputTooLarge { .. }) => FailureReason::OutputTooLarge,
            Self::Engine(e) if e.is_models_fault() => FailureReason::ModelError,
            _ => FailureReason::HostUnavailable,
        }
    }
}

/// Reports a computation that panicked, which could not report itself.
struct Watch<'a> {
    news: &'a UnboundedSender<Done>,
    job: JobId,
    model: ModelVersionId,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let (job, model) = (self.job, self.model);
            let _ = self.news.send(Done::Computed {
                job,
                model,
                result: Err(ComputeError::Panicked),
            });
        }
    }
}

/// One job to compute.
pub(crate) struct Computation {
    pub job: JobId,
    pub model: ModelVersionId,
    pub key: H256,
    pub deadline: BlockNumber,
    pub request: RunRequest,
    /// Where the evidence goes, if this worker takes part in audits.
    pub evidence: Option<EvidenceStore>,
    /// The receipt that the chain will make, but for what is computed.
    pub receipt: Receipt,
    pub host: AccountId,
}

/// Computes and stores; the result is safe on disk when the news arrives.
pub(crate) async fn compute(
    work: Computation,
    executor: Arc<dyn Executor>,
    store: Arc<dyn ResultStore>,
    news: UnboundedSender<Done>,
) {
    let Computation {
        job,
        model,
        key,
        deadline,
        request,
        evidence,
        receipt,
        host,
    } = work;
    let _watch = Watch {
        news: &news,
        job,
        model,
    };
    let result = async {
        let inputs = request.inputs.encode();
        let execution = executor.execute(request).await?;
        if let Some(evidence) = evidence {
            let receipt = Receipt {
                output_hash: hash_tensors(&execution.outputs),
                probe_hash: execution.probe_hash,
                ..receipt
            };
            let kept = Evidence {
                version: model,
                inputs,
                outputs: execution.outputs.encode(),
                probe: execution.probe.map(|probe| probe.encode()),
                signed: None,
                receipt,
            };
            let until = crate::net::unix_ms().saturating_add(JOBS_KEPT_MS);
            evidence
                .put(kept.receipt.hash(&host.0), kept, Some(until))
                .await?;
        }
        let record = Record {
            job,
            key,
            deadline,
            attempted: false,
            outputs: execution.outputs,
            probe_hash: execution.probe_hash,
        };
        on_disk(store, move |store| store.put(&record)).await?;
        Ok(execution.elapsed)
    };
    let result = result.await;
    let _ = news.send(Done::Computed { job, model, result });
}

/// Runs a piece of disk work where it may block.
pub(crate) async fn on_disk<T: Send + 'static>(
    store: Arc<dyn ResultStore>,
    work: impl FnOnce(&dyn ResultStore) -> Result<T, StateError> + Send + 'static,
) -> Result<T, StateError> {
    match tokio::task::spawn_blocking(move || work(&*store)).await {
        Ok(result) => result,
        Err(e) => Err(StateError::Database {
            path: "state".into(),
            reason: e.to_string(),
        }),
    }
}

/// Sends a stored result.
pub(crate) async fn send_result(
    job: JobId,
    client: Arc<dyn NodeClient>,
    store: Arc<dyn ResultStore>,
    signer: Signer,
    news: UnboundedSender<Done>,
) {
    let record = on_disk(store, move |store| {
        let record = store.get(job)?;
        if let Some(record) = record.as_ref().filter(|r| !r.attempted)
            // Without the mark, a crash now could make this worker look like another one later.
            && let Err(error) = store.put(&Record { attempted: true, ..record.clone() })
        {
            tracing::warn!(job, %error, "the attempt could not be noted");
        }
        Ok(record)
    })
    .await;
    let (outcome, error) = match record {
        Ok(Some(record)) => {
            let call = calls::submit_result(job, &record.outputs, record.probe_hash);
            outcome(client.submit(&call, &signer, Wait::InBlock).await.map(drop))
        }
        Ok(None) => (SendOutcome::Refused(FailureReason::HostUnavailable), None),
        Err(error) => {
            tracing::warn!(job, %error, "the stored result can not be read");
            (SendOutcome::Unclear, None)
        }
    };
    let _ = news.send(Done::Sent {
        job,
        what: What::Result,
        outcome,
        error,
    });
}

/// Hands a job back.
pub(crate) async fn decline(
    job: JobId,
    reason: FailureReason,
    client: Arc<dyn NodeClient>,
    signer: Signer,
    news: UnboundedSender<Done>,
) {
    let result = client
        .submit(&calls::decline(job, reason), &signer, Wait::InBlock)
        .await;
    let (outcome, error) = outcome(result.map(drop));
    let _ = news.send(Done::Sent {
        job,
        what: What::Refusal,
        outcome,
        error,
    });
}

/// What the answer of the chain means for the job.
fn outcome(result: Result<(), ChainError>) -> (SendOutcome, Option<ChainError>) {
    let error = match result {
        Ok(()) => return (SendOutcome::Included, None),
        Err(error) => error,
    };
    let outcome = match error.module_error() {
        Some(("Jobs", name)) => match name {
            "AlreadyDelivered" => SendOutcome::AlreadyDelivered,
            "UnknownJob" | "NotDrawn" | "AlreadyDeclined" | "DeadlinePassed" | "JobFinished" => {
                SendOutcome::Gone
            }
            "OutputTooLarge" | "TensorTooLarge" => SendOutcome::Refused(FailureReason::OutputTooLarge),
            "UnknownTensor" | "RepeatedTensor" | "MissingTensor" | "WrongElementType" | "WrongShape"
            | "WrongByteLength" => SendOutcome::Refused(FailureReason::ModelError),
            _ => SendOutcome::Unclear,
        },
        _ => match &error {
            ChainError::Pool(rejection) if rejection.kind == RejectionKind::NonceConflict => {
                SendOutcome::Replaced
            }
            _ => SendOutcome::Unclear,
        },
    };
    (outcome, Some(error))
}

/// Whether an error says that the account can not pay.
pub(crate) fn cannot_pay(error: &ChainError) -> bool {
    matches!(error, ChainError::Pool(rejection) if rejection.kind == RejectionKind::CannotPay)
}

#[cfg(test)]
mod tests {
    use super::*;
    use llmesh_chain::DispatchFailure;

    #[test]
    fn errors_of_the_chain_are_understood() {
        let fails = |module: &str, name: &str| {
            let failure = DispatchFailure {
                call: "Jobs.submit_result".into(),
                block: 1,
                module: module.into(),
                name: name.into(),
                docs: String::new(),
            };
            outcome(Err(failure.into())).0
        };
        assert_eq!(outcome(Ok(())).0, SendOutcome::Included);
        assert_eq!(fails("Jobs", "AlreadyDelivered"), SendOutcome::AlreadyDelivered);
        assert_eq!(fails("Jobs", "NotDrawn"), SendOutcome::Gone);
        assert_eq!(
            fails("Jobs", "OutputTooLarge"),
            SendOutcome::Refused(FailureReason::OutputTooLarge)
        );
        assert_eq!(
            fails("Jobs", "WrongShape"),
            SendOutcome::Refused(FailureReason::ModelError)
        );
        assert_eq!(fails("TxPause", "CallFiltered"), SendOutcome::Unclear);
        let lost = ChainError::Unknown {
            call: "c".into(),
            reason: "r".into(),
        };
        assert_eq!(outcome(Err(lost)).0, SendOutcome::Unclear);
    }

    #[test]
    fn reasons_are_honest() {
        let reason = |e: EngineError| ComputeError::from(e).reason();
        assert_eq!(reason(EngineError::Run("x".into())), FailureReason::ModelError);
        assert_eq!(
            reason(EngineError::OutputTooLarge { size: 2, limit: 1 }),
            FailureReason::OutputTooLarge
        );
        assert_eq!(reason(EngineError::Busy), FailureReason::HostUnavailable);
        let full = StateError::DiskFull { path: "p".into() };
        assert_eq!(ComputeError::from(full).reason(), FailureReason::HostUnavailable);
    }
}
