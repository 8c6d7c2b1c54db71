//! Proof of Compute: keeps the evidence of this worker's answers, shows it when an audit asks for it, and verifies the
//! work of others.
//!
//! - [`evidence`] is what is kept, on disk;
//! - `keeper` does what the chain waits for: shows receipts, publishes sketches, runs models again, commits and reveals;
//! - `give` answers verifiers in the mesh, [`wire`] is what is said there;
//! - `judge` is what a verifier makes of what it is shown.
//!
//! The protocol is in docs/proof-of-compute.md, the pure parts of it in the crate `llmesh_proofs`.

pub mod evidence;
pub mod wire;

#[cfg(test)]
mod evidence_tests;
mod give;
mod judge;
#[cfg(test)]
mod judge_tests;
mod keeper;

pub use evidence::{Ballot, Evidence, EvidenceError, EvidenceStore, LaneEpoch};
pub(crate) use give::Giver;
pub use give::Payloads;
pub use keeper::Counters;
pub(crate) use keeper::{Keeper, Parts};

use llmesh_engine::Executor;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// How long the evidence for a job's result is kept, in milliseconds: longer than any preset's horizon of audits.
pub(crate) const JOBS_KEPT_MS: u64 = 3 * 24 * 60 * 60 * 1_000;
/// Length of a round at most, in milliseconds: the longest epochs of any preset are five minutes.
pub(crate) const ROUND_MS: u64 = 5 * 60 * 1_000;

/// Where evidence is kept below a base path.
pub fn evidence_folder(base_path: &Path) -> PathBuf {
    base_path.join("evidence")
}

/// How a worker takes part in audits.
#[derive(Clone)]
pub struct Auditing {
    /// The evidence of this worker's answers.
    pub evidence: EvidenceStore,
    /// What verifiers are shown: the evidence.
    pub payloads: Arc<dyn Payloads>,
    /// Runs models as verifiers do: batch 1, one thread, in deterministic order.
    pub verifier: Arc<dyn Executor>,
}

impl Auditing {
    /// Shows what is in the store, and verifies with this executor.
    pub fn new(evidence: EvidenceStore, verifier: Arc<dyn Executor>) -> Self {
        Self {
            payloads: Arc::new(evidence.clone()),
            evidence,
            verifier,
        }
    }
}
