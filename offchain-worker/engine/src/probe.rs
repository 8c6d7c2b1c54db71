//! The probe: the tensor by which a run is verified.

use codec::{Decode, Encode, Error, Input};
use llmesh_primitives::{
    ElementType,
    tensor::{MAX_RANK, TensorError, TensorName, byte_length},
};
use sp_core::{ConstU32, H256, bounded::BoundedVec};

/// Largest probe that is carried between workers, in bytes of data.
pub const MAX_PROBE_BYTES: u32 = 64 * 1024 * 1024;

/// A probe's data: row-major, little-endian, no padding. The same as a tensor of the chain, only larger.
#[derive(Clone, Debug, PartialEq, Eq, Encode)]
pub struct ProbeTensor {
    /// Name as in the model.
    pub name: TensorName,
    /// Type of every element.
    pub element_type: ElementType,
    /// Length of each dimension; empty for a scalar.
    pub shape: BoundedVec<u32, ConstU32<MAX_RANK>>,
    /// The elements' bytes: product of `shape` times the element size.
    pub data: BoundedVec<u8, ConstU32<MAX_PROBE_BYTES>>,
}

impl ProbeTensor {
    /// Builds a probe, checking bounds and that `data` has the length that type and shape call for.
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
        let probe = Self {
            name: name
                .as_bytes()
                .to_vec()
                .try_into()
                .map_err(|_| TensorError::TooLarge)?,
            element_type,
            shape: shape.to_vec().try_into().map_err(|_| TensorError::TooLarge)?,
            data: data.try_into().map_err(|_| TensorError::TooLarge)?,
        };
        probe.check_length()?;
        Ok(probe)
    }

    fn check_length(&self) -> Result<(), TensorError> {
        match byte_length(self.element_type, &self.shape) {
            None => Err(TensorError::TooLarge),
            Some(expected) if expected == self.data.len() as u64 => Ok(()),
            Some(_) => Err(TensorError::WrongByteLength),
        }
    }

    /// Decodes a probe that somebody sent, of at most `limit` bytes of data. Nothing is allocated for a longer one.
    ///
    /// # Errors
    /// When the bytes are no probe, hold more than one, or are too many.
    pub fn decode_within(bytes: &[u8], limit: u64) -> Result<Self, Error> {
        let limit = limit.min(u64::from(MAX_PROBE_BYTES));
        // What stands before the data is short: the name, the element type, the shape and three lengths.
        if bytes.len() as u64 > limit.saturating_add(Self::MAX_HEAD_BYTES) {
            return Err("the probe is too large".into());
        }
        let probe = <Self as codec::DecodeAll>::decode_all(&mut &*bytes)?;
        if probe.data.len() as u64 > limit {
            return Err("the probe is too large".into());
        }
        Ok(probe)
    }

    const MAX_HEAD_BYTES: u64 = 256;

    /// The probe's hash as receipts carry it: BLAKE2b-256 over the SCALE encoding (name, element type, shape, data).
    pub fn hash(&self) -> H256 {
        self.using_encoded(sp_crypto_hashing::blake2_256).into()
    }

    /// What a sketch is made of: the type and the bytes of the elements.
    pub fn compared(&self) -> (ElementType, &[u8]) {
        (self.element_type, self.data.as_slice())
    }
}

impl Decode for ProbeTensor {
    /// The bounds are checked before anything is allocated, the length of the data afterwards.
    fn decode<I: Input>(input: &mut I) -> Result<Self, Error> {
        let probe = Self {
            name: Decode::decode(input)?,
            element_type: Decode::decode(input)?,
            shape: Decode::decode(input)?,
            data: Decode::decode(input)?,
        };
        probe
            .check_length()
            .map_err(|_| "the data does not fit the shape")?;
        Ok(probe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use codec::{Compact, DecodeAll};
    use llmesh_primitives::Tensor;
    use proptest::prelude::*;

    fn probe() -> ProbeTensor {
        ProbeTensor::new("logits", ElementType::F32, &[1, 3], vec![7; 12]).unwrap()
    }

    #[test]
    fn it_is_encoded_and_hashed_as_a_tensor_of_the_chain() {
        let tensor = Tensor::new("logits", ElementType::F32, &[1, 3], vec![7; 12]).unwrap();
        assert_eq!(probe().encode(), tensor.encode());
        let hash = H256::from(tensor.using_encoded(sp_crypto_hashing::blake2_256));
        assert_eq!(probe().hash(), hash);
        assert_eq!(ProbeTensor::decode_all(&mut &probe().encode()[..]), Ok(probe()));
    }

    #[test]
    fn bounds_come_first() {
        let bytes = probe().encode();
        assert_eq!(ProbeTensor::decode_within(&bytes, 12), Ok(probe()));
        assert!(ProbeTensor::decode_within(&bytes, 11).is_err());
        assert!(ProbeTensor::decode_within(&vec![0; 1000], 11).is_err());
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(ProbeTensor::decode_within(&longer, 100).is_err());
        // A head that announces four gigabytes.
        let mut announced = bytes[..bytes.len() - 13].to_vec();
        announced.extend(Compact(u32::MAX).encode());
        assert!(ProbeTensor::decode(&mut &announced[..]).is_err());
        assert_eq!(
            ProbeTensor::new("x", ElementType::F32, &[2], vec![0; 7]),
            Err(TensorError::WrongByteLength)
        );
        assert_eq!(
            ProbeTensor::new("x", ElementType::F32, &[u32::MAX; 8], vec![]),
            Err(TensorError::TooLarge)
        );
    }

    #[test]
    fn data_that_does_not_fit_the_shape_is_refused() {
        let name: TensorName = b"x".to_vec().try_into().unwrap();
        let bytes = (name, ElementType::F32, vec![2u32], vec![0u8; 7]).encode();
        assert!(ProbeTensor::decode_all(&mut &bytes[..]).is_err());
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = ProbeTensor::decode_within(&bytes, 128);
        }
    }
}
