//! Rounds, the batches that are made in them, and their draw.

use crate::{
    Batches, Candidate, ChallengeCursor, Challenges, Config, CurrentRound, DRAW_DELAY, DrawCursor, Event,
    HoldReason, JobBatches, JobLeaf, JobLeaves, JobModels, LastEpoch, MaxVerifiers, NextBatch, NextChallenge,
    OpenAudits, Pallet, PendingChallenge, REWARD_SHARE, Receipts, RoundRecord, Rounds, Snapshots, WeightInfo,
};
use alloc::{collections::BTreeSet, vec::Vec};
use codec::Encode;
use frame_support::{
    BoundedVec,
    traits::{Get, Randomness, fungible::hold::Mutate, tokens::Precision},
    weights::{Weight, WeightMeter},
};
use llmesh_primitives::{
    BatchId, ChannelId, JobId, LaneId, Receipt, Round, RuntimeClass, Work,
    attestation::{AuditState, Batch, BatchOrigin, Subject},
    traits::{ReceiptSink, ReputationProvider, StakeProvider, VerifierSet, WorkSink},
};
use llmesh_proofs::sampling;
use sp_core::H256;
use sp_runtime::{
    AccountId32, PerThing, Perbill, Rounding,
    helpers_128bit::multiply_by_rational_with_rounding,
    traits::{BlakeTwo256, Hash},
};

/// Keeps the seed of a challenge apart from those of batches.
const CHALLENGE_DOMAIN: &[u8] = b"llmesh/poc-challenge/v1";

// --- rounds ----------------------------------------------------------------------------------------------------------

impl<T: Config> Pallet<T> {
    /// Begins a round if the block is the first of an epoch.
    pub(crate) fn turn_round() -> Weight {
        let epoch = T::Epoch::get();
        let last = LastEpoch::<T>::get();
        if last == Some(epoch) {
            return Weight::zero();
        }
        LastEpoch::<T>::put(epoch);
        let mut round = CurrentRound::<T>::get();
        if last.is_some() {
            round = round.saturating_add(1);
            CurrentRound::<T>::put(round);
        }
        let (randomness, _) = T::Randomness::random(b"llmesh/attestation/v1");
        let candidates = Self::candidates();
        let verifiers = candidates.len() as u32;
        Rounds::<T>::insert(round, RoundRecord { randomness, open: 0 });
        Snapshots::<T>::insert(round, candidates);
        Self::deposit_event(Event::RoundStarted {
            round,
            epoch,
            randomness,
            verifiers,
        });
        T::WeightInfo::begin_round(verifiers)
    }

    fn candidates() -> BoundedVec<Candidate<T::AccountId>, MaxVerifiers<T>> {
        let candidates = T::Verifiers::verifiers().into_iter().map(|verifier| Candidate {
            weight: T::Reputation::score(&verifier.account).mul_floor(verifier.stake),
            account: verifier.account,
            classes: verifier.classes,
        });
        BoundedVec::truncate_from(candidates.collect())
    }

    /// Whether work of `round` is too old to be drawn, and its records can go.
    pub(crate) fn is_past_horizon(round: Round) -> bool {
        CurrentRound::<T>::get() > round.saturating_add(T::Horizon::get())
    }
}

// --- batches ---------------------------------------------------------------------------------------------------------

impl<T: Config> Pallet<T> {
    fn make_batch(batch: Batch<T::AccountId>) -> BatchId {
        let id = NextBatch::<T>::mutate(|next| {
            let id = *next;
            *next = next.saturating_add(1);
            id
        });
        Self::deposit_event(Event::BatchCreated {
            batch: id,
            record: batch.clone(),
        });
        Batches::<T>::insert(id, batch);
        id
    }

    /// The batch that takes the host's next result.
    fn job_batch(host: &T::AccountId) -> (BatchId, Batch<T::AccountId>) {
        let round = CurrentRound::<T>::get();
        let open = JobBatches::<T>::get(host).and_then(|id| {
            let batch = Batches::<T>::get(id)?;
            (batch.round == round && batch.receipts < T::MaxJobsPerRound::get()).then_some((id, batch))
        });
        open.unwrap_or_else(|| {
            let batch = Batch {
                host: host.clone(),
                round,
                origin: BatchOrigin::Jobs,
                receipts: 0,
                value: 0,
                fees: 0,
            };
            let id = Self::make_batch(batch.clone());
            JobBatches::<T>::insert(host, id);
            (id, batch)
        })
    }

    /// The leaf of a `Jobs` batch that `point` falls into, found by bisection. None when `point` is beyond the last.
    fn leaf_at(id: BatchId, batch: &Batch<T::AccountId>, point: u128) -> Option<JobLeaf> {
        let (mut low, mut high) = (0u32, batch.receipts);
        let mut found = None;
        while low < high {
            let middle = low.midpoint(high);
            let leaf = JobLeaves::<T>::get(id, middle)?;
            if point < leaf.end {
                found = Some(leaf);
                high = middle;
            } else {
                low = middle.saturating_add(1);
            }
        }
        found
    }
}

impl<T: Config> ReceiptSink<T::AccountId> for Pallet<T> {
    fn on_receipt(job: JobId, host: &T::AccountId, hash: H256, receipt: &Receipt) {
        let (id, mut batch) = Self::job_batch(host);
        batch.value = batch.value.saturating_add(receipt.fee);
        batch.fees = batch.value;
        let leaf = JobLeaf {
            job,
            model: T::JobModels::model_of(job),
            receipt: hash,
            end: batch.value,
        };
        JobLeaves::<T>::insert(id, batch.receipts, leaf);
        batch.receipts = batch.receipts.saturating_add(1);
        Batches::<T>::insert(id, batch);
    }
}

impl<T: Config> WorkSink<T::AccountId> for Pallet<T> {
    fn on_claimed(
        host: &T::AccountId,
        channel: ChannelId,
        epoch: u32,
        lane: LaneId,
        signer: &AccountId32,
        covered: u64,
        work: &Work,
        receipts: u32,
        paid: u128,
    ) {
        Self::make_batch(Batch {
            host: host.clone(),
            round: CurrentRound::<T>::get(),
            origin: BatchOrigin::Lane {
                channel,
                epoch,
                lane,
                covered,
                root: work.root,
                leaves: work.leaves,
                signer: signer.clone(),
            },
            receipts,
            value: work.value,
            fees: paid,
        });
    }
}

// --- draws -----------------------------------------------------------------------------------------------------------

impl<T: Config> Pallet<T> {
    /// Begins the audits of what has waited for two rounds, challenges first, as far as weight and room reach.
    pub(crate) fn draw_due(meter: &mut WeightMeter) {
        Self::draw_challenges(meter);
        Self::draw_batches(meter);
    }

    /// The round whose randomness and verifiers count for work of `round`, once there is one.
    fn draw_round(round: Round) -> Option<(Round, RoundRecord)> {
        let drawn = round.saturating_add(DRAW_DELAY);
        if CurrentRound::<T>::get() < drawn {
            return None;
        }
        Some((drawn, Rounds::<T>::get(drawn)?))
    }

    fn has_room(audits: u32) -> bool {
        OpenAudits::<T>::get().saturating_add(audits) <= T::MaxOpenAudits::get()
    }

    fn draw_batches(meter: &mut WeightMeter) {
        let most = T::WeightInfo::draw_batch(T::Verifiers::max_verifiers(), T::MaxSamples::get());
        let end = NextBatch::<T>::get();
        let mut cursor = DrawCursor::<T>::get();
        let started_at = cursor;
        while cursor < end && meter.can_consume(most) {
            let Some(batch) = Batches::<T>::get(cursor) else {
                frame_support::defensive!("a batch that is not drawn is there");
                cursor = cursor.saturating_add(1);
                continue;
            };
            let Some((round, record)) = Self::draw_round(batch.round) else {
                meter.consume(T::WeightInfo::draw_batch(0, 0));
                break;
            };
            let (drawn, weight) = Self::draw_batch(cursor, &batch, round, record.randomness);
            meter.consume(weight);
            if !drawn {
                break;
            }
            cursor = cursor.saturating_add(1);
        }
        if cursor != started_at {
            DrawCursor::<T>::put(cursor);
        }
    }

    /// Draws a batch and begins its audits. Returns whether there was room for them.
    fn draw_batch(
        id: BatchId,
        batch: &Batch<T::AccountId>,
        round: Round,
        randomness: H256,
    ) -> (bool, Weight) {
        let host = batch.host.clone();
        if Self::is_past_horizon(batch.round) {
            Self::deposit_event(Event::BatchExpired { batch: id, host });
            return (true, T::WeightInfo::draw_batch(0, 0));
        }
        let (somebody, looked_at) = Self::has_candidate(round, &host);
        if !somebody {
            Self::deposit_event(Event::NobodyToAudit { batch: id, host });
            return (true, T::WeightInfo::draw_batch(looked_at, 0));
        }
        let seed = sampling::draw_seed(randomness, id);
        let rate = sampling::rate(T::Reputation::score(&host));
        let points = sampling::points(seed, batch.receipts, 0..batch.value, rate, T::MaxSamples::get());
        let count = points.len() as u32;
        if !Self::has_room(count) {
            return (false, T::WeightInfo::draw_batch(looked_at, 0));
        }
        let budget = Self::budget(batch, rate);
        Self::begin_audits(id, batch, round, seed, budget, points);
        (true, T::WeightInfo::draw_batch(looked_at, count))
    }

    /// What the members of one audit of the batch are paid at most: [`REWARD_SHARE`] of what was paid for the batch, over
    /// the number of points that are drawn on average. Not over the number that was: for batches of few receipts it is
    /// mostly none.
    fn budget(batch: &Batch<T::AccountId>, rate: Perbill) -> u128 {
        let parts = u128::from(rate.deconstruct()).saturating_mul(batch.receipts.into());
        let whole = u128::from(Perbill::ACCURACY);
        let expected = parts
            .min(whole.saturating_mul(T::MaxSamples::get().into()))
            .max(1);
        multiply_by_rational_with_rounding(
            REWARD_SHARE.mul_floor(batch.fees),
            whole,
            expected,
            Rounding::Down,
        )
        .unwrap_or(u128::MAX)
    }

    /// Begins the audits of these points of a batch.
    pub(crate) fn begin_audits(
        id: BatchId,
        batch: &Batch<T::AccountId>,
        round: Round,
        seed: H256,
        budget: u128,
        points: Vec<u128>,
    ) {
        Self::deposit_event(Event::BatchDrawn {
            batch: id,
            host: batch.host.clone(),
            points: points.clone(),
        });
        let mut jobs = BTreeSet::new();
        for (index, point) in points.into_iter().enumerate() {
            let (subject, model) = match batch.origin {
                BatchOrigin::Lane { .. } => (Subject::Leaf { batch: id, point }, None),
                BatchOrigin::Jobs => {
                    let Some(leaf) = Self::leaf_at(id, batch, point) else {
                        frame_support::defensive!("every value of a jobs batch has a leaf");
                        continue;
                    };
                    // Two points in one result are one audit.
                    if !jobs.insert(leaf.job) {
                        continue;
                    }
                    let (job, receipt) = (leaf.job, leaf.receipt);
                    (Subject::Job { job, receipt }, leaf.model)
                }
            };
            let state = AuditState::Opening {
                until: Self::window_end(),
            };
            let seed = sampling::audit_seed(seed, index as u32);
            Self::start_audit(batch.host.clone(), subject, round, state, seed, budget, model);
        }
    }

    /// Whether anybody at all in the round's snapshot could audit the host, and how many were looked at to find out.
    pub(crate) fn has_candidate(round: Round, host: &T::AccountId) -> (bool, u32) {
        let mut looked_at = 0u32;
        for candidate in Snapshots::<T>::get(round) {
            looked_at = looked_at.saturating_add(1);
            if candidate.weight > 0 && Self::can_audit(&candidate.account, host) {
                return (true, looked_at);
            }
        }
        (false, looked_at)
    }

    /// Whether `verifier` is one still, and not known to gain from the revenue of `host`.
    pub(crate) fn can_audit(verifier: &T::AccountId, host: &T::AccountId) -> bool {
        verifier != host && T::Stake::is_verifier(verifier) && !T::Verifiers::has_interest(verifier, host)
    }

    fn draw_challenges(meter: &mut WeightMeter) {
        let most = T::WeightInfo::begin_challenge(T::Verifiers::max_verifiers());
        let end = NextChallenge::<T>::get();
        let mut cursor = ChallengeCursor::<T>::get();
        let started_at = cursor;
        while cursor < end && meter.can_consume(most) {
            let Some(challenge) = Challenges::<T>::get(cursor) else {
                frame_support::defensive!("a challenge that waits is there");
                cursor = cursor.saturating_add(1);
                continue;
            };
            let Some((round, record)) = Self::draw_round(challenge.round) else {
                meter.consume(T::WeightInfo::begin_challenge(0));
                break;
            };
            if Self::is_past_horizon(challenge.round) {
                meter.consume(T::WeightInfo::begin_challenge(0));
                Self::expire_challenge(cursor, challenge);
            } else if Self::has_room(1) {
                meter.consume(Self::begin_challenge(cursor, challenge, round, record.randomness));
            } else {
                meter.consume(T::WeightInfo::begin_challenge(0));
                break;
            }
            Challenges::<T>::remove(cursor);
            cursor = cursor.saturating_add(1);
        }
        if cursor != started_at {
            ChallengeCursor::<T>::put(cursor);
        }
    }

    pub(crate) fn begin_challenge(
        id: u64,
        challenge: PendingChallenge<T::AccountId>,
        round: Round,
        randomness: H256,
    ) -> Weight {
        let PendingChallenge {
            by,
            deposit,
            host,
            receipt,
            model,
            ..
        } = challenge;
        let hash = receipt.hash(&host);
        let seed = BlakeTwo256::hash(&(CHALLENGE_DOMAIN, randomness, id, hash).encode());
        let state = AuditState::Committing {
            until: Self::window_end(),
        };
        let subject = Subject::Challenge { by, deposit };
        let (audit, mut record) = Self::start_audit(host, subject, round, state, seed, 0, Some(model));
        record.receipt = Some(receipt);
        Receipts::<T>::insert(hash, Some(audit));
        Self::deposit_event(Event::ChallengeStarted { challenge: id, audit });
        T::WeightInfo::begin_challenge(Self::seat(audit, record))
    }

    /// Gives back the deposit of a challenge that waited too long.
    fn expire_challenge(id: u64, challenge: PendingChallenge<T::AccountId>) {
        let PendingChallenge {
            by,
            deposit,
            host,
            receipt,
            ..
        } = challenge;
        let hash = receipt.hash(&host);
        if Receipts::<T>::get(hash) == Some(None) {
            Receipts::<T>::remove(hash);
        }
        let released =
            T::Currency::release(&HoldReason::Challenge.into(), &by, deposit, Precision::BestEffort);
        if let Err(error) = released {
            frame_support::defensive!("a deposit that is held can be released", error);
        }
        Self::deposit_event(Event::ChallengeExpired {
            challenge: id,
            by,
            deposit,
        });
    }

    /// Candidates of a round that can run `class`, with their weights; others have weight 0.
    pub(crate) fn weights_for(
        round: Round,
        host: &T::AccountId,
        class: RuntimeClass,
    ) -> (Vec<T::AccountId>, Vec<u128>) {
        Snapshots::<T>::get(round)
            .into_iter()
            .map(|candidate| {
                let able = candidate.account != *host && candidate.classes.contains(&class);
                let weight = if able { candidate.weight } else { 0 };
                (candidate.account, weight)
            })
            .unzip()
    }
}
