//! Whether this node can be reached from outside, and what follows from it.

use crate::{Rate, address, limits::quota};
use governor::{DefaultDirectRateLimiter, RateLimiter};
use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionId, DialError, DialFailure, FromSwarm, NetworkBehaviour, THandler,
        THandlerInEvent, THandlerOutEvent, ToSwarm,
    },
};
use std::{
    collections::BTreeSet,
    task::{Context, Poll},
    time::{Duration, Instant},
};

/// Whether others can connect to this node directly.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum NatStatus {
    /// Not known yet.
    #[default]
    Unknown,
    /// Some address is reachable.
    Public,
    /// None is; the node looks for a relay.
    Private,
}

/// Without proof of the contrary, a node that has been connected for so long counts as not reachable.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is known about this node's own reachability.
#[derive(Debug)]
pub(crate) struct Reach {
    listens: bool,
    /// Direct addresses that were proven, or named by the operator.
    proven: BTreeSet<Multiaddr>,
    failures: u32,
    connected_since: Option<Instant>,
}

impl Reach {
    pub fn new(listens: bool) -> Self {
        Self {
            listens,
            proven: BTreeSet::new(),
            failures: 0,
            connected_since: None,
        }
    }

    /// An address is proven. Relayed ones say nothing about direct reachability.
    pub fn confirmed(&mut self, address: &Multiaddr) {
        if !address::is_relayed(address) {
            self.proven.insert(address.clone());
        }
    }

    pub fn expired(&mut self, address: &Multiaddr) {
        self.proven.remove(address);
    }

    /// A peer tried an address for this node and failed.
    pub fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    /// This node has a connection that it opened itself.
    pub fn connected(&mut self, now: Instant) {
        self.connected_since.get_or_insert(now);
    }

    pub fn proven(&self) -> impl Iterator<Item = &Multiaddr> {
        self.proven.iter()
    }

    pub fn status(&self, now: Instant) -> NatStatus {
        let waited = self
            .connected_since
            .is_some_and(|since| now.saturating_duration_since(since) >= PATIENCE);
        if !self.proven.is_empty() {
            NatStatus::Public
        } else if !self.listens || self.failures > 0 || waited {
            NatStatus::Private
        } else {
            NatStatus::Unknown
        }
    }
}

/// Candidates for the node's own address that are kept for testing.
const CANDIDATES: usize = 64;

/// AutoNAT with bounds. Its client keeps every address that anybody ever claimed to see this node at, and asks others
/// to dial it; its server dials whatever it is asked to, as often as it is asked.
pub(crate) struct Bounded<B> {
    inner: B,
    local: bool,
    seen: BTreeSet<Multiaddr>,
    dials: DefaultDirectRateLimiter,
}

impl<B> Bounded<B> {
    pub fn new(inner: B, local: bool, dials: Rate) -> Self {
        Self {
            inner,
            local,
            seen: BTreeSet::new(),
            dials: RateLimiter::direct(quota(dials)),
        }
    }

    fn admits(&mut self, address: &Multiaddr) -> bool {
        if address::is_relayed(address) || !address::is_allowed(address, self.local) {
            return false;
        }
        if self.seen.contains(address) {
            return true;
        }
        self.seen.len() < CANDIDATES && self.seen.insert(address.clone())
    }
}

impl<B: NetworkBehaviour> NetworkBehaviour for Bounded<B> {
    type ConnectionHandler = B::ConnectionHandler;
    type ToSwarm = B::ToSwarm;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.inner
            .handle_pending_inbound_connection(connection, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner
            .handle_established_inbound_connection(connection, peer, local, remote)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.inner
            .handle_pending_outbound_connection(connection, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner
            .handle_established_outbound_connection(connection, peer, address, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        if let FromSwarm::NewExternalAddrCandidate(candidate) = &event
            && !self.admits(candidate.addr)
        {
            return;
        }
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.inner.on_connection_handler_event(peer, connection, event);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        loop {
            match self.inner.poll(cx) {
                Poll::Ready(ToSwarm::Dial { opts }) if self.dials.check().is_err() => {
                    // As if it had failed at once.
                    let failure = DialFailure {
                        peer_id: opts.get_peer_id(),
                        error: &DialError::Aborted,
                        connection_id: opts.connection_id(),
                    };
                    self.inner.on_swarm_event(FromSwarm::DialFailure(failure));
                }
                other => return other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn reachability() {
        let now = Instant::now();
        let mut reach = Reach::new(true);
        assert_eq!(reach.status(now), NatStatus::Unknown);
        reach.connected(now);
        assert_eq!(reach.status(now + PATIENCE), NatStatus::Private);
        let relay = PeerId::random();
        reach.confirmed(&address::circuit(
            relay,
            &at("/ip4/8.8.8.8/tcp/1"),
            PeerId::random(),
        ));
        assert_eq!(
            reach.status(now + PATIENCE),
            NatStatus::Private,
            "a relay proves nothing"
        );
        reach.failed();
        assert_eq!(reach.status(now), NatStatus::Private);
        reach.confirmed(&at("/ip4/8.8.8.8/tcp/1"));
        assert_eq!(reach.status(now), NatStatus::Public);
        reach.expired(&at("/ip4/8.8.8.8/tcp/1"));
        assert_eq!(reach.status(now), NatStatus::Private);
        assert_eq!(Reach::new(false).status(now), NatStatus::Private);
    }

    #[test]
    fn claimed_addresses_are_bounded() {
        let mut bounded = Bounded::new((), false, Rate::new(1, 1));
        let admitted = (0..1_000u32)
            .filter(|n| bounded.admits(&at(&format!("/ip4/8.8.{}.{}/tcp/1", n / 250, n % 250))))
            .count();
        assert_eq!(admitted, CANDIDATES);
        assert!(
            bounded.admits(&at("/ip4/8.8.0.1/tcp/1")),
            "known ones still count"
        );
        assert!(!bounded.admits(&at("/ip4/127.0.0.1/tcp/1")));
    }
}
