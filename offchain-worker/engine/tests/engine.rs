//! The engine on tiny models.

mod common;

use common::*;
use llmesh_engine::{
    DynamicDims, Engine, EngineConfig, EngineError, Executor, ModelRef, ModelStore, RunRequest, StoreError,
};
use llmesh_primitives::{ContentId, Dim, ElementType, Tensor, TensorError};
use std::time::Duration;

#[tokio::test]
async fn an_adder_adds() {
    let bench = Bench::new();
    let model = bench.add_adder();
    for _ in 0..3 {
        let inputs = [floats("y", &[2], &[10.0, 20.0]), floats("x", &[2], &[1.0, 2.0])];
        let execution = bench.run(&model, inputs).await.unwrap();
        assert_eq!(execution.outputs, tensors([floats("z", &[2], &[11.0, 22.0])]));
        assert_eq!(execution.probe_hash, None);
    }
}

#[tokio::test]
async fn every_element_type_passes_unchanged() {
    let bench = Bench::new();
    for ty in ElementType::ALL {
        let shape = [Dim::UpTo(4), Dim::Fixed(2)];
        let model = bench.add(
            &identity(ty),
            signature(vec![spec("x", ty, &shape)], vec![spec("y", ty, &shape)]),
        );
        let bytes: Vec<u8> = (0..4 * ty.size())
            .map(|i| {
                if ty == ElementType::Bool {
                    i as u8 % 2
                } else {
                    i as u8
                }
            })
            .collect();
        let input = Tensor::new("x", ty, &[2, 2], bytes.clone()).unwrap();
        let execution = bench
            .run(&model, [input])
            .await
            .unwrap_or_else(|e| panic!("{ty:?}: {e}"));
        assert_eq!(
            execution.outputs,
            tensors([Tensor::new("y", ty, &[2, 2], bytes).unwrap()]),
            "{ty:?}"
        );
    }
}

#[tokio::test]
async fn wrong_inputs_are_named_and_nothing_runs() {
    let bench = Bench::new();
    let model = bench.add_adder();
    let x = || floats("x", &[2], &[1.0, 2.0]);
    let y = || floats("y", &[2], &[1.0, 2.0]);
    let mut short = y();
    short.data.pop();
    let cases = [
        (vec![x()], "y", TensorError::MissingTensor),
        (
            vec![x(), floats("q", &[2], &[0.0; 2])],
            "q",
            TensorError::UnknownName,
        ),
        (vec![x(), x()], "x", TensorError::RepeatedName),
        (
            vec![x(), Tensor::new("y", ElementType::I32, &[2], vec![0; 8]).unwrap()],
            "y",
            TensorError::WrongElementType,
        ),
        (
            vec![x(), floats("y", &[1, 2], &[0.0; 2])],
            "y",
            TensorError::WrongShape,
        ),
        (
            vec![x(), floats("y", &[3], &[0.0; 3])],
            "y",
            TensorError::WrongShape,
        ),
        (vec![x(), short], "y", TensorError::WrongByteLength),
    ];
    for (inputs, culprit, expected) in cases {
        match bench.run(&model, inputs).await {
            Err(EngineError::Input { name, reason }) => {
                assert_eq!((name.as_str(), reason), (culprit, expected))
            }
            other => panic!("{expected:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_bool_is_zero_or_one() {
    let bench = Bench::new();
    let ty = ElementType::Bool;
    let shape = [Dim::Fixed(1), Dim::Fixed(2)];
    let model = bench.add(
        &identity(ty),
        signature(vec![spec("x", ty, &shape)], vec![spec("y", ty, &shape)]),
    );
    let input = Tensor::new("x", ty, &[1, 2], vec![1, 2]).unwrap();
    assert!(matches!(
        bench.run(&model, [input]).await,
        Err(EngineError::InputValue { .. })
    ));
}

#[tokio::test]
async fn outputs_are_bounded() {
    let bench = Bench::with(EngineConfig {
        max_output_bytes: 7,
        ..EngineConfig::default()
    });
    let model = bench.add_adder();
    let inputs = || [floats("x", &[2], &[1.0; 2]), floats("y", &[2], &[1.0; 2])];
    let error = bench.run(&model, inputs()).await.unwrap_err();
    assert!(
        matches!(error, EngineError::OutputTooLarge { size: 8, limit: 7 }),
        "{error}"
    );
    assert!(!error.is_models_fault());
}

/// A model whose output is larger than one tensor of the chain: 200 x 200 floats out of 200.
#[tokio::test]
async fn a_tensor_larger_than_the_chain_carries_is_refused() {
    let bench = Bench::with(EngineConfig {
        max_output_bytes: u64::MAX,
        ..EngineConfig::default()
    });
    let bytes = model(
        &[node("MatMul", &["x", "w"], &["y"])],
        &[
            value("x", 1, &[Length::Is(200), Length::Is(1)]),
            value("w", 1, &[Length::Is(1), Length::Is(200)]),
        ],
        &[value("y", 1, &[Length::Is(200), Length::Is(200)])],
    );
    let f = ElementType::F32;
    let published = signature(
        vec![
            spec("x", f, &[Dim::Fixed(200), Dim::Fixed(1)]),
            spec("w", f, &[Dim::Fixed(1), Dim::Fixed(200)]),
        ],
        vec![spec("y", f, &[Dim::Fixed(200), Dim::Fixed(200)])],
    );
    let model = bench.add(&bytes, published);
    let inputs = [
        floats("x", &[200, 1], &[1.0; 200]),
        floats("w", &[1, 200], &[1.0; 200]),
    ];
    let error = bench.run(&model, inputs).await.unwrap_err();
    assert!(
        matches!(error, EngineError::OutputTooLarge { size: 160_000, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn the_probe_is_hashed_and_is_no_output() {
    let bench = Bench::new();
    let plain = bench.add_adder();
    let inputs = || [floats("x", &[2], &[1.0, 2.0]), floats("y", &[2], &[10.0, 20.0])];
    let inner = bench
        .run(
            &ModelRef {
                probe: "s".into(),
                ..plain.clone()
            },
            inputs(),
        )
        .await
        .unwrap();
    assert_eq!(inner.outputs, bench.run(&plain, inputs()).await.unwrap().outputs);
    // The tensor's SCALE encoding is what is hashed, whichever tensor it is.
    let expected = |name| {
        use codec::Encode;
        floats(name, &[2], &[11.0, 22.0])
            .using_encoded(sp_crypto_hashing::blake2_256)
            .into()
    };
    assert_eq!(inner.probe_hash, Some(expected("s")));
    let outer = bench
        .run(
            &ModelRef {
                probe: "z".into(),
                ..plain.clone()
            },
            inputs(),
        )
        .await
        .unwrap();
    assert_eq!(outer.probe_hash, Some(expected("z")));
    for (run, name) in [(&inner, "s"), (&outer, "z")] {
        let probe = run.probe.as_ref().unwrap();
        assert_eq!(probe.name.as_slice(), name.as_bytes());
        assert_eq!(Some(probe.hash()), run.probe_hash);
        let sums = floats("", &[2], &[11.0, 22.0]).data;
        assert_eq!(
            run.compared().collect::<Vec<_>>(),
            [(ElementType::F32, sums.as_slice())]
        );
    }
    let error = bench
        .run(
            &ModelRef {
                probe: "nowhere".into(),
                ..plain
            },
            inputs(),
        )
        .await
        .unwrap_err();
    assert!(matches!(error, EngineError::Load(_)), "{error}");
}

#[tokio::test]
async fn a_probe_is_given_on_request_and_bounded() {
    let bench = Bench::with(EngineConfig {
        max_probe_bytes: 7,
        ..EngineConfig::verifier()
    });
    let model = ModelRef {
        probe: "s".into(),
        ..bench.add_adder()
    };
    let inputs = || tensors([floats("x", &[2], &[1.0; 2]), floats("y", &[2], &[1.0; 2])]);
    let request = RunRequest::new(model, inputs());
    let plain = bench.engine.execute(request.clone()).await.unwrap();
    assert!(plain.probe.is_none() && plain.probe_hash.is_some());
    let error = bench.engine.execute(request.with_probe()).await.unwrap_err();
    assert!(
        matches!(error, EngineError::ProbeTooLarge { size: 8, limit: 7 }),
        "{error}"
    );
    assert!(!error.is_models_fault());
}

#[tokio::test]
async fn without_a_probe_the_outputs_are_compared() {
    let bench = Bench::with(EngineConfig::verifier());
    let model = bench.add_adder();
    let inputs = [floats("x", &[2], &[1.0, 2.0]), floats("y", &[2], &[0.5, 0.5])];
    let run = bench.run(&model, inputs).await.unwrap();
    assert_eq!((&run.probe, run.probe_hash), (&None, None));
    let sums = floats("z", &[2], &[1.5, 2.5]).data;
    assert_eq!(
        run.compared().collect::<Vec<_>>(),
        [(ElementType::F32, sums.as_slice())]
    );
}

#[tokio::test]
async fn a_model_that_differs_from_its_signature_is_refused() {
    let bench = Bench::new();
    let of = |name, ty| spec(name, ty, &[Dim::Fixed(2)]);
    let f = ElementType::F32;
    for (inputs, outputs, word) in [
        (vec![of("x", f)], vec![of("z", f)], "\"y\""),
        (vec![of("x", f), of("w", f)], vec![of("z", f)], "\"w\""),
        (
            vec![of("x", f), of("y", ElementType::F64)],
            vec![of("z", f)],
            "element type",
        ),
        (
            vec![of("x", f), of("y", f)],
            vec![spec("z", f, &[Dim::Fixed(3)])],
            "shape",
        ),
    ] {
        let model = bench.add(&adder(), signature(inputs, outputs));
        let error = bench.engine.prepare(model).await.unwrap_err();
        assert!(
            matches!(&error, EngineError::SignatureMismatch(m) if m.contains(word)),
            "{word}: {error}"
        );
    }
}

#[tokio::test]
async fn a_missing_or_damaged_model_is_named() {
    let bench = Bench::new();
    let model = bench.add_adder();
    let nowhere = ModelRef {
        content_id: ContentId::repeat_byte(1),
        ..model.clone()
    };
    assert!(!bench.engine.has_model(nowhere.content_id));
    assert!(matches!(
        bench.engine.prepare(nowhere).await,
        Err(EngineError::Store(StoreError::Missing(_)))
    ));
    std::fs::write(bench.engine.store().path(model.content_id), b"something else").unwrap();
    let error = bench.engine.prepare(model).await.unwrap_err();
    assert!(
        matches!(error, EngineError::Store(StoreError::HashMismatch { .. })),
        "{error}"
    );
    assert!(!error.is_models_fault());
}

#[tokio::test]
async fn a_missing_library_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = ModelStore::open(folder.path()).unwrap();
    // In a process that loaded the library already, its path does not matter any more: look for it in another.
    let library = folder.path().join("libonnxruntime.so.0");
    let config = EngineConfig {
        onnxruntime: Some(library.clone()),
        ..EngineConfig::default()
    };
    let engine = Engine::start(store, config).unwrap();
    assert_eq!(engine.library(), library);
    if let Err(error) = engine.check() {
        let text = error.to_string();
        assert!(matches!(error, EngineError::RuntimeMissing { .. }));
        assert!(
            text.contains("libonnxruntime.so.0") && text.contains("scripts/setup"),
            "{text}"
        );
    }
}

#[test]
fn signatures_are_read_from_models() {
    let bench = Bench::new();
    let model = bench.add(&identity(ElementType::F32), signature(vec![], vec![]));
    let shape = |n| [Dim::UpTo(n), Dim::Fixed(2)];
    let of = |name, n| spec(name, ElementType::F32, &shape(n));
    let (read, open) = bench
        .engine
        .inspect(model.content_id, &DynamicDims::default())
        .unwrap();
    assert_eq!(read, signature(vec![of("x", 1)], vec![of("y", 1)]));
    assert_eq!(open, ["batch"]);
    let dims = DynamicDims {
        named: [("batch".to_owned(), 8)].into(),
        default: 1,
    };
    let (read, _) = bench.engine.inspect(model.content_id, &dims).unwrap();
    assert_eq!(read, signature(vec![of("x", 8)], vec![of("y", 8)]));
}

#[test]
fn types_that_jobs_can_not_carry_are_refused() {
    let bench = Bench::new();
    const STRING: u64 = 8;
    let of = |name| value(name, STRING, &[Length::Is(1)]);
    let bytes = model(&[node("Identity", &["x"], &["y"])], &[of("x")], &[of("y")]);
    let model = bench.add(&bytes, signature(vec![], vec![]));
    let error = bench
        .engine
        .inspect(model.content_id, &DynamicDims::default())
        .unwrap_err();
    assert!(matches!(error, EngineError::UnsupportedType { .. }), "{error}");
}

/// `Loop` with a condition that stays true: it runs until it is stopped.
fn endless() -> Vec<u8> {
    let body = Message::default()
        .message(1, node("Identity", &["go"], &["go_on"]))
        .message(1, node("Add", &["v", "v"], &["w"]))
        .text(2, "body")
        .message(11, value("i", 7, &[]))
        .message(11, value("go", 9, &[]))
        .message(11, value("v", 1, &[Length::Is(1)]))
        .message(12, value("go_on", 9, &[]))
        .message(12, value("w", 1, &[Length::Is(1)]));
    const GRAPH: u64 = 5;
    let attribute = Message::default()
        .text(1, "body")
        .message(6, body)
        .number(20, GRAPH);
    let repeat = node("Loop", &["n", "c", "x"], &["y"]).message(5, attribute);
    model(
        &[repeat],
        &[
            value("n", 7, &[]),
            value("c", 9, &[]),
            value("x", 1, &[Length::Is(1)]),
        ],
        &[value("y", 1, &[Length::Is(1)])],
    )
}

fn endless_inputs() -> [Tensor; 3] {
    [
        Tensor::new("n", ElementType::I64, &[], i64::MAX.to_le_bytes().to_vec()).unwrap(),
        Tensor::new("c", ElementType::Bool, &[], vec![1]).unwrap(),
        floats("x", &[1], &[1.0]),
    ]
}

fn add_endless(bench: &Bench) -> ModelRef {
    let inputs = vec![
        spec("n", ElementType::I64, &[]),
        spec("c", ElementType::Bool, &[]),
        spec("x", ElementType::F32, &[Dim::Fixed(1)]),
    ];
    bench.add(
        &endless(),
        signature(inputs, vec![spec("y", ElementType::F32, &[Dim::Fixed(1)])]),
    )
}

#[tokio::test]
async fn a_run_that_takes_too_long_is_stopped() {
    let limit = Duration::from_millis(300);
    let bench = Bench::with(EngineConfig {
        time_limit: limit,
        ..EngineConfig::default()
    });
    let model = add_endless(&bench);
    let error = bench.run(&model, endless_inputs()).await.unwrap_err();
    assert!(
        matches!(error, EngineError::TimedOut(after) if after == limit),
        "{error}"
    );
    assert!(error.is_models_fault());
    // The engine is as good as before.
    let adder = bench.add_adder();
    let inputs = [floats("x", &[2], &[1.0; 2]), floats("y", &[2], &[1.0; 2])];
    bench.run(&adder, inputs).await.unwrap();
}

#[tokio::test]
async fn a_full_queue_says_so() {
    let limit = Duration::from_millis(500);
    let bench = Bench::with(EngineConfig {
        time_limit: limit,
        queue: 1,
        ..EngineConfig::default()
    });
    let model = add_endless(&bench);
    let request = || RunRequest::new(model.clone(), tensors(endless_inputs()));
    // One at work, one waiting, and no room for the third.
    let mut first = bench.engine.execute(request());
    assert!(futures_poll(&mut first).await.is_none());
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut second = bench.engine.execute(request());
    assert!(futures_poll(&mut second).await.is_none());
    assert!(matches!(
        bench.engine.execute(request()).await,
        Err(EngineError::Busy)
    ));
    // A waiter that goes away gives its place back.
    drop(second);
    assert!(matches!(first.await, Err(EngineError::TimedOut(_))));
    let mut again = bench.engine.execute(request()).await;
    while matches!(again, Err(EngineError::Busy)) {
        tokio::time::sleep(Duration::from_millis(10)).await;
        again = bench.engine.execute(request()).await;
    }
    assert!(matches!(again, Err(EngineError::TimedOut(_))));
}

/// Polls once.
async fn futures_poll<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(cx) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        })
    })
    .await
}
