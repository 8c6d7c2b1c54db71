//! The run loop of a link: a state machine that reads, writes, polls handlers and keeps the time in one task.

mod calls;
mod reading;
mod requests;
mod sending;
mod writing;

use super::{
    CODE_TIMEOUT, CallError, Handler, LinkConfig, LinkEnd, LinkStats, Reject, Role, Shared,
    adaptive::{Adaptive, Meter},
    frame::{self, Fault, Hello, Kind, Limits},
    lanes::Lanes,
    out::OutBuf,
    pack::{Packer, Unpacker},
    rate::Bucket,
    work::{Outcome, WorkSet},
};
use bytes::Bytes;
use futures::io::{AsyncRead, AsyncWrite};
use sending::{Flow, Sending, Sent};
use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasherDefault, Hasher},
    pin::Pin,
    sync::{Arc, PoisonError, TryLockError, atomic::Ordering},
    task::{Context, Poll},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Duration, Instant, Sleep},
};
use tokio_util::sync::CancellationToken;

/// Nothing more is put out while so much waits for the stream.
const OUT_HIGH: usize = 128 * 1024;
/// More is put out as soon as less than this waits.
const OUT_LOW: usize = 32 * 1024;
/// The slowest path that counts as one, in bytes a second. A peer that gets [`LINK_ACK`] bytes says so.
const SLOWEST: u64 = 16 * 1024;
/// Buffer for reading: at first, and when the link is busy.
const READ_MIN: usize = 4 * 1024;
const READ_MAX: usize = 64 * 1024;
/// Received bytes of all exchanges after which the peer's link window is given back.
const LINK_ACK: usize = 64 * 1024;
/// Windows below this make no progress worth the name.
const WINDOW_MIN: usize = 16 * 1024;
/// Rounds of the loop and writes in a round before other tasks have a turn.
const ROUNDS: usize = 16;
const WRITES: usize = 32;
/// Timers are not set closer than this.
const TICK: Duration = Duration::from_millis(2);
/// Time for the goodbye to leave.
const GOODBYE_TIME: Duration = Duration::from_secs(1);
/// Progress messages that wait for the run loop.
const PROGRESS_QUEUE: usize = 64;

/// Keys are counters: they need spreading, not secrecy.
#[derive(Default)]
struct CounterHasher(u64);

impl Hasher for CounterHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0 ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

type CounterMap<K, V> = HashMap<K, V, BuildHasherDefault<CounterHasher>>;

pub(super) struct Start {
    pub key: u64,
    pub deadline: Instant,
    pub header: Bytes,
    pub body: Bytes,
    pub priority: u8,
    pub progress: Option<mpsc::Sender<Bytes>>,
    pub reply: oneshot::Sender<Result<Bytes, CallError>>,
}

pub(super) enum Command {
    Start(Start),
    Cancel(u64),
    Close,
}

/// Puts a configuration into bounds that the loop relies on.
pub(super) fn sane(mut config: LinkConfig) -> LinkConfig {
    let most = u32::MAX as usize;
    config.max_header = config.max_header.min(frame::HEADER_MAX);
    config.max_body = config.max_body.min(most);
    config.max_response = config.max_response.min(most);
    config.max_incoming = config.max_incoming.min(1 << 20);
    config.window = config.window.clamp(WINDOW_MIN, most >> 1);
    config.link_window = config.link_window.clamp(4 * LINK_ACK, most >> 1);
    let (least, year) = (Duration::from_millis(10), Duration::from_secs(365 * 86400));
    config.request_timeout_max = config.request_timeout_max.min(year);
    config.stall = config.stall.clamp(least, year);
    config.ping = config.ping.clamp(least, year);
    config.patience = config.patience.clamp(least, year);
    config
}

/// The exchange of a lane's entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Key {
    /// Own call, by its key.
    Call(u64),
    /// The peer's request, by its id.
    Request(u32),
}

/// A body on its way in.
struct Inflow {
    data: Vec<u8>,
    received: usize,
    expected: usize,
    credit: usize,
    unacknowledged: usize,
    /// Nobody wants it any more: it is counted, not kept.
    discard: bool,
}

impl Inflow {
    fn new(expected: usize, window: usize) -> Self {
        Self {
            data: Vec::new(),
            received: 0,
            expected,
            credit: window,
            unacknowledged: 0,
            discard: false,
        }
    }

    fn discard(&mut self) {
        self.discard = true;
        self.data = Vec::new();
    }

    /// Room for `more` bytes, at most what was declared, never more than the window or as much again as has arrived.
    fn reserve(&mut self, more: usize, window: usize) {
        let need = self.data.len() + more;
        if need > self.data.capacity() {
            let target = self.expected.min((2 * self.data.len()).max(window)).max(need);
            self.data.reserve_exact(target - self.data.len());
        }
    }
}

struct OutCall {
    /// 0 until its request frame is put out.
    id: u32,
    priority: u8,
    deadline: Instant,
    header: Bytes,
    flow: Flow,
    /// Declared length, which counts in `out_memory`, of a large body that has begun.
    large: Option<usize>,
    progress: Option<mpsc::Sender<Bytes>>,
    reply: Option<oneshot::Sender<Result<Bytes, CallError>>>,
    /// Own half has ended.
    ended: bool,
    /// The peer's half has ended; only our cancel frame is missing.
    answered: bool,
    cancel_due: bool,
    dirty: bool,
    inflow: Option<Inflow>,
    /// Given up at this time; the peer has to end its half.
    closing: Option<Instant>,
}

struct InCall {
    priority: u8,
    wants_progress: bool,
    header: Bytes,
    deadline: Instant,
    /// Made for the handler.
    cancelled: Option<CancellationToken>,
    inflow: Option<Inflow>,
    /// Declared length that counts in `in_memory`.
    large: usize,
    /// The caller's half has ended.
    ended: bool,
    cancel_seen: bool,
    slot: Option<usize>,
    response: Option<Flow>,
    /// A large response whose head is out; counts in `out_responses`.
    begun: bool,
    reject: Option<Reject>,
    /// Our reject is out, and the caller has to end its half.
    closing: Option<Instant>,
    dirty: bool,
}

/// A plain data frame whose payload is being read.
struct Reading {
    key: Key,
    left: usize,
    end: bool,
}

/// What both sides hold to, after the hello.
#[derive(Clone, Copy)]
struct Agreed {
    peer: Limits,
    window: usize,
    link_window: usize,
}

enum State {
    Running,
    /// The goodbye is on its way.
    Ending {
        end: LinkEnd,
        until: Instant,
        closing: bool,
    },
    Ended,
}

pub(super) struct Run<S> {
    io: S,
    config: LinkConfig,
    handler: Arc<dyn Handler>,
    shared: Arc<Shared>,
    commands: mpsc::UnboundedReceiver<Command>,
    state: State,
    role: Role,
    agreed: Option<Agreed>,
    now: Instant,

    // Reading.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    reading: Option<Reading>,
    /// When the frame of which only a part is here was begun.
    frame_begun: Option<Instant>,
    last_read: Instant,
    /// When the oldest of the calls that wait began to.
    waiting_since: Instant,
    link_in_credit: usize,
    link_unacknowledged: usize,
    unpacker: Unpacker,
    request_rate: Option<Bucket>,
    byte_rate: Option<Bucket>,

    // Own calls.
    calls: CounterMap<u64, OutCall>,
    ids: CounterMap<u32, u64>,
    next_out: u32,
    large_calls: usize,
    /// Declared bytes of begun large requests.
    out_memory: usize,
    /// Declared bytes of large responses on their way in.
    in_responses: usize,
    small_starts: Lanes<u64>,
    large_starts: Lanes<u64>,

    // The peer's requests.
    incoming: CounterMap<u32, InCall>,
    next_in: u32,
    /// Frames of the peer for requests that had ended.
    late: u64,
    in_memory: usize,
    /// Bytes of responses that wait or are on their way.
    held_responses: usize,
    /// Declared bytes of begun large responses.
    out_responses: usize,
    small_answers: Lanes<u32>,
    large_answers: Lanes<u32>,
    work: WorkSet<u32, Result<Bytes, Reject>>,
    finished: Vec<(u32, Outcome<Result<Bytes, Reject>>)>,
    progress: mpsc::Receiver<(u32, Bytes)>,
    progress_sender: mpsc::Sender<(u32, Bytes)>,
    /// Some request of this link wanted progress messages: their queue is looked at.
    progress_used: bool,

    // Writing.
    sending: Sending,
    flows: Lanes<Key>,
    dirty: VecDeque<Key>,
    link_ack_due: bool,
    pong_due: Option<u64>,
    ping_due: bool,
    ping_sent: Option<(u64, Instant)>,
    next_ping: Instant,
    pings: u64,
    write_since: Option<Instant>,
    /// Bytes written since the peer was last heard.
    unheard: usize,
    unflushed: bool,

    /// The peer said goodbye.
    told: bool,

    // Time.
    sleep: Option<Pin<Box<Sleep>>>,
    armed: Option<Instant>,
    started: Instant,
}

type Step<T = ()> = Result<T, LinkEnd>;

fn violation<T>(fault: Fault) -> Step<T> {
    Err(LinkEnd::Violation(fault.to_owned()))
}

fn check<T>(result: Result<T, Fault>) -> Step<T> {
    result.or_else(violation)
}

fn ensure(condition: bool, fault: Fault) -> Step {
    if condition { Ok(()) } else { violation(fault) }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Run<S> {
    pub fn new(
        io: S,
        role: Role,
        config: LinkConfig,
        handler: Arc<dyn Handler>,
        shared: Arc<Shared>,
        commands: mpsc::UnboundedReceiver<Command>,
    ) -> Self {
        let now = Instant::now();
        let (progress_sender, progress) = mpsc::channel(PROGRESS_QUEUE);
        let rate = config.rate;
        let mut sending = Sending {
            out: OutBuf::new(),
            adaptive: Adaptive::new(config.compression),
            meter: Meter::new(),
            packer: Packer::new(config.compression),
            link_credit: 0,
            began: now,
            stats: LinkStats::default(),
        };
        let hello = Hello {
            version: frame::VERSION,
            dialer: role == Role::Dialer,
            limits: Limits {
                max_header: config.max_header as u32,
                max_body: config.max_body as u32,
                max_response: config.max_response as u32,
                max_incoming: config.max_incoming as u32,
                window: config.window as u32,
                link_window: config.link_window as u32,
                memory: config.memory as u64,
            },
        };
        sending.out.put(|buf| hello.encode(buf));
        Self {
            io,
            handler,
            shared,
            commands,
            state: State::Running,
            role,
            agreed: None,
            now,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            reading: None,
            frame_begun: None,
            last_read: now,
            waiting_since: now,
            link_in_credit: 0,
            link_unacknowledged: 0,
            unpacker: Unpacker::default(),
            request_rate: rate.map(|r| Bucket::new(u64::from(r.requests), u64::from(r.request_burst), now)),
            byte_rate: rate.map(|r| Bucket::new(r.bytes, r.byte_burst, now)),
            calls: CounterMap::default(),
            ids: CounterMap::default(),
            next_out: if role == Role::Dialer { 1 } else { 2 },
            large_calls: 0,
            out_memory: 0,
            in_responses: 0,
            small_starts: Lanes::new(),
            large_starts: Lanes::new(),
            incoming: CounterMap::default(),
            next_in: if role == Role::Dialer { 2 } else { 1 },
            late: 0,
            in_memory: 0,
            held_responses: 0,
            out_responses: 0,
            small_answers: Lanes::new(),
            large_answers: Lanes::new(),
            work: WorkSet::new(),
            finished: Vec::new(),
            progress,
            progress_sender,
            progress_used: false,
            sending,
            flows: Lanes::new(),
            dirty: VecDeque::new(),
            link_ack_due: false,
            pong_due: None,
            ping_due: false,
            ping_sent: None,
            next_ping: now,
            pings: 0,
            write_since: None,
            unheard: 0,
            unflushed: false,
            told: false,
            sleep: None,
            armed: None,
            started: now,
            config,
        }
    }

    fn arm(&mut self, at: Instant) {
        if self.armed.is_none_or(|armed| at < armed) {
            self.armed = Some(at.max(self.now + TICK));
            if let Some(sleep) = &mut self.sleep {
                sleep.as_mut().reset(at.max(self.now + TICK));
            }
        }
    }

    /// Waits for the timer; what is due is done.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Step<bool> {
        let Some(armed) = self.armed else { return Ok(false) };
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(armed)));
        if sleep.as_mut().poll(cx).is_pending() {
            return Ok(false);
        }
        self.armed = None;
        self.now = Instant::now();
        self.on_time()?;
        Ok(true)
    }

    /// Looks through all deadlines. They are few, and this runs when one of them may have passed.
    fn on_time(&mut self) -> Step {
        let (now, stall) = (self.now, self.config.stall);
        let mut next = now + self.config.ping.max(stall);
        let mut due = |at: Instant| {
            next = next.min(at);
            at <= now
        };
        if self.agreed.is_none() && due(self.started + stall) {
            return Err(LinkEnd::Stalled("hello"));
        }
        if self.frame_begun.is_some_and(|at| due(at + stall)) {
            return Err(LinkEnd::Stalled("begun frame"));
        }
        if self.write_since.is_some_and(|at| due(at + stall)) {
            return Err(LinkEnd::Stalled("write"));
        }
        match self.ping_sent {
            Some((_, at)) if due(at.max(self.last_read) + stall) => return Err(LinkEnd::Stalled("ping")),
            Some(_) => {}
            None if self.agreed.is_some() && !self.ping_due && due(self.next_ping) => self.ping_due = true,
            None => {}
        }
        if !self.calls.is_empty() {
            let half = self.config.patience / 2;
            let quiet = self
                .last_read
                .max(self.waiting_since)
                .max(self.config.heard.last());
            let on_its_way = u64::try_from(self.unheard.min(LINK_ACK)).unwrap_or(u64::MAX);
            let patience = self.config.patience + Duration::from_micros(on_its_way * 1_000_000 / SLOWEST);
            // The peer has had its time to answer the ping too.
            let dead = match self.ping_sent {
                Some((_, at)) => Some((quiet + patience).max(at + half)),
                None if self.agreed.is_none() => Some(quiet + patience),
                // The ping can not leave: the stream takes nothing.
                None if self.ping_due => self.write_since.map(|at| quiet.max(at) + patience),
                None => None,
            };
            match dead {
                Some(dead) if due(dead) => return Err(LinkEnd::Silent),
                Some(_) => {}
                None if self.ping_due => {}
                None => self.ping_due = due(quiet + half),
            }
        }
        let mut late_calls = Vec::new();
        for (key, call) in &self.calls {
            match call.closing {
                Some(at) if due(at + stall) => return Err(LinkEnd::Stalled("end of an exchange")),
                None if due(call.deadline) => late_calls.push(*key),
                _ => {}
            }
        }
        let mut late_requests = Vec::new();
        for (id, request) in &self.incoming {
            match request.closing {
                Some(at) if due(at + stall) => return Err(LinkEnd::Stalled("end of an exchange")),
                None if request.reject.is_none() && due(request.deadline) => late_requests.push(*id),
                _ => {}
            }
        }
        for key in late_calls {
            self.sending.stats.timeouts += 1;
            self.give_up(key, Some(CallError::Timeout));
            next = next.min(now + stall);
        }
        for id in late_requests {
            self.refuse(id, Reject::new(CODE_TIMEOUT, "deadline passed"));
            next = next.min(now + stall);
        }
        if self.calls.is_empty() && self.incoming.is_empty() && self.ping_due {
            self.shrink();
        }
        self.arm(next);
        Ok(())
    }

    /// An idle link keeps no buffers.
    fn shrink(&mut self) {
        if self.start == self.end && self.reading.is_none() {
            self.buffer = Vec::new();
            (self.start, self.end) = (0, 0);
        }
        self.sending.out.shrink();
        self.sending.packer.shrink();
        self.unpacker.shrink();
        self.calls.shrink_to(16);
        self.ids.shrink_to(16);
        self.incoming.shrink_to(16);
    }

    fn step(&mut self, cx: &mut Context<'_>) -> Step {
        let mut readable = true;
        if self.sleep.is_none() {
            self.arm(self.started + self.config.stall);
        }
        for _ in 0..ROUNDS {
            self.now = Instant::now();
            let mut busy = self.take_commands(cx)?;
            if readable {
                readable = self.read(cx)?;
                busy |= readable;
            }
            busy |= self.poll_work(cx);
            busy |= self.take_progress(cx);
            self.fill();
            busy |= self.write(cx)?;
            if !busy {
                if !self.poll_timer(cx)? {
                    return Ok(());
                }
                // The time may have been the peer's rate.
                readable = true;
            }
        }
        // More to do, and others have a turn first.
        self.poll_timer(cx)?;
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// Everything ends except, maybe, the writing of a goodbye.
    fn wind_up(&mut self, end: LinkEnd) {
        tracing::debug!(target: "llmesh::link", %end, "link ended");
        self.shared.set_end(&end);
        self.publish(true);
        self.commands.close();
        while self.commands.try_recv().is_ok() {}
        self.calls.clear();
        for call in self.incoming.values() {
            if let Some(cancelled) = &call.cancelled {
                cancelled.cancel();
            }
        }
        self.incoming.clear();
        self.work.clear();
        let goodbye = match &end {
            LinkEnd::Closed => Some((0, "")),
            LinkEnd::Violation(reason) if !self.told => Some((1, reason.as_str())),
            _ => None,
        };
        match goodbye {
            Some((code, message)) => {
                self.sending.reason(Kind::Goodbye, 0, code, message);
                let until = Instant::now() + GOODBYE_TIME.min(self.config.stall);
                // No other timer may move this one.
                self.armed = Some(self.started);
                self.sleep = Some(Box::pin(tokio::time::sleep_until(until)));
                self.state = State::Ending {
                    end,
                    until,
                    closing: false,
                };
            }
            None => {
                self.state = State::Ending {
                    end,
                    until: self.started,
                    closing: true,
                }
            }
        }
    }

    fn poll_ending(&mut self, cx: &mut Context<'_>) -> Poll<LinkEnd> {
        loop {
            let State::Ending { end, until, closing } = &mut self.state else {
                return Poll::Pending;
            };
            if Instant::now() >= *until {
                let end = end.clone();
                self.state = State::Ended;
                return Poll::Ready(end);
            }
            if *closing {
                if Pin::new(&mut self.io).poll_close(cx).is_ready() {
                    *until = self.started;
                    continue;
                }
            } else {
                match self.write(cx) {
                    Ok(_) if !self.sending.out.is_empty() || self.unflushed => {}
                    _ => {
                        if let State::Ending { closing, .. } = &mut self.state {
                            *closing = true;
                        }
                        continue;
                    }
                }
            }
            if self
                .sleep
                .as_mut()
                .is_some_and(|sleep| sleep.as_mut().poll(cx).is_pending())
            {
                return Poll::Pending;
            }
            if let State::Ending { until, .. } = &mut self.state {
                *until = self.started;
            }
        }
    }

    fn publish(&mut self, wait: bool) {
        let sending = &mut self.sending;
        let stats = &mut sending.stats;
        stats.calls = self.calls.len() as u32;
        stats.incoming = self.incoming.len() as u32;
        stats.in_flight = sending.meter.in_flight() as u64;
        stats.held = (self.in_memory + self.in_responses) as u64;
        let packed = sending.packer.stats;
        stats.compression_tried = packed.tried;
        stats.compression_used = packed.used;
        stats.compression_saved = packed.saved;
        stats.compression_time = packed.time;
        stats.compression_active = sending.adaptive.active();
        stats.compression_ratio = sending.adaptive.ratio().map(|ratio| ratio as f32);
        stats.link_throughput = sending.adaptive.link().map(|rate| rate as u64);
        stats.compressor_throughput = sending.adaptive.compressor().map(|rate| rate as u64);
        if wait {
            *self.shared.stats.lock().unwrap_or_else(PoisonError::into_inner) = *stats;
            return;
        }
        // A reader holds the lock for a copy only; what it misses now it sees after the next poll.
        match self.shared.stats.try_lock() {
            Ok(mut shared) => *shared = *stats,
            Err(TryLockError::Poisoned(poisoned)) => *poisoned.into_inner() = *stats,
            Err(TryLockError::WouldBlock) => {}
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Run<S> {
    type Output = LinkEnd;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<LinkEnd> {
        let this = self.get_mut();
        if matches!(this.state, State::Running) {
            match this.step(cx) {
                Ok(()) => {
                    this.publish(false);
                    return Poll::Pending;
                }
                Err(end) => this.wind_up(end),
            }
        }
        this.poll_ending(cx)
    }
}

impl<S> Drop for Run<S> {
    fn drop(&mut self) {
        for call in self.incoming.values() {
            if let Some(cancelled) = &call.cancelled {
                cancelled.cancel();
            }
        }
        self.shared.open.store(false, Ordering::Release);
    }
}
