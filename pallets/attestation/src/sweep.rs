//! Removal of what is past the horizon, and the bonus for work that nobody found fault with.

use crate::{
    Audits, Batches, ChallengeCursor, Challenges, Config, CurrentRound, DRAW_DELAY, DrawCursor, Event,
    JobBatches, JobLeaves, NextAudit, OldestAudit, OldestBatch, OldestRound, Pallet, Punished, Receipts,
    Rounds, Snapshots, SweptLeaves, WeightInfo,
};
use frame_support::{
    traits::Get,
    weights::{Weight, WeightMeter},
};
use llmesh_primitives::{
    AuditId, BatchId, Round,
    attestation::{AuditState, Batch, BatchOrigin},
    traits::VerifierPool,
};

/// Entries that one step of a removal takes at most.
pub(crate) const SWEEP_STEP: u32 = 64;

impl<T: Config> Pallet<T> {
    /// The most that one step of the removal takes.
    pub(crate) fn costliest_removal() -> Weight {
        T::WeightInfo::remove_batch()
            .max(T::WeightInfo::remove_leaves(SWEEP_STEP))
            .max(T::WeightInfo::remove_audit())
            .max(T::WeightInfo::remove_round(SWEEP_STEP))
    }

    /// Removes what is past the horizon, as far as the weight reaches.
    pub(crate) fn sweep(meter: &mut WeightMeter) {
        Self::sweep_batches(meter);
        Self::sweep_audits(meter);
        Self::sweep_rounds(meter);
    }

    /// Whether audits of the work of `round` are open.
    fn has_open_audits(round: Round) -> bool {
        Rounds::<T>::get(round.saturating_add(DRAW_DELAY)).is_some_and(|record| record.open > 0)
    }

    pub(crate) fn sweep_batches(meter: &mut WeightMeter) {
        let step = Self::costliest_removal();
        let end = DrawCursor::<T>::get();
        let mut oldest = OldestBatch::<T>::get();
        let started_at = oldest;
        while oldest < end && meter.can_consume(step) {
            let Some(batch) = Batches::<T>::get(oldest) else {
                frame_support::defensive!("a batch that is not removed is there");
                oldest = oldest.saturating_add(1);
                continue;
            };
            if !Self::is_past_horizon(batch.round) || Self::has_open_audits(batch.round) {
                break;
            }
            if matches!(batch.origin, BatchOrigin::Jobs) {
                let (weight, done) = Self::remove_leaves(oldest, &batch);
                meter.consume(weight);
                if !done {
                    continue;
                }
                if !meter.can_consume(step) {
                    break;
                }
            }
            meter.consume(T::WeightInfo::remove_batch());
            Self::remove_batch(oldest, &batch);
            oldest = oldest.saturating_add(1);
        }
        if oldest != started_at {
            OldestBatch::<T>::put(oldest);
        }
    }

    /// Removes some leaves of the oldest batch. Returns whether none is left.
    pub(crate) fn remove_leaves(id: BatchId, batch: &Batch<T::AccountId>) -> (Weight, bool) {
        let from = SweptLeaves::<T>::get();
        let to = from.saturating_add(SWEEP_STEP).min(batch.receipts);
        for index in from..to {
            JobLeaves::<T>::remove(id, index);
        }
        SweptLeaves::<T>::put(to);
        let weight = T::WeightInfo::remove_leaves(to.saturating_sub(from));
        (weight, to == batch.receipts)
    }

    fn remove_batch(id: BatchId, batch: &Batch<T::AccountId>) {
        Batches::<T>::remove(id);
        SweptLeaves::<T>::kill();
        JobBatches::<T>::mutate_exists(&batch.host, |last| {
            if *last == Some(id) {
                *last = None;
            }
        });
        // With a conviction the cut is lost: it counts from 0 again.
        let cut = T::Pool::take_cut(&batch.host);
        if cut == 0 || Punished::<T>::contains_key(batch.round, &batch.host) {
            return;
        }
        let amount = T::Pool::pay(&batch.host, T::BonusShare::get().mul_floor(cut));
        if amount > 0 {
            Self::deposit_event(Event::BonusPaid {
                batch: id,
                host: batch.host.clone(),
                cut,
                amount,
            });
        }
    }

    pub(crate) fn sweep_audits(meter: &mut WeightMeter) {
        let step = T::WeightInfo::remove_audit();
        let end = NextAudit::<T>::get();
        let mut oldest = OldestAudit::<T>::get();
        let started_at = oldest;
        while oldest < end && meter.try_consume(step).is_ok() {
            let Some(audit) = Audits::<T>::get(oldest) else {
                frame_support::defensive!("an audit that is not removed is there");
                oldest = oldest.saturating_add(1);
                continue;
            };
            let over = matches!(audit.state, AuditState::Finished(_));
            if !over || !Self::is_past_horizon(audit.round) {
                break;
            }
            if let Some(receipt) = &audit.receipt {
                Self::forget_receipt(oldest, receipt.hash(&audit.host));
            }
            Audits::<T>::remove(oldest);
            oldest = oldest.saturating_add(1);
        }
        if oldest != started_at {
            OldestAudit::<T>::put(oldest);
        }
    }

    /// Removes what is remembered of a receipt, unless a later audit needs it.
    fn forget_receipt(id: AuditId, hash: sp_core::H256) {
        if Receipts::<T>::get(hash) == Some(Some(id)) {
            Receipts::<T>::remove(hash);
        }
    }

    pub(crate) fn sweep_rounds(meter: &mut WeightMeter) {
        let step = T::WeightInfo::remove_round(SWEEP_STEP);
        let mut oldest = OldestRound::<T>::get();
        let started_at = oldest;
        while oldest < CurrentRound::<T>::get() && meter.can_consume(step) {
            if !Self::is_forgettable(oldest) {
                meter.consume(T::WeightInfo::remove_round(0));
                break;
            }
            let mut removed = 0u32;
            // The records of the work that this round drew go with it.
            if let Some(work) = oldest.checked_sub(DRAW_DELAY) {
                for _ in Punished::<T>::drain_prefix(work).take(SWEEP_STEP as usize) {
                    removed = removed.saturating_add(1);
                }
            }
            meter.consume(T::WeightInfo::remove_round(removed));
            if removed == SWEEP_STEP {
                // There may be more.
                continue;
            }
            Rounds::<T>::remove(oldest);
            Snapshots::<T>::remove(oldest);
            oldest = oldest.saturating_add(1);
        }
        if oldest != started_at {
            OldestRound::<T>::put(oldest);
        }
    }

    /// Whether nothing will be drawn with the round's randomness any more, and nothing of what was is left.
    fn is_forgettable(round: Round) -> bool {
        // What is oldest is of the earliest round.
        let batches_are_later = Batches::<T>::get(OldestBatch::<T>::get())
            .is_none_or(|batch| batch.round.saturating_add(DRAW_DELAY) > round);
        let challenges_are_later = Challenges::<T>::get(ChallengeCursor::<T>::get())
            .is_none_or(|challenge| challenge.round.saturating_add(DRAW_DELAY) > round);
        let audits_are_later =
            Audits::<T>::get(OldestAudit::<T>::get()).is_none_or(|audit| audit.round > round);
        let is_open = Rounds::<T>::get(round).is_some_and(|record| record.open > 0);
        Self::is_past_horizon(round)
            && batches_are_later
            && challenges_are_later
            && audits_are_later
            && !is_open
    }
}
