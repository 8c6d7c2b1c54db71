//! Runs ONNX models: content-addressed files in, tensors out. No network, no chain.
//!
//! - [`ModelStore`] keeps model files under their BLAKE3 hash; what goes in is checked, what comes out is hashed again.
//! - [`Engine`] loads ONNX Runtime from a shared library, keeps sessions, and runs them on its own threads.
//! - [`Executor`] is what the rest of a worker sees of it. A sandboxed process per model can take the engine's place
//!   behind this trait without anything else changing.
//!
//! Every run is deterministic by default: one intra-op thread, deterministic kernels, batch as submitted.

mod calibration;
mod convert;
mod engine;
mod error;
mod executor;
mod finder;
mod graph;
mod inspect;
mod onnx;
mod pool;
mod probe;
mod runtime;
mod samples;
mod session;
mod store;
mod watchdog;

pub use calibration::{Calibration, CalibrationError, CalibrationOptions, Variation};
pub use engine::{Engine, EngineConfig};
pub use error::{EngineError, StoreError};
pub use executor::{Execution, Executor, ModelRef, RunRequest};
pub use finder::{MIN_ELEMENTS, ProbeChoice, find_probe};
pub use graph::{FloatWeights, float_weights};
pub use inspect::DynamicDims;
pub use onnx::{OnnxError, OnnxSummary, summarise};
pub use probe::{MAX_PROBE_BYTES, ProbeTensor};
pub use session::Optimisation;
pub use store::{Imported, ModelStore, parse_content_id};
