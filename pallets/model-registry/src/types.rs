//! What the registry keeps in storage.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use llmesh_primitives::{ModelManifest, ModelName, OfferTerms, SemVer, VersionStatus};
use scale_info::TypeInfo;

/// A namespace.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct NamespaceRecord<AccountId> {
    /// Who can create models in it.
    pub owner: AccountId,
    /// Held from the owner, in planck.
    pub deposit: u128,
    /// Models in it, whoever owns them.
    pub models: u32,
}

/// A model: what its versions have in common.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct ModelRecord<AccountId> {
    /// Who publishes versions and changes their status.
    pub owner: AccountId,
    /// Number of versions, at least one.
    pub versions: u32,
    /// Sum of the deposits for all versions, held from the owner, in planck.
    pub deposit: u128,
}

/// A published version. Its owner is the model's.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct StoredVersion {
    pub name: ModelName,
    pub version: SemVer,
    pub status: VersionStatus,
    pub manifest: ModelManifest,
    /// Part of the model's deposit that is for this version, in planck.
    pub deposit: u128,
}

/// What refers to a version. Apart from the version, because it changes with every job.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct VersionUsage {
    /// Jobs whose records are kept.
    pub jobs: u32,
    /// Offers.
    pub offers: u32,
}

/// A host's offer.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Offer {
    pub terms: OfferTerms,
    /// Held from the host, in planck.
    pub deposit: u128,
}
