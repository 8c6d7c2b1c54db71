//! Calls between nodes on one machine: transports, refusals, deaths, restarts, other chains.

mod common;

use common::*;
use llmesh_mesh::{
    CallError, Config, Keypair, Kind, Mesh, MeshError, Unreachable,
    link::{self, Call},
};
use std::{sync::Arc, time::Duration};

async fn over(listen: &str) {
    log();
    let chain = Chain::default();
    let host = start(
        Config {
            listen: vec![listen.parse().unwrap()],
            ..config()
        },
        &chain,
    );
    let client = start(config(), &chain);
    client
        .mesh
        .connect(host.peer, vec![host.address().await])
        .await
        .unwrap();
    for body in [&b""[..], b"x", &[5; 100_000]] {
        let answer = client
            .mesh
            .call(host.peer, Kind::Inference, Call::new(body.to_vec(), PATIENCE))
            .await
            .unwrap();
        assert_eq!(answer, body);
    }
    // The other direction goes over the same link.
    assert_eq!(
        host.mesh
            .call(client.peer, Kind::Inference, call(b"back"))
            .await
            .unwrap(),
        "back"
    );
    let inference = |mesh: &Mesh| {
        mesh.links()
            .into_iter()
            .filter(|(_, kind, _)| *kind == Kind::Inference)
            .count()
    };
    assert_eq!((inference(&client.mesh), inference(&host.mesh)), (1, 1));
    client.mesh.stop().await;
    host.mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tcp() {
    over("/ip4/127.0.0.1/tcp/0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_quic() {
    over("/ip4/127.0.0.1/udp/0/quic-v1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_websocket() {
    over("/ip4/127.0.0.1/tcp/0/ws").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_names() {
    log();
    let chain = Chain::default();
    let (host, client) = (start(config(), &chain), start(config(), &chain));
    client
        .mesh
        .connect(host.peer, vec![host.address().await])
        .await
        .unwrap();
    let refused = client
        .mesh
        .call(
            host.peer,
            Kind::Inference,
            Call {
                header: "refuse".into(),
                ..call(b"")
            },
        )
        .await;
    assert!(
        matches!(&refused, Err(CallError::Link(link::CallError::Rejected(reject))) if reject.code == 7),
        "{refused:?}"
    );
    let unserved = client.mesh.call(host.peer, Kind::Consensus, call(b"")).await;
    assert!(
        matches!(unserved, Err(CallError::Unsupported { .. })),
        "{unserved:?}"
    );
    let myself = client.mesh.call(client.peer, Kind::Inference, call(b"")).await;
    assert!(
        matches!(
            myself,
            Err(CallError::Unreachable {
                reason: Unreachable::Myself,
                ..
            })
        ),
        "{myself:?}"
    );
    let nobody = Keypair::generate_ed25519().public().to_peer_id();
    let unknown = client.mesh.call(nobody, Kind::Inference, call(b"")).await;
    assert!(
        matches!(unknown, Err(CallError::Unreachable { .. })),
        "{unknown:?}"
    );
    let late = client
        .mesh
        .call(
            host.peer,
            Kind::Inference,
            Call {
                header: "wait".into(),
                timeout: Duration::from_millis(100),
                ..call(b"")
            },
        )
        .await;
    assert!(
        matches!(late, Err(CallError::Link(link::CallError::Timeout))),
        "{late:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_call_at_once_and_one_link_remains() {
    log();
    let chain = Chain::default();
    let (one, two) = (start(config(), &chain), start(config(), &chain));
    one.mesh
        .connect(two.peer, vec![two.address().await])
        .await
        .unwrap();
    two.until_ready(one.peer).await;
    let mut calls = tokio::task::JoinSet::new();
    for (from, to) in [(&one, &two), (&two, &one)] {
        for _ in 0..20 {
            let (mesh, peer) = (from.mesh.clone(), to.peer);
            calls.spawn(async move { mesh.call(peer, Kind::Content, call(b"x")).await.unwrap() });
        }
    }
    while let Some(answer) = calls.join_next().await {
        assert_eq!(answer.unwrap(), "x");
    }
    for (mesh, peer) in [(&one.mesh, two.peer), (&two.mesh, one.peer)] {
        let content = mesh
            .links()
            .into_iter()
            .filter(|(_, kind, _)| *kind == Kind::Content)
            .count();
        assert_eq!(content, 1);
        assert_eq!(mesh.call(peer, Kind::Content, call(b"y")).await.unwrap(), "y");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_peer_fails_calls_quickly_and_is_called_again_when_it_is_back() {
    log();
    let chain = Chain::default();
    let key = Keypair::generate_ed25519();
    let host = start(
        Config {
            keypair: key.clone(),
            ..config()
        },
        &chain,
    );
    let client = start(config(), &chain);
    let address = host.address().await;
    client
        .mesh
        .connect(host.peer, vec![address.clone()])
        .await
        .unwrap();
    assert_eq!(
        client
            .mesh
            .call(host.peer, Kind::Inference, call(b"x"))
            .await
            .unwrap(),
        "x"
    );
    let (progress, mut begun) = tokio::sync::mpsc::channel(1);
    let waiting = {
        let (mesh, peer) = (client.mesh.clone(), host.peer);
        tokio::spawn(async move {
            let call = Call {
                header: "wait".into(),
                progress: Some(progress),
                ..call(b"")
            };
            mesh.call(peer, Kind::Inference, call).await
        })
    };
    begun.recv().await.unwrap();
    let peer = host.peer;
    drop(host);
    let killed = tokio::time::Instant::now();
    let lost = waiting.await.unwrap();
    assert!(
        matches!(lost, Err(CallError::Link(link::CallError::Closed))),
        "{lost:?}"
    );
    assert!(
        killed.elapsed() < Duration::from_secs(10),
        "{:?}",
        killed.elapsed()
    );
    client.until_gone(peer).await;
    let gone = client
        .mesh
        .call(peer, Kind::Inference, Call::new("x", Duration::from_secs(15)))
        .await;
    assert!(matches!(gone, Err(CallError::Unreachable { .. })), "{gone:?}");
    // The same peer, the same address.
    let back = start(
        Config {
            keypair: key,
            listen: vec![address],
            ..config()
        },
        &chain,
    );
    let answer = eventually("called again", async || {
        client.mesh.call(peer, Kind::Inference, call(b"z")).await
    })
    .await;
    assert_eq!(answer, "z");
    drop(back);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_chain_never_connects() {
    log();
    let chain = Chain::default();
    for listen in ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"] {
        let host = start(
            Config {
                listen: vec![listen.parse().unwrap()],
                ..config()
            },
            &chain,
        );
        let stranger = start(
            Config {
                genesis: [8; 32],
                ..config()
            },
            &chain,
        );
        let refused = stranger.mesh.connect(host.peer, vec![host.address().await]).await;
        assert!(
            matches!(refused, Err(MeshError::Unreachable { .. })),
            "{refused:?}"
        );
        let refused = stranger.mesh.call(host.peer, Kind::Inference, call(b"x")).await;
        assert!(
            matches!(
                refused,
                Err(CallError::Unreachable { .. } | CallError::Unsupported { .. })
            ),
            "{refused:?}"
        );
        stranger.until_gone(host.peer).await;
        host.until_gone(stranger.peer).await;
        assert!(!is_ready(&host.mesh.status().borrow(), stranger.peer));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_is_orderly_and_quick() {
    log();
    let chain = Chain::default();
    let (host, client) = (start(config(), &chain), start(config(), &chain));
    client
        .mesh
        .connect(host.peer, vec![host.address().await])
        .await
        .unwrap();
    let (progress, mut begun) = tokio::sync::mpsc::channel(1);
    let slow = Call {
        header: "slow".into(),
        progress: Some(progress),
        ..call(b"at work")
    };
    let at_work = {
        let (mesh, peer) = (client.mesh.clone(), host.peer);
        tokio::spawn(async move { mesh.call(peer, Kind::Inference, slow).await })
    };
    begun.recv().await.unwrap();
    let begun = tokio::time::Instant::now();
    host.mesh.stop().await;
    assert_eq!(at_work.await.unwrap().unwrap(), "at work", "what is at work ends");
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    client.until_gone(host.peer).await;
    host.mesh.stop().await;
    assert!(matches!(
        host.mesh.call(client.peer, Kind::Inference, call(b"x")).await,
        Err(CallError::Stopped)
    ));
    assert!(matches!(
        host.mesh.connect(client.peer, vec![]).await,
        Err(MeshError::Stopped)
    ));
    assert!(host.mesh.providers([0; 32], 1, PATIENCE).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_work_is_refused_at_start() {
    let chain: Arc<Chain> = Arc::default();
    let twice = vec![services().remove(0), services().remove(0)];
    assert!(matches!(
        Mesh::spawn(config(), chain.clone(), twice),
        Err(MeshError::Config(_))
    ));
    let discovery: Vec<(Kind, Arc<dyn llmesh_mesh::Service>)> = vec![(Kind::Discovery, Arc::new(Echo))];
    assert!(matches!(
        Mesh::spawn(config(), chain.clone(), discovery),
        Err(MeshError::Config(_))
    ));
    let taken = start(config(), &chain);
    let again = Config {
        listen: vec![taken.address().await],
        ..config()
    };
    assert!(matches!(
        Mesh::spawn(again, chain, services()),
        Err(MeshError::Transport(_))
    ));
}
