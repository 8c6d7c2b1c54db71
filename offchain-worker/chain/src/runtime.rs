//! One version of the chain's runtime: its metadata, and what is built and read by it.

use crate::{
    AccountId, Call, ChainError, ChainEvent, DispatchFailure, H256, RuntimeVersion, Signer,
    encode::Args,
    events::ToJson,
    rpc::{Rpc, decode},
};
use codec::{Decode, Encode};
use scale_info::{PortableRegistry, TypeDef, TypeDefPrimitive};
use serde_json::Value as Json;
use subxt::{
    Metadata, OfflineClient, OfflineClientAtBlock, SubstrateConfig,
    config::{DefaultExtrinsicParamsBuilder, substrate::SpecVersionForRange},
    events::{Event, Phase},
    ext::{
        scale_type_resolver::Field,
        scale_value::{Composite, ValueDef, scale::decode_as_fields},
    },
    tx,
};

/// Newest first; the oldest is what every node serves.
const METADATA_VERSIONS: [u32; 3] = [16, 15, 14];

/// The runtime at one spec version.
pub(crate) struct Runtime {
    client: OfflineClientAtBlock<SubstrateConfig>,
}

/// What a transaction is built on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mortality {
    pub birth_number: u32,
    pub birth_hash: H256,
    pub period: u64,
}

/// How an extrinsic ended.
pub(crate) struct Outcome {
    pub events: Vec<ChainEvent>,
    pub failure: Option<(String, String, String)>,
}

fn bad_metadata(reason: impl std::fmt::Display) -> ChainError {
    ChainError::Decode {
        what: "the chain's metadata".into(),
        reason: reason.to_string(),
    }
}

impl Runtime {
    /// Fetches the metadata as of block `at`.
    pub async fn fetch(
        rpc: &Rpc,
        genesis: H256,
        version: &RuntimeVersion,
        at: H256,
    ) -> Result<Self, ChainError> {
        let mut bytes = None;
        for wanted in METADATA_VERSIONS {
            let answer = rpc
                .state_call("Metadata_metadata_at_version", &wanted.encode(), Some(at))
                .await?;
            bytes = decode::<Option<Vec<u8>>>("the chain's metadata", &answer)?;
            if bytes.is_some() {
                break;
            }
        }
        let bytes = bytes.ok_or_else(|| bad_metadata("the node serves none of the versions 14 to 16"))?;
        let metadata = Metadata::decode_from(&bytes).map_err(bad_metadata)?;
        Self::new(metadata, genesis, version)
    }

    pub fn new(metadata: Metadata, genesis: H256, version: &RuntimeVersion) -> Result<Self, ChainError> {
        let config = SubstrateConfig::builder()
            .set_genesis_hash(genesis)
            .set_spec_version_for_block_ranges([SpecVersionForRange {
                block_range: 0..u64::MAX,
                spec_version: version.spec_version,
                transaction_version: version.transaction_version,
            }])
            .set_metadata_for_spec_versions([(version.spec_version, metadata.arc())])
            .build();
        let client = OfflineClient::new_with_config(config)
            .at_block(0u64)
            .map_err(bad_metadata)?;
        Ok(Self { client })
    }

    /// A constant of a pallet, SCALE-encoded.
    pub fn constant(&self, pallet: &str, name: &str) -> Option<Vec<u8>> {
        let pallet = self.client.metadata_ref().pallet_by_name(pallet)?;
        Some(pallet.constant_by_name(name)?.value().to_vec())
    }

    /// The signed extrinsic, ready to send.
    pub fn sign(
        &self,
        call: &Call,
        signer: &Signer,
        nonce: u64,
        mortality: Mortality,
    ) -> Result<Vec<u8>, ChainError> {
        let error = |e: subxt::error::ExtrinsicError| ChainError::Encode {
            call: call.to_string(),
            reason: chain_of_causes(&e),
        };
        let payload = tx::dynamic(call.pallet, call.name, Args(call.args.clone()));
        let params = DefaultExtrinsicParamsBuilder::<SubstrateConfig>::new()
            .nonce(nonce)
            .mortal_from_unchecked(
                mortality.period,
                mortality.birth_number.into(),
                mortality.birth_hash,
            )
            .build();
        let mut signable = self
            .client
            .tx()
            .create_signable_offline(&payload, params)
            .map_err(error)?;
        Ok(signable.sign(signer.pair()).map_err(error)?.into_encoded())
    }

    /// What happened to the extrinsic at this position, from the block's events.
    pub fn outcome(&self, event_bytes: Vec<u8>, extrinsic: u32) -> Result<Outcome, ChainError> {
        let error = |e: subxt::error::EventsError| ChainError::Decode {
            what: "a block's events".into(),
            reason: chain_of_causes(&e),
        };
        let mut outcome = Outcome {
            events: Vec::new(),
            failure: None,
        };
        let events = self.client.events().from_bytes(event_bytes);
        for event in events.iter() {
            let event = event.map_err(error)?;
            if event.phase() != Phase::ApplyExtrinsic(extrinsic) {
                continue;
            }
            let fields = self.fields(&event)?;
            if event.pallet_name() == "System" && event.event_name() == "ExtrinsicFailed" {
                outcome.failure = Some(self.failure(&fields));
            }
            outcome.events.push(ChainEvent {
                pallet: event.pallet_name().into(),
                name: event.event_name().into(),
                fields: self.to_json(|json| json.composite(&fields)),
            });
        }
        Ok(outcome)
    }

    /// An event's fields, each with the number of its type.
    fn fields(&self, event: &Event<'_, SubstrateConfig>) -> Result<Composite<u32>, ChainError> {
        let metadata = self.client.metadata_ref();
        let error = |reason: String| ChainError::Decode {
            what: "an event".into(),
            reason,
        };
        let variant = metadata
            .pallet_by_event_index(event.pallet_index())
            .and_then(|pallet| pallet.event_variant_by_index(event.event_index()))
            .ok_or_else(|| error("it is not in the metadata".into()))?;
        let mut fields = variant
            .fields
            .iter()
            .map(|f| Field::new(f.ty.id, f.name.as_deref()));
        decode_as_fields(&mut event.field_bytes(), &mut fields, metadata.types())
            .map_err(|e| error(e.to_string()))
    }

    fn to_json(&self, convert: impl FnOnce(ToJson<'_, u32>) -> Json) -> Json {
        convert(ToJson {
            is_amount: &|id| is_amount(self.client.metadata_ref().types(), *id),
        })
    }

    /// Module, name and documentation of a dispatch error.
    fn failure(&self, fields: &Composite<u32>) -> (String, String, String) {
        let Some(error) = fields.values().next() else {
            return ("Dispatch".into(), "Unknown".into(), String::new());
        };
        let shown = self.to_json(|json| json.value(error));
        let ValueDef::Variant(variant) = &error.value else {
            return ("Dispatch".into(), shown.to_string(), String::new());
        };
        let module = shown.get("Module").and_then(|m| {
            let pallet = u8::try_from(m.get("index")?.as_u64()?).ok()?;
            let code = hex::decode(m.get("error")?.as_str()?.strip_prefix("0x")?).ok()?;
            let pallet = self.client.metadata_ref().pallet_by_error_index(pallet)?;
            let error = pallet.error_variant_by_index(*code.first()?)?;
            let docs = error.docs.iter().map(|d| d.trim()).collect::<Vec<_>>().join(" ");
            Some((pallet.name().to_owned(), error.name.clone(), docs))
        });
        let plain = || {
            let inner = shown
                .get(&variant.name)
                .and_then(|v| v.as_str().map(str::to_owned));
            let name = inner.map_or_else(|| variant.name.clone(), |i| format!("{}.{i}", variant.name));
            let docs = match name.as_str() {
                "BadOrigin" => "this account may not make this call",
                "Token.FundsUnavailable" => "the account has not enough free balance",
                "Token.Frozen" => "the funds exist but are frozen",
                _ => "",
            };
            ("Dispatch".to_owned(), name, docs.to_owned())
        };
        module.unwrap_or_else(plain)
    }
}

/// Whether a type is a number as wide as a balance.
fn is_amount(types: &PortableRegistry, id: u32) -> bool {
    match types.resolve(id).map(|ty| &ty.type_def) {
        Some(TypeDef::Primitive(TypeDefPrimitive::U128)) => true,
        Some(TypeDef::Compact(compact)) => is_amount(types, compact.type_param.id),
        _ => false,
    }
}

/// The message with all its causes, which these errors do not repeat.
fn chain_of_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}

/// The key of an account's balance.
pub(crate) fn account_key(account: &AccountId) -> Vec<u8> {
    let mut key = sp_crypto_hashing::twox_128(b"System").to_vec();
    key.extend(sp_crypto_hashing::twox_128(b"Account"));
    key.extend(sp_crypto_hashing::blake2_128(&account.0));
    key.extend(account.0);
    key
}

/// The key of a block's events.
pub(crate) fn events_key() -> Vec<u8> {
    [
        sp_crypto_hashing::twox_128(b"System"),
        sp_crypto_hashing::twox_128(b"Events"),
    ]
    .concat()
}

/// The part of `System.Account` that counts here.
#[derive(Decode)]
pub(crate) struct AccountInfo {
    pub nonce: u32,
    pub _references: [u32; 3],
    pub free: u128,
    pub reserved: u128,
    pub frozen: u128,
    pub _flags: u128,
}

/// Puts an outcome into the form of an error.
pub(crate) fn dispatch_failure(call: &Call, block: u32, parts: (String, String, String)) -> DispatchFailure {
    let (module, name, docs) = parts;
    DispatchFailure {
        call: call.to_string(),
        block,
        module,
        name,
        docs,
    }
}
