//! # Model registry
//!
//! The catalogue of what the mesh can compute, and of who computes it at what price.
//!
//! ## Names and versions
//!
//! - Anyone registers a **namespace** against a deposit. Its owner creates models in it.
//! - A **model** is `namespace/name`. It comes into being with its first version and belongs to the account
//!   that published that version; it can be transferred apart from the namespace.
//! - A **version** is a `SemVer` of a model with its `ModelManifest`. It gets a `ModelVersionId` that
//!   is never given to another one. The manifest never changes; what changes is the status: `Active`, then
//!   `Deprecated` (jobs still, no new offers; can be taken back), then `Yanked` (neither; final). A version
//!   lower than the existing ones can be published as a backport. A version that is yanked, without offers
//!   and without jobs can be removed.
//! - Names are lower-case ASCII letters and digits, with `-`, `_` and `.` inside, so that no two names look
//!   alike because of their case and every name can be part of a path.
//!
//! ## Offers
//!
//! A host in good standing (see [`llmesh_primitives::traits::StakeProvider::is_host`]) **offers** a version
//! at a price and with a capacity. Readers must check the host's standing again when they draw: an offer
//! stays in storage when its host leaves. Anyone can then prune it, and likewise any offer for a yanked
//! version.
//!
//! ## Deposits
//!
//! Everything stored is backed by a hold on the account of the one who benefits from it, one [`HoldReason`] a
//! kind:
//!
//! | what | amount | holder | comes back when |
//! |---|---|---|---|
//! | namespace | [`Config::NamespaceDeposit`] + [`Config::ByteDeposit`] a byte of the name | namespace owner | removed |
//! | version | [`Config::VersionDeposit`] + [`Config::ByteDeposit`] a byte of the record | model owner | removed |
//! | offer | [`Config::OfferDeposit`] | host | withdrawn or pruned |
//!
//! The deposit of a namespace or a model moves to the new owner together with it.
//!
//! ## What others read
//!
//! Other pallets see the registry as [`llmesh_primitives::traits::ModelRegistry`]. Clients use the view
//! functions or the runtime API of the same names.

#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used
    )
)]

extern crate alloc;

mod catalogue;
mod offers;
mod provider;
mod try_state;
mod types;
mod validate;
pub mod weights;

#[cfg(feature = "runtime-benchmarks")]
pub mod benchmarking;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;

pub use pallet::*;
pub use types::{ModelRecord, NamespaceRecord, Offer, StoredVersion, VersionUsage};
pub use weights::WeightInfo;

#[cfg(feature = "runtime-benchmarks")]
pub use benchmarking::BenchmarkHelper;

#[allow(clippy::expect_used, reason = "FRAME's macros expand to it")]
#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use alloc::vec::Vec;
    use frame_support::{pallet_prelude::*, traits::fungible};
    use frame_system::pallet_prelude::*;
    use llmesh_primitives::{
        ContentId, ModelManifest, ModelName, ModelVersion, ModelVersionId, OfferTerms, SemVer, VersionStatus,
        model::Namespace, traits::StakeProvider,
    };
    use sp_runtime::{Perbill, traits::StaticLookup};

    /// How calls name an account.
    pub type AccountIdLookupOf<T> = <<T as frame_system::Config>::Lookup as StaticLookup>::Source;

    /// Storage layout of this release.
    pub const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>> {
        /// The currency of the deposits.
        type Currency: fungible::Inspect<Self::AccountId, Balance = u128>
            + fungible::Mutate<Self::AccountId>
            + fungible::MutateHold<Self::AccountId, Reason = Self::RuntimeHoldReason>;

        /// The runtime's hold reasons.
        type RuntimeHoldReason: From<HoldReason>;

        /// Says who may offer models.
        type Stake: StakeProvider<Self::AccountId>;

        /// Held for a namespace, in planck; [`Config::ByteDeposit`] comes on top.
        #[pallet::constant]
        type NamespaceDeposit: Get<u128>;

        /// Held for a version, in planck; [`Config::ByteDeposit`] comes on top.
        #[pallet::constant]
        type VersionDeposit: Get<u128>;

        /// Held for an offer, in planck.
        #[pallet::constant]
        type OfferDeposit: Get<u128>;

        /// Held for every byte of a namespace's name and of a version's encoded record, in planck.
        #[pallet::constant]
        type ByteDeposit: Get<u128>;

        /// Largest model file, in bytes.
        #[pallet::constant]
        type MaxModelSize: Get<u64>;

        /// Widest tolerance that a manifest can declare. A wider one would let altered models pass for the
        /// declared one.
        #[pallet::constant]
        type MaxTolerance: Get<Perbill>;

        /// Largest capacity that one offer can state.
        #[pallet::constant]
        type MaxCapacity: Get<u32>;

        /// Most versions of one model at a time.
        #[pallet::constant]
        type MaxVersionsPerModel: Get<u32>;

        /// Most offers for one version.
        #[pallet::constant]
        type MaxOffersPerVersion: Get<u32>;

        /// Most offers of one host.
        #[pallet::constant]
        type MaxOffersPerHost: Get<u32>;

        /// Weights of the calls.
        type WeightInfo: WeightInfo;

        /// Brings about what benchmarks need from outside this pallet.
        #[cfg(feature = "runtime-benchmarks")]
        type BenchmarkHelper: BenchmarkHelper<Self::AccountId>;
    }

    /// Why this pallet holds funds.
    #[pallet::composite_enum]
    pub enum HoldReason {
        /// Deposit for a namespace.
        Namespace,
        /// Deposits for the versions of a model.
        Version,
        /// Deposit for an offer.
        Offer,
    }

    /// Namespaces and their owners.
    #[pallet::storage]
    pub type Namespaces<T: Config> =
        StorageMap<_, Blake2_128Concat, Namespace, NamespaceRecord<T::AccountId>, OptionQuery>;

    /// Models by `namespace/name`. A model is here exactly as long as it has a version.
    #[pallet::storage]
    pub type Models<T: Config> =
        StorageMap<_, Blake2_128Concat, ModelName, ModelRecord<T::AccountId>, OptionQuery>;

    /// Published versions by their number.
    #[pallet::storage]
    pub type Versions<T: Config> = StorageMap<_, Twox64Concat, ModelVersionId, StoredVersion, OptionQuery>;

    /// What refers to a version: jobs and offers. Has an entry for every version.
    #[pallet::storage]
    pub type Usage<T: Config> = StorageMap<_, Twox64Concat, ModelVersionId, VersionUsage, OptionQuery>;

    /// The number of a version, by model and semantic version.
    #[pallet::storage]
    pub type VersionIds<T: Config> = StorageDoubleMap<
        _,
        Blake2_128Concat,
        ModelName,
        Blake2_128Concat,
        SemVer,
        ModelVersionId,
        OptionQuery,
    >;

    /// The number that the next published version gets.
    #[pallet::storage]
    pub type NextVersionId<T: Config> = StorageValue<_, ModelVersionId, ValueQuery>;

    /// Offers by version and host. An offer counts only as long as its host is in good standing.
    #[pallet::storage]
    pub type Offers<T: Config> =
        StorageDoubleMap<_, Twox64Concat, ModelVersionId, Blake2_128Concat, T::AccountId, Offer, OptionQuery>;

    /// The versions that a host offers, in order of its offers.
    #[pallet::storage]
    pub type OffersOfHost<T: Config> = StorageMap<
        _,
        Blake2_128Concat,
        T::AccountId,
        BoundedVec<ModelVersionId, T::MaxOffersPerHost>,
        ValueQuery,
    >;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A namespace has an owner now.
        NamespaceRegistered {
            namespace: Namespace,
            owner: T::AccountId,
            deposit: u128,
        },
        /// A namespace, with its deposit, went to another owner.
        NamespaceTransferred {
            namespace: Namespace,
            from: T::AccountId,
            to: T::AccountId,
        },
        /// A namespace without models was given up; its deposit is free again.
        NamespaceRemoved {
            namespace: Namespace,
            owner: T::AccountId,
            deposit: u128,
        },
        /// A version of a model was published.
        VersionPublished {
            id: ModelVersionId,
            name: ModelName,
            version: SemVer,
            content_id: ContentId,
            owner: T::AccountId,
            deposit: u128,
        },
        /// A version takes more or less new work from now on.
        VersionStatusChanged {
            id: ModelVersionId,
            status: VersionStatus,
        },
        /// A version is gone; its deposit is free again.
        VersionRemoved {
            id: ModelVersionId,
            owner: T::AccountId,
            deposit: u128,
        },
        /// A model, with the deposits for its versions, went to another owner.
        ModelTransferred {
            name: ModelName,
            from: T::AccountId,
            to: T::AccountId,
        },
        /// A host offers a version, or offers it at other terms.
        OfferPlaced {
            id: ModelVersionId,
            host: T::AccountId,
            terms: OfferTerms,
        },
        /// A host took its offer back; its deposit is free again.
        OfferWithdrawn { id: ModelVersionId, host: T::AccountId },
        /// Someone cleared away an offer that no longer counted; its deposit is free again for the host.
        OfferPruned {
            id: ModelVersionId,
            host: T::AccountId,
            by: T::AccountId,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// A namespace is 1 to 32 of `a-z`, `0-9`, `-`, `_`, `.` and begins and ends with a letter or a
        /// digit.
        InvalidNamespace,
        /// A model's name is a namespace, one slash, and a name made of the same characters.
        InvalidModelName,
        /// The namespace has an owner already.
        NamespaceTaken,
        /// Nobody registered this namespace.
        UnknownNamespace,
        /// Only the namespace's owner can do this.
        NotNamespaceOwner,
        /// The namespace still has models.
        NamespaceInUse,
        /// There is no model of this name.
        UnknownModel,
        /// Only the model's owner can do this.
        NotModelOwner,
        /// The new owner is the present one.
        SameOwner,
        /// There is no version with this number.
        UnknownVersion,
        /// The model already has this version. A published version never changes: publish a higher one.
        VersionExists,
        /// The model has as many versions as it can have; remove one.
        TooManyVersions,
        /// All version numbers are used up.
        VersionIdsExhausted,
        /// The content id is zero.
        MissingContentId,
        /// The size of the model file is zero.
        EmptyModel,
        /// The model file is larger than `MaxModelSize`.
        ModelTooLarge,
        /// The signature needs at least one input and one output, names that are neither empty nor repeated,
        /// and dimensions above zero.
        InvalidSignature,
        /// The probe's name is not UTF-8.
        InvalidProbe,
        /// The tolerance is wider than `MaxTolerance`.
        ToleranceTooWide,
        /// The complexity is zero.
        ZeroComplexity,
        /// The licence is empty or not printable ASCII.
        InvalidLicence,
        /// The version is not active.
        NotActive,
        /// The version is not deprecated.
        NotDeprecated,
        /// The version is yanked.
        VersionYanked,
        /// The version is not yanked.
        NotYanked,
        /// Hosts still offer the version.
        HasOffers,
        /// Jobs still refer to the version.
        HasJobs,
        /// As many jobs as can be counted refer to the version.
        TooManyJobs,
        /// Only a host in good standing can offer models: bond, worker record and host role.
        NotHost,
        /// The price is below the version's base price.
        PriceBelowBase,
        /// The capacity is zero or above `MaxCapacity`.
        InvalidCapacity,
        /// The version has as many offers as it can have.
        TooManyOffersForVersion,
        /// The host has as many offers as it can have.
        TooManyOffersOfHost,
        /// The host does not offer this version.
        UnknownOffer,
        /// The offer counts: its host is in good standing and the version is not yanked.
        OfferCounts,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn integrity_test() {
            use fungible::Inspect as _;
            let minimum = T::Currency::minimum_balance();
            // A deposit at or above the existential deposit can always be given back.
            assert!(
                T::NamespaceDeposit::get() >= minimum,
                "NamespaceDeposit is below the existential deposit"
            );
            assert!(
                T::VersionDeposit::get() >= minimum,
                "VersionDeposit is below the existential deposit"
            );
            assert!(
                T::OfferDeposit::get() >= minimum,
                "OfferDeposit is below the existential deposit"
            );
            assert!(T::MaxModelSize::get() > 0, "MaxModelSize is zero");
            assert!(T::MaxCapacity::get() > 0, "MaxCapacity is zero");
            assert!(T::MaxVersionsPerModel::get() > 0, "MaxVersionsPerModel is zero");
            assert!(T::MaxOffersPerVersion::get() > 0, "MaxOffersPerVersion is zero");
            assert!(T::MaxOffersPerHost::get() > 0, "MaxOffersPerHost is zero");
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::do_try_state()
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Makes the caller the owner of a namespace, against the namespace deposit.
        ///
        /// Origin: signed.
        ///
        /// Event: [`Event::NamespaceRegistered`].
        ///
        /// Errors: [`Error::InvalidNamespace`], [`Error::NamespaceTaken`], or the deposit can not be held.
        #[pallet::call_index(0)]
        #[pallet::weight(T::WeightInfo::register_namespace())]
        pub fn register_namespace(origin: OriginFor<T>, namespace: Namespace) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_register_namespace(who, namespace)
        }

        /// Gives a namespace to another account, with its deposit. Models that exist in it stay with their
        /// owners.
        ///
        /// Origin: signed by the namespace's owner. The receiver must exist, and is not asked.
        ///
        /// Event: [`Event::NamespaceTransferred`].
        ///
        /// Errors: [`Error::UnknownNamespace`], [`Error::NotNamespaceOwner`], [`Error::SameOwner`], or the
        /// receiver can not hold the deposit.
        #[pallet::call_index(1)]
        #[pallet::weight(T::WeightInfo::transfer_namespace())]
        pub fn transfer_namespace(
            origin: OriginFor<T>,
            namespace: Namespace,
            to: AccountIdLookupOf<T>,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let to = T::Lookup::lookup(to)?;
            Self::do_transfer_namespace(who, namespace, to)
        }

        /// Gives up a namespace without models. Anyone can register it afterwards.
        ///
        /// Origin: signed by the namespace's owner.
        ///
        /// Event: [`Event::NamespaceRemoved`].
        ///
        /// Errors: [`Error::UnknownNamespace`], [`Error::NotNamespaceOwner`], [`Error::NamespaceInUse`].
        #[pallet::call_index(2)]
        #[pallet::weight(T::WeightInfo::remove_namespace())]
        pub fn remove_namespace(origin: OriginFor<T>, namespace: Namespace) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_remove_namespace(who, namespace)
        }

        /// Publishes a version of a model, against the version deposit. The first version creates the model.
        ///
        /// `name` is `namespace/name`. The version may be lower than existing ones (a backport). The
        /// signature may describe tensors that are larger than what a job can carry inline on chain: such a
        /// model serves requests off chain only.
        ///
        /// Origin: signed by the model's owner; for a model's first version, by the namespace's owner.
        ///
        /// Event: [`Event::VersionPublished`] with the version's number.
        ///
        /// Errors: [`Error::InvalidModelName`]; [`Error::UnknownNamespace`], [`Error::NotNamespaceOwner`] for
        /// a new model; [`Error::NotModelOwner`], [`Error::VersionExists`], [`Error::TooManyVersions`] for an
        /// existing one; [`Error::MissingContentId`], [`Error::EmptyModel`], [`Error::ModelTooLarge`],
        /// [`Error::InvalidSignature`], [`Error::InvalidProbe`], [`Error::ToleranceTooWide`],
        /// [`Error::ZeroComplexity`], [`Error::InvalidLicence`] for the manifest;
        /// [`Error::VersionIdsExhausted`]; or the deposit can not be held.
        #[pallet::call_index(3)]
        #[pallet::weight(T::WeightInfo::publish())]
        pub fn publish(
            origin: OriginFor<T>,
            name: ModelName,
            version: SemVer,
            manifest: ModelManifest,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_publish(who, name, version, manifest).map(|_| ())
        }

        /// Marks an active version as outdated: no new offers; existing offers go on and jobs are still
        /// taken.
        ///
        /// Origin: signed by the model's owner.
        ///
        /// Event: [`Event::VersionStatusChanged`].
        ///
        /// Errors: [`Error::UnknownVersion`], [`Error::NotModelOwner`], [`Error::NotActive`].
        #[pallet::call_index(4)]
        #[pallet::weight(T::WeightInfo::deprecate())]
        pub fn deprecate(origin: OriginFor<T>, id: ModelVersionId) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_deprecate(who, id)
        }

        /// Makes a deprecated version active again.
        ///
        /// Origin: signed by the model's owner.
        ///
        /// Event: [`Event::VersionStatusChanged`].
        ///
        /// Errors: [`Error::UnknownVersion`], [`Error::NotModelOwner`], [`Error::NotDeprecated`].
        #[pallet::call_index(5)]
        #[pallet::weight(T::WeightInfo::reactivate())]
        pub fn reactivate(origin: OriginFor<T>, id: ModelVersionId) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_reactivate(who, id)
        }

        /// Takes a version out of service for good: no new offers, no new jobs. Jobs that are under way
        /// finish, and anyone can prune the offers that are left.
        ///
        /// Origin: signed by the model's owner.
        ///
        /// Event: [`Event::VersionStatusChanged`].
        ///
        /// Errors: [`Error::UnknownVersion`], [`Error::NotModelOwner`], [`Error::VersionYanked`].
        #[pallet::call_index(6)]
        #[pallet::weight(T::WeightInfo::yank())]
        pub fn yank(origin: OriginFor<T>, id: ModelVersionId) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_yank(who, id)
        }

        /// Removes a yanked version that nothing refers to, and frees its deposit. A model without versions
        /// is gone.
        ///
        /// Origin: signed by the model's owner.
        ///
        /// Event: [`Event::VersionRemoved`].
        ///
        /// Errors: [`Error::UnknownVersion`], [`Error::NotModelOwner`], [`Error::NotYanked`],
        /// [`Error::HasOffers`], [`Error::HasJobs`].
        #[pallet::call_index(7)]
        #[pallet::weight(T::WeightInfo::remove())]
        pub fn remove(origin: OriginFor<T>, id: ModelVersionId) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_remove(who, id)
        }

        /// Gives a model to another account, with the deposits for all its versions.
        ///
        /// Origin: signed by the model's owner. The receiver must exist, and is not asked.
        ///
        /// Event: [`Event::ModelTransferred`].
        ///
        /// Errors: [`Error::UnknownModel`], [`Error::NotModelOwner`], [`Error::SameOwner`], or the receiver
        /// can not hold the deposits.
        #[pallet::call_index(8)]
        #[pallet::weight(T::WeightInfo::transfer_model())]
        pub fn transfer_model(
            origin: OriginFor<T>,
            name: ModelName,
            to: AccountIdLookupOf<T>,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let to = T::Lookup::lookup(to)?;
            Self::do_transfer_model(who, name, to)
        }

        /// Offers a version at these terms, against the offer deposit, or changes the terms of the caller's
        /// offer.
        ///
        /// A new offer needs an active version; the terms of an existing one can be changed while the version
        /// is deprecated too. Jobs that were drawn before keep their price.
        ///
        /// Origin: signed by a host in good standing.
        ///
        /// Event: [`Event::OfferPlaced`].
        ///
        /// Errors: [`Error::NotHost`], [`Error::UnknownVersion`], [`Error::NotActive`],
        /// [`Error::VersionYanked`], [`Error::PriceBelowBase`], [`Error::InvalidCapacity`],
        /// [`Error::TooManyOffersForVersion`], [`Error::TooManyOffersOfHost`], or the deposit can not be
        /// held.
        #[pallet::call_index(9)]
        #[pallet::weight(T::WeightInfo::offer())]
        pub fn offer(origin: OriginFor<T>, id: ModelVersionId, terms: OfferTerms) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_offer(who, id, terms)
        }

        /// Takes the caller's offer back and frees its deposit. Work that was drawn before stays due.
        ///
        /// Origin: signed by the host, in good standing or not.
        ///
        /// Event: [`Event::OfferWithdrawn`].
        ///
        /// Errors: [`Error::UnknownOffer`].
        #[pallet::call_index(10)]
        #[pallet::weight(T::WeightInfo::withdraw_offer())]
        pub fn withdraw_offer(origin: OriginFor<T>, id: ModelVersionId) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_withdraw_offer(who, id)
        }

        /// Clears away an offer that no longer counts, because its host is not in good standing any more or
        /// the version is yanked. The deposit goes back to the host.
        ///
        /// Origin: signed by anyone.
        ///
        /// Event: [`Event::OfferPruned`].
        ///
        /// Errors: [`Error::UnknownOffer`], [`Error::OfferCounts`].
        #[pallet::call_index(11)]
        #[pallet::weight(T::WeightInfo::prune_offer())]
        pub fn prune_offer(
            origin: OriginFor<T>,
            id: ModelVersionId,
            host: AccountIdLookupOf<T>,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let host = T::Lookup::lookup(host)?;
            Self::do_prune_offer(who, id, host)
        }
    }

    #[pallet::view_functions]
    impl<T: Config> Pallet<T> {
        /// The version of `namespace/name`, whatever its status; without a version the highest that is
        /// active.
        pub fn resolve(name: Vec<u8>, version: Option<SemVer>) -> Option<ModelVersion<T::AccountId>> {
            Self::find(name, version)
        }

        /// The version by its number.
        pub fn version(id: ModelVersionId) -> Option<ModelVersion<T::AccountId>> {
            Self::read_version(id)
        }

        /// Versions in order of publication, from number `from`, at most `limit` (and at most 100).
        pub fn versions(from: ModelVersionId, limit: u32) -> Vec<ModelVersion<T::AccountId>> {
            Self::list_versions(from, limit)
        }

        /// The version's offers by host, those that no longer count included.
        pub fn offers(id: ModelVersionId) -> Vec<(T::AccountId, OfferTerms)> {
            Self::list_offers(id)
        }

        /// What the host offers, in order of its offers.
        pub fn offers_of(host: T::AccountId) -> Vec<(ModelVersionId, OfferTerms)> {
            Self::list_offers_of(host)
        }
    }
}
