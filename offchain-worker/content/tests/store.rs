//! What the store keeps, counts, evicts and refuses.

mod common;

use common::{Home, chunks, files, import, noise, open};
use llmesh_content::{
    CHUNK, ContentError, ContentId, ContentRefusal, ContentRequest, Folder, Outline, OutlinePage, Server,
    Store, StoreConfig,
};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    time::{Duration, SystemTime},
};

fn small(capacity_chunks: u64) -> StoreConfig {
    StoreConfig {
        capacity_bytes: capacity_chunks * CHUNK as u64,
        ..StoreConfig::default()
    }
}

/// Sets when the file was last used, on the disk.
fn used_at(home: &Home, id: ContentId, at: SystemTime) {
    let root = home.folder.path();
    for path in [format!("{id}.onnx"), format!(".content/outlines/{id}")] {
        fs::File::open(root.join(path)).unwrap().set_modified(at).unwrap();
    }
}

#[test]
fn a_file_is_kept_under_its_hash() {
    let home = Home::new();
    for len in [0, 1, CHUNK, CHUNK + 1, chunks(5)] {
        let bytes = noise(len as u64, len);
        let id = import(&home.store, &bytes);
        assert!(home.store.contains(id));
        assert_eq!(home.store.read(id).unwrap(), bytes);
        let outline = home.store.outline(id).unwrap();
        assert_eq!((id, outline.clone()), Outline::of_reader(&bytes[..]).unwrap());
        let parts = (0..outline.chunks()).map(|index| home.store.chunk(id, index).unwrap());
        assert_eq!(parts.collect::<Vec<_>>().concat(), bytes);
        assert_eq!(home.store.chunk(id, outline.chunks()), None);
        // A second time changes nothing.
        assert_eq!(import(&home.store, &bytes), id);
        assert_eq!(
            fs::read(home.store.folder().path(id)).unwrap(),
            bytes,
            "one plain file"
        );
    }
    assert_eq!(home.store.list().len(), 5);
    assert_eq!(home.files().len(), 10);
    assert!(
        home.store
            .list()
            .iter()
            .all(|entry| entry.complete && !entry.pinned)
    );
}

#[test]
fn an_unexpected_or_missing_file_is_refused() {
    let home = Home::new();
    let file = home.folder.path().join("file");
    fs::write(&file, b"bytes").unwrap();
    let expected = ContentId([7; 32]);
    let error = home.store.import_expected(&file, Some(expected)).unwrap_err();
    assert!(
        matches!(error, ContentError::Mismatch { actual, .. } if actual == ContentId::of(b"bytes")),
        "{error}"
    );
    assert!(matches!(
        home.store.import(&home.folder.path().join("nowhere")),
        Err(ContentError::Io { .. })
    ));
    assert!(matches!(
        home.store.import(home.folder.path()),
        Err(ContentError::NotAFile(_))
    ));
    assert!(matches!(
        home.store.read(expected),
        Err(ContentError::Missing(id)) if id == expected
    ));
    assert_eq!(home.files(), ["file"]);
    assert_eq!(home.store.usage().total(), 0);
}

#[test]
fn a_pipe_is_not_waited_for() {
    let home = Home::new();
    let pipe = home.folder.path().join("pipe");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    assert!(matches!(home.store.import(&pipe), Err(ContentError::NotAFile(_))));
}

#[test]
fn a_file_over_the_limit_is_refused_before_it_is_read() {
    let home = Home::with(StoreConfig {
        max_file_bytes: 64,
        ..StoreConfig::default()
    });
    // A sparse file of a terabyte: reading it would take for ever.
    let path = home.folder.path().join("huge");
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    let error = home.store.import(&path).unwrap_err();
    assert!(
        matches!(error, ContentError::TooLarge { size, limit: 64 } if size == 1 << 40),
        "{error}"
    );
    // Nor is one that lies in the folder.
    let id = ContentId([1; 32]);
    fs::rename(&path, home.store.folder().path(id)).unwrap();
    assert!(matches!(home.store.read(id), Err(ContentError::TooLarge { .. })));
}

#[test]
fn only_one_process_has_it_open() {
    let home = Home::new();
    let root = home.folder.path();
    let error = Store::open(root, StoreConfig::default()).unwrap_err();
    assert!(matches!(error, ContentError::Locked { .. }), "{error}");
    // Clones count as one.
    let clone = home.store.clone();
    let Home { folder, store } = home;
    drop(store);
    assert!(Store::open(folder.path(), StoreConfig::default()).is_err());
    drop(clone);
    open(folder.path());
}

#[test]
fn files_that_were_there_are_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = noise(1, chunks(4));
    let id = ContentId::of(&bytes);
    let wrong = ContentId([3; 32]);
    fs::write(folder.path().join(format!("{id}.onnx")), &bytes).unwrap();
    fs::write(folder.path().join(format!("{wrong}.onnx")), &bytes).unwrap();
    for other in [
        "README",
        "x.onnx",
        &format!("{}.onnx", id.to_string().to_uppercase()),
    ] {
        fs::write(folder.path().join(other), b"not ours").unwrap();
    }
    let store = open(folder.path());
    assert_eq!(store.list().len(), 2, "nothing was hashed yet");
    assert_eq!(store.chunk(id, 3).unwrap(), bytes[3 * CHUNK..]);
    assert_eq!(store.read(id).unwrap(), bytes);
    assert_eq!(store.outline(wrong), None);
    assert!(!store.contains(wrong), "not what it says");
    assert!(matches!(store.read(wrong), Err(ContentError::Missing(_))));
    drop(store);
    let store = open(folder.path());
    assert_eq!(store.read(id).unwrap(), bytes);
    assert_eq!(fs::read(folder.path().join("README")).unwrap(), b"not ours");
}

#[test]
fn other_processes_can_put_files_there() {
    let home = Home::new();
    let bytes = noise(4, chunks(3));
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), &bytes).unwrap();
    let folder = Folder::open(home.folder.path(), 1 << 30).unwrap();
    let imported = folder.import(file.path(), None).unwrap();
    assert!(!imported.known);
    assert!(folder.import(file.path(), Some(imported.id)).unwrap().known);
    assert_eq!(folder.list().unwrap(), [imported.id]);
    assert_eq!(folder.read(imported.id).unwrap(), bytes);
    assert!(home.store.contains(imported.id));
    assert_eq!(home.store.chunk(imported.id, 0).unwrap(), bytes[..CHUNK]);
    assert_eq!(home.store.list().len(), 1);
}

#[test]
fn links_are_not_followed_out_of_the_folder() {
    let home = Home::new();
    let secret = tempfile::NamedTempFile::new().unwrap();
    fs::write(secret.path(), b"secret").unwrap();
    let id = ContentId::of(b"secret");
    symlink(secret.path(), home.store.folder().path(id)).unwrap();
    assert!(!home.store.contains(id));
    assert!(matches!(home.store.read(id), Err(ContentError::NotAFile(_))));
    assert_eq!(home.store.chunk(id, 0), None);
    assert_eq!(home.store.list(), []);
}

#[test]
fn damage_is_noticed_and_healed() {
    let bytes = noise(1, chunks(3));
    for how in 0..4 {
        let (home, id) = Home::holding(&bytes);
        let path = home.store.folder().path(id);
        let mut damaged = bytes.clone();
        match how {
            0 => damaged[CHUNK] ^= 1,
            1 => damaged.truncate(CHUNK + 5),
            2 => damaged.push(0),
            _ => damaged.clear(),
        }
        fs::write(&path, &damaged).unwrap();
        let error = home.store.read(id).unwrap_err();
        assert!(matches!(error, ContentError::Damaged(_)), "{how}: {error}");
        assert!(!home.store.contains(id));
        assert_eq!(import(&home.store, &bytes), id);
        assert_eq!(home.store.read(id).unwrap(), bytes);
        assert_eq!(home.files().len(), 2, "{:?}", home.files());
    }
    // A chunk is checked on its own, and a bad one never leaves.
    let (home, id) = Home::holding(&bytes);
    let mut damaged = bytes.clone();
    damaged[CHUNK] ^= 1;
    fs::write(home.store.folder().path(id), &damaged).unwrap();
    assert!(home.store.chunk(id, 0).is_some());
    let server = Server::new(home.store.clone());
    assert_eq!(
        server.answer(&ContentRequest::Chunk { id, index: 1 }.to_bytes()),
        Err(ContentRefusal::Failed)
    );
    assert!(!home.store.contains(id));

    // Nor one that was right the last time, when the file was changed since.
    let (home, id) = Home::holding(&bytes);
    let path = home.store.folder().path(id);
    fs::File::open(&path)
        .unwrap()
        .set_modified(SystemTime::UNIX_EPOCH)
        .unwrap();
    assert_eq!(home.store.chunk(id, 1).unwrap(), bytes[CHUNK..2 * CHUNK]);
    assert_eq!(home.store.chunk(id, 1).unwrap(), bytes[CHUNK..2 * CHUNK]);
    fs::write(&path, &damaged).unwrap();
    assert_eq!(home.store.chunk(id, 1), None);
    assert!(!home.store.contains(id));
}

/// What is removed is not kept open, and one that comes in its place is looked at anew.
#[test]
fn files_can_come_and_go_while_they_are_served() {
    let home = Home::new();
    let files = (0..40)
        .map(|seed| noise(seed, CHUNK + 500))
        .map(|bytes| (import(&home.store, &bytes), bytes))
        .collect::<Vec<_>>();
    let open = || {
        let entries = fs::read_dir("/proc/self/fd").unwrap();
        let targets = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        targets
            .filter(|target| target.starts_with(home.folder.path()))
            .count()
    };
    for _ in 0..2 {
        for (id, bytes) in &files {
            assert_eq!(home.store.chunk(*id, 1).unwrap(), bytes[CHUNK..]);
        }
    }
    assert!(open() <= 16 + 1, "{}", open());
    for (id, bytes) in &files {
        assert!(home.store.chunk(*id, 0).is_some());
        home.store.remove(*id).unwrap();
        assert_eq!(home.store.chunk(*id, 0), None);
        assert_eq!(import(&home.store, bytes), *id);
        assert_eq!(home.store.chunk(*id, 0).unwrap(), bytes[..CHUNK]);
        home.store.remove(*id).unwrap();
    }
    assert_eq!(open(), 1, "only the lock");
}

#[test]
fn damaged_notes_are_made_again() {
    let bytes = noise(1, chunks(3));
    let (home, id) = Home::holding(&bytes);
    let note = home.folder.path().join(format!(".content/outlines/{id}"));
    let right = fs::read(&note).unwrap();
    let folder = home.folder;
    drop(home.store);
    for wrong in [&right[..40], &[0; 100], b"", &[&right[..], b"x"].concat()] {
        fs::write(&note, wrong).unwrap();
        let store = open(folder.path());
        assert_eq!(store.chunk(id, 1).unwrap(), bytes[CHUNK..2 * CHUNK]);
        assert_eq!(fs::read(&note).unwrap(), right);
    }
}

#[test]
fn the_least_recently_used_goes_first() {
    let home = Home::with(small(10));
    let files = [1, 2, 3].map(|seed| import(&home.store, &noise(seed, 3 * CHUNK - 4096)));
    let hour = |n: u64| SystemTime::now() - Duration::from_secs(3600 * n);
    // Another process starts later: what counts is on the disk.
    let folder = home.folder;
    drop(home.store);
    let home = Home {
        store: Store::open(folder.path(), small(10)).unwrap(),
        folder,
    };
    for (id, hours) in files.iter().zip([3, 5, 4]) {
        used_at(&home, *id, hour(hours));
    }
    home.store.read(files[1]).unwrap();
    // Peers that ask for it do not keep it.
    home.store.chunk(files[2], 0).unwrap();
    let fourth = import(&home.store, &noise(4, 2 * CHUNK));
    assert_eq!(files.map(|id| home.store.contains(id)), [true, true, false]);
    home.store.pin(files[0]).unwrap();
    let fifth = import(&home.store, &noise(5, 4 * CHUNK));
    assert_eq!(files.map(|id| home.store.contains(id)), [true, false, false]);
    assert!(home.store.contains(fourth) && home.store.contains(fifth));
    let usage = home.store.usage();
    assert!(usage.total() <= usage.capacity, "{usage:?}");
    let listed = home.store.list();
    assert!(listed.iter().any(|entry| entry.id == files[0] && entry.pinned));
    assert_eq!(home.files().len(), 3 * 2 + 1, "{:?}", home.files());

    // What does not fit beside the pinned is refused, and nothing is evicted for it.
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), noise(6, 8 * CHUNK)).unwrap();
    let error = home.store.import(file.path()).unwrap_err();
    let ContentError::NoRoom { needed, held, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(needed, 8 * CHUNK as u64);
    assert!((2 * CHUNK as u64..3 * CHUNK as u64).contains(&held), "{held}");
    assert!(home.store.contains(fourth) && home.store.contains(fifth));
    assert_eq!(home.store.usage().reserved, 0);
    home.store.unpin(files[0]).unwrap();
    home.store.import(file.path()).unwrap();
}

#[test]
fn pins_last_and_can_come_first() {
    let bytes = noise(1, 1000);
    let id = ContentId::of(&bytes);
    let home = Home::new();
    home.store.pin(id).unwrap();
    home.store.pin(id).unwrap();
    import(&home.store, &bytes);
    let folder = home.folder;
    drop(home.store);
    let store = open(folder.path());
    assert!(store.list()[0].pinned);
    assert!(matches!(store.remove(id), Err(ContentError::Pinned(_))));
    store.unpin(id).unwrap();
    store.unpin(id).unwrap();
    assert!(store.remove(id).unwrap());
    assert!(!store.remove(id).unwrap());
    assert_eq!(files(folder.path()), Vec::<String>::new());
}

#[test]
fn what_a_killed_process_left_is_cleaned_up() {
    let (home, id) = Home::holding(&noise(1, 5000));
    let root = home.folder.path().to_owned();
    let gone = ContentId([9; 32]);
    let old = SystemTime::now() - Duration::from_secs(3600);
    fs::write(root.join(".import-1-0"), b"half").unwrap();
    fs::File::open(root.join(".import-1-0"))
        .unwrap()
        .set_modified(old)
        .unwrap();
    fs::write(root.join(".import-2-0"), b"at work").unwrap();
    let working = fs::File::open(root.join(".import-2-0")).unwrap();
    working.try_lock().unwrap();
    working.set_modified(old).unwrap();
    fs::write(root.join(".import-3-0"), b"just begun").unwrap();
    fs::write(root.join(".content/tmp/0"), b"half").unwrap();
    fs::write(root.join(format!(".content/outlines/{gone}")), b"of nothing").unwrap();
    fs::write(root.join(format!(".content/partial/{id}")), b"complete by now").unwrap();
    fs::write(root.join(format!(".content/partial/{gone}")), b"begun").unwrap();
    let folder = home.folder;
    drop(home.store);
    let store = open(folder.path());
    assert_eq!(
        files(folder.path()),
        [
            format!(".content/outlines/{id}"),
            format!(".content/outlines/{gone}"),
            format!(".content/partial/{gone}"),
            ".import-2-0".into(),
            ".import-3-0".into(),
            format!("{id}.onnx"),
        ]
        .into_iter()
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect::<Vec<_>>()
    );
    let begun = store.list().into_iter().find(|entry| !entry.complete).unwrap();
    assert_eq!((begun.id, begun.size), (gone, 5));
    assert!(store.remove(gone).unwrap());
}

/// What was begun and left is evicted before anything whole.
#[test]
fn what_was_begun_goes_first() {
    let home = Home::with(small(10));
    let id = import(&home.store, &noise(1, 5 * CHUNK));
    let gone = ContentId([9; 32]);
    let path = home.folder.path().join(format!(".content/partial/{gone}"));
    fs::write(path, noise(2, 3 * CHUNK)).unwrap();
    assert!(home.store.usage().partial >= 3 * CHUNK as u64);
    import(&home.store, &noise(3, 4 * CHUNK));
    assert!(home.store.contains(id));
    assert_eq!(home.store.usage().partial, 0);
}

#[test]
fn nobody_else_can_write_or_run_the_files() {
    let (home, id) = Home::holding(&noise(1, 5000));
    let mode = |path: &str| {
        fs::metadata(home.folder.path().join(path))
            .unwrap()
            .permissions()
            .mode()
            & 0o7777
    };
    assert_eq!(mode(&format!("{id}.onnx")), 0o644);
    assert_eq!(mode(".content"), 0o700);
    assert_eq!(mode(&format!(".content/outlines/{id}")), 0o600);
}

#[test]
fn the_server_answers_what_there_is() {
    let bytes = noise(1, chunks(5));
    let (home, id) = Home::holding(&bytes);
    let small = import(&home.store, b"small");
    let server = Server::new(home.store.clone());
    let ask = |request: ContentRequest| server.answer(&request.to_bytes());
    let page = |id, from| {
        ask(ContentRequest::Outline { id, from }).map(|bytes| OutlinePage::from_bytes(&bytes).unwrap())
    };

    let whole = page(id, 0).unwrap();
    let outline = Outline::from_parts(whole.len, whole.values).unwrap();
    outline.verify(&id).unwrap();
    assert_eq!(page(id, 3).unwrap().values.len(), 2);
    assert_eq!(page(id, 5), Err(ContentRefusal::OutOfRange));
    assert_eq!(page(id, u32::MAX), Err(ContentRefusal::OutOfRange));
    let trivial = page(small, 0).unwrap();
    assert_eq!((trivial.len, trivial.values.len()), (5, 0));
    assert_eq!(page(small, 1), Err(ContentRefusal::OutOfRange));

    assert_eq!(
        ask(ContentRequest::Chunk { id, index: 4 }).unwrap(),
        bytes[4 * CHUNK..]
    );
    assert_eq!(
        ask(ContentRequest::Chunk { id, index: 5 }),
        Err(ContentRefusal::OutOfRange)
    );
    let unknown = ContentId([8; 32]);
    assert_eq!(
        ask(ContentRequest::Chunk {
            id: unknown,
            index: 0
        }),
        Err(ContentRefusal::NotFound)
    );
    assert_eq!(page(unknown, 0), Err(ContentRefusal::NotFound));
    assert_eq!(server.answer(b""), Err(ContentRefusal::Malformed));
    assert_eq!(server.answer(&[1; 1 << 20]), Err(ContentRefusal::Malformed));
    assert_eq!(
        server.answer(&[9, 0]),
        Err(ContentRefusal::Version { supported: 1 })
    );
    let served = server.served();
    assert_eq!((served.chunks, served.outline_pages, served.refused), (1, 3, 9));
    assert_eq!(served.bytes, bytes.len() as u64 - 4 * CHUNK as u64);
}

#[test]
fn a_long_outline_comes_in_pages() {
    // 2 GiB of zeros: a hole.
    let file = tempfile::NamedTempFile::new().unwrap();
    let len = 8100 * CHUNK as u64 - 1;
    file.as_file().set_len(len).unwrap();
    let home = Home::with(StoreConfig {
        max_file_bytes: 4 << 30,
        ..StoreConfig::default()
    });
    // As another process would put it there: the hole stays one.
    let (id, outline) = Outline::of_reader(fs::File::open(file.path()).unwrap()).unwrap();
    let hole = fs::File::create(home.store.folder().path(id)).unwrap();
    hole.set_len(len).unwrap();
    let server = Server::new(home.store.clone());
    let mut values = Vec::new();
    while values.len() < outline.chunks() as usize {
        let from = values.len() as u32;
        let bytes = server
            .answer(&ContentRequest::Outline { id, from }.to_bytes())
            .unwrap();
        assert!(bytes.len() <= CHUNK);
        values.extend(OutlinePage::from_bytes(&bytes).unwrap().values);
    }
    let paged = Outline::from_parts(len, values).unwrap();
    assert_eq!(paged.verify(&id), Ok(()));
    assert_eq!(paged, outline);
    assert_eq!(server.served().outline_pages, 2);
}
