//! Fetches from peers of all kinds, in memory. Time is simulated: it passes when nothing else can happen.

mod common;

use common::{Home, Manner, Memory, chunks, import, noise};
use llmesh_content::{
    CHUNK, ContentError, ContentId, ContentOffence, ContentRefusal, ContentRequest, FetchError, FetchOptions,
    Phase, Progress, Server, StoreConfig, fetch,
};
use proptest::prelude::*;
use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

async fn get(home: &Home, peers: &Memory, id: ContentId, size: usize) -> Result<(), FetchError> {
    fetch(
        &home.store,
        peers,
        id,
        size as u64,
        FetchOptions::default(),
        |_| {},
    )
    .await
}

/// A file at its source, peers with it, and an empty store.
struct Case {
    bytes: Vec<u8>,
    id: ContentId,
    peers: Memory,
    home: Home,
    _source: Home,
}

impl Case {
    fn new(count: usize, manners: &[Manner]) -> Self {
        Self::of(noise(1, chunks(count)), manners)
    }

    fn of(bytes: Vec<u8>, manners: &[Manner]) -> Self {
        let (source, id) = Home::holding(&bytes);
        Self {
            peers: Memory::new(&source.store, manners),
            bytes,
            id,
            home: Home::new(),
            _source: source,
        }
    }

    async fn get(&self) -> Result<(), FetchError> {
        get(&self.home, &self.peers, self.id, self.bytes.len()).await
    }

    #[track_caller]
    fn is_there(&self) {
        assert_eq!(self.home.store.read(self.id).unwrap(), self.bytes);
        assert_eq!(
            self.home.files(),
            [
                format!(".content/outlines/{}", self.id),
                format!("{}.onnx", self.id)
            ]
        );
    }

    fn offences(&self) -> Vec<(u32, ContentOffence)> {
        let mut reported = self.peers.reported();
        reported.sort_by_key(|(peer, _)| *peer);
        reported.dedup();
        reported
    }
}

#[test]
fn the_future_can_be_sent_to_another_thread() {
    fn sendable<T: Send>(value: T) -> T {
        value
    }
    let case = Case::new(1, &[Manner::Honest]);
    drop(sendable(fetch(
        &case.home.store,
        &case.peers,
        case.id,
        1,
        FetchOptions::default(),
        |_| {},
    )));
}

#[tokio::test(start_paused = true)]
async fn a_file_comes_from_several_peers() {
    let case = Case::new(40, &[Manner::Honest, Manner::Honest, Manner::Honest]);
    let told = Mutex::new(Vec::new());
    let options = FetchOptions {
        progress_interval: Duration::ZERO,
        ..FetchOptions::default()
    };
    let size = case.bytes.len() as u64;
    let tell = |progress: Progress| told.lock().unwrap().push(progress);
    fetch(&case.home.store, &case.peers, case.id, size, options, tell)
        .await
        .unwrap();
    case.is_there();
    assert!((0..3).all(|peer| case.peers.count(peer) > 3), "all took part");
    assert!(case.peers.chunks().values().all(|count| *count == 1));
    assert_eq!(case.peers.chunks().len(), 40);
    assert_eq!(case.peers.reported(), []);

    let told = told.into_inner().unwrap();
    assert!(told.is_sorted_by_key(|progress| (progress.bytes_done, progress.elapsed)));
    let mut phases = told.iter().map(|progress| progress.phase).collect::<Vec<_>>();
    phases.dedup();
    assert_eq!(
        phases,
        [
            Phase::Outline,
            Phase::Local,
            Phase::Chunks,
            Phase::Finishing,
            Phase::Done
        ]
    );
    let last = told.last().unwrap();
    assert_eq!(
        (last.bytes_done, last.bytes_fetched, last.bytes_total),
        (size, size, size)
    );
    assert!(told.iter().any(|progress| progress.peers == 3));
    assert!(
        told.iter()
            .filter(|progress| progress.phase == Phase::Chunks)
            .count()
            > 40
    );

    // The second time there is nothing to do.
    let before = case.peers.requests.lock().unwrap().len();
    case.get().await.unwrap();
    assert_eq!(case.peers.requests.lock().unwrap().len(), before);
}

#[tokio::test(start_paused = true)]
async fn progress_tells_rate_and_time_left() {
    let case = Case::new(100, &[Manner::Slow(100)]);
    let told = Mutex::new(Vec::new());
    let options = FetchOptions {
        max_window: 2,
        ..FetchOptions::default()
    };
    let tell = |progress: Progress| told.lock().unwrap().push(progress);
    let size = case.bytes.len() as u64;
    fetch(&case.home.store, &case.peers, case.id, size, options, tell)
        .await
        .unwrap();
    let told = told.into_inner().unwrap();
    let middle = told
        .iter()
        .find(|progress| progress.bytes_done > size / 2)
        .unwrap();
    // Two at a time, 100 ms each: 20 chunks a second.
    let expected = 20 * CHUNK as u64;
    assert!(
        (expected * 3 / 4..expected * 5 / 4).contains(&middle.rate),
        "{}",
        middle.rate
    );
    let eta = middle.eta().unwrap().as_secs_f64();
    assert!((1.5..3.5).contains(&eta), "{eta}");
    assert!(told.len() < 60, "not for every chunk: {}", told.len());
}

#[tokio::test(start_paused = true)]
async fn small_files_need_no_outline() {
    for len in [0, 1, 1024, CHUNK - 1, CHUNK] {
        let case = Case::of(noise(2, len), &[Manner::WrongOutline]);
        case.get().await.unwrap();
        case.is_there();
        assert_eq!(case.peers.requests.lock().unwrap().len(), usize::from(len > 0));
    }
    let home = Home::new();
    let (source, _) = Home::holding(b"");
    let peers = Memory::new(&source.store, &[Manner::Honest]);
    let error = get(&home, &peers, ContentId([1; 32]), 0).await.unwrap_err();
    assert!(
        matches!(error, FetchError::Store(ContentError::Outline(_))),
        "{error}"
    );
}

/// Each kind of wrong chunk costs its author, and nothing else.
#[tokio::test(start_paused = true)]
async fn wrong_chunks_cost_the_peer() {
    for liar in [
        Manner::WrongFrom(0),
        Manner::WrongFrom(3),
        Manner::Longer,
        Manner::Shorter,
        Manner::Empty,
        Manner::Shifted,
    ] {
        let case = Case::new(30, &[liar.clone(), Manner::Honest]);
        case.get().await.unwrap();
        case.is_there();
        let reported = case.peers.reported();
        let [(0, ContentOffence::WrongChunk { id, .. })] = reported.as_slice() else {
            panic!("{liar:?}: {reported:?}");
        };
        assert_eq!(*id, case.id);
        // The outline, good chunks, and what was under way with the wrong one.
        assert!(
            case.peers.count(0) <= 1 + 3 + 3 || liar == Manner::WrongFrom(3),
            "{liar:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn with_liars_only_nothing_wrong_is_kept_and_an_honest_peer_completes_it() {
    let case = Case::new(
        20,
        &[Manner::WrongFrom(5), Manner::WrongFrom(9), Manner::WrongFrom(0)],
    );
    let error = case.get().await.unwrap_err();
    assert!(matches!(error, FetchError::OutOfPeers { .. }), "{error}");
    assert!(!case.home.store.contains(case.id));
    assert_eq!(case.offences().len(), 3);
    let had = case.home.store.list()[0].disk_bytes;
    let kept = (had / CHUNK as u64) as usize;
    assert!(kept >= 4, "the good chunks are kept: {kept}");

    let honest = Memory::new(&case._source.store, &[Manner::Honest]);
    get(&case.home, &honest, case.id, case.bytes.len()).await.unwrap();
    case.is_there();
    assert_eq!(honest.chunks().len(), 20 - kept);
    assert!(
        honest
            .requests
            .lock()
            .unwrap()
            .iter()
            .all(|(_, request)| matches!(request, ContentRequest::Chunk { .. })),
        "the outline is known"
    );
}

#[tokio::test(start_paused = true)]
async fn wrong_outlines_cost_the_peer() {
    let id = ContentId::of(&noise(1, chunks(5)));
    for (liar, offence) in [
        (Manner::WrongOutline, ContentOffence::WrongOutline { id }),
        (Manner::LongPage, ContentOffence::Malformed { id }),
        (Manner::ShortPage, ContentOffence::Malformed { id }),
        (Manner::JunkPage, ContentOffence::Malformed { id }),
        (Manner::Invalid, ContentOffence::Malformed { id }),
        (Manner::OtherLength, ContentOffence::OtherLength { id }),
        (Manner::Absent, ContentOffence::NotProviding { id }),
    ] {
        let case = Case::new(5, &[liar.clone(), Manner::Honest]);
        case.get().await.unwrap();
        case.is_there();
        assert_eq!(case.peers.reported(), [(0, offence)], "{liar:?}");
        assert_eq!(case.peers.count(0), 1, "{liar:?}: it is not asked for chunks");
    }
    // Not its fault.
    let case = Case::new(5, &[Manner::OldVersion, Manner::Honest]);
    case.get().await.unwrap();
    assert_eq!(case.peers.reported(), []);

    let case = Case::new(5, &[Manner::WrongOutline, Manner::ShortPage]);
    let error = case.get().await.unwrap_err();
    assert!(matches!(error, FetchError::NoOutline { asked: 2, .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_size_must_be_right() {
    let case = Case::new(5, &[Manner::Honest]);
    let error = get(&case.home, &case.peers, case.id, case.bytes.len() - 1)
        .await
        .unwrap_err();
    assert!(matches!(error, FetchError::NoOutline { .. }), "{error}");
    let id = case.id;
    assert_eq!(case.offences(), [(0, ContentOffence::OtherLength { id })]);
    case.get().await.unwrap();
    let error = get(&case.home, &case.peers, case.id, 7).await.unwrap_err();
    assert!(matches!(error, FetchError::Size { expected: 7, .. }), "{error}");

    let error = get(&case.home, &case.peers, ContentId([0; 32]), usize::MAX)
        .await
        .unwrap_err();
    assert!(
        matches!(error, FetchError::Store(ContentError::TooLarge { .. })),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_lying_provider_is_found_out() {
    let case = Case::new(10, &[Manner::Absent, Manner::Absent, Manner::Honest]);
    case.get().await.unwrap();
    case.is_there();
    let id = case.id;
    assert_eq!(
        case.offences(),
        [0, 1].map(|peer| (peer, ContentOffence::NotProviding { id }))
    );
}

#[tokio::test(start_paused = true)]
async fn an_endless_list_of_providers_is_cut() {
    let case = Case::new(5, &[Manner::Honest]);
    *case.peers.lists.lock().unwrap() = vec![(1..100_000).chain([0]).collect()];
    let error = case.get().await.unwrap_err();
    assert!(
        matches!(error, FetchError::NoOutline { asked: 64, .. }),
        "{error}"
    );
    assert_eq!(case.peers.requests.lock().unwrap().len(), 64);

    // An honest one among the first is found.
    let case = Case::new(5, &[Manner::Honest]);
    *case.peers.lists.lock().unwrap() = vec![(1..20).chain([0]).chain(20..100_000).collect()];
    case.get().await.unwrap();
    case.is_there();

    // The same one for ever.
    let case = Case::new(5, &[Manner::Honest]);
    *case.peers.lists.lock().unwrap() = vec![vec![3; 100_000]];
    case.get().await.unwrap_err();
    assert_eq!(case.peers.count(3), 1);
}

#[tokio::test(start_paused = true)]
async fn new_liars_in_every_search_come_to_an_end() {
    let case = Case::new(5, &[]);
    let lists = (0..10_000).map(|n| (n * 10..n * 10 + 10).collect()).collect();
    *case.peers.lists.lock().unwrap() = lists;
    let error = case.get().await.unwrap_err();
    assert!(
        matches!(error, FetchError::NoOutline { asked: 64, .. }),
        "{error}"
    );
    assert!(*case.peers.searches.lock().unwrap() < 20);
}

#[tokio::test(start_paused = true)]
async fn without_providers_it_ends_soon() {
    for count in [1, 5] {
        let case = Case::new(count, &[]);
        let start = tokio::time::Instant::now();
        let error = case.get().await.unwrap_err();
        assert!(matches!(error, FetchError::NoProviders(_)), "{error}");
        assert_eq!(*case.peers.searches.lock().unwrap(), 3);
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}

#[tokio::test(start_paused = true)]
async fn providers_are_looked_for_again_when_peers_run_out() {
    let case = Case::new(30, &[Manner::WrongFrom(4), Manner::Absent, Manner::Honest]);
    *case.peers.lists.lock().unwrap() = vec![vec![0], vec![0], vec![0, 1], vec![2]];
    case.get().await.unwrap();
    case.is_there();
    assert_eq!(case.offences().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn silent_peers_do_not_hold_it_up_for_long() {
    let case = Case::new(30, &[Manner::Silent, Manner::SilentOnChunks, Manner::Honest]);
    let start = tokio::time::Instant::now();
    case.get().await.unwrap();
    case.is_there();
    // The chunks of the silent one are taken over long before its patience ends.
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());

    let case = Case::new(30, &[Manner::SilentOnChunks]);
    let start = tokio::time::Instant::now();
    let error = case.get().await.unwrap_err();
    assert!(
        matches!(error, FetchError::Stalled { missing: 30, .. }),
        "{error}"
    );
    assert!(start.elapsed() < Duration::from_secs(130));
    let id = case.id;
    assert_eq!(case.offences(), [(0, ContentOffence::Stalled { id })]);

    let case = Case::new(30, &[Manner::Silent]);
    let error = case.get().await.unwrap_err();
    assert!(matches!(error, FetchError::NoOutline { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn cuts_are_survived() {
    let case = Case::new(60, &[Manner::Cuts(7, 3)]);
    case.get().await.unwrap();
    case.is_there();
    assert_eq!(case.peers.reported(), []);

    let case = Case::new(60, &[Manner::Cuts(20, 2), Manner::Unreachable, Manner::Busy]);
    case.get().await.unwrap();
    case.is_there();
    assert_eq!(case.peers.reported(), []);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_fetch_goes_on_where_it_was() {
    let mut case = Case::new(50, &[Manner::Slow(10), Manner::Slow(15)]);
    let (sender, mut enough) = tokio::sync::mpsc::unbounded_channel();
    case.peers.hook = Box::new(move |_, _| sender.send(()).unwrap());
    let mut stops = 0;
    loop {
        tokio::select! {
            result = case.get() => {
                result.unwrap();
                break;
            }
            () = async {
                for _ in 0..12 {
                    enough.recv().await.unwrap();
                }
            } => stops += 1,
        }
        // Two fetches at once do not happen: the dropped one has let go.
    }
    case.is_there();
    assert!(stops >= 4, "{stops}");
    // What a stop costs: what was under way, never what had been written.
    let requests = case.peers.chunks().values().sum::<u32>();
    assert!(requests <= 50 + stops * 8, "{requests} requests, {stops} stops");
}

#[tokio::test(start_paused = true)]
async fn only_one_fetch_of_a_file_at_a_time() {
    let case = Case::new(20, &[Manner::Slow(10)]);
    let (first, second) = tokio::join!(case.get(), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let entry = case.home.store.list()[0];
        assert!(!entry.complete && entry.size == case.bytes.len() as u64);
        assert!(case.home.store.usage().reserved > entry.size);
        assert!(matches!(
            case.home.store.remove(case.id),
            Err(ContentError::Busy(_))
        ));
        case.get().await
    });
    first.unwrap();
    assert!(
        matches!(second, Err(FetchError::Store(ContentError::Busy(_)))),
        "{second:?}"
    );
    case.is_there();
    assert_eq!(case.home.store.usage().reserved, 0);
}

#[tokio::test(start_paused = true)]
async fn versions_share_chunks_at_the_same_offset() {
    let first = noise(1, chunks(20));
    let mut second = first.clone();
    second[CHUNK * 3 + 5] ^= 1;
    second.extend_from_slice(&noise(2, 3 * CHUNK));
    let case = Case::of(second.clone(), &[Manner::Honest]);
    import(&case.home.store, &first);
    let progress = Mutex::new(None);
    fetch(
        &case.home.store,
        &case.peers,
        case.id,
        second.len() as u64,
        FetchOptions::default(),
        |told| {
            *progress.lock().unwrap() = Some(told);
        },
    )
    .await
    .unwrap();
    assert_eq!(case.home.store.read(case.id).unwrap(), second);
    let mut fetched = case.peers.chunks().into_keys().collect::<Vec<_>>();
    fetched.sort_unstable();
    assert_eq!(fetched, [3, 19, 20, 21, 22]);
    let progress = progress.into_inner().unwrap().unwrap();
    assert_eq!(progress.bytes_done, second.len() as u64);
    assert_eq!(
        progress.bytes_fetched,
        second.len() as u64 - 18 * CHUNK as u64,
        "18 chunks were here"
    );
}

#[tokio::test(start_paused = true)]
async fn a_damaged_donor_gives_nothing_wrong() {
    let first = noise(1, chunks(6));
    let mut second = first.clone();
    *second.last_mut().unwrap() ^= 1;
    let case = Case::of(second, &[Manner::Honest]);
    let donor = import(&case.home.store, &first);
    let mut damaged = first;
    damaged[2 * CHUNK] ^= 1;
    std::fs::write(case.home.store.folder().path(donor), damaged).unwrap();
    case.get().await.unwrap();
    assert_eq!(case.home.store.read(case.id).unwrap(), case.bytes);
    let mut fetched = case.peers.chunks().into_keys().collect::<Vec<_>>();
    fetched.sort_unstable();
    assert_eq!(fetched, [2, 5]);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_file_is_mended_with_the_chunks_that_are_wrong() {
    let case = Case::new(12, &[Manner::Honest]);
    case.get().await.unwrap();
    let mut damaged = case.bytes.clone();
    damaged[7 * CHUNK + 1] ^= 4;
    damaged.truncate(11 * CHUNK);
    std::fs::write(case.home.store.folder().path(case.id), damaged).unwrap();
    assert!(matches!(
        case.home.store.read(case.id),
        Err(ContentError::Damaged(_))
    ));
    assert!(!case.home.store.contains(case.id));
    case.peers.requests.lock().unwrap().clear();
    case.get().await.unwrap();
    case.is_there();
    let mut fetched = case.peers.chunks().into_keys().collect::<Vec<_>>();
    fetched.sort_unstable();
    assert_eq!(fetched, [7, 11]);
}

#[tokio::test(start_paused = true)]
async fn a_partial_file_with_junk_in_it_is_not_believed() {
    let case = Case::new(12, &[Manner::Honest]);
    let path = case
        .home
        .folder
        .path()
        .join(format!(".content/partial/{}", case.id));
    std::fs::write(&path, noise(9, 20 * CHUNK)).unwrap();
    case.get().await.unwrap();
    case.is_there();
}

#[tokio::test(start_paused = true)]
async fn a_fetch_makes_room_or_refuses() {
    let old = noise(5, 8 * CHUNK);
    let config = StoreConfig {
        capacity_bytes: 20 * CHUNK as u64,
        ..StoreConfig::default()
    };
    let mut case = Case::new(15, &[Manner::Honest]);
    case.home = Home::with(config);
    let old = import(&case.home.store, &old);
    case.home.store.pin(old).unwrap();
    let error = case.get().await.unwrap_err();
    assert!(
        matches!(error, FetchError::Store(ContentError::NoRoom { .. })),
        "{error}"
    );
    assert!(case.home.store.contains(old));
    assert_eq!(case.peers.chunks().len(), 0, "nothing was fetched for nothing");
    assert_eq!(case.home.store.usage().reserved, 0);
    case.home.store.unpin(old).unwrap();
    case.get().await.unwrap();
    case.is_there();
    let usage = case.home.store.usage();
    assert!(usage.total() <= usage.capacity);
}

/// Even the file that is evicted for it gives its chunks.
#[tokio::test(start_paused = true)]
async fn the_old_version_helps_while_it_goes() {
    let config = StoreConfig {
        capacity_bytes: 15 * CHUNK as u64,
        ..StoreConfig::default()
    };
    let first = noise(1, chunks(10));
    let mut second = first.clone();
    second[0] ^= 1;
    let mut case = Case::of(second, &[Manner::Honest]);
    case.home = Home::with(config);
    let old = import(&case.home.store, &first);
    case.get().await.unwrap();
    case.is_there();
    assert!(!case.home.store.contains(old));
    assert_eq!(case.peers.chunks().len(), 1);
}

/// Who fetches serves what has arrived.
#[tokio::test(start_paused = true)]
async fn what_has_arrived_is_served_on() {
    let mut case = Case::new(10, &[Manner::Honest]);
    let server = Server::new(case.home.store.clone());
    let (served, not_yet) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let counts = std::sync::Arc::new((served, not_yet));
    let inner = counts.clone();
    case.peers.hook = Box::new(move |_, request| {
        let ContentRequest::Chunk { id, .. } = request else {
            return;
        };
        assert!(
            server
                .answer(&ContentRequest::Outline { id, from: 0 }.to_bytes())
                .is_ok()
        );
        for index in 0..10 {
            match server.answer(&ContentRequest::Chunk { id, index }.to_bytes()) {
                Ok(_) => inner.0.fetch_add(1, Ordering::Relaxed),
                Err(ContentRefusal::NotYet) => inner.1.fetch_add(1, Ordering::Relaxed),
                Err(other) => panic!("{other}"),
            };
        }
    });
    case.get().await.unwrap();
    case.is_there();
    assert!(counts.0.load(Ordering::Relaxed) > 0);
    assert!(counts.1.load(Ordering::Relaxed) > 0);
}

fn manner() -> impl Strategy<Value = Manner> {
    prop_oneof![
        (0..20u32).prop_map(Manner::WrongFrom),
        Just(Manner::Longer),
        Just(Manner::Empty),
        Just(Manner::Shifted),
        Just(Manner::WrongOutline),
        Just(Manner::LongPage),
        Just(Manner::OtherLength),
        Just(Manner::Silent),
        Just(Manner::SilentOnChunks),
        Just(Manner::Absent),
        Just(Manner::Unreachable),
        (1..9u32, 1..4u32).prop_map(|(good, bad)| Manner::Cuts(good, bad)),
        Just(Manner::Busy),
        Just(Manner::Invalid),
        (0..500u64).prop_map(Manner::Slow),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Among any others one honest peer is enough, and the file is right whoever sent its chunks. Without it the fetch
    /// ends in time, and what is there afterwards is right or not called complete.
    #[test]
    fn the_file_is_right_or_not_there(
        mut manners in prop::collection::vec(manner(), 0..5),
        honest: bool,
        place: prop::sample::Index,
        count in 1..20usize,
    ) {
        if honest {
            manners.insert(place.index(manners.len() + 1), Manner::Honest);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let case = Case::new(count, &manners);
            let start = tokio::time::Instant::now();
            let result = case.get().await;
            assert!(start.elapsed() < Duration::from_secs(600));
            if honest {
                result.unwrap();
            }
            if case.home.store.contains(case.id) {
                case.is_there();
            }
            let harmless = |peer: &u32| {
                matches!(manners[*peer as usize], Manner::Honest | Manner::Slow(_) | Manner::Busy)
            };
            for (peer, offence) in case.peers.reported() {
                assert!(!harmless(&peer), "{offence:?}");
            }
        });
    }
}
