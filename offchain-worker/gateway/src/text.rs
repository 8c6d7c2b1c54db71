//! How amounts, bytes and versions are written in JSON.

use llmesh_primitives::{Priority, SemVer};
use serde::{Deserialize, Deserializer, Serializer, de::Error};
use sp_runtime::Perbill;

/// A sum in planck as a decimal string: JSON numbers lose digits beyond 2^53.
pub(crate) mod planck {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(amount: &u128, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(amount)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<u128, D::Error> {
        parse_planck(&std::borrow::Cow::<str>::deserialize(d)?).map_err(D::Error::custom)
    }
}

pub(crate) mod optional_planck {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(amount: &Option<u128>, s: S) -> Result<S::Ok, S::Error> {
        match amount {
            Some(amount) => s.collect_str(amount),
            None => s.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<u128>, D::Error> {
        Option::<String>::deserialize(d)?
            .map(|text| parse_planck(&text).map_err(D::Error::custom))
            .transpose()
    }
}

pub(crate) fn parse_planck(text: &str) -> Result<u128, String> {
    // `u128::from_str` takes a plus sign as well; one spelling is enough.
    if text.is_empty() || text.len() > 39 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err("an amount is a decimal string in planck, like \"1500000\"".into());
    }
    text.parse().map_err(|_| "the amount is too large".into())
}

pub(crate) mod version {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(version: &SemVer, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(version)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<SemVer, D::Error> {
        String::deserialize(d)?.parse().map_err(D::Error::custom)
    }
}

pub(crate) mod versions {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(versions: &[SemVer], s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(versions.iter().map(ToString::to_string))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<SemVer>, D::Error> {
        Vec::<String>::deserialize(d)?
            .iter()
            .map(|text| text.parse().map_err(D::Error::custom))
            .collect()
    }
}

/// 32 bytes as hex with `0x`.
pub(crate) mod key {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8; 32], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&to_hex(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<[u8; 32], D::Error> {
        from_hex(&String::deserialize(d)?)
            .map_err(D::Error::custom)?
            .try_into()
            .map_err(|_| D::Error::custom("a key has 32 bytes"))
    }
}

/// A key's name as hex with `0x`.
pub(crate) mod key_id {
    use super::*;
    use llmesh_protocol::KeyId;

    pub(crate) fn serialize<S: Serializer>(id: &KeyId, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&to_hex(&id.0))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<KeyId, D::Error> {
        from_hex(&String::deserialize(d)?)
            .map_err(D::Error::custom)?
            .try_into()
            .map(KeyId)
            .map_err(|_| D::Error::custom("the name of a key has 8 bytes"))
    }
}

/// A part of one as a number from 0 to 1.
pub(crate) mod fraction {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(part: &Perbill, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_f64(f64::from(part.deconstruct()) / 1e9)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Perbill, D::Error> {
        parse_fraction(f64::deserialize(d)?).map_err(D::Error::custom)
    }
}

pub(crate) fn parse_fraction(value: f64) -> Result<Perbill, &'static str> {
    if (0.0..=1.0).contains(&value) {
        // Within 0 to 10^9, so the cast is exact after rounding.
        Ok(Perbill::from_parts((value * 1e9).round() as u32))
    } else {
        Err("a reputation is a number from 0 to 1")
    }
}

pub(crate) mod priority {
    use super::*;

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Priority, D::Error> {
        parse_priority(&String::deserialize(d)?).map_err(D::Error::custom)
    }
}

pub(crate) fn parse_priority(text: &str) -> Result<Priority, &'static str> {
    match text {
        "normal" => Ok(Priority::Normal),
        "high" => Ok(Priority::High),
        "urgent" => Ok(Priority::Urgent),
        _ => Err("a priority is \"normal\", \"high\" or \"urgent\""),
    }
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

pub(crate) fn from_hex(text: &str) -> Result<Vec<u8>, &'static str> {
    text.strip_prefix("0x")
        .and_then(|digits| hex::decode(digits).ok())
        .ok_or("bytes are written as hex with 0x")
}
