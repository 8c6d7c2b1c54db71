//! What callers and handlers see.

use crate::support::*;
use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use llmesh_mesh::link::*;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

#[tokio::test]
async fn bodies_of_all_lengths_both_ways() {
    let (a, b) = pair(LinkConfig::default(), echo());
    for len in [
        0,
        1,
        64,
        4096,
        16 * 1024,
        16 * 1024 + 1,
        65_528,
        65_529,
        200_000,
        4 << 20,
        16 << 20,
    ] {
        for side in [&a, &b] {
            let body = pattern(len, len as u64);
            assert_eq!(
                side.link.call(call("", body.clone())).await.as_ref(),
                Ok(&body),
                "{len}"
            );
        }
    }
    until(|| a.link.stats().calls == 0 && b.link.stats().held == 0).await;
    let stats = a.link.stats();
    assert!(stats.rtt.is_some() && stats.calls_sent == 11 && stats.calls_received == 11);
    a.link.close();
    assert_eq!(a.link.call(call("", "late")).await, Err(CallError::Closed));
    assert_eq!(b.end().await, LinkEnd::Goodbye);
    assert_eq!(a.end().await, LinkEnd::Closed);
}

#[tokio::test]
async fn headers_arrive_and_rejects_come_back() {
    let (a, _b) = pair(LinkConfig::default(), |request: Incoming| {
        async move {
            let mut all = request.header.to_vec();
            all.push(b'|');
            all.extend_from_slice(&request.body);
            if request.body.is_empty() {
                Err(Reject::new(9, "e".repeat(2000)))
            } else {
                Ok(all.into())
            }
        }
        .boxed() as BoxFuture<'static, Result<Bytes, Reject>>
    });
    assert_eq!(a.link.call(call("head", "body")).await, Ok("head|body".into()));
    let Err(CallError::Rejected(reject)) = a.link.call(call("x", "")).await else {
        panic!()
    };
    assert_eq!((reject.code, reject.message.len()), (9, 512));
}

#[tokio::test]
async fn a_panic_is_a_reject_and_the_link_lives() {
    let (a, _b) = pair(LinkConfig::default(), echo());
    let Err(CallError::Rejected(reject)) = a.link.call(call("panic", "")).await else {
        panic!()
    };
    assert_eq!(reject.code, CODE_INTERNAL);
    assert_eq!(a.link.call(call("", "on")).await, Ok("on".into()));
}

#[tokio::test]
async fn too_large_is_said_before_anything_is_sent() {
    let mut small = LinkConfig {
        max_body: 1000,
        max_header: 10,
        ..LinkConfig::default()
    };
    let (x, y) = pipe(4096);
    let a = Side::new(x, Role::Dialer, LinkConfig::default(), Arc::new(echo()));
    // Before the peer's hello, and after it.
    let early = a.link.call(call("", vec![0; 1001]));
    let b = Side::new(y, Role::Listener, small.clone(), Arc::new(echo()));
    assert_eq!(early.await, Err(CallError::TooLarge));
    assert_eq!(
        a.link.call(call("", vec![0; 1001])).await,
        Err(CallError::TooLarge)
    );
    assert_eq!(
        a.link.call(call("longer than ten", "")).await,
        Err(CallError::TooLarge)
    );
    assert_eq!(
        b.link.call(call("", vec![0; 1001])).await,
        Err(CallError::TooLarge)
    );
    assert_eq!(a.link.call(call("", vec![1; 1000])).await.unwrap().len(), 1000);

    // The caller's limit for answers.
    small.max_response = 100;
    let (x, y) = pipe(4096);
    let a = Side::new(x, Role::Dialer, small, Arc::new(echo()));
    let _b = Side::new(y, Role::Listener, LinkConfig::default(), Arc::new(echo()));
    let Err(CallError::Rejected(reject)) = a.link.call(call("large:101", "")).await else {
        panic!()
    };
    assert_eq!(reject.code, CODE_TOO_LARGE);
    assert_eq!(a.link.call(call("large:100", "")).await.unwrap().len(), 100);
}

#[tokio::test]
async fn busy_waits_and_timeouts() {
    let config = LinkConfig {
        max_outgoing: 3,
        max_incoming: 2,
        ..LinkConfig::default()
    };
    let (a, b) = pair(config, echo());
    let patient = |time| Call {
        header: "never".into(),
        timeout: Duration::from_millis(time),
        ..Call::new("", LONG)
    };
    let (one, two, three) = (
        a.link.call(patient(150)),
        a.link.call(patient(150)),
        a.link.call(call("", "third")),
    );
    let ((one, two), three, four) = tokio::join!(futures::future::join(one, two), three, async {
        until(|| b.link.stats().incoming == 2).await;
        a.link.call(call("", "fourth")).await
    });
    assert_eq!((one, two), (Err(CallError::Timeout), Err(CallError::Timeout)));
    assert_eq!(four, Err(CallError::Busy));
    // The third had no place at the peer until the others were over.
    assert_eq!(three, Ok("third".into()));
    until(|| a.link.stats().calls == 0 && b.link.stats().incoming == 0).await;
    assert_eq!(a.link.call(call("", "again")).await, Ok("again".into()));
}

#[tokio::test]
async fn a_call_without_a_peer_times_out() {
    let (x, _y) = pipe(4096);
    let a = Side::new(x, Role::Dialer, LinkConfig::default(), Arc::new(echo()));
    let result = a.link.call(Call::new("", Duration::from_millis(50))).await;
    assert_eq!(result, Err(CallError::Timeout));
}

/// Tells when a handler's future is dropped and what its token says.
struct Watch {
    begun: mpsc::UnboundedSender<Incoming>,
}

impl Handler for Watch {
    fn handle(&self, request: Incoming) -> BoxFuture<'static, Result<Bytes, Reject>> {
        self.begun.send(request).unwrap();
        futures::future::pending().boxed()
    }
}

#[tokio::test]
async fn a_dropped_call_is_cancelled_at_the_peer() {
    let (begun, mut requests) = mpsc::unbounded_channel();
    let (a, b) = pair(LinkConfig::default(), Watch { begun });
    for body in [vec![1; 10], vec![2; 1 << 20]] {
        let waiting = tokio::spawn({
            let link = a.link.clone();
            async move { link.call(call("", body)).await }
        });
        let request = requests.recv().await.unwrap();
        assert!(!request.cancelled.is_cancelled());
        waiting.abort();
        request.cancelled.cancelled().await;
        until(|| b.link.stats().incoming == 0 && a.link.stats().calls == 0).await;
    }
    assert_eq!(b.link.stats().cancelled, 2);
    assert!(a.link.is_open() && b.link.is_open());
}

#[tokio::test]
async fn a_call_cancelled_in_the_middle_of_its_body() {
    // The handler is never reached; the pipe is so small that the body can not be through.
    let (x, y) = pipe(1024);
    let a = Side::new(x, Role::Dialer, LinkConfig::default(), Arc::new(echo()));
    let b = Side::new(y, Role::Listener, LinkConfig::default(), Arc::new(echo()));
    let body = pattern(8 << 20, 1);
    for _ in 0..20 {
        let mut waiting = Box::pin(a.link.call(call("", body.clone())));
        tokio::select! {
            _ = &mut waiting => panic!("too fast"),
            () = until(|| b.link.stats().held > 0) => {}
        }
        drop(waiting);
        until(|| b.link.stats().held == 0 && a.link.stats().calls == 0).await;
    }
    assert_eq!(a.link.call(call("", "fine")).await, Ok("fine".into()));
}

#[tokio::test]
async fn an_answer_cancelled_in_the_middle() {
    let plain = LinkConfig {
        compression: Compression::Off,
        ..LinkConfig::default()
    };
    let (x, y) = pipe(1024);
    let a = Side::new(x, Role::Dialer, plain.clone(), Arc::new(echo()));
    let b = Side::new(y, Role::Listener, plain.clone(), Arc::new(echo()));
    for _ in 0..20 {
        let mut waiting = Box::pin(a.link.call(call("large:8000000", "")));
        tokio::select! {
            _ = &mut waiting => panic!("too fast"),
            () = until(|| a.link.stats().held > 0) => {}
        }
        drop(waiting);
        until(|| a.link.stats().held == 0 && b.link.stats().incoming == 0).await;
    }
    assert_eq!(a.link.call(call("", "fine")).await, Ok("fine".into()));
}

#[tokio::test]
async fn the_deadline_passes_at_the_handler_too() {
    let (begun, mut requests) = mpsc::unbounded_channel();
    let config = LinkConfig {
        request_timeout_max: Duration::from_millis(80),
        ..LinkConfig::default()
    };
    let (x, y) = pipe(4096);
    let a = Side::new(x, Role::Dialer, LinkConfig::default(), Arc::new(echo()));
    let b = Side::new(y, Role::Listener, config, Arc::new(Watch { begun }));
    assert_eq!(a.link.call(call("", "")).await, Err(CallError::Timeout));
    let request = requests.recv().await.unwrap();
    assert!(request.cancelled.is_cancelled());
    assert_eq!(b.link.stats().rejected, 1);
}

#[tokio::test]
async fn progress_arrives_in_order_before_the_answer() {
    let (a, _b) = pair(LinkConfig::default(), |request: Incoming| {
        async move {
            for i in 0..200u32 {
                request.progress.send(i.to_le_bytes().to_vec().into()).await;
            }
            assert!(!request.progress.send(vec![0; 40_000].into()).await);
            Ok("done".into())
        }
        .boxed() as BoxFuture<'static, Result<Bytes, Reject>>
    });
    let (sender, mut progress) = mpsc::channel(1000);
    let answer = a
        .link
        .call(Call {
            progress: Some(sender),
            ..call("", "")
        })
        .await;
    assert_eq!(answer, Ok("done".into()));
    for i in 0..200u32 {
        assert_eq!(progress.recv().await.unwrap()[..], i.to_le_bytes());
    }
    assert_eq!(progress.recv().await, None);
    // Nobody asked, nobody is told.
    assert_eq!(a.link.call(call("", "")).await, Ok("done".into()));
    // A full listener loses messages, not the answer.
    let (sender, mut progress) = mpsc::channel(1);
    assert_eq!(
        a.link
            .call(Call {
                progress: Some(sender),
                ..call("", "")
            })
            .await,
        Ok("done".into())
    );
    assert_eq!(progress.recv().await.unwrap()[..], 0u32.to_le_bytes());
    until(|| a.link.stats().progress_dropped == 199).await;
}

#[tokio::test]
async fn every_pending_call_returns_when_the_link_ends() {
    enum How {
        CloseHere,
        CloseThere,
        DropRun,
        BreakPipe,
    }
    for how in [How::CloseHere, How::CloseThere, How::DropRun, How::BreakPipe] {
        let (a, b) = pair(
            LinkConfig {
                max_incoming: 10,
                ..LinkConfig::default()
            },
            echo(),
        );
        let bodies = [10, 100_000, 8 << 20].map(|len| Bytes::from(vec![1; len]));
        let calls: Vec<_> = (0..60)
            .map(|i| {
                tokio::spawn({
                    let (link, body) = (a.link.clone(), bodies[i % 3].clone());
                    async move { link.call(call("never", body)).await }
                })
            })
            .collect();
        until(|| b.link.stats().incoming == 10).await;
        match how {
            How::CloseHere => a.link.close(),
            How::CloseThere => b.link.close(),
            How::DropRun => a.run.abort(),
            How::BreakPipe => b.run.abort(),
        }
        for call in calls {
            let result = tokio::time::timeout(LONG, call)
                .await
                .expect("a call hangs")
                .unwrap();
            assert_eq!(result, Err(CallError::Closed));
        }
        tokio::time::timeout(LONG, a.link.closed()).await.unwrap();
        assert!(!a.link.is_open());
        assert_eq!(a.link.call(call("", "")).await, Err(CallError::Closed));
    }
}

#[tokio::test]
async fn the_priority_orders_what_waits() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let (x, y) = pipe(1 << 20);
    let handler = {
        let (order, gate) = (order.clone(), gate.clone());
        move |request: Incoming| {
            order.lock().unwrap().push(request.body[0]);
            let gate = gate.clone();
            async move {
                gate.acquire().await.unwrap().forget();
                Ok(Bytes::new())
            }
            .boxed() as BoxFuture<'static, Result<Bytes, Reject>>
        }
    };
    let b = Side::new(
        y,
        Role::Listener,
        LinkConfig {
            max_incoming: 1,
            ..LinkConfig::default()
        },
        Arc::new(handler),
    );
    let a = Side::new(x, Role::Dialer, LinkConfig::default(), Arc::new(echo()));
    let ask = |priority: u8| {
        let link = a.link.clone();
        tokio::spawn(async move {
            link.call(Call {
                priority,
                ..Call::new(vec![priority], LONG)
            })
            .await
        })
    };
    let first = ask(0);
    until(|| b.link.stats().incoming == 1).await;
    let mut rest = Vec::new();
    for priority in [1, 3, 2, 3] {
        rest.push(ask(priority));
        until(|| a.link.stats().calls as usize == rest.len() + 1).await;
    }
    gate.add_permits(5);
    first.await.unwrap().unwrap();
    for call in rest {
        call.await.unwrap().unwrap();
    }
    assert_eq!(*order.lock().unwrap(), [0, 3, 3, 2, 1]);
}

#[tokio::test]
async fn a_small_call_overtakes_large_bodies() {
    // 4 KiB a direction: what waits in the stream itself is nothing.
    let (x, y) = pipe(4096);
    let a = Side::new(x, Role::Dialer, LinkConfig::default(), Arc::new(echo()));
    let b = Side::new(y, Role::Listener, LinkConfig::default(), Arc::new(echo()));
    let large = tokio::spawn({
        let link = a.link.clone();
        async move {
            link.call(call("", pattern(8 << 20, 3)))
                .await
                .map(|body| body.len())
        }
    });
    until(|| b.link.stats().held > 0).await;
    for _ in 0..20 {
        let before = b.link.stats().bytes_in + a.link.stats().bytes_in;
        a.link.call(call("", "small")).await.unwrap();
        let between = b.link.stats().bytes_in + a.link.stats().bytes_in - before;
        assert!(
            between < 700_000,
            "{between} bytes went before a small call's answer"
        );
    }
    assert_eq!(large.await.unwrap(), Ok(8 << 20));
}

#[tokio::test]
async fn equal_bodies_take_turns() {
    let (x, y) = pipe(4096);
    let a = Side::new(x, Role::Dialer, LinkConfig::default(), Arc::new(echo()));
    let _b = Side::new(
        y,
        Role::Listener,
        LinkConfig::default(),
        Arc::new(|request: Incoming| {
            async move { Ok(request.body.slice(..1)) }.boxed() as BoxFuture<'static, Result<Bytes, Reject>>
        }),
    );
    // The short one starts last and is done long before the long ones.
    let long: Vec<_> = (0..3)
        .map(|_| {
            tokio::spawn({
                let link = a.link.clone();
                async move { link.call(call("", pattern(6 << 20, 3))).await.is_ok() }
            })
        })
        .collect();
    until(|| a.link.stats().calls_sent == 3).await;
    assert!(a.link.call(call("", pattern(256 * 1024, 4))).await.is_ok());
    assert!(a.link.stats().body_out < 4 << 20, "{}", a.link.stats().body_out);
    for call in long {
        assert!(call.await.unwrap());
    }
}

#[tokio::test]
async fn small_calls_share_writes() {
    let (a, b) = pair(LinkConfig::default(), echo());
    a.link.call(call("", "warm")).await.unwrap();
    let before = a.link.stats();
    let calls = (0..200).map(|i| a.link.call(call("", vec![i as u8; 64])));
    for (i, answer) in futures::future::join_all(calls).await.into_iter().enumerate() {
        assert_eq!(answer.unwrap()[..], [i as u8; 64]);
    }
    until(|| b.link.stats().calls_received == 201).await;
    let after = a.link.stats();
    assert!(after.frames_out - before.frames_out >= 200);
    assert!(
        after.writes - before.writes < 20,
        "{} writes",
        after.writes - before.writes
    );
}

#[tokio::test]
async fn compression_is_right_in_both_directions() {
    let config = LinkConfig {
        compression: Compression::Always { level: 1 },
        ..LinkConfig::default()
    };
    let (a, b) = pair(config, echo());
    for len in [1023, 1024, 9000, 16 * 1024, 100_000, 3 << 20] {
        let body = text(len);
        assert_eq!(a.link.call(call("", body.clone())).await, Ok(body), "{len}");
        let body = pattern(len, 5);
        assert_eq!(b.link.call(call("", body.clone())).await, Ok(body), "{len}");
        // A body that only begins well.
        let mixed: Bytes = [&text(len)[..], &pattern(len, 6)[..]].concat().into();
        assert_eq!(a.link.call(call("", mixed.clone())).await, Ok(mixed), "{len}");
    }
    let stats = a.link.stats();
    assert!(
        stats.compression_used > 20 && stats.compression_received > 0,
        "{stats:?}"
    );
    assert!(
        stats.compression_saved > 3_000_000 && stats.bytes_out + stats.compression_saved > stats.body_out
    );
    assert!(stats.compressor_throughput.is_some() && stats.compression_ratio.unwrap() < 0.5);
    assert!(stats.compression_time > Duration::ZERO);
}

#[tokio::test]
async fn an_idle_link_pings_and_lives() {
    let config = LinkConfig {
        ping: Duration::from_millis(20),
        stall: Duration::from_millis(200),
        ..LinkConfig::default()
    };
    let (a, b) = pair(config, echo());
    until(|| a.link.stats().frames_in >= 20).await;
    assert!(a.link.is_open() && b.link.is_open());
    assert_eq!(
        a.link.call(call("", pattern(1 << 20, 1))).await.unwrap().len(),
        1 << 20
    );
    assert!(a.link.stats().rtt_min.unwrap() <= a.link.stats().rtt.unwrap());
}

#[tokio::test]
async fn requests_beyond_the_rate_are_rejected() {
    let rate = Rate {
        requests: 1,
        request_burst: 3,
        bytes: 1 << 30,
        byte_burst: 1 << 30,
    };
    let (a, _b) = pair(
        LinkConfig {
            rate: Some(rate),
            ..LinkConfig::default()
        },
        echo(),
    );
    let mut rejected = 0;
    for body in [10, 10, 100_000, 10, 100_000] {
        match a.link.call(call("", pattern(body, 1))).await {
            Ok(answer) => assert_eq!(answer.len(), body),
            Err(CallError::Rejected(reject)) => {
                assert_eq!(reject.code, CODE_RATE);
                rejected += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(rejected, 2);
}

#[tokio::test]
async fn bytes_beyond_the_rate_wait() {
    let rate = Rate {
        requests: 1000,
        request_burst: 1000,
        bytes: 1 << 20,
        byte_burst: 64 * 1024,
    };
    let (x, y) = pipe(4096);
    let _b = Side::new(
        y,
        Role::Listener,
        LinkConfig {
            rate: Some(rate),
            ..LinkConfig::default()
        },
        Arc::new(echo()),
    );
    let a = Side::new(x, Role::Dialer, LinkConfig::default(), Arc::new(echo()));
    let began = std::time::Instant::now();
    assert!(a.link.call(call("", pattern(320 * 1024, 1))).await.is_ok());
    assert!(
        began.elapsed() >= Duration::from_millis(200),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_may_call_back() {
    // Each side answers by asking the other one, down to zero.
    #[derive(Default)]
    struct Back {
        link: Mutex<Option<Link>>,
        calls: AtomicUsize,
    }
    impl Handler for Back {
        fn handle(&self, request: Incoming) -> BoxFuture<'static, Result<Bytes, Reject>> {
            self.calls.fetch_add(1, Ordering::Relaxed);
            let link = self.link.lock().unwrap().clone().unwrap();
            async move {
                match request.body[0] {
                    0 => Ok("bottom".into()),
                    n => link
                        .call(Call::new(vec![n - 1], LONG))
                        .await
                        .map_err(|e| Reject::new(1, e.to_string())),
                }
            }
            .boxed()
        }
    }
    let (left, right) = (Arc::new(Back::default()), Arc::new(Back::default()));
    let (x, y) = pipe(4096);
    let a = Side::new(x, Role::Dialer, LinkConfig::default(), left.clone());
    let b = Side::new(y, Role::Listener, LinkConfig::default(), right.clone());
    *left.link.lock().unwrap() = Some(a.link.clone());
    *right.link.lock().unwrap() = Some(b.link.clone());
    assert_eq!(a.link.call(Call::new(vec![100], LONG)).await, Ok("bottom".into()));
    assert_eq!(
        left.calls.load(Ordering::Relaxed) + right.calls.load(Ordering::Relaxed),
        101
    );
}

#[tokio::test]
async fn the_peer_gives_up_after_a_spawned_handler_was_told() {
    // The token outlives the handler's future: spawned work learns of the end of the link.
    let (told, mut tokens) = mpsc::unbounded_channel();
    let (a, b) = pair(LinkConfig::default(), move |request: Incoming| {
        told.send(request.cancelled.clone()).unwrap();
        futures::future::pending().boxed() as BoxFuture<'static, Result<Bytes, Reject>>
    });
    let (done, finished) = oneshot::channel();
    tokio::spawn({
        let link = a.link.clone();
        async move { done.send(link.call(call("", "")).await) }
    });
    let token = tokens.recv().await.unwrap();
    b.run.abort();
    tokio::time::timeout(LONG, token.cancelled()).await.unwrap();
    assert_eq!(finished.await.unwrap(), Err(CallError::Closed));
}
