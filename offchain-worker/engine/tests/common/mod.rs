//! Tiny ONNX models, encoded by hand, and the engine that runs them.
#![allow(dead_code)]

use llmesh_engine::{Engine, EngineConfig, Executor, ModelRef, ModelStore, RunRequest};
use llmesh_primitives::{Dim, ElementType, ModelSignature, Tensor, TensorSpec, Tensors};
use std::{path::PathBuf, sync::Arc};

/// A protobuf message under construction.
#[derive(Clone, Default)]
pub struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.0.push(n as u8 & 0x7f | 0x80);
            n >>= 7;
        }
        self.0.push(n as u8);
    }

    pub fn number(mut self, field: u64, n: u64) -> Self {
        self.varint(field << 3);
        self.varint(n);
        self
    }

    pub fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    pub fn message(self, field: u64, message: Message) -> Self {
        self.bytes(field, &message.0)
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// ONNX's number for an element type.
pub fn onnx_type(ty: ElementType) -> u64 {
    match ty {
        ElementType::F32 => 1,
        ElementType::U8 => 2,
        ElementType::I8 => 3,
        ElementType::U16 => 4,
        ElementType::I16 => 5,
        ElementType::I32 => 6,
        ElementType::I64 => 7,
        ElementType::Bool => 9,
        ElementType::F16 => 10,
        ElementType::F64 => 11,
        ElementType::U32 => 12,
        ElementType::U64 => 13,
        ElementType::BF16 => 16,
    }
}

/// A dimension of a value: its length, or the name of an open one.
#[derive(Clone, Copy)]
pub enum Length {
    Is(u64),
    Open(&'static str),
}

pub fn value(name: &str, ty: u64, shape: &[Length]) -> Message {
    let shape = shape.iter().fold(Message::default(), |m, length| {
        let dim = match length {
            Length::Is(n) => Message::default().number(1, *n),
            Length::Open(name) => Message::default().text(2, name),
        };
        m.message(1, dim)
    });
    let tensor = Message::default().number(1, ty).message(2, shape);
    Message::default()
        .text(1, name)
        .message(2, Message::default().message(1, tensor))
}

pub fn node(operator: &str, inputs: &[&str], outputs: &[&str]) -> Message {
    let m = inputs.iter().fold(Message::default(), |m, name| m.text(1, name));
    outputs
        .iter()
        .fold(m, |m, name| m.text(2, name))
        .text(4, operator)
}

/// A whole model file.
pub fn model(nodes: &[Message], inputs: &[Message], outputs: &[Message]) -> Vec<u8> {
    let graph = nodes
        .iter()
        .fold(Message::default(), |m, n| m.message(1, n.clone()))
        .text(2, "test");
    let graph = inputs.iter().fold(graph, |m, v| m.message(11, v.clone()));
    let graph = outputs.iter().fold(graph, |m, v| m.message(12, v.clone()));
    let opset = Message::default().number(2, 21);
    Message::default()
        .number(1, 10)
        .message(7, graph)
        .message(8, opset)
        .into_bytes()
}

/// `z = x + y`, each of two floats, by way of `s`.
pub fn adder() -> Vec<u8> {
    let of = |name| value(name, 1, &[Length::Is(2)]);
    model(
        &[node("Add", &["x", "y"], &["s"]), node("Identity", &["s"], &["z"])],
        &[of("x"), of("y")],
        &[of("z")],
    )
}

/// `y = x` for any type, with an open first dimension.
pub fn identity(ty: ElementType) -> Vec<u8> {
    let of = |name| value(name, onnx_type(ty), &[Length::Open("batch"), Length::Is(2)]);
    model(&[node("Identity", &["x"], &["y"])], &[of("x")], &[of("y")])
}

pub fn spec(name: &str, element_type: ElementType, shape: &[Dim]) -> TensorSpec {
    TensorSpec {
        name: name.as_bytes().to_vec().try_into().unwrap(),
        element_type,
        shape: shape.to_vec().try_into().unwrap(),
    }
}

pub fn signature(inputs: Vec<TensorSpec>, outputs: Vec<TensorSpec>) -> ModelSignature {
    ModelSignature {
        inputs: inputs.try_into().unwrap(),
        outputs: outputs.try_into().unwrap(),
    }
}

pub fn floats(name: &str, shape: &[u32], values: &[f32]) -> Tensor {
    let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    Tensor::new(name, ElementType::F32, shape, bytes).unwrap()
}

pub fn tensors(list: impl IntoIterator<Item = Tensor>) -> Tensors {
    list.into_iter().collect::<Vec<_>>().try_into().unwrap()
}

/// What `scripts/setup` prepared. Without it these tests can not run.
pub fn variable(name: &str) -> PathBuf {
    std::env::var_os(name)
        .unwrap_or_else(|| panic!("{name} is not set: run scripts/setup, then `. scripts/env.sh`"))
        .into()
}

/// A store in a folder of its own, and an engine on it.
pub struct Bench {
    pub folder: tempfile::TempDir,
    pub engine: Engine,
}

impl Bench {
    pub fn new() -> Self {
        Self::with(EngineConfig::default())
    }

    pub fn with(config: EngineConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = ModelStore::open(folder.path().join("models")).unwrap();
        let config = EngineConfig {
            onnxruntime: Some(variable("ORT_DYLIB_PATH")),
            ..config
        };
        Self {
            engine: Engine::start(store, config).unwrap(),
            folder,
        }
    }

    /// Imports a model and refers to it by this signature.
    pub fn add(&self, bytes: &[u8], signature: ModelSignature) -> ModelRef {
        let file = self.folder.path().join("model.onnx");
        std::fs::write(&file, bytes).unwrap();
        let content_id = self.engine.store().import(&file, None).unwrap().content_id;
        ModelRef {
            content_id,
            signature: Arc::new(signature),
            probe: String::new(),
        }
    }

    pub fn add_adder(&self) -> ModelRef {
        let of = |name| spec(name, ElementType::F32, &[Dim::Fixed(2)]);
        self.add(&adder(), signature(vec![of("x"), of("y")], vec![of("z")]))
    }

    pub async fn run(
        &self,
        model: &ModelRef,
        inputs: impl IntoIterator<Item = Tensor>,
    ) -> Result<llmesh_engine::Execution, llmesh_engine::EngineError> {
        self.engine
            .execute(RunRequest::new(model.clone(), tensors(inputs)).with_probe())
            .await
    }
}
