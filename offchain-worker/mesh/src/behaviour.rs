//! The libp2p behaviours of a node, put together.

use crate::{
    Config, Directory, Kind, MeshError, PeerId,
    config::{Limits, Names},
    gossip, guard,
    limits::Rates,
    nat::Bounded,
    store::Store,
    streams,
};
use libp2p::{
    autonat, dcutr, identify, kad, ping, relay,
    swarm::{NetworkBehaviour, behaviour::toggle::Toggle},
};
use std::{num::NonZeroU32, num::NonZeroUsize, sync::Arc, time::Duration};

/// How long provider records live, and how often they are renewed.
const PROVIDER_TTL: Duration = Duration::from_secs(2 * 3600);
const PROVIDER_RENEWAL: Duration = Duration::from_secs(30 * 60);
/// How long peer records live in the DHT.
const RECORD_TTL: Duration = Duration::from_secs(4 * 3600);
/// How long one DHT query may take.
pub(crate) const QUERY: Duration = Duration::from_secs(20);

#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    /// First, so that what it refuses leaves no trace in the others.
    pub guard: guard::Behaviour,
    pub streams: streams::Behaviour,
    pub identify: identify::Behaviour,
    pub ping: ping::Behaviour,
    pub kad: kad::Behaviour<Store>,
    pub gossip: gossip::Behaviour,
    pub autonat_client: Bounded<autonat::v2::client::Behaviour>,
    pub autonat_server: Bounded<autonat::v2::server::Behaviour>,
    pub relay_client: relay::client::Behaviour,
    pub relay_server: Toggle<relay::Behaviour>,
    pub dcutr: dcutr::Behaviour,
}

pub(crate) fn build(
    config: &Config,
    names: &Arc<Names>,
    limits: &Arc<Limits>,
    rates: &Arc<Rates>,
    directory: &Arc<dyn Directory>,
    served: Vec<Kind>,
    relay_client: relay::client::Behaviour,
) -> Result<Behaviour, MeshError> {
    let me = config.keypair.public().to_peer_id();
    let identify = identify::Config::new(names.family.clone(), config.keypair.public())
        .with_agent_version(names.identify_agent.clone())
        .with_push_listen_addr_updates(true)
        // Addresses go where this node decides: through its book, not through caches of the behaviours.
        .with_cache_size(0)
        .with_hide_listen_addrs(!config.local_only);

    let mut kad = kad::Config::new(names.kad.clone());
    kad.set_query_timeout(QUERY)
        .set_substreams_timeout(Duration::from_secs(8))
        .disjoint_query_paths(true)
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_kbucket_inserts(kad::BucketInserts::Manual)
        .set_caching(kad::Caching::Disabled)
        .set_replication_interval(None)
        .set_publication_interval(None)
        .set_record_ttl(Some(RECORD_TTL))
        .set_provider_record_ttl(Some(PROVIDER_TTL))
        .set_provider_publication_interval(Some(PROVIDER_RENEWAL))
        .set_max_packet_size(64 << 10);
    let store = Store::new(me, config.genesis, config.local_only, limits, directory.clone());
    let mut kad = kad::Behaviour::with_config(me, store, kad);
    // Until this node is known to be reachable, others should not keep it in their tables.
    kad.set_mode(Some(kad::Mode::Client));

    let relay_server = config.relay_server.then(|| {
        let mut relay = relay::Behaviour::new(me, relay_config(limits, config.local_only));
        relay.set_status(Some(relay::Status::Disable));
        relay
    });
    let (local, tests) = (config.local_only, limits.address_test_rate);
    Ok(Behaviour {
        guard: guard::Behaviour::new(limits.clone(), rates.clone(), directory.clone()),
        streams: streams::Behaviour::new(names.clone(), served),
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::new(
            ping::Config::new()
                .with_interval(limits.ping_interval)
                .with_timeout(limits.ping_interval),
        ),
        kad,
        gossip: gossip::behaviour(&config.keypair, names.clone(), limits, config.local_only)?,
        autonat_client: Bounded::new(autonat::v2::client::Behaviour::default(), local, tests),
        autonat_server: Bounded::new(autonat::v2::server::Behaviour::default(), local, tests),
        relay_client,
        relay_server: relay_server.into(),
        dcutr: dcutr::Behaviour::new(me),
    })
}

fn relay_config(limits: &Limits, local: bool) -> relay::Config {
    let often = |count: u32| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
    let config = relay::Config {
        max_reservations: limits.relay_reservations,
        max_reservations_per_peer: 2,
        reservation_duration: Duration::from_secs(3600),
        reservation_rate_limiters: Vec::new(),
        max_circuits: limits.relay_circuits,
        max_circuits_per_peer: limits.relay_circuits_per_peer,
        max_circuit_duration: limits
            .relay_circuit_duration
            .min(Duration::from_secs(u64::from(u32::MAX))),
        max_circuit_bytes: limits.relay_circuit_bytes,
        circuit_src_rate_limiters: Vec::new(),
    }
    .reservation_rate_per_peer(often(30), Duration::from_secs(30))
    .circuit_src_per_peer(often(60), Duration::from_secs(5));
    if local {
        // On one machine everybody has the same address.
        return config;
    }
    config
        .reservation_rate_per_ip(often(60), Duration::from_secs(30))
        .circuit_src_per_ip(often(120), Duration::from_secs(2))
}

/// Entries of one bucket of the routing table.
pub(crate) const BUCKET: NonZeroUsize = kad::K_VALUE;

/// The bucket of the routing table that a peer belongs in.
pub(crate) fn bucket(me: &PeerId, peer: &PeerId) -> u32 {
    let distance = kad::KBucketKey::from(*me).distance(&kad::KBucketKey::from(*peer));
    distance.ilog2().unwrap_or(0)
}
