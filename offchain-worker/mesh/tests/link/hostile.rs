//! Peers that break the rules. Each rule has a test that fails when the rule is not enforced.

use crate::{raw::*, support::*};
use bytes::Bytes;
use llmesh_mesh::link::*;
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;

fn small() -> LinkConfig {
    LinkConfig {
        max_header: 100,
        max_body: 1 << 20,
        max_response: 1 << 20,
        max_incoming: 4,
        window: 64 * 1024,
        link_window: 256 * 1024,
        memory: 2 << 20,
        stall: Duration::from_millis(300),
        ping: Duration::from_secs(60),
        compression: Compression::Off,
        ..LinkConfig::default()
    }
}

/// Sends one frame after the hello and expects this end.
async fn one(kind: u8, id: u32, payload: &[u8], reason: &str) {
    let (mut raw, side) = Raw::greeted(small(), echo()).await;
    raw.frame(kind, id, payload).await;
    raw.violated(side, reason).await;
}

#[tokio::test]
async fn garbage_instead_of_a_hello() {
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 100], &[0xff; 3]] {
        let (mut raw, side) = Raw::against(small(), echo());
        raw.send(garbage).await;
        assert_eq!(side.end().await, LinkEnd::Violation("not a link".into()));
    }
}

#[tokio::test]
async fn bad_hellos() {
    let good = b"LLMK\x01\x00\x01\x00\x20\x00";
    for (at, byte, reason) in [
        (4, 0, "version too old"),
        (6, 0, "both sides have the same role"),
        (6, 2, "malformed hello"),
        (7, 1, "malformed hello"),
        (8, 31, "hello length out of bounds"),
        (9, 2, "hello length out of bounds"),
    ] {
        let (mut raw, side) = Raw::against(small(), echo());
        let mut bytes = [&good[..], &[0xff; 32]].concat();
        bytes[at] = byte;
        raw.send(&bytes).await;
        assert_eq!(side.end().await, LinkEnd::Violation(reason.into()), "{at}");
    }
    for (window, link_window) in [(100, 1 << 20), (1 << 20, 100), (0, 0)] {
        let (mut raw, side) = Raw::against(small(), echo());
        raw.hello(Claims {
            window,
            link_window,
            ..Claims::default()
        })
        .await;
        assert_eq!(side.end().await, LinkEnd::Violation("window too small".into()));
    }
}

#[tokio::test]
async fn no_hello_or_half_of_one() {
    for part in [&b""[..], b"LLMK", b"LLMK\x01\x00\x01\x00\x20\x00abc"] {
        let (mut raw, side) = Raw::against(small(), echo());
        raw.send(part).await;
        let waiting = tokio::spawn({
            let link = side.link.clone();
            async move { link.call(call("", "hello?")).await }
        });
        let end = side.end().await;
        assert!(matches!(end, LinkEnd::Stalled("hello" | "begun frame")), "{end}");
        assert_eq!(waiting.await.unwrap(), Err(CallError::Closed));
    }
}

#[tokio::test]
async fn giant_frames_are_refused_by_their_head() {
    for (kind, len) in [
        (REQUEST | END, 12 + 100 + 16 * 1024 + 1),
        (DATA, 64 * 1024 - 8 + 1),
        (DATA, 0xff_ffff),
        (RESPONSE | END, 4 + 16 * 1024 + 1),
        (REJECT, 2 + 512 + 1),
        (PROGRESS, 32 * 1024 + 1),
        (PING, 9),
        (WINDOW, 5),
        (CANCEL, 1),
        (GOODBYE, 600),
    ] {
        let (mut raw, side) = Raw::greeted(small(), echo()).await;
        let id = u32::from(!matches!(kind, PING | GOODBYE));
        let len = u32::to_le_bytes(len);
        // The head alone: nothing of the payload is waited for.
        raw.send(&[&len[..3], &[kind], &id.to_le_bytes()[..]].concat())
            .await;
        raw.violated(side, "frame length out of bounds").await;
    }
}

#[tokio::test]
async fn unknown_kinds_and_flags() {
    one(0, 1, b"", "unknown frame kind").await;
    one(31, 1, b"", "unknown frame kind").await;
    one(PING | 0x80, 0, &[0; 8], "unknown frame flag").await;
    one(CANCEL | END, 1, b"", "flag on a frame that has none").await;
    one(
        REQUEST | PACKED,
        1,
        &request(b"", 1000, 9, b"abc"),
        "packed frame without a body",
    )
    .await;
    one(
        REQUEST | END,
        0,
        &request(b"", 1000, 0, b""),
        "frame with a wrong id",
    )
    .await;
    one(PING, 5, &[0; 8], "frame with a wrong id").await;
    let mut unknown_option = request(b"", 1000, 0, b"");
    unknown_option[3] = 2;
    one(REQUEST | END, 1, &unknown_option, "unknown request option").await;
}

#[tokio::test]
async fn ids_are_neither_used_again_nor_skipped_nor_taken_from_the_other_side() {
    let ask = request(b"", 1000, 1, b"x");
    for (second, reason) in [
        (1, "exchange id out of sequence"),
        (5, "exchange id out of sequence"),
        (2, "request with an id of ours"),
        (u32::MAX, "exchange id out of sequence"),
    ] {
        let (mut raw, side) = Raw::greeted(small(), echo()).await;
        raw.frame(REQUEST | END, 1, &ask).await;
        assert_eq!(raw.read_kind(RESPONSE).await.id, 1);
        raw.frame(REQUEST | END, second, &ask).await;
        raw.violated(side, reason).await;
    }
    one(REQUEST | END, 3, &ask, "exchange id out of sequence").await;
}

#[tokio::test]
async fn frames_of_exchanges_that_are_not() {
    let stranger = "frame for an exchange that is not in use";
    one(DATA, 1, b"x", "data without a body to belong to").await;
    one(DATA, 2, b"x", stranger).await;
    one(RESPONSE | END, 2, &response(0, b""), stranger).await;
    one(
        RESPONSE | END,
        1,
        &response(0, b""),
        "response to a request of the peer",
    )
    .await;
    one(REJECT, 2, &[0, 0], stranger).await;
    one(REJECT, 1, &[0, 0], "reject of a request of the peer").await;
    one(PROGRESS, 2, b"", stranger).await;
    one(PROGRESS, 1, b"", "progress of a request of the peer").await;
    one(CANCEL, 1, b"", "cancel of an exchange that never was").await;
    one(CANCEL, 2, b"", "cancel of a request of ours").await;
    one(WINDOW, 1, &[1, 0, 0, 0], "window of an exchange that never was").await;
    one(WINDOW, 2, &[1, 0, 0, 0], stranger).await;
    one(PONG, 0, &[9; 8], "pong without a ping").await;
}

#[tokio::test]
async fn a_crossing_cancel_or_window_is_no_violation() {
    let (mut raw, side) = Raw::greeted(small(), echo()).await;
    raw.frame(REQUEST | END, 1, &request(b"", 1000, 1, b"x")).await;
    raw.read_kind(RESPONSE).await;
    raw.frame(CANCEL, 1, b"").await;
    raw.frame(WINDOW, 1, &[1, 0, 0, 0]).await;
    raw.frame(REQUEST | END, 3, &request(b"", 1000, 1, b"y")).await;
    assert_eq!(raw.read_kind(RESPONSE).await.id, 3);
    assert!(side.link.is_open());
    // But a flood of them is one.
    for _ in 0..7 {
        raw.frame(CANCEL, 1, b"").await;
    }
    raw.violated(side, "too many frames for ended exchanges").await;
}

#[tokio::test]
async fn requests_that_do_not_add_up() {
    one(
        REQUEST | END,
        1,
        &request(b"", 1000, 5, b"four"),
        "body of another length than declared",
    )
    .await;
    one(
        REQUEST | END,
        1,
        &request(b"", 1000, 0, b"x"),
        "body of another length than declared",
    )
    .await;
    one(
        REQUEST,
        1,
        &request(b"", 1000, 30_000, b"x"),
        "request with a part of a body",
    )
    .await;
    one(
        REQUEST,
        1,
        &request(b"", 1000, 0, b""),
        "request with a part of a body",
    )
    .await;
    one(
        REQUEST,
        1,
        &request(b"", 1000, (1 << 20) + 1, b""),
        "body too large",
    )
    .await;
    one(
        REQUEST | END,
        1,
        &request(&[1; 101], 1000, 0, b""),
        "header too large",
    )
    .await;
    let mut lying = request(b"abc", 1000, 0, b"");
    lying[0] = 90;
    one(REQUEST | END, 1, &lying, "request header longer than its frame").await;
    one(
        REQUEST | END,
        1,
        &request(b"", 1000, 16_385, &[0; 16_385]),
        "inline body too large",
    )
    .await;
}

#[tokio::test]
async fn too_many_exchanges() {
    let (mut raw, side) = Raw::greeted(small(), echo()).await;
    for i in 0..4 {
        raw.frame(REQUEST | END, 1 + 2 * i, &request(b"never", 10_000, 0, b""))
            .await;
    }
    until(|| side.link.stats().incoming == 4).await;
    raw.frame(REQUEST | END, 9, &request(b"never", 10_000, 0, b""))
        .await;
    raw.violated(side, "too many exchanges").await;
}

#[tokio::test]
async fn more_memory_than_granted() {
    let (mut raw, side) = Raw::greeted(small(), echo()).await;
    for i in 0..2 {
        raw.frame(REQUEST, 1 + 2 * i, &request(b"", 10_000, 1 << 20, b""))
            .await;
    }
    until(|| side.link.stats().held == 2 << 20).await;
    raw.frame(REQUEST, 5, &request(b"", 10_000, 20_000, b"")).await;
    raw.violated(side, "memory window exceeded").await;
}

#[tokio::test]
async fn more_data_than_the_windows() {
    let (mut raw, side) = Raw::greeted(
        LinkConfig {
            window: 32 * 1024,
            ..small()
        },
        echo(),
    )
    .await;
    raw.frame(REQUEST, 1, &request(b"", 10_000, 1 << 20, b"")).await;
    raw.frame(DATA, 1, &[0; 32 * 1024 + 1]).await;
    raw.violated(side, "window exceeded").await;

    // The link's window. While this peer reads nothing, no window frame can leave, and data beyond the first grant is a violation.
    let config = LinkConfig {
        window: 1 << 20,
        link_window: 512 * 1024,
        ..small()
    };
    let (mut raw, side) = Raw::greeted(
        LinkConfig {
            stall: LONG,
            ..config
        },
        echo(),
    )
    .await;
    for i in 0..2 {
        raw.frame(
            REQUEST | END,
            1 + 2 * i,
            &request(b"large:400000", 10_000, 0, b""),
        )
        .await;
    }
    until(|| side.link.stats().in_flight > 350_000).await;
    raw.frame(REQUEST, 5, &request(b"", 10_000, 1 << 20, b"")).await;
    for _ in 0..9 {
        raw.frame(DATA, 5, &[0; 60_000]).await;
    }
    raw.violated(side, "link window exceeded").await;
}

#[tokio::test]
async fn bodies_longer_or_shorter_than_declared() {
    for (frames, reason) in [
        (vec![(DATA, 20_001)], "body longer than declared"),
        (
            vec![(DATA, 10_000), (DATA | END, 10_001)],
            "body longer than declared",
        ),
        (
            vec![(DATA | END, 19_999)],
            "body's end at another length than declared",
        ),
        (vec![(DATA, 20_000)], "body's end at another length than declared"),
        (
            vec![(DATA | END, 20_000), (DATA | END, 1)],
            "data without a body to belong to",
        ),
    ] {
        let (mut raw, side) = Raw::greeted(small(), echo()).await;
        raw.frame(REQUEST, 1, &request(b"never", 10_000, 20_000, b""))
            .await;
        for (kind, len) in frames {
            raw.frame(kind, 1, &vec![0; len]).await;
        }
        raw.violated(side, reason).await;
    }
}

#[tokio::test]
async fn zstd_bombs_and_lies() {
    let bomb = zstd::bulk::compress(&vec![0; 256 << 20], 1).unwrap();
    assert!(bomb.len() < 49_000);
    let honest = zstd::bulk::compress(&vec![7; 50_000], 1).unwrap();
    let wrong = "packed data that does not unpack to its declared length";
    for (payload, reason) in [
        (packed(50_000, &bomb), wrong),
        (packed(256 << 20, &bomb), "packed data unpacks to too much"),
        (packed(u32::MAX, &bomb), "packed data unpacks to too much"),
        (packed(49_999, &honest), wrong),
        (packed(50_001, &honest), wrong),
        (packed(50_000, b"garbage that is no zstd frame"), wrong),
        (packed(5, &honest), "packed data that is not smaller"),
        // A frame that says nothing of its length, cut off.
        (packed(50_000, &honest[..honest.len() - 2]), wrong),
    ] {
        let (mut raw, side) = Raw::greeted(small(), echo()).await;
        raw.frame(REQUEST, 1, &request(b"", 10_000, 1 << 20, b"")).await;
        raw.frame(DATA | PACKED, 1, &payload).await;
        raw.violated(side, reason).await;
    }
    // More than the body was to be, though within a frame's bounds.
    let (mut raw, side) = Raw::greeted(small(), echo()).await;
    raw.frame(REQUEST, 1, &request(b"", 10_000, 40_000, b"")).await;
    raw.frame(DATA | PACKED, 1, &packed(50_000, &honest)).await;
    raw.violated(side, "body longer than declared").await;
    // In a request's own frame.
    let inline = [
        request(b"h", 1000, 16_000, b""),
        bomb[..bomb.len().min(15_000)].to_vec(),
    ]
    .concat();
    one(REQUEST | END | PACKED, 1, &inline, wrong).await;
    let inline = [request(b"h", 1000, 50_000, b""), honest.clone()].concat();
    one(REQUEST | END | PACKED, 1, &inline, "inline body too large").await;
    // And an honest one is taken.
    let (mut raw, side) = Raw::greeted(small(), echo()).await;
    raw.frame(REQUEST, 1, &request(b"large:3", 10_000, 50_000, b""))
        .await;
    raw.frame(DATA | PACKED | END, 1, &packed(50_000, &honest)).await;
    assert_eq!(raw.read_kind(RESPONSE).await.payload, response(3, &[5; 3]));
    assert_eq!(side.link.stats().compression_received, 1);
}

#[tokio::test]
async fn a_frame_that_is_begun_and_never_finished() {
    let ask = request(b"", 10_000, 1000, &[0; 1000]);
    // In the head, in the payload, in streamed data.
    let (mut raw, side) = Raw::greeted(small(), echo()).await;
    raw.send(&[1, 2, 3]).await;
    assert_eq!(side.end().await, LinkEnd::Stalled("begun frame"));

    let (mut raw, side) = Raw::greeted(small(), echo()).await;
    raw.send(
        &[
            &(ask.len() as u32).to_le_bytes()[..3],
            &[REQUEST | END, 1, 0, 0, 0],
            &ask[..500],
        ]
        .concat(),
    )
    .await;
    assert_eq!(side.end().await, LinkEnd::Stalled("begun frame"));

    let (mut raw, side) = Raw::greeted(small(), echo()).await;
    raw.frame(REQUEST, 1, &request(b"", 10_000, 100_000, b"")).await;
    raw.send(&[&50_000u32.to_le_bytes()[..3], &[DATA, 1, 0, 0, 0], &[0; 40_000]].concat())
        .await;
    assert_eq!(side.end().await, LinkEnd::Stalled("begun frame"));
}

#[tokio::test]
async fn a_frame_that_trickles() {
    let (mut raw, side) = Raw::greeted(small(), echo()).await;
    let trickle = tokio::spawn(async move {
        raw.frame(REQUEST, 1, &request(b"", 60_000, 100_000, b"")).await;
        raw.send(&[&50_000u32.to_le_bytes()[..3], &[DATA, 1, 0, 0, 0]].concat())
            .await;
        loop {
            raw.send(&[0]).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert_eq!(side.end().await, LinkEnd::Stalled("begun frame"));
    trickle.abort();
}

#[tokio::test]
async fn a_request_without_its_body_times_out() {
    let (mut raw, side) = Raw::greeted(small(), echo()).await;
    raw.frame(REQUEST, 1, &request(b"", 50, 100_000, b"")).await;
    let reject = raw.read_kind(REJECT).await;
    assert_eq!(
        (reject.id, &reject.payload[..2]),
        (1, &CODE_TIMEOUT.to_le_bytes()[..])
    );
    // Its memory is given back when the peer ends its half.
    assert_eq!(side.link.stats().held, 100_000);
    raw.frame(CANCEL, 1, b"").await;
    until(|| side.link.stats().held == 0).await;
    // A peer that never does has only so long.
    raw.frame(REQUEST, 3, &request(b"", 50, 100_000, b"")).await;
    raw.read_kind(REJECT).await;
    assert_eq!(side.end().await, LinkEnd::Stalled("end of an exchange"));
}

#[tokio::test]
async fn a_peer_that_never_ends_its_half_of_our_call() {
    let (mut raw, side) = Raw::greeted(small(), echo()).await;
    let result = side.link.call(Call::new("", Duration::from_millis(50))).await;
    assert_eq!(result, Err(CallError::Timeout));
    assert_eq!(raw.read_kind(REQUEST).await.id, 2);
    assert_eq!(raw.read_kind(CANCEL).await.id, 2);
    // It keeps its place until then.
    assert_eq!(side.link.stats().calls, 1);
    assert_eq!(side.end().await, LinkEnd::Stalled("end of an exchange"));
}

#[tokio::test]
async fn a_peer_that_does_not_read() {
    // It has granted everything beforehand, and the pipe holds a quarter of the answer.
    let (mut raw, side) = Raw::greeted(
        LinkConfig {
            window: 1 << 20,
            link_window: 4 << 20,
            ..small()
        },
        echo(),
    )
    .await;
    raw.frame(REQUEST | END, 1, &request(b"large:1000000", 60_000, 0, b""))
        .await;
    assert_eq!(side.end().await, LinkEnd::Stalled("write"));
}

#[tokio::test]
async fn a_silent_peer_is_found_by_a_ping() {
    let config = LinkConfig {
        ping: Duration::from_millis(50),
        ..small()
    };
    let (raw, side) = Raw::greeted(config, echo()).await;
    assert_eq!(side.end().await, LinkEnd::Stalled("ping"));
    drop(raw);
}

/// With pings and stalls that are far off.
fn patient(patience: u64) -> LinkConfig {
    LinkConfig {
        patience: Duration::from_millis(patience),
        stall: LONG,
        ..small()
    }
}

#[tokio::test]
async fn a_call_does_not_wait_for_a_peer_that_fell_silent() {
    // Before the hello, after it, and after a while without calls.
    for (greets, idle) in [(false, 0), (true, 0), (true, 150)] {
        let (mut raw, side) = Raw::against(patient(100), echo());
        if greets {
            raw.hello(Claims::default()).await;
        }
        tokio::time::sleep(Duration::from_millis(idle)).await;
        let answer = side.link.call(call("", pattern(10, 1))).await;
        assert!(matches!(answer, Err(CallError::Closed)), "{answer:?}");
        assert_eq!(side.end().await, LinkEnd::Silent);
        drop(raw);
    }
}

#[tokio::test]
async fn a_peer_that_answers_pings_may_take_its_time() {
    let (mut raw, side) = Raw::greeted(patient(500), echo()).await;
    let asked = tokio::spawn({
        let link = side.link.clone();
        async move { link.call(call("", pattern(10, 1))).await }
    });
    let id = raw.read_kind(REQUEST).await.id;
    // Nothing but pings comes, for many times the patience; reading answers them.
    let nothing = tokio::time::timeout(Duration::from_millis(3_000), raw.read()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    raw.frame(RESPONSE | END, id, &response(4, b"late")).await;
    assert_eq!(asked.await.unwrap(), Ok(Bytes::from_static(b"late")));
}

#[tokio::test]
async fn a_peer_that_takes_no_more_of_a_body_is_dead() {
    let config = LinkConfig {
        window: 1 << 20,
        link_window: 4 << 20,
        ..patient(60)
    };
    let (mut raw, side) = Raw::greeted(config, echo()).await;
    // More than the stream holds, so that not even a ping gets out.
    let answer = side.link.call(call("", pattern(1 << 20, 1))).await;
    assert!(matches!(answer, Err(CallError::Closed)), "{answer:?}");
    assert_eq!(side.end().await, LinkEnd::Silent);
    raw.read_kind(REQUEST).await;
}

#[tokio::test]
async fn a_peer_that_is_slow_to_take_a_body_is_not_dead() {
    let config = LinkConfig {
        window: 1 << 20,
        link_window: 4 << 20,
        ..patient(60)
    };
    let (mut raw, side) = Raw::greeted(config, echo()).await;
    let asked = tokio::spawn({
        let link = side.link.clone();
        async move { link.call(call("", pattern(200_000, 1))).await }
    });
    // It reads nothing for many times the patience.
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(side.link.is_open() && !asked.is_finished());
    let id = raw.read_kind(REQUEST).await.id;
    while raw.read_kind(DATA).await.kind & END == 0 {}
    raw.frame(RESPONSE | END, id, &response(4, b"done")).await;
    assert_eq!(asked.await.unwrap(), Ok(Bytes::from_static(b"done")));
}

#[tokio::test]
async fn pings_one_at_a_time() {
    let (mut raw, side) = Raw::greeted(small(), echo()).await;
    for i in 0..100u64 {
        raw.frame(PING, 0, &i.to_le_bytes()).await;
        assert_eq!(raw.read_kind(PONG).await.payload, i.to_le_bytes());
    }
    let two = [
        &[8, 0, 0, PING, 0, 0, 0, 0][..],
        &[1; 8],
        &[8, 0, 0, PING, 0, 0, 0, 0],
        &[2; 8],
    ]
    .concat();
    raw.send(&two).await;
    raw.violated(side, "ping before the last pong").await;
}

#[tokio::test]
async fn windows_beyond_their_size() {
    one(WINDOW, 0, &[1, 0, 0, 0], "window beyond its size").await;
    one(WINDOW, 0, &[0xff; 4], "window beyond its size").await;
    one(WINDOW, 0, &[0; 4], "empty window frame").await;
    // Of an answer.
    let (mut raw, side) = Raw::greeted(small(), echo()).await;
    raw.frame(REQUEST | END, 1, &request(b"large:900000", 10_000, 0, b""))
        .await;
    raw.read_kind(DATA).await;
    raw.frame(WINDOW, 1, &[0xff, 0xff, 0xff, 0x7f]).await;
    raw.violated(side, "window beyond its size").await;
    // Before there is one.
    let (mut raw, side) = Raw::greeted(small(), echo()).await;
    raw.frame(REQUEST | END, 1, &request(b"never", 10_000, 0, b""))
        .await;
    raw.frame(WINDOW, 1, &[1, 0, 0, 0]).await;
    raw.violated(side, "window before its body").await;
}

#[tokio::test]
async fn a_flood_of_rejected_requests_holds_nothing() {
    // The peer is beyond its rate: each request costs it a place, and the places are few.
    let rate = Rate {
        requests: 1,
        request_burst: 1,
        bytes: 1 << 30,
        byte_burst: 1 << 30,
    };
    let (mut raw, side) = Raw::greeted(
        LinkConfig {
            rate: Some(rate),
            ..small()
        },
        echo(),
    )
    .await;
    let mut rejects = 0;
    for i in 0..2000u32 {
        raw.frame(REQUEST | END, 1 + 2 * i, &request(b"", 1000, 1, b"x"))
            .await;
        if raw.read().await.unwrap().kind == REJECT {
            rejects += 1;
        }
    }
    assert!(rejects > 1990);
    assert_eq!((side.link.stats().incoming, side.link.stats().held), (0, 0));
    // Rejected bodies are counted too: a flood of those that never end is over at the limit.
    for i in 2000..2005u32 {
        raw.frame(REQUEST, 1 + 2 * i, &request(b"", 1000, 20_000, b""))
            .await;
    }
    raw.violated(side, "too many exchanges").await;
}

#[tokio::test]
async fn a_peer_that_answers_with_a_flood_of_rejects() {
    let (mut raw, side) = Raw::greeted(small(), echo()).await;
    let waiting = tokio::spawn({
        let link = side.link.clone();
        async move { link.call(call("", "")).await }
    });
    let id = raw.read_kind(REQUEST).await.id;
    raw.frame(REJECT, id, &[9, 0, b'n', b'o', 0xff]).await;
    assert_eq!(
        waiting.await.unwrap(),
        Err(CallError::Rejected(Reject::new(9, "no\u{fffd}")))
    );
    raw.frame(REJECT, id, &[9, 0]).await;
    raw.violated(side, "frame for an exchange that is not in use")
        .await;
}

/// A raw peer with one call of the real side, whose request frame has been read.
async fn asked(
    body: Bytes,
    config: LinkConfig,
) -> (Raw, Side, tokio::task::JoinHandle<Result<Bytes, CallError>>) {
    let (mut raw, side) = Raw::greeted(config, echo()).await;
    let link = side.link.clone();
    let waiting = tokio::spawn(async move { link.call(Call::new(body, LONG)).await });
    assert_eq!(raw.read_kind(REQUEST).await.id, 2);
    (raw, side, waiting)
}

#[tokio::test]
async fn answers_that_do_not_add_up() {
    for (frames, reason) in [
        (
            vec![(RESPONSE | END, response(3, b"four"))],
            "body of another length than declared",
        ),
        (
            vec![(RESPONSE, response(30_000, b"x"))],
            "response with a part of a body",
        ),
        (
            vec![(RESPONSE, response(0, b""))],
            "response with a part of a body",
        ),
        (
            vec![(RESPONSE, response((1 << 20) + 1, b""))],
            "response too large",
        ),
        (vec![(RESPONSE, response(u32::MAX, b""))], "response too large"),
        (
            vec![
                (RESPONSE, response(30_000, b"")),
                (RESPONSE | END, response(0, b"")),
            ],
            "second answer",
        ),
        (vec![(DATA, vec![1; 10])], "data without a body to belong to"),
        (
            vec![(RESPONSE, response(30_000, b"")), (DATA | END, vec![1; 29_999])],
            "body's end at another length than declared",
        ),
        (vec![(PROGRESS, vec![1])], "progress that nobody asked for"),
        (
            vec![(RESPONSE | END | PACKED, packed(16_000, &[1; 30]))],
            "packed data that does not unpack to its declared length",
        ),
        (
            vec![(RESPONSE | END | PACKED, packed(17_000, &[1; 30]))],
            "inline body too large",
        ),
    ] {
        let (mut raw, side, waiting) = asked("".into(), small()).await;
        for (kind, payload) in frames {
            raw.frame(kind, 2, &payload).await;
        }
        raw.violated(side, reason).await;
        assert_eq!(
            waiting.await.unwrap(),
            Err(CallError::Protocol(reason.to_owned()))
        );
    }
    // Before the request's end.
    let (mut raw, side, _) = asked(vec![0; 1 << 20].into(), small()).await;
    raw.frame(RESPONSE | END, 2, &response(0, b"")).await;
    raw.violated(side, "answer before the request's end").await;
}

#[tokio::test]
async fn answers_beyond_the_memory() {
    let (mut raw, side) = Raw::greeted(small(), echo()).await;
    let calls: Vec<_> = (0..3)
        .map(|_| {
            let link = side.link.clone();
            tokio::spawn(async move { link.call(call("", "")).await })
        })
        .collect();
    for i in 0..3 {
        assert_eq!(raw.read_kind(REQUEST).await.id, 2 + 2 * i);
    }
    for i in 0..3 {
        raw.frame(RESPONSE, 2 + 2 * i, &response(1 << 20, b"")).await;
    }
    raw.violated(side, "memory window exceeded").await;
    for call in calls {
        assert!(matches!(call.await.unwrap(), Err(CallError::Protocol(_))));
    }
}

#[tokio::test]
async fn a_reject_in_the_middle_of_the_body_ends_it() {
    let (mut raw, side, waiting) = asked(vec![0; 1 << 20].into(), small()).await;
    raw.frame(REJECT, 2, &[3, 0]).await;
    assert_eq!(
        waiting.await.unwrap(),
        Err(CallError::Rejected(Reject::new(3, "")))
    );
    raw.read_kind(CANCEL).await;
    until(|| side.link.stats().calls == 0).await;
    // And a second answer is one too many.
    raw.frame(REJECT, 2, &[3, 0]).await;
    raw.violated(side, "frame for an exchange that is not in use")
        .await;
}

#[tokio::test]
async fn data_and_progress_after_the_end() {
    let (mut raw, side) = Raw::greeted(small(), echo()).await;
    raw.frame(REQUEST, 1, &request(b"", 10_000, 20_000, b"")).await;
    raw.frame(CANCEL, 1, b"").await;
    raw.frame(DATA, 1, b"more").await;
    raw.violated(side, "data without a body to belong to").await;

    let (mut raw, side) = Raw::greeted(small(), echo()).await;
    let (sender, _progress) = mpsc::channel(1);
    let link = side.link.clone();
    let _waiting = tokio::spawn(async move {
        link.call(Call {
            progress: Some(sender),
            ..call("", "")
        })
        .await
    });
    raw.read_kind(REQUEST).await;
    raw.frame(RESPONSE, 2, &response(30_000, b"")).await;
    raw.frame(PROGRESS, 2, b"late").await;
    raw.violated(side, "progress after the answer").await;
}

#[tokio::test]
async fn a_goodbye_with_a_reason_is_a_violation_of_ours() {
    let (mut raw, side, waiting) = asked("".into(), small()).await;
    raw.frame(GOODBYE, 0, b"\x01\x00because").await;
    assert_eq!(
        side.end().await,
        LinkEnd::Violation("found by the peer: because".into())
    );
    assert!(matches!(waiting.await.unwrap(), Err(CallError::Protocol(_))));
    let (mut raw, side, waiting) = asked("".into(), small()).await;
    raw.frame(GOODBYE, 0, &[0, 0]).await;
    assert_eq!(side.end().await, LinkEnd::Goodbye);
    assert_eq!(waiting.await.unwrap(), Err(CallError::Closed));
}

#[tokio::test]
async fn random_bytes_after_the_hello_end_the_link_without_a_panic() {
    use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let frames = proptest::collection::vec(
        (
            prop_oneof![8 => 1u8..11, 1 => any::<u8>()],
            0u8..4,
            0u32..8,
            proptest::collection::vec(any::<u8>(), 0..60),
        ),
        1..12,
    );
    for _ in 0..400 {
        let (mut raw, side) = Raw::greeted(small(), echo()).await;
        let link = side.link.clone();
        let waiting = tokio::spawn(async move { link.call(call("", "x")).await });
        for (kind, flags, id, payload) in frames.new_tree(&mut runner).unwrap().current() {
            raw.frame(kind | flags << 5, id, &payload).await;
        }
        drop(raw);
        // The run loop comes to an end, and so does the call.
        side.end().await;
        assert!(waiting.await.unwrap().is_err());
    }
}

#[tokio::test]
async fn rejected_at_the_head_the_body_is_not_kept() {
    // The rate refuses the request; its body comes all the same and is dropped.
    let rate = Rate {
        requests: 1,
        request_burst: 1,
        bytes: 1 << 30,
        byte_burst: 1 << 30,
    };
    let (x, y) = pipe(4096);
    let _b = Side::new(
        y,
        Role::Listener,
        LinkConfig {
            rate: Some(rate),
            ..small()
        },
        Arc::new(echo()),
    );
    let a = Side::new(x, Role::Dialer, small(), Arc::new(echo()));
    a.link.call(call("", "")).await.unwrap();
    for _ in 0..20 {
        let result = a.link.call(call("", pattern(1 << 20, 1))).await;
        assert!(matches!(result, Err(CallError::Rejected(Reject { code: CODE_RATE, .. }))) || result.is_ok());
    }
    until(|| a.link.stats().calls == 0).await;
    assert!(a.link.is_open());
}
