//! What a worker needs of an engine, whichever way it runs models.

use crate::{EngineError, ProbeTensor};
use llmesh_primitives::{ContentId, ElementType, ModelManifest, ModelSignature, Tensors};
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
    /// Whether the probe itself is wanted beside its hash: by those who verify, and by a host that may be audited.
    pub want_probe: bool,
}

impl RunRequest {
    /// A run that yields the outputs and the probe's hash.
    pub fn new(model: ModelRef, inputs: Tensors) -> Self {
        Self {
            model,
            inputs,
            want_probe: false,
        }
    }

    /// The same, with the probe itself.
    #[must_use]
    pub fn with_probe(mut self) -> Self {
        self.want_probe = true;
        self
    }
}

/// What an inference yielded.
#[derive(Clone, Debug, PartialEq)]
pub struct Execution {
    /// The outputs in the order of the signature.
    pub outputs: Tensors,
    /// BLAKE2b-256 over the SCALE encoding of the probe tensor (name, element type, shape, data), when the model
    /// declares one.
    pub probe_hash: Option<H256>,
    /// The probe tensor itself, when the model declares one and the request asks for it.
    pub probe: Option<ProbeTensor>,
    /// Time that the run itself took.
    pub elapsed: Duration,
}

impl Execution {
    /// What verification compares, as little-endian elements: the probe when there is one, else the outputs in the order
    /// of the signature. A sketch is made of these.
    ///
    /// For a model that declares a probe the request must have asked for it; without it this yields the outputs.
    pub fn compared(&self) -> impl Iterator<Item = (ElementType, &[u8])> {
        let probe = self.probe.iter().map(ProbeTensor::compared);
        let outputs = if self.probe.is_some() {
            [].iter()
        } else {
            self.outputs.iter()
        };
        probe.chain(outputs.map(|t| (t.element_type, t.data.as_slice())))
    }
}

/// Runs models. The promises:
/// - no method blocks the caller's thread for longer than a file-system call;
/// - inputs are checked against the signature before anything runs;
/// - a run ends: with its outputs, with an error, or stopped at the time limit;
/// - outputs are bounded and fit the signature, and so is a probe that was asked for;
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
