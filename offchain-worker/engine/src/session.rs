//! One loaded model.

use crate::{
    EngineError, Execution, ModelRef, RunRequest,
    convert::{self, RawOutput},
    inspect, onnx,
    watchdog::{Watchdog, Watched},
};
use llmesh_primitives::{Tensors, tensor::total_bytes};
use ort::{
    environment::Environment,
    session::{RunOptions, Session, SessionInputValue, builder::GraphOptimizationLevel},
};
use std::{
    borrow::Cow,
    time::{Duration, Instant},
};

/// Bounds of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub time: Duration,
    pub output_bytes: u64,
}

/// A session with the outputs that a job and its verification need.
pub(crate) struct Loaded {
    session: Session,
}

fn load_error(error: impl std::fmt::Display) -> EngineError {
    EngineError::Load(error.to_string())
}

/// Builds a session out of a model's bytes; files beside it are out of reach.
pub(crate) fn open(environment: &Environment, model: &[u8], threads: usize) -> Result<Session, EngineError> {
    Session::builder(environment)
        .map_err(load_error)?
        .with_optimization_level(GraphOptimizationLevel::All)
        .map_err(load_error)?
        .with_intra_threads(threads)
        .map_err(load_error)?
        .with_inter_threads(1)
        .map_err(load_error)?
        .with_parallel_execution(false)
        .map_err(load_error)?
        .with_deterministic_compute(true)
        .map_err(load_error)?
        .commit_from_memory(model)
        .map_err(load_error)
}

impl Loaded {
    /// Loads the model, with its probe among the outputs, and checks it against its signature.
    pub fn load(
        environment: &Environment,
        mut bytes: Vec<u8>,
        model: &ModelRef,
        threads: usize,
    ) -> Result<Self, EngineError> {
        let is_output = |name: &str| {
            model
                .signature
                .outputs
                .iter()
                .any(|s| s.name.as_slice() == name.as_bytes())
        };
        if !model.probe.is_empty() && !is_output(&model.probe) {
            onnx::append_output(&mut bytes, &model.probe);
        }
        let session = open(environment, &bytes, threads)?;
        inspect::check(&session, &model.signature)?;
        Ok(Self { session })
    }

    /// Runs the model once on inputs that were checked before.
    pub fn run(
        &mut self,
        request: &RunRequest,
        limits: Limits,
        watchdog: &Watchdog,
    ) -> Result<Execution, EngineError> {
        let signature = &request.model.signature;
        let mut inputs: Vec<(Cow<'_, str>, SessionInputValue<'_>)> = Vec::with_capacity(request.inputs.len());
        for tensor in &request.inputs {
            inputs.push((Cow::Borrowed(tensor.name_str()), convert::to_ort(tensor)?.into()));
        }
        let run_error = |e: ort::Error| EngineError::Run(e.to_string());
        let watched = Watched::new(RunOptions::new().map_err(run_error)?);
        let started = Instant::now();
        let result = {
            let _guard = watchdog.watch(watched.clone(), started + limits.time);
            self.session.run_with_options(inputs, &watched.options)
        };
        let elapsed = started.elapsed();
        let outputs = result.map_err(|e| {
            if watched.expired() {
                EngineError::TimedOut(limits.time)
            } else {
                run_error(e)
            }
        })?;

        let raw = |name: &str| match outputs.get(name) {
            Some(value) => Ok(value),
            None => Err(EngineError::Output {
                name: name.into(),
                reason: "it is not there".into(),
            }),
        };
        let mut raws = Vec::with_capacity(signature.outputs.len());
        for spec in &signature.outputs {
            let name = std::str::from_utf8(&spec.name).unwrap_or_default();
            raws.push(RawOutput::new(name, raw(name)?)?);
        }
        let size = raws
            .iter()
            .map(|r| r.data.len() as u64)
            .fold(0, u64::saturating_add);
        if size > limits.output_bytes {
            return Err(EngineError::OutputTooLarge {
                size,
                limit: limits.output_bytes,
            });
        }
        let tensors = raws
            .iter()
            .map(RawOutput::to_tensor)
            .collect::<Result<Vec<_>, _>>()?;
        for tensor in &tensors {
            // One by one, so that the error names the tensor.
            let spec = signature.outputs.iter().find(|s| s.name == tensor.name);
            let fits = spec.is_some_and(|s| {
                s.element_type == tensor.element_type
                    && s.shape.len() == tensor.shape.len()
                    && s.shape.iter().zip(&tensor.shape).all(|(dim, n)| dim.accepts(*n))
            });
            if !fits {
                let reason = format!("{} {:?}", tensor.element_type.name(), tensor.shape.as_slice());
                return Err(EngineError::Output {
                    name: tensor.name_str().into(),
                    reason,
                });
            }
        }
        let outputs_ = Tensors::try_from(tensors).map_err(|t| EngineError::OutputTooLarge {
            size: total_bytes(&t),
            limit: limits.output_bytes,
        })?;
        let probe_hash = match request.model.probe.as_str() {
            "" => None,
            probe => Some(RawOutput::new(probe, raw(probe)?)?.hash()),
        };
        Ok(Execution {
            outputs: outputs_,
            probe_hash,
            elapsed,
        })
    }
}
