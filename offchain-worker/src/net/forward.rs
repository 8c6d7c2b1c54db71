//! Requests on their way: to this host, to the next hop of their path, or along a path that this node finds.

use super::{Shared, serve::HostService};
use bytes::Bytes;
use codec::Encode;
use llmesh_mesh::{
    CallError, Kind, PeerId, Request, Service,
    link::{Call, CallError as LinkError, ProgressSender, Reject},
};
use llmesh_protocol::{
    MAX_SEALED_BYTES, PeerIdBytes, Refusal, RouteHeader, Step, VERSION,
    seal::{PLAIN, plain_refusal},
    wire::{MAX_CLASS, decode_header, decode_refusal},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

/// Requests of others that are passed on at the same time.
const MAX_FORWARDED: usize = 1024;
/// What a hop keeps of the deadline for itself, so that its refusal still arrives.
const HOP_MARGIN: Duration = Duration::from_millis(50);
/// Progress messages of one request that wait to be passed on; what does not fit is dropped.
const PROGRESS_QUEUE: usize = 16;

/// One request at this node.
pub(crate) struct Passing {
    pub header: RouteHeader,
    pub sealed: Bytes,
    pub deadline: Instant,
    pub cancelled: CancellationToken,
    /// Where sealed progress messages go, if somebody listens.
    pub progress: Option<mpsc::Sender<Bytes>>,
}

/// Passes requests on, or gives them to the host that this node is.
pub(crate) struct Forwarder {
    shared: Arc<Shared>,
    host: Option<Arc<HostService>>,
    relays: bool,
    passing: AtomicUsize,
}

impl Forwarder {
    pub fn new(shared: Arc<Shared>, host: Option<Arc<HostService>>, relays: bool) -> Self {
        Self {
            shared,
            host,
            relays,
            passing: AtomicUsize::new(0),
        }
    }

    /// Brings a request to its host and the answer back: a sealed message of the host, or a refusal in clear.
    ///
    /// `own` requests come from this machine: they are passed on even by a node that relays for nobody.
    pub async fn pass(&self, passing: Passing, own: bool) -> Bytes {
        match self.try_pass(passing, own).await {
            Ok(answer) => answer,
            Err(refusal) => {
                self.shared.counters.refused(&refusal);
                plain_refusal(&refusal).into()
            }
        }
    }

    async fn try_pass(&self, passing: Passing, own: bool) -> Result<Bytes, Refusal> {
        if passing.sealed.len() > MAX_SEALED_BYTES {
            return Err(Refusal::TooLarge {
                limit: MAX_SEALED_BYTES.try_into().unwrap_or(u32::MAX),
            });
        }
        let me = self.shared.me.to_bytes();
        match passing.header.step(&me)? {
            Step::Here => match &self.host {
                Some(host) => host.serve(passing).await,
                None => Err(Refusal::ModelNotHere),
            },
            Step::Forward { next, header } => {
                let _place = self.place(own)?;
                self.send(next, *header, &passing).await
            }
            Step::Route => {
                let _place = self.place(own)?;
                self.route(&passing).await
            }
        }
    }

    /// Finds the way to the host. When a way fails the next one is tried, so that whoever asked does not notice; the
    /// host knows a request that arrives twice by its id.
    async fn route(&self, passing: &Passing) -> Result<Bytes, Refusal> {
        let host = peer(&passing.header.host)?;
        let mut last = unreachable(&passing.header.host);
        for hops in self.shared.paths_to(host) {
            let hops: Vec<PeerIdBytes> = hops
                .iter()
                .map(|hop| PeerIdBytes::truncate_from(hop.to_bytes()))
                .collect();
            let Ok((next, header)) = passing.header.along(&hops) else {
                continue;
            };
            match self.send(next, header, passing).await {
                Err(refusal @ (Refusal::NextHopUnreachable { .. } | Refusal::NotForwarding)) => {
                    last = refusal
                }
                Ok(answer) => match in_clear(&answer) {
                    // A node further on could not pass it on.
                    Some(
                        refusal @ (Refusal::NextHopUnreachable { .. }
                        | Refusal::NotForwarding
                        | Refusal::ShuttingDown),
                    ) => {
                        if let Refusal::NextHopUnreachable { peer: bytes } = &refusal
                            && let Ok(peer) = peer(bytes)
                        {
                            self.shared.note_failure(peer);
                        }
                        last = refusal;
                    }
                    _ => return Ok(answer),
                },
                Err(refusal) => return Err(refusal),
            }
        }
        Err(last)
    }

    fn place(&self, own: bool) -> Result<Place<'_>, Refusal> {
        if !own && !self.relays {
            return Err(Refusal::NotForwarding);
        }
        let place = Place(&self.passing);
        if self.passing.fetch_add(1, Ordering::Relaxed) >= MAX_FORWARDED {
            return Err(Refusal::Busy { wait_ms: 500 });
        }
        Ok(place)
    }

    async fn send(
        &self,
        next: PeerIdBytes,
        mut header: RouteHeader,
        passing: &Passing,
    ) -> Result<Bytes, Refusal> {
        let to = peer(&next)?;
        let left = passing
            .deadline
            .saturating_duration_since(Instant::now())
            .checked_sub(HOP_MARGIN)
            .ok_or(Refusal::Deadline { needed_ms: 0 })?;
        header.deadline_ms = u32::try_from(left.as_millis()).unwrap_or(u32::MAX);
        let call = Call {
            header: header.encode().into(),
            body: passing.sealed.clone(),
            timeout: left,
            // The link's order is the other way round: larger goes first.
            priority: MAX_CLASS.saturating_sub(header.class),
            progress: passing.progress.clone(),
        };
        let sent = tokio::select! {
            sent = self.shared.mesh.call(to, Kind::Inference, call) => sent,
            () = passing.cancelled.cancelled() => return Err(Refusal::Deadline { needed_ms: 0 }),
        };
        match sent {
            Ok(answer) => {
                self.shared.counters.forwarded.fetch_add(1, Ordering::Relaxed);
                Ok(answer)
            }
            Err(CallError::Link(LinkError::Timeout)) => Err(Refusal::Deadline { needed_ms: 0 }),
            Err(CallError::Link(LinkError::TooLarge)) => Err(Refusal::TooLarge {
                limit: MAX_SEALED_BYTES.try_into().unwrap_or(u32::MAX),
            }),
            Err(CallError::Link(LinkError::Busy)) => Err(Refusal::Busy { wait_ms: 100 }),
            Err(CallError::Stopped) => Err(Refusal::ShuttingDown),
            Err(error) => {
                tracing::debug!(%error, peer = %to, "the next hop can not be reached");
                self.shared.note_failure(to);
                Err(unreachable(&next))
            }
        }
    }
}

#[async_trait::async_trait]
impl Service for Forwarder {
    async fn serve(&self, request: Request) -> Result<Bytes, Reject> {
        let header = match decode_header(&request.header) {
            Ok(header) => header,
            Err(error) => return Ok(plain_refusal(&error.into()).into()),
        };
        let asked = Instant::now() + Duration::from_millis(header.deadline_ms.into());
        let passing = Passing {
            header,
            sealed: request.body,
            deadline: asked.min(request.deadline),
            cancelled: request.cancelled,
            progress: request
                .progress
                .is_wanted()
                .then(|| relay_progress(request.progress)),
        };
        Ok(self.pass(passing, false).await)
    }
}

/// Passes progress messages to a link as they come.
fn relay_progress(to: ProgressSender) -> mpsc::Sender<Bytes> {
    let (sender, mut receiver) = mpsc::channel::<Bytes>(PROGRESS_QUEUE);
    tokio::spawn(async move {
        while let Some(message) = receiver.recv().await {
            if !to.send(message).await {
                break;
            }
        }
    });
    sender
}

struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The refusal, when it is one in clear.
fn in_clear(answer: &[u8]) -> Option<Refusal> {
    match answer.split_first_chunk() {
        Some((&[VERSION, PLAIN], refusal)) => decode_refusal(refusal).ok(),
        _ => None,
    }
}

fn peer(bytes: &PeerIdBytes) -> Result<PeerId, Refusal> {
    PeerId::from_bytes(bytes).map_err(|_| Refusal::Malformed)
}

fn unreachable(peer: &PeerIdBytes) -> Refusal {
    Refusal::NextHopUnreachable { peer: peer.clone() }
}
