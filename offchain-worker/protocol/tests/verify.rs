//! What each end finds wrong with what the other sent, though it is well-formed.

mod support;

use llmesh_primitives::WorkOrigin;
use llmesh_proofs::{ReceiptError, SignedReceipt, SignedRequest};
use llmesh_protocol::{
    Answer, AnswerFault, AnswerKey, AnswerOpener, AnswerSealer, Ask, KeyRing, MeshTensors, Refusal,
    ReplayCache, RequestFault,
};
use sp_core::{H256, Pair};
use sp_runtime::AccountId32;
use support::*;

const NOW: u64 = 1_799_999_999_999;

#[test]
fn a_host_takes_what_is_for_it_and_holds() {
    let check = |edit: fn(&mut Ask)| {
        let mut ask = ask();
        edit(&mut ask);
        let terms = ask.request.terms.clone();
        ask.request = terms.signed(|id| client().sign(id).into());
        ask.verify(H256([0x11; 32]), &account(&host()), NOW)
    };
    let fault = |fault| Err(Refusal::BadRequest { fault });
    assert_eq!(check(|_| {}), Ok(ask().request.terms.id()));
    assert_eq!(
        check(|a| a.price = a.request.terms.max_price),
        Ok(ask().request.terms.id())
    );
    assert_eq!(
        check(|a| a.request.terms.genesis.0[0] ^= 1),
        fault(RequestFault::OtherChain)
    );
    assert_eq!(
        check(|a| a.request.terms.host = AccountId32::new([9; 32])),
        fault(RequestFault::OtherHost)
    );
    for elsewhere in [
        (|a| a.request.terms.place.channel += 1) as fn(&mut Ask),
        |a| a.request.terms.place.epoch += 1,
        |a| a.request.terms.place.lane += 1,
        |a| a.request.terms.place.sequence = 0,
        |a| a.channel += 1,
        |a| a.voucher.voucher.lane += 1,
    ] {
        assert_eq!(check(elsewhere), fault(RequestFault::OtherPlace));
    }
    assert_eq!(
        check(|a| a.request.terms.expires_at = NOW),
        Err(Refusal::Expired { now: NOW })
    );
    assert_eq!(
        check(|a| a.price = a.request.terms.max_price + 1),
        fault(RequestFault::AbovePrice)
    );
    assert_eq!(
        check(|a| a.inputs = tensors("x", &[1.0])),
        fault(RequestFault::OtherInput)
    );
    assert_eq!(
        check(|a| a.request.terms.client = account(&host())),
        fault(RequestFault::BadSignature)
    );
}

#[test]
fn a_client_takes_what_it_asked_for() {
    let asked = ask();
    let Answer::Done { outputs, receipt } = done(&asked) else {
        unreachable!()
    };
    assert_eq!(asked.check_answer(&outputs, &receipt), Ok(()));

    let signed = |edit: fn(&mut llmesh_primitives::Receipt)| {
        let mut inner = receipt.receipt.clone();
        edit(&mut inner);
        let request: SignedRequest = receipt.request.clone();
        SignedReceipt::new(inner, account(&host()), request, |hash| host().sign(hash).into())
    };
    let check = |receipt: &SignedReceipt| asked.check_answer(&outputs, receipt);
    assert_eq!(check(&signed(|r| r.fee -= 1)), Ok(()));
    // Below the terms' highest, and still more than was asked.
    assert_eq!(check(&signed(|r| r.fee += 1)), Err(AnswerFault::AbovePrice));
    assert_eq!(
        check(&signed(|r| r.origin = WorkOrigin::Job(1))),
        Err(AnswerFault::Receipt(ReceiptError::NotARequest))
    );
    assert_eq!(
        check(&signed(|r| {
            if let WorkOrigin::Request { sequence, .. } = &mut r.origin {
                *sequence += 1
            }
        })),
        Err(AnswerFault::Receipt(ReceiptError::OtherPlace))
    );
    assert_eq!(
        check(&signed(|r| {
            if let WorkOrigin::Request { epoch, .. } = &mut r.origin {
                *epoch += 1
            }
        })),
        Err(AnswerFault::Receipt(ReceiptError::OtherPlace))
    );
    assert_eq!(
        check(&signed(|r| r.output_hash.0[0] ^= 1)),
        Err(AnswerFault::Receipt(ReceiptError::OtherOutput))
    );
    assert_eq!(
        asked.check_answer(&MeshTensors::default(), &receipt),
        Err(AnswerFault::Receipt(ReceiptError::OtherOutput))
    );
    let mut forged = receipt.clone();
    forged.receipt.units += 1;
    assert_eq!(
        check(&forged),
        Err(AnswerFault::Receipt(ReceiptError::HostSignature))
    );
    // The answer to another request of the same client.
    let other = ask_with(tensors("x", &[1.0, -2.5, 0.125]), 1);
    let Answer::Done { outputs, receipt } = done(&other) else {
        unreachable!()
    };
    assert_eq!(
        asked.check_answer(&outputs, &receipt),
        Err(AnswerFault::OtherRequest)
    );
}

#[test]
fn everything_can_be_held_across_threads() {
    fn check<T: Send + Sync + 'static>() {}
    check::<AnswerKey>();
    check::<AnswerOpener>();
    check::<AnswerSealer>();
    check::<KeyRing>();
    check::<ReplayCache>();
}
