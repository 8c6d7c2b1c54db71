//! Typed tensors and the signatures that describe them.

use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use sp_core::{ConstU32, bounded::BoundedVec};

/// Most tensors that one request, one result or one signature can name.
pub const MAX_TENSORS: u32 = 16;
/// Longest tensor name in bytes.
pub const MAX_NAME_BYTES: u32 = 64;
/// Most dimensions of a tensor.
pub const MAX_RANK: u32 = 8;
/// Largest tensor that is carried on chain, in bytes of data.
pub const MAX_TENSOR_BYTES: u32 = 64 * 1024;

/// A tensor's name as the model spells it (UTF-8).
pub type TensorName = BoundedVec<u8, ConstU32<MAX_NAME_BYTES>>;

/// The tensors of one request or one result.
pub type Tensors = BoundedVec<Tensor, ConstU32<MAX_TENSORS>>;

/// Element type of a tensor; the set that ONNX names, without strings and complex numbers.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub enum ElementType {
    /// One byte an element, 0 or 1.
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    /// IEEE 754 binary16.
    F16,
    /// bfloat16: the upper half of a binary32.
    BF16,
    F32,
    F64,
}

impl ElementType {
    /// Bytes of one element.
    pub const fn size(self) -> u32 {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::F16 | Self::BF16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    /// The name used in command lines and JSON, as in the Open Inference Protocol (`FP32`, `INT64`, ...).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::U8 => "UINT8",
            Self::I8 => "INT8",
            Self::U16 => "UINT16",
            Self::I16 => "INT16",
            Self::U32 => "UINT32",
            Self::I32 => "INT32",
            Self::U64 => "UINT64",
            Self::I64 => "INT64",
            Self::F16 => "FP16",
            Self::BF16 => "BF16",
            Self::F32 => "FP32",
            Self::F64 => "FP64",
        }
    }

    /// All element types, in the order of their encoding.
    pub const ALL: [Self; 13] = [
        Self::Bool,
        Self::U8,
        Self::I8,
        Self::U16,
        Self::I16,
        Self::U32,
        Self::I32,
        Self::U64,
        Self::I64,
        Self::F16,
        Self::BF16,
        Self::F32,
        Self::F64,
    ];

    /// The reverse of [`Self::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.name() == name)
    }
}

/// A dense tensor: row-major, little-endian, no padding.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Tensor {
    /// Name as in the model's signature.
    pub name: TensorName,
    /// Type of every element.
    pub element_type: ElementType,
    /// Length of each dimension; empty for a scalar.
    pub shape: BoundedVec<u32, ConstU32<MAX_RANK>>,
    /// The elements' bytes: product of `shape` times the element size.
    pub data: BoundedVec<u8, ConstU32<MAX_TENSOR_BYTES>>,
}

impl Tensor {
    /// Builds a tensor, checking bounds and that `data` has the length that type and shape call for.
    ///
    /// # Errors
    /// [`TensorError::TooLarge`] when a bound is exceeded, [`TensorError::WrongByteLength`] when the data does not fit
    /// the shape.
    pub fn new(
        name: &str,
        element_type: ElementType,
        shape: &[u32],
        data: Vec<u8>,
    ) -> Result<Self, TensorError> {
        let tensor = Self {
            name: name
                .as_bytes()
                .to_vec()
                .try_into()
                .map_err(|_| TensorError::TooLarge)?,
            element_type,
            shape: shape.to_vec().try_into().map_err(|_| TensorError::TooLarge)?,
            data: data.try_into().map_err(|_| TensorError::TooLarge)?,
        };
        tensor.check_length()?;
        Ok(tensor)
    }

    /// Whether the data has exactly the length that type and shape call for.
    pub fn check_length(&self) -> Result<(), TensorError> {
        let expected = byte_length(self.element_type, &self.shape).ok_or(TensorError::TooLarge)?;
        if expected == self.data.len() as u64 {
            Ok(())
        } else {
            Err(TensorError::WrongByteLength)
        }
    }

    /// The name as text; invalid UTF-8 reads as an empty name.
    pub fn name_str(&self) -> &str {
        core::str::from_utf8(&self.name).unwrap_or_default()
    }
}

/// Bytes of a dense tensor, `None` when that overflows.
pub fn byte_length(element_type: ElementType, shape: &[u32]) -> Option<u64> {
    shape.iter().try_fold(u64::from(element_type.size()), |n, d| {
        n.checked_mul(u64::from(*d))
    })
}

/// One dimension in a signature.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub enum Dim {
    /// Exactly this length.
    Fixed(u32),
    /// Any length from 1 to this one.
    UpTo(u32),
}

impl Dim {
    /// Whether a tensor's dimension of length `n` fits.
    pub const fn accepts(self, n: u32) -> bool {
        match self {
            Self::Fixed(d) => n == d,
            Self::UpTo(max) => n >= 1 && n <= max,
        }
    }

    /// The largest length that fits.
    pub const fn max(self) -> u32 {
        match self {
            Self::Fixed(d) | Self::UpTo(d) => d,
        }
    }
}

/// Name, element type and shape of one of a model's inputs or outputs.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct TensorSpec {
    pub name: TensorName,
    pub element_type: ElementType,
    pub shape: BoundedVec<Dim, ConstU32<MAX_RANK>>,
}

impl TensorSpec {
    /// Most bytes that a tensor of this description can have; `None` when that overflows.
    pub fn max_bytes(&self) -> Option<u64> {
        self.shape
            .iter()
            .try_fold(u64::from(self.element_type.size()), |n, d| {
                n.checked_mul(u64::from(d.max()))
            })
    }

    fn check(&self, tensor: &Tensor) -> Result<(), TensorError> {
        if tensor.element_type != self.element_type {
            return Err(TensorError::WrongElementType);
        }
        if tensor.shape.len() != self.shape.len()
            || !self
                .shape
                .iter()
                .zip(tensor.shape.iter())
                .all(|(dim, n)| dim.accepts(*n))
        {
            return Err(TensorError::WrongShape);
        }
        tensor.check_length()
    }
}

/// What a model takes and gives.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct ModelSignature {
    pub inputs: BoundedVec<TensorSpec, ConstU32<MAX_TENSORS>>,
    pub outputs: BoundedVec<TensorSpec, ConstU32<MAX_TENSORS>>,
}

impl ModelSignature {
    /// Whether `tensors` are this model's inputs: each exactly once, in any order, each as described.
    pub fn check_inputs(&self, tensors: &[Tensor]) -> Result<(), TensorError> {
        check_all(&self.inputs, tensors)
    }

    /// Whether `tensors` are this model's outputs: each exactly once, in any order, each as described.
    pub fn check_outputs(&self, tensors: &[Tensor]) -> Result<(), TensorError> {
        check_all(&self.outputs, tensors)
    }

    /// Most bytes of data that all outputs together can have, saturating.
    pub fn max_output_bytes(&self) -> u64 {
        self.outputs
            .iter()
            .fold(0, |n, s| n.saturating_add(s.max_bytes().unwrap_or(u64::MAX)))
    }

    /// Whether the signature itself makes sense: at least one input and one output, no empty or repeated name, no
    /// zero dimension.
    pub fn is_well_formed(&self) -> bool {
        let side = |specs: &[TensorSpec]| {
            !specs.is_empty()
                && specs.iter().enumerate().all(|(i, spec)| {
                    !spec.name.is_empty()
                        && core::str::from_utf8(&spec.name).is_ok()
                        && spec.shape.iter().all(|d| d.max() > 0)
                        && !specs
                            .iter()
                            .skip(i.saturating_add(1))
                            .any(|other| other.name == spec.name)
                })
        };
        side(&self.inputs) && side(&self.outputs)
    }
}

fn check_all(specs: &[TensorSpec], tensors: &[Tensor]) -> Result<(), TensorError> {
    for (i, tensor) in tensors.iter().enumerate() {
        let spec = specs
            .iter()
            .find(|s| s.name == tensor.name)
            .ok_or(TensorError::UnknownName)?;
        if tensors
            .iter()
            .skip(i.saturating_add(1))
            .any(|other| other.name == tensor.name)
        {
            return Err(TensorError::RepeatedName);
        }
        spec.check(tensor)?;
    }
    if tensors.len() == specs.len() {
        Ok(())
    } else {
        Err(TensorError::MissingTensor)
    }
}

/// Bytes of data in all tensors together.
pub fn total_bytes(tensors: &[Tensor]) -> u64 {
    tensors
        .iter()
        .fold(0, |n, t| n.saturating_add(t.data.len() as u64))
}

/// Why tensors do not fit a signature.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub enum TensorError {
    /// The model has no tensor of this name.
    UnknownName,
    /// The same name occurs twice.
    RepeatedName,
    /// A tensor that the model needs is not there.
    MissingTensor,
    /// The element type differs from the signature's.
    WrongElementType,
    /// The number or the length of the dimensions differs from the signature's.
    WrongShape,
    /// The data is shorter or longer than type and shape call for.
    WrongByteLength,
    /// A name, a shape or the data exceeds what the chain carries.
    TooLarge,
}

impl TensorError {
    /// The error in words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownName => "the model has no tensor of this name",
            Self::RepeatedName => "the same tensor name occurs twice",
            Self::MissingTensor => "a tensor that the model needs is missing",
            Self::WrongElementType => "the element type differs from the model's signature",
            Self::WrongShape => "the shape differs from the model's signature",
            Self::WrongByteLength => "the data's length does not fit element type and shape",
            Self::TooLarge => "a name, a shape or the data exceeds what the chain carries",
        }
    }
}

impl core::fmt::Display for TensorError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl core::error::Error for TensorError {}
