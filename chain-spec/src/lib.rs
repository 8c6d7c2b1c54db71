//! Chain specifications: what a node needs to know to join a chain.
//!
//! The genesis state comes from the runtime's presets; this crate adds the name, the network identity and how clients
//! show an amount. The JSON files beside `Cargo.toml` are the presets in full, without the runtime's code: for reading,
//! and for seeing in a review what a change does to a genesis state. `export-chain-spec` of the node writes
//! specifications that a node can start from.

use llmesh_runtime::{
    RuntimeGenesisConfig,
    genesis_presets::{self, STAGING_PRESET},
};
use sc_service::{ChainType, GenericChainSpec, Properties};
use serde_json::Value;
use sp_genesis_builder::{DEV_RUNTIME_PRESET, LOCAL_TESTNET_RUNTIME_PRESET, PresetId};
use std::path::PathBuf;

mod spec;

pub use spec::ChainSpec;

/// A chain that is known by name.
struct Known {
    preset: &'static str,
    name: &'static str,
    id: &'static str,
    chain_type: ChainType,
}

/// The presets that [`load`] knows by name. Each has a file `<preset>.json` in this crate's folder.
pub const PRESETS: [&str; 3] = [DEV_RUNTIME_PRESET, LOCAL_TESTNET_RUNTIME_PRESET, STAGING_PRESET];

fn known(id: &str) -> Option<Known> {
    match id {
        "dev" | DEV_RUNTIME_PRESET => Some(Known {
            preset: DEV_RUNTIME_PRESET,
            name: "LLMESH Development",
            id: "llmesh_dev",
            chain_type: ChainType::Development,
        }),
        // A node without `--chain` asks for the empty name.
        "" | "local" | LOCAL_TESTNET_RUNTIME_PRESET => Some(Known {
            preset: LOCAL_TESTNET_RUNTIME_PRESET,
            name: "LLMESH Local Testnet",
            id: "llmesh_local",
            chain_type: ChainType::Local,
        }),
        STAGING_PRESET => Some(Known {
            preset: STAGING_PRESET,
            name: "LLMESH Staging",
            id: "llmesh_staging",
            chain_type: ChainType::Live,
        }),
        _ => None,
    }
}

/// The specification with the given name, or in the JSON file at the given path.
pub fn load(id: &str) -> Result<ChainSpec, String> {
    match known(id) {
        Some(known) => {
            let code = llmesh_runtime::WASM_BINARY.ok_or(
                "this node was built without the Wasm runtime: it can only use a chain specification file",
            )?;
            build(known, code)
        }
        None => GenericChainSpec::from_json_file(PathBuf::from(id)).map(ChainSpec::from),
    }
}

fn build(known: Known, code: &[u8]) -> Result<ChainSpec, String> {
    let patch = genesis_presets::get(&PresetId::from(known.preset))
        .ok_or_else(|| format!("the runtime has no genesis preset `{}`", known.preset))?;
    let patch: Value = serde_json::from_slice(&patch).map_err(|error| error.to_string())?;

    let mut config =
        serde_json::to_value(RuntimeGenesisConfig::default()).map_err(|error| error.to_string())?;
    merge(&mut config, patch.clone());
    let config = serde_json::from_value(config).map_err(|error| error.to_string())?;

    let spec = GenericChainSpec::builder(code, None)
        .with_name(known.name)
        .with_id(known.id)
        .with_chain_type(known.chain_type)
        .with_protocol_id("llmesh")
        .with_properties(properties())
        .with_genesis_config_patch(patch)
        .build();
    Ok(ChainSpec::with_genesis(spec, config, code))
}

/// Puts a patch's values over a configuration.
fn merge(base: &mut Value, patch: Value) {
    match (base, patch) {
        (Value::Object(base), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, patch) => *base = patch,
    }
}

/// How a client shows amounts and addresses.
pub fn properties() -> Properties {
    let mut properties = Properties::new();
    properties.insert("tokenSymbol".into(), "MESH".into());
    properties.insert("tokenDecimals".into(), 12.into());
    properties.insert("ss58Format".into(), 42.into());
    properties
}

/// The plain specification of a preset as JSON, without the runtime's code.
pub fn plain_without_code(preset: &str) -> Result<String, String> {
    let known = known(preset).ok_or_else(|| format!("no preset `{preset}`"))?;
    let json = build(known, &[])?.generic().as_json(false)?;
    let mut json: Value = serde_json::from_str(&json).map_err(|error| error.to_string())?;
    if let Some(genesis) = json
        .pointer_mut("/genesis/runtimeGenesis")
        .and_then(Value::as_object_mut)
    {
        genesis.remove("code");
    }
    let mut text = serde_json::to_string_pretty(&json).map_err(|error| error.to_string())?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sc_service::ChainSpec as _;
    use sp_runtime::BuildStorage;
    use std::fs;

    /// What a node writes into a new database is what anyone gets who builds the state from the specification's file.
    #[test]
    fn native_and_wasm_presets_build_the_same_state() {
        let Some(code) = llmesh_runtime::WASM_BINARY else {
            eprintln!("not checked: this build has no Wasm runtime");
            return;
        };
        for preset in PRESETS {
            let spec = build(known(preset).unwrap(), code).unwrap();
            let native = spec.build_storage().unwrap();
            let wasm = spec.generic().build_storage().unwrap();
            assert_eq!(native.top, wasm.top);
            assert!(native.children_default.is_empty() && wasm.children_default.is_empty());
        }
    }

    /// Asked for at run time: a target folder can be shared by several checkouts.
    fn manifest_dir() -> std::path::PathBuf {
        std::env::var_os("CARGO_MANIFEST_DIR")
            .expect("cargo sets it for tests")
            .into()
    }

    /// The committed files are what the runtime's presets say. After a wanted change:
    /// `LLMESH_WRITE_CHAIN_SPECS=1 cargo test -p llmesh-chain-spec`.
    #[test]
    fn committed_files_match_the_presets() {
        let write = std::env::var_os("LLMESH_WRITE_CHAIN_SPECS").is_some();
        for preset in PRESETS {
            let path = manifest_dir().join(format!("{preset}.json"));
            let expected = plain_without_code(preset).unwrap();
            if write {
                fs::write(&path, &expected).unwrap();
            }
            let found = fs::read_to_string(&path).unwrap_or_default();
            assert!(
                found == expected,
                "{preset}.json is not what the preset says: write it again with LLMESH_WRITE_CHAIN_SPECS=1"
            );
        }
    }

    #[test]
    fn every_spec_tells_clients_how_to_show_amounts() {
        for preset in PRESETS {
            let spec = build(known(preset).unwrap(), &[]).unwrap();
            let properties = spec.properties();
            assert_eq!(properties["tokenSymbol"], "MESH");
            assert_eq!(properties["tokenDecimals"], 12);
            assert_eq!(properties["ss58Format"], 42);
            assert_eq!(spec.protocol_id(), Some("llmesh"));
        }
    }

    #[test]
    fn names_and_their_short_forms_are_the_same_chain() {
        for (short, long) in [
            ("dev", "development"),
            ("local", "local_testnet"),
            ("", "local_testnet"),
        ] {
            assert_eq!(known(short).unwrap().id, known(long).unwrap().id);
        }
        assert!(known("mainnet").is_none());
    }

    #[test]
    fn an_unknown_name_is_a_path() {
        assert!(load("no/such/file.json").is_err());
    }
}
