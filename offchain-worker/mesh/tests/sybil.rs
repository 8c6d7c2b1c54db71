//! Many identities from one address: they get a few places, and honest peers are served all the while.

mod common;
#[path = "common/rogue.rs"]
mod rogue;

use common::*;
use futures::StreamExt;
use libp2p::{gossipsub::MessageAuthenticity, swarm::dial_opts::DialOpts};
use llmesh_mesh::{Config, Keypair, Kind, Limits, Multiaddr, Rate};
use std::time::Duration;

/// A node whose connections come from another network than those of all others: over QUIC a node dials from the
/// address that it listens on.
fn elsewhere(chain: &Chain) -> Node {
    start(
        Config {
            listen: vec!["/ip4/127.0.9.1/udp/0/quic-v1".parse().unwrap()],
            ..config()
        },
        chain,
    )
}

fn both() -> Vec<Multiaddr> {
    vec![loopback(), "/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap()]
}

/// The TCP and the QUIC address of a node.
async fn addresses(node: &Node) -> (Multiaddr, Multiaddr) {
    let mut listening = node.mesh.listen_addresses();
    let all = listening.wait_for(|all| all.len() == 2).await.unwrap().clone();
    let (tcp, quic): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|address| address.to_string().contains("/tcp/"));
    (tcp[0].clone(), quic[0].clone())
}

/// A thousand with `LLMESH_SLOW`, else two hundred.
fn crowd() -> usize {
    if std::env::var_os("LLMESH_SLOW").is_some() {
        1_000
    } else {
        200
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_from_one_address_does_not_crowd_out_an_honest_peer() {
    log();
    let chain = Chain::default();
    let limits = Limits {
        // The crowd shall reach the places, not only the rate.
        connection_rate: Rate::new(1_000, 1_000),
        connection_rate_total: Rate::new(10_000, 10_000),
        inbound_per_prefix: 8,
        ..Limits::default()
    };
    let node = start(
        Config {
            limits: limits.clone(),
            listen: both(),
            ..config()
        },
        &chain,
    );
    let (address, quic) = addresses(&node).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..crowd() {
        let (peer, address) = (node.peer, address.clone());
        tasks.spawn(async move {
            let mut swarm = rogue::rogue(Keypair::generate_ed25519(), MessageAuthenticity::Anonymous);
            // They come again and again.
            let mut again = tokio::time::interval(Duration::from_millis(500));
            loop {
                tokio::select! {
                    _ = again.tick() => {
                        if !swarm.is_connected(&peer) {
                            let opts = DialOpts::peer_id(peer).addresses(vec![address.clone()]).build();
                            let _ = swarm.dial(opts);
                        }
                    }
                    _ = swarm.select_next_some() => {}
                }
            }
        });
    }
    node.until("the crowd is there", |status| {
        status.counters.connections_refused >= 100
    })
    .await;
    assert!(node.mesh.status().borrow().peers.len() <= 8);
    // Honest peers: one with standing from the same address, one without from another network.
    let staked = start(config(), &chain);
    chain.admit(staked.peer);
    eventually("standing connects", async || {
        staked.mesh.connect(node.peer, vec![address.clone()]).await
    })
    .await;
    let elsewhere = elsewhere(&chain);
    elsewhere.mesh.connect(node.peer, vec![quic]).await.unwrap();
    for honest in [&staked, &elsewhere] {
        for _ in 0..20 {
            let answer = honest
                .mesh
                .call(node.peer, Kind::Inference, call(b"x"))
                .await
                .unwrap();
            assert_eq!(answer, "x");
        }
    }
    let status = node
        .until("both", |status| {
            is_ready(status, staked.peer) && is_ready(status, elsewhere.peer)
        })
        .await;
    assert!(status.peers.len() <= 8 + 2, "{}", status.peers.len());
    tasks.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rate_of_connections_is_bounded_for_each_network() {
    log();
    let chain = Chain::default();
    let node = start(
        Config {
            limits: Limits {
                connection_rate: Rate::new(1, 5),
                ..Limits::default()
            },
            listen: both(),
            ..config()
        },
        &chain,
    );
    let (address, quic) = addresses(&node).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let (peer, address) = (node.peer, address.clone());
        tasks.spawn(async move {
            let mut swarm = rogue::rogue(Keypair::generate_ed25519(), MessageAuthenticity::Anonymous);
            let opts = DialOpts::peer_id(peer).addresses(vec![address]).build();
            let _ = swarm.dial(opts);
            rogue::drive(&mut swarm, |_| false).await
        });
    }
    let status = node
        .until("refused", |status| status.counters.connections_refused >= 20)
        .await;
    assert!(status.counters.connections_in <= 15, "{:?}", status.counters);
    elsewhere(&chain)
        .mesh
        .connect(node.peer, vec![quic])
        .await
        .unwrap();
    tasks.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_behaves_badly_is_put_out_and_kept_out() {
    log();
    let chain = Chain::default();
    let (node, bad) = (start(config(), &chain), start(config(), &chain));
    bad.mesh
        .connect(node.peer, vec![node.address().await])
        .await
        .unwrap();
    node.until_ready(bad.peer).await;
    node.mesh.report(bad.peer, llmesh_mesh::Offence::WrongBytes);
    node.until("points", |status| {
        status.peers.iter().any(|peer| peer.points >= 55.0)
    })
    .await;
    node.mesh.report(bad.peer, llmesh_mesh::Offence::WrongBytes);
    node.until("banned", |status| status.banned == 1 && status.peers.is_empty())
        .await;
    let refused = node.mesh.call(bad.peer, Kind::Inference, call(b"x")).await;
    assert!(
        matches!(
            refused,
            Err(llmesh_mesh::CallError::Unreachable {
                reason: llmesh_mesh::Unreachable::Banned,
                ..
            })
        ),
        "{refused:?}"
    );
    let _ = bad.mesh.connect(node.peer, vec![node.address().await]).await;
    node.until("kept out", |status| status.counters.connections_refused > 0)
        .await;
    assert!(!is_ready(&node.mesh.status().borrow(), bad.peer));
}
