//! The client's side of a request: chooses a host, fixes the terms, pays, seals, and goes on to the next host when one
//! fails, until there is an answer with a receipt or the time is over.
//!
//! The same code runs inside a node for its gateway and in an application's own process: what differs is the
//! [`Courier`] that carries the sealed bytes.

use super::{
    Shared,
    chainview::ChainView,
    directory::{Directory, HostEntry, Snapshot},
    serve::MAX_LIFETIME_MS,
    topology::{Candidate, Topology},
    unix_ms,
};
use bytes::Bytes;
use llmesh_chain::{ChainError, H256, NodeClient, Signer};
use llmesh_mesh::PeerId;
use llmesh_payments::{LaneFacts, LaneKey, Owed, PayError, PayerBook};
use llmesh_primitives::{ChannelId, ChannelState, LaneId, ModelVersionId, Priority};
use llmesh_proofs::{Place, RequestTerms, SignedReceipt, SignedRequest};
use llmesh_protocol::{
    Answer, Ask, KeyId, MeshTensors, PeerIdBytes, Progress, Refusal, Retry, RouteHeader, VERSION,
    seal::{AnswerOpener, Received, seal},
    wire::MAX_HOPS,
};
use llmesh_routing::Balancer;
use sp_runtime::{AccountId32, Perbill};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::mpsc, time::Instant};

/// Most hosts that are asked for one answer.
const MAX_HOSTS: usize = 8;
/// Tries at one host: after a refusal that names what to put right, or a lost connection.
const TRIES_PER_HOST: u32 = 3;
/// What one host may take of the time while others are left to ask.
const SHARE_OF_TIME: u32 = 2;
/// How often all hosts are asked when none of them can be reached.
const ROUNDS: u32 = 7;
/// The pause before the second round; each one after it takes twice as long.
const PAUSE: Duration = Duration::from_millis(100);
/// The shortest wait for a host.
const LEAST_WAIT: Duration = Duration::from_millis(500);
/// Costs within this many thousandths of the best count as equal: those hosts take turns.
const EQUAL_PERMILLE: u64 = 50;
/// Progress messages that wait.
const PROGRESS_QUEUE: usize = 16;
/// Host, client and relays may disagree about the time by so much.
const CLOCK_MARGIN_MS: u64 = 30_000;

/// Carries sealed requests to their host.
#[async_trait::async_trait]
pub trait Courier: Send + Sync + 'static {
    /// Brings a request on its way, and back what came for it: a sealed message or a refusal in clear. The header has no
    /// path: the courier finds one, and another one when it fails.
    ///
    /// # Errors
    /// When nothing came back, with a sentence on why.
    async fn carry(
        &self,
        header: RouteHeader,
        sealed: Bytes,
        deadline: Instant,
        progress: Option<mpsc::Sender<Bytes>>,
    ) -> Result<Bytes, String>;
}

/// Puts candidates in order.
pub trait Ranking: Send + Sync + 'static {
    /// The candidates that can be asked, with what each costs ([`llmesh_routing::metric`]), the best first.
    fn rank(&self, candidates: &[Candidate]) -> Vec<(PeerId, u64)>;
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Inference {
    pub version: ModelVersionId,
    pub inputs: MeshTensors,
    /// In planck; `None` is what the dearest host asks.
    pub max_price: Option<u128>,
    pub priority: Priority,
    pub min_reputation: Perbill,
    pub deadline: Duration,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Inferred {
    pub outputs: MeshTensors,
    pub receipt: SignedReceipt,
    pub price: u128,
    pub request: H256,
    /// Requests that were sent, this one included.
    pub attempts: u32,
}

/// What happens meanwhile.
#[derive(Clone, Debug)]
pub struct Step {
    pub attempt: u32,
    pub host: AccountId32,
    pub what: What,
}

/// See [`Step`].
#[derive(Clone, Debug)]
pub enum What {
    Sent,
    Progress(Progress),
    /// This attempt failed, for this reason.
    Failed(String),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    #[error("the chain has no such model version, or it is yanked")]
    UnknownModel,
    #[error("no host of this model is in the mesh at present")]
    NoHost,
    #[error("no host does it for {max} planck: the cheapest asks {cheapest}")]
    TooDear { max: u128, cheapest: u128 },
    #[error(
        "no channel of this key has money in a lane for a host of this model: `llmesh-worker channel open`"
    )]
    NoFunds,
    #[error("the inputs do not fit the model: {0}")]
    Inputs(String),
    #[error("the request was refused: {0}")]
    Refused(Refusal),
    #[error("no host answered: {0}")]
    NoAnswer(String),
    #[error("the time is over{}", .0.as_ref().map(|r| format!("; the last failure: {r}")).unwrap_or_default())]
    Deadline(Option<String>),
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error(transparent)]
    Pay(#[from] PayError),
}

/// A lane, seen by who pays. Amounts are in planck.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Funds {
    pub channel: ChannelId,
    pub host: AccountId32,
    /// Left for new requests.
    pub available: u128,
    /// Paid for answers, and for requests that are under way.
    pub spent: u128,
    /// Last block of the channel.
    pub expires_at: u32,
}

/// A lane that pays a host.
#[derive(Clone, Debug)]
struct Funded {
    channel: ChannelId,
    facts: LaneFacts,
}

/// A host that could answer.
#[derive(Clone, Debug)]
struct Choice {
    entry: HostEntry,
    price: u128,
    funded: Funded,
}

/// What the next try at a host begins with.
struct Next {
    price: u128,
    /// What the host said that it is owed, when it refused a voucher.
    owed: Owed,
    /// What it was asked in an earlier round.
    unsure: Option<Unsure>,
}

/// How one try at a host ended.
enum Tried {
    Done(Box<Inferred>),
    /// The same host may do it now.
    Again(String),
    /// Nothing came back: the same host may do it now.
    Lost(String),
    /// Another host may.
    Next(String),
    /// Another host may; this one, when there is a way to it again.
    NoWay(String),
    /// Nobody will.
    Never(Refusal),
}

/// Asks hosts. One for a key and its book.
pub struct Requester {
    /// Whose channels pay.
    payer: AccountId32,
    /// Signs vouchers and requests.
    signer: Signer,
    genesis: H256,
    book: Arc<PayerBook>,
    chain: Arc<ChainView>,
    directory: Directory,
    ranking: Arc<dyn Ranking>,
    courier: Arc<dyn Courier>,
    balancer: Mutex<Balancer<[u8; 32]>>,
    lanes: tokio::sync::Mutex<LaneList>,
}

#[derive(Default)]
struct LaneList {
    block: u32,
    read: Option<Instant>,
    by_host: BTreeMap<[u8; 32], Vec<Funded>>,
}

/// Channels are read again after so long.
const LANES_FRESH: Duration = Duration::from_secs(6);

/// What a [`Requester`] is made of.
pub struct Parts {
    pub payer: AccountId32,
    pub signer: Signer,
    pub genesis: H256,
    pub book: Arc<PayerBook>,
    pub client: Arc<dyn NodeClient>,
    pub directory: Directory,
    pub ranking: Arc<dyn Ranking>,
    pub courier: Arc<dyn Courier>,
}

impl Requester {
    pub fn new(parts: Parts) -> Self {
        Self {
            payer: parts.payer,
            signer: parts.signer,
            genesis: parts.genesis,
            book: parts.book,
            chain: Arc::new(ChainView::new(parts.client)),
            directory: parts.directory,
            ranking: parts.ranking,
            courier: parts.courier,
            balancer: Mutex::new(Balancer::new()),
            lanes: tokio::sync::Mutex::new(LaneList::default()),
        }
    }

    /// The lanes that this key can pay from.
    ///
    /// # Errors
    /// When the node can not be asked.
    pub async fn funds(&self) -> Result<Vec<Funds>, RequestError> {
        let lanes = self.lanes(false).await?;
        let used = self.used();
        Ok(lanes
            .values()
            .flatten()
            .map(|f| {
                let spent = used.get(&f.facts.key).copied().unwrap_or_default();
                Funds {
                    channel: f.channel,
                    host: f.facts.host.clone(),
                    available: f.facts.funded.saturating_sub(spent),
                    spent,
                    expires_at: f.facts.expires_at,
                }
            })
            .collect())
    }

    /// What each lane was used for, requests under way included.
    fn used(&self) -> BTreeMap<LaneKey, u128> {
        self.book
            .lanes()
            .into_iter()
            .map(|lane| {
                let used = lane
                    .spent
                    .saturating_add(lane.written_off)
                    .saturating_add(lane.in_flight);
                (lane.key, used)
            })
            .collect()
    }

    /// Makes the next request read the channels again.
    pub async fn forget_lanes(&self) {
        self.lanes.lock().await.read = None;
    }

    /// Has it computed and pays for it.
    ///
    /// Dropping the future gives the request up; money of a request that was sent and not answered stays with the lane
    /// as credit for the next one.
    ///
    /// # Errors
    /// When there is no answer; no error costs more than the lane's credit.
    pub async fn infer(
        &self,
        what: &Inference,
        steps: Option<mpsc::Sender<Step>>,
    ) -> Result<Inferred, RequestError> {
        let deadline = Instant::now() + what.deadline;
        let mut so_far = SoFar::default();
        let mut pause = PAUSE;
        for round in 1.. {
            let snapshot = self.directory.snapshot();
            let model = snapshot
                .models
                .get(&what.version)
                .ok_or(RequestError::UnknownModel)?;
            what.inputs
                .check_inputs(&model.manifest.signature)
                .map_err(|e| RequestError::Inputs(e.to_string()))?;
            let choices = match self.choices(what, &snapshot, &so_far.unsure).await {
                // Why the hosts of the first round did not answer says more.
                Err(error) if so_far.last.is_none() => return Err(error),
                Err(_) => break,
                Ok(choices) => choices,
            };
            so_far.unreachable = false;
            let ask = Round {
                what,
                model,
                choices,
                deadline,
                steps: steps.as_ref(),
            };
            if let Some(done) = self.ask_all(ask, &mut so_far).await? {
                return Ok(done);
            }
            // Every way can be gone for a moment, as while a relay starts again.
            if !so_far.unreachable || round >= ROUNDS || Instant::now() + pause >= deadline {
                break;
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        Err(RequestError::NoAnswer(
            so_far.last.unwrap_or_else(|| "none could be asked".into()),
        ))
    }

    /// Asks one host after the other until there is an answer.
    async fn ask_all(&self, round: Round<'_>, so_far: &mut SoFar) -> Result<Option<Inferred>, RequestError> {
        let count = round.choices.len();
        for (i, choice) in round.choices.iter().enumerate() {
            let others = count.saturating_sub(i + 1);
            let mut terms = Next {
                price: choice.price,
                owed: Owed::default(),
                unsure: so_far.unsure.remove(&choice.entry.account.0),
            };
            let mut again: Option<Sealable> = None;
            for _ in 0..TRIES_PER_HOST {
                let left = round.deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(RequestError::Deadline(so_far.last.take()));
                }
                // A silent host must leave time for another one.
                let share = if others > 0 {
                    (left / SHARE_OF_TIME).max(LEAST_WAIT).min(left)
                } else {
                    left
                };
                so_far.attempts += 1;
                let tell = Tell {
                    steps: round.steps,
                    attempt: so_far.attempts,
                    host: choice.entry.account.0.into(),
                };
                let attempt = Attempt {
                    what: round.what,
                    model: round.model,
                    choice,
                    until: Instant::now() + share,
                };
                let (reason, next) = match self.try_host(&attempt, &mut terms, &mut again, &tell).await? {
                    Tried::Done(mut done) => {
                        done.attempts = so_far.attempts;
                        return Ok(Some(*done));
                    }
                    Tried::Never(refusal) => return Err(RequestError::Refused(refusal)),
                    Tried::Again(reason) => (reason, false),
                    Tried::Next(reason) => (reason, true),
                    Tried::Lost(reason) => {
                        so_far.unreachable = true;
                        (reason, false)
                    }
                    Tried::NoWay(reason) => {
                        so_far.unreachable = true;
                        (reason, true)
                    }
                };
                tell.step(What::Failed(reason.clone()));
                so_far.last = Some(reason);
                if next {
                    break;
                }
            }
            if let Some(unsure) = again.map(|request| self.park(request)).or(terms.unsure) {
                so_far.unsure.insert(choice.entry.account.0, unsure);
            }
        }
        Ok(None)
    }

    /// The hosts to ask, in order.
    async fn choices(
        &self,
        what: &Inference,
        snapshot: &Snapshot,
        unsure: &BTreeMap<[u8; 32], Unsure>,
    ) -> Result<Vec<Choice>, RequestError> {
        let model = snapshot
            .models
            .get(&what.version)
            .ok_or(RequestError::UnknownModel)?;
        let live: Vec<_> = snapshot
            .live_offers(what.version)
            .filter(|(host, _)| host.reputation_ppb >= what.min_reputation.deconstruct())
            .map(|(host, terms)| (host.clone(), terms))
            .collect();
        if live.is_empty() {
            return Err(RequestError::NoHost);
        }
        let mut affordable = Vec::new();
        let mut cheapest = u128::MAX;
        for (host, terms) in live {
            let Some(fee) = self.chain.fee(what.version, terms.price, what.priority).await? else {
                continue;
            };
            cheapest = cheapest.min(fee.now);
            if what.max_price.is_none_or(|max| fee.now <= max) {
                affordable.push((host, terms, fee.now));
            }
        }
        if affordable.is_empty() {
            return Err(RequestError::TooDear {
                max: what.max_price.unwrap_or_default(),
                cheapest,
            });
        }
        let mut choices: BTreeMap<PeerId, (Choice, u32)> = BTreeMap::new();
        for fresh in [false, true] {
            let lanes = self.lanes(fresh).await?;
            let used = self.used();
            for (entry, terms, price) in &affordable {
                let lanes = lanes.get(&entry.account.0).map_or(&[][..], Vec::as_slice);
                // What it costs to ask again is there already.
                let again = unsure
                    .get(&entry.account.0)
                    .and_then(|unsure| lanes.iter().find(|f| unsure.is_of(f)));
                let funded = again.or_else(|| {
                    lanes.iter().find(|f| {
                        let used = used.get(&f.facts.key).copied().unwrap_or_default();
                        f.facts.funded.saturating_sub(used) >= *price
                    })
                });
                if let Some(funded) = funded {
                    let choice = Choice {
                        entry: entry.clone(),
                        price: *price,
                        funded: funded.clone(),
                    };
                    choices.insert(entry.peer, (choice, terms.capacity));
                }
            }
            if !choices.is_empty() {
                break;
            }
        }
        if choices.is_empty() {
            return Err(RequestError::NoFunds);
        }
        let candidates: Vec<Candidate> = choices
            .values()
            .map(|(choice, capacity)| Candidate {
                peer: choice.entry.peer,
                fee: choice.price,
                work: (model.manifest.complexity / 1_000_000).max(1),
                capacity: *capacity,
            })
            .collect();
        let ranked = self.take_turns(self.ranking.rank(&candidates), &choices);
        Ok(ranked
            .into_iter()
            .filter_map(|peer| choices.remove(&peer).map(|(choice, _)| choice))
            .take(MAX_HOSTS)
            .collect())
    }

    /// Puts one of the hosts that are as good as the best in front: they take turns by their capacity.
    fn take_turns(
        &self,
        ranked: Vec<(PeerId, u64)>,
        choices: &BTreeMap<PeerId, (Choice, u32)>,
    ) -> Vec<PeerId> {
        let Some((_, best)) = ranked.first().copied() else {
            return Vec::new();
        };
        let limit = best.saturating_add(best / 1_000 * EQUAL_PERMILLE);
        let equal: Vec<PeerId> = ranked
            .iter()
            .take_while(|(_, cost)| *cost <= limit)
            .map(|(p, _)| *p)
            .collect();
        let mut order: Vec<PeerId> = ranked.iter().map(|(p, _)| *p).collect();
        if equal.len() > 1 {
            let mut balancer = self.balancer.lock().unwrap_or_else(PoisonError::into_inner);
            let mut of_account = BTreeMap::new();
            for peer in &equal {
                if let Some((choice, capacity)) = choices.get(peer) {
                    balancer.set(choice.entry.account.0, *capacity);
                    of_account.insert(choice.entry.account.0, *peer);
                }
            }
            if let Some(picked) = balancer.pick_among(|account| of_account.contains_key(account))
                && let Some(peer) = of_account.get(picked)
            {
                order.retain(|p| p != peer);
                order.insert(0, *peer);
            }
        }
        order
    }

    async fn lanes(&self, fresh: bool) -> Result<BTreeMap<[u8; 32], Vec<Funded>>, RequestError> {
        let mut list = self.lanes.lock().await;
        let kept = list.read.is_some_and(|read| read.elapsed() < LANES_FRESH) && !fresh;
        if !kept {
            let (block, channels) = self.chain.channels_of(&self.payer).await?;
            let mut by_host: BTreeMap<[u8; 32], Vec<Funded>> = BTreeMap::new();
            let signer = self.signer.account32();
            for (id, channel) in channels {
                if channel.signer != signer || channel.state != ChannelState::Open {
                    continue;
                }
                for lane in 0..channel.lanes.len() {
                    let Ok(lane) = LaneId::try_from(lane) else { break };
                    if let Some(facts) = LaneFacts::of(id, lane, &channel, block)
                        && !facts.released
                    {
                        let host: [u8; 32] = *facts.host.as_ref();
                        by_host
                            .entry(host)
                            .or_default()
                            .push(Funded { channel: id, facts });
                    }
                }
            }
            *list = LaneList {
                block,
                read: Some(Instant::now()),
                by_host,
            };
        }
        tracing::trace!(block = list.block, hosts = list.by_host.len(), "lanes");
        Ok(list.by_host.clone())
    }

    /// One try at a host. `again` is the request of the try before, if its answer may still be had for the same money.
    async fn try_host(
        &self,
        attempt: &Attempt<'_>,
        terms: &mut Next,
        again: &mut Option<Sealable>,
        tell: &Tell<'_>,
    ) -> Result<Tried, RequestError> {
        let request = match again.take() {
            Some(request) => request,
            None => match self.pay(attempt, terms, tell.steps.is_some()).await {
                Ok(request) => request,
                Err(PayError::Storage(error)) => return Err(PayError::Storage(error).into()),
                Err(error) => return Ok(Tried::Next(error.to_string())),
            },
        };
        let entry = &attempt.choice.entry;
        let aad = request.ask.aad();
        let (sealed, key) = match seal(&entry.encryption_key, &aad, &request.ask, &mut rand::rng()) {
            Ok(sealed) => sealed,
            Err(error) => {
                drop(request.payment.failed());
                return Ok(Tried::Next(format!("the request can not be sealed: {error}")));
            }
        };
        let left = attempt.until.saturating_duration_since(Instant::now());
        let header = RouteHeader {
            version: VERSION,
            request: aad.request,
            host: PeerIdBytes::truncate_from(entry.peer.to_bytes()),
            path: Default::default(),
            key: KeyId::of(&entry.encryption_key),
            aad,
            deadline_ms: u32::try_from(left.as_millis()).unwrap_or(u32::MAX),
            class: class_byte(attempt.what.priority),
            hops_left: u8::try_from(MAX_HOPS).unwrap_or(u8::MAX),
        };
        tell.step(What::Sent);
        let mut opener = key.opener();
        let answer = self
            .carry(attempt, header, sealed.into(), &mut opener, tell)
            .await;
        match answer {
            // Nobody knows what became of it: the same request again gets the same answer.
            Err(reason) => {
                *again = Some(request);
                Ok(match Instant::now() < attempt.until {
                    true => Tried::Lost(reason),
                    false => Tried::NoWay(reason),
                })
            }
            Ok(Received::Answer(Answer::Done { outputs, receipt })) => {
                match request.ask.check_answer(&outputs, &receipt) {
                    Ok(()) => {
                        let id = request.id;
                        let paid = request.ask.price;
                        // Not awaited: what a crash would lose of it, the host's word makes up for.
                        drop(request.payment.accepted(receipt.hash()));
                        Ok(Tried::Done(Box::new(Inferred {
                            outputs,
                            receipt,
                            price: paid,
                            request: id,
                            attempts: 0,
                        })))
                    }
                    Err(reason) => {
                        drop(request.payment.failed());
                        Ok(Tried::Next(format!("the host's answer does not hold: {reason}")))
                    }
                }
            }
            Ok(Received::Answer(Answer::Refused(refusal))) => {
                self.refused(attempt, request, refusal, terms, again).await
            }
            Ok(Received::Plain(refusal)) => {
                let reason = refusal.to_string();
                match refusal.retry() {
                    // Somebody on the way said so: the courier has tried every path that it knows.
                    Retry::OtherPath | Retry::OtherHost | Retry::Never => {
                        // It may have been the answer that found no way, or no time.
                        *again = Some(request);
                        Ok(match refusal {
                            Refusal::NextHopUnreachable { .. }
                            | Refusal::NotForwarding
                            | Refusal::ShuttingDown => Tried::NoWay(reason),
                            _ => Tried::Next(reason),
                        })
                    }
                    Retry::SamePath => {
                        // Another key, by the host's word; the chain has the last one.
                        drop(request.payment.failed());
                        let _ = self.directory.refresh(&**self.chain.client()).await;
                        Ok(Tried::Next(reason))
                    }
                    Retry::After(wait) => {
                        let wait = Duration::from_millis(wait.into());
                        *again = Some(request);
                        if Instant::now() + wait >= attempt.until {
                            return Ok(Tried::Next(reason));
                        }
                        tokio::time::sleep(wait).await;
                        Ok(Tried::Again(reason))
                    }
                }
            }
            Ok(Received::Progress(_)) => {
                drop(request.payment.failed());
                Ok(Tried::Next("the host ended with a progress message".into()))
            }
        }
    }

    /// What a refusal under the host's seal means for the next try.
    async fn refused(
        &self,
        attempt: &Attempt<'_>,
        request: Sealable,
        refusal: Refusal,
        terms: &mut Next,
        again: &mut Option<Sealable>,
    ) -> Result<Tried, RequestError> {
        let reason = refusal.to_string();
        if let Refusal::Deadline { .. } | Refusal::Internal = &refusal {
            // The host may be at work for it still.
            *again = Some(request);
            return Ok(Tried::Next(reason));
        }
        if let Refusal::Voucher(refused) = &refusal {
            let healed = request.payment.refused(refused.served, refused.needed);
            self.forget_lanes().await;
            return Ok(match (healed, refusal.retry()) {
                (Ok(healed), Retry::SamePath) => {
                    terms.owed = healed;
                    Tried::Again(reason)
                }
                (Err(error), _) => Tried::Next(error.to_string()),
                _ => Tried::Next(reason),
            });
        }
        if let Refusal::NumberTaken { highest } = refusal {
            let renumbered = request.payment.renumber(highest);
            self.forget_lanes().await;
            return Ok(match renumbered {
                Ok(()) => Tried::Again(reason),
                Err(error) => Tried::Next(error.to_string()),
            });
        }
        drop(request.payment.failed());
        if let Refusal::PriceTooLow { required } = refusal {
            let allowed = attempt.what.max_price.is_none_or(|max| required <= max)
                // A host can not ask for more than what the chain says that it may.
                && required <= attempt.choice.price.saturating_add(attempt.choice.price / 10);
            if allowed {
                terms.price = required;
                return Ok(Tried::Again(reason));
            }
            return Ok(Tried::Next(reason));
        }
        Ok(match refusal.retry() {
            Retry::SamePath | Retry::OtherPath => Tried::Again(reason),
            Retry::OtherHost if refusal == Refusal::ShuttingDown => Tried::NoWay(reason),
            Retry::OtherHost => Tried::Next(reason),
            Retry::Never => match refusal {
                // These are this host's or this channel's trouble.
                Refusal::Replayed
                | Refusal::ChannelExpiring { .. }
                | Refusal::ChannelClosing
                | Refusal::Expired { .. } => Tried::Next(reason),
                refusal => Tried::Never(refusal),
            },
            Retry::After(wait) => {
                let wait = Duration::from_millis(wait.into());
                if Instant::now() + wait < attempt.until {
                    tokio::time::sleep(wait).await;
                    Tried::Again(reason)
                } else {
                    Tried::Next(reason)
                }
            }
        })
    }

    /// Gives a request up for now. Its money is free for others meanwhile; who pays for the same request again, pays for the
    /// answer that the host may have.
    fn park(&self, request: Sealable) -> Unsure {
        drop(request.payment.failed());
        Unsure {
            request: request.ask.request,
            price: request.ask.price,
        }
    }

    /// Pays for a request: for one that its host may have answered already, or else for a new one. The voucher is on disk when
    /// this returns. `progress`: whether the host shall say how far it is.
    async fn pay(
        &self,
        attempt: &Attempt<'_>,
        terms: &mut Next,
        progress: bool,
    ) -> Result<Sealable, PayError> {
        let funded = &attempt.choice.funded;
        let owed = std::mem::take(&mut terms.owed);
        let unsure = terms.unsure.as_ref().filter(|unsure| unsure.is_of(funded));
        let (request, price) = match unsure.filter(|unsure| unsure.request.terms.expires_at > unix_ms()) {
            Some(Unsure { request, price }) => (request.clone(), *price),
            None => (self.request(attempt, terms.price)?, terms.price),
        };
        let (id, sequence) = (request.terms.id(), request.terms.place.sequence);
        let signer = self.signer.clone();
        let sign = move |payload: &[u8; 32]| signer.sign(payload);
        let payment = self
            .book
            .pay_again(&funded.facts, price, id, sequence, owed, &sign)
            .await?;
        terms.unsure = None;
        Ok(Sealable {
            id,
            ask: Ask {
                request,
                channel: funded.channel,
                price,
                voucher: payment.voucher().clone(),
                inputs: attempt.what.inputs.clone(),
                progress,
            },
            payment,
        })
    }

    /// Fixes terms and signs them.
    fn request(&self, attempt: &Attempt<'_>, price: u128) -> Result<SignedRequest, PayError> {
        let what = attempt.what;
        let left = attempt.until.saturating_duration_since(Instant::now());
        let lifetime = u64::try_from(left.as_millis())
            .unwrap_or(u64::MAX)
            .saturating_add(CLOCK_MARGIN_MS)
            .min(MAX_LIFETIME_MS - CLOCK_MARGIN_MS);
        let funded = &attempt.choice.funded;
        let place = Place {
            channel: funded.channel,
            epoch: funded.facts.epoch,
            lane: funded.facts.key.lane,
            sequence: self.book.next_sequence(&funded.facts)?,
        };
        let terms = RequestTerms {
            genesis: self.genesis,
            place,
            client: self.signer.account32(),
            model: attempt.model.manifest.content_id,
            version: what.version,
            input_hash: what.inputs.hash(),
            max_price: price,
            host: attempt.choice.entry.account.0.into(),
            expires_at: unix_ms().saturating_add(lifetime),
            salt: rand::random(),
        };
        Ok(terms.signed(|payload| self.signer.sign(payload)))
    }

    async fn carry(
        &self,
        attempt: &Attempt<'_>,
        header: RouteHeader,
        sealed: Bytes,
        opener: &mut AnswerOpener,
        tell: &Tell<'_>,
    ) -> Result<Received, String> {
        let (sender, mut progress) = mpsc::channel(PROGRESS_QUEUE);
        let wanted = tell.steps.map(|_| sender);
        let carried = self.courier.carry(header, sealed, attempt.until, wanted);
        let carried = tokio::time::timeout_at(attempt.until, carried);
        tokio::pin!(carried);
        let bytes = loop {
            tokio::select! {
                biased;
                Some(message) = progress.recv() => {
                    if let Ok(Received::Progress(progress)) = opener.open(&message) {
                        tell.step(What::Progress(progress));
                    }
                }
                carried = &mut carried => break carried,
            }
        };
        while let Ok(message) = progress.try_recv() {
            if let Ok(Received::Progress(progress)) = opener.open(&message) {
                tell.step(What::Progress(progress));
            }
        }
        let bytes = bytes.map_err(|_| "the host did not answer in time".to_owned())??;
        opener
            .open(&bytes)
            .map_err(|error| format!("what came back is no answer: {error}"))
    }
}

/// A signed and paid request, to be sealed as often as it takes.
struct Sealable {
    id: H256,
    ask: Ask,
    payment: llmesh_payments::Payment,
}

struct Attempt<'a> {
    what: &'a Inference,
    model: &'a llmesh_chain::ChainModel,
    choice: &'a Choice,
    until: Instant,
}

/// One round of questions.
struct Round<'a> {
    what: &'a Inference,
    model: &'a llmesh_chain::ChainModel,
    /// The hosts, the best first.
    choices: Vec<Choice>,
    deadline: Instant,
    steps: Option<&'a mpsc::Sender<Step>>,
}

/// What became of the rounds so far.
#[derive(Default)]
struct SoFar {
    attempts: u32,
    /// The last failure.
    last: Option<String>,
    /// Whether a host of the last round could not be reached, so that it may be worth another round.
    unreachable: bool,
    /// Requests that their host may have answered: asked again in the next round, they are not charged again.
    unsure: BTreeMap<[u8; 32], Unsure>,
}

/// A request that was sent and not answered, as far as is known here.
struct Unsure {
    request: SignedRequest,
    price: u128,
}

impl Unsure {
    /// Whether this lane paid for it.
    fn is_of(&self, funded: &Funded) -> bool {
        let place = &self.request.terms.place;
        (place.channel, place.epoch, place.lane)
            == (funded.channel, funded.facts.epoch, funded.facts.key.lane)
    }
}

struct Tell<'a> {
    steps: Option<&'a mpsc::Sender<Step>>,
    attempt: u32,
    host: AccountId32,
}

impl Tell<'_> {
    fn step(&self, what: What) {
        if let Some(steps) = self.steps {
            let step = Step {
                attempt: self.attempt,
                host: self.host.clone(),
                what,
            };
            // Who does not read does not hold the request up.
            let _ = steps.try_send(step);
        }
    }
}

fn class_byte(priority: Priority) -> u8 {
    match priority {
        Priority::Urgent => 0,
        Priority::High => 1,
        Priority::Normal => 2,
    }
}

/// Ranks by price, reputation and stake alone: for clients that know no links.
pub struct ByTerms {
    directory: Directory,
}

impl ByTerms {
    pub fn new(directory: Directory) -> Self {
        Self { directory }
    }
}

impl Ranking for ByTerms {
    fn rank(&self, candidates: &[Candidate]) -> Vec<(PeerId, u64)> {
        let mut topology = Topology::new(PeerId::random());
        topology.set_credit(self.directory.snapshot().credit());
        topology.rank(candidates, &[])
    }
}

impl Ranking for Shared {
    fn rank(&self, candidates: &[Candidate]) -> Vec<(PeerId, u64)> {
        let avoid = self.avoided();
        let mut topology = self.topology();
        let mut ranked = topology.rank(candidates, &avoid);
        // Those that failed a moment ago are the last resort, not lost.
        let left: Vec<Candidate> = candidates
            .iter()
            .filter(|c| ranked.iter().all(|(peer, _)| *peer != c.peer))
            .copied()
            .collect();
        ranked.extend(topology.rank(&left, &[]));
        ranked
    }
}
