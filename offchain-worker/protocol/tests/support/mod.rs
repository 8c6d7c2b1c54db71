//! Keys, a request with its header, and the files of test vectors.

#![allow(dead_code)] // each test file uses a part

use llmesh_primitives::{ElementType, Receipt, SignedVoucher, Voucher, WorkOrigin, model::RuntimeClass};
use llmesh_proofs::{Place, RequestTerms, SignedReceipt};
use llmesh_protocol::{
    Aad, Answer, Ask, KeyRing, MeshTensor, MeshTensors, PeerIdBytes, RouteHeader, VERSION,
};
use rand::{CryptoRng, RngCore, SeedableRng, rngs::StdRng};
use serde_json::Value;
use sp_core::{H256, Pair, ed25519};
use sp_runtime::AccountId32;
use std::{fs, path::PathBuf};

pub fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// Gives the bytes that it was made of, for vectors.
pub struct Fixed(pub Vec<u8>);

impl RngCore for Fixed {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill_bytes(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_bytes(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, to: &mut [u8]) {
        let rest = self.0.split_off(to.len());
        to.copy_from_slice(&self.0);
        self.0 = rest;
    }
}

impl CryptoRng for Fixed {}

pub fn client() -> ed25519::Pair {
    ed25519::Pair::from_seed(&[1; 32])
}

pub fn host() -> ed25519::Pair {
    ed25519::Pair::from_seed(&[2; 32])
}

pub fn account(pair: &ed25519::Pair) -> AccountId32 {
    AccountId32::new(pair.public().0)
}

pub fn ring() -> KeyRing {
    KeyRing::generate(&mut Fixed((0x40..0x60).collect()))
}

pub fn peer(n: u8) -> PeerIdBytes {
    // The form of an Ed25519 peer id: an identity multihash of 36 bytes.
    let mut id = vec![0x00, 0x24, 0x08, 0x01, 0x12, 0x20];
    id.extend([n; 32]);
    id.try_into().unwrap()
}

pub fn tensors(name: &str, values: &[f32]) -> MeshTensors {
    let data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    MeshTensors::new(vec![
        MeshTensor::new(name, ElementType::F32, &[1, values.len() as u32], data).unwrap(),
    ])
    .unwrap()
}

/// One tensor of this many bytes.
pub fn large(bytes: usize) -> MeshTensors {
    MeshTensors::new(vec![
        MeshTensor::new("x", ElementType::U8, &[bytes as u32], vec![7; bytes]).unwrap(),
    ])
    .unwrap()
}

pub fn ask() -> Ask {
    ask_with(tensors("x", &[1.0, -2.5, 0.125]), 0)
}

pub fn ask_with(inputs: MeshTensors, salt: u8) -> Ask {
    let terms = RequestTerms {
        genesis: H256([0x11; 32]),
        place: Place {
            channel: 5,
            epoch: 1,
            lane: 2,
            sequence: 42,
        },
        client: account(&client()),
        model: H256([0x22; 32]),
        version: 7,
        input_hash: inputs.hash(),
        max_price: 12_000_000_000,
        host: account(&host()),
        expires_at: 1_800_000_000_000,
        salt: [salt; 16],
    };
    let voucher = Voucher {
        genesis: terms.genesis,
        channel: 5,
        epoch: 1,
        lane: 2,
        nonce: 43,
        cumulative: 473_000_000_000,
        receipts: H256([0x55; 32]),
    };
    let signature = client().sign(&voucher.payload()).into();
    Ask {
        request: terms.signed(|id| client().sign(id).into()),
        channel: 5,
        price: 11_000_000_000,
        voucher: SignedVoucher { voucher, signature },
        inputs,
        progress: true,
    }
}

pub fn header(ask: &Ask, ring: &KeyRing) -> RouteHeader {
    let aad = ask.aad();
    RouteHeader {
        version: VERSION,
        request: aad.request,
        host: peer(9),
        path: vec![peer(7), peer(9)].try_into().unwrap(),
        key: ring.current(),
        aad,
        deadline_ms: 30_000,
        class: 2,
        hops_left: 4,
    }
}

pub fn done(ask: &Ask) -> Answer {
    done_with(ask, tensors("y", &[0.75]))
}

pub fn done_with(ask: &Ask, outputs: MeshTensors) -> Answer {
    let terms = &ask.request.terms;
    let receipt = Receipt {
        origin: WorkOrigin::Request {
            channel: ask.channel,
            epoch: 1,
            lane: 2,
            sequence: 42,
            request: terms.id(),
        },
        model: terms.model,
        runtime_class: RuntimeClass::CpuFloat,
        input_hash: terms.input_hash,
        output_hash: outputs.hash(),
        probe_hash: None,
        units: 1_234_567,
        fee: ask.price,
    };
    let receipt = SignedReceipt::new(receipt, account(&host()), ask.request.clone(), |hash| {
        host().sign(hash).into()
    });
    Answer::Done { outputs, receipt }
}

/// All ways to change one part of the authenticated data.
pub fn other_aads(aad: &Aad) -> Vec<Aad> {
    let mut others = vec![aad.clone(); 4];
    others[0].host = AccountId32::new([9; 32]);
    others[1].model.0[31] ^= 1;
    others[2].request.0[0] ^= 0x80;
    others[3].price -= 1;
    others
}

pub fn hex(bytes: impl AsRef<[u8]>) -> String {
    format!("0x{}", hex::encode(bytes))
}

/// Where the tests are.
pub fn folder() -> PathBuf {
    // Asked for at run time: a target folder can be shared by several checkouts.
    let folder = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it for tests");
    PathBuf::from(folder).join("tests")
}

/// Compares with the file of this name; with `LLMESH_WRITE_VECTORS` set, writes it.
pub fn vector(name: &str, value: &Value) {
    let path = folder().join("vectors").join(name);
    let text = serde_json::to_string_pretty(value).unwrap() + "\n";
    if std::env::var_os("LLMESH_WRITE_VECTORS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    // As values: the order of keys depends on a feature of serde_json that other crates of a build may switch on.
    let stored = fs::read_to_string(&path).unwrap_or_default();
    let stored: Value = serde_json::from_str(&stored).unwrap_or_default();
    assert!(
        stored == *value,
        "{name} differs from what the code makes; LLMESH_WRITE_VECTORS=1 rewrites it. Now:\n{text}"
    );
}
