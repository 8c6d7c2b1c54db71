//! Tensors through every form that applications use, and what is refused.

use crate::{
    GatewayError, InferResponse, ModelInfo, Reason, TensorInfo,
    elements::{self, Elements, has_json_form},
    oip_body::{self, Wish, Wishes},
    tensors::{RpcOutput, RpcTensor, check_inputs},
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use llmesh_primitives::{ElementType, Receipt, SemVer, WorkOrigin, model::RuntimeClass};
use llmesh_proofs::{Place, RequestTerms, SignedReceipt};
use llmesh_protocol::{MeshTensor, MeshTensors};
use proptest::prelude::*;
use serde_json::{Value, json};
use sp_core::{H256, Pair, sr25519};
use sp_runtime::{AccountId32, MultiSignature};

fn receipt() -> SignedReceipt {
    let pair = sr25519::Pair::from_seed(&[7; 32]);
    let sign = |bytes: &[u8]| MultiSignature::Sr25519(pair.sign(bytes));
    let host = AccountId32::new([9; 32]);
    let terms = RequestTerms {
        genesis: H256::zero(),
        place: Place {
            channel: 1,
            epoch: 0,
            lane: 0,
            sequence: 1,
        },
        client: host.clone(),
        model: H256::zero(),
        version: 1,
        input_hash: H256::zero(),
        max_price: 1,
        host: host.clone(),
        expires_at: 1,
        salt: [0; 16],
    };
    let receipt = Receipt {
        origin: WorkOrigin::Request {
            channel: 1,
            epoch: 0,
            lane: 0,
            sequence: 1,
            request: terms.id(),
        },
        model: H256::zero(),
        runtime_class: RuntimeClass::CpuFloat,
        input_hash: H256::zero(),
        output_hash: H256::zero(),
        probe_hash: None,
        units: 1,
        fee: 1,
    };
    SignedReceipt::new(receipt, host, terms.signed(sign), sign)
}

fn response(outputs: Vec<MeshTensor>) -> InferResponse {
    InferResponse {
        outputs: MeshTensors::new(outputs).unwrap(),
        receipt: receipt(),
        host: AccountId32::new([9; 32]),
        price: u128::MAX,
        request_id: H256::repeat_byte(3),
        path_length: 2,
        attempts: 1,
    }
}

fn model() -> ModelInfo {
    ModelInfo {
        name: "test/model".into(),
        version: SemVer::default(),
        versions: vec![SemVer::default()],
        content_id: H256::zero(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        hosts: 1,
        price: None,
    }
}

/// A tensor of any type with a small shape and any bytes (0 and 1 for BOOL).
fn any_tensor() -> impl Strategy<Value = MeshTensor> {
    (
        prop::sample::select(ElementType::ALL.to_vec()),
        prop::collection::vec(0u32..5, 0..4),
    )
        .prop_flat_map(|(element_type, shape)| {
            let bytes = shape.iter().product::<u32>() * element_type.size();
            (
                Just(element_type),
                Just(shape),
                prop::collection::vec(any::<u8>(), bytes as usize),
            )
        })
        .prop_map(|(element_type, shape, mut data)| {
            if element_type == ElementType::Bool {
                data.iter_mut().for_each(|b| *b &= 1);
            }
            MeshTensor::new("x", element_type, &shape, data).unwrap()
        })
}

/// Whether the bytes are the same, or stand for NaN on both sides: JSON does not keep a NaN's payload.
fn same(element_type: ElementType, a: &[u8], b: &[u8]) -> bool {
    let size = element_type.size() as usize;
    a.len() == b.len()
        && a.chunks(size).zip(b.chunks(size)).all(|(a, b)| {
            a == b
                || match element_type {
                    ElementType::F32 => [a, b]
                        .iter()
                        .all(|x| f32::from_le_bytes((*x).try_into().unwrap()).is_nan()),
                    ElementType::F64 => [a, b]
                        .iter()
                        .all(|x| f64::from_le_bytes((*x).try_into().unwrap()).is_nan()),
                    _ => false,
                }
        })
}

fn flat(tensor: &MeshTensor) -> String {
    serde_json::to_string(&Elements {
        element_type: tensor.element_type,
        data: &tensor.data,
    })
    .unwrap()
}

/// The flat list as lists within lists.
fn nest(items: &[Value], shape: &[u32]) -> Value {
    match shape {
        [] => items[0].clone(),
        [_] => Value::from(items.to_vec()),
        [first, rest @ ..] => {
            let size = items.len() / (*first).max(1) as usize;
            (0..*first as usize)
                .map(|i| nest(&items[i * size..(i + 1) * size], rest))
                .collect()
        }
    }
}

fn rpc(json: &str) -> Result<MeshTensor, GatewayError> {
    serde_json::from_str::<RpcTensor>(json)
        .map_err(|e| GatewayError::new(Reason::InvalidRequest, e.to_string()))?
        .read()
}

proptest! {
    #[test]
    fn flat_and_nested_json_give_the_same_bytes(tensor in any_tensor()) {
        prop_assume!(has_json_form(tensor.element_type));
        let text = flat(&tensor);
        let back = elements::parse(&text, tensor.element_type, &tensor.shape).unwrap();
        prop_assert!(same(tensor.element_type, &back, &tensor.data), "{text}");
        // Once more: what was read is written the same.
        let again = MeshTensor::new("x", tensor.element_type, &tensor.shape, back).unwrap();
        prop_assert_eq!(&flat(&again), &text);

        if let Value::Array(items) = serde_json::from_str(&text).unwrap() {
            // Values that `Value` does not keep exactly are not this test's matter.
            let nested = nest(&items, &tensor.shape).to_string();
            if tensor.element_type != ElementType::F32 && tensor.element_type != ElementType::F64 {
                let back = elements::parse(&nested, tensor.element_type, &tensor.shape).unwrap();
                prop_assert_eq!(back, tensor.data.to_vec(), "{}", nested);
            } else {
                prop_assert!(elements::parse(&nested, tensor.element_type, &tensor.shape).is_ok(), "{}", nested);
            }
        }
    }

    #[test]
    fn rpc_tensors_survive_json_and_base64(tensor in any_tensor(), base64 in any::<bool>()) {
        let text = serde_json::to_string(&RpcOutput::new(&tensor, base64)).unwrap();
        let back = rpc(&text).unwrap();
        prop_assert_eq!(&back.shape, &tensor.shape);
        if base64 || !has_json_form(tensor.element_type) {
            prop_assert_eq!(back, tensor);
        } else {
            prop_assert!(same(tensor.element_type, &back.data, &tensor.data));
        }
    }

    #[test]
    fn binary_bodies_keep_every_bit(tensors in prop::collection::vec((any_tensor(), any::<bool>()), 1..6)) {
        let named: Vec<(MeshTensor, bool)> = tensors
            .into_iter()
            .enumerate()
            .map(|(i, (t, binary))| {
                let binary = binary || !has_json_form(t.element_type);
                (MeshTensor::new(&format!("t{i}"), t.element_type, &t.shape, t.data.into_inner()).unwrap(), binary)
            })
            .collect();
        let wishes = Wishes {
            outputs: Some(named.iter().map(|(t, binary)| Wish { name: t.name_str().into(), binary: Some(*binary) }).collect()),
            binary: false,
        };
        let answer = response(named.iter().map(|(t, _)| t.clone()).collect());
        let written = oip_body::encode(&model(), Some("my id"), &answer, &wishes).unwrap();
        prop_assert_eq!(written.json_length.is_some(), named.iter().any(|(_, b)| *b));

        // An answer's outputs are a request's inputs, but for their name.
        let length = written.json_length.unwrap_or(written.bytes.len());
        let (json, binary) = written.bytes.split_at(length);
        let mut json: Value = serde_json::from_slice(json).unwrap();
        prop_assert_eq!(&json["id"], "my id");
        prop_assert_eq!(&json["parameters"]["price"], &u128::MAX.to_string());
        let outputs = json["outputs"].take();
        // Text, not `Value`: the elements must come through as they were written.
        let start = written.bytes.windows(10).position(|w| w == b"\"outputs\":").unwrap() + 10;
        prop_assert!(outputs.is_array());
        let text = std::str::from_utf8(&written.bytes[start..length - 1]).unwrap();
        let head = format!("{{\"id\":\"a\\\"b\",\"inputs\":{text}}}");
        let body = [head.as_bytes(), binary].concat();
        let read = oip_body::decode(&body, written.json_length.map(|_| head.len())).unwrap();
        prop_assert_eq!(read.id.as_deref(), Some("a\"b"));
        prop_assert_eq!(read.inputs.len(), named.len());
        for (read, (tensor, binary)) in read.inputs.iter().zip(&named) {
            prop_assert_eq!(&read.shape, &tensor.shape);
            prop_assert_eq!(read.element_type, tensor.element_type);
            if *binary {
                prop_assert_eq!(read, tensor);
            } else {
                prop_assert!(same(tensor.element_type, &read.data, &tensor.data));
            }
        }
    }

    #[test]
    fn every_finite_number_is_read_as_rust_reads_it(bits in any::<u64>()) {
        let (wide, narrow) = (f64::from_bits(bits), f32::from_bits(bits as u32));
        if wide.is_finite() {
            let back = elements::parse(&format!("[{wide:?}]"), ElementType::F64, &[1]).unwrap();
            prop_assert_eq!(back, wide.to_le_bytes());
            // The nearest binary32, straight from the text.
            let text = format!("{wide:?}");
            let nearest: f32 = text.parse().unwrap();
            let back = elements::parse(&text, ElementType::F32, &[]);
            if nearest.is_finite() {
                prop_assert_eq!(back.unwrap(), nearest.to_le_bytes());
            } else {
                prop_assert!(back.is_err());
            }
        }
        if narrow.is_finite() {
            let back = elements::parse(&format!("[{narrow:?}]"), ElementType::F32, &[1]).unwrap();
            prop_assert_eq!(back, narrow.to_le_bytes());
        }
    }

    #[test]
    fn integers_are_exact_or_refused(n in any::<i128>(), shift in 0u32..128) {
        let n = n >> shift;
        macro_rules! check {
            ($($t:ty => $e:ident),*) => {$(
                let read = elements::parse(&format!("[{n}]"), ElementType::$e, &[1]);
                match <$t>::try_from(n) {
                    Ok(n) => prop_assert_eq!(read.unwrap(), n.to_le_bytes()),
                    Err(_) => prop_assert!(read.is_err()),
                }
            )*};
        }
        check!(u8 => U8, i8 => I8, u16 => U16, i16 => I16, u32 => U32, i32 => I32, u64 => U64, i64 => I64);
    }

    #[test]
    fn a_wrong_length_is_refused_with_the_name(tensor in any_tensor(), more in 1usize..9, less in any::<bool>()) {
        let mut bytes = tensor.data.to_vec();
        if less {
            prop_assume!(bytes.len() >= more);
            bytes.truncate(bytes.len() - more);
        } else {
            bytes.extend(vec![0; more]);
        }
        let json = json!({
            "name": "the-tensor", "datatype": tensor.element_type.name(), "shape": tensor.shape.as_slice(),
            "bytes": BASE64.encode(&bytes),
        });
        let error = rpc(&json.to_string()).unwrap_err();
        prop_assert_eq!(error.reason, Reason::InvalidTensors);
        prop_assert!(error.message.contains("the-tensor"), "{}", error.message);

        let head = json!({"inputs": [{
            "name": "the-tensor", "datatype": tensor.element_type.name(), "shape": tensor.shape.as_slice(),
            "parameters": {"binary_data_size": bytes.len()},
        }]}).to_string();
        let error = oip_body::decode(&[head.as_bytes(), &bytes].concat(), Some(head.len())).unwrap_err();
        prop_assert!(error.message.contains("the-tensor"), "{}", error.message);
    }

    #[test]
    fn wrong_counts_and_nestings_are_refused(shape in prop::collection::vec(1u32..4, 1..4), extra in 1usize..4) {
        let count = shape.iter().product::<u32>() as usize;
        let ok: Vec<Value> = (0..count).map(Value::from).collect();
        let parse = |v: Value| elements::parse(&v.to_string(), ElementType::I32, &shape);
        prop_assert!(parse(nest(&ok, &shape)).is_ok());
        prop_assert!(parse(ok.clone().into()).is_ok());
        let more: Vec<Value> = (0..count + extra).map(Value::from).collect();
        prop_assert!(parse(more.into()).is_err());
        prop_assert!(parse(ok[1..].to_vec().into()).is_err());
        // One list too many, and one dimension that is not as the shape has it.
        prop_assert!(parse(json!([nest(&ok, &shape)])).is_err());
        let mut reversed = shape.clone();
        reversed.reverse();
        if reversed != shape {
            prop_assert!(parse(nest(&ok, &reversed)).is_err());
        }
    }

    #[test]
    fn no_bytes_bring_the_readers_down(bytes in prop::collection::vec(any::<u8>(), 0..300), length in prop::option::of(0usize..400)) {
        let _ = oip_body::decode(&bytes, length);
        let text = String::from_utf8_lossy(&bytes);
        for element_type in ElementType::ALL {
            let _ = elements::parse(&text, element_type, &[2, 2]);
        }
    }

    #[test]
    fn no_json_brings_the_readers_down(text in "[\\[\\]{},:0-9eE.\\-+ \"a-zA-Z\\\\]{0,60}", rank in 0usize..4) {
        for element_type in ElementType::ALL {
            let _ = elements::parse(&text, element_type, &[2, 1, 2][..rank.min(3)]);
        }
        let body = format!("{{\"inputs\":[{{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[2],\"data\":{text}}}]}}");
        let _ = oip_body::decode(body.as_bytes(), None);
        let _ = rpc(&format!("{{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[2],\"data\":{text}}}"));
    }
}

#[test]
fn integers_at_the_extremes() {
    let parse = |text: &str, t| elements::parse(text, t, &[1]);
    for (t, least, most, below, above) in [
        (ElementType::U8, "0", "255", "-1", "256"),
        (ElementType::I8, "-128", "127", "-129", "128"),
        (ElementType::U16, "0", "65535", "-1", "65536"),
        (ElementType::I16, "-32768", "32767", "-32769", "32768"),
        (ElementType::U32, "0", "4294967295", "-1", "4294967296"),
        (
            ElementType::I32,
            "-2147483648",
            "2147483647",
            "-2147483649",
            "2147483648",
        ),
        (
            ElementType::U64,
            "0",
            "18446744073709551615",
            "-1",
            "18446744073709551616",
        ),
        (
            ElementType::I64,
            "-9223372036854775808",
            "9223372036854775807",
            "-9223372036854775809",
            "9223372036854775808",
        ),
    ] {
        for good in [least, most] {
            let data = parse(&format!("[{good}]"), t).unwrap();
            let back = serde_json::to_string(&Elements {
                element_type: t,
                data: &data,
            })
            .unwrap();
            assert_eq!(back, format!("[{good}]"));
        }
        for bad in [below, above, "1.0", "1e0", "true", "\"1\"", "null", "\"NaN\""] {
            let error = parse(&format!("[{bad}]"), t).unwrap_err();
            assert!(
                error.contains(t.name()) && error.contains("position 0"),
                "{error}"
            );
        }
    }
    // 2^53 + 1 is not a binary64.
    assert_eq!(
        parse("[9007199254740993]", ElementType::I64).unwrap(),
        9_007_199_254_740_993i64.to_le_bytes()
    );
}

#[test]
fn floats_follow_the_rules_for_what_json_lacks() {
    let parse = |text: &str, t| elements::parse(text, t, &[3]);
    let words = "[\"NaN\", \"Infinity\", \"-Infinity\"]";
    let narrow = parse(words, ElementType::F32).unwrap();
    assert!(f32::from_le_bytes(narrow[..4].try_into().unwrap()).is_nan());
    assert_eq!(narrow[4..8], f32::INFINITY.to_le_bytes());
    assert_eq!(narrow[8..], f32::NEG_INFINITY.to_le_bytes());
    let back = serde_json::to_string(&Elements {
        element_type: ElementType::F64,
        data: &parse(words, ElementType::F64).unwrap(),
    });
    assert_eq!(back.unwrap(), "[\"NaN\",\"Infinity\",\"-Infinity\"]");

    let one = |text: &str, t| elements::parse(text, t, &[1]);
    for (text, t) in [
        ("[1e39]", ElementType::F32),
        ("[-1e39]", ElementType::F32),
        ("[1e400]", ElementType::F64),
        ("[\"inf\"]", ElementType::F64),
        ("[\"nan\"]", ElementType::F32),
        ("[NaN]", ElementType::F32),
        ("[inf]", ElementType::F32),
        ("[null]", ElementType::F32),
        ("[true]", ElementType::F64),
        ("[{}]", ElementType::F64),
        ("[1]", ElementType::F16),
        ("[1]", ElementType::BF16),
    ] {
        assert!(one(text, t).is_err(), "{text}");
    }
    assert_eq!(
        one("[3.4028234663852886e38]", ElementType::F32).unwrap(),
        f32::MAX.to_le_bytes()
    );
    assert_eq!(one("[1e-400]", ElementType::F64).unwrap(), 0f64.to_le_bytes());
    assert_eq!(one("[-0]", ElementType::F32).unwrap(), (-0f32).to_le_bytes());
    // By way of binary64 this would round twice, and up.
    assert_eq!(
        one("[1.00000017881393432617187499]", ElementType::F32).unwrap(),
        1.000_000_1f32.to_le_bytes()
    );
    for (text, byte) in [("[true]", 1), ("[false]", 0), ("[1]", 1), ("[0]", 0)] {
        assert_eq!(one(text, ElementType::Bool).unwrap(), [byte]);
    }
    for text in ["[2]", "[\"true\"]", "[-1]", "[0.0]"] {
        assert!(one(text, ElementType::Bool).is_err(), "{text}");
    }
}

#[test]
fn scalars_and_empty_tensors() {
    let parse = |text: &str, shape: &[u32]| elements::parse(text, ElementType::U8, shape);
    assert_eq!(parse("7", &[]).unwrap(), [7]);
    assert_eq!(parse("[7]", &[]).unwrap(), [7]);
    assert_eq!(parse(" [ 7 ] ", &[1]).unwrap(), [7]);
    for (text, shape) in [
        ("[[7]]", &[][..]),
        ("[]", &[]),
        ("[7,8]", &[]),
        ("7", &[1]),
        ("[]", &[1]),
        ("[[1],[]]", &[2, 1]),
        ("[[],[1]]", &[2, 1]),
        ("[1,[2]]", &[2, 1]),
        ("[[1],2]", &[2, 1]),
        ("{\"a\":1}", &[1]),
        ("\"[1]\"", &[1]),
    ] {
        assert!(parse(text, shape).is_err(), "{text} {shape:?}");
    }
    assert_eq!(parse("[]", &[0]).unwrap(), [0u8; 0]);
    assert_eq!(parse("[[],[]]", &[2, 0]).unwrap(), [0u8; 0]);
    assert!(parse("[1]", &[0]).is_err());
}

#[test]
fn sizes_are_refused_before_they_are_taken() {
    // 16 Gi elements by shape, one by data.
    let json = r#"{"name":"x","datatype":"FP64","shape":[131072,131072],"data":[1]}"#;
    let error = rpc(json).unwrap_err();
    assert_eq!(error.reason, Reason::TooLarge);
    assert!(error.message.contains("`x`"), "{}", error.message);
    // Fits the limit, but the text is short.
    let json = r#"{"name":"x","datatype":"UINT8","shape":[16000000],"data":[1]}"#;
    assert!(rpc(json).unwrap_err().message.contains("fewer than the 16000000"));
    let overflow = r#"{"name":"x","datatype":"FP64","shape":[4294967295,4294967295,4294967295],"data":[1]}"#;
    assert_eq!(rpc(overflow).unwrap_err().reason, Reason::TooLarge);
    let text = "A".repeat(100);
    let json = format!(r#"{{"name":"x","datatype":"UINT8","shape":[3],"bytes":"{text}"}}"#);
    assert!(rpc(&json).unwrap_err().message.contains("more bytes than the 3"));
}

#[test]
fn deep_lists_cost_nothing() {
    for depth in [9, 200, 100_000] {
        let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(elements::parse(&text, ElementType::I8, &[1, 1]).is_err());
        let body = format!(
            "{{\"inputs\":[{{\"name\":\"x\",\"datatype\":\"INT8\",\"shape\":[1],\"data\":{text}}}]}}"
        );
        let error = oip_body::decode(body.as_bytes(), None).unwrap_err();
        assert_eq!(error.reason, Reason::InvalidTensors, "{depth}: {error}");
        // In a field that is skipped, in one that is read, and in place of the whole.
        for body in [
            format!("{{\"other\":{text},\"inputs\":[]}}"),
            format!("{{\"parameters\":{{\"max_price\":{text}}},\"inputs\":[]}}"),
            text.clone(),
        ] {
            let _ = oip_body::decode(body.as_bytes(), None);
        }
    }
}

#[test]
fn bodies_that_are_no_requests_are_refused() {
    let ok = r#"{"inputs":[{"name":"x","datatype":"INT8","shape":[1],"data":[1]}]}"#;
    assert!(oip_body::decode(ok.as_bytes(), None).is_ok());
    assert!(oip_body::decode(ok.as_bytes(), Some(ok.len())).is_ok());
    // What the protocol's other implementations send along is skipped.
    let more = r#"{"model_name":"m","inputs":[{"name":"x","datatype":"INT8","shape":[1],"data":[1],
        "parameters":{"content_type":"np"}}],"outputs":[],"raw":{}}"#;
    assert!(oip_body::decode(more.as_bytes(), None).unwrap().outputs.is_none());

    let input = |rest: &str| format!(r#"{{"inputs":[{{"name":"x","datatype":"INT8","shape":[1]{rest}}}]}}"#);
    let seventeen = vec![r#"{"name":"x","datatype":"INT8","shape":[1],"data":[1]}"#; 17].join(",");
    for (body, word) in [
        (String::new(), "not a JSON object"),
        ("{".into(), "EOF"),
        ("{}".into(), "inputs"),
        ("[]".into(), "not a JSON object"),
        ("{\"inputs\":1}".into(), "expected a list"),
        (r#"{"inputs":[{"name":"x"}]}"#.into(), "shape"),
        (input(""), "no data"),
        (
            input(r#","parameters":{"binary_data_size":1}"#),
            "Inference-Header-Content-Length",
        ),
        (
            input(r#","data":[1],"parameters":{"binary_data_size":1}"#),
            "both",
        ),
        (
            input(r#","parameters":{"shared_memory_region":"r"}"#),
            "shared memory",
        ),
        (input(r#","data":[1]"#).replace("INT8", "BYTES"), "strings"),
        (input(r#","data":[1]"#).replace("INT8", "int8"), "unknown type"),
        (input(r#","data":[1]"#).replace("[1],", "[-1],"), "dimension"),
        (input(r#","data":[1]"#).replace("\"x\"", "\"\""), "name"),
        (
            input(r#","data":[1]"#).replace("\"x\"", &format!("\"{}\"", "x".repeat(65))),
            "name",
        ),
        (
            input(r#","data":[1]"#).replace("[1],", "[1,1,1,1,1,1,1,1,1],"),
            "more than 8",
        ),
        (format!("{{\"inputs\":[{seventeen}]}}"), "more than 16"),
        (
            ok.replace("]}]}", r#"]}],"parameters":{"max_pryce":1}}"#),
            "max_pryce",
        ),
        (
            ok.replace("]}]}", r#"]}],"parameters":{"max_price":1.5}}"#),
            "planck",
        ),
        (
            ok.replace("]}]}", r#"]}],"parameters":{"max_price":-1}}"#),
            "planck",
        ),
        (
            ok.replace("]}]}", r#"]}],"parameters":{"max_price":"+1"}}"#),
            "decimal",
        ),
        (
            ok.replace("]}]}", r#"]}],"parameters":{"priority":"top"}}"#),
            "priority",
        ),
        (
            ok.replace("]}]}", r#"]}],"parameters":{"min_reputation":1.1}}"#),
            "reputation",
        ),
        (
            ok.replace("]}]}", r#"]}],"outputs":[{"name":"y"},{"name":"y"}]}"#),
            "twice",
        ),
        (
            ok.replace(
                "]}]}",
                r#"]}],"outputs":[{"name":"y","parameters":{"classification":3}}]}"#,
            ),
            "classification",
        ),
        (
            ok.replace("]}]}", &format!(r#"]}}],"id":"{}"}}"#, "i".repeat(257))),
            "id",
        ),
    ] {
        let error = oip_body::decode(body.as_bytes(), None).unwrap_err();
        assert!(error.message.contains(word), "{body}: {}", error.message);
        assert_eq!(error.reason.http_status(), 400);
    }
    for (length, word) in [
        (ok.len() + 1, "but the body has"),
        (0, "not a JSON object"),
        (10, "EOF"),
    ] {
        let error = oip_body::decode(ok.as_bytes(), Some(length)).unwrap_err();
        assert!(error.message.contains(word), "{length}: {}", error.message);
    }
    let error = oip_body::decode(format!("{ok}tail").as_bytes(), Some(ok.len())).unwrap_err();
    assert!(error.message.contains("4 bytes more"), "{}", error.message);
    let head = input(r#","parameters":{"binary_data_size":1}"#).replace("INT8", "BOOL");
    let error = oip_body::decode(format!("{head}\u{2}").as_bytes(), Some(head.len())).unwrap_err();
    assert!(error.message.contains("BOOL"), "{}", error.message);
}

#[test]
fn parameters_are_read() {
    let body = r#"{"inputs":[],"parameters":{"max_price":"340282366920938463463374607431768211455","priority":"urgent",
        "min_reputation":0.25,"deadline_ms":1500,"binary_data_output":true},
        "outputs":[{"name":"b","parameters":{"binary_data":false}},{"name":"a"}]}"#;
    let read = oip_body::decode(body.as_bytes(), None).unwrap();
    assert_eq!(read.parameters.max_price, Some(u128::MAX));
    assert_eq!(read.parameters.priority, llmesh_primitives::Priority::Urgent);
    assert_eq!(
        read.parameters.min_reputation,
        sp_runtime::Perbill::from_percent(25)
    );
    assert_eq!(
        read.parameters.deadline,
        Some(std::time::Duration::from_millis(1500))
    );
    let wishes = Wishes {
        outputs: read.outputs,
        binary: read.parameters.binary,
    };
    assert_eq!(
        (
            wishes.binary_for("a"),
            wishes.binary_for("b"),
            wishes.binary_for("c")
        ),
        (Some(true), Some(false), None)
    );
}

#[test]
fn inputs_are_held_against_the_signature() {
    let spec = |name: &str, shape: &[i64], most: &[u32]| TensorInfo {
        name: name.into(),
        datatype: "INT8".into(),
        shape: shape.into(),
        max_shape: most.into(),
    };
    let specs = [spec("a", &[2], &[2]), spec("b", &[-1, 1], &[3, 1])];
    let t = |name: &str, shape: &[u32]| {
        let count = shape.iter().product::<u32>() as usize;
        MeshTensor::new(name, ElementType::I8, shape, vec![0; count]).unwrap()
    };
    let check = |tensors: Vec<MeshTensor>| check_inputs("test/m", &specs, tensors);
    let ordered = check(vec![t("b", &[3, 1]), t("a", &[2])]).unwrap();
    assert_eq!([ordered[0].name_str(), ordered[1].name_str()], ["a", "b"]);
    let float = MeshTensor::new("a", ElementType::F32, &[2], vec![0; 8]).unwrap();
    for (tensors, word) in [
        (vec![t("a", &[2])], "needs the input `b`"),
        (vec![t("a", &[2]), t("b", &[4, 1])], "`b` has shape [4, 1]"),
        (vec![t("a", &[2]), t("b", &[0, 1])], "`b` has shape [0, 1]"),
        (vec![t("a", &[2, 1]), t("b", &[1, 1])], "`a` has shape"),
        (vec![t("a", &[2]), t("b", &[1, 1]), t("c", &[1])], "no input `c`"),
        (
            vec![t("a", &[2]), t("b", &[1, 1]), t("a", &[2])],
            "`a` is given twice",
        ),
        (vec![float, t("b", &[1, 1])], "`a` has type FP32"),
    ] {
        let error = check(tensors).unwrap_err();
        assert!(error.message.contains(word), "{}", error.message);
    }
}
