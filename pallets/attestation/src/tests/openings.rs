//! What opens an audit and what does not.

use super::*;
use llmesh_primitives::{
    Receipt, RuntimeClass, WorkOrigin,
    attestation::{BatchOrigin, Withheld},
    traits::WorkSink,
};
use llmesh_proofs::{SignedReceipt, merkle};
use sp_core::H256;

fn leaf(id: AuditId) -> (merkle::Proof, SignedReceipt) {
    match opening_of(id) {
        Opening::Leaf { proof, receipt } => (proof, receipt),
        Opening::Job { .. } => panic!("the audit is of a lane"),
    }
}

fn refused(id: AuditId, proof: merkle::Proof, receipt: SignedReceipt, error: Error<Test>) {
    let opening = Box::new(Opening::Leaf { proof, receipt });
    assert_noop!(Attestation::open(by(&host()), id, opening), error);
}

/// The receipt with another body, signed again by the host.
fn again(signed: &SignedReceipt, change: impl FnOnce(&mut Receipt)) -> SignedReceipt {
    let mut receipt = signed.receipt.clone();
    change(&mut receipt);
    SignedReceipt::new(receipt, signed.host.clone(), signed.request.clone(), |bytes| {
        sign(&signed.host, bytes)
    })
}

fn with_origin(
    receipt: &mut Receipt,
    change: impl FnOnce(&mut u64, &mut u32, &mut u16, &mut u64, &mut H256),
) {
    match &mut receipt.origin {
        WorkOrigin::Request {
            channel,
            epoch,
            lane,
            sequence,
            request,
        } => change(channel, epoch, lane, sequence, request),
        WorkOrigin::Job(_) => panic!("it is of a request"),
    }
}

#[test]
fn a_leaf_opens_with_nothing_but_its_receipt_and_proof() {
    build_and_execute(5, || {
        lane_work(&host(), &[FEE, 2 * FEE, 3 * FEE, FEE]);
        run_to_round(2);
        let id = 1;
        let (proof, receipt) = leaf(id);

        // Not the host; no audit; of another kind.
        let opening = || Box::new(opening_of(id));
        assert_noop!(
            Attestation::open(by(&other_host()), id, opening()),
            Error::<Test>::NotHost
        );
        assert_noop!(
            Attestation::open(by(&host()), 99, opening()),
            Error::<Test>::UnknownAudit
        );
        let job = Box::new(Opening::Job {
            receipt: receipt.receipt.clone(),
            version: MODEL,
        });
        assert_noop!(Attestation::open(by(&host()), id, job), Error::<Test>::WrongKind);

        // The proof.
        let mut other = proof.clone();
        other.index += 1;
        refused(id, other, receipt.clone(), Error::WrongSequence);
        for i in 0..proof.siblings.len() {
            let mut other = proof.clone();
            other.siblings[i].0.0[0] ^= 1;
            refused(id, other, receipt.clone(), Error::WrongProof);
            let mut other = proof.clone();
            other.siblings[i].1 += 1;
            refused(id, other, receipt.clone(), Error::WrongProof);
            let mut other = proof.clone();
            other.siblings[i].1 = u128::MAX;
            refused(id, other, receipt.clone(), Error::WrongProof);
            let mut other = proof.clone();
            other.siblings.remove(i);
            refused(id, other, receipt.clone(), Error::WrongProof);
        }
        let mut other = proof.clone();
        other.siblings.try_push((H256::zero(), 0)).unwrap();
        refused(id, other, receipt.clone(), Error::WrongProof);

        // Everything that the host signed, signed again: it is not what the tree has.
        type Change = fn(&mut Receipt);
        let changes: [(Change, Error<Test>); 9] = [
            (|r| r.model = H256::zero(), Error::WrongProof),
            (|r| r.runtime_class = RuntimeClass::CpuInt8, Error::WrongProof),
            (|r| r.input_hash = H256::zero(), Error::WrongProof),
            (|r| r.output_hash = H256::zero(), Error::WrongProof),
            (|r| r.probe_hash = None, Error::WrongProof),
            (|r| r.units += 1, Error::WrongProof),
            (|r| r.fee -= 1, Error::WrongProof),
            (
                |r| with_origin(r, |_, _, _, _, request| *request = H256::zero()),
                Error::WrongProof,
            ),
            (|r| r.origin = WorkOrigin::Job(1), Error::WrongKind),
        ];
        for (change, error) in changes {
            refused(id, proof.clone(), again(&receipt, change), error);
        }
        let places: [Change; 3] = [
            |r| with_origin(r, |channel, _, _, _, _| *channel += 1),
            |r| with_origin(r, |_, epoch, _, _, _| *epoch += 1),
            |r| with_origin(r, |_, _, lane, _, _| *lane += 1),
        ];
        for change in places {
            refused(id, proof.clone(), again(&receipt, change), Error::WrongLane);
        }
        let sequences: [Change; 3] = [
            |r| with_origin(r, |_, _, _, sequence, _| *sequence += 1),
            |r| with_origin(r, |_, _, _, sequence, _| *sequence = 0),
            |r| with_origin(r, |_, _, _, sequence, _| *sequence += 1 << 32),
        ];
        for change in sequences {
            refused(id, proof.clone(), again(&receipt, change), Error::WrongSequence);
        }

        // Host, client and signatures.
        let mut other = receipt.clone();
        other.host = other_host();
        refused(id, proof.clone(), other, Error::OtherHost);
        let mut other = receipt.clone();
        other.request.terms.client = stranger();
        refused(id, proof.clone(), other, Error::WrongClient);
        let mut other = receipt.clone();
        other.request.terms.genesis = H256::zero();
        refused(id, proof.clone(), other, Error::OtherChain);
        let mut other = receipt.clone();
        other.signature = sign(&other_host(), other.hash().as_bytes());
        refused(id, proof.clone(), other, Error::BadReceipt);
        let mut other = receipt.clone();
        other.request.signature = sign(&stranger(), other.request.terms.id().as_bytes());
        refused(id, proof.clone(), other, Error::BadReceipt);
        for change in [
            |t: &mut llmesh_proofs::RequestTerms| t.place.channel += 1,
            |t: &mut llmesh_proofs::RequestTerms| t.place.epoch += 1,
            |t: &mut llmesh_proofs::RequestTerms| t.place.lane += 1,
            |t: &mut llmesh_proofs::RequestTerms| t.place.sequence += 1,
            |t: &mut llmesh_proofs::RequestTerms| t.max_price += 1,
            |t: &mut llmesh_proofs::RequestTerms| t.expires_at += 1,
            |t: &mut llmesh_proofs::RequestTerms| t.salt[15] ^= 1,
            |t: &mut llmesh_proofs::RequestTerms| t.version += 1,
            |t: &mut llmesh_proofs::RequestTerms| t.host = other_host(),
            |t: &mut llmesh_proofs::RequestTerms| t.model = H256::zero(),
            |t: &mut llmesh_proofs::RequestTerms| t.input_hash = H256::zero(),
        ] {
            let mut other = receipt.clone();
            change(&mut other.request.terms);
            refused(id, proof.clone(), other, Error::BadReceipt);
        }

        // Another leaf of the same tree, in all right.
        let (other_proof, other_receipt) = leaf(0);
        assert_ne!(other_proof.index, proof.index);
        refused(id, other_proof, other_receipt, Error::WrongPoint);

        open(id);
        assert_noop!(
            Attestation::open(by(&host()), id, opening()),
            Error::<Test>::NotAwaited
        );
    });
}

#[test]
fn a_job_opens_with_nothing_but_its_receipt_and_version() {
    build_and_execute(5, || {
        job_work(&host(), 3, FEE);
        run_to_round(2);
        let Opening::Job { receipt, .. } = opening_of(0) else {
            panic!("it is a job")
        };
        type Change = fn(&mut Receipt);
        let changes: [Change; 9] = [
            |r| r.model = H256::zero(),
            |r| r.runtime_class = RuntimeClass::CpuInt8,
            |r| r.input_hash = H256::zero(),
            |r| r.output_hash = H256::zero(),
            |r| r.probe_hash = None,
            |r| r.units += 1,
            |r| r.fee -= 1,
            |r| r.origin = WorkOrigin::Job(4),
            |r| *r = signed_receipt(&host(), &client(), 1, FEE).receipt,
        ];
        for change in changes {
            let mut receipt = receipt.clone();
            change(&mut receipt);
            let opening = Box::new(Opening::Job {
                receipt,
                version: MODEL,
            });
            assert_noop!(
                Attestation::open(by(&host()), 0, opening),
                Error::<Test>::WrongReceipt
            );
        }
        // A laxer version of the same file is not what the job asked for.
        let mut lax = version();
        lax.id = MODEL + 1;
        lax.manifest.tolerance = sp_runtime::Perbill::one();
        world(|w| w.versions.insert(MODEL + 1, lax));
        let opening = Box::new(Opening::Job {
            receipt: receipt.clone(),
            version: MODEL + 1,
        });
        assert_noop!(
            Attestation::open(by(&host()), 0, opening),
            Error::<Test>::WrongVersion
        );
        open(0);
        run_until_done();
        assert_eq!(verdict(0), Verdict::Match);
    });
}

#[test]
fn work_that_was_not_the_versions_can_not_be_opened() {
    build_and_execute(5, || {
        // Each host's own word about the work, all signed and in the tree.
        type Change = fn(&mut Receipt);
        let changes: [Change; 2] = [|r| r.units -= 1, |r| r.runtime_class = RuntimeClass::CpuInt8];
        for change in changes {
            let id = crate::NextAudit::<Test>::get();
            let receipt = again(&signed_receipt(&host(), &client(), 1, FEE), change);
            claim(&host(), 0, vec![receipt]);
            run_to_round(crate::CurrentRound::<Test>::get() + 2);
            let (proof, receipt) = leaf(id);
            refused(id, proof, receipt, Error::WrongVersion);
            run_to(System::block_number() + WINDOW + 1);
            assert_eq!(verdict(id), Verdict::Withheld(Withheld::Receipt));
        }
    });
}

#[test]
fn receipts_of_clients_of_the_hosts_own_can_not_be_opened() {
    build_and_execute(5, || {
        // The host answers itself cheaply and claims the money of the channel's client with it.
        let receipt = signed_receipt(&host(), &stranger(), 1, FEE);
        assert_ok!(receipt.verify());
        claim(&host(), 0, vec![receipt]);
        run_to_round(2);
        let (proof, receipt) = leaf(0);
        refused(0, proof, receipt, Error::WrongClient);
        run_to(System::block_number() + WINDOW + 1);
        assert_eq!(verdict(0), Verdict::Withheld(Withheld::Receipt));
        assert_eq!(slashed(&host()), STAKE / 20);
    });
}

#[test]
fn a_claim_beyond_the_tree_can_not_be_opened() {
    build_and_execute(5, || {
        let receipt = signed_receipt(&host(), &client(), 1, FEE);
        let tree = merkle::Tree::new(vec![(receipt.hash(), FEE)]).unwrap();
        let mut work = tree.work();
        // The claim says that the tree is worth twice what it is.
        work.value = 2 * FEE;
        Attestation::on_claimed(&host(), 5, 1, 2, &client(), 0, &work, 1, 2 * FEE);
        run_to_round(2);
        let proof = tree.proof(0).unwrap();
        refused(0, proof.clone(), receipt.clone(), Error::WrongProof);
        // And a receipt of that value is not what the tree has.
        let dear = again(&receipt, |r| r.fee = 2 * FEE);
        refused(0, proof, dear, Error::WrongProof);
    });
}

#[test]
fn copies_of_a_good_receipt_can_not_be_opened() {
    build_and_execute(5, || {
        // The host ran the model once, and has a leaf with that answer for each of two requests.
        let first = signed_receipt(&host(), &client(), 1, FEE);
        let copy = again(&first, |receipt| {
            with_origin(receipt, |_, _, _, sequence, _| *sequence = 2);
        });
        claim(&host(), 0, vec![first, copy]);
        run_to_round(2);
        open(0);
        let (proof, receipt) = leaf(1);
        refused(1, proof, receipt, Error::BadReceipt);
        run_to(System::block_number() + WINDOW + 1);
        assert_eq!(verdict(1), Verdict::Withheld(Withheld::Receipt));
        assert_eq!(slashed(&host()), STAKE / 20);
    });
}

#[test]
fn receipts_of_an_earlier_claim_can_not_be_opened() {
    build_and_execute(5, || {
        // The host claims for two more requests with what it has claimed for before.
        let receipts: Vec<_> = (1..=2)
            .map(|sequence| signed_receipt(&host(), &client(), sequence, FEE))
            .collect();
        claim(&host(), 0, receipts.clone());
        claim(&host(), 2, receipts);
        run_to_round(2);
        for id in 0..2 {
            open(id);
        }
        for id in 2..4 {
            let (proof, receipt) = leaf(id);
            refused(id, proof, receipt, Error::WrongSequence);
        }
    });
}

#[test]
fn a_later_claims_leaves_are_counted_from_where_it_goes_on() {
    build_and_execute(5, || {
        let receipts: Vec<_> = (8..=10)
            .map(|sequence| signed_receipt(&host(), &client(), sequence, FEE))
            .collect();
        claim(&host(), 7, receipts);
        run_to_round(2);
        run_until_done();
        for id in 0..3 {
            assert_eq!(verdict(id), Verdict::Match);
        }
    });
}

#[test]
fn one_leaf_for_many_vouchers_is_audited_as_often_as_the_vouchers() {
    build_and_execute(5, || {
        // All value in one leaf, the receipt of a request that the client would have paid so much for.
        let receipt = signed_receipt(&host(), &client(), 1, 100 * FEE);
        let tree = merkle::Tree::new(vec![(receipt.hash(), 100 * FEE)]).unwrap();
        let (batch, audits) = (crate::NextBatch::<Test>::get(), crate::NextAudit::<Test>::get());
        Attestation::on_claimed(&host(), 5, 1, 2, &client(), 0, &tree.work(), 100, 100 * FEE);
        world(|w| w.trees.insert(batch, (tree, vec![receipt])));
        run_to_round(2);
        assert_eq!(crate::NextAudit::<Test>::get() - audits, 16);
        // However often the leaf is looked at, the members share no more than 15 % of what was paid.
        let before: u128 = everybody().iter().map(free).sum();
        run_until_done();
        let paid = everybody().iter().map(free).sum::<u128>() - before;
        assert!(paid <= 100 * FEE * 15 / 100, "{paid}");
        assert!(paid >= 100 * FEE * 14 / 100, "{paid}");
    });
}

#[test]
fn a_model_that_was_removed_is_nobodys_fault() {
    build_and_execute(5, || {
        let id = drawn_lane();
        let gone = world(|w| w.versions.remove(&MODEL));
        open(id);
        assert_eq!(verdict(id), Verdict::Inconclusive);
        assert!(world(|w| w.slashes.is_empty() && w.verdicts.is_empty()));
        world(|w| w.versions.insert(MODEL, gone.unwrap()));
    });
}

#[test]
fn a_batch_keeps_what_the_claim_said() {
    build_and_execute(5, || {
        let id = lane_work(&host(), &[FEE, FEE]);
        let batch = Attestation::batch(id).unwrap();
        let tree = world(|w| w.trees[&id].0.clone());
        assert_eq!(
            batch.origin,
            BatchOrigin::Lane {
                channel: 5,
                epoch: 1,
                lane: 2,
                covered: 0,
                root: tree.root(),
                leaves: 2,
                signer: client(),
            }
        );
        assert_eq!(
            (batch.receipts, batch.value, batch.fees, batch.round),
            (2, 2 * FEE, 2 * FEE, 0)
        );
    });
}
