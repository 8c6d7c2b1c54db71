//! A chain specification that builds the genesis state of a named chain without the Wasm runtime.

use llmesh_runtime::RuntimeGenesisConfig;
use sc_service::{ChainType, GenericChainSpec, Properties};
use sp_core::storage::{Storage, well_known_keys};
use sp_runtime::BuildStorage;
use std::{collections::BTreeMap, sync::Arc};

/// A chain specification of LLMESH.
///
/// A specification from a file builds its state in the runtime that it contains. For a chain that this program knows by
/// name the same presets are compiled into it, and are used instead: compiling a runtime only for its genesis would
/// double the time that a new node takes to start. The two give the same state, which a test of this crate checks.
#[derive(Clone)]
pub struct ChainSpec {
    spec: GenericChainSpec,
    genesis: Option<Arc<Genesis>>,
}

struct Genesis {
    config: RuntimeGenesisConfig,
    code: Vec<u8>,
}

impl ChainSpec {
    pub(crate) fn with_genesis(spec: GenericChainSpec, config: RuntimeGenesisConfig, code: &[u8]) -> Self {
        Self {
            spec,
            genesis: Some(Arc::new(Genesis {
                config,
                code: code.to_vec(),
            })),
        }
    }

    /// The specification without what this program knows about its genesis.
    pub fn generic(&self) -> &GenericChainSpec {
        &self.spec
    }
}

impl From<GenericChainSpec> for ChainSpec {
    fn from(spec: GenericChainSpec) -> Self {
        Self { spec, genesis: None }
    }
}

impl BuildStorage for ChainSpec {
    fn assimilate_storage(&self, storage: &mut Storage) -> Result<(), String> {
        match &self.genesis {
            Some(genesis) => {
                genesis.config.assimilate_storage(storage)?;
                storage
                    .top
                    .insert(well_known_keys::CODE.to_vec(), genesis.code.clone());
                Ok(())
            }
            None => self.spec.assimilate_storage(storage),
        }
    }
}

impl sc_service::ChainSpec for ChainSpec {
    fn name(&self) -> &str {
        sc_service::ChainSpec::name(&self.spec)
    }

    fn id(&self) -> &str {
        sc_service::ChainSpec::id(&self.spec)
    }

    fn chain_type(&self) -> ChainType {
        sc_service::ChainSpec::chain_type(&self.spec)
    }

    fn boot_nodes(&self) -> &[sc_network::config::MultiaddrWithPeerId] {
        sc_service::ChainSpec::boot_nodes(&self.spec)
    }

    fn telemetry_endpoints(&self) -> &Option<sc_telemetry::TelemetryEndpoints> {
        sc_service::ChainSpec::telemetry_endpoints(&self.spec)
    }

    fn protocol_id(&self) -> Option<&str> {
        sc_service::ChainSpec::protocol_id(&self.spec)
    }

    fn fork_id(&self) -> Option<&str> {
        sc_service::ChainSpec::fork_id(&self.spec)
    }

    fn properties(&self) -> Properties {
        sc_service::ChainSpec::properties(&self.spec)
    }

    fn extensions(&self) -> &dyn sc_chain_spec::GetExtension {
        sc_service::ChainSpec::extensions(&self.spec)
    }

    fn extensions_mut(&mut self) -> &mut dyn sc_chain_spec::GetExtension {
        sc_service::ChainSpec::extensions_mut(&mut self.spec)
    }

    fn add_boot_node(&mut self, addr: sc_network::config::MultiaddrWithPeerId) {
        sc_service::ChainSpec::add_boot_node(&mut self.spec, addr)
    }

    fn as_json(&self, raw: bool) -> Result<String, String> {
        sc_service::ChainSpec::as_json(&self.spec, raw)
    }

    fn as_storage_builder(&self) -> &dyn BuildStorage {
        self
    }

    fn cloned_box(&self) -> Box<dyn sc_service::ChainSpec> {
        Box::new(self.clone())
    }

    fn set_storage(&mut self, storage: Storage) {
        self.genesis = None;
        sc_service::ChainSpec::set_storage(&mut self.spec, storage)
    }

    fn code_substitutes(&self) -> BTreeMap<String, Vec<u8>> {
        sc_service::ChainSpec::code_substitutes(&self.spec)
    }
}
