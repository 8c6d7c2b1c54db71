//! From submission to removal.

use crate::{
    Agenda, AgendaCursor, Config, Error, Event, HoldReason, Hosts, Inputs, Jobs, NextJobId, OfferLoad,
    Pallet, Results, WeightInfo, Work,
    draw::{self, AgendaKey},
};
use alloc::vec::Vec;
use codec::Encode;
use frame_support::{
    ensure,
    storage::with_storage_layer,
    traits::{Randomness, fungible::MutateHold, tokens::Precision},
    weights::{Weight, WeightMeter},
};
use frame_system::pallet_prelude::BlockNumberFor;
use llmesh_primitives::{
    Assignment, AssignmentState, FailureReason, Job, JobAccount, JobId, JobOutcome, JobParams, JobResult,
    JobState, ModelVersion, ModelVersionId, Priority, Receipt, TensorSpec, Tensors, VersionStatus,
    WorkOrigin,
    job::{MAX_ATTEMPTS, MAX_REDUNDANCY, hash_tensors},
    tensor::total_bytes,
    traits::{
        Conduct, Escrow, ModelRegistry, ReceiptSink, ReputationProvider, ReputationSink, StakeProvider,
    },
};
use llmesh_proofs::draw::weighted;
use sp_core::H256;
use sp_runtime::{
    DispatchError, DispatchResult, Perbill,
    traits::{BlakeTwo256, Get, Hash, One, Saturating, Zero},
};

type JobOf<T> = Job<<T as frame_system::Config>::AccountId, BlockNumberFor<T>>;

/// How many hosts must report that the model fails on an input before the job is given up.
const MODEL_FAILURES_TO_GIVE_UP: usize = 2;

/// A host that could be drawn.
pub(crate) struct Candidate<AccountId> {
    pub host: AccountId,
    pub fee: u128,
    pub weight: u128,
}

// --- calls -----------------------------------------------------------------------------------------------------------

impl<T: Config> Pallet<T> {
    pub(crate) fn do_submit(
        owner: T::AccountId,
        model: ModelVersionId,
        inputs: Tensors,
        params: JobParams,
    ) -> DispatchResult {
        let redundancy = u32::from(params.redundancy);
        ensure!(
            (1..=MAX_REDUNDANCY).contains(&redundancy),
            Error::<T>::InvalidRedundancy
        );
        let version = T::Registry::version(model).ok_or(Error::<T>::UnknownModel)?;
        ensure!(version.status != VersionStatus::Yanked, Error::<T>::ModelYanked);
        let signature = &version.manifest.signature;
        let max_output = signature.max_output_bytes();
        ensure!(
            max_output <= u64::from(T::MaxOutputBytes::get()),
            Error::<T>::ModelTooLarge
        );
        ensure!(
            total_bytes(&inputs) <= u64::from(T::MaxInputBytes::get()),
            Error::<T>::InputTooLarge
        );
        signature.check_inputs(&inputs).map_err(Error::<T>::from)?;
        let lowest = T::Escrow::fee(
            model,
            version.manifest.base_price,
            version.manifest.complexity,
            params.priority,
        )
        .and_then(|fee| fee.checked_mul(u128::from(params.redundancy)))
        .ok_or(Error::<T>::FeeOverflow)?;
        ensure!(params.max_fee >= lowest, Error::<T>::FeeBelowPrice);

        let inputs = in_order(&signature.inputs, inputs);
        let bytes = (inputs.encoded_size() as u128)
            .saturating_add(u128::from(max_output).saturating_mul(u128::from(params.redundancy)));
        let deposit = T::DepositBase::get().saturating_add(T::DepositPerByte::get().saturating_mul(bytes));
        T::Currency::hold(&HoldReason::JobDeposit.into(), &owner, deposit)?;
        T::Escrow::hold(&owner, params.max_fee)?;
        T::Registry::acquire(model)?;

        let now = frame_system::Pallet::<T>::block_number();
        let id = NextJobId::<T>::mutate(|next| {
            let id = *next;
            *next = next.saturating_add(1);
            id
        });
        let mut job = Job {
            owner: owner.clone(),
            model,
            params,
            state: JobState::Queued,
            submitted_at: now,
            expires_at: now.saturating_add(T::TimeToLive::get()),
            finished_at: None,
            wakes_at: Zero::zero(),
            input_hash: hash_tensors(&inputs),
            assignments: Default::default(),
            account: JobAccount {
                escrowed: params.max_fee,
                ..Default::default()
            },
            deposit,
        };
        Inputs::<T>::insert(id, inputs);
        Self::wake_at(id, &mut job, now.saturating_add(One::one()));
        Jobs::<T>::insert(id, job);
        Self::deposit_event(Event::Submitted {
            job: id,
            owner,
            model,
            max_fee: params.max_fee,
        });
        Ok(())
    }

    pub(crate) fn do_cancel(owner: T::AccountId, id: JobId) -> DispatchResult {
        let mut job = Jobs::<T>::get(id).ok_or(Error::<T>::UnknownJob)?;
        ensure!(job.owner == owner, Error::<T>::NotOwner);
        ensure!(!is_finished(&job), Error::<T>::JobFinished);
        ensure!(
            job.state == JobState::Queued && job.delivered() == 0,
            Error::<T>::NotCancellable
        );
        Self::clear_wake(id, &job);
        Self::finish(id, &mut job, JobOutcome::Cancelled)?;
        // A client that changed its mind gets everything back at once; there is no result that the record would keep.
        Self::drop_record(id, &job)
    }

    pub(crate) fn do_submit_result(
        host: T::AccountId,
        id: JobId,
        outputs: Tensors,
        probe_hash: Option<H256>,
    ) -> DispatchResult {
        let now = frame_system::Pallet::<T>::block_number();
        let mut job = Jobs::<T>::get(id).ok_or(Error::<T>::UnknownJob)?;
        let part = Self::pending_part(&job, &host, now)?;
        let fee = part.fee;
        let version = T::Registry::version(job.model).ok_or(Error::<T>::UnknownModel)?;
        let signature = &version.manifest.signature;
        ensure!(
            total_bytes(&outputs) <= u64::from(T::MaxOutputBytes::get()),
            Error::<T>::OutputTooLarge
        );
        signature.check_outputs(&outputs).map_err(Error::<T>::from)?;

        let outputs = in_order(&signature.outputs, outputs);
        let output_hash = hash_tensors(&outputs);
        let receipt = Receipt {
            origin: WorkOrigin::Job(id),
            model: version.manifest.content_id,
            runtime_class: version.manifest.runtime_class,
            input_hash: job.input_hash,
            output_hash,
            probe_hash,
            units: version.manifest.complexity,
            fee,
        };
        let hash = receipt.hash(&host);
        T::Receipts::on_receipt(id, &host, hash, &receipt);
        Results::<T>::insert(id, &host, JobResult { outputs, receipt });
        Self::close_part(
            id,
            &mut job,
            &host,
            AssignmentState::Delivered {
                at: now,
                output_hash,
                receipt: hash,
            },
        );
        Hosts::<T>::mutate(&host, |load| load.missed = 0);
        Self::deposit_event(Event::ResultAccepted {
            job: id,
            host,
            output_hash,
            receipt: hash,
        });

        if job.delivered() >= usize::from(job.params.redundancy) {
            Self::clear_wake(id, &job);
            Self::finish(id, &mut job, JobOutcome::Settled)?;
            Self::wake_at(id, &mut job, now.saturating_add(T::Retention::get()));
        } else {
            job.state = open_state(&job);
        }
        Jobs::<T>::insert(id, job);
        Ok(())
    }

    pub(crate) fn do_decline(host: T::AccountId, id: JobId, reason: FailureReason) -> DispatchResult {
        let now = frame_system::Pallet::<T>::block_number();
        let mut job = Jobs::<T>::get(id).ok_or(Error::<T>::UnknownJob)?;
        Self::pending_part(&job, &host, now)?;
        Self::close_part(id, &mut job, &host, AssignmentState::Declined(reason));
        Self::deposit_event(Event::Declined {
            job: id,
            host,
            reason,
        });
        job.state = open_state(&job);
        // Whether there is another draw, or an end, is for the agenda to say: one place decides.
        Self::clear_wake(id, &job);
        Self::wake_at(id, &mut job, now.saturating_add(One::one()));
        Jobs::<T>::insert(id, job);
        Ok(())
    }

    pub(crate) fn do_remove(owner: T::AccountId, id: JobId) -> DispatchResult {
        let job = Jobs::<T>::get(id).ok_or(Error::<T>::UnknownJob)?;
        ensure!(job.owner == owner, Error::<T>::NotOwner);
        ensure!(is_finished(&job), Error::<T>::JobNotFinished);
        Self::clear_wake(id, &job);
        Self::drop_record(id, &job)
    }

    /// The host's part of the job if a result or a refusal can still count.
    fn pending_part<'a>(
        job: &'a JobOf<T>,
        host: &T::AccountId,
        now: BlockNumberFor<T>,
    ) -> Result<&'a Assignment<T::AccountId, BlockNumberFor<T>>, Error<T>> {
        let part = job
            .assignments
            .iter()
            .find(|a| a.host == *host)
            .ok_or(Error::<T>::NotDrawn)?;
        match part.state {
            AssignmentState::Delivered { .. } => Err(Error::<T>::AlreadyDelivered),
            AssignmentState::Declined(_) => Err(Error::<T>::AlreadyDeclined),
            AssignmentState::TimedOut => Err(Error::<T>::DeadlinePassed),
            AssignmentState::Pending if is_finished(job) => Err(Error::<T>::JobFinished),
            AssignmentState::Pending if now > part.deadline => Err(Error::<T>::DeadlinePassed),
            AssignmentState::Pending => Ok(part),
        }
    }
}

// --- agenda ----------------------------------------------------------------------------------------------------------

impl<T: Config> Pallet<T> {
    /// Weight of the costliest thing that one entry of the agenda can lead to.
    pub(crate) fn costliest_step() -> Weight {
        let draw = T::WeightInfo::wake_draw(T::Registry::max_offers(), MAX_REDUNDANCY);
        draw.max(T::WeightInfo::wake_finish(MAX_REDUNDANCY))
            .max(T::WeightInfo::wake_remove())
    }

    /// Works off what is due, within the weight limit; returns the weight used.
    pub(crate) fn work_agenda(now: BlockNumberFor<T>) -> Weight {
        let mut meter = WeightMeter::with_limit(T::AgendaWeight::get());
        let step = Self::costliest_step();
        let per_block = T::WeightInfo::agenda_block();
        let mut cursor = AgendaCursor::<T>::get();
        let started_at = cursor;
        while cursor <= now && meter.can_consume(per_block) {
            meter.consume(per_block);
            let mut done = true;
            // Entries that are added meanwhile lie in later blocks, so the prefix only shrinks.
            for key in Agenda::<T>::iter_key_prefix(cursor) {
                if !meter.can_consume(step) {
                    done = false;
                    break;
                }
                Agenda::<T>::remove(cursor, key);
                meter.consume(Self::wake(key.job(), now));
            }
            if !done {
                break;
            }
            cursor = cursor.saturating_add(One::one());
        }
        if cursor != started_at {
            AgendaCursor::<T>::put(cursor);
        }
        meter.consumed()
    }

    /// Does what is due for a job whose entry was just taken from the agenda, and enters it anew unless its record is
    /// removed. Returns the weight.
    fn wake(id: JobId, now: BlockNumberFor<T>) -> Weight {
        let Some(mut job) = Jobs::<T>::get(id) else {
            frame_support::defensive!("the agenda names a job that is not there");
            return T::WeightInfo::wake_remove();
        };
        if is_finished(&job) {
            if let Err(error) = Self::drop_record(id, &job) {
                frame_support::defensive!("a deposit that is held can be released", error);
            }
            return T::WeightInfo::wake_remove();
        }

        Self::time_out(id, &mut job, now);
        let parts = job.assignments.len();
        let weight = match Self::verdict(&job, now) {
            Next::End(outcome) => {
                if let Err(error) = with_storage_layer(|| Self::finish(id, &mut job, outcome)) {
                    frame_support::defensive!("an escrow that is held can be released", error);
                }
                Self::wake_at(id, &mut job, now.saturating_add(T::Retention::get()));
                T::WeightInfo::wake_finish(parts as u32)
            }
            Next::Wait(at) => {
                job.state = open_state(&job);
                Self::wake_at(id, &mut job, at);
                T::WeightInfo::wake_finish(0)
            }
            Next::Draw(missing) => {
                let offers = Self::draw_hosts(id, &mut job, missing, now);
                job.state = open_state(&job);
                let at = Self::next_look(&job, now);
                Self::wake_at(id, &mut job, at);
                T::WeightInfo::wake_draw(offers, missing as u32)
            }
        };
        Jobs::<T>::insert(id, job);
        weight
    }

    /// What is to be done with an open job whose late hosts were dealt with.
    fn verdict(job: &JobOf<T>, now: BlockNumberFor<T>) -> Next<BlockNumberFor<T>> {
        let (delivered, pending) = (job.delivered(), job.pending());
        let missing = usize::from(job.params.redundancy)
            .saturating_sub(delivered)
            .saturating_sub(pending);
        let hopeless = |reason: FailureReason| {
            job.assignments
                .iter()
                .filter(|a| a.state == AssignmentState::Declined(reason))
                .count()
                >= MODEL_FAILURES_TO_GIVE_UP
        };
        let given_up = [FailureReason::ModelError, FailureReason::OutputTooLarge]
            .into_iter()
            .find(|r| hopeless(*r));
        let exhausted = job.assignments.len() >= MAX_ATTEMPTS as usize;
        let no_more_draws = now > job.expires_at || given_up.is_some() || exhausted;
        if !no_more_draws && missing > 0 {
            return Next::Draw(missing);
        }
        if pending > 0 {
            return Next::Wait(Self::next_look(job, now));
        }
        Next::End(match given_up {
            _ if delivered > 0 => JobOutcome::PartiallySettled,
            Some(reason) => JobOutcome::Failed(reason),
            None if now > job.expires_at => JobOutcome::Expired,
            None => JobOutcome::Failed(FailureReason::TooManyAttempts),
        })
    }

    /// The next block in which there can be something to do for an open job.
    fn next_look(job: &JobOf<T>, now: BlockNumberFor<T>) -> BlockNumberFor<T> {
        let after_deadline = job
            .assignments
            .iter()
            .filter(|a| a.state == AssignmentState::Pending)
            .map(|a| a.deadline.saturating_add(One::one()))
            .min();
        let complete = job.delivered().saturating_add(job.pending()) >= usize::from(job.params.redundancy);
        let retry = now.saturating_add(T::RetryInterval::get());
        let next = match after_deadline {
            Some(at) if complete || now > job.expires_at => at,
            Some(at) => at.min(retry),
            None => retry,
        };
        next.max(now.saturating_add(One::one()))
    }

    /// Marks the hosts that missed their deadline.
    fn time_out(id: JobId, job: &mut JobOf<T>, now: BlockNumberFor<T>) {
        let late: Vec<T::AccountId> = job
            .assignments
            .iter()
            .filter(|a| a.state == AssignmentState::Pending && now > a.deadline)
            .map(|a| a.host.clone())
            .collect();
        for host in late {
            Self::close_part(id, job, &host, AssignmentState::TimedOut);
            T::Reputation::record(&host, Conduct::Timeout);
            let missed = Hosts::<T>::mutate(&host, |load| {
                load.missed = load.missed.saturating_add(1);
                load.missed
            });
            Self::deposit_event(Event::TimedOut {
                job: id,
                host: host.clone(),
            });
            if missed == T::MaxMissed::get() {
                Self::deposit_event(Event::Suspended { host });
            }
        }
    }

    /// Draws up to `missing` hosts; returns how many offers were looked at.
    fn draw_hosts(id: JobId, job: &mut JobOf<T>, missing: usize, now: BlockNumberFor<T>) -> u32 {
        let Some(version) = T::Registry::version(job.model) else {
            frame_support::defensive!("a version that jobs refer to is not removed");
            return 0;
        };
        let Some(seed) = Self::seed(id, job.assignments.len() as u32) else {
            return 0;
        };
        let cap = job
            .params
            .max_fee
            .checked_div(u128::from(job.params.redundancy))
            .unwrap_or_default();
        let tried: Vec<T::AccountId> = job.assignments.iter().map(|a| a.host.clone()).collect();
        let candidates = Self::candidates(
            &version,
            job.params.priority,
            job.params.min_reputation,
            cap,
            &tried,
        );
        let weights: Vec<u128> = candidates.iter().map(|c| c.weight).collect();
        for drawn in weighted(&weights, missing, seed) {
            let Some(Candidate { host, fee, .. }) = candidates.get(drawn) else {
                continue;
            };
            let deadline = now.saturating_add(T::ResultDeadline::get());
            let part = Assignment {
                host: host.clone(),
                fee: *fee,
                drawn_at: now,
                deadline,
                state: AssignmentState::Pending,
            };
            if job.assignments.try_push(part).is_err() {
                break;
            }
            Work::<T>::insert(host, id, ());
            OfferLoad::<T>::mutate(job.model, host, |n| *n = n.saturating_add(1));
            Hosts::<T>::mutate(host, |load| {
                load.in_flight = load.in_flight.saturating_add(1);
                load.value = load.value.saturating_add(*fee);
            });
            Self::deposit_event(Event::Drawn {
                job: id,
                host: host.clone(),
                fee: *fee,
                deadline,
            });
        }
        T::Registry::max_offers().min(candidates.len().saturating_add(tried.len()) as u32)
    }

    /// Seed of one draw. The randomness of a block is that of its parent's author; a job is in storage before it is
    /// known to anybody else.
    fn seed(id: JobId, attempt: u32) -> Option<H256> {
        let subject = (b"llmesh/draw", id, attempt).encode();
        let (random, _) = T::Randomness::random(&subject);
        Some(BlakeTwo256::hash_of(&(random?, subject)))
    }

    /// Hosts with a live offer within `cap`, room for one more job, and enough stake behind the fees they hold.
    pub(crate) fn candidates(
        version: &ModelVersion<T::AccountId>,
        priority: Priority,
        min_reputation: Perbill,
        cap: u128,
        tried: &[T::AccountId],
    ) -> Vec<Candidate<T::AccountId>> {
        T::Registry::offers(version.id)
            .into_iter()
            .filter_map(|(host, terms)| {
                if tried.contains(&host) {
                    return None;
                }
                let fee = T::Escrow::fee(version.id, terms.price, version.manifest.complexity, priority)?;
                let free = terms
                    .capacity
                    .saturating_sub(OfferLoad::<T>::get(version.id, &host));
                let load = Hosts::<T>::get(&host);
                let has_room = free > 0 && load.in_flight < T::MaxInFlight::get();
                if fee > cap || !has_room || load.missed >= T::MaxMissed::get() || !T::Stake::is_host(&host) {
                    return None;
                }
                let stake = T::Stake::stake_of(&host);
                let reputation = T::Reputation::score(&host);
                if reputation < min_reputation || load.value.saturating_add(fee) > stake {
                    return None;
                }
                Some(Candidate {
                    weight: draw::weight(stake, reputation, free),
                    host,
                    fee,
                })
            })
            .collect()
    }

    fn wake_at(id: JobId, job: &mut JobOf<T>, at: BlockNumberFor<T>) {
        // Never in the past of the cursor: an entry there would not be seen.
        let at = at.max(AgendaCursor::<T>::get());
        job.wakes_at = at;
        Agenda::<T>::insert(at, AgendaKey::new(job.params.priority, id), ());
    }

    fn clear_wake(id: JobId, job: &JobOf<T>) {
        Agenda::<T>::remove(job.wakes_at, AgendaKey::new(job.params.priority, id));
    }
}

// --- ends ------------------------------------------------------------------------------------------------------------

impl<T: Config> Pallet<T> {
    /// Ends an open job: pays who delivered, returns the rest, and notes both. The caller stores the job.
    fn finish(id: JobId, job: &mut JobOf<T>, outcome: JobOutcome) -> DispatchResult {
        let mut account = job.account;
        for part in &job.assignments {
            if !matches!(part.state, AssignmentState::Delivered { .. }) {
                continue;
            }
            match with_storage_layer(|| T::Escrow::pay(&job.owner, &part.host, part.fee)) {
                Ok(split) => {
                    account.fee = account.fee.saturating_add(part.fee);
                    account.host_paid = account.host_paid.saturating_add(split.host);
                    account.pool_paid = account.pool_paid.saturating_add(split.pool);
                    account.treasury_paid = account.treasury_paid.saturating_add(split.treasury);
                }
                Err(error) => {
                    let (host, fee) = (part.host.clone(), part.fee);
                    Self::deposit_event(Event::PaymentFailed {
                        job: id,
                        host,
                        fee,
                        error,
                    });
                }
            }
        }
        account.refunded = account.escrowed.saturating_sub(account.fee);
        T::Escrow::release(&job.owner, account.refunded)?;
        T::Registry::release(job.model);
        job.account = account;
        job.state = JobState::Finished(outcome);
        job.finished_at = Some(frame_system::Pallet::<T>::block_number());
        Self::deposit_event(Event::Finished {
            job: id,
            outcome,
            account,
        });
        Ok(())
    }

    /// Removes all that is stored of a finished job and returns the deposit.
    fn drop_record(id: JobId, job: &JobOf<T>) -> DispatchResult {
        for part in &job.assignments {
            Results::<T>::remove(id, &part.host);
        }
        Inputs::<T>::remove(id);
        Jobs::<T>::remove(id);
        Self::deposit_event(Event::Removed { job: id });
        let released = T::Currency::release(
            &HoldReason::JobDeposit.into(),
            &job.owner,
            job.deposit,
            Precision::BestEffort,
        )?;
        ensure!(released == job.deposit, DispatchError::Corruption);
        Ok(())
    }

    /// Ends a host's part in the job with `state` and takes it off the host's load.
    fn close_part(
        id: JobId,
        job: &mut JobOf<T>,
        host: &T::AccountId,
        state: AssignmentState<BlockNumberFor<T>>,
    ) {
        let Some(part) = job.assignments.iter_mut().find(|a| a.host == *host) else {
            return;
        };
        part.state = state;
        let fee = part.fee;
        Work::<T>::remove(host, id);
        OfferLoad::<T>::mutate_exists(job.model, host, |n| {
            *n = n.unwrap_or_default().checked_sub(1).filter(|left| *left > 0);
        });
        Hosts::<T>::mutate(host, |load| {
            load.in_flight = load.in_flight.saturating_sub(1);
            load.value = load.value.saturating_sub(fee);
        });
    }
}

/// What the agenda does with a job.
enum Next<BlockNumber> {
    Draw(usize),
    Wait(BlockNumber),
    End(JobOutcome),
}

pub(crate) fn is_finished<A, B>(job: &Job<A, B>) -> bool {
    matches!(job.state, JobState::Finished(_))
}

fn open_state<A: PartialEq, B>(job: &Job<A, B>) -> JobState {
    if job.pending() > 0 {
        JobState::Running
    } else {
        JobState::Queued
    }
}

/// Tensors that passed the signature's check, in the signature's order, so that equal requests hash equally.
fn in_order(specs: &[TensorSpec], tensors: Tensors) -> Tensors {
    let mut tensors = tensors.into_inner();
    tensors.sort_by_key(|t| specs.iter().position(|s| s.name == t.name));
    Tensors::truncate_from(tensors)
}
