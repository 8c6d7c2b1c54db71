//! Vouchers on their way to verification.

use crate::{
    VoucherRefusal,
    book::payee::Admission,
    lane::LaneFacts,
    verify::{Item, Verifier},
};
use llmesh_primitives::SignedVoucher;
use sp_core::H256;
use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::oneshot;

/// Most vouchers of a batch. The work of each falls little from here on, and all wait for the last.
const BATCH: usize = 64;

/// A voucher and the request that came with it.
pub(super) struct Job {
    pub payload: [u8; 32],
    pub facts: LaneFacts,
    pub voucher: SignedVoucher,
    pub price: u128,
    pub request: H256,
    pub sequence: u64,
    pub reply: oneshot::Sender<Result<Admission, VoucherRefusal>>,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    closed: bool,
}

/// Bounded; whatever has come while a batch was verified is the next.
pub(super) struct VerifyQueue {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    limit: usize,
}

impl VerifyQueue {
    pub fn new(limit: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            wake: Condvar::new(),
            limit,
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there was room.
    pub fn push(&self, job: Job) -> bool {
        let mut waiting = self.waiting();
        if waiting.closed || waiting.jobs.len() >= self.limit {
            return false;
        }
        waiting.jobs.push_back(job);
        drop(waiting);
        self.wake.notify_one();
        true
    }

    /// Ends [`Self::serve`] once everything was served.
    pub fn close(&self) {
        self.waiting().closed = true;
        self.wake.notify_all();
    }

    /// Verifies what comes and hands it on with the verdicts.
    pub fn serve(&self, mut hand_on: impl FnMut(Vec<(Job, bool)>)) {
        let mut verifier = Verifier::new();
        loop {
            let mut waiting = self.waiting();
            while waiting.jobs.is_empty() {
                if waiting.closed {
                    return;
                }
                waiting = self.wake.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
            let length = waiting.jobs.len().min(BATCH);
            let jobs: Vec<Job> = waiting.jobs.drain(..length).collect();
            drop(waiting);
            let items: Vec<Item<'_>> = jobs
                .iter()
                .map(|job| Item {
                    payload: job.payload,
                    signature: &job.voucher.signature,
                    signer: &job.facts.signer,
                })
                .collect();
            let verdicts = verifier.verify(&items);
            hand_on(jobs.into_iter().zip(verdicts).collect());
        }
    }
}
