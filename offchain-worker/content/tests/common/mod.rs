//! Peers for the tests: in memory, and over TCP.

#![allow(dead_code, reason = "not every test file needs all of it")]

pub mod tcp;

use async_trait::async_trait;
use bytes::Bytes;
use llmesh_content::{
    CHUNK, ContentId, ContentOffence, ContentRefusal, ContentRequest, PeerError, Peers, Server, Store,
    StoreConfig,
};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

/// Bytes that look random and are the same every time.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

pub fn open(root: &Path) -> Store {
    Store::open(root, StoreConfig::default()).unwrap()
}

/// Writes the bytes to a file beside the store and imports it.
pub fn import(store: &Store, bytes: &[u8]) -> ContentId {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let (id, size) = store.import(file.path()).unwrap();
    assert_eq!((id, size), (ContentId::of(bytes), bytes.len() as u64));
    id
}

/// A folder with a store in it.
pub struct Home {
    pub folder: tempfile::TempDir,
    pub store: Store,
}

impl Home {
    pub fn new() -> Self {
        Self::with(StoreConfig::default())
    }

    pub fn with(config: StoreConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), config).unwrap();
        Self { folder, store }
    }

    pub fn holding(bytes: &[u8]) -> (Self, ContentId) {
        let home = Self::new();
        let id = import(&home.store, bytes);
        (home, id)
    }

    /// Names of everything under the folder, folders and the lock apart.
    pub fn files(&self) -> Vec<String> {
        files(self.folder.path())
    }
}

pub fn files(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root.join(&folder)).unwrap().map(Result::unwrap) {
            let path = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if path != Path::new(".content/lock") {
                found.push(path.to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// How a peer in memory behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manner {
    Honest,
    /// A flipped bit in chunks of an index that is at least this.
    WrongFrom(u32),
    /// A chunk that is longer, shorter or empty.
    Longer,
    Shorter,
    Empty,
    /// Another chunk than the one asked for.
    Shifted,
    WrongOutline,
    /// A page of the outline with too many values, too few, or of another place.
    LongPage,
    ShortPage,
    /// Bytes that are no page.
    JunkPage,
    /// The outline of a file that is a byte longer.
    OtherLength,
    /// Never an answer: to anything; to requests for chunks.
    Silent,
    SilentOnChunks,
    /// Does not have it.
    Absent,
    Unreachable,
    /// Answers so many requests, is then cut off for so many, and so on.
    Cuts(u32, u32),
    Busy,
    Invalid,
    OldVersion,
    /// Needs so many milliseconds for each request.
    Slow(u64),
}

/// Peers in memory, all with the same files.
pub struct Memory {
    server: Server,
    manners: HashMap<u32, Manner>,
    /// What `providers` says: one list after the other, and the last one for ever.
    pub lists: Mutex<Vec<Vec<u32>>>,
    pub requests: Mutex<Vec<(u32, ContentRequest)>>,
    pub reports: Mutex<Vec<(u32, ContentOffence)>>,
    pub searches: Mutex<u32>,
    /// Called for every request.
    pub hook: Box<dyn Fn(u32, ContentRequest) + Send + Sync>,
}

impl Memory {
    pub fn new(store: &Store, manners: &[Manner]) -> Self {
        let manners = manners
            .iter()
            .cloned()
            .enumerate()
            .map(|(peer, manner)| (peer as u32, manner))
            .collect::<HashMap<_, _>>();
        let mut all = manners.keys().copied().collect::<Vec<_>>();
        all.sort_unstable();
        Self {
            server: Server::new(store.clone()),
            manners,
            lists: Mutex::new(vec![all]),
            requests: Mutex::default(),
            reports: Mutex::default(),
            searches: Mutex::default(),
            hook: Box::new(|_, _| {}),
        }
    }

    pub fn count(&self, peer: u32) -> usize {
        self.requests
            .lock()
            .unwrap()
            .iter()
            .filter(|(other, _)| *other == peer)
            .count()
    }

    /// How often each chunk was asked for.
    pub fn chunks(&self) -> HashMap<u32, u32> {
        let mut chunks = HashMap::new();
        for (_, request) in self.requests.lock().unwrap().iter() {
            if let ContentRequest::Chunk { index, .. } = request {
                *chunks.entry(*index).or_default() += 1;
            }
        }
        chunks
    }

    pub fn reported(&self) -> Vec<(u32, ContentOffence)> {
        self.reports.lock().unwrap().clone()
    }

    fn honest(&self, request: ContentRequest) -> Result<Bytes, PeerError> {
        self.server
            .answer(&request.to_bytes())
            .map_err(PeerError::Refused)
    }
}

fn changed(bytes: Bytes, change: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut bytes = bytes.to_vec();
    change(&mut bytes);
    bytes.into()
}

fn page(bytes: Bytes, change: impl FnOnce(&mut llmesh_content::OutlinePage)) -> Bytes {
    let mut page = llmesh_content::OutlinePage::from_bytes(&bytes).unwrap();
    change(&mut page);
    codec::Encode::encode(&page).into()
}

#[async_trait]
impl Peers for Memory {
    type Peer = u32;

    async fn providers(&self, _: ContentId) -> Vec<u32> {
        *self.searches.lock().unwrap() += 1;
        let mut lists = self.lists.lock().unwrap();
        match lists.len() {
            0 => Vec::new(),
            1 => lists[0].clone(),
            _ => lists.remove(0),
        }
    }

    async fn request(&self, peer: &u32, request: ContentRequest) -> Result<Bytes, PeerError> {
        let number = {
            let mut requests = self.requests.lock().unwrap();
            requests.push((*peer, request));
            requests.iter().filter(|(other, _)| other == peer).count() as u32
        };
        (self.hook)(*peer, request);
        // Answers never come in the same poll.
        tokio::task::yield_now().await;
        let is_chunk = matches!(request, ContentRequest::Chunk { .. });
        let answer = || self.honest(request);
        match self.manners.get(peer).cloned().unwrap_or(Manner::Absent) {
            Manner::Honest => answer(),
            Manner::WrongFrom(from) => match request {
                ContentRequest::Chunk { index, .. } if index >= from => {
                    Ok(changed(answer()?, |bytes| *bytes.last_mut().unwrap() ^= 1))
                }
                _ => answer(),
            },
            Manner::Longer if is_chunk => Ok(changed(answer()?, |bytes| bytes.push(0))),
            Manner::Shorter if is_chunk => Ok(changed(answer()?, |bytes| {
                bytes.pop();
            })),
            Manner::Empty if is_chunk => Ok(Bytes::new()),
            Manner::Shifted => match request {
                ContentRequest::Chunk { id, index } => self
                    .honest(ContentRequest::Chunk { id, index: index + 1 })
                    .or_else(|_| answer().map(|bytes| changed(bytes, |bytes| bytes.reverse()))),
                _ => answer(),
            },
            Manner::WrongOutline if !is_chunk => Ok(page(answer()?, |page| page.values[0][0] ^= 1)),
            Manner::LongPage if !is_chunk => Ok(page(answer()?, |page| page.values.push([0; 32]))),
            Manner::ShortPage if !is_chunk => Ok(page(answer()?, |page| {
                page.values.pop();
            })),
            Manner::JunkPage if !is_chunk => Ok(Bytes::from_static(&[255; 100])),
            Manner::OtherLength if !is_chunk => Ok(page(answer()?, |page| page.len += 1)),
            Manner::Longer
            | Manner::Shorter
            | Manner::Empty
            | Manner::WrongOutline
            | Manner::LongPage
            | Manner::ShortPage
            | Manner::JunkPage
            | Manner::OtherLength => answer(),
            Manner::SilentOnChunks if !is_chunk => answer(),
            Manner::Silent | Manner::SilentOnChunks => std::future::pending().await,
            Manner::Absent => Err(PeerError::Refused(ContentRefusal::NotFound)),
            Manner::Unreachable => Err(PeerError::Unreachable),
            Manner::Cuts(good, bad) if number % (good + bad) < good => answer(),
            Manner::Cuts(..) => Err(PeerError::Unreachable),
            Manner::Busy if number % 3 == 0 => Err(PeerError::Refused(ContentRefusal::Busy)),
            Manner::Busy => answer(),
            Manner::Invalid => Err(PeerError::Invalid("test")),
            Manner::OldVersion => Err(PeerError::Refused(ContentRefusal::Version { supported: 0 })),
            Manner::Slow(millis) => {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                answer()
            }
        }
    }

    fn report(&self, peer: &u32, offence: ContentOffence) {
        self.reports.lock().unwrap().push((*peer, offence));
    }
}

/// Length of a file of so many chunks, the last one short.
pub fn chunks(count: usize) -> usize {
    count * CHUNK - 1000
}
