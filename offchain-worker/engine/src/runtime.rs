//! ONNX Runtime itself: loaded once for the whole process.

use crate::EngineError;
use ort::environment::Environment;
use std::{
    path::{Path, PathBuf},
    sync::Mutex,
};

/// The process-wide environment. ONNX Runtime allows one, so it is never dropped.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// Name of the variable that names the library.
pub(crate) const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";

/// The library to load: the configured one, else what the environment names, else the system's.
pub(crate) fn library_path(configured: Option<&Path>) -> PathBuf {
    configured
        .map(Path::to_path_buf)
        .or_else(|| {
            std::env::var_os(LIBRARY_VARIABLE)
                .filter(|v| !v.is_empty())
                .map(PathBuf::from)
        })
        .unwrap_or_else(|| PathBuf::from("libonnxruntime.so"))
}

/// Loads the library at the first call; later calls return the same environment whatever the path.
pub(crate) fn environment(library: &Path) -> Result<Environment, EngineError> {
    let mut slot = ENVIRONMENT
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(environment) = slot.as_ref() {
        return Ok(environment.clone());
    }
    let missing = |reason: String| EngineError::RuntimeMissing {
        path: library.display().to_string(),
        reason,
    };
    // A bare file name is looked for by the dynamic linker; a path is looked for here, for a message without noise.
    let path = if library.components().count() > 1 {
        library.canonicalize().map_err(|e| missing(e.to_string()))?
    } else {
        library.to_path_buf()
    };
    let environment = ort::init_from(&path)
        .map_err(|e| missing(e.to_string()))?
        .with_name("llmesh")
        .with_telemetry(false)
        .build()
        .map_err(|e| missing(e.to_string()))?;
    tracing::info!(library = %path.display(), "ONNX Runtime loaded");
    *slot = Some(environment.clone());
    Ok(environment)
}
