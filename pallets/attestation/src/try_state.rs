//! The pallet's invariants.

use crate::{
    Agenda, AgendaCursor, AuditKey, Audits, Batches, ChallengeCursor, Challenges, Config, CurrentRound,
    DrawCursor, HoldReason, JobBatches, JobLeaves, NextAudit, NextBatch, NextChallenge, OldestAudit,
    OldestBatch, OldestRound, OpenAudits, Pallet, Parties, Punished, Receipts, Rounds, Snapshots,
    SweptLeaves, agenda::until,
};
use alloc::collections::{BTreeMap, BTreeSet};
use frame_support::{
    ensure,
    traits::{Get, fungible::hold::Inspect},
};
use llmesh_primitives::attestation::{AuditState, BatchOrigin, Subject};
use sp_runtime::{Saturating, TryRuntimeError, traits::One};

impl<T: Config> Pallet<T> {
    /// Checks the pallet's invariants:
    ///
    /// - Batches, audits, challenges and rounds are there from the oldest to the next, without a gap and nothing
    ///   beyond.
    /// - An open audit has one entry in the agenda, not before its cursor, and its host and sitting members have it in
    ///   their index; nothing else is in agenda and index. The counts of open audits are right.
    /// - The leaves of a batch of jobs are as many as it says, their ends rise, and the last is its value.
    /// - What is held of each challenger is the sum over its challenges that are not decided.
    /// - Marks of receipts and requests belong to an audit or a challenge that is there.
    ///
    /// # Errors
    /// Which of them does not hold.
    pub fn do_try_state() -> Result<(), TryRuntimeError> {
        let mut deposits = BTreeMap::<T::AccountId, u128>::new();
        Self::check_rounds()?;
        Self::check_batches()?;
        Self::check_audits(&mut deposits)?;
        Self::check_challenges(&mut deposits)?;
        for (who, sum) in deposits {
            ensure!(
                T::Currency::balance_on_hold(&HoldReason::Challenge.into(), &who) == sum,
                "a challenger's deposits are not what is held"
            );
        }
        Self::check_marks()
    }

    fn check_rounds() -> Result<(), TryRuntimeError> {
        let (oldest, current) = (OldestRound::<T>::get(), CurrentRound::<T>::get());
        let mut open = BTreeMap::new();
        for audit in Audits::<T>::iter_values() {
            if !matches!(audit.state, AuditState::Finished(_)) {
                *open.entry(audit.round).or_insert(0u32) += 1;
            }
        }
        for (round, record) in Rounds::<T>::iter() {
            ensure!(oldest <= round && round <= current, "a round is out of range");
            ensure!(
                record.open == open.remove(&round).unwrap_or(0),
                "a round's count of open audits is wrong"
            );
        }
        ensure!(open.is_empty(), "an open audit's round is not there");
        for round in Snapshots::<T>::iter_keys() {
            ensure!(
                Rounds::<T>::contains_key(round),
                "a snapshot without a round is there"
            );
        }
        for (round, ..) in Punished::<T>::iter() {
            ensure!(
                round.saturating_add(crate::DRAW_DELAY) >= oldest,
                "a punishment outlives its round"
            );
        }
        Ok(())
    }

    fn check_batches() -> Result<(), TryRuntimeError> {
        let (oldest, cursor, next) = (
            OldestBatch::<T>::get(),
            DrawCursor::<T>::get(),
            NextBatch::<T>::get(),
        );
        ensure!(
            oldest <= cursor && cursor <= next,
            "the batches' cursors are out of order"
        );
        ensure!(
            Batches::<T>::iter_keys().count() as u64 == next - oldest,
            "the number of batches is wrong"
        );
        let mut leaves = 0u64;
        let mut round = 0;
        for id in oldest..next {
            let batch = Batches::<T>::get(id).ok_or("a batch is missing")?;
            ensure!(batch.round >= round, "batches are not in order of rounds");
            round = batch.round;
            if !matches!(batch.origin, BatchOrigin::Jobs) {
                ensure!(batch.value > 0, "a lane's batch has no value");
                continue;
            }
            ensure!(
                batch.receipts <= T::MaxJobsPerRound::get(),
                "a batch of jobs has too many leaves"
            );
            let swept = if id == oldest { SweptLeaves::<T>::get() } else { 0 };
            let mut end = 0;
            for index in swept..batch.receipts {
                let leaf = JobLeaves::<T>::get(id, index).ok_or("a leaf is missing")?;
                ensure!(leaf.end >= end, "the ends of leaves do not rise");
                end = leaf.end;
                leaves += 1;
            }
            ensure!(
                end == batch.value || swept == batch.receipts,
                "the last leaf's end is not the batch's"
            );
        }
        ensure!(
            JobLeaves::<T>::iter_keys().count() as u64 == leaves,
            "there are leaves without a batch"
        );
        for (host, id) in JobBatches::<T>::iter() {
            let batch = Batches::<T>::get(id).ok_or("a host's last batch is not there")?;
            ensure!(batch.host == host, "a host's last batch is another's");
        }
        Ok(())
    }

    fn check_audits(deposits: &mut BTreeMap<T::AccountId, u128>) -> Result<(), TryRuntimeError> {
        let (oldest, next) = (OldestAudit::<T>::get(), NextAudit::<T>::get());
        ensure!(
            Audits::<T>::iter_keys().count() as u64 == next - oldest,
            "the number of audits is wrong"
        );
        let (mut open, mut agenda, mut parties) = (0u32, BTreeSet::new(), BTreeSet::new());
        for id in oldest..next {
            let audit = Audits::<T>::get(id).ok_or("an audit is missing")?;
            let key = AuditKey::from(id);
            ensure!(
                usize::from(audit.seats) <= audit.members.len(),
                "more seats than members"
            );
            let mut accounts: BTreeSet<_> = audit.members.iter().map(|m| &m.account).collect();
            ensure!(accounts.len() == audit.members.len(), "a member sits twice");
            ensure!(accounts.insert(&audit.host), "a host sits in its own audit");
            let Some(until) = until(&audit.state) else {
                continue;
            };
            open += 1;
            let at = until.saturating_add(One::one());
            ensure!(at >= AgendaCursor::<T>::get(), "a deadline is behind the cursor");
            agenda.insert((key, at));
            parties.insert((audit.host.clone(), key));
            for member in audit.sitting() {
                parties.insert((member.account.clone(), key));
            }
            if let Subject::Challenge { by, deposit } = audit.subject {
                *deposits.entry(by).or_default() += deposit;
            }
        }
        ensure!(
            open == OpenAudits::<T>::get(),
            "the count of open audits is wrong"
        );
        ensure!(open <= T::MaxOpenAudits::get(), "too many audits are open");
        let stored: BTreeSet<_> = Agenda::<T>::iter_keys().map(|(at, key)| (key, at)).collect();
        ensure!(stored == agenda, "the agenda is not that of the open audits");
        let stored: BTreeSet<_> = Parties::<T>::iter_keys().collect();
        ensure!(stored == parties, "the index is not that of the open audits");
        Ok(())
    }

    fn check_challenges(deposits: &mut BTreeMap<T::AccountId, u128>) -> Result<(), TryRuntimeError> {
        let (cursor, next) = (ChallengeCursor::<T>::get(), NextChallenge::<T>::get());
        ensure!(
            Challenges::<T>::iter_keys().count() as u64 == next - cursor,
            "the number of challenges is wrong"
        );
        for id in cursor..next {
            let challenge = Challenges::<T>::get(id).ok_or("a challenge is missing")?;
            *deposits.entry(challenge.by).or_default() += challenge.deposit;
        }
        Ok(())
    }

    fn check_marks() -> Result<(), TryRuntimeError> {
        let waiting: BTreeSet<_> = Challenges::<T>::iter_values()
            .map(|challenge| challenge.receipt.hash(&challenge.host))
            .collect();
        for (hash, audit) in Receipts::<T>::iter() {
            let known = match audit {
                Some(id) => Audits::<T>::contains_key(id),
                None => waiting.contains(&hash),
            };
            ensure!(known, "a receipt is remembered for nothing");
        }
        Ok(())
    }
}
