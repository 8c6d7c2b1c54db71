//! What a worker needs of an engine, whichever way it runs models.

use crate::EngineError;
use llmesh_primitives::{ContentId, ModelManifest, ModelSignature, Tensors};
use sp_core::H256;
use std::{sync::Arc, time::Duration};

/// A model as the engine needs to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelRef {
    pub content_id: ContentId,
    pub signature: Arc<ModelSignature>,
    /// Name of the probe tensor; empty without one.
    pub probe: String,
}

impl From<&ModelManifest> for ModelRef {
    fn from(manifest: &ModelManifest) -> Self {
        Self {
            content_id: manifest.content_id,
            signature: Arc::new(manifest.signature.clone()),
            probe: String::from_utf8_lossy(&manifest.probe).into_owned(),
        }
    }
}

/// One inference to run.
#[derive(Clone, Debug)]
pub struct RunRequest {
    pub model: ModelRef,
    pub inputs: Tensors,
}

/// What an inference yielded.
#[derive(Clone, Debug, PartialEq)]
pub struct Execution {
    /// The outputs in the order of the signature.
    pub outputs: Tensors,
    /// BLAKE2b-256 over the SCALE encoding of the probe tensor (name, element type, shape, data), when the model
    /// declares one.
    pub probe_hash: Option<H256>,
    /// Time that the run itself took.
    pub elapsed: Duration,
}

/// Runs models. The promises:
/// - no method blocks the caller's thread for longer than a file-system call;
/// - inputs are checked against the signature before anything runs;
/// - a run ends: with its outputs, with an error, or stopped at the time limit;
/// - outputs are bounded and fit the signature;
/// - dropping the future of [`Executor::execute`] frees its place in the queue.
#[async_trait::async_trait]
pub trait Executor: Send + Sync + 'static {
    /// Whether models can be run at all.
    ///
    /// # Errors
    /// [`EngineError::RuntimeMissing`] with the path that was tried.
    fn check(&self) -> Result<(), EngineError>;

    /// Whether the model's file is at hand; cheap, the file is not read.
    fn has_model(&self, id: ContentId) -> bool;

    /// Loads the model, so that its first job finds it warm, and checks it against its signature.
    ///
    /// # Errors
    /// Everything but errors of the run itself.
    async fn prepare(&self, model: ModelRef) -> Result<(), EngineError>;

    /// Runs the model once.
    ///
    /// # Errors
    /// See [`EngineError`]; [`EngineError::is_models_fault`] tells whether another host would fail too.
    async fn execute(&self, request: RunRequest) -> Result<Execution, EngineError>;
}
