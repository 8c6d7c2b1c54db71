//! What all commands share.

use super::{
    CliError,
    args::{EngineArgs, Global, WaitArg},
    keys,
    output::{included_to_json, print, print_json},
};
use crate::{manifest::ModelArg, running};
use llmesh_chain::{
    AccountId, Call, ChainApi, ChainModel, ClientConfig, Included, NodeClient, RpcNodeClient, Signer, Wait,
};
use llmesh_engine::{Engine, EngineConfig, ModelStore, parse_content_id};
use serde_json::{Value as Json, json};
use std::path::PathBuf;

pub(super) struct Context {
    pub json: bool,
    pub wait: Wait,
    pub base_path: PathBuf,
    pub client: RpcNodeClient,
    signer: Option<Signer>,
}

impl Context {
    pub fn new(global: Global) -> Result<Self, CliError> {
        let genesis = global.genesis.as_deref().map(|text| {
            parse_content_id(text)
                .ok_or_else(|| CliError::Usage(format!("--genesis {text}: expected 0x and 64 hex digits")))
        });
        if !global.node.starts_with("ws://") && !global.node.starts_with("wss://") {
            let message = format!(
                "--node {}: expected an address like ws://127.0.0.1:9944",
                global.node
            );
            return Err(CliError::Usage(message));
        }
        let signer = keys::load(&global)?;
        let config = ClientConfig {
            genesis: genesis.transpose()?,
            ..ClientConfig::default()
        };
        let base_path = global.base_path.or_else(default_base_path).ok_or_else(|| {
            CliError::Usage("there is no data folder for this user: name one with --base-path".into())
        })?;
        Ok(Self {
            json: global.json,
            wait: match global.wait {
                WaitArg::InBlock => Wait::InBlock,
                WaitArg::Finalized => Wait::Finalized,
            },
            base_path,
            client: RpcNodeClient::websocket(&global.node, config),
            signer,
        })
    }

    /// The key, which the command needs.
    pub fn signer(&self) -> Result<&Signer, CliError> {
        self.signer.as_ref().ok_or_else(|| {
            CliError::Usage(
                "this needs a key: name a file with --suri-file, set LLMESH_SURI, or use --dev-key alice on a \
                 development chain"
                    .into(),
            )
        })
    }

    /// The account that was named, or the key's.
    pub fn account(&self, named: Option<AccountId>) -> Result<AccountId, CliError> {
        match named {
            Some(account) => Ok(account),
            None => Ok(self.signer()?.account_id()),
        }
    }

    /// Makes sure that the node is there and on the right chain.
    pub async fn connect(&self) -> Result<&RpcNodeClient, CliError> {
        self.client.genesis_hash().await?;
        Ok(&self.client)
    }

    /// Sends a call and waits for its outcome.
    pub async fn submit(&self, call: &Call) -> Result<Included, CliError> {
        self.submit_and_wait(call, self.wait).await
    }

    /// As [`Self::submit`], but waits for this, whatever `--wait` says.
    pub async fn submit_and_wait(&self, call: &Call, wait: Wait) -> Result<Included, CliError> {
        let signer = self.signer()?;
        Ok(self.connect().await?.submit(call, signer, wait).await?)
    }

    /// Sends a call and prints its outcome.
    pub async fn submit_and_print(&self, call: &Call) -> Result<(), CliError> {
        let included = self.submit(call).await?;
        self.print_included(call, &included, json!({}));
        Ok(())
    }

    /// Prints a transaction's outcome, with what else is known about it.
    pub fn print_included(&self, call: &Call, included: &Included, extra: Json) {
        if self.json {
            let mut document = json!({"call": call.to_string()});
            for part in [extra, included_to_json(included)] {
                if let (Json::Object(document), Json::Object(part)) = (&mut document, part) {
                    document.extend(part);
                }
            }
            print_json(&document);
        } else {
            print(format_args!("{call}: done in block {}", included.block));
        }
    }

    /// Prints a document or, without `--json`, lines of text.
    pub fn show(&self, document: impl FnOnce() -> Json, text: impl FnOnce() -> String) {
        if self.json {
            print_json(&document());
        } else {
            print(text().trim_end());
        }
    }

    /// The model on the chain.
    pub async fn resolve(&self, model: &ModelArg) -> Result<ChainModel, CliError> {
        let found = self.connect().await?.resolve(&model.name, model.version).await?;
        found.ok_or_else(|| {
            let hint = if model.version.is_some() {
                ""
            } else {
                " or has no active version"
            };
            CliError::Failed(format!(
                "the chain has no model {model}{hint}; `llmesh-worker model list` shows what there is"
            ))
        })
    }

    pub fn store(&self) -> Result<ModelStore, CliError> {
        Ok(ModelStore::open(running::models_folder(&self.base_path))?)
    }

    pub fn engine(&self, args: &EngineArgs, config: EngineConfig) -> Result<Engine, CliError> {
        let config = EngineConfig {
            onnxruntime: args.onnxruntime.clone(),
            ..config
        };
        Ok(running::engine(&self.base_path, config)?)
    }
}

fn default_base_path() -> Option<PathBuf> {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    let data = set("XDG_DATA_HOME").or_else(|| Some(set("HOME")?.join(".local/share")))?;
    Some(data.join("llmesh-worker"))
}
