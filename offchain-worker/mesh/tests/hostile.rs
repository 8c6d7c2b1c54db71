//! A peer that opens every protocol and says nothing, or nonsense; one that lies in peer exchange.

mod common;
#[path = "common/rogue.rs"]
mod rogue;

use common::*;
use futures::{AsyncWriteExt, StreamExt, future::BoxFuture};
use libp2p::{
    StreamProtocol, Swarm, SwarmBuilder, identify, ping,
    swarm::{NetworkBehaviour, SwarmEvent, dial_opts::DialOpts},
    tcp, yamux,
};
use llmesh_mesh::{
    Keypair, Kind, PeerId,
    link::{self, Call, Incoming, LinkConfig, Role},
    record::PeerRecord,
};
use std::{sync::Arc, time::Duration};

#[derive(NetworkBehaviour)]
struct Raw {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    stream: libp2p_stream::Behaviour,
}

fn raw() -> Swarm<Raw> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), rogue::noise, yamux::Config::default)
        .unwrap()
        .with_behaviour(|key| Raw {
            identify: identify::Behaviour::new(identify::Config::new(
                format!("{}/1", rogue::CHAIN_NAME),
                key.public(),
            )),
            ping: ping::Behaviour::default(),
            stream: libp2p_stream::Behaviour::new(),
        })
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(60)))
        .build()
}

fn link_protocol(kind: &str) -> StreamProtocol {
    StreamProtocol::try_from_owned(format!("{}/link/{kind}/1", rogue::CHAIN_NAME)).unwrap()
}

/// Connects and runs the swarm in the background.
async fn attach(mut swarm: Swarm<Raw>, node: &Node) -> (PeerId, tokio::task::JoinHandle<()>) {
    let me = *swarm.local_peer_id();
    let opts = DialOpts::peer_id(node.peer)
        .addresses(vec![node.address().await])
        .build();
    swarm.dial(opts).unwrap();
    let (tell, connected) = tokio::sync::oneshot::channel();
    let task = tokio::spawn(async move {
        let mut tell = Some(tell);
        loop {
            if let SwarmEvent::ConnectionEstablished { .. } = swarm.select_next_some().await
                && let Some(tell) = tell.take()
            {
                let _ = tell.send(());
            }
        }
    });
    connected.await.unwrap();
    (me, task)
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_and_garbage_on_every_protocol() {
    log();
    let chain = Chain::default();
    let (node, friend) = (start(config(), &chain), start(config(), &chain));
    friend
        .mesh
        .connect(node.peer, vec![node.address().await])
        .await
        .unwrap();
    let swarm = raw();
    let mut control = swarm.behaviour().stream.new_control();
    let (me, task) = attach(swarm, &node).await;
    node.until_ready(me).await;
    // Half-open: links that never say hello, more of them than a peer may open.
    let mut open = Vec::new();
    for n in 0..60 {
        let kind = ["inference", "content", "discovery"][n % 3];
        if let Ok(stream) = control.open_stream(node.peer, link_protocol(kind)).await {
            open.push(stream);
        }
    }
    let status = node
        .until("bounded", |status| status.counters.links_refused > 0)
        .await;
    assert!(status.counters.links_in <= 50, "{:?}", status.counters);
    // Kinds that are not served have no protocol.
    assert!(
        control
            .open_stream(node.peer, link_protocol("consensus"))
            .await
            .is_err()
    );
    assert!(
        control
            .open_stream(node.peer, link_protocol("nonsense"))
            .await
            .is_err()
    );
    drop(open);
    let protocols = [
        format!("{}/link/inference/1", rogue::CHAIN_NAME),
        format!("{}/kad/1", rogue::CHAIN_NAME),
        format!("{}/meshsub/1", rogue::CHAIN_NAME),
        "/ipfs/id/1.0.0".into(),
        "/ipfs/id/push/1.0.0".into(),
        "/ipfs/ping/1.0.0".into(),
        "/libp2p/circuit/relay/0.2.0/hop".into(),
        "/libp2p/circuit/relay/0.2.0/stop".into(),
        "/libp2p/dcutr".into(),
        "/libp2p/autonat/2/dial-request".into(),
        "/libp2p/autonat/2/dial-back".into(),
    ];
    for name in protocols {
        for garbage in [vec![0u8; 64], vec![255; 3_000], (0..=255).collect::<Vec<u8>>()] {
            let protocol = StreamProtocol::try_from_owned(name.clone()).unwrap();
            // Some are only offered at times, and after some garbage the connection may be closed: both are fine.
            let opened =
                tokio::time::timeout(Duration::from_secs(2), control.open_stream(node.peer, protocol)).await;
            if let Ok(Ok(mut stream)) = opened {
                let _ = stream.write_all(&garbage).await;
                let _ = stream.flush().await;
            }
        }
    }
    for _ in 0..20 {
        assert_eq!(
            friend
                .mesh
                .call(node.peer, Kind::Inference, call(b"x"))
                .await
                .unwrap(),
            "x"
        );
    }
    assert!(!node.task.is_finished());
    task.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_records_in_peer_exchange_are_refused_and_cost_the_liar() {
    log();
    let chain = Chain::default();
    let node = start(config(), &chain);
    let mut swarm = raw();
    let mut control = swarm.behaviour().stream.new_control();
    let mut discovery = control.accept(link_protocol("discovery")).unwrap();
    let liar = *swarm.local_peer_id();
    swarm.listen_on(loopback()).unwrap();
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            break address;
        }
    };
    let running = tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
    // It answers with a record of another chain, one whose signature is broken, and a good one.
    let honest = Keypair::generate_ed25519();
    let good = PeerRecord::sign(&honest, &CHAIN, 1, &[loopback()], "", false).unwrap();
    let foreign = PeerRecord::sign(&honest, &[9; 32], 2, &[loopback()], "", false).unwrap();
    let mut broken = good.bytes.to_vec();
    let last = broken.len() - 1;
    broken[last] ^= 1;
    // SCALE: version, compact length 3, then each record as compact length and bytes.
    let mut answer = vec![1u8, 3 << 2];
    for record in [good.bytes.to_vec(), foreign.bytes.to_vec(), broken] {
        let length = u16::try_from(record.len()).unwrap();
        answer.extend((length << 2 | 1).to_le_bytes());
        answer.extend(record);
    }
    let answer = bytes::Bytes::from(answer);
    let serving = tokio::spawn(async move {
        while let Some((_, stream)) = discovery.next().await {
            let answer = answer.clone();
            let handler = move |_: Incoming| -> BoxFuture<'static, Result<bytes::Bytes, link::Reject>> {
                let answer = answer.clone();
                Box::pin(async move { Ok(answer) })
            };
            let (_link, run) = link::open(stream, Role::Listener, LinkConfig::default(), Arc::new(handler));
            tokio::spawn(run);
        }
    });
    // The node asks whoever it connects with.
    node.mesh.connect(liar, vec![address]).await.unwrap();
    let status = node
        .until("seen through", |status| status.counters.records_refused > 0)
        .await;
    assert_eq!(status.counters.records_accepted, 1, "the good one");
    node.until("points", |status| {
        status
            .peers
            .iter()
            .any(|peer| peer.peer == liar && peer.points > 20.0)
    })
    .await;
    serving.abort();
    running.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_requests_is_refused_and_others_are_served() {
    log();
    let chain = Chain::default();
    let limits = llmesh_mesh::Limits {
        request_rate: llmesh_mesh::Rate::new(10, 20),
        ..llmesh_mesh::Limits::default()
    };
    let node = start(llmesh_mesh::Config { limits, ..config() }, &chain);
    let (greedy, modest) = (start(config(), &chain), start(config(), &chain));
    for client in [&greedy, &modest] {
        client
            .mesh
            .connect(node.peer, vec![node.address().await])
            .await
            .unwrap();
    }
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let (mesh, peer) = (greedy.mesh.clone(), node.peer);
        calls.spawn(async move { mesh.call(peer, Kind::Inference, Call::new("x", PATIENCE)).await });
    }
    assert_eq!(
        modest
            .mesh
            .call(node.peer, Kind::Inference, call(b"y"))
            .await
            .unwrap(),
        "y"
    );
    let mut answered = 0;
    while let Some(result) = calls.join_next().await {
        match result.unwrap() {
            Ok(_) => answered += 1,
            Err(llmesh_mesh::CallError::Link(link::CallError::Rejected(reject))) => {
                assert_eq!(reject.code, link::CODE_RATE);
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!((15..100).contains(&answered), "{answered}");
}
