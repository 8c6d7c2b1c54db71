//! Who may connect, as a libp2p behaviour: rates, bounds, spread and bans, decided before any other behaviour
//! allocates anything. It must be the first field of the node's behaviour.
//!
//! libp2p's connection-limits knows totals only, and keeps an entry for every peer id it ever saw.

use crate::{
    Directory,
    address::{self, Prefix},
    config::Limits,
    diversity::{Candidate, Caps, Reason, Slots, Verdict},
    limits::Rates,
};
use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        CloseConnection, ConnectionClosed, ConnectionDenied, ConnectionId, DialFailure, FromSwarm,
        ListenFailure, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm, dummy,
    },
};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    convert::Infallible,
    fmt,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

/// Why a connection was not allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Denied {
    Rate,
    Pending,
    Prefix,
    Full,
    PerPeer,
    Banned,
    Stopping,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Denied::Rate => "too many new connections",
            Denied::Pending => "too many connections in the handshake",
            Denied::Prefix => "too many connections with that network",
            Denied::Full => "too many connections",
            Denied::PerPeer => "too many connections with that peer",
            Denied::Banned => "the peer is banned",
            Denied::Stopping => "the node is stopping",
        })
    }
}

impl std::error::Error for Denied {}

/// Peers that are kept out for a time.
#[derive(Debug)]
pub(crate) struct Bans {
    until: HashMap<PeerId, Instant>,
    capacity: usize,
}

impl Bans {
    fn new(capacity: usize) -> Self {
        Self {
            until: HashMap::new(),
            capacity: capacity.max(1),
        }
    }

    pub fn add(&mut self, peer: PeerId, now: Instant, time: Duration) {
        if self.until.len() >= self.capacity && !self.until.contains_key(&peer) {
            self.until.retain(|_, until| *until > now);
            if self.until.len() >= self.capacity
                && let Some(first) = self
                    .until
                    .iter()
                    .min_by_key(|(_, until)| **until)
                    .map(|(peer, _)| *peer)
            {
                self.until.remove(&first);
            }
        }
        self.until.insert(peer, now + time);
    }

    pub fn holds(&self, peer: &PeerId, now: Instant) -> bool {
        self.until.get(peer).is_some_and(|until| *until > now)
    }

    pub fn len(&self, now: Instant) -> usize {
        self.until.values().filter(|until| **until > now).count()
    }
}

pub(crate) struct Behaviour {
    limits: Arc<Limits>,
    rates: Arc<Rates>,
    directory: Arc<dyn Directory>,
    pub bans: Bans,
    pending_inbound: HashMap<ConnectionId, Prefix>,
    pending_prefixes: HashMap<Prefix, usize>,
    pending_outbound: HashSet<ConnectionId>,
    inbound: Slots<ConnectionId>,
    outbound: HashMap<ConnectionId, Candidate>,
    per_peer: HashMap<PeerId, usize>,
    owners: HashMap<ConnectionId, PeerId>,
    /// Dials that somebody on this node waits for: no rate holds them up.
    wanted: HashSet<ConnectionId>,
    closing: VecDeque<(PeerId, CloseConnection)>,
    waker: Option<Waker>,
    pub stopping: bool,
    pub refused: u64,
    pub evicted: u64,
}

impl Behaviour {
    pub fn new(limits: Arc<Limits>, rates: Arc<Rates>, directory: Arc<dyn Directory>) -> Self {
        let caps = Caps {
            total: limits.inbound,
            without_standing: limits.inbound_without_standing.min(limits.inbound),
            per_prefix: limits.inbound_per_prefix,
            per_prefix_total: limits.inbound_per_prefix_total,
            relayed: limits.inbound_relayed,
        };
        Self {
            bans: Bans::new(limits.bans),
            limits,
            rates,
            directory,
            pending_inbound: HashMap::new(),
            pending_prefixes: HashMap::new(),
            pending_outbound: HashSet::new(),
            inbound: Slots::new(caps),
            outbound: HashMap::new(),
            per_peer: HashMap::new(),
            owners: HashMap::new(),
            wanted: HashSet::new(),
            closing: VecDeque::new(),
            waker: None,
            stopping: false,
            refused: 0,
            evicted: 0,
        }
    }

    /// Marks a dial as asked for by this node's own work.
    pub fn want(&mut self, connection: ConnectionId) {
        self.wanted.insert(connection);
    }

    /// Closes every connection with a peer and keeps it out for a time.
    pub fn ban(&mut self, peer: PeerId, now: Instant) {
        self.bans.add(peer, now, self.limits.ban);
        self.close(peer);
    }

    /// Closes every connection with a peer.
    pub fn close(&mut self, peer: PeerId) {
        self.closing.push_back((peer, CloseConnection::All));
        self.wake();
    }

    /// Those whom this node connected to.
    pub fn outbound(&self) -> Vec<Candidate> {
        self.outbound.values().cloned().collect()
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn deny<T>(&mut self, reason: Denied) -> Result<T, ConnectionDenied> {
        self.refused += 1;
        Err(ConnectionDenied::new(reason))
    }

    fn candidate(&self, peer: PeerId, prefix: Prefix) -> Candidate {
        let standing = self.directory.standing(&peer);
        Candidate {
            peer,
            prefix,
            standing: standing.is_some(),
            region: standing.map(|standing| standing.region).unwrap_or_default(),
        }
    }

    /// What holds for both directions.
    fn check_peer(&mut self, peer: &PeerId) -> Result<(), ConnectionDenied> {
        if self.stopping {
            return self.deny(Denied::Stopping);
        }
        if self.bans.holds(peer, Instant::now()) {
            return self.deny(Denied::Banned);
        }
        if self.per_peer.get(peer).copied().unwrap_or(0) >= self.limits.per_peer {
            return self.deny(Denied::PerPeer);
        }
        Ok(())
    }

    fn settle_pending(&mut self, connection: &ConnectionId) -> Option<Prefix> {
        self.pending_outbound.remove(connection);
        self.wanted.remove(connection);
        let prefix = self.pending_inbound.remove(connection)?;
        if let Some(count) = self.pending_prefixes.get_mut(&prefix) {
            *count -= 1;
            if *count == 0 {
                self.pending_prefixes.remove(&prefix);
            }
        }
        Some(prefix)
    }

    fn settle(&mut self, connection: &ConnectionId) {
        self.settle_pending(connection);
        self.inbound.release(connection);
        self.outbound.remove(connection);
        if let Some(peer) = self.owners.remove(connection)
            && let Some(count) = self.per_peer.get_mut(&peer)
        {
            *count -= 1;
            if *count == 0 {
                self.per_peer.remove(&peer);
            }
        }
    }

    fn own(&mut self, connection: ConnectionId, peer: PeerId) {
        *self.per_peer.entry(peer).or_default() += 1;
        self.owners.insert(connection, peer);
    }
}

/// The network that an inbound connection comes from. One through a relay has the relay in the local address.
fn seen_prefix(local: &Multiaddr, remote: &Multiaddr) -> Prefix {
    address::prefix(if address::is_relayed(local) { local } else { remote })
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        if self.stopping {
            return self.deny(Denied::Stopping);
        }
        let prefix = seen_prefix(local, remote);
        let same = self.pending_prefixes.get(&prefix).copied().unwrap_or(0);
        if self.pending_inbound.len() >= self.limits.pending_inbound
            || same >= self.limits.pending_inbound_per_prefix
        {
            return self.deny(Denied::Pending);
        }
        if !self.rates.connection(prefix) {
            return self.deny(Denied::Rate);
        }
        self.pending_inbound.insert(connection, prefix);
        *self.pending_prefixes.entry(prefix).or_default() += 1;
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let prefix = self
            .settle_pending(&connection)
            .unwrap_or_else(|| seen_prefix(local, remote));
        self.check_peer(&peer)?;
        let candidate = self.candidate(peer, prefix);
        match self.inbound.judge(&candidate) {
            Verdict::Take => {}
            Verdict::Replace(victim) => {
                if let Some(loser) = self.inbound.release(&victim) {
                    tracing::debug!(peer = %loser.peer, "gives its place to {peer}");
                    self.evicted += 1;
                    self.closing.push_back((loser.peer, CloseConnection::One(victim)));
                    self.wake();
                }
            }
            Verdict::Refuse(Reason::Prefix) => return self.deny(Denied::Prefix),
            Verdict::Refuse(Reason::Full) => return self.deny(Denied::Full),
        }
        self.inbound.take(connection, candidate);
        self.own(connection, peer);
        Ok(dummy::ConnectionHandler)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        _: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        if self.stopping {
            return self.deny(Denied::Stopping);
        }
        if peer.is_some_and(|peer| self.bans.holds(&peer, Instant::now())) {
            return self.deny(Denied::Banned);
        }
        if self.pending_outbound.len() >= self.limits.pending_outbound {
            return self.deny(Denied::Pending);
        }
        if self.outbound.len() >= self.limits.outbound {
            return self.deny(Denied::Full);
        }
        if !self.wanted.contains(&connection) && !self.rates.dial() {
            return self.deny(Denied::Rate);
        }
        self.pending_outbound.insert(connection);
        Ok(Vec::new())
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.settle_pending(&connection);
        self.check_peer(&peer)?;
        if self.outbound.len() >= self.limits.outbound {
            return self.deny(Denied::Full);
        }
        let candidate = self.candidate(peer, address::prefix(address));
        self.outbound.insert(connection, candidate);
        self.own(connection, peer);
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. })
            | FromSwarm::DialFailure(DialFailure { connection_id, .. })
            | FromSwarm::ListenFailure(ListenFailure { connection_id, .. }) => self.settle(&connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some((peer_id, connection)) = self.closing.pop_front() {
            return Poll::Ready(ToSwarm::CloseConnection { peer_id, connection });
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bans_end_and_are_bounded() {
        let now = Instant::now();
        let mut bans = Bans::new(4);
        let peer = PeerId::random();
        bans.add(peer, now, Duration::from_secs(100));
        assert!(bans.holds(&peer, now + Duration::from_secs(99)));
        assert!(!bans.holds(&peer, now + Duration::from_secs(100)));
        for _ in 0..100 {
            bans.add(PeerId::random(), now, Duration::from_secs(10));
        }
        assert_eq!(bans.len(now), 4);
        assert!(bans.holds(&peer, now), "the ban that ends first gives way");
    }
}
