//! Bodies of the Open Inference Protocol: JSON, and JSON followed by binary tensors. Pure.

use crate::{
    GatewayError, InferResponse, ModelInfo, Reason,
    elements::Elements,
    tensors::{Head, RANK, Short, TENSORS, elements_of},
    text,
};
use codec::Encode;
use llmesh_primitives::Priority;
use llmesh_protocol::MeshTensor;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::value::RawValue;
use sp_core::H256;
use sp_runtime::{AccountId32, Perbill};
use std::{borrow::Cow, time::Duration};

/// Longest id that a caller can give a request.
const MAX_ID_BYTES: usize = 256;

/// A request for an inference.
#[derive(Debug)]
pub(crate) struct InferBody {
    /// To be given back.
    pub(crate) id: Option<String>,
    pub(crate) inputs: Vec<MeshTensor>,
    /// The outputs that are wanted, in this order; `None`: all.
    pub(crate) outputs: Option<Vec<Wish>>,
    pub(crate) parameters: Parameters,
}

/// What is asked for beside the tensors.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Parameters {
    pub(crate) max_price: Option<u128>,
    pub(crate) priority: Priority,
    pub(crate) min_reputation: Perbill,
    pub(crate) deadline: Option<Duration>,
    /// Whether outputs come as binary unless an output says otherwise.
    pub(crate) binary: bool,
}

/// An output that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) name: String,
    /// `None`: as for all.
    pub(crate) binary: Option<bool>,
}

/// Which outputs are wanted, and how.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wishes {
    pub(crate) outputs: Option<Vec<Wish>>,
    pub(crate) binary: bool,
}

impl Wishes {
    /// Whether this output comes as binary; `None` when it is not wanted.
    pub(crate) fn binary_for(&self, name: &str) -> Option<bool> {
        match &self.outputs {
            None => Some(self.binary),
            Some(wishes) => wishes
                .iter()
                .find(|w| w.name == name)
                .map(|w| w.binary.unwrap_or(self.binary)),
        }
    }
}

/// Fields that are not known are skipped here, as the protocol allows; unknown `parameters` are not: a misspelt
/// `max_price` must not cost money.
#[derive(Deserialize)]
struct JsonBody<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(default)]
    parameters: Option<JsonParameters>,
    #[serde(borrow)]
    inputs: Short<JsonInput<'a>, TENSORS>,
    #[serde(borrow, default)]
    outputs: Option<Short<JsonOutput<'a>, TENSORS>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonParameters {
    #[serde(default)]
    max_price: Option<Amount>,
    #[serde(default)]
    priority: Option<String>,
    #[serde(default)]
    min_reputation: Option<f64>,
    #[serde(default)]
    deadline_ms: Option<u64>,
    #[serde(default)]
    binary_data_output: Option<bool>,
}

/// Planck, as text or as a whole number.
struct Amount(u128);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(u64),
            Text(String),
        }
        match Either::deserialize(deserializer) {
            Ok(Either::Number(number)) => Ok(Self(number.into())),
            Ok(Either::Text(text)) => text::parse_planck(&text).map(Self).map_err(D::Error::custom),
            Err(_) => Err(D::Error::custom(
                "max_price is in planck: a whole number, or a decimal string",
            )),
        }
    }
}

#[derive(Deserialize)]
struct JsonInput<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    shape: Short<i64, RANK>,
    #[serde(borrow)]
    datatype: Cow<'a, str>,
    #[serde(default)]
    parameters: Option<InputParameters>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct InputParameters {
    #[serde(default)]
    binary_data_size: Option<u64>,
    #[serde(default)]
    shared_memory_region: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct JsonOutput<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(default)]
    parameters: Option<OutputParameters>,
}

#[derive(Default, Deserialize)]
struct OutputParameters {
    #[serde(default)]
    binary_data: Option<bool>,
    #[serde(default)]
    classification: Option<u64>,
    #[serde(default)]
    shared_memory_region: Option<serde::de::IgnoredAny>,
}

/// Reads a body. `json_length` is the length of its JSON part, when binary tensors follow.
pub(crate) fn decode(body: &[u8], json_length: Option<usize>) -> Result<InferBody, GatewayError> {
    let (json, mut binary) = match json_length {
        None => (body, None),
        Some(length) => {
            let (json, binary) = body.split_at_checked(length).ok_or_else(|| {
                GatewayError::invalid(format!(
                    "Inference-Header-Content-Length is {length}, but the body has {} bytes",
                    body.len()
                ))
            })?;
            (json, Some(binary))
        }
    };
    if !json.trim_ascii_start().starts_with(b"{") {
        // The reader would take a list of the fields' values as well.
        return Err(GatewayError::invalid("the request is not a JSON object"));
    }
    let json: JsonBody =
        serde_json::from_slice(json).map_err(|e| GatewayError::invalid(format!("the request: {e}")))?;
    let inputs = json
        .inputs
        .0
        .iter()
        .map(|input| read_input(input, &mut binary))
        .collect::<Result<Vec<_>, _>>()?;
    if let Some(rest) = binary
        && !rest.is_empty()
    {
        return Err(GatewayError::tensors(format!(
            "the body has {} bytes more than its inputs call for",
            rest.len()
        )));
    }
    let outputs = json
        .outputs
        .map(|outputs| outputs.0.iter().map(read_output).collect::<Result<Vec<_>, _>>())
        .transpose()?
        // An empty list asks for nothing in particular, as no list does.
        .filter(|outputs| !outputs.is_empty());
    if let Some(outputs) = &outputs {
        for (i, wish) in outputs.iter().enumerate() {
            if outputs.iter().take(i).any(|other| other.name == wish.name) {
                return Err(GatewayError::tensors(format!(
                    "the output `{}` is asked for twice",
                    wish.name
                )));
            }
        }
    }
    if json.id.as_ref().is_some_and(|id| id.len() > MAX_ID_BYTES) {
        return Err(GatewayError::invalid(format!(
            "an id has at most {MAX_ID_BYTES} bytes"
        )));
    }
    Ok(InferBody {
        id: json.id.map(Cow::into_owned),
        inputs,
        outputs,
        parameters: read_parameters(json.parameters.unwrap_or_default())?,
    })
}

fn read_parameters(json: JsonParameters) -> Result<Parameters, GatewayError> {
    let wrong = |e: &str| GatewayError::invalid(format!("the parameters: {e}"));
    Ok(Parameters {
        max_price: json.max_price.map(|a| a.0),
        priority: json
            .priority
            .map(|p| text::parse_priority(&p).map_err(wrong))
            .transpose()?
            .unwrap_or_default(),
        min_reputation: json
            .min_reputation
            .map(|r| text::parse_fraction(r).map_err(wrong))
            .transpose()?
            .unwrap_or_default(),
        deadline: json.deadline_ms.map(Duration::from_millis),
        binary: json.binary_data_output.unwrap_or_default(),
    })
}

fn read_input(input: &JsonInput, binary: &mut Option<&[u8]>) -> Result<MeshTensor, GatewayError> {
    let head = Head::new(&input.name, &input.datatype, &input.shape.0)?;
    let wrong = |what: &str| GatewayError::tensors(format!("the tensor `{}` {what}", input.name));
    let parameters = input.parameters.as_ref();
    if parameters.is_some_and(|p| p.shared_memory_region.is_some()) {
        return Err(wrong("is in shared memory, which this server does not use"));
    }
    match (input.data, parameters.and_then(|p| p.binary_data_size)) {
        (Some(data), None) => head.with_json(data),
        (None, Some(size)) => {
            let Some(rest) = binary else {
                return Err(wrong(
                    "is binary, but the request has no Inference-Header-Content-Length",
                ));
            };
            let (data, after) = usize::try_from(size)
                .ok()
                .and_then(|size| rest.split_at_checked(size))
                .ok_or_else(|| {
                    wrong(&format!(
                        "has a binary_data_size of {size}, but {} bytes of the body are left",
                        rest.len()
                    ))
                })?;
            *rest = after;
            head.with_bytes(data)
        }
        (Some(_), Some(_)) => Err(wrong("has both `data` and binary data")),
        (None, None) => Err(wrong("has no data")),
    }
}

fn read_output(output: &JsonOutput) -> Result<Wish, GatewayError> {
    let parameters = output.parameters.as_ref();
    if parameters.is_some_and(|p| p.shared_memory_region.is_some() || p.classification.is_some_and(|n| n > 0))
    {
        return Err(GatewayError::invalid(
            "outputs in shared memory and classification are not offered here",
        ));
    }
    Ok(Wish {
        name: output.name.clone().into_owned(),
        binary: parameters.and_then(|p| p.binary_data),
    })
}

/// An answer's body.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) bytes: Vec<u8>,
    /// Length of the JSON part when binary tensors follow.
    pub(crate) json_length: Option<usize>,
}

#[derive(Serialize)]
struct JsonAnswer<'a> {
    model_name: &'a str,
    model_version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    parameters: AnswerParameters<'a>,
    outputs: Vec<JsonTensor<'a>>,
}

#[derive(Serialize)]
struct AnswerParameters<'a> {
    /// SCALE of the signed receipt, as hex.
    receipt: String,
    host: &'a AccountId32,
    /// In planck.
    price: String,
    request_id: H256,
    path_length: u32,
    attempts: u32,
}

#[derive(Serialize)]
struct JsonTensor<'a> {
    name: &'a str,
    datatype: &'static str,
    shape: &'a [u32],
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<BinarySize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Elements<'a>>,
}

#[derive(Serialize)]
struct BinarySize {
    binary_data_size: usize,
}

/// Writes an answer: the outputs that are wanted, in the order in which they were asked for or in the model's.
pub(crate) fn encode(
    model: &ModelInfo,
    id: Option<&str>,
    response: &InferResponse,
    wishes: &Wishes,
) -> Result<Encoded, GatewayError> {
    let find = |name: &str| response.outputs.iter().find(|t| t.name_str() == name);
    let tensors: Vec<(&MeshTensor, bool)> = match &wishes.outputs {
        None => response.outputs.iter().map(|t| (t, wishes.binary)).collect(),
        Some(wanted) => wanted
            .iter()
            .map(|wish| {
                let missing = || {
                    GatewayError::new(
                        Reason::HostFailed,
                        format!("the host gave no output `{}`", wish.name),
                    )
                };
                find(&wish.name)
                    .map(|t| (t, wish.binary.unwrap_or(wishes.binary)))
                    .ok_or_else(missing)
            })
            .collect::<Result<_, _>>()?,
    };
    let answer = JsonAnswer {
        model_name: &model.name,
        model_version: model.version.to_string(),
        id,
        parameters: AnswerParameters {
            receipt: text::to_hex(&response.receipt.encode()),
            host: &response.host,
            price: response.price.to_string(),
            request_id: response.request_id,
            path_length: response.path_length,
            attempts: response.attempts,
        },
        outputs: tensors
            .iter()
            .map(|(tensor, binary)| JsonTensor {
                name: tensor.name_str(),
                datatype: tensor.element_type.name(),
                shape: &tensor.shape,
                parameters: binary.then(|| BinarySize {
                    binary_data_size: tensor.data.len(),
                }),
                data: (!binary).then(|| elements_of(tensor)),
            })
            .collect(),
    };
    let mut bytes =
        serde_json::to_vec(&answer).map_err(|e| GatewayError::new(Reason::Internal, e.to_string()))?;
    let json_length = tensors.iter().any(|(_, binary)| *binary).then_some(bytes.len());
    for (tensor, _) in tensors.iter().filter(|(_, binary)| *binary) {
        bytes.extend_from_slice(&tensor.data);
    }
    Ok(Encoded { bytes, json_length })
}
