//! Between the chain's tensors and ONNX Runtime's.

use crate::{EngineError, ProbeTensor, probe::MAX_PROBE_BYTES};
use codec::Encode;
use llmesh_primitives::{ElementType, Tensor, tensor::MAX_TENSOR_BYTES};
use ort::{
    memory::Allocator,
    value::{DynTensor, DynTensorValueType, DynValue, TensorElementType},
};
use sp_core::H256;

#[cfg(target_endian = "big")]
compile_error!("tensors are little-endian on the wire and are handed to ONNX Runtime as they are");

/// The chain's name for an ONNX Runtime element type, if it has one.
pub(crate) fn element_type(ty: TensorElementType) -> Option<ElementType> {
    Some(match ty {
        TensorElementType::Bool => ElementType::Bool,
        TensorElementType::Uint8 => ElementType::U8,
        TensorElementType::Int8 => ElementType::I8,
        TensorElementType::Uint16 => ElementType::U16,
        TensorElementType::Int16 => ElementType::I16,
        TensorElementType::Uint32 => ElementType::U32,
        TensorElementType::Int32 => ElementType::I32,
        TensorElementType::Uint64 => ElementType::U64,
        TensorElementType::Int64 => ElementType::I64,
        TensorElementType::Float16 => ElementType::F16,
        TensorElementType::Bfloat16 => ElementType::BF16,
        TensorElementType::Float32 => ElementType::F32,
        TensorElementType::Float64 => ElementType::F64,
        _ => return None,
    })
}

fn ort_type(ty: ElementType) -> TensorElementType {
    match ty {
        ElementType::Bool => TensorElementType::Bool,
        ElementType::U8 => TensorElementType::Uint8,
        ElementType::I8 => TensorElementType::Int8,
        ElementType::U16 => TensorElementType::Uint16,
        ElementType::I16 => TensorElementType::Int16,
        ElementType::U32 => TensorElementType::Uint32,
        ElementType::I32 => TensorElementType::Int32,
        ElementType::U64 => TensorElementType::Uint64,
        ElementType::I64 => TensorElementType::Int64,
        ElementType::F16 => TensorElementType::Float16,
        ElementType::BF16 => TensorElementType::Bfloat16,
        ElementType::F32 => TensorElementType::Float32,
        ElementType::F64 => TensorElementType::Float64,
    }
}

/// Copies a tensor, which was checked against its signature, into ONNX Runtime's memory.
pub(crate) fn to_ort(tensor: &Tensor) -> Result<DynTensor, EngineError> {
    raw_to_ort(
        tensor.name_str(),
        tensor.element_type,
        &tensor.shape,
        &tensor.data,
    )
}

/// The same for a tensor of any size.
pub(crate) fn raw_to_ort(
    name: &str,
    element_type: ElementType,
    shape: &[u32],
    data: &[u8],
) -> Result<DynTensor, EngineError> {
    if element_type == ElementType::Bool && data.iter().any(|b| *b > 1) {
        let reason = "a BOOL element is the byte 0 or 1";
        return Err(EngineError::InputValue {
            name: name.into(),
            reason,
        });
    }
    let shape: Vec<i64> = shape.iter().map(|d| i64::from(*d)).collect();
    let mut value = DynTensor::new(&Allocator::default(), ort_type(element_type), shape)
        .map_err(|e| EngineError::Run(e.to_string()))?;
    let capacity = value.size().unwrap_or_default();
    if capacity != data.len() {
        return Err(EngineError::Run(format!(
            "{} bytes for a tensor of {capacity}",
            data.len()
        )));
    }
    let target = value.data_ptr_mut().cast::<u8>();
    if !target.is_null() {
        // SAFETY: ONNX Runtime allocated `capacity` bytes of CPU memory at `target`, which nothing else refers to, and
        // the source has exactly that many.
        unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), target, capacity) };
    }
    Ok(value)
}

/// An output as ONNX Runtime holds it.
pub(crate) struct RawOutput<'a> {
    pub name: &'a str,
    pub element_type: ElementType,
    pub shape: Vec<u32>,
    pub data: &'a [u8],
}

impl<'a> RawOutput<'a> {
    /// Looks at an output without copying it.
    pub fn new(name: &'a str, value: &'a DynValue) -> Result<Self, EngineError> {
        let wrong = |reason: String| EngineError::Output {
            name: name.into(),
            reason,
        };
        let view = value.view();
        let tensor = view
            .downcast::<DynTensorValueType>()
            .map_err(|_| wrong("it is a sequence or a map, not a tensor".into()))?;
        let found = *tensor.data_type();
        let element_type = element_type(found).ok_or_else(|| EngineError::UnsupportedType {
            name: name.into(),
            element_type: found.to_string(),
        })?;
        let shape = tensor
            .shape()
            .iter()
            .map(|d| u32::try_from(*d))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| wrong("a dimension is larger than 32 bits".into()))?;
        let length = tensor.size().unwrap_or_default();
        let pointer = tensor.data_ptr().cast::<u8>();
        let data = if pointer.is_null() || length == 0 {
            &[][..]
        } else {
            // SAFETY: ONNX Runtime holds `length` initialised bytes of CPU memory at `pointer` for as long as `value`
            // lives; only the CPU provider is in use.
            unsafe { std::slice::from_raw_parts(pointer, length) }
        };
        Ok(Self {
            name,
            element_type,
            shape,
            data,
        })
    }

    /// Copies it into a tensor of the chain.
    pub fn to_tensor(&self) -> Result<Tensor, EngineError> {
        if self.data.len() as u64 > u64::from(MAX_TENSOR_BYTES) {
            let (size, limit) = (self.data.len() as u64, u64::from(MAX_TENSOR_BYTES));
            return Err(EngineError::OutputTooLarge { size, limit });
        }
        Tensor::new(self.name, self.element_type, &self.shape, self.data.to_vec()).map_err(|e| {
            EngineError::Output {
                name: self.name.into(),
                reason: e.to_string(),
            }
        })
    }

    /// Copies it as a probe of at most `limit` bytes.
    pub fn to_probe(&self, limit: u64) -> Result<ProbeTensor, EngineError> {
        let limit = limit.min(u64::from(MAX_PROBE_BYTES));
        let size = self.data.len() as u64;
        if size > limit {
            return Err(EngineError::ProbeTooLarge { size, limit });
        }
        ProbeTensor::new(self.name, self.element_type, &self.shape, self.data.to_vec()).map_err(|e| {
            EngineError::Output {
                name: self.name.into(),
                reason: e.to_string(),
            }
        })
    }

    /// BLAKE2b-256 over what the tensor's SCALE encoding would be, whatever its size.
    pub fn hash(&self) -> H256 {
        (self.name.as_bytes(), self.element_type, &self.shape, self.data)
            .using_encoded(sp_crypto_hashing::blake2_256)
            .into()
    }
}
