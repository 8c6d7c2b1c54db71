//! What to do next: the worker's decisions as a pure state machine.
//!
//! In go what the chain says at each head and what became of earlier actions, out come actions. Nothing here waits,
//! reads a clock or touches a disk, so every order of events can be tested. The promises, for every order of heads,
//! completions, crashes and restarts:
//! - a job whose result is stored is never computed again while its inputs are the same;
//! - a stored result is kept, and sent again as long as the chain still waits for it, until its deadline passed;
//! - no more than `capacity` jobs are computed at a time;
//! - a job that can not be done is handed back instead of missed.

use llmesh_chain::{BlockNumber, H256};
use llmesh_primitives::{FailureReason, JobId};
use std::collections::BTreeMap;

/// Bounds of a [`Core`].
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Jobs computed at the same time.
    pub capacity: usize,
    /// Jobs that may wait for a free place; more are handed back at once.
    pub backlog: usize,
    /// Blocks after which a result that was sent, and that the chain still waits for, is sent again.
    pub resend_after: BlockNumber,
    /// A job that still waits for a place this many blocks before its deadline is handed back.
    pub margin: BlockNumber,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            capacity: 1,
            backlog: 16,
            resend_after: 5,
            margin: 3,
        }
    }
}

/// One thing that the chain waits for, as of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owed {
    pub job: JobId,
    /// What the result depends on: model and inputs.
    pub key: H256,
    /// Block of the draw; a job can be drawn to the same host again.
    pub drawn_at: BlockNumber,
    /// Last block in which the result counts.
    pub deadline: BlockNumber,
    /// Whether this worker can compute it: the model is at hand and nothing is at fault.
    pub able: bool,
}

/// A result that a store held when the worker started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    pub job: JobId,
    pub key: H256,
    pub deadline: BlockNumber,
    /// Whether sending it was begun before.
    pub attempted: bool,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A new best block, and everything that the chain waits for in it.
    Head { block: BlockNumber, owed: Vec<Owed> },
    /// A computation ended: its result is in the store, or there is none for this reason.
    Computed {
        job: JobId,
        result: Result<(), FailureReason>,
    },
    /// Sending a result or a refusal ended.
    Sent { job: JobId, outcome: SendOutcome },
    /// The chain has a result of this host for the job.
    FoundDelivered { job: JobId },
    /// The worker should stop: nothing new is begun.
    Stop,
    /// The time to finish is over: what is not computed is handed back.
    GraceOver,
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// It is in a block.
    Included,
    /// The chain has a result of this host already.
    AlreadyDelivered,
    /// The chain does not wait for it any more.
    Gone,
    /// The chain can not take this result; hand the job back for this reason.
    Refused(FailureReason),
    /// It did not get through, or nobody knows; look again at the next block.
    Unclear,
    /// It is certainly in no block: another transaction of this key took its place.
    Replaced,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Compute the job and store the result.
    Compute(JobId),
    /// The computation is of no use any more.
    Cancel(JobId),
    /// Send the stored result.
    SendResult(JobId),
    /// Hand the job back.
    Decline(JobId, FailureReason),
    /// Remove the result from the store, if there is one.
    Forget(JobId),
    /// The chain stopped waiting though nothing was delivered: look whether another worker did it.
    Investigate(JobId),
    /// Another worker with the same key delivered this job. Nothing more is computed or sent.
    OtherWorker(JobId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No place for it yet.
    Waiting,
    Computing,
    /// The result is in the store.
    Held,
    /// There will be no result; it is to be handed back.
    Failed(FailureReason),
    /// Nothing more to do.
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    No,
    OnTheWay,
    /// Look again in this block.
    Again(BlockNumber),
    /// In a block; look again in this one.
    Included(BlockNumber),
}

#[derive(Clone, Debug)]
struct Entry {
    key: H256,
    drawn_at: BlockNumber,
    deadline: BlockNumber,
    able: bool,
    stage: Stage,
    sending: Sending,
    /// Sendings of the result begun, earlier lives of the worker included.
    attempts: u32,
    /// Whether the chain waits for it as of the last head.
    listed: bool,
    investigated: bool,
}

impl Entry {
    fn waiting(owed: &Owed) -> Self {
        Self {
            key: owed.key,
            drawn_at: owed.drawn_at,
            deadline: owed.deadline,
            able: owed.able,
            stage: Stage::Waiting,
            sending: Sending::No,
            attempts: 0,
            listed: true,
            investigated: false,
        }
    }
}

/// Jobs by what is being done about them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub waiting: usize,
    pub computing: usize,
    /// Results and refusals that are not in a block yet.
    pub sending: usize,
}

/// The state machine.
#[derive(Clone, Debug)]
pub struct Core {
    limits: Limits,
    block: BlockNumber,
    jobs: BTreeMap<JobId, Entry>,
    stopping: bool,
    halted: bool,
}

impl Core {
    /// Starts with the results that the store holds.
    pub fn new(limits: Limits, stored: impl IntoIterator<Item = Stored>) -> Self {
        let jobs = stored.into_iter().map(|s| {
            let entry = Entry {
                key: s.key,
                drawn_at: 0,
                deadline: s.deadline,
                able: true,
                stage: Stage::Held,
                sending: Sending::No,
                attempts: u32::from(s.attempted),
                listed: false,
                investigated: false,
            };
            (s.job, entry)
        });
        Self {
            limits,
            block: 0,
            jobs: jobs.collect(),
            stopping: false,
            halted: false,
        }
    }

    /// How much is being done.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for entry in self.jobs.values() {
            match (entry.stage, entry.sending) {
                (Stage::Waiting, _) => counts.waiting += 1,
                (Stage::Computing, _) => counts.computing += 1,
                (Stage::Held | Stage::Failed(_), Sending::OnTheWay) => counts.sending += 1,
                (Stage::Held | Stage::Failed(_), Sending::No | Sending::Again(_)) if entry.listed => {
                    counts.sending += 1
                }
                _ => {}
            }
        }
        counts
    }

    /// Whether everything that was begun has come to an end.
    pub fn is_drained(&self) -> bool {
        self.halted && self.jobs.values().all(|e| e.sending != Sending::OnTheWay)
            || self.counts() == Counts::default()
    }

    /// Whether another worker with the same key was found.
    pub fn is_halted(&self) -> bool {
        self.halted
    }

    /// Takes one event and says what to do.
    pub fn on(&mut self, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Head { block, owed } => {
                self.block = block;
                self.take_list(&owed, &mut actions);
                self.drop_expired(&mut actions);
                self.look_into_losses(&mut actions);
            }
            Event::Computed { job, result } => match self.jobs.get_mut(&job) {
                Some(entry) if entry.stage == Stage::Computing => {
                    entry.stage = result.map_or_else(Stage::Failed, |()| Stage::Held);
                    entry.sending = Sending::No;
                }
                // Stored all the same: whoever asks again gets it without another computation.
                Some(entry) if result.is_ok() && entry.stage != Stage::Held => {
                    entry.stage = Stage::Held;
                    if entry.sending != Sending::OnTheWay {
                        entry.sending = Sending::No;
                    }
                }
                Some(_) => {}
                None if result.is_ok() => actions.push(Action::Forget(job)),
                None => {}
            },
            Event::Sent { job, outcome } => self.take_sent(job, outcome, &mut actions),
            Event::FoundDelivered { job } => {
                if self.jobs.get(&job).is_some_and(|e| e.attempts == 0) {
                    self.halt(job, &mut actions);
                }
            }
            Event::Stop => self.stopping = true,
            Event::GraceOver => {
                self.stopping = true;
                for (job, entry) in &mut self.jobs {
                    if entry.stage == Stage::Computing {
                        entry.stage = Stage::Failed(FailureReason::HostUnavailable);
                        actions.push(Action::Cancel(*job));
                    }
                }
            }
        }
        if !self.halted {
            self.start(&mut actions);
            self.send(&mut actions);
        }
        actions
    }

    /// Compares what the chain waits for with what is known.
    fn take_list(&mut self, owed: &[Owed], actions: &mut Vec<Action>) {
        for entry in self.jobs.values_mut() {
            entry.listed = false;
        }
        for owed in owed {
            match self.jobs.get_mut(&owed.job) {
                Some(entry) if entry.key == owed.key => {
                    entry.listed = true;
                    entry.able = owed.able;
                    entry.deadline = owed.deadline;
                    if entry.drawn_at != owed.drawn_at {
                        // Drawn anew: whatever was sent belonged to the draw before.
                        let first_sight = entry.drawn_at == 0;
                        entry.drawn_at = owed.drawn_at;
                        entry.investigated = false;
                        if !first_sight && entry.sending != Sending::OnTheWay {
                            entry.sending = Sending::No;
                        }
                        if matches!(
                            entry.stage,
                            Stage::Over | Stage::Failed(FailureReason::HostUnavailable)
                        ) {
                            entry.stage = Stage::Waiting;
                        }
                    }
                }
                // The same number on a chain that began anew, or after a reorganisation: another job.
                Some(entry) if entry.sending == Sending::OnTheWay => entry.stage = Stage::Over,
                Some(entry) => {
                    if entry.stage == Stage::Computing {
                        actions.push(Action::Cancel(owed.job));
                    }
                    actions.push(Action::Forget(owed.job));
                    *entry = Entry::waiting(owed);
                }
                None => {
                    self.jobs.insert(owed.job, Entry::waiting(owed));
                }
            }
        }
        // Nothing was done about these yet.
        self.jobs.retain(|_, e| e.listed || e.stage != Stage::Waiting);
    }

    /// The chain stopped waiting for something that was not delivered: someone else may have.
    fn look_into_losses(&mut self, actions: &mut Vec<Action>) {
        for (job, entry) in &mut self.jobs {
            let untold = match entry.stage {
                Stage::Computing => true,
                // A result that was sent and replaced; one that was just restored is not looked into.
                Stage::Held => entry.attempts == 0 && matches!(entry.sending, Sending::Again(_)),
                _ => false,
            };
            if !entry.listed && untold && !entry.investigated {
                entry.investigated = true;
                actions.push(Action::Investigate(*job));
            }
        }
    }

    fn drop_expired(&mut self, actions: &mut Vec<Action>) {
        let block = self.block;
        self.jobs.retain(|job, entry| {
            if entry.deadline >= block || entry.sending == Sending::OnTheWay {
                return true;
            }
            if entry.stage == Stage::Computing {
                actions.push(Action::Cancel(*job));
            }
            actions.push(Action::Forget(*job));
            false
        });
    }

    fn take_sent(&mut self, job: JobId, outcome: SendOutcome, actions: &mut Vec<Action>) {
        let next = self.block.saturating_add(1);
        let again = self.block.saturating_add(self.limits.resend_after.max(1));
        let Some(entry) = self.jobs.get_mut(&job) else {
            return;
        };
        entry.sending = match outcome {
            SendOutcome::Included => Sending::Included(again),
            SendOutcome::Unclear | SendOutcome::Replaced => Sending::Again(next),
            SendOutcome::Refused(_) => Sending::No,
            SendOutcome::Gone | SendOutcome::AlreadyDelivered => Sending::Again(again),
        };
        let was_result = entry.stage == Stage::Held;
        match outcome {
            // Whoever delivers it now, it was not this attempt.
            SendOutcome::Replaced if was_result => entry.attempts = entry.attempts.saturating_sub(1),
            SendOutcome::Refused(reason) if was_result => entry.stage = Stage::Failed(reason),
            // A refusal that is refused: nothing is left to try.
            SendOutcome::Refused(_) => entry.stage = Stage::Over,
            // Someone delivered it, and it was not this worker in this life or an earlier one.
            SendOutcome::AlreadyDelivered if was_result && entry.attempts <= 1 => self.halt(job, actions),
            _ => {}
        }
    }

    fn halt(&mut self, job: JobId, actions: &mut Vec<Action>) {
        if self.halted {
            return;
        }
        self.halted = true;
        for (job, entry) in &mut self.jobs {
            if entry.stage == Stage::Computing {
                entry.stage = Stage::Over;
                actions.push(Action::Cancel(*job));
            }
        }
        actions.push(Action::OtherWorker(job));
    }

    /// Fills free places, the most urgent first, and hands back what finds none.
    fn start(&mut self, actions: &mut Vec<Action>) {
        let mut free = self.limits.capacity.saturating_sub(self.counts().computing);
        let mut waiting: Vec<(BlockNumber, JobId)> = self
            .jobs
            .iter()
            .filter(|(_, e)| e.stage == Stage::Waiting && e.listed)
            .map(|(job, e)| (e.deadline, *job))
            .collect();
        waiting.sort_unstable();
        let mut left = 0;
        for (deadline, job) in waiting {
            let Some(entry) = self.jobs.get_mut(&job) else {
                continue;
            };
            let hopeless = self.block >= deadline;
            if entry.able && !self.stopping && free > 0 && !hopeless {
                free -= 1;
                entry.stage = Stage::Computing;
                actions.push(Action::Compute(job));
                continue;
            }
            left += 1;
            let late = self.block.saturating_add(self.limits.margin) >= deadline;
            if !entry.able || self.stopping || late || left > self.limits.backlog {
                entry.stage = Stage::Failed(FailureReason::HostUnavailable);
                entry.sending = Sending::No;
            }
        }
    }

    /// Sends what the chain waits for and is not on its way.
    fn send(&mut self, actions: &mut Vec<Action>) {
        for (job, entry) in &mut self.jobs {
            let due = match entry.sending {
                Sending::No => true,
                Sending::OnTheWay => false,
                Sending::Again(at) | Sending::Included(at) => self.block >= at,
            };
            if !due || !entry.listed || self.block >= entry.deadline {
                continue;
            }
            match entry.stage {
                Stage::Held => {
                    entry.attempts = entry.attempts.saturating_add(1);
                    actions.push(Action::SendResult(*job));
                }
                Stage::Failed(reason) => actions.push(Action::Decline(*job, reason)),
                Stage::Waiting | Stage::Computing | Stage::Over => continue,
            }
            entry.sending = Sending::OnTheWay;
        }
    }
}

#[cfg(test)]
#[path = "reconcile_tests.rs"]
mod tests;
