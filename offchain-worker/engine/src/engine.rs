//! The engine: own threads, a bounded queue, sessions that stay loaded.

use crate::{
    Calibration, CalibrationError, CalibrationOptions, DynamicDims, EngineError, Execution, Executor,
    ModelRef, ModelStore, RunRequest, StoreError, calibration, inspect, onnx,
    pool::Pool,
    runtime,
    session::{self, Limits, Loaded, Optimisation, Setup},
    watchdog::Watchdog,
};
use llmesh_primitives::{ContentId, ModelSignature, TensorError, Tensors};
use ort::environment::Environment;
use std::{
    io::Cursor,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, SyncSender, TrySendError},
    },
    thread::JoinHandle,
    time::Duration,
};
use tokio::sync::oneshot;

/// How an engine is set up.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// The ONNX Runtime library; without it the variable `ORT_DYLIB_PATH` counts.
    pub onnxruntime: Option<PathBuf>,
    /// Runs at the same time.
    pub threads: usize,
    /// Threads inside one run. More than one is faster for large models and still within every model's tolerance, but
    /// not bit for bit the same.
    pub intra_threads: usize,
    /// How far graphs are rewritten; less than all of it is slower.
    pub optimisation: Optimisation,
    /// Sessions kept in memory; never fewer than `threads`.
    pub max_sessions: usize,
    /// Jobs that wait for a thread before the engine says that it is busy.
    pub queue: usize,
    /// Longest time that one run may take.
    pub time_limit: Duration,
    /// Most bytes of data in all outputs together.
    pub max_output_bytes: u64,
    /// Most bytes of data in a probe that a request asks for; never more than [`MAX_PROBE_BYTES`](crate::MAX_PROBE_BYTES).
    pub max_probe_bytes: u64,
}

impl EngineConfig {
    /// How a verifier runs models, and what every tolerance is measured against: one run at a time on one intra-op
    /// thread, with all graph optimisations. Sessions are always sequential and deterministic, and inputs run in the batch in which they were asked
    /// for, never together with others; so the same input gives the same bytes on machines of one kind.
    ///
    /// A worker that also serves has an engine of its own for this.
    pub fn verifier() -> Self {
        Self {
            threads: 1,
            intra_threads: 1,
            optimisation: Optimisation::All,
            ..Self::default()
        }
    }
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            onnxruntime: None,
            threads: 1,
            intra_threads: 1,
            optimisation: Optimisation::All,
            max_sessions: 4,
            queue: 64,
            time_limit: Duration::from_secs(60),
            max_output_bytes: 64 * 1024,
            max_probe_bytes: 16 * 1024 * 1024,
        }
    }
}

enum Task {
    Prepare(ModelRef, oneshot::Sender<Result<(), EngineError>>),
    Run(RunRequest, oneshot::Sender<Result<Execution, EngineError>>),
}

struct Shared {
    config: EngineConfig,
    library: PathBuf,
    store: ModelStore,
    pool: Pool,
    watchdog: Watchdog,
}

/// Runs models with ONNX Runtime on threads of its own.
pub struct Engine {
    shared: Arc<Shared>,
    queue: Option<SyncSender<Task>>,
    threads: Vec<JoinHandle<()>>,
}

impl Engine {
    /// Starts the engine. ONNX Runtime is loaded when it is first needed: see [`Executor::check`].
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub fn start(store: ModelStore, config: EngineConfig) -> std::io::Result<Self> {
        let threads = config.threads.max(1);
        let shared = Arc::new(Shared {
            library: runtime::library_path(config.onnxruntime.as_deref()),
            pool: Pool::new(config.max_sessions.max(threads)),
            watchdog: Watchdog::start()?,
            store,
            config,
        });
        let (queue, tasks) = mpsc::sync_channel(shared.config.queue);
        let tasks = Arc::new(Mutex::new(tasks));
        let threads = (0..threads)
            .map(|n| {
                let (shared, tasks) = (shared.clone(), tasks.clone());
                std::thread::Builder::new()
                    .name(format!("engine-{n}"))
                    .spawn(move || serve(&shared, &tasks))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            shared,
            queue: Some(queue),
            threads,
        })
    }

    /// Measures by how much a model's probe differs between honest runs, and derives the tolerance to publish. `samples`
    /// are inputs like those of real requests; without any, [`CalibrationOptions::samples`] inputs are made up. Blocks
    /// for as long as the runs take; the sessions are loaded for this and freed afterwards.
    ///
    /// # Errors
    /// When the model can not be run, or its probe is no basis for verification: see [`CalibrationError`].
    pub fn calibrate(
        &self,
        model: &ModelRef,
        samples: Vec<Tensors>,
        options: &CalibrationOptions,
    ) -> Result<Calibration, CalibrationError> {
        let environment = self.shared.environment()?;
        let bytes = self
            .shared
            .store
            .read(model.content_id)
            .map_err(EngineError::from)?;
        let limits = Limits {
            time: self.shared.config.time_limit,
            output_bytes: self.shared.config.max_output_bytes,
            probe_bytes: self.shared.config.max_probe_bytes,
        };
        let bench = calibration::Bench {
            environment,
            bytes,
            model,
            limits,
            watchdog: &self.shared.watchdog,
        };
        bench.calibrate(samples, options)
    }

    /// The library that is, or would be, loaded.
    pub fn library(&self) -> &Path {
        &self.shared.library
    }

    /// The model store that the engine reads from.
    pub fn store(&self) -> &ModelStore {
        &self.shared.store
    }

    /// The signature of a model in the store, as the model itself declares it, and the names of the dimensions that it
    /// leaves open. Blocks while the model is loaded.
    ///
    /// # Errors
    /// When the model can not be loaded or uses types that jobs can not carry.
    pub fn inspect(
        &self,
        id: ContentId,
        dims: &DynamicDims,
    ) -> Result<(ModelSignature, Vec<String>), EngineError> {
        let environment = self.shared.environment()?;
        let bytes = self.shared.store.read(id)?;
        let session = session::open(
            &environment,
            &bytes,
            Setup::with_threads(self.shared.config.intra_threads),
        )?;
        Ok((
            inspect::signature(&session, dims)?,
            inspect::open_dimensions(&session),
        ))
    }

    fn submit(&self, task: Task) -> Result<(), EngineError> {
        let queue = self.queue.as_ref().ok_or(EngineError::Stopped)?;
        queue.try_send(task).map_err(|e| match e {
            TrySendError::Full(_) => EngineError::Busy,
            TrySendError::Disconnected(_) => EngineError::Stopped,
        })
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[async_trait::async_trait]
impl Executor for Engine {
    fn check(&self) -> Result<(), EngineError> {
        self.shared.environment().map(drop)
    }

    fn has_model(&self, id: ContentId) -> bool {
        self.shared.store.contains(id)
    }

    async fn prepare(&self, model: ModelRef) -> Result<(), EngineError> {
        let (reply, answer) = oneshot::channel();
        self.submit(Task::Prepare(model, reply))?;
        answer.await.map_err(|_| EngineError::Stopped)?
    }

    async fn execute(&self, request: RunRequest) -> Result<Execution, EngineError> {
        check_inputs(&request.model.signature, &request.inputs)?;
        let (reply, answer) = oneshot::channel();
        self.submit(Task::Run(request, reply))?;
        answer.await.map_err(|_| EngineError::Stopped)?
    }
}

/// Checks the inputs and names the tensor that is wrong.
fn check_inputs(signature: &ModelSignature, inputs: &Tensors) -> Result<(), EngineError> {
    let Err(reason) = signature.check_inputs(inputs) else {
        return Ok(());
    };
    let culprit = match reason {
        TensorError::MissingTensor => signature
            .inputs
            .iter()
            .find(|s| !inputs.iter().any(|t| t.name == s.name))
            .map(|s| String::from_utf8_lossy(&s.name).into_owned()),
        // Whichever single tensor would be refused by itself, the missing others aside.
        _ => inputs
            .iter()
            .enumerate()
            .find(|(i, t)| {
                let alone = signature.check_inputs(std::slice::from_ref(*t));
                !matches!(alone, Ok(()) | Err(TensorError::MissingTensor))
                    || inputs.iter().skip(i + 1).any(|other| other.name == t.name)
            })
            .map(|(_, t)| t.name_str().to_owned()),
    };
    Err(EngineError::Input {
        name: culprit.unwrap_or_default(),
        reason,
    })
}

impl Shared {
    fn environment(&self) -> Result<Environment, EngineError> {
        runtime::environment(&self.library)
    }

    fn with_session<R>(
        &self,
        model: &ModelRef,
        run: impl FnOnce(&mut Loaded) -> Result<R, EngineError>,
    ) -> Result<R, EngineError> {
        let load = || {
            let environment = self.environment()?;
            let bytes = self.store.read(model.content_id)?;
            // The hash is right, so this holds unless someone published something else than a model.
            onnx::summarise(&mut Cursor::new(&bytes)).map_err(|e| {
                EngineError::Store(StoreError::NotOnnx {
                    path: self.store.path(model.content_id),
                    source: e,
                })
            })?;
            tracing::debug!(model = ?model.content_id, "loading a session");
            let setup = Setup {
                intra_threads: self.config.intra_threads,
                optimisation: self.config.optimisation,
            };
            Loaded::load(&environment, bytes, model, setup)
        };
        self.pool
            .with(&(model.content_id, model.probe.clone()), load, run, |e| {
                matches!(
                    e,
                    EngineError::InputValue { .. }
                        | EngineError::OutputTooLarge { .. }
                        | EngineError::ProbeTooLarge { .. }
                )
            })
    }
}

fn serve(shared: &Shared, tasks: &Mutex<Receiver<Task>>) {
    loop {
        let task = tasks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let limits = Limits {
            time: shared.config.time_limit,
            output_bytes: shared.config.max_output_bytes,
            probe_bytes: shared.config.max_probe_bytes,
        };
        match task {
            Err(_) => return,
            // Whoever asked went away meanwhile.
            Ok(Task::Prepare(_, reply)) if reply.is_closed() => {}
            Ok(Task::Run(_, reply)) if reply.is_closed() => {}
            Ok(Task::Prepare(model, reply)) => {
                let _ = reply.send(guarded(|| shared.with_session(&model, |_| Ok(()))));
            }
            Ok(Task::Run(request, reply)) => {
                let run = |session: &mut Loaded| session.run(&request, limits, &shared.watchdog);
                let _ = reply.send(guarded(|| shared.with_session(&request.model, run)));
            }
        }
    }
}

/// A panic costs the job, not the thread. The session that it happened in is dropped with it.
fn guarded<T>(work: impl FnOnce() -> Result<T, EngineError>) -> Result<T, EngineError> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(EngineError::Run("the engine panicked".into())))
}
