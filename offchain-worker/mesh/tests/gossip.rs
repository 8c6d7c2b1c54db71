//! Gossip: it reaches everybody who listens; what is unsigned, foreign or refused does not go on.

mod common;
#[path = "common/rogue.rs"]
mod rogue;

use bytes::Bytes;
use common::*;
use libp2p::gossipsub::{IdentTopic, MessageAuthenticity};
use llmesh_mesh::{Config, GossipVerdict, Keypair, Topic};
use std::{sync::Arc, time::Duration};

async fn company(chain: &Chain, count: usize) -> Vec<Node> {
    let first = start(config(), chain);
    let bootstrap = vec![first.whole_address().await];
    let mut nodes = vec![first];
    nodes.extend((1..count).map(|_| {
        start(
            Config {
                bootstrap: bootstrap.clone(),
                ..config()
            },
            chain,
        )
    }));
    for node in &nodes[1..] {
        node.until_ready(nodes[0].peer).await;
    }
    nodes
}

#[tokio::test(flavor = "multi_thread")]
async fn gossip_reaches_all() {
    log();
    let chain = Chain::default();
    let nodes = company(&chain, 5).await;
    for node in &nodes {
        chain.admit(node.peer);
    }
    let topic = Topic::new("models/acme").unwrap();
    let mut listening: Vec<_> = nodes
        .iter()
        .map(|node| node.mesh.subscribe(topic.clone()))
        .collect();
    for (n, node) in nodes.iter().enumerate() {
        let mut round = 0u32;
        let mut missing: Vec<usize> = (0..nodes.len()).filter(|other| *other != n).collect();
        // The overlay forms while we publish; each attempt is a message of its own.
        eventually("everybody hears", async || {
            round += 1;
            let data = Bytes::from(format!("{n}/{round}"));
            let _ = node.mesh.publish(topic.clone(), data).await;
            for other in std::mem::take(&mut missing) {
                let heard = tokio::time::timeout(Duration::from_millis(300), async {
                    loop {
                        let message = listening[other].recv().await.unwrap();
                        if message.from == node.peer {
                            return message;
                        }
                    }
                })
                .await;
                match heard {
                    Ok(message) => assert!(message.data.starts_with(format!("{n}/").as_bytes())),
                    Err(_) => missing.push(other),
                }
            }
            if missing.is_empty() {
                Ok(())
            } else {
                Err(missing.clone())
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_standing_or_no_signature_is_not_passed_on() {
    log();
    let chain = Chain::default();
    let nodes = company(&chain, 2).await;
    let topic = Topic::new("links").unwrap();
    let ident = IdentTopic::new(format!("{}/gossip/links", rogue::CHAIN_NAME));
    let mut heard: Vec<_> = nodes
        .iter()
        .map(|node| node.mesh.subscribe(topic.clone()))
        .collect();
    let staked = Keypair::generate_ed25519();
    let foreign = Keypair::generate_ed25519();
    chain.admit(staked.public().to_peer_id());
    // Three rogues at the first node: one signs without standing, one does not sign, one has standing and signs.
    let mut swarms = vec![
        rogue::rogue(foreign.clone(), MessageAuthenticity::Signed(foreign.clone())),
        rogue::rogue(Keypair::generate_ed25519(), MessageAuthenticity::Anonymous),
        rogue::rogue(staked.clone(), MessageAuthenticity::Signed(staked.clone())),
    ];
    let address = nodes[0].address().await;
    for swarm in &mut swarms {
        // So that nobody else finds it.
        swarm
            .behaviour_mut()
            .kad
            .set_mode(Some(libp2p::kad::Mode::Client));
        rogue::join(swarm, nodes[0].peer, address.clone()).await;
        swarm.behaviour_mut().gossip.subscribe(&ident).unwrap();
    }
    let mut tasks = tokio::task::JoinSet::new();
    for (n, mut swarm) in swarms.into_iter().enumerate() {
        let ident = ident.clone();
        tasks.spawn(async move {
            let mut round = 0u32;
            let mut tick = tokio::time::interval(Duration::from_millis(200));
            loop {
                tokio::select! {
                    _ = tick.tick() => {
                        round += 1;
                        let _ = swarm.behaviour_mut().gossip.publish(ident.clone(), format!("{n}/{round}"));
                    }
                    _ = rogue::drive(&mut swarm, |_| true) => {}
                }
            }
        });
    }
    // The one with standing is heard, even at the far node.
    let wait = async {
        for receiver in &mut heard {
            for _ in 0..5 {
                let message = receiver.recv().await.unwrap();
                assert_eq!(message.from, staked.public().to_peer_id());
                assert!(message.data.starts_with(b"2/"));
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .expect("honest gossip goes on");
    nodes[0]
        .until("ignored", |status| status.counters.gossip_ignored >= 5)
        .await;
    assert_eq!(
        nodes[1].mesh.status().borrow().counters.gossip_ignored,
        0,
        "nothing foreign went on"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_application_has_the_last_word() {
    log();
    let chain = Chain::default();
    let nodes = company(&chain, 2).await;
    for node in &nodes {
        chain.admit(node.peer);
    }
    let topic = Topic::new("links").unwrap();
    let mut heard = nodes[0].mesh.subscribe_with(
        topic.clone(),
        Arc::new(|message| {
            if message.data.starts_with(b"good") {
                GossipVerdict::Accept
            } else {
                GossipVerdict::Reject
            }
        }),
    );
    let _listening = nodes[1].mesh.subscribe(topic.clone());
    let mut round = 0;
    let mut until_heard = async || {
        eventually("heard", async || {
            round += 1;
            let _ = nodes[1]
                .mesh
                .publish(topic.clone(), format!("good {round}").into())
                .await;
            match tokio::time::timeout(Duration::from_millis(300), heard.recv()).await {
                Ok(Some(message)) => {
                    assert!(message.data.starts_with(b"good"));
                    Ok(())
                }
                _ => Err("not heard"),
            }
        })
        .await;
    };
    until_heard().await;
    nodes[1]
        .mesh
        .publish(topic.clone(), Bytes::from_static(b"bad"))
        .await
        .unwrap();
    nodes[0]
        .until("counted", |status| status.counters.gossip_bad == 1)
        .await;
    until_heard().await;
    nodes[0]
        .until("points", |status| {
            status.peers.iter().any(|peer| peer.points > 0.0)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_of_publishing() {
    let chain = Chain::default();
    let node = start(config(), &chain);
    let topic = Topic::new("a").unwrap();
    assert!(
        node.mesh
            .publish(topic.clone(), Bytes::from(vec![0; 1 << 20]))
            .await
            .is_err()
    );
    assert!(
        node.mesh
            .publish(topic, Bytes::from_static(b"alone"))
            .await
            .is_err()
    );
}
