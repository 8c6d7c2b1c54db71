//! From a model file to what the chain publishes.

use llmesh_chain::H256;
use llmesh_engine::Imported;
use llmesh_primitives::{ModelManifest, ModelSignature, OriginFormat, RuntimeClass, SemVer};
use sp_runtime::Perbill;
use std::str::FromStr;

/// What an author says about a model, beside what the file says itself.
#[derive(Clone, Debug)]
pub struct Declared {
    pub origin: OriginFormat,
    pub probe: String,
    pub tolerance: Perbill,
    pub complexity: u64,
    pub base_price: u128,
    pub licence: String,
    pub runtime_class: RuntimeClass,
}

/// Puts a manifest together.
///
/// # Errors
/// When a text is longer than the chain carries, or the signature makes no sense.
pub fn build(
    imported: &Imported,
    signature: ModelSignature,
    declared: &Declared,
) -> Result<ModelManifest, String> {
    if !signature.is_well_formed() {
        return Err("the model's inputs and outputs can not be published: each needs a name of its own and dimensions \
                    above zero"
            .into());
    }
    Ok(ModelManifest {
        content_id: H256::from(imported.content_id.0),
        size: imported.size,
        origin: declared.origin,
        signature,
        probe: declared
            .probe
            .as_bytes()
            .to_vec()
            .try_into()
            .map_err(|_| format!("the probe's name `{}` is longer than 64 bytes", declared.probe))?,
        runtime_class: declared.runtime_class,
        tolerance: declared.tolerance,
        complexity: declared.complexity,
        base_price: declared.base_price,
        licence: declared
            .licence
            .as_bytes()
            .to_vec()
            .try_into()
            .map_err(|_| format!("the licence `{}` is longer than 64 bytes", declared.licence))?,
    })
}

/// A model's name on the command line: `namespace/name`, perhaps with `@1.2.0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelArg {
    pub name: String,
    pub version: Option<SemVer>,
}

impl std::fmt::Display for ModelArg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.version {
            Some(version) => write!(f, "{}@{version}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl FromStr for ModelArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, version) = match text.split_once('@') {
            Some((name, version)) => (name, Some(version.parse().map_err(str::to_owned)?)),
            None => (text, None),
        };
        namespace(name)?;
        Ok(Self {
            name: name.into(),
            version,
        })
    }
}

/// The namespace of a model's name.
///
/// # Errors
/// When the name is not of the form `namespace/name`.
pub fn namespace(name: &str) -> Result<&str, String> {
    match name.split_once('/') {
        Some((namespace, rest)) if !namespace.is_empty() && !rest.is_empty() && !rest.contains('/') => {
            Ok(namespace)
        }
        _ => Err(format!(
            "`{name}` is not a model's name: write namespace/name, like google/magika"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read() {
        let magika = ModelArg::from_str("google/magika@1.0.3").unwrap();
        assert_eq!(
            magika.version,
            Some(SemVer {
                major: 1,
                minor: 0,
                patch: 3
            })
        );
        assert_eq!(magika.to_string(), "google/magika@1.0.3");
        assert_eq!(ModelArg::from_str("google/magika").unwrap().version, None);
        for bad in [
            "magika",
            "/magika",
            "google/",
            "a/b/c",
            "google/magika@1.0",
            "google/magika@",
        ] {
            assert!(ModelArg::from_str(bad).is_err(), "{bad}");
        }
    }
}
