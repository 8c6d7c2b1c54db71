//! Runs ONNX models: content-addressed files in, tensors out. No network, no chain.
//!
//! - [`ModelStore`] keeps model files under their BLAKE3 hash; what goes in is checked, what comes out is hashed again.
//! - [`Engine`] loads ONNX Runtime from a shared library, keeps sessions, and runs them on its own threads.
//! - [`Executor`] is what the rest of a worker sees of it. A sandboxed process per model can take the engine's place
//!   behind this trait without anything else changing.
//!
//! Every run is deterministic by default: one intra-op thread, deterministic kernels, batch as submitted.

mod convert;
mod engine;
mod error;
mod executor;
mod inspect;
mod onnx;
mod pool;
mod runtime;
mod session;
mod store;
mod watchdog;

pub use engine::{Engine, EngineConfig};
pub use error::{EngineError, StoreError};
pub use executor::{Execution, Executor, ModelRef, RunRequest};
pub use inspect::DynamicDims;
pub use onnx::{OnnxError, OnnxSummary, summarise};
pub use store::{Imported, ModelStore, parse_content_id};
