//! Tensors of any size that the mesh carries.
//!
//! On the wire and under the hash they are what [`llmesh_primitives::Tensors`] are on the chain; only the bounds
//! differ.

use crate::MAX_TOTAL_TENSOR_BYTES;
use codec::{Decode, DecodeWithMemTracking, Encode, Input};
use llmesh_primitives::{
    ElementType, ModelSignature, Tensor, TensorError, TensorSpec, Tensors,
    tensor::{MAX_RANK, MAX_TENSORS, TensorName, byte_length},
};
use sp_core::{ConstU32, H256, bounded::BoundedVec};
use sp_runtime::traits::{BlakeTwo256, Hash};
use std::fmt;

/// Largest tensor that the mesh carries, in bytes of data.
pub const MAX_MESH_TENSOR_BYTES: u32 = 16 * 1024 * 1024;

/// A dense tensor: row-major, little-endian, no padding. As [`Tensor`], with more room.
#[derive(Clone, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking)]
pub struct MeshTensor {
    /// Name as in the model's signature.
    pub name: TensorName,
    /// Type of every element.
    pub element_type: ElementType,
    /// Length of each dimension; empty for a scalar.
    pub shape: BoundedVec<u32, ConstU32<MAX_RANK>>,
    /// The elements' bytes: product of `shape` times the element size.
    pub data: BoundedVec<u8, ConstU32<MAX_MESH_TENSOR_BYTES>>,
}

impl MeshTensor {
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
    ///
    /// # Errors
    /// As [`MeshTensor::new`].
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
        std::str::from_utf8(&self.name).unwrap_or_default()
    }

    fn check(&self, spec: &TensorSpec) -> Result<(), TensorError> {
        if self.element_type != spec.element_type {
            return Err(TensorError::WrongElementType);
        }
        if self.shape.len() != spec.shape.len()
            || !spec
                .shape
                .iter()
                .zip(self.shape.iter())
                .all(|(dim, n)| dim.accepts(*n))
        {
            return Err(TensorError::WrongShape);
        }
        self.check_length()
    }
}

impl fmt::Debug for MeshTensor {
    /// Without the data: it can be long, and it is the user's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeshTensor")
            .field("name", &self.name_str())
            .field("element_type", &self.element_type)
            .field("shape", &self.shape.as_slice())
            .field("bytes", &self.data.len())
            .finish()
    }
}

impl From<Tensor> for MeshTensor {
    fn from(tensor: Tensor) -> Self {
        Self {
            name: tensor.name,
            element_type: tensor.element_type,
            shape: tensor.shape,
            // Never cuts anything off: the bound is larger.
            data: BoundedVec::truncate_from(tensor.data.into_inner()),
        }
    }
}

impl TryFrom<MeshTensor> for Tensor {
    type Error = TensorError;

    fn try_from(tensor: MeshTensor) -> Result<Self, TensorError> {
        Ok(Self {
            name: tensor.name,
            element_type: tensor.element_type,
            shape: tensor.shape,
            data: tensor
                .data
                .into_inner()
                .try_into()
                .map_err(|_| TensorError::TooLarge)?,
        })
    }
}

/// The tensors of one request or one answer: at most 16, at most [`MAX_TOTAL_TENSOR_BYTES`] of data altogether, each
/// with as much data as type and shape call for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, DecodeWithMemTracking)]
pub struct MeshTensors(BoundedVec<MeshTensor, ConstU32<MAX_TENSORS>>);

impl MeshTensors {
    /// Checks the bounds.
    ///
    /// # Errors
    /// [`TensorError::TooLarge`], [`TensorError::WrongByteLength`].
    pub fn new(tensors: Vec<MeshTensor>) -> Result<Self, TensorError> {
        let tensors = Self(tensors.try_into().map_err(|_| TensorError::TooLarge)?);
        if tensors.total_bytes() > MAX_TOTAL_TENSOR_BYTES {
            return Err(TensorError::TooLarge);
        }
        tensors.0.iter().try_for_each(MeshTensor::check_length)?;
        Ok(tensors)
    }

    /// The hash by which requests and receipts name these tensors: the same as
    /// [`llmesh_primitives::job::hash_tensors`] of the same tensors.
    pub fn hash(&self) -> H256 {
        BlakeTwo256::hash_of(self)
    }

    /// Bytes of data in all tensors together.
    pub fn total_bytes(&self) -> usize {
        self.0
            .iter()
            .fold(0, |n: usize, t| n.saturating_add(t.data.len()))
    }

    /// The tensors.
    pub fn into_inner(self) -> Vec<MeshTensor> {
        self.0.into_inner()
    }

    /// Whether these are the inputs that the signature describes: each exactly once, in any order.
    ///
    /// # Errors
    /// What does not fit.
    pub fn check_inputs(&self, signature: &ModelSignature) -> Result<(), TensorError> {
        self.check(&signature.inputs)
    }

    /// Whether these are the outputs that the signature describes: each exactly once, in any order.
    ///
    /// # Errors
    /// What does not fit.
    pub fn check_outputs(&self, signature: &ModelSignature) -> Result<(), TensorError> {
        self.check(&signature.outputs)
    }

    fn check(&self, specs: &[TensorSpec]) -> Result<(), TensorError> {
        for (i, tensor) in self.0.iter().enumerate() {
            let spec = specs
                .iter()
                .find(|s| s.name == tensor.name)
                .ok_or(TensorError::UnknownName)?;
            if self.0.iter().take(i).any(|other| other.name == tensor.name) {
                return Err(TensorError::RepeatedName);
            }
            tensor.check(spec)?;
        }
        if self.0.len() == specs.len() {
            Ok(())
        } else {
            Err(TensorError::MissingTensor)
        }
    }
}

impl Decode for MeshTensors {
    fn decode<I: Input>(input: &mut I) -> Result<Self, codec::Error> {
        let tensors: BoundedVec<MeshTensor, ConstU32<MAX_TENSORS>> = Decode::decode(input)?;
        Self::new(tensors.into_inner()).map_err(|e| e.as_str().into())
    }
}

impl std::ops::Deref for MeshTensors {
    type Target = [MeshTensor];

    fn deref(&self) -> &[MeshTensor] {
        &self.0
    }
}

/// What the chain carries the mesh carries too: 16 tensors of 64 KiB fit.
impl From<Tensors> for MeshTensors {
    fn from(tensors: Tensors) -> Self {
        Self(BoundedVec::truncate_from(
            tensors.into_iter().map(MeshTensor::from).collect(),
        ))
    }
}

impl TryFrom<MeshTensors> for Tensors {
    type Error = TensorError;

    fn try_from(tensors: MeshTensors) -> Result<Self, TensorError> {
        let tensors: Vec<Tensor> = tensors
            .into_inner()
            .into_iter()
            .map(Tensor::try_from)
            .collect::<Result<_, _>>()?;
        tensors.try_into().map_err(|_| TensorError::TooLarge)
    }
}
