//! Substreams for links, as a libp2p behaviour.
//!
//! Why not libp2p-stream: it picks any connection with the peer (a link must prefer a direct one to a relayed one),
//! drops an inbound stream when the one before has not been fetched yet, and keeps an entry for every connection
//! there ever was.

use crate::{Kind, config::Names, link::Heard};
use futures::future::{Ready, ready};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol,
    core::{
        Endpoint,
        transport::PortUse,
        upgrade::{InboundUpgrade, ReadyUpgrade, UpgradeInfo},
    },
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
        NetworkBehaviour, NotifyHandler, StreamUpgradeError, SubstreamProtocol, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm,
        behaviour::{ConnectionClosed, ConnectionEstablished},
        handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};
use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::sync::oneshot;

/// How long the two sides may take to agree on the protocol of a stream.
const NEGOTIATION: Duration = Duration::from_secs(8);

/// A stream that this node asked for.
#[derive(Debug)]
pub(crate) struct Opened {
    pub stream: Stream,
    pub via: Via,
}

/// Why there is no stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum OpenError {
    NotConnected,
    Unsupported,
    Timeout,
    Failed(String),
}

pub(crate) type Reply = oneshot::Sender<Result<Opened, OpenError>>;

/// A stream that a peer opened.
#[derive(Debug)]
pub(crate) struct Inbound {
    pub peer: PeerId,
    pub via: Via,
    pub kind: Kind,
    pub stream: Stream,
}

/// The connection that a stream is in.
#[derive(Clone, Debug)]
pub(crate) struct Via {
    pub connection: ConnectionId,
    pub relayed: bool,
    /// When the peer was last heard on it.
    pub heard: Heard,
}

pub(crate) struct Behaviour {
    names: Arc<Names>,
    /// Kinds that this node takes streams for.
    served: Arc<[Kind]>,
    connections: HashMap<PeerId, Vec<Via>>,
    events: VecDeque<ToSwarm<Inbound, Open>>,
    waker: Option<Waker>,
}

/// Asks a connection for a stream.
#[derive(Debug)]
pub(crate) struct Open {
    kind: Kind,
    via: Via,
    reply: Reply,
}

impl Behaviour {
    pub fn new(names: Arc<Names>, served: Vec<Kind>) -> Self {
        Self {
            names,
            served: served.into(),
            connections: HashMap::new(),
            events: VecDeque::new(),
            waker: None,
        }
    }

    /// Opens a stream on the best connection there is: direct before relayed, old before new.
    pub fn open(&mut self, peer: PeerId, kind: Kind, reply: Reply) {
        let best = self
            .connections
            .get(&peer)
            .and_then(|all| all.iter().min_by_key(|connection| connection.relayed))
            .cloned();
        let Some(best) = best else {
            // The asker may have gone away; then nobody needs to know.
            let _ = reply.send(Err(OpenError::NotConnected));
            return;
        };
        self.events.push_back(ToSwarm::NotifyHandler {
            peer_id: peer,
            handler: NotifyHandler::One(best.connection),
            event: Open {
                kind,
                via: best,
                reply,
            },
        });
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Opens no more streams on a connection, which is being closed.
    pub fn forget(&mut self, peer: PeerId, connection: ConnectionId) {
        if let Some(all) = self.connections.get_mut(&peer) {
            all.retain(|via| via.connection != connection);
            if all.is_empty() {
                self.connections.remove(&peer);
            }
        }
    }

    fn handler(&self) -> Handler {
        Handler {
            names: self.names.clone(),
            served: self.served.clone(),
            wanted: VecDeque::new(),
            arrived: VecDeque::new(),
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Inbound;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler())
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            }) => self.connections.entry(peer_id).or_default().push(Via {
                connection: connection_id,
                relayed: endpoint.is_relayed(),
                heard: Heard::default(),
            }),
            FromSwarm::ConnectionClosed(ConnectionClosed {
                peer_id,
                connection_id,
                ..
            }) => self.forget(peer_id, connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        (kind, stream): THandlerOutEvent<Self>,
    ) {
        let known = self.connections.get(&peer);
        let Some(via) = known.and_then(|all| all.iter().find(|via| via.connection == connection)) else {
            // It is being closed.
            return;
        };
        self.events.push_back(ToSwarm::GenerateEvent(Inbound {
            peer,
            via: via.clone(),
            kind,
            stream,
        }));
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        match self.events.pop_front() {
            Some(event) => Poll::Ready(event),
            None => {
                self.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

pub(crate) struct Handler {
    names: Arc<Names>,
    served: Arc<[Kind]>,
    wanted: VecDeque<Open>,
    arrived: VecDeque<(Kind, Stream)>,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Open;
    type ToBehaviour = (Kind, Stream);
    type InboundProtocol = Served;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Open;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        let offered = Served {
            names: self.names.clone(),
            served: self.served.clone(),
        };
        SubstreamProtocol::new(offered, ()).with_timeout(NEGOTIATION)
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Open, Self::ToBehaviour>> {
        if let Some(arrived) = self.arrived.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(arrived));
        }
        if let Some(open) = self.wanted.pop_front() {
            let protocol = ReadyUpgrade::new(self.names.link(open.kind));
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest {
                protocol: SubstreamProtocol::new(protocol, open).with_timeout(NEGOTIATION),
            });
        }
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, open: Open) {
        self.wanted.push_back(open);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<Self::InboundProtocol, Self::OutboundProtocol, (), Open>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: Some(arrived),
                ..
            }) => self.arrived.push_back(arrived),
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: stream,
                info,
            }) => {
                // An asker that went away drops the stream, which resets it.
                let _ = info.reply.send(Ok(Opened {
                    stream,
                    via: info.via,
                }));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                let error = match error {
                    StreamUpgradeError::Timeout => OpenError::Timeout,
                    StreamUpgradeError::NegotiationFailed => OpenError::Unsupported,
                    StreamUpgradeError::Io(error) => OpenError::Failed(error.to_string()),
                    StreamUpgradeError::Apply(never) => match never {},
                };
                let _ = info.reply.send(Err(error));
            }
            _ => {}
        }
    }
}

/// The protocols of the kinds that are served.
pub(crate) struct Served {
    names: Arc<Names>,
    served: Arc<[Kind]>,
}

impl UpgradeInfo for Served {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        let offered: Vec<_> = self.served.iter().map(|kind| self.names.link(*kind)).collect();
        offered.into_iter()
    }
}

impl InboundUpgrade<Stream> for Served {
    type Output = Option<(Kind, Stream)>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_inbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok(self.names.kind_of(&protocol).map(|kind| (kind, stream))))
    }
}
