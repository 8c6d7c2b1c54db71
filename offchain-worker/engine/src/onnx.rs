//! Just enough of the ONNX file format to tell a whole model from anything else, without loading it.
//!
//! An ONNX file is one protobuf message, `ModelProto`. This walks its structure by seeking: weights are skipped, never
//! read. It also refuses models that keep weights in other files, since only the one file has a content id.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

/// Why a file is not a model that can be served.
#[derive(Debug, thiserror::Error)]
pub enum OnnxError {
    /// The file does not have the structure of an ONNX model.
    #[error("this is not an ONNX model: {0}")]
    NotOnnx(&'static str),
    /// The structure breaks off at the end of the file.
    #[error("the ONNX model is truncated: fetch the whole file again")]
    Truncated,
    /// Weights are in files beside it.
    #[error("the ONNX model keeps weights in other files: save it as one file")]
    ExternalData,
    /// The file can not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What the walk found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OnnxSummary {
    pub ir_version: u64,
    pub nodes: usize,
    pub inputs: usize,
    pub outputs: usize,
    pub initializers: usize,
}

/// Field numbers of the messages that are looked into.
mod field {
    pub const MODEL_IR_VERSION: u64 = 1;
    pub const MODEL_GRAPH: u64 = 7;
    pub const MODEL_OPSET: u64 = 8;
    pub const GRAPH_NODE: u64 = 1;
    pub const GRAPH_INITIALIZER: u64 = 5;
    pub const GRAPH_INPUT: u64 = 11;
    pub const GRAPH_OUTPUT: u64 = 12;
    pub const TENSOR_EXTERNAL_DATA: u64 = 13;
    pub const TENSOR_DATA_LOCATION: u64 = 14;
}

/// Walks the file from its start.
///
/// # Errors
/// When it is not a whole ONNX model in one file.
pub fn summarise(file: &mut (impl Read + Seek)) -> Result<OnnxSummary, OnnxError> {
    let end = file.seek(SeekFrom::End(0))?;
    file.rewind()?;
    let mut walk = Walk {
        reader: BufReader::new(file),
        position: 0,
    };
    let mut summary = OnnxSummary::default();
    let (mut opsets, mut graphs) = (0usize, 0usize);
    if end == 0 {
        return Err(OnnxError::NotOnnx("the file is empty"));
    }
    while walk.position < end {
        let started = graphs > 0 || summary.ir_version > 0;
        let broken = |e| match e {
            // Nothing recognisable came before: rather another kind of file than a cut one.
            OnnxError::Truncated if !started => OnnxError::NotOnnx("its first bytes are no ONNX header"),
            e => e,
        };
        let (number, value) = walk.field(end).map_err(broken)?;
        match (number, value) {
            (field::MODEL_IR_VERSION, Value::Number(version)) => summary.ir_version = version,
            (field::MODEL_GRAPH, Value::Message(until)) => {
                graphs += 1;
                walk.graph(until, &mut summary)?;
            }
            (field::MODEL_OPSET, Value::Message(until)) => {
                opsets += 1;
                walk.skip_to(until)?;
            }
            (_, Value::Message(until)) => walk.skip_to(until)?,
            (_, Value::Number(_)) => {}
        }
    }
    // The graph is a large field in the middle: without it, and without the operator set that follows, the file is cut.
    match (summary.ir_version, graphs, opsets) {
        (0, _, _) => Err(OnnxError::NotOnnx("it has no format version")),
        (_, 0, _) | (_, _, 0) => Err(OnnxError::Truncated),
        _ if summary.nodes == 0 || summary.outputs == 0 => Err(OnnxError::NotOnnx("its graph is empty")),
        _ => Ok(summary),
    }
}

enum Value {
    Number(u64),
    /// A length-delimited field that ends here.
    Message(u64),
}

struct Walk<R> {
    reader: BufReader<R>,
    position: u64,
}

impl<R: Read + Seek> Walk<R> {
    fn byte(&mut self, end: u64) -> Result<u8, OnnxError> {
        if self.position >= end {
            return Err(OnnxError::Truncated);
        }
        let mut byte = [0];
        self.reader.read_exact(&mut byte)?;
        self.position += 1;
        let [byte] = byte;
        Ok(byte)
    }

    fn varint(&mut self, end: u64) -> Result<u64, OnnxError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte(end)?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(OnnxError::NotOnnx("a number in it has no end"))
    }

    fn skip_to(&mut self, until: u64) -> Result<(), OnnxError> {
        let distance = i64::try_from(until - self.position).map_err(|_| OnnxError::Truncated)?;
        self.reader.seek_relative(distance)?;
        self.position = until;
        Ok(())
    }

    fn field(&mut self, end: u64) -> Result<(u64, Value), OnnxError> {
        let tag = self.varint(end)?;
        let number = tag >> 3;
        if number == 0 {
            return Err(OnnxError::NotOnnx("a field in it has no number"));
        }
        let fixed = |walk: &mut Self, length: u64| {
            let until = walk.position + length;
            if until > end {
                Err(OnnxError::Truncated)
            } else {
                walk.skip_to(until).map(|()| Value::Number(0))
            }
        };
        let value = match tag & 7 {
            0 => Value::Number(self.varint(end)?),
            1 => fixed(self, 8)?,
            2 => {
                let length = self.varint(end)?;
                match self.position.checked_add(length) {
                    Some(until) if until <= end => Value::Message(until),
                    _ => return Err(OnnxError::Truncated),
                }
            }
            5 => fixed(self, 4)?,
            _ => return Err(OnnxError::NotOnnx("a field in it has an unknown kind")),
        };
        Ok((number, value))
    }

    fn graph(&mut self, end: u64, summary: &mut OnnxSummary) -> Result<(), OnnxError> {
        while self.position < end {
            let (number, value) = self.field(end)?;
            let Value::Message(until) = value else { continue };
            match number {
                field::GRAPH_NODE => summary.nodes += 1,
                field::GRAPH_INPUT => summary.inputs += 1,
                field::GRAPH_OUTPUT => summary.outputs += 1,
                field::GRAPH_INITIALIZER => {
                    summary.initializers += 1;
                    self.initializer(until)?;
                }
                _ => {}
            }
            self.skip_to(until)?;
        }
        Ok(())
    }

    fn initializer(&mut self, end: u64) -> Result<(), OnnxError> {
        while self.position < end {
            match self.field(end)? {
                (field::TENSOR_EXTERNAL_DATA, Value::Message(_))
                | (field::TENSOR_DATA_LOCATION, Value::Number(1)) => return Err(OnnxError::ExternalData),
                (_, Value::Message(until)) => self.skip_to(until)?,
                (_, Value::Number(_)) => {}
            }
        }
        Ok(())
    }
}

/// Appends one more graph output to a model, by name.
///
/// Protobuf merges a message field that occurs twice, so a second `graph` field with just an output adds this output to
/// the graph; its type is inferred when the model is loaded.
pub(crate) fn append_output(model: &mut Vec<u8>, name: &str) {
    let value_info = delimited(1, name.as_bytes());
    let graph = delimited(field::GRAPH_OUTPUT, &value_info);
    model.extend(delimited(field::MODEL_GRAPH, &graph));
}

fn delimited(number: u64, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 12);
    for mut value in [number << 3 | 2, bytes.len() as u64] {
        while value >= 0x80 {
            out.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
    }
    out.extend_from_slice(bytes);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    fn minimal() -> Vec<u8> {
        let node = delimited(4, b"Identity");
        let mut graph = delimited(field::GRAPH_NODE, &node);
        graph.extend(delimited(field::GRAPH_INITIALIZER, &delimited(9, &[7; 64])));
        graph.extend(delimited(field::GRAPH_OUTPUT, &delimited(1, b"y")));
        let mut model = vec![field::MODEL_IR_VERSION as u8 * 8, 10];
        model.extend(delimited(field::MODEL_GRAPH, &graph));
        model.extend(delimited(field::MODEL_OPSET, &[0x10, 0x15]));
        model
    }

    #[test]
    fn a_whole_model_is_accepted() {
        let summary = summarise(&mut Cursor::new(minimal())).unwrap();
        assert_eq!(
            summary,
            OnnxSummary {
                ir_version: 10,
                nodes: 1,
                inputs: 0,
                outputs: 1,
                initializers: 1
            }
        );
    }

    #[test]
    fn every_truncation_is_refused() {
        let model = minimal();
        for n in 0..model.len() {
            let cut = model[..n].to_vec();
            assert!(
                summarise(&mut Cursor::new(cut)).is_err(),
                "{n} of {} bytes",
                model.len()
            );
        }
        assert!(matches!(
            summarise(&mut Cursor::new(model[..20].to_vec())),
            Err(OnnxError::Truncated)
        ));
    }

    #[test]
    fn external_weights_are_refused() {
        let mut graph = delimited(field::GRAPH_INITIALIZER, &[14 << 3, 1]);
        graph.extend(delimited(field::GRAPH_NODE, b""));
        let mut model = vec![8, 10];
        model.extend(delimited(field::MODEL_GRAPH, &graph));
        assert!(matches!(
            summarise(&mut Cursor::new(model)),
            Err(OnnxError::ExternalData)
        ));
    }

    #[test]
    fn other_files_are_refused() {
        for other in [
            &b""[..],
            b"\x89PNG\r\n\x1a\n",
            b"#!/bin/sh\necho hello\n",
            b"{\"a\": 1}",
        ] {
            assert!(
                matches!(
                    summarise(&mut Cursor::new(other.to_vec())),
                    Err(OnnxError::NotOnnx(_))
                ),
                "{other:?}"
            );
        }
    }

    #[test]
    fn an_appended_output_is_seen() {
        let mut model = minimal();
        append_output(&mut model, "logits");
        assert_eq!(summarise(&mut Cursor::new(model)).unwrap().outputs, 2);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = summarise(&mut Cursor::new(bytes));
        }

        #[test]
        fn damaged_models_never_panic(at in 0usize..100, byte: u8) {
            let mut model = minimal();
            let at = at % model.len();
            model[at] = byte;
            let _ = summarise(&mut Cursor::new(model));
        }
    }
}
