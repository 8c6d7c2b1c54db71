//! Tensors as people write and read them.

use llmesh_primitives::{
    Dim, ElementType, ModelSignature, Tensor, TensorError, TensorSpec, tensor::byte_length,
};
use serde_json::{Value as Json, json};

/// How tensors are written on the command line.
pub const SYNTAX: &str = "NAME=TYPE:SHAPE:DATA, where SHAPE is lengths with commas and DATA is a JSON list or @FILE with \
                          raw little-endian bytes; for example x=FP32:1,3:[1,2.5,3] or bytes=INT32:1,2048:@input.bin";

/// Reads a tensor from its text form. A file named in it is read with `read`.
///
/// # Errors
/// With a sentence on what is wrong.
pub fn parse(text: &str, read: impl FnOnce(&str) -> std::io::Result<Vec<u8>>) -> Result<Tensor, String> {
    let form = || {
        format!(
            "`{}` is not a tensor: write {SYNTAX}",
            text.chars().take(80).collect::<String>()
        )
    };
    let (name, rest) = text.split_once('=').ok_or_else(form)?;
    let mut parts = rest.splitn(3, ':');
    let (Some(kind), Some(shape), Some(data)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(form());
    };
    let element_type = ElementType::from_name(&kind.to_ascii_uppercase()).ok_or_else(|| {
        let names = ElementType::ALL.map(ElementType::name).join(", ");
        format!("`{kind}` is not an element type: there are {names}")
    })?;
    let shape = shape
        .split(',')
        .filter(|d| !d.is_empty())
        .map(|d| {
            d.trim()
                .parse::<u32>()
                .map_err(|_| format!("`{d}` is not a dimension's length"))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let bytes = match data.strip_prefix('@') {
        Some(file) => read(file).map_err(|e| format!("{file}: {e}"))?,
        None => {
            let json: Json = serde_json::from_str(data)
                .map_err(|e| format!("the data of `{name}` is neither JSON ({e}) nor @FILE"))?;
            let mut bytes = Vec::new();
            flatten(&json, element_type, &mut bytes).map_err(|e| format!("the data of `{name}`: {e}"))?;
            bytes
        }
    };
    let length = bytes.len();
    Tensor::new(name, element_type, &shape, bytes).map_err(|e| match e {
        TensorError::WrongByteLength => {
            let wanted = byte_length(element_type, &shape).unwrap_or_default();
            format!(
                "`{name}` has {length} bytes of data; {} {shape:?} calls for {wanted}",
                element_type.name()
            )
        }
        e => format!("`{name}`: {e}"),
    })
}

fn flatten(json: &Json, element_type: ElementType, out: &mut Vec<u8>) -> Result<(), String> {
    match json {
        Json::Array(items) => items.iter().try_for_each(|item| flatten(item, element_type, out)),
        Json::Bool(b) => element(&Json::from(u8::from(*b)), element_type, out),
        number => element(number, element_type, out),
    }
}

fn element(value: &Json, element_type: ElementType, out: &mut Vec<u8>) -> Result<(), String> {
    let wrong = || format!("{value} is not of type {}", element_type.name());
    macro_rules! integer {
        ($t:ty) => {{
            let signed = value.as_i64().and_then(|n| <$t>::try_from(n).ok());
            let number = signed.or_else(|| value.as_u64().and_then(|n| <$t>::try_from(n).ok()));
            out.extend(number.ok_or_else(wrong)?.to_le_bytes())
        }};
    }
    let float = || value.as_f64().ok_or_else(wrong);
    match element_type {
        ElementType::Bool => match value.as_u64() {
            Some(b @ 0..=1) => out.push(b as u8),
            _ => return Err(wrong()),
        },
        ElementType::U8 => integer!(u8),
        ElementType::I8 => integer!(i8),
        ElementType::U16 => integer!(u16),
        ElementType::I16 => integer!(i16),
        ElementType::U32 => integer!(u32),
        ElementType::I32 => integer!(i32),
        ElementType::U64 => integer!(u64),
        ElementType::I64 => integer!(i64),
        ElementType::F32 => out.extend((float()? as f32).to_le_bytes()),
        ElementType::F64 => out.extend(float()?.to_le_bytes()),
        ElementType::F16 | ElementType::BF16 => {
            return Err(format!(
                "{} values are given as @FILE with raw bytes",
                element_type.name()
            ));
        }
    }
    Ok(())
}

/// A tensor's elements as numbers; half precision is widened.
pub fn elements(tensor: &Tensor) -> Vec<Json> {
    macro_rules! each {
        ($t:ty, $n:literal, $f:expr) => {
            tensor
                .data
                .as_chunks::<$n>()
                .0
                .iter()
                .map(|b| Json::from($f(<$t>::from_le_bytes(*b))))
                .collect()
        };
    }
    match tensor.element_type {
        ElementType::Bool => tensor.data.iter().map(|b| Json::from(*b != 0)).collect(),
        ElementType::U8 => tensor.data.iter().map(|b| Json::from(*b)).collect(),
        ElementType::I8 => tensor.data.iter().map(|b| Json::from(b.cast_signed())).collect(),
        ElementType::U16 => each!(u16, 2, |n| n),
        ElementType::I16 => each!(i16, 2, |n| n),
        ElementType::U32 => each!(u32, 4, |n| n),
        ElementType::I32 => each!(i32, 4, |n| n),
        ElementType::U64 => each!(u64, 8, |n| n),
        ElementType::I64 => each!(i64, 8, |n| n),
        ElementType::F16 => each!(u16, 2, half_to_f64),
        ElementType::BF16 => each!(u16, 2, |n| f64::from(f32::from_bits(u32::from(n) << 16))),
        ElementType::F32 => each!(f32, 4, f64::from),
        ElementType::F64 => each!(f64, 8, |n: f64| n),
    }
}

/// The value of an IEEE 754 binary16.
fn half_to_f64(bits: u16) -> f64 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        e => (1024.0 + fraction) * 2f64.powi(e - 25),
    }
}

/// A tensor as JSON.
pub fn to_json(tensor: &Tensor) -> Json {
    json!({
        "name": tensor.name_str(),
        "type": tensor.element_type.name(),
        "shape": tensor.shape.as_slice(),
        "data": elements(tensor),
    })
}

/// A signature as JSON: `up_to` marks dimensions that may be shorter.
pub fn signature_to_json(signature: &ModelSignature) -> Json {
    let side = |specs: &[TensorSpec]| specs.iter().map(spec_to_json).collect::<Vec<_>>();
    json!({"inputs": side(&signature.inputs), "outputs": side(&signature.outputs)})
}

fn spec_to_json(spec: &TensorSpec) -> Json {
    let dims: Vec<Json> = spec
        .shape
        .iter()
        .map(|dim| match dim {
            Dim::Fixed(n) => json!(n),
            Dim::UpTo(n) => json!({"up_to": n}),
        })
        .collect();
    json!({"name": String::from_utf8_lossy(&spec.name), "type": spec.element_type.name(), "shape": dims})
}

/// A description of a tensor in one line, like `bytes INT32 [<=1, 2048]`.
pub fn show_spec(spec: &TensorSpec) -> String {
    let dims: Vec<String> = spec
        .shape
        .iter()
        .map(|dim| match dim {
            Dim::Fixed(n) => n.to_string(),
            Dim::UpTo(n) => format!("<={n}"),
        })
        .collect();
    format!(
        "{} {} [{}]",
        String::from_utf8_lossy(&spec.name),
        spec.element_type.name(),
        dims.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_file(_: &str) -> std::io::Result<Vec<u8>> {
        Err(std::io::ErrorKind::NotFound.into())
    }

    #[test]
    fn json_and_files_are_read() {
        let tensor = parse("x=FP32:1,3:[[1, 2.5, -3]]", no_file).unwrap();
        assert_eq!((tensor.name_str(), tensor.shape.as_slice()), ("x", &[1, 3][..]));
        assert_eq!(elements(&tensor), [json!(1.0), json!(2.5), json!(-3.0)]);
        let scalar = parse("n=int64::-7", no_file).unwrap();
        assert_eq!((scalar.shape.len(), elements(&scalar)), (0, vec![json!(-7)]));
        let file = parse("b=UINT16:2:@in.bin", |path| {
            assert_eq!(path, "in.bin");
            Ok(vec![1, 0, 0, 1])
        });
        assert_eq!(elements(&file.unwrap()), [json!(1), json!(256)]);
        assert_eq!(
            elements(&parse("m=BOOL:2:[true,0]", no_file).unwrap()),
            [json!(true), json!(false)]
        );
    }

    #[test]
    fn mistakes_are_named() {
        for (text, word) in [
            ("x", "NAME="),
            ("x=FP32:1", "NAME="),
            ("x=FLOAT:1:[1]", "FP32"),
            ("x=FP32:a:[1]", "dimension"),
            ("x=FP32:2:[1]", "calls for 8"),
            ("x=UINT8:1:[256]", "256"),
            ("x=INT8:1:[1.5]", "1.5"),
            ("x=BOOL:1:[2]", "BOOL"),
            ("x=FP32:1:oops", "JSON"),
            ("x=FP32:1:@nowhere", "nowhere"),
            ("x=FP16:1:[1]", "@FILE"),
        ] {
            let error = parse(text, no_file).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn half_precision_is_widened() {
        for (bits, value) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x0001, 2f64.powi(-24)),
            (0x7bff, 65504.0),
            (0, 0.0),
        ] {
            assert_eq!(half_to_f64(bits), value, "{bits:#x}");
        }
        assert!(half_to_f64(0x7e00).is_nan() && half_to_f64(0xfc00) == f64::NEG_INFINITY);
    }
}
