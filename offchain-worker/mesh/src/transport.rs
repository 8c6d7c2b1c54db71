//! TCP, QUIC and WebSocket, each with Noise (QUIC: TLS) and yamux, directly or through a relay.

use crate::{MeshError, address, config::Names};
use libp2p::{
    Multiaddr, PeerId, Transport,
    core::{
        muxing::{StreamMuxer, StreamMuxerBox, StreamMuxerEvent},
        transport::{Boxed, DialOpts, ListenerId, TransportError, TransportEvent},
        upgrade::Version,
    },
    dns,
    identity::Keypair,
    multiaddr::Protocol,
    noise, quic, relay, tcp, websocket, yamux,
};
use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Sleep;

/// Streams a connection may have open at a time. Each may hold 256 KiB that nobody has read yet.
const STREAMS: usize = 128;
/// What the orderly close of a connection may take.
const CLOSE: Duration = Duration::from_secs(5);
/// Largest WebSocket frame; it is buffered before the peer has proven anything.
const WEBSOCKET_FRAME: usize = 1 << 20;

/// Makes the transport, and the part of the relay client that goes with it.
pub(crate) fn build(
    keypair: &Keypair,
    names: &Names,
    local: bool,
    handshake_timeout: Duration,
) -> Result<(Boxed<(PeerId, StreamMuxerBox)>, relay::client::Behaviour), MeshError> {
    // The genesis is in the handshake's prologue: a node of another chain fails before it can say anything.
    let noise = noise::Config::new(keypair)
        .map_err(|error| MeshError::Transport(error.to_string()))?
        .with_prologue([b"llmesh/noise/1", names.genesis.as_slice()].concat());
    let mut yamux = yamux::Config::default();
    yamux.set_max_num_streams(STREAMS);
    let mut quic = quic::Config::new(keypair);
    quic.handshake_timeout = handshake_timeout;
    quic.max_concurrent_stream_limit = STREAMS as u32;

    let sockets = || {
        Outward::new(
            tcp::tokio::Transport::new(tcp::Config::default().nodelay(true)),
            local,
        )
    };
    let mut websocket = websocket::Config::new(resolve(sockets));
    websocket.set_max_data_size(WEBSOCKET_FRAME);
    let websocket = websocket
        .upgrade(Version::V1Lazy)
        .authenticate(noise.clone())
        .multiplex(yamux.clone())
        .timeout(handshake_timeout)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .boxed();
    // One resolver for both: a resolver takes every name, so a second one behind it would never be asked.
    let sockets = resolve(|| {
        let tcp = sockets()
            .upgrade(Version::V1Lazy)
            .authenticate(noise.clone())
            .multiplex(yamux.clone())
            .timeout(handshake_timeout)
            .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
        let quic = Outward::new(quic::tokio::Transport::new(quic.clone()), local)
            .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
        tcp.or_transport(quic)
            .map(|either, _| either.into_inner())
            .boxed()
    })
    .boxed();
    let (circuits, client) = relay::client::new(keypair.public().to_peer_id());
    let circuits = circuits
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux)
        .timeout(handshake_timeout)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .boxed();
    // Circuits come first: their addresses begin like those of the relay. WebSocket comes before TCP for the same
    // reason.
    let all = circuits
        .or_transport(websocket)
        .map(|either, _| either.into_inner())
        .or_transport(sockets)
        .map(|either, _| {
            let (peer, inner) = either.into_inner();
            (peer, StreamMuxerBox::new(Closing { inner, until: None }))
        })
        .boxed();
    Ok((all, client))
}

/// Bounds the time that an orderly close may take. With a peer that takes nothing more it would not end before TCP gives up, and
/// the connection would count among the open ones until then.
struct Closing {
    inner: StreamMuxerBox,
    until: Option<Pin<Box<Sleep>>>,
}

impl StreamMuxer for Closing {
    type Substream = <StreamMuxerBox as StreamMuxer>::Substream;
    type Error = <StreamMuxerBox as StreamMuxer>::Error;

    fn poll_inbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        Pin::new(&mut self.inner).poll_inbound(cx)
    }

    fn poll_outbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        Pin::new(&mut self.inner).poll_outbound(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if let Poll::Ready(closed) = Pin::new(&mut self.inner).poll_close(cx) {
            return Poll::Ready(closed);
        }
        let until = self
            .until
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(CLOSE)));
        until.as_mut().poll(cx).map(Ok)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, Self::Error>> {
        Pin::new(&mut self.inner).poll(cx)
    }
}

/// Resolves names as the system does. A machine without a resolver can still use addresses without names.
fn resolve<T>(make: impl Fn() -> T) -> dns::tokio::Transport<T> {
    dns::tokio::Transport::system(make()).unwrap_or_else(|error| {
        tracing::warn!(%error, "no resolver: addresses with host names can not be used");
        dns::tokio::Transport::custom(
            make(),
            dns::ResolverConfig::default(),
            dns::ResolverOpts::default(),
        )
    })
}

/// Refuses a TCP port that another process has. The transport itself would not notice: it lets several sockets share
/// a port so that it can dial from it.
pub(crate) fn check_free(address: &Multiaddr) -> Result<(), MeshError> {
    let port = address.iter().find_map(|part| match part {
        Protocol::Tcp(port) => Some(port),
        _ => None,
    });
    let (Some(ip), Some(port)) = (address::ip(address), port) else {
        return Ok(());
    };
    if port == 0 {
        return Ok(());
    }
    std::net::TcpListener::bind((ip, port))
        .map(drop)
        .map_err(|error| MeshError::Transport(format!("{address}: {error}")))
}

/// Refuses to dial addresses inside the operator's network. It sits below the resolver, so that a name that leads
/// inside is refused as well.
struct Outward<T> {
    inner: T,
    local: bool,
}

impl<T> Outward<T> {
    fn new(inner: T, local: bool) -> Self {
        Self { inner, local }
    }
}

impl<T: Transport + Unpin> Transport for Outward<T> {
    type Output = T::Output;
    type Error = T::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = T::Dial;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<Self::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        opts: DialOpts,
    ) -> Result<Self::Dial, TransportError<Self::Error>> {
        match address::ip(&address) {
            Some(ip) if address::may_dial(ip, self.local) => self.inner.dial(address, opts),
            _ => {
                tracing::debug!(%address, "not dialled: the address leads inside or nowhere");
                Err(TransportError::MultiaddrNotSupported(address))
            }
        }
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        Pin::new(&mut self.inner).poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_machine_without_resolver_can_be_used() {
        let inner = tcp::tokio::Transport::new(tcp::Config::default());
        drop(dns::tokio::Transport::custom(
            inner,
            dns::ResolverConfig::default(),
            dns::ResolverOpts::default(),
        ));
    }

    #[tokio::test]
    async fn taken_ports_are_noticed() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let address = |text: String| text.parse::<Multiaddr>().unwrap();
        assert!(check_free(&address(format!("/ip4/127.0.0.1/tcp/{port}"))).is_err());
        assert!(check_free(&address(format!("/ip4/127.0.0.1/tcp/{port}/ws"))).is_err());
        drop(taken);
        assert!(check_free(&address(format!("/ip4/127.0.0.1/tcp/{port}"))).is_ok());
        assert!(check_free(&address("/ip4/127.0.0.1/tcp/0".into())).is_ok());
    }

    #[tokio::test]
    async fn addresses_inside_are_not_dialled_whatever_name_leads_there() {
        let mut outward = Outward::new(tcp::tokio::Transport::new(tcp::Config::default()), false);
        let opts = DialOpts {
            role: libp2p::core::Endpoint::Dialer,
            port_use: libp2p::core::transport::PortUse::New,
        };
        for inside in ["/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.1/tcp/1", "/ip6/::1/tcp/1"] {
            assert!(matches!(
                outward.dial(inside.parse().unwrap(), opts),
                Err(TransportError::MultiaddrNotSupported(_))
            ));
        }
    }
}
