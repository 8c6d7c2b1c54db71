//! Encodings: what is accepted, what is refused, and the path of a header.

mod support;

use codec::{Compact, Encode, MaxEncodedLen};
use llmesh_primitives::{
    Dim, ElementType, ModelSignature, Tensor, TensorError, TensorSpec, Tensors, job::hash_tensors,
};
use llmesh_protocol::{
    Aad, Answer, AnswerMessage, Ask, DecodeError, Detail, KeyId, MAX_SEALED_BYTES, MAX_TOTAL_TENSOR_BYTES,
    MeshTensor, MeshTensors, PeerIdBytes, Progress, Refusal, RequestFault, Retry, RouteHeader, Step,
    VoucherFault, VoucherRefused,
    refusal::MAX_DETAIL_BYTES,
    wire::{self, MAX_HEADER_BYTES, MAX_PLAIN_REFUSAL_BYTES},
};
use proptest::prelude::*;
use support::*;

fn all_refusals() -> Vec<Refusal> {
    let voucher = |fault| {
        Refusal::Voucher(VoucherRefused {
            fault,
            epoch: u32::MAX,
            lane: 15,
            nonce: 43,
            signed: 3,
            served: 2,
            needed: u128::MAX,
        })
    };
    let detail = Detail::new(&"e".repeat(500));
    let mut all = vec![
        Refusal::Busy { wait_ms: 40 },
        Refusal::QuotaUsed { wait_ms: 40 },
        Refusal::ShuttingDown,
        Refusal::ModelNotHere,
        Refusal::ModelFailed {
            detail: detail.clone(),
        },
        Refusal::BadInput { detail },
        Refusal::OutputTooLarge { limit: 9 },
        Refusal::Expired { now: 1 },
        Refusal::Replayed,
        Refusal::AtWork { wait_ms: 40 },
        Refusal::PriceTooLow { required: 7 },
        Refusal::ChannelUnknown,
        Refusal::ChannelExpiring { last_block: 8 },
        Refusal::ChannelClosing,
        Refusal::NumberTaken { highest: u64::MAX },
        Refusal::NextHopUnreachable {
            peer: vec![1; 64].try_into().unwrap(),
        },
        Refusal::NotForwarding,
        Refusal::Deadline { needed_ms: 0 },
        Refusal::Deadline { needed_ms: 70 },
        Refusal::TooLarge { limit: 9 },
        Refusal::WrongKey {
            current: KeyId([7; 8]),
        },
        Refusal::UnsupportedVersion { supported: 1 },
        Refusal::Malformed,
        Refusal::Internal,
    ];
    use {RequestFault as R, VoucherFault as V};
    all.extend(
        [
            R::OtherChain,
            R::OtherHost,
            R::BadSignature,
            R::NotTheSigner,
            R::OtherModel,
            R::OtherInput,
            R::AbovePrice,
            R::OtherPlace,
        ]
        .map(|fault| Refusal::BadRequest { fault }),
    );
    all.extend(
        [
            V::TooLittle,
            V::TooFarAhead,
            V::OtherChannel,
            V::OtherEpoch,
            V::OtherLane,
            V::OldNonce,
            V::Conflict,
            V::BadSignature,
            V::AboveFunds,
            V::AboveStake,
        ]
        .map(voucher),
    );
    all
}

#[test]
fn a_refusal_has_a_code_a_sentence_and_a_way_on() {
    for refusal in all_refusals() {
        let bytes = refusal.encode();
        assert_eq!(bytes[0], refusal.code());
        assert!(bytes.len() + 2 <= MAX_PLAIN_REFUSAL_BYTES);
        assert_eq!(wire::decode_refusal(&bytes), Ok(refusal.clone()));
        let sentence = refusal.to_string();
        assert!(
            sentence.len() > 15 && sentence.contains(' ') && !sentence.ends_with('.'),
            "{sentence}"
        );
        assert!(
            refusal
                .name()
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b == b'_')
        );
        // No refusal leads to asking the same again at once, with nothing to put right.
        if refusal.retry() == Retry::SamePath {
            assert!(matches!(refusal.code(), 40 | 41 | 45 | 54));
        }
    }
    assert_eq!(Refusal::Busy { wait_ms: 40 }.retry(), Retry::After(40));
    // Codes are unique, and none other decodes.
    let codes: std::collections::BTreeSet<u8> = all_refusals().iter().map(Refusal::code).collect();
    assert_eq!(codes.len(), 25);
    for code in (0..=u8::MAX).filter(|code| !codes.contains(code)) {
        assert!(wire::decode_refusal(&[&[code][..], &[0; 100]].concat()).is_err());
        assert!(wire::decode_refusal(&[code]).is_err());
    }
}

#[test]
fn the_text_of_a_refusal_is_harmless() {
    let detail = Detail::new("line\nbreak \u{1b}[31mred\u{202e}evil é");
    assert_eq!(detail.as_str(), "line break  [31mred evil é");
    // Cut at a character, not inside one.
    let long = Detail::new(&"é".repeat(101));
    assert_eq!(long.as_str(), "é".repeat(MAX_DETAIL_BYTES as usize / 2));
    let odd = Detail::new(&format!("x{}", "é".repeat(100)));
    assert_eq!(odd.as_str().len(), 199);
    for bad in [&b"\xff"[..], b"a\nb", b"\x1b[0m", "\u{2066}".as_bytes(), b"\0"] {
        let bytes = (21u8, bad).encode();
        assert_eq!(wire::decode_refusal(&bytes), Err(DecodeError::Malformed));
    }
    let long = (21u8, vec![b'a'; 201]).encode();
    assert_eq!(wire::decode_refusal(&long), Err(DecodeError::Malformed));
}

#[test]
fn the_bounds_are_what_the_documentation_says() {
    assert_eq!(RouteHeader::max_encoded_len(), MAX_HEADER_BYTES);
    assert_eq!(Aad::max_encoded_len(), 112);
    assert!(Refusal::max_encoded_len() + 2 <= MAX_PLAIN_REFUSAL_BYTES);
}

#[test]
fn a_header_takes_its_path_step_by_step() {
    let ask = ask();
    let mut header = header(&ask, &ring());
    header.path = vec![peer(6), peer(7), peer(9)].try_into().unwrap();
    let mut at = header;
    for (next, left) in [(6, 3), (7, 2), (9, 1)] {
        let Ok(Step::Forward { next: to, header }) = at.step(&peer(next - 1)) else {
            panic!("{next}")
        };
        assert_eq!((&to, header.hops_left), (&peer(next), left));
        assert_eq!(header.aad, at.aad);
        assert_eq!(wire::decode_header(&header.encode()).as_ref(), Ok(&*header));
        at = *header;
    }
    assert_eq!(at.step(&peer(9)), Ok(Step::Here));
    // Elsewhere, with hops left, a node finds a path itself.
    assert_eq!(at.step(&peer(8)), Ok(Step::Route));
    let (next, along) = at.along(&[peer(9)]).unwrap();
    assert_eq!((next, along.hops_left, along.path.len()), (peer(9), 0, 0));
    assert!(along.step(&peer(8)).is_err());
    assert!(at.along(&[]).is_err());
    assert!(at.along(&[peer(8)]).is_err());
    assert!(at.along(&[peer(7), peer(9)]).is_err(), "one hop is left");
}

#[test]
fn headers_that_do_not_hold_are_refused() {
    let good = header(&ask(), &ring());
    assert_eq!(good.check(), Ok(()));
    let long_path: Vec<PeerIdBytes> = (1..=8).map(peer).collect();
    let edits: [(&str, fn(&mut RouteHeader)); 9] = [
        ("two requests", |h| h.request.0[0] ^= 1),
        ("path ends elsewhere", |h| {
            h.path = vec![peer(7)].try_into().unwrap()
        }),
        ("path visits a node twice", |h| {
            h.path = vec![peer(9), peer(7), peer(9)].try_into().unwrap()
        }),
        ("empty host", |h| h.host = Default::default()),
        ("empty hop", |h| {
            h.path = vec![Default::default(), peer(9)].try_into().unwrap()
        }),
        ("class", |h| h.class = 4),
        ("more hops than any path", |h| h.hops_left = 9),
        ("fewer hops than the path", |h| h.hops_left = 1),
        ("version", |h| h.version = 0),
    ];
    for (what, edit) in edits {
        let mut header = good.clone();
        edit(&mut header);
        assert!(header.check().is_err(), "{what}");
        assert!(wire::decode_header(&header.encode()).is_err(), "{what}");
    }
    assert!(good.step(&peer(7)).is_err(), "leads back");
    let longest = RouteHeader {
        host: peer(8),
        path: long_path.try_into().unwrap(),
        hops_left: 8,
        ..good.clone()
    };
    assert_eq!(wire::decode_header(&longest.encode()), Ok(longest));
    // Bounds of the encoding itself.
    let mut bytes = good.encode();
    assert_eq!(
        wire::decode_header(&[bytes.as_slice(), &[0]].concat()),
        Err(DecodeError::Malformed)
    );
    assert_eq!(
        wire::decode_header(&bytes[..bytes.len() - 1]),
        Err(DecodeError::Malformed)
    );
    assert_eq!(wire::decode_header(&[]), Err(DecodeError::Malformed));
    assert_eq!(
        wire::decode_header(&[1; MAX_HEADER_BYTES + 1]),
        Err(DecodeError::TooLarge {
            size: MAX_HEADER_BYTES + 1,
            limit: MAX_HEADER_BYTES
        })
    );
    bytes[0] = 9;
    assert_eq!(wire::decode_header(&bytes), Err(DecodeError::Version(9)));
}

#[test]
fn header_and_sealed_request_travel_as_one() {
    let header = header(&ask(), &ring());
    for sealed in [&[][..], &[1, 2, 3], &[0; 5_000]] {
        let bytes = wire::encode_forward(&header, sealed);
        assert_eq!(wire::decode_forward(&bytes), Ok((header.clone(), sealed)));
    }
    let long = wire::encode_forward(&header, &vec![0; MAX_SEALED_BYTES + 1]);
    assert!(matches!(
        wire::decode_forward(&long),
        Err(DecodeError::TooLarge { .. })
    ));
    assert!(matches!(
        wire::decode_forward(&vec![1; MAX_SEALED_BYTES * 2]),
        Err(DecodeError::TooLarge { .. })
    ));
    assert_eq!(wire::decode_forward(&[]), Err(DecodeError::Malformed));
    assert_eq!(
        wire::decode_forward(&header.encode()[..40]),
        Err(DecodeError::Malformed)
    );
}

#[test]
fn tensors_are_those_of_the_chain_with_more_room() {
    let tensor = Tensor::new("x", ElementType::I32, &[2, 3], (0..24).collect()).unwrap();
    let chain: Tensors = vec![
        tensor.clone(),
        Tensor::new("é", ElementType::Bool, &[], vec![1]).unwrap(),
    ]
    .try_into()
    .unwrap();
    let mesh = MeshTensors::from(chain.clone());
    assert_eq!(mesh.encode(), chain.encode());
    assert_eq!(mesh.hash(), hash_tensors(&chain));
    assert_eq!(wire::decode_tensors(&chain.encode()), Ok(mesh.clone()));
    assert_eq!(Tensors::try_from(mesh), Ok(chain));

    assert!(Tensors::try_from(large(64 * 1024)).is_ok());
    assert_eq!(
        Tensors::try_from(large(64 * 1024 + 1)),
        Err(TensorError::TooLarge)
    );
    assert_eq!(
        MeshTensor::new("x", ElementType::F32, &[3], vec![0; 11]),
        Err(TensorError::WrongByteLength)
    );
    assert_eq!(
        MeshTensor::new("x", ElementType::F64, &[u32::MAX; 8], vec![]),
        Err(TensorError::TooLarge)
    );
    assert_eq!(
        MeshTensor::new("x", ElementType::U8, &[1; 9], vec![0]),
        Err(TensorError::TooLarge)
    );
    assert_eq!(
        MeshTensor::new(&"n".repeat(65), ElementType::U8, &[1], vec![0]),
        Err(TensorError::TooLarge)
    );
    // All together, too.
    let half = MeshTensor::new(
        "x",
        ElementType::U8,
        &[MAX_TOTAL_TENSOR_BYTES as u32 / 2 + 1],
        vec![0; MAX_TOTAL_TENSOR_BYTES / 2 + 1],
    )
    .unwrap();
    assert_eq!(
        MeshTensors::new(vec![half.clone(), half]),
        Err(TensorError::TooLarge)
    );
    assert_eq!(
        MeshTensors::new(vec![MeshTensor::from(tensor); 17]),
        Err(TensorError::TooLarge)
    );
    // The data is not in the debug form.
    assert!(format!("{:?}", large(100_000)).len() < 200);
}

#[test]
fn tensors_are_checked_against_a_signature() {
    let spec = |name: &str, shape: &[Dim]| TensorSpec {
        name: name.as_bytes().to_vec().try_into().unwrap(),
        element_type: ElementType::F32,
        shape: shape.to_vec().try_into().unwrap(),
    };
    let signature = ModelSignature {
        inputs: vec![spec("a", &[Dim::Fixed(1), Dim::UpTo(4)]), spec("b", &[])]
            .try_into()
            .unwrap(),
        outputs: vec![spec("y", &[Dim::Fixed(1)])].try_into().unwrap(),
    };
    let tensor = |name: &str, element_type: ElementType, shape: &[u32]| {
        let bytes = shape.iter().product::<u32>() * element_type.size();
        MeshTensor::new(name, element_type, shape, vec![0; bytes as usize]).unwrap()
    };
    let (a, b) = (
        tensor("a", ElementType::F32, &[1, 3]),
        tensor("b", ElementType::F32, &[]),
    );
    let check = |list: &[&MeshTensor]| {
        MeshTensors::new(list.iter().copied().cloned().collect())
            .unwrap()
            .check_inputs(&signature)
    };
    assert_eq!(check(&[&a, &b]), Ok(()));
    assert_eq!(check(&[&b, &a]), Ok(()));
    assert_eq!(check(&[&a]), Err(TensorError::MissingTensor));
    assert_eq!(check(&[&a, &a]), Err(TensorError::RepeatedName));
    assert_eq!(
        check(&[&a, &tensor("y", ElementType::F32, &[1])]),
        Err(TensorError::UnknownName)
    );
    assert_eq!(
        check(&[&tensor("a", ElementType::I32, &[1, 3]), &b]),
        Err(TensorError::WrongElementType)
    );
    assert_eq!(
        check(&[&tensor("a", ElementType::F32, &[1, 5]), &b]),
        Err(TensorError::WrongShape)
    );
    assert_eq!(
        check(&[&tensor("a", ElementType::F32, &[3]), &b]),
        Err(TensorError::WrongShape)
    );
    let outputs = MeshTensors::new(vec![tensor("y", ElementType::F32, &[1])]).unwrap();
    assert_eq!(outputs.check_outputs(&signature), Ok(()));
}

/// Lengths that the bytes do not bear out, in each list there is.
#[test]
fn claims_of_length_are_not_believed() {
    let many = Compact(16u32 * 1024 * 1024).encode();
    let tensor = |data: &[u8]| {
        [
            &Compact(1u32).encode()[..],
            &[4, b'x', 1, 4],
            &(1u32 << 24).to_le_bytes(),
            data,
        ]
        .concat()
    };
    assert_eq!(wire::decode_tensors(&tensor(&many)), Err(DecodeError::Malformed));
    assert_eq!(wire::decode_tensors(&many), Err(DecodeError::Malformed));
    assert_eq!(
        wire::decode_tensors(&Compact(17u32).encode()),
        Err(DecodeError::Malformed)
    );
    assert_eq!(
        wire::decode_tensors(&Compact(16u32).encode()),
        Err(DecodeError::Malformed)
    );
    assert_eq!(
        wire::decode_answer_message(&[&[0, 2][..], &many].concat()),
        Err(DecodeError::Malformed)
    );
    // Data of another length than the shape's is no tensor, however it came.
    let wrong = vec![(
        "x".as_bytes().to_vec(),
        ElementType::F32,
        vec![2u32],
        vec![0u8; 4],
    )]
    .encode();
    assert_eq!(wire::decode_tensors(&wrong), Err(DecodeError::Malformed));
    assert!(matches!(
        wire::decode_ask(&vec![0; MAX_SEALED_BYTES + 1]),
        Err(DecodeError::TooLarge { .. })
    ));
}

#[test]
fn messages_go_there_and_back() {
    let ask = ask();
    assert_eq!(wire::decode_ask(&ask.encode()), Ok(ask.clone()));
    let messages = [
        AnswerMessage::Progress(Progress::Queued {
            position: 2,
            wait_ms: 9,
        }),
        AnswerMessage::Progress(Progress::Started),
        AnswerMessage::Progress(Progress::Tokens(vec![7; 64 * 1024].try_into().unwrap())),
        AnswerMessage::Final(done(&ask)),
        AnswerMessage::Final(Answer::Refused(Refusal::ChannelClosing)),
    ];
    for message in messages {
        let bytes = message.encode();
        assert_eq!(wire::decode_answer_message(&bytes), Ok(message));
        assert!(wire::decode_answer_message(&[bytes.as_slice(), &[0]].concat()).is_err());
    }
}

#[test]
fn what_can_not_be_decoded_is_refused_for_what_it_is() {
    let refusal = |error: DecodeError| Refusal::from(error);
    assert_eq!(
        refusal(DecodeError::TooLarge { size: 9, limit: 8 }),
        Refusal::TooLarge { limit: 8 }
    );
    assert_eq!(
        refusal(DecodeError::Version(3)),
        Refusal::UnsupportedVersion { supported: 1 }
    );
    assert_eq!(refusal(DecodeError::Malformed), Refusal::Malformed);
    assert_eq!(refusal(DecodeError::Inconsistent("x")), Refusal::Malformed);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn decoders_survive_garbage(bytes in proptest::collection::vec(any::<u8>(), 0..1_500)) {
        let _ = wire::decode_header(&bytes);
        let _ = wire::decode_forward(&bytes);
        let _ = wire::decode_ask(&bytes);
        let _ = wire::decode_answer_message(&bytes);
        let _ = wire::decode_refusal(&bytes);
        let _ = wire::decode_tensors(&bytes);
    }

    /// A valid message with one byte changed: it is refused, or is a message that encodes to just these bytes.
    #[test]
    fn every_encoding_is_the_only_one(at in 0usize..4_000, to in any::<u8>()) {
        let ask = ask();
        let edit = |mut bytes: Vec<u8>| { let at = at % bytes.len(); bytes[at] = to; bytes };
        let bytes = edit(ask.encode());
        if let Ok(other) = wire::decode_ask(&bytes) { prop_assert_eq!(other.encode(), bytes); }
        let bytes = edit(AnswerMessage::Final(done(&ask)).encode());
        if let Ok(other) = wire::decode_answer_message(&bytes) { prop_assert_eq!(other.encode(), bytes); }
        let bytes = edit(header(&ask, &ring()).encode());
        if let Ok(other) = wire::decode_header(&bytes) { prop_assert_eq!(other.encode(), bytes); }
    }

    #[test]
    fn a_cut_message_is_refused(part in 0.0f64..1.0) {
        let cut = |bytes: Vec<u8>| bytes[..(bytes.len() as f64 * part) as usize].to_vec();
        let ask: Ask = ask();
        prop_assert!(wire::decode_ask(&cut(ask.encode())).is_err());
        prop_assert!(wire::decode_answer_message(&cut(AnswerMessage::Final(done(&ask)).encode())).is_err());
        prop_assert!(wire::decode_header(&cut(header(&ask, &ring()).encode())).is_err());
    }
}
