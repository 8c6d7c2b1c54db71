//! The files in `tests/vectors`: made by this code, to be checked by others'. `LLMESH_WRITE_VECTORS=1` rewrites them.

mod support;

use codec::Encode;
use llmesh_primitives::Receipt;
use llmesh_proofs::{RequestTerms, SignedRequest, json, merkle::Tree};
use serde_json::json;
use sp_core::{Pair, sr25519};
use sp_runtime::MultiSignature;
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
    let trees: Vec<_> = [0u32, 1, 2, 3, 4, 5, 7, 8, 100]
        .into_iter()
        .map(|n| {
            let tree = Tree::new((0..n).map(|i| format!("leaf {i}"))).unwrap();
            let proofs: Vec<_> = [0, n / 2, n.saturating_sub(1)]
                .into_iter()
                .filter_map(|i| tree.proof(i))
                .map(|proof| {
                    json!({
                        "index": proof.index,
                        "siblings": proof.siblings.iter().map(hex).collect::<Vec<_>>(),
                        "scale": hex(proof.encode()),
                    })
                })
                .collect();
            json!({ "count": n, "root": hex(tree.root()), "proofs": proofs })
        })
        .collect();
    vector(
        "merkle.json",
        &json!({
            "about": "trees over the leaves `leaf 0`, `leaf 1`, ... (ASCII)",
            "domain": std::str::from_utf8(llmesh_proofs::merkle::DOMAIN).unwrap(),
            "trees": trees,
        }),
    );
}
