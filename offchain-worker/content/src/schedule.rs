//! Who is asked for what, and when: the rules of a fetch, without network, disk or clock.
//!
//! Time is a [`Duration`] since the fetch began. Peers are numbered in the order in which they were added.
//!
//! # Rules
//! - A chunk is asked for from one peer at a time, the lowest first. It is asked for again only after a failure
//!   (wrong bytes, a refusal, a cut, silence), and from a second peer at the end of the file, when a peer that has
//!   nothing else to do would have it earlier than the one who was asked (the faster copy wins, the other is cancelled).
//!   So the number of requests for a chunk is at most 2 + its failures.
//! - A peer's window, the number of its requests under way, begins at [`Rules::start_window`] and follows what the peer
//!   delivers: twice the product of its highest recent rate and its lowest latency, as BBR does ("BBR: Congestion-Based
//!   Congestion Control", Cardwell et al., 2016). Below the link's capacity this doubles the window every round; at the
//!   capacity it stays. Requests that wait for each other at the peer make the latency look long, so it is measured anew
//!   with a single request every [`Rules::probe`].
//! - A wrong byte ends a peer's part in this fetch. So does not having the file.
//! - A peer that is silent, cut off or out of order rests for a while, longer each time in a row, and is asked after all
//!   others.

use crate::partial::Bits;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

/// A peer's number.
pub(crate) type Lane = usize;

#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub start_window: u32,
    pub max_window: u32,
    /// Requests under way to all peers together, beyond the first of each.
    pub max_in_flight: u32,
    /// A peer with requests under way that has said nothing for so long is silent. Doubled after each silence, up to
    /// four times.
    pub stall: Duration,
    /// The first rest of a peer; doubled with each failure in a row.
    pub rest: Duration,
    pub longest_rest: Duration,
    /// An idle peer of unknown speed takes over a chunk that has been under way for so long.
    pub hedge: Duration,
    /// So many chunks in a row that a peer does not have yet, and it rests.
    pub max_lacking: u32,
    /// How often the latency of a peer is measured with nothing else under way.
    pub probe: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            start_window: 2,
            max_window: 32,
            max_in_flight: 128,
            stall: Duration::from_secs(20),
            rest: Duration::from_secs(1),
            longest_rest: Duration::from_secs(30),
            hedge: Duration::from_secs(2),
            max_lacking: 16,
            probe: Duration::from_secs(10),
        }
    }
}

/// Why a request came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The peer does not have this chunk yet.
    Lacking,
    /// The peer wants fewer requests at a time.
    Busy,
    /// A cut or another trouble that may pass.
    Trouble,
    /// The peer is of no use for this fetch.
    Useless,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Active,
    RestsUntil(Duration),
    Gone,
}

/// The highest of the last 16 to 32 samples.
#[derive(Clone, Copy, Debug, Default)]
struct Highest {
    now: f64,
    before: f64,
    samples: u32,
}

impl Highest {
    fn add(&mut self, sample: f64) {
        if self.samples == 16 {
            self.before = std::mem::take(&mut self.now);
            self.samples = 0;
        }
        self.samples += 1;
        self.now = self.now.max(sample);
    }

    fn get(&self) -> f64 {
        self.now.max(self.before)
    }
}

/// A request under way.
#[derive(Clone, Copy, Debug)]
struct Sent {
    at: Duration,
    /// Chunks that the peer had delivered by then.
    delivered: u64,
    /// Nothing else was under way: this measures the latency.
    alone: bool,
}

#[derive(Debug)]
struct Peer {
    standing: Standing,
    window: u32,
    /// Upper bound that the peer itself asked for.
    ceiling: u32,
    in_flight: BTreeMap<u32, Sent>,
    /// Answers that are being verified and written. Silence is not counted meanwhile: it is ours.
    storing: u32,
    heard: Duration,
    delivered: u64,
    /// Seconds from request to answer, the lowest since it was last measured.
    latency: Option<f64>,
    /// When the latency is to be measured again.
    probe_at: Duration,
    /// Chunks a second.
    rate: Highest,
    /// The usual latency.
    average: Option<f64>,
    lacks: BTreeSet<u32>,
    lacking: u32,
    /// In a row.
    failures: u32,
}

/// A chunk that was asked for.
#[derive(Debug, Default)]
struct Flight {
    /// Who was asked and has not failed yet: two at most.
    holders: Vec<Lane>,
    /// Whether it was asked for a second time without a failure.
    doubled: bool,
}

#[derive(Debug)]
pub(crate) struct Schedule {
    rules: Rules,
    /// Not done and asked from nobody.
    todo: BTreeSet<u32>,
    /// Those asked for.
    flights: HashMap<u32, Flight>,
    done: Bits,
    remaining: u32,
    in_flight: u32,
    peers: Vec<Peer>,
}

impl Schedule {
    /// For a file of so many chunks, of which these are missing.
    pub fn new(chunks: u32, missing: &[u32], rules: Rules) -> Self {
        let todo = missing
            .iter()
            .copied()
            .filter(|index| *index < chunks)
            .collect::<BTreeSet<_>>();
        let mut done = Bits::new(chunks);
        for index in (0..chunks).filter(|index| !todo.contains(index)) {
            done.set(index);
        }
        Self {
            remaining: chunks - done.count(),
            rules,
            todo,
            flights: HashMap::new(),
            done,
            in_flight: 0,
            peers: Vec::new(),
        }
    }

    pub fn add(&mut self, now: Duration) -> Lane {
        self.peers.push(Peer {
            standing: Standing::Active,
            window: self.rules.start_window.max(1),
            ceiling: self.rules.max_window.max(1),
            in_flight: BTreeMap::new(),
            storing: 0,
            heard: now,
            delivered: 0,
            latency: None,
            probe_at: now,
            rate: Highest::default(),
            average: None,
            lacks: BTreeSet::new(),
            lacking: 0,
            failures: 0,
        });
        self.peers.len() - 1
    }

    /// Chunks that are not stored yet.
    pub fn remaining(&self) -> u32 {
        self.remaining
    }

    pub fn active(&self) -> usize {
        let active = |peer: &&Peer| peer.standing == Standing::Active;
        self.peers.iter().filter(active).count()
    }

    pub fn resting(&self) -> usize {
        let resting = |peer: &&Peer| matches!(peer.standing, Standing::RestsUntil(_));
        self.peers.iter().filter(resting).count()
    }

    #[cfg(test)]
    pub fn standing(&self, lane: Lane) -> Standing {
        self.peers[lane].standing
    }

    #[cfg(test)]
    pub fn window(&self, lane: Lane) -> u32 {
        self.peers[lane].window
    }

    /// The peers in the order in which they are to be asked. Those that failed last come last: else a chunk could go from one
    /// silent peer to the next for ever.
    pub fn order(&self) -> Vec<Lane> {
        let mut order = (0..self.peers.len()).collect::<Vec<_>>();
        order.sort_by_key(|lane| self.peers.get(*lane).map(|peer| peer.failures));
        order
    }

    /// The next chunk to ask this peer for, if it is to be asked for one now.
    pub fn next(&mut self, now: Duration, lane: Lane) -> Option<u32> {
        let peer = self.peers.get(lane)?;
        let under_way = peer.in_flight.len() as u32;
        // One request is always allowed: otherwise the silent could keep all others from being asked.
        if under_way > 0 && self.in_flight >= self.rules.max_in_flight {
            return None;
        }
        if peer.standing != Standing::Active || under_way >= peer.window.min(peer.ceiling) {
            return None;
        }
        if now >= peer.probe_at && under_way > 0 {
            // What is under way runs dry first, or the measurement itself is under way.
            return None;
        }
        let index = match self.todo.iter().find(|index| !peer.lacks.contains(index)) {
            Some(&index) => {
                self.todo.remove(&index);
                index
            }
            // Only a peer that has nothing else to do takes over from others.
            None if under_way == 0 && peer.storing == 0 => {
                let index = self.slower(now, lane)?;
                self.flights.get_mut(&index)?.doubled = true;
                index
            }
            None => return None,
        };
        self.flights.entry(index).or_default().holders.push(lane);
        let peer = self.peers.get_mut(lane)?;
        if peer.in_flight.is_empty() {
            peer.heard = now;
        }
        let sent = Sent {
            at: now,
            delivered: peer.delivered,
            alone: peer.in_flight.is_empty(),
        };
        peer.in_flight.insert(index, sent);
        self.in_flight += 1;
        Some(index)
    }

    /// The chunk that this peer would speed up the most, if any.
    fn slower(&self, now: Duration, lane: Lane) -> Option<u32> {
        let peer = self.peers.get(lane)?;
        let ours = peer.average.map(|seconds| seconds * 1.25);
        let now = now.as_secs_f64();
        let candidates = self.flights.iter().filter_map(|(index, flight)| {
            let [holder] = flight.holders.as_slice() else {
                return None;
            };
            if flight.doubled || *holder == lane || peer.lacks.contains(index) {
                return None;
            }
            let other = self.peers.get(*holder)?;
            let under_way = now - other.in_flight.get(index)?.at.as_secs_f64();
            // Overdue, or of unknown speed: as long again as it has taken so far.
            let left = other
                .average
                .map(|average| average - under_way)
                .filter(|left| *left > 0.0)
                .unwrap_or(under_way);
            let worth = match ours {
                Some(ours) => ours < left,
                None => under_way >= self.rules.hedge.as_secs_f64(),
            };
            worth.then_some((*index, left))
        });
        candidates
            .max_by(|(a, left_a), (b, left_b)| left_a.total_cmp(left_b).then(b.cmp(a)))
            .map(|(index, _)| index)
    }

    /// An answer with bytes came. True: verify and store it, then call [`Self::stored`] or [`Self::wrong`]. False: it is
    /// of no use (any more).
    pub fn arrived(&mut self, now: Duration, lane: Lane, index: u32) -> bool {
        let max_window = self.rules.max_window.max(1);
        let start_window = self.rules.start_window.max(1);
        let Some(peer) = self.peers.get_mut(lane) else {
            return false;
        };
        let Some(sent) = peer.in_flight.remove(&index) else {
            return false;
        };
        self.in_flight -= 1;
        peer.heard = now;
        peer.delivered += 1;
        let seconds = now.saturating_sub(sent.at).as_secs_f64().max(1e-6);
        let mut latency = peer.latency.map_or(seconds, |latency| latency.min(seconds));
        if now >= peer.probe_at && sent.alone {
            peer.probe_at = now + self.rules.probe;
            latency = seconds;
            // And it may be less busy by now.
            peer.ceiling = (peer.ceiling + 1).min(max_window);
        }
        peer.latency = Some(latency);
        peer.rate.add((peer.delivered - sent.delivered) as f64 / seconds);
        peer.average = Some(
            peer.average
                .map_or(seconds, |average| average + (seconds - average) / 4.0),
        );
        let goal = ((2.0 * peer.rate.get() * latency).ceil() as u32).clamp(start_window, max_window);
        // One more for each answer at most: that doubles it in a round.
        peer.window = goal.min(peer.window + 1);
        if self.done.get(index) {
            return false;
        }
        peer.storing += 1;
        true
    }

    /// The chunk is verified and written. Gives the peers whose request for the same chunk is to be cancelled.
    pub fn stored(&mut self, now: Duration, lane: Lane, index: u32) -> Vec<Lane> {
        if let Some(peer) = self.peers.get_mut(lane) {
            peer.storing = peer.storing.saturating_sub(1);
            peer.heard = now;
            peer.failures = 0;
            peer.lacking = 0;
        }
        if self.done.set(index) {
            self.remaining -= 1;
        }
        let holders = self.flights.remove(&index).unwrap_or_default().holders;
        self.todo.remove(&index);
        let mut cancelled = Vec::new();
        for holder in holders {
            if let Some(peer) = self.peers.get_mut(holder)
                && let Some(sent) = peer.in_flight.remove(&index)
            {
                self.in_flight -= 1;
                // It was slower than hoped: its next chunks are not expected earlier than this one was.
                let under_way = now.saturating_sub(sent.at).as_secs_f64();
                peer.average = Some(peer.average.map_or(under_way, |average| average.max(under_way)));
                cancelled.push(holder);
            }
        }
        cancelled
    }

    /// The bytes were not the chunk's: the peer is out, others get its chunks.
    pub fn wrong(&mut self, lane: Lane, index: u32) {
        if let Some(peer) = self.peers.get_mut(lane) {
            peer.storing = peer.storing.saturating_sub(1);
        }
        self.release(lane, index);
        self.drop_peer(lane, Standing::Gone);
    }

    /// A request came to nothing. True when the peer's other requests are given up as well.
    pub fn failed(&mut self, now: Duration, lane: Lane, index: u32, failure: Failure) -> bool {
        let Some(peer) = self.peers.get_mut(lane) else {
            return false;
        };
        if peer.in_flight.remove(&index).is_none() {
            return false;
        }
        self.in_flight -= 1;
        peer.heard = now;
        let left = peer.in_flight.len() as u32;
        let drop = match failure {
            Failure::Lacking => {
                peer.lacks.insert(index);
                peer.lacking += 1;
                (peer.lacking >= self.rules.max_lacking).then_some(Standing::RestsUntil(Duration::ZERO))
            }
            Failure::Busy => {
                peer.ceiling = left.max(1);
                (left == 0 && peer.storing == 0).then_some(Standing::RestsUntil(Duration::ZERO))
            }
            Failure::Trouble => Some(Standing::RestsUntil(Duration::ZERO)),
            Failure::Useless => Some(Standing::Gone),
        };
        self.release(lane, index);
        match drop {
            Some(Standing::Gone) => self.drop_peer(lane, Standing::Gone),
            Some(_) => self.rest(now, lane),
            None => return false,
        }
        true
    }

    /// Lets time pass: rests end, and silent peers are put to rest. Gives the silent ones: their requests are given up.
    pub fn tick(&mut self, now: Duration) -> Vec<Lane> {
        let mut silent = Vec::new();
        for lane in 0..self.peers.len() {
            if self.silent_at(lane).is_some_and(|at| now >= at) {
                self.rest(now, lane);
                silent.push(lane);
            }
            if self.is_exhausted(lane) {
                self.rest(now, lane);
            }
            if let Some(peer) = self.peers.get_mut(lane)
                && let Standing::RestsUntil(until) = peer.standing
                && now >= until
            {
                peer.standing = Standing::Active;
                peer.lacks.clear();
                peer.lacking = 0;
            }
        }
        silent
    }

    /// When [`Self::tick`] and [`Self::next`] are to be called next, if nothing else happens.
    pub fn wake(&self, now: Duration) -> Option<Duration> {
        let silences = (0..self.peers.len()).filter_map(|lane| self.silent_at(lane));
        let rests = self.peers.iter().filter_map(|peer| match peer.standing {
            Standing::RestsUntil(until) => Some(until),
            _ => None,
        });
        // Idle peers look around whether somebody has become slow.
        let idle = |peer: &Peer| peer.standing == Standing::Active && peer.in_flight.is_empty();
        let look =
            (self.remaining > 0 && self.peers.iter().any(idle)).then(|| now + Duration::from_millis(50));
        silences.chain(rests).chain(look).min()
    }

    /// Whether the peer has none of the chunks that are left. After a rest it may have got some.
    fn is_exhausted(&self, lane: Lane) -> bool {
        self.peers.get(lane).is_some_and(|peer| {
            peer.standing == Standing::Active
                && peer.in_flight.is_empty()
                && peer.storing == 0
                && !self.todo.is_empty()
                && self.todo.iter().all(|index| peer.lacks.contains(index))
        })
    }

    /// When this peer is silent for too long, if it goes on like this.
    fn silent_at(&self, lane: Lane) -> Option<Duration> {
        let peer = self.peers.get(lane)?;
        if peer.standing != Standing::Active || peer.in_flight.is_empty() || peer.storing > 0 {
            return None;
        }
        Some(peer.heard + self.rules.stall * (1 << peer.failures.min(2)))
    }

    fn rest(&mut self, now: Duration, lane: Lane) {
        let Some(peer) = self.peers.get_mut(lane) else {
            return;
        };
        let pause = self.rules.rest * (1 << peer.failures.min(10));
        peer.failures += 1;
        self.drop_peer(
            lane,
            Standing::RestsUntil(now + pause.min(self.rules.longest_rest)),
        );
    }

    /// Gives all requests of a peer up.
    fn drop_peer(&mut self, lane: Lane, standing: Standing) {
        let Some(peer) = self.peers.get_mut(lane) else {
            return;
        };
        if peer.standing != Standing::Gone {
            peer.standing = standing;
        }
        // After silence one request at a time: a slow peer then has all its time for it.
        peer.window = 1;
        peer.rate = Highest::default();
        let indices = std::mem::take(&mut peer.in_flight);
        self.in_flight -= indices.len() as u32;
        for index in indices.into_keys() {
            self.release(lane, index);
        }
    }

    /// The peer does not bring this chunk any more.
    fn release(&mut self, lane: Lane, index: u32) {
        if let Some(flight) = self.flights.get_mut(&index) {
            flight.holders.retain(|holder| *holder != lane);
            if flight.holders.is_empty() && !self.done.get(index) {
                self.flights.remove(&index);
                self.todo.insert(index);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, VecDeque};

    /// What a simulated peer does with a request.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Kind {
        Honest,
        /// Always wrong bytes.
        Liar,
        /// Never an answer.
        Silent,
        /// Does not have the file.
        Absent,
        /// The connection is cut at every request.
        Cut,
        /// Does not have any chunk yet.
        Lacking,
        /// Right for two of three chunks, and every kind of failure (but wrong bytes) for the rest.
        Flaky,
        /// Right, but refuses a third request at a time.
        Busy,
        /// Gets a chunk every 100 ms itself.
        Growing,
    }

    #[derive(Clone, Copy, Debug)]
    struct Node {
        kind: Kind,
        latency: Duration,
        /// Time for each chunk, one after the other.
        service: Duration,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Outcome {
        Right,
        Wrong,
        Fails(Failure),
    }

    #[derive(Default)]
    struct SimLane {
        /// When the peer is done with what it was asked for.
        busy: Duration,
        /// Index of the request, its number, and how it ends.
        live: BTreeMap<u32, u64>,
        /// Answers behind the one that is being stored.
        waiting: VecDeque<(u32, Outcome)>,
        storing: Option<u32>,
        wrong: bool,
        asked: u64,
    }

    struct Sim {
        schedule: Schedule,
        nodes: Vec<Node>,
        lanes: Vec<SimLane>,
        now: Duration,
        number: u64,
        events: BTreeMap<(Duration, u64), Event>,
        requests: Vec<u32>,
        failures: Vec<u32>,
        store_time: Duration,
        most: u32,
    }

    enum Event {
        Answer(Lane, u32, u64, Outcome),
        Stored(Lane, u32, bool),
    }

    impl Sim {
        fn new(chunks: u32, missing: &[u32], nodes: &[Node], rules: Rules, store_time: Duration) -> Self {
            let mut schedule = Schedule::new(chunks, missing, rules);
            let lanes = nodes.iter().map(|_| SimLane::default()).collect();
            for (number, _) in nodes.iter().enumerate() {
                assert_eq!(schedule.add(Duration::ZERO), number);
            }
            Self {
                schedule,
                nodes: nodes.to_vec(),
                lanes,
                now: Duration::ZERO,
                number: 0,
                events: BTreeMap::new(),
                requests: vec![0; chunks as usize],
                failures: vec![0; chunks as usize],
                store_time,
                most: 0,
            }
        }

        fn send(&mut self, lane: Lane, index: u32) {
            let node = self.nodes[lane];
            let sim = &mut self.lanes[lane];
            assert!(!sim.wrong, "a liar is asked again");
            self.requests[index as usize] += 1;
            self.number += 1;
            sim.asked += 1;
            assert!(
                sim.live.insert(index, self.number).is_none(),
                "asked twice at once"
            );
            let under_way: usize = self.lanes.iter().map(|lane| lane.live.len()).sum();
            self.most = self.most.max(under_way as u32);
            let sim = &mut self.lanes[lane];
            let outcome = match node.kind {
                Kind::Silent => return,
                Kind::Honest => Outcome::Right,
                Kind::Liar => Outcome::Wrong,
                Kind::Absent => Outcome::Fails(Failure::Useless),
                Kind::Cut => Outcome::Fails(Failure::Trouble),
                Kind::Lacking => Outcome::Fails(Failure::Lacking),
                Kind::Busy if sim.live.len() > 2 => Outcome::Fails(Failure::Busy),
                Kind::Busy => Outcome::Right,
                Kind::Growing if u128::from(index) * 100 > self.now.as_millis() => {
                    Outcome::Fails(Failure::Lacking)
                }
                Kind::Growing => Outcome::Right,
                Kind::Flaky => match (sim.asked * 7 + u64::from(index)) % 9 {
                    0..6 => Outcome::Right,
                    6 => Outcome::Fails(Failure::Trouble),
                    7 => Outcome::Fails(Failure::Lacking),
                    _ => return,
                },
            };
            sim.busy = sim.busy.max(self.now + node.latency) + node.service;
            self.events.insert(
                (sim.busy, self.number),
                Event::Answer(lane, index, self.number, outcome),
            );
        }

        fn give_up(&mut self, lane: Lane) {
            let sim = &mut self.lanes[lane];
            for index in std::mem::take(&mut sim.live).into_keys() {
                self.failures[index as usize] += 1;
            }
            sim.waiting.clear();
        }

        fn answer(&mut self, lane: Lane, index: u32, outcome: Outcome) {
            self.lanes[lane].live.remove(&index);
            match outcome {
                Outcome::Fails(failure) => {
                    self.failures[index as usize] += 1;
                    if self.schedule.failed(self.now, lane, index, failure) {
                        self.give_up(lane);
                    }
                }
                Outcome::Right | Outcome::Wrong => {
                    if self.schedule.arrived(self.now, lane, index) {
                        self.lanes[lane].storing = Some(index);
                        self.number += 1;
                        self.events.insert(
                            (self.now + self.store_time, self.number),
                            Event::Stored(lane, index, outcome == Outcome::Right),
                        );
                    }
                }
            }
        }

        fn drain(&mut self, lane: Lane) {
            while self.lanes[lane].storing.is_none()
                && let Some((index, outcome)) = self.lanes[lane].waiting.pop_front()
            {
                if self.lanes[lane].live.contains_key(&index) {
                    self.answer(lane, index, outcome);
                }
            }
        }

        fn event(&mut self, event: Event) {
            match event {
                Event::Answer(lane, index, number, outcome) => {
                    if self.lanes[lane].live.get(&index) == Some(&number) {
                        self.lanes[lane].waiting.push_back((index, outcome));
                        self.drain(lane);
                    }
                }
                Event::Stored(lane, index, right) => {
                    self.lanes[lane].storing = None;
                    if right {
                        for other in self.schedule.stored(self.now, lane, index) {
                            self.lanes[other].live.remove(&index).expect("was under way");
                        }
                    } else {
                        self.failures[index as usize] += 1;
                        self.schedule.wrong(lane, index);
                        self.give_up(lane);
                        self.lanes[lane].wrong = true;
                    }
                    self.drain(lane);
                }
            }
        }

        /// Runs until all is there, or until this time.
        fn run(&mut self, until: Duration) -> bool {
            while self.now < until {
                for lane in self.schedule.tick(self.now) {
                    self.give_up(lane);
                }
                if self.schedule.remaining() == 0 {
                    assert!(
                        self.lanes.iter().all(|lane| lane.live.is_empty()),
                        "nothing is left under way"
                    );
                    return true;
                }
                let mut sent = true;
                while std::mem::take(&mut sent) {
                    for lane in self.schedule.order() {
                        if let Some(index) = self.schedule.next(self.now, lane) {
                            self.send(lane, index);
                            sent = true;
                        }
                    }
                }
                let wake = self.schedule.wake(self.now);
                match (self.events.first_key_value().map(|(key, _)| key.0), wake) {
                    (Some(at), wake) if wake.is_none_or(|wake| at <= wake) => {
                        let ((at, _), event) = self.events.pop_first().unwrap();
                        self.now = self.now.max(at);
                        self.event(event);
                    }
                    (_, Some(wake)) => self.now = self.now.max(wake) + Duration::from_micros(1),
                    (_, None) => return false,
                }
            }
            false
        }

        fn check(&self, rules: &Rules) {
            for (index, (requests, failures)) in self.requests.iter().zip(&self.failures).enumerate() {
                assert!(
                    *requests <= 2 + failures,
                    "chunk {index}: {requests} requests, {failures} failures"
                );
            }
            assert!(self.most <= rules.max_in_flight + self.nodes.len() as u32);
        }
    }

    fn node(kind: Kind, latency: u64, service: u64) -> Node {
        Node {
            kind,
            latency: Duration::from_millis(latency),
            service: Duration::from_millis(service),
        }
    }

    fn all(chunks: u32) -> Vec<u32> {
        (0..chunks).collect()
    }

    fn run(chunks: u32, nodes: &[Node]) -> Sim {
        let rules = Rules::default();
        let mut sim = Sim::new(
            chunks,
            &all(chunks),
            nodes,
            rules.clone(),
            Duration::from_micros(300),
        );
        assert!(sim.run(Duration::from_secs(3600)), "did not complete");
        sim.check(&rules);
        sim
    }

    #[test]
    fn the_window_follows_the_link() {
        // No latency to speak of: two requests are enough.
        let sim = run(500, &[node(Kind::Honest, 0, 5)]);
        assert!(sim.schedule.window(0) <= 4, "{}", sim.schedule.window(0));
        assert!(sim.now < Duration::from_millis(500 * 5 + 100));
        // 50 ms there and back, 5 ms a chunk: 11 requests fill the link.
        let sim = run(2000, &[node(Kind::Honest, 50, 5)]);
        assert!(
            (11..=24).contains(&sim.schedule.window(0)),
            "{}",
            sim.schedule.window(0)
        );
        assert!(sim.now < Duration::from_millis(2000 * 5 + 1000), "{:?}", sim.now);
        // More than the bound allows.
        let sim = run(2000, &[node(Kind::Honest, 500, 1)]);
        assert_eq!(sim.schedule.window(0), Rules::default().max_window);
    }

    #[test]
    fn the_window_does_not_run_away_on_a_long_fetch() {
        let sim = run(20_000, &[node(Kind::Honest, 20, 10)]);
        assert!(
            (3..=8).contains(&sim.schedule.window(0)),
            "{}",
            sim.schedule.window(0)
        );
        assert!(sim.now < Duration::from_secs(200 + 10), "{:?}", sim.now);
    }

    #[test]
    fn two_peers_share_the_work_and_a_slow_one_does_not_hold_up_the_end() {
        let even = run(400, &[node(Kind::Honest, 1, 10), node(Kind::Honest, 1, 10)]);
        assert!(
            even.now < Duration::from_millis(400 / 2 * 10 + 200),
            "{:?}",
            even.now
        );
        // The slow one needs 8 s a chunk; alone the fast one needs 4 s.
        let uneven = run(400, &[node(Kind::Honest, 1, 8000), node(Kind::Honest, 1, 10)]);
        assert!(uneven.now < Duration::from_secs(5), "{:?}", uneven.now);
        let twice = uneven.requests.iter().filter(|requests| **requests > 1).count();
        assert!(
            twice <= 2,
            "only what the slow one had is asked for twice: {twice}"
        );
    }

    #[test]
    fn a_single_slow_peer_is_enough() {
        // 15 s a chunk: two at a time would be silence, and one is not.
        let sim = run(5, &[node(Kind::Honest, 0, 15_000)]);
        assert!(sim.now < Duration::from_secs(80), "{:?}", sim.now);
    }

    #[test]
    fn a_busy_peer_is_asked_for_less() {
        let sim = run(300, &[node(Kind::Busy, 100, 1)]);
        let refused = sim.failures.iter().sum::<u32>();
        assert!((1..=8).contains(&refused), "{refused}");
    }

    #[test]
    fn silent_peers_do_not_pass_a_chunk_on_for_ever() {
        let rules = Rules {
            max_in_flight: 1,
            ..Rules::default()
        };
        for chunks in 1..70 {
            let nodes = [
                node(Kind::Silent, 0, 0),
                node(Kind::Silent, 0, 0),
                node(Kind::Lacking, 147, 185),
                node(Kind::Honest, 0, 191),
            ];
            let mut sim = Sim::new(chunks, &all(chunks), &nodes, rules.clone(), Duration::ZERO);
            assert!(sim.run(Duration::from_secs(60)), "{chunks}: {:?}", sim.now);
            sim.check(&rules);
        }
    }

    /// A peer that is fetching the file itself is asked again for what it did not have.
    #[test]
    fn a_growing_peer_is_enough() {
        let sim = run(200, &[node(Kind::Growing, 1, 1)]);
        assert!((20..60).contains(&sim.now.as_secs()), "{:?}", sim.now);
        // The last chunks are few enough not to be a row of refusals.
        run(3, &[node(Kind::Growing, 1, 1)]);
    }

    #[test]
    fn a_liar_costs_its_chunks_only() {
        let sim = run(100, &[node(Kind::Liar, 1, 1), node(Kind::Honest, 1, 1)]);
        assert_eq!(sim.schedule.standing(0), Standing::Gone);
        assert!(sim.failures.iter().sum::<u32>() <= 3, "its window");
    }

    #[test]
    fn a_peer_that_comes_back_goes_on() {
        let mut schedule = Schedule::new(4, &all(4), Rules::default());
        let lane = schedule.add(Duration::ZERO);
        let mut now = Duration::ZERO;
        for pause in [1, 2, 4, 8, 16, 30, 30] {
            assert_eq!(schedule.next(now, lane), Some(0));
            assert!(schedule.failed(now, lane, 0, Failure::Trouble));
            assert_eq!(schedule.next(now, lane), None);
            assert_eq!(schedule.wake(now), Some(now + Duration::from_secs(pause)));
            now += Duration::from_secs(pause);
            assert!(schedule.tick(now).is_empty());
        }
        assert_eq!(schedule.next(now, lane), Some(0));
        assert!(schedule.arrived(now, lane, 0));
        assert!(schedule.stored(now, lane, 0).is_empty());
        assert_eq!(schedule.remaining(), 3);
    }

    #[test]
    fn writing_is_not_silence() {
        let rules = Rules::default();
        let mut schedule = Schedule::new(4, &all(4), rules.clone());
        let lane = schedule.add(Duration::ZERO);
        let late = rules.stall * 3;
        assert_eq!(schedule.next(Duration::ZERO, lane), Some(0));
        assert!(schedule.arrived(Duration::ZERO, lane, 0));
        assert_eq!(schedule.next(Duration::ZERO, lane), Some(1));
        assert!(schedule.tick(late).is_empty(), "our disk was slow");
        schedule.stored(late, lane, 0);
        assert!(schedule.tick(late + rules.stall / 2).is_empty());
        assert_eq!(schedule.tick(late + rules.stall), [lane]);
    }

    #[test]
    fn answers_that_nobody_asked_for_are_ignored() {
        let mut schedule = Schedule::new(4, &[1, 2, 99], Rules::default());
        let lane = schedule.add(Duration::ZERO);
        assert_eq!(schedule.remaining(), 2);
        assert!(!schedule.arrived(Duration::ZERO, lane, 1));
        assert!(!schedule.arrived(Duration::ZERO, 7, 1));
        assert!(!schedule.failed(Duration::ZERO, lane, 1, Failure::Useless));
        assert_eq!(schedule.next(Duration::ZERO, lane), Some(1));
        assert!(schedule.arrived(Duration::ZERO, lane, 1));
        assert!(!schedule.arrived(Duration::ZERO, lane, 1), "only once");
    }

    fn kinds(kinds: &'static [Kind]) -> impl Strategy<Value = Node> {
        (prop::sample::select(kinds), 0..400u64, 0..300u64)
            .prop_map(|(kind, latency, service)| node(kind, latency, service))
    }

    const ANY: &[Kind] = &[
        Kind::Honest,
        Kind::Liar,
        Kind::Silent,
        Kind::Absent,
        Kind::Cut,
        Kind::Lacking,
        Kind::Flaky,
        Kind::Busy,
        Kind::Growing,
    ];
    const HOPELESS: &[Kind] = &[Kind::Liar, Kind::Silent, Kind::Absent, Kind::Cut, Kind::Lacking];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// With one honest peer among any others, in any place, everything arrives, within the rules.
        #[test]
        fn completes_with_an_honest_peer(
            others in prop::collection::vec(kinds(ANY), 0..6),
            honest in kinds(&[Kind::Honest]),
            place: prop::sample::Index,
            chunks in 1..200u32,
            have in prop::collection::vec(any::<bool>(), 200),
            store_micros in 0..50_000u64,
            max_in_flight in 1..40u32,
        ) {
            let mut nodes = others;
            nodes.insert(place.index(nodes.len() + 1), honest);
            let missing = (0..chunks).filter(|index| !have[*index as usize]).collect::<Vec<_>>();
            let rules = Rules { max_in_flight, ..Rules::default() };
            let mut sim = Sim::new(chunks, &missing, &nodes, rules.clone(), Duration::from_micros(store_micros));
            prop_assert!(sim.run(Duration::from_secs(1000)), "{} missing", sim.schedule.remaining());
            sim.check(&rules);
            for (index, requests) in sim.requests.iter().enumerate() {
                let was_missing = !have[index];
                prop_assert_eq!(*requests > 0, was_missing, "chunk {}", index);
            }
        }

        /// Without, nothing does.
        #[test]
        fn never_completes_without_one(nodes in prop::collection::vec(kinds(HOPELESS), 0..6), chunks in 1..50u32) {
            let rules = Rules::default();
            let mut sim = Sim::new(chunks, &all(chunks), &nodes, rules.clone(), Duration::ZERO);
            prop_assert!(!sim.run(Duration::from_secs(2_000)));
            prop_assert_eq!(sim.schedule.remaining(), chunks);
            sim.check(&rules);
        }

        /// At any cut, what had arrived and was not stored is at most a chunk a peer; a second fetch asks for nothing
        /// that was stored.
        #[test]
        fn a_cut_costs_a_chunk_a_peer(
            nodes in prop::collection::vec(kinds(&[Kind::Honest, Kind::Flaky, Kind::Busy]), 1..6),
            chunks in 1..200u32,
            cut in 0..20_000u64,
        ) {
            let rules = Rules::default();
            let mut sim = Sim::new(chunks, &all(chunks), &nodes, rules.clone(), Duration::from_millis(20));
            sim.run(Duration::from_millis(cut));
            let unstored = sim.lanes.iter().filter(|lane| lane.storing.is_some()).count();
            prop_assert!(unstored <= nodes.len());
            let missing = (0..chunks).filter(|index| !sim.schedule.done.get(*index)).collect::<Vec<_>>();
            prop_assert_eq!(missing.len() as u32, sim.schedule.remaining());
            let honest = [node(Kind::Honest, 1, 1)];
            let mut again = Sim::new(chunks, &missing, &honest, rules, Duration::ZERO);
            prop_assert!(again.run(Duration::from_secs(1000)));
            let asked = again.requests.iter().filter(|requests| **requests > 0).count();
            prop_assert_eq!(asked, missing.len());
        }
    }
}
