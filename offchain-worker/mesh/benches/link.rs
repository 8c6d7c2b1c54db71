//! What a link costs, against raw TCP and against libp2p's own request-response.
//!
//! `cargo bench -p llmesh-mesh --bench link -- [--rounds N]`
//!
//! Each setup has a client and a server on threads of their own, over loopback, with one-threaded tokio runtimes. All setups
//! take turns within one run, so what else the machine does hits them alike, and ratios are of medians of that run.
//!
//! - `tcp`: a socket each, `TCP_NODELAY`, length-prefixed messages; the server reads a message whole and writes it back.
//! - `link/tcp`: a link over such a socket.
//! - `link/libp2p`: a link over one substream of a libp2p connection (TCP, Noise, yamux).
//! - `request-response`: libp2p's behaviour of that name on the same kind of connection, driven straight from the swarm's loop, with
//!   a codec that only prefixes the length. Every request opens and negotiates a substream.

use bytes::Bytes;
use futures::{
    AsyncReadExt, AsyncWriteExt, FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered,
};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, noise,
    request_response::{self, ProtocolSupport},
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use llmesh_mesh::link::{self, Call, Incoming, Link, LinkConfig, Reject, Role};
use std::{
    env, io,
    pin::Pin,
    process::ExitCode,
    sync::{Arc, mpsc},
    task::{Context, Poll},
    thread,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};

const PROTOCOL: StreamProtocol = StreamProtocol::new("/llmesh/bench/1");
const TIMEOUT: Duration = Duration::from_secs(60);
const LARGE: usize = 4 << 20;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn runtime() -> Result<Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}

/// Runs a server on a thread of its own until the process ends. `start` says where it listens before it serves.
fn server<A, F>(start: impl FnOnce(mpsc::Sender<A>) -> F + Send + 'static) -> Result<A, Failure>
where
    A: Send + 'static,
    F: Future<Output = Result<(), Failure>>,
{
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let result = runtime().and_then(|runtime| runtime.block_on(start(sender)));
        if let Err(error) = result {
            eprintln!("server: {error}");
        }
    });
    Ok(receiver.recv_timeout(Duration::from_secs(10))?)
}

/// A tokio socket as a `futures` stream, with vectored writes, as libp2p's own TCP transport has them.
struct Socket(TcpStream);

impl futures::AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = tokio::io::ReadBuf::new(buf);
        tokio::io::AsyncRead::poll_read(Pin::new(&mut self.0), cx, &mut buf).map_ok(|()| buf.filled().len())
    }
}

impl futures::AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        tokio::io::AsyncWrite::poll_write(Pin::new(&mut self.0), cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        tokio::io::AsyncWrite::poll_write_vectored(Pin::new(&mut self.0), cx, bufs)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        tokio::io::AsyncWrite::poll_flush(Pin::new(&mut self.0), cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        tokio::io::AsyncWrite::poll_shutdown(Pin::new(&mut self.0), cx)
    }
}

// ---- raw TCP ------------------------------------------------------------------------------------------------------------------

struct Tcp {
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Tcp {
    async fn new() -> Result<Self, Failure> {
        let address = server(|address| async move {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            address.send(listener.local_addr()?)?;
            let (mut socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            let mut buffer = vec![0; LARGE + 4];
            loop {
                socket.read_exact(&mut buffer[..4]).await?;
                let len = u32::from_le_bytes([buffer[0], buffer[1], buffer[2], buffer[3]]) as usize;
                socket.read_exact(&mut buffer[4..4 + len]).await?;
                socket.write_all(&buffer[..4 + len]).await?;
            }
        })?;
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        Ok(Self {
            socket,
            buffer: vec![0; LARGE + 4],
        })
    }

    async fn echo(&mut self, body: &Bytes) -> Result<(), Failure> {
        let all = 4 + body.len();
        self.buffer[..4].copy_from_slice(&(body.len() as u32).to_le_bytes());
        self.buffer[4..all].copy_from_slice(body);
        self.socket.write_all(&self.buffer[..all]).await?;
        self.socket.read_exact(&mut self.buffer[..all]).await?;
        Ok(())
    }

    /// All messages in one write, then all answers.
    async fn pipelined(&mut self, count: usize, body: &Bytes) -> Result<(), Failure> {
        let one = [&(body.len() as u32).to_le_bytes()[..], body].concat();
        let (mut reader, mut writer) = self.socket.split();
        let all = one.repeat(count);
        let write = async { writer.write_all(&all).await };
        let read = async { reader.read_exact(&mut self.buffer[..all.len()]).await };
        tokio::try_join!(write, read)?;
        Ok(())
    }
}

// ---- links --------------------------------------------------------------------------------------------------------------------

fn echo(request: Incoming) -> BoxFuture<'static, Result<Bytes, Reject>> {
    async move { Ok(request.body) }.boxed()
}

fn config() -> LinkConfig {
    LinkConfig {
        max_incoming: 1024,
        ..LinkConfig::default()
    }
}

async fn link_over_tcp() -> Result<Link, Failure> {
    let address = server(|address| async move {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        address.send(listener.local_addr()?)?;
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let (_link, run) = link::open(Socket(socket), Role::Listener, config(), Arc::new(echo));
        run.await;
        Ok(())
    })?;
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let (link, run) = link::open(Socket(socket), Role::Dialer, config(), Arc::new(echo));
    tokio::spawn(run);
    Ok(link)
}

fn swarm<B: NetworkBehaviour>(behaviour: B) -> Result<Swarm<B>, Failure> {
    let transport = tcp::Config::default().nodelay(true);
    let builder = SwarmBuilder::with_new_identity().with_tokio();
    let builder = builder.with_tcp(transport, noise::Config::new, yamux::Config::default)?;
    let builder = builder
        .with_behaviour(|_| behaviour)
        .map_err(|error| error.to_string())?;
    let idle = |config: libp2p::swarm::Config| config.with_idle_connection_timeout(Duration::from_secs(3600));
    Ok(builder.with_swarm_config(idle).build())
}

async fn listen<B: NetworkBehaviour>(swarm: &mut Swarm<B>) -> Result<(PeerId, Multiaddr), Failure> {
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            return Ok((*swarm.local_peer_id(), address));
        }
    }
}

async fn dial<B: NetworkBehaviour>(swarm: &mut Swarm<B>, address: Multiaddr) -> Result<(), Failure> {
    swarm.dial(address)?;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { .. } => return Ok(()),
            SwarmEvent::OutgoingConnectionError { error, .. } => return Err(error.into()),
            _ => {}
        }
    }
}

async fn link_over_libp2p() -> Result<Link, Failure> {
    let (peer, address) = server(|address| async move {
        let behaviour = libp2p_stream::Behaviour::new();
        let mut incoming = behaviour.new_control().accept(PROTOCOL)?;
        let mut swarm = swarm(behaviour)?;
        address.send(listen(&mut swarm).await?)?;
        tokio::spawn(async move {
            while let Some((_, stream)) = incoming.next().await {
                let (_link, run) = link::open(stream, Role::Listener, config(), Arc::new(echo));
                tokio::spawn(run);
            }
        });
        loop {
            swarm.select_next_some().await;
        }
    })?;
    let behaviour = libp2p_stream::Behaviour::new();
    let mut control = behaviour.new_control();
    let mut swarm = swarm(behaviour)?;
    dial(&mut swarm, address).await?;
    tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
    let stream = control.open_stream(peer, PROTOCOL).await?;
    let (link, run) = link::open(stream, Role::Dialer, config(), Arc::new(echo));
    tokio::spawn(run);
    Ok(link)
}

async fn call(link: &Link, body: &Bytes) -> Result<(), Failure> {
    let answer = link.call(Call::new(body.clone(), TIMEOUT)).await?;
    if answer.len() == body.len() {
        Ok(())
    } else {
        Err("wrong answer".into())
    }
}

async fn calls(link: &Link, count: usize, body: &Bytes) -> Result<(), Failure> {
    let mut all: FuturesUnordered<_> = (0..count).map(|_| call(link, body)).collect();
    while let Some(result) = all.next().await {
        result?;
    }
    Ok(())
}

// ---- libp2p's request-response ------------------------------------------------------------------------------------------------

#[derive(Clone, Default)]
struct Lengths;

async fn read<T: futures::AsyncRead + Unpin + Send>(io: &mut T) -> io::Result<Vec<u8>> {
    let mut len = [0; 4];
    io.read_exact(&mut len).await?;
    let mut body = vec![0; u32::from_le_bytes(len) as usize];
    io.read_exact(&mut body).await?;
    Ok(body)
}

async fn write<T: futures::AsyncWrite + Unpin + Send>(io: &mut T, body: &[u8]) -> io::Result<()> {
    // One write for what is small, as a careful codec would do.
    if body.len() <= 16 * 1024 {
        io.write_all(&[&(body.len() as u32).to_le_bytes()[..], body].concat())
            .await
    } else {
        io.write_all(&(body.len() as u32).to_le_bytes()).await?;
        io.write_all(body).await
    }
}

impl request_response::Codec for Lengths {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: futures::AsyncRead + Unpin + Send,
    {
        read(io).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: futures::AsyncRead + Unpin + Send,
    {
        read(io).await
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, body: Vec<u8>) -> io::Result<()>
    where
        T: futures::AsyncWrite + Unpin + Send,
    {
        write(io, &body).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, body: Vec<u8>) -> io::Result<()>
    where
        T: futures::AsyncWrite + Unpin + Send,
    {
        write(io, &body).await
    }
}

type Stock = request_response::Behaviour<Lengths>;

fn stock() -> Stock {
    let config = request_response::Config::default()
        .with_request_timeout(TIMEOUT)
        .with_max_concurrent_streams(2000);
    request_response::Behaviour::with_codec(Lengths, [(PROTOCOL, ProtocolSupport::Full)], config)
}

struct RequestResponse {
    swarm: Swarm<Stock>,
    peer: PeerId,
}

impl RequestResponse {
    async fn new() -> Result<Self, Failure> {
        let (peer, address) = server(|address| async move {
            let mut swarm = swarm(stock())?;
            address.send(listen(&mut swarm).await?)?;
            loop {
                if let SwarmEvent::Behaviour(request_response::Event::Message { message, .. }) =
                    swarm.select_next_some().await
                    && let request_response::Message::Request { request, channel, .. } = message
                {
                    // Fails only when the client is gone.
                    let _ = swarm.behaviour_mut().send_response(channel, request);
                }
            }
        })?;
        let mut swarm = swarm(stock())?;
        dial(&mut swarm, address).await?;
        Ok(Self { swarm, peer })
    }

    async fn calls(&mut self, count: usize, body: &Bytes) -> Result<(), Failure> {
        for _ in 0..count {
            self.swarm.behaviour_mut().send_request(&self.peer, body.to_vec());
        }
        let mut left = count;
        while left > 0 {
            match self.swarm.select_next_some().await {
                SwarmEvent::Behaviour(request_response::Event::Message { message, .. }) => {
                    if matches!(message, request_response::Message::Response { .. }) {
                        left -= 1;
                    }
                }
                SwarmEvent::Behaviour(request_response::Event::OutboundFailure { error, .. }) => {
                    return Err(error.into());
                }
                _ => {}
            }
        }
        Ok(())
    }
}

// ---- the run ------------------------------------------------------------------------------------------------------------------

const SETUPS: [&str; 4] = ["tcp", "link/tcp", "link/libp2p", "request-response"];

struct World {
    tcp: Tcp,
    link_tcp: Link,
    link_libp2p: Link,
    stock: RequestResponse,
}

impl World {
    /// Sends `count` requests at once over one setup and waits for all answers.
    async fn go(&mut self, setup: usize, count: usize, body: &Bytes) -> Result<Duration, Failure> {
        let began = Instant::now();
        match (setup, count) {
            (0, 1) => self.tcp.echo(body).await?,
            (0, _) => self.tcp.pipelined(count, body).await?,
            (1, 1) => call(&self.link_tcp, body).await?,
            (1, _) => calls(&self.link_tcp, count, body).await?,
            (2, 1) => call(&self.link_libp2p, body).await?,
            (2, _) => calls(&self.link_libp2p, count, body).await?,
            _ => self.stock.calls(count, body).await?,
        }
        Ok(began.elapsed())
    }
}

fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let at = (share * (sorted.len() - 1) as f64).round() as usize;
    sorted[at]
}

/// One line of the table: requests of `len` bytes, `count` at once, each setup `repeat` times in a row, `rounds` times in turns.
async fn measure(
    world: &mut World,
    what: &str,
    len: usize,
    count: usize,
    repeat: usize,
    rounds: usize,
) -> Result<[Duration; 4], Failure> {
    let mut body = vec![0; len];
    rand::RngCore::fill_bytes(&mut rand::rng(), &mut body);
    let body = Bytes::from(body);
    let mut times: [Vec<Duration>; 4] = Default::default();
    for round in 0..=rounds {
        for turn in 0..SETUPS.len() {
            let setup = (round + turn) % SETUPS.len();
            for _ in 0..repeat {
                let time = world.go(setup, count, &body).await?;
                // The first round warms up.
                if round > 0 {
                    times[setup].push(time);
                }
            }
        }
    }
    let mut medians = [Duration::ZERO; 4];
    for (setup, times) in times.iter_mut().enumerate() {
        times.sort_unstable();
        medians[setup] = quantile(times, 0.5);
    }
    for (setup, name) in SETUPS.iter().enumerate() {
        let p95 = quantile(&times[setup], 0.95);
        let ratio = |to: usize| medians[setup].as_secs_f64() / medians[to].as_secs_f64();
        // There and back.
        let rate = 2.0 * (len * count) as f64 / medians[setup].as_secs_f64() / 1e6;
        println!(
            "{what:<22} {name:<17} {:>10.1} {:>10.1} {:>9.2} {:>9.2} {:>9.1}",
            medians[setup].as_secs_f64() * 1e6,
            p95.as_secs_f64() * 1e6,
            ratio(0),
            ratio(3),
            rate,
        );
    }
    Ok(medians)
}

async fn run(rounds: usize) -> Result<(), Failure> {
    let mut world = World {
        tcp: Tcp::new().await?,
        link_tcp: link_over_tcp().await?,
        link_libp2p: link_over_libp2p().await?,
        stock: RequestResponse::new().await?,
    };
    println!(
        "{:<22} {:<17} {:>10} {:>10} {:>9} {:>9} {:>9}",
        "what", "setup", "p50 us", "p95 us", "/tcp", "/req-resp", "MB/s"
    );
    let small = measure(&mut world, "64 B echo", 64, 1, 100, rounds).await?;
    let middle = measure(&mut world, "4 KiB echo", 4096, 1, 100, rounds).await?;
    let large = measure(&mut world, "4 MiB echo", LARGE, 1, 2, rounds).await?;
    let before = world.link_libp2p.stats();
    measure(&mut world, "1000 x 64 B at once", 64, 1000, 1, rounds).await?;
    let after = world.link_libp2p.stats();
    println!(
        "frames a write with 1000 at once: {:.1}",
        (after.frames_out - before.frames_out) as f64 / (after.writes - before.writes) as f64
    );
    println!("link over libp2p, at the end: {after:#?}");

    let ratio =
        |times: &[Duration; 4], of: usize, to: usize| times[of].as_secs_f64() / times[to].as_secs_f64();
    for (what, value, bound) in [
        (
            "64 B: link/libp2p to request-response, p50",
            ratio(&small, 2, 3),
            0.35,
        ),
        (
            "4 KiB: link/libp2p to request-response, p50",
            ratio(&middle, 2, 3),
            0.35,
        ),
        ("64 B: link/libp2p to tcp, p50", ratio(&small, 2, 0), 3.0),
        ("4 KiB: link/libp2p to tcp, p50", ratio(&middle, 2, 0), 3.0),
        ("4 MiB: link/tcp to tcp, p50 time", ratio(&large, 1, 0), 2.0),
        ("4 MiB: link/libp2p to tcp, p50 time", ratio(&large, 2, 0), 2.0),
    ] {
        let verdict = if value <= bound { "met" } else { "missed" };
        println!("{what}: {value:.2}, target {bound:.2}: {verdict}");
    }
    Ok(())
}

fn main() -> ExitCode {
    let mut rounds = 40;
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rounds" => match arguments
                .next()
                .and_then(|value| value.parse().ok())
                .filter(|value| *value > 0)
            {
                Some(value) => rounds = value,
                None => {
                    eprintln!("--rounds needs a number above 0");
                    return ExitCode::from(2);
                }
            },
            // What cargo itself passes on.
            "--bench" => {}
            _ => {
                eprintln!("unknown option {argument}");
                return ExitCode::from(2);
            }
        }
    }
    match runtime().and_then(|runtime| runtime.block_on(run(rounds))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
