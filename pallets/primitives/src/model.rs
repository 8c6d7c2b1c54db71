//! Models as the registry describes them.

use crate::{
    ContentId, ModelVersionId,
    tensor::{ModelSignature, TensorName},
};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use sp_core::{ConstU32, bounded::BoundedVec};
use sp_runtime::Perbill;

/// Longest namespace in bytes.
pub const MAX_NAMESPACE_BYTES: u32 = 32;
/// Longest model name in bytes, namespace and slash included.
pub const MAX_MODEL_NAME_BYTES: u32 = 96;
/// Longest SPDX licence expression in bytes.
pub const MAX_LICENCE_BYTES: u32 = 64;

/// `namespace/name`, both of `[a-z0-9]` with `-`, `_` and `.` inside.
pub type ModelName = BoundedVec<u8, ConstU32<MAX_MODEL_NAME_BYTES>>;
/// The part of a model's name before the slash.
pub type Namespace = BoundedVec<u8, ConstU32<MAX_NAMESPACE_BYTES>>;

/// A semantic version without pre-release and build parts (<https://semver.org>).
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct SemVer {
    pub major: u16,
    pub minor: u16,
    pub patch: u16,
}

impl core::fmt::Display for SemVer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl core::str::FromStr for SemVer {
    type Err = &'static str;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "a version is three numbers, like 1.2.0";
        let mut parts = s.split('.').map(|p| p.parse::<u16>().map_err(|_| EXPECTED));
        let mut next = || parts.next().unwrap_or(Err(EXPECTED));
        let version = Self {
            major: next()?,
            minor: next()?,
            patch: next()?,
        };
        if parts.next().is_some() {
            Err(EXPECTED)
        } else {
            Ok(version)
        }
    }
}

/// The framework that a model was made in. What is hosted is always ONNX.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub enum OriginFormat {
    Onnx,
    TensorFlow,
    PyTorch,
}

/// Machines on which a model's results can be compared.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub enum RuntimeClass {
    /// Floating point on any x86-64 or AArch64 CPU.
    CpuFloat,
    /// Int8 kernels on CPUs with VNNI or an equivalent.
    CpuInt8Vnni,
    /// Int8 kernels on CPUs without it: intermediate sums saturate differently.
    CpuInt8,
}

/// What a model's author declares when publishing a version.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct ModelManifest {
    /// BLAKE3 hash of the ONNX file.
    pub content_id: ContentId,
    /// Bytes of the ONNX file.
    pub size: u64,
    /// The framework the model comes from.
    pub origin: OriginFormat,
    /// Inputs and outputs.
    pub signature: ModelSignature,
    /// Name of the tensor before the last saturating step (logits before a softmax); verification compares it.
    /// Empty when the outputs themselves are compared.
    pub probe: TensorName,
    /// Machines whose results can be compared.
    pub runtime_class: RuntimeClass,
    /// Largest relative L2 difference of the probe between honest runs.
    pub tolerance: Perbill,
    /// Multiply-accumulates of one inference.
    pub complexity: u64,
    /// Lowest price that an offer can ask, in planck per million MACs.
    pub base_price: u128,
    /// SPDX licence expression.
    pub licence: BoundedVec<u8, ConstU32<MAX_LICENCE_BYTES>>,
}

/// Whether a version takes new work.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub enum VersionStatus {
    /// New offers and jobs.
    Active,
    /// Jobs still; no new offers. Clients should move on.
    Deprecated,
    /// Neither. Jobs that are under way finish.
    Yanked,
}

/// A published version, as storage and the runtime API show it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct ModelVersion<AccountId> {
    pub id: ModelVersionId,
    /// `namespace/name`.
    pub name: ModelName,
    pub version: SemVer,
    /// The model's owner when it was read.
    pub owner: AccountId,
    pub status: VersionStatus,
    pub manifest: ModelManifest,
}

/// What a host asks and holds ready for one model version.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct OfferTerms {
    /// Planck per million MACs; at least the version's base price.
    pub price: u128,
    /// Jobs that the host runs at the same time for this model version.
    pub capacity: u32,
}
