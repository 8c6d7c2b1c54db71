//! A signed receipt as JSON, for files.
//!
//! Bytes are hexadecimal with `0x`, accounts are SS58 addresses, and integers that can exceed 32 bits are decimal
//! strings: they exceed what a JSON number holds exactly in many languages. The `version` says which form it is.
//!
//! Reading checks the form and that the request's `id`, which is there for the reader's convenience, is the one of its
//! terms. It checks no signature: see [`SignedReceipt::verify`].

use crate::{Place, RequestTerms, SignedReceipt, SignedRequest};
use llmesh_primitives::{Receipt, WorkOrigin, model::RuntimeClass};
use serde::{Deserialize, Serialize};
use sp_core::{
    H256,
    crypto::{Ss58AddressFormat, Ss58Codec},
};
use sp_runtime::{AccountId32, MultiSignature};
use std::{fmt, str::FromStr};

/// The form that is written, and the only one that is read.
pub const VERSION: u32 = 1;
/// Longest text that is looked at, in bytes. A receipt has less than 3,000.
pub const MAX_BYTES: usize = 64 * 1024;
/// Prefix of the addresses that are written; any is read.
const SS58_PREFIX: u16 = 42;

/// Why a text is not a receipt.
#[derive(Debug)]
pub enum JsonError {
    /// Longer than [`MAX_BYTES`].
    TooLong,
    /// Another version of the form, or something else altogether.
    Version(u32),
    /// Not JSON, or not of this form.
    Form(serde_json::Error),
    /// A field's text is not what it should be.
    Field {
        name: &'static str,
        expected: &'static str,
    },
    /// The request's `id` is not the hash of its terms.
    Id,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "a receipt has at most {MAX_BYTES} bytes of JSON"),
            Self::Version(version) => write!(
                f,
                "this is version {version} of the receipt's form; version {VERSION} can be read here"
            ),
            Self::Form(error) => write!(f, "this is not the JSON of a receipt: {error}"),
            Self::Field { name, expected } => write!(f, "`{name}` is not {expected}"),
            Self::Id => f.write_str("the request's `id` is not the hash of its terms"),
        }
    }
}

impl std::error::Error for JsonError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Form(error) => Some(error),
            _ => None,
        }
    }
}

/// The receipt as indented JSON.
pub fn print(receipt: &SignedReceipt) -> String {
    // Strings, numbers and fixed field names: nothing here can fail to be JSON.
    serde_json::to_string_pretty(&Form::from(receipt)).unwrap_or_default()
}

/// Reads what [`print()`] wrote.
///
/// # Errors
/// What is wrong with the text.
pub fn parse(text: &str) -> Result<SignedReceipt, JsonError> {
    if text.len() > MAX_BYTES {
        return Err(JsonError::TooLong);
    }
    // The version comes first: the fields of another one would only confuse.
    let Version { version } = serde_json::from_str(text).map_err(JsonError::Form)?;
    if version != VERSION {
        return Err(JsonError::Version(version));
    }
    let form: Form = serde_json::from_str(text).map_err(JsonError::Form)?;
    form.try_into()
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    version: u32,
    host: String,
    receipt: ReceiptForm,
    /// The host's, over the receipt.
    signature: SignatureForm,
    request: RequestForm,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiptForm {
    origin: OriginForm,
    model: String,
    runtime_class: ClassForm,
    input_hash: String,
    output_hash: String,
    probe_hash: Option<String>,
    units: String,
    fee: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum OriginForm {
    Job {
        job: String,
    },
    Request {
        channel: String,
        epoch: u32,
        lane: u16,
        sequence: String,
        request: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ClassForm {
    CpuFloat,
    CpuInt8Vnni,
    CpuInt8,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestForm {
    id: String,
    genesis: String,
    channel: String,
    epoch: u32,
    lane: u16,
    sequence: String,
    client: String,
    model: String,
    model_version: u32,
    input_hash: String,
    max_price: String,
    host: String,
    expires_at: String,
    salt: String,
    /// The client's, over the id.
    signature: SignatureForm,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SignatureForm {
    Ed25519(String),
    Sr25519(String),
    Ecdsa(String),
    Eth(String),
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn address(account: &AccountId32) -> String {
    account.to_ss58check_with_version(Ss58AddressFormat::custom(SS58_PREFIX))
}

impl From<&SignedReceipt> for Form {
    fn from(signed: &SignedReceipt) -> Self {
        let (receipt, terms) = (&signed.receipt, &signed.request.terms);
        Self {
            version: VERSION,
            host: address(&signed.host),
            receipt: ReceiptForm {
                origin: match receipt.origin {
                    WorkOrigin::Job(job) => OriginForm::Job { job: job.to_string() },
                    WorkOrigin::Request {
                        channel,
                        epoch,
                        lane,
                        sequence,
                        request,
                    } => OriginForm::Request {
                        channel: channel.to_string(),
                        epoch,
                        lane,
                        sequence: sequence.to_string(),
                        request: hex(request),
                    },
                },
                model: hex(receipt.model),
                runtime_class: match receipt.runtime_class {
                    RuntimeClass::CpuFloat => ClassForm::CpuFloat,
                    RuntimeClass::CpuInt8Vnni => ClassForm::CpuInt8Vnni,
                    RuntimeClass::CpuInt8 => ClassForm::CpuInt8,
                },
                input_hash: hex(receipt.input_hash),
                output_hash: hex(receipt.output_hash),
                probe_hash: receipt.probe_hash.map(hex),
                units: receipt.units.to_string(),
                fee: receipt.fee.to_string(),
            },
            signature: (&signed.signature).into(),
            request: RequestForm {
                id: hex(terms.id()),
                genesis: hex(terms.genesis),
                channel: terms.place.channel.to_string(),
                epoch: terms.place.epoch,
                lane: terms.place.lane,
                sequence: terms.place.sequence.to_string(),
                client: address(&terms.client),
                model: hex(terms.model),
                model_version: terms.version,
                input_hash: hex(terms.input_hash),
                max_price: terms.max_price.to_string(),
                host: address(&terms.host),
                expires_at: terms.expires_at.to_string(),
                salt: hex(terms.salt),
                signature: (&signed.request.signature).into(),
            },
        }
    }
}

impl From<&MultiSignature> for SignatureForm {
    fn from(signature: &MultiSignature) -> Self {
        match signature {
            MultiSignature::Ed25519(s) => Self::Ed25519(hex(s)),
            MultiSignature::Sr25519(s) => Self::Sr25519(hex(s)),
            MultiSignature::Ecdsa(s) => Self::Ecdsa(hex(s)),
            MultiSignature::Eth(s) => Self::Eth(hex(s)),
        }
    }
}

impl TryFrom<Form> for SignedReceipt {
    type Error = JsonError;

    fn try_from(form: Form) -> Result<Self, JsonError> {
        let (receipt, request) = (form.receipt, form.request);
        let terms = RequestTerms {
            genesis: hash("request.genesis", &request.genesis)?,
            place: Place {
                channel: number("request.channel", &request.channel)?,
                epoch: request.epoch,
                lane: request.lane,
                sequence: number("request.sequence", &request.sequence)?,
            },
            client: account("request.client", &request.client)?,
            model: hash("request.model", &request.model)?,
            version: request.model_version,
            input_hash: hash("request.input_hash", &request.input_hash)?,
            max_price: number("request.max_price", &request.max_price)?,
            host: account("request.host", &request.host)?,
            expires_at: number("request.expires_at", &request.expires_at)?,
            salt: bytes("request.salt", &request.salt, "0x and 32 hexadecimal digits")?,
        };
        if hash("request.id", &request.id)? != terms.id() {
            return Err(JsonError::Id);
        }
        Ok(Self {
            receipt: Receipt {
                origin: match receipt.origin {
                    OriginForm::Job { job } => WorkOrigin::Job(number("receipt.origin.job.job", &job)?),
                    OriginForm::Request {
                        channel,
                        epoch,
                        lane,
                        sequence,
                        request,
                    } => WorkOrigin::Request {
                        channel: number("receipt.origin.request.channel", &channel)?,
                        epoch,
                        lane,
                        sequence: number("receipt.origin.request.sequence", &sequence)?,
                        request: hash("receipt.origin.request.request", &request)?,
                    },
                },
                model: hash("receipt.model", &receipt.model)?,
                runtime_class: match receipt.runtime_class {
                    ClassForm::CpuFloat => RuntimeClass::CpuFloat,
                    ClassForm::CpuInt8Vnni => RuntimeClass::CpuInt8Vnni,
                    ClassForm::CpuInt8 => RuntimeClass::CpuInt8,
                },
                input_hash: hash("receipt.input_hash", &receipt.input_hash)?,
                output_hash: hash("receipt.output_hash", &receipt.output_hash)?,
                probe_hash: receipt
                    .probe_hash
                    .map(|probe| hash("receipt.probe_hash", &probe))
                    .transpose()?,
                units: number("receipt.units", &receipt.units)?,
                fee: number("receipt.fee", &receipt.fee)?,
            },
            host: account("host", &form.host)?,
            request: SignedRequest {
                terms,
                signature: signature("request.signature", &request.signature)?,
            },
            signature: signature("signature", &form.signature)?,
        })
    }
}

fn bytes<const N: usize>(
    name: &'static str,
    text: &str,
    expected: &'static str,
) -> Result<[u8; N], JsonError> {
    let mut bytes = [0; N];
    text.strip_prefix("0x")
        .and_then(|digits| hex::decode_to_slice(digits, &mut bytes).ok())
        .map(|()| bytes)
        .ok_or(JsonError::Field { name, expected })
}

fn hash(name: &'static str, text: &str) -> Result<H256, JsonError> {
    bytes(name, text, "0x and 64 hexadecimal digits").map(H256)
}

fn account(name: &'static str, text: &str) -> Result<AccountId32, JsonError> {
    AccountId32::from_ss58check(text).map_err(|_| JsonError::Field {
        name,
        expected: "an SS58 address",
    })
}

/// A decimal number without sign and without zeros in front, so that each number has one text.
fn number<N: FromStr>(name: &'static str, text: &str) -> Result<N, JsonError> {
    let plain = text == "0" || (!text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()));
    text.parse().ok().filter(|_| plain).ok_or(JsonError::Field {
        name,
        expected: "a decimal number in quotes, within its bounds",
    })
}

fn signature(name: &'static str, form: &SignatureForm) -> Result<MultiSignature, JsonError> {
    const BYTES_64: &str = "0x and 128 hexadecimal digits";
    const BYTES_65: &str = "0x and 130 hexadecimal digits";
    Ok(match form {
        SignatureForm::Ed25519(s) => {
            MultiSignature::Ed25519(sp_core::ed25519::Signature::from_raw(bytes(name, s, BYTES_64)?))
        }
        SignatureForm::Sr25519(s) => {
            MultiSignature::Sr25519(sp_core::sr25519::Signature::from_raw(bytes(name, s, BYTES_64)?))
        }
        SignatureForm::Ecdsa(s) => {
            MultiSignature::Ecdsa(sp_core::ecdsa::Signature::from_raw(bytes(name, s, BYTES_65)?))
        }
        SignatureForm::Eth(s) => MultiSignature::Eth(sp_core::ecdsa::KeccakSignature::from(bytes::<65>(
            name, s, BYTES_65,
        )?)),
    })
}
