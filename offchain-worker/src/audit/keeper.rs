//! Does what audits want of this worker, as host and as verifier.
//!
//! Level-triggered like the rest of the worker: at each new block it asks the chain what it waits for, and sees to it that
//! there is a task for each duty. A task that fails is begun anew at a later block, as long as the duty is there.

use super::{
    evidence::{Ballot, Evidence, EvidenceStore, LaneEpoch},
    give::{has_hash, on_disk, peer_of},
    judge,
    wire::{self, Answer, Question, Want},
};
use crate::net::content::MeshPeers;
use codec::{DecodeAll, Encode};
use llmesh_chain::{
    BlockNumber, ChainApi, ChainAudit, ChainDuty, ChainError, ChainModel, HeadState, NodeClient, Signer,
    Wait, calls,
};
use llmesh_content::{ContentId, FetchOptions, Store};
use llmesh_engine::{EngineError, Executor, ModelRef, RunRequest};
use llmesh_mesh::{Kind, Mesh, link::Call};
use llmesh_primitives::{
    AuditId, Receipt, Tensors,
    attestation::{BatchOrigin, Duty, Finding, Preimages, Subject, Vote},
};
use llmesh_proofs::{Opening, audit::ballot, sampling::stage_seed, sketch::sketch};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Mutex, Semaphore},
    task::{Id, JoinSet},
};

/// Duties that are asked for at a block.
const MAX_DUTIES: u32 = 256;
/// Longest wait for the chain at one block.
const LOOK_DEADLINE: Duration = Duration::from_secs(20);
/// Time for one answer of a host.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two questions to a host that did not answer.
const ASK_AGAIN: Duration = Duration::from_millis(1_500);
/// So many blocks before the end a verifier says what it has.
const LAST_BLOCKS: BlockNumber = 3;
/// What is of no use is removed every so many blocks.
const PRUNE_EVERY: BlockNumber = 300;

/// What was done, for metrics and status.
#[derive(Debug, Default)]
pub struct Counters {
    /// Own receipts that were shown.
    pub opened: AtomicU64,
    /// Own sketches that were published.
    pub published: AtomicU64,
    /// Findings that were committed to.
    pub verified: AtomicU64,
    /// Of these, abstentions.
    pub abstained: AtomicU64,
    /// Findings that were revealed.
    pub revealed: AtomicU64,
    /// Microseconds of computing as a verifier.
    pub busy_us: AtomicU64,
    /// Duties that could not be done at a try.
    pub failed: AtomicU64,
}

/// What the keeper works with.
pub(crate) struct Parts {
    pub client: Arc<dyn NodeClient>,
    pub signer: Signer,
    pub mesh: Mesh,
    pub evidence: EvidenceStore,
    /// Runs models as verifiers do: one at a time, one thread, in deterministic order.
    pub verifier: Arc<dyn Executor>,
    pub store: Store,
    pub peers: MeshPeers,
    pub counters: Arc<Counters>,
}

/// Why a duty was not done. It is tried again while there is time.
#[derive(Debug, thiserror::Error)]
enum Undone {
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error("{0}")]
    Other(String),
    #[error("the evidence for receipt {0:?} is not here: was --base-path changed?")]
    NoEvidence(llmesh_chain::H256),
}

impl From<String> for Undone {
    fn from(reason: String) -> Self {
        Self::Other(reason)
    }
}

/// Audit, stage and duty.
type Key = (AuditId, u8, Duty);

pub(crate) struct Keeper {
    parts: Arc<Parts>,
    /// One model runs at a time, so that paying work is not starved.
    turn: Arc<Semaphore>,
    /// Models that are being fetched.
    fetching: Arc<Mutex<()>>,
}

impl Keeper {
    pub fn new(parts: Parts) -> Self {
        Self {
            parts: Arc::new(parts),
            turn: Arc::new(Semaphore::new(1)),
            fetching: Arc::default(),
        }
    }

    /// Works until the future is dropped.
    pub async fn run(self) {
        let mut heads = self.parts.client.follow_best();
        let mut tasks = JoinSet::new();
        let mut running: HashMap<Id, Key> = HashMap::new();
        let mut next_prune = 0;
        loop {
            let head = heads.borrow_and_update().clone();
            if let HeadState::At(head) = head {
                if head.number >= next_prune {
                    next_prune = head.number.saturating_add(PRUNE_EVERY);
                    if let Err(error) = self.parts.evidence.prune(crate::net::unix_ms()).await {
                        tracing::warn!(%error, "old evidence was not removed");
                    }
                }
                while let Some(ended) = tasks.try_join_next_with_id() {
                    let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
                    running.remove(&id);
                }
                for item in self.duties().await {
                    let key = (item.audit, item.record.stage, item.duty);
                    // Verifiers come and ask for data.
                    let asked = matches!(item.duty, Duty::GiveInput | Duty::GivePreimages);
                    if asked || running.values().any(|other| *other == key) {
                        continue;
                    }
                    let task = Task {
                        parts: self.parts.clone(),
                        turn: self.turn.clone(),
                        fetching: self.fetching.clone(),
                        hurry: head.number.saturating_add(LAST_BLOCKS) >= item.until,
                        item,
                    };
                    running.insert(tasks.spawn(task.run()).id(), key);
                }
            }
            if heads.changed().await.is_err() {
                tokio::time::sleep(Duration::from_millis(500)).await;
                heads = self.parts.client.follow_best();
            }
        }
    }

    async fn duties(&self) -> Vec<ChainDuty> {
        let asked = self
            .parts
            .client
            .duties(self.parts.signer.account_id(), MAX_DUTIES);
        match tokio::time::timeout(LOOK_DEADLINE, asked).await {
            Ok(Ok(items)) => items,
            Ok(Err(error)) => {
                tracing::debug!(%error, "duties in audits were not read");
                Vec::new()
            }
            Err(_) => Vec::new(),
        }
    }
}

/// One try at one duty.
struct Task {
    parts: Arc<Parts>,
    turn: Arc<Semaphore>,
    fetching: Arc<Mutex<()>>,
    /// There is no time to wait for others.
    hurry: bool,
    item: ChainDuty,
}

impl Task {
    async fn run(self) {
        let (audit, duty) = (self.item.audit, self.item.duty);
        let done = match duty {
            Duty::Open => self.open().await,
            Duty::Publish => self.publish().await,
            Duty::Commit => self.commit().await,
            Duty::Reveal => self.reveal().await,
            Duty::GiveInput | Duty::GivePreimages => Ok(()),
        };
        match done {
            Ok(()) => tracing::info!(audit, ?duty, "done"),
            Err(error) => {
                self.parts.counters.failed.fetch_add(1, Ordering::Relaxed);
                if self.hurry {
                    tracing::warn!(audit, ?duty, until = self.item.until, %error, "not done yet");
                } else {
                    tracing::debug!(audit, ?duty, until = self.item.until, %error, "not done yet");
                }
            }
        }
    }

    fn record(&self) -> &ChainAudit {
        &self.item.record
    }

    async fn submit(&self, call: &llmesh_chain::Call) -> Result<(), Undone> {
        self.parts
            .client
            .submit(call, &self.parts.signer, Wait::InBlock)
            .await?;
        Ok(())
    }

    // --- as host ---------------------------------------------------------------------------------------------------

    async fn open(&self) -> Result<(), Undone> {
        let opening = match &self.record().subject {
            Subject::Job { receipt, .. } => {
                let evidence = self.evidence(*receipt).await?;
                Opening::Job {
                    receipt: evidence.receipt,
                    version: evidence.version,
                }
            }
            Subject::Leaf { point, .. } => self.open_leaf(*point).await?,
            // Whoever doubts a receipt has shown it.
            Subject::Challenge { .. } => return Ok(()),
        };
        self.submit(&calls::open_audit(self.item.audit, &opening)).await?;
        self.parts.counters.opened.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn open_leaf(&self, point: u128) -> Result<Opening, Undone> {
        let Some(BatchOrigin::Lane {
            channel,
            epoch,
            lane,
            root,
            ..
        }) = self.item.batch.as_ref().map(|batch| &batch.origin)
        else {
            return Err(Undone::Other("the chain did not say which lane".into()));
        };
        let lane = LaneEpoch {
            channel: *channel,
            epoch: *epoch,
            lane: *lane,
        };
        let (evidence, root) = (self.parts.evidence.clone(), *root);
        let Some((tree, hashes)) = on_disk(move || evidence.tree(lane, root)).await? else {
            return Err(Undone::Other(
                "the receipts here are not the ones that were claimed: was --base-path changed?".into(),
            ));
        };
        let index = tree.locate(point).ok_or_else(|| {
            Undone::Other("the point drawn is beyond the value of the receipts that were claimed".into())
        })?;
        let missing = || Undone::Other("the tree of receipts is incomplete".into());
        let proof = tree.proof(index).ok_or_else(missing)?;
        let receipt = *hashes.get(index as usize).ok_or_else(missing)?;
        let evidence = self.evidence(receipt).await?;
        Ok(Opening::Leaf {
            proof,
            receipt: evidence.signed.ok_or(Undone::NoEvidence(receipt))?,
        })
    }

    async fn publish(&self) -> Result<(), Undone> {
        let record = self.record();
        let receipt = self.receipt()?;
        let hash = receipt.hash(&record.host.0);
        let evidence = self.evidence(hash).await?;
        let seed = stage_seed(record.seed, record.stage);
        let (receipt, outputs, probe) = (evidence.receipt, evidence.outputs, evidence.probe);
        let sketch =
            on_disk(move || Ok(judge::sketch_of(seed, &receipt, &outputs, probe.as_deref()))).await?;
        let sketch = sketch.ok_or(Undone::NoEvidence(hash))?;
        self.submit(&calls::publish_sketch(self.item.audit, &sketch))
            .await?;
        self.parts.counters.published.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn evidence(&self, receipt: llmesh_chain::H256) -> Result<Evidence, Undone> {
        let store = self.parts.evidence.clone();
        on_disk(move || store.get(receipt))
            .await?
            .ok_or(Undone::NoEvidence(receipt))
    }

    fn receipt(&self) -> Result<&Receipt, Undone> {
        self.record()
            .receipt
            .as_ref()
            .ok_or_else(|| Undone::Other("the chain shows no receipt".into()))
    }

    // --- as verifier -----------------------------------------------------------------------------------------------

    async fn commit(&self) -> Result<(), Undone> {
        let (audit, stage) = (self.item.audit, self.record().stage);
        let store = self.parts.evidence.clone();
        let kept = match on_disk(move || store.ballot(audit, stage)).await? {
            // A restart, or a transaction that got lost: what was found is not found anew.
            Some(kept) => kept,
            None => {
                let (finding, outputs) = self.find().await?;
                let kept = Ballot {
                    finding,
                    salt: rand::random(),
                    outputs,
                };
                // A commitment that can not be opened after a restart would be a fault.
                let written = self.parts.evidence.put_ballot(audit, stage, kept.clone()).await;
                written.map_err(|e| Undone::Other(e.to_string()))?;
                kept
            }
        };
        let account = self.parts.signer.account32();
        let hash = ballot(audit, stage, &account, &kept.finding, &kept.salt);
        self.submit(&calls::commit_finding(audit, hash)).await?;
        self.parts.counters.verified.fetch_add(1, Ordering::Relaxed);
        if kept.finding == Finding::Abstained {
            self.parts.counters.abstained.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Runs the model on the host's input. Returns the finding and the outputs.
    async fn find(&self) -> Result<(Finding, Vec<u8>), Undone> {
        let receipt = self.receipt()?.clone();
        let Some(model) = self.model(&receipt).await? else {
            return self.give_up("the model's version is not on the chain");
        };
        if let Err(error) = self.fetch_model(&model).await {
            return if self.hurry {
                self.give_up(&error)
            } else {
                Err(Undone::Other(error))
            };
        }
        let input = match self.ask(Want::Input).await {
            Ok(Answer::Input(bytes)) if has_hash(&bytes, receipt.input_hash) => bytes,
            answer => {
                let why = unexpected(answer);
                return if self.hurry {
                    tracing::warn!(audit = self.item.audit, why, "the host gave no input");
                    Ok((Finding::NoInput, Vec::new()))
                } else {
                    Err(Undone::Other(why))
                };
            }
        };
        let Ok(inputs) = Tensors::decode_all(&mut input.as_slice()) else {
            // The client's request has this hash, so this is what the host answered.
            return Ok((Finding::Fails, Vec::new()));
        };
        let _turn = self.turn.acquire().await;
        let request = RunRequest::new(ModelRef::from(&model.manifest), inputs).with_probe();
        match self.parts.verifier.execute(request).await {
            Ok(execution) => {
                let took = u64::try_from(execution.elapsed.as_micros()).unwrap_or(u64::MAX);
                self.parts.counters.busy_us.fetch_add(took, Ordering::Relaxed);
                let seed = stage_seed(self.record().seed, self.record().stage);
                let outputs = execution.outputs.encode();
                let sketched = tokio::task::spawn_blocking(move || sketch(seed, execution.compared())).await;
                let sketched = sketched.map_err(|e| Undone::Other(e.to_string()))?;
                Ok((Finding::Ran(sketched), outputs))
            }
            Err(error) if fails(&error) => {
                tracing::warn!(audit = self.item.audit, %error, "the model yields nothing for this input");
                Ok((Finding::Fails, Vec::new()))
            }
            Err(error) if self.hurry => self.give_up(&error.to_string()),
            Err(error) => Err(Undone::Other(error.to_string())),
        }
    }

    fn give_up(&self, why: &str) -> Result<(Finding, Vec<u8>), Undone> {
        tracing::warn!(audit = self.item.audit, why, "abstaining");
        Ok((Finding::Abstained, Vec::new()))
    }

    async fn reveal(&self) -> Result<(), Undone> {
        let (audit, stage) = (self.item.audit, self.record().stage);
        let store = self.parts.evidence.clone();
        let kept = on_disk(move || store.ballot(audit, stage)).await?;
        let kept = kept.ok_or_else(|| {
            Undone::Other("what was committed to is not here: was --base-path changed?".into())
        })?;
        let preimages = match kept.finding {
            Finding::Ran(_) => self.look(kept.outputs).await?,
            Finding::Fails | Finding::NoInput | Finding::Abstained => Preimages::Missing,
        };
        let vote = Vote {
            finding: kept.finding,
            preimages,
        };
        self.submit(&calls::reveal_finding(audit, &vote, kept.salt))
            .await?;
        self.parts.counters.revealed.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Looks at what the host gives out after publishing its sketch.
    async fn look(&self, own: Vec<u8>) -> Result<Preimages, Undone> {
        let record = self.record();
        let receipt = self.receipt()?.clone();
        let published = record
            .sketch
            .ok_or_else(|| Undone::Other("the host's sketch is not on the chain".into()))?;
        let model = self.model(&receipt).await?;
        let tolerance = model.map(|m| m.manifest.tolerance).unwrap_or_default();
        let answer = self.ask(Want::Preimages).await;
        let shown = match answer {
            Ok(Answer::Preimages { outputs, probe }) => Some((outputs, probe)),
            answer => {
                let why = unexpected(answer);
                if !self.hurry {
                    return Err(Undone::Other(why));
                }
                tracing::warn!(audit = self.item.audit, why, "the host gave no output");
                None
            }
        };
        let seed = stage_seed(record.seed, record.stage);
        let judged = on_disk(move || {
            let shown = shown.as_ref().map(|(o, p)| (o.as_slice(), p.as_deref()));
            Ok(judge::preimages(
                seed, &receipt, &published, shown, &own, tolerance,
            ))
        });
        let judged = judged.await?;
        if judged == Preimages::Missing && !self.hurry {
            return Err(Undone::Other(
                "what the host gave does not have the receipt's hashes".into(),
            ));
        }
        Ok(judged)
    }

    async fn model(&self, receipt: &Receipt) -> Result<Option<ChainModel>, Undone> {
        let Some(version) = self.record().model else {
            return Ok(None);
        };
        let model = self.parts.client.model_version(version).await?;
        Ok(model.filter(|m| m.manifest.content_id == receipt.model))
    }

    /// Sees to it that the model's file is here.
    async fn fetch_model(&self, model: &ChainModel) -> Result<(), String> {
        let id = model.manifest.content_id;
        if self.parts.verifier.has_model(id) {
            return Ok(());
        }
        let _one = self.fetching.lock().await;
        if self.parts.verifier.has_model(id) {
            return Ok(());
        }
        tracing::info!(audit = self.item.audit, model = ?id, "fetching the model in order to verify");
        llmesh_content::fetch(
            &self.parts.store,
            &self.parts.peers,
            ContentId(id.0),
            model.manifest.size,
            FetchOptions::default(),
            |_| {},
        )
        .await
        .map_err(|e| e.to_string())
    }

    /// Asks the host.
    async fn ask(&self, want: Want) -> Result<Answer, String> {
        let host = peer_of(&*self.parts.client, self.record().host).await?;
        let host = host.ok_or("the host's worker is in no mesh")?;
        let question = Question {
            version: wire::VERSION,
            audit: self.item.audit,
            want,
        };
        let mut last = String::new();
        // The host may see the block a moment later than this worker.
        for _ in 0..4 {
            let call = Call {
                header: bytes::Bytes::new(),
                body: question.encode().into(),
                timeout: ANSWER_TIMEOUT,
                priority: 0,
                progress: None,
            };
            match self.parts.mesh.call(host, Kind::Consensus, call).await {
                Ok(bytes) => match Answer::read(&bytes) {
                    Some(Answer::No(refusal)) if refusal.is_passing() => {
                        last = format!("the host says {refusal:?}");
                    }
                    Some(answer) => return Ok(answer),
                    None => return Err("the host's answer can not be read".into()),
                },
                Err(error) => last = error.to_string(),
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
        Err(last)
    }
}

/// Whether another host would fail too.
fn fails(error: &EngineError) -> bool {
    error.is_models_fault() || matches!(error, EngineError::Input { .. } | EngineError::InputValue { .. })
}

fn unexpected(answer: Result<Answer, String>) -> String {
    match answer {
        Ok(Answer::No(refusal)) => format!("the host says {refusal:?}"),
        Ok(_) => "the host's answer does not have the receipt's hash".into(),
        Err(error) => error,
    }
}
