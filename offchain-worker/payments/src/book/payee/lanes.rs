//! All lanes of a host in memory, with the sums and orders over them.

use crate::{
    BookError, VoucherRefusal,
    book::{
        lane_key,
        payee::{Gone, LaneStatus, Totals},
    },
    lane::{
        BlockNumber, ClaimDue, ClaimPolicy, ClaimReason, LaneFacts, LaneKey, Outcome, PayeeLane, PayeePolicy,
    },
    store::{Committer, Done, Loaded, Row, Table, decode},
};
use codec::{Decode, Encode};
use llmesh_primitives::{ChannelId, LaneId, SignedVoucher};
use sp_core::H256;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    path::Path,
};

struct Entry {
    lane: PayeeLane,
    /// When it was last used, counted in admissions.
    used: u64,
}

type RequestKey = (LaneKey, u32, H256);

/// A request that was answered, as it is stored.
#[derive(Clone, Debug, Encode, Decode)]
struct Answered {
    key: LaneKey,
    epoch: u32,
    request: H256,
    receipt: H256,
    sequence: u64,
}

/// The latest answered requests of all lanes.
struct History {
    /// Receipt's hash and sequence number.
    by_request: HashMap<RequestKey, (H256, u64)>,
    order: VecDeque<(u64, RequestKey)>,
    next: u64,
    limit: usize,
}

impl History {
    fn load(path: &Path, loaded: &Loaded, limit: usize) -> Result<Self, BookError> {
        let mut history = Self {
            by_request: HashMap::new(),
            order: VecDeque::new(),
            next: 0,
            limit: limit.max(1),
        };
        for (number, value) in &loaded.served {
            history.push(
                decode(path, "answer", value)?,
                number.as_slice().try_into().map_or(0, u64::from_be_bytes),
            );
        }
        Ok(history)
    }

    fn push(&mut self, served: Answered, number: u64) {
        let key = (served.key, served.epoch, served.request);
        self.by_request.insert(key, (served.receipt, served.sequence));
        self.order.push_back((number, key));
        self.next = self.next.max(number.saturating_add(1));
    }

    fn insert(&mut self, served: Answered, rows: &mut Vec<Row>) {
        let number = self.next;
        rows.push((row_key(number), Some(served.encode())));
        self.push(served, number);
        while self.order.len() > self.limit {
            let Some((number, key)) = self.order.pop_front() else {
                return;
            };
            self.by_request.remove(&key);
            rows.push((row_key(number), None));
        }
    }
}

fn row_key(number: u64) -> (Table, Vec<u8>) {
    (Table::Served, number.to_be_bytes().to_vec())
}

pub(crate) struct Lanes {
    lanes: BTreeMap<LaneKey, Entry>,
    history: History,
    max_lanes: usize,
    /// The most that may be unsettled.
    pub limit: u128,
    /// Signed and not claimed, over all lanes.
    unsettled: u128,
    /// The part of it on lanes with nothing to claim and nothing at work.
    idle_credit: u128,
    /// Those lanes, the largest first.
    by_credit: BTreeSet<(Reverse<u128>, LaneKey)>,
    /// Lanes that can be forgotten, the longest unused first.
    unused: BTreeSet<(u64, LaneKey)>,
    clock: u64,
    /// A request was refused for lack of stake since the last look at the claims.
    pressed: bool,
    /// What is to be written, before the lanes that are.
    rows: Vec<Row>,
    dirty: BTreeSet<LaneKey>,
}

impl Lanes {
    pub fn load(path: &Path, loaded: &Loaded, max_lanes: usize, remember: usize) -> Result<Self, BookError> {
        let mut lanes = Self {
            lanes: BTreeMap::new(),
            history: History::load(path, loaded, remember)?,
            max_lanes: max_lanes.max(1),
            limit: 0,
            unsettled: 0,
            idle_credit: 0,
            by_credit: BTreeSet::new(),
            unused: BTreeSet::new(),
            clock: 0,
            pressed: false,
            rows: Vec::new(),
            dirty: BTreeSet::new(),
        };
        for (key, value) in &loaded.lanes {
            lanes.insert(lane_key(path, key)?, decode(path, "lane", value)?);
        }
        Ok(lanes)
    }

    /// Admits a request whose facts and signature were checked.
    pub fn admit(
        &mut self,
        policy: &PayeePolicy,
        facts: &LaneFacts,
        voucher: &SignedVoucher,
        price: u128,
        request: H256,
        sequence: u64,
    ) -> Result<(), VoucherRefusal> {
        let key = facts.key;
        if let Some((receipt, sequence)) = self.history.by_request.get(&(key, facts.epoch, request)) {
            return Err(VoucherRefusal::AlreadyServed {
                receipt: *receipt,
                sequence: *sequence,
            });
        }
        let mut synced = Ok(false);
        let known = self.change(key, |lane| {
            synced = lane.sync(facts);
            matches!(synced, Ok(true))
        });
        synced?;
        // Checked before anything else moves for this request.
        let new = (!known).then(|| PayeeLane::new(facts));
        let lane = match (&new, self.lanes.get(&key)) {
            (Some(lane), _) => lane,
            (None, Some(entry)) => &entry.lane,
            (None, None) => return Err(BookError::Gone.into()),
        };
        let raise = lane.raise(policy, voucher, price, request, sequence)?;
        self.check_stake(key, raise)?;
        if let Some(lane) = new {
            self.make_room()?;
            self.insert(key, lane);
            self.dirty.insert(key);
        }
        self.clock = self.clock.saturating_add(1);
        let used = self.clock;
        self.unindex(key);
        let admitted = self.lanes.get_mut(&key).map(|entry| {
            entry.used = used;
            entry.lane.admit(policy, voucher, price, request, sequence)
        });
        self.index(key);
        if admitted.ok_or(BookError::Gone)??.changed {
            self.dirty.insert(key);
        }
        Ok(())
    }

    /// Whether `raise` more may be unsettled; takes credit from idle lanes for it.
    fn check_stake(&mut self, key: LaneKey, raise: u128) -> Result<(), VoucherRefusal> {
        let wanted = self.unsettled.saturating_add(raise);
        if raise == 0 || wanted <= self.limit {
            return Ok(());
        }
        let own = self
            .lanes
            .get(&key)
            .filter(|entry| entry.lane.is_settled())
            .map_or(0, |entry| entry.lane.unsettled());
        if wanted.saturating_sub(self.idle_credit.saturating_sub(own)) > self.limit {
            self.pressed = true;
            return Err(VoucherRefusal::OverStake {
                unsettled: self.unsettled,
                limit: self.limit,
            });
        }
        while self.unsettled.saturating_add(raise) > self.limit {
            let largest = self
                .by_credit
                .iter()
                .map(|(_, key)| *key)
                .find(|other| *other != key);
            let Some(largest) = largest else { break };
            self.change(largest, PayeeLane::release_credit);
        }
        Ok(())
    }

    fn make_room(&mut self) -> Result<(), VoucherRefusal> {
        while self.lanes.len() >= self.max_lanes {
            let Some((_, key)) = self.unused.first().copied() else {
                return Err(VoucherRefusal::TooManyLanes);
            };
            self.remove(key);
        }
        Ok(())
    }

    pub fn served(
        &mut self,
        key: LaneKey,
        epoch: u32,
        request: H256,
        receipt: H256,
    ) -> Result<(), BookError> {
        let sequence = self.finish(key, epoch, request, Outcome::Served)?;
        self.dirty.insert(key);
        let served = Answered {
            key,
            epoch,
            request,
            receipt,
            sequence,
        };
        self.history.insert(served, &mut self.rows);
        Ok(())
    }

    /// Ends a request and returns its number.
    pub fn finish(
        &mut self,
        key: LaneKey,
        epoch: u32,
        request: H256,
        outcome: Outcome,
    ) -> Result<u64, BookError> {
        let mut finished = Err(BookError::Gone);
        self.change(key, |lane| {
            if lane.epoch() == epoch {
                finished = lane.finish(request, outcome);
            }
            // A request that failed left nothing that has to survive.
            false
        });
        finished
    }

    /// A claim may go past the number of an answered request.
    pub fn let_go(&mut self, key: LaneKey, epoch: u32, sequence: u64) {
        self.change(key, |lane| {
            if lane.epoch() == epoch {
                lane.let_go(sequence);
            }
            false
        });
    }

    /// See [`PayeeLane::close`]. `None` if there is no such lane.
    pub fn close(&mut self, key: LaneKey, epoch: u32) -> Option<u64> {
        let mut closed = None;
        self.change(key, |lane| {
            if lane.epoch() == epoch {
                closed = Some(lane.close());
            }
            closed.is_some()
        });
        closed
    }

    /// Changes a lane, if there is such a lane. `change` says whether there is something new to write.
    pub fn change(&mut self, key: LaneKey, change: impl FnOnce(&mut PayeeLane) -> bool) -> bool {
        self.unindex(key);
        let Some(entry) = self.lanes.get_mut(&key) else {
            return false;
        };
        if change(&mut entry.lane) {
            self.dirty.insert(key);
        }
        self.index(key);
        true
    }

    /// Forgets a channel's lanes that were last seen before block `now`.
    pub fn remove_channel(&mut self, channel: ChannelId, now: BlockNumber) -> Vec<Gone> {
        let range = LaneKey { channel, lane: 0 }..=LaneKey {
            channel,
            lane: LaneId::MAX,
        };
        let gone: Vec<_> = self
            .lanes
            .range(range)
            .filter(|(_, entry)| entry.lane.seen() < now)
            .map(|(key, entry)| Gone {
                key: *key,
                lost: entry.lane.claimable(),
            })
            .collect();
        for Gone { key, lost } in &gone {
            if *lost > 0 {
                tracing::warn!(
                    channel,
                    lane = key.lane,
                    lost,
                    "a channel ended before all was claimed"
                );
            }
            self.remove(*key);
        }
        gone
    }

    fn insert(&mut self, key: LaneKey, lane: PayeeLane) {
        let entry = Entry {
            lane,
            used: self.clock,
        };
        self.lanes.insert(key, entry);
        self.index(key);
    }

    fn remove(&mut self, key: LaneKey) {
        self.unindex(key);
        self.lanes.remove(&key);
        self.dirty.remove(&key);
        self.rows.push(((Table::Lanes, key.bytes()), None));
    }

    fn unindex(&mut self, key: LaneKey) {
        let Some(entry) = self.lanes.get(&key) else {
            return;
        };
        let unsettled = entry.lane.unsettled();
        self.unsettled = self.unsettled.saturating_sub(unsettled);
        if self.by_credit.remove(&(Reverse(unsettled), key)) {
            self.idle_credit = self.idle_credit.saturating_sub(unsettled);
        }
        self.unused.remove(&(entry.used, key));
    }

    fn index(&mut self, key: LaneKey) {
        let Some(entry) = self.lanes.get(&key) else {
            return;
        };
        let unsettled = entry.lane.unsettled();
        self.unsettled = self.unsettled.saturating_add(unsettled);
        if unsettled > 0 && entry.lane.is_settled() {
            self.idle_credit = self.idle_credit.saturating_add(unsettled);
            self.by_credit.insert((Reverse(unsettled), key));
        }
        if entry.lane.is_unused() {
            self.unused.insert((entry.used, key));
        }
    }

    /// Hands over what is to be written. Returns `done` if the store is closed; it must not be called or dropped while the
    /// lanes are locked.
    pub fn submit(&mut self, committer: &Committer, done: Option<Done>) -> Option<Done> {
        let mut rows = std::mem::take(&mut self.rows);
        let dirty = std::mem::take(&mut self.dirty);
        rows.extend(dirty.iter().filter_map(|key| {
            let lane = self.lanes.get(key)?.lane.encode();
            Some(((Table::Lanes, key.bytes()), Some(lane)))
        }));
        committer.submit(rows, done).err().flatten()
    }

    pub fn claims(&mut self, policy: &ClaimPolicy) -> Vec<ClaimDue> {
        let pressed = std::mem::take(&mut self.pressed);
        let part = (self.limit / 100).saturating_mul(policy.pressure_percent.into());
        let pressure = pressed || self.unsettled > part;
        let mut due: Vec<_> = self
            .lanes
            .iter()
            .filter_map(|(key, entry)| entry.lane.claim_due(*key, policy, pressure))
            .collect();
        due.sort_by_key(|due| match due.reason {
            ClaimReason::Ending => (0, due.last, Reverse(due.value)),
            ClaimReason::Pressure | ClaimReason::Worth => (1, 0, Reverse(due.value)),
        });
        due
    }

    pub fn status(&self) -> Vec<LaneStatus> {
        self.lanes
            .iter()
            .map(|(key, Entry { lane, .. })| LaneStatus {
                key: *key,
                epoch: lane.epoch(),
                signed: lane.signed(),
                served: lane.served(),
                reserved: lane.reserved(),
                at_work: lane.at_work(),
                claimed: lane.on_chain(),
                claimable: lane.claimable(),
                sequence: lane.sequence(),
                last_claim_at: lane.last_claim_at(),
            })
            .collect()
    }

    pub fn totals(&self) -> Totals {
        let mut totals = Totals {
            lanes: self.lanes.len(),
            unsettled: self.unsettled,
            limit: self.limit,
            ..Totals::default()
        };
        for entry in self.lanes.values() {
            totals.claimable = totals.claimable.saturating_add(entry.lane.claimable());
            totals.reserved = totals.reserved.saturating_add(entry.lane.reserved());
        }
        totals
    }

    /// Whether the sums and orders are those of the lanes.
    #[cfg(test)]
    pub fn check(&self) {
        let unsettled: u128 = self.lanes.values().map(|entry| entry.lane.unsettled()).sum();
        assert_eq!(self.unsettled, unsettled);
        let idle: BTreeSet<_> = self
            .lanes
            .iter()
            .filter(|(_, entry)| entry.lane.is_settled() && entry.lane.unsettled() > 0)
            .map(|(key, entry)| (Reverse(entry.lane.unsettled()), *key))
            .collect();
        assert_eq!(self.by_credit, idle);
        let credit: u128 = idle.iter().map(|(Reverse(sum), _)| sum).sum();
        assert_eq!(self.idle_credit, credit);
        let unused: BTreeSet<_> = self
            .lanes
            .iter()
            .filter(|(_, entry)| entry.lane.is_unused())
            .map(|(key, entry)| (entry.used, *key))
            .collect();
        assert_eq!(self.unused, unused);
        assert!(self.lanes.len() <= self.max_lanes);
        assert!(self.history.order.len() <= self.history.limit);
        assert_eq!(self.history.order.len(), self.history.by_request.len());
    }
}
