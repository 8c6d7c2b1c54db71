//! Sealing, against everybody on the way and at both ends.

mod support;

use codec::Encode;
use llmesh_protocol::{
    Answer, AnswerMessage, AnswerSealer, Ask, KeyId, KeyRing, MAX_SEALED_BYTES, MAX_TOTAL_TENSOR_BYTES,
    OpenError, Progress, Refusal, RouteHeader, SUITE, SealError, VERSION, VoucherFault, VoucherRefused,
    padding::is_class,
    seal::{self, AnswerError, AnswerKey, OVERHEAD_BYTES, Received, plain_refusal},
};
use proptest::prelude::*;
use support::*;

/// A sealed request with everything around it.
struct Sent {
    ring: KeyRing,
    ask: Ask,
    header: RouteHeader,
    sealed: Vec<u8>,
    key: AnswerKey,
}

fn sent(seed: u64) -> Sent {
    let ring = ring();
    let ask = ask_with(tensors("x", &[1.0, 2.0]), seed as u8);
    let header = header(&ask, &ring);
    let (sealed, key) = seal::seal(&ring.public(), &header.aad, &ask, &mut rng(seed)).unwrap();
    Sent {
        ring,
        ask,
        header,
        sealed,
        key,
    }
}

impl Sent {
    fn open(&self) -> (Ask, AnswerSealer) {
        seal::open(&self.ring, &self.header, &self.sealed, &mut rng(99)).unwrap()
    }

    fn try_open(&self, header: &RouteHeader, sealed: &[u8]) -> Result<(Ask, AnswerSealer), OpenError> {
        seal::open(&self.ring, header, sealed, &mut rng(99))
    }
}

fn started() -> Progress {
    Progress::Started
}

fn queued(position: u32) -> Progress {
    Progress::Queued {
        position,
        wait_ms: 40,
    }
}

#[test]
fn a_request_and_its_answers_arrive() {
    let sent = sent(1);
    assert!(is_class(sent.sealed.len()));
    let (ask, mut answers) = sent.open();
    assert_eq!(ask, sent.ask);
    assert_eq!(ask.request.verify(), Ok(sent.header.request));

    let mut opener = sent.key.opener();
    for progress in [
        queued(3),
        queued(1),
        started(),
        Progress::Tokens(vec![1, 2, 3].try_into().unwrap()),
    ] {
        let bytes = answers.progress(&progress).unwrap();
        assert_eq!(bytes.len(), 512);
        assert_eq!(opener.open(&bytes), Ok(Received::Progress(progress)));
        assert!(!opener.is_finished());
    }
    let done = done(&ask);
    let bytes = answers.answer(&done).unwrap();
    assert!(is_class(bytes.len()));
    assert_eq!(opener.open(&bytes), Ok(Received::Answer(done.clone())));
    assert!(opener.is_finished());

    let Answer::Done { outputs, receipt } = done else {
        unreachable!()
    };
    assert_eq!(receipt.verify(), Ok(()));
    assert_eq!(receipt.verify_data(&ask.inputs, &outputs), Ok(()));
}

#[test]
fn nothing_of_the_content_is_in_the_sealed_bytes() {
    let sent = sent(1);
    for secret in [
        sent.ask.inputs.encode(),
        sent.ask.voucher.encode(),
        sent.ask.request.encode(),
    ] {
        for part in secret
            .chunks(8)
            .filter(|part| part.len() == 8 && part.iter().any(|b| *b != 0))
        {
            assert!(!sent.sealed.windows(8).any(|window| window == part));
        }
    }
    // The same request sealed again has nothing in common with it.
    let (again, _) = seal::seal(&sent.ring.public(), &sent.header.aad, &sent.ask, &mut rng(2)).unwrap();
    assert_eq!(again.len(), sent.sealed.len());
    assert!(
        !again
            .windows(8)
            .skip(2)
            .any(|window| sent.sealed.windows(8).any(|other| other == window))
    );
}

#[test]
fn sizes_up_to_the_limit_and_not_beyond() {
    let ring = ring();
    let ask = ask_with(large(MAX_TOTAL_TENSOR_BYTES), 0);
    let header = header(&ask, &ring);
    let (sealed, key) = seal::seal(&ring.public(), &header.aad, &ask, &mut rng(1)).unwrap();
    assert_eq!(sealed.len(), MAX_SEALED_BYTES);
    let (opened, _) = seal::open(&ring, &header, &sealed, &mut rng(2)).unwrap();
    assert!(opened == ask);
    // An answer with as much fits, too, with its receipt.
    let answer = AnswerMessage::Final(done_with(&ask, large(MAX_TOTAL_TENSOR_BYTES)));
    assert!(answer.encoded_size() + OVERHEAD_BYTES <= MAX_SEALED_BYTES);

    let longer = [sealed.as_slice(), &[0]].concat();
    let error = seal::open(&ring, &header, &longer, &mut rng(2)).unwrap_err();
    assert_eq!(
        error.refusal(),
        Refusal::TooLarge {
            limit: 16 * 1024 * 1024
        }
    );
    assert_eq!(key.opener().open(&longer), Err(AnswerError::Size(longer.len())));
}

#[test]
fn every_byte_of_a_sealed_request_counts() {
    let sent = sent(3);
    for at in 0..sent.sealed.len() {
        let mut sealed = sent.sealed.clone();
        // The highest bit of the encapsulated key (byte 33) is one that X25519 itself ignores.
        sealed[at] ^= if at == 33 { 0x80 } else { 1 << (at % 8) };
        let error = sent.try_open(&sent.header, &sealed).unwrap_err();
        match at {
            0 => assert!(matches!(error, OpenError::Version(_))),
            1 => assert!(matches!(error, OpenError::Suite(_))),
            _ => assert!(matches!(error, OpenError::Decrypt), "{at}: {error}"),
        }
    }
    for length in [0, 1, 2, 33, 34, 49, 50, 511, sent.sealed.len() - 1] {
        assert!(sent.try_open(&sent.header, &sent.sealed[..length]).is_err());
    }
    // Another class, cut or filled up.
    let longer = [sent.sealed.as_slice(), &vec![0; 2048 - sent.sealed.len()]].concat();
    assert!(matches!(
        sent.try_open(&sent.header, &longer),
        Err(OpenError::Decrypt)
    ));
}

#[test]
fn there_is_no_way_down_to_another_suite() {
    let sent = sent(4);
    for suite in (0..=u8::MAX).filter(|suite| *suite != SUITE) {
        let mut sealed = sent.sealed.clone();
        sealed[1] = suite;
        let error = sent.try_open(&sent.header, &sealed).unwrap_err();
        assert!(matches!(error, OpenError::Suite(s) if s == suite));
        assert_eq!(error.refusal(), Refusal::Malformed);
    }
    let mut sealed = sent.sealed.clone();
    sealed[0] = 2;
    let error = sent.try_open(&sent.header, &sealed).unwrap_err();
    assert_eq!(
        error.refusal(),
        Refusal::UnsupportedVersion { supported: VERSION }
    );
    let header = RouteHeader {
        version: 2,
        ..sent.header.clone()
    };
    let error = sent.try_open(&header, &sent.sealed).unwrap_err();
    assert_eq!(
        error.refusal(),
        Refusal::UnsupportedVersion { supported: VERSION }
    );
}

#[test]
fn a_relay_can_not_make_it_another_request() {
    let sent = sent(5);
    for aad in other_aads(&sent.header.aad) {
        let header = RouteHeader {
            request: aad.request,
            aad,
            ..sent.header.clone()
        };
        assert!(matches!(
            sent.try_open(&header, &sent.sealed),
            Err(OpenError::Decrypt)
        ));
    }
    // Header and data in it disagree.
    let mut header = sent.header.clone();
    header.request.0[0] ^= 1;
    assert!(matches!(
        sent.try_open(&header, &sent.sealed),
        Err(OpenError::Header(_))
    ));
    // What a relay may change, and what it changes as it passes the request on.
    let header = RouteHeader {
        path: Default::default(),
        deadline_ms: 1,
        class: 0,
        hops_left: 0,
        ..sent.header.clone()
    };
    assert!(sent.try_open(&header, &sent.sealed).is_ok());
}

#[test]
fn only_the_host_with_the_key_opens_it() {
    let sent = sent(6);
    let other = KeyRing::generate(&mut rng(60));
    let error = seal::open(&other, &sent.header, &sent.sealed, &mut rng(1)).unwrap_err();
    assert_eq!(
        error.refusal(),
        Refusal::WrongKey {
            current: other.current()
        }
    );
    // A relay that names the other host's key does not help it.
    let header = RouteHeader {
        key: other.current(),
        ..sent.header.clone()
    };
    assert!(matches!(
        seal::open(&other, &header, &sent.sealed, &mut rng(1)),
        Err(OpenError::Decrypt)
    ));
    let header = RouteHeader {
        key: KeyId([0; 8]),
        ..sent.header.clone()
    };
    assert!(matches!(
        sent.try_open(&header, &sent.sealed),
        Err(OpenError::WrongKey { .. })
    ));
}

#[test]
fn a_key_opens_until_its_grace_is_over() {
    let mut sent = sent(7);
    sent.ring.rotate(1_000, 500, &mut rng(70));
    assert!(!sent.ring.erase_expired(1_499));
    assert!(sent.try_open(&sent.header, &sent.sealed).is_ok());
    assert!(sent.ring.erase_expired(1_500));
    let error = sent.try_open(&sent.header, &sent.sealed).unwrap_err();
    assert_eq!(
        error.refusal(),
        Refusal::WrongKey {
            current: sent.ring.current()
        }
    );
}

#[test]
fn a_client_seals_only_what_agrees_and_fits() {
    let ring = ring();
    let ask = ask();
    for aad in other_aads(&ask.aad()) {
        let error = seal::seal(&ring.public(), &aad, &ask, &mut rng(1)).unwrap_err();
        assert!(matches!(error, SealError::Inconsistent(_)));
    }
    let other = Ask {
        channel: 6,
        ..ask.clone()
    };
    assert!(matches!(
        seal::seal(&ring.public(), &other.aad(), &other, &mut rng(1)),
        Err(SealError::Inconsistent(_))
    ));
    // Points of small order: the shared secret would be known to all.
    for key in [[0; 32], {
        let mut one = [0; 32];
        one[0] = 1;
        one
    }] {
        assert_eq!(
            seal::seal(&key, &ask.aad(), &ask, &mut rng(1)).unwrap_err(),
            SealError::BadKey
        );
    }
}

#[test]
fn answers_belong_to_their_request_and_attempt() {
    let (first, second) = (sent(8), sent(9));
    let (_, mut to_first) = first.open();
    let (_, mut to_second) = second.open();
    let (a, b) = (
        to_first.answer(&done(&first.ask)).unwrap(),
        to_second.answer(&done(&second.ask)).unwrap(),
    );
    assert_eq!(first.key.opener().open(&b), Err(AnswerError::Decrypt));
    assert_eq!(second.key.opener().open(&a), Err(AnswerError::Decrypt));
    // The same request, sealed again for a second attempt.
    let (again, key) = seal::seal(&first.ring.public(), &first.header.aad, &first.ask, &mut rng(80)).unwrap();
    let (_, mut to_again) = first.try_open(&first.header, &again).unwrap();
    let c = to_again.answer(&done(&first.ask)).unwrap();
    assert_eq!(first.key.opener().open(&c), Err(AnswerError::Decrypt));
    assert_eq!(key.opener().open(&a), Err(AnswerError::Decrypt));
    assert!(key.opener().open(&c).is_ok());
    assert!(first.key.opener().open(&a).is_ok());
}

/// A relay that sends the sealed request twice gets two answers under one exported secret. They must not share a key
/// and nonce, and can not be mixed.
#[test]
fn a_request_that_arrives_twice_is_answered_under_two_keys() {
    let sent = sent(10);
    let (_, mut one) = seal::open(&sent.ring, &sent.header, &sent.sealed, &mut rng(1)).unwrap();
    let (_, mut two) = seal::open(&sent.ring, &sent.header, &sent.sealed, &mut rng(2)).unwrap();
    let (one, two) = (
        [
            one.progress(&queued(1)).unwrap(),
            one.answer(&done(&sent.ask)).unwrap(),
        ],
        [
            two.progress(&queued(1)).unwrap(),
            two.answer(&Answer::Refused(Refusal::Internal)).unwrap(),
        ],
    );
    // Equal messages under equal keys and nonces would be equal.
    assert_ne!(one[0][34..], two[0][34..]);
    for stream in [&one, &two] {
        let mut opener = sent.key.opener();
        assert!(stream.iter().all(|bytes| opener.open(bytes).is_ok()));
    }
    let mut opener = sent.key.opener();
    opener.open(&one[0]).unwrap();
    assert_eq!(opener.open(&two[1]), Err(AnswerError::Decrypt));
}

#[test]
fn answers_can_not_be_reordered_repeated_left_out_or_cut_off() {
    let sent = sent(11);
    let (ask, mut answers) = sent.open();
    let mut messages = vec![
        answers.progress(&queued(2)).unwrap(),
        answers.progress(&queued(1)).unwrap(),
        answers.progress(&started()).unwrap(),
    ];
    messages.push(answers.answer(&done(&ask)).unwrap());

    // Every order and choice of the four, up to five long: only the one that was sent goes through.
    let mut streams = vec![vec![]];
    for _ in 0..5 {
        let longer: Vec<Vec<usize>> = streams
            .iter()
            .flat_map(|stream: &Vec<usize>| (0..4).map(|next| [stream.as_slice(), &[next]].concat()))
            .filter(|stream| stream[..stream.len() - 1] == [0, 1, 2, 3][..stream.len() - 1])
            .collect();
        streams = longer;
        for stream in &streams {
            let mut opener = sent.key.opener();
            let results: Vec<bool> = stream
                .iter()
                .map(|i| opener.open(&messages[*i]).is_ok())
                .collect();
            let in_order = stream.len() <= 4 && *stream == [0, 1, 2, 3][..stream.len()];
            assert_eq!(results.last(), Some(&in_order), "{stream:?}");
            assert_eq!(opener.is_finished(), stream.starts_with(&[0, 1, 2, 3]));
        }
    }
    // After a message that fails the right one still opens: garbage alone does not decide.
    let mut opener = sent.key.opener();
    assert_eq!(opener.open(&messages[1]), Err(AnswerError::Decrypt));
    for message in &messages {
        assert!(opener.open(message).is_ok());
    }
    assert_eq!(opener.open(&messages[3]), Err(AnswerError::AfterLast));
}

#[test]
fn every_byte_of_an_answer_counts() {
    let sent = sent(12);
    let (ask, mut answers) = sent.open();
    let bytes = answers.answer(&done(&ask)).unwrap();
    let mut opener = sent.key.opener();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(opener.open(&changed).is_err(), "{at}");
    }
    assert!(opener.open(&bytes).is_ok());
}

#[test]
fn a_host_ends_a_stream_once() {
    let sent = sent(13);
    let (ask, mut answers) = sent.open();
    assert!(answers.answer(&done(&ask)).is_ok());
    assert_eq!(
        answers.answer(&Answer::Refused(Refusal::Internal)),
        Err(SealError::Finished)
    );
    assert_eq!(answers.progress(&started()), Err(SealError::Finished));
}

#[test]
fn refusals_in_clear_are_the_ones_that_relays_may_give() {
    let sent = sent(14);
    let refusal = Refusal::NextHopUnreachable { peer: peer(9) };
    let mut opener = sent.key.opener();
    assert_eq!(
        opener.open(&plain_refusal(&refusal)),
        Ok(Received::Plain(refusal))
    );
    assert!(!opener.is_finished());

    // A relay that would like the client to sign more.
    let lie = Refusal::Voucher(VoucherRefused {
        fault: VoucherFault::TooLittle,
        epoch: 1,
        lane: 2,
        nonce: 43,
        signed: 0,
        served: 0,
        needed: u128::MAX,
    });
    assert_eq!(opener.open(&plain_refusal(&lie)), Err(AnswerError::NotPlain(41)));
    for bytes in [
        &[VERSION, 0][..],
        &[VERSION, 0, 200],
        &[VERSION, 0, 12, 0],
        &[VERSION],
        &[],
        &[2, 0, 12],
    ] {
        assert!(opener.open(bytes).is_err());
    }
    assert!(matches!(
        opener.open(&[&[VERSION, 0, 21][..], &[0; 300]].concat()),
        Err(AnswerError::Size(303))
    ));
    // It does not get in the way of the answer.
    let (ask, mut answers) = sent.open();
    assert!(opener.open(&answers.answer(&done(&ask)).unwrap()).is_ok());
}

#[test]
fn secrets_do_not_show() {
    let sent = sent(15);
    let (ask, answers) = sent.open();
    let shown = format!("{:?} {answers:?} {:?} {ask:?}", sent.key, sent.key.opener());
    assert!(!shown.contains("data: ["), "{shown}");
    let secret: Vec<String> = sent.ring.to_bytes()[1..33].iter().map(u8::to_string).collect();
    assert!(!format!("{:?}", sent.ring).contains(&secret.join(", ")));
    assert!(shown.len() < 3_000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_request_arrives(values in proptest::collection::vec(any::<f32>(), 1..600), seed in any::<u64>()) {
        let ring = ring();
        let ask = ask_with(tensors("x", &values), 3);
        let header = header(&ask, &ring);
        let (sealed, key) = seal::seal(&ring.public(), &header.aad, &ask, &mut rng(seed)).unwrap();
        prop_assert!(is_class(sealed.len()));
        let (opened, mut answers) = seal::open(&ring, &header, &sealed, &mut rng(seed)).unwrap();
        let answer = answers.answer(&done_with(&opened, tensors("y", &values))).unwrap();
        let received = key.opener().open(&answer);
        prop_assert!(opened.encode() == ask.encode());
        let done = matches!(received, Ok(Received::Answer(Answer::Done { .. })));
        prop_assert!(done);
    }

    #[test]
    fn garbage_is_refused(mut bytes in proptest::collection::vec(any::<u8>(), 768), right_start in any::<bool>()) {
        if right_start {
            bytes[..2].copy_from_slice(&[VERSION, SUITE]);
        }
        let sent = sent(16);
        prop_assert!(sent.try_open(&sent.header, &bytes).is_err());
        prop_assert!(sent.key.opener().open(&bytes).is_err());
    }

    #[test]
    fn bits_flipped_in_the_header_never_lead_to_another_request(at in 0usize..1_000, bit in 0u8..8) {
        let sent = sent(17);
        let mut bytes = sent.header.encode();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        if let Ok(header) = llmesh_protocol::wire::decode_header(&bytes)
            && let Ok((ask, _)) = sent.try_open(&header, &sent.sealed)
        {
            prop_assert_eq!(&header.aad, &sent.header.aad);
            prop_assert_eq!(ask, sent.ask);
        }
    }
}
