//! Sketches: 16 integers that stand for a probe of any size, and when two of them are close.
//!
//! Every element is put on a grid of 2^-20. The first 15 integers are sums of the elements under weights of +1 and -1,
//! which follow from a seed that is drawn after the host committed to its probe; the last is the length (Euclidean norm)
//! of the vector of elements. All of it is integer arithmetic on the elements' bit patterns: the same bytes give the
//! same sketch on every machine.
//!
//! The square of each sum has the square of the length as its mean, and so has the difference of two sketches with the
//! difference of the two probes (Achlioptas, "Database-friendly random projections", 2003; Johnson and Lindenstrauss,
//! 1984). With 15 sums the measured distance follows a chi-squared distribution of 15 degrees of freedom: at half the
//! tolerance a pair is taken for different once in four million seeds, at three times the tolerance for close once in
//! a hundred thousand. The length is exact, so that only the difference is measured with an error; estimated from the sums
//! as well, it would make of the first number one in 250.
//!
//! The grid is the resolution: where two runs differ at all, rounding adds up to half a step to each element. For a probe
//! whose elements are smaller than 2^-8 or so that is no longer small against a tolerance of 5e-4.

use core::iter;
use llmesh_primitives::{ElementType, Sketch, attestation::SKETCH_SIZE};
use sp_core::{H256, U256};
use sp_runtime::{
    Perbill,
    traits::{BlakeTwo256, Hash},
};

/// Keeps the hashes that weights are made of apart from every other hash.
pub const DOMAIN: &[u8; 16] = b"llmesh/sketch/v1";
/// How many of a sketch's integers are sums under random weights; the one after them is the length.
pub const PROJECTIONS: usize = SKETCH_SIZE - 1;
/// The grid is 2 to the power of minus this.
pub const GRID_BITS: u32 = 20;
/// Largest element on the grid: 2^20. Larger ones, infinity, and what is not a number count as this.
pub const LARGEST: i64 = 1 << 40;

/// Elements that one hash has weights for: 16 bits each, the highest not used.
const BLOCK: usize = 16;
/// Units of the grid that each integer may differ by, whatever the tolerance: for probes that are all but zero.
const SLACK: u64 = 2;

/// The sketch of a probe: its tensors in the order of the model's signature, each as element type and bytes
/// (little-endian, row-major). Bytes after the last whole element are ignored.
///
/// Element `e` of the whole probe, counted from 0 over all tensors, has the 16 bits at `e mod 16` (u16, little-endian)
/// of `blake2_256("llmesh/sketch/v1" ++ seed ++ (e div 16) as u64)`; where bit `j` is set, it is subtracted from the
/// integer `j`, otherwise added.
pub fn sketch<'a>(seed: H256, tensors: impl IntoIterator<Item = (ElementType, &'a [u8])>) -> Sketch {
    let mut elements = tensors.into_iter().flat_map(|(element_type, data)| {
        data.chunks_exact(element_type.size() as usize)
            .map(move |bytes| on_grid(element_type, bytes))
    });
    let mut sums = [0i128; PROJECTIONS];
    let mut squares = 0u128;
    for block in 0u64.. {
        let mut values = [0i64; BLOCK];
        let mut filled = 0usize;
        for (value, element) in values.iter_mut().zip(elements.by_ref()) {
            *value = element;
            filled = filled.saturating_add(1);
        }
        if filled == 0 {
            break;
        }
        add_block(&weights(seed, block), &values, &mut sums);
        squares = values.iter().fold(squares, |sum, value| {
            let size = u128::from(value.unsigned_abs());
            sum.saturating_add(size.saturating_mul(size))
        });
        if filled < BLOCK {
            break;
        }
    }
    let length = i64::try_from(squares.isqrt()).unwrap_or(i64::MAX);
    let sums = sums.map(|sum| i64::try_from(sum.clamp(i64::MIN.into(), i64::MAX.into())).unwrap_or_default());
    let mut sketch = Sketch([0; SKETCH_SIZE]);
    for (to, from) in sketch
        .0
        .iter_mut()
        .zip(sums.into_iter().chain(iter::once(length)))
    {
        *to = from;
    }
    sketch
}

/// The bits of each element of a block.
fn weights(seed: H256, block: u64) -> [u16; BLOCK] {
    let mut preimage = [0u8; DOMAIN.len() + 32 + 8];
    let parts = DOMAIN.iter().chain(seed.as_fixed_bytes());
    for (to, from) in preimage.iter_mut().zip(parts.copied().chain(block.to_le_bytes())) {
        *to = from;
    }
    let hash = BlakeTwo256::hash(&preimage);
    let mut weights = [0u16; BLOCK];
    for (to, bytes) in weights.iter_mut().zip(hash.as_bytes().chunks_exact(2)) {
        if let [low, high] = bytes {
            *to = u16::from_le_bytes([*low, *high]);
        }
    }
    weights
}

/// Adds a block to the sums. 16 elements of at most 2^40 fit in 64 bits: no operation wraps.
fn add_block(weights: &[u16; BLOCK], values: &[i64; BLOCK], sums: &mut [i128; PROJECTIONS]) {
    let mut block = [0i64; PROJECTIONS];
    for (bits, value) in weights.iter().zip(values) {
        let mut bits = i64::from(*bits);
        for sum in &mut block {
            // Two's complement: x ^ -1 + 1 is -x, x ^ 0 + 0 is x.
            let bit = bits & 1;
            *sum = sum.wrapping_add((value ^ bit.wrapping_neg()).wrapping_add(bit));
            bits >>= 1;
        }
    }
    for (sum, part) in sums.iter_mut().zip(block) {
        *sum = sum.saturating_add(part.into());
    }
}

/// One element, `bytes` little-endian, on the grid: rounded half to even, between -[`LARGEST`] and [`LARGEST`]. What is
/// not a number is [`LARGEST`].
fn on_grid(element_type: ElementType, bytes: &[u8]) -> i64 {
    let bits = bytes
        .iter()
        .rev()
        .fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
    match element_type {
        ElementType::Bool => integer(i64::from(bits != 0)),
        ElementType::U8 | ElementType::U16 | ElementType::U32 | ElementType::U64 => {
            integer(i64::try_from(bits).unwrap_or(i64::MAX))
        }
        // The casts take the low bits, which are all there are.
        ElementType::I8 => integer(i64::from(bits as i8)),
        ElementType::I16 => integer(i64::from(bits as i16)),
        ElementType::I32 => integer(i64::from(bits as i32)),
        ElementType::I64 => integer(bits as i64),
        ElementType::F16 => float::<5, 10>(bits),
        ElementType::BF16 => float::<8, 7>(bits),
        ElementType::F32 => float::<8, 23>(bits),
        ElementType::F64 => float::<11, 52>(bits),
    }
}

fn integer(value: i64) -> i64 {
    value.saturating_mul(1 << GRID_BITS).clamp(-LARGEST, LARGEST)
}

/// A binary floating-point number of IEEE 754, by the bits of its exponent and of its fraction.
#[allow(
    clippy::arithmetic_side_effects,
    reason = "no field has more than 53 bits, and shifts are by less than the width; tests go through every exponent"
)]
fn float<const EXPONENT: u32, const FRACTION: u32>(bits: u64) -> i64 {
    let fraction = bits & ((1 << FRACTION) - 1);
    let exponent = bits >> FRACTION & ((1 << EXPONENT) - 1);
    let negative = bits >> (EXPONENT + FRACTION) & 1 == 1;
    if exponent == (1 << EXPONENT) - 1 {
        return if negative && fraction == 0 {
            -LARGEST
        } else {
            LARGEST
        };
    }
    // The number is `significand` x 2^(`scale` - bias - FRACTION); without a leading 1 when the exponent field is 0.
    let significand = if exponent == 0 {
        fraction
    } else {
        fraction | 1 << FRACTION
    };
    let bias = (1i64 << (EXPONENT - 1)) - 1;
    let shift = (exponent.max(1) as i64) - bias - i64::from(FRACTION) + i64::from(GRID_BITS);
    let size = match u32::try_from(shift) {
        // A significand is 0 or at least 1: shifted by more than 40 it is beyond the largest or still 0.
        Ok(left) => u128::from(significand) << left.min(41),
        Err(_) => {
            let right = u32::try_from(-shift).unwrap_or(u32::MAX).min(63);
            let (whole, rest, half) = (
                significand >> right,
                significand & ((1 << right) - 1),
                1 << (right - 1),
            );
            let up = rest > half || (rest == half && whole & 1 == 1);
            u128::from(whole + u64::from(up))
        }
    };
    let size = i64::try_from(size).unwrap_or(LARGEST).min(LARGEST);
    if negative { -size } else { size }
}

/// Whether the host's sketch is as close to the verifier's as `tolerance`, the relative distance (L2) that the model
/// allows, calls for.
///
/// With the verifier's `v`, the host's `h`, 15 sums and the length as last integer, both must hold:
///
/// ```text
/// sum over the 15 sums of (v - h)^2   <=   15 x (tolerance^2 x v_length^2 + 4)
/// (v_length - h_length)^2             <=         tolerance^2 x v_length^2 + 4
/// ```
///
/// The lengths of two vectors never differ by more than the vectors do, so that the second never fails where the
/// tolerance holds; it keeps anybody from stating a length that would make everything close. Exact for all values.
pub fn close(verifier: &Sketch, host: &Sketch, tolerance: Perbill) -> bool {
    // A difference of two i64 fits u64, its square u128; nothing here reaches 2^200.
    let square = |size: u64| U256::from(u128::from(size).saturating_mul(u128::from(size)));
    let distance = |from: usize, to: usize| {
        let pairs = verifier.0.iter().zip(&host.0).take(to).skip(from);
        pairs.fold(U256::zero(), |sum, (v, h)| {
            sum.saturating_add(square(v.abs_diff(*h)))
        })
    };
    let length = verifier.0.last().map_or(0, |length| length.unsigned_abs());
    let one = square(Perbill::one().deconstruct().into());
    let allowed = square(tolerance.deconstruct().into())
        .saturating_mul(square(length))
        .saturating_add(one.saturating_mul(square(SLACK)));
    distance(PROJECTIONS, SKETCH_SIZE).saturating_mul(one) <= allowed
        && distance(0, PROJECTIONS).saturating_mul(one)
            <= allowed.saturating_mul(U256::from(PROJECTIONS as u64))
}
