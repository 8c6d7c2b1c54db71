//! The files in `tests/vectors`: made by this code, to be checked by others'. `LLMESH_WRITE_VECTORS=1` rewrites them;
//! `check_vectors.py` checks the ones of proof of compute with nothing but Python's own library.

mod support;

use codec::Encode;
use llmesh_primitives::{ElementType, Receipt, Sketch, attestation::Finding};
use llmesh_proofs::{RequestTerms, SignedRequest, audit, json, merkle::Tree, sampling, sketch};
use serde_json::json;
use sp_core::{H256, Pair, sr25519};
use sp_runtime::{MultiSignature, Perbill};
use std::process::Command;
use support::*;

#[test]
fn request() {
    let signed = support::request();
    let terms = &signed.terms;
    // Sr25519 signs differently each time: a stored signature is kept while it holds.
    let sr_terms = RequestTerms {
        client: account(sr_client().public()),
        ..terms.clone()
    };
    let stored = std::fs::read_to_string(path("request.json"))
        .ok()
        .and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok())
        .and_then(|v| hex::decode(v["sr25519"]["signature"].as_str()?.trim_start_matches("0x")).ok())
        .and_then(|bytes| sr25519::Signature::try_from(bytes.as_slice()).ok())
        .map(|signature| SignedRequest {
            terms: sr_terms.clone(),
            signature: MultiSignature::Sr25519(signature),
        })
        .filter(|signed| signed.verify().is_ok());
    let sr = stored.unwrap_or_else(|| sr_terms.signed(|id| sr_client().sign(id).into()));
    let MultiSignature::Sr25519(sr_signature) = &sr.signature else {
        unreachable!()
    };
    let MultiSignature::Ed25519(signature) = &signed.signature else {
        unreachable!()
    };
    vector(
        "request.json",
        &json!({
            "about": "id = blake2b-256(domain ++ terms_scale); the signature is over the 32 bytes of the id",
            "domain": std::str::from_utf8(RequestTerms::DOMAIN).unwrap(),
            "terms": {
                "genesis": hex(terms.genesis),
                "channel": terms.place.channel.to_string(),
                "epoch": terms.place.epoch,
                "lane": terms.place.lane,
                "sequence": terms.place.sequence.to_string(),
                "client": hex(&terms.client),
                "model": hex(terms.model),
                "version": terms.version,
                "input_hash": hex(terms.input_hash),
                "max_price": terms.max_price.to_string(),
                "host": hex(&terms.host),
                "expires_at": terms.expires_at.to_string(),
                "salt": hex(terms.salt),
            },
            "inputs_scale": hex(inputs().encode()),
            "terms_scale": hex(terms.encode()),
            "id": hex(terms.id()),
            "client_seed": hex([1; 32]),
            "signature_ed25519": hex(signature),
            "signed_scale": hex(signed.encode()),
            "sr25519": {
                "about": "the same terms with another client; Sr25519 signatures are random, so only checking counts",
                "client": hex(sr_client().public()),
                "id": hex(sr.terms.id()),
                "signature": hex(sr_signature),
            },
        }),
    );
}

#[test]
fn receipt() {
    let signed = signed();
    let MultiSignature::Ed25519(signature) = &signed.signature else {
        unreachable!()
    };
    vector(
        "receipt.json",
        &json!({
            "about": "hash = blake2b-256(compact length of domain ++ domain ++ host ++ receipt_scale); the host signs the hash",
            "domain": std::str::from_utf8(Receipt::DOMAIN).unwrap(),
            "receipt_scale": hex(signed.receipt.encode()),
            "host": hex(&signed.host),
            "hash": hex(signed.hash()),
            "host_seed": hex([2; 32]),
            "signature_ed25519": hex(signature),
            "signed_scale": hex(signed.encode()),
            "outputs_scale": hex(outputs().encode()),
            "output_hash": hex(signed.receipt.output_hash),
        }),
    );
    text_vector("receipt-form.json", &(json::print(&signed) + "\n"));
    assert_eq!(
        json::parse(&std::fs::read_to_string(path("receipt-form.json")).unwrap()).unwrap(),
        signed
    );
}

#[test]
fn merkle() {
    let trees: Vec<_> = [0usize, 1, 2, 3, 4, 5, 7, 8, 100]
        .into_iter()
        .map(|n| {
            let leaves = leaves(n);
            let tree = Tree::new(leaves.clone()).unwrap();
            let work = tree.work();
            let mut shown = vec![0, n / 2, n.saturating_sub(1)];
            shown.dedup();
            let proofs: Vec<_> = shown
                .into_iter()
                .filter_map(|i| Some((leaves.get(i)?, tree.proof(i as u32)?)))
                .map(|((leaf, value), proof)| {
                    let range = proof.verify(&work, *leaf, *value).unwrap();
                    json!({
                        "index": proof.index,
                        "from": range.start.to_string(),
                        "to": range.end.to_string(),
                        "scale": hex(proof.encode()),
                    })
                })
                .collect();
            json!({
                "leaves": n,
                "root": hex(work.root),
                "value": work.value.to_string(),
                "work_scale": hex(work.encode()),
                "proofs": proofs,
            })
        })
        .collect();
    vector(
        "merkle.json",
        &json!({
            "about": "leaf i is blake2b-256 of `leaf i` (ASCII); its value is (i + 1) x 2^64 where i mod 5 is 4, otherwise 1000 + i",
            "domain": std::str::from_utf8(llmesh_proofs::merkle::DOMAIN).unwrap(),
            "trees": trees,
        }),
    );
}

#[test]
fn points() {
    let randomness = H256([0x44; 32]);
    let cases: Vec<_> = [
        (1u64, 1u32, 0u128, 11_000_000_000u128, 50_000_000u32, 16u32),
        (2, 40, 1_000, 900_000_000_001, 50_000_000, 16),
        (3, 40, 1_000, 900_000_000_001, 1_000_000_000, 16),
        (4, 7, 1 << 100, (1 << 101) + 3, 333_333_333, 16),
        (5, 100, 5, 8, 1_000_000_000, 16),
        (6, 100, 5, 5, 1_000_000_000, 16),
    ]
    .into_iter()
    .map(|(batch, receipts, from, to, rate, most)| {
        let seed = sampling::draw_seed(randomness, batch);
        let points = sampling::points(seed, receipts, from..to, Perbill::from_parts(rate), most);
        json!({
            "batch": batch,
            "receipts": receipts,
            "from": from.to_string(),
            "to": to.to_string(),
            "rate_parts_per_billion": rate,
            "most": most,
            "draw_seed": hex(seed),
            "points": points.iter().map(u128::to_string).collect::<Vec<_>>(),
        })
    })
    .collect();
    let audit = sampling::audit_seed(sampling::draw_seed(randomness, 1), 3);
    let stages = [0, 1, 2].map(|stage| hex(sampling::stage_seed(audit, stage)));
    vector(
        "points.json",
        &json!({
            "about": "points of batches, and the seeds of the audit of a batch's fourth point",
            "randomness": hex(randomness),
            "batches": cases,
            "audit": {
                "batch": 1,
                "index": 3,
                "audit_seed": hex(audit),
                "committee_seed": hex(sampling::committee_seed(audit)),
                "stage_seeds": stages,
            },
        }),
    );
}

fn sketch_of(seed: H256, tensors: &[(ElementType, Vec<u8>)]) -> (Sketch, serde_json::Value) {
    let made = sketch::sketch(seed, tensors.iter().map(|(t, data)| (*t, data.as_slice())));
    let tensors: Vec<_> = tensors
        .iter()
        .map(|(t, data)| json!({ "element_type": t.name(), "data": hex(data) }))
        .collect();
    let numbers: Vec<_> = made.0.iter().map(i64::to_string).collect();
    let form =
        json!({ "seed": hex(seed), "tensors": tensors, "sketch": numbers, "scale": hex(made.encode()) });
    (made, form)
}

#[test]
fn sketches() {
    let f32s = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let f64s = |values: &[f64]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let seed = H256([0x11; 32]);
    let mixed = vec![
        (ElementType::F32, f32s(&[1.0, -2.5, 0.125, 1e-7, 0.333_333_34])),
        (ElementType::I8, (0..40).collect()),
    ];
    let step = 2f64.powi(-20);
    let special = vec![
        (
            ElementType::F32,
            f32s(&[f32::INFINITY, f32::NEG_INFINITY, -0.0, f32::MIN_POSITIVE, 3e30]),
        ),
        (
            ElementType::F64,
            f64s(&[
                0.5 * step,
                1.5 * step,
                -2.5 * step,
                0.6 * step,
                1e300,
                -1e-300,
                123.456,
            ]),
        ),
        (ElementType::F32, 0xffc0_0000u32.to_le_bytes().to_vec()),
    ];
    let every_type = ElementType::ALL
        .into_iter()
        .map(|t| {
            let bytes =
                (0..t.size() * 3).map(|i| (i * 37 + 5) as u8 & if t == ElementType::Bool { 1 } else { 127 });
            (t, bytes.collect())
        })
        .collect();
    let long: Vec<f32> = (0..500).map(|i| ((i * i % 997) as f32 - 498.0) / 7.0).collect();
    let cases: Vec<_> = [
        vec![],
        mixed,
        special,
        every_type,
        vec![(ElementType::F32, f32s(&long))],
    ]
    .iter()
    .map(|tensors| sketch_of(seed, tensors).1)
    .collect();

    let moved: Vec<f32> = long
        .iter()
        .enumerate()
        .map(|(i, v)| v * if i % 2 == 0 { 1.001 } else { 0.999 })
        .collect();
    let [(v, verifier), (h, host)] = [long, moved].map(|v| sketch_of(seed, &[(ElementType::F32, f32s(&v))]));
    let close: Vec<_> = [100_000u32, 500_000, 1_000_000, 1_500_000, 20_000_000]
        .into_iter()
        .map(|parts| {
            let close = sketch::close(&v, &h, Perbill::from_parts(parts));
            json!({ "tolerance_parts_per_billion": parts, "close": close })
        })
        .collect();
    vector(
        "sketch.json",
        &json!({
            "about": "15 sums and the length of the elements on a grid of 2^-20; and whether two sketches are close",
            "domain": std::str::from_utf8(sketch::DOMAIN).unwrap(),
            "sketches": cases,
            "pair": { "verifier": verifier, "host": host, "close": close },
        }),
    );
}

#[test]
fn ballots() {
    let sketch = Sketch(std::array::from_fn(|i| (i as i64 - 8) << (3 * i)));
    let (account, salt) = (account(client().public()), [0x77; 32]);
    let cases: Vec<_> = [
        ("ran", Finding::Ran(sketch)),
        ("fails", Finding::Fails),
        ("no input", Finding::NoInput),
        ("abstained", Finding::Abstained),
    ]
    .into_iter()
    .zip(0u8..)
    .map(|((name, finding), stage)| {
        json!({
            "finding": name,
            "stage": stage,
            "finding_scale": hex(finding.encode()),
            "ballot": hex(audit::ballot(9, stage, &account, &finding, &salt)),
        })
    })
    .collect();
    vector(
        "ballot.json",
        &json!({
            "about": "commitments to findings; `ran` carries the sketch",
            "domain": std::str::from_utf8(audit::BALLOT_DOMAIN).unwrap(),
            "audit": 9,
            "account": hex(&account),
            "salt": hex(salt),
            "sketch": sketch.0.iter().map(i64::to_string).collect::<Vec<_>>(),
            "ballots": cases,
        }),
    );
}

/// The files against an implementation that has nothing in common with this one.
#[test]
fn python_agrees() {
    let script = path("../check_vectors.py");
    let python = std::env::var("LLMESH_PYTHON").unwrap_or_else(|_| "python3".into());
    let output = match Command::new(&python).arg(script).output() {
        Ok(output) => output,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("not checked: there is no {python}");
            return;
        }
        Err(e) => panic!("{python}: {e}"),
    };
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
