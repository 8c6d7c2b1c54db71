//! Which names and manifests are accepted.

use crate::{Config, Error};
use frame_support::{ensure, traits::Get};
use llmesh_primitives::{ModelManifest, model::Namespace};

/// Whether `part` can be a namespace or the part of a model's name after the slash.
pub(crate) fn is_name(part: &[u8]) -> bool {
    let alphanumeric = |c: &u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    part.first().is_some_and(alphanumeric)
        && part.last().is_some_and(alphanumeric)
        && part
            .iter()
            .all(|c| alphanumeric(c) || matches!(c, b'-' | b'_' | b'.'))
}

/// The namespace of a model's name; `None` when the name is not a model's name.
pub(crate) fn namespace_of(name: &[u8]) -> Option<Namespace> {
    let mut parts = name.splitn(2, |c| *c == b'/');
    let namespace = parts.next().filter(|part| is_name(part))?;
    // A second slash would be in this part, where it is not allowed.
    parts.next().filter(|part| is_name(part))?;
    Namespace::try_from(namespace.to_vec()).ok()
}

/// Checks everything about a manifest that can be known without the model file.
pub(crate) fn check_manifest<T: Config>(manifest: &ModelManifest) -> Result<(), Error<T>> {
    ensure!(!manifest.content_id.is_zero(), Error::<T>::MissingContentId);
    ensure!(manifest.size > 0, Error::<T>::EmptyModel);
    ensure!(manifest.size <= T::MaxModelSize::get(), Error::<T>::ModelTooLarge);
    ensure!(manifest.signature.is_well_formed(), Error::<T>::InvalidSignature);
    ensure!(
        core::str::from_utf8(&manifest.probe).is_ok(),
        Error::<T>::InvalidProbe
    );
    ensure!(
        manifest.tolerance <= T::MaxTolerance::get(),
        Error::<T>::ToleranceTooWide
    );
    ensure!(manifest.complexity > 0, Error::<T>::ZeroComplexity);
    ensure!(is_licence(&manifest.licence), Error::<T>::InvalidLicence);
    Ok(())
}

/// SPDX expressions are words between single spaces; that the words are known licences is not the chain's
/// business.
fn is_licence(licence: &[u8]) -> bool {
    !licence.is_empty()
        && licence
            .split(|c| *c == b' ')
            .all(|word| !word.is_empty() && word.iter().all(u8::is_ascii_graphic))
}
