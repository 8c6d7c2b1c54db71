//! Election of validators and their offences.
//!
//! The session pallet asks for a set with every session. It is told of one only when accounts or keys changed: a new set
//! makes GRANDPA change its authorities even if it equals the old one.
//!
//! Validators are identified in historical proofs by their account alone ([`UnitIdentification`]). Stake in the
//! identification would let the same offence be reported once for each amount of stake that the offender ever had,
//! because reports are told apart by the offender's identification.

use crate::{Candidates, Config, Operators, Pallet, PunishedOffences, WeightInfo};
use alloc::vec::Vec;
use core::marker::PhantomData;
use frame_support::{
    traits::{Get, ValidatorRegistration},
    weights::Weight,
};
use llmesh_primitives::traits::{Conduct, ReputationSink};
use pallet_session::historical;
use sp_runtime::{PerThing, Perbill, traits::Convert};
use sp_staking::{
    SessionIndex,
    offence::{OffenceDetails, OffenceSeverity, OnOffenceHandler},
};

/// Identifies a validator by nothing but its account; for `FullIdentificationOf` of the historical session pallet.
pub struct UnitIdentification<T>(PhantomData<T>);

impl<T: Config> Convert<T::AccountId, Option<()>> for UnitIdentification<T> {
    fn convert(_: T::AccountId) -> Option<()> {
        // Also for validators that unbonded meanwhile: they answer for their sessions all the same.
        Some(())
    }
}

/// What an election comes to.
pub(crate) struct Election<AccountId> {
    /// In order of their accounts.
    pub elected: Vec<AccountId>,
    /// Candidates that could not be elected for want of session keys.
    pub keyless: Vec<AccountId>,
}

impl<T: Config> Pallet<T> {
    /// The candidates with the most stake, own and delegated; of equals the one with the smaller account.
    pub(crate) fn elect() -> Election<T::AccountId> {
        let mut keyless = Vec::new();
        let mut ranking = Vec::new();
        for who in Candidates::<T>::iter_keys() {
            let stake = Operators::<T>::get(&who).map_or(0, |operator| operator.stake());
            if T::SessionKeys::is_registered(&who) {
                ranking.push((stake, who));
            } else {
                keyless.push(who);
            }
        }
        ranking.sort_unstable_by(|(stake_a, a), (stake_b, b)| stake_b.cmp(stake_a).then_with(|| a.cmp(b)));
        let seats = usize::try_from(T::MaxValidators::get()).unwrap_or(usize::MAX);
        ranking.truncate(seats);
        // A stable order: a validator's index changes only with the set, not with every change of stake.
        let mut elected: Vec<_> = ranking.into_iter().map(|(_, who)| who).collect();
        elected.sort_unstable();
        Election { elected, keyless }
    }
}

impl<T> Pallet<T>
where
    T: Config + pallet_session::Config<ValidatorId = <T as frame_system::Config>::AccountId>,
{
    /// The set for the next session, or `None` if there is nobody to elect or, unless `always`, if the session pallet
    /// has it already.
    pub(crate) fn plan_session(always: bool) -> Option<Vec<T::AccountId>> {
        let Election { elected, keyless } = Self::elect();
        for who in keyless {
            log::warn!(target: crate::LOG_TARGET, "{who:?} has no session keys and is no candidate any more");
            Self::remove_candidate(&who);
        }
        let next = if elected.is_empty() {
            pallet_session::Validators::<T>::get()
        } else {
            elected
        };
        let keyed: Vec<_> = next
            .into_iter()
            .filter_map(|who| pallet_session::Pallet::<T>::load_keys(&who).map(|keys| (who, keys)))
            .collect();
        // While a session is planned these are the keys of the set that is just taking over, which is also what the
        // session pallet would queue again by itself.
        let unchanged = !always && keyed == pallet_session::QueuedKeys::<T>::get();
        if keyed.is_empty() || unchanged {
            return None;
        }
        Some(keyed.into_iter().map(|(who, _)| who).collect())
    }
}

impl<T> pallet_session::SessionManager<T::AccountId> for Pallet<T>
where
    T: Config + pallet_session::Config<ValidatorId = <T as frame_system::Config>::AccountId>,
{
    fn new_session(_: SessionIndex) -> Option<Vec<T::AccountId>> {
        Self::plan_session(false)
    }

    fn start_session(start_index: SessionIndex) {
        // Offences of the session that ceases to be reportable; there are no more of them than validators.
        if let Some(index) = start_index.checked_sub(T::ReportableSessions::get().saturating_add(1)) {
            let _ = PunishedOffences::<T>::clear_prefix(index, T::MaxCandidates::get(), None);
        }
    }

    fn end_session(_: SessionIndex) {}
}

impl<T> historical::SessionManager<T::AccountId, ()> for Pallet<T>
where
    T: Config
        + historical::Config
        + pallet_session::Config<ValidatorId = <T as frame_system::Config>::AccountId>,
{
    fn new_session(new_index: SessionIndex) -> Option<Vec<(T::AccountId, ())>> {
        // A set that is not announced inherits the root that proofs are checked against. Without one, as when the
        // session pallet took its first set from its own genesis, no offence could be proven later.
        let previous = new_index.saturating_sub(1);
        let always = !historical::HistoricalSessions::<T>::contains_key(previous);
        Self::plan_session(always).map(|set| set.into_iter().map(|who| (who, ())).collect())
    }

    fn start_session(start_index: SessionIndex) {
        if let Some(oldest) = start_index.checked_sub(T::ReportableSessions::get()) {
            historical::Pallet::<T>::prune_up_to(oldest);
        }
        <Self as pallet_session::SessionManager<_>>::start_session(start_index);
    }

    fn end_session(_: SessionIndex) {}
}

impl<T> OnOffenceHandler<T::AccountId, historical::IdentificationTuple<T>, Weight> for Pallet<T>
where
    T: Config
        + historical::Config
        + pallet_session::Config<ValidatorId = <T as frame_system::Config>::AccountId>,
{
    /// Slashes each offender at once, takes it off the candidates, disables it as far as the session pallet's strategy
    /// goes, and reports it to reputation.
    ///
    /// A report lists earlier offenders of the same time slot again, with a fraction that grew. Of all fractions that an
    /// operator incurs in a session only the highest counts.
    fn on_offence(
        offenders: &[OffenceDetails<T::AccountId, historical::IdentificationTuple<T>>],
        slash_fractions: &[Perbill],
        session: SessionIndex,
    ) -> Weight {
        let mut weight = Weight::zero();
        for (details, fraction) in offenders.iter().zip(slash_fractions.iter().copied()) {
            let who = &details.offender.0;
            let punished = PunishedOffences::<T>::get(session, who);
            weight.saturating_accrue(T::DbWeight::get().reads_writes(1, 1));
            if punished.is_some_and(|before| before >= fraction) {
                continue;
            }
            PunishedOffences::<T>::insert(session, who, fraction);
            if punished.is_none() {
                T::Reputation::record(who, Conduct::Offence);
            }
            let delegators = Operators::<T>::get(who).map_or(0, |operator| operator.delegators);
            Self::do_slash(
                who,
                additional_fraction(punished.unwrap_or_default(), fraction),
                details.reporters.first(),
            );
            Self::remove_candidate(who);
            pallet_session::Pallet::<T>::report_offence(who.clone(), OffenceSeverity(fraction));
            weight.saturating_accrue(<T as Config>::WeightInfo::slash(delegators));
            weight.saturating_accrue(T::DbWeight::get().reads_writes(6, 6));
        }
        weight
    }
}

/// The fraction of what a slash of `before` left that makes the whole slash `after`.
pub(crate) fn additional_fraction(before: Perbill, after: Perbill) -> Perbill {
    let more = after.deconstruct().saturating_sub(before.deconstruct());
    let left = before.left_from_one().deconstruct();
    if more == 0 {
        Perbill::zero()
    } else {
        Perbill::from_rational(more, left)
    }
}
