//! What gets into the model store and what does not.

mod common;

use common::adder;
use llmesh_engine::{ModelStore, OnnxError, StoreError};
use llmesh_primitives::ContentId;
use std::path::PathBuf;

struct Bench {
    folder: tempfile::TempDir,
    store: ModelStore,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = ModelStore::open(folder.path().join("models")).unwrap();
        Self { folder, store }
    }

    fn file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join("file");
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Names of all files in the store, temporary ones included.
    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path().join("models")).unwrap();
        entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

fn id_of(bytes: &[u8]) -> ContentId {
    ContentId::from(*blake3::hash(bytes).as_bytes())
}

#[test]
fn a_model_is_kept_under_its_hash() {
    let bench = Bench::new();
    let imported = bench.store.import(&bench.file(&adder()), None).unwrap();
    assert_eq!(
        (imported.content_id, imported.size),
        (id_of(&adder()), adder().len() as u64)
    );
    assert!(!imported.known);
    assert_eq!(bench.store.read(imported.content_id).unwrap(), adder());
    assert_eq!(bench.files(), [format!("{:x}.onnx", imported.content_id)]);
    assert!(
        bench
            .store
            .import(&bench.file(&adder()), Some(imported.content_id))
            .unwrap()
            .known
    );
    assert_eq!(bench.store.list().unwrap(), [imported.content_id]);
}

#[test]
fn a_file_that_is_not_the_expected_model_is_refused() {
    let bench = Bench::new();
    let expected = ContentId::repeat_byte(7);
    let error = bench
        .store
        .import(&bench.file(&adder()), Some(expected))
        .unwrap_err();
    assert!(matches!(error, StoreError::HashMismatch { actual, .. } if actual == id_of(&adder())));
    assert!(bench.files().is_empty(), "nothing stays behind");
}

#[test]
fn truncated_and_other_files_are_refused() {
    let bench = Bench::new();
    let cut = &adder()[..adder().len() / 2];
    let error = bench.store.import(&bench.file(cut), None).unwrap_err();
    assert!(
        matches!(
            &error,
            StoreError::NotOnnx {
                source: OnnxError::Truncated,
                ..
            }
        ),
        "{error}"
    );
    for other in [&b"%PDF-1.7\n%more of it"[..], b"", b"import sys\n"] {
        let error = bench.store.import(&bench.file(other), None).unwrap_err();
        assert!(
            matches!(
                &error,
                StoreError::NotOnnx {
                    source: OnnxError::NotOnnx(_),
                    ..
                }
            ),
            "{error}"
        );
    }
    assert!(matches!(
        bench.store.import(&bench.folder.path().join("nowhere"), None),
        Err(StoreError::Io { .. })
    ));
    assert!(bench.files().is_empty());
}

#[test]
fn a_file_over_the_limit_is_refused_before_it_is_read() {
    let bench = Bench::new();
    let store = bench.store.clone().with_max_bytes(64);
    // A sparse file of a terabyte: reading it would take for ever.
    let path = bench.file(b"");
    std::fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    let error = store.import(&path, None).unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { size, limit: 64, .. } if size == 1 << 40));
}

#[test]
fn damage_is_noticed_when_a_model_is_read() {
    let bench = Bench::new();
    let imported = bench.store.import(&bench.file(&adder()), None).unwrap();
    let mut bytes = adder();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&imported.path, bytes).unwrap();
    assert!(matches!(
        bench.store.read(imported.content_id),
        Err(StoreError::HashMismatch { .. })
    ));
    // Importing the right file again heals it.
    bench.store.import(&bench.file(&adder()), None).unwrap();
    assert_eq!(bench.store.read(imported.content_id).unwrap(), adder());
}

#[test]
fn a_missing_model_is_named() {
    let bench = Bench::new();
    let error = bench.store.read(ContentId::zero()).unwrap_err().to_string();
    assert!(error.contains("model import"), "{error}");
}
