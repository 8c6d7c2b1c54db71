//! The store of evidence: what is kept, how long, and that every claim's tree can be had again.

use super::evidence::{Ballot, Evidence, EvidenceError, EvidenceStore, LaneEpoch, hash_encoded};
use codec::Encode;
use llmesh_chain::{H256, Signer};
use llmesh_primitives::{
    ElementType, Receipt, RuntimeClass, Sketch, Tensor, Tensors, Work, WorkOrigin,
    attestation::{Finding, SKETCH_SIZE},
};
use llmesh_proofs::{RequestTerms, SignedReceipt};
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

const SPACE: u64 = 1 << 26;
const HOST: [u8; 32] = [7; 32];
const LANE: LaneEpoch = LaneEpoch {
    channel: 5,
    epoch: 1,
    lane: 2,
};

/// Hash and value of leaves, by sequence.
type Leaves = BTreeMap<u64, (H256, u128)>;

fn open(folder: &Path) -> EvidenceStore {
    EvidenceStore::open(folder, SPACE).unwrap()
}

fn evidence(origin: WorkOrigin, fee: u128, salt: u8) -> (H256, Evidence) {
    let (inputs, outputs, probe) = (vec![salt; 40], vec![salt; 20], vec![salt; 30]);
    let receipt = Receipt {
        origin,
        model: H256::repeat_byte(0x22),
        runtime_class: RuntimeClass::CpuFloat,
        input_hash: hash_encoded(&inputs),
        output_hash: hash_encoded(&outputs),
        probe_hash: Some(hash_encoded(&probe)),
        units: 1_000,
        fee,
    };
    let evidence = Evidence {
        receipt,
        signed: None,
        version: 3,
        inputs,
        outputs,
        probe: Some(probe),
    };
    (evidence.receipt.hash(&HOST), evidence)
}

/// The answer with this sequence on a lane; different salts are different answers.
fn answer(lane: LaneEpoch, sequence: u64, fee: u128, salt: u8) -> (H256, Evidence) {
    let origin = WorkOrigin::Request {
        channel: lane.channel,
        epoch: lane.epoch,
        lane: lane.lane,
        sequence,
        request: H256::from_low_u64_be(sequence),
    };
    evidence(origin, fee, salt)
}

fn size(evidence: &Evidence) -> u64 {
    evidence.encoded_size() as u64
}

/// Keeps an answer of a lane, with the salt 0, and returns its receipt's hash.
async fn put(store: &EvidenceStore, lane: LaneEpoch, sequence: u64, fee: u128) -> H256 {
    let (hash, evidence) = answer(lane, sequence, fee, 0);
    store.put(hash, evidence, None).await.unwrap();
    hash
}

fn has(store: &EvidenceStore, hash: H256) -> bool {
    store.get(hash).unwrap().is_some()
}

/// The tree that a claim stated can be had again: it has these leaves and no others, proves each of them to whoever has
/// the claim, and finds the one under a point.
fn check_tree(store: &EvidenceStore, lane: LaneEpoch, work: &Work, leaves: &Leaves) {
    let (tree, hashes) = store
        .tree(lane, work.root)
        .unwrap()
        .expect("the tree of a claim is there");
    assert_eq!(tree.work(), *work);
    let last = leaves.keys().next_back().copied().unwrap_or(0);
    assert_eq!(u64::from(work.leaves), last);
    assert_eq!(hashes.len() as u64, last);
    let mut from = 0;
    for (index, sequence) in (0u32..).zip(1..=last) {
        let (hash, fee) = leaves.get(&sequence).copied().unwrap_or((H256::zero(), 0));
        assert_eq!(hashes[index as usize], hash, "sequence {sequence}");
        let proof = tree.proof(index).unwrap();
        assert_eq!(proof.verify(work, hash, fee), Some(from..from + fee));
        assert_eq!(proof.verify(work, hash, fee + 1), None);
        if fee > 0 {
            assert_eq!(tree.locate(from), Some(index));
            assert_eq!(tree.locate(from + fee - 1), Some(index));
        }
        from += fee;
    }
    assert_eq!(work.value, from);
    assert_eq!(tree.locate(from), None);
}

#[tokio::test]
async fn evidence_survives_a_restart_and_its_receipt_holds() {
    let folder = tempfile::tempdir().unwrap();
    let (client, host) = (
        Signer::from_seed(&[1; 32]).unwrap(),
        Signer::from_seed(&[2; 32]).unwrap(),
    );
    let tensors = |name: &str, byte| -> Tensors {
        let tensor = Tensor::new(name, ElementType::U8, &[3], vec![byte; 3]).unwrap();
        vec![tensor].try_into().unwrap()
    };
    let (inputs, outputs) = (tensors("x", 1), tensors("y", 2));
    let (_, mut kept) = answer(LANE, 42, 900, 0);
    (kept.inputs, kept.outputs) = (inputs.encode(), outputs.encode());
    let terms = RequestTerms {
        genesis: H256::repeat_byte(0x11),
        client: client.account32(),
        model: kept.receipt.model,
        version: kept.version,
        input_hash: hash_encoded(&kept.inputs),
        max_price: 1_000,
        host: host.account32(),
        expires_at: 1_800_000_000_000,
        salt: [9; 16],
    };
    kept.receipt.input_hash = terms.input_hash;
    kept.receipt.output_hash = hash_encoded(&kept.outputs);
    if let WorkOrigin::Request { request, .. } = &mut kept.receipt.origin {
        *request = terms.id();
    }
    let request = terms.signed(|id| client.sign(id));
    let signed = SignedReceipt::new(kept.receipt.clone(), host.account32(), request, |hash| {
        host.sign(hash)
    });
    let hash = signed.hash();
    kept.signed = Some(signed);

    {
        let store = open(folder.path());
        assert_eq!(store.get(hash), Ok(None));
        assert_eq!(store.size(), (0, SPACE));
        store.put(hash, kept.clone(), None).await.unwrap();
        assert_eq!(store.get(hash), Ok(Some(kept.clone())));
        // The last clone closes it.
        let clone = store.clone();
        drop(store);
        assert!(has(&clone, hash));
    }
    let store = open(folder.path());
    assert_eq!(store.size(), (size(&kept), SPACE));
    let found = store.get(hash).unwrap().unwrap();
    assert_eq!(found, kept);
    let signed = found.signed.unwrap();
    assert_eq!(signed.verify(), Ok(()));
    assert_eq!(signed.verify_data(&inputs, &outputs), Ok(()));
    assert_eq!(signed.leaf(), Some((41, hash, 900)));
    let work = store.work(LANE).await.unwrap();
    check_tree(&store, LANE, &work, &Leaves::from([(42, (hash, 900))]));
}

#[tokio::test]
async fn a_claim_s_tree_stays_when_more_receipts_come() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut leaves = Leaves::new();
    for (sequence, fee) in [(1, 10), (3, 30)] {
        leaves.insert(sequence, (put(&store, LANE, sequence, fee).await, fee));
    }
    let first = store.work(LANE).await.unwrap();
    assert_eq!((first.leaves, first.value), (3, 40), "a gap is an empty leaf");
    let then = leaves.clone();

    // One of them took longer than one with a higher number that was claimed.
    for (sequence, fee) in [(2, 20), (6, 60)] {
        leaves.insert(sequence, (put(&store, LANE, sequence, fee).await, fee));
    }
    check_tree(&store, LANE, &first, &then);
    let second = store.work(LANE).await.unwrap();
    assert_eq!((second.leaves, second.value), (6, 120));
    assert_ne!(first.root, second.root);
    for _ in 0..3 {
        assert_eq!(
            store.work(LANE).await,
            Ok(second),
            "without new receipts it is the same"
        );
    }
    drop(store);

    let store = open(folder.path());
    check_tree(&store, LANE, &first, &then);
    check_tree(&store, LANE, &second, &leaves);
    assert_eq!(store.work(LANE).await, Ok(second));
}

#[tokio::test]
async fn only_trees_that_were_claimed_on_the_lane_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let next = LaneEpoch { epoch: 2, ..LANE };
    let other = LaneEpoch { lane: 3, ..LANE };

    let nothing = store.work(LANE).await.unwrap();
    assert_eq!((nothing.leaves, nothing.value), (0, 0));
    check_tree(&store, LANE, &nothing, &Leaves::new());

    let mine = put(&store, LANE, 1, 10).await;
    put(&store, next, 1, 20).await;
    put(&store, other, 2, 30).await;
    // A job's result has no place in a lane.
    let (job, evidence) = evidence(WorkOrigin::Job(1), 40, 0);
    store.put(job, evidence, Some(1)).await.unwrap();
    let work = store.work(LANE).await.unwrap();
    check_tree(&store, LANE, &work, &Leaves::from([(1, (mine, 10))]));
    for (lane, root) in [
        (LANE, H256::repeat_byte(1)),
        (next, work.root),
        (other, work.root),
    ] {
        assert!(store.tree(lane, root).unwrap().is_none());
    }
}

#[tokio::test]
async fn a_full_store_refuses_and_forgets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (first, one) = answer(LANE, 1, 10, 0);
    let (second, two) = answer(LANE, 2, 20, 0);
    let (third, three) = answer(LANE, 3, 30, 0);
    let full = size(&one) + size(&two);
    let capacity = full + size(&three) - 1;
    let store = EvidenceStore::open(folder.path(), capacity).unwrap();
    assert!(store.has_room(capacity) && !store.has_room(capacity + 1));
    store.put(first, one.clone(), None).await.unwrap();
    store.put(second, two, None).await.unwrap();
    assert_eq!(store.size(), (full, capacity));

    let error = store.put(third, three.clone(), None).await.unwrap_err();
    assert!(matches!(&error, EvidenceError::Full { .. }), "{error}");
    assert!(error.to_string().contains("--evidence-space"), "{error}");
    assert_eq!(store.size(), (full, capacity));
    assert!(store.has_room(size(&three) - 1) && !store.has_room(size(&three)));
    assert!(!has(&store, third));
    // What is there can be given again: it takes no room.
    store.put(first, one, None).await.unwrap();
    assert_eq!(store.size(), (full, capacity));
    let leaves = Leaves::from([(1, (first, 10)), (2, (second, 20))]);
    let work = store.work(LANE).await.unwrap();
    check_tree(&store, LANE, &work, &leaves);

    // Room comes back with what is paid.
    store.paid(LANE, 10, 100).await.unwrap();
    store.prune(101).await.unwrap();
    assert!(!has(&store, first) && has(&store, second));
    store.put(third, three, None).await.unwrap();
    assert!(has(&store, third));
    drop(store);

    // A store that is given less space keeps what it has, and takes no more.
    let store = EvidenceStore::open(folder.path(), 1).unwrap();
    assert!(has(&store, second) && has(&store, third));
    let (hash, evidence) = answer(LANE, 4, 1, 0);
    let refused = store.put(hash, evidence, None).await;
    assert!(matches!(refused, Err(EvidenceError::Full { .. })));
}

#[tokio::test]
async fn pruning_takes_what_is_due_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (early, first) = evidence(WorkOrigin::Job(1), 1, 1);
    let (late, second) = evidence(WorkOrigin::Job(2), 1, 2);
    let (unclaimed, third) = answer(LANE, 1, 1, 3);
    let sizes = [size(&first), size(&second), size(&third)];
    store.put(early, first, Some(100)).await.unwrap();
    store.put(late, second, Some(200)).await.unwrap();
    store.put(unclaimed, third, None).await.unwrap();
    assert_eq!(store.size().0, sizes.iter().sum::<u64>());

    store.prune(100).await.unwrap();
    assert!(
        has(&store, early),
        "it is of use up to and including the time given"
    );
    store.prune(101).await.unwrap();
    assert!(!has(&store, early) && has(&store, late) && has(&store, unclaimed));
    assert_eq!(store.size().0, sizes[1] + sizes[2]);
    store.prune(u64::MAX).await.unwrap();
    assert!(!has(&store, late));
    assert!(has(&store, unclaimed), "what was not claimed never gets old");
    assert_eq!(store.size().0, sizes[2]);
    drop(store);
    assert_eq!(open(folder.path()).size().0, sizes[2]);
}

#[tokio::test]
async fn payment_releases_the_receipts_that_it_covers_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut hashes = Vec::new();
    for (sequence, fee) in [(1, 10), (2, 20), (3, 30)] {
        hashes.push(put(&store, LANE, sequence, fee).await);
    }
    let there = || -> Vec<bool> { hashes.iter().map(|hash| has(&store, *hash)).collect() };

    // Not claimed yet: whatever was paid was paid for something else.
    store.paid(LANE, 1_000, 50).await.unwrap();
    store.prune(51).await.unwrap();
    assert_eq!(there(), [true; 3]);

    let work = store.work(LANE).await.unwrap();
    let unclaimed = put(&store, LANE, 4, 40).await;
    store.paid(LANE, 9, 60).await.unwrap();
    store.prune(61).await.unwrap();
    assert_eq!(there(), [true; 3]);
    store.paid(LANE, 29, 100).await.unwrap();
    // It is not needed longer for being paid once more.
    store.paid(LANE, 29, 1_000).await.unwrap();
    store.prune(100).await.unwrap();
    assert_eq!(there(), [true; 3]);
    store.prune(101).await.unwrap();
    assert_eq!(there(), [false, true, true]);
    store.paid(LANE, 60, 200).await.unwrap();
    store.prune(201).await.unwrap();
    assert_eq!(there(), [false; 3]);
    assert!(has(&store, unclaimed));

    // Proofs of old receipts need the leaves beside them: these stay until the lane is over.
    let leaves = hashes.iter().copied().zip([10, 20, 30]);
    check_tree(&store, LANE, &work, &(1..).zip(leaves).collect());
}

#[tokio::test]
async fn a_lane_that_is_over_goes_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let others = [
        LaneEpoch { channel: 4, ..LANE },
        LaneEpoch { channel: 6, ..LANE },
        LaneEpoch { epoch: 0, ..LANE },
        LaneEpoch { epoch: 2, ..LANE },
        LaneEpoch { lane: 1, ..LANE },
        LaneEpoch { lane: 3, ..LANE },
    ];
    let claimed = put(&store, LANE, 1, 10).await;
    let work = store.work(LANE).await.unwrap();
    let unclaimed = put(&store, LANE, 2, 20).await;
    let mut kept = Vec::new();
    for lane in others {
        let hash = put(&store, lane, 1, 10).await;
        kept.push((lane, hash, store.work(lane).await.unwrap()));
    }

    store.over(LANE, 300).await.unwrap();
    store.prune(300).await.unwrap();
    assert!(has(&store, claimed) && has(&store, unclaimed));
    check_tree(&store, LANE, &work, &Leaves::from([(1, (claimed, 10))]));
    store.prune(301).await.unwrap();
    assert!(!has(&store, claimed) && !has(&store, unclaimed));
    assert!(store.tree(LANE, work.root).unwrap().is_none());
    store.prune(u64::MAX).await.unwrap();
    for (lane, hash, work) in &kept {
        assert!(has(&store, *hash), "{lane:?}");
        check_tree(&store, *lane, work, &Leaves::from([(1, (*hash, 10))]));
        store.over(*lane, 400).await.unwrap();
    }
    store.prune(401).await.unwrap();
    assert_eq!(store.size().0, 0);
}

#[tokio::test]
async fn a_sequence_that_was_claimed_is_not_another_receipt_s() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let [(first, one), (second, two), (third, three)] = [1, 2, 3].map(|salt| answer(LANE, 1, 10, salt));
    store.put(first, one, None).await.unwrap();
    // A crash lost the number before anybody saw the answer.
    store.put(second, two.clone(), None).await.unwrap();
    assert!(!has(&store, first) && has(&store, second));
    assert_eq!(store.size().0, size(&two));
    let work = store.work(LANE).await.unwrap();
    let leaves = Leaves::from([(1, (second, 10))]);
    check_tree(&store, LANE, &work, &leaves);

    let before = store.size();
    assert_eq!(store.put(third, three, None).await, Err(EvidenceError::Taken));
    assert!(!has(&store, third));
    assert_eq!(store.size(), before);
    store.put(second, two, None).await.unwrap();
    assert_eq!(store.work(LANE).await, Ok(work));
    check_tree(&store, LANE, &work, &leaves);
}

/// An answer took longer than one with a higher number that was claimed and paid meanwhile. In the next claim's tree the
/// paid one is further along, where that claim's batch is: it has to be there as long as that batch can be drawn.
#[tokio::test]
async fn a_late_answer_keeps_the_ones_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let second = put(&store, LANE, 2, 10).await;
    let claimed = store.work(LANE).await.unwrap();
    store.paid(LANE, claimed.value, 100).await.unwrap();
    let first = put(&store, LANE, 1, 10).await;

    store.prune(1_000).await.unwrap();
    let next = store.work(LANE).await.unwrap();
    let (tree, hashes) = store.tree(LANE, next.root).unwrap().unwrap();
    let drawn = tree.locate(claimed.value).unwrap();
    assert_eq!(
        hashes[drawn as usize], second,
        "the new value is where the old receipt is"
    );
    assert!(has(&store, second));
    store.paid(LANE, next.value, 2_000).await.unwrap();
    store.prune(2_000).await.unwrap();
    assert!(has(&store, first) && has(&store, second));
    store.prune(2_001).await.unwrap();
    assert_eq!(store.size().0, 0);
}

fn ballot(salt: u8) -> Ballot {
    Ballot {
        finding: Finding::Ran(Sketch([i64::from(salt) - 100; SKETCH_SIZE])),
        salt: [salt; 32],
        outputs: vec![salt; 5],
    }
}

#[tokio::test]
async fn what_was_found_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let newest = 1 << 40;
    let none = Ballot {
        finding: Finding::NoInput,
        salt: [0; 32],
        outputs: Vec::new(),
    };
    {
        let store = open(folder.path());
        store.put_ballot(3, 0, ballot(1)).await.unwrap();
        store.put_ballot(3, 1, ballot(2)).await.unwrap();
        store.put_ballot(4, 0, none.clone()).await.unwrap();
    }
    let store = open(folder.path());
    assert_eq!(store.ballot(3, 0), Ok(Some(ballot(1))));
    assert_eq!(store.ballot(3, 1), Ok(Some(ballot(2))));
    assert_eq!(store.ballot(4, 0), Ok(Some(none)));
    for (audit, stage) in [(2, 0), (3, 2), (4, 1), (5, 0)] {
        assert_eq!(store.ballot(audit, stage), Ok(None));
    }
    // Those of long ago go; they are not counted as evidence.
    assert_eq!(store.size().0, 0);
    store.prune(u64::MAX).await.unwrap();
    assert_eq!(store.ballot(3, 1), Ok(Some(ballot(2))));
    store.put_ballot(newest - 1, 2, ballot(3)).await.unwrap();
    store.put_ballot(newest, 0, ballot(4)).await.unwrap();
    store.prune(0).await.unwrap();
    assert_eq!(store.ballot(3, 1), Ok(None));
    assert_eq!(store.ballot(newest - 1, 2), Ok(Some(ballot(3))));
    assert_eq!(store.ballot(newest, 0), Ok(Some(ballot(4))));
}

#[test]
fn another_chain_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (H256::repeat_byte(1), H256::repeat_byte(2));
    {
        let store = open(folder.path());
        store.bind(here).unwrap();
        store.bind(here).unwrap();
    }
    let store = open(folder.path());
    let error = store.bind(there).unwrap_err();
    assert!(matches!(&error, EvidenceError::OtherChain { .. }), "{error}");
    assert!(error.to_string().contains("--base-path"), "{error}");
    store.bind(here).unwrap();
}

#[test]
fn a_file_that_is_no_store_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("evidence.redb");
    std::fs::write(&file, b"not a database, but long enough to be read").unwrap();
    let error = EvidenceStore::open(folder.path(), SPACE).unwrap_err();
    assert!(matches!(&error, EvidenceError::Database { .. }), "{error}");
    // What a crash left of a file that was being made does not matter.
    std::fs::remove_file(&file).unwrap();
    std::fs::write(file.with_extension("redb.new"), b"half").unwrap();
    assert_eq!(open(folder.path()).size(), (0, SPACE));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_are_all_durable() {
    /// More than wait in the queue at a time.
    const ANSWERS: u64 = 5_000;
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut tasks = tokio::task::JoinSet::new();
    for sequence in 1..=ANSWERS {
        let store = store.clone();
        tasks.spawn(async move {
            let hash = put(&store, LANE, sequence, u128::from(sequence)).await;
            assert!(has(&store, hash), "it is there when `put` returns");
            // Claims are made while answers come.
            let work = match sequence % 250 {
                0 => Some(store.work(LANE).await.unwrap()),
                _ => None,
            };
            (sequence, hash, work)
        });
    }
    let mut all = Leaves::new();
    let mut works = Vec::new();
    while let Some(done) = tasks.join_next().await {
        let (sequence, hash, work) = done.unwrap();
        all.insert(sequence, (hash, u128::from(sequence)));
        works.extend(work);
    }
    let last = store.work(LANE).await.unwrap();
    drop(store);

    let store = open(folder.path());
    let (_, one) = answer(LANE, 1, 1, 0);
    assert_eq!(store.size().0, ANSWERS * size(&one));
    assert!(all.values().all(|(hash, _)| has(&store, *hash)));
    assert_eq!(u64::from(last.leaves), ANSWERS);
    assert_eq!(last.value, u128::from(ANSWERS * (ANSWERS + 1) / 2));
    works.push(last);
    works.sort_by_key(|work| work.value);
    assert!(works.is_sorted_by_key(|work| work.leaves), "no claim shrinks");
    for work in works {
        let (tree, _) = store.tree(LANE, work.root).unwrap().unwrap();
        assert_eq!(tree.work(), work);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Put { sequence: u64, fee: u128, salt: u8 },
    Claim,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1u64..20, 0u128..100, 0u8..4)
            .prop_map(|(sequence, fee, salt)| Step::Put { sequence, fee, salt }),
        3 => Just(Step::Claim),
        1 => Just(Step::Reopen),
    ]
}

/// Answers with consecutive numbers that are under way at the same time.
#[derive(Clone, Debug)]
struct Burst {
    /// In which order they get ready, from 0.
    order: Vec<u64>,
    /// After how many of them there is a claim, and after how many it is paid.
    claim: usize,
    pay: usize,
    /// How many quarters of what is owed are paid.
    quarters: u128,
    /// Milliseconds until the next burst.
    wait: u64,
}

fn burst() -> impl Strategy<Value = Burst> {
    (1u64..6)
        .prop_flat_map(|n| {
            let at = 0..=n as usize;
            let order = Just((0..n).collect::<Vec<_>>()).prop_shuffle();
            (order, at.clone(), at, 1u128..=4, 0u64..250)
        })
        .prop_map(|(order, claim, pay, quarters, wait)| Burst {
            order,
            claim,
            pay,
            quarters,
            wait,
        })
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_claim_s_tree_can_be_had(steps in proptest::collection::vec(step(), 1..40)) {
        block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let mut store = open(folder.path());
            let mut kept: HashMap<H256, Evidence> = HashMap::new();
            let mut leaves = Leaves::new();
            // As many of them as were there at the last claim.
            let mut claimed = Leaves::new();
            let mut claims: Vec<(Work, Leaves)> = Vec::new();
            for step in steps {
                match step {
                    Step::Put { sequence, fee, salt } => {
                        let (hash, evidence) = answer(LANE, sequence, fee, salt);
                        let known = kept.contains_key(&hash);
                        let taken = claimed.get(&sequence).is_some_and(|(other, _)| *other != hash);
                        let done = store.put(hash, evidence.clone(), None).await;
                        if known {
                            assert_eq!(done, Ok(()));
                        } else if taken {
                            assert_eq!(done, Err(EvidenceError::Taken));
                        } else {
                            assert_eq!(done, Ok(()));
                            // What had the number and was in no claim is gone with it.
                            if let Some((other, _)) = leaves.insert(sequence, (hash, fee)) {
                                kept.remove(&other);
                            }
                            kept.insert(hash, evidence);
                        }
                    }
                    Step::Claim => {
                        let work = store.work(LANE).await.unwrap();
                        if let Some((last, _)) = claims.last() {
                            assert!(work.leaves >= last.leaves && work.value >= last.value);
                            assert_eq!(work == *last, leaves == claimed);
                        }
                        claimed.clone_from(&leaves);
                        claims.push((work, leaves.clone()));
                    }
                    Step::Reopen => {
                        drop(store);
                        store = open(folder.path());
                    }
                }
            }
            for (work, leaves) in &claims {
                check_tree(&store, LANE, work, leaves);
            }
            for (hash, evidence) in &kept {
                assert_eq!(store.get(*hash).unwrap().as_ref(), Some(evidence));
            }
            assert_eq!(store.size().0, kept.values().map(size).sum::<u64>());
        });
    }

    #[test]
    fn what_can_be_drawn_can_be_shown(bursts in proptest::collection::vec(burst(), 1..8)) {
        /// How long work can be drawn after it was paid.
        const DRAWN: u64 = 100;
        block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let store = open(folder.path());
            let (mut now, mut next, mut paid) = (0u64, 1u64, 0u128);
            let mut claim: Option<Work> = None;
            let mut batches = Vec::new();
            for burst in bursts {
                for ready in 0..=burst.order.len() {
                    if ready == burst.claim {
                        claim = Some(store.work(LANE).await.unwrap());
                    }
                    if ready == burst.pay && let Some(work) = claim.take() {
                        let to = paid + (work.value - paid) * burst.quarters / 4;
                        store.paid(LANE, to, now + DRAWN).await.unwrap();
                        batches.push((work, paid..to, now + DRAWN));
                        paid = to;
                    }
                    if let Some(offset) = burst.order.get(ready) {
                        let sequence = next + offset;
                        put(&store, LANE, sequence, 1 + u128::from(sequence * 7_919 % 50)).await;
                    }
                }
                next += burst.order.len() as u64;
                now += burst.wait;
                store.prune(now).await.unwrap();
                for (work, values, until) in &batches {
                    if now > *until || values.is_empty() {
                        continue;
                    }
                    let (tree, hashes) = store.tree(LANE, work.root).unwrap().unwrap();
                    for point in [values.start, values.start.midpoint(values.end - 1), values.end - 1] {
                        let index = tree.locate(point).unwrap();
                        assert!(has(&store, hashes[index as usize]), "point {point} at {now}");
                    }
                }
            }
            store.over(LANE, now + DRAWN).await.unwrap();
            store.prune(now + DRAWN + 1).await.unwrap();
            assert_eq!(store.size().0, 0, "in the end everything goes");
        });
    }
}
