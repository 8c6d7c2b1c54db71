//! Gets a file from several peers at once.

use crate::{
    CHUNK, ContentError, ContentId, ContentOffence, ContentRefusal, ContentRequest, FetchError, Outline,
    OutlinePage, PeerError, Peers, Store,
    outline::chunk_count,
    partial::Partial,
    schedule::{Failure, Lane, Rules, Schedule},
    store::Begun,
};
use bytes::Bytes;
use futures::{
    FutureExt, StreamExt,
    future::{AbortHandle, Abortable, BoxFuture},
    stream::FuturesUnordered,
};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::{Instant, sleep, sleep_until, timeout},
};

/// The bounds of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchOptions {
    /// Different peers that are asked in the whole fetch; further ones are ignored, however long the list of providers.
    pub max_peers: usize,
    /// Peers that are asked at the same time.
    pub active_peers: usize,
    /// Requests under way to one peer. It begins with 2 and grows while that makes the peer deliver faster.
    pub max_window: u32,
    /// Requests under way to all peers, beyond the first to each. It bounds the memory: a chunk for each request.
    pub max_in_flight: u32,
    /// A peer that is silent for so long while it is asked for something is put to rest. Doubled for a peer that was
    /// silent before.
    pub stall: Duration,
    /// The fetch ends when not a single chunk arrives for so long.
    pub idle_timeout: Duration,
    /// The fetch ends when no peer had the outline after so long.
    pub outline_timeout: Duration,
    /// A search for providers may take so long.
    pub providers_timeout: Duration,
    /// So many searches without a new peer, while no peer is left, end the fetch.
    pub provider_attempts: u32,
    /// `progress` is called at most so often, apart from changes of the phase.
    pub progress_interval: Duration,
    /// The partial file is synced after so many new bytes: what a power cut can cost.
    pub sync_bytes: u64,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            max_peers: 64,
            active_peers: 8,
            max_window: 32,
            max_in_flight: 128,
            stall: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(120),
            outline_timeout: Duration::from_secs(120),
            providers_timeout: Duration::from_secs(20),
            provider_attempts: 3,
            progress_interval: Duration::from_millis(200),
            sync_bytes: 64 << 20,
        }
    }
}

/// What a fetch is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Looking for a peer that has the outline.
    Outline,
    /// Checking what is there from before, and copying what other files have.
    Local,
    /// Chunks are arriving.
    Chunks,
    /// Everything is there and is being synced.
    Finishing,
    /// The file is in the store.
    Done,
}

/// How far a fetch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub phase: Phase,
    /// Size of the file.
    pub bytes_total: u64,
    /// Verified and written, from wherever.
    pub bytes_done: u64,
    /// Part of it that came from peers in this fetch.
    pub bytes_fetched: u64,
    /// Bytes a second from peers over the last seconds.
    pub rate: u64,
    /// Peers that are being asked.
    pub peers: usize,
    pub elapsed: Duration,
}

impl Progress {
    /// How long the rest takes at the present rate.
    pub fn eta(&self) -> Option<Duration> {
        let left = self.bytes_total - self.bytes_done.min(self.bytes_total);
        (self.rate > 0).then(|| Duration::from_secs_f64(left as f64 / self.rate as f64))
    }
}

/// Fetches the file with this id and size into the store.
///
/// First the outline, from any peer, verified against the id; then the chunks, from several peers at once, each verified
/// before it is written. A peer that sends a wrong byte is reported and asked for nothing more in this fetch; the chunk
/// comes from another. What an earlier fetch of this file left is used, and so are chunks that other files in the store
/// have at the same offset.
///
/// Dropping the future cancels the fetch. What has arrived stays for the next one.
///
/// Needs a tokio runtime with time enabled; hashing and disk access happen on its blocking threads.
///
/// # Errors
/// See [`FetchError`]. What has arrived stays in every case.
pub async fn fetch<P: Peers>(
    store: &Store,
    peers: &P,
    id: ContentId,
    size: u64,
    options: FetchOptions,
    progress: impl Fn(Progress),
) -> Result<(), FetchError> {
    store.check_size(size)?;
    let mut meter = Meter::new(size, options.progress_interval, progress);
    meter.phase(Phase::Outline);

    let local = store.clone();
    let (whole, known) = blocking(move || (local.whole(id), local.begun_outline(id))).await?;
    match whole {
        Some(actual) if actual == size => {
            meter.done = size;
            meter.phase(Phase::Done);
            return Ok(());
        }
        Some(actual) => {
            return Err(FetchError::Size {
                id,
                expected: size,
                actual,
            });
        }
        None => {}
    }

    let mut finder = Finder::new(peers, id, &options);
    let known = known.filter(|outline| outline.len_bytes() == size);
    let outline = match Outline::trivial(&id, size).or(known) {
        Some(outline) => outline,
        None => finder.outline(size).await?,
    };
    // Every outline has been verified by now but that of the empty file, which can have only one id.
    outline.verify(&id).map_err(ContentError::from)?;

    meter.phase(Phase::Local);
    let local = store.clone();
    let download = match blocking(move || local.begin(id, outline)).await?? {
        Begun::Open(download) => download,
        Begun::Complete => {
            meter.done = size;
            meter.phase(Phase::Done);
            return Ok(());
        }
    };
    meter.done = download.partial.bytes();
    meter.phase(Phase::Chunks);
    Run::new(finder, options, download.partial.clone(), &mut meter)
        .run()
        .await?;

    meter.phase(Phase::Finishing);
    blocking(move || download.finish()).await??;
    meter.phase(Phase::Done);
    Ok(())
}

/// Runs work that blocks.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ContentError> {
    spawn_blocking(work).await.map_err(|_| ContentError::Cut)
}

/// Counts, and tells about it.
struct Meter<F> {
    tell: F,
    interval: Duration,
    started: Instant,
    told: Option<Duration>,
    phase: Phase,
    total: u64,
    done: u64,
    fetched: u64,
    peers: usize,
    /// When how much had been fetched, over the last seconds.
    samples: VecDeque<(Duration, u64)>,
}

impl<F: Fn(Progress)> Meter<F> {
    /// The rate is over so long.
    const SPAN: Duration = Duration::from_secs(5);
    const SAMPLE: Duration = Duration::from_millis(100);

    fn new(total: u64, interval: Duration, tell: F) -> Self {
        Self {
            tell,
            interval,
            started: Instant::now(),
            told: None,
            phase: Phase::Outline,
            total,
            done: 0,
            fetched: 0,
            peers: 0,
            samples: VecDeque::new(),
        }
    }

    fn phase(&mut self, phase: Phase) {
        self.phase = phase;
        if phase == Phase::Chunks {
            self.samples.push_back((self.started.elapsed(), 0));
        }
        self.tell(self.started.elapsed());
    }

    /// So many bytes more came from a peer.
    fn fetched(&mut self, bytes: u64, peers: usize) {
        self.done += bytes;
        self.fetched += bytes;
        self.peers = peers;
        let now = self.started.elapsed();
        if self
            .samples
            .back()
            .is_none_or(|(at, _)| now.saturating_sub(*at) >= Self::SAMPLE)
        {
            self.samples.push_back((now, self.fetched));
        }
        while self.samples.len() > 2
            && self
                .samples
                .front()
                .is_some_and(|(at, _)| now.saturating_sub(*at) > Self::SPAN)
        {
            self.samples.pop_front();
        }
        if self
            .told
            .is_none_or(|told| now.saturating_sub(told) >= self.interval)
        {
            self.tell(now);
        }
    }

    fn tell(&mut self, now: Duration) {
        self.told = Some(now);
        let rate = self.samples.front().map_or(0.0, |(at, fetched)| {
            let seconds = now.saturating_sub(*at).as_secs_f64();
            if seconds > 0.0 {
                (self.fetched - fetched) as f64 / seconds
            } else {
                0.0
            }
        });
        (self.tell)(Progress {
            phase: self.phase,
            bytes_total: self.total,
            bytes_done: self.done,
            bytes_fetched: self.fetched,
            rate: rate as u64,
            peers: self.peers,
            elapsed: now,
        });
    }
}

/// Knows which peers there are to ask.
struct Finder<'a, P: Peers> {
    peers: &'a P,
    id: ContentId,
    options: FetchOptions,
    /// All that were ever named, up to the bound.
    known: HashSet<P::Peer>,
    /// Those to be asked next.
    queue: VecDeque<P::Peer>,
    /// Searches in a row without a new peer.
    fruitless: u32,
    searched: bool,
}

/// Why a peer's outline was not taken.
enum NoOutline {
    Peer(PeerError),
    Malformed,
    OtherLength,
    Wrong,
}

impl<'a, P: Peers> Finder<'a, P> {
    /// A second and a third peer are asked for the outline when the first takes so long.
    const HEDGE: Duration = Duration::from_secs(2);

    fn new(peers: &'a P, id: ContentId, options: &FetchOptions) -> Self {
        Self {
            peers,
            id,
            options: *options,
            known: HashSet::new(),
            queue: VecDeque::new(),
            fruitless: 0,
            searched: false,
        }
    }

    fn search(&self) -> BoxFuture<'a, Vec<P::Peer>> {
        let (peers, id, limit) = (self.peers, self.id, self.options.providers_timeout);
        async move { timeout(limit, peers.providers(id)).await.unwrap_or_default() }.boxed()
    }

    /// Takes the result of a search, however long it is, as far as the bound allows.
    fn found(&mut self, providers: Vec<P::Peer>) {
        self.searched = true;
        let before = self.known.len();
        let limit = self.options.max_peers.max(1);
        for peer in providers.into_iter().take(limit) {
            if self.known.len() >= limit {
                break;
            }
            if self.known.insert(peer.clone()) {
                self.queue.push_back(peer);
            }
        }
        if self.known.len() > before {
            self.fruitless = 0;
        } else {
            self.fruitless += 1;
        }
    }

    /// The pause before the next search, after those without a new peer.
    fn pause(&self) -> Duration {
        Duration::from_secs(1 << self.fruitless.clamp(1, 6)) / 2
    }

    /// Gets the outline from the first peer that has the right one.
    async fn outline(&mut self, size: u64) -> Result<Outline, FetchError> {
        let (peers, id, stall) = (self.peers, self.id, self.options.stall);
        let mut deadline = pin!(sleep(self.options.outline_timeout));
        let mut running = FuturesUnordered::new();
        let mut asked = Vec::new();
        // Those that can not be reached now: for the next round, and for the chunks.
        let mut later = Vec::new();
        let mut wanted = 1;
        let mut count = 0;
        let none = |count| match count {
            0 => FetchError::NoProviders(id),
            asked => FetchError::NoOutline { id, size, asked },
        };
        loop {
            while running.len() < wanted
                && let Some(peer) = self.queue.pop_front()
            {
                count += 1;
                asked.push(peer.clone());
                running.push(async move {
                    let answer = outline_from(peers, &peer, id, size, stall).await;
                    (peer, answer)
                });
            }
            if running.is_empty() {
                if self.fruitless >= self.options.provider_attempts {
                    return Err(none(count));
                }
                let pause = if self.fruitless > 0 || !later.is_empty() {
                    self.pause()
                } else {
                    Duration::ZERO
                };
                let search = self.search();
                let found = tokio::select! {
                    found = async move { sleep(pause).await; search.await } => found,
                    () = &mut deadline => return Err(none(count)),
                };
                self.found(found);
                self.queue.extend(later.drain(..));
                continue;
            }
            tokio::select! {
                Some((peer, answer)) = running.next() => {
                    asked.retain(|other| *other != peer);
                    let offence = match answer {
                        Ok(outline) => {
                            // The others were not heard to the end; they may well have the chunks.
                            self.queue.push_front(peer);
                            self.queue.extend(asked);
                            self.queue.extend(later);
                            return Ok(outline);
                        }
                        Err(NoOutline::Peer(error)) => match trouble(&error, id) {
                            (Failure::Useless, offence) => offence,
                            (_, offence) => {
                                later.push(peer.clone());
                                offence
                            }
                        },
                        Err(NoOutline::Malformed) => Some(ContentOffence::Malformed { id }),
                        Err(NoOutline::OtherLength) => Some(ContentOffence::OtherLength { id }),
                        Err(NoOutline::Wrong) => Some(ContentOffence::WrongOutline { id }),
                    };
                    tracing::debug!(%id, ?peer, ?offence, "no outline from this peer");
                    if let Some(offence) = offence {
                        self.peers.report(&peer, offence);
                    }
                }
                () = sleep(Self::HEDGE), if wanted < 3 => wanted += 1,
                () = &mut deadline => return Err(none(count)),
            }
        }
    }
}

/// Gets all pages of an outline from one peer, so that a wrong one has one author.
async fn outline_from<P: Peers>(
    peers: &P,
    peer: &P::Peer,
    id: ContentId,
    size: u64,
    stall: Duration,
) -> Result<Outline, NoOutline> {
    let chunks = chunk_count(size).map_err(|_| NoOutline::OtherLength)?;
    let mut values = Vec::new();
    loop {
        let from = u32::try_from(values.len()).unwrap_or(chunks);
        if from >= chunks {
            break;
        }
        let payload = timeout(stall, peers.request(peer, ContentRequest::Outline { id, from }))
            .await
            .unwrap_or(Err(PeerError::TimedOut))
            .map_err(NoOutline::Peer)?;
        let page = OutlinePage::from_bytes(&payload).map_err(|_| NoOutline::Malformed)?;
        if page.len != size {
            return Err(NoOutline::OtherLength);
        }
        if page.from != from || page.values.len() != OutlinePage::values_from(chunks, from) as usize {
            return Err(NoOutline::Malformed);
        }
        values.extend(page.values);
    }
    let outline = Outline::from_parts(size, values).map_err(|_| NoOutline::Malformed)?;
    let check = outline.clone();
    match blocking(move || check.verify(&id)).await {
        Ok(Ok(())) => Ok(outline),
        Ok(Err(_)) => Err(NoOutline::Wrong),
        // The runtime is going away, and the fetch with it.
        Err(_) => Err(NoOutline::Peer(PeerError::Unreachable)),
    }
}

/// What a failed request means for the peer's part in the fetch, and whether it is to be reported.
fn trouble(error: &PeerError, id: ContentId) -> (Failure, Option<ContentOffence>) {
    match error {
        PeerError::Unreachable => (Failure::Trouble, None),
        PeerError::TimedOut => (Failure::Trouble, Some(ContentOffence::Stalled { id })),
        PeerError::Refused(ContentRefusal::NotYet) => (Failure::Lacking, None),
        PeerError::Refused(ContentRefusal::Busy) => (Failure::Busy, None),
        PeerError::Refused(ContentRefusal::Failed) => (Failure::Trouble, None),
        PeerError::Refused(ContentRefusal::NotFound | ContentRefusal::OutOfRange) => {
            (Failure::Useless, Some(ContentOffence::NotProviding { id }))
        }
        // Another version of the messages, then, and nobody's fault.
        PeerError::Refused(ContentRefusal::Version { .. } | ContentRefusal::Malformed) => {
            (Failure::Useless, None)
        }
        PeerError::Invalid(_) => (Failure::Useless, Some(ContentOffence::Malformed { id })),
    }
}

type Answer = Result<Bytes, PeerError>;

/// The requests to one peer.
struct PeerLane<'a, T> {
    peer: T,
    requests: FuturesUnordered<BoxFuture<'a, (u32, Option<Answer>)>>,
    aborts: HashMap<u32, AbortHandle>,
    /// The answer that is being verified and written. The next is not taken before it is done: a cut then costs one
    /// arrived chunk at most.
    storing: Option<(u32, JoinHandle<Result<bool, ContentError>>)>,
}

enum LaneStep {
    Answered(u32, Answer),
    Stored(u32, Result<bool, ContentError>),
}

impl<T> PeerLane<'_, T> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<LaneStep> {
        if let Some((index, storing)) = &mut self.storing {
            let index = *index;
            let result = std::task::ready!(storing.poll_unpin(cx));
            self.storing = None;
            return Poll::Ready(LaneStep::Stored(index, result.unwrap_or(Err(ContentError::Cut))));
        }
        loop {
            match self.requests.poll_next_unpin(cx) {
                Poll::Ready(Some((index, Some(answer)))) => {
                    self.aborts.remove(&index);
                    return Poll::Ready(LaneStep::Answered(index, answer));
                }
                // Cancelled.
                Poll::Ready(Some((_, None))) => {}
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Gives all requests up.
    fn clear(&mut self) {
        self.requests.clear();
        self.aborts.clear();
    }

    fn cancel(&mut self, index: u32) {
        if let Some(abort) = self.aborts.remove(&index) {
            abort.abort();
        }
    }
}

enum Step<T> {
    Lane(Lane, LaneStep),
    Found(Vec<T>),
    Synced(Result<(), ContentError>),
    Time,
}

/// The part of a fetch in which chunks arrive.
struct Run<'a, 'm, P: Peers, F> {
    finder: Finder<'a, P>,
    options: FetchOptions,
    partial: Arc<Partial>,
    meter: &'m mut Meter<F>,
    schedule: Schedule,
    lanes: Vec<PeerLane<'a, P::Peer>>,
    /// The lane that is looked at first, so that all get their turn.
    turn: usize,
    started: Instant,
    search: Option<BoxFuture<'a, Vec<P::Peer>>>,
    next_search: Duration,
    syncing: Option<JoinHandle<Result<(), ContentError>>>,
    unsynced: u64,
    /// When the last chunk was stored.
    advanced: Duration,
}

impl<'a, 'm, P: Peers, F: Fn(Progress)> Run<'a, 'm, P, F> {
    /// How often more peers are looked for while there are fewer than wanted.
    const SEARCH_INTERVAL: Duration = Duration::from_secs(30);

    fn new(
        finder: Finder<'a, P>,
        options: FetchOptions,
        partial: Arc<Partial>,
        meter: &'m mut Meter<F>,
    ) -> Self {
        let rules = Rules {
            max_window: options.max_window,
            max_in_flight: options.max_in_flight.max(1),
            stall: options.stall,
            ..Rules::default()
        };
        Self {
            schedule: Schedule::new(partial.outline.chunks(), &partial.missing(), rules),
            next_search: if finder.searched {
                Self::SEARCH_INTERVAL
            } else {
                Duration::ZERO
            },
            finder,
            options,
            partial,
            meter,
            lanes: Vec::new(),
            turn: 0,
            started: Instant::now(),
            search: None,
            syncing: None,
            unsynced: 0,
            advanced: Duration::ZERO,
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    async fn run(mut self) -> Result<(), FetchError> {
        loop {
            let now = self.now();
            for lane in self.schedule.tick(now) {
                self.give_up(lane);
                self.report(lane, ContentOffence::Stalled { id: self.partial.id });
            }
            if self.schedule.remaining() == 0 {
                break;
            }
            self.ask(now);
            self.look_for_peers(now)?;
            let wake = self.started + self.wake(now)?;
            match self.step(wake).await {
                Step::Lane(lane, LaneStep::Answered(index, answer)) => self.answered(lane, index, answer),
                Step::Lane(lane, LaneStep::Stored(index, result)) => self.stored(lane, index, result?),
                Step::Found(found) => {
                    self.search = None;
                    self.finder.found(found);
                    self.next_search = self.now()
                        + match self.schedule.active() {
                            0 => self.finder.pause(),
                            _ => Self::SEARCH_INTERVAL,
                        };
                }
                Step::Synced(result) => {
                    self.syncing = None;
                    result?;
                }
                Step::Time => {}
            }
        }
        // A failure to write may be told only once, and to this one.
        match self.syncing.take() {
            Some(syncing) => Ok(syncing.await.map_err(|_| ContentError::Cut)??),
            None => Ok(()),
        }
    }

    /// Sends what the rules allow, to all peers in turn.
    fn ask(&mut self, now: Duration) {
        while self.schedule.active() < self.options.active_peers.max(1)
            && let Some(peer) = self.finder.queue.pop_front()
        {
            self.schedule.add(now);
            self.lanes.push(PeerLane {
                peer,
                requests: FuturesUnordered::new(),
                aborts: HashMap::new(),
                storing: None,
            });
        }
        let (peers, id) = (self.finder.peers, self.partial.id);
        let order = self.schedule.order();
        loop {
            let mut sent = false;
            for &number in &order {
                let Some(lane) = self.lanes.get_mut(number) else {
                    continue;
                };
                let Some(index) = self.schedule.next(now, number) else {
                    continue;
                };
                sent = true;
                let peer = lane.peer.clone();
                let (abort, registration) = AbortHandle::new_pair();
                let request = async move { peers.request(&peer, ContentRequest::Chunk { id, index }).await };
                let request = Abortable::new(request, registration);
                lane.aborts.insert(index, abort);
                lane.requests
                    .push(async move { (index, request.await.ok()) }.boxed());
            }
            if !sent {
                return;
            }
        }
    }

    /// Begins a search when there are too few peers; fails when there is none and none to be expected.
    fn look_for_peers(&mut self, now: Duration) -> Result<(), FetchError> {
        if self.search.is_some() || !self.finder.queue.is_empty() {
            return Ok(());
        }
        let active = self.schedule.active();
        let left = active + self.schedule.resting();
        if left == 0 && self.finder.fruitless >= self.options.provider_attempts && self.is_quiet() {
            let missing = self.schedule.remaining();
            let id = self.partial.id;
            return Err(if self.lanes.is_empty() {
                FetchError::NoProviders(id)
            } else {
                FetchError::OutOfPeers { id, missing }
            });
        }
        if active == 0 {
            // Not the usual pause when the last one has just gone.
            self.next_search = self.next_search.min(now + self.finder.pause());
        }
        if active < self.options.active_peers.max(1) && now >= self.next_search {
            self.search = Some(self.finder.search());
        }
        Ok(())
    }

    /// Whether no chunk is being written.
    fn is_quiet(&self) -> bool {
        self.lanes.iter().all(|lane| lane.storing.is_none())
    }

    /// When to look again if nothing happens.
    fn wake(&self, now: Duration) -> Result<Duration, FetchError> {
        let mut wake = now + Duration::from_secs(60);
        if self.is_quiet() {
            let end = self.advanced + self.options.idle_timeout;
            if now >= end {
                return Err(FetchError::Stalled {
                    id: self.partial.id,
                    idle: self.options.idle_timeout,
                    missing: self.schedule.remaining(),
                });
            }
            wake = wake.min(end);
        }
        if let Some(at) = self.schedule.wake(now) {
            wake = wake.min(at);
        }
        if self.search.is_none()
            && self.finder.queue.is_empty()
            && self.schedule.active() < self.options.active_peers.max(1)
        {
            wake = wake.min(self.next_search);
        }
        Ok(wake)
    }

    /// Waits for the next thing to happen.
    async fn step(&mut self, wake: Instant) -> Step<P::Peer> {
        let mut timer = pin!(sleep_until(wake));
        self.turn = self.turn.wrapping_add(1);
        poll_fn(|cx| {
            let lanes = self.lanes.len();
            for number in 0..lanes {
                let number = (number + self.turn) % lanes;
                if let Some(lane) = self.lanes.get_mut(number)
                    && let Poll::Ready(step) = lane.poll(cx)
                {
                    return Poll::Ready(Step::Lane(number, step));
                }
            }
            if let Some(syncing) = &mut self.syncing
                && let Poll::Ready(result) = syncing.poll_unpin(cx)
            {
                return Poll::Ready(Step::Synced(result.unwrap_or(Err(ContentError::Cut))));
            }
            if let Some(search) = &mut self.search
                && let Poll::Ready(found) = search.poll_unpin(cx)
            {
                return Poll::Ready(Step::Found(found));
            }
            timer.as_mut().poll(cx).map(|()| Step::Time)
        })
        .await
    }

    fn answered(&mut self, number: Lane, index: u32, answer: Answer) {
        let now = self.now();
        match answer {
            Ok(bytes) => {
                if self.schedule.arrived(now, number, index)
                    && let Some(lane) = self.lanes.get_mut(number)
                {
                    let partial = self.partial.clone();
                    let storing = spawn_blocking(move || partial.store(index, &bytes));
                    lane.storing = Some((index, storing));
                }
            }
            Err(error) => {
                let (failure, offence) = trouble(&error, self.partial.id);
                tracing::debug!(id = %self.partial.id, index, %error, "a chunk was not sent");
                if self.schedule.failed(now, number, index, failure) {
                    self.give_up(number);
                }
                if let Some(offence) = offence {
                    self.report(number, offence);
                }
            }
        }
    }

    fn stored(&mut self, number: Lane, index: u32, right: bool) {
        let now = self.now();
        if !right {
            self.schedule.wrong(number, index);
            self.give_up(number);
            let id = self.partial.id;
            self.report(number, ContentOffence::WrongChunk { id, index });
            return;
        }
        let before = self.schedule.remaining();
        for other in self.schedule.stored(now, number, index) {
            if let Some(lane) = self.lanes.get_mut(other) {
                lane.cancel(index);
            }
        }
        self.advanced = now;
        if self.schedule.remaining() == before {
            return;
        }
        let bytes = self.partial.outline.range(index).map_or(0, |(_, len)| len as u64);
        self.meter.fetched(bytes, self.schedule.active());
        self.unsynced += bytes;
        if self.unsynced >= self.options.sync_bytes.max(CHUNK as u64) && self.syncing.is_none() {
            self.unsynced = 0;
            let partial = self.partial.clone();
            self.syncing = Some(spawn_blocking(move || partial.sync()));
        }
    }

    fn give_up(&mut self, number: Lane) {
        if let Some(lane) = self.lanes.get_mut(number) {
            lane.clear();
        }
    }

    fn report(&self, number: Lane, offence: ContentOffence) {
        if let Some(lane) = self.lanes.get(number) {
            tracing::debug!(id = %self.partial.id, peer = ?lane.peer, ?offence, "a peer is reported");
            self.finder.peers.report(&lane.peer, offence);
        }
    }
}
