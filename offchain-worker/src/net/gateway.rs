//! What applications ask of this node.

use super::{
    Shared,
    chainview::ChainView,
    directory::{HostEntry, Snapshot},
    forward::{Forwarder, Passing},
    requester::{Courier, Inference, RequestError, Requester, Step, What},
    topology::Candidate,
};
use bytes::Bytes;
use llmesh_chain::{AccountId, ChainModel, H256, HeadState};
use llmesh_gateway::{
    ChannelInfo, Gateway, GatewayError, HostQuote, InferRequest, InferResponse, ModelInfo, PathInfo,
    PriceRange, ProgressInfo, QuoteInfo, QuoteRequest, Reason, RouteInfo, RoutesRequest, Stage, StatusInfo,
};
use llmesh_primitives::{ModelVersionId, OfferTerms, Priority, SemVer, VersionStatus};
use llmesh_protocol::{KeyId, MAX_SEALED_BYTES, Progress, Refusal, RouteHeader, wire::decode_header};
use sp_runtime::Perbill;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Reports of one request that wait to be read.
const STEP_QUEUE: usize = 16;

/// The node behind the gateway.
pub(crate) struct NodeGateway {
    pub shared: Arc<Shared>,
    pub forwarder: Arc<Forwarder>,
    pub requester: Arc<Requester>,
    pub chain: Arc<ChainView>,
    pub genesis: H256,
    pub account: AccountId,
}

impl NodeGateway {
    fn info(&self, snapshot: &Snapshot, model: &ChainModel, prices: &[u128]) -> ModelInfo {
        let (inputs, outputs) = ModelInfo::describe(&model.manifest.signature);
        let mut versions: Vec<SemVer> = snapshot
            .models
            .values()
            .filter(|m| m.name == model.name && m.status == VersionStatus::Active)
            .map(|m| m.version)
            .collect();
        versions.sort();
        let range = prices.iter().min().zip(prices.iter().max());
        ModelInfo {
            name: String::from_utf8_lossy(&model.name).into_owned(),
            version: model.version,
            versions,
            content_id: model.manifest.content_id,
            inputs,
            outputs,
            hosts: u32::try_from(prices.len()).unwrap_or(u32::MAX),
            price: range.map(|(lowest, highest)| PriceRange {
                lowest: *lowest,
                highest: *highest,
            }),
        }
    }

    /// The live hosts of a version with what each asks.
    async fn hosts(
        &self,
        snapshot: &Snapshot,
        id: ModelVersionId,
    ) -> Result<Vec<(HostEntry, OfferTerms, u128)>, GatewayError> {
        let live: Vec<_> = snapshot.live_offers(id).map(|(h, t)| (h.clone(), t)).collect();
        let mut hosts = Vec::with_capacity(live.len());
        for (host, terms) in live {
            let fee = self
                .chain
                .fee(id, terms.price, Priority::Normal)
                .await
                .map_err(not_ready)?;
            if let Some(fee) = fee {
                hosts.push((host, terms, fee.now));
            }
        }
        Ok(hosts)
    }

    fn find<'a>(
        &self,
        snapshot: &'a Snapshot,
        name: &str,
        version: Option<&str>,
    ) -> Result<&'a ChainModel, GatewayError> {
        let wanted = version
            .map(|v| {
                v.parse::<SemVer>()
                    .map_err(|e| GatewayError::new(Reason::UnknownVersion, e))
            })
            .transpose()?;
        if let Some(model) = snapshot.resolve(name, wanted)
            && model.status != VersionStatus::Yanked
        {
            return Ok(model);
        }
        if snapshot
            .models
            .values()
            .any(|m| m.name.as_slice() == name.as_bytes())
        {
            let which = version.map_or("an active version".to_owned(), |v| format!("the version {v}"));
            let message = format!("{name} has no {which} that takes work");
            return Err(GatewayError::new(Reason::UnknownVersion, message));
        }
        Err(GatewayError::new(
            Reason::UnknownModel,
            format!("the chain has no model {name}"),
        ))
    }

    /// Hosts in the order in which this node would ask them, with the cost of the way to each.
    fn ranked(
        &self,
        model: &ChainModel,
        hosts: Vec<(HostEntry, OfferTerms, u128)>,
        most: u32,
    ) -> Vec<(HostEntry, u128, u64)> {
        use super::requester::Ranking;
        let candidates: Vec<Candidate> = hosts
            .iter()
            .map(|(host, terms, fee)| Candidate {
                peer: host.peer,
                fee: *fee,
                work: (model.manifest.complexity / 1_000_000).max(1),
                capacity: terms.capacity,
            })
            .collect();
        let mut by_peer: BTreeMap<_, _> = hosts.into_iter().map(|(h, _, fee)| (h.peer, (h, fee))).collect();
        self.shared
            .rank(&candidates)
            .into_iter()
            .filter_map(|(peer, cost)| by_peer.remove(&peer).map(|(host, fee)| (host, fee, cost)))
            .take(usize::try_from(most).unwrap_or(usize::MAX))
            .collect()
    }

    fn paths(&self, host: &HostEntry) -> Vec<PathInfo> {
        if host.peer == self.shared.me {
            return Vec::new();
        }
        self.shared
            .paths_to(host.peer)
            .into_iter()
            .map(|hops| PathInfo {
                expected_latency_us: self.shared.topology().latency_us(&hops),
                hops: hops.iter().map(ToString::to_string).collect(),
            })
            .collect()
    }

    fn problem(&self) -> Option<String> {
        let snapshot = self.shared.directory.snapshot();
        if self.chain.block().is_none() || snapshot.block == 0 {
            return Some("the chain was not read yet: is the node running?".into());
        }
        let peers = self.shared.mesh.status().borrow().peers.len();
        if peers == 0 && snapshot.hosts.keys().any(|peer| *peer != self.shared.me) {
            return Some("no peer of the mesh is connected: check --mesh-bootstrap and the firewall".into());
        }
        None
    }
}

#[async_trait::async_trait]
impl Gateway for NodeGateway {
    async fn models(&self) -> Result<Vec<ModelInfo>, GatewayError> {
        let snapshot = self.shared.directory.snapshot();
        let mut newest: BTreeMap<&[u8], &ChainModel> = BTreeMap::new();
        for model in snapshot
            .models
            .values()
            .filter(|m| m.status == VersionStatus::Active)
        {
            let entry = newest.entry(model.name.as_slice()).or_insert(model);
            if model.version > entry.version {
                *entry = model;
            }
        }
        let mut models = Vec::with_capacity(newest.len());
        for model in newest.into_values() {
            let prices: Vec<u128> = self
                .hosts(&snapshot, model.id)
                .await?
                .iter()
                .map(|h| h.2)
                .collect();
            models.push(self.info(&snapshot, model, &prices));
        }
        Ok(models)
    }

    async fn model(&self, name: &str, version: Option<&str>) -> Result<ModelInfo, GatewayError> {
        let snapshot = self.shared.directory.snapshot();
        let model = self.find(&snapshot, name, version)?;
        let prices: Vec<u128> = self
            .hosts(&snapshot, model.id)
            .await?
            .iter()
            .map(|h| h.2)
            .collect();
        Ok(self.info(&snapshot, model, &prices))
    }

    async fn quote(&self, request: QuoteRequest) -> Result<QuoteInfo, GatewayError> {
        let snapshot = self.shared.directory.snapshot();
        let model = self.find(&snapshot, &request.model, request.version.as_deref())?;
        let hosts = self.hosts(&snapshot, model.id).await?;
        let hosts = self
            .ranked(model, hosts, request.max_hosts)
            .into_iter()
            .map(|(host, price, _)| {
                let best = self.paths(&host).into_iter().next();
                HostQuote {
                    host: host.account.0.into(),
                    peer_id: host.peer.to_string(),
                    price,
                    reputation: Perbill::from_parts(host.reputation_ppb),
                    expected_latency_us: best.as_ref().map_or(0, |p| p.expected_latency_us),
                    path_length: best.map_or(0, |p| u32::try_from(p.hops.len()).unwrap_or(u32::MAX)),
                }
            })
            .collect();
        Ok(QuoteInfo {
            model: request.model,
            version: model.version,
            content_id: model.manifest.content_id,
            units: model.manifest.complexity,
            hosts,
        })
    }

    async fn infer(
        &self,
        request: InferRequest,
        progress: Option<mpsc::Sender<ProgressInfo>>,
    ) -> Result<InferResponse, GatewayError> {
        let snapshot = self.shared.directory.snapshot();
        let version = request.version.to_string();
        let model = self.find(&snapshot, &request.model, Some(&version))?;
        let inference = Inference {
            version: model.id,
            inputs: request.inputs,
            max_price: request.max_price,
            priority: request.priority,
            min_reputation: request.min_reputation,
            deadline: request.deadline,
        };
        let steps = progress.map(report);
        let done = self.requester.infer(&inference, steps).await.map_err(|error| {
            self.shared
                .counters
                .unanswered
                .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            gateway_error(error)
        })?;
        self.shared
            .counters
            .asked
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let account = AccountId::from(*AsRef::<[u8; 32]>::as_ref(&done.receipt.host));
        let path_length = self
            .shared
            .directory
            .snapshot()
            .host(&account)
            .and_then(|host| self.paths(host).into_iter().next())
            .map_or(0, |path| u32::try_from(path.hops.len()).unwrap_or(u32::MAX));
        Ok(InferResponse {
            host: done.receipt.host.clone(),
            outputs: done.outputs,
            receipt: done.receipt,
            price: done.price,
            request_id: done.request,
            path_length,
            attempts: done.attempts,
        })
    }

    async fn forward(&self, header: Vec<u8>, sealed: Vec<u8>) -> Result<Vec<u8>, GatewayError> {
        let header = decode_header(&header)
            .map_err(|e| GatewayError::new(Reason::InvalidRequest, format!("the route header: {e}")))?;
        if sealed.len() > MAX_SEALED_BYTES {
            let message = format!("a sealed request has at most {MAX_SEALED_BYTES} bytes");
            return Err(GatewayError::new(Reason::TooLarge, message));
        }
        let deadline = tokio::time::Instant::now() + Duration::from_millis(header.deadline_ms.into());
        let cancelled = CancellationToken::new();
        let passing = Passing {
            header,
            sealed: sealed.into(),
            deadline,
            // A caller that goes away drops this future.
            cancelled: cancelled.clone(),
            progress: None,
        };
        let _guard = cancelled.drop_guard();
        Ok(self.forwarder.pass(passing, true).await.into())
    }

    async fn routes(&self, request: RoutesRequest) -> Result<Vec<RouteInfo>, GatewayError> {
        let snapshot = self.shared.directory.snapshot();
        let model = self.find(&snapshot, &request.model, request.version.as_deref())?;
        let mut hosts = self.hosts(&snapshot, model.id).await?;
        hosts.retain(|(_, _, price)| request.max_price.is_none_or(|max| *price <= max));
        Ok(self
            .ranked(model, hosts, request.max_hosts)
            .into_iter()
            .map(|(host, price, _)| RouteInfo {
                paths: self.paths(&host),
                host: host.account.0.into(),
                peer_id: host.peer.to_string(),
                content_id: model.manifest.content_id,
                version: model.version,
                key: host.encryption_key,
                key_id: KeyId::of(&host.encryption_key),
                price,
                reputation: Perbill::from_parts(host.reputation_ppb),
            })
            .collect())
    }

    async fn status(&self) -> Result<StatusInfo, GatewayError> {
        let snapshot = self.shared.directory.snapshot();
        let client = self.chain.client();
        let best = match &*client.follow_best().borrow() {
            HeadState::At(head) => head.number,
            _ => snapshot.block,
        };
        let mut channels: BTreeMap<u64, ChannelInfo> = BTreeMap::new();
        for lane in self.requester.funds().await.map_err(gateway_error)? {
            let info = channels.entry(lane.channel).or_insert(ChannelInfo {
                id: lane.channel,
                available: 0,
                spent: 0,
                lanes: 0,
                expires_at: lane.expires_at,
            });
            info.available = info.available.saturating_add(lane.available);
            info.spent = info.spent.saturating_add(lane.spent);
            info.lanes = info.lanes.saturating_add(1);
        }
        let live = snapshot
            .models
            .keys()
            .filter(|id| snapshot.live_offers(**id).next().is_some())
            .count();
        let problem = self.problem();
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Ok(StatusInfo {
            version: env!("CARGO_PKG_VERSION").into(),
            ready: problem.is_none(),
            problem,
            peer_id: self.shared.me.to_string(),
            account: Some(self.account.0.into()),
            genesis: self.genesis,
            best_block: best,
            finalized_block: self.chain.block().unwrap_or_default(),
            peers: number(self.shared.mesh.status().borrow().peers.len()),
            hosts: number(snapshot.hosts.len()),
            models: number(live),
            channels: channels.into_values().collect(),
        })
    }

    fn ready(&self) -> bool {
        self.problem().is_none()
    }
}

/// Carries requests of this machine into the mesh.
pub(crate) struct LocalCourier {
    pub forwarder: Arc<Forwarder>,
}

#[async_trait::async_trait]
impl Courier for LocalCourier {
    async fn carry(
        &self,
        header: RouteHeader,
        sealed: Bytes,
        deadline: tokio::time::Instant,
        progress: Option<mpsc::Sender<Bytes>>,
    ) -> Result<Bytes, String> {
        let cancelled = CancellationToken::new();
        let passing = Passing {
            header,
            sealed,
            deadline,
            cancelled: cancelled.clone(),
            progress,
        };
        let _guard = cancelled.drop_guard();
        Ok(self.forwarder.pass(passing, true).await)
    }
}

/// Turns steps into reports as they come.
fn report(to: mpsc::Sender<ProgressInfo>) -> mpsc::Sender<Step> {
    let (sender, mut steps) = mpsc::channel::<Step>(STEP_QUEUE);
    let began = Instant::now();
    tokio::spawn(async move {
        while let Some(step) = steps.recv().await {
            let (stage, queue_position) = match step.what {
                What::Sent => (Stage::Sent, None),
                What::Progress(Progress::Queued { position, .. }) => (Stage::Queued, Some(position)),
                What::Progress(_) => (Stage::Running, None),
                What::Failed(_) => (Stage::Retrying, None),
            };
            let info = ProgressInfo {
                stage,
                attempt: step.attempt,
                host: Some(step.host),
                path_length: None,
                queue_position,
                elapsed_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            };
            // A reader that is slow misses reports.
            if matches!(to.try_send(info), Err(mpsc::error::TrySendError::Closed(_))) {
                break;
            }
        }
    });
    sender
}

fn not_ready(error: llmesh_chain::ChainError) -> GatewayError {
    GatewayError::new(Reason::NotReady, error.to_string())
}

fn gateway_error(error: RequestError) -> GatewayError {
    let message = error.to_string();
    let reason = match error {
        RequestError::UnknownModel => Reason::UnknownVersion,
        RequestError::NoHost => Reason::NoHost,
        RequestError::TooDear { .. } => Reason::PriceTooHigh,
        RequestError::NoFunds => Reason::NoFunds,
        RequestError::Inputs(_) => Reason::InvalidTensors,
        RequestError::Refused(refusal) => match refusal {
            Refusal::BadInput { .. } => Reason::InvalidTensors,
            Refusal::ModelFailed { .. } => Reason::ModelFailed,
            Refusal::OutputTooLarge { .. } | Refusal::TooLarge { .. } => Reason::TooLarge,
            _ => Reason::HostFailed,
        },
        RequestError::NoAnswer(_) => Reason::HostFailed,
        RequestError::Deadline(_) => Reason::Deadline,
        RequestError::Chain(_) => Reason::NotReady,
        RequestError::Pay(_) => Reason::Internal,
    };
    GatewayError::new(reason, message)
}
