//! What is done by the clock: joining, keeping company, testing others' addresses, saving, telling.

use super::{
    ANNOUNCE, Announcement, CLEAN, Dial, EXCHANGE, EXCHANGE_HUNGRY, HOSTS, INTRODUCTION, JOIN, LOOK, Node,
    OWN_DIALS, Phase, RETEST, SAVE,
};
use crate::{
    MeshStatus, Multiaddr, PeerId, PeerStatus, address,
    diversity::{Candidate, spread},
    gossip, limits, now,
    record::MAX_ADDRESSES,
};
use libp2p::{
    kad,
    swarm::dial_opts::{DialOpts, PeerCondition},
};
use std::time::Instant;
use tokio::sync::oneshot;

impl Node {
    pub(super) fn ready(&self) -> usize {
        self.peers.values().filter(|known| known.ready).count()
    }

    /// Returns true when the node has stopped.
    pub(super) fn on_tick(&mut self) -> bool {
        let at = Instant::now();
        match &mut self.phase {
            Phase::Running => {}
            Phase::Closing(done) => {
                if done.try_recv() != Err(oneshot::error::TryRecvError::Empty) {
                    self.leave(at);
                }
                return false;
            }
            Phase::Leaving(until) => return self.peers.is_empty() || at >= *until,
        }
        self.join(at);
        self.keep_company(at);
        self.follow_nat(at);
        if self.record_due.is_some_and(|due| at >= due) {
            self.record_due = None;
            self.renew_record();
        }
        if self.announce_all.is_some_and(|due| at >= due) && !self.table.is_empty() {
            self.announce_all = None;
            self.announced_all = Some(at);
            self.announce_due = at + ANNOUNCE;
            self.announcements.clear();
            self.announcements.push_back(Announcement::Record);
            self.announcements
                .extend(self.provided.iter().map(|key| Announcement::Content(*key)));
        }
        if at >= self.announce_due {
            // What is provided is renewed by the DHT's own clock.
            self.announce_due = at + ANNOUNCE;
            self.announcements.push_back(Announcement::Record);
        }
        self.announce();
        if at >= self.exchange_due {
            let hungry = self.ready() < self.shared.limits.target_peers;
            self.exchange_due = at + if hungry { EXCHANGE_HUNGRY } else { EXCHANGE };
            let ready: Vec<PeerId> = self
                .peers
                .iter()
                .filter(|(_, known)| known.ready)
                .map(|(peer, _)| *peer)
                .collect();
            if !ready.is_empty() {
                self.exchange(ready[rand::random_range(0..ready.len())]);
            }
        }
        if at >= self.look_due {
            self.look_due = at + LOOK;
            self.close_strangers(at);
            self.test_address();
        }
        if at >= self.save_due {
            self.save_due = at + SAVE;
            self.save();
        }
        if at >= self.prune_due {
            self.prune_due = at + limits::PRUNE;
            self.shared.rates.prune();
            self.links.prune(at);
        }
        if at >= self.clean_due {
            self.clean_due = at + CLEAN;
            self.clean(at);
        }
        let counters = self.shared.counting.read();
        if std::mem::take(&mut self.dirty) || counters != self.told {
            self.told = counters;
            self.tell();
        }
        false
    }

    /// Dials the bootstrap addresses while this node knows hardly anybody.
    pub(super) fn join(&mut self, at: Instant) {
        let (due, pause) = self.join;
        let ready = self.ready();
        if at < due
            || self.shared.config.bootstrap.is_empty()
            || ready >= self.shared.limits.target_peers.min(3)
        {
            return;
        }
        self.join = (at + pause, (pause * 2).min(JOIN.1));
        if ready == 0 {
            // Alone: do not wait ever longer.
            self.join.1 = self.join.1.min(JOIN.0 * 4);
        }
        for address in self.shared.config.bootstrap.clone() {
            match address::split_peer(&address) {
                (bare, Some(peer)) => {
                    if peer != self.shared.me && !self.is_busy_with(&peer) {
                        let whole = if address::is_relayed(&address) {
                            address
                        } else {
                            bare
                        };
                        self.dial(peer, vec![whole], None);
                    }
                }
                (bare, None) => {
                    let connected = self.peers.values().any(|known| {
                        known
                            .connections
                            .values()
                            .any(|c| address::split_peer(&c.address).0 == bare)
                    });
                    if !connected {
                        let opts = DialOpts::unknown_peer_id().address(bare).build();
                        let connection = opts.connection_id();
                        self.swarm.behaviour_mut().guard.want(connection);
                        if self.swarm.dial(opts).is_ok() {
                            let dial = Dial {
                                peer: None,
                                reply: None,
                                test: false,
                            };
                            self.dials.insert(connection, dial);
                        }
                    }
                }
            }
        }
    }

    pub(super) fn is_busy_with(&self, peer: &PeerId) -> bool {
        self.peers.contains_key(peer) || self.dials.values().any(|dial| dial.peer == Some(*peer))
    }

    /// Closes connections with peers that do not say who they are.
    pub(super) fn close_strangers(&mut self, at: Instant) {
        for (peer, known) in &self.peers {
            if !known.ready && at.saturating_duration_since(known.since) > INTRODUCTION {
                tracing::debug!(%peer, "does not identify itself");
                self.swarm.behaviour_mut().guard.close(*peer);
            }
        }
    }

    /// Tests whether one of those who connected to this node can be reached where it says: only such peers are passed
    /// on to others.
    pub(super) fn test_address(&mut self) {
        let at = now();
        let due = |peer: &PeerId| {
            let book = self.shared.book();
            let known = book.get(peer)?;
            let fresh = at.saturating_sub(known.verified) < 12 * RETEST;
            let tried = at.saturating_sub(known.tried) < RETEST;
            let direct: Vec<Multiaddr> = known
                .addresses()
                .into_iter()
                .filter(|a| !address::is_relayed(a))
                .collect();
            (!fresh && !tried && !direct.is_empty()).then_some(direct)
        };
        let next = self
            .peers
            .iter()
            .filter(|(_, known)| known.ready && known.connections.len() == 1)
            .find_map(|(peer, _)| Some((*peer, due(peer)?)));
        let Some((peer, addresses)) = next else { return };
        self.shared.book().note_dial(&peer, at);
        let opts = DialOpts::peer_id(peer)
            .condition(PeerCondition::Always)
            .addresses(addresses)
            // From another port than the one the peer knows: a hole in its NAT would prove nothing.
            .allocate_new_port()
            .build();
        let connection = opts.connection_id();
        self.swarm.behaviour_mut().guard.want(connection);
        if self.swarm.dial(opts).is_ok() {
            let dial = Dial {
                peer: Some(peer),
                reply: None,
                test: true,
            };
            self.dials.insert(connection, dial);
        }
    }

    /// Dials peers of the book while there are too few connections, or too few that this node chose itself.
    pub(super) fn keep_company(&mut self, at: Instant) {
        let target = self.shared.limits.target_peers;
        let ready = self.ready();
        let chosen = self.swarm.behaviour().guard.outbound();
        let want = target
            .saturating_sub(ready)
            .max((target / 2).saturating_sub(chosen.len()));
        let under_way = self
            .dials
            .values()
            .filter(|dial| dial.reply.is_none() && !dial.test)
            .count();
        let room = want.min(OWN_DIALS.saturating_sub(under_way));
        if room == 0 || at < self.company_due {
            return;
        }
        let bans = &self.swarm.behaviour().guard.bans;
        let out = |peer: &PeerId| self.is_busy_with(peer) || bans.holds(peer, at) || *peer == self.shared.me;
        let mut candidates = self
            .shared
            .book()
            .candidates(out, |peer| self.shared.region(peer), now());
        candidates.extend(self.unknown_hosts(out));
        if candidates.is_empty() {
            // The book and the chain are not searched again at once.
            self.company_due = at + LOOK;
        }
        for candidate in spread(candidates, &chosen, room, &mut rand::rng()) {
            let (direct, _) = self.shared.addresses(&candidate.peer);
            if !self.shared.book().contains(&candidate.peer) {
                self.hosts_tried.insert(candidate.peer, at);
            }
            self.dial(candidate.peer, direct, None);
        }
    }

    /// Hosts of the chain that the book does not have: some of them, of whom the chain knows an address.
    pub(super) fn unknown_hosts(&self, out: impl Fn(&PeerId) -> bool) -> Vec<Candidate> {
        let hosts = self.shared.directory.hosts();
        let sample = rand::seq::index::sample(&mut rand::rng(), hosts.len(), hosts.len().min(HOSTS));
        let book = self.shared.book();
        let unknown = sample
            .into_iter()
            .map(|index| hosts[index])
            .filter(|peer| !book.contains(peer) && !self.hosts_tried.contains_key(peer) && !out(peer));
        unknown
            .filter_map(|peer| {
                let standing = self.shared.directory.standing(&peer)?;
                let local = self.shared.config.local_only;
                let addresses = address::clean(standing.endpoints, &peer, local, MAX_ADDRESSES);
                let first = addresses.iter().find(|address| !address::is_relayed(address))?;
                Some(Candidate {
                    peer,
                    prefix: address::prefix(first),
                    region: standing.region,
                    standing: true,
                })
            })
            .collect()
    }

    pub(super) fn clean(&mut self, at: Instant) {
        let shared = self.shared.clone();
        shared.book().prune(|peer| shared.standing(peer), now());
        self.scores.prune(at);
        self.hosts_tried
            .retain(|_, tried| at.saturating_duration_since(*tried) < 5 * CLEAN);
        self.swarm.behaviour_mut().kad.store_mut().prune(at);
        let peers: Vec<PeerId> = self.peers.keys().copied().collect();
        for peer in peers {
            let score = gossip::application_score(shared.standing(&peer), self.scores.points(&peer, at));
            self.swarm
                .behaviour_mut()
                .gossip
                .set_application_score(&peer, score);
        }
        self.follow_topics();
        self.waiting.retain(|_, all| {
            all.retain(|reply| !reply.is_closed());
            !all.is_empty()
        });
        self.dirty = true;
    }

    pub(super) fn save(&self) {
        let Some(dir) = &self.shared.config.state_dir else {
            return;
        };
        let snapshot = {
            let mut book = self.shared.book();
            if !book.is_dirty() {
                return;
            }
            book.snapshot(dir, self.shared.config.genesis, self.sequence)
        };
        tokio::task::spawn_blocking(move || {
            if let Err(error) = snapshot.write() {
                tracing::warn!(%error, "not saved");
            }
        });
    }

    /// Tells everybody who watches.
    pub(super) fn tell(&mut self) {
        let at = Instant::now();
        let guard = &self.swarm.behaviour().guard;
        self.shared.counting.connections_refused.set(guard.refused);
        self.shared.counting.connections_evicted.set(guard.evicted);
        let banned = guard.bans.len(at);
        let mut peers: Vec<PeerStatus> = self
            .peers
            .iter()
            .filter_map(|(peer, known)| {
                let (_, best) = known.best()?;
                Some(PeerStatus {
                    peer: *peer,
                    address: best.address.clone(),
                    relayed: best.relayed,
                    outbound: best.outbound,
                    ready: known.ready,
                    rtt: known.rtt,
                    kinds: self.links.kinds(*peer),
                    points: self.scores.points(peer, at),
                    standing: self.shared.standing(peer),
                    relay: known.relay,
                    agent: known.agent.clone(),
                })
            })
            .collect();
        peers.sort_by_key(|status| status.peer);
        let mut relays: Vec<PeerId> = self
            .relays
            .iter()
            .filter(|(_, r)| r.held)
            .map(|(relay, _)| *relay)
            .collect();
        relays.sort();
        let status = MeshStatus {
            peers,
            nat: self.nat,
            external: self.own_addresses(),
            relays,
            dht_server: self.swarm.behaviour().kad.mode() == kad::Mode::Server,
            table: self.table.len(),
            book: self.shared.book().len(),
            dht_stored: self.swarm.behaviour_mut().kad.store_mut().counts(),
            topics: self.topics.len(),
            banned,
            counters: self.shared.counting.read(),
        };
        self.ends.status.send_if_modified(|held| {
            let changed = *held != status;
            *held = status;
            changed
        });
    }
}
