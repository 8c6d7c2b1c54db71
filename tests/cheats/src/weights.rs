//! Other weights in the same graph: what a host would serve that saves itself the real model.
//!
//! Walks the structure of an ONNX file (protobuf) as far as the weights: `ModelProto.graph` (7), `GraphProto.initializer`
//! (5), `TensorProto.raw_data` (9) where `data_type` (2) is FLOAT (1). Lengths stay what they are, so bytes are changed in
//! place.

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
pub fn change(model: &mut [u8], change: Change) -> usize {
    let mut tensors = 0;
    for graph in fields(model, 7) {
        let graph = graph.clone();
        let found: Vec<_> = fields(&model[graph.clone()], 5)
            .into_iter()
            .map(|r| r.start + graph.start..r.end + graph.start)
            .collect();
        for tensor in found {
            let body = &model[tensor.clone()];
            if number(body, 2) != Some(1) {
                continue;
            }
            for data in fields(body, 9) {
                let data = data.start + tensor.start..data.end + tensor.start;
                let (chunks, _) = model[data].as_chunks_mut::<4>();
                if chunks.len() < LEAST_ELEMENTS {
                    continue;
                }
                tensors += 1;
                match change {
                    Change::Reversed => chunks.reverse(),
                    Change::Int8 => round(chunks),
                }
            }
        }
    }
    tensors
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

fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Visits the fields of a message: number, and the range of a length-delimited one or the value of a varint.
fn walk(bytes: &[u8], mut visit: impl FnMut(u64, Result<std::ops::Range<usize>, u64>)) -> Option<()> {
    let mut at = 0;
    while at < bytes.len() {
        let tag = varint(bytes, &mut at)?;
        match tag & 7 {
            0 => {
                let value = varint(bytes, &mut at)?;
                visit(tag >> 3, Err(value));
            }
            1 => at += 8,
            2 => {
                let length = usize::try_from(varint(bytes, &mut at)?).ok()?;
                let end = at.checked_add(length).filter(|end| *end <= bytes.len())?;
                visit(tag >> 3, Ok(at..end));
                at = end;
            }
            5 => at += 4,
            _ => return None,
        }
    }
    Some(())
}

fn fields(bytes: &[u8], wanted: u64) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let whole = walk(bytes, |number, value| {
        if let (true, Ok(range)) = (number == wanted, value) {
            found.push(range);
        }
    });
    if whole.is_some() { found } else { Vec::new() }
}

fn number(bytes: &[u8], wanted: u64) -> Option<u64> {
    let mut found = None;
    walk(bytes, |number, value| {
        if let (true, Err(value)) = (number == wanted, value) {
            found = Some(value);
        }
    })?;
    found
}
