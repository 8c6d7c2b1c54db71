//! A model's own idea of its inputs and outputs, as the chain describes them.

use crate::{EngineError, convert};
use llmesh_primitives::{Dim, ModelSignature, TensorSpec};
use ort::{session::Session, value::Outlet, value::ValueType};
use std::collections::BTreeMap;

/// How long dimensions can be that the model leaves open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DynamicDims {
    /// By the name that the model gives the dimension.
    pub named: BTreeMap<String, u32>,
    /// All others; the batch dimension is the usual one.
    pub default: u32,
}

impl Default for DynamicDims {
    fn default() -> Self {
        Self {
            named: BTreeMap::new(),
            default: 1,
        }
    }
}

fn spec(outlet: &Outlet, dims: &DynamicDims) -> Result<TensorSpec, EngineError> {
    let name = outlet.name();
    let refuse = |reason: &str| EngineError::SignatureMismatch(format!("tensor {name:?}: {reason}"));
    let ValueType::Tensor {
        ty,
        shape,
        dimension_symbols,
    } = outlet.dtype()
    else {
        return Err(refuse("sequences, maps and optional values can not be carried"));
    };
    let element_type = convert::element_type(*ty).ok_or_else(|| EngineError::UnsupportedType {
        name: name.into(),
        element_type: ty.to_string(),
    })?;
    let mut lengths = Vec::with_capacity(shape.len());
    for (i, length) in shape.iter().enumerate() {
        lengths.push(match u32::try_from(*length) {
            Ok(n) if n > 0 => Dim::Fixed(n),
            Ok(_) => return Err(refuse("a dimension has the length 0")),
            Err(_) if *length >= 0 => return Err(refuse("a dimension is too long")),
            Err(_) => {
                let symbol = dimension_symbols.get(i).map(String::as_str).unwrap_or_default();
                Dim::UpTo(dims.named.get(symbol).copied().unwrap_or(dims.default))
            }
        });
    }
    Ok(TensorSpec {
        name: name
            .as_bytes()
            .to_vec()
            .try_into()
            .map_err(|_| refuse("its name is longer than 64 bytes"))?,
        element_type,
        shape: lengths
            .try_into()
            .map_err(|_| refuse("it has more than 8 dimensions"))?,
    })
}

/// The signature of a loaded model.
pub(crate) fn signature(session: &Session, dims: &DynamicDims) -> Result<ModelSignature, EngineError> {
    let side = |outlets: &[Outlet]| {
        outlets
            .iter()
            .map(|o| spec(o, dims))
            .collect::<Result<Vec<_>, _>>()
            .and_then(|specs| {
                specs.try_into().map_err(|_| {
                    EngineError::SignatureMismatch("it has more than 16 inputs or outputs".into())
                })
            })
    };
    Ok(ModelSignature {
        inputs: side(session.inputs())?,
        outputs: side(session.outputs())?,
    })
}

/// The names of the dimensions that the model leaves open, in order of appearance.
pub(crate) fn open_dimensions(session: &Session) -> Vec<String> {
    let mut names = Vec::new();
    for outlet in session.inputs().iter().chain(session.outputs()) {
        if let ValueType::Tensor {
            shape,
            dimension_symbols,
            ..
        } = outlet.dtype()
        {
            for (length, symbol) in shape.iter().zip(dimension_symbols.iter()) {
                if *length < 0 && !symbol.is_empty() && !names.contains(symbol) {
                    names.push(symbol.clone());
                }
            }
        }
    }
    names
}

/// Whether the loaded model has at least the inputs and outputs that were published.
pub(crate) fn check(session: &Session, published: &ModelSignature) -> Result<(), EngineError> {
    check_side("input", session.inputs(), &published.inputs, true)?;
    check_side("output", session.outputs(), &published.outputs, false)
}

fn check_side(side: &str, own: &[Outlet], published: &[TensorSpec], all: bool) -> Result<(), EngineError> {
    for spec in published {
        let name = String::from_utf8_lossy(&spec.name);
        let refuse = |reason: &str| EngineError::SignatureMismatch(format!("{side} {name:?} {reason}"));
        let outlet = own
            .iter()
            .find(|o| o.name().as_bytes() == spec.name.as_slice())
            .ok_or_else(|| refuse("is not in the model"))?;
        let ValueType::Tensor { ty, shape, .. } = outlet.dtype() else {
            return Err(refuse("is not a tensor"));
        };
        if convert::element_type(*ty) != Some(spec.element_type) {
            return Err(refuse("has another element type in the model"));
        }
        let fits = shape.len() == spec.shape.len()
            && shape
                .iter()
                .zip(spec.shape.iter())
                .all(|(own, dim)| *own < 0 || *own == i64::from(dim.max()));
        // Some exporters leave the rank of outputs open; the real shape is checked after each run anyway.
        let open_rank = !all && shape.is_empty();
        if !fits && !open_rank {
            return Err(refuse("has another shape in the model"));
        }
    }
    if all
        && let Some(extra) = own
            .iter()
            .find(|o| !published.iter().any(|s| s.name.as_slice() == o.name().as_bytes()))
    {
        return Err(EngineError::SignatureMismatch(format!(
            "input {:?} is not published",
            extra.name()
        )));
    }
    Ok(())
}
