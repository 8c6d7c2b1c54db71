//! Benchmarks of the calls and of what the chain does by itself.

use super::*;
use crate::sweep::SWEEP_STEP;
use alloc::{boxed::Box, vec, vec::Vec};
use frame_benchmarking::v2::*;
use frame_support::{
    traits::{UnixTime, fungible::Mutate},
    weights::{Weight, WeightMeter},
};
use frame_system::{RawOrigin, pallet_prelude::BlockNumberFor};
use llmesh_primitives::{
    Audit, AuditId, BatchId, Dim, ElementType, ModelManifest, OriginFormat, Receipt, RuntimeClass, Sketch,
    TensorSpec, WorkOrigin,
    attestation::{
        AuditState, Finding, MAX_COMMITTEE, Member, Preimages, SKETCH_SIZE, STAGE_SEATS, Subject, Vote,
    },
    traits::{ModelRegistry, ReceiptSink, StakeProvider, WorkSink},
};
use llmesh_proofs::{Opening, Place, RequestTerms, SignedReceipt, audit::ballot, merkle};
use sp_core::{H256, crypto::KeyTypeId, sr25519};
use sp_runtime::{
    AccountId32, BoundedVec, MultiSignature, Perbill,
    app_crypto::RuntimePublic,
    traits::{One, Saturating},
};

const KEYS: KeyTypeId = KeyTypeId(*b"bnch");
const SALT: [u8; 32] = [7; 32];
const FEE: u128 = 1_000_000_000_000;

fn key(seed: &str) -> sr25519::Public {
    sr25519::Public::generate_pair(KEYS, Some(seed.as_bytes().to_vec()))
}

fn sign(key: &sr25519::Public, bytes: &[u8]) -> MultiSignature {
    let signature = key.sign(KEYS, &bytes);
    MultiSignature::Sr25519(signature.expect("the keystore made this key"))
}

/// Never within what is measured: to derive the key takes longer than most calls.
fn host() -> AccountId32 {
    key("//Host").into()
}

fn publish_model<T: Config>() -> ModelVersionId {
    let spec = |name: &str| TensorSpec {
        name: name.as_bytes().to_vec().try_into().expect("it is short"),
        element_type: ElementType::F32,
        shape: vec![Dim::Fixed(1)].try_into().expect("it is short"),
    };
    let author: AccountId32 = account("author", 0, 0);
    T::BenchmarkHelper::make_host(&author);
    let manifest = ModelManifest {
        content_id: H256::repeat_byte(3),
        size: 1,
        origin: OriginFormat::Onnx,
        signature: llmesh_primitives::ModelSignature {
            inputs: vec![spec("in")].try_into().expect("it is short"),
            outputs: vec![spec("out")].try_into().expect("it is short"),
        },
        probe: Default::default(),
        runtime_class: RuntimeClass::CpuFloat,
        tolerance: Perbill::from_parts(500_000),
        complexity: 10_000_000,
        base_price: 1_000_000_000,
        licence: b"Apache-2.0".to_vec().try_into().expect("it is short"),
    };
    T::Registry::bench_publish(&author, manifest)
}

/// Registers `count` verifiers that gain nothing from the host.
fn verifiers<T: Config>(count: u32) -> Vec<AccountId32> {
    (0..count)
        .map(|n| {
            let who: AccountId32 = account("verifier", n, 0);
            T::BenchmarkHelper::make_verifier(&who);
            who
        })
        .collect()
}

fn next_round<T: Config>() {
    T::BenchmarkHelper::next_epoch();
    Pallet::<T>::turn_round();
}

/// Everything that costs something is there: the host, a full pool.
fn stage<T: Config>() -> ModelVersionId {
    T::BenchmarkHelper::make_host(&host());
    T::BenchmarkHelper::fill_pool(&host());
    frame_system::Pallet::<T>::set_block_number(1u32.into());
    AgendaCursor::<T>::put(BlockNumberFor::<T>::from(2u32));
    next_round::<T>();
    publish_model::<T>()
}

fn signed<T: Config>(model: ModelVersionId, sequence: u64) -> SignedReceipt {
    let version = T::Registry::version(model).expect("it was published");
    let client = key("//Client");
    let terms = RequestTerms {
        genesis: Pallet::<T>::genesis(),
        place: Place {
            channel: 1,
            epoch: 2,
            lane: 3,
            sequence,
        },
        client: client.into(),
        model: version.manifest.content_id,
        version: model,
        input_hash: H256::repeat_byte(1),
        max_price: FEE,
        host: host(),
        expires_at: u64::try_from(T::Time::now().as_millis()).unwrap_or(u64::MAX),
        salt: [0; 16],
    };
    let receipt = Receipt {
        origin: WorkOrigin::Request {
            channel: 1,
            epoch: 2,
            lane: 3,
            sequence,
            request: terms.id(),
        },
        model: terms.model,
        runtime_class: RuntimeClass::CpuFloat,
        input_hash: terms.input_hash,
        output_hash: H256::repeat_byte(2),
        probe_hash: Some(H256::repeat_byte(3)),
        units: version.manifest.complexity,
        fee: FEE,
    };
    let request = terms.signed(|bytes| sign(&client, bytes));
    SignedReceipt::new(receipt, host(), request, |bytes| sign(&key("//Host"), bytes))
}

/// A claim on a lane whose tree is as deep as a proof can be long for the number of leaves, and its receipt.
fn claimed<T: Config>(model: ModelVersionId) -> (BatchId, merkle::Proof, SignedReceipt) {
    let signed = signed::<T>(model, 1);
    let mut leaves = vec![(H256::repeat_byte(9), 0u128); 1 << 10];
    leaves[0] = (signed.hash(), FEE);
    let tree = merkle::Tree::new(leaves).expect("the sum is small");
    let client: AccountId32 = key("//Client").into();
    let batch = NextBatch::<T>::get();
    Pallet::<T>::on_claimed(&host(), 1, 2, 3, &client, 0, &tree.work(), 1, FEE);
    (batch, tree.proof(0).expect("there is a leaf"), signed)
}

/// An audit of the batch's receipt that has just begun.
fn begun<T: Config>(subject: Subject<AccountId32>) -> AuditId {
    let state = AuditState::Opening {
        until: Pallet::<T>::window_end(),
    };
    let round = CurrentRound::<T>::get();
    let (id, _) = Pallet::<T>::start_audit(host(), subject, round, state, H256::repeat_byte(5), FEE, None);
    id
}

fn sketch(fill: i64) -> Sketch {
    Sketch([fill; SKETCH_SIZE])
}

fn change<T: Config>(id: AuditId, change: impl FnOnce(&mut Audit<AccountId32, BlockNumberFor<T>>)) {
    Audits::<T>::mutate(id, |audit| change(audit.as_mut().expect("the audit is there")));
}

/// An audit in its last stage, with `m` members who sit and have committed to what `finding` says of the n-th.
fn committed<T: Config>(m: u32, finding: impl Fn(u32) -> Finding) -> (AuditId, Vec<AccountId32>) {
    let model = stage::<T>();
    let members = verifiers::<T>(m);
    next_round::<T>();
    let (batch, _, signed) = claimed::<T>(model);
    let id = begun::<T>(Subject::Leaf { batch, point: 0 });
    T::Registry::acquire(model).expect("it was published");
    let stage = (STAGE_SEATS.len() - 1) as u8;
    for member in &members {
        Parties::<T>::insert(member, AuditKey::from(id), ());
    }
    change::<T>(id, |audit| {
        audit.receipt = Some(signed.receipt);
        audit.model = Some(model);
        audit.stage = stage;
        audit.seats = m as u8;
        let seats = members.iter().enumerate().map(|(n, account)| Member {
            account: account.clone(),
            ballot: Some(ballot(id, stage, account, &finding(n as u32), &SALT)),
            vote: None,
        });
        audit.members = BoundedVec::truncate_from(seats.collect());
        let until = Pallet::<T>::window_end();
        Pallet::<T>::move_on(id, audit, AuditState::Publishing { until });
    });
    (id, members)
}

/// Fills the round's snapshot: `count` candidates, of whom the last `real`, by weight, are verifiers.
fn crowd<T: Config>(count: u32, real: u32) {
    let real = verifiers::<T>(real.min(count));
    let others = count.saturating_sub(real.len() as u32);
    let others = (0..others).map(|n| (account("other", n, 0), u128::MAX >> 16));
    let candidates = others.chain(real.into_iter().map(|who| (who, 1)));
    let candidates = candidates.map(|(account, weight)| Candidate {
        account,
        weight,
        classes: BoundedVec::truncate_from(vec![RuntimeClass::CpuFloat; 4]),
    });
    Snapshots::<T>::insert(
        CurrentRound::<T>::get(),
        BoundedVec::truncate_from(candidates.collect()),
    );
}

/// A batch of as many jobs as there can be.
fn jobs<T: Config>() -> BatchId {
    stage::<T>();
    let mut receipt = signed::<T>(publish_model::<T>(), 1).receipt;
    // Its key takes a while to derive.
    let host = host();
    for job in 0..T::MaxJobsPerRound::get() {
        receipt.origin = WorkOrigin::Job(job.into());
        Pallet::<T>::on_receipt(job.into(), &host, receipt.hash(&host), &receipt);
    }
    NextBatch::<T>::get().saturating_sub(1)
}

fn pass_horizon<T: Config>() {
    CurrentRound::<T>::mutate(|round| {
        *round = round
            .saturating_add(T::Horizon::get())
            .saturating_add(DRAW_DELAY + 1);
    });
}

fn unlimited() -> WeightMeter {
    WeightMeter::with_limit(Weight::MAX)
}

#[benchmarks(where T::Currency: Mutate<T::AccountId, Balance = u128>)]
mod benchmarks {
    use super::*;

    /// A committee out of `v` candidates, where those that are drawn first are no verifiers any more.
    #[benchmark]
    fn open(v: Linear<15, { T::Verifiers::max_verifiers() }>) {
        let model = stage::<T>();
        crowd::<T>(v, MAX_COMMITTEE);
        let (batch, proof, receipt) = claimed::<T>(model);
        let id = begun::<T>(Subject::Leaf { batch, point: 0 });
        let opening = Box::new(Opening::Leaf { proof, receipt });
        let host = host();
        #[extrinsic_call]
        _(RawOrigin::Signed(host), id, opening);
        assert!(Audits::<T>::get(id).is_some_and(|a| a.members.len() == MAX_COMMITTEE as usize));
    }

    #[benchmark]
    fn commit() {
        let (id, members) = committed::<T>(MAX_COMMITTEE, |_| Finding::NoInput);
        let last = members[MAX_COMMITTEE as usize - 1].clone();
        change::<T>(id, |audit| {
            let until = Pallet::<T>::window_end();
            Pallet::<T>::move_on(id, audit, AuditState::Committing { until });
            audit.members[MAX_COMMITTEE as usize - 1].ballot = None;
        });
        #[extrinsic_call]
        _(RawOrigin::Signed(last), id, H256::zero());
        assert!(Audits::<T>::get(id).is_some_and(|a| matches!(a.state, AuditState::Publishing { .. })));
    }

    #[benchmark]
    fn publish() {
        let (id, _) = committed::<T>(MAX_COMMITTEE, |_| Finding::NoInput);
        let host = host();
        #[extrinsic_call]
        _(RawOrigin::Signed(host), id, sketch(1));
        assert!(Audits::<T>::get(id).is_some_and(|a| matches!(a.state, AuditState::Revealing { .. })));
    }

    /// One that is not the last.
    #[benchmark]
    fn reveal() {
        let finding = Finding::Ran(sketch(1));
        let (id, members) = committed::<T>(MAX_COMMITTEE, |_| finding);
        Pallet::<T>::publish(RawOrigin::Signed(host()).into(), id, sketch(1)).expect("it is awaited");
        let vote = Vote {
            finding,
            preimages: Preimages::Good,
        };
        #[extrinsic_call]
        _(RawOrigin::Signed(members[0].clone()), id, vote, SALT);
        assert!(Audits::<T>::get(id).is_some_and(|a| a.members[0].vote == Some(vote)));
    }

    #[benchmark]
    fn challenge() {
        let model = stage::<T>();
        let receipt = Box::new(signed::<T>(model, 1));
        let challenger: AccountId32 = account("challenger", 0, 0);
        T::Currency::set_balance(&challenger, T::ChallengeDeposit::get().saturating_mul(10));
        #[extrinsic_call]
        _(RawOrigin::Signed(challenger), receipt);
        assert_eq!(NextChallenge::<T>::get(), 1);
    }

    /// All `m` members agree and are paid; without members the audit ends as it does when nobody can be asked.
    #[benchmark]
    fn finish(m: Linear<0, MAX_COMMITTEE>) {
        let (id, _) = committed::<T>(m, |_| Finding::NoInput);
        change::<T>(id, |audit| {
            let until = Pallet::<T>::window_end();
            Pallet::<T>::move_on(id, audit, AuditState::Revealing { until });
            audit.sketch = Some(sketch(1 << 30));
            for member in audit.members.iter_mut() {
                member.vote = Some(Vote {
                    finding: Finding::Ran(sketch(1 << 30)),
                    preimages: Preimages::Good,
                });
            }
        });
        let audit = Audits::<T>::get(id).expect("the audit is there");
        #[block]
        {
            Pallet::<T>::count(id, audit);
        }
        assert!(Audits::<T>::get(id).is_some_and(|a| matches!(a.state, AuditState::Finished(_))));
    }

    #[benchmark]
    fn slash() {
        stage::<T>();
        let reporter: AccountId32 = account("reporter", 0, 0);
        T::Currency::set_balance(&reporter, T::ChallengeDeposit::get());
        let host = host();
        let slashed;
        #[block]
        {
            slashed = T::Stake::slash(&host, T::MismatchSlash::get(), Some(&reporter));
        }
        assert!(slashed > 0);
    }

    #[benchmark]
    fn begin_round(v: Linear<0, { T::Verifiers::max_verifiers() }>) {
        verifiers::<T>(v);
        T::BenchmarkHelper::next_epoch();
        #[block]
        {
            Pallet::<T>::turn_round();
        }
        assert_eq!(Snapshots::<T>::get(CurrentRound::<T>::get()).len(), v as usize);
    }

    /// A batch of as many jobs as there can be with `k` audits, where the last of `v` candidates is the first that can
    /// be drawn.
    #[benchmark]
    fn draw_batch(v: Linear<1, { T::Verifiers::max_verifiers() }>, k: Linear<0, { T::MaxSamples::get() }>) {
        let id = jobs::<T>();
        let batch = Batches::<T>::get(id).expect("the batch is there");
        let round = CurrentRound::<T>::get();
        crowd::<T>(v, 1);
        // In as many different leaves.
        let part = batch.value / u128::from(k.max(1));
        let points: Vec<_> = (0..k).map(|n| part * u128::from(n)).collect();
        let host = host();
        #[block]
        {
            let (found, _) = Pallet::<T>::has_candidate(round, &host);
            assert!(found);
            Pallet::<T>::begin_audits(id, &batch, round, H256::repeat_byte(1), FEE, points);
        }
        assert_eq!(NextAudit::<T>::get(), AuditId::from(k));
    }

    #[benchmark]
    fn begin_challenge(v: Linear<15, { T::Verifiers::max_verifiers() }>) {
        let model = stage::<T>();
        crowd::<T>(v, MAX_COMMITTEE);
        let challenger: AccountId32 = account("challenger", 0, 0);
        T::Currency::set_balance(&challenger, T::ChallengeDeposit::get().saturating_mul(10));
        let receipt = Box::new(signed::<T>(model, 1));
        Pallet::<T>::challenge(RawOrigin::Signed(challenger).into(), receipt).expect("it is a receipt");
        let pending = Challenges::<T>::get(0).expect("it waits");
        let round = CurrentRound::<T>::get();
        #[block]
        {
            Challenges::<T>::remove(0);
            Pallet::<T>::begin_challenge(0, pending, round, H256::repeat_byte(1));
        }
        assert!(Audits::<T>::get(0).is_some_and(|a| a.members.len() == MAX_COMMITTEE as usize));
    }

    /// The last stage begins because nobody has committed in the one before.
    #[benchmark]
    fn wake() {
        let (id, _) = committed::<T>(MAX_COMMITTEE, |_| Finding::NoInput);
        change::<T>(id, |audit| {
            let until = Pallet::<T>::window_end();
            Pallet::<T>::move_on(id, audit, AuditState::Committing { until });
            audit.stage = 1;
            audit.seats = STAGE_SEATS[1] as u8;
            audit.members.iter_mut().for_each(|member| member.ballot = None);
        });
        let now = Pallet::<T>::window_end().saturating_add(One::one());
        frame_system::Pallet::<T>::set_block_number(now);
        #[block]
        {
            Pallet::<T>::wake(id, Audits::<T>::get(id), now);
        }
        assert!(Audits::<T>::get(id).is_some_and(|a| u32::from(a.seats) == MAX_COMMITTEE));
    }

    #[benchmark]
    fn remove_batch() {
        let model = stage::<T>();
        let (id, ..) = claimed::<T>(model);
        DrawCursor::<T>::put(id.saturating_add(1));
        pass_horizon::<T>();
        #[block]
        {
            Pallet::<T>::sweep_batches(&mut unlimited());
        }
        assert!(!Batches::<T>::contains_key(id));
    }

    #[benchmark]
    fn remove_leaves(n: Linear<1, SWEEP_STEP>) {
        let id = jobs::<T>();
        let batch = Batches::<T>::get(id).expect("the batch is there");
        SweptLeaves::<T>::put(batch.receipts.saturating_sub(n));
        #[block]
        {
            Pallet::<T>::remove_leaves(id, &batch);
        }
        assert_eq!(SweptLeaves::<T>::get(), batch.receipts);
    }

    #[benchmark]
    fn remove_audit() {
        let model = stage::<T>();
        verifiers::<T>(MAX_COMMITTEE);
        next_round::<T>();
        let (batch, proof, receipt) = claimed::<T>(model);
        let id = begun::<T>(Subject::Leaf { batch, point: 0 });
        let opening = Box::new(Opening::Leaf { proof, receipt });
        Pallet::<T>::open(RawOrigin::Signed(host()).into(), id, opening).expect("it is awaited");
        let audit = Audits::<T>::get(id).expect("the audit is there");
        Pallet::<T>::finish(id, audit, llmesh_primitives::Verdict::Inconclusive, Vec::new());
        pass_horizon::<T>();
        #[block]
        {
            Pallet::<T>::sweep_audits(&mut unlimited());
        }
        assert!(!Audits::<T>::contains_key(id));
    }

    #[benchmark]
    fn remove_round(n: Linear<0, { SWEEP_STEP - 1 }>) {
        stage::<T>();
        // The first that has work of another round before it.
        let round = DRAW_DELAY;
        while CurrentRound::<T>::get() < round {
            next_round::<T>();
        }
        OldestRound::<T>::put(round);
        crowd::<T>(T::Verifiers::max_verifiers(), 0);
        for i in 0..n {
            let who: AccountId32 = account("punished", i, 0);
            Punished::<T>::insert(0, who, Perbill::one());
        }
        CurrentRound::<T>::put(round.saturating_add(T::Horizon::get()).saturating_add(1));
        #[block]
        {
            Pallet::<T>::sweep_rounds(&mut unlimited());
        }
        assert!(!Rounds::<T>::contains_key(round));
        assert!(Punished::<T>::iter_prefix(0).next().is_none());
    }

    #[benchmark]
    fn idle() {
        stage::<T>();
        let now: BlockNumberFor<T> = 2u32.into();
        frame_system::Pallet::<T>::set_block_number(now);
        #[block]
        {
            Pallet::<T>::begin_block(now);
        }
        assert_eq!(AgendaCursor::<T>::get(), now.saturating_add(One::one()));
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::benchmark_ext(), crate::mock::Test);
}
