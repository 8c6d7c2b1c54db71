//! A fetch whose process is killed (SIGKILL) again and again, until the file is complete.

mod common;

use common::{Home, noise, tcp};
use llmesh_content::{CHUNK, ContentId, ContentRequest, FetchOptions, Server, Store, StoreConfig, fetch};
use std::{
    collections::{HashMap, HashSet},
    fs,
    io::Write,
    net::SocketAddr,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Condvar, Mutex},
};

const PEERS: usize = 2;
const CHUNKS: usize = 96;

fn env(name: &str) -> Option<String> {
    std::env::var(format!("LLMESH_CRASH_{name}")).ok()
}

/// Not a test of its own: the process that is killed.
#[test]
#[ignore = "started by the test below"]
fn child() {
    let Some(root) = env("ROOT") else {
        return;
    };
    let addresses = env("PEERS").unwrap();
    let addresses = addresses
        .split(',')
        .map(|address| address.parse().unwrap())
        .collect::<Vec<SocketAddr>>();
    let id = env("ID").unwrap().parse::<ContentId>().unwrap();
    let size = env("SIZE").unwrap().parse().unwrap();
    // One write for each record, so that a record is there whole or not at all, and at once.
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(env("LOG").unwrap())
        .unwrap();
    let store = Store::open(Path::new(&root), StoreConfig::default()).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut peers = tcp::TcpPeers::connect(&addresses).await.unwrap();
        peers.arrived = Box::new(move |peer, index| {
            (&log).write_all(format!("{peer} {index}\n").as_bytes()).unwrap();
        });
        let options = FetchOptions {
            sync_bytes: 8 * CHUNK as u64,
            ..FetchOptions::default()
        };
        fetch(&store, &peers, id, size, options, |_| {}).await.unwrap();
    });
}

/// What the peers have written to their sockets.
#[derive(Default)]
struct Answers {
    total: u64,
    chunks: HashMap<u32, u32>,
}

/// The records of one run: which chunk arrived from whom.
fn arrivals(log: &Path) -> Vec<(usize, u32)> {
    fs::read_to_string(log)
        .unwrap_or_default()
        .lines()
        .map(|line| {
            let (peer, index) = line.split_once(' ').unwrap();
            (peer.parse().unwrap(), index.parse().unwrap())
        })
        .collect()
}

#[test]
fn a_killed_fetch_goes_on_where_it_was() {
    let bytes = noise(1, CHUNKS * CHUNK - 77);
    let answers = Arc::new((Mutex::new(Answers::default()), Condvar::new()));
    let mut sources = Vec::new();
    let mut addresses = Vec::new();
    let mut id = ContentId([0; 32]);
    for _ in 0..PEERS {
        let source;
        (source, id) = Home::holding(&bytes);
        let answers = answers.clone();
        let after = move |request: &[u8]| {
            if let Ok(ContentRequest::Chunk { index, .. }) = ContentRequest::from_bytes(request) {
                let mut count = answers.0.lock().unwrap();
                count.total += 1;
                *count.chunks.entry(index).or_default() += 1;
                answers.1.notify_all();
            }
        };
        addresses.push(tcp::serve(Server::new(source.store.clone()), |_| {}, after).to_string());
        sources.push(source);
    }

    let (mut kills, mut resent, mut sent_again, mut worst) = (0, 0, 0, 0);
    for round in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("store");
        let mut runs = Vec::new();
        answers.0.lock().unwrap().chunks.clear();
        loop {
            let log = folder.path().join(format!("log{}", runs.len()));
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "child", "--ignored", "--nocapture"])
                .env("LLMESH_CRASH_ROOT", &root)
                .env("LLMESH_CRASH_PEERS", addresses.join(","))
                .env("LLMESH_CRASH_ID", id.to_string())
                .env("LLMESH_CRASH_SIZE", bytes.len().to_string())
                .env("LLMESH_CRASH_LOG", &log)
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            // Killed after another number of answers each time, whatever it is doing then, or when it is done.
            let goal = answers.0.lock().unwrap().total + 1 + (runs.len() as u64 * 5 + round * 3) % 13;
            let status = loop {
                let count = answers.0.lock().unwrap();
                let wait = std::time::Duration::from_millis(20);
                let (count, _) = answers
                    .1
                    .wait_timeout_while(count, wait, |count| count.total < goal)
                    .unwrap();
                if count.total >= goal {
                    child.kill().unwrap();
                    break child.wait().unwrap();
                }
                if let Some(status) = child.try_wait().unwrap() {
                    break status;
                }
            };
            runs.push(arrivals(&log));
            if status.success() {
                break;
            }
            assert_eq!(status.signal(), Some(9), "it failed by itself");
            kills += 1;
            assert!(runs.len() < 4 * CHUNKS, "it does not get on");
        }
        let store = Store::open(&root, StoreConfig::default()).unwrap();
        assert_eq!(store.read(id).unwrap(), bytes);
        assert_eq!(store.list().len(), 1);
        assert_eq!(
            common::files(&root),
            [format!(".content/outlines/{id}"), format!("{id}.onnx")]
        );

        // What arrived in one run and arrived again in a later one: at most one chunk of each peer for each kill.
        for (number, run) in runs.iter().enumerate() {
            let later = runs[number + 1..].iter().flatten().map(|(_, index)| *index);
            let later = later.collect::<HashSet<_>>();
            for peer in 0..PEERS {
                let again = run
                    .iter()
                    .filter(|(from, index)| *from == peer && later.contains(index))
                    .count();
                assert!(
                    again <= 1,
                    "run {number}, peer {peer}: {again} chunks arrived twice"
                );
                resent += again;
            }
        }
        for count in answers.0.lock().unwrap().chunks.values() {
            sent_again += count - 1;
            worst = worst.max(*count);
        }
    }
    println!(
        "{kills} kills with {PEERS} peers: {resent} chunks that had arrived were sent again (at most {} allowed); \
         {sent_again} had left a peer and were asked for again (most often {worst} times)",
        kills * PEERS
    );
    assert!(kills >= 20, "{kills}");
}
