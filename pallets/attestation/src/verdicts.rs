//! How audits end, and what follows.

use crate::{
    Audits, Batches, Config, DRAW_DELAY, Event, Fault, HoldReason, POOL_DIVISOR, Pallet, Punished,
    WeightInfo, agenda::until, audits::AuditOf,
};
use alloc::vec::Vec;
use frame_support::{
    storage::with_storage_layer,
    traits::{
        Get,
        fungible::hold::Mutate,
        tokens::{Fortitude, Precision, Restriction},
    },
    weights::Weight,
};
use frame_system::pallet_prelude::BlockNumberFor;
use llmesh_primitives::{
    AuditId, Verdict,
    attestation::{AuditState, Subject, Withheld},
    traits::{Conduct, ModelRegistry, ReputationSink, StakeProvider, VerdictHandler, VerifierPool},
};
use llmesh_proofs::audit::{self as proof_audit, Outcome, Role, Tally};
use sp_core::H256;
use sp_runtime::{DispatchResult, Perbill, Saturating};

// --- ends ------------------------------------------------------------------------------------------------------------

impl<T: Config> Pallet<T> {
    /// Does what the end of a window calls for. The audit's entry was just taken from the agenda.
    pub(crate) fn wake(id: AuditId, audit: Option<AuditOf<T>>, now: BlockNumberFor<T>) -> Weight {
        let Some(mut audit) = audit else {
            frame_support::defensive!("the agenda names an audit that is not there");
            return T::WeightInfo::wake();
        };
        if until(&audit.state).is_some_and(|until| until >= now) {
            frame_support::defensive!("the agenda looks at an audit before its time");
            Self::schedule(id, &audit.state);
            return T::WeightInfo::wake();
        }
        let ended = match audit.state {
            AuditState::Opening { .. } => {
                Self::finish(id, audit, Verdict::Withheld(Withheld::Receipt), Vec::new())
            }
            AuditState::Committing { .. } if audit.sitting().iter().any(|member| member.ballot.is_some()) => {
                Self::close_commitments(id, &mut audit);
                Audits::<T>::insert(id, audit);
                Weight::zero()
            }
            AuditState::Committing { .. } => {
                let roles = alloc::vec![Role::Silent; audit.sitting().len()];
                if Self::is_last_stage(&audit) {
                    Self::finish(id, audit, Verdict::Inconclusive, roles)
                } else {
                    Self::escalate(id, audit, roles);
                    Weight::zero()
                }
            }
            AuditState::Publishing { .. } => {
                // Those who committed did their part.
                let role = |ballot: Option<H256>| {
                    if ballot.is_some() {
                        Role::Right
                    } else {
                        Role::Silent
                    }
                };
                let roles = audit.sitting().iter().map(|member| role(member.ballot)).collect();
                Self::finish(id, audit, Verdict::Withheld(Withheld::Sketch), roles)
            }
            AuditState::Revealing { .. } => Self::count(id, audit),
            AuditState::Finished(_) => {
                frame_support::defensive!("the agenda names an audit that is over");
                Weight::zero()
            }
        };
        T::WeightInfo::wake().saturating_add(ended)
    }

    /// The votes of the present stage, counted.
    fn tally_of(audit: &AuditOf<T>) -> Tally {
        let inconclusive = || Tally {
            outcome: Outcome::Verdict(Verdict::Inconclusive),
            roles: Vec::new(),
        };
        let tolerance = audit
            .model
            .and_then(T::Registry::version)
            .map(|version| version.manifest.tolerance);
        let (Some(tolerance), Some(sketch)) = (tolerance, audit.sketch) else {
            frame_support::defensive!("votes are counted of an audit with a version and a sketch");
            return inconclusive();
        };
        let votes: Vec<_> = audit.sitting().iter().map(|member| member.vote).collect();
        let last = Self::is_last_stage(audit);
        let tally = proof_audit::tally(&votes, &sketch, tolerance, last, T::MinQuorum::get());
        if last && tally.outcome == Outcome::Escalate {
            frame_support::defensive!("there is no stage after the last");
            return inconclusive();
        }
        tally
    }

    /// Goes on from where the votes lead.
    fn conclude(id: AuditId, audit: AuditOf<T>, tally: Tally) -> Weight {
        let seats = u32::from(audit.seats);
        match tally.outcome {
            Outcome::Verdict(verdict) => Self::finish(id, audit, verdict, tally.roles),
            Outcome::Escalate => {
                Self::escalate(id, audit, tally.roles);
                T::WeightInfo::finish(seats)
            }
        }
    }

    /// Counts the votes of a stage and goes on from there.
    pub(crate) fn count(id: AuditId, audit: AuditOf<T>) -> Weight {
        let tally = Self::tally_of(&audit);
        Self::conclude(id, audit, tally)
    }

    /// As [`Self::count`], for the call of the last member that reveals. Slashes are dear, and a call would have to be
    /// weighed as if there were some every time: if there are, the next block's agenda counts again.
    pub(crate) fn count_if_cheap(id: AuditId, mut audit: AuditOf<T>) -> Weight {
        let tally = Self::tally_of(&audit);
        let convicts = matches!(tally.outcome, Outcome::Verdict(verdict) if verdict.is_conviction());
        if convicts || tally.roles.contains(&Role::Wrong) {
            let until = frame_system::Pallet::<T>::block_number();
            Self::move_on(id, &mut audit, AuditState::Revealing { until });
            let seats = u32::from(audit.seats);
            Audits::<T>::insert(id, audit);
            return T::WeightInfo::finish(seats);
        }
        Self::conclude(id, audit, tally)
    }

    /// Ends an audit. `roles` are those of the sitting members, in their order.
    pub(crate) fn finish(id: AuditId, mut audit: AuditOf<T>, verdict: Verdict, roles: Vec<Role>) -> Weight {
        let mut weight = T::WeightInfo::finish(u32::from(audit.seats));
        Self::retire(id, &audit);
        if let Some(model) = audit.model.filter(|_| !audit.members.is_empty()) {
            T::Registry::release(model);
        }
        audit.state = AuditState::Finished(verdict);
        Audits::<T>::insert(id, &audit);

        let of_role = |role: Role| -> Vec<T::AccountId> {
            let members = audit.sitting().iter().zip(&roles);
            members
                .filter(|(_, had)| **had == role)
                .map(|(member, _)| member.account.clone())
                .collect()
        };
        let right = of_role(Role::Right);
        let wrong = of_role(Role::Wrong);
        Self::deposit_event(Event::Finished {
            audit: id,
            host: audit.host.clone(),
            verdict,
            right: right.clone(),
            wrong: wrong.clone(),
            silent: of_role(Role::Silent),
        });

        let mut slashed = 0;
        if verdict.is_conviction() {
            let slash;
            (slashed, slash) = Self::convict(id, &audit, verdict);
            weight.saturating_accrue(slash);
        } else if verdict == Verdict::Match {
            T::Verdicts::on_verdict(&audit.host, Self::receipt_hash(&audit), Conduct::Match);
        }
        Self::settle_deposit(id, &audit, verdict, &right);
        Self::pay(id, &audit, slashed, &right);
        for verifier in wrong {
            let slashed = T::Stake::slash(&verifier, T::FalseVoteSlash::get(), None);
            weight.saturating_accrue(T::WeightInfo::slash());
            T::Conduct::record(&verifier, Conduct::Mismatch);
            Self::deposit_event(Event::VerifierFaulted {
                audit: id,
                verifier,
                fault: Fault::FalseVote,
                slashed,
            });
        }
        Self::record_silence(id, &audit, &roles);
        weight
    }

    /// Hash of the audited receipt; zero when it is not known.
    fn receipt_hash(audit: &AuditOf<T>) -> H256 {
        match (&audit.receipt, &audit.subject) {
            (Some(receipt), _) => receipt.hash(&audit.host),
            (None, Subject::Job { receipt, .. }) => *receipt,
            (None, _) => H256::zero(),
        }
    }
}

// --- consequences ----------------------------------------------------------------------------------------------------

impl<T: Config> Pallet<T> {
    /// Punishes the host: for all that it did in one round no more than for the worst of it. Returns what was
    /// slashed, and the weight.
    fn convict(id: AuditId, audit: &AuditOf<T>, verdict: Verdict) -> (u128, Weight) {
        let (fraction, conduct) = match verdict {
            Verdict::Withheld(_) => (T::WithheldSlash::get(), Conduct::Unavailable),
            _ => (T::MismatchSlash::get(), Conduct::Mismatch),
        };
        // For a challenge this is the round in which it was made.
        let round = audit.round.saturating_sub(DRAW_DELAY);
        let before = Punished::<T>::get(round, &audit.host).unwrap_or(Perbill::zero());
        let more = fraction.saturating_sub(before);
        Punished::<T>::insert(round, &audit.host, before.max(fraction));
        let reporter = match &audit.subject {
            Subject::Challenge { by, .. } => Some(by),
            Subject::Leaf { .. } | Subject::Job { .. } => None,
        };
        let (slashed, weight) = if more.is_zero() {
            (0, Weight::zero())
        } else {
            let slashed = T::Stake::slash(&audit.host, more, reporter);
            (slashed, T::WeightInfo::slash())
        };
        T::Verdicts::on_verdict(&audit.host, Self::receipt_hash(audit), conduct);
        Self::deposit_event(Event::HostConvicted {
            audit: id,
            host: audit.host.clone(),
            round,
            verdict,
            slashed,
        });
        (slashed, weight)
    }

    /// Pays the members that were right.
    fn pay(id: AuditId, audit: &AuditOf<T>, slashed: u128, right: &[T::AccountId]) {
        let most = Self::reward(audit, slashed, right.len());
        for verifier in right {
            let share = T::Pool::available().checked_div(POOL_DIVISOR).unwrap_or_default();
            let amount = T::Pool::pay(verifier, most.min(share));
            if amount > 0 {
                Self::deposit_event(Event::VerifierPaid {
                    audit: id,
                    verifier: verifier.clone(),
                    amount,
                });
            }
        }
    }

    /// The most that the pool pays each of `right` members: the fee, but never more than was really paid for the work.
    /// Else a host could state any fee in a receipt that it pays for itself, and its friends among the verifiers could
    /// empty the pool.
    ///
    /// Together they get no more than the audit's budget, and what the host has just lost. The budgets of a batch's audits
    /// add up to [`crate::REWARD_SHARE`] of what was paid for it, on average. With the bonus that is never more than the pool
    /// got of it: so paying oneself, with friends in every committee, still loses money.
    ///
    /// For a challenged receipt perhaps nothing was paid. There the members together get no more than the deposit, and
    /// no more than the host has just lost: nothing if its work was good; the deposit pays then.
    fn reward(audit: &AuditOf<T>, slashed: u128, right: usize) -> u128 {
        let fee = audit.receipt.as_ref().map_or(0, |receipt| receipt.fee);
        let of_drawn = |fee: u128| {
            let budget = audit.budget.saturating_add(slashed);
            fee.min(budget.checked_div(right as u128).unwrap_or_default())
        };
        match &audit.subject {
            Subject::Job { .. } => of_drawn(fee),
            Subject::Leaf { batch, .. } => {
                let paid = Batches::<T>::get(batch).map_or(0, |batch| batch.fees);
                of_drawn(fee.min(paid))
            }
            Subject::Challenge { deposit, .. } => {
                let share = slashed.min(*deposit).checked_div(right as u128);
                fee.min(share.unwrap_or_default())
            }
        }
    }

    /// Records the members that did not reveal.
    pub(crate) fn record_silence(id: AuditId, audit: &AuditOf<T>, roles: &[Role]) {
        let silent = audit
            .sitting()
            .iter()
            .zip(roles)
            .filter(|(_, role)| **role == Role::Silent);
        for (member, _) in silent {
            T::Conduct::record(&member.account, Conduct::Timeout);
            Self::deposit_event(Event::VerifierFaulted {
                audit: id,
                verifier: member.account.clone(),
                fault: Fault::Silent,
                slashed: 0,
            });
        }
    }

    /// Gives a challenger's deposit to whom it is due.
    fn settle_deposit(id: AuditId, audit: &AuditOf<T>, verdict: Verdict, right: &[T::AccountId]) {
        let Subject::Challenge { by, deposit } = &audit.subject else {
            return;
        };
        let (mut to_host, mut to_verifiers) = (0u128, 0u128);
        if verdict == Verdict::Match {
            let half = deposit.checked_div(2).unwrap_or_default();
            let each = half.checked_div(right.len() as u128).unwrap_or_default();
            for verifier in right {
                to_verifiers = to_verifiers.saturating_add(Self::give_deposit(by, verifier, each));
            }
            // What does not divide, and what a verifier can not take, is the host's.
            to_host = Self::give_deposit(by, &audit.host, deposit.saturating_sub(to_verifiers));
        }
        let given = to_host.saturating_add(to_verifiers);
        let rest = deposit.saturating_sub(given);
        let released = T::Currency::release(&HoldReason::Challenge.into(), by, rest, Precision::BestEffort);
        if let Err(error) = released {
            frame_support::defensive!("a deposit that is held can be released", error);
        }
        Self::deposit_event(Event::DepositSettled {
            audit: id,
            by: by.clone(),
            returned: rest,
            to_host,
            to_verifiers,
        });
    }

    /// Moves a part of a deposit; returns what arrived, which is nothing if the account can not take it.
    fn give_deposit(from: &T::AccountId, to: &T::AccountId, amount: u128) -> u128 {
        if amount == 0 {
            return 0;
        }
        let mut arrived = 0;
        let moved: DispatchResult = with_storage_layer(|| {
            arrived = T::Currency::transfer_on_hold(
                &HoldReason::Challenge.into(),
                from,
                to,
                amount,
                Precision::Exact,
                Restriction::Free,
                Fortitude::Force,
            )?;
            Ok(())
        });
        if moved.is_ok() { arrived } else { 0 }
    }
}
