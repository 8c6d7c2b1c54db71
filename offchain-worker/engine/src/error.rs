//! What can go wrong, in words that say what to do.

use crate::onnx::OnnxError;
use llmesh_primitives::{ContentId, TensorError};
use std::{io, path::PathBuf, time::Duration};

/// Why a model file can not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file is larger than the store accepts.
    #[error("{path} has {size} bytes; models of at most {limit} bytes are accepted")]
    TooLarge { path: PathBuf, size: u64, limit: u64 },
    /// The file is no ONNX model, or not a whole one.
    #[error("{path}: {source}")]
    NotOnnx { path: PathBuf, source: OnnxError },
    /// The bytes are not those that the content id names.
    #[error(
        "{path} does not hash to the content id {expected:?} but to {actual:?}: it was damaged or is another file; import \
         the right one"
    )]
    HashMismatch {
        path: PathBuf,
        expected: ContentId,
        actual: ContentId,
    },
    /// The store does not have the model.
    #[error("no model {0:?} in the store; import its file with `llmesh-worker model import FILE`")]
    Missing(ContentId),
    /// No space is left.
    #[error("the disk is full, {path} was not written: free space and try again")]
    DiskFull { path: PathBuf },
    /// Reading or writing failed for another reason.
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
}

impl StoreError {
    pub(crate) fn io(path: &std::path::Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::DiskFull { path: path.into() }
            }
            _ => Self::Io {
                path: path.into(),
                source,
            },
        }
    }
}

/// Why a model could not be loaded or run.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The ONNX Runtime library is not where it was looked for, or is not usable.
    #[error(
        "can not load ONNX Runtime from {path}: {reason}; run `scripts/setup`, or name the library with --onnxruntime or \
         ORT_DYLIB_PATH"
    )]
    RuntimeMissing { path: String, reason: String },
    /// The model file is missing or damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// ONNX Runtime refuses the model.
    #[error("ONNX Runtime can not load the model: {0}")]
    Load(String),
    /// The model's own inputs and outputs are not those of its manifest.
    #[error("the model does not fit its published signature: {0}")]
    SignatureMismatch(String),
    /// The inputs are not what the signature asks for.
    #[error("input {name:?}: {reason}")]
    Input { name: String, reason: TensorError },
    /// An input has bytes that its type does not allow.
    #[error("input {name:?}: {reason}")]
    InputValue { name: String, reason: &'static str },
    /// ONNX Runtime failed on this input.
    #[error("the model failed: {0}")]
    Run(String),
    /// The outputs differ from the signature.
    #[error("output {name:?} differs from the published signature: {reason}")]
    Output { name: String, reason: String },
    /// The outputs are larger than allowed.
    #[error("the outputs have {size} bytes, {limit} are allowed")]
    OutputTooLarge { size: u64, limit: u64 },
    /// The probe is larger than allowed.
    #[error("the probe has {size} bytes, {limit} are allowed")]
    ProbeTooLarge { size: u64, limit: u64 },
    /// The run took longer than allowed and was stopped.
    #[error("the run was stopped after {0:?}")]
    TimedOut(Duration),
    /// All threads are busy and the queue is full.
    #[error("the engine is busy: all threads are at work and the queue is full")]
    Busy,
    /// The engine stops.
    #[error("the engine is shutting down")]
    Stopped,
    /// The tensor type exists in ONNX but is not carried by the chain.
    #[error("tensor {name:?} has the element type {element_type}, which jobs can not carry")]
    UnsupportedType { name: String, element_type: String },
}

impl EngineError {
    /// Whether the model or its input is to blame, so that running it elsewhere would end the same way.
    pub fn is_models_fault(&self) -> bool {
        matches!(
            self,
            Self::Input { .. }
                | Self::InputValue { .. }
                | Self::Run(_)
                | Self::Output { .. }
                | Self::TimedOut(_)
                | Self::Load(_)
                | Self::SignatureMismatch(_)
                | Self::UnsupportedType { .. }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Write, path::Path};

    /// `/dev/full` fails every write as a full disk does.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_told_apart() {
        let path = Path::new("/dev/full");
        let full = std::fs::File::options()
            .write(true)
            .open(path)
            .unwrap()
            .write_all(b"x")
            .unwrap_err();
        assert!(matches!(StoreError::io(path, full), StoreError::DiskFull { .. }));
        let other = io::Error::from(io::ErrorKind::PermissionDenied);
        assert!(matches!(StoreError::io(path, other), StoreError::Io { .. }));
    }
}
