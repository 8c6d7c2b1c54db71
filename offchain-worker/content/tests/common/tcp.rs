//! Content messages over plain TCP: the simplest framing that allows several requests at a time.
//!
//! Request: number (u32), length (u8), bytes. Answer: number (u32), length (u32), bytes. Little endian.

use async_trait::async_trait;
use bytes::Bytes;
use llmesh_content::{Buffers, ContentId, ContentOffence, ContentRequest, PeerError, Peers, Server, reply};
use std::{
    collections::HashMap,
    io::{self, IoSlice, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::tcp::{OwnedReadHalf, OwnedWriteHalf},
    sync::oneshot,
};

/// Serves on a port of its own for as long as the process lives. `before` is called with each request before it is
/// answered, `after` when the answer has been written.
pub fn serve(
    server: Server,
    before: impl Fn(&[u8]) + Send + Sync + 'static,
    after: impl Fn(&[u8]) + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (before, after) = (Arc::new(before), Arc::new(after));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (server, before, after) = (server.clone(), before.clone(), after.clone());
            // Ends with an error when the other side is gone.
            std::thread::spawn(move || connection(stream, &server, &*before, &*after));
        }
    });
    address
}

fn connection(
    stream: TcpStream,
    server: &Server,
    before: &dyn Fn(&[u8]),
    after: &dyn Fn(&[u8]),
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = io::BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    loop {
        let mut head = [0; 5];
        reader.read_exact(&mut head)?;
        let mut request = vec![0; usize::from(head[4])];
        reader.read_exact(&mut request)?;
        before(&request);
        let (kind, payload) = reply::parts(server.answer(&request));
        let mut front = [0; 9];
        front[..4].copy_from_slice(&head[..4]);
        front[4..8].copy_from_slice(&(payload.len() as u32 + 1).to_le_bytes());
        front[8] = kind[0];
        let written = writer.write_vectored(&[IoSlice::new(&front), IoSlice::new(&payload)])?;
        if written < front.len() {
            writer.write_all(&front[written..])?;
            writer.write_all(&payload)?;
        } else {
            writer.write_all(&payload[written - front.len()..])?;
        }
        after(&request);
    }
}

type Pending = Arc<Mutex<HashMap<u32, oneshot::Sender<Bytes>>>>;

struct Connection {
    writer: tokio::sync::Mutex<(u32, OwnedWriteHalf)>,
    pending: Pending,
}

/// Connections to such servers.
pub struct TcpPeers {
    connections: Vec<Connection>,
    pub reports: Mutex<Vec<(usize, ContentOffence)>>,
    /// Called when an answer with a chunk has arrived.
    pub arrived: Box<dyn Fn(usize, u32) + Send + Sync>,
}

impl TcpPeers {
    pub async fn connect(addresses: &[SocketAddr]) -> io::Result<Self> {
        let buffers = Buffers::default();
        let mut connections = Vec::new();
        for address in addresses {
            let stream = tokio::net::TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (reader, writer) = stream.into_split();
            let pending = Pending::default();
            tokio::spawn(read(reader, pending.clone(), buffers.clone()));
            connections.push(Connection {
                writer: tokio::sync::Mutex::new((0, writer)),
                pending,
            });
        }
        Ok(Self {
            connections,
            reports: Mutex::default(),
            arrived: Box::new(|_, _| {}),
        })
    }
}

/// Hands answers to those who wait for them; when the connection ends, so does their waiting.
async fn read(mut reader: OwnedReadHalf, pending: Pending, buffers: Buffers) {
    let result: io::Result<()> = async {
        loop {
            let number = reader.read_u32_le().await?;
            let len = reader.read_u32_le().await? as usize;
            if len > reply::MAX_BYTES {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let mut buffer = buffers.take(len);
            reader.read_exact(&mut buffer).await?;
            let waiting = pending.lock().unwrap().remove(&number);
            if let Some(waiting) = waiting {
                // Nobody waits for an answer that was cancelled.
                let _ = waiting.send(buffer.freeze());
            }
        }
    }
    .await;
    drop(result);
    pending.lock().unwrap().clear();
}

#[async_trait]
impl Peers for TcpPeers {
    type Peer = usize;

    async fn providers(&self, _: ContentId) -> Vec<usize> {
        (0..self.connections.len()).collect()
    }

    async fn request(&self, peer: &usize, request: ContentRequest) -> Result<Bytes, PeerError> {
        let connection = self.connections.get(*peer).ok_or(PeerError::Unreachable)?;
        let bytes = request.to_bytes();
        let (sender, receiver) = oneshot::channel();
        {
            let mut writer = connection.writer.lock().await;
            writer.0 += 1;
            let number = writer.0;
            connection.pending.lock().unwrap().insert(number, sender);
            let mut frame = number.to_le_bytes().to_vec();
            frame.push(bytes.len() as u8);
            frame.extend(&bytes);
            writer
                .1
                .write_all(&frame)
                .await
                .map_err(|_| PeerError::Unreachable)?;
        }
        let answer = receiver.await.map_err(|_| PeerError::Unreachable)?;
        let payload = reply::from_bytes(answer)?;
        if let ContentRequest::Chunk { index, .. } = request {
            (self.arrived)(*peer, index);
        }
        Ok(payload)
    }

    fn report(&self, peer: &usize, offence: ContentOffence) {
        self.reports.lock().unwrap().push((*peer, offence));
    }
}
