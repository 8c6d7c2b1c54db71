//! Benchmarks of the calls and of the agenda's steps.

use super::*;
use alloc::{vec, vec::Vec};
use frame_benchmarking::v2::*;
use frame_support::traits::{Get, fungible::Mutate};
use frame_system::{RawOrigin, pallet_prelude::BlockNumberFor};
use llmesh_primitives::{
    Dim, ElementType, FailureReason, JobId, JobOutcome, JobParams, JobState, ModelManifest, ModelSignature,
    ModelVersionId, OfferTerms, OriginFormat, Priority, RuntimeClass, Tensor, TensorSpec, Tensors,
    job::MAX_REDUNDANCY,
    traits::{Escrow, ModelRegistry},
};
use sp_runtime::{
    Perbill,
    traits::{One, Saturating, Zero},
};

const COMPLEXITY: u64 = 10_000_000;
const PRICE: u128 = 1_000_000_000;

fn spec(name: &str, max: u32) -> TensorSpec {
    TensorSpec {
        name: name.as_bytes().to_vec().try_into().unwrap(),
        element_type: ElementType::U8,
        shape: vec![Dim::UpTo(max)].try_into().unwrap(),
    }
}

fn tensors(name: &str, bytes: u32) -> Tensors {
    let bytes = bytes.max(1);
    vec![Tensor::new(name, ElementType::U8, &[bytes], vec![7; bytes as usize]).unwrap()]
        .try_into()
        .unwrap()
}

fn funded<T: Config>(name: &'static str, n: u32) -> T::AccountId
where
    T::Currency: Mutate<T::AccountId, Balance = u128>,
{
    let who = account(name, n, 0);
    T::Currency::set_balance(&who, 1_000_000 * llmesh_primitives::MESH);
    who
}

fn publish<T: Config>() -> ModelVersionId
where
    T::Currency: Mutate<T::AccountId, Balance = u128>,
{
    let author = funded::<T>("author", 0);
    let manifest = ModelManifest {
        content_id: Default::default(),
        size: 1,
        origin: OriginFormat::Onnx,
        signature: ModelSignature {
            inputs: vec![spec("in", T::MaxInputBytes::get())].try_into().unwrap(),
            outputs: vec![spec("out", T::MaxOutputBytes::get())].try_into().unwrap(),
        },
        probe: Default::default(),
        runtime_class: RuntimeClass::CpuFloat,
        tolerance: Perbill::zero(),
        complexity: COMPLEXITY,
        base_price: PRICE,
        licence: b"Apache-2.0".to_vec().try_into().unwrap(),
    };
    T::Registry::bench_publish(&author, manifest)
}

fn hosts<T: Config>(model: ModelVersionId, n: u32) -> Vec<T::AccountId>
where
    T::Currency: Mutate<T::AccountId, Balance = u128>,
{
    (0..n)
        .map(|i| {
            let host = funded::<T>("host", i);
            T::BenchmarkHelper::make_host(&host);
            T::Registry::bench_offer(
                model,
                &host,
                OfferTerms {
                    price: PRICE,
                    capacity: 8,
                },
            );
            host
        })
        .collect()
}

fn params<T: Config>(model: ModelVersionId, redundancy: u32) -> JobParams {
    let fee = T::Escrow::fee(model, PRICE, COMPLEXITY, Priority::Normal).unwrap();
    JobParams {
        max_fee: fee * u128::from(redundancy),
        redundancy: redundancy as u8,
        priority: Priority::Normal,
        min_reputation: Perbill::zero(),
    }
}

/// A job of a fresh client.
fn submitted<T: Config>(model: ModelVersionId, redundancy: u32, bytes: u32) -> (T::AccountId, JobId)
where
    T::Currency: Mutate<T::AccountId, Balance = u128>,
{
    let client = funded::<T>("client", 0);
    let id = NextJobId::<T>::get();
    let params = params::<T>(model, redundancy);
    Pallet::<T>::submit(
        RawOrigin::Signed(client.clone()).into(),
        model,
        tensors("in", bytes),
        params,
    )
    .unwrap();
    (client, id)
}

fn run_agenda<T: Config>(id: JobId) {
    let at = Jobs::<T>::get(id).unwrap().wakes_at;
    frame_system::Pallet::<T>::set_block_number(at);
    // Nothing else is on the agenda, so the cursor can stand right before the block.
    AgendaCursor::<T>::put(at);
    Pallet::<T>::work_agenda(at);
}

fn drawn_by<T: Config>(id: JobId) -> Vec<T::AccountId> {
    Jobs::<T>::get(id)
        .unwrap()
        .assignments
        .into_iter()
        .map(|a| a.host)
        .collect()
}

fn deliver<T: Config>(id: JobId, host: &T::AccountId, bytes: u32) {
    Pallet::<T>::submit_result(
        RawOrigin::Signed(host.clone()).into(),
        id,
        tensors("out", bytes),
        None,
    )
    .unwrap();
}

#[benchmarks(where T::Currency: Mutate<T::AccountId, Balance = u128>)]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn submit(b: Linear<1, { T::MaxInputBytes::get() }>) {
        let model = publish::<T>();
        let client = funded::<T>("client", 0);
        let input = tensors("in", b);
        let params = params::<T>(model, 1);
        #[extrinsic_call]
        _(RawOrigin::Signed(client), model, input, params);
        assert_eq!(NextJobId::<T>::get(), 1);
    }

    #[benchmark]
    fn cancel() {
        let model = publish::<T>();
        let (client, id) = submitted::<T>(model, 1, T::MaxInputBytes::get());
        #[extrinsic_call]
        _(RawOrigin::Signed(client), id);
        assert!(!Jobs::<T>::contains_key(id));
    }

    /// The last of the most results that a job can have: everybody is paid.
    #[benchmark]
    fn submit_result(b: Linear<1, { T::MaxOutputBytes::get() }>) {
        let model = publish::<T>();
        hosts::<T>(model, MAX_REDUNDANCY);
        let (_, id) = submitted::<T>(model, MAX_REDUNDANCY, 1);
        run_agenda::<T>(id);
        let mut drawn = drawn_by::<T>(id);
        let last = drawn.pop().unwrap();
        for host in &drawn {
            deliver::<T>(id, host, 1);
        }
        let outputs = tensors("out", b);
        #[extrinsic_call]
        _(RawOrigin::Signed(last), id, outputs, Some(Default::default()));
        assert_eq!(
            Jobs::<T>::get(id).unwrap().state,
            JobState::Finished(JobOutcome::Settled)
        );
    }

    #[benchmark]
    fn decline() {
        let model = publish::<T>();
        let host = hosts::<T>(model, 1).remove(0);
        let (_, id) = submitted::<T>(model, 1, 1);
        run_agenda::<T>(id);
        #[extrinsic_call]
        _(RawOrigin::Signed(host), id, FailureReason::HostUnavailable);
        assert_eq!(Jobs::<T>::get(id).unwrap().state, JobState::Queued);
    }

    #[benchmark]
    fn resume() {
        let host = funded::<T>("host", 0);
        Hosts::<T>::mutate(&host, |load| load.missed = T::MaxMissed::get());
        #[extrinsic_call]
        _(RawOrigin::Signed(host.clone()));
        assert_eq!(Hosts::<T>::get(&host).missed, 0);
    }

    #[benchmark]
    fn remove() {
        let model = publish::<T>();
        hosts::<T>(model, MAX_REDUNDANCY);
        let (client, id) = submitted::<T>(model, MAX_REDUNDANCY, T::MaxInputBytes::get());
        run_agenda::<T>(id);
        for host in drawn_by::<T>(id) {
            deliver::<T>(id, &host, T::MaxOutputBytes::get());
        }
        #[extrinsic_call]
        _(RawOrigin::Signed(client), id);
        assert!(!Jobs::<T>::contains_key(id));
    }

    /// A draw of `h` hosts among `o` offers.
    #[benchmark]
    fn wake_draw(o: Linear<5, { T::Registry::max_offers() }>, h: Linear<1, MAX_REDUNDANCY>) {
        let model = publish::<T>();
        hosts::<T>(model, o);
        let (_, id) = submitted::<T>(model, h, 1);
        #[block]
        {
            run_agenda::<T>(id);
        }
        assert_eq!(drawn_by::<T>(id).len(), h as usize);
    }

    /// The end of a job with `h` results, one of the hosts asked for being late.
    #[benchmark]
    fn wake_finish(h: Linear<1, { MAX_REDUNDANCY - 1 }>) {
        let model = publish::<T>();
        hosts::<T>(model, h + 1);
        let (_, id) = submitted::<T>(model, h + 1, 1);
        run_agenda::<T>(id);
        for host in drawn_by::<T>(id).iter().take(h as usize) {
            deliver::<T>(id, host, 1);
        }
        Jobs::<T>::mutate(id, |job| job.as_mut().unwrap().expires_at = Zero::zero());
        #[block]
        {
            run_agenda::<T>(id);
        }
        assert_eq!(
            Jobs::<T>::get(id).unwrap().state,
            JobState::Finished(JobOutcome::PartiallySettled)
        );
    }

    #[benchmark]
    fn wake_remove() {
        let model = publish::<T>();
        hosts::<T>(model, MAX_REDUNDANCY);
        let (_, id) = submitted::<T>(model, MAX_REDUNDANCY, T::MaxInputBytes::get());
        run_agenda::<T>(id);
        for host in drawn_by::<T>(id) {
            deliver::<T>(id, &host, T::MaxOutputBytes::get());
        }
        #[block]
        {
            run_agenda::<T>(id);
        }
        assert!(!Jobs::<T>::contains_key(id));
    }

    /// A block of the agenda in which nothing is due.
    #[benchmark]
    fn agenda_block() {
        let now: BlockNumberFor<T> = 10u32.into();
        AgendaCursor::<T>::put(now);
        #[block]
        {
            Pallet::<T>::work_agenda(now);
        }
        assert_eq!(AgendaCursor::<T>::get(), now.saturating_add(One::one()));
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::new_test_ext(), crate::mock::Test);
}
