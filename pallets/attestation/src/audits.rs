//! The steps of an audit, from the receipt that is shown to the last vote that is revealed, and challenges.

use crate::{
    AuditKey, Audits, Batches, ChallengeId, Challenges, Config, CurrentRound, Error, Event, HoldReason,
    NextChallenge, Pallet, Parties, PendingChallenge, Receipts, WeightInfo,
};
use alloc::vec::Vec;
use frame_support::{
    BoundedVec, ensure,
    traits::{Get, UnixTime, fungible::hold::Mutate},
    weights::Weight,
};
use frame_system::pallet_prelude::BlockNumberFor;
use llmesh_primitives::{
    Audit, AuditId, ModelVersionId, Receipt, Sketch, Verdict, Work, WorkOrigin,
    attestation::{AuditState, Batch, BatchOrigin, MAX_COMMITTEE, Member, STAGE_SEATS, Subject, Vote},
    traits::{ModelRegistry, StakeProvider},
};
use llmesh_proofs::{
    Opening, ReceiptError, SignedReceipt,
    audit::{self as proof_audit, Role},
    draw, merkle, sampling,
};
use sp_core::H256;
use sp_runtime::{DispatchError, DispatchResult, traits::Zero};

pub(crate) type AuditOf<T> = Audit<<T as frame_system::Config>::AccountId, BlockNumberFor<T>>;

// --- opening ---------------------------------------------------------------------------------------------------------

impl<T: Config> Pallet<T> {
    pub(crate) fn do_open(
        host: &T::AccountId,
        id: AuditId,
        opening: Opening,
    ) -> Result<Weight, DispatchError> {
        let mut audit = Audits::<T>::get(id).ok_or(Error::<T>::UnknownAudit)?;
        ensure!(audit.host == *host, Error::<T>::NotHost);
        let AuditState::Opening { until } = audit.state else {
            return Err(Error::<T>::NotAwaited.into());
        };
        Self::ensure_in_time(until)?;
        let (receipt, model) = Self::check_opening(&audit, opening)?;
        let manifest = T::Registry::version(model).map(|version| version.manifest);
        if let Some(manifest) = &manifest {
            Self::check_version(&receipt, manifest)?;
        }

        Receipts::<T>::insert(receipt.hash(&audit.host), Some(id));
        audit.receipt = Some(receipt);
        audit.model = Some(model);
        if manifest.is_none() {
            // Its author removed it after the work was done; the host could not do anything about it.
            let ended = Self::finish(id, audit, Verdict::Inconclusive, Vec::new());
            return Ok(T::WeightInfo::open(0).saturating_add(ended));
        }
        let looked_at = Self::seat(id, audit);
        Ok(T::WeightInfo::open(looked_at))
    }

    /// What the opening shows, if it is what the audit asks for; the signatures, which are dearest, are checked last.
    fn check_opening(audit: &AuditOf<T>, opening: Opening) -> Result<(Receipt, ModelVersionId), Error<T>> {
        match (&audit.subject, opening) {
            (Subject::Job { receipt: hash, .. }, Opening::Job { receipt, version }) => {
                ensure!(receipt.hash(&audit.host) == *hash, Error::<T>::WrongReceipt);
                ensure!(
                    audit.model.is_none_or(|model| model == version),
                    Error::<T>::WrongVersion
                );
                Ok((receipt, version))
            }
            (Subject::Leaf { batch, point }, Opening::Leaf { proof, receipt }) => {
                let batch = Batches::<T>::get(batch).ok_or(Error::<T>::UnknownAudit)?;
                Self::check_leaf(&batch, *point, &proof, &receipt)?;
                Ok((receipt.receipt, receipt.request.terms.version))
            }
            _ => Err(Error::<T>::WrongKind),
        }
    }

    fn check_leaf(
        batch: &Batch<T::AccountId>,
        point: u128,
        proof: &merkle::Proof,
        signed: &SignedReceipt,
    ) -> Result<(), Error<T>> {
        let BatchOrigin::Lane {
            channel,
            epoch,
            lane,
            covered,
            root,
            leaves,
            signer,
        } = &batch.origin
        else {
            return Err(Error::<T>::WrongKind);
        };
        ensure!(signed.host == batch.host, Error::<T>::OtherHost);
        let WorkOrigin::Request {
            channel: receipt_channel,
            epoch: receipt_epoch,
            lane: receipt_lane,
            ..
        } = signed.receipt.origin
        else {
            return Err(Error::<T>::WrongKind);
        };
        let coordinates = (receipt_channel, receipt_epoch, receipt_lane);
        ensure!(coordinates == (*channel, *epoch, *lane), Error::<T>::WrongLane);
        let (index, hash, value) = signed.leaf(*covered).ok_or(Error::<T>::WrongSequence)?;
        ensure!(index == proof.index, Error::<T>::WrongSequence);
        ensure!(signed.request.terms.client == *signer, Error::<T>::WrongClient);
        let work = Work {
            root: *root,
            leaves: *leaves,
            value: batch.value,
        };
        let values = proof.verify(&work, hash, value).ok_or(Error::<T>::WrongProof)?;
        ensure!(values.contains(&point), Error::<T>::WrongPoint);
        Self::check_signed(signed)
    }

    /// Whether the receipt is of this chain and holds by itself.
    fn check_signed(signed: &SignedReceipt) -> Result<(), Error<T>> {
        signed.verify_on(Self::genesis()).map_err(|error| match error {
            ReceiptError::OtherChain => Error::<T>::OtherChain,
            _ => Error::<T>::BadReceipt,
        })
    }

    /// Whether the receipt's work was that of the version.
    fn check_version(receipt: &Receipt, manifest: &llmesh_primitives::ModelManifest) -> Result<(), Error<T>> {
        let same = receipt.model == manifest.content_id
            && receipt.runtime_class == manifest.runtime_class
            && receipt.units == manifest.complexity;
        ensure!(same, Error::<T>::WrongVersion);
        Ok(())
    }

    /// Hash of block 0, which binds requests to this chain.
    pub(crate) fn genesis() -> H256 {
        frame_system::Pallet::<T>::block_hash(BlockNumberFor::<T>::zero())
    }

    /// Draws the committee of an audit whose receipt is known and seats the first stage; without members the audit is
    /// over. Returns how many candidates were looked at.
    pub(crate) fn seat(id: AuditId, mut audit: AuditOf<T>) -> u32 {
        let (drawn, looked_at) = Self::draw_committee(&audit);
        let model = audit.model.filter(|_| !drawn.is_empty());
        // The version must stay for as long as it is compared with.
        let Some(model) = model.filter(|model| T::Registry::acquire(*model).is_ok()) else {
            // No dearer than to seat members.
            Self::finish(id, audit, Verdict::Inconclusive, Vec::new());
            return looked_at;
        };
        let until = Self::window_end();
        if let Some(receipt) = &audit.receipt {
            Self::deposit_event(Event::Opened {
                audit: id,
                receipt: receipt.hash(&audit.host),
                model,
                members: drawn.clone(),
                until,
            });
        }
        audit.members = BoundedVec::truncate_from(
            drawn
                .into_iter()
                .map(|account| Member {
                    account,
                    ballot: None,
                    vote: None,
                })
                .collect(),
        );
        Self::open_stage(id, &mut audit, 0, until);
        Audits::<T>::insert(id, audit);
        looked_at
    }

    /// Up to 15 verifiers by stake x reputation, and how many were looked at.
    fn draw_committee(
        audit: &AuditOf<T>,
    ) -> (
        BoundedVec<T::AccountId, frame_support::traits::ConstU32<MAX_COMMITTEE>>,
        u32,
    ) {
        let mut members = BoundedVec::new();
        let Some(class) = audit.receipt.as_ref().map(|receipt| receipt.runtime_class) else {
            return (members, 0);
        };
        let (accounts, weights) = Self::weights_for(audit.round, &audit.host, class);
        let seed = sampling::committee_seed(audit.seed);
        let mut looked_at = 0usize;
        // A draw of more begins with the draw of fewer. All are drawn only if many that were drawn can not sit.
        for count in [MAX_COMMITTEE.saturating_mul(2) as usize, accounts.len()] {
            let drawn = draw::weighted(&weights, count, seed);
            for index in drawn.iter().skip(looked_at) {
                if members.is_full() {
                    break;
                }
                looked_at = looked_at.saturating_add(1);
                let fit = accounts
                    .get(*index)
                    .filter(|account| Self::can_audit(account, &audit.host));
                if let Some(account) = fit {
                    // It is not full.
                    let _ = members.try_push(account.clone());
                }
            }
            if members.is_full() || drawn.len() < count {
                break;
            }
        }
        (members, looked_at as u32)
    }

    /// Begins a stage with nothing said yet, and gives the members that sit in it their part.
    fn open_stage(id: AuditId, audit: &mut AuditOf<T>, stage: u8, until: BlockNumberFor<T>) {
        let seats = STAGE_SEATS
            .get(usize::from(stage))
            .copied()
            .unwrap_or(MAX_COMMITTEE)
            .min(audit.members.len() as u32);
        audit.stage = stage;
        audit.seats = seats as u8;
        audit.sketch = None;
        for member in audit.members.iter_mut() {
            member.ballot = None;
            member.vote = None;
        }
        for member in audit.sitting() {
            Parties::<T>::insert(&member.account, AuditKey::from(id), ());
        }
        Self::move_on(id, audit, AuditState::Committing { until });
    }

    /// Asks more members, if there are; otherwise nothing follows.
    pub(crate) fn escalate(id: AuditId, mut audit: AuditOf<T>, roles: Vec<Role>) {
        Self::record_silence(id, &audit, &roles);
        let until = Self::window_end();
        let stage = audit.stage.saturating_add(1);
        Self::open_stage(id, &mut audit, stage, until);
        Self::deposit_event(Event::Escalated {
            audit: id,
            stage,
            seats: audit.seats,
            until,
        });
        Audits::<T>::insert(id, audit);
    }

    /// Whether there is nobody else to ask.
    pub(crate) fn is_last_stage(audit: &AuditOf<T>) -> bool {
        usize::from(audit.seats) >= audit.members.len()
    }
}

// --- commitments and votes -------------------------------------------------------------------------------------------

impl<T: Config> Pallet<T> {
    fn ensure_in_time(until: BlockNumberFor<T>) -> Result<(), Error<T>> {
        ensure!(
            frame_system::Pallet::<T>::block_number() <= until,
            Error::<T>::TooLate
        );
        Ok(())
    }

    /// The account's seat in the present stage.
    fn seat_of<'a>(
        audit: &'a mut AuditOf<T>,
        who: &T::AccountId,
    ) -> Result<&'a mut Member<T::AccountId>, Error<T>> {
        let seats = usize::from(audit.seats);
        audit
            .members
            .iter_mut()
            .take(seats)
            .find(|member| member.account == *who)
            .ok_or(Error::<T>::NotMember)
    }

    pub(crate) fn do_commit(who: &T::AccountId, id: AuditId, ballot: H256) -> DispatchResult {
        let mut audit = Audits::<T>::get(id).ok_or(Error::<T>::UnknownAudit)?;
        let AuditState::Committing { until } = audit.state else {
            return Err(Error::<T>::NotAwaited.into());
        };
        Self::ensure_in_time(until)?;
        let stage = audit.stage;
        let member = Self::seat_of(&mut audit, who)?;
        ensure!(member.ballot.is_none(), Error::<T>::AlreadyCommitted);
        member.ballot = Some(ballot);
        Self::deposit_event(Event::Committed {
            audit: id,
            stage,
            verifier: who.clone(),
        });
        if audit.sitting().iter().all(|member| member.ballot.is_some()) {
            Self::close_commitments(id, &mut audit);
        }
        Audits::<T>::insert(id, audit);
        Ok(())
    }

    /// Now it is the host's turn. The caller stores the audit.
    pub(crate) fn close_commitments(id: AuditId, audit: &mut AuditOf<T>) {
        let until = Self::window_end();
        Self::move_on(id, audit, AuditState::Publishing { until });
        let ballots = audit.sitting().iter().filter(|m| m.ballot.is_some()).count();
        Self::deposit_event(Event::CommitmentsClosed {
            audit: id,
            stage: audit.stage,
            ballots: ballots as u32,
            until,
        });
    }

    pub(crate) fn do_publish(host: &T::AccountId, id: AuditId, sketch: Sketch) -> DispatchResult {
        let mut audit = Audits::<T>::get(id).ok_or(Error::<T>::UnknownAudit)?;
        ensure!(audit.host == *host, Error::<T>::NotHost);
        let AuditState::Publishing { until } = audit.state else {
            return Err(Error::<T>::NotAwaited.into());
        };
        Self::ensure_in_time(until)?;
        audit.sketch = Some(sketch);
        let until = Self::window_end();
        Self::move_on(id, &mut audit, AuditState::Revealing { until });
        Self::deposit_event(Event::SketchPublished {
            audit: id,
            stage: audit.stage,
            sketch,
            until,
        });
        Audits::<T>::insert(id, audit);
        Ok(())
    }

    pub(crate) fn do_reveal(
        who: &T::AccountId,
        id: AuditId,
        vote: Vote,
        salt: [u8; 32],
    ) -> Result<Weight, DispatchError> {
        let mut audit = Audits::<T>::get(id).ok_or(Error::<T>::UnknownAudit)?;
        let AuditState::Revealing { until } = audit.state else {
            return Err(Error::<T>::NotAwaited.into());
        };
        Self::ensure_in_time(until)?;
        let stage = audit.stage;
        let member = Self::seat_of(&mut audit, who)?;
        let ballot = member.ballot.ok_or(Error::<T>::NoBallot)?;
        ensure!(member.vote.is_none(), Error::<T>::AlreadyRevealed);
        ensure!(
            proof_audit::ballot(id, stage, who, &vote.finding, &salt) == ballot,
            Error::<T>::WrongReveal
        );
        member.vote = Some(vote);
        Self::deposit_event(Event::Revealed {
            audit: id,
            stage,
            verifier: who.clone(),
            vote,
        });
        let awaited = |member: &Member<T::AccountId>| member.ballot.is_some() && member.vote.is_none();
        if audit.sitting().iter().any(awaited) {
            Audits::<T>::insert(id, audit);
            return Ok(T::WeightInfo::reveal());
        }
        Ok(T::WeightInfo::reveal().saturating_add(Self::count_if_cheap(id, audit)))
    }
}

// --- challenges ------------------------------------------------------------------------------------------------------

impl<T: Config> Pallet<T> {
    pub(crate) fn do_challenge(who: &T::AccountId, signed: &SignedReceipt) -> DispatchResult {
        let terms = &signed.request.terms;
        let now = u64::try_from(T::Time::now().as_millis()).unwrap_or(u64::MAX);
        ensure!(
            terms.expires_at.saturating_add(T::ChallengePeriod::get()) >= now,
            Error::<T>::ChallengeTooLate
        );
        let hash = signed.hash();
        ensure!(!Receipts::<T>::contains_key(hash), Error::<T>::AlreadyChallenged);
        let deposit = T::ChallengeDeposit::get();
        let least_slash = T::WithheldSlash::get().mul_floor(T::Stake::stake_of(&signed.host));
        ensure!(least_slash >= deposit, Error::<T>::TooLittleAtStake);
        let version = T::Registry::version(terms.version).ok_or(Error::<T>::UnknownModel)?;
        Self::check_version(&signed.receipt, &version.manifest)?;
        Self::check_signed(signed)?;

        T::Currency::hold(&HoldReason::Challenge.into(), who, deposit)?;
        let id = NextChallenge::<T>::mutate(|next: &mut ChallengeId| {
            let id = *next;
            *next = next.saturating_add(1);
            id
        });
        Challenges::<T>::insert(
            id,
            PendingChallenge {
                by: who.clone(),
                deposit,
                host: signed.host.clone(),
                receipt: signed.receipt.clone(),
                model: terms.version,
                round: CurrentRound::<T>::get(),
            },
        );
        Receipts::<T>::insert(hash, None::<AuditId>);
        Self::deposit_event(Event::ChallengeQueued {
            challenge: id,
            by: who.clone(),
            host: signed.host.clone(),
            receipt: hash,
            deposit,
        });
        Ok(())
    }
}
