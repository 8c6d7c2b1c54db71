//! Events in a form that can be shown and searched without knowing their types.

use serde_json::{Map, Value as Json};
use subxt::ext::scale_value::{Composite, Primitive, Value, ValueDef};

/// An event of the chain.
#[derive(Clone, Debug, PartialEq)]
pub struct ChainEvent {
    pub pallet: String,
    pub name: String,
    /// The fields by name. Amounts, and numbers that JSON can not hold exactly, are decimal strings; bytes are hex
    /// strings; variants with fields are objects with one key.
    pub fields: Json,
}

impl ChainEvent {
    /// A field that is a number.
    pub fn number(&self, field: &str) -> Option<u128> {
        match self.fields.get(field)? {
            Json::Number(n) => n.as_u64().map(u128::from),
            Json::String(s) => s.parse().ok(),
            _ => None,
        }
    }
}

/// Turns values into JSON. `T` is what is known of each value's type; amounts are always decimal strings, other numbers
/// only when JSON can not hold them exactly.
pub(crate) struct ToJson<'a, T> {
    pub is_amount: &'a dyn Fn(&T) -> bool,
}

const LARGEST_EXACT: u128 = 1 << 53;

impl<T> ToJson<'_, T> {
    pub fn composite(&self, composite: &Composite<T>) -> Json {
        match composite {
            Composite::Named(fields) => Json::Object(
                fields
                    .iter()
                    .map(|(name, value)| (name.clone(), self.value(value)))
                    .collect(),
            ),
            Composite::Unnamed(values) => {
                if let Some(bytes) = as_bytes(values) {
                    return Json::String(format!("0x{}", hex::encode(bytes)));
                }
                match values.as_slice() {
                    // A newtype is shown as what it wraps.
                    [single] => self.value(single),
                    values => Json::Array(values.iter().map(|v| self.value(v)).collect()),
                }
            }
        }
    }

    pub fn value(&self, value: &Value<T>) -> Json {
        match &value.value {
            ValueDef::Composite(composite) => self.composite(composite),
            ValueDef::Variant(variant) if variant.values.is_empty() => Json::String(variant.name.clone()),
            ValueDef::Variant(variant) => {
                let mut object = Map::new();
                object.insert(variant.name.clone(), self.composite(&variant.values));
                Json::Object(object)
            }
            ValueDef::BitSequence(bits) => Json::Array(bits.iter().map(Json::Bool).collect()),
            ValueDef::Primitive(primitive) => match primitive {
                Primitive::Bool(b) => Json::Bool(*b),
                Primitive::Char(c) => Json::String(c.to_string()),
                Primitive::String(s) => Json::String(s.clone()),
                Primitive::U128(n) if *n < LARGEST_EXACT && !(self.is_amount)(&value.context) => {
                    Json::from(*n as u64)
                }
                Primitive::U128(n) => Json::String(n.to_string()),
                Primitive::I128(n) => {
                    i64::try_from(*n).map_or_else(|_| Json::String(n.to_string()), Json::from)
                }
                Primitive::U256(bytes) | Primitive::I256(bytes) => {
                    Json::String(format!("0x{}", hex::encode(bytes)))
                }
            },
        }
    }
}

fn as_bytes<T>(values: &[Value<T>]) -> Option<Vec<u8>> {
    if values.len() < 2 {
        return None;
    }
    values
        .iter()
        .map(|v| v.as_u128().and_then(|n| u8::try_from(n).ok()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_plain_json() {
        let value = Value::named_composite([
            ("job", Value::u128(7)),
            ("fee", Value::u128(10_000_000_000_000_000_000)),
            ("host", Value::unnamed_composite([Value::from_bytes([1, 2, 3])])),
            (
                "outcome",
                Value::unnamed_variant("Failed", [Value::unnamed_variant("ModelError", [])]),
            ),
        ]);
        let expected = serde_json::json!({
            "job": 7, "fee": "10000000000000000000", "host": "0x010203", "outcome": {"Failed": "ModelError"}
        });
        assert_eq!(
            ToJson {
                is_amount: &|()| false
            }
            .value(&value),
            expected
        );
        assert_eq!(
            ToJson {
                is_amount: &|()| true
            }
            .value(&Value::u128(7)),
            serde_json::json!("7")
        );
        let event = ChainEvent {
            pallet: "Jobs".into(),
            name: "Drawn".into(),
            fields: expected,
        };
        assert_eq!(event.number("job"), Some(7));
        assert_eq!(event.number("fee"), Some(10_000_000_000_000_000_000));
        assert_eq!(event.number("host"), None);
    }
}
