//! Requests and receipts: what holds, and that nothing else does.

mod support;

use codec::{Encode, MaxEncodedLen};
use llmesh_primitives::{WorkOrigin, model::RuntimeClass};
use llmesh_proofs::{
    ProofError, ReceiptError, RequestTerms, SignedReceipt, SignedRequest,
    json::{self, JsonError},
};
use proptest::prelude::*;
use serde_json::Value;
use sp_core::{H256, Pair, ecdsa};
use sp_runtime::{AccountId32, MultiSignature, MultiSigner, traits::IdentifyAccount};
use support::*;

#[test]
fn a_request_holds_under_each_kind_of_key() {
    let ecdsa = ecdsa::Pair::from_seed(&[4; 32]);
    let ecdsa_account = MultiSigner::from(ecdsa.public()).into_account();
    let cases: [(AccountId32, Box<dyn Fn(&[u8]) -> MultiSignature>); 3] = [
        (
            account(client().public()),
            Box::new(|id| client().sign(id).into()),
        ),
        (
            account(sr_client().public()),
            Box::new(|id| sr_client().sign(id).into()),
        ),
        (ecdsa_account, Box::new(move |id| ecdsa.sign(id).into())),
    ];
    for (client, sign) in cases {
        let signed = RequestTerms { client, ..terms() }.signed(sign);
        assert_eq!(signed.verify(), Ok(signed.terms.id()));
        let mut other = signed.clone();
        other.terms.max_price += 1;
        assert_eq!(other.verify(), Err(ProofError::BadSignature));
    }
}

#[test]
fn every_field_of_the_terms_changes_the_id() {
    let base = terms();
    let edits: [fn(&mut RequestTerms); 13] = [
        |t| t.genesis.0[0] ^= 1,
        |t| t.place.channel += 1,
        |t| t.place.epoch += 1,
        |t| t.place.lane += 1,
        |t| t.place.sequence += 1,
        |t| t.client = AccountId32::new([9; 32]),
        |t| t.model.0[31] ^= 1,
        |t| t.version += 1,
        |t| t.input_hash.0[7] ^= 1,
        |t| t.max_price += 1,
        |t| t.host = AccountId32::new([9; 32]),
        |t| t.expires_at += 1,
        |t| t.salt[15] ^= 1,
    ];
    for edit in edits {
        let mut terms = base.clone();
        edit(&mut terms);
        assert_ne!(terms.id(), base.id());
        let signed = SignedRequest { terms, ..request() };
        assert_eq!(signed.verify(), Err(ProofError::BadSignature));
    }
}

#[test]
fn a_receipt_holds_with_its_data() {
    let signed = signed();
    assert_eq!(signed.verify(), Ok(()));
    assert_eq!(signed.verify_on(terms().genesis), Ok(()));
    assert_eq!(signed.verify_on(H256::zero()), Err(ReceiptError::OtherChain));
    assert_eq!(signed.verify_data(&inputs(), &outputs()), Ok(()));
    assert_eq!(
        signed.verify_data(&outputs(), &outputs()),
        Err(ReceiptError::OtherInput)
    );
    assert_eq!(
        signed.verify_data(&inputs(), &inputs()),
        Err(ReceiptError::OtherOutput)
    );
}

fn another_number(receipt: &mut llmesh_primitives::Receipt) {
    if let WorkOrigin::Request { sequence, .. } = &mut receipt.origin {
        *sequence += 1;
    }
}

/// What a host could sign and still not be owed anything for.
#[test]
fn a_receipt_for_anything_but_the_request_is_refused() {
    use ReceiptError::*;
    let other_request = |f: fn(&mut RequestTerms)| {
        let mut terms = terms();
        f(&mut terms);
        terms.signed(|id| client().sign(id).into())
    };
    let edited = |f: fn(&mut llmesh_primitives::Receipt)| {
        let mut receipt = receipt();
        f(&mut receipt);
        receipt
    };
    let cases = [
        (
            sign(edited(|r| r.origin = WorkOrigin::Job(1)), request()),
            NotARequest,
        ),
        (sign(edited(|r| r.model.0[0] ^= 1), request()), OtherModel),
        (sign(edited(|r| r.input_hash.0[0] ^= 1), request()), OtherInput),
        (sign(edited(|r| r.fee = 12_000_000_001), request()), AbovePrice),
        (sign(receipt(), other_request(|t| t.salt[0] ^= 1)), OtherRequest),
        (
            sign(receipt(), other_request(|t| t.place.sequence += 1)),
            OtherPlace,
        ),
        (sign(receipt(), other_request(|t| t.place.lane += 1)), OtherPlace),
        (sign(receipt(), other_request(|t| t.place.epoch += 1)), OtherPlace),
        (
            sign(receipt(), other_request(|t| t.place.channel += 1)),
            OtherPlace,
        ),
        // One request, one receipt: not a second under another number.
        (sign(edited(another_number), request()), OtherPlace),
        (
            sign(receipt(), other_request(|t| t.host = AccountId32::new([9; 32]))),
            OtherHost,
        ),
        (
            SignedReceipt::new(receipt(), account(host().public()), request(), |h| {
                client().sign(h).into()
            }),
            HostSignature,
        ),
        (
            sign(receipt(), terms().signed(|id| host().sign(id).into())),
            ClientSignature,
        ),
        // The host's hash covers the host: another account can not take the receipt over.
        (
            SignedReceipt {
                host: account(client().public()),
                ..signed()
            },
            OtherHost,
        ),
    ];
    for (case, expected) in cases {
        assert_eq!(case.verify(), Err(expected), "{expected}");
    }
    // The exact maximum is allowed.
    assert_eq!(
        sign(edited(|r| r.fee = 12_000_000_000), request()).verify(),
        Ok(())
    );
}

#[test]
fn decoding_wants_exactly_the_encoding() {
    let bytes = signed().encode();
    assert_eq!(SignedReceipt::from_bytes(&bytes), Ok(signed()));
    assert_eq!(
        SignedReceipt::from_bytes(&bytes[..bytes.len() - 1]),
        Err(ProofError::Malformed)
    );
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(SignedReceipt::from_bytes(&longer), Err(ProofError::Malformed));
    let huge = vec![0; 1 << 20];
    assert_eq!(SignedReceipt::from_bytes(&huge), Err(ProofError::Malformed));
    assert_eq!(SignedRequest::from_bytes(&request().encode()), Ok(request()));
    assert!(bytes.len() <= SignedReceipt::max_encoded_len());
}

#[test]
fn json_goes_there_and_back() {
    let mut job = signed();
    job.receipt.origin = WorkOrigin::Job(u64::MAX);
    job.receipt.probe_hash = None;
    job.receipt.runtime_class = RuntimeClass::CpuInt8Vnni;
    job.receipt.fee = u128::MAX;
    job.request.signature = MultiSignature::Ecdsa(ecdsa::Signature::from_raw([5; 65]));
    job.signature = MultiSignature::Eth(ecdsa::KeccakSignature::from([6; 65]));
    for receipt in [signed(), job] {
        assert_eq!(json::parse(&json::print(&receipt)).unwrap(), receipt);
    }
    // An address of another network is the same account.
    let text = json::print(&signed());
    let address = "5".to_owned()
        + text
            .split("\"host\": \"5")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap();
    use sp_core::crypto::{Ss58AddressFormat, Ss58Codec};
    let elsewhere = signed()
        .host
        .to_ss58check_with_version(Ss58AddressFormat::custom(0));
    assert_ne!(address, elsewhere);
    assert_eq!(
        json::parse(&text.replace(&address, &elsewhere)).unwrap(),
        signed()
    );
}

#[test]
fn json_of_another_version_is_refused_by_its_version() {
    // Whatever the fields of a later version are, the message is about the version.
    let error = json::parse(r#"{ "version": 2, "fields": "unheard of" }"#).unwrap_err();
    assert_eq!(
        error.to_string(),
        "this is version 2 of the receipt's form; version 1 can be read here"
    );
}

#[test]
fn json_that_is_not_the_form_is_refused() {
    let edit = |pointer: &str, to: Value| {
        let mut value: Value = serde_json::from_str(&json::print(&signed())).unwrap();
        *value.pointer_mut(pointer).expect(pointer) = to;
        json::parse(&value.to_string())
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        edit("/receipt/fee", "-1".into()),
        "`receipt.fee` is not a decimal number in quotes, within its bounds"
    );
    for bad in [
        "",
        "+1",
        "01",
        "1.0",
        "0x1",
        " 1",
        "340282366920938463463374607431768211456",
    ] {
        assert!(
            edit("/receipt/fee", bad.into()).starts_with("`receipt.fee`"),
            "{bad}"
        );
    }
    assert!(edit("/receipt/fee", 1.into()).contains("not the JSON of a receipt"));
    assert_eq!(
        edit("/receipt/model", "0x22".into()),
        "`receipt.model` is not 0x and 64 hexadecimal digits"
    );
    assert!(edit("/receipt/model", "22".repeat(32).into()).starts_with("`receipt.model`"));
    assert_eq!(edit("/host", "5F".into()), "`host` is not an SS58 address");
    assert_eq!(
        edit("/request/salt", format!("0x{}", "00".repeat(16)).into()),
        "the request's `id` is not the hash of its terms"
    );
    assert!(edit("/signature", serde_json::json!({ "rot13": "0x" })).contains("unknown variant"));
    let mut value: Value = serde_json::from_str(&json::print(&signed())).unwrap();
    value["receipt"]["extra"] = 1.into();
    assert!(
        json::parse(&value.to_string())
            .unwrap_err()
            .to_string()
            .contains("unknown field `extra`")
    );
    assert!(matches!(
        json::parse(&" ".repeat(json::MAX_BYTES + 1)),
        Err(JsonError::TooLong)
    ));
    for garbage in ["", "null", "[]", "{}", "{\"version\":-1}", &"[".repeat(60_000)] {
        assert!(
            matches!(json::parse(garbage), Err(JsonError::Form(_))),
            "{garbage:.20}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Any single bit, anywhere in the encoding: it does not decode, or does not hold.
    #[test]
    fn a_flipped_bit_is_never_accepted(at in 0usize..10_000, bit in 0u8..8) {
        let mut bytes = signed().encode();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        if let Ok(receipt) = SignedReceipt::from_bytes(&bytes) {
            prop_assert!(receipt.verify().is_err());
        }
    }

    #[test]
    fn garbage_is_never_accepted(bytes in proptest::collection::vec(any::<u8>(), 0..700)) {
        if let Ok(receipt) = SignedReceipt::from_bytes(&bytes) {
            prop_assert!(receipt.verify().is_err());
        }
    }

    /// A byte of the JSON changed: it is refused, reads the same (upper case digits, spaces), or does not hold.
    #[test]
    fn changed_json_is_never_another_receipt_that_holds(at in 0usize..100_000, to in any::<u8>()) {
        let mut text = json::print(&signed()).into_bytes();
        let at = at % text.len();
        text[at] = to;
        if let Some(receipt) = String::from_utf8(text).ok().and_then(|text| json::parse(&text).ok()) {
            prop_assert!(receipt == signed() || receipt.verify().is_err());
        }
    }
}
