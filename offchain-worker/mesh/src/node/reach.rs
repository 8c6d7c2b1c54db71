//! Where this node can be reached: listen addresses, reachability, places at relays, the record that tells others.

use super::{Announcement, Node, Peer, RELAY_PAUSE, RELAY_WAIT, Reservation, SETTLE};
use crate::{
    Multiaddr, NatStatus, PeerId, address,
    record::{MAX_ADDRESSES, PeerRecord},
};
use libp2p::{core::transport::ListenerId, kad, multiaddr::Protocol, relay};
use std::time::Instant;

impl Node {
    pub(super) fn on_listening(&mut self, address: Multiaddr) {
        tracing::info!(%address, "listening");
        let (bare, _) = if address::is_relayed(&address) {
            (address.clone(), None)
        } else {
            address::split_peer(&address)
        };
        self.ends.listen.send_modify(|all| {
            if !all.contains(&bare) {
                all.push(bare.clone());
            }
        });
        if self.counts_as_proven(&bare) {
            self.swarm.add_external_address(bare.clone());
            self.reach.confirmed(&bare);
        }
        self.addresses_changed();
    }

    /// Whether a listen address needs no test: one of the loopback on a node for this machine only, and any of the
    /// first node of a network, which has nobody to test it.
    pub(super) fn counts_as_proven(&self, address: &Multiaddr) -> bool {
        let config = &self.shared.config;
        if address::is_relayed(address) || !address::is_allowed(address, config.local_only) {
            return false;
        }
        if is_loopback(address) {
            return self.is_for_this_machine();
        }
        config.bootstrap.is_empty()
    }

    /// Whether the node has to do with its own machine only.
    pub(super) fn is_for_this_machine(&self) -> bool {
        let config = &self.shared.config;
        !config.listen.is_empty() && config.listen.iter().chain(&config.bootstrap).all(is_loopback)
    }

    pub(super) fn on_listening_no_more(&mut self, gone: &[Multiaddr]) {
        self.ends.listen.send_modify(|all| {
            all.retain(|address| {
                !gone
                    .iter()
                    .any(|gone| gone == address || address::split_peer(gone).0 == *address)
            });
        });
        for address in gone {
            if self.counts_as_proven(address) {
                self.swarm.remove_external_address(address);
                self.reach.expired(address);
            }
        }
        self.addresses_changed();
    }

    pub(super) fn on_listener_closed(&mut self, listener: ListenerId, reason: Result<(), std::io::Error>) {
        if self.listeners.remove(&listener) {
            tracing::warn!(?reason, "a listener closed");
        }
        let relay = self
            .relays
            .iter()
            .find(|(_, held)| held.listener == listener)
            .map(|(relay, _)| *relay);
        if let Some(relay) = relay {
            tracing::debug!(%relay, ?reason, "no place at the relay any more");
            self.relays.remove(&relay);
            self.relay_pause.insert(relay, Instant::now() + RELAY_PAUSE);
        }
    }

    pub(super) fn addresses_changed(&mut self) {
        self.record_due.get_or_insert(Instant::now() + SETTLE);
        self.dirty = true;
    }

    /// What this node tells others about where it is.
    pub(super) fn own_addresses(&self) -> Vec<Multiaddr> {
        let listen = self.ends.listen.borrow();
        let relayed = listen.iter().filter(|address| address::is_relayed(address));
        let mut own: Vec<Multiaddr> = self.reach.proven().chain(relayed).cloned().collect();
        if own.is_empty() {
            // Nothing is proven yet; better a hint than nothing.
            let allowed = |address: &&Multiaddr| {
                address::is_allowed(address, self.shared.config.local_only)
                    && (!is_loopback(address) || self.is_for_this_machine())
            };
            own = listen.iter().filter(allowed).cloned().collect();
        }
        own.truncate(MAX_ADDRESSES);
        own
    }

    pub(super) fn renew_record(&mut self) {
        let addresses = self.own_addresses();
        let config = &self.shared.config;
        let relay = config.relay_server && self.nat == NatStatus::Public;
        let region = crate::config::region(&config.region);
        if let Some(held) = self.shared.own()
            && held.addresses == addresses
            && held.relay == relay
            && held.region == region
        {
            return;
        }
        let millis = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        self.sequence = millis.max(self.sequence.saturating_add(1));
        match PeerRecord::sign(
            &config.keypair,
            &config.genesis,
            self.sequence,
            &addresses,
            &region,
            relay,
        ) {
            Ok(record) => {
                tracing::debug!(?addresses, relay, "new record");
                *self
                    .shared
                    .own
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(record);
                self.announcements.push_back(Announcement::Record);
            }
            Err(error) => tracing::warn!(%error, "no record"),
        }
    }

    /// Follows reachability: serving the DHT and relaying need it, the lack of it needs a relay.
    pub(super) fn follow_nat(&mut self, at: Instant) {
        let nat = self.reach.status(at);
        if nat != self.nat {
            tracing::info!(?nat, "reachability");
            self.nat = nat;
            let public = nat == NatStatus::Public;
            let behaviour = self.swarm.behaviour_mut();
            behaviour.kad.set_mode(Some(if public {
                kad::Mode::Server
            } else {
                kad::Mode::Client
            }));
            if let Some(relay) = behaviour.relay_server.as_mut() {
                relay.set_status(Some(if public {
                    relay::Status::Enable
                } else {
                    relay::Status::Disable
                }));
            }
            self.addresses_changed();
        }
        if nat == NatStatus::Private {
            self.seek_relay(at);
        }
    }

    pub(super) fn seek_relay(&mut self, at: Instant) {
        self.relay_pause.retain(|_, until| *until > at);
        let late: Vec<PeerId> = self
            .relays
            .iter()
            .filter(|(_, held)| !held.held && at.saturating_duration_since(held.asked) > RELAY_WAIT)
            .map(|(relay, _)| *relay)
            .collect();
        for relay in late {
            // By closing the connection, which closes the listener: removing the listener while the relay's answer may be
            // on its way makes libp2p's relay client panic.
            self.relays.remove(&relay);
            self.relay_pause.insert(relay, at + RELAY_PAUSE * 6);
            self.swarm.behaviour_mut().guard.close(relay);
        }
        while self.relays.len() < self.shared.limits.relay_slots {
            let usable = self.peers.iter().filter(|(peer, known)| {
                known.ready
                    && known.relay
                    && !self.relays.contains_key(*peer)
                    && !self.relay_pause.contains_key(*peer)
            });
            let best = usable
                .filter_map(|(peer, known)| Some((*peer, relay_address(known)?)))
                .min_by_key(|(peer, _)| (!self.shared.standing(peer), *peer));
            let Some((relay, via)) = best else { return };
            let (bare, _) = address::split_peer(&via);
            let listen_at = bare.with(Protocol::P2p(relay)).with(Protocol::P2pCircuit);
            match self.swarm.listen_on(listen_at) {
                Ok(listener) => {
                    tracing::debug!(%relay, "asks for a place");
                    self.relays.insert(
                        relay,
                        Reservation {
                            listener,
                            held: false,
                            asked: at,
                        },
                    );
                }
                Err(error) => {
                    tracing::debug!(%relay, %error, "can not ask for a place");
                    self.relay_pause.insert(relay, at + RELAY_PAUSE);
                }
            }
        }
    }
}

pub(super) fn is_loopback(address: &Multiaddr) -> bool {
    address::ip(address).is_some_and(|ip| ip.is_loopback())
}

/// An address of a connected relay that others could use too.
fn relay_address(known: &Peer) -> Option<Multiaddr> {
    let (_, best) = known.best()?;
    if best.relayed {
        return None;
    }
    if best.outbound {
        return Some(best.address.clone());
    }
    known
        .addresses
        .iter()
        .find(|address| !address::is_relayed(address))
        .cloned()
}
