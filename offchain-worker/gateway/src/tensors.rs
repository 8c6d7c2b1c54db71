//! Tensors between what applications send (JSON, binary, base64) and what the mesh carries. Pure.

use crate::{
    GatewayError, Reason, TensorInfo,
    calls::shorten,
    elements::{self, Elements},
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use llmesh_primitives::{
    ElementType, TensorError,
    tensor::{MAX_NAME_BYTES, MAX_RANK, MAX_TENSORS, byte_length},
};
use llmesh_protocol::{MAX_TOTAL_TENSOR_BYTES, MeshTensor, MeshTensors};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt, marker::PhantomData};

/// A list of at most `N` items: reading stops with an error at the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Short<T, const N: usize>(pub(crate) Vec<T>);

impl<'de, T: Deserialize<'de>, const N: usize> Deserialize<'de> for Short<T, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T, const N: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for Items<T, N> {
            type Value = Short<T, N>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                write!(f, "a list of at most {N} items")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    if items.len() == N {
                        return Err(A::Error::custom(format_args!("a list has more than {N} items")));
                    }
                    items.push(item);
                }
                Ok(Short(items))
            }
        }

        deserializer.deserialize_seq(Items(PhantomData))
    }
}

/// Most tensors of one request.
pub(crate) const TENSORS: usize = MAX_TENSORS as usize;
/// Most dimensions.
pub(crate) const RANK: usize = MAX_RANK as usize;

/// Name, type and shape of a tensor as a caller describes it.
#[derive(Clone, Debug)]
pub(crate) struct Head<'a> {
    pub(crate) name: &'a str,
    pub(crate) element_type: ElementType,
    pub(crate) shape: Vec<u32>,
    /// Bytes that type and shape call for.
    pub(crate) bytes: usize,
}

impl<'a> Head<'a> {
    /// Checks what can be checked without the data.
    pub(crate) fn new(name: &'a str, datatype: &str, shape: &[i64]) -> Result<Self, GatewayError> {
        if name.is_empty() || name.len() > MAX_NAME_BYTES as usize {
            return Err(GatewayError::tensors(format!(
                "a tensor's name has 1 to {MAX_NAME_BYTES} bytes; `{}` has {}",
                shorten(name),
                name.len()
            )));
        }
        let wrong = |what: String| GatewayError::tensors(format!("the tensor `{name}` {what}"));
        let element_type = ElementType::from_name(datatype).ok_or_else(|| {
            wrong(match datatype {
                "BYTES" => "has type BYTES: models here take no strings".into(),
                other => format!(
                    "has the unknown type `{}`: there are {}",
                    shorten(other),
                    ElementType::ALL.map(ElementType::name).join(", ")
                ),
            })
        })?;
        let shape = shape
            .iter()
            .map(|d| u32::try_from(*d).map_err(|_| wrong(format!("has a dimension of length {d}"))))
            .collect::<Result<Vec<_>, _>>()?;
        let bytes = byte_length(element_type, &shape)
            .and_then(|n| usize::try_from(n).ok())
            .filter(|n| *n <= MAX_TOTAL_TENSOR_BYTES)
            .ok_or_else(|| {
                GatewayError::new(
                    Reason::TooLarge,
                    format!(
                        "the tensor `{name}` has shape {shape:?} of {}, which is more than {MAX_TOTAL_TENSOR_BYTES} bytes",
                        element_type.name()
                    ),
                )
            })?;
        Ok(Self {
            name,
            element_type,
            shape,
            bytes,
        })
    }

    fn wrong(&self, what: impl fmt::Display) -> GatewayError {
        GatewayError::tensors(format!("the tensor `{}` {what}", self.name))
    }

    /// The tensor whose elements are written as JSON.
    pub(crate) fn with_json(self, data: &RawValue) -> Result<MeshTensor, GatewayError> {
        let data = elements::parse(data.get(), self.element_type, &self.shape).map_err(|e| self.wrong(e))?;
        self.build(data)
    }

    /// The tensor of these little-endian bytes.
    pub(crate) fn with_bytes(self, data: &[u8]) -> Result<MeshTensor, GatewayError> {
        if data.len() != self.bytes {
            return Err(self.wrong(format_args!(
                "has {} bytes of data; {} {:?} calls for {}",
                data.len(),
                self.element_type.name(),
                self.shape,
                self.bytes
            )));
        }
        if self.element_type == ElementType::Bool && data.iter().any(|b| *b > 1) {
            return Err(self.wrong("has type BOOL and a byte other than 0 and 1"));
        }
        self.build(data.to_vec())
    }

    /// The tensor of these base64 bytes.
    pub(crate) fn with_base64(self, text: &str) -> Result<MeshTensor, GatewayError> {
        // Refuses before decoding what can not fit.
        if text.len() > self.bytes.div_ceil(3).saturating_mul(4) {
            return Err(self.wrong(format_args!(
                "has more bytes than the {} that {} {:?} calls for",
                self.bytes,
                self.element_type.name(),
                self.shape
            )));
        }
        let data = BASE64
            .decode(text)
            .map_err(|e| self.wrong(format_args!("has bytes that are not base64: {e}")))?;
        self.with_bytes(&data)
    }

    fn build(self, data: Vec<u8>) -> Result<MeshTensor, GatewayError> {
        MeshTensor::new(self.name, self.element_type, &self.shape, data)
            .map_err(|e| self.wrong(format_args!(": {e}")))
    }
}

/// A tensor in a JSON-RPC request: elements as `data`, or base64 of little-endian bytes as `bytes`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RpcTensor<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    datatype: Cow<'a, str>,
    shape: Short<i64, RANK>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    bytes: Option<Cow<'a, str>>,
}

impl RpcTensor<'_> {
    pub(crate) fn read(&self) -> Result<MeshTensor, GatewayError> {
        let head = Head::new(&self.name, &self.datatype, &self.shape.0)?;
        match (self.data, &self.bytes) {
            (Some(data), None) => head.with_json(data),
            (None, Some(text)) => head.with_base64(text),
            _ => Err(head.wrong("must have either `data` or `bytes`")),
        }
    }
}

/// A tensor in a JSON-RPC answer.
#[derive(Debug, Serialize)]
pub(crate) struct RpcOutput<'a> {
    name: &'a str,
    datatype: &'static str,
    shape: &'a [u32],
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Elements<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<String>,
}

impl<'a> RpcOutput<'a> {
    /// With base64 if the caller wants it so or JSON has no form for the type.
    pub(crate) fn new(tensor: &'a MeshTensor, base64: bool) -> Self {
        let base64 = base64 || !elements::has_json_form(tensor.element_type);
        Self {
            name: tensor.name_str(),
            datatype: tensor.element_type.name(),
            shape: &tensor.shape,
            data: (!base64).then(|| elements_of(tensor)),
            bytes: base64.then(|| BASE64.encode(&tensor.data)),
        }
    }
}

/// A tensor's elements, to be written as JSON.
pub(crate) fn elements_of(tensor: &MeshTensor) -> Elements<'_> {
    Elements {
        element_type: tensor.element_type,
        data: &tensor.data,
    }
}

/// Checks that `tensors` are the inputs that `specs` describe, each exactly once, and puts them in that order.
pub(crate) fn check_inputs(
    model: &str,
    specs: &[TensorInfo],
    mut tensors: Vec<MeshTensor>,
) -> Result<MeshTensors, GatewayError> {
    let mut ordered = Vec::with_capacity(specs.len());
    for spec in specs {
        let index = tensors
            .iter()
            .position(|t| t.name_str() == spec.name)
            .ok_or_else(|| {
                GatewayError::tensors(format!(
                    "{model} needs the input `{}` ({} {:?})",
                    spec.name, spec.datatype, spec.shape
                ))
            })?;
        let tensor = tensors.swap_remove(index);
        if tensor.element_type.name() != spec.datatype {
            return Err(GatewayError::tensors(format!(
                "the tensor `{}` has type {}; {model} takes {}",
                spec.name,
                tensor.element_type.name(),
                spec.datatype
            )));
        }
        let fits = tensor.shape.len() == spec.shape.len()
            && tensor
                .shape
                .iter()
                .zip(spec.shape.iter().zip(&spec.max_shape))
                .all(|(n, (d, most))| match *d {
                    -1 => (1..=*most).contains(n),
                    d => i64::from(*n) == d,
                });
        if !fits {
            return Err(GatewayError::tensors(format!(
                "the tensor `{}` has shape {:?}; {model} takes {:?}, at most {:?}",
                spec.name,
                tensor.shape.as_slice(),
                spec.shape,
                spec.max_shape
            )));
        }
        ordered.push(tensor);
    }
    if let Some(other) = tensors.first() {
        let twice = specs.iter().any(|s| s.name == other.name_str());
        return Err(GatewayError::tensors(if twice {
            format!("the tensor `{}` is given twice", other.name_str())
        } else {
            format!("{model} has no input `{}`", other.name_str())
        }));
    }
    MeshTensors::new(ordered).map_err(|e| match e {
        TensorError::TooLarge => GatewayError::new(
            Reason::TooLarge,
            format!("the inputs together have more than {MAX_TOTAL_TENSOR_BYTES} bytes"),
        ),
        other => GatewayError::tensors(other.as_str()),
    })
}
