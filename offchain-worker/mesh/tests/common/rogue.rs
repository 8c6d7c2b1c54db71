//! A node that speaks the mesh's protocols and says what it likes.
#![allow(dead_code, reason = "not every test uses everything")]

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, SwarmBuilder, gossipsub, identify,
    identity::Keypair,
    kad::{
        self,
        store::{MemoryStore, MemoryStoreConfig},
    },
    noise, ping,
    swarm::{NetworkBehaviour, SwarmEvent, dial_opts::DialOpts},
    tcp, yamux,
};
use std::{num::NonZeroUsize, time::Duration};

use super::{CHAIN, PATIENCE};

pub const CHAIN_NAME: &str = "/llmesh/0707070707070707";

#[derive(NetworkBehaviour)]
pub struct Rogue {
    pub identify: identify::Behaviour,
    pub ping: ping::Behaviour,
    pub kad: kad::Behaviour<MemoryStore>,
    pub gossip: gossipsub::Behaviour,
}

pub fn noise(key: &Keypair) -> Result<noise::Config, noise::Error> {
    let prologue = [b"llmesh/noise/1", CHAIN.as_slice()].concat();
    Ok(noise::Config::new(key)?.with_prologue(prologue))
}

pub fn rogue(key: Keypair, authenticity: gossipsub::MessageAuthenticity) -> Swarm<Rogue> {
    SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise, yamux::Config::default)
        .unwrap()
        .with_behaviour(|key| {
            let me = key.public().to_peer_id();
            let protocol = libp2p::StreamProtocol::try_from_owned(format!("{CHAIN_NAME}/kad/1")).unwrap();
            let mut config = kad::Config::new(protocol);
            // It looks for nobody by itself.
            config.set_kbucket_inserts(kad::BucketInserts::Manual);
            // Answers are as long as the rogue likes.
            config
                .set_replication_factor(NonZeroUsize::new(1_000).unwrap())
                .set_max_packet_size(1 << 20);
            let store = MemoryStoreConfig {
                max_providers_per_key: 1_000,
                ..MemoryStoreConfig::default()
            };
            let mut kad = kad::Behaviour::with_config(me, MemoryStore::with_config(me, store), config);
            kad.set_mode(Some(kad::Mode::Server));
            let signed = matches!(authenticity, gossipsub::MessageAuthenticity::Signed(_));
            let gossip = gossipsub::ConfigBuilder::default()
                .protocol_id(format!("{CHAIN_NAME}/meshsub/1"), gossipsub::Version::V1_1)
                .validation_mode(if signed {
                    gossipsub::ValidationMode::Strict
                } else {
                    gossipsub::ValidationMode::None
                })
                .heartbeat_initial_delay(Duration::from_millis(100))
                .build()
                .unwrap();
            Rogue {
                identify: identify::Behaviour::new(identify::Config::new(
                    format!("{CHAIN_NAME}/1"),
                    key.public(),
                )),
                ping: ping::Behaviour::default(),
                kad,
                gossip: gossipsub::Behaviour::new(authenticity, gossip).unwrap(),
            }
        })
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(60)))
        .build()
}

/// Listens on the loopback, connects, and waits until the other side has identified it.
pub async fn join(swarm: &mut Swarm<Rogue>, peer: PeerId, address: Multiaddr) {
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
    drive(swarm, |event| matches!(event, SwarmEvent::NewListenAddr { .. })).await;
    let own: Vec<_> = swarm.listeners().cloned().collect();
    for address in own {
        swarm.add_external_address(address);
    }
    swarm
        .dial(DialOpts::peer_id(peer).addresses(vec![address]).build())
        .unwrap();
    drive(swarm, |event| {
        matches!(
            event,
            SwarmEvent::Behaviour(RogueEvent::Identify(identify::Event::Received { .. }))
        )
    })
    .await;
}

/// Runs the swarm until an event fits.
pub async fn drive(
    swarm: &mut Swarm<Rogue>,
    mut fits: impl FnMut(&SwarmEvent<RogueEvent>) -> bool,
) -> SwarmEvent<RogueEvent> {
    let wait = async {
        loop {
            let event = swarm.select_next_some().await;
            if fits(&event) {
                return event;
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .expect("the rogue sees what it waits for")
}
