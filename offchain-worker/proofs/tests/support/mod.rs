//! Keys, a request and its receipt, and the files of test vectors.

#![allow(dead_code)] // each test file uses a part

use llmesh_primitives::{
    ElementType, Receipt, Tensor, Tensors, WorkOrigin, job::hash_tensors, model::RuntimeClass,
};
use llmesh_proofs::{Place, RequestTerms, SignedReceipt, SignedRequest};
use serde_json::Value;
use sp_core::{H256, Pair, ed25519, sr25519};
use sp_runtime::{
    AccountId32, MultiSignature,
    traits::{BlakeTwo256, Hash},
};
use std::{fs, path::Path};

/// Ed25519 signs the same bytes the same way each time, as vectors need it.
pub fn client() -> ed25519::Pair {
    ed25519::Pair::from_seed(&[1; 32])
}

pub fn host() -> ed25519::Pair {
    ed25519::Pair::from_seed(&[2; 32])
}

pub fn sr_client() -> sr25519::Pair {
    sr25519::Pair::from_seed(&[3; 32])
}

pub fn account(public: impl Into<[u8; 32]>) -> AccountId32 {
    AccountId32::new(public.into())
}

pub fn inputs() -> Tensors {
    tensors("x", &[1.0, -2.5, 0.125])
}

pub fn outputs() -> Tensors {
    tensors("y", &[0.75])
}

fn tensors(name: &str, values: &[f32]) -> Tensors {
    let data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let tensor = Tensor::new(name, ElementType::F32, &[1, values.len() as u32], data).unwrap();
    vec![tensor].try_into().unwrap()
}

pub fn terms() -> RequestTerms {
    RequestTerms {
        genesis: H256([0x11; 32]),
        place: Place {
            channel: 5,
            epoch: 1,
            lane: 2,
            sequence: 42,
        },
        client: account(client().public()),
        model: H256([0x22; 32]),
        version: 7,
        input_hash: hash_tensors(&inputs()),
        max_price: 12_000_000_000,
        host: account(host().public()),
        expires_at: 1_800_000_000_000,
        salt: *b"sixteen bytes...",
    }
}

pub fn request() -> SignedRequest {
    terms().signed(|id| client().sign(id).into())
}

pub fn receipt() -> Receipt {
    let terms = terms();
    Receipt {
        origin: WorkOrigin::Request {
            channel: 5,
            epoch: 1,
            lane: 2,
            sequence: 42,
            request: terms.id(),
        },
        model: terms.model,
        runtime_class: RuntimeClass::CpuFloat,
        input_hash: terms.input_hash,
        output_hash: hash_tensors(&outputs()),
        probe_hash: Some(H256([0x33; 32])),
        units: 1_234_567,
        fee: 11_000_000_000,
    }
}

pub fn signed() -> SignedReceipt {
    sign(receipt(), request())
}

/// The host's signature over whatever the receipt says.
pub fn sign(receipt: Receipt, request: SignedRequest) -> SignedReceipt {
    SignedReceipt::new(receipt, account(host().public()), request, |hash| {
        MultiSignature::from(host().sign(hash))
    })
}

/// Leaves of a tree for tests: hashes of their numbers, with values that differ, every fifth of them large.
pub fn leaves(n: usize) -> Vec<(H256, u128)> {
    (0..n as u128)
        .map(|i| {
            let value = if i % 5 == 4 { (i + 1) << 64 } else { 1_000 + i };
            (BlakeTwo256::hash(format!("leaf {i}").as_bytes()), value)
        })
        .collect()
}

pub fn hex(bytes: impl AsRef<[u8]>) -> String {
    format!("0x{}", hex::encode(bytes))
}

pub fn path(name: &str) -> std::path::PathBuf {
    // Asked for at run time: a target folder can be shared by several checkouts.
    let folder = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it for tests");
    Path::new(&folder).join("tests/vectors").join(name)
}

/// Compares with the file of this name; with `LLMESH_WRITE_VECTORS` set, writes it.
pub fn vector(name: &str, value: &Value) {
    let text = serde_json::to_string_pretty(value).unwrap() + "\n";
    if std::env::var_os("LLMESH_WRITE_VECTORS").is_some() {
        fs::write(path(name), &text).unwrap();
    }
    // As values: the order of keys depends on a feature of serde_json that other crates of a build may switch on.
    let stored = fs::read_to_string(path(name)).unwrap_or_default();
    let stored: Value = serde_json::from_str(&stored).unwrap_or_default();
    assert!(
        stored == *value,
        "{name} differs from what the code makes; LLMESH_WRITE_VECTORS=1 rewrites it. Now:\n{text}"
    );
}

pub fn text_vector(name: &str, text: &str) {
    if std::env::var_os("LLMESH_WRITE_VECTORS").is_some() {
        fs::write(path(name), text).unwrap();
    }
    let stored = fs::read_to_string(path(name)).unwrap_or_default();
    assert!(
        stored == text,
        "{name} differs from what the code makes; LLMESH_WRITE_VECTORS=1 rewrites it. Now:\n{text}"
    );
}
