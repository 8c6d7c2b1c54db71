//! A tensor's elements between JSON text and little-endian bytes. Pure.
//!
//! Integers are read and written digit by digit, never by way of floating point. Floating point values are read to
//! the nearest value of the tensor's own type (no detour over binary64) and written as the shortest text that reads
//! back as the same value. JSON has no infinities and no NaN: they are the strings `"Infinity"`, `"-Infinity"` and
//! `"NaN"` in both directions, as in the JSON form of protocol buffers. FP16 and BF16 have no JSON form, as the Open
//! Inference Protocol has it.

use llmesh_primitives::{ElementType, tensor::MAX_RANK};
use serde::{Serialize, Serializer, ser::SerializeSeq};

/// Whether values of this type can be written in JSON.
pub fn has_json_form(element_type: ElementType) -> bool {
    !matches!(element_type, ElementType::F16 | ElementType::BF16)
}

/// Reads `data`, a JSON value whose syntax was checked, as the elements of a tensor: a flat list, or lists nested as
/// the shape has it; for a scalar the value alone will do.
///
/// Nothing is allocated beyond what text and shape both call for.
///
/// # Errors
/// With the end of a sentence that begins with the tensor's name.
pub fn parse(data: &str, element_type: ElementType, shape: &[u32]) -> Result<Vec<u8>, String> {
    if !has_json_form(element_type) {
        return Err(format!(
            "has type {}, which has no JSON form: send it as binary data",
            element_type.name()
        ));
    }
    let expected = shape
        .iter()
        .try_fold(1usize, |n, d| n.checked_mul(usize::try_from(*d).ok()?))
        .ok_or("has a shape whose size overflows")?;
    // Each element takes at least one byte of text and each but the last a comma.
    if expected > data.len() {
        return Err(too_few(expected, shape));
    }
    let mut reader = Reader {
        text: data,
        at: 0,
        element_type,
        shape,
        expected,
        found: 0,
        depth: 0,
        counts: [0; MAX_RANK as usize + 1],
        nested: None,
        out: Vec::with_capacity(expected.saturating_mul(element_type.size() as usize)),
    };
    reader.run()?;
    Ok(reader.out)
}

fn too_few(expected: usize, shape: &[u32]) -> String {
    format!("has fewer than the {expected} elements that shape {shape:?} calls for")
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    element_type: ElementType,
    shape: &'a [u32],
    expected: usize,
    found: usize,
    /// Lists that are open.
    depth: usize,
    /// Items so far of each open list.
    counts: [usize; MAX_RANK as usize + 1],
    /// Whether the lists follow the shape; known at the first element.
    nested: Option<bool>,
    out: Vec<u8>,
}

impl Reader<'_> {
    fn run(&mut self) -> Result<(), String> {
        while let Some(byte) = self.text.as_bytes().get(self.at).copied() {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' | b',' => self.at = self.at.saturating_add(1),
                b'[' => {
                    self.open()?;
                    self.at = self.at.saturating_add(1);
                }
                b']' => {
                    self.close()?;
                    self.at = self.at.saturating_add(1);
                }
                _ => self.element()?,
            }
        }
        if self.found < self.expected {
            return Err(too_few(self.expected, self.shape));
        }
        Ok(())
    }

    fn open(&mut self) -> Result<(), String> {
        // A scalar's value may stand in a list of its own.
        let deepest = self.shape.len().max(1);
        if self.depth >= deepest || self.nested == Some(false) {
            return Err(self.misshapen());
        }
        self.count()?;
        self.depth = self.depth.saturating_add(1);
        if let Some(count) = self.counts.get_mut(self.depth) {
            *count = 0;
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        let count = self.counts.get(self.depth).copied().unwrap_or_default();
        let wanted = self
            .depth
            .checked_sub(1)
            .and_then(|dimension| self.shape.get(dimension))
            .map(|d| *d as usize);
        let fits = match self.nested {
            Some(true) => wanted == Some(count),
            Some(false) => true,
            // No element yet: only a tensor without elements can have an empty list.
            None => self.expected == 0,
        };
        if !fits {
            return Err(self.misshapen());
        }
        self.depth = self.depth.saturating_sub(1);
        Ok(())
    }

    /// Counts an item of the list that is open.
    fn count(&mut self) -> Result<(), String> {
        let shape = self.shape;
        match self.counts.get_mut(self.depth) {
            Some(count) => *count = count.saturating_add(1),
            None => return Err(format!("has lists that are deeper than shape {shape:?}")),
        }
        Ok(())
    }

    fn misshapen(&self) -> String {
        format!(
            "has data that are neither a flat list nor nested as shape {:?} has it",
            self.shape
        )
    }

    fn element(&mut self) -> Result<(), String> {
        let nested = match self.nested {
            Some(nested) => nested,
            None => *self
                .nested
                .insert(self.shape.len() > 1 && self.depth == self.shape.len()),
        };
        let depth_fits = if nested {
            self.depth == self.shape.len()
        } else {
            self.depth == 1 || (self.depth == 0 && self.shape.is_empty())
        };
        if !depth_fits {
            return Err(self.misshapen());
        }
        if self.found >= self.expected {
            return Err(format!(
                "has more than the {} elements that shape {:?} calls for",
                self.expected, self.shape
            ));
        }
        self.count()?;
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length = if rest.starts_with('"') {
            // The syntax was checked: a quote ends it. A string with an escape in it is none of ours anyway.
            rest.get(1..)
                .and_then(|inner| inner.find('"'))
                .map_or(rest.len(), |n| n.saturating_add(2))
        } else {
            rest.find([',', ']', '}', ' ', '\t', '\n', '\r', '['])
                .unwrap_or(rest.len())
                .max(1)
        };
        let token = rest.get(..length).unwrap_or(rest);
        self.value(token).ok_or_else(|| {
            format!(
                "has the element {} at position {}, which is not of type {}",
                token.chars().take(40).collect::<String>(),
                self.found,
                self.element_type.name()
            )
        })?;
        self.found = self.found.saturating_add(1);
        self.at = self.at.saturating_add(token.len());
        Ok(())
    }

    fn value(&mut self, token: &str) -> Option<()> {
        macro_rules! integer {
            ($t:ty) => {
                self.out.extend(token.parse::<$t>().ok()?.to_le_bytes())
            };
        }
        macro_rules! float {
            ($t:ty) => {{
                let value = match token {
                    "\"NaN\"" => <$t>::NAN,
                    "\"Infinity\"" => <$t>::INFINITY,
                    "\"-Infinity\"" => <$t>::NEG_INFINITY,
                    // A number that only rounds to infinity is out of the type's range. Words like `inf`, which Rust
                    // would read, are no JSON and can not come here, but may not depend on that.
                    number if number.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => {
                        number.parse::<$t>().ok().filter(|v| v.is_finite())?
                    }
                    _ => return None,
                };
                self.out.extend(value.to_le_bytes())
            }};
        }
        match self.element_type {
            ElementType::Bool => self.out.push(match token {
                "true" | "1" => 1,
                "false" | "0" => 0,
                _ => return None,
            }),
            ElementType::U8 => integer!(u8),
            ElementType::I8 => integer!(i8),
            ElementType::U16 => integer!(u16),
            ElementType::I16 => integer!(i16),
            ElementType::U32 => integer!(u32),
            ElementType::I32 => integer!(i32),
            ElementType::U64 => integer!(u64),
            ElementType::I64 => integer!(i64),
            ElementType::F32 => float!(f32),
            ElementType::F64 => float!(f64),
            ElementType::F16 | ElementType::BF16 => return None,
        }
        Some(())
    }
}

/// A tensor's bytes that serialise as a flat list of its elements.
#[derive(Clone, Copy, Debug)]
pub struct Elements<'a> {
    pub element_type: ElementType,
    /// Little-endian.
    pub data: &'a [u8],
}

impl Serialize for Elements<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let count = self.data.len() / self.element_type.size() as usize;
        let mut list = serializer.serialize_seq(Some(count))?;
        macro_rules! each {
            ($t:ty) => {
                for bytes in self.data.as_chunks::<{ size_of::<$t>() }>().0 {
                    list.serialize_element(&<$t>::from_le_bytes(*bytes))?;
                }
            };
        }
        macro_rules! float {
            ($t:ty) => {
                for bytes in self.data.as_chunks::<{ size_of::<$t>() }>().0 {
                    let value = <$t>::from_le_bytes(*bytes);
                    if value.is_finite() {
                        list.serialize_element(&value)?;
                    } else if value.is_nan() {
                        list.serialize_element("NaN")?;
                    } else if value > 0.0 {
                        list.serialize_element("Infinity")?;
                    } else {
                        list.serialize_element("-Infinity")?;
                    }
                }
            };
        }
        match self.element_type {
            ElementType::Bool => {
                for byte in self.data {
                    list.serialize_element(&(*byte != 0))?;
                }
            }
            ElementType::U8 => each!(u8),
            ElementType::I8 => each!(i8),
            ElementType::U16 => each!(u16),
            ElementType::I16 => each!(i16),
            ElementType::U32 => each!(u32),
            ElementType::I32 => each!(i32),
            ElementType::U64 => each!(u64),
            ElementType::I64 => each!(i64),
            ElementType::F32 => float!(f32),
            ElementType::F64 => float!(f64),
            ElementType::F16 | ElementType::BF16 => {
                return Err(serde::ser::Error::custom("half precision has no JSON form"));
            }
        }
        list.end()
    }
}
