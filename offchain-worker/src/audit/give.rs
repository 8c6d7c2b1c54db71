//! The host's side of an audit in the mesh: shows verifiers what they need, no more and no earlier.

use super::{
    evidence::{EvidenceError, EvidenceStore, hash_encoded},
    wire::{Answer, Question, Refusal, Want},
};
use bytes::Bytes;
use codec::Encode;
use llmesh_chain::{AccountId, ChainApi, ChainAudit, H256, NodeClient};
use llmesh_mesh::{PeerId, Request, Service, link::Reject};
use llmesh_primitives::attestation::AuditState;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// Audits that are read from the chain for peers at the same time.
const MAX_READS: usize = 16;
/// How long what the chain says of an account is believed.
const BELIEVED: Duration = Duration::from_secs(30);
/// Accounts whose peers are remembered.
const MAX_KNOWN: usize = 1_024;

/// What a host shows of its work. In a worker this is its [`EvidenceStore`].
pub trait Payloads: Send + Sync + 'static {
    /// SCALE encoding of the inputs behind a receipt.
    ///
    /// # Errors
    /// When it can not be read.
    fn input(&self, receipt: H256) -> Result<Option<Vec<u8>>, EvidenceError>;

    /// SCALE encodings of outputs and probe behind a receipt.
    ///
    /// # Errors
    /// When they can not be read.
    #[allow(clippy::type_complexity, reason = "two blobs, one of which there need not be")]
    fn preimages(&self, receipt: H256) -> Result<Option<(Vec<u8>, Option<Vec<u8>>)>, EvidenceError>;
}

impl Payloads for EvidenceStore {
    fn input(&self, receipt: H256) -> Result<Option<Vec<u8>>, EvidenceError> {
        Ok(self.get(receipt)?.map(|evidence| evidence.inputs))
    }

    fn preimages(&self, receipt: H256) -> Result<Option<(Vec<u8>, Option<Vec<u8>>)>, EvidenceError> {
        Ok(self
            .get(receipt)?
            .map(|evidence| (evidence.outputs, evidence.probe)))
    }
}

/// Answers verifiers.
pub(crate) struct Giver {
    account: AccountId,
    client: Arc<dyn NodeClient>,
    payloads: Arc<dyn Payloads>,
    peers: Mutex<HashMap<[u8; 32], (Instant, Option<PeerId>)>>,
    reads: Arc<Semaphore>,
}

impl Giver {
    pub fn new(account: AccountId, client: Arc<dyn NodeClient>, payloads: Arc<dyn Payloads>) -> Self {
        Self {
            account,
            client,
            payloads,
            peers: Mutex::default(),
            reads: Arc::new(Semaphore::new(MAX_READS)),
        }
    }

    async fn answer(&self, from: PeerId, body: &[u8]) -> Answer {
        let Some(question) = Question::read(body) else {
            return Answer::No(Refusal::Malformed);
        };
        let Ok(_permit) = self.reads.clone().try_acquire_owned() else {
            return Answer::No(Refusal::Busy);
        };
        match self.find(from, question).await {
            Ok(answer) => answer,
            Err(reason) => {
                tracing::debug!(audit = question.audit, reason, "a verifier could not be answered");
                Answer::No(Refusal::Busy)
            }
        }
    }

    async fn find(&self, from: PeerId, question: Question) -> Result<Answer, String> {
        let read = self.client.audit(question.audit).await;
        let Some(audit) = read.map_err(|e| e.to_string())? else {
            return Ok(Answer::No(Refusal::NotMine));
        };
        if audit.host.0 != self.account.0 {
            return Ok(Answer::No(Refusal::NotMine));
        }
        if !self.sits(&audit, from).await? {
            return Ok(Answer::No(Refusal::NoSeat));
        }
        let Some(receipt) = &audit.receipt else {
            return Ok(Answer::No(Refusal::NotYet));
        };
        let hash = receipt.hash(&audit.host.0);
        let payloads = self.payloads.clone();
        let answer = match (question.want, audit.state) {
            (Want::Input, AuditState::Committing { .. })
            | (Want::Input, AuditState::Publishing { .. } | AuditState::Revealing { .. }) => {
                on_disk(move || payloads.input(hash)).await?.map(Answer::Input)
            }
            // Before, a verifier could copy what it should find by itself.
            (Want::Preimages, AuditState::Revealing { .. }) => on_disk(move || payloads.preimages(hash))
                .await?
                .map(|(outputs, probe)| Answer::Preimages { outputs, probe }),
            _ => return Ok(Answer::No(Refusal::NotYet)),
        };
        Ok(answer.unwrap_or(Answer::No(Refusal::Gone)))
    }

    async fn sits(&self, audit: &ChainAudit, from: PeerId) -> Result<bool, String> {
        for member in audit.sitting() {
            if self.peer_of(&member.account).await? == Some(from) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The peer that the chain names for an account.
    async fn peer_of(&self, account: &AccountId) -> Result<Option<PeerId>, String> {
        let known = self
            .peers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&account.0)
            .copied();
        if let Some((at, peer)) = known
            && at.elapsed() < BELIEVED
        {
            return Ok(peer);
        }
        let peer = peer_of(&*self.client, *account).await?;
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if peers.len() >= MAX_KNOWN {
            peers.clear();
        }
        peers.insert(account.0, (Instant::now(), peer));
        Ok(peer)
    }
}

/// The peer that the chain names for an account.
pub(crate) async fn peer_of(client: &dyn NodeClient, account: AccountId) -> Result<Option<PeerId>, String> {
    let operator = client.operator(account).await.map_err(|e| e.to_string())?;
    Ok(operator
        .and_then(|o| o.worker)
        .and_then(|worker| PeerId::from_bytes(&worker.peer_id).ok()))
}

/// Runs a piece of disk work where it may block.
pub(crate) async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EvidenceError> + Send + 'static,
) -> Result<T, String> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|e| e.to_string()),
        Err(e) => Err(e.to_string()),
    }
}

#[async_trait::async_trait]
impl Service for Giver {
    async fn serve(&self, request: Request) -> Result<Bytes, Reject> {
        Ok(self.answer(request.from, &request.body).await.encode().into())
    }
}

/// Whether bytes are what a receipt has the hash of.
pub(crate) fn has_hash(bytes: &[u8], hash: H256) -> bool {
    hash_encoded(bytes) == hash
}
