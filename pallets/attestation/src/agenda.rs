//! What the chain does by itself: deadlines first, then draws, then removal, each as far as the block's weight reaches.

use crate::{
    Agenda, AgendaCursor, AuditKey, Audits, Config, Event, NextAudit, OpenAudits, Pallet, Parties, Rounds,
    WeightInfo, audits::AuditOf,
};
use frame_support::{
    traits::Get,
    weights::{Weight, WeightMeter},
};
use frame_system::pallet_prelude::BlockNumberFor;
use llmesh_primitives::{
    AuditId, ModelVersionId, Round,
    attestation::{AuditState, MAX_COMMITTEE, Subject},
    traits::VerifierSet,
};
use sp_core::H256;
use sp_runtime::{
    BoundedVec, Saturating,
    traits::{One, Zero},
};

impl<T: Config> Pallet<T> {
    /// What is due in a block.
    pub(crate) fn begin_block(now: BlockNumberFor<T>) -> Weight {
        let turn = Self::turn_round();
        let mut meter = WeightMeter::with_limit(T::AgendaWeight::get());
        if meter.try_consume(T::WeightInfo::idle()).is_ok() {
            Self::work_agenda(now, &mut meter);
            Self::draw_due(&mut meter);
            Self::sweep(&mut meter);
        }
        turn.saturating_add(meter.consumed())
    }

    /// The most that the end of an audit with `members` members takes: beside the host a third of them can be slashed.
    pub(crate) fn costliest_end(members: u32) -> Weight {
        let refuted = members.checked_div(3).unwrap_or_default();
        T::WeightInfo::finish(members)
            .saturating_add(T::WeightInfo::slash().saturating_mul(refuted.saturating_add(1).into()))
    }

    /// The most that one entry of the agenda can lead to.
    fn costliest_wake() -> Weight {
        T::WeightInfo::wake().saturating_add(Self::costliest_end(MAX_COMMITTEE))
    }

    /// The most that the end of this audit's window can lead to. A window without a receipt or ballots is cheaper to
    /// end than one with the votes of a whole committee; if all were taken for the dearest, few would fit into a
    /// block.
    fn weight_of_wake(audit: &AuditOf<T>) -> Weight {
        let seats = u32::from(audit.seats);
        let end = match audit.state {
            AuditState::Opening { .. } | AuditState::Publishing { .. } => {
                T::WeightInfo::finish(seats).saturating_add(T::WeightInfo::slash())
            }
            AuditState::Committing { .. } | AuditState::Finished(_) => T::WeightInfo::finish(seats),
            AuditState::Revealing { .. } => Self::costliest_end(seats),
        };
        T::WeightInfo::wake().saturating_add(end)
    }

    /// Works off the deadlines that passed, oldest first.
    fn work_agenda(now: BlockNumberFor<T>, meter: &mut WeightMeter) {
        let per_block = T::WeightInfo::idle();
        let mut cursor = AgendaCursor::<T>::get();
        let started_at = cursor;
        'blocks: while cursor <= now && meter.try_consume(per_block).is_ok() {
            // Entries that are added meanwhile lie in later blocks, so the prefix only shrinks.
            for key in Agenda::<T>::iter_key_prefix(cursor) {
                let audit = Audits::<T>::get(key.id());
                let most = audit.as_ref().map_or(T::WeightInfo::wake(), Self::weight_of_wake);
                if !meter.can_consume(most) {
                    break 'blocks;
                }
                Agenda::<T>::remove(cursor, key);
                meter.consume(Self::wake(key.id(), audit, now));
            }
            cursor = cursor.saturating_add(One::one());
        }
        if cursor != started_at {
            AgendaCursor::<T>::put(cursor);
        }
    }

    /// The last block of a window that begins now.
    pub(crate) fn window_end() -> BlockNumberFor<T> {
        frame_system::Pallet::<T>::block_number().saturating_add(T::Window::get())
    }

    /// Enters an open audit under the block after the last of its window.
    pub(crate) fn schedule(id: AuditId, state: &AuditState<BlockNumberFor<T>>) {
        if let Some(until) = until(state) {
            Agenda::<T>::insert(until.saturating_add(One::one()), AuditKey::from(id), ());
        }
    }

    fn unschedule(id: AuditId, state: &AuditState<BlockNumberFor<T>>) {
        if let Some(until) = until(state) {
            Agenda::<T>::remove(until.saturating_add(One::one()), AuditKey::from(id));
        }
    }

    /// Moves an open audit on to another state, in the agenda as well. The caller stores it.
    pub(crate) fn move_on(id: AuditId, audit: &mut AuditOf<T>, state: AuditState<BlockNumberFor<T>>) {
        Self::unschedule(id, &audit.state);
        Self::schedule(id, &state);
        audit.state = state;
    }

    /// Stores a new audit with its host's part in it. There must be room.
    pub(crate) fn start_audit(
        host: T::AccountId,
        subject: Subject<T::AccountId>,
        round: Round,
        state: AuditState<BlockNumberFor<T>>,
        seed: H256,
        budget: u128,
        model: Option<ModelVersionId>,
    ) -> (AuditId, AuditOf<T>) {
        let id = NextAudit::<T>::mutate(|next| {
            let id = *next;
            *next = next.saturating_add(1);
            id
        });
        OpenAudits::<T>::mutate(|open| *open = open.saturating_add(1));
        Rounds::<T>::mutate_extant(round, |record| record.open = record.open.saturating_add(1));
        Parties::<T>::insert(&host, AuditKey::from(id), ());
        Self::schedule(id, &state);
        Self::deposit_event(Event::AuditStarted {
            audit: id,
            host: host.clone(),
            round,
            subject: subject.clone(),
        });
        let audit = AuditOf::<T> {
            host,
            subject,
            round,
            state,
            seed,
            budget,
            receipt: None,
            model,
            stage: 0,
            seats: 0,
            members: BoundedVec::new(),
            sketch: None,
        };
        Audits::<T>::insert(id, &audit);
        (id, audit)
    }

    /// Takes an audit that ends out of the agenda, the indices and the counts.
    pub(crate) fn retire(id: AuditId, audit: &AuditOf<T>) {
        Self::unschedule(id, &audit.state);
        let key = AuditKey::from(id);
        Parties::<T>::remove(&audit.host, key);
        for member in audit.sitting() {
            Parties::<T>::remove(&member.account, key);
        }
        OpenAudits::<T>::mutate(|open| *open = open.saturating_sub(1));
        Rounds::<T>::mutate_extant(audit.round, |record| record.open = record.open.saturating_sub(1));
    }

    pub(crate) fn check_constants() {
        assert!(
            !T::Window::get().is_zero(),
            "a step of an audit must have a block to be done in"
        );
        assert!(
            T::Horizon::get() > crate::DRAW_DELAY,
            "batches must not be removed before they are drawn"
        );
        assert!(
            T::MaxSamples::get() > 0 && T::MaxOpenAudits::get() >= T::MaxSamples::get(),
            "there must be room for the audits of a batch, or it would wait for ever"
        );
        assert!(
            T::MaxJobsPerRound::get() > 0,
            "a batch of jobs must hold a result"
        );
        assert!(T::MinQuorum::get() > 0, "nobody must not convict anybody");
        let verifiers = T::Verifiers::max_verifiers();
        let most = Self::costliest_wake()
            .max(T::WeightInfo::draw_batch(verifiers, T::MaxSamples::get()))
            .max(T::WeightInfo::begin_challenge(verifiers))
            .max(Self::costliest_removal());
        assert!(
            T::AgendaWeight::get().all_gte(most.saturating_add(T::WeightInfo::idle().saturating_mul(2))),
            "AgendaWeight must have room for the costliest step, or audits would wait for ever"
        );
    }
}

/// The last block of the window that an open audit is in.
pub(crate) fn until<BlockNumber: Copy>(state: &AuditState<BlockNumber>) -> Option<BlockNumber> {
    match state {
        AuditState::Opening { until }
        | AuditState::Committing { until }
        | AuditState::Publishing { until }
        | AuditState::Revealing { until } => Some(*until),
        AuditState::Finished(_) => None,
    }
}
