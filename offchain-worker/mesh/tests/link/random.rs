//! Random schedules: calls both ways, all lengths, rejects, timeouts and cancellations, over streams that cut and delay at random.

use crate::support::*;
use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use llmesh_mesh::link::*;
use proptest::{prelude::*, test_runner::TestRunner};
use std::{sync::Arc, time::Duration};

#[derive(Clone, Debug)]
struct Step {
    from_dialer: bool,
    len: usize,
    answer: usize,
    /// 0 answers, 1 rejects, 2 never answers and is cancelled, 3 never answers and times out, 4 is cancelled at some time.
    fate: u8,
    priority: u8,
    shrinks: bool,
    /// Start after so many yields.
    delay: u8,
}

fn length() -> impl Strategy<Value = usize> {
    prop_oneof![3 => 0usize..200, 2 => 0usize..20_000, 1 => 16_380usize..16_390, 1 => 60_000usize..70_000, 1 => 0usize..600_000]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (
        any::<bool>(),
        length(),
        length(),
        0u8..5,
        0u8..4,
        any::<bool>(),
        any::<u8>(),
    )
        .prop_map(
            |(from_dialer, len, answer, fate, priority, shrinks, delay)| Step {
                from_dialer,
                len,
                answer,
                fate,
                priority,
                shrinks,
                delay,
            },
        );
    proptest::collection::vec(step, 1..40)
}

fn config() -> impl Strategy<Value = LinkConfig> {
    (
        prop_oneof![Just(1usize), Just(3), Just(64)],
        prop_oneof![Just(16usize * 1024), Just(100_000), Just(1 << 20)],
        prop_oneof![Just(256usize * 1024), Just(1 << 20)],
        prop_oneof![Just(600_000usize), Just(2 << 20)],
        prop_oneof![
            Just(Compression::Off),
            Just(Compression::Always { level: 1 }),
            Just(Compression::Adaptive { level: 1 })
        ],
    )
        .prop_map(
            |(max_incoming, window, link_window, memory, compression)| LinkConfig {
                max_incoming,
                window,
                link_window,
                memory,
                compression,
                ..LinkConfig::default()
            },
        )
}

/// The header tells the handler what to do.
fn handler() -> impl Handler {
    |request: Incoming| -> BoxFuture<'static, Result<Bytes, Reject>> {
        async move {
            let fields: Vec<usize> = request
                .header
                .chunks(8)
                .map(|field| u64::from_le_bytes(field.try_into().unwrap()) as usize)
                .collect();
            assert_eq!(request.body, body(fields[0], fields[3] as u64, fields[4] == 1));
            match fields[1] {
                0 | 4 => Ok(body(fields[2], fields[3] as u64 + 1, fields[4] == 1)),
                1 => Err(Reject::new(fields[2] as u16 & 0xfff, "no")),
                _ => futures::future::pending().await,
            }
        }
        .boxed()
    }
}

fn body(len: usize, seed: u64, shrinks: bool) -> Bytes {
    if shrinks { text(len) } else { pattern(len, seed) }
}

async fn run(steps: Vec<Step>, left: LinkConfig, right: LinkConfig, pipe_size: usize, seed: u64) {
    let (x, y) = pipe(pipe_size);
    let a = Side::new(Choppy::new(x, seed), Role::Dialer, left, Arc::new(handler()));
    let b = Side::new(
        Choppy::new(y, seed.rotate_left(17)),
        Role::Listener,
        right,
        Arc::new(handler()),
    );
    let calls: Vec<_> = steps
        .into_iter()
        .enumerate()
        .map(|(number, step)| {
            let link = if step.from_dialer {
                a.link.clone()
            } else {
                b.link.clone()
            };
            tokio::spawn(async move {
                for _ in 0..step.delay {
                    tokio::task::yield_now().await;
                }
                let fields = [
                    step.len,
                    usize::from(step.fate),
                    step.answer,
                    number,
                    usize::from(step.shrinks),
                ];
                let header: Vec<u8> = fields
                    .iter()
                    .flat_map(|field| (*field as u64).to_le_bytes())
                    .collect();
                let short = step.fate == 3;
                let call = Call {
                    header: header.into(),
                    timeout: if short { Duration::from_millis(30) } else { LONG },
                    priority: step.priority,
                    ..Call::new(body(step.len, number as u64, step.shrinks), LONG)
                };
                let waiting = link.call(call);
                match step.fate {
                    0 => assert_eq!(
                        waiting.await,
                        Ok(body(step.answer, number as u64 + 1, step.shrinks))
                    ),
                    1 => {
                        let code = step.answer as u16 & 0xfff;
                        assert_eq!(waiting.await, Err(CallError::Rejected(Reject::new(code, "no"))));
                    }
                    3 => assert_eq!(waiting.await, Err(CallError::Timeout)),
                    _ => {
                        tokio::select! {
                            answer = waiting => {
                                assert_eq!(answer, Ok(body(step.answer, number as u64 + 1, step.shrinks)));
                            }
                            () = tokio::time::sleep(Duration::from_millis(u64::from(step.delay % 32))) => {}
                        }
                    }
                }
            })
        })
        .collect();
    for call in calls {
        tokio::time::timeout(LONG * 2, call)
            .await
            .expect("no call hangs")
            .expect("the answer is right");
    }
    // Nothing is left over on either side, and the links still work.
    for side in [&a, &b] {
        until(|| side.link.stats().calls == 0).await;
        until(|| side.link.stats().incoming == 0).await;
        assert_eq!(side.link.stats().held, 0);
    }
    let header = [0u64, 0, 5, 7, 0].map(u64::to_le_bytes).concat();
    for side in [&a, &b] {
        let call = Call {
            header: header.clone().into(),
            ..Call::new("", LONG)
        };
        assert_eq!(side.link.call(call).await, Ok(pattern(5, 8)));
        assert!(side.link.is_open(), "{:?}", side.link.end());
    }
}

#[test]
fn random_schedules_end_as_they_should() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let pipe_size = prop_oneof![Just(64usize), Just(1000), Just(64 * 1024), Just(1 << 20)];
    runner
        .run(
            &(steps(), config(), config(), pipe_size, any::<u64>()),
            |(steps, left, right, pipe_size, seed)| {
                runtime.block_on(run(steps, left, right, pipe_size, seed));
                Ok(())
            },
        )
        .unwrap();
}

#[test]
fn random_cuts_hang_nothing() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner
        .run(
            &(steps(), config(), any::<u64>(), 0u64..20),
            |(steps, config, seed, after)| {
                runtime.block_on(async {
                    let (x, y) = pipe(1000);
                    let a = Side::new(
                        Choppy::new(x, seed),
                        Role::Dialer,
                        config.clone(),
                        Arc::new(handler()),
                    );
                    let b = Side::new(
                        Choppy::new(y, seed >> 1),
                        Role::Listener,
                        config,
                        Arc::new(handler()),
                    );
                    let calls: Vec<_> = steps
                        .into_iter()
                        .map(|step| {
                            let link = if step.from_dialer {
                                a.link.clone()
                            } else {
                                b.link.clone()
                            };
                            tokio::spawn(async move {
                                let fields = [step.len as u64, 2, 0, 0, u64::from(step.shrinks)];
                                let header = fields.map(u64::to_le_bytes).concat();
                                let body = body(step.len, 0, step.shrinks);
                                link.call(Call {
                                    header: header.into(),
                                    ..Call::new(body, LONG * 10)
                                })
                                .await
                            })
                        })
                        .collect();
                    tokio::time::sleep(Duration::from_millis(after)).await;
                    match seed % 3 {
                        0 => a.link.close(),
                        1 => b.run.abort(),
                        _ => a.run.abort(),
                    }
                    for call in calls {
                        let result = tokio::time::timeout(LONG, call)
                            .await
                            .expect("no call hangs")
                            .unwrap();
                        assert_eq!(result, Err(CallError::Closed));
                    }
                });
                Ok(())
            },
        )
        .unwrap();
}
