//! The links of a node: one for each peer and kind, opened by whichever side needs it first, kept, and reopened on
//! demand.
//!
//! When both sides open one at the same time there are two; both keep the direct one before the relayed one, and
//! otherwise the one that the lower peer id opened. The other is let run dry: it takes no new calls here, and its opener
//! closes it when nothing is at work on it.

use crate::{
    Directory, Kind, Limits, PeerId, Request, Service, Unreachable,
    limits::Rates,
    link::{self, Link, LinkConfig, LinkEnd, LinkStats, Reject, Role},
    score::Offence,
    status::Counting,
    streams::Via,
};
use bytes::Bytes;
use futures::{AsyncRead, AsyncWrite, future::BoxFuture};
use libp2p::swarm::ConnectionId;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};

/// The node has too much to do; ask again or elsewhere.
pub const CODE_BUSY: u16 = 0xfe00;
/// The node is stopping.
pub const CODE_STOPPING: u16 = 0xfe01;
/// The node does not serve this kind.
pub const CODE_UNSUPPORTED: u16 = 0xfe02;

/// A link without work for so long is closed by its opener.
const IDLE: Duration = Duration::from_secs(600);
/// A link that was replaced is closed after so long even if something is at work on it.
const RETIRE: Duration = Duration::from_secs(120);
/// Replaced links kept at a time for each peer and kind.
const RETIRED: usize = 2;
/// Pause after the first failure; it doubles with each further one.
const BACKOFF: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// Why a link could not be opened.
#[derive(Clone, Debug)]
pub(crate) enum OpenFailure {
    Unreachable(Unreachable),
    Unsupported,
    Stopped,
}

pub(crate) type Outcome = Option<Result<Link, OpenFailure>>;

/// What the loop is told of a peer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Report {
    Offence(PeerId, Offence),
    /// It was silent for too long on this connection, which is taken for dead. That is no offence.
    Silent(PeerId, ConnectionId),
}

/// What is to be done for a link.
pub(crate) enum Begin {
    Open(Link),
    /// Somebody is opening it.
    Wait(watch::Receiver<Outcome>),
    /// The caller opens it, and tells the others.
    Start(watch::Sender<Outcome>),
    Refused(OpenFailure),
}

#[derive(Clone)]
struct Active {
    id: u64,
    link: Link,
    mine: bool,
    via: Via,
    /// Calls in both directions when last looked at, and when that changed.
    seen: (u64, Instant),
}

struct Failed {
    until: Instant,
    count: u32,
    failure: OpenFailure,
}

#[derive(Default)]
struct Slot {
    current: Option<Active>,
    retired: Vec<Active>,
    opening: Option<watch::Receiver<Outcome>>,
    failed: Option<Failed>,
}

impl Slot {
    fn is_empty(&self) -> bool {
        self.current.is_none() && self.retired.is_empty() && self.opening.is_none() && self.failed.is_none()
    }
}

/// What serving a request takes.
struct Serve {
    services: HashMap<Kind, Arc<dyn Service>>,
    rates: Arc<Rates>,
    room: Arc<Semaphore>,
    counting: Arc<Counting>,
    stopping: CancellationToken,
}

pub(crate) struct Links {
    me: PeerId,
    limits: Arc<Limits>,
    directory: Arc<dyn Directory>,
    serve: Arc<Serve>,
    table: Mutex<HashMap<(PeerId, Kind), Slot>>,
    next: AtomicU64,
    pub tasks: TaskTracker,
    reports: mpsc::Sender<Report>,
}

impl Links {
    pub fn new(
        me: PeerId,
        limits: Arc<Limits>,
        directory: Arc<dyn Directory>,
        services: Vec<(Kind, Arc<dyn Service>)>,
        rates: Arc<Rates>,
        counting: Arc<Counting>,
        stopping: CancellationToken,
        reports: mpsc::Sender<Report>,
    ) -> Arc<Self> {
        Arc::new(Self {
            me,
            serve: Arc::new(Serve {
                services: services.into_iter().collect(),
                rates,
                room: Arc::new(Semaphore::new(limits.serving.clamp(1, Semaphore::MAX_PERMITS))),
                counting,
                stopping,
            }),
            limits,
            directory,
            table: Mutex::default(),
            next: AtomicU64::new(0),
            tasks: TaskTracker::new(),
            reports,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(PeerId, Kind), Slot>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The open link, if there is one.
    pub fn get(&self, peer: PeerId, kind: Kind) -> Option<Link> {
        let table = self.lock();
        let active = table.get(&(peer, kind))?.current.as_ref()?;
        active.link.is_open().then(|| active.link.clone())
    }

    /// What to do for a call to `peer`.
    pub fn begin(&self, peer: PeerId, kind: Kind) -> Begin {
        let mut table = self.lock();
        let slot = table.entry((peer, kind)).or_default();
        if let Some(active) = slot.current.as_ref().filter(|active| active.link.is_open()) {
            return Begin::Open(active.link.clone());
        }
        if let Some(opening) = &slot.opening {
            return Begin::Wait(opening.clone());
        }
        if let Some(failed) = &slot.failed {
            let left = failed.until.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                return Begin::Refused(match &failed.failure {
                    OpenFailure::Unreachable(_) => OpenFailure::Unreachable(Unreachable::Backoff(left)),
                    other => other.clone(),
                });
            }
        }
        let (sender, receiver) = watch::channel(None);
        slot.opening = Some(receiver);
        Begin::Start(sender)
    }

    /// Ends an opening begun with [`Begin::Start`].
    pub fn finish(
        &self,
        peer: PeerId,
        kind: Kind,
        sender: &watch::Sender<Outcome>,
        outcome: Result<Link, OpenFailure>,
    ) {
        {
            let mut table = self.lock();
            let slot = table.entry((peer, kind)).or_default();
            slot.opening = None;
            match &outcome {
                Ok(_) | Err(OpenFailure::Stopped) => slot.failed = None,
                Err(failure) => {
                    let count = slot.failed.as_ref().map_or(0, |failed| failed.count);
                    let pause = BACKOFF.saturating_mul(1 << count.min(10)).min(BACKOFF_MAX);
                    slot.failed = Some(Failed {
                        until: Instant::now() + pause,
                        count: count + 1,
                        failure: failure.clone(),
                    });
                }
            }
        }
        sender.send_replace(Some(outcome));
    }

    /// A connection with the peer stands: what failed before may work now.
    pub fn forgive(&self, peer: PeerId) {
        let mut table = self.lock();
        for kind in Kind::ALL {
            if let Some(slot) = table.get_mut(&(peer, kind)) {
                slot.failed = None;
                if slot.is_empty() {
                    table.remove(&(peer, kind));
                }
            }
        }
    }

    /// Kinds whose link this node opened through a relay: they are reopened when there is a direct connection.
    pub fn relayed_kinds(&self, peer: PeerId) -> Vec<Kind> {
        let table = self.lock();
        let relayed = |kind: &Kind| {
            table
                .get(&(peer, *kind))
                .and_then(|slot| slot.current.as_ref())
                .is_some_and(|active| active.via.relayed && active.mine && active.link.is_open())
        };
        Kind::ALL.into_iter().filter(relayed).collect()
    }

    /// Makes a link of a stream and takes it in. It runs until it ends, whether or not it becomes the current one.
    pub fn adopt<S>(self: &Arc<Self>, peer: PeerId, kind: Kind, stream: S, via: Via, mine: bool) -> Link
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let standing = self.directory.standing(&peer).is_some();
        let handler = Serving {
            peer,
            kind,
            standing,
            serve: self.serve.clone(),
        };
        let role = if mine { Role::Dialer } else { Role::Listener };
        let config = LinkConfig {
            heard: via.heard.clone(),
            ..config(kind, &self.limits, standing)
        };
        let (link, run) = link::open(stream, role, config, Arc::new(handler));
        let active = Active {
            id: self.next.fetch_add(1, Ordering::Relaxed),
            link: link.clone(),
            mine,
            via: via.clone(),
            seen: (0, Instant::now()),
        };
        let id = active.id;
        self.install(peer, kind, active);
        let links = self.clone();
        self.tasks.spawn(async move {
            let end = run.await;
            links.ended(peer, kind, id, &via, &end);
        });
        if mine {
            self.serve.counting.links_out.add();
        } else {
            self.serve.counting.links_in.add();
        }
        link
    }

    fn install(self: &Arc<Self>, peer: PeerId, kind: Kind, new: Active) {
        let mut table = self.lock();
        let slot = table.entry((peer, kind)).or_default();
        slot.failed = None;
        let old = slot.current.take().filter(|old| old.link.is_open());
        let Some(old) = old else {
            slot.current = Some(new);
            return;
        };
        let keep_new = if old.mine == new.mine {
            true
        } else if old.via.relayed != new.via.relayed {
            old.via.relayed
        } else {
            new.mine == (self.me < peer)
        };
        let (kept, spare) = if keep_new { (new, old) } else { (old, new) };
        slot.current = Some(kept);
        if slot.retired.len() >= RETIRED {
            slot.retired.remove(0).link.close();
        }
        slot.retired.push(spare.clone());
        drop(table);
        self.tasks.spawn(run_dry(spare.link, spare.mine));
    }

    fn ended(&self, peer: PeerId, kind: Kind, id: u64, via: &Via, end: &LinkEnd) {
        {
            let mut table = self.lock();
            if let Some(slot) = table.get_mut(&(peer, kind)) {
                if slot.current.as_ref().is_some_and(|active| active.id == id) {
                    slot.current = None;
                }
                slot.retired.retain(|active| active.id != id);
                if slot.is_empty() {
                    table.remove(&(peer, kind));
                }
            }
        }
        tracing::debug!(%peer, %kind, %end, "link ended");
        let report = match end {
            LinkEnd::Violation(reason) => {
                self.serve.counting.links_violated.add();
                tracing::info!(%peer, %kind, reason, "link violated");
                Report::Offence(peer, Offence::Protocol)
            }
            // On a connection that carries something this link alone is slow.
            LinkEnd::Silent | LinkEnd::Stalled("ping" | "write")
                if !via.heard.within(self.limits.link.patience) =>
            {
                Report::Silent(peer, via.connection)
            }
            _ => return,
        };
        // When the node can not keep up with reports, one more does not matter.
        let _ = self.reports.try_send(report);
    }

    /// Closes every link with a peer.
    pub fn close_peer(&self, peer: PeerId) {
        for kind in Kind::ALL {
            self.close(peer, kind);
        }
    }

    /// Closes the links of one kind with a peer.
    pub fn close(&self, peer: PeerId, kind: Kind) {
        if let Some(slot) = self.lock().get(&(peer, kind)) {
            for active in slot.current.iter().chain(&slot.retired) {
                active.link.close();
            }
        }
    }

    /// Closes links without work, and forgets what is of no use any more.
    pub fn prune(&self, now: Instant) {
        self.lock().retain(|_, slot| {
            if let Some(active) = &mut slot.current {
                let stats = active.link.stats();
                let calls = stats.calls_sent + stats.calls_received;
                if calls != active.seen.0 || stats.calls > 0 || stats.incoming > 0 {
                    active.seen = (calls, now);
                } else if active.mine && now.saturating_duration_since(active.seen.1) >= IDLE {
                    active.link.close();
                }
            }
            // Kept beyond its end so that a peer that keeps failing is asked ever more rarely.
            if slot
                .failed
                .as_ref()
                .is_some_and(|failed| now.saturating_duration_since(failed.until) > BACKOFF_MAX)
            {
                slot.failed = None;
            }
            !slot.is_empty()
        });
    }

    /// Every link in use.
    pub fn stats(&self) -> Vec<(PeerId, Kind, LinkStats)> {
        let table = self.lock();
        let open = table.iter().filter_map(|((peer, kind), slot)| {
            let active = slot.current.as_ref()?;
            Some((*peer, *kind, active.link.stats()))
        });
        open.collect()
    }

    /// Kinds with an open link.
    pub fn kinds(&self, peer: PeerId) -> Vec<Kind> {
        let table = self.lock();
        let open = |kind: &Kind| {
            table
                .get(&(peer, *kind))
                .and_then(|slot| slot.current.as_ref())
                .is_some_and(|active| active.link.is_open())
        };
        Kind::ALL.into_iter().filter(open).collect()
    }

    /// Lets what is at work end (new requests are refused already), then says goodbye on every link and waits for that,
    /// all within `patience`.
    pub async fn shut(&self, patience: Duration) {
        let all: Vec<Link> = {
            let table = self.lock();
            let links = table
                .values()
                .flat_map(|slot| slot.current.iter().chain(&slot.retired));
            links.map(|active| active.link.clone()).collect()
        };
        let end = tokio::time::Instant::now() + patience;
        let idle = async {
            let mut tick = tokio::time::interval(Duration::from_millis(20));
            while all.iter().any(|link| link.is_open() && link.stats().incoming > 0) {
                tick.tick().await;
            }
        };
        // Half of the time is for the work, half for the goodbyes.
        let _ = tokio::time::timeout(patience / 2, idle).await;
        for link in &all {
            link.close();
        }
        self.tasks.close();
        let _ = tokio::time::timeout_at(end, self.tasks.wait()).await;
    }
}

/// Ends a link that was replaced: its opener closes it once nothing is at work on it, the other side only after long.
async fn run_dry(link: Link, mine: bool) {
    let wait = async {
        let mut tick = tokio::time::interval(Duration::from_millis(250));
        // The first tick comes at once; a call that was begun just before the change must be seen.
        let mut quiet = 0;
        while link.is_open() {
            tick.tick().await;
            let stats = link.stats();
            quiet = if stats.calls == 0 && stats.incoming == 0 {
                quiet + 1
            } else {
                0
            };
            if mine && quiet >= 4 {
                break;
            }
        }
    };
    tokio::select! {
        _ = wait => {}
        _ = link.closed() => {}
        _ = tokio::time::sleep(RETIRE) => {}
    }
    link.close();
}

/// What a link of a kind lets through.
fn config(kind: Kind, limits: &Limits, standing: bool) -> LinkConfig {
    let rate = if standing {
        limits.request_rate_standing
    } else {
        limits.request_rate
    };
    let base = LinkConfig {
        rate: Some(link::Rate {
            requests: rate.per_second.max(1),
            request_burst: rate.burst.max(1),
            bytes: u64::from(limits.byte_rate.per_second.max(1)),
            byte_burst: u64::from(limits.byte_rate.burst.max(1)),
        }),
        ..limits.link.clone()
    };
    match kind {
        Kind::Discovery => LinkConfig {
            max_header: 64,
            max_body: crate::record::MAX_BYTES + 64,
            max_response: crate::exchange::MAX_BYTES,
            max_incoming: 4,
            max_outgoing: 8,
            window: 256 << 10,
            link_window: 512 << 10,
            memory: 1 << 20,
            ..base
        },
        Kind::Routing | Kind::Consensus => LinkConfig {
            max_body: base.max_body.min(4 << 20),
            max_response: base.max_response.min(4 << 20),
            memory: base.memory.min(16 << 20),
            ..base
        },
        Kind::Inference => base,
        Kind::Content => LinkConfig {
            max_body: base.max_body.min(1 << 20),
            ..base
        },
    }
}

struct Serving {
    peer: PeerId,
    kind: Kind,
    standing: bool,
    serve: Arc<Serve>,
}

impl link::Handler for Serving {
    fn handle(&self, incoming: link::Incoming) -> BoxFuture<'static, Result<Bytes, Reject>> {
        let refuse = |code: u16, message: &'static str| -> BoxFuture<'static, Result<Bytes, Reject>> {
            self.serve.counting.refused.add();
            Box::pin(std::future::ready(Err(Reject::new(code, message))))
        };
        if self.serve.stopping.is_cancelled() {
            return refuse(CODE_STOPPING, "the node is stopping");
        }
        let Some(service) = self.serve.services.get(&self.kind).cloned() else {
            return refuse(CODE_UNSUPPORTED, "this kind is not served here");
        };
        let bytes = incoming.header.len() + incoming.body.len();
        if !self.serve.rates.request(&self.peer, self.standing, bytes) {
            return refuse(link::CODE_RATE, "too many requests");
        }
        let Ok(permit) = self.serve.room.clone().try_acquire_owned() else {
            return refuse(CODE_BUSY, "the node has too much to do");
        };
        self.serve.counting.served.add();
        let request = Request {
            from: self.peer,
            kind: self.kind,
            header: incoming.header,
            body: incoming.body,
            deadline: incoming.deadline,
            cancelled: incoming.cancelled,
            progress: incoming.progress,
        };
        // A task of its own: a service that computes between two awaits must not hold up the link.
        let work = AbortOnDropHandle::new(tokio::spawn(async move {
            let answer = service.serve(request).await;
            drop(permit);
            answer
        }));
        Box::pin(async move {
            work.await
                .unwrap_or_else(|_| Err(Reject::new(link::CODE_INTERNAL, "the service failed")))
        })
    }
}
