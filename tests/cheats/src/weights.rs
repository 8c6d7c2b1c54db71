//! Other weights in the same graph: what a host would serve that saves itself the real model.

use llmesh_engine::{OnnxError, float_weights};

/// What becomes of the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Every matrix back to front: a model of the same cost that was never trained for this.
    Reversed,
    /// Rounded to 255 steps a tensor, as an int8 version has them.
    Int8,
}

/// Tensors with fewer elements are constants of the graph rather than weights.
const LEAST_ELEMENTS: usize = 64;

/// Changes all weights; returns how many tensors there were.
///
/// # Errors
/// When this is no ONNX model.
pub fn change(model: &mut [u8], change: Change) -> Result<usize, OnnxError> {
    let mut tensors = 0;
    for weights in float_weights(model)? {
        let Some(data) = model.get_mut(weights.bytes) else {
            continue;
        };
        let (chunks, _) = data.as_chunks_mut::<4>();
        if chunks.len() < LEAST_ELEMENTS {
            continue;
        }
        tensors += 1;
        match change {
            Change::Reversed => chunks.reverse(),
            Change::Int8 => round(chunks),
        }
    }
    Ok(tensors)
}

fn round(chunks: &mut [[u8; 4]]) {
    let largest = chunks
        .iter()
        .map(|b| f32::from_le_bytes(*b).abs())
        .fold(0.0, f32::max);
    let step = largest / 127.0;
    if step > 0.0 {
        for bytes in chunks {
            *bytes = ((f32::from_le_bytes(*bytes) / step).round() * step).to_le_bytes();
        }
    }
}
