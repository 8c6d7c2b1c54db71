//! Joining, finding, telling: bootstrap, the DHT, peer exchange, the book; and lies in each.

mod common;
#[path = "common/rogue.rs"]
mod rogue;

use common::*;
use libp2p::{gossipsub::MessageAuthenticity, kad, swarm::SwarmEvent};
use llmesh_mesh::{Config, Keypair, Kind, Limits, PeerId, link::Call, record::PeerRecord};
use rogue::Rogue;
use std::time::Duration;

fn record_key(peer: PeerId) -> kad::RecordKey {
    [b"/llmesh/peer/".as_slice(), &peer.to_bytes()].concat().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn five_nodes_join_by_one_address_and_find_each_other() {
    log();
    let chain = Chain::default();
    let first = start(config(), &chain);
    let bootstrap = vec![first.whole_address().await];
    let others: Vec<Node> = (0..4)
        .map(|_| {
            start(
                Config {
                    bootstrap: bootstrap.clone(),
                    ..config()
                },
                &chain,
            )
        })
        .collect();
    let all: Vec<&Node> = others.iter().chain([&first]).collect();
    for node in &all {
        for other in all.iter().filter(|other| other.peer != node.peer) {
            node.until_ready(other.peer).await;
        }
        node.until("serves the DHT", |status| status.dht_server && status.table >= 4)
            .await;
    }
    for node in &all {
        for other in all.iter().filter(|other| other.peer != node.peer) {
            let answer = node
                .mesh
                .call(other.peer, Kind::Inference, call(b"hello"))
                .await
                .unwrap();
            assert_eq!(answer, "hello");
            let addresses = node.mesh.find_peer(other.peer, PATIENCE).await;
            assert!(addresses.contains(&other.address().await), "{addresses:?}");
        }
    }
}

/// Company of one: no node dials another by itself, so that what is found is found through the DHT.
fn shy() -> Config {
    Config {
        limits: Limits {
            target_peers: 1,
            ..Limits::default()
        },
        ..config()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn providers_and_peers_are_found_through_the_dht() {
    log();
    let chain = Chain::default();
    let middle = start(shy(), &chain);
    let bootstrap = vec![middle.whole_address().await];
    let joined = || Config {
        bootstrap: bootstrap.clone(),
        ..shy()
    };
    let (host, seeker) = (start(joined(), &chain), start(joined(), &chain));
    for node in [&host, &seeker] {
        node.until("knows the middle", |status| {
            status.table >= 1 && status.dht_server
        })
        .await;
    }
    middle.until("knows both", |status| status.table >= 2).await;
    let key = [9; 32];
    host.mesh.provide(key).await.unwrap();
    let found = eventually("found", async || {
        let found = seeker.mesh.providers(key, 5, Duration::from_secs(5)).await;
        if found.is_empty() {
            Err("nobody")
        } else {
            Ok(found)
        }
    })
    .await;
    assert_eq!(found, vec![host.peer]);
    // The seeker knows the id only; the DHT knows where.
    let answer = eventually("called", async || {
        seeker
            .mesh
            .call(host.peer, Kind::Content, Call::new("chunk", PATIENCE))
            .await
    })
    .await;
    assert_eq!(answer, "chunk");
    host.mesh.stop_providing(key).await;
    assert!(
        host.mesh
            .providers(key, 1, Duration::from_secs(2))
            .await
            .is_empty()
            || !found.is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_waits_for_a_node_that_is_just_joining() {
    log();
    let chain = Chain::default();
    let first = start(config(), &chain);
    let bootstrap = vec![first.whole_address().await];
    let joined = || Config {
        bootstrap: bootstrap.clone(),
        ..config()
    };
    let host = start(joined(), &chain);
    first.until("knows the host", |status| status.table >= 1).await;
    first
        .until("has its record", |status| status.dht_stored.0 >= 1)
        .await;
    let client = start(joined(), &chain);
    assert_eq!(
        client
            .mesh
            .call(host.peer, Kind::Inference, call(b"at once"))
            .await
            .unwrap(),
        "at once"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn content_announced_before_anybody_listens_is_told_later() {
    log();
    let chain = Chain::default();
    let first = start(config(), &chain);
    let early = start(
        Config {
            bootstrap: vec![first.whole_address().await],
            ..config()
        },
        &chain,
    );
    early.mesh.provide([3; 32]).await.unwrap();
    let found = eventually("told", async || {
        let found = first.mesh.providers([3; 32], 5, Duration::from_secs(5)).await;
        if found.is_empty() {
            Err("nobody")
        } else {
            Ok(found)
        }
    })
    .await;
    assert_eq!(found, vec![early.peer]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_comes_back_by_its_book_without_the_bootstrap_node() {
    log();
    let chain = Chain::default();
    let dir = tempfile::tempdir().unwrap();
    let first = start(config(), &chain);
    let bootstrap = vec![first.whole_address().await];
    let friend = start(
        Config {
            bootstrap: bootstrap.clone(),
            ..config()
        },
        &chain,
    );
    let key = Keypair::generate_ed25519();
    let with_book = || Config {
        keypair: key.clone(),
        bootstrap: bootstrap.clone(),
        state_dir: Some(dir.path().to_owned()),
        ..config()
    };
    let node = start(with_book(), &chain);
    node.until_ready(friend.peer).await;
    node.mesh.stop().await;
    drop(node);
    drop(first);
    let back = start(with_book(), &chain);
    back.until_ready(friend.peer).await;
    assert_eq!(
        back.mesh
            .call(friend.peer, Kind::Inference, call(b"again"))
            .await
            .unwrap(),
        "again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lies_in_the_dht_are_refused_and_cost_the_liar() {
    log();
    let chain = Chain::default();
    let node = start(
        Config {
            limits: Limits {
                dht_providers_per_peer: 8,
                ..Limits::default()
            },
            ..config()
        },
        &chain,
    );
    let honest = start(
        Config {
            bootstrap: vec![node.whole_address().await],
            ..config()
        },
        &chain,
    );
    node.until_ready(honest.peer).await;
    let mut liar = rogue::rogue(Keypair::generate_ed25519(), MessageAuthenticity::Anonymous);
    rogue::join(&mut liar, node.peer, node.address().await).await;
    liar.behaviour_mut()
        .kad
        .add_address(&node.peer, node.address().await);
    let victim = Keypair::generate_ed25519();
    let other = Keypair::generate_ed25519();
    let put = |liar: &mut libp2p::Swarm<Rogue>, key: kad::RecordKey, value: Vec<u8>| {
        liar.behaviour_mut().kad.put_record_to(
            kad::Record::new(key, value),
            std::iter::once(node.peer),
            kad::Quorum::One,
        );
    };
    // A good record of the victim, a forged one (another key's under the victim's name), and junk under a strange key.
    let good = PeerRecord::sign(&victim, &CHAIN, 5, &[loopback()], "", false).unwrap();
    let foreign = PeerRecord::sign(&other, &CHAIN, 9, &[loopback()], "", false).unwrap();
    let peer = victim.public().to_peer_id();
    put(&mut liar, record_key(peer), good.bytes.to_vec());
    put(&mut liar, record_key(peer), foreign.bytes.to_vec());
    put(&mut liar, vec![1, 2, 3].into(), vec![0; 1_000]);
    // More keys than one peer may have, and keys that are no content ids.
    for n in 0..20u8 {
        liar.behaviour_mut()
            .kad
            .start_providing(kad::RecordKey::new(&[n; 32]))
            .unwrap();
    }
    liar.behaviour_mut()
        .kad
        .start_providing(kad::RecordKey::new(&[1u8; 5]))
        .unwrap();
    let running = tokio::spawn(async move {
        rogue::drive(&mut liar, |event| {
            matches!(event, SwarmEvent::ConnectionClosed { .. })
        })
        .await
    });
    let status = node
        .until("seen through", |status| {
            status.counters.records_refused >= 2 && status.counters.dht_refused > 2 + 12
        })
        .await;
    // The victim's record, and those of the two nodes at most.
    assert!(status.dht_stored.0 <= 3, "{:?}", status.dht_stored);
    assert!(status.dht_stored.1 <= 8, "{:?}", status.dht_stored);
    assert!(status.peers.iter().any(|known| known.points >= 45.0));
    assert_eq!(
        honest
            .mesh
            .call(node.peer, Kind::Inference, call(b"x"))
            .await
            .unwrap(),
        "x"
    );
    running.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_provider_list_is_cut() {
    log();
    let chain = Chain::default();
    let node = start(config(), &chain);
    // A liar that answers with four hundred providers at once: what the node takes is cut by what was asked for.
    let mut liar = rogue::rogue(Keypair::generate_ed25519(), MessageAuthenticity::Anonymous);
    {
        use libp2p::kad::store::RecordStore;
        let store = liar.behaviour_mut().kad.store_mut();
        for _ in 0..400 {
            let provider = Keypair::generate_ed25519().public().to_peer_id();
            let addresses = vec!["/ip4/127.0.0.1/tcp/9".parse().unwrap()];
            let record = kad::ProviderRecord::new(kad::RecordKey::new(&[4; 32]), provider, addresses);
            store.add_provider(record).unwrap();
        }
    }
    rogue::join(&mut liar, node.peer, node.address().await).await;
    let running = tokio::spawn(async move { rogue::drive(&mut liar, |_| false).await });
    node.until("in the table", |status| status.table >= 1).await;
    let found = eventually("some", async || {
        let found = node.mesh.providers([4; 32], 7, Duration::from_secs(5)).await;
        if found.is_empty() { Err("none") } else { Ok(found) }
    })
    .await;
    assert!(found.len() <= 7, "{}", found.len());
    running.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_discovery_costs_points_and_the_node_goes_on() {
    log();
    let chain = Chain::default();
    let (node, friend) = (start(config(), &chain), start(config(), &chain));
    friend
        .mesh
        .connect(node.peer, vec![node.address().await])
        .await
        .unwrap();
    for body in [vec![], vec![255; 4_000], vec![0; 64]] {
        let answer = friend
            .mesh
            .call(node.peer, Kind::Discovery, Call::new(body, PATIENCE))
            .await;
        assert!(answer.is_err());
    }
    node.until("counted", |status| status.counters.records_refused >= 3)
        .await;
    assert_eq!(
        friend
            .mesh
            .call(node.peer, Kind::Inference, call(b"x"))
            .await
            .unwrap(),
        "x"
    );
}
