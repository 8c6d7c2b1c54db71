//! Made-up inputs for a model of which nothing is known but its signature.

use crate::EngineError;
use llmesh_primitives::{Dim, ElementType, ModelSignature, Tensor, Tensors};
use ort::{session::Session, value::ValueType};
use std::collections::BTreeMap;

/// Integers that are made up lie below the largest of these that the model can take: a byte, a flag, or 0 only. An index
/// that is too large makes a model fail.
pub(crate) const RANGES: [u32; 3] = [256, 2, 1];

/// How the values of one sample are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Values {
    Zero,
    Random,
}

/// A stream of random bytes that is the same for the same seed and sample.
struct Stream(blake3::OutputReader);

impl Stream {
    fn new(seed: u64, sample: usize) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("llmesh engine calibration samples v1");
        hasher.update(&seed.to_le_bytes());
        hasher.update(&(sample as u64).to_le_bytes());
        Self(hasher.finalize_xof())
    }

    fn next(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn below(&mut self, n: u32) -> u32 {
        ((u64::from(self.next()) * u64::from(n)) >> 32) as u32
    }

    /// Uniform between -1 and 1.
    fn unit(&mut self) -> f32 {
        self.next() as f32 / 2_147_483_648.0 - 1.0
    }

    fn element(&mut self, ty: ElementType, range: u32, out: &mut Vec<u8>) {
        match ty {
            ElementType::Bool => out.push(self.below(2) as u8),
            ElementType::U8 | ElementType::I8 => out.push(self.below(range.min(128)) as u8),
            ElementType::U16 | ElementType::I16 => out.extend((self.below(range) as u16).to_le_bytes()),
            ElementType::U32 | ElementType::I32 => out.extend(self.below(range).to_le_bytes()),
            ElementType::U64 | ElementType::I64 => out.extend(u64::from(self.below(range)).to_le_bytes()),
            // A sign, an exponent that makes it 1/32 to 1, and any fraction.
            ElementType::F16 => {
                let bits = self.next();
                let number = bits & 0x8000 | (10 + bits % 5) << 10 | bits >> 17 & 0x3ff;
                out.extend((number as u16).to_le_bytes());
            }
            ElementType::BF16 => out.extend(((self.unit().to_bits() >> 16) as u16).to_le_bytes()),
            ElementType::F32 => out.extend(self.unit().to_le_bytes()),
            ElementType::F64 => out.extend(f64::from(self.unit()).to_le_bytes()),
        }
    }
}

/// The name that the loaded model gives to a dimension that it leaves open.
fn symbol(session: &Session, input: &[u8], axis: usize) -> Option<String> {
    let outlet = session.inputs().iter().find(|o| o.name().as_bytes() == input)?;
    match outlet.dtype() {
        ValueType::Tensor {
            shape,
            dimension_symbols,
            ..
        } if shape.get(axis).is_some_and(|n| *n < 0) => dimension_symbols.get(axis).cloned(),
        _ => None,
    }
}

/// Draws one sample. Dimensions of the same name have the same length: the longest, half or an eighth of it; the first
/// dimension, the batch, is 1 where it is open. `ranges` gives for each input how large its integers are.
pub(crate) fn draw(
    session: &Session,
    signature: &ModelSignature,
    ranges: &[u32],
    seed: u64,
    sample: usize,
    values: Values,
) -> Result<Tensors, EngineError> {
    let mut stream = Stream::new(seed, sample);
    let mut lengths = BTreeMap::<(String, u32), u32>::new();
    let mut tensors = Vec::with_capacity(signature.inputs.len());
    for (i, spec) in signature.inputs.iter().enumerate() {
        let mut shape = Vec::with_capacity(spec.shape.len());
        for (axis, dim) in spec.shape.iter().enumerate() {
            shape.push(match *dim {
                Dim::Fixed(n) => n,
                Dim::UpTo(most) => {
                    let name = symbol(session, &spec.name, axis).unwrap_or_default();
                    *lengths.entry((name, most)).or_insert_with(|| {
                        // Few different lengths, so that samples of one length can be put together.
                        match (axis, stream.below(3)) {
                            (0, _) | (_, 0) if most < 8 || axis == 0 => 1,
                            (_, 0) => most / 8,
                            (_, 1) => most.div_ceil(2),
                            _ => most,
                        }
                    })
                }
            });
        }
        let name = String::from_utf8_lossy(&spec.name).into_owned();
        let refuse = |reason| EngineError::Input {
            name: name.clone(),
            reason,
        };
        let elements = llmesh_primitives::tensor::byte_length(spec.element_type, &shape)
            .filter(|n| *n <= u64::from(llmesh_primitives::tensor::MAX_TENSOR_BYTES))
            .ok_or_else(|| refuse(llmesh_primitives::TensorError::TooLarge))?
            / u64::from(spec.element_type.size());
        let mut data = Vec::new();
        match values {
            Values::Zero => data.resize((elements * u64::from(spec.element_type.size())) as usize, 0),
            Values::Random => {
                let range = ranges.get(i).copied().unwrap_or(1);
                for _ in 0..elements {
                    stream.element(spec.element_type, range, &mut data);
                }
            }
        }
        tensors.push(Tensor::new(&name, spec.element_type, &shape, data).map_err(refuse)?);
    }
    Tensors::try_from(tensors).map_err(|_| EngineError::SignatureMismatch("it has too many inputs".into()))
}
