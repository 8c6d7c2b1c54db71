//! The store of evidence: what is kept, how long, and that every claim's tree can be had again.

use super::evidence::{Ballot, Evidence, EvidenceError, EvidenceStore, LaneEpoch, hash_encoded};
use codec::Encode;
use llmesh_chain::{H256, Signer};
use llmesh_primitives::{
    ElementType, Receipt, RuntimeClass, Sketch, Tensor, Tensors, Work, WorkOrigin,
    attestation::{Finding, SKETCH_SIZE},
};
use llmesh_proofs::{Place, RequestTerms, SignedReceipt, merkle::GAP};
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

/// The tree that a claim stated can be had again: of these leaves it has those after sequence `covered` and no others, proves
/// each of them to whoever has the claim, and finds the one under a point.
fn check_tree(store: &EvidenceStore, lane: LaneEpoch, covered: u64, work: &Work, leaves: &Leaves) {
    let (tree, hashes) = store
        .tree(lane, work.root)
        .unwrap()
        .expect("the tree of a claim is there");
    assert_eq!(tree.work(), *work);
    assert_eq!(hashes.len(), work.leaves as usize);
    let mut from = 0;
    for index in 0..work.leaves {
        let sequence = covered + u64::from(index) + 1;
        let (hash, fee) = leaves.get(&sequence).copied().unwrap_or(GAP);
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
        place: Place {
            channel: LANE.channel,
            epoch: LANE.epoch,
            lane: LANE.lane,
            sequence: 42,
        },
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
    assert_eq!(signed.leaf(40), Some((1, hash, 900)));
    let work = store.work(LANE, 40, 42).await.unwrap();
    assert_eq!((work.leaves, work.value), (2, 900));
    check_tree(&store, LANE, 40, &work, &Leaves::from([(42, (hash, 900))]));
}

#[tokio::test]
async fn claims_tile_the_lane() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut leaves = Leaves::new();
    for (sequence, fee) in [(1, 10), (3, 30), (4, 40)] {
        leaves.insert(sequence, (put(&store, LANE, sequence, fee).await, fee));
    }
    let first = store.work(LANE, 0, 3).await.unwrap();
    assert_eq!((first.leaves, first.value), (3, 40), "a gap is an empty leaf");
    check_tree(&store, LANE, 0, &first, &leaves);

    // What comes after it changes nothing of it, whatever the order.
    for (sequence, fee) in [(8, 80), (6, 60)] {
        leaves.insert(sequence, (put(&store, LANE, sequence, fee).await, fee));
    }
    check_tree(&store, LANE, 0, &first, &leaves);
    let second = store.work(LANE, 3, 7).await.unwrap();
    assert_eq!((second.leaves, second.value), (4, 100), "it ends with a gap");
    let third = store.work(LANE, 7, 8).await.unwrap();
    assert_eq!((third.leaves, third.value), (1, 80));
    // A claim that came to nothing is made again, with more.
    let more = store.work(LANE, 3, 8).await.unwrap();
    assert_eq!((more.leaves, more.value), (5, 180));
    drop(store);

    let store = open(folder.path());
    for (covered, work) in [(0, first), (3, second), (7, third), (3, more)] {
        check_tree(&store, LANE, covered, &work, &leaves);
        let to = covered + u64::from(work.leaves);
        assert_eq!(store.work(LANE, covered, to).await, Ok(work), "the same bounds");
    }
}

#[tokio::test]
async fn nothing_between_is_no_tree() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put(&store, LANE, 1, 10).await;
    for (covered, to) in [(0, 0), (5, 5), (5, 4), (u64::MAX, u64::MAX), (u64::MAX, 0)] {
        assert_eq!(store.work(LANE, covered, to).await, Ok(Work::default()));
    }
    assert!(store.tree(LANE, Work::default().root).unwrap().is_none());
    // And it closes nothing.
    put(&store, LANE, 2, 10).await;
    // Nothing but gaps is a tree all the same.
    let gaps = store.work(LANE, 2, 5).await.unwrap();
    assert_eq!((gaps.leaves, gaps.value), (3, 0));
    check_tree(&store, LANE, 2, &gaps, &Leaves::new());
}

#[tokio::test]
async fn only_trees_that_were_claimed_on_the_lane_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let next = LaneEpoch { epoch: 2, ..LANE };
    let other = LaneEpoch { lane: 3, ..LANE };

    let mine = put(&store, LANE, 1, 10).await;
    put(&store, next, 1, 20).await;
    put(&store, other, 2, 30).await;
    // A job's result has no place in a lane.
    let (job, evidence) = evidence(WorkOrigin::Job(1), 40, 0);
    store.put(job, evidence, Some(1)).await.unwrap();
    let work = store.work(LANE, 0, 2).await.unwrap();
    check_tree(&store, LANE, 0, &work, &Leaves::from([(1, (mine, 10))]));
    for (lane, root) in [
        (LANE, H256::repeat_byte(1)),
        (next, work.root),
        (other, work.root),
    ] {
        assert!(store.tree(lane, root).unwrap().is_none());
    }
    // Of the other lanes nothing is closed.
    put(&store, next, 2, 20).await;
    put(&store, other, 1, 30).await;
}

#[tokio::test]
async fn a_disk_without_space_is_known_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let store = EvidenceStore::open(folder.path(), u64::MAX).unwrap();
    assert!(store.has_room(1));
    // More than any disk has, and less than the bound.
    assert!(!store.has_room(u64::MAX >> 1));
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
    let work = store.work(LANE, 0, 2).await.unwrap();
    check_tree(&store, LANE, 0, &work, &leaves);

    // Room comes back with what is claimed.
    store.claimed(LANE, 1, 100).await.unwrap();
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
async fn a_claim_releases_its_receipts() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let sequences = [1, 2, 4, 5, 9];
    let mut leaves = Leaves::new();
    for sequence in sequences {
        leaves.insert(sequence, (put(&store, LANE, sequence, 10).await, 10));
    }
    let there = |store: &EvidenceStore| -> Vec<u64> {
        let there = leaves.iter().filter(|(_, (hash, _))| has(store, *hash));
        there.map(|(sequence, _)| *sequence).collect()
    };

    // No tree reached them: the claim is not of this store.
    store.claimed(LANE, 9, 50).await.unwrap();
    store.prune(51).await.unwrap();
    assert_eq!(there(&store), sequences);

    let first = store.work(LANE, 0, 3).await.unwrap();
    let second = store.work(LANE, 3, 5).await.unwrap();
    store.claimed(LANE, 3, 100).await.unwrap();
    // They are not needed longer for being claimed once more, and one that is not claimed is.
    store.claimed(LANE, 3, 1_000).await.unwrap();
    store.claimed(LANE, 0, 1_000).await.unwrap();
    store.prune(100).await.unwrap();
    assert_eq!(there(&store), sequences);
    store.prune(101).await.unwrap();
    assert_eq!(there(&store), [4, 5, 9]);
    drop(store);

    let store = open(folder.path());
    store.claimed(LANE, 4, 200).await.unwrap();
    // Beyond what is claimed here, as when another claim is on its way.
    store.claimed(LANE, 1_000, 300).await.unwrap();
    store.prune(201).await.unwrap();
    assert_eq!(there(&store), [5, 9]);
    store.prune(301).await.unwrap();
    assert_eq!(there(&store), [9]);
    store.prune(u64::MAX).await.unwrap();
    assert_eq!(there(&store), [9]);

    // Proofs of old receipts need the leaves beside them: these stay until the lane is over.
    check_tree(&store, LANE, 0, &first, &leaves);
    check_tree(&store, LANE, 3, &second, &leaves);
    let third = store.work(LANE, 5, 9).await.unwrap();
    check_tree(&store, LANE, 5, &third, &leaves);
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
    let work = store.work(LANE, 0, 1).await.unwrap();
    let unclaimed = put(&store, LANE, 2, 20).await;
    let mut kept = Vec::new();
    for lane in others {
        let hash = put(&store, lane, 1, 10).await;
        kept.push((lane, hash, store.work(lane, 0, 1).await.unwrap()));
    }

    store.over(LANE, 300).await.unwrap();
    store.prune(300).await.unwrap();
    assert!(has(&store, claimed) && has(&store, unclaimed));
    check_tree(&store, LANE, 0, &work, &Leaves::from([(1, (claimed, 10))]));
    store.prune(301).await.unwrap();
    assert!(!has(&store, claimed) && !has(&store, unclaimed));
    assert!(store.tree(LANE, work.root).unwrap().is_none());
    // Nothing of the lane is left, not even what was closed.
    let again = put(&store, LANE, 1, 10).await;
    assert!(has(&store, again));
    store.over(LANE, 301).await.unwrap();
    store.prune(u64::MAX).await.unwrap();
    for (lane, hash, work) in &kept {
        assert!(has(&store, *hash), "{lane:?}");
        check_tree(&store, *lane, 0, work, &Leaves::from([(1, (*hash, 10))]));
        let (other, evidence) = answer(*lane, 1, 10, 1);
        let closed = store.put(other, evidence, None).await;
        assert_eq!(closed, Err(EvidenceError::Taken), "{lane:?}");
        store.over(*lane, 400).await.unwrap();
    }
    store.prune(401).await.unwrap();
    assert_eq!(store.size().0, 0);
}

#[tokio::test]
async fn a_sequence_that_a_claim_went_past_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let [(first, one), (second, two), (third, three)] = [1, 2, 3].map(|salt| answer(LANE, 2, 10, salt));
    store.put(first, one, None).await.unwrap();
    // A crash lost the number before anybody saw the answer.
    store.put(second, two.clone(), None).await.unwrap();
    assert!(!has(&store, first) && has(&store, second));
    assert_eq!(store.size().0, size(&two));
    let work = store.work(LANE, 0, 3).await.unwrap();
    let leaves = Leaves::from([(2, (second, 10))]);
    check_tree(&store, LANE, 0, &work, &leaves);
    // What closes less opens nothing.
    store.work(LANE, 0, 1).await.unwrap();
    drop(store);

    let store = open(folder.path());
    let before = store.size();
    assert_eq!(store.put(third, three, None).await, Err(EvidenceError::Taken));
    for gap in [0, 1, 3] {
        let (hash, evidence) = answer(LANE, gap, 10, 0);
        let taken = store.put(hash, evidence, None).await;
        assert_eq!(taken, Err(EvidenceError::Taken), "sequence {gap}");
        assert!(!has(&store, hash));
    }
    assert!(!has(&store, third));
    assert_eq!(store.size(), before);
    // The very receipt that is there can be given again.
    store.put(second, two, None).await.unwrap();
    assert_eq!(store.work(LANE, 0, 3).await, Ok(work));
    check_tree(&store, LANE, 0, &work, &leaves);
    put(&store, LANE, 4, 10).await;
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
    /// Answers of a claim.
    const CLAIM: u64 = 250;
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut tasks = tokio::task::JoinSet::new();
    for claim in 0..ANSWERS / CLAIM {
        let store = store.clone();
        tasks.spawn(async move {
            let (covered, to) = (claim * CLAIM, (claim + 1) * CLAIM);
            // From the highest down, on a lane of its own: a claim closes what is below.
            let lane = LaneEpoch {
                channel: claim,
                ..LANE
            };
            let puts: Vec<_> = (covered + 1..=to)
                .rev()
                .map(|sequence| {
                    let store = store.clone();
                    tokio::spawn(async move {
                        let hash = put(&store, lane, sequence, u128::from(sequence)).await;
                        assert!(has(&store, hash), "it is there when `put` returns");
                        (sequence, (hash, u128::from(sequence)))
                    })
                })
                .collect();
            let mut leaves = Leaves::new();
            for put in puts {
                leaves.extend([put.await.unwrap()]);
            }
            // Claims are made while answers of other lanes come.
            let work = store.work(lane, covered, to).await.unwrap();
            (lane, covered, work, leaves)
        });
    }
    let all = tasks.join_all().await;
    drop(store);

    let store = open(folder.path());
    let (_, one) = answer(LANE, 1, 1, 0);
    assert_eq!(store.size().0, ANSWERS * size(&one));
    for (lane, covered, work, leaves) in all {
        assert_eq!(u64::from(work.leaves), CLAIM);
        assert!(leaves.values().all(|(hash, _)| has(&store, *hash)));
        check_tree(&store, lane, covered, &work, &leaves);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Put {
        sequence: u64,
        fee: u128,
        salt: u8,
    },
    /// Of the claims before, `back` came to nothing.
    Work {
        back: usize,
        ahead: u64,
    },
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0u64..24, 0u128..100, 0u8..4)
            .prop_map(|(sequence, fee, salt)| Step::Put { sequence, fee, salt }),
        3 => (0usize..3, 0u64..6).prop_map(|(back, ahead)| Step::Work { back, ahead }),
        1 => Just(Step::Reopen),
    ]
}

/// Answers that are under way at the same time, and the claim after them.
#[derive(Clone, Debug)]
struct Burst {
    /// In which order they get ready, by number from 0.
    order: Vec<u64>,
    /// Numbers of requests that came to nothing, after them.
    gaps: u64,
    /// Whether the chain took the claim.
    taken: bool,
    /// Milliseconds until the next burst.
    wait: u64,
}

fn burst() -> impl Strategy<Value = Burst> {
    (1u64..6)
        .prop_flat_map(|n| {
            let order = Just((0..n).collect::<Vec<_>>()).prop_shuffle();
            (order, 0u64..3, prop::bool::weighted(0.7), 0u64..250)
        })
        .prop_map(|(order, gaps, taken, wait)| Burst {
            order,
            gaps,
            taken,
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
    fn every_claim_s_tree_can_be_had(steps in proptest::collection::vec(step(), 1..60)) {
        block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let mut store = open(folder.path());
            let mut kept: HashMap<H256, Evidence> = HashMap::new();
            let mut leaves = Leaves::new();
            let mut closed = 0;
            // Where each claim ended that the chain took.
            let mut ends = vec![0];
            let mut claims: Vec<(u64, Work)> = Vec::new();
            for step in steps {
                match step {
                    Step::Put { sequence, fee, salt } => {
                        let (hash, evidence) = answer(LANE, sequence, fee, salt);
                        let done = store.put(hash, evidence.clone(), None).await;
                        if kept.contains_key(&hash) {
                            assert_eq!(done, Ok(()));
                        } else if sequence <= closed {
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
                    Step::Work { back, ahead } => {
                        ends.truncate(ends.len().saturating_sub(back).max(1));
                        let covered = *ends.last().unwrap();
                        let to = covered + ahead;
                        let work = store.work(LANE, covered, to).await.unwrap();
                        assert_eq!(u64::from(work.leaves), ahead);
                        let value: u128 = leaves.range(covered + 1..to + 1).map(|(_, (_, fee))| fee).sum();
                        assert_eq!(work.value, value);
                        if ahead > 0 {
                            claims.push((covered, work));
                            ends.push(to);
                        } else {
                            assert_eq!(work, Work::default());
                        }
                        closed = closed.max(if ahead > 0 { to } else { 0 });
                    }
                    Step::Reopen => {
                        drop(store);
                        store = open(folder.path());
                    }
                }
            }
            for (covered, work) in &claims {
                check_tree(&store, LANE, *covered, work, &leaves);
                let again = store.work(LANE, *covered, covered + u64::from(work.leaves)).await;
                assert_eq!(again, Ok(*work));
            }
            for (hash, evidence) in &kept {
                assert_eq!(store.get(*hash).unwrap().as_ref(), Some(evidence));
            }
            assert_eq!(store.size().0, kept.values().map(size).sum::<u64>());
        });
    }

    #[test]
    fn what_can_be_drawn_can_be_shown(bursts in proptest::collection::vec(burst(), 1..12)) {
        /// How long work can be drawn after it was claimed.
        const DRAWN: u64 = 100;
        block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let mut store = open(folder.path());
            let (mut now, mut next, mut covered) = (0u64, 1u64, 0u64);
            let mut all: BTreeMap<u64, (H256, u64)> = BTreeMap::new();
            let mut batches = Vec::new();
            for burst in bursts {
                for offset in &burst.order {
                    let sequence = next + offset;
                    let hash = put(&store, LANE, sequence, 1 + u128::from(sequence * 7_919 % 50)).await;
                    all.insert(sequence, (hash, u64::MAX));
                }
                next += burst.order.len() as u64 + burst.gaps;
                let to = next - 1;
                // Another lane's, before and after, do not matter.
                for channel in [LANE.channel - 1, LANE.channel + 1] {
                    put(&store, LaneEpoch { channel, ..LANE }, to, 1).await;
                }
                let work = store.work(LANE, covered, to).await.unwrap();
                if burst.taken {
                    store.claimed(LANE, to, now + DRAWN).await.unwrap();
                    for (_, (_, until)) in all.range_mut(covered + 1..) {
                        *until = now + DRAWN;
                    }
                    batches.push((work, now + DRAWN));
                    covered = to;
                }
                now += burst.wait;
                store.prune(now).await.unwrap();
                // A new start counts the same.
                let bytes = store.size();
                drop(store);
                store = open(folder.path());
                assert_eq!(store.size(), bytes);
                // What is needed is there, and nothing else.
                for (sequence, (hash, until)) in &all {
                    assert_eq!(has(&store, *hash), now <= *until, "sequence {sequence} at {now}");
                }
                for (work, _) in batches.iter().filter(|(_, until)| now <= *until) {
                    let (tree, hashes) = store.tree(LANE, work.root).unwrap().unwrap();
                    for point in [0, work.value / 2, work.value - 1] {
                        let index = tree.locate(point).unwrap();
                        assert!(has(&store, hashes[index as usize]), "point {point} at {now}");
                    }
                }
            }
            for channel in [LANE.channel - 1, LANE.channel, LANE.channel + 1] {
                store.over(LaneEpoch { channel, ..LANE }, now + DRAWN).await.unwrap();
            }
            store.prune(now + DRAWN + 1).await.unwrap();
            assert_eq!(store.size().0, 0, "in the end everything goes");
        });
    }
}
