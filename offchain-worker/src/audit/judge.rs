//! What a verifier makes of what a host shows. Pure.

use super::evidence::hash_encoded;
use codec::DecodeAll;
use llmesh_engine::ProbeTensor;
use llmesh_primitives::{ElementType, Receipt, Sketch, Tensors, attestation::Preimages};
use llmesh_proofs::sketch::sketch;
use sp_runtime::Perbill;

type H256 = llmesh_chain::H256;

/// How much more an output can differ than the probe, relatively. A saturating step mostly brings values closer; where it
/// is steepest (a sigmoid around 0, a softmax between two classes) relative differences grow by a small factor.
const OUTPUT_SLACK: f64 = 10.0;

/// The sketch of what verification compares: the probe if the receipt has one, else the outputs. `None` if the bytes are
/// no tensors.
pub(crate) fn sketch_of(
    seed: H256,
    receipt: &Receipt,
    outputs: &[u8],
    probe: Option<&[u8]>,
) -> Option<Sketch> {
    match (receipt.probe_hash, probe) {
        (Some(_), Some(probe)) => {
            let probe = ProbeTensor::decode_all(&mut &*probe).ok()?;
            Some(sketch(seed, [probe.compared()]))
        }
        (Some(_), None) => None,
        (None, _) => {
            let outputs = Tensors::decode_all(&mut &*outputs).ok()?;
            Some(sketch(
                seed,
                outputs.iter().map(|t| (t.element_type, t.data.as_slice())),
            ))
        }
    }
}

/// Judges what a host showed after it published `published`: `outputs` and `probe` as it gave them, `own` the verifier's
/// own outputs.
///
/// Of the outputs only 32 and 64 bit floats are judged. Whole numbers mostly say which of several scores is the highest,
/// and of two that are nearly equal an honest host can find the other one; half-precision numbers are coarser than the
/// tolerance. The probe that they follow from is judged all the same.
pub(crate) fn preimages(
    seed: H256,
    receipt: &Receipt,
    published: &Sketch,
    shown: Option<(&[u8], Option<&[u8]>)>,
    own: &[u8],
    tolerance: Perbill,
) -> Preimages {
    let Some((outputs, probe)) = shown else {
        return Preimages::Missing;
    };
    if hash_encoded(outputs) != receipt.output_hash || probe.map(hash_encoded) != receipt.probe_hash {
        return Preimages::Missing;
    }
    // From here on the bytes are what the host signed.
    if sketch_of(seed, receipt, outputs, probe) != Some(*published) {
        return Preimages::Bad;
    }
    let tensors = |bytes: &[u8]| Tensors::decode_all(&mut &*bytes).ok();
    match (tensors(outputs), tensors(own)) {
        (Some(theirs), Some(own)) if outputs_agree(&theirs, &own, tolerance) => Preimages::Good,
        (_, None) => Preimages::Missing,
        _ => Preimages::Bad,
    }
}

fn outputs_agree(theirs: &Tensors, own: &Tensors, tolerance: Perbill) -> bool {
    let tolerance = f64::from(tolerance.deconstruct()) / 1e9 * OUTPUT_SLACK;
    theirs.len() == own.len()
        && theirs.iter().zip(own.iter()).all(|(a, b)| {
            if (&a.name, a.element_type, &a.shape) != (&b.name, b.element_type, &b.shape) {
                return false;
            }
            match (floats(a.element_type, &a.data), floats(b.element_type, &b.data)) {
                (Some(a), Some(b)) => close(&a, &b, tolerance),
                // Not judged, see above.
                _ => true,
            }
        })
}

/// Relative L2 distance at most `tolerance`. Where one is infinite the other is the same infinity, where one is no number
/// neither is the other: sign and payload of those are up to the machine.
fn close(theirs: &[f64], own: &[f64], tolerance: f64) -> bool {
    let (mut difference, mut norm) = (0.0f64, 0.0f64);
    for (a, b) in theirs.iter().zip(own) {
        if a.is_finite() && b.is_finite() {
            difference += (a - b) * (a - b);
            norm += b * b;
        } else if a != b && !(a.is_nan() && b.is_nan()) {
            return false;
        }
    }
    // What rounding alone makes of sums of small numbers.
    difference.sqrt() <= tolerance * norm.sqrt() + 1e-6
}

fn floats(element: ElementType, data: &[u8]) -> Option<Vec<f64>> {
    match element {
        ElementType::F32 => Some(
            data.as_chunks::<4>()
                .0
                .iter()
                .map(|b| f64::from(f32::from_le_bytes(*b)))
                .collect(),
        ),
        ElementType::F64 => Some(
            data.as_chunks::<8>()
                .0
                .iter()
                .map(|b| f64::from_le_bytes(*b))
                .collect(),
        ),
        _ => None,
    }
}
