//! What a verifier makes of what it is shown.

use super::{
    evidence::hash_encoded,
    judge::{preimages, sketch_of},
};
use codec::Encode;
use llmesh_chain::H256;
use llmesh_engine::ProbeTensor;
use llmesh_primitives::{
    ElementType, Receipt, RuntimeClass, Sketch, Tensor, Tensors, WorkOrigin, attestation::Preimages,
};
use llmesh_proofs::sketch::sketch;
use proptest::prelude::*;
use sp_runtime::Perbill;

const SEED: H256 = H256::repeat_byte(5);
/// 5e-4: outputs may differ by 5e-3.
const TOLERANCE: Perbill = Perbill::from_parts(500_000);
const LOGITS: [f32; 3] = [4.5, -2.25, 0.5];
const SCORES: [f32; 3] = [0.75, 0.125, 0.125];

fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn tensors(name: &str, element_type: ElementType, shape: &[u32], data: Vec<u8>) -> Vec<u8> {
    let tensor = Tensor::new(name, element_type, shape, data).unwrap();
    Tensors::try_from(vec![tensor]).unwrap().encode()
}

fn outputs(values: &[f32]) -> Vec<u8> {
    tensors("y", ElementType::F32, &[1, values.len() as u32], f32s(values))
}

fn probe(values: &[f32]) -> Vec<u8> {
    let shape = [1, values.len() as u32];
    ProbeTensor::new("logits", ElementType::F32, &shape, f32s(values))
        .unwrap()
        .encode()
}

/// A receipt for these outputs and this probe.
fn receipt(outputs: &[u8], probe: Option<&[u8]>) -> Receipt {
    Receipt {
        origin: WorkOrigin::Job(1),
        model: H256::repeat_byte(0x22),
        runtime_class: RuntimeClass::CpuFloat,
        input_hash: H256::repeat_byte(0x33),
        output_hash: hash_encoded(outputs),
        probe_hash: probe.map(hash_encoded),
        units: 1,
        fee: 1,
    }
}

/// Judges a host that shows what it has the hashes of, and published the sketch of it.
fn judge(outputs: &[u8], probe: Option<&[u8]>, own: &[u8]) -> Preimages {
    let receipt = receipt(outputs, probe);
    let published = sketch_of(SEED, &receipt, outputs, probe).expect("there is something to compare");
    preimages(SEED, &receipt, &published, Some((outputs, probe)), own, TOLERANCE)
}

/// Judges outputs that come with a good probe.
fn judge_outputs(theirs: &[u8], own: &[u8]) -> Preimages {
    judge(theirs, Some(&probe(&LOGITS)), own)
}

#[test]
fn the_sketch_is_that_of_the_probe_or_else_of_the_outputs() {
    let (outputs, probe) = (outputs(&SCORES), probe(&LOGITS));
    let with = receipt(&outputs, Some(&probe));
    let of_probe = sketch(SEED, [(ElementType::F32, f32s(&LOGITS).as_slice())]);
    assert_eq!(sketch_of(SEED, &with, &outputs, Some(&probe)), Some(of_probe));
    assert_eq!(sketch_of(SEED, &with, b"whatever", Some(&probe)), Some(of_probe));
    assert_eq!(sketch_of(SEED, &with, &outputs, None), None);
    assert_eq!(
        sketch_of(SEED, &with, &outputs, Some(b"no tensor".as_slice())),
        None
    );

    let without = receipt(&outputs, None);
    let of_outputs = sketch(SEED, [(ElementType::F32, f32s(&SCORES).as_slice())]);
    assert_eq!(sketch_of(SEED, &without, &outputs, None), Some(of_outputs));
    assert_eq!(sketch_of(SEED, &without, b"\xffno tensors", None), None);
    let elsewhere = sketch_of(H256::zero(), &without, &outputs, None);
    assert_ne!(elsewhere, Some(of_outputs), "another stage has another seed");
}

#[test]
fn what_holds_is_good() {
    let mine = outputs(&SCORES);
    assert_eq!(judge_outputs(&mine, &mine), Preimages::Good);
    assert_eq!(
        judge(&mine, None, &mine),
        Preimages::Good,
        "a model without a probe"
    );
}

#[test]
fn what_does_not_have_the_receipt_s_hashes_is_missing() {
    let (mine, logits) = (outputs(&SCORES), probe(&LOGITS));
    let (other, other_logits) = (outputs(&[0.5, 0.25, 0.25]), probe(&[1.0, 2.0, 3.0]));
    let receipt = |probe: Option<&[u8]>| receipt(&mine, probe);
    let (with, without) = (receipt(Some(logits.as_slice())), receipt(None));
    let published = |receipt: &Receipt, probe| sketch_of(SEED, receipt, &mine, probe).unwrap();
    let judged = |receipt: &Receipt, published: &Sketch, shown| {
        preimages(SEED, receipt, published, shown, &mine, TOLERANCE)
    };

    let sketched = published(&with, Some(logits.as_slice()));
    for shown in [
        None,
        Some((other.as_slice(), Some(logits.as_slice()))),
        Some((mine.as_slice(), Some(other_logits.as_slice()))),
        Some((mine.as_slice(), None)),
        Some((b"".as_slice(), Some(b"".as_slice()))),
    ] {
        assert_eq!(judged(&with, &sketched, shown), Preimages::Missing, "{shown:?}");
    }
    let sketched = published(&without, None);
    for shown in [
        None,
        Some((other.as_slice(), None)),
        // The receipt has no probe: this one is somebody else's.
        Some((mine.as_slice(), Some(logits.as_slice()))),
    ] {
        assert_eq!(
            judged(&without, &sketched, shown),
            Preimages::Missing,
            "{shown:?}"
        );
    }
}

#[test]
fn a_sketch_that_does_not_follow_from_the_probe_is_bad() {
    let (mine, logits) = (outputs(&SCORES), probe(&LOGITS));
    let receipt = receipt(&mine, Some(&logits));
    let other = ProbeTensor::new("logits", ElementType::F32, &[1, 3], f32s(&[4.5, -2.25, 0.75])).unwrap();
    let right = sketch(SEED, [(ElementType::F32, f32s(&LOGITS).as_slice())]);
    let mut nearly = right;
    nearly.0[0] += 1;
    for (published, expected) in [
        (right, Preimages::Good),
        (sketch(SEED, [other.compared()]), Preimages::Bad),
        (
            sketch(H256::zero(), [(ElementType::F32, f32s(&LOGITS).as_slice())]),
            Preimages::Bad,
        ),
        // It is the host's own bytes: there is nothing to allow for.
        (nearly, Preimages::Bad),
    ] {
        let shown = Some((mine.as_slice(), Some(logits.as_slice())));
        assert_eq!(
            preimages(SEED, &receipt, &published, shown, &mine, TOLERANCE),
            expected
        );
    }
}

#[test]
fn bytes_that_are_no_tensors_are_bad() {
    let (mine, logits) = (outputs(&SCORES), probe(&LOGITS));
    assert_eq!(judge_outputs(b"\xffno tensors", &mine), Preimages::Bad);
    let mut longer = mine.clone();
    longer.push(0);
    assert_eq!(judge_outputs(&longer, &mine), Preimages::Bad);
    // Such a probe has no sketch, so whatever was published is not its own.
    let garbage = b"no probe".as_slice();
    let receipt = receipt(&mine, Some(garbage));
    let published = sketch(SEED, [(ElementType::F32, logits.as_slice())]);
    let shown = Some((mine.as_slice(), Some(garbage)));
    assert_eq!(
        preimages(SEED, &receipt, &published, shown, &mine, TOLERANCE),
        Preimages::Bad
    );
}

#[test]
fn a_verifier_without_outputs_of_its_own_accuses_nobody() {
    assert_eq!(judge_outputs(&outputs(&[0.0, 0.0, 1.0]), b""), Preimages::Missing);
}

#[test]
fn outputs_have_to_follow_from_the_probe() {
    let mine = outputs(&SCORES);
    // The probe is the right one, but the answer that the client got is not.
    assert_eq!(
        judge_outputs(&outputs(&[0.125, 0.75, 0.125]), &mine),
        Preimages::Bad
    );
    let data = f32s(&SCORES);
    for theirs in [
        tensors("z", ElementType::F32, &[1, 3], data.clone()),
        tensors("y", ElementType::F32, &[3], data.clone()),
        tensors("y", ElementType::I32, &[1, 3], data.clone()),
        tensors("y", ElementType::F32, &[1, 2], f32s(&SCORES[..2])),
        Tensors::default().encode(),
    ] {
        assert_eq!(judge_outputs(&theirs, &mine), Preimages::Bad);
    }
    let pair = vec![Tensor::new("y", ElementType::F32, &[1, 3], data).unwrap(); 2];
    let pair = Tensors::try_from(pair).unwrap().encode();
    assert_eq!(judge_outputs(&pair, &mine), Preimages::Bad);
}

#[test]
fn outputs_may_differ_by_ten_times_the_tolerance() {
    let scaled = |by: f32| SCORES.map(|score| score * by);
    let mine = outputs(&SCORES);
    for (by, expected) in [
        (1.004, Preimages::Good),
        (0.996, Preimages::Good),
        (1.006, Preimages::Bad),
        (0.994, Preimages::Bad),
    ] {
        assert_eq!(judge_outputs(&outputs(&scaled(by)), &mine), expected, "{by}");
    }
    // Of numbers that are all but zero only rounding is allowed.
    let zeros = outputs(&[0.0; 3]);
    assert_eq!(
        judge_outputs(&outputs(&[9e-7, 0.0, -0.0]), &zeros),
        Preimages::Good
    );
    assert_eq!(judge_outputs(&outputs(&[2e-6, 0.0, 0.0]), &zeros), Preimages::Bad);

    let doubles = |by: f64| {
        let data = SCORES
            .iter()
            .flat_map(|score| (f64::from(*score) * by).to_le_bytes());
        tensors("y", ElementType::F64, &[1, 3], data.collect())
    };
    assert_eq!(judge_outputs(&doubles(1.004), &doubles(1.0)), Preimages::Good);
    assert_eq!(judge_outputs(&doubles(1.006), &doubles(1.0)), Preimages::Bad);
}

#[test]
fn what_is_no_number_has_to_be_the_same() {
    let (nan, infinite) = (f32::NAN, f32::INFINITY);
    for (theirs, own, expected) in [
        ([nan, 1.0], [nan, 1.0], Preimages::Good),
        // Which of them an operation yields differs between CPUs.
        ([nan, 1.0], [-nan, 1.0], Preimages::Good),
        ([infinite, 1.0], [infinite, 1.0], Preimages::Good),
        ([nan, 1.001], [nan, 1.0], Preimages::Good),
        ([nan, 2.0], [nan, 1.0], Preimages::Bad),
        ([nan, 1.0], [0.5, 1.0], Preimages::Bad),
        ([0.5, 1.0], [nan, 1.0], Preimages::Bad),
        ([infinite, 1.0], [-infinite, 1.0], Preimages::Bad),
        ([f32::MAX, 1.0], [infinite, 1.0], Preimages::Bad),
        ([nan, 1.0], [infinite, 1.0], Preimages::Bad),
    ] {
        let (theirs_encoded, own_encoded) = (outputs(&theirs), outputs(&own));
        assert_eq!(
            judge_outputs(&theirs_encoded, &own_encoded),
            expected,
            "{theirs:?}, {own:?}"
        );
    }
}

#[test]
fn whole_and_half_precision_numbers_are_not_judged() {
    for (element_type, bytes) in [
        (ElementType::I64, 8),
        (ElementType::I32, 4),
        (ElementType::U8, 1),
        (ElementType::Bool, 1),
        (ElementType::F16, 2),
        (ElementType::BF16, 2),
    ] {
        let of = |value: u8| {
            let mut data = vec![0; bytes];
            data[0] = value;
            tensors("class", element_type, &[1], data)
        };
        assert_eq!(judge_outputs(&of(1), &of(0)), Preimages::Good, "{element_type:?}");
    }
}

#[test]
fn without_a_probe_the_outputs_are_what_is_sketched() {
    let mine = outputs(&SCORES);
    let near = outputs(&SCORES.map(|score| score * 1.001));
    let far = outputs(&[0.125, 0.75, 0.125]);
    assert_eq!(judge(&near, None, &mine), Preimages::Good);
    assert_eq!(judge(&far, None, &mine), Preimages::Bad);
    // The sketch of what it should have answered, after it saw that of a verifier.
    let receipt = receipt(&far, None);
    let published = sketch(SEED, [(ElementType::F32, f32s(&SCORES).as_slice())]);
    let shown = Some((far.as_slice(), None));
    assert_eq!(
        preimages(SEED, &receipt, &published, shown, &far, TOLERANCE),
        Preimages::Bad
    );
}

proptest! {
    #[test]
    fn the_slack_is_relative(
        own in proptest::collection::vec(-10f32..10.0, 1..50),
        near in -0.0045f32..0.0045,
        far in 0.006f32..1.0,
    ) {
        let mut own = own;
        own[0] = 1.0;
        let scaled = |by: f32| outputs(&own.iter().map(|value| value * by).collect::<Vec<_>>());
        let mine = outputs(&own);
        prop_assert_eq!(judge_outputs(&scaled(1.0 + near), &mine), Preimages::Good);
        prop_assert_eq!(judge_outputs(&scaled(1.0 + far), &mine), Preimages::Bad);
        prop_assert_eq!(judge_outputs(&scaled(1.0 - far), &mine), Preimages::Bad);
    }

    #[test]
    fn garbage_is_never_good(
        theirs in proptest::collection::vec(any::<u8>(), 0..200),
        probe in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200)),
        own in proptest::collection::vec(any::<u8>(), 0..200),
        published in any::<[i64; 16]>(),
    ) {
        let receipt = receipt(&theirs, probe.as_deref());
        let shown = Some((theirs.as_slice(), probe.as_deref()));
        for own in [own, outputs(&SCORES)] {
            let judged = preimages(SEED, &receipt, &Sketch(published), shown, &own, TOLERANCE);
            prop_assert_ne!(judged, Preimages::Good);
        }
    }
}
