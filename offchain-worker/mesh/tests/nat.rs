//! A node that nobody can connect to is reached through a relay.

mod common;

use common::*;
use llmesh_mesh::{Config, Kind, Limits, Multiaddr, NatStatus, link, link::Call};
use std::time::Duration;

fn is_relayed(address: &Multiaddr) -> bool {
    address.to_string().contains("/p2p-circuit")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_node_is_called_through_a_relay() {
    log();
    let chain = Chain::default();
    let relay = start(config(), &chain);
    let bootstrap = vec![relay.whole_address().await];
    // It listens nowhere, so nobody can connect to it directly.
    let hidden = start(
        Config {
            listen: vec![],
            bootstrap: bootstrap.clone(),
            ..config()
        },
        &chain,
    );
    let status = hidden
        .until("a place at the relay", |status| {
            status.nat == NatStatus::Private && status.relays.contains(&relay.peer)
        })
        .await;
    assert!(!status.dht_server);
    hidden
        .until("tells its address", |status| {
            status.external.iter().any(is_relayed)
        })
        .await;
    // The client can not be connected to either, so that the two stay on the relay.
    let client = start(
        Config {
            listen: vec![],
            bootstrap,
            ..config()
        },
        &chain,
    );
    client.until_ready(relay.peer).await;
    // By id only: the address comes from the DHT or by exchange.
    let answer = eventually("called", async || {
        client
            .mesh
            .call(
                hidden.peer,
                Kind::Inference,
                Call::new("through", Duration::from_secs(15)),
            )
            .await
    })
    .await;
    assert_eq!(answer, "through");
    let status = client
        .until("connected", |status| {
            status.peers.iter().any(|peer| peer.peer == hidden.peer)
        })
        .await;
    let seen = status.peers.iter().find(|peer| peer.peer == hidden.peer).unwrap();
    assert!(seen.relayed, "{seen:?}");
    // A large body, and the other direction.
    let body = vec![1; 3 << 20];
    let answer = client
        .mesh
        .call(hidden.peer, Kind::Inference, Call::new(body.clone(), PATIENCE))
        .await
        .unwrap();
    assert_eq!(answer, body);
    assert_eq!(
        hidden
            .mesh
            .call(client.peer, Kind::Inference, call(b"back"))
            .await
            .unwrap(),
        "back"
    );
    relay
        .until("counted", |status| status.counters.relayed_circuits >= 1)
        .await;
    // Without the relay there is no way: the call says so.
    drop(relay);
    client.until_gone(hidden.peer).await;
    let lost = client
        .mesh
        .call(
            hidden.peer,
            Kind::Inference,
            Call::new("x", Duration::from_secs(3)),
        )
        .await;
    assert!(lost.is_err(), "{lost:?}");
    assert!(!matches!(
        lost,
        Err(llmesh_mesh::CallError::Link(link::CallError::Protocol(_)))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_node_finds_another_relay() {
    log();
    let chain = Chain::default();
    let first = start(config(), &chain);
    let bootstrap = vec![first.whole_address().await];
    let second = start(
        Config {
            bootstrap: bootstrap.clone(),
            ..config()
        },
        &chain,
    );
    second.until_ready(first.peer).await;
    let hidden = start(
        Config {
            listen: vec![],
            bootstrap,
            limits: Limits {
                relay_slots: 1,
                ..Limits::default()
            },
            ..config()
        },
        &chain,
    );
    let status = hidden.until("a place", |status| status.relays.len() == 1).await;
    hidden.until_ready(first.peer).await;
    hidden.until_ready(second.peer).await;
    let held = status.relays[0];
    let (lost, kept) = if held == first.peer {
        (first, second)
    } else {
        (second, first)
    };
    drop(lost);
    hidden
        .until("another place", |status| status.relays.contains(&kept.peer))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_learns_from_others_that_it_is_reachable() {
    log();
    let chain = Chain::default();
    let first = start(config(), &chain);
    // It listens on every interface: which of its addresses is good, others must tell.
    let node = start(
        Config {
            listen: vec!["/ip4/0.0.0.0/tcp/0".parse().unwrap()],
            bootstrap: vec![first.whole_address().await],
            ..config()
        },
        &chain,
    );
    let status = node
        .until("tested", |status| status.nat == NatStatus::Public)
        .await;
    assert!(
        status.external.iter().all(|address| !is_relayed(address)),
        "{:?}",
        status.external
    );
    node.until("serves", |status| status.dht_server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relayed_connection_becomes_direct_where_it_can() {
    log();
    let chain = Chain::default();
    let alone = || Limits {
        // Nobody connects to anybody by itself.
        target_peers: 1,
        ..Limits::default()
    };
    let relay = start(config(), &chain);
    let bootstrap = vec![relay.whole_address().await];
    let hidden = start(
        Config {
            listen: vec![],
            bootstrap: bootstrap.clone(),
            limits: alone(),
            ..config()
        },
        &chain,
    );
    hidden
        .until("a place", |status| status.relays.contains(&relay.peer))
        .await;
    // This one can be connected to: when the hidden node is called through the relay, the two agree on that.
    let open = start(
        Config {
            bootstrap,
            limits: alone(),
            ..config()
        },
        &chain,
    );
    open.until_ready(relay.peer).await;
    let mut circuits = hidden.mesh.listen_addresses();
    let circuit = circuits.wait_for(|all| all.iter().any(is_relayed)).await.unwrap()[0].clone();
    open.mesh.connect(hidden.peer, vec![circuit]).await.unwrap();
    assert_eq!(
        open.mesh
            .call(hidden.peer, Kind::Inference, call(b"first"))
            .await
            .unwrap(),
        "first"
    );
    for (node, other) in [(&open, &hidden), (&hidden, &open)] {
        node.until("direct", |status| {
            status
                .peers
                .iter()
                .any(|peer| peer.peer == other.peer && !peer.relayed)
        })
        .await;
    }
    // Links follow, calls go on, and without the relay too.
    drop(relay);
    let answer = eventually("still called", async || {
        open.mesh
            .call(
                hidden.peer,
                Kind::Inference,
                Call::new("second", Duration::from_secs(10)),
            )
            .await
    })
    .await;
    assert_eq!(answer, "second");
}
