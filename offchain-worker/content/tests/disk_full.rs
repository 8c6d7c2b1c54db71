//! A disk that is really full: a small tmpfs in a mount namespace of its own.

mod common;

use common::{Manner, Memory, chunks, noise};
use llmesh_content::{CHUNK, ContentError, FetchError, FetchOptions, Store, StoreConfig, fetch};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

const PLACE: &str = "LLMESH_DISK_FULL_PLACE";

/// Whether this system lets us mount a tmpfs in a namespace of our own.
fn can_mount() -> bool {
    let folder = tempfile::tempdir().unwrap();
    Command::new("unshare")
        .args(["--mount", "--map-root-user", "mount", "-t", "tmpfs", "none"])
        .arg(folder.path())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[test]
fn a_full_disk_is_a_clear_error_and_loses_nothing() {
    if !can_mount() {
        println!("SKIPPED: no user namespaces with mounts here");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let status = Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c"])
        .arg(r#"mount -t tmpfs -o size=12m none "$1" && exec "$2" --exact child --ignored --nocapture"#)
        .arg("sh")
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .env(PLACE, folder.path())
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
#[ignore = "started by the test above"]
fn child() {
    let Some(place) = std::env::var_os(PLACE) else {
        return;
    };
    let place = Path::new(&place).to_owned();
    let source = tempfile::tempdir().unwrap();
    let source = common::open(source.path());
    let big = common::import(&source, &noise(1, chunks(60)));
    let bytes = noise(2, chunks(32));
    let id = common::import(&source, &bytes);
    let root = place.join("store");
    let store = Store::open(&root, StoreConfig::default()).unwrap();
    let first = noise(3, CHUNK + 1);
    let kept = common::import(&store, &first);

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let options = FetchOptions::default();
    let full = |error: &FetchError| matches!(error, FetchError::Store(ContentError::DiskFull { .. }));

    // Too large from the start: not a chunk is fetched.
    let peers = Memory::new(&source, &[Manner::Honest]);
    let size = chunks(60) as u64;
    let error = runtime
        .block_on(fetch(&store, &peers, big, size, options, |_| {}))
        .unwrap_err();
    assert!(full(&error), "{error}");
    assert_eq!(peers.chunks().len(), 0);
    store.remove(big).unwrap();

    // The disk fills up in the middle.
    let filler = place.join("filler");
    let mut peers = Memory::new(&source, &[Manner::Honest]);
    let (count, path) = (AtomicU32::new(0), filler.clone());
    peers.hook = Box::new(move |_, _| {
        if count.fetch_add(1, Ordering::Relaxed) == 12 {
            // As much as fits.
            let _ = fs::write(&path, vec![1; 12 << 20]);
        }
    });
    let size = bytes.len() as u64;
    let error = runtime
        .block_on(fetch(&store, &peers, id, size, options, |_| {}))
        .unwrap_err();
    assert!(full(&error), "{error}");
    assert!(!store.contains(id));
    assert_eq!(store.read(kept).unwrap(), first);
    let fetched = peers.chunks().len();
    assert!(fetched < 32);

    // An import fails as clearly and leaves nothing.
    let before = common::files(&root);
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), noise(4, 3 * CHUNK)).unwrap();
    let error = store.import(file.path()).unwrap_err();
    assert!(matches!(error, ContentError::DiskFull { .. }), "{error}");
    assert_eq!(common::files(&root), before);

    // With room again it goes on where it was.
    fs::remove_file(filler).unwrap();
    let peers = Memory::new(&source, &[Manner::Honest]);
    runtime
        .block_on(fetch(&store, &peers, id, size, options, |_| {}))
        .unwrap();
    assert_eq!(store.read(id).unwrap(), bytes);
    let rest = peers.chunks().len();
    // Twelve requests before it: the outline, what was under way, and what was stored.
    assert!(rest <= 32 - 6, "{rest} of 32 chunks were fetched again");
    assert_eq!(store.read(kept).unwrap(), first);
}
