//! The promises of [`super::Core`], by example and by random histories.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn owed(job: JobId, drawn_at: BlockNumber) -> Owed {
    Owed {
        job,
        key: H256::from_low_u64_be(job),
        drawn_at,
        deadline: drawn_at + 20,
        able: true,
    }
}

fn head(core: &mut Core, block: BlockNumber, list: &[Owed]) -> Vec<Action> {
    core.on(Event::Head {
        block,
        owed: list.to_vec(),
    })
}

fn computed(core: &mut Core, job: JobId) -> Vec<Action> {
    core.on(Event::Computed { job, result: Ok(()) })
}

fn sent(core: &mut Core, job: JobId, outcome: SendOutcome) -> Vec<Action> {
    core.on(Event::Sent { job, outcome })
}

fn core(capacity: usize) -> Core {
    Core::new(
        Limits {
            capacity,
            ..Limits::default()
        },
        [],
    )
}

#[test]
fn a_job_is_computed_sent_and_let_go() {
    let mut core = core(1);
    let list = [owed(1, 10)];
    assert_eq!(head(&mut core, 10, &list), [Action::Compute(1)]);
    assert_eq!(head(&mut core, 11, &list), []);
    assert_eq!(computed(&mut core, 1), [Action::SendResult(1)]);
    assert_eq!(head(&mut core, 12, &list), []);
    assert_eq!(sent(&mut core, 1, SendOutcome::Included), []);
    assert!(core.is_drained());
    assert_eq!(head(&mut core, 13, &[]), []);
    assert_eq!(head(&mut core, 31, &[]), [Action::Forget(1)]);
}

#[test]
fn capacity_is_kept_and_the_most_urgent_goes_first() {
    let mut core = core(2);
    let list = [
        Owed {
            deadline: 40,
            ..owed(1, 10)
        },
        owed(2, 10),
        owed(3, 10),
    ];
    assert_eq!(
        head(&mut core, 10, &list),
        [Action::Compute(2), Action::Compute(3)]
    );
    assert_eq!(
        computed(&mut core, 2),
        [Action::Compute(1), Action::SendResult(2)]
    );
    assert_eq!(
        core.counts(),
        Counts {
            waiting: 0,
            computing: 2,
            sending: 1
        }
    );
}

#[test]
fn what_finds_no_place_in_time_is_handed_back() {
    let mut core = core(1);
    let list = [owed(1, 10), owed(2, 10)];
    assert_eq!(head(&mut core, 10, &list), [Action::Compute(1)]);
    assert_eq!(head(&mut core, 26, &list), []);
    assert_eq!(
        head(&mut core, 27, &list),
        [Action::Decline(2, FailureReason::HostUnavailable)]
    );
}

#[test]
fn what_can_not_be_computed_is_handed_back_at_once() {
    let mut core = core(1);
    let list = [Owed {
        able: false,
        ..owed(1, 10)
    }];
    assert_eq!(
        head(&mut core, 10, &list),
        [Action::Decline(1, FailureReason::HostUnavailable)]
    );
    assert_eq!(sent(&mut core, 1, SendOutcome::Included), []);
    assert_eq!(head(&mut core, 11, &[]), []);
    // Drawn again after the fault is gone.
    assert_eq!(head(&mut core, 12, &[owed(1, 12)]), [Action::Compute(1)]);
}

#[test]
fn a_failed_model_is_handed_back_with_the_reason() {
    let mut core = core(1);
    head(&mut core, 10, &[owed(1, 10)]);
    let failed = Event::Computed {
        job: 1,
        result: Err(FailureReason::ModelError),
    };
    assert_eq!(core.on(failed), [Action::Decline(1, FailureReason::ModelError)]);
}

#[test]
fn a_result_that_did_not_arrive_is_sent_again() {
    let mut core = core(1);
    let list = [owed(1, 10)];
    head(&mut core, 10, &list);
    computed(&mut core, 1);
    sent(&mut core, 1, SendOutcome::Unclear);
    assert_eq!(head(&mut core, 11, &list), [Action::SendResult(1)]);
    sent(&mut core, 1, SendOutcome::Included);
    // Included, but a reorganisation took it out again.
    assert_eq!(head(&mut core, 12, &list), []);
    assert_eq!(head(&mut core, 16, &list), [Action::SendResult(1)]);
    // The first one made it after all: that was us, not another worker.
    assert_eq!(sent(&mut core, 1, SendOutcome::AlreadyDelivered), []);
    assert!(!core.is_halted());
}

#[test]
fn a_stored_result_is_sent_after_a_restart_without_computing() {
    let stored = Stored {
        job: 1,
        key: H256::from_low_u64_be(1),
        deadline: 30,
        attempted: true,
    };
    let mut core = Core::new(Limits::default(), [stored]);
    assert_eq!(head(&mut core, 12, &[owed(1, 10)]), [Action::SendResult(1)]);
    assert_eq!(sent(&mut core, 1, SendOutcome::AlreadyDelivered), []);
    assert!(!core.is_halted());
}

#[test]
fn a_stored_result_for_other_inputs_is_not_sent() {
    let stored = Stored {
        job: 1,
        key: H256::repeat_byte(9),
        deadline: 30,
        attempted: false,
    };
    let mut core = Core::new(Limits::default(), [stored]);
    assert_eq!(
        head(&mut core, 12, &[owed(1, 10)]),
        [Action::Forget(1), Action::Compute(1)]
    );
}

#[test]
fn a_result_that_the_chain_refuses_is_handed_back() {
    let mut core = core(1);
    head(&mut core, 10, &[owed(1, 10)]);
    computed(&mut core, 1);
    let refused = SendOutcome::Refused(FailureReason::OutputTooLarge);
    assert_eq!(
        sent(&mut core, 1, refused),
        [Action::Decline(1, FailureReason::OutputTooLarge)]
    );
    assert_eq!(sent(&mut core, 1, refused), []);
    assert!(core.is_drained());
}

#[test]
fn another_worker_with_the_same_key_stops_this_one() {
    let mut halted = core(2);
    head(&mut halted, 10, &[owed(1, 10), owed(2, 10)]);
    computed(&mut halted, 1);
    let actions = sent(&mut halted, 1, SendOutcome::AlreadyDelivered);
    assert_eq!(actions, [Action::Cancel(2), Action::OtherWorker(1)]);
    assert_eq!(head(&mut halted, 11, &[owed(2, 10), owed(3, 11)]), []);
    assert!(halted.is_halted() && halted.is_drained());

    let mut halted = core(1);
    head(&mut halted, 10, &[owed(1, 10)]);
    assert_eq!(head(&mut halted, 11, &[]), [Action::Investigate(1)]);
    assert_eq!(head(&mut halted, 12, &[]), [], "once is enough");
    let found = halted.on(Event::FoundDelivered { job: 1 });
    assert_eq!(found, [Action::Cancel(1), Action::OtherWorker(1)]);
}

#[test]
fn a_transaction_that_was_replaced_gives_another_worker_away() {
    let mut core = core(1);
    head(&mut core, 10, &[owed(1, 10)]);
    computed(&mut core, 1);
    sent(&mut core, 1, SendOutcome::Replaced);
    assert_eq!(head(&mut core, 11, &[]), [Action::Investigate(1)]);
    assert_eq!(
        core.on(Event::FoundDelivered { job: 1 }),
        [Action::OtherWorker(1)]
    );
}

#[test]
fn a_transaction_that_was_replaced_by_something_else_is_sent_again() {
    let mut core = core(1);
    let list = [owed(1, 10)];
    head(&mut core, 10, &list);
    computed(&mut core, 1);
    sent(&mut core, 1, SendOutcome::Replaced);
    assert_eq!(head(&mut core, 11, &list), [Action::SendResult(1)]);
    sent(&mut core, 1, SendOutcome::Included);
    assert_eq!(head(&mut core, 12, &[]), []);
    assert!(!core.is_halted());
}

#[test]
fn stopping_finishes_what_it_can() {
    let mut core = core(1);
    let list = [owed(1, 10), owed(2, 10)];
    head(&mut core, 10, &list);
    assert_eq!(
        core.on(Event::Stop),
        [Action::Decline(2, FailureReason::HostUnavailable)]
    );
    assert_eq!(
        head(&mut core, 11, &[owed(1, 10), owed(2, 10), owed(3, 11)]),
        [Action::Decline(3, FailureReason::HostUnavailable)]
    );
    assert!(!core.is_drained());
    let over = core.on(Event::GraceOver);
    assert_eq!(
        over,
        [
            Action::Cancel(1),
            Action::Decline(1, FailureReason::HostUnavailable)
        ]
    );
    for job in 1..=3 {
        sent(&mut core, job, SendOutcome::Included);
    }
    assert!(core.is_drained());
}

#[test]
fn a_missed_deadline_is_dropped() {
    let mut core = core(1);
    head(&mut core, 10, &[owed(1, 10)]);
    assert_eq!(head(&mut core, 31, &[]), [Action::Cancel(1), Action::Forget(1)]);
    assert_eq!(
        computed(&mut core, 1),
        [Action::Forget(1)],
        "it came in all the same"
    );
}

/// A chain, a disk and a worker, driven by a random history.
struct World {
    block: BlockNumber,
    next_job: JobId,
    /// Pending on the chain: job and draw.
    pending: BTreeMap<JobId, Owed>,
    delivered: BTreeSet<JobId>,
    /// What survives a crash: the store.
    disk: BTreeMap<JobId, Stored>,
    core: Core,
    computing: BTreeSet<JobId>,
    on_the_way: BTreeMap<JobId, Action>,
    stopping: bool,
    /// Jobs that an investigation found delivered.
    found: Vec<JobId>,
}

const LIMITS: Limits = Limits {
    capacity: 2,
    backlog: 3,
    resend_after: 3,
    margin: 2,
};

#[derive(Clone, Debug)]
enum Step {
    NewJob,
    Block { fork: bool },
    Compute { ok: bool },
    Deliver { outcome: u8 },
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::NewJob),
        5 => any::<bool>().prop_map(|fork| Step::Block { fork }),
        4 => prop::bool::weighted(0.8).prop_map(|ok| Step::Compute { ok }),
        4 => (0u8..5).prop_map(|outcome| Step::Deliver { outcome }),
        1 => Just(Step::Crash),
    ]
}

impl World {
    fn new() -> Self {
        Self {
            block: 1,
            next_job: 0,
            pending: BTreeMap::new(),
            delivered: BTreeSet::new(),
            disk: BTreeMap::new(),
            core: Core::new(LIMITS, []),
            computing: BTreeSet::new(),
            on_the_way: BTreeMap::new(),
            stopping: false,
            found: Vec::new(),
        }
    }

    fn feed(&mut self, event: Event) -> Result<(), TestCaseError> {
        for action in self.core.on(event) {
            match action {
                Action::Compute(job) => {
                    let key = self.pending.get(&job).map(|o| o.key);
                    let stored = self.disk.get(&job).map(|s| s.key);
                    prop_assert!(
                        stored.is_none() || stored != key,
                        "job {job} is computed though its result is stored"
                    );
                    prop_assert!(!self.stopping, "job {job} is begun while stopping");
                    prop_assert!(
                        self.computing.insert(job),
                        "job {job} is computed twice at a time"
                    );
                }
                Action::Cancel(job) => {
                    self.computing.remove(&job);
                }
                Action::SendResult(job) => {
                    let stored = self.disk.get_mut(&job);
                    prop_assert!(stored.is_some(), "no stored result for job {job}");
                    if let Some(stored) = stored {
                        stored.attempted = true;
                    }
                    prop_assert!(
                        self.on_the_way.insert(job, action).is_none(),
                        "job {job} is sent twice at a time"
                    );
                }
                Action::Decline(job, _) => {
                    prop_assert!(
                        self.on_the_way.insert(job, action).is_none(),
                        "job {job} is sent twice at a time"
                    );
                }
                Action::Forget(job) => {
                    let lost = self.disk.remove(&job).is_some_and(|s| s.deadline >= self.block);
                    prop_assert!(
                        !lost,
                        "the result of job {job} is thrown away before its deadline"
                    );
                }
                Action::Investigate(job) => {
                    if self.delivered.contains(&job) {
                        self.found.push(job);
                    }
                }
                Action::OtherWorker(job) => prop_assert!(false, "job {job}: there is no other worker"),
            }
        }
        prop_assert!(self.computing.len() <= LIMITS.capacity);
        // Only this worker delivers here: whatever is found must not be taken for another one's work.
        match self.found.pop() {
            Some(job) => self.feed(Event::FoundDelivered { job }),
            None => Ok(()),
        }
    }

    fn head(&mut self, hide: bool) -> Result<(), TestCaseError> {
        // A fork may not know the newest draws.
        let owed = self
            .pending
            .values()
            .filter(|o| !hide || o.drawn_at + 2 < self.block)
            .copied()
            .collect();
        self.feed(Event::Head {
            block: self.block,
            owed,
        })
    }

    fn apply(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::NewJob => {
                self.next_job += 1;
                self.pending
                    .insert(self.next_job, owed(self.next_job, self.block));
            }
            Step::Block { fork } => {
                self.block += 1;
                self.pending.retain(|_, o| o.deadline >= self.block);
                self.head(fork)?;
            }
            Step::Compute { ok } => {
                let Some(job) = self.computing.pop_first() else {
                    return Ok(());
                };
                let deadline = self.pending.get(&job).map_or(self.block, |o| o.deadline);
                if ok {
                    let key = H256::from_low_u64_be(job);
                    self.disk.insert(
                        job,
                        Stored {
                            job,
                            key,
                            deadline,
                            attempted: false,
                        },
                    );
                }
                self.feed(Event::Computed {
                    job,
                    result: ok.then_some(()).ok_or(FailureReason::ModelError),
                })?;
            }
            Step::Deliver { outcome } => {
                let Some((job, action)) = self.on_the_way.pop_first() else {
                    return Ok(());
                };
                let waits = self.pending.contains_key(&job);
                let outcome = match outcome {
                    // Lost on the way.
                    0 => SendOutcome::Unclear,
                    // In a block, but nobody could tell.
                    1 => {
                        self.land(job, action);
                        SendOutcome::Unclear
                    }
                    // Someone used the key for something else.
                    4 => SendOutcome::Replaced,
                    _ if self.delivered.contains(&job) => SendOutcome::AlreadyDelivered,
                    _ if !waits => SendOutcome::Gone,
                    _ => {
                        self.land(job, action);
                        SendOutcome::Included
                    }
                };
                self.feed(Event::Sent { job, outcome })?;
            }
            Step::Crash => {
                self.core = Core::new(LIMITS, self.disk.values().copied());
                self.computing.clear();
                // What was on the way may still land.
                for (job, action) in std::mem::take(&mut self.on_the_way) {
                    if job % 2 == 0 {
                        self.land(job, action);
                    }
                }
            }
        }
        Ok(())
    }

    fn land(&mut self, job: JobId, action: Action) {
        if self.pending.remove(&job).is_some() && matches!(action, Action::SendResult(_)) {
            self.delivered.insert(job);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn no_history_computes_twice_or_loses_a_result(steps in prop::collection::vec(step(), 1..150)) {
        let mut world = World::new();
        for step in steps {
            world.apply(step)?;
        }
        // When things calm down, everything that is stored and still waited for arrives.
        for _ in 0..6 {
            while !world.on_the_way.is_empty() {
                world.apply(Step::Deliver { outcome: 2 })?;
            }
            world.block += 1;
            world.pending.retain(|_, o| o.deadline >= world.block);
            world.head(false)?;
        }
        while !world.on_the_way.is_empty() {
            world.apply(Step::Deliver { outcome: 2 })?;
        }
        for (job, stored) in &world.disk {
            let waits = world.pending.get(job).is_some_and(|o| o.key == stored.key && o.deadline > world.block);
            prop_assert!(!waits, "the stored result of job {job} never arrived");
        }
    }

    #[test]
    fn stopping_ends(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for step in steps {
            world.apply(step)?;
        }
        world.feed(Event::Stop)?;
        world.stopping = true;
        world.feed(Event::GraceOver)?;
        for _ in 0..8 {
            while !world.on_the_way.is_empty() {
                world.apply(Step::Deliver { outcome: 2 })?;
            }
            world.block += 1;
            world.pending.retain(|_, o| o.deadline >= world.block);
            world.head(false)?;
        }
        while !world.on_the_way.is_empty() {
            world.apply(Step::Deliver { outcome: 2 })?;
        }
        world.block += 1;
        world.pending.retain(|_, o| o.deadline >= world.block);
        world.head(false)?;
        while !world.on_the_way.is_empty() {
            world.apply(Step::Deliver { outcome: 2 })?;
        }
        prop_assert!(world.core.is_drained(), "{:?}", world.core.counts());
    }
}
