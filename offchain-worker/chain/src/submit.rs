//! Transactions: from a call to a known outcome.

use crate::{
    AccountId, BlockNumber, BlockRef, Call, ChainError, H256, Included, NonceTracker, PoolRejection,
    RejectionKind, Signer, Wait,
    node::{Header, Node, block_ref},
    rpc::decode,
    runtime::{AccountInfo, Mortality, account_key, dispatch_failure, events_key},
};
use serde_json::Value as Json;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use subxt::rpcs::client::{RpcSubscription, rpc_params};
use tokio::{
    sync::{Mutex as AsyncMutex, Semaphore},
    time::Instant,
};

/// How often a transaction is built anew when the pool refuses its nonce or its era.
const ATTEMPTS: usize = 4;
/// Blocks that are searched for a transaction that nobody reports on any more.
const LOOK_BACK: u32 = 80;
/// Blocks before the best one of the time of sending that are searched too: a fork can take a transaction at a height that
/// the chain had already.
const FORK: u32 = 3;
/// How often a transaction that nobody reports on any more is looked for again until it is final.
const POLL: Duration = Duration::from_secs(1);
/// Why the outcome of a transaction is not sure.
const NOT_FINAL: &str = "its block did not become final in time";

pub(crate) struct Submitter {
    node: Arc<Node>,
    permits: Semaphore,
    nonces: Mutex<BTreeMap<[u8; 32], Arc<AsyncMutex<NonceTracker>>>>,
}

/// A transaction that the pool took.
struct Ticket {
    hash: H256,
    hex: String,
    account: AccountId,
    nonce: u64,
    /// The best block when it was sent.
    sent_at: BlockNumber,
}

type Status = RpcSubscription<Json>;

/// How a watch ended without an outcome.
enum Lost {
    /// The pool does not have it any more.
    Gone(RejectionKind, String),
    /// Nobody reports on it any more.
    Silent(String),
    /// No block took it in time.
    NotIncluded,
    /// It was in a block, which did not become final in time.
    NotFinal,
}

impl Lost {
    fn reason(&self) -> String {
        match self {
            Self::Gone(_, reason) | Self::Silent(reason) => reason.clone(),
            Self::NotIncluded => "no block took it in time".into(),
            Self::NotFinal => NOT_FINAL.into(),
        }
    }
}

impl Submitter {
    pub fn new(node: Arc<Node>, max_in_flight: usize) -> Self {
        Self {
            node,
            permits: Semaphore::new(max_in_flight.max(1)),
            nonces: Mutex::new(BTreeMap::new()),
        }
    }

    fn tracker(&self, signer: &Signer) -> Arc<AsyncMutex<NonceTracker>> {
        let mut nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        nonces.entry(signer.account_id().0).or_default().clone()
    }

    pub async fn submit(&self, call: &Call, signer: &Signer, wait: Wait) -> Result<Included, ChainError> {
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await.ok();
        let tracker = self.tracker(signer);
        let (ticket, mut status) = self.send(call, signer, &tracker).await?;
        match self.watch(&mut status, &tracker, wait).await {
            Ok(block) => self.outcome(call, &ticket, block).await,
            Err(lost) => {
                // Later nonces would wait for this one for ever.
                tracker.lock().await.reset();
                self.settle(call, &ticket, lost, wait).await
            }
        }
    }

    /// One key's transactions enter the pool one after the other, in order.
    async fn send(
        &self,
        call: &Call,
        signer: &Signer,
        tracker: &AsyncMutex<NonceTracker>,
    ) -> Result<(Ticket, Status), ChainError> {
        let mut tracker = tracker.lock().await;
        let mut last = None;
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(Duration::from_millis(150 << attempt)).await;
            }
            match self.try_send(call, signer, &mut tracker).await {
                Ok(sent) => {
                    tracker.accepted();
                    return Ok(sent);
                }
                Err(error) => {
                    tracker.reset();
                    let error = rejection(call, error);
                    let again = matches!(
                        &error,
                        ChainError::Pool(PoolRejection {
                            kind: RejectionKind::NonceConflict | RejectionKind::Invalid,
                            ..
                        })
                    );
                    if !again {
                        return Err(error);
                    }
                    tracing::debug!(%call, attempt, %error, "building the transaction anew");
                    last = Some(error);
                }
            }
        }
        Err(last.unwrap_or_else(|| unknown(call, "it was not sent")))
    }

    async fn try_send(
        &self,
        call: &Call,
        signer: &Signer,
        tracker: &mut NonceTracker,
    ) -> Result<(Ticket, Status), ChainError> {
        let best = self.node.header(None).await?;
        let finalized = self.node.finalized().await?;
        let runtime = self.node.runtime(best.hash).await?;
        let nonce = match tracker.peek() {
            Some(nonce) => nonce,
            None => {
                let address = signer.account_id().to_string();
                let next = self
                    .node
                    .rpc
                    .request("system_accountNextIndex", rpc_params![address])
                    .await?;
                tracker.seed(next);
                next
            }
        };
        let period = self.node.config.mortality;
        // A final block never goes away; but when finality lags far behind, the transaction would be born too old.
        let lag = u64::from(best.number.saturating_sub(finalized.number));
        let birth = if lag <= period / 2 { finalized } else { best };
        let mortality = Mortality {
            birth_number: birth.number,
            birth_hash: birth.hash,
            period,
        };
        let bytes = runtime.sign(call, signer, nonce, mortality)?;
        let hex = format!("0x{}", hex::encode(&bytes));
        let status = self
            .node
            .rpc
            .subscribe(
                "author_submitAndWatchExtrinsic",
                rpc_params![&hex],
                "author_unwatchExtrinsic",
            )
            .await?;
        let hash = sp_crypto_hashing::blake2_256(&bytes).into();
        let ticket = Ticket {
            hash,
            hex,
            account: signer.account_id(),
            nonce,
            sent_at: best.number,
        };
        Ok((ticket, status))
    }

    /// Waits for the block that counts.
    async fn watch(
        &self,
        status: &mut Status,
        tracker: &AsyncMutex<NonceTracker>,
        wait: Wait,
    ) -> Result<H256, Lost> {
        let mut deadline = Instant::now() + self.node.config.inclusion_timeout;
        let mut included = false;
        loop {
            let status = match tokio::time::timeout_at(deadline, status.next()).await {
                Err(_) if included => return Err(Lost::NotFinal),
                Err(_) => return Err(Lost::NotIncluded),
                Ok(None) => return Err(Lost::Silent("the node stopped reporting on it".into())),
                Ok(Some(Err(error))) => {
                    return Err(Lost::Silent(
                        self.node.rpc.error("watching it", error).to_string(),
                    ));
                }
                Ok(Some(Ok(status))) => status,
            };
            match (TxStatus::read(&status), wait) {
                (TxStatus::InBlock(hash), Wait::InBlock) | (TxStatus::Finalized(hash), _) => return Ok(hash),
                (TxStatus::InBlock(_), Wait::Finalized) => {
                    included = true;
                    deadline = Instant::now() + self.node.config.finality_timeout;
                }
                (TxStatus::Gone(kind, message), _) => return Err(Lost::Gone(kind, message)),
                (TxStatus::FinalityTimeout, _) => return Err(Lost::NotFinal),
                // A nonce before this one is missing: the next transaction has to fill the gap.
                (TxStatus::Future, _) => tracker.lock().await.reset(),
                (TxStatus::OnTheWay, _) => {}
            }
        }
    }

    /// Finds out what became of a transaction that nobody reports on any more: it may be in a block all the same, or
    /// another one with its nonce may be.
    async fn settle(
        &self,
        call: &Call,
        ticket: &Ticket,
        lost: Lost,
        wait: Wait,
    ) -> Result<Included, ChainError> {
        let deadline = match (&lost, wait) {
            (Lost::NotFinal, _) | (_, Wait::InBlock) => Instant::now(),
            // It has as much time to be final as any other.
            (_, Wait::Finalized) => Instant::now() + self.node.config.finality_timeout,
        };
        // The lowest block that it was seen in.
        let mut seen = None;
        loop {
            // Before the search: what it finds at or below this height stays where it is.
            let finalized = self.node.finalized().await;
            let found = self.look_for(ticket, seen, finalized.as_ref().ok()).await;
            if let Ok(Found::InBlock(_, number)) = &found {
                seen = Some(seen.map_or(*number, |lowest: BlockNumber| lowest.min(*number)));
            }
            let sure = match (&found, &finalized, wait) {
                (_, _, Wait::InBlock) => true,
                (Ok(Found::InBlock(_, number)), Ok(head), Wait::Finalized) => *number <= head.number,
                (Ok(Found::Replaced { is_final }), _, Wait::Finalized) => *is_final,
                // The node may be back soon, and the transaction in a block again.
                (Ok(Found::Nothing), _, Wait::Finalized) => !matches!(lost, Lost::Silent(_)),
                (Ok(Found::InBlock(..)) | Err(_), _, Wait::Finalized) => false,
            };
            if sure {
                return self.settled(call, ticket, lost, found).await;
            }
            if Instant::now() >= deadline {
                let reason = match found {
                    Ok(Found::InBlock(block, number)) => {
                        format!("it is in block {number} ({block:?}), but {NOT_FINAL}")
                    }
                    Ok(Found::Replaced { .. }) => {
                        "the best chain has another transaction with its nonce, in a block that is not final"
                            .into()
                    }
                    Ok(Found::Nothing) => lost.reason(),
                    Err(error) => format!("{}; then {error}", lost.reason()),
                };
                return Err(unknown(call, &reason));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn settled(
        &self,
        call: &Call,
        ticket: &Ticket,
        lost: Lost,
        found: Result<Found, ChainError>,
    ) -> Result<Included, ChainError> {
        match found {
            Ok(Found::InBlock(block, _)) => self.outcome(call, ticket, block).await,
            Ok(Found::Replaced { .. }) => {
                let message = format!("the chain has another transaction with nonce {}", ticket.nonce);
                let kind = RejectionKind::NonceConflict;
                Err(PoolRejection {
                    call: call.to_string(),
                    kind,
                    message,
                }
                .into())
            }
            Ok(Found::Nothing) | Err(_) => Err(match lost {
                Lost::Gone(kind, message) => PoolRejection {
                    call: call.to_string(),
                    kind,
                    message,
                }
                .into(),
                lost => unknown(call, &lost.reason()),
            }),
        }
    }

    /// Looks through the last blocks of the best chain, as far back at least as where it was `seen` before.
    async fn look_for(
        &self,
        ticket: &Ticket,
        seen: Option<BlockNumber>,
        finalized: Option<&BlockRef>,
    ) -> Result<Found, ChainError> {
        let best = self.node.header(None).await?;
        let last_blocks = ticket
            .sent_at
            .saturating_sub(FORK)
            .max(best.number.saturating_sub(LOOK_BACK));
        let first = seen.map_or(last_blocks, |number| last_blocks.min(number.saturating_sub(FORK)));
        for number in first..=best.number {
            let Some(hash) = self.node.rpc.block_hash(Some(number)).await? else {
                break;
            };
            if self
                .block(hash)
                .await?
                .extrinsics
                .iter()
                .any(|e| e.is(&ticket.hex))
            {
                return Ok(Found::InBlock(hash, number));
            }
        }
        if self.nonce_at(ticket, best.hash).await? <= ticket.nonce {
            return Ok(Found::Nothing);
        }
        let is_final = match finalized {
            Some(head) => self.nonce_at(ticket, head.hash).await? > ticket.nonce,
            None => false,
        };
        Ok(Found::Replaced { is_final })
    }

    /// The account's next nonce after a block.
    async fn nonce_at(&self, ticket: &Ticket, block: H256) -> Result<u64, ChainError> {
        let account = self
            .node
            .rpc
            .storage("an account", &account_key(&ticket.account), Some(block))
            .await?;
        Ok(match account {
            Some(bytes) => u64::from(decode::<AccountInfo>("an account", &bytes)?.nonce),
            None => 0,
        })
    }

    async fn block(&self, hash: H256) -> Result<Block, ChainError> {
        let block: Option<SignedBlock> = self.node.rpc.request("chain_getBlock", rpc_params![hash]).await?;
        Ok(block.ok_or_else(|| missing("the node does not know it"))?.block)
    }

    /// Finds the extrinsic in its block and reads how it ended.
    async fn outcome(&self, call: &Call, ticket: &Ticket, block: H256) -> Result<Included, ChainError> {
        // From here on the outcome exists; not being able to read it does not make it a failure.
        self.read_outcome(call, ticket, block).await.map_err(|e| match e {
            e @ ChainError::Dispatch(_) => e,
            e => unknown(call, &format!("it is in block {block:?}, but {e}")),
        })
    }

    async fn read_outcome(&self, call: &Call, ticket: &Ticket, hash: H256) -> Result<Included, ChainError> {
        let block = self.block(hash).await?;
        let index = block
            .extrinsics
            .iter()
            .position(|e| e.is(&ticket.hex))
            .and_then(|i| u32::try_from(i).ok())
            .ok_or_else(|| missing("the transaction is not in it"))?;
        // The block was executed by the runtime that was in force at its parent.
        let runtime = self.node.runtime(block.header.parent_hash).await?;
        let events = self
            .node
            .rpc
            .storage("a block's events", &events_key(), Some(hash))
            .await?;
        let outcome = runtime.outcome(events.unwrap_or_default(), index)?;
        let block = BlockRef {
            hash,
            ..block_ref(&block.header)
        };
        match outcome.failure {
            Some(parts) => Err(dispatch_failure(call, block.number, parts).into()),
            None => Ok(Included {
                block,
                hash: ticket.hash,
                events: outcome.events,
            }),
        }
    }
}

/// What is known of a transaction.
enum Found {
    /// In the block of that hash and number on the best chain.
    InBlock(H256, BlockNumber),
    /// Another transaction took its nonce, on the best chain or for good.
    Replaced {
        is_final: bool,
    },
    Nothing,
}

#[derive(serde::Deserialize)]
struct SignedBlock {
    block: Block,
}

#[derive(serde::Deserialize)]
struct Block {
    header: Header,
    extrinsics: Vec<Extrinsic>,
}

/// An encoded extrinsic; some nodes write hex, some write a list of bytes.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Extrinsic {
    Hex(String),
    Bytes(Vec<u8>),
}

impl Extrinsic {
    fn is(&self, hex: &str) -> bool {
        match self {
            Self::Hex(own) => own == hex,
            Self::Bytes(bytes) => hex
                .strip_prefix("0x")
                .is_some_and(|h| hex::decode(h).is_ok_and(|b| b == *bytes)),
        }
    }
}

fn missing(reason: &str) -> ChainError {
    ChainError::Decode {
        what: "a block".into(),
        reason: reason.into(),
    }
}

fn unknown(call: &Call, reason: &str) -> ChainError {
    ChainError::Unknown {
        call: call.to_string(),
        reason: reason.into(),
    }
}

/// Tells the pool's rejections from other errors. The codes are those of the node's author API.
fn rejection(call: &Call, error: ChainError) -> ChainError {
    let ChainError::Rpc {
        code, message, data, ..
    } = error
    else {
        return error;
    };
    let text = data.map_or_else(|| message.clone(), |d| format!("{message}: {d}"));
    let kind = match code {
        1010 if text.contains("pay some fees") || text.contains("balance too low") => {
            RejectionKind::CannotPay
        }
        1010 if text.contains("outdated") => RejectionKind::NonceConflict,
        1010..=1012 => RejectionKind::Invalid,
        1013 | 1014 => RejectionKind::NonceConflict,
        1016 => RejectionKind::PoolFull,
        1002..=1021 => RejectionKind::Dropped,
        _ => {
            return ChainError::Rpc {
                method: call.to_string(),
                code,
                message: text,
                data: None,
            };
        }
    };
    PoolRejection {
        call: call.to_string(),
        kind,
        message: text,
    }
    .into()
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum TxStatus {
    OnTheWay,
    /// In the pool, but a nonce before it is missing.
    Future,
    InBlock(H256),
    Finalized(H256),
    FinalityTimeout,
    Gone(RejectionKind, String),
}

impl TxStatus {
    /// Reads one notification of `author_submitAndWatchExtrinsic`.
    fn read(status: &Json) -> Self {
        let hash = |key: &str| {
            status
                .get(key)
                .and_then(|h| serde_json::from_value::<H256>(h.clone()).ok())
        };
        if let Some(hash) = hash("inBlock") {
            return Self::InBlock(hash);
        }
        if let Some(hash) = hash("finalized") {
            return Self::Finalized(hash);
        }
        if status.get("usurped").is_some() {
            return Self::Gone(RejectionKind::NonceConflict, "it was replaced in the pool".into());
        }
        if status.get("finalityTimeout").is_some() {
            return Self::FinalityTimeout;
        }
        match status.as_str() {
            Some("invalid") => Self::Gone(RejectionKind::Invalid, "it became invalid in the pool".into()),
            Some("future") => Self::Future,
            Some("dropped") => Self::Gone(RejectionKind::Dropped, "it was dropped from the pool".into()),
            _ => Self::OnTheWay,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn statuses_are_told_apart() {
        let hash = H256::repeat_byte(7);
        assert_eq!(TxStatus::read(&json!("ready")), TxStatus::OnTheWay);
        assert_eq!(TxStatus::read(&json!("future")), TxStatus::Future);
        assert_eq!(TxStatus::read(&json!({"broadcast": ["a"]})), TxStatus::OnTheWay);
        assert_eq!(TxStatus::read(&json!({"retracted": hash})), TxStatus::OnTheWay);
        assert_eq!(TxStatus::read(&json!({"inBlock": hash})), TxStatus::InBlock(hash));
        assert_eq!(
            TxStatus::read(&json!({"finalized": hash})),
            TxStatus::Finalized(hash)
        );
        assert!(matches!(
            TxStatus::read(&json!({"usurped": hash})),
            TxStatus::Gone(RejectionKind::NonceConflict, _)
        ));
        assert!(matches!(
            TxStatus::read(&json!("dropped")),
            TxStatus::Gone(RejectionKind::Dropped, _)
        ));
    }

    #[test]
    fn rejections_are_told_apart() {
        let call = Call::new("Jobs", "resume");
        let kind = |code, data: &str| {
            let error = ChainError::Rpc {
                method: "m".into(),
                code,
                message: "Invalid Transaction".into(),
                data: Some(data.into()),
            };
            match rejection(&call, error) {
                ChainError::Pool(rejection) => Some(rejection.kind),
                _ => None,
            }
        };
        assert_eq!(
            kind(1010, "Transaction is outdated"),
            Some(RejectionKind::NonceConflict)
        );
        assert_eq!(
            kind(1010, "Inability to pay some fees (e.g. account balance too low)"),
            Some(RejectionKind::CannotPay)
        );
        assert_eq!(
            kind(1010, "Transaction has a bad signature"),
            Some(RejectionKind::Invalid)
        );
        assert_eq!(
            kind(1014, "The transaction has too low priority"),
            Some(RejectionKind::NonceConflict)
        );
        assert_eq!(kind(1016, ""), Some(RejectionKind::PoolFull));
        assert_eq!(kind(-32601, ""), None);
    }
}
