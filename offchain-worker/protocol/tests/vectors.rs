//! The files in `tests/vectors`: made by this code, to be checked by others'. `LLMESH_WRITE_VECTORS=1` rewrites them.
//! `check_vectors.py` is such a check, with nothing but Python's own library.

mod support;

use codec::Encode;
use llmesh_primitives::Voucher;
use llmesh_protocol::{
    Answer, Detail, KeyId, Progress, Refusal, RequestFault, Retry, SUITE, VERSION, VoucherFault,
    VoucherRefused,
    padding::class_of,
    seal::{self, ANSWER_DOMAIN, ASK_DOMAIN, Received, plain_refusal},
};
use serde_json::{Value, json};
use sp_runtime::MultiSignature;
use std::process::Command;
use support::*;

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn ed25519(signature: &MultiSignature) -> String {
    match signature {
        MultiSignature::Ed25519(signature) => hex(signature),
        other => panic!("{other:?}"),
    }
}

#[test]
fn voucher() {
    let signed = ask().voucher;
    let voucher = &signed.voucher;
    vector(
        "voucher.json",
        &json!({
            "about": "payload = blake2b-256(domain ++ voucher_scale); the signature is over the 32 bytes of the payload",
            "domain": text(Voucher::DOMAIN),
            "genesis": hex(voucher.genesis),
            "channel": voucher.channel.to_string(),
            "epoch": voucher.epoch,
            "lane": voucher.lane,
            "nonce": voucher.nonce.to_string(),
            "cumulative": voucher.cumulative.to_string(),
            "receipts": hex(voucher.receipts),
            "voucher_scale": hex(voucher.encode()),
            "payload": hex(voucher.payload()),
            "signer_seed": hex([1; 32]),
            "signature_ed25519": ed25519(&signed.signature),
            "signed_scale": hex(signed.encode()),
            "receipts_after_one_more": {
                "receipt": hex([0x66; 32]),
                "receipts": hex(Voucher::accept(voucher.receipts, [0x66; 32].into())),
            },
        }),
    );
}

#[test]
fn padding() {
    let mut classes = vec![];
    while let Some(class) = class_of(classes.last().map_or(0, |class| class + 1)) {
        classes.push(class);
    }
    let lengths: Vec<Value> = [0, 1, 458, 459, 714, 715, 970, 971, 100_000, 16_777_162]
        .into_iter()
        .map(|length| json!({ "message_bytes": length, "sealed_bytes": class_of(length + seal::OVERHEAD_BYTES) }))
        .collect();
    vector(
        "padding.json",
        &json!({
            "about": "sealed_bytes is the smallest class of at least message_bytes + overhead_bytes",
            "classes": classes,
            "overhead_bytes": seal::OVERHEAD_BYTES,
            "lengths": lengths,
        }),
    );
}

#[test]
fn refusals() {
    let voucher = VoucherRefused {
        fault: VoucherFault::TooLittle,
        epoch: 1,
        lane: 2,
        nonce: 43,
        signed: 473,
        served: 470,
        needed: 481,
    };
    let all = [
        Refusal::Busy { wait_ms: 40 },
        Refusal::QuotaUsed { wait_ms: 40 },
        Refusal::ShuttingDown,
        Refusal::ModelNotHere,
        Refusal::ModelFailed {
            detail: Detail::new("no such row"),
        },
        Refusal::BadInput {
            detail: Detail::new("x is missing"),
        },
        Refusal::OutputTooLarge { limit: 1_000 },
        Refusal::BadRequest {
            fault: RequestFault::OtherInput,
        },
        Refusal::Expired {
            now: 1_700_000_000_000,
        },
        Refusal::Replayed,
        Refusal::AtWork { wait_ms: 40 },
        Refusal::PriceTooLow {
            required: 12_000_000_000,
        },
        Refusal::Voucher(voucher),
        Refusal::ChannelUnknown,
        Refusal::ChannelExpiring { last_block: 77 },
        Refusal::ChannelClosing,
        Refusal::NumberTaken { highest: 42 },
        Refusal::NextHopUnreachable { peer: peer(9) },
        Refusal::NotForwarding,
        Refusal::Deadline { needed_ms: 70 },
        Refusal::TooLarge { limit: 16_777_216 },
        Refusal::WrongKey {
            current: KeyId([7; 8]),
        },
        Refusal::UnsupportedVersion { supported: VERSION },
        Refusal::Malformed,
        Refusal::Internal,
    ];
    let all: Vec<Value> = all
        .iter()
        .map(|refusal| {
            let retry = match refusal.retry() {
                Retry::SamePath => "same path".into(),
                Retry::OtherPath => "other path".into(),
                Retry::OtherHost => "other host".into(),
                Retry::After(ms) => format!("after {ms} ms"),
                Retry::Never => "never".into(),
            };
            json!({
                "code": refusal.code(),
                "name": refusal.name(),
                "scale": hex(refusal.encode()),
                "sentence": refusal.to_string(),
                "retry": retry,
                "in_clear": refusal.may_be_plain(),
            })
        })
        .collect();
    vector(
        "refusals.json",
        &json!({ "about": "one refusal of each kind", "refusals": all }),
    );
}

#[test]
fn sealed_request_and_answers() {
    let ring = ring();
    let ask = ask();
    let header = header(&ask, &ring);
    let terms = &ask.request.terms;
    let ikm: Vec<u8> = (0x80..0xa0).collect();
    let (sealed, key) = seal::seal(&ring.public(), &header.aad, &ask, &mut Fixed(ikm.clone())).unwrap();
    vector(
        "ask.json",
        &json!({
            "about": "HPKE base mode to host_public; the ephemeral key is DeriveKeyPair(ephemeral_ikm)",
            "host_secret": hex(&ring.to_bytes()[1..33]),
            "host_public": hex(ring.public()),
            "key_id": hex(KeyId::of(&ring.public()).0),
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
            "client_seed": hex([1; 32]),
            "request": hex(terms.id()),
            "request_signature_ed25519": ed25519(&ask.request.signature),
            "channel": ask.channel.to_string(),
            "price": ask.price.to_string(),
            "voucher": "voucher.json",
            "inputs": [{ "name": "x", "element_type": 11, "shape": [1, 3], "data": hex(&ask.inputs[0].data) }],
            "progress": ask.progress,
            "ask_scale": hex(ask.encode()),
            "aad_scale": hex(header.aad.encode()),
            "header": {
                "host": hex(&header.host),
                "path": header.path.iter().map(hex).collect::<Vec<_>>(),
                "deadline_ms": header.deadline_ms,
                "class": header.class,
                "hops_left": header.hops_left,
            },
            "header_scale": hex(header.encode()),
            "hpke_info": hex([ASK_DOMAIN, &[VERSION, SUITE]].concat()),
            "hpke_aad": hex((VERSION, SUITE, &header.aad).encode()),
            "ephemeral_ikm": hex(&ikm),
            "sealed": hex(&sealed),
        }),
    );

    let salt: Vec<u8> = (0xc0..0xe0).collect();
    let (opened, mut answers) = seal::open(&ring, &header, &sealed, &mut Fixed(salt.clone())).unwrap();
    assert_eq!(opened, ask);
    let progress = Progress::Queued {
        position: 3,
        wait_ms: 250,
    };
    let done = done(&ask);
    let Answer::Done { outputs, receipt } = &done else {
        unreachable!()
    };
    let (first, last) = (
        answers.progress(&progress).unwrap(),
        answers.answer(&done).unwrap(),
    );
    let mut opener = key.opener();
    assert_eq!(opener.open(&first), Ok(Received::Progress(progress.clone())));
    assert_eq!(opener.open(&last), Ok(Received::Answer(done.clone())));
    let refusal = Refusal::NextHopUnreachable { peer: peer(9) };
    vector(
        "answer.json",
        &json!({
            "about": "the answers to ask.json: key and base nonce are HPKE's export with exporter_context, 44 bytes",
            "salt": hex(&salt),
            "exporter_context": hex([ANSWER_DOMAIN, &[VERSION, SUITE], &salt].concat()),
            "aad": hex([&[VERSION, SUITE], terms.id().as_bytes()].concat()),
            "messages": [
                { "scale": hex((0u8, &progress).encode()), "sealed": hex(first) },
                { "scale": hex((1u8, &done).encode()), "sealed": hex(last) },
            ],
            "outputs_scale": hex(outputs.encode()),
            "receipt_scale": hex(receipt.encode()),
            "host_seed": hex([2; 32]),
            "plain_refusal": hex(plain_refusal(&refusal)),
        }),
    );
}

/// The files against an implementation that has nothing in common with this one.
#[test]
fn python_agrees() {
    let script = folder().join("check_vectors.py");
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
