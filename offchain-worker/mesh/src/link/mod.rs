//! One long-lived framed stream a peer and kind.
//!
//! [`open`] turns any byte stream (a libp2p substream, a socket, a pipe) into a [`Link`]: many requests at once in both directions,
//! each with a deadline, a priority, cancellation, progress messages and flow control. A substream a request costs a negotiation
//! each time; a link costs it once.
//!
//! - **One task.** [`open`] returns the link's whole life as a future; it reads, writes, runs the handlers' futures and keeps the
//!   time. There is no task, lock or timer a frame. Handlers must not block and should spawn what computes for long.
//! - **Small things first.** Requests and answers up to 16 KiB are one frame, and all that wait go out in one write. Larger bodies
//!   are cut into 64 KiB frames that take turns, so a small request waits for at most what is already handed to the stream; the
//!   unacknowledged bytes of the link bound that too.
//! - **Nothing grows with the peer's wishes.** The hello tells the limits; lengths are checked before anything is allocated or
//!   decompressed; what breaks a rule ends the link with [`LinkEnd::Violation`]. Every wait has a deadline.
//! - **zstd only when it pays.** See [`Compression`] and [`LinkStats`].
//!
//! # Life of an exchange
//!
//! The caller's half ends with the last frame of the body or with a cancel frame, the answering half with the last frame of the
//! response or with a reject. Either side forgets an exchange when both halves have ended; so both always agree on which ids are in
//! use, ids come strictly in sequence (odd from the dialer, even from the listener), and a frame for any other id is a violation,
//! except a cancel or window frame that crossed the answer's end.
//!
//! # Memory
//!
//! A peer makes this side hold at most: `max_incoming` small requests, `memory` bytes of large request bodies, `memory` bytes of
//! large responses, each declared before and refused beyond that; answers that the peer does not read are held up to `memory` bytes
//! before handlers are no longer polled; and some 300 KiB of buffers while the link is busy.

mod adaptive;
mod frame;
mod lanes;
mod out;
mod pack;
mod rate;
mod run;
mod work;

pub use adaptive::Compression;

use bytes::Bytes;
use futures::{
    future::BoxFuture,
    io::{AsyncRead, AsyncWrite},
};
use run::{Command, Run, Start};
use std::{
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// Reject codes from here up are the link's own; handlers use lower ones.
pub const CODE_LINK: u16 = 0xff00;
/// The exchange's deadline passed at the answering side.
pub const CODE_TIMEOUT: u16 = 0xff01;
/// The exchange was cancelled.
pub const CODE_CANCELLED: u16 = 0xff02;
/// The peer asks more often than the answering side allows.
pub const CODE_RATE: u16 = 0xff03;
/// The answer is larger than what the caller takes.
pub const CODE_TOO_LARGE: u16 = 0xff04;
/// The handler panicked.
pub const CODE_INTERNAL: u16 = 0xff05;

/// Which side of the stream this is. Both sides call and answer; the role only tells their exchange ids apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Opened the stream.
    Dialer,
    /// Accepted the stream.
    Listener,
}

/// How much one peer may ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Requests a second in the long run; more are rejected with [`CODE_RATE`].
    pub requests: u32,
    /// Requests at once after a quiet time.
    pub request_burst: u32,
    /// Bytes a second in the long run; beyond it the link is not read.
    pub bytes: u64,
    /// Bytes at once after a quiet time.
    pub byte_burst: u64,
}

/// Limits of one side of a link. What a side accepts is told to the other one in the hello, and of the two values the lower wins.
#[derive(Clone, Debug)]
pub struct LinkConfig {
    /// Longest request header in bytes, at most 60 KiB.
    pub max_header: usize,
    /// Longest request body in bytes.
    pub max_body: usize,
    /// Longest response in bytes.
    pub max_response: usize,
    /// Requests at work for the peer.
    pub max_incoming: usize,
    /// Calls at once, waiting ones included; more are [`CallError::Busy`].
    pub max_outgoing: usize,
    /// Unacknowledged body bytes of one exchange and direction.
    pub window: usize,
    /// Unacknowledged body bytes of all exchanges in one direction.
    pub link_window: usize,
    /// Bytes of large bodies held for the peer: declared requests at work, responses on the way in, and responses that wait.
    pub memory: usize,
    /// Longest time that a request may take, whatever its caller says.
    pub request_timeout_max: Duration,
    /// Time for the hello, for the rest of a begun frame, for the peer to take a byte, to answer a ping, to end its half.
    pub stall: Duration,
    /// A ping goes out so often; it measures the round trip and finds dead links.
    pub ping: Duration,
    /// While a call waits, a peer that says nothing for half of this is pinged, and after all of it the link is dead. So calls
    /// need not wait out their time for a peer that was cut off. What is on its way to the peer adds the time that a slow path
    /// takes for it, at most 4 s.
    pub patience: Duration,
    /// When the peer was last heard. A clone of the configuration shares it: only for links of one connection.
    pub heard: Heard,
    /// When bodies are compressed on their way out. What comes in compressed is always understood.
    pub compression: Compression,
    /// How much the peer may ask; `None` is as much as the other limits let it.
    pub rate: Option<Rate>,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            max_header: 8 * 1024,
            max_body: 16 << 20,
            max_response: 16 << 20,
            max_incoming: 256,
            max_outgoing: 1024,
            window: 1 << 20,
            link_window: 4 << 20,
            memory: 64 << 20,
            request_timeout_max: Duration::from_secs(300),
            stall: Duration::from_secs(20),
            ping: Duration::from_secs(10),
            patience: Duration::from_secs(6),
            heard: Heard::default(),
            compression: Compression::Adaptive { level: 1 },
            rate: None,
        }
    }
}

/// When a peer was last heard: shared by the links of one connection, where what is large on one holds up a ping on another.
#[derive(Clone, Default, Debug)]
pub struct Heard(Arc<AtomicU64>);

impl Heard {
    fn epoch() -> Instant {
        static EPOCH: OnceLock<Instant> = OnceLock::new();
        *EPOCH.get_or_init(Instant::now)
    }

    fn note(&self, at: Instant) {
        let since = at.saturating_duration_since(Self::epoch()).as_millis();
        self.0
            .fetch_max(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Whether the peer was heard in the last `span`.
    pub fn within(&self, span: Duration) -> bool {
        self.last() + span > Instant::now()
    }

    fn last(&self) -> Instant {
        Self::epoch() + Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// One request to the peer.
pub struct Call {
    /// What the answering side needs before the body.
    pub header: Bytes,
    /// The body; it is sent without a copy when it is large.
    pub body: Bytes,
    /// Time until the caller gives up; the answering side is told.
    pub timeout: Duration,
    /// Larger goes first, for the request, its body and the answer. Lower priorities still share one turn in eight.
    pub priority: u8,
    /// Receives progress messages. Those that find it full are dropped, so a slow listener never holds up the link.
    pub progress: Option<mpsc::Sender<Bytes>>,
}

impl Call {
    /// A call with an empty header, priority 0 and no progress.
    pub fn new(body: impl Into<Bytes>, timeout: Duration) -> Self {
        Self {
            header: Bytes::new(),
            body: body.into(),
            timeout,
            priority: 0,
            progress: None,
        }
    }
}

/// One request of the peer, complete.
pub struct Incoming {
    /// The caller's header.
    pub header: Bytes,
    /// The caller's body.
    pub body: Bytes,
    /// After this the answer is of no use; the link rejects by itself.
    pub deadline: Instant,
    /// Triggered when the caller gave up, the deadline passed or the link ended. The handler's future is dropped at the same moment;
    /// the token is for what it spawned.
    pub cancelled: CancellationToken,
    /// Sends progress messages to the caller.
    pub progress: ProgressSender,
}

/// Sends progress messages of one exchange; of no effect once it is answered.
#[derive(Clone)]
pub struct ProgressSender {
    id: u32,
    sender: Option<mpsc::Sender<(u32, Bytes)>>,
}

impl ProgressSender {
    /// Whether the caller listens.
    pub fn is_wanted(&self) -> bool {
        self.sender.is_some()
    }

    /// Sends a message, waiting while the link is busy. Returns false when nobody listens any more or it is longer than 32 KiB.
    pub async fn send(&self, message: Bytes) -> bool {
        match &self.sender {
            Some(sender) if message.len() <= frame::PROGRESS_MAX => {
                sender.send((self.id, message)).await.is_ok()
            }
            _ => false,
        }
    }

    /// Like [`Self::send`], but a busy link also makes it false.
    pub fn try_send(&self, message: Bytes) -> bool {
        match &self.sender {
            Some(sender) if message.len() <= frame::PROGRESS_MAX => {
                sender.try_send((self.id, message)).is_ok()
            }
            _ => false,
        }
    }
}

/// Answers the peer's requests.
pub trait Handler: Send + Sync + 'static {
    /// The answer to one request. The future runs inside the link's task: it must not block, and it is dropped when the request is
    /// cancelled, its deadline passes or the link ends. A panic becomes a reject.
    fn handle(&self, request: Incoming) -> BoxFuture<'static, Result<Bytes, Reject>>;
}

impl<F> Handler for F
where
    F: Fn(Incoming) -> BoxFuture<'static, Result<Bytes, Reject>> + Send + Sync + 'static,
{
    fn handle(&self, request: Incoming) -> BoxFuture<'static, Result<Bytes, Reject>> {
        self(request)
    }
}

/// A refusal. The message is cut to 512 bytes on its way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reject {
    /// Meaning is up to the two sides; from [`CODE_LINK`] up it is the link's.
    pub code: u16,
    /// For people.
    pub message: String,
}

impl Reject {
    /// A refusal with its message.
    pub fn new(code: u16, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "code {}: {}", self.code, self.message)
    }
}

/// Why a call has no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CallError {
    /// The link is, or was meanwhile, closed.
    #[error("the link is closed")]
    Closed,
    /// Header or body are longer than both sides allow.
    #[error("header or body too large for the link")]
    TooLarge,
    /// `max_outgoing` calls are at work.
    #[error("too many calls on the link")]
    Busy,
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// The peer refused.
    #[error("rejected with {0}")]
    Rejected(Reject),
    /// The peer gave the exchange up.
    #[error("cancelled by the peer")]
    Cancelled,
    /// The link ended because one side broke its rules.
    #[error("protocol violation: {0}")]
    Protocol(String),
}

/// Why a link ended.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LinkEnd {
    /// [`Link::close`] was called here.
    #[error("closed")]
    Closed,
    /// The peer closed the link.
    #[error("closed by the peer")]
    Goodbye,
    /// The stream ended without a goodbye.
    #[error("the stream ended")]
    Eof,
    /// The stream failed.
    #[error("stream: {0}")]
    Io(String),
    /// The peer made no progress for `stall` with this.
    #[error("stalled: {0}")]
    Stalled(&'static str),
    /// The peer said nothing for as long as a waiting call has patience, not even to a ping.
    #[error("silent while a call waited")]
    Silent,
    /// The peer broke the rules, or says that this side did.
    #[error("protocol violation: {0}")]
    Violation(String),
}

/// Measurements of a link, for metrics and routing. Bytes and frames count since the link began.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct LinkStats {
    /// Smoothed round trip of pings (weight 1/8), queues included.
    pub rtt: Option<Duration>,
    /// Shortest round trip.
    pub rtt_min: Option<Duration>,
    /// Bytes read from the stream.
    pub bytes_in: u64,
    /// Bytes written to the stream.
    pub bytes_out: u64,
    /// Frames read.
    pub frames_in: u64,
    /// Frames put out.
    pub frames_out: u64,
    /// Writes to the stream; frames a write is the effect of batching.
    pub writes: u64,
    /// Own calls at work or waiting.
    pub calls: u32,
    /// Requests of the peer at work.
    pub incoming: u32,
    /// Calls begun on the wire.
    pub calls_sent: u64,
    /// Requests of the peer begun.
    pub calls_received: u64,
    /// Own calls without an answer because their time was over.
    pub timeouts: u64,
    /// Requests of the peer that were rejected, by the handler or the link.
    pub rejected: u64,
    /// Requests that the peer cancelled.
    pub cancelled: u64,
    /// Progress messages that found their listener full or gone.
    pub progress_dropped: u64,
    /// Body bytes out of all bodies, plain.
    pub body_out: u64,
    /// Unacknowledged body bytes out.
    pub in_flight: u64,
    /// Body bytes of the peer's requests and responses held here, as declared.
    pub held: u64,
    /// Blocks, prefixes and samples that the compressor worked on.
    pub compression_tried: u64,
    /// Frames sent packed.
    pub compression_used: u64,
    /// Body bytes that did not have to be sent.
    pub compression_saved: u64,
    /// Time that the compressor took.
    pub compression_time: Duration,
    /// Frames received packed.
    pub compression_received: u64,
    /// Whether bodies that shrink are packed now.
    pub compression_active: bool,
    /// Share of the plain length that packing leaves of what shrinks.
    pub compression_ratio: Option<f32>,
    /// Bytes a second that the link delivers to the peer, from acknowledgements.
    pub link_throughput: Option<u64>,
    /// Plain bytes a second that the compressor takes.
    pub compressor_throughput: Option<u64>,
}

/// What the handles and the run loop share.
struct Shared {
    open: AtomicBool,
    outgoing: AtomicUsize,
    next_key: AtomicU64,
    stats: Mutex<LinkStats>,
    /// Set once, when the link ends.
    end: Mutex<Option<LinkEnd>>,
    max_outgoing: usize,
    max_header: usize,
    max_body: usize,
    timeout_max: Duration,
}

impl Shared {
    fn end(&self) -> Option<LinkEnd> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_end(&self, end: &LinkEnd) {
        self.open.store(false, Ordering::Release);
        self.end
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_with(|| end.clone());
    }

    /// What a call gets when the link is gone.
    fn gone(&self) -> CallError {
        match self.end() {
            Some(LinkEnd::Violation(reason)) => CallError::Protocol(reason),
            _ => CallError::Closed,
        }
    }
}

/// A handle to a link; clones are the same link. The link lives until it is closed, fails, or its run loop is dropped.
#[derive(Clone)]
pub struct Link {
    shared: Arc<Shared>,
    commands: mpsc::UnboundedSender<Command>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("open", &self.is_open())
            .finish_non_exhaustive()
    }
}

/// Opens a link over a byte stream. The future is the link's run loop: it must be polled (spawned on a tokio runtime with time
/// enabled) for anything to happen, and resolves when the link has ended. Dropping it ends the link at once.
///
/// Calls may be made at once; they wait for the peer's hello.
pub fn open<S>(
    io: S,
    role: Role,
    config: LinkConfig,
    handler: Arc<dyn Handler>,
) -> (Link, impl Future<Output = LinkEnd> + Send)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let config = run::sane(config);
    let (commands, receiver) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared {
        open: AtomicBool::new(true),
        outgoing: AtomicUsize::new(0),
        next_key: AtomicU64::new(0),
        stats: Mutex::default(),
        end: Mutex::default(),
        max_outgoing: config.max_outgoing,
        max_header: config.max_header,
        max_body: config.max_body,
        timeout_max: config.request_timeout_max,
    });
    let link = Link {
        shared: shared.clone(),
        commands,
    };
    (link, async move {
        Run::new(io, role, config, handler, shared, receiver).await
    })
}

/// Sends the cancellation when a call's future is dropped before its answer.
struct CancelOnDrop<'a> {
    link: &'a Link,
    key: u64,
    armed: bool,
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        if self.armed {
            // Fails only when the link is gone, and the call with it.
            let _ = self.link.commands.send(Command::Cancel(self.key));
        }
    }
}

impl Link {
    /// Sends a request and waits for its answer. Dropping the future cancels the request at both sides.
    ///
    /// # Errors
    /// See [`CallError`]. Whatever happens, the call returns at the latest when its timeout, or `request_timeout_max`, is over.
    pub async fn call(&self, call: Call) -> Result<Bytes, CallError> {
        let shared = &*self.shared;
        if call.header.len() > shared.max_header || call.body.len() > shared.max_body {
            return Err(CallError::TooLarge);
        }
        if !self.is_open() {
            return Err(shared.gone());
        }
        if shared.outgoing.fetch_add(1, Ordering::Relaxed) >= shared.max_outgoing {
            shared.outgoing.fetch_sub(1, Ordering::Relaxed);
            return Err(CallError::Busy);
        }
        // From here on the place in `outgoing` is the run loop's to give back.
        let key = shared.next_key.fetch_add(1, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        let start = Start {
            key,
            deadline: Instant::now() + call.timeout.min(shared.timeout_max),
            header: call.header,
            body: call.body,
            priority: call.priority,
            progress: call.progress,
            reply,
        };
        if self.commands.send(Command::Start(start)).is_err() {
            return Err(shared.gone());
        }
        let mut guard = CancelOnDrop {
            link: self,
            key,
            armed: true,
        };
        let answer = answer.await;
        guard.armed = false;
        answer.unwrap_or_else(|_| Err(shared.gone()))
    }

    /// The latest measurements.
    pub fn stats(&self) -> LinkStats {
        *self.shared.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the link: tells the peer, fails all calls with [`CallError::Closed`], drops the handlers' futures.
    pub fn close(&self) {
        self.shared.open.store(false, Ordering::Release);
        // Fails only when the link is gone.
        let _ = self.commands.send(Command::Close);
    }

    /// Whether calls have a chance.
    pub fn is_open(&self) -> bool {
        self.shared.open.load(Ordering::Acquire) && !self.commands.is_closed()
    }

    /// Waits until the link has ended.
    pub async fn closed(&self) {
        self.commands.closed().await;
    }

    /// Why the link ended, once it has. `None` too when its run loop was dropped.
    pub fn end(&self) -> Option<LinkEnd> {
        self.shared.end()
    }

    /// Whether two handles are of the same link.
    pub fn same_link(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}
