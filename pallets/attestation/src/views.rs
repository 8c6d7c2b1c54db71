//! Reads for people and workers.

use crate::{
    Audits, Batches, Config, CurrentRound, NextAudit, OldestAudit, OpenAudits, Pallet, Parties,
    agenda::until, audits::AuditOf,
};
use alloc::vec::Vec;
use frame_support::traits::Get;
use frame_system::pallet_prelude::BlockNumberFor;
use llmesh_primitives::{
    AuditId,
    attestation::{AttestationStatus, AuditState, Duty, DutyItem, Subject},
};

/// Most items of [`Pallet::duties`].
pub const MAX_DUTIES: u32 = 256;
/// Most items of [`Pallet::audits`].
pub const MAX_AUDITS: u32 = 100;

impl<T: Config> Pallet<T> {
    pub(crate) fn read_status() -> AttestationStatus<BlockNumberFor<T>> {
        AttestationStatus {
            round: CurrentRound::<T>::get(),
            window: T::Window::get(),
            horizon: T::Horizon::get(),
            challenge_period_ms: T::ChallengePeriod::get(),
            open_audits: OpenAudits::<T>::get(),
        }
    }

    pub(crate) fn read_duties(
        who: &T::AccountId,
        limit: u32,
    ) -> Vec<DutyItem<T::AccountId, BlockNumberFor<T>>> {
        let now = frame_system::Pallet::<T>::block_number();
        Parties::<T>::iter_key_prefix(who)
            .filter_map(|key| {
                let id = key.id();
                let record = Audits::<T>::get(id)?;
                let duty = duty_of::<T>(&record, who)?;
                let until = until(&record.state).filter(|until| now <= *until)?;
                let batch = match record.subject {
                    Subject::Leaf { batch, .. } => Batches::<T>::get(batch),
                    Subject::Job { .. } | Subject::Challenge { .. } => None,
                };
                Some(DutyItem {
                    audit: id,
                    duty,
                    until,
                    record,
                    batch,
                })
            })
            .take(limit.min(MAX_DUTIES) as usize)
            .collect()
    }

    pub(crate) fn read_audits(
        from: AuditId,
        limit: u32,
        who: Option<&T::AccountId>,
    ) -> Vec<(AuditId, AuditOf<T>)> {
        let has_part = |audit: &AuditOf<T>| {
            who.is_none_or(|who| {
                audit.host == *who || audit.members.iter().any(|member| member.account == *who)
            })
        };
        (from.max(OldestAudit::<T>::get())..NextAudit::<T>::get())
            .filter_map(|id| Some((id, Audits::<T>::get(id)?)))
            .filter(|(_, audit)| has_part(audit))
            .take(limit.min(MAX_AUDITS) as usize)
            .collect()
    }
}

/// What the audit waits for from the account.
fn duty_of<T: Config>(audit: &AuditOf<T>, who: &T::AccountId) -> Option<Duty> {
    if audit.host == *who {
        return match audit.state {
            AuditState::Opening { .. } => Some(Duty::Open),
            AuditState::Committing { .. } => Some(Duty::GiveInput),
            AuditState::Publishing { .. } => Some(Duty::Publish),
            AuditState::Revealing { .. } => Some(Duty::GivePreimages),
            AuditState::Finished(_) => None,
        };
    }
    let member = audit.sitting().iter().find(|member| member.account == *who)?;
    match audit.state {
        AuditState::Committing { .. } if member.ballot.is_none() => Some(Duty::Commit),
        AuditState::Revealing { .. } if member.ballot.is_some() && member.vote.is_none() => {
            Some(Duty::Reveal)
        }
        _ => None,
    }
}
