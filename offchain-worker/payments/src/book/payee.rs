//! The host's end of all its lanes.

pub(crate) mod lanes;
mod queue;

use crate::{
    BookError, VoucherRefusal,
    book::durable,
    lane::{BlockNumber, ClaimDue, ClaimPolicy, LaneFacts, LaneKey, Outcome, PayeePolicy},
    store::{Committer, Done, Loaded, Owner, Store},
};
use lanes::Lanes;
use llmesh_primitives::{ChannelId, SignedVoucher};
use queue::{Job, VerifyQueue};
use sp_core::H256;
use sp_runtime::AccountId32;
use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};
use tokio::sync::{Notify, oneshot};

/// What a [`PayeeBook`] may hold, besides the rules of each lane.
#[derive(Clone, Debug)]
pub struct PayeeLimits {
    /// The rules of each lane.
    pub lane: PayeePolicy,
    /// Most lanes. When there are more, those that never had a request served go first, the longest unused before others.
    pub max_lanes: usize,
    /// Most vouchers that wait for verification.
    pub max_waiting: usize,
    /// Answered requests that are remembered, over all lanes, so that none is charged twice.
    pub remember: usize,
    /// Threads that verify signatures.
    pub verifiers: usize,
}

impl Default for PayeeLimits {
    /// 16,384 lanes, 4,096 vouchers waiting, 65,536 answered requests, one verifying thread.
    fn default() -> Self {
        Self {
            lane: PayeePolicy::default(),
            max_lanes: 16_384,
            max_waiting: 4_096,
            remember: 65_536,
            verifiers: 1,
        }
    }
}

/// A lane, as the status shows it. Amounts in planck.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneStatus {
    pub key: LaneKey,
    pub epoch: u32,
    /// The highest sum that there is a voucher for.
    pub signed: u128,
    pub served: u128,
    /// Prices of the requests at work.
    pub reserved: u128,
    /// Number of the requests at work.
    pub at_work: usize,
    /// Claimed on the chain.
    pub claimed: u128,
    /// What the chain would pay now.
    pub claimable: u128,
    /// Highest sequence number of a receipt.
    pub sequence: u64,
    /// Last block to claim in.
    pub last_claim_at: BlockNumber,
}

/// Sums over all lanes, in planck.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub lanes: usize,
    /// Signed and not claimed.
    pub unsettled: u128,
    /// The most that may be unsettled.
    pub limit: u128,
    /// What the chain would pay now.
    pub claimable: u128,
    /// Prices of the requests at work.
    pub reserved: u128,
}

/// A lane that is no longer on the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    pub key: LaneKey,
    /// What was claimable and was not claimed in time, in planck.
    pub lost: u128,
}

/// The host's end of all its lanes.
///
/// It works outside of async threads: signatures are verified by threads of its own, in batches, and one thread commits.
/// Dropping the book waits for what is queued to be written.
pub struct PayeeBook {
    inner: Arc<Inner>,
    verifiers: Vec<JoinHandle<()>>,
    /// Closed last.
    _store: Store,
}

struct Inner {
    own: AccountId32,
    genesis: H256,
    policy: PayeePolicy,
    lanes: Mutex<Lanes>,
    committer: Committer,
    queue: VerifyQueue,
    /// Told when a request was refused for lack of stake.
    claims_wanted: Notify,
}

impl Inner {
    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues what the lanes changed, as long as they are locked, and unlocks them. The receiver hears of the commit.
    fn commit(&self, mut lanes: MutexGuard<'_, Lanes>) -> oneshot::Receiver<Result<(), BookError>> {
        let (tell, told) = oneshot::channel();
        let done: Done = Box::new(move |result| drop(tell.send(result)));
        let refused = lanes.submit(&self.committer, Some(done));
        drop(lanes);
        drop(refused);
        told
    }

    /// Verifies and applies a batch of jobs.
    fn admit_all(self: &Arc<Self>, jobs: Vec<(Job, bool)>) {
        let mut tell: Vec<Box<dyn FnOnce() + Send>> = Vec::new();
        let mut lanes = self.lanes();
        for (job, good) in jobs {
            let Job {
                facts,
                voucher,
                price,
                request,
                sequence,
                reply,
                ..
            } = job;
            // Nobody waits any more.
            if reply.is_closed() {
                continue;
            }
            let admitted = if good {
                lanes.admit(&self.policy, &facts, &voucher, price, request, sequence)
            } else {
                Err(VoucherRefusal::BadSignature)
            };
            if let Err(refusal) = admitted {
                if matches!(refusal, VoucherRefusal::OverStake { .. }) {
                    self.claims_wanted.notify_one();
                }
                tell.push(Box::new(move || drop(reply.send(Err(refusal)))));
                continue;
            }
            // From here on, whatever becomes of it, the guard ends the request.
            let admission = Admission {
                inner: Arc::clone(self),
                key: facts.key,
                epoch: facts.epoch,
                request,
                price,
                sequence,
                open: true,
            };
            tell.push(Box::new(move || drop(reply.send(Ok(admission)))));
        }
        drop(lanes);
        // Dropping an admission takes the lock, so nobody is told before.
        for tell in tell {
            tell();
        }
    }
}

impl PayeeBook {
    /// Opens or makes the book of the host account `own` on the chain with this genesis. The stake limit is zero until
    /// [`Self::set_stake_limit`].
    ///
    /// # Errors
    /// When the file can not be opened, is of another chain or account, or can not be read.
    pub fn open(
        path: &Path,
        own: AccountId32,
        genesis: H256,
        limits: PayeeLimits,
    ) -> Result<Self, BookError> {
        let (store, loaded) = Store::open(path, &Self::owner(&own, genesis))?;
        Self::start(path, own, genesis, limits, store, &loaded)
    }

    pub(crate) fn owner(own: &AccountId32, genesis: H256) -> Owner {
        Owner {
            genesis,
            name: format!("host {own}"),
        }
    }

    pub(crate) fn start(
        path: &Path,
        own: AccountId32,
        genesis: H256,
        limits: PayeeLimits,
        store: Store,
        loaded: &Loaded,
    ) -> Result<Self, BookError> {
        let lanes = Lanes::load(path, loaded, limits.max_lanes, limits.remember)?;
        let inner = Arc::new(Inner {
            own,
            genesis,
            policy: limits.lane,
            lanes: Mutex::new(lanes),
            committer: store.committer(),
            queue: VerifyQueue::new(limits.max_waiting),
            claims_wanted: Notify::new(),
        });
        let mut book = Self {
            inner,
            verifiers: Vec::new(),
            _store: store,
        };
        for n in 0..limits.verifiers.max(1) {
            let inner = Arc::clone(&book.inner);
            let thread = std::thread::Builder::new()
                .name(format!("payments-verify-{n}"))
                .spawn(move || inner.queue.serve(|jobs| inner.admit_all(jobs)))
                .map_err(|e| BookError::Thread(e.to_string()))?;
            book.verifiers.push(thread);
        }
        Ok(book)
    }

    /// Takes a voucher and admits the request that came with it: then it may run.
    ///
    /// The voucher goes to disk with the answer at the latest, in one commit, and [`Admission::served`] waits for that: no
    /// answer leaves that is not paid for. Before, a crash takes a voucher and the work that nobody has seen yet. The
    /// payer's next voucher is for both.
    ///
    /// The caller has checked that the request is the channel signer's, that `price` covers its own fee, that `sequence` is
    /// the number in its terms, and that it has not answered the request already. `facts` are of a finalized block.
    ///
    /// # Errors
    /// Why the request must not run; then the voucher was not taken.
    pub async fn admit(
        &self,
        facts: &LaneFacts,
        voucher: &SignedVoucher,
        price: u128,
        request: H256,
        sequence: u64,
    ) -> Result<Admission, VoucherRefusal> {
        let inner = &self.inner;
        facts.check(&inner.own, inner.genesis, &inner.policy, &voucher.voucher)?;
        let (reply, replied) = oneshot::channel();
        let job = Job {
            payload: voucher.voucher.payload(),
            facts: facts.clone(),
            voucher: voucher.clone(),
            price,
            request,
            sequence,
            reply,
        };
        if !inner.queue.push(job) {
            return Err(VoucherRefusal::Busy);
        }
        replied.await.unwrap_or(Err(BookError::Gone.into()))
    }

    /// Sets how much may be unsettled over all lanes, in planck: the host's stake.
    pub fn set_stake_limit(&self, limit: u128) {
        self.inner.lanes().limit = limit;
    }

    /// The claims that should be made now, the most urgent first: channels that end, then by value. Claims that are
    /// under way are the caller's to leave out.
    pub fn claims(&self, policy: &ClaimPolicy) -> Vec<ClaimDue> {
        self.inner.lanes().claims(policy)
    }

    /// Waits until a request was refused because too much is unsettled: time for [`Self::claims`], which then gives what
    /// is above the dust.
    pub async fn claims_wanted(&self) {
        self.inner.claims_wanted.notified().await;
    }

    /// The number up to which a claim may cover the lane's receipts now: below every [`Admission`] and [`Served`] that there
    /// is, and at least what the chain says that claims covered. From now on no request is admitted with one of these numbers.
    /// `None` if the lane is not kept, or of another epoch.
    ///
    /// It is written with the next commit; what a crash loses of it, whoever keeps the receipts must know.
    pub fn close(&self, key: LaneKey, epoch: u32) -> Option<u64> {
        let mut lanes = self.inner.lanes();
        let closed = lanes.close(key, epoch)?;
        drop(self.inner.commit(lanes));
        Some(closed)
    }

    /// Notes that the chain took a claim of `cumulative` and has paid `paid` planck to the lane in all.
    ///
    /// # Errors
    /// When it could not be written; it counts all the same.
    pub async fn claimed(
        &self,
        channel: ChannelId,
        lane: llmesh_primitives::LaneId,
        cumulative: u128,
        paid: u128,
    ) -> Result<(), BookError> {
        let told = {
            let mut lanes = self.inner.lanes();
            lanes.change(LaneKey { channel, lane }, |lane| lane.claimed(cumulative, paid));
            self.inner.commit(lanes)
        };
        durable(told).await
    }

    /// Takes over what the chain says of lanes that the book has. Of others nothing is kept.
    ///
    /// # Errors
    /// When it could not be written; it counts all the same.
    pub async fn refresh(&self, facts: &[LaneFacts]) -> Result<(), BookError> {
        let told = {
            let mut lanes = self.inner.lanes();
            for facts in facts {
                // Facts of an epoch that is over say nothing.
                lanes.change(facts.key, |lane| lane.sync(facts).unwrap_or(false));
            }
            self.inner.commit(lanes)
        };
        durable(told).await
    }

    /// Forgets the lanes of a channel that is not on the chain any more, as seen in block `now`. Lanes that were seen there
    /// in this block or later stay, so that a node that lags behind does not make the book forget money.
    ///
    /// # Errors
    /// When it could not be written; it counts all the same.
    pub async fn gone(&self, channel: ChannelId, now: BlockNumber) -> Result<Vec<Gone>, BookError> {
        let (gone, told) = {
            let mut lanes = self.inner.lanes();
            let gone = lanes.remove_channel(channel, now);
            (gone, self.inner.commit(lanes))
        };
        durable(told).await?;
        Ok(gone)
    }

    /// Returns when everything that changed before is durable.
    ///
    /// # Errors
    /// When it is not.
    pub async fn flush(&self) -> Result<(), BookError> {
        let told = self.inner.commit(self.inner.lanes());
        durable(told).await
    }

    /// All lanes, by channel.
    pub fn lanes(&self) -> Vec<LaneStatus> {
        self.inner.lanes().status()
    }

    /// Sums over all lanes.
    pub fn totals(&self) -> Totals {
        self.inner.lanes().totals()
    }
}

impl Drop for PayeeBook {
    fn drop(&mut self) {
        self.inner.queue.close();
        for thread in self.verifiers.drain(..) {
            // Its panic was reported when it happened.
            drop(thread.join());
        }
        // Vouchers of requests that were not answered. The store writes what is queued before it ends.
        drop(self.inner.commit(self.inner.lanes()));
    }
}

/// A request that may run: its voucher is good and is for as much. Dropping it ends the request as failed, and its money is
/// credit for the lane's next.
#[must_use = "dropping it ends the request as failed"]
pub struct Admission {
    inner: Arc<Inner>,
    key: LaneKey,
    epoch: u32,
    request: H256,
    price: u128,
    sequence: u64,
    open: bool,
}

impl std::fmt::Debug for Admission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admission")
            .field("key", &self.key)
            .field("epoch", &self.epoch)
            .field("request", &self.request)
            .field("price", &self.price)
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}

impl Admission {
    /// The lane.
    pub fn key(&self) -> LaneKey {
        self.key
    }

    /// The channel's epoch.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The request's id.
    pub fn request(&self) -> H256 {
        self.request
    }

    /// In planck.
    pub fn price(&self) -> u128 {
        self.price
    }

    /// The request's number, which is the receipt's. No two receipts of a lane's epoch have the same.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Counts the request as answered, with the hash of its receipt. Returns when that and the voucher are durable: then the
    /// answer may be sent. No claim goes past the receipt's number before the guard is dropped.
    ///
    /// # Errors
    /// [`BookError::Gone`] if the lane is no longer kept: nothing can be claimed for it. Otherwise it counts, but would
    /// not survive a crash: try [`PayeeBook::flush`] before the answer is sent.
    pub async fn served(mut self, receipt: H256) -> Result<Served, BookError> {
        let (served, told) = {
            let mut lanes = self.inner.lanes();
            self.open = false;
            lanes.served(self.key, self.epoch, self.request, receipt)?;
            let served = Served {
                inner: Arc::clone(&self.inner),
                key: self.key,
                epoch: self.epoch,
                sequence: self.sequence,
            };
            (served, self.inner.commit(lanes))
        };
        durable(told).await?;
        Ok(served)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if self.open {
            // Nothing to be made durable: a crash ends the request just so.
            // Of a lane that is gone there is nothing to end.
            let _ = self
                .inner
                .lanes()
                .finish(self.key, self.epoch, self.request, Outcome::Failed);
        }
    }
}

/// A request that was answered, while its receipt may not be on disk yet: [`PayeeBook::close`] stays below its number. Drop
/// it once the receipt is there.
#[must_use = "a claim may go past the receipt once it is dropped"]
pub struct Served {
    inner: Arc<Inner>,
    key: LaneKey,
    epoch: u32,
    sequence: u64,
}

impl std::fmt::Debug for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Served")
            .field("key", &self.key)
            .field("epoch", &self.epoch)
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.inner.lanes().let_go(self.key, self.epoch, self.sequence);
    }
}
