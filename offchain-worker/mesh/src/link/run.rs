//! The run loop of a link: a state machine that reads, writes, polls handlers and keeps the time in one task.

use super::{
    CODE_CANCELLED, CODE_INTERNAL, CODE_RATE, CODE_TIMEOUT, CODE_TOO_LARGE, CallError, Handler, Incoming,
    LinkConfig, LinkEnd, LinkStats, ProgressSender, Reject, Role, Shared,
    adaptive::{Adaptive, Meter, WORTH},
    frame::{self, Fault, Head, Hello, Kind, Limits, RequestHead},
    lanes::Lanes,
    out::OutBuf,
    pack::{Packer, Unpacker},
    rate::Bucket,
    work::{Outcome, WorkSet},
};
use bytes::{BufMut, Bytes};
use futures::io::{AsyncRead, AsyncWrite};
use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasherDefault, Hasher},
    panic::{AssertUnwindSafe, catch_unwind},
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
/// Buffer for reading: at first, and when the link is busy.
const READ_MIN: usize = 4 * 1024;
const READ_MAX: usize = 64 * 1024;
/// Received bytes of all exchanges after which the peer's link window is given back.
const LINK_ACK: usize = 64 * 1024;
/// Windows below this make no progress worth the name.
const WINDOW_MIN: usize = 16 * 1024;
/// A data frame is not cut below this by a window.
const FRAME_MIN: usize = 4 * 1024;
/// Least that may be under way, however slow the link is.
const IN_FLIGHT_MIN: f64 = 256.0 * 1024.0;
/// Most under way on a link that has not been measured.
const IN_FLIGHT_UNKNOWN: usize = 1 << 20;
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

/// How a body is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Undecided,
    Plain,
    Packed,
}

/// A body on its way out.
struct Flow {
    body: Bytes,
    sent: usize,
    credit: usize,
    form: Form,
    /// Waits for the peer's window frame, outside of the lanes.
    parked: bool,
}

impl Flow {
    fn new(body: Bytes) -> Self {
        Self { body, sent: 0, credit: 0, form: Form::Undecided, parked: false }
    }

    fn is_large(&self) -> bool {
        self.body.len() > frame::INLINE_MAX
    }
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
        Self { data: Vec::new(), received: 0, expected, credit: window, unacknowledged: 0, discard: false }
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

/// What became of an attempt to put out a data frame.
enum Sent {
    More,
    Done,
    /// The exchange's window is used up.
    Parked,
    /// The link's window is used up.
    Full,
}

/// The sending side of what all exchanges share.
struct Sending {
    out: OutBuf,
    adaptive: Adaptive,
    meter: Meter,
    packer: Packer,
    link_credit: usize,
    began: Instant,
    stats: LinkStats,
}

impl Sending {
    fn frame(&mut self, kind: Kind, id: u32, end: bool, packed: bool, len: usize, write: impl FnOnce(&mut bytes::BytesMut)) {
        let head = Head { kind, end, packed, id, len }.encode();
        self.out.put(|buf| {
            buf.put_slice(&head);
            write(buf);
        });
        self.stats.frames_out += 1;
    }

    fn reason(&mut self, kind: Kind, id: u32, code: u16, message: &str) {
        let message = frame::bounded(message);
        self.frame(kind, id, false, false, 2 + message.len(), |buf| {
            buf.put_u16_le(code);
            buf.put_slice(message.as_bytes());
        });
    }

    fn clock(&self) -> Duration {
        self.began.elapsed()
    }

    /// How much more may be under way: the peer's link window, and not much more than what the link holds at its measured pace, so
    /// that what comes next does not stand behind seconds of data in somebody's buffers.
    fn allowance(&self) -> usize {
        let hold = match (self.adaptive.link(), self.stats.rtt_min) {
            (Some(link), Some(rtt)) => (2.0 * link * (rtt.as_secs_f64() + 0.01)).max(IN_FLIGHT_MIN) as usize,
            _ => IN_FLIGHT_UNKNOWN,
        };
        self.link_credit.min(hold.saturating_sub(self.meter.in_flight()))
    }

    /// Puts out a body that fits into one frame, packed if that pays. `fixed` is what precedes it in the payload.
    fn inline(&mut self, kind: Kind, id: u32, fixed: impl FnOnce(&mut bytes::BytesMut), fixed_len: usize, body: &Bytes) {
        self.stats.body_out += body.len() as u64;
        if body.len() >= WORTH {
            let now = self.clock();
            if self.packer.choose(body, &mut self.adaptive, now).0
                && self.packer.block(body, &mut self.adaptive, now).0
            {
                let head = Head { kind, end: true, packed: true, id, len: fixed_len + self.packer.packed().len() };
                let packed = self.packer.packed();
                self.out.put(|buf| {
                    buf.put_slice(&head.encode());
                    fixed(buf);
                    buf.put_slice(packed);
                });
                self.stats.frames_out += 1;
                return;
            }
        }
        self.frame(kind, id, true, false, fixed_len + body.len(), fixed);
        self.out.put_bytes(body.clone());
    }

    /// Puts out the next frame of a large body.
    fn data(&mut self, id: u32, flow: &mut Flow) -> Sent {
        let left = flow.body.len() - flow.sent;
        let least = left.min(FRAME_MIN);
        if flow.credit < least {
            flow.parked = true;
            return Sent::Parked;
        }
        let allowance = self.allowance();
        if allowance < least {
            return Sent::Full;
        }
        let now = self.clock();
        if flow.form == Form::Undecided {
            let (pack, took) = self.packer.choose(&flow.body, &mut self.adaptive, now);
            flow.form = if pack { Form::Packed } else { Form::Plain };
            self.meter.packing(took);
        }
        let n = left.min(frame::DATA_MAX).min(flow.credit).min(allowance);
        let plain = flow.body.slice(flow.sent..flow.sent + n);
        let end = n == left;
        let mut len = n;
        if flow.form == Form::Packed {
            let (useful, took) = self.packer.block(&plain, &mut self.adaptive, now);
            self.meter.packing(took);
            let packed = self.packer.packed();
            if useful && packed.len() + frame::PACKED_FIXED <= n {
                len = packed.len() + frame::PACKED_FIXED;
                let head = Head { kind: Kind::Data, end, packed: true, id, len };
                self.out.put(|buf| {
                    buf.put_slice(&head.encode());
                    buf.put_u32_le(n as u32);
                    buf.put_slice(packed);
                });
                self.stats.frames_out += 1;
            } else {
                flow.form = Form::Plain;
            }
        }
        if flow.form == Form::Plain {
            self.frame(Kind::Data, id, end, false, n, |_| {});
            self.out.put_bytes(plain);
        }
        self.stats.body_out += n as u64;
        self.meter.sent(len, now);
        flow.credit -= len;
        self.link_credit -= len;
        flow.sent += n;
        if end {
            flow.body = Bytes::new();
            flow.sent = 0;
            Sent::Done
        } else {
            Sent::More
        }
    }
}

enum State {
    Running,
    /// The goodbye is on its way.
    Ending { end: LinkEnd, until: Instant, closing: bool },
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
            unflushed: false,
            told: false,
            sleep: None,
            armed: None,
            started: now,
            config,
        }
    }

    // ---- time -------------------------------------------------------------------------------------------------------------

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
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(armed)));
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
            None if self.agreed.is_some() && due(self.next_ping) => self.ping_due = true,
            None => {}
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

    // ---- own calls --------------------------------------------------------------------------------------------------------

    fn take_commands(&mut self, cx: &mut Context<'_>) -> Step<bool> {
        let mut any = false;
        while let Poll::Ready(Some(command)) = self.commands.poll_recv(cx) {
            any = true;
            match command {
                Command::Start(start) => self.begin(start),
                Command::Cancel(key) => self.give_up(key, None),
                Command::Close => return Err(LinkEnd::Closed),
            }
        }
        Ok(any)
    }

    fn begin(&mut self, start: Start) {
        let Start { key, deadline, header, body, priority, progress, reply } = start;
        if let Some(agreed) = &self.agreed
            && !Self::fits(&agreed.peer, &header, &body)
        {
            self.shared.outgoing.fetch_sub(1, Ordering::Relaxed);
            // The caller may be gone.
            let _ = reply.send(Err(CallError::TooLarge));
            return;
        }
        let flow = Flow::new(body);
        let lane = if flow.is_large() { &mut self.large_starts } else { &mut self.small_starts };
        lane.push(priority, key);
        let call = OutCall {
            id: 0,
            priority,
            deadline,
            header,
            flow,
            large: None,
            progress,
            reply: Some(reply),
            ended: false,
            answered: false,
            cancel_due: false,
            dirty: false,
            inflow: None,
            closing: None,
        };
        self.calls.insert(key, call);
        self.arm(deadline);
    }

    fn fits(peer: &Limits, header: &Bytes, body: &Bytes) -> bool {
        let large = body.len() > frame::INLINE_MAX;
        header.len() <= peer.max_header as usize
            && body.len() <= peer.max_body as usize
            && (!large || body.len() as u64 <= peer.memory)
    }

    /// The caller is gone or its time is over.
    fn give_up(&mut self, key: u64, error: Option<CallError>) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        if let (Some(reply), Some(error)) = (call.reply.take(), error) {
            let _ = reply.send(Err(error));
        }
        call.reply = None;
        if call.closing.is_some() || call.answered {
            return;
        }
        let (id, priority) = (call.id, call.priority);
        if id == 0 {
            let lane = if call.flow.is_large() { &mut self.large_starts } else { &mut self.small_starts };
            lane.remove(priority, &key);
            self.forget_call(key);
            return;
        }
        call.closing = Some(self.now);
        call.cancel_due = true;
        call.flow.body = Bytes::new();
        if let Some(inflow) = &mut call.inflow {
            inflow.discard();
        }
        let flowing = !call.ended && !call.flow.parked;
        if !std::mem::replace(&mut call.dirty, true) {
            self.dirty.push_back(Key::Call(key));
        }
        if flowing {
            self.flows.remove(priority, &Key::Call(key));
        }
        self.arm(self.now + self.config.stall);
    }

    fn forget_call(&mut self, key: u64) {
        let Some(call) = self.calls.remove(&key) else { return };
        if call.id != 0 {
            self.ids.remove(&call.id);
        }
        if let Some(len) = call.large {
            self.large_calls -= 1;
            self.out_memory -= len;
        }
        if let Some(inflow) = &call.inflow {
            self.in_responses -= inflow.expected;
        }
        self.shared.outgoing.fetch_sub(1, Ordering::Relaxed);
    }

    /// The peer's half of a call has ended.
    fn answer(&mut self, key: u64, answer: Result<Bytes, CallError>) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        if let Some(reply) = call.reply.take() {
            let _ = reply.send(answer);
        }
        if call.ended {
            self.forget_call(key);
            return;
        }
        // Refused before the body was through: our half ends with a cancel frame.
        let flowing = !call.flow.parked && call.closing.is_none();
        let priority = call.priority;
        call.answered = true;
        call.cancel_due = true;
        call.flow.body = Bytes::new();
        if !std::mem::replace(&mut call.dirty, true) {
            self.dirty.push_back(Key::Call(key));
        }
        if flowing {
            self.flows.remove(priority, &Key::Call(key));
        }
    }

    // ---- the peer's requests ----------------------------------------------------------------------------------------------

    fn on_request(&mut self, agreed: &Agreed, head: Head, payload: &[u8]) -> Step {
        ensure(head.id == self.next_in, "exchange id out of sequence")?;
        ensure(!self.incoming.contains_key(&head.id), "exchange id in use")?;
        ensure(self.incoming.len() < self.config.max_incoming, "too many exchanges")?;
        let (request, body_at) = check(RequestHead::decode(payload))?;
        let (expected, body) = (request.body as usize, &payload[body_at..]);
        ensure(request.header as usize <= self.config.max_header, "header too large")?;
        ensure(expected <= self.config.max_body, "body too large")?;
        let large = if head.end { 0 } else { expected };
        if head.end {
            ensure(expected <= frame::INLINE_MAX, "inline body too large")?;
        } else {
            ensure(body.is_empty() && expected > 0, "request with a part of a body")?;
            ensure(large <= self.config.memory.saturating_sub(self.in_memory), "memory window exceeded")?;
        }
        self.next_in = frame::next_id(head.id);
        self.in_memory += large;
        self.sending.stats.calls_received += 1;
        // One allocation for header and body.
        let (header, body) = if head.packed {
            let mut plain = Vec::with_capacity(request.header as usize + expected);
            plain.extend_from_slice(&payload[frame::REQUEST_FIXED..body_at]);
            check(self.unpacker.unpack(body, expected, &mut plain))?;
            self.sending.stats.compression_received += 1;
            let mut header = Bytes::from(plain);
            let body = header.split_off(request.header as usize);
            (header, body)
        } else {
            ensure(!head.end || body.len() == expected, "body of another length than declared")?;
            let mut header = Bytes::copy_from_slice(&payload[frame::REQUEST_FIXED..]);
            let body = header.split_off(request.header as usize);
            (header, body)
        };
        let timeout = Duration::from_millis(u64::from(request.timeout_ms)).min(self.config.request_timeout_max);
        let wants_progress = request.options & frame::WANTS_PROGRESS != 0;
        self.progress_used |= wants_progress;
        let deadline = self.now + timeout;
        let call = InCall {
            priority: request.priority,
            wants_progress,
            header,
            deadline,
            cancelled: None,
            inflow: (!head.end).then(|| Inflow::new(expected, agreed.window)),
            large,
            ended: head.end,
            cancel_seen: false,
            slot: None,
            response: None,
            begun: false,
            reject: None,
            closing: None,
            dirty: false,
        };
        self.incoming.insert(head.id, call);
        self.arm(deadline);
        let now = self.now;
        if self.request_rate.as_mut().is_some_and(|bucket| !bucket.take_one(now)) {
            self.refuse(head.id, Reject::new(CODE_RATE, "too many requests"));
        } else if head.end {
            self.dispatch(head.id, body);
        }
        Ok(())
    }

    /// Gives a complete request to the handler.
    fn dispatch(&mut self, id: u32, body: Bytes) {
        let Some(call) = self.incoming.get_mut(&id) else { return };
        let cancelled = CancellationToken::new();
        call.cancelled = Some(cancelled.clone());
        let request = Incoming {
            header: std::mem::take(&mut call.header),
            body,
            deadline: call.deadline,
            cancelled,
            progress: ProgressSender { id, sender: call.wants_progress.then(|| self.progress_sender.clone()) },
        };
        match catch_unwind(AssertUnwindSafe(|| self.handler.handle(request))) {
            Ok(future) => call.slot = Some(self.work.insert(id, future)),
            Err(_) => self.refuse(id, Reject::new(CODE_INTERNAL, "the handler failed")),
        }
    }

    fn poll_work(&mut self, cx: &mut Context<'_>) -> bool {
        // What the peer does not read is held here: handlers wait until it reads.
        if self.held_responses > self.config.memory {
            return false;
        }
        let mut finished = std::mem::take(&mut self.finished);
        let (mut held, most) = (self.held_responses, self.config.memory);
        let any = self.work.poll(cx, |id, outcome| {
            if let Outcome::Done(Ok(body)) = &outcome {
                held += body.len();
            }
            finished.push((id, outcome));
            held <= most
        });
        for (id, outcome) in finished.drain(..) {
            self.on_finished(id, outcome);
        }
        self.finished = finished;
        any
    }

    fn on_finished(&mut self, id: u32, outcome: Outcome<Result<Bytes, Reject>>) {
        let Some(call) = self.incoming.get_mut(&id) else { return };
        call.slot = None;
        if call.wants_progress {
            // What the handler said before it finished goes first.
            for _ in 0..2 * PROGRESS_QUEUE {
                let Ok((id, message)) = self.progress.try_recv() else { break };
                self.put_progress(id, message);
            }
        }
        let Some(call) = self.incoming.get_mut(&id) else { return };
        let response = match outcome {
            Outcome::Done(Ok(response)) => response,
            Outcome::Done(Err(reject)) => return self.refuse(id, reject),
            Outcome::Panicked => return self.refuse(id, Reject::new(CODE_INTERNAL, "the handler failed")),
        };
        let Some(Agreed { peer, .. }) = self.agreed else { return };
        let flow = Flow::new(response);
        let len = flow.body.len();
        let large = flow.is_large();
        if len > self.config.max_response.min(peer.max_response as usize) || (large && len as u64 > peer.memory) {
            return self.refuse(id, Reject::new(CODE_TOO_LARGE, "response too large"));
        }
        self.held_responses += len;
        call.response = Some(flow);
        let lane = if large { &mut self.large_answers } else { &mut self.small_answers };
        lane.push(call.priority, id);
    }

    /// Answers a request with a reject, whatever state it is in. The handler's future is dropped.
    fn refuse(&mut self, id: u32, reject: Reject) {
        let Some(call) = self.incoming.get_mut(&id) else { return };
        if call.reject.is_some() || call.closing.is_some() {
            return;
        }
        self.sending.stats.rejected += 1;
        call.reject = Some(reject);
        call.header = Bytes::new();
        if let Some(cancelled) = &call.cancelled {
            cancelled.cancel();
        }
        if let Some(slot) = call.slot.take() {
            self.work.remove(slot);
        }
        if let Some(inflow) = &mut call.inflow {
            inflow.discard();
        }
        let priority = call.priority;
        let response = call.response.take();
        let begun = std::mem::take(&mut call.begun);
        if !std::mem::replace(&mut call.dirty, true) {
            self.dirty.push_back(Key::Request(id));
        }
        if let Some(flow) = response {
            self.held_responses -= flow.body.len();
            if begun {
                self.out_responses -= flow.body.len();
                if !flow.parked {
                    self.flows.remove(priority, &Key::Request(id));
                }
            } else if flow.is_large() {
                self.large_answers.remove(priority, &id);
            } else {
                self.small_answers.remove(priority, &id);
            }
        }
    }

    fn forget_request(&mut self, id: u32) {
        let Some(call) = self.incoming.remove(&id) else { return };
        self.in_memory -= call.large;
    }

    fn put_progress(&mut self, id: u32, message: Bytes) {
        let listening = self.incoming.get(&id).is_some_and(|call| {
            call.wants_progress && call.reject.is_none() && call.closing.is_none() && call.response.is_none()
        });
        if listening {
            self.sending.frame(Kind::Progress, id, false, false, message.len(), |_| {});
            self.sending.out.put_bytes(message);
        }
    }

    fn take_progress(&mut self, cx: &mut Context<'_>) -> bool {
        let mut any = false;
        while self.progress_used && self.sending.out.len() < OUT_HIGH {
            let Poll::Ready(Some((id, message))) = self.progress.poll_recv(cx) else { break };
            self.put_progress(id, message);
            any = true;
        }
        any
    }

    // ---- reading ----------------------------------------------------------------------------------------------------------

    /// One read and what it brought. False when there is nothing to read.
    fn read(&mut self, cx: &mut Context<'_>) -> Step<bool> {
        let now = self.now;
        if let Some(at) = self.byte_rate.as_mut().and_then(|bucket| bucket.ready_at(now)) {
            // The peer waits because this side does not read: that is not its stall.
            self.last_read = at;
            self.frame_begun = self.frame_begun.map(|_| at);
            self.arm(at);
            return Ok(false);
        }
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.buffer.is_empty() {
            self.buffer.resize(READ_MIN, 0);
        }
        let n = match Pin::new(&mut self.io).poll_read(cx, &mut self.buffer[self.end..]) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Ok(0)) => return Err(LinkEnd::Eof),
            Poll::Ready(Ok(n)) => n,
            Poll::Ready(Err(error)) => return Err(LinkEnd::Io(error.to_string())),
        };
        self.end += n;
        self.last_read = self.now;
        self.sending.stats.bytes_in += n as u64;
        if let Some(bucket) = &mut self.byte_rate {
            bucket.spend(n);
        }
        let full = self.end == self.buffer.len();
        let buffer = std::mem::take(&mut self.buffer);
        let need = self.parse(&buffer);
        self.buffer = buffer;
        let need = need?;
        if self.start > 0 && self.start < self.end {
            // Only a part of a frame is left: it goes to the front.
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let wanted = if full { (self.buffer.len() * 4).min(READ_MAX) } else { 0 };
        let wanted = wanted.max(need);
        if wanted > self.buffer.len() {
            self.buffer.resize(wanted, 0);
        }
        Ok(true)
    }

    /// Takes all complete frames, and data as far as it is here. Returns the room that the begun frame needs.
    fn parse(&mut self, buffer: &[u8]) -> Step<usize> {
        let mut whole = false;
        let mut need = 0;
        loop {
            let here = &buffer[self.start..self.end];
            if let Some(reading) = &mut self.reading {
                let n = reading.left.min(here.len());
                if n == 0 {
                    break;
                }
                reading.left -= n;
                let (key, finished, end) = (reading.key, reading.left == 0, reading.end);
                self.start += n;
                if finished {
                    self.reading = None;
                    whole = true;
                }
                self.on_data(key, &here[..n], finished && end)?;
                continue;
            }
            let Some(agreed) = self.agreed else {
                match check(Hello::decode(here))? {
                    Some((hello, len)) => {
                        self.start += len;
                        whole = true;
                        self.on_hello(hello)?;
                        continue;
                    }
                    None => {
                        need = frame::HELLO_FIXED + frame::HELLO_LIMITS_MAX;
                        break;
                    }
                }
            };
            let Some(head) = check(Head::decode(here, self.config.max_header))? else { break };
            if head.kind == Kind::Data && !head.packed {
                self.start += frame::HEAD;
                self.sending.stats.frames_in += 1;
                let key = self.begin_data(head, head.len)?;
                self.reading = Some(Reading { key, left: head.len, end: head.end });
                continue;
            }
            let Some(payload) = here.get(frame::HEAD..frame::HEAD + head.len) else {
                need = frame::HEAD + head.len;
                break;
            };
            self.start += frame::HEAD + head.len;
            self.sending.stats.frames_in += 1;
            whole = true;
            self.on_frame(&agreed, head, payload)?;
        }
        if self.start == self.end && self.reading.is_none() {
            self.frame_begun = None;
        } else if whole || self.frame_begun.is_none() {
            self.frame_begun = Some(self.now);
            self.arm(self.now + self.config.stall);
        }
        Ok(need)
    }

    fn on_hello(&mut self, hello: Hello) -> Step {
        ensure(hello.dialer != (self.role == Role::Dialer), "both sides have the same role")?;
        let peer = hello.limits;
        let window = self.config.window.min(peer.window as usize);
        let link_window = self.config.link_window.min(peer.link_window as usize);
        ensure(window >= WINDOW_MIN && link_window >= 4 * LINK_ACK, "window too small")?;
        self.agreed = Some(Agreed { peer, window, link_window });
        self.sending.link_credit = link_window;
        self.link_in_credit = link_window;
        self.ping_due = true;
        // Calls that were made before the limits were known.
        let refused: Vec<u64> = self
            .calls
            .iter()
            .filter(|(_, call)| !Self::fits(&peer, &call.header, &call.flow.body))
            .map(|(key, _)| *key)
            .collect();
        for key in refused {
            self.give_up(key, Some(CallError::TooLarge));
        }
        Ok(())
    }

    fn is_own(&self, id: u32) -> bool {
        (id % 2 == 1) == (self.role == Role::Dialer)
    }

    /// The call of one of our ids, which must be in use.
    fn own(&self, id: u32) -> Step<u64> {
        match self.ids.get(&id) {
            Some(key) => Ok(*key),
            None => violation("frame for an exchange that is not in use"),
        }
    }

    fn on_frame(&mut self, agreed: &Agreed, head: Head, payload: &[u8]) -> Step {
        let own = self.is_own(head.id);
        match head.kind {
            Kind::Request => {
                ensure(!own, "request with an id of ours")?;
                self.on_request(agreed, head, payload)
            }
            Kind::Data => self.on_packed_data(agreed, head, payload),
            Kind::Response => {
                ensure(own, "response to a request of the peer")?;
                self.on_response(agreed, head, payload)
            }
            Kind::Reject => {
                ensure(own, "reject of a request of the peer")?;
                let key = self.own(head.id)?;
                ensure(self.calls.get(&key).is_some_and(|call| !call.answered), "second answer")?;
                let (code, message) = check(frame::decode_reason(payload))?;
                let error = match code {
                    CODE_TIMEOUT => CallError::Timeout,
                    CODE_CANCELLED => CallError::Cancelled,
                    _ => CallError::Rejected(Reject { code, message }),
                };
                self.answer(key, Err(error));
                Ok(())
            }
            Kind::Cancel => {
                ensure(!own, "cancel of a request of ours")?;
                self.on_cancel(head.id)
            }
            Kind::Window => self.on_window(agreed, head.id, check(frame::decode_u32(payload))? as usize),
            Kind::Progress => {
                ensure(own, "progress of a request of the peer")?;
                let key = self.own(head.id)?;
                let Some(call) = self.calls.get(&key) else { return Ok(()) };
                ensure(call.inflow.is_none() && !call.answered, "progress after the answer")?;
                let Some(listener) = &call.progress else { return violation("progress that nobody asked for") };
                if call.reply.is_some() && listener.try_send(Bytes::copy_from_slice(payload)).is_err() {
                    self.sending.stats.progress_dropped += 1;
                }
                Ok(())
            }
            Kind::Ping => {
                // A ping may follow when the last one is answered, so one place is enough.
                ensure(self.pong_due.is_none(), "ping before the last pong")?;
                self.pong_due = Some(check(frame::decode_u64(payload))?);
                Ok(())
            }
            Kind::Pong => {
                let nonce = check(frame::decode_u64(payload))?;
                let Some((_, sent)) = self.ping_sent.take_if(|(expected, _)| *expected == nonce) else {
                    return violation("pong without a ping");
                };
                let rtt = Instant::now().saturating_duration_since(sent);
                let stats = &mut self.sending.stats;
                stats.rtt = Some(stats.rtt.map_or(rtt, |old| (old * 7 + rtt) / 8));
                stats.rtt_min = Some(stats.rtt_min.map_or(rtt, |old| old.min(rtt)));
                self.next_ping = self.now + self.config.ping;
                self.arm(self.next_ping);
                Ok(())
            }
            Kind::Goodbye => {
                let (code, message) = check(frame::decode_reason(payload))?;
                self.told = true;
                Err(if code == 0 { LinkEnd::Goodbye } else { LinkEnd::Violation(format!("found by the peer: {message}")) })
            }
        }
    }

    fn on_response(&mut self, agreed: &Agreed, head: Head, payload: &[u8]) -> Step {
        let key = self.own(head.id)?;
        let (max_response, memory) = (self.config.max_response, self.config.memory);
        let Some(call) = self.calls.get_mut(&key) else { return Ok(()) };
        ensure(call.inflow.is_none() && !call.answered, "second answer")?;
        ensure(call.ended, "answer before the request's end")?;
        let expected = check(frame::decode_u32(payload))? as usize;
        let body = &payload[frame::RESPONSE_FIXED..];
        ensure(expected <= max_response, "response too large")?;
        if !head.end {
            ensure(body.is_empty() && expected > 0, "response with a part of a body")?;
            ensure(expected <= memory.saturating_sub(self.in_responses), "memory window exceeded")?;
            self.in_responses += expected;
            let mut inflow = Inflow::new(expected, agreed.window);
            inflow.discard = call.reply.is_none();
            call.inflow = Some(inflow);
            return Ok(());
        }
        let body = if head.packed {
            ensure(expected <= frame::INLINE_MAX, "inline body too large")?;
            let mut plain = Vec::with_capacity(expected);
            check(self.unpacker.unpack(body, expected, &mut plain))?;
            self.sending.stats.compression_received += 1;
            Bytes::from(plain)
        } else {
            ensure(body.len() == expected, "body of another length than declared")?;
            Bytes::copy_from_slice(body)
        };
        self.answer(key, Ok(body));
        Ok(())
    }

    fn on_cancel(&mut self, id: u32) -> Step {
        let Some(call) = self.incoming.get_mut(&id) else {
            return ensure(frame::is_past(id, self.next_in), "cancel of an exchange that never was");
        };
        ensure(!call.cancel_seen, "cancelled twice")?;
        call.cancel_seen = true;
        call.ended = true;
        self.sending.stats.cancelled += 1;
        if call.closing.is_some() {
            self.forget_request(id);
        } else {
            self.refuse(id, Reject::new(CODE_CANCELLED, "cancelled"));
        }
        Ok(())
    }

    fn on_window(&mut self, agreed: &Agreed, id: u32, n: usize) -> Step {
        ensure(n > 0, "empty window frame")?;
        if id == 0 {
            let credit = self.sending.link_credit.saturating_add(n);
            ensure(credit <= agreed.link_window, "window beyond its size")?;
            self.sending.link_credit = credit;
            let now = self.sending.clock();
            if let Some(sample) = self.sending.meter.acknowledged(n, now, self.sending.stats.rtt_min) {
                self.sending.adaptive.delivered(sample.bytes, sample.elapsed, sample.packing, now);
            }
            return Ok(());
        }
        let (key, priority, flow) = if self.is_own(id) {
            let key = self.own(id)?;
            let Some(call) = self.calls.get_mut(&key) else { return Ok(()) };
            if call.ended || call.closing.is_some() || call.answered {
                return Ok(());
            }
            (Key::Call(key), call.priority, &mut call.flow)
        } else {
            let Some(call) = self.incoming.get_mut(&id) else {
                return ensure(frame::is_past(id, self.next_in), "window of an exchange that never was");
            };
            match &mut call.response {
                Some(flow) if call.begun => (Key::Request(id), call.priority, flow),
                // It crossed our reject.
                _ if call.reject.is_some() || call.closing.is_some() => return Ok(()),
                _ => return violation("window before its body"),
            }
        };
        let credit = flow.credit.saturating_add(n);
        ensure(credit <= agreed.window, "window beyond its size")?;
        flow.credit = credit;
        if std::mem::take(&mut flow.parked) {
            self.flows.push(priority, key);
        }
        Ok(())
    }

    /// Checks the head of a data frame against everything granted: `plain` is what it will become.
    fn begin_data(&mut self, head: Head, plain: usize) -> Step<Key> {
        ensure(head.len <= self.link_in_credit, "link window exceeded")?;
        let (key, inflow) = if self.is_own(head.id) {
            let key = self.own(head.id)?;
            (Key::Call(key), self.calls.get_mut(&key).and_then(|call| call.inflow.as_mut()))
        } else {
            let inflow = self.incoming.get_mut(&head.id).and_then(|call| {
                if call.ended { None } else { call.inflow.as_mut() }
            });
            (Key::Request(head.id), inflow)
        };
        let Some(inflow) = inflow else { return violation("data without a body to belong to") };
        ensure(head.len <= inflow.credit, "window exceeded")?;
        ensure(plain <= inflow.expected - inflow.received, "body longer than declared")?;
        ensure(head.end == (plain == inflow.expected - inflow.received), "body's end at another length than declared")?;
        inflow.credit -= head.len;
        inflow.received += plain;
        self.link_in_credit -= head.len;
        Ok(key)
    }

    fn inflow(&mut self, key: Key) -> Option<&mut Inflow> {
        match key {
            Key::Call(key) => self.calls.get_mut(&key)?.inflow.as_mut(),
            Key::Request(id) => self.incoming.get_mut(&id)?.inflow.as_mut(),
        }
    }

    fn on_data(&mut self, key: Key, bytes: &[u8], end: bool) -> Step {
        let Some(agreed) = self.agreed else { return Ok(()) };
        if let Some(inflow) = self.inflow(key)
            && !inflow.discard
        {
            inflow.reserve(bytes.len(), agreed.window);
            inflow.data.extend_from_slice(bytes);
        }
        self.on_received(&agreed, key, bytes.len(), end);
        Ok(())
    }

    fn on_packed_data(&mut self, agreed: &Agreed, head: Head, payload: &[u8]) -> Step {
        let plain = check(frame::decode_u32(payload))? as usize;
        ensure(plain <= frame::DATA_MAX, "packed data unpacks to too much")?;
        let key = self.begin_data(head, plain)?;
        let mut unpacker = std::mem::take(&mut self.unpacker);
        if let Some(inflow) = self.inflow(key)
            && !inflow.discard
        {
            inflow.reserve(plain, agreed.window);
            check(unpacker.unpack(&payload[frame::PACKED_FIXED..], plain, &mut inflow.data))?;
        }
        self.unpacker = unpacker;
        self.sending.stats.compression_received += 1;
        self.on_received(agreed, key, head.len, head.end);
        Ok(())
    }

    /// `n` bytes of data, as they were on the wire, are put away.
    fn on_received(&mut self, agreed: &Agreed, key: Key, n: usize, end: bool) {
        self.link_unacknowledged += n;
        // The end of a body is told at once: the sender measures the link by it.
        if end || self.link_unacknowledged >= LINK_ACK {
            self.link_ack_due = true;
        }
        if !end {
            let Some(inflow) = self.inflow(key) else { return };
            inflow.unacknowledged += n;
            if inflow.unacknowledged < agreed.window / 2 || inflow.discard {
                return;
            }
            let dirty = match key {
                Key::Call(key) => self.calls.get_mut(&key).map(|call| &mut call.dirty),
                Key::Request(id) => self.incoming.get_mut(&id).map(|call| &mut call.dirty),
            };
            if dirty.is_some_and(|dirty| !std::mem::replace(dirty, true)) {
                self.dirty.push_back(key);
            }
            return;
        }
        match key {
            Key::Call(key) => {
                let data = self.inflow(Key::Call(key)).map(|inflow| std::mem::take(&mut inflow.data));
                self.answer(key, Ok(Bytes::from(data.unwrap_or_default())));
            }
            Key::Request(id) => {
                let Some(call) = self.incoming.get_mut(&id) else { return };
                call.ended = true;
                let inflow = call.inflow.take();
                if call.closing.is_some() {
                    self.forget_request(id);
                } else if call.reject.is_none() {
                    self.dispatch(id, Bytes::from(inflow.map(|inflow| inflow.data).unwrap_or_default()));
                }
            }
        }
    }

    // ---- writing ----------------------------------------------------------------------------------------------------------

    /// Puts out what there is to say, until enough waits for the stream.
    fn fill(&mut self) {
        let Some(agreed) = self.agreed else { return };
        loop {
            let before = self.sending.out.len();
            if before >= OUT_HIGH {
                return;
            }
            self.fill_control(&agreed);
            self.fill_small(&agreed);
            self.fill_large(&agreed);
            self.fill_data();
            if self.sending.out.len() == before {
                return;
            }
        }
    }

    fn fill_control(&mut self, agreed: &Agreed) {
        if let Some(nonce) = self.pong_due.take() {
            self.sending.frame(Kind::Pong, 0, false, false, 8, |buf| buf.put_u64_le(nonce));
        }
        if std::mem::take(&mut self.ping_due) && self.ping_sent.is_none() {
            self.pings += 1;
            let nonce = self.pings;
            self.ping_sent = Some((nonce, Instant::now()));
            self.sending.frame(Kind::Ping, 0, false, false, 8, |buf| buf.put_u64_le(nonce));
            self.arm(self.now + self.config.stall);
        }
        if std::mem::take(&mut self.link_ack_due) {
            let n = std::mem::take(&mut self.link_unacknowledged);
            if n > 0 {
                self.link_in_credit += n;
                self.sending.frame(Kind::Window, 0, false, false, 4, |buf| buf.put_u32_le(n as u32));
            }
        }
        while let Some(key) = self.dirty.pop_front() {
            match key {
                Key::Call(key) => self.fill_call_control(agreed, key),
                Key::Request(id) => self.fill_request_control(agreed, id),
            }
        }
    }

    fn window_frame(sending: &mut Sending, agreed: &Agreed, id: u32, inflow: Option<&mut Inflow>) {
        if let Some(inflow) = inflow
            && !inflow.discard
            && inflow.unacknowledged >= agreed.window / 2
        {
            let n = std::mem::take(&mut inflow.unacknowledged);
            inflow.credit += n;
            sending.frame(Kind::Window, id, false, false, 4, |buf| buf.put_u32_le(n as u32));
        }
    }

    fn fill_call_control(&mut self, agreed: &Agreed, key: u64) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.dirty = false;
        if std::mem::take(&mut call.cancel_due) {
            self.sending.frame(Kind::Cancel, call.id, false, false, 0, |_| {});
            call.ended = true;
            if call.answered {
                self.forget_call(key);
            }
            return;
        }
        Self::window_frame(&mut self.sending, agreed, call.id, call.inflow.as_mut());
    }

    fn fill_request_control(&mut self, agreed: &Agreed, id: u32) {
        let Some(call) = self.incoming.get_mut(&id) else { return };
        call.dirty = false;
        if let Some(reject) = call.reject.take() {
            self.sending.reason(Kind::Reject, id, reject.code, &reject.message);
            call.closing = Some(self.now);
            if call.ended {
                self.forget_request(id);
            } else {
                self.arm(self.now + self.config.stall);
            }
            return;
        }
        Self::window_frame(&mut self.sending, agreed, id, call.inflow.as_mut());
    }

    fn begun_calls(&self) -> usize {
        self.ids.len()
    }

    /// Small answers and small requests, in turns.
    fn fill_small(&mut self, agreed: &Agreed) {
        while self.sending.out.len() < OUT_HIGH {
            let mut any = false;
            if let Some((_, id)) = self.small_answers.pop() {
                any = true;
                self.put_small_answer(id);
            }
            if self.small_starts.len() > 0
                && self.begun_calls() < agreed.peer.max_incoming as usize
                && let Some((_, key)) = self.small_starts.pop()
            {
                any |= self.put_request(agreed, key);
            }
            if !any {
                return;
            }
        }
    }

    fn put_small_answer(&mut self, id: u32) {
        let Some(flow) = self.incoming.get_mut(&id).and_then(|call| call.response.take()) else { return };
        let len = flow.body.len();
        self.held_responses -= len;
        self.sending.inline(Kind::Response, id, |buf| buf.put_u32_le(len as u32), frame::RESPONSE_FIXED, &flow.body);
        self.forget_request(id);
    }

    /// False when no request can begin now.
    fn put_request(&mut self, agreed: &Agreed, key: u64) -> bool {
        let Some(call) = self.calls.get_mut(&key) else { return true };
        let id = self.next_out;
        if self.ids.contains_key(&id) {
            // The same id two billion calls ago is still in use: wait for it.
            let lane = if call.flow.is_large() { &mut self.large_starts } else { &mut self.small_starts };
            lane.unpop(call.priority, key);
            return false;
        }
        self.next_out = frame::next_id(id);
        call.id = id;
        self.ids.insert(id, key);
        self.sending.stats.calls_sent += 1;
        let header = std::mem::take(&mut call.header);
        let timeout = call.deadline.saturating_duration_since(self.now).as_millis().max(1);
        let head = RequestHead {
            header: header.len() as u16,
            priority: call.priority,
            options: if call.progress.is_some() { frame::WANTS_PROGRESS } else { 0 },
            timeout_ms: u32::try_from(timeout).unwrap_or(u32::MAX),
            body: call.flow.body.len() as u32,
        };
        let fixed = frame::REQUEST_FIXED + header.len();
        let write = |buf: &mut bytes::BytesMut| {
            head.encode(buf);
            buf.put_slice(&header);
        };
        if call.flow.is_large() {
            let len = call.flow.body.len();
            call.large = Some(len);
            call.flow.credit = agreed.window;
            self.large_calls += 1;
            self.out_memory += len;
            self.sending.frame(Kind::Request, id, false, false, fixed, write);
            self.flows.push(call.priority, Key::Call(key));
        } else {
            let body = std::mem::take(&mut call.flow.body);
            call.ended = true;
            self.sending.inline(Kind::Request, id, write, fixed, &body);
        }
        true
    }

    /// Begins large bodies as far as the peer has memory for them. A quarter of the peer's places is left to small requests.
    fn fill_large(&mut self, agreed: &Agreed) {
        let most = (agreed.peer.max_incoming as usize * 3).div_ceil(4);
        while self.large_starts.len() > 0
            && self.begun_calls() < agreed.peer.max_incoming as usize
            && self.large_calls < most
            && let Some((priority, key)) = self.large_starts.pop()
        {
            let len = self.calls.get(&key).map_or(0, |call| call.flow.body.len());
            if (self.out_memory + len) as u64 > agreed.peer.memory {
                self.large_starts.unpop(priority, key);
                break;
            }
            if !self.put_request(agreed, key) {
                break;
            }
        }
        while let Some((priority, id)) = self.large_answers.pop() {
            let Some(call) = self.incoming.get_mut(&id) else { continue };
            let Some(flow) = &mut call.response else { continue };
            let len = flow.body.len();
            if (self.out_responses + len) as u64 > agreed.peer.memory {
                self.large_answers.unpop(priority, id);
                break;
            }
            call.begun = true;
            flow.credit = agreed.window;
            self.out_responses += len;
            self.sending.frame(Kind::Response, id, false, false, frame::RESPONSE_FIXED, |buf| buf.put_u32_le(len as u32));
            self.flows.push(priority, Key::Request(id));
        }
    }

    /// One data frame of the body whose turn it is.
    fn fill_data(&mut self) {
        while let Some((priority, key)) = self.flows.pop() {
            let (id, flow) = match key {
                Key::Call(key) => match self.calls.get_mut(&key) {
                    Some(call) => (call.id, &mut call.flow),
                    None => continue,
                },
                Key::Request(id) => match self.incoming.get_mut(&id).and_then(|call| call.response.as_mut()) {
                    Some(flow) => (id, flow),
                    None => continue,
                },
            };
            let whole = flow.body.len();
            match self.sending.data(id, flow) {
                Sent::More => self.flows.push(priority, key),
                Sent::Parked => continue,
                Sent::Full => self.flows.unpop(priority, key),
                Sent::Done => match key {
                    Key::Call(key) => {
                        if let Some(call) = self.calls.get_mut(&key) {
                            call.ended = true;
                        }
                    }
                    Key::Request(id) => {
                        self.held_responses -= whole;
                        self.out_responses -= whole;
                        self.forget_request(id);
                    }
                },
            }
            return;
        }
    }

    /// Writes until the stream takes no more. True when it took something.
    fn write(&mut self, cx: &mut Context<'_>) -> Step<bool> {
        let mut any = false;
        for _ in 0..WRITES {
            if self.sending.out.is_empty() {
                break;
            }
            match self.sending.out.poll_write(&mut self.io, cx) {
                Poll::Ready(Ok(0)) => return Err(LinkEnd::Io("the stream takes nothing".to_owned())),
                Poll::Ready(Ok(n)) => {
                    any = true;
                    self.sending.stats.bytes_out += n as u64;
                    self.sending.stats.writes += 1;
                    self.write_since = None;
                    self.unflushed = true;
                    if self.sending.out.len() < OUT_LOW && matches!(self.state, State::Running) {
                        self.fill();
                    }
                }
                Poll::Ready(Err(error)) => return Err(LinkEnd::Io(error.to_string())),
                Poll::Pending => {
                    if self.write_since.is_none() {
                        self.write_since = Some(self.now);
                        self.arm(self.now + self.config.stall);
                    }
                    return Ok(any);
                }
            }
        }
        if self.unflushed && self.sending.out.is_empty() {
            match Pin::new(&mut self.io).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => return Err(LinkEnd::Io(error.to_string())),
                Poll::Pending => {}
            }
        }
        Ok(any)
    }

    // ---- the loop ---------------------------------------------------------------------------------------------------------

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
                self.sleep = Some(Box::pin(tokio::time::sleep_until(until)));
                self.state = State::Ending { end, until, closing: false };
            }
            None => self.state = State::Ending { end, until: self.started, closing: true },
        }
    }

    fn poll_ending(&mut self, cx: &mut Context<'_>) -> Poll<LinkEnd> {
        loop {
            let State::Ending { end, until, closing } = &mut self.state else { return Poll::Pending };
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
            if self.sleep.as_mut().is_some_and(|sleep| sleep.as_mut().poll(cx).is_pending()) {
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
