//! Proof of Compute in this runtime: its periods, and what an audit takes of a block.

use super::*;
use crate::timing::{AuditBlocks, AuditRounds, EpochSlots, UnbondingBlocks};
use llmesh_primitives::{
    Receipt, RuntimeClass, Sketch, WorkOrigin,
    attestation::{Finding, Preimages, Vote},
};
use llmesh_proofs::{Opening, Place, RequestTerms, SignedReceipt, merkle::Tree};
use sp_core::H256;

/// Whoever works, unbonds and leaves is still bonded when the last audit of that work is over. On a developer's chain stake
/// is free sooner, for convenience.
#[test]
fn stake_outlasts_the_audits_of_what_it_stood_for() {
    chain(STAGING_PRESET).execute_with(|| {
        let blocks = u64::from(AuditRounds::<Runtime>::get()) * <EpochSlots<Runtime> as Get<u64>>::get();
        assert!(blocks <= u64::from(<UnbondingBlocks<Runtime> as Get<BlockNumber>>::get()));
        assert!(blocks >= 10 * u64::from(<AuditBlocks<Runtime> as Get<BlockNumber>>::get()));
    });
}

fn receipt(fee: Balance) -> SignedReceipt {
    let (client, host) = (Sr25519Keyring::Ferdie, Sr25519Keyring::Charlie);
    let request = RequestTerms {
        genesis: H256::repeat_byte(1),
        place: Place {
            channel: 5,
            epoch: 0,
            lane: 0,
            sequence: 1,
        },
        client: client.to_account_id(),
        model: H256::repeat_byte(2),
        version: 7,
        input_hash: H256::repeat_byte(3),
        max_price: fee,
        host: host.to_account_id(),
        expires_at: 1_800_000_000_000,
        salt: [4; 16],
    }
    .signed(|payload| client.pair().sign(payload).into());
    let receipt = Receipt {
        origin: WorkOrigin::Request {
            channel: 5,
            epoch: 0,
            lane: 0,
            sequence: 1,
            request: request.terms.id(),
        },
        model: H256::repeat_byte(2),
        runtime_class: RuntimeClass::CpuFloat,
        input_hash: H256::repeat_byte(3),
        output_hash: H256::repeat_byte(6),
        probe_hash: Some(H256::repeat_byte(7)),
        units: 1_000_000,
        fee,
    };
    SignedReceipt::new(receipt, host.to_account_id(), request, |payload| {
        host.pair().sign(payload).into()
    })
}

/// Prints what one audited receipt costs the chain: `cargo nextest run -p llmesh-runtime an_audit_in --no-capture`.
#[test]
fn an_audit_in_bytes_and_weight() {
    chain(DEV_RUNTIME_PRESET).execute_with(|| {
        let fee = 12 * MILLI_MESH;
        let receipt = receipt(fee);
        // A claim over ten thousand receipts.
        let tree = Tree::new((0..10_000).map(|_| (receipt.hash(), fee)).collect()).unwrap();
        let proof = tree.proof(4_321).unwrap();
        let opening = Box::new(Opening::Leaf { proof, receipt });
        let vote = Vote {
            finding: Finding::Ran(Sketch([1 << 40; 16])),
            preimages: Preimages::Good,
        };
        let call = |call: pallet_attestation::Call<Runtime>| RuntimeCall::Attestation(call);
        let steps = [
            (
                "open",
                1,
                call(pallet_attestation::Call::open { audit: 1, opening }),
            ),
            (
                "commit",
                2,
                call(pallet_attestation::Call::commit {
                    audit: 1,
                    ballot: H256::repeat_byte(9),
                }),
            ),
            (
                "publish",
                1,
                call(pallet_attestation::Call::publish {
                    audit: 1,
                    sketch: Sketch([1 << 40; 16]),
                }),
            ),
            (
                "reveal",
                2,
                call(pallet_attestation::Call::reveal {
                    audit: 1,
                    vote,
                    salt: [1; 32],
                }),
            ),
        ];
        // Address, signature and extensions of a signed extrinsic.
        const ENVELOPE: usize = 110;
        let (mut bytes, mut time) = (0, 0);
        for (name, times, call) in steps {
            let (size, weight) = (
                call.encoded_size() + ENVELOPE,
                call.get_dispatch_info().call_weight,
            );
            println!(
                "{name:<8} {times} x {size:>5} bytes, {:>4} us",
                weight.ref_time() / 1_000_000
            );
            bytes += times * size;
            time += times as u64 * weight.ref_time();
        }
        println!(
            "audit with two verifiers: {bytes} bytes, {} us of a block",
            time / 1_000_000
        );
        // In the worst case: with as many verifiers to draw from as there can be. Five such audits fit into a block by weight,
        // hundreds by length.
        assert!(bytes * 200 < limits_of_normal_blocks().1);
        assert!(time * 5 < limits_of_normal_blocks().0);
    });
}

fn limits_of_normal_blocks() -> (u64, usize) {
    use frame_support::dispatch::DispatchClass;
    let weights = <Runtime as frame_system::Config>::BlockWeights::get();
    let lengths = <Runtime as frame_system::Config>::BlockLength::get();
    let time = weights.get(DispatchClass::Normal).max_total.unwrap().ref_time();
    (time, *lengths.max.get(DispatchClass::Normal) as usize)
}
