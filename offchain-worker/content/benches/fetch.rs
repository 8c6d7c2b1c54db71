//! A verified fetch of 256 MiB from two peers against a plain TCP copy of the same file.
//!
//! Both go over loopback, from a file in the page cache to a new file, and end with its sync. They take turns, so that
//! what the disk and the machine do meanwhile falls on both. `cargo bench -p llmesh-content --bench fetch -- [RUNS] [MIB] [SYNC_MIB]`;
//! `LLMESH_BENCH_DIR` names another folder to work in.

#[path = "../tests/common/tcp.rs"]
#[allow(dead_code)]
mod tcp;

use llmesh_content::{
    ContentId, FetchError, FetchOptions, Phase, Progress, Server, Store, StoreConfig, fetch,
};
use std::{
    fs::File,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

const BUFFER: usize = 256 * 1024;

/// Copies until the end of the input.
fn pump(from: &mut impl Read, to: &mut impl Write) -> std::io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            n => to.write_all(&buffer[..n])?,
        }
    }
}

/// How long it took until all bytes were there, and until they were synced as well.
#[derive(Clone, Copy, Default)]
struct Times {
    copied: Duration,
    all: Duration,
}

/// One connection, a thread on either side.
fn plain(source: &Path, target: &Path) -> std::io::Result<Times> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut sender = TcpStream::connect(listener.local_addr()?)?;
    let (mut receiver, _) = listener.accept()?;
    let mut from = File::open(source)?;
    let start = Instant::now();
    let sending = std::thread::spawn(move || pump(&mut from, &mut sender));
    let mut to = File::create_new(target)?;
    pump(&mut receiver, &mut to)?;
    let copied = start.elapsed();
    to.sync_all()?;
    let all = start.elapsed();
    sending.join().expect("the sender does not panic")?;
    Ok(Times { copied, all })
}

/// Processor time of this process and all its threads so far, in seconds, to a hundredth. Unlike the time on the clock it
/// says the same on a busy machine.
fn cpu() -> std::io::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // Behind the name in brackets come the third field and those after it; 14 and 15 are what we want.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Ok(ticks as f64 / 100.0)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        (values[middle - 1] + values[middle]) / 2.0
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Cargo adds `--bench`.
    let mut numbers = std::env::args()
        .skip(1)
        .filter_map(|arg| arg.parse::<usize>().ok());
    let runs = numbers.next().unwrap_or(15).max(1);
    let mib = numbers.next().unwrap_or(256).max(1);
    let mut options = FetchOptions::default();
    if let Some(sync) = numbers.next() {
        options.sync_bytes = (sync as u64) << 20;
    }

    let place = std::env::var_os("LLMESH_BENCH_DIR").unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into());
    let folder = tempfile::tempdir_in(place)?;
    let source = folder.path().join("source");
    let mut bytes = vec![0; mib << 20];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    std::fs::write(&source, &bytes)?;
    let id = ContentId::of(&bytes);
    let size = bytes.len() as u64;
    drop(bytes);

    // Each peer has its own copy.
    let mut addresses = Vec::new();
    for peer in ["a", "b"] {
        let store = Store::open(&folder.path().join(peer), StoreConfig::default())?;
        store.import(&source)?;
        // Read once, so that it is in the page cache as the plain copy's source is.
        store.read(id)?;
        addresses.push(tcp::serve(Server::new(store), |_| {}, |_| {}));
    }
    File::open(&source)?.sync_all()?;

    let runtime = tokio::runtime::Runtime::new()?;
    let peers = Arc::new(runtime.block_on(tcp::TcpPeers::connect(&addresses))?);
    let rate = |time: Duration| mib as f64 / time.as_secs_f64();
    let (mut plains, mut fetches, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let (mut plain_cpu, mut fetch_cpu) = (0.0, 0.0);
    for run in 0..runs {
        let target = folder.path().join("target");
        let root = folder.path().join("fetched");
        let mut plain_time = Times::default();
        let mut fetch_time = Times::default();
        // Who goes first changes as well.
        for turn in 0..2 {
            // What the filesystem still has to do for the files just removed does not fall on the next one.
            File::open(folder.path())?.sync_all()?;
            let before = cpu()?;
            if (run + turn) % 2 == 0 {
                plain_time = plain(&source, &target)?;
                plain_cpu += cpu()? - before;
                std::fs::remove_file(&target)?;
            } else {
                let store = Store::open(&root, StoreConfig::default())?;
                let start = Instant::now();
                let (own, peers) = (store.clone(), peers.clone());
                // As a task, as in the worker.
                fetch_time = runtime.block_on(runtime.spawn(async move {
                    let copied = Mutex::new(Duration::ZERO);
                    let progress = |progress: Progress| {
                        if progress.phase == Phase::Finishing {
                            *copied.lock().expect("nobody panics") = start.elapsed();
                        }
                    };
                    fetch(&own, &*peers, id, size, options, progress).await?;
                    Ok::<_, FetchError>(Times {
                        copied: copied.into_inner().expect("nobody panics"),
                        all: start.elapsed(),
                    })
                }))??;
                fetch_cpu += cpu()? - before;
                assert!(store.contains(id));
                drop(store);
                std::fs::remove_dir_all(&root)?;
            }
        }
        let ratio = plain_time.all.as_secs_f64() / fetch_time.all.as_secs_f64();
        println!(
            "run {run:2}: plain copy {:.2} s + sync {:.2} s, verified fetch {:.2} s + sync {:.2} s, ratio {ratio:.2}",
            plain_time.copied.as_secs_f64(),
            (plain_time.all - plain_time.copied).as_secs_f64(),
            fetch_time.copied.as_secs_f64(),
            (fetch_time.all - fetch_time.copied).as_secs_f64(),
        );
        plains.push(rate(plain_time.all));
        fetches.push(rate(fetch_time.all));
        ratios.push(ratio);
    }
    let (low, high) = ratios
        .iter()
        .fold((f64::MAX, f64::MIN), |(low, high), r| (low.min(*r), high.max(*r)));
    println!(
        "{mib} MiB, {runs} runs: plain copy {:.1} MiB/s, verified fetch {:.1} MiB/s, ratio of medians {:.2}, median ratio {:.2} ({low:.2} to {high:.2})",
        median(&mut plains),
        median(&mut fetches),
        median(&mut fetches) / median(&mut plains),
        median(&mut ratios),
    );
    println!(
        "processor time of both sides: plain copy {:.2} s, verified fetch {:.2} s",
        plain_cpu / runs as f64,
        fetch_cpu / runs as f64
    );
    Ok(())
}
