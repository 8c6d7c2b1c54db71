//! What a link costs, against raw TCP and against libp2p's own request-response.
//!
//! `cargo bench -p llmesh-mesh --bench link -- [--rounds N]`
//!
//! The clients are on one thread and the servers on another one, each with a one-threaded tokio runtime, over loopback. All setups
//! take short turns within one run, so what else the machine does hits them alike, and ratios are of medians of that run.
//!
//! - `tcp`: a socket each, `TCP_NODELAY`, length-prefixed messages; the server reads a message whole and writes it back.
//! - `link/tcp`: a link over such a socket.
//! - `link/libp2p`: a link over one substream of a libp2p connection (TCP, Noise, yamux).
//! - `substream`: one libp2p substream of the same kind without a link, used like the socket of `tcp`: what Noise and yamux cost.
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
    sync::Arc,
    task::{Context, Poll},
    thread,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::{Handle, Runtime},
    sync::oneshot,
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

/// The thread of the servers. All are on one, so that where the system puts it is the same for all setups at any time.
struct Host(Handle);

impl Host {
    fn new() -> Result<Self, Failure> {
        let runtime = runtime()?;
        let handle = runtime.handle().clone();
        thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
        Ok(Self(handle))
    }

    /// Runs a server until the process ends. `start` says where it listens before it serves.
    async fn serve<A, F>(&self, start: impl FnOnce(oneshot::Sender<A>) -> F) -> Result<A, Failure>
    where
        F: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let server = start(sender);
        self.0.spawn(async move {
            if let Err(error) = server.await {
                eprintln!("server: {error}");
            }
        });
        Ok(receiver.await?)
    }
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
    async fn new(host: &Host) -> Result<Self, Failure> {
        let address = host
            .serve(|address| async move {
                let listener = TcpListener::bind("127.0.0.1:0").await?;
                address.send(listener.local_addr()?).map_err(|_| "gone")?;
                let (mut socket, _) = listener.accept().await?;
                socket.set_nodelay(true)?;
                let mut buffer = vec![0; LARGE + 4];
                // Until the client goes.
                while socket.read_exact(&mut buffer[..4]).await.is_ok() {
                    let len = u32::from_le_bytes([buffer[0], buffer[1], buffer[2], buffer[3]]) as usize;
                    socket.read_exact(&mut buffer[4..4 + len]).await?;
                    socket.write_all(&buffer[..4 + len]).await?;
                }
                Ok(())
            })
            .await?;
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

async fn link_over_tcp(host: &Host) -> Result<Link, Failure> {
    let address = host
        .serve(|address| async move {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            address.send(listener.local_addr()?).map_err(|_| "gone")?;
            let (socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            let (_link, run) = link::open(Socket(socket), Role::Listener, config(), Arc::new(echo));
            run.await;
            Ok(())
        })
        .await?;
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

async fn link_over_libp2p(host: &Host) -> Result<Link, Failure> {
    let (peer, address) = host
        .serve(|address| async move {
            let behaviour = libp2p_stream::Behaviour::new();
            let mut incoming = behaviour.new_control().accept(PROTOCOL)?;
            let mut swarm = swarm(behaviour)?;
            address.send(listen(&mut swarm).await?).map_err(|_| "gone")?;
            tokio::spawn(async move {
                while let Some((_, stream)) = incoming.next().await {
                    let (_link, run) = link::open(stream, Role::Listener, config(), Arc::new(echo));
                    tokio::spawn(run);
                }
            });
            loop {
                swarm.select_next_some().await;
            }
        })
        .await?;
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

/// A substream, used like a socket.
struct Substream {
    stream: libp2p::Stream,
    buffer: Vec<u8>,
}

impl Substream {
    async fn new(host: &Host) -> Result<Self, Failure> {
        let (peer, address) = host
            .serve(|address| async move {
                let behaviour = libp2p_stream::Behaviour::new();
                let mut incoming = behaviour.new_control().accept(PROTOCOL)?;
                let mut swarm = swarm(behaviour)?;
                address.send(listen(&mut swarm).await?).map_err(|_| "gone")?;
                tokio::spawn(async move {
                    let Some((_, mut stream)) = incoming.next().await else {
                        return;
                    };
                    let mut buffer = vec![0; LARGE + 4];
                    while stream.read_exact(&mut buffer[..4]).await.is_ok() {
                        let len = u32::from_le_bytes([buffer[0], buffer[1], buffer[2], buffer[3]]) as usize;
                        let read = stream.read_exact(&mut buffer[4..4 + len]).await;
                        if read.is_err() || stream.write_all(&buffer[..4 + len]).await.is_err() {
                            return;
                        }
                        if stream.flush().await.is_err() {
                            return;
                        }
                    }
                });
                loop {
                    swarm.select_next_some().await;
                }
            })
            .await?;
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
        Ok(Self {
            stream,
            buffer: vec![0; LARGE + 4],
        })
    }

    async fn echo(&mut self, body: &Bytes) -> Result<(), Failure> {
        let all = 4 + body.len();
        self.buffer[..4].copy_from_slice(&(body.len() as u32).to_le_bytes());
        self.buffer[4..all].copy_from_slice(body);
        self.stream.write_all(&self.buffer[..all]).await?;
        self.stream.flush().await?;
        self.stream.read_exact(&mut self.buffer[..all]).await?;
        Ok(())
    }

    /// All messages in one write, then all answers.
    async fn pipelined(&mut self, count: usize, body: &Bytes) -> Result<(), Failure> {
        let one = [&(body.len() as u32).to_le_bytes()[..], body].concat();
        let all = one.repeat(count);
        self.stream.write_all(&all).await?;
        self.stream.flush().await?;
        self.stream.read_exact(&mut self.buffer[..all.len()]).await?;
        Ok(())
    }
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
    let config = request_response::Config::default().with_request_timeout(TIMEOUT);
    request_response::Behaviour::with_codec(Lengths, [(PROTOCOL, ProtocolSupport::Full)], config)
}

struct RequestResponse {
    swarm: Swarm<Stock>,
    peer: PeerId,
}

impl RequestResponse {
    async fn new(host: &Host) -> Result<Self, Failure> {
        let (peer, address) = host
            .serve(|address| async move {
                let mut swarm = swarm(stock())?;
                address.send(listen(&mut swarm).await?).map_err(|_| "gone")?;
                loop {
                    if let SwarmEvent::Behaviour(request_response::Event::Message { message, .. }) =
                        swarm.select_next_some().await
                        && let request_response::Message::Request { request, channel, .. } = message
                    {
                        // Fails only when the client is gone.
                        let _ = swarm.behaviour_mut().send_response(channel, request);
                    }
                }
            })
            .await?;
        let mut swarm = swarm(stock())?;
        dial(&mut swarm, address).await?;
        Ok(Self { swarm, peer })
    }

    async fn calls(&mut self, count: usize, body: &Bytes) -> Result<(), Failure> {
        // More at once than its default of concurrent streams break yamux' and the negotiation's own bounds.
        let (mut begun, mut done) = (0, 0);
        while done < count {
            while begun < count && begun - done < 100 {
                self.swarm.behaviour_mut().send_request(&self.peer, body.to_vec());
                begun += 1;
            }
            match self.swarm.select_next_some().await {
                SwarmEvent::Behaviour(request_response::Event::Message { message, .. }) => {
                    if matches!(message, request_response::Message::Response { .. }) {
                        done += 1;
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

const SETUPS: [&str; 5] = ["tcp", "link/tcp", "substream", "link/libp2p", "request-response"];
const TCP: usize = 0;
const LINK_TCP: usize = 1;
const SUBSTREAM: usize = 2;
const LINK: usize = 3;
const STOCK: usize = 4;

struct World {
    tcp: Tcp,
    link_tcp: Link,
    substream: Substream,
    link_libp2p: Link,
    stock: RequestResponse,
}

impl World {
    /// Sends `count` requests at once over one setup and waits for all answers.
    async fn go(&mut self, setup: usize, count: usize, body: &Bytes) -> Result<Duration, Failure> {
        let began = Instant::now();
        match (setup, count) {
            (TCP, 1) => self.tcp.echo(body).await?,
            (TCP, _) => self.tcp.pipelined(count, body).await?,
            (LINK_TCP, 1) => call(&self.link_tcp, body).await?,
            (LINK_TCP, _) => calls(&self.link_tcp, count, body).await?,
            (SUBSTREAM, 1) => self.substream.echo(body).await?,
            (SUBSTREAM, _) => self.substream.pipelined(count, body).await?,
            (LINK, 1) => call(&self.link_libp2p, body).await?,
            (LINK, _) => calls(&self.link_libp2p, count, body).await?,
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
) -> Result<[Duration; 5], Failure> {
    let mut body = vec![0; len];
    rand::RngCore::fill_bytes(&mut rand::rng(), &mut body);
    let body = Bytes::from(body);
    let mut times: [Vec<Duration>; 5] = Default::default();
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
    let mut medians = [Duration::ZERO; 5];
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
            ratio(TCP),
            ratio(STOCK),
            rate,
        );
    }
    Ok(medians)
}

async fn run(rounds: usize) -> Result<(), Failure> {
    let host = Host::new()?;
    let mut world = World {
        tcp: Tcp::new(&host).await?,
        link_tcp: link_over_tcp(&host).await?,
        substream: Substream::new(&host).await?,
        link_libp2p: link_over_libp2p(&host).await?,
        stock: RequestResponse::new(&host).await?,
    };
    println!(
        "{:<22} {:<17} {:>10} {:>10} {:>9} {:>9} {:>9}",
        "what", "setup", "p50 us", "p95 us", "/tcp", "/req-resp", "MB/s"
    );
    let small = measure(&mut world, "64 B echo", 64, 1, 20, 10 * rounds).await?;
    let middle = measure(&mut world, "4 KiB echo", 4096, 1, 20, 10 * rounds).await?;
    let large = measure(&mut world, "4 MiB echo", LARGE, 1, 2, rounds).await?;
    let before = world.link_libp2p.stats();
    measure(&mut world, "1000 x 64 B at once", 64, 1000, 1, rounds).await?;
    let after = world.link_libp2p.stats();
    println!(
        "frames a write with 1000 at once: {:.1}",
        (after.frames_out - before.frames_out) as f64 / (after.writes - before.writes) as f64
    );
    println!("link over libp2p, at the end: {after:?}");

    let ratio =
        |times: &[Duration; 5], of: usize, to: usize| times[of].as_secs_f64() / times[to].as_secs_f64();
    for (what, value, bound) in [
        (
            "64 B: link/libp2p to request-response, p50",
            ratio(&small, LINK, STOCK),
            0.35,
        ),
        (
            "4 KiB: link/libp2p to request-response, p50",
            ratio(&middle, LINK, STOCK),
            0.35,
        ),
        ("64 B: link/libp2p to tcp, p50", ratio(&small, LINK, TCP), 3.0),
        ("4 KiB: link/libp2p to tcp, p50", ratio(&middle, LINK, TCP), 3.0),
        (
            "4 MiB: link/tcp to tcp, p50 time",
            ratio(&large, LINK_TCP, TCP),
            2.0,
        ),
        (
            "4 MiB: link/libp2p to tcp, p50 time",
            ratio(&large, LINK, TCP),
            2.0,
        ),
        (
            "4 MiB: link/libp2p to substream, p50 time",
            ratio(&large, LINK, SUBSTREAM),
            1.25,
        ),
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
