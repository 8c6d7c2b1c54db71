//! A model's graph as far as finding the probe needs it: nodes, constants, outputs. Weights are stepped over.
//!
//! The bytes come from anybody, so everything is bounded: the number of nodes and names, the depth of nested graphs.
//! Names are borrowed from the file.

use crate::OnnxError;
use std::collections::{HashMap, HashSet};

/// Most nodes of a graph; real models have some ten thousand at most.
const MAX_NODES: usize = 200_000;
/// Most tensor names in a graph's nodes, initializers and outputs together.
const MAX_NAMES: usize = 2_000_000;

/// The field numbers of ONNX's messages (onnx.proto, IR version 3 and later).
mod field {
    pub const MODEL_GRAPH: u64 = 7;
    pub const GRAPH_NODE: u64 = 1;
    pub const GRAPH_INITIALIZER: u64 = 5;
    pub const GRAPH_OUTPUT: u64 = 12;
    pub const GRAPH_SPARSE_INITIALIZER: u64 = 15;
    pub const NODE_INPUT: u64 = 1;
    pub const NODE_OUTPUT: u64 = 2;
    pub const NODE_OPERATOR: u64 = 4;
    pub const NODE_ATTRIBUTE: u64 = 5;
    pub const ATTRIBUTE_NAME: u64 = 1;
    pub const ATTRIBUTE_GRAPH: u64 = 6;
    pub const ATTRIBUTE_TENSOR: u64 = 5;
    pub const TENSOR_TYPE: u64 = 2;
    pub const TENSOR_FLOATS: u64 = 4;
    pub const TENSOR_NAME: u64 = 8;
    pub const TENSOR_RAW: u64 = 9;
    pub const SPARSE_VALUES: u64 = 1;
    pub const VALUE_NAME: u64 = 1;
    pub const VALUE_TYPE: u64 = 2;
    pub const TYPE_TENSOR: u64 = 1;
    pub const TENSOR_SHAPE: u64 = 2;
    pub const SHAPE_DIM: u64 = 1;
    pub const DIM_LENGTH: u64 = 1;
}

/// A field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Iterates over a message's fields: number, value, and for [`Value::Bytes`] where they begin in the message.
#[derive(Clone)]
pub(crate) struct Fields<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Fields<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], OnnxError> {
        let bytes = usize::try_from(length)
            .ok()
            .and_then(|n| self.position.checked_add(n))
            .and_then(|end| self.bytes.get(self.position..end))
            .ok_or(OnnxError::Truncated)?;
        self.position += bytes.len();
        Ok(bytes)
    }

    fn varint(&mut self) -> Result<u64, OnnxError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.position).ok_or(OnnxError::Truncated)?;
            self.position += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(OnnxError::NotOnnx("a number in it has no end"))
    }

    fn field(&mut self) -> Result<(u64, Value<'a>), OnnxError> {
        let tag = self.varint()?;
        if tag >> 3 == 0 {
            return Err(OnnxError::NotOnnx("a field in it has no number"));
        }
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => Value::Bytes(self.take(8)?),
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Bytes(self.take(4)?),
            _ => return Err(OnnxError::NotOnnx("a field in it has an unknown kind")),
        };
        Ok((tag >> 3, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), OnnxError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.position >= self.bytes.len() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            // Nothing after a broken field makes sense.
            self.position = self.bytes.len();
        }
        Some(field)
    }
}

fn text(bytes: &[u8]) -> Result<&str, OnnxError> {
    std::str::from_utf8(bytes).map_err(|_| OnnxError::NotOnnx("a name in it is not UTF-8"))
}

/// One step of the graph.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node<'a> {
    pub operator: &'a str,
    pub inputs: Vec<&'a str>,
    pub outputs: Vec<&'a str>,
    /// The attributes as they stand in the file.
    pub attributes: Vec<&'a [u8]>,
}

impl<'a> Node<'a> {
    pub fn input(&self, n: usize) -> Option<&'a str> {
        self.inputs.get(n).copied().filter(|name| !name.is_empty())
    }

    /// The graph in the attribute of this name.
    pub fn graph(&self, name: &str) -> Option<&'a [u8]> {
        self.attributes.iter().find_map(|bytes| {
            let (mut named, mut graph) = (false, None);
            for field in Fields::new(bytes) {
                match field.ok()? {
                    (field::ATTRIBUTE_NAME, Value::Bytes(found)) => named = found == name.as_bytes(),
                    (field::ATTRIBUTE_GRAPH, Value::Bytes(found)) => graph = Some(found),
                    _ => {}
                }
            }
            graph.filter(|_| named)
        })
    }
}

/// One of the graph's outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Output<'a> {
    pub name: &'a str,
    /// Its number of elements as far as it is declared: lengths that are left open count as 1.
    pub elements: u64,
}

/// A graph, by what makes which tensor.
#[derive(Default)]
pub(crate) struct Graph<'a> {
    nodes: Vec<Node<'a>>,
    producers: HashMap<&'a str, usize>,
    constants: HashSet<&'a str>,
    pub outputs: Vec<Output<'a>>,
    names: usize,
}

impl<'a> Graph<'a> {
    /// Reads the graph of a whole model.
    pub fn of_model(model: &'a [u8]) -> Result<Self, OnnxError> {
        let mut graph = Self::default();
        for field in Fields::new(model) {
            // A message field that occurs twice is merged.
            if let (field::MODEL_GRAPH, Value::Bytes(bytes)) = field? {
                graph.read(bytes)?;
            }
        }
        if graph.outputs.is_empty() {
            return Err(OnnxError::NotOnnx("its graph is empty"));
        }
        graph.index();
        Ok(graph)
    }

    /// Reads a graph that is an attribute of a node.
    pub fn nested(bytes: &'a [u8]) -> Result<Self, OnnxError> {
        let mut graph = Self::default();
        graph.read(bytes)?;
        graph.index();
        Ok(graph)
    }

    fn read(&mut self, bytes: &'a [u8]) -> Result<(), OnnxError> {
        for field in Fields::new(bytes) {
            let (number, Value::Bytes(bytes)) = field? else {
                continue;
            };
            match number {
                field::GRAPH_NODE => {
                    let node = self.node(bytes)?;
                    if self.nodes.len() >= MAX_NODES {
                        return Err(OnnxError::NotOnnx("its graph has too many nodes"));
                    }
                    self.nodes.push(node);
                }
                field::GRAPH_INITIALIZER => self.initializer(bytes)?,
                field::GRAPH_SPARSE_INITIALIZER => {
                    for field in Fields::new(bytes) {
                        if let (field::SPARSE_VALUES, Value::Bytes(values)) = field? {
                            self.initializer(values)?;
                        }
                    }
                }
                field::GRAPH_OUTPUT => {
                    self.count_name()?;
                    self.outputs.push(output(bytes)?);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn count_name(&mut self) -> Result<(), OnnxError> {
        self.names += 1;
        if self.names > MAX_NAMES {
            return Err(OnnxError::NotOnnx("its graph has too many names"));
        }
        Ok(())
    }

    fn node(&mut self, bytes: &'a [u8]) -> Result<Node<'a>, OnnxError> {
        let mut node = Node::default();
        for field in Fields::new(bytes) {
            let (number, Value::Bytes(bytes)) = field? else {
                continue;
            };
            match number {
                field::NODE_INPUT => node.inputs.push(text(bytes)?),
                field::NODE_OUTPUT => node.outputs.push(text(bytes)?),
                field::NODE_OPERATOR => node.operator = text(bytes)?,
                field::NODE_ATTRIBUTE => node.attributes.push(bytes),
                _ => continue,
            }
            self.count_name()?;
        }
        Ok(node)
    }

    fn initializer(&mut self, bytes: &'a [u8]) -> Result<(), OnnxError> {
        for field in Fields::new(bytes) {
            if let (field::TENSOR_NAME, Value::Bytes(name)) = field? {
                self.count_name()?;
                self.constants.insert(text(name)?);
            }
        }
        Ok(())
    }

    /// Notes who makes what, and which tensors do not depend on any input. A file lists nodes in the order in which
    /// they can run, so one pass is enough.
    fn index(&mut self) {
        for (i, node) in self.nodes.iter().enumerate() {
            // A random operator has no input and is no constant, and a nested graph may use what is not listed.
            let constant = !node.operator.starts_with("Random")
                && !matches!(node.operator, "If" | "Loop" | "Scan")
                && node
                    .inputs
                    .iter()
                    .all(|name| name.is_empty() || self.constants.contains(name));
            for name in node.outputs.iter().filter(|name| !name.is_empty()) {
                self.producers.insert(name, i);
                if constant {
                    self.constants.insert(name);
                }
            }
        }
    }

    /// The node that makes the tensor; `None` for inputs and weights.
    pub fn producer(&self, name: &str) -> Option<&Node<'a>> {
        self.nodes.get(*self.producers.get(name)?)
    }

    /// Whether the tensor is the same whatever the inputs.
    pub fn is_constant(&self, name: &str) -> bool {
        self.constants.contains(name)
    }
}

/// Where the FP32 numbers of one of a model's weight tensors stand in its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FloatWeights {
    /// The tensor's name; that of the node's output for a constant.
    pub name: String,
    /// The bytes of the numbers, little-endian, in the file. Other numbers can be written there.
    pub bytes: std::ops::Range<usize>,
}

/// Finds all FP32 weights of a model's main graph: initializers, and the constants among its nodes. For tests and
/// measurements on changed models.
///
/// # Errors
/// When the bytes are not a whole ONNX model.
pub fn float_weights(model: &[u8]) -> Result<Vec<FloatWeights>, OnnxError> {
    let mut found = Vec::new();
    for field in Fields::new(model) {
        let (field::MODEL_GRAPH, Value::Bytes(graph)) = field? else {
            continue;
        };
        for field in Fields::new(graph) {
            match field? {
                (field::GRAPH_INITIALIZER, Value::Bytes(tensor)) => {
                    found.extend(float_tensor(model, tensor, "")?);
                }
                (field::GRAPH_NODE, Value::Bytes(node)) => {
                    let mut name = "";
                    for field in Fields::new(node) {
                        match field? {
                            (field::NODE_OUTPUT, Value::Bytes(output)) => name = text(output)?,
                            (field::NODE_ATTRIBUTE, Value::Bytes(attribute)) => {
                                let tensor = within(attribute, field::ATTRIBUTE_TENSOR)?;
                                found.extend(float_tensor(model, tensor, name)?);
                            }
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
            if found.len() > MAX_NODES {
                return Err(OnnxError::NotOnnx("its graph has too many weights"));
            }
        }
    }
    Ok(found)
}

fn float_tensor(model: &[u8], tensor: &[u8], outer: &str) -> Result<Option<FloatWeights>, OnnxError> {
    const FLOAT: u64 = 1;
    let (mut name, mut ty, mut numbers) = (outer, 0, None);
    for field in Fields::new(tensor) {
        match field? {
            (field::TENSOR_NAME, Value::Bytes(own)) if outer.is_empty() => name = text(own)?,
            (field::TENSOR_TYPE, Value::Number(number)) => ty = number,
            // Both are the numbers one after the other; a single unpacked one is left out.
            (field::TENSOR_RAW | field::TENSOR_FLOATS, Value::Bytes(bytes)) if bytes.len() != 4 => {
                numbers = Some(bytes);
            }
            _ => {}
        }
    }
    let Some(numbers) = numbers.filter(|bytes| ty == FLOAT && !bytes.is_empty() && bytes.len() % 4 == 0)
    else {
        return Ok(None);
    };
    // `numbers` is a part of `model`.
    let begin = numbers.as_ptr().addr() - model.as_ptr().addr();
    Ok(Some(FloatWeights {
        name: name.to_owned(),
        bytes: begin..begin + numbers.len(),
    }))
}

fn output(bytes: &[u8]) -> Result<Output<'_>, OnnxError> {
    let mut output = Output {
        name: "",
        elements: 1,
    };
    for field in Fields::new(bytes) {
        match field? {
            (field::VALUE_NAME, Value::Bytes(name)) => output.name = text(name)?,
            (field::VALUE_TYPE, Value::Bytes(ty)) => output.elements = elements(ty)?,
            _ => {}
        }
    }
    Ok(output)
}

/// The message `inner` of a message, empty when it is not there.
fn within(bytes: &[u8], inner: u64) -> Result<&[u8], OnnxError> {
    for field in Fields::new(bytes) {
        if let (number, Value::Bytes(found)) = field?
            && number == inner
        {
            return Ok(found);
        }
    }
    Ok(&[])
}

fn elements(ty: &[u8]) -> Result<u64, OnnxError> {
    let shape = within(within(ty, field::TYPE_TENSOR)?, field::TENSOR_SHAPE)?;
    let mut product = 1u64;
    for field in Fields::new(shape) {
        let (field::SHAPE_DIM, Value::Bytes(dim)) = field? else {
            continue;
        };
        for field in Fields::new(dim) {
            if let (field::DIM_LENGTH, Value::Number(length)) = field? {
                product = product.saturating_mul(length.max(1));
            }
        }
    }
    Ok(product)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn delimited(number: u64, bytes: &[u8]) -> Vec<u8> {
        assert!(number < 16 && bytes.len() < 128, "one byte each");
        let mut out = vec![(number << 3 | 2) as u8, bytes.len() as u8];
        out.extend(bytes);
        out
    }

    fn tensor(name: &str, ty: u8, field: u64, numbers: &[f32]) -> Vec<u8> {
        let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        let mut out = vec![(field::TENSOR_TYPE << 3) as u8, ty];
        out.extend(delimited(field, &bytes));
        out.extend(delimited(field::TENSOR_NAME, name.as_bytes()));
        out
    }

    /// `y` out of `x`, a weight `w`, and a constant `c`; the graph in two pieces.
    fn model() -> Vec<u8> {
        let constant = delimited(
            field::ATTRIBUTE_TENSOR,
            &tensor("", 1, field::TENSOR_RAW, &[5.0, 6.0]),
        );
        let node = [
            delimited(field::NODE_OUTPUT, b"c"),
            delimited(field::NODE_ATTRIBUTE, &constant),
        ]
        .concat();
        let first = [
            delimited(
                field::GRAPH_INITIALIZER,
                &tensor("w", 1, field::TENSOR_FLOATS, &[1.0, 2.0, 3.0]),
            ),
            delimited(
                field::GRAPH_INITIALIZER,
                &tensor("ids", 7, field::TENSOR_RAW, &[1.0, 2.0]),
            ),
        ]
        .concat();
        let second = [
            delimited(field::GRAPH_NODE, &node),
            delimited(field::GRAPH_OUTPUT, &delimited(field::VALUE_NAME, b"c")),
        ]
        .concat();
        [
            delimited(field::MODEL_GRAPH, &first),
            delimited(field::MODEL_GRAPH, &second),
        ]
        .concat()
    }

    #[test]
    fn weights_are_found_where_they_stand() {
        let model = model();
        let found = float_weights(&model).unwrap();
        let numbers = |w: &FloatWeights| -> Vec<f32> {
            let bytes = model[w.bytes.clone()].as_chunks::<4>().0;
            bytes.iter().map(|b| f32::from_le_bytes(*b)).collect()
        };
        let read: Vec<(&str, Vec<f32>)> = found.iter().map(|w| (w.name.as_str(), numbers(w))).collect();
        assert_eq!(read, [("w", vec![1.0, 2.0, 3.0]), ("c", vec![5.0, 6.0])]);
    }

    #[test]
    fn pieces_of_a_graph_are_one_graph() {
        let model = model();
        let graph = Graph::of_model(&model).unwrap();
        assert!(graph.is_constant("w") && graph.is_constant("c") && !graph.is_constant("x"));
        assert_eq!(
            graph.outputs,
            [Output {
                name: "c",
                elements: 1
            }]
        );
        assert!(graph.producer("c").is_some() && graph.producer("w").is_none());
    }

    proptest! {
        #[test]
        fn damaged_models_never_panic(at: usize, byte: u8, cut: usize) {
            let mut model = model();
            let at = at % model.len();
            model[at] = byte;
            for end in [model.len(), cut % model.len()] {
                let part = &model[..end];
                let _ = Graph::of_model(part);
                for weights in float_weights(part).unwrap_or_default() {
                    prop_assert!(weights.bytes.end <= part.len() && weights.bytes.len().is_multiple_of(4));
                }
            }
        }
    }
}
