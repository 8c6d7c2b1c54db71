//! Namespaces, models and versions.

use crate::{
    Config, Error, Event, HoldReason, ModelRecord, Models, NamespaceRecord, Namespaces, NextVersionId,
    Pallet, StoredVersion, Usage, VersionIds, VersionUsage, Versions, validate,
};
use alloc::vec::Vec;
use codec::Encode;
use frame_support::{
    ensure,
    traits::{
        Get,
        fungible::MutateHold,
        tokens::{Fortitude, Precision, Restriction},
    },
};
use llmesh_primitives::{
    ModelManifest, ModelName, ModelVersion, ModelVersionId, SemVer, VersionStatus, model::Namespace,
};
use sp_runtime::{ArithmeticError, DispatchError, DispatchResult};

/// Most versions that one read of the catalogue gives.
const MAX_LISTED: u32 = 100;

impl<T: Config> Pallet<T> {
    pub(crate) fn do_register_namespace(who: T::AccountId, namespace: Namespace) -> DispatchResult {
        ensure!(validate::is_name(&namespace), Error::<T>::InvalidNamespace);
        ensure!(
            !Namespaces::<T>::contains_key(&namespace),
            Error::<T>::NamespaceTaken
        );

        let deposit = Self::deposit_for(T::NamespaceDeposit::get(), namespace.len())?;
        T::Currency::hold(&HoldReason::Namespace.into(), &who, deposit)?;
        Namespaces::<T>::insert(
            &namespace,
            NamespaceRecord {
                owner: who.clone(),
                deposit,
                models: 0,
            },
        );
        Self::deposit_event(Event::NamespaceRegistered {
            namespace,
            owner: who,
            deposit,
        });
        Ok(())
    }

    pub(crate) fn do_transfer_namespace(
        who: T::AccountId,
        namespace: Namespace,
        to: T::AccountId,
    ) -> DispatchResult {
        let mut record = Self::owned_namespace(&who, &namespace)?;
        ensure!(to != who, Error::<T>::SameOwner);
        Self::move_deposit(HoldReason::Namespace, &who, &to, record.deposit)?;
        record.owner = to.clone();
        Namespaces::<T>::insert(&namespace, record);
        Self::deposit_event(Event::NamespaceTransferred {
            namespace,
            from: who,
            to,
        });
        Ok(())
    }

    pub(crate) fn do_remove_namespace(who: T::AccountId, namespace: Namespace) -> DispatchResult {
        let NamespaceRecord { deposit, models, .. } = Self::owned_namespace(&who, &namespace)?;
        ensure!(models == 0, Error::<T>::NamespaceInUse);
        Self::free_deposit(HoldReason::Namespace, &who, deposit)?;
        Namespaces::<T>::remove(&namespace);
        Self::deposit_event(Event::NamespaceRemoved {
            namespace,
            owner: who,
            deposit,
        });
        Ok(())
    }

    pub(crate) fn do_publish(
        who: T::AccountId,
        name: ModelName,
        version: SemVer,
        manifest: ModelManifest,
    ) -> Result<ModelVersionId, DispatchError> {
        let namespace = validate::namespace_of(&name).ok_or(Error::<T>::InvalidModelName)?;
        validate::check_manifest::<T>(&manifest)?;
        let model = match Models::<T>::get(&name) {
            Some(model) => {
                ensure!(model.owner == who, Error::<T>::NotModelOwner);
                ensure!(
                    !VersionIds::<T>::contains_key(&name, version),
                    Error::<T>::VersionExists
                );
                ensure!(
                    model.versions < T::MaxVersionsPerModel::get(),
                    Error::<T>::TooManyVersions
                );
                model
            }
            None => {
                let mut record = Self::owned_namespace(&who, &namespace)?;
                record.models = record.models.checked_add(1).ok_or(ArithmeticError::Overflow)?;
                Namespaces::<T>::insert(&namespace, record);
                ModelRecord {
                    owner: who.clone(),
                    versions: 0,
                    deposit: 0,
                }
            }
        };

        let content_id = manifest.content_id;
        let mut stored = StoredVersion {
            name: name.clone(),
            version,
            status: VersionStatus::Active,
            manifest,
            deposit: 0,
        };
        // The amount's own encoding has a fixed length, so the size is right before the amount is.
        let deposit = Self::deposit_for(T::VersionDeposit::get(), stored.encoded_size())?;
        stored.deposit = deposit;
        T::Currency::hold(&HoldReason::Version.into(), &who, deposit)?;
        let id = Self::insert_version(model, stored)?;
        Self::deposit_event(Event::VersionPublished {
            id,
            name,
            version,
            content_id,
            owner: who,
            deposit,
        });
        Ok(id)
    }

    /// Stores a version as the latest of `model`.
    pub(crate) fn insert_version(
        mut model: ModelRecord<T::AccountId>,
        stored: StoredVersion,
    ) -> Result<ModelVersionId, DispatchError> {
        let id = NextVersionId::<T>::get();
        let next = id.checked_add(1).ok_or(Error::<T>::VersionIdsExhausted)?;
        model.versions = model.versions.checked_add(1).ok_or(ArithmeticError::Overflow)?;
        model.deposit = model
            .deposit
            .checked_add(stored.deposit)
            .ok_or(ArithmeticError::Overflow)?;

        NextVersionId::<T>::put(next);
        Models::<T>::insert(&stored.name, model);
        VersionIds::<T>::insert(&stored.name, stored.version, id);
        Usage::<T>::insert(id, VersionUsage::default());
        Versions::<T>::insert(id, stored);
        Ok(id)
    }

    pub(crate) fn do_deprecate(who: T::AccountId, id: ModelVersionId) -> DispatchResult {
        let (_, stored) = Self::owned_version(&who, id)?;
        ensure!(stored.status == VersionStatus::Active, Error::<T>::NotActive);
        Self::set_status(id, stored, VersionStatus::Deprecated);
        Ok(())
    }

    pub(crate) fn do_reactivate(who: T::AccountId, id: ModelVersionId) -> DispatchResult {
        let (_, stored) = Self::owned_version(&who, id)?;
        ensure!(
            stored.status == VersionStatus::Deprecated,
            Error::<T>::NotDeprecated
        );
        Self::set_status(id, stored, VersionStatus::Active);
        Ok(())
    }

    pub(crate) fn do_yank(who: T::AccountId, id: ModelVersionId) -> DispatchResult {
        let (_, stored) = Self::owned_version(&who, id)?;
        ensure!(stored.status != VersionStatus::Yanked, Error::<T>::VersionYanked);
        Self::set_status(id, stored, VersionStatus::Yanked);
        Ok(())
    }

    fn set_status(id: ModelVersionId, mut stored: StoredVersion, status: VersionStatus) {
        stored.status = status;
        Versions::<T>::insert(id, stored);
        Self::deposit_event(Event::VersionStatusChanged { id, status });
    }

    pub(crate) fn do_remove(who: T::AccountId, id: ModelVersionId) -> DispatchResult {
        let (mut model, stored) = Self::owned_version(&who, id)?;
        ensure!(stored.status == VersionStatus::Yanked, Error::<T>::NotYanked);
        let usage = Usage::<T>::get(id).unwrap_or_default();
        ensure!(usage.offers == 0, Error::<T>::HasOffers);
        ensure!(usage.jobs == 0, Error::<T>::HasJobs);

        let StoredVersion {
            name,
            version,
            deposit,
            ..
        } = stored;
        Self::free_deposit(HoldReason::Version, &who, deposit)?;
        model.versions = model.versions.checked_sub(1).ok_or(ArithmeticError::Underflow)?;
        model.deposit = model
            .deposit
            .checked_sub(deposit)
            .ok_or(ArithmeticError::Underflow)?;
        if model.versions == 0 {
            Models::<T>::remove(&name);
            let namespace = validate::namespace_of(&name).ok_or(Error::<T>::InvalidModelName)?;
            Namespaces::<T>::try_mutate(&namespace, |record| -> DispatchResult {
                let record = record.as_mut().ok_or(Error::<T>::UnknownNamespace)?;
                record.models = record.models.checked_sub(1).ok_or(ArithmeticError::Underflow)?;
                Ok(())
            })?;
        } else {
            Models::<T>::insert(&name, model);
        }
        VersionIds::<T>::remove(&name, version);
        Usage::<T>::remove(id);
        Versions::<T>::remove(id);
        Self::deposit_event(Event::VersionRemoved {
            id,
            owner: who,
            deposit,
        });
        Ok(())
    }

    pub(crate) fn do_transfer_model(who: T::AccountId, name: ModelName, to: T::AccountId) -> DispatchResult {
        let mut model = Models::<T>::get(&name).ok_or(Error::<T>::UnknownModel)?;
        ensure!(model.owner == who, Error::<T>::NotModelOwner);
        ensure!(to != who, Error::<T>::SameOwner);
        Self::move_deposit(HoldReason::Version, &who, &to, model.deposit)?;
        model.owner = to.clone();
        Models::<T>::insert(&name, model);
        Self::deposit_event(Event::ModelTransferred { name, from: who, to });
        Ok(())
    }

    pub(crate) fn find(name: Vec<u8>, version: Option<SemVer>) -> Option<ModelVersion<T::AccountId>> {
        let name = ModelName::try_from(name).ok()?;
        let owner = Models::<T>::get(&name)?.owner;
        let (id, stored) = match version {
            Some(version) => {
                let id = VersionIds::<T>::get(&name, version)?;
                (id, Versions::<T>::get(id)?)
            }
            None => {
                let mut versions: Vec<(SemVer, ModelVersionId)> =
                    VersionIds::<T>::iter_prefix(&name).collect();
                versions.sort_unstable_by(|a, b| b.cmp(a));
                versions
                    .into_iter()
                    .filter_map(|(_, id)| Some((id, Versions::<T>::get(id)?)))
                    .find(|(_, stored)| stored.status == VersionStatus::Active)?
            }
        };
        Some(Self::with_owner(id, stored, owner))
    }

    pub(crate) fn read_version(id: ModelVersionId) -> Option<ModelVersion<T::AccountId>> {
        let stored = Versions::<T>::get(id)?;
        let owner = Models::<T>::get(&stored.name)?.owner;
        Some(Self::with_owner(id, stored, owner))
    }

    pub(crate) fn list_versions(from: ModelVersionId, limit: u32) -> Vec<ModelVersion<T::AccountId>> {
        let limit = limit.min(MAX_LISTED).try_into().unwrap_or(usize::MAX);
        (from..NextVersionId::<T>::get())
            .filter_map(Self::read_version)
            .take(limit)
            .collect()
    }

    fn with_owner(
        id: ModelVersionId,
        stored: StoredVersion,
        owner: T::AccountId,
    ) -> ModelVersion<T::AccountId> {
        let StoredVersion {
            name,
            version,
            status,
            manifest,
            ..
        } = stored;
        ModelVersion {
            id,
            name,
            version,
            owner,
            status,
            manifest,
        }
    }

    fn owned_namespace(
        who: &T::AccountId,
        namespace: &Namespace,
    ) -> Result<NamespaceRecord<T::AccountId>, Error<T>> {
        let record = Namespaces::<T>::get(namespace).ok_or(Error::<T>::UnknownNamespace)?;
        ensure!(record.owner == *who, Error::<T>::NotNamespaceOwner);
        Ok(record)
    }

    fn owned_version(
        who: &T::AccountId,
        id: ModelVersionId,
    ) -> Result<(ModelRecord<T::AccountId>, StoredVersion), Error<T>> {
        let stored = Versions::<T>::get(id).ok_or(Error::<T>::UnknownVersion)?;
        let model = Models::<T>::get(&stored.name).ok_or(Error::<T>::UnknownModel)?;
        ensure!(model.owner == *who, Error::<T>::NotModelOwner);
        Ok((model, stored))
    }

    /// `base` plus the deposit for so many bytes.
    pub(crate) fn deposit_for(base: u128, bytes: usize) -> Result<u128, ArithmeticError> {
        u128::try_from(bytes)
            .ok()
            .and_then(|bytes| bytes.checked_mul(T::ByteDeposit::get()))
            .and_then(|for_bytes| for_bytes.checked_add(base))
            .ok_or(ArithmeticError::Overflow)
    }

    pub(crate) fn free_deposit(reason: HoldReason, who: &T::AccountId, amount: u128) -> DispatchResult {
        T::Currency::release(&reason.into(), who, amount, Precision::Exact).map(|_| ())
    }

    fn move_deposit(
        reason: HoldReason,
        from: &T::AccountId,
        to: &T::AccountId,
        amount: u128,
    ) -> DispatchResult {
        // Polite: what is frozen for another purpose can not leave the account this way.
        T::Currency::transfer_on_hold(
            &reason.into(),
            from,
            to,
            amount,
            Precision::Exact,
            Restriction::OnHold,
            Fortitude::Polite,
        )
        .map(|_| ())
    }
}
