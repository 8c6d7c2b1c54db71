//! The payer's end of all its lanes.

use crate::{
    BookError, PayError,
    book::{durable, lane_key},
    lane::{LaneFacts, LaneKey, Owed, PayerLane, PayerPolicy},
    store::{Committer, Done, Loaded, Owner, Row, Store, Table, decode},
};
use codec::Encode;
use llmesh_primitives::{ChannelId, SignedVoucher};
use sp_core::H256;
use sp_runtime::{AccountId32, MultiSignature};
use std::{
    collections::BTreeMap,
    future::Future,
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};
use tokio::sync::oneshot;

/// A lane, as the status shows it. Amounts in planck.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayerLaneStatus {
    pub key: LaneKey,
    pub epoch: u32,
    pub host: AccountId32,
    /// Sum and nonce of the highest voucher.
    pub signed: u128,
    pub nonce: u64,
    /// Prices of accepted answers.
    pub spent: u128,
    /// What the host was believed to have served although no answer came.
    pub written_off: u128,
    /// Prices of the requests in flight.
    pub in_flight: u128,
    /// Number of the requests in flight.
    pub requests: usize,
    /// Running hash of the accepted receipts.
    pub receipts: H256,
}

/// The payer's end of all its lanes.
///
/// One book has the lanes of any number of channels. Changes are in force at once; what is handed out waits for the disk.
pub struct PayerBook {
    inner: Arc<Inner>,
    _store: Store,
}

struct Inner {
    genesis: H256,
    policy: PayerPolicy,
    lanes: Mutex<BTreeMap<LaneKey, PayerLane>>,
    committer: Committer,
}

/// Something that counts already, on its way to the disk. Await it to know that it would survive a crash; what is lost in
/// one, the host's word makes up for.
#[derive(Debug)]
pub struct Written(oneshot::Receiver<Result<(), BookError>>);

impl Future for Written {
    type Output = Result<(), BookError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(context)
            .map(|told| told.unwrap_or(Err(BookError::Gone)))
    }
}

impl Inner {
    fn lanes(&self) -> MutexGuard<'_, BTreeMap<LaneKey, PayerLane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues lanes that changed, while they are locked.
    fn write(
        &self,
        lanes: MutexGuard<'_, BTreeMap<LaneKey, PayerLane>>,
        changed: impl IntoIterator<Item = LaneKey>,
    ) -> Written {
        let (tell, told) = oneshot::channel();
        let done: Done = Box::new(move |result| drop(tell.send(result)));
        let rows: Vec<Row> = changed
            .into_iter()
            .map(|key| ((Table::Lanes, key.bytes()), lanes.get(&key).map(Encode::encode)))
            .collect();
        let refused = self.committer.submit(rows, Some(done));
        drop(lanes);
        drop(refused);
        Written(told)
    }

    /// Changes a lane of this epoch, if there is one.
    fn change<T>(
        &self,
        key: LaneKey,
        epoch: u32,
        change: impl FnOnce(&mut PayerLane) -> T,
    ) -> (Option<T>, Written) {
        let mut lanes = self.lanes();
        let result = lanes
            .get_mut(&key)
            .filter(|lane| lane.epoch() == epoch)
            .map(change);
        let changed = result.is_some().then_some(key);
        (result, self.write(lanes, changed))
    }
}

/// The lane of these facts, made if there is none.
fn lane_of<'a>(lanes: &'a mut BTreeMap<LaneKey, PayerLane>, facts: &LaneFacts) -> &'a mut PayerLane {
    lanes.entry(facts.key).or_insert_with(|| PayerLane::new(facts))
}

impl PayerBook {
    /// Opens or makes the book of a payer on the chain with this genesis. Requests that were in flight when the last
    /// process ended count as failed.
    ///
    /// # Errors
    /// When the file can not be opened, is of another chain or of a host, or can not be read.
    pub fn open(path: &Path, genesis: H256, policy: PayerPolicy) -> Result<Self, BookError> {
        let (store, loaded) = Store::open(path, &Self::owner(genesis))?;
        Self::start(path, genesis, policy, store, &loaded)
    }

    pub(crate) fn owner(genesis: H256) -> Owner {
        Owner {
            genesis,
            name: "a payer".into(),
        }
    }

    pub(crate) fn start(
        path: &Path,
        genesis: H256,
        policy: PayerPolicy,
        store: Store,
        loaded: &Loaded,
    ) -> Result<Self, BookError> {
        let mut lanes = BTreeMap::new();
        for (key, value) in &loaded.lanes {
            let mut lane: PayerLane = decode(path, "lane", value)?;
            lane.restart();
            lanes.insert(lane_key(path, key)?, lane);
        }
        Ok(Self {
            inner: Arc::new(Inner {
                genesis,
                policy,
                lanes: Mutex::new(lanes),
                committer: store.committer(),
            }),
            _store: store,
        })
    }

    /// A number for a request of this lane, for its terms. Numbers of requests that come to nothing are left out. No two that
    /// are paid for get the same, also after a crash, as long as the host does not ask for it ([`Payment::renumber`]).
    ///
    /// It is not written: [`Self::pay`] for the request writes the lane before anything is sent.
    ///
    /// # Errors
    /// [`PayError::StaleFacts`].
    pub fn next_sequence(&self, facts: &LaneFacts) -> Result<u64, PayError> {
        lane_of(&mut self.inner.lanes(), facts).next_sequence(facts)
    }

    /// Pays for a request: gives the voucher to send with it. Returns when it is durable, so that no other voucher of the
    /// same nonce is ever handed out.
    ///
    /// `sequence` is the number in the request's terms, from [`Self::next_sequence`]. `sign` signs a payload with the
    /// channel's signer, if a new voucher is needed. It is called under a lock: it must be quick and must not use the book.
    ///
    /// # Errors
    /// Why there is no voucher.
    pub async fn pay(
        &self,
        facts: &LaneFacts,
        price: u128,
        request: H256,
        sequence: u64,
        sign: &(dyn Fn(&[u8; 32]) -> MultiSignature + Sync),
    ) -> Result<Payment, PayError> {
        self.pay_again(facts, price, request, sequence, Owed::default(), sign)
            .await
    }

    /// As [`Self::pay`], after the same host refused: `owed` is from [`Payment::refused`].
    ///
    /// # Errors
    /// Why there is no voucher.
    pub async fn pay_again(
        &self,
        facts: &LaneFacts,
        price: u128,
        request: H256,
        sequence: u64,
        owed: Owed,
        sign: &(dyn Fn(&[u8; 32]) -> MultiSignature + Sync),
    ) -> Result<Payment, PayError> {
        let inner = &self.inner;
        let (payment, written) = {
            let mut lanes = inner.lanes();
            let voucher = lane_of(&mut lanes, facts).pay(
                facts,
                &inner.policy,
                inner.genesis,
                price,
                request,
                sequence,
                owed,
                sign,
            )?;
            let payment = Payment {
                inner: Arc::clone(inner),
                key: facts.key,
                request,
                price,
                voucher,
                open: true,
            };
            (payment, inner.write(lanes, [facts.key]))
        };
        written.await?;
        Ok(payment)
    }

    /// Notes an answer that came after its payment was given up: it is paid for after all. Returns whether the request is
    /// known.
    pub fn accepted(&self, key: LaneKey, epoch: u32, request: H256, receipt: H256) -> (bool, Written) {
        let (known, written) = self
            .inner
            .change(key, epoch, |lane| lane.accepted(request, receipt));
        (known.unwrap_or(false), written)
    }

    /// Forgets a channel that was settled. A channel that is opened anew need not be forgotten.
    ///
    /// If it is still there, the next voucher would contradict earlier ones: be sure of it.
    ///
    /// # Errors
    /// When it could not be written.
    pub async fn forget(&self, channel: ChannelId) -> Result<(), BookError> {
        let written = {
            let mut lanes = self.inner.lanes();
            let gone: Vec<_> = lanes
                .keys()
                .filter(|key| key.channel == channel)
                .copied()
                .collect();
            for key in &gone {
                lanes.remove(key);
            }
            self.inner.write(lanes, gone)
        };
        durable(written.0).await
    }

    /// All lanes, by channel.
    pub fn lanes(&self) -> Vec<PayerLaneStatus> {
        self.inner
            .lanes()
            .iter()
            .map(|(key, lane)| PayerLaneStatus {
                key: *key,
                epoch: lane.epoch(),
                host: lane.host().clone(),
                signed: lane.signed(),
                nonce: lane.nonce(),
                spent: lane.spent(),
                written_off: lane.written_off(),
                in_flight: lane.in_flight(),
                requests: lane.requests(),
                receipts: lane.receipts(),
            })
            .collect()
    }
}

/// A request that is paid for and in flight. Dropping it ends the request as failed: its money pays for the next, unless
/// the host proves to have served it.
#[must_use = "dropping it ends the request as failed"]
pub struct Payment {
    inner: Arc<Inner>,
    key: LaneKey,
    request: H256,
    price: u128,
    voucher: SignedVoucher,
    open: bool,
}

impl std::fmt::Debug for Payment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Payment")
            .field("key", &self.key)
            .field("request", &self.request)
            .field("price", &self.price)
            .field("voucher", &self.voucher.voucher)
            .finish_non_exhaustive()
    }
}

impl Payment {
    /// The voucher to send. It may be one that was sent before, and need not be the lane's highest.
    pub fn voucher(&self) -> &SignedVoucher {
        &self.voucher
    }

    /// The lane.
    pub fn key(&self) -> LaneKey {
        self.key
    }

    /// The request's id.
    pub fn request(&self) -> H256 {
        self.request
    }

    /// In planck.
    pub fn price(&self) -> u128 {
        self.price
    }

    /// Notes that the answer was accepted, with the hash of its receipt. It counts at once; await to know it durable.
    pub fn accepted(mut self, receipt: H256) -> Written {
        self.end(|lane, request| lane.accepted(request, receipt)).1
    }

    /// Ends the request as failed; as dropping it.
    pub fn failed(mut self) -> Written {
        self.end(PayerLane::failed).1
    }

    /// Heals a disagreement: the host refused because of the voucher and says, sealed to this payer, that it served
    /// `served` planck and needs a voucher of `needed` ([`crate::VoucherRefusal::disagreement`]). Gives what
    /// [`PayerBook::pay_again`] needs.
    ///
    /// Do not pay the same host for the same request again more than a few times: requests at the same time can get in
    /// each other's way.
    ///
    /// # Errors
    /// [`PayError::Disagreement`] or [`PayError::LostTooMuch`]: the host should not be used any more.
    pub fn refused(mut self, served: u128, needed: u128) -> Result<Owed, PayError> {
        let inner = Arc::clone(&self.inner);
        self.end(|lane, request| lane.refused(&inner.policy, request, served, needed))
            .0
            // The channel was opened anew meanwhile: nothing is owed there.
            .unwrap_or(Ok(Owed::default()))
    }

    /// Heals a disagreement over numbers: the host refused because of the request's and says, sealed to this payer, that
    /// `highest` is the highest that it knows ([`crate::VoucherRefusal::Number`]). The next number is the one after it, unless
    /// requests with higher ones are in flight. The host has not worked at the request, so it does not count as lost.
    ///
    /// As with [`Self::refused`], do not try the same host again more than a few times.
    ///
    /// # Errors
    /// [`PayError::Numbering`]: the host should not be used any more.
    pub fn renumber(mut self, highest: u64) -> Result<(), PayError> {
        self.end(|lane, request| lane.renumber(request, highest))
            .0
            // The channel was opened anew meanwhile: numbers begin anew there.
            .unwrap_or(Ok(()))
    }

    fn end<T>(&mut self, end: impl FnOnce(&mut PayerLane, H256) -> T) -> (Option<T>, Written) {
        self.open = false;
        let epoch = self.voucher.voucher.epoch;
        self.inner.change(self.key, epoch, |lane| end(lane, self.request))
    }
}

impl Drop for Payment {
    fn drop(&mut self) {
        if self.open {
            drop(self.end(PayerLane::failed));
        }
    }
}
