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
    logging::LogLevel,
    session::{RunOptions, Session, SessionInputValue, SessionOutputs, builder::GraphOptimizationLevel},
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
    pub probe_bytes: u64,
}

/// A session with the outputs that a job and its verification need.
pub(crate) struct Loaded {
    session: Session,
}

fn load_error(error: impl std::fmt::Display) -> EngineError {
    EngineError::Load(error.to_string())
}

/// How far ONNX Runtime rewrites a model's graph before it runs it. The result changes in the last bits at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Optimisation {
    /// Everything: fused operators, other layouts.
    #[default]
    All,
    /// Constants folded, what is not needed left out.
    Basic,
    /// The graph as it stands in the file.
    Disabled,
}

/// How ONNX Runtime carries out a model: what an honest host may choose, and what can change the last bits of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setup {
    pub intra_threads: usize,
    pub optimisation: Optimisation,
}

impl Setup {
    /// All graph optimisations, as everyone runs models who has no reason not to.
    pub const fn with_threads(intra_threads: usize) -> Self {
        Self {
            intra_threads,
            optimisation: Optimisation::All,
        }
    }
}

/// Builds a session out of a model's bytes; files beside it are out of reach.
pub(crate) fn open(environment: &Environment, model: &[u8], setup: Setup) -> Result<Session, EngineError> {
    let level = match setup.optimisation {
        Optimisation::All => GraphOptimizationLevel::All,
        Optimisation::Basic => GraphOptimizationLevel::Level1,
        Optimisation::Disabled => GraphOptimizationLevel::Disable,
    };
    Session::builder(environment)
        .map_err(load_error)?
        .with_optimization_level(level)
        .map_err(load_error)?
        .with_intra_threads(setup.intra_threads)
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
        setup: Setup,
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
        let session = open(environment, &bytes, setup)?;
        inspect::check(&session, &model.signature)?;
        Ok(Self { session })
    }

    /// Inputs and outputs as the model declares them.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Runs the model on whatever it takes, and hands over the outputs and how long that took.
    pub fn run_raw<R>(
        &mut self,
        inputs: Vec<(Cow<'_, str>, SessionInputValue<'_>)>,
        limit: Duration,
        watchdog: &Watchdog,
        then: impl FnOnce(&SessionOutputs<'_>, Duration) -> Result<R, EngineError>,
    ) -> Result<R, EngineError> {
        let run_error = |e: ort::Error| EngineError::Run(e.to_string());
        let mut options = RunOptions::new().map_err(run_error)?;
        // Why a run failed is in its error; ONNX Runtime need not print it too.
        options.set_log_level(LogLevel::Fatal).map_err(run_error)?;
        let watched = Watched::new(options);
        let started = Instant::now();
        let result = {
            let _guard = watchdog.watch(watched.clone(), started + limit);
            self.session.run_with_options(inputs, &watched.options)
        };
        let elapsed = started.elapsed();
        match result {
            Ok(outputs) => then(&outputs, elapsed),
            Err(_) if watched.expired() => Err(EngineError::TimedOut(limit)),
            Err(e) => Err(run_error(e)),
        }
    }

    /// Runs the model once on inputs that were checked before.
    pub fn run(
        &mut self,
        request: &RunRequest,
        limits: Limits,
        watchdog: &Watchdog,
    ) -> Result<Execution, EngineError> {
        let mut inputs: Vec<(Cow<'_, str>, SessionInputValue<'_>)> = Vec::with_capacity(request.inputs.len());
        for tensor in &request.inputs {
            inputs.push((Cow::Borrowed(tensor.name_str()), convert::to_ort(tensor)?.into()));
        }
        self.run_raw(inputs, limits.time, watchdog, |outputs, elapsed| {
            execution(request, limits, outputs, elapsed)
        })
    }
}

/// Checks what a run yielded and copies it.
fn execution(
    request: &RunRequest,
    limits: Limits,
    outputs: &SessionOutputs<'_>,
    elapsed: Duration,
) -> Result<Execution, EngineError> {
    let signature = &request.model.signature;
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
    let tensors = Tensors::try_from(tensors).map_err(|t| EngineError::OutputTooLarge {
        size: total_bytes(&t),
        limit: limits.output_bytes,
    })?;
    let (probe_hash, probe) = match request.model.probe.as_str() {
        "" => (None, None),
        name => {
            let found = RawOutput::new(name, raw(name)?)?;
            if request.want_probe {
                let probe = found.to_probe(limits.probe_bytes)?;
                (Some(probe.hash()), Some(probe))
            } else {
                (Some(found.hash()), None)
            }
        }
    };
    Ok(Execution {
        outputs: tensors,
        probe_hash,
        probe,
        elapsed,
    })
}
