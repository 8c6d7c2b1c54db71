//! Windows and memory: what a side that does not take its part makes the other one hold.

use crate::{raw::*, support::*};
use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use llmesh_mesh::link::*;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

#[tokio::test]
async fn a_sender_stops_at_the_windows_and_goes_on_when_they_open() {
    let (window, link_window) = (128 * 1024, 300 * 1024);
    let config = LinkConfig {
        compression: Compression::Off,
        ..LinkConfig::default()
    };
    let (mut raw, side) = Raw::against(config, echo());
    raw.hello(Claims {
        window,
        link_window,
        ..Claims::default()
    })
    .await;
    let calls: Vec<_> = (0..3)
        .map(|i| {
            let link = side.link.clone();
            tokio::spawn(async move { link.call(call("", pattern(400_000, i))).await })
        })
        .collect();
    let mut got = [0usize; 3];
    let mut bodies = vec![Vec::new(); 3];
    let take = |frame: Frame, got: &mut [usize; 3], bodies: &mut Vec<Vec<u8>>| {
        if frame.kind & 0x1f == DATA {
            let at = (frame.id as usize - 2) / 2;
            got[at] += frame.payload.len();
            bodies[at].extend_from_slice(&frame.payload);
            frame.payload.len()
        } else {
            0
        }
    };
    // Everything that comes without a window frame.
    let mut total = 0;
    while let Ok(frame) = tokio::time::timeout(std::time::Duration::from_millis(300), raw.read()).await {
        total += take(frame.unwrap(), &mut got, &mut bodies);
        assert!(total <= link_window as usize);
        assert!(got.iter().all(|n| *n <= window as usize));
    }
    assert!(
        total > link_window as usize - 4096,
        "{total}: the windows are used"
    );
    assert_eq!(side.link.stats().in_flight, total as u64);
    // Give back, bit by bit.
    let mut free = total;
    let mut owed = got;
    while bodies.iter().any(|body| body.len() < 400_000) {
        if free > 0 {
            raw.frame(WINDOW, 0, &(free as u32).to_le_bytes()).await;
        }
        for (i, n) in owed.iter_mut().enumerate() {
            if *n > 0 && bodies[i].len() < 400_000 {
                raw.frame(WINDOW, 2 + 2 * i as u32, &(*n as u32).to_le_bytes())
                    .await;
                *n = 0;
            }
        }
        let before = got;
        free = take(raw.read().await.unwrap(), &mut got, &mut bodies);
        for i in 0..3 {
            owed[i] += got[i] - before[i];
        }
    }
    for (i, body) in bodies.iter().enumerate() {
        assert_eq!(body[..], pattern(400_000, i as u64)[..]);
        raw.frame(RESPONSE | END, 2 + 2 * i as u32, &response(0, b""))
            .await;
    }
    for call in calls {
        assert_eq!(call.await.unwrap(), Ok(Bytes::new()));
    }
}

#[tokio::test]
async fn large_requests_wait_for_the_peers_memory() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let now = Arc::new(AtomicUsize::new(0));
    let handler = {
        let (gate, most, now) = (gate.clone(), most.clone(), now.clone());
        move |request: Incoming| {
            let (gate, most, now) = (gate.clone(), most.clone(), now.clone());
            async move {
                let len = request.body.len();
                most.fetch_max(now.fetch_add(len, Ordering::SeqCst) + len, Ordering::SeqCst);
                gate.acquire().await.unwrap().forget();
                now.fetch_sub(len, Ordering::SeqCst);
                Ok(Bytes::new())
            }
            .boxed() as BoxFuture<'static, Result<Bytes, Reject>>
        }
    };
    let (x, y) = pipe(64 * 1024);
    let memory = 1 << 20;
    let b = Side::new(
        y,
        Role::Listener,
        LinkConfig {
            memory,
            ..LinkConfig::default()
        },
        Arc::new(handler),
    );
    let a = Side::new(x, Role::Dialer, LinkConfig::default(), Arc::new(echo()));
    let calls: Vec<_> = (0..10)
        .map(|i| {
            let link = a.link.clone();
            tokio::spawn(async move { link.call(call("", pattern(300_000, i))).await })
        })
        .collect();
    until(|| now.load(Ordering::SeqCst) == 900_000).await;
    assert_eq!(b.link.stats().incoming, 3);
    // A small one passes by.
    let small = tokio::spawn({
        let link = a.link.clone();
        async move { link.call(call("", "small")).await }
    });
    until(|| b.link.stats().incoming == 4).await;
    gate.add_permits(11);
    for call in calls {
        assert!(call.await.unwrap().is_ok());
    }
    assert!(small.await.unwrap().is_ok());
    assert!(most.load(Ordering::SeqCst) <= memory + 5);
}

#[tokio::test]
async fn a_peer_that_reads_nothing_makes_few_handlers_finish() {
    // Each answer is 1 MiB and 2 MiB may wait: the handlers behind them are not polled to their end.
    let finished = Arc::new(AtomicUsize::new(0));
    let handler = {
        let finished = finished.clone();
        move |_: Incoming| {
            let finished = finished.clone();
            async move {
                // One step before the answer exists, as after any real work.
                tokio::task::yield_now().await;
                finished.fetch_add(1, Ordering::SeqCst);
                Ok(Bytes::from(vec![1; 1 << 20]))
            }
            .boxed() as BoxFuture<'static, Result<Bytes, Reject>>
        }
    };
    let config = LinkConfig {
        memory: 2 << 20,
        max_incoming: 100,
        compression: Compression::Off,
        ..LinkConfig::default()
    };
    let (mut raw, side) = Raw::greeted(config, handler).await;
    for i in 0..100 {
        raw.frame(REQUEST | END, 1 + 2 * i, &request(b"", 60_000, 0, b""))
            .await;
    }
    until(|| side.link.stats().calls_received == 100).await;
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    let early = finished.load(Ordering::SeqCst);
    assert!(early <= 4, "{early} answers are held for a peer that reads none");
    // When it reads, all come.
    let mut ends = 0;
    while ends < 100 {
        let frame = raw.read().await.unwrap();
        if frame.kind & 0x1f == DATA {
            let n = (frame.payload.len() as u32).to_le_bytes();
            raw.frame(WINDOW, 0, &n).await;
            if frame.kind & END == 0 {
                raw.frame(WINDOW, frame.id, &n).await;
            } else {
                ends += 1;
            }
        }
    }
    assert_eq!(finished.load(Ordering::SeqCst), 100);
}

#[tokio::test]
async fn slow_links_are_packed_and_fast_ones_are_not() {
    // 4 MB/s, as a peer's rate: far below any compressor.
    let rate = Rate {
        requests: 10_000,
        request_burst: 10_000,
        bytes: 4_000_000,
        byte_burst: 32 * 1024,
    };
    let config = LinkConfig::default();
    let (x, y) = pipe(16 * 1024);
    let _b = Side::new(
        y,
        Role::Listener,
        LinkConfig {
            rate: Some(rate),
            ..config.clone()
        },
        Arc::new(|_: Incoming| {
            async { Ok(Bytes::new()) }.boxed() as BoxFuture<'static, Result<Bytes, Reject>>
        }),
    );
    let a = Side::new(x, Role::Dialer, config.clone(), Arc::new(echo()));
    let send = async |body: &Bytes| a.link.call(call("", body.clone())).await.unwrap();
    send(&pattern(512 * 1024, 1)).await;
    let stats = a.link.stats();
    let link = stats.link_throughput.expect("measured") as f64;
    assert!((2e6..8e6).contains(&link), "{link}");
    for _ in 0..4 {
        send(&text(512 * 1024)).await;
    }
    let stats = a.link.stats();
    assert!(
        stats.compression_active && stats.compression_used > 0,
        "{stats:?}"
    );
    assert!(stats.compression_saved > 1_000_000, "{stats:?}");
    // What does not shrink goes plain and is hardly tried.
    let before = a.link.stats();
    for i in 0..4 {
        send(&pattern(128 * 1024, i)).await;
    }
    let after = a.link.stats();
    assert_eq!(after.compression_used, before.compression_used);
    assert!(after.compression_tried - before.compression_tried <= 3);
}
